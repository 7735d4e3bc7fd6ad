"""Transformation of unknown numbers with bounds and positivity; the noise of the data."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..arguments import mapping, number
from ..errors import InputError, choose
from ..problem.problem import Problem
from ..problem.values import fill
from .diagnostics import copies, values_of

NEAR = 1e-6
"""Minimum distance of a start value from its bounds, as a fraction of the interval between them."""


class Scales:
    """v = g(η) for each unknown, with η unbounded: v itself, lower + exp η, upper − exp η, or a logistic between both.

    Args:
        unknowns: name -> ``dde.Variable``.
        bounds: name -> (lower, upper), each a number or None.
        positive: names of unknowns that are positive; equivalent to bounds (0, None).

    Raises:
        InputError: an unknown name, bounds that are no interval, or a start value outside of them.
    """

    def __init__(self, unknowns: Mapping[str, torch.Tensor], bounds: object = None, positive: Sequence[str] = ()):
        self.names, self.variables = list(unknowns), list(unknowns.values())
        table = check_bounds(self.names, bounds, positive)
        self.bounds = [table.get(name, (-math.inf, math.inf)) for name in self.names]
        for name, variable, (low, high) in zip(self.names, self.variables, self.bounds, strict=True):
            value = variable.item()
            if not low < value < high:
                raise InputError(
                    f"unknowns[{name!r}]: starts at {value:g}, which is not between its bounds {low:g} and {high:g}"
                )

    def values(self) -> list[float]:
        """The exact values of the variables; `get` and `set` cause rounding errors."""
        return [variable.item() for variable in self.variables]

    def restore(self, values: Sequence[float]) -> None:
        """Set the variables to the values that `values` returned."""
        fill(self.variables, values)

    def internal(self, name: str, value: float) -> float:
        """η for a value v, which is moved away from the bounds if necessary."""
        low, high = self.bounds[self.names.index(name)]
        if math.isfinite(low) and math.isfinite(high):
            share = min(max((value - low) / (high - low), NEAR), 1 - NEAR)
            return math.log(share / (1 - share))
        if math.isfinite(low):
            return math.log(max(value - low, 1e-300))
        return math.log(max(high - value, 1e-300)) if math.isfinite(high) else value

    def value(self, i: int, eta: float) -> float:
        """v for η of the i-th unknown."""
        low, high = self.bounds[i]
        if math.isfinite(low) and math.isfinite(high):
            value = low + (high - low) / (1 + math.exp(-min(max(eta, -700.0), 700.0)))
            return min(max(value, low), high)  # which rounding can violate
        if math.isfinite(low):
            return low + math.exp(min(eta, 700.0))
        return high - math.exp(min(eta, 700.0)) if math.isfinite(high) else eta

    def slope(self, i: int, eta: float) -> float:
        """dv/dη."""
        low, high = self.bounds[i]
        value = self.value(i, eta)
        if math.isfinite(low) and math.isfinite(high):
            return (value - low) * (high - value) / (high - low)
        if math.isfinite(low):
            return value - low
        return value - high if math.isfinite(high) else 1.0

    def get(self) -> torch.Tensor:
        """η (q,) of the variables' values."""
        return self.internals(self.values())

    def internals(self, values: Sequence[float]) -> torch.Tensor:
        """η (q,) of values of the unknowns, in their order."""
        etas = [self.internal(n, v) for n, v in zip(self.names, values, strict=True)]
        return torch.tensor(etas, dtype=torch.float64)

    @torch.no_grad()
    def set(self, eta: torch.Tensor) -> None:
        """Give the variables their values at η (q,)."""
        for i, variable in enumerate(self.variables):
            variable.fill_(self.value(i, eta[i].item()))

    def slopes(self, eta: torch.Tensor) -> torch.Tensor:
        """dv/dη (q,)."""
        return torch.tensor([self.slope(i, e.item()) for i, e in enumerate(eta)], dtype=torch.float64)


def check_bounds(names: Collection[str], bounds: object, positive: Any) -> dict[str, tuple[float, float]]:
    """name -> (lower, upper) with infinities where there is none."""
    table = {}
    for name, pair in mapping("bounds", bounds).items():
        choose("bounds", name, names)
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputError(f"bounds[{name!r}]: {pair!r} given; a pair (lower, upper) is needed, None for no bound")
        low, high = (
            default if end is None or end == default else number(f"bounds[{name!r}]", end)
            for end, default in zip(pair, (-math.inf, math.inf), strict=True)
        )
        if not low < high:
            raise InputError(f"bounds[{name!r}]: {pair!r} given; the lower bound must be below the upper")
        table[name] = (low, high)
    if isinstance(positive, str) or not isinstance(positive, Sequence):
        raise InputError(f"positive: {positive!r} given; a list of names of unknowns is needed")
    for name in positive:
        choose("positive", name, names)
        low, high = table.get(name, (-math.inf, math.inf))
        if high <= 0:
            raise InputError(f"positive: {name!r} has the upper bound {high:g}")
        table[name] = (max(low, 0.0), high)
    return table


LOSSES = ("squares", "huber")
BEND = 1.345
"""Residual, in standard deviations, from which Huber's loss grows linearly: 95 % efficiency for normal errors."""


def check_loss(loss: str) -> str:
    """The name of a loss of the observations."""
    choose("loss", loss, LOSSES)
    return loss


def huber_weights(residuals: torch.Tensor, deviation: torch.Tensor | float) -> torch.Tensor:
    """ψ(r)/r (n,) of Huber's loss for residuals r (n,) with a standard deviation (P. J. Huber, Ann. Math. Statist. 35
    (1964) 73-101)."""
    return torch.clamp(BEND * deviation / residuals.abs().clamp_min(1e-300), max=1.0)


def huber_inflation(residuals: torch.Tensor, copies: torch.Tensor, dof: float) -> float:
    """Ratio of the standard deviation of Huber's estimate to that of least squares for unit noise.

    √(Σ ψ² / dof) / mean ψ′ · (1 + p/n (1 − mean ψ′) / mean ψ′) (P. J. Huber, Ann. Statist. 1 (1973) 799-821).

    Args:
        residuals: over their standard deviation (n,). copies: weights (n,) of the data because of copies.
        dof: degrees of freedom.
    """
    sizes, count = residuals.abs(), copies.sum().item()
    squares = (copies * sizes.clamp(max=BEND).square()).sum().item()
    inner = max((copies * (sizes < BEND)).sum().item() / count, 1e-3)
    taken = max(count - dof, 0.0) / count
    return math.sqrt(squares / max(dof, 0.5)) / inner * (1 + taken * (1 - inner) / inner)


def weights_of_copies(problem: Problem) -> list[torch.Tensor]:
    """Weight 1/m for each datum that occurs m times (same point and same value), by observation: copies count as one
    datum, since exactly equal errors are hardly independent."""
    conditions = problem.observations.values()
    return [torch.as_tensor(1.0 / copies(np.asarray(c.points), values_of(c))) for c in conditions]


RATIO = 1e-6
"""Lower bound for the ratio of the smallest to the largest estimated standard deviation of the observations."""


def first_deviations(problem: Problem) -> list[torch.Tensor]:
    """For each datum, by observation, the root mean square of the observed values, until the noise is estimated."""
    values = [torch.as_tensor(c.values).detach().double() for c in problem.observations.values()]
    sizes = [max(v.square().mean().sqrt().item(), 1e-300) for v in values]
    return equal_deviations(sizes, [len(c.points) for c in problem.observations.values()])


def equal_deviations(sizes: Sequence[float], counts: Sequence[int]) -> list[torch.Tensor]:
    """One standard deviation per observation, repeated for each datum; bounded from below relative to the others."""
    least = max(RATIO * max(sizes), 1e-300)
    pairs = zip(sizes, counts, strict=True)
    return [torch.full((count,), max(size, least), dtype=torch.float64) for size, count in pairs]


def check_noise(noise: Any, problem: Any) -> list[torch.Tensor] | None:
    """A standard deviation for each datum, by observation; None if they are to be estimated."""
    if noise is None:
        return None
    observed = problem.observations
    if not isinstance(noise, Mapping):
        noise = dict.fromkeys(observed, noise)
    for name in mapping("noise", noise):
        choose("noise", name, observed)
    missing = [name for name in observed if name not in noise]
    if missing:
        raise InputError(f"noise: nothing given for {', '.join(missing)}")
    result = []
    for name, condition in observed.items():
        value, count = noise[name], len(condition.points)
        try:
            array = np.asarray(value, dtype=float) if np.ndim(value) else np.full(count, number("noise", value))
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (count,) or not (np.isfinite(array).all() and (array > 0).all()):
            raise InputError(
                f"noise[{name!r}]: {value!r} given; a standard deviation > 0, or an array of {count} of them, is needed"
            )
        result.append(torch.as_tensor(array))
    return result
