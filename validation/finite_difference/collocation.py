"""Implicit Runge-Kutta integration of linear systems y' = J y + b(t) with a constant sparse matrix J.

Three-stage collocation, E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.5 and
IV.8: "radau" (Radau IIA, order 5, L-stable) for parabolic equations, "gauss" (order 6, conserves energy)
for waves. Data that vary at the boundary can reduce the order in time to 4 (Ch. Lubich, A. Ostermann,
Math. Comp. 60 (1993) 105-131). The eigenvalues of the inverse Runge-Kutta matrix uncouple the stages,
so that one real and one complex sparse factorisation serve the whole run.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from repnet_pde import limits

from .rounding import rounded

_S6, _S15 = np.sqrt(6), np.sqrt(15)
NODES = {
    "radau": np.array([(4 - _S6) / 10, (4 + _S6) / 10, 1.0]),
    "gauss": np.array([(5 - _S15) / 10, 0.5, (5 + _S15) / 10]),
}


def collocation_coefficients(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Butcher matrix (s, s) and weights (s,) of the collocation method with nodes c."""
    k = np.arange(1, len(c) + 1)
    inverse_vandermonde = np.linalg.inv(c[:, None] ** (k - 1))
    return rounded((c[:, None] ** k / k) @ inverse_vandermonde), rounded((1 / k) @ inverse_vandermonde)


def integrate(
    jacobian: sparse.sparray,
    forcing: Callable[[float], np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    steps: int,
    *,
    method: str,
) -> np.ndarray:
    """Values of y at the uniform `times`, with `steps` equal steps from each to the next.

    `jacobian` is (m, m), `forcing(t)` and `start` have shape (m,); the answer has shape (len(times), m).
    """
    c = NODES[method]
    a, b = collocation_coefficients(c)
    inverse = np.linalg.inv(a)
    final = b @ inverse  # y_next = y + final @ stage increments
    eigenvalues, vectors = np.linalg.eig(inverse)
    inverse_vectors = np.linalg.inv(vectors)
    dt = (times[-1] - times[0]) / ((len(times) - 1) * steps)
    identity = sparse.identity(len(start), format="csc")
    jacobian = rounded(jacobian)
    solvers = []
    for i in np.flatnonzero(eigenvalues.imag >= 0):  # of a conjugate pair one is enough
        real = eigenvalues[i].imag == 0
        root = eigenvalues[i].real if real else eigenvalues[i]
        weight = (1 if real else 2) * (final @ vectors[:, i])
        row = inverse_vectors[i].real if real else inverse_vectors[i]
        solvers.append((splu(sparse.csc_array(root * identity - dt * jacobian)).solve, row, weight))
    y = np.array(start, dtype=float)
    out = np.empty((len(times), len(y)))
    out[0] = y
    for k in range(len(times) - 1):
        for j in range(steps):
            limits.check()
            t = times[0] + (k * steps + j) * dt
            slope = jacobian @ y
            stages = dt * (slope + np.array([forcing(t + node * dt) for node in c]))
            y = rounded(y + sum((weight * solve(row @ stages)).real for solve, row, weight in solvers))
        out[k + 1] = y
    return out
