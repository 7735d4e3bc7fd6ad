"""u_t = D u_xx + f on [a, b] x [0, T], u(x, 0), u(a, t) and u(b, t) given (Dirichlet).

Sixth-order differences in x (`stencils`), three-stage Radau IIA collocation in t (`collocation`).
"""

from collections.abc import Callable

import numpy as np

from repnet_pde.errors import InputError

from .collocation import integrate
from .reference import Reference
from .refine import refine
from .rounding import rounded
from .stencils import SMALLEST, difference_matrix

ORDER_SPACE = 6
ORDER_TIME = 4  # 5 where the boundary values are constant
LARGEST_OUTPUT = 2_000_000  # values on the space-time grid


def solve_heat_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    left: Callable[[float], float],
    right: Callable[[float], float],
    *,
    diffusivity: float,
    interval: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 101,
    steps: int = 1,
    source: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals in x with (times - 1) * steps time steps; order 6 in x and at least 4 in t.

    `initial` maps nodes (k,) to (k,), `source(x, t)` nodes and one time to (k,); the units are those of
    the equation. Returns the axes (x, t), of n + 1 and `times` uniform nodes, and u of shape
    (n + 1, times, 1).
    """
    a, b = interval
    if n < SMALLEST or not b > a or not final_time > 0 or times < 2 or steps < 1 or not diffusivity > 0:
        raise InputError(
            f"heat_1d: needs n >= {SMALLEST}, a < b, final_time > 0, times >= 2, steps >= 1, diffusivity > 0; got "
            f"n={n}, interval={interval}, final_time={final_time}, times={times}, steps={steps}, "
            f"diffusivity={diffusivity}"
        )
    x, t = rounded(np.linspace(a, b, n + 1)), np.linspace(0.0, final_time, times)
    second = diffusivity * difference_matrix(n, (b - a) / n, 2)
    at_left, at_right = second[:, [0]].toarray()[:, 0], second[:, [n]].toarray()[:, 0]

    def forcing(now):
        boundary = at_left * left(now) + at_right * right(now)
        return boundary if source is None else boundary + source(x[1:-1], now)

    u = np.empty((n + 1, times))
    u[0], u[-1] = [left(s) for s in t], [right(s) for s in t]
    u[1:-1] = integrate(second[:, 1:n], forcing, rounded(initial(x)[1:-1]), t, steps, method="radau").T
    return (x, t), u[:, :, None]


def heat_high_frequency_1d(
    *, m: float, tolerance: float = 1e-10, times: int = 81, largest: int | None = None
) -> Reference:
    """u_t = D u_xx on [0, 1] x [0, 1] with D = 1/(m pi)**2, u(x, 0) = sin(m pi x), u(0, t) = 0 and
    u(1, t) = exp(-t) sin(m pi), which is zero for whole m. Catalogue value m = 50.

    `times` output times; `largest` bounds the intervals in x, by default so that the output has at most
    two million values.
    """
    if not m > 0:
        raise InputError(f"m: needs a positive number of half waves, got {m}")
    largest = LARGEST_OUTPUT // times - 1 if largest is None else largest
    first = int(max(32, np.ceil(5 * m)))
    if 4 * first > largest:
        raise InputError(f"m: {m:g} half waves need at least {4 * first} intervals, more than largest={largest}")
    end = np.sin(m * np.pi)
    diffusivity = 1 / (m * np.pi) ** 2
    return refine(
        "heat_high_frequency_1d",
        {"m": m},
        lambda n: solve_heat_1d(
            lambda x: np.sin(m * np.pi * x),
            lambda t: 0.0,
            lambda t: np.exp(-t) * end,
            diffusivity=diffusivity,
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
