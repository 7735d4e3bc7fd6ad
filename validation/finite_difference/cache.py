"""References kept on disk: an `.npz` file each in the user's cache folder, or in $REPNET_PDE_CACHE.

A file is written under a temporary name in the same folder, synchronised and renamed, so that neither
concurrent processes nor a kill leave an incomplete file; it contains a checksum that is verified when read.
Errors of the cache give a warning and never stop a computation.
"""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

from repnet_pde.version import digest_of

from .reference import Reference

VARIABLE = "REPNET_PDE_CACHE"
_FIELDS = ("error_estimate", "relative_l2_estimate", "order", "wall_seconds", "converged", "levels", "rounding")
_LEFT_BEHIND = 24 * 3600.0  # seconds after which a temporary file belongs to a killed process


def folder() -> Path:
    """Where references are kept."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("repnet-pde")) / "references"


def path(name: str, parameters: dict) -> Path:
    """The file of a reference: its name and a hash of name, parameters and the code of this folder."""
    digest = hashlib.sha256(_identity(name, parameters).encode()).hexdigest()
    return folder() / f"{name}-{digest[:24]}.npz"


def cached(name: str, parameters: dict, compute: Callable[[], Reference]) -> Reference:
    """The reference from its file, or computed and then stored; one that did not converge is not stored."""
    file = path(name, parameters)
    try:
        return _read(file, _identity(name, parameters))
    except FileNotFoundError:
        pass
    except Exception as error:  # a damaged file can make numpy, zipfile and json raise nearly anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(f"cached reference {file} cannot be used ({reason}); it is computed again", stacklevel=2)
    result = compute()
    if result.converged:
        try:
            _write(file, _identity(name, parameters), result)
        except OSError as error:
            warnings.warn(f"reference {name!r} is not cached: {error}; set {VARIABLE} to a folder", stacklevel=2)
    return result


@functools.cache
def code() -> str:
    """Digest of the modules of this folder: what they computed before a change is not found any more."""
    return digest_of(Path(__file__).parent.glob("*.py"))


def _identity(name: str, parameters: dict) -> str:
    return json.dumps([name, parameters, code()], sort_keys=True)


def _checksum(meta: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(meta.encode())
    for key in sorted(arrays):
        digest.update(f"{key}{arrays[key].dtype.str}{arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


def _write(file: Path, identity: str, r: Reference) -> None:
    others = {key: getattr(r, key) for key in _FIELDS}
    meta = json.dumps({"identity": identity, "name": r.name, "parameters": r.parameters, **others})
    arrays = {"values": r.values, **{f"axis{d}": axis for d, axis in enumerate(r.axes)}}
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob(f".{file.stem}-*.tmp"):
        with contextlib.suppress(OSError):  # another process may be quicker
            if time.time() - old.stat().st_mtime > _LEFT_BEHIND:
                old.unlink()
    handle, temporary = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, meta=np.array(meta), checksum=np.array(_checksum(meta, arrays)), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _read(file: Path, identity: str) -> Reference:
    with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    meta, checksum = str(arrays.pop("meta")), str(arrays.pop("checksum"))
    if checksum != _checksum(meta, arrays):
        raise ValueError("its checksum is wrong")
    fields = json.loads(meta)
    if fields.pop("identity") != identity:
        raise ValueError("it belongs to another reference")
    fields["levels"] = tuple(map(tuple, fields["levels"]))
    axes = tuple(arrays[f"axis{d}"] for d in range(len(arrays) - 1))
    return Reference(axes=axes, values=arrays["values"], **fields)
