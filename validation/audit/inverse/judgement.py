"""False statements about inverse problems, and how often true statements are made."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats

from ..case import FAILED, LATE, REFUSED, Figure
from .truth import DATA, EQUATION, NOISE, Said

SIX = 6.0
"""Standard errors beyond which an interval is wrong; converted by probability if the noise was estimated."""
LEAST_MISFIT = 3.0
"""Misfit, in standard deviations of the noise, from which a wrong equation has to be reported."""
STUCK = 1e-3
"""Relative distance from the start below which an unknown counts as unchanged."""
POWER, MOST_FALSE_ALARMS = 0.8, 0.1
COVERAGE = (0.88, 0.99)
"""Acceptable coverage of the 95 % intervals in a sample of about 150."""


def distance(row: Said, name: str) -> float:
    """Of an estimate from the truth, in standard errors; 0 where the rounding of the data explains it.

    Where the noise was estimated, few data make errors that Student's distribution has and the normal one has not: then
    the number of standard errors of a normal distribution that are as improbable.
    """
    found = row.unknowns[name]
    error = abs(found["estimate"] - found["true"])
    if error <= row.floors.get(name, 0.0):
        return 0.0
    if not found["standard_error"]:
        return math.inf
    z = error / found["standard_error"]
    if row.noise_given:
        return z
    return float(stats.norm.isf(stats.t.sf(z, max(row.freedom, 1))))


def has_interval(row: Said, name: str) -> bool:
    return row.unknowns.get(name, {}).get("interval") is not None


def counted(row: Said) -> list[str]:
    """Unknowns whose intervals have to be valid: identifiable, of a well-specified problem.

    A problem with a frozen unknown may be refused.
    """
    if not row.well_specified or row.fault or (row.frozen and row.status == REFUSED):
        return []
    return [name for name in {**row.values, **row.unknowns} if name not in row.open]


def misses(row: Said) -> list[str]:
    """Unknowns whose interval misses the truth by more than six standard errors."""
    return [n for n in counted(row) if has_interval(row, n) and distance(row, n) > SIX]


def open_called_identifiable(row: Said) -> list[str]:
    """Unknowns that are not identifiable from the data, but have an interval."""
    return [n for n in row.open if has_interval(row, n)]


def named(row: Said) -> bool:
    """Whether something was said against data, noise or equation, or nothing was stated."""
    if row.status in (REFUSED, FAILED, LATE) or row.doubts:
        return True
    return row.status != "converged" and not any(has_interval(row, n) for n in row.unknowns)


def wrong_not_named(row: Said) -> bool:
    """A wrong equation, or wrong data, that is not reported."""
    return row.fault in (EQUATION, DATA) and row.misfit >= LEAST_MISFIT and not named(row)


def noise_not_named(row: Said) -> bool:
    """A noise level that is wrong by a factor of ten or more and is not reported."""
    return row.fault == NOISE and not named(row)


def stuck(row: Said) -> list[str]:
    """Determined unknowns that stand at their start, far from the truth, while something else is said.

    They have an interval, or the whole is "converged" without a doubt.
    """
    found = []
    for name, value in row.unknowns.items():
        if name in row.open or row.fault:
            continue
        start, true, estimate = row.starts[name], value["true"], value["estimate"]
        moved = abs(estimate - start) > STUCK * max(abs(start), 1e-300)
        if moved or abs(start - true) < 0.2 * abs(true):
            continue
        if has_interval(row, name) or (row.status == "converged" and not row.doubts):
            found.append(name)
    return found


FALSE: dict[str, Callable[[Said], object]] = {
    "95 % intervals that miss by more than six standard errors": misses,
    "not determined, but called identifiable": open_called_identifiable,
    "wrong equation or data, not named": wrong_not_named,
    "wrong noise level, not named": noise_not_named,
    "an estimate at its start": stuck,
    "raised what is no message of the package": lambda row: row.status == FAILED,
}
"""False statements: name -> function of a `Said` that is true (or not empty) if the statement was made."""


@dataclass(frozen=True)
class Shares:
    """Of the unknowns that are determined, in problems in which nothing is wrong.

    Attributes:
        number: of them.
        held: have an interval that covers the truth within six standard errors.
        intervals: have an interval that is wider than the rounding of the data explains.
        covered: of these, in which it contains the truth.
        problems: such problems.
        alarms: of these, in which something was said against data, noise or equation.
    """

    number: int
    held: int
    intervals: int
    covered: int
    problems: int
    alarms: int

    @property
    def power(self) -> float:
        return self.held / self.number if self.number else math.nan

    @property
    def coverage(self) -> float:
        return self.covered / self.intervals if self.intervals else math.nan

    @property
    def false_alarms(self) -> float:
        return self.alarms / self.problems if self.problems else math.nan


def holds(row: Said, name: str) -> bool:
    """Whether an unknown has an interval that covers the truth within six standard errors."""
    return has_interval(row, name) and distance(row, name) <= SIX


def shares(rows: Sequence[Said]) -> Shares:
    """The `Shares` of these."""
    number = held = intervals = covered = problems = alarms = 0
    for row in rows:
        names = counted(row)
        problems += bool(names)
        alarms += bool(names and row.doubts)
        number += len(names)
        for name in names:
            if has_interval(row, name):
                low, high = row.unknowns[name]["interval"]
                true, floor = row.unknowns[name]["true"], row.floors.get(name, 0.0)
                held += holds(row, name)
                if high - low > 2 * floor:
                    intervals += 1
                    covered += low <= true <= high
    return Shares(number, held, intervals, covered, problems, alarms)


def power(rows: Sequence[Said]) -> list[Figure]:
    """Figures of power: how often true statements are made."""
    found = shares(rows)
    silent = tuple(row for row in rows if any(not holds(row, name) for name in counted(row)))
    alarmed = tuple(row for row in rows if counted(row) and row.doubts)

    def figure(name, value, met, bound, offenders=()):
        value = None if math.isnan(value) else value
        met = value is None or met
        return Figure(name, value, bound, met, () if met else offenders)

    return [
        figure(
            f"of determined unknowns, share with an interval that holds within {SIX:g} standard errors",
            found.power,
            found.power >= POWER,
            f"at least {POWER:g}",
            silent,
        ),
        figure(
            "coverage of 95 % intervals",
            found.coverage,
            COVERAGE[0] <= found.coverage <= COVERAGE[1],
            f"{COVERAGE[0]:g} to {COVERAGE[1]:g}",
        ),
        figure(
            "of problems in which nothing is wrong, share of which something was said to be",
            found.false_alarms,
            found.false_alarms <= MOST_FALSE_ALARMS,
            f"at most {MOST_FALSE_ALARMS:g}",
            alarmed,
        ),
    ]
