"""Residuals as functions of the jet of u (its value and derivatives) at each collocation point.

If every residual row depends on u near its own point only, the user's ``pde`` and conditions are evaluated on local
Taylor polynomials, one for each point, whose coefficients are the derivatives of u there; one reverse pass per term
then gives the coefficients of the linearised operator,

    δr_i = Σ_α A_iα D^α δu(x_i),

exactly, for arbitrary user code, and at a cost independent of the network. With the basis functions of a RepNet with
one hidden layer differentiated in closed form (`features`), the Jacobian of all rows with respect to the last layer
costs about as much as evaluating the basis functions.
"""

import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..backend import dde, seeded
from ..errors import InputError
from ..problem.points import collocation, hold
from ..problem.problem import Problem
from ..problem.residuals import residual_vectors, unknown_columns
from ..problem.values import generic

HIGHEST = 6
"""Highest order of derivatives that is tested."""

Index = tuple[int, ...]


@dataclass
class TermJet:
    """One residual term at the current u: its residual (r, k) and its linearisation in the jet of u.

    parts: pairs (rows of the input points, coefficients (r, indices, outputs)) whose contributions are added; one pair
    except for conditions that couple two points. ``k`` is 1 except for conditions with several components. unknowns:
    derivatives with respect to the unknowns, (r, unknowns).
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


def taylor(
    x: torch.Tensor, jet: torch.Tensor, indices: Sequence[Index], transform: Callable[..., torch.Tensor] | None = None
) -> torch.Tensor:
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


def term_jets(
    data: Any,
    names: Sequence[str],
    x: torch.Tensor,
    jet: torch.Tensor,
    indices: Sequence[Index],
    transform: Callable[..., torch.Tensor] | None = None,
    unknowns: Sequence[torch.Tensor] = (),
) -> list[TermJet]:
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


def _parts(condition: Any, rows: slice, found: torch.Tensor, count: int) -> list[tuple[slice, torch.Tensor]]:
    if hasattr(condition, "component_x"):  # a periodic condition: its second half are the partners of the first
        middle = rows.start + count
        return [(part, found[part]) for part in (slice(rows.start, middle), slice(middle, rows.stop))]
    return [(rows, found[rows])]


def orders(
    data: Any, outputs: int, transform: Callable[..., torch.Tensor] | None = None, known: Sequence[Index] | None = None
) -> list[Index] | None:
    """The derivatives of u that the residuals depend on at any of the points; None where the rows are not functions of
    jets.

    Determined numerically. At some of the points the coefficients of all derivatives up to the sixth are computed at a
    random jet, and their product with a random change of the jets is compared, row by row, with the exact directional
    derivative. Then all points are checked for rows that depend on any other derivative (`_felt`); such rows are tested
    in the same way.

    Args:
        data: a DeepXDE data object with its points drawn. outputs: of u. transform: the output transform, or None.
        known: derivatives found on other points of the same problem, to be returned as well.
    """
    if known is None:
        known = _tried(some(data), outputs, transform)
        if known is None or _tried(data, outputs, transform, known) is None:
            return None
    while True:
        felt = _felt(data, outputs, transform, known)
        if not felt.any():
            return list(known)
        found = _tried(some(data, chosen=felt), outputs, transform)
        if found is None:
            return None
        if set(found) <= set(known):  # no derivative up to the sixth: a higher one, or rounding
            return list(known) if not _felt(data, outputs, transform, known, ROUNDING).any() else None
        known = _ordered({*known, *found})


SOME = 100
"""Rows of a term at which all derivatives are tested."""
ROUNDING = 1e-10
"""Relative change of a row that may be rounding."""


def _ordered(indices: Iterable[Index]) -> list[Index]:
    return sorted(indices, key=lambda a: (sum(a), a))


def some(data: Any, most: int = SOME, chosen: torch.Tensor | None = None) -> Any:
    """A copy of ``data`` with at most ``most`` points inside and of each condition, of those ``chosen`` (n,).

    Conditions whose values belong to their points keep all of them.
    """
    starts = [0, *itertools.accumulate(data.num_bcs)]
    random, rows, counts = np.random.default_rng(0), [], []

    def thinned(begin: int, end: int) -> np.ndarray:
        found = np.arange(begin, end)
        if chosen is not None:
            found = found[chosen[begin:end].numpy()]
        return found if len(found) <= most else np.sort(random.choice(found, most, replace=False))

    for condition, begin, end in zip(data.bcs, starts, starts[1:], strict=False):
        if hasattr(condition, "component_x"):  # pairs
            middle = (begin + end) // 2
            first = thinned(begin, middle)
            rows.append(np.concatenate([first, first + middle - begin]))
        elif hasattr(condition, "on_boundary") or hasattr(condition, "on_initial"):
            rows.append(thinned(begin, end))
        else:
            rows.append(np.arange(begin, end))
        counts.append(len(rows[-1]))
    rows.append(thinned(starts[-1], len(data.train_x)))
    result = copy.copy(data)
    result.train_x, result.num_bcs = data.train_x[np.concatenate(rows)], counts
    hold(data.bcs, result.train_x)
    return result


def _felt(
    data: Any,
    outputs: int,
    transform: Callable[..., torch.Tensor] | None,
    indices: Sequence[Index],
    tolerance: float = 0.0,
) -> torch.Tensor:
    """Which of the points (n,) have a row that depends on other derivatives of u than ``indices``.

    The residuals of two functions are compared that agree in these derivatives at every point and differ in all others
    of any order: Taylor polynomials, and the same with Σ_β c_β (x − x_i)^β exp(s·(x − x_i)) added, where β are the
    minimal multi-indices outside of the known set. The known derivatives of the added sum are exactly zero at x_i, so
    unaffected rows are bitwise equal, and a term that acts at a single point only is not hidden by rounding errors.
    """
    x, inside = torch.as_tensor(data.train_x), closed(indices)
    dim, has = x.shape[1], set(inside)
    steps = {tuple(n + (i == axis) for i, n in enumerate(a)) for a in inside for axis in range(dim)} - has
    least = [
        b for b in steps if all(not n or tuple(m - (i == j) for j, m in enumerate(b)) in has for i, n in enumerate(b))
    ]
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(x)

    first, rates, sizes = random(len(x), len(inside), outputs), random(dim), random(len(least), outputs)
    gaps = [i for i, a in enumerate(inside) if a not in set(indices)]
    second = first.clone()
    second[:, gaps] = random(len(x), len(gaps), outputs)

    def rest(points: torch.Tensor) -> torch.Tensor:
        offset = points - points.detach()
        monomials = {(0,) * dim: 1 + 0 * offset[:, 0]}
        found = torch.stack([_monomial(monomials, offset, b) for b in sorted(least)], 1)
        return (found @ sizes) * torch.exp(offset @ rates)[:, None]

    def rows(jet: torch.Tensor, more: bool) -> list[torch.Tensor]:
        def u(points: torch.Tensor) -> torch.Tensor:
            value = taylor(points, jet, inside)
            value = value + rest(points) if more else value
            return value if transform is None else transform(points, value)

        vectors = residual_vectors(data, u, x.clone().requires_grad_())
        dde.grad.clear()
        return [v.detach().reshape(len(v), v.shape[1] if v.ndim > 1 else 1) for v in vectors]

    result = torch.zeros(len(x), dtype=torch.bool)
    starts = [0, *itertools.accumulate(data.num_bcs)]
    pairs = list(zip(rows(first, False), rows(second, True), strict=True))
    for i, (a, b) in enumerate(pairs):
        condition = i - len(pairs) + len(data.num_bcs)
        differs = ((a - b).abs() > tolerance * a.abs().max()) if tolerance else a != b
        differs = (differs & ~(a.isnan() & b.isnan())).any(1).cpu()
        begin = starts[-1] if condition < 0 else starts[condition]
        result[begin : begin + len(differs)] |= differs
    return result


def _tried(
    data: Any, outputs: int, transform: Callable[..., torch.Tensor] | None, indices: Sequence[Index] | None = None
) -> list[Index] | None:
    """Those of ``indices`` (or of all up to the sixth order) that the rows depend on; None as `orders`."""
    x = torch.as_tensor(data.train_x)
    highest = HIGHEST if x.shape[1] <= 3 else 4
    every = indices is None
    indices = multi_indices(x.shape[1], highest) if indices is None else list(indices)
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
        product = sum(((a * change[part]).sum((1, 2)) for part, a in parts), start=torch.zeros_like(exact))
        size = max(exact.abs().max().item(), product.abs().max().item(), 1e-300)
        if not math.isfinite(size) or (exact - product).abs().max().item() > 1e-8 * size:
            dde.grad.clear()
            return None
        used |= {index for index, n in zip(indices, slopes.abs().amax((0, 2)).tolist(), strict=True) if n > 0}
    dde.grad.clear()
    if every and any(sum(index) == highest for index in used):
        return None
    return _ordered(used | {(0,) * x.shape[1]})


def orders_of_problem(problem: Problem, *data: Any) -> list[Index] | None:
    """`orders` of a problem's residuals, at the points of its own distribution, of another, and of ``data``.

    The result is stored with the problem, including derivatives that occur only at the points of ``data``. Every method
    checks its own points, with the unknowns at their current values.
    """
    found = problem.remembered("orders", lambda: [_orders_of_problem(problem)], generic=True)
    for points in data:
        if found[0] is not None:
            found[0] = orders(points, len(problem.outputs), problem.output_transform, found[0])
    return found[0]


def _orders_of_problem(problem: Problem) -> list[Index] | None:
    data, outputs, transform = [], len(problem.outputs), problem.output_transform
    with seeded(0):
        data.append(collocation(problem))
        with contextlib.suppress(InputError):  # a condition may select none of the points
            data.append(collocation(problem, distribution="pseudo"))
    with generic(problem.variables.values()):  # an unknown equal to 0 would hide the term that it multiplies
        found = orders(data[0], outputs, transform)
    for points in data:
        if found is not None:
            found = orders(points, outputs, transform, found)
    return found


def highest(equations: Sequence[TermJet], indices: Sequence[Index]) -> np.ndarray:
    """The order of the equations in each output along each axis (outputs, d)."""
    used = torch.stack([(a != 0).any(0) for term in equations for _, a in term.parts]).any(0).numpy()
    return np.max(used[:, :, None] * np.array(indices)[:, None], axis=0)


def needed_orders(problem: Problem, method: str, *data: Any) -> list[Index]:
    """`orders_of_problem` for a method that requires it.

    Raises `InputError` where the residuals are no functions of jets.
    """
    found = orders_of_problem(problem, *data)
    if found is None:
        raise InputError(f"method: {method} needs residuals that depend on u at one point each; choose another method")
    return found


def check_plain(problem: Problem, method: str) -> None:
    """`InputError` if a problem has more than equations and conditions."""
    if problem.pde is None or problem.unknowns or problem.observations or problem.input_transform is not None:
        raise InputError(
            f"method: {method} needs a problem with equations, and without unknowns, observations and "
            "input_transform; choose another method"
        )


def values(
    data: Any,
    x: torch.Tensor,
    jet: torch.Tensor,
    indices: Sequence[Index],
    transform: Callable[..., torch.Tensor] | None = None,
) -> list[torch.Tensor]:
    """The residual vectors alone, each (r,)."""
    inputs = x.detach().clone().requires_grad_()
    found = residual_vectors(data, lambda points: taylor(points, jet, indices, transform), inputs)
    dde.grad.clear()
    return [v.detach().reshape(-1) for v in found]
