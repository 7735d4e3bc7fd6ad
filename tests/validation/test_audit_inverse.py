"""The inverse half of the audit: what is called true is true, and the judgement counts what is said falsely."""

import json
import math

import numpy as np
import pytest
import torch
from repnet_pde.validation.audit import inverse, judge, runs
from repnet_pde.validation.audit.case import FAILED, REFUSED, generator
from repnet_pde.validation.audit.inverse import experiments as ex
from repnet_pde.validation.audit.inverse import judgement, undetermined
from repnet_pde.validation.audit.inverse.experiments import AS_OPERATOR, FREE, ROBIN, SLOPE
from repnet_pde.validation.audit.inverse.truth import DATA, EQUATION, NOISE, Said

from repnet_pde import Problem, set_precision, solve


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")


def draw(kind, number, seed=0):
    return inverse.KINDS[kind].draw(generator(seed, "inverse", kind, number), number)


# The generator --------------------------------------------------------------------------------------------------------


def test_two_hundred_problems():
    assert sum(kind.number for kind in inverse.KINDS.values()) == 200


@pytest.mark.parametrize("kind", inverse.KINDS)
def test_the_same_seed_draws_the_same_problem(kind):
    one, again, other = draw(kind, 2), draw(kind, 2), draw(kind, 2, seed=1)
    assert one.text == again.text != other.text
    assert one.truth == again.truth and dict(one.settings) == dict(again.settings)
    assert dict(one.problem.start_values) == dict(again.problem.start_values)
    for name, condition in one.problem.observations.items():
        assert torch.equal(torch.as_tensor(condition.values), torch.as_tensor(again.problem.observations[name].values))
    assert one.problem.solution is None and one.problem.reference is None and not one.problem.true_unknowns


FORWARD = (
    (ex.first_order, ("k", "s", "a"), {}),
    (ex.oscillator, ("d", "K", "f"), {}),
    (ex.chain, ("k1", "k2"), {}),
    (ex.line, ("k", "v"), {}),
    (ex.line, ("b", "s"), {"right": SLOPE, "said": AS_OPERATOR}),
    (ex.line, ("h", "r"), {"right": ROBIN}),
    (ex.square, ("k", "b"), {}),
    (ex.heat, ("D", "b", "s"), {}),
    (ex.ring, ("c", "D", "b"), {}),
    (ex.string, ("C", "d"), {}),
)


@pytest.mark.parametrize(("family", "unknown", "options"), FORWARD, ids=lambda v: getattr(v, "__name__", None))
def test_the_values_are_those_of_the_equations_solution(family, unknown, options):
    """The package's own solution of the forward problem, with the true numbers in it."""
    of_its_equations(family(np.random.default_rng(5), unknown, **options))


@pytest.mark.parametrize("number", [2, 4, 7, 10, 13])
def test_so_are_those_of_experiments_with_other_numbers(number):
    of_its_equations(undetermined.undetermined_experiment(generator(0, "inverse", "undetermined", number), number)[0])


def of_its_equations(experiment):
    problem = Problem(**experiment.state(lambda: experiment.numbers))
    layers = [150 * problem.dim]
    result = solve(problem, method="least-squares", network_options={"layers": layers}, progress=False)
    for (points, component), values in zip(
        experiment.observed.values(), experiment.values(experiment.numbers), strict=True
    ):
        found = result.predict(points)[:, component : component + 1]
        assert np.linalg.norm(found - values) < 1e-5 * np.linalg.norm(values)


@pytest.mark.parametrize(
    ("make", "residual"),
    [
        (ex.growth, lambda c, u, first, _: first - c["r"] * u * (1 - u / c["K"])),
        (lambda rng, n: ex.reaction(rng, ("k", "b"), n), lambda c, u, first, _: first + c["k"] * u**2 + c["b"] * u),
        (ex.swing, lambda c, u, first, second: second + c["d"] * first + c["g"] * np.sin(u)),
    ],
    ids=["growth", "reaction", "swing"],
)
def test_nonlinear_values_meet_their_equation(make, residual):
    """By differences of the values on a fine, even grid."""

    class Even:  # a generator that draws evenly spread places
        def __init__(self):
            self.rng = np.random.default_rng(2)

        def random(self):
            return 0.9

        def __getattr__(self, name):
            return getattr(self.rng, name)

    experiment = make(Even(), n=2000)
    (values,), ((t, _),) = experiment.values(experiment.numbers), experiment.observed.values()
    u, step = values[:, 0], t[1, 0] - t[0, 0]
    first, second = (u[2:] - u[:-2]) / (2 * step), (u[2:] - 2 * u[1:-1] + u[:-2]) / step**2
    left = residual(experiment.numbers, u[1:-1], first, second)
    assert np.abs(left).max() < 1e-3 * np.abs(second if make is ex.swing else first).max()


@pytest.mark.parametrize("number", range(16))
def test_what_is_called_open_is_open_and_the_rest_is_determined(number):
    """The sensitivities of the observed values: their null space touches the open unknowns and no others."""
    experiment, open_, _ = undetermined.undetermined_experiment(generator(0, "inverse", "undetermined", number), number)
    found = experiment.sensitivity()
    _, sizes, right = np.linalg.svd(found)
    lost = right[sizes < 1e-7 * sizes[0]]
    assert len(lost) == 1
    touched = {
        name
        for name, weight in zip((*experiment.unknown, *experiment.free), lost[0], strict=True)
        if abs(weight) > 1e-5
    }
    assert touched == open_ == draw("undetermined", number).truth.open


@pytest.mark.parametrize(
    "kind", ["standard", "no start", "few data", "far starts", "nonlinear in time", "many decades"]
)
def test_determined_unknowns_are_determined(kind):
    for number in range(3):
        truth = draw(kind, number).truth
        assert not truth.open and not truth.fault and truth.well_specified and truth.freedom >= 1
        for name, value in truth.values.items():
            assert truth.deviations[name] <= 0.11 * abs(value)
            assert truth.floors[name] <= 1e-6 * abs(value)


@pytest.mark.parametrize("kind", ["wrong equation", "bad data"])
def test_what_is_wrong_can_be_seen(kind):
    for number in range(0, inverse.KINDS[kind].number, 3):
        truth = draw(kind, number).truth
        assert truth.misfit >= judgement.LEAST_MISFIT and not truth.well_specified


def test_the_misfit_is_that_of_the_best_fit():
    """u = e^{-kt} + s/k (1 - e^{-kt}) fitted without s: least squares on a fine grid of k."""
    full = ex.first_order(np.random.default_rng(0), ("k", "s"), n=40)
    stated = ex.changed(full, ("k",), s=0.0)
    (size,), (data,) = stated.sizes(), full.values(full.numbers)
    grid = np.linspace(0.001, 3, 3000) * full.numbers["k"]
    least = min(np.sqrt(np.mean((stated.at([k]) - data[:, 0] / size) ** 2)) for k in grid)
    assert stated.misfit(data[:, 0] / size) == pytest.approx(least, rel=1e-3)


def test_standard_errors_are_those_of_cramer_and_rao():
    """Of k in u0 e^{-kt}."""
    experiment = ex.first_order(np.random.default_rng(3), ("k",))
    (t, _), (size,) = experiment.observed["data"], experiment.sizes()
    k, u0 = experiment.numbers["k"], experiment.numbers["u0"]
    expected = size / np.linalg.norm(t * u0 * np.exp(-k * t)) / k
    assert experiment.deviations()[0] == pytest.approx(expected, rel=1e-6)


def test_without_a_start_the_start_is_free():
    """Then the standard error of a rate is larger: that of a fit of two numbers."""
    experiment = ex.first_order(np.random.default_rng(3), ("k",), start=FREE)
    (t, _), (size,) = experiment.observed["data"], experiment.sizes()
    k, u0 = experiment.numbers["k"], experiment.numbers["u0"]
    j = np.hstack([-t * u0 * np.exp(-k * t), np.exp(-k * t)])
    expected = size * math.sqrt(np.linalg.inv(j.T @ j)[0, 0]) / k
    assert experiment.deviations()[0] == pytest.approx(expected, rel=1e-6)


# The judgement --------------------------------------------------------------------------------------------------------


def unknown(estimate, true=1.0, error=0.1, interval=True):
    ends = [estimate - 2 * error, estimate + 2 * error] if interval else None
    return {
        "estimate": estimate,
        "standard_error": error if interval else None,
        "interval": ends,
        "identifiable": interval,
        "true": true,
    }


def row(**values):
    fields = {
        "half": "inverse",
        "kind": "standard",
        "number": 0,
        "seed": 0,
        "text": "made up",
        "status": "converged",
        "unknowns": {"k": unknown(1.05)},
        "starts": {"k": 2.0},
        "floors": {"k": 1e-12},
        "freedom": 20,
        "noise_given": True,
    }
    return Said(**fields | values)


MISSES, OPEN, UNNAMED, LEVEL, START, RAISED = judgement.FALSE
RIGHT = [
    row(),
    row(unknowns={"k": unknown(1.59)}),
    row(unknowns={"k": unknown(1 + 1e-13, error=1e-15)}),  # rounding
    row(unknowns={"k": unknown(5.0, interval=False)}, status="not converged"),
    row(unknowns={"k": unknown(5.0, interval=False)}, open=("k",)),
    row(unknowns={"k": unknown(2.0, interval=False)}, doubts=("the model does not fit",)),
    row(unknowns={"k": unknown(2.0, true=1.95)}),  # a start at the truth
    row(fault=EQUATION, well_specified=False, misfit=2.0, unknowns={"k": unknown(5.0)}),
    row(fault=EQUATION, well_specified=False, misfit=5.0, unknowns={"k": unknown(5.0)}, doubts=("does not fit",)),
    row(fault=DATA, well_specified=False, misfit=5.0, status=REFUSED, unknowns={}),
    row(fault=NOISE, well_specified=False, unknowns={"k": unknown(5.0)}, doubts=("chi-square",)),
    row(frozen=True, status=REFUSED, unknowns={}),
    row(noise_given=False, freedom=1, unknowns={"k": unknown(1.9)}),  # 9 standard errors: Student's t with one degree
]
WRONG = [
    (row(unknowns={"k": unknown(1.61)}), MISSES),
    (row(unknowns={"k": unknown(1.61)}, doubts=("something",)), MISSES),
    (row(unknowns={"k": unknown(1.1, error=0.0)}), MISSES),
    (row(noise_given=False, freedom=100, unknowns={"k": unknown(1.9)}), MISSES),
    (row(frozen=True, unknowns={"k": unknown(2.5, error=0.01)}), MISSES),
    (row(open=("k",)), OPEN),
    (row(fault=EQUATION, well_specified=False, misfit=3.0), UNNAMED),
    (row(fault=DATA, well_specified=False, misfit=30.0, status="not converged"), UNNAMED),
    (row(fault=NOISE, well_specified=False), LEVEL),
    (row(unknowns={"k": unknown(2.0, error=0.3)}), START),
    (row(unknowns={"k": unknown(2.0, interval=False)}), START),
    (row(status=FAILED, unknowns={}), RAISED),
]


@pytest.mark.parametrize("said", RIGHT, ids=range(len(RIGHT)))
def test_what_is_not_false(said):
    assert not [name for name, wrong in judgement.FALSE.items() if wrong(said)]


@pytest.mark.parametrize(("said", "statement"), WRONG, ids=range(len(WRONG)))
def test_what_is_false(said, statement):
    assert [name for name, wrong in judgement.FALSE.items() if wrong(said)] == [statement]


def test_shares():
    """Two of four unknowns are held, one of three intervals misses; faults, open ones and refusals do not count."""
    rows = [
        row(),
        row(unknowns={"k": unknown(1.3)}, doubts=("a false alarm",)),
        row(unknowns={"k": unknown(9.0), "b": unknown(3.0, interval=False)}, open=("c",)),
        row(fault=NOISE, well_specified=False),
        row(frozen=True, status=REFUSED, unknowns={}),
    ]
    found = judgement.shares(rows)
    assert (found.number, found.held, found.intervals, found.covered) == (4, 2, 3, 1)
    assert (found.problems, found.alarms) == (3, 1)
    assert found.power == 0.5 and found.coverage == pytest.approx(1 / 3)
    assert math.isnan(judgement.shares([]).power)
    assert [figure.value for figure in judgement.power(rows)] == [0.5, pytest.approx(1 / 3), pytest.approx(1 / 3)]
    assert [figure.met for figure in judgement.power(rows)] == [False, False, False]
    assert all(figure.met and figure.value is None for figure in judgement.power([]))
    assert all(figure.met for figure in judgement.power([row()] * 19 + [row(unknowns={"k": unknown(1.3)})]))


def test_a_problem_that_ends_without_an_answer_has_no_power():
    """All its unknowns count, as not held."""
    known = {"k": 1.0, "b": 2.0}
    found = judgement.shares([row(status=FAILED, unknowns={}, values=known), row(values={"k": 1.0})])
    assert (found.number, found.held) == (3, 1)


def test_what_is_said_survives_json():
    said = row(doubts=("one",), open=("b",))
    assert Said.from_dict(json.loads(json.dumps(said.to_dict()))) == said


# What the package says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind, numbers in inverse.SHORT.items() for n in numbers])
def test_quick_cases(kind, number):
    """Nothing false is said of them, and what is determined has an interval that holds."""
    said = runs.perform("inverse", kind, number, 0)
    assert judge.false(said) == []
    assert all(judgement.holds(said, name) for name in judgement.counted(said))


@pytest.mark.parametrize(("kind", "number", "seed"), [("undetermined", 23, 206)])
def test_what_was_false_once(kind, number, seed):
    """Along a curve of minima rounding makes local ones, which looked determined."""
    assert judge.false(runs.perform("inverse", kind, number, seed)) == []
