"""The Helmholtz equation in 2-D with an unknown wavenumber.

    −Δu − κ² u = f on [0, 1]²,   f = 100 exp(−((x − 0.4)² + (y − 0.55)²) / 0.12²),   u = 0 on the boundary,

κ to be found from samples of u at random points inside; the true value is 4.35 π. There is no elementary solution.
Between the start and the truth lie the resonances κ² = 17 π² and 18 π², where u grows without bound: a fit of the
solution to the data by least squares is not convex. The noise is relative to the root mean square of the samples. The
equation times u gives

    ∫ (|∇u|² − κ² u² − f u) dx = 0.
"""

import math

import deepxde as dde
import numpy as np
import torch
from repnet_pde.validation.finite_difference.inverse import synthetic

from repnet_pde import Balance, Problem


def problem(noise=0.0, observations=200, data_seed=0, start_kappa=3.7 * math.pi):
    true = {"kappa": 4.35 * math.pi}
    kappa = dde.Variable(float(start_kappa))
    domain = dde.geometry.Rectangle([0, 0], [1, 1])

    def source(x):
        distance2 = (x[:, 0:1] - 0.4) ** 2 + (x[:, 1:2] - 0.55) ** 2
        return 100 * torch.exp(-distance2 / 0.12**2)

    def pde(x, u):
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        u_yy = dde.grad.hessian(u, x, i=1, j=1)
        return -u_xx - u_yy - kappa**2 * u - source(x)

    def work(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_x**2 + u_y**2 - kappa**2 * u**2 - source(x) * u

    points = np.random.default_rng(int(data_seed)).uniform(0, 1, (int(observations), 2))
    values = synthetic("helmholtz_wavenumber_2d", points, noise, data_seed, **true)

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "data u": dde.icbc.PointSetBC(points, values),
        },
        unknowns={"kappa": kappa},
        true_unknowns=true,
        # That of kappa, and of the source, whose spectrum falls as exp(-(0.06 k)²).
        wavenumber=12 * math.pi,
        # Five standard errors of kappa are 1e-4 at noise 0.01.
        tolerance=max(1e-11, 0.01 * noise),
        balances={"energy": Balance(rate=work)},
    )
