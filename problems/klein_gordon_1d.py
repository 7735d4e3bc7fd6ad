"""A cubic Klein-Gordon equation in 1-D with a solution that oscillates in time.

    u_tt − u_xx + u³ = f on [0, 1] × [0, 1],   u(0, t) = 0,   u(1, t) = cos ωt + t³,   u(x, 0) = x,   u_t(x, 0) = 0,

where f belongs to the solution u = x cos ωt + (x t)³:

    f = −ω² x cos ωt + 6 x³ t − 6 x t³ + u³.

The energy changes by the work of f and of the boundary:

    d/dt ∫ (½ u_t² + ½ u_x² + ¼ u⁴) dx = ∫ f u_t dx + [u_x u_t].

With ω = 5π an example of S. Wang, Y. Teng, P. Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055–A3081.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(omega=5 * math.pi):
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))

    def force(x):
        x, t = x[:, 0:1], x[:, 1:2]
        wave = x * torch.cos(omega * t)
        return -(omega**2) * wave + 6 * x**3 * t - 6 * x * t**3 + (wave + (x * t) ** 3) ** 3

    def pde(x, u):
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        u_tt = dde.grad.hessian(u, x, i=1, j=1)
        return u_tt - u_xx + u**3 - force(x)

    def energy(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return (u_t**2 + u_x**2) / 2 + u**4 / 4

    work = Balance(
        energy,
        rate=lambda x, u: force(x) * dde.grad.jacobian(u, x, j=1),
        flux=lambda x, u: -dde.grad.jacobian(u, x, j=0) * dde.grad.jacobian(u, x, j=1),
    )

    def solution(x):
        x, t = x[:, 0:1], x[:, 1:2]
        return x * np.cos(omega * t) + (x * t) ** 3

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, solution, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, solution, lambda x, on_initial: on_initial),
            "initial_velocity": dde.icbc.OperatorBC(
                domain,
                lambda x, u, _: dde.grad.jacobian(u, x, j=1),
                lambda x, on_boundary: dde.utils.isclose(x[1], 0),
            ),
        },
        solution=solution,
        reference="klein_gordon_1d",
        wavenumber=(np.pi, max(abs(omega), np.pi)),
        tolerance=1e-8,
        balances={"energy": work},
    )
