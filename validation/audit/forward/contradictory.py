"""Problems with one condition too many, which contradicts the others or is consistent with them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .... import Problem, Sampling
from ....backend import dde
from ..case import turn
from ..fields import (
    Function,
    dirichlet,
    everywhere,
    initial,
    laplacian,
    manufactured,
    neumann,
    side,
    slope,
    waves,
)
from .drawing import FEATURES, case, in_time, line, log_uniform


@dataclass(frozen=True)
class _Redundant:
    """A problem with one condition too many, or with a compatibility condition (balance).

    Attributes:
        extra: function of the points that is added to the first equation.
    """

    text: str
    geometry: object
    exact: Function
    operator: Callable
    conditions: dict
    extra: Callable = lambda x: 0.0


def contradiction(rng, number):
    """Two conditions that contradict each other, or fluxes without a balance: there is no solution."""
    off = log_uniform(rng, 1e-2, 1)
    problem, _, text = redundant(rng, number, off)
    settings = turn(number // 10, FEATURES) if number % 10 in (0, 1, 3) else FEATURES[0]
    text += f", {settings['network']}" if settings else ""
    return case(f"{text}, off by {off:.3f}", problem, reason=f"contradiction: {text}", settings=settings)


def stated_twice(rng, number):
    """The same without a contradiction: more conditions than needed, which are consistent."""
    problem, exact, text = redundant(rng, turn(number, (0, 3, 4, 6, 7, 9)), 0.0)
    return case(text, problem, exact)


def redundant(rng, number: int, off: float) -> tuple[Problem, Function, str]:
    """A problem of `REDUNDANT`, its solution where nothing is ``off``, and what it is.

    Args:
        off: error of a condition, or of the balance, relative to its natural size.
    """
    exact, c = waves(rng, 0.0, 1.0, rng.uniform(2, 6)), rng.uniform(0.5, 2)
    drawn = turn(number, REDUNDANT)(rng, exact, c, off)
    agreeing = manufactured(drawn.operator, drawn.exact)

    def pde(x, u):
        found = agreeing(x, u)
        if isinstance(found, list):
            return [found[0] + drawn.extra(x), *found[1:]]
        return found + drawn.extra(x)

    # If nothing fits, the search for basis functions continues up to the number that these points allow.
    sampling = Sampling(domain=400) if off and drawn.geometry.dim > 1 else Sampling()
    problem = Problem(geometry=drawn.geometry, pde=pde, conditions=drawn.conditions, sampling=sampling)
    return problem, drawn.exact, drawn.text


LEFT, RIGHT = side(0, 0.0, 1), side(0, 1.0, 1)


def _square(rng):
    """The unit square, and a function on it."""
    return dde.geometry.Rectangle([0, 0], [1, 1]), waves(rng, [0, 0], [1, 1], rng.uniform(1.5, 3))


def _second_derivative(x, u):
    return -slope(u, x, 0, 0)


def _left_end(rng, exact, c: float, off: float) -> _Redundant:
    geometry = line(0.0, 1.0)
    conditions = {"ends": dirichlet(geometry, exact), "left again": dirichlet(geometry, exact, LEFT, off=off)}
    return _Redundant("left end given twice", geometry, exact, _second_derivative, conditions)


def _fluxes_on_a_line(rng, exact, c: float, off: float) -> _Redundant:
    geometry = line(0.0, 1.0)
    conditions = {"left": neumann(geometry, exact, LEFT), "right": neumann(geometry, exact, RIGHT, off=3 * off)}
    return _Redundant("fluxes in 1-D", geometry, exact, _second_derivative, conditions)


def _fluxes_in_a_plane(rng, exact, c: float, off: float) -> _Redundant:
    geometry, exact = _square(rng)

    def operator(x, u):
        return -laplacian(u, x, (0, 1))

    return _Redundant("fluxes in 2-D", geometry, exact, operator, {"sides": neumann(geometry, exact, off=3 * off)})


def _values_and_fluxes(rng, exact, c: float, off: float) -> _Redundant:
    geometry = line(0.0, 1.0)
    conditions = {"values": dirichlet(geometry, exact), "fluxes": neumann(geometry, exact, off=5 * off)}
    return _Redundant("values and fluxes at both ends", geometry, exact, _second_derivative, conditions)


def _two_ends(rng, exact, c: float, off: float) -> _Redundant:
    geometry = line(0.0, 1.0)

    def operator(x, u):
        return slope(u, x, 0) + c * u

    conditions = {"left": dirichlet(geometry, exact, LEFT), "right": dirichlet(geometry, exact, RIGHT, off=off)}
    return _Redundant("first order with two ends", geometry, exact, operator, conditions)


def _source_at_a_resonance(rng, exact, c: float, off: float) -> _Redundant:
    geometry = line(0.0, 1.0)

    def operator(x, u):
        return slope(u, x, 0, 0) + np.pi**2 * u

    def extra(x):
        return 10 * off * torch.sin(np.pi * x)

    conditions = {"ends": dirichlet(geometry, exact)}
    return _Redundant("resonance with a source along the mode", geometry, exact, operator, conditions, extra)


def _left_end_in_time(rng, exact, c: float, off: float) -> _Redundant:
    geometry, exact = in_time(line(0.0, 1.0), 0.5), waves(rng, [0, 0], [1, 0.5], rng.uniform(2, 5))

    def operator(x, u):
        return slope(u, x, 1) - slope(u, x, 0, 0)

    conditions = {
        "ends": dirichlet(geometry, exact),
        "left again": dirichlet(geometry, exact, LEFT, off=off),
        "start": initial(geometry, exact),
    }
    return _Redundant("heat, left end given twice", geometry, exact, operator, conditions)


def _two_equations(rng, exact, c: float, off: float) -> _Redundant:
    geometry = line(0.0, 1.0)

    def operator(x, u):
        return [-slope(u, x, 0, 0), slope(u, x, 0) + c * u]

    conditions = {"ends": dirichlet(geometry, exact)}
    return _Redundant("two equations for one function", geometry, exact, operator, conditions, lambda x: off)


def _mean_of_a_periodic_source(rng, exact, c: float, off: float) -> _Redundant:
    geometry, turns = line(0, 2 * np.pi), int(rng.integers(1, 4))

    def exact(x):
        return torch.cos(turns * x)

    conditions = {f"periodic {n}": dde.icbc.PeriodicBC(geometry, 0, everywhere, derivative_order=n) for n in (0, 1)}
    text = "periodic, mean of the source"
    return _Redundant(text, geometry, exact, _second_derivative, conditions, lambda x: off)


def _side_of_a_square(rng, exact, c: float, off: float) -> _Redundant:
    geometry, exact = _square(rng)

    def operator(x, u):
        return -laplacian(u, x, (0, 1)) + u

    conditions = {"sides": dirichlet(geometry, exact), "left again": dirichlet(geometry, exact, LEFT, off=off)}
    return _Redundant("a side of a square given twice", geometry, exact, operator, conditions)


REDUNDANT = (
    _left_end,
    _fluxes_on_a_line,
    _fluxes_in_a_plane,
    _values_and_fluxes,
    _two_ends,
    _source_at_a_resonance,
    _left_end_in_time,
    _two_equations,
    _mean_of_a_periodic_source,
    _side_of_a_square,
)
"""Functions of the generator, a smooth function on [0, 1], a coefficient, and how far a condition is ``off``."""
