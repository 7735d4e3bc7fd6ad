"""The Korteweg-de Vries equation: a wave that breaks up into solitons.

    u_t + u u_x + μ² u_xxx = 0 on [−1, 1] × [0, 1],   u, u_x, u_xx periodic,   u(x, 0) = cos πx.

With μ = 0.022 the experiment of N. J. Zabusky, M. D. Kruskal, Phys. Rev. Lett. 15 (1965) 240–243. It has no closed
solution. Mass and energy stay:

    d/dt ∫ u dx = 0,   d/dt ∫ u² dx = 0.
"""

import deepxde as dde
import numpy as np

from repnet_pde import Balance, InputError, Problem


class PeriodicCurvature(dde.icbc.PeriodicBC):
    """u_xx is periodic in x; DeepXDE's own condition goes up to the first derivative."""

    def error(self, X, inputs, outputs, beg, end, aux_var=None):
        middle = beg + (end - beg) // 2
        u_xx = dde.grad.hessian(outputs, inputs, i=0, j=0)
        return u_xx[beg:middle] - u_xx[middle:end]


def problem(mu=0.022):
    if not mu > 0:
        raise InputError(f"mu: {mu:g} given; a positive number is needed, or the wave breaks")
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        u_xxx = dde.grad.jacobian(dde.grad.hessian(u, x, i=0, j=0), x, j=0)
        return u_t + u * u_x + mu**2 * u_xxx

    def right(x, on_boundary):
        return on_boundary and bool(np.isclose(x[0], 1))

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "periodic": dde.icbc.PeriodicBC(domain, 0, right),
            "periodic_slope": dde.icbc.PeriodicBC(domain, 0, right, derivative_order=1),
            "periodic_curvature": PeriodicCurvature(domain, 0, right),
            "initial": dde.icbc.IC(domain, lambda x: np.cos(np.pi * x[:, 0:1]), lambda x, on_initial: on_initial),
        },
        reference="korteweg_de_vries_1d",
        # Solitons are as high as 3 and about μ / √(u / 12) wide.
        wavenumber=(3 / mu / 2, 10.0),
        tolerance=1e-5,
        balances={"mass": Balance(density=lambda x, u: u), "energy": Balance(density=lambda x, u: u**2)},
    )
