"""The references of the shear frames: closed forms, an independent integrator, and the balance of energy."""

import subprocess
import sys

import numpy as np
import pytest
from repnet_pde.validation.finite_difference.shear_frame import (
    ShearFrame,
    bilinear_response,
    bilinear_solve_ivp,
    discretise,
    linear_response,
)
from scipy.integrate import solve_ivp

from repnet_pde import InputError
from repnet_pde.operators import synthetic_motions

DT = 0.02
MOTIONS = synthetic_motions(2, 4, 8.0)
BILINEAR = ShearFrame(yield_drift=0.004)


def test_modes_of_a_uniform_frame():
    """ω_n = 2 sqrt(k/m) sin((2n − 1) π / (2 (2N + 1))) in closed form, and 5 % damping of every mode."""
    frame = ShearFrame()
    n = np.arange(1, 7)
    exact = 2 * np.sqrt(1.9e8 / 1e5) * np.sin((2 * n - 1) * np.pi / 26)
    omega, shapes = frame.modes()
    np.testing.assert_allclose(omega, exact, rtol=1e-12)
    np.testing.assert_allclose(shapes.T * 1e5 @ shapes, np.eye(6), atol=1e-12)
    values = np.linalg.eigvals(frame.state_space()[0])
    np.testing.assert_allclose(np.sort(np.abs(values)), np.sort(np.repeat(exact, 2)), rtol=1e-10)
    np.testing.assert_allclose(-values.real / np.abs(values), 0.05, rtol=1e-9)
    assert 2 * np.pi / omega[0] == pytest.approx(0.598, abs=1e-3)


def test_one_storey_under_a_step_is_the_closed_form():
    frame = ShearFrame((2.0,), (200.0,), 0.05)
    omega, zeta, t = 10.0, 0.05, 0.03 * np.arange(200)
    damped = omega * np.sqrt(1 - zeta**2)
    decay = np.exp(-zeta * omega * t)
    exact = -(1 - decay * (np.cos(damped * t) + zeta * omega / damped * np.sin(damped * t))) / omega**2
    found = linear_response(frame, np.ones((1, 200)), 0.03)[0, :, 0]
    np.testing.assert_allclose(found, exact, atol=1e-14)


def test_one_undamped_storey_under_a_ramp_is_the_closed_form():
    frame = ShearFrame((1.0,), (25.0,), 0.0)
    t = 0.1 * np.arange(80)
    found = linear_response(frame, t[None], 0.1)[0, :, 0]
    np.testing.assert_allclose(found, -(t - np.sin(5 * t) / 5) / 25, atol=1e-12)


def test_discretisation_against_solve_ivp():
    matrix, vector = ShearFrame().state_space()
    a = MOTIONS[0, :60]
    x = np.zeros(12)
    exact = [x[:6]]
    for k in range(1, 60):  # piece by piece, since the acceleration has kinks
        slope = (a[k] - a[k - 1]) / DT

        def rate(s, x, k=k, slope=slope):
            return matrix @ x + vector * (a[k - 1] + slope * s)

        x = solve_ivp(rate, (0, DT), x, "DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
        exact.append(x[:6])
    found = linear_response(ShearFrame(), a[None], DT)[0]
    np.testing.assert_allclose(found, exact, atol=1e-10 * np.abs(found).max())


def test_discretisation_composes():
    """Two half steps with a linear excitation are one step."""
    matrix, vector = ShearFrame().state_space()
    step, before, after = discretise(matrix, vector, DT)
    half, b0, b1 = discretise(matrix, vector, DT / 2)
    np.testing.assert_allclose(half @ half, step, atol=1e-12)
    np.testing.assert_allclose(half @ (b0 + b1 / 2) + b0 / 2, before, atol=1e-14)
    np.testing.assert_allclose(half @ b1 / 2 + b0 / 2 + b1, after, atol=1e-14)


def test_a_frame_that_never_yields_is_linear():
    found = bilinear_response(ShearFrame(), MOTIONS, DT)
    exact = linear_response(ShearFrame(), MOTIONS, DT)
    assert np.linalg.norm(found.displacement - exact) < 1e-6 * np.linalg.norm(exact)
    drift = np.diff(found.displacement, axis=2, prepend=0)
    np.testing.assert_allclose(found.elastic, drift, atol=1e-12)
    stiff = bilinear_response(ShearFrame(yield_drift=1e-3, hardening=1.0), MOTIONS, DT)  # "yields" to the same slope
    np.testing.assert_allclose(stiff.displacement, found.displacement, atol=1e-12)


def test_bilinear_frame_against_solve_ivp_and_its_own_estimate():
    found = bilinear_response(BILINEAR, MOTIONS[:1, :250], DT)
    exact = bilinear_solve_ivp(BILINEAR, MOTIONS[0, :250], DT)
    error = np.linalg.norm(found.displacement[0] - exact, axis=0) / np.linalg.norm(exact, axis=0)
    assert (found.error < 1e-4).all() and (error < 3 * found.error).all()
    linear = linear_response(BILINEAR, MOTIONS[:1, :250], DT)[0]
    assert np.linalg.norm(exact - linear) > 0.1 * np.linalg.norm(linear)


def test_error_falls_with_the_steps():
    exact = bilinear_response(BILINEAR, MOTIONS[:, :200], DT, 64).displacement
    errors = [
        np.linalg.norm(bilinear_response(BILINEAR, MOTIONS[:, :200], DT, n).displacement - exact) for n in (4, 16)
    ]
    assert errors[1] < errors[0] / 4


def test_energy_balance_of_hysteresis():
    """The work of the ground is kinetic, elastic, damped and hysteretic energy; the last never comes back."""
    fine = 10
    t = DT / fine * np.arange((MOTIONS.shape[1] - 1) * fine + 1)
    a = np.interp(t, DT * np.arange(MOTIONS.shape[1]), MOTIONS[0])
    frame, h = BILINEAR, t[1]
    found = bilinear_response(frame, a[None], h, 2)
    u, v, z = found.displacement[0], found.velocity[0], found.elastic[0]
    mass, stiffness, soft = np.asarray(frame.masses), np.asarray(frame.stiffnesses), frame.hardening

    def integral(power):
        return np.append(0, np.cumsum((power[1:] + power[:-1]) / 2 * h))

    drift, rate = (np.diff(w, axis=1, prepend=0) for w in (u, v))
    damping = -mass * (v @ frame.state_space()[0][6:, 6:].T)
    assert np.abs(z).max() <= 0.004 * (1 + 1e-12)
    ground = integral(-(v * mass).sum(1) * a)
    kinetic = 0.5 * (mass * v**2).sum(1)
    damped = integral((damping * v).sum(1))
    stored = 0.5 * (stiffness * (soft * drift**2 + (1 - soft) * z**2)).sum(1)
    hysteretic = integral((stiffness * (1 - soft) * z * rate).sum(1)) - 0.5 * (stiffness * (1 - soft) * z**2).sum(1)
    balance = ground - kinetic - damped - stored - hysteretic
    assert np.abs(balance).max() < 1e-3 * ground.max()
    assert hysteretic[-1] > 0.1 * ground[-1]
    assert np.diff(hysteretic).min() > -1e-4 * hysteretic[-1]


@pytest.mark.parametrize(
    "attempt, message",
    [
        (lambda: ShearFrame((1.0, 1.0), (1.0,)), "stiffnesses: "),
        (lambda: ShearFrame((-1.0,), (1.0,)), "masses: must be finite"),
        (lambda: ShearFrame(damping=1.5), "damping, hardening"),
        (lambda: ShearFrame(yield_drift=0.0), "yield_drift: 0.0"),
        (lambda: linear_response(ShearFrame(), np.zeros(5), DT), r"acceleration: has shape \(5,\)"),
        (lambda: linear_response(ShearFrame(), np.full((1, 5), np.nan), DT), "acceleration: 5 of 5 values"),
        (lambda: linear_response(ShearFrame(), np.zeros((1, 5)), 0.0), "dt: 0.0"),
        (lambda: bilinear_response(ShearFrame(), np.zeros((1, 5)), DT, 3), "substeps: 3"),
    ],
)
def test_bad_arguments(attempt, message):
    with pytest.raises(InputError, match=message):
        attempt()


def test_reference_does_not_import_torch():
    code = (
        "import sys; from repnet_pde.validation.finite_difference import shear_frame; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0
