"""The reparameterised layer, RepNet, magnitude estimates, slope scales and wavenumber estimates."""

from .magnitudes import magnitudes
from .repnet import RepNet, register
from .wavenumber import estimate_wavenumber, estimate_wavenumber_from_samples

__all__ = ["RepNet", "estimate_wavenumber", "estimate_wavenumber_from_samples", "magnitudes", "register"]
