"""The memory of this process: what it holds, what it may hold, and the most that it held."""

import contextlib
import math
import sys
from numbers import Real
from pathlib import Path
from typing import Any

from .errors import InputError

SHARE = 0.8
"""Of the memory that is free, for a run without a limit of its own."""
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""(limit, use) of a container, of versions 2 and 1."""


UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "B": 1.0}
"""Units of a number of bytes."""


def held() -> int:
    """Bytes that the process holds now."""
    import psutil  # not needed to list the catalogue

    return psutil.Process().memory_info().rss


def peak() -> int:
    """The most bytes that the process has held since it was started."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def limit(given: Any) -> float:
    """Bytes that the process may hold: a number of them, or text such as "4 GB"; for None what it holds, and `SHARE` of
    what the machine or its container has free. `InputError` for anything else."""
    if given is None:
        return _default()
    number, unit = given, 1.0
    if isinstance(given, str):
        text = given.strip().upper()
        ending = next((u for u in UNITS if text.endswith(u)), "")
        unit = UNITS.get(ending, 1.0)
        with contextlib.suppress(ValueError):
            number = float(text.removesuffix(ending))
    count = float(number) if isinstance(number, Real) and not isinstance(number, bool) else math.nan
    if not 0 < count < math.inf:
        raise InputError(f"memory_limit: {given!r} given; a number of bytes > 0, such as 4e9 or '4 GB', is needed")
    return count * unit


def _default() -> float:
    import psutil

    free = float(psutil.virtual_memory().available)
    for limit, use in _CGROUPS:
        try:
            free = min(free, max(int(Path(limit).read_text()) - int(Path(use).read_text()), 0))
        except (OSError, ValueError):  # no such container, or "max"
            continue
    return held() + SHARE * free


def said(count: float) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
