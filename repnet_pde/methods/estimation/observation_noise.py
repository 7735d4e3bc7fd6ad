"""The noise of the observations in a fit of the unknowns alone: deviations, weights, and what follows for these."""

import math
from typing import Any

import torch

from ...inverse.diagnostics import robust_deviation
from ...inverse.unknowns import (
    check_loss,
    check_noise,
    equal_deviations,
    first_deviations,
    huber_inflation,
    huber_weights,
    weights_of_copies,
)
from ...linalg.reduced import Layout, Posterior, Reduced
from ...problem.problem import Problem
from .rows import SETTLED


class ObservationNoise:
    """Standard deviations of the observations, given or estimated, and the weights of a robust loss.

    Args:
        problem: with observations. noise, loss: as for `Joint`.
    """

    def __init__(self, problem: Problem, noise: Any, loss: str):
        self.problem = problem
        self.known = check_noise(noise, problem)
        self.deviations = self.known or first_deviations(problem)
        self.robust = check_loss(loss) == "huber"
        self.alone = weights_of_copies(problem)
        self.weights = self.alone
        """Of the data, by observation: 1/m for each of m copies, times those of a robust loss."""

    def merit(self, residuals: list[torch.Tensor]) -> float:
        """The weighted sum of squares of residuals, each (n,), over their deviations."""
        trios = zip(residuals, self.weights, self.deviations, strict=True)
        return sum((w * (r / d).square()).sum().item() for r, w, d in trios)

    def weighted(
        self, residuals: list[torch.Tensor], slopes: torch.Tensor, weights: list[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The derivatives (n, q) and the residuals (n,), each over its standard deviation, with its weight."""
        deviations = torch.cat(self.deviations) / torch.cat(weights or self.weights).sqrt()
        return slopes / deviations[:, None], torch.cat(residuals) / deviations

    def estimate(self, residuals: list[torch.Tensor], unknowns: int) -> None:
        """Deviations of the observations from their own residuals: of several, or for a robust loss."""
        if self.known is not None or (len(residuals) == 1 and not self.robust):
            return
        found = []
        for r, alone in zip(residuals, self.alone, strict=True):
            count = alone.sum().item()
            if self.robust:
                found.append(robust_deviation(r.numpy(), max(count - unknowns, 1.0)))
            else:
                found.append(math.sqrt((alone * r.square()).sum().item() / count))
        self.deviations = equal_deviations(found, [len(r) for r in residuals])

    def reweigh(self, residuals: list[torch.Tensor]) -> bool:
        """Set the weights of a robust loss from the residuals; whether they have changed."""
        if not self.robust:
            return False
        before, trios = self.weights, zip(residuals, self.alone, self.deviations, strict=True)
        self.weights = [alone * huber_weights(r, d) for r, alone, d in trios]
        return any((a - b).abs().max().item() > SETTLED for a, b in zip(self.weights, before, strict=True))

    def posterior(self, residuals: list[torch.Tensor], slopes: torch.Tensor) -> Posterior:
        """`reduced.Posterior` of the unknowns.

        Args:
            residuals: of the observations, each (n,), at the estimate.
            slopes: their derivatives (n, q) for the unknowns on their internal scale, stacked.
        """
        rows, left = self.weighted(residuals, slopes, self.alone)
        q = rows.shape[1]
        layout = Layout(torch.arange(0), torch.arange(0), left.new_zeros(0), q)
        reduced = Reduced(rows[:0], rows, -left, layout)
        alone = torch.cat(self.alone)
        found = reduced.posterior(0.0, left, None if self.known is None else 1.0, alone.sum().item())
        if self.robust:
            sizes = torch.cat([r / d for r, d in zip(residuals, self.deviations, strict=True)])
            found.inflation = huber_inflation(sizes, alone, found.dof)
            found.sigma = found.estimated = found.inflation
        return found

    def factors(self) -> list[torch.Tensor | None]:
        """What the rows of each term are multiplied with: (n,) for an observation, else None."""
        factors: list[torch.Tensor | None] = [None] * len(self.problem.term_names)
        for name, deviation in zip(self.problem.observations, self.deviations, strict=True):
            factors[self.problem.term_names.index(name)] = 1 / deviation
        return factors

    def state_dict(self) -> dict:
        return {"deviations": self.deviations, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        self.deviations, self.weights = state["deviations"], state["weights"]
