"""What is said against what is true: the figures that the audit promises, and tables by kind."""

import re
import shlex
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...verify import CONVERGED, NOT_CONVERGED, UNVERIFIED
from ..table import number
from .case import FAILED, FORWARD, INVERSE, LATE, REFUSED, Outcome

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
DEVIATIONS = 6.0
"""Standard errors by which the interval of a well-specified problem may miss the truth."""
MISFIT = 3.0
"""Misfit, in standard deviations of the noise, from which on it must be named."""
NAMED = re.compile(r"misfit|does not fit|do not fit|not fitted|outlier", re.IGNORECASE)
"""What a misfit is named by, in the reason or a note."""
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
    return outcome.half == FORWARD and outcome.status == CONVERGED and not outcome.determined


def unindicated(outcome: Outcome) -> bool:
    """Called converged without an indicator that would allow it."""
    if outcome.half != FORWARD or outcome.status != CONVERGED:
        return False
    return outcome.indicator is None or not outcome.indicator < TRUSTED


def missed(outcome: Outcome) -> list[str]:
    """Unknowns whose interval is too far from the truth."""
    names = []
    for name, found in outcome.unknowns.items():
        if not outcome.well_specified or found["interval"] is None or found["true"] is None:
            continue
        allowed = DEVIATIONS * (found["standard_error"] or 0.0) + ROUNDING * abs(found["true"])
        if found["estimate"] is None or not abs(found["estimate"] - found["true"]) <= allowed:
            names.append(name)
    return names


def not_identifiable(outcome: Outcome) -> list[str]:
    """Unknowns called identifiable though the data leave them open."""
    return [name for name in outcome.open if outcome.unknowns.get(name, {}).get("identifiable")]


def misfit_unnamed(outcome: Outcome) -> bool:
    """The best fit misses the data, and nothing that was said names it; where an answer was given at all."""
    if outcome.misfit is None or outcome.misfit < MISFIT or outcome.status in (REFUSED, FAILED, LATE):
        return False
    return not any(NAMED.search(text) for text in (outcome.reason, *outcome.notes))


def crashed(outcome: Outcome) -> bool:
    return outcome.status == FAILED


FALSE: dict[str, Callable[[Outcome], object]] = {
    f"called converged, true error above {OPTIMISTIC:g} times the indicator": too_sure,
    f"called small, true error above {WRONG:g}": small_but_wrong,
    "called converged, though nothing determines a solution or there is none": nothing_to_converge_to,
    f"called converged without an indicator below {TRUSTED:g}": unindicated,
    f"interval of a well-specified problem misses by more than {DEVIATIONS:g} standard errors": missed,
    "called identifiable, though the data leave it open": not_identifiable,
    f"misfit of {MISFIT:g} standard deviations of the noise or more, not named": misfit_unnamed,
    "ended by an error that is none of the package's own": crashed,
}
"""Statements that must not be: what -> whether an outcome has one. Each has to be counted 0 times."""


@dataclass(frozen=True)
class Figure:
    """What it counts, its value (None where there is nothing to count), what it has to be, and who missed it."""

    name: str
    value: float | None
    bound: str
    met: bool
    offenders: tuple[Outcome, ...] = ()


def solved(outcome: Outcome) -> bool:
    """A well-posed problem that is solved, whatever is said of it."""
    return outcome.determined and outcome.well_posed and outcome.error is not None and outcome.error <= SOLVED


def ratio(outcome: Outcome) -> float | None:
    """Indicator over error of what is called converged."""
    if outcome.status != CONVERGED or outcome.error is None or outcome.indicator is None:
        return None
    return outcome.indicator / max(outcome.error, EPSILON)


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """All figures, of false statements first, then of power."""
    found = []
    for name, wrong in FALSE.items():
        offenders = tuple(o for o in outcomes if wrong(o))
        found.append(Figure(name, len(offenders), "0", not offenders, offenders))
    good = [o for o in outcomes if solved(o)]
    silent = tuple(o for o in good if o.status != CONVERGED)
    share = 1 - len(silent) / len(good) if good else None
    met = share is None or share >= POWER
    name = f"of well-posed problems solved to {SOLVED:g}, share called converged"
    found.append(Figure(name, share, f"at least {POWER:g}", met, () if met else silent))
    ratios = [r for r in map(ratio, outcomes) if r is not None]
    middle = statistics.median(ratios) if ratios else None
    name = "median of indicator over true error of what is called converged"
    found.append(Figure(name, middle, f"at most {CAUTIOUS:g}", middle is None or middle <= CAUTIOUS))
    return found


def command(outcome: Outcome) -> str:
    """The command that carries out one case alone."""
    only = shlex.quote(f"{outcome.kind}:{outcome.number}")
    return f"python -m repnet_pde.validation.audit --seed {outcome.seed} --half {outcome.half} --only {only}"


# Tables ---------------------------------------------------------------------------------------------------------------


def _count(outcomes: Iterable[Outcome], *statuses: str) -> str:
    return str(sum(o.status in statuses for o in outcomes))


def _false(outcomes: Iterable[Outcome]) -> int:
    return sum(any(wrong(o) for wrong in FALSE.values()) for o in outcomes)


def _row(name: str, rows: Sequence[Outcome], half: str) -> str:
    seconds = [o.seconds for o in rows]
    cells = [name, str(len(rows)), _count(rows, CONVERGED), _count(rows, UNVERIFIED), _count(rows, NOT_CONVERGED)]
    cells += [_count(rows, REFUSED), _count(rows, LATE, FAILED)]
    if half == FORWARD:
        good, ratios = [o for o in rows if solved(o)], [r for r in map(ratio, rows) if r is not None]
        cells += [f"{sum(o.status == CONVERGED for o in good)} of {len(good)}"]
        cells += [number(statistics.median(ratios)) if ratios else ""]
    else:
        unknowns = [found for o in rows for found in o.unknowns.values()]
        cells += [f"{sum(bool(f['identifiable']) for f in unknowns)} of {len(unknowns)}"]
    cells += [str(_false(rows)), f"{statistics.median(seconds):.1f}", f"{max(seconds):.0f}"]
    return f"| {' | '.join(cells)} |"


HEAD = ["kind", "cases", "converged", "small", "not converged", "refused", "late or failed"]
COLUMNS = {
    FORWARD: [*HEAD, "converged of solved", "indicator / error", "false", "CPU s", "most"],
    INVERSE: [*HEAD, "identifiable", "false", "CPU s", "most"],
}


def markdown(outcomes: Sequence[Outcome], asked: str, missing: int = 0) -> str:
    """The figures, a table by kind for each half, and every false statement with the command that repeats it."""
    found = figures(outcomes)
    lines = ["# Audit: is what is said true?", "", f"    {asked}", ""]
    if missing:
        lines += [f"{missing} case(s) are not over: these figures are of the {len(outcomes)} others.", ""]
    lines += ["| figure | value | has to be | |", "|---" * 4 + "|"]
    for figure in found:
        value = "none counted" if figure.value is None else f"{figure.value:.3g}"
        lines.append(f"| {figure.name} | {value} | {figure.bound} | {'met' if figure.met else 'MISSED'} |")
    for half in (FORWARD, INVERSE):
        rows = [o for o in outcomes if o.half == half]
        if not rows:
            continue
        lines += ["", f"## {half.capitalize()} problems", "", f"| {' | '.join(COLUMNS[half])} |"]
        lines.append("|---" * len(COLUMNS[half]) + "|")
        for kind in dict.fromkeys(o.kind for o in rows):
            lines.append(_row(kind, [o for o in rows if o.kind == kind], half))
        lines.append(_row("all", rows, half))
    for figure in found:
        if figure.met or not figure.offenders:
            continue
        lines += ["", f"## {figure.name[0].upper()}{figure.name[1:]}", ""]
        for o in figure.offenders:
            lines += [f"- {o.kind} {o.number} ({o.text}): {said(o)}", f"  `{command(o)}`"]
    return "\n".join(lines) + "\n"


def said(outcome: Outcome) -> str:
    """One line: what was said and what is true."""
    parts = [f"“{outcome.status}”"]
    if outcome.indicator is not None:
        parts.append(f"indicator {outcome.indicator:.1e}")
    if outcome.error is not None:
        parts.append(f"error {outcome.error:.1e}")
    if not outcome.determined:
        parts.append("no solution is determined")
    for name, found in outcome.unknowns.items():
        if found["interval"] is None:
            parts.append(f"{name}: not identifiable")
        else:
            parts.append(f"{name} = {found['estimate']} ± {found['standard_error']} (true {found['true']})")
    if outcome.open:
        parts.append(f"open: {', '.join(outcome.open)}")
    if outcome.misfit is not None:
        parts.append(f"misfit {outcome.misfit:.1f}")
    return "; ".join(parts) + (f"; {outcome.reason}" if outcome.reason else "")
