"""Heat conduction in a plane with conductivities and wavelengths of very different size.

    u_t = u_xx / (500π)² + u_yy / π² on [0, 1]² × [0, 5],   u = 0 on the boundary,   u(x, y, 0) = sin mπx sin πy,

with u = e^{−λt} sin mπx sin πy, λ = (m/500)² + 1. With m = 20 an example of the neural multiscale literature.
For u that is 0 on the boundary the equation times u gives

    d/dt ∫ u²/2 dx = −∫ (u_x² / (500π)² + u_y² / π²) dx.
"""

import math

import deepxde as dde
import numpy as np

from repnet_pde import Balance, InputError, Problem

SLOW = 1 / (500 * math.pi) ** 2


def problem(m=20):
    if m != int(m) or m < 1:
        raise InputError(f"m: {m:g} given; a whole number >= 1 is needed, so that u vanishes on the boundary")
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    domain = dde.geometry.GeometryXTime(square, dde.geometry.TimeDomain(0, 5))

    def pde(x, u):
        u_xx, u_yy = (dde.grad.hessian(u, x, i=i, j=i) for i in (0, 1))
        return dde.grad.jacobian(u, x, j=2) - SLOW * u_xx - u_yy / math.pi**2

    def loss(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return -SLOW * u_x**2 - u_y**2 / math.pi**2

    def solution(x):
        decay = np.exp(-((m / 500) ** 2 + 1) * x[:, 2:3])
        return decay * np.sin(m * math.pi * x[:, 0:1]) * np.sin(math.pi * x[:, 1:2])

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, solution, lambda x, on_initial: on_initial),
        },
        solution=solution,
        reference="heat_multiscale_2d",
        wavenumber=(m * math.pi, math.pi, 1.5),
        tolerance=1e-7,
        balances={"energy": Balance(density=lambda x, u: u**2 / 2, rate=loss)},
    )
