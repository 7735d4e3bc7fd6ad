"""Is a solution to be believed? Residuals at fresh points, relative to the size of their terms, and a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ._backend import dde, seeded
from .features import Features, jet_of
from .jets import Index, closed, orders, term_jets
from .network.patches import Patches
from .residuals import collocation, residual_vectors

CHUNK = 2000
FRESH = 4000
"""Most fresh points inside the domain."""

CONVERGED, UNVERIFIED, NOT_CONVERGED = "converged", "residual small but not verified", "not converged"
SMALL = 1e-5
LARGE = 1e-3
OVERFITTED = 10.0
TRUSTED = 1e-4
ROUNDING = 1e-4
"""Least size of a derivative relative to u over the domain's half widths."""


@dataclass(frozen=True)
class Verdict:
    """What can be said of a solution without knowing the exact one.

    Attributes:
        verdict: "converged", "residual small but not verified" or "not converged".
        reason: why, in words.
        residuals: root mean square of each term at fresh points, unweighted.
        relative: the same relative to the size of the terms (see `relative_residuals`), or None where it is not
            defined.
        error_indicator: relative L2 distance to an independent solution, or None.
    """

    verdict: str
    reason: str
    residuals: dict[str, float]
    relative: dict[str, float] | None
    error_indicator: float | None


def verify(problem, net, data, *, seed: int, wavenumber=None, indicator: float | None = None, finished: bool = True):
    """The `Verdict` on a trained network.

    Args:
        data: the points that it was trained on, or None to leave them out of the comparison.
        seed: of the run; the fresh points have another.
        indicator: relative L2 distance to an independent solution, where one was computed.
        finished: whether training ended by itself.
    """
    with seeded(seed + 1):
        fresh = collocation(problem, wavenumber=wavenumber, few=FRESH, distribution="pseudo")
        indices = orders(collocation(problem, few=20), len(problem.outputs))
    names = problem.term_names
    residuals = {
        name: math.sqrt(v.detach().square().mean().item())
        for name, v in zip(names, residual_vectors(fresh, net), strict=True)
    }
    dde.grad.clear()
    relative = trained = None
    if indices is not None:
        relative = relative_residuals(fresh, net, names, indices)
        trained = relative if data is None else relative_residuals(data, net, names, indices)
    judged = relative if relative is None else of_equations(relative, problem) or relative
    word, reason = verdict(judged, trained, indicator, finished)
    return Verdict(word, reason, residuals, relative, indicator)


def of_equations(relative: dict[str, float], problem) -> dict[str, float]:
    """Those of the terms that are no observations, which noise keeps from vanishing."""
    return {name: v for name, v in relative.items() if name not in problem.observations}


def network_jet(net, x: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
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


def relative_residuals(data, net, names: Sequence[str], indices: Sequence[Index]) -> dict[str, float]:
    """Root mean square of each term's residual at the points of ``data`` over its size (`sized_terms`)."""
    x = torch.as_tensor(data.train_x)
    jet = torch.cat([network_jet(net, part, indices) for part in x.split(CHUNK)])
    found = {}
    for term, size in sized_terms(data, names, x, jet, indices):
        rms = term.residual.square().mean().sqrt().item()
        found[term.name] = rms / size if size > 0 else (math.inf if rms > 0 else 0.0)
    return found


def sized_terms(data, names: Sequence[str], x, jet, indices: Sequence[Index], transform=None):
    """Every term that has rows as (`TermJet`, its size), at u given by its jet at x.

    The size is the root mean square of Σ_α |∂r/∂D^α u| times the size of D^α u (`derivative_sizes`): a residual
    relative to it is a dimensionless measure of how well the equation is met. ``indices`` are from `jets.orders`.
    """
    sizes = derivative_sizes(x, jet, indices)
    for term in term_jets(data, names, x, jet, indices, transform):
        if len(term.residual):
            weights = sum(a.abs() for _, a in term.parts)
            yield term, (weights * sizes).sum((1, 2)).square().mean().sqrt().item()


def derivative_sizes(x: torch.Tensor, jet: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
    """The root mean square of each D^α u over the points (indices, outputs), from its jet (n, indices, outputs).

    A derivative that vanishes, as u″ in u″ = 0, is left with its rounding: none is smaller than those of the next lower
    order over the half width of the points along their axis, or `ROUNDING` times those below them.
    """
    raw = jet.square().mean(0).sqrt()
    sizes = raw.clone()
    half = ((x.amax(0) - x.amin(0)) / 2).clamp_min(1e-300)
    for i, index in enumerate(indices):
        for j, lower in enumerate(indices):
            steps = torch.tensor(index) - torch.tensor(lower)
            if (steps >= 0).all() and steps.any():
                part = 1.0 if steps.sum() == 1 else ROUNDING
                sizes[i] = sizes[i].maximum(part * raw[j] / (half**steps).prod())
    return sizes


def verdict(fresh, training, indicator: float | None, finished: bool) -> tuple[str, str]:
    """(verdict, why) from relative residuals at fresh and at training points, and the error indicator or None."""
    if fresh is None:
        return UNVERIFIED, "the residuals are not functions of u at one point each, so their size cannot be judged"
    name, worst = max(fresh.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])
    trained = training.get(name, worst) or worst
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
    if indicator > LARGE:
        return NOT_CONVERGED, f"{said}: the solution is not determined, or too few features"
    if worst <= SMALL and indicator <= TRUSTED:
        return CONVERGED, said
    return UNVERIFIED, said
