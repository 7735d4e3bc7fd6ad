"""Too few points or basis functions, and a wavenumber that is stated wrongly."""

import numpy as np
import torch

from .... import Problem, Sampling
from ....backend import dde
from ..case import turn
from ..fields import dirichlet, laplacian, manufactured, slope, waves
from .coefficients import contrast
from .drawing import case, line
from .elliptic import plane
from .in_time import heat


def _two_scale(rng, k: float):
    """-u'' + u = f with a slow and a fast part, and its exact solution."""
    geometry = line(0, 1)
    amplitude, phases = rng.uniform(0.1, 1), rng.uniform(0, 2 * np.pi, 2)

    def exact(x):
        return torch.sin(2 * np.pi * x + phases[0]) + amplitude * torch.sin(k * x + phases[1])

    def operator(x, u):
        return -slope(u, x, 0, 0) + u

    return geometry, manufactured(operator, exact), {"ends": dirichlet(geometry, exact)}, exact


def few_points(rng, number):
    """Too few collocation points to determine the coefficients of the basis functions."""
    count = int(rng.integers(5, 31))
    sampling = Sampling(domain=count)
    settings = [{}, {"method": "least-squares", "network_options": {"layers": [int(rng.integers(10, 81))]}}][number % 2]
    if number % 4 < 2:
        k = rng.uniform(10, 60)
        geometry, pde, conditions, exact = _two_scale(rng, k)
        text = f"{count} points for a wavenumber of {k:.0f}"
    else:
        geometry, exact = dde.geometry.Rectangle([0, 0], [1, 1]), waves(rng, [0, 0], [1, 1], rng.uniform(2, 6))
        pde = manufactured(lambda x, u: -laplacian(u, x, (0, 1)), exact)
        conditions, text = {"sides": dirichlet(geometry, exact)}, f"{count} points in a square"
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions, sampling=sampling)
    return case(text + (f", {settings['network_options']}" if settings else ""), problem, exact, settings=settings)


def wrong_wavenumber(rng, number):
    """A wavenumber is stated that is ten times too small or too large."""
    k = rng.uniform(10, 90)
    geometry, pde, conditions, exact = _two_scale(rng, k)
    stated = k / 10 if number % 2 else 10 * k
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions, wavenumber=stated)
    return case(f"wavenumber {stated:.1f} stated, true {k:.1f}", problem, exact)


def few_features(rng, number):
    """Too few basis functions to approximate the solution."""
    count = int(rng.integers(3, 41))
    settings = {"network_options": {"layers": [count]}}
    if number % 2:
        k = rng.uniform(10, 60)
        geometry, pde, conditions, exact = _two_scale(rng, k)
        problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
        return case(f"{count} features for a wavenumber of {k:.0f}", problem, exact, settings=settings)
    drawn = turn(number // 2, (plane, heat, contrast))(rng, 0)
    return case(f"{count} features: {drawn.text}", drawn.problem, *drawn.truth.functions, settings=settings)
