"""Boxes far from the origin, and very small and very large ones."""

import numpy as np

from .... import Problem
from ....backend import dde
from ..case import Case
from ..fields import array, dirichlet, initial, laplacian, manufactured, on_a_box, slope, waves
from .drawing import case, in_time, line, log_uniform


def far(rng, number):
    """Boxes far from the origin, such as survey coordinates and clock times."""
    offset = float(np.round(log_uniform(rng, 1e2, 1e6))) * (1 if number % 2 else -1)
    return _placed(rng, number // 2 % 4, offset, 1.0, f"at {offset:.0f}")


def size(rng, number):
    """Boxes of a size between 1e-6 and 1e6: coordinates in unsuitable units."""
    width = 10.0 ** (rng.uniform(3, 6) * (1 if number % 2 else -1))
    return _placed(rng, number // 2 % 4, 0.0, width, f"width {width:.1e}")


def _placed(rng, variant: int, offset: float, width: float, text: str) -> Case:
    """Problems of one unit length, moved and stretched; all terms keep their sizes."""
    low, high = offset, offset + width
    condition = 1 + abs(offset) / width  # of the coordinates themselves
    if variant == 0:
        geometry, exact, k = line(low, high), waves(rng, low, high, rng.uniform(2, 8)), rng.uniform(0, 2)

        def operator(x, u):
            return -(width**2) * slope(u, x, 0, 0) + k * u

        conditions = {"ends": dirichlet(geometry, on_a_box(exact, low, high, 1))}
    elif variant == 1:
        geometry, exact = dde.geometry.Rectangle([low, low], [high, high]), waves(rng, [low] * 2, [high] * 2, 4.0)

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) * width**2

        conditions = {"sides": dirichlet(geometry, on_a_box(exact, low, high, 2))}
    elif variant == 2:
        geometry = in_time(line(low, high), 0.5)
        exact = waves(rng, [low, 0], [high, 0.5], 4.0)

        def operator(x, u):
            return slope(u, x, 1) - 0.3 * width**2 * slope(u, x, 0, 0)

        sides = on_a_box(exact, low, high, 1)
        conditions = {"ends": dirichlet(geometry, sides), "start": initial(geometry, exact)}
    else:
        geometry, exact, rate = dde.geometry.TimeDomain(low, high), waves(rng, low, high, 6.0), rng.uniform(0.2, 2)

        def operator(x, u):
            return width * slope(u, x, 0) + rate * u

        start = array(exact)(np.array([[low]])).item()
        conditions = {"start": dde.icbc.IC(geometry, lambda x: start, lambda _, on: on)}
        text += ", in time"
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(f"{('1-D', '2-D', 'heat', 'decay')[variant]}, {text}", problem, exact, condition=condition)
