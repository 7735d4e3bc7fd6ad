"""Finite-difference references: orders on manufactured solutions, error estimates against exact solutions, cache."""

import math
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from repnet_pde.validation.finite_difference import (
    REFERENCES,
    burgers_cole_hopf,
    cache,
    collocation,
    navier_stokes_2d,
    reference,
    refine,
    rounding,
    solve_advection_1d,
    solve_allen_cahn_1d,
    solve_burgers_1d,
    solve_divergence_2d,
    solve_heat_1d,
    solve_heat_2d,
    solve_helmholtz_2d,
    solve_klein_gordon_1d,
    solve_korteweg_de_vries_1d,
    solve_layered_helmholtz_2d,
    solve_navier_stokes_2d,
    solve_perforated_2d,
    solve_periodic_2d,
    solve_poisson_1d,
    solve_two_point_1d,
    solve_wave_1d,
    stencils,
)
from scipy.integrate import solve_ivp, trapezoid
from scipy.linalg import expm
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.sparse.linalg import splu

from repnet_pde.errors import InputError

PI, EPS = np.pi, np.finfo(float).eps
DEFAULTS = {
    "poisson_two_scale_1d": {"low": 2.0, "high": 50.0, "amplitude": 0.1},
    "poisson_chirp_1d": {"low": 3.0, "high": 10.5},
    "poisson_four_scale_1d": {"packet": 80.0, "width": 0.04, "amplitude": 0.5},
    "convection_diffusion_1d": {"epsilon": 1e-3},
    "elliptic_multiscale_1d": {"epsilon": 1 / 40},
    "heat_high_frequency_1d": {"m": 50.0},
    "wave_two_mode_1d": {"speed": 2.0},
    "advection_1d": {"speed": 30.0},
    "helmholtz_2d": {"kappa": 4 * PI},
    "helmholtz_modes_2d": {"a1": 1.0, "a2": 4.0, "k": 1.0},
    "kovasznay_2d": {"reynolds": 20.0},
    "burgers_1d": {"nu": 0.01 / PI},
    "allen_cahn_1d": {"d": 1e-3},
    "klein_gordon_1d": {"omega": 5 * PI},
    "bratu_1d": {"strength": 2.0},
    "helmholtz_heterogeneous_2d": {"kappa": 20 * PI, "variation": 0.5},
    "poisson_rings_2d": {"m": 8.0},
    "poisson_nonlinear_2d": {"m": 3.0},
    "heat_multiscale_2d": {"m": 20.0},
    "poisson_multiscale_4d": {"k": 6 * PI},
}


def kovasznay(x, y, reynolds):
    """u, v, p in the last axis."""
    rate = reynolds / 2 - np.sqrt(reynolds**2 / 4 + 4 * PI**2)
    decay = np.exp(rate * x)
    u, v = 1 - decay * np.cos(2 * PI * y), rate / (2 * PI) * decay * np.sin(2 * PI * y)
    return np.stack([u, v, (1 - decay**2) / 2], axis=-1)


def layer(x, epsilon):
    return x - (np.exp((x - 1) / epsilon) - np.exp(-1 / epsilon)) / (1 - np.exp(-1 / epsilon))


def homogenised(x, epsilon):
    """The integral of (C - t) / a(t / epsilon) over 0 <= t <= x by Gauss's rule on panels, at the points x."""
    panels = 2 * math.ceil(1 / epsilon)
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def integral(power, x):
        t = x[:, None, None] / panels * (np.arange(panels)[:, None] + (nodes + 1) / 2)
        return x / panels * (t**power / (2 + np.cos(2 * PI * t / epsilon)) @ (weights / 2)).sum(-1)

    slope = np.divide(*(integral(power, np.ones(1)) for power in (1, 0)))
    return np.concatenate([slope * integral(0, part) - integral(1, part) for part in np.array_split(x, 40)])


def bratu(x, strength):
    theta = brentq(lambda t: t - np.sqrt(strength / 2) * np.cosh(t / 2), 0, 2.3993572805, xtol=1e-15)
    return -2 * np.log(np.cosh(theta * (x - 0.5)) / np.cosh(theta / 2))


EXACT = {  # one value a point, or the components in the last axis
    "poisson_two_scale_1d": lambda x, low, high, amplitude: np.sin(low * PI * x) + amplitude * np.sin(high * PI * x),
    "poisson_chirp_1d": lambda x, low, high: np.sin(2 * PI * (low * x + high * x**2)),
    "poisson_four_scale_1d": lambda x, packet, width, amplitude: (
        sum(6 / m * np.sin(m * PI * x) for m in (6, 12, 24, 36))
        + amplitude * np.exp(-((x - 0.5) ** 2) / (2 * width**2)) * np.cos(packet * PI * (x - 0.5))
    ),
    "convection_diffusion_1d": layer,
    "elliptic_multiscale_1d": homogenised,
    "heat_high_frequency_1d": lambda x, t, m: np.exp(-t) * np.sin(m * PI * x),
    "wave_two_mode_1d": lambda x, t, speed: (
        np.sin(PI * x) * np.cos(speed * PI * t) + np.sin(4 * PI * x) * np.cos(4 * speed * PI * t) / 2
    ),
    "advection_1d": lambda x, t, speed: np.sin(x - speed * t),
    "helmholtz_2d": lambda x, y, kappa: np.sin(kappa * x) * np.sin(kappa * y),
    "helmholtz_modes_2d": lambda x, y, a1, a2, k: np.sin(a1 * PI * x) * np.sin(a2 * PI * y),
    "kovasznay_2d": kovasznay,
    "klein_gordon_1d": lambda x, t, omega: x * np.cos(omega * t) + (x * t) ** 3,
    "burgers_1d": lambda x, t, nu: burgers_cole_hopf(x, t, nu),
    "bratu_1d": bratu,
    "helmholtz_heterogeneous_2d": lambda x, y, kappa, variation: (
        np.sin(kappa * (x - variation * np.cos(2 * PI * x) / (2 * PI))) * np.sin(kappa * y)
    ),
    "poisson_rings_2d": lambda x, y, m: np.sin(m * PI * (x**2 + y**2)),
    "poisson_nonlinear_2d": lambda x, y, m: np.sin(m * PI * x) * np.cos(m * PI * y),
    "heat_multiscale_2d": lambda x, y, t, m: np.exp(-((m / 500) ** 2 + 1) * t) * np.sin(m * PI * x) * np.sin(PI * y),
    "poisson_multiscale_4d": lambda x, y, z, w, k: (
        np.sin(PI * (x + y + z + w)) + np.sin(k * x) * np.sin(k * y) * np.sin(k * z) * np.sin(k * w) / 10
    ),
}
CASES = [case for case in DEFAULTS.items() if case[0] in EXACT] + [
    ("poisson_two_scale_1d", {"low": 1.0, "high": 333.3, "amplitude": 0.05}),
    ("poisson_two_scale_1d", {"low": 2.0, "high": 3.0, "amplitude": 0.0}),
    ("poisson_chirp_1d", {"low": 1.0, "high": 100.0}),
    ("poisson_four_scale_1d", {"packet": 0.0, "width": 0.3, "amplitude": -2.0}),
    ("convection_diffusion_1d", {"epsilon": 0.3}),
    ("convection_diffusion_1d", {"epsilon": 1e-4}),
    ("convection_diffusion_1d", {"epsilon": 3e-5}),
    ("elliptic_multiscale_1d", {"epsilon": 0.07}),
    ("heat_high_frequency_1d", {"m": 1.0}),
    ("heat_high_frequency_1d", {"m": 10.3}),
    ("heat_high_frequency_1d", {"m": 500.0}),
    ("wave_two_mode_1d", {"speed": 0.3}),
    ("wave_two_mode_1d", {"speed": 5.3}),
    ("advection_1d", {"speed": -0.7}),
    ("advection_1d", {"speed": 111.1}),
    ("helmholtz_2d", {"kappa": 24 * PI}),
    ("helmholtz_2d", {"kappa": 5.0005 * PI}),
    ("helmholtz_2d", {"kappa": 1.0}),
    ("helmholtz_modes_2d", {"a1": 2.3, "a2": -0.4, "k": 3.7}),
    ("helmholtz_modes_2d", {"a1": 1.0, "a2": 10.0, "k": 0.0}),
    ("kovasznay_2d", {"reynolds": 40.0}),
    ("klein_gordon_1d", {"omega": 0.0}),
    ("klein_gordon_1d", {"omega": 71.3}),
    ("bratu_1d", {"strength": 3.5}),
    ("helmholtz_heterogeneous_2d", {"kappa": 9.1, "variation": -0.3}),
    ("poisson_rings_2d", {"m": 20.0}),
    ("poisson_nonlinear_2d", {"m": 1.0}),
    ("poisson_nonlinear_2d", {"m": 2.0}),
    ("heat_multiscale_2d", {"m": 1.0}),
    ("poisson_multiscale_4d", {"k": 2.3}),
    ("burgers_1d", {"nu": 0.001 / PI}),
    ("burgers_1d", {"nu": 0.1}),
    ("burgers_1d", {"nu": 1.0}),
]


def identify(case):
    return case if isinstance(case, str) else ",".join(f"{k}={v:g}" for k, v in case.items())


@pytest.fixture(scope="module")
def solved():
    """Each reference computed once, or read from the cache of this session of tests."""
    memory = {}

    def get(name, parameters):
        key = name, *parameters.values()
        if key not in memory:
            memory[key] = reference(name, **parameters)
        return memory[key]

    return get


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    return tmp_path


def fitted_order(sizes, error_of):
    return -np.polyfit(np.log(sizes), np.log([error_of(n) for n in sizes]), 1)[0]


def maximum_error(grid, exact):
    axes, values = grid
    return np.abs(values[..., 0] - exact(*np.meshgrid(*axes, indexing="ij"))).max()


# --- building blocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("derivative", [1, 2])
def test_stencils_are_exact_on_polynomials(derivative):
    n = 12
    x = np.linspace(0, 1, n + 1)
    matrix = stencils.difference_matrix(n, 1 / n, derivative)
    for degree in range(stencils.ORDER):
        exact = np.polynomial.Polynomial.basis(degree).deriv(derivative)(x[1:-1])
        assert np.allclose(matrix @ x**degree, exact, atol=1e-10)
    inside = np.polynomial.Polynomial.basis(stencils.ORDER).deriv(derivative)(x[3:-3])
    assert np.allclose((matrix @ x**stencils.ORDER)[2:-2], inside, atol=1e-10)


@pytest.mark.parametrize("n", [stencils.SMALLEST, 21, 60, 150])
def test_second_difference_has_real_negative_eigenvalues(n):
    eigenvalues = np.linalg.eigvals(stencils.difference_matrix(n, 1 / n, 2)[:, 1:n].toarray())
    assert np.abs(eigenvalues.imag).max() <= 1e-10 * n**2
    assert eigenvalues.real.max() == pytest.approx(-(PI**2), rel=10 / n**4)


@pytest.mark.parametrize(("method", "order"), [("radau", 5), ("gauss", 6)])
def test_collocation_order_against_the_matrix_exponential(method, order):
    matrix = np.array([[-1.0, 4.0, 0.0], [-4.0, -1.0, 1.0], [0.0, 0.5, -3.0]])
    start = np.array([1.0, -2.0, 0.5])

    def error(steps):
        y = collocation.integrate(
            csr_array(matrix), lambda t: np.zeros(3), start, np.array([0.0, 0.5, 1.0]), steps, method=method
        )
        return np.abs(y - [start, expm(matrix / 2) @ start, expm(matrix) @ start]).max()

    assert fitted_order([8, 16, 32], error) >= order - 0.2


# --- general solvers on manufactured solutions -------------------------------------------------------------


def test_poisson_order():
    def source(x):  # of u = exp(x) sin(5 x)
        return np.exp(x) * (10 * np.cos(5 * x) - 24 * np.sin(5 * x))

    def u(x):
        return np.exp(x) * np.sin(5 * x)

    def error(n):
        return maximum_error(solve_poisson_1d(source, u(-0.5), u(1.5), interval=(-0.5, 1.5), n=n), u)

    assert fitted_order([10, 20, 40, 80], error) >= 5.8


def test_two_point_order_on_a_graded_grid():
    def u(x):
        return np.exp(x) * np.sin(5 * x)

    def source(x):  # with a = 2 + sin x, b = x, c = -3
        slope = np.exp(x) * (np.sin(5 * x) + 5 * np.cos(5 * x))
        second = np.exp(x) * (10 * np.cos(5 * x) - 24 * np.sin(5 * x))
        return (2 + np.sin(x)) * second + (np.cos(x) + x) * slope - 3 * u(x)

    def error(n):
        grid = 2 * np.linspace(0, 1, n + 1) ** 2 - 0.5
        solution = solve_two_point_1d(
            lambda x: 2 + np.sin(x), lambda x: x, lambda x: -3 + 0 * x, source, u(-0.5), u(1.5), grid=grid
        )
        return maximum_error(solution, u)

    assert fitted_order([20, 40, 80, 160], error) >= 5.8
    with pytest.raises(InputError, match="grid needs three or more increasing nodes"):
        solve_two_point_1d(np.ones_like, np.ones_like, np.ones_like, u, 0.0, 0.0, grid=np.array([0.0, 0.5, 0.5]))


def travelling(x, t):  # u = sin(3 x - 4 t) + exp(-t) x, with data that vary on both ends
    return np.sin(3 * x - 4 * t) + np.exp(-t) * x


def heat_error(n, steps, times=5, d=0.3):
    def source(x, t):
        return -4 * np.cos(3 * x - 4 * t) - np.exp(-t) * x + 9 * d * np.sin(3 * x - 4 * t)

    solution = solve_heat_1d(
        lambda x: travelling(x, 0.0),
        lambda t: travelling(-1.0, t),
        lambda t: travelling(2.0, t),
        diffusivity=d,
        interval=(-1.0, 2.0),
        final_time=1.0,
        n=n,
        times=times,
        steps=steps,
        source=source,
    )
    return maximum_error(solution, travelling)


def wave_error(n, steps, times=5, c=1.7):
    def source(x, t):
        return (9 * c**2 - 16) * np.sin(3 * x - 4 * t) + np.exp(-t) * x

    solution = solve_wave_1d(
        lambda x: travelling(x, 0.0),
        lambda x: -4 * np.cos(3 * x) - x,
        lambda t: travelling(-1.0, t),
        lambda t: travelling(2.0, t),
        speed=c,
        interval=(-1.0, 2.0),
        final_time=1.0,
        n=n,
        times=times,
        steps=steps,
        source=source,
    )
    return maximum_error(solution, travelling)


@pytest.mark.parametrize("error", [heat_error, wave_error])
def test_orders_in_space_and_time(error):
    assert fitted_order([24, 48, 96], lambda n: error(n, 64)) >= 5.8
    assert fitted_order([1, 2, 4], lambda steps: error(256, steps)) >= 3.8


def test_advection_orders_in_space_and_time():
    """u = exp(sin(x - 3 t)) cos t on one period, which varies faster than its speed alone would have it."""
    c = 1.7

    def u(x, t):
        return np.exp(np.sin(x - 3 * t)) * np.cos(t)

    def source(x, t):
        return np.exp(np.sin(x - 3 * t)) * ((c - 3) * np.cos(x - 3 * t) * np.cos(t) - np.sin(t))

    def error(n, steps):
        equation = {"speed": c, "interval": (-PI, PI), "final_time": 1.0, "source": source}
        return maximum_error(solve_advection_1d(lambda x: u(x, 0.0), n=n, times=5, steps=steps, **equation), u)

    assert fitted_order([32, 64, 128], lambda n: error(n, 32)) >= 5.8
    assert fitted_order([1, 2, 4], lambda steps: error(512, steps)) >= 5.8


def test_helmholtz_order():
    kappa = 7.3

    def u(x, y):
        return np.exp(x - 2 * y) + np.cos(3 * x + 2 * y)

    def source(x, y):
        return -(5 + kappa**2) * np.exp(x - 2 * y) + (13 - kappa**2) * np.cos(3 * x + 2 * y)

    assert fitted_order([8, 16, 32], lambda n: maximum_error(solve_helmholtz_2d(source, u, kappa=kappa, n=n), u)) >= 5.8


def navier_stokes_error(n, m, flow, nu=0.05):
    """Largest error of each of u, v, p on [-1/2, 1] x [-1/2, 3/2]; flow(x, y) has them in its last axis."""
    functions = [lambda x, y, i=i: flow(x, y)[..., i] for i in range(3)]
    axes, values = solve_navier_stokes_2d(*functions, nu=nu, x_range=(-0.5, 1.0), y_range=(-0.5, 1.5), n=n, m=m)
    assert values.shape == (n + 1, m + 1, 3)
    return np.abs(values - flow(*np.meshgrid(*axes, indexing="ij"))).max(axis=(0, 1))


@pytest.mark.parametrize(
    "flow",
    [
        lambda x, y: np.stack([1 - y**2, 0 * x, 0.1 * (1 - x)], axis=-1),  # Poiseuille's, p_x = -2 nu
        lambda x, y: np.stack([0 * x, x * (3 - x), 7 - 0.1 * y], axis=-1),  # the same upwards, another level of p
        lambda x, y: np.stack([-2 * y, 2 * x, 2 * (x**2 + y**2)], axis=-1),  # a rotation, held by grad p
        lambda x, y: np.stack([x, -y, -(x**2 + y**2) / 2], axis=-1),  # towards a point of stagnation
    ],
    ids=["poiseuille", "upwards", "rotation", "stagnation"],
)
def test_polynomial_flows_are_exact(flow):
    assert navier_stokes_error(9, 16, flow).max() < 1e-11


def test_navier_stokes_order():
    errors = np.array([navier_stokes_error(n, 4 * n // 3, lambda x, y: kovasznay(x, y, 20.0)) for n in (12, 18, 24)])
    orders = -np.polyfit(np.log([12, 18, 24]), np.log(errors), 1)[0]
    assert (orders >= 6).all()


def test_newton_without_a_root_gives_nan(monkeypatch):
    monkeypatch.setattr(navier_stokes_2d, "STEPS", 2)
    errors = navier_stokes_error(12, 16, lambda x, y: kovasznay(x, y, 20.0))
    assert np.isnan(errors).all()
    r = REFERENCES["kovasznay_2d"](reynolds=20.0)
    assert not r.converged and r.error_estimate == np.inf and [level[2] for level in r.levels] == 3 * [np.inf]


def test_a_finer_grid_starts_from_the_coarser(monkeypatch):
    sizes = []

    def counted(matrix):
        sizes.append(matrix.shape[0])
        return splu(matrix)

    monkeypatch.setattr(navier_stokes_2d, "splu", counted)
    navier_stokes_error(24, 24, lambda x, y: kovasznay(x, y, 20.0))
    fine, coarse = (3 * n * n - 2 * n + 1 for n in (24, 12))
    assert set(sizes) == {fine, coarse}
    assert sizes.count(fine) <= 2 < sizes.count(coarse)


def burgers_error(n, finest):
    nu = 0.1

    def source(x, t):
        s, c = np.sin(2 * x - 3 * t), np.cos(2 * x - 3 * t)
        return 3 * s - 2 * c * s + 4 * nu * c

    return lines_error(solve_burgers_1d, n, finest, nu=nu, source=source)


def allen_cahn_error(n, finest):
    d = 0.1

    def source(x, t):
        s, c = np.sin(2 * x - 3 * t), np.cos(2 * x - 3 * t)
        return 3 * s + 4 * d * c - 5 * (c - c**3)

    return lines_error(solve_allen_cahn_1d, n, finest, d=d, source=source)


def test_klein_gordon_order():
    def source(x, t):
        return -7 * np.sin(3 * x - 4 * t) + np.exp(-t) * x + travelling(x, t) ** 3

    def error(n):
        solution = solve_klein_gordon_1d(
            lambda x: travelling(x, 0.0),
            lambda x: -4 * np.cos(3 * x) - x,
            lambda t: travelling(-1.0, t),
            lambda t: travelling(2.0, t),
            interval=(-1.0, 2.0),
            final_time=1.0,
            n=n,
            times=5,
            source=source,
        )
        return maximum_error(solution, travelling)

    assert fitted_order([24, 48, 96], error) >= 5.8


def lines_error(solve, n, finest, **equation):
    def u(x, t):
        return np.cos(2 * x - 3 * t)

    solution = solve(
        lambda x: u(x, 0.0),
        lambda t: u(-1.0, t),
        lambda t: u(2.0, t),
        interval=(-1.0, 2.0),
        final_time=1.0,
        n=n,
        times=11,
        finest=finest,
        rtol=1e-13,
        **equation,
    )
    return maximum_error(solution, u)


@pytest.mark.parametrize(
    ("error", "finest", "sizes", "least"),
    [
        (burgers_error, 1.0, [32, 64, 128], 5.8),
        (burgers_error, 0.5, [128, 192, 256, 384], 5.8),
        (allen_cahn_error, 1.0, [32, 64, 128], 5.6),
        (allen_cahn_error, 0.5, [48, 64, 96, 128], 5.6),
    ],
)
def test_orders_of_the_method_of_lines(error, finest, sizes, least):
    assert fitted_order(sizes, lambda n: error(n, finest)) >= least


# --- references -------------------------------------------------------------------------------------------


def errors(r, parameters):
    """True maximum and relative L2 error (trapezoidal) at the nodes; of long time axes every fifth time."""
    axes, values = r.axes, r.values
    if r.name == "burgers_1d":
        axes, values = (axes[0], axes[1][::5]), values[:, ::5]
    grids = np.meshgrid(*axes, indexing="ij")
    exact = EXACT[r.name](*[g.ravel() for g in grids], **parameters).reshape(values.shape)
    weight = np.ones(1)
    for axis in axes:
        cell = np.diff(axis) / 2
        weight = np.multiply.outer(weight, np.append(cell, 0) + np.append(0, cell))
    weight = weight[0][..., None]
    difference = values - exact
    l2 = np.sqrt((weight * difference**2).sum() / (weight * exact**2).sum())
    return np.abs(difference).max(), l2


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=identify)
def test_estimates_bound_the_true_errors(solved, name, parameters):
    r = solved(name, parameters)
    true_maximum, true_l2 = errors(r, parameters)
    assert r.converged
    assert true_maximum <= r.error_estimate <= max(100 * true_maximum, 1e-10, 3 * r.rounding)
    assert true_l2 <= r.relative_l2_estimate <= max(100 * true_l2, 1e-10, 3 * r.rounding / np.abs(r.values).max())
    assert r.rounding <= max(1e-3 * r.error_estimate, 1e-8)


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("poisson_two_scale_1d", 1e-10),
        ("poisson_chirp_1d", 1e-10),
        ("poisson_four_scale_1d", 1e-10),
        ("convection_diffusion_1d", 1e-10),
        ("elliptic_multiscale_1d", 1e-10),
        ("heat_high_frequency_1d", 1e-8),
        ("wave_two_mode_1d", 1e-8),
        ("advection_1d", 1e-8),
        ("helmholtz_2d", 1e-9),
        ("helmholtz_modes_2d", 1e-8),
        ("kovasznay_2d", 1e-5),
        ("klein_gordon_1d", 1e-8),
        ("burgers_1d", 1e-6),
        ("bratu_1d", 1e-10),
        ("helmholtz_heterogeneous_2d", 1e-5),
        ("poisson_rings_2d", 1e-8),
        ("poisson_nonlinear_2d", 1e-5),
        ("heat_multiscale_2d", 1e-6),
        ("poisson_multiscale_4d", 1e-2),
    ],
)
def test_accuracy_at_catalogue_parameters(solved, name, goal):
    r = solved(name, DEFAULTS[name])
    assert r.error_estimate <= goal
    assert r.values.nbytes < 30e6
    ends = np.array([[axis[0], axis[-1]] for axis in r.axes])
    points = np.random.default_rng(1).uniform(*ends.T, size=(2000, len(r.axes)))
    exact = EXACT[name](*points.T, **DEFAULTS[name])
    assert r(points).shape == (2000, r.values.shape[-1])
    assert np.abs(r(points) - exact.reshape(2000, -1)).max() <= goal  # interpolation included


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=identify)
def test_boundary_and_initial_values_are_met(solved, name, parameters):
    r = solved(name, parameters)
    for d in range(len(r.axes)):
        for end in (0, -1):
            in_time = name.startswith("heat") or (len(r.axes) == 2 and not name.endswith("_2d"))
            if in_time and (d, end) == (len(r.axes) - 1, -1):
                continue  # final time
            chosen = list(r.axes)
            chosen[d] = r.axes[d][[end]]
            grids = np.meshgrid(*chosen, indexing="ij")
            found = np.take(r.values, [end], axis=d)
            if name == "burgers_1d":
                exact = -np.sin(PI * grids[0]) if d == 1 else np.zeros(grids[0].shape)
            else:
                exact = EXACT[name](*grids, **parameters)
            if name == "advection_1d" and d == 0:  # no value is given there, but that both ends have the same
                exact = r.values[:1]
            if name == "poisson_nonlinear_2d":
                exact = np.take(r.values, [0], axis=d)
            if name == "kovasznay_2d":  # p is not given there
                found, exact = found[..., :2], exact[..., :2]
            assert np.allclose(found, exact.reshape(found.shape), rtol=0, atol=1e-12)


def test_new_solvers_have_their_orders():
    """Manufactured solutions that vanish nowhere by chance; the periodic one is exact once its waves are resolved."""

    def u(x, y):
        return np.sin(2.3 * x + 0.4) * np.exp(0.7 * y)

    def layered(n):
        def wavenumber(x):
            return 3 + x

        def source(x, y):
            return (2.3**2 - 0.7**2 - wavenumber(x) ** 2) * u(x, y)

        return maximum_error(solve_layered_helmholtz_2d(wavenumber, source, u, n=n), u)

    def divergence(n):
        def v(x, y):
            return np.sin(PI * x + 0.3) * np.sin(2 * PI * y + 0.4)

        def source(x, y):  # a = exp(x + y / 2)
            v_x = PI * np.cos(PI * x + 0.3) * np.sin(2 * PI * y + 0.4)
            v_y = 2 * PI * np.sin(PI * x + 0.3) * np.cos(2 * PI * y + 0.4)
            return np.exp(x + y / 2) * (5 * PI**2 * v(x, y) - v_x - v_y / 2)

        return maximum_error(solve_divergence_2d(lambda x, y: np.exp(x + y / 2), source, v, n=n), v)

    def heat(n):
        def v(x, y, t):
            return np.exp(-t * PI**2 * (0.3 + 4 * 0.1)) * np.sin(PI * x) * np.sin(2 * PI * y)

        grid = solve_heat_2d(lambda x, y: v(x, y, 0), diffusivities=(0.3, 0.1), final_time=0.5, n=n, times=4)
        return maximum_error(grid, v)

    assert fitted_order([16, 24, 32, 48], layered) > 5
    assert 1.9 < fitted_order([16, 32, 64], divergence) < 2.1
    assert fitted_order([12, 16, 24, 32], heat) > 5

    def w(x, y):
        return np.sin(PI * x) + np.cos(2 * PI * y) + 3

    def source(x, y):
        return -(PI**2) * np.sin(PI * x) - 4 * PI**2 * np.cos(2 * PI * y) - w(x, y) ** 3

    grid = solve_periodic_2d(lambda u: -(u**3), lambda u: -3 * u**2, source, interval=(-1, 1), n=16)
    assert maximum_error(grid, w) < 1e-10


def test_a_coefficient_that_jumps(solved):
    """Order 2 although the coefficient and the source jump along lines of nodes."""
    r = solved("elliptic_layered_2d", {"contrast": 100.0, "m": 5.0})
    (x, y), s = r.axes, np.sin(5 * PI * r.axes[0])
    first, second = (np.interp(wall, x, s) for wall in (1 / 3, 2 / 3))
    middle, right = first + (s - first) / 100, first + (second - first) / 100 + s - second
    exact = np.where(x < 1 / 3, s, np.where(x < 2 / 3, middle, right))
    assert r.converged and r.order > 1.9
    error = np.abs(r.values[..., 0] - np.outer(exact, np.sin(2 * PI * y))).max()
    assert error <= r.error_estimate < 1e-3


def test_differences_next_to_circles():
    """Order 2 around holes; a quadratic is exact, and nodes in holes have no value."""
    holes = {"centres": [(0.3, 0.4), (0.7, 0.75)], "radius": 0.17}

    def u(x, y):
        return np.sin(3 * x + 0.4) * np.exp(2 * y)

    def error(n):
        (x, y), values = solve_perforated_2d(lambda x, y: 5 * u(x, y), u, **holes, n=n)
        inside = ~np.isnan(values[..., 0])
        grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1)
        distance = min(np.linalg.norm(grid[inside] - c, axis=-1).min() for c in holes["centres"])
        assert holes["radius"] <= distance < holes["radius"] + 1 / n and not inside.all()
        return np.abs(values[..., 0] - u(*np.moveaxis(grid, -1, 0)))[inside].max()

    assert fitted_order([20, 40, 80, 160], error) > 1.8
    (x, y), values = solve_perforated_2d(lambda x, y: 0 * x - 6, lambda x, y: x**2 + 2 * y**2 + x * y, **holes, n=31)
    exact = np.add.outer(x**2, 2 * y**2) + np.outer(x, y)
    assert np.nanmax(np.abs(values[..., 0] - exact)) < 1e-11


def test_a_reference_with_holes(solved):
    r = solved("poisson_perforated_2d", {"k": 6 * PI, "radius": 0.1})
    x, u = r.points()
    assert r.converged and len(x) < r.values.size and not np.isnan(u).any()
    error = np.abs(u[:, 0] - np.sin(6 * PI * x[:, 0]) * np.sin(6 * PI * x[:, 1])).max()
    assert error <= r.error_estimate < 1e-3
    with pytest.raises(InputError, match="no values between its nodes"):
        r(np.array([[0.5, 0.5]]))


def test_a_soliton_keeps_its_form():
    """u = 3 c sech²(√c (x − c t) / 2μ) on a period much longer than it; order 6."""
    mu, c = 0.03, 0.5

    def soliton(x, t):
        from_crest = (x - c * t + 1) % 2 - 1
        return 3 * c / np.cosh(np.sqrt(c) * from_crest / (2 * mu)) ** 2

    def error(n):
        grid = solve_korteweg_de_vries_1d(
            lambda x: soliton(x, 0), mu=mu, interval=(-1, 1), final_time=1.5, n=n, times=4, rtol=1e-10
        )
        return maximum_error(grid, soliton)

    assert 5.5 < fitted_order([160, 224, 320], error) < 6.8
    assert error(256) < 1e-3


@pytest.mark.parametrize(("name", "largest"), [("korteweg_de_vries_1d", 512), ("elliptic_multiscale_2d", 512)])
def test_references_without_an_exact_solution_converge(name, largest):
    parameters = {
        "korteweg_de_vries_1d": {"mu": 0.1},
        "elliptic_multiscale_2d": {"epsilon": 0.5, "finer": 0.25, "contrast": 1},
    }
    n, finer = (REFERENCES[name](**parameters[name], largest=size) for size in (largest // 2, largest))
    stride = tuple(slice(None, None, (len(b) - 1) // (len(a) - 1)) for a, b in zip(n.axes, finer.axes, strict=True))
    assert finer.converged
    assert np.abs(finer.values[stride] - n.values).max() <= n.error_estimate


def test_burgers_is_odd_and_matches_the_published_slope(solved):
    """Basdevant et al. (1986): the steepest slope, at x = 0, is -152.00516 at pi t = 1.6037."""
    r = solved("burgers_1d", DEFAULTS["burgers_1d"])
    assert np.array_equal(r.axes[0], -r.axes[0][::-1])
    assert np.abs(r.values + r.values[::-1]).max() <= r.error_estimate
    h, t = 1e-6, 1.6037 / PI
    assert burgers_cole_hopf(h, t, 0.01 / PI) / h == pytest.approx(-152.00516, abs=1e-4)
    slope = (r(np.array([[h, t]])) - r(np.array([[-h, t]]))).item() / (2 * h)
    assert slope == pytest.approx(-152.00516, abs=1e-2)


def allen_cahn_chebyshev(d, x, times, n):
    """The problem of `allen_cahn_1d` by collocation with n + 1 even Chebyshev polynomials: u (len(x), len(times)).

    The nodes crowd at x = 1 as n**-2, where initial and boundary values do not fit.
    """
    degrees = 2 * np.arange(n + 1)
    nodes = np.cos(PI * np.arange(n + 1) / (2 * n))  # from 1 to 0
    basis = np.cos(np.outer(np.arccos(nodes), degrees))
    second = np.polynomial.chebyshev.chebder(np.eye(2 * n + 1)[:, ::2], 2)
    matrix = d * np.polynomial.chebyshev.chebvander(nodes, 2 * n - 2) @ second @ np.linalg.inv(basis)
    run = solve_ivp(
        lambda t, u: matrix[1:, 1:] @ u - matrix[1:, 0] + 5 * (u - u**3),
        (0, 1),
        (nodes**2 * np.cos(PI * nodes))[1:],
        method="LSODA",
        jac=lambda t, u: matrix[1:, 1:] + np.diag(5 - 15 * u**2),
        t_eval=times,
        rtol=1e-12,
        atol=1e-12,
    )
    coefficients = np.linalg.solve(basis, np.vstack([-np.ones(len(times)), run.y]))
    return np.cos(np.outer(np.arccos(x), degrees)) @ coefficients


@pytest.mark.parametrize(("d", "n"), [(1e-3, 350), (1e-2, 200), (0.3, 100)])
def test_allen_cahn_agrees_with_chebyshev_collocation(solved, d, n):
    r = solved("allen_cahn_1d", {"d": d})
    x, t = r.axes
    other = allen_cahn_chebyshev(d, x, t, n)
    difference = r.values[..., 0] - other
    assert r.converged and r.order > 5
    assert np.abs(difference).max() <= r.error_estimate <= 1e-8
    relative_l2 = [np.linalg.norm(d) / np.linalg.norm(other) for d in (difference, difference[:, -1])]
    assert max(relative_l2) <= r.relative_l2_estimate <= 1e-9
    assert np.array_equal(x, -x[::-1])
    points = np.random.default_rng(1).uniform(0, 1, (2000, 1))
    at = r(np.hstack([points, np.full_like(points, t[40])]))[:, 0]
    assert np.abs(at - allen_cahn_chebyshev(d, points[:, 0], t[[0, 40]], n)[:, 1]).max() <= 1e-8


@pytest.mark.parametrize("nu", [0.005 / PI, 0.01 / PI, 0.1])
def test_cole_hopf_against_gauss_hermite(nu):
    rng = np.random.default_rng(0)
    x, t = rng.uniform(-1, 1, 200), rng.uniform(0.01, 1, 200)
    z, weight = np.polynomial.hermite.hermgauss(200)
    y = PI * (x[:, None] - np.sqrt(4 * nu * t)[:, None] * z)
    exponent = -np.cos(y) / (2 * PI * nu)
    w = weight * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    assert np.allclose(burgers_cole_hopf(x, t, nu), -(np.sin(y) * w).sum(1) / w.sum(1), rtol=0, atol=1e-12)


def test_points_are_nodes_drawn_at_random(solved):
    r = solved("helmholtz_2d", {"kappa": 1.0})
    x, u = r.points()
    assert x.shape == (r.values.size, 2)
    assert np.array_equal(u.reshape(r.values.shape), r.values)
    some, at_some = r.points(50, seed=3)
    assert np.array_equal(some, r.points(50, seed=3)[0]) and not np.array_equal(some, r.points(50, seed=4)[0])
    assert len(np.unique(some, axis=0)) == 50
    assert np.allclose(r(some), at_some, rtol=0, atol=1e-13)


def test_interpolation_input_is_checked(solved):
    r = solved("helmholtz_2d", {"kappa": 1.0})
    with pytest.raises(InputError, match=r"shape \(n, 2\), got \(4,\)"):
        r(np.zeros(4))
    for bad in (1.1, -1e-3, np.nan):
        with pytest.raises(InputError, match=r"coordinate 1 .* lies in \[0, 1\]"):
            r(np.array([[0.5, bad]]))
    with pytest.raises(InputError, match="limit"):
        r.points(0)


# --- refinement ---------------------------------------------------------------------------------------------


def made_up(error_of):
    """A `solve` whose solution is sin(x) plus error_of(n) times a smooth function."""

    def solve(n):
        x = np.linspace(0, 1, n + 1)
        return (x,), (np.sin(x) + error_of(n) * np.cos(3 * x))[:, None]

    return solve


@pytest.mark.parametrize("p", [2, 4, 6])
def test_refinement_sees_the_order_and_bounds_the_error(p):
    r = refine("made up", {}, made_up(lambda n: 3.0 * n**-p), n=8, order=p, largest=64)
    assert r.converged and r.order == pytest.approx(p, abs=1e-6)
    assert 3.0 * 64.0**-p <= r.error_estimate <= 3 * 3.0 * 64.0**-p


@pytest.mark.parametrize("p", [2, 4, 6])
def test_levels_say_which_grid_has_which_error(p):
    r = refine("made up", {}, made_up(lambda n: 3.0 * n**-p), n=8, order=p, largest=64)
    (x,), u = r.axes, r.values[:, 0]
    sizes, seconds, differences = map(np.array, zip(*r.levels, strict=True))
    assert sizes.tolist() == [8, 16, 32, 64]
    assert (seconds > 0).all() and seconds.sum() <= r.wall_seconds
    assert differences[-1] == r.relative_l2_estimate
    norm = np.sqrt(trapezoid(u**2, x))
    shape = np.sqrt(trapezoid(np.cos(3 * x) ** 2, x)) / norm  # of the error, per unit
    wanted = 3.0 * (sizes[:-1] ** -float(p) - 64.0**-p) * shape
    assert differences[:-1] == pytest.approx(wanted, rel=0.02)  # the coarse nodes' quadrature


@pytest.mark.parametrize("name", ["helmholtz_2d", "allen_cahn_1d"])
def test_differences_of_levels_fall_with_the_order(solved, name):
    r = solved(name, DEFAULTS[name])
    differences = [difference for _, _, difference in r.levels]
    assert len(differences) >= 4
    assert np.log2(np.divide(differences[:-2], differences[1:-1])) == pytest.approx(r.order, abs=0.7)
    assert r.axes[0].size == r.levels[-1][0] + 1


def test_a_grid_without_a_solution_has_an_infinite_difference():
    r = refine("broken", {}, made_up(lambda n: np.nan if n == 8 else n**-4.0), n=8, order=4, largest=64)
    assert r.converged and r.levels[0][2] == np.inf and r.levels[1][2] < 1e-4
    single = refine("single", {}, made_up(lambda n: n**-4.0), n=8, order=4, largest=8)
    assert [(n, difference) for n, _, difference in single.levels] == [(8, np.inf)]


def noise(size, n):
    """The same number in every solution on n intervals: an error that disturbed entries do not show."""
    return size * np.random.default_rng(n).standard_normal()


def test_refinement_flags_what_does_not_converge():
    noisy = refine("noise", {}, made_up(lambda n: noise(1e-3, n)), n=8, order=4, largest=256)
    assert not noisy.converged and noisy.error_estimate > 1e-5
    slow = refine("slow", {}, made_up(lambda n: 1 / n), n=8, order=4, largest=256)
    assert not slow.converged and slow.error_estimate >= 1 / 256
    single = refine("single", {}, made_up(lambda n: n**-4.0), n=8, order=4, largest=8)
    assert not single.converged and single.error_estimate == np.inf
    broken = refine("broken", {}, made_up(lambda n: np.nan if n > 16 else n**-4.0), n=8, order=4, largest=64)
    assert not broken.converged and broken.error_estimate == np.inf


def test_refinement_notices_the_floor():
    """An error of 1e-7 whose source is not known: no estimate is founded on it, and going on would be useless."""
    floor = made_up(lambda n: 40.0 * n**-4 + noise(1e-7, n))
    r = refine("floor", {}, floor, n=8, order=4, largest=2**16)
    assert r.levels[-1][0] <= 2048
    assert not r.converged and 1e-8 <= r.error_estimate <= 1e-5
    assert refine("floor", {}, floor, n=8, order=4, largest=2**16, tolerance=1e-5).converged


def cancelling(size, p):
    """sin(x) and an error n**-p, less accurate by the rounding of numbers of the given size."""

    def solve(n):
        x = np.linspace(0, 1, n + 1)
        return (x,), (rounding.rounded(size + np.sin(x) + n**-p * np.cos(3 * x)) - size)[:, None]

    return solve


@pytest.mark.parametrize(("p", "size"), [(2.0, 1e9), (2.0, 3e11), (4.0, 1e5), (6.0, 3e3), (6.0, 3e8)])
def test_refinement_stops_at_rounding_and_bounds_it(p, size):
    """Whatever the differences below that level do, which changes with the number that is added."""
    for shift in range(20):
        number = size * (1 + shift / 7)
        r = refine("cancelling", {}, cancelling(number, p), n=8, order=p, largest=2**14, tolerance=1e-15)
        error = np.abs(r.values[:, 0] - np.sin(r.axes[0])).max()
        assert r.converged and error <= r.error_estimate <= 40 * EPS * number
        assert EPS * number <= r.rounding <= r.error_estimate
        assert np.isnan(r.order) or r.order == pytest.approx(p, abs=0.5)
        assert r.levels[-1][0] <= 8 * 16 * (EPS * number) ** (-1 / p)


def test_one_grid_is_enough_to_agree_with_to_rounding():
    """A method without an error of the grid, as spectral ones: two grids show no order, and need none."""
    r = refine("exact", {}, cancelling(1e6, 50.0), n=16, order=6, largest=2**10)
    assert [n for n, _, _ in r.levels] == [16, 32]
    assert r.converged and np.isnan(r.order) and EPS * 1e6 <= r.error_estimate <= 40 * EPS * 1e6


def test_a_tolerance_that_falls_with_the_grid_is_no_floor():
    """Errors of an integrator count like rounding, but where they fall with n a finer grid is of use."""

    def solve(tolerance):
        return lambda n: cancelling_less(n, rounding.integrator(tolerance(n)))

    def cancelling_less(n, error):
        x = np.linspace(0, 1, n + 1)
        return (x,), (np.sin(x) + (n**-4.0 + error) * np.cos(3 * x))[:, None]

    falling = refine("falling", {}, solve(lambda n: 10 * n**-4.0), n=8, order=4, largest=256)
    assert falling.converged and falling.axes[0].size == 257
    assert 11 * 256**-4.0 <= falling.error_estimate <= 100 * 256**-4.0
    fixed = refine("fixed", {}, solve(lambda n: 1e-6), n=8, order=4, largest=2**12)
    assert fixed.converged and fixed.axes[0].size < 2**9 and 1e-6 <= fixed.error_estimate <= 1e-5


def test_disturbed_entries():
    a = np.array([1.0, -3.0, 1e200, 0.0, np.pi])
    matrix = csr_array(np.diag(a))
    assert rounding.rounded(a) is a and rounding.rounded(matrix) is matrix and rounding.integrator(1e-9) == 1e-9
    assert np.array_equal(rounding.running_sum(a), np.cumsum(a))
    many = np.full((4, 10000), 1 / 3)
    with rounding.disturbed(0):
        first, other, alike = rounding.rounded(many), rounding.rounded(many), rounding.rounded(many, alike=1)
        assert rounding.rounded(matrix).nnz == matrix.nnz and rounding.integrator(1e-9) > 1e-9
        together = rounding.rounded_together(np.append(many, 0.0))
        sums = rounding.running_sum(np.ones(10000))
    with rounding.disturbed(0):
        assert np.array_equal(rounding.rounded(many), first)
    assert not np.array_equal(first, other)
    relative = (first - many) / many / EPS
    assert 0.5 < np.abs(relative).max() <= 2 and abs(relative.mean()) < 0.05  # errors have no direction
    assert all(len(np.unique(row)) == 1 for row in alike) and len(np.unique(alike)) > 1
    assert 0 < abs(together[-1]) <= EPS
    drift = np.abs(sums - np.arange(1, 10001)).max() / (EPS * 10000)
    assert 3 < drift < 1000  # of a random walk: 58 is its standard deviation


@pytest.mark.parametrize("kappa", [np.sqrt(2) * PI * (1 + 1e-6), np.sqrt(13) * PI * (1 - 1e-5)])
def test_rounding_grows_with_the_condition(kappa):
    """Next to a resonance errors are as large as the distance to it is small."""
    near = reference("helmholtz_2d", kappa=kappa)
    error = np.abs(near.values[..., 0] - EXACT["helmholtz_2d"](*np.meshgrid(*near.axes, indexing="ij"), kappa)).max()
    squares = np.add.outer(np.arange(1, 9) ** 2, np.arange(1, 9) ** 2) * PI**2
    distance = np.abs(kappa**2 / squares - 1).min()
    assert near.converged and error <= near.error_estimate
    assert EPS / distance / 10 <= near.rounding <= 1000 * EPS / distance


@pytest.mark.parametrize("floor", [1e-8, 1e-12, 1e-15])
def test_newton_is_done_at_rounding(floor):
    """Steps that fall quadratically, or by a third, to a level that is not known."""
    for fall in (lambda s: s**2, lambda s: s / 3):
        steps, s = [np.inf, 0.5], 0.5
        while s > floor:
            s = max(fall(s), floor)
            steps.append(s)
        assert not any(map(rounding.settled, steps[1:-1], steps[:-2]))
        assert any(rounding.settled(now, before) for now, before in [(steps[-1], steps[-2]), (floor, floor)])
    assert not rounding.settled(0.3, 0.1) and not rounding.settled(1e-3, 1e-3) and not rounding.settled(np.nan, 1.0)


def test_refinement_stops_at_its_limits():
    r = refine("tolerance", {}, made_up(lambda n: n**-4.0), n=8, order=4, largest=2**16, tolerance=1e-6)
    assert r.levels[-1][0] < 128

    def slow(n):
        time.sleep(0.02)
        return made_up(lambda n: n**-1.0)(n)

    late = refine("late", {}, slow, n=8, order=1, largest=2**20, seconds=0.2)
    assert len(late.levels) < 8
    with pytest.raises(InputError, match="not nested"):
        refine("shifted", {}, lambda n: ((np.linspace(0, 1, n + 2),), np.zeros((n + 2, 1))), n=8, order=2, largest=99)


# --- inputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("poisson_1d", {}, "'poisson_1d' is not known.*choose from poisson_"),
        ("helmholtz_2d", {}, "helmholtz_2d: parameter kappa is missing"),
        ("poisson_two_scale_1d", {"low": 2}, "parameter high, amplitude is missing"),
        ("helmholtz_2d", {"kapa": 3.0}, "'kapa' is not known .did you mean 'kappa'"),
        ("helmholtz_2d", {"kappa": np.nan}, "kappa must be a finite number, got nan"),
        ("helmholtz_2d", {"kappa": "3"}, "kappa must be a finite number, got '3'"),
        ("helmholtz_2d", {"kappa": 2.0, "largest": 100.5}, "largest must be a whole number"),
        ("helmholtz_2d", {"kappa": 5 * PI}, r"kappa: .* resonance .*\(3\*\*2 \+ 4\*\*2\)"),
        ("helmholtz_2d", {"kappa": -1.0}, "kappa: needs a positive number"),
        ("helmholtz_2d", {"kappa": 1e4}, "kappa: 10000 needs at least"),
        ("poisson_four_scale_1d", {"packet": 1.0, "width": 0.0, "amplitude": 1.0}, "width: needs a positive number"),
        ("convection_diffusion_1d", {"epsilon": 0.0}, "epsilon: needs a positive number"),
        ("elliptic_multiscale_1d", {"epsilon": 1e-6}, "epsilon=1e-06 needs at least"),
        ("heat_high_frequency_1d", {"m": 0}, "m: needs a positive number"),
        ("heat_high_frequency_1d", {"m": 1e5}, "m: 100000 half waves need at least"),
        ("wave_two_mode_1d", {"speed": 0.0}, "speed: needs a positive number"),
        ("wave_two_mode_1d", {"speed": 1e3}, "raise `largest`, lower `times` or `speed`"),
        ("advection_1d", {"speed": 0.0}, "speed: needs a number other than zero"),
        ("advection_1d", {"speed": 1e4}, "raise `largest`, lower `times` or `speed`"),
        ("bratu_1d", {"strength": -1}, "strength: needs a positive number"),
        ("helmholtz_heterogeneous_2d", {"kappa": 1e4, "variation": 0.5}, "kappa: 10000 needs at least"),
        ("poisson_rings_2d", {"m": 1e4}, "m: 10000 needs at least"),
        ("poisson_nonlinear_2d", {"m": 0.5}, "m: needs a whole number"),
        ("heat_multiscale_2d", {"m": 1000}, "m: 1000 needs at least"),
        ("poisson_multiscale_4d", {"k": 100}, "k: 100 given; up to 25.1 is resolved"),
        ("elliptic_multiscale_2d", {"epsilon": 0.2, "finer": 0, "contrast": 1}, "positive periods"),
        ("elliptic_layered_2d", {"contrast": 0, "m": 5}, "contrast: needs a positive number"),
        ("korteweg_de_vries_1d", {"mu": 0}, "mu: needs a positive number"),
        ("korteweg_de_vries_1d", {"mu": 1e-5}, "mu: 1e-05 needs at least"),
        ("klein_gordon_1d", {"omega": 1e4}, "raise `largest`, lower `times` or `omega`"),
        ("burgers_1d", {"nu": -0.1}, "nu: needs a positive viscosity"),
        ("allen_cahn_1d", {"d": 0.0}, "d: needs a positive diffusivity"),
        ("allen_cahn_1d", {"d": 1e-3, "largest": 400}, "largest: 400 intervals are too few, give at least 800"),
        ("kovasznay_2d", {"reynolds": 0.0}, "reynolds: needs a positive number"),
        ("kovasznay_2d", {"reynolds": 20, "largest": 24}, "largest: 24 intervals are too few, give at least 48"),
        ("helmholtz_modes_2d", {"a1": 1.0, "a2": 4.0, "k": -1.0}, "k: needs a number >= 0"),
        ("helmholtz_modes_2d", {"a1": 1.0, "a2": 400.0, "k": 1.0}, "a2: .* needs at least"),
        ("helmholtz_modes_2d", {"a1": 1.0, "a2": 4.0, "k": 2.5 * PI}, "resonance of the square"),
        ("poisson_chirp_1d", {"low": 1.0, "high": 1e7}, "waves needs at least"),
    ],
)
def test_bad_input_is_named(cache_folder, name, parameters, message):
    with pytest.raises(InputError, match=message):
        reference(name, **parameters)


def test_nothing_imports_torch_or_deepxde():
    code = (
        "import sys; import repnet_pde.validation.finite_difference as f; f.REFERENCES['helmholtz_2d'](kappa=1.0); "
        "assert not {'torch', 'deepxde', 'repnet_pde.problems'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- cache --------------------------------------------------------------------------------------------------

CHEAP = ("poisson_two_scale_1d", {"low": 1.0, "high": 5.0, "amplitude": 0.5})


def fields(r):
    arrays = [a.tobytes() for a in (*r.axes, r.values)]
    scalars = r.error_estimate, r.relative_l2_estimate, r.order, r.wall_seconds, r.converged
    return arrays, r.name, r.parameters, r.levels, r.rounding, scalars


def test_cache_gives_back_every_bit(cache_folder, monkeypatch):
    name, parameters = CHEAP
    first = reference(name, **parameters)
    assert len(list(cache_folder.rglob("*.npz"))) == 1

    def never(**_):
        raise AssertionError("computed again")

    monkeypatch.setitem(REFERENCES, name, wrapped(REFERENCES[name], never))
    second = reference(name, low=1, high=5, amplitude=0.5)  # whole numbers mean the same
    assert fields(first) == fields(second)
    assert second.values.dtype == np.float64
    assert len(second.levels) > 2 and all(type(n) is int for n, _, _ in second.levels)


def wrapped(function, replacement):
    import functools

    return functools.wraps(function)(lambda **parameters: replacement(**parameters))


def test_other_parameters_get_another_file(cache_folder, monkeypatch):
    name, parameters = CHEAP
    reference(name, **parameters)
    reference(name, **{**parameters, "high": np.nextafter(5.0, 6.0)})
    reference(name, **parameters, tolerance=1e-6)
    assert len(list(cache_folder.rglob("*.npz"))) == 3
    monkeypatch.setattr(cache, "code", lambda: "of another day")
    reference(name, **parameters)
    assert len(list(cache_folder.rglob("*.npz"))) == 4


def truncated(data):
    return data[: len(data) // 2]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped, lambda data: b"", lambda data: b"not a zip file"])
def test_damaged_file_is_computed_again(cache_folder, damage):
    name, parameters = CHEAP
    good = reference(name, **parameters)
    file = cache.path(name, parameters)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(UserWarning, match="computed again") as seen:
        again = reference(name, **parameters)
    assert len(seen) == 1 and "\n" not in str(seen[0].message)
    assert np.array_equal(good.values, again.values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fields(reference(name, **parameters)) == fields(again)  # replaced


def test_foreign_file_is_not_believed(cache_folder):
    name, parameters = CHEAP
    reference(name, **parameters)
    other = {**parameters, "high": 6.0}
    cache.path(name, parameters).rename(cache.path(name, other))
    with pytest.warns(UserWarning, match="belongs to another reference"):
        assert reference(name, **other).parameters == other
    cache.path(name, other).unlink()
    with open(cache.path(name, other), "wb") as stream:
        np.savez(stream, values=np.zeros(3))
    with pytest.warns(UserWarning, match="computed again"):
        assert reference(name, **other).parameters == other


def test_unwritable_folder_only_warns(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    with pytest.warns(UserWarning) as seen:
        assert reference(CHEAP[0], **CHEAP[1]).converged
    assert any("is not cached" in str(w.message) for w in seen)


def test_what_did_not_converge_is_not_kept(cache_folder):
    r = cache.cached("single", {}, lambda: refine("single", {}, made_up(lambda n: 0.0), n=8, order=4, largest=8))
    assert not r.converged and not list(cache_folder.rglob("*.npz"))


def test_left_over_temporary_files_are_removed(cache_folder):
    name, parameters = CHEAP
    file = cache.path(name, parameters)
    file.parent.mkdir(parents=True)
    old, new = (file.parent / f".{file.stem}-{tag}.tmp" for tag in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half a file")
    os.utime(old, (0, 0))
    reference(name, **parameters)
    assert not old.exists() and new.exists() and file.exists()


def test_killed_concurrent_writers_leave_a_whole_file(cache_folder):
    name, parameters = CHEAP
    reference(name, **parameters)
    code = (
        "from repnet_pde.validation.finite_difference import cache, REFERENCES\n"
        f"name, parameters = {CHEAP!r}\n"
        "r = REFERENCES[name](**parameters)\n"
        "print('ready', flush=True)\n"
        "while True: cache._write(cache.path(name, parameters), cache._identity(name, parameters), r)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"ready\n"
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning would mean a damaged file
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                assert reference(name, **parameters).converged
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reference(name, **parameters).converged
