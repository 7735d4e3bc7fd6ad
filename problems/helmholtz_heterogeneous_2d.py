"""The Helmholtz equation on the unit square with a wavenumber that varies in space.

    −Δu − κ(x)² u = f on [0, 1]²,   κ(x) = κ₀ (1 + b sin 2πx),   u given on the boundary,

where f belongs to u = sin φ(x) sin κ₀y with φ' = κ, that is φ = κ₀ (x − b cos 2πx / 2π): waves with the local
wavenumber of the medium,

    f = −φ″ cos φ sin κ₀y + κ₀² u.

With κ₀ = 20π and b = 1/2 the local wavenumber goes from 10π to 30π. The equation times u gives

    ∫ (|∇u|² − κ² u² − f u) dx = ∮ u ∂u/∂n ds.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(kappa=20 * math.pi, variation=0.5):
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def local(x, library):
        wavenumber = kappa * (1 + variation * library.sin(2 * math.pi * x))
        phase = kappa * (x - variation * library.cos(2 * math.pi * x) / (2 * math.pi))
        return wavenumber, phase

    def source(x):
        x, y = x[:, 0:1], x[:, 1:2]
        _, phase = local(x, torch)
        slope = 2 * math.pi * kappa * variation * torch.cos(2 * math.pi * x)
        return (-slope * torch.cos(phase) + kappa**2 * torch.sin(phase)) * torch.sin(kappa * y)

    def pde(x, u):
        wavenumber, _ = local(x[:, 0:1], torch)
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return -laplacian - wavenumber**2 * u - source(x)

    def work(x, u):
        wavenumber, _ = local(x[:, 0:1], torch)
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_x**2 + u_y**2 - wavenumber**2 * u**2 - source(x) * u

    def solution(x):
        _, phase = local(x[:, 0:1], np)
        return np.sin(phase) * np.sin(kappa * x[:, 1:2])

    return Problem(
        geometry=square,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(square, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="helmholtz_heterogeneous_2d",
        wavenumber=(abs(kappa) * (1 + abs(variation)), abs(kappa)),
        tolerance=1e-9,
        balances={"energy": Balance(rate=work, flux=lambda x, u: u * dde.grad.jacobian(u, x, i=0))},
    )
