"""Least squares and Gauss-Newton: digits on linear problems, and what they do with others."""

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, Problem, Sampling, load_problem, set_precision, solve
from repnet_pde.analysis.linearity import is_linear
from repnet_pde.linalg.dense import Factorization, Linearization, row_scales, stack
from repnet_pde.planning.automatic import automatic_method

PI = np.pi


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")


def line_problem(pde, solution, **fields):
    line = dde.geometry.Interval(0, 1)
    conditions = {"ends": dde.icbc.DirichletBC(line, solution, lambda x, on: on)}
    return Problem(**{"geometry": line, "pde": pde, "conditions": conditions, "solution": solution} | fields)


def bratu():
    """u'' + e^u = f, nonlinear, u = sin 3 pi x."""

    def pde(x, u):
        exact = torch.sin(3 * PI * x)
        return dde.grad.hessian(u, x) + torch.exp(u) + (3 * PI) ** 2 * exact - torch.exp(exact)

    return line_problem(pde, lambda x: np.sin(3 * PI * x), wavenumber=6 * PI)


def terms_of(*sizes, columns=6):
    generator = torch.Generator().manual_seed(0)
    return [
        Linearization(
            f"term {i}",
            torch.randn(n, generator=generator, dtype=torch.float64),
            10.0**i * torch.randn(n, columns, generator=generator, dtype=torch.float64),
        )
        for i, n in enumerate(sizes)
    ]


def test_factorization_solves_the_scaled_least_squares_problem():
    terms = terms_of(40, 7)
    scales = row_scales(terms)
    a, b = stack(terms, scales)
    factor = Factorization(a)
    for right in (b, b.flip(0)):  # one factorisation, several right-hand sides
        expected = -torch.linalg.lstsq(a, right[:, None]).solution[:, 0]
        torch.testing.assert_close(factor.solve(right), expected, rtol=1e-10, atol=1e-12)
    assert factor.rank() == 6
    assert all((t.jacobian * s).square().sum(1).mean() == pytest.approx(1) for t, s in zip(terms, scales, strict=True))


def test_factorization_with_dependent_columns_and_few_rows():
    """The regularisation gives the solution of smallest norm, and the numerical rank leaves out what is dependent."""
    (term,) = terms_of(40)
    term.jacobian[:, 5] = term.jacobian[:, 4]
    factor = Factorization(term.jacobian)
    wanted = torch.arange(6.0, dtype=torch.float64)
    delta = factor.solve(-term.jacobian @ wanted)
    assert factor.rank() == 5
    torch.testing.assert_close(term.jacobian @ delta, term.jacobian @ wanted)
    assert delta.norm() < 1.1 * wanted.norm()
    (few,) = terms_of(3)
    factor = Factorization(few.jacobian)
    delta = factor.solve(few.residual)
    assert factor.rank() == 3
    torch.testing.assert_close(few.jacobian @ delta, -few.residual)
    torch.testing.assert_close(delta, -torch.linalg.pinv(few.jacobian) @ few.residual, rtol=1e-6, atol=1e-8)


def test_factorization_of_ill_conditioned_columns_keeps_the_digits():
    """Against the singular value decomposition cut off at rounding, on sine features that are dependent to rounding."""
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
    k = torch.linspace(0, 30, 80, dtype=torch.float64)
    a, u = torch.sin(x * k + 1.7 * torch.arange(80)), torch.exp(x[:, 0]) * torch.sin(9 * x[:, 0])
    factor = Factorization(a)
    left = (a @ factor.solve(-u) - u).norm() / u.norm()
    best = (a @ (torch.linalg.pinv(a, rtol=1e-15) @ u) - u).norm() / u.norm()
    assert 30 < factor.rank() < 75
    assert left < max(10 * best, 1e-14)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("poisson_two_scale_1d", 1e-10),
        ("poisson_chirp_1d", 1e-10),
        ("helmholtz_2d", 1e-10),
        ("wave_two_mode_1d", 1e-8),
    ],
)
def test_linear_problems_to_many_digits(name, tolerance):
    result = solve(load_problem(name), progress=False)
    assert result.method == "least-squares"
    assert result.errors.relative_l2 < tolerance
    assert result.reference_errors.relative_l2 < 2 * (tolerance + result.reference.relative_l2_estimate)
    assert "linear problem solved, numerical rank" in result.stages[0]


def test_the_wavenumber_need_not_be_stated():
    k = 30 * PI

    def pde(x, u):
        return dde.grad.hessian(u, x) + (2 + torch.cos(x)) * u - (2 + torch.cos(x) - k**2) * torch.sin(k * x)

    result = solve(line_problem(pde, lambda x: np.sin(k * x)), progress=False)
    assert result.errors.relative_l2 < 1e-9
    assert any("wavenumber estimated" in note for note in result.notes)


def test_too_small_a_wavenumber_is_made_good():
    """The held-out residual tells that the features do not reach, and wider ones are tried."""
    problem = load_problem("poisson_two_scale_1d")
    problem._set(wavenumber=(20 * PI,))
    assert solve(problem, progress=False).errors.relative_l2 < 1e-8


def test_tanh_and_gaussian_features():
    problem = load_problem("poisson_two_scale_1d")
    assert solve(problem, "repnet", progress=False).errors.relative_l2 < 1e-3
    assert solve(problem, "repnet-gaussian", progress=False).errors.relative_l2 < 1e-3


def test_linearity_is_found():
    assert is_linear(load_problem("heat_high_frequency_1d"))
    assert not is_linear(load_problem("burgers_1d"))
    assert not is_linear(bratu())
    assert automatic_method(bratu(), None, None)[0] == "least-squares"
    assert automatic_method(load_problem("burgers_1d"), None, None)[0] == "marching"
    assert automatic_method(load_problem("burgers_1d"), "repnet", None)[0] == "gauss-newton"
    assert automatic_method(load_problem("helmholtz_2d"), "fnn", {"layers": [500, 500]})[0] == "adam+lbfgs"
    assert automatic_method(load_problem("helmholtz_2d", dtype="float32"), None, None)[0] == "adam+lbfgs"


def test_newton_on_the_last_layer_of_a_nonlinear_problem():
    result = solve(bratu(), "repnet-sin", "least-squares", network_options={"layers": [60]}, progress=False)
    assert result.errors.relative_l2 < 1e-9
    assert "Newton's method converged" in result.stages[0]


@pytest.mark.parametrize("reynolds", [20.0, 40.0])
def test_auto_takes_newton_for_a_nonlinear_system(reynolds):
    """Kovasznay flow: three outputs, quadratic terms, from zero; at 40 the first Jacobian soon gains nothing."""
    result = solve(load_problem("kovasznay_2d", reynolds=reynolds), progress=False)
    assert result.method == "least-squares"
    assert result.errors.relative_l2 < 1e-8


def test_gauss_newton_on_a_nonlinear_problem():
    result = solve(bratu(), None, "gauss-newton", iterations=60, network_options={"layers": [20, 10]}, progress=False)
    assert result.method == "gauss-newton"
    assert result.errors.relative_l2 < 1e-4


def test_gauss_newton_identifies_an_unknown():
    a = dde.Variable(1.0)

    def pde(x, u):
        return dde.grad.hessian(u, x) + a * u

    line = dde.geometry.Interval(0, 1)
    x = np.linspace(0, 1, 15)[:, None]
    problem = Problem(
        geometry=line,
        pde=pde,
        conditions={"data": dde.icbc.PointSetBC(x, np.sin(2 * PI * x))},
        unknowns={"a": a},
        true_unknowns={"a": 4 * PI**2},
        sampling=Sampling(domain=60),
    )
    result = solve(problem, iterations=80, network_options={"layers": [12, 8]}, progress=False)
    assert result.method == "gauss-newton"
    assert result.unknowns["a"] == pytest.approx(4 * PI**2, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "least-squares", "dtype": "float32"}, "dtype: 'float32'.*least-squares needs 'float64'"),
        ({"method": "gauss-newton", "method_options": {"gauss-newton": {"damping": 0}}}, "damping: 0 given"),
        ({"method": "least-squares", "method_options": {"least-squares": {"cutoff": 2}}}, "cutoff: 2 given"),
        ({"method": "newton"}, "method: 'newton' is not known.*gauss-newton"),
    ],
)
def test_bad_arguments(arguments, message):
    problem = load_problem("poisson_two_scale_1d", dtype=arguments.get("dtype", "float64"))
    with pytest.raises(InputError, match=message):
        solve(problem, **arguments, progress=False)


def test_rows_that_mix_points_take_the_slower_route():
    """u'' - mean u = 1, u(0) = u(1) = 0: u = a x (1 - x) / 2 with a (-1 - 1/12) = 1 in the mean over even points."""
    problem = line_problem(
        lambda x, u: dde.grad.hessian(u, x) - u.mean() - 1, lambda x: -6 / 13 * x * (1 - x), wavenumber=PI
    )
    result = solve(problem, progress=False, network_options={"layers": [20]})
    assert result.errors.relative_l2 < 1e-2
