"""The largest wavenumber of a problem's solution: stated by the problem, or estimated from its data and equations."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..backend import dde
from ..domain import box_of
from ..problem.points import hold
from ..problem.problem import Problem
from .linearity import is_linear
from .spectrum import of_function, of_samples, spectral_peaks
from .symbol import operator, symbol_wavenumber

MODERATE = 10.0
"""Waves across the domain from which the search begins along an axis where the data do not resolve the wavenumber."""
ROUNDING = 1e-13
"""A source below this size relative to those of the other equations is rounding, such as the divergence of an exact
flow."""
INSET = 1e-3
"""Fraction of a face's width that is excluded at its edges: the normal at a vertex is not that of the face."""
MORE = 1.2
"""Ratio from which one wavenumber counts as larger than another."""


@dataclass(frozen=True)
class Wavenumber:
    """The largest wavenumbers of a problem's solution, radians per unit of length, as far as known before it is solved.

    Attributes:
        data: (d,) stated by the problem, or else those that its data show.
        values: (d,) used for planning. If the problem does not state them and its equations are linear, they include
            the wavenumbers of waves that solve the equations.
        resolved: (d,) whether the data resolve the largest; if not, ``data`` is only a moderate starting value.
        note: text on where they come from; None when the problem states them.
    """

    data: tuple[float, ...]
    values: tuple[float, ...]
    resolved: tuple[bool, ...]
    note: str | None


def problem_wavenumber(problem: Problem) -> Wavenumber:
    """The wavenumbers to plan for.

    If the problem does not state them, they are the largest found, along each axis, in what is known before the
    problem is solved: the PDE's residual at u = 0, which is minus the source term for a linear PDE; boundary and
    initial values on the faces of the bounding box; observations; and wave solutions of linear equations
    (`symbol.symbol_wavenumber`). Scales that appear only in the solution, such as those of a shock, are missed.
    """
    return problem.remembered("wavenumber", lambda: _problem_wavenumber(problem))


def _problem_wavenumber(problem: Problem) -> Wavenumber:
    dim = problem.dim
    if problem.wavenumber is not None:
        stated = tuple(float(k) for k in np.broadcast_to(problem.wavenumber, dim))
        return Wavenumber(stated, stated, (True,) * dim, None)
    least, doubts = np.pi / problem.box.half_width, []
    found, resolved = least, np.full(dim, True)
    for what, estimate in _estimates(problem):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                k, sure = estimate()
        except Exception:  # the user's functions may not be made for the whole bounding box
            doubts.append(what)
            continue
        found, resolved = np.maximum(found, k), resolved & sure
        if not np.all(sure):
            doubts.append(
                "not resolved by the samples"
                if np.ndim(sure) == 0
                else f"not resolved: at most {MODERATE:g} waves to start with"
            )
    note = f"wavenumber estimated from the problem's data: {said(found)}"
    note += f" ({', '.join(dict.fromkeys(doubts))})" if doubts else ""
    values = np.maximum(found, _waves(problem, found))
    if (values > MORE * found).any():
        note += f"; from the equations' coefficients: {said(values)}"
    data, wanted = (tuple(float(k) for k in v) for v in (found, values))
    return Wavenumber(data, wanted, tuple(resolved.tolist()), note)


def said(wavenumber: Iterable[float]) -> str:
    """Wavenumbers in words."""
    return ", ".join(f"{k:.4g}" for k in wavenumber)


def _waves(problem: Problem, known: Sequence[float] | np.ndarray) -> np.ndarray:
    """`symbol_wavenumber` of linear equations without unknowns (whose start values may be far off); otherwise 0."""
    if problem.pde is None or problem.unknowns or not is_linear(problem):
        return np.zeros(problem.dim)
    return symbol_wavenumber(problem, known)


COEFFICIENT_LINES, COEFFICIENT_SAMPLES = 4, 2200
"""Lines across the domain along which coefficients are sampled, and samples on each."""


def coefficient_wavenumber(problem: Problem) -> np.ndarray | None:
    """Wavenumbers (d,) suggested by the coefficients of the equations, at least those of the data; None if they are not
    larger than these.

    They are the wavenumbers from the symbol (of the linearisation at u = 0 for nonlinear equations) and those of the
    coefficients themselves as functions of x. The solution need not contain them, so they are used only when a search
    with the wavenumbers of the data has failed.
    """
    return problem.remembered("coefficients", lambda: _coefficient_wavenumber(problem))


def _coefficient_wavenumber(problem: Problem) -> np.ndarray | None:
    known = np.asarray(problem_wavenumber(problem).data)
    if problem.pde is None or operator(problem, problem.box.center[None]) is None:
        return None

    def coefficients(x: np.ndarray) -> np.ndarray:
        found = operator(problem, x)
        assert found is not None  # as at the centre: that does not depend on the points
        return found[1].reshape(len(x), -1)

    found = symbol_wavenumber(problem, known if is_linear(problem) else None)
    lines = 1 if problem.dim == 1 else COEFFICIENT_LINES
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # not made for the whole bounding box
        warnings.simplefilter("ignore")
        own, resolved, _ = of_function(coefficients, problem.geometry, lines=lines, max_samples=COEFFICIENT_SAMPLES)
        found = np.maximum(found, np.where(resolved, own, 0.0))
    return np.maximum(found, known) if (found > MORE * known).any() else None


BAND = 4.0
"""Half width of a band of wavenumbers around a peak of the spectrum, in the normalised domain."""


def problem_bands(problem: Problem, wavenumber: Sequence[float] | np.ndarray) -> list[list[tuple[float, float]]] | None:
    """For each axis the intervals of wavenumbers found in the problem's data, or None if the data give none.

    They surround the peaks in the spectra of source term, boundary and initial values, and the lowest wavenumbers.
    An axis along which the data do not reach the largest wavenumber used for planning is covered completely, and so is
    one that the bands nearly fill.
    """
    if problem.pde is None or problem.observations:
        return None
    peaks: list[list[float]] = [[] for _ in range(problem.dim)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for function, domain, axes in _functions(problem):
            try:
                for axis, own in zip(axes, spectral_peaks(function, domain), strict=True):
                    peaks[axis].extend(own)
            except Exception:  # the user's functions may not be made for the whole bounding box
                return None
    bands, narrow = [], False
    for found, k, half in zip(peaks, wavenumber, problem.box.half_width, strict=True):
        whole = [(0.0, 1.25 * max(float(k), np.pi / half))]
        if found and max(found) > 0.8 * k:
            parts = [(0.0, BAND / half)]
            for p in sorted(found):
                low, high = max(p - BAND / half, 0.0), p + BAND / half
                if low <= parts[-1][1]:
                    parts[-1] = (parts[-1][0], max(high, parts[-1][1]))
                else:
                    parts.append((low, high))
            if rank_of_bands(parts, half) < 0.7 * rank_of_bands(whole, half):
                whole, narrow = parts, True
        bands.append(whole)
    return bands if narrow else None


def rank_of_bands(bands: Sequence[tuple[float, float]], half_width: float) -> float:
    """Approximate number of independent functions in the bands of one axis: (b − a) h / π + 12, for each sign."""
    return sum((1 if a == 0 else 2) * ((b - a) * half_width * (2 if a == 0 else 1) / np.pi + 12) for a, b in bands)


def _functions(problem: Problem) -> Iterator[tuple[Callable[[np.ndarray], np.ndarray], Any, list[int]]]:
    """(function, its domain, its axes) of the source term and of every condition on a face of the bounding box."""
    every = list(range(problem.dim))
    yield lambda x: _source(problem, x), problem.geometry, every
    for condition in problem.conditions.values():
        for axis in every if problem.dim > 1 else ():
            for side in (problem.box.lower[axis], problem.box.upper[axis]):
                if _covers(problem, condition, axis, side):
                    function, domain = _face(problem, condition, axis, side)
                    yield function, domain, [i for i in every if i != axis]


def _estimates(problem: Problem) -> Iterator[tuple[str, Callable[[], tuple[np.ndarray, Any]]]]:
    """(what, function that returns wavenumbers (d,) and whether they are resolved) for each source of information."""
    if problem.pde is not None:
        yield "not from the source term", lambda: _moderate(lambda x: _source(problem, x), problem.geometry)
    for name, condition in problem.conditions.items():
        if hasattr(condition, "points"):
            values = condition.values.detach().cpu().numpy()
            values = np.broadcast_to(
                values.reshape(len(values), -1) if values.ndim else values, (len(condition.points), 1)
            )
            yield f"not from {name}", functools.partial(of_samples, condition.points, values)
            continue
        for axis in range(problem.dim if problem.dim > 1 else 0):
            for side in (problem.box.lower[axis], problem.box.upper[axis]):
                if _covers(problem, condition, axis, side):
                    yield f"not from {name}", functools.partial(_on_face, problem, condition, axis, side)


def _zero(problem: Problem, x: torch.Tensor) -> torch.Tensor:
    """u = 0 (n, c) as a function of x that can be differentiated, with the problem's hard constraint."""
    u = (0 * torch.sin(x.sum(1, keepdim=True))).expand(-1, len(problem.outputs))
    return u if problem.output_transform is None else problem.output_transform(x, u)


def _source(problem: Problem, x: np.ndarray) -> np.ndarray:
    """The PDE's residuals (n, equations) at u = 0, without those that are only rounding errors of others."""
    assert problem.pde is not None
    dde.grad.clear()
    inputs = torch.as_tensor(x.astype(problem.dtype)).requires_grad_()
    residuals = problem.pde(inputs, _zero(problem, inputs))
    residuals = residuals if isinstance(residuals, (list, tuple)) else [residuals]
    values = torch.cat([r.detach().reshape(len(x), 1) for r in residuals], 1).cpu().numpy()
    dde.grad.clear()
    sizes = np.abs(values).max(0, initial=0.0)
    return np.where(sizes > ROUNDING * sizes.max(), values, 0.0)


def _face_points(problem: Problem, axis: int, side: float, free: np.ndarray) -> np.ndarray:
    return np.insert(free, axis, side, axis=1).astype(problem.dtype)


def _covers(problem: Problem, condition: Any, axis: int, side: float) -> bool:
    """Whether the condition holds on the whole face of the bounding box (tried at scattered points)."""
    lower, upper = (np.delete(end, axis) for end in (problem.box.lower, problem.box.upper))
    free = lower + (upper - lower) * (0.02 + 0.96 * np.random.default_rng(0).random((32, problem.dim - 1)))
    x = _face_points(problem, axis, side, free)
    if hasattr(condition, "on_initial"):
        selected = condition.on_initial(x, condition.geom.on_initial(x))
    elif hasattr(condition, "component_x") or not hasattr(condition, "on_boundary"):
        return False
    else:
        selected = condition.on_boundary(x, condition.geom.on_boundary(x))
    return bool(np.all(selected))


def _face(
    problem: Problem, condition: Any, axis: int, side: float
) -> tuple[Callable[[np.ndarray], np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The condition's residual at u = 0 on a face as a function of the other coordinates, and their box.

    The box leaves out the edges of the face.
    """

    def values(free: np.ndarray) -> np.ndarray:
        x = _face_points(problem, axis, side, free)
        hold([condition], x)
        inputs = torch.as_tensor(x).requires_grad_()
        dde.grad.clear()
        error = condition.error(x, inputs, _zero(problem, inputs), 0, len(x))
        dde.grad.clear()
        return error.detach().cpu().numpy()

    lower, upper = (np.delete(end, axis) for end in (problem.box.lower, problem.box.upper))
    inset = INSET * (upper - lower)
    return values, (lower + inset, upper - inset)


def _on_face(problem: Problem, condition: Any, axis: int, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers (d,) of the condition's residual at u = 0 on a face; along ``axis`` none."""
    found, resolved = _moderate(*_face(problem, condition, axis, side))
    return np.insert(found, axis, 0.0), np.insert(resolved, axis, True)


def _moderate(function: Callable[..., Any], domain: Any) -> tuple[np.ndarray, np.ndarray]:
    """The largest wavenumbers of a function and along which axes they are resolved; elsewhere it has a jump, noise or
    faster waves, the estimate is meaningless, and at most `MODERATE` waves are returned."""
    found, resolved, _ = of_function(function, domain)
    most = MODERATE * np.pi / box_of(domain).half_width
    return np.where(resolved, found, np.minimum(found, most)), resolved
