"""Least squares for the last layer: one dense solve where the problem is linear, Newton's method elsewhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..discretization.features import Features
from ..discretization.jacobian import check_rows
from ..discretization.last_layer import CopySystem, JetSystem, Outcome, indices_for, newton
from ..discretization.objective import Objective
from ..errors import InputError
from ..linalg.dense import CUTOFF
from ..problem.problem import Problem
from .method import Method, by_basis


class LeastSquares(Method):
    """Solves for the last layer, in which the network's output is linear, with all other layers fixed.

    A problem that is linear in it (found numerically, not assumed) takes one dense least-squares solve by QR of all
    residual rows, scaled alike and regularised at rounding. A nonlinear one takes Newton steps, halved until the
    residual falls. The unknowns of an inverse problem are solved for as well.

    Args:
        objective: the loss; its weights are not used.
        iterations: most factorisations.
        cutoff: the regularisation relative to the norm of the Jacobian.
    """

    name = "least-squares"
    title = "least squares for the last layer"
    default_iterations = 30
    network = "repnet-sin"
    any_network = True
    identifies = False
    searches = True
    ends_by_itself = True

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def coarser(cls, result: dict) -> tuple[str, float, list[tuple[float, dict]]] | None:
        options = result["network_options"]
        if not options.get("layers"):
            return None
        (most,) = options["layers"]
        steps = [round(most * factor) for factor in (0.3, 0.42, 0.6, 0.8)]
        own = {"method": cls.name, "network": result["network"]}
        return "features", most, [(n, own | {"network_options": options | {"layers": [n]}}) for n in steps]

    def __init__(self, objective: Objective, iterations: int, *, cutoff: float = CUTOFF):
        if not 0 < cutoff < 1:
            raise InputError(f"cutoff: {cutoff!r} given; a number between 0 and 1 is needed")
        self.objective, self.iterations, self.cutoff = objective, iterations, cutoff
        self.iteration = 0
        self._reason: str | None = None
        self._system: JetSystem | CopySystem | None = None

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def _make(self) -> JetSystem | CopySystem:
        objective = self.objective
        data, net, names = objective.data, objective.net, objective.names
        if Features.known(net):
            indices = indices_for(data, net, net.linears[-1].out_features)
            if indices is not None:
                return JetSystem(data, net, names, indices, unknowns=objective.unknowns)
        system = CopySystem(data, net, names, objective.unknowns)
        check_rows(data, net, system.linearize(), system.layer)
        return system

    def step(self) -> None:
        if self._system is None:
            self._system = self._make()
        system = self._system
        outcome = newton(system, 1, self.cutoff)
        if isinstance(system, JetSystem):
            system.store()
        self.accept(outcome)

    def accept(self, outcome: Outcome) -> None:
        """Take a solution that is in the network already as the result of one more iteration."""
        self.iteration += 1
        self._reason = _reason(outcome, linear=self.iteration == 1)
        self.objective.measure()

    def state_dict(self) -> dict:
        return {"iteration": self.iteration, "reason": self._reason}

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self._reason = state["iteration"], state["reason"]


def _reason(outcome: Outcome, linear: bool) -> str | None:
    """``linear``: whether residuals that are affine say so of the problem, and not of a small step."""
    if outcome.affine and linear:
        return f"linear problem solved, numerical rank {outcome.rank} of {outcome.columns}"
    if outcome.converged or outcome.affine:
        return f"Newton's method converged, numerical rank {outcome.rank} of {outcome.columns}"
    if outcome.stalled:
        return "stalled: no step of Newton's method lowers the residual"
    return None
