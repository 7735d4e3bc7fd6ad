"""u_tt = c**2 u_xx + f on [a, b] x [0, T], u(x, 0), u_t(x, 0), u(a, t) and u(b, t) given (Dirichlet).

The first-order system u' = v, v' = c**2 u_xx + f with sixth-order differences in x (`stencils`) and
three-stage Gauss collocation in t (`collocation`), which keeps the discrete energy.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from repnet_pde.errors import InputError

from .collocation import integrate
from .reference import Reference
from .refine import first_grid, refine
from .rounding import rounded
from .stencils import SMALLEST, difference_matrix

ORDER_SPACE = 6
ORDER_TIME = 4  # 6 where the boundary values are constant
LARGEST_OUTPUT = 2_000_000  # values on the space-time grid


def solve_wave_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    velocity: Callable[[np.ndarray], np.ndarray],
    left: Callable[[float], float],
    right: Callable[[float], float],
    *,
    speed: float,
    interval: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 201,
    steps: int = 1,
    source: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals in x with (times - 1) * steps time steps; order 6 in x and at least 4 in t.

    `initial` and `velocity` map nodes (k,) to (k,), `source(x, t)` nodes and one time to (k,). Returns
    the axes (x, t), of n + 1 and `times` uniform nodes, and u of shape (n + 1, times, 1).
    """
    a, b = interval
    if n < SMALLEST or not b > a or not final_time > 0 or times < 2 or steps < 1 or not speed > 0:
        raise InputError(
            f"wave_1d: needs n >= {SMALLEST}, a < b, final_time > 0, times >= 2, steps >= 1, speed > 0; got "
            f"n={n}, interval={interval}, final_time={final_time}, times={times}, steps={steps}, speed={speed}"
        )
    x, t = rounded(np.linspace(a, b, n + 1)), np.linspace(0.0, final_time, times)
    second = speed**2 * difference_matrix(n, (b - a) / n, 2)
    at_left, at_right = second[:, [0]].toarray()[:, 0], second[:, [n]].toarray()[:, 0]
    still = np.zeros(n - 1)

    def forcing(now):
        boundary = at_left * left(now) + at_right * right(now)
        return np.concatenate([still, boundary if source is None else boundary + source(x[1:-1], now)])

    jacobian = sparse.bmat([[None, sparse.identity(n - 1)], [second[:, 1:n], None]], format="csr")
    start = rounded(np.concatenate([initial(x)[1:-1], velocity(x)[1:-1]]))
    u = np.empty((n + 1, times))
    u[0], u[-1] = [left(s) for s in t], [right(s) for s in t]
    u[1:-1] = integrate(jacobian, forcing, start, t, steps, method="gauss")[:, : n - 1].T
    return (x, t), u[:, :, None]


def solve_driven_wave_1d(
    driver: Callable[[np.ndarray], np.ndarray], *, n: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """u_tt = u_xx on [0, 1] x [0, 1], at rest at first, u(0, t) = driver(t) with driver(0) = 0, u(1, t) = 0.

    The leapfrog scheme with equal steps in x and t, which has no error at all (R. Courant, K. Friedrichs, H. Lewy,
    Math. Ann. 100 (1928) 32-74), on 2 n intervals. `driver` maps times (k,) to (k,). Returns the axes (t - x, t + x),
    of 2 n + 1 uniform nodes each, and u of shape (2 n + 1, 2 n + 1, 1); NaN outside of the square in x and t.
    """
    if n < 2:
        raise InputError(f"driven_wave_1d: needs n >= 2, got n={n}")
    m = 2 * n
    u = np.zeros((m + 1, m + 1))  # time, place
    u[:, 0] = rounded(driver(rounded(np.linspace(0.0, 1.0, m + 1))))
    for i in range(2, m + 1):
        u[i, 1:-1] = rounded(u[i - 1, 2:] + u[i - 1, :-2]) - u[i - 2, 1:-1]
    i, j = np.meshgrid(np.arange(m + 1), np.arange(m + 1), indexing="ij")
    place, time = j + n - i, j + i - n
    inside = (place >= 0) & (place <= m) & (time >= 0) & (time <= m)
    values = np.full((m + 1, m + 1), np.nan)
    values[inside] = u[time[inside], place[inside]]
    return (np.linspace(-1.0, 1.0, m + 1), np.linspace(0.0, 2.0, m + 1)), values[:, :, None]


def wave_four_frequency_1d(
    *, omega: float, amplitude: float, tolerance: float = 1e-10, largest: int = 1024
) -> Reference:
    """u_tt = u_xx on [0, 1] x [0, 1], at rest at first, driven at x = 0 by the sum of sin(2 pi f omega t), f = 1, 5, 10
    and 20, times amplitude / 4; in the coordinates t - x and t + x. Catalogue values 1 and 1.
    """
    first = first_grid(f"omega: {omega:g}", 160 * abs(omega), largest, least=32)

    def driver(t):
        return amplitude / 4 * sum(np.sin(2 * np.pi * omega * f * t) for f in (1, 5, 10, 20))

    return refine(
        "wave_four_frequency_1d",
        {"omega": omega, "amplitude": amplitude},
        lambda n: solve_driven_wave_1d(driver, n=n),
        n=first,
        order=2,
        largest=largest,
        tolerance=tolerance,
        holes=True,
    )


def wave_two_mode_1d(
    *, speed: float, tolerance: float = 1e-10, times: int | None = None, largest: int = 1024
) -> Reference:
    """u_tt = speed**2 u_xx on [0, 1]**2 with u(x, 0) = sin(pi x) + sin(4 pi x) / 2, u_t(x, 0) = 0 and
    u(0, t) = u(1, t) = 0. Catalogue value speed = 2.

    `times` output times, by default at least 201 and 200 to a unit of speed * t, for interpolation.
    """
    if not speed > 0:
        raise InputError(f"speed: needs a positive number, got {speed}")
    times = 1 + int(max(200, np.ceil(200 * speed))) if times is None else times
    first, largest = 64, min(largest, LARGEST_OUTPUT // times - 1)
    if 4 * first > largest:
        raise InputError(
            f"wave_two_mode_1d: {largest} intervals are too few, {4 * first} are needed, at {times} output times with "
            f"at most {LARGEST_OUTPUT} values; raise `largest`, lower `times` or `speed`"
        )
    return refine(
        "wave_two_mode_1d",
        {"speed": speed},
        lambda n: solve_wave_1d(
            lambda x: np.sin(np.pi * x) + np.sin(4 * np.pi * x) / 2,
            np.zeros_like,
            lambda t: 0.0,
            lambda t: 0.0,
            speed=speed,
            interval=(0.0, 1.0),
            final_time=1.0,
            n=n,
            times=times,
            steps=max(1, n // first),
        ),
        n=first,
        order=ORDER_SPACE,
        largest=largest,
        tolerance=tolerance,
    )
