"""Function approximation: networks trained by Adam with the same steps and size, and the accuracy of least squares.

    python -m repnet_pde.validation.studies.functions

For every case (samples of a function of the catalogue), medians over the seeds of the relative L2 error on test points:

- fnn: an ordinary tanh network; repnet: RepNet with tanh; repnet-siren: RepNet's sine layer before layers of sines,
  what `fit` takes unless another is asked for. None of these has anything tuned: slopes come from the samples;
- fourier: random Fourier features before tanh layers, their scale the best of `SIGMAS`; siren: its ω₀ the best of
  `OMEGAS`. Both are chosen for each case by a run with another seed, for the error on its held-out samples;
- least squares: `fit` with nothing said, in float64.

The same samples, iterations, batches and hidden layers for all networks under Adam, so that the numbers of parameters
differ by two per cent. Learning rate 1e-3 with cosine decay; the best network on a tenth of held-out samples counts.

Every run is written to ``--runs`` at once, so that a second call continues where the first was stopped.
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch

import repnet_pde
from repnet_pde import TrainingError, fit, load_problem
from repnet_pde.files import read_json, write_json
from repnet_pde.fitting import samples
from repnet_pde.problem.points import scattered_points

from ..table import median, spread
from .function_pictures import BATCH, LAYERS, draw

TEST_POINTS = 5000
SEARCH_SEED = 1000
OMEGAS = (10.0, 30.0, 60.0, 100.0, 300.0)
SIGMAS = (2.0, 10.0, 25.0, 50.0, 150.0)
BETTER, WITHIN = 5.0, 2.0
"""Asked of repnet-siren: so many times better than fnn, and within that factor of the better of fourier and siren."""
LIMIT = 300.0


@dataclass(frozen=True)
class Case:
    """A function of the catalogue; ``must`` and ``seconds`` are asked of least squares, None for nothing."""

    label: str
    name: str
    must: float | None
    seconds: float
    parameters: dict = field(default_factory=dict)


CASES = (
    Case("sines up to 100π", "sine_sum_1d", 1e-6, 30),
    Case("sines up to 400π", "sine_sum_1d", 1e-6, 30, {"m": 400, "samples": 8000}),
    Case("chirp", "chirp_1d", 1e-6, 30),
    Case("jump", "jump_1d", 1e-6, 30),
    Case("burst", "burst_1d", 1e-6, 30),
    Case("topography", "topography_2d", None, 300),
    Case("4-D sum", "sine_sum_4d", 1e-3, 300),
    Case("4-D product", "wave_product_4d", 1e-3, 300),
    Case("4-D modulated wave", "modulated_wave_4d", 1e-3, 300),
)
NETWORKS = {"fnn": ("fnn", {}), "repnet": ("repnet", {}), "repnet-siren": ("repnet-siren", {})}
TUNED = {"fourier": ("msffn", "sigmas", SIGMAS), "siren": ("siren", "omega", OMEGAS)}


def options_of(kind: str, value: float | None) -> tuple[str, dict]:
    """The network and its options for `fit`; ``value`` of the tuned ones."""
    if kind in NETWORKS:
        return NETWORKS[kind]
    name, option, _ = TUNED[kind]
    return name, {option: [value] if option == "sigmas" else value}


def run_adam(case: Case, kind: str, value: float | None, seed: int, steps: int) -> dict:
    """One network under Adam, as a row."""
    problem = load_problem(case.name, dtype="float32", sample_seed=seed, **case.parameters)
    x, y = samples.of_problem(problem)
    name, options = options_of(kind, value)
    settings = {"iterations": steps, "method_options": {"adam": {"batch_size": BATCH}}}
    begun = time.perf_counter()
    try:
        found = fit(x, y, name, "adam", seed, "float32", network_options={"layers": LAYERS} | options, **settings)
    except TrainingError as error:
        return {"error": None, "held_out": None, "seconds": time.perf_counter() - begun, "failed": str(error)}
    return {
        "error": _error(found, problem),
        "held_out": found.error,
        "seconds": found.seconds,
        "parameters": found.n_parameters,
        "value": value,
        "failed": None,
    }


def run_least_squares(case: Case, seed: int) -> dict:
    """`fit` with default settings."""
    problem = load_problem(case.name, sample_seed=seed, **case.parameters)
    found = fit(*samples.of_problem(problem), seed=seed, time_limit=LIMIT)
    return {
        "error": _error(found, problem),
        "held_out": found.error,
        "seconds": found.seconds,
        "parameters": found.n_parameters,
        "value": None,
        "network": found.network,
        "failed": None,
    }


def _error(found, problem) -> float | None:
    x = scattered_points(problem, TEST_POINTS)
    low, high = found.box.lower, found.box.upper
    x = np.clip(x, low, high)  # nothing is known beyond the outermost samples
    u = problem.solution(x)
    error = float(np.linalg.norm(found.predict(x).reshape(u.shape) - u) / np.linalg.norm(u))
    return error if math.isfinite(error) else None


def stored(file: Path, run) -> dict:
    """The row in ``file``, which ``run`` makes where there is none."""
    if not file.exists():
        write_json(file, run())
    return read_json(file)


def results_of(case: Case, seeds: int, steps: int, runs: Path) -> dict[str, list[dict]]:
    """The rows of every method of a case, by seed."""

    def file(kind, value, seed):
        label = "".join(c if c.isalnum() else "-" for c in case.label)
        return runs / f"{label}-{kind}-{'' if value is None else f'{value:g}-'}{seed}-{steps}.json"

    def adam(kind, value, seed):
        row = stored(file(kind, value, seed), lambda: run_adam(case, kind, value, seed, steps))
        shown = "failed" if row["error"] is None else f"{row['error']:.2e}"
        of = "" if value is None else f" {value:g}"
        click.echo(f"{case.label}, {kind}{of}, seed {seed}: {shown} in {row['seconds']:.1f} s", err=True)
        return row

    found = {kind: [adam(kind, None, seed) for seed in range(seeds)] for kind in NETWORKS}
    for kind, (_, _, values) in TUNED.items():
        tried = {value: adam(kind, value, SEARCH_SEED) for value in values}
        best = min(values, key=lambda v: math.inf if tried[v]["held_out"] is None else tried[v]["held_out"])
        found[kind] = [adam(kind, best, seed) for seed in range(seeds)]
    found["least squares"] = []
    for seed in range(seeds):
        row = stored(file("least-squares", None, seed), lambda seed=seed: run_least_squares(case, seed))
        click.echo(f"{case.label}, least squares, seed {seed}: {row['error']:.2e} in {row['seconds']:.1f} s", err=True)
        found["least squares"].append(row)
    return found


# The table ------------------------------------------------------------------------------------------------------------


def missed(case: Case, found: dict[str, list[dict]]) -> list[str]:
    """Requirements that are not met, in words."""
    ours, result = median(found["repnet-siren"], "error"), []
    if ours > median(found["fnn"], "error") / BETTER:
        result.append(f"repnet-siren is not {BETTER:g} times better than fnn")
    best = min(median(found[kind], "error") for kind in TUNED)
    if ours > WITHIN * best:
        result.append(f"repnet-siren is not within a factor of {WITHIN:g} of the best tuned network")
    if case.must is not None and median(found["least squares"], "error") > case.must:
        result.append(f"least squares: {case.must:g} is asked for")
    if median(found["least squares"], "seconds") > case.seconds:
        result.append(f"least squares: {case.seconds:g} s are asked for")
    return result


def markdown(results: dict[str, dict[str, list[dict]]], cases, seeds: int, steps: int, command: str) -> str:
    """The table of all cases."""
    kinds = [*NETWORKS, *TUNED, "least squares"]
    lines = [
        "# Function approximation",
        "",
        f"Relative L2 errors on {TEST_POINTS} test points, medians over {seeds} sets of samples and seeds with",
        f"[smallest, largest]. The networks: {steps} Adam iterations in float32, batches of {BATCH}, hidden layers",
        f"{'-'.join(map(str, LAYERS))}; the scale of fourier is the best of {', '.join(f'{v:g}' for v in SIGMAS)},",
        f"ω₀ of siren the best of {', '.join(f'{v:g}' for v in OMEGAS)}, by runs with another seed, whose cost is not",
        "counted; the others have nothing tuned.",
        "least squares: `repnet_pde.fit(x, y)`, float64, with its seconds.",
        f"repnet-pde {repnet_pde.__version__}, torch {torch.__version__}, {torch.get_num_threads()} thread(s), shared.",
        "",
        f"    {command}",
        "",
        f"| function | {' | '.join(kinds)} | s | network | missed |",
        "|---" * (len(kinds) + 4) + "|",
    ]
    for case in cases:
        found = results[case.label]
        cells = [spread(found[kind], "error") for kind in kinds]
        for i, kind in enumerate(kinds):
            if kind in TUNED:
                cells[i] += f" ({found[kind][0]['value']:g})"
        last = found["least squares"]
        names = ", ".join(sorted({row["network"] for row in last}))
        cells += [f"{median(last, 'seconds'):.2g}", names, "; ".join(missed(case, found))]
        lines.append(f"| {case.label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--problems", default="", help="Only cases whose labels contain one of these, separated by commas.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, ... of samples and networks.")
@click.option("--steps", default=2000, show_default=True, help="Adam iterations.")
@click.option("--threads", default=1, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/functions"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the table; else it is printed only.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder for the pictures; else none are drawn.")
def main(problems, seeds, steps, threads, runs, table, pictures) -> None:
    if seeds < 1 or steps < 1:
        raise click.UsageError(f"--seeds, --steps: {seeds} and {steps} given; at least 1 of each is needed")
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    wanted = [text for text in problems.split(",") if text]
    cases = [case for case in CASES if not wanted or any(text in case.label for text in wanted)]
    if not cases:
        raise click.UsageError(f"--problems: {problems!r} given; there are {', '.join(c.label for c in CASES)}")
    results = {case.label: results_of(case, seeds, steps, runs) for case in cases}
    command = f"python -m repnet_pde.validation.studies.functions --seeds {seeds} --steps {steps} --threads {threads}"
    command += f" --problems '{problems}'" if problems else ""
    text = markdown(results, cases, seeds, steps, command)
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")
    if pictures is not None:
        draw(pictures, steps)


if __name__ == "__main__":
    main()
