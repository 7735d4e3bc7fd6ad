"""Yielding structures: a discrete-time model with elastic-perfectly plastic elements, by least squares."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from ..errors import InputError
from .arguments import array, count

RIDGE = 1e-12
"""Regularisation of the scaled normal equations, at the level of rounding."""
BLOCK = 10
"""Number of records whose rows are formed at once, and from which the thresholds are determined."""
CANDIDATES = 32
"""Number of yield displacements, logarithmically spaced over two decades, from which the search begins."""


class HysteresisOperator:
    r"""Ground acceleration to displacements of a chain of storeys that may yield, step by step from rest:

    .. math:: u_{n+1} = A_1 u_n + A_2 u_{n-1} + \sum_r (Z_1^r z^r_n + Z_2^r z^r_{n-1}) + b_0 a_{n+1} + b_1 a_n
        + b_2 a_{n-1}

    with the storey drifts d, differences of neighbouring displacements, and for every threshold r the stop operator
    z^r_n = min(max(z^r_{n-1} + d_n - d_{n-1}, -r), r), an elastic-perfectly plastic element (A. Yu. Ishlinskii, Izv.
    Akad. Nauk SSSR (1944) 583-590). Without stops it is exact for a linear structure whose acceleration is linear
    between the samples; with them the time of yielding of a storey is resolved to one sample.

    All matrices are determined by one least-squares problem with the measured u on the right-hand side; `predict` uses
    its own predictions instead. That amplifies noise in u. NumPy, float64.

    Args:
        thresholds: number of thresholds to be determined one after the other, each by the error of one step of the
            model: from 32 logarithmically spaced values, and then between the neighbours of the best. Or a sequence
            of their values in the units of u. 0 is the linear model.

    Raises:
        InputError: for an argument that cannot be used.
    """

    def __init__(self, thresholds: ArrayLike = 1):
        self.searched = 0
        self.thresholds = np.zeros(0)
        """(n,) in the units of u; set by `fit` if they are to be determined."""
        if np.ndim(thresholds) == 0:
            self.searched = count("thresholds", thresholds, 0)
        else:
            self.thresholds = array("thresholds", thresholds, ("n",))
            if (self.thresholds <= 0).any():
                raise InputError(f"thresholds: {thresholds!r} given; numbers > 0 are needed")
        self.weights: np.ndarray | None = None
        """(columns, storeys), after `fit`."""

    def fit(self, a: ArrayLike, u: ArrayLike) -> float:
        """Fit to a (records, samples) and u (records, samples, storeys); returns the relative error of one step.

        Raises:
            InputError: incompatible arrays or values that are not finite; fewer samples than columns.
        """
        a = array("a", a, ("records", "samples"))
        u = array("u", u, (*a.shape, "storeys"))
        columns = u.shape[2] * (2 + 2 * (self.searched or len(self.thresholds))) + 3
        if a.shape[0] * (a.shape[1] - 2) < columns:
            raise InputError(f"a: {a.size} samples given for {columns} weights of each storey; give more records")
        if self.searched:
            strongest = np.argsort(-np.abs(u).max(axis=(1, 2)))[:BLOCK]
            self.thresholds = np.zeros(0)
            for _ in range(self.searched):
                self.thresholds = np.append(self.thresholds, self._search(a[strongest], u[strongest]))
        self.weights, error = self._solve(a, u, self.thresholds)
        return error

    def predict(self, a: ArrayLike) -> np.ndarray:
        """Simulation from rest: (records, samples, storeys) for a (records, samples) with the time step of `fit`."""
        if self.weights is None:
            raise InputError("predict: the operator has no weights yet; call fit first")
        a = array("a", a, ("records", "samples"))
        n, storeys = len(a), self.weights.shape[1]
        u = np.zeros((n, a.shape[1] + 1, storeys))  # one sample of rest before the record
        a = np.concatenate([np.zeros((n, 1)), a], 1)
        stops = older = np.zeros((n, storeys, len(self.thresholds)))
        drift = np.zeros((n, storeys))
        with np.errstate(all="ignore"):
            for k in range(2, a.shape[1]):
                parts = [u[:, k - 1], u[:, k - 2], stops.reshape(n, -1), older.reshape(n, -1)]
                parts += [a[:, k, None], a[:, k - 1, None], a[:, k - 2, None]]
                u[:, k] = np.concatenate(parts, 1) @ self.weights
                before, drift = drift, _drifts(u[:, k])
                older, stops = stops, _advance(stops, drift - before, self.thresholds)
        return u[:, 1:]

    def _search(self, a: np.ndarray, u: np.ndarray) -> float:
        """The additional threshold that minimises the error of one step."""

        def error(logarithm: float) -> float:
            return self._solve(a, u, np.append(self.thresholds, np.exp(logarithm)))[1]

        largest = np.abs(_drifts(u)).max()
        if not largest > 0:
            raise InputError("u: is zero everywhere; there is no drift to search thresholds in")
        tried = np.linspace(np.log(largest / 100), np.log(largest), CANDIDATES)
        best = int(np.argmin([error(t) for t in tried]))
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, CANDIDATES - 1)]
        return float(np.exp(minimize_scalar(error, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x))

    @staticmethod
    def _solve(a: np.ndarray, u: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, float]:
        """The weights and the relative error of one step, by the normal equations with columns scaled to norm one."""
        matrix: np.ndarray = np.zeros(())
        right: np.ndarray = np.zeros(())
        for first in range(0, len(a), BLOCK):
            part = slice(first, first + BLOCK)
            rows = _rows(a[part], u[part], thresholds)
            matrix = matrix + rows.T @ rows
            right = right + rows.T @ u[part, 2:].reshape(len(rows), -1)
        lengths = np.sqrt(np.diag(matrix))
        scale = 1 / np.where(lengths > 0, lengths, 1.0)[:, None]
        solved = np.linalg.solve(scale * matrix * scale.T + RIDGE * np.eye(len(matrix)), scale * right)
        weights = scale * solved
        size = np.square(u[:, 2:]).sum()
        left = size - 2 * (weights * right).sum() + (weights * (matrix @ weights)).sum()
        return weights, float(np.sqrt(max(left, 0.0) / max(size, np.finfo(float).tiny)))


def _drifts(u: np.ndarray) -> np.ndarray:
    return np.diff(u, axis=-1, prepend=0)


def _advance(stops: np.ndarray, change: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Stops (..., storeys, thresholds) after the drifts have changed by (..., storeys)."""
    return np.clip(stops + change[..., None], -thresholds, thresholds)


def _rows(a: np.ndarray, u: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The rows (records (samples − 2), columns) of the least-squares problem."""
    drift = _drifts(u)
    stops = np.zeros((*u.shape, len(thresholds)))
    stops[:, 0] = _advance(stops[:, 0], drift[:, 0], thresholds)
    if len(thresholds):
        for k in range(1, u.shape[1]):
            stops[:, k] = _advance(stops[:, k - 1], drift[:, k] - drift[:, k - 1], thresholds)
    stops = stops.reshape(*u.shape[:2], -1)
    parts = [u[:, 1:-1], u[:, :-2], stops[:, 1:-1], stops[:, :-2], a[:, 2:, None], a[:, 1:-1, None], a[:, :-2, None]]
    rows = np.concatenate(parts, 2)
    return rows.reshape(-1, rows.shape[2])
