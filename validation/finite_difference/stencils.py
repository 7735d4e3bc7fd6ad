"""Sixth-order difference matrices on a uniform grid, shared by the time-dependent equations.

Inside, the central seven-point stencil is used. The two nodes next to each end use the one-sided
stencil on six nodes, of order 6 - m for the m-th derivative; with a second derivative in the equation
the solution keeps order 6, because m orders may be lost at the ends (B. Gustafsson, SIAM J. Numer.
Anal. 18 (1981) 179-190; M. Svaerd, J. Nordstroem, J. Comput. Phys. 218 (2006) 333-352). With these
closures the eigenvalues of the second difference with Dirichlet ends are real and negative, which the
wave equation needs; one-sided stencils of order 6 have complex ones.
"""

from math import factorial

import numpy as np
from scipy import sparse

from .rounding import rounded

ORDER = 6
SMALLEST = 8  # intervals: fewer leave no room for the stencils


def weights(offsets: np.ndarray, derivative: int) -> np.ndarray:
    """Weights w with sum_j w_j u(x + offsets_j h) = h**derivative u^(derivative)(x) + higher powers of h.

    Taylor's conditions, solved as a linear system; B. Fornberg, Math. Comp. 51 (1988) 699-706, tabulates them.
    """
    offsets = np.asarray(offsets, dtype=float)
    moments = np.zeros(len(offsets))
    moments[derivative] = factorial(derivative)
    return rounded(np.linalg.solve(offsets[None, :] ** np.arange(len(offsets))[:, None], moments))


def difference_matrix(n: int, step: float, derivative: int) -> sparse.csr_array:
    """The first or second derivative at the n - 1 inner ones of n + 1 nodes: an (n - 1, n + 1) matrix."""
    half = ORDER // 2
    inner = np.arange(half, n + 1 - half)  # nodes with a central stencil
    offsets = np.arange(-half, half + 1)
    rows = [np.repeat(inner, len(offsets))]
    columns = [(inner[:, None] + offsets).ravel()]
    entries = [np.tile(weights(offsets, derivative), len(inner))]
    for node in range(1, half):
        closure = np.arange(ORDER)
        rows += [np.full(ORDER, node), np.full(ORDER, n - node)]
        columns += [closure, n - closure]
        w = weights(closure - node, derivative)
        entries += [w, (-1) ** derivative * w]
    rows, columns, entries = map(np.concatenate, (rows, columns, entries))
    return rounded(sparse.csr_array((entries / step**derivative, (rows - 1, columns)), shape=(n - 1, n + 1)))


def periodic_difference_matrix(n: int, step: float, derivative: int) -> sparse.csr_array:
    """A derivative at n nodes of one period, central everywhere and of order 6: an (n, n) matrix."""
    reach = ORDER // 2 + (derivative - 1) // 2
    offsets = np.arange(-reach, reach + 1)
    rows, columns = np.repeat(np.arange(n), len(offsets)), (np.arange(n)[:, None] + offsets).ravel() % n
    entries = np.tile(weights(offsets, derivative), n) / step**derivative
    return rounded(sparse.csr_array((entries, (rows, columns)), shape=(n, n)))
