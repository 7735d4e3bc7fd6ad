"""The start of the first layer: directions, partition points and slope scales, given or chosen from wavenumbers."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError, choose
from ._arguments import positive
from .domain import Box, box_of
from .layer import sobol, spread

FIRST_ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sin": torch.sin,
    "gaussian": lambda z: torch.exp(-0.5 * z * z),
}

OVERSAMPLING = 1.25
"""Sine features cover wavenumbers up to this multiple of the largest one asked for (method: 1.2 to 2)."""


@dataclass(frozen=True)
class Start:
    """Start values of a reparameterised layer; see `ReparameterizedLinear`."""

    direction: torch.Tensor
    anchor: torch.Tensor
    slope: torch.Tensor
    box: Box
    feature_scale: float
    note: str


def start(dim, width, activation, box: Box, *, slope_scale="auto", wavenumber=None, stretch=None) -> Start:
    """Choose the start of a first layer of ``width`` neurons on ``dim`` inputs; arguments as in `RepNet`."""
    stretch = None if stretch is None else positive(stretch, dim, "stretch")
    direction, anchor = spread(width, dim)
    if isinstance(slope_scale, str):
        choose("slope_scale", slope_scale, ("auto",))
        numbers = normalized_wavenumbers(wavenumber, box)
        if activation == "sin":
            direction, anchor, slope = _cover_wavenumbers(width, OVERSAMPLING * numbers)
            note = f"sine slopes spread evenly over wavenumbers up to {OVERSAMPLING:g} times the largest expected"
            return Start(direction, anchor, slope, box, 1.0, note)
        scale, stretch_auto, note = suggest_slopes(dim, width, activation, numbers)
        slope = torch.full((width,), scale, dtype=torch.float64)
        stretch = stretch_auto if stretch is None else stretch
    else:
        if wavenumber is not None:
            raise InputError('wavenumber: only used with slope_scale="auto", but a slope_scale was given too')
        slope = _slopes(slope_scale, width)
        note = "slope scale as given"
    if stretch is not None:
        direction = direction * torch.as_tensor(stretch, dtype=torch.float64)
    feature_scale = 1.0
    if activation == "relu":
        # E[relu(s a·(x − p))²] = s²|a|²/3 for x and p uniform in the box (see magnitudes.py).
        feature_scale = math.sqrt(3 / float(((slope[:, None] * direction) ** 2).sum(1).mean()))
    return Start(direction, anchor, slope, box, feature_scale, note)


def normalized_wavenumbers(wavenumber, box: Box) -> np.ndarray:
    """Wavenumbers (d,) in normalised coordinates; None means one wave across the domain."""
    if wavenumber is None:
        return np.full(box.dim, math.pi)
    return positive(wavenumber, box.dim, "wavenumber") * box.half_width


def suggest_slopes(dim, width, activation, wavenumbers):
    k = float(np.max(wavenumbers))
    s = min(1.5 * k, 0.75 * width)
    return s, wavenumbers / k, f"{s}"


def _cover_wavenumbers(width, largest):
    """Sine features whose wave vectors fill the box |k_i| <= largest_i evenly, with even phases."""
    dim = len(largest)
    sequence = sobol(width, dim + 1)
    vector = (2 * sequence[:, :dim] - 1) * torch.as_tensor(largest)
    slope = vector.norm(dim=1).clamp_min(1e-12 * float(np.max(largest)))
    direction = vector / slope[:, None]
    phase = math.pi * (2 * sequence[:, dim] - 1)
    return direction, (phase / slope)[:, None] * direction, slope


def _slopes(slope_scale, width) -> torch.Tensor:
    """Start slopes (width,) float64 from a number, a (low, high) tuple or one value per neuron."""
    allowed = '"auto", a number > 0, a tuple (low, high) with 0 < low <= high, or one value per neuron'
    if isinstance(slope_scale, tuple):
        if len(slope_scale) != 2:
            raise InputError(f"slope_scale: the tuple {slope_scale!r} given; allowed: {allowed}")
        low, high = positive(slope_scale, 2, "slope_scale", allowed)
        if low > high:
            raise InputError(f"slope_scale: {slope_scale!r} given; allowed: {allowed}")
        order = torch.randperm(width)  # neighbours get slopes of all scales
        return torch.exp(torch.linspace(math.log(low), math.log(high), width, dtype=torch.float64))[order]
    if isinstance(slope_scale, torch.Tensor):
        slope_scale = slope_scale.detach().cpu().numpy()
    return torch.as_tensor(positive(slope_scale, width, "slope_scale", allowed))


__all__ = ["FIRST_ACTIVATIONS", "Start", "box_of", "normalized_wavenumbers", "start", "suggest_slopes"]
