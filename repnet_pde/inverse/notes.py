"""Messages about estimates: identifiability, anomalies of data or noise, notes for the user."""

import numpy as np
from scipy import stats

from .diagnostics import RARE
from .identification import Estimate, Identification
from .solution import distinct

INVOLVED = 0.05
"""Weight in an undetermined direction from which an unknown counts as not identifiable."""
PRECISE = 1e-6
"""Relative misfit, and relative change of an estimate with other basis functions, below which neither limits it."""


def undetermined(names, direction: np.ndarray) -> str:
    """A sentence on the unknowns that are not identifiable along a direction (weights of their changes)."""
    involved = [(n, w) for n, w in zip(names, direction, strict=True) if abs(w) > INVOLVED]
    if len(involved) == 1:
        return f"{involved[0][0]} is not determined by the data"
    ratio = " : ".join(f"{w:+.2g}" for _, w in involved)
    return (
        f"{', '.join(n for n, _ in involved)} are not determined separately by the data: changes in the ratio {ratio} "
        "(relative to their values) leave the predictions as they are"
    )


def remarks_on(problem, examined, given: bool, contradicted: bool, chi_square: float, dof: float) -> list[str]:
    """Remarks on anomalies of data and noise."""
    found = []
    if contradicted:
        found.append(
            f"the residuals are larger than the noise given (mean square ratio {chi_square:.2g}): the noise or the "
            "equations may be wrong; standard errors are from the residuals"
        )
    elif given and dof > 0.5 and stats.chi2.cdf(chi_square * dof, dof) < RARE:
        found.append(
            f"the residuals are smaller than the noise given (mean square ratio {chi_square:.2g}): the noise may be "
            "smaller than that"
        )
    for name, condition in problem.observations.items():
        count, alone = len(condition.points), round(distinct(condition))
        if alone < count:
            found.append(
                f"{name}: {count - alone} of {count} rows are copies of others, which count once; for readings that "
                "are independent give their mean, with its standard deviation"
            )
    return found + [remark for e in examined.values() for remark in e.remarks]


def notes_of(found: Identification) -> list[str]:
    """Notes for the user about an identification."""
    hint = ": the estimate, the equations or the data may be wrong, and no interval is given"
    notes = [*found.undetermined, *(doubt + hint for doubt in found.doubts), *found.remarks]
    if found.dof < 1:
        what = "to compare the noise given with" if found.noise_given else "to estimate the noise from"
        notes.append(f"as many parameters as data: no degree of freedom is left {what}")
    for name, estimate in found.estimates.items():
        if estimate.of_its_own:
            notes.append(f"{name}: {estimate.reason}")
        error = estimate.standard_error
        if error is not None and discretised(estimate):
            notes.append(
                f"{name} changes by {estimate.discretisation:.1e} with other basis functions, most of its standard "
                "error: the discretisation counts more than the noise"
            )
        elif error is not None and error > abs(estimate.value):
            notes.append(f"{name} is poorly determined: its standard error exceeds its value")
    return notes


def discretised(estimate: Estimate) -> bool:
    """Whether the error of an estimate is mostly discretisation error, or only that is known."""
    shift, error = estimate.discretisation, estimate.standard_error
    return shift is not None and (error is None or shift > 0.7 * error)


def limited(estimate: Estimate) -> bool:
    """Whether the discretisation limits the accuracy of an estimate significantly."""
    shift = estimate.discretisation
    return shift is not None and discretised(estimate) and shift > PRECISE * abs(estimate.value)
