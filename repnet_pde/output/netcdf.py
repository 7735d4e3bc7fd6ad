"""NetCDF, classic format with CF conventions: the format of solutions in run directories."""

import os
from pathlib import Path

import xarray

from ..files import open_netcdf, write_atomically
from .format import Format


def write_netcdf(data: xarray.Dataset, path: str | os.PathLike) -> None:
    """Atomically write what `grid` returned as NetCDF (classic format, CF conventions).

    The dimensions are in the order t, z, y, x that CF recommends; NaN is the fill value.
    """
    ordered = data.transpose(*reversed(_dims(data)))
    encoding = {name: {"_FillValue": None} for name in data.coords}  # which CF forbids for coordinates
    write_atomically(Path(path), lambda file: ordered.to_netcdf(file, engine="scipy", encoding=encoding))


def read_netcdf(path: str | os.PathLike) -> xarray.Dataset:
    """What `write_netcdf` wrote, bit for bit."""
    with open_netcdf(Path(path)) as data:
        return data.load().transpose(*reversed(_dims(data)), ...)


def _dims(data: xarray.Dataset) -> tuple:
    """The dimensions of the first variable, which are those of all."""
    return next((v.dims for v in data.values()), ())


NETCDF = Format("netcdf", (".nc",), write_netcdf, read_netcdf, lambda data: ".nc")
