"""The reparameterised layer, RepNet, magnitude estimates and slope scales."""

from .repnet import RepNet, register

__all__ = ["RepNet", "register"]
