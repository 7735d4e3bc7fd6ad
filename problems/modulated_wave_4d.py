"""A wave whose phase and amplitude depend on the other coordinates, in four dimensions, from samples.

    u(x) = sin(mπx₁ + 2 sin πx₂) e^{−x₃²} + cos 5πx₂ sin 3πx₄ / (1 + x₁²) + e^{sin(x₁ + x₂ + x₃ + x₄)} / 2 on [−1, 1]⁴,

m = 20, from samples at random points. The last term is neither a sum nor a product of functions of one coordinate.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(m=20, samples=50000, noise=0.0, sample_seed=0):
    def solution(x):
        a, b, c, d = np.hsplit(x, 4)
        wave = np.sin(m * math.pi * a + 2 * np.sin(math.pi * b)) * np.exp(-(c**2))
        slow = np.cos(5 * math.pi * b) * np.sin(3 * math.pi * d) / (1 + a**2)
        return wave + slow + np.exp(np.sin(a + b + c + d)) / 2

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 4))
    return Problem(
        geometry=dde.geometry.Hypercube([-1] * 4, [1] * 4),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-2, noise),
    )
