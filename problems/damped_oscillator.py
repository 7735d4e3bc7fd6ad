"""The damped oscillator with unknown damping and frequency.

    u'' + 2δ u' + ω0² u = 0 on [0, 1],   u(0) = 1,   u'(0) = 0,

δ and ω0 to be found from samples of u at random times, with the solution, for δ < ω0,

    u = e^{−δt} (cos ωt + δ/ω sin ωt),   ω = √(ω0² − δ²).

The energy ½ (u'² + ω0² u²) changes at the rate −2δ u'².
The noise is relative to the root mean square of the samples. δ = 2 and ω0 = 80 are the hardest values of B. Moseley's
workshop on such networks (github.com/benmoseley/harmonic-oscillator-pinn-workshop).
"""

import math

import deepxde as dde
import numpy as np
from repnet_pde.validation.finite_difference.inverse import noisy

from repnet_pde import Balance, Problem


def problem(delta=2.0, omega0=80.0, noise=0.0, observations=60, data_seed=0, start_delta=0.5, start_omega0=60.0):
    found_delta, found_omega0 = dde.Variable(float(start_delta)), dde.Variable(float(start_omega0))
    domain = dde.geometry.TimeDomain(0, 1)

    def pde(t, u):
        u_t = dde.grad.jacobian(u, t)
        u_tt = dde.grad.hessian(u, t)
        return u_tt + 2 * found_delta * u_t + found_omega0**2 * u

    energy = Balance(
        lambda t, u: (dde.grad.jacobian(u, t) ** 2 + found_omega0**2 * u**2) / 2,
        rate=lambda t, u: -2 * found_delta * dde.grad.jacobian(u, t) ** 2,
    )

    omega = math.sqrt(omega0**2 - delta**2)

    def solution(t):
        return np.exp(-delta * t) * (np.cos(omega * t) + delta / omega * np.sin(omega * t))

    times = np.random.default_rng(int(data_seed)).uniform(0, 1, (int(observations), 1))
    values = noisy(solution(times), noise, data_seed)

    def start(t, on_boundary):
        return on_boundary and dde.utils.isclose(t[0], 0)

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "initial": dde.icbc.IC(domain, lambda t: 1, lambda t, on_initial: on_initial),
            "initial_velocity": dde.icbc.OperatorBC(domain, lambda t, u, _: dde.grad.jacobian(u, t), start),
            "data u": dde.icbc.PointSetBC(times, values),
        },
        solution=solution,
        unknowns={"delta": found_delta, "omega0": found_omega0},
        true_unknowns={"delta": delta, "omega0": omega0},
        wavenumber=1.25 * max(omega0, start_omega0),
        # Five standard errors of delta are 0.9e-2 at noise 0.01.
        tolerance=max(1e-12, noise),
        balances={"energy": energy},
    )
