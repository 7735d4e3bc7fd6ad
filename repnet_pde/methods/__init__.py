"""Training methods: the table. To add one: a file beside these with a `Method`, and a row in `METHODS`."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import mapping, whole
from ..errors import InputError, choose
from ..networks.registry import NETWORKS, check_network
from .adam import Adam
from .gauss_newton import GaussNewton
from .joint import Joint
from .lbfgs import LBFGS
from .least_squares import LeastSquares
from .low_rank import LowRank
from .marching import Marching
from .method import Method
from .patch_marching import PatchMarching
from .patching import Patching
from .quasi_newton import QuasiNewton
from .shooting import Shooting
from .soap import SOAP

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        LeastSquares,
        Patching,
        LowRank,
        Marching,
        PatchMarching,
        Joint,
        Shooting,
        GaussNewton,
        QuasiNewton,
        Adam,
        SOAP,
        LBFGS,
    )
}
"""Name -> `Method`."""


def sequence(
    method: str,
    iterations: int | Mapping[str, int] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[tuple[str, int, dict]]:
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
        for key in chosen:
            choose(f"method_options[{name!r}]", key, METHODS[name].options())
    stages = []
    for name in names:
        count = numbers.get(name)
        stages.append((name, METHODS[name].default_iterations if count is None else int(count), options.get(name, {})))
    return stages


def check_precision(stages: Sequence[tuple[str, int, dict]], dtype: str) -> None:
    """Raise `InputError` where a stage needs float64 and ``dtype`` is another."""
    for name, _, _ in stages:
        if METHODS[name].needs_float64 and dtype != "float64":
            raise InputError(f"dtype: {dtype!r} given, but {name} needs 'float64'")


def network_for(method: type[Method], network: Any, options: dict | None) -> tuple[str, dict]:
    """`check_network` with the defaults of the first ``method`` of a run, which must be one for that network."""
    if network is None or isinstance(network, str):
        name = network or method.network
        choose("network", name, NETWORKS)
        for piecewise in (key for key, entry in NETWORKS.items() if entry.pieces):
            if (method.network == piecewise) != (name == piecewise):
                makers = [key for key, maker in METHODS.items() if maker.network == piecewise]
                one = len(makers) == 1
                raise InputError(
                    f"network: {name} given with the method {method.name}; {' and '.join(makers)} "
                    f"need{'s' * one} {piecewise!r}, which needs {'it' if one else 'one of them'}"
                )
    return check_network(network, options, method.network, method.layers)


__all__ = ["METHODS", "Method", "check_precision", "network_for", "sequence"]
