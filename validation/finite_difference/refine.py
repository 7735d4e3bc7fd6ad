"""Solve on grids of n, 2n, 4n, ... intervals and estimate the error of the finest from their differences."""

import math
import time
from collections.abc import Callable
from functools import reduce

import numpy as np

from repnet_pde.errors import InputError

from .reference import Reference

SAFETY = 2.0
EPS = float(np.finfo(float).eps)

Grid = tuple[tuple[np.ndarray, ...], np.ndarray]


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
    rounding: Callable[[int], float] = lambda n: 4 * n * EPS,
    holes: bool = False,
) -> Reference:
    """The finest of nested solutions, with an error estimate by Richardson's argument.

    `solve(n)` returns the axes and the values (grid shape, c) on a grid whose nodes for 2n contain those
    for n. Grids are doubled until the estimate is below `tolerance` times the largest value, until n would
    pass `largest` or the next solve would pass `seconds`, or until the differences stop falling. At least
    three grids are solved where `largest` allows it, since two show no order.

    With d the difference of the two finest grids on their common nodes, an error that falls as n**-p
    leaves d / (2**p - 1) on the finest; p is the observed order, never more than the nominal `order`,
    and the result is doubled for safety. Once p drops below half of `order` (rounding, a tolerance of the
    time integrator, or a grid too coarse) the argument does not hold and the larger of the last two
    differences is taken instead. `converged` is then False unless that still meets the tolerance or is as
    small as rounding. No estimate is smaller than `rounding(n)` times the largest value, or 100 units of
    rounding: two grids can share such an error, which their difference does not show. With ``holes`` nodes that are NaN
    on every grid lie outside of the domain.
    """
    if n > largest:
        raise InputError(f"n: the first grid has {n} intervals, more than largest={largest}")
    begun = time.perf_counter()
    grid = None
    solved: list[tuple[int, float, Grid]] = []
    differences: list[tuple[float, float]] = []  # (maximum, L2) for each pair of consecutive grids
    best_order = math.nan
    while True:
        level_begun = time.perf_counter()
        finer = solve(n)
        level_seconds = time.perf_counter() - level_begun
        if grid is not None:
            differences.append(_difference(grid, finer, holes))
        grid = finer
        solved.append((n, level_seconds, grid))
        (maximum, p), (l2, _) = _estimate(differences, order, 0), _estimate(differences, order, 1)
        scale, norm = _largest(grid[1], holes), _l2(*grid, holes)
        stalled = len(differences) > 1 and not p >= order / 2
        if not stalled and not math.isnan(p):
            best_order = p
        least = max(100 * EPS, rounding(n))
        reached = maximum <= max(tolerance, least) * scale
        growth = 2.0 ** (len(grid[0]) + 1)
        late = time.perf_counter() - begun + growth * level_seconds > seconds
        # a stall on the first differences may be a grid too coarse; later, finer grids do not help
        floor = stalled and len(differences) > 2 and differences[-1][0] < 1e-3 * differences[0][0]
        if 2 * n > largest or late or floor or (len(differences) > 1 and reached):
            break
        n *= 2
    if stalled and math.isnan(best_order):
        best_order = p
    unit = norm if norm > 0 else 1.0
    relative_l2 = max(l2 / unit, least)
    return Reference(
        name=name,
        parameters=dict(parameters),
        axes=grid[0],
        values=grid[1],
        error_estimate=max(maximum, least * scale),
        relative_l2_estimate=relative_l2,
        order=float(best_order),
        wall_seconds=time.perf_counter() - begun,
        converged=bool(len(differences) > 1 and maximum <= 1e-2 * scale and (reached or not stalled)),
        levels=(
            *((k, seconds, _difference(coarse, grid, holes)[1] / unit) for k, seconds, coarse in solved[:-1]),
            (n, level_seconds, relative_l2),
        ),
    )


def first_grid(parameter: str, intervals: float, largest: int, least: int = 16, unit: int = 1) -> int:
    """The first n for `refine`: ``unit`` times a power of two, and no less than ``intervals`` and ``least``.

    Raises `InputError`, which begins with ``parameter``, where ``largest`` does not let it be doubled twice.
    """
    n = unit * 2 ** math.ceil(math.log2(max(least, intervals) / unit))
    if 4 * n > largest:
        raise InputError(f"{parameter} needs at least {4 * n} intervals, more than largest={largest}")
    return n


def _estimate(differences: list[tuple[float, float]], order: float, which: int) -> tuple[float, float]:
    """Estimated error of the finest grid and the observed order, in one of the two norms."""
    d = [pair[which] for pair in differences]
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


def _difference(coarse: Grid, fine: Grid, holes: bool) -> tuple[float, float]:
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
