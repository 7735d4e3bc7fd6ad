"""Diffusion and reaction of two species in 1-D with unknown diffusivity and reaction rate.

    a_t = D a_xx − k_f a b²,   b_t = D b_xx − 2 k_f a b²   on [0, 1] × [0, 10],
    a = b = e^{−20x} at t = 0,   a = b = 1 at x = 0,   a = b = 0 at x = 1,

D and k_f to be found from samples of both concentrations at random points; the true values are 0.002 and 0.1. There is
no elementary solution. The noise is relative to the root mean square of each output's samples. An example of DeepXDE
(L. Lu et al., SIAM Rev. 63 (2021) 208–228). The reaction takes two of b for each of a:

    d/dt ∫ a dx = D [a_x] − k_f ∫ a b² dx,   d/dt ∫ (2a − b) dx = D [2a_x − b_x].
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import synthetic

from repnet_pde import Balance, Problem


def problem(noise=0.0, observations=1000, data_seed=0):
    true = {"D": 2e-3, "k_f": 0.1}
    diffusivity, rate = dde.Variable(1e-3), dde.Variable(0.05)
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 10))

    def pde(x, ab):
        a, b = ab[:, 0:1], ab[:, 1:2]
        a_t, b_t = (dde.grad.jacobian(ab, x, i=i, j=1) for i in (0, 1))
        a_xx, b_xx = (dde.grad.hessian(ab, x, component=i, i=0, j=0) for i in (0, 1))
        reaction = rate * a * b**2
        return [a_t - diffusivity * a_xx + reaction, b_t - diffusivity * b_xx + 2 * reaction]

    def flux(x, ab):
        return -diffusivity * dde.grad.jacobian(ab, x, i=0, j=0)

    def flux_2a_b(x, ab):
        return 2 * flux(x, ab) + diffusivity * dde.grad.jacobian(ab, x, i=1, j=0)

    points = np.random.default_rng(int(data_seed)).uniform(0, (1, 10), (int(observations), 2))
    values = synthetic("reaction_diffusion_1d", points, noise, data_seed, **true)

    def end(x):
        return 1 - x[:, 0:1]

    def start(x):
        return np.exp(-20 * x[:, 0:1])

    def on_boundary(x, on):
        return on

    return Problem(
        geometry=domain,
        pde=pde,
        residual_names=("species_a", "species_b"),
        conditions={
            "boundary_a": dde.icbc.DirichletBC(domain, end, on_boundary, component=0),
            "boundary_b": dde.icbc.DirichletBC(domain, end, on_boundary, component=1),
            "initial_a": dde.icbc.IC(domain, start, lambda x, on_initial: on_initial, component=0),
            "initial_b": dde.icbc.IC(domain, start, lambda x, on_initial: on_initial, component=1),
            "data a": dde.icbc.PointSetBC(points, values[:, 0:1], component=0),
            "data b": dde.icbc.PointSetBC(points, values[:, 1:2], component=1),
        },
        unknowns={"D": diffusivity, "k_f": rate},
        true_unknowns=true,
        outputs=("a", "b"),
        # Nothing oscillates; the start falls as exp(-20 x) and the boundary's layers widen with time.
        wavenumber=(10 * math.pi, math.pi),
        # Five standard errors of k_f are 2.5e-2 at noise 0.01.
        tolerance=max(1e-3, 2.5 * noise),
        balances={
            "a": Balance(lambda x, ab: ab[:, 0:1], rate=lambda x, ab: -rate * ab[:, 0:1] * ab[:, 1:2] ** 2, flux=flux),
            "2a - b": Balance(lambda x, ab: 2 * ab[:, 0:1] - ab[:, 1:2], flux=flux_2a_b),
        },
    )
