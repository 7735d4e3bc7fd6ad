"""Estimates of the size of a RepNet's activations, its output and their slopes before training.

Everything is a mean over the input (uniform in the box), the neurons of a layer and the random start, in the
normalised input x̂ ∈ [−1, 1]^d. The first layer is h = c σ(s b·(x̂ − p)) with b = a ∘ w, a uniform on the unit
sphere, w the stretch, p uniform in the box. Every later layer sees, at a given x̂, Gaussian pre-activations g of
variance V(x̂) = var(weights) · n_in · q(x̂), where q is the mean square of the layer before: exact for wide layers,
and for ReLU (by its homogeneity) exact at any width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import qmc

from ..errors import InputError, choose
from .options import check_sizes, positive

_WEIGHT_VARIANCE = {
    "Glorot normal": lambda n_in, n_out: 2.0 / (n_in + n_out),
    "Glorot uniform": lambda n_in, n_out: 2.0 / (n_in + n_out),
    "He normal": lambda n_in, n_out: 2.0 / n_in,
    "He uniform": lambda n_in, n_out: 2.0 / n_in,
}


@dataclass(frozen=True)
class Magnitudes:
    """Mean squares per layer: every hidden layer's activations in order, then the network's output.

    Attributes:
        mean_square: of h, a float for each layer.
        mean_square_slope: of ∂h/∂x̂_i, an array (d,) for each layer, per unit of the normalised input x̂ (multiply
            slopes by 2/(hi − lo) for the physical ones).
    """

    mean_square: tuple[float, ...]
    mean_square_slope: tuple[np.ndarray, ...]

    @property
    def output_rms(self) -> float:
        """Root mean square of one component of the network's output."""
        return float(np.sqrt(self.mean_square[-1]))

    @property
    def output_slope_rms(self) -> np.ndarray:
        """Root mean square of the output's derivative along each axis of x̂, (d,)."""
        return np.sqrt(self.mean_square_slope[-1])

    @property
    def slope_to_output(self) -> np.ndarray:
        """Root of the ratio of the two, (d,): for sin(k x̂_i) averaged over whole waves it is k."""
        return self.output_slope_rms / self.output_rms


@dataclass(frozen=True)
class _Field:
    """Mean squares of one layer at the m quadrature points: ``q`` (m,), its gradient and ``slope`` (m, d)."""

    q: np.ndarray
    gradient: np.ndarray
    slope: np.ndarray


def magnitudes(
    layer_sizes: Sequence[int],
    activation: str = "tanh",
    *,
    slope_scale: float | tuple[float, float],
    first_activation: str | None = None,
    kernel_initializer: str = "Glorot normal",
    stretch: ArrayLike | None = None,
    feature_scale: float = 1.0,
) -> Magnitudes:
    """Mean squares of activations, output and slopes of a RepNet at its random start.

    ``layer_sizes`` is [d, width of the first layer, ..., outputs]; ``activation`` and ``first_activation`` (the same
    unless given) are "tanh" or "relu"; ``slope_scale`` is s in x̂, or (low, high) for log-uniform slopes;
    ``stretch`` (d,) multiplies the directions per axis; ``feature_scale`` is c. The values are good to 2 %
    for the infinitely wide network; one of width n scatters about them by a few times 1/sqrt(n).

    Raises:
        InputError: for an argument that cannot be used.
    """
    first_activation = activation if first_activation is None else first_activation
    choose("activation", activation, _HIDDEN)
    choose("first_activation", first_activation, _FIRST)
    choose("kernel_initializer", kernel_initializer, _WEIGHT_VARIANCE)
    sizes = check_sizes(layer_sizes)
    dimension = sizes[0]
    stretch = positive(1.0 if stretch is None else stretch, dimension, "stretch")
    feature_scale = float(positive(feature_scale, 1, "feature_scale")[0])

    x, x_weights = _input_points(dimension)
    field = _FIRST[first_activation](x, x_weights, _slope_range(slope_scale), stretch)
    field = _scaled(field, feature_scale**2)
    fields = [field]
    for layer in range(1, len(sizes) - 1):
        gain = _WEIGHT_VARIANCE[kernel_initializer](sizes[layer], sizes[layer + 1]) * sizes[layer]
        field = _scaled(field, gain)
        if layer < len(sizes) - 2:
            field = _HIDDEN[activation](field)
        fields.append(field)
    return Magnitudes(
        tuple(float(x_weights @ f.q) for f in fields),
        tuple(x_weights @ f.slope for f in fields),
    )


def _scaled(field: _Field, factor: float) -> _Field:
    return _Field(field.q * factor, field.gradient * factor, field.slope * factor)


def _slope_range(slope_scale: float | tuple[float, float]) -> tuple[float, float]:
    low, high = positive(slope_scale, 2, "slope_scale", "a number > 0 or (low, high) with 0 < low <= high")
    if low > high:
        raise InputError(f"slope_scale: {slope_scale!r} given; low must not exceed high")
    return low, high


# First layers ---------------------------------------------------------------------------------------------------


def _first_relu(x: np.ndarray, x_weights: np.ndarray, slopes: tuple[float, float], stretch: np.ndarray) -> _Field:
    """Closed form: v = b·(x̂ − p) and −v are equally likely, so E[relu(v)² | x̂] = E[v² | x̂] / 2, with
    E[v² | x̂] = Σ_i E[b_i²] (x̂_i² + 1/3) and E[b_i²] = w_i² / d."""
    low, high = slopes
    mean_s2 = low**2 if high == low else (high**2 - low**2) / (2 * np.log(high / low))
    b2 = mean_s2 * stretch**2 / len(stretch)
    q = 0.5 * (x**2 + 1 / 3) @ b2
    return _exact_mean(_Field(q, x * b2, np.tile(0.5 * b2, (len(x), 1))), x_weights, b2.sum() / 3, b2 / 2)


def _first_tanh(x: np.ndarray, x_weights: np.ndarray, slopes: tuple[float, float], stretch: np.ndarray) -> _Field:
    """Mean over (a, p, s) by quasi-Monte Carlo, exact along the axis k on which |b| is largest.

    With z = s b·(x̂ − p) the mean over p_k is (F(z₊) − F(z₋)) / (z₊ − z₋), F an antiderivative: the integrand
    becomes smooth for arbitrarily steep layers. In 1-D only the mean over s is computed by quadrature.
    """
    sb, k, half, uniforms = _tanh_samples(slopes, stretch)
    p = 2 * uniforms - 1
    np.put_along_axis(p, k, 0.0, 1)
    centre = x @ sb.T - np.sum(sb * p, axis=1)  # (m, N)
    squares = slope_squares = ends = np.zeros_like(centre)
    for sign in (1, -1):
        z = centre + sign * half
        t = np.tanh(z)
        squares = squares + sign * _minus_tanh(z, t)
        slope_squares = slope_squares + sign * (t - t**3 / 3)  # antiderivative of sech⁴
        ends = ends + sign * t**2
    over = 1 / (2 * half * len(half))
    field = _Field(squares @ over, (ends * over) @ sb, (slope_squares * over) @ sb**2)
    return _exact_mean(field, x_weights, *tanh_means(slopes, stretch))


def tanh_means(slopes: tuple[float, float], stretch: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean square of the first layer's tanh activations, and of their slopes per axis of x̂, (d,).

    The mean over x̂ is exact along the axis k as well: x̂_k − p_k has the triangular density (2 − |δ|)/4, which
    makes a second difference.
    """
    sb, k, half, uniforms = _tanh_samples(slopes, stretch)
    delta = 2 * np.sign(uniforms - 0.5) * (1 - np.sqrt(1 - np.abs(2 * uniforms - 1)))
    np.put_along_axis(delta, k, 0.0, 1)
    centre = np.sum(sb * delta, axis=1)
    squares = slope_squares = np.zeros_like(centre)
    for step, factor in ((2, 1), (0, -2), (-2, 1)):
        double_square, double_slope = _double_antiderivatives(centre + step * half)
        squares = squares + factor * double_square
        slope_squares = slope_squares + factor * double_slope
    over = 1 / (4 * half**2 * len(half))
    return float(squares @ over), (slope_squares * over) @ sb**2


def _tanh_samples(slopes: tuple[float, float], stretch: np.ndarray) -> tuple[np.ndarray, ...]:
    """Samples of s b (N, d), the axis k (N, 1) of its largest component, that component's size, and uniforms (N, d)."""
    directions, uniforms, s_uniform = _first_layer_samples(len(stretch))
    s = slopes[0] * (slopes[1] / slopes[0]) ** s_uniform
    if slopes[0] == slopes[1] and len(stretch) == 1:
        directions, uniforms, s = directions[:1], uniforms[:1], s[:1]
    sb = s[:, None] * directions * stretch
    k = np.argmax(np.abs(sb), axis=1)[:, None]
    return sb, k, np.abs(np.take_along_axis(sb, k, 1))[:, 0], uniforms


def _exact_mean(field: _Field, weights: np.ndarray, mean_square: float, mean_square_slope: np.ndarray) -> _Field:
    """Correct the quadrature error over x̂, about one per cent, by rescaling to the exactly known means."""
    correction = mean_square / (weights @ field.q)
    return _Field(
        field.q * correction,
        field.gradient * correction,
        field.slope * (mean_square_slope / (weights @ field.slope)),
    )


def _minus_tanh(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """z − tanh z, the antiderivative of tanh², by its series for small z to avoid cancellation."""
    z2 = z * z
    return np.where(np.abs(z) < 0.1, z * z2 * (1 / 3 - z2 * (2 / 15 - z2 * (17 / 315))), z - t)


def _double_antiderivatives(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z²/2 − log cosh z and (2/3) log cosh z + tanh²(z)/6: second derivatives tanh² and sech⁴."""
    z2 = z * z
    log_cosh = np.abs(z) + np.log1p(np.exp(-2 * np.abs(z))) - np.log(2)
    small = z2 * z2 * (1 / 12 - z2 * (1 / 45 - z2 * (17 / 2520)))
    square = np.where(np.abs(z) < 0.1, small, z2 / 2 - log_cosh)
    log_cosh = np.where(np.abs(z) < 0.1, z2 / 2 - small, log_cosh)
    return square, 2 / 3 * log_cosh + np.tanh(z) ** 2 / 6


@lru_cache(maxsize=16)
def _first_layer_samples(dimension: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Low-discrepancy directions (N, d) on the sphere, places in [0, 1]^d and quantiles of the slope (N,).

    tanh² is even, so in 1-D the one direction +1 is enough.
    """
    if dimension == 1:
        quantiles = (np.arange(256) + 0.5) / 256
        return np.ones((256, 1)), np.full((256, 1), 0.5), quantiles
    u = qmc.Sobol(2 * dimension + 1, seed=0).random(4096)
    normal = ndtri(np.clip(u[:, :dimension], 1e-12, 1 - 1e-12))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True), u[:, dimension:-1], u[:, -1]


@lru_cache(maxsize=16)
def _input_points(dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Quadrature points (m, d) and weights (m,), summing to 1, on [0, 1]^d: all means are even in every x̂_i."""
    if dimension > 2:
        return qmc.Sobol(dimension, seed=1).random(128), np.full(128, 1 / 128)
    nodes, weights = np.polynomial.legendre.leggauss({1: 32, 2: 10}[dimension])
    nodes, weights = (nodes + 1) / 2, weights / 2
    if dimension == 1:
        return nodes[:, None], weights
    x = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    return x, np.outer(weights, weights).ravel()


# Later layers: `field` holds the variance V of the pre-activation g, its gradient and the variance of g' ------------


def _hidden_relu(field: _Field) -> _Field:
    """Exact: (g, g') and (−g, −g') are equally likely, and ReLU is nonzero for exactly one of them."""
    return _scaled(field, 0.5)


def _hidden_tanh(field: _Field) -> _Field:
    """With C = cov(g, g') = ∂V/2: E[σ'² g'²] = E[σ'²] (V' − C²/V) + (C²/V²) E[σ'² g²]; gradient 2 (C/V) E[σσ'g]."""
    v = field.q[:, None]
    square, sech4, sech4_g2, slope_g = (f[:, None] for f in _tanh_means(field.q))
    ratio = field.gradient / (2 * v)  # C/V
    slope = sech4 * np.maximum(field.slope - ratio**2 * v, 0.0) + ratio**2 * sech4_g2
    return _Field(square[:, 0], 2 * ratio * slope_g, slope)


_U = np.linspace(0.0, 12.0, 41)
_U_WEIGHTS = np.where(_U == 0, 1.0, 2.0) * (_U[1] - _U[0])


def _tanh_means(variance: np.ndarray) -> tuple[np.ndarray, ...]:
    """E[tanh²], E[sech⁴], E[sech⁴ g²], E[tanh sech² g] for g ~ N(0, variance), each (m,).

    Trapezoidal rule in u = g sqrt(1 + 1/V), scaled to the width of (Gaussian × sech²) for any V: unlike Gauss–Hermite,
    it is accurate (better than 1e-7) for V from 0 to infinity.
    """
    v = variance[:, None]
    g = _U * np.sqrt(v / (1 + v))
    density = _U_WEIGHTS * np.exp(-(_U**2) / (2 * (1 + v))) / np.sqrt(2 * np.pi * (1 + v))
    t = np.tanh(g)
    sech2 = 1 - t**2
    # For V > 1 the Gaussian reaches beyond the nodes, where tanh² is 1.
    square = np.where(variance > 1, 1 - np.sum(density * sech2, axis=1), np.sum(density * t**2, axis=1))
    return (
        square,
        np.sum(density * sech2**2, axis=1),
        np.sum(density * sech2**2 * g**2, axis=1),
        np.sum(density * t * sech2 * g, axis=1),
    )


_FIRST = {"tanh": _first_tanh, "relu": _first_relu}
_HIDDEN = {"tanh": _hidden_tanh, "relu": _hidden_relu}
