"""A slow wave with a short burst of fast ones in 1-D, from samples.

    u(x) = sin 2πx + exp(−((x − 0.4) / width)²) sin 100πx on [−1, 1],   width = 0.03,

from samples at random points. The burst is a small part of the samples, and of their spectrum.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(width=0.03, samples=4000, noise=0.0, sample_seed=0):
    def solution(x):
        return np.sin(2 * math.pi * x) + np.exp(-(((x - 0.4) / width) ** 2)) * np.sin(100 * math.pi * x)

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 1))
    return Problem(
        geometry=dde.geometry.Interval(-1, 1),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-10, noise),
    )
