"""u_t + u u_x + mu**2 u_xxx = 0 on a period in x, u(x, 0) given.

Central differences of order 6 (`stencils`). u u_x is taken as (u**2)_x / 2, which conserves the sum of u. The matrix L
of the linear term is circulant, so the FFT diagonalises it: v = exp(-t L) u obeys v' = exp(-t L) N(exp(t L) v), which
is not stiff (integrating factor; A.-K. Kassam, L. N. Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214-1233), and is
solved by an explicit Runge-Kutta method of order 8.
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from repnet_pde import limits
from repnet_pde.errors import InputError

from .reference import Reference
from .refine import first_grid, refine
from .rounding import integrator, rounded, rounded_together
from .stencils import ORDER, SMALLEST, periodic_difference_matrix


def solve_korteweg_de_vries_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    *,
    mu: float,
    interval: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 101,
    rtol: float = 1e-13,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals in x; order 6 in x, and in t to the relative and absolute tolerance `rtol`.

    `initial` maps nodes (k,) to (k,) and is periodic. Returns the axes (x, t), of n + 1 and `times` uniform nodes, and
    u of shape (n + 1, times, 1).
    """
    a, b = interval
    if n < 2 * SMALLEST or not b > a or not mu > 0 or not final_time > 0 or times < 2:
        raise InputError(
            f"korteweg_de_vries_1d: needs n >= {2 * SMALLEST}, a < b, mu > 0, final_time > 0, times >= 2; got n={n}, "
            f"interval={interval}, mu={mu}, final_time={final_time}, times={times}"
        )
    step = (b - a) / n
    x, t = rounded(np.linspace(a, b, n + 1)), np.linspace(0.0, final_time, times)

    def symbol(derivative):  # the eigenvalues of the circulant matrix on the waves of a real FFT
        column = periodic_difference_matrix(n, step, derivative)[:, [0]].toarray()[:, 0]
        return np.fft.rfft(column)

    first, linear = symbol(1), -(mu**2) * symbol(3)

    def change(now, v):
        limits.check()
        factor = np.exp(now * linear)
        u = np.fft.irfft(factor * (v[: n // 2 + 1] + 1j * v[n // 2 + 1 :]), n)
        rate = -first * np.fft.rfft(u**2) / 2 / factor
        return np.concatenate([rate.real, rate.imag])

    start = rounded_together(np.fft.rfft(initial(x[:-1])))
    run = solve_ivp(
        change,
        (0.0, final_time),
        np.concatenate([start.real, start.imag]),
        method="DOP853",
        t_eval=t,
        rtol=integrator(rtol),
        atol=integrator(rtol) * n,
    )
    u = np.full((n + 1, times), np.nan)
    found = (run.y[: n // 2 + 1] + 1j * run.y[n // 2 + 1 :]) * np.exp(linear[:, None] * run.t)
    u[:-1, : found.shape[1]] = np.fft.irfft(found, n, axis=0)
    u[-1] = u[0]
    return (x, t), u[:, :, None]


def korteweg_de_vries_1d(*, mu: float, tolerance: float = 1e-8, largest: int = 2**13) -> Reference:
    """u_t + u u_x + mu**2 u_xxx = 0 on [-1, 1] x [0, 1], periodic, u(x, 0) = cos(pi x); catalogue value mu = 0.022."""
    if not mu > 0:
        raise InputError(f"mu: needs a positive number, got {mu:g}")
    first = first_grid(f"mu: {mu:g}", 5 / mu, largest, least=64)
    return refine(
        "korteweg_de_vries_1d",
        {"mu": mu},
        lambda n: solve_korteweg_de_vries_1d(
            lambda x: np.cos(np.pi * x), mu=mu, interval=(-1.0, 1.0), final_time=1.0, n=n
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
