"""Run directories: the description that `solve` writes at its start, and resuming a run."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import limits
from ..arguments import seconds, seed_number
from ..backend import PRECISIONS, on_cpu, precision, seeded, set_precision
from ..errors import InputError, choose
from ..files import CHECKPOINT, RUN, claimed, read_checkpoint, read_json, write_json
from ..inverse.observations import read_observations, with_observations
from ..methods import METHODS, network_for, sequence
from ..networks.registry import CUSTOM
from ..planning.plan import completed
from ..planning.settings import Settings
from ..problem.checks import of_precision
from ..problem.load import folder, load_problem, locate, source_digest
from ..problem.parameters import stored
from ..problem.problem import Problem
from ..problem.values import reset_unknowns
from ..training.loop import CHECKPOINT_SECONDS
from .result import Result
from .run import Run, Storing, versions

FORMAT = 1
"""Version of the format of ``run.json``; others are rejected."""


@on_cpu()
def resume(
    directory: str | Path,
    *,
    problem: Problem | None = None,
    network: Any = None,
    time_limit: float | None = None,
    progress: bool = True,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Result:
    """Continue a run from its directory to the same result, to the last bit, as if it had never been stopped.

    Args:
        directory: where `solve` wrote to.
        problem: only for a run of a problem that did not come from a file.
        network: only for a run with the user's own network: one of the same architecture.
        time_limit, progress, checkpoint_seconds: as in `solve`.

    Raises:
        InputError: no run directory, a damaged file, or a problem file that has changed since.
    """
    seconds("time_limit", time_limit)
    directory = Path(directory)
    _described(directory)  # a directory of another kind is left alone
    with limits.running(time_limit, progress), precision(), claimed(directory, new=False):
        run, state = _stored(directory, problem, network)
        return run.execute(Storing(directory, checkpoint_seconds), state)


@on_cpu()
def load_result(directory: str | Path, *, problem: Problem | None = None, network: Any = None) -> Result:
    """The `Result` of a run directory in its current state, without training or writing; arguments as in `resume`."""
    with precision():
        run, state = _stored(Path(directory), problem, network)
        if state is None:
            raise InputError(f"directory: {str(directory)!r} has no {CHECKPOINT} yet")
        with seeded(run.settings.seed):
            run.load(Path(directory), state)
            return run.result(state["progress"]["stopped"])


def _stored(directory: Path, problem: Problem | None, network: Any) -> "tuple[Run, dict | None]":
    """The run that a directory describes, as it was at its start, and the state of its checkpoint."""
    stored = _described(directory)
    try:
        if stored["format"] != FORMAT:
            raise InputError("was written by another version of repnet-pde")
        settings = Settings(**stored["settings"])
        settings.stages = [(name, count, options) for name, count, options in settings.stages]
        _usable(settings)
        described = stored["problem"]
        source, parameters = described["source"], described["parameters"]
        name, digest = (described["name"] if described["catalogue"] else source), described["sha256"]
    except InputError as error:
        raise InputError(f"{directory / RUN}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{directory / RUN}: is damaged ({type(error).__name__}: {error})") from None
    if problem is None:
        if source is None:
            raise InputError("problem: this run's problem did not come from a file; pass the same Problem")
        _, path = locate(name)
        if source_digest(path) != digest:
            raise InputError(f"problem: {path} has changed since the run was started; start a new run")
        problem = load_problem(name, dtype=settings.dtype, **parameters)
    if settings.data is not None:
        problem = with_observations(problem, read_observations(directory / settings.data, problem))
    of_precision(problem, settings.dtype)
    if settings.network == CUSTOM and network is None:
        raise InputError("network: this run used a network of its own; pass one of the same architecture")
    state = read_checkpoint(directory / CHECKPOINT)
    reset_unknowns(problem)
    set_precision(settings.dtype)
    return Run(completed(problem, network, settings)), state


def _described(directory: Path) -> dict:
    """The description in a run directory."""
    if not directory.is_dir():
        raise InputError(f"directory: {str(directory)!r} does not exist")
    return read_json(directory / RUN)


def _usable(settings: Settings) -> None:
    """The checks of `solve`, for settings read from a file."""
    choose("dtype", settings.dtype, PRECISIONS)
    seed_number(settings.seed)
    if settings.network != CUSTOM:
        network_for(METHODS[settings.stages[0][0]], settings.network, settings.network_options)
    for name, count, options in settings.stages:
        sequence(name, count, {name: options})


def write_description(directory: Path, problem: Problem, settings: Settings, data: Path | None = None) -> None:
    """Create the directory of a new run and write ``run.json``: all that `resume` needs besides the checkpoint.

    A file of observations ``data`` is copied into it.
    """
    source, copied = problem.source, None
    if data is not None:
        settings.data = copied = f"observations{data.suffix.lower()}"
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
        "versions": versions(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    if data is not None and copied is not None:
        shutil.copyfile(data, directory / copied)
    write_json(directory / RUN, description)
