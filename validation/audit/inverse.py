"""Inverse problems whose unknowns are known, and whether what `identify` says of them is true.

What is drawn is an `Experiment`, noise and start values. What is true follows from the experiment alone: which unknowns
are determined, how well (Cramer and Rao), and by how much the best fit misses the data where the equation or the data
are wrong. `judge` counts what was said falsely.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import deepxde as dde
import numpy as np
from scipy import stats

from ...problem.problem import Problem
from ...running.result import plain
from . import experiments as ex
from .case import FAILED, HUGE, LATE, REFUSED, Case, Figure, Kind, Outcome, Unknowns
from .experiments import AS_OPERATOR, CACHED, FREE, ROBIN, SLOPE, VALUE, Experiment, composed, log_uniform

NOISE, EQUATION, DATA = "noise level", "equation", "data"
"""What is wrong with a problem: the noise given, its equation, some of its data."""
SIX = 6.0
"""Standard errors beyond which an interval misses, as a probability where the noise was estimated."""
LEAST_MISFIT = 3.0
"""Standard deviations of the noise from which a wrong equation has to be named."""
STUCK = 1e-3
"""Relative distance from the start at which an unknown counts as not moved."""
DETERMINED = 0.1
"""Largest relative standard error, by Cramer and Rao, of an unknown that counts as determined."""
NOISES = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1)
POWER, MOST_FALSE_ALARMS = 0.8, 0.1
COVERAGE = (0.88, 0.99)
"""Of the 95 % intervals: what a sample of some 150 of them may show."""


@dataclass(frozen=True, kw_only=True)
class Truth(Unknowns):
    """What is true of an inverse problem, with what the judgement needs.

    Attributes:
        fault: `NOISE`, `EQUATION`, `DATA` or "" where nothing is wrong.
        frozen: an unknown stands where DeepXDE evaluates it once only: the problem may be refused.
        noise: true standard deviation, by observation.
        deviations: name -> standard error by Cramer and Rao with the true noise; infinite where it is not determined.
        floors: name -> error that the rounding of the data explains.
        freedom: data less unknowns and what else is free.
        starts: name -> value at which it starts.
    """

    fault: str = ""
    frozen: bool = False
    noise: Mapping[str, float]
    deviations: Mapping[str, float]
    floors: Mapping[str, float]
    freedom: int
    starts: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Said(Outcome):
    """An `Outcome` of an inverse problem, with the truth that the judgement needs.

    Attributes:
        values, fault, frozen, floors, freedom: as in `Truth`.
        starts: name -> value at which the unknown started.
        noise_given: to `identify`.
        doubts: what was said against data, noise, equation or estimates.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""
    frozen: bool = False
    floors: Mapping[str, float] = field(default_factory=dict)
    freedom: int = 0
    starts: Mapping[str, float] = field(default_factory=dict)
    noise_given: bool = False
    doubts: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, row: Mapping) -> "Said":
        found = super().from_dict(row)
        return replace(found, doubts=tuple(found.doubts))


def doubts(result) -> tuple[str, ...]:
    """What a `Result` says against the data, the noise, the equation or the estimates of unknowns."""
    found = result.identification
    if found is None:
        return ()
    said = [*getattr(found, "doubts", ()), *getattr(found, "remarks", ())]
    if not hasattr(found, "remarks"):
        about = tuple(f"{name}: " for name in result.problem.observations)
        said += [note for note in found.notes if note.startswith(about)]
        if found.dof > 1 and not 0.5 < found.chi_square < 2:
            said.append(f"mean square ratio {found.chi_square:.2g}")
    return tuple(said)


def of_case(case: Case) -> dict:
    """What of the truth a `Said` has."""
    truth = case.truth
    return {
        "values": dict(truth.values),
        "fault": truth.fault,
        "frozen": truth.frozen,
        "floors": dict(truth.floors),
        "freedom": truth.freedom,
        "starts": dict(truth.starts),
        "noise_given": "noise" in case.settings,
        "open": tuple(sorted(truth.open)),
        "well_specified": truth.well_specified,
        "misfit": truth.misfit,
    }


def of_result(result, case: Case) -> dict:
    """What was said, beside what is true."""
    true = case.truth.values
    unknowns = {
        name: {
            "estimate": found.value,
            "standard_error": found.standard_error,
            "interval": None if found.interval is None else list(found.interval),
            "identifiable": found.identifiable,
            "true": true[name],
        }
        for name, found in result.estimates.items()
    }
    return plain({"unknowns": unknowns}) | {"doubts": doubts(result)}


# Judgement ------------------------------------------------------------------------------------------------------------


def distance(row: Said, name: str) -> float:
    """Of an estimate from the truth, in standard errors; 0 where the rounding of the data explains it.

    Where the noise was estimated, few data make errors that Student's distribution has and the normal one has not: then
    the number of standard errors of a normal distribution that are as improbable.
    """
    found = row.unknowns[name]
    error = abs(found["estimate"] - found["true"])
    if error <= row.floors.get(name, 0.0):
        return 0.0
    if not found["standard_error"]:
        return math.inf
    z = error / found["standard_error"]
    if row.noise_given:
        return z
    return float(stats.norm.isf(stats.t.sf(z, max(row.freedom, 1))))


def has_interval(row: Said, name: str) -> bool:
    return row.unknowns.get(name, {}).get("interval") is not None


def counted(row: Said) -> list[str]:
    """Unknowns whose intervals have to hold: determined, of a problem in which nothing is wrong.

    A problem with a frozen unknown may be refused.
    """
    if not row.well_specified or row.fault or (row.frozen and row.status == REFUSED):
        return []
    return [name for name in {**row.values, **row.unknowns} if name not in row.open]


def misses(row: Said) -> list[str]:
    """Unknowns whose interval misses the truth by more than six standard errors."""
    return [n for n in counted(row) if has_interval(row, n) and distance(row, n) > SIX]


def open_called_identifiable(row: Said) -> list[str]:
    """Unknowns that the data do not determine, with an interval."""
    return [n for n in row.open if has_interval(row, n)]


def named(row: Said) -> bool:
    """Whether something was said against data, noise or equation, or nothing was stated."""
    if row.status in (REFUSED, FAILED, LATE) or row.doubts:
        return True
    return row.status != "converged" and not any(has_interval(row, n) for n in row.unknowns)


def wrong_not_named(row: Said) -> bool:
    """A wrong equation, or wrong data, without a word."""
    return row.fault in (EQUATION, DATA) and row.misfit >= LEAST_MISFIT and not named(row)


def noise_not_named(row: Said) -> bool:
    """A noise level that is wrong by a factor of ten or more without a word."""
    return row.fault == NOISE and not named(row)


def stuck(row: Said) -> list[str]:
    """Determined unknowns that stand at their start, far from the truth, while something else is said.

    They have an interval, or the whole is "converged" without a doubt.
    """
    found = []
    for name, value in row.unknowns.items():
        if name in row.open or row.fault:
            continue
        start, true, estimate = row.starts[name], value["true"], value["estimate"]
        moved = abs(estimate - start) > STUCK * max(abs(start), 1e-300)
        if moved or abs(start - true) < 0.2 * abs(true):
            continue
        if has_interval(row, name) or (row.status == "converged" and not row.doubts):
            found.append(name)
    return found


FALSE: dict[str, Callable[[Said], object]] = {
    "95 % intervals that miss by more than six standard errors": misses,
    "not determined, but called identifiable": open_called_identifiable,
    "wrong equation or data, not named": wrong_not_named,
    "wrong noise level, not named": noise_not_named,
    "an estimate at its start": stuck,
    "raised what is no message of the package": lambda row: row.status == FAILED,
}
"""What must not be said: statement -> function of a `Said` that is true (or not empty) where it was said."""


@dataclass(frozen=True)
class Shares:
    """Of the unknowns that are determined, in problems in which nothing is wrong.

    Attributes:
        number: of them.
        held: have an interval that covers the truth within six standard errors.
        intervals: have an interval that is wider than the rounding of the data explains.
        covered: of these, in which it contains the truth.
        problems: such problems.
        alarms: of these, in which something was said against data, noise or equation.
    """

    number: int
    held: int
    intervals: int
    covered: int
    problems: int
    alarms: int

    @property
    def power(self) -> float:
        return self.held / self.number if self.number else math.nan

    @property
    def coverage(self) -> float:
        return self.covered / self.intervals if self.intervals else math.nan

    @property
    def false_alarms(self) -> float:
        return self.alarms / self.problems if self.problems else math.nan


def holds(row: Said, name: str) -> bool:
    """Whether an unknown has an interval that covers the truth within six standard errors."""
    return has_interval(row, name) and distance(row, name) <= SIX


def shares(rows: Sequence[Said]) -> Shares:
    """The `Shares` of these."""
    number = held = intervals = covered = problems = alarms = 0
    for row in rows:
        names = counted(row)
        problems += bool(names)
        alarms += bool(names and row.doubts)
        number += len(names)
        for name in names:
            if has_interval(row, name):
                low, high = row.unknowns[name]["interval"]
                true, floor = row.unknowns[name]["true"], row.floors.get(name, 0.0)
                held += holds(row, name)
                if high - low > 2 * floor:
                    intervals += 1
                    covered += low <= true <= high
    return Shares(number, held, intervals, covered, problems, alarms)


def power(rows: Sequence[Said]) -> list[Figure]:
    """That true statements are made, too."""
    found = shares(rows)
    silent = tuple(row for row in rows if any(not holds(row, name) for name in counted(row)))
    alarmed = tuple(row for row in rows if counted(row) and row.doubts)

    def figure(name, value, met, bound, offenders=()):
        value = None if math.isnan(value) else value
        met = value is None or met
        return Figure(name, value, bound, met, () if met else offenders)

    return [
        figure(
            f"of determined unknowns, share with an interval that holds within {SIX:g} standard errors",
            found.power,
            found.power >= POWER,
            f"at least {POWER:g}",
            silent,
        ),
        figure(
            "coverage of 95 % intervals",
            found.coverage,
            COVERAGE[0] <= found.coverage <= COVERAGE[1],
            f"{COVERAGE[0]:g} to {COVERAGE[1]:g}",
        ),
        figure(
            "of problems in which nothing is wrong, share of which something was said to be",
            found.false_alarms,
            found.false_alarms <= MOST_FALSE_ALARMS,
            f"at most {MOST_FALSE_ALARMS:g}",
            alarmed,
        ),
    ]


# Drawing --------------------------------------------------------------------------------------------------------------


def drawn(rng, make: Callable[[], Experiment], open_=frozenset()) -> Experiment:
    """One whose data determine the unknowns: with noise of 1e-4 to a tenth at least."""
    for _ in range(50):
        experiment = make()
        if all(np.isfinite(v).all() for v in experiment.values(experiment.numbers)):
            determined = [d for n, d in zip(experiment.unknown, experiment.deviations(), strict=True) if n not in open_]
            if max(determined, default=0.0) * 1e-4 < DETERMINED:
                return experiment
    raise RuntimeError("no experiment whose data determine the unknowns in 50 draws")


def posed(
    rng,
    experiment: Experiment,
    *,
    noise: float,
    given: float | None = None,
    factors: tuple[float, float] = (0.5, 2.0),
    positive: bool = False,
    open_: frozenset[str] = frozenset(),
    fault: str = "",
    misfit: float | None = None,
    frozen: bool = False,
    data: Mapping[str, np.ndarray] | None = None,
    rows: Callable | None = None,
    text: str = "",
) -> Case:
    """The problem as a user states it, and its truth.

    Args:
        noise: relative to the size of each observation; lowered where an unknown would not be determined by a tenth.
        given: the noise that is stated, over the true one; None to have it estimated.
        factors: range of the start values over the true ones.
        positive: state that the unknowns are.
        open_: names that the data do not determine.
        fault, misfit, frozen: as in `Truth`.
        data: what is observed in place of the experiment's values, without noise.
        rows: function of (points, values) that spoils them, after the noise was added.
    """
    determined = [d for n, d in zip(experiment.unknown, experiment.deviations(), strict=True) if n not in open_]
    if fault in ("", NOISE) and noise * max(determined, default=0.0) > DETERMINED:
        noise = DETERMINED / max(determined)
    sizes = dict(zip(experiment.observed, experiment.sizes(), strict=True))
    exact = data or dict(zip(experiment.observed, experiment.values(experiment.numbers), strict=True))
    deviations = {name: noise * size for name, size in sizes.items()}
    conditions, stated = {}, {}
    for name, (points, component) in experiment.observed.items():
        values = exact[name] + deviations[name] * rng.standard_normal(exact[name].shape)
        if rows is not None:
            points, values = rows(points, values)
        conditions[name] = dde.icbc.PointSetBC(points, values, component=component)
        stated[name] = None if given is None else given * deviations[name]
    starts = {name: value * log_uniform(rng, *factors) for name, value in experiment.truth.items()}
    variables = {name: dde.Variable(start) for name, start in starts.items()}
    fields = experiment.state(lambda: {**experiment.numbers, **variables})
    fields |= {"conditions": fields["conditions"] | conditions, "unknowns": variables}
    settings = {}
    if given is not None and noise > 0:
        settings["noise"] = stated[next(iter(stated))] if len(stated) == 1 else stated
    if positive:
        settings["positive"] = list(experiment.unknown)
    truth = Truth(
        values=experiment.truth,
        open=open_,
        well_specified=not fault,
        misfit=misfit,
        fault=fault,
        frozen=frozen,
        noise=deviations,
        deviations={
            n: math.inf if n in open_ else float(d * noise * abs(experiment.numbers[n]))
            for n, d in zip(experiment.unknown, experiment.deviations(), strict=True)
        },
        floors={
            n: float(f * abs(experiment.numbers[n]))
            for n, f in zip(experiment.unknown, experiment.floors(), strict=True)
        },
        freedom=experiment.count - len(experiment.unknown) - len(experiment.free),
        starts=starts,
    )
    said = "estimated" if "noise" not in settings else f"stated {given:g} times"
    started = ", ".join(f"{n} {experiment.numbers[n]:.3g} from {starts[n]:.3g}" for n in starts)
    described = f"{text}: {started}; {experiment.count} data, noise {noise:.1e} {said}"
    problem = functools.partial(Problem, **fields)  # which may be refused where an unknown is frozen
    return Case(
        problem=problem if frozen else problem(),
        truth=truth,
        text=described + ", positive" * positive,
        settings=settings,
    )


def turn(number: int, menu: Sequence):
    """The menu in turn."""
    return menu[number % len(menu)]


def some_noise(rng) -> float:
    return float(rng.choice(NOISES))


def given_or_not(rng) -> float | None:
    return 1.0 if rng.random() < 0.5 else None


MENU: tuple[tuple[Callable, tuple[str, ...]], ...] = (
    (ex.first_order, ("k",)),
    (ex.heat, ("D",)),
    (ex.line, ("k",)),
    (ex.oscillator, ("d", "K")),
    (ex.ring, ("c",)),
    (ex.first_order, ("k", "s")),
    (ex.heat, ("D", "b")),
    (ex.line, ("k", "b")),
    (ex.chain, ("k1", "k2")),
    (ex.ring, ("c", "D")),
    (ex.square, ("k",)),
    (ex.first_order, ("k", "s", "a")),
    (ex.string, ("C",)),
    (ex.heat, ("D", "b", "s")),
    (ex.oscillator, ("K",)),
    (ex.ring, ("c", "D", "b")),
    (ex.square, ("k", "b")),
    (ex.line, ("v",)),
    (ex.string, ("C", "d")),
    (ex.oscillator, ("d", "K", "f")),
)


def standard(rng, number: int) -> Case:
    """One to three unknown numbers of a linear equation, all conditions stated."""
    family, unknown = turn(number, MENU)
    experiment = drawn(rng, lambda: family(rng, unknown))
    return posed(rng, experiment, noise=some_noise(rng), given=given_or_not(rng), text=f"{family.__name__}")


def no_start(rng, number: int) -> Case:
    """Without an initial condition, from many data; some starts at several times the truth."""
    family, unknown, n = turn(
        number,
        (
            (ex.first_order, ("k",), 40),
            (ex.heat, ("D", "b"), 400),
            (ex.ring, ("c", "D"), 200),
            (ex.oscillator, ("d", "K"), 60),
            (ex.heat, ("D",), 200),
            (ex.first_order, ("k", "s"), 60),
            (ex.ring, ("c",), 150),
            (ex.growth, ("r", "K"), 60),
            (ex.heat, ("D", "b"), 200),
        ),
    )
    factors = (0.5, 2.0) if number % 2 else (0.25, 4.0)
    if unknown == ("d", "K") or "c" in unknown:
        factors = (0.7, 1.5)
    noise = float(rng.choice([1e-3, 1e-2, 3e-2]))
    experiment = drawn(rng, lambda: family(rng, unknown, n=n, start=FREE))
    return posed(
        rng, experiment, noise=noise, given=given_or_not(rng), factors=factors, text=f"{family.__name__}, no start"
    )


def few(rng, number: int) -> Case:
    """As many data as unknowns, and one to eight more; the noise is stated, or there is none."""
    family, unknown = turn(number, [entry for entry in MENU if entry[0] is not ex.chain])
    n = len(unknown) + int(rng.integers(1, 9))
    exact = number % 5 == 4
    experiment = drawn(rng, lambda: family(rng, unknown, n=n))
    noise = 0.0 if exact else float(rng.choice(NOISES[1:]))
    given = None if exact or number % 7 == 3 else 1.0
    return posed(rng, experiment, noise=noise, given=given, text=f"{family.__name__}, few data")


def noise_level(rng, number: int) -> Case:
    """The noise is stated ten to a hundred times too small or too large."""
    family, unknown = turn(number, MENU)
    factor = turn(number, (0.1, 10.0, 0.03, 30.0, 0.01, 100.0, 0.1, 10.0))
    experiment = drawn(rng, lambda: family(rng, unknown, n=int(rng.integers(15, 40))))
    noise = float(rng.choice([1e-4, 1e-3, 1e-2, 3e-2]))
    return posed(rng, experiment, noise=noise, given=factor, fault=NOISE, text=f"{family.__name__}")


def far(rng, number: int) -> Case:
    """Starts a tenth to ten times the truth; a hundred times or more where unknowns are stated to be positive."""
    family, unknown = turn(
        number,
        (
            (ex.first_order, ("k",)),
            (ex.heat, ("D",)),
            (ex.reaction, ("k",)),
            (ex.line, ("k", "b")),
            (ex.first_order, ("k", "s")),
            (ex.chain, ("k1", "k2")),
            (ex.growth, ("r", "K")),
            (ex.heat, ("D", "b")),
            (ex.line, ("b",)),
        ),
    )
    level = turn(number // 2, (10.0, 100.0, 10.0, 1e4))
    factors = (1 / level, level)
    if number % 2:  # at an end of the range
        factors = (0.7 * level, level) if rng.random() < 0.5 else (1 / level, 1.4 / level)
    experiment = drawn(rng, lambda: family(rng, unknown))
    noise = float(rng.choice([0.0, 1e-3, 1e-2, 3e-2]))
    positive = level > 10 or rng.random() < 0.3
    return posed(
        rng, experiment, noise=noise, given=given_or_not(rng), factors=factors, positive=positive, text=family.__name__
    )


def late(rng, n: int = 20) -> Experiment:
    """u' + k u = s (t - T/2)³ after half of the time T, observed before."""
    experiment = ex.first_order(rng, ("k",), n=n, part=0.45)
    (points, _) = experiment.observed["data"]
    half = float(points.max()) * 1.1

    def state(get):
        fields = experiment.state(get)

        def pde(t, u):
            return fields["pde"](t, u) - get()["extra"] * ((t - half).clamp(min=0) / half) ** 3

        return fields | {"pde": pde}

    extra = experiment.numbers["k"] * experiment.numbers["u0"]
    return replace(experiment, numbers={**experiment.numbers, "extra": extra}, unknown=("k", "extra"), state=state)


def changed(experiment: Experiment, unknown=None, **numbers) -> Experiment:
    return replace(experiment, numbers={**experiment.numbers, **numbers}, unknown=unknown or experiment.unknown)


def two(rng, experiment: Experiment, name: str, of: str, keep: tuple[str, ...] = ()) -> Experiment:
    """With a and b in place of a number, of which only the product, ratio or sum enters."""
    total, share = experiment.numbers[name], rng.uniform(0.3, 0.7)
    rule, b = {
        "product": (lambda a, b: a * b, log_uniform(rng, 0.3, 3)),
        "ratio": (lambda a, b: a / b, log_uniform(rng, 0.3, 3)),
        "sum": (lambda a, b: a + b, share * total),
    }[of]
    a = {"product": total / b, "ratio": total * b, "sum": total - b}[of]

    def numbers(c):
        return {**{k: c[k] for k in keep}, name: rule(c["a_1"], c["b_1"])}

    kept = {k: experiment.numbers[k] for k in keep}
    return composed(experiment, numbers, {**kept, "a_1": a, "b_1": b}, ("a_1", "b_1", *keep))


def undetermined_experiment(rng, number: int) -> tuple[Experiment, frozenset[str], str]:
    """The experiment, the names that it leaves open, and what it is."""

    def one_mode():
        found = ex.line(rng, ("k", "b"))
        (points, _) = found.observed["data"]
        end = found.state(lambda: found.numbers)["geometry"].r
        return changed(found, w=math.pi / end, l=0.0, r=0.0)

    pair = frozenset({"a_1", "b_1"})
    menu = (
        ("product", lambda: two(rng, ex.first_order(rng, ("k",)), "k", "product"), pair),
        ("D and b of one mode", lambda: ex.heat(rng, ("D", "b"), modes=1), {"D", "b"}),
        ("only v/k", lambda: changed(ex.line(rng, ("k", "v")), a=0.0), {"k", "v"}),
        ("sum", lambda: two(rng, ex.first_order(rng, ("k",)), "k", "sum"), pair),
        ("only a/k", lambda: changed(ex.line(rng, ("k",)), ("k", "a")), {"k", "a"}),
        ("acts later", lambda: late(rng), {"extra"}),
        ("product beside s", lambda: two(rng, ex.first_order(rng, ("k", "s")), "k", "product", ("s",)), pair),
        ("k and b of one mode", one_mode, {"k", "b"}),
        ("k2 of what is not observed", lambda: ex.chain(rng, components=(0,)), {"k2"}),
        ("D and b of one mode, c beside", lambda: ex.ring(rng, ("c", "D", "b"), modes=1), {"D", "b"}),
        ("h and r of one end", lambda: ex.line(rng, ("h", "r"), right=ROBIN), {"h", "r"}),
        ("conductivity over capacity", lambda: two(rng, ex.heat(rng, ("D",)), "D", "ratio"), pair),
        ("ratio, nonlinear", lambda: two(rng, ex.reaction(rng), "k", "ratio"), pair),
        ("k and b of one mode in 2-D", lambda: ex.square(rng, ("k", "b"), modes=1), {"k", "b"}),
        ("product, nonlinear", lambda: two(rng, ex.growth(rng, ("r",)), "r", "product", ("K",)), pair),
        ("D and b of one mode, no start", lambda: one_free_mode(rng), {"D", "b"}),
    )
    text, make, names = turn(number, menu)
    open_ = frozenset(names)
    return drawn(rng, make, open_), open_, text


def undetermined(rng, number: int) -> Case:
    """Unknowns that the data leave open: pairs of which one combination enters, and what acts where nothing is seen."""
    experiment, open_, text = undetermined_experiment(rng, number)
    noise = float(rng.choice([0.0, 1e-3, 1e-2, 3e-2]))
    return posed(rng, experiment, noise=noise, given=given_or_not(rng), open_=open_, text=text)


def one_free_mode(rng) -> Experiment:
    """One mode of heat conduction from a start that is not stated."""
    found = ex.heat(rng, ("D", "b"), n=200, start=FREE)
    return changed(replace(found, free=("g1",)), g2=0.0, g3=0.0, g4=0.0)


def wrong_equation(rng, number: int) -> Case:
    """Data of an equation with one more term, which no values of the unknowns make up for."""
    family, unknown, extra, n = turn(
        number,
        (
            (ex.first_order, ("k",), "s", 60),
            (ex.heat, ("D",), "s", 200),
            (ex.line, ("k",), "b", 60),
            (ex.oscillator, ("d", "K"), "f", 80),
            (ex.first_order, ("k", "s"), "a", 60),
            (ex.ring, ("c",), "D", 200),
            (ex.swing, ("g",), "q", 60),
            (ex.heat, ("D", "b"), "s", 200),
            (ex.reaction, ("k",), "b", 60),
            (ex.line, ("k", "b"), "s", 60),
            (ex.square, ("k",), "b", 120),
        ),
    )
    estimated = number % 2 == 1
    for _ in range(50):
        full = family(rng, (*unknown, extra), n=n)
        if extra == "q":
            full = changed(full, q=float(rng.choice([-0.1, 0.2])) * full.numbers["g"])
        stated = changed(full, unknown, **{extra: 0.0})
        values = full.values(full.numbers)
        if not all(np.isfinite(v).all() for v in values):
            continue
        data = np.concatenate([v[:, 0] / s for v, s in zip(values, stated.sizes(), strict=True)])
        left = stated.misfit(data)
        target = log_uniform(rng, 5.0 if estimated else 4.0, 30.0)
        if 1e-4 < left / target < 0.1:
            break
    else:
        raise RuntimeError("no wrong equation with a misfit in 50 draws")
    return posed(
        rng,
        stated,
        noise=left / target,
        given=None if estimated else 1.0,
        fault=EQUATION,
        misfit=target,
        data=dict(zip(full.observed, values, strict=True)),
        text=f"{family.__name__} with {extra} in truth",
    )


def bad_data(rng, number: int) -> Case:
    """Outliers, repeated rows, rows in another unit, a sensor that is stuck or shifted."""
    family, unknown = turn(
        number,
        (
            (ex.first_order, ("k",)),
            (ex.heat, ("D",)),
            (ex.line, ("b",)),
            (ex.first_order, ("k", "s")),
            (ex.growth, ("r",)),
            (ex.oscillator, ("d", "K")),
        ),
    )
    what = turn(number, ("outlier", "rows twice", "unit", "unit of some", "ten equal rows", "stuck", "outliers"))
    n = int(rng.integers(30, 60))
    experiment = drawn(rng, lambda: family(rng, unknown, n=n))
    noise = float(rng.choice([1e-3, 3e-3, 1e-2]))
    given = given_or_not(rng)
    n, (size,) = experiment.count, experiment.sizes()
    chosen = rng.permutation(n)[: {"outlier": 1, "outliers": 3, "unit of some": n // 4}.get(what, 0)]
    shift = rng.uniform(30, 80, (len(chosen), 1)) * rng.choice([-1, 1], (len(chosen), 1)) * noise * size
    row = int(rng.integers(n))

    def rows(points, values):
        values = values.copy()
        if what == "unit":
            values *= 1000
        elif what == "unit of some":
            values[chosen] *= 1000
        elif what == "stuck":
            values[n // 2 :] = values[n // 2]
        elif what == "rows twice":
            points, values = np.repeat(points, 2, axis=0), np.repeat(values, 2, axis=0)
        elif what == "ten equal rows":
            points = np.vstack([points, np.repeat(points[row : row + 1], 9, axis=0)])
            values = np.vstack([values, np.repeat(values[row : row + 1], 9, axis=0)])
        else:
            values[chosen] += shift
        return points, values

    misfit = HUGE  # repeats: the residuals are as they should be, their number is not
    if what not in ("rows twice", "ten equal rows"):
        _, spoiled = rows(experiment.observed["data"][0], experiment.values(experiment.numbers)[0])
        scale = 1000.0 if what == "unit" and given is None else 1.0  # of the noise that the data show
        misfit = experiment.misfit(spoiled[:, 0] / size) / (noise * scale)
    return posed(
        rng,
        experiment,
        noise=noise,
        given=given,
        fault=DATA,
        misfit=misfit,
        rows=rows,
        text=f"{family.__name__}, {what}",
    )


def nonlinear(rng, number: int) -> Case:
    """Nonlinear in time: by shooting."""
    family, unknown = turn(
        number,
        (
            (ex.growth, ("r", "K")),
            (ex.predators, ("a", "b")),
            (ex.spreading, ("D",)),
            (ex.reaction, ("k", "b")),
            (ex.swing, ("g", "d")),
            (ex.growth, ("r", "K", "u0")),
            (ex.spreading, ("D", "r")),
            (ex.predators, ("a", "b", "d", "g")),
        ),
    )
    experiment = drawn(rng, lambda: family(rng, unknown))
    factors = (0.7, 1.5) if family in (ex.swing, ex.predators) else (0.5, 2.0)
    return posed(rng, experiment, noise=some_noise(rng), given=given_or_not(rng), factors=factors, text=family.__name__)


def in_a_condition(rng, number: int) -> Case:
    """The unknown is a value, a flux or a coefficient of a condition, or a source; some where DeepXDE freezes it."""
    menu = (
        (ex.line, ("r",), {"right": SLOPE}),
        (ex.line, ("r",), {"right": SLOPE, "said": CACHED}),
        (ex.first_order, ("u0",), {}),
        (ex.heat, ("D", "A"), {}),
        (ex.line, ("h",), {"right": ROBIN, "said": CACHED}),  # a RobinBC, which is not cached
        (ex.first_order, ("k", "u0"), {"start": CACHED}),
        (ex.line, ("k", "r"), {"right": SLOPE, "said": CACHED}),
        (ex.line, ("s",), {}),
        (ex.line, ("r",), {"right": VALUE, "said": CACHED}),
        (ex.heat, ("s",), {}),
        (ex.heat, ("A",), {"start": CACHED}),
        (ex.oscillator, ("K", "u0"), {}),
        (ex.line, ("k", "r"), {"right": VALUE, "said": AS_OPERATOR}),
        (ex.first_order, ("u0",), {"start": CACHED}),
        (ex.line, ("h", "b"), {"right": ROBIN}),
        (ex.first_order, ("k", "a", "u0"), {}),
    )
    family, unknown, options = turn(number, menu)
    frozen = CACHED in options.values() and options.get("right") != ROBIN
    experiment = drawn(rng, lambda: family(rng, unknown, **options))
    noise = float(rng.choice([1e-4, 1e-3, 1e-2, 3e-2]))
    text = f"{family.__name__}, {' and '.join(options.values()) or 'operator'}"
    return posed(rng, experiment, noise=noise, given=given_or_not(rng), frozen=frozen, text=text)


def decades(rng, number: int) -> Case:
    """Unknowns of sizes 1e-10 to 1e10, also beside each other."""
    family, unknown = turn(
        number,
        (
            (ex.first_order, ("k",)),
            (ex.heat, ("D", "b")),
            (ex.first_order, ("k", "s")),
            (ex.line, ("k", "b")),
            (ex.reaction, ("k",)),
            (ex.ring, ("c", "D")),
        ),
    )

    def make():
        plain = family(rng, unknown)
        units = {name: float(10.0 ** rng.choice([-10, -8, -5, 5, 8, 10])) for name in unknown}
        numbers = {**plain.numbers, **{n: plain.numbers[n] / u for n, u in units.items()}}
        return composed(plain, lambda c: {n: c[n] * u for n, u in units.items()}, numbers, unknown)

    experiment = drawn(rng, make)
    noise = float(rng.choice([0.0, 1e-3, 1e-2]))
    return posed(
        rng, experiment, noise=noise, given=given_or_not(rng), positive=rng.random() < 0.5, text=family.__name__
    )


KINDS = {
    "standard": Kind(standard, 22),
    "no start": Kind(no_start, 18),
    "few data": Kind(few, 18),
    "wrong noise level": Kind(noise_level, 16),
    "far starts": Kind(far, 18),
    "undetermined": Kind(undetermined, 24),
    "wrong equation": Kind(wrong_equation, 18),
    "bad data": Kind(bad_data, 20),
    "nonlinear in time": Kind(nonlinear, 16),
    "in a condition": Kind(in_a_condition, 18),
    "many decades": Kind(decades, 12),
}

SHORT: dict[str, tuple[int, ...]] = {
    "standard": (0, 3),
    "no start": (0,),
    "few data": (5,),
    "wrong noise level": (0, 5),
    "far starts": (9,),
    "undetermined": (0, 5),
    "wrong equation": (0,),
    "bad data": (0,),
    "in a condition": (0, 1),
    "many decades": (0,),
}
