"""Profile of the time and memory of one Gauss-Newton iteration.

    python -m repnet_pde.validation.studies.gauss_newton_profile [--repeats N] [--json]

Burgers' equation in two dimensions with three hidden layers of several widths, three rows a parameter. Measured are the
medians of the seconds for the Jacobian (by both routes), for the factorisation (Gram matrix and Cholesky, and QR, which
takes its place when the damping is small), for a further damping at the same Jacobian, and for a trial step; and the
peak memory that a process gains over its start, which is a process of its own for every size.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import click
import torch

from repnet_pde import load_problem
from repnet_pde.backend import dde, quiet, seeded, set_precision
from repnet_pde.discretization.jacobian import linearize
from repnet_pde.linalg.damped import SAFE, Dense
from repnet_pde.linalg.dense import row_scales
from repnet_pde.networks import RepNet
from repnet_pde.problem.residuals import residual_vectors

WIDTHS = (10, 20, 30, 40)
ROWS_PER_PARAMETER = 3


def measure(width: int, repeats: int) -> dict:
    """Seconds of the parts of one iteration, and peak memory in MB, with hidden layers of ``width``."""
    problem = load_problem("burgers_1d")
    with seeded(0), quiet():
        net = RepNet([2, width, width, width, 1], "tanh", "Glorot normal", domain=problem.geometry)
        parameters = sum(p.numel() for p in net.parameters())
        data = dde.data.TimePDE(
            problem.geometry,
            lambda x, u: problem.pde(x, u),
            list(problem.conditions.values()),
            num_domain=ROWS_PER_PARAMETER * parameters,
            num_boundary=200,
            num_initial=200,
        )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    names, seconds = problem.term_names, {}

    def timed(key, function):
        begin = time.perf_counter()
        value = function()
        seconds.setdefault(key, []).append(time.perf_counter() - begin)
        return value

    for _ in range(repeats):
        terms = timed("Jacobian", lambda: linearize(data, net, names))
        system = timed("factorisation", lambda t=terms: _factorised(t))
        timed("another damping", lambda s=system: s.step(1e-2 * s.trace))
        timed("trial step", lambda: _trial(data, net))
        rows = sum(len(t.residual) for t in terms)
        del terms, system
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for _ in range(repeats):
        terms = timed("Jacobian by copies", lambda: linearize(data, net, names, route="copies"))
        timed("factorisation by QR", lambda t=terms: _factorised(t, 1e-3 * SAFE))
    found = {key: statistics.median(values) for key, values in seconds.items()}
    size = 8 * rows * parameters / 2**20
    return {"width": width, "rows": rows, "parameters": parameters, "matrix_mb": size, "peak_mb": peak, **found}


def _factorised(terms, relative: float = 1e-3) -> Dense:
    system = Dense(terms, row_scales(terms), 0)
    system.step(relative * system.trace)
    return system


def _trial(data, net) -> None:
    [v.detach() for v in residual_vectors(data, net)]
    dde.grad.clear()


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--width", type=click.IntRange(1), help="Measure this width only, in this process; prints JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(repeats: int, width: int | None, as_json: bool) -> None:
    set_precision("float64")
    torch.set_num_threads(1)
    if width is not None:
        click.echo(json.dumps(measure(width, repeats)))
        return
    found = []
    for w in WIDTHS:  # a process each, for its peak memory
        command = [sys.executable, "-m", __spec__.name, "--width", str(w), "--repeats", str(repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    if as_json:
        click.echo(json.dumps(found))
        return
    parts = ("Jacobian", "factorisation", "another damping", "trial step", "Jacobian by copies", "factorisation by QR")
    click.echo(
        "| rows x parameters | one iteration, s | Jacobian | factorisation | trial step | "
        "another damping, s | Jacobian by copies, s | factorisation by QR, s | matrix, MB | peak, MB |\n"
        + "|---" * 10
        + "|"
    )
    for f in found:
        jacobian, factorisation, another, trial, copies, qr = (f[p] for p in parts)
        total = jacobian + factorisation + trial
        shares = " | ".join(f"{part / total:.0%}" for part in (jacobian, factorisation, trial))
        click.echo(
            f"| {f['rows']:,} x {f['parameters']:,} | {total:.2g} | {shares} | {another:.2g} | {copies:.2g} | "
            f"{qr:.2g} | {f['matrix_mb']:.0f} | {f['peak_mb']:.0f} |"
        )


if __name__ == "__main__":
    main()
