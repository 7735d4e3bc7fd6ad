"""The commands on the catalogue: list and show."""

import json
import sys

import click

from ..problem.load import catalogue, load_problem, locate
from ..problem.parameters import text
from .tables import key_values, show_table


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with one object per problem.")
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
        table.add_row(e.name, e.title, text(e.parameters), measured)
    show_table(table)


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one problem: its equation, parameters, terms and points."""
    _, path = locate(name)
    problem = load_problem(name)
    click.echo(sys.modules[f"repnet_pde_problem_{path.stem}"].__doc__ or problem.name)
    points = problem.points()
    assert not isinstance(problem.wavenumber, float)  # the problem has made it one number per axis
    numbers = {"domain": points.domain, "boundary": points.boundary}
    numbers |= {"initial": points.initial} if problem.in_time else {}
    show_table(
        key_values(
            {
                "parameters": text(problem.parameters) or "none",
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
