"""The forward solvers of the inverse problems in one space dimension: unknowns to values at points."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.polynomial import Chebyshev
from scipy.special import roots_jacobi

from repnet_pde.errors import InputError

from . import legendre
from .burgers_1d import burgers_cole_hopf
from .collocation import collocation_coefficients

UNIT = (0.0, 1.0)


def oscillating_coefficient_1d(
    unknowns: Mapping[str, Callable], x: np.ndarray, *, resolution: int | None = None
) -> np.ndarray:
    """-(a u')' = 1 on [0, 1], u(0) = u(1) = 0, at points x (n, 1): (n, 1).

    The unknown "a" maps points (k, 1) to (k,) and must not vanish. As a u' = C - x, u is the integral of (C - x) / a,
    here of its Chebyshev interpolant; `resolution` is the degree.
    """
    degree = 1000 if resolution is None else resolution

    def integral(numerator):
        def integrand(s):
            return numerator(s) / np.asarray(unknowns["a"](s[:, None])).reshape(s.shape)

        return Chebyshev.interpolate(integrand, degree, domain=UNIT).integ(lbnd=0.0)

    compliance, moment = integral(np.ones_like), integral(lambda s: s)
    return ((moment(1.0) / compliance(1.0)) * compliance - moment)(x[:, 0:1])


def driven_wave_1d(unknowns: Mapping[str, float], x: np.ndarray, *, resolution: int | None = None) -> np.ndarray:
    """u_tt = c**2 u_xx + s(x) sin(w t) on [0, 1], u = 0 at both ends, at rest at t = 0; at points x (n, 2) of x and t.

    s = 100 sin(pi x) exp(-2 (cos(pi x) - 0.2)**2). Each of the `resolution` standing waves is an oscillator of
    frequency omega, with q'' + omega**2 q = s_n sin(w t) solved exactly, also in resonance. Gives (n, 1).
    """
    count = 60 if resolution is None else resolution
    speed, drive = unknowns["c"], unknowns["w"]
    nodes = np.arange(1, 2 * count) / (2 * count)
    k = np.pi * np.arange(1, count + 1)
    # the trapezoidal rule, with the accuracy of Fourier series because s is odd about both ends
    shape = 100 * np.sin(np.pi * nodes) * np.exp(-2 * (np.cos(np.pi * nodes) - 0.2) ** 2)
    source = np.sin(k[:, None] * nodes) @ shape / count
    t, omega = x[:, 1:2], abs(speed) * k
    half, mean = (omega - drive) * t / 2, (omega + drive) * t / 2
    # (sin(w t) - w / omega sin(omega t)) / (omega**2 - w**2) without its removable singularity
    response = (np.sin(omega * t) / omega - t * np.sinc(half / np.pi) * np.cos(mean)) / (omega + drive)
    return np.sum(source * np.sin(k * x[:, 0:1]) * response, axis=1, keepdims=True)


def burgers_inverse_1d(unknowns: Mapping[str, float], x: np.ndarray, *, resolution: int | None = None) -> np.ndarray:
    """u_t + l1 u u_x = l2 u_xx on [-1, 1] x [0, 1], u = -sin(pi x) at t = 0, u = 0 at both ends.

    At points x (n, 2) of x and t: (n, 1). By the exact formula of Cole and Hopf: u_s + u u_x = (l2 / l1) u_xx with
    s = l1 t. For l1 < 0 the same holds of -u moved by half a period. `resolution` is not needed.
    """
    l1, l2 = unknowns["l1"], unknowns["l2"]
    if not l2 > 0:
        raise InputError(f"l2: needs a positive viscosity, got {l2}")
    place, t = x[:, 0:1], x[:, 1:2]
    if abs(l1) < 1e-9:
        return -np.exp(-(np.pi**2) * l2 * t) * np.sin(np.pi * place)
    u = burgers_cole_hopf(place if l1 > 0 else place + 1, abs(l1) * t, l2 / abs(l1))
    return u if l1 > 0 else -u


def reaction_diffusion_1d(unknowns: Mapping[str, float], x: np.ndarray, *, resolution: int | None = None) -> np.ndarray:
    """a_t = D a_xx - k_f a b**2, b_t = D b_xx - 2 k_f a b**2 on [0, 1] x [0, 10], at points x (n, 2): (n, 2).

    a = b = exp(-20 x) at t = 0, a = b = 1 at x = 0 and a = b = 0 at x = 1. In the `resolution` eigenfunctions of u_xx
    (Galerkin), and in time by Radau's method of up to eight stages on panels that grow from t = 0, where initial and
    boundary values agree in value only. Diffusion is implicit, of which each eigenfunction has its own small system;
    reaction, which is slow, is iterated to a fixed point.
    """
    m = 96 if resolution is None else resolution
    stages = min(8, max(3, m // 8))
    diffusivity, rate = unknowns["D"], unknowns["k_f"]
    if not diffusivity > 0:
        raise InputError(f"D: needs a positive diffusivity, got {diffusivity}")
    eigenvalues, vectors = legendre.modes(m, UNIT)
    nodes, weights = legendre.quadrature(2 * m, UNIT)
    at_nodes = legendre.basis(nodes, m, UNIT)[0] @ vectors
    project = at_nodes.T * weights
    lift = (1 - nodes)[:, None]
    radau = np.append((roots_jacobi(stages - 1, 1, 0)[0] + 1) / 2, 1.0)
    butcher, _ = collocation_coefficients(radau)
    interpolation = np.append(0.0, radau)

    def reaction(y):  # (m, stages, 2) -> the same
        a, b = np.moveaxis(np.tensordot(at_nodes, y, 1) + lift[:, :, None], -1, 0)
        speed = -rate * a * b**2
        return np.tensordot(project, np.stack([speed, 2 * speed], axis=-1), 1)

    at_points = legendre.basis(x[:, 0], m, UNIT)[0] @ vectors
    result = np.repeat(1 - x[:, 0:1], 2, axis=1)
    start = np.repeat((project @ (np.exp(-20 * nodes) - lift[:, 0]))[:, None], 2, axis=1)
    final = max(float(x[:, 1].max()), 1e-3)
    for begin, end in _panels(final, min(0.5, 0.1 / max(abs(rate), 1e-9))):
        implicit = np.linalg.inv(np.eye(stages) + (end - begin) * diffusivity * eigenvalues[:, None, None] * butcher)
        y = np.repeat(start[:, None], stages, axis=1)
        for _ in range(60):
            before = y
            y = implicit @ (start[:, None] + (end - begin) * (butcher @ reaction(y)))
            if np.abs(y - before).max() < 1e-14:
                break
        inside = (x[:, 1] >= begin if begin == 0 else x[:, 1] > begin) & (x[:, 1] <= end)
        time = legendre.barycentric(interpolation, (x[inside, 1] - begin) / (end - begin))
        whole = np.concatenate([start[:, None], y], axis=1)
        result[inside] += np.einsum("nm,ns,msc->nc", at_points[inside], time, whole, optimize=True)
        start = y[:, -1]
    return result


def _panels(final: float, longest: float, first: float = 1e-4) -> Iterator[tuple[float, float]]:
    """Begin and end of time panels, each twice the one before until `longest`."""
    begin, length = 0.0, first
    while begin < final:
        end = min(begin + length, final)
        yield begin, end
        begin, length = end, min(2 * length, longest)
