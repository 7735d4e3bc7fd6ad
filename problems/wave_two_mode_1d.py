"""The wave equation in 1-D with two standing modes.

    u_tt = speed² u_xx on [0, 1] × [0, 1],   u(0, t) = u(1, t) = 0,
    u(x, 0) = sin πx + ½ sin 4πx,   u_t(x, 0) = 0,

with the solution u = sin πx cos(speed π t) + ½ sin 4πx cos(4 speed π t). The energy ½∫ (u_t² + speed² u_x²) dx is
conserved.
"""

import deepxde as dde
import numpy as np

from repnet_pde import Balance, Problem


def problem(speed=2.0):
    pi = np.pi
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        u_tt = dde.grad.hessian(u, x, i=1, j=1)
        return u_tt - speed**2 * u_xx

    def energy(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return (u_t**2 + speed**2 * u_x**2) / 2

    def solution(x):
        x, t = x[:, 0:1], x[:, 1:2]
        slow = np.sin(pi * x) * np.cos(speed * pi * t)
        return slow + 0.5 * np.sin(4 * pi * x) * np.cos(4 * speed * pi * t)

    def initial(x, on_initial):
        return on_initial

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, solution, initial),
            "initial_velocity": dde.icbc.OperatorBC(
                domain,
                lambda x, u, _: dde.grad.jacobian(u, x, j=1),
                lambda x, on_boundary: dde.utils.isclose(x[1], 0),
            ),
        },
        solution=solution,
        reference="wave_two_mode_1d",
        wavenumber=(4 * pi, 4 * pi * abs(speed)),
        tolerance=1e-11,
        balances={"energy": Balance(energy)},
    )
