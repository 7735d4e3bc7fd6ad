"""A string driven at one end with four frequencies, in characteristic coordinates.

    u_tt = u_xx on 0 ≤ x ≤ 1, 0 ≤ t ≤ 1,   u = u_t = 0 at t = 0,   u(0, t) = g(t),   u(1, t) = 0,

    g(t) = A (sin 2πωt + sin 10πωt + sin 20πωt + sin 40πωt) / 4,

has the solution u = g(t − x) behind the front x = t and u = 0 before it: continuous, with a kink at the front. With
ξ = t − x and η = t + x the equation is u_ξη = 0, the domain is a square rotated by 45°, and the front is the line
ξ = 0, where an equation of first order in ξ requires only continuity of u: an interface whose "flux" u_η is then
continuous as well. In x and t no smooth network can resolve the kink.
"""

import math

import deepxde as dde
import numpy as np

from repnet_pde import Interface, Problem

FREQUENCIES = (1, 5, 10, 20)


def problem(omega=1.0, amplitude=1.0):
    diamond = dde.geometry.Polygon([[0, 0], [1, 1], [0, 2], [-1, 1]])

    def pde(x, u):
        return dde.grad.hessian(u, x, i=0, j=1)

    def driver(t):
        return amplitude / 4 * sum(np.sin(2 * math.pi * omega * f * t) for f in FREQUENCIES)

    def solution(x):
        return np.where(x[:, 0:1] > 0, driver(x[:, 0:1]), 0.0)

    def on(difference):
        return lambda x, on_boundary: on_boundary and bool(np.isclose(difference(x), 0, rtol=0, atol=1e-9))

    at_start = on(lambda x: x[0] + x[1])
    return Problem(
        geometry=diamond,
        pde=pde,
        conditions={
            "driven": dde.icbc.DirichletBC(diamond, lambda x: driver(x[:, 0:1]), on(lambda x: x[1] - x[0])),
            "fixed": dde.icbc.DirichletBC(diamond, lambda x: 0, on(lambda x: x[1] - x[0] - 2)),
            "initial": dde.icbc.DirichletBC(diamond, lambda x: 0, at_start),
            "initial_velocity": dde.icbc.OperatorBC(
                diamond,
                lambda x, u, _: dde.grad.jacobian(u, x, j=0) + dde.grad.jacobian(u, x, j=1),
                at_start,
            ),
        },
        interfaces=[Interface(axis=0, at=0.0, flux=lambda x, u: dde.grad.jacobian(u, x, j=1))],
        solution=solution,
        reference="wave_four_frequency_1d",
        wavenumber=(max(2 * math.pi * abs(omega) * FREQUENCIES[-1], math.pi), math.pi),
        tolerance=1e-9,
    )
