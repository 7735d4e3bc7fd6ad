"""Random forward problems whose solution is known, of many kinds, as users write them.

Most are manufactured: the source is the operator applied to the exact solution. Others have closed forms. Problems
without a unique solution come with two different solutions (`Solutions.witnesses`), and contradictory problems have a
contradiction far above rounding. The kinds are listed in `kinds`; `statements` has the false statements about them.
"""

import numpy as np
import torch

from ....problem.points import scattered_points
from ..case import HUGE, Case, Outcome
from ..statements import FALSE, power
from .kinds import KINDS, SHORT

__all__ = ["FALSE", "KINDS", "SHORT", "Said", "distance", "of_case", "of_result", "power"]

Said = Outcome
POINTS, POINTS_SEED = 4000, 181
"""Points at which the true error is measured; other points than those for the comparison of solutions."""


def of_case(case: Case) -> dict:
    truth = case.truth
    return {"determined": bool(truth.functions), "well_posed": truth.well_posed, "condition": truth.condition}


def of_result(result, case: Case) -> dict:
    return {"error": distance(result, case.truth.functions)}


def distance(result, functions) -> float | None:
    """The relative L2 distance of a result to the nearest of the true solutions; None where there are none."""
    if not functions:
        return None
    x = scattered_points(result.problem, POINTS, POINTS_SEED)
    found = result.predict(x)
    distances = []
    for function in functions:
        u = function(torch.as_tensor(x)).detach().numpy()
        with np.errstate(all="ignore"):
            distance = float(np.linalg.norm(found - u) / np.linalg.norm(u))
        distances.append(distance if np.isfinite(distance) else HUGE)
    return min(distances)
