"""Least squares for the unknown numbers alone: coordinates in which they are looked for, and damped steps."""

from collections.abc import Callable

import numpy as np
import torch

from ...inverse.unknowns import Scales
from ...linalg.reduced import DEPENDENT

POLISHING = 40
"""Most Gauss-Newton steps for the unknowns alone, from a start."""
DAMPING, CONVERGED = 1e-3, 1e-9
"""Of those steps: the first damping, relative to the columns; relative decrease of the squares that is the last."""


class Coordinates:
    """Coordinates z of the unknowns in which they are looked for, 0 at a start.

    They are the internal ones of `Scales`, in units of the start, or ``turned``: the logarithm of the factor on an
    unknown without bounds, whose sign is then kept, and the relative change of the distance from a bound. An unknown
    that is small beside the true one has next to no derivative on one of the two scales.
    """

    def __init__(self, scales: Scales, start: torch.Tensor, turned: bool):
        self.start = start.numpy().astype(float)
        finite = np.isfinite(np.array(scales.bounds, dtype=float)).sum(1)
        self.unit = np.where((finite > 0) | (self.start == 0), 1.0, np.abs(self.start))
        self.factor = turned & (finite == 0) & (self.start != 0)
        self.distance = turned & (finite == 1)

    def eta(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            plain = self.start + self.unit * z
            return np.where(
                self.factor,
                self.start * np.exp(np.minimum(z, 700.0)),
                np.where(self.distance, self.start + np.log1p(np.maximum(z, -1 + 1e-15)), plain),
            )

    def slope(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            steep = np.where(self.factor, self.eta(z), self.unit)
            return np.where(self.distance, 1 / (1 + np.maximum(z, -1 + 1e-15)), steep)

    def least_squares(
        self, residual: Callable[[np.ndarray], np.ndarray], jacobian: Callable[[np.ndarray], np.ndarray], most: int
    ) -> torch.Tensor:
        """The internal unknowns at a minimum of the sum of squares, by Levenberg-Marquardt steps.

        Combinations that the residuals hardly depend on stay as they are (`reduced.DEPENDENT`), where others would
        let them drift.

        Args:
            residual, jacobian: functions of the internal unknowns (q,), to (n,) and (n, q). most: evaluations.
        """
        z, damping = np.zeros(len(self.start)), DAMPING
        left = residual(self.eta(z))
        cost = np.square(left).sum()
        while most > 0 and cost > 0:
            matrix = jacobian(self.eta(z)) * self.slope(z)
            lengths = np.linalg.norm(matrix, axis=0)
            lengths = np.where(lengths > 0, lengths, np.inf)
            u, s, v = np.linalg.svd(matrix / lengths, full_matrices=False)
            u, s, v = u[:, s > DEPENDENT], s[s > DEPENDENT], v[s > DEPENDENT]
            gained = 0.0
            while most > 0 and damping < 1e10:
                step = -(v.T @ (s / (s**2 + damping) * (u.T @ left))) / lengths
                step = self._inside(z, step)
                new, most = residual(self.eta(z + step)), most - 1
                with np.errstate(over="ignore"):
                    changed, predicted = np.square(new).sum(), np.square(left + matrix @ step).sum()
                if changed < cost and cost - changed > 1e-4 * (cost - predicted):
                    good = cost - changed > 0.75 * (cost - predicted)
                    damping = damping / 10 if good else damping
                    gained, z, left, cost = cost - changed, z + step, new, changed
                    break
                damping = max(10 * damping, DAMPING)
            if not gained > CONVERGED * cost:
                break
        return torch.as_tensor(self.eta(z))

    def _inside(self, z: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The step, made shorter where it would cross a bound, and so that no logarithm changes by more than 5."""
        share = 1.0
        for at, length, distance, factor in zip(z, step, self.distance, self.factor, strict=True):
            if distance and at + length <= -1:
                share = min(share, 0.9 * (1 + at) / -length)
            if factor and abs(length) > 5:
                share = min(share, 5 / abs(length))
        return share * step
