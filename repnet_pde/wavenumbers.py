"""The largest wavenumber of a problem's solution: stated by the problem, or estimated from its data."""

import numpy as np


def problem_wavenumber(problem) -> tuple[tuple[float, ...], str | None]:
    """Physical wavenumbers (d,) to plan for, and a note when they were not stated."""
    if problem.wavenumber is not None:
        return problem.wavenumber, None
    k = np.pi / problem.box.half_width
    return tuple(float(v) for v in k), "no wavenumber given"
