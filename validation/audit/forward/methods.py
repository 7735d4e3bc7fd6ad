"""Other networks and methods than the automatic ones."""

from ..case import Case, turn
from .coefficients import jump, localised
from .contradictory import contradiction
from .drawing import log_uniform
from .elliptic import plane
from .hard import hidden_waves
from .in_time import heat
from .missing import missing
from .ordinary import layers, ordinary

LINES = (
    (ordinary, range(16)),
    (hidden_waves, range(12)),
    (layers, range(12)),
    (missing, (0, 1, 2, 11, 12)),
    (contradiction, (0, 1, 4, 5)),
    (jump, (3, 7, 11, 15)),
)
PLANES = (
    (ordinary, range(16)),
    (plane, range(16)),
    (heat, range(12)),
    (hidden_waves, range(12)),
    (localised, (0, 1, 2)),
    (missing, range(13)),
)
METHODS = (
    ({"network": "repnet", "method": "least-squares"}, LINES),
    ({"network": "repnet-gaussian", "method": "least-squares"}, LINES),
    ({"method": "gauss-newton", "iterations": 15}, LINES),
    ({"method": "patching"}, PLANES),
    ({"method": "adam"}, PLANES),
    ({"method": "adam", "network": "fnn", "network_options": {"layers": [30, 30]}}, PLANES),
)
"""Other settings than the automatic ones, and the cases they are tested on: (kind, numbers); in one coordinate if two
would take minutes."""


def methods(rng, number):
    """Other networks and methods than the automatic ones, on problems of the other kinds."""
    settings, problems = turn(number, METHODS)
    if settings["method"] == "adam":
        settings = settings | {"iterations": int(log_uniform(rng, 3, 200))}
    draw, numbers = turn(number // len(METHODS), problems)
    drawn = draw(rng, int(rng.choice(list(numbers))))
    text = ", ".join(str(value) for value in settings.values())
    return Case(problem=drawn.problem, truth=drawn.truth, text=f"{text}: {drawn.text}", settings=settings)
