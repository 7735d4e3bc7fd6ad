"""A nonlinear Poisson equation, periodic in both directions.

    Δu − u²/10 = f on [−1, 1]²,   u and its derivatives periodic,   u(0, 0) = 0,

where f belongs to u = sin mπx cos mπy, m whole: f = −2 (mπ)² u − u²/10. The value at the origin is one more condition
than in the literature. Without it there is a second solution, about 1/(20 (mπ)²) above this one, since only the
nonlinear term determines the additive constant; for functions between the two solutions the residual is below 1e-10 of
f. The equation times u:

    ∫ (|∇u|² + u³/10 + f u) dx = 0.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, InputError, Problem


def problem(m=3):
    if m != int(m) or m < 1:
        raise InputError(f"m: {m:g} given; a whole number >= 1 is needed, so that the solution is periodic")
    square, k = dde.geometry.Rectangle([-1, -1], [1, 1]), m * math.pi

    def source(x):
        u = torch.sin(k * x[:, 0:1]) * torch.cos(k * x[:, 1:2])
        return -2 * k**2 * u - u**2 / 10

    def pde(x, u):
        return dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) - u**2 / 10 - source(x)

    def work(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_x**2 + u_y**2 + u**3 / 10 + source(x) * u

    def periodic(axis, order):
        def right(x, on_boundary):
            return on_boundary and bool(np.isclose(x[axis], 1))

        return dde.icbc.PeriodicBC(square, axis, right, derivative_order=order)

    return Problem(
        geometry=square,
        pde=pde,
        conditions={
            f"periodic_{'xy'[axis]}{'_slope' * order}": periodic(axis, order) for axis in (0, 1) for order in (0, 1)
        }
        | {"origin": dde.icbc.PointSetBC(np.zeros((1, 2)), np.zeros((1, 1)))},
        solution=lambda x: np.sin(k * x[:, 0:1]) * np.cos(k * x[:, 1:2]),
        reference="poisson_nonlinear_2d",
        wavenumber=k,
        tolerance=1e-9,
        balances={"energy": Balance(rate=work)},
    )
