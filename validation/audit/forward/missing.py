"""Problems that do not determine a solution: a condition or a constant is missing, or there is a resonance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .... import Problem
from ....backend import dde
from ..case import turn
from ..fields import (
    Function,
    antiderivative,
    dirichlet,
    everywhere,
    initial,
    laplacian,
    manufactured,
    neumann,
    side,
    slope,
    slope_of,
    stacked,
    waves,
)
from .drawing import FEATURES, case, in_time, line


@dataclass(frozen=True)
class _Start:
    """Random parameters drawn before the equation.

    Attributes:
        width: of the interval [0, width].
        end: of the time.
        k: wavenumber of a mode that is 0 at both ends.
        smooth: a function on the interval.
    """

    width: float
    end: float
    k: float
    smooth: Function

    @property
    def left(self) -> Callable:
        return side(0, 0.0, self.width)

    def in_time(self, rng):
        """The interval in time, and a function on it."""
        return in_time(line(0.0, self.width), self.end), waves(rng, [0, 0], [self.width, self.end], rng.uniform(2, 5))

    def in_a_plane(self, rng):
        """The rectangle [0, width] x [0, 1], and a function on it."""
        geometry = dde.geometry.Rectangle([0, 0], [self.width, 1])
        return geometry, waves(rng, [0, 0], [self.width, 1], rng.uniform(2, 5))


@dataclass(frozen=True)
class _Undetermined:
    """A problem with many solutions: any multiple of ``free`` can be added to ``exact``."""

    text: str
    geometry: object
    exact: Function
    operator: Callable
    conditions: dict
    free: Function
    outputs: tuple[str, ...] = ("u",)


def missing(rng, number):
    """A condition is missing, or a constant, or the problem is at a resonance: there are many solutions."""
    settings = turn(number // len(MISSING), FEATURES)
    width, end = rng.uniform(0.6, 2), rng.uniform(0.3, 1)
    k = int(rng.integers(1, 3)) * np.pi / width
    start = _Start(width, end, k, waves(rng, 0.0, width, rng.uniform(2, 6)))
    drawn = turn(number, MISSING)(rng, start)
    problem = Problem(
        geometry=drawn.geometry,
        pde=manufactured(drawn.operator, drawn.exact),
        conditions=drawn.conditions,
        outputs=drawn.outputs,
    )

    def second(x):
        return drawn.exact(x) + 0.7 * drawn.free(x)

    text = drawn.text + (f", {settings['network']}" if settings else "")
    return case(text, problem, reason=f"not determined: {text}", witnesses=(drawn.exact, second), settings=settings)


def _second_order(rng, start: _Start) -> _Undetermined:
    geometry, exact, w = line(0.0, start.width), start.smooth, waves(rng, 0.0, start.width, 3.0)
    free = antiderivative(lambda x: torch.exp(w(x)), 0.0, start.width, 100)

    def operator(x, u):
        return slope(u, x, 0, 0) - slope_of(w)(x) * slope(u, x, 0)

    conditions = {"left": dirichlet(geometry, exact, start.left)}
    return _Undetermined("second order, one end", geometry, exact, operator, conditions, free)


def _fourth_order(rng, start: _Start) -> _Undetermined:
    geometry, exact = line(0.0, start.width), start.smooth

    def operator(x, u):
        return slope(u, x, 0, 0, 0, 0)

    def free(x):
        return x**2 * (x - start.width)

    conditions = {"ends": dirichlet(geometry, exact), "slope": neumann(geometry, exact, start.left)}
    return _Undetermined("fourth order, three conditions", geometry, exact, operator, conditions, free)


def _resonance(rng, start: _Start) -> _Undetermined:
    geometry, exact, k = line(0.0, start.width), start.smooth, start.k

    def operator(x, u):
        return slope(u, x, 0, 0) + k**2 * u

    def free(x):
        return torch.sin(k * x)

    return _Undetermined("at a resonance", geometry, exact, operator, {"ends": dirichlet(geometry, exact)}, free)


def _heat(diffusivity: float) -> Callable:
    return lambda x, u: slope(u, x, 1) - diffusivity * slope(u, x, 0, 0)


def _heat_without_a_start(rng, start: _Start) -> _Undetermined:
    (geometry, exact), d, k = start.in_time(rng), rng.uniform(0.1, 1), start.k

    def free(x):
        return torch.sin(k * x[:, :1]) * torch.exp(-d * k**2 * x[:, 1:])

    return _Undetermined("heat without a start", geometry, exact, _heat(d), {"ends": dirichlet(geometry, exact)}, free)


def _heat_with_one_end_free(rng, start: _Start) -> _Undetermined:
    (geometry, exact), d, beyond = start.in_time(rng), rng.uniform(0.1, 1), 1.2 * start.width

    def free(x):  # a source at ``beyond`` and its mirror image: zero at the start and at the left end
        s, t = x[:, :1], x[:, 1:].clamp(min=1e-4)
        parts = [torch.exp(-((s - p) ** 2) / (4 * d * t)) for p in (beyond, -beyond)]
        return (parts[0] - parts[1]) / t.sqrt()

    conditions = {"left": dirichlet(geometry, exact, start.left), "start": initial(geometry, exact)}
    return _Undetermined("heat with one end free", geometry, exact, _heat(d), conditions, free)


def _wave_without_a_velocity(rng, start: _Start) -> _Undetermined:
    (geometry, exact), c, k = start.in_time(rng), rng.uniform(0.5, 2), start.k

    def operator(x, u):
        return slope(u, x, 1, 1) - c**2 * slope(u, x, 0, 0)

    def free(x):
        return torch.sin(k * x[:, :1]) * torch.sin(c * k * x[:, 1:])

    conditions = {"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)}
    return _Undetermined("wave without a velocity at the start", geometry, exact, operator, conditions, free)


def _advection_without_inflow(rng, start: _Start) -> _Undetermined:
    (geometry, exact), c = start.in_time(rng), rng.uniform(0.5, 2)

    def operator(x, u):
        return slope(u, x, 1) + c * slope(u, x, 0)

    def free(x):
        return (c * x[:, 1:] - x[:, :1]).clamp(min=0) ** 5

    conditions = {"start": initial(geometry, exact)}
    return _Undetermined("advection without inflow", geometry, exact, operator, conditions, free)


def _insulated_heat_without_a_start(rng, start: _Start) -> _Undetermined:
    geometry, exact = start.in_time(rng)

    def operator(x, u):
        return slope(u, x, 1) - slope(u, x, 0, 0)

    conditions = {"ends": neumann(geometry, exact)}
    return _Undetermined("heat, insulated, without a start", geometry, exact, operator, conditions, _constant)


def _constant(x):
    return torch.ones_like(x[:, :1])


def _poisson(x, u):
    return -laplacian(u, x, (0, 1))


def _poisson_with_one_side_free(rng, start: _Start) -> _Undetermined:
    (geometry, exact), k = start.in_a_plane(rng), start.k

    def free(x):
        return torch.sin(k * x[:, :1]) * torch.sinh(k * x[:, 1:])

    conditions = {"three sides": dirichlet(geometry, exact, lambda x, on: bool(on and x[1] < 1 - 1e-9))}
    return _Undetermined("Poisson, one side free", geometry, exact, _poisson, conditions, free)


def _poisson_with_fluxes(rng, start: _Start) -> _Undetermined:
    geometry, exact = start.in_a_plane(rng)
    conditions = {"sides": neumann(geometry, exact)}
    return _Undetermined("Poisson with fluxes only", geometry, exact, _poisson, conditions, _constant)


def _divergence_only(rng, start: _Start) -> _Undetermined:
    (geometry, first), k = start.in_a_plane(rng), start.k
    exact = stacked(first, waves(rng, [0, 0], [start.width, 1], rng.uniform(2, 4)))

    def operator(x, u):
        return slope(u, x, 0, i=0) + slope(u, x, 1, i=1)

    def free(x):  # (ψ_y, -ψ_x), ψ = sin² sin²
        s, y = k * x[:, :1], np.pi * x[:, 1:]
        parts = [np.pi * torch.sin(s) ** 2 * torch.sin(2 * y), -k * torch.sin(2 * s) * torch.sin(y) ** 2]
        return torch.cat(parts, 1)

    conditions = {f"sides {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
    return _Undetermined("divergence only", geometry, exact, operator, conditions, free, ("u", "v"))


def _periodic_without_a_mean(rng, start: _Start) -> _Undetermined:
    geometry, turns = line(0, 2 * np.pi), int(rng.integers(1, 5))

    def exact(x):
        return torch.cos(turns * x) + 0.5 * torch.sin(2 * x)

    def operator(x, u):
        return -slope(u, x, 0, 0)

    conditions = {f"periodic {n}": dde.icbc.PeriodicBC(geometry, 0, everywhere, derivative_order=n) for n in (0, 1)}
    return _Undetermined("periodic without a mean", geometry, exact, operator, conditions, _constant)


def _no_condition(rng, start: _Start) -> _Undetermined:
    c = rng.uniform(0.2, 2)

    def operator(x, u):
        return slope(u, x, 0) + c * u

    def free(x):
        return torch.exp(-c * x)

    return _Undetermined("no condition at all", line(0.0, start.width), start.smooth, operator, {}, free)


MISSING = (
    _second_order,
    _fourth_order,
    _resonance,
    _heat_without_a_start,
    _heat_with_one_end_free,
    _wave_without_a_velocity,
    _advection_without_inflow,
    _insulated_heat_without_a_start,
    _poisson_with_one_side_free,
    _poisson_with_fluxes,
    _divergence_only,
    _periodic_without_a_mean,
    _no_condition,
)
