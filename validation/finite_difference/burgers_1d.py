"""u_t + u u_x = nu u_xx + f on [a, b] x [0, T], u(x, 0), u(a, t) and u(b, t) given (Dirichlet), by `lines`."""

from collections.abc import Callable

import numpy as np

from repnet_pde.errors import InputError

from .lines import nodes_dense_at_centre, solve_lines
from .reference import Reference
from .refine import refine
from .stencils import ORDER


def solve_burgers_1d(
    initial: Callable[[np.ndarray], np.ndarray],
    left: Callable[[float], float],
    right: Callable[[float], float],
    *,
    nu: float,
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
    the spacing at the middle of the interval relative to a uniform grid's. Returns the axes (x, t), of
    n + 1 graded and `times` uniform nodes, and u of shape (n + 1, times, 1); NaN from the time at which
    the integrator failed, if it does.
    """
    if not nu > 0:
        raise InputError(f"nu: needs a positive viscosity, got {nu}")

    def rate(x, t, u, u_x, u_xx):
        change = nu * u_xx - u * u_x
        return change if source is None else change + source(x, t)

    return solve_lines(
        "burgers_1d",
        rate,
        initial,
        left,
        right,
        nodes=nodes_dense_at_centre("burgers_1d", interval, n, finest),
        final_time=final_time,
        times=times,
        rtol=rtol,
    )


def burgers_1d(*, nu: float, tolerance: float = 1e-8, times: int = 401, largest: int = 1600) -> Reference:
    """u_t + u u_x = nu u_xx on [-1, 1] x [0, 1], u(x, 0) = -sin(pi x), u(-1, t) = u(1, t) = 0.

    Catalogue value nu = 0.01 / pi, where an interior layer of width nu forms at x = 0 after t = 1 / pi. The
    spacing there is chosen in proportion to nu. The problem of C. Basdevant et al., Comput. Fluids 14
    (1986) 23-41.
    """
    if not nu > 0:
        raise InputError(f"nu: needs a positive viscosity, got {nu}")
    first = 100

    def rtol(n):  # finer in time with every grid, or its error would not show in their differences
        return max(1e-12, 1e-9 * (first / n) ** 4)

    if 4 * first > largest:
        raise InputError(f"largest: {largest} intervals are too few, give at least {4 * first}")
    return refine(
        "burgers_1d",
        {"nu": nu},
        lambda n: solve_burgers_1d(
            lambda x: -np.sin(np.pi * x),
            lambda t: 0.0,
            lambda t: 0.0,
            nu=nu,
            interval=(-1.0, 1.0),
            final_time=1.0,
            n=n,
            times=times,
            finest=min(1.0, 15 * nu),
            rtol=rtol(n),
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def burgers_cole_hopf(x: np.ndarray, t: np.ndarray, nu: float) -> np.ndarray:
    """The exact solution of the problem of `burgers_1d` at points x and times t, of shapes that broadcast.

    Cole and Hopf: u = -I[sin(pi y) w] / I[w], w(y) = exp(-cos(pi y) / (2 pi nu) - (x - y)**2 / (4 nu t)), I the
    integral over y (J. D. Cole, Quart. Appl. Math. 9 (1951) 225-236). The trapezoidal rule converges
    geometrically here, as Gauss-Hermite quadrature does, and its weights cannot underflow; w is scaled by its
    largest value. The saddle points of w have abs(x - y) <= t, so beyond t + d it has fallen by
    exp(-d**2 / (4 nu t)); a Fourier bound of the rule's error gives the spacing. About 13 digits, any nu.
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(t))
    x, t = (np.broadcast_to(np.asarray(a, dtype=float), shape).ravel() for a in (x, t))
    u = -np.sin(np.pi * x)
    for moment in np.unique(t[t > 0]):
        reach = moment + 6.5 * np.sqrt(4 * nu * moment)
        spacing = min(0.5 * np.sqrt(nu / (np.pi + 1 / moment)), 0.05)
        shift = np.linspace(-reach, reach, 1 + 2 * int(np.ceil(reach / spacing)))
        chosen = np.flatnonzero(t == moment)
        for part in np.array_split(chosen, 1 + len(chosen) * len(shift) // 2_000_000):
            y = np.pi * (x[part, None] - shift)
            exponent = -np.cos(y) / (2 * np.pi * nu) - shift**2 / (4 * nu * moment)
            w = np.exp(exponent - exponent.max(axis=1, keepdims=True))
            u[part] = -(np.sin(y) * w).sum(axis=1) / w.sum(axis=1)
    return u.reshape(shape)
