"""u_t = F(x, t, u, u_x, u_xx) on [a, b] x [0, T], u(x, 0), u(a, t) and u(b, t) given (Dirichlet).

The method of lines: sixth-order differences (`stencils`) on the uniform nodes xi in [-1, 1] of a map x(xi), with
u_x = u_xi / x' and u_xx = (u_xixi - x'' u_x) / x'**2. In time LSODA (variable order and step, banded Jacobian) at
a tolerance far below the error in space.
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from repnet_pde import limits
from repnet_pde.errors import InputError

from .refine import Grid
from .rounding import integrator, rounded
from .stencils import ORDER, SMALLEST, difference_matrix

Nodes = tuple[np.ndarray, np.ndarray, np.ndarray]


def solve_lines(
    name: str,
    rate: Callable[..., np.ndarray],
    initial: Callable[[np.ndarray], np.ndarray],
    left: Callable[[float], float],
    right: Callable[[float], float],
    *,
    nodes: Nodes,
    final_time: float,
    times: int,
    rtol: float,
) -> Grid:
    """Solve on the n + 1 `nodes` (see below); order 6 in x, and in t to the relative and absolute tolerance `rtol`.

    `rate(x, t, u, u_x, u_xx)` is F at the inner nodes: arrays (n - 1,) but for the number t. `initial` maps nodes
    (k,) to (k,). Returns the axes (x, t), of n + 1 and `times` nodes, and u of shape (n + 1, times, 1); NaN from the
    time at which the integrator failed, if it does.
    """
    if not final_time > 0 or times < 2:
        raise InputError(f"{name}: needs final_time > 0, times >= 2; got final_time={final_time}, times={times}")
    x, stretch, bend = nodes
    n = len(x) - 1
    first = difference_matrix(n, 2 / n, 1).multiply(1 / stretch[:, None]).tocsr()
    second = difference_matrix(n, 2 / n, 2).multiply(1 / stretch[:, None] ** 2)
    second = (second - first.multiply((bend / stretch**2)[:, None])).tocsr()
    t = np.linspace(0.0, final_time, times)
    u = np.empty((n + 1, times))
    u[0], u[-1] = [left(s) for s in t], [right(s) for s in t]
    whole = np.empty(n + 1)

    def change(now, inner):
        limits.check()
        whole[0], whole[-1] = left(now), right(now)
        whole[1:-1] = inner
        return rate(x[1:-1], now, inner, first @ whole, second @ whole)

    run = solve_ivp(
        change,
        (0.0, final_time),
        rounded(initial(x)[1:-1]),
        method="LSODA",
        t_eval=t,
        rtol=integrator(rtol),
        atol=integrator(rtol),
        lband=ORDER - 2,  # the reach of the one-sided stencils
        uband=ORDER - 2,
    )
    u[1:-1] = np.nan
    u[1:-1, : run.y.shape[1]] = run.y
    return (x, t), u[:, :, None]


def nodes_dense_at_centre(name: str, interval: tuple[float, float], n: int, finest: float) -> Nodes:
    """x = centre + half width * sinh(beta xi) / sinh(beta): n + 1 nodes, and x' and x'' (n - 1,) at the inner ones.

    `finest` in (0, 1] is the spacing at the centre relative to a uniform grid's.
    """
    xi = _uniform(name, interval, n, finest)
    if finest == 1:
        return _placed(interval, xi, np.ones(n + 1), np.zeros(n + 1))
    beta = brentq(lambda s: s / np.sinh(s) - finest, 1e-8, 50.0) if finest < 1 - 1e-12 else 1e-8
    x = np.sinh(beta * xi) / np.sinh(beta)
    return _placed(interval, x, beta * np.cosh(beta * xi) / np.sinh(beta), beta**2 * x)


def nodes_dense_at_ends(name: str, interval: tuple[float, float], n: int, finest: float) -> Nodes:
    """x = centre + half width * sin(alpha xi) / sin(alpha), else as `nodes_dense_at_centre` with `finest` at the ends.

    The spacing at the centre is at most pi / 2 times a uniform grid's.
    """
    xi = _uniform(name, interval, n, finest)
    if finest == 1:
        return _placed(interval, xi, np.ones(n + 1), np.zeros(n + 1))
    alpha = brentq(lambda s: s / np.tan(s) - finest, 1e-8, np.pi / 2) if finest < 1 - 1e-12 else 1e-8
    x = np.sin(alpha * xi) / np.sin(alpha)
    return _placed(interval, x, alpha * np.cos(alpha * xi) / np.sin(alpha), -(alpha**2) * x)


def _uniform(name: str, interval: tuple[float, float], n: int, finest: float) -> np.ndarray:
    a, b = interval
    if n < SMALLEST or not b > a or not 0 < finest <= 1:
        raise InputError(
            f"{name}: needs n >= {SMALLEST}, a < b, 0 < finest <= 1; got n={n}, interval={interval}, finest={finest}"
        )
    xi = np.linspace(-1.0, 1.0, n + 1)
    return (xi - xi[::-1]) / 2  # odd to the last bit


def _placed(interval: tuple[float, float], x: np.ndarray, stretch: np.ndarray, bend: np.ndarray) -> Nodes:
    """The map of [-1, 1] moved to `interval`."""
    a, b = interval
    half = (b - a) / 2
    x = rounded(half * x + (a + b) / 2)
    x[0], x[-1] = a, b
    return x, rounded(half * stretch[1:-1]), rounded(half * bend[1:-1])
