"""Burgers' equation in 1-D with unknown coefficients of convection and of diffusion.

    u_t + λ1 u u_x = λ2 u_xx on [−1, 1] × [0, 1],   u(x, 0) = −sin πx,   u(−1, t) = u(1, t) = 0,

λ1 and λ2 (here l1 and l2) to be found from samples of u at random points; the true values are 1 and 0.01/π, with which
it is the problem burgers_1d. The noise is relative to the root mean square of the samples. A problem of M. Raissi,
P. Perdikaris and G. E. Karniadakis, J. Comput. Phys. 378 (2019) 686–707, where initial and boundary values are not
given. Energy and mass are balanced by

    d/dt ½∫ u² dx = −λ2 ∫ u_x² dx,   d/dt ∫ u dx = λ2 [u_x].
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference import reference
from repnet_pde.validation.finite_difference.inverse import synthetic

from repnet_pde import Balance, Problem


def problem(noise=0.0, observations=2000, data_seed=0):
    true = {"l1": 1.0, "l2": 0.01 / math.pi}
    l1, l2 = dde.Variable(0.5), dde.Variable(0.01)
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_x = dde.grad.jacobian(u, x, j=0)
        u_t = dde.grad.jacobian(u, x, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t + l1 * u * u_x - l2 * u_xx

    energy = Balance(lambda x, u: u**2 / 2, rate=lambda x, u: -l2 * dde.grad.jacobian(u, x, j=0) ** 2)
    mass = Balance(lambda x, u: u, flux=lambda x, u: -l2 * dde.grad.jacobian(u, x, j=0))

    points = np.random.default_rng(int(data_seed)).uniform((-1, 0), 1, (int(observations), 2))
    values = synthetic("burgers_inverse_1d", points, noise, data_seed, **true)

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda x, on_initial: on_initial),
            "data u": dde.icbc.PointSetBC(points, values),
        },
        reference=lambda: reference("burgers_1d", nu=true["l2"]),
        unknowns={"l1": l1, "l2": l2},
        true_unknowns=true,
        # As in burgers_1d: the layer's wavenumber occurs at one place only.
        wavenumber=(10 * math.pi, math.pi),
        # Five standard errors of l2 are 2.4e-2 at noise 0.01.
        tolerance=max(1e-5, 2.5 * noise),
        balances={"energy": energy, "mass": mass},
    )
