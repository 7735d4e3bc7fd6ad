"""Poisson's equation with rings that narrow outwards: a solution that is no product of functions of x and of y.

    Δu = f on [0, 1]²,   u given on the boundary,   u = sin mπ(x² + y²),

with f = 4mπ cos mπr² − (2mπ)² r² sin mπr², r² = x² + y². The local wavenumber is 2mπ r.
The equation times u gives ∫ (|∇u|² + f u) dx = ∮ u ∂u/∂n ds.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(m=8.0):
    square, k = dde.geometry.Rectangle([0, 0], [1, 1]), m * math.pi

    def source(x):
        r2 = (x**2).sum(1, keepdim=True)
        return 4 * k * torch.cos(k * r2) - 4 * k**2 * r2 * torch.sin(k * r2)

    def pde(x, u):
        return dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) - source(x)

    def work(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_x**2 + u_y**2 + source(x) * u

    def solution(x):
        return np.sin(k * (x[:, 0:1] ** 2 + x[:, 1:2] ** 2))

    return Problem(
        geometry=square,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(square, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_rings_2d",
        wavenumber=max(2 * abs(k), math.pi),
        tolerance=1e-10,
        balances={"energy": Balance(rate=work, flux=lambda x, u: u * dde.grad.jacobian(u, x, i=0))},
    )
