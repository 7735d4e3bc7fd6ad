"""The classical baseline of the inverse problems, the criteria of its table, and the counting of coverage."""

import math

import numpy as np
import pytest
from repnet_pde.validation.studies import coverage
from repnet_pde.validation.studies.inverse import (
    CASES,
    Case,
    Forward,
    SplineField,
    covariance,
    cramer_rao,
    cross_validated,
    fit_field,
    fit_numbers,
    lines_of,
    missed_field,
    missed_number,
    numbers,
)

from repnet_pde import catalogue, load_problem

# Near enough to the truth for a problem that is not convex: from the problem's own starts it ends in a wrong minimum
NEAR = {"damped_oscillator": [1.5, 79.0], "helmholtz_wavenumber_2d": [4.31 * math.pi]}


@pytest.mark.parametrize("name", NEAR)
def test_baseline_recovers_the_truth_without_noise(name):
    problem = load_problem(name)
    forward, data = numbers(problem)
    fit = fit_numbers(forward, data, np.array(NEAR[name]))
    truth = list(problem.true_unknowns.values())
    assert np.allclose(fit.theta, truth, rtol=1e-9) and not fit.note
    assert fit.solves >= 2 * len(truth)


def test_every_inverse_problem_is_a_case_at_a_noise_without_and_with():
    assert {case.name for case in CASES} == {n for n in catalogue() if "data_seed" in catalogue()[n].parameters}
    assert all(noise in case.noises for case in CASES for noise in case.must)


def linear(rows):
    """A forward solver of the unknown numbers in ``rows`` (n, p) at points that number them."""
    return lambda unknowns, x, resolution=None: (rows @ np.array(list(unknowns.values())))[:, None]


def test_standard_errors_are_the_deviations_of_many_estimates():
    generator = np.random.default_rng(0)
    rows, truth, sigma = generator.normal(size=(30, 2)) * [1.0, 1e4], np.array([3.0, 2e-4]), 0.2
    forward = Forward(linear(rows), np.zeros((30, 1)), np.ones(1), lambda theta: dict(zip("ab", theta, strict=True)))
    fits = [
        fit_numbers(forward, rows @ truth + sigma * generator.normal(size=30), np.array([1.0, 1e-4]))
        for _ in range(400)
    ]
    found = np.std([fit.theta for fit in fits], axis=0)
    exact = sigma * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    assert np.allclose(found, exact, rtol=4 / math.sqrt(2 * 400))
    mean = np.mean([np.diag(fit.covariance) for fit in fits], axis=0)
    assert np.allclose(mean, exact**2, rtol=4 * math.sqrt(2 / 28 / 400))
    assert np.allclose(covariance(rows, sigma**2), sigma**2 * np.linalg.inv(rows.T @ rows), rtol=1e-9)


def test_bound_is_that_of_the_exact_derivatives():
    """The derivatives of the closed form by hand."""
    problem = load_problem("damped_oscillator", noise=0.05)
    t = problem.observations["data u"].points[:, 0]
    delta, omega0 = 2.0, 80.0
    w = math.sqrt(omega0**2 - delta**2)
    decay, c, s = np.exp(-delta * t), np.cos(w * t), np.sin(w * t)
    u = decay * (c + delta / w * s)
    of_w = decay * (-t * s + delta * (t * c / w - s / w**2))
    rows = np.stack([-t * u + decay * s / w - delta / w * of_w, omega0 / w * of_w], axis=1)
    sigma = 0.05 * math.sqrt(np.mean(u**2))
    exact = sigma * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    assert np.allclose(list(cramer_rao(problem, 0.05).values()), exact, rtol=1e-6)
    assert list(cramer_rao(problem, 0.0).values()) == [0.0, 0.0]


def test_predictions_that_do_not_exist_are_nan_and_a_deadline_ends_them():
    forward, _ = numbers(load_problem("burgers_inverse_1d", observations=20))
    assert np.isnan(forward(np.array([1.0, -0.1]))).all() and forward.solves == 1
    forward.deadline = 0.0
    with pytest.raises(TimeoutError):
        forward(np.array([1.0, 0.1]))


def test_splines_are_a_partition_of_unity_and_their_second_differences_vanish_for_planes():
    shape = SplineField((6, 5), (-1.0, 1.0))
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    assert np.allclose(shape.basis(np.vstack([x, [[-1, 1], [1, -1]]])).sum(axis=1), 1)
    i, j = np.meshgrid(np.arange(6.0), np.arange(5.0), indexing="ij")
    plane = (1 + 2 * i - 3 * j + i * j).ravel()
    assert np.abs(shape.roughness() @ plane).max() < 1e-12
    assert np.allclose(np.log(shape(0.1 * plane)(x)), 0.1 * shape.basis(x) @ plane)
    # uniform cubic splines reproduce a plane from its values at the middle of each spline
    middle = np.stack([-1 + 2 / 3 * (i - 1), -1 + (j - 1)], axis=-1).reshape(-1, 2)
    assert np.allclose(shape.basis(x) @ (middle @ [2.0, -1.0]), x @ [2.0, -1.0])


def test_cross_validation_takes_a_penalty_near_the_best():
    generator, shape = np.random.default_rng(1), SplineField((20,), (0.0, 1.0))
    x = generator.uniform(0, 1, (200, 1))
    basis, rough, none = shape.basis(x), shape.roughness(), np.zeros((0, 20))
    truth = np.sin(2 * np.pi * x[:, 0])
    z = truth + 0.3 * generator.normal(size=200)

    def error(weight):
        rows = np.concatenate([basis, math.sqrt(weight) * rough])
        return np.linalg.norm(basis @ np.linalg.lstsq(rows, np.append(z, np.zeros(18)))[0] - truth)

    chosen = cross_validated(basis, z, none, np.zeros(0), rough)
    assert error(chosen) < 1.2 * min(error(chosen * 10.0**k) for k in np.arange(-4, 4.5, 0.5))
    assert error(chosen) < 0.7 * min(error(chosen * 1e6), error(chosen * 1e-6))
    assert cross_validated(basis, truth, none, np.zeros(0), rough) < 1e-2 * chosen


def test_field_is_found_from_its_own_values():
    """A solver that gives the field itself: the fit is a smoothing spline, exact at the points where it is given."""
    shape, x = SplineField((12,), (0.0, 1.0)), np.linspace(0, 1, 80)[:, None]
    truth = 1 + 0.5 * np.sin(5 * x[:, 0])
    forward = Forward(
        lambda unknowns, x, resolution=None: unknowns["a"](x)[:, None], x, np.ones(1), lambda c: {"a": shape(c)}
    )
    ends = np.array([[0.0], [1.0]])
    known = ends, 1 + 0.5 * np.sin(5 * ends[:, 0])
    fit = fit_field(forward, truth, shape, known)
    assert np.abs(shape(fit.theta)(x) - truth).max() < 1e-3 and not fit.note
    assert np.abs(shape(fit.theta)(ends) - known[1]).max() < 1e-6
    noisy = truth + 0.1 * np.random.default_rng(0).normal(size=80)
    smooth = shape(fit_field(forward, noisy, shape, known).theta)(x)
    assert np.sqrt(np.mean((smooth - truth) ** 2)) < 0.05
    late = fit_field(forward, truth, shape, known, limit=-1.0)
    assert late.note.startswith("stopped")


# --- table --------------------------------------------------------------------------------------------------------


def test_criteria():
    case = Case("lorenz", {0.0: 1e-3}, 60.0)
    assert not missed_number(case, 0.0, [1e-9, 2e-4, 1.0], [], 50.0)  # the median counts
    assert missed_number(case, 0.0, [1e-9, 2e-3, 1.0], [], 50.0)
    assert missed_number(case, 0.0, [1e-9, 1e-9, 1e-9], [], 61.0)
    assert not missed_number(case, 0.1, [1.0] * 3, [0.1, 1.9, 3.9], 100.0)
    assert missed_number(case, 0.1, [0.0] * 3, [0.1, 2.1, 2.2], 1.0)
    assert missed_number(case, 0.1, [0.0] * 3, [0.1, 0.2, 40.0], 1.0)  # a wrong minimum is no chance
    field = Case("heat_coefficient_2d", {0.1: 2e-2}, splines=(8, 8))
    assert missed_field(field, 0.1, [3e-2]) and not missed_field(field, 0.1, [1e-2])
    assert not missed_field(field, 0.0, [1.0])


def row(estimate, failed=None, deviation=0.1):
    found = {"estimate": estimate, "standard_error": deviation, "true": 2.0}
    found["interval"] = None if deviation is None else [estimate - 2 * deviation, estimate + 2 * deviation]
    unknowns = {} if failed else {"c": found}
    common = {"failed": failed, "error": None, "seconds": 1.0, "method": "joint", "solves": 7, "notes": []}
    return common | {"unknowns": unknowns, "cramer_rao": {"c": 0.1}}


def test_lines_of_the_table():
    case = Case("driven_wave_1d")
    good = [row(2.05), row(1.9), row(2.0)]
    (line,) = lines_of(case, 0.1, good, good)
    assert "MISSED" not in line and "3 of 3" in line and "0.5 [0, 1]" in line and "(7 solves)" in line
    (line,) = lines_of(case, 0.1, [row(2.05), row(1.9), row(9.0)], good)
    assert "MISSED" in line and "2 of 3" in line and "[0.5, 70]" in line
    (line,) = lines_of(case, 0.1, [row(2.05), row(1.9), row(0, "blew up")], [row(0, "not done")] * 3)
    assert "MISSED" in line and "2 of 3" in line and "failed: blew up; classical failed: not done" in line
    (line,) = lines_of(case, 0.1, [row(0, "blew up")] * 3, good)
    assert "none MISSED" in line and "failed: blew up" in line
    (line,) = lines_of(case, 0.1, [row(2.05), row(1.9), row(2.0, deviation=None)], good)
    assert "2 of 3" in line  # what has no interval does not contain the truth
    field = Case("heat_coefficient_2d", {0.1: 2e-2}, splines=(8, 8))
    rows = [row(0.0) | {"unknowns": {}, "error": e} for e in (1e-2, 3e-2, 4e-2)]
    (line,) = lines_of(field, 0.1, rows, rows)
    assert "3.0e-02 [1.0e-02, 4.0e-02] MISSED" in line
    assert "MISSED" not in lines_of(field, 0.0, rows, rows)[0]


# --- coverage -----------------------------------------------------------------------------------------------------


def test_coverage_counts_intervals_failures_and_wrong_minima():
    rows = [row(2.05), row(1.95), row(2.25), row(2.0, deviation=None), row(0, "blew up")]
    found = coverage.count(rows, "c")
    assert (found.runs, found.inside, found.wrong) == (5, 2, 0)
    assert found.share == 0.4 and found.error == pytest.approx(math.sqrt(0.4 * 0.6 / 5))
    assert found.mean == pytest.approx((0.5 - 0.5 + 2.5) / 3) and found.ratio == 1 and not found.good
    assert found.deviation == pytest.approx(np.std([0.5, -0.5, 2.5], ddof=1))
    many = [row(2 + 0.1 * z) for z in np.random.default_rng(0).normal(size=2000)]
    found = coverage.count(many, "c")
    assert found.share == pytest.approx(0.9545, abs=4 * found.error) and found.good
    assert found.mean == pytest.approx(0, abs=0.1) and found.deviation == pytest.approx(1, abs=0.07)
    wide = row(4.0, deviation=10.0)  # contains the truth by being wide
    assert not coverage.count([*many, wide], "c").good and coverage.count([*many, wide], "c").wrong == 1
    assert math.isnan(coverage.count([row(0, "blew up")], "c").mean)
    case = coverage.Case("lorenz", 0.05)
    text = coverage.markdown({"lorenz": [r | {"seed": 3} for r in rows]}, [case], "x")
    assert "| 5 | 40 ± 22 % |" in text and "MISSED" in text and "data seed 3: failed: blew up" in text


def test_rows_survive_a_line_that_was_cut_off(tmp_path):
    file = tmp_path / "a.jsonl"
    assert coverage.read_rows(file) == []
    coverage.append(file, {"seed": 1})
    with file.open("a") as stream:
        stream.write('{"seed": 2, "unkn')
    assert coverage.read_rows(file) == [{"seed": 1}]
    coverage.append(file, {"seed": 0})
    coverage.append(file, {"seed": 2})
    assert coverage.read_rows(file) == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
