"""Partitions of a domain into boxes: even ones, refinement, and a network with a patch on each box."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import qmc

from ...backend import seeded
from ...discretization.features import jet_of
from ...networks.patches import Patches
from ...networks.repnet import RepNet
from ...problem.points import inside
from ...problem.problem import Problem

WAVENUMBER = {1: 2 * math.pi, 2: 2 * math.pi, 3: 1.2 * math.pi}
"""Largest wavenumber of the basis functions on a patch normalised to [−1, 1], by dimension."""
RESOLVED = 0.5
"""Part of it that the solution is expected to have on a patch of the first partition."""
ALONG = 0.1
"""An axis is divided along which h⁴ ∂⁴u is more than this part of that along the steepest one."""
THIN = 1e-3
"""Part of a box inside the geometry below which it gets no patch."""


def even_partition(problem: Problem, wavenumber: ArrayLike, most: int) -> np.ndarray:
    """The boxes (n, 2, d) of an even partition that resolves wavenumbers (d,), or, with at most ``most`` boxes, comes
    as near as may be."""
    edges = even_edges(problem, wavenumber)
    numbers = np.array(wavenumber)
    while count_boxes(edges) > most and (numbers * problem.box.half_width > 1).any():
        numbers *= 0.95
        edges = even_edges(problem, numbers)
    cells = [[(a, b) for a, b in itertools.pairwise(axis)] for axis in edges]
    return np.array([np.transpose(cell) for cell in itertools.product(*cells)])


def even_edges(problem: Problem, wavenumber: ArrayLike) -> list[np.ndarray]:
    """The ends of intervals along every axis that resolve wavenumbers (d,)."""
    density = np.asarray(wavenumber) / 2 / (RESOLVED * WAVENUMBER[problem.dim])
    return [_edges(problem, axis, d) for axis, d in enumerate(density)]


def _edges(problem: Problem, axis: int, density: float) -> np.ndarray:
    """The ends of intervals that fill an axis, ``density`` of them a unit of length, and divide at interfaces."""
    ends = {problem.box.lower[axis], problem.box.upper[axis]}
    ends |= {float(i.at) for i in problem.interfaces if i.axis == axis}
    parts = [
        np.linspace(low, high, max(1, math.ceil((high - low) * density - 1e-9)) + 1)[:-1]
        for low, high in itertools.pairwise(sorted(ends))
    ]
    return np.append(np.concatenate(parts), max(ends))


def count_boxes(edges: list[np.ndarray]) -> int:
    """The number of boxes between the ends of intervals along every axis."""
    return math.prod(len(e) - 1 for e in edges)


def refined(net: Patches, boxes: np.ndarray, marked: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The boxes (n, 2, d) with the marked (n,) ones halved along those of the axes on which u varies most.

    Args:
        net: the solution on the boxes, a patch for each.
    """
    result = []
    for i, (bounds, divide) in enumerate(zip(boxes, marked, strict=True)):
        pieces = [bounds]
        if divide:
            for axis in steepest_axes(net.patch(i), bounds, axes):
                pieces = [p for piece in pieces for p in _halves(piece, axis)]
        result += pieces
    return np.array(result)


def steepest_axes(patch: RepNet, bounds: np.ndarray, axes: Sequence[int]) -> list[int]:
    """Those of the axes of a box (2, d) along which u varies most, the steepest first."""
    dim, half = bounds.shape[1], (bounds[1] - bounds[0]) / 2
    which = [tuple(4 * (i == axis) for i in range(dim)) for axis in axes]
    x = bounds[0] + 2 * half * qmc.Halton(dim, seed=0).random(64)
    fourth = jet_of(patch, torch.as_tensor(x), [(0,) * dim, *which])[:, 1:]
    bends = fourth.square().mean((0, 2)).sqrt().numpy() * half[list(axes)] ** 4
    return [axes[i] for i in np.argsort(-bends, kind="stable") if bends[i] >= ALONG * bends.max()]


def _halves(bounds: np.ndarray, axis: int) -> list[np.ndarray]:
    lower, upper = bounds.copy(), bounds.copy()
    lower[1, axis] = upper[0, axis] = bounds[:, axis].mean()
    return [lower, upper]


def make_patches(
    problem: Problem,
    boxes: np.ndarray,
    width: int,
    seed: int,
    transform: Callable[..., torch.Tensor] | None,
    more: float = 1.0,
) -> tuple[Patches, np.ndarray]:
    """A `Patches` network with a patch for each box of which enough lies in the geometry, ordered for `couple`, and the
    boxes (n, 2, d) that have one.

    Args:
        boxes: (m, 2, d). width: basis functions of a patch. seed: of the basis functions.
        transform: of the network's output, or None.
        more: times as many basis functions, up to higher wavenumbers.
    """
    width, wavenumber = math.ceil(more * width), math.sqrt(more) * WAVENUMBER[problem.dim]
    centre = boxes.mean(1)
    fewest = np.argsort([len(np.unique(c)) for c in centre.T])  # the front of the elimination stays short
    boxes = boxes[np.lexsort([centre[:, axis] for axis in fewest])]
    trial = qmc.Halton(problem.dim, seed=0).random(2000)
    kept = np.array([inside(problem, b[0] + (b[1] - b[0]) * trial).mean() > THIN for b in boxes])
    net = Patches(len(problem.outputs), problem.box)
    for lower, upper in boxes[kept]:
        with seeded(seed):
            net.add(net.make(lower, upper, width, wavenumber), lower, upper)
    net._output_transform = transform
    return net, boxes[kept]
