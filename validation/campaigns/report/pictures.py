"""Pictures of a report: those of the runs with fewer colours, convergence, and errors over time."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

COLOURS = 96
"""Of a picture from a run directory, which makes its file three times smaller."""
WIDEST = 1400
"""Pixels of the same."""
ONE_PANEL = 1000
"""Most pixels across of a picture of a run with one panel (7.5 inches at 130 dpi)."""
SAMPLES = 80
"""Times at which a median of curves is drawn."""
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Colours that can be told apart by colour-blind readers (Okabe and Ito)."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
MARKERS = "osD^vPX"


def shrunk(path: Path) -> tuple[bytes, bool]:
    """A PNG with few colours and at most `WIDEST` pixels wide; whether it has several panels beside each other."""
    image = Image.open(path).convert("RGB")
    wide = image.width > ONE_PANEL
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.quantize(COLOURS).save(file, "PNG", optimize=True)
    return file.getvalue(), wide


def convergence(varied: str, pairs: Sequence[tuple[float, float]], line: Sequence[tuple[float, float]], slope) -> bytes:
    """Errors over what is varied, and the power of it that is fitted to the pairs in ``line``; SVG."""
    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.loglog(*zip(*sorted(pairs), strict=True), "o", color=CYCLE[0], label="measured")
    if slope is not None:
        logs = np.log(np.array(line))
        ends = np.array([logs[:, 0].min(), logs[:, 0].max()])
        fitted = np.exp(logs[:, 1].mean() + slope * (ends - logs[:, 0].mean()))
        axes.loglog(np.exp(ends), fitted, "--", color="0.4", label=f"{varied}$^{{{slope:.1f}}}$")
    axes.set(xlabel=varied, ylabel="relative L2 error")
    axes.grid(alpha=0.3)
    axes.legend()
    shown = [value for value, _ in pairs]
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.minorticks_off()
    return svg(figure)


def curves(panels: dict[str, dict[str, tuple]], budgets: Sequence[float], thick: Sequence[str]) -> bytes:
    """Median error over seconds: a panel for each method, a line for each network; SVG.

    panels: method -> network -> (curves of the runs as (seconds, errors), end as (seconds, error) or None).
    thick: the networks with thick lines.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(0.8 + 3.4 * columns, 0.9 + 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    styles = {}
    for axes, (method, networks) in zip(grid, panels.items(), strict=False):
        for network, (runs, end) in networks.items():
            i = styles.setdefault(network, len(styles)) % len(CYCLE)
            style = {"color": CYCLE[i], "linewidth": 2.2 if network in thick else 1.2}
            axes.loglog(*median_curve(runs), linestyle=DASHES[i], **style)
            if end is not None:
                axes.loglog(*end, MARKERS[i], markersize=5, **style)
        for budget in budgets:
            axes.axvline(budget, color="0.8", linewidth=1, zorder=0)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(method)
        axes.grid(alpha=0.3)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    handles = [
        grid[0].plot([], [], color=CYCLE[i], linestyle=DASHES[i], marker=MARKERS[i], label=network)[0]
        for network, i in ((name, number % len(CYCLE)) for name, number in styles.items())
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6), handlelength=3.5)
    figure.supxlabel("seconds of training")
    figure.supylabel("relative L2 error")
    return svg(figure)


def median_curve(runs: Sequence[tuple[Sequence[float], Sequence]]) -> tuple[np.ndarray, np.ndarray]:
    """Times, and the median over the runs of the error that each had recorded last; NaN before half have one."""
    recorded = []
    for seconds, errors in runs:
        pairs = np.array([(s, e) for s, e in zip(seconds, errors, strict=True) if e is not None], dtype=float)
        if len(pairs) and pairs[-1, 0] > 0:
            recorded.append(pairs)
    if not recorded:
        return np.empty(0), np.empty(0)
    first = max(min(p[0, 0] for p in recorded), 1e-3)
    times = np.geomspace(first, max(max(p[-1, 0] for p in recorded), first), SAMPLES)
    at = [np.searchsorted(pairs[:, 0], times * (1 + 1e-12), side="right") - 1 for pairs in recorded]
    errors = np.full((len(runs), SAMPLES), math.inf)
    for row, pairs, index in zip(errors, recorded, at, strict=False):
        row[index >= 0] = pairs[index[index >= 0], 1]
    middle = np.median(errors, axis=0)
    return times, np.where(np.isfinite(middle), middle, np.nan)


def svg(figure: Figure) -> bytes:
    """The same bytes for the same figure."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "repnet-pde"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
