"""Jets, features in closed form and axis maps: all derivatives against automatic differentiation."""

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import Problem, RepNet, Sampling, load_problem, set_precision
from repnet_pde.checking.sizes import network_jet
from repnet_pde.discretization.features import Features
from repnet_pde.discretization.jacobian import linearize
from repnet_pde.discretization.jets import closed, multi_indices, orders, orders_of_problem, term_jets
from repnet_pde.networks.warp import AxisWarp, axis_map, graded
from repnet_pde.problem.points import collocation
from repnet_pde.problem.residuals import residual_vectors

PI = np.pi
NODES = np.linspace(-1, 1, 801)


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")
    torch.manual_seed(0)


def domain():
    return dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 2), dde.geometry.TimeDomain(0, 0.5))


def warp(problem):
    fine = axis_map(NODES, np.sqrt((NODES - 0.2) ** 2 + 0.05**2))
    return AxisWarp(problem.box, [fine, axis_map(NODES, np.full(801, 2.0))])


def points(problem, n=15):
    low, half = torch.as_tensor(problem.box.lower), torch.as_tensor(problem.box.half_width)
    return low + 2 * half * torch.rand(n, problem.dim, dtype=torch.float64)


def test_multi_indices():
    assert multi_indices(2, 2) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]
    assert closed([(2, 1)]) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize("activation", ["sin", "tanh", "gaussian"])
@pytest.mark.parametrize("warped", [False, True])
def test_derivatives_of_features(activation, warped):
    problem = load_problem("wave_two_mode_1d")
    net = RepNet(
        [2, 7, 2],
        "tanh",
        "Glorot normal",
        first_activation=activation,
        domain=problem.geometry,
        slope_scale=3.0,
        warp=warp(problem) if warped else None,
    )
    x, indices = points(problem), multi_indices(2, 4)
    linear = net.linears[-1]
    with torch.no_grad():
        linear.bias.normal_()
    at = Features(net).at(x, indices)
    found = at.jet(linear.weight.detach(), linear.bias.detach())
    net.apply_output_transform(lambda x, u: u)  # network_jet then differentiates by reverse mode
    expected = network_jet(net, x, indices)
    size = expected.abs().amax(0)
    assert ((found - expected).abs().amax(0) < 1e-11 * size).all()
    # The rows of an operator applied to the features give the same for the network's own coefficients.
    coefficients = torch.randn(len(x), len(indices), 2, dtype=torch.float64)
    c = torch.cat([linear.weight.detach().reshape(-1), linear.bias.detach()])
    torch.testing.assert_close(at.rows(coefficients) @ c, (coefficients * found).sum((1, 2)), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(at.rows(coefficients[3:9], slice(3, 9)), at.rows(coefficients)[3:9])


def test_axis_map():
    """Onto [−1, 1], increasing, its derivatives and inverse, and gathered as the length scale asks."""
    problem = load_problem("burgers_1d")
    scale = np.sqrt((NODES - 0.2) ** 2 + 0.05**2)
    net = warp(problem)
    ends = net(torch.as_tensor(np.stack([problem.box.lower, problem.box.upper])))
    torch.testing.assert_close(ends, torch.tensor([[-1.0, -1], [1, 1]], dtype=torch.float64))
    x = torch.stack([torch.linspace(-1, 1, 801, dtype=torch.float64), torch.rand(801, dtype=torch.float64)], 1)
    x.requires_grad_()
    y, found = net(x)[:, 0], net.derivatives(x.detach(), 5)[0]
    for k in range(5):
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        y = slope[:, 0]
        torch.testing.assert_close(found[k], y.detach(), rtol=1e-9, atol=1e-9 * float(y.detach().abs().max()))
    density = found[0].numpy() * scale
    assert found[0].min() > 0 and density.max() < 2 * density.min()
    torch.testing.assert_close(net.inverse(net(x.detach())), x.detach(), rtol=1e-12, atol=1e-12)


def test_graded_length_scale():
    scale = graded(NODES, np.where(np.abs(NODES - 0.3) < 1e-9, 0.01, 5.0))
    assert scale.min() == 0.01
    assert np.abs(np.diff(scale)).max() <= np.diff(NODES).max() * (1 + 1e-12)
    assert scale[0] == pytest.approx(0.01 + 1.3, abs=5e-3)


def boundary(x, on):
    return on


CONDITIONS = {
    "Dirichlet": lambda g: dde.icbc.DirichletBC(g, lambda x: np.sin(x[:, 0:1]), boundary),
    "Robin": lambda g: dde.icbc.RobinBC(g, lambda x, u: u**2, boundary),
    "periodic": lambda g: dde.icbc.PeriodicBC(g, 0, lambda x, on: on and np.isclose(x[0], -1), derivative_order=1),
    "operator": lambda g: dde.icbc.OperatorBC(g, lambda x, u, _: dde.grad.jacobian(u, x, j=1) * u, boundary),
    "initial": lambda g: dde.icbc.IC(g, lambda x: np.cos(x[:, 0:1]), boundary),
}


@pytest.mark.parametrize("transform", [None, lambda x, u: x[:, 1:2] * u + torch.sin(x[:, 0:1])])
def test_the_last_layer_jacobian_is_that_by_copies(transform):
    g = domain()

    def pde(x, u):
        u_xxx = dde.grad.hessian(dde.grad.jacobian(u, x, j=0), x, i=0, j=0)
        return [dde.grad.jacobian(u, x, j=1) + u * u_xxx, torch.exp(u) - x[:, 0:1]]

    problem = Problem(
        geometry=g,
        pde=pde,
        conditions={name: make(g) for name, make in CONDITIONS.items()},
        output_transform=transform,
        sampling=Sampling(domain=12, boundary=10, initial=8),
    )
    net = RepNet([2, 9, 1], "tanh", "Glorot normal", first_activation="sin", domain=g, slope_scale=2.0)
    if transform is not None:
        net.apply_output_transform(transform)
    data = collocation(problem)
    indices = orders(data, 1, transform)
    assert (3, 0) in indices and (0, 1) in indices and (2, 1) not in indices
    x = torch.as_tensor(data.train_x)
    linear = net.linears[-1]
    at = Features(net).at(x, indices)
    jet = at.jet(linear.weight.detach(), linear.bias.detach())
    expected = linearize(data, net, problem.term_names, ["linears.0.weight", "linears.0.bias"])
    for term, by_copies in zip(term_jets(data, problem.term_names, x, jet, indices, transform), expected, strict=True):
        rows = sum(at.rows(a, part) for part, a in term.parts)
        size = float(by_copies.jacobian.abs().max())
        torch.testing.assert_close(rows, by_copies.jacobian, rtol=1e-10, atol=1e-11 * size)
        torch.testing.assert_close(term.residual[:, 0], by_copies.residual, rtol=1e-10, atol=1e-11)


def test_orders_are_found_and_what_is_not_pointwise_is_refused():
    line = dde.geometry.Interval(0, 1)

    def data(pde):
        return collocation(Problem(geometry=line, pde=pde, conditions={}, sampling=Sampling(domain=9)))

    def fourth(x, u):
        return dde.grad.hessian(dde.grad.hessian(u, x), x) - u

    assert orders(data(fourth), 1) == [(0,), (4,)]
    assert orders(data(lambda x, u: dde.grad.jacobian(u, x) - 1), 1) == [(0,), (1,)]
    assert orders(data(lambda x, u: dde.grad.jacobian(u, x) - u.mean()), 1) is None
    assert orders(data(lambda x, u: u * torch.roll(u, 1, 0)), 1) is None


def test_network_jets_solve_the_residuals():
    """The residuals of a network are those of its jets: for a deep network, by reverse mode."""
    problem = load_problem("burgers_1d")
    data, net = collocation(problem, few=30), dde.nn.FNN([2, 6, 6, 1], "tanh", "Glorot normal")
    indices = orders(data, 1)
    x = torch.as_tensor(data.train_x)
    terms = term_jets(data, problem.term_names, x, network_jet(net, x, indices), indices)
    for term, v in zip(terms, residual_vectors(data, net), strict=True):
        torch.testing.assert_close(term.residual, v.detach(), rtol=1e-10, atol=1e-12)


# Derivatives that act in a small part of the domain -------------------------------------------------------------------

LINE = dde.geometry.Interval(0, 1)
SQUARE = dde.geometry.Rectangle([0, 0], [1, 1])


def bump(x, c, w):
    return (1 - ((x - c) / w) ** 2).clamp(min=0) ** 4


def ends(geometry):
    return {"ends": dde.icbc.DirichletBC(geometry, lambda x: 0, boundary)}


def test_a_derivative_that_acts_at_few_points_is_found():
    def drag(x, u):
        return -dde.grad.hessian(u, x) + 300 * bump(x, 0.094, 0.01) * dde.grad.jacobian(u, x) - 1

    def twist(x, u):  # u_xy in a disc of radius 0.05, and weakly
        inside = bump(x[:, :1], 0.4, 0.05) * bump(x[:, 1:], 0.7, 0.05)
        plain = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return plain + 1e-9 * inside * dde.grad.hessian(u, x, i=0, j=1)

    one = Problem(geometry=LINE, pde=drag, conditions=ends(LINE))
    assert orders(collocation(one, few=9), 1) == [(0,), (2,)]  # none of these lies there
    assert orders_of_problem(one) == [(0,), (1,), (2,)]
    two = Problem(geometry=SQUARE, pde=twist, conditions=ends(SQUARE))
    assert orders_of_problem(two) == [(0, 0), (0, 2), (1, 1), (2, 0)]


def test_a_derivative_that_a_condition_has_in_a_small_part_of_the_boundary_is_found():
    def leak(x, u, _):
        return u + bump(x[:, :1], 0.31, 0.02) * dde.grad.jacobian(u, x, j=1)

    problem = Problem(
        geometry=SQUARE,
        pde=lambda x, u: dde.grad.hessian(u, x, i=0, j=0) - 1,
        conditions={"leak": dde.icbc.OperatorBC(SQUARE, leak, boundary)},
        sampling=Sampling(boundary=2000),
    )
    assert orders_of_problem(problem) == [(0, 0), (0, 1), (2, 0)]


def test_points_of_a_system_add_what_acts_at_them_alone():
    problem = Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.hessian(u, x) + bump(x, 0.4321, 1e-5) * dde.grad.jacobian(u, x) - 1,
        conditions=ends(LINE),
        sampling=Sampling(domain=16),
    )
    assert orders_of_problem(problem) == [(0,), (2,)]
    with_it = collocation(problem, inside=np.array([[0.2], [0.4321], [0.7]]), boundary=2)
    assert orders_of_problem(problem, with_it) == [(0,), (1,), (2,)]
    assert orders_of_problem(problem) == [(0,), (1,), (2,)]  # from then on


def test_what_is_no_function_of_jets_at_few_points_is_refused():
    def seventh(x, u):
        v = u
        for _ in range(7):
            v = dde.grad.jacobian(v, x)
        return dde.grad.jacobian(u, x) + bump(x, 0.4, 0.02) * v

    def mean(x, u):
        return dde.grad.jacobian(u, x) + bump(x, 0.4, 0.02) * u.mean()

    for pde in (seventh, mean):
        problem = Problem(geometry=LINE, pde=pde, conditions=ends(LINE))
        assert orders(collocation(problem), 1) is None


def test_an_unknown_that_starts_at_zero_does_not_hide_what_it_multiplies():
    k = dde.Variable(0.0)
    x = np.linspace(0, 1, 20)[:, None]
    problem = Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.jacobian(u, x) + k * dde.grad.hessian(u, x),
        conditions={"data": dde.icbc.PointSetBC(x, np.exp(x))},
        unknowns={"k": k},
    )
    assert orders_of_problem(problem) == [(0,), (1,), (2,)]
    assert orders_of_problem(problem.forward()) == [(0,), (1,), (2,)]
    assert k.item() == 0


def test_no_order_is_seen_that_is_not_there():
    """Discontinuous coefficients, an output transform and periodic conditions leave what is exactly zero at zero."""
    problem = Problem(
        geometry=SQUARE,
        pde=lambda x, u: torch.where(x[:, :1] > 0.3, 1e8, 1e-8) * dde.grad.hessian(u, x, i=0, j=0) - torch.exp(u),
        conditions={"sides": dde.icbc.PeriodicBC(SQUARE, 0, lambda x, on: on and np.isclose(x[0], 0))},
        output_transform=lambda x, u: 3 + x[:, 1:2] * u,
    )
    assert orders_of_problem(problem) == [(0, 0), (2, 0)]
