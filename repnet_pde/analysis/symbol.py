"""Waves admitted by the equations independently of the data: roots of the symbol of the linearisation at u = 0."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ..backend import dde
from ..discretization.jets import Index, closed, orders_of_problem, taylor
from ..problem.points import scattered_points
from ..problem.problem import Problem

POINTS = 200
"""Number of points at which the symbol is evaluated."""
RADII = 10.0 ** np.arange(6)
"""Radii of circles around 0, in λ times the half width, near which roots of a system's determinant are sought."""
NEAR = 5.0
"""Ratio to the characteristic radius within which roots count as waves; others are artefacts of the scaling."""
NEGLIGIBLE = 1e-11
"""Coefficients of a determinant below this fraction of the largest are treated as rounding errors."""


def operator(problem: Problem, x: np.ndarray) -> tuple[list[Index], np.ndarray] | None:
    """(indices α, A_α (n, equations, indices, outputs)) of the equations' linearisation Σ_α A_α D^α u at u = 0 and
    points x (n, d); None where the residuals are not functions of jets. Without the output transform."""
    known = None if problem.pde is None else orders_of_problem(problem)
    if problem.pde is None or not known:
        return None
    indices = closed(known)
    inputs = torch.as_tensor(x.astype(problem.dtype)).requires_grad_()
    jet = inputs.new_zeros(len(x), len(indices), len(problem.outputs)).requires_grad_()
    dde.grad.clear()
    residuals = problem.pde(inputs, taylor(inputs, jet, indices))
    residuals = residuals if isinstance(residuals, (list, tuple)) else [residuals]
    found = [
        torch.autograd.grad(r.sum(), jet, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
        if r.requires_grad
        else torch.zeros_like(jet)
        for r in residuals
    ]
    dde.grad.clear()
    return indices, torch.stack(found, 1).detach().cpu().numpy().astype(np.float64)


def symbol_wavenumber(problem: Problem, known: Sequence[float] | np.ndarray | None = None) -> np.ndarray:
    """The largest wavenumber (d,) of waves that solve the equations with constant coefficients, 0 where there are none.

    exp(λ x_l) is a solution along axis l where det Σ_n A_n λ^n = 0, with the coefficients A_n of ∂_l^n at a point. It
    is a wave if |Re λ| < |Im λ|, otherwise a layer. At least half a wavelength of the returned wavenumber fits into the
    region in which it occurs.

    Args:
        known: wavenumbers (d,) of the solution; if given, the dispersion relation is also solved along each axis for
            the known wavenumbers along the other axes.
    """
    found, x = np.zeros(problem.dim), scattered_points(problem, POINTS)
    made = operator(problem, x)
    if made is None or made[1].shape[1] != made[1].shape[3]:
        return found
    indices, a = made
    a = a[np.isfinite(a).all((1, 2, 3))]
    if not len(a):
        return found
    different, which = np.unique(a.reshape(len(a), -1), axis=0, return_inverse=True)
    different = different.reshape(-1, *a.shape[1:])
    for axis, half in enumerate(problem.box.half_width):
        for others in _others(problem.dim, axis, known):
            k = np.array([_largest(_along(c, indices, axis, others), half) for c in different])[which.reshape(-1)]
            found[axis] = max(found[axis], _fitting(k, 2 * half, problem.dim))
    return found


def _others(dim: int, axis: int, known: Sequence[float] | np.ndarray | None) -> Iterator[np.ndarray]:
    """Wavenumbers (d,) along the other axes: none, and with any signs those known."""
    yield np.zeros(dim)
    if known is not None and dim > 1:
        for signs in itertools.product((1.0, -1.0), repeat=dim - 2):
            yield np.insert(np.delete(np.asarray(known), axis) * np.array([1.0, *signs]), axis, 0.0)


def _along(a: np.ndarray, indices: list[Index], axis: int, others: np.ndarray) -> np.ndarray:
    """A_n (orders, equations, outputs) of exp(λ x_axis + i Σ k_j x_j), from A_α (equations, indices, outputs)."""
    result = np.zeros((max(i[axis] for i in indices) + 1, a.shape[0], a.shape[2]), dtype=complex)
    for i, index in enumerate(indices):
        factor = np.prod([(1j * k) ** n for j, (k, n) in enumerate(zip(others, index, strict=True)) if j != axis])
        result[index[axis]] += factor * a[:, i]
    return result


def _largest(a: np.ndarray, half: float) -> float:
    """The largest |Im λ| of the waves among the roots of det Σ_n A_n λ^n."""
    a = a / half ** np.arange(len(a))[:, None, None]
    size = np.abs(a).max()
    if size == 0 or not np.isfinite(size):
        return 0.0
    roots = np.roots(a[::-1, 0, 0]) if a.shape[1] == 1 else _of_determinant(a)
    waves = np.abs(roots.imag)[np.abs(roots.real) < np.abs(roots.imag)]
    return float(waves.max(initial=0.0)) / half


def _of_determinant(a: np.ndarray) -> np.ndarray:
    """The roots of det Σ_n A_n μ^n near `RADII`, by interpolation on circles.

    Systems of equations of different orders have roots at infinity. Here these only give coefficients at rounding
    level, whereas a companion matrix would turn them into spurious large eigenvalues.
    """
    for _ in range(3):  # equations and outputs of like size
        for axes in ((0, 2), (0, 1)):
            size = np.abs(a).max(axes, keepdims=True)
            a = a / np.where(size > 0, size, 1.0)
    count = (len(a) - 1) * a.shape[1] + 1
    circle = np.exp(2j * np.pi * np.arange(count) / count)
    found = [np.empty(0, dtype=complex)]
    for radius in RADII:
        powers = (radius * circle)[:, None] ** np.arange(len(a))
        matrices = np.einsum("zn,nij->zij", powers, a)
        matrices = matrices / np.abs(matrices).max((0, 2), keepdims=True).clip(1e-300)
        c = np.fft.fft(np.linalg.det(matrices)) / count
        c[np.abs(c) < NEGLIGIBLE * np.abs(c).max()] = 0
        if np.abs(c).max() < NEGLIGIBLE:  # singular for every λ
            continue
        roots = np.roots(c[::-1])
        found.append(radius * roots[(np.abs(roots) < NEAR) & (np.abs(roots) > 1 / NEAR)])
    return np.concatenate(found)


def _fitting(k: np.ndarray, width: float, dim: int) -> float:
    """The largest of the wavenumbers (n,) at points such that half its wavelength fits into the region where the
    wavenumber is that large."""
    k = np.sort(k)[::-1]
    region = width * (np.arange(1, len(k) + 1) / len(k)) ** (1 / dim)
    return float(k[k * region >= math.pi].max(initial=0.0))
