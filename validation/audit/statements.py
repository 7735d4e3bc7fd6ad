"""What is said of forward problems against what is true: false statements, and the power of the status."""

import statistics
from collections.abc import Callable, Sequence

from ...checking.status import CONVERGED, UNVERIFIED
from .case import FAILED, Figure, Outcome

OPTIMISTIC = 30.0
"""How many times the indicator the error of what is called converged may be."""
ROUNDING = 1e-12
"""Relative error, times the problem's condition, that is rounding."""
WRONG = 1e-2
"""Error above which a solution must not be said to have a small residual."""
TRUSTED = 1e-4
"""What is called converged has an indicator below this."""
SOLVED = 1e-6
"""Error up to which a well-posed problem counts as solved."""
POWER = 0.8
"""Least share of those that are to be called converged."""
CAUTIOUS = 100.0
"""Largest median of indicator over error of what is called converged."""
EPSILON = 2.0**-52


def floor(outcome: Outcome) -> float:
    """The error that rounding explains."""
    return ROUNDING * max(1.0, outcome.condition or 1.0)


def too_sure(outcome: Outcome) -> bool:
    """Called converged, and farther from the truth than its indicator allows."""
    if outcome.status != CONVERGED or outcome.error is None:
        return False
    return outcome.error > max(OPTIMISTIC * (outcome.indicator or 0.0), floor(outcome))


def small_but_wrong(outcome: Outcome) -> bool:
    return outcome.status == UNVERIFIED and outcome.error is not None and outcome.error > WRONG


def nothing_to_converge_to(outcome: Outcome) -> bool:
    return outcome.status == CONVERGED and not outcome.determined


def unindicated(outcome: Outcome) -> bool:
    """Called converged without an indicator that would allow it."""
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
"""Statements that must not be: what -> whether an outcome has one."""


def solved(outcome: Outcome) -> bool:
    """A well-posed problem that is solved, whatever is said of it."""
    return outcome.determined and outcome.well_posed and outcome.error is not None and outcome.error <= SOLVED


def ratio(outcome: Outcome) -> float | None:
    """Indicator over error of what is called converged."""
    if outcome.status != CONVERGED or outcome.error is None or outcome.indicator is None:
        return None
    return outcome.indicator / max(outcome.error, EPSILON)


def power(outcomes: Sequence[Outcome]) -> list[Figure]:
    """True statements have to be made: how often they are, and how sharp they are."""
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
