"""How many basis functions the waves of a problem need."""

import math
from collections.abc import Sequence

import numpy as np

from ..problem.problem import Problem
from .wavenumbers import rank_of_bands

MARGIN = 1.3
"""Basis functions over the numerical rank that is expected."""
MOST = 6000
"""Most basis functions of one network."""


def for_wavenumbers(problem: Problem, wavenumber: Sequence[float] | np.ndarray, more: float = 1.0) -> float:
    """Sines for wavenumbers (d,) up to 1.25 times these, times ``more``."""
    bands = [[(0, 1.25 * max(k, np.pi / h))] for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
    return more * for_bands(problem, bands)


def for_bands(problem: Problem, bands: Sequence[Sequence[tuple[float, float]]]) -> float:
    """Sines for wavenumbers in bands (low, high) of each axis."""
    return MARGIN * math.prod(rank_of_bands(b, h) for b, h in zip(bands, problem.box.half_width, strict=True))
