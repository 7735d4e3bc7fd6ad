"""Results of an identification: `Estimate` of one unknown, and `Identification` of all."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """An identified number.

    Attributes:
        value: the estimate.
        standard_error: None where there is no interval.
        interval: confidence interval (lower, upper) at the level of the `Identification`; None if the unknown is not
            identifiable from the data, or if the fit is rejected.
        true: the true value, if it is known.
        discretisation: discretisation error from a change of the basis functions and from the residuals of the
            equations; it is included in the standard error. None if it was not determined.
        reason: why there is no interval; None if there is one, and before training has ended.
        of_its_own: whether the reason is specific to this unknown, such as divergence, and not to the whole fit.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    true: float | None = None
    discretisation: float | None = None
    reason: str | None = None
    of_its_own: bool = False

    @property
    def identifiable(self) -> bool:
        """Whether it is identifiable from the data: whether there is an interval."""
        return self.interval is not None


@dataclass
class Identification:
    """Estimates of all unknowns and their uncertainties.

    Attributes:
        estimates: by unknown.
        correlation: of the estimates (q, q), on the scale on which they were solved for.
        noise: standard deviation of each observation's errors, used for the intervals.
        noise_given: whether it was given by the user; else estimated from the residuals, also if these contradict the
            given noise.
        chi_square: mean square of the residuals over that of the given noise, by degrees of freedom; about 1 if the
            given noise is correct.
        dof: remaining degrees of freedom.
        level: confidence level of the intervals.
        undetermined: sentences about unknowns and combinations of them that are not identifiable; none if the fit is
            rejected, since they may be identifiable at another solution.
        influence: by unknown and observation, the fraction of the estimate's variance due to each datum (n,).
        leverage: by observation, the leverage of each datum (n,).
        field_deviation: function of (points (n, d), output) that gives a field's pointwise standard deviation (n,).
        doubts: sentences on why the fit as a whole is rejected; no unknown has an interval then.
        remarks: sentences on anomalies of data or noise; intervals are given nevertheless.
        limited: whether the discretisation error, not the noise, limits the estimates.
        scatter: by observation, the standard deviation estimated from differences of neighbouring data, independently
            of the equations; None if there are too few.
        notes: notes for the user; all of the above in words.
    """

    estimates: dict[str, Estimate]
    correlation: np.ndarray
    noise: dict[str, float]
    noise_given: bool
    chi_square: float
    dof: float
    level: float
    undetermined: list[str]
    influence: dict[str, dict[str, np.ndarray]]
    leverage: dict[str, np.ndarray]
    field_deviation: Callable | None = None
    doubts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    scatter: dict[str, float | None] = field(default_factory=dict)
    limited: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def quantile(self) -> float:
        """The quantile of Student's distribution if the noise was estimated, else of the normal distribution."""
        return quantile_of(self.level, self.dof, self.noise_given)

    def to_dict(self) -> dict:
        """Plain types, without the arrays per datum."""
        return {
            "level": self.level,
            "noise": self.noise,
            "noise_given": self.noise_given,
            "chi_square": self.chi_square,
            "degrees_of_freedom": self.dof,
            "correlation": self.correlation.tolist(),
            "undetermined": self.undetermined,
            "doubts": self.doubts,
            "remarks": self.remarks,
            "scatter": self.scatter,
        }


def quantile_of(level: float, dof: float, given: bool) -> float:
    """Two-sided quantile of the errors: Student's, or normal if the noise is ``given``."""
    tail = (1 + level) / 2
    return float(stats.norm.ppf(tail) if given else stats.t.ppf(tail, max(dof, 1.0)))
