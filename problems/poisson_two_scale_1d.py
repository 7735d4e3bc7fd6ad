"""Poisson's equation in 1-D with a solution of two scales.

    u″(x) = f(x) on [0, 1],   u(0) and u(1) given,

where f is such that u = sin(low π x) + amplitude sin(high π x). The fast part is small in u, but dominates f: for
the defaults by a factor of 62. The equation times u gives ∫ (u′² + f u) dx = [u u′].
"""

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(low=2.0, high=50.0, amplitude=0.1):
    pi = np.pi
    line = dde.geometry.Interval(0, 1)

    def source(x):
        slow = (low * pi) ** 2 * torch.sin(low * pi * x)
        fast = amplitude * (high * pi) ** 2 * torch.sin(high * pi * x)
        return -slow - fast

    def pde(x, u):
        return dde.grad.hessian(u, x) - source(x)

    energy = Balance(
        rate=lambda x, u: dde.grad.jacobian(u, x) ** 2 + source(x) * u,
        flux=lambda x, u: u * dde.grad.jacobian(u, x),
    )

    def solution(x):
        return np.sin(low * pi * x) + amplitude * np.sin(high * pi * x)

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_two_scale_1d",
        wavenumber=pi * max(abs(low), abs(high), 1),
        tolerance=1e-10,
        balances={"energy": energy},
    )
