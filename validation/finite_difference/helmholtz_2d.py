"""-Laplace u - kappa**2 u = f on the square [0, 1]**2, u given on its boundary (Dirichlet).

Compact nine-point scheme of order 6. With dx, dy the second central differences and w = f + kappa**2 u
= -Laplace u, Taylor's formula for the nine-point Laplacian L = (dx + dy + dx dy / 6) / h**2 is

    L u = -[w + h**2/12 Laplace w + h**4/360 (Laplace**2 w + 2 w_xxyy)] + O(h**6),

and -kappa**2 w replaces kappa**2 Laplace u wherever it appears, so that u is differenced by L and dx dy
only (I. Singer, E. Turkel, J. Comput. Acoust. 14 (2006) 339-351; G. Sutmann, J. Comput. Appl. Math. 203
(2007) 15-31). The derivatives of f are differenced on nodes of spacing h/2. The sine transform
diagonalises dx and dy, hence the system is solved exactly up to rounding, without a factorisation.
"""

from collections.abc import Callable

import numpy as np
from scipy.fft import dstn, idstn

from repnet_pde.errors import InputError

from .reference import Reference
from .refine import first_grid, refine
from .rounding import rounded, rounded_together

ORDER = 6
SINGULAR = 1e-8  # relative distance of kappa**2 to an eigenvalue below which there is no usable solution


def nearest_eigenvalue(kappa: float) -> tuple[float, int, int]:
    """Relative distance |kappa**2 - lambda| / lambda to the closest lambda = (j**2 + k**2) pi**2, with j <= k."""
    wanted = (kappa / np.pi) ** 2
    j = np.arange(1, 2 + int(np.sqrt(wanted / 2 + 1)))
    root = np.sqrt(np.maximum(wanted - j**2, 1.0))
    j = np.concatenate([j, j])
    k = np.maximum(np.concatenate([np.floor(root), np.ceil(root)]), 1)
    distance = np.abs(wanted - j**2 - k**2) / (j**2 + k**2)
    i = int(np.argmin(distance))
    return float(distance[i]), int(j[i]), int(k[i])


def solve_helmholtz_2d(
    source: Callable[[np.ndarray, np.ndarray], np.ndarray],
    boundary: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    kappa: float,
    n: int,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """-Laplace u - kappa**2 u = source(x, y) inside, u = boundary(x, y) on the boundary; order 6.

    Both functions map two arrays of one shape to an array of that shape. Returns the axes (x, y), of
    n + 1 uniform nodes each, and u of shape (n + 1, n + 1, 1). Raises `InputError` where kappa**2 is an
    eigenvalue of -Laplace, because then no solution is the only one.
    """
    distance, j, k = nearest_eigenvalue(kappa)
    if n < 2 or not kappa >= 0:
        raise InputError(f"helmholtz_2d: needs n >= 2 and kappa >= 0, got n={n}, kappa={kappa}")
    if distance < SINGULAR:
        raise InputError(
            f"kappa: {kappa:.12g} is a resonance of the square, kappa**2 = ({j}**2 + {k}**2) pi**2 to "
            f"{distance:.0e} relative, where the solution is not unique; move kappa away from it"
        )
    h, kk = 1.0 / n, kappa**2
    x = rounded(np.linspace(0.0, 1.0, n + 1))
    u = np.zeros((n + 1, n + 1))
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        u[edge] = boundary(*(grid[edge] for grid in np.meshgrid(x, x, indexing="ij")))

    zeroth = rounded(kk) * (1 - kk * h**2 / 12 + kk**2 * h**4 / 360)
    right = _source_terms(source, kk, n) + _operator(u, zeroth, kk, h)
    lam = rounded(-4 * np.sin(np.arange(1, n) * np.pi / (2 * n)) ** 2)  # eigenvalues of dx and of dy
    total, product = lam[:, None] + lam, lam[:, None] * lam
    symbol = rounded(total + product / 6) / h**2 + zeroth + kk / 180 * product
    waves = rounded_together(dstn(right, type=1))
    u[1:-1, 1:-1] = rounded_together(idstn(waves / -symbol, type=1))
    return (x, x.copy()), u[:, :, None]


def _operator(u: np.ndarray, zeroth: float, kk: float, h: float) -> np.ndarray:
    """(L + zeroth + kappa**2/180 dx dy) u at the inner nodes."""
    dx = u[:-2] - 2 * u[1:-1] + u[2:]
    dy = u[:, :-2] - 2 * u[:, 1:-1] + u[:, 2:]
    both = dx[:, :-2] - 2 * dx[:, 1:-1] + dx[:, 2:]
    return (dx[:, 1:-1] + dy[1:-1] + both / 6) / h**2 + zeroth * u[1:-1, 1:-1] + kk / 180 * both


def _source_terms(source: Callable, kk: float, n: int) -> np.ndarray:
    """f, Laplace f, Laplace**2 f and f_xxyy at the inner nodes, weighted as the scheme needs them."""
    half = rounded(np.linspace(0.0, 1.0, 2 * n + 1))
    f = rounded(source(*np.meshgrid(half, half, indexing="ij")))

    def at(i, j):  # f shifted by i and j half steps, at the inner nodes
        return f[2 + i : 2 * n - 1 + i : 2, 2 + j : 2 * n - 1 + j : 2]

    centre = at(0, 0)
    near = at(1, 0) + at(-1, 0) + at(0, 1) + at(0, -1)
    far = at(2, 0) + at(-2, 0) + at(0, 2) + at(0, -2)
    corner = at(1, 1) + at(1, -1) + at(-1, 1) + at(-1, -1)
    d = 0.5 / n
    laplacian = (-far + 16 * near - 60 * centre) / (12 * d**2)
    fourth = (far - 4 * near + 12 * centre) / d**4  # f_xxxx + f_yyyy
    mixed = (corner - 2 * near + 4 * centre) / d**4  # f_xxyy
    h, h4 = 1.0 / n, 1.0 / n**4
    return (
        (1 - kk * h**2 / 12 + kk**2 * h4 / 360) * centre
        + (h**2 / 12 - kk * h4 / 360) * laplacian
        + h4 / 360 * (fourth + 4 * mixed)
    )


def helmholtz_2d(*, kappa: float, tolerance: float = 1e-10, largest: int = 1024) -> Reference:
    """-Laplace u - kappa**2 u = kappa**2 sin(kappa x) sin(kappa y) on [0, 1]**2 with the boundary values of
    u = sin(kappa x) sin(kappa y). Catalogue value kappa = 4 pi.
    """
    if not kappa > 0:
        raise InputError(f"kappa: needs a positive number, got {kappa}")
    first = first_grid(f"kappa: {kappa:g}", kappa, largest)

    def exact(x, y):
        return np.sin(kappa * x) * np.sin(kappa * y)

    return refine(
        "helmholtz_2d",
        {"kappa": kappa},
        lambda n: solve_helmholtz_2d(lambda x, y: kappa**2 * exact(x, y), exact, kappa=kappa, n=n),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def helmholtz_modes_2d(*, a1: float, a2: float, k: float, tolerance: float = 1e-10, largest: int = 1024) -> Reference:
    """Laplace u + k**2 u = q on [-1, 1]**2 with the boundary values of u = sin(a1 pi x) sin(a2 pi y) and
    q = (k**2 - (a1 pi)**2 - (a2 pi)**2) u. Catalogue values a1 = 1, a2 = 4, k = 1.

    Solved on the unit square of x = 2 xi - 1, y = 2 eta - 1, where -Laplace u - (2 k)**2 u = -4 q.
    """
    if not k >= 0:
        raise InputError(f"k: needs a number >= 0, got {k}")
    kappa, slow, fast = 2 * k, a1 * np.pi, a2 * np.pi
    wavenumbers = {f"k: {k:g}": kappa, f"a1: {a1:g}": 2 * abs(slow), f"a2: {a2:g}": 2 * abs(fast)}
    fastest = max(wavenumbers, key=wavenumbers.get)
    first = first_grid(fastest, wavenumbers[fastest], largest)

    def exact(xi, eta):
        return np.sin(slow * (2 * xi - 1)) * np.sin(fast * (2 * eta - 1))

    def source(xi, eta):
        return -4 * (k**2 - slow**2 - fast**2) * exact(xi, eta)

    def solve(n):
        (xi, eta), u = solve_helmholtz_2d(source, exact, kappa=kappa, n=n)
        return (2 * xi - 1, 2 * eta - 1), u

    return refine(
        "helmholtz_modes_2d",
        {"a1": a1, "a2": a2, "k": k},
        solve,
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
