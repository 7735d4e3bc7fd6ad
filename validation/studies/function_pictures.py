"""Pictures of adaptive frequency scaling: the error of each wave over the training, slopes and partition points before
and after it."""

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from repnet_pde import fit, load_problem
from repnet_pde.backend import seeded, set_precision
from repnet_pde.fitting import samples
from repnet_pde.fitting.fit import SampleObjective
from repnet_pde.fitting.search import wavenumbers
from repnet_pde.methods.adam import Adam
from repnet_pde.networks.registry import NETWORKS

LAYERS = (128, 64, 64)
BATCH = 1024
EVERY = 25
SHOWN = {
    "fnn": ("fnn", {}),
    "repnet (tanh)": ("repnet", {}),
    "repnet-siren": ("repnet-siren", {}),
    "Fourier features, σ = 150": ("msffn", {"sigmas": [150.0]}),
    "SIREN, ω₀ = 100": ("siren", {"omega": 100.0}),
}
WAVES = (1, 5, 20, 50, 100)
"""Of sine_sum_1d with its defaults; the phase of each is its number."""


def wave_errors(predict) -> np.ndarray:
    """Amplitude of the error in each of the waves of sine_sum_1d, over the wave's own (5,).

    On an even grid over whole periods the waves are orthogonal.
    """
    x = -1 + 2 * np.arange(4096) / 4096
    left = predict(x[:, None]).ravel().astype(float) - load_problem("sine_sum_1d").solution(x[:, None]).ravel()
    return np.array([2 * abs(np.mean(left * np.exp(-1j * math.pi * k * x))) * math.sqrt(5) for k in WAVES])


def train(name: str, options: dict, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Iterations (n,) and `wave_errors` (n, 5) of a network under Adam in float32, seed 0."""
    set_precision("float32")
    problem = load_problem("sine_sum_1d", dtype="float32")
    data = samples.make(*samples.of_problem(problem), domain=(-1, 1), validation=0.0, seed=0, dtype="float32")
    with seeded(0):
        net = NETWORKS[name]([1, *LAYERS, 1], data.box, wavenumbers(data), **options)
        method = Adam(SampleObjective(net, data), steps, batch_size=BATCH)
        done, errors = [], []

        def predict(x):
            with torch.no_grad():
                return data.shift + data.scale * net(torch.as_tensor(x, dtype=torch.float32)).numpy()

        while True:
            if method.iteration % EVERY == 0:
                done.append(method.iteration)
                errors.append(wave_errors(predict))
            if method.stopped:
                return np.array(done), np.array(errors)
            method.step()


def draw_bias(folder: Path, steps: int) -> None:
    """The spectral-bias plot: the error of each wave over the training."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(15, 3.4), sharey=True, layout="constrained")
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(WAVES)))
    for axis, (label, (name, options)) in zip(axes, SHOWN.items(), strict=True):
        done, errors = train(name, options, steps)
        for k, column, color in zip(WAVES, errors.T, colors, strict=True):
            axis.semilogy(done, column, color=color, label=f"sin {'' if k == 1 else k}πx")
        axis.set(title=label, xlabel="Adam iterations", ylim=(1e-4, 3))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error of the wave over its amplitude")
    axes[-1].legend(fontsize=8)
    figure.savefig(folder / "functions_spectral_bias.png", dpi=80)
    plt.close(figure)


def draw_slopes(folder: Path, steps: int) -> None:
    """Slopes over partition points of the first layer, before and after training on the burst."""
    problem = load_problem("burst_1d", dtype="float32")
    x, y = samples.of_problem(problem)
    figure, axes = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
    for axis, name in zip(axes, ("repnet", "repnet-siren"), strict=False):
        found = fit(x, y, name, "adam", 0, "float32", iterations=steps, method_options={"adam": {"batch_size": BATCH}})
        layer = found.net.first
        after = layer.partition_points().numpy()[:, 0], layer.slopes().numpy()
        layer.load_state_dict(found.first_layer)
        before = layer.partition_points().numpy()[:, 0], layer.slopes().numpy()
        change = after[1] / before[1] - 1
        if name == "repnet":
            for a, b, c, d in zip(*before, *after, strict=True):
                axis.plot([a, c], [b, d], color="0.8", lw=0.6, zorder=0)
            axis.scatter(*before, s=9, label="start")
            axis.scatter(*after, s=9, label="trained")
            axis.set(xlabel="partition point", ylabel="slope in the normalised domain")
            axis.legend()
        else:  # a sine has many partition points
            axis.scatter(before[1], 100 * change, s=9)
            axis.set(xlabel="slope at the start, normalised domain", ylabel="its change by training, %")
        axis.set_title(f"{name}: relative L2 {found.error:.1e}, median change {np.median(np.abs(change)):.1%}", size=10)
    grid = np.linspace(-1, 1, 3000)[:, None]
    axes[2].plot(grid, problem.solution(grid), lw=0.8)
    axes[2].set(title="the function: a slow wave with a burst", xlabel="x")
    figure.savefig(folder / "functions_slopes.png", dpi=80)
    plt.close(figure)


def draw(folder: Path, steps: int) -> None:
    """Write functions_spectral_bias.png and functions_slopes.png."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_bias(folder, steps)
    draw_slopes(folder, steps)
