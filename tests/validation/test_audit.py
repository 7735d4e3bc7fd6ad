"""The audit: its problems have the solutions that they say, its judge sees each false statement, and a short run."""

import json

import numpy as np
import pytest
import torch
from repnet_pde.validation.audit import __main__ as audit
from repnet_pde.validation.audit import forward, judge, runs, statements
from repnet_pde.validation.audit.case import FAILED, FORWARD, HUGE, LATE, REFUSED, Outcome
from repnet_pde.validation.audit.fields import amplification, antiderivative, array, waves
from repnet_pde.validation.audit.forward.contradictory import redundant
from repnet_pde.validation.audit.forward.drawing import log_uniform
from repnet_pde.validation.audit.forward.two_solutions import count_by_shooting

from repnet_pde import set_precision
from repnet_pde.backend import dde, quiet, seeded
from repnet_pde.checking.status import CONVERGED, NOT_CONVERGED, UNVERIFIED
from repnet_pde.problem import points
from repnet_pde.problem.residuals import residual_vectors

SEED = 7
NOT_EXACT = {("not_pointwise", "mean"), ("corner", "ends"), ("corner", "start")}
"""Terms that the truth meets in the limit of many points only, or not at a corner."""


def residuals(problem, function) -> dict[str, torch.Tensor]:
    with seeded(3), quiet():
        data = points.collocation(problem, few=200, distribution="pseudo")
    found = residual_vectors(data, function)
    dde.grad.clear()
    return dict(zip(problem.term_names, [v.detach() for v in found], strict=True))


def changed(problem, function):
    """Another function of the same size, that meets no condition."""
    box, c = problem.box, len(problem.outputs)
    wave = waves(np.random.default_rng(0), box.lower, box.upper, 3.0)

    def value(x):
        u = function(x)
        return u + u.detach().abs().max() * wave(x) * (1 + torch.arange(c))

    return value


@pytest.mark.parametrize("kind", forward.KINDS)
def test_what_is_true_solves_the_problem(kind):
    """The residuals of the exact solutions are rounding beside those of another function."""
    for number in range(min(6, forward.KINDS[kind].number)):
        made = runs.draw(FORWARD, kind, number, SEED)
        problem, truth = made.problem, made.truth
        assert problem.solution is None and problem.reference is None
        for function in (*truth.functions, *truth.witnesses):
            exact = residuals(problem, function)
            size = residuals(problem, changed(problem, function))
            for name in problem.term_names:
                if (kind, name) not in NOT_EXACT:
                    bound = 1e-9 * max(1.0, truth.condition or 1.0) if kind in ("far", "size") else 1e-9
                    assert exact[name].abs().max() <= bound * size[name].abs().max(), (number, name, made.text)
        if len(truth.functions + truth.witnesses) > 1:
            first, second = ((*truth.functions, *truth.witnesses)[i] for i in (0, 1))
            x = torch.as_tensor(points.scattered_points(problem, 200))
            assert (first(x) - second(x)).norm() > 1e-2 * second(x).norm(), (number, made.text)


def test_contradictions_are_no_rounding():
    """The function that the problem was made from misses one of its terms by far more than rounding."""
    for number in range(10):
        made = runs.draw(FORWARD, "contradiction", number, SEED)
        assert not made.truth.functions and made.truth.reason
        rng = runs.generator(SEED, FORWARD, "contradiction", number)
        off = log_uniform(rng, 1e-2, 1)
        problem, exact, _ = redundant(rng, number, off)
        assert off >= 1e-2
        assert max(v.abs().max().item() for v in residuals(problem, exact).values()) > 0.1 * off


def test_a_case_is_the_same_alone():
    """It depends on seed, kind and number only, and leaves the global generators alone."""
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for kind in ("plane", "missing", "two_solutions", "methods"):
        first = runs.draw(FORWARD, kind, 3, SEED)
        runs.draw(FORWARD, kind, 4, SEED)
        second, other = runs.draw(FORWARD, kind, 3, SEED), runs.draw(FORWARD, kind, 3, SEED + 1)
        assert (first.text, first.settings) == (second.text, second.settings)
        a, b, c = (
            residuals(made.problem, lambda x: torch.sin(x.sum(1, keepdim=True)) * torch.ones(3))
            for made in (first, second, other)
        )
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert set(a) != set(c) or any(a[n].shape != c[n].shape or not torch.equal(a[n], c[n]) for n in a)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_there_are_enough_cases():
    assert sum(kind.number for kind in forward.KINDS.values()) >= 300


def test_amplification_of_known_problems():
    """u'' = f: 1, since the largest change of u from a relative change of f is that of u; near a resonance 1/gap."""
    exact = lambda x: torch.sin(np.pi * x)  # noqa: E731
    zero, one = (lambda x: 0 * x), torch.ones_like
    ends = [(0.0, 0), (1.0, 0)]
    assert amplification([zero, zero, one], ends, exact, 0.0, 1.0) == pytest.approx(1.0, rel=1e-6)
    gap = 1e-3
    square = (1 - gap) * np.pi**2
    near = amplification([lambda x: square + 0 * x, zero, one], ends, exact, 0.0, 1.0)
    assert near == pytest.approx((2 - gap) / gap, rel=1e-2)
    growing = amplification([lambda x: -8 + 0 * x, one], [(0.0, 0)], lambda x: torch.exp(-8 * (1 - x)), 0.0, 1.0)
    assert growing > 1


def test_antiderivative():
    x = torch.linspace(0.2, 1.7, 50, dtype=torch.float64)[:, None].requires_grad_()
    f = antiderivative(lambda x: torch.exp(torch.sin(9 * x)) * torch.cos(9 * x), 0.2, 1.7)
    expected = (torch.exp(torch.sin(9 * x)) - np.exp(np.sin(1.8))) / 9
    assert torch.allclose(f(x), expected, rtol=0, atol=1e-13)
    (slope,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    (wanted,) = torch.autograd.grad((torch.exp(torch.sin(9 * x)) * torch.cos(9 * x)).sum(), x)
    assert torch.allclose(curvature, wanted)


def test_shooting_counts_solutions():
    """u'' + c u² = 0 with u = 0 at both ends: u = 0 and one large solution."""
    zero = lambda x: 0 * x  # noqa: E731
    for c in (1.0, -1.0):
        assert count_by_shooting(c, lambda x: [0 * x], zero) == 2
    assert count_by_shooting(1.0, lambda x: [0 * x + 30.0], zero) == 2
    assert count_by_shooting(1.0, lambda x: [0 * x - 100.0], zero) != 2


# The judge ------------------------------------------------------------------------------------------------------------


def outcome(**changes) -> Outcome:
    base = {"half": FORWARD, "kind": "made up", "number": 3, "seed": 5, "text": "text", "status": CONVERGED}
    return Outcome(**base | {"indicator": 1e-9, "error": 1e-9} | changes)


GOOD = (
    outcome(),
    outcome(error=2.9e-8),
    outcome(error=9e-13, indicator=1e-16),
    outcome(error=9e-10, indicator=1e-14, condition=1e3),
    outcome(status=NOT_CONVERGED, error=HUGE),
    outcome(status=NOT_CONVERGED, error=None, determined=False, indicator=None),
    outcome(status=UNVERIFIED, error=9e-3, indicator=None),
    outcome(status=UNVERIFIED, error=None, determined=False),
    outcome(status=REFUSED, error=None, indicator=None),
    outcome(status=LATE, error=None, indicator=None),
)
BAD = {
    statements.too_sure: (
        outcome(error=3.1e-8),
        outcome(error=2e-12, indicator=1e-16),
        outcome(error=2e-9, indicator=1e-14, condition=1e3),
        outcome(error=HUGE),
        outcome(error=1.4, indicator=5.5e-9),
        outcome(error=0.1, indicator=0.0),
    ),
    statements.small_but_wrong: (outcome(status=UNVERIFIED, error=0.011), outcome(status=UNVERIFIED, error=HUGE)),
    statements.nothing_to_converge_to: (outcome(error=None, determined=False),),
    statements.unindicated: (outcome(indicator=None, error=1e-14), outcome(indicator=1e-4)),
    statements.crashed: (outcome(status=FAILED, error=None, indicator=None),),
}


def test_what_is_true_is_not_held_against_it():
    for good in GOOD:
        assert not [wrong.__name__ for wrong in statements.FALSE.values() if wrong(good)], good
    assert all(figure.met for figure in judge.figures(GOOD))


@pytest.mark.parametrize("wrong", statements.FALSE.values(), ids=lambda f: f.__name__)
def test_each_false_statement_is_seen(wrong):
    """By its own figure and no other, and the report has the command that repeats it."""
    for bad in BAD[wrong]:
        assert [w for w in statements.FALSE.values() if w(bad)] == [wrong]
    found = {figure.name: figure for figure in judge.figures([*GOOD, *BAD[wrong]])}
    for name, function in statements.FALSE.items():
        assert found[name].met == (function is not wrong)
        assert found[name].value == (len(BAD[wrong]) if function is wrong else 0)
    text = judge.markdown([*GOOD, *BAD[wrong]], "command")
    half = BAD[wrong][0].half
    assert f"python -m repnet_pde.validation.audit --seed 5 --half {half} --only 'made up:3'" in text


def test_power_is_asked_for():
    """Four of five solved problems called converged are enough; ill-posed and unsolved ones do not count."""
    silent = outcome(status=UNVERIFIED, indicator=None)
    beside = [outcome(status=NOT_CONVERGED, error=1e-5), outcome(status=UNVERIFIED, well_posed=False)]
    *_, share, _ = judge.figures([outcome()] * 4 + [silent] + beside)
    assert share.met and share.value == pytest.approx(0.8)
    *_, share, _ = judge.figures([outcome()] * 3 + [silent] + beside)
    assert not share.met and share.offenders == (silent,)


def test_caution_is_measured():
    *_, ratio = judge.figures([outcome(indicator=9e-8), outcome(indicator=9e-8), outcome(indicator=9e-5)])
    assert ratio.met and ratio.value == pytest.approx(90)
    *_, ratio = judge.figures([outcome(indicator=2e-7), outcome(indicator=9e-5, error=1e-14), outcome()])
    assert not ratio.met and ratio.value == pytest.approx(200)
    *_, ratio = judge.figures([outcome(status=NOT_CONVERGED)])
    assert ratio.met and ratio.value is None


# The command ----------------------------------------------------------------------------------------------------------


def test_outcomes_are_stored(tmp_path):
    """Those of another version of the package, damaged ones and those of another case are not used."""
    store = runs.Store(tmp_path, "one")
    said = outcome(notes=("a", "b"), open=("k",), unknowns={"k": {"estimate": 1.0}}, source="one")
    assert store.read(said.key) is None
    store.write(said)
    again = store.read(said.key)
    assert again.notes == ("a", "b") and again.open == ("k",) and again.unknowns["k"]["estimate"] == 1.0
    assert runs.Store(tmp_path, "two").read(said.key) is None
    store.file(said.key).write_text("{")
    assert store.read(said.key) is None


def test_cases_are_chosen():
    assert audit.select((FORWARD,), "heat,wave", 2, False) == [
        (FORWARD, kind, number) for kind in ("heat", "wave") for number in (0, 1)
    ]
    few = audit.select((FORWARD,), "", None, True)
    assert {kind for _, kind, _ in few} <= set(forward.KINDS) and len(few) == len(set(few))
    with pytest.raises(audit.InputError, match="kinds: 'heet' is not known.*'heat'"):
        audit.select((FORWARD,), "heet", None, False)
    with pytest.raises(audit.InputError, match="only: 'heat' given"):
        audit.one((FORWARD,), "heat", 0)


def test_processes_that_take_too_long_are_ended():
    """And the others go on; a second call would do what is missing only."""
    keys = [(FORWARD, "layers", 0), (FORWARD, "oscillating", 0)]
    found = {o.kind: o for o in runs.carry_out(keys, SEED, jobs=1, limit=30.0, source="here")}
    assert found["layers"].status == CONVERGED and found["oscillating"].source == "here"
    (late,) = runs.carry_out([(FORWARD, "system", 4)], SEED, jobs=1, limit=1e-3)
    assert late.status == LATE and late.text


def solve_nothing(*_, **__):
    raise ZeroDivisionError("of no use")


def test_errors_are_outcomes(monkeypatch):
    monkeypatch.setattr(runs.repnet_pde, "solve", solve_nothing)
    said = runs.perform(FORWARD, "heat", 0, SEED)
    assert said.status == FAILED and "ZeroDivisionError: of no use" in said.reason
    assert json.dumps(runs.plain(said.to_dict()))


class Told:
    """A result whose network is another function."""

    def __init__(self, problem, function):
        self.problem, self.predict = problem, array(function)


def test_the_nearer_of_two_solutions_counts():
    made = runs.draw(FORWARD, "two_solutions", 0, SEED)
    low, high = made.truth.functions
    assert forward.distance(Told(made.problem, lambda x: 1.001 * high(x)), made.truth.functions) == pytest.approx(1e-3)
    assert forward.distance(Told(made.problem, lambda x: 1.01 * low(x)), made.truth.functions) == pytest.approx(1e-2)
    assert forward.distance(Told(made.problem, lambda x: low(x) * torch.nan), made.truth.functions) == HUGE
    assert forward.distance(Told(made.problem, low), ()) is None


CASES = audit.select((FORWARD,), "", None, True)


def test_short_audit():
    """A few quick cases of most kinds: nothing false is said, and what is solved is called so."""
    set_precision("float64")
    found = [runs.perform(*key, seed=0) for key in CASES]
    missed = [figure for figure in judge.figures(found) if not figure.met]
    assert not missed, judge.markdown(found, "python -m repnet_pde.validation.audit --seed 0 --short")
