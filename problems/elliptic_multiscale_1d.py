"""An elliptic equation in 1-D whose coefficient oscillates fast.

    −(a(x/ε) u′(x))′ = 1 on [0, 1],   u(0) = u(1) = 0,   a(y) = 2 + cos 2πy,

the standard example of homogenisation (A. Bensoussan, J.-L. Lions, G. Papanicolaou, Asymptotic Analysis for Periodic
Structures (1978), chapter 1): as ε → 0, u tends to x (1 − x) / (2 √3), where √3 is the harmonic mean of a. As
a u′ = C − x, u is the integral of (C − x)/a from 0; with ω = 2π/ε, q = 2 − √3 and
1/a = (1 + 2 Σ_n (−q)ⁿ cos nωx) / √3,

    √3 u = C x − x²/2 + 2 Σ_n (−q)ⁿ [(C − x) sin nωx / (nω) + (1 − cos nωx) / (nω)²],

and u(1) = 0 gives C. The equation times u: ∫ (a u′² − u) dx = 0 for u that is 0 at both ends.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, InputError, Problem


def problem(epsilon=1 / 40):
    if not epsilon > 0:
        raise InputError(f"epsilon: {epsilon:g} given; the period needs a positive number")
    omega = 2 * math.pi / epsilon
    line = dde.geometry.Interval(0, 1)

    def pde(x, u):
        a, slope = 2 + torch.cos(omega * x), -omega * torch.sin(omega * x)
        return -a * dde.grad.hessian(u, x) - slope * dde.grad.jacobian(u, x) - 1

    def work(x, u):
        return (2 + torch.cos(omega * x)) * dde.grad.jacobian(u, x) ** 2 - u

    n = np.arange(1, 31)  # q**30 is 7e-18
    powers, angles = 2 * (math.sqrt(3) - 2) ** n, n * omega
    sines, cosines = powers / angles, powers / angles**2
    at_one, rise = np.sin(angles) @ sines, (1 - np.cos(angles)) @ cosines
    c = (0.5 + at_one - rise) / (1 + at_one)

    def solution(x):
        oscillating = (c - x) * (np.sin(x * angles) @ sines[:, None]) + (1 - np.cos(x * angles)) @ cosines[:, None]
        return (c * x - x**2 / 2 + oscillating) / math.sqrt(3)

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="elliptic_multiscale_1d",
        # The harmonics of u fall as qⁿ / n²: by 1e-5 up to here; the method adds higher ones where it needs them.
        wavenumber=6 * omega,
        tolerance=1e-8,
        balances={"energy": Balance(rate=work)},
    )
