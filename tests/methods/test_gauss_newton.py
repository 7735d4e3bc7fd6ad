"""Gauss-Newton: its steps against plain linear algebra, its convergence, its points, and resuming."""

import copy
import math

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, TrainingError, set_precision
from repnet_pde.backend import random_state, set_random_state
from repnet_pde.discretization.jacobian import linearize
from repnet_pde.discretization.objective import AUTOMATIC, Objective
from repnet_pde.linalg import damped as _damped
from repnet_pde.linalg.damped import Dense, MatrixFree
from repnet_pde.linalg.dense import Linearization
from repnet_pde.methods import gauss_newton
from repnet_pde.methods.gauss_newton import GaussNewton
from repnet_pde.methods.points import Points
from repnet_pde.problem.residuals import residual_vectors

NAMES = ["pde", "boundary", "initial"]


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")
    torch.manual_seed(0)
    np.random.seed(0)


def random_terms(columns=7, rows=(30, 12)):
    return [
        Linearization(f"term {i}", torch.randn(n, dtype=torch.float64), torch.randn(n, columns, dtype=torch.float64))
        for i, n in enumerate(rows)
    ]


@pytest.mark.parametrize("damping", [3.0, 1e-4, 1e-11, 1e-18])
@pytest.mark.parametrize("rows", [(30, 12), (3, 2)])
@pytest.mark.parametrize("n_unknowns", [0, 2])
def test_dense_step_is_damped_least_squares(damping, rows, n_unknowns):
    if sum(rows) < 7 and damping < 1e-11:
        pytest.skip("singular to rounding")
    terms, scales = random_terms(rows=rows), [2.0, 0.5]
    terms[0].jacobian[:, -1] *= 100
    system = Dense(terms, scales, n_unknowns)
    a = torch.cat([t.jacobian * s for t, s in zip(terms, scales, strict=True)])
    b = -torch.cat([t.residual * s for t, s in zip(terms, scales, strict=True)])
    squares = a.square().sum(0)
    d = torch.ones(7, dtype=torch.float64)
    if n_unknowns:
        d[-2:] = (squares[-2:] / squares[:-2].mean()).sqrt()
    stacked = torch.cat([a, math.sqrt(damping) * torch.diag(d)])
    expected = torch.linalg.lstsq(stacked, torch.cat([b, torch.zeros(7)])[:, None]).solution[:, 0]
    torch.testing.assert_close(system.step(damping), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(system.gradient, -a.T @ b)
    if damping > 1e-8:
        torch.testing.assert_close(system.step_for(-3 * b), 3 * expected, rtol=1e-5, atol=1e-7)


def test_small_damping_keeps_the_digits_that_the_normal_equations_lose():
    j = torch.randn(40, 6, dtype=torch.float64)
    j[:, 5] = j[:, 4] + 1e-9 * j[:, 5]
    delta = torch.randn(6, dtype=torch.float64)
    system = Dense([Linearization("term", -(j @ delta), j)], [1.0], 0)
    assert (system.step(1e-26) - delta).norm() < 1e-6 * delta.norm()


def burgers(num_domain=60, aux=False, **options):
    g = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        u_t, u_x = (dde.grad.jacobian(u, x, j=j) for j in (1, 0))
        return u_t + u * u_x - 0.1 * dde.grad.hessian(u, x)

    conditions = [
        dde.icbc.DirichletBC(g, lambda x: 0.1 * x[:, 1:2], lambda x, on: on),
        dde.icbc.IC(g, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda x, on: on),
    ]
    return dde.data.TimePDE(g, pde, conditions, num_domain=num_domain, num_boundary=20, num_initial=20, **options)


def network(*sizes):
    return dde.nn.FNN([2, *(sizes or (6, 6)), 1], "tanh", "Glorot normal")


def objective(data=None, net=None, unknowns=(), weights=AUTOMATIC, names=NAMES):
    return Objective(burgers() if data is None else data, network() if net is None else net, unknowns, names, weights)


def test_matrix_free_products_and_step_equal_the_dense_ones():
    a = dde.Variable(3.0)
    g = dde.geometry.Interval(0, 1)
    data = dde.data.PDE(
        g,
        lambda x, u: dde.grad.hessian(u, x) + 100 * a * u,
        dde.icbc.DirichletBC(g, lambda x: 1 + x, lambda x, on: on),
        num_domain=40,
        num_boundary=2,
    )
    net = dde.nn.FNN([1, 5, 4, 1], "tanh", "Glorot normal")
    scales = [0.02, 0.3]
    dense = Dense(linearize(data, net, ["pde", "ends"], None, [a]), scales, 1)
    free = MatrixFree(residual_vectors(data, net), [*net.parameters(), a], scales, 1, most=2000, tolerance=1e-14)
    torch.testing.assert_close(free.residual, dense.residual)
    torch.testing.assert_close(free.gradient, dense.gradient)
    d = torch.randn(len(dense.gradient), dtype=torch.float64)
    torch.testing.assert_close(free.product(d), dense.product(d))
    assert free.trace == pytest.approx(dense.trace, rel=0.9)
    free.weights = dense.weights.clone()
    for damping in (1.0, 1e-3):
        torch.testing.assert_close(free.step(damping), dense.step(damping), rtol=1e-7, atol=1e-9)


def test_matrix_free_training_and_its_estimated_scales():
    data, net = burgers(), network()
    terms = linearize(data, net, NAMES)
    free = MatrixFree(residual_vectors(data, net), list(net.parameters()), None, 0)
    for scale, term in zip(free.scales, terms, strict=True):
        exact = 1 / math.sqrt(term.jacobian.square().sum())
        assert scale == pytest.approx(exact, rel=0.8)
    method = GaussNewton(objective(data, net), 25, matrix_free=True)
    method.step()
    first = method._norm2()
    while not method.stopped:
        method.step()
    assert method._norm2() < 0.05 * first
    assert method.stopped == "all iterations done (matrix-free: LSMR)"


def test_large_networks_and_little_memory_are_matrix_free(monkeypatch):
    assert not GaussNewton(objective(), 1).matrix_free
    assert GaussNewton(objective(), 1, memory=10_000).matrix_free
    with pytest.raises(InputError, match=r"memory: 10,000 bytes given; [\d,]+ are needed"):
        GaussNewton(objective(), 1, memory=10_000, matrix_free=False)
    monkeypatch.setattr(gauss_newton, "MOST_DENSE", 50)
    assert GaussNewton(objective(), 1).matrix_free


def fitting(scale):
    """Data of a network, and a start near its parameters: a nonlinear problem whose residual can vanish."""
    net = dde.nn.FNN([1, 1, 1], "tanh", "Glorot normal")
    x = np.linspace(-2, 2, 40)[:, None]
    with torch.no_grad():
        for p in net.parameters():
            p += 0.5 * torch.randn_like(p)
        u = net(torch.as_tensor(x)).numpy()
        for p in net.parameters():
            p += scale * torch.randn_like(p)
    data = dde.data.PDE(dde.geometry.Interval(-2, 2), None, dde.icbc.PointSetBC(x, u), num_domain=2)
    return objective(data, net, names=["data"])


def test_converges_quadratically_to_a_zero_residual():
    """Measured between the first steps and rounding; which of the criteria ends a run at rounding depends on it."""
    falls = []
    for scale in (0.1, 0.2, 0.3):
        torch.manual_seed(0)
        method, norms = GaussNewton(fitting(scale), 50, damping=1e-14), []
        while not method.stopped:
            method.step()
            norms.append(math.sqrt(method._norm2()))
        falls += [math.log(b) / math.log(a) for a, b in zip(norms, norms[1:], strict=False) if 1e-10 < b < a < 2e-3]
        assert norms[-1] < 1e-13 and method.iteration < 15 and "iterations" not in method.stopped
    assert len(falls) >= 3 and min(falls) > 1.7


def test_geodesic_acceleration_is_the_second_order_term_of_the_path():
    """δ + correction follows the curve on which r(θ(τ)) falls linearly: one order more than δ alone."""
    found = []
    for size in (1.0, 0.5):
        torch.manual_seed(0)
        method = GaussNewton(fitting(0.0), 5)
        parameters = method.objective.parameters
        before = [p.detach().clone() for p in parameters]
        system, _ = method._system()
        delta = torch.full((len(system.gradient),), 0.02 * size, dtype=torch.float64)
        wanted = system.product(delta)
        system.residual = -wanted  # so that δ is the undamped step
        system.gradient = system.jacobian.T @ system.residual
        system.step(1e-25)
        system.residual = torch.zeros_like(wanted)
        errors = []
        for step in (delta, method._bent(system, before, delta)):
            method._set(before, step)
            new = method._system()[0].residual
            # What lies outside of the range of J cannot be corrected.
            errors.append(torch.linalg.lstsq(system.jacobian, (new - wanted)[:, None]).solution.norm().item())
        found.append(errors)
    (plain, bent), (plain_half, bent_half) = found
    assert 3 < plain / plain_half < 5
    assert bent < 0.3 * plain and bent / bent_half > 3.5


def test_the_loss_never_rises_on_fixed_points_and_stagnation_ends_it():
    method = GaussNewton(objective(net=network(3)), 400, refine=0)
    norms = []
    while not method.stopped:
        method.step()
        norms.append(method._norm2())
    assert all(b <= a for a, b in zip(norms, norms[1:], strict=False))
    assert "stagnation: 20 steps" in method.stopped or "step: none" in method.stopped


def test_weights_of_the_user_are_used():
    weights = {"pde": 4.0, "boundary": 1.0, "initial": 9.0}
    obj = objective(weights=weights)
    method = GaussNewton(obj, 1, refine=0)
    method._system()
    assert method._norm2() == pytest.approx((obj.weights @ obj.mean_squares().detach()).item())


def decay(a, unit):
    return lambda x, u: dde.grad.jacobian(u, x) + unit * a * u


def test_unknowns_are_free_of_their_units():
    """The same problem with the unknown in other units takes the same steps."""
    found = []
    for unit in (1.0, 1e4):
        torch.manual_seed(1)
        np.random.seed(0)
        a = dde.Variable(2.0 / unit)
        x = np.linspace(0, 1, 15)[:, None]
        data = dde.data.PDE(
            dde.geometry.Interval(0, 1),
            decay(a, unit),
            dde.icbc.PointSetBC(x, np.exp(-3 * x)),
            num_domain=20,
        )
        net = dde.nn.FNN([1, 6, 1], "tanh", "Glorot normal")
        method = GaussNewton(objective(data, net, [a], names=["pde", "data"]), 60, refine=0)
        while not method.stopped and method.iteration < 60:
            method.step()
            if method.iteration == 5:
                early = unit * a.item()
        found.append((early, unit * a.item()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert found[1][1] == pytest.approx(3, rel=1e-4)


@pytest.mark.parametrize("matrix_free", [False, True])
def test_resumes_to_the_last_bit(matrix_free):
    def start():
        torch.manual_seed(3)
        np.random.seed(3)
        obj = objective()
        return obj, GaussNewton(obj, 100, refine=3, matrix_free=matrix_free)

    obj, method = start()
    for _ in range(5):
        method.step()
    saved = copy.deepcopy((method.state_dict(), obj.net.state_dict(), random_state()))
    for _ in range(6):
        method.step()
    other, resumed = start()
    other.net.load_state_dict(saved[1])
    resumed.load_state_dict(saved[0])
    set_random_state(saved[2])
    for _ in range(6):
        resumed.step()
    assert all(torch.equal(a, b) for a, b in zip(obj.net.parameters(), other.net.parameters(), strict=True))
    assert resumed.state_dict()["damping"] == method.state_dict()["damping"]
    assert torch.equal(resumed._points.inner, method._points.inner)
    assert not torch.equal(resumed._points.inner, Points(obj.data).inner)


def test_redrawn_points_lie_where_the_residual_is_large_and_conditions_keep_theirs():
    aux = {"auxiliary_var_function": lambda x: x[:, 0:1]}
    g = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
    # The residual is large for x > 0.5 only, whatever the network; the conditions' values tell their points apart.
    data = dde.data.TimePDE(
        g,
        lambda x, u, z: 0 * u + 100 * torch.relu(z - 0.5) + 1e-3,
        [dde.icbc.DirichletBC(g, lambda x: x[:, 0:1] + 10 * x[:, 1:2], lambda x, on: on)],
        num_domain=300,
        num_boundary=20,
        **aux,
    )
    net = network()
    before = residual_vectors(data_of(data), net)[1].detach()
    original, rows = data.train_x.copy(), sum(data.num_bcs)
    points = Points(data)
    for _ in range(5):
        points.refine(net, [1.0, 1.0])
    moved = points.data.train_x
    assert (data.train_x == original).all() and (moved[:rows] == original[:rows]).all()
    assert not (moved[rows:] == original[rows:]).all() and len(moved) == len(original)
    assert (moved[rows:, 0] > 0.5).mean() > 0.5 > 2 * (original[rows:, 0] > 0.55).mean()
    pde, after = residual_vectors(points.data, net)
    assert torch.equal(after.detach(), before)
    expected = 100 * np.maximum(moved[rows:, 0:1] - 0.5, 0) + 1e-3
    np.testing.assert_allclose(pde.detach().numpy(), expected)


def data_of(data):
    from repnet_pde.discretization.jacobian import with_auxiliary

    return with_auxiliary(data)


def test_points_that_the_user_chose_are_kept():
    data = burgers(num_domain=0, anchors=np.random.default_rng(0).uniform([-1, 0], [1, 1], (30, 2)))
    assert GaussNewton(objective(data), 1).refine == 0
    assert GaussNewton(objective(), 1).refine > 0


def test_rows_that_mix_points_are_solved(monkeypatch):
    g = dde.geometry.Interval(0, 1)

    def make():
        torch.manual_seed(0)
        data = dde.data.PDE(
            g,
            lambda x, u: dde.grad.jacobian(u, x) - u.mean(),
            dde.icbc.DirichletBC(g, lambda x: 1 + 0 * x, lambda x, on: on and x[0] < 0.5),
            num_domain=30,
            num_boundary=2,
        )
        return GaussNewton(objective(data, dde.nn.FNN([1, 5, 1], "tanh", "Glorot normal"), names=["pde", "end"]), 40)

    method = make()
    method.step()
    assert method.route == "rows"
    first = method._norm2()
    while not method.stopped:
        method.step()
    assert method._norm2() < 1e-6 * first
    monkeypatch.setattr("repnet_pde.discretization.jacobian.MOST_ROW_WORK", 0)
    other = make()
    other.step()
    assert other.matrix_free


def test_what_is_not_finite_is_named():
    data = burgers()
    pde = data.pde
    data.pde = lambda x, u: pde(x, u) / (x[:, 0:1] > 0)
    method = GaussNewton(objective(data), 5)
    with pytest.raises(TrainingError, match=r"residual 'pde' is (inf|-inf|nan) at the point \(-?\d"):
        method.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 0}, "damping: 0 given"),
        ({"damping": math.inf}, "damping: inf given"),
        ({"refine": -1}, "refine: -1"),
        ({"refine": None}, "refine: None given"),
        ({"memory": 0}, "memory: 0"),
        ({"matrix_free": "yes"}, "matrix_free: 'yes' given"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        GaussNewton(objective(), 5, **options)


def test_normal_equations_are_used_for_large_damping_only(monkeypatch):
    system = Dense(random_terms(), [1.0, 1.0], 0)
    used = []
    monkeypatch.setattr(system, "_orthogonal", lambda damping: used.append(damping))
    system.step(10 * _damped.SAFE * system.trace)
    assert used == []
    system.step(0.1 * _damped.SAFE * system.trace)
    assert len(used) == 1
