"""Kovasznay's steady flow behind a grid, a solution of the Navier-Stokes equations in 2-D.

    u u_x + v u_y + p_x = ν Δu,   u v_x + v v_y + p_y = ν Δv,   u_x + v_y = 0   on [−½, 1] × [−½, 3/2],

with ν = 1/reynolds, u and v given on the boundary and p given at the outflow x = 1, such that

    u = 1 − e^{λx} cos 2πy,   v = λ/(2π) e^{λx} sin 2πy,   p = (1 − e^{2λx})/2,   λ = 1/(2ν) − √(1/(4ν²) + 4π²).

Mass and momentum, the latter with pressure and viscous stress, are conserved:

    ∮ (u, v) · n ds = 0,   ∮ (u² + p − ν u_x, u v − ν u_y) · n ds = 0,   ∮ (u v − ν v_x, v² + p − ν v_y) · n ds = 0.

L. I. G. Kovasznay, Proc. Camb. Philos. Soc. 44 (1948) 58–62; an example of DeepXDE.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(reynolds=20.0):
    pi, nu = math.pi, 1 / reynolds
    rate = 1 / (2 * nu) - math.sqrt(1 / (4 * nu**2) + 4 * pi**2)
    domain = dde.geometry.Rectangle([-0.5, -0.5], [1, 1.5])

    def pde(x, uvp):
        u, v = uvp[:, 0:1], uvp[:, 1:2]
        u_x, u_y = (dde.grad.jacobian(uvp, x, i=0, j=j) for j in (0, 1))
        v_x, v_y = (dde.grad.jacobian(uvp, x, i=1, j=j) for j in (0, 1))
        p_x, p_y = (dde.grad.jacobian(uvp, x, i=2, j=j) for j in (0, 1))
        u_xx, u_yy = (dde.grad.hessian(uvp, x, component=0, i=j, j=j) for j in (0, 1))
        v_xx, v_yy = (dde.grad.hessian(uvp, x, component=1, i=j, j=j) for j in (0, 1))
        return [
            u * u_x + v * u_y + p_x - nu * (u_xx + u_yy),
            u * v_x + v * v_y + p_y - nu * (v_xx + v_yy),
            u_x + v_y,
        ]

    def momentum(x, uvp, i):
        """The flux (n, 2) of component i of the momentum."""
        pressure = torch.nn.functional.pad(uvp[:, 2:3], (i, 1 - i))
        return uvp[:, i : i + 1] * uvp[:, :2] + pressure - nu * dde.grad.jacobian(uvp, x, i=i)

    def solution(x):
        decay, angle = np.exp(rate * x[:, 0:1]), 2 * pi * x[:, 1:2]
        u = 1 - decay * np.cos(angle)
        v = rate / (2 * pi) * decay * np.sin(angle)
        return np.hstack([u, v, (1 - decay**2) / 2])

    def boundary(x, on_boundary):
        return on_boundary

    def outflow(x, on_boundary):
        return on_boundary and dde.utils.isclose(x[0], 1)

    return Problem(
        geometry=domain,
        pde=pde,
        residual_names=("momentum_x", "momentum_y", "continuity"),
        conditions={
            "boundary_u": dde.icbc.DirichletBC(domain, lambda x: solution(x)[:, 0:1], boundary, component=0),
            "boundary_v": dde.icbc.DirichletBC(domain, lambda x: solution(x)[:, 1:2], boundary, component=1),
            "outflow_p": dde.icbc.DirichletBC(domain, lambda x: solution(x)[:, 2:3], outflow, component=2),
        },
        solution=solution,
        reference="kovasznay_2d",
        outputs=("u", "v", "p"),
        # Along x nothing oscillates, but p falls as exp(2 rate x).
        wavenumber=(max(2 * abs(rate), pi), 2 * pi),
        tolerance=1e-10,
        balances={
            "mass": Balance(flux=lambda x, uvp: uvp[:, :2]),
            "momentum_x": Balance(flux=lambda x, uvp: momentum(x, uvp, 0)),
            "momentum_y": Balance(flux=lambda x, uvp: momentum(x, uvp, 1)),
        },
    )
