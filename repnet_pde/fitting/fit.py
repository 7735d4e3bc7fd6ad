"""Function approximation: `fit` a network to samples of a function of several variables."""

import hashlib
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import limits
from ..arguments import mapping, number, seconds, seed_number
from ..backend import PRECISIONS, dde, on_cpu, precision, seeded
from ..checking import accuracy
from ..discretization.last_layer import last_linear
from ..discretization.objective import Objective
from ..domain import Box
from ..errors import InputError, choose
from ..files import read_checkpoint, write_checkpoint
from ..methods import METHODS, network_for, sequence
from ..methods.adam import Adam
from ..methods.gauss_newton import MOST_PARAMETERS, GaussNewton
from ..methods.lbfgs import LBFGS
from ..methods.least_squares import LeastSquares
from ..networks.product import PRODUCT
from ..networks.registry import CUSTOM, NETWORKS
from ..networks.repnet import BEFORE_SIREN, SINE
from ..training.loop import CHECKPOINT_SECONDS, Training
from . import samples
from .search import SLOPES, Candidate, finish, held_out, many, search, solve_last_layer, wave_vectors, wavenumbers

FIRST_ORDER = f"{Adam.name}+{LBFGS.name}"
PATIENCE, OVERFITTED = 15, 2.0
"""Early stopping: a stage ends after this many records of the held-out error (of about a hundred per stage) without
improvement, if that error is also at least this multiple of the error on the fitted samples."""
HISTORY = ("iteration", "seconds", "method", "loss", "relative_l2")


@dataclass
class Fit:
    """Result of `fit`: a network that approximates the function, and its errors.

    Attributes:
        net: the network, in the units of the data.
        network: its name, or "custom".
        network_options: as given, completed with those chosen automatically.
        method: its name.
        seed: as given.
        dtype: as given.
        box: the domain.
        error: relative L2 on the held-out samples.
        training_error: the same on the fitted samples.
        noise: (c,), standard deviation of the residuals, in the units of y; it includes smooth components that are not
            resolved.
        stopped: why training ended.
        seconds: wall-clock time.
        vector: whether y was (n,).
        history: arrays "iteration", "seconds", "method", "loss", "relative_l2" (of the held-out samples) of an
            iterative method.
        first_layer: the state of the first layer before training.
        notes: what was tried and chosen.
    """

    net: torch.nn.Module
    network: str
    network_options: dict
    method: str
    seed: int
    dtype: str
    box: Box
    error: float
    training_error: float
    noise: np.ndarray
    stopped: str
    seconds: float
    vector: bool = False
    history: dict = field(default_factory=dict)
    first_layer: dict | None = None
    notes: list[str] = field(default_factory=list)

    @on_cpu()
    def predict(self, x, chunk: int = accuracy.CHUNK) -> np.ndarray:
        """Values at x (n, d), or (n,) in 1-D: (n,) where y was (n,), else (n, c); in chunks of rows.

        Outside of the domain of the samples the values are meaningless.
        """
        values = accuracy.predict(self.net, samples.as_table("x", x), self.box.dim, self.dtype, chunk)
        return values[:, 0] if self.vector else values

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.net.parameters())

    def __str__(self) -> str:
        lines = [
            f"{self.network} by {self.method}, {self.n_parameters:,} parameters, {self.seconds:.1f} s: {self.stopped}",
            f"relative L2 error {self.error:.2e} on held-out samples, {self.training_error:.2e} on those fitted",
        ]
        return "\n".join([*lines, *self.notes])

    @on_cpu()
    def save(self, file: str | Path) -> Path:
        """Write everything to a file, from which `load_fit` restores the same function."""
        state = {name: getattr(self, name) for name in _PLAIN}
        state |= {"box": [torch.as_tensor(self.box.lower), torch.as_tensor(self.box.upper)]}
        state |= {"noise": torch.as_tensor(self.noise), "state": self.net.state_dict(), "first_layer": self.first_layer}
        state |= {"history": {key: value.tolist() for key, value in self.history.items()}}
        write_checkpoint(Path(file), state)
        return Path(file)


_PLAIN = (
    "network",
    "network_options",
    "method",
    "seed",
    "dtype",
    "error",
    "training_error",
    "stopped",
    "seconds",
    "vector",
    "notes",
)


@on_cpu()
def load_fit(file: str | Path) -> Fit:
    """The `Fit` that `Fit.save` wrote; its network must be one of those known by name."""
    state = read_checkpoint(Path(file), "first_layer")
    if state is None:
        raise InputError(f"{file}: there is no such file")
    try:
        if state["network"] == CUSTOM:
            raise InputError(f"{file}: has a network of your own, which cannot be made again from its file")
        box = samples.Box(*(v.numpy() for v in state["box"]))
        options = dict(state["network_options"])
        sizes = [box.dim, *options.pop("layers"), len(state["noise"])]
        with precision(state["dtype"]), seeded(0):
            net = NETWORKS[state["network"]](sizes, box, None, **options)
        net.load_state_dict(state["state"])
        history = {key: np.asarray(value) for key, value in state["history"].items()}
        plain = {name: state[name] for name in _PLAIN}
        return Fit(
            net=net, box=box, noise=state["noise"].numpy(), history=history, first_layer=state["first_layer"], **plain
        )
    except (LookupError, RuntimeError, TypeError) as error:
        raise InputError(
            f"{file}: is no saved fit, or of another version ({' '.join(str(error).split())[:100]})"
        ) from error


@on_cpu()
def fit(
    x,
    y,
    network=None,
    method: str = "auto",
    seed: int = 0,
    dtype: str = "float64",
    time_limit: float | None = None,
    *,
    domain=None,
    noise: float | None = None,
    validation: float = samples.HELD_OUT,
    iterations: int | dict[str, int] | None = None,
    network_options: dict | None = None,
    method_options: dict | None = None,
    out: str | Path | None = None,
    progress: bool = False,
    memory_limit: float | str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Fit:
    """Fit a network to samples of a function.

    Values are normalised by mean and standard deviation. A tenth of the samples is held out: the held-out error selects
    the first layer, ends iterative training when it no longer decreases (early stopping; the best network is kept), and
    is reported as the error. Least squares uses all samples for the final solve.

    Args:
        x: (n, d), or (n,) in 1-D. y: (n, c), or (n,).
        network: a name in `networks.NETWORKS`, a DeepXDE network, or None: sine basis functions for least squares, in
            several dimensions also products of them; "repnet-siren" for the other methods.
        method: "least-squares" (solves for the last layer for several first layers; "auto" in float64), "adam",
            "soap", "lbfgs", "ssbroyden", "gauss-newton", or a sequence such as "adam+lbfgs" ("auto" in float32).
        seed, dtype, time_limit, iterations, network_options, method_options: as for `solve`.
        domain: (lower, upper) that contains the points; None takes their bounding box.
        noise: standard deviation of the errors of y, if known: the fit stops at this level.
        validation: fraction of the samples that is held out; 0 holds out none.
        out: file for `Fit.save`. An iterative method stores its state next to it, in a file with ".checkpoint" appended
            to the name, and continues from it when called again with the same samples and settings after a stop.
        progress: show progress on standard error.
        memory_limit: as for `solve`.
        checkpoint_seconds: seconds between two checkpoints.

    Raises:
        InputError: for any argument that cannot be used, before training begins.
        TrainingError: the loss became NaN or infinite.
    """
    begun = time.monotonic()
    choose("dtype", dtype, PRECISIONS)
    seed_number(seed)
    seconds("time_limit", time_limit)
    seconds("checkpoint_seconds", checkpoint_seconds)
    if noise is not None and number("noise", noise) <= 0:
        raise InputError(f"noise: {noise!r} given; a standard deviation > 0, or None, is needed")
    if method == "auto":
        method = LeastSquares.name if dtype == "float64" else FIRST_ORDER
    stages = sequence(method, iterations, method_options)
    for name, _, _ in stages:
        choose("method", name, [known for known, method in METHODS.items() if method.any_network])
    solved = any(METHODS[name].ends_by_itself for name, _, _ in stages)
    if solved and len(stages) > 1:
        raise InputError(f"method: {method!r} given; {LeastSquares.name} cannot be combined with another")
    with precision(dtype), limits.running(time_limit, progress, memory_limit):
        data = samples.make(x, y, domain=domain, validation=validation, seed=seed, dtype=dtype)
        settings = Settings(
            network=network,
            network_options=network_options,
            stages=stages,
            seed=seed,
            noise=None if noise is None else noise / data.scale,
            out=out,
            checkpoint_seconds=checkpoint_seconds,
        )
        decided: dict[str, Any] = _least_squares(data, settings) if solved else _train(data, settings)
        net = decided["net"]
        decided |= {"error": _relative(net, data, data.judged), "training_error": _relative(net, data, data.train)}
        if solved:
            finish(net, decided["network"], data, settings.noise)
        else:
            samples.denormalize(last_linear(net), data)
    decided["noise"] = decided["noise"] * data.scale
    decided |= {"method": method, "seed": seed, "dtype": dtype, "box": data.box, "vector": np.ndim(y) == 1}
    found = Fit(**decided, seconds=time.monotonic() - begun)
    if out is not None and found.network != CUSTOM:
        found.save(out)
    return found


@dataclass(frozen=True)
class Settings:
    """The settings of a fit, apart from its samples: arguments of `fit` of the same names, checked.

    stages: (method, iterations, options) of each. noise: (c,), standard deviation of the errors of the normalised
    values, or None.
    """

    network: Any
    network_options: dict | None
    stages: list
    seed: int
    noise: np.ndarray | None
    out: str | Path | None
    checkpoint_seconds: float


def _relative(net, data: samples.Samples, rows) -> float:
    """Relative L2 error, in the units of the data, of a network that returns normalised values."""
    size = np.linalg.norm(data.shift + data.scale * data.y[torch.as_tensor(rows)].double().numpy())
    return float(np.linalg.norm(data.misfit(net, rows).double().numpy() * data.scale) / (size if size > 0 else 1.0))


# Least squares --------------------------------------------------------------------------------------------------------


def _least_squares(data: samples.Samples, settings: Settings) -> dict:
    """The fields of a `Fit` determined by least squares; net and noise are normalised."""
    network, sigma = settings.network, settings.noise
    name, options = network_for(LeastSquares, network, mapping("network_options", settings.network_options))
    if isinstance(network, torch.nn.Module):
        noise = solve_last_layer(network, data, sigma)
        best = Candidate(name, options, network, math.nan, noise, f"last layer of a {type(network).__name__}")
        notes: list[str] = []
        stopped = "one solve"
    else:
        if network not in (None, SINE.name, PRODUCT.name) and "layers" not in options:
            options["layers"] = [max(1, min(1000, len(data.train) // 3))]
        found = search(data, network, options, seed=settings.seed, noise=sigma)
        best, notes = found.best, [str(c) for c in found.tried]
        stopped = f"{found.cut_short}: " if found.cut_short else ""
        stopped += f"best of {len(notes)} first layers"
    return {
        "net": best.net,
        "network": best.name,
        "network_options": best.options,
        "noise": best.noise,
        "stopped": stopped,
        "notes": notes,
    }


# Iterative methods ----------------------------------------------------------------------------------------------------


class SampleObjective(Objective):
    """The mean squared error of all samples or of a batch.

    Args:
        data: the samples; those to be fitted are used.
    """

    def __init__(self, net, data: samples.Samples):
        rows = torch.as_tensor(data.train)
        self.inputs, self.values = data.x[rows], data.y[rows]
        self.batch: int | None = None
        super().__init__(_point_sets(self.inputs, self.values, data.box), net, [], _names(data.outputs), {})

    def mean_squares(self) -> torch.Tensor:
        x, y = self.inputs, self.values
        if self.batch is not None and self.batch < len(x):
            rows = torch.randint(len(x), (self.batch,))
            x, y = x[rows], y[rows]
        terms = (self.net(x) - y).square().mean(0)
        self.terms = terms.detach()
        return terms


def _names(outputs: int) -> list[str]:
    return [f"y_{i}" for i in range(outputs)]


def _point_sets(x: torch.Tensor, y: torch.Tensor, box: samples.Box):
    """The samples as a DeepXDE data object, from which second-order methods take the rows of their Jacobian."""
    points, values = x.numpy(), y.numpy()
    sets = [dde.icbc.PointSetBC(points, values[:, i : i + 1], component=i) for i in range(values.shape[1])]
    kind = dde.geometry.Hypercube if box.dim > 1 else dde.geometry.Interval
    return dde.data.PDE(kind(box.lower, box.upper), None, sets, num_domain=0, num_boundary=0)


class HeldOut:
    """The error on the held-out samples during training, the best network so far, and the stopping criterion.

    sigma (c,): standard deviation of the noise, normalised, or None: training also ends when the residuals on the
    fitted samples reach it (discrepancy principle).
    """

    def __init__(self, net, data: samples.Samples, objective: SampleObjective, sigma):
        self.net, self.data, self.objective, self.sigma = net, data, objective, sigma
        self.best, self.since, self.now = math.inf, 0, math.inf
        self.state: dict | None = None

    def __call__(self) -> float:
        error = held_out(self.net, self.data)
        self.since, self.now = self.since + 1, error
        if error < self.best:
            self.best, self.since = error, 0
            self.state = {k: v.clone() for k, v in self.net.state_dict().items()}
        return _relative(self.net, self.data, self.data.judged)

    def state_dict(self) -> dict:
        return {"best": self.best, "since": self.since, "state": self.state}

    def load_state_dict(self, state: dict) -> None:
        self.best, self.since, self.state = state["best"], state["since"], state["state"]

    def enough(self) -> str | None:
        fitted = self.objective.terms.mean().sqrt().item()
        if len(self.data.held) and self.since >= PATIENCE and self.now > OVERFITTED * fitted:
            return "the held-out error no longer falls"
        if self.sigma is not None and bool((self.objective.terms.sqrt().double().numpy() <= self.sigma).all()):
            return "fitted to the noise"
        return None


def _train(data: samples.Samples, settings: Settings) -> dict:
    """The fields of a `Fit` determined by training; net and noise are normalised."""
    first, network = METHODS[settings.stages[0][0]], settings.network
    name = BEFORE_SIREN.name if network is None else network
    name, options = network_for(first, name, settings.network_options)
    with seeded(settings.seed):
        if network is None or isinstance(network, str):
            net, notes = _named_network(name, options, data, settings.seed)
        else:
            net, notes = network if isinstance(network, torch.nn.Module) else network(data.dim, data.outputs), []
        size = sum(p.numel() for p in net.parameters())
        if first.name == GaussNewton.name and size > MOST_PARAMETERS:
            notes.append(f"{size:,} parameters are many for {first.name}")
        objective = SampleObjective(net, data)
        given = objective.inputs.numpy().tobytes() + objective.values.numpy().tobytes()
        objective.fingerprint = hashlib.sha256(given + repr(settings.stages).encode()).hexdigest()
        held = HeldOut(net, data, objective, settings.noise)
        training = Training(objective, settings.stages, {}, held, held.enough)
        stopped = _run(training, settings)
        held()
        if settings.out is not None and training.finished:
            _checkpoint(settings.out).unlink(missing_ok=True)
    if held.state is not None:
        net.load_state_dict(held.state)
    history = {key: np.asarray(training.history[key]) for key in HISTORY}
    return {
        "net": net,
        "network": name,
        "network_options": options,
        "noise": data.misfit(net, data.train).square().mean(0).sqrt().double().numpy(),
        "stopped": stopped,
        "history": history,
        "first_layer": training.first_layer,
        "notes": notes,
    }


def _named_network(name: str, options: dict, data: samples.Samples, seed: int) -> tuple[torch.nn.Module, list[str]]:
    """A named network for the wavenumbers of the samples, with notes; its wave vectors are added to ``options``."""
    numbers = wavenumbers(data) / data.box.half_width
    notes = [f"largest wavenumbers of the samples: {', '.join(f'{k:.4g}' for k in numbers)}"]
    if name in (SINE.name, BEFORE_SIREN.name) and not SLOPES & set(options) and data.dim > 2 and many(data):
        waves = wave_vectors(data, options["layers"][0], seed)
        options |= {} if waves is None else {"waves": (waves / data.box.half_width).tolist()}
    rest = {key: value for key, value in options.items() if key != "layers"}
    return NETWORKS[name]([data.dim, *options["layers"], data.outputs], data.box, numbers, **rest), notes


def _run(training: Training, settings: Settings) -> str:
    """Train, from the checkpoint if there is one; returns why training ended."""
    checkpoint = None if settings.out is None else _checkpoint(settings.out)
    before = None if checkpoint is None else read_checkpoint(checkpoint)
    if before is not None:
        try:
            training.load_state_dict(before)
        except (LookupError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"out: {checkpoint} belongs to other samples or settings; delete it, or choose another file"
            ) from error
    return training.run(checkpoint=checkpoint, checkpoint_seconds=settings.checkpoint_seconds)


def _checkpoint(out: str | Path) -> Path:
    return Path(f"{out}.checkpoint")
