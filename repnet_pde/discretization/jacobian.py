"""Residual vectors of any DeepXDE data object and their Jacobian, for an arbitrary ``pde`` of the user.

Three routes give the same matrix (`ROUTES`), from the fastest to the most general:

- "layers": the network's linear layers record, per row, the factors of their weights' gradients;
- "copies": every parameter is expanded to one copy per row (``torch.func.vmap``);
- "rows": reverse mode row by row, for residuals whose rows depend on several points.
"""

import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from .. import limits
from ..backend import dde
from ..errors import InputError, SeveralPointsError
from ..linalg.dense import Linearization
from ..problem.residuals import residual_vectors, unknown_columns

Tensors = dict[str, torch.Tensor]

BLOCK_BYTES = 2**29
"""Maximum memory for the parameter copies of one block of rows; their graph takes several times as much."""
MATRICES = 3
"""Number of matrices of the Jacobian's size in a dense step: the terms, the scaled rows and their factorisation."""
ROUTES = ("layers", "copies", "rows")
MOST_ROW_WORK = 2e10
"""Maximum of rows x points x parameters for reverse mode row by row: about ten seconds."""
ROWS_AT_ONCE = 64
"""Rows of one batched backward pass, to bound the memory."""


class _Mixed(Exception):
    """A route cannot be used for the model; the text says why."""


class _WithAuxiliary:
    """A data object whose ``losses_train`` passes the auxiliary variables of its points to ``pde``."""

    def __init__(self, data: Any):
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def losses_train(
        self, targets: Any, outputs: Any, loss_fn: Any, inputs: Any, model: Any, aux: Any = None
    ) -> list[torch.Tensor]:
        holder = types.SimpleNamespace(auxiliary_vars=torch.as_tensor(self.data.train_aux_vars))
        model = types.SimpleNamespace(net=holder)
        return self.data.losses_train(targets, outputs, loss_fn, inputs, model, aux=aux)


def with_auxiliary(data: Any) -> Any:
    """``data`` itself, or, if it has an ``auxiliary_var_function``, a wrapper that passes the variables to ``pde``."""
    if isinstance(data, _WithAuxiliary) or getattr(data, "auxiliary_var_fn", None) is None:
        return data
    return _WithAuxiliary(data)


def linearize(
    data: Any,
    net: torch.nn.Module,
    names: Sequence[str],
    parameters: Sequence[str] | None = None,
    unknowns: Sequence[torch.Tensor] = (),
    block_bytes: int = BLOCK_BYTES,
    *,
    memory: int | None = None,
    route: str | None = None,
) -> list[Linearization]:
    """Residual vectors and their exact Jacobian with respect to some parameters of the network and the unknowns.

    Since a residual row depends on one input row only, each row is given its own copy of a parameter; the gradient of
    the *summed* residual with respect to these copies is the Jacobian: one reverse pass per term (and component). For
    conditions that pair two rows, such as periodic ones, the two gradients are added.

    Args:
        data: ``dde.data.PDE`` or TimePDE with its points drawn.
        net: the network.
        names: of the terms, in DeepXDE's order.
        parameters: names of the network's parameters, as in ``net.named_parameters()``; None means all.
        unknowns: ``dde.Variable`` objects; one double-backward column for each of their entries.
        block_bytes: bounds the memory of temporaries: rows are treated in blocks.
        memory: maximum bytes for the dense matrices of a step, and for ``block_bytes``; None means no limit.
        route: one of `ROUTES`; None takes "layers" if the network has only linear layers, else "copies". Both assume
            that each row depends on its own point only, which `check_rows` tests.

    Raises:
        InputError: the network or a transform cannot be evaluated row by row, or ``memory`` is too small.
    """
    data = with_auxiliary(data)
    everything = dict(net.named_parameters())
    parameters = list(everything) if parameters is None else list(parameters)
    chosen = {k: everything[k].detach() for k in parameters}
    width = sum(v.numel() for v in (*chosen.values(), *unknowns))
    if route != "rows":
        _check_type(data)
    if memory is not None:
        need = bytes_needed(data, net, width, len(names), route)
        if memory < need:
            raise InputError(
                f"memory: {memory:,} bytes given; {need:,} are needed for {_rows(data, len(names)):,} residual rows x "
                f"{width:,} parameters: take fewer points or a smaller network, or a matrix-free method"
            )
        block_bytes = min(block_bytes, memory // MATRICES)
    if route in (None, "layers"):
        try:
            return _by_layers(data, net, names, chosen, unknowns, block_bytes)
        except _Mixed as reason:
            if route is not None:
                raise InputError(f"network: {reason}") from None
        finally:
            dde.grad.clear()
    if route == "rows":
        return _by_rows(data, net, names, parameters, unknowns, width)
    return _by_copies(data, net, names, chosen, unknowns, block_bytes)


def bytes_needed(data: Any, net: Any, width: int, n_terms: int, route: str | None = None) -> int:
    """Minimum number of bytes for a dense step with ``width`` columns."""
    return 8 * width * (MATRICES * _rows(data, n_terms) + (1 if route == "rows" else 2))


def _rows(data: Any, n_terms: int) -> int:
    """Residual rows, several components of a condition counted once."""
    n_bc = sum(data.num_bcs)
    return n_bc + (n_terms - len(data.num_bcs)) * (len(data.train_x) - n_bc)


def _check_type(data: Any) -> None:
    if not isinstance(getattr(data, "data", data), dde.data.PDE):
        kind = type(data).__name__
        raise InputError(f"model: has a dde.data.{kind}; dde.data.PDE or TimePDE is supported, or adam and lbfgs")


# Route "layers" ------------------------------------------------------------------------------------------------------


class _Uses:
    """Record of the linear layers in one evaluation: weights, biases, and pairs (g, h) with W̄_i = Σ g_i ⊗ h_i.

    ``token`` requires a gradient, so that the last reverse pass, in which ``active`` is set, visits every node.
    """

    def __init__(self, like: torch.Tensor):
        self.token = like.new_zeros((), requires_grad=True)
        self.weights: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        self.pairs: dict[int, list[tuple[torch.Tensor, torch.Tensor, bool]]] = {}
        self.active = False

    def clear(self) -> None:
        """Break the cycle between the graph's nodes and what they recorded."""
        self.weights, self.pairs = [], {}

    def linear(self, h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        self.weights.append((weight, bias))
        detached = None if bias is None else bias.detach()
        return _Linear.apply(h, self.token, weight.detach(), detached, self, len(self.weights) - 1)

    def add(self, key: int, g: torch.Tensor, h: torch.Tensor, with_bias: bool) -> None:
        if self.active:
            self.pairs.setdefault(key, []).append((g, h, with_bias))


class _Linear(torch.autograd.Function):
    """h Wᵀ + b, whose reverse pass records the factors of the gradient of W."""

    @staticmethod
    def forward(
        ctx: Any,
        h: torch.Tensor,
        token: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        uses: _Uses,
        key: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(h, weight)
        ctx.uses, ctx.key, ctx.with_bias = uses, key, bias is not None
        return torch.nn.functional.linear(h, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        h, weight = ctx.saved_tensors
        ctx.uses.add(ctx.key, g, h, ctx.with_bias)
        back = _Transposed.apply(g, ctx.uses.token, weight, ctx.uses, ctx.key) if ctx.needs_input_grad[0] else None
        return back, None, None, None, None, None


class _Transposed(torch.autograd.Function):
    """g W, the reverse pass of `_Linear`, which is needed for derivatives with respect to the input."""

    @staticmethod
    def forward(
        ctx: Any, g: torch.Tensor, token: torch.Tensor, weight: torch.Tensor, uses: _Uses, key: int
    ) -> torch.Tensor:
        ctx.save_for_backward(g, weight)
        ctx.uses, ctx.key = uses, key
        return g @ weight

    @staticmethod
    def backward(ctx: Any, k: torch.Tensor) -> Any:
        g, weight = ctx.saved_tensors
        ctx.uses.add(ctx.key, g, k, False)
        back = _Linear.apply(k, ctx.uses.token, weight, None, ctx.uses, ctx.key) if ctx.needs_input_grad[0] else None
        return back, None, None, None, None


class _Intercept(TorchFunctionMode):
    """Routes linear layers with trained weights through `_Uses`."""

    PRODUCTS = (torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.__matmul__)

    def __init__(self, uses: _Uses, rows: int):
        self.uses, self.rows = uses, rows

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.linear:
            names = ("input", "weight", "bias")
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            h, weight, bias = given["input"], given["weight"], given.get("bias")
            trained = weight.requires_grad or (bias is not None and bias.requires_grad)
            if trained and h.ndim == 2 and len(h) == self.rows:
                return self.uses.linear(h, weight, bias)
        elif func in self.PRODUCTS and len(args) == 2 and not kwargs:
            h, weight = args
            if h.ndim == 2 and weight.ndim == 2 and len(h) == self.rows and weight.requires_grad:
                return self.uses.linear(h, weight.t(), None)
        return func(*args, **kwargs)


def _by_layers(
    data: Any, net: Any, names: Sequence[str], chosen: Tensors, unknowns: Sequence[torch.Tensor], block_bytes: int
) -> list[Linearization]:
    x = torch.as_tensor(data.train_x).clone().requires_grad_()
    leaves = {k: v.clone().requires_grad_() for k, v in chosen.items()}
    fixed = {k: v.detach() for k, v in net.named_parameters() if k not in chosen}
    uses = _Uses(x)

    def recorded(inputs: torch.Tensor) -> torch.Tensor:
        with _Intercept(uses, len(inputs)):
            return functional_call(net, {**fixed, **leaves, **dict(net.named_buffers())}, (inputs,))

    with torch.enable_grad():
        vectors = residual_vectors(data, recorded, x)
    derived = [w for pair in uses.weights for w in pair if w is not None and w.requires_grad]
    if any(g is not None for w in derived if not w.is_leaf for g in _grads(w.sum(), [x])):
        raise _Mixed("a layer's weights depend on its input")
    begin = np.cumsum([0, *(v.numel() for v in leaves.values())])
    columns = {id(v): slice(a, b) for v, a, b in zip(leaves.values(), begin, begin[1:], strict=False)}
    trained = [p for p in net.parameters() if p.requires_grad]
    others, starts = [*leaves.values(), *trained], np.cumsum([0, *data.num_bcs])
    n_pde, terms = len(vectors) - len(data.num_bcs), []
    for i, (name, v) in enumerate(zip(names, vectors, strict=True)):
        rows = slice(starts[-1], len(x)) if i < n_pde else slice(starts[i - n_pde], starts[i - n_pde + 1])
        v = v.reshape(len(v), -1)
        parts = []
        for c in range(v.shape[1]):
            uses.pairs, uses.active = {}, True
            grads = _grads(v[:, c].sum(), [uses.token, *others])
            uses.active = False
            if any(g is not None and g.any() for g in grads[1:]):
                raise _Mixed("its parameters are used otherwise than in linear layers")
            parts.append(_paired(_outer(uses, leaves, columns, rows, int(begin[-1]), block_bytes), len(v)))
        jacobian = parts[0] if len(parts) == 1 else torch.stack(parts, 1).reshape(v.numel(), -1)
        found = unknown_columns(v.reshape(-1), unknowns)
        terms.append(
            Linearization(name, v.detach().reshape(-1), torch.cat([jacobian, found], 1) if unknowns else jacobian)
        )
    uses.clear()
    return terms


def _grads(scalar: torch.Tensor, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor | None]:
    if not scalar.requires_grad:
        return [None] * len(inputs)
    return torch.autograd.grad(scalar, inputs, retain_graph=True, allow_unused=True)


@torch.no_grad()
def _outer(
    uses: _Uses, leaves: Tensors, columns: dict[int, slice], rows: slice, width: int, block_bytes: int
) -> torch.Tensor:
    """The recorded pairs of the rows multiplied out, (rows, parameters)."""
    n = rows.stop - rows.start
    jacobian = uses.token.new_zeros(n, width)
    block = max(1, int(block_bytes // (8 * max(width, 1))))
    for first in range(0, n, block):
        limits.check()
        part = slice(rows.start + first, rows.start + min(first + block, n))
        target = jacobian[first : first + block]
        for key, pairs in uses.pairs.items():
            weight, bias = uses.weights[key]
            outputs, gradients = [], []
            if weight.requires_grad:
                g = torch.stack([g[part] for g, _, _ in pairs], 2)
                h = torch.stack([h[part] for _, h, _ in pairs], 1)
                outputs.append(weight)
                gradients.append(torch.bmm(g, h))
            of_bias = [g[part] for g, _, with_bias in pairs if with_bias]
            if bias is not None and bias.requires_grad and of_bias:
                outputs.append(bias)
                gradients.append(sum(of_bias, start=torch.zeros_like(of_bias[0])))
            inner = [(o, g) for o, g in zip(outputs, gradients, strict=True) if id(o) not in columns]
            for output, gradient in zip(outputs, gradients, strict=True):
                if id(output) in columns:
                    target[:, columns[id(output)]] += gradient.reshape(len(target), -1)
            if inner:  # weights that are computed from the parameters, as in RepNet's first layer
                found = torch.autograd.grad(
                    [o for o, _ in inner],
                    list(leaves.values()),
                    [g for _, g in inner],
                    retain_graph=True,
                    allow_unused=True,
                    is_grads_batched=True,
                )
                for leaf, gradient in zip(leaves.values(), found, strict=True):
                    if gradient is not None:
                        target[:, columns[id(leaf)]] += gradient.reshape(len(target), -1)
    return jacobian


def _paired(jacobian: torch.Tensor, rows: int) -> torch.Tensor:
    """Add the two halves of a condition that pairs points."""
    return jacobian if len(jacobian) == rows else jacobian[:rows] + jacobian[rows:]


# Route "copies" ------------------------------------------------------------------------------------------------------


def _by_copies(
    data: Any, net: Any, names: Sequence[str], chosen: Tensors, unknowns: Sequence[torch.Tensor], block_bytes: int
) -> list[Linearization]:
    buffers = dict(net.named_buffers())
    shared = {k: v.detach() for k, v in net.named_parameters() if k not in chosen}
    width = sum(v.numel() for v in chosen.values())
    x = torch.as_tensor(data.train_x)
    starts = np.cumsum([0, *data.num_bcs])
    block = max(1, int(block_bytes // (8 * max(width, 1))))
    # DeepXDE discards the PDE's residual at the points of the conditions, which come first: no block mixes the two.
    blocks = [*torch.arange(starts[-1]).split(block), *torch.arange(starts[-1], len(x)).split(block)]

    def one(copy: Tensors, row: torch.Tensor) -> torch.Tensor:
        return functional_call(net, {**shared, **copy, **buffers}, (row[None],))[0]

    pieces: list[list[torch.Tensor]] = [[] for _ in names]
    for rows in (rows for rows in blocks if len(rows)):
        copies = {k: v.expand(len(rows), *v.shape).clone().requires_grad_() for k, v in chosen.items()}

        def per_row(inputs: torch.Tensor, rows: torch.Tensor = rows, copies: Tensors = copies) -> torch.Tensor:
            with torch.no_grad():
                others = net(inputs)
            return others.index_copy(0, rows, vmap(one)(copies, inputs[rows]))

        try:
            vectors = residual_vectors(data, per_row, x.clone().requires_grad_())
        except RuntimeError as error:
            dde.grad.clear()
            raise InputError(
                f"network: cannot be evaluated row by row ({' '.join(str(error).split())[:200]}); use adam or lbfgs"
            ) from error
        n_pde = len(vectors) - len(data.num_bcs)
        of_conditions = rows[0] < starts[-1]
        for i, v in enumerate(vectors):
            if (i >= n_pde) != of_conditions:
                continue
            v = v.reshape(len(v), -1)
            found = []
            for c in range(v.shape[1]):
                grads = torch.autograd.grad(
                    v[:, c].sum(), list(copies.values()), retain_graph=True, allow_unused=True, materialize_grads=True
                )
                found.append(torch.cat([g.reshape(len(rows), -1) for g in grads], 1))
            pieces[i].append(torch.stack(found, 1))
        del vectors, copies
    dde.grad.clear()

    # Rows outside of a block have no derivatives there, and so wrong values: they are evaluated once more.
    vectors = residual_vectors(data, net, x.clone().requires_grad_())
    terms = []
    for i, (name, v) in enumerate(zip(names, vectors, strict=True)):
        jacobian = torch.cat(pieces[i])
        if i >= n_pde:
            jacobian = _paired(jacobian[starts[i - n_pde] : starts[i - n_pde + 1]], len(v))
        columns = unknown_columns(v.reshape(-1), unknowns)
        terms.append(
            Linearization(name, v.detach().reshape(-1), torch.cat([jacobian.reshape(v.numel(), -1), columns], 1))
        )
    dde.grad.clear()
    return terms


# Route "rows" --------------------------------------------------------------------------------------------------------


def _by_rows(
    data: Any, net: Any, names: Sequence[str], parameters: Sequence[str], unknowns: Sequence[torch.Tensor], width: int
) -> list[Linearization]:
    everything = dict(net.named_parameters())
    inputs = [*(everything[name] for name in parameters), *unknowns]
    vectors = [v.reshape(-1) for v in residual_vectors(data, net)]
    terms = []
    for name, v in zip(names, vectors, strict=True):
        blocks = []
        for chosen in torch.eye(len(v), dtype=v.dtype).split(ROWS_AT_ONCE):
            limits.check()
            options = {"retain_graph": True, "allow_unused": True}
            try:
                grads = list(torch.autograd.grad(v, inputs, chosen, is_grads_batched=True, **options))
            except RuntimeError:  # an operation without a batching rule
                each = [torch.autograd.grad(v, inputs, one, materialize_grads=True, **options) for one in chosen]
                grads = [torch.stack(g) for g in zip(*each, strict=True)]
            zeros = v.new_zeros(len(chosen), 1)
            grads = [zeros.expand(-1, p.numel()) if g is None else g for g, p in zip(grads, inputs, strict=True)]
            blocks.append(torch.cat([g.reshape(len(chosen), -1) for g in grads], 1))
        terms.append(Linearization(name, v.detach(), torch.cat(blocks)))
    dde.grad.clear()
    return terms


# Checks --------------------------------------------------------------------------------------------------------------


def choose_route(
    data: Any,
    net: Any,
    names: Sequence[str],
    parameters: Sequence[str] | None = None,
    unknowns: Sequence[torch.Tensor] = (),
    memory: int | None = None,
) -> str | None:
    """The route that gives the correct Jacobian of this model, tested by `check_rows`: None (automatic), or "rows".

    Raises:
        InputError: rows depend on several points and row-by-row reverse mode would take too long.
    """
    try:
        check_rows(data, net, linearize(data, net, names, parameters, unknowns, memory=memory), parameters)
        return None
    except SeveralPointsError as error:
        rows, width = _rows(data, len(names)), sum(p.numel() for p in net.parameters())
        if rows * len(data.train_x) * width > MOST_ROW_WORK:
            raise SeveralPointsError(
                f"{error}: row by row, {rows:,} rows x {len(data.train_x):,} points x {width:,} parameters are too "
                "many",
                error.term,
            ) from None
    return "rows"


def check_rows(data: Any, net: Any, terms: Sequence[Linearization], parameters: Sequence[str] | None = None) -> None:
    """Raise `InputError` unless every residual row depends on its own input row only, as `linearize` assumes.

    The product of each Jacobian with one random direction is compared with the exact directional derivative, which a
    double backward pass gives without this assumption.
    """
    data = with_auxiliary(data)
    everything = dict(net.named_parameters())
    chosen = [everything[name] for name in (everything if parameters is None else parameters)]
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for p in chosen]
    flat = torch.cat([d.reshape(-1) for d in direction])
    for term, v in zip(terms, residual_vectors(data, net), strict=True):
        v = v.reshape(-1)
        exact = directional(v, chosen, direction)
        found = term.jacobian[:, : len(flat)] @ flat
        size = max(exact.abs().max().item(), found.abs().max().item(), 1e-300)
        if (found - exact).abs().max().item() > 1e-6 * size:
            raise SeveralPointsError(
                f"residual {term.name!r}: its rows depend on several points (a mean, an integral or a shift), which "
                "least-squares and gauss-newton cannot use; choose adam or lbfgs",
                term.name,
            )
    dde.grad.clear()


def directional(v: torch.Tensor, inputs: Sequence[torch.Tensor], direction: Sequence[torch.Tensor]) -> torch.Tensor:
    """J d of a residual vector (r,) by a double backward pass; ``direction`` has the shapes of ``inputs``."""
    if not v.requires_grad:
        return torch.zeros_like(v)
    weights = torch.zeros_like(v, requires_grad=True)
    slopes = torch.autograd.grad(v, inputs, weights, create_graph=True, allow_unused=True, materialize_grads=True)
    products = ((s * d).sum() for s, d in zip(slopes, direction, strict=True))
    along = sum(products, start=v.new_zeros(()))
    if not along.requires_grad:
        return torch.zeros_like(v)
    return torch.autograd.grad(along, weights, retain_graph=True, allow_unused=True, materialize_grads=True)[0]


def not_finite(data: Any, names: Sequence[str], residuals: Sequence[torch.Tensor]) -> str | None:
    """Which residual is NaN or infinite and at which point, in words; None where all are finite."""
    starts = np.cumsum([0, *data.num_bcs])
    n_pde = len(names) - len(data.num_bcs)
    for i, (name, v) in enumerate(zip(names, residuals, strict=True)):
        v = v.detach().reshape(len(v), v[0].numel() if len(v) else 1)
        bad = ~torch.isfinite(v).all(1)
        if bad.any():
            row = int(bad.nonzero()[0])
            begin, end = (starts[-1], len(data.train_x)) if i < n_pde else starts[i - n_pde : i - n_pde + 2]
            rows = int(end - begin)
            point = data.train_x[begin + (row if len(v) <= rows else row * rows // len(v))]
            value = v[row][~torch.isfinite(v[row])][0].item()
            return f"residual {name!r} is {value} at the point ({', '.join(f'{c:.6g}' for c in point)})"
    return None
