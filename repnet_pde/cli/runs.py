"""The commands on a run: plan, solve, identify, resume, plot and export."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import limits
from ..errors import InputError, InUseError
from ..problem.load import load_problem
from . import options
from .options import Listed
from .tables import finish, key_values, only_json, show_table


def _networks() -> str:
    from ..networks.registry import NETWORKS

    *most, last = NETWORKS
    return f"{', '.join(most)} or {last}.  [default: the one that suits the method]"


def _methods(identifies: bool) -> str:
    from ..methods import METHODS

    names = [name for name, method in METHODS.items() if method.identifies or not identifies]
    return f"auto, {', '.join(names)}, or several joined by +.  [default: auto]"


def _formats() -> str:
    from ..output.formats import FORMATS

    return f"{' or '.join(FORMATS)}.  [default: by the ending of --out, or vtk]"


_memory_limit = click.option(
    "--memory-limit", metavar="SIZE", help="Memory that it may use, such as 4GB.  [default: most of what is free]"
)


def _of_a_run(identifies: bool = False, stored: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The arguments and options that `plan`, `solve` and `identify` share; ``stored``: has a run directory."""
    shared = [
        click.argument("name_or_file"),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the problem."),
        click.option("--network", cls=Listed, listed=_networks),
        click.option("--layers", metavar="N,N,...", help="Widths of the hidden layers.  [default: by the method]"),
        click.option(
            "--slope-scale", metavar="auto|S|LOW:HIGH", help="Initial slopes of RepNet's first layer.  [default: auto]"
        ),
        click.option("--method", default="auto", cls=Listed, listed=lambda: _methods(identifies)),
        click.option("--dtype", default="float64", show_default=True, help="float64 or float32."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--iterations", metavar="N|METHOD=N,...", help="Iterations of each method of the sequence."),
        click.option("--learning-rate", type=float, help="Initial learning rate of Adam and SOAP.  [default: 0.001]"),
        click.option("--time-limit", type=float, metavar="S", help="End after S seconds; can be resumed."),
    ]
    if stored:
        shared += [
            click.option(
                "--out", type=click.Path(path_type=Path), help="Run directory, new or empty.  [default: runs/NAME]"
            ),
            click.option("--checkpoint-seconds", type=float, hidden=True, default=15.0),
            _memory_limit,
        ]
    shared.append(
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object and nothing else.")
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(shared):
            command = option(command)
        return command

    return decorate


def _asked(
    settings: tuple[str, ...],
    layers: str | None,
    slope_scale: str | None,
    iterations: str | None,
    learning_rate: float | None,
    method: str,
    **rest: Any,
) -> tuple[dict, dict]:
    """The parameters of the problem, and the arguments of `solve`, from the options of the command line."""
    parameters = dict(options.setting(text) for text in settings)
    if len(parameters) < len(settings):
        raise InputError("--set: the same parameter is given twice")
    if "dtype" in parameters:
        raise InputError("--set dtype: the precision is no parameter of a problem; use --dtype float64 or float32")
    network_options: dict[str, Any] = {}
    if layers is not None:
        network_options["layers"] = [options.number("--layers", text, whole=True) for text in layers.split(",")]
    if slope_scale is not None:
        network_options["slope_scale"] = options.slope_scale(slope_scale)
    asked = {
        "method": method,
        "iterations": options.iterations(iterations),
        "network_options": network_options,
        "method_options": {} if learning_rate is None else _paced(method, learning_rate),
    }
    return parameters, rest | asked


def _paced(method: str, learning_rate: float) -> dict:
    """Options of the stages that have a learning rate; if none has, the option is reported as unknown."""
    from ..methods import METHODS

    having = [name for name, entry in METHODS.items() if "learning_rate" in entry.options()]
    paced = [name for name in method.split("+") if name in having] or having[:1]
    return {name: {"learning_rate": learning_rate} for name in paced}


def _run(run: Callable[..., Any], name_or_file: str, out: Path | None, as_json: bool, **given: Any) -> None:
    """Execute ``run``, which imports and calls `solve` or `identify`, with the arguments of the command line."""
    parameters, asked = _asked(**given)
    options.writable(out)
    seconds, memory = options.seconds(asked["time_limit"]), asked["memory_limit"]
    with only_json(as_json), limits.running(seconds, progress=True, memory=memory):
        limits.say(f"reading {name_or_file}")
        with limits.endable():  # it may compute its own data
            problem = load_problem(name_or_file, dtype=asked["dtype"], **parameters)
        for directory in options.default_directories(problem.name) if out is None else [out]:
            try:
                result = run(problem, out=directory, **asked)
                break
            except InUseError:  # by another run that began at the same moment
                if out is not None:
                    raise
    finish(result, directory, as_json)


@click.command()
@_of_a_run(stored=False)
def plan(name_or_file: str, as_json: bool, **given: Any) -> None:
    """Show what solve would do with NAME_OR_FILE, and why: method, network, points, and what does not suit.

    Nothing is trained and nothing is written. For least squares the search for the first layer is done, which takes
    as long as it takes solve.
    """
    parameters, asked = _asked(**given)
    with only_json(as_json), limits.running(options.seconds(asked["time_limit"]), progress=True):
        problem = load_problem(name_or_file, dtype=asked["dtype"], **parameters)
        from ..planning.plan import plan as make
        from ..running.result import plain

        found = make(problem, **asked)
    if as_json:
        click.echo(json.dumps(plain(found.to_dict()), allow_nan=False))
    else:
        show_table(key_values(found.rows()))


@click.command()
@_of_a_run()
def solve(**given: Any) -> None:
    """Solve NAME_OR_FILE: a problem of the catalogue, or a Python file that defines problem()."""

    def run(problem: Any, **asked: Any) -> Any:
        from ..running.solve import solve

        return solve(problem, **asked)

    _run(run, **given)


@click.command()
@_of_a_run(identifies=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Measurements as CSV, NPZ or NetCDF, columns named by coordinates and outputs, in place of the problem's.",
)
@click.option(
    "--noise",
    type=float,
    metavar="S",
    help="Standard deviation of the measurements.  [default: from the file, or estimated]",
)
@click.option("--positive", multiple=True, metavar="NAME", help="An unknown that is positive; repeatable.")
@click.option("--bounds", multiple=True, metavar="NAME=LOW:HIGH", help="Bounds of an unknown; either may be empty.")
@click.option("--starts", type=int, metavar="N", help="Maximum number of starts of the joint method.  [default: 6]")
@click.option(
    "--loss",
    default="squares",
    show_default=True,
    metavar="squares|huber",
    help="Loss of the measurements; huber is robust to outliers (joint, shooting).",
)
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence level of the intervals.")
def identify(
    data: Path | None,
    noise: float | None,
    positive: tuple[str, ...],
    bounds: tuple[str, ...],
    starts: int | None,
    loss: str,
    level: float,
    **given: Any,
) -> None:
    """Identify the unknowns of NAME_OR_FILE from observations, with standard errors and intervals."""
    pairs = dict(options.bounds(text) for text in bounds)
    if len(pairs) < len(bounds):
        raise InputError("--bounds: the same unknown is given twice")
    more: dict[str, Any] = {"data": data, "noise": noise, "positive": positive, "bounds": pairs, "starts": starts}
    more |= {"loss": loss, "level": level}

    def run(problem: Any, **asked: Any) -> Any:
        from ..running.identify import identify

        return identify(problem, **more, **asked)

    _run(run, **given)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--time-limit", type=float, metavar="S", help="End after S more seconds.")
@_memory_limit
@click.option("--checkpoint-seconds", type=float, hidden=True, default=15.0, help="Seconds between two checkpoints.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object and nothing else.")
def resume(
    directory: Path, time_limit: float | None, memory_limit: str | None, checkpoint_seconds: float, as_json: bool
) -> None:
    """Continue the run in DIRECTORY to the result that it would have had without a stop."""
    from ..running.resume import resume as run

    with only_json(as_json):
        result = run(directory, time_limit=time_limit, memory_limit=memory_limit, checkpoint_seconds=checkpoint_seconds)
    finish(result, directory, as_json)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def plot(directory: Path) -> None:
    """Draw the pictures of the run in DIRECTORY again, as far as it has got."""
    from ..output.pictures import draw
    from ..running.resume import load_result

    for path in draw(load_result(directory), directory):
        click.echo(str(path))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--format", "kind", cls=Listed, listed=_formats)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File.  [default: solution.vtr or solution.pvd in the run directory]"
)
def export(directory: Path, kind: str | None, out: Path | None) -> None:
    """Write the solution of the run in DIRECTORY as a file for ParaView (vtk), or as NetCDF elsewhere.

    A solution in time and space becomes a .pvd file and a folder of .vtr files, one for each time.
    """
    from ..output.formats import convert

    click.echo(str(convert(directory, kind, out)))
