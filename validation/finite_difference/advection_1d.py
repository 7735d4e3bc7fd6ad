"""u_t + c u_x = f on [a, b] x [0, T], periodic in x, u(x, 0) given.

Sixth-order central differences in x, three-stage Gauss collocation in t (`collocation`); both conserve the energy.
"""

from collections.abc import Callable

import numpy as np

from repnet_pde.errors import InputError

from .collocation import integrate
from .reference import Reference
from .refine import refine
from .rounding import rounded
from .stencils import ORDER, SMALLEST, periodic_difference_matrix

LARGEST_OUTPUT = 2_000_000  # values on the space-time grid


def solve_advection_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    *,
    speed: float,
    interval: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 201,
    steps: int = 1,
    source: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals in x with (times - 1) * steps time steps; order 6 in x and t.

    `initial` maps nodes (k,) to (k,), `source(x, t)` nodes and one time to (k,); both have the period b - a.
    Returns the axes (x, t), of n + 1 and `times` uniform nodes, and u of shape (n + 1, times, 1).
    """
    a, b = interval
    if n < SMALLEST or not b > a or not final_time > 0 or times < 2 or steps < 1:
        raise InputError(
            f"advection_1d: needs n >= {SMALLEST}, a < b, final_time > 0, times >= 2, steps >= 1; got n={n}, "
            f"interval={interval}, final_time={final_time}, times={times}, steps={steps}"
        )
    x, t = rounded(np.linspace(a, b, n + 1)), np.linspace(0.0, final_time, times)
    still = np.zeros(n)
    u = integrate(
        -speed * periodic_difference_matrix(n, (b - a) / n, 1),
        lambda now: still if source is None else source(x[:-1], now),
        rounded(initial(x[:-1])),
        t,
        steps,
        method="gauss",
    ).T
    return (x, t), np.vstack([u, u[:1]])[:, :, None]


def advection_1d(*, speed: float, tolerance: float = 1e-10, times: int | None = None, largest: int = 1024) -> Reference:
    """u_t + speed u_x = 0 on [0, 2 pi] x [0, 1], periodic in x, u(x, 0) = sin x. Catalogue value speed = 30.

    `times` output times, by default at least 201 and 100 to a wave, for interpolation.
    """
    if speed == 0:
        raise InputError("speed: needs a number other than zero, got 0")
    times = 1 + int(max(200, np.ceil(16 * abs(speed)))) if times is None else times
    first, largest = 32, min(largest, LARGEST_OUTPUT // times - 1)
    if 4 * first > largest:
        raise InputError(
            f"advection_1d: {largest} intervals are too few, {4 * first} are needed, at {times} output times with "
            f"at most {LARGEST_OUTPUT} values; raise `largest`, lower `times` or `speed`"
        )
    return refine(
        "advection_1d",
        {"speed": speed},
        lambda n: solve_advection_1d(
            np.sin,
            speed=speed,
            interval=(0.0, 2 * np.pi),
            final_time=1.0,
            n=n,
            times=times,
            steps=n // first,
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
