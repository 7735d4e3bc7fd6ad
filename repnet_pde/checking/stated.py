"""Check of whether the exact solution stated with a problem satisfies its equations and conditions."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..discretization.jets import Index
from ..problem.problem import Problem
from ..problem.references import difference_weights
from .sizes import sized_terms

UNMET = 1e-4
"""Relative residual above which a term counts as violated; the derivatives are approximated numerically."""
STEP = 0.1
"""Step of the differences over the reciprocal of the wavenumber."""
STENCIL = 9
"""Nodes of the central differences; of order 8 for a first derivative."""


def stated_residuals(
    problem: Problem, data: Any, indices: Sequence[Index], wavenumber: Sequence[float] | np.ndarray
) -> dict[str, float]:
    """Relative residuals of the problem's ``solution`` at the points of ``data``, its derivatives by differences of
    order 8 and less.

    The median over the points is taken, and only for terms for which halving the step changes it by at most 50 %:
    otherwise the differences do not resolve the solution, or it is not defined outside of the domain.
    """
    assert problem.solution is not None
    x = data.train_x.astype(np.float64)
    results = []
    for factor in (1.0, 0.5):
        steps = factor * STEP / np.maximum(np.broadcast_to(wavenumber, problem.dim), np.pi / problem.box.half_width)
        jet = _numerical_jet(problem.solution, x, indices, steps, len(problem.outputs))
        at, values = torch.as_tensor(data.train_x), torch.as_tensor(jet).to(torch.as_tensor(data.train_x))
        good = torch.isfinite(values).all(2).all(1)
        values = torch.nan_to_num(values)
        found = {}
        for term, size in sized_terms(data, problem.term_names, at, values, indices):
            kept = good[term.parts[0][0]][: len(term.residual)]
            if kept.any() and size > 0:
                found[term.name] = term.residual[kept].abs().median().item() / size
        results.append(found)
    return {
        name: fine
        for name, fine in results[1].items()
        if name in results[0] and abs(results[0][name] - fine) <= max(0.5 * fine, UNMET / 10)
    }


def _numerical_jet(
    function: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    indices: Sequence[Index],
    steps: np.ndarray,
    outputs: int,
) -> np.ndarray:
    """D^α of a function (n, d) -> (n, outputs) by products of central differences: (n, indices, outputs)."""
    reach, result = STENCIL // 2, np.empty((len(x), len(indices), outputs))
    offsets = np.arange(-reach, reach + 1.0)
    for i, index in enumerate(indices):
        axes = [axis for axis, n in enumerate(index) if n]
        total = np.zeros((len(x), outputs))
        for places in itertools.product(range(STENCIL), repeat=len(axes)):
            weight, shifted = 1.0, x.copy()
            for axis, place in zip(axes, places, strict=True):
                weight *= difference_weights(offsets, index[axis])[place] / steps[axis] ** index[axis]
                shifted[:, axis] += offsets[place] * steps[axis]
            if weight:
                with np.errstate(all="ignore"):
                    total += weight * np.asarray(function(shifted), dtype=np.float64).reshape(len(x), outputs)
        result[:, i] = total
    return result
