"""Coefficients of high contrast, terms in a small part of the domain, and jumps."""

import math

import numpy as np
import torch

from .... import Interface, Problem, Sampling
from ....backend import dde
from ..case import Case, turn
from ..fields import (
    amplification,
    antiderivative,
    dirichlet,
    initial,
    laplacian,
    manufactured,
    slope,
    slope_of,
    waves,
)
from .drawing import case, in_time, line, log_uniform


def contrast(rng, number):
    """Coefficients that vary by up to 1e6: a = exp(s sin ...), in one and two coordinates."""
    s, m = rng.uniform(1, math.log(1e6) / 2), int(rng.integers(1, 4))
    phase, w = rng.uniform(0, 2 * np.pi), 2 * np.pi * m
    settings = {"network_options": {"layers": [int(rng.integers(15, 61))]}} if number % 5 == 4 else {}
    text = f"a from {math.exp(-s):.1e} to {math.exp(s):.1e}, {m} waves" + (f", {settings}" if settings else "")
    if number % 3 == 2:
        return _contrast_in_a_plane(rng, s, settings)
    geometry = line(0, 1)

    def a(x):
        return torch.exp(s * torch.sin(w * x + phase))

    def operator(x, u):
        return a(x) * (slope(u, x, 0, 0) + s * w * torch.cos(w * x + phase) * slope(u, x, 0))

    if number % 3 == 0:  # -(a u')' = p + q x: u' = (C - p x - q x²/2) / a
        p, q = rng.uniform(0.5, 1.5), rng.uniform(-1, 1)
        one = antiderivative(lambda x: 1 / a(x), 0, 1)
        load = antiderivative(lambda x: (p * x + q * x**2 / 2) / a(x), 0, 1)
        end = torch.ones(1, 1, dtype=torch.float64)
        total = load(end) / one(end)

        def exact(x):
            return total * one(x) - load(x)

        def pde(x, u):
            return operator(x, u) + p + q * x
    else:
        exact = waves(rng, 0, 1, rng.uniform(2, 8))
        pde = manufactured(operator, exact)
    coefficients = [
        lambda x: 0 * x,
        lambda x: a(x) * s * w * torch.cos(w * x + phase),
        a,
    ]
    condition = amplification(coefficients, [(0, 0), (1, 0)], exact, 0, 1, degree=240)
    conditions = {"ends": dirichlet(geometry, exact)}
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(f"-(a u')' = f, {text}", problem, exact, condition=condition, settings=settings)


def _contrast_in_a_plane(rng, s: float, settings: dict) -> Case:
    low, high = np.zeros(2), np.ones(2)
    geometry, exact, hills = dde.geometry.Rectangle(low, high), waves(rng, low, high, 4.0), waves(rng, low, high, 4.0)

    def diffusion(x, u):
        value = torch.exp(s * hills(x))
        return sum(slope(value * slope(u, x, axis), x, axis) for axis in (0, 1))

    problem = Problem(
        geometry=geometry, pde=manufactured(diffusion, exact), conditions={"sides": dirichlet(geometry, exact)}
    )
    return case(f"div(a grad u) = f, a up to e^{s:.1f} either way", problem, exact, settings=settings)


def localised(rng, number):
    """A term, or a part of the solution, that is nonzero in a small part of the domain only."""
    width = log_uniform(rng, 0.003, 0.2)
    return turn(number, LOCALISED)(rng, width, rng.uniform(0.05 + width, 0.95 - width))


def _local_term(rng, width: float, center: float, order: int) -> Case:
    """A drift or, with ``order`` 0, a reaction."""
    geometry, exact, local = line(0, 1), waves(rng, 0, 1, rng.uniform(2, 6)), bump(center, width)
    strength = log_uniform(rng, 1, 10) / width ** (2 - order)

    def operator(x, u):
        return -slope(u, x, 0, 0) + strength * local(x) * (slope(u, x, 0) if order else u)

    problem = Problem(
        geometry=geometry, pde=manufactured(operator, exact), conditions={"ends": dirichlet(geometry, exact)}
    )
    text = f"-u'' + {strength:.0f} bump u{chr(39) * order}, half width {width:.4f} at {center:.3f}"
    return case(text, problem, exact, condition=strength * width ** (2 - order))


def _local_drift(rng, width: float, center: float) -> Case:
    return _local_term(rng, width, center, 1)


def _local_reaction(rng, width: float, center: float) -> Case:
    return _local_term(rng, width, center, 0)


def _spike(rng, width: float, center: float) -> Case:
    """The solution itself is localised, in a width that is drawn anew."""
    geometry, smooth = line(0, 1), waves(rng, 0, 1, rng.uniform(2, 6))
    size = rng.uniform(0.5, 2)
    width = log_uniform(rng, 0.003, 0.1)

    def exact(x):
        return smooth(x) + size * torch.exp(-(((x - center) / width) ** 2))

    def operator(x, u):
        return -slope(u, x, 0, 0) + u

    problem = Problem(
        geometry=geometry, pde=manufactured(operator, exact), conditions={"ends": dirichlet(geometry, exact)}
    )
    return case(f"-u'' + u = f with a spike of width {width:.4f} at {center:.3f}", problem, exact, condition=1.0)


def _local_drift_in_a_plane(rng, width: float, center: float) -> Case:
    """Width and center are drawn anew."""
    width = log_uniform(rng, 0.08, 0.2)
    center = rng.uniform(0.05 + width, 0.95 - width, 2)
    low, high = np.zeros(2), np.ones(2)
    geometry, exact, local = dde.geometry.Rectangle(low, high), waves(rng, low, high, 2.5), bump(center, width)
    strength = log_uniform(rng, 1, 10) / width
    axis = int(rng.integers(2))

    def drift(x, u):
        return -laplacian(u, x, (0, 1)) + strength * local(x) * slope(u, x, axis)

    problem = Problem(
        geometry=geometry, pde=manufactured(drift, exact), conditions={"sides": dirichlet(geometry, exact)}
    )
    return case(f"-Δu + {strength:.0f} bump u_{axis}, radius {width:.3f}", problem, exact, condition=strength * width)


def _local_drift_in_time(rng, width: float, center: float) -> Case:
    geometry = in_time(line(0, 1), 0.5)
    exact = waves(rng, [0, 0], [1, 0.5], 2.5)
    width = max(width, 0.08)
    local, strength = bump(min(max(center, 0.15), 0.85), width), log_uniform(rng, 1, 10) / width

    def evolution(x, u):
        return slope(u, x, 1) - slope(u, x, 0, 0) + strength * local(x) * slope(u, x, 0)

    problem = Problem(
        geometry=geometry,
        pde=manufactured(evolution, exact),
        conditions={"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)},
    )
    text = f"u_t - u_xx + {strength:.0f} bump u_x, half width {width:.3f}"
    return case(text, problem, exact, condition=strength * width)


LOCALISED = (
    *(_local_drift, _local_reaction, _spike, _local_drift, _local_reaction, _spike, _local_drift, _local_reaction),
    _local_drift_in_a_plane,
    _local_drift_in_time,
)
"""Taken in turn: those in two coordinates, which are expensive, once in ten."""


def bump(center, radius: float):
    """(1 - |x - c|²/r²)⁴ inside the radius, 0 outside; of the first coordinates, as many as the center has."""
    center = torch.tensor(np.atleast_1d(center))

    def value(x):
        inside = 1 - ((x[:, : len(center)] - center) ** 2).sum(1, keepdim=True) / radius**2
        return inside.clamp(min=0) ** 4

    return value


def jump(rng, number):
    """Discontinuous coefficients: with interfaces, in the lower terms, and where the source jumps with them."""
    at, left, right = rng.uniform(0.2, 0.8), log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    draw = turn(number, (_interface_on_a_line, _interface_in_a_plane, _kink, _reaction_that_jumps))
    return draw(rng, at, left, right)


def _two_sided(at: float, left: float, right: float):
    return lambda x: torch.where(x[:, :1] < at, torch.full_like(x[:, :1], left), torch.full_like(x[:, :1], right))


def _interface(rng, at: float, left: float, right: float, dim: int) -> Case:
    """a u_x is continuous: u = (x - at)/a h + r."""
    a, low, high = _two_sided(at, left, right), np.zeros(dim), np.ones(dim)
    geometry = dde.geometry.Rectangle(low, high) if dim == 2 else line(0, 1)
    h, r = waves(rng, low, high, 2.0), waves(rng, low[1:], high[1:], 2.0) if dim == 2 else None
    constant = rng.uniform(-1, 1)

    def exact(x):
        return (x[:, :1] - at) / a(x) * h(x) + (r(x[:, 1:]) if dim == 2 else constant)

    def operator(x, u):
        return -a(x) * laplacian(u, x, range(dim))

    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, exact),
        conditions={"boundary": dirichlet(geometry, exact)},
        interfaces=[Interface(axis=0, at=at, flux=lambda x, u: a(x) * slope(u, x, 0))],
    )
    return case(f"interface at {at:.2f}, a = {left:.2f} | {right:.2f}, {dim}-D", problem, exact)


def _interface_on_a_line(rng, at: float, left: float, right: float) -> Case:
    return _interface(rng, at, left, right, 1)


def _interface_in_a_plane(rng, at: float, left: float, right: float) -> Case:
    return _interface(rng, at, left, right, 2)


def _kink(rng, at: float, left: float, right: float) -> Case:
    """Equations in stress and displacement: a u' = s, s' = -f; no interface is stated, u has a kink."""
    geometry, a = line(0, 1), _two_sided(at, left, right)
    h, constant = waves(rng, 0, 1, 4.0), rng.uniform(-1, 1)

    def exact(x):
        u = (x - at) / a(x) * h(x) + constant
        s = h(x) + (x - at) * slope_of(h)(x)
        return torch.cat([u, s], 1)

    def operator(x, u):
        return [a(x) * slope(u, x, 0, i=0) - u[:, 1:2], slope(u, x, 0, i=1)]

    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, exact),
        conditions={"ends": dirichlet(geometry, exact, i=0)},
        outputs=("u", "s"),
        sampling=Sampling(domain=600),
    )
    return case(f"first-order form, a = {left:.2f} | {right:.2f} at {at:.2f}", problem, exact)


def _reaction_that_jumps(rng, at: float, left: float, right: float) -> Case:
    """The coefficient of u jumps, and f with it."""
    geometry, exact = line(0, 1), waves(rng, 0, 1, rng.uniform(2, 6))
    left, right = 10 * left, 10 * right
    c = _two_sided(at, left, right)

    def operator(x, u):
        return -slope(u, x, 0, 0) + c(x) * u

    problem = Problem(
        geometry=geometry, pde=manufactured(operator, exact), conditions={"ends": dirichlet(geometry, exact)}
    )
    return case(f"-u'' + c u, c = {left:.1f} | {right:.1f} at {at:.2f}", problem, exact)
