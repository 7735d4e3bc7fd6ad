"""Convection and diffusion in 1-D with a boundary layer.

    −ε u″(x) + u′(x) = 1 on [0, 1],   u(0) = u(1) = 0,

the standard model of a singular perturbation (H.-G. Roos, M. Stynes, L. Tobiska, Robust Numerical Methods for
Singularly Perturbed Differential Equations (2008), chapter I.1). The solution follows x, which meets the equation
without diffusion, up to a layer of width ε at x = 1:

    u = x − (e^{(x − 1)/ε} − e^{−1/ε}) / (1 − e^{−1/ε}).

The equation integrated: ∫ 1 dx = [u − ε u′]; times u, which is 0 at both ends: ∫ (u − ε u′²) dx = 0.
"""

import deepxde as dde
import numpy as np

from repnet_pde import Balance, InputError, Problem


def problem(epsilon=1e-3):
    if not epsilon > 0:
        raise InputError(f"epsilon: {epsilon:g} given; the diffusivity needs a positive number")
    line = dde.geometry.Interval(0, 1)

    def pde(x, u):
        return -epsilon * dde.grad.hessian(u, x) + dde.grad.jacobian(u, x) - 1

    mass = Balance(
        rate=lambda x, u: 0 * u + 1,
        flux=lambda x, u: u - epsilon * dde.grad.jacobian(u, x),
    )
    energy = Balance(rate=lambda x, u: u - epsilon * dde.grad.jacobian(u, x) ** 2)

    def solution(x):
        return x - (np.exp((x - 1) / epsilon) - np.exp(-1 / epsilon)) / (1 - np.exp(-1 / epsilon))

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="convection_diffusion_1d",
        # The layer's spectrum falls as 1 / (1 + (k ε)²) only: this resolves its width.
        wavenumber=max(np.pi, np.pi / epsilon),
        tolerance=1e-8,
        balances={"mass": mass, "energy": energy},
    )
