"""Accuracy of a network: errors against a solution or a reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import limits
from ..errors import InputError
from ..problem.points import scattered_points
from ..problem.problem import Problem
from ..problem.references import Reference, reference

REFERENCE_POINTS = 20_000
"""Most nodes of a reference with which a network is compared."""
REFERENCE_SHARE = 0.25
"""Of the time that is left, for a reference that is not in the cache."""
QUICK_POINTS = 2_000
"""Most points of an error in the history."""
CHUNK = 20_000
"""Rows evaluated at a time, to bound the memory."""


@dataclass(frozen=True)
class Errors:
    """Errors of all components together: relative L2, maximum absolute, and what they were measured against.

    Attributes:
        relative_l2: None if there is nothing to compare with.
        maximum: the largest absolute error, or None.
        against: "solution", "reference" or None.
        by_output: the relative L2 error of each component.
        points: the number of test points.
        until: the time up to which they were measured if the network covers only part of the time interval; else None.
    """

    relative_l2: float | None = None
    maximum: float | None = None
    against: str | None = None
    by_output: dict[str, float] | None = None
    points: int = 0
    until: float | None = None


def predict(net: Any, x: ArrayLike, dim: int, dtype: str, chunk: int = CHUNK) -> np.ndarray:
    """The network at x (n, d), as NumPy (n, c) in ``dtype``, in chunks of rows and without graphs.

    NaN at times that time stepping by slabs has not reached.
    """
    try:
        x = np.asarray(x, dtype=dtype)
    except (TypeError, ValueError):
        raise InputError(f"x: must be an array of numbers, {type(x).__name__} given") from None
    if x.ndim != 2 or x.shape[1] != dim:
        raise InputError(f"x: has shape {x.shape}; (n, {dim}) is needed")
    if not np.isfinite(x).all():
        raise InputError("x: has values that are not finite")
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise InputError(f"chunk: {chunk!r} given; a whole number >= 1 is needed")
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            parts = [net(torch.tensor(x[i : i + chunk])).cpu().numpy() for i in range(0, max(len(x), 1), chunk)]
    finally:
        net.train(training)
    return np.concatenate(parts)


class Target:
    """What the network is compared with: the exact solution on test points, else the reference on its nodes."""

    def __init__(self, problem: Problem, count: int):
        self.problem = problem
        self.reference: Reference | None = None
        self.note: str | None = None
        """Why there is no reference, if there was no time for it."""
        try:
            with limits.within(REFERENCE_SHARE * limits.left()):
                self.reference = reference_of(problem)
        except limits.Ended as ended:
            self.note = f"the reference was not computed: {ended.reason}; no errors against it"
        self.x: np.ndarray | None = None
        self.u: np.ndarray | None = None
        self.against: str | None = None
        if problem.solution is not None:
            self.x, self.against = scattered_points(problem, count), "solution"
            self.u = np.asarray(problem.solution(self.x), dtype=np.float64)
            if not np.isfinite(self.u).all():
                raise InputError("solution: not finite at some test points inside the geometry")
        elif self.reference is not None:
            (self.x, self.u), self.against = self.reference.points(REFERENCE_POINTS), "reference"

    def errors(self, net: Any) -> Errors:
        if self.x is None or self.u is None or self.against is None:
            return Errors()
        return compare(self.problem, net, self.x, self.u, self.against)

    def quick_error(self, net: Any) -> float | None:
        """The relative L2 error on at most `QUICK_POINTS` of the points: for the history."""
        if self.x is None or self.u is None or self.against is None:
            return None
        some = slice(None, None, -(-len(self.x) // QUICK_POINTS))
        return compare(self.problem, net, self.x[some], self.u[some], self.against).relative_l2

    def reference_errors(self, net: Any) -> Errors:
        """Against the reference on its own nodes, whether there is an exact solution or not."""
        if self.reference is None:
            return Errors()
        x, u = self.reference.points(REFERENCE_POINTS)
        return compare(self.problem, net, x, u, "reference")


def distance(problem: Problem, net: Any, other: Any) -> float:
    """The L2 distance of another network from ``net``, relative to the larger of the two, at scattered points; for a
    network that does not cover the whole time interval yet, at the points that it covers."""
    x = scattered_points(problem, 1000)
    if not getattr(other, "complete", True):
        x = x[other.covers(torch.as_tensor(x.astype(problem.dtype))).numpy()]
    u, v = (predict(n, x, problem.dim, problem.dtype) for n in (net, other))
    return float(np.linalg.norm(u - v) / max(np.linalg.norm(u), np.linalg.norm(v), 1e-300))


def compare(problem: Problem, net: Any, x: np.ndarray, u: np.ndarray, against: str) -> Errors:
    """Errors of the network at x (n, d) against the values u (n, c); for one that has not reached the final time, at
    the points that it covers."""
    until = None
    if not getattr(net, "complete", True):
        until, covered = net.reached, net.covers(torch.as_tensor(np.asarray(x, dtype=problem.dtype))).numpy()
        x, u = x[covered], u[covered]
        if not len(x):
            return Errors(against=against, until=until)
    difference = predict(net, x, problem.dim, problem.dtype).astype(np.float64) - u
    with np.errstate(over="ignore", invalid="ignore"):  # divergence of the training is reported elsewhere
        return Errors(
            _relative(difference, u),
            float(np.abs(difference).max()),
            against,
            {name: _relative(difference[:, i], u[:, i]) for i, name in enumerate(problem.outputs)},
            len(x),
            until,
        )


def _relative(difference: np.ndarray, u: np.ndarray) -> float:
    norm = float(np.linalg.norm(u))
    return float(np.linalg.norm(difference)) / (norm if norm > 0 else 1.0)


def reference_of(problem: Problem) -> Reference | None:
    """The problem's reference, from the cache for catalogue problems; `InputError` if it cannot be computed."""
    if problem.reference is None:
        return None
    limits.say("the reference: a finite-difference solution")
    if isinstance(problem.reference, str):
        result = reference(problem.reference, **problem.parameters)
    else:
        try:
            result = problem.reference()
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"reference: raised {type(error).__name__}: {error}") from error
        if not isinstance(result, Reference):
            raise InputError(f"reference: returned {type(result).__name__}, not a finite_difference.Reference")
    wanted = (problem.dim, len(problem.outputs))
    if (len(result.axes), result.values.shape[-1]) != wanted:
        raise InputError(
            f"reference: has {len(result.axes)} axes and {result.values.shape[-1]} component(s); "
            f"the problem has {wanted[0]} coordinates and {wanted[1]} output(s)"
        )
    return result
