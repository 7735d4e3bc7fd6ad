"""Initialisation of the first layer: directions, partition points and slope scales, given or from wavenumbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..domain import Box
from ..errors import InputError, choose
from .layer import sobol, spread
from .magnitudes import tanh_means
from .options import positive

Bands = Sequence[Sequence[tuple[float, float]]]
"""For each axis the intervals (low, high) of wavenumbers."""

FIRST_ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sin": torch.sin,
    "gaussian": lambda z: torch.exp(-0.5 * z * z),
}

OVERSAMPLING = 1.25
"""The sines cover wavenumbers up to this multiple of the largest one requested."""

MOST_SLOPE_PER_SPACING = 2.0
"""Largest automatic slope times the spacing of the partition points; Adam works best between 1 and 2."""


@dataclass(frozen=True)
class Start:
    """Start values of a reparameterised layer; see `ReparameterizedLinear`."""

    direction: torch.Tensor
    anchor: torch.Tensor
    slope: torch.Tensor
    box: Box
    feature_scale: float
    note: str


def start(
    dim: int,
    width: int,
    activation: str,
    box: Box,
    *,
    slope_scale: Any = "auto",
    wavenumber: ArrayLike | None = None,
    stretch: ArrayLike | None = None,
    bands: Bands | None = None,
    waves: ArrayLike | None = None,
) -> Start:
    """Choose the start of a first layer of ``width`` neurons on ``dim`` inputs; arguments as in `RepNet`."""
    stretch = None if stretch is None else positive(stretch, dim, "stretch")
    direction, anchor = spread(width, dim)
    if isinstance(slope_scale, str):
        choose("slope_scale", slope_scale, ("auto",))
        if waves is not None:
            if wavenumber is not None or stretch is not None or bands is not None:
                raise InputError("waves: given, and so must not be wavenumber, stretch and bands")
            return _with_waves(width, activation, box, waves)
        if bands is not None:
            return _banded(width, activation, box, wavenumber, stretch, bands)
        numbers = normalized_wavenumbers(wavenumber, box)
        if activation == "sin":
            if stretch is not None:
                raise InputError("stretch: the automatic sines take the wavenumber of each axis instead")
            direction, anchor, slope = _cover_wavenumbers(width, [[(0.0, OVERSAMPLING * k)] for k in numbers])
            note = f"sines spread evenly over wavenumbers up to {_list(OVERSAMPLING * numbers)} (normalised)"
            return Start(direction, anchor, slope, box, 1.0, note)
        scale, stretch, note = suggest_slopes(dim, width, activation, numbers, stretch)
        slope = torch.full((width,), scale, dtype=torch.float64)
    else:
        if wavenumber is not None:
            raise InputError('wavenumber: only used with slope_scale="auto", but a slope_scale was given too')
        if waves is not None:
            raise InputError('waves: only used with slope_scale="auto", but a slope_scale was given too')
        if bands is not None:
            raise InputError('bands: only used with slope_scale="auto", but a slope_scale was given too')
        slope = _slopes(slope_scale, width)
        note = "slope scale as given"
    if stretch is not None:
        direction = direction * torch.as_tensor(stretch, dtype=torch.float64)
    feature_scale = 1.0
    if activation == "relu":
        # E[relu(s a·(x − p))²] = s²|a|²/3 for x and p uniform in the box (see magnitudes.py).
        feature_scale = math.sqrt(3 / float(((slope[:, None] * direction) ** 2).sum(1).mean()))
    return Start(direction, anchor, slope, box, feature_scale, note)


def normalized_wavenumbers(wavenumber: ArrayLike | None, box: Box) -> np.ndarray:
    """Wavenumbers (d,) in normalised coordinates; at least one wave across the domain, which is also used for None."""
    if wavenumber is None:
        return np.full(box.dim, math.pi)
    return np.maximum(positive(wavenumber, box.dim, "wavenumber") * box.half_width, math.pi)


def suggest_slopes(
    dim: int, width: int, activation: str, wavenumbers: ArrayLike, stretch: ArrayLike | None = None
) -> tuple[float, np.ndarray, str]:
    """Slope scale, stretch (d,) and a line that describes the choice, for the largest wavenumbers in x̂, (d,).

    - *Stretch.* The directions are stretched in proportion to the wavenumbers, unless ``stretch`` is given.
    - *Slope scale.* The Fourier transform of a tanh neuron of slope s decays like exp(−πω/2s): with s = κ̂, the largest
      wavenumber, it is a fifth there. The mean-square gradient of the neurons over their mean square
      (`magnitudes`) is then about 2κ̂/3 in every dimension, so that no dimension needs its own factor; the note
      contains the predicted root mean squares. A Gaussian neuron decays like exp(−ω²/2s²) and takes s = κ̂/3.
      ReLU neurons are rescaled to O(1), so only the stretch matters.
    - *Cap.* Slopes steeper than ``MOST_SLOPE_PER_SPACING`` over the spacing 2/width^(1/n) of the partition
      hyperplanes leave gaps between the neurons; n = Σ stretch_i / max stretch is the effective number of axes.
    """
    wavenumbers = np.asarray(wavenumbers, dtype=np.float64)
    largest = float(wavenumbers.max())
    stretch = wavenumbers / largest if stretch is None else np.asarray(stretch, dtype=np.float64)
    if activation == "relu":
        note = f"ReLU features rescaled to O(1), which leaves no slope to choose; stretch {_list(stretch)}"
        return largest, stretch, note
    steepest = stretch.max()  # the slope along an axis is the product of the two
    wanted = (largest / 3 if activation == "gaussian" else largest) / steepest
    axes = float(stretch.sum() / steepest)
    cap = MOST_SLOPE_PER_SPACING * width ** (1 / axes) / 2 / steepest
    scale = float(min(wanted, cap))
    note = f"slope scale {scale:.3g} for the wavenumber {largest:.3g} (both in the normalised domain)"
    if dim > 1:
        note += f", stretch {_list(stretch)}"
    if activation == "tanh":
        square, slope_squares = tanh_means((scale, scale), stretch)
        note += f"; predicted rms of slope over feature {_list(np.sqrt(slope_squares / square))}"
    if wanted > cap:
        needed = math.ceil((2 * wanted * steepest / MOST_SLOPE_PER_SPACING) ** axes)
        note += f"; {wanted:.3g} was wanted, but {width} neurons are few: about {needed} in the first layer would do"
    return scale, stretch, note


def _list(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"


def _with_waves(width: int, activation: str, box: Box, waves: ArrayLike) -> Start:
    """The start for ``waves``, which are checked here."""
    if activation != "sin":
        raise InputError(f"waves: for sines, not for {activation}")
    try:
        vector = torch.as_tensor(np.asarray(waves, dtype=np.float64) * box.half_width)
    except (TypeError, ValueError):
        vector = torch.empty(0)
    if vector.shape != (width, box.dim) or not torch.isfinite(vector).all():
        raise InputError(f"waves: a wave vector for each of the {width} neurons, ({width}, {box.dim}), is needed")
    direction, anchor, slope = _of_waves(vector, sobol(width, 1)[:, 0])
    return Start(direction, anchor, slope, box, 1.0, f"{width} sines with the wave vectors given")


def _of_waves(vector: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Directions, anchors and slopes of sines with wave vectors (m, d) in x̂ and phases at ``place`` (m,) in [0, 1]."""
    slope = vector.norm(dim=1)
    slope = slope.clamp_min(1e-12 * slope.max().clamp_min(1e-300))
    direction = vector / slope[:, None]
    phase = math.pi * (2 * place - 1)
    return direction, (phase / slope)[:, None] * direction, slope


def _banded(
    width: int, activation: str, box: Box, wavenumber: ArrayLike | None, stretch: ArrayLike | None, bands: Bands
) -> Start:
    """The start for ``bands``, which are checked here."""
    if activation != "sin" or wavenumber is not None or stretch is not None:
        raise InputError("bands: for sines, and without wavenumber and stretch")
    try:
        normalized = [[(float(a), float(b)) for a, b in axis] for axis in bands]
    except (TypeError, ValueError):
        normalized = []
    good = all(axis and all(0 <= a < b < math.inf for a, b in axis) for axis in normalized)
    if len(normalized) != box.dim or not good:
        raise InputError(
            f"bands: {bands!r} given; for each of the {box.dim} axes a list of intervals (low, high) with "
            "0 <= low < high is needed"
        )
    normalized = [[(a * h, b * h) for a, b in axis] for axis, h in zip(normalized, box.half_width, strict=True)]
    direction, anchor, slope = _cover_wavenumbers(width, normalized)
    covered = " x ".join(" and ".join(f"{a:.3g}..{b:.3g}" for a, b in axis) for axis in normalized)
    note = f"sines spread evenly over the wavenumbers {covered} (normalised)"
    return Start(direction, anchor, slope, box, 1.0, note)


def _cover_wavenumbers(width: int, bands: Bands) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sines whose wave vectors fill the product of ``bands`` (one list of intervals per axis) evenly."""
    dim = len(bands)
    sequence = sobol(width, dim + 1)
    vector = torch.empty(width, dim, dtype=torch.float64)
    for axis, intervals in enumerate(bands):
        signed = [(-b, b) if a == 0 else part for a, b in intervals for part in ((a, b), (-b, -a))[: 1 + (a > 0)]]
        lengths = torch.tensor([b - a for a, b in signed], dtype=torch.float64)
        ends = lengths.cumsum(0)
        place = sequence[:, axis] * ends[-1]
        which = torch.searchsorted(ends, place, right=True).clamp_max(len(signed) - 1)
        low = torch.tensor([a for a, _ in signed], dtype=torch.float64)
        vector[:, axis] = low[which] + place - (ends - lengths)[which]
    return _of_waves(vector, sequence[:, dim])


def _slopes(slope_scale: Any, width: int) -> torch.Tensor:
    """Start slopes (width,) float64 from a number, a (low, high) tuple or one value per neuron."""
    allowed = '"auto", a number > 0, a tuple (low, high) with 0 < low <= high, or one value per neuron'
    if isinstance(slope_scale, tuple):
        if len(slope_scale) != 2:
            raise InputError(f"slope_scale: the tuple {slope_scale!r} given; allowed: {allowed}")
        low, high = positive(slope_scale, 2, "slope_scale", allowed)
        if low > high:
            raise InputError(f"slope_scale: {slope_scale!r} given; allowed: {allowed}")
        order = torch.randperm(width)  # neighbouring neurons get slopes of all scales
        return torch.exp(torch.linspace(math.log(low), math.log(high), width, dtype=torch.float64))[order]
    if isinstance(slope_scale, torch.Tensor):
        slope_scale = slope_scale.detach().cpu().numpy()
    return torch.as_tensor(positive(slope_scale, width, "slope_scale", allowed))
