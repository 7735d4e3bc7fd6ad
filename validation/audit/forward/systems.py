"""Systems of linear equations: first-order forms, coupled equations, elasticity, Stokes flow."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .... import Problem
from ....backend import dde
from ..case import turn
from ..fields import Function, array, dirichlet, laplacian, manufactured, side, slope, slope_of, stacked, waves
from .drawing import case, interval, line, log_uniform, positive, rectangle


@dataclass(frozen=True)
class _System:
    """Equations of several outputs: ``operator`` applied to ``exact`` gives their right sides."""

    text: str
    outputs: tuple[str, ...]
    geometry: object
    exact: Function
    operator: Callable
    conditions: dict


def system(rng, number):
    """Several outputs: first-order forms, coupled equations, elasticity, Stokes."""
    drawn = turn(number, (_first_order_form, _coupled_ordinary, _coupled_diffusion, _plane_strain, _stokes))(rng)
    pde = manufactured(drawn.operator, drawn.exact)
    problem = Problem(geometry=drawn.geometry, pde=pde, conditions=drawn.conditions, outputs=drawn.outputs)
    return case(drawn.text, problem, drawn.exact)


def _first_order_form(rng) -> _System:
    """-(a u')' + u = f as two equations of first order."""
    low, high = interval(rng)
    a, u = positive(rng, low, high), waves(rng, low, high, rng.uniform(2, 8))
    exact = stacked(u, lambda x: a(x) * slope_of(u)(x))
    geometry = line(low, high)

    def operator(x, y):
        return [a(x) * slope(y, x, 0, i=0) - y[:, 1:2], -slope(y, x, 0, i=1) + y[:, 0:1]]

    conditions = {"ends": dirichlet(geometry, exact, i=0)}
    return _System("first-order form", ("u", "flux"), geometry, exact, operator, conditions)


def _coupled_ordinary(rng) -> _System:
    low, high = interval(rng)
    size = [1.0, 1.0, log_uniform(rng, 1e-3, 1)]
    exact = stacked(*(waves(rng, low, high, rng.uniform(2, 6), size=s) for s in size))
    matrix = torch.tensor(rng.uniform(-1, 1, (3, 3)) / (high - low))
    geometry = line(low, high)

    def operator(x, y):
        return [slope(y, x, 0, i=i) + (y @ matrix[i])[:, None] for i in range(3)]

    left = side(0, low, high - low)
    conditions = {f"start {i}": dirichlet(geometry, exact, left, i=i) for i in range(3)}
    return _System("three equations of first order", ("a", "b", "c"), geometry, exact, operator, conditions)


def _coupled_diffusion(rng) -> _System:
    low, high = rectangle(rng)
    exact = stacked(*(waves(rng, low, high, rng.uniform(1.5, 3)) for _ in range(2)))
    geometry, k = dde.geometry.Rectangle(low, high), rng.uniform(0.5, 3)

    def operator(x, y):
        u, v = y[:, 0:1], y[:, 1:2]
        return [-laplacian(y, x, (0, 1), i=0) + k * (u - v), -laplacian(y, x, (0, 1), i=1) + k * (v - u)]

    conditions = {f"sides {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
    return _System("coupled diffusion", ("u", "v"), geometry, exact, operator, conditions)


def _plane_strain(rng) -> _System:
    low, high = rectangle(rng)
    exact = stacked(*(waves(rng, low, high, rng.uniform(1.5, 3)) for _ in range(2)))
    geometry, lame = dde.geometry.Rectangle(low, high), rng.uniform(0.5, 10)

    def operator(x, y):
        divergence = slope(y, x, 0, i=0) + slope(y, x, 1, i=1)
        return [laplacian(y, x, (0, 1), i=i) + (1 + lame) * slope(divergence, x, i) for i in (0, 1)]

    conditions = {f"sides {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
    return _System(f"plane strain, λ/μ = {lame:.1f}", ("u", "v"), geometry, exact, operator, conditions)


def _stokes(rng) -> _System:
    """The velocity has a stream function; the pressure is known at one point."""
    low, high = np.zeros(2), np.ones(2)
    psi, p = waves(rng, low, high, 1.5), waves(rng, low, high, 1.5)

    def exact(x):
        points = x if x.requires_grad else x.clone().requires_grad_()
        (g,) = torch.autograd.grad(psi(points).sum(), points, create_graph=True)
        value = torch.cat([g[:, 1:2], -g[:, 0:1], p(points)], 1)
        return value if x.requires_grad else value.detach()

    geometry = dde.geometry.Rectangle(low, high)

    def operator(x, y):
        momentum = [-laplacian(y, x, (0, 1), i=i) + slope(y, x, i, i=2) for i in (0, 1)]
        return [*momentum, slope(y, x, 0, i=0) + slope(y, x, 1, i=1)]

    conditions = {f"wall {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
    pin = rng.uniform(0.2, 0.8, (1, 2))
    conditions["pressure"] = dde.icbc.PointSetBC(pin, array(exact)(pin)[:, 2:3], component=2)
    return _System("Stokes flow, pressure pinned", ("u", "v", "p"), geometry, exact, operator, conditions)
