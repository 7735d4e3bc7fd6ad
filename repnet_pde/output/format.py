"""What a file format of solutions says of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray


@dataclass(frozen=True)
class Format:
    """A file format of solutions on a grid.

    Attributes:
        name: for ``--format``.
        endings: of its files, in lower case.
        write: ``write(data, path)`` writes what `grid` returned, at once or not at all.
        read: ``read(path)`` gives it back.
        ending_of: the ending of the file of this solution.
    """

    name: str
    endings: tuple[str, ...]
    write: Callable[[xarray.Dataset, Path], None]
    read: Callable[[Path], xarray.Dataset]
    ending_of: Callable[[xarray.Dataset], str]
