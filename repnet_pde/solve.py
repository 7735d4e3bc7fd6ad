"""The main path: problem -> network -> method -> `Result`; and `resume`, which picks it up again."""

import platform
import time
import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import version
from numbers import Real
from pathlib import Path

import numpy as np
import torch

from . import __version__, accuracy
from ._backend import PRECISIONS, dde, seeded, set_precision
from ._checks import whole
from .catalogue import folder, load_problem, locate, source_digest
from .checkpoint import CHECKPOINT, RUN, TEMPORARY, read_checkpoint, read_json, remove_temporaries, write_json
from .errors import InputError, choose
from .methods import sequence
from .networks import build_network, check_network
from .objective import Objective, check_weights
from .planning import automatic_method, least_points, plan_least_squares
from .problem import Problem
from .progress import reporter
from .residuals import collocation
from .result import Result
from .training import CHECKPOINT_SECONDS, Training
from .wavenumbers import problem_wavenumber

FORMAT = 1


@dataclass
class Settings:
    """What defines a run; stored as ``run.json``, so that `resume` can make the same one again."""

    network: str
    network_options: dict
    method: str
    stages: list
    loss_weights: dict | str
    seed: int
    dtype: str
    notes: list[str]
    planned: bool = False


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
        method: "least-squares", "gauss-newton", "adam", "lbfgs", a sequence such as "adam+lbfgs", or "auto": least
            squares for linear problems and Gauss-Newton for others.
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
    _of_precision(problem, dtype)
    _seed(seed)
    _seconds("time_limit", time_limit)
    _seconds("checkpoint_seconds", checkpoint_seconds)
    notes = []
    if method == "auto":
        method, note = automatic_method(problem, network, network_options)
        notes.append(f"auto: {note}")
    stages = sequence(method, iterations, method_options)
    first = stages[0][0]
    if dtype == "float32" and first in ("least-squares", "gauss-newton"):
        raise InputError(f"dtype: 'float32' given, but {first} needs 'float64'")
    name, network_options = check_network(network, network_options, first)
    weights = check_weights(loss_weights, problem.term_names)
    settings = Settings(name, network_options, method, stages, weights, seed, dtype, notes)
    directory = None if out is None else _new_directory(Path(out))

    _reset_unknowns(problem)
    run = _Run(problem, network if name == "custom" else name, settings)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / RUN, _description(problem, settings))
    return run.execute(directory, time_limit, progress, checkpoint_seconds)


def _of_precision(problem, dtype: str) -> None:
    if not isinstance(problem, Problem):
        raise InputError(f"problem: {type(problem).__name__} given; a repnet_pde.Problem, from load_problem, is needed")
    choose("dtype", dtype, PRECISIONS)
    if problem.dtype != dtype:
        raise InputError(
            f"dtype: {dtype!r} asked for, but the problem was made in {problem.dtype!r}; make it again after "
            f"repnet_pde.set_precision({dtype!r}), or by load_problem(..., dtype={dtype!r})"
        )


def resume(
    directory: str | Path,
    *,
    problem: Problem | None = None,
    network=None,
    time_limit: float | None = None,
    progress: bool = True,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Result:
    """Continue a run from its directory to the same result, to the last bit, as if it had never been stopped.

    Args:
        directory: where `solve` wrote to.
        problem: only for a run of a problem that did not come from a file.
        network: only for a run with a network of one's own: one of the same architecture.
        time_limit, progress, checkpoint_seconds: as in `solve`.

    Raises:
        InputError: no run directory, a damaged file, or a problem file that has changed since.
    """
    _seconds("time_limit", time_limit)
    run, state = _stored(Path(directory), problem, network)
    return run.execute(Path(directory), time_limit, progress, checkpoint_seconds, state)


def load_result(directory: str | Path, *, problem: Problem | None = None, network=None) -> Result:
    """The `Result` of a run directory as far as it has got, without training or writing; arguments as in `resume`."""
    run, state = _stored(Path(directory), problem, network)
    if state is None:
        raise InputError(f"directory: {str(directory)!r} has no {CHECKPOINT} yet")
    with seeded(run.settings.seed):
        run.load(Path(directory), state)
        return run.result(state["progress"]["stopped"])


def _stored(directory: Path, problem: Problem | None, network) -> "tuple[_Run, dict | None]":
    """The run that a directory describes, as it was at its start, and the state of its checkpoint."""
    if not directory.is_dir():
        raise InputError(f"directory: {str(directory)!r} does not exist")
    stored = read_json(directory / RUN)
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
    _of_precision(problem, settings.dtype)
    if settings.network == "custom" and network is None:
        raise InputError("network: this run used a network of its own; pass one of the same architecture")
    state = read_checkpoint(directory / CHECKPOINT)
    _reset_unknowns(problem)
    return _Run(problem, network if settings.network == "custom" else settings.network, settings), state


def _usable(settings: Settings) -> None:
    """The checks of `solve`, for settings read from a file."""
    choose("dtype", settings.dtype, PRECISIONS)
    _seed(settings.seed)
    if settings.network != "custom":
        check_network(settings.network, settings.network_options, settings.stages[0][0])
    for name, count, options in settings.stages:
        sequence(name, count, {name: options})


class _Run:
    """A problem with its network, points and training, ready to go."""

    def __init__(self, problem: Problem, network, settings: Settings):
        self.problem, self.settings = problem, settings
        self.notes: list[str] = settings.notes
        set_precision(settings.dtype)
        self.wavenumber, note = problem_wavenumber(problem)
        if note and note not in self.notes:
            self.notes.append(note)
        self.target = accuracy.Target(problem, problem.points(self.wavenumber).test)
        reference = self.target.reference
        if reference is not None and not reference.converged:
            self._warn(
                f"the reference {reference.name!r} has not converged (estimated relative L2 error "
                f"{reference.relative_l2_estimate:.1e}): errors against it mean little"
            )
        begun = time.monotonic()
        first, options = settings.stages[0][0], settings.network_options
        if first == "least-squares" and settings.network != "custom" and not settings.planned:
            options, said = plan_least_squares(problem, network, options, self.wavenumber, settings.seed)
            settings.network_options, settings.planned = options, True
            self.notes += said
        planning = time.monotonic() - begun
        with seeded(settings.seed):
            self.net = build_network(problem, network, options, self.wavenumber)
            least = least_points(first, self.net)
            points = options.get("wavenumber", self.wavenumber)
            self.data = collocation(problem, wavenumber=points, least=least)
        if getattr(self.net, "slope_note", None) and self.net.slope_note not in self.notes:
            self.notes.append(self.net.slope_note)
        unknowns = problem.unknowns
        self.objective = Objective(
            self.data, self.net, list(unknowns.values()), problem.term_names, settings.loss_weights
        )
        _trains(self.objective)
        self.training = Training(self.objective, settings.stages, unknowns, lambda: self.target.quick_error(self.net))
        self.training.seconds = planning

    def _warn(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
        warnings.warn(text, stacklevel=4)

    def load(self, directory: Path, state: dict) -> None:
        try:
            self.training.load_state_dict(state)
        except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{directory / CHECKPOINT}: does not belong to this run or is damaged ({reason})"
            ) from error

    def execute(self, directory, time_limit, progress, checkpoint_seconds, state=None) -> Result:
        if directory is not None:
            remove_temporaries(directory)
        with seeded(self.settings.seed):
            if state is not None:
                self.load(directory, state)
            stopped = self.training.run(
                time_limit=time_limit,
                progress=reporter(progress, sum(count for _, count, _ in self.training.stages)),
                checkpoint=None if directory is None else directory / CHECKPOINT,
                checkpoint_seconds=checkpoint_seconds,
            )
            result = self.result(stopped)
        if directory is not None:
            result.save(directory)
        return result

    def result(self, stopped: str) -> Result:
        problem, training, settings = self.problem, self.training, self.settings
        return Result(
            problem=problem,
            net=self.net,
            network=settings.network,
            network_options=settings.network_options,
            method=settings.method,
            seed=settings.seed,
            dtype=settings.dtype,
            errors=self.target.errors(self.net),
            reference=self.target.reference,
            reference_errors=self.target.reference_errors(self.net),
            residuals=accuracy.fresh_residuals(problem, self.net, settings.seed, self.wavenumber),
            history=_by_name(training.history, problem),
            unknowns={name: value.item() for name, value in problem.unknowns.items()},
            iterations=training.iteration,
            stopped=stopped,
            finished=training.finished,
            wall_seconds=training.seconds,
            wavenumber=self.wavenumber,
            stages=training.reasons,
            notes=self.notes,
            first_layer=training.first_layer,
            data=self.data,
            versions=versions(),
        )


def _trains(objective: Objective) -> None:
    """Every term must change with the parameters of this network: try it before hours are spent."""
    for name, term in zip(objective.names, objective.mean_squares(), strict=True):
        grads = (
            torch.autograd.grad(term, objective.parameters, retain_graph=True, allow_unused=True)
            if term.requires_grad
            else []
        )
        if not torch.isfinite(term):
            raise InputError(f"network: the term {name!r} is {term.item()} at the start; give other network_options")
        if not any(g is not None and g.any() for g in grads) and term > 0:
            raise InputError(f"network: the term {name!r} does not change with any of its parameters; choose another")
    dde.grad.clear()


def _by_name(history: dict, problem: Problem) -> dict:
    """The history's lists as arrays, those of terms, weights and unknowns by name."""
    result = {key: np.asarray(history[key]) for key in ("iteration", "seconds", "method", "loss")}
    result["relative_l2"] = np.asarray([np.nan if e is None else e for e in history["relative_l2"]], dtype=float)
    for key, names in (("terms", problem.term_names), ("weights", problem.term_names), ("unknowns", problem.unknowns)):
        table = np.asarray(history[key], dtype=float).reshape(len(result["loss"]), len(names))
        result[key] = {name: table[:, i] for i, name in enumerate(names)}
    return result


def _reset_unknowns(problem: Problem) -> None:
    """Start from the values that the unknowns had when the problem was made, whatever ran since."""
    with torch.no_grad():
        for name, value in problem.unknowns.items():
            value.fill_(problem.start_values[name])


def _seed(seed) -> None:
    whole("seed", seed, 0)
    if seed is None or seed > 2**32 - 2:
        raise InputError(f"seed: {seed!r} given; a whole number from 0 to 2**32 - 2 is needed")


def _seconds(argument: str, value) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, Real) or not value > 0):
        raise InputError(f"{argument}: {value!r} given; a number of seconds > 0 is needed")


def _new_directory(directory: Path) -> Path:
    if directory.exists() and (
        not directory.is_dir() or not all(TEMPORARY.fullmatch(path.name) for path in directory.iterdir())
    ):
        raise InputError(
            f"out: {str(directory)!r} exists and is not an empty directory; choose another, or resume the run in it"
        )
    return directory


def _description(problem: Problem, settings: Settings) -> dict:
    source = problem.source
    return {
        "format": FORMAT,
        "problem": {
            "name": problem.name,
            "catalogue": source is not None and Path(source).parent == folder(),
            "source": source,
            "sha256": None if source is None else source_digest(source),
            "parameters": dict(problem.parameters),
        },
        "settings": asdict(settings),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    names = ("torch", "deepxde", "numpy", "scipy")
    return {"repnet-pde": __version__, "python": platform.python_version(), **{n: version(n) for n in names}}
