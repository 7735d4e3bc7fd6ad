"""The Jacobian by copies of the parameters against row-by-row reverse mode and finite differences."""

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, Problem, RepNet, Sampling, set_precision
from repnet_pde.discretization.jacobian import check_rows, choose_route, linearize, not_finite, with_auxiliary
from repnet_pde.problem.points import collocation
from repnet_pde.problem.residuals import residual_vectors

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


class Multiscale(dde.nn.NN):
    """Several scales of the input through one trunk, shared and fixed weights: as MsFFN, with buffers."""

    def __init__(self):
        super().__init__()
        self.regularizer = None
        for i, scale in enumerate((1.0, 5.0)):
            self.register_buffer(f"waves_{i}", scale * torch.randn(2, 3))
        self.trunk = torch.nn.Linear(6, 4)
        self.out = torch.nn.Linear(8, 1)

    def forward(self, inputs):
        parts = []
        for waves in (self.waves_0, self.waves_1):
            z = inputs @ waves
            parts.append(torch.tanh(self.trunk(torch.cat([torch.sin(z), torch.cos(z)], 1))))
        return self.out(torch.cat(parts, 1))


class Normed(dde.nn.NN):
    """Parameters that are used otherwise than in linear layers."""

    def __init__(self):
        super().__init__()
        self.regularizer = None
        self.first, self.last = torch.nn.Linear(2, 6), torch.nn.Linear(6, 1)
        self.scale = torch.nn.Parameter(torch.randn(6))

    def forward(self, inputs):
        return self.last(torch.tanh(self.scale * self.first(inputs)))


NETWORKS = {
    "RepNet": lambda: RepNet([2, 6, 5, 1], "tanh", "Glorot normal", domain=domain()),
    "RepNet, sine": lambda: RepNet([2, 6, 1], "sin", "Glorot normal", domain=domain()),
    "FNN": lambda: dde.nn.FNN([2, 6, 5, 1], "tanh", "Glorot normal"),
    "PFNN": lambda: dde.nn.PFNN([2, [6, 6], 2], "tanh", "Glorot normal"),
    "own": Own,
    "multiscale": lambda: Multiscale(),
    "layer norm": lambda: Normed(),
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
    expected = row_by_row(data, net)
    terms = linearize(data, net, problem.term_names)
    assert_equal(terms, expected)
    assert not any(t.jacobian.requires_grad or t.residual.requires_grad for t in terms)
    assert_equal(linearize(data, net, problem.term_names, route="copies"), expected)
    if network in ("RepNet", "FNN", "PFNN", "own", "multiscale"):
        assert_equal(linearize(data, net, problem.term_names, route="layers"), expected)


def test_parameters_outside_of_linear_layers_take_the_general_route():
    problem = make(["initial"])
    data, net = collocation(problem), Normed()
    with pytest.raises(InputError, match="used otherwise than in linear layers"):
        linearize(data, net, problem.term_names, route="layers")


def time_pde(pde, conditions, **options):
    return dde.data.TimePDE(domain(), pde, conditions, num_domain=9, num_boundary=8, num_initial=6, **options)


@pytest.mark.parametrize("route", ["layers", "copies", "rows"])
def test_several_components_auxiliary_variables_and_tensor_unknowns(route):
    a = dde.Variable([0.7, -0.2])

    def pde(x, u, aux):
        return heat(x, u[:, 0:1]) * a[0] + a[1] ** 2 * u[:, 1:2] - aux

    points = dde.icbc.PointSetBC(POINTS, np.ones((7, 2)), component=[0, 1])
    data = time_pde(pde, [points], auxiliary_var_function=lambda x: np.sin(x[:, 0:1]))
    net = dde.nn.FNN([2, 5, 2], "tanh", "Glorot normal")
    terms = linearize(data, net, ["pde", "data"], None, [a], route=route)
    assert_equal(terms, row_by_row(with_auxiliary(data), net, [a]))
    assert [len(t.residual) for t in terms] == [len(data.train_x) - 7, 14]
    assert terms[0].jacobian[:, -2:].any(0).all()
    x = torch.as_tensor(data.train_x[7:]).requires_grad_()
    expected = pde(x, net(x), torch.sin(x[:, 0:1])).detach()[:, 0]
    torch.testing.assert_close(terms[0].residual, expected, rtol=1e-12, atol=1e-12)
    dde.grad.clear()


def test_interface_conditions_pair_rows():
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    sides = [lambda x, on, at=at: on and np.isclose(x[0], at) for at in (0, 1)]
    interface = dde.icbc.Interface2DBC(square, lambda x: 0.5, *sides)
    laplace = lambda x, u: dde.grad.hessian(u, x, component=0, i=0, j=0)  # noqa: E731
    data = dde.data.PDE(square, laplace, interface, num_domain=5, num_boundary=20, train_distribution="uniform")
    net = dde.nn.FNN([2, 5, 2], "tanh", "Glorot normal")
    terms = linearize(data, net, ["pde", "interface"])
    assert_equal(terms, row_by_row(data, net))
    assert 2 * len(terms[1].residual) == data.num_bcs[0]


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
    for route in ("layers", "copies"):
        small = linearize(data, net, problem.term_names, block_bytes=8 * 70 * 2, route=route)
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


def test_rows_that_depend_on_several_points_take_reverse_mode_row_by_row(monkeypatch):
    problem = make(["initial"], pde=lambda x, u: heat(x, u) - u.mean())
    data, net = collocation(problem), NETWORKS["FNN"]()
    assert choose_route(data, net, problem.term_names) == "rows"
    assert_equal(linearize(data, net, problem.term_names, route="rows"), row_by_row(data, net))
    monkeypatch.setattr("repnet_pde.discretization.jacobian.MOST_ROW_WORK", 0)
    with pytest.raises(InputError, match="several points.*row by row.*are too many"):
        choose_route(data, net, problem.term_names)


def test_a_network_that_the_pde_evaluates_itself():
    net = dde.nn.FNN([2, 5, 1], "tanh", "Glorot normal")
    data = time_pde(lambda x, u: heat(x, u) + net(x * 0.5), [])
    assert choose_route(data, net, ["pde"]) == "rows"
    assert_equal(linearize(data, net, ["pde"], route="rows"), row_by_row(data, net))


def test_memory_limit_says_what_is_needed():
    problem = make(["Dirichlet"])
    data, net = collocation(problem), NETWORKS["FNN"]()
    with pytest.raises(InputError, match=r"memory: 1,000 bytes given; [\d,]+ are needed for \d+ residual rows"):
        linearize(data, net, problem.term_names, memory=1000)
    linearize(data, net, problem.term_names, memory=10**6)


def test_what_is_not_finite_is_named_with_its_point():
    points = dde.icbc.PointSetBC(POINTS, np.ones((7, 1)))
    data = time_pde(lambda x, u: torch.log(x[:, 1:2] - 0.5) * heat(x, u), [points])
    net = dde.nn.FNN([2, 5, 1], "tanh", "Glorot normal")
    residuals = residual_vectors(data, net)
    bad = int(np.argmax(data.train_x[7:, 1] <= 0.5))
    expected = data.train_x[7 + bad]
    assert f"({expected[0]:.6g}, {expected[1]:.6g})" in not_finite(data, ["pde", "data"], residuals)
    assert "residual 'pde' is" in not_finite(data, ["pde", "data"], residuals)
    residuals = [torch.zeros_like(residuals[0]), residuals[1].clone()]
    assert not_finite(data, ["pde", "data"], residuals) is None
    residuals[1][3] = torch.inf
    assert f"'data' is inf at the point ({POINTS[3, 0]:.6g}" in not_finite(data, ["pde", "data"], residuals)


def test_other_data_is_refused():
    function = dde.data.Function(dde.geometry.Interval(0, 1), np.sin, 5, 5)
    with pytest.raises(InputError, match="dde.data.Function; dde.data.PDE or TimePDE is supported"):
        linearize(function, dde.nn.FNN([1, 3, 1], "tanh", "Glorot normal"), ["f"])
