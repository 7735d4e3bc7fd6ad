"""The box to which a network's inputs are normalised."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError


@dataclass(frozen=True)
class Box:
    """An axis-parallel box ``lower <= x <= upper``; both (d,) float64 in the user's units."""

    lower: np.ndarray
    upper: np.ndarray

    @property
    def center(self) -> np.ndarray:
        return (self.lower + self.upper) / 2

    @property
    def half_width(self) -> np.ndarray:
        return (self.upper - self.lower) / 2

    @property
    def dim(self) -> int:
        return len(self.lower)


def box_of(domain: Any, dim: int | None = None, argument: str = "domain") -> Box:
    """The bounding box of a DeepXDE geometry (also GeometryXTime), of a (lower, upper) pair, or [-1, 1]^d for None.

    Args:
        domain: geometry, pair of numbers or of sequences of length d, `Box`, or None.
        dim: the required number of coordinates; a pair of numbers is repeated for each of them.

    Raises:
        InputError: not a box, not finite, empty, or of another dimension than ``dim``.
    """
    if domain is None:
        domain = (-1.0, 1.0)
    if isinstance(domain, Box):
        lower, upper = domain.lower, domain.upper
    elif hasattr(domain, "timedomain"):
        space = domain.geometry.bbox
        lower, upper = (
            np.append(np.ravel(side), time)
            for side, time in zip(space, (domain.timedomain.t0, domain.timedomain.t1), strict=True)
        )
    elif hasattr(domain, "bbox"):
        lower, upper = domain.bbox
    else:
        try:
            lower, upper = domain
        except (TypeError, ValueError):
            raise InputError(
                f"{argument}: {domain!r} given; a DeepXDE geometry or a (lower, upper) pair is needed"
            ) from None
    try:
        lower, upper = (np.asarray(side, dtype=np.float64).ravel() for side in (lower, upper))
        wanted = max(len(lower), len(upper)) if dim is None else dim
        lower, upper = (np.repeat(side, wanted) if len(side) == 1 else side for side in (lower, upper))
    except (TypeError, ValueError):
        raise InputError(f"{argument}: lower and upper must be numbers, {domain!r} given") from None
    if not len(lower) == len(upper) == wanted:
        raise InputError(
            f"{argument}: has {max(len(lower), len(upper))} coordinate(s), but the network has {wanted} input(s); "
            "with a feature transform, give the (lower, upper) of the features"
        )
    if not (np.isfinite(lower).all() and np.isfinite(upper).all() and (lower < upper).all()):
        raise InputError(f"{argument}: lower {lower.tolist()} must be finite and below upper {upper.tolist()}")
    return Box(lower, upper)
