"""Random smooth functions, manufactured problems, and the amplification of rounding errors in a 1-D problem.

Functions are of tensors (n, d) -> (n, 1) or (n, c) and differentiable, so that sources and conditions follow from an
exact solution by automatic differentiation.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.polynomial import Chebyshev, chebyshev

from ...backend import dde

Function = Callable[[torch.Tensor], torch.Tensor]


def waves(rng: np.random.Generator, lower, upper, largest: float, *, count: int = 4, size: float = 1.0) -> Function:
    """Σ a_m cos(k_m · ξ + φ_m), Σ |a_m| = ``size``, ξ in [-1, 1]^d over the box; wavenumbers up to ``largest`` in ξ."""
    lower, upper = np.atleast_1d(lower).astype(float), np.atleast_1d(upper).astype(float)
    direction = rng.normal(size=(count, len(lower)))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    k = torch.tensor(direction * largest * rng.uniform(0.3, 1.0, (count, 1)))
    phase = torch.tensor(rng.uniform(0, 2 * np.pi, count))
    a = rng.uniform(0.3, 1.0, count)
    a = torch.tensor(size * a / a.sum())
    middle, half = torch.tensor((lower + upper) / 2), torch.tensor((upper - lower) / 2)
    return lambda x: (torch.cos((x - middle) / half @ k.T + phase) @ a)[:, None]


def stacked(*functions: Function) -> Function:
    """The functions as components of one."""
    return lambda x: torch.cat([f(x) for f in functions], 1)


def array(function: Function) -> Callable[[np.ndarray], np.ndarray]:
    """The same function of NumPy arrays."""
    return lambda x: function(torch.as_tensor(x)).detach().numpy()


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, value, slope):
        ctx.save_for_backward(x)
        ctx.slope = slope
        return torch.as_tensor(value(x.detach().numpy()))

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.slope(x), None, None


def given(value: Callable[[np.ndarray], np.ndarray], slope: Function) -> Function:
    """A function of one coordinate (n, 1) -> (n, 1) with values from NumPy and a derivative that is differentiable."""
    return lambda x: _Given.apply(x, value, slope)


def antiderivative(f: Function, lower: float, upper: float, degree: int = 400) -> Function:
    """∫ f from ``lower``, of one coordinate, to rounding if a Chebyshev series of that degree resolves f."""
    series = Chebyshev.interpolate(lambda x: array(f)(x[:, None])[:, 0], degree, [lower, upper]).integ(lbnd=lower)
    return given(series, f)


def slope(u: torch.Tensor, x: torch.Tensor, *axes: int, i: int = 0) -> torch.Tensor:
    """The derivative of component ``i`` along ``axes``, one after the other, as DeepXDE takes it: (n, 1)."""
    value = dde.grad.jacobian(u, x, i=i, j=axes[0])
    for axis in axes[1:]:
        value = dde.grad.jacobian(value, x, i=0, j=axis)
    return value


def laplacian(u: torch.Tensor, x: torch.Tensor, axes: Sequence[int], i: int = 0) -> torch.Tensor:
    return sum(slope(u, x, axis, axis, i=i) for axis in axes)


def source(operator: Callable, exact: Function) -> Callable:
    """x -> ``operator`` applied to the exact solution: a list of tensors (n, 1) without graph."""

    def values(x):
        points = x.detach().clone().requires_grad_()
        found = operator(points, exact(points))
        return [v.detach() for v in (found if isinstance(found, list) else [found])]

    return values


def manufactured(operator: Callable, exact: Function) -> Callable:
    """``pde(x, u)`` = operator(u) - operator(exact)."""
    right = source(operator, exact)

    def pde(x, u):
        left = operator(x, u)
        found = [a - b for a, b in zip(left if isinstance(left, list) else [left], right(x), strict=True)]
        return found if isinstance(left, list) else found[0]

    return pde


def derivative(exact: Function, *axes: int, i: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """A derivative of component ``i`` of the exact solution, NumPy (n, d) -> (n, 1)."""

    def values(x):
        points = torch.as_tensor(x).clone().requires_grad_()
        value = exact(points)[:, i : i + 1]
        for axis in axes:
            (value,) = torch.autograd.grad(value.sum(), points, create_graph=True, materialize_grads=True)
            value = value[:, axis : axis + 1]
        return value.detach().numpy()

    return values


def slope_of(f):
    """The derivative of a function of one coordinate, differentiable as well."""

    def value(x):
        points = x if x.requires_grad else x.clone().requires_grad_()
        (found,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
        return found if x.requires_grad else found.detach()

    return value


def normal_derivative(geometry, exact: Function, i: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """∂u/∂n of component ``i``, NumPy (n, d) -> (n, 1), with the geometry's own normals."""

    def values(x):
        n = geometry.boundary_normal(x)
        parts = [derivative(exact, axis, i=i)(x) * n[:, axis : axis + 1] for axis in range(x.shape[1])]
        return sum(parts)

    return values


def everywhere(x, on_boundary) -> bool:
    return on_boundary


def side(axis: int, at: float, width: float) -> Callable:
    """The part of the boundary where a coordinate is ``at``, to 1e-6 of the ``width``."""
    return lambda x, on_boundary: bool(on_boundary and abs(x[axis] - at) <= 1e-6 * width)


def dirichlet(geometry, exact: Function, where=everywhere, i: int = 0, off: float = 0.0):
    """u = exact + ``off``."""
    return dde.icbc.DirichletBC(geometry, lambda x: array(exact)(x)[:, i : i + 1] + off, where, component=i)


def neumann(geometry, exact: Function, where=everywhere, i: int = 0, off: float = 0.0):
    """∂u/∂n = that of exact + ``off``."""
    flux = normal_derivative(geometry, exact, i)
    return dde.icbc.NeumannBC(geometry, lambda x: flux(x) + off, where, component=i)


def robin(geometry, exact: Function, beta: float, where=everywhere, i: int = 0):
    """∂u/∂n + β u = that of exact."""
    flux, value = normal_derivative(geometry, exact, i), array(exact)

    def right(x, u):
        return torch.as_tensor(flux(x) + beta * value(x)[:, i : i + 1]) - beta * u[:, i : i + 1]

    return dde.icbc.RobinBC(geometry, right, where, component=i)


def initial(geometry, exact: Function, i: int = 0):
    """u = exact at the start; a function of the other coordinates, as it is at all times."""
    start = geometry.timedomain.t0

    def values(x):
        points = np.array(x)
        points[:, -1] = start
        return array(exact)(points)[:, i : i + 1]

    return dde.icbc.IC(geometry, values, lambda _, on: on, component=i)


def on_a_box(exact: Function, low: float, high: float, axes: int) -> Function:
    """The exact solution on the sides of a box, [low, high] along the first ``axes``, and another function inside.

    So the boundary values give no information if an interior point is mistaken for a boundary point.
    """

    def value(x):
        distance = (x[:, :axes] - low) / (high - low)
        return exact(x) + (4 * distance * (1 - distance)).prod(1, keepdim=True)

    return value


def initial_slope(geometry, exact: Function, i: int = 0):
    """∂u/∂t = that of exact at the start, as `dde.icbc.OperatorBC`."""
    axis = geometry.dim - 1
    value = derivative(exact, axis, i=i)

    def residual(x, u, points):
        return slope(u, x, axis, i=i) - torch.as_tensor(value(x.detach().numpy()))

    start = geometry.timedomain.t0
    return dde.icbc.OperatorBC(geometry, residual, lambda x, _: abs(x[-1] - start) < 1e-9)


def at_end(geometry, exact: Function, end: float, width: float, order: int):
    """The derivative of that order at an end of an interval = that of exact."""
    where = side(0, end, width)
    if order == 0:
        return dirichlet(geometry, exact, where)
    if order == 1:
        return neumann(geometry, exact, where)
    value = derivative(exact, *[0] * order)

    def residual(x, u, points):
        return slope(u, x, *[0] * order) - torch.as_tensor(value(x.detach().numpy()))

    return dde.icbc.OperatorBC(geometry, residual, where)


def amplification(
    coefficients: Sequence[Function], conditions: Sequence[tuple[float, int]], exact: Function, lower, upper, degree=80
) -> float:
    """Condition number of a linear ordinary equation Σ c_k u^(k) = f with respect to relative errors of its terms.

    ‖ |R| t ‖ / ‖u‖ (R. D. Skeel 1979), where t are the sums of the absolute values of the terms of each row, and R maps
    changes of the rows to those of u; by collocation with Chebyshev polynomials.

    Args:
        coefficients: c_0, c_1, ...
        conditions: pairs (end, order of the derivative that is given there), as many as the equation's order.
    """
    half = (upper - lower) / 2
    inner = np.cos(np.pi * (np.arange(degree + 1 - len(conditions)) + 0.5) / (degree + 1 - len(conditions)))
    x = (lower + upper) / 2 + half * inner
    u = Chebyshev.interpolate(lambda s: array(exact)(s[:, None])[:, 0], degree, [lower, upper]).coef

    def basis(points, order):
        matrix = chebyshev.chebvander(points, degree)
        if order:
            lowered = chebyshev.chebder(np.eye(degree + 1), order) / half**order
            matrix = matrix[:, : len(lowered)] @ lowered
        return matrix

    parts = [array(c)(x[:, None]) * basis(inner, k) for k, c in enumerate(coefficients)]
    ends = [basis(np.array([(end - lower) / half - 1]), k) for end, k in conditions]
    matrix = np.concatenate([sum(parts), *ends])
    terms = np.concatenate([sum(abs(p @ u) for p in parts), *(abs(e @ u) for e in ends)])
    values = basis(np.linspace(-1, 1, 101), 0)
    try:
        response = np.linalg.solve(matrix.T, values.T).T
    except np.linalg.LinAlgError:
        return math.inf
    return float(np.linalg.norm(abs(response) @ terms) / np.linalg.norm(values @ u))
