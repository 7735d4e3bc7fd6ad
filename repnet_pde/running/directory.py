"""The description of a run in its directory, ``run.json``: all that `resume` needs besides the checkpoint."""

import shutil
from dataclasses import asdict
from pathlib import Path

from ..arguments import seed_number
from ..backend import PRECISIONS
from ..errors import InputError, choose
from ..files import CHECKPOINT, LOCK, RUN, read_checkpoint, read_json, write_json
from ..methods import METHODS, network_for, sequence
from ..networks.registry import CUSTOM
from ..planning.settings import Request, Settings
from ..problem.load import folder, source_digest
from ..problem.parameters import stored
from ..problem.problem import Problem
from .run import versions

FORMAT = 2
"""Version of the format of ``run.json``; others are rejected."""


def write_description(directory: Path, problem: Problem, settings: Settings, request: Request) -> None:
    """Describe a new run in its directory; the files of one that it replaces are removed.

    The file of observations is copied into it.
    """
    source, data = problem.source, request.data
    if data is not None:
        settings.data = f"observations{data.suffix.lower()}"
        if directory / settings.data != data:
            shutil.copyfile(data, directory / settings.data)
    description = {
        "format": FORMAT,
        "problem": {
            "name": problem.name,
            "catalogue": source is not None and Path(source).parent == folder(),
            "source": source,
            "sha256": None if source is None else source_digest(source),
            "parameters": stored(problem.parameters),
        },
        "settings": asdict(settings),
        "request": request.to_dict(),
        "versions": versions(),
    }
    write_json(directory / RUN, description)
    for path in directory.iterdir():
        if path.is_file() and path.name not in (RUN, LOCK, settings.data):
            path.unlink()


def described(directory: Path) -> dict:
    """The description in a run directory."""
    if not directory.is_dir():
        raise InputError(f"directory: {str(directory)!r} does not exist")
    return read_json(directory / RUN)


def read_settings(directory: Path) -> tuple[dict, Settings, Request]:
    """The stored problem, settings and request of a run directory, checked."""
    description = described(directory)
    try:
        if description["format"] != FORMAT:
            raise InputError("was written by another version of repnet-pde")
        settings = Settings(**description["settings"])
        settings.stages = [(name, count, options) for name, count, options in settings.stages]
        _usable(settings)
        data = None if settings.data is None else directory / settings.data
        request = Request(**description["request"] | {"data": data})
        problem = description["problem"]
        if {"name", "source", "parameters", "catalogue", "sha256"} - set(problem):
            raise KeyError("problem")
        return problem, settings, request
    except InputError as error:
        raise InputError(f"{directory / RUN}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{directory / RUN}: is damaged ({type(error).__name__}: {error})") from None


def read_state(directory: Path, settings: Settings) -> dict | None:
    """The state of the run's checkpoint; None if it has none yet, that of a run that it replaces apart."""
    state = read_checkpoint(directory / CHECKPOINT)
    return None if state is None or state["progress"].get("attempt") != settings.attempt else state


def _usable(settings: Settings) -> None:
    """The checks of `solve`, for settings read from a file."""
    choose("dtype", settings.dtype, PRECISIONS)
    seed_number(settings.seed)
    if settings.network != CUSTOM:
        network_for(METHODS[settings.stages[0][0]], settings.network, settings.network_options)
    for name, count, options in settings.stages:
        sequence(name, count, {name: options})
