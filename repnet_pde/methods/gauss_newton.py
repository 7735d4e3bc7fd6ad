"""Gauss-Newton with Levenberg-Marquardt damping on all parameters and unknowns."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .. import limits
from ..arguments import whole
from ..backend import dde
from ..discretization.jacobian import bytes_needed, choose_route, linearize, not_finite
from ..discretization.objective import Objective
from ..errors import InputError, SeveralPointsError, TrainingError
from ..linalg.damped import Dense, MatrixFree
from ..linalg.dense import row_scales
from ..problem.problem import Problem
from ..problem.residuals import residual_vectors
from .method import Method
from .points import Points

START = 1e-2
"""Damping at the start over the mean of the terms' ‖J‖²."""
EASE, TIGHTEN = 10.0, 2.5
"""λ falls by the one after a step that lowers the loss and grows by the other after one that does not."""
SMALLEST, LARGEST = 1e-22, 1e10
"""Bounds of λ over the trace of JᵀJ."""
REFINE = 10
"""Steps between two redrawings of the points."""
PROBE, BEND = 0.1, 0.75
"""Part of the step at which the second derivative along it is probed; largest 2 |correction| over |step|."""
FLOOR = 1e-29
"""Loss, over the largest seen, at which only rounding is left."""
TINY = 1e-13
"""Gradient over its largest possible size, and step over the parameters, that count as zero."""
STAGNATION, PATIENCE = 1e-4, 20
"""Relative decrease of the loss that counts as none, and after how many such steps it ends."""
ROUNDS = 25
"""Rounds of points without a smaller residual on validation points, after which training has stagnated."""
MOST_DENSE = 4000
"""Most parameters for a dense Jacobian."""
MEMORY = 4 * 2**30
"""Most bytes of the dense matrices."""


ROWS_PER_PARAMETER = 3
"""Collocation points inside the domain, over the parameters."""
GENTLE = 3 * np.pi
"""Largest wavenumber in x̂ for the start slopes of a deep, narrow network, which makes them steeper by itself. Chosen on
seven nonlinear problems (validation.studies.constants): over the best of π, 3π and 10π the errors after 15 s are 2.1,
1.4 and 1.6 times as large in the geometric mean; 10π is poor on Burgers' equation, π on the Klein-Gordon equation."""
MOST_PARAMETERS = 4000
"""Most parameters for which it is chosen unasked: with a dense Jacobian."""


class GaussNewton(Method):
    """Levenberg-Marquardt (D. W. Marquardt, J. SIAM 11 (1963) 431-441) on all parameters and unknowns.

    Every step minimises ‖J δ + r‖² + λ ‖D δ‖². D is 1 for the network and makes unknowns free of their units. The rows
    are scaled so that every term's Jacobian has rows of unit root mean square and each term counts alike (weights given
    by the user are used instead); the scales are found once. Steps are bent by geodesic acceleration (M. K. Transtrum,
    J. P. Sethna, arXiv:1201.5885), at the cost of one residual. The points inside the domain are redrawn where the
    residual is large. Beyond the dense limit the steps are found by LSMR without forming J.

    Args:
        objective: the loss; automatic weights are replaced by the scales above.
        iterations: most steps.
        damping: λ at the start, over the mean of the terms' ‖J‖².
        refine: steps between two redrawings of the points; 0 keeps them.
        memory: most bytes for the dense matrices; beyond it, or beyond 4,000 parameters, matrix-free. None: 4 GiB.
        matrix_free: True or False decides, None leaves it to the two limits.
    """

    name = "gauss-newton"
    title = "Gauss-Newton on all parameters"
    default_iterations = 2000
    layers = (20, 20, 20)
    any_network = True

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        return {"least": ROWS_PER_PARAMETER * sum(p.numel() for p in net.parameters()), "wavenumber": wavenumber}

    @classmethod
    def start_wavenumber(
        cls, problem: Problem, wavenumber: Sequence[float] | np.ndarray
    ) -> Sequence[float] | np.ndarray:
        return np.minimum(wavenumber, GENTLE / problem.box.half_width)

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        damping: float = START,
        refine: int = REFINE,
        memory: int | None = None,
        matrix_free: bool | None = None,
    ):
        if isinstance(damping, bool) or not isinstance(damping, (int, float)) or not 0 < damping < math.inf:
            raise InputError(f"damping: {damping!r} given; a number > 0 is needed")
        if refine is None:
            raise InputError("refine: None given; a whole number is needed, 0 to keep the points")
        whole("refine", refine, 0)
        whole("memory", memory, 1)
        if matrix_free not in (None, True, False):
            raise InputError(f"matrix_free: {matrix_free!r} given; True, False or None is needed")
        self.objective, self.iterations = objective, iterations
        self._points = Points(objective.data)
        self.refine = refine if self._points.movable else 0
        self.trained = [name for name, p in objective.net.named_parameters() if p.requires_grad]
        self.width = sum(p.numel() for p in objective.parameters)
        self.n_unknowns = sum(p.numel() for p in objective.unknowns)
        self.memory, self.matrix_free = memory, self._is_matrix_free(memory, matrix_free)
        self.relative_damping, self.damping = float(damping), math.nan
        self.iteration = 0
        self.scales: list[float] | None = None
        self.route: str | None = None
        self.largest = 0.0
        self.slow = self.since_refined = self.rounds = 0
        self.best = math.inf
        """Smallest mean square on validation points, at a redrawing."""
        self._reason: str | None = None

    def _is_matrix_free(self, memory: int | None, matrix_free: bool | None) -> bool:
        need = bytes_needed(self._points.data, self.objective.net, self.width, len(self.objective.names))
        if matrix_free is False and memory is not None and need > memory:
            raise InputError(f"memory: {memory:,} bytes given; {need:,} are needed unless the method is matrix-free")
        if matrix_free is not None:
            return matrix_free
        return self.width > MOST_DENSE or need > min(MEMORY if memory is None else memory, limits.memory_left())

    @property
    def stopped(self) -> str | None:
        reason = self._reason or ("all iterations done" if self.iteration >= self.iterations else None)
        return f"{reason} (matrix-free: LSMR)" if reason and self.matrix_free else reason

    def step(self) -> None:
        objective = self.objective
        if self.refine and self.since_refined >= self.refine:
            self._redraw()
            if self._reason:
                return
        system, loss = self._system()
        self.iteration += 1
        self.since_refined += 1
        if math.isnan(self.damping):
            self.damping = self.relative_damping * system.trace / len(objective.names)
        self.largest = max(self.largest, loss)
        slope = system.gradient.norm().item()
        if loss <= FLOOR * self.largest:
            self._reason = "the loss has reached its floor at rounding"
        elif slope <= TINY * math.sqrt(system.trace * loss):
            self._reason = "the gradient is zero to rounding"
        if self._reason:
            return
        before = [p.detach().clone() for p in objective.parameters]
        size = math.sqrt(sum(p.square().sum().item() for p in before))
        while True:
            delta = system.step(self.damping)
            if isinstance(system, Dense):
                delta = self._bent(system, before, delta)
            self._set(before, delta)
            new = self._norm2()
            if new < loss:
                break
            self._set(before)
            if delta.norm().item() <= TINY * size or self.damping > LARGEST * system.trace:
                self._stuck()
                return
            self.damping *= TIGHTEN
        self.damping = max(self.damping / EASE, SMALLEST * system.trace)
        self.slow = self.slow + 1 if loss - new < STAGNATION * loss else 0
        if self.slow >= PATIENCE:
            self._reason = f"stagnation: {PATIENCE} steps each lowered the loss by less than {STAGNATION:g} of it"

    def _bent(self, system: Dense, before: Sequence[torch.Tensor], delta: torch.Tensor) -> torch.Tensor:
        """The step with geodesic acceleration: half the response to the second derivative of r along it."""
        assert self.scales is not None
        self._set(before, PROBE * delta)
        vectors = residual_vectors(self._points.data, self.objective.net)
        dde.grad.clear()
        there = torch.cat([s * v.detach().reshape(-1) for s, v in zip(self.scales, vectors, strict=True)])
        bend = 2 / PROBE * ((there - system.residual) / PROBE - system.product(delta))
        if not torch.isfinite(bend).all():
            return delta
        correction = system.step_for(bend / 2)
        size = system.weights.sqrt()
        small = 2 * (size * correction).norm() <= BEND * (size * delta).norm()
        return delta + correction if small else delta

    def _set(self, values: Sequence[torch.Tensor], delta: torch.Tensor | None = None) -> None:
        """Set the parameters to ``values``, plus ``delta`` (p,).

        Unseen by autograd: the graph of the matrix-free products holds the parameters, and is used only while they
        have their values.
        """
        changes = [None] * len(values) if delta is None else delta.split([v.numel() for v in values])
        for parameter, value, change in zip(self.objective.parameters, values, changes, strict=True):
            parameter.data.copy_(value if change is None else value + change.view_as(value))

    def _stuck(self) -> None:
        """No step lowers the loss: with validation points it may."""
        if self.refine and self.since_refined > 1:
            self.since_refined, self.damping = self.refine, math.nan
        else:
            self._reason = "step: none, however short, lowers the loss"

    def _choose_route(self) -> None:
        """Rows that depend on several points: reverse mode row by row, or matrix-free where that takes too long."""
        objective = self.objective
        try:
            self.route = choose_route(
                self._points.data, objective.net, objective.names, self.trained, objective.unknowns, self.memory
            )
        except SeveralPointsError:
            self.matrix_free = True

    def _system(self) -> tuple[Dense | MatrixFree, float]:
        """The scaled rows at the current parameters, and their sum of squares."""
        objective, data = self.objective, self._points.data
        names, unknowns = objective.names, objective.unknowns
        system: Dense | MatrixFree
        if self.iteration == 0 and not self.matrix_free:
            self._choose_route()
        if self.matrix_free:
            given = self.scales if self.scales is not None or objective.automatic else self._given_scales(data)
            vectors = residual_vectors(data, objective.net)
            dde.grad.clear()
            system = MatrixFree(vectors, objective.parameters, given, self.n_unknowns)
            self.scales, residuals = system.scales, system.raw
        else:
            terms = linearize(data, objective.net, names, self.trained, unknowns, memory=self.memory, route=self.route)
            residuals = [t.residual for t in terms]
        objective.terms = torch.stack([r.square().mean() for r in residuals])
        problem = not_finite(data, names, residuals)
        if problem:
            raise TrainingError(f"iteration {self.iteration}: {problem}")
        if not self.matrix_free:
            if self.scales is None:
                roots = [math.sqrt(len(r)) for r in residuals]
                of_network = [replace(t, jacobian=t.jacobian[:, : self.width - self.n_unknowns]) for t in terms]
                rows = row_scales(of_network) if objective.automatic else None
                self.scales = (
                    self._given_scales(data)
                    if rows is None
                    else [s / root for s, root in zip(rows, roots, strict=True)]
                )
            system = Dense(terms, self.scales, self.n_unknowns)
        return system, system.residual.square().sum().item()

    def _given_scales(self, data: Any) -> list[float]:
        vectors = residual_vectors(data, self.objective.net)
        dde.grad.clear()
        return [math.sqrt(w / max(v.numel(), 1)) for w, v in zip(self.objective.weights.tolist(), vectors, strict=True)]

    def _redraw(self) -> None:
        assert self.scales is not None  # of the steps before
        fresh = self._points.refine(self.objective.net, self.scales)
        self.since_refined, self.slow = 0, 0
        if fresh < (1 - 100 * STAGNATION) * self.best:
            self.best, self.rounds = fresh, 0
        else:
            self.rounds += 1
        if self.rounds >= ROUNDS:
            self._reason = f"stagnation: {ROUNDS} sets of points without a smaller residual on validation points"

    def _norm2(self) -> float:
        assert self.scales is not None
        vectors = residual_vectors(self._points.data, self.objective.net)
        dde.grad.clear()
        found = sum(s**2 * v.detach().square().sum().item() for s, v in zip(self.scales, vectors, strict=True))
        return found if math.isfinite(found) else math.inf

    _STATE = (
        "iteration",
        "damping",
        "scales",
        "route",
        "largest",
        "slow",
        "since_refined",
        "rounds",
        "best",
        "matrix_free",
    )

    def state_dict(self) -> dict:
        return {name: getattr(self, name) for name in self._STATE} | {
            "reason": self._reason,
            "points": self._points.inner,
        }

    def load_state_dict(self, state: dict) -> None:
        for name in self._STATE:
            setattr(self, name, state[name])
        self._reason = state["reason"]
        self._points.set(state["points"])
