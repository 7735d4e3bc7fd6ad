"""Checks of arguments that several files of this folder share."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..errors import InputError


def check_sizes(layer_sizes: Iterable[int]) -> tuple[int, ...]:
    """``layer_sizes`` as whole numbers: inputs, at least one hidden layer, outputs."""
    try:
        sizes = tuple(int(n) for n in layer_sizes)
        good = len(sizes) >= 3 and all(n >= 1 and n == m for n, m in zip(sizes, layer_sizes, strict=True))
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise InputError(
            f"layer_sizes: {layer_sizes!r} given; [inputs, hidden, ..., outputs] with at least one hidden layer "
            "and whole numbers >= 1 is needed"
        )
    return sizes


def positive(value: ArrayLike, n: int, argument: str, allowed: str | None = None) -> np.ndarray:
    """``value`` as (n,) positive finite float64; a single number is repeated."""
    allowed = allowed or ("a number > 0" if n == 1 else f"a number > 0 or {n} of them")
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(math.nan)
    if array.ndim == 0:
        array = np.repeat(array, n)
    if array.shape != (n,) or not np.isfinite(array).all() or (array <= 0).any():
        raise InputError(f"{argument}: {value!r} given; allowed: {allowed}")
    return array


def activation_of(identifier: Any) -> Callable[..., torch.Tensor]:
    """An activation of DeepXDE's by its name, or the function itself."""
    try:
        return dde.nn.activations.get(identifier)
    except (KeyError, TypeError, IndexError, ValueError):
        raise InputError(
            f"activation: {identifier!r} is not known; DeepXDE has elu, gelu, relu, selu, sigmoid, silu, sin, swish, "
            "tanh, 'LAAF-n name', or give a function"
        ) from None
