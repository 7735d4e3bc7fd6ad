"""A product of waves and an exponential in four dimensions, from samples.

    u(x) = sin mπx₁ sin 2.3πx₂ cos πx₃ e^{−x₄/2} on [−1, 1]⁴,   m = 20,

from samples at random points.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(m=20, samples=50000, noise=0.0, sample_seed=0):
    def solution(x):
        a, b, c, d = np.hsplit(x, 4)
        return np.sin(m * math.pi * a) * np.sin(2.3 * math.pi * b) * np.cos(math.pi * c) * np.exp(-d / 2)

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 4))
    return Problem(
        geometry=dde.geometry.Hypercube([-1] * 4, [1] * 4),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-3, noise),
    )
