"""Lorenz's system with three unknown coefficients.

    x' = σ (y − x),   y' = x (ρ − z) − y,   z' = x y − β z on [0, 3],   (x, y, z) = (−8, 7, 27) at t = 0,

σ, ρ and β to be found from samples of x, y and z at evenly spaced times; the true values are 10, 15 and 8/3. The
noise is relative to the root mean square of each output's samples. The quadratic terms conserve energy:

    d/dt ½ (x² + y² + z²) = −σ x² + (σ + ρ) x y − y² − β z².

An example of DeepXDE (L. Lu et al., SIAM Rev. 63
(2021) 208–228); the system is that of E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130–141, here below the onset of chaos.
"""

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import synthetic

from repnet_pde import Balance, Problem


def problem(noise=0.0, observations=25, data_seed=0):
    true = {"sigma": 10.0, "rho": 15.0, "beta": 8 / 3}
    sigma, rho, beta = (dde.Variable(1.0) for _ in range(3))
    domain = dde.geometry.TimeDomain(0, 3)

    def pde(t, u):
        x, y, z = u[:, 0:1], u[:, 1:2], u[:, 2:3]
        x_t, y_t, z_t = (dde.grad.jacobian(u, t, i=i) for i in range(3))
        return [x_t - sigma * (y - x), y_t - x * (rho - z) + y, z_t - x * y + beta * z]

    def work(t, u):
        x, y, z = u[:, 0:1], u[:, 1:2], u[:, 2:3]
        return -sigma * x**2 + (sigma + rho) * x * y - y**2 - beta * z**2

    # t = 0 is left out: the state is given there
    times = np.linspace(0, 3, int(observations) + 1)[1:, None]
    values = synthetic("lorenz", times, noise, data_seed, **true)

    def initial(t, on_initial):
        return on_initial

    return Problem(
        geometry=domain,
        pde=pde,
        residual_names=("x_t", "y_t", "z_t"),
        conditions={
            "initial_x": dde.icbc.IC(domain, lambda t: -8, initial, component=0),
            "initial_y": dde.icbc.IC(domain, lambda t: 7, initial, component=1),
            "initial_z": dde.icbc.IC(domain, lambda t: 27, initial, component=2),
            "data x": dde.icbc.PointSetBC(times, values[:, 0:1], component=0),
            "data y": dde.icbc.PointSetBC(times, values[:, 1:2], component=1),
            "data z": dde.icbc.PointSetBC(times, values[:, 2:3], component=2),
        },
        unknowns={"sigma": sigma, "rho": rho, "beta": beta},
        true_unknowns=true,
        outputs=("x", "y", "z"),
        wavenumber=50.0,
        # Five standard errors of sigma are 1.7e-2 at noise 0.01.
        tolerance=max(1e-8, 2 * noise),
        balances={"energy": Balance(lambda t, u: (u**2).sum(1, keepdim=True) / 2, rate=work)},
    )
