"""Measured topography in 2-D, from samples: a map of the Jacksboro fault in Tennessee.

    u(x, y): elevation over its mean, x and y the longitude and latitude scaled to [−1, 1] × [−1, 1].

The digital elevation model (344 × 403 points; U.S. Geological Survey, in the public domain) comes with Matplotlib's
sample data. A random subset of its points are samples; between its points it is interpolated linearly, and the error is
measured against this interpolant on the whole domain. The data are not smooth, so that no method is very accurate.
"""

import deepxde as dde
import numpy as np
from matplotlib import cbook
from scipy.interpolate import RegularGridInterpolator

from repnet_pde import Problem


def problem(samples=30000, sample_seed=0):
    heights = cbook.get_sample_data("jacksboro_fault_dem.npz")["elevation"].astype(float)[::-1]
    axes = [np.linspace(-1, 1, n) for n in heights.shape]
    interpolate = RegularGridInterpolator(axes, heights / heights.mean())

    def solution(x):
        return interpolate(np.clip(x[:, ::-1], -1, 1))[:, None]

    chosen = np.random.default_rng(int(sample_seed)).permutation(heights.size)[: int(samples)]
    rows, columns = np.unravel_index(chosen, heights.shape)
    points = np.column_stack([axes[1][columns], axes[0][rows]])
    return Problem(
        geometry=dde.geometry.Rectangle([-1, -1], [1, 1]),
        pde=None,
        conditions={"samples": dde.icbc.PointSetBC(points, solution(points))},
        solution=solution,
        tolerance=0.1,  # between the samples
    )
