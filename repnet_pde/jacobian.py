"""Residual vectors of any DeepXDE data object and their Jacobian, with the user's ``pde`` as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.func import functional_call, vmap

from ._backend import dde
from .errors import InputError
from .residuals import residual_vectors

BLOCK_BYTES = 2**29
"""Most memory for the parameter copies of one block of rows; the graph of them takes several times as much."""


@dataclass
class Linearization:
    """One residual term at the current parameters.

    residual (r,), jacobian (r, p): columns are the entries of the parameters in their order, then the unknowns.
    """

    name: str
    residual: torch.Tensor
    jacobian: torch.Tensor


def linearize(
    data,
    net: torch.nn.Module,
    names: Sequence[str],
    parameters: Sequence[str] | None = None,
    unknowns: Sequence[torch.Tensor] = (),
    block_bytes: int = BLOCK_BYTES,
) -> list[Linearization]:
    """Residual vectors and their exact Jacobian with respect to some parameters of the network and the unknowns.

    Every parameter is expanded to one copy per input row, the network is evaluated with ``torch.func.vmap`` over
    (copy, row), and the user's ``dde.grad`` code runs on the result as it is. Since a residual row depends on one
    input row only, the gradient of the *summed* residual with respect to the copies is the Jacobian, a reverse pass
    per term. A periodic condition pairs two rows; their gradients add.

    Args:
        data: ``dde.data.PDE`` or TimePDE with its points drawn.
        net: the network.
        names: of the terms, in DeepXDE's order.
        parameters: names of the network's parameters, as in ``net.named_parameters()``; None means all.
        unknowns: scalar ``dde.Variable``s; one double-backward column each.
        block_bytes: bounds the memory: rows are treated in blocks.

    Raises:
        InputError: the network or a transform cannot be evaluated row by row, or a residual mixes rows.
    """
    everything = dict(net.named_parameters())
    parameters = list(everything) if parameters is None else list(parameters)
    buffers = dict(net.named_buffers())
    shared = {k: v.detach() for k, v in everything.items() if k not in parameters}
    chosen = {k: everything[k].detach() for k in parameters}
    width = sum(v.numel() for v in chosen.values())
    x = torch.as_tensor(data.train_x)
    block = max(1, int(block_bytes // (8 * max(width, 1))))
    blocks = torch.arange(len(x)).split(block)

    def one(copy, row):
        return functional_call(net, {**shared, **copy, **buffers}, (row[None],))[0]

    gradients: list[list[torch.Tensor]] = []
    values: list[torch.Tensor] = []
    for rows in blocks:
        copies = {k: v.expand(len(rows), *v.shape).clone().requires_grad_() for k, v in chosen.items()}

        def per_row(inputs, rows=rows, copies=copies):
            u = vmap(one)(copies, inputs[rows])
            return u if len(blocks) == 1 else net(inputs).detach().index_copy(0, rows, u)

        vectors = _vectors(data, net, per_row, x, whole=len(blocks) == 1)
        found = []
        for v in vectors:
            grads = torch.autograd.grad(
                v.sum(), list(copies.values()), retain_graph=True, allow_unused=True, materialize_grads=True
            )
            found.append(torch.cat([g.reshape(len(rows), -1) for g in grads], 1))
        gradients.append(found)
        values = [v.detach().reshape(len(v), -1) for v in vectors]
        del vectors, copies
    dde.grad.clear()

    columns = _unknown_columns(data, net, x, unknowns)
    starts = np.cumsum([0, *data.num_bcs])
    n_pde = len(values) - len(data.num_bcs)
    terms = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        full = torch.cat([found[i] for found in gradients])
        if i < n_pde:
            jacobian = full[starts[-1] :]
        else:
            begin, end = starts[i - n_pde], starts[i - n_pde + 1]
            jacobian = full[begin:end]
            if hasattr(data.bcs[i - n_pde], "component_x"):
                half = (end - begin) // 2
                jacobian = jacobian[:half] + jacobian[half:]
        if value.shape[1] != 1:
            raise InputError(f"conditions[{name!r}]: has {value.shape[1]} components; give each a condition of its own")
        terms.append(Linearization(name, value[:, 0], torch.cat([jacobian, columns[i]], 1)))
    return terms


def _vectors(data, net, per_row: Callable, x, whole: bool):
    try:
        return residual_vectors(data, per_row, x.clone().requires_grad_())
    except RuntimeError as error:
        dde.grad.clear()
        raise InputError(
            f"network: cannot be evaluated row by row ({' '.join(str(error).split())[:200]}); use adam or lbfgs"
        ) from error


def _unknown_columns(data, net, x, unknowns) -> list[torch.Tensor]:
    """For every term the derivatives (r, number of unknowns) of its residual with respect to the unknowns."""
    vectors = residual_vectors(data, net, x.clone().requires_grad_())
    columns = []
    for v in vectors:
        v = v.reshape(-1)
        found = [v.new_empty(len(v), 0)]
        for unknown in unknowns:
            weights = torch.zeros_like(v, requires_grad=True)
            (slope,) = torch.autograd.grad(
                v, unknown, weights, create_graph=True, allow_unused=True, materialize_grads=True
            )
            if slope.requires_grad:
                (column,) = torch.autograd.grad(slope.sum(), weights, allow_unused=True, materialize_grads=True)
            else:
                column = torch.zeros_like(v)
            found.append(column.detach()[:, None])
        columns.append(torch.cat(found, 1))
    dde.grad.clear()
    return columns
