"""Numerical test of whether the residuals of a problem are affine in u."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..backend import dde, seeded
from ..discretization.jets import some
from ..problem.points import collocation
from ..problem.problem import Problem
from ..problem.residuals import residual_vectors

TRIAL_ROWS = 400
"""Maximum number of rows of each test."""
LINEAR = 1e-9
"""Mismatch of a sum, relative to the size of its row, up to which residuals count as affine."""
NOISE, NOISE_STEP, NOISE_STEPS = 30.0, 2.0**-8, 8
"""A larger mismatch may be rounding if it is at most this many times the second differences of r along u with these
relative steps: curvature contributes to them less than to the mismatch, by the square of the step."""


def is_linear(problem: Problem) -> bool:
    """Whether all residuals are affine in u, as far as a numerical test can show.

    r(p + q) − r(p) − r(q) + r(0) = 0 for waves and constants p, q, of sizes from 1e-6 to 1e6 and around the size of the
    conditions' values, so that thresholds are crossed; residuals that overflow count as nonlinear. The result only
    selects a method; every solve checks linearity again at its solution (`newton`).
    """
    return problem.remembered("linear", lambda: _is_linear(problem))


def _is_linear(problem: Problem) -> bool:
    with seeded(0):
        data = some(collocation(problem), TRIAL_ROWS)
    d, c = problem.dim, len(problem.outputs)
    generator = torch.Generator().manual_seed(0)
    waves = torch.rand(2, d, c, generator=generator, dtype=torch.float64).to(torch.as_tensor(data.train_x).dtype)
    half = torch.as_tensor(problem.box.half_width, dtype=waves.dtype)

    def residuals(a: float, b: float, constant: float) -> list[torch.Tensor]:
        def u(x: torch.Tensor) -> torch.Tensor:
            value = a * torch.sin(x / half @ (1 + waves[0])) + b * torch.cos(x / half @ (1 + waves[1])) + constant
            return value if problem.output_transform is None else problem.output_transform(x, value)

        vectors = residual_vectors(data, u)
        dde.grad.clear()
        return [v.detach().reshape(-1) for v in vectors]

    zero = residuals(0, 0, 0)
    values = [r.abs().max().item() for r in zero[len(zero) - len(data.num_bcs) :] if len(r)]
    level = math.log10(max(values, default=1.0) or 1.0)
    if not math.isfinite(level):
        return False
    for i, size in enumerate(10.0 ** np.arange(min(-6.0, level - 2), max(6.0, level + 2) + 0.5)):
        first, second = (size, 0, 0), (0, 2 * size, 0) if i % 2 else (0, 0.3 * size, 2 * size)
        both = np.add(first, second)
        found = [zero, *(residuals(*p) for p in (first, second, both))]
        if not all(torch.isfinite(r).all() for vectors in found for r in vectors):
            return False
        suspects = [n for n in range(len(zero)) if (_mismatch([vectors[n] for vectors in found]) > 0).any()]
        if not suspects:
            continue
        path = [found[-1], *(residuals(*(both * (1 + n * NOISE_STEP))) for n in range(1, NOISE_STEPS + 1))]
        for n in suspects:
            noise = torch.stack([vectors[n] for vectors in path]).diff(n=2, dim=0).abs().amax(0)
            if (_mismatch([vectors[n] for vectors in found]) > NOISE * torch.quantile(noise, 0.9)).any():
                return False
    return True


def _mismatch(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """|r(p + q) − r(p) − r(q) + r(0)| of every row (n,), less `LINEAR` times its size, from r at 0, p, q and p + q."""
    zero, first, second, both = rows
    return (both - first - second + zero).abs() - LINEAR * torch.stack([zero, first, second, both]).abs().amax(0)
