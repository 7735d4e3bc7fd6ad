"""Burgers' equation in 1-D, whose solution steepens into an inner layer.

    u_t + u u_x = ν u_xx on [−1, 1] × [0, 1],   u(x, 0) = −sin πx,   u(−1, t) = u(1, t) = 0.

There is no elementary solution; at t = 1/π a layer of width ν forms at x = 0. The problem of C. Basdevant et al.,
Comput. Fluids 14 (1986) 23–41.
"""

import math

import deepxde as dde
import numpy as np

from repnet_pde import Problem


def problem(nu=0.01 / math.pi):
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_x = dde.grad.jacobian(u, x, j=0)
        u_t = dde.grad.jacobian(u, x, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t + u * u_x - nu * u_xx

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda x, on_initial: on_initial),
        },
        reference="burgers_1d",
        # The layer's own width 1 / nu is reached at one place only; the points are spread for features of 1/10 of it.
        wavenumber=(10 * np.pi, np.pi),
    )
