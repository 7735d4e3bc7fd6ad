"""The verdict: relative residuals, the error indicator against the true error, and too few points found out."""

import deepxde as dde
import numpy as np
import pytest
import torch
from exact import as_network

from repnet_pde import Problem, Sampling, load_problem, set_precision, solve
from repnet_pde.jets import orders
from repnet_pde.residuals import collocation
from repnet_pde.verify import relative_residuals, verdict

PI = np.pi


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")


@pytest.mark.parametrize("name", ["poisson_chirp_1d", "wave_two_mode_1d", "helmholtz_modes_2d"])
def test_relative_residuals(name):
    """Rounding for the exact solution; of order one for another function; unchanged by units of the equation."""
    problem = load_problem(name)
    data = collocation(problem, distribution="pseudo")
    indices = orders(collocation(problem, few=20), 1)
    exact = relative_residuals(data, as_network(problem.solution), problem.term_names, indices)
    other = relative_residuals(data, as_network(problem.solution, 1.13, 0.02), problem.term_names, indices)
    assert max(exact.values()) < 1e-12
    assert 1e-2 < max(other.values()) < 10
    pde = problem.pde
    problem._set(pde=lambda x, u: 1e6 * pde(x, u))
    scaled = relative_residuals(
        collocation(problem, distribution="pseudo"),
        as_network(problem.solution, 1.13, 0.02),
        problem.term_names,
        indices,
    )
    assert scaled["pde"] == pytest.approx(other["pde"], rel=0.2)


@pytest.mark.parametrize("name", ["poisson_two_scale_1d", "poisson_chirp_1d", "helmholtz_modes_2d"])
def test_the_error_indicator_tells_the_error(name):
    result = solve(load_problem(name), progress=False)
    assert result.verdict == "converged"
    error, indicator = result.errors.relative_l2, result.check.error_indicator
    assert error < max(30 * indicator, 1e-12)


def test_too_few_features_are_not_called_converged():
    """The user asks for fewer features than the solution needs."""
    result = solve(load_problem("helmholtz_2d"), network_options={"layers": [60]}, progress=False)
    assert result.errors.relative_l2 > 1e-2
    assert result.verdict != "converged"


def test_too_few_points_are_found_out():
    """Eighty features through fifteen points: the training residual is zero and means nothing."""
    problem = load_problem("poisson_two_scale_1d")
    problem._set(sampling=Sampling(domain=15))
    options = {"network_options": {"layers": [80]}, "method": "least-squares", "progress": False}
    result = solve(problem, **options)
    assert result.errors.relative_l2 > 1e-3
    assert result.verdict == "not converged"


def test_a_solution_that_is_not_determined():
    """u'' = f without boundary conditions: the residual is zero, and so it is for u + a + b x."""
    line = dde.geometry.Interval(0, 1)
    problem = Problem(geometry=line, pde=lambda x, u: dde.grad.hessian(u, x) + torch.sin(9 * x), wavenumber=9.0)
    result = solve(problem, progress=False)
    assert max(result.check.relative.values()) < 1e-8
    assert result.verdict != "converged"


def test_the_verdict_of_numbers():
    small, large = {"pde": 1e-9, "ends": 1e-12}, {"pde": 1e-9, "ends": 0.1}
    assert verdict(small, small, 1e-9, True)[0] == "converged"
    assert verdict(small, small, None, True)[0] == "residual small but not verified"
    assert verdict(large, large, 1e-9, True)[0] == "not converged" and "ends" in verdict(large, large, 1e-9, True)[1]
    assert verdict(small, small, 0.5, True)[0] == "not converged"
    assert verdict(small, small, 1e-9, False)[0] == "not converged"
    assert "training points" in verdict({"pde": 1e-4}, {"pde": 1e-7}, None, True)[1]
    assert verdict({"pde": float("nan")}, {"pde": 1.0}, None, True)[0] == "not converged"
    assert verdict(None, None, 1e-9, True)[0] == "residual small but not verified"
