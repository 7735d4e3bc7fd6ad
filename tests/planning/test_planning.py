"""What planning believes before a solve: the operator at all points, linearity and wavenumbers."""

import dataclasses

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, Problem, limits, load_problem, set_precision, solve
from repnet_pde.analysis.linearity import is_linear
from repnet_pde.analysis.symbol import symbol_wavenumber
from repnet_pde.analysis.wavenumbers import coefficient_wavenumber, problem_wavenumber
from repnet_pde.networks.registry import second_order
from repnet_pde.planning.automatic import automatic_method, patching_converges

PI = np.pi
LINE = dde.geometry.Interval(0, 1)
SQUARE = dde.geometry.Rectangle([0, 0], [1, 1])


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")


def edge(x, on):
    return on


def problem(pde, geometry=LINE, value=0.0, **changes):
    given = value if callable(value) else lambda x: value
    conditions = {"edge": dde.icbc.DirichletBC(geometry, given, edge)}
    return Problem(**{"geometry": geometry, "pde": pde, "conditions": conditions} | changes)


def second(u, x, i=0):
    return dde.grad.hessian(u, x, i=i, j=i)


def slope(u, x, j=0):
    return dde.grad.jacobian(u, x, j=j)


def bump(x, c, w):
    return (1 - ((x - c) / w) ** 2).clamp(min=0) ** 4


# Derivatives in a small part of the domain ----------------------------------------------------------------------------


def drag(strength=300.0, c=0.094, w=0.028):
    """−u″ + S a(x) u′ = f, u = sin πx, a a bump."""

    def pde(x, u):
        a = strength * bump(x, c, w)
        return -second(u, x) + a * slope(u, x) - PI**2 * torch.sin(PI * x) - a * PI * torch.cos(PI * x)

    return problem(pde, solution=lambda x: np.sin(PI * x))


def lens():
    """Δu + a(x, y) u_xy = f, u = sin πx sin πy, the mixed derivative in a small disc only."""

    def pde(x, u):
        a = 1.5 * bump(((x - torch.tensor([0.31, 0.62])) ** 2).sum(1, keepdim=True).sqrt(), 0.0, 0.1)
        s, c = torch.sin(PI * x), torch.cos(PI * x)
        source = -2 * PI**2 * s[:, :1] * s[:, 1:] + a * PI**2 * c[:, :1] * c[:, 1:]
        return second(u, x) + second(u, x, 1) + a * dde.grad.hessian(u, x, i=0, j=1) - source

    solution = lambda x: np.sin(PI * x[:, :1]) * np.sin(PI * x[:, 1:])  # noqa: E731
    return problem(pde, SQUARE, solution=solution, wavenumber=2 * PI)


@pytest.mark.parametrize("method", ["auto", "patching"])
def test_drag_in_one_place_is_solved_for(method):
    assert solve(drag(), method=method, progress=False).errors.relative_l2 < 1e-8


def test_a_mixed_derivative_in_a_small_disc_is_solved_for():
    assert solve(lens(), progress=False).errors.relative_l2 < 1e-6


def test_relu_is_refused_where_a_second_derivative_acts_in_one_place():
    thin = problem(lambda x, u: slope(u, x) + bump(x, 0.7, 0.02) * second(u, x))
    assert second_order(thin)
    assert not second_order(problem(lambda x, u: slope(u, x) + bump(x, 0.7, 0.02) * u))
    with pytest.raises(InputError, match="ReLU"):
        solve(thin, "repnet-relu", "adam", iterations=1, progress=False)


# Linearity ------------------------------------------------------------------------------------------------------------

NONLINEAR = {
    "threshold": lambda x, u: second(u, x) + torch.relu(u - 5),
    "high threshold": lambda x, u: second(u, x) + torch.relu(u - 2e5),
    "low threshold": lambda x, u: second(u, x) + torch.where(u.abs() < 1e-4, 100 * u, u),
    "threshold of the slope": lambda x, u: second(u, x) + torch.relu(slope(u, x) - 300),
    "in one place": lambda x, u: second(u, x) + torch.relu(u - 5) * bump(x, 0.3, 0.1),
    "absolute value": lambda x, u: second(u, x) + u.abs(),
    "saturation": lambda x, u: second(u, x) + u.clamp(max=1e-3),
    "steps": lambda x, u: second(u, x) + torch.floor(u),
    "overflow": lambda x, u: second(u, x) + torch.exp(u),
    "small beside the rest": lambda x, u: 1e8 * second(u, x) + u**2,
}
LINEAR = {
    "large and small": lambda x, u: 1e8 * second(u, x) + 1e-8 * u - 1,
    "small": lambda x, u: 1e-8 * second(u, x) + 1e-8 * slope(u, x),
    "jump": lambda x, u: torch.where(x > 0.5, 1e8, 1e-8) * second(u, x) - 1,
    "contrast": lambda x, u: torch.exp(8 * torch.sin(2 * PI * x)) * (second(u, x) + slope(u, x)) + 1,
    "offset": lambda x, u: second(u, x) + (u + 273.15) - 273.15,
    "cancelling": lambda x, u: second(u, x) + 1e8 * u - 1e8 * (u + 1e-3 * slope(u, x)),
    "source": lambda x, u: second(u, x) - 1e12 * torch.sin(x),
}


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_residuals_are_seen_at_any_size(name):
    assert not is_linear(problem(NONLINEAR[name]))


@pytest.mark.parametrize("name", LINEAR)
def test_rounding_is_not_taken_for_nonlinearity(name):
    assert is_linear(problem(LINEAR[name]))


def test_linearity_is_tried_around_the_size_of_the_conditions():
    assert not is_linear(problem(lambda x, u: second(u, x) + torch.relu(u - 3e9), value=1e9))
    assert is_linear(problem(lambda x, u: second(u, x) - u, value=1e9))
    shifted = {"output_transform": lambda x, u: 300 + x * u}
    assert is_linear(problem(lambda x, u: second(u, x), value=300.0, **shifted))


def test_a_solve_finds_out_at_its_solution_whether_the_problem_is_linear():
    """u″ = 200 + relu(u − 5), asked for as least squares: below −5 and above 5 of its solution, which reaches 12."""
    exact = problem(lambda x, u: second(u, x) + 100 + 0 * u, solution=lambda x: 50 * x * (1 - x))
    result = solve(exact, method="least-squares", progress=False)
    assert "linear problem solved" in result.stages[0]

    def pde(x, u):
        w = 50 * x * (1 - x)
        return second(u, x) + 100 - torch.relu(u - 5) ** 2 + torch.relu(w - 5) ** 2

    result = solve(dataclasses.replace(exact, pde=pde, residual_names=None), method="least-squares", progress=False)
    assert "linear problem" not in result.stages[0]


# Wavenumbers that the equations have ----------------------------------------------------------------------------------


def test_waves_of_oscillators():
    def oscillator(m, c, k):
        return problem(lambda x, u: m * second(u, x) + c * slope(u, x) + k * u)

    assert symbol_wavenumber(oscillator(1, 0, 2500.0**2)) == pytest.approx([2500.0])
    assert symbol_wavenumber(oscillator(2, 4, 5000)) == pytest.approx([np.sqrt(2499)])
    assert symbol_wavenumber(oscillator(1, 100, 400)) == [0]  # overdamped
    assert symbol_wavenumber(oscillator(1e-6, 0, -1)) == [0]  # a layer
    assert symbol_wavenumber(oscillator(1, 0, 1)) == [0]  # not half a wave

    def beam(x, u):
        return second(second(u, x), x) - 60.0**4 * u

    assert symbol_wavenumber(problem(beam)) == pytest.approx([60])


def test_waves_of_systems():
    def first_order(x, u):
        y, z = u[:, :1], u[:, 1:]
        return [dde.grad.jacobian(u, x, i=0) - z, dde.grad.jacobian(u, x, i=1) + 2500.0**2 * y]

    def algebraic(x, u):  # y′ = z, z = w, w′ = −900 y, with an equation without derivatives
        y, z, w = u[:, :1], u[:, 1:2], u[:, 2:]
        return [dde.grad.jacobian(u, x, i=0) - z, 1e3 * (z - w), dde.grad.jacobian(u, x, i=2) + 900 * y]

    for pde, outputs, k in ((first_order, "yz", 2500), (algebraic, "yzw", 30)):
        conditions = {"edge": dde.icbc.DirichletBC(LINE, lambda x: 0, edge, component=0)}
        stated = Problem(geometry=LINE, pde=pde, outputs=tuple(outputs), conditions=conditions)
        assert symbol_wavenumber(stated) == pytest.approx([k], rel=1e-6)


def test_waves_count_where_half_of_one_fits():
    assert symbol_wavenumber(problem(lambda x, u: second(u, x) + 4e4 * x * u)) == pytest.approx([200], rel=0.02)
    # k = 1/x is large only where no wave fits; k = 20/x swings ever faster, as often for every factor of x
    assert symbol_wavenumber(problem(lambda x, u: second(u, x) + u / (x + 1e-6) ** 2)) == [0]
    assert symbol_wavenumber(problem(lambda x, u: second(u, x) + 400 * u / (x + 1e-6) ** 2)) > 100
    assert symbol_wavenumber(problem(lambda x, u: second(u, x) + 1e4 * bump(x, 0.5, 0.2) * u)) > 80


def test_the_dispersion_relation_gives_one_axis_from_another():
    time = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 1))

    def waves(x, u):
        return second(u, x, 1) - 100 * second(u, x)

    def advection(x, u):
        return slope(u, x, 1) + 7 * slope(u, x)

    def heat(x, u):
        return slope(u, x, 1) - second(u, x)

    def laplace(x, u):
        return second(u, x, 1) + second(u, x)

    for pde, t in ((waves, 200), (advection, 140), (heat, 0), (laplace, 0)):
        found = symbol_wavenumber(problem(pde, time), (20.0, 3.2))
        assert found[1] == pytest.approx(t)
    membrane = problem(lambda x, u: second(u, x) + second(u, x, 1) + 900 * u, SQUARE)
    assert symbol_wavenumber(membrane) == pytest.approx([30, 30])


def test_planning_uses_them_beside_those_of_the_data():
    line = dde.geometry.Interval(0, 120)
    waves = problem(lambda x, u: 0.5 * second(u, x) + u, line, lambda x: np.cos(np.sqrt(2) * x))
    known = problem_wavenumber(waves)
    assert known.values == pytest.approx([np.sqrt(2)]) and known.data[0] < 0.1
    assert "from the equations' coefficients: 1.414" in known.note
    pendulum = problem(lambda x, u: second(u, x) + 400 * torch.sin(u))  # linearised at 0 a hint, and no more
    assert problem_wavenumber(pendulum).values[0] < 10
    assert coefficient_wavenumber(pendulum) == pytest.approx([20])
    assert coefficient_wavenumber(problem(lambda x, u: second(u, x) - 1)) is None


def test_a_coefficient_of_high_contrast_tells_what_it_needs():
    def pde(x, u):
        return torch.exp(6 * torch.sin(6 * PI * x)) * (second(u, x) + 36 * PI * torch.cos(6 * PI * x) * slope(u, x)) + 1

    (found,) = coefficient_wavenumber(problem(pde))
    assert 100 < found < 1000


# What is solved with them ---------------------------------------------------------------------------------------------


def ahead(geometry, value, speed):
    """u and u′ at the start of a line."""

    def left(x, on):
        return on and np.isclose(x[0], geometry.l)

    return {
        "value": dde.icbc.DirichletBC(geometry, lambda x: value, left),
        "speed": dde.icbc.NeumannBC(geometry, lambda x: -speed, left),
    }


def test_waves_that_only_a_coefficient_shows_are_solved_for():
    line = dde.geometry.Interval(0, 120)
    pde, exact = lambda x, y: 0.5 * second(y, x) + y, lambda x: np.cos(np.sqrt(2) * x)
    stated = Problem(geometry=line, pde=pde, conditions=ahead(line, 1, 0), solution=exact)
    result = solve(stated, progress=False)
    assert result.method == "least-squares" and result.errors.relative_l2 < 1e-9
    assert solve(stated, method="patching", progress=False).errors.relative_l2 < 1e-9


def test_many_waves_of_a_damped_oscillator():
    """y″ + 4 y′ + 200² y = 0."""
    w = np.sqrt(200**2 - 4)
    exact = lambda x: np.exp(-2 * x) * (np.cos(w * x) + 2 / w * np.sin(w * x))  # noqa: E731
    pde = lambda x, y: second(y, x) + 4 * slope(y, x) + 200**2 * y  # noqa: E731
    stated = Problem(geometry=LINE, pde=pde, conditions=ahead(LINE, 1, 0), solution=exact)
    assert solve(stated, progress=False).errors.relative_l2 < 1e-8


def test_a_large_coefficient_that_the_solution_does_not_feel_costs_nothing():
    """Δu + 10⁶ u = f with u = sin πx sin πy."""

    def pde(x, u):
        s = torch.sin(PI * x)
        return second(u, x) + second(u, x, 1) + 1e6 * u - (1e6 - 2 * PI**2) * s[:, :1] * s[:, 1:]

    stated = problem(pde, SQUARE, solution=lambda x: np.sin(PI * x[:, :1]) * np.sin(PI * x[:, 1:]))
    result = solve(stated, progress=False)
    assert result.method == "least-squares" and result.errors.relative_l2 < 1e-9
    assert result.network_options["layers"][0] < 1000


def test_contrast_is_resolved():
    """(a u′)′ = f with a = exp(6 sin 6πx) and u = x(1 − x): the solution is smooth, its operator is not; and the
    problem −(a u′)′ = 1, for which a u′ = C − x."""
    x = np.linspace(0, 1, 100_001)
    weight = np.exp(-6 * np.sin(6 * PI * x))

    def integral(f):
        return np.append(0, np.cumsum((f[1:] + f[:-1]) / 2)) * (x[1] - x[0])

    constant = integral(x * weight)[-1] / integral(weight)[-1]
    u = integral((constant - x) * weight)

    def pde(p, v):
        return torch.exp(6 * torch.sin(6 * PI * p)) * (second(v, p) + 36 * PI * torch.cos(6 * PI * p) * slope(v, p)) + 1

    result = solve(problem(pde, solution=lambda p: np.interp(p, x, u)), progress=False)
    assert result.errors.relative_l2 < 1e-5


# Where planning was wrong ---------------------------------------------------------------------------------------------


def layer(e=1e-3, **changes):
    """−e u″ + u = 1, u = 0 at the ends: layers of width √e."""
    w = np.sqrt(e)
    exact = lambda x: 1 - (np.exp(-x / w) + np.exp((x - 1) / w)) / (1 + np.exp(-1 / w))  # noqa: E731
    return problem(lambda x, u: -e * second(u, x) + u - 1, solution=exact, **changes)


def test_auto_goes_on_with_patches_where_least_squares_does_not_reach_the_solution(tmp_path):
    result = solve(layer(1e-7), progress=False, out=tmp_path / "run")
    assert result.method == "patching" and result.errors.relative_l2 < 1e-7
    assert "least squares on the whole domain left a held-out residual" in result.notes[0]
    assert (tmp_path / "run" / "result.json").exists()


def test_a_method_that_was_asked_for_stays_and_the_note_says_what_suits():
    result = solve(layer(1e-7), method="least-squares", progress=False)
    assert result.method == "least-squares" and result.errors.relative_l2 > 1e-6
    assert any("the method patching suits" in note for note in result.notes)


def test_no_time_is_left_for_patches():
    result = solve(layer(1e-7), progress=False, time_limit=1e-3)
    assert result.method == "least-squares"
    assert any("no time was left for the method patching" in note for note in result.notes)


def near_point(e):
    """u − u″ + u³ = e/π / (e² + (x − ¼)²), u′ = 0 at the ends: a source that is almost a point."""

    def pde(x, u):
        return u - second(u, x) + u**3 - e / PI / (e**2 + (x - 0.25) ** 2)

    conditions = {"ends": dde.icbc.NeumannBC(LINE, lambda x: 0, edge)}
    return Problem(geometry=LINE, pde=pde, conditions=conditions)


def test_a_wavenumber_that_is_not_resolved_is_a_moderate_start():
    known = problem_wavenumber(near_point(1e-5))
    assert known.resolved == (False,) and known.data == pytest.approx([20 * PI])
    assert "not resolved: at most 10 waves to start with" in known.note
    jumping = problem(lambda x, u: second(u, x) - (x > 0.3).to(x), value=1)
    assert problem_wavenumber(jumping).resolved == (False,) and problem_wavenumber(jumping).data[0] <= 20 * PI
    assert problem_wavenumber(problem(lambda x, u: second(u, x) - torch.sin(30 * x))).resolved == (True,)


def test_rounding_beside_the_other_equations_is_no_source():
    """The divergence of the exact flow, which is stated as that of the solution, is 1e-16."""

    def pde(x, u):
        X, Y = x[:, :1], x[:, 1:]
        source = 3 * torch.sin(X) * torch.cos(Y)
        noise = -torch.sin(X + Y) * 1.0 + (torch.sin(X) * torch.cos(Y) + torch.cos(X) * torch.sin(Y))
        momentum = -dde.grad.hessian(u, x, component=0) - source
        return [momentum, dde.grad.jacobian(u, x, i=0, j=0) + dde.grad.jacobian(u, x, i=1, j=1) + noise]

    square = dde.geometry.Rectangle([0, 0], [1, 1])
    walls = {f"wall {i}": dde.icbc.DirichletBC(square, lambda x: 0, lambda x, on: on, component=i) for i in (0, 1)}
    known = problem_wavenumber(Problem(geometry=square, pde=pde, conditions=walls, outputs=("u", "v")))
    assert known.resolved == (True, True) and max(known.data) < 20


def test_the_normal_of_a_vertex_is_no_jump_of_the_boundary_values():
    square = dde.geometry.Rectangle([0, 0], [1, 2])
    flux = dde.icbc.NeumannBC(square, lambda x: np.cos(x[:, :1] + x[:, 1:]), lambda x, on: on)
    robin = dde.icbc.OperatorBC(
        square,
        lambda x, u, X: (
            dde.grad.jacobian(u, x, j=0) * torch.as_tensor(square.boundary_normal(X))[:, :1]
            + u
            - torch.as_tensor(square.boundary_normal(X)) @ torch.tensor([[1.0], [2.0]], dtype=u.dtype)
        ),
        lambda x, on: on,
    )
    for condition in (flux, robin):
        known = problem_wavenumber(
            Problem(
                geometry=square,
                pde=lambda x, u: dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) - u,
                conditions={"sides": condition},
            )
        )
        assert known.resolved == (True, True) and max(known.data) < 20


def test_a_source_that_is_almost_a_point_is_solved_on_patches():
    """The flux of u jumps by nearly 1 there, so that ∫ u + u³ = ∫ f for walls without flux."""
    stated = near_point(1e-4)
    assert patching_converges(stated)
    result = solve(stated, progress=False)
    assert result.method == "patching"
    x = np.concatenate([0.25 + np.r_[-np.geomspace(0.25, 1e-9, 20_000), np.geomspace(1e-9, 0.75, 20_000)]])[:, None]
    u = result.predict(x)[:, 0]
    f = (np.arctan(0.75e4) + np.arctan(0.25e4)) / PI
    assert np.trapezoid(u + u**3, x[:, 0]) == pytest.approx(f, rel=1e-4)


def test_an_unknown_value_that_changes_is_seen():
    k = dde.Variable(1.0)
    x = np.linspace(0, 1, 20)[:, None]
    observed = Problem(
        geometry=LINE,
        pde=lambda x, u: second(u, x) + (k - 1) * u**2,
        conditions={"data": dde.icbc.PointSetBC(x, np.exp(x))},
        unknowns={"k": k},
    )
    assert is_linear(observed)
    with torch.no_grad():
        k.fill_(2.0)
    assert not is_linear(observed) and not is_linear(observed.forward())


def test_stated_wavenumbers_are_taken():
    stated = load_problem("helmholtz_2d")
    known = problem_wavenumber(stated)
    assert known.values == known.data == tuple(stated.wavenumber) and known.note is None


def test_a_test_without_time_is_said():
    with limits.running(1e-6):
        method, why = automatic_method(load_problem("kovasznay_2d"), None, None)
    assert method == "gauss-newton" and why.endswith("; no time to test whether newton converges")
