"""The pictures of a run: solution, error, history, and the first layer before and after training."""

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray
from matplotlib.figure import Figure

from ..backend import on_cpu
from ..files import write_atomically
from ..networks.repnet import RepNet
from .grid import grid

PICTURES = ("solution.png", "error.png", "history.png", "first_layer.png", "identification.png")
MOST_PIXELS = 800
"""Maximum number of nodes along a side of a picture."""


@on_cpu()
def draw(result: Any, directory: str | Path, data: xarray.Dataset | None = None) -> list[Path]:
    """Draw all available pictures into ``directory`` and return the files. ``data``: from `grid.grid`."""
    directory = Path(directory)
    data = grid(result) if data is None else data
    figures = {"solution.png": solution(result, data), "error.png": error(result, data)}
    figures["history.png"] = history(result)
    figures["first_layer.png"] = first_layer(result)
    figures["identification.png"] = identification(result)
    written = []
    for name, figure in figures.items():
        if figure is not None:
            write_atomically(directory / name, functools.partial(figure.savefig, dpi=130))
            written.append(directory / name)
    return written


def solution(result: Any, data: xarray.Dataset) -> Figure:
    """Network next to the exact solution or reference, a row for each output."""
    outputs, against = result.problem.outputs, result.errors.against
    columns = ["", f"_{against}"] if against else [""]
    if data[outputs[0]].ndim == 1:
        figure = _figure(len(outputs), 1)
        for axes, output in zip(figure.axes, outputs, strict=True):
            if f"{output}_std" in data:
                _band(axes, data, output, result.identification)
            if against:
                _line(axes, data[f"{output}_{against}"], color="0.6", linewidth=2.5, label=against)
            _line(axes, data[output], linewidth=1, label=result.network)
            axes.set_ylabel(output)
            axes.legend(loc="upper right")
    else:
        figure = _figure(len(outputs), len(columns))
        panels = iter(figure.axes)
        for output in outputs:
            values = _slice(data[f"{output}_{against}" if against else output])
            sizes = np.abs(values.values[np.isfinite(values.values)])
            limit = float(sizes.max(initial=0.0)) or 1.0
            for column in columns:
                axes = next(panels)
                name = result.network if not column else against
                _map(figure, axes, data[output + column], f"{output}: {name}", limit)
    figure.suptitle(_title(result))
    return figure


def error(result: Any, data: xarray.Dataset) -> Figure | None:
    """Absolute error of each output on a logarithmic scale; None if it is not known."""
    outputs = result.problem.outputs
    if not result.errors.against or result.errors.relative_l2 is None:
        return None
    figure = _figure(len(outputs), 1)
    for axes, output in zip(list(figure.axes), outputs, strict=True):
        values = cast(xarray.DataArray, np.abs(data[f"{output}_error"]))
        label = f"|{output} − {result.errors.against}|"
        if values.ndim == 1:
            _line(axes, values.clip(min=1e-17), linewidth=0.8)
            axes.set_yscale("log")
            axes.set_ylabel(label)
        else:
            log = np.log10(values.clip(min=1e-17))
            top = float(log.max())
            _map(figure, axes, log, f"log₁₀ {label}", (max(float(log.quantile(0.02)), top - 8), top), "magma")
    figure.suptitle(_title(result))
    return figure


def history(result: Any) -> Figure | None:
    """Loss, its terms and the error over the iterations; identified values below, where there are unknowns."""
    past = result.history
    if not len(past["iteration"]):
        return None
    figure = _figure(1 + bool(past["unknowns"]), 1)
    axes = figure.axes[0]
    iteration = past["iteration"]
    for name, values in past["terms"].items():
        axes.plot(iteration, np.sqrt(values), linewidth=1, label=f"{name}, rms")
    if np.isfinite(past["relative_l2"]).any():
        axes.plot(iteration, past["relative_l2"], color="black", linewidth=1.8, label="relative L2 error")
    changes = np.flatnonzero(past["method"][1:] != past["method"][:-1])
    for i in changes:
        axes.axvline(iteration[i], color="0.7", linestyle="--", linewidth=1)
        axes.annotate(f" {past['method'][i + 1]}", (iteration[i], 0.97), xycoords=("data", "axes fraction"), va="top")
    axes.set_yscale("log")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
    if past["unknowns"]:
        for name, values in past["unknowns"].items():
            (line,) = figure.axes[1].plot(iteration, values, label=name)
            if name in result.problem.true_unknowns:
                true = result.problem.true_unknowns[name]
                figure.axes[1].axhline(true, color=line.get_color(), linestyle=":", label=f"{name}, true")
        figure.axes[1].legend(loc="upper right", fontsize="small")
    figure.axes[-1].set_xlabel("iteration")
    figure.suptitle(_title(result))
    return figure


def first_layer(result: Any) -> Figure | None:
    """Partition points and slopes of the first layer before and after training; None without one."""
    if not isinstance(result.net, RepNet) or result.first_layer is None:
        return None
    layer = result.net.first
    trained = {key: value.clone() for key, value in layer.state_dict().items()}
    states = []
    for state in (result.first_layer, trained):
        layer.load_state_dict(state)
        states.append((layer.partition_points().cpu().numpy(), layer.slopes().cpu().numpy()))
    (points_before, slopes_before), (points_after, slopes_after) = states
    figure = _figure(2, 1, 3.0) if points_before.shape[1] == 1 else _figure(1, 2)
    axes = figure.axes
    if points_before.shape[1] == 1:
        axes[0].plot(points_before[:, 0], slopes_before, ".", color="0.6", label="before training")
        axes[0].plot(points_after[:, 0], slopes_after, ".", markersize=4, label="after training")
        axes[0].set(xlabel="partition point", ylabel="slope, normalised")
    else:
        axes[0].plot(*points_before[:, :2].T, ".", color="0.6", label="before training")
        axes[0].plot(*points_after[:, :2].T, ".", markersize=4, label="after training")
        axes[0].set(xlabel="first coordinate", ylabel="second coordinate", title="a point of each partition hyperplane")
    axes[0].legend(loc="upper right", fontsize="small")
    both = np.concatenate([slopes_before, slopes_after])
    low, high = max(float(both.min()), 1e-12), float(both.max())
    bins = np.geomspace(low * 0.9, high * 1.1, 40).tolist()
    axes[1].hist(slopes_before, bins, color="0.6", label="before training")
    axes[1].hist(slopes_after, bins, alpha=0.7, label="after training")
    axes[1].set(xscale="log", xlabel="slope, normalised", ylabel="neurons")
    axes[1].legend(loc="upper right", fontsize="small")
    figure.suptitle(f"First layer of {result.network}: {result.problem.name}")
    return figure


def identification(result: Any) -> Figure | None:
    """Data and fit of each observation with the residuals, and which data determine the unknowns; None without."""
    found, problem = result.identification, result.problem
    if found is None:
        return None
    observed = problem.observations
    influence = bool(found.influence)
    figure = _figure(len(observed), 2 + influence, 3.2)
    panels = iter(figure.axes)
    for name, condition in observed.items():
        points = np.asarray(condition.points)
        values = np.broadcast_to(condition.values.detach().cpu().numpy().reshape(-1), len(points))
        fit = result.predict(points)[:, _component(condition)]
        noise = found.noise[name]
        _data_and_fit(next(panels), result, name, points, values, fit)
        axes = next(panels)
        axes.axhspan(-found.quantile, found.quantile, color="0.9", label=f"{100 * found.level:g} %")
        axes.plot(points[:, 0] if points.shape[1] == 1 else fit, (values - fit) / noise, ".", markersize=3)
        axes.set(
            xlabel=_coordinate(result) if points.shape[1] == 1 else "fit", ylabel=f"residual / noise ({noise:.2g})"
        )
        axes.legend(loc="upper right", fontsize="small")
        if influence:
            axes = next(panels)
            for unknown, shares in found.influence.items():
                at = points[:, 0] if points.shape[1] == 1 else np.arange(len(points))
                axes.plot(at, shares[name], ".", markersize=4, label=unknown)
            axes.set(
                xlabel=_coordinate(result) if points.shape[1] == 1 else "observation", ylabel="share of the variance"
            )
            axes.legend(loc="upper right", fontsize="small")
    figure.suptitle(f"{problem.name}: " + ("; ".join(_said(n, e) for n, e in found.estimates.items()) or "fields"))
    return figure


def _said(name: str, estimate: Any) -> str:
    if estimate.interval is None:
        return f"{name} not determined"
    return f"{name} = {estimate.value:.6g} ± {estimate.standard_error:.2g}"


def _component(condition: Any) -> int:
    """The output that an observation is of; the first of several."""
    component = getattr(condition, "component", 0)
    return component if isinstance(component, int) else component[0]


def _coordinate(result: Any) -> str:
    return result.problem.coordinate_names[0]


def _data_and_fit(axes: Any, result: Any, name: str, points: np.ndarray, values: np.ndarray, fit: Any) -> None:
    """Over the coordinate where there is one, else fit against data."""
    if points.shape[1] == 1:
        order = np.argsort(points[:, 0])
        line = np.linspace(points.min(), points.max(), 1000)[:, None]
        component = _component(result.problem.observations[name])
        axes.plot(line, result.predict(line)[:, component], linewidth=1, label="fit")
        axes.plot(points[order, 0], values[order], ".", color="black", markersize=3, label=name)
        axes.set_xlabel(_coordinate(result))
    else:
        axes.plot(values, fit, ".", markersize=2)
        ends = [min(values.min(), fit.min()), max(values.max(), fit.max())]
        axes.plot(ends, ends, color="0.6", linewidth=1, label="fit = data")
        axes.set(xlabel=name, ylabel="fit")
    axes.legend(loc="upper right", fontsize="small")


def _figure(rows: int, columns: int, height: float = 4.0) -> Figure:
    figure = Figure(figsize=(7.5 if columns == 1 else 5.2 * columns, 0.6 + height * rows), layout="constrained")
    figure.subplots(rows, columns)
    return figure


def _band(axes: Any, data: xarray.Dataset, output: str, found: Any) -> None:
    values, width = data[output], found.quantile * data[f"{output}_std"]
    label = f"{100 * found.level:g} % pointwise"
    axes.fill_between(data[values.dims[0]], values - width, values + width, color="C0", alpha=0.2, label=label)


def _line(axes: Any, values: xarray.DataArray, **style: Any) -> None:
    (name,) = values.dims
    axes.plot(values[name], values, **style)
    axes.set_xlabel(name)


def _slice(values: xarray.DataArray) -> xarray.DataArray:
    """The first two coordinates, at the midpoint of the others; for time, of the part that was reached."""
    if "t" in values.dims[2:]:
        known = values.notnull().any([name for name in values.dims if name != "t"])
        values = values.isel(t=slice(0, max(1, int(known.sum()))))
    return values.isel({name: values.sizes[name] // 2 for name in values.dims[2:]})


def _map(
    figure: Any,
    axes: Any,
    values: xarray.DataArray,
    title: str,
    limits: float | tuple[float, float],
    colours: str = "RdBu_r",
) -> None:
    low, high = limits if isinstance(limits, tuple) else (-limits, limits)
    values = _slice(values)
    values = values.isel({name: slice(None, None, -(-values.sizes[name] // MOST_PIXELS)) for name in values.dims})
    across, up = reversed(values.dims) if values.dims[1] == "t" else values.dims
    mesh = axes.pcolormesh(
        values[across], values[up], values.transpose(up, across), cmap=colours, vmin=low, vmax=high, rasterized=True
    )
    axes.set(xlabel=across, ylabel=up, title=title)
    figure.colorbar(mesh, ax=axes)


def _title(result: Any) -> str:
    error = result.errors.relative_l2
    measured = "" if error is None else f", relative L2 error {error:.1e}"
    if result.errors.until is not None:
        measured += f" up to t = {result.errors.until:.6g}, the time reached"
    return f"{result.problem.name}: {result.network}, {result.method}{measured}"
