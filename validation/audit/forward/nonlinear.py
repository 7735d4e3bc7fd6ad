"""Nonlinear equations with one solution: steady ones, ordinary ones, and in time."""

import math

import numpy as np
import torch

from .... import Problem
from ....backend import dde
from ..case import Case
from ..fields import dirichlet, initial, laplacian, manufactured, slope, waves
from .drawing import case, in_time, line, log_uniform


def nonlinear(rng, number):
    """Steady nonlinear equations and ordinary ones with exactly one solution."""
    variant = number % 6
    geometry, low, high = line(0, 1), 0.0, 1.0
    exact = waves(rng, low, high, rng.uniform(2, 6), size=rng.uniform(0.5, 2))
    if variant == 4:
        return _logistic(rng)
    if variant == 0:
        text, c = "-u'' + c u³ = f", rng.uniform(0.5, 20)

        def operator(x, u):
            return -slope(u, x, 0, 0) + c * u**3

    elif variant == 1:
        text = "-((1 + u²) u')' = f"

        def operator(x, u):
            return -slope((1 + u**2) * slope(u, x, 0), x, 0)

    elif variant == 2:
        text, nu = "-ν u'' + u u' = f", log_uniform(rng, 0.05, 1)

        def operator(x, u):
            return -nu * slope(u, x, 0, 0) + u * slope(u, x, 0)

    elif variant == 3:
        text, c = "relu beyond what small trial values reach", rng.uniform(1, 30)
        small = exact

        def exact(x):
            return 20 * torch.sin(np.pi * x) + small(x)

        def operator(x, u):
            return -slope(u, x, 0, 0) + c * torch.relu(u - 5)

    else:
        text, geometry = "-Δu + u³ = f", dde.geometry.Rectangle([0, 0], [1, 1])
        exact = waves(rng, [0, 0], [1, 1], rng.uniform(2, 4), size=rng.uniform(0.5, 2))

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + u**3

    conditions = {"boundary": dirichlet(geometry, exact)}
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(text, problem, exact)


def _logistic(rng) -> Case:
    rate, start, end = rng.uniform(1, 4), rng.uniform(0.05, 0.4), rng.uniform(1, 3)
    text, geometry = f"u' = {rate:.2f} u (1 - u), u(0) = {start:.2f}", dde.geometry.TimeDomain(0, end)

    def exact(x):
        return 1 / (1 + (1 / start - 1) * torch.exp(-rate * x))

    def pde(x, u):
        return slope(u, x, 0) - rate * u * (1 - u)

    problem = Problem(
        geometry=geometry,
        pde=pde,
        conditions={"start": dde.icbc.IC(geometry, lambda x: start, lambda _, on: on)},
    )
    return case(text, problem, exact)


def nonlinear_in_time(rng, number):
    """u_t = nonlinear, mild enough for a few space-time slabs."""
    variant, end = number % 3, rng.uniform(0.1, 0.4)
    geometry = in_time(line(0, 1), end)
    exact = waves(rng, [0, 0], [1, end], rng.uniform(2, 4))
    nu = log_uniform(rng, 0.05, 0.5)
    if variant == 0:
        text = f"Burgers, ν = {nu:.2f}"

        def operator(x, u):
            return slope(u, x, 1) + u * slope(u, x, 0) - nu * slope(u, x, 0, 0)

    elif variant == 1:
        text, c = f"cubic reaction, ν = {nu:.2f}", rng.uniform(1, 5)

        def operator(x, u):
            return slope(u, x, 1) - nu * slope(u, x, 0, 0) - c * (u - u**3)

    else:  # M. J. Ablowitz, A. Zeppetella 1979
        text, k = "Fisher's front", rng.uniform(2, 8)

        def exact(x):
            z = torch.exp(k * (x[:, :1] - 0.3) / math.sqrt(6) - 5 / 6 * k**2 * x[:, 1:])
            return (1 + z) ** -2

        def pde(x, u):
            return slope(u, x, 1) - slope(u, x, 0, 0) - k**2 * u * (1 - u)

    problem = Problem(
        geometry=geometry,
        pde=pde if variant == 2 else manufactured(operator, exact),
        conditions={"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)},
    )
    return case(text, problem, exact)
