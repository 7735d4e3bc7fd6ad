"""A second solution that is independent of a first, and other solutions of a nonlinear problem."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..analysis.basis_size import for_wavenumbers
from ..checking import accuracy
from ..checking.status import ranges_of
from ..discretization.jets import orders_of_problem
from ..discretization.last_layer import last_linear
from ..methods.least_squares import LeastSquares
from ..problem.problem import Problem
from .trial import Candidate, attempt

MANY_COLUMNS = 1500
"""Maximum number of coefficients of a second solution for a network obtained by other methods."""
EXTRA = 1.15
"""Factor on the number of basis functions of the second solution relative to the first."""


CHEAP = 200
"""Maximum number of coefficients for which another solution of a nonlinear problem is searched for."""


MULTIPLES, RESOLVING = (-10.0, -1.0, 3.0, 30.0), 2
"""Multiples of the first solution used as starting points, and factor on its basis functions and wavenumbers."""


SOLVED, ANOTHER = 1e-3, 1e-1
"""Held-out residual up to which it counts as a solution, and distance from which it counts as a different one."""


@dataclass(frozen=True)
class Independent:
    """Comparison with a second solution: relative L2 distance, and `determination.loosest`; or None."""

    distance: float | None = None
    loosest: float | None = None


def independent(
    problem: Problem, network: str, options: dict, wavenumber: Sequence[float] | np.ndarray, seed: int, net: Any
) -> Independent:
    """A least-squares solution independent of ``net``: with other and more basis functions, other points, and
    coefficients as near as possible to those of a random function of its size.

    A nonlinear problem is solved by Newton's method from ``net``.
    """
    options = options | {"layers": [*options["layers"][:-1], math.ceil(EXTRA * options["layers"][-1]) + 2]}
    other = attempt(problem, network, options, wavenumber, seed, net)
    if not (other.outcome.affine or other.outcome.converged) or not math.isfinite(other.held_out):
        return Independent(None, other.loosest)
    return Independent(accuracy.distance(problem, net, other.net), other.loosest)


def check(
    problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray, seed: int, solve: bool = True
) -> Independent:
    """`independent` for a network obtained by other methods: its distance to a solution with sine basis functions.

    Without ``solve``, or if too many sines would be needed or they do not solve the problem, only uniqueness is checked
    (`determination.loosest`), with fewer and slower basis functions.
    """
    needed = problem.dtype == "float64" and problem.pde is not None and not problem.interfaces
    if not needed or problem.unknowns or problem.unknown_fields or problem.input_transform is not None:
        return Independent()
    if orders_of_problem(problem) is None:
        return Independent()
    name, most = LeastSquares.network, MANY_COLUMNS / len(problem.outputs)
    width = math.ceil(for_wavenumbers(problem, wavenumber, 1.0))
    if solve and width <= most:
        found = independent(problem, name, {"layers": [width]}, wavenumber, seed, net)
        if found.distance is not None:
            return found
    slow = np.asarray(wavenumber, dtype=float)
    while for_wavenumbers(problem, slow, 1.0) > most / 2 and (slow > np.pi / problem.box.half_width).any():
        slow = 0.8 * slow
    options = {"layers": [math.ceil(min(for_wavenumbers(problem, slow, 1.0), most))], "wavenumber": slow.tolist()}
    return Independent(None, attempt(problem, name, options, wavenumber, seed, net, steps=0).loosest)


def branches(
    problem: Problem, network: str, best: Candidate, wavenumber: Sequence[float] | np.ndarray, seed: int
) -> list[str]:
    """A note on a second solution of a steady nonlinear problem, searched for if that is cheap: by Newton's method from
    multiples of the first solution, with more basis functions than it needs."""
    if best.outcome.affine or problem.in_time or best.outcome.columns > CHEAP:
        return []
    options = best.options | {"layers": [*best.options["layers"][:-1], RESOLVING * best.options["layers"][-1]]}
    if "wavenumber" in options:
        options["wavenumber"] = [RESOLVING * k for k in options["wavenumber"]]
    for factor in MULTIPLES:
        start = copy.deepcopy(best.net)
        with torch.no_grad():
            for parameter in last_linear(start).parameters():
                parameter.mul_(factor)
        other = attempt(problem, network, options, wavenumber, seed, start)
        if other.outcome.converged and other.held_out < SOLVED:
            far = accuracy.distance(problem, best.net, other.net)
            if far > ANOTHER:
                ends = (f"{name} from {a:.4g} to {b:.4g}" for name, (a, b) in ranges_of(problem, other.net).items())
                return [f"another solution was found, at a relative distance of {far:.1e} ({', '.join(ends)})"]
    return []
