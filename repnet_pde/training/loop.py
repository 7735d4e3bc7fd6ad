"""The training loop: stages of methods, history, checkpoints, time limit, Ctrl-C."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import limits
from ..backend import random_state, set_random_state
from ..discretization.features import Features
from ..discretization.objective import Objective
from ..files import write_checkpoint
from ..methods import METHODS, Method
from ..networks import RepNet
from ..threads import large

RECORDS = 100
"""Approximate number of history entries per stage."""
UNLIMITED = 1_000_000
"""Iteration numbers from this on are only an upper bound; the spacing of the records is then 5 % of the iteration."""
CHECKPOINT_SECONDS = 15.0
"""Default number of seconds between two checkpoints."""

LONG = 0.5
"""Seconds of an iteration from which the next one may be given up half-done."""
KEPT_SECONDS = 1.0
"""Seconds between two copies of the state, which an exception goes back to."""

KILLED = "not ended"


class Training:
    """The complete state of a training; a run continued from it is bitwise reproducible.

    Args:
        objective: the loss on the network and the unknowns.
        stages: (method, iterations, options) in order, as `methods.sequence` returns them.
        unknowns: name -> ``dde.Variable``.
        error: function without arguments: the current relative L2 error, or None if there is nothing to compare with;
            one with its own state has ``state_dict`` and ``load_state_dict``.
        enough: stopping criterion, a function without arguments: why a stage should end, or None. Called after each
            evaluation of the error.
    """

    def __init__(
        self,
        objective: Objective,
        stages: Sequence[tuple[str, int, dict]],
        unknowns: Mapping[str, torch.Tensor],
        error: Callable[[], float | None],
        enough: Callable[[], str | None] | None = None,
    ):
        self.objective, self.stages, self.unknowns, self.error = objective, list(stages), dict(unknowns), error
        self.enough = enough
        self.done: str | None = None
        self.stage = 0
        self.finished_iterations: list[int] = []
        self.reasons: list[str] = []
        self.seconds = 0.0
        self.last_error: float | None = None
        self.stopped = KILLED
        self.attempt = 0
        """Number of runs in the same directory that this one replaces."""
        self._kept: dict | None = None
        """The state before one of the last iterations of this stage, made at `_kept_at`."""
        self._kept_at = -math.inf
        self._long = True
        """Whether the next iteration may take long."""
        self._entries = 0 if Features.known(objective.net) else objective.entries
        """Of the largest array in an evaluation of a deep network; the methods for one layer know their own."""
        self.history: dict[str, list] = {
            key: [] for key in ("iteration", "seconds", "method", "loss", "terms", "weights", "relative_l2", "unknowns")
        }
        net = objective.net
        self.first_layer = (
            {k: v.clone() for k, v in net.first.state_dict().items()} if isinstance(net, RepNet) else None
        )
        for name, iterations, options in self.stages:
            METHODS[name](objective, iterations, **options)  # invalid options are rejected before any training
        self.method = self._method(self.stage)
        self.ended: Method | None = None
        """The method of the last completed stage."""

    def _method(self, stage: int) -> Method | None:
        if stage == len(self.stages):
            return None
        name, iterations, options = self.stages[stage]
        return METHODS[name](self.objective, iterations, **options)

    @property
    def finished(self) -> bool:
        """Whether all stages have ended, which does not imply convergence."""
        return self.method is None

    @property
    def verifying(self) -> bool:
        """Whether the solution is complete, and the method is computing a second one to verify it."""
        return getattr(self.method, "verifying", False)

    @property
    def iteration(self) -> int:
        """Number of iterations done in all stages."""
        return sum(self.finished_iterations) + (self.method.iteration if self.method else 0)

    def run(self, *, checkpoint: Path | None = None, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> str:
        """Train until all stages have ended, or the time limit, or Ctrl-C. Returns why it stopped.

        A checkpoint is written from time to time, at the end of a stage, and however this call ends: after an exception
        that of a whole iteration at most `KEPT_SECONDS` before.
        """
        begun = saved = time.monotonic()
        before = self.seconds

        def save() -> None:
            nonlocal saved
            self.seconds = before + time.monotonic() - begun
            if checkpoint is not None:
                write_checkpoint(checkpoint, self.state_dict())
            saved = time.monotonic()

        self.stopped, self._kept, self._long, ended = KILLED, None, True, None
        try:
            while ended is None and self.method is not None:
                if self.method.stopped is not None or self.done is not None:  # a completed stage is not interrupted
                    self._next_stage()
                    save()
                    continue
                ended = limits.current().ended or self._step()
                self.seconds = before + time.monotonic() - begun
                if ended is None and time.monotonic() - saved > checkpoint_seconds:
                    save()
        except BaseException:
            if self._kept is not None:
                self.load_state_dict(self._kept)
            save()
            raise
        self.stopped = ended or self.reasons[-1]
        save()
        return self.stopped

    def _step(self) -> str | None:
        """One step, with its record. One after a long one may be given up and undone, where the time ends or after
        Ctrl-C: that gives the reason."""
        assert self.method is not None
        begun = time.monotonic()
        if self._long or self._kept is None or begun - self._kept_at > KEPT_SECONDS:
            self._kept, self._kept_at = copy.deepcopy(self.state_dict()), begun
        try:
            with limits.endable() if self._long else limits.whole(), large(self._entries):
                self.method.step()
        except limits.Ended as ended:
            self.load_state_dict(self._kept)
            return ended.reason
        self._long = time.monotonic() - begun > LONG
        self._record_when_due()
        self._report()
        return None

    def _report(self) -> None:
        assert self.method is not None
        name, _, _ = self.stages[self.stage]
        total = sum(count for _, count, _ in self.stages) if self.method.counted else None
        loss = float(self.objective.weights @ self.objective.terms)
        standing = getattr(self.method, "standing", None)
        limits.current().report.update(name, self.iteration, total, loss, self.last_error, standing)

    def _next_stage(self) -> None:
        assert self.method is not None  # the completed one
        name, _, _ = self.stages[self.stage]
        reason, self.done = self.done or self.method.stopped, None
        self.reasons.append(f"{name}: {reason} ({self.method.iteration} iterations)")
        self.finished_iterations.append(self.method.iteration)
        self.stage, self._kept, self._long = self.stage + 1, None, True
        self.ended, self.method = self.method, self._method(self.stage)

    def _record_when_due(self) -> None:
        """Record depending on the iteration only, so that stops and resumes do not affect the history."""
        assert self.method is not None
        _, iterations, _ = self.stages[self.stage]
        every = max(1, iterations // RECORDS if iterations < UNLIMITED else self.iteration // 20)
        last = self.history["iteration"][-1] if self.history["iteration"] else -1
        due = last < 0 or self.iteration // every > last // every or self.method.stopped is not None
        if not due or self.iteration == last:
            return
        self.last_error = self.error()
        self.done = None if self.enough is None else self.enough()
        terms, weights = self.objective.terms.tolist(), self.objective.weights.tolist()
        entry = {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "method": self.stages[self.stage][0],
            "loss": sum(w * t for w, t in zip(weights, terms, strict=True)),
            "terms": terms,
            "weights": weights,
            "relative_l2": self.last_error,
            "unknowns": [v.item() for v in self.unknowns.values()],
        }
        for key, value in entry.items():
            self.history[key].append(value)

    def state_dict(self) -> dict:
        return {
            "progress": {
                "stage": self.stage,
                "finished_iterations": self.finished_iterations,
                "reasons": self.reasons,
                "seconds": self.seconds,
                "last_error": self.last_error,
                "stopped": self.stopped,
                "attempt": self.attempt,
            },
            "network": self.objective.net.state_dict(),
            "unknowns": {name: v.detach().clone() for name, v in self.unknowns.items()},
            "weights": self.objective.weights,
            "terms": self.objective.terms,
            "method": None if self.method is None else self.method.state_dict(),
            "ended": None if self.ended is None else self.ended.state_dict(),
            "history": self.history,
            "error": self.error.state_dict() if hasattr(self.error, "state_dict") else None,
            "done": self.done,
            "first_layer": self.first_layer,
            "points": torch.from_numpy(self.objective.data.train_x),
            "fingerprint": self.objective.fingerprint,
            "random": random_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from ``state``. KeyError, RuntimeError or ValueError where it belongs to another run."""
        points = self.objective.data.train_x
        if state["points"].shape != points.shape or not (state["points"].numpy() == points).all():
            raise ValueError("its collocation points are not those of this problem, seed and version")
        if state["fingerprint"] != self.objective.fingerprint:
            raise ValueError("its samples or settings are not those of this run")
        progress = state["progress"]
        self.stage, self.finished_iterations = progress["stage"], list(progress["finished_iterations"])
        self.reasons, self.seconds = list(progress["reasons"]), progress["seconds"]
        self.last_error = progress["last_error"]
        self.objective.net.load_state_dict(state["network"])
        with torch.no_grad():
            for name, value in self.unknowns.items():
                value.copy_(state["unknowns"][name])
        self.objective.weights, self.objective.terms = state["weights"], state["terms"]
        self.method = self._method(self.stage)
        if self.method is not None:
            self.method.load_state_dict(state["method"])
        if state["ended"] is not None:
            self.ended = self._method(self.stage - 1)
            if self.ended is None:
                raise ValueError("its stages are not those of this run")
            self.ended.load_state_dict(state["ended"])
        self.history, self.first_layer, self.done = state["history"], state["first_layer"], state["done"]
        error: Any = self.error
        if state["error"] is not None:
            error.load_state_dict(state["error"])
        set_random_state(state["random"])
