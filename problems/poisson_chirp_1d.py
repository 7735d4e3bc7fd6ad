"""Poisson's equation in 1-D with a chirp as its solution.

    u″(x) = f(x) on [0, 1],   u(0) and u(1) given,

where f is such that u = sin φ(x) with the phase φ = 2π (low x + high x²): the local wavenumber φ′ grows from
2π low to 2π (low + 2 high).
"""

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Problem


def problem(low=3.0, high=10.5):
    line = dde.geometry.Interval(0, 1)

    def phase(x):
        return 2 * np.pi * (low * x + high * x**2)

    def pde(x, u):
        slope = 2 * np.pi * (low + 2 * high * x)
        return dde.grad.hessian(u, x) + slope**2 * torch.sin(phase(x)) - 4 * np.pi * high * torch.cos(phase(x))

    def solution(x):
        return np.sin(phase(x))

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_chirp_1d",
        wavenumber=2 * np.pi * max(abs(low), abs(low + 2 * high), 0.5),
    )
