"""The tables of digits: what ``method="auto"`` reaches without tuning, and what network and optimiser contribute to it.

    python -m repnet_pde.validation.studies.many_digits
    python -m repnet_pde.validation.studies.many_digits --columns auto

The second has all problems, with the peak of the memory; the first those for which the others have a chance. For every
problem, medians over the seeds of relative L2 error and wall time (points, planning, solution; not
imports and references) of

- auto: network, method, points and basis functions chosen by the package;
- repnet tanh: the paper's first layer under the same method (least squares of linear problems, Gauss-Newton else);
- fnn, msffn: an ordinary network and a multi-scale Fourier feature network under the same methods, with the same
  number of basis functions where the last layer is solved for; with Gauss-Newton the same layers and time limit;
- fnn, Adam then L-BFGS for the wall time of auto, at least ``--least`` seconds;
- finite differences: the seconds in which the problem's own finite-difference reference comes to the error of auto,
  or else the error that its finest grid is good to and its seconds.

Every run is written to ``--runs`` at once, so that a second call continues where the first was stopped.
"""

import math
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import torch

import repnet_pde
from repnet_pde import InputError, TrainingError, load_problem, solve
from repnet_pde.files import read_json, write_json

from ..campaigns.campaign import PeakMemory

LIMIT = {"least-squares": 20.0, "gauss-newton": 30.0}
"""Seconds for the other networks: after which no further first layer is tried, or Gauss-Newton ends."""

MOST = 300.0
"""Seconds of a run after which no further seeds of its cell are run; the table says so."""


@dataclass(frozen=True)
class Case:
    """A row: a problem of the catalogue, the error and the seconds that are asked for, and what is aimed at."""

    label: str
    name: str
    must: float
    seconds: float
    aim: float
    parameters: dict = field(default_factory=dict)
    linear: bool = True
    peers: bool = True


def alone(*arguments, **options) -> Case:
    """A row without the other networks."""
    return Case(*arguments, **options, peers=False)


CASES = (
    Case("two-scale Poisson, 50π", "poisson_two_scale_1d", 1e-12, 1, 1e-13),
    Case("two-scale Poisson, 200π", "poisson_two_scale_1d", 1e-11, 2, 1e-12, {"high": 200, "amplitude": 0.02}),
    Case("chirp Poisson", "poisson_chirp_1d", 1e-12, 1, 1e-13),
    Case("heat, m = 50", "heat_high_frequency_1d", 1e-10, 5, 1e-12),
    Case("heat, m = 500", "heat_high_frequency_1d", 1e-6, 60, 1e-9, {"m": 500}),
    Case("wave, two modes", "wave_two_mode_1d", 1e-11, 5, 1e-13),
    Case("Helmholtz, κ = 4π", "helmholtz_2d", 1e-11, 3, 1e-13),
    Case("Helmholtz, κ = 24π", "helmholtz_2d", 1e-8, 60, 1e-11, {"kappa": 24 * math.pi}),
    Case("Helmholtz, modes (1, 4)", "helmholtz_modes_2d", 1e-12, 3, 1e-14),
    Case("Burgers, ν = 0.01/π", "burgers_1d", 2e-5, 180, 1e-8, linear=False),
    Case("Allen-Cahn, d = 0.001", "allen_cahn_1d", 1e-4, 60, 1e-8, linear=False),
    Case("Kovasznay, Re = 20", "kovasznay_2d", 1e-9, 60, 1e-12, linear=False),
    Case("Kovasznay, Re = 40", "kovasznay_2d", 1e-9, 60, 1e-12, {"reynolds": 40}, linear=False),
    alone("four-scale Poisson", "poisson_four_scale_1d", 1e-10, 20, 1e-12),
    alone("Bratu, λ = 2", "bratu_1d", 1e-10, 20, 1e-12, linear=False),
    alone("convection and diffusion, ε = 0.001", "convection_diffusion_1d", 1e-8, 20, 1e-11),
    alone("oscillating coefficient, ε = 1/40", "elliptic_multiscale_1d", 1e-8, 20, 1e-11),
    alone("coefficient of several scales, 2-D", "elliptic_multiscale_2d", 1e-2, 600, 1e-4),
    alone("layers, a = 1, 100, 1", "elliptic_layered_2d", 1e-3, 60, 1e-6),
    alone("perforated plate, 6π", "poisson_perforated_2d", 1e-8, 60, 1e-11),
    alone("rings, sin 8π(x² + y²)", "poisson_rings_2d", 1e-8, 60, 1e-12),
    alone("nonlinear Poisson, periodic, u(0, 0) given", "poisson_nonlinear_2d", 1e-9, 60, 1e-12, linear=False),
    alone("Helmholtz, κ = 8π", "helmholtz_2d", 1e-8, 60, 1e-11, {"kappa": 8 * math.pi}),
    alone("Helmholtz, κ = 48π", "helmholtz_2d", 1e-4, 600, 1e-8, {"kappa": 48 * math.pi}),
    alone("Helmholtz, κ(x) = 10π to 30π", "helmholtz_heterogeneous_2d", 1e-6, 120, 1e-10),
    alone("heat in 2-D, m = 20", "heat_multiscale_2d", 1e-7, 120, 1e-10),
    alone("Poisson in 4-D, π and 6π", "poisson_multiscale_4d", 1e-6, 120, 1e-9),
    alone("wave, four frequencies", "wave_four_frequency_1d", 1e-3, 300, 1e-7),
    alone("fast wave, c = 10", "wave_two_mode_1d", 1e-8, 60, 1e-11, {"speed": 10}),
    alone("advection, speed 30", "advection_1d", 1e-8, 60, 1e-11),
    alone("Klein-Gordon", "klein_gordon_1d", 1e-8, 60, 1e-11, linear=False),
    alone("Korteweg-de Vries, μ = 0.022", "korteweg_de_vries_1d", 1e-5, 300, 1e-8, linear=False),
    alone("Allen-Cahn, d = 0.0001", "allen_cahn_1d", 1e-4, 300, 1e-7, {"d": 1e-4}, linear=False),
)
COLUMNS = ("auto", "repnet tanh", "fnn", "msffn", "fnn Adam+L-BFGS")
WAYS = {"least-squares": 60.0, "patching": 60.0, "low-rank": 60.0, "gauss-newton": 60.0}
"""Columns on request: methods with the networks that they choose -> seconds after which nothing new is begun."""


def run(case: Case, column: str, seed: int, auto: dict | None, least: float) -> dict:
    """One run as a row for the table; a method that refuses or fails gives no error, with the reason."""
    problem = load_problem(case.name, **case.parameters)
    settings: dict = {"seed": seed, "progress": False}
    if column == "auto":
        arguments = (None, "auto")
    elif column in WAYS:
        arguments = (None, column)
        settings["time_limit"] = WAYS[column]
    elif column == "fnn Adam+L-BFGS":
        arguments = ("fnn", "adam+lbfgs")
        settings["time_limit"] = max(least, auto["seconds"])
        settings["iterations"] = {"adam": 2000, "lbfgs": 1_000_000}
        settings["network_options"] = {"layers": [64, 64, 64]}
    else:
        network = {"repnet tanh": "repnet"}.get(column, column)
        arguments = (network, "least-squares" if case.linear else "gauss-newton")
        if case.linear and network != "repnet":
            settings["network_options"] = {"layers": [auto["features"]]}
        settings["time_limit"] = LIMIT[arguments[1]]
    begun = time.perf_counter()
    try:
        with PeakMemory() as memory:
            result = solve(problem, *arguments, **settings)
    except (InputError, TrainingError, MemoryError) as error:
        return {"error": None, "seconds": time.perf_counter() - begun, "note": " ".join(str(error).split())}
    row = result.to_dict()
    layers = row["network_options"].get("layers", [0])
    return {
        "error": row["relative_l2"],
        "seconds": row["wall_seconds"],
        "peak_memory_mib": memory.mib,
        "features": layers[0],
        "network": row["network"],
        "method": row["method"],
        "status": row["status"],
        "indicator": row["error_indicator"],
        "relative_residual": max((row["relative_residuals"] or {"": None}).values(), key=lambda v: v or 0.0),
        "stopped": row["stopped"],
        "reference_error": row["reference_error"],
        "levels": [list(level) for level in getattr(result.reference, "levels", ())],
        "note": "; ".join(row["notes"]),
    }


def finite_differences(rows: list[dict], error: float) -> str:
    """When the reference's grids come to ``error``, or how far they get."""
    levels = rows[0].get("levels", [])
    if not levels:
        return ""
    spent = 0.0
    for n, seconds, distance in levels:
        spent += seconds
        if distance <= error:
            return f"{spent:.2g} s (n = {n})"
    n, _, distance = min(levels, key=lambda level: level[2])
    return f"not reached: {distance:.1e} in {spent:.2g} s"


def markdown(results: dict, cases, columns, seeds: int, command: str) -> str:
    """The tables: errors and times, then what the package says of its own solution beside the truth."""
    lines = [
        "# Many digits",
        "",
        f"Relative L2 errors on fine test sets and wall seconds, medians over {seeds} seeds with [smallest, largest],",
        f"float64, {torch.get_num_threads()} threads. repnet-pde {repnet_pde.__version__}, torch {torch.__version__}.",
        "The machine was shared: seconds are good to a factor of two. Rows that miss what is asked for say so.",
        "",
        f"    {command}",
        "",
        "| problem | asked for | " + " | ".join(f"{c} | s" for c in columns) + " | MiB | finite differences |",
        "|---" * (4 + 2 * len(columns)) + "|",
    ]
    for case in cases:
        cells = [case.label, f"{case.must:.0e} in {case.seconds:g} s"]
        for column in columns:
            rows = results[case.label, column]
            errors = sorted(row["error"] for row in rows if row["error"] is not None)
            seconds = statistics.median(row["seconds"] for row in rows)
            if len(errors) < len(rows):
                cells += ["failed", f"{seconds:.2g}"]
                continue
            median = statistics.median(errors)
            missed = column == "auto" and (median > case.must or seconds > case.seconds)
            text = f"{median:.1e} [{errors[0]:.1e}, {errors[-1]:.1e}]" + (" MISSED" if missed else "")
            text += f" ({len(rows)} of {seeds} seeds run)" if len(rows) < seeds else ""
            cells += [text, f"{seconds:.2g}"]
        auto = results[case.label, "auto"]
        cells.append(f"{max(row.get('peak_memory_mib', math.nan) for row in auto):.0f}")
        found = [row["error"] for row in auto if row["error"] is not None]
        cells.append(finite_differences(auto, statistics.median(found)) if found else "")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "What the package says of the solutions of the first column, without knowing the exact one: the largest",
        "relative residual at validation points, the distance to an independent solution, and the status.",
        "",
        "| problem | chosen | relative L2 error | error indicator | relative residual | status |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases:
        for row in results[case.label, "auto"]:
            if row["error"] is None:
                lines.append(f"| {case.label} | | failed: {row['note']} | | | |")
                continue
            indicator = "" if row["indicator"] is None else f"{row['indicator']:.1e}"
            lines.append(
                f"| {case.label} | {row['network']}, {row['method']} | {row['error']:.1e} | {indicator} | "
                f"{row['relative_residual']:.1e} | {row['status']} |"
            )
    return "\n".join(lines) + "\n"


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--problems", default="", help="Only rows whose label contains one of these, separated by commas.")
@click.option("--columns", default=",".join(COLUMNS), show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, ... of each.")
@click.option("--least", default=10.0, show_default=True, help="Seconds that Adam and L-BFGS have at least.")
@click.option("--threads", default=2, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/many_digits"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the tables; else they are printed.")
def main(problems, columns, seeds, least, threads, runs, table) -> None:
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    wanted = [text for text in problems.split(",") if text]
    chosen = columns.split(",")
    cases = [case for case in CASES if not wanted or any(text in case.label for text in wanted)]
    known = [*COLUMNS, *WAYS]
    cases = [case for case in cases if case.peers or set(chosen) <= {"auto", *WAYS}]
    if set(chosen) - set(known) or "auto" not in chosen:
        raise click.UsageError(f"--columns: {columns!r} given; auto and any others of {', '.join(known)} are needed")
    chosen.sort(key=known.index)
    results: dict[tuple[str, str], list[dict]] = {}
    for case in cases:
        for column in chosen:
            for seed in range(seeds):
                key = "-".join([case.name, *(f"{k}={v:.4g}" for k, v in case.parameters.items()), column, str(seed)])
                file = runs / f"{key.replace(' ', '_')}.json"
                if not file.exists():
                    auto = None if column == "auto" else results[case.label, "auto"][seed]
                    write_json(file, run(case, column, seed, auto, least))
                row = read_json(file)
                results.setdefault((case.label, column), []).append(row)
                found = "failed: " + row["note"] if row["error"] is None else f"{row['error']:.1e}"
                click.echo(f"{case.label}, {column}, seed {seed}: {found} in {row['seconds']:.2f} s", err=True)
                if row["seconds"] > MOST and column != "auto":
                    break
    command = "python -m repnet_pde.validation.studies.many_digits"
    command += f" --seeds {seeds} --least {least:g} --threads {threads}"
    command += f" --problems {problems!r}" if problems else ""
    command += f" --columns {columns!r}" if chosen != list(COLUMNS) else ""
    text = markdown(results, cases, chosen, seeds, command)
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
