"""DeepXDE's fully connected network, an ordinary one, against which RepNet is measured."""

from ..backend import dde
from ..errors import InputError
from .network import Network


def _build(sizes, domain, expected, *, activation: str = "tanh"):
    try:
        return dde.nn.FNN(list(sizes), activation, "Glorot normal")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"activation: {activation!r} given; one of DeepXDE's, such as tanh, is needed") from error


FNN = Network("fnn", "DeepXDE's ordinary network", _build)
