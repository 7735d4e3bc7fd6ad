"""The points of a problem: collocation points, through DeepXDE's own data objects, and test points."""

import copy
import functools

import numpy as np
from scipy.stats import qmc

from ..backend import dde, quiet
from ..errors import InputError


def collocation(
    problem,
    *,
    wavenumber=None,
    few: int | None = None,
    fresh: int | None = None,
    least: int = 0,
    features: int = 0,
    distribution: str | None = None,
    interval: tuple[float, float] | None = None,
    inside: np.ndarray | None = None,
    boundary: int | None = None,
    initial: int | None = None,
):
    """The ``dde.data.PDE`` (or TimePDE) of a problem, with its points drawn.

    Args:
        problem: a `Problem`.
        wavenumber: sets the open numbers of points in place of the problem's own, as in `Problem.points`.
        few: keep about this many points inside the domain, for trials.
        fresh: number of validation points inside the domain, which overrides the problem's own number.
        least: minimum number of points inside the domain, if the problem does not specify their number.
        features: number of basis functions of a network whose last layer is solved for: sets the open numbers of points
            in proportion to it, three rows per column inside the domain.
        distribution: in place of the problem's own.
        interval: (start, end) of a part of the time domain; initial conditions then select no points unless it begins
            at the start.
        inside: points (n, d) to be taken inside the domain. boundary, initial: with them, the numbers of points there
            that the problem does not specify.

    Raises:
        InputError: a condition selects none of the points.
    """
    points = problem.points(wavenumber)
    count = points.domain if problem.sampling.domain else max(points.domain, least)
    numbers = {"num_domain": fresh or (min(few, count) if few else count), "num_boundary": points.boundary}
    if problem.in_time:
        numbers["num_initial"] = points.initial
    if features:
        numbers |= _by_features(problem, features)
    if inside is not None:
        numbers["num_domain"] = len(inside)
        numbers |= {} if problem.sampling.boundary is not None else {"num_boundary": boundary}
        numbers |= {} if problem.sampling.initial is not None or not problem.in_time else {"num_initial": initial}
    geometry = problem.geometry
    if interval is not None:
        geometry = dde.geometry.GeometryXTime(geometry.geometry, dde.geometry.TimeDomain(*interval))
    geometry = _interior(geometry)
    if inside is not None:
        geometry = _placed(geometry, inside)
    data = _drawn(problem, geometry, distribution or points.distribution, numbers)
    later = interval is not None and interval[0] > problem.box.lower[-1]
    for name, selected in zip(problem.conditions, data.num_bcs, strict=True):
        if selected == 0 and not later:
            raise InputError(
                f"conditions[{name!r}]: selects none of the {points.boundary} boundary and {points.initial or 0} "
                "initial points; look at its on_boundary function and at the numbers in sampling"
            )
    hold(problem.conditions.values(), data.train_x)
    return data


def _drawn(problem, geometry, distribution: str, numbers: dict[str, int]):
    """The ``dde.data.PDE`` (or TimePDE) with so many points of the geometry."""
    for name, condition in problem.conditions.items():
        _selected(problem, name, condition)
    kind = dde.data.TimePDE if problem.in_time else dde.data.PDE
    conditions = list(problem.conditions.values())
    try:
        with quiet():
            return kind(geometry, _two_arguments(problem.pde), conditions, train_distribution=distribution, **numbers)
    except Exception as error:
        raise InputError(f"conditions: DeepXDE cannot draw points: {type(error).__name__}: {error}") from error


def _interior(geometry):
    """A copy of the geometry whose points inside the domain, and those at the start of time, stay off its boundary.

    DeepXDE compares with a relative tolerance of 1e-5: in about one draw in a hundred, a point just inside x = 1 would
    be assigned to the boundary conditions as well, with a residual of the size of that distance.
    """
    result = copy.copy(geometry)

    def clear(draw, redraw, initial, count, *args, **kwargs):
        x = draw(count, *args, **kwargs)
        for _ in range(100):
            on = on_boundary(geometry, x, start=not initial)
            if not on.any():
                break
            x[on] = redraw(int(on.sum()), random="pseudo")
        return x

    for name in ("random_points", "uniform_points", "random_initial_points"):
        if hasattr(geometry, name):
            initial = name == "random_initial_points"
            redraw = geometry.random_initial_points if initial else geometry.random_points
            setattr(result, name, functools.partial(clear, getattr(geometry, name), redraw, initial))
    return result


def on_boundary(geometry, x: np.ndarray, start: bool = True) -> np.ndarray:
    """Which of the points (n, d) DeepXDE takes to lie on the boundary or, with ``start``, the start of time: (n,)."""
    on = np.asarray(geometry.on_boundary(x), dtype=bool)
    if start and hasattr(geometry, "on_initial"):
        on |= np.asarray(geometry.on_initial(x), dtype=bool)
    return on


def _placed(geometry, x: np.ndarray):
    """A copy of the geometry whose points inside the domain are ``x``."""
    result = copy.copy(geometry)
    x = x.astype(dde.config.real(np))
    result.random_points = result.uniform_points = lambda *args, **kwargs: x
    return result


ROWS_PER_COLUMN = 3
"""Ratio of collocation points inside the domain to basis functions."""


def _by_features(problem, features: int) -> dict[str, int]:
    """The open numbers of points for so many basis functions: three rows per column inside, on each face enough for the
    trace."""
    given, dim = problem.sampling, problem.dim
    equations = len(problem.residual_names or ("pde",))
    inside = ROWS_PER_COLUMN * features * len(problem.outputs) // equations
    on_faces = max(features // 2, int(4 * dim * features ** ((dim - 1) / dim)), 100)
    numbers = {} if given.domain else {"num_domain": inside + 10}
    if dim > 1 + problem.in_time or problem.in_time:
        numbers |= {} if given.boundary is not None else {"num_boundary": on_faces}
    if problem.in_time:
        numbers |= {} if given.initial is not None else {"num_initial": on_faces}
    return numbers


def _two_arguments(pde):
    """A ``pde`` of two parameters: DeepXDE ignores one with another number, as with ``*args``, defaults, partials."""
    return None if pde is None else lambda x, u: pde(x, u)


def _selected(problem, name, condition) -> None:
    """Try the condition's filter on a few points: an error in it should carry the condition's name."""
    try:
        with quiet():
            x = problem.geometry.random_boundary_points(4, random="pseudo")
        condition.collocation_points(x)
    except Exception as error:
        raise InputError(f"conditions[{name!r}]: selecting points raised {type(error).__name__}: {error}") from error


def hold(conditions, x: np.ndarray) -> None:
    """Keep ``x`` alive as long as the conditions.

    They cache boundary values by ``id(x)`` without a reference to x: a later array at the same address would get the
    values of another one.
    """
    for condition in conditions:
        held = condition.__dict__.setdefault("_repnet_pde_held", [])
        if not any(x is other for other in held):
            held.append(x)


def scattered_points(problem, count: int, seed: int = 20_240_613) -> np.ndarray:
    """``count`` points (n, d) float64 inside the geometry, from a scrambled Halton sequence.

    They do not form a grid, so that no frequency is aliased, and are not the training points.
    """
    box, halton = problem.box, qmc.Halton(problem.dim, seed=seed)
    found: list[np.ndarray] = []
    have = 0
    for _ in range(1000):
        x = qmc.scale(halton.random(count), box.lower, box.upper)
        x = x[inside(problem, x)]
        found.append(x[: count - have])
        have += len(found[-1])
        if have == count:
            return np.concatenate(found)
    raise InputError(f"geometry: only {have} of {count} test points found in its bounding box; inside() may be wrong")


def inside(problem, x: np.ndarray) -> np.ndarray:
    """Which of the points (n, d), all in the bounding box, lie in the geometry: (n,) bool."""
    space, x = (problem.geometry.geometry, x[:, :-1]) if problem.in_time else (problem.geometry, x)
    return np.asarray(space.inside(x)).astype(bool).reshape(len(x))
