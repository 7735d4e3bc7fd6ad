"""The solution on a grid, as NetCDF."""

import math
import os
from pathlib import Path

import numpy as np
import xarray

from . import __version__, accuracy
from .checkpoint import write_atomically

POINTS_PER_WAVE = 20
MOST = 500_000


def coordinate_names(problem) -> list[str]:
    """x, y, z in space (x1, x2, ... above three dimensions), then t."""
    space = problem.dim - problem.in_time
    names = list("xyz")[:space] if space <= 3 else [f"x{i + 1}" for i in range(space)]
    if not problem.in_time and type(problem.geometry).__name__ == "TimeDomain":
        return ["t"]
    return names + ["t"] * problem.in_time


def grid(result) -> xarray.Dataset:
    """Solution, exact solution or reference and error on a uniform grid over the bounding box.

    Twenty nodes a wave along each axis, at least 101 (2,001 in 1-D) and at most half a million in all. Values outside
    the geometry are NaN.
    """
    problem, box = result.problem, result.problem.box
    waves = np.asarray(result.wavenumber) * box.half_width / np.pi
    wanted = np.maximum(2000 if problem.dim == 1 else 100, POINTS_PER_WAVE * waves) + 1
    shrink = min(1.0, (MOST / wanted.prod()) ** (1 / problem.dim))
    counts = [max(2, math.floor(n * shrink)) for n in wanted]
    axes = [np.linspace(a, b, n) for a, b, n in zip(box.lower, box.upper, counts, strict=True)]
    x = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    outside = ~accuracy.inside(problem, x)
    u = result.predict(x).astype(np.float64)
    truth, against = None, result.errors.against
    if against == "solution":
        truth = np.full_like(u, np.nan)
        truth[~outside] = problem.solution(x[~outside])
    elif against == "reference":
        truth = _on_grid(result.reference, x)
    u[outside] = np.nan

    names, shape = coordinate_names(problem), tuple(counts)
    data = xarray.Dataset(
        coords={name: (name, axis, _axis_attributes(name)) for name, axis in zip(names, axes, strict=True)},
        attrs={
            "Conventions": "CF-1.10",
            "title": f"{problem.name} solved by {result.network} with {result.method}",
            "source": f"repnet-pde {__version__}",
            "relative_l2": -1.0 if result.errors.relative_l2 is None else result.errors.relative_l2,
        },
    )
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


def _axis_attributes(name: str) -> dict[str, str]:
    axis = {"x": "X", "y": "Y", "z": "Z", "t": "T"}.get(name)
    return {"long_name": name, "units": "1"} | ({"axis": axis} if axis else {})


def _on_grid(reference, x: np.ndarray) -> np.ndarray:
    """The reference at x, NaN outside of its own grid."""
    lower, upper = (np.array([axis[end] for axis in reference.axes]) for end in (0, -1))
    covered = ((x >= lower) & (x <= upper)).all(axis=1)
    values = np.full((len(x), reference.values.shape[-1]), np.nan)
    if covered.any():
        values[covered] = reference(x[covered])
    return values


def write_netcdf(data: xarray.Dataset, path: str | os.PathLike) -> None:
    """Write what `grid` returned as NetCDF (classic format, CF conventions), at once or not at all."""
    write_atomically(Path(path), lambda temporary: data.to_netcdf(temporary, engine="scipy"))
