"""The status: relative residuals, the error indicator against the true error, and too few points found out."""

import deepxde as dde
import numpy as np
import pytest
import torch
from exact import as_network

from repnet_pde import Interface, Problem, Sampling, load_problem, set_precision, solve
from repnet_pde.backend import seeded
from repnet_pde.checking.determination import loosest
from repnet_pde.checking.sizes import relative_residuals
from repnet_pde.checking.status import convergence_status, interface_jumps, verify
from repnet_pde.discretization.jets import orders
from repnet_pde.discretization.last_layer import JetSystem, newton
from repnet_pde.networks.patches import Patches
from repnet_pde.networks.registry import build_network
from repnet_pde.networks.slabs import Slabs
from repnet_pde.problem.points import collocation

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
    assert result.status == "converged"
    error, indicator = result.errors.relative_l2, result.check.error_indicator
    assert error < max(30 * indicator, 1e-12)


def test_too_few_features_are_not_called_converged():
    """The user asks for fewer features than the solution needs."""
    result = solve(load_problem("helmholtz_2d"), network_options={"layers": [60]}, progress=False)
    assert result.errors.relative_l2 > 1e-2
    assert result.status != "converged"


def test_too_few_points_are_found_out():
    """Eighty features through fifteen points: the training residual is zero and means nothing."""
    problem = load_problem("poisson_two_scale_1d")
    problem._set(sampling=Sampling(domain=15))
    options = {"network_options": {"layers": [80]}, "method": "least-squares", "progress": False}
    result = solve(problem, **options)
    assert result.errors.relative_l2 > 1e-3
    assert result.status == "not converged"


def test_a_solution_that_is_not_determined():
    """u'' = f without boundary conditions: the residual is zero, and so it is for u + a + b x."""
    line = dde.geometry.Interval(0, 1)
    problem = Problem(geometry=line, pde=lambda x, u: dde.grad.hessian(u, x) + torch.sin(9 * x), wavenumber=9.0)
    result = solve(problem, progress=False)
    assert max(result.check.relative.values()) < 1e-8
    assert result.status != "converged"


def test_the_status_of_numbers():
    small, large = {"pde": 1e-9, "ends": 1e-12}, {"pde": 1e-9, "ends": 0.1}
    assert convergence_status(small, small, 1e-9, True)[0] == "converged"
    assert convergence_status(small, small, None, True)[0] == "residual small but not verified"
    assert (
        convergence_status(large, large, 1e-9, True)[0] == "not converged"
        and "ends" in convergence_status(large, large, 1e-9, True)[1]
    )
    assert convergence_status(small, small, 0.5, True)[0] == "not converged"
    assert convergence_status(small, small, 1e-9, False)[0] == "not converged"
    assert "training points" in convergence_status({"pde": 1e-4}, {"pde": 1e-7}, None, True)[1]
    assert convergence_status({"pde": float("nan")}, {"pde": 1.0}, None, True)[0] == "not converged"
    assert convergence_status(small, small, 2e-4, True)[0] == "residual small but not verified"
    assert convergence_status(small, small, 1e-9, True, 1e-9)[0] == "not converged"
    assert convergence_status(small, small, 1e-9, True, 0.3)[0] == "converged"
    assert convergence_status({"pde": 5e-4}, None, None, True)[0] == "not converged"


def on(x, on_boundary):
    return on_boundary


def line_problem(pde, conditions, **more):
    line = dde.geometry.Interval(0, 1)
    made = {name: dde.icbc.DirichletBC(line, value, where) for name, (value, where) in conditions.items()}
    return Problem(geometry=line, pde=pde, conditions=made, **more)


def box_in_time(pde, conditions, **more):
    line, time = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1)
    domain = dde.geometry.GeometryXTime(line, time)
    return Problem(geometry=domain, pde=pde, conditions=conditions(domain), **more)


D, H = dde.grad.jacobian, dde.grad.hessian


# Sizes of residuals


def test_a_residual_is_sized_where_it_is():
    """x² u' on (1, 1000): the coefficient is large where the derivative is small, and their mean sizes say nothing."""
    line = dde.geometry.Interval(1, 1000)
    problem = Problem(geometry=line, pde=lambda x, u: x**2 * D(u, x) + 1, wavenumber=0.1)
    data = collocation(problem, fresh=2000, distribution="pseudo")
    indices = orders(data, 1)
    for change in (0.0, 0.5):
        net = lambda x, c=change: (1 + c) / x  # noqa: E731
        assert relative_residuals(data, net, ["pde"], indices)["pde"] == pytest.approx(change / (1 + change), abs=1e-6)


def test_derivatives_that_the_jets_lack_are_found_out():
    """The residual without jets counts where it is larger."""
    problem = load_problem("poisson_two_scale_1d")
    data = collocation(problem, distribution="pseudo")
    net = as_network(problem.solution)
    assert relative_residuals(data, net, problem.term_names, orders(data, 1), {"pde": 1e3})["pde"] > 1e-2


def test_jumps_at_an_interface():
    """−(a u')' = 0 with a = 1 left and 10 right of 1/2: a kink with equal fluxes has none, another one has."""
    line = dde.geometry.Interval(0, 1)

    def a(x):
        return torch.where(x < 0.5, 1.0, 10.0)

    problem = Problem(
        geometry=line,
        pde=lambda x, u: -a(x) * H(u, x),
        conditions={"ends": dde.icbc.DirichletBC(line, lambda x: x, on)},
        interfaces=[Interface(0, 0.5, lambda x, u: a(x) * D(u, x))],
    )

    def kink(slope):
        return lambda x: torch.where(x < 0.5, x, 0.5 + slope * (x - 0.5))

    good, bad = (interface_jumps(problem, kink(slope)) for slope in (0.1, 0.2))
    assert max(good.values()) < 1e-8
    assert bad["interface 1 (flux)"] == pytest.approx(0.5, rel=1e-6) and bad["interface 1 (value)"] < 1e-8
    result = solve(problem, progress=False)
    assert result.status == "converged" and result.errors.relative_l2 is None
    assert result.predict([[0.5]])[0, 0] == pytest.approx(10 / 11, abs=1e-9)


def test_jumps_at_an_interface_where_the_solution_vanishes():
    """The front of a string at rest: u is zero on it, and the rounding of zero is no jump."""
    problem = load_problem("wave_four_frequency_1d")

    def exact(x):
        waves = sum(torch.sin(2 * PI * f * x[:, :1]) for f in (1, 5, 10, 20)) / 4
        return torch.where(x[:, :1] > 0, waves, torch.zeros_like(waves))

    assert max(interface_jumps(problem, exact).values()) < 1e-6
    off = interface_jumps(problem, lambda x: exact(x) + torch.where(x[:, :1] > 0, 0.01, 0.0))
    assert 0.005 < off["interface 1 (value)"] < 0.05


def slope_one(right):
    line = dde.geometry.Interval(0, 1)
    values = dde.icbc.DirichletBC(line, lambda x: right * x, on)
    return Problem(geometry=line, pde=lambda x, u: D(u, x) - 1, conditions={"ends": values})


def beam(flux):
    """−u″ + u = 0 with values and fluxes at both ends: those of cosh, the fluxes off by a factor."""
    line = dde.geometry.Interval(0, 1)
    conditions = {
        "values": dde.icbc.DirichletBC(line, lambda x: np.cosh(x), on),
        "fluxes": dde.icbc.NeumannBC(line, lambda x: flux * np.sinh(x), on),
    }
    return Problem(geometry=line, pde=lambda x, u: u - H(u, x), conditions=conditions)


@pytest.mark.parametrize(("problem", "off"), [(slope_one, 1.016), (beam, 1.2)])
def test_jumps_between_patches_count(problem, off):
    """Patches meet the equation and all conditions by small jumps at many faces, which add up to what contradicts."""
    good = solve(problem(1.0), method="patching", progress=False).check
    assert good.status == "converged" and good.relative["between the pieces"] < 1e-9
    few = {"patching": {"most_patches": 24}}
    bad = solve(problem(off), method="patching", method_options=few, progress=False).check
    assert bad.status == "not converged" and bad.relative["between the pieces"] > 0.02 * (off - 1)


def test_faces_of_patches_and_slabs():
    """A line crosses as many faces as the shares add up to; all points are on faces."""
    net = Patches(1, ([0, 0], [1, 2]))
    for lower, upper in (((0, 0), (0.5, 1)), ((0.5, 0), (1, 1)), ((0, 1), (1, 2))):
        net.add(net.make(np.array(lower), np.array(upper), 5, 1.0), np.array(lower), np.array(upper))
    (_, x, first), (_, y, second) = net.faces(1000, 4)
    assert (x[:, 0] == 0.5).all() and (y[:, 1] == 1).all() and (x[:, 1] < 1).all()
    assert first.sum() == pytest.approx(0.5) and second.sum() == pytest.approx(1)
    slabs = Slabs(1, ([0, 0], [1, 2]))
    for end in (0.5, 1.0, 2.0):
        slabs.add(slabs.make(end, 5, [1.0, 1.0], [(np.array([1.0]), np.empty(0), np.empty(0))] * 2), end)
    ((axis, x, share),) = slabs.faces(1000, 4)
    assert axis == 1 and set(x[:, 1].tolist()) == {0.5, 1.0} and share.sum() == pytest.approx(2)


# What the problem leaves open


@pytest.mark.parametrize("network", ["repnet", "repnet-gaussian", "repnet-sin"])
def test_a_boundary_condition_left_out(network):
    problem = line_problem(
        lambda x, u: H(u, x) + 9 * torch.sin(3 * x), {"left": (lambda x: 0, lambda x, on: on and x[0] < 0.5)}
    )
    result = solve(problem, network, "least-squares", progress=False)
    assert result.status == "not converged" and "determined" in result.check.reason


def test_a_side_of_a_square_left_out():
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    sides = dde.icbc.DirichletBC(square, lambda x: x[:, :1], lambda x, on: on and x[0] < 1 - 1e-9)
    problem = Problem(
        geometry=square, pde=lambda x, u: H(u, x, i=0, j=0) + H(u, x, i=1, j=1), conditions={"sides": sides}
    )
    assert solve(problem, progress=False).status == "not converged"


def test_an_initial_condition_left_out():
    problem = box_in_time(
        lambda x, u: D(u, x, j=1) - H(u, x, i=0, j=0),
        lambda domain: {"sides": dde.icbc.DirichletBC(domain, lambda x: np.sin(3 * x[:, 1:]), on)},
    )
    result = solve(problem, progress=False)
    assert result.status == "not converged"
    assert any("start of time" in note for note in result.check.notes)


def test_an_initial_velocity_left_out():
    """Waves with the displacement at the start alone: sin πx sin πt can be added."""
    problem = box_in_time(
        lambda x, u: H(u, x, i=1, j=1) - H(u, x, i=0, j=0),
        lambda domain: {
            "sides": dde.icbc.DirichletBC(domain, lambda x: 0, on),
            "start": dde.icbc.IC(domain, lambda x: np.sin(PI * x[:, :1]), lambda x, on_initial: on_initial),
        },
    )
    result = solve(problem, progress=False)
    assert result.status == "not converged" and not result.check.notes


def test_an_eigenfunction_can_be_added():
    """u'' + π² u = 0 with u = 0 at the ends: every multiple of sin πx."""
    result = solve(line_problem(lambda x, u: H(u, x) + PI**2 * u, {"ends": (lambda x: 0, on)}), progress=False)
    assert result.status == "not converged" and "determined" in result.check.reason


def test_a_gap_between_points_leaves_nothing_open():
    """A function that is large only where no boundary points happen to lie is determined by the problem; if the
    condition does not hold there, it is not."""

    def laplace(hole):
        square = dde.geometry.Rectangle([0, 0], [1, 1])
        far = lambda x, on: on and np.hypot(x[0] - 1, x[1]) >= hole  # noqa: E731
        sides = dde.icbc.DirichletBC(square, lambda x: x[:, :1], far)
        return Problem(
            geometry=square, pde=lambda x, u: H(u, x, i=0, j=0) + H(u, x, i=1, j=1), conditions={"sides": sides}
        )

    def systems(problem):
        return [
            JetSystem(collocation(problem, features=200), net, problem.term_names, [(0, 0), (0, 2), (2, 0)])
            for _ in range(2)
        ]

    whole, part = laplace(0.0), laplace(0.5)
    with seeded(0):
        net = build_network(whole, "repnet-sin", {"layers": [200]}, [2 * PI, 2 * PI])
        (system, other), (_, everywhere) = systems(part), systems(whole)
    factor = newton(system).factor
    assert loosest(part, system, factor, other) < 1e-3
    assert loosest(part, system, factor, everywhere) > 0.1


def test_a_pin_counts():
    """A value prescribed inside that contradicts the rest is a condition as any other where nothing is unknown."""
    line = dde.geometry.Interval(0, 1)
    conditions = {
        "ends": dde.icbc.DirichletBC(line, lambda x: 0, on),
        "pin": dde.icbc.PointSetBC(np.array([[0.5]]), np.array([[1.0]])),
    }
    result = solve(Problem(geometry=line, pde=lambda x, u: H(u, x), conditions=conditions), progress=False)
    assert result.status == "not converged"


def test_conditions_that_contradict_are_named():
    problem = line_problem(lambda x, u: H(u, x) - 1, {"zero": (lambda x: 0, on), "one": (lambda x: 1, on)})
    result = solve(problem, progress=False)
    assert result.status == "not converged"
    assert any("'zero' and 'one' contradict" in note for note in result.check.notes)


# Blow-ups


def test_a_solution_far_beyond_its_data_is_named():
    """Derivatives in space and time exchanged: u_x = u_tt, with values at the start and on the sides."""
    problem = box_in_time(
        lambda x, u: D(u, x, j=0) - H(u, x, i=1, j=1),
        lambda domain: {
            "sides": dde.icbc.DirichletBC(domain, lambda x: 0, on),
            "start": dde.icbc.IC(domain, lambda x: np.sin(PI * x[:, :1]), lambda x, on_initial: on_initial),
        },
    )
    result = solve(problem, network_options={"layers": [500]}, progress=False)
    low, high = result.check.ranges["u"]
    assert result.status == "not converged" and max(-low, high) > 1e4
    assert any("where the data suggest 1.0e+00" in note for note in result.check.notes)


def test_heat_backward_in_time():
    problem = box_in_time(
        lambda x, u: D(u, x, j=1) + H(u, x, i=0, j=0),
        lambda domain: {
            "sides": dde.icbc.DirichletBC(domain, lambda x: 0, on),
            "start": dde.icbc.IC(domain, lambda x: x[:, :1] * (1 - x[:, :1]), lambda x, on_initial: on_initial),
        },
    )
    for width in (200, 500):
        assert solve(problem, network_options={"layers": [width]}, progress=False).status == "not converged"


def test_growth_that_is_right_is_converged():
    """u' = 8 u, u(0) = 1 on (0, 1): e⁸ is far beyond the data, and an independent solution agrees."""
    time = dde.geometry.TimeDomain(0, 1)
    problem = Problem(
        geometry=time,
        pde=lambda t, u: D(u, t) - 8 * u,
        conditions={"start": dde.icbc.IC(time, lambda t: 1, lambda t, on_initial: on_initial)},
        solution=lambda t: np.exp(8 * t),
    )
    result = solve(problem, progress=False)
    assert result.status == "converged" and result.errors.relative_l2 < 30 * result.check.error_indicator + 1e-12


# The stated solution


@pytest.mark.parametrize(
    ("stated", "term"),
    [(lambda x: x * (x - 1), "pde"), (lambda x: x * (x - 1) / 2 + 0.1, "ends")],
    ids=["equation", "condition"],
)
def test_a_stated_solution_that_is_none(stated, term):
    problem = line_problem(lambda x, u: H(u, x) - 1, {"ends": (lambda x: 0, on)}, solution=stated)
    result = solve(problem, progress=False)
    assert result.status == "converged"
    assert any(f"the stated solution does not meet '{term}'" in note for note in result.check.notes)


# Nonlinear problems, other methods


def cubic():
    """u'' = u³ + f with u = sin 2πx."""

    def pde(x, u):
        exact = torch.sin(2 * PI * x)
        return H(u, x) - u**3 + 4 * PI**2 * exact + exact**3

    return line_problem(pde, {"ends": (lambda x: 0, on)}, solution=lambda x: np.sin(2 * PI * x))


@pytest.mark.parametrize("method", ["auto", "gauss-newton"])
def test_nonlinear_problems_are_verified(method):
    options = {} if method == "auto" else {"iterations": 40, "network_options": {"layers": [12, 12]}}
    result = solve(cubic(), method=method, **options, progress=False)
    assert result.check.error_indicator is not None
    assert result.errors.relative_l2 < 30 * result.check.error_indicator + 1e-12
    assert result.status == "converged"


def test_another_branch_is_named():
    """Two solutions with u = 0 at the ends: of Bratu's problem u″ + e^u = 0, and of u″ = u² + f, f that of sin πx."""

    def bratu(x, u):
        return H(u, x) + torch.exp(u)

    def square(x, u):
        exact = torch.sin(PI * x)
        return H(u, x) - u**2 + PI**2 * exact + exact**2

    for pde in (bratu, square):
        result = solve(line_problem(pde, {"ends": (lambda x: 0, on)}), progress=False)
        assert result.status == "converged"
        assert any("another solution was found" in note for note in result.notes)


def test_a_single_solution_has_no_other():
    result = solve(cubic(), progress=False)
    assert not any("another solution" in note for note in result.notes)


def test_an_unfinished_network_is_compared():
    """After three steps of Adam the distance to a solution by least squares is the error."""
    result = solve(cubic(), "repnet", "adam", iterations=3, progress=False)
    assert result.status == "not converged"
    assert result.errors.relative_l2 > 0.1 and result.check.error_indicator > result.errors.relative_l2 / 30


# Residuals that depend on several points


def mean_zero():
    """u'' + cos πx = 0, u' = 0 at the ends, the mean of u as a second equation."""
    line = dde.geometry.Interval(0, 1)
    return Problem(
        geometry=line,
        pde=lambda x, u: [H(u, x) + torch.cos(PI * x), u.mean() * torch.ones_like(u)],
        conditions={"flux": dde.icbc.NeumannBC(line, lambda x: 0, on)},
    )


def coupled():
    """u(x) + u(1 − x) = 2, two points a row, beside u' = 1."""
    line = dde.geometry.Interval(0, 1)
    return Problem(geometry=line, pde=lambda x, u: [D(u, x) - 1, u + u.flip(0).mean() - 1.5])


@pytest.mark.parametrize("problem", [mean_zero, coupled])
def test_nothing_is_said_of_residuals_without_a_size(problem):
    result = solve(problem(), "fnn", "adam", iterations=3, progress=False)
    assert result.status == "not converged"
    assert max(result.check.relative.values()) > 1e-2


def test_an_exact_solution_of_such_a_problem_is_small():
    problem = mean_zero()
    problem._set(pde=lambda x, u: [H(u, x) + torch.cos(PI * x), (u - torch.cos(PI * x) / PI**2).mean() + 0 * u])
    net = lambda x: torch.cos(PI * x) / PI**2  # noqa: E731
    found = verify(problem, Stated(net), None, seed=0, wavenumber=[PI])
    assert found.status == "residual small but not verified"


class Stated(dde.nn.NN):
    """A function in a network's place."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
