"""Measurements read from a file and added as conditions to a `Problem`, to identify its unknowns."""

import dataclasses
import difflib
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..arguments import cut, said
from ..backend import dde, set_precision
from ..errors import InputError, choose
from ..files import open_netcdf
from ..problem.checks import of_precision
from ..problem.points import inside

TOLERANCE = 1e-9
"""How far outside of the domain a point may lie, relative to the width of its box."""


@dataclasses.dataclass(frozen=True)
class Observations:
    """Measurements at n points, each of at least one output.

    Attributes:
        x: (n, d) float64, coordinates in the problem's order.
        values: output -> (n,) float64, NaN where that output was not measured; only outputs that were measured
            somewhere.
        uncertainties: the same outputs -> their standard deviations (n,) float64, NaN where not measured, or None where
            the file has none.
        path: the file.
    """

    x: np.ndarray
    values: dict[str, np.ndarray]
    uncertainties: dict[str, np.ndarray | None]
    path: Path


def read_observations(path: str | os.PathLike, problem) -> Observations:
    """Read measurements of the problem's outputs, whatever the order of the columns; points without any are left out.

    Args:
        path: ``.csv``, ``.txt`` or ``.tsv``: a header line with the names of the columns, which also shows the
            delimiter (comma, semicolon, tab or white space), then numbers; empty cells and ``nan`` are not measured
            and ``#`` begins a comment. ``.npz``: 1-D arrays of one length. ``.nc``: NetCDF variables, either all
            along the same dimension(s) or on a grid of coordinates; those without dimensions are ignored.
        problem: a `Problem`. Columns are named by its coordinates (x, y, z, t as in the exported solution), by its
            outputs, and ``<output>_std`` or ``<output>_error`` for the standard deviation of each measurement.

    Points up to `TOLERANCE` outside of the domain's box, or by the rounding of float32 where that was used, are moved
    onto it. Repeated points are kept.

    Raises:
        InputError: a file or column that cannot be used, a point outside the domain, or no more measurements than
            unknowns.
    """
    of_precision(problem, getattr(problem, "dtype", ""))
    file, suffix = _file(path)
    coordinates = problem.coordinate_names
    deviations = {f"{u}_{kind}": u for u in problem.outputs for kind in ("std", "error")}
    columns, place = _columns(file, suffix, coordinates, problem.outputs, deviations)
    rounding = [np.finfo(a.dtype if a.dtype.kind == "f" else float).eps for a in map(columns.get, coordinates)]
    columns = _numbers(file, columns)

    measured = np.any([~np.isnan(columns[u]) for u in problem.outputs if u in columns], axis=0)
    rows = np.flatnonzero(measured)
    columns = {name: column[rows] for name, column in columns.items()}
    values = {u: columns[u] for u in problem.outputs if u in columns and not np.isnan(columns[u]).all()}

    def refuse(bad, what):
        if bad.any():
            first, share = place(rows[np.argmax(bad)]), f"{np.count_nonzero(bad)} of {len(bad)} points"
            raise InputError(f"{file}: {first}: {what} (so for {share})")

    for name in (*coordinates, *values):
        refuse(np.isinf(columns[name]), f"{name!r} is infinite; a finite number is needed")
    for name in coordinates:
        refuse(np.isnan(columns[name]), f"the coordinate {name!r} is empty or NaN; a number is needed")
    uncertainties = _uncertainties(columns, values, deviations, refuse)
    count, needed = sum(np.count_nonzero(~np.isnan(v)) for v in values.values()), len(problem.unknowns) + 1
    if count < needed:
        raise InputError(
            f"{file}: too few points: {count} measurement(s) found; at least {needed} needed for "
            f"{len(problem.unknowns)} unknown(s)"
        )
    x, found = _inside(problem, np.stack([columns[c] for c in coordinates], axis=1), np.array(rounding))
    if not found.all():
        at = ", ".join(f"{c} = {v:.9g}" for c, v in zip(coordinates, x[np.argmin(found)], strict=True))
        sides = zip(coordinates, problem.box.lower, problem.box.upper, strict=True)
        box = ", ".join(f"{c} from {a:.9g} to {b:.9g}" for c, a, b in sides)
        refuse(~found, f"the point {at} is outside the domain, which lies in {box}")
    return Observations(x, values, uncertainties, file)


def _uncertainties(columns, values, deviations, refuse) -> dict[str, np.ndarray | None]:
    """Output -> standard deviations (n,) where it was measured, else NaN, or None where there is no column of them."""
    uncertainties: dict[str, np.ndarray | None] = dict.fromkeys(values)
    for name, output in deviations.items():
        if name in columns and output in values:
            missing, column = np.isnan(values[output]), columns[name]
            wrong = ~missing & ~(np.isfinite(column) & (column > 0))
            refuse(wrong, f"{name!r} is no positive number, though {output!r} is measured")
            uncertainties[output] = np.where(missing, np.nan, column)
    return uncertainties


def with_observations(problem, observations: Observations, keep: bool = False):
    """A copy of the problem with a ``dde.icbc.PointSetBC`` named "data <output>" for each measured output.

    They replace the problem's own ``PointSetBC`` conditions, or with ``keep`` are added to them ("data u 2" if "data u"
    already exists). Variables and their start values are those of the problem. Arrays have the type ``problem.dtype``,
    which becomes DeepXDE's default float. The uncertainties are not used here.

    Raises:
        InputError: observations of another problem, or an unknown that nothing depends on without the old conditions.
    """
    of_precision(problem, getattr(problem, "dtype", ""))
    if not isinstance(observations, Observations):
        raise InputError(f"observations: {type(observations).__name__} given; what read_observations returns is needed")
    set_precision(problem.dtype)
    point_sets = {n for n, condition in problem.conditions.items() if isinstance(condition, dde.icbc.PointSetBC)}
    conditions = {n: c for n, c in problem.conditions.items() if keep or n not in point_sets}
    for output, values in observations.values.items():
        choose("observations", output, problem.outputs)
        name, copies = f"data {output}", 1
        while name in conditions:
            copies += 1
            name = f"data {output} {copies}"
        at = ~np.isnan(values)
        component = problem.outputs.index(output)
        conditions[name] = dde.icbc.PointSetBC(observations.x[at], values[at, None], component=component)
    result = dataclasses.replace(problem, conditions=conditions)
    result._set(start_values=problem.start_values)  # the variables may have been trained since
    return result


def _file(path) -> tuple[Path, str]:
    try:
        file = Path(path).expanduser()
        exists, regular = file.exists(), file.is_file()
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"path: {path!r} given; the path of a file is needed ({said(error)})") from None
    if not regular:
        raise InputError(f"path: {str(path)!r} is not a file" if exists else f"path: there is no file {str(path)!r}")
    choose(f"path: {file.name}: the ending", file.suffix.lower(), READERS)
    return file, file.suffix.lower()


def _columns(file: Path, suffix: str, coordinates, outputs, deviations):
    """The result of the reader of the format: name -> column, and row -> its position in the file."""

    def check(names):
        _check_names(file, names, coordinates, outputs, deviations)

    try:
        return READERS[suffix](file, coordinates, check)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file}: cannot be read as {suffix}: {said(error)}") from error


def _check_names(file, names: Sequence[str], coordinates, outputs, deviations) -> None:
    known, found = [*coordinates, *outputs, *deviations], cut(", ".join(map(repr, names)) or "none")
    twice = [name for name in dict.fromkeys(names) if list(names).count(name) > 1]
    if twice:
        raise InputError(f"{file}: column {twice[0]!r} is there twice; found: {found}")
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=1)
            hint = f" (did you mean {next(k for k in known if k.lower() == close[0])!r}?)" if close else ""
            name = cut(repr(name))
            raise InputError(f"{file}: column {name} is not known{hint}; found: {found}; known: {', '.join(known)}")
    for name in coordinates:
        if name not in names:
            raise InputError(f"{file}: has no column {name!r}; found: {found}; needed: {', '.join(coordinates)}")
    if not set(outputs) & set(names):
        raise InputError(f"{file}: has no column of an output; found: {found}; outputs: {', '.join(outputs)}")
    given = [deviations[name] for name in names if name in deviations]
    for output in given:
        if output not in names:
            raise InputError(f"{file}: has standard deviations of {output!r}, but no column {output!r}; found: {found}")
        if given.count(output) > 1:
            raise InputError(f"{file}: has both {output}_std and {output}_error; keep the one standard deviation")


def _numbers(file, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns as float64; raise unless they are 1-D, of real numbers and equally long."""
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            raise InputError(f"{file}: column {name!r} is {column.dtype} {column.shape}; 1-D real numbers are needed")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = cut(", ".join(f"{name} {n}" for name, n in lengths.items()))
        raise InputError(f"{file}: the columns have different lengths: {said}; equal ones are needed")
    return {name: column.astype(np.float64) for name, column in columns.items()}


def _inside(problem, x: np.ndarray, rounding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points (n, d), moved onto the box if they are outside by rounding, and which lie in the domain (n,)."""
    lower, upper = problem.box.lower, problem.box.upper
    rounding = np.maximum(rounding, np.finfo(problem.dtype).eps)
    slack = TOLERANCE * (upper - lower) + rounding * np.maximum(abs(lower), abs(upper))
    clipped = np.clip(x, lower, upper)
    near = (abs(x - clipped) <= slack).all(axis=1)
    x, found = np.where(near[:, None], clipped, x), np.zeros(len(x), dtype=bool)
    for shift in (np.zeros_like(lower), *np.diag(slack), *-np.diag(slack)):  # also for circles
        left = np.flatnonzero(near & ~found)
        if len(left):
            found[left] = inside(problem, x[left] + shift)
    return x, found


# One reader a format: file -> (name -> column, row -> where it is in the file). It has `check` look at the names first.


def _text(file: Path, coordinates, check) -> tuple[dict[str, np.ndarray], Callable[[int], str]]:
    text = file.read_text(encoding="utf-8-sig").replace('"', "")
    lines = [line.partition("#")[0] for line in text.split("\n")] if "#" in text else text.split("\n")
    numbers = [i for i, line in enumerate(lines) if line and not line.isspace()]
    if not numbers:
        raise InputError(f"{file}: is empty; a header line with the names of the columns is needed")
    header, body = lines[numbers[0]], [lines[i] for i in numbers[1:]]
    delimiter = next((d for d in "\t;," if d in header), None)
    names = [name.strip() for name in header.split(delimiter)]
    if all(_number(name) is not None for name in names):
        raise InputError(f"{file}: has no header line; the first line that is no '#' comment must name the columns")
    check(names)
    try:
        table = np.loadtxt(body, delimiter=delimiter, comments=None, ndmin=2) if body else np.empty((0, len(names)))
        fast = table.shape == (len(body), len(names))
    except ValueError:  # an empty cell, text or a line of another length
        fast = False
    if not fast:
        table = np.empty((len(body), len(names)))
        for row, number, line in zip(table, numbers[1:], body, strict=True):
            cells = line.split(delimiter)
            if len(cells) != len(names):
                said = f"{len(cells)} cell(s), the header {len(names)}"
                raise InputError(f"{file}: line {number + 1}: has {said}: {cut(', '.join(names))}")
            values = [_number(cell) for cell in cells]
            if None in values:
                i = values.index(None)
                said = f"{cut(repr(cells[i].strip()))} in column {names[i]!r}"
                raise InputError(f"{file}: line {number + 1}: {said} is not a number such as 0.5, 1e-3 or nan")
            row[:] = values
    return dict(zip(names, table.T, strict=True)), lambda row: f"line {numbers[row + 1] + 1}"


def _number(cell: str) -> float | None:
    """A cell's number, NaN when it is blank, None when it is text."""
    try:
        return float(cell) if cell and not cell.isspace() else np.nan
    except ValueError:
        return None


def _npz(file: Path, coordinates, check) -> tuple[dict[str, np.ndarray], Callable[[int], str]]:
    if not zipfile.is_zipfile(file):  # else NumPy would advise to unpickle it
        raise InputError(f"{file}: is not a whole .npz file, as numpy.savez writes it")
    with np.load(file, allow_pickle=False) as archive:
        check(archive.files)
        return {name: archive[name] for name in archive.files}, "index {}".format


def _netcdf(file: Path, coordinates, check) -> tuple[dict[str, np.ndarray], Callable[[int], str]]:
    with open_netcdf(file) as data:
        variables = {str(name): v.load() for name, v in data.variables.items() if v.ndim}
    if set(coordinates) <= set(variables):  # then other dimensions' variables are labels, such as the number of a row
        variables = {name: v for name, v in variables.items() if name in coordinates or v.dims != (name,)}
    check(list(variables))
    sizes = {dim: size for c in coordinates for dim, size in variables[c].sizes.items()}
    for name, v in variables.items():
        if name not in coordinates and set(v.dims) != set(sizes):
            raise InputError(
                f"{file}: variable {name!r} has the dimensions ({', '.join(map(str, v.dims))}), but its coordinates "
                f"have ({', '.join(map(str, sizes))}); all must lie along the same ones"
            )
    return {name: v.set_dims(sizes).values.ravel() for name, v in variables.items()}, "index {}".format


READERS = {".csv": _text, ".txt": _text, ".tsv": _text, ".npz": _npz, ".nc": _netcdf}
