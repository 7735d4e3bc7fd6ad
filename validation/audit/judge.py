"""Comparison of statements and truth: the figures of both halves, and tables by kind."""

import shlex
import statistics
from collections.abc import Iterable, Sequence

from ...checking.status import CONVERGED, NOT_CONVERGED, UNVERIFIED
from ..table import number
from .case import FAILED, FORWARD, HALVES, INVERSE, LATE, REFUSED, Figure, Outcome
from .runs import half_of
from .statements import ratio, solved


def false(outcome: Outcome) -> list[str]:
    """The false statements in an outcome."""
    return [what for what, wrong in half_of(outcome.half).FALSE.items() if wrong(outcome)]


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Of each half that has outcomes: counts of false statements, each of which has to be 0, then figures of power."""
    found = []
    for half in HALVES:
        rows = [o for o in outcomes if o.half == half]
        if not rows:
            continue
        for what, wrong in half_of(half).FALSE.items():
            offenders = tuple(o for o in rows if wrong(o))
            found.append(Figure(what, len(offenders), "0", not offenders, offenders))
        found += half_of(half).power(rows)
    return found


def command(outcome: Outcome) -> str:
    """The command that carries out one case alone."""
    only = shlex.quote(f"{outcome.kind}:{outcome.number}")
    return f"python -m repnet_pde.validation.audit --seed {outcome.seed} --half {outcome.half} --only {only}"


# Tables ---------------------------------------------------------------------------------------------------------------


def _count(outcomes: Iterable[Outcome], *statuses: str) -> str:
    return str(sum(o.status in statuses for o in outcomes))


def _false(outcomes: Iterable[Outcome]) -> int:
    return sum(bool(false(o)) for o in outcomes)


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
    """One line: the statements and the truth."""
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
