"""Collocation points of a network on patches, and the faces between patches with points on them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from ...backend import seeded
from ...networks.patches import Patches
from ...problem.points import collocation, inside, on_boundary
from ...problem.problem import Interface, Problem

ON_FACE = {1: 1, 2: 32, 3: 400}
"""Points of a face between patches."""
UNIFORM = 10
"""As many times more on one of the boundary, where DeepXDE spreads them evenly, and which may be longer by holes."""
MOST_ON_BOUNDARY = 40_000
STRETCHES = 500
"""Parts of a face of which each is taken to lie inside the geometry or outside."""
MOST_DRAWS = 100
"""Draws of a quasi-random sequence after which fewer points than were asked for have to do."""


@dataclass
class Face:
    """What two patches share: points (n, d) on it and the axis across it."""

    patches: tuple[int, int]
    axis: int
    x: torch.Tensor
    interface: Interface | None = None


class PatchPoints:
    """Where the equations, the conditions and the continuity across faces are asked for, on any patches.

    Args:
        problem: the one that is solved. seed: of the points. window: the part of time that is solved for; None: all.
    """

    def __init__(self, problem: Problem, seed: int, window: tuple[float, float] | None = None):
        self.problem, self.seed, self.window = problem, seed, window

    def data(self, net: Patches, per_patch: int, on_face: int, gathered: bool = True) -> Any:
        """The DeepXDE data with ``per_patch`` collocation points in every patch and some on the boundary.

        Args:
            on_face: points on the boundary of a patch, if it were a face between patches.
            gathered: whether half of them are gathered towards the faces.
        """
        problem, bounds = self.problem, net.bounds.numpy()
        x = np.concatenate([self._inside(b, per_patch, gathered) for b in bounds])
        cells = (problem.box.upper - problem.box.lower) / (bounds[:, 1] - bounds[:, 0]).min(0)
        if self.window:
            cells[-1] = 1
        faces = [UNIFORM * on_face * np.prod(np.delete(cells, axis)) for axis in range(problem.dim)]
        numbers = {"boundary": 2 * sum(faces[:-1] if problem.in_time else faces), "initial": faces[-1]}
        numbers = {name: min(math.ceil(n), MOST_ON_BOUNDARY) for name, n in numbers.items()}
        with seeded(self.seed):
            distribution = None if gathered else "pseudo"
            return collocation(problem, inside=x, distribution=distribution, interval=self.window, **numbers)

    def _inside(self, bounds: np.ndarray, count: int, gathered: bool) -> np.ndarray:
        """``count`` points (n, d) of a box inside the geometry, or as many as are found.

        None is so near the boundary that DeepXDE, with a relative tolerance of 1e-5, would give it to a condition.
        """
        halton, found, have = qmc.Halton(self.problem.dim, seed=self.seed), [], 0
        for _ in range(MOST_DRAWS):
            x = halton.random(count)
            if gathered:
                x[::2] = (1 - np.cos(np.pi * x[::2])) / 2
            x = bounds[0] + (bounds[1] - bounds[0]) * x
            x = x[inside(self.problem, x) & ~on_boundary(self.problem.geometry, x)]
            found.append(x[: count - have])
            have += len(found[-1])
            if have == count:
                break
        return np.concatenate(found)

    def faces(self, net: Patches, count: int) -> list[Face]:
        """Every pair of patches with the part of a face that they share, as far as it lies in the geometry, with
        ``count`` points each."""
        bounds, dim, found = net.bounds.numpy(), self.problem.dim, []
        near = 1e-9 * (self.problem.box.upper - self.problem.box.lower)
        for i, (lower, upper) in enumerate(bounds):
            for axis in range(dim):
                beside = np.delete(np.arange(dim), axis)
                low, high = np.maximum(lower, bounds[:, 0])[:, beside], np.minimum(upper, bounds[:, 1])[:, beside]
                meets = (np.abs(bounds[:, 0, axis] - upper[axis]) < near[axis]) & (high - low > near[beside]).all(1)
                for j in np.nonzero(meets)[0]:
                    ends = low[j], high[j]
                    x = self._on_face(axis, upper[axis], ends, count)
                    if len(x):
                        at = [
                            c
                            for c in self.problem.interfaces
                            if c.axis == axis and abs(c.at - upper[axis]) < near[axis]
                        ]
                        found.append(Face((i, int(j)), axis, torch.as_tensor(x), at[0] if at else None))
        return found

    def _on_face(self, axis: int, at: float, ends: tuple[np.ndarray, np.ndarray], count: int) -> np.ndarray:
        """``count`` points of a face inside the geometry, gathered towards the ends of the part that is."""
        low, high = ends

        def placed(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            x = np.insert(low + (high - low) * places, axis, at, axis=1)
            return x, inside(self.problem, x)

        if len(low) == 1:  # each stretch that lies inside gets its own points
            steps = np.linspace(0, 1, STRETCHES + 1)
            _, within = placed(((steps[1:] + steps[:-1]) / 2)[:, None])
            begins = np.flatnonzero(within & ~np.append(False, within[:-1]))
            stops = np.flatnonzero(within & ~np.append(within[1:], False)) + 1
            stretches = [steps[[a, b]] for a, b in zip(begins, stops, strict=True)]
            gathered = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
            places = np.concatenate([np.empty(0), *(a + (b - a) * gathered for a, b in stretches)])[:, None]
            x, within = placed(places)
            return x[within]
        if not len(low):
            x, within = placed(np.empty((1, 0)))
            return x[within]
        found, have, halton = [], 0, qmc.Halton(len(low), seed=self.seed)
        for _ in range(MOST_DRAWS):
            places = halton.random(count)
            places[::2] = (1 - np.cos(np.pi * places[::2])) / 2
            x, within = placed(places)
            found.append(x[within][: count - have])
            have += len(found[-1])
            if have == count:
                break
        return np.concatenate(found)
