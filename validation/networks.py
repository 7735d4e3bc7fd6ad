"""RepNet against an ordinary network under Adam: the same layers, points, iterations and seeds.

    python -m repnet_pde.validation.networks

runs the six first problems of the catalogue and the sum of five sines, writes every finished run to ``--runs`` at once
(a second call continues where the first was stopped) and the table of medians to ``--table``.
"""

import statistics
from pathlib import Path

import click
import numpy as np
import torch

import repnet_pde
from repnet_pde import Problem, Sampling, load_problem, set_precision, solve
from repnet_pde._backend import dde
from repnet_pde.checkpoint import read_json, write_json

NETWORKS = ("fnn", "repnet", "repnet-sin")
PROBLEMS = (
    "five_sines",
    "poisson_two_scale_1d",
    "poisson_chirp_1d",
    "heat_high_frequency_1d",
    "wave_two_mode_1d",
    "helmholtz_2d",
    "burgers_1d",
)
FREQUENCIES = (1, 5, 20, 50, 100)


def five_sines(samples: int = 2000) -> Problem:
    """Function approximation on [-1, 1]: the sum of sin(k pi x), k = 1, 5, 20, 50, 100, over sqrt(5)."""

    def solution(x):
        return sum(np.sin(k * np.pi * x) for k in FREQUENCIES) / np.sqrt(len(FREQUENCIES))

    x = np.linspace(-1, 1, samples)[:, None]
    return Problem(
        geometry=dde.geometry.Interval(-1, 1),
        pde=None,
        conditions={"data": dde.icbc.PointSetBC(x, solution(x))},
        solution=solution,
        sampling=Sampling(domain=1, boundary=0, test=5000),
        wavenumber=max(FREQUENCIES) * np.pi,
        name="five_sines",
    )


def run(name: str, network: str, seed: int, iterations: int, layers: list[int], dtype: str) -> dict:
    """One training; the row of the table as a dict."""
    set_precision(dtype)
    problem = five_sines() if name == "five_sines" else load_problem(name, dtype=dtype)
    result = solve(
        problem, network, "adam", seed, dtype, iterations=iterations, network_options={"layers": layers}, progress=False
    )
    return result.to_dict()


@click.command(help=__doc__)
@click.option("--problems", default=",".join(PROBLEMS), show_default=True)
@click.option("--networks", default=",".join(NETWORKS), show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, ... of each.")
@click.option("--iterations", default=3000, show_default=True)
@click.option("--layers", default="128,64,64", show_default=True)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/networks"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the table; else it is printed only.")
def main(problems, networks, seeds, iterations, layers, dtype, threads, runs, table) -> None:
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    widths = [int(n) for n in layers.split(",")]
    results: dict[tuple[str, str], list[dict]] = {}
    for name in problems.split(","):
        for network in networks.split(","):
            for seed in range(seeds):
                file = runs / f"{name}-{network}-{'x'.join(layers.split(','))}-{iterations}-{dtype}-{seed}.json"
                if not file.exists():
                    write_json(file, run(name, network, seed, iterations, widths, dtype))
                row = read_json(file)
                results.setdefault((name, network), []).append(row)
                click.echo(f"{name} {network} seed {seed}: {row['relative_l2']:.2e} in {row['wall_seconds']:.0f} s")
    command = (
        f"python -m repnet_pde.validation.networks --problems {problems} --networks {networks} --seeds {seeds} "
        f"--iterations {iterations} --layers {layers} --dtype {dtype} --threads {threads}"
    )
    text = markdown(results, iterations, layers, dtype, seeds, command)
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")


def markdown(results, iterations, layers, dtype, seeds, command) -> str:
    """The table: medians and ranges over the seeds, and how much smaller each error is than the first network's."""
    lines = [
        "# RepNet against an ordinary network under Adam",
        "",
        f"Hidden layers {layers}, {iterations:,} iterations of Adam (learning rate 1e-3, cosine decay), {dtype},",
        f"terms weighted by gradient norm, slopes by the automatic rule. Medians over {seeds} seeds, [ranges].",
        "Relative L2 error on test points that are not trained on; for Burgers' equation against the finite-difference",
        f"reference. repnet-pde {repnet_pde.__version__}, torch {torch.__version__}. Command:",
        "",
        f"    {command}",
        "",
        "| problem | network | parameters | relative L2 | times better than fnn | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for (name, network), rows in results.items():
        errors = [row["relative_l2"] for row in rows]
        base = results.get((name, "fnn"))
        median = statistics.median(errors)
        gain = f"{statistics.median(row['relative_l2'] for row in base) / median:.2g}" if base else ""
        seconds = statistics.median(row["wall_seconds"] for row in rows)
        spread = f"{median:.2e} [{min(errors):.1e}, {max(errors):.1e}]"
        lines.append(f"| {name} | {network} | {rows[0]['n_parameters']:,} | {spread} | {gain} | {seconds:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
