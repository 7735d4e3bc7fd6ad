"""The solution on a grid, as NetCDF or for ParaView, and back."""

import math
import os
from pathlib import Path

import numpy as np
import xarray

from ..errors import InputError, choose
from ..files import RUN, SOLUTION, open_netcdf, write_atomically
from ..problem.points import inside
from ..version import __version__
from . import vtk

FORMATS = {"netcdf": (".nc",), "vtk": (".vtr", ".pvd")}
"""Formats of files of solutions and their endings."""
POINTS_PER_WAVE = 20
MOST = 500_000


def grid(result) -> xarray.Dataset:
    """Solution, exact solution or reference and error on a uniform grid over the bounding box.

    Twenty nodes a wave along each axis, at least 101 (2,001 in 1-D) and at most half a million in all. Values outside
    the geometry, and at times that a march has not reached, are NaN; its attribute ``reached`` names the time.
    """
    problem, box = result.problem, result.problem.box
    waves = np.asarray(result.wavenumber) * box.half_width / np.pi
    wanted = np.maximum(2000 if problem.dim == 1 else 100, POINTS_PER_WAVE * waves) + 1
    shrink = min(1.0, (MOST / wanted.prod()) ** (1 / problem.dim))
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
        # Without the attribute "axis", which CF has for places and dates on the Earth.
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


def _on_grid(reference, x: np.ndarray) -> np.ndarray:
    """The reference at x, NaN outside of its own grid."""
    lower, upper = (np.array([axis[end] for axis in reference.axes]) for end in (0, -1))
    covered = ((x >= lower) & (x <= upper)).all(axis=1)
    values = np.full((len(x), reference.values.shape[-1]), np.nan)
    if covered.any():
        values[covered] = reference(x[covered])
    return values


def write_netcdf(data: xarray.Dataset, path: str | os.PathLike) -> None:
    """Write what `grid` returned as NetCDF (classic format, CF conventions), at once or not at all.

    The dimensions are in the order t, z, y, x that CF recommends; NaN is the fill value.
    """
    ordered = data.transpose(*reversed(_dims(data)))
    encoding = {name: {"_FillValue": None} for name in data.coords}  # which CF forbids for coordinates
    write_atomically(Path(path), lambda file: ordered.to_netcdf(file, engine="scipy", encoding=encoding))


def load_solution(path: str | os.PathLike) -> xarray.Dataset:
    """A solution on its grid, from a run directory, or from a NetCDF or VTK file (.vtr, .pvd) that came from one.

    Returns:
        The outputs by name, float64 over those of the dimensions x, y, z, t that there are; NaN outside the geometry.
        An output u that was compared has ``u_solution`` or ``u_reference`` and ``u_error`` beside it. VTK files do not
        keep the attributes.

    Raises:
        InputError: a missing or damaged file, or one of another format.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / RUN).exists():
            raise InputError(f"path: {str(path)!r} is not a run directory, it has no {RUN}")
        if not (path / SOLUTION).exists():
            raise InputError(f"path: {str(path)!r} has no {SOLUTION} yet; it is written when the run stops: resume it")
        path /= SOLUTION
    if not path.exists():
        raise InputError(f"path: {str(path)!r} does not exist")
    endings = [suffix for suffixes in FORMATS.values() for suffix in suffixes]
    if path.suffix.lower() not in endings:
        raise InputError(f"path: {str(path)!r} given; a run directory or a file in {', '.join(endings)} is needed")
    if path.suffix.lower() != ".nc":
        return vtk.read(path)
    try:
        with open_netcdf(path) as data:
            return data.load().transpose(*reversed(_dims(data)), ...)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: is damaged ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error


def convert(directory: str | os.PathLike, kind: str | None = None, out: str | os.PathLike | None = None) -> Path:
    """Write the solution of a run directory in another format, and return the file.

    Args:
        directory: where `solve` wrote to.
        kind: "vtk" for ParaView: one .vtr file, or for a solution in time and space a .pvd file and beside it a folder
            of .vtr files, one for each time; "netcdf"; None goes by the ending of ``out``, or takes "vtk".
        out: the file; None takes solution.vtr or solution.pvd in the run directory.

    Raises:
        InputError: no such solution, or a format that cannot be had.
    """
    if kind is not None:
        choose("format", kind, FORMATS)
    directory, out = Path(directory), None if out is None else Path(out)
    if not directory.is_dir():
        raise InputError(f"directory: {str(directory)!r} does not exist or is no directory")
    if kind is None:
        kind = "netcdf" if out is not None and out.suffix.lower() == ".nc" else "vtk"
    if kind == "netcdf" and out is None:
        raise InputError(f"out: none given; {directory / SOLUTION} is NetCDF already")
    data = load_solution(directory)
    suffix = ".nc" if kind == "netcdf" else vtk.suffix_of(data)
    out = (directory / SOLUTION).with_suffix(suffix) if out is None else out
    if out.suffix.lower() != suffix:
        raise InputError(f"out: {str(out)!r} given; this solution in the format {kind} needs a name in {suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    (write_netcdf if kind == "netcdf" else vtk.write)(data, out)
    return out


def _dims(data: xarray.Dataset) -> tuple:
    """The dimensions of the first variable, which are those of all."""
    return next((v.dims for v in data.values()), ())
