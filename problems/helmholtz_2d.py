"""The Helmholtz equation on the unit square.

    −Δu − κ² u = f on [0, 1]²,   u given on the boundary,

where f = κ² sin κx sin κy is such that u = sin κx sin κy. The operator is indefinite: κ² lies between eigenvalues
of −Δ, and must not be one of them (κ² = (i² + j²) π² with whole i, j ≥ 1). The equation times u gives

    ∫ (|∇u|² − κ² u² − f u) dx = ∮ u ∂u/∂n ds.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(kappa=4 * math.pi):
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def source(x):
        return kappa**2 * torch.sin(kappa * x[:, 0:1]) * torch.sin(kappa * x[:, 1:2])

    def pde(x, u):
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return -laplacian - kappa**2 * u - source(x)

    def work(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_x**2 + u_y**2 - kappa**2 * u**2 - source(x) * u

    def solution(x):
        return np.sin(kappa * x[:, 0:1]) * np.sin(kappa * x[:, 1:2])

    return Problem(
        geometry=square,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(square, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="helmholtz_2d",
        wavenumber=abs(kappa),
        tolerance=1e-11,
        balances={"energy": Balance(rate=work, flux=lambda x, u: u * dde.grad.jacobian(u, x, i=0))},
    )
