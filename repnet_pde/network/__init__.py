"""The reparameterised layer, RepNet, RepDeepONet, magnitude estimates, slope scales and wavenumber estimates."""

from .._backend import dde
from .deeponet import RepDeepONet, RepDeepONetCartesianProd
from .magnitudes import magnitudes
from .repnet import RepNet
from .wavenumber import estimate_wavenumber, estimate_wavenumber_from_samples

__all__ = [
    "RepDeepONet",
    "RepDeepONetCartesianProd",
    "RepNet",
    "estimate_wavenumber",
    "estimate_wavenumber_from_samples",
    "magnitudes",
    "register",
]


def register() -> None:
    """Make RepNet and the two RepDeepONets available on ``dde.nn``. Calling it again changes nothing."""
    for network in (RepNet, RepDeepONet, RepDeepONetCartesianProd):
        setattr(dde.nn, network.__name__, network)
