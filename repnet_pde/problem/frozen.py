"""Detection of residuals that keep an old value of an unknown."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..backend import dde
from ..errors import InputError
from .values import fill


def frozen(
    unknowns: Mapping,
    names: Sequence[str],
    conditions: Mapping[str, Any],
    vectors: Sequence[torch.Tensor],
    evaluate: Callable[[], list[torch.Tensor]],
) -> None:
    """Raise where a residual depends on an unknown but keeps the value it had at the first evaluation.

    DeepXDE caches the values of boundary and initial conditions, and expressions of an unknown outside of ``pde`` are
    evaluated only once. Each unknown is changed by as much as should change the residual by its own size.

    Args:
        unknowns: name -> ``dde.Variable``; their values are restored.
        names: of the terms. conditions: those of them that are conditions.
        vectors: the residuals, with their graph. evaluate: recomputes them.
    """
    before = [v.detach().clone() for v in vectors]
    steepness = {name: [_slope(v, variable) for v in vectors] for name, variable in unknowns.items()}

    def moves(variable: torch.Tensor, value: float) -> list[bool]:
        """Which residuals change with this value of the unknown."""
        start = variable.item()
        if not math.isfinite(value):
            return [False] * len(before)
        fill([variable], [value])
        dde.grad.clear()
        try:
            return [not torch.equal(a.detach(), b) for a, b in zip(evaluate(), before, strict=True)]
        except Exception:  # an error for this value shows that it is not frozen
            return [True] * len(before)
        finally:
            fill([variable], [start])
            dde.grad.clear()

    for name, variable in unknowns.items():
        slopes, start = steepness[name], variable.item()
        moved = moves(variable, start + 0.37 * (abs(start) or 1.0)) if any(slopes) else []
        for i, (slope, changed) in enumerate(zip(slopes, moved, strict=False)):
            far = max(abs(start), max(before[i].abs().max().item(), 1e-3) / slope) if slope else 0.0
            if slope and not (changed or moves(variable, start + far)[i] or moves(variable, start - far)[i]):
                raise InputError(_said_of_frozen(name, names[i], conditions))


def _slope(vector: torch.Tensor, variable: torch.Tensor) -> float:
    """The norm of the derivative of the residual with respect to an unknown."""
    if not vector.requires_grad:
        return 0.0
    weights = torch.randn(vector.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(vector)
    (slope,) = torch.autograd.grad(vector, variable, weights, allow_unused=True, retain_graph=True)
    size = 0.0 if slope is None else abs(slope.item())
    return size if math.isfinite(size) else 0.0


def _said_of_frozen(name: str, term: str, conditions: Mapping[str, Any]) -> str:
    if term not in conditions:
        return (
            f"unknowns[{name!r}]: the residual {term!r} of pde keeps the value that it had at first; compute what "
            "depends on the unknown inside of pde"
        )
    return (
        f"unknowns[{name!r}]: conditions[{term!r}] keeps the value that it had at first, since DeepXDE caches what a "
        "condition's function returns; state it as dde.icbc.OperatorBC(geometry, lambda x, u, X: ..., on_boundary), "
        "with the unknown inside of its function"
    )
