"""Checks of arrays that several files of this folder share."""

from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import InputError


def array(argument: str, value: ArrayLike, shape: Sequence[int | str | None]) -> np.ndarray:
    """``value`` as a finite float64 array of ``shape``, where a name or None stands for any length.

    Raises:
        InputError: no array of numbers, another shape, empty, or not finite.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        result = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{argument}: an array of numbers is needed, {type(value).__name__} given") from None
    fits = result.ndim == len(shape) and all(
        not isinstance(n, int) or n == m for n, m in zip(shape, result.shape, strict=False)
    )
    if not fits or result.size == 0:
        raise InputError(f"{argument}: has shape {result.shape}; ({', '.join(map(str, shape))}) is needed")
    bad = int((~np.isfinite(result)).sum())
    if bad:
        raise InputError(f"{argument}: {bad} of {result.size} values are not finite (NaN or infinite)")
    return result


def positive_number(argument: str, value: object, unit: str = "") -> float:
    """``value`` as a float > 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or value <= 0 or not value < np.inf:
        raise InputError(f"{argument}: {value!r} given; a number{f' of {unit}' if unit else ''} > 0 is needed")
    return float(value)


def count(argument: str, value: object, least: int) -> int:
    """``value`` as a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{argument}: {value!r} given; a whole number >= {least} is needed")
    return int(value)
