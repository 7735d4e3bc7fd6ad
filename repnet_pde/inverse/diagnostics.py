"""Diagnostics from the residuals of observations: goodness of fit, and whether the errors are as assumed.

Confidence intervals of least squares are valid if the errors are independent and normal and the model is correct. Each
assumption is tested with the data alone, without the equations: scatter of neighbouring data, copies, outliers, tails.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse, spatial, stats

RARE = 1e-3
"""p-value of a statistic below which the assumptions are rejected."""
VERY_RARE = 1e-4
"""The same p-value for an outlier among all data of an observation, and for the shape of the distribution."""
LEAST_NEIGHBOURS, LEAST_OUTLIER, LEAST_ROBUST, LEAST_SHAPE = 5, 8, 12, 20
"""Minimum numbers of data to assess the scatter of neighbours, one outlier, several, and the shape of the
distribution."""
MOST_NEIGHBOURS = 2000
"""Maximum number of data whose neighbours are examined; larger sets are subsampled."""
SAME = 0.25
"""Part of the data that are exactly equal from which it is reported: a sensor that is stuck, or values cut off."""
FAR = 7.0
"""Distance in robust standard deviations from which a residual is an outlier: detects several that mask each other."""
MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
EXPLAINED = 0.1
"""Root mean square residual of an observation relative to the standard deviation of its values, up to which it counts
as explained whatever the residuals look like."""
AT_FLOOR = 3.0
"""Residuals up to this multiple of the discretisation error give no information about the data."""


@dataclass(frozen=True)
class Examined:
    """Diagnostics of the residuals of one observation.

    Attributes:
        size: root mean square of the residuals, by degrees of freedom.
        scatter: standard deviation estimated from differences of neighbouring data; None if there are too few.
        misses: whether the residuals are not noise: neighbours have residuals of the same sign and size, so that the
            fit does not follow the data.
        remarks: sentences on outliers and on the distribution.
        outliers: indices of the data that are outliers.
    """

    size: float
    scatter: float | None
    misses: bool
    remarks: list[str]
    outliers: list[int]


def rms(values: np.ndarray) -> float:
    """The root mean square of the entries, 0 where there are none."""
    return math.sqrt(float(np.mean(np.square(values)))) if np.size(values) else 0.0


def values_of(condition: Any) -> np.ndarray:
    """The values observed at the points of a condition (n, components), float64."""
    values = np.asarray(condition.values.detach().cpu().numpy(), dtype=np.float64)
    return values if values.ndim > 1 else np.broadcast_to(values.reshape(-1, 1), (len(condition.points), 1))


def copies(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How often each datum (n,) occurs, that is, points (n, d) and values (n, components) that are exactly equal."""
    rows = np.column_stack([points, values])
    _, where, count = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return count[np.reshape(where, -1)]


def examine(
    name: str,
    axes: Sequence[str],
    points: np.ndarray,
    values: np.ndarray,
    residuals: np.ndarray,
    leverage: np.ndarray,
    floor: float,
    robust: bool,
) -> Examined:
    """Examine the residuals of one observation.

    Args:
        name: of the observation. axes: names of the d coordinates.
        points (n, d), values (n, 1), residuals (n,): unscaled.
        leverage: of each datum (n,), the derivative of its fitted value by its value; copies share it.
        floor: root mean square of the residuals that the discretisation alone may cause.
        robust: whether the loss downweights outliers.
    """
    many, keep = copies(points, values), _first_of_copies(points, values)
    leverage = np.minimum((leverage * many)[keep], 1.0)
    points, values, residuals = points[keep], values[keep, 0], residuals[keep]
    n = len(residuals)
    dof = max(n - float(leverage.sum()), 0.5)
    size = math.sqrt(float(np.square(residuals).sum()) / dof)
    raised = size > AT_FLOOR * floor and size > 1e-13 * float(np.sqrt(np.mean(np.square(values))))
    neighbours = _neighbours(points)
    scatter, misses = None, False
    if neighbours is not None:
        shrunk = math.sqrt(n / dof)
        scatter = min(_scatter(neighbours, values), shrunk * _scatter(neighbours, residuals))
        misses = raised and _chance_of_ratio(neighbours, residuals) < RARE
    remarks: list[str] = []
    outliers = _outliers(residuals, leverage, dof) if raised and not misses else []
    if outliers:
        worst = outliers[0]
        at = ", ".join(f"{c} = {v:.6g}" for c, v in zip(axes, points[worst], strict=True))
        spread = float(np.sqrt(np.mean(np.square(np.delete(residuals, outliers)))))
        counted = f"{len(outliers)} outlier{'s' if len(outliers) > 1 else ''} among {n} data"
        remarks.append(
            f"{name}: {counted} (the largest at {at}, {abs(residuals[worst]) / max(spread, 1e-300):.3g} times the "
            "spread of the others), "
            + ("which count less" if robust else "which may move the estimates: loss='huber' counts them less")
        )
    elif raised and not misses and not robust and n >= LEAST_SHAPE and _chance_of_shape(residuals) < VERY_RARE:
        remarks.append(
            f"{name}: the residuals are not normal: skew or heavy tails; loss='huber' counts large ones less"
        )
    same = _most_frequent(values)
    if same >= max(LEAST_NEIGHBOURS, SAME * n):
        remarks.append(f"{name}: {same} of {n} values are the same number")
    return Examined(size, scatter, misses, remarks, [int(np.flatnonzero(keep)[i]) for i in outliers])


def systematic(points: np.ndarray, residuals: np.ndarray) -> bool:
    """Whether data at neighbouring points (n, d) have similar residuals (n,): the fit does not follow them; True if
    there are too few to decide."""
    keep = _first_of_copies(points, residuals[:, None])
    neighbours = _neighbours(points[keep])
    return neighbours is None or _chance_of_ratio(neighbours, residuals[keep]) < RARE


def robust_deviation(residuals: np.ndarray, dof: float) -> float:
    """Standard deviation of normal residuals (n,) from their median absolute value, which is robust to few outliers."""
    return MAD * float(np.median(np.abs(residuals))) * math.sqrt(len(residuals) / max(dof, 1.0))


def _first_of_copies(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    rows = np.column_stack([points, values])
    keep = np.zeros(len(rows), dtype=bool)
    keep[np.unique(rows, axis=0, return_index=True)[1]] = True
    return keep


def _neighbours(points: np.ndarray) -> sparse.csr_matrix | None:
    """Rows (m, n) of differences that vanish for functions that are linear near each point, each of length 1.

    The pseudo-residuals of T. Gasser, L. Sroka, C. Jennen-Steinmetz, Biometrika 73 (1986) 625-633, for scattered
    points: each datum minus its linear interpolation, with the smallest weights, from its nearest neighbours. None if
    there are too few.
    """
    n, d = points.shape
    if n < LEAST_NEIGHBOURS + d - 1:
        return None
    x = points / np.maximum(np.ptp(points, axis=0), 1e-300)
    chosen = range(0, n, math.ceil(n / MOST_NEIGHBOURS))
    if d == 1:
        order = np.argsort(x[:, 0], kind="stable")
        around = [(order[k], order[[k - 1, k + 1]]) for k in chosen if 0 < k < n - 1]
    else:
        near = spatial.cKDTree(x).query(x[list(chosen)], k=min(2 * d + 2, n))[1]
        around = [(i, others[others != i][: 2 * d + 1]) for i, others in zip(chosen, near, strict=True)]
    rows = []
    for i, others in around:
        offsets = x[others] - x[i]
        matrix = np.vstack([np.ones(len(others)), offsets.T / max(float(np.abs(offsets).max()), 1e-300)])
        right = np.eye(d + 1)[0]
        weights = np.linalg.lstsq(matrix, right, rcond=1e-8)[0]
        if np.abs(matrix @ weights - right).max() < 1e-6:
            row = np.concatenate([[1.0], -weights])
            rows.append((row / np.linalg.norm(row), [i, *others]))
    if len(rows) < LEAST_NEIGHBOURS - 2:
        return None
    lengths = [len(row) for row, _ in rows]
    indices, data = np.concatenate([c for _, c in rows]), np.concatenate([row for row, _ in rows])
    return sparse.csr_matrix((data, indices, np.cumsum([0, *lengths])), shape=(len(rows), n))


def _scatter(neighbours: sparse.csr_matrix, values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(neighbours @ values))))


def _chance_of_ratio(neighbours: sparse.csr_matrix, residuals: np.ndarray) -> float:
    """The p-value of the similarity of neighbouring residuals under independent normal errors.

    Von Neumann's ratio in general, eᵀBe / eᵀe with B = LᵀL from the rows L of differences: a beta distribution with the
    exact mean and variance (R. C. Henshaw, Econometrica 34 (1966) 646-660, for Durbin and Watson's statistic).
    """
    n, total = len(residuals), float(np.square(residuals).sum())
    if not total > 0:
        return 1.0
    gram = neighbours @ neighbours.T
    trace, square, m = float(gram.diagonal().sum()), float(gram.power(2).sum()), gram.shape[0]
    most = float(np.linalg.eigvalsh(gram.toarray())[-1]) if m <= 500 else float(abs(gram).sum(1).max())
    ratio = float(np.square(neighbours @ residuals).sum()) / total
    mean = trace / n
    variance = 2 * (n * square - trace**2) / (n**2 * (n + 2))
    if variance <= 0 or mean >= most:
        return 1.0
    at, spread = mean / most, variance / most**2
    size = at * (1 - at) / spread - 1
    return float(stats.beta.cdf(ratio / most, at * size, (1 - at) * size)) if size > 0 else 1.0


def _outliers(residuals: np.ndarray, leverage: np.ndarray, dof: float) -> list[int]:
    """Data whose residuals are too large: by deleted Student's residuals, or by the median absolute residual."""
    n = len(residuals)
    total = float(np.square(residuals).sum())
    if n < LEAST_OUTLIER or dof < 3 or not total > 0:
        return []
    rest = np.maximum(1 - leverage, 1e-6)
    squares = np.square(residuals) / rest
    left = np.maximum(total - squares, 1e-30 * total) / (dof - 1)
    chance = n * 2 * stats.t.sf(np.sqrt(squares / left), dof - 1)
    found = chance < VERY_RARE
    if n >= LEAST_ROBUST:
        spread = robust_deviation(residuals, dof)
        found |= (np.sqrt(squares) > FAR * spread) & (spread > 1e-8 * math.sqrt(total / n))
    numbers = np.flatnonzero(found)
    if len(numbers) > n / 4:  # then not outliers but a different distribution
        return []
    return numbers[np.argsort(-squares[numbers])].tolist()


def _chance_of_shape(residuals: np.ndarray) -> float:
    """The p-value of skewness and kurtosis under normal errors (D'Agostino and Pearson, Biometrika 60 (1973))."""
    skew, tails = stats.skewtest(residuals), stats.kurtosistest(residuals)
    return float(stats.chi2.sf(skew.statistic**2 + max(tails.statistic, 0.0) ** 2, 2))


def _most_frequent(values: np.ndarray) -> int:
    return int(np.unique(values, return_counts=True)[1].max()) if len(values) else 0
