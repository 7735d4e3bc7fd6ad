"""A chirp in 1-D, from samples.

    u(x) = sin φ(x) on [−1, 1],   φ = 2π (low (x + 1) + high (x + 1)²),

whose local wavenumber φ′ grows from 2π low to 2π (low + 4 high), from samples at random points.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(low=1.0, high=12.0, samples=4000, noise=0.0, sample_seed=0):
    def solution(x):
        return np.sin(2 * math.pi * (low * (x + 1) + high * (x + 1) ** 2))

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 1))
    return Problem(
        geometry=dde.geometry.Interval(-1, 1),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-9, noise),
    )
