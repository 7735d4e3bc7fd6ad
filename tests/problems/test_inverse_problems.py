"""The inverse problems: their forward solvers, their residuals at the true and at other unknowns, their data."""

import functools
import math
import time

import numpy as np
import pytest
import torch
from exact import as_network
from numpy.polynomial import chebyshev
from repnet_pde.validation.finite_difference import (
    burgers_cole_hopf,
    inverse_2d,
    legendre,
    solve_burgers_1d,
    solve_heat_1d,
    solve_helmholtz_2d,
    solve_wave_1d,
)
from repnet_pde.validation.finite_difference.inverse import FORWARD, noisy, synthetic
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from repnet_pde import catalogue, load_problem
from repnet_pde.errors import InputError
from repnet_pde.problem.points import collocation
from repnet_pde.problem.residuals import residual_vectors

PI = math.pi


def elliptic_a(x):
    return 1 / (1 + x[:, 0] ** 2 + x[:, 1] ** 2 + (x[:, 0] - 1) ** 2 + (x[:, 1] - 1) ** 2)


TRUE = {
    "damped_oscillator": {"delta": 2.0, "omega0": 80.0},
    "lorenz": {"sigma": 10.0, "rho": 15.0, "beta": 8 / 3},
    "oscillating_coefficient_1d": {"a": lambda x: 1 + 0.5 * np.sin(20 * PI * x[:, 0])},
    "driven_wave_1d": {"c": 1.2, "w": 6.5 * PI},
    "reaction_diffusion_1d": {"D": 2e-3, "k_f": 0.1},
    "burgers_inverse_1d": {"l1": 1.0, "l2": 0.01 / PI},
    "helmholtz_wavenumber_2d": {"kappa": 4.35 * PI},
    "elliptic_coefficient_2d": {"a": elliptic_a},
    "heat_coefficient_2d": {"a": lambda x: 2 + np.sin(PI * x[:, 0]) * np.sin(PI * x[:, 1])},
}
BOX = {
    "damped_oscillator": [(0, 1)],
    "lorenz": [(0, 3)],
    "oscillating_coefficient_1d": [(0, 1)],
    "driven_wave_1d": [(0, 1), (0, 2)],
    "reaction_diffusion_1d": [(0, 1), (0, 10)],
    "burgers_inverse_1d": [(-1, 1), (0, 1)],
    "helmholtz_wavenumber_2d": [(0, 1), (0, 1)],
    "elliptic_coefficient_2d": [(0, 1), (0, 1)],
    "heat_coefficient_2d": [(-1, 1), (-1, 1), (0, 1)],
}
WITH_SOLUTION = [
    "damped_oscillator",
    "driven_wave_1d",
    "oscillating_coefficient_1d",
    "elliptic_coefficient_2d",
    "heat_coefficient_2d",
]
SCALAR = [name for name, true in TRUE.items() if not any(map(callable, true.values()))]
FIELD = [name for name in TRUE if name not in SCALAR]
ABSOLUTE = ["elliptic_coefficient_2d", "heat_coefficient_2d"]


@pytest.fixture(scope="module")
def default():
    """Problems as they are by default, made once: not to be changed."""
    return functools.cache(load_problem)


def scattered(name, n=300, seed=7):
    low, high = np.transpose(BOX[name])
    return np.random.default_rng(seed).uniform(low, high, (n, len(low)))


def put(problem, values):
    with torch.no_grad():
        for name, value in values.items():
            problem.unknowns[name].copy_(torch.tensor(value))


def sizes(vectors):
    return [v.detach().abs().max().item() for v in vectors]


def data_of(problem):
    """Points and values (n, c) of the observations."""
    sets = [c for name, c in problem.conditions.items() if name.startswith("data ")]
    assert all(np.array_equal(s.points, sets[0].points) for s in sets)
    return sets[0].points, np.hstack([s.values.numpy() for s in sets])


# --- forward solvers --------------------------------------------------------------------------------------------


def test_every_inverse_problem_is_tested_here(default):
    inverse = {name for name in catalogue() if "data_seed" in catalogue()[name].parameters}
    assert inverse == set(TRUE) == set(FORWARD) == set(BOX)
    for name in TRUE:
        problem = default(name)
        assert np.allclose(np.transpose([problem.box.lower, problem.box.upper]), BOX[name])
        assert dict(problem.true_unknowns) == (TRUE[name] if name in SCALAR else {})
        assert problem.unknown_fields == (() if name in SCALAR else ("a",))
        assert (problem.solution is None) == (name not in WITH_SOLUTION)


@pytest.mark.parametrize("name", WITH_SOLUTION)
def test_forward_solver_gives_the_exact_solution(name, default):
    x = scattered(name)
    u = FORWARD[name](TRUE[name], x)
    exact = default(name).solution(x)[:, :1]
    assert u.shape == exact.shape
    assert np.abs(u - exact).max() < 1e-11 * np.abs(exact).max()


# A coarse and a middle resolution, with the errors that they may have relative to the largest value
DECAY = {
    "lorenz": [(6, 1e-3), (9, 1e-6)],
    "oscillating_coefficient_1d": [(150, 1e-4), (300, 1e-7)],
    "driven_wave_1d": [(20, 1e-4), (30, 1e-8)],
    "reaction_diffusion_1d": [(32, 1e-5), (64, 2e-7)],
    "helmholtz_wavenumber_2d": [(20, 1e-3), (30, 1e-6)],
    "elliptic_coefficient_2d": [(6, 1e-4), (10, 1e-8)],
    "heat_coefficient_2d": [(8, 1e-4), (12, 1e-7)],
}


@pytest.mark.parametrize("name", DECAY)
def test_forward_error_falls_faster_than_a_power_of_the_resolution(name):
    x = scattered(name)
    best = FORWARD[name](TRUE[name], x)
    unit = np.abs(best).max()
    (coarse, most), (middle, less) = DECAY[name]
    errors = [np.abs(FORWARD[name](TRUE[name], x, resolution=n) - best).max() / unit for n in (coarse, middle)]
    assert errors[0] < most and errors[1] < less
    if name == "lorenz":  # its resolution counts digits
        assert errors[1] < 1e-2 * errors[0]
    else:
        assert errors[1] < (coarse / middle) ** (4 if name == "reaction_diffusion_1d" else 8) * errors[0]


def test_reaction_and_diffusion_at_twice_the_resolution():
    """Where initial and boundary values disagree, at t = 0, the solution is not smooth: early times are worse."""
    x = scattered("reaction_diffusion_1d")
    u, finer = (FORWARD["reaction_diffusion_1d"](TRUE["reaction_diffusion_1d"], x, resolution=n) for n in (None, 144))
    assert np.abs(u - finer).max() < 1e-9


def test_diffusion_alone_agrees_with_differences():
    d = 0.02
    (x, t), u = solve_heat_1d(
        lambda x: np.exp(-20 * x) - np.exp(-20) * x,
        lambda t: 1.0,
        lambda t: 0.0,
        diffusivity=d,
        interval=(0, 1),
        final_time=10,
        n=200,
        times=41,
        steps=10,
    )
    points = np.stack(np.meshgrid(x[::20], t[4:], indexing="ij"), axis=-1).reshape(-1, 2)
    found = FORWARD["reaction_diffusion_1d"]({"D": d, "k_f": 0.0}, points)
    assert np.array_equal(found[:, 0], found[:, 1])
    assert np.abs(found[:, 0] - u[::20, 4:, 0].ravel()).max() < 1e-7


def test_oscillator_and_lorenz_agree_with_an_integrator():
    t = np.linspace(0, 1, 30)
    for delta, omega0 in ((2, 80), (8, 3), (5, 5), (5, 5 + 1e-9), (0, 7), (300, 3)):
        run = solve_ivp(
            lambda _, y, d, w: (y[1], -2 * d * y[1] - w**2 * y[0]),
            (0, 1),
            (1, 0),
            "DOP853",
            t,
            args=(delta, omega0),
            rtol=1e-11,
            atol=1e-12,
        )
        found = FORWARD["damped_oscillator"]({"delta": delta, "omega0": omega0}, t[:, None])
        assert np.abs(found[:, 0] - run.y[0]).max() < 1e-9
    assert np.isfinite(FORWARD["damped_oscillator"]({"delta": 2000.0, "omega0": 3.0}, t[:, None])).all()

    def lorenz(_, s):
        return 9 * (s[1] - s[0]), s[0] * (14 - s[2]) - s[1], s[0] * s[1] - 2 * s[2]

    run = solve_ivp(lorenz, (0, 3), (-8, 7, 27), "LSODA", 3 * t, rtol=1e-12, atol=1e-12)
    shuffled = np.random.default_rng(0).permutation(30)
    found = FORWARD["lorenz"]({"sigma": 9.0, "rho": 14.0, "beta": 2.0}, 3 * t[shuffled, None])
    assert np.abs(found - run.y.T[shuffled]).max() < 1e-7


def test_helmholtz_agrees_with_differences():
    kappa = 4.3 * PI
    (x, y), u = solve_helmholtz_2d(
        lambda x, y: 100 * np.exp(-((x - 0.4) ** 2 + (y - 0.55) ** 2) / 0.12**2),
        lambda x, y: 0 * x,
        kappa=kappa,
        n=256,
    )
    points = np.stack(np.meshgrid(x[::16], y[::16], indexing="ij"), axis=-1).reshape(-1, 2)
    found = FORWARD["helmholtz_wavenumber_2d"]({"kappa": kappa}, points)
    assert np.abs(found - u[::16, ::16].reshape(-1, 1)).max() < 1e-9 * np.abs(u).max()


@pytest.mark.parametrize("w", [6.5 * PI, 5 * 1.2 * PI])
def test_driven_wave_agrees_with_differences_also_in_resonance(w):
    (x, t), u = solve_wave_1d(
        np.zeros_like,
        np.zeros_like,
        lambda t: 0.0,
        lambda t: 0.0,
        speed=1.2,
        interval=(0, 1),
        final_time=2,
        n=200,
        times=201,
        steps=2,
        source=lambda x, t: 100 * np.sin(PI * x) * np.exp(-2 * (np.cos(PI * x) - 0.2) ** 2) * np.sin(w * t),
    )
    points = np.stack(np.meshgrid(x[::10], t[::10], indexing="ij"), axis=-1).reshape(-1, 2)
    found = FORWARD["driven_wave_1d"]({"c": 1.2, "w": w}, points)
    assert np.abs(found - u[::10, ::10].reshape(-1, 1)).max() < 1e-7 * np.abs(u).max()


@pytest.mark.parametrize("l1", [0.7, 0.0, -1.3])
def test_burgers_agrees_with_differences_for_other_coefficients(l1):
    """v = l1 u satisfies Burgers' equation with v = -l1 sin(pi x) at the start."""
    l2, slope = 0.1, l1 or 1e-4
    (x, t), v = solve_burgers_1d(
        lambda x: -slope * np.sin(PI * x),
        lambda t: 0.0,
        lambda t: 0.0,
        nu=l2,
        interval=(-1, 1),
        final_time=1,
        n=200,
        times=11,
        rtol=1e-11,
    )
    points = np.stack(np.meshgrid(x[::8], t, indexing="ij"), axis=-1).reshape(-1, 2)
    found = FORWARD["burgers_inverse_1d"]({"l1": l1, "l2": l2}, points)
    assert np.abs(found - v[::8].reshape(-1, 1) / slope).max() < (1e-7 if l1 else 1e-4)
    with pytest.raises(InputError, match="l2"):
        FORWARD["burgers_inverse_1d"]({"l1": l1, "l2": -l2}, points)


def test_burgers_at_the_truth_is_the_problem_burgers_1d(default):
    x = scattered("burgers_inverse_1d", 50)
    u = FORWARD["burgers_inverse_1d"](TRUE["burgers_inverse_1d"], x)
    assert np.array_equal(u[:, 0], burgers_cole_hopf(x[:, 0], x[:, 1], 0.01 / PI))
    assert default("burgers_inverse_1d").reference().parameters == {"nu": 0.01 / PI}


@pytest.mark.parametrize(("name", "corner", "side"), [("elliptic", 0.0, 1.0), ("heat", -1.0, 2.0)])
def test_derived_sources_agree_with_differences(name, corner, side):
    x, y = np.random.default_rng(0).uniform(corner, corner + side, (2, 100))
    a = {"elliptic": TRUE["elliptic_coefficient_2d"]["a"], "heat": TRUE["heat_coefficient_2d"]["a"]}[name]
    h = 1e-3

    def at(i, j):  # u and a at points moved by i and j half steps
        p, q = x + i * h / 2, y + j * h / 2
        return np.sin(PI * p) * np.sin(PI * q), a(np.column_stack([p, q]))

    u = at(0, 0)[0]
    divergence = sum(at(i, j)[1] * (at(2 * i, 2 * j)[0] - u) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))) / h**2
    f = -divergence if name == "elliptic" else -u - divergence  # u_t = -u
    assert np.abs(f - getattr(inverse_2d, f"{name}_source")(x, y)).max() < 1e-5 * np.abs(f).max()


def test_barycentric_interpolation_reproduces_polynomials():
    nodes, x = np.cos(np.arange(7)), np.array([-0.3, np.cos(2.0), 0.9])
    assert np.abs(legendre.barycentric(nodes, x) @ (nodes**6 - nodes) - (x**6 - x)).max() < 1e-13


@pytest.mark.parametrize("name", TRUE)
def test_forward_solvers_are_quick(name):
    x = scattered(name, 1000 if name != "lorenz" else 25)
    FORWARD[name](TRUE[name], x)
    begun = time.process_time()
    FORWARD[name](TRUE[name], x)
    assert time.process_time() - begun < 2  # 0.3 s on a free core


def test_least_squares_finds_the_wavenumber_from_a_start_without_a_resonance_between():
    x = scattered("helmholtz_wavenumber_2d")
    u = FORWARD["helmholtz_wavenumber_2d"](TRUE["helmholtz_wavenumber_2d"], x)
    fit = least_squares(
        lambda k: (FORWARD["helmholtz_wavenumber_2d"]({"kappa": k[0]}, x) - u)[:, 0], [4.31 * PI], xtol=1e-12
    )
    assert fit.x[0] == pytest.approx(4.35 * PI, rel=1e-9)


# --- residuals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_SOLUTION)
def test_exact_solution_with_the_true_unknowns_satisfies_everything(name):
    problem = load_problem(name, noise=0)
    put(problem, problem.true_unknowns)
    data = collocation(problem, few=500, distribution="pseudo")
    found = sizes(residual_vectors(data, as_network(problem.solution)))
    # the same function at other points is no solution
    scale = sizes(residual_vectors(data, as_network(problem.solution, 0.9, 0.037)))
    for term, small, large in zip(problem.term_names, found, scale, strict=True):
        assert small < 1e-10 * max(large, 1.0), term
        assert large > 1e-2 or term == "steady_a", term


@pytest.mark.parametrize(("name", "unknown"), [(n, u) for n in SCALAR if n in WITH_SOLUTION for u in TRUE[n]])
def test_exact_solution_with_another_value_of_an_unknown_fails(name, unknown):
    problem = load_problem(name, noise=0)
    data = collocation(problem, few=500, distribution="pseudo")
    changes = []
    for factor in (1.001, 1.1):
        put(problem, {**TRUE[name], unknown: factor * TRUE[name][unknown]})
        changes.append(sizes(residual_vectors(data, as_network(problem.solution)))[0])
    put(problem, problem.start_values)
    assert 1e-3 < changes[0] < 0.1 * changes[1]
    assert sizes(residual_vectors(data, as_network(problem.solution)))[0] > changes[1]


@pytest.mark.parametrize("name", FIELD)
def test_exact_state_with_another_field_fails(name):
    problem = load_problem(name, noise=0)
    data = collocation(problem, few=500, distribution="pseudo")

    def other(x):
        u = problem.solution(x)
        return np.hstack([u[:, 0:1], u[:, 1:2] + 1e-3 * x[:, -1:]])

    found = dict(zip(problem.term_names, sizes(residual_vectors(data, as_network(other))), strict=True))
    assert found["heat" if "heat" in found else "pde"] > 1e-4
    assert found["boundary_a"] == pytest.approx(1e-3, rel=1e-2)
    assert found.get("steady_a", 1e-3) == pytest.approx(1e-3)
    assert found["data u"] < 1e-12


def interpolated(name, unknowns, box, counts):
    """The forward solution's Chebyshev interpolant on a box, written with NumPy for `as_network`."""
    axes = [(a + b) / 2 + (b - a) / 2 * chebyshev.chebpts2(n) for (a, b), n in zip(box, counts, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(box))
    coefficients = FORWARD[name](unknowns, points).reshape(*counts, -1)
    for axis, n in enumerate(counts):
        inverse = np.linalg.inv(chebyshev.chebvander(chebyshev.chebpts2(n), n - 1))
        coefficients = np.moveaxis(np.tensordot(inverse, coefficients, (1, axis)), 0, axis)
    coefficients = coefficients.reshape(counts[0], -1, coefficients.shape[-1])

    def polynomials(x, axis):
        (a, b), n = box[axis], counts[axis]
        z = (2 * x[:, axis : axis + 1] - a - b) / (b - a)
        columns = [0 * z + 1, z]
        while len(columns) < n:
            columns.append(2 * z * columns[-1] - columns[-2])
        return np.hstack(columns)

    def solution(x):
        first = polynomials(x, 0)
        if len(box) == 1:
            return first @ coefficients[:, 0]
        second, ones = polynomials(x, 1), np.ones((counts[1], 1))
        return np.hstack([((first @ coefficients[..., c]) * second) @ ones for c in range(coefficients.shape[-1])])

    return solution


@pytest.mark.parametrize(
    ("name", "unknowns", "box", "counts"),
    [
        ("lorenz", {"sigma": 9.0, "rho": 14.0, "beta": 2.0}, [(0, 3)], (90,)),
        ("reaction_diffusion_1d", {"D": 4e-3, "k_f": 0.3}, [(0, 1), (2, 10)], (40, 30)),
        ("burgers_inverse_1d", {"l1": 0.7, "l2": 0.1}, [(-1, 1), (0.2, 1)], (60, 40)),
        ("helmholtz_wavenumber_2d", {"kappa": 4.2 * PI}, [(0, 1), (0, 1)], (45, 45)),
    ],
)
def test_equation_is_that_of_the_forward_solver(name, unknowns, box, counts):
    """Without an exact solution: the forward solver's own, interpolated, at unknowns other than the true ones."""
    problem = load_problem(name)
    data = collocation(problem, few=800, distribution="pseudo")
    net = as_network(interpolated(name, unknowns, box, counts))
    equations = len(problem.residual_names)
    inside = data.train_x[sum(data.num_bcs) :]
    inside = torch.as_tensor(((inside >= np.array(box)[:, 0]) & (inside <= np.array(box)[:, 1])).all(axis=1))
    assert inside.sum() > 100

    def residuals(values):
        put(problem, values)
        vectors = residual_vectors(data, net)[:equations]
        return [v[inside].detach().abs().max().item() for v in vectors]

    truth = residuals(unknowns)
    for unknown, value in unknowns.items():
        changed = residuals({**unknowns, unknown: 1.1 * value})
        assert max(b / max(a, 1e-9) for a, b in zip(truth, changed, strict=True)) > 1e3, unknown
    assert max(truth) < 1e-4


@pytest.mark.parametrize("name", [n for n in TRUE if n not in WITH_SOLUTION])
def test_conditions_are_those_of_the_forward_solver(name, default):
    problem = default(name)
    for term, condition in problem.conditions.items():
        x = (
            condition.points
            if term.startswith("data")
            else condition.collocation_points(
                np.vstack([problem.geometry.uniform_boundary_points(40), initial_points(problem)])
            )
        )
        u = FORWARD[name](TRUE[name], x)
        error = condition.error(x, torch.as_tensor(x), torch.as_tensor(u), 0, len(x))
        # the start of reaction_diffusion_1d is a projection and does not fit its boundary values to 2e-9
        assert error.abs().max() < 1e-8, term


def initial_points(problem):
    return problem.geometry.uniform_initial_points(40) if problem.in_time else np.zeros((0, problem.dim))


# --- data ---------------------------------------------------------------------------------------------------------


def test_noise_has_the_stated_deviation():
    clean = np.random.default_rng(3).normal(size=(40_000, 2)) * [1, 50] + [0, 200]
    for relative, unit in ((True, np.sqrt(np.mean(clean**2, axis=0))), (False, np.ones(2))):
        error = noisy(clean, 0.05, 4, relative=relative) - clean
        assert np.allclose(error.std(axis=0), 0.05 * unit, rtol=0.02)
        assert np.abs(error.mean(axis=0)).max() < 0.05 * unit.max() * 0.02
        assert abs(np.corrcoef(error.T)[0, 1]) < 0.02
    assert np.array_equal(noisy(clean, 0.0, 4), clean) and noisy(clean, 0.0, 4) is not clean
    assert np.allclose(noisy(clean, 0.1, 4) - clean, 2 * (noisy(clean, 0.05, 4) - clean))


@pytest.mark.parametrize("name", TRUE)
def test_observations_are_the_truth_with_reproducible_noise(name):
    points, clean = data_of(load_problem(name, noise=0, data_seed=5))
    assert np.abs(clean - FORWARD[name](TRUE[name], points)).max() < 1e-9 * np.abs(clean).max()
    same, values = data_of(load_problem(name, noise=0.1, data_seed=5))
    assert np.array_equal(points, same)
    absolute = name in ABSOLUTE
    unit = np.ones(clean.shape[1]) if absolute else np.sqrt(np.mean(clean**2, axis=0))
    # four standard deviations of a sample deviation
    assert np.allclose((values - clean).std(axis=0), 0.1 * unit, rtol=4 / np.sqrt(2 * len(points)))
    assert np.array_equal(values, noisy(clean, 0.1, 5, relative=not absolute))
    other_points, other = data_of(load_problem(name, noise=0.1, data_seed=6))
    assert not np.allclose(other, values)
    assert np.array_equal(points, other_points) == (name in ("lorenz", "elliptic_coefficient_2d"))
    assert catalogue()[name].parameters["noise"] == (0.1 if absolute else 0)


@pytest.mark.parametrize("name", ["lorenz", "oscillating_coefficient_1d", "elliptic_coefficient_2d"])
def test_number_of_observations(name):
    points, values = data_of(load_problem(name, observations=16))
    assert len(points) == len(values) == 16


def test_synthetic_data_are_computed_once_and_are_the_callers_own(monkeypatch):
    calls = []
    forward = FORWARD["lorenz"]
    monkeypatch.setitem(FORWARD, "lorenz", lambda *a, **k: calls.append(1) or forward(*a, **k))
    t = np.linspace(0, 2.5, 11)[1:, None]
    one = synthetic("lorenz", t, **TRUE["lorenz"])
    one += 1
    two = synthetic("lorenz", t, **TRUE["lorenz"])
    assert np.array_equal(one, two + 1) and len(calls) == 1
    with pytest.raises(InputError, match="choose from"):
        synthetic("lorentz", t)


@pytest.mark.parametrize("name", TRUE)
def test_instances_are_independent(name, default):
    one, two = default(name), load_problem(name)
    assert not {id(v) for v in one.unknowns.values()} & {id(v) for v in two.unknowns.values()}
    before = data_of(one)[1].copy()
    assert np.array_equal(before, data_of(two)[1])
    put(two, dict.fromkeys(two.unknowns, 3.0))
    next(c for n, c in two.conditions.items() if n.startswith("data ")).values.zero_()
    assert all(one.unknowns[u].item() == one.start_values[u] for u in one.unknowns)
    assert np.array_equal(before, data_of(one)[1])


@pytest.mark.parametrize("name", SCALAR)
def test_starts_are_not_the_truth(name, default):
    problem = default(name)
    for unknown, true in problem.true_unknowns.items():
        assert abs(problem.start_values[unknown] / true - 1) > 0.1


@pytest.mark.parametrize("name", TRUE)
def test_single_precision(name):
    assert load_problem(name, dtype="float32").dtype == "float32"


def test_parameters_of_the_fields(default):
    for name in ("oscillating_coefficient_1d", "heat_coefficient_2d"):
        assert "boundary_a" in default(name).conditions
        assert "boundary_a" not in load_problem(name, a_known=0).conditions
    with pytest.raises(InputError, match="square"):
        load_problem("elliptic_coefficient_2d", observations=50)
