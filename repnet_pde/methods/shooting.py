"""Single shooting for inverse problems in time: the unknowns by Gauss-Newton, the state by marching."""

import copy
import math
import types
from collections.abc import Sequence
from typing import Any

import torch

from ..arguments import number
from ..discretization.objective import Objective
from ..errors import InputError
from ..inverse.unknowns import Scales
from ..linalg.reduced import Posterior
from ..networks.slabs import Slabs
from ..problem.problem import Problem
from .estimation.forward_solution import ForwardSolution
from .estimation.iterate import Iterate
from .estimation.observation_noise import ObservationNoise
from .marching import Marching
from .method import Method
from .slabs.length import SPACE_FACTOR

ROUGH = 2e-2
"""Relative residual of the forward solutions until the unknowns have nearly been found."""
ROUGH_FACTOR = 9.0
"""Basis functions of those (`slabs.length.SPACE_FACTOR`)."""
DOUBTFUL = 10.0
"""The discretisation is checked where a relative standard error is below so many tolerances."""
INACCURATE = 3.0
"""Error of a forward solution over its relative residual, at a guess."""
DONE = 1e-3
"""Relative decrease of the sum of squares by a step after which none follows."""
CLOSE = 0.1
"""Distance of the unknowns from the minimum, in their standard errors, at which they have been found ..."""
NEAR = 1.0
"""... and in the rough round."""
SMALL = 1e-5
"""Relative change of the unknowns by a step that is linear enough to be the last, without a solution after it."""
DAMPING = (1e-4, 1e6)
"""Levenberg-Marquardt damping, relative to the columns: the first, and the one at which no step is left to try."""


class Shooting(Method):
    """Gauss-Newton steps on the unknowns, with the state that belongs to them and its exact sensitivities.

    The equations are solved forward in time by `Marching`, and differentiated in each slab by the tangent-linear model
    of its least-squares problem. After a step the slabs are solved again from the coefficients that these derivatives
    predict, and made anew only where that is not enough. Two rounds: with rough solutions, then with those of the
    tolerance; where conditions that do not fit together put that out of reach, the rough ones count. Where the noise is
    so small that the discretisation matters, the step that other slabs of a larger basis would ask for tells how much.

    Args:
        objective: the loss of a problem with observations, on a `Slabs` network; its weights are not used.
        iterations: most solutions of slabs.
        noise, bounds, positive, loss: as for `Joint`.
        tolerance: relative residual of the forward solutions at validation points.

    Raises:
        InputError: a problem that it cannot treat, or a bad option.
    """

    name = "shooting"
    title = "Gauss-Newton on the unknowns, the state by space-time slabs"
    default_iterations = 10_000
    network = "repnet-slabs"

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        """The unknowns are numbers, observed, of a problem that can be solved slab by slab."""
        if problem.dtype != "float64":
            return "needs float64"
        if not (problem.observations and problem.unknowns):
            return "there are no observations, or no unknown numbers"
        if problem.unknown_fields:
            return "there are unknown fields"
        return Marching.unsuited(problem.forward())

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        noise: Any = None,
        bounds: Any = None,
        positive: Sequence[str] = (),
        loss: str = "squares",
        tolerance: float = 1e-5,
    ):
        problem = objective.problem
        if problem is None or not isinstance(objective.net, Slabs):
            raise InputError("network: shooting needs 'repnet-slabs', made by identify")
        reason = self.unsuited(problem)
        if reason is not None:
            raise InputError(f"method: shooting cannot be used: {reason}; choose joint or gauss-newton")
        if not 0 < number("tolerance", tolerance) < 1:
            raise InputError(f"tolerance: {tolerance!r} given; a number between 0 and 1 is needed")
        self.objective, self.iterations, self.tolerance = objective, iterations, tolerance
        self.problem, self.net = problem, objective.net
        self.scales, self.noise = Scales(problem.unknowns, bounds, positive), ObservationNoise(problem, noise, loss)
        self.iteration, self.solutions, self.damping = 0, 0, DAMPING[0]
        self.rough = tolerance < ROUGH
        """Whether it is the round with rough solutions."""
        self.checking, self.but = False, ""
        """Whether the discretisation is checked; what is to be said of the end."""
        self.best: Iterate | None = None
        """The unknowns with the least sum of squares."""
        self.twin_values: list[float] | None = None
        """Values of the unknowns with other slabs and basis functions."""
        self._reason: str | None = None
        self._equations = problem.forward()
        self.forward = ForwardSolution(problem, self._equations, self.net, self.scales, self._new_march)

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    @property
    def known(self) -> list[torch.Tensor] | None:
        """Standard deviations of each observation, or None: estimated."""
        return self.noise.known

    @property
    def deviations(self) -> list[torch.Tensor]:
        """The same, as they are given or estimated."""
        return self.noise.deviations

    @property
    def robust(self) -> bool:
        return self.noise.robust

    @property
    def reached(self) -> float:
        """The time up to which there is a forward solution."""
        return self.forward.march.reached

    @property
    def standing(self) -> str:
        """How far the forward solution has got, in words."""
        return f"forward solution {self.solutions + 1}: {self.net.standing}"

    @property
    def accuracy(self) -> float:
        """Of what the forward solutions predict, relative to the data: what is below tells nothing."""
        return INACCURATE * (ROUGH if self.best and self.best.rough else self.tolerance)

    @property
    def unmet(self) -> bool:
        """Whether it has ended without any solution of the equations."""
        return self._reason is not None and self.best is None

    def _new_march(self) -> Marching:
        """With the accuracy of this round; where nearly the same unknowns have a solution, it guides the basis."""
        view: Any = types.SimpleNamespace(problem=self._equations, net=self.net, measure=lambda: None)
        march = Marching(view, 10**9, tolerance=ROUGH if self.rough else self.tolerance)
        march.checks = False
        march.control.factor *= (ROUGH_FACTOR / SPACE_FACTOR if self.rough else 1.0) * (1.25 if self.checking else 1.0)
        if self.best is not None and (self.checking or not self.rough):
            march.guide = Slabs(len(self.problem.outputs), self.problem.geometry)
            march.guide.load_state_dict(self.best.solution["net"])
        return march

    def step(self) -> None:
        """Solve one slab; after the last, the next unknowns."""
        self.iteration += 1
        if (failed := self.forward.advance(patient=self.rough)) is not None:
            self._failed(failed)
        elif self.forward.complete:
            self._evaluate()
        if self._reason is None and self.iteration >= self.iterations and self.best is not None:
            self._restore()

    def _evaluate(self) -> None:
        """All slabs are solved: take these unknowns or go back; then the next."""
        residuals, slopes = self.forward.predict()
        self.solutions += 1
        if self.checking:
            assert self.best is not None
            step = self.best.step(*self.noise.weighted(residuals, slopes), 0.0, self.scales.bounds)
            self.twin_values = self.best.moved(step)
            self._end()
            return
        comparable = self.best if self.best is not None and self.best.rough == self.rough else None
        merit = self.noise.merit(residuals)
        before = math.inf if comparable is None else self.noise.merit(comparable.residuals)
        if comparable is not None and not merit < before:
            if comparable.near(self.scales.values(), self.forward.march.tolerance):  # as good as the solutions are
                self._converged()
            else:
                self._failed("no step lowers the sum of squares")
            return
        self.best = Iterate(self.scales.values(), residuals, slopes, self.rough, self.forward.taken())
        self.damping = 0.0 if self.damping <= DAMPING[0] else self.damping / 10
        if not self.rough:
            self.noise.estimate(residuals, len(self.scales.names))
        if (self.rough or not self.noise.reweigh(residuals)) and merit > (1 - DONE) * before:
            self._converged()
        else:
            self._next()

    def _next(self) -> None:
        """The Gauss-Newton step from the best unknowns; the slabs' coefficients follow it."""
        best, bounds = self.best, self.scales.bounds
        assert best is not None
        rows, right = self.noise.weighted(best.residuals, best.slopes)
        if not torch.isfinite(rows).all():
            self._reason = "the sensitivities are not finite"
            return
        if best.is_minimum(rows, right, NEAR if self.rough else CLOSE, bounds):
            self._converged()
            return
        step = best.step(rows, right, self.damping, bounds)
        self.scales.restore(best.moved(step))
        self.forward.move(best.solution["tangents"], step)
        if not self.rough and best.near(self.scales.values(), SMALL):
            best.residuals, best.values = best.predicted(step), self.scales.values()
            best.solution["net"] = copy.deepcopy(self.net.state_dict())
            self._converged()

    def _restore(self) -> None:
        """The best unknowns and their solution."""
        assert self.best is not None
        self.scales.restore(self.best.values)
        self.forward.restore(self.best.solution)

    def _failed(self, reason: str) -> None:
        """These unknowns are no better, or have no solution: a shorter step from the best ones."""
        if self.best is None:
            self._reason = f"the basis functions do not meet the equations: {reason}"
            return
        self._restore()
        if self.checking:
            self._end()
        elif self.best.rough and not self.rough:  # there is no solution to the tolerance even here
            self.but = f", the equations solved to {ROUGH:g} only: {reason}"
            self.rough = True
            self._check()
        else:
            self.damping = max(10 * self.damping, DAMPING[0])
            if self.damping > DAMPING[1]:
                self._reason = f"stalled: {reason}"
            else:
                self._next()

    def _converged(self) -> None:
        assert self.best is not None
        self._restore()
        if self.rough:
            self.rough, self.damping = False, DAMPING[0]
            self.forward.anew()
        elif self.best.doubtful(self.noise, self.scales, DOUBTFUL * self.tolerance):
            self._check()
        else:
            self._end()

    def _check(self) -> None:
        """Solve once more with other slabs and more basis functions."""
        self.checking = True
        self.forward.anew()

    def _end(self) -> None:
        self._restore()
        self._reason = f"converged after {self.solutions} forward solutions{self.but}"

    def posterior(self) -> tuple[Posterior, list[torch.Tensor | None]] | None:
        """(`Posterior` of the unknowns, the rows' factors, None but for observations); None without a solution."""
        if self.best is None:
            return None
        slopes = self.best.slopes * self.scales.slopes(self.scales.get())
        return self.noise.posterior(self.best.residuals, slopes), self.noise.factors()

    # Checkpoints ----------------------------------------------------------------------------------------------------

    _STATE = ("iteration", "solutions", "damping", "rough", "checking", "but", "twin_values")

    def state_dict(self) -> dict:
        return {
            "own": {name: getattr(self, name) for name in self._STATE},
            "best": None if self.best is None else dict(vars(self.best)),
            "noise": self.noise.state_dict(),
            "forward": self.forward.state_dict(),
            "reason": self._reason,
        }

    def load_state_dict(self, state: dict) -> None:
        for name, value in state["own"].items():
            setattr(self, name, value)
        self.best = None if state["best"] is None else Iterate(**state["best"])
        self.noise.load_state_dict(state["noise"])
        self.forward.load_state_dict(state["forward"])
        self._reason = state["reason"]
