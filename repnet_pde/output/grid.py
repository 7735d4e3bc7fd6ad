"""The solution on a grid, as NetCDF or for ParaView, and back."""

import math
from typing import Any

import numpy as np
import xarray

from .. import limits
from ..problem.points import inside
from ..version import __version__

POINTS_PER_WAVE = 20
"""Nodes per wavelength along each axis."""
MOST, MOST_LATE = 500_000, 20_000
"""Maximum number of nodes of a grid, and where a time limit has ended the training."""


def grid(result: Any) -> xarray.Dataset:
    """Solution, exact solution or reference and error on a uniform grid over the bounding box.

    Twenty nodes per wavelength along each axis, at least 101 (2,001 in 1-D) and at most `MOST` in total. Values
    outside the geometry, and at times that time stepping by slabs has not reached, are NaN; the attribute ``reached``
    contains the time.
    """
    problem, box = result.problem, result.problem.box
    waves = np.asarray(result.wavenumber) * box.half_width / np.pi
    wanted = np.maximum(2000 if problem.dim == 1 else 100, POINTS_PER_WAVE * waves) + 1
    shrink = min(1.0, ((MOST_LATE if limits.current().ended else MOST) / wanted.prod()) ** (1 / problem.dim))
    counts = [max(2, math.floor(n * shrink)) for n in wanted]
    axes = [np.linspace(a, b, n) for a, b, n in zip(box.lower, box.upper, counts, strict=True)]
    x = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    outside = ~inside(problem, x)
    u = result.predict(x).astype(np.float64)
    truth, against = None, result.errors.against
    if against == "solution":
        truth = np.full_like(u, np.nan)
        truth[~outside] = problem.solution(x[~outside])
    elif against == "reference":
        truth = _on_grid(result.reference, x)
    u[outside] = np.nan

    names, shape = problem.coordinate_names, tuple(counts)
    data = xarray.Dataset(
        # Without the attribute "axis", which CF defines for geographical positions and dates.
        coords={n: (n, axis, {"long_name": n, "units": "1"}) for n, axis in zip(names, axes, strict=True)},
        attrs={
            "Conventions": "CF-1.10",
            "title": f"{problem.name} solved by {result.network} with {result.method}",
            "source": f"repnet-pde {__version__}",
            "history": f"{result.iterations} iterations of {result.method}, seed {result.seed}, {result.dtype}",
        },
    )
    if result.errors.relative_l2 is not None:
        data.attrs["relative_l2"] = result.errors.relative_l2
    if result.reached is not None:
        data.attrs["reached"] = result.reached
    for i, output in enumerate(problem.outputs):
        data[output] = (names, u[:, i].reshape(shape), {"long_name": f"{output}, network", "units": "1"})
        if truth is not None:
            what = f"{output}, {'exact solution' if against == 'solution' else 'finite-difference reference'}"
            error = (u[:, i] - truth[:, i]).reshape(shape)
            data[f"{output}_{against}"] = (names, truth[:, i].reshape(shape), {"long_name": what, "units": "1"})
            data[f"{output}_error"] = (names, error, {"long_name": f"{output}, network minus {against}", "units": "1"})
    found = result.identification
    for output in problem.unknown_fields if found is not None and found.field_deviation is not None else ():
        deviation = np.full(len(x), np.nan)
        deviation[~outside] = found.field_deviation(x[~outside], output)
        about = {"long_name": f"{output}, pointwise standard deviation", "units": "1"}
        data[f"{output}_std"] = (names, deviation.reshape(shape), about)
    return data


def _on_grid(reference: Any, x: np.ndarray) -> np.ndarray:
    """The reference at x, NaN outside of its own grid."""
    lower, upper = (np.array([axis[end] for axis in reference.axes]) for end in (0, -1))
    covered = ((x >= lower) & (x <= upper)).all(axis=1)
    values = np.full((len(x), reference.values.shape[-1]), np.nan)
    if covered.any():
        values[covered] = reference(x[covered])
    return values
