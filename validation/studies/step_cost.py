"""Cost of one Adam step with RepNet against one with ``dde.nn.FNN`` of the same sizes, measured side by side.

    python -m repnet_pde.validation.studies.step_cost [--repeats N] [--points N] [--json]

The step is DeepXDE's own (``dde.Model``): the residual u_t + u u_x - ν u_xx in two dimensions, 4,096 points,
3×64 tanh, float32. Blocks of steps alternate between the two networks, so that a slower or busier machine slows
both, and the median of the ratios of neighbouring blocks is reported.
"""

import json
import statistics
import time

import click
import numpy as np
import torch

from repnet_pde.backend import dde, quiet, seeded, set_precision
from repnet_pde.networks import RepNet

SIZES = [2, 64, 64, 64, 1]
STEPS_PER_BLOCK = 4


def trainable_model(net: torch.nn.Module, points: np.ndarray) -> dde.Model:
    """A compiled model whose only loss is the residual of Burgers' equation at ``points`` (n, 2)."""

    def pde(x, u):
        u_x, u_t = dde.grad.jacobian(u, x, i=0, j=0), dde.grad.jacobian(u, x, i=0, j=1)
        return u_t + u * u_x - 0.01 / np.pi * dde.grad.hessian(u, x, i=0, j=0)

    geometry = dde.geometry.Rectangle([-1, -1], [1, 1])
    with quiet():
        data = dde.data.PDE(geometry, pde, [], num_domain=0, num_boundary=0, anchors=points)
        model = dde.Model(data, net)
        model.compile("adam", lr=1e-3)
    return model


def block_seconds(model: dde.Model, steps: int) -> float:
    """Seconds for one of ``steps`` training steps, without DeepXDE's tests and output between them."""
    x = model.data.train_x
    begin = time.perf_counter()
    for _ in range(steps):
        model.train_step(x, None, None)
    return (time.perf_counter() - begin) / steps


def measure(n_points: int = 4096, repeats: int = 30) -> dict:
    """Seconds of a step with each network and the median of the ratios of neighbouring blocks."""
    with seeded(0):
        points = np.random.uniform(-1, 1, (n_points, 2)).astype(dde.config.real(np))
        rep = trainable_model(RepNet(SIZES, "tanh", "Glorot normal", domain=(-1, 1)), points)
        fnn = trainable_model(dde.nn.FNN(SIZES, "tanh", "Glorot normal"), points)
    for model in (rep, fnn):
        block_seconds(model, STEPS_PER_BLOCK)
    seconds = {"repnet": [], "fnn": []}
    for repeat in range(repeats):
        pair = [("repnet", rep), ("fnn", fnn)]
        for name, model in pair if repeat % 2 else reversed(pair):  # neither is always first
            seconds[name].append(block_seconds(model, STEPS_PER_BLOCK))
    ratios = [a / b for a, b in zip(seconds["repnet"], seconds["fnn"], strict=True)]
    return {
        "points": n_points,
        "repeats": repeats,
        "repnet_ms": 1e3 * statistics.median(seconds["repnet"]),
        "fnn_ms": 1e3 * statistics.median(seconds["fnn"]),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [float(q) for q in np.quantile(ratios, (0.25, 0.75))],
    }


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--repeats", type=click.IntRange(1), default=30, show_default=True, help="Pairs of blocks.")
@click.option("--points", type=click.IntRange(1), default=4096, show_default=True, help="Collocation points.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(repeats: int, points: int, as_json: bool) -> None:
    set_precision("float32")
    torch.set_num_threads(1)
    found = measure(points, repeats)
    if as_json:
        click.echo(json.dumps(found))
        return
    low, high = found["ratio_quartiles"]
    click.echo(
        f"{points} points, {SIZES}: RepNet {found['repnet_ms']:.1f} ms, FNN {found['fnn_ms']:.1f} ms per Adam step; "
        f"ratio {found['ratio']:.3f} (quartiles {low:.3f} to {high:.3f}, {repeats} pairs)"
    )


if __name__ == "__main__":
    main()
