"""The memory of this process: what it holds, what it may hold, and the most that it held."""

import sys
from pathlib import Path

import psutil

SHARE = 0.8
"""Of the memory that is free, for a run without a limit of its own."""
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""(limit, use) of a container, of versions 2 and 1."""


def held() -> int:
    """Bytes that the process holds now."""
    return psutil.Process().memory_info().rss


def peak() -> int:
    """The most bytes that the process has held since it was started."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def default() -> float:
    """Bytes that the process may hold: what it holds, and `SHARE` of what the machine or its container has free."""
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
