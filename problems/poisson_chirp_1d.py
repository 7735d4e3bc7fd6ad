"""Poisson's equation in 1-D with a chirp as its solution.

    u″(x) = f(x) on [0, 1],   u(0) and u(1) given,

where f is such that u = sin φ(x) with the phase φ = 2π (low x + high x²): the local wavenumber φ′ grows from
2π low to 2π (low + 2 high). The equation times u gives ∫ (u′² + f u) dx = [u u′].
"""

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(low=3.0, high=10.5):
    line = dde.geometry.Interval(0, 1)

    def phase(x):
        return 2 * np.pi * (low * x + high * x**2)

    def source(x):
        slope = 2 * np.pi * (low + 2 * high * x)
        return 4 * np.pi * high * torch.cos(phase(x)) - slope**2 * torch.sin(phase(x))

    def pde(x, u):
        return dde.grad.hessian(u, x) - source(x)

    energy = Balance(
        rate=lambda x, u: dde.grad.jacobian(u, x) ** 2 + source(x) * u,
        flux=lambda x, u: u * dde.grad.jacobian(u, x),
    )

    def solution(x):
        return np.sin(phase(x))

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_chirp_1d",
        wavenumber=2 * np.pi * max(abs(low), abs(low + 2 * high), 0.5),
        tolerance=1e-11,
        balances={"energy": energy},
    )
