"""The second solution of what is solved: with other basis functions and points, from random values of what is open."""

import math

import torch

from ...checking.accuracy import distance
from ...networks.patches import Patches
from ...networks.repnet import RepNet
from ...networks.slabs import Slabs
from ...problem.problem import Problem

MORE = 1.1
"""Basis functions of the second solution over those of the first; its wavenumbers grow by the root of that along each
axis."""
FAILS = 10.0
"""The second solution has failed where its relative residual is above so many times that asked of the first."""
FAR = 1e-3
"""Distance from as much of the second solution as there is that tells against the first."""


def standing(net: Slabs | Patches, twin: Slabs | Patches | None, verifying: bool) -> str:
    """How far a march with the network ``net`` has got, or with its second one, in words."""
    if not verifying:
        return net.standing
    return "second solution" if twin is None else f"second solution, {twin.standing}"


def of_twin(
    problem: Problem, net: Slabs | Patches, twin: Slabs | Patches, failed: float | None, left: float
) -> tuple[float | None, str]:
    """The relative L2 distance of a second solution, or None, and what is to be said of it.

    Args:
        failed: the time at which it failed, if it did, with the relative residual ``left``: its distance is then known
            to be at least that of the part that there is, which counts where it is large.
    """
    found = distance(problem, net, twin) if len(twin) else 0.0
    if failed is None:
        return found, f", {found:.1e} from the second solution"
    why = f"relative residual {left:.1e}" if math.isfinite(left) else "Newton's method fails"
    said = f"; the second solution failed at t = {failed:.6g}: {why}"
    return (found, f"{said}, {found:.1e} away") if not found <= FAR else (None, said)


def random_offset(first: RepNet, net: RepNet) -> torch.Tensor:
    """Random coefficients (p,) of the last layer of ``net``, as large as those of ``first``, or 1 if these are zero.

    A solution that is the nearest to them differs from the first in all that the rows do not determine.
    """
    linear, own = first.output_layer(), net.output_layer()
    known = torch.cat([linear.weight.detach().reshape(-1), linear.bias.detach()])
    size = known.square().mean().sqrt().item() or 1.0
    return size * torch.randn(own.weight.numel() + len(own.bias), dtype=known.dtype)
