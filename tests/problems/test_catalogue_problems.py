"""The catalogue: exact solutions have zero residuals, references agree with them, loaded instances are independent."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exact import as_network
from repnet_pde.validation.campaigns.measured import measured
from repnet_pde.validation.finite_difference import burgers_cole_hopf

from repnet_pde import catalogue, load_problem
from repnet_pde.checking.accuracy import reference_of
from repnet_pde.errors import InputError
from repnet_pde.problem.load import folder
from repnet_pde.problem.points import collocation, scattered_points
from repnet_pde.problem.residuals import residual_vectors

OTHERS = [
    ("poisson_two_scale_1d", {"low": 1.3, "high": 17.9, "amplitude": 0.7}),
    ("poisson_two_scale_1d", {"low": 2, "high": 200, "amplitude": -0.05}),
    ("poisson_chirp_1d", {"low": 0.7, "high": 3.3}),
    ("poisson_chirp_1d", {"low": 8, "high": -3}),
    ("poisson_four_scale_1d", {"packet": 53.3, "width": 0.3, "amplitude": -2}),
    ("convection_diffusion_1d", {"epsilon": 0.03}),
    ("elliptic_multiscale_1d", {"epsilon": 0.07}),
    ("heat_high_frequency_1d", {"m": 7.3}),
    ("wave_two_mode_1d", {"speed": 0.6}),
    ("advection_1d", {"speed": -7.3}),
    ("helmholtz_2d", {"kappa": 5.2}),
    ("helmholtz_modes_2d", {"a1": 2.3, "a2": 0.4, "k": 3.7}),
    ("helmholtz_modes_2d", {"a1": 1, "a2": -6, "k": 0}),
    ("klein_gordon_1d", {"omega": 7.3}),
    ("bratu_1d", {"strength": 3.4}),
    ("helmholtz_heterogeneous_2d", {"kappa": 9.1, "variation": -0.3}),
    ("poisson_rings_2d", {"m": 2.3}),
    ("poisson_nonlinear_2d", {"m": 1}),
    ("poisson_perforated_2d", {"k": 7.1, "radius": 0.15}),
    ("heat_multiscale_2d", {"m": 3}),
    ("poisson_multiscale_4d", {"k": 4.3}),
    ("wave_four_frequency_1d", {"omega": 0.13, "amplitude": 3}),
    ("elliptic_layered_2d", {"contrast": 0.1, "m": 3}),
    ("kovasznay_2d", {"reynolds": 40}),
]
INVERSE = [name for name, entry in catalogue().items() if "data_seed" in entry.parameters]  # test_inverse_problems.py
SAMPLED = [name for name, entry in catalogue().items() if "sample_seed" in entry.parameters]  # test_fit.py
FORWARD = [name for name in catalogue() if name not in (*INVERSE, *SAMPLED)]
WITHOUT_SOLUTION = ["allen_cahn_1d", "burgers_1d", "elliptic_multiscale_2d", "korteweg_de_vries_1d"]
WITH_SOLUTION = [name for name in FORWARD if name not in WITHOUT_SOLUTION]
CASES = [(name, {}) for name in WITH_SOLUTION] + OTHERS
IDS = [f"{name}-{'-'.join(f'{v:g}' for v in parameters.values()) or 'default'}" for name, parameters in CASES]


def sizes(vectors):
    return [v.detach().abs().max().item() for v in vectors]


def test_every_problem_is_tested_here():
    assert {name for name, _ in OTHERS} == set(WITH_SOLUTION)
    assert all((load_problem(name).solution is None) == (name in WITHOUT_SOLUTION) for name in FORWARD)


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=IDS)
def test_the_exact_solution_satisfies_equation_and_conditions(name, parameters):
    problem = load_problem(name, **parameters)
    data = collocation(problem, distribution="pseudo")
    found = sizes(residual_vectors(data, as_network(problem.solution)))
    # The same function at slightly other points, and tilted, is no solution: its residuals have the size of the terms.
    moved = as_network(problem.solution, torch.tensor([0.7, 0.93, 0.6, 0.8][: problem.dim]), 0.037)
    scale = sizes(residual_vectors(data, lambda x: moved(x) * (1 + 0.1 * x.sum(1, keepdim=True))))
    for term, small, large in zip(problem.term_names, found, scale, strict=True):
        assert large > 1e-2, term
        assert small < 1e-10 * large, term


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=IDS)
def test_the_solution_agrees_with_the_reference_at_its_nodes(name, parameters):
    problem = load_problem(name, **parameters)
    reference = reference_of(problem)
    x, u = reference.points()
    difference = problem.solution(x) - u
    assert reference.converged
    assert np.abs(difference).max() <= reference.error_estimate
    assert (
        reference.error_estimate
        < (1e-3 if name in ("poisson_perforated_2d", "elliptic_layered_2d") else 1e-5) * np.abs(u).max()
    )


def test_points_inside_are_not_taken_for_the_boundary(monkeypatch):
    problem = load_problem("burgers_1d")
    draw, close = problem.geometry.random_points, [1 - 5e-6, 0.5]  # which DeepXDE takes for x = 1
    assert problem.geometry.on_boundary(np.array([close])).all()
    unlucky = iter([close])

    def random_points(n, random):
        return np.vstack([*([x] for x in unlucky), draw(n, random)])[:n]

    monkeypatch.setattr(problem.geometry, "random_points", random_points)
    np.random.seed(0)
    x = collocation(problem, distribution="pseudo").train_x
    assert next(unlucky, None) is None
    assert ((x[:, 0] == -1) | (x[:, 0] == 1) | (np.abs(x[:, 0]) < 1 - 2e-5)).all()


@pytest.mark.parametrize("nu", [0.01 / np.pi, 0.05])
def test_the_burgers_reference_agrees_with_cole_and_hopf(nu):
    reference = reference_of(load_problem("burgers_1d", nu=nu))
    x, u = reference.points(4000)
    assert np.abs(u[:, 0] - burgers_cole_hopf(x[:, 0], x[:, 1], nu)).max() <= reference.error_estimate
    assert reference.error_estimate < 1e-5


def test_the_burgers_equation_holds_for_a_known_solution():
    """The travelling front u = c - a tanh(a (x - c t) / (2 nu)) satisfies u_t + u u_x = nu u_xx."""
    a, c, nu = 0.4, 0.3, 0.05
    problem = load_problem("burgers_1d", nu=nu)
    data = collocation(problem)
    front = as_network(lambda x: c - a * np.tanh(a * (x[:, 0:1] - c * x[:, 1:2]) / (2 * nu)))
    other = as_network(lambda x: c - a * np.tanh(a * (x[:, 0:1] - 2 * c * x[:, 1:2]) / (2 * nu)))
    assert sizes(residual_vectors(data, front))[0] < 1e-12 * sizes(residual_vectors(data, other))[0]


def test_the_burgers_conditions_are_those_of_its_reference():
    problem = load_problem("burgers_1d")
    data = collocation(problem)
    initial = as_network(lambda x: -np.sin(np.pi * x[:, 0:1]) + 0 * x[:, 1:2])
    _, boundary, start = sizes(residual_vectors(data, initial))  # zero at x = -1, 1 at all times
    assert boundary < 1e-13 and start < 1e-13  # sin(pi) is rounded
    x, u = reference_of(problem).points()
    begin, sides = x[:, 1] == 0, np.abs(x[:, 0]) == 1
    assert np.abs(u[begin, 0] + np.sin(np.pi * x[begin, 0])).max() < 1e-12
    assert np.abs(u[sides]).max() == 0


def test_the_allen_cahn_equation_holds_for_a_known_solution():
    """The front u = (tanh((x - c t) / w) - 1) / 2, w² = 8 d / 5, c² = 45 d / 2, satisfies u_t = d u_xx + 5 (u - u³)."""
    d = 0.02
    width, speed = np.sqrt(8 * d / 5), np.sqrt(45 * d / 2)
    data = collocation(load_problem("allen_cahn_1d", d=d))

    def front(c):
        return as_network(lambda x: (np.tanh((x[:, 0:1] - c * x[:, 1:2]) / width) - 1) / 2)

    good, bad = (sizes(residual_vectors(data, front(c)))[0] for c in (speed, 1.1 * speed))
    assert good < 1e-12 * bad


def test_the_allen_cahn_conditions_are_those_of_its_reference():
    problem = load_problem("allen_cahn_1d")
    initial = as_network(lambda x: x[:, 0:1] ** 2 * np.cos(np.pi * x[:, 0:1]) + 0 * x[:, 1:2])
    _, boundary, start = sizes(residual_vectors(collocation(problem), initial))  # -1 at x = -1, 1 at all times
    assert boundary < 1e-13 and start < 1e-13  # sin(pi) is rounded
    x, u = reference_of(problem).points()
    begin, sides = x[:, 1] == 0, np.abs(x[:, 0]) == 1
    assert np.abs(u[begin, 0] - x[begin, 0] ** 2 * np.cos(np.pi * x[begin, 0])).max() < 1e-12
    assert np.abs(u[sides] + 1).max() == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_the_navier_stokes_equations_hold_for_flows_with_a_pressure_along_y(sign):
    """Kovasznay's has none: a rotation, held by grad p, and Poiseuille's flow upwards."""
    nu = 0.05
    problem = load_problem("kovasznay_2d", reynolds=1 / nu)

    def rotation(x):
        return np.hstack([-2 * x[:, 1:2], 2 * x[:, 0:1], sign * 2 * (x[:, 0:1] ** 2 + x[:, 1:2] ** 2)])

    def upwards(x):
        return np.hstack([0 * x[:, 0:1], x[:, 0:1] * (3 - x[:, 0:1]), -sign * 2 * nu * x[:, 1:2]])

    data = collocation(problem)
    for flow in (rotation, upwards):
        momentum_x, momentum_y, continuity = sizes(residual_vectors(data, as_network(flow)))[:3]
        assert continuity == 0
        if sign == 1:
            assert max(momentum_x, momentum_y) < 1e-14
        else:
            assert momentum_y > 0.1


def test_the_pressure_is_given_at_the_outflow_and_the_velocity_all_around():
    problem = load_problem("kovasznay_2d")
    boundary = problem.geometry.uniform_boundary_points(400)
    u, v, p = (problem.conditions[name].collocation_points(boundary) for name in problem.conditions)
    assert len(u) == len(v) == len(boundary) > len(p) > 50
    assert (p[:, 0] == 1).all() and len(p) == (boundary[:, 0] == 1).sum()
    assert [c.component for c in problem.conditions.values()] == [0, 1, 2]


@pytest.mark.parametrize(("name", "changed"), [(n, p) for n, p in OTHERS if n != "wave_two_mode_1d"][1:])
def test_instances_of_a_problem_are_independent(name, changed):
    one = load_problem(name)
    data = collocation(one)
    net = as_network(one.solution, 1.01)
    before = [v.detach().clone() for v in residual_vectors(data, net)]
    other = load_problem(name, **changed)
    others = [v.detach() for v in residual_vectors(collocation(other), net)]
    after = [v.detach() for v in residual_vectors(data, net)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(before, others, strict=True))
    assert dict(one.parameters) == catalogue()[name].parameters != dict(other.parameters)


def test_boundary_values_follow_the_points():
    """DeepXDE keeps boundary values by the address of the points' array, which a later array may be given."""
    problem = load_problem("helmholtz_2d")
    solution = as_network(problem.solution)
    for seed in range(60):
        np.random.seed(seed)
        boundary = residual_vectors(collocation(problem, distribution="pseudo"), solution)[1]
        assert boundary.detach().abs().max() < 1e-12, f"draw {seed}"


def test_catalogue_states_names_equations_and_defaults():
    entries = catalogue()
    wanted = {"poisson_two_scale_1d", "poisson_chirp_1d", "heat_high_frequency_1d", "wave_two_mode_1d", "helmholtz_2d"}
    wanted |= {"helmholtz_modes_2d", "kovasznay_2d", "advection_1d", "klein_gordon_1d", *WITHOUT_SOLUTION}
    wanted |= {"convection_diffusion_1d", "elliptic_multiscale_1d", "poisson_four_scale_1d", "bratu_1d"}
    wanted |= {"helmholtz_heterogeneous_2d", "poisson_rings_2d", "poisson_nonlinear_2d", "poisson_perforated_2d"}
    wanted |= {"heat_multiscale_2d", "elliptic_layered_2d", "wave_four_frequency_1d", "poisson_multiscale_4d"}
    assert wanted == set(FORWARD)
    for name, entry in entries.items():
        problem = load_problem(name)
        module = __import__(f"repnet_pde.problems.{name}", fromlist=["problem"])
        defaults = {k: p.default for k, p in inspect.signature(module.problem).parameters.items()}
        assert entry.name == name and entry.path.stem == name
        assert entry.parameters == defaults == dict(problem.parameters)
        assert problem.name == name and problem.source == str(entry.path)
        assert problem.reference == name or name in (*INVERSE, *SAMPLED)
        assert module.__doc__.startswith(entry.title) and entry.equation == inspect.cleandoc(module.__doc__)


def test_what_was_measured():
    """Of problems of the catalogue that were validated whole; and the file that is shipped names no others."""
    made = [("chirp_1d", 1.26e-9, 0), ("jump_1d", 1e-3, 2), ("burst_1d", None, 0), ("mine.py", 1e-3, 0)]
    found = [SimpleNamespace(problem=name, error=error, missing=missing) for name, error, missing in made]
    assert measured(found) == {"chirp_1d": 1.3e-9}
    for name, entry in catalogue().items():
        tolerance = load_problem(name).tolerance
        assert entry.measured is None or tolerance is None or 0 < entry.measured <= tolerance, name


def test_parameters_reach_the_problem():
    problem = load_problem("heat_high_frequency_1d", m=3)
    x = np.array([[0.25, 0.5]])
    assert problem.solution(x)[0, 0] == pytest.approx(np.exp(-0.5) * np.sin(0.75 * np.pi), rel=1e-15)
    assert problem.parameters == {"m": 3} and problem.wavenumber == pytest.approx((3 * np.pi, np.pi))


def test_listing_imports_neither_torch_nor_deepxde(process):
    program = """
import sys
from repnet_pde.cli.main import main
try:
    main(["list"])
except SystemExit as end:
    assert end.code == 0
import repnet_pde
assert len(repnet_pde.catalogue()) == FILES
heavy = {"torch", "deepxde", "matplotlib", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    files = len(list(folder().glob("[!_]*.py")))
    done = process("-c", program.replace("FILES", str(files)))
    assert done.returncode == 0, done.stderr
    assert "helmholtz_2d" in done.stdout


def test_functions_are_not_hidden_by_the_modules_of_their_names(process):
    program = """
import repnet_pde.problem.load, repnet_pde.planning.plan, repnet_pde.running.solve, repnet_pde.fitting.fit
assert callable(repnet_pde.catalogue), repnet_pde.catalogue
from repnet_pde import fit, plan, resume, solve
assert callable(fit) and callable(plan)
assert callable(solve) and callable(resume) and solve.__name__ == "solve"
assert not [name for name in repnet_pde.__all__ if getattr(repnet_pde, name) is None]
"""
    done = process("-c", program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [*FORWARD, *INVERSE])
def test_points_resolve_the_wavenumber(name):
    """At least eight points for each wave of the largest wavenumber along each axis, unless the cap is reached."""
    problem = load_problem(name)
    points = problem.points()
    waves = np.asarray(problem.wavenumber) * problem.box.half_width / np.pi
    assert points.domain >= min(20_000, (8 * waves).prod())
    assert points.test >= 2000


def test_test_points_are_not_training_points():
    problem = load_problem("helmholtz_2d")
    training = {tuple(x) for x in collocation(problem).train_x}
    x = scattered_points(problem, 500)
    assert x.shape == (500, 2) and not training & {tuple(row) for row in x}
    assert ((x > 0) & (x < 1)).all()


def test_load_problem_from_file_equals_the_catalogue():
    entry = catalogue()["poisson_chirp_1d"]
    by_path, by_name = load_problem(entry.path, high=4), load_problem("poisson_chirp_1d", high=4)
    assert by_path.name == by_name.name and by_path.parameters == by_name.parameters
    x = np.linspace(0, 1, 9)[:, None]
    assert np.array_equal(by_path.solution(x), by_name.solution(x))


def test_problem_is_frozen():
    problem = load_problem("helmholtz_2d")
    with pytest.raises(AttributeError):
        problem.wavenumber = 3
    with pytest.raises(TypeError):
        problem.conditions["another"] = None
    with pytest.raises(InputError, match="choose from"):
        load_problem("helmholtz")
