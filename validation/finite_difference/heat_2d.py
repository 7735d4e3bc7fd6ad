"""u_t = a u_xx + b u_yy on [0, 1]^2 x [0, T], u = 0 on the boundary, u(x, y, 0) given.

Sixth-order differences along each axis (`stencils`). The matrices A and B of the two axes act on U from either side,
U' = A U + U B^T, so that U(t) = exp(t A) U(0) exp(t B)^T: in time the scheme is exact.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import expm

from repnet_pde import limits
from repnet_pde.errors import InputError

from .reference import Reference
from .refine import first_grid, refine
from .rounding import rounded
from .stencils import ORDER, SMALLEST, difference_matrix


def solve_heat_2d(
    initial: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    diffusivities: tuple[float, float],
    final_time: float,
    n: int,
    times: int = 41,
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Solve on n intervals along each axis; order 6.

    `initial` maps two arrays of one shape to an array of that shape, and vanishes on the boundary. Returns the axes
    (x, y, t), of n + 1, n + 1 and `times` uniform nodes, and u of shape (n + 1, n + 1, times, 1).
    """
    if n < SMALLEST or not min(diffusivities) > 0 or not final_time > 0 or times < 2:
        raise InputError(
            f"heat_2d: needs n >= {SMALLEST}, positive diffusivities, final_time > 0 and times >= 2; got n={n}, "
            f"diffusivities={diffusivities}, final_time={final_time}, times={times}"
        )
    x, t = rounded(np.linspace(0.0, 1.0, n + 1)), np.linspace(0.0, final_time, times)
    second = difference_matrix(n, 1 / n, 2)[:, 1:-1].toarray()
    steps = [expm(t[1] * d * second) for d in diffusivities]
    u = np.zeros((n + 1, n + 1, times))
    u[1:-1, 1:-1, 0] = rounded(initial(*np.meshgrid(x[1:-1], x[1:-1], indexing="ij")))
    for i in range(1, times):
        limits.check()
        u[1:-1, 1:-1, i] = rounded(rounded(steps[0]) @ u[1:-1, 1:-1, i - 1] @ rounded(steps[1]).T)
    return (x, x.copy(), t), u[..., None]


def heat_multiscale_2d(*, m: float, tolerance: float = 1e-10, largest: int = 256) -> Reference:
    """u_t = u_xx / (500 pi)**2 + u_yy / pi**2 on [0, 1]**2 x [0, 5], u(x, y, 0) = sin(m pi x) sin(pi y).

    Catalogue value m = 20.
    """
    if m != int(m) or m < 1:
        raise InputError(f"m: needs a whole number >= 1, got {m:g}")
    first = first_grid(f"m: {m:g}", 3 * m, largest)
    return refine(
        "heat_multiscale_2d",
        {"m": m},
        lambda n: solve_heat_2d(
            lambda x, y: np.sin(m * np.pi * x) * np.sin(np.pi * y),
            diffusivities=(1 / (500 * np.pi) ** 2, 1 / np.pi**2),
            final_time=5.0,
            n=n,
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
