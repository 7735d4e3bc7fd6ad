"""Constants that were chosen by trials: what other values give on many problems.

    python -m repnet_pde.validation.studies.constants --seeds 3

For each constant and each of its values, on every problem that it touches, medians over the seeds at equal cost:

- `gauss_newton.GENTLE`, the largest start wavenumber of a deep, narrow network: relative L2 error of Gauss-Newton on
  the nonlinear problems of the catalogue after ``--time-limit`` seconds;
- `repnet.BEFORE_SINES`, the part of the wavenumbers that the first layer covers if sine layers follow: relative L2
  error of `fit` with repnet-siren under Adam after ``--steps`` steps;
- `joint.COARSE_PART` and `joint.COARSE_OVERHEAD`, the size of the network in which the unknowns are looked for first:
  seconds of processor time of `identify` (infinite if an unknown number misses the tolerance), for large networks.

The last row of a table gives, for each value, the geometric mean over the problems of the ratio to the best value.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import click
import numpy as np
import torch

from repnet_pde import InputError, TrainingError, fit, identify, load_problem, solve
from repnet_pde.fitting import samples
from repnet_pde.methods import gauss_newton, joint
from repnet_pde.networks import repnet
from repnet_pde.problem.points import scattered_points

from .function_pictures import BATCH, LAYERS

TEST_POINTS = 5000


@dataclass(frozen=True)
class Constant:
    """Names in a module, the values to try (one for each name), the problems, and what is measured of a run.

    measure: (problem, seed, seconds, steps) -> number, the smaller the better.
    """

    module: object
    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    problems: tuple[str, ...]
    measure: Callable[[str, int, float, int], float]
    figure: str


def of_gauss_newton(name: str, seed: int, seconds: float, steps: int) -> float:
    result = solve(load_problem(name), "repnet", "gauss-newton", seed=seed, time_limit=seconds, progress=False)
    assert result.errors is not None
    return result.errors.relative_l2


def of_fit(name: str, seed: int, seconds: float, steps: int) -> float:
    problem = load_problem(name, dtype="float32", sample_seed=seed)
    x, y = samples.of_problem(problem)
    settings = {"iterations": steps, "method_options": {"adam": {"batch_size": BATCH}}, "progress": False}
    found = fit(x, y, "repnet-siren", "adam", seed, "float32", network_options={"layers": LAYERS}, **settings)
    test = scattered_points(problem, TEST_POINTS)
    exact = np.asarray(problem.solution(test))
    return float(np.linalg.norm(found.predict(test) - exact) / np.linalg.norm(exact))


def of_joint(name: str, seed: int, seconds: float, steps: int) -> float:
    problem = load_problem(name)
    begun = time.process_time()
    result = identify(problem, method="joint", seed=seed, progress=False)
    taken = time.process_time() - begun
    true = problem.true_unknowns
    worst = max((abs(result.unknowns[n] - v) / abs(v) for n, v in true.items()), default=0.0)
    return taken if worst < problem.tolerance else math.inf


CONSTANTS = (
    Constant(
        gauss_newton,
        ("GENTLE",),
        ((math.pi,), (3 * math.pi,), (10 * math.pi,)),
        (
            "burgers_1d",
            "allen_cahn_1d",
            "bratu_1d",
            "klein_gordon_1d",
            "korteweg_de_vries_1d",
            "kovasznay_2d",
            "poisson_nonlinear_2d",
        ),
        of_gauss_newton,
        "relative L2 error",
    ),
    Constant(
        repnet,
        ("BEFORE_SINES",),
        ((0.25,), (0.5,), (1.0,)),
        ("sine_sum_1d", "chirp_1d", "jump_1d", "burst_1d", "topography_2d", "sine_sum_4d"),
        of_fit,
        "relative L2 error",
    ),
    Constant(
        joint,
        ("COARSE_PART", "COARSE_OVERHEAD"),
        ((0.6, 8), (0.8, 8), (1.0, 8), (0.8, 4)),
        (
            "damped_oscillator",
            "oscillating_coefficient_1d",
            "elliptic_coefficient_2d",
        ),
        of_joint,
        "seconds of processor time",
    ),
)


def table(constant: Constant, seeds: int, seconds: float, steps: int) -> None:
    """Measure and print one table, a row for each problem as it is done."""
    labels = [", ".join(f"{v:.3g}" for v in values) for values in constant.values]
    click.echo(f"\n## {', '.join(constant.names)}: {constant.figure}, medians over {seeds} seeds\n")
    click.echo(f"| problem | {' | '.join(labels)} |\n|{'---|' * (len(labels) + 1)}")
    ratios = []
    for name in constant.problems:
        row = []
        for values in constant.values:
            with mock.patch.multiple(constant.module, **dict(zip(constant.names, values, strict=True))):
                row.append(
                    statistics.median([_measured(constant, name, seed, seconds, steps) for seed in range(seeds)])
                )
        ratios.append([value / min(row) if math.isfinite(min(row)) else 1.0 for value in row])
        click.echo(f"| {name} | {' | '.join(f'{value:.2g}' for value in row)} |")
    means = [statistics.geometric_mean([min(v, 1e300) for v in column]) for column in zip(*ratios, strict=True)]
    click.echo(f"| *over the best* | {' | '.join(f'{value:.2g}' for value in means)} |")


def _measured(constant: Constant, name: str, seed: int, seconds: float, steps: int) -> float:
    try:
        return constant.measure(name, seed, seconds, steps)
    except (InputError, TrainingError) as error:
        click.echo(f"{name}, seed {seed}: {error}", err=True)
        return math.inf


@click.command(help=__doc__.split("\n")[0])
@click.argument("names", nargs=-1)
@click.option("--seeds", default=3, show_default=True)
@click.option("--time-limit", default=15.0, show_default=True, help="Seconds of each run of Gauss-Newton.")
@click.option("--steps", default=1500, show_default=True, help="Steps of Adam.")
def main(names: tuple[str, ...], seeds: int, time_limit: float, steps: int) -> None:
    torch.set_num_threads(1)
    for constant in CONSTANTS:
        if not names or set(names) & set(constant.names):
            table(constant, seeds, time_limit, steps)


if __name__ == "__main__":
    main()
