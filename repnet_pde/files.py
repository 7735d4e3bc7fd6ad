"""Atomic writing of files: written under another name, synchronised, renamed, so that a kill cannot damage them."""

import contextlib
import importlib.util
import json
import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from .errors import InputError, InUseError

if TYPE_CHECKING:
    import xarray

CHECKPOINT = "checkpoint.pt"
RUN = "run.json"
RESULT = "result.json"
SOLUTION = "solution.nc"
TEMPORARY = re.compile(
    r"\.(run|checkpoint|result|solution|error|history|first_layer|identification)-\w{8}\.(json|pt|nc|png|vtr|pvd)"
)
"""Names of unfinished files."""
LOCK = ".lock"
"""Locked while a run uses its directory."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` create a temporary file next to ``path``, then atomically rename it to ``path``."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(directory: Path) -> None:
    """Remove temporary files of `write_atomically` that a killed process left behind."""
    for path in directory.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, allow_nan=False)
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def read_json(path: Path) -> dict:
    """A JSON object from a run directory; `InputError` when it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent}: is not a run directory, it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is damaged or cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: is damaged, it holds no JSON object")
    return value


def write_checkpoint(path: Path, state: dict) -> None:
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def read_checkpoint(path: Path, needed: str = "progress") -> dict | None:
    """The state in ``path``, None when there is no such file; `InputError` when it is damaged or lacks ``needed``."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the checkpoint is damaged ({reason}); delete it to start the run again") from error
    if not isinstance(state, dict) or needed not in state:
        raise InputError(f"{path}: is no checkpoint of repnet-pde; delete it to start the run again")
    return state


@contextlib.contextmanager
def claimed(directory: Path | None, new: bool = True) -> Iterator[None]:
    """Hold a run directory for this run alone, or nothing if there is none.

    A new one is created; it is removed at the end if nothing has been written to it.

    Args:
        new: whether it must not exist or be empty except for unfinished files; otherwise it must exist.

    Raises:
        InputError: it is not empty, or cannot be written to. `InUseError`: another run holds it.
    """
    if directory is None:
        yield
        return
    taken = f"out: {str(directory)!r} exists and is not an empty directory; choose another, or resume the run in it"
    if new and directory.exists() and not (directory.is_dir() and _is_empty(directory)):
        raise InputError(taken)
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    lock = FileLock(directory / LOCK)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InUseError(f"out: {str(directory)!r} is in use by another run") from None
    except OSError as error:
        raise InputError(f"out: {str(directory)!r} cannot be written to: {error}") from error
    try:
        if new and not _is_empty(directory):  # written by a run that has just ended
            raise InputError(taken)
        yield
    finally:
        (directory / LOCK).unlink(missing_ok=True)  # nobody waits for it
        lock.release()
        with contextlib.suppress(OSError):  # not empty
            for place in missing:
                place.rmdir()


def _is_empty(directory: Path) -> bool:
    return all(path.name == LOCK or TEMPORARY.fullmatch(path.name) for path in directory.iterdir())


def open_netcdf(path: Path) -> "xarray.Dataset":
    """A NetCDF file, opened, with times as numbers; `InputError` where it is none or a package is missing."""
    with path.open("rb") as stream:
        start = stream.read(4)
    if start not in (b"CDF\1", b"CDF\2", b"CDF\5", b"\x89HDF"):
        raise InputError(f"{path}: is not a NetCDF file" if start else f"{path}: is empty")
    engine = "scipy"
    options: dict[str, Any] = {"mmap": False}
    if start not in (b"CDF\1", b"CDF\2"):
        engines = [name for name in ("netCDF4", "h5netcdf") if importlib.util.find_spec(name)]
        if not engines:
            raise InputError(
                f"{path}: is a NetCDF 4 file, for which the package netCDF4 or h5netcdf is needed: pip install "
                "netCDF4; NetCDF 3, from xarray's to_netcdf(..., engine='scipy'), needs neither"
            )
        engine, options = engines[0].lower(), {}
    import xarray  # takes as long as all the rest, and few need it

    return xarray.open_dataset(path, engine=engine, decode_times=False, **options)
