"""Shooting: unknowns of nonlinear problems in time, with sensitivities that differences confirm."""

import importlib
import math

import deepxde as dde
import numpy as np
import pytest
import torch
from repnet_pde.validation.studies import kill_resume

from repnet_pde import InputError, Problem, identify, load_problem, resume, set_precision
from repnet_pde.discretization.objective import Objective
from repnet_pde.methods import marching, shooting
from repnet_pde.methods.shooting import Shooting
from repnet_pde.networks.slabs import Slabs
from repnet_pde.output import pictures as plots
from repnet_pde.problem.points import collocation

PI = math.pi

SOURCE = '''"""u_t = d u_xx - r u² + f, or u_tt = d u_xx - r u² + f, on [0, 1] x [0, 1], with u = exp(-t) sin(pi x)."""

import math

import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem

PI = math.pi


def problem(order=1, hard=0, sigma=0.0, seed=0, positive=1):
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    d, r = dde.Variable(0.1), dde.Variable(0.3)

    def pde(x, u):
        s = torch.exp(-x[:, 1:2]) * torch.sin(PI * x[:, 0:1])
        f = (-1) ** order * s + 0.2 * PI**2 * s + 0.7 * s**2
        first = dde.grad.jacobian(u, x, j=1) if order == 1 else dde.grad.hessian(u, x, i=1, j=1)
        return first - d * dde.grad.hessian(u, x, i=0, j=0) + r * u**2 - f

    def exact(x):
        return np.exp(-x[:, 1:2]) * np.sin(PI * x[:, 0:1])

    random = np.random.default_rng(int(seed))
    points = random.uniform(0.05, 0.95, (40, 2))
    conditions = {"start": dde.icbc.IC(domain, lambda x: np.sin(PI * x[:, 0:1]), lambda x, on: on)}
    if order == 2:
        conditions["speed"] = dde.icbc.OperatorBC(
            domain,
            lambda x, u, _: dde.grad.jacobian(u, x, j=1) + torch.sin(PI * x[:, 0:1]),
            lambda x, on: dde.utils.isclose(x[1], 0),
        )
    if not hard:
        conditions["edge"] = dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on: on)
    values = exact(points) + sigma * random.normal(size=(40, 1))
    conditions["data u"] = dde.icbc.PointSetBC(points, values)
    return Problem(
        geometry=domain,
        pde=pde,
        conditions=conditions,
        solution=exact,
        output_transform=(lambda x, u: x[:, 0:1] * (1 - x[:, 0:1]) * u) if hard else None,
        unknowns={"d": d, "r": r},
        true_unknowns={"d": 0.2, "r": 0.7},
        wavenumber=(PI, PI),
    )
'''


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    set_precision("float64")
    monkeypatch.setattr(plots, "draw", lambda *_: [])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("shooting") / "reaction.py"
    path.write_text(SOURCE)
    return path


QUICK = {"progress": False, "method": "shooting", "method_options": {"shooting": {"tolerance": 1e-3}}}
ROUGH = QUICK | {"method_options": {"shooting": {"tolerance": 0.02}}}


def found(file, /, **parameters):
    return identify(load_problem(file, **parameters), **QUICK)


@pytest.mark.parametrize("parameters", [{}, {"hard": 1}, {"order": 2}])
def test_exact_data_give_the_unknowns(file, parameters):
    result = found(file, **parameters)
    assert result.finished and "converged" in result.stopped
    for estimate in result.estimates.values():
        assert estimate.value == pytest.approx(estimate.true, rel=1e-4)
        assert abs(estimate.value - estimate.true) < 6 * estimate.standard_error
    assert result.errors.relative_l2 < 1e-4


def method_of(problem, **options):
    net = Slabs(len(problem.outputs), problem.geometry)
    if problem.output_transform is not None:
        net.apply_output_transform(problem.output_transform)
    unknowns = list(problem.unknowns.values())
    return Shooting(Objective(collocation(problem), net, unknowns, problem.term_names, {}, problem), 1000, **options)


def solved(method, eta):
    """Residuals and sensitivities of the observations, from slabs made anew."""
    method.scales.set(eta)
    method.forward.anew()
    evaluated = method.solutions
    method._next = lambda: None
    while method.solutions == evaluated:
        method.best = None
        method.step()
        assert method.stopped is None, method.stopped
    residuals, slopes = method.forward.predict()
    return torch.cat(residuals), slopes


@pytest.mark.parametrize(("order", "hard", "positive"), [(1, 0, ()), (1, 1, ("d",)), (2, 0, ())])
def test_sensitivities_are_those_of_differences(file, order, hard, positive):
    method = method_of(load_problem(file, order=order, hard=hard), positive=positive, tolerance=1e-4)
    method.rough = False
    eta = method.scales.get()
    _, slopes = solved(method, eta)
    for j in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[j] = 5e-2 * eta[j].abs()
        above, below = (solved(method, eta + sign * step)[0] for sign in (1, -1))
        differences = (above - below) / (2 * step[j]) / method.scales.slopes(eta)[j]
        assert (differences - slopes[:, j]).norm() < 1e-2 * slopes[:, j].norm()


def test_solving_slabs_again_is_the_same_as_making_them(file):
    method = method_of(load_problem(file), tolerance=1e-4)
    method.rough = False
    eta = method.scales.get()
    solved(method, 0.9 * eta)
    method.scales.set(eta)
    method.forward.move(method.forward.tangents, 0.1 * eta)
    count = method.solutions
    while method.solutions == count:
        method.best = None
        method.step()
        assert method.stopped is None and method.forward.replaying
    again = torch.cat(method.forward.predict()[0])
    anew, _ = solved(method, eta)
    assert (again - anew).norm() < 1e-3 * anew.norm()


def test_noise_gives_the_standard_errors_of_cramer_and_rao(file):
    sigma, problem = 0.02, load_problem(file, sigma=0.02)
    result = identify(problem, **QUICK)
    method = method_of(load_problem(file), tolerance=1e-3)
    _, slopes = solved(method, torch.tensor([e.value for e in result.estimates.values()], dtype=torch.float64))
    bound = sigma * np.sqrt(np.diag(np.linalg.inv(slopes.numpy().T @ slopes.numpy())))
    for estimate, least in zip(result.estimates.values(), bound, strict=True):
        assert 0.6 < estimate.standard_error / least < 1.6
        assert abs(estimate.value - estimate.true) < 4 * least
    known = identify(load_problem(file, sigma=0.02), noise=sigma, **QUICK)
    for estimate, least in zip(known.estimates.values(), bound, strict=True):
        assert estimate.standard_error == pytest.approx(least, rel=0.1)


def test_bounds_and_positivity_are_kept(file):
    result = identify(load_problem(file), positive=["d"], bounds={"r": (0.1, 1.0)}, **ROUGH)
    for estimate in result.estimates.values():
        assert estimate.value == pytest.approx(estimate.true, rel=1e-3)
    tight = identify(load_problem(file), bounds={"r": (0.1, 0.5)}, **ROUGH)
    assert 0.49 < tight.estimates["r"].value <= 0.5
    assert any("r: at its bound" in note for note in tight.identification.notes)


def test_a_tolerance_out_of_reach_is_said_and_the_rough_solutions_count(file):
    options = {"shooting": {"tolerance": 1e-15}}
    result = identify(load_problem(file), method="shooting", method_options=options, progress=False)
    assert "the equations solved to 0.02 only" in result.stopped and "1e-15" in result.stopped
    for estimate in result.estimates.values():
        assert estimate.value == pytest.approx(estimate.true, rel=1e-2)
        assert abs(estimate.value - estimate.true) < 5 * estimate.standard_error


class Stop(Exception):
    pass


def test_stopped_and_resumed(file, tmp_path, monkeypatch):
    """In the first forward solution, while slabs are solved again, and in the check."""
    whole = identify(load_problem(file), out=tmp_path / "whole", **ROUGH)
    identify(load_problem(file), out=tmp_path / "run", time_limit=1e-9, **ROUGH)
    step, seen = Shooting.step, set()
    for moment in (2, 9, 25):

        def failing(self, moment=moment):
            if self.iteration == moment:
                seen.add((self.rough, not self.forward.replaying))
                raise Stop
            step(self)

        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(Shooting, "step", failing)
            resume(tmp_path / "run", progress=False)
    assert len(seen) > 1
    assert resume(tmp_path / "run", progress=False).estimates == whole.estimates
    assert kill_resume.compare(tmp_path / "whole", tmp_path / "run") == []


def test_several_observations_are_weighted_by_their_own_noise():
    """Two sensors of one state: the standard errors follow the better one."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    random, k = np.random.default_rng(1), dde.Variable(1.0)
    x = random.uniform(0, 1, (60, 2))
    u = 1 / (1 + 2 * x[:, 1:2])
    data = {
        f"data {i}": dde.icbc.PointSetBC(x, u + sigma * random.normal(size=u.shape))
        for i, sigma in enumerate((1e-3, 0.3))
    }
    problem = Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) + k * u**2,
        conditions={"start": dde.icbc.IC(domain, lambda x: 1, lambda x, on: on)} | data,
        unknowns={"k": k},
        true_unknowns={"k": 2.0},
        wavenumber=(PI, PI),
    )
    result = identify(problem, progress=False)
    assert result.method == "shooting"
    slopes = x[:, 1] / (1 + 2 * x[:, 1]) ** 2
    least = 1e-3 / math.sqrt(np.square(slopes).sum())
    estimate = result.estimates["k"]
    assert 0.6 < estimate.standard_error / least < 1.6 and abs(estimate.value - 2) < 4 * least
    noise = result.identification.noise
    assert noise["data 0"] == pytest.approx(1e-3, rel=0.4) and noise["data 1"] == pytest.approx(0.3, rel=0.4)


def test_bad_arguments(file):
    problem = load_problem(file)
    cases = [
        ({"starts": 3}, "starts: shooting begins at the values given only"),
        ({"method_options": {"shooting": {"tolerance": 2}}}, "tolerance: 2 given; a number between 0 and 1"),
        ({"network": "repnet-sin"}, "network: repnet-sin given with the method shooting"),
        ({"bounds": {"d": (0.2, 1)}}, r"unknowns\['d'\]: starts at 0.1"),
        ({"network_options": {"layers": [5]}}, "layers: given, but repnet-slabs chooses"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            identify(problem, method="shooting", progress=False, **options)
    lorenz = load_problem("lorenz")
    with pytest.raises(InputError, match="shooting cannot be used: there is no equation in time"):
        identify(lorenz, method="shooting", progress=False)
    elliptic = load_problem("oscillating_coefficient_1d")
    with pytest.raises(InputError, match="shooting cannot be used: there are no observations, or no unknown numbers"):
        identify(elliptic, method="shooting", progress=False)


def test_more_starts_are_a_matter_of_the_joint_method(file):
    result = identify(load_problem(file), starts=1, progress=False, time_limit=0.01)
    assert result.method == "joint"


def test_no_forward_solution_is_said(file, monkeypatch):
    monkeypatch.setattr(shooting, "ROUGH", 1e-16)
    monkeypatch.setattr(marching, "SHORTEST", 0.04)
    options = {"shooting": {"tolerance": 1e-15}}
    result = identify(load_problem(file), method="shooting", method_options=options, progress=False)
    assert result.unmet and "do not meet the equations" in result.stopped and "at t = 0" in result.stopped
    assert not result.finished and not result.resumable and result.reached == 0
    assert result.status == "not converged" and np.isnan(result.predict(np.zeros((1, result.problem.dim)))).all()
    assert result.identification is None
    assert all(estimate.interval is None for estimate in result.estimates.values())


def test_another_method_where_the_equations_are_not_met(file, monkeypatch):
    monkeypatch.setattr(importlib.import_module("repnet_pde.running.identify"), "POOR", -1.0)
    other = identify(load_problem(file), iterations=8, progress=False)
    assert other.method == "gauss-newton" and any("gauss-newton was used" in note for note in other.notes)
