"""Bratu's problem: a two-point problem with two solutions.

    u″ + λ eᵘ = 0 on [0, 1],   u(0) = u(1) = 0,

the lower branch u = −2 ln(cosh(θ (x − ½)) / cosh(θ/2)), where θ is the smaller root of θ = √(λ/2) cosh(θ/2)
(U. M. Ascher, R. M. M. Mattheij, R. D. Russell, Numerical Solution of Boundary Value Problems for Ordinary Differential
Equations (1995), example 3.1 and section 1.2). The branches meet at λ = 3.5138307. The equation times u:
∫ (u′² − λ eᵘ u) dx = 0.
"""

import deepxde as dde
import numpy as np
import torch
from scipy.optimize import brentq

from repnet_pde import Balance, InputError, Problem

LARGEST = 3.513830719125162


def problem(strength=2.0):
    if not 0 < strength < LARGEST:
        raise InputError(f"strength: {strength:g} given; λ must lie between 0 and {LARGEST:.7f}, where solutions end")
    line = dde.geometry.Interval(0, 1)
    # θ / cosh(θ/2) rises up to θ = 2.3994, where the branches meet.
    theta = brentq(lambda t: t - np.sqrt(strength / 2) * np.cosh(t / 2), 0.0, 2.399357280520847, xtol=1e-15)

    def pde(x, u):
        return dde.grad.hessian(u, x) + strength * torch.exp(u)

    def solution(x):
        return -2 * np.log(np.cosh(theta * (x - 0.5)) / np.cosh(theta / 2))

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="bratu_1d",
        wavenumber=np.pi,
        tolerance=1e-10,
        balances={"energy": Balance(rate=lambda x, u: dde.grad.jacobian(u, x) ** 2 - strength * torch.exp(u) * u)},
    )
