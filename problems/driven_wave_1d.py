"""The wave equation in 1-D, driven from rest, with unknown speed and driving frequency.

    u_tt = c² u_xx + s(x) sin ωt on [0, 1] × [0, 2],   u(0, t) = u(1, t) = 0,   u(x, 0) = u_t(x, 0) = 0,
    s(x) = 100 sin πx exp(−2 (cos πx − 0.2)²),

c and ω to be found from samples of u at random points; the true values are 1.2 and 6.5 π. The solution is

    u = Σ_n s_n sin k_n x (sin ωt − ω/ω_n sin ω_n t) / (ω_n² − ω²),   k_n = nπ,   ω_n = c k_n,

with the sine coefficients s_n = 2 ∫ s sin k_n x dx, which fall faster than any geometric sequence. The noise is
relative to the root mean square of the samples. The energy is the work of the source:

    d/dt ½∫ (u_t² + c² u_x²) dx = ∫ s sin ωt u_t dx.
"""

import math

import deepxde as dde
import numpy as np
import torch
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Balance, Problem


def problem(noise=0.0, observations=500, data_seed=0, start_c=0.6, start_w=5.5 * math.pi):
    true = {"c": 1.2, "w": 6.5 * math.pi}
    c, w = dde.Variable(float(start_c)), dde.Variable(float(start_w))
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 2))

    def force(x):
        angle = math.pi * x[:, 0:1]
        return 100 * torch.sin(angle) * torch.exp(-2 * (torch.cos(angle) - 0.2) ** 2) * torch.sin(w * x[:, 1:2])

    def pde(x, u):
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        u_tt = dde.grad.hessian(u, x, i=1, j=1)
        return u_tt - c**2 * u_xx - force(x)

    def energy(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return (u_t**2 + c**2 * u_x**2) / 2

    k, nodes = math.pi * np.arange(1, 41), np.arange(1, 100) / 100
    shape = 100 * np.sin(math.pi * nodes) * np.exp(-2 * (np.cos(math.pi * nodes) - 0.2) ** 2)
    drive, omega = true["w"], true["c"] * k
    weights = np.sin(k[:, None] * nodes) @ shape / 50 / (omega**2 - drive**2)  # s_n by the trapezoidal rule

    def solution(x):
        x, t = x[:, 0:1], x[:, 1:2]
        return (np.sin(x * k) * (np.sin(drive * t) - drive / omega * np.sin(t * omega))) @ weights[:, None]

    points = np.random.default_rng(int(data_seed)).uniform(0, (1, 2), (int(observations), 2))
    values = noisy(solution(points), noise, data_seed)

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, lambda x: 0, lambda x, on_initial: on_initial),
            "initial_velocity": dde.icbc.OperatorBC(
                domain,
                lambda x, u, _: dde.grad.jacobian(u, x, j=1),
                lambda x, on_boundary: dde.utils.isclose(x[1], 0),
            ),
            "data u": dde.icbc.PointSetBC(points, values),
        },
        solution=solution,
        unknowns={"c": c, "w": w},
        true_unknowns=true,
        # The source's coefficients fall to 5e-4 of the largest at k = 10 pi.
        wavenumber=(10 * math.pi, 12 * math.pi),
        # Five standard errors of c and w move u by 0.4 % at noise 0.01.
        tolerance=max(1e-6, noise),
        balances={"energy": Balance(energy, rate=lambda x, u: force(x) * dde.grad.jacobian(u, x, j=1))},
    )
