"""Collocation points of a method's own, redrawn where the residual is large."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..backend import dde
from ..discretization.jacobian import with_auxiliary
from ..problem.residuals import residual_vectors

CANDIDATES = 5
"""Candidates a point."""
MOST_CANDIDATES = 20_000
"""Most random points from which those of large residual are chosen."""


class Points:
    """A data object of its own with the points of another; those inside the domain can be redrawn.

    Residual-based adaptive distribution (RAD, k = c = 1; C. Wu, M. Zhu, Q. Tan, Y. Kartha, L. Lu, Comput. Methods
    Appl. Mech. Engrg. 403 (2023) 115671): the density is 1 plus the residual over its mean. The points of conditions
    stay, and with them the rows for which DeepXDE caches values; the array stays the same object.
    """

    def __init__(self, data: Any):
        self.source = getattr(data, "data", data)
        own = copy.copy(self.source)
        own.train_x = self.source.train_x.copy()
        for condition in own.bcs:  # their caches know an array by its address: keep it
            condition.__dict__.setdefault("_repnet_pde_held", []).append(own.train_x)
        self.own, self.data = own, with_auxiliary(own)
        self.first = sum(own.num_bcs)

    @property
    def movable(self) -> bool:
        """Whether DeepXDE drew the points: those that a user gave as anchors stay."""
        source = self.source
        return source.pde is not None and source.num_domain > 0 and source.exclusions is None

    @property
    def inner(self) -> torch.Tensor:
        """The points inside the domain."""
        return torch.from_numpy(self.own.train_x[self.first :].copy())

    def set(self, inner: torch.Tensor | np.ndarray) -> None:
        self.own.train_x[self.first :] = np.asarray(inner)
        if self.own.auxiliary_var_fn is not None:
            self.own.train_aux_vars = self.own.auxiliary_var_fn(self.own.train_x).astype(self.own.train_x.dtype)

    def refine(self, net: Any, scales: Sequence[float]) -> float:
        """Redraw the points; returns the mean square of the scaled residuals on the candidates, before that.

        The candidates and the choice come from NumPy's global generator, as all of DeepXDE's points.
        """
        count = len(self.own.train_x) - self.first
        x = self.source.geom.random_points(min(CANDIDATES * count, max(MOST_CANDIDATES, 2 * count)), random="pseudo")
        x = np.asarray(x, dtype=self.own.train_x.dtype)
        trial = copy.copy(self.own)
        trial.bcs, trial.num_bcs, trial.train_x = [], [], x
        if trial.auxiliary_var_fn is not None:
            trial.train_aux_vars = trial.auxiliary_var_fn(x).astype(x.dtype)
        vectors = residual_vectors(with_auxiliary(trial), net)
        dde.grad.clear()
        squares = [(s * v.detach()).square().sum(1) for s, v in zip(scales, vectors, strict=False)]
        square = sum(squares, start=torch.zeros_like(squares[0])).numpy()
        size = np.sqrt(square)
        if not np.isfinite(size).all():
            return np.inf
        if len(x) >= count and size.mean() > 0:
            density = size / size.mean() + 1
            self.set(x[np.random.choice(len(x), count, replace=False, p=density / density.sum())])
        return float(square.mean())
