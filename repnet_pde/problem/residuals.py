"""The residual vectors of a DeepXDE data object."""

from collections.abc import Sequence
from typing import Any

import torch

from .. import limits
from ..backend import dde


def residual_vectors(data: Any, net: Any, x: torch.Tensor | None = None) -> list[torch.Tensor]:
    """The residual vector of every term of a DeepXDE data object, in its order, with their graphs.

    Args:
        data: ``dde.data.PDE`` or TimePDE with its points drawn.
        net: the network; evaluated at ``data.train_x``.
        x: ``data.train_x`` as a tensor that requires gradients, to avoid a copy.

    Each is (rows, 1). The caller calls ``dde.grad.clear()`` when done with the graph.
    """
    limits.check()
    if x is None:
        x = torch.as_tensor(data.train_x).requires_grad_()
    dde.grad.clear()
    return data.losses_train(None, net(x), lambda _zero, error: error, x, None)


def unknown_columns(v: torch.Tensor, unknowns: Sequence[torch.Tensor]) -> torch.Tensor:
    """Derivatives (r, entries of the unknowns) of a residual vector (r,), whose graph is kept."""
    columns = [v.new_empty(len(v), 0)]
    for unknown in unknowns:
        weights = torch.zeros_like(v, requires_grad=True)
        (slope,) = (
            torch.autograd.grad(v, unknown, weights, create_graph=True, allow_unused=True, materialize_grads=True)
            if v.requires_grad
            else (torch.zeros_like(unknown),)
        )
        for entry in slope.reshape(-1):
            (column,) = (
                torch.autograd.grad(entry, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
                if entry.requires_grad
                else (torch.zeros_like(v),)
            )
            columns.append(column.detach()[:, None])
    return torch.cat(columns, 1).detach()
