"""Burgers' equation in 1-D, whose solution steepens into an interior layer.

    u_t + u u_x = ν u_xx on [−1, 1] × [0, 1],   u(x, 0) = −sin πx,   u(−1, t) = u(1, t) = 0.

There is no elementary solution; at t = 1/π a layer of width ν forms at x = 0. Energy is dissipated, and u leaves
through the boundary by diffusion only:

    d/dt ½∫ u² dx = −ν ∫ u_x² dx,   d/dt ∫ u dx = ν [u_x].

The problem of C. Basdevant et al., Comput. Fluids 14 (1986) 23–41.
"""

import math

import deepxde as dde
import numpy as np

from repnet_pde import Balance, Problem


def problem(nu=0.01 / math.pi):
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_x = dde.grad.jacobian(u, x, j=0)
        u_t = dde.grad.jacobian(u, x, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t + u * u_x - nu * u_xx

    energy = Balance(lambda x, u: u**2 / 2, rate=lambda x, u: -nu * dde.grad.jacobian(u, x, j=0) ** 2)
    mass = Balance(lambda x, u: u, flux=lambda x, u: -nu * dde.grad.jacobian(u, x, j=0))

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda x, on_initial: on_initial),
        },
        reference="burgers_1d",
        # The layer's wavenumber 1 / nu occurs at one place only; the points are spread for 1/10 of it.
        wavenumber=(10 * np.pi, np.pi),
        tolerance=1e-5,
        balances={"energy": energy, "mass": mass},
    )
