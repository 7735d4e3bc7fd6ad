"""DeepXDE's ordinary fully connected network, for comparison with RepNet."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..errors import InputError
from .network import Network


def _build(
    sizes: Sequence[int], domain: Any, expected: ArrayLike | None, *, activation: str = "tanh"
) -> torch.nn.Module:
    try:
        return dde.nn.FNN(list(sizes), activation, "Glorot normal")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"activation: {activation!r} given; one of DeepXDE's, such as tanh, is needed") from error


FNN = Network("fnn", "DeepXDE's ordinary network", _build)
