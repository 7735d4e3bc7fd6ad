"""Coverage: how often do the 95 % intervals of `identify` contain the truth?

    python -m repnet_pde.validation.studies.coverage

Many sets of data of three problems, alike but for the noise (and for random points, where the problem draws them).
For every unknown: the share of intervals that contain the truth, with its binomial standard error; mean and standard
deviation of z = (estimate - truth) / standard error, which should be 0 and 1; the median of the standard errors over
the bound of Cramer and Rao, which should be 1; and how many estimates are more than ten such bounds from the truth,
which is no matter of noise but a wrong minimum. Intervals are good where 90 to 99 % contain the truth and no minimum
is wrong: an interval that is wide because the minimum is wrong may contain the truth.

The damped oscillator is identified as a user would; Lorenz's system from one start (``starts=1``), since its starts
agree; the wavenumber from one start with 500 sines up to 9 π instead of 1,233 up to 12 π, which is ten times faster
and moves the estimate by a few hundredths of its standard error.

Every run is appended to a file in ``--runs`` at once, so that a second call continues where the first was stopped.
"""

import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import torch

import repnet_pde
from repnet_pde import InputError, TrainingError, identify, load_problem

from .inverse import cramer_rao

LEAST, MOST = 0.90, 0.99
WRONG = 10.0
"""Cramer-Rao standard errors from the truth beyond which it is a wrong minimum."""


@dataclass(frozen=True)
class Case:
    """A problem with its noise and other parameters, and the settings of `identify`."""

    name: str
    noise: float
    parameters: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)


K = 9 * math.pi
CASES = (
    Case("damped_oscillator", 0.05),
    Case("lorenz", 0.05, settings={"starts": 1}),
    Case(
        "helmholtz_wavenumber_2d",
        0.1,
        settings={"starts": 1, "network_options": {"wavenumber": [K, K], "layers": [500]}},
    ),
)


def run(case: Case, seed: int) -> dict:
    """One set of data as a row; a failure with its reason."""
    problem = load_problem(case.name, noise=case.noise, data_seed=seed, **case.parameters)
    row = {"seed": seed, "cramer_rao": cramer_rao(problem, case.noise)}
    begun = time.perf_counter()
    try:
        result = identify(problem, seed=seed, progress=False, **case.settings)
    except (InputError, TrainingError, MemoryError) as error:
        return row | {"failed": " ".join(str(error).split()), "seconds": time.perf_counter() - begun}
    plain = result.to_dict()
    kept = {name: plain[name] for name in ("unknowns", "method", "stopped", "status", "notes")}
    return row | {"failed": None, "seconds": time.perf_counter() - begun} | kept


def read_rows(file: Path) -> list[dict]:
    """The rows of a file of JSON lines, by seed; the last line may be cut off by a kill and is then left out."""
    rows = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["seed"]] = row
    return [rows[seed] for seed in sorted(rows)]


def append(file: Path, row: dict) -> None:
    """Add a row as a line of its own, also after a line that was cut off."""
    cut = file.exists() and file.stat().st_size and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as stream:
        stream.write("\n" * bool(cut) + json.dumps(row, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Coverage:
    """Of one unknown: runs, how many intervals contain the truth, and the statistics of z, as in the module's text."""

    runs: int
    inside: int
    mean: float
    deviation: float
    ratio: float
    wrong: int

    @property
    def share(self) -> float:
        return self.inside / self.runs

    @property
    def error(self) -> float:
        return math.sqrt(self.share * (1 - self.share) / self.runs)

    @property
    def good(self) -> bool:
        return LEAST <= self.share <= MOST and not self.wrong


def count(rows: Sequence[dict], unknown: str) -> Coverage:
    """The `Coverage` of an unknown: a run that failed, or gave no interval, does not contain the truth."""
    inside, wrong, z, ratios = 0, 0, [], []
    for row in rows:
        if row["failed"] is not None:
            continue
        found, bound = row["unknowns"][unknown], row["cramer_rao"][unknown]
        wrong += abs(found["estimate"] - found["true"]) > WRONG * bound
        if found["interval"] is None:
            continue
        low, high = found["interval"]
        inside += low <= found["true"] <= high
        z.append((found["estimate"] - found["true"]) / found["standard_error"])
        ratios.append(found["standard_error"] / bound)
    mean = statistics.fmean(z) if z else math.nan
    spread = statistics.stdev(z) if len(z) > 1 else math.nan
    return Coverage(len(rows), inside, mean, spread, statistics.median(ratios) if ratios else math.nan, wrong)


def markdown(results: dict[str, list[dict]], cases: Sequence[Case], command: str) -> str:
    """The table of coverage, with the runs that failed."""
    lines = [
        "# Coverage of the 95 % intervals",
        "",
        "Shares of intervals that contain the truth, ± their binomial standard error; z = (estimate - truth) / its",
        "standard error; standard errors over the bound of Cramér and Rao, in the median; estimates more than ten such",
        f"bounds from the truth. repnet-pde {repnet_pde.__version__}, torch {torch.__version__}, float64.",
        "",
        f"    {command}",
        "",
        "| problem | noise | unknown | runs | coverage | mean z | sd z | s.e. / bound | wrong minima | s | outcome |",
        "|---" * 11 + "|",
    ]
    for case in cases:
        rows = results[case.name]
        if not rows:
            continue
        seconds = statistics.median(row["seconds"] for row in rows)
        for unknown in rows[0]["cramer_rao"]:
            found = count(rows, unknown)
            cells = [case.name, f"{case.noise:g}", unknown, str(found.runs)]
            cells += [f"{100 * found.share:.0f} ± {100 * found.error:.0f} %", f"{found.mean:+.2f}"]
            cells += [f"{found.deviation:.2f}", f"{found.ratio:.3g}", str(found.wrong), f"{seconds:.2g}"]
            lines.append(f"| {' | '.join([*cells, 'good' if found.good else 'MISSED'])} |")
    failed = [
        f"- {case.name}, data seed {row['seed']}: failed: {row['failed']}"
        for case in cases
        for row in results[case.name]
        if row["failed"] is not None
    ]
    return "\n".join([*lines, *([""] if failed else []), *failed]) + "\n"


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--problems", default="", help="Only problems whose names contain one of these, separated by commas.")
@click.option("--count", "number", default=100, show_default=True, help="Sets of data of each problem.")
@click.option("--threads", default=1, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/coverage"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the table; else it is printed.")
def main(problems, number, threads, runs, table) -> None:
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    wanted = [text for text in problems.split(",") if text]
    cases = [case for case in CASES if not wanted or any(text in case.name for text in wanted)]
    results = {}
    for case in cases:
        file = runs / f"{case.name}.jsonl"
        done = {row["seed"] for row in read_rows(file)}
        for seed in range(number):
            if seed not in done:
                row = run(case, seed)
                append(file, row)
                click.echo(f"{case.name}, seed {seed}: {row['failed'] or 'done'} in {row['seconds']:.2f} s", err=True)
        results[case.name] = [row for row in read_rows(file) if row["seed"] < number]
    command = f"python -m repnet_pde.validation.studies.coverage --count {number}"
    command += f" --problems {problems}" if problems else ""
    text = markdown(results, cases, command)
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
