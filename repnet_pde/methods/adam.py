"""Adam with a cosine decay of the learning rate."""

import math
import time

import torch

from ..arguments import seconds as check_seconds
from ..arguments import whole
from ..discretization.objective import EVERY, Objective
from ..errors import InputError
from .method import Method


class Adam(Method):
    """Adam (D. P. Kingma, J. Ba, arXiv:1412.6980) whose learning rate falls to zero along half a cosine.

    Args:
        objective: the loss.
        iterations: the whole number of iterations, over which the rate falls.
        learning_rate: at the start.
        batch_size: samples drawn at random for each iteration, where samples of a function are fitted; None takes all.
        seconds: of its iterations, after which it ends if they are fewer than ``iterations`` takes; the rate falls over
            whichever is over first. Such runs depend on the machine's speed.
    """

    name = "adam"
    title = "Adam with a cosine decay of the learning rate"
    counted = True
    default_iterations = 10_000
    layers = (128, 64, 64)
    needs_float64 = False
    any_network = True
    recorded_every = 1000

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        learning_rate: float = 1e-3,
        batch_size: int | None = None,
        seconds: float | None = None,
    ):
        if not (isinstance(learning_rate, (int, float)) and math.isfinite(learning_rate) and learning_rate > 0):
            raise InputError(f"learning_rate: {learning_rate!r} given; a number > 0 is needed")
        whole("batch_size", batch_size, 1)
        if batch_size is not None and not hasattr(objective, "batch"):
            raise InputError("batch_size: only where samples of a function are fitted (repnet_pde.fit)")
        check_seconds("seconds", seconds)
        self.batch_size, self.seconds, self.elapsed = batch_size, seconds, 0.0
        self.objective, self.iterations, self.learning_rate = objective, iterations, learning_rate
        self.iteration = 0
        self.optimizer = self._start()

    def _start(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.objective.parameters, lr=self.learning_rate)

    @property
    def stopped(self) -> str | None:
        if self.iteration >= self.iterations:
            return "all iterations done"
        return "its seconds are over" if self.done >= 1 else None

    @property
    def done(self) -> float:
        """The part of its iterations or seconds that is over."""
        part = self.iteration / max(self.iterations, 1)
        return part if self.seconds is None else max(part, self.elapsed / self.seconds)

    def step(self) -> None:
        begun = time.monotonic()
        if self.iteration % EVERY == 0:
            self.objective.balance(first=self.iteration == 0)
        (group,) = self.optimizer.param_groups
        group["lr"] = self.learning_rate * 0.5 * (1 + math.cos(math.pi * self.done))
        if self.batch_size is not None:
            self.objective.batch = self.batch_size
        try:
            loss = self.objective.gradient()
        finally:
            if self.batch_size is not None:
                self.objective.batch = None
        if not torch.isfinite(loss):
            raise self.objective.describe_failure(self.iteration)
        self.optimizer.step()
        self.iteration += 1
        self.elapsed += time.monotonic() - begun

    def state_dict(self) -> dict:
        clock = {} if self.seconds is None else {"elapsed": self.elapsed}
        return clock | {"iteration": self.iteration, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self.elapsed = state["iteration"], state.get("elapsed", 0.0)
        self.optimizer.load_state_dict(state["optimizer"])
