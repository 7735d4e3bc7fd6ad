"""Damped least squares, min ‖J δ + r‖² + λ ‖D δ‖², for many λ at one J: dense or matrix-free."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import blas, lapack
from scipy.sparse.linalg import LinearOperator, lsmr

from ..threads import large
from .dense import Linearization, stack, triangle

SAFE = 1e-11
"""λ over the trace of JᵀJ above which the normal equations are accurate enough for a damped step; below it, QR."""
PROBES = 4
"""Number of random directions used to estimate the sizes of the rows."""


class Dense:
    """The scaled rows as a matrix.

    While λ is large the normal equations are used, at half the cost: their relative error, the unit roundoff times
    ‖J‖²/λ, is then below 1e-5 of the step. For smaller λ: QR of J once, and QR of R stacked on √λ D for each λ.
    """

    def __init__(self, terms: Sequence[Linearization], scales: Sequence[float], n_unknowns: int):
        self.jacobian, self.residual = stack(terms, scales)
        self.gradient = self.jacobian.T @ self.residual
        squares = self.jacobian.square().sum(0)
        self.weights = _weights(squares, n_unknowns)
        self.trace = (squares / self.weights).sum().item()
        self._gram: np.ndarray | None = None
        self._triangle: tuple[np.ndarray, np.ndarray] | None = None
        self._factor: torch.Tensor
        self._upper: bool

    def product(self, delta: torch.Tensor) -> torch.Tensor:
        return self.jacobian @ delta

    def step(self, damping: float) -> torch.Tensor:
        """δ (p,) for λ = ``damping``."""
        with large(self.jacobian.numel()):
            delta = self._cholesky(damping) if damping > SAFE * self.trace else None
            return self._orthogonal(damping) if delta is None else delta

    def step_for(self, residual: torch.Tensor) -> torch.Tensor:
        """δ (p,) for another residual (r,), with the factors of the last `step`."""
        right = -(self.jacobian.T @ residual)[:, None]
        return torch.cholesky_solve(right, self._factor, upper=self._upper)[:, 0]

    def _cholesky(self, damping: float) -> torch.Tensor | None:
        if self._gram is None:
            self._gram = blas.dsyrk(1.0, self.jacobian.numpy().T, lower=1)
        normal = self._gram.copy(order="F")
        normal[np.diag_indices_from(normal)] += damping * self.weights.numpy()
        lower, failed = lapack.dpotrf(normal, lower=1, overwrite_a=1)
        if failed:
            return None
        self._factor, self._upper = torch.from_numpy(lower), False
        return torch.from_numpy(lapack.dpotrs(lower, -self.gradient.numpy()[:, None], lower=1)[0][:, 0])

    def _orthogonal(self, damping: float) -> torch.Tensor:
        p = self.jacobian.shape[1]
        if self._triangle is None:
            rows = triangle(torch.cat([self.jacobian, -self.residual[:, None]], 1))
            rows = torch.cat([rows, rows.new_zeros(max(p - len(rows), 0), p + 1)])[:p]
            self._triangle = np.asfortranarray(rows[:, :p].numpy()), np.asfortranarray(rows[:, p:].numpy())
        r, c = self._triangle
        below = np.asfortranarray(np.diag(np.sqrt(damping * self.weights.numpy())))
        upper, reflectors, factors, _ = lapack.dtpqrt(p, min(32, p), r, below)
        c, *_ = lapack.dtpmqrt(p, reflectors, factors, c, np.zeros_like(c, order="F"), trans="T")
        self._factor, self._upper = torch.from_numpy(np.triu(upper)), True
        return torch.linalg.solve_triangular(self._factor, torch.from_numpy(c), upper=True)[:, 0]


class MatrixFree:
    """The scaled rows by matrix-vector products: J d by double backward, Jᵀ w by reverse mode, δ by LSMR.

    LSMR: D. C.-L. Fong, M. Saunders, SIAM J. Sci. Comput. 33 (2011) 2950-2971, in ``scipy.sparse.linalg``.

    Args:
        vectors: the residual vectors of the terms, (rows,) each, with their graph.
        parameters: of the network and the unknowns, in order.
        scales: one per term, or None: `row_scales` of the Jacobian estimated with random directions.
        n_unknowns: number of entries at the end that belong to the unknowns.
        most: maximum number of LSMR iterations per step.
        tolerance: of LSMR.
    """

    def __init__(
        self,
        vectors: Sequence[torch.Tensor],
        parameters: Sequence[torch.Tensor],
        scales: Sequence[float] | None,
        n_unknowns: int,
        most: int = 100,
        tolerance: float = 1e-6,
    ):
        self.parameters, self.most, self.tolerance = list(parameters), most, tolerance
        self.sizes = [p.numel() for p in self.parameters]
        vectors = [v.reshape(-1) for v in vectors]
        self.raw = [v.detach() for v in vectors]
        if scales is None:
            self.scales = [1.0] * len(vectors)
            self._attach(vectors)
            generator = torch.Generator().manual_seed(0)
            means = [0.0] * len(vectors)
            for _ in range(PROBES):
                direction = self._random(generator, n_unknowns)
                for i, part in enumerate(self.product(direction).split([len(v) for v in vectors])):
                    means[i] += part.square().mean().item() / PROBES
            scales = [
                1 / math.sqrt(s * len(v)) if s > 0 else 1 / math.sqrt(len(v))
                for s, v in zip(means, vectors, strict=True)
            ]
        self.scales = list(scales)
        self._attach(vectors)
        self.residual = self._vector.detach()
        self.gradient = self._transposed(self.residual)
        self.weights = self.gradient.new_ones(sum(self.sizes))
        direction = self._random(torch.Generator().manual_seed(1), n_unknowns)
        self.trace = self.product(direction).square().sum().item()
        if n_unknowns:
            squares = torch.ones_like(self.weights) * self.trace / len(self.weights)
            for j in range(len(squares) - n_unknowns, len(squares)):
                unit = torch.zeros_like(squares)
                unit[j] = 1
                squares[j] = self.product(unit).square().sum()
            self.weights = _weights(squares, n_unknowns)

    def _random(self, generator: torch.Generator, n_unknowns: int) -> torch.Tensor:
        """A normal direction of the network's parameters: E‖J d‖² = ‖J‖²."""
        direction = torch.randn(sum(self.sizes), generator=generator, dtype=torch.float64)
        direction[len(direction) - n_unknowns :] = 0
        return direction

    def _attach(self, vectors: Sequence[torch.Tensor]) -> None:
        self._vector = torch.cat([v * s for v, s in zip(vectors, self.scales, strict=True)])
        self._dual = torch.zeros_like(self._vector, requires_grad=True)
        self._slopes = torch.cat(
            [
                s.reshape(-1)
                for s in torch.autograd.grad(
                    self._vector,
                    self.parameters,
                    self._dual,
                    create_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
            ]
        )

    def product(self, delta: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(self._slopes @ delta, self._dual, retain_graph=True)[0]

    def _transposed(self, w: torch.Tensor) -> torch.Tensor:
        grads = torch.autograd.grad(
            self._vector, self.parameters, w, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([g.reshape(-1) for g in grads])

    def step(self, damping: float) -> torch.Tensor:
        """δ (p,) for λ = ``damping``, to the tolerance of LSMR."""
        size = self.weights.sqrt()

        def forward(v: np.ndarray) -> np.ndarray:
            return self.product(torch.from_numpy(np.asarray(v, dtype=np.float64).reshape(-1)) / size).numpy()

        def backward(w: np.ndarray) -> np.ndarray:
            return (self._transposed(torch.from_numpy(np.asarray(w, dtype=np.float64).reshape(-1))) / size).numpy()

        shape = (len(self.residual), len(size))
        operator = LinearOperator(shape, matvec=forward, rmatvec=backward, dtype=np.float64)
        tolerances = {"atol": self.tolerance, "btol": self.tolerance, "conlim": 0.0}
        found = lsmr(operator, -self.residual.numpy(), damp=math.sqrt(damping), maxiter=self.most, **tolerances)[0]
        return torch.from_numpy(found) / size


def _weights(squares: torch.Tensor, n_unknowns: int) -> torch.Tensor:
    """D² (p,): 1 for the network, and for each unknown the ratio of its column's size to that of the network's columns.

    The step is then independent of the units of the unknowns.
    """
    weights = torch.ones_like(squares)
    if n_unknowns:
        typical = squares[:-n_unknowns].mean() if len(squares) > n_unknowns else squares.mean()
        weights[-n_unknowns:] = (squares[-n_unknowns:] / typical.clamp_min(1e-300)).clamp_min(1e-12)
    return weights
