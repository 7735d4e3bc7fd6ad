"""The main path: problem -> network -> method -> `Result`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ..arguments import seconds, seed_number
from ..discretization.objective import check_weights
from ..errors import InputError, TrainingError
from ..files import new_directory
from ..methods import sequence
from ..networks.registry import DEFAULT, check_network
from ..planning.plan import automatic_method, patching_suits
from ..problem.checks import of_precision
from ..problem.problem import Problem
from ..training.loop import CHECKPOINT_SECONDS
from .result import Result
from .resume import write_description
from .run import Run, Settings, reset_unknowns


def solve(
    problem: Problem,
    network=None,
    method: str = "auto",
    seed: int = 0,
    dtype: str = "float64",
    time_limit: float | None = None,
    *,
    iterations: int | dict[str, int] | None = None,
    loss_weights="auto",
    network_options: dict | None = None,
    method_options: dict | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Result:
    """Solve a problem: build the network, train it, and measure its error.

    Args:
        problem: from `load_problem`, or your own `Problem`.
        network: a name in `networks.NETWORKS`, a DeepXDE network, or a function of the problem that makes one; None
            takes the one that suits the method.
        method: a name in `methods.METHODS`, a sequence such as "adam+lbfgs", or "auto": for linear problems least
            squares, on patches or for a sum of products where features would be many; for nonlinear ones in time
            marching; and Newton's method on the last layer or Gauss-Newton for others. Where least squares does not
            reach the solution, patches follow, and the better of the two is returned; a note says so.
        seed: of network, points and everything else; the caller's random generators are left as they were.
        dtype: "float64" or "float32"; the problem must have been made in it.
        time_limit: seconds of training, or None. The run can be resumed after it.
        iterations: of each stage of the method: one number, or by method; None takes the methods' defaults.
        loss_weights: "auto" balances the terms by their gradient norms (arXiv:2308.08468); a mapping from names of
            terms to positive numbers fixes them (1 for the others); None means 1 for all.
        network_options: of a network chosen by name: ``layers`` (hidden widths), ``activation``, ``slope_scale``.
        method_options: by method, such as ``{"adam": {"learning_rate": 1e-3}}``.
        out: run directory for checkpoint, result, solution and pictures; must be new or empty. None keeps nothing.
        progress: show progress on standard error.
        checkpoint_seconds: between two checkpoints.

    Returns:
        The `Result`. Ctrl-C ends the training cleanly and returns what there is; ``stopped`` says so.

    Raises:
        InputError: for any argument that cannot be used, before training begins.
        TrainingError: the loss became NaN or infinite.
    """
    return run(
        problem,
        network,
        method,
        seed,
        dtype,
        time_limit,
        iterations=iterations,
        loss_weights=loss_weights,
        network_options=network_options,
        method_options=method_options,
        out=out,
        progress=progress,
        checkpoint_seconds=checkpoint_seconds,
    )


def run(
    problem,
    network,
    method,
    seed,
    dtype,
    time_limit,
    *,
    iterations,
    loss_weights,
    network_options,
    method_options,
    out,
    progress,
    checkpoint_seconds,
    data: Path | None = None,
    notes: Sequence[str] = (),
    **identification,
) -> Result:
    """`solve`, and with the settings ``identification`` and a file of observations ``data`` also `identify`."""
    of_precision(problem, dtype)
    seed_number(seed)
    seconds("time_limit", time_limit)
    seconds("checkpoint_seconds", checkpoint_seconds)
    notes, auto = list(notes), method == "auto"
    if auto:
        method, note = automatic_method(problem, network, network_options)
        notes.append(f"auto: {note}")
    stages = sequence(method, iterations, method_options)
    first = stages[0][0]
    if dtype == "float32" and first in ("least-squares", "gauss-newton", "joint"):
        raise InputError(f"dtype: 'float32' given, but {first} needs 'float64'")
    if problem.interfaces and first != "patching":
        raise InputError(f"method: {first} given, but the problem has interfaces, which only patching knows")
    chosen = network is not None or bool(network_options)
    name, network_options = check_network(network, network_options, first)
    weights = check_weights(loss_weights, problem.term_names)
    settings = Settings(name, network_options, method, stages, weights, seed, dtype, notes, **identification)
    directory = None if out is None else new_directory(Path(out))

    reset_unknowns(problem)
    # What auto chose may turn out not to reach the solution; then another method has the rest of the time.
    in_turn = auto and first == "least-squares" and not chosen and patching_suits(problem)
    ready = Run(problem, network if name == "custom" else name, settings, time_limit, in_turn)
    if in_turn and ready.unreached is not None:
        count = iterations if isinstance(iterations, int) else None
        result = _on_patches(ready, count, directory, time_limit, progress, checkpoint_seconds)
        if result is not None:
            return result
        time_limit = None  # all is done
    if directory is not None:
        write_description(directory, problem, settings, data)
    return ready.execute(directory, time_limit, progress, checkpoint_seconds)


def _on_patches(ready: Run, iterations, directory, time_limit, progress, checkpoint_seconds) -> Result | None:
    """The result on patches, in what is left of the time, where it leaves less at the held-out points of the least
    squares that did not reach the solution; None where it does not. The notes of ``ready`` say so."""
    problem, settings, tried = ready.problem, ready.settings, ready.unreached
    spent = ready.training.seconds
    left = None if time_limit is None else time_limit - spent
    said = f"auto: least squares on the whole domain left a held-out residual of {tried.held_out:.1e}"
    if left is not None and left <= 0:
        ready.notes.append(f"{said}; no time was left for the method patching, which may suit")
        return None
    stages = sequence("patching", iterations)
    notes = [f"{said}; on patches in its place"]
    patches = dataclasses.replace(
        settings,
        network=DEFAULT["patching"],
        network_options={},
        method="patching",
        stages=stages,
        notes=notes,
        planned=False,
        error_indicator=None,
    )
    try:
        other = Run(problem, patches.network, patches)
        other.training.seconds += spent
        if directory is not None:
            write_description(directory, problem, patches, None)
        result = other.execute(directory, left, progress, checkpoint_seconds)
    except TrainingError as error:
        ready.notes.append(f"{said}; the method patching failed: {error}")
        return None
    found = tried.judge(result.net)
    if found < tried.held_out:
        notes[0] += f": {found:.1e}"
        if directory is not None:
            result.save(directory)
        return result
    ready.notes.append(f"{said}; on patches {found:.1e}, so it is kept")
    return None
