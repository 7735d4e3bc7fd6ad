"""Number of basis functions needed to represent given wavenumbers."""

import math
from collections.abc import Sequence

import numpy as np

from ..problem.problem import Problem
from .wavenumbers import rank_of_bands

MARGIN = 1.3
"""Ratio of the number of basis functions to the expected numerical rank."""
MOST = 6000
"""Most basis functions of one network."""


def for_wavenumbers(problem: Problem, wavenumber: Sequence[float] | np.ndarray, more: float = 1.0) -> float:
    """Number of sines for wavenumbers (d,) up to 1.25 times these, times ``more``."""
    bands = [[(0, 1.25 * max(k, np.pi / h))] for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
    return more * for_bands(problem, bands)


def for_bands(problem: Problem, bands: Sequence[Sequence[tuple[float, float]]]) -> float:
    """Number of sines for wavenumbers in bands (low, high) of each axis."""
    return MARGIN * math.prod(rank_of_bands(b, h) for b, h in zip(bands, problem.box.half_width, strict=True))
