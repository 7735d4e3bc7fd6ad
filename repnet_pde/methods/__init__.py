"""Training methods: a short, open table.

A method is a class made as ``Method(objective, iterations, **options)`` with

- ``default_iterations``: class attribute;
- ``iteration``: how many of its iterations are done;
- ``step()``: do one or some more, leaving finite parameters;
- ``stopped``: None while it can go on, else why it has ended, in words;
- ``state_dict()``, ``load_state_dict(state)``: plain types and tensors that continue it to the last bit.

It may have

- ``twin_distance``: the relative L2 distance of an independent solution, or None;
- ``reached``: marching in time, the time up to which there is a solution;
- ``verifying``: whether the solution is there and only the independent one is not;
- ``standing``: how far it has got, in words, for the progress line.
"""

import inspect
from collections.abc import Mapping

from ..arguments import mapping, whole
from ..errors import InputError, choose
from .adam import Adam
from .gauss_newton import GaussNewton
from .joint import Joint
from .lbfgs import LBFGS
from .least_squares import LeastSquares
from .low_rank import LowRank
from .marching import Marching
from .patch_marching import PatchMarching
from .patching import Patching
from .quasi_newton import QuasiNewton
from .shooting import Shooting
from .soap import SOAP

METHODS = {
    "adam": Adam,
    "soap": SOAP,
    "lbfgs": LBFGS,
    "ssbroyden": QuasiNewton,
    "least-squares": LeastSquares,
    "marching": Marching,
    "patching": Patching,
    "patch-marching": PatchMarching,
    "low-rank": LowRank,
    "gauss-newton": GaussNewton,
    "joint": Joint,
    "shooting": Shooting,
}


def sequence(method: str, iterations=None, options=None) -> list[tuple[str, int, dict]]:
    """Split "adam+lbfgs" into its stages: (name, iterations, options) of each.

    Args:
        method: a name in `METHODS`, or several joined by "+".
        iterations: of each stage; a number for all of them, or a mapping name -> number; None takes the defaults.
        options: name of a method -> mapping of its own options, such as ``{"adam": {"learning_rate": 1e-4}}``.

    Raises:
        InputError: an unknown method or option, or a bad number.
    """
    if not isinstance(method, str):
        raise InputError(f'method: {method!r} given; "auto" or names joined by "+" of {", ".join(METHODS)} are needed')
    names = method.split("+")
    for name in names:
        choose("method", name, ("auto", *METHODS) if len(names) == 1 else METHODS)
    numbers = iterations if isinstance(iterations, Mapping) else dict.fromkeys(names, iterations)
    for name, value in numbers.items():
        choose("iterations", name, names)
        whole("iterations", value, 0)
    options = mapping("method_options", options)
    for name, chosen in options.items():
        choose("method_options", name, names)
        options[name] = chosen = mapping(f"method_options[{name!r}]", chosen)
        known = [p for p in inspect.signature(METHODS[name]).parameters if p not in ("objective", "iterations")]
        for key in chosen:
            choose(f"method_options[{name!r}]", key, known)
    stages = []
    for name in names:
        count = numbers.get(name)
        stages.append((name, METHODS[name].default_iterations if count is None else int(count), options.get(name, {})))
    return stages


__all__ = ["METHODS", "sequence"]
