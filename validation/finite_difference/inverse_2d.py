"""The forward solvers of the inverse problems in two space dimensions, by the Galerkin bases of `legendre`.

``resolution`` is the number m of basis functions along each axis; errors fall faster than any power of m.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from scipy.linalg import eigh, solve

from . import legendre

UNIT, SYMMETRIC = (0.0, 1.0), (-1.0, 1.0)
EXTRA = 8  # Gauss nodes along each axis beyond m, for products with the coefficient


def helmholtz_wavenumber_2d(
    unknowns: Mapping[str, float], x: np.ndarray, *, resolution: int | None = None
) -> np.ndarray:
    """-Laplace u - kappa**2 u = f on [0, 1]**2, u = 0 on the boundary, at points x (n, 2): (n, 1).

    f = 100 exp(-((x - 0.4)**2 + (y - 0.55)**2) / 0.12**2). In the eigenfunctions of -Laplace, so that another kappa
    costs a division. Infinite where kappa**2 is an eigenvalue.
    """
    m = 44 if resolution is None else resolution
    eigenvalues, vectors, source = _gaussian_source(m)
    with np.errstate(divide="ignore"):
        u = source / (eigenvalues[:, None] + eigenvalues - unknowns["kappa"] ** 2)
    along_x, along_y = (legendre.basis(x[:, d], m, UNIT)[0] @ vectors for d in (0, 1))
    return np.sum((along_x @ u) * along_y, axis=1, keepdims=True)


@lru_cache(maxsize=8)
def _gaussian_source(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (m,), eigenfunctions (m, m) and the source's coefficients (m, m) in their products."""
    nodes, weights = legendre.quadrature(2 * m, UNIT)
    eigenvalues, vectors = legendre.modes(m, UNIT)
    project = (legendre.basis(nodes, m, UNIT)[0] @ vectors).T * weights
    source = 100 * np.exp(-((nodes[:, None] - 0.4) ** 2 + (nodes - 0.55) ** 2) / 0.12**2)
    return eigenvalues, vectors, project @ source @ project.T


def elliptic_coefficient_2d(
    unknowns: Mapping[str, Callable], x: np.ndarray, *, resolution: int | None = None
) -> np.ndarray:
    """-div(a grad u) = f on [0, 1]**2, u = 0 on the boundary, at points x (n, 2): (n, 1).

    The unknown "a" maps points (k, 2) to (k,) and must be positive; f is that of `elliptic_source`.
    """
    m = 18 if resolution is None else resolution
    matrix, load, _ = _assembled(unknowns["a"], elliptic_source, m, UNIT)
    return _products(x, m, UNIT) @ solve(matrix, load, assume_a="pos")[:, None]


def elliptic_source(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-div(a grad u) for u = sin(pi x) sin(pi y) and a = 1 / s, s = 1 + x**2 + y**2 + (x - 1)**2 + (y - 1)**2.

    a_x = -(4 x - 2) / s**2, hence f = 2 pi**2 u / s + pi ((4 x - 2) cos(pi x) sin(pi y)
    + (4 y - 2) sin(pi x) cos(pi y)) / s**2.
    """
    s = 1 + x**2 + y**2 + (x - 1) ** 2 + (y - 1) ** 2
    p, q = np.pi * x, np.pi * y
    slope = (4 * x - 2) * np.cos(p) * np.sin(q) + (4 * y - 2) * np.sin(p) * np.cos(q)
    return 2 * np.pi**2 * np.sin(p) * np.sin(q) / s + np.pi * slope / s**2


def heat_coefficient_2d(
    unknowns: Mapping[str, Callable], x: np.ndarray, *, resolution: int | None = None
) -> np.ndarray:
    """u_t - div(a grad u) = f on [-1, 1]**2 x [0, 1], u = 0 on the boundary, u = sin(pi x) sin(pi y) at t = 0.

    The unknown "a" maps points of space (k, 2) to (k,) and must be positive; f is exp(-t) times `heat_source`. At
    points x (n, 3) of x, y and t: (n, 1). In the eigenfunctions of the equation, exact in time.
    """
    m = 16 if resolution is None else resolution
    matrix, load, start = _assembled(unknowns["a"], heat_source, m, SYMMETRIC)
    nodes, weights = legendre.quadrature(m + EXTRA, SYMMETRIC)
    values = legendre.basis(nodes, m, SYMMETRIC)[0]
    mass = values.T @ (weights[:, None] * values)
    rates, vectors = eigh(matrix, np.kron(mass, mass))
    forced, start = vectors.T @ load, vectors.T @ start
    t, excess = x[:, 2:3], rates - 1
    # y' = -rate y + forced exp(-t), of which each y is the exact solution, also where rate = 1
    response = np.where(excess == 0, t, -np.expm1(-excess * t) / np.where(excess == 0, 1.0, excess))
    amplitude = start * np.exp(-rates * t) + forced * np.exp(-t) * response
    return np.sum((_products(x, m, SYMMETRIC) @ vectors) * amplitude, axis=1, keepdims=True)


def heat_source(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """exp(t) (u_t - div(a grad u)) for u = exp(-t) s, a = 2 + s, s = sin(pi x) sin(pi y).

    -div(a grad u) = 2 pi**2 (2 + s) s - |grad s|**2 but for exp(-t), and u_t = -s.
    """
    p, q = np.pi * x, np.pi * y
    s = np.sin(p) * np.sin(q)
    slopes = (np.cos(p) * np.sin(q)) ** 2 + (np.sin(p) * np.cos(q)) ** 2
    return -s + np.pi**2 * (2 * (2 + s) * s - slopes)


def _assembled(
    coefficient: Callable, source: Callable, m: int, interval: legendre.Interval
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stiffness matrix (m**2, m**2) and the products (m**2,) of the basis with source and with sin(pi x) sin(pi y)."""
    nodes, weights = legendre.quadrature(m + EXTRA, interval)
    xx, yy = np.meshgrid(nodes, nodes, indexing="ij")
    a = np.asarray(coefficient(np.column_stack([xx.ravel(), yy.ravel()]))).reshape(xx.shape)
    project = legendre.basis(nodes, m, interval)[0].T * weights
    loads = ((project @ f @ project.T).ravel() for f in (source(xx, yy), np.sin(np.pi * xx) * np.sin(np.pi * yy)))
    return legendre.stiffness_2d(a, m, len(nodes), interval), *loads


def _products(x: np.ndarray, m: int, interval: legendre.Interval) -> np.ndarray:
    """The products of the basis (n, m**2) at points (n, >= 2)."""
    along_x, along_y = (legendre.basis(x[:, d], m, interval)[0] for d in (0, 1))
    return (along_x[:, :, None] * along_y[:, None]).reshape(len(x), m * m)
