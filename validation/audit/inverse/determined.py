"""Well-specified kinds in which all unknowns are identifiable from the data."""

from collections.abc import Callable

from ..case import Case, turn
from . import experiments as ex
from .experiments import AS_OPERATOR, CACHED, FREE, ROBIN, SLOPE, VALUE, composed
from .posing import NOISES, drawn, given_or_not, posed, some_noise

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
