"""What is known of the unknowns: `Estimate` of one of them, and `Identification` of all."""

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
        interval: (lower, upper) at the level of the `Identification`; None where the data do not determine the unknown,
            or where nothing can be said because the fit is not to be believed.
        true: where it is known.
        discretisation: change with other features, and by what is left of the equations; it is counted in the standard
            error. None where it was not found out.
        reason: why there is no interval; None where there is one, and before training has ended.
        of_its_own: whether the reason is this unknown's own, such as that it ran away, and not that of the whole fit.
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
        """Whether the data are known to determine it: whether there is an interval."""
        return self.interval is not None


@dataclass
class Identification:
    """What was found and how well it is known.

    Attributes:
        estimates: by unknown.
        correlation: of the estimates (q, q), on the scale on which they were solved for.
        noise: standard deviation of each observation's errors, used for the intervals.
        noise_given: by the user, or else estimated from the residuals: also where these contradict the noise given.
        chi_square: mean square of the residuals over that of the noise given, by degrees of freedom; about 1 where it
            is right.
        dof: degrees of freedom left.
        level: of the intervals.
        undetermined: sentences about unknowns and combinations of them that the data leave open; none where the fit is
            not to be believed, since elsewhere the data may determine them.
        influence: by unknown and observation, the share of the estimate's variance that each datum brings in (n,).
        leverage: by observation, the share of each datum that the fit follows (n,).
        field_deviation: function of (points (n, d), output) that gives a field's pointwise standard deviation (n,).
        doubts: sentences on why the fit as a whole is not to be believed; no unknown has an interval then.
        remarks: sentences on what is odd about data or noise; intervals are given all the same.
        limited: whether what the features leave of the equations, not the noise, limits the estimates.
        scatter: by observation, the standard deviation that neighbouring data show by themselves, whatever the
            equations; None where there are too few.
        notes: what a user should know; all of the above in words.
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
        """Of Student's distribution where the noise was estimated, else of the normal one."""
        return quantile_of(self.level, self.dof, self.noise_given)

    def to_dict(self) -> dict:
        """Without the arrays by datum."""
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
    """Of the errors at a two-sided level: Student's, or the normal one where the noise is ``given``."""
    tail = (1 + level) / 2
    return float(stats.norm.ppf(tail) if given else stats.t.ppf(tail, max(dof, 1.0)))
