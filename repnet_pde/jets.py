"""Residuals as functions of the jet of u, its value and derivatives at each collocation point.

Where every residual row depends on u near its own point only, the user's ``pde`` and conditions are evaluated on local
Taylor polynomials, one for each point, whose coefficients are the derivatives of u there; one reverse pass a term then
gives the coefficients of the linearised operator,

    δr_i = Σ_α A_iα D^α δu(x_i),

exactly, whatever the user's code does, and at a cost that no network enters into. With the features of a one-layer
RepNet differentiated in closed form (`features`) the Jacobian of all rows with respect to the last layer costs about as
much as evaluating the features.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ._backend import dde, seeded
from .errors import InputError
from .residuals import collocation, residual_vectors, unknown_columns

HIGHEST = 6
"""Highest order of derivatives that is looked for."""

Index = tuple[int, ...]


@dataclass
class TermJet:
    """One residual term at the current u: its residual (r, k), and where and how it depends on the jet of u.

    parts: pairs (rows of the input points, coefficients (r, indices, outputs)) whose contributions add; one pair but
    for conditions that couple two points. ``k`` is 1 but for conditions with several components. unknowns: derivatives
    with respect to the unknowns, (r, unknowns).
    """

    name: str
    residual: torch.Tensor
    parts: list[tuple[slice, torch.Tensor]]
    unknowns: torch.Tensor


def multi_indices(dim: int, order: int) -> list[Index]:
    """All α in N^dim with |α| <= order, by order."""
    every = itertools.product(range(order + 1), repeat=dim)
    return sorted((a for a in every if sum(a) <= order), key=lambda a: (sum(a), a))


def closed(indices: Sequence[Index]) -> list[Index]:
    """``indices`` with everything below them (α' <= α), by order."""
    every = {b for a in indices for b in itertools.product(*(range(n + 1) for n in a))}
    return sorted(every, key=lambda a: (sum(a), a))


def taylor(x: torch.Tensor, jet: torch.Tensor, indices: Sequence[Index], transform=None) -> torch.Tensor:
    """The local polynomials at their own points: (n, outputs) with all their derivatives with respect to x.

    Args:
        x: (n, d), requires gradients. jet: (n, indices, outputs), the derivatives D^α u before ``transform``.
        transform: the output transform, or None.
    """
    offset = x - x.detach()
    monomials: dict[Index, torch.Tensor] = {}
    zero = (0,) * x.shape[1]
    monomials[zero] = 1 + 0 * offset[:, 0]
    columns = []
    for index in indices:
        columns.append(_monomial(monomials, offset, index) / math.prod(math.factorial(n) for n in index))
    u = torch.einsum("na,nac->nc", torch.stack(columns, 1), jet)
    return u if transform is None else transform(x, u)


def _monomial(known: dict[Index, torch.Tensor], offset: torch.Tensor, index: Index) -> torch.Tensor:
    if index not in known:
        axis = next(i for i, n in enumerate(index) if n)
        lower = tuple(n - (i == axis) for i, n in enumerate(index))
        known[index] = _monomial(known, offset, lower) * offset[:, axis]
    return known[index]


def term_jets(data, names: Sequence[str], x: torch.Tensor, jet: torch.Tensor, indices, transform=None, unknowns=()):
    """Every term of a DeepXDE data object as a `TermJet`, at u given by its jet (n, indices, outputs) at ``x``."""
    jet = jet.detach().requires_grad_()
    inputs = x.detach().clone().requires_grad_()
    vectors = residual_vectors(data, lambda points: taylor(points, jet, indices, transform), inputs)
    starts = [0, *itertools.accumulate(data.num_bcs)]
    n_pde = len(vectors) - len(data.num_bcs)
    terms = []
    for i, (name, v) in enumerate(zip(names, vectors, strict=True)):
        condition = None if i < n_pde else data.bcs[i - n_pde]
        rows = slice(starts[-1], len(x)) if condition is None else slice(starts[i - n_pde], starts[i - n_pde + 1])
        v = v.reshape(len(v), v.shape[1] if v.ndim > 1 else 1)
        (found,) = (
            torch.autograd.grad(v.sum(), jet, retain_graph=True, allow_unused=True, materialize_grads=True)
            if v.requires_grad and v.shape[1] == 1
            else (torch.zeros_like(jet),)
        )
        columns = unknown_columns(v.reshape(-1), unknowns)
        terms.append(TermJet(name, v.detach(), _parts(condition, rows, found, len(v)), columns))
    dde.grad.clear()
    return terms


def _parts(condition, rows: slice, found: torch.Tensor, count: int) -> list[tuple[slice, torch.Tensor]]:
    if hasattr(condition, "component_x"):  # a periodic condition: its second half are the partners of the first
        middle = rows.start + count
        return [(part, found[part]) for part in (slice(rows.start, middle), slice(middle, rows.stop))]
    return [(rows, found[rows])]


def orders(data, outputs: int, transform=None) -> list[Index] | None:
    """The derivatives of u that the residuals depend on; None where the rows are not functions of jets.

    Found by trying: the coefficients of all derivatives up to the sixth at a random jet, and that the product of the
    coefficients with a random change of the jets is the exact directional derivative, row by row.
    """
    x = torch.as_tensor(data.train_x)
    highest = HIGHEST if x.shape[1] <= 3 else 4
    indices = multi_indices(x.shape[1], highest)
    generator = torch.Generator().manual_seed(0)

    def random() -> torch.Tensor:
        return torch.randn(len(x), len(indices), outputs, generator=generator, dtype=torch.float64).to(x)

    jet, change = random().requires_grad_(), random()
    inputs = x.clone().requires_grad_()
    try:
        vectors = residual_vectors(data, lambda points: taylor(points, jet, indices, transform), inputs)
    except RuntimeError:
        return None
    starts = [0, *itertools.accumulate(data.num_bcs)]
    n_pde = len(vectors) - len(data.num_bcs)
    used: set[Index] = set()
    for i, v in enumerate(vectors):
        if v.ndim > 1 and v.shape[1] != 1:
            return None
        v = v.reshape(-1)
        if not len(v) or not v.requires_grad:
            continue
        weights = torch.ones_like(v, requires_grad=True)
        (slopes,) = torch.autograd.grad(v, jet, weights, create_graph=True, allow_unused=True, materialize_grads=True)
        exact = torch.zeros_like(v)
        if slopes.requires_grad:
            along = (slopes * change).sum()
            (exact,) = torch.autograd.grad(along, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
        condition = None if i < n_pde else data.bcs[i - n_pde]
        rows = slice(starts[-1], len(x)) if condition is None else slice(starts[i - n_pde], starts[i - n_pde + 1])
        slopes = slopes.detach()
        parts = _parts(condition, rows, slopes, len(v))
        product = sum((a * change[part]).sum((1, 2)) for part, a in parts)
        size = max(exact.abs().max().item(), product.abs().max().item(), 1e-300)
        if not math.isfinite(size) or (exact - product).abs().max().item() > 1e-8 * size:
            dde.grad.clear()
            return None
        used |= {index for index, n in zip(indices, slopes.abs().amax((0, 2)).tolist(), strict=True) if n > 0}
    dde.grad.clear()
    if any(sum(index) == highest for index in used):
        return None
    return sorted(used | {(0,) * x.shape[1]}, key=lambda a: (sum(a), a))


def orders_of_problem(problem) -> list[Index] | None:
    """`orders` of a problem's residuals, from a few of its points."""
    with seeded(0):
        return orders(collocation(problem, few=20), len(problem.outputs), problem.output_transform)


def needed_orders(problem, method: str) -> list[Index]:
    """`orders_of_problem` for a method that cannot do without.

    Raises `InputError` where the residuals are no functions of jets, or the problem has more than equations and
    conditions.
    """
    if problem.pde is None or problem.unknowns or problem.observations or problem.input_transform is not None:
        raise InputError(
            f"method: {method} needs a problem with equations, and without unknowns, observations and "
            "input_transform; choose another method"
        )
    found = orders_of_problem(problem)
    if found is None:
        raise InputError(f"method: {method} needs residuals that depend on u at one point each; choose another method")
    return found


def values(data, x: torch.Tensor, jet: torch.Tensor, indices, transform=None) -> list[torch.Tensor]:
    """The residual vectors alone, each (r,)."""
    inputs = x.detach().clone().requires_grad_()
    found = residual_vectors(data, lambda points: taylor(points, jet, indices, transform), inputs)
    dde.grad.clear()
    return [v.detach().reshape(-1) for v in found]
