"""Output of the commands."""

import contextlib
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from ..errors import RepNetPDEError
from ..problem.parameters import text
from ..validation.table import digits

INTERRUPTED_CODE = 130


def only_json(as_json: bool) -> AbstractContextManager[Any]:
    """With --json, redirect what a user's file prints to standard error."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def finish(result: Any, directory: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_dict(), allow_nan=False))
    else:
        show_table(result_table(result, directory))
    if result.resumable:
        print(f"repnet-pde: stopped ({result.stopped}); continue with: repnet-pde resume {directory}", file=sys.stderr)
    if result.stopped == "interrupted":
        raise click.exceptions.Exit(INTERRUPTED_CODE)
    if not result.finished and not result.resumable:
        raise RepNetPDEError(f"ended before the end of time: {result.stopped}")


def result_table(result: Any, directory: Path) -> Any:
    errors, reference = result.errors, result.reference
    parameters = text(result.problem.parameters)
    rows = {"problem": f"{result.problem.name} ({parameters})" if parameters else result.problem.name}
    rows["network"] = f"{result.network}, {result.n_parameters:,} parameters, {result.dtype}"
    rows["method"] = f"{result.method}, iterations: {result.iterations:,}, seed {result.seed}"
    if errors.against:
        rows[f"error against the {errors.against}"] = errors_of(errors)
    if reference is not None:
        if errors.against != "reference":
            rows["error against the reference"] = errors_of(result.reference_errors)
        doubt = "" if reference.converged else " (NOT CONVERGED)"
        rows["reference"] = f"{reference.name}, its own error: relative L2 {reference.relative_l2_estimate:.1e}{doubt}"
    rows["status"] = f"{result.status}: {result.check.reason}"
    ranges = result.check.ranges.items()
    rows["range"] = ", ".join(f"{name} from {low:.4g} to {high:.4g}" for name, (low, high) in ranges)
    rows["residual (rms)"] = ", ".join(f"{name} {value:.2e}" for name, value in result.residuals.items())
    for name, estimate in result.estimates.items():
        rows[f"unknown {name}"] = estimate_text(estimate, result.identification)
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
    return key_values(rows)


def errors_of(errors: Any) -> str:
    if errors.until is None:
        return f"relative L2 {errors.relative_l2:.2e}, maximum {errors.maximum:.2e}"
    if errors.relative_l2 is None:
        return f"none: no solution beyond t = {errors.until:.6g}"
    return f"up to t = {errors.until:.6g} only: relative L2 {errors.relative_l2:.2e}, maximum {errors.maximum:.2e}"


def estimate_text(estimate: Any, identification: Any) -> str:
    true = "" if estimate.true is None else f" (true {estimate.true:.6g})"
    if estimate.interval is None:
        reason = estimate.reason if identification and estimate.reason else ""
        return f"{estimate.value:.6g}{true}" + (f", no interval: {reason}" if reason else "")
    low, high = estimate.interval
    n = digits(low, high)
    interval = f"{100 * identification.level:g} % interval [{low:.{n}g}, {high:.{n}g}]"
    return f"{estimate.value:.{n}g} ± {estimate.standard_error:.2g}, {interval}{true}"


def key_values(rows: dict[str, str]) -> Any:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def show_table(table: Any) -> None:
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else 110).print(table, markup=False)
