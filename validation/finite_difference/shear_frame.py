"""Shear frames under ground acceleration: linear by exact discretisation, bilinear with hysteresis. NumPy and SciPy.

A frame of N storeys, floors of mass m_i that move by u_i relative to the ground, springs between them:

    M u'' + C u' + f(d) = -M 1 a(t),   d_1 = u_1, d_i = u_i - u_(i-1),   u(0) = u'(0) = 0.

The acceleration a is linear between its samples. SI units: kg, N/m, m, s, m/s^2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import eigh, expm

from repnet_pde.errors import InputError


@dataclass(frozen=True)
class ShearFrame:
    """Six equal storeys by default: 100 t a floor, 190 MN/m a storey, a first period of 0.6 s, 5 % damping.

    masses (N,) in kg; stiffnesses (N,) in N/m, from the ground upwards; damping: the ratio of every mode.
    hardening: the stiffness after yielding over the elastic one. yield_drift (N,) or a number in m: the drift at
    which a storey yields, infinite for a linear frame.
    """

    masses: Sequence[float] = (1e5,) * 6
    stiffnesses: Sequence[float] = (1.9e8,) * 6
    damping: float = 0.05
    hardening: float = 0.1
    yield_drift: float | Sequence[float] = np.inf

    def __post_init__(self):
        masses = np.asarray(self.masses, dtype=float)
        stiffnesses = np.asarray(self.stiffnesses, dtype=float)
        if masses.ndim != 1 or masses.shape != stiffnesses.shape or not len(masses):
            raise InputError(
                f"stiffnesses: {stiffnesses.shape} given for masses {masses.shape}; one a storey is needed"
            )
        for name, value in (("masses", masses), ("stiffnesses", stiffnesses)):
            if not (np.isfinite(value).all() and (value > 0).all()):
                raise InputError(f"{name}: must be finite and > 0, {value.tolist()} given")
        if not 0 <= self.damping < 1 or not 0 < self.hardening <= 1:
            raise InputError(
                f"damping, hardening: {self.damping!r} and {self.hardening!r} given; 0 <= damping < 1 and "
                "0 < hardening <= 1 are needed"
            )
        drift = np.asarray(self.yield_drift, dtype=float)
        if drift.ndim > 1 or (drift.ndim and drift.shape != masses.shape) or not (drift > 0).all():
            raise InputError(f"yield_drift: {self.yield_drift!r} given; a number > 0 or one a storey is needed")

    @property
    def storeys(self) -> int:
        return len(self.masses)

    @property
    def drifts(self) -> np.ndarray:
        """The matrix (N, N) from displacements to storey drifts."""
        return np.eye(self.storeys) - np.eye(self.storeys, k=-1)

    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """Angular frequencies (N,) in rad/s, ascending, and mass-normalised mode shapes (N, N) in columns."""
        stiffness = self.drifts.T * np.asarray(self.stiffnesses) @ self.drifts
        squares, shapes = eigh(stiffness, np.diag(self.masses))
        return np.sqrt(squares), shapes

    def state_space(self) -> tuple[np.ndarray, np.ndarray]:
        """A (2N, 2N) and B (2N,) of x' = A x + B a with x = (u, u'), for the elastic frame."""
        omega, shapes = self.modes()
        mass = np.asarray(self.masses)
        inverse = shapes.T * mass  # of the shapes
        n = self.storeys
        matrix = np.zeros((2 * n, 2 * n))
        matrix[:n, n:] = np.eye(n)
        matrix[n:, :n] = -(shapes * omega**2) @ inverse
        matrix[n:, n:] = -(shapes * (2 * self.damping * omega)) @ inverse
        return matrix, np.concatenate([np.zeros(n), -np.ones(n)])


def discretise(matrix: np.ndarray, vector: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E, b0, b1 with x(t + dt) = E x(t) + b0 a(t) + b1 a(t + dt), exact for a linear in between.

    By one matrix exponential of the system extended by a and its slope (C. F. Van Loan, IEEE Trans. Autom. Control 23
    (1978) 395-404).
    """
    n = len(matrix)
    extended = np.zeros((n + 2, n + 2))
    extended[:n, :n], extended[:n, n], extended[n, n + 1] = matrix, vector, 1.0
    step = expm(extended * dt)
    slope = step[:n, n + 1] / dt
    return step[:n, :n], step[:n, n] - slope, slope


def _records(acceleration, dt) -> np.ndarray:
    a = np.asarray(acceleration, dtype=float)
    if a.ndim != 2 or a.shape[1] < 2:
        raise InputError(f"acceleration: has shape {a.shape}; (records, samples) with at least 2 samples is needed")
    if not np.isfinite(a).all():
        raise InputError(f"acceleration: {int((~np.isfinite(a)).sum())} of {a.size} values are not finite")
    if not 0 < dt < np.inf:
        raise InputError(f"dt: {dt!r} given; a number of seconds > 0 is needed")
    return a


def linear_response(frame: ShearFrame, acceleration: np.ndarray, dt: float) -> np.ndarray:
    """Displacements (records, samples, N) in m of the elastic frame for (records, samples) in m/s^2; exact."""
    a = _records(acceleration, dt)
    step, before, after = discretise(*frame.state_space(), dt)
    x = np.zeros((len(a), 2 * frame.storeys))
    u = np.zeros((*a.shape, frame.storeys))
    for k in range(1, a.shape[1]):
        x = x @ step.T + a[:, k - 1, None] * before + a[:, k, None] * after
        u[:, k] = x[:, : frame.storeys]
    return u


@dataclass(frozen=True)
class Hysteresis:
    """displacement, velocity (records, samples, N) in m and m/s; elastic (records, samples, N): the elastic part of
    the drift in m, |elastic| <= yield_drift; error (N,): estimated relative L2 error of the displacement per storey."""

    displacement: np.ndarray
    velocity: np.ndarray
    elastic: np.ndarray
    error: np.ndarray


def bilinear_response(frame: ShearFrame, acceleration: np.ndarray, dt: float, substeps: int = 16) -> Hysteresis:
    """The bilinear frame with kinematic hardening: f_i = k_i (h d_i + (1 - h) z_i), z_i elastic, ideally plastic.

    The fourth-order Runge-Kutta method with ``substeps`` steps in each sampling interval, all records at once, in which
    z follows the drift by its own law, cut off at the yield drift, with the reversal of the drift inside a step located
    by its velocity. Yielding breaks the order of the method: its error is estimated by a second run with half the
    steps, as the difference of the two.
    """
    a = _records(acceleration, dt)
    if substeps < 2 or substeps % 2:
        raise InputError(f"substeps: {substeps!r} given; an even number >= 2 is needed")
    u, v, z = _march(frame, a, dt, substeps)
    coarse = _march(frame, a, dt, substeps // 2)[0]
    size = np.linalg.norm(u, axis=(0, 1))
    error = np.linalg.norm(u - coarse, axis=(0, 1)) / np.where(size > 0, size, 1.0)
    return Hysteresis(u, v, z, error)


def _forces(frame: ShearFrame):
    """(drift, elastic drift, velocity) -> acceleration of the floors without that of the ground, (..., N) each."""
    n = frame.storeys
    damping = frame.state_space()[0][n:, n:].T.copy()
    # u'' = -M^-1 D^T f: rows of springs to floors
    spread = (frame.drifts / np.asarray(frame.masses)) * np.asarray(frame.stiffnesses)[:, None]
    soft = frame.hardening

    def floors(d, z, v):
        return v @ damping - (soft * d + (1 - soft) * z) @ spread

    return floors


def _march(frame, a, dt, substeps):
    n, limit, h = frame.storeys, np.broadcast_to(frame.yield_drift, frame.storeys), dt / substeps
    floors, drift = _forces(frame), frame.drifts.T.copy()
    u = np.zeros((len(a), n))
    v, z = u.copy(), u.copy()
    out = np.zeros((3, *a.shape, n))
    for k in range(1, a.shape[1]):
        start, slope = a[:, k - 1, None], (a[:, k, None] - a[:, k - 1, None]) / substeps
        for j in range(substeps):
            d, a0 = u @ drift, start + j * slope
            am, a1 = a0 + slope / 2, a0 + slope

            def rate(u, v, ground, d=d, z=z):
                now = u @ drift
                return floors(now, np.clip(z + now - d, -limit, limit), v) - ground

            f1 = floors(d, z, v) - a0
            v2 = v + h / 2 * f1
            f2 = rate(u + h / 2 * v, v2, am)
            v3 = v + h / 2 * f2
            f3 = rate(u + h / 2 * v2, v3, am)
            v4 = v + h * f3
            f4 = rate(u + h * v3, v4, a1)
            before = v @ drift
            u = u + h / 6 * (v + 2 * v2 + 2 * v3 + v4)
            v = v + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4)
            after, total = v @ drift, u @ drift - d
            change = before - after
            turned = before * after < 0
            part = np.where(turned, 0.5 * h * before**2 / np.where(turned, change, 1.0), 0.0)
            z = np.clip(np.clip(z + part, -limit, limit) + total - part, -limit, limit)
        out[:, :, k] = u, v, z
    return out


def bilinear_solve_ivp(frame: ShearFrame, acceleration: np.ndarray, dt: float, tolerance: float = 1e-10) -> np.ndarray:
    """Displacements (samples, N) of one record (samples,) by ``solve_ivp``, which stops at every change of state.

    The method of order 8 of Dormand and Prince on each sampling interval, restarted where a storey yields or unloads,
    so that every piece is smooth: an independent check of `bilinear_response`, with a relative tolerance, and an
    absolute one of a hundredth of it in m and m/s.
    """
    a = _records(np.asarray(acceleration, dtype=float)[None], dt)[0]
    n, limit = frame.storeys, np.broadcast_to(frame.yield_drift, frame.storeys)
    floors, drift = _forces(frame), frame.drifts.T.copy()
    x, plastic = np.zeros(3 * n), np.zeros(n)  # plastic: the sign of the yield force, 0 for elastic
    out = np.zeros((len(a), n))
    for k in range(1, len(a)):
        t, slope = 0.0, (a[k] - a[k - 1]) / dt
        while t < dt:

            def rate(s, x, plastic=plastic, k=k, slope=slope):
                v = x[n : 2 * n]
                f = floors(x[:n] @ drift, x[2 * n :], v) - (a[k - 1] + slope * s)
                return np.concatenate([v, f, np.where(plastic == 0, v @ drift, 0.0)])

            def excess(x, plastic=plastic):
                v = x[n : 2 * n] @ drift
                # a hair above the limit, else a storey that has just unloaded would stop the run at once
                return np.where(plastic == 0, np.abs(x[2 * n :]) - limit * (1 + 1e-12), -plastic * v)

            def change(s, x, excess=excess):
                return excess(x).max()

            change.terminal, change.direction = True, 1
            run = solve_ivp(
                rate, (t, dt), x, "DOP853", events=change, rtol=tolerance, atol=1e-2 * tolerance, first_step=dt - t
            )
            x, t = run.y[:, -1].copy(), run.t[-1]
            if run.status == 1:
                beyond, v, z = excess(x), x[n : 2 * n] @ drift, x[2 * n :]
                hit = (beyond >= -1e-13) | (beyond == beyond.max())  # the root is located to rounding
                yields = hit & (plastic == 0) & (v * z > 0)
                plastic = np.where(hit & (plastic != 0), 0.0, np.where(yields, np.sign(z), plastic))
                x[2 * n :] = np.clip(z, -limit, limit)
        out[k] = x[:n]
    return out
