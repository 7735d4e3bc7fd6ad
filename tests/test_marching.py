"""Time marching: nonlinear problems slab by slab, continuous, resumable, with reasons where it ends."""

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import InputError, Problem, load_problem, resume, set_precision, solve
from repnet_pde.methods import marching
from repnet_pde.network.slabs import Slabs

PI = np.pi


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")


def initial(x, on_initial):
    return on_initial


def boundary(x, on_boundary):
    return on_boundary


def front(nu=0.1, final=1.0, hard=False):
    """Burgers' equation with the travelling front u = c - a tanh(a (x - c t) / (2 nu))."""
    a, c = 0.8, 0.3
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, final))

    def pde(x, u):
        u_x, u_t = dde.grad.jacobian(u, x, j=0), dde.grad.jacobian(u, x, j=1)
        return u_t + u * u_x - nu * dde.grad.hessian(u, x, i=0, j=0)

    def solution(x):
        return c - a * np.tanh(a * (x[:, 0:1] - c * x[:, 1:2]) / (2 * nu))

    def constrained(x, u):
        return c - a * torch.tanh(a * x[:, 0:1] / (2 * nu)) + x[:, 1:2] * u

    conditions = {"boundary": dde.icbc.DirichletBC(domain, solution, boundary)}
    if not hard:
        conditions["initial"] = dde.icbc.IC(domain, solution, initial)
    return Problem(
        geometry=domain,
        pde=pde,
        conditions=conditions,
        solution=solution,
        output_transform=constrained if hard else None,
    )


def klein_gordon():
    """u_tt - u_xx + u³ = f with u = sin πx cos 2t: second order in time."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 0.6))

    def pde(x, u):
        exact = torch.sin(PI * x[:, 0:1]) * torch.cos(2 * x[:, 1:2])
        u_xx, u_tt = dde.grad.hessian(u, x, i=0, j=0), dde.grad.hessian(u, x, i=1, j=1)
        return u_tt - u_xx + u**3 - (PI**2 - 4) * exact - exact**3

    def solution(x):
        return np.sin(PI * x[:, 0:1]) * np.cos(2 * x[:, 1:2])

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, lambda x: 0, boundary),
            "initial": dde.icbc.IC(domain, solution, initial),
            "velocity": dde.icbc.OperatorBC(
                domain,
                lambda x, u, _: dde.grad.jacobian(u, x, j=1),
                lambda x, on: dde.utils.isclose(x[1], 0),
            ),
        },
        solution=solution,
    )


@pytest.mark.parametrize("make", [front, lambda: front(hard=True), klein_gordon])
def test_nonlinear_problems_in_time(make):
    result = solve(make(), progress=False)
    assert result.method == "marching" and result.finished
    assert "reached t" in result.stages[0]
    assert result.errors.relative_l2 < 1e-6
    assert result.verdict == "residual small but not verified"


def test_slabs_are_continuous_and_differentiable():
    result = solve(front(), progress=False)
    net = result.net
    assert len(net) > 1
    for end in net.ends[:-1].tolist():
        x = np.linspace(-0.9, 0.9, 50)
        before, after = (result.predict(np.stack([x, np.full(50, end + s)], 1)) for s in (-1e-9, 1e-9))
        assert np.abs(before - after).max() < 1e-6
    x = torch.rand(20, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x,), eps=1e-6, atol=1e-5)


def test_a_layer_draws_the_features():
    """Burgers' equation of the catalogue until its layer stands: the axis map is steep where the layer is."""
    problem = load_problem("burgers_1d", nu=0.05)
    result = solve(problem, progress=False, method_options=None)
    assert result.errors.relative_l2 < 1e-5
    last = result.net.slabs[-1].warp
    slope = last.derivatives(torch.tensor([[0.0, 1.0], [0.8, 1.0]], dtype=torch.float64), 1)[0][0]
    assert slope[0] > 2 * slope[1]


def test_an_interrupted_march_ends_with_the_same_bits(tmp_path):
    problem = load_problem("burgers_1d", nu=0.1)
    whole = solve(problem, progress=False)
    first = solve(load_problem("burgers_1d", nu=0.1), out=tmp_path / "run", time_limit=0.5, progress=False)
    assert not first.finished and len(first.net) < len(whole.net)
    second = resume(tmp_path / "run", progress=False)
    assert second.finished
    one, other = whole.net.state_dict(), second.net.state_dict()
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_march_that_cannot_go_on_says_where(monkeypatch):
    """A solution that blows up at t = 0.5: u_t = u², u(0) = 2."""
    monkeypatch.setattr(marching, "SHORTEST", 0.02)
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    problem = Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) - u**2,
        conditions={"initial": dde.icbc.IC(domain, lambda x: 2 + 0 * x[:, 0:1], initial)},
    )
    result = solve(problem, progress=False)
    assert 0.4 < result.net.reached < 0.5 and result.verdict == "not converged"
    assert "stalled at t = 0.4" in result.stopped
    t = np.linspace(0, 0.4, 9)
    u = result.predict(np.stack([0.3 + 0 * t, t], 1))[:, 0]
    assert np.abs(u * (0.5 - t) - 1).max() < 1e-6


def test_what_cannot_march_is_refused():
    with pytest.raises(InputError, match="network: repnet given.*marching and shooting need 'repnet-slabs'"):
        solve(front(), "repnet", "marching", progress=False)
    with pytest.raises(InputError, match="tolerance: 2 given"):
        solve(front(), None, "marching", method_options={"marching": {"tolerance": 2}}, progress=False)
    with pytest.raises(InputError, match="layers: given, but repnet-slabs"):
        solve(front(), None, "marching", network_options={"layers": [5]}, progress=False)
    with pytest.raises(InputError, match="marching"):
        solve(load_problem("helmholtz_2d"), None, "marching", progress=False)


def test_slabs_before_the_first():
    """Zero, with the output transform, and twice differentiable, so that every residual can be evaluated."""
    net = Slabs(2, ([0, 0], [1, 1]))
    x = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    assert net(x).shape == (5, 2) and not net(x).any()
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    torch.autograd.grad(slope.sum(), x)


def test_the_derivative_at_the_end_of_time_is_that_of_the_last_slab():
    net = Slabs(1, ([0.0, 0.0], [1.0, 1.0]))
    net.add(net.make(1.0, 10, [3.0, 3.0], [(np.array([1.0]), np.empty(0), np.empty(0))] * 2), 1.0)
    net.slabs[0].linears[-1].weight.data.normal_()
    x = torch.tensor([[0.3, 1.0], [0.3, 1.5]], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(net(x).sum(), x)
    (wanted,) = torch.autograd.grad(net.slabs[0](x[:1]).sum(), x)
    assert torch.allclose(found[0], wanted[0], rtol=1e-12, atol=0)
    assert found[1, 1] == 0  # later times are moved to the end
