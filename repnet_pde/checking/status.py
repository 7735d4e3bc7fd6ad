"""Convergence status of a solution: residuals at validation points, an independent solution, ranges."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from .. import limits
from ..backend import dde, seeded
from ..discretization.jets import TermJet, highest, multi_indices, orders, some, taylor, term_jets
from ..networks.patches import Patches
from ..networks.slabs import Slabs
from ..problem.points import collocation, inside, scattered_points
from ..problem.problem import Problem
from ..problem.residuals import residual_vectors
from . import accuracy
from .sizes import CHUNK, derivative_sizes, half_widths, network_jet, relative_residuals, relative_to, rms
from .stated import UNMET, stated_residuals

FRESH = 4000
"""Number of validation points inside the domain, where the residual is evaluated."""
FEW = 200
"""The same, and of each condition, for a training that was stopped: it is not converged, and the time is over."""
RANGE_POINTS = 4000
"""Points at which the range of the solution is determined."""
INTERFACE_POINTS = 200
"""Points on an interface at which its jumps are measured."""
FACES, ON_FACE, BESIDE = 1000, 3, 1e-15
"""For multidomain networks: maximum number of faces between subdomains that are checked along each axis, points on
each, and the distance, relative to the coordinates, at which both sides of a face are evaluated."""
BETWEEN = "between the pieces"

CONVERGED, UNVERIFIED, NOT_CONVERGED = "converged", "residual small but not verified", "not converged"
SMALL = 1e-5
"""Relative residual up to which a solution counts as converged if an independent solution is close."""
LARGE = 1e-3
"""Relative residual above which it is not called small."""
OVERFITTED = 10.0
"""Ratio of the residuals at validation and at training points above which there were too few training points."""
TRUSTED = 1e-4
"""Distance to an independent solution below which a solution counts as converged."""
DOUBTED = 3e-4
"""The same distance above which the residual is not called small: the error may be thirty times as large."""
UNCHECKED = 1e-4
"""Relative residual up to which it is called small if there is no independent solution."""
DETERMINED = 1e-6
"""Relative residual of a function below which it can be added to the solution, which is then not unique."""
FREE = 100.0
"""The same in multiples of the solution's own residual: 1/100 of that function can then be added without a larger
residual."""
BEYOND = 100.0
"""Ratio of the largest |u| to the size suggested by the data above which an independent solution is required."""
MISSED = 30.0
"""Ratio of the error to the indicator from which the discrepancy is investigated."""


@dataclass(frozen=True)
class Verification:
    """Verification of a solution without the exact one.

    Attributes:
        status: "converged", "residual small but not verified" or "not converged".
        reason: why, in words.
        residuals: root mean square of each term at validation points, unweighted.
        relative: the same relative to the size of the terms (see `sizes.relative_residuals`); with interfaces also the
            jumps of u and of the fluxes there.
        error_indicator: relative L2 distance to an independent solution, or None.
        loosest: largest relative residual, in the homogeneous problem, of the function to which equations and
            conditions are least sensitive (`determination`), or None.
        ranges: by output (lowest, highest) value at scattered points.
        notes: further information for the user.
    """

    status: str
    reason: str
    residuals: dict[str, float]
    relative: dict[str, float]
    error_indicator: float | None
    loosest: float | None = None
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def verify(
    problem: Problem,
    net: Any,
    data: Any,
    *,
    seed: int,
    wavenumber: Sequence[float] | np.ndarray,
    indicator: float | None = None,
    loosest: float | None = None,
    finished: bool = True,
    errors: accuracy.Errors | None = None,
) -> Verification:
    """The `Verification` of a trained network.

    Args:
        data: the points that it was trained on, or None to omit the comparison with them.
        seed: of the run; the validation points have another.
        wavenumber: (d,) the largest along each axis.
        indicator: relative L2 distance to an independent solution, where one was computed.
        loosest: as in `convergence_status`.
        finished: whether training ended by itself.
        errors: against the stated solution, if there is one: if they contradict the status, it is determined which of
            the two does not satisfy the equations.
    """
    with seeded(seed + 1):
        fresh = collocation(problem, wavenumber=wavenumber, fresh=FRESH, distribution="pseudo")
    if not finished and limits.current().ended:
        fresh, data = some(fresh, FEW), None if data is None else some(data, FEW)
    terms, names = _Terms(problem, fresh), problem.term_names
    residuals = {name: rms(v) for name, v in zip(names, residual_vectors(fresh, net), strict=True)}
    dde.grad.clear()
    relative = terms.relative(net, residuals) | interface_jumps(problem, net) | terms.jumps(net)
    trained = None if data is None else _Terms(problem, data).relative(net)
    judged = of_equations(relative, problem) or relative
    word, reason = convergence_status(judged, trained, indicator, finished, loosest)
    ranges, notes = ranges_of(problem, net), []
    beyond = terms.beyond(net, ranges)
    if beyond is not None:
        notes.append(beyond)
        if word == UNVERIFIED and not (indicator is not None and indicator < TRUSTED):
            word, reason = NOT_CONVERGED, f"{reason}; {beyond}"
    if terms.unstarted():
        notes.append("no condition holds at the start of time, though the equations have derivatives in time")
    if word == NOT_CONVERGED:
        notes += contradictions(problem, terms, judged)
    found = Verification(word, reason, residuals, relative, indicator, loosest, ranges, tuple(notes))
    return found if errors is None else compared(found, problem, terms, errors, wavenumber)


def expected_to_remain(problem: Problem) -> set[str]:
    """Names of the terms whose residuals do not vanish because of noise: observations for unknowns."""
    return set(problem.observations) if problem.unknowns or problem.unknown_fields else set()


def of_equations(relative: dict[str, float], problem: Problem) -> dict[str, float]:
    """Those of the relative residuals that should vanish."""
    remain = expected_to_remain(problem)
    return {name: v for name, v in relative.items() if name not in remain}


class _Terms:
    """The terms of a problem at given points, and the sizes by which their residuals are scaled."""

    def __init__(self, problem: Problem, data: Any):
        self.problem, self.data, self.names = problem, data, problem.term_names
        self.indices = orders(data, len(problem.outputs))

    @property
    def pointwise(self) -> bool:
        """Whether the residuals depend on u at one point each."""
        return self.indices is not None

    def relative(self, net: Any, plain: dict[str, float] | None = None) -> dict[str, float]:
        """Relative residuals of a network by name; ``plain``: their root mean squares, where they are known."""
        if self.indices is not None:
            return relative_residuals(self.data, net, self.names, self.indices, plain)
        plain = plain or dict(zip(self.names, map(rms, self._residuals(net)), strict=True))
        sizes = dict(zip(self.names, self._probed(net), strict=True))
        return {name: relative_to(plain[name], sizes[name]) for name in self.names if plain[name] or sizes[name]}

    def _residuals(self, u: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        found = [v.detach() for v in residual_vectors(self.data, u)]
        dde.grad.clear()
        return found

    def _probed(self, net: Any) -> list[float]:
        """Sizes of residuals that depend on u at several points: their values at u = 0, which come from the data, and
        their changes by a smooth function as large as u."""
        x, problem = torch.as_tensor(self.data.train_x), self.problem
        with torch.no_grad():
            size = net(x).square().mean(0).sqrt()
        half, middle = half_widths(x), (x.amax(0) + x.amin(0)) / 2
        phases = torch.arange(len(problem.outputs), dtype=x.dtype)

        def wave(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
            def u(inputs: torch.Tensor) -> torch.Tensor:
                angle = ((inputs - middle) / half).sum(1, keepdim=True)
                value = factor * size * (torch.sin(1.3 * angle + phases) + 0.7)
                return value if problem.output_transform is None else problem.output_transform(inputs, value)

            return u

        zero, one = self._residuals(wave(0.0)), self._residuals(wave(1.0))
        return [max(rms(a), rms(b - a)) for a, b in zip(zero, one, strict=True)]

    def jumps(self, net: Any) -> dict[str, float]:
        """Jumps between the subdomains of a network: of u and its normal derivatives below the order of the equations.

        The total variation of the jumps along a line is divided by the size of the quantity (`derivative_sizes`). The
        residuals inside the subdomains do not show jumps, and small jumps at many faces can accumulate until the result
        solves a different problem.
        """
        if not isinstance(net, (Patches, Slabs)) or self.indices is None:
            return {}
        problem, data = self.problem, some(self.data)
        x = torch.as_tensor(data.train_x)
        terms = term_jets(data, self.names, x, network_jet(net, x, self.indices), self.indices)
        order, worst = highest(terms[: len(problem.residual_names or ())], self.indices), 0.0
        x = x[net.covers(x)]
        for axis, at, share in net.faces(FACES, ON_FACE):
            within = torch.as_tensor(inside(problem, at.cpu().numpy())) & net.covers(at).cpu()
            at, share = at[within.to(at.device)], share[within].to(at)
            if not len(at) or not len(x):
                continue
            indices = [tuple(n * (i == axis) for i in range(problem.dim)) for n in range(max(order[:, axis].max(), 1))]
            sizes = derivative_sizes(x, network_jet(net, x, indices), indices)
            away = BESIDE * max(abs(problem.box.lower[axis]), abs(problem.box.upper[axis]))
            one, other = (network_jet(net, side, indices) for side in _beside(at, axis, away))
            jumps = share[:, None, None] * (one - other).abs()
            for interface in problem.interfaces:  # where derivatives may jump
                if interface.axis == axis:
                    at_it = (at[:, axis] - interface.at).abs() < 1e-9 * problem.box.half_width[axis]
                    jumps[at_it, 1:] = 0.0
            continuous = torch.arange(len(indices))[:, None] < torch.as_tensor(order[:, axis])
            pairs = zip(jumps.nansum(0)[continuous].tolist(), sizes[continuous].tolist(), strict=True)
            worst = max([worst, *(relative_to(jump, size) for jump, size in pairs)])
        return {BETWEEN: worst}

    def unstarted(self) -> bool:
        """Whether the equations have time derivatives, and no condition holds inside the domain at the initial time."""
        problem = self.problem
        if not problem.in_time or problem.output_transform is not None or self.indices is None:
            return False
        if not any(index[-1] for index in self.indices):
            return False
        x = self.data.train_x[: sum(self.data.num_bcs)]
        inner = ~np.asarray(problem.geometry.geometry.on_boundary(x[:, :-1]), dtype=bool)
        start, length = problem.box.lower[-1], 2 * problem.box.half_width[-1]
        return not (inner & (x[:, -1] - start <= 1e-6 * length)).any()

    def beyond(self, net: Any, ranges: dict[str, tuple[float, float]]) -> str | None:
        """A sentence about outputs that are far larger than the data suggest, or None.

        The data are the values of each term at u = 0. Divided by the typical coefficient of D^α u and multiplied by the
        half widths to the power α, they give the expected size of u.
        """
        if self.indices is None:
            return None
        problem, x = self.problem, torch.as_tensor(self.data.train_x)
        jet = torch.cat([network_jet(net, part, self.indices) for part in x.split(CHUNK)])
        zero = self._residuals(_zero_of(problem))
        half, expected = half_widths(x), dict.fromkeys(problem.outputs, 0.0)
        for term, data in zip(term_jets(self.data, self.names, x, jet, self.indices), zero, strict=True):
            if not len(data):
                continue
            size = data.abs().max().item()
            for _, a in term.parts:
                weights = _typical(a.abs())
                for i, index in enumerate(self.indices):
                    scale = (half ** torch.tensor(index)).prod().item()
                    for c, name in enumerate(problem.outputs):
                        if weights[i, c] > 0:
                            expected[name] = max(expected[name], size * scale / weights[i, c].item())
        said = []
        for name, (low, high) in ranges.items():
            largest = max(abs(low), abs(high))
            if expected[name] > 0 and not largest <= BEYOND * expected[name]:
                said.append(f"{name} reaches {largest:.1e}, where the data suggest {expected[name]:.1e}")
        return "; ".join(said) or None


def _typical(a: torch.Tensor) -> torch.Tensor:
    """The median of coefficients (n, indices, outputs) over the points at which they are not zero."""
    return torch.nan_to_num(torch.where(a > 0, a, math.nan).nanmedian(0).values)


def _zero_of(problem: Problem) -> Callable[[torch.Tensor], torch.Tensor]:
    def u(x: torch.Tensor) -> torch.Tensor:
        value = (0 * torch.sin(x.sum(1, keepdim=True))).expand(-1, len(problem.outputs))
        return value if problem.output_transform is None else problem.output_transform(x, value)

    return u


def ranges_of(problem: Problem, net: Any) -> dict[str, tuple[float, float]]:
    """By output (lowest, highest) value at scattered points."""
    u = accuracy.predict(net, scattered_points(problem, RANGE_POINTS), problem.dim, problem.dtype)
    if not np.isfinite(u).any(0).all():
        return dict.fromkeys(problem.outputs, (math.nan, math.nan))
    return {
        name: (float(low), float(high))
        for name, low, high in zip(problem.outputs, np.nanmin(u, 0), np.nanmax(u, 0), strict=True)
    }


def _beside(x: torch.Tensor, axis: int, away: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Points on either side of x (n, d), ``away`` from them along an axis."""
    step = torch.zeros_like(x)
    step[:, axis] = away
    return x - step, x + step


VANISHING = 1e-3
"""Part of what derivatives of their usual sizes would give, below which a flux counts as that."""


def interface_jumps(problem: Problem, net: Any) -> dict[str, float]:
    """The jumps of u and of the flux across each interface, relative to their sizes there or those that u has in the
    domain, whichever is larger: at the interface itself they may vanish."""
    found: dict[str, float] = {}
    if not problem.interfaces:
        return found
    box, indices = problem.box, multi_indices(problem.dim, 1)
    anywhere = torch.tensor(scattered_points(problem, INTERFACE_POINTS))
    inner = network_jet(net, anywhere, indices)
    usual = derivative_sizes(anywhere, inner, indices)
    for number, interface in enumerate(problem.interfaces, 1):
        axis = interface.axis
        x = anywhere.numpy().copy()
        x[:, axis] = interface.at
        x = x[inside(problem, x)]
        if not len(x):
            continue
        away = 1e-10 * (box.upper[axis] - box.lower[axis])
        jets = [(at, network_jet(net, at, indices)) for at in _beside(torch.tensor(x), axis, away)]
        passing = max(rms(_flux(interface, anywhere, inner)), VANISHING * _flux_size(interface, anywhere, usual))
        values, fluxes = [jet[:, 0] for _, jet in jets], [_flux(interface, at, jet) for at, jet in jets]
        for what, (a, b), size in (("value", values, rms(usual[0])), ("flux", fluxes, passing)):
            found[f"interface {number} ({what})"] = relative_to(rms(a - b), max(rms(a), rms(b), size))
    return found


def _flux(interface: Any, at: torch.Tensor, jet: torch.Tensor) -> torch.Tensor:
    """The flux (n, parts) of an interface at points (n, d), of a jet (n, indices, outputs) of order one."""
    at = at.clone().requires_grad_()
    flux = interface.flux(at, taylor(at, jet, multi_indices(at.shape[1], 1)))
    dde.grad.clear()
    parts = flux if isinstance(flux, (list, tuple)) else [flux]
    return torch.cat([part.detach() for part in parts], 1)


def _flux_size(interface: Any, at: torch.Tensor, usual: torch.Tensor) -> float:
    """The size of the flux, which is linear in u and its derivatives, where these have sizes (indices, outputs)."""
    total = 0.0
    for i, c in np.ndindex(*usual.shape):
        jet = at.new_zeros(len(at), *usual.shape)
        jet[:, i, c] = usual[i, c]
        total += rms(_flux(interface, at, jet)) ** 2
    return math.sqrt(total)


# Status and messages ------------------------------------------------------------------------------------------------


def convergence_status(
    fresh: dict[str, float],
    training: dict[str, float] | None,
    indicator: float | None,
    finished: bool,
    loosest: float | None = None,
) -> tuple[str, str]:
    """(status, why).

    Args:
        fresh, training: relative residuals at validation and at training points (or None).
        indicator: of the error, or None.
        finished: whether training ended by itself.
        loosest: relative residual of the function to which equations and conditions are least sensitive
            (`determination`), or None.
    """
    name, worst = max(fresh.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])
    trained = (training or {}).get(name, worst) or worst
    said = f"relative residual {worst:.1e} at validation points ({name})"
    if not finished:
        return NOT_CONVERGED, f"training was stopped; {said}"
    if not worst <= LARGE:
        return NOT_CONVERGED, said
    if worst > max(OVERFITTED * trained, SMALL):
        return NOT_CONVERGED, f"{said}, {worst / trained:.0f} times that at the training points: more are needed"
    if loosest is not None and loosest < max(DETERMINED, FREE * worst):
        text = f"a function that can be added to it leaves a relative residual of {loosest:.1e} only"
        return NOT_CONVERGED, f"{said}, but the solution is hardly determined: {text}; is a condition missing?"
    if indicator is None:
        said += "; no independent solution to compare with"
        return (UNVERIFIED if worst <= UNCHECKED else NOT_CONVERGED), said
    said += f"; relative distance to an independent solution {indicator:.1e}"
    if not indicator <= DOUBTED:
        return NOT_CONVERGED, f"{said}: too few basis functions, or the solution is hardly determined"
    if worst <= SMALL and indicator < TRUSTED:
        return CONVERGED, said
    return UNVERIFIED, said


def contradictions(problem: Problem, at: "_Terms", relative: dict[str, float]) -> list[str]:
    """Sentences about pairs of conditions that prescribe different values of u at the same points."""
    if at.indices is None:
        return []
    x = torch.as_tensor(at.data.train_x)
    terms = term_jets(at.data, at.names, x, network_jet(_zero_of(problem), x, at.indices), at.indices)
    found = []
    for i, one in enumerate(terms):
        for other in terms[i + 1 :]:
            if len(one.parts) > 1 or len(other.parts) > 1 or one.name not in problem.conditions:
                continue
            if max(relative.get(one.name, 0.0), relative.get(other.name, 0.0)) <= LARGE:
                continue
            place = _contradiction(x, one, other)
            if place is not None:
                where = ", ".join(f"{v:.6g}" for v in place)
                found.append(f"the conditions {one.name!r} and {other.name!r} contradict each other at ({where})")
    return found


def _contradiction(x: torch.Tensor, one: TermJet, other: TermJet) -> list[float] | None:
    """A point at which most rows that two conditions share have the same operator on u but different values."""
    (first, a), (second, b) = one.parts[0], other.parts[0]
    places = {tuple(p): i for i, p in enumerate(x[first].tolist())}
    pairs = [(places[tuple(p)], j) for j, p in enumerate(x[second].tolist()) if tuple(p) in places]
    if not pairs or len(pairs) < 0.5 * min(len(one.residual), len(other.residual)):
        return None
    bad = []
    for i, j in pairs:
        u, v = a[i].reshape(-1), b[j].reshape(-1)
        norms = u.norm() * v.norm()
        if norms == 0 or abs(float(u @ v)) < (1 - 1e-9) * float(norms):
            continue
        asked = -one.residual[i, 0] / u.norm(), -other.residual[j, 0] / v.norm() * torch.sign(u @ v)
        if abs(asked[0] - asked[1]) > LARGE * max(abs(asked[0]), abs(asked[1])):
            bad.append(x[first][i].tolist())
    return bad[0] if 2 * len(bad) > len(pairs) else None


def compared(
    found: Verification,
    problem: Problem,
    terms: "_Terms",
    errors: accuracy.Errors,
    wavenumber: Sequence[float] | np.ndarray,
) -> Verification:
    """The status, amended where the error against the stated solution contradicts it.

    If the error is `MISSED` times the indicator or more, the stated solution is inserted into the equations and
    conditions: if it does not satisfy them, this is reported; if it does, the problem has several solutions.
    """
    error, indicator = errors.relative_l2, found.error_indicator
    claimed = found.status != NOT_CONVERGED and errors.against == "solution"
    if not claimed or error is None or terms.indices is None:
        return found
    if not error > max(MISSED * (indicator or 0.0), 10 * DOUBTED):
        return found
    stated = stated_residuals(problem, terms.data, terms.indices, wavenumber)
    unmet = {name: v for name, v in stated.items() if v > UNMET}
    if unmet:
        name = max(unmet, key=lambda name: unmet[name])
        text = f"the stated solution does not meet {name!r} (relative residual {unmet[name]:.1e}), which this one does"
        return replace(found, notes=(*found.notes, text))
    if set(stated) == set(found.relative):
        text = "the stated solution meets equations and conditions as well: they have more than one solution"
        return replace(found, status=NOT_CONVERGED, reason=f"{found.reason}; {text}")
    text = "the stated solution is another one, and whether it meets the equations could not be found out numerically"
    return replace(found, status=NOT_CONVERGED, reason=f"{found.reason}; {text}")
