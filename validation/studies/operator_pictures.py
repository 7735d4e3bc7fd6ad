"""The pictures of `operators`: all errors, a function of each map, a motion of each frame."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from repnet_pde.files import write_atomically

DRAWN = ("antiderivative", "advection", "sine_map m = 20")
"""The maps of which a function is drawn."""


def draw(cases, results, directory: Path) -> list[Path]:
    """One picture of all errors, and one of a test function of each case, of seed 0."""
    directory.mkdir(parents=True, exist_ok=True)
    pictures = {"operators_errors.png": picture_of_errors(cases, results)}
    maps = [case for case in cases if not case.frame and case.name in DRAWN]
    if maps:
        pictures["operators_maps.png"] = picture_of_maps(maps, results)
    for case in cases:
        if case.frame and not case.only:
            name = f"operators_{case.name.replace(', ', '_')}.png"
            pictures[name] = picture_of_frame(case, results[case.name])
    for name, figure in pictures.items():
        write_atomically(directory / name, lambda path, f=figure: f.savefig(path, dpi=80))
    return [directory / name for name in pictures]


def picture_of_errors(cases, results) -> Figure:
    figure = Figure(figsize=(9, 1 + 0.22 * sum(len(c.methods) + 1 for c in cases)), layout="constrained")
    axes = figure.subplots()
    place, ticks, labels = 0, [], []
    for color, case in enumerate(cases):
        for method in case.methods:
            values = [row["worst"] for row in results[case.name][method] if row["worst"] is not None]
            if values:
                axes.plot(values, [place] * len(values), "o", color=f"C{color}", markersize=5, alpha=0.7)
            ticks.append(place)
            labels.append(f"{case.name}: {method}")
            place -= 1
        place -= 1
    axes.set_xscale("log")
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.grid(True, alpha=0.3)
    axes.margins(y=0.02)
    axes.set_xlabel("normalised RMS error on test functions, worst output (each seed a dot)")
    return figure


def picture_of_maps(cases, results) -> Figure:
    figure = Figure(figsize=(9, 2.6 * len(cases)), layout="constrained")
    for axes, case in zip(np.ravel(figure.subplots(len(cases), 1)), cases, strict=True):
        data = case.data(0)
        wanted, x = data.test_u[0], data.points[:, 0]
        if data.points.shape[1] == 2:  # along the last time
            chosen = data.points[:, 1] == data.points[:, 1].max()
        else:
            chosen = np.ones(len(x), dtype=bool)
        axes.plot(x[chosen], wanted[chosen], color="0.7", linewidth=4, label="exact")
        for method in ("deeponet", "repdeeponet", "repdeeponet+lsq"):
            values = np.array(results[case.name][method][0]["sample"])
            axes.plot(x[chosen], values[chosen], linewidth=1, label=method)
        axes.set_title(f"{case.name}, first test function" + (" at t = 1" if data.points.shape[1] == 2 else ""))
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    axes.set_xlabel("x")
    return figure


COLORS = {
    "deeponet": "C0",
    "repdeeponet+lsq": "C1",
    "window": "C2",
    "convolution": "C3",
    "fir": "C4",
    "state-space": "C5",
    "hysteresis": "C6",
}
SHOWN = 45.0
"""Seconds of the pictures of the frames."""


def picture_of_frame(case, results) -> Figure:
    data = case.data(0)
    block = 25
    n = min(round(SHOWN / (data.points[1, 0] - data.points[0, 0])), len(data.points)) // block * block
    time_, wanted = data.points[:n, 0], data.test_u[0, :, -1]
    figure = Figure(figsize=(9, 7), layout="constrained")
    ground, top, misfit = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2, 2))
    ground.plot(time_, data.test_v[0, :n], color="0.3", linewidth=0.6)
    ground.set_ylabel("ground, m/s²")
    top.plot(time_, wanted[:n], color="0.75", linewidth=3, label="reference")
    shown = ("deeponet", "repdeeponet+lsq", "hysteresis" if "hysteresis" in results else "convolution")
    for method in shown:
        top.plot(time_, results[method][0]["sample"][:n], color=COLORS[method], linewidth=0.8, label=method)
    top.set_ylabel("top storey, m")
    top.legend(loc="lower right", fontsize=8, ncols=4)
    floor = 1e-14 * np.abs(wanted).max()
    for method, color in COLORS.items():
        if method not in results:
            continue
        off = np.abs(np.array(results[method][0]["sample"])[:n] - wanted[:n]).reshape(-1, block).max(1)
        misfit.semilogy(time_[::block], np.maximum(off, floor), color=color, linewidth=1.2, label=method)
    misfit.set_ylabel("largest error in half a second, m")
    misfit.set_xlabel("time, s")
    figure.legend(*misfit.get_legend_handles_labels(), loc="outside lower center", fontsize=8, ncols=7)
    figure.suptitle(f"{case.name}: first test motion")
    return figure
