"""Statements about forward problems compared with the truth: false statements, and the power of the status."""

import statistics
from collections.abc import Callable, Sequence

from ...checking.status import CONVERGED, UNVERIFIED
from .case import FAILED, Figure, Outcome

OPTIMISTIC = 30.0
"""Maximum ratio of error to indicator of solutions with the status "converged"."""
ROUNDING = 1e-12
"""Relative error, per unit of the condition number, that is attributed to rounding."""
WRONG = 1e-2
"""Error above which the status must be "not converged"."""
TRUSTED = 1e-4
"""Upper bound of the indicator for the status "converged"."""
SOLVED = 1e-6
"""Error up to which a well-posed problem counts as solved."""
POWER = 0.8
"""Minimum fraction of solved well-posed problems with the status "converged"."""
CAUTIOUS = 100.0
"""Maximum median of the ratio of indicator to error of converged solutions."""
EPSILON = 2.0**-52


def floor(outcome: Outcome) -> float:
    """The error that rounding explains."""
    return ROUNDING * max(1.0, outcome.condition or 1.0)


def too_sure(outcome: Outcome) -> bool:
    """Status "converged", with an error larger than its indicator allows."""
    if outcome.status != CONVERGED or outcome.error is None:
        return False
    return outcome.error > max(OPTIMISTIC * (outcome.indicator or 0.0), floor(outcome))


def small_but_wrong(outcome: Outcome) -> bool:
    return outcome.status == UNVERIFIED and outcome.error is not None and outcome.error > WRONG


def nothing_to_converge_to(outcome: Outcome) -> bool:
    return outcome.status == CONVERGED and not outcome.determined


def unindicated(outcome: Outcome) -> bool:
    """Status "converged" without an indicator that justifies it."""
    return outcome.status == CONVERGED and (outcome.indicator is None or not outcome.indicator < TRUSTED)


def crashed(outcome: Outcome) -> bool:
    return outcome.status == FAILED


FALSE: dict[str, Callable[[Outcome], object]] = {
    f"called converged, true error above {OPTIMISTIC:g} times the indicator": too_sure,
    f"called small, true error above {WRONG:g}": small_but_wrong,
    "called converged, though nothing determines a solution or there is none": nothing_to_converge_to,
    f"called converged without an indicator below {TRUSTED:g}": unindicated,
    "ended by an error that is none of the package's own": crashed,
}
"""False statements: name -> whether an outcome contains it."""


def solved(outcome: Outcome) -> bool:
    """A well-posed problem that is solved accurately, independently of its status."""
    return outcome.determined and outcome.well_posed and outcome.error is not None and outcome.error <= SOLVED


def ratio(outcome: Outcome) -> float | None:
    """Ratio of indicator to error of converged solutions."""
    if outcome.status != CONVERGED or outcome.error is None or outcome.indicator is None:
        return None
    return outcome.indicator / max(outcome.error, EPSILON)


def power(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Figures of power: how often true statements are made, and how sharp they are."""
    good = [o for o in outcomes if solved(o)]
    silent = tuple(o for o in good if o.status != CONVERGED)
    share = 1 - len(silent) / len(good) if good else None
    met = share is None or share >= POWER
    name = f"of well-posed problems solved to {SOLVED:g}, share called converged"
    found = [Figure(name, share, f"at least {POWER:g}", met, () if met else silent)]
    ratios = [r for r in map(ratio, outcomes) if r is not None]
    middle = statistics.median(ratios) if ratios else None
    name = "median of indicator over true error of what is called converged"
    return [*found, Figure(name, middle, f"at most {CAUTIOUS:g}", middle is None or middle <= CAUTIOUS)]
