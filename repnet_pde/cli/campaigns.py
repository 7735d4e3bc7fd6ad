"""The commands on many runs: validate, compare and report."""

import contextlib
import math
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ..errors import InputError, RepNetPDEError
from .options import Listed
from .tables import show_table

_CAMPAIGN = [
    click.option("--seeds", type=int, default=3, show_default=True, help="Number of seeds 0, 1, ... for each."),
    click.option("--threads", type=int, default=1, show_default=True, help="Threads of each run."),
    click.option("--jobs", type=int, default=1, show_default=True, help="Number of simultaneous runs on this machine."),
    click.option("--scheduler", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers execute the runs."),
]


def _of_a_campaign(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_CAMPAIGN):
        command = option(command)
    return command


@click.command()
@click.argument("names", nargs=-1)
@click.option("--method", default="auto", show_default=True, help="Method, as for solve.")
@click.option("--convergence/--no-convergence", default=True, help="Repeat the first seed at lower resolution.")
@_of_a_campaign
@click.option("--out", type=click.Path(path_type=Path), default="runs/validation", show_default=True)
def validate(names: tuple[str, ...], out: Path, **options: Any) -> None:
    """Solve NAMES (default: the catalogue) and check errors, references, convergence and balances.

    Exit code 1 when a problem fails its stated tolerance. Repeat the same command to continue after an interruption; a
    report is written into the campaign's directory.
    """
    from ..validation.campaigns.campaign import say
    from ..validation.campaigns.validate import FAILED
    from ..validation.campaigns.validate import validate as run

    with _reported(out):
        found = run(names, out=out, command=_command_line(), say=say, **options)
        show_table(_outcomes(found))
    if any(validation.outcome == FAILED for validation in found):
        raise click.exceptions.Exit(1)


USUAL = "repnet,repnet-sin,fnn,msffn,siren,pirate"
"""Networks that are compared unless others are named."""


def _known() -> tuple[list[str], list[str]]:
    """The networks and the methods that can be compared."""
    from ..methods import METHODS
    from ..networks.registry import NETWORKS

    networks = [name for name, network in NETWORKS.items() if network.compared]
    return networks, [name for name, method in METHODS.items() if method.any_network]


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--networks",
    metavar="NAME,...",
    default=USUAL,
    cls=Listed,
    listed=lambda: f"{', '.join(_known()[0])}.  [default: {USUAL}]",
)
@click.option("--methods", metavar="NAME,...", cls=Listed, listed=lambda: f"{', '.join(_known()[1])}.  [default: all]")
@click.option(
    "--budget",
    default="10s,60s",
    show_default=True,
    help="Wall-clock seconds of each run; several separated by commas.",
)
@click.option("--parameters", type=int, help="Number for every network.  [default: as FNN with the usual layers]")
@click.option("--dtype", default="float64", show_default=True, help="float64 or float32.")
@_of_a_campaign
@click.option("--out", type=click.Path(path_type=Path), default="runs/comparison", show_default=True)
def compare(
    names: tuple[str, ...],
    networks: str,
    methods: str | None,
    budget: str,
    out: Path,
    jobs: int,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Compare networks and methods on NAMES at equal wall-clock budget, threads and number of parameters."""
    from ..validation.campaigns.campaign import say
    from ..validation.campaigns.compare import Plan, seconds_of
    from ..validation.campaigns.compare import compare as run

    chosen = _known()[1] if methods is None else methods.split(",")
    budgets = tuple(seconds_of(text) for text in budget.split(","))
    plan = Plan(names, tuple(networks.split(",")), tuple(chosen), budgets, **options)
    with _reported(out):
        run(plan, out=out, jobs=jobs, scheduler=scheduler, command=_command_line(), say=say)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def report(directory: Path) -> None:
    """Write the report of the campaign in DIRECTORY again from its stored runs."""
    from ..validation.campaigns.report import write

    click.echo(str(write(directory)))


@contextlib.contextmanager
def _reported(out: Path) -> Iterator[None]:
    """Write the report at the end, even if some runs could not be done."""
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


def _outcomes(found: Any) -> Any:
    from rich.table import Table

    table = Table("problem", "outcome", "relative L2", "s", "why")
    for v in found:
        error = "" if v.error is None else f"{v.error:.1e}"
        seconds = "" if math.isnan(v.seconds) else f"{v.seconds:.2g}"
        table.add_row(v.problem, v.outcome, error, seconds, v.reason)
    return table
