"""-Laplace u = f on [0, 1]^4, u given on the boundary.

Sixth-order differences along each axis (`stencils`). Their matrix for the inner nodes is diagonalised once, and the
equation solved in its eigenvectors along every axis, where it is a division (R. E. Lynch, J. R. Rice, D. H. Thomas,
Numer. Math. 6 (1964) 185-199): O(n^5) operations.
"""

from collections.abc import Callable

import numpy as np

from repnet_pde.errors import InputError

from .reference import Reference
from .refine import refine
from .rounding import rounded, rounded_together
from .stencils import ORDER, SMALLEST, difference_matrix

AXES = 4
FIRST = 16
KEPT = 32
"""Intervals of the grid on which the solution is returned, at most."""


def solve_poisson_4d(
    source: Callable[..., np.ndarray], boundary: Callable[..., np.ndarray], *, n: int
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Solve on n intervals along each axis; order 6.

    `source` and `boundary` map four arrays that broadcast together to an array of the broadcast shape. Returns the four
    axes, of n + 1 uniform nodes or every second, fourth, ... of them, so that there are no more than 33, and u on
    their grid, with one component.
    """
    if n < SMALLEST:
        raise InputError(f"poisson_4d: needs n >= {SMALLEST}, got n={n}")
    x = rounded(np.linspace(0.0, 1.0, n + 1))
    second = difference_matrix(n, 1 / n, 2).toarray()
    inner, ends = second[:, 1:-1], second[:, [0, -1]]
    grid = np.ix_(*[x[1:-1]] * AXES)
    right = rounded(np.array(np.broadcast_to(-source(*grid), (n - 1,) * AXES)))
    for axis in range(AXES):
        faces = list(grid)
        faces[axis] = x[[0, -1]].reshape([-1 if i == axis else 1 for i in range(AXES)])
        right -= _along(ends, boundary(*faces), axis)
    values, vectors = np.linalg.eig(rounded_together(inner))
    if np.abs(values.imag).max() > 0:
        raise InputError(f"poisson_4d: the difference matrix of n={n} has complex eigenvalues")
    inverse = np.linalg.inv(vectors)
    for axis in range(AXES):
        right = rounded_together(_along(inverse, right, axis))
    right /= sum(np.ix_(*[values] * AXES))
    for axis in range(AXES):
        right = rounded_together(_along(vectors, right, axis))
    u = np.array(np.broadcast_to(boundary(*np.ix_(*[x] * AXES)), (n + 1,) * AXES))
    u[(slice(1, -1),) * AXES] = right
    stride = slice(None, None, -(-n // KEPT) if n % KEPT == 0 else 1)
    return (x[stride],) * AXES, u[(stride,) * AXES][..., None].copy()


def _along(matrix: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    """A matrix applied along one axis."""
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)


def poisson_multiscale_4d(*, k: float, tolerance: float = 1e-10, largest: int = 64) -> Reference:
    """u = sin pi (x1 + x2 + x3 + x4) + sin k x1 sin k x2 sin k x3 sin k x4 / 10 on [0, 1]**4.

    Catalogue value k = 6 pi.
    """
    if not k > 0:
        raise InputError(f"k: needs a positive number, got {k:g}")
    if k > np.pi * FIRST / 2:
        raise InputError(f"k: {k:g} given; up to {np.pi * FIRST / 2:.3g} is resolved by largest={largest} intervals")

    def parts(*x):
        return np.sin(np.pi * sum(x)), np.prod(np.broadcast_arrays(*(np.sin(k * v) for v in x)), axis=0) / 10

    def source(*x):
        slow, fast = parts(*x)
        return AXES * (np.pi**2 * slow + k**2 * fast)

    return refine(
        "poisson_multiscale_4d",
        {"k": k},
        lambda n: solve_poisson_4d(source, lambda *x: sum(parts(*x)), n=n),
        n=FIRST,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
