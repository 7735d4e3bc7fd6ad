"""The local length scale of a solution along each space axis, by which the basis functions of a slab are spread."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from scipy import integrate
from scipy.stats import qmc

from ...discretization.features import jet_of
from ...networks.repnet import RepNet
from ...networks.slabs import Slabs
from ...networks.warp import graded
from ...problem.problem import Problem

NODES = 801
"""Places of an axis at which its length scale is known."""
MOMENTS = 5
"""Times of a slab at which it is read off."""
DERIVATIVES, GUIDING = (1, 2, 3), (1, 2)
"""Orders of the derivatives that tell a length scale; of a guide, whose third one may be noise."""
WIDEST = 2.0
"""The length scale where u does not vary: the length of an axis in x̂."""


def length_scales(
    problem: Problem, net: RepNet | Slabs, begin: float, end: float, derivatives: Sequence[int] = DERIVATIVES
) -> list[np.ndarray]:
    """For each space axis the smallest length (NODES,) on which u varies, at `NODES` places of it, in units of x̂.

    1/l = max over n in ``derivatives`` of (|∂ⁿu| / size of u)^(1/n), the smallest over time and the other axes.

    Args:
        net: a network for the slab from ``begin`` to ``end``, or `Slabs`.
    """
    box, result = problem.box, []
    moments = np.linspace(begin, end, MOMENTS)
    nodes = np.linspace(-1, 1, NODES)
    for axis in range(problem.dim - 1):
        others = 2 * qmc.Halton(max(problem.dim - 2, 1), seed=0).random(1 if problem.dim == 2 else 16) - 1
        scale = np.full(NODES, WIDEST)
        for moment, place in itertools.product(moments, others):
            x = np.repeat(np.append(np.resize(place, problem.dim - 1), 0.0)[None], NODES, 0)
            x[:, axis] = nodes
            x = box.center + box.half_width * x
            x[:, -1] = moment
            inside = np.asarray(problem.geometry.geometry.inside(x[:, :-1])).astype(bool)
            which = [tuple(n * (i == axis) for i in range(problem.dim)) for n in (0, *derivatives)]
            at = net.at(moment) if isinstance(net, Slabs) else net
            jet = jet_of(at, torch.as_tensor(x), which).numpy()
            size = np.sqrt(np.mean(jet[inside][:, 0] ** 2, axis=0)).clip(1e-12) if inside.any() else 1.0
            roots = [(np.abs(jet[:, i]) / size) ** (1 / n) for i, n in enumerate(derivatives, 1)]
            rates = box.half_width[axis] * np.max(roots, axis=(0, 2))
            scale = np.where(inside, np.minimum(scale, 1 / np.maximum(rates, 0.5)), scale)
        result.append(scale)
    return result


def count_scales(scale: np.ndarray) -> float:
    """The number of length scales (NODES,) across an axis."""
    nodes = np.linspace(-1, 1, NODES)
    return float(integrate.trapezoid(1 / graded(nodes, np.minimum(scale, WIDEST)), nodes))
