"""Poisson's equation in four dimensions with two scales.

    −Δu = f on [0, 1]⁴,   u = g on the boundary,

where f and g belong to u = sin π(x₁ + x₂ + x₃ + x₄) + sin kx₁ sin kx₂ sin kx₃ sin kx₄ / 10. The first term is a sum of
four products of functions of one coordinate and no fewer (G. Beylkin, M. J. Mohlenkamp, SIAM J. Sci. Comput. 26 (2005)
2133–2159).
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import InputError, Problem


def problem(k=6 * math.pi):
    if not k > 0:
        raise InputError(f"k: {k:g} given; a positive number is needed")
    cube = dde.geometry.Hypercube([0] * 4, [1] * 4)

    def source(x):
        slow, fast = torch.sin(math.pi * x.sum(1, keepdim=True)), torch.sin(k * x).prod(1, keepdim=True) / 10
        return 4 * (math.pi**2 * slow + k**2 * fast)

    def solution(x):
        return np.sin(math.pi * x.sum(1, keepdims=True)) + np.sin(k * x).prod(1, keepdims=True) / 10

    def pde(x, u):
        return -sum(dde.grad.hessian(u, x, i=i, j=i) for i in range(4)) - source(x)

    return Problem(
        geometry=cube,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(cube, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_multiscale_4d",
        wavenumber=k,
        tolerance=1e-6,
    )
