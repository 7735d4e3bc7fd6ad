"""Description of a file format of solutions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray


@dataclass(frozen=True)
class Format:
    """A file format of solutions on a grid.

    Attributes:
        name: for ``--format``.
        endings: file name extensions, in lower case.
        write: ``write(data, path)`` atomically writes what `grid` returned.
        read: ``read(path)`` returns it.
        ending_of: the file name extension for a given solution.
    """

    name: str
    endings: tuple[str, ...]
    write: Callable[[xarray.Dataset, Path], None]
    read: Callable[[Path], xarray.Dataset]
    ending_of: Callable[[xarray.Dataset], str]
