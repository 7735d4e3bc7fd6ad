"""`solve`: problem -> plan -> training -> `Result`."""

import dataclasses
from pathlib import Path
from typing import Any

from .. import limits
from ..arguments import seconds, seed_number
from ..backend import on_cpu, precision
from ..errors import TrainingError
from ..files import claimed
from ..methods import sequence
from ..methods.patching import Patching
from ..planning.plan import Plan, completed, plan
from ..planning.settings import Request
from ..problem.checks import of_precision
from ..problem.problem import Problem
from ..problem.values import reset_unknowns
from ..training.loop import CHECKPOINT_SECONDS
from .directory import write_description
from .result import Result
from .run import Run, Storing


@on_cpu()
def solve(
    problem: Problem,
    network: Any = None,
    method: str = "auto",
    seed: int = 0,
    dtype: str = "float64",
    time_limit: float | None = None,
    *,
    iterations: int | dict[str, int] | None = None,
    loss_weights: Any = "auto",
    network_options: dict | None = None,
    method_options: dict | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    memory_limit: float | str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Result:
    """Solve a problem: build the network, train it, and measure its error.

    Args:
        problem: from `load_problem`, or your own `Problem`.
        network: a name in `networks.NETWORKS`, a DeepXDE network, or a function of the problem that builds one; None
            takes the default of the method.
        method: a name in `methods.METHODS`, a sequence such as "adam+lbfgs", or "auto". "auto" takes least squares for
            linear problems, with subdomains (``patching``) or sums of products if many basis functions would be needed;
            space-time slabs (``marching``) for nonlinear problems in time; and Newton's method on the last layer or
            Gauss-Newton for others. If least squares does not approximate the solution, ``patching`` follows, and the
            better of the two results is returned, with a note.
        seed: of network, points and everything else; the caller's random generators are not changed.
        dtype: "float64" or "float32"; the problem must have been made in it.
        time_limit: seconds of the whole call, or None. The run can be resumed after it.
        iterations: of each stage of the method: one number, or by method; None takes the methods' defaults.
        loss_weights: "auto" balances the terms by their gradient norms (arXiv:2308.08468); a mapping from names of
            terms to positive numbers fixes them (1 for the others); None means 1 for all.
        network_options: of a network chosen by name: ``layers`` (hidden widths), ``activation``, ``slope_scale``.
        method_options: by method, such as ``{"adam": {"learning_rate": 1e-3}}``.
        out: run directory for checkpoint, result, solution and pictures; must be new or empty. None stores nothing.
        progress: show progress on standard error.
        memory_limit: bytes that the process may hold, or text such as "4 GB"; None: what it holds and four fifths of
            what is free. What needs more is not begun: the search ends with what it has found, Gauss-Newton is
            matrix-free, and where nothing else is left, an error says how much would be needed.
        checkpoint_seconds: seconds between two checkpoints.

    Returns:
        The `Result`. Ctrl-C ends the training cleanly and returns the current state; ``stopped`` says so.

    Raises:
        InputError: for any argument that cannot be used, before training begins.
        TrainingError: the loss became NaN or infinite.
        TimeLimitError, MemoryLimitError: a limit leaves nothing to return.
    """
    request = Request(
        network=network,
        method=method,
        seed=seed,
        dtype=dtype,
        time_limit=time_limit,
        iterations=iterations,
        loss_weights=loss_weights,
        network_options=network_options,
        method_options=method_options,
    )
    storing = Storing(None if out is None else Path(out), checkpoint_seconds)
    of_precision(problem, dtype)
    with limits.running(request.time_limit, progress, memory_limit), precision(problem.dtype), claimed(storing.out):
        return run(problem, request, storing)


def run(problem: Problem, request: Request, storing: Storing, state: dict | None = None) -> Result:
    """Plan and execute a run; if it does not approximate the solution and another method may, execute that as well.

    ``state``: of that method, to go on with.
    """
    seed_number(request.seed)
    seconds("checkpoint_seconds", storing.checkpoint_seconds)
    directory = storing.out
    reset_unknowns(problem)
    planned = plan(problem, request)
    ready = Run(planned)
    if planned.in_turn and planned.unreached is not None:
        count = request.iterations if isinstance(request.iterations, int) else None
        result = _on_patches(ready, request, count, storing, state)
        if result is not None:
            return result
    if directory is not None:
        write_description(directory, problem, planned.settings, request)
    return ready.execute(storing)


def _on_patches(
    ready: Run, request: Request, iterations: int | None, storing: Storing, state: dict | None
) -> Result | None:
    """The result on subdomains, in the remaining time, if its residual at the held-out points is smaller than that of
    least squares on the whole domain; otherwise None. This is recorded in the notes of ``ready``."""
    problem, tried = ready.problem, ready.plan.unreached
    assert tried is not None
    spent, directory = ready.training.seconds, storing.out
    said = "auto: least squares on the whole domain "
    said += f"left a held-out residual of {tried.held_out:.1e}" if tried.judge else "was not finished"
    if tried.judge is None or not limits.left():
        ready.notes.append(f"{said}; no time was left for the method {Patching.name}, which may suit")
        return None
    notes = [f"{said}; on subdomains instead"]
    try:
        other = Run(_plan_on_patches(ready.plan, iterations, notes))
        other.training.seconds += spent
        if directory is not None and state is None:
            write_description(directory, problem, other.settings, request)
        result = other.execute(storing, state)
    except TrainingError as error:
        ready.notes.append(f"{said}; the method {Patching.name} failed: {error}")
        return None
    if result.resumable:
        return result
    found = tried.judge(result.net)
    if found < tried.held_out:
        notes[0] += f": {found:.1e}"
        if directory is not None:
            result.save(directory)
        return result
    ready.notes.append(f"{said}; on subdomains {found:.1e}, so it is kept")
    ready.settings.attempt = other.settings.attempt + 1
    ready.training.attempt = ready.settings.attempt
    return None


def _plan_on_patches(before: Plan, iterations: int | None, notes: list[str]) -> Plan:
    """The plan of the same run with `Patching`."""
    settings = dataclasses.replace(
        before.settings,
        network=Patching.network,
        network_options={},
        method=Patching.name,
        stages=sequence(Patching.name, iterations),
        notes=notes,
        planned=False,
        error_indicator=None,
        attempt=before.settings.attempt + 1,
        on_trial=True,
    )
    return completed(before.problem, None, settings)
