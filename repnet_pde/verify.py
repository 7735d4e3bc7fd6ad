"""Is a solution to be believed? Residuals at fresh points, relative to the size of their terms, and a verdict."""

import math
from collections.abc import Sequence

import torch

from ._backend import dde
from .jets import Index, closed, term_jets

CHUNK = 5000

CONVERGED, UNVERIFIED, NOT_CONVERGED = "converged", "residual small but not verified", "not converged"
SMALL = 1e-5
LARGE = 1e-3
OVERFITTED = 10.0
TRUSTED = 1e-4


def network_jet(net, x: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
    """D^α u (n, indices, outputs) of any network at x (n, d), transforms included, by repeated reverse mode."""
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


def relative_residuals(data, net, names: Sequence[str], indices: Sequence[Index]) -> dict[str, float]:
    """Root mean square of each term's residual at the points of ``data`` over the size of the terms it consists of.

    That size is the root mean square of Σ_α |∂r/∂D^α u| times the root mean square of D^α u over all points: a
    dimensionless measure of how well the equation is met. ``indices`` are from `jets.orders`.
    """
    x = torch.as_tensor(data.train_x)
    jet = torch.cat([network_jet(net, part, indices) for part in x.split(CHUNK)])
    sizes = jet.square().mean(0).sqrt()
    found = {}
    for term in term_jets(data, names, x, jet, indices):
        if not len(term.residual):
            continue
        weights = sum(a.abs() for _, a in term.parts)
        size = (weights * sizes).sum((1, 2)).square().mean().sqrt().item()
        rms = term.residual.square().mean().sqrt().item()
        found[term.name] = rms / size if size > 0 else (math.inf if rms > 0 else 0.0)
    return found


def verdict(fresh: dict[str, float] | None, training: dict[str, float] | None, indicator: float | None, finished: bool):
    """(verdict, why) from relative residuals at fresh and at training points, and the error indicator or None."""
    if fresh is None:
        return UNVERIFIED, "the residuals are not functions of u at one point each, so their size cannot be judged"
    name, worst = max(fresh.items(), key=lambda item: item[1] if item[1] == item[1] else math.inf)
    trained = training.get(name, worst)
    said = f"relative residual {worst:.1e} at fresh points ({name})"
    if not finished:
        return NOT_CONVERGED, f"training was stopped; {said}"
    if not worst <= LARGE:
        return NOT_CONVERGED, said
    if worst > max(OVERFITTED * trained, SMALL):
        return NOT_CONVERGED, f"{said}, {worst / trained:.0f} times that at the training points: more are needed"
    if indicator is None:
        return UNVERIFIED, f"{said}; no independent solution to compare with"
    said += f"; relative distance to an independent solution {indicator:.1e}"
    if indicator > max(LARGE, 0.0):
        return NOT_CONVERGED, f"{said}: the solution is not determined, or too few features"
    if worst <= SMALL and indicator <= TRUSTED:
        return CONVERGED, said
    return UNVERIFIED, said
