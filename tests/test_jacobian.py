"""The Jacobian by copies of the parameters against row-by-row reverse mode and finite differences."""

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, Problem, RepNet, Sampling, set_precision
from repnet_pde.jacobian import check_rows, linearize
from repnet_pde.residuals import collocation, residual_vectors

PI = np.pi


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")
    torch.manual_seed(0)


def domain():
    return dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))


def heat(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) + u[:, 0:1] ** 2 - dde.grad.hessian(u, x, component=0, i=0, j=0)


def boundary(x, on):
    return on


def left(x, on):
    return on and np.isclose(x[0], -1)


POINTS = np.random.default_rng(0).uniform([-1, 0], [1, 1], (7, 2))

CONDITIONS = {
    "Dirichlet": lambda g: dde.icbc.DirichletBC(g, lambda x: np.sin(x[:, 0:1]), boundary),
    "Neumann": lambda g: dde.icbc.NeumannBC(g, lambda x: np.sin(x[:, 1:2]), boundary),
    "Robin": lambda g: dde.icbc.RobinBC(g, lambda x, u: u**2, boundary),
    "periodic": lambda g: dde.icbc.PeriodicBC(g, 0, left),
    "periodic derivative": lambda g: dde.icbc.PeriodicBC(g, 0, left, derivative_order=1),
    "operator": lambda g: dde.icbc.OperatorBC(
        g, lambda x, u, _: dde.grad.jacobian(u, x, i=0, j=1) * u[:, 0:1], boundary
    ),
    "initial": lambda g: dde.icbc.IC(g, lambda x: np.cos(x[:, 0:1]), boundary),
    "points": lambda g: dde.icbc.PointSetBC(POINTS, np.ones((7, 1))),
    "operator at points": lambda g: dde.icbc.PointSetOperatorBC(
        POINTS, np.ones((7, 1)), lambda x, u, _: dde.grad.jacobian(u, x, i=0, j=0)
    ),
}


class Own(dde.nn.NN):
    """A user's network with bare parameters."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(2, 6))
        self.b = torch.nn.Parameter(torch.randn(6, 1))
        self.regularizer = None

    def forward(self, inputs):
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        u = torch.tanh(x @ self.a) @ self.b
        return u if self._output_transform is None else self._output_transform(inputs, u)


NETWORKS = {
    "RepNet": lambda: RepNet([2, 6, 5, 1], "tanh", "Glorot normal", domain=domain()),
    "RepNet, sine": lambda: RepNet([2, 6, 1], "sin", "Glorot normal", domain=domain()),
    "FNN": lambda: dde.nn.FNN([2, 6, 5, 1], "tanh", "Glorot normal"),
    "PFNN": lambda: dde.nn.PFNN([2, [6, 6], 2], "tanh", "Glorot normal"),
    "own": Own,
}


def row_by_row(data, net, unknowns=()):
    """The Jacobian of every term by one reverse pass a row."""
    parameters = [*net.parameters(), *unknowns]
    result = []
    for v in residual_vectors(data, net):
        rows = []
        for value in v.reshape(-1):
            grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
            rows.append(torch.cat([g.reshape(-1) for g in grads]))
        result.append(torch.stack(rows))
    dde.grad.clear()
    return result


def assert_equal(terms, expected):
    for term, jacobian in zip(terms, expected, strict=True):
        assert term.jacobian.shape == jacobian.shape
        torch.testing.assert_close(term.jacobian, jacobian, rtol=1e-11, atol=1e-11 * float(jacobian.abs().max()))


def make(conditions, **fields):
    g = domain()
    fields = {"geometry": g, "pde": heat, "sampling": Sampling(domain=9, boundary=8, initial=6)} | fields
    return Problem(conditions={name: CONDITIONS[name](g) for name in conditions}, **fields)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_kind_of_condition(condition):
    problem = make([condition])
    data, net = collocation(problem), NETWORKS["RepNet"]()
    terms = linearize(data, net, problem.term_names)
    assert_equal(terms, row_by_row(data, net))
    for term, v in zip(terms, residual_vectors(data, net), strict=True):
        torch.testing.assert_close(term.residual, v.detach().reshape(-1), rtol=1e-12, atol=1e-12)
    check_rows(data, net, terms)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_kind_of_network(network):
    outputs = ("u", "v") if network == "PFNN" else ("u",)
    problem = make(["Dirichlet", "initial"], outputs=outputs)
    data, net = collocation(problem), NETWORKS[network]()
    assert_equal(linearize(data, net, problem.term_names), row_by_row(data, net))


def test_system_hard_constraint_features_and_unknown():
    a = dde.Variable(0.7)

    def pde(x, u):
        u_t = dde.grad.jacobian(u, x, i=0, j=1)
        u_xx = dde.grad.hessian(u, x, component=1, i=0, j=0)
        return [u_t - a * u_xx, u[:, 0:1] * u[:, 1:2] - torch.exp(a) * x[:, 0:1]]

    problem = make(
        ["Dirichlet"],
        pde=pde,
        outputs=("u", "v"),
        unknowns={"a": a},
        output_transform=lambda x, u: u * x[:, 1:2] + torch.sin(x[:, 0:1]),
        input_transform=lambda x: torch.cat([torch.sin(PI * x[:, 0:1]), torch.cos(PI * x[:, 0:1]), x[:, 1:2]], 1),
    )
    net = dde.nn.FNN([3, 5, 2], "tanh", "Glorot normal")
    net.apply_feature_transform(problem.input_transform)
    net.apply_output_transform(problem.output_transform)
    data = collocation(problem)
    terms = linearize(data, net, problem.term_names, None, [a])
    assert_equal(terms, row_by_row(data, net, [a]))
    assert terms[0].jacobian[:, -1].any()


def test_finite_differences():
    problem = make(["Neumann", "initial"])
    data, net = collocation(problem), NETWORKS["RepNet"]()
    terms = linearize(data, net, problem.term_names)
    parameters, step = list(net.parameters()), 1e-6
    direction = [torch.randn_like(p) for p in parameters]
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p += sign * step * d
        sides.append([v.detach().reshape(-1) for v in residual_vectors(data, net)])
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p -= sign * step * d
    flat = torch.cat([d.reshape(-1) for d in direction])
    for term, plus, minus in zip(terms, *sides, strict=True):
        slope = (plus - minus) / (2 * step)
        assert (term.jacobian @ flat - slope).abs().max() < 1e-7 * slope.abs().max()


def test_blocks_and_part_of_the_parameters():
    problem = make(["Neumann", "operator"])
    data, net = collocation(problem), NETWORKS["RepNet"]()
    whole = linearize(data, net, problem.term_names)
    small = linearize(data, net, problem.term_names, block_bytes=8 * 70 * 2)
    assert_equal(small, [t.jacobian for t in whole])
    for a, b in zip(small, whole, strict=True):
        torch.testing.assert_close(a.residual, b.residual, rtol=1e-12, atol=1e-12)
    names = ["linears.1.weight", "linears.1.bias"]
    count = sum(net.get_parameter(name).numel() for name in names)
    assert_equal(linearize(data, net, problem.term_names, names), [t.jacobian[:, -count:] for t in whole])


def test_rows_that_depend_on_several_points_are_refused():
    problem = make(["initial"], pde=lambda x, u: heat(x, u) - u.mean())
    data, net = collocation(problem), NETWORKS["FNN"]()
    with pytest.raises(InputError, match="residual 'pde'.*several points"):
        check_rows(data, net, linearize(data, net, problem.term_names))
