"""An elliptic equation in 2-D with a coefficient that jumps: three layers.

    −∇·(a ∇u) = f on [0, 1]²,   u given on the boundary,   a = 1, A, 1 for x < 1/3, 1/3 < x < 2/3, x > 2/3.

In each layer the equation is −a Δu = f; where layers meet u and the flux a ∂u/∂x are continuous, without which the
equation inside of the layers would not determine u. With s = sin mπx, and Φ continuous with Φ′ = s′/a and Φ(0) = 0,

    u = Φ(x) sin 2πy,   f = (m²π² sin mπx + 4π² a Φ) sin 2πy.
"""

import math

import deepxde as dde
import numpy as np
import torch

from repnet_pde import InputError, Interface, Problem

WALLS = (1 / 3, 2 / 3)


def problem(contrast=100.0, m=5.0):
    if not contrast > 0:
        raise InputError(f"contrast: {contrast:g} given; a positive number is needed")
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def layers(x, library):
        """a and Φ."""
        s = library.sin(m * math.pi * x)
        first, second = (math.sin(m * math.pi * wall) for wall in WALLS)
        middle = first + (s - first) / contrast
        right = first + (second - first) / contrast + s - second
        inside = (x > WALLS[0]) & (x < WALLS[1])
        a = library.where(inside, contrast, 1.0)
        return a, library.where(x < WALLS[0], s, library.where(inside, middle, right))

    def pde(x, u):
        a, phi = layers(x[:, 0:1], torch)
        source = (m * math.pi) ** 2 * torch.sin(m * math.pi * x[:, 0:1]) + 4 * math.pi**2 * a * phi
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return -a * laplacian - source * torch.sin(2 * math.pi * x[:, 1:2])

    def flux(x, u):
        return layers(x[:, 0:1], torch)[0] * dde.grad.jacobian(u, x, j=0)

    def solution(x):
        return layers(x[:, 0:1], np)[1] * np.sin(2 * math.pi * x[:, 1:2])

    return Problem(
        geometry=square,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(square, solution, lambda x, on_boundary: on_boundary)},
        interfaces=[Interface(axis=0, at=wall, flux=flux) for wall in WALLS],
        solution=solution,
        reference="elliptic_layered_2d",
        wavenumber=(max(abs(m), 2) * math.pi, 2 * math.pi),
        tolerance=1e-9,
    )
