"""Balance laws: check of a solution against the conservation, supply and dissipation in its equation.

A `Balance` of a problem in time, and of a steady one, states

    d/dt ∫ density dx = ∫ rate dx − ∮ flux · n ds,        0 = ∫ rate dx − ∮ flux · n ds,

over the space domain and its boundary, n outward. If time is the only coordinate (a TimeDomain), the density replaces
its integral. `defects` measures the error of a network in this balance by composite Gauss-Legendre rules along each
axis; the domain has to be a box.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..arguments import wavenumber as check_wavenumber
from ..backend import dde

NODES, FEWER = 12, 10
"""Nodes of a panel along an axis, and of the lower-order rule for the error estimate."""
LEAST_IN_TIME = 4
"""Minimum number of panels of the quadrature in time."""
UNKNOWN = 16
"""Initial number of panels along each axis if no wavenumber is known."""
MOST = 400_000
"""Maximum number of nodes of a rule."""
CHUNK = 2000
"""Points evaluated at a time, to bound the memory."""
SETTLED = 0.1
"""Quadrature error, relative to the defect or the problem's tolerance, below which refinement ends."""
ROUNDING = 1000
"""Rounding error of a balance relative to the unit roundoff."""

Term = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Balance:
    """One balance law. Its terms are functions of tensors x (n, d) and u (n, c), as the ``pde`` of a `Problem`.

    Args:
        density: gives (n, 1). Needed in time, and not allowed in steady problems.
        rate: gives (n, 1); None is zero.
        flux: gives (n, space dimensions), is evaluated on the boundary only; None is zero, which is right where the
            boundary conditions leave no flux.
    """

    density: Term | None = None
    rate: Term | None = None
    flux: Term | None = None

    def terms(self) -> dict[str, Term]:
        """Those that are not None, by name."""
        return {name: term for name, term in vars(self).items() if term is not None}


@dataclass(frozen=True)
class Defect:
    """The error in a balance.

    Attributes:
        relative: in time the largest |Q(t) − Q(0) − ∫₀ᵗ (R − F) dt| at the ends t of the panels over the largest
            ∫ |density| dx, where Q, R and F are the integrals of density, rate and flux; in steady problems |R − F|
            over ∫ |rate| dx + ∮ |flux · n| ds. Infinite where it is not finite.
        quadrature: estimate of the quadrature error in it.
        time: at which it is largest, or None.
    """

    relative: float
    quadrature: float
    time: float | None


def defects(problem: Any, net: Any, wavenumber: float | Sequence[float] | None = None) -> dict[str, Defect]:
    """The `Defect` of each of a problem's balances.

    Args:
        problem: a `Problem`; its unknowns are taken as they are.
        net: a network, or any function of tensors (n, d) to (n, c) that autograd can differentiate.
        wavenumber: the largest in u, radians per unit length, one number or one per axis; default the problem's.

    The initial panels are half a wavelength. Along the axes that need it they are halved until the quadrature error,
    estimated by rules with fewer nodes, is at rounding level or below a tenth of the defect or of the problem's
    tolerance, or until there would be more than `MOST` nodes.

    Raises:
        InputError: a ``wavenumber`` that cannot be used.
    """
    if not problem.balances:
        return {}
    waves = check_wavenumber(problem.wavenumber if wavenumber is None else wavenumber, problem.dim)
    floor = max(ROUNDING * torch.finfo(getattr(torch, problem.dtype)).eps, SETTLED * (problem.tolerance or 0.0))
    panels, axes = _panels(problem, waves), np.arange(problem.dim)

    def settled(defects: dict[str, Defect]) -> bool:
        return all(d.quadrature <= max(SETTLED * d.relative, floor) for d in defects.values())

    while True:
        fine = _imbalances(problem, net, panels, np.full(problem.dim, NODES))
        found = _compare(fine, _imbalances(problem, net, panels, np.full(problem.dim, FEWER)))
        if settled(found):
            return found
        along = [np.where(axes == axis, FEWER, NODES) for axis in axes]
        rough = [not settled(_compare(fine, _imbalances(problem, net, panels, nodes))) for nodes in along]
        panels = np.where(np.array(rough) | (not any(rough)), 2 * panels, panels)
        if (NODES * panels).prod() > MOST:
            return found


def _panels(problem: Any, waves: Sequence[float] | None) -> np.ndarray:
    """Panels along each axis: one for each half wave, since balances are of the second degree, and `MOST` nodes."""
    least = np.ones(problem.dim)
    if problem.evolves:
        least[-1] = LEAST_IN_TIME
    halves = UNKNOWN if waves is None else 2 * problem.box.half_width * np.array(waves) / np.pi
    wanted = np.maximum(least, halves)
    shrink = min(1.0, (MOST / (NODES * wanted).prod()) ** (1 / problem.dim))
    return np.maximum(np.rint(shrink * wanted), 1).astype(int)


@dataclass(frozen=True)
class _Imbalance:
    """The imbalance (t,) at some times (t,), or at None, and the size that it is compared with."""

    values: np.ndarray
    size: float
    times: np.ndarray | None

    def relative(self, values: np.ndarray) -> float:
        largest = np.abs(values).max()
        found = largest / self.size if self.size > 0 else (0.0 if largest == 0 else math.inf)
        return float(found) if np.isfinite(found) else math.inf


def _compare(fine: dict[str, _Imbalance], coarse: dict[str, _Imbalance]) -> dict[str, Defect]:
    found = {}
    for name, own in fine.items():
        time = None if own.times is None else float(own.times[np.abs(own.values).argmax()])
        found[name] = Defect(own.relative(own.values), own.relative(own.values - coarse[name].values), time)
    return found


def _imbalances(problem: Any, net: Any, panels: np.ndarray, nodes: np.ndarray) -> dict[str, _Imbalance]:
    """Each balance by the rule with so many panels along each axis, of so many nodes."""
    box = problem.box
    rules = [_rule(*axis) for axis in zip(box.lower, box.upper, panels, nodes, strict=True)]
    evolves = problem.evolves
    space, (times, weights) = (rules[:-1], rules[-1]) if evolves else (rules, (np.empty((1, 0)), np.ones(1)))

    gain = {name: np.zeros(len(times)) for name in problem.balances}
    size = {name: np.zeros(len(times)) for name in problem.balances}
    for name, (rate, magnitude) in _integrals(problem, net, "rate", 0, space, times).items():
        gain[name] += rate
        size[name] += magnitude
    for axis in range(len(space)):
        face = np.array([[box.lower[axis]], [box.upper[axis]]]), np.array([-1.0, 1.0])
        faces = [*space[:axis], face, *space[axis + 1 :]]
        for name, (flux, magnitude) in _integrals(problem, net, "flux", axis, faces, times).items():
            gain[name] -= flux
            size[name] += magnitude
    if not evolves:
        return {name: _Imbalance(gain[name], float(size[name].max()), None) for name in gain}

    found, ends = {}, np.linspace(box.lower[-1], box.upper[-1], panels[-1] + 1)
    for name, (amount, magnitude) in _integrals(problem, net, "density", 0, space, ends[:, None]).items():
        gained = np.append(0, np.cumsum((weights * gain[name]).reshape(panels[-1], -1).sum(1)))
        found[name] = _Imbalance(amount - amount[0] - gained, float(magnitude.max()), ends)
    return found


def _rule(low: float, high: float, panels: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 1) and weights (n,) of a composite Gauss-Legendre rule."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    half = (high - low) / panels / 2
    centers = low + half * (2 * np.arange(panels) + 1)
    return (centers[:, None] + half * x).reshape(-1, 1), np.tile(half * weights, panels)


def _integrals(
    problem: Any, net: Any, term: str, column: int, rules: Sequence[tuple[np.ndarray, np.ndarray]], times: np.ndarray
) -> dict[str, tuple]:
    """∫ f and ∫ |f|, both (t,), at times (t, 1), for the balances that have the term; f is one column of it.

    ``rules`` has points (n, 1) and weights (n,) along each axis of space.
    """
    terms = {name: b.terms()[term] for name, b in problem.balances.items() if term in b.terms()}
    points, weights = np.empty((1, 0)), np.ones(1)
    for nodes, factors in rules if terms else ():
        points = np.hstack([np.repeat(points, len(nodes), 0), np.tile(nodes, (len(points), 1))])
        weights = np.outer(weights, factors).ravel()
    x = np.hstack([np.tile(points, (len(times), 1)), np.repeat(times, len(points), 0)])
    values = {name: v[:, column].reshape(len(times), -1) for name, v in _values(problem, net, terms, x).items()}
    return {name: (v @ weights, np.abs(v) @ np.abs(weights)) for name, v in values.items()}


def _values(problem: Any, net: Any, terms: dict[str, Term], x: np.ndarray) -> dict[str, np.ndarray]:
    """Terms (n, columns) at x (n, d), in chunks."""
    parts: dict[str, list] = {name: [] for name in terms}
    for part in torch.as_tensor(x, dtype=getattr(torch, problem.dtype)).split(CHUNK) if terms else ():
        inputs = part.clone().requires_grad_()
        dde.grad.clear()
        u = net(inputs)
        for name, term in terms.items():
            parts[name].append(term(inputs, u).detach().double().cpu())
    dde.grad.clear()
    return {name: torch.cat(values).numpy() for name, values in parts.items()}
