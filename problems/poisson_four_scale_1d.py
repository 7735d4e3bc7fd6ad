"""Poisson's equation in 1-D with a solution of four scales and a localised packet of waves.

    u″(x) = f(x) on [0, 1],   u(0) and u(1) given,

where f is such that

    u = sin 6πx + ½ sin 12πx + ¼ sin 24πx + ⅙ sin 36πx + amplitude e^{−s²/2} cos(packet π (x − ½)),   s = (x − ½)/width.

All waves contribute about equally to u′; the packet is fast and localised near the middle. The equation times u gives
∫ (u′² + f u) dx = [u u′].
"""

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, InputError, Problem

WAVES = {6: 1, 12: 1 / 2, 24: 1 / 4, 36: 1 / 6}


def problem(packet=80.0, width=0.04, amplitude=0.5):
    if not width > 0:
        raise InputError(f"width: {width:g} given; the packet's width needs a positive number")
    pi, k = np.pi, packet * np.pi
    line = dde.geometry.Interval(0, 1)

    def source(x):
        s = (x - 0.5) / width
        envelope, phase = amplitude * torch.exp(-(s**2) / 2), k * (x - 0.5)
        waves = sum(weight * (m * pi) ** 2 * torch.sin(m * pi * x) for m, weight in WAVES.items())
        bend = ((s**2 - 1) / width**2 - k**2) * torch.cos(phase) + 2 * k * s / width * torch.sin(phase)
        return envelope * bend - waves

    def pde(x, u):
        return dde.grad.hessian(u, x) - source(x)

    energy = Balance(
        rate=lambda x, u: dde.grad.jacobian(u, x) ** 2 + source(x) * u,
        flux=lambda x, u: u * dde.grad.jacobian(u, x),
    )

    def solution(x):
        waves = sum(weight * np.sin(m * pi * x) for m, weight in WAVES.items())
        return waves + amplitude * np.exp(-(((x - 0.5) / width) ** 2) / 2) * np.cos(k * (x - 0.5))

    return Problem(
        geometry=line,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(line, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="poisson_four_scale_1d",
        # The packet's spectrum is a Gaussian of width 1 / width about k.
        wavenumber=max(36 * pi, abs(k) + 5 / width),
        tolerance=1e-10,
        balances={"energy": energy},
    )
