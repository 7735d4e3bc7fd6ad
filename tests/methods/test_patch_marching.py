"""Patch marching: windows of time on patches in space, against exact solutions."""

import dataclasses

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import Problem, load_problem, resume, solve
from repnet_pde.discretization.features import jet_of
from repnet_pde.errors import InputError
from repnet_pde.methods.patch_marching import PatchMarching
from repnet_pde.planning.automatic import automatic_method
from repnet_pde.running.resume import load_result


@pytest.fixture(autouse=True)
def float64():
    repnet_pde.set_precision("float64")


def front(nu=0.02, final=0.3):
    """The travelling wave u = 1 − tanh((x − t) / 2ν) of Burgers' equation."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-0.5, 1), dde.geometry.TimeDomain(0, final))

    def pde(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_t + u * u_x - nu * dde.grad.hessian(u, x, i=0, j=0)

    def solution(x):
        return 1 - np.tanh((x[:, :1] - x[:, 1:]) / (2 * nu))

    return Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, solution, lambda x, on: on),
            "initial": dde.icbc.IC(domain, solution, lambda x, on: on),
        },
        solution=solution,
        wavenumber=(20.0, 20.0),
    )


def marched(problem, **options):
    return solve(problem, method="patch-marching", progress=False, **options)


def test_a_travelling_front():
    result = marched(front(nu=0.01, final=0.03))
    assert result.errors.relative_l2 < 1e-5 and result.finished
    bounds = result.net.bounds.numpy()
    ends = np.unique(bounds[:, :, 1])
    assert len(ends) > 2 and ends[0] == 0 and ends[-1] == 0.03
    assert np.array_equal(np.unique(bounds[:, 0, 1]), ends[:-1])  # the windows follow one another without gaps
    lower, upper = bounds[:, :, 0].T
    near, far = ((upper - lower)[(lower < x) & (x < upper)] for x in (0.0437, 0.9137))
    assert near.min() < far.max()  # patches are finer where the front is
    error = result.errors.relative_l2
    assert result.status == "converged" and error / 30 < result.check.error_indicator < 30 * error


def test_dispersive_problems_are_given_to_it():
    assert automatic_method(load_problem("korteweg_de_vries_1d"), None, None)[0] == "patch-marching"
    assert automatic_method(load_problem("burgers_1d"), None, None)[0] == "marching"


def test_second_order_in_time():
    problem = load_problem("klein_gordon_1d", omega=7)
    tight = {"method_options": {"patch-marching": {"tolerance": 1e-8}}}
    errors = [marched(problem).errors.relative_l2, marched(problem, **tight).errors.relative_l2]
    assert errors[0] < 1e-5 and errors[1] < 1e-9


def test_resumed_marching_is_the_same(tmp_path, stopped_after):
    name = "klein_gordon_1d"
    settings = {"method": "patch-marching", "progress": False}
    whole = solve(load_problem(name, omega=7), **settings)
    with stopped_after(1):
        part = solve(load_problem(name, omega=7), **settings, out=tmp_path / "run")
    assert not part.finished
    found = resume(tmp_path / "run", progress=False)
    x = torch.rand(50, 2, dtype=torch.float64)
    assert torch.equal(found.net(x), whole.net(x))


def test_a_second_solution_that_is_interrupted(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    problem, check = load_problem("klein_gordon_1d", omega=7), PatchMarching._check
    whole = marched(problem)
    assert len(torch.unique(whole.net.bounds[:, 0, -1])) > 1

    def failing(self):
        if self.twin is not None:
            raise Stop
        check(self)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(PatchMarching, "_check", failing)
        marched(problem, out=tmp_path / "run")
    part = load_result(tmp_path / "run")
    assert part.resumable and part.reached == 1 and part.status == "residual small but not verified"
    rest = resume(tmp_path / "run", progress=False)
    assert rest.finished and rest.check == whole.check and rest.stopped == whole.stopped


def test_it_says_where_it_stalls():
    problem = front(nu=0.003, final=0.05)
    options = {"method_options": {"patch-marching": {"features": 30, "most_patches": 4}}}
    result = marched(problem, **options)
    assert "stalled at t = 0: relative residual" in result.stages[0]
    assert not result.finished and not result.resumable and result.reached == 0
    assert result.status == "not converged" and np.isnan(result.predict([[0.1, 0.0], [0.1, 0.01]])).all()


def test_a_march_that_did_not_arrive():
    """The network is zero where it has no patch, and zero solves u_tt = u_xx: no residual may be said to be small."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 4))

    def solution(x):
        return np.sin(np.pi * x[:, :1]) * np.cos(np.pi * x[:, 1:])

    problem = Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.hessian(u, x, i=1, j=1) - dde.grad.hessian(u, x, i=0, j=0),
        conditions={
            "ends": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on: on),
            "start": dde.icbc.IC(domain, solution, lambda x, on: on),
            "rest": dde.icbc.OperatorBC(
                domain, lambda x, u, _: dde.grad.jacobian(u, x, j=1), lambda x, on: dde.utils.isclose(x[1], 0)
            ),
        },
        solution=solution,
        wavenumber=(np.pi, np.pi),
    )
    result = marched(problem, iterations=1)
    reached = result.reached
    assert 0 < reached < 4 and f"all iterations done at t = {reached:.6g} of 4" in result.stopped
    assert result.status == "not converged" and f"t = {reached:.6g} of 4" in result.check.reason
    assert result.errors.until == reached and result.errors.relative_l2 < 1e-6
    x = np.array([[0.3, 0.0], [0.3, reached], [0.3, reached + 1e-6], [0.3, 4.0]])
    assert np.array_equal(np.isnan(result.predict(x)[:, 0]), [False, False, True, True])
    indices = [(0, 0), (2, 0), (0, 2)]
    assert np.array_equal(jet_of(result.net, torch.as_tensor(x), indices).isnan().all((1, 2)), [0, 0, 1, 1])


def decay_of_two(*known):
    """u' = -u and v' = -v in time, with a start of those in ``known``."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 0.5))
    return Problem(
        geometry=domain,
        pde=lambda x, u: [dde.grad.jacobian(u, x, i=i, j=1) + u[:, i : i + 1] for i in (0, 1)],
        outputs=("u", "v"),
        conditions={f"start {i}": dde.icbc.IC(domain, lambda x: 1, lambda x, on: on, component=i) for i in known},
        solution=lambda x: np.hstack([np.exp(-x[:, 1:2])] * 2),
    )


def open_ends():
    problem = load_problem("klein_gordon_1d", omega=3)
    kept = {name: c for name, c in problem.conditions.items() if name != "boundary"}
    assert len(kept) < len(problem.conditions)
    return dataclasses.replace(problem, conditions=kept)


@pytest.mark.parametrize("make", [open_ends, lambda: decay_of_two(0)])
def test_what_the_conditions_leave_open_differs_in_the_second_solution(make):
    """No condition at the ends; none for one of two outputs."""
    result = marched(make())
    assert result.finished and result.errors.relative_l2 > 1e-2
    assert result.check.error_indicator > 2e-3 and result.status == "not converged"


def test_problems_that_it_cannot_solve():
    with pytest.raises(InputError, match="needs a problem in time"):
        solve(load_problem("poisson_rings_2d"), method="patch-marching", progress=False)
    with pytest.raises(InputError, match="marching and shooting need"):
        solve(load_problem("burgers_1d"), "repnet-slabs", "patch-marching", progress=False)
