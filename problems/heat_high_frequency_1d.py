"""The heat equation in 1-D with a solution of high frequency in space.

    u_t = u_xx / (m π)² on [0, 1] × [0, 1],   u(x, 0) = sin(m π x),   u(0, t) = 0,   u(1, t) = e^{−t} sin(m π),

with the solution u = e^{−t} sin(m π x). Its energy decays: with the diffusivity κ = (m π)⁻²,

    d/dt ½∫ u² dx = −κ ∫ u_x² dx + κ [u u_x].
"""

import deepxde as dde
import numpy as np

from repnet_pde import Balance, Problem


def problem(m=50.0):
    diffusivity = 1 / (m * np.pi) ** 2
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_t = dde.grad.jacobian(u, x, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t - diffusivity * u_xx

    energy = Balance(
        lambda x, u: u**2 / 2,
        rate=lambda x, u: -diffusivity * dde.grad.jacobian(u, x, j=0) ** 2,
        flux=lambda x, u: -diffusivity * u * dde.grad.jacobian(u, x, j=0),
    )

    def solution(x):
        return np.exp(-x[:, 1:2]) * np.sin(m * np.pi * x[:, 0:1])

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, solution, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, solution, lambda x, on_initial: on_initial),
        },
        solution=solution,
        reference="heat_high_frequency_1d",
        wavenumber=(abs(m) * np.pi, np.pi),
        tolerance=1e-11,
        balances={"energy": energy},
    )
