"""Steady Navier-Stokes equations on a rectangle, u and v given on its boundary (Dirichlet), p at one side in the mean.

    u u_x + v u_y + p_x = nu Laplace u,   u v_x + v v_y + p_y = nu Laplace v,   u_x + v_y = 0

on a staggered grid (F. H. Harlow, J. E. Welch, Phys. Fluids 8 (1965) 2182-2189): p at the centres of the cells, u and
v at the middles of their sides. Along each axis unknowns lie at nodes or half nodes; `staggered` differentiates or
interpolates from one to the other by Lagrange stencils on the nearest nodes, one-sided near the ends. Newton's method
with sparse elimination. The grid values are interpolated to the nodes of the cells by the same stencils.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from repnet_pde import limits
from repnet_pde.errors import InputError

from .reference import Reference
from .refine import Grid, refine
from .rounding import rounded, settled
from .stencils import weights

WIDTH = 8  # nodes of a stencil
ORDER = 6  # of second derivatives; one or two more are seen on smooth solutions
SMALLEST = 8  # cells
STEPS = 20
SMALL = 1e-2  # relative step of Newton's method from which the Jacobian is kept

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def staggered(source: np.ndarray, target: np.ndarray, derivative: int) -> sparse.csr_array:
    """Interpolation (derivative 0) or differentiation from nodes `source` to points `target`, on the nearest nodes."""
    scale = source[len(source) // 2] - source[len(source) // 2 - 1]
    begin = np.searchsorted((source[:-WIDTH] + source[WIDTH:]) / 2, target)
    columns = begin[:, None] + np.arange(WIDTH)
    entries = [weights((source[c] - t) / scale, derivative) for c, t in zip(columns, target, strict=True)]
    rows = np.repeat(np.arange(len(target)), WIDTH)
    shape = len(target), len(source)
    return sparse.csr_array((np.concatenate(entries) / scale**derivative, (rows, columns.ravel())), shape=shape)


def solve_navier_stokes_2d(
    u: Field,
    v: Field,
    p: Field,
    *,
    nu: float,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    n: int,
    m: int,
) -> Grid:
    """Solve on n by m cells; `u`, `v` are used on the boundary, `p` at the right side, where its mean is met.

    Each function maps two arrays of one shape to an array of that shape. Returns the axes (x, y), of n + 1 and m + 1
    uniform nodes, and u, v, p of shape (n + 1, m + 1, 3); NaN where Newton's method does not converge. It starts from
    the solution on half as many cells along each axis where these are even, else from zero.
    """
    if min(n, m) < SMALLEST or not nu > 0:
        raise InputError(f"navier_stokes_2d: needs n, m >= {SMALLEST} and nu > 0, got n={n}, m={m}, nu={nu}")
    equations = _Equations(u, v, p, nu, _axis(*x_range, n), _axis(*y_range, m))
    state = np.zeros(equations.sizes[-1] + 1)
    if n % 2 == m % 2 == 0 and min(n, m) >= 2 * SMALLEST:
        state = equations.interpolated(
            solve_navier_stokes_2d(u, v, p, nu=nu, x_range=x_range, y_range=y_range, n=n // 2, m=m // 2)
        )
    return equations.at_nodes(_newton(equations, state))


def _newton(equations: "_Equations", state: np.ndarray) -> np.ndarray:
    """The root of the equations, or NaN; the Jacobian's factors are kept once the steps are small."""
    factors, size = None, np.inf
    for _ in range(STEPS):
        limits.check()
        residual = equations.residual(state)
        if not np.isfinite(residual).all():
            break
        if factors is None:
            factors = splu(equations.jacobian(state))
        step = factors.solve(-residual)
        state = state + step
        before, size = size, np.abs(step).max() / np.abs(state).max()
        if settled(size, before):
            return state
        if size > SMALL:
            factors = None
    return np.full_like(state, np.nan)


class _Equations:
    """Residual and Jacobian of the unknowns (u, v, p, excess) at their inner points, flattened one after the other.

    The excess is one number that is added to every divergence: the boundary values satisfy the mass balance only up to
    the error of the stencils, while p is determined up to a constant.
    """

    def __init__(self, u: Field, v: Field, p: Field, nu: float, x_axis, y_axis):
        (x, half_x, ends_x), (y, half_y, ends_y) = self.axes = x_axis, y_axis
        n, m = len(half_x), len(half_y)
        self.nu, self.sizes = nu, np.cumsum([(n - 1) * m, n * (m - 1), n * m])
        self.u, self.v = _Component(u, x, ends_y), _Component(v, ends_x, y)
        at_u, at_v, centres = (x[1:-1], half_y), (half_x, y[1:-1]), (half_x, half_y)
        self.u_slopes = self.u.operator(*at_u, 1, 0), self.u.operator(*at_u, 0, 1)
        self.v_slopes = self.v.operator(*at_v, 1, 0), self.v.operator(*at_v, 0, 1)
        self.u_viscous = self.u.operator(*at_u, 2, 0) + self.u.operator(*at_u, 0, 2)
        self.v_viscous = self.v.operator(*at_v, 2, 0) + self.v.operator(*at_v, 0, 2)
        self.v_at_u, self.u_at_v = self.v.operator(*at_u, 0, 0), self.u.operator(*at_v, 0, 0)
        self.inflow = self.u.operator(*centres, 1, 0), self.v.operator(*centres, 0, 1)
        self.p_x = sparse.kron(staggered(half_x, x[1:-1], 1), sparse.eye_array(m), format="csr")
        self.p_y = sparse.kron(sparse.eye_array(n), staggered(half_y, y[1:-1], 1), format="csr")
        self.p_right = sparse.kron(staggered(half_x, x[-1:], 0), np.full((1, m), 1 / m), format="csr")
        self.mean_p = p(np.full(m, x[-1]), half_y).mean()

    def residual(self, state: np.ndarray) -> np.ndarray:
        u, v, p, excess = np.split(state, self.sizes)
        (u_x, u_y), (v_x, v_y) = [a(u) for a in self.u_slopes], [a(v) for a in self.v_slopes]
        momentum_x = u * u_x + self.v_at_u(v) * u_y - self.nu * self.u_viscous(u) + self.p_x @ p
        momentum_y = self.u_at_v(u) * v_x + v * v_y - self.nu * self.v_viscous(v) + self.p_y @ p
        continuity = self.inflow[0](u) + self.inflow[1](v) + excess
        return np.concatenate([momentum_x, momentum_y, continuity, self.p_right @ p - self.mean_p])

    def jacobian(self, state: np.ndarray) -> sparse.csc_array:
        u, v, _, _ = np.split(state, self.sizes)
        (u_x, u_y), (v_x, v_y) = self.u_slopes, self.v_slopes
        x_u = _rows(u, u_x) + _rows(self.v_at_u(v), u_y) + sparse.diags_array(u_x(u)) - self.nu * self.u_viscous.matrix
        y_v = _rows(self.u_at_v(u), v_x) + _rows(v, v_y) + sparse.diags_array(v_y(v)) - self.nu * self.v_viscous.matrix
        x_v, y_u = _rows(u_y(u), self.v_at_u), _rows(v_x(v), self.u_at_v)
        one = np.ones((self.p_x.shape[1], 1))
        return sparse.block_array(
            [
                [x_u, x_v, self.p_x, None],
                [y_u, y_v, self.p_y, None],
                [self.inflow[0].matrix, self.inflow[1].matrix, None, one],
                [None, None, self.p_right, None],
            ],
            format="csc",
        )

    def interpolated(self, grid: Grid) -> np.ndarray:
        """The unknowns from values of u, v, p at the nodes of another grid."""
        axes, values = grid
        (x, half_x, _), (y, half_y, _) = self.axes
        points = (x[1:-1], half_y), (half_x, y[1:-1]), (half_x, half_y)
        fields = [_tensor(values[..., i], axes, to).ravel() for i, to in enumerate(points)]
        return np.concatenate([*fields, [0.0]])

    def at_nodes(self, state: np.ndarray) -> Grid:
        """The values of u, v, p at the nodes; those of u and v on the boundary are the given ones."""
        u, v, p, _ = np.split(state, self.sizes)
        (x, half_x, _), (y, half_y, _) = self.axes
        p = _tensor(p.reshape(len(half_x), len(half_y)), (half_x, half_y), (x, y))
        values = np.stack([self.u.at(u, x, y), self.v.at(v, x, y), p], axis=-1)
        for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
            given = [grid[edge] for grid in np.meshgrid(x, y, indexing="ij")]
            for i, component in enumerate((self.u, self.v)):
                values[(*edge, i)] = component.function(*given)
        return (x, y), values


@dataclass(frozen=True)
class _Affine:
    """A derivative at some points: a matrix on the inner values, and what the known boundary values add."""

    matrix: sparse.csr_array
    known: np.ndarray

    def __call__(self, inner: np.ndarray) -> np.ndarray:
        return self.matrix @ inner + self.known

    def __add__(self, other: "_Affine") -> "_Affine":
        return _Affine(self.matrix + other.matrix, self.known + other.known)


class _Component:
    """A velocity on the tensor grid of `x` and `y`, known where either is at its end: there `function` gives it."""

    def __init__(self, function: Field, x: np.ndarray, y: np.ndarray):
        self.function, self.x, self.y = function, x, y
        self.known = function(*np.meshgrid(x, y, indexing="ij"))
        self.known[1:-1, 1:-1] = 0

    def operator(self, x: np.ndarray, y: np.ndarray, dx: int, dy: int) -> _Affine:
        """Its derivative of order dx and dy at the grid of x and y."""
        along_x, along_y = staggered(self.x, x, dx), staggered(self.y, y, dy)
        matrix = sparse.kron(along_x[:, 1:-1], along_y[:, 1:-1], format="csr")
        return _Affine(rounded(matrix), rounded((along_x @ self.known @ along_y.T).ravel()))

    def at(self, inner: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Its values at the grid of x and y."""
        whole = self.known.copy()
        whole[1:-1, 1:-1] = inner.reshape(len(self.x) - 2, -1)
        return _tensor(whole, (self.x, self.y), (x, y))


def _tensor(values: np.ndarray, axes: tuple, to: tuple) -> np.ndarray:
    """Values on the grid of `axes` interpolated to the grid of `to`."""
    return staggered(axes[0], to[0], 0) @ values @ staggered(axes[1], to[1], 0).T


def _axis(a: float, b: float, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes (n + 1,), half nodes (n,), and half nodes with both ends (n + 2,)."""
    both = np.linspace(a, b, 2 * n + 1)
    half = both[1::2]
    return both[::2], half, np.concatenate([[a], half, [b]])


def _rows(factor: np.ndarray, operator: _Affine) -> sparse.csr_array:
    return operator.matrix.multiply(factor[:, None]).tocsr()


def kovasznay_2d(*, reynolds: float, tolerance: float = 1e-7, largest: int = 48) -> Reference:
    """Kovasznay's flow on [-1/2, 1] x [-1/2, 3/2], outputs u, v, p, with nu = 1 / reynolds: boundary values and the
    mean of p at x = 1 of

        u = 1 - exp(l x) cos(2 pi y),   v = l / (2 pi) exp(l x) sin(2 pi y),   p = (1 - exp(2 l x)) / 2,

    l = 1 / (2 nu) - sqrt(1 / (4 nu**2) + 4 pi**2). Catalogue value reynolds = 20. L. I. G. Kovasznay, Proc. Camb.
    Philos. Soc. 44 (1948) 58-62. `largest` bounds the cells along x; there are 4/3 times as many along y.
    Newton's method starts from rest on the first grid and finds the flow up to about reynolds = 100; beyond, the
    answer is not `converged`.
    """
    if not reynolds > 0:
        raise InputError(f"reynolds: needs a positive number, got {reynolds}")
    first = 12
    if 4 * first > largest:
        raise InputError(f"largest: {largest} intervals are too few, give at least {4 * first}")
    rate = reynolds / 2 - np.sqrt(reynolds**2 / 4 + 4 * np.pi**2)
    return refine(
        "kovasznay_2d",
        {"reynolds": reynolds},
        lambda n: solve_navier_stokes_2d(
            lambda x, y: 1 - np.exp(rate * x) * np.cos(2 * np.pi * y),
            lambda x, y: rate / (2 * np.pi) * np.exp(rate * x) * np.sin(2 * np.pi * y),
            lambda x, y: (1 - np.exp(2 * rate * x)) / 2,
            nu=1 / reynolds,
            x_range=(-0.5, 1.0),
            y_range=(-0.5, 1.5),
            n=n,
            m=4 * n // 3,
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )
