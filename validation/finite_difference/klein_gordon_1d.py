"""u_tt = u_xx - u**3 + f on [a, b] x [0, T], u(x, 0), u_t(x, 0), u(a, t) and u(b, t) given (Dirichlet).

The first-order system u' = v, v' = u_xx - u**3 + f with sixth-order differences in x (`stencils`), whose eigenvalues
are imaginary, and in t the explicit Runge-Kutta method DOP853 with adaptive steps, at a tolerance far below the
error in space.
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from repnet_pde import limits
from repnet_pde.errors import InputError

from .reference import Reference
from .refine import refine
from .rounding import integrator, rounded
from .stencils import ORDER, SMALLEST, difference_matrix

LARGEST_OUTPUT = 2_000_000  # values on the space-time grid


def solve_klein_gordon_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    velocity: Callable[[np.ndarray], np.ndarray],
    left: Callable[[float], float],
    right: Callable[[float], float],
    *,
    interval: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 201,
    rtol: float = 1e-12,
    source: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals in x; order 6 in x, and in t to the relative and absolute tolerance `rtol`.

    `initial` and `velocity` map nodes (k,) to (k,), `source(x, t)` nodes and one time to (k,). Returns the axes
    (x, t), of n + 1 and `times` uniform nodes, and u of shape (n + 1, times, 1); NaN from the time at which the
    integrator failed, if it does.
    """
    a, b = interval
    if n < SMALLEST or not b > a or not final_time > 0 or times < 2:
        raise InputError(
            f"klein_gordon_1d: needs n >= {SMALLEST}, a < b, final_time > 0, times >= 2; got n={n}, "
            f"interval={interval}, final_time={final_time}, times={times}"
        )
    x, t = rounded(np.linspace(a, b, n + 1)), np.linspace(0.0, final_time, times)
    second = difference_matrix(n, (b - a) / n, 2)
    whole = np.empty(n + 1)

    def change(now, state):
        limits.check()
        inner, rates = np.split(state, 2)
        whole[0], whole[-1] = left(now), right(now)
        whole[1:-1] = inner
        force = second @ whole - inner**3
        return np.concatenate([rates, force if source is None else force + source(x[1:-1], now)])

    start = rounded(np.concatenate([initial(x)[1:-1], velocity(x)[1:-1]]))
    tolerance = integrator(rtol)
    u = np.full((n + 1, times), np.nan)
    u[0], u[-1] = [left(s) for s in t], [right(s) for s in t]
    run = solve_ivp(change, (0.0, final_time), start, method="DOP853", t_eval=t, rtol=tolerance, atol=tolerance)
    u[1:-1, : run.y.shape[1]] = run.y[: n - 1]
    return (x, t), u[:, :, None]


def klein_gordon_1d(
    *, omega: float, tolerance: float = 1e-10, times: int | None = None, largest: int = 256
) -> Reference:
    """u_tt = u_xx - u**3 + f on [0, 1]**2 with the f of u = x cos(omega t) + (x t)**3, u(x, 0) = x, u_t(x, 0) = 0,
    u(0, t) = 0 and u(1, t) = cos(omega t) + t**3. Catalogue value omega = 5 pi.

    `times` output times, by default at least 201 and 100 to a period, for interpolation. As the solution is a cubic
    in x, the grids differ only by the error in time, which is reduced with every grid.
    """
    times = 1 + int(max(200, np.ceil(16 * abs(omega)))) if times is None else times
    first, largest = 16, min(largest, LARGEST_OUTPUT // times - 1)
    if 4 * first > largest:
        raise InputError(
            f"klein_gordon_1d: {largest} intervals are too few, {4 * first} are needed, at {times} output times with "
            f"at most {LARGEST_OUTPUT} values; raise `largest`, lower `times` or `omega`"
        )

    def source(x, t):
        wave = x * np.cos(omega * t)
        return -(omega**2) * wave + 6 * x**3 * t - 6 * x * t**3 + (wave + (x * t) ** 3) ** 3

    def rtol(n):
        return max(1e-12, 1e-9 * (first / n) ** 6)

    return refine(
        "klein_gordon_1d",
        {"omega": omega},
        lambda n: solve_klein_gordon_1d(
            lambda x: x,
            np.zeros_like,
            lambda t: 0.0,
            lambda t: np.cos(omega * t) + t**3,
            interval=(0.0, 1.0),
            final_time=1.0,
            n=n,
            times=times,
            rtol=rtol(n),
            source=source,
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
