"""A sum of sines in 1-D, from samples: five waves that are one by one faster.

    u(x) = (sin πx + sin (0.05 m πx + 1) + sin (0.2 m πx + 2) + sin (0.5 m πx + 3) + sin (m πx + 4)) / √5 on [−1, 1],

from samples at random points, with noise relative to their root mean square. m = 100 is the usual test of spectral
bias (such as N. Rahaman et al., ICML 2019, arXiv:1806.08734); m = 400 is a hard test.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Problem


def problem(m=100, samples=4000, noise=0.0, sample_seed=0):
    waves = (1, 0.05 * m, 0.2 * m, 0.5 * m, m)

    def solution(x):
        return sum(np.sin(k * math.pi * x + i) for i, k in enumerate(waves)) / math.sqrt(len(waves))

    points = np.random.default_rng(int(sample_seed)).uniform(-1, 1, (int(samples), 1))
    return Problem(
        geometry=dde.geometry.Interval(-1, 1),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, noisy(solution(points), noise, sample_seed))},
        solution=solution,
        tolerance=max(1e-12, noise),
    )
