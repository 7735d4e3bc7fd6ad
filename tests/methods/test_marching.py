"""Time marching: nonlinear problems slab by slab, continuous, resumable, with reasons where it ends."""

import functools

import deepxde as dde
import numpy as np
import pytest
import torch
import xarray

from repnet_pde import InputError, Problem, load_problem, resume, set_precision, solve
from repnet_pde.cli import tables
from repnet_pde.methods import marching
from repnet_pde.networks.slabs import Slabs
from repnet_pde.output import pictures as plots
from repnet_pde.output.formats import load_solution
from repnet_pde.running.resume import load_result

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


@functools.cache
def solved_front():
    return solve(front(), progress=False)


def sine_gordon(v=0.5):
    """u_tt - u_xx + sin u = 0 with a moving kink."""
    gamma = 1 / np.sqrt(1 - v * v)
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-2, 2), dde.geometry.TimeDomain(0, 0.5))

    def solution(x):
        return 4 * np.arctan(np.exp(gamma * (x[:, 0:1] - v * x[:, 1:2])))

    def velocity(x, u, _):
        return dde.grad.jacobian(u, x, j=1) + 2 * v * gamma / torch.cosh(gamma * (x[:, 0:1] - v * x[:, 1:2]))

    return Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.hessian(u, x, i=1, j=1) - dde.grad.hessian(u, x, i=0, j=0) + torch.sin(u),
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, solution, boundary),
            "initial": dde.icbc.IC(domain, solution, initial),
            "velocity": dde.icbc.OperatorBC(domain, velocity, lambda x, on: dde.utils.isclose(x[1], 0)),
        },
        solution=solution,
    )


def heat(*conditions):
    """u_t = 0.1 u_xx with u = sin πx e^{-0.1 π² t} and those of the conditions "ends" and "start"."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 0.5))

    def solution(x):
        return np.sin(PI * x[:, 0:1]) * np.exp(-0.1 * PI**2 * x[:, 1:2])

    every = {
        "ends": dde.icbc.DirichletBC(domain, lambda x: 0, boundary),
        "start": dde.icbc.IC(domain, solution, initial),
    }
    return Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) - 0.1 * dde.grad.hessian(u, x, i=0, j=0),
        conditions={name: every[name] for name in conditions},
        solution=solution,
    )


@pytest.mark.parametrize("make", [None, lambda: front(hard=True), klein_gordon, sine_gordon])
def test_nonlinear_problems_in_time(make):
    result = solved_front() if make is None else solve(make(), progress=False)
    assert result.method == "marching" and result.finished and result.reached == result.problem.box.upper[-1]
    assert "reached t" in result.stages[0] and "from the second solution" in result.stopped
    error = result.errors.relative_l2
    assert error < 1e-6
    assert result.status == "converged" and error / 30 < result.check.error_indicator < 30 * error


def test_a_start_left_open_differs_in_the_second_solution():
    """Zero meets the equations and the conditions that there are, with every digit."""
    result = solve(heat("ends"), method="marching", progress=False)
    assert result.finished and result.errors.relative_l2 > 0.9
    assert result.check.error_indicator > 2e-3 and result.status == "not converged"


def test_a_second_solution_that_fails_is_none(monkeypatch):
    monkeypatch.setattr(marching, "FAILS", 0.0)
    result = solve(heat("ends", "start"), method="marching", progress=False)
    assert result.finished and result.check.error_indicator is None
    assert "the second solution failed at t = 0: relative residual" in result.stopped
    assert result.status == "residual small but not verified"


@pytest.mark.parametrize("off, found", [(0.1, 0.1 / 1.1), (1e-5, None)])
def test_part_of_a_second_solution_counts_where_it_is_far(off, found):
    """Constants 1 and 1 + off, the second one up to half of the time."""
    problem, nets = heat("ends", "start"), []
    for end, value in ((0.5, 1.0), (0.25, 1.0 + off)):
        net = Slabs(1, problem.geometry)
        net.add(net.make(end, 5, [3.0, 3.0], [(np.array([1.0]), np.empty(0), np.empty(0))] * 2), end)
        net.slabs[0].linears[-1].bias.data.fill_(value)
        nets.append(net)
    distance, said = marching.of_twin(problem, *nets, 0.2, 1e-3)
    assert "failed at t = 0.2: relative residual 1.0e-03" in said
    assert distance is None if found is None else abs(distance - found) < 1e-12


def test_slabs_are_continuous_and_differentiable():
    result = solved_front()
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


def test_an_interrupted_march_ends_with_the_same_bits(tmp_path, stopped_after):
    problem = load_problem("klein_gordon_1d", omega=5)
    whole = solve(problem, progress=False)
    again = load_problem("klein_gordon_1d", omega=5)
    with stopped_after(1):
        first = solve(again, out=tmp_path / "run", progress=False)
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
    assert 0.4 < result.reached < 0.5 and result.status == "not converged"
    assert "stalled at t = 0.4" in result.stopped and not result.finished and not result.resumable
    assert np.isnan(result.predict([[0.3, result.reached + 1e-3], [0.3, 1.0]])).all()
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


@pytest.mark.parametrize("iterations", [0, 2])
def test_a_march_that_did_not_arrive(iterations, tmp_path):
    """Cut by its number of iterations: nothing is said of later times, in whatever way one asks."""
    made = {"method": "marching", "iterations": iterations, "out": tmp_path / "run", "progress": False}
    result = solve(heat("ends", "start"), **made)
    assert not result.finished and not result.resumable and result.status == "not converged"
    reached = result.reached
    assert 0 <= reached < 0.2 and (reached > 0) == (iterations > 0)
    said = f"t = {reached:.6g} of 0.5"
    assert said in result.stopped and said in result.check.reason and any(said in note for note in result.notes)
    x = np.column_stack([np.full(51, 0.3), np.linspace(0, 0.5, 51)])
    u, inside = result.predict(x)[:, 0], (x[:, 1] <= reached) & (iterations > 0)
    assert np.isnan(u[~inside]).all() and np.abs(u - result.problem.solution(x)[:, 0])[inside].max(initial=0) < 1e-8
    if iterations:
        assert np.array_equal(np.isnan(result.model.predict(x)[:, 0]), ~inside)
    assert result.errors.until == reached and result.to_dict()["reached"] == reached
    row = tables.errors_of(result.errors)
    if iterations:
        assert result.errors.relative_l2 < 1e-8 and row.startswith(f"up to t = {reached:.6g} only: relative L2")
    else:
        assert result.errors.relative_l2 is None and row == "none: no solution beyond t = 0"
    data = load_solution(tmp_path / "run")
    assert data.attrs["reached"] == reached
    known = data.u.notnull().all("x").values
    assert np.array_equal(known, (data.t.values <= reached) & (iterations > 0))
    stored = load_result(tmp_path / "run", problem=heat("ends", "start"))
    assert stored.reached == reached and np.array_equal(stored.predict(x), result.predict(x), equal_nan=True)


def test_a_short_march_beside_solution_and_reference(tmp_path):
    result = solve(load_problem("klein_gordon_1d", omega=5), iterations=2, progress=False)
    assert 0 < result.reached < 1
    for errors in (result.errors, result.reference_errors):
        assert errors.until == result.reached and errors.relative_l2 < 1e-5
    assert "up to t" in plots._title(result) and len(plots.draw(result, tmp_path)) >= 3


def test_a_picture_is_taken_where_there_is_a_solution():
    """Of u(x, y, t) = t until t = 0.4: in the middle of that time; of none at all the first."""
    t = np.linspace(0, 1, 11)
    u = xarray.DataArray(np.broadcast_to(t, (2, 3, 11)), {"t": t}, ("x", "y", "t"))
    assert (plots._slice(u.where(u.t < 0.45)) == 0.2).all() and (plots._slice(u) == 0.5).all()
    assert plots._slice(u.where(u.t < 0)).isnull().all()


def test_an_interrupted_second_solution_ends_with_the_same_bits(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    problem, check = klein_gordon(), marching.Marching._check
    whole = solve(problem, progress=False)

    def failing(self):
        if self.twin is not None and len(self.twin) == 3:
            raise Stop
        check(self)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(marching.Marching, "_check", failing)
        solve(problem, out=tmp_path / "run", progress=False)
    part = load_result(tmp_path / "run", problem=problem)
    assert part.resumable and not part.finished and part.reached == 0.6
    assert part.status == "residual small but not verified" and part.check.error_indicator is None
    rest = resume(tmp_path / "run", problem=problem, progress=False)
    assert rest.finished and rest.check == whole.check and rest.stopped == whole.stopped


def test_slabs_beyond_the_last():
    """NaN with all derivatives, with the output transform too, and those of the slabs before as they are."""
    net = Slabs(2, ([0, 0], [1, 1]))
    net.apply_output_transform(lambda x, u: 1 + x[:, 1:2] * u)
    x = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    assert net.reached == 0 and not net.complete and net(x).shape == (5, 2) and net(x).isnan().all()
    straight = [(np.array([1.0]), np.empty(0), np.empty(0))] * 2
    net.add(net.make(0.5, 10, [3.0, 3.0], straight), 0.5)
    net.slabs[0].linears[-1].weight.data.normal_()
    x = torch.tensor([[0.3, 0.2], [0.3, 0.5], [0.3, 0.51]], dtype=torch.float64, requires_grad=True)
    u = net(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    own = 1 + x[:2, 1:2] * net.slabs[0](x[:2])
    assert net.reached == 0.5 and torch.equal(u[:2], own)
    assert slope[:2].isfinite().all() and bend[:2].isfinite().all()
    assert u[2].isnan().all() and slope[2].isnan().all() and bend[2].isnan().all()


def test_the_derivative_at_the_end_of_time_is_that_of_the_last_slab():
    net = Slabs(1, ([0.0, 0.0], [1.0, 1.0]))
    net.add(net.make(1.0, 10, [3.0, 3.0], [(np.array([1.0]), np.empty(0), np.empty(0))] * 2), 1.0)
    net.slabs[0].linears[-1].weight.data.normal_()
    x = torch.tensor([[0.3, 1.0], [0.3, 1.5]], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(net(x).sum(), x)
    (wanted,) = torch.autograd.grad(net.slabs[0](x[:1]).sum(), x)
    assert torch.allclose(found[0], wanted[0], rtol=1e-12, atol=0)
    assert found[1, 1] == 0  # later times are moved to the end
