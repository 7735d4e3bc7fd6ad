"""A sum of sines in four dimensions, from samples.

    u(x) = sin mπx₁ + sin (11.5πx₂ + 1) + sin (4.3πx₃ + 2) + sin (πx₄ + 3) + sin 7.2πx₁ cos 3πx₂ on [−1, 1]⁴,   m = 20,

from samples at random points.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(m=20, samples=50000, noise=0.0, sample_seed=0):
    waves = (m, 11.5, 4.3, 1)

    def solution(x):
        u = sum(np.sin(k * math.pi * x[:, i : i + 1] + i) for i, k in enumerate(waves))
        return u + np.sin(7.2 * math.pi * x[:, 0:1]) * np.cos(3 * math.pi * x[:, 1:2])

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 4))
    return Problem(
        geometry=dde.geometry.Hypercube([-1] * 4, [1] * 4),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-4, noise),
    )
