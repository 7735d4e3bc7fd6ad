"""From an experiment to a problem as a user states it: data with noise, start values, and the separate truth."""

import functools
import math
from collections.abc import Callable, Mapping

import deepxde as dde
import numpy as np

from ....problem.problem import Problem
from ..case import Case
from .experiments import Experiment, log_uniform
from .truth import NOISE, Truth

DETERMINED = 0.1
"""Largest relative standard error (Cramer-Rao bound) of an unknown that counts as identifiable."""
NOISES = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1)


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
    if fault in ("", NOISE):
        noise = _determining(experiment, noise, open_)
    deviations = {name: noise * size for name, size in zip(experiment.observed, experiment.sizes(), strict=True)}
    observed = _observed(rng, experiment, deviations, data, rows)
    starts = {name: value * log_uniform(rng, *factors) for name, value in experiment.truth.items()}
    variables = {name: dde.Variable(start) for name, start in starts.items()}
    fields = experiment.state(lambda: {**experiment.numbers, **variables})
    fields |= {"conditions": fields["conditions"] | observed, "unknowns": variables}
    settings = {}
    if given is not None and noise > 0:
        stated = {name: given * deviation for name, deviation in deviations.items()}
        settings["noise"] = stated[next(iter(stated))] if len(stated) == 1 else stated
    if positive:
        settings["positive"] = list(experiment.unknown)
    truth = Truth(
        **_errors(experiment, noise, open_),
        values=experiment.truth,
        open=open_,
        well_specified=not fault,
        misfit=misfit,
        fault=fault,
        frozen=frozen,
        noise=deviations,
        freedom=experiment.count - len(experiment.unknown) - len(experiment.free),
        starts=starts,
    )
    said = "estimated" if "noise" not in settings else f"stated {given:g} times"
    started = ", ".join(f"{n} {experiment.numbers[n]:.3g} from {starts[n]:.3g}" for n in starts)
    described = f"{text}: {started}; {experiment.count} data, noise {noise:.1e} {said}" + ", positive" * positive
    problem = functools.partial(Problem, **fields)  # which may be refused where an unknown is frozen
    return Case(problem=problem if frozen else problem(), truth=truth, text=described, settings=settings)


def _determining(experiment: Experiment, noise: float, open_: frozenset[str]) -> float:
    """The relative noise, lowered to where the unknowns are determined by `DETERMINED`."""
    determined = [d for n, d in zip(experiment.unknown, experiment.deviations(), strict=True) if n not in open_]
    if noise * max(determined, default=0.0) > DETERMINED:
        return DETERMINED / max(determined)
    return noise


def _observed(
    rng, experiment: Experiment, deviations: Mapping[str, float], data, rows
) -> dict[str, dde.icbc.PointSetBC]:
    """The observations with noise of these standard deviations; ``data`` and ``rows`` as in `posed`."""
    exact = data or dict(zip(experiment.observed, experiment.values(experiment.numbers), strict=True))
    found = {}
    for name, (points, component) in experiment.observed.items():
        values = exact[name] + deviations[name] * rng.standard_normal(exact[name].shape)
        if rows is not None:
            points, values = rows(points, values)
        found[name] = dde.icbc.PointSetBC(points, values, component=component)
    return found


def _errors(experiment: Experiment, noise: float, open_: frozenset[str]) -> dict[str, dict[str, float]]:
    """The ``deviations`` and ``floors`` of a `Truth`."""
    sizes = {name: abs(experiment.numbers[name]) for name in experiment.unknown}
    deviations = dict(zip(sizes, experiment.deviations(), strict=True))
    floors = dict(zip(sizes, experiment.floors(), strict=True))
    return {
        "deviations": {n: math.inf if n in open_ else float(deviations[n] * noise * sizes[n]) for n in sizes},
        "floors": {n: float(floors[n] * sizes[n]) for n in sizes},
    }


def some_noise(rng) -> float:
    return float(rng.choice(NOISES))


def given_or_not(rng) -> float | None:
    return 1.0 if rng.random() < 0.5 else None
