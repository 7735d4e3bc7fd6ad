"""Operator learning: RepDeepONet beside a tanh DeepONet of the same size, and what classical least squares reaches.

    python -m repnet_pde.validation.studies.operators

Problems: the antiderivative and the advection of Gaussian random fields of length scale 0.05; a -> sin(m a(x)) for
m = 5, 10, 20 and functions a = c0 + c1 cos pi x with |a| <= 1, for m = 20 also with a third mode; and ground
acceleration -> displacements of a six-storey shear frame, linear (also with noise of 1 % in the training displacements)
and bilinear with hysteresis (80 s at 50 Hz, 100 synthetic motions for training, 44 for test).

Methods:

- deeponet: ``dde.nn.DeepONetCartesianProd`` with tanh; repdeeponet: the same layers with a RepNet trunk, and a RepNet
  branch where the map is nonlinear. The same Adam steps, batches and learning rates.
- deeponet+lsq, repdeeponet+lsq: the same two networks, their last layers then solved for by `fit_last_layer`.
- repdeeponet-linear: a linear branch and least squares, without Adam; for the linear maps.
- convolution: `ConvolutionOperator`, a RepNet in the lag, by least squares; for the frames.
- window: an ordinary tanh network from the accelerations of the last seconds to the displacements, with Adam: what the
  convolution operator knows, the invariance in time, without its linearity; for the frames.
- fir: a finite impulse response of as many seconds; state-space: u(n+1) as a linear function of u(n), u(n-1) and three
  accelerations, simulated freely on the test motions; both by least squares, with NumPy only; for the frames.
- hysteresis: `HysteresisOperator`, that state-space model with elastic, ideally plastic elements of the storey drifts,
  whose threshold is found from the data; for the bilinear frame.

The normalised RMS error of an output (a storey) is ||u - u_ref|| / ||u_ref|| over all functions and points of the
test set; the worst and the mean over the outputs are given. The relative L2 error is the mean over the test functions
of that ratio for one function. Seeds change networks and, but for the frames, data. Every run is written to ``--runs``
at once, so that a second call continues where the first was stopped.
"""

import dataclasses
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import click
import numpy as np
import torch

import repnet_pde
from repnet_pde import RepDeepONetCartesianProd, set_precision
from repnet_pde.backend import dde, quiet, seeded
from repnet_pde.files import read_json, write_atomically, write_json
from repnet_pde.operators import (
    ConvolutionOperator,
    HysteresisOperator,
    OperatorData,
    advection,
    antiderivative,
    fit_last_layer,
    sine_map,
    synthetic_motions,
)

from ..finite_difference.shear_frame import ShearFrame, bilinear_response, bilinear_solve_ivp, linear_response
from ..table import median, number, spread
from .operator_pictures import draw
from .time_invariant import apply_fir, fir_weights, simulate, state_space_weights

DT, DURATION = 0.02, 80.0
TRAIN, TEST = 100, 44
LEARNING_RATE = 1e-3
FRAME = ShearFrame()
BILINEAR = dataclasses.replace(FRAME, yield_drift=0.008, hardening=0.1)
SEARCH_SEED = 1000
HELD_OUT = 0.2
MEMORY = 24.0
"""Seconds of the convolution operator and of the finite impulse response."""


@dataclass(frozen=True)
class Case:
    """A problem: its data for a seed, the layers of both networks, and the keyword arguments of RepDeepONet.

    wide: the trunk's widths beside a linear branch, where they are others. only: the methods, where not all.
    slopes: start slopes of the branch that are tried, on held-out training functions of `SEARCH_SEED`.
    asked: by method the largest normalised RMS error; if negative, how many times below that of "deeponet".
    """

    name: str
    data: Callable[[int], OperatorData]
    branch: Sequence[int]
    trunk: Sequence[int]
    options: dict = field(default_factory=dict)
    outputs: int = 1
    batch: int = 100
    linear: bool = True
    frame: bool = False
    wide: int | None = None
    only: tuple[str, ...] = ()
    slopes: tuple[float, ...] = ()
    asked: dict[str, float] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        if self.only:
            return self.only
        extra = ("window", "convolution", "fir", "state-space") if self.frame else ()
        extra = ("repdeeponet-linear", *extra) if self.linear else extra
        extra = (*extra, "hysteresis") if self.data is bilinear_frame else extra
        return ("deeponet", "deeponet+lsq", "repdeeponet", "repdeeponet+lsq", *extra)


# Data of the frames ---------------------------------------------------------------------------------------------------


@cache
def motions() -> np.ndarray:
    return synthetic_motions(TRAIN + TEST, 0, DURATION, DT)


def _frame(u: np.ndarray) -> OperatorData:
    t = DT * np.arange(u.shape[1])[:, None]
    a = motions()
    return OperatorData(a[:TRAIN], u[:TRAIN], a[TRAIN:], u[TRAIN:], t, t)


@cache
def linear_frame(seed: int) -> OperatorData:
    return _frame(linear_response(FRAME, motions(), DT))


@cache
def noisy_frame(seed: int) -> OperatorData:
    """Training displacements with normal errors of 1 % of each storey's root mean square; the test set is exact."""
    data = linear_frame(0)
    size = np.sqrt(np.mean(np.square(data.train_u), axis=(0, 1)))
    errors_ = 0.01 * size * np.random.default_rng(seed).standard_normal(data.train_u.shape)
    return dataclasses.replace(data, train_u=data.train_u + errors_)


FOLDER = Path("runs/operators")
"""Where the response of the bilinear frame is kept; set by the command."""


@cache
def bilinear_frame(seed: int) -> OperatorData:
    return _frame(_bilinear()["u"])


@cache
def _bilinear() -> dict:
    """The reference and its errors: estimated by halving the steps, and against solve_ivp on the first test motion."""
    file = FOLDER / "bilinear.npz"
    if not file.exists():
        begun = time.perf_counter()
        found = bilinear_response(BILINEAR, motions(), DT)
        seconds = time.perf_counter() - begun
        exact = bilinear_solve_ivp(BILINEAR, motions()[TRAIN], DT)
        off = np.linalg.norm(found.displacement[TRAIN] - exact) / np.linalg.norm(exact)
        values = {"u": found.displacement, "error": found.error, "off": off, "seconds": seconds}
        write_atomically(file, lambda path: np.savez_compressed(path, **values))
    with np.load(file) as stored:
        return dict(stored)


TIME = {"domain": (0.0, DURATION), "wavenumber": 30.0, "first_activation": "sin"}
CASES = (
    Case(
        "antiderivative",
        lambda seed: antiderivative(seed=seed),
        (100, 100, 100),
        (1, 100, 100),
        {"domain": (0.0, 1.0), "wavenumber": 60.0, "first_activation": "sin"},
    ),
    Case(
        "advection",
        lambda seed: advection(seed=seed),
        (100, 100, 100),
        (2, 100, 100),
        {"domain": (0.0, 1.0), "wavenumber": 45.0, "first_activation": "sin"},
        wide=400,
    ),
    *(
        Case(
            f"sine_map m = {m}" + (f", {modes} modes" if modes > 2 else ""),
            lambda seed, m=m, modes=modes: sine_map(float(m), modes=modes, seed=seed),
            (100, 200, 200),
            (1, 100, 200),
            {
                "domain": (0.0, 1.0),
                "wavenumber": 3.0 * m,
                "first_activation": "sin",
                "branch": {"first_activation": "sin"},
            },
            slopes=tuple(factor * m for factor in (0.2, 0.4, 0.6, 1.0)),
            linear=False,
            asked={"repdeeponet": -5.0, "repdeeponet+lsq": -5.0},
        )
        for m, modes in ((5, 2), (10, 2), (20, 2), (20, 3))
    ),
    Case(
        "frame, linear",
        linear_frame,
        (4001, 64, 6 * 64),
        (1, 64, 64),
        TIME,
        outputs=6,
        batch=10,
        frame=True,
        asked={"convolution": 1.5e-3},
    ),
    Case(
        "frame, linear, 1 % noise",
        noisy_frame,
        (4001, 64, 6 * 64),
        (1, 64, 64),
        TIME,
        outputs=6,
        frame=True,
        only=("convolution", "fir", "state-space"),
    ),
    Case(
        "frame, bilinear",
        bilinear_frame,
        (4001, 64, 6 * 64),
        (1, 64, 64),
        TIME,
        outputs=6,
        batch=10,
        linear=False,
        frame=True,
    ),
)


# One run --------------------------------------------------------------------------------------------------------------


def errors(found: np.ndarray, wanted: np.ndarray) -> dict:
    """The errors of the table for (functions, points) or (functions, points, outputs); None where not finite."""
    found, wanted = (a.reshape(*a.shape[:2], -1) for a in (found, wanted))
    with np.errstate(all="ignore"):
        by_output = np.linalg.norm(found - wanted, axis=(0, 1)) / np.linalg.norm(wanted, axis=(0, 1))
        each = np.linalg.norm(found - wanted, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2))
    if not (np.isfinite(by_output).all() and np.isfinite(each).all()):
        return {"by_output": None, "worst": None, "mean": None, "relative_l2": None}
    return {
        "by_output": by_output.tolist(),
        "worst": float(by_output.max()),
        "mean": float(by_output.mean()),
        "relative_l2": float(each.mean()),
    }


def _row(case: Case, data: OperatorData, found: np.ndarray, seconds: float, parameters: int, **more) -> dict:
    sample = found[0, :, -1] if found.ndim == 3 else found[0]
    sample = np.nan_to_num(sample, nan=0.0, posinf=0.0, neginf=0.0).tolist()
    row = errors(found, data.test_u) | {"seconds": seconds, "parameters": parameters} | more
    return row | {"sample": sample[:4001]}


class Scaled:
    """The data with inputs and outputs divided by their root mean squares over the training set."""

    def __init__(self, data: OperatorData):
        self.v = float(np.sqrt(np.mean(np.square(data.train_v))))
        self.u = np.sqrt(np.mean(np.square(data.train_u), axis=(0, 1)))
        self.data = OperatorData(
            data.train_v / self.v,
            data.train_u / self.u,
            data.test_v / self.v,
            data.test_u / self.u,
            data.points,
            data.sensors,
        )

    def predict(self, net) -> np.ndarray:
        dtype = next(net.parameters()).dtype
        inputs = tuple(torch.as_tensor(a, dtype=dtype) for a in (self.data.test_v, self.data.points))
        with torch.no_grad():
            return net(inputs).double().numpy() * self.u


def network(case: Case, kind: str):
    """The network "deeponet" or "repdeeponet" of a case."""
    several = {"num_outputs": case.outputs, "multi_output_strategy": "split_branch"} if case.outputs > 1 else {}
    if kind == "deeponet":
        return dde.nn.DeepONetCartesianProd(case.branch, case.trunk, "tanh", "Glorot normal", **several)
    return RepDeepONetCartesianProd(case.branch, case.trunk, "tanh", "Glorot normal", **several, **case.options)


def run_adam(case: Case, kind: str, seed: int, steps: int) -> dict[str, dict]:
    """Adam in float32, then the last layer by least squares in float64: the rows of both."""
    set_precision("float32")
    data = case.data(seed)
    scaled = Scaled(data)
    with seeded(seed), quiet():
        net = network(case, kind)
        model = dde.Model(scaled.data.cartesian(), net)
        model.compile("adam", lr=LEARNING_RATE, decay=("cosine", steps, 0.0), verbose=0)
        begun = time.perf_counter()
        history, _ = model.train(iterations=steps, batch_size=case.batch, display_every=10 * steps, verbose=0)
        seconds = time.perf_counter() - begun
    parameters = net.num_trainable_parameters()
    loss = float(np.sum(history.loss_train[-1]))
    rows = {kind: _row(case, data, scaled.predict(net), seconds, parameters, loss=loss)}
    set_precision("float64")
    begun = time.perf_counter()
    net.double()
    fit = fit_last_layer(net, (scaled.data.train_v, scaled.data.points), scaled.data.train_u)
    seconds += time.perf_counter() - begun
    rows[f"{kind}+lsq"] = _row(case, data, scaled.predict(net), seconds, parameters, ridge=list(fit.ridge))
    return rows


def run_linear_branch(case: Case, seed: int) -> dict:
    """RepDeepONet with a linear branch, everything but the output layer as it starts."""
    set_precision("float64")
    data = case.data(seed)
    scaled = Scaled(data)
    trunk = case.trunk if case.wide is None else (case.trunk[0], case.wide, case.wide)
    branch = (case.branch[0], trunk[-1] * case.outputs)
    with seeded(seed):
        net = network(dataclasses.replace(case, branch=branch, trunk=trunk), "repdeeponet")
    begun = time.perf_counter()
    fit = fit_last_layer(net, (scaled.data.train_v, scaled.data.points), scaled.data.train_u)
    seconds = time.perf_counter() - begun
    parameters = net.num_trainable_parameters()
    return _row(case, data, scaled.predict(net), seconds, parameters, ridge=list(fit.ridge))


def run_convolution(case: Case, seed: int) -> dict:
    """The kernel as a RepNet, by least squares."""
    set_precision("float64")
    data = case.data(seed)
    with seeded(seed):
        net = ConvolutionOperator(DT, MEMORY, case.outputs, 300, first_activation="tanh", grading=2.0, wavenumber=90.0)
    begun = time.perf_counter()
    net.fit(data.train_v, data.train_u)
    seconds = time.perf_counter() - begun
    with torch.no_grad():
        found = net(torch.as_tensor(data.test_v)).numpy()
    return _row(case, data, found, seconds, net.num_trainable_parameters())


class Windows(dde.data.data.Data):
    """The last ``lags`` accelerations (newest first, zero before the record) and displacements at random times.

    a (records, samples), u (records, samples, outputs).
    """

    def __init__(self, a: np.ndarray, u: np.ndarray, lags: int):
        kind = dde.config.real(np)
        padded = np.concatenate([np.zeros((len(a), lags - 1)), a], 1).astype(kind)
        self.windows = np.lib.stride_tricks.sliding_window_view(padded, lags, 1)[:, :, ::-1]
        self.u = u.astype(kind)

    def losses(self, targets, outputs, loss_fn, inputs, model, aux=None):
        return loss_fn(targets, outputs)

    def train_next_batch(self, batch_size=None):
        records, times = (np.random.randint(n, size=batch_size) for n in self.u.shape[:2])
        return np.ascontiguousarray(self.windows[records, times]), self.u[records, times]

    def test(self):
        return self.train_next_batch(100)


def run_window(case: Case, seed: int, steps: int) -> dict:
    """The tanh network that sees a window of the acceleration, under Adam in float32."""
    set_precision("float32")
    data = case.data(seed)
    scaled = Scaled(data)
    lags = round(MEMORY / DT) + 1
    with seeded(seed), quiet():
        net = dde.nn.FNN([lags, 128, 64, case.outputs], "tanh", "Glorot normal")
        model = dde.Model(Windows(scaled.data.train_v, scaled.data.train_u, lags), net)
        model.compile("adam", lr=LEARNING_RATE, decay=("cosine", steps, 0.0), verbose=0)
        begun = time.perf_counter()
        history, _ = model.train(iterations=steps, batch_size=256, display_every=10 * steps, verbose=0)
        seconds = time.perf_counter() - begun
    test = Windows(scaled.data.test_v, scaled.data.test_u, lags).windows
    with torch.no_grad():
        found = np.stack([net(torch.from_numpy(np.ascontiguousarray(w))).double().numpy() for w in test])
    loss = float(np.sum(history.loss_train[-1]))
    return _row(case, data, found * scaled.u, seconds, net.num_trainable_parameters(), loss=loss)


# Classical baselines ------------------------------------------------------------------------------------------------


def run_fir(case: Case, seed: int) -> dict:
    data = case.data(seed)
    begun = time.perf_counter()
    weights = fir_weights(data.train_v, data.train_u, round(MEMORY / DT) + 1)
    seconds = time.perf_counter() - begun
    return _row(case, data, apply_fir(weights, data.test_v), seconds, weights.size)


def run_state_space(case: Case, seed: int) -> dict:
    data = case.data(seed)
    begun = time.perf_counter()
    weights = state_space_weights(data.train_v, data.train_u)
    seconds = time.perf_counter() - begun
    return _row(case, data, simulate(weights, data.test_v), seconds, weights.size)


def run_hysteresis(case: Case, seed: int) -> dict:
    data = case.data(seed)
    operator = HysteresisOperator()
    begun = time.perf_counter()
    operator.fit(data.train_v, data.train_u)
    seconds = time.perf_counter() - begun
    parameters = operator.weights.size + len(operator.thresholds)
    found = operator.predict(data.test_v)
    return _row(case, data, found, seconds, parameters, thresholds=operator.thresholds.tolist())


OTHERS = {
    "hysteresis": run_hysteresis,
    "repdeeponet-linear": run_linear_branch,
    "convolution": run_convolution,
    "fir": run_fir,
    "state-space": run_state_space,
}


def with_slope(case: Case, steps: int, runs: Path, slug: str) -> Case:
    """The case with the start slope of the branch that does best on training functions which are held out."""
    if not case.slopes:
        return case

    def split(seed: int) -> OperatorData:
        data = case.data(seed)
        kept = round((1 - HELD_OUT) * len(data.train_v))
        parts = (data.train_v[:kept], data.train_u[:kept], data.train_v[kept:], data.train_u[kept:])
        return OperatorData(*parts, data.points, data.sensors)

    def of(slope: float, **more) -> Case:
        branch = case.options["branch"] | {"slope_scale": slope}
        return dataclasses.replace(case, options=case.options | {"branch": branch}, **more)

    file = runs / f"{slug}-slopes-{steps}.json"
    if not file.exists():
        rows = [run_adam(of(slope, data=split), "repdeeponet", SEARCH_SEED, steps) for slope in case.slopes]
        write_json(file, {"errors": [row["repdeeponet"]["worst"] for row in rows]})
    errors_ = [math.inf if e is None else e for e in read_json(file)["errors"]]
    return of(case.slopes[errors_.index(min(errors_))])


def run(case: Case, seed: int, steps: int, runs: Path, say: Callable = lambda text: None) -> dict[str, dict]:
    """All methods of a case, each from its file in ``runs`` where it is there."""
    slug = "-".join(re.findall(r"[\w]+", case.name))
    case = with_slope(case, steps, runs, slug)
    rows: dict[str, dict] = {}
    for method in case.methods:
        if method.endswith("+lsq"):
            continue
        adam = method not in OTHERS
        file = runs / (f"{slug}-{method}-{steps}-{seed}.json" if adam else f"{slug}-{method}-{seed}.json")
        if not file.exists():
            if method == "window":
                found = {method: run_window(case, seed, steps)}
            else:
                found = run_adam(case, method, seed, steps) if adam else {method: OTHERS[method](case, seed)}
            write_json(file, found)
        rows |= read_json(file)
        for name in read_json(file):
            say(f"{case.name}, seed {seed}, {name}: {number(rows[name]['worst'])} in {rows[name]['seconds']:.1f} s")
    return {method: rows[method] for method in case.methods}


# The table ------------------------------------------------------------------------------------------------------------


def missed(case: Case, method: str, results: dict[str, list[dict]]) -> bool:
    """Whether the median of the worst normalised RMS error misses what is asked of the method."""
    if method not in case.asked:
        return False
    bound = case.asked[method]
    found = median(results[method], "worst")
    if bound < 0:
        bound = median(results["deeponet"], "worst") / -bound
    return not found <= bound


HEADER = (
    "problem",
    "method",
    "parameters",
    "asked for",
    "normalised RMS error, worst output",
    "mean over outputs",
    "relative L2",
    "seconds",
)


def markdown(results: dict[str, dict[str, list[dict]]], cases, seeds: int, steps: int, command: str, notes=()) -> str:
    """The table of all cases and methods."""
    lines = [
        "# Operator learning",
        "",
        f"Medians over {seeds} seeds with [smallest, largest]; {steps} Adam steps in float32 with batches of 100",
        f"functions (10 of the frames, 256 windows), learning rate {LEARNING_RATE:g} with cosine decay; least squares",
        f"in float64; {torch.get_num_threads()} thread(s).",
        "Seconds are those of the training alone, on a shared machine: good to a factor of two.",
        "The normalised RMS error of an output is ‖u − u_ref‖ / ‖u_ref‖ over all test functions and points; the",
        "relative L2 error is the mean over the test functions of that ratio for one. The data of the frames are the",
        "same for all seeds, so that fir, state-space and hysteresis do not vary. The start slope of the branch in",
        f"sine_map is the best of 0.2, 0.4, 0.6 and 1 times m on held-out training functions of seed {SEARCH_SEED}.",
        "What is missed says MISSED.",
        f"repnet-pde {repnet_pde.__version__}, torch {torch.__version__}.",
        "",
        f"    {command}",
        "",
        f"| {' | '.join(HEADER)} |",
        "|---" * len(HEADER) + "|",
    ]
    for case in cases:
        for method, rows in results[case.name].items():
            bound = case.asked.get(method)
            asked = "" if bound is None else f"{bound:.1e}" if bound > 0 else f"1/{-bound:g} of deeponet"
            cells = [
                case.name,
                method,
                f"{statistics.median(row['parameters'] for row in rows):,.0f}",
                asked,
                spread(rows, "worst") + (" MISSED" if missed(case, method, results[case.name]) else ""),
                spread(rows, "mean"),
                spread(rows, "relative_l2"),
                f"{median(rows, 'seconds'):.2g}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *notes] if notes else []
    return "\n".join(lines) + "\n"


TANH = ("deeponet", "deeponet+lsq", "window")


def notes_of(cases: Sequence[Case], results) -> list[str]:
    """What the table alone does not tell, from its numbers."""
    notes = []
    for case in cases:
        if not case.frame:
            continue
        found = sorted((median(results[case.name][method], "worst"), method) for method in case.methods)
        order = ", ".join(f"{method} {number(value)}" for value, method in found)
        notes += [f"{case.name}, from the least error upwards: {order}.", ""]
        if "convolution" in case.asked:
            tanh = min(value for value, method in found if method in TANH)
            notes += [f"The least error of a tanh network of it is {number(tanh)}; above 2e-2 was expected.", ""]
        if case.data is bilinear_frame:
            known = _bilinear()
            notes.append(
                f"Its reference: error {number(float(known['error'].max()))} (relative L2, worst storey) estimated by "
                f"halving the steps, {number(float(known['off']))} against solve_ivp with a tolerance of 1e-10 on the "
                f"first test motion; {float(known['seconds']):.0f} s."
            )
    return notes


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--problems", default="", help="Only problems whose names contain one of these, separated by commas.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, ... of each.")
@click.option("--steps", default=3000, show_default=True, help="Adam steps of every network.")
@click.option("--threads", default=1, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/operators"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the table; else it is printed only.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder for the pictures; else none are drawn.")
def main(problems, seeds, steps, threads, runs, table, pictures) -> None:
    global FOLDER
    if seeds < 1 or steps < 1:
        raise click.UsageError(f"--seeds, --steps: {seeds} and {steps} given; at least 1 of each is needed")
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    FOLDER = runs
    wanted = [text for text in problems.split(",") if text]
    cases = [case for case in CASES if not wanted or any(text in case.name for text in wanted)]
    if not cases:
        raise click.UsageError(f"--problems: {problems!r} given; there are {', '.join(c.name for c in CASES)}")
    results: dict[str, dict[str, list[dict]]] = {}
    for case in cases:
        for seed in range(seeds):
            rows = run(case, seed, steps, runs, lambda text: click.echo(text, err=True))
            for method, row in rows.items():
                results.setdefault(case.name, {}).setdefault(method, []).append(row)
    command = f"python -m repnet_pde.validation.studies.operators --seeds {seeds} --steps {steps} --threads {threads}"
    command += f" --problems {problems}" if problems else ""
    text = markdown(results, cases, seeds, steps, command, notes_of(cases, results))
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")
    if pictures is not None:
        draw(cases, results, pictures)


if __name__ == "__main__":
    main()
