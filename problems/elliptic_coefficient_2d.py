"""An elliptic equation in 2-D with an unknown coefficient field.

    −∇·(a ∇u) = f on [0, 1]²,   u = 0 and a given on the boundary,

a to be found from noisy observations of u on a uniform grid of points, the boundary among them, with

    u = sin πx sin πy,   a = 1 / (1 + x² + y² + (x − 1)² + (y − 1)²),
    f = 2π² a u + π a² ((4x − 2) cos πx sin πy + (4y − 2) sin πx cos πy).

The equation times u gives ∫ (a |∇u|² − f u) dx = 0. The noise is absolute, to be compared with max u = 1.

The problem "PInv" of Z. Hao et al., PINNacle, arXiv:2306.08827, whose code has a source term that does not belong to
its solution; this one is derived.
"""

import math

import deepxde as dde
import numpy as np
import torch
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Balance, InputError, Problem


def problem(noise=0.1, observations=2500, data_seed=0):
    pi, side = math.pi, math.isqrt(int(observations))
    if side**2 != observations or side < 2:
        raise InputError(f"observations: {observations:g} given; they form a grid, give a square such as 2500")
    domain = dde.geometry.Rectangle([0, 0], [1, 1])

    def coefficient(x):
        x, y = x[:, 0:1], x[:, 1:2]
        return 1 / (1 + x**2 + y**2 + (x - 1) ** 2 + (y - 1) ** 2)

    def source(x):
        a, (x, y) = coefficient(x), (x[:, 0:1], x[:, 1:2])
        sines = torch.sin(pi * x) * torch.sin(pi * y)
        slopes = (4 * x - 2) * torch.cos(pi * x) * torch.sin(pi * y)
        slopes = slopes + (4 * y - 2) * torch.sin(pi * x) * torch.cos(pi * y)
        return 2 * pi**2 * a * sines + pi * a**2 * slopes

    def pde(x, ua):
        a = ua[:, 1:2]
        u_x, u_y = (dde.grad.jacobian(ua, x, i=0, j=j) for j in (0, 1))
        a_x, a_y = (dde.grad.jacobian(ua, x, i=1, j=j) for j in (0, 1))
        u_xx, u_yy = (dde.grad.hessian(ua, x, component=0, i=j, j=j) for j in (0, 1))
        return -a * (u_xx + u_yy) - a_x * u_x - a_y * u_y - source(x)

    def work(x, ua):
        u_x, u_y = (dde.grad.jacobian(ua, x, i=0, j=j) for j in (0, 1))
        return ua[:, 1:2] * (u_x**2 + u_y**2) - source(x) * ua[:, 0:1]

    def solution(x):
        return np.hstack([np.sin(pi * x[:, 0:1]) * np.sin(pi * x[:, 1:2]), coefficient(x)])

    def boundary(x, on_boundary):
        return on_boundary

    axis = np.linspace(0, 1, side)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = noisy(solution(points)[:, 0:1], noise, data_seed, relative=False)

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary_u": dde.icbc.DirichletBC(domain, lambda x: 0, boundary, component=0),
            "boundary_a": dde.icbc.DirichletBC(domain, coefficient, boundary, component=1),
            "data u": dde.icbc.PointSetBC(points, values, component=0),
        },
        solution=solution,
        outputs=("u", "a"),
        unknown_fields=("a",),
        wavenumber=2 * pi,
        # The error of a falls as the root of the noise.
        tolerance=max(1e-5, 0.1 * math.sqrt(noise)),
        balances={"energy": Balance(rate=work)},
    )
