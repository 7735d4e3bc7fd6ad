"""`plan`: the settings of a run for a problem and a request. It has no side effects, and can be printed."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from .. import limits
from ..analysis.wavenumbers import problem_wavenumber
from ..backend import on_cpu, precision, seeded
from ..discretization.objective import check_weights
from ..errors import InputError
from ..fitting.samples import of_problem as samples_of
from ..methods import METHODS, check_precision, network_for, sequence
from ..methods.least_squares import LeastSquares
from ..methods.method import Method
from ..methods.patching import Patching
from ..networks.registry import CUSTOM, build_network
from ..problem.checks import of_precision
from ..problem.points import collocation
from ..problem.problem import Problem
from ..problem.values import at_start
from .automatic import automatic_method
from .search import LARGE, search_basis, search_of_samples
from .settings import Request, Settings
from .trial import Candidate


@dataclass
class Plan:
    """The plan of a run.

    Attributes:
        problem: the `Problem`.
        settings: the method with its stages, the network with its options, and notes with the reasons.
        wavenumber: (d,) used for planning, radians per unit length.
        net: the network at the start of training.
        data: the ``dde.data.PDE`` with its collocation points.
        seconds: what planning took.
        solved: the best candidate, if first layers were searched.
        unreached: the same, if it does not approximate the solution.
        in_turn: whether `Patching` follows then.
        chosen: whether the user has set options of the network.
    """

    problem: Any
    settings: Settings
    wavenumber: tuple[float, ...]
    net: torch.nn.Module
    data: Any
    seconds: float = 0.0
    solved: Candidate | None = None
    in_turn: bool = False
    chosen: bool = False

    @property
    def first(self) -> type[Method]:
        """The method of the first stage."""
        return METHODS[self.settings.stages[0][0]]

    @property
    def unreached(self) -> Candidate | None:
        """The best candidate of the search, if it does not approximate the solution."""
        return self.solved if self.solved is not None and self.solved.held_out > LARGE else None

    @property
    def others(self) -> dict[str, str]:
        """Name of each method that cannot solve the problem -> why not."""
        return {method.name: why for method in METHODS.values() if (why := method.why_not(self.problem))}

    @property
    def points(self) -> dict[str, int]:
        """Numbers of collocation points: of the equations inside the domain, and of each condition."""
        own = dict(zip(self.problem.conditions, self.data.num_bcs, strict=True))
        rows = len(self.data.train_x) - sum(self.data.num_bcs)
        return own if self.problem.pde is None else {"equations": rows} | own

    def to_dict(self) -> dict:
        """Plain types for printing."""
        settings, network = self.settings, self.settings.network
        return {
            "problem": self.problem.name,
            "method": settings.method,
            "iterations": {name: count for name, count, _ in settings.stages},
            "network": network,
            "network_options": settings.network_options,
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "points": self.points,
            "wavenumber": list(self.wavenumber),
            "loss_weights": settings.loss_weights,
            "seed": settings.seed,
            "dtype": settings.dtype,
            "planning_seconds": self.seconds,
            "then": f"{Patching.name}, if that leaves less" if self.in_turn and self.unreached is not None else None,
            "reasons": list(settings.notes),
            "other_methods": self.others,
        }

    def rows(self) -> dict[str, str]:
        """`to_dict` in words: label -> text, without empty entries."""
        found = {}
        for name, value in self.to_dict().items():
            if isinstance(value, dict):
                between, joint = (": ", "\n") if name == "other_methods" else (" ", ", ")
                value = joint.join(f"{key}{between}{entry}" for key, entry in value.items())
            elif isinstance(value, list):
                value = "\n".join(value) if name == "reasons" else ", ".join(f"{v:.4g}" for v in value)
            elif isinstance(value, float):
                value = f"{value:.3g}"
            if value not in (None, ""):
                found[name.replace("_", " ")] = str(value)
        return found

    def __str__(self) -> str:
        return "\n".join(f"{label}: {text}" for label, text in self.rows().items())


@on_cpu()
def plan(problem: Problem, request: Request | None = None, **asked: Any) -> Plan:
    """What `solve` or `identify` will do with a problem, and why.

    For least squares this includes the search for the first layer, which solves the problem several times.

    Args:
        problem: a `Problem`.
        request: a `Request`, or ``asked``: its fields, such as ``method="joint"``.

    Raises:
        InputError: for anything that cannot be used.
    """
    request = Request(**asked) if request is None else request
    of_precision(problem, request.dtype)
    with limits.running(request.time_limit), precision(request.dtype), at_start(problem):
        notes, method, auto = list(request.notes), request.method, request.method == "auto"
        if auto:
            limits.say("planning: which method suits")
            method, note = automatic_method(problem, request.network, request.network_options)
            notes.append(f"auto: {note}")
        stages = sequence(method, request.iterations, request.method_options)
        check_precision(stages, request.dtype)
        first = METHODS[stages[0][0]]
        if problem.interfaces and not first.knows_interfaces:
            known = " and ".join(name for name, other in METHODS.items() if other.knows_interfaces)
            raise InputError(f"method: {first.name} given, but the problem has interfaces, which only {known} knows")
        name, options = network_for(first, request.network, request.network_options)
        settings = Settings(
            network=name,
            network_options=options,
            method=method,
            stages=stages,
            loss_weights=check_weights(request.loss_weights, problem.term_names),
            seed=request.seed,
            dtype=request.dtype,
            notes=notes,
            noise=request.noise,
            level=request.level,
            attempt=request.attempt,
        )
        # The automatic choice may fail to approximate the solution; another method then gets the remaining time.
        chosen = request.network is not None or bool(request.network_options)
        in_turn = auto and first is LeastSquares and not chosen and not Patching.why_not(problem)
        return completed(problem, request.network, settings, in_turn)


def completed(problem: Problem, network: Any, settings: Settings, in_turn: bool = False) -> Plan:
    """The plan of a run with these settings: open settings are filled in, network and points are created.

    Args:
        network: the user's own, where ``settings.network`` is `CUSTOM`.
        in_turn: whether another method may follow if least squares does not approximate the solution: it then takes
            less of the time.
    """
    begun = time.monotonic()
    first, custom = METHODS[settings.stages[0][0]], settings.network == CUSTOM
    known = problem_wavenumber(problem)
    wavenumber = known.values
    _add(settings.notes, known.note)
    chosen, solved = bool(settings.network_options) and not settings.planned, None
    if first.searches and not custom and not settings.planned:
        if samples_of(problem) is not None:
            found = search_of_samples(problem, settings.network, settings.network_options, settings.seed)
        else:
            found = search_basis(
                problem, settings.network, settings.network_options, known.data, settings.seed, in_turn
            )
        settings.network, settings.network_options, settings.planned = found.network, found.options, True
        settings.error_indicator, settings.loosest = found.independent.distance, found.independent.loosest
        settings.notes += found.notes
        solved = found.solved
        net, data = solved.net, solved.data
    else:
        if not custom:
            asked = settings.network_options
            settings.network_options = first.network_options(problem, asked, wavenumber)
            settings.planned = settings.planned or (first.has_twin and not asked)
        with seeded(settings.seed):
            start = first.start_wavenumber(problem, wavenumber)
            made = network if custom else settings.network
            net = build_network(problem, made, settings.network_options, start)
            data = collocation(problem, **first.points(problem, net, wavenumber))
    _add(settings.notes, getattr(net, "slope_note", None))
    return Plan(
        problem,
        settings,
        wavenumber,
        net,
        data,
        seconds=time.monotonic() - begun,
        solved=solved,
        in_turn=in_turn,
        chosen=chosen,
    )


def _add(notes: list[str], note: str | None) -> None:
    if note and note not in notes:
        notes.append(note)
