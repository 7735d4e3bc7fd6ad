"""The largest wavenumber per axis, estimated from a function (source term, initial value) or from observations.

An underestimate makes training fail (the network starts without the slopes that it needs), an overestimate costs only a
little accuracy, so every choice here errs on the high side.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal.windows import blackmanharris
from scipy.stats import qmc

from ..domain import Box, box_of
from ..errors import InputError

_SAMPLES = (251, 431, 733, 1249, 2129, 3623, 6163, 10477, 17813)
"""Samples along a line. No wave has the same alias for three of these in a row (tested up to 7,000 waves)."""

_LOBE = 4
"""Half the width of the window's main lobe, in waves across the domain; beyond it leakage is below 1e-4."""

_PADDING = 4
"""Zero-padding factor: frequencies are resolved to 1/4 of one wave across the domain."""


def estimate_wavenumber(
    function: Callable[[np.ndarray], np.ndarray],
    domain: Any,
    *,
    significance: float = 1e-3,
    lines: int | None = None,
    max_samples: int = 20000,
) -> np.ndarray:
    """The largest significant wavenumber k of sin(k x_i) in ``function`` along each axis, (d,), radians per unit x.

    Along lines parallel to an axis the function is sampled evenly, windowed (it need not be periodic) and Fourier
    transformed; the number of samples is increased until three estimates in a row agree. Because the window suppresses
    the ends of a line, the estimate is never below max|∂f/∂x_i| / max|f|, the lower bound on the largest wavenumber
    from Bernstein's inequality: this detects boundary layers.

    Args:
        function: NumPy function (n, d) -> (n,) or (n, c), evaluated over the whole bounding box of ``domain``.
        domain: DeepXDE geometry (also GeometryXTime) or (lower, upper) pair.
        significance: amplitudes below this fraction of the largest one (of the same component) are ignored.
        lines: lines per axis at low-discrepancy positions; by default 1 in 1-D and 16 in higher dimensions.
        max_samples: maximum number of samples along a line.

    Returns:
        (d,) float64. The smallest value returned is one wave across the domain, 2π/(upper − lower), also for constant
        and zero functions.

    Warns:
        UserWarning: not resolved with ``max_samples``: noise, a jump, or an even larger wavenumber.

    Raises:
        InputError: for a function that returns other shapes or values that are not finite, and for bad arguments.
    """
    found, resolved, samples = of_function(function, domain, significance, lines, max_samples)
    if not resolved.all():
        axes = ", ".join(str(axis) for axis in np.flatnonzero(~resolved))
        warnings.warn(
            f"wavenumber not resolved along axis {axes} with {samples} samples: the function has noise, a jump "
            "or still larger wavenumbers; the largest found is returned",
            stacklevel=2,
        )
    return found


def of_function(
    function: Callable[..., Any],
    domain: Any,
    significance: float = 1e-3,
    lines: int | None = None,
    max_samples: int = 20000,
) -> tuple[np.ndarray, np.ndarray, int]:
    """(what `estimate_wavenumber` returns, along which axes it is resolved (d,) bool, most samples along a line)."""
    box = box_of(domain)
    _check_significance(significance)
    lines = (1 if box.dim == 1 else 16) if lines is None else lines
    if lines != int(lines) or lines < 1:
        raise InputError(f"lines: {lines!r} given; a whole number >= 1 is needed")
    counts = [n for n in _SAMPLES if n <= max_samples]
    if len(counts) < 3:
        raise InputError(f"max_samples: {max_samples!r} given; at least {_SAMPLES[2]} are needed")
    estimate, resolved, _ = _resolve(function, box, lines, counts, significance)
    return np.maximum(estimate, 1.0) * np.pi / box.half_width, resolved, counts[-1]


def spectral_peaks(
    function: Callable[[np.ndarray], np.ndarray], domain: Any, significance: float = 1e-4
) -> list[np.ndarray]:
    """Wavenumbers of all local maxima of the spectrum of ``function`` along each axis, radians per unit x.

    Sampled as in `estimate_wavenumber`; a list of d sorted arrays. Maxima below ``significance`` times the largest
    value over all axes are ignored. An axis along which the function is constant has none.
    """
    box = box_of(domain)
    _, _, values = _resolve(function, box, 1 if box.dim == 1 else 16, _SAMPLES, 1e-3)
    mean = np.mean([v.mean(axis=(0, 1)) for v in values], axis=0)
    spectra = [_spectrum(v - mean) for v in values]
    largest = np.max([s.max(axis=0) for s in spectra], axis=0)
    found = []
    for spectrum, half in zip(spectra, box.half_width, strict=True):
        padded = np.pad(spectrum, ((1, 1), (0, 0)))
        peaks = (spectrum >= padded[:-2]) & (spectrum > padded[2:]) & (spectrum > significance * largest)
        found.append(np.flatnonzero(peaks.any(axis=1)) / _PADDING * np.pi / half)
    return found


def estimate_wavenumber_from_samples(x: ArrayLike, y: ArrayLike, *, significance: float = 0.05) -> np.ndarray:
    """The largest significant wavenumber per axis, (d,), radians per unit x, in observations ``y`` at points ``x``.

    Points that fill an even grid (in any order) are Fourier transformed along its axes. Scattered points are fitted
    by matching pursuit: the plane wave sin(k·x + φ) that correlates best with the residual is added to a joint
    least-squares fit (with a constant and a slope) until none is significant. Waves count as significant
    above ``significance`` times the largest amplitude and above the noise: five times the median amplitude.

    Args:
        x: (n,) or (n, d), at least max(8, 4^d) points.
        y: (n,) or (n, c).

    Returns:
        (d,) float64; at least one wave across the bounding box of ``x``. Nothing beyond the mean sampling density
        can be found: π n^(1/d) / (upper − lower).

    Warns:
        UserWarning: an axis where the largest wavenumber is close to that limit, or scattered data that the waves
            do not explain.

    Raises:
        InputError: for wrong shapes, values that are not finite, too few points, or all on one hyperplane.
    """
    found, resolved = of_samples(x, y, significance)
    if not resolved:
        warnings.warn(
            "wavenumber not resolved by the samples: they are too few or too noisy, and larger wavenumbers cannot "
            "be excluded; the largest found is returned",
            stacklevel=2,
        )
    return found


def of_samples(x: ArrayLike, y: ArrayLike, significance: float = 0.05) -> tuple[np.ndarray, bool]:
    """(what `estimate_wavenumber_from_samples` returns, whether it is resolved)."""
    _check_significance(significance)
    x, y = _observations(x, y)
    box = box_of((x.min(axis=0), x.max(axis=0)), x.shape[1], "x")
    grid = _even_grid(x, y, box)
    if grid is not None:
        limit = np.array([v.shape[-2] / 2 for v in grid])
        estimate, explained = _estimate(grid, significance, noise=5.0), True
    else:
        limit = np.full(box.dim, len(x) ** (1 / box.dim) / 2)
        estimate, explained = _pursuit((x - box.center) / box.half_width, y, int(limit[0]), significance)
    resolved = explained and not (estimate > 0.8 * limit).any()
    return np.clip(estimate, 1.0, np.maximum(limit, 1.0)) * np.pi / box.half_width, resolved


# Spectra along lines. Wavenumbers are in waves across the domain: one wave is π in normalised coordinates. ---------


def _resolve(
    function: Callable[..., Any], box: Box, lines: int, counts: Sequence[int], significance: float
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """(waves per axis, which of them are resolved, values along lines), with samples added until three agree."""
    places = qmc.Sobol(box.dim, seed=0).random_base2(math.ceil(math.log2(lines)))[: int(lines)]
    estimates = []
    for n in counts:
        values = [_along_lines(function, box, axis, places, n) for axis in range(box.dim)]
        estimates.append(_estimate(values, significance))
        estimate = np.max(estimates[-3:], axis=0)
        # Margin below the Nyquist limit n/2.
        resolved = (np.ptp(estimates[-3:], axis=0) <= 0.5 + 0.05 * estimate) & (estimate <= 0.4 * n)
        if len(estimates) >= 3 and resolved.all():
            break
    return estimate, resolved, values


def _along_lines(function: Callable[..., Any], box: Box, axis: int, places: np.ndarray, n: int) -> np.ndarray:
    """Values (lines, n, c) at n even samples, ends included, on lines parallel to ``axis``."""
    points = np.repeat(box.lower + (box.upper - box.lower) * places, n, axis=0)
    points[:, axis] = np.tile(np.linspace(box.lower[axis], box.upper[axis], n), len(places))
    values = np.asarray(function(points), dtype=np.float64)
    if values.ndim not in (1, 2) or len(values) != len(points) or values.size == 0:
        raise InputError(f"function: returned shape {values.shape} for {len(points)} points; (n,) or (n, c) is needed")
    if not np.isfinite(values).all():
        bad = points[np.flatnonzero(~np.isfinite(values).reshape(len(points), -1).all(axis=1))[0]]
        raise InputError(f"function: not finite at {bad.tolist()}; it is evaluated over the whole bounding box")
    return values.reshape(len(places), n, -1)


def _estimate(values: list[np.ndarray], significance: float, noise: float = 0.0) -> np.ndarray:
    """Largest significant number of waves per axis from one array (lines, samples, c) per axis."""
    mean = np.mean([v.mean(axis=(0, 1)) for v in values], axis=0)
    size = np.max([np.abs(v).max(axis=(0, 1)) for v in values], axis=0)
    values = [v - mean for v in values]
    spread = np.max([np.abs(v).max(axis=(0, 1)) for v in values], axis=0)
    alive = spread > 1e-10 * size  # the others are constant
    if not alive.any():
        return np.ones(len(values))
    values = [v[..., alive] / spread[alive] for v in values]
    spectra = [_spectrum(v) for v in values]
    # Never below 1 % of the values: the window reduces a thin layer at an end to leakage.
    largest = np.max([s.max(axis=0) for s in spectra], axis=0).clip(0.01)
    found = []
    for v, spectrum in zip(values, spectra, strict=True):
        threshold = np.maximum(significance * largest, noise * np.median(spectrum, axis=0))
        waves = max(_edge(column, t) for column, t in zip(spectrum.T, threshold, strict=True))
        if not noise:
            steepest = np.abs(np.gradient(v, 2 / (v.shape[1] - 1), axis=1)).max()  # values are at most 1
            waves = max(waves, steepest / np.pi)
        found.append(waves)
    return np.array(found)


def _spectrum(values: np.ndarray) -> np.ndarray:
    """Largest amplitude over the lines, (frequencies, c), at 1/_PADDING waves apart."""
    n = values.shape[1]
    window = blackmanharris(n, sym=True)[:, None]
    # The mean along a line contains no information about this axis, and its lobe would mask the lowest wavenumbers.
    values = values - np.sum(window * values, axis=1, keepdims=True) / window.sum()
    # n samples with both ends span n - 1 steps: padded to this length the frequencies are multiples of 1/_PADDING.
    return np.abs(np.fft.rfft(window * values, _PADDING * (n - 1), axis=1)).max(axis=0) * 2 / window.sum()


def _edge(spectrum: np.ndarray, threshold: float) -> float:
    """Number of waves at the upper end of the spectrum above ``threshold``."""
    above = np.flatnonzero(spectrum > threshold)
    if not len(above):
        return 1.0
    edge = above[-1]
    # A pure wave is smeared over the window's main lobe: where the edge is the flank of a peak, take the peak.
    start = max(edge - _LOBE * _PADDING, 0)
    peak = start + int(np.argmax(spectrum[start : edge + 1]))
    if peak == 0 or spectrum[peak] > spectrum[peak - 1]:
        edge = min(peak + _PADDING // 2, edge)
    return edge / _PADDING


# Observations -----------------------------------------------------------------------------------------------------


def _check_significance(significance: float) -> None:
    if not (isinstance(significance, (int, float)) and 0 < significance < 1):
        raise InputError(f"significance: {significance!r} given; a number between 0 and 1 is needed")


def _observations(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """x as (n, d) and y as (n, c), checked."""
    arrays = {}
    for name, value in (("x", x), ("y", y)):
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"{name}: an array of numbers is needed, {type(value).__name__} given") from None
        if array.ndim not in (1, 2) or array.size == 0:
            raise InputError(f"{name}: shape {array.shape} given; (n,) or (n, columns) is needed")
        if not np.isfinite(array).all():
            raise InputError(f"{name}: {np.sum(~np.isfinite(array))} of {array.size} values are not finite")
        arrays[name] = array.reshape(len(array), -1)
    x, y = arrays["x"], arrays["y"]
    if len(x) != len(y):
        raise InputError(f"y: {len(y)} values for {len(x)} points")
    least = max(8, 4 ** x.shape[1])
    if len(x) < least:
        raise InputError(f"x: {len(x)} points given; at least {least} are needed in {x.shape[1]}-D")
    return x, y


def _even_grid(x: np.ndarray, y: np.ndarray, box: Box) -> list[np.ndarray] | None:
    """Per axis the values (lines, samples, c) if the points fill an even grid, else None."""
    axes = [_distinct(x[:, i], 1e-6 * box.half_width[i]) for i in range(box.dim)]
    shape = [len(a) for a in axes]
    if math.prod(shape) != len(x) or min(shape) < 4:
        return None
    for a in axes:
        if np.ptp(np.diff(a)) > 1e-3 * np.diff(a).mean():
            return None
    index = [np.rint((x[:, i] - a[0]) / (a[-1] - a[0]) * (len(a) - 1)).astype(int) for i, a in enumerate(axes)]
    place = np.ravel_multi_index(index, shape)
    if len(np.unique(place)) != len(x):
        return None
    values = np.empty_like(y)
    values[place] = y
    values = values.reshape(*shape, -1)
    return [np.moveaxis(values, i, -2).reshape(-1, n, y.shape[1]) for i, n in enumerate(shape)]


def _distinct(values: np.ndarray, tolerance: float) -> np.ndarray:
    ordered = np.sort(values)
    return ordered[np.append(True, np.diff(ordered) > tolerance)]


def _pursuit(x: np.ndarray, y: np.ndarray, limit: int, significance: float) -> tuple[np.ndarray, bool]:
    """Largest significant number of waves per axis by matching pursuit, and whether the waves explain the data.

    ``x`` (n, d) in [-1, 1]^d, ``y`` (n, c); wave vectors at half a wave apart up to ``limit`` waves per axis.
    """
    most = 4096 if x.shape[1] == 1 else 1500  # the table of waves grows with the square of the points
    if len(x) > most:
        chosen = np.random.default_rng(0).choice(len(x), most, replace=False)
        x, y = x[chosen], y[chosen]
        limit = min(limit, int(most ** (1 / x.shape[1]) / 2)) if x.shape[1] > 1 else min(limit, most // 2)
    steps = np.arange(-2 * limit, 2 * limit + 1) / 2
    half = [steps[steps >= 0]] + [steps] * (x.shape[1] - 1)  # k and -k are the same wave
    vectors = np.array(list(itertools.product(*half)))
    vectors = vectors[np.any(vectors != 0, axis=1)]
    waves = np.exp(1j * np.pi * (x @ vectors.T)).astype(np.complex64)

    found = np.ones(x.shape[1])
    smooth = np.column_stack([np.ones(len(x)), x])
    explained = True
    for column in y.T:
        centred = column - smooth @ np.linalg.lstsq(smooth, column, rcond=None)[0]
        if np.abs(centred).max() <= 1e-10 * np.abs(column).max():
            continue
        basis, rest, first = smooth, centred, None
        for _ in range(48):
            amplitude = 2 / len(x) * np.abs(rest.astype(np.float32) @ waves)
            best = int(np.argmax(amplitude))
            first = amplitude[best] if first is None else first
            if amplitude[best] < max(significance * first, 5 * np.median(amplitude)):
                break
            found = np.maximum(found, np.abs(vectors[best]) + 0.25)
            basis = np.column_stack([basis, waves[:, best].real, waves[:, best].imag])
            rest = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        explained &= bool(np.sum(rest**2) < 0.5 * np.sum(centred**2))
    return found, explained
