"""VTK's XML files of rectilinear grids, for ParaView: a .vtr, or in time a .pvd that lists a .vtr for each moment.

Values and coordinates are float64 in base64, uncompressed: every bit is kept, and neither side needs the VTK library.
The format: https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html.
"""

import base64
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import xarray

from ..errors import InputError
from ..files import write_atomically
from .format import Format

TYPES = {"Float64": "<f8", "UInt8": "<u1"}
"""VTK's names of number types -> NumPy's."""
HEADER = np.dtype("<u8")
"""The number of bytes that follow."""
GHOST = "vtkGhostType"
HIDDEN_POINT, HIDDEN_CELL = 2, 32
"""The values of this array with which VTK blanks points and cells."""


def suffix_of(data: xarray.Dataset) -> str:
    """ ".pvd" for a solution in time and space, else ".vtr"; `InputError` with more than three dimensions in space."""
    space, in_time = _dims(data)
    if len(space) > 3:
        raise InputError(f"format: vtk has three dimensions in space, but the solution has {len(space)}; use netcdf")
    return ".pvd" if in_time else ".vtr"


def write(data: xarray.Dataset, path: Path) -> None:
    """Write a solution on a grid (`grid.grid`) to ``path``, whose suffix is `suffix_of` it.

    Points where all variables are NaN, outside of the geometry, are blanked, and with them the cells that they touch.
    The files of a series are in a folder next to it, with its name; the index is written last, and is removed while
    they change.
    """
    space, in_time = _dims(data)
    if not in_time:
        _write(_grid(data, space), path)
        return
    folder, times = path.with_suffix(""), data["t"].values.tolist()
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    pieces = [folder / f"{path.stem}_{i:0{len(str(len(times)))}d}.vtr" for i in range(len(times))]
    index = Element("VTKFile", type="Collection", version="1.0", byte_order="LittleEndian")
    collection = SubElement(index, "Collection")
    for i, (time, piece) in enumerate(zip(times, pieces, strict=True)):
        _write(_grid(data.isel(t=i), space, time), piece)
        SubElement(collection, "DataSet", timestep=repr(time), part="0", file=f"{folder.name}/{piece.name}")
    for old in set(folder.glob(f"{path.stem}_*.vtr")) - set(pieces):
        old.unlink()
    _write(index, path)


def read(path: Path) -> xarray.Dataset:
    """What `write` wrote, with the dimensions x, y, z, t in this order, but without attributes.

    Raises:
        InputError: a file that is missing or damaged, or was written in another form by another program.
    """
    if path.suffix.lower() == ".vtr":
        return _read_grid(path)
    with _whole(path):
        entries = _find(path, "Collection").findall("DataSet")
        times = np.array([float(entry.attrib["timestep"]) for entry in entries])
        files = [path.parent / entry.attrib["file"] for entry in entries]
        if not files:
            raise ValueError("it lists no files")
    pieces = [_read_grid(file) for file in files]
    first = pieces[0]
    for file, piece in zip(files, pieces, strict=True):
        if set(piece) != set(first) or not piece.coords.to_dataset().equals(first.coords.to_dataset()):
            raise InputError(f"{file}: has other variables or another grid than {files[0].name}; export the run again")
    stacked = {name: np.stack([piece[name].values for piece in pieces], -1) for name in first}
    values = {name: ((*first[name].dims, "t"), array) for name, array in stacked.items()}
    return xarray.Dataset(values, {**first.coords, "t": times})


def _dims(data: xarray.Dataset) -> tuple[list[str], bool]:
    """The dimensions in space, and whether there is time beside them; time alone is an axis like any other."""
    dims = [str(name) for name in next(iter(data.values())).dims]
    in_time = "t" in dims and len(dims) > 1
    return [name for name in dims if name != "t" or not in_time], in_time


def _grid(data: xarray.Dataset, space: list[str], time: float | None = None) -> Element:
    """A solution at one moment. In VTK the first axis runs fastest; axes that are not there have one point."""
    axes = [(name, data[name].values) for name in space] + [("", np.zeros(1))] * (3 - len(space))
    values = [(str(name), v.transpose(*reversed(space)).values) for name, v in data.items()]
    extent = " ".join(f"0 {len(axis) - 1}" for _, axis in axes)
    root = Element("VTKFile", type="RectilinearGrid", version="1.0", byte_order="LittleEndian", header_type="UInt64")
    grid = SubElement(root, "RectilinearGrid", WholeExtent=extent)
    if time is not None:
        _add(SubElement(grid, "FieldData"), [("TimeValue", np.array([time]))], NumberOfTuples="1")
    piece = SubElement(grid, "Piece", Extent=extent)
    outside = np.logical_and.reduce([np.isnan(v) for _, v in values])
    blanked = outside.any()
    points, cells = SubElement(piece, "PointData", Scalars=values[0][0]), SubElement(piece, "CellData")
    _add(points, values)
    if blanked:
        _add(points, [(GHOST, np.where(outside, HIDDEN_POINT, 0).astype(np.uint8))])
        _add(cells, [(GHOST, np.where(_touched(outside), HIDDEN_CELL, 0).astype(np.uint8))])
    _add(SubElement(piece, "Coordinates"), axes)
    return root


def _touched(points: np.ndarray) -> np.ndarray:
    """Which cells have one of the ``points`` as a corner; one less along each axis."""
    for axis in range(points.ndim):
        points = np.delete(points, 0, axis) | np.delete(points, -1, axis)
    return points


def _add(parent: Element, arrays: Iterable[tuple[str, np.ndarray]], **attributes: str) -> None:
    for name, array in arrays:
        kind = next(kind for kind, code in TYPES.items() if array.dtype == np.dtype(code))
        own = {"type": kind, "Name": name, "format": "binary"}
        element = SubElement(parent, "DataArray", own | attributes)
        bare = np.ascontiguousarray(array, TYPES[kind]).tobytes()
        element.text = base64.b64encode(np.array(len(bare), HEADER).tobytes() + bare).decode()


def _write(root: Element, path: Path) -> None:
    text = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    write_atomically(path, lambda file: file.write_bytes(text))


def _read_grid(path: Path) -> xarray.Dataset:
    with _whole(path):
        piece = _find(path, "RectilinearGrid/Piece")
        axes = {name: array for name, array in _arrays(piece, "Coordinates") if len(array) > 1}
        shape, dims = [len(axis) for axis in reversed(axes.values())], list(axes)
        values = {
            name: (dims, array.reshape(shape).transpose())
            for name, array in _arrays(piece, "PointData")
            if name != GHOST
        }
        return xarray.Dataset(values, axes)


def _find(path: Path, tag: str) -> Element:
    root = ElementTree.parse(path).getroot()
    found = root.find(tag)
    if root.tag != "VTKFile" or found is None:
        raise ValueError(f"it has no {tag.partition('/')[0]}")
    if root.get("compressor") or root.get("header_type", "UInt64") != "UInt64":
        raise ValueError("its arrays are packed in another way than by 'repnet-pde export'")
    return found


def _arrays(piece: Element, tag: str) -> Iterator[tuple[str, np.ndarray]]:
    """The names and values (n,) of the arrays of a part of a piece."""
    part = piece.find(tag)
    if part is None:
        raise ValueError(f"it has no {tag}")
    for element in part:
        kind = element.get("type")
        if element.get("format") != "binary" or kind is None or kind not in TYPES:
            raise ValueError(f"array {element.get('Name')!r} is not one of 'repnet-pde export'")
        bare = base64.b64decode(element.text or "", validate=True)
        if len(bare) < HEADER.itemsize or np.frombuffer(bare, HEADER, 1)[0] != len(bare) - HEADER.itemsize:
            raise ValueError(f"array {element.get('Name')!r} is incomplete")
        yield element.get("Name", ""), np.frombuffer(bare, TYPES[kind], offset=HEADER.itemsize).copy()


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Name the file in the error when it cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InputError(f"{path}: is damaged or of another kind ({error})") from None


VTK = Format("vtk", (".vtr", ".pvd"), write, read, suffix_of)
