"""An elliptic equation in 2-D whose coefficient has several scales.

    −∇·(a ∇u) = 1 on [0, 1]²,   u = 0 on the boundary,

    a(x, y) = ½ Σ_ε [(2 + P sin 2πx/ε) / (2 + P cos 2πy/ε) + (2 + sin 2πy/ε) / (2 + P sin 2πx/ε)],   ε = ε₁, ε₂,

the sum of two coefficients of T. Y. Hou, X.-H. Wu, J. Comput. Phys. 134 (1997) 169–189. For P = 1.5 the largest value
of a is more than 20 times the smallest. There is no closed solution. The equation times u: ∫ (a |∇u|² − u) dx = 0.
"""

import math

import deepxde as dde
import torch

from repnet_pde import Balance, InputError, Problem


def problem(epsilon=1 / 4, finer=1 / 10, contrast=1.5):
    if not (epsilon > 0 and finer > 0):
        raise InputError(f"epsilon, finer: {epsilon:g}, {finer:g} given; the periods need positive numbers")
    if not abs(contrast) < 2:
        raise InputError(f"contrast: {contrast:g} given; a number below 2 is needed, or the coefficient has poles")
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def coefficient(x):
        """a and its gradient."""
        a = a_x = a_y = 0
        for omega in (2 * math.pi / epsilon, 2 * math.pi / finer):
            sin_x, cos_x = torch.sin(omega * x[:, 0:1]), torch.cos(omega * x[:, 0:1])
            sin_y, cos_y = torch.sin(omega * x[:, 1:2]), torch.cos(omega * x[:, 1:2])
            above, below, other = 2 + contrast * sin_x, 2 + contrast * cos_y, 2 + sin_y
            a = a + (above / below + other / above) / 2
            a_x = a_x + omega * contrast * cos_x * (1 / below - other / above**2) / 2
            a_y = a_y + omega * (contrast * above * sin_y / below**2 + cos_y / above) / 2
        return a, a_x, a_y

    def pde(x, u):
        a, a_x, a_y = coefficient(x)
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return -a * laplacian - a_x * u_x - a_y * u_y - 1

    def work(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return coefficient(x)[0] * (u_x**2 + u_y**2) - u

    return Problem(
        geometry=square,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(square, lambda x: 0, lambda x, on_boundary: on_boundary)},
        reference="elliptic_multiscale_2d",
        wavenumber=2 * 2 * math.pi / min(epsilon, finer),
        tolerance=1e-2,
        balances={"energy": Balance(rate=work)},
    )
