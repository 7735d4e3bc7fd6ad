"""What is said of estimates: residuals that are no noise, outliers, copies, noise given wrongly, what did not move."""

import importlib
import math
from types import SimpleNamespace

import deepxde as dde
import numpy as np
import pytest
import torch
from experiments import LINE, ONE, SMALL, TIME, errors, everywhere, left, right, times
from scipy.optimize import brentq

from repnet_pde import InputError, Problem, Sampling, identify, identify_model, set_precision
from repnet_pde.cli import tables
from repnet_pde.inverse import diagnostics
from repnet_pde.inverse.diagnostics import Examined
from repnet_pde.inverse.estimates import Estimate, _disagreeing, _flat, _free, _strayed, _unmet
from repnet_pde.inverse.unknowns import BEND, Scales, huber_inflation, huber_weights
from repnet_pde.output import pictures as plots

PI = math.pi


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    set_precision("float64")
    monkeypatch.setattr(plots, "draw", lambda *_: [])


def decay(t, values, start=0.5, initial=1.0, wavenumber=5.0, factor=1.0, **changes):
    """u' = −factor k u, u(0) = initial; without a condition there where that is None."""
    k = dde.Variable(start)
    conditions = {"data u": dde.icbc.PointSetBC(t, values)}
    if initial is not None:
        conditions = {"start": dde.icbc.DirichletBC(TIME, lambda t: initial, left)} | conditions
    fields = {
        "geometry": TIME,
        "pde": lambda t, u: dde.grad.jacobian(u, t) + factor * k * u,
        "conditions": conditions,
        "unknowns": {"k": k},
        "true_unknowns": {"k": 2.0 / factor},
        "wavenumber": wavenumber,
        "sampling": Sampling(test=10),
    }
    return Problem(**fields | changes)


def drift(t, values):
    """u' = c, u(0) = 0: the regression of a line through 0."""
    c = dde.Variable(1.0)
    return Problem(
        geometry=TIME,
        pde=lambda t, u: dde.grad.jacobian(u, t) - c,
        conditions={
            "start": dde.icbc.DirichletBC(TIME, lambda t: 0, left),
            "data u": dde.icbc.PointSetBC(t, values),
        },
        unknowns={"c": c},
        wavenumber=4.0,
        sampling=Sampling(test=10),
    )


# The tests themselves ------------------------------------------------------------------------------------------------


def look(points, values, residuals, floor=0.0, taken=0.0):
    n = len(points)
    axes = ["x", "y", "t"][: points.shape[1]]
    return diagnostics.examine("data", axes, points, values, residuals[:, 0], np.full(n, taken / n), floor, False)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_scatter_of_neighbours_is_the_noise(dim):
    """On a function that is nearly linear between neighbours."""
    generator = np.random.default_rng(dim)
    x = generator.uniform(size=(600, dim))
    noise = 0.1 * generator.normal(size=(600, 1))
    found = look(x, 3 * x.sum(1, keepdims=True) + noise, noise)
    assert found.scatter == pytest.approx(0.1, rel=0.15) and not found.misses
    assert found.size == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize("dim", [1, 2])
def test_the_chance_of_alike_neighbours(dim):
    """Uniform for noise, in its lower tail no more; next to nothing for a smooth misfit of three deviations."""
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(60, dim))
    rows = diagnostics._neighbours(x)
    chances = [diagnostics._chance_of_ratio(rows, generator.normal(size=60)) for _ in range(400)]
    assert np.mean(np.array(chances) < 0.1) < 0.16 and np.mean(np.array(chances) < 0.01) < 0.03
    smooth = 3 * math.sqrt(2) * np.sin(4 * x.sum(1))
    assert diagnostics._chance_of_ratio(rows, smooth + generator.normal(size=60)) < 1e-6


def test_residuals_that_the_discretisation_explains_say_nothing_of_the_data():
    x = times(40)
    smooth = 1e-8 * np.sin(5 * x)
    assert look(x, np.exp(x), smooth).misses
    assert not look(x, np.exp(x), smooth, floor=1e-8).misses


@pytest.mark.parametrize("count", [1, 3])
def test_outliers_are_found_and_noise_has_none(count):
    x, noise = times(50), errors(50, 3)
    assert look(x, x + noise, noise, taken=1).outliers == []
    chosen = [17, 40, 3][:count]
    noise[chosen, 0] += 15 * np.array([1, -1, 1])[:count]
    found = look(x, x + noise, noise, taken=1)
    assert sorted(found.outliers) == sorted(chosen)
    assert f"{count} outlier" in found.remarks[0] and f"x = {x[found.outliers[0], 0]:.6g}" in found.remarks[0]


def test_heavy_tails_and_equal_values_are_remarked():
    x, generator = times(200), np.random.default_rng(1)
    heavy = np.sign(generator.normal(size=(200, 1))) * generator.exponential(size=(200, 1)) ** 1.5
    assert any("not normal" in r or "outlier" in r for r in look(x, x + heavy, heavy).remarks)
    assert look(x, x + errors(200), errors(200)).remarks == []
    same = np.full((10, 1), 0.8)
    assert any("10 of 10 values are the same" in r for r in look(times(10), same, 1e-3 * errors(10)).remarks)


def test_copies():
    x = np.array([[0.0], [1.0], [1.0], [1.0], [2.0]])
    assert diagnostics.copies(x, np.array([[5.0], [6.0], [6.0], [7.0], [5.0]])).tolist() == [1, 2, 2, 1, 1]


def test_hubers_weights_and_the_variance_of_his_estimate():
    """95 % efficiency for normal errors, and next to none lost beside the noise's own estimate."""
    r = torch.tensor([0.5, -BEND, 2 * BEND, -10 * BEND], dtype=torch.float64)
    assert huber_weights(r, 1.0).tolist() == pytest.approx([1, 1, 0.5, 0.1])
    normal = torch.as_tensor(errors(200_000)[:, 0])
    found = huber_inflation(normal, torch.ones_like(normal), len(normal))
    assert found**-2 == pytest.approx(0.95, abs=0.005)
    assert diagnostics.robust_deviation(normal.numpy(), len(normal)) == pytest.approx(1, abs=0.01)


# Profiles ------------------------------------------------------------------------------------------------------------


def two_unknowns(misfit):
    variables = {"a": torch.tensor(1.0, dtype=torch.float64), "b": torch.tensor(2.0, dtype=torch.float64)}
    covariance = np.array([[1.0, -0.999], [-0.999, 1.0]])
    return _flat(misfit, Scales(variables), covariance, np.array([1.0, 2.0]), np.zeros(2), 1.0, [])


def test_a_parabola_is_as_wide_as_its_covariance_says():
    inverse = torch.linalg.inv(torch.tensor([[1.0, -0.999], [-0.999, 1.0]], dtype=torch.float64))
    change = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert two_unknowns(lambda eta: float((eta - change) @ inverse @ (eta - change))) == []


def test_a_misfit_that_hardly_grows_is_flat_in_the_direction_of_the_covariance():
    (direction,) = two_unknowns(lambda eta: 5 * math.tanh(float((eta[0] - 1) ** 2)) + float((eta.sum() - 3) ** 2))
    assert direction[0] * direction[1] < 0 and np.abs(direction).max() == pytest.approx(np.sqrt(1 / 1.25), rel=0.01)


# Fits that miss the data ---------------------------------------------------------------------------------------------


CURVES = {"a parabola": lambda t: 1 - 0.9 * t**2, "a swing": lambda t: np.cos(6 * t)}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("noise", [None, 0.01])
def test_a_wrong_equation_is_named_and_has_no_interval(curve, noise):
    t = times(30)
    result = identify(decay(t, CURVES[curve](t) + 0.01 * errors(30)), noise=noise, **ONE)
    found, estimate = result.identification, result.estimates["k"]
    assert estimate.interval is None and estimate.standard_error is None and not estimate.identifiable
    assert estimate.reason.startswith("the fit misses data u") and found.undetermined == []
    assert found.doubts and found.notes[0].startswith(found.doubts[0])
    assert found.scatter["data u"] == pytest.approx(0.01, rel=0.6)
    assert result.to_dict()["unknowns"]["k"]["reason"] == estimate.reason
    assert result.to_dict()["identification"]["doubts"] == found.doubts


def test_a_wrong_unit_is_named():
    t = times(30)
    exact = np.exp(-2 * t)
    found = identify(decay(t, 1000 * (exact + 0.01 * errors(30))), **ONE)
    assert found.identification.doubts and found.estimates["k"].interval is None


def test_no_doubt_where_the_equation_is_right():
    t = times(30)
    for seed in range(3):
        result = identify(decay(t, np.exp(-2 * t) + 0.01 * errors(30, seed)), **ONE)
        assert result.identification.doubts == result.identification.remarks == [] and result.identification.notes == []
        estimate = result.estimates["k"]
        assert estimate.reason is None and abs(estimate.value - 2) < 5 * estimate.standard_error


# Data that are not as assumed ----------------------------------------------------------------------------------------


def test_an_outlier_is_named_and_a_robust_loss_is_not_moved_by_it():
    t = times(50)
    values = np.exp(-2 * t) + 0.01 * errors(50)
    clean = identify(decay(t, values), **ONE).estimates["k"]
    values[20] += 1.0
    plain, robust = (identify(decay(t, values), **ONE, loss=loss) for loss in ("squares", "huber"))
    for result in (plain, robust):
        (remark,) = result.identification.remarks
        assert "1 outlier among 50 data" in remark and "t = 0.42" in remark
    assert abs(plain.estimates["k"].value - clean.value) > 5 * clean.standard_error
    estimate = robust.estimates["k"]
    assert abs(estimate.value - clean.value) < clean.standard_error
    assert 0.8 * clean.standard_error < estimate.standard_error < 1.5 * clean.standard_error
    assert robust.identification.noise["data u"] == pytest.approx(0.01, rel=0.4)


@pytest.mark.parametrize("seed", [0, 1])
def test_hubers_estimate_is_the_root_of_his_equation(seed):
    """Σ t ψ((y − c t)/σ) = 0 for a line through 0, with σ known."""
    t = times(40)
    y = 3 * t + 0.1 * np.random.default_rng(seed).standard_t(1.5, size=t.shape)
    found = identify(drift(t, y), noise=0.1, loss="huber", **ONE).estimates["c"]

    def score(c):
        return (t * np.clip((y - c * t) / 0.1, -BEND, BEND)).sum()

    assert found.value == pytest.approx(brentq(score, 0, 6), abs=1e-3 * found.standard_error)


def test_copies_count_once():
    """Every row twice, and ten equal rows: the interval is that of the rows once."""
    t, y = times(30), np.exp(-2 * times(30)) + 0.01 * errors(30)
    once = identify(decay(t, y), **ONE)
    twice = identify(decay(np.repeat(t, 2, 0), np.repeat(y, 2, 0)), **ONE)
    assert twice.estimates["k"].value == pytest.approx(once.estimates["k"].value, rel=1e-6)
    assert twice.estimates["k"].interval == pytest.approx(once.estimates["k"].interval, rel=1e-5)
    assert twice.identification.dof == pytest.approx(29, abs=1e-3)
    assert "30 of 60 rows are copies" in twice.identification.remarks[0]
    known = identify(decay(np.repeat(t, 3, 0), np.repeat(y, 3, 0)), noise=0.01, **ONE)
    single = identify(decay(t, y), noise=0.01, **ONE)
    assert known.estimates["k"].standard_error == pytest.approx(single.estimates["k"].standard_error, rel=1e-5)


def test_ten_equal_rows_are_one():
    t, y = np.full((10, 1), 0.5), np.full((10, 1), 0.4)
    found = identify(decay(t, y), **ONE)
    assert found.estimates["k"].value == pytest.approx(2 * math.log(2.5), rel=1e-5)
    assert found.estimates["k"].interval is None and "degree of freedom" in found.estimates["k"].reason
    error = identify(decay(t, y), noise=0.01, **ONE).estimates["k"].standard_error
    assert error == pytest.approx(0.01 / (0.5 * 0.4), rel=1e-3)  # of one reading


def test_copies_count_once_for_networks_too():
    t, y = times(), np.exp(-2 * times()) + 0.01 * errors(20)

    def model(m):
        torch.manual_seed(0)
        np.random.seed(0)
        k, points = dde.Variable(1.5), np.repeat(t, m, 0)
        conditions = [dde.icbc.DirichletBC(TIME, lambda t: 1, left), dde.icbc.PointSetBC(points, np.repeat(y, m, 0))]
        data = dde.data.PDE(TIME, lambda t, u: dde.grad.jacobian(u, t) + k * u, conditions, 25, 2)
        found = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
        return identify_model(found, {"k": k}, iterations=80, loss_weights=[1e4, 1e4, 1], verbose=0).estimates["k"]

    assert model(2).standard_error == pytest.approx(model(1).standard_error, rel=0.05)


@pytest.mark.parametrize("count", [30, 12])
def test_noise_that_is_given_too_small_does_not_narrow_the_interval(count):
    t = times(count)
    problem = decay(t, np.exp(-2 * t) + 0.01 * errors(count))
    estimated, given = identify(problem, **ONE), identify(problem, noise=1e-3, **ONE)
    assert given.estimates["k"].interval == pytest.approx(estimated.estimates["k"].interval, rel=1e-6)
    assert "larger than the noise given" in given.identification.remarks[0]
    assert not given.identification.noise_given
    assert given.identification.chi_square == pytest.approx(
        (estimated.identification.noise["data u"] / 1e-3) ** 2, rel=1e-3
    )


# Estimates that did not come from the data ---------------------------------------------------------------------------


def test_an_unknown_of_an_equation_without_an_initial_condition():
    """The state is the data's as well; from starts at a tenth and at ten times the truth."""
    t = times(60)
    for start in (0.2, 20.0):
        result = identify(decay(t, 1.7 * np.exp(-2 * t) + 0.01 * errors(60), start, None), **SMALL)
        estimate = result.estimates["k"]
        assert abs(estimate.value - 2) < 5 * estimate.standard_error < 0.3
        assert result.identification.noise["data u"] == pytest.approx(0.01, rel=0.4)


@pytest.mark.parametrize(("stuck", "said"), [(15, True), (8, True), (4, False), (0, False)])
def test_a_sensor_that_is_stuck(stuck, said):
    """Fifteen, eight, four or none of thirty values are exactly equal."""
    t = times(30)
    values = np.exp(-2 * t) + 0.01 * errors(30)
    values[len(t) - stuck :] = values[len(t) - stuck] if stuck else values[len(t) :]
    found = identify(decay(t, values), **ONE).identification
    text = f"data u: {stuck} of 30 values are the same number"
    assert (text in found.remarks) == said and (said or not any("same number" in r for r in found.remarks))


HEAT = dde.geometry.GeometryXTime(LINE, TIME)


def cooling(modes, start=(0.2, 3.0), n=120):
    """u_t = k u_xx − b u, k = 0.06, b = 1, u = 0 at the ends, nothing said at t = 0."""
    k, b, generator = dde.Variable(start[0]), dde.Variable(start[1]), np.random.default_rng(5)
    points = generator.uniform(0.02, 0.98, (n, 2))
    x, t = points[:, :1], points[:, 1:]
    values = sum(a * np.exp(-(0.06 * (j * PI) ** 2 + 1) * t) * np.sin(j * PI * x) for j, a in modes.items())
    return Problem(
        geometry=HEAT,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) - k * dde.grad.hessian(u, x, i=0, j=0) + b * u,
        conditions={
            "ends": dde.icbc.DirichletBC(HEAT, lambda x: 0, everywhere),
            "data u": dde.icbc.PointSetBC(points, values + 0.01 * generator.normal(size=(n, 1))),
        },
        unknowns={"k": k, "b": b},
        true_unknowns={"k": 0.06, "b": 1.0},
        wavenumber=(2 * PI, 4.0),
        sampling=Sampling(test=10),
    )


FEW = {"network_options": {"layers": [160]}, "progress": False}


def test_two_unknowns_of_a_heat_equation_without_an_initial_condition():
    result = identify(cooling({1: 1.0, 2: 0.8}), **FEW)
    for estimate in result.estimates.values():
        assert abs(estimate.value - estimate.true) < 5 * estimate.standard_error < 0.5 * estimate.true
    assert result.identification.noise["data u"] == pytest.approx(0.01, rel=0.3)


def test_two_unknowns_that_one_mode_does_not_tell_apart():
    """k π² + b is all that it shows; noise in the other modes does not count as knowledge of them."""
    result = identify(cooling({1: 1.0}), **FEW)
    assert not any(estimate.identifiable for estimate in result.estimates.values())
    assert all(estimate.reason == "not determined by the data" for estimate in result.estimates.values())
    assert "k, b are not determined separately" in result.identification.undetermined[0]
    assert result.unknowns["k"] * PI**2 + result.unknowns["b"] == pytest.approx(0.06 * PI**2 + 1, rel=0.1)


def test_starts_that_disagree_give_no_interval():
    """Where the best of them explains the data they need not agree."""
    observed = cooling({1: 1.0}).observations
    spread = float(np.std(observed["data u"].values.numpy()))

    def said(agreed, part):
        examined = {"data u": Examined(part * spread, None, False, [], [])}
        return _disagreeing(SimpleNamespace(agreed=agreed), observed, examined)

    assert said(False, 0.4) == ["the starts end at different minima, and the best leaves 40% of the scatter of data u"]
    assert not said(True, 0.4) and not said(False, 0.01)


def waves(start, ends=True):
    """k u'' + a u = 0 for u = sin 10x, which determines a/k = 100 and neither of the two; k = a = 0 is no equation."""
    k, a, x = dde.Variable(start[0]), dde.Variable(start[1]), np.linspace(0.02, 0.98, 20)[:, None]
    noise = 0.03 * np.random.default_rng(1).normal(size=(20, 1))
    conditions = {"ends": dde.icbc.DirichletBC(LINE, lambda x: np.sin(10 * x), everywhere)} if ends else {}
    return Problem(
        geometry=LINE,
        pde=lambda x, u: k * dde.grad.hessian(u, x) + a * u,
        conditions=conditions | {"data u": dde.icbc.PointSetBC(x, np.sin(10 * x) + noise)},
        unknowns={"k": k, "a": a},
        sampling=Sampling(test=10),
    )


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("start", [(0.8, 66.0), (2.0, 30.0)])
def test_equations_that_vanish_with_their_unknowns_determine_nothing(start, ends):
    result = identify(waves(start, ends), noise=0.03, progress=False)
    assert not any(estimate.identifiable for estimate in result.estimates.values())


def test_a_solution_as_free_as_the_data_is_named():
    said = _free(torch.full((20,), 0.95, dtype=torch.float64), 2)
    assert said == "the equations leave the solution as free as the data: 19 of 20 degrees of freedom are its own"
    assert not _free(torch.full((20,), 0.1, dtype=torch.float64), 2)
    assert not _free(torch.ones(2, dtype=torch.float64), 1)  # one unknown and one open constant, two data


def test_no_interval_where_the_equations_are_not_met():
    assert _unmet({"pde": 1e-5, "left": 2e-3}) == ["the equations are not met: relative residual 2.0e-03 (left)"]
    assert _unmet({"pde": math.nan}) and not _unmet({"pde": 1e-4}) and not _unmet({})
    t = times(20)
    trained = {"network": "fnn", "method": "gauss-newton", "iterations": 1, "progress": False}
    result = identify(decay(t, np.exp(-2 * t)), network_options={"layers": [4]}, **trained)
    assert result.estimates["k"].interval is None
    assert any("the equations are not met" in doubt for doubt in result.identification.doubts)


def layer(true=1e-3, start=0.1, points=5):
    """−v u''/0.4 + 1e-3 u/K = 1, u = 0 at the ends by a hard constraint: flow in a porous channel."""
    v, permeability = dde.Variable(start), dde.Variable(start)
    rate = math.sqrt(1e-3 * 0.4 / (true * true))
    x = np.linspace(0, 1, points + 2)[1:-1, None]
    top = true / 1e-3
    return Problem(
        geometry=LINE,
        pde=lambda x, y: -v / 0.4 * dde.grad.hessian(y, x) + 1e-3 * y / permeability - 1,
        conditions={"data u": dde.icbc.PointSetBC(x, top * (1 - np.cosh(rate * (x - 0.5)) / math.cosh(rate / 2)))},
        output_transform=lambda x, y: x * (1 - x) * y,
        unknowns={"v": v, "K": permeability},
        true_unknowns={"v": true, "K": true},
        sampling=Sampling(test=10),
    )


@pytest.mark.parametrize(("true", "start"), [(1e-3, 0.1), (4e-3, 1.0)])
def test_two_unknowns_of_a_boundary_layer_from_five_exact_values(true, start):
    """What the features leave of the equation is no reason to prefer other unknowns."""
    result = identify(layer(true, start), progress=False)
    for estimate in result.estimates.values():
        assert estimate.value == pytest.approx(true, rel=1e-4)
        assert estimate.reason is not None or abs(estimate.value - true) < 6 * estimate.standard_error


def test_features_that_limit_the_estimates_are_followed_by_finer_ones(monkeypatch):
    """Twice, then four times the wavenumber, as long as they limit; within the time that is left, or not at all."""
    module = importlib.import_module("repnet_pde.running.identify")
    limits, again = [True, False], module.run

    def run(*arguments, **options):
        result = again(*arguments, **options)
        result.identification.limited = limits.pop(0)
        return result

    monkeypatch.setattr(module, "run", run)
    t = times(25)
    problem = decay(t, np.exp(-2 * t) + 0.01 * errors(25))
    result = identify(problem, progress=False)
    assert not limits and result.notes[0].startswith("the basis functions limited the estimates")
    limits[:] = [True]
    result = identify(problem, progress=False, time_limit=1.5 * result.wall_seconds)
    assert not any("identified again" in note for note in result.notes)


@pytest.mark.parametrize("size", [1e9, 1e-7])
def test_a_positive_unknown_many_powers_of_ten_from_its_start(size):
    """At the start the data do not feel it, or nothing else."""
    t = times(25)
    problem = decay(t, np.exp(-2 * t) + 0.01 * errors(25), 1.0, factor=2 / size, true_unknowns={"k": size})
    estimate = identify(problem, positive=["k"], **SMALL).estimates["k"]
    assert abs(estimate.value - size) < 5 * estimate.standard_error < 0.2 * size


def test_a_nonlinear_law_whose_unknown_starts_nine_powers_of_ten_away():
    """y' = −A κ y², y(0) = 1, with κ = 1e-9 and A = 2e9."""
    rate, t = dde.Variable(1.0), times(15)
    problem = Problem(
        geometry=TIME,
        pde=lambda t, y: dde.grad.jacobian(y, t) + 1e-9 * rate * y**2,
        conditions={
            "new": dde.icbc.DirichletBC(TIME, lambda t: 1, left),
            "data": dde.icbc.PointSetBC(t, 1 / (1 + 2 * t) + 0.005 * errors(15)),
        },
        unknowns={"A": rate},
        wavenumber=5.0,
        sampling=Sampling(test=10),
    )
    for options in ({"positive": ["A"]}, {}):
        estimate = identify(problem, **SMALL, **options).estimates["A"]
        assert abs(estimate.value - 2e9) < 5 * estimate.standard_error < 2e8


def test_values_that_ran_away_or_lie_at_a_bound_have_no_interval():
    assert _strayed(-1.3e90, 0.1, (-math.inf, math.inf)).startswith("ran away from 0.1")
    assert _strayed(7.8e8, 1.0, (0.0, math.inf)) is None
    assert _strayed(2.99999, 1.0, (0.0, 3.0)).startswith("at its bound")
    t = times(30)
    result = identify(decay(t, np.exp(-2 * t) + 0.01 * errors(30)), bounds={"k": (0.1, 1.0)}, **ONE)
    assert result.estimates["k"].interval is None


@pytest.mark.parametrize(
    "interval", [(-1.3e90, -1.3e90), (-math.inf, math.inf), (0.0, 0.0), (-1e308, 1e308), (1e-320, 2e-320)]
)
def test_the_closing_table_prints_whatever_was_found(interval):
    found = type("Found", (), {"level": 0.95})
    assert "interval [" in tables.estimate_text(Estimate(-1.3e90, 2e8, interval), found)
    assert tables.estimate_text(Estimate(2.0, None, None, None, None, "ran away"), found) == "2, no interval: ran away"


# Unknowns that a cache freezes ---------------------------------------------------------------------------------------


def with_flux(condition, extra=0.0):
    c, x = dde.Variable(0.1), np.linspace(0.05, 0.95, 15)[:, None]
    return Problem(
        geometry=LINE,
        pde=lambda x, y: dde.grad.hessian(y, x) - y + extra,
        conditions={
            "flux": condition(c),
            "far": dde.icbc.DirichletBC(LINE, lambda x: 0, right),
            "data": dde.icbc.PointSetBC(x, 0.8 * np.sinh(1 - x) / math.cosh(1)),
        },
        unknowns={"C": c},
        sampling=Sampling(test=10),
    )


FROZEN = {
    "flux": lambda c: dde.icbc.NeumannBC(LINE, lambda x: c / 2, left),
    "value": lambda c: dde.icbc.DirichletBC(LINE, lambda x: 2 * c, left),
}


@pytest.mark.parametrize("kind", FROZEN)
def test_an_unknown_that_deepxde_caches_is_refused_before_any_work(kind):
    with pytest.raises(
        InputError, match=r"unknowns\['C'\]: conditions\['flux'\] keeps the value .* dde.icbc.OperatorBC"
    ):
        with_flux(FROZEN[kind])


def test_an_unknown_that_is_used_outside_of_pde_is_refused():
    log = dde.Variable(0.5)
    k = torch.exp(log)
    with pytest.raises(
        InputError, match=r"unknowns\['log'\]: the residual 'pde' of pde keeps the value .* inside of pde"
    ):
        decay(times(), np.exp(-2 * times()), unknowns={"log": log}, true_unknowns={}, pde=lambda t, u: k * u)


def test_unknowns_in_operators_and_robin_conditions_are_identified():
    def operator(c):
        return dde.icbc.OperatorBC(LINE, lambda x, y, _: -dde.grad.jacobian(y, x) - c, left)

    estimate = identify(with_flux(operator), progress=False).estimates["C"]
    assert estimate.value == pytest.approx(0.8, rel=1e-6)
    with_flux(lambda c: dde.icbc.RobinBC(LINE, lambda x, y: -c * y, left))


def test_an_unknown_that_is_small_beside_the_rest_is_not_frozen():
    """Its change is lost in rounding at first."""
    decay(times(), np.exp(-2 * times()), 1.0, factor=1e-18)


def test_a_model_with_a_cached_unknown_is_refused():
    c = dde.Variable(0.1)
    conditions = [FROZEN["flux"](c), dde.icbc.PointSetBC(times(), np.exp(-times()))]
    data = dde.data.PDE(LINE, lambda x, y: dde.grad.hessian(y, x) - y, conditions, 25, 2)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    with pytest.raises(InputError, match="keeps the value that it had at first"):
        identify_model(model, {"C": c}, iterations=5, verbose=0)


# Clear errors --------------------------------------------------------------------------------------------------------


def test_bad_losses():
    problem = drift(times(), 3 * times())
    with pytest.raises(
        InputError, match=r"loss: 'hubert' is not known \(did you mean 'huber'\?\); choose from squares"
    ):
        identify(problem, loss="hubert", **SMALL)
    with pytest.raises(InputError, match="method: gauss-newton takes no bounds, positive, starts and loss"):
        identify(problem, loss="huber", method="gauss-newton", progress=False)
