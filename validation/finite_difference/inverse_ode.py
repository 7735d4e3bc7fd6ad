"""The forward solvers of the inverse problems in ordinary differential equations: unknowns to values at times.

``resolution`` is the number of digits requested from the integrator.
"""

from collections.abc import Mapping

import numpy as np
from scipy.integrate import solve_ivp


def damped_oscillator(unknowns: Mapping[str, float], x: np.ndarray, *, resolution: int | None = None) -> np.ndarray:
    """u'' + 2 delta u' + omega0**2 u = 0, u(0) = 1, u'(0) = 0, at times x (n, 1): (n, 1).

    In closed form, whose root is imaginary below critical damping; `resolution` is not needed.
    """
    delta, omega0 = unknowns["delta"], unknowns["omega0"]
    root, t = np.sqrt(complex(delta**2 - omega0**2)), x[:, 0:1]
    # both exponents have a real part <= 0, where cosh and sinh would overflow
    up, down = np.exp((root - delta) * t), np.exp((-root - delta) * t)
    # sinh(z) / z at small z, where critical damping is passed
    ratio = np.where(abs(root) * t < 1e-5, t * np.exp(-delta * t), (up - down) / (2 * root if root else 1.0))
    return ((up + down) / 2 + delta * ratio).real


def lorenz(unknowns: Mapping[str, float], x: np.ndarray, *, resolution: int | None = None) -> np.ndarray:
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z from (-8, 7, 27), at times x (n, 1): (n, 3).

    The method of order 8 of J. R. Dormand and P. J. Prince with its continuous extension of order 7. NaN where it
    fails, so that a least-squares method can detect it.
    """
    sigma, rho, beta = (unknowns[name] for name in ("sigma", "rho", "beta"))
    times, place = np.unique(x[:, 0], return_inverse=True)
    tolerance = 10.0 ** -(12 if resolution is None else resolution)

    def rate(_, state):
        u, v, w = state
        return sigma * (v - u), u * (rho - w) - v, u * v - beta * w

    run = solve_ivp(
        rate, (0.0, max(times[-1], 1e-12)), (-8.0, 7.0, 27.0), "DOP853", times, rtol=tolerance, atol=tolerance
    )
    if not run.success:
        return np.full((len(x), 3), np.nan)
    return run.y.T[place]
