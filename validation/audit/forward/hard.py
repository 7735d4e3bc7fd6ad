"""Hard cases: waves due to a coefficient only, ill-posed problems, corners, and rows that are not pointwise."""

import math

import numpy as np
import torch

from .... import Problem, Sampling
from ....backend import dde
from ..case import Case, turn
from ..fields import dirichlet, everywhere, initial, initial_slope, laplacian, neumann, side, slope
from .drawing import case, in_time, line


def hidden_waves(rng, number):
    """Waves due to a coefficient only: the source and the conditions are constant."""
    return turn(number, (_from_its_start, _between_two_ends, _waves_of_a_coefficient))(rng, line(0, 1))


def _from_its_start(rng, geometry) -> Case:
    """a y'' + b y = 0 from its start."""
    k, a = rng.uniform(20, 300), rng.uniform(0.3, 3)

    def exact(x):
        return torch.cos(k * x)

    def pde(x, u):
        return a * slope(u, x, 0, 0) + a * k**2 * u

    left = side(0, 0, 1)
    conditions = {"value": dirichlet(geometry, exact, left), "slope": neumann(geometry, exact, left)}
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(f"y'' + {k:.0f}² y = 0 from its start", problem, exact, condition=k)


def _between_two_ends(rng, geometry) -> Case:
    """y'' + k² y = 0, not at a resonance."""
    while True:
        k = rng.uniform(20, 200)
        if abs(math.sin(k)) > 0.3:
            break

    def exact(x):
        return torch.sin(k * x) / math.sin(k)

    def pde(x, u):
        return slope(u, x, 0, 0) + k**2 * u

    conditions = {"ends": dirichlet(geometry, exact)}
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(f"y'' + {k:.0f}² y = 0 with two ends", problem, exact, condition=k)


def _waves_of_a_coefficient(rng, geometry) -> Case:
    """((1 + size cos wx)⁻¹ u')' = -1: u' (1 + size cos wx)⁻¹ = C - x."""
    m, size = int(rng.integers(5, 60)), rng.uniform(0.3, 0.9)
    w = 2 * np.pi * m

    def exact(x):  # C = ½ + what is left of ∫ x (1 + size cos wx) = 0
        primitive = x / 2 + size * torch.sin(w * x) / (2 * w)
        moment = x**2 / 2 + size * (x * torch.sin(w * x) / w + (torch.cos(w * x) - 1) / w**2)
        return primitive - moment

    def pde(x, u):
        a = 1 / (1 + size * torch.cos(w * x))
        return slope(a * slope(u, x, 0), x, 0) + 1

    conditions = {"ends": dirichlet(geometry, exact)}
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(f"{m} waves of the coefficient, f = 1", problem, exact)


def blow_up(rng, number):
    """Wrong signs and exchanged axes: ill-posed problems, and those whose solutions grow without bound."""
    end = rng.uniform(0.2, 1)
    variants = (_backward_heat, _backward_heat_without_a_solution, _wrong_robin, _exchanged_axes, _laplace_from_a_start)
    return turn(number, variants)(rng, in_time(line(0, 1), end), end)


def _backward_heat(rng, geometry, end: float) -> Case:
    """The mode m grows as exp(d m² π² t), by e⁵ to e²⁵."""
    m = int(rng.integers(1, 5))
    d = rng.uniform(5, 25) / ((m * np.pi) ** 2 * end)

    def exact(x):
        return torch.sin(m * np.pi * x[:, :1]) * torch.exp(d * (m * np.pi) ** 2 * x[:, 1:])

    def pde(x, u):
        return slope(u, x, 1) + d * slope(u, x, 0, 0)

    conditions = {"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)}
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(f"backward heat, mode {m}", problem, exact, well_posed=False)


def _backward_heat_without_a_solution(rng, geometry, end: float) -> Case:
    """From data that are not attained by any solution."""
    d = rng.uniform(0.2, 1)

    def pde(x, u):
        return slope(u, x, 1) + d * slope(u, x, 0, 0)

    shape = lambda x: (x[:, :1] * (1 - x[:, :1])) ** 2  # noqa: E731
    conditions = {
        "ends": dde.icbc.DirichletBC(geometry, lambda x: 0, everywhere),
        "start": dde.icbc.IC(geometry, shape, lambda _, on: on),
    }
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case("backward heat from a polynomial", problem, reason="no solution")


def _wrong_robin(rng, geometry, end: float) -> Case:
    """A Robin condition of the wrong sign: one mode grows, cosh."""
    kappa = rng.uniform(2, 5)
    beta = kappa * math.tanh(kappa / 2)

    def exact(x):
        return torch.cosh(kappa * (x[:, :1] - 0.5)) * torch.exp(kappa**2 * (x[:, 1:] - end))

    def pde(x, u):
        return slope(u, x, 1) - slope(u, x, 0, 0)

    conditions = {
        "ends": dde.icbc.RobinBC(geometry, lambda x, u: beta * u, everywhere),
        "start": initial(geometry, exact),
    }
    growth = math.exp(kappa**2 * end)
    text = f"∂u/∂n = +{beta:.1f} u: grows by {growth:.1e}"
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(text, problem, exact, condition=growth, well_posed=growth < 1e3)


def _exchanged_axes(rng, geometry, end: float) -> Case:
    def pde(x, u):
        return slope(u, x, 0) - slope(u, x, 1, 1)

    value = rng.uniform(-1, 1)
    conditions = {
        "start": dde.icbc.IC(geometry, lambda x: 1.0, lambda _, on: on),
        "ends": dde.icbc.DirichletBC(geometry, lambda x: value * x[:, 1:], everywhere),
    }
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case("heat equation with exchanged axes", problem, reason="no solution")


def _laplace_from_a_start(rng, geometry, end: float) -> Case:
    """An elliptic equation from a start: J. Hadamard's example."""
    m = int(rng.integers(1, 6))

    def exact(x):
        return torch.sin(m * np.pi * x[:, :1]) * torch.cosh(m * np.pi * x[:, 1:])

    def pde(x, u):
        return slope(u, x, 1, 1) + slope(u, x, 0, 0)

    conditions = {
        "ends": dirichlet(geometry, exact),
        "start": initial(geometry, exact),
        "velocity": initial_slope(geometry, exact),
    }
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
    return case(f"Laplace from a start, mode {m}", problem, exact, well_posed=False)


def corner(rng, number):
    """Start and boundary values that disagree at a corner, and the singularity of an L-shape: not smooth."""
    if number % 5 == 4:
        corners = [[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]]
        geometry, size = dde.geometry.Polygon(corners), rng.uniform(0.5, 2)

        def exact(x):  # the angle goes from the side x = 0 around to y = 0
            angle = torch.remainder(torch.atan2(x[:, 1:], x[:, :1]) - np.pi / 2, 2 * np.pi)
            return size * (x**2).sum(1, keepdim=True).clamp(min=1e-300) ** (1 / 3) * torch.sin(2 / 3 * angle)

        problem = Problem(
            geometry=geometry,
            pde=lambda x, u: laplacian(u, x, (0, 1)),
            conditions={"boundary": dirichlet(geometry, exact)},
        )
        options = {"network_options": {"layers": [int(rng.integers(200, 500))]}, "method": "least-squares"}
        return case("r^(2/3) at a re-entrant corner", problem, exact, settings=options, well_posed=False)
    geometry, d, start = in_time(line(0, 1), rng.uniform(0.1, 0.5)), rng.uniform(0.2, 1), rng.uniform(0.5, 2)

    def exact(x):  # H. S. Carslaw, J. C. Jaeger 1959
        s, root = x[:, :1], torch.sqrt(4 * d * x[:, 1:].clamp(min=1e-300))
        images = ((-1) ** n * (torch.erfc((n + s) / root) + torch.erfc((n + 1 - s) / root)) for n in range(12))
        return start * (1 - sum(images))

    def pde(x, u):
        return slope(u, x, 1) - d * slope(u, x, 0, 0)

    conditions = {
        "ends": dde.icbc.DirichletBC(geometry, lambda x: 0, everywhere),
        "start": dde.icbc.IC(geometry, lambda x: start, lambda _, on: on),
    }
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions, sampling=Sampling(domain=600))
    return case(f"heat from {start:.2f} with cold ends", problem, exact, well_posed=False)


def not_pointwise(rng, number):
    """Rows that depend on several points: a mean over the points, or a mean of the solution in the equation."""
    geometry, m = line(0, 1), int(rng.integers(1, 4))

    def exact(x):
        return torch.cos(m * np.pi * x)

    def pde(x, u):
        return [
            slope(u, x, 0, 0) + (m * np.pi) ** 2 * torch.cos(m * np.pi * x),
            u.mean() * torch.ones_like(u),
        ]

    problem = Problem(
        geometry=geometry,
        pde=pde,
        residual_names=("balance", "mean"),
        conditions={"flux": dde.icbc.NeumannBC(geometry, lambda x: 0, everywhere)},
    )
    steps = int(rng.integers(3, 60))
    settings = turn(
        number, ({}, {"method": "adam", "iterations": steps}, {"method": "gauss-newton", "iterations": steps})
    )
    # The mean over scattered points is not that over the interval.
    return case(f"mean as a row, {settings or 'auto'}", problem, exact, settings=settings, well_posed=False)
