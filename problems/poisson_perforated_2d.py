"""Poisson's equation on a square with round holes.

    −Δu = f on [0, 1]² without the discs |x − c_i| < r,   u given on the outer boundary and on the circles,

where f = 2k² u belongs to u = sin kx sin ky. The geometry is made of DeepXDE's rectangle and discs.
"""

import math
from functools import reduce

import deepxde as dde
import numpy as np
import torch

from repnet_pde import InputError, Problem

CENTRES = ((0.25, 0.25), (0.7, 0.2), (0.3, 0.7), (0.75, 0.7))


def problem(k=6 * math.pi, radius=0.1):
    if not 0 < radius < 0.2:
        raise InputError(
            f"radius: {radius:g} given; a number between 0 and 0.2 is needed, or the holes meet the boundary"
        )
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    holes = [dde.geometry.Disk(centre, radius) for centre in CENTRES]
    plate = reduce(dde.geometry.CSGDifference, holes, square)

    def source(x):
        return 2 * k**2 * torch.sin(k * x[:, 0:1]) * torch.sin(k * x[:, 1:2])

    def pde(x, u):
        return -dde.grad.hessian(u, x, i=0, j=0) - dde.grad.hessian(u, x, i=1, j=1) - source(x)

    def solution(x):
        return np.sin(k * x[:, 0:1]) * np.sin(k * x[:, 1:2])

    return Problem(
        geometry=plate,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(plate, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_perforated_2d",
        wavenumber=abs(k),
        tolerance=1e-9,
    )
