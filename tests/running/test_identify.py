"""identify: closed-form estimates, standard errors and intervals; what is not determined; resuming; clear errors."""

import contextlib
import copy
import importlib
import json
import math

import deepxde as dde
import numpy as np
import pytest
import torch
from experiments import LINE, ONE, SMALL, TIME, errors, everywhere, left, right, times
from repnet_pde.validation.studies import kill_resume
from scipy import stats

from repnet_pde import (
    InputError,
    Problem,
    Sampling,
    identify,
    identify_model,
    load_problem,
    resume,
    set_precision,
    solve,
)
from repnet_pde.methods.gauss_newton import GaussNewton
from repnet_pde.methods.joint import Joint
from repnet_pde.output import pictures as plots

identifying = importlib.import_module("repnet_pde.running.identify")

PI = math.pi


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    set_precision("float64")
    monkeypatch.setattr(plots, "draw", lambda *_: [])  # pictures take longer than these runs


def given(u, data, start=1.0, geometry=TIME):
    """u at the start, and data (t, values) by name."""
    conditions = {"start": dde.icbc.DirichletBC(geometry, lambda t: start, left)}
    return conditions | {name: dde.icbc.PointSetBC(t, values) for name, (t, values) in data.items()}


def drift(deviations=0.1, n=20, seed=0, observed=None):
    """u' = c, u(0) = 0, so that u = c t: linear least squares. Returns the problem, times and values."""
    c, t = dde.Variable(1.0), times(n)
    deviations = np.broadcast_to(deviations, n)[:, None]
    values = 3.0 * t + deviations * errors(n, seed)
    problem = Problem(
        geometry=TIME,
        pde=lambda t, u: dde.grad.jacobian(u, t) - c,
        conditions=given("u", {"data u": (t, values)} if observed is None else observed, 0.0),
        unknowns={"c": c},
        true_unknowns={"c": 3.0},
        wavenumber=4.0,
        sampling=Sampling(test=10),
    )
    return problem, t, values


def decay(rate=2.0, noise=0.0, seed=0, start=0.5, unit=1.0, n=20, **changes):
    """u' = −(unit · k) u, u(0) = 1, with k = rate / unit to be found."""
    k, t = dde.Variable(start / unit), times(n)
    values = np.exp(-rate * t) + noise * errors(n, seed)
    fields = {
        "geometry": TIME,
        "pde": lambda t, u: dde.grad.jacobian(u, t) + unit * k * u,
        "conditions": given("u", {"data u": (t, values)}),
        "unknowns": {"k": k},
        "true_unknowns": {"k": rate / unit},
        "wavenumber": 5.0,
        "sampling": Sampling(test=10),
    }
    return Problem(**fields | changes)


def cramer_rao(rate, sigma, t):
    """Of k in exp(−k t): σ / ‖t exp(−k t)‖."""
    return sigma / np.linalg.norm(t * np.exp(-rate * t))


def diffusion(k=2.0, start=0.4, **changes):
    """−k u'' = π² k_true sin πx, u = 0 at the ends: u = sin πx."""
    found, x = dde.Variable(start), np.linspace(0.05, 0.95, 15)[:, None]
    fields = {
        "geometry": LINE,
        "pde": lambda x, u: -found * dde.grad.hessian(u, x) - PI**2 * k * torch.sin(PI * x),
        "conditions": {
            "ends": dde.icbc.DirichletBC(LINE, lambda x: 0, everywhere),
            "data": dde.icbc.PointSetBC(x, np.sin(PI * x)),
        },
        "unknowns": {"k": found},
        "wavenumber": 4.0,
    }
    return Problem(**fields | changes)


def robin(source=True):
    """u'' = −1 or 0, u(0) = 1, u'(1) = −h u(1) with h = 2."""
    h, x = dde.Variable(0.3), np.linspace(0.1, 0.9, 9)[:, None]
    f = 1.0 if source else 0.0
    slope = (f * (1 + 1.0) - 2.0) / 3  # of u = 1 + s x − f x²/2: s − f = −2 (1 + s − f/2)
    values = 1 + slope * x - f * x**2 / 2
    return Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.hessian(u, x) + f,
        conditions={
            "left": dde.icbc.DirichletBC(LINE, lambda x: 1, left),
            "right": dde.icbc.RobinBC(LINE, lambda x, u: -h * u, right),
            "data": dde.icbc.PointSetBC(x, values),
        },
        unknowns={"h": h},
        wavenumber=4.0,
    )


# Without noise -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "value"),
    [(decay, 2.0), (lambda: decay(-1.5, start=1.0), -1.5), (diffusion, 2.0), (robin, 2.0)],
    ids=["decay", "growth", "diffusion", "robin"],
)
def test_an_unknown_is_found_to_rounding(make, value):
    result = identify(make(), **SMALL)
    (estimate,) = result.estimates.values()
    assert result.method == "joint" and result.finished
    assert estimate.value == pytest.approx(value, rel=1e-8)
    assert estimate.identifiable and estimate.standard_error < 1e-6


def test_an_equation_of_one_term_that_is_zero():
    """u'' = 0 is met, though rounding is no smaller than the term itself: no reason for another method."""
    result = identify(robin(source=False), **SMALL, iterations=40)
    assert result.method == "joint"
    assert result.estimates["h"].value == pytest.approx(2, rel=1e-8)


@pytest.mark.parametrize("size", [1e-9, 1e9])
@pytest.mark.parametrize("positive", [False, True])
def test_unknowns_of_any_size(size, positive):
    options = ONE | {"positive": ["k"]} if positive else ONE
    result = identify(decay(unit=1 / size), **options)
    assert result.estimates["k"].value == pytest.approx(2 * size, rel=1e-6)
    result = identify(diffusion(size, 0.2 * size), **options)
    assert result.estimates["k"].value == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize("start", [0.0, -3.0, 1e6])
def test_starts_far_off(start):
    """Also from 0, where the highest derivative has no coefficient."""
    assert identify(diffusion(start=start), **SMALL).estimates["k"].value == pytest.approx(2, rel=1e-8)


OSCILLATOR = '''"""u'' + c² u = 100 sin ωt from rest."""
import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem, Sampling

def problem(start=(8.0, 40.0), true=(4.0, 20.0)):
    line, (c, w) = dde.geometry.TimeDomain(0, 2), true
    found = dde.Variable(start[0]), dde.Variable(start[1])
    t = np.random.default_rng(0).uniform(0, 2, (60, 1))
    values = 100 * (np.sin(w * t) - w / c * np.sin(c * t)) / (c**2 - w**2)
    left = lambda t, on: on and t[0] < 1e-9
    return Problem(
        geometry=line,
        pde=lambda t, u: dde.grad.hessian(u, t) + found[0] ** 2 * u - 100 * torch.sin(found[1] * t),
        conditions={
            "start": dde.icbc.DirichletBC(line, lambda t: 0, left),
            "velocity": dde.icbc.OperatorBC(line, lambda t, u, _: dde.grad.jacobian(u, t), left),
            "data": dde.icbc.PointSetBC(t, values),
        },
        unknowns={"c": found[0], "w": found[1]},
        wavenumber=60.0,
        sampling=Sampling(test=10),
    )
'''


@pytest.fixture
def oscillator(tmp_path):
    (tmp_path / "oscillator.py").write_text(OSCILLATOR)
    return tmp_path / "oscillator.py"


@pytest.mark.parametrize(
    ("start", "true"), [((8.0, 40.0), (4.0, 20.0)), ((1.0, 5.0), (4.0, 20.0)), ((4.0, 30.0), (4.0, 50.0))]
)
def test_frequencies_that_are_wrong_by_periods(start, true, oscillator):
    """Most other minima leave a quarter of the data unexplained."""
    result = identify(load_problem(oscillator, start=start, true=true), progress=False)
    assert [result.unknowns[name] for name in "cw"] == pytest.approx(true, rel=1e-6)
    assert all(estimate.identifiable for estimate in result.estimates.values())


def test_stopped_and_resumed_while_starts_are_tried(oscillator, tmp_path, stopped_after):
    options = {"method": "joint", "network_options": {"layers": [100]}, "progress": False}
    whole = identify(load_problem(oscillator), **options)
    problem = load_problem(oscillator)
    with stopped_after(3):
        part = identify(problem, **options, out=tmp_path / "run")
    assert part.resumable
    while part.resumable:
        with stopped_after(40):
            part = resume(tmp_path / "run", progress=False)
    assert part.unknowns == whole.unknowns and part.iterations == whole.iterations


def test_a_nonlinear_equation_with_two_unknowns():
    """Logistic growth: u' = r u (1 − u/K), u(0) = 1/2."""
    r, capacity, t = dde.Variable(1.0), dde.Variable(1.0), times(25)
    problem = Problem(
        geometry=TIME,
        pde=lambda t, u: dde.grad.jacobian(u, t) - r * u * (1 - u / capacity),
        conditions=given("u", {"data u": (t, 3 / (1 + 5 * np.exp(-4 * t)))}, 0.5),
        unknowns={"r": r, "K": capacity},
        wavenumber=8.0,
    )
    result = identify(problem, progress=False, network_options={"layers": [24]})
    assert result.estimates["r"].value == pytest.approx(4, rel=1e-6)
    assert result.estimates["K"].value == pytest.approx(3, rel=1e-6)


# Bounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"positive": ["k"]}, {"bounds": {"k": (0, 50)}}, {"bounds": {"k": (None, 9.0)}}, {"bounds": {"k": [1.9, 2.2]}}],
)
def test_the_interval_lies_within_the_bounds(options):
    """And estimate and standard error are those without bounds, where these are far away."""
    free = identify(decay(noise=0.02, start=2.0), **SMALL).estimates["k"]
    bound = identify(decay(noise=0.02, start=2.0), **SMALL, **options).estimates["k"]
    low, high = options.get("bounds", {"k": (0, None)})["k"]
    assert (low or -math.inf) <= bound.interval[0] < bound.value < bound.interval[1] <= (high or math.inf)
    assert bound.value == pytest.approx(free.value, rel=1e-4)
    assert bound.standard_error == pytest.approx(free.standard_error, rel=0.01)
    assert bound.discretisation < 0.01 * bound.standard_error


def test_the_independent_solution_starts_from_the_values_found_with_bounds_too():
    """A rate of 40: its exponential is no rate."""
    options = {"progress": False, "network_options": {"layers": [40], "wavenumber": 60.0}}
    result = identify(decay(40.0, noise=1e-3, start=20.0, n=40), positive=["k"], **options)
    estimate = result.estimates["k"]
    expected = cramer_rao(estimate.value, result.identification.noise["data u"], times(40))
    assert estimate.standard_error == pytest.approx(expected, rel=0.1)


def test_a_bound_that_excludes_the_truth_is_kept():
    estimate = identify(diffusion(start=1.0), bounds={"k": (0.5, 1.5)}, **SMALL).estimates["k"]
    assert 1.4 < estimate.value <= 1.5
    if estimate.interval is not None:
        assert 0.5 <= estimate.interval[0] <= estimate.interval[1] <= 1.5


def test_bounds_are_compared_with_the_start_value_and_not_with_what_an_earlier_run_found():
    problem = decay()
    assert identify(problem, **ONE).unknowns["k"] == pytest.approx(2)
    again = identify(problem, bounds={"k": (0.1, 1.0)}, **ONE)
    assert 0.9 < again.unknowns["k"] <= 1.0


# Standard errors and intervals ---------------------------------------------------------------------------------------


def test_linear_least_squares_with_noise_estimated():
    """Estimate, standard error, Student's interval and degrees of freedom of a textbook's regression through 0."""
    problem, t, y = drift()
    result = identify(problem, **SMALL, level=0.9)
    found, estimate = result.identification, result.estimates["c"]
    c = (t * y).sum() / (t * t).sum()
    sigma = math.sqrt(((y - c * t) ** 2).sum() / 19)
    error = sigma / math.sqrt((t * t).sum())
    assert estimate.value == pytest.approx(c, rel=1e-9)
    assert estimate.standard_error == pytest.approx(error, rel=1e-6)
    quantile = stats.t.ppf(0.95, 19)
    assert estimate.interval == pytest.approx((c - quantile * error, c + quantile * error), rel=1e-6)
    assert found.quantile == pytest.approx(quantile) and found.level == 0.9 and estimate.true == 3.0
    assert found.dof == pytest.approx(19, rel=1e-6) and not found.noise_given
    assert found.noise == pytest.approx({"data u": sigma}, rel=1e-6)
    assert found.chi_square == pytest.approx(1)
    assert found.leverage["data u"] == pytest.approx((t**2 / (t * t).sum())[:, 0], abs=1e-6)
    assert found.influence["c"]["data u"] == pytest.approx((t**2 / (t * t).sum())[:, 0], abs=1e-6)
    assert found.correlation.tolist() == [[pytest.approx(1)]] and found.undetermined == []
    assert estimate.discretisation < 1e-6 * error


@pytest.mark.parametrize("how", ["array", "file"])
def test_weighted_least_squares_with_noise_known(how, tmp_path):
    """A deviation for each datum, given or in a column of the file; the normal quantile."""
    deviations = np.linspace(0.02, 0.5, 20)
    problem, t, y = drift(deviations)
    if how == "array":
        result = identify(problem, noise={"data u": deviations}, **SMALL)
    else:
        table = np.hstack([t, y, deviations[:, None]])[::-1]
        np.savetxt(tmp_path / "data.csv", table, "%.17g", ",", header="t,u,u_std", comments="")
        other, *_ = drift(seed=5)  # its own data must not be used
        result = identify(other, data=tmp_path / "data.csv", **SMALL)
    found, estimate = result.identification, result.estimates["c"]
    weights = 1 / deviations[:, None] ** 2
    c, error = (weights * t * y).sum() / (weights * t * t).sum(), (weights * t * t).sum() ** -0.5
    assert estimate.value == pytest.approx(c, rel=1e-9)
    assert estimate.standard_error == pytest.approx(error, rel=1e-6)
    assert estimate.interval == pytest.approx((c - 1.959964 * error, c + 1.959964 * error), rel=1e-6)
    assert found.noise_given
    assert found.noise["data u"] == pytest.approx(np.sqrt(np.mean(deviations**2)), rel=1e-6)
    assert found.chi_square == pytest.approx((weights * (y - c * t) ** 2).sum() / 19, rel=1e-6)


def test_noise_given_goes_before_that_of_the_file(tmp_path):
    problem, t, y = drift()
    table = np.hstack([t, y, 0 * t + 7.0])
    np.savetxt(tmp_path / "data.csv", table, "%.17g", ",", header="t,u,u_std", comments="")
    result = identify(problem, data=tmp_path / "data.csv", noise=0.1, **ONE)
    assert result.identification.noise == pytest.approx({"data u": 0.1})
    assert result.estimates["c"].standard_error == pytest.approx(0.1 / np.linalg.norm(t), rel=1e-6)


def test_noise_that_does_not_fit_the_residuals_is_said():
    problem, *_ = drift(0.1)
    notes = [identify(problem, noise=noise, **ONE).identification.notes for noise in (0.1, 0.01, 10.0)]
    assert notes[0] == []
    assert "larger than the noise given" in notes[1][0] and "smaller than the noise given" in notes[2][0]


@pytest.mark.parametrize("noise", [None, 0.01])
def test_the_standard_error_of_a_decay_is_the_cramer_rao_bound(noise):
    result = identify(decay(noise=0.01), noise=noise, **SMALL)
    estimate, t = result.estimates["k"], times()
    sigma = noise or math.sqrt(((np.exp(-2 * t) + 0.01 * errors(20) - np.exp(-estimate.value * t)) ** 2).sum() / 19)
    assert result.identification.noise["data u"] == pytest.approx(sigma, rel=1e-3)
    assert estimate.standard_error == pytest.approx(cramer_rao(estimate.value, sigma, t), rel=0.01)
    curve = np.exp(-estimate.value * t)
    score = (t * curve * (np.exp(-2 * t) + 0.01 * errors(20) - curve)).sum()
    assert abs(score) < 1e-6  # least squares
    stored = result.to_dict()["unknowns"]["k"]
    assert stored["estimate"] == estimate.value and stored["standard_error"] == estimate.standard_error
    assert stored["interval"] == list(estimate.interval) and stored["identifiable"] and stored["true"] == 2.0
    json.dumps(result.to_dict(), allow_nan=False)


def test_intervals_cover_as_often_as_they_say():
    """20 realisations of the noise, with one network: 19 expected, 15 or fewer in three cases of a thousand."""
    network = identify(decay(sampling=Sampling(domain=40, test=10)), **ONE).net
    covered = 0
    for seed in range(20):
        problem = decay(noise=0.05, seed=seed, start=1.5, sampling=Sampling(domain=40, test=10))
        result = identify(problem, lambda _: copy.deepcopy(network), "joint", starts=1, progress=False)
        low, high = result.estimates["k"].interval
        covered += low < 2 < high
    assert 16 <= covered <= 20


def test_two_sensors_are_weighted_by_their_own_noise():
    """Estimated, the errors are nearly those for the noise known; the precise sensor counts."""
    t = times(30)
    exact = np.exp(-2 * t)
    data = {"fine": (t, exact + 1e-3 * errors(30, 1)), "coarse": (t, exact + 0.3 * errors(30, 2))}
    result = identify(decay(conditions=given("u", data)), **SMALL)
    found, estimate = result.identification, result.estimates["k"]
    assert found.noise["fine"] == pytest.approx(1e-3, rel=0.5)
    assert found.noise["coarse"] == pytest.approx(0.3, rel=0.5)
    assert estimate.standard_error == pytest.approx(cramer_rao(2.0, found.noise["fine"], t), rel=0.05)
    assert abs(estimate.value - 2) < 4 * estimate.standard_error
    shares = found.influence["k"]
    assert shares["fine"].sum() + shares["coarse"].sum() == pytest.approx(1) and shares["coarse"].sum() < 1e-3


# What is not determined ----------------------------------------------------------------------------------------------


def product(noise=0.0, third=False):
    """u' = −a b u (+ c)."""
    a, b, c, t = dde.Variable(1.0), dde.Variable(0.5), dde.Variable(1.0), times(30)
    values = np.exp(-2 * t) + (0.25 * (1 - np.exp(-2 * t)) if third else 0) + noise * errors(30)
    return Problem(
        geometry=TIME,
        pde=lambda t, u: dde.grad.jacobian(u, t) + a * b * u - (c if third else 0),
        conditions=given("u", {"data u": (t, values)}),
        unknowns={"a": a, "b": b} | ({"c": c} if third else {}),
        wavenumber=5.0,
        sampling=Sampling(test=10),
    )


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_factors_of_a_product_are_not_determined(noise):
    result = identify(product(noise), **ONE)
    found = result.identification
    assert len(found.undetermined) == 1
    assert "a, b are not determined separately" in found.undetermined[0] and found.undetermined[0] in found.notes
    assert result.unknowns["a"] * result.unknowns["b"] == pytest.approx(2, rel=0.05 if noise else 1e-8)
    for name in "ab":
        estimate = result.estimates[name]
        assert estimate.interval is None and estimate.standard_error is None and not estimate.identifiable
        stored = result.to_dict()["unknowns"][name]
        assert stored["interval"] is None and stored["standard_error"] is None and stored["identifiable"] is False


def test_an_unknown_beside_a_product_keeps_its_interval():
    """The covariance of (p, c) in u' = −p u + c, from the solution's derivatives with respect to both."""
    result = identify(product(0.01, third=True), noise=0.01, **ONE)
    assert result.estimates["a"].interval is None and result.estimates["b"].interval is None
    estimate, t = result.estimates["c"], times(30)
    assert "c" not in result.identification.undetermined[0].split(" are not")[0]
    p, c = result.unknowns["a"] * result.unknowns["b"], estimate.value
    decayed = np.exp(-p * t)
    of_p = -t * decayed + c * (t * decayed / p - (1 - decayed) / p**2)
    j = np.hstack([of_p, (1 - decayed) / p])
    assert estimate.standard_error == pytest.approx(0.01 * math.sqrt(np.linalg.inv(j.T @ j)[1, 1]), rel=0.01)


def test_an_unknown_that_the_data_do_not_see():
    """It drives an output that is not observed."""
    k, f, t = dde.Variable(0.5), dde.Variable(1.0), times(20)

    def pde(t, u):
        p, q = u[:, 0:1], u[:, 1:2]
        return [dde.grad.jacobian(u, t, i=0) + k * p, dde.grad.jacobian(u, t, i=1) - f * p + q]

    problem = Problem(
        geometry=TIME,
        pde=pde,
        conditions={
            "p": dde.icbc.DirichletBC(TIME, lambda t: 1, left, component=0),
            "q": dde.icbc.DirichletBC(TIME, lambda t: 0, left, component=1),
            "data p": dde.icbc.PointSetBC(t, np.exp(-2 * t) + 0.01 * errors(20), component=0),
        },
        outputs=("p", "q"),
        unknowns={"k": k, "f": f},
        wavenumber=5.0,
    )
    result = identify(problem, **ONE)
    assert result.identification.undetermined == ["f is not determined by the data"]
    assert result.estimates["f"].interval is None
    expected = cramer_rao(result.unknowns["k"], result.identification.noise["data p"], t)
    assert result.estimates["k"].standard_error == pytest.approx(expected, rel=0.01)


# Fields --------------------------------------------------------------------------------------------------------------


def elliptic(noise=0.0, seed=0, n=60):
    """−(a u')' = f with a = 1 + 0.4 sin 3x, u = x + sin 2x, u at the ends and a(0) given."""
    x = np.linspace(0, 1, n + 2)[1:-1, None]

    def state(x):
        return x + np.sin(2 * x)

    def pde(x, y):
        a, a_x = 1 + 0.4 * torch.sin(3 * x), 1.2 * torch.cos(3 * x)
        u_x, u_xx = 1 + 2 * torch.cos(2 * x), -4 * torch.sin(2 * x)
        found = dde.grad.jacobian(y, x, i=1) * dde.grad.jacobian(y, x, i=0)
        return -(found + y[:, 1:2] * dde.grad.hessian(y, x, component=0)) + a_x * u_x + a * u_xx

    size = math.sqrt(np.mean(state(x) ** 2))
    return Problem(
        geometry=LINE,
        pde=pde,
        conditions={
            "ends": dde.icbc.DirichletBC(LINE, state, everywhere, component=0),
            "a": dde.icbc.DirichletBC(LINE, lambda x: 1, left, component=1),
            "data u": dde.icbc.PointSetBC(x, state(x) + noise * size * errors(n, seed), component=0),
        },
        solution=lambda x: np.hstack([state(x), 1 + 0.4 * np.sin(3 * x)]),
        outputs=("u", "a"),
        unknown_fields=("a",),
        wavenumber=4.0,
    )


INSIDE = np.linspace(0, 1, 101)[:, None]


def test_an_unknown_field_without_noise():
    result = identify(elliptic(), progress=False, network_options={"layers": [20]})
    assert result.errors.by_output["a"] < 1e-4 and result.errors.by_output["u"] < 1e-6
    assert result.estimates == {} and result.to_dict()["unknowns"] == {}


def test_an_unknown_field_with_noise_and_its_band():
    """One per cent of noise; pointwise, the band covers most of the field."""
    problem = elliptic(0.01)
    result = identify(problem, progress=False, network_options={"layers": [20]})
    found = result.identification
    truth = problem.solution(INSIDE)[:, 1]
    deviation = found.field_deviation(INSIDE, "a")
    wrong = np.abs(result.predict(INSIDE)[:, 1] - truth)
    assert np.sqrt(np.mean(wrong**2)) < 0.15 * np.sqrt(np.mean(truth**2))
    assert (wrong <= found.quantile * deviation + 1e-12).mean() > 0.75
    assert np.sqrt(np.mean(deviation**2)) < 0.4
    assert deviation[0] < 1e-3 * deviation.max()  # it is given there
    size = math.sqrt(np.mean(problem.solution(np.linspace(0, 1, 62)[1:-1, None])[:, 0] ** 2))
    assert found.noise["data u"] == pytest.approx(0.01 * size, rel=0.3)


# Reproducible, and resumed -------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_result():
    problem = decay(noise=0.01)
    one, again = (identify(problem, **SMALL, seed=3) for _ in range(2))
    for result in (one, again):
        result.wall_seconds = 0.0
    assert one.to_dict() == again.to_dict()
    assert all(torch.equal(a, b) for a, b in zip(one.net.parameters(), again.net.parameters(), strict=True))
    other = identify(problem, **SMALL, seed=4)
    assert other.estimates["k"].value == pytest.approx(one.estimates["k"].value, rel=1e-6)
    assert problem.unknowns["k"].item() == other.unknowns["k"]


SOURCE = '''"""u\' = −k u on [0, 1], u(0) = 1."""

import deepxde as dde
import numpy as np
from repnet_pde import Problem, Sampling


def problem():
    time, k, t = dde.geometry.TimeDomain(0, 1), dde.Variable(0.5), np.linspace(0, 1, 21)[1:, None]
    return Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + k * u,
        conditions={
            "start": dde.icbc.DirichletBC(time, lambda t: 1, lambda t, on: on and t[0] < 0.5),
            "first": dde.icbc.PointSetBC(t, np.exp(-2 * t) + 0.01 * np.sin(91 * t)),
            "second": dde.icbc.PointSetBC(t, np.exp(-2 * t) + 0.1 * np.cos(77 * t)),
        },
        unknowns={"k": k},
        wavenumber=5.0,
        sampling=Sampling(distribution="pseudo", test=10),
    )
'''
RESUMED = {
    "plain": {},
    "noise and bounds": {"noise": {"first": 0.01, "second": 0.1}, "bounds": {"k": (0, None)}, "level": 0.8},
    "file": {"data": True},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumed")
    (folder / "decay.py").write_text(SOURCE)
    t = times()
    table = np.hstack([t, np.exp(-3 * t) + 0.01 * errors(20), 0 * t + 0.01])
    np.savetxt(folder / "measured.csv", table, "%.17g", ",", header="t,u,u_std", comments="")
    return folder


def begin(files, kind, out, **more):
    options = dict(RESUMED[kind])
    if "data" in options:
        options["data"] = files / "measured.csv"
    return identify(load_problem(files / "decay.py"), out=out, **SMALL, **options, **more)


class Stop(Exception):
    pass


def test_runs_that_replace_the_first_are_part_of_it(files, tmp_path, monkeypatch, stopped_after):
    """A finer basis, and then Gauss-Newton: the same bits however often it is stopped, also between the two."""
    monkeypatch.setattr(identifying, "POOR", -1.0)  # no joint result is enough
    finer = identifying._finer

    def once(result, factor):
        result.identification.limited = factor == 2.0
        return finer(result, factor)

    monkeypatch.setattr(identifying, "_finer", once)
    monkeypatch.setattr(GaussNewton, "default_iterations", 6)

    def begin(out):
        return identify(load_problem(files / "decay.py"), out=out, progress=False)

    whole = begin(tmp_path / "whole")
    assert whole.method == "gauss-newton" and "gauss-newton was used in its place" in whole.notes[0]
    out = tmp_path / "run"
    with stopped_after(5):
        part = begin(out)
    (out / "exported").mkdir()  # as repnet-pde export does for a solution in time
    for steps in (2, 40, 10**6):
        if part.resumable:
            with stopped_after(steps):
                part = resume(out, progress=False)
    (out / "exported").rmdir()
    assert part.finished and kill_resume.compare(tmp_path / "whole", out) == []


@pytest.mark.parametrize("kind", RESUMED)
def test_stopped_and_resumed(kind, files, tmp_path, monkeypatch):
    """By the time limit at once, and by exceptions in between: equal to the last bit in the end."""
    whole = begin(files, kind, tmp_path / "whole")
    first = begin(files, kind, tmp_path / "run", time_limit=1e-9)
    assert first.stopped == "time limit" and not first.finished and first.identification is None
    assert first.estimates["k"].interval is None
    step = Joint.step
    for moment in (2, 4):  # while the unknowns are explored, and after that

        def failing(self, moment=moment):
            if self.iteration == moment:
                raise Stop
            step(self)

        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(Joint, "step", failing)
            resume(tmp_path / "run", progress=False)
    last = resume(tmp_path / "run", progress=False)
    assert last.finished and last.estimates == whole.estimates
    assert kill_resume.compare(tmp_path / "whole", tmp_path / "run") == []
    found = whole.identification
    assert found.noise_given == (kind != "plain") and found.level == RESUMED[kind].get("level", 0.95)
    if kind == "file":
        assert found.noise == pytest.approx({"data u": 0.01})
        assert whole.estimates["k"].value == pytest.approx(3, abs=0.1)


def test_a_finished_run_stays_as_it_is(files, tmp_path):
    whole = begin(files, "file", tmp_path / "run", starts=1, method="joint")
    before = json.loads((tmp_path / "run" / "result.json").read_text())
    again = resume(tmp_path / "run", progress=False)
    assert again.estimates == whole.estimates
    assert kill_resume.differences(before, json.loads((tmp_path / "run" / "result.json").read_text())) == []


def test_another_method_where_joint_does_not_meet_the_equations(files, tmp_path, monkeypatch):
    """The run directory is then that of the other method."""
    monkeypatch.setattr(importlib.import_module("repnet_pde.running.identify"), "POOR", -1.0)
    out = tmp_path / "run"
    result = begin(files, "plain", out, iterations=40)
    assert result.method == "gauss-newton" and any("joint left a relative residual" in n for n in result.notes)
    assert json.loads((out / "run.json").read_text())["settings"]["method"] == "gauss-newton"
    stored = json.loads((out / "result.json").read_text())
    assert stored["method"] == "gauss-newton" and stored["notes"] == result.notes
    assert stored["unknowns"]["k"]["estimate"] == result.unknowns["k"]


def test_solve_says_the_same_of_a_problem_with_observations():
    problem = decay(noise=0.01)
    assert solve(problem, **SMALL).estimates == identify(problem, **SMALL).estimates


# A model of one's own ------------------------------------------------------------------------------------------------


def model(noise=0.01, observed=True):
    torch.manual_seed(0)
    np.random.seed(0)
    k, t = dde.Variable(0.5), times()
    conditions = [dde.icbc.DirichletBC(TIME, lambda t: 1, left)]
    if observed:
        conditions.append(dde.icbc.PointSetBC(t, np.exp(-2 * t) + noise * errors(20)))
    pde = dde.data.PDE(TIME, lambda t, u: dde.grad.jacobian(u, t) + k * u, conditions, num_domain=25, num_boundary=2)
    return dde.Model(pde, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal")), k


@pytest.mark.parametrize("noise", [None, 0.01])
def test_a_model_of_deepxde(noise):
    """Equations that count ten thousand times as much are met: the Cramér-Rao bound."""
    own, k = model()
    found = identify_model(own, {"k": k}, noise=noise, iterations=80, loss_weights=[1e4, 1e4, 1], verbose=0)
    estimate = found.estimates["k"]
    assert estimate.value == k.item() == pytest.approx(2, abs=0.1)
    sigma = found.noise["PointSetBC_2"]
    assert sigma == pytest.approx(0.01, rel=1e-9 if noise else 0.5) and found.noise_given == (noise is not None)
    assert estimate.standard_error == pytest.approx(cramer_rao(k.item(), sigma, times()), rel=0.03)
    assert estimate.interval[0] < estimate.value < estimate.interval[1]
    assert own.train_state.stopped[0].startswith("gauss-newton")


class Counting(dde.callbacks.Callback):
    def on_train_begin(self):
        self.epochs, self.ended = 0, False

    def on_epoch_end(self):
        self.epochs += 1
        self.model.stop_training = self.epochs == 7

    def on_train_end(self):
        self.ended = True


def test_callbacks_of_a_model_are_honoured():
    own, k = model()
    callback = Counting()
    found = identify_model(own, {"k": k}, iterations=80, callbacks=[callback], verbose=0)
    assert callback.epochs == 7 and callback.ended
    assert own.train_state.stopped == ["gauss-newton: a callback stopped it"]
    assert found.estimates["k"].value == k.item()


def test_bad_arguments_of_identify_model():
    own, k = model()
    cases = [
        ({"unknowns": {}}, r"unknowns: none given"),
        ({"unknowns": {"k": 2.0}}, r"unknowns: 2.0 given; dde.Variable objects are needed"),
        ({"level": 1.5}, r"level: 1.5 given"),
        ({"noise": 0}, r"noise\['PointSetBC_2'\]: 0 given"),
        ({"noise": {"data": 1.0}}, r"noise: 'data' is not known; choose from PointSetBC_2"),
        ({"method": "joint"}, r"method: 'joint' is not known; choose from least-squares"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            identify_model(own, **{"unknowns": {"k": k}, "verbose": 0} | options)
    assert k.item() == 0.5
    with pytest.raises(InputError, match=r"conditions: no observations"):
        blind, k = model(observed=False)
        identify_model(blind, {"k": k}, verbose=0)


# Clear errors --------------------------------------------------------------------------------------------------------


BAD = [
    ({"noise": 0}, r"noise\['data u'\]: 0 given; a standard deviation > 0, or an array of 20 of them, is needed"),
    ({"noise": -0.1}, r"noise\['data u'\]: -0.1 given"),
    ({"noise": math.nan}, r"noise\['data u'\]: nan given"),
    ({"noise": "small"}, r"noise\['data u'\]: 'small' given"),
    ({"noise": {"data v": 0.1}}, r"noise: 'data v' is not known \(did you mean 'data u'\?\); choose from data u"),
    ({"noise": {"start": 0.1}}, r"noise: 'start' is not known; choose from data u"),
    ({"noise": {}}, r"noise: nothing given for data u"),
    ({"noise": {"data u": [0.1, 0.2]}}, r"noise\['data u'\]: \[0.1, 0.2\] given; .* an array of 20"),
    ({"noise": {"data u": [0.1] * 19 + [0.0]}}, r"noise\['data u'\]: .* a standard deviation > 0"),
    ({"noise": {"data u": ["small"] * 20}}, r"noise\['data u'\]"),
    ({"noise": [0.1] * 19}, r"noise"),
    ({"level": 0}, r"level: 0 given; a number between 0 and 1, such as 0.95, is needed"),
    ({"level": 1}, r"level: 1 given"),
    ({"level": 95}, r"level: 95 given"),
    ({"level": "high"}, r"level: 'high' given"),
    ({"bounds": {"rate": (0, 1)}}, r"bounds: 'rate' is not known; choose from k"),
    ({"bounds": {"k": (3, 1)}}, r"bounds\['k'\]: \(3, 1\) given; the lower bound must be below the upper"),
    ({"bounds": {"k": (1, 3)}}, r"unknowns\['k'\]: starts at 0.5, which is not between its bounds 1 and 3"),
    ({"positive": ["rate"]}, r"positive: 'rate' is not known; choose from k"),
    ({"positive": "k"}, r"positive: 'k' given; a list of names of unknowns is needed"),
    ({"starts": 0}, r"starts: 0 given; a whole number >= 1 or None is needed"),
    ({"starts": 2.5}, r"starts: 2.5 given"),
    ({"starts": 0, "method": "adam", "iterations": 1}, r"starts: 0 given"),
    ({"bounds": {"k": (0, 3)}, "method": "gauss-newton"}, r"gauss-newton takes no bounds, positive, starts and loss"),
    ({"positive": ["k"], "method": "adam+lbfgs"}, r"method: adam\+lbfgs takes no bounds"),
    ({"method": "jont"}, r"method: 'jont' is not known \(did you mean 'joint'\?\)"),
    ({"method_options": {"joint": {"start": 1}}}, r"'start' is not known \(did you mean 'starts'\?\)"),
    ({"network": "fnn", "method": "joint"}, r"joint needs a RepNet with one hidden layer"),
    ({"network_options": {"layers": [8, 8]}, "method": "joint"}, r"."),
    ({"data": "nowhere.csv"}, r"there is no file"),
    ({"dtype": "float32"}, r"dtype: 'float32' asked for, but the problem was made in 'float64'"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options, message, tmp_path):
    """Nothing is begun: no run directory."""
    with pytest.raises(InputError, match=message):
        identify(decay(), **SMALL | {"out": tmp_path / "run"} | options)
    assert not (tmp_path / "run").exists()


def test_one_array_of_noise_is_used_for_the_one_condition_or_refused():
    deviations = np.linspace(0.02, 0.5, 20)
    problem, *_ = drift(deviations)
    expected = identify(problem, noise={"data u": deviations}, **ONE).estimates
    with contextlib.suppress(InputError):
        assert identify(problem, noise=deviations, **ONE).estimates == expected


def test_problems_that_cannot_be_identified():
    nothing = Problem(
        geometry=TIME, pde=lambda t, u: dde.grad.jacobian(u, t) + u, conditions=decay().conditions, wavenumber=5.0
    )
    with pytest.raises(InputError, match="problem: has neither unknowns nor unknown_fields"):
        identify(nothing, **SMALL)
    with pytest.raises(InputError, match="conditions: no observations to identify from"):
        identify(decay(conditions={"start": decay().conditions["start"]}), **SMALL)
    few = product(third=True)
    conditions = given("u", {"data u": (times(2), np.ones((2, 1)))})
    few = Problem(geometry=TIME, pde=few.pde, conditions=conditions, unknowns=few.unknowns, wavenumber=5.0)
    with pytest.raises(InputError, match=r"conditions: 2 observation\(s\) for 3 unknowns; at least as many are needed"):
        identify(few, **SMALL)
    own, _ = model()
    with pytest.raises(InputError, match=r"problem: a dde.Model given; use identify_model\(model, unknowns=\{...\}\)"):
        identify(own)
    with pytest.raises(InputError, match=r"problem: float given"):
        identify(3.0)


def test_single_precision():
    set_precision("float32")
    problem = decay()
    for options in ({"method": "joint"}, {"method": "gauss-newton"}):
        with pytest.raises(InputError, match=r"dtype: 'float32' given, but (joint|gauss-newton) needs 'float64'"):
            identify(problem, **SMALL | options, dtype="float32")
    with pytest.raises(InputError, match=r"method: adam\+lbfgs takes no bounds"):
        identify(problem, **SMALL, dtype="float32", positive=["k"])
    options = {"network_options": {"layers": [8]}, "progress": False, "iterations": 20}
    result = identify(problem, dtype="float32", **options)
    assert result.identification is None and result.estimates["k"].interval is None
