"""Tables of errors: problems by networks, medians over seeds.

RepNet against an ordinary network under Adam, with the same layers, points, iterations and seeds:

    python -m repnet_pde.validation.networks

What ``method="auto"`` reaches, with the network and points that it chooses:

    python -m repnet_pde.validation.networks --method auto --networks default --dtype float64

Every finished run is written to ``--runs`` at once (a second call continues where the first was stopped), the table of
medians to ``--table``.
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


def run(name: str, network: str, method: str, seed: int, iterations: int, layers: list[int], dtype: str) -> dict:
    """One run as ``result.json`` has it; the network "default" leaves network, layers and iterations to the method."""
    set_precision(dtype)
    problem = five_sines() if name == "five_sines" else load_problem(name, dtype=dtype)
    if network == "default":
        return solve(problem, None, method, seed, dtype, progress=False).to_dict()
    options = {"layers": layers}
    return solve(
        problem, network, method, seed, dtype, iterations=iterations, network_options=options, progress=False
    ).to_dict()


@click.command(help=__doc__)
@click.option("--problems", default=",".join(PROBLEMS), show_default=True)
@click.option("--networks", default=",".join(NETWORKS), show_default=True)
@click.option("--method", default="adam", show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, ... of each.")
@click.option("--iterations", default=2000, show_default=True)
@click.option("--layers", default="128,64", show_default=True)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/networks"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the table; else it is printed only.")
def main(problems, networks, method, seeds, iterations, layers, dtype, threads, runs, table) -> None:
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    widths = [int(n) for n in layers.split(",")]
    results: dict[tuple[str, str], list[dict]] = {}
    for name in problems.split(","):
        for network in networks.split(","):
            for seed in range(seeds):
                setting = "" if network == "default" else f"-{layers.replace(',', 'x')}-{iterations}"
                file = runs / f"{name}-{network}-{method}{setting}-{dtype}-{seed}.json"
                if not file.exists():
                    write_json(file, run(name, network, method, seed, iterations, widths, dtype))
                row = read_json(file)
                results.setdefault((name, network), []).append(row)
                click.echo(f"{name} {network} seed {seed}: {row['relative_l2']:.2e} in {row['wall_seconds']:.0f} s")
    setting = "" if networks == "default" else f" --iterations {iterations} --layers {layers}"
    command = (
        f"python -m repnet_pde.validation.networks --problems {problems} --networks {networks} --method {method} "
        f"--seeds {seeds}{setting} --dtype {dtype} --threads {threads}"
    )
    text = markdown(results, method, seeds, setting, dtype, command)
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")


def markdown(results, method, seeds, setting, dtype, command) -> str:
    """The table: medians and ranges over the seeds, and how much smaller each error is than that of "fnn"."""
    against_fnn = any(network == "fnn" for _, network in results)
    head = ["problem", "network", "parameters", "relative L2", "seconds", "reference: its own error", "its seconds"]
    lines = [
        f"# Relative L2 errors, method {method}",
        "",
        f"Medians over {seeds} seeds, [smallest, largest]; {dtype}. On test points that are not trained on, against",
        "the exact solution, or for Burgers' equation against the finite-difference reference. Seconds of wall time,",
        "planning included, on a shared machine: good for orders of magnitude only.",
        *(
            ["Learning rate 1e-3 with cosine decay, terms weighted by gradient norm, automatic slopes."]
            if setting
            else []
        ),
        f"repnet-pde {repnet_pde.__version__}, torch {torch.__version__}. Command:",
        "",
        f"    {command}",
        "",
        f"| {' | '.join([*head, 'times better than fnn'] if against_fnn else head)} |",
        "|---" * (len(head) + against_fnn) + "|",
    ]
    for (name, network), rows in results.items():
        errors = [row["relative_l2"] for row in rows]
        median = statistics.median(errors)
        reference = rows[0]["reference_details"]
        cells = [
            name,
            network if network != "default" else f"{rows[0]['network']} by {rows[0]['method']}",
            f"{statistics.median(row['n_parameters'] for row in rows):,.0f}",
            f"{median:.1e} [{min(errors):.1e}, {max(errors):.1e}]",
            f"{statistics.median(row['wall_seconds'] for row in rows):.3g}",
            f"{reference['relative_l2_estimate']:.1e}" if reference else "",
            f"{reference['wall_seconds']:.2g}" if reference else "",
        ]
        if against_fnn:
            base = results.get((name, "fnn"))
            cells.append(f"{statistics.median(row['relative_l2'] for row in base) / median:.2g}" if base else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
