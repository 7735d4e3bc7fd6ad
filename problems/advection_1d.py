"""Advection in 1-D, with a speed at which the wave passes the periodic domain several times.

    u_t + speed u_x = 0 on [0, 2π] × [0, 1],   u(x, 0) = sin x,   u(0, t) = u(2π, t),

with the solution u = sin(x − speed t). Mass and energy, ∫ u dx and ½∫ u² dx, are conserved.

With speed = 30 an example of A. S. Krishnapriyan et al., Adv. Neural Inf. Process. Syst. 34 (2021), of a problem on
which networks trained on the squared residual fail.
"""

import deepxde as dde
import numpy as np

from repnet_pde import Balance, Problem


def problem(speed=30.0):
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 2 * np.pi), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_t + speed * u_x

    def solution(x):
        return np.sin(x[:, 0:1] - speed * x[:, 1:2])

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "periodic": dde.icbc.PeriodicBC(domain, 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, solution, lambda x, on_initial: on_initial),
        },
        solution=solution,
        reference="advection_1d",
        wavenumber=(1.0, abs(speed)),
        tolerance=1e-9,
        balances={"mass": Balance(lambda x, u: u), "energy": Balance(lambda x, u: u**2 / 2)},
    )
