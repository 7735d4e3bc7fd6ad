"""The kind whose unknowns are not identifiable from the data."""

import math
from dataclasses import replace

from ..case import Case, turn
from . import experiments as ex
from .experiments import FREE, ROBIN, Experiment, changed, composed, log_uniform
from .posing import drawn, given_or_not, posed


def undetermined_experiment(rng, number: int) -> tuple[Experiment, frozenset[str], str]:
    """The experiment, the names that are not identifiable, and its description."""

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
    """Unknowns that are not identifiable: pairs that enter only as one combination, and unknowns without effect on the
    data."""
    experiment, open_, text = undetermined_experiment(rng, number)
    noise = float(rng.choice([0.0, 1e-3, 1e-2, 3e-2]))
    return posed(rng, experiment, noise=noise, given=given_or_not(rng), open_=open_, text=text)


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


def two(rng, experiment: Experiment, name: str, of: str, keep: tuple[str, ...] = ()) -> Experiment:
    """With a and b instead of one number, of which only the product, ratio or sum enters."""
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


def one_free_mode(rng) -> Experiment:
    """One mode of heat conduction from a start that is not stated."""
    found = ex.heat(rng, ("D", "b"), n=200, start=FREE)
    return changed(replace(found, free=("g1",)), g2=0.0, g3=0.0, g4=0.0)
