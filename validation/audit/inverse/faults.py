"""Kinds in which something is wrong: the noise level, the equation, or some of the data."""

from collections.abc import Callable

import numpy as np

from ..case import HUGE, Case, turn
from . import experiments as ex
from .determined import MENU
from .experiments import changed, log_uniform
from .posing import drawn, given_or_not, posed
from .truth import DATA, EQUATION, NOISE


def noise_level(rng, number: int) -> Case:
    """The noise is stated ten to a hundred times too small or too large."""
    family, unknown = turn(number, MENU)
    factor = turn(number, (0.1, 10.0, 0.03, 30.0, 0.01, 100.0, 0.1, 10.0))
    experiment = drawn(rng, lambda: family(rng, unknown, n=int(rng.integers(15, 40))))
    noise = float(rng.choice([1e-4, 1e-3, 1e-2, 3e-2]))
    return posed(rng, experiment, noise=noise, given=factor, fault=NOISE, text=f"{family.__name__}")


def wrong_equation(rng, number: int) -> Case:
    """Data of an equation with one more term, which no values of the unknowns can compensate."""
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
    rows = _spoil(what, chosen, shift, row)
    misfit = HUGE  # repeats: the residuals are correct, their number is not
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


def _spoil(what: str, chosen: np.ndarray, shift: np.ndarray, row: int) -> Callable:
    """The function of (points, values) that spoils them: the ``chosen`` values are outliers, ``row`` is repeated."""

    def rows(points, values):
        values, n = values.copy(), len(values)
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

    return rows
