"""(a u')' + b u' + c u = f on an interval, u given at both ends, on any grid.

With the flux w = a u' it is the system u' = w / a, w' = f - b w / a - c u, which Gauss's collocation at three
points of each interval discretises: order 6 at the nodes, and no derivative of a is needed (U. M. Ascher, R. M. M.
Mattheij, R. D. Russell, Numerical Solution of Boundary Value Problems for Ordinary Differential Equations (1995),
chapter 5). The stages are eliminated interval by interval; a banded matrix for u and w at the nodes is left. It has
first differences only, so that rounding errors grow far less than n**2.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import solve_banded

from repnet_pde.errors import InputError

from .collocation import NODES, collocation_coefficients
from .reference import Reference
from .refine import first_grid, refine
from .rounding import rounded, settled

ORDER = 6
STAGES = NODES["gauss"]
LAYER = 40.0  # widths of a boundary layer after which exp is below rounding
WAVE = 16  # intervals for each wave on the first grid

NEWTON_STEPS = 30

Coefficient = Callable[[np.ndarray], np.ndarray]


def solve_two_point_1d(
    a: Coefficient,
    b: Coefficient,
    c: Coefficient,
    source: Coefficient,
    left: float,
    right: float,
    *,
    grid: np.ndarray,
) -> tuple[tuple[np.ndarray], np.ndarray]:
    """(a u')' + b u' + c u = source, u = left and right at the first and last node; order 6.

    The functions map arrays of x to arrays of the same shape; a has no zero. `grid` (n + 1,) increases. Returns the
    axes (x,) and u of shape (n + 1, 1).
    """
    _check(grid)
    at = _stages(grid)
    u, _ = _collocate(grid, 1 / a(at), -b(at) / a(at), -c(at), source(at), left, right)
    return (grid,), u[:, None]


def _check(grid: np.ndarray) -> None:
    if grid.ndim != 1 or len(grid) < 3 or not (np.diff(grid) > 0).all():
        raise InputError(f"two_point_1d: grid needs three or more increasing nodes, got shape {grid.shape}")


def _stages(grid: np.ndarray) -> np.ndarray:
    """The collocation points, (n, 3)."""
    return rounded(grid[:-1, None] + np.diff(grid)[:, None] * STAGES)


def _collocate(grid, upper, damping, lower, forcing, left, right) -> tuple[np.ndarray, np.ndarray]:
    """u' = upper w, w' = lower u + damping w + forcing, these (n, 3) at the stages: u at the nodes and the stages."""
    butcher, weights = collocation_coefficients(STAGES)
    n, s = forcing.shape
    step = np.diff(grid)
    matrix = np.zeros((n, s, 2, 2))  # y' = matrix y + (0, forcing) with y = (u, w)
    matrix[:, :, 0, 1], matrix[:, :, 1, 0], matrix[:, :, 1, 1] = upper, lower, damping
    coupling = np.einsum("n,ij,njkl->nikjl", step, butcher, matrix)
    known = np.zeros((n, s, 2, 3))  # the stages as an affine function of y at the interval's left end
    known[..., :2] = np.eye(2)
    known[:, :, 1, 2] = step[:, None] * (forcing @ butcher.T)
    size = 2 * s
    stages = np.linalg.solve(np.eye(size) - coupling.reshape(n, size, size), known.reshape(n, size, 3))
    stages = stages.reshape(n, s, 2, 3)
    slopes = matrix @ stages
    slopes[:, :, 1, 2] += forcing
    jump = np.einsum("n,s,nsij->nij", step, weights, slopes)  # of y, from the left end to the right one

    band = np.zeros((5, 2 * n + 2))  # band[2 + row - column, column]; u and w alternate
    right_side = np.concatenate([[left], -jump[..., 2].ravel(), [right]])
    # intervals of one length and one coefficient have one rounding error
    across = rounded(jump[..., :2] + np.eye(2), alike=0)
    blocks = np.concatenate([across, np.broadcast_to(-np.eye(2), (n, 2, 2))], axis=2)
    for i in range(2):
        for j in range(4):
            band[3 + i - j, 2 * np.arange(n) + j] = blocks[:, i, j]
    band[2, 0] = band[3, -2] = 1.0
    y = solve_banded((2, 2), rounded(band), rounded(right_side)).reshape(n + 1, 2)
    return y[:, 0], np.einsum("nsj,nj->ns", stages[:, :, 0, :2], y[:-1]) + stages[:, :, 0, 2]


def convection_diffusion_1d(*, epsilon: float, tolerance: float = 1e-12, largest: int = 2**18) -> Reference:
    """-epsilon u'' + u' = 1 on [0, 1], u(0) = u(1) = 0; catalogue value 1e-3.

    Half of the intervals lie in the layer at x = 1, of `LAYER` times epsilon (a Shishkin grid whose transition does
    not depend on n, so that the grids are nested).
    """
    name = "convection_diffusion_1d"
    _positive(name, epsilon)
    layer = min(0.5, LAYER * epsilon)

    def solve(n):
        grid = np.concatenate([np.linspace(0, 1 - layer, n // 2 + 1), np.linspace(1 - layer, 1, n // 2 + 1)[1:]])
        return solve_two_point_1d(
            lambda x: np.full_like(x, epsilon),
            lambda x: -np.ones_like(x),
            np.zeros_like,
            lambda x: -np.ones_like(x),
            0.0,
            0.0,
            grid=grid,
        )

    # Intervals longer than about 4 epsilon would reach the poles of the method's stability function.
    return refine(
        name,
        {"epsilon": epsilon},
        solve,
        n=first_grid(f"{name}: epsilon={epsilon:g}", 1 / epsilon, largest, least=32),
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def elliptic_multiscale_1d(*, epsilon: float, tolerance: float = 1e-12, largest: int = 2**18) -> Reference:
    """-(a(x / epsilon) u')' = 1 on [0, 1], a = 2 + cos 2 pi y, u(0) = u(1) = 0; catalogue value 1/40."""
    name = "elliptic_multiscale_1d"
    _positive(name, epsilon)

    def solve(n):
        return solve_two_point_1d(
            lambda x: 2 + np.cos(2 * np.pi * x / epsilon),
            np.zeros_like,
            np.zeros_like,
            lambda x: -np.ones_like(x),
            0.0,
            0.0,
            grid=np.linspace(0, 1, n + 1),
        )

    return refine(
        name,
        {"epsilon": epsilon},
        solve,
        n=first_grid(f"{name}: epsilon={epsilon:g}", WAVE / epsilon, largest, least=32),
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def bratu_1d(*, strength: float, tolerance: float = 1e-12, largest: int = 2**16) -> Reference:
    """u'' + strength exp(u) = 0 on [0, 1], u(0) = u(1) = 0, the lower branch, by Newton's method from 0.

    Catalogue value 2. There is no solution for a strength above 3.5138.
    """
    if not strength > 0:
        raise InputError(f"bratu_1d: strength: needs a positive number, got {strength:g}")

    def solve(n):
        grid = np.linspace(0, 1, n + 1)
        stages, change = np.zeros((n, len(STAGES))), np.inf
        for _ in range(NEWTON_STEPS):
            rate = strength * np.exp(stages)
            u, new = _collocate(grid, np.ones_like(rate), np.zeros_like(rate), -rate, rate * (stages - 1), 0.0, 0.0)
            if not np.abs(new).max() < 100:  # beyond the last solution
                return (grid,), np.full((n + 1, 1), np.nan)
            before, change, stages = change, np.abs(new - stages).max() / np.abs(new).max(), new
            if settled(change, before):
                return (grid,), u[:, None]
        return (grid,), np.full((n + 1, 1), np.nan)

    return refine(
        "bratu_1d",
        {"strength": strength},
        solve,
        n=32,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def _positive(name: str, epsilon: float) -> None:
    if not epsilon > 0:
        raise InputError(f"{name}: epsilon: needs a positive number, got {epsilon:g}")
