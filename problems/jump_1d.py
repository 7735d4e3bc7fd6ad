"""A function with a jump in 1-D, from samples.

    u(x) = sin 8πx for x < 0.3,   ½ eˣ cos 20πx for x ≥ 0.3,   on [−1, 1],

from samples at random points. The samples do not determine the position of the jump between the two samples around it;
these lie 1e-6 to its left and right.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(samples=4000, noise=0.0, sample_seed=0):
    place, near = 0.3, 1e-6

    def solution(x):
        return np.where(x < place, np.sin(8 * math.pi * x), 0.5 * np.exp(x) * np.cos(20 * math.pi * x))

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 1))
    points[:2, 0] = place - near, place + near
    return Problem(
        geometry=dde.geometry.Interval(-1, 1),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-6, noise),
    )
