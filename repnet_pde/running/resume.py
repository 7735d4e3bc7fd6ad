"""Resuming a run from its directory."""

from pathlib import Path
from typing import Any

from .. import limits
from ..arguments import seconds
from ..backend import on_cpu, precision, seeded, set_precision
from ..errors import InputError
from ..files import CHECKPOINT, claimed
from ..inverse.observations import read_observations, with_observations
from ..networks.registry import CUSTOM
from ..planning.plan import completed
from ..planning.settings import Request
from ..problem.checks import of_precision
from ..problem.load import load_problem, locate, source_digest
from ..problem.problem import Problem
from ..problem.values import reset_unknowns
from ..training.loop import CHECKPOINT_SECONDS
from .directory import described, read_settings, read_state
from .identify import followed
from .result import Result
from .run import Run, Storing
from .solve import run as run_again


@on_cpu()
def resume(
    directory: str | Path,
    *,
    problem: Problem | None = None,
    network: Any = None,
    time_limit: float | None = None,
    progress: bool = True,
    memory_limit: float | str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Result:
    """Continue a run from its directory to the same result, to the last bit, as if it had never been stopped.

    Args:
        directory: where `solve` wrote to.
        problem: only for a run of a problem that did not come from a file.
        network: only for a run with the user's own network: one of the same architecture.
        time_limit, progress, checkpoint_seconds, memory_limit: as in `solve`.

    Raises:
        InputError: no run directory, a damaged file, or a problem file that has changed since.
    """
    seconds("time_limit", time_limit)
    directory = Path(directory)
    described(directory)  # a directory of another kind is left alone
    storing = Storing(directory, checkpoint_seconds)
    with limits.running(time_limit, progress, memory_limit), precision(), claimed(directory, new=False):
        run, state, request = _stored(directory, problem, network)
        if run.settings.on_trial:  # what it is compared with is found once more
            return run_again(run.problem, request, storing, state)
        return followed(run.problem, request, storing, run.execute(storing, state))


@on_cpu()
def load_result(directory: str | Path, *, problem: Problem | None = None, network: Any = None) -> Result:
    """The `Result` of a run directory in its current state, without training or writing; arguments as in `resume`."""
    with precision():
        run, state, _ = _stored(Path(directory), problem, network)
        if state is None:
            raise InputError(f"directory: {str(directory)!r} has no {CHECKPOINT} yet")
        with seeded(run.settings.seed):
            run.load(Path(directory), state)
            return run.result(state["progress"]["stopped"])


def _stored(directory: Path, problem: Problem | None, network: Any) -> tuple[Run, dict | None, Request]:
    """The run that a directory describes, as it was at its start, the state of its checkpoint, and the request."""
    stored, settings, request = read_settings(directory)
    source = stored["source"]
    if problem is None:
        if source is None:
            raise InputError("problem: this run's problem did not come from a file; pass the same Problem")
        name = stored["name"] if stored["catalogue"] else source
        _, path = locate(name)
        if source_digest(path) != stored["sha256"]:
            raise InputError(f"problem: {path} has changed since the run was started; start a new run")
        problem = load_problem(name, dtype=settings.dtype, **stored["parameters"])
    if request.data is not None:
        problem = with_observations(problem, read_observations(request.data, problem))
    of_precision(problem, settings.dtype)
    if settings.network == CUSTOM and network is None:
        raise InputError("network: this run used a network of its own; pass one of the same architecture")
    state = read_state(directory, settings)
    reset_unknowns(problem)
    set_precision(settings.dtype)
    return Run(completed(problem, network, settings)), state, request
