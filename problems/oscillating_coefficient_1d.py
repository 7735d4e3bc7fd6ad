"""An elliptic equation in 1-D with an unknown coefficient that oscillates.

    −(a u')' = 1 on [0, 1],   u(0) = u(1) = 0,

a to be found from samples of u at random points; by default a = 1 is given at both ends (a_known=0 leaves it out).
The truth is a = 1 + ½ sin ωx with ω = 20π, which bends u by a few per cent only. As a u' = C − x, u is the integral of
(C − x)/a from 0; with 1/a = 2/√3 (1 + 2 Σ_n qⁿ cos n(ωx + π/2)), q = 2 − √3,

    u = 2/√3 (C x − x²/2 + 2 Σ_n qⁿ [(C − x) sin n(ωx + π/2) / (nω) − cos n(ωx + π/2) / (nω)²] − the same at x = 0),

and u(1) = 0 gives C. The noise is relative to the root mean square of the samples. The equation times u gives
∫ (a u'² − u) dx = 0.
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Balance, Problem


def problem(noise=0.0, observations=1000, data_seed=0, a_known=1):
    omega = 20 * math.pi
    domain = dde.geometry.Interval(0, 1)

    def pde(x, ua):
        a = ua[:, 1:2]
        u_x, a_x = (dde.grad.jacobian(ua, x, i=i, j=0) for i in (0, 1))
        return a * dde.grad.hessian(ua, x, component=0) + a_x * u_x + 1

    def work(x, ua):
        return ua[:, 1:2] * dde.grad.jacobian(ua, x, i=0, j=0) ** 2 - ua[:, 0:1]

    n = np.arange(1, 31)  # q**30 is 7e-18
    powers, angles = 2 * (2 - math.sqrt(3)) ** n, n * omega
    at_zero = powers / angles * np.sin(n * math.pi / 2)
    c = 0.5 + at_zero.sum()
    constant = c * at_zero.sum() - (powers / angles**2 * np.cos(n * math.pi / 2)).sum()

    def solution(x):
        phases = x * angles + n * math.pi / 2
        sines, cosines = np.sin(phases) @ (powers / angles)[:, None], np.cos(phases) @ (powers / angles**2)[:, None]
        u = 2 / math.sqrt(3) * (c * x - x**2 / 2 + (c - x) * sines - cosines - constant)
        return np.hstack([u, 1 + 0.5 * np.sin(omega * x)])

    points = np.random.default_rng(int(data_seed)).uniform(0, 1, (int(observations), 1))
    values = noisy(solution(points)[:, 0:1], noise, data_seed)

    def ends(x, on_boundary):
        return on_boundary

    conditions = {
        "boundary_u": dde.icbc.DirichletBC(domain, lambda x: 0, ends, component=0),
        "data u": dde.icbc.PointSetBC(points, values, component=0),
    }
    if a_known:
        conditions["boundary_a"] = dde.icbc.DirichletBC(domain, lambda x: 1, ends, component=1)

    return Problem(
        geometry=domain,
        pde=pde,
        conditions=conditions,
        solution=solution,
        outputs=("u", "a"),
        unknown_fields=("a",),
        # That of a, and of the harmonics of 1 / a: those of u fall as qⁿ / n².
        wavenumber=10 * omega,
        tolerance=max(1e-5, 5 * noise),
        balances={"energy": Balance(rate=work)},
    )
