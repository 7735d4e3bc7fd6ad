"""`Reference`: a grid solution with an error estimate from grid refinement."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import BSpline, make_interp_spline

from repnet_pde.errors import InputError

DEGREE = 5  # of the interpolating spline: a cubic one would lose digits that the sixth-order grids have


@dataclass(frozen=True, eq=False)
class Reference:
    """A finite-difference solution on a tensor grid.

    Attributes:
        name: of what was solved.
        parameters: of what was solved.
        axes: the grid's 1-D coordinate arrays in the order of the problem's coordinates, time last.
        values: shape (grid shape, c) for c components, float64; NaN at nodes outside of the domain.
        error_estimate: estimated maximum absolute error at the nodes, meant as a bound.
        relative_l2_estimate: estimated relative L2 error over the grid (trapezoidal weights), meant as a bound.
        order: observed order of the refinement (the asymptotic one is what the solver declares); NaN where no three
            grids differ by more than rounding.
        wall_seconds: time that the computation took.
        converged: False if the refinement did not behave according to its order: the reference is not reliable.
        levels: (n, seconds, relative L2 difference to the finest grid) of every grid that was solved, coarsest first:
            error against time. The difference is taken on the common nodes and divided by the norm of
            the finest solution; the finest grid has `relative_l2_estimate` in its place. Infinite where a solution was
            not finite.
        rounding: the part of `error_estimate` due to rounding and to the tolerance of an integrator.
    """

    name: str
    parameters: dict
    axes: tuple[np.ndarray, ...]
    values: np.ndarray
    error_estimate: float
    relative_l2_estimate: float
    order: float
    wall_seconds: float
    converged: bool
    levels: tuple[tuple[int, float, float], ...] = ()
    rounding: float = 0.0

    def points(self, limit: int | None = None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Nodes (n, d) and values (n, c); at most `limit` of them, drawn at random without repetition.

        Random rather than strided: a stride can alias a high frequency.
        """
        inside = np.flatnonzero(~np.isnan(self.values).any(-1))
        total = len(inside)
        if limit is not None and limit < 1:
            raise InputError(f"limit: {limit} points asked for; give at least 1 or None for all {total}")
        if limit is None or limit >= total:
            chosen = np.arange(total)
        else:
            chosen = np.sort(np.random.default_rng(seed).choice(total, limit, replace=False))
        indices = np.unravel_index(inside[chosen], self.values.shape[:-1])
        return np.stack([a[i] for a, i in zip(self.axes, indices, strict=True)], axis=1), self.values[indices]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values (n, c) at points x (n, d) inside the grid, by a tensor spline of degree 5.

        Interpolation adds its own error, of order 6 in the grid's spacing, to `error_estimate`.
        """
        x = np.asarray(x, dtype=float)
        if np.isnan(self.values).any():
            raise InputError(
                f"reference {self.name!r}: has nodes outside of the domain, and no values between its nodes"
            )
        if x.ndim != 2 or x.shape[1] != len(self.axes):
            raise InputError(f"x: reference {self.name!r} needs shape (n, {len(self.axes)}), got {x.shape}")
        for d, axis in enumerate(self.axes):
            inside = (x[:, d] >= axis[0]) & (x[:, d] <= axis[-1])  # NaN counts as outside
            if not inside.all():
                raise InputError(
                    f"x: coordinate {d} of reference {self.name!r} lies in [{axis[0]:g}, {axis[-1]:g}], "
                    f"got {x[~inside, d][0]:g}"
                )
        knots, degrees, coefficients = self._spline
        weights = np.ones((len(x), 1))
        flat = np.zeros((len(x), 1), dtype=np.intp)
        for d, (t, k) in enumerate(zip(knots, degrees, strict=True)):
            basis = BSpline.design_matrix(x[:, d], t, k)  # k + 1 entries in every row
            shape = (len(x), 1, k + 1)
            weights = (weights[:, :, None] * basis.data.reshape(shape)).reshape(len(x), -1)
            columns = basis.indices.reshape(shape)
            flat = (flat[:, :, None] * self.values.shape[d] + columns).reshape(len(x), -1)
        flat_coefficients = coefficients.reshape(-1, self.values.shape[-1])
        return np.einsum("nk,nkc->nc", weights, flat_coefficients[flat])

    @cached_property
    def _spline(self) -> tuple[list[np.ndarray], list[int], np.ndarray]:
        """Knots and degree of each axis, and the tensor of coefficients, of the shape of `values`."""
        knots, degrees, coefficients = [], [], self.values
        for d, axis in enumerate(self.axes):
            degree = min(DEGREE, 2 * ((len(axis) - 2) // 2) + 1)  # odd, with enough nodes
            spline = make_interp_spline(axis, coefficients, k=degree, axis=d)
            knots.append(spline.t)
            degrees.append(degree)
            coefficients = np.moveaxis(spline.c, 0, d)
        return knots, degrees, np.ascontiguousarray(coefficients)
