"""Checks of arguments that are used everywhere; each raises an `InputError` that names the argument."""

import inspect
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .errors import InputError


def whole(argument: str, value: object, least: int) -> None:
    """Raise unless ``value`` is None or a whole number of at least ``least``."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < least):
        raise InputError(f"{argument}: {value!r} given; a whole number >= {least} or None is needed")


def fraction(argument: str, value: object) -> None:
    """Raise unless ``value`` is a number between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise InputError(f"{argument}: {value!r} given; a number between 0 and 1 is needed")


def number(argument: str, value: object) -> float:
    """``value`` as a float; raise unless it is a finite number."""
    try:
        if not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number beyond the range of floats
        pass
    raise InputError(f"{argument}: {cut(repr(value))} given; a finite number is needed")


def seed_number(seed: Any) -> None:
    """Raise unless ``seed`` suits NumPy's and torch's generators, also one above it."""
    whole("seed", seed, 0)
    if seed is None or seed > 2**32 - 2:
        raise InputError(f"seed: {seed!r} given; a whole number from 0 to 2**32 - 2 is needed")


def seconds(argument: str, value: Any) -> float | None:
    """``value``; raise unless it is None or a positive number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or value <= 0 or value != value:
        raise InputError(f"{argument}: {value!r} given; a number of seconds > 0 is needed")
    return float(value)


def function(argument: str, value: object, arguments: str) -> None:
    """Raise unless ``value`` is None or can be called with as many positional arguments as named."""
    if value is None:
        return
    if not callable(value):
        raise InputError(f"{argument}: {value!r} given; a function {argument}({arguments}) is needed")
    try:
        inspect.signature(value).bind(*(name for name in arguments.split(", ") if name))
    except TypeError:
        raise InputError(f"{argument}: must be callable as {argument}({arguments})") from None
    except ValueError:  # a builtin without a signature
        pass


def names(argument: str, value: Any) -> tuple[str, ...]:
    """``value`` as a tuple; raise unless it is a sequence of different, non-empty strings."""
    names = () if isinstance(value, str) or not hasattr(value, "__iter__") else tuple(value)
    if isinstance(value, str) or not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
        raise InputError(f"{argument}: {value!r} given; different, non-empty names in a tuple or list are needed")
    return names


def mapping(argument: str, value: object, *, optional: bool = True) -> dict[str, Any]:
    """``value`` as a dict; raise unless it is a mapping with names as keys. If ``optional``, None is an empty one."""
    value = {} if value is None and optional else value
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        raise InputError(f"{argument}: {value!r} given; a mapping with names as keys is needed")
    return dict(value)


def wavenumber(value: ArrayLike | None, dim: int) -> tuple[float, ...] | None:
    """``value`` for each of ``dim`` axes, or None; raise unless it is numbers > 0."""
    if value is None:
        return None
    try:
        array = np.broadcast_to(np.asarray(value, dtype=np.float64), (dim,))
        good = bool(np.isfinite(array).all() and (array > 0).all())
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InputError(f"wavenumber: {value!r} given; a number > 0 or {dim} of them, one per axis, is needed")
    return tuple(float(k) for k in array)


def finite(field: str, value: torch.Tensor | np.ndarray) -> None:
    """Raise unless all entries of a tensor or array are finite; ``field`` names its source."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise InputError(f"{field}: {bad} of {array.size} values are not finite at {len(array)} points of the domain")


def shape(value: object) -> str:
    """The shape of a tensor or array, or the type of something else, for a message."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return ("" if isinstance(value, torch.Tensor) else "a NumPy array ") + str(tuple(value.shape))
    return f"a {type(value).__name__}"


def said(error: Exception) -> str:
    """An exception in one line, for a message."""
    return f"{type(error).__name__}: {cut(' '.join(str(error).split()))}"


def cut(text: str) -> str:
    """The text, shortened to about 300 characters."""
    return text if len(text) <= 300 else text[:300] + "..."
