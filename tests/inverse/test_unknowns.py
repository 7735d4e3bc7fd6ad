"""Unknown numbers: their scales and bounds, and their columns in the Jacobian of the last layer."""

import math

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, Problem, RepNet, Sampling, set_precision
from repnet_pde.discretization.jets import orders
from repnet_pde.discretization.last_layer import CopySystem, JetSystem
from repnet_pde.inverse.unknowns import NEAR, Scales, check_bounds
from repnet_pde.problem.points import collocation


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")
    torch.manual_seed(0)
    np.random.seed(0)


def one(start, pair=None, positive=False):
    bounds = None if pair is None else {"a": pair}
    return Scales({"a": dde.Variable(start)}, bounds, ["a"] if positive else ())


# Scales --------------------------------------------------------------------------------------------------------------

KINDS = {
    "free": (one(3.0), [-1e9, -2.0, 0.0, 1e-9, 5e7]),
    "positive": (one(3.0, positive=True), [1e-9, 0.5, 3.0, 1e9]),
    "lower": (one(3.0, (-2.0, None)), [-1.999, 0.0, 4.0, 1e9]),
    "upper": (one(3.0, (None, 7.0)), [-1e9, 0.0, 6.99]),
    "both": (one(3.0, (-2.0, 7.0)), [-1.99, 0.0, 3.0, 6.99]),
    "both, small": (one(3e-9, [1e-9, 7e-9]), [1.01e-9, 5e-9, 6.99e-9]),
    "both, large": (one(3e9, (-1e9, 7e9)), [-0.99e9, 1e8, 6.99e9]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind):
    scales, values = KINDS[kind]
    for value in values:
        assert scales.value(0, scales.internal("a", value)) == pytest.approx(value, rel=1e-12)
    for eta in (-3.0, 0.0, 2.0):
        assert scales.internal("a", scales.value(0, eta)) == pytest.approx(eta, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_those_of_finite_differences(kind):
    scales, _ = KINDS[kind]
    for eta in (-3.0, -0.2, 0.0, 1.5, 4.0):
        step = 1e-4
        slope = (scales.value(0, eta + step) - scales.value(0, eta - step)) / (2 * step)
        assert scales.slope(0, eta) == pytest.approx(slope, rel=1e-6)
    assert scales.slopes(torch.tensor([0.3])).tolist() == pytest.approx([scales.slope(0, 0.3)], rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_values_stay_finite_and_within_their_bounds(kind):
    scales, _ = KINDS[kind]
    low, high = scales.bounds[0]
    for eta in (-1e4, -1e3, -40.0, 40.0, 1e3, 1e4):
        value = scales.value(0, eta)
        assert math.isfinite(value) and low <= value <= high
        assert math.isfinite(scales.slope(0, eta))


def test_no_bound_is_crossed_by_rounding():
    """low + (high − low) can exceed high by one unit in the last place; a residual such as sqrt(1 − a) would be NaN."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        low, high = np.sort(generator.normal(size=2) * 10.0 ** generator.integers(-3, 4))
        scales = one(float(low + high) / 2, (float(low), float(high)))
        for eta in (-1e3, -40.0, 40.0, 1e3):
            assert low <= scales.value(0, eta) <= high
            assert scales.slope(0, eta) >= 0


def test_a_value_on_a_bound_is_moved_off_it():
    scales = one(0.5, (0.0, 2.0))
    assert scales.value(0, scales.internal("a", 0.0)) == pytest.approx(2 * NEAR, rel=1e-6)
    assert scales.value(0, scales.internal("a", 3.0)) == pytest.approx(2 - 2 * NEAR, rel=1e-6)
    assert math.isfinite(one(0.5, (0.0, None)).internal("a", 0.0))
    assert math.isfinite(one(-0.5, (None, 0.0)).internal("a", 0.0))


def test_get_and_set():
    variables = {"a": dde.Variable(2.0), "b": dde.Variable(0.5), "c": dde.Variable(-3.0)}
    scales = Scales(variables, {"b": (0, 1)}, ["a"])
    eta = scales.get()
    assert eta.tolist() == pytest.approx([math.log(2), 0.0, -3.0], abs=1e-12)
    scales.set(eta + torch.tensor([1.0, 2.0, 3.0]))
    assert [v.item() for v in variables.values()] == pytest.approx([2 * math.e, 1 / (1 + math.exp(-2)), 0], rel=1e-12)
    assert all(v.requires_grad and v.is_leaf for v in variables.values())
    torch.testing.assert_close(scales.get(), eta + torch.tensor([1.0, 2.0, 3.0]), rtol=1e-12, atol=1e-12)


def test_bounds_as_a_table():
    infinity = math.inf
    given = {"a": (None, 3), "b": [0, None], "c": (-infinity, infinity)}
    table = check_bounds("abcd", given, ())
    assert table == {"a": (-infinity, 3.0), "b": (0.0, infinity), "c": (-infinity, infinity)}
    assert check_bounds("abcd", {"a": (-5, 3), "b": (2, None)}, ["a", "b", "d"]) == {
        "a": (0.0, 3.0),
        "b": (2.0, infinity),
        "d": (0.0, infinity),
    }
    assert check_bounds("a", None, ()) == {}


BAD = [
    ({"bounds": {"rat": (0, 1)}}, r"bounds: 'rat' is not known \(did you mean 'rate'\?\); choose from rate"),
    ({"bounds": {"rate": (1, 0)}}, r"bounds\['rate'\]: \(1, 0\) given; the lower bound must be below the upper"),
    ({"bounds": {"rate": (1, 1)}}, r"the lower bound must be below the upper"),
    ({"bounds": {"rate": 3}}, r"bounds\['rate'\]: 3 given; a pair \(lower, upper\) is needed, None for no bound"),
    ({"bounds": {"rate": (0, 1, 2)}}, r"a pair \(lower, upper\) is needed"),
    ({"bounds": {"rate": ("0", 1)}}, r"bounds\['rate'\]: '0' given; a finite number is needed"),
    ({"bounds": {"rate": (math.nan, 1)}}, r"bounds\['rate'\]: nan given; a finite number is needed"),
    ({"bounds": {"rate": (math.inf, None)}}, r"bounds\['rate'\]: inf given; a finite number is needed"),
    ({"bounds": [("rate", 0, 1)]}, r"bounds: .* given; a mapping with names as keys is needed"),
    ({"bounds": {"rate": (3, 4)}}, r"unknowns\['rate'\]: starts at 2, which is not between its bounds 3 and 4"),
    ({"bounds": {"rate": (2, 4)}}, r"unknowns\['rate'\]: starts at 2, which is not between its bounds 2 and 4"),
    ({"positive": "rate"}, r"positive: 'rate' given; a list of names of unknowns is needed"),
    ({"positive": ["speed"]}, r"positive: 'speed' is not known; choose from rate"),
    ({"positive": None}, r"positive: None given; a list of names of unknowns is needed"),
    ({"positive": ["rate"], "bounds": {"rate": (-3, -1)}}, r"positive: 'rate' has the upper bound -1"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_bounds(options, message):
    with pytest.raises(InputError, match=message):
        Scales({"rate": dde.Variable(2.0)}, **options)


def test_a_negative_start_of_a_positive_unknown():
    with pytest.raises(InputError, match=r"unknowns\['a'\]: starts at -1, which is not between its bounds 0 and inf"):
        one(-1.0, positive=True)


# Columns of the Jacobian ---------------------------------------------------------------------------------------------


def systems(size=1.0):
    """Two coupled equations, nonlinear in three unknowns, of which one is in a condition alone; as both systems."""
    a, b, c = (dde.Variable(v) for v in (0.7 * size, -1.3, 2.0))
    g = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        p, q = u[:, 0:1], u[:, 1:2]
        p_t, p_xx = dde.grad.jacobian(u, x, i=0, j=1), dde.grad.hessian(u, x, component=0)
        q_t = dde.grad.jacobian(u, x, i=1, j=1)
        return [p_t - (a / size) ** 2 * p_xx + torch.sin(b * p) * q, q_t + b * p]

    def on(x, where):
        return where

    conditions = {
        "robin": dde.icbc.RobinBC(g, lambda x, u: -torch.exp(c) * u[:, 0:1], on, component=0),
        "initial": dde.icbc.IC(g, lambda x: np.cos(x[:, 0:1]), on, component=1),
        "data": dde.icbc.PointSetBC(np.array([[0.1, 0.5], [0.2, 0.9]]), np.array([[1.0], [2.0]]), component=0),
    }
    problem = Problem(
        geometry=g,
        pde=pde,
        conditions=conditions,
        outputs=("p", "q"),
        unknowns={"a": a, "b": b, "c": c},
        sampling=Sampling(domain=20, boundary=8, initial=6),
    )
    net = RepNet([2, 9, 2], "tanh", "Glorot normal", first_activation="sin", domain=g, slope_scale=2.0)
    data, unknowns = collocation(problem), [a, b, c]
    jets = JetSystem(data, net, problem.term_names, orders(data, 2), unknowns=unknowns)
    return jets, CopySystem(data, net, problem.term_names, unknowns)


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_the_columns_of_unknowns_are_finite_differences_of_the_residuals(size):
    system, _ = systems(size)
    terms, start, width = system.linearize(), system.get(), len(system.size())
    assert width == 2 * 10 + 3
    for column in range(width - 3, width):
        step = torch.zeros(width, dtype=torch.float64)
        step[column] = 1e-5 * max(1.0, abs(system.size()[column].item()))
        found = []
        for sign in (1, -1):
            system.set(start, sign * step)
            found.append(system.residuals())
        system.set(start)
        for term, more, less in zip(terms, *found, strict=True):
            expected = (more - less) / (2 * step[column])
            limit = 1e-7 * max(expected.abs().max().item(), 1e-3 / step[column].item() * 1e-5)
            assert (term.jacobian[:, column] - expected).abs().max() <= limit, (term.name, column)
    sizes = {term.name: term.jacobian[:, -3:].abs().amax(0) for term in terms}
    assert (sizes["pde_1"][:2] > 0).all() and sizes["pde_1"][2] == 0
    assert sizes["pde_2"][0] == 0 and sizes["pde_2"][1] > 0
    assert (sizes["robin"][:2] == 0).all() and sizes["robin"][2] > 0
    assert (sizes["data"] == 0).all()


def test_both_systems_give_the_same_jacobian():
    jets, copies = systems()
    torch.testing.assert_close(jets.size(), copies.size())
    for ours, theirs in zip(jets.linearize(), copies.linearize(), strict=True):
        assert ours.name == theirs.name
        torch.testing.assert_close(ours.residual, theirs.residual, rtol=1e-10, atol=1e-11)
        size = theirs.jacobian.abs().max().item()
        torch.testing.assert_close(ours.jacobian, theirs.jacobian, rtol=1e-10, atol=1e-11 * size)


@pytest.mark.parametrize("which", [0, 1])
def test_set_takes_steps_and_takes_them_back_to_the_last_bit(which):
    system = systems()[which]
    start, before, size = system.get(), system.residuals(), system.size()
    step = 0.1 * torch.randn(len(size), dtype=torch.float64)
    system.set(start, step)
    torch.testing.assert_close(system.size(), size + step)
    moved = system.residuals()
    assert all(not torch.equal(a, b) for a, b in zip(before, moved, strict=True))
    system.set(start, 2 * step)  # from the start, not from where it is
    torch.testing.assert_close(system.size(), size + 2 * step)
    system.set(start)
    assert torch.equal(system.size(), size)
    assert all(torch.equal(a, b) for a, b in zip(before, system.residuals(), strict=True))


def test_both_systems_move_alike_and_store():
    jets, copies = systems()
    step = 0.1 * torch.randn(len(jets.size()), dtype=torch.float64)
    held = [v.detach().clone() for v in jets.unknowns]
    jets.set(jets.get(), step)
    after = jets.residuals()
    with torch.no_grad():  # the two share their variables
        for variable, value in zip(copies.unknowns, held, strict=True):
            variable.copy_(value)
    copies.set(copies.get(), step)
    for a, b in zip(after, copies.residuals(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    weights = copies.size()[:-3].clone()
    jets.store()
    assert torch.equal(copies.size()[:-3], weights) or (copies.size()[:-3] - weights).abs().max() < 1e-14
