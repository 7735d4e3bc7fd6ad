"""Least squares for the last layer: one solve for a linear problem, damped Newton for a nonlinear one."""

import torch

from ..errors import InputError
from ..jacobian import check_rows, linearize
from ..objective import Objective
from ..residuals import residual_vectors
from ._dense import CUTOFF, minimum_norm, row_scales, triangle
from ._parameters import move, restore

AFFINE = 1e-8
"""Relative mismatch of predicted and actual residual below which a problem counts as linear."""


class LeastSquares:
    """Solves for the last layer, in which the network's output is linear, with all other layers fixed.

    A problem that is linear in it (found numerically, not assumed) takes one dense least-squares solve: QR of all
    residual rows, scaled alike, then the singular value decomposition of R, cut off at rounding. A nonlinear one takes
    Newton steps, halved until the residual falls. The unknowns of an inverse problem are solved for as well.

    Args:
        objective: the loss; its weights are not used.
        iterations: most Newton steps.
        cutoff: singular values below this multiple of the largest are dropped.
    """

    default_iterations = 30

    def __init__(self, objective: Objective, iterations: int, *, cutoff: float = CUTOFF):
        if not 0 < cutoff < 1:
            raise InputError(f"cutoff: {cutoff!r} given; a number between 0 and 1 is needed")
        self.objective, self.iterations, self.cutoff = objective, iterations, cutoff
        self.iteration = 0
        self.names = last_layer(objective.net)
        self.rank: int | None = None
        self._reason: str | None = None

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def step(self) -> None:
        objective = self.objective
        unknowns = objective.unknowns
        terms = linearize(objective.data, objective.net, objective.names, self.names, unknowns)
        if self.iteration == 0:
            check_rows(objective.data, objective.net, terms, self.names)
        scales = row_scales(terms)
        delta, self.rank = minimum_norm(*triangle(terms, scales), self.cutoff)
        if not torch.isfinite(delta).all():
            raise objective.describe_failure(self.iteration)
        parameters = [objective.net.get_parameter(name) for name in self.names] + list(unknowns)
        before = [p.detach().clone() for p in parameters]
        residual = _stack([t.residual for t in terms], scales)
        predicted = residual + _stack([t.jacobian @ delta for t in terms], scales)
        step, norm = 1.0, residual.norm()
        # Coefficients can be large and cancel; what rounding does to their sum is no sign of a nonlinear problem.
        eps = torch.finfo(delta.dtype).eps
        rounding = 10 * eps * _stack([t.jacobian.abs() @ delta.abs() for t in terms], scales).norm()
        while True:
            move(parameters, before, step * delta)
            actual = _stack([v.detach().reshape(-1) for v in residual_vectors(objective.data, objective.net)], scales)
            if step == 1.0:
                affine = bool((actual - predicted).norm() <= AFFINE * norm + rounding)
            if affine and self.iteration == 0:
                self._reason = f"linear problem solved, numerical rank {self.rank} of {len(delta)}"
                break
            if actual.norm() < norm:
                break
            step /= 2
            if step < 1e-3:
                restore(parameters, before)
                self._reason = (
                    "converged: what is left is rounding"
                    if affine
                    else "stalled: no step of Newton's method lowers the residual"
                )
                break
        self.iteration += 1
        objective.mean_squares()
        if self._reason is None and actual.norm() > (1 - 1e-6) * norm:
            self._reason = "converged: the residual no longer falls"

    def state_dict(self) -> dict:
        return {"iteration": self.iteration, "reason": self._reason, "rank": self.rank}

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self._reason, self.rank = state["iteration"], state["reason"], state["rank"]


def _stack(vectors, scales) -> torch.Tensor:
    return torch.cat([v * s for v, s in zip(vectors, scales, strict=True)])


def last_layer(net: torch.nn.Module) -> list[str]:
    """Names of the parameters of the last ``torch.nn.Linear``; `InputError` where there is none."""
    linear = [name for name, module in net.named_modules() if isinstance(module, torch.nn.Linear)]
    if not linear:
        raise InputError("network: has no torch.nn.Linear as its last layer, which least squares solves for")
    return [f"{linear[-1]}.{p}" for p, _ in net.get_submodule(linear[-1]).named_parameters()]
