"""Inverse problems: unknown numbers and fields from observations, with standard errors and intervals."""

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import limits
from ..arguments import mapping, number, whole
from ..backend import dde, on_cpu, precision
from ..checking.status import of_equations
from ..errors import InputError
from ..files import claimed
from ..inverse.estimates import Identification, analyse
from ..inverse.observations import read_observations, with_observations
from ..inverse.unknowns import LOSSES, Scales, check_bounds, check_loss, check_noise
from ..methods.gauss_newton import GaussNewton
from ..methods.joint import Joint
from ..methods.shooting import Shooting
from ..planning.automatic import automatic_method
from ..planning.settings import Request
from ..problem.checks import of_precision
from ..problem.frozen import frozen
from ..problem.problem import Problem
from ..problem.residuals import residual_vectors
from ..problem.values import reset_unknowns
from ..training.loop import CHECKPOINT_SECONDS
from ..training.model import prepare
from .result import Result
from .run import Storing
from .solve import run


@on_cpu()
def identify(
    problem: Problem,
    network: Any = None,
    method: str = "auto",
    seed: int = 0,
    dtype: str = "float64",
    time_limit: float | None = None,
    *,
    data: str | Path | None = None,
    noise: Any = None,
    bounds: Mapping[str, tuple] | None = None,
    positive: Sequence[str] = (),
    starts: int | None = None,
    loss: str = "squares",
    level: float = 0.95,
    iterations: int | dict[str, int] | None = None,
    loss_weights="auto",
    network_options: dict | None = None,
    method_options: dict | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    memory_limit: float | str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Result:
    """Identify the unknowns of a problem from observations; with uncertainties.

    Args:
        problem: a `Problem` with ``unknowns`` or ``unknown_fields`` and, unless ``data`` is given, observations among
            its conditions (``dde.icbc.PointSetBC``). A ``dde.Model`` goes to `identify_model`.
        network, seed, dtype, time_limit, iterations, out, progress, checkpoint_seconds, memory_limit: as in `solve`.
        loss_weights, network_options, method_options: as in `solve`.
        method: "joint" (Gauss-Newton on the last layer and the unknowns; data weighted by their noise, unknown fields
            regularised by restricted maximum likelihood), "shooting" (Gauss-Newton on the unknowns, with forward
            solutions on space-time slabs), or one that trains all parameters: "gauss-newton", "adam+lbfgs", ...; "auto"
            takes shooting for nonlinear problems in time, joint for others if it is applicable, and Gauss-Newton if the
            equations are then not satisfied or neither is applicable.
        data: CSV, NPZ or NetCDF file of measurements (`observations.read_observations`), in place of the problem's.
        noise: standard deviation of the observations: one number, or name of the condition -> number or one per point.
            None takes those in ``data``, or else estimates them from the residuals.
        bounds: unknown -> (lower, upper), None for no bound. positive: names of unknowns that are positive.
        starts: maximum number of starts of the joint method; None: 6, and fewer if two agree.
        loss: of the observations, with joint and shooting: "squares", or "huber", which is robust to few outliers
            (P. J. Huber, Ann. Math. Statist. 35 (1964) 73-101); intervals are then those of the robust estimate.
        level: confidence level of the intervals.

    Returns:
        The `Result`; ``result.estimates`` has value, standard error and interval of each unknown, or the reason why
        there is no interval, and ``result.identification`` everything else. Intervals account for noise, not for wrong
        equations: if the residuals are not noise, there is no interval.

    Raises:
        InputError: for anything that cannot be used, before training begins.
        TrainingError: residuals became NaN or infinite.
    """
    if isinstance(problem, dde.Model):
        raise InputError("problem: a dde.Model given; use identify_model(model, unknowns={...})")
    request = Request(
        network=network,
        method=method,
        seed=seed,
        dtype=dtype,
        time_limit=time_limit,
        iterations=iterations,
        loss_weights=loss_weights,
        network_options=network_options,
        method_options=method_options,
        noise=noise,
        level=level,
        data=None if data is None else Path(data),
    )
    known = Known(bounds, positive, starts, loss)
    storing = Storing(None if out is None else Path(out), checkpoint_seconds)
    of_precision(problem, dtype)
    with limits.running(request.time_limit, progress, memory_limit), precision(problem.dtype):
        own = request.method_options
        problem, request, automatic = prepared(problem, request, known)
        request = replace(request, then=_then(problem, request, known, automatic) | {"method_options": own})
        with claimed(storing.out):
            return followed(problem, request, storing, run(problem, request, storing))


def followed(problem: Problem, request: Request, storing: Storing, result: Result) -> Result:
    """The result of a request, or that of the runs that replace it while it is not enough."""
    while (following := _following(problem, request, result)) is not None:
        request = following
        result = run(problem, request, storing)
    return result


def _following(problem: Problem, request: Request, result: Result) -> Request | None:
    """The request that replaces one with this result: more basis functions where these limit the estimates, or another
    method where the equations are not met; or None."""
    then = request.then
    if then is None or result.resumable:
        return None
    more = _finer(result, then["finer"][0]) if then["finer"] else None
    if more is not None and limits.left() > COSTLIER * result.wall_seconds:
        options, note = more
        then = then | {"finer": then["finer"][1:]}
        return replace(request, network_options=options, notes=(note,), attempt=request.attempt + 1, then=then)
    met = result.check.relative is None or (_physics(result) <= POOR and not result.unmet)
    open_ = result.identification is not None and result.identification.undetermined  # by no method
    if met or open_ or not then["others"]:
        return None
    note = (
        f"{request.method} left a relative residual of {_physics(result):.1e}: {GaussNewton.name} was used in its place"
    )
    return replace(
        request,
        method=GaussNewton.name,
        method_options=then["method_options"],
        network_options=then["network_options"],
        notes=(note,),
        attempt=request.attempt + 1,
        then=None,
    )


def _then(problem: Problem, request: Request, known: "Known", automatic: bool) -> dict:
    """What may follow a run of a request that has been asked for in this way, in plain types."""
    chosen = request.network is not None or bool(request.network_options) or bool(problem.unknown_fields)
    others = automatic and not replace(known, starts=None).given and not problem.unknown_fields
    return {
        "finer": list(FINER) if request.method == Joint.name and not chosen else [],
        "others": others and request.method in BOUNDED,  # which no other method can take
        "network_options": request.network_options,
    }


@dataclass(frozen=True)
class Known:
    """Prior information on the unknowns, and the loss of the data: the arguments of `identify` of these names."""

    bounds: Mapping[str, tuple] | None = None
    positive: Sequence[str] = ()
    starts: int | None = None
    loss: str = LOSSES[0]

    @property
    def given(self) -> bool:
        return bool(self.bounds or self.positive or self.starts or self.loss != LOSSES[0])


def prepared(problem: Problem, request: Request, known: Known) -> tuple[Problem, Request, bool]:
    """The checks of `identify`: the problem with the observations of a file, the request with a method and its options
    filled in, and whether the method was chosen here."""
    if not problem.unknowns and not problem.unknown_fields:
        raise InputError("problem: has neither unknowns nor unknown_fields; there is nothing to identify")
    _check_level(request.level)
    whole("starts", known.starts, 1)
    check_loss(known.loss)
    reset_unknowns(problem)
    problem, noise = _observed(problem, request)
    _check_amount(problem)
    noise = _plain(check_noise(noise, problem), problem)
    Scales(problem.unknowns, known.bounds, known.positive)
    options = mapping("method_options", request.method_options)
    automatic = request.method == "auto"
    method = automatic_method(problem, request.network, request.network_options)[0] if automatic else request.method
    if method == Shooting.name and automatic and known.starts:
        method = Joint.name
    if method not in BOUNDED and known.given:
        raise InputError(f"method: {method} takes no bounds, positive, starts and loss; use {Joint.name}")
    if method == Shooting.name and known.starts:
        raise InputError(f"starts: {method} begins at the values given only; use {Joint.name}")
    if method in BOUNDED:
        pairs = check_bounds(problem.unknowns, known.bounds, ()).items()
        table = {name: [end if math.isfinite(end) else None for end in pair] for name, pair in pairs}
        own = {"noise": noise, "bounds": table, "positive": list(known.positive)}
        own |= {"loss": known.loss} if known.loss != LOSSES[0] else {}
        own |= {"starts": known.starts} if method == Joint.name else {}
        options = options | {method: own | options.get(method, {})}
    return problem, replace(request, method=method, method_options=options, noise=noise), automatic


def _observed(problem: Problem, request: Request) -> tuple[Problem, Any]:
    """The problem with the observations of the file, where one is given, and the noise, from there unless stated."""
    if request.data is None:
        return problem, request.noise
    found, noise = read_observations(request.data, problem), request.noise
    problem = with_observations(problem, found)
    stated = [u for u, v in found.uncertainties.items() if v is not None]
    if noise is None and stated and len(stated) < len(found.uncertainties):
        raise InputError(f"data: standard deviations for {', '.join(stated)} only; all outputs need them, or none")
    if noise is None and stated:
        pairs = found.uncertainties.items()
        noise = {f"data {u}": v[~np.isnan(found.values[u])] for u, v in pairs if v is not None}
    return problem, noise


BOUNDED = (Joint.name, Shooting.name)
"""Methods that take bounds, positivity and a loss of the observations."""
POOR = 1e-2
"""Relative residual of the equations above which another method is tried."""
FINER = (2.0, 4.0)
"""Factors on the wavenumber used for planning the basis functions, if their residuals limit the estimates ..."""
FINEST = 800
"""... up to so many coefficients, ..."""
COSTLIER = 5.0
"""... and if the time limit allows for this many times the seconds of the first run."""


def _finer(result: Result, factor: float) -> tuple[dict, str] | None:
    """Options of a network for shorter waves and a note, if the basis functions limit the estimates; else None."""
    found, problem = result.identification, result.problem
    if not result.finished or found is None or not found.limited:
        return None
    wavenumber = [factor * k for k in result.wavenumber]
    options = Joint.network_options(problem, {"wavenumber": wavenumber}, wavenumber)
    if options["layers"][0] * len(problem.outputs) > FINEST:
        return None
    said = ", ".join(f"{k:.4g}" for k in wavenumber)
    return (
        options,
        f"the basis functions limited the estimates: identified again with basis functions up to the wavenumber {said}",
    )


def _physics(result: Result) -> float:
    """The largest relative residual of the equations and of the conditions that are not observations; infinite if there
    is none."""
    found = of_equations(result.check.relative, result.problem).values()
    return max((math.inf if math.isnan(v) else v for v in found), default=0.0)


def identify_model(
    model: Any,
    unknowns: Mapping[str, object],
    method: str = GaussNewton.name,
    *,
    noise: Any = None,
    level: float = 0.95,
    iterations: int | dict[str, int] | None = None,
    time_limit: float | None = None,
    callbacks: Sequence[Any] | None = None,
    loss_weights: Any = "compiled",
    method_options: dict | None = None,
    display_every: int | None = None,
    verbose: int = 1,
) -> Identification | None:
    """Train the user's own ``dde.Model`` as `train` does, and estimate the uncertainty of its unknowns.

    Args:
        model: as in `train`; its observations are the ``dde.icbc.PointSetBC`` of its data.
        unknowns: name -> ``dde.Variable``.
        noise: standard deviation of the observations: a number, or "PointSetBC_1", ... -> number; None estimates it.
        level: of the intervals.
        method, iterations, time_limit, callbacks, loss_weights, method_options, display_every, verbose: as in `train`.

    Returns:
        The `Identification`. ``model`` is trained, with its history.

    Raises:
        InputError, TrainingError: as `train`.
    """
    _check_level(level)
    unknowns = mapping("unknowns", unknowns)
    if not unknowns:
        raise InputError("unknowns: none given; a mapping from names to dde.Variable objects is needed")
    loop = prepare(
        model,
        method,
        iterations=iterations,
        time_limit=time_limit,
        callbacks=callbacks,
        unknowns=list(unknowns.values()),
        loss_weights=loss_weights,
        method_options=method_options,
        display_every=display_every,
        verbose=verbose,
    )
    names, objective = loop.objective.names, loop.objective
    conditions = dict(zip(names[len(names) - len(model.data.bcs) :], model.data.bcs, strict=True))
    view = types.SimpleNamespace(
        observations={n: c for n, c in conditions.items() if hasattr(c, "points")},
        unknowns=unknowns,
        true_unknowns={},
        start_values={name: value.item() for name, value in unknowns.items()},
        unknown_fields=(),
        term_names=names,
        dtype="float64" if model.data.train_x.dtype == np.float64 else "float32",
    )
    _check_amount(view)
    check_noise(noise, view)
    vectors = residual_vectors(objective.data, objective.net)
    frozen(unknowns, names, conditions, vectors, lambda: residual_vectors(objective.data, objective.net))
    loop.run()
    return analyse(view, loop.objective, loop.method, noise=noise, level=level)


def _check_level(level: float) -> None:
    if not 0 < number("level", level) < 1:
        raise InputError(f"level: {level!r} given; a number between 0 and 1, such as 0.95, is needed")


def _check_amount(problem: Any) -> None:
    observed = problem.observations
    if not observed:
        raise InputError(
            "conditions: no observations to identify from; add a dde.icbc.PointSetBC, or give a file with data"
        )
    count = sum(len(c.points) for c in observed.values())
    if count < len(problem.unknowns):
        raise InputError(
            f"conditions: {count} observation(s) for {len(problem.unknowns)} unknowns; at least as many are needed"
        )


def _plain(deviations: Any, problem: Problem) -> Any:
    """The deviations by observation as plain numbers and lists, as a run directory stores them."""
    if deviations is None:
        return None
    values = ([float(d[0])] if (d == d[0]).all() else d.tolist() for d in deviations)
    return {name: v[0] if len(v) == 1 else v for name, v in zip(problem.observations, values, strict=True)}
