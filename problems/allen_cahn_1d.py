"""The Allen-Cahn equation in 1-D, whose solution separates into two phases with thin layers between them.

    u_t = d u_xx + 5 (u − u³) on [−1, 1] × [0, 1],   u(x, 0) = x² cos πx,   u(−1, t) = u(1, t) = −1.

There is no elementary solution; the layers between u = 1 and u = −1 have the width √(2d/5). The free energy decreases:

    d/dt ∫ (½ d u_x² + 5/4 (1 − u²)²) dx = −∫ u_t² dx.

An example of DeepXDE (L. Lu et al., SIAM Rev. 63 (2021) 208–228), with d = 10⁻³.
"""

import deepxde as dde
import numpy as np

from repnet_pde import Balance, Problem


def problem(d=1e-3):
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_t = dde.grad.jacobian(u, x, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t - d * u_xx - 5 * (u - u**3)

    free_energy = Balance(
        lambda x, u: d / 2 * dde.grad.jacobian(u, x, j=0) ** 2 + 1.25 * (1 - u**2) ** 2,
        rate=lambda x, u: -(dde.grad.jacobian(u, x, j=1) ** 2),
    )

    def initial(x):
        return x[:, 0:1] ** 2 * np.cos(np.pi * x[:, 0:1])

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: -1, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, initial, lambda x, on_initial: on_initial),
        },
        reference="allen_cahn_1d",
        # A layer is u = tanh(x / width), the growth of u from zero is exp(5 t).
        wavenumber=(max(np.sqrt(2.5 / d), np.pi), 5.0),
        tolerance=1e-5,
        balances={"free energy": free_energy},
    )
