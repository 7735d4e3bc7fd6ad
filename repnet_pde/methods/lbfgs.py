"""L-BFGS with a strong Wolfe line search, in short chunks."""

import torch

from ..arguments import whole
from ..discretization.objective import Objective
from ..discretization.parameters import restore
from ..errors import InputError
from .method import Method

CHUNK = 10
"""Iterations between two looks at the clock, the keyboard and the history."""
START = 1e4
"""The loss is scaled to this whenever the memory is empty: torch drops pairs with s·y below an absolute 1e-10."""


class LBFGS(Method):
    """Limited-memory BFGS (D. C. Liu, J. Nocedal, Math. Program. 45 (1989) 503-528), as in ``torch.optim.LBFGS``.

    It ends by itself when the gradient vanishes or when the loss no longer falls even from a fresh start of its
    memory. Weights of the loss are not rebalanced meanwhile: that would change the function that it minimises.

    Args:
        objective: the loss.
        iterations: at most so many.
        memory: how many pairs of steps and gradients are kept.
    """

    name = "lbfgs"
    title = "limited-memory BFGS"
    default_iterations = 3_000
    layers = (128, 64, 64)
    needs_float64 = False
    any_network = True
    recorded_every = 100

    def __init__(self, objective: Objective, iterations: int, *, memory: int = 50):
        if memory is None:
            raise InputError("memory: None given; a whole number >= 1 is needed")
        whole("memory", memory, 1)
        self.objective, self.iterations = objective, iterations
        self.iteration = 0
        self._reason: str | None = None
        self._fresh = True
        self._memory = memory
        self._scale: float | None = None
        self._known: torch.Tensor | None = None
        """The loss, where its gradient at the parameters as they are has just been computed."""
        self.optimizer = self._start()

    def _start(self) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(
            self.objective.parameters,
            max_iter=CHUNK,
            max_eval=10 * CHUNK,
            history_size=self._memory,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def step(self) -> None:
        objective = self.objective
        if self.iteration == 0 and bool((objective.weights == 1).all()):
            objective.balance(first=True)
        before = [p.detach().clone() for p in objective.parameters]
        first = self._known = objective.gradient() if self._known is None else self._known
        if not torch.isfinite(first):
            raise objective.describe_failure(self.iteration)
        if first == 0 or not any(p.grad is not None and p.grad.any() for p in objective.parameters):
            self._reason = "the gradient is zero"
            return
        if self._scale is None:
            self._scale = START / first.item()
        (group,) = self.optimizer.param_groups
        group["max_iter"] = min(CHUNK, self.iterations - self.iteration)
        done = self._count()
        self.optimizer.step(self._scaled)
        loss = objective.gradient()
        self.iteration += max(self._count() - done, 0)
        if not loss <= first:  # also where it is NaN
            restore(objective.parameters, before)
            loss = objective.gradient()
        self._known = loss
        if loss < first:
            self._fresh = False
        elif self._fresh:
            self._reason = "stalled: the line search finds no lower loss"
        else:
            # Once rounding has spoiled the memory, a fresh one may still find a way down.
            self.optimizer, self._fresh, self._scale = self._start(), True, None

    def _scaled(self) -> torch.Tensor:
        assert self._scale is not None  # `step` has chosen it
        loss, self._known = self.objective.gradient() if self._known is None else self._known, None
        loss = loss * self._scale
        for parameter in self.objective.parameters:
            if parameter.grad is not None:
                parameter.grad *= self._scale
        return loss

    def _count(self) -> int:
        return self.optimizer.state[self.optimizer._params[0]].get("n_iter", 0)

    def state_dict(self) -> dict:
        return {
            "iteration": self.iteration,
            "reason": self._reason,
            "fresh": self._fresh,
            "scale": self._scale,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self._reason = state["iteration"], state["reason"]
        self._fresh, self._scale = state["fresh"], state["scale"]
        self.optimizer.load_state_dict(state["optimizer"])
