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
    starts = np.cumsum([0, *data.num_bcs])
    block = max(1, int(block_bytes // (8 * max(width, 1))))
    # DeepXDE drops the PDE's residual at the points of the conditions, which come first: no block mixes the two.
    blocks = [*torch.arange(starts[-1]).split(block), *torch.arange(starts[-1], len(x)).split(block)]

    def one(copy, row):
        return functional_call(net, {**shared, **copy, **buffers}, (row[None],))[0]

    pieces: list[list[torch.Tensor]] = [[] for _ in names]
    values: list[torch.Tensor] = [x.new_empty(0)] * len(names)
    for rows in (rows for rows in blocks if len(rows)):
        copies = {k: v.expand(len(rows), *v.shape).clone().requires_grad_() for k, v in chosen.items()}

        def per_row(inputs, rows=rows, copies=copies):
            with torch.no_grad():
                others = net(inputs)
            return others.index_copy(0, rows, vmap(one)(copies, inputs[rows]))

        vectors = _vectors(data, per_row, x)
        n_pde = len(vectors) - len(data.num_bcs)
        of_conditions = rows[0] < starts[-1]
        for i, v in enumerate(vectors):
            if (i >= n_pde) != of_conditions:
                continue
            grads = torch.autograd.grad(
                v.sum(), list(copies.values()), retain_graph=True, allow_unused=True, materialize_grads=True
            )
            pieces[i].append(torch.cat([g.reshape(len(rows), -1) for g in grads], 1))
            values[i] = v.detach().reshape(len(v), -1)
        del vectors, copies
    dde.grad.clear()

    columns = [v[:, :0] for v in values]
    if unknowns or len(blocks) > 2:  # what lies outside of a block has no derivatives, and so no right values, there
        values, columns = _values(data, net, x, unknowns)
    terms = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        jacobian = torch.cat(pieces[i])
        if i >= n_pde:
            begin, end = starts[i - n_pde], starts[i - n_pde + 1]
            jacobian = jacobian[begin:end]
            if hasattr(data.bcs[i - n_pde], "component_x"):
                jacobian = jacobian[: len(value)] + jacobian[len(value) :]
        if value.shape[1] != 1:
            raise InputError(f"conditions[{name!r}]: has {value.shape[1]} components; give each a condition of its own")
        terms.append(Linearization(name, value[:, 0], torch.cat([jacobian, columns[i]], 1)))
    return terms


def check_rows(data, net, terms: Sequence[Linearization], parameters: Sequence[str] | None = None) -> None:
    """Raise `InputError` unless every residual row depends on its own input row only, as `linearize` assumes.

    The product of each Jacobian with one random direction is compared with the exact directional derivative, taken
    by a double backward pass without any assumption.
    """
    everything = dict(net.named_parameters())
    chosen = [everything[name] for name in (everything if parameters is None else parameters)]
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for p in chosen]
    flat = torch.cat([d.reshape(-1) for d in direction])
    for term, v in zip(terms, residual_vectors(data, net), strict=True):
        v = v.reshape(-1)
        weights = torch.zeros_like(v, requires_grad=True)
        slopes = torch.autograd.grad(v, chosen, weights, create_graph=True, allow_unused=True, materialize_grads=True)
        along = sum((s * d).sum() for s, d in zip(slopes, direction, strict=True))
        exact = torch.zeros_like(v)
        if along.requires_grad:
            (exact,) = torch.autograd.grad(along, weights, allow_unused=True, materialize_grads=True)
        found = term.jacobian[:, : len(flat)] @ flat
        size = max(exact.abs().max().item(), found.abs().max().item(), 1e-300)
        if (found - exact).abs().max().item() > 1e-6 * size:
            raise InputError(
                f"residual {term.name!r}: its rows depend on several points (a mean, an integral or a shift), which "
                "least-squares and gauss-newton cannot use; choose adam or lbfgs"
            )
    dde.grad.clear()


def _vectors(data, per_row: Callable, x):
    try:
        return residual_vectors(data, per_row, x.clone().requires_grad_())
    except RuntimeError as error:
        dde.grad.clear()
        raise InputError(
            f"network: cannot be evaluated row by row ({' '.join(str(error).split())[:200]}); use adam or lbfgs"
        ) from error


def _values(data, net, x, unknowns) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Every term's residual (r, 1) and its derivatives (r, number of unknowns) with respect to the unknowns."""
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
            (column,) = (
                torch.autograd.grad(slope.sum(), weights, allow_unused=True, materialize_grads=True)
                if slope.requires_grad
                else (torch.zeros_like(v),)
            )
            found.append(column.detach()[:, None])
        columns.append(torch.cat(found, 1).detach())
    dde.grad.clear()
    return [v.detach().reshape(len(v), -1) for v in vectors], columns
