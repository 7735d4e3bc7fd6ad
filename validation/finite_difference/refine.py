"""Grid refinement with n, 2n, 4n, ... intervals; error estimate of the finest grid from differences and rounding."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from repnet_pde import limits
from repnet_pde.errors import InputError

from .reference import Reference
from .rounding import EPS, disturbed

SAFETY = 2.0
SAMPLES = 3
"""Number of solutions with perturbed entries to measure rounding: a single one can be small by chance."""
ROUNDING = 5.0
"""Factor on the largest change among them, which makes it a bound of the rounding error."""
GROWTH = 16.0
"""Maximum growth of rounding errors from n to 2n: that of difference quotients of order 4."""
NEGLIGIBLE = 0.1
"""Fraction of the discretisation error below which rounding is bounded by that of the previous grid."""
EXACT = 100 * EPS
"""Lower bound of the estimated relative error."""

Grid = tuple[tuple[np.ndarray, ...], np.ndarray]
Pair = tuple[float, float]  # in the maximum and the L2 norm
Level = tuple[int, float, Grid]  # n, the seconds that its solution took, and the solution


def refine(
    name: str,
    parameters: dict,
    solve: Callable[[int], Grid],
    *,
    n: int,
    order: float,
    largest: int,
    tolerance: float = 1e-12,
    seconds: float = math.inf,
    holes: bool = False,
) -> Reference:
    """The finest of nested solutions, with an error estimate by Richardson extrapolation and from measured rounding.

    `solve(n)` returns the axes and the values (grid shape, c) on a grid whose nodes for 2n contain those
    for n. Grids are doubled until the estimate is below `tolerance` times the largest value, until rounding
    exceeds the discretisation error and no longer decreases, until n would exceed `largest` or the next solve would
    exceed `seconds`, or until the differences stop decreasing. At least three grids are solved if `largest` allows it
    and the first two do not agree to rounding, since two grids give no order.

    With d the difference of the two finest grids on their common nodes, an error that falls as n**-p
    leaves d / (2**p - 1) on the finest; p is the observed order, never more than the nominal `order`,
    and the result is doubled for safety. Once p drops below half of `order` (a grid too coarse, or errors that no
    grid makes smaller) the argument does not hold and the larger of the last two differences is taken instead.
    `converged` is then False unless that still meets the tolerance.

    Rounding, and the tolerance of an integrator, are measured: `solve` is called again with entries disturbed in
    their last digits (see `rounding`; it must use its functions), and `ROUNDING` times the largest change is added to
    the estimate. Differences no larger than that say nothing about an order and are never judged by their ratio: the
    two grids agree as well as rounding allows, and twice the difference stands for the error of the grid. Where the
    changes on the grid before show that rounding cannot count, they are not measured again on the finest. No estimate
    is smaller than 100 units of rounding. With ``holes`` nodes that are NaN on every grid lie outside of the domain.
    """
    if n > largest:
        raise InputError(f"n: the first grid has {n} intervals, more than largest={largest}")
    begun = time.perf_counter()
    solved: list[Level] = []
    differences: list[Pair] = []  # for each pair of consecutive grids
    best_order = math.nan
    growth, level_seconds = 1.0, 0.0
    while True:
        limits.check(growth * level_seconds)
        level_begun = time.perf_counter()
        grid = solve(n)
        level_seconds = time.perf_counter() - level_begun
        if solved:
            differences.append(_difference(solved[-1][2], grid, holes))
        solved.append((n, level_seconds, grid))
        error = _judged(solve, solved, differences, order, holes)
        if not error.at_rounding and not error.stalled and not math.isnan(error.order):
            best_order = error.order
        reached = error.maximum <= max(tolerance * error.scale, error.least)
        growth = 2.0 ** (len(grid[0]) + 1)
        late = time.perf_counter() - begun + growth * level_seconds > seconds
        # a stall on the first differences may be a grid too coarse; later, finer grids do not help
        flat = error.stalled and len(differences) > 2 and differences[-1][0] < 1e-3 * differences[0][0]
        shown = error.at_rounding or len(differences) > 1
        if 2 * n > largest or late or flat or error.useless or (reached and shown):
            break
        n *= 2
    if error.stalled and math.isnan(best_order):
        best_order = error.order
    unit = error.norm if error.norm > 0 else 1.0
    coarser = ((k, spent, _difference(coarse, grid, holes)[1] / unit) for k, spent, coarse in solved[:-1])
    return Reference(
        name=name,
        parameters=dict(parameters),
        axes=grid[0],
        values=grid[1],
        error_estimate=error.maximum,
        relative_l2_estimate=error.l2 / unit,
        order=float(best_order),
        wall_seconds=time.perf_counter() - begun,
        converged=bool(error.maximum <= 1e-2 * error.scale and shown and (reached or not error.stalled)),
        levels=(*coarser, (n, level_seconds, error.l2 / unit)),
        rounding=error.rounding,
    )


@dataclass(frozen=True)
class ErrorEstimate:
    """The estimated error of the finest grid.

    Attributes:
        maximum: in the maximum norm, as a bound.
        l2: in the L2 norm, as a bound.
        rounding: the part of the maximum due to rounding.
        order: the observed one; NaN where there are fewer than three grids.
        scale: largest absolute value of the solution.
        norm: L2 norm of the solution.
        least: lower bound of the estimated error.
        at_rounding: whether the two finest grids agree as well as rounding allows.
        stalled: whether the differences decrease by less than half of the nominal order.
        useless: whether rounding exceeds the discretisation error, and no longer decreases.
    """

    maximum: float
    l2: float
    rounding: float
    order: float
    scale: float
    norm: float
    least: float
    at_rounding: bool
    stalled: bool
    useless: bool


def _judged(
    solve: Callable[[int], Grid], solved: list[Level], differences: list[Pair], order: float, holes: bool
) -> ErrorEstimate:
    """The error of the last of the grids solved, by the differences of consecutive ones and measured rounding."""
    (maximum, p), (l2, _) = (_estimate([pair[i] for pair in differences], order) for i in (0, 1))
    grid = solved[-1][2]
    scale, norm = _largest(grid[1], holes), _l2(*grid, holes)
    least = EXACT * scale, EXACT * norm
    floor, falling = (0.0, 0.0), False
    if math.isfinite(maximum):
        floor, falling = _rounding(solve, solved, (maximum, l2), least, holes)
    at_rounding = math.isfinite(maximum) and differences[-1][0] <= floor[0]
    if at_rounding:
        maximum, l2 = (SAFETY * d for d in differences[-1])
    stalled = not at_rounding and len(differences) > 1 and not p >= order / 2
    dominated = at_rounding or (floor[0] >= maximum and not stalled and len(differences) > 1)
    return ErrorEstimate(
        maximum=max(maximum + floor[0], least[0]),
        l2=max(l2 + floor[1], least[1]),
        rounding=floor[0],
        order=p,
        scale=scale,
        norm=norm,
        least=least[0],
        at_rounding=at_rounding,
        stalled=stalled,
        useless=not falling and dominated,
    )


def _rounding(
    solve: Callable[[int], Grid], solved: list[Level], error: Pair, least: Pair, holes: bool
) -> tuple[Pair, bool]:
    """A bound of the rounding error on the finest grid, and whether it is falling, as an integrator's tolerance may.

    It is that of the grid before, times `GROWTH`, where this is small against ``error``.
    """

    def changes(level: int, samples: int) -> Pair:
        n, _, grid = solved[level]
        found = []
        for seed in range(samples):
            with disturbed(seed):
                found.append(_difference(grid, solve(n), holes))
        return tuple(ROUNDING * max(norms) for norms in zip(*found, strict=True))

    before = changes(-2, 1)
    grown = tuple(GROWTH * change for change in before)
    if all(g <= max(NEGLIGIBLE * e, s) for g, e, s in zip(grown, error, least, strict=True)):
        return grown, False
    now = changes(-1, SAMPLES)
    return now, now[0] < before[0] / 2


def first_grid(parameter: str, intervals: float, largest: int, least: int = 16, unit: int = 1) -> int:
    """The first n for `refine`: ``unit`` times a power of two, and no less than ``intervals`` and ``least``.

    Raises `InputError`, which begins with ``parameter``, where ``largest`` does not let it be doubled twice.
    """
    n = unit * 2 ** math.ceil(math.log2(max(least, intervals) / unit))
    if 4 * n > largest:
        raise InputError(f"{parameter} needs at least {4 * n} intervals, more than largest={largest}")
    return n


def _estimate(d: list[float], order: float) -> Pair:
    """Estimated error of the finest grid from the differences of consecutive ones, and the observed order."""
    if len(d) < 2 or not all(map(math.isfinite, d[-2:])):
        return (math.inf if not d else d[-1]), math.nan
    if d[-1] == 0:
        return 0.0, order
    observed = math.log2(d[-2] / d[-1]) if d[-2] > 0 else -math.inf
    if observed < order / 2:
        return SAFETY * max(d[-2:]), observed
    return SAFETY * d[-1] / (2.0 ** min(observed, order) - 1), observed


def _largest(values: np.ndarray, holes: bool) -> float:
    return float((np.nanmax if holes else np.max)(np.abs(values)))


def _difference(coarse: Grid, fine: Grid, holes: bool) -> Pair:
    """Maximum and L2 norm of fine - coarse on the coarse nodes; infinite where one of them is not finite."""
    strides = []
    for d, (a, b) in enumerate(zip(coarse[0], fine[0], strict=True)):
        stride = (len(b) - 1) // (len(a) - 1)
        if len(b[::stride]) != len(a) or not np.allclose(a, b[::stride], rtol=0, atol=1e-9 * (a[-1] - a[0])):
            raise InputError(f"solve: the grids are not nested along axis {d}")
        strides.append(slice(None, None, stride))
    old, new = coarse[1], fine[1][tuple(strides)]
    known = np.isfinite(old) & np.isfinite(new)
    outside = np.isnan(old) & np.isnan(new) if holes else np.zeros_like(known)
    if not (known | outside).all() or not known.any():
        return math.inf, math.inf
    difference = new - old
    return _largest(difference, holes), _l2(coarse[0], difference, holes)


def _l2(axes: tuple[np.ndarray, ...], values: np.ndarray, holes: bool) -> float:
    """L2 norm over the grid's box with trapezoidal weights."""
    weights = []
    for axis in axes:
        half = np.diff(axis) / 2
        weights.append(np.append(half, 0) + np.append(0, half))
    squares = (np.nansum if holes else np.sum)(values**2, axis=-1)
    return math.sqrt(reduce(lambda total, w: np.tensordot(w, total, axes=(0, 0)), weights, squares))
