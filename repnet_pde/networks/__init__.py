"""The reparameterised layer, RepNet, RepDeepONet, magnitude estimates and slope scales."""

from ..backend import dde
from .deeponet import RepDeepONet, RepDeepONetCartesianProd
from .magnitudes import magnitudes
from .repnet import RepNet

__all__ = [
    "RepDeepONet",
    "RepDeepONetCartesianProd",
    "RepNet",
    "magnitudes",
    "register",
]


def register() -> None:
    """Make RepNet and the two RepDeepONets available on ``dde.nn``. Calling it again changes nothing."""
    for network in (RepNet, RepDeepONet, RepDeepONetCartesianProd):
        setattr(dde.nn, network.__name__, network)
