"""Parameters of a problem's function: values that can be stored and read back, and their text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InputError

LONG = 6
"""Most entries of a list that are shown."""


def checked(name: str, value: Any, default: Any = None) -> Any:
    """A value given for a parameter, in the type of its default, so that a stored one is the same when it is read back.

    A number where the default is one, text where it is text, True or False where it is, a tuple or array where it is;
    any of these and None otherwise, with lists for sequences.

    Raises:
        InputError: names the parameter, what was given and what is needed.
    """
    from ..arguments import cut, number  # which imports torch

    argument = f"parameter {name!r}"
    if storable(value) and storable(default) and native(value) == native(default):
        return default
    if isinstance(default, (bool, np.bool_)):
        if not isinstance(value, (bool, np.bool_)) and value not in (0, 1):
            raise InputError(f"{argument}: {cut(repr(value))} given; True or False is needed")
        return bool(value)
    if isinstance(default, (int, float, np.number)):
        found = number(argument, value)
        return int(value) if isinstance(value, (int, np.integer)) else found
    if isinstance(default, str):
        if not isinstance(value, str):
            raise InputError(f"{argument}: {cut(repr(value))} given; text is needed")
        return value
    if isinstance(default, (list, tuple, np.ndarray)) and not isinstance(value, (list, tuple, np.ndarray)):
        raise InputError(f"{argument}: {cut(repr(value))} given; a sequence is needed")
    if not storable(value):
        raise InputError(
            f"{argument}: {cut(repr(value))} given; a finite number, text, True, False, None or a sequence of these is "
            "needed"
        )
    if isinstance(default, np.ndarray):
        return np.asarray(value, dtype=default.dtype)
    return tuple(native(value)) if isinstance(default, tuple) else native(value)


def storable(value: Any) -> bool:
    """Whether JSON can store a value, NumPy's numbers and arrays included."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return all(map(storable, value))
    return value is None or isinstance(value, (bool, str)) or (isinstance(value, (int, float)) and abs(value) < np.inf)


def stored(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in JSON types, without those that it cannot store: these are defaults of the function."""
    return {name: native(value) for name, value in parameters.items() if storable(value)}


def native(value: Any, tuples: bool = False) -> Any:
    """``value`` with NumPy's numbers and arrays as Python's numbers and lists, at any depth; tuples become lists, too,
    unless ``tuples``."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: native(v, tuples) for key, v in value.items()}
    if isinstance(value, tuple) and tuples:
        return tuple(native(v, tuples) for v in value)
    return [native(v, tuples) for v in value] if isinstance(value, (list, tuple)) else value


def text(parameters: Mapping[str, Any], separator: str = ", ") -> str:
    """The parameters for a table, such as "k=2, material=steel"."""
    return separator.join(f"{name}={_shown(value)}" for name, value in parameters.items())


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        entries = value.ravel().tolist() if isinstance(value, np.ndarray) else value
        return f"({', '.join(map(_shown, entries[:LONG]))}{', …' if len(entries) > LONG else ''})"
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return f"{value:g}"
    return str(value)
