"""Linear elliptic equations in two coordinates, and periodic ones in one and two."""

import numpy as np
import torch

from .... import Problem
from ....backend import dde
from ..fields import array, dirichlet, everywhere, laplacian, manufactured, neumann, robin, side, slope, waves
from .drawing import case, line, positive, rectangle


def plane(rng, number):
    """Poisson, Helmholtz, reaction-diffusion and advection-diffusion on rectangles, with mixed conditions."""
    low, high = rectangle(rng)
    size = high - low
    exact = waves(rng, low, high, rng.uniform(1.5, 4))
    geometry = dde.geometry.Rectangle(low, high)
    a = positive(rng, low, high, 2.0, 0.4)
    condition, variant = None, number % 4
    if variant == 0:
        text = "-div(a grad u) = f"

        def operator(x, u):
            return -sum(slope(a(x) * slope(u, x, axis), x, axis) for axis in (0, 1))

    elif variant == 1:
        modes = np.pi**2 * ((np.arange(1, 40) / size[0]) ** 2 + (np.arange(1, 40)[:, None] / size[1]) ** 2)
        while True:
            k = rng.uniform(2, 8) / size.max()
            gap = abs(modes - k**2).min()
            if gap > 0.05 * max(k**2, modes.min()):
                break
        text, condition = f"Δu + {k:.2f}² u = f", 2 * k**2 / gap + 1

        def operator(x, u):
            return laplacian(u, x, (0, 1)) + k**2 * u

    elif variant == 2:
        text, c = "-Δu + c u = f", positive(rng, low, high, 2.0, size=1.5)

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + c(x) * u

    else:
        b, peclet = (waves(rng, low, high, 2.0) for _ in range(2)), rng.uniform(1, 20)
        b = list(b)
        text = f"-Δu + b · grad u = f, |b| up to {peclet:.0f}"

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + peclet * sum(b[axis](x) * slope(u, x, axis) for axis in (0, 1))

    conditions, held = _conditions_on_a_rectangle(rng, variant, geometry, exact)
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(f"{text}, {held}", problem, exact, condition=condition)


def _conditions_on_a_rectangle(rng, variant: int, geometry, exact) -> tuple[dict, str]:
    """Those of a `plane`, and their name."""
    all_sides = {"sides": dirichlet(geometry, exact)}
    if variant == 1 or rng.random() < 0.4:
        return all_sides, "Dirichlet"
    if rng.random() < 0.5:
        left = side(0, geometry.xmin[0], geometry.xmax[0] - geometry.xmin[0])
        others = neumann(geometry, exact, lambda x, on: bool(on and not left(x, on)))
        return {"left": dirichlet(geometry, exact, left), "others": others}, "Dirichlet and Neumann"
    beta = rng.uniform(1, 4)
    if variant == 3:  # outflow could make it lose its uniqueness
        return all_sides, "Dirichlet"
    return {"sides": robin(geometry, exact, beta)}, "Robin"


def domain(rng, number):
    """Disks, ellipses, triangles, L-shapes and domains with holes; smooth solutions."""
    g, variant = dde.geometry, number % 6
    center = rng.uniform(-1, 1, 2)
    r = rng.uniform(0.4, 1.2)
    low, high = center - r, center + r
    if variant == 0:
        geometry, text = g.Disk(center, r), "disk"
    elif variant == 1:
        geometry, text = g.Ellipse(center, r, 0.6 * r, rng.uniform(0, np.pi)), "ellipse"
    elif variant == 2:
        angles = np.array([0.0, 2.1, 4.2]) + rng.uniform(0, 1) + rng.uniform(-0.3, 0.3, 3)
        geometry, text = g.Triangle(*(center + r * np.array([np.cos(t), np.sin(t)]) for t in angles)), "triangle"
    elif variant == 3:
        corners = np.array([[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]]) * r + center
        geometry, text = g.Polygon(corners), "L-shape"
    elif variant == 4:
        hole = rng.uniform(0.2, 0.35)
        at = center + rng.uniform(-0.4, 0.4, 2) * r
        geometry, text = g.CSGDifference(g.Rectangle(low, high), g.Disk(at, hole * r)), "square with a hole"
    else:
        hole = rng.uniform(0.3, 0.6)
        geometry, text = g.CSGDifference(g.Disk(center, r), g.Disk(center, hole * r)), "ring"
    exact, c = waves(rng, low, high, rng.uniform(1.5, 3)), float(rng.integers(2)) * rng.uniform(0.5, 3)

    def operator(x, u):
        return -laplacian(u, x, (0, 1)) + c * u

    problem = Problem(
        geometry=geometry, pde=manufactured(operator, exact), conditions={"boundary": dirichlet(geometry, exact)}
    )
    return case(f"-Δu + {c:.2f} u = f on a {text}", problem, exact)


def periodic(rng, number):
    """Periodic conditions, alone and beside others; a mean that is fixed by a reaction or a pin."""
    variant = number % 3
    m = rng.integers(1, 4, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    if variant == 2:
        low, high = np.zeros(2), np.array([2 * np.pi, 1.0])
        geometry = dde.geometry.Rectangle(low, high)

        def exact(x):
            return sum(
                torch.cos(int(k) * x[:, :1] + p) * torch.cos(k * x[:, 1:]) for k, p in zip(m, phases, strict=True)
            )

        def operator(x, u):
            return -laplacian(u, x, (0, 1))

        walls = lambda x, on: bool(on and (abs(x[1]) < 1e-9 or abs(x[1] - 1) < 1e-9))  # noqa: E731
        ends = lambda x, on: bool(on and (abs(x[0]) < 1e-9 or abs(x[0] - 2 * np.pi) < 1e-9))  # noqa: E731
        conditions = {"walls": dirichlet(geometry, exact, walls)}
        text = "Poisson, periodic in x"
    else:
        geometry = line(0, 2 * np.pi)

        def exact(x):
            return 0.3 + sum(torch.cos(int(k) * x + p) for k, p in zip(m, phases, strict=True))

        c = rng.uniform(0.5, 3) if variant == 0 else 0.0

        def operator(x, u):
            return -slope(u, x, 0, 0) + c * u

        ends, conditions, text = everywhere, {}, f"-u'' + {c:.2f} u = f"
        if variant == 1:
            pin = np.array([[rng.uniform(1, 5)]])
            conditions["pin"] = dde.icbc.PointSetBC(pin, array(exact)(pin))
    conditions["periodic"] = dde.icbc.PeriodicBC(geometry, 0, ends, derivative_order=0)
    conditions["periodic slope"] = dde.icbc.PeriodicBC(geometry, 0, ends, derivative_order=1)
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(text, problem, exact)
