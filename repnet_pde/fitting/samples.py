"""Samples of a function: checked, normalised, split into those that are fitted and those that are held out."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from ..domain import Box, box_of
from ..errors import InputError
from ..problem.problem import Problem

HELD_OUT = 0.1
LEAST_HELD_OUT = 20
"""Minimum number of samples for some of them to be held out."""
CHUNK = 20_000
MOST_CELLS, CELLS_PER_SAMPLE = 2**26, 1024
"""Limits on the grid cells of `spectrum`; its arrays have 8 bytes per cell."""


def as_table(argument: str, value: ArrayLike) -> np.ndarray:
    """``value`` as a float64 array (n, columns); a vector is one column.

    Raises:
        InputError: no numbers, more than two axes, empty, or not finite.
    """
    try:
        table = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{argument}: {type(value).__name__} given; an array of numbers is needed") from None
    if table.ndim not in (1, 2) or table.size == 0:
        raise InputError(f"{argument}: shape {table.shape} given; (n,) or (n, columns), not empty, is needed")
    if not np.isfinite(table).all():
        bad = np.flatnonzero(~np.isfinite(table).reshape(len(table), -1).all(1))
        raise InputError(f"{argument}: NaN or infinite in {len(bad)} of {len(table)} rows, the first of them {bad[0]}")
    return table.reshape(len(table), -1)


@dataclass
class Samples:
    """x (n, d) and the normalised y (n, c) as tensors of one dtype; ``y`` times ``scale`` plus ``shift`` are the data.

    train, held: indices of the rows that are fitted and held out; with too few samples, none are held out.
    """

    x: torch.Tensor
    y: torch.Tensor
    box: Box
    shift: np.ndarray
    scale: np.ndarray
    train: np.ndarray
    held: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        """The rows on which errors are measured: those held out, or if there are none, those fitted."""
        return self.held if len(self.held) else self.train

    @functools.cached_property
    def strongest(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each output the 64 strongest waves of the fitted samples, as `peaks` gives them."""
        x, y = self.normalized(self.train), self.y[torch.as_tensor(self.train)].double().numpy()
        return [peaks(x, column, 64) for column in y.T]

    @functools.cached_property
    def nearest(self) -> np.ndarray:
        """For each fitted sample the index (n,), among the fitted ones, of its nearest neighbour."""
        x = self.normalized(self.train)
        return cKDTree(x).query(x, k=2)[1][:, 1]

    @property
    def dim(self) -> int:
        return self.x.shape[1]

    @property
    def outputs(self) -> int:
        return self.y.shape[1]

    @torch.no_grad()
    def misfit(self, net: Any, rows: np.ndarray) -> torch.Tensor:
        """The network minus the normalised values at some rows, (r, c)."""
        chosen = torch.as_tensor(rows)
        parts = zip(self.x[chosen].split(CHUNK), self.y[chosen].split(CHUNK), strict=True)
        return torch.cat([net(x) - y for x, y in parts])

    def normalized(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """x̂ in [−1, 1]^d of some rows."""
        return (self.x[rows].double().numpy() - self.box.center) / self.box.half_width


def make(x: ArrayLike, y: ArrayLike, *, domain: Any, validation: float, seed: int, dtype: str) -> Samples:
    """Check and normalise the arguments of `fit`.

    Raises:
        InputError: bad shapes or values, points outside of ``domain``, or too few samples.
    """
    x, y = as_table("x", x), as_table("y", y)
    if len(x) != len(y):
        raise InputError(f"y: {len(y)} rows given for the {len(x)} rows of x")
    if len(x) < 2:
        raise InputError(f"x: {len(x)} sample(s) given; at least 2 are needed")
    good = not isinstance(validation, bool) and isinstance(validation, (int, float)) and 0 <= validation < 1
    if not good:
        raise InputError(f"validation: {validation!r} given; a part of the samples, from 0 to below 1, is needed")
    box = _box(x) if domain is None else box_of(domain, x.shape[1])
    outside = ((x < box.lower) | (x > box.upper)).any(1)
    if outside.any():
        first = np.flatnonzero(outside)[0]
        raise InputError(f"x: {outside.sum()} of {len(x)} points lie outside of domain, such as {x[first].tolist()}")
    shift, scale = y.mean(0), y.std(0)
    scale = np.where(scale > 1e-12 * np.maximum(np.abs(shift), 1e-300), scale, 1.0)
    order = np.random.default_rng(seed).permutation(len(x))
    count = int(round(validation * len(x))) if len(x) >= LEAST_HELD_OUT else 0
    held, train = np.sort(order[:count]), np.sort(order[count:])
    kind = getattr(torch, dtype)
    return Samples(
        torch.tensor(x, dtype=kind), torch.tensor((y - shift) / scale, dtype=kind), box, shift, scale, train, held
    )


@torch.no_grad()
def denormalize(linear: torch.nn.Linear, data: Samples) -> None:
    """Rescale a network's last layer so that its outputs are in the units of the data."""
    shift, scale = (torch.as_tensor(v, dtype=linear.bias.dtype) for v in (data.shift, data.scale))
    linear.weight.mul_(scale[:, None])
    linear.bias.mul_(scale).add_(shift)


def of_problem(problem: Problem) -> tuple[np.ndarray, np.ndarray] | None:
    """Points (n, d) and values (n, c) of a problem that consists only of samples of every output at the same points, or
    None."""
    sets = list(problem.conditions.values())
    plain = all(type(s).__name__ == "PointSetBC" for s in sets) and len(sets) == len(problem.outputs)
    if problem.pde is not None or not plain or problem.unknowns or problem.input_transform or problem.output_transform:
        return None
    if sorted(s.component for s in sets) != list(range(len(sets))):
        return None
    sets.sort(key=lambda s: s.component)
    if not all(np.array_equal(s.points, sets[0].points) for s in sets):
        return None
    values = np.concatenate([np.asarray(s.values).reshape(len(s.points), -1) for s in sets], 1)
    return (np.asarray(sets[0].points), values) if values.shape[1] == len(sets) else None


def _box(x: np.ndarray) -> Box:
    """The bounding box; a coordinate that is constant gets a unit range around it."""
    low, high = x.min(0), x.max(0)
    flat = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    return Box(np.where(flat, low - 1, low), np.where(flat, high + 1, high))


def spectrum(x: np.ndarray, values: np.ndarray, cells: int | None = None) -> np.ndarray:
    """Amplitudes of the plane waves in values (n,) at scattered points x̂ (n, d) of [−1, 1]^d.

    The values are assigned to the nearest cell of a uniform grid and Fourier transformed: the wave exp(iπ m·x̂) has its
    amplitude at index m (the first d − 1 indices wrap around, the last is not negative). The amplitude is reduced by
    Π sinc(m_l / cells), and the scattered positions of the points cause a noise floor of about ‖values‖ / n.
    """
    dim = x.shape[1]
    cells = cells or int(min(min(MOST_CELLS, CELLS_PER_SAMPLE * len(x)) ** (1 / dim), 4096)) // 2 * 2
    index = np.clip(((x + 1) / 2 * cells).astype(np.int64), 0, cells - 1)
    flat = np.ravel_multi_index(tuple(index.T), (cells,) * dim)
    table = np.bincount(flat, weights=values, minlength=cells**dim).astype(np.float32).reshape((cells,) * dim)
    return np.abs(np.fft.rfftn(table)) / len(x)


def peaks(x: np.ndarray, values: np.ndarray, most: int, above: float = 5.5) -> tuple[np.ndarray, np.ndarray]:
    """The largest amplitudes of `spectrum`, as (|m| (k, d), amplitudes (k,)), waves that differ in signs only once.

    Args:
        most: maximum number returned. above: only amplitudes above this multiple of the noise.
    """
    table = spectrum(x, values)
    noise = math.sqrt(np.mean(np.square(table)))
    cells, flat = table.shape[0], table.ravel()
    count = min(64 * most, flat.size)
    order = np.argpartition(flat, flat.size - count)[flat.size - count :]
    order = order[np.argsort(-flat[order])]
    order = order[flat[order] > above * noise]
    index = np.array(np.unravel_index(order, table.shape)).T
    index[:, :-1] = np.where(index[:, :-1] > cells // 2, index[:, :-1] - cells, index[:, :-1])
    found: dict[tuple, float] = {}
    for vector, amplitude in zip(np.abs(index).tolist(), flat[order].tolist(), strict=True):
        found.setdefault(tuple(vector), amplitude)
        if len(found) == most:
            break
    return np.array(list(found)).reshape(-1, x.shape[1]), np.array(list(found.values()))
