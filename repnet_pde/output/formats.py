"""The table of file formats, and solutions read and converted by it."""

import os
from pathlib import Path

import xarray

from ..errors import InputError, choose
from ..files import RUN, SOLUTION
from .format import Format
from .netcdf import NETCDF
from .vtk import VTK

FORMATS: dict[str, Format] = {entry.name: entry for entry in (NETCDF, VTK)}
"""Name -> `Format`. To add one: a file next to these, and a row here."""


def by_ending(path: Path) -> Format | None:
    """The format of a file by its extension; None if it is unknown."""
    return next((entry for entry in FORMATS.values() if path.suffix.lower() in entry.endings), None)


def load_solution(path: str | os.PathLike) -> xarray.Dataset:
    """A solution on its grid, from a run directory, or from a NetCDF or VTK file (.vtr, .pvd) that came from one.

    Returns:
        The outputs by name, float64 over those of the dimensions x, y, z, t that there are; NaN outside the geometry.
        An output u that was compared is accompanied by ``u_solution`` or ``u_reference`` and ``u_error``. VTK files do
        not store the attributes.

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
    entry = by_ending(path)
    if entry is None:
        endings = ", ".join(ending for known in FORMATS.values() for ending in known.endings)
        raise InputError(f"path: {str(path)!r} given; a run directory or a file in {endings} is needed")
    try:
        return entry.read(path)
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
        InputError: no such solution, or a format that is not available.
    """
    if kind is not None:
        choose("format", kind, FORMATS)
    directory, out = Path(directory), None if out is None else Path(out)
    if not directory.is_dir():
        raise InputError(f"directory: {str(directory)!r} does not exist or is no directory")
    entry = FORMATS[kind] if kind is not None else (out and by_ending(out)) or VTK
    if entry is NETCDF and out is None:
        raise InputError(f"out: none given; {directory / SOLUTION} is NetCDF already")
    data = load_solution(directory)
    suffix = entry.ending_of(data)
    out = (directory / SOLUTION).with_suffix(suffix) if out is None else out
    if out.suffix.lower() != suffix:
        raise InputError(f"out: {str(out)!r} given; this solution in the format {entry.name} needs a name in {suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    entry.write(data, out)
    return out
