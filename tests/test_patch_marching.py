"""Patch marching: windows of time on patches in space, against exact solutions."""

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import Problem, load_problem, resume, solve
from repnet_pde.errors import InputError
from repnet_pde.planning import automatic_method


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
    result = marched(front(final=0.1))
    assert result.errors.relative_l2 < 1e-5 and result.finished
    ends = np.unique(result.net.bounds[:, :, 1].numpy())
    assert len(ends) > 2 and ends[0] == 0 and ends[-1] == 0.1
    starts = np.unique(result.net.bounds[:, 0, 1].numpy())
    assert np.array_equal(starts, ends[:-1])  # the windows follow one another without gaps


def test_dispersive_problems_are_given_to_it():
    assert automatic_method(load_problem("korteweg_de_vries_1d"), None, None)[0] == "patch-marching"
    assert automatic_method(load_problem("burgers_1d"), None, None)[0] == "marching"


def test_second_order_in_time():
    problem = load_problem("klein_gordon_1d", omega=7)
    tight = {"method_options": {"patch-marching": {"tolerance": 1e-8}}}
    errors = [marched(problem).errors.relative_l2, marched(problem, **tight).errors.relative_l2]
    assert errors[0] < 1e-5 and errors[1] < 1e-9


def test_patches_get_finer_where_the_front_is():
    net = marched(front(nu=0.01, final=0.03)).net
    widths = (net.bounds[:, 1, 0] - net.bounds[:, 0, 0]).numpy()
    at = [((net.bounds[:, 0, 0] < x) & (x < net.bounds[:, 1, 0])).numpy() for x in (0.0437, 0.9137)]
    assert widths[at[0]].min() < widths[at[1]].max()


def test_resumed_marching_is_the_same(tmp_path):
    name = "klein_gordon_1d"
    settings = {"method": "patch-marching", "progress": False}
    whole = solve(load_problem(name, omega=7), **settings)
    part = solve(load_problem(name, omega=7), **settings, out=tmp_path / "run", time_limit=0.05)
    assert not part.finished
    found = resume(tmp_path / "run", progress=False)
    x = torch.rand(50, 2, dtype=torch.float64)
    assert torch.equal(found.net(x), whole.net(x))


def test_it_says_where_it_stalls():
    problem = front(nu=0.003, final=0.05)
    options = {"method_options": {"patch-marching": {"features": 30, "most_patches": 4}}}
    stages = marched(problem, **options).stages
    assert "stalled at t = 0: relative residual" in stages[0]


def test_problems_that_it_cannot_solve():
    with pytest.raises(InputError, match="needs a problem in time"):
        solve(load_problem("poisson_rings_2d"), method="patch-marching", progress=False)
    with pytest.raises(InputError, match="marching and shooting need"):
        solve(load_problem("burgers_1d"), "repnet-slabs", "patch-marching", progress=False)
