"""Legendre-Galerkin bases of functions that vanish at both ends of an interval, for the inverse problems' solvers.

phi_k = c_k (L_k - L_{k+2}) on [-1, 1] with c_k = (4 k + 6)**-1/2, for which the stiffness matrix is the identity and
the mass matrix has five diagonals (J. Shen, SIAM J. Sci. Comput. 15 (1994) 1489-1505). The error falls faster than any
power of the number m of functions where the solution is smooth; it is symmetric, so that eigenvalues stay real.
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from scipy.linalg import eigh

Interval = tuple[float, float]


def basis(x: np.ndarray, m: int, interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives (n, m) of the first m functions at points x (n,)."""
    a, b = interval
    k = np.arange(m)
    scale = 1 / np.sqrt(4 * k + 6)
    polynomials = legvander((2 * np.asarray(x) - a - b) / (b - a), m + 1)
    values = scale * (polynomials[:, :m] - polynomials[:, 2:])
    return values, -scale * (2 * k + 3) * polynomials[:, 1:-1] * 2 / (b - a)


@lru_cache(maxsize=32)
def quadrature(n: int, interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (n,) of Gauss's rule."""
    a, b = interval
    nodes, weights = leggauss(n)
    return (a + b) / 2 + (b - a) / 2 * nodes, (b - a) / 2 * weights


@lru_cache(maxsize=32)
def modes(m: int, interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (m,) of -u'' and its eigenfunctions, the columns of coefficients (m, m), of norm 1 in L2."""
    nodes, weights = quadrature(m + 2, interval)
    values, slopes = basis(nodes, m, interval)
    return eigh(slopes.T @ (weights[:, None] * slopes), values.T @ (weights[:, None] * values))


def stiffness_2d(coefficient: np.ndarray, m: int, nodes: int, interval: Interval) -> np.ndarray:
    """The matrix (m**2, m**2) of -div(a grad u) on the square `interval`**2 in the products phi_i(x) phi_j(y).

    `coefficient` (nodes, nodes) is a at the Gauss nodes, x along the first axis.
    """
    x, weights = quadrature(nodes, interval)
    values, slopes = basis(x, m, interval)
    weighted = weights[:, None] * coefficient * weights
    masses, stiffnesses = ((f[:, :, None] * f[:, None]).reshape(nodes, m * m) for f in (values, slopes))
    along_x = (stiffnesses.T @ (weighted @ masses)).reshape(m, m, m, m)  # i, k of x, then j, l of y
    along_y = (masses.T @ (weighted @ stiffnesses)).reshape(m, m, m, m)
    return (along_x + along_y).transpose(0, 2, 1, 3).reshape(m * m, m * m)


def barycentric(nodes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The matrix (n, k) that takes values at k nodes to their interpolating polynomial's values at x (n,).

    J.-P. Berrut, L. N. Trefethen, SIAM Rev. 46 (2004) 501-517.
    """
    differences = nodes[:, None] - nodes
    np.fill_diagonal(differences, 1.0)
    weights = 1 / differences.prod(axis=1)
    distance = x[:, None] - nodes
    hit = distance == 0
    terms = weights / np.where(hit, 1.0, distance)
    matrix = terms / terms.sum(axis=1, keepdims=True)
    on_node = hit.any(axis=1)
    matrix[on_node] = hit[on_node]
    return matrix
