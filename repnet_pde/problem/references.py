"""References by name, and their difference weights: the only place where the package uses `repnet_pde.validation`."""

import inspect

from ..validation.finite_difference import REFERENCES, Reference, reference
from ..validation.finite_difference.stencils import weights as difference_weights


def names() -> tuple[str, ...]:
    """The names of all references."""
    return tuple(REFERENCES)


def arguments(name: str) -> list[str]:
    """The parameters of a reference that have no default."""
    return [key for key, p in inspect.signature(REFERENCES[name]).parameters.items() if p.default is p.empty]


__all__ = ["Reference", "arguments", "difference_weights", "names", "reference"]
