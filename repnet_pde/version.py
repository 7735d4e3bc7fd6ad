"""The version, and the digest of the code, by which what is stored is found again."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

__version__ = "0.2.0"

SHOWN = ("cli", "output/pictures.py", "progress.py", "problems", "validation")
"""What no result of a run depends on, or what has a digest of its own."""


def digest_of(paths: Iterable[Path]) -> str:
    """SHA-256 of files, by their names and contents."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return found.hexdigest()


@functools.cache
def code_digest() -> str:
    """Of the modules that the results of runs depend on."""
    folder = Path(__file__).parent
    every = (path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    return digest_of(folder / path for path in every if not path.startswith(SHOWN))
