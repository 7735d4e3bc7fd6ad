"""The Helmholtz equation on a square with a mode that is slow in x and fast in y.

    Δu + k² u = q on [−1, 1]²,   u given on the boundary,

where q = (k² − (a1 π)² − (a2 π)²) u is such that u = sin(a1 πx) sin(a2 πy), which is zero on the boundary for whole
a1 and a2. A benchmark of S. Wang, Y. Teng, P. Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055–A3081. k² must not be
an eigenvalue of −Δ (k² = (i² + j²) π²/4 with whole i, j ≥ 1). The equation times u gives

    ∫ (|∇u|² − k² u² + q u) dx = ∮ u ∂u/∂n ds.
"""

import deepxde as dde
import numpy as np
import torch

from repnet_pde import Balance, Problem


def problem(a1=1.0, a2=4.0, k=1.0):
    pi = np.pi
    square = dde.geometry.Rectangle([-1, -1], [1, 1])

    def source(x):
        mode = torch.sin(a1 * pi * x[:, 0:1]) * torch.sin(a2 * pi * x[:, 1:2])
        return (k**2 - (a1 * pi) ** 2 - (a2 * pi) ** 2) * mode

    def pde(x, u):
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return laplacian + k**2 * u - source(x)

    def work(x, u):
        u_x, u_y = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_x**2 + u_y**2 - k**2 * u**2 + source(x) * u

    def solution(x):
        return np.sin(a1 * pi * x[:, 0:1]) * np.sin(a2 * pi * x[:, 1:2])

    return Problem(
        geometry=square,
        pde=pde,
        conditions={"boundary": dde.icbc.DirichletBC(square, solution, lambda x, on_boundary: on_boundary)},
        solution=solution,
        reference="helmholtz_modes_2d",
        wavenumber=(pi * max(abs(a1), 0.5), pi * max(abs(a2), 0.5)),
        tolerance=1e-10,
        balances={"energy": Balance(rate=work, flux=lambda x, u: u * dde.grad.jacobian(u, x, i=0))},
    )
