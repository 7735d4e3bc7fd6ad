"""The command ``repnet-pde``. Heavy imports wait until a command needs them."""

import ast
import contextlib
import json
import math
import os
import shlex
import sys
import warnings
from pathlib import Path

import click

from ..errors import InputError, RepNetPDEError
from ..problem.load import catalogue, load_problem, locate
from ..validation.table import digits
from ..version import __version__

INTERRUPTED_CODE = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, package_name="repnet-pde")
def cli() -> None:
    """Solve multiscale and high-frequency PDEs with RepNet, and compare with a reference."""


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a problem.")
def list_command(as_json: bool) -> None:
    """List the problems of the catalogue."""
    entries = catalogue().values()
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "name": e.name,
                        "title": e.title,
                        "equation": e.equation,
                        "parameters": e.parameters,
                        "measured_error": e.measured,
                    }
                    for e in entries
                ]
            )
        )
        return
    from rich.table import Table

    table = Table("problem", "what", "parameters", "measured error")
    for e in entries:
        measured = "–" if e.measured is None else f"{e.measured:.1e}"
        table.add_row(e.name, e.title, ", ".join(f"{k}={v:g}" for k, v in e.parameters.items()), measured)
    _print(table)


@cli.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one problem: its equation, parameters, terms and points."""
    _, path = locate(name)
    problem = load_problem(name)
    click.echo(sys.modules[f"repnet_pde_problem_{path.stem}"].__doc__ or problem.name)
    points = problem.points()
    numbers = {"domain": points.domain, "boundary": points.boundary}
    numbers |= {"initial": points.initial} if problem.in_time else {}
    _print(
        _key_values(
            {
                "parameters": ", ".join(f"{k}={v:g}" for k, v in problem.parameters.items()) or "none",
                "terms": ", ".join(problem.term_names),
                "outputs": ", ".join(problem.outputs),
                "unknowns": ", ".join(problem.unknowns) or "none",
                "wavenumber": "unknown"
                if problem.wavenumber is None
                else ", ".join(f"{k:.4g}" for k in problem.wavenumber),
                "points": ", ".join(f"{v} {k}" for k, v in numbers.items()) + f" ({points.distribution})",
                "tolerance": "not stated" if problem.tolerance is None else f"{problem.tolerance:.2g}",
                "balances": ", ".join(problem.balances) or "none",
                "exact solution": "yes" if problem.solution else "no",
                "reference": problem.reference
                if isinstance(problem.reference, str)
                else "yes"
                if problem.reference
                else "none",
                "file": str(path),
            }
        )
    )


def _of_a_run(identifies: bool):
    """The arguments and options that `solve` and `identify` share."""
    methods = (
        "joint, shooting, " if identifies else "least-squares, patching, low-rank, marching, patch-marching, joint, "
    )
    methods = f"auto, {methods}gauss-newton, "
    options = [
        click.argument("name_or_file"),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the problem."),
        click.option(
            "--network",
            help="repnet, repnet-relu, repnet-sin, repnet-gaussian, repnet-siren, repnet-patches, repnet-product, "
            "repnet-slabs, fnn, fourier, msffn, siren or pirate.  [default: the one that suits the method]",
        ),
        click.option("--layers", metavar="N,N,...", help="Widths of the hidden layers.  [default: by the method]"),
        click.option(
            "--slope-scale", metavar="auto|S|LOW:HIGH", help="Start slopes of RepNet's first layer.  [default: auto]"
        ),
        click.option(
            "--method",
            default="auto",
            show_default=True,
            help=f"{methods}ssbroyden, adam, soap, lbfgs, or several joined by +.",
        ),
        click.option("--dtype", default="float64", show_default=True, help="float64 or float32."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--iterations", metavar="N|METHOD=N,...", help="Iterations of each method of the sequence."),
        click.option("--learning-rate", type=float, help="Of Adam and SOAP, at the start.  [default: 0.001]"),
        click.option("--time-limit", type=float, metavar="S", help="Stop training after S seconds; can be resumed."),
        click.option(
            "--out", type=click.Path(path_type=Path), help="Run directory, new or empty.  [default: runs/NAME]"
        ),
        click.option("--checkpoint-seconds", type=float, hidden=True, default=15.0, help="Between two checkpoints."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object and nothing else."),
    ]

    def decorate(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _run_command(
    name_or_file,
    settings,
    network,
    layers,
    slope_scale,
    method,
    dtype,
    seed,
    iterations,
    learning_rate,
    time_limit,
    out,
    checkpoint_seconds,
    as_json,
    module: str,
    **more,
) -> None:
    """`solve` or `identify`, by the name of ``module``, with the options of the command line."""
    parameters = dict(_setting(text) for text in settings)
    if len(parameters) < len(settings):
        raise InputError("--set: the same parameter is given twice")
    if "dtype" in parameters:
        raise InputError("--set dtype: the precision is no parameter of a problem; use --dtype float64 or float32")
    options = {}
    if layers is not None:
        options["layers"] = [_number("--layers", text, whole=True) for text in layers.split(",")]
    if slope_scale is not None:
        options["slope_scale"] = _slope_scale(slope_scale)
    counts = _iterations(iterations)
    method_options = {}
    if learning_rate is not None:  # said to be unknown where the method has none
        paced = [name for name in method.split("+") if name in ("adam", "soap")] or ["adam"]
        method_options = {name: {"learning_rate": learning_rate} for name in paced}
    _writable(out)

    import importlib

    run = getattr(importlib.import_module(f"repnet_pde.running.{module}"), module)
    with _only_json(as_json):
        problem = load_problem(name_or_file, dtype=dtype, **parameters)
        directory = _default_directory(problem.name) if out is None else out
        result = run(
            problem,
            network,
            method,
            seed,
            dtype,
            time_limit,
            iterations=counts,
            network_options=options,
            method_options=method_options,
            out=directory,
            checkpoint_seconds=checkpoint_seconds,
            **more,
        )
    _finish(result, directory, as_json)


@cli.command()
@_of_a_run(identifies=False)
def solve(**options) -> None:
    """Solve NAME_OR_FILE: a problem of the catalogue, or a Python file that defines problem()."""
    _run_command(module="solve", **options)


@cli.command()
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
@click.option("--starts", type=int, metavar="N", help="Most starts of the joint method.  [default: 6]")
@click.option(
    "--loss",
    default="squares",
    show_default=True,
    metavar="squares|huber",
    help="Of the measurements: huber is not moved by few outliers (joint, shooting).",
)
@click.option("--level", type=float, default=0.95, show_default=True, help="Of the intervals.")
def identify(data, noise, positive, bounds, starts, loss, level, **options) -> None:
    """Identify the unknowns of NAME_OR_FILE from observations, with standard errors and intervals."""
    pairs = dict(_bounds(text) for text in bounds)
    if len(pairs) < len(bounds):
        raise InputError("--bounds: the same unknown is given twice")
    more = {"data": data, "noise": noise, "positive": positive, "bounds": pairs, "starts": starts}
    more |= {"loss": loss, "level": level}
    _run_command(module="identify", **more, **options)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--time-limit", type=float, metavar="S", help="Stop training after S more seconds.")
@click.option("--checkpoint-seconds", type=float, hidden=True, default=15.0, help="Between two checkpoints.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object and nothing else.")
def resume(directory: Path, time_limit, checkpoint_seconds, as_json: bool) -> None:
    """Continue the run in DIRECTORY to the result that it would have had without a stop."""
    from ..running.resume import resume as run

    with _only_json(as_json):
        result = run(directory, time_limit=time_limit, checkpoint_seconds=checkpoint_seconds)
    _finish(result, directory, as_json)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
def plot(directory: Path) -> None:
    """Draw the pictures of the run in DIRECTORY again, as far as it has got."""
    from ..output.pictures import draw
    from ..running.resume import load_result

    for path in draw(load_result(directory), directory):
        click.echo(str(path))


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--format", "kind", metavar="netcdf|vtk", help="[default: by the ending of --out, or vtk]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File.  [default: solution.vtr or solution.pvd in the run directory]"
)
def export(directory: Path, kind: str | None, out: Path | None) -> None:
    """Write the solution of the run in DIRECTORY as a file for ParaView (vtk), or as NetCDF elsewhere.

    A solution in time and space becomes a .pvd file and a folder of .vtr files, one for each time.
    """
    from ..output.grid import convert

    click.echo(str(convert(directory, kind, out)))


_CAMPAIGN = [
    click.option("--seeds", type=int, default=3, show_default=True, help="Seeds 0, 1, ... of each."),
    click.option("--threads", type=int, default=1, show_default=True, help="Of each run."),
    click.option("--jobs", type=int, default=1, show_default=True, help="Runs at a time on this machine."),
    click.option("--scheduler", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers do the runs."),
]


def _of_a_campaign(command):
    for option in reversed(_CAMPAIGN):
        command = option(command)
    return command


@cli.command()
@click.argument("names", nargs=-1)
@click.option("--method", default="auto", show_default=True, help="As in solve.")
@click.option("--convergence/--no-convergence", default=True, help="Solve the first seed again with less.")
@_of_a_campaign
@click.option("--out", type=click.Path(path_type=Path), default="runs/validation", show_default=True)
def validate(names, out, **options) -> None:
    """Solve NAMES (default: the catalogue) and check errors, references, convergence and balances.

    Exit code 1 when a problem fails its stated tolerance. The same command goes on where it was interrupted; a report
    is written into the campaign's directory.
    """
    from ..validation.campaigns.campaign import say
    from ..validation.campaigns.validate import FAILED
    from ..validation.campaigns.validate import validate as run

    with _reported(out):
        found = run(names, out=out, command=_command_line(), say=say, **options)
        _print(_outcomes(found))
    if any(validation.outcome == FAILED for validation in found):
        raise click.exceptions.Exit(1)


@cli.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--networks", default="repnet,repnet-sin,fnn,msffn,siren,pirate", show_default=True)
@click.option("--methods", default="adam,soap,lbfgs,ssbroyden,least-squares,gauss-newton", show_default=True)
@click.option(
    "--budget", default="10s,60s", show_default=True, help="Wall-clock seconds of each run; several by commas."
)
@click.option("--parameters", type=int, help="Of every network.  [default: as an ordinary one with usual layers]")
@click.option("--dtype", default="float64", show_default=True, help="float64 or float32.")
@_of_a_campaign
@click.option("--out", type=click.Path(path_type=Path), default="runs/comparison", show_default=True)
def compare(names, networks, methods, budget, out, jobs, scheduler, **options) -> None:
    """Compare networks and methods on NAMES at equal wall-clock budget, threads and number of parameters."""
    from ..validation.campaigns.campaign import say
    from ..validation.campaigns.compare import Plan, seconds_of
    from ..validation.campaigns.compare import compare as run

    networks, methods, budgets = (tuple(text.split(",")) for text in (networks, methods, budget))
    plan = Plan(names, networks, methods, tuple(seconds_of(text) for text in budgets), **options)
    with _reported(out):
        run(plan, out=out, jobs=jobs, scheduler=scheduler, command=_command_line(), say=say)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
def report(directory: Path) -> None:
    """Write the report of the campaign in DIRECTORY again, from its stored runs."""
    from ..validation.campaigns.report import write

    click.echo(str(write(directory)))


@contextlib.contextmanager
def _reported(out: Path):
    """Write the report at the end, also where some runs could not be done."""
    from ..validation.campaigns.report import write

    try:
        yield
    except RepNetPDEError as error:
        if not isinstance(error, InputError):
            write(out)
        raise
    click.echo(str(write(out)))


def _command_line() -> str:
    return shlex.join(["repnet-pde", *sys.argv[1:]])


def _outcomes(found):
    from rich.table import Table

    table = Table("problem", "outcome", "relative L2", "s", "why")
    for v in found:
        error = "" if v.error is None else f"{v.error:.1e}"
        seconds = "" if math.isnan(v.seconds) else f"{v.seconds:.2g}"
        table.add_row(v.problem, v.outcome, error, seconds, v.reason)
    return table


def main(arguments: list[str] | None = None) -> None:
    """Entry point: every error is one line on standard error and an exit code (2 bad input, 1 failed, 130 Ctrl-C)."""
    warnings.showwarning = _show_warning
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="deepxde")  # NumPy's, about its polygons
    sys.exit(_run(arguments))


def _run(arguments) -> int:
    try:
        code = cli.main(arguments, prog_name="repnet-pde", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except InputError as error:
        return _fail(str(error), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED_CODE)
    except RepNetPDEError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return 1
    except (OSError, MemoryError) as error:
        return _fail(f"{type(error).__name__}: {error}", 1)
    except click.exceptions.Exit as error:
        return error.exit_code


def _fail(message: str, code: int) -> int:
    print("repnet-pde: " + " ".join(message.split()), file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"repnet-pde: warning: {' '.join(str(message).split())}", file=sys.stderr)


# Options -----------------------------------------------------------------------------------------------------------


def _number(option: str, text: str, whole: bool = False):
    """A number as Python writes it: 50, 1e-3, -0.5, 1_000."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    try:
        good = isinstance(value, int) if whole else isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:
        good = False
    if isinstance(value, bool) or not good:
        wanted = "whole number such as 64" if whole else "number such as 50 or 1e-3"
        raise InputError(f"{option}: {text[:100]!r} given; a {wanted} is needed")
    return value


def _setting(text: str):
    key, equals, value = text.partition("=")
    if not equals or not key.strip().isidentifier():
        raise InputError(f"--set: {text!r} given; KEY=VALUE, such as high=50, is needed")
    return key.strip(), _number(f"--set {key.strip()}", value)


def _bounds(text: str):
    name, equals, pair = text.partition("=")
    ends = pair.split(":")
    if not equals or len(ends) != 2:
        raise InputError(f"--bounds: {text!r} given; NAME=LOW:HIGH, such as k=0:10 or k=0:, is needed")
    return name.strip(), tuple(_number(f"--bounds {name.strip()}", end) if end.strip() else None for end in ends)


def _slope_scale(text: str):
    if text == "auto":
        return text
    parts = [_number("--slope-scale", part) for part in text.split(":")]
    if len(parts) > 2:
        raise InputError(f"--slope-scale: {text!r} given; auto, a number or LOW:HIGH is needed")
    return parts[0] if len(parts) == 1 else tuple(parts)


def _iterations(text: str | None):
    if text is None:
        return None
    if "=" not in text:
        return _number("--iterations", text, whole=True)
    pairs = [part.partition("=") for part in text.split(",")]
    return {name.strip(): _number("--iterations", value, whole=True) for name, _, value in pairs}


def _writable(out: Path | None) -> None:
    """Find out before any work whether the run directory can be made."""
    place = Path("runs") if out is None else out
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"--out: {str(place)!r} is not a directory")
    if not os.access(place, os.W_OK):
        raise InputError(f"--out: the directory {str(place.resolve())!r} cannot be written to")


def _default_directory(name: str) -> Path:
    """runs/NAME, or runs/NAME-2, runs/NAME-3, ... : the first that is not there."""
    number = 1
    while True:
        directory = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not directory.exists():
            return directory
        number += 1


# Output ------------------------------------------------------------------------------------------------------------


def _only_json(as_json: bool):
    """With --json, what a user's file prints goes to standard error."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def _finish(result, directory: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_dict(), allow_nan=False))
    else:
        _print(_table(result, directory))
    if result.resumable:
        print(f"repnet-pde: stopped ({result.stopped}); continue with: repnet-pde resume {directory}", file=sys.stderr)
    if result.stopped == "interrupted":
        raise click.exceptions.Exit(INTERRUPTED_CODE)
    if not result.finished and not result.resumable:
        raise RepNetPDEError(f"ended before the end of time: {result.stopped}")


def _table(result, directory: Path):
    errors, reference = result.errors, result.reference
    rows = {
        "problem": f"{result.problem.name} ({', '.join(f'{k}={v:g}' for k, v in result.problem.parameters.items())})"
    }
    if not result.problem.parameters:
        rows["problem"] = result.problem.name
    rows["network"] = f"{result.network}, {result.n_parameters:,} parameters, {result.dtype}"
    rows["method"] = f"{result.method}, iterations: {result.iterations:,}, seed {result.seed}"
    if errors.against:
        rows[f"error against the {errors.against}"] = _errors(errors)
    if reference is not None:
        if errors.against != "reference":
            rows["error against the reference"] = _errors(result.reference_errors)
        doubt = "" if reference.converged else " (NOT CONVERGED)"
        rows["reference"] = f"{reference.name}, its own error: relative L2 {reference.relative_l2_estimate:.1e}{doubt}"
    rows["status"] = f"{result.status}: {result.check.reason}"
    ranges = result.check.ranges.items()
    rows["range"] = ", ".join(f"{name} from {low:.4g} to {high:.4g}" for name, (low, high) in ranges)
    rows["residual (rms)"] = ", ".join(f"{name} {value:.2e}" for name, value in result.residuals.items())
    for name, estimate in result.estimates.items():
        rows[f"unknown {name}"] = _estimate(estimate, result.identification)
    for name in result.problem.unknown_fields if result.errors.by_output else ():
        rows[f"unknown field {name}"] = f"relative L2 error {result.errors.by_output[name]:.2e}"
    if result.identification is not None:
        found = result.identification
        how = "given" if found.noise_given else "estimated"
        rows["noise"] = ", ".join(f"{name} {value:.3g}" for name, value in found.noise.items()) + f" ({how})"
    rows["training time"] = f"{result.wall_seconds:.1f} s; {result.stopped}"
    notes = [*result.check.notes, *result.notes, *(result.identification.notes if result.identification else ())]
    if notes:
        rows["notes"] = "; ".join(notes)
    rows["written to"] = str(directory)
    return _key_values(rows)


def _errors(errors) -> str:
    if errors.until is None:
        return f"relative L2 {errors.relative_l2:.2e}, maximum {errors.maximum:.2e}"
    if errors.relative_l2 is None:
        return f"none: no solution beyond t = {errors.until:.6g}"
    return f"up to t = {errors.until:.6g} only: relative L2 {errors.relative_l2:.2e}, maximum {errors.maximum:.2e}"


def _estimate(estimate, identification) -> str:
    true = "" if estimate.true is None else f" (true {estimate.true:.6g})"
    if estimate.interval is None:
        reason = estimate.reason if identification and estimate.reason else ""
        return f"{estimate.value:.6g}{true}" + (f", no interval: {reason}" if reason else "")
    low, high = estimate.interval
    n = digits(low, high)
    interval = f"{100 * identification.level:g} % interval [{low:.{n}g}, {high:.{n}g}]"
    return f"{estimate.value:.{n}g} ± {estimate.standard_error:.2g}, {interval}{true}"


def _key_values(rows: dict[str, str]):
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def _print(table) -> None:
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else 110).print(table, markup=False)
