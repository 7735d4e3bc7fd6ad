"""Cells of the results tables: medians and ranges over seeds, where a run that failed counts as infinite; intervals."""

import math
import statistics
from collections.abc import Sequence


def median(rows: Sequence[dict], key: str) -> float:
    """The median of ``row[key]``; None counts as infinite."""
    return statistics.median(math.inf if row[key] is None else row[key] for row in rows)


def number(value: float | None) -> str:
    """A value with two digits."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.1e}"


def spread(rows: Sequence[dict], key: str) -> str:
    """Median [smallest, largest] of ``row[key]``."""
    values = [math.inf if row[key] is None else row[key] for row in rows]
    return f"{number(statistics.median(values))} [{number(min(values))}, {number(max(values))}]"


def digits(low: float, high: float) -> int:
    """How many an estimate needs of which [low, high] is the interval: two of the interval's width, 6 to 16."""
    largest = max(abs(low), abs(high))
    width = (high - low) / largest if math.isfinite(high - low) and largest > 0 else 1.0
    width = max(width, 1e-300)  # a quotient can vanish where neither number does
    return min(16, max(6, 2 - math.floor(math.log10(width))))
