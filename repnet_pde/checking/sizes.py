"""Sizes of the terms of a problem at a given u, by which residuals are made dimensionless."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..backend import dde
from ..discretization.features import Features, jet_of
from ..discretization.jets import Index, TermJet, closed, term_jets
from ..networks.patches import Patches

CHUNK = 2000
"""Points at which derivatives are computed at once."""
NEXT, ROUNDING = 0.1, 1e-4
"""Lower bounds for the size of a derivative, relative to those of the next lower order over the domain's half width and
to those of all lower orders."""
NOTHING = 1e-9
"""An output counts as zero below this fraction of the size required to balance the terms of the other outputs."""


def network_jet(net: Any, x: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
    """D^α u (n, indices, outputs) of any network at x (n, d), transforms included; in general by reverse mode."""
    if (Features.known(net) or isinstance(net, Patches)) and net._output_transform is None:
        return jet_of(net, x, indices)
    every = closed(indices)
    inputs = x.detach().clone().requires_grad_()
    u = net(inputs)
    known = {every[0]: [u[:, c] for c in range(u.shape[1])]}
    for index in every[1:]:
        axis = next(i for i, n in enumerate(index) if n)
        lower = tuple(n - (i == axis) for i, n in enumerate(index))
        known[index] = [_slope(v, inputs, axis) for v in known[lower]]
    result = torch.stack([torch.stack([v.detach() for v in known[index]], 1) for index in indices], 1)
    dde.grad.clear()
    return result


def _slope(v: torch.Tensor, inputs: torch.Tensor, axis: int) -> torch.Tensor:
    if not v.requires_grad:
        return torch.zeros_like(inputs[:, axis])
    (slope,) = torch.autograd.grad(v.sum(), inputs, create_graph=True, allow_unused=True, materialize_grads=True)
    return slope[:, axis]


def relative_residuals(
    data: Any, net: Any, names: Sequence[str], indices: Sequence[Index], plain: dict[str, float] | None = None
) -> dict[str, float]:
    """Root mean square of each term's residual at the points of ``data`` over its size (`sized_terms`).

    Args:
        plain: root mean squares of the same residuals by name, computed without jets, where they are known: the larger
            of the two is used, so that derivatives missing in ``indices`` are detected.
    """
    x = torch.as_tensor(data.train_x)
    jet = torch.cat([network_jet(net, part, indices) for part in x.split(CHUNK)])
    found = {}
    for term, size in sized_terms(data, names, x, jet, indices):
        found[term.name] = relative_to(max(rms(term.residual), (plain or {}).get(term.name, 0.0)), size)
    return found


def relative_to(value: float, size: float) -> float:
    """``value`` over ``size``; 0/0 is 0, and any other value over 0 is infinite."""
    if math.isnan(value):
        return math.nan
    return value / size if size > 0 else (math.inf if value > 0 else 0.0)


def rms(v: torch.Tensor) -> float:
    """The root mean square of the entries, 0 where there are none."""
    return v.detach().square().mean().sqrt().item() if v.numel() else 0.0


def sized_terms(
    data: Any,
    names: Sequence[str],
    x: torch.Tensor,
    jet: torch.Tensor,
    indices: Sequence[Index],
    transform: Callable[..., torch.Tensor] | None = None,
) -> Iterator[tuple[TermJet, float]]:
    """Every term that has rows as (`TermJet`, its size by `term_sizes`), at u given by its jet at x."""
    yield from term_sizes(term_jets(data, names, x, jet, indices, transform), data, x, jet, indices)


def term_sizes(
    terms: Sequence[TermJet], data: Any, x: torch.Tensor, jet: torch.Tensor, indices: Sequence[Index]
) -> Iterator[tuple[TermJet, float]]:
    """Every term that has rows as (term, its size) for a function given by its jet (n, indices, outputs) at x.

    The size of an equation is the root mean square of Σ_α |∂r/∂D^α u| |D^α u| with both factors at the same point: if
    the coefficient is large where the derivative is small, the product of their mean sizes would be misleading. A
    derivative that vanishes, as u″ in u″ = 0, would consist of rounding errors only; therefore each derivative is
    bounded from below by `NEXT` times those of the next lower order at the same point over the half width of the points
    along their axis, and by `ROUNDING` times those below them. For a condition, which may state that u is zero, the
    mean sizes of the derivatives are used (`derivative_sizes`). A residual relative to its term's size is a
    dimensionless measure of how well the term is satisfied. ``indices`` are from `jets.orders`.
    """
    equations = terms[: len(terms) - len(data.num_bcs)]
    mean = derivative_sizes(x, jet, indices, _natural(equations, x, jet, indices))
    local = _floored(jet.abs(), x, indices)
    for i, term in enumerate(terms):
        if len(term.residual):
            parts = [a.abs() * (local[part] if i < len(equations) else mean) for part, a in term.parts]
            yield term, rms(sum(parts, start=torch.zeros_like(parts[0])).sum((1, 2)))


def derivative_sizes(
    x: torch.Tensor, jet: torch.Tensor, indices: Sequence[Index], least: torch.Tensor | None = None
) -> torch.Tensor:
    """The root mean square of each D^α u over the points (indices, outputs), from its jet (n, indices, outputs).

    Each is bounded from below by `NEXT` times those of the next lower order over the half width of the points along
    their axis, and by `ROUNDING` times those below them; u itself by ``least`` (outputs,).
    """
    sizes = jet.square().mean(0).sqrt()
    if least is not None:
        zero = list(indices).index((0,) * x.shape[1])
        sizes[zero] = sizes[zero].maximum(least)
    return _floored(sizes, x, indices)


def _floored(sizes: torch.Tensor, x: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
    """Sizes (..., indices, outputs) of derivatives, bounded from below by those of lower order."""
    result, half = sizes.clone(), half_widths(x)
    for i, index in enumerate(indices):
        for j, lower in enumerate(indices):
            steps = torch.tensor(index) - torch.tensor(lower)
            if (steps >= 0).all() and steps.any():
                part = NEXT if steps.sum() == 1 else ROUNDING
                result[..., i, :] = result[..., i, :].maximum(part * sizes[..., j, :] / (half**steps).prod())
    return result


def half_widths(x: torch.Tensor) -> torch.Tensor:
    """Half widths (d,) of the bounding box of points (n, d)."""
    return ((x.amax(0) - x.amin(0)) / 2).clamp_min(1e-300)


def _natural(
    equations: Sequence[TermJet], x: torch.Tensor, jet: torch.Tensor, indices: Sequence[Index]
) -> torch.Tensor:
    """For each output (outputs,) a size below which it counts as zero: `NOTHING` times the size required to balance the
    terms of the other outputs in the equations. Zero for an output that is not coupled to others."""
    half, outputs = half_widths(x), jet.shape[2]
    result = jet.new_zeros(outputs)
    for term in equations:
        for part, a in term.parts:
            products = (a.abs() * jet[part].abs()).sum(1)
            weights = a.square().mean(0).sqrt()
            for c in range(outputs):
                others = rms(products.sum(1) - products[:, c])
                for i, index in enumerate(indices):
                    weight = weights[i, c].item()
                    if weight > 0 and others > 0:
                        scale = (half ** torch.tensor(index)).prod().item()
                        result[c] = max(result[c].item(), NOTHING * others * scale / weight)
    return result
