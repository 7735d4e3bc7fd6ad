"""A run: a plan with its training and comparison target, ready to execute."""

import platform
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import limits
from ..backend import dde, seeded
from ..checking import accuracy
from ..checking.status import NOT_CONVERGED, Verification, of_equations, verify
from ..discretization.jets import some
from ..discretization.objective import Objective
from ..errors import InputError, MemoryLimitError
from ..files import CHECKPOINT, remove_temporaries
from ..inverse.estimates import analyse
from ..inverse.identification import Identification
from ..memory import peak
from ..methods.least_squares import LeastSquares
from ..networks.registry import CUSTOM, NETWORKS, build_network
from ..planning.independent import Independent, check
from ..planning.plan import Plan
from ..problem.points import collocation
from ..problem.problem import Problem
from ..training.loop import CHECKPOINT_SECONDS, Training
from ..version import __version__
from .result import Result


@dataclass(frozen=True)
class Storing:
    """Where a run is stored, or None, and the seconds between two checkpoints."""

    out: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS


MUCH_FEWER = 0.6
"""Fraction of the basis functions up to which a coarse network is worthwhile."""


class Run:
    """A `Plan` with its objective and training, ready to execute."""

    def __init__(self, plan: Plan):
        self.plan, self.problem, self.settings = plan, plan.problem, plan.settings
        self.notes: list[str] = plan.settings.notes
        self.wavenumber, self.net, self.data = plan.wavenumber, plan.net, plan.data
        self.target = accuracy.Target(self.problem, self.problem.points(self.wavenumber).test)
        self.notes += [self.target.note] if self.target.note else []
        reference = self.target.reference
        if reference is not None and not reference.converged:
            self._warn(
                f"the reference {reference.name!r} has not converged (estimated relative L2 error "
                f"{reference.relative_l2_estimate:.1e}): errors against it mean little"
            )
        unknowns, settings = self.problem.unknowns, self.settings
        self.objective = Objective(
            self.data, self.net, list(unknowns.values()), self.problem.term_names, settings.loss_weights, self.problem
        )
        named = settings.network != CUSTOM
        self.piecewise = named and NETWORKS[settings.network].pieces
        if plan.solved is None and not self.piecewise:  # else it has no parameters yet
            with limits.whole():
                _trains(self.objective)
        if plan.first.has_twin and named:
            self.objective.twin = self._twin
        self.training = Training(self.objective, settings.stages, unknowns, lambda: self.target.quick_error(self.net))
        self.training.seconds, self.training.attempt = plan.seconds, settings.attempt
        if plan.solved is not None:
            method = self.training.method
            assert isinstance(method, LeastSquares)  # the only one that searches
            with limits.whole():
                method.accept(plan.solved.outcome)

    def _twin(self, coarse: bool = False) -> Objective | None:
        """The same with other basis functions and other points; if ``coarse``, with fewer, or None if they would not be
        much fewer or the user has chosen them."""
        problem, settings, wavenumber = self.problem, self.settings, self.wavenumber
        options = settings.network_options
        if coarse:
            full, options = options, self.plan.first.coarse_options(problem, wavenumber)
            if self.plan.chosen or options["layers"][0] > MUCH_FEWER * full["layers"][0]:
                return None
        with seeded(settings.seed + 1):
            net = build_network(problem, settings.network, options, wavenumber)
            data = collocation(problem, **self.plan.first.points(problem, net, wavenumber))
        unknowns = list(problem.unknowns.values())
        return Objective(data, net, unknowns, problem.term_names, settings.loss_weights, problem)

    def _warn(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
        warnings.warn(text, stacklevel=4)

    def load(self, directory: Path, state: dict) -> None:
        try:
            self.training.load_state_dict(state)
        except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{directory / CHECKPOINT}: does not belong to this run or is damaged ({reason})"
            ) from error

    def execute(self, storing: Storing, state: dict | None = None) -> Result:
        """Train, check and measure; continue from ``state`` where there is one."""
        directory = storing.out
        if directory is not None:
            remove_temporaries(directory)
        with seeded(self.settings.seed):
            if state is not None:
                assert directory is not None  # where the state is from
                self.load(directory, state)
            stopped = self.training.run(
                checkpoint=None if directory is None else directory / CHECKPOINT,
                checkpoint_seconds=storing.checkpoint_seconds,
            )
            result = self.result(stopped)
        if directory is not None:
            result.save(directory)
        return result

    @property
    def short(self) -> str | None:
        """The covered time, in words, of a method on slabs that has not reached the final time; else None."""
        if getattr(self.net, "complete", True):
            return None
        return f"there is no solution beyond {self.net.standing}"

    def _verify(self, errors: accuracy.Errors) -> Verification:
        settings, training = self.settings, self.training
        limits.say("the check of the solution")
        own = hasattr(training.ended, "twin_distance")
        if settings.planned:
            second = Independent(settings.error_indicator, settings.loosest)
        elif training.finished and self.short is None:
            second = self._second(solve=not own)
        else:
            second = Independent()
        with limits.whole():
            found = verify(
                self.problem,
                self.net,
                None if self.piecewise else self.data,
                seed=settings.seed,
                wavenumber=self.wavenumber,
                indicator=getattr(training.ended, "twin_distance", None) if own else second.distance,
                loosest=second.loosest,
                finished=training.finished or training.verifying,
                errors=errors,
            )
        if self.short is None:
            return found
        return replace(found, status=NOT_CONVERGED, reason=self.short)

    def _second(self, solve: bool) -> Independent:
        """`independent.check`, if there is time."""
        try:
            with limits.endable():
                return check(self.problem, self.net, self.wavenumber, self.settings.seed + 1, solve=solve)
        except (MemoryLimitError, limits.Ended) as why:
            self.notes.append(f"no second solution to compare with: {why}")
            return Independent()

    def _analysis(self, relative: dict[str, float]) -> Identification | None:
        """`analyse`, if there is time."""
        limits.say("the uncertainty of the unknowns")
        settings = self.settings
        try:
            with limits.endable():
                return analyse(
                    self.problem,
                    self.objective,
                    self.training.ended,
                    noise=settings.noise,
                    level=settings.level,
                    relative=relative,
                )
        except limits.Ended as ended:
            self.notes.append(f"no intervals: {ended.reason}")
            return None

    def result(self, stopped: str) -> Result:
        problem, training, settings = self.problem, self.training, self.settings
        with limits.whole():
            errors = self.target.errors(self.net)
        check = self._verify(errors)
        identification = self._analysis(of_equations(check.relative, problem)) if training.finished else None
        notes = list(self.notes)
        if self.short is not None:
            notes.append(f"{self.short}: it is NaN there, and errors are measured up to that time")
        return Result(
            problem=problem,
            net=self.net,
            network=settings.network,
            network_options=settings.network_options,
            method=settings.method,
            seed=settings.seed,
            dtype=settings.dtype,
            errors=errors,
            reference=self.target.reference,
            reference_errors=self.target.reference_errors(self.net),
            check=check,
            history=_by_name(training.history, problem),
            unknowns={name: value.item() for name, value in problem.unknowns.items()},
            iterations=training.iteration,
            stopped=stopped,
            finished=training.finished and self.short is None,
            resumable=not training.finished,
            reached=getattr(self.net, "reached", None),
            wall_seconds=training.seconds,
            peak_memory=peak(),
            wavenumber=self.wavenumber,
            stages=training.reasons,
            notes=notes,
            first_layer=training.first_layer,
            data=self.data,
            versions=versions(),
            identification=identification,
            unmet=getattr(training.ended, "unmet", False),
        )


def _trains(objective: Objective) -> None:
    """Check before training, at some of the points, that every term depends on the parameters of this network."""
    for name, term in zip(objective.names, objective.mean_squares_at(some(objective.data)), strict=True):
        grads = (
            torch.autograd.grad(term, objective.parameters, retain_graph=True, allow_unused=True)
            if term.requires_grad
            else []
        )
        if not torch.isfinite(term):
            raise InputError(f"network: the term {name!r} is {term.item()} at the start; give other network_options")
        if not any(g is not None and g.any() for g in grads) and term > 0:
            raise InputError(f"network: the term {name!r} does not change with any of its parameters; choose another")
    dde.grad.clear()


def _by_name(history: dict, problem: Problem) -> dict:
    """The history's lists as arrays, those of terms, weights and unknowns by name."""
    result: dict[str, Any] = {key: np.asarray(history[key]) for key in ("iteration", "seconds", "method", "loss")}
    result["relative_l2"] = np.asarray([np.nan if e is None else e for e in history["relative_l2"]], dtype=float)
    for key, names in (("terms", problem.term_names), ("weights", problem.term_names), ("unknowns", problem.unknowns)):
        table = np.asarray(history[key], dtype=float).reshape(len(result["loss"]), len(names))
        result[key] = {name: table[:, i] for i, name in enumerate(names)}
    return result


def versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    names = ("torch", "deepxde", "numpy", "scipy")
    return {"repnet-pde": __version__, "python": platform.python_version(), **{n: version(n) for n in names}}
