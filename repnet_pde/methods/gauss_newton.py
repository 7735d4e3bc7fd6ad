"""Gauss-Newton with Levenberg-Marquardt damping on all parameters and unknowns."""

import math

import torch

from ..errors import InputError
from ..jacobian import check_rows, linearize
from ..objective import Objective
from ..residuals import residual_vectors
from ._dense import row_scales, triangle
from ._parameters import move, restore

START = 1e-3
LARGEST = 1e12
STAGNATION = 1e-4
PATIENCE = 20


class GaussNewton:
    """Levenberg-Marquardt (D. W. Marquardt, J. SIAM 11 (1963) 431-441) with QR instead of normal equations.

    Every step minimises ‖J δ + r‖² + λ ‖D δ‖², D the column norms of J (never falling, J. J. Moré 1978), by the QR
    factorisation of R stacked on √λ D, where R is that of the scaled residual rows. λ follows the gain ratio (H. B.
    Nielsen, 1999). Each residual term is scaled by the size of its own rows and the square root of their number; the
    scales are found at the start and again every ``rescale`` steps.

    Args:
        objective: the loss; its weights are not used.
        iterations: most steps, accepted or not.
        damping: λ at the start.
        rescale: accepted steps between two looks at the scales.
    """

    default_iterations = 500

    def __init__(self, objective: Objective, iterations: int, *, damping: float = START, rescale: int = 50):
        for name, value in (("damping", damping), ("rescale", rescale)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise InputError(f"{name}: {value!r} given; a number > 0 is needed")
        self.objective, self.iterations, self.rescale = objective, iterations, rescale
        self.iteration = 0
        self.damping, self.growth = float(damping), 2.0
        self.scales: list[float] | None = None
        self.column_norms: torch.Tensor | None = None
        self.accepted = self.slow = 0
        self._reason: str | None = None
        self._linearized: tuple | None = None

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def step(self) -> None:
        objective = self.objective
        if self._linearized is None:
            self._linearized = self._linearize()
        r, c, norm2 = self._linearized
        gradient = r.T @ c
        if norm2 == 0 or not gradient.any():
            self._reason = "the gradient is zero"
            return
        damping = math.sqrt(self.damping) * torch.diag(self.column_norms)
        stacked = torch.cat([torch.cat([r, damping]), torch.cat([c, torch.zeros_like(c)])[:, None]], 1)
        upper = torch.linalg.qr(stacked, mode="r")[1]
        delta = torch.linalg.solve_triangular(upper[: len(c), :-1], upper[: len(c), -1:], upper=True)[:, 0]
        self.iteration += 1
        before = [p.detach().clone() for p in objective.parameters]
        move(objective.parameters, before, delta)
        new2 = self._norm2()
        predicted = (c.square().sum() - (c - r @ delta).square().sum()).item()
        gain = (norm2 - new2) / predicted if predicted > 0 and math.isfinite(new2) else -1.0
        if gain > 0:
            self.slow = self.slow + 1 if norm2 - new2 < STAGNATION * norm2 else 0
            self.damping = max(self.damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 1e-15)
            self.growth = 2.0
            self._linearized = None
            self.accepted += 1
            if self.slow >= PATIENCE:
                self._reason = f"stagnation: {PATIENCE} steps each lowered the loss by less than {STAGNATION:g} of it"
            return
        restore(objective.parameters, before)
        self.damping *= self.growth
        self.growth *= 2
        if self.damping > LARGEST:
            self._reason = "stalled: no step, however short, lowers the loss"

    def _linearize(self):
        objective = self.objective
        terms = linearize(objective.data, objective.net, objective.names, None, objective.unknowns)
        if self.iteration == 0:
            check_rows(objective.data, objective.net, terms)
        objective.terms = torch.stack([t.residual.square().mean() for t in terms])
        if not torch.isfinite(objective.terms).all():
            raise objective.describe_failure(self.iteration)
        if self.scales is None or self.accepted % self.rescale == 0:
            self.scales = [s / math.sqrt(len(t.residual)) for s, t in zip(row_scales(terms), terms, strict=True)]
        r, c = triangle(terms, self.scales)
        norms = r.norm(dim=0)
        norms = norms.clamp_min(1e-12 * norms.max())
        self.column_norms = norms if self.column_norms is None else torch.maximum(self.column_norms, norms)
        norm2 = sum(s**2 * t.residual.square().sum().item() for s, t in zip(self.scales, terms, strict=True))
        return r, c, norm2

    def _norm2(self) -> float:
        vectors = residual_vectors(self.objective.data, self.objective.net)
        return sum(s**2 * v.detach().square().sum().item() for s, v in zip(self.scales, vectors, strict=True))

    def state_dict(self) -> dict:
        return {
            "iteration": self.iteration,
            "damping": self.damping,
            "growth": self.growth,
            "scales": self.scales,
            "column_norms": self.column_norms,
            "accepted": self.accepted,
            "slow": self.slow,
            "reason": self._reason,
        }

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self.damping, self.growth = state["iteration"], state["damping"], state["growth"]
        self.scales, self.column_norms = state["scales"], state["column_norms"]
        self.accepted, self.slow = state["accepted"], state["slow"]
        self._reason = state["reason"]
