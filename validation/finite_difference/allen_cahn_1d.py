"""u_t = d u_xx + 5 (u - u**3) + f on [a, b] x [0, T], u(x, 0), u(a, t) and u(b, t) given (Dirichlet), by `lines`."""

from collections.abc import Callable

import numpy as np

from repnet_pde.errors import InputError

from .lines import nodes_dense_at_ends, solve_lines
from .reference import Reference
from .refine import refine
from .stencils import ORDER

RATE = 5.0


def solve_allen_cahn_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    left: Callable[[float], float],
    right: Callable[[float], float],
    *,
    d: float,
    interval: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 201,
    finest: float = 1.0,
    rtol: float = 1e-10,
    source: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals in x; order 6 in x, and in t to the relative and absolute tolerance `rtol`.

    `initial` maps nodes (k,) to (k,), `source(x, t)` nodes and one time to (k,). `finest` in (0, 1] is
    the spacing at the ends of the interval relative to a uniform grid's. Returns the axes (x, t), of
    n + 1 graded and `times` uniform nodes, and u of shape (n + 1, times, 1); NaN from the time at which
    the integrator failed, if it does.
    """
    if not d > 0:
        raise InputError(f"d: needs a positive diffusivity, got {d}")

    def rate(x, t, u, u_x, u_xx):
        change = d * u_xx + RATE * (u - u**3)
        return change if source is None else change + source(x, t)

    return solve_lines(
        "allen_cahn_1d",
        rate,
        initial,
        left,
        right,
        nodes=nodes_dense_at_ends("allen_cahn_1d", interval, n, finest),
        final_time=final_time,
        times=times,
        rtol=rtol,
    )


def allen_cahn_1d(*, d: float, tolerance: float = 1e-8, times: int = 201, largest: int | None = None) -> Reference:
    """u_t = d u_xx + 5 (u - u**3) on [-1, 1] x [0, 1], u(x, 0) = x**2 cos(pi x), u(-1, t) = u(1, t) = -1.

    Catalogue value d = 1e-3. Layers of width sqrt(2 d / 5) separate the phases u = 1 and u = -1; the first grid
    resolves them. Nodes are concentrated at the ends, where initial and boundary values are incompatible: u_t
    jumps from 0 to d u_xx at t = 0, and the jump spreads over sqrt(d t). `largest` bounds the intervals, by
    default 32 times those of the first grid.
    """
    if not d > 0:
        raise InputError(f"d: needs a positive diffusivity, got {d}")
    first = int(np.ceil(max(100.0, 200 * np.sqrt(1e-3 / d))))
    largest = 32 * first if largest is None else largest
    if 4 * first > largest:
        raise InputError(f"largest: {largest} intervals are too few, give at least {4 * first}")

    def rtol(n):  # finer in time with every grid, or its error would not show in their differences
        return max(1e-12, 1e-9 * (first / n) ** 4)

    return refine(
        "allen_cahn_1d",
        {"d": d},
        lambda n: solve_allen_cahn_1d(
            lambda x: x**2 * np.cos(np.pi * x),
            lambda t: -1.0,
            lambda t: -1.0,
            d=d,
            interval=(-1.0, 1.0),
            final_time=1.0,
            n=n,
            times=times,
            finest=0.3,
            rtol=rtol(n),
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
