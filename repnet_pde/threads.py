"""How many threads a computation uses: one, unless it is large.

Threads that work on small arrays wait for each other more than they compute, and where another process has a core, for
as long as it keeps it: a run on two threads beside another process can take ten times as long as on one. Within `few`
one thread is used, and as many as the caller allows (``torch.set_num_threads``, OMP_NUM_THREADS) for what is `large`.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

LARGE = 5_000_000
"""Number of entries of an array from which it is worth more than one thread: some milliseconds of work."""

_ALLOWED: ContextVar[int] = ContextVar("threads", default=0)
"""The caller's number of threads within `few`; 0 outside."""


@contextlib.contextmanager
def few() -> Iterator[None]:
    """One thread for PyTorch and for the linear algebra of NumPy and SciPy; the caller's numbers afterwards."""
    if _ALLOWED.get():
        yield
        return
    import torch  # the references need these limits, and no PyTorch

    allowed = torch.get_num_threads()
    token = _ALLOWED.set(allowed)
    torch.set_num_threads(1)
    try:
        with _blas(1) if allowed > 1 else contextlib.nullcontext():
            yield
    finally:
        torch.set_num_threads(allowed)
        _ALLOWED.reset(token)


@contextlib.contextmanager
def large(entries: int) -> Iterator[None]:
    """All threads that the caller allows for what works on arrays of so many entries, if they are `LARGE`."""
    import torch

    allowed = _ALLOWED.get()
    if allowed < 2 or entries < LARGE or torch.get_num_threads() > 1:
        yield
        return
    torch.set_num_threads(allowed)
    try:
        with _blas(allowed):
            yield
    finally:
        torch.set_num_threads(1)


def _blas(count: int) -> Any:
    """A context with so many threads for the BLAS of NumPy and SciPy."""
    from threadpoolctl import ThreadpoolController

    global _controller
    if _controller is None:
        _controller = ThreadpoolController()  # looks through all loaded libraries
    return _controller.limit(limits=count, user_api="blas")


_controller: Any = None
