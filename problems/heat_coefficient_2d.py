"""The heat equation in 2-D with an unknown conductivity field.

    u_t − ∇·(a ∇u) = f on [−1, 1]² × [0, 1],   a_t = 0,
    u = 0 on the boundary,   u(x, y, 0) = sin πx sin πy,

the conductivity a(x, y) to be found from noisy observations of u at random points and times, with

    u = e^{−t} s,   a = 2 + s,   s = sin πx sin πy,
    f = e^{−t} (−s + 2π² (2 + s) s − π² (cos² πx sin² πy + sin² πx cos² πy)).

The equation times u gives d/dt ½∫ u² dx = ∫ (f u − a |∇u|²) dx.

By default a = 2 is given on the boundary; a_known=0 leaves it out. The noise is absolute, to be compared with
max u = 1. The problem "HInv" of Z. Hao et al., PINNacle, arXiv:2306.08827.
"""

import math

import deepxde as dde
import numpy as np
import torch
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Balance, Problem


def problem(noise=0.1, observations=2500, data_seed=0, a_known=1):
    pi = math.pi
    domain = dde.geometry.GeometryXTime(dde.geometry.Rectangle([-1, -1], [1, 1]), dde.geometry.TimeDomain(0, 1))

    def source(x):
        x, y, t = pi * x[:, 0:1], pi * x[:, 1:2], x[:, 2:3]
        s = torch.sin(x) * torch.sin(y)
        slopes = (torch.cos(x) * torch.sin(y)) ** 2 + (torch.sin(x) * torch.cos(y)) ** 2
        return torch.exp(-t) * (-s + 2 * pi**2 * (2 + s) * s - pi**2 * slopes)

    def pde(x, ua):
        a = ua[:, 1:2]
        u_x, u_y, u_t = (dde.grad.jacobian(ua, x, i=0, j=j) for j in (0, 1, 2))
        a_x, a_y, a_t = (dde.grad.jacobian(ua, x, i=1, j=j) for j in (0, 1, 2))
        u_xx, u_yy = (dde.grad.hessian(ua, x, component=0, i=j, j=j) for j in (0, 1))
        return [u_t - a * (u_xx + u_yy) - a_x * u_x - a_y * u_y - source(x), a_t]

    def supply(x, ua):
        u_x, u_y = (dde.grad.jacobian(ua, x, i=0, j=j) for j in (0, 1))
        return source(x) * ua[:, 0:1] - ua[:, 1:2] * (u_x**2 + u_y**2)

    def solution(x):
        s = np.sin(pi * x[:, 0:1]) * np.sin(pi * x[:, 1:2])
        return np.hstack([np.exp(-x[:, 2:3]) * s, 2 + s])

    def boundary(x, on_boundary):
        return on_boundary

    points = np.random.default_rng(int(data_seed)).uniform([-1, -1, 0], [1, 1, 1], (int(observations), 3))
    values = noisy(solution(points)[:, 0:1], noise, data_seed, relative=False)

    conditions = {
        "boundary_u": dde.icbc.DirichletBC(domain, lambda x: 0, boundary, component=0),
        "initial_u": dde.icbc.IC(domain, lambda x: solution(x)[:, 0:1], lambda x, on_initial: on_initial, component=0),
        "data u": dde.icbc.PointSetBC(points, values, component=0),
    }
    if a_known:
        conditions["boundary_a"] = dde.icbc.DirichletBC(domain, lambda x: 2, boundary, component=1)

    return Problem(
        geometry=domain,
        pde=pde,
        residual_names=("heat", "steady_a"),
        conditions=conditions,
        solution=solution,
        outputs=("u", "a"),
        unknown_fields=("a",),
        wavenumber=(2 * pi, 2 * pi, 1.0),
        # With a given on the boundary, it is determined by initial and boundary values, independently of the noise.
        tolerance=1e-5,
        balances={"energy": Balance(lambda x, ua: ua[:, 0:1] ** 2 / 2, rate=supply)},
    )
