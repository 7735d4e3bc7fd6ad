"""Unknowns with the observations linearised there, and the Gauss-Newton step that follows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import lsq_linear

from ...inverse.unknowns import Scales
from .observation_noise import ObservationNoise

INSIDE = 0.9
"""Part of the way to a bound that one step may go."""


@dataclass
class Iterate:
    """Values of the unknowns, and what their forward solution predicts.

    residuals: of the observations, each (n,). slopes: their derivatives (n, q) for the unknowns, stacked. rough:
    whether the forward solution is. solution: the same, as `ForwardSolution.taken` gives it.
    """

    values: list[float]
    residuals: list[torch.Tensor]
    slopes: torch.Tensor
    rough: bool
    solution: dict

    def step(
        self, rows: torch.Tensor, right: torch.Tensor, damping: float, bounds: Sequence[tuple[float, float]]
    ) -> torch.Tensor:
        """δ (q,) of min ‖rows δ + right‖² + damping ‖D δ‖², D the lengths of the columns, within the bounds.

        Args:
            rows: (n, q). right: (n,). bounds: (lower, upper) of each unknown.
        """
        values = np.array(self.values)
        lengths = rows.square().sum(0).sqrt().clamp_min(1e-300).numpy()
        matrix = np.concatenate([rows.numpy() / lengths, math.sqrt(damping) * np.eye(len(lengths))])
        target = -np.concatenate([right.numpy(), np.zeros(len(lengths))])
        ends = (np.array(end) for end in zip(*bounds, strict=True))
        low, high = (INSIDE * (end - values) * lengths for end in ends)
        return torch.as_tensor(lsq_linear(matrix, target, (low, high)).x / lengths)

    def is_minimum(
        self, rows: torch.Tensor, right: torch.Tensor, near: float, bounds: Sequence[tuple[float, float]]
    ) -> bool:
        """Whether the full step is within ``near`` standard errors; ``rows`` and ``right`` as for `step`."""
        gain = right.norm() ** 2 - (right + rows @ self.step(rows, right, 0.0, bounds)).norm() ** 2
        return bool(gain <= near**2 * right.norm() ** 2 / max(len(right) - rows.shape[1], 1))

    def moved(self, step: torch.Tensor) -> list[float]:
        """The values after a step (q,)."""
        return [v + s for v, s in zip(self.values, step.tolist(), strict=True)]

    def predicted(self, step: torch.Tensor) -> list[torch.Tensor]:
        """The residuals after a step (q,), each (n,), where they are linear in it."""
        moved = (self.slopes @ step).split([len(r) for r in self.residuals])
        return [r + m for r, m in zip(self.residuals, moved, strict=True)]

    def near(self, values: list[float], tolerance: float) -> bool:
        """Whether other values differ by no more than the relative ``tolerance``."""
        return all(abs(a - b) <= tolerance * abs(b) for a, b in zip(values, self.values, strict=True))

    def doubtful(self, noise: ObservationNoise, scales: Scales, limit: float) -> bool:
        """Whether a standard error, relative to its unknown, is below ``limit``; ``scales`` are at the values."""
        slopes = scales.slopes(scales.get())
        posterior = noise.posterior(self.residuals, self.slopes * slopes)
        errors = np.sqrt(np.diag(posterior.covariance(torch.ones(len(scales.names)))[0]))
        trios = zip(errors, slopes.abs().tolist(), scales.values(), strict=True)
        return any(e * s < limit * abs(v) for e, s, v in trios)
