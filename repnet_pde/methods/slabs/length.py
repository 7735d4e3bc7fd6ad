"""Step control of a march: the length of the next slab, the length scales of its basis functions and their number."""

import math

import numpy as np
import torch

from ...domain import Box
from .length_scales import count_scales
from .solver import Attempt

FIRST = 1 / 20
"""Length of the first slab, of the whole time."""
GROWTH = 1.4
"""Of the slabs, where the residual is small."""
REST = 0.3
"""Part of a slab's length below which the time that is left beyond it is taken into it."""
SPACE_FACTOR = 18.0
"""Largest wavenumber in space over half the number of length scales across the axis ..."""
MOST_FACTOR = 36.0
"""... and above which slabs are shortened only."""
MOST_RENEWALS = 3
"""Attempts at a slab after which its map is not renewed again."""
HOPELESS = 1e-2
"""Residual above which an attempt tells no length scales."""
WILD = 2.5
"""Times as many length scales as before that tell that what was found is no solution."""


class StepControl:
    """What the next attempt at a slab is made with, from the attempts before."""

    def __init__(self) -> None:
        self.length: float | None = None
        self.factor = SPACE_FACTOR
        self.scales: list[np.ndarray] | None = None
        """Length scales, for each space axis as `length_scales` gives them; None before there are any."""
        self.failures = 0
        """Attempts at this slab that have failed."""
        self.left = math.inf
        """Residual of the last attempt that failed."""

    def end(self, begin: float, box: Box) -> float:
        """The end of the slab from ``begin``, where time ends with the ``box``."""
        final = float(box.upper[-1])
        if self.length is None:
            self.length = FIRST * (final - float(box.lower[-1]))
        end = begin + self.length
        return final if final - end < REST * self.length else end

    def accept(self, attempt: Attempt, length: float, tolerance: float) -> None:
        """After a success with a slab of this length."""
        self.scales = attempt.scales
        grow = GROWTH if attempt.residual < tolerance / 30 else 1.0
        self.length, self.failures = grow * length, 0

    def adapt(self, attempt: Attempt | None, length: float) -> float:
        """After a failure: a new map where the solution has got finer, else shorter slabs and more basis functions in
        turn; gives the length of the next slab."""
        self.length, self.left = length, math.inf if attempt is None else attempt.residual
        if attempt is None or attempt.residual > HOPELESS or self._wild(attempt.scales):
            if attempt is not None and self.scales is None:
                self.scales = attempt.scales
            else:
                self.length = length / 2
        elif self.failures < MOST_RENEWALS and self._finer(attempt.scales):
            self.scales = attempt.scales
        elif self.failures % 2 or self.factor > MOST_FACTOR:
            self.length = length / 2
        else:
            self.factor *= 1.25
        self.failures += 1
        return self.length

    def _wild(self, scales: list[np.ndarray]) -> bool:
        """Whether the solution of a failed attempt varies so much faster that it is none."""
        if self.scales is None:
            return False
        return any(count_scales(new) > WILD * count_scales(old) for new, old in zip(scales, self.scales, strict=True))

    def _finer(self, scales: list[np.ndarray]) -> bool:
        """Whether the solution of a failed attempt has got finer than the map."""
        if self.scales is None:
            return any(count_scales(scale) > 1.1 * 1.0 for scale in scales)
        return any(
            count_scales(new) > 1.05 * count_scales(old) or new.min() < 0.8 * old.min()
            for new, old in zip(scales, self.scales, strict=True)
        )

    def state_dict(self) -> dict:
        """Plain types and tensors; ``left`` counts between two steps only."""
        return {
            "length": self.length,
            "factor": self.factor,
            "scales": None if self.scales is None else [torch.from_numpy(s) for s in self.scales],
            "failures": self.failures,
        }

    def load_state_dict(self, state: dict) -> None:
        self.length, self.factor, self.failures = state["length"], state["factor"], state["failures"]
        self.scales = None if state["scales"] is None else [s.numpy() for s in state["scales"]]
