"""DeepXDE on PyTorch, imported in one place and with its printed output suppressed.

DeepXDE chooses its backend when it is first imported and prints a message about it and about every
change of precision; that would corrupt the output of the command line, which may be parsed.
"""

import contextlib
import io
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

if "deepxde" not in sys.modules:
    os.environ.setdefault("DDE_BACKEND", "pytorch")
with contextlib.redirect_stderr(io.StringIO()) as _said:
    try:
        import deepxde as dde
    except Exception as _error:
        raise ImportError(f"DeepXDE cannot be imported: {_error}. It said: {_said.getvalue().strip()}") from _error
if dde.backend.backend_name != "pytorch":
    raise ImportError(
        f"repnet_pde needs DeepXDE's backend 'pytorch', but {dde.backend.backend_name!r} is in use: "
        "set DDE_BACKEND=pytorch in the environment"
    )

import numpy as np
import torch

from .errors import choose

PRECISIONS = ("float32", "float64")


def set_precision(dtype: str) -> None:
    """Make ``dtype`` ("float32" or "float64") DeepXDE's default float, without its message."""
    choose("dtype", dtype, PRECISIONS)
    if dde.config.default_float() != dtype or torch.get_default_dtype() != getattr(torch, dtype):
        with contextlib.redirect_stdout(io.StringIO()):
            dde.config.set_default_float(dtype)


@contextlib.contextmanager
def precision(dtype: str | None = None) -> Iterator[None]:
    """With ``dtype``, unless None, as DeepXDE's and PyTorch's default float; the caller's own are put back."""
    before, of_torch = dde.config.default_float(), torch.get_default_dtype()
    try:
        if dtype is not None:
            set_precision(dtype)
        yield
    finally:
        if before != dde.config.default_float():
            set_precision(before)
        torch.set_default_dtype(of_torch)


class on_cpu(contextlib.ContextDecorator):
    """With the CPU as PyTorch's default device; also a decorator, ``@on_cpu()``.

    DeepXDE makes a GPU the default device if there is one, also Apple's, which has no float64. Everything that this
    package computes, and DeepXDE and the functions of a problem for it, uses the CPU. The caller's default stays.
    """

    def __enter__(self) -> None:
        self._device = None if torch.get_default_device().type == "cpu" else torch.device("cpu")
        if self._device is not None:  # else no overhead for each operation
            self._device.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._device is not None:
            self._device.__exit__(*error)

    def _recreate_cm(self) -> "on_cpu":
        return on_cpu()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what DeepXDE prints to standard output, such as its point-count warnings."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def random_state() -> dict:
    """The states of the three global generators that DeepXDE draws from, as plain types and tensors."""
    state = np.random.get_state()
    assert isinstance(state, tuple)
    kind, keys, position, has_gauss, cached = state
    version, internal, gauss = random.getstate()
    return {
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "python": [version, list(internal), gauss],
        "torch": torch.get_rng_state(),
    }


def set_random_state(state: dict) -> None:
    """Put back what `random_state` returned."""
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"])


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with all generators seeded by ``seed``, and leave the caller's generators as they were."""
    before = random_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_random_state(before)
