"""An `Experiment`: an equation with parameters, its observation points, and the information in these data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import expm
from scipy.optimize import least_squares

STATED, AS_OPERATOR, CACHED, FREE = "stated", "as operator", "cached", "free"
"""How an initial or boundary value is stated: as a number; by an OperatorBC, so that it may be unknown; by a function
of the points, which DeepXDE evaluates once, so that an unknown in it is frozen; not at all."""
EXACT, INTEGRATED = 1e-12, 1e-9
"""Relative errors of closed forms, with their conditioning, and of SciPy's solutions."""
SINGULAR = 1e-8
"""Singular value of the sensitivities, relative to the largest, that counts as 0: above the finite-difference error."""
PI = math.pi


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An equation with parameters (numbers), and the points at which its solution is observed.

    Attributes:
        numbers: name -> true value of all coefficients and values in conditions.
        unknown: names of those to be found.
        free: names of those that nothing states and that are no unknowns: the state that no condition fixes.
        observed: name of the observations -> (points (n, d), component).
        values: function of such numbers: observed values, a list of (n, 1).
        state: function of (a function without arguments that gives the numbers) -> keyword arguments of `Problem`. It
            is asked in each evaluation, so that products of variables are made anew.
        accuracy: relative error of ``values``.
    """

    numbers: Mapping[str, float]
    unknown: Sequence[str]
    free: Sequence[str] = ()
    observed: Mapping[str, tuple[np.ndarray, int]]
    values: Callable[[Mapping], list[np.ndarray]]
    state: Callable[[Callable[[], Mapping]], dict]
    accuracy: float = EXACT

    @property
    def count(self) -> int:
        return sum(len(points) for points, _ in self.observed.values())

    @property
    def truth(self) -> dict[str, float]:
        return {name: self.numbers[name] for name in self.unknown}

    def at(self, values: Sequence[float]) -> np.ndarray:
        """What is observed (n,), over the size of each observation, with other unknowns and free numbers."""
        found = self.values({**self.numbers, **dict(zip([*self.unknown, *self.free], values, strict=True))})
        return np.concatenate([v[:, 0] / s for v, s in zip(found, self.sizes(), strict=True)])

    def sizes(self) -> list[float]:
        """Root mean squares of the observed values."""
        return [float(np.sqrt(np.mean(v**2))) for v in self.values(self.numbers)]

    def sensitivity(self) -> np.ndarray:
        """Derivatives (n, q + free) of the values, over their sizes, for relative changes of the numbers, at the truth.

        Central differences of fourth order.
        """
        start = np.array([self.numbers[name] for name in (*self.unknown, *self.free)])
        step = 1e-3 if self.accuracy == EXACT else 1e-2

        def change(i, factor):
            moved = start.copy()
            moved[i] *= 1 + factor * step
            return self.at(moved)

        columns = [
            (8 * (change(i, 1) - change(i, -1)) - (change(i, 2) - change(i, -2))) / (12 * step)
            for i in range(len(start))
        ]
        return np.stack(columns, axis=1)

    def deviations(self) -> np.ndarray:
        """Relative standard errors (q,) of the unknowns (Cramer-Rao bound) for noise as large as the values."""
        inverse = np.linalg.pinv(self.sensitivity(), rcond=SINGULAR)
        return np.sqrt((inverse**2).sum(1))[: len(self.unknown)]

    def floors(self) -> np.ndarray:
        """Relative changes (q,) of the unknowns by errors of the size of ``accuracy`` in all values."""
        inverse = np.abs(np.linalg.pinv(self.sensitivity(), rcond=SINGULAR))
        return self.accuracy * inverse.sum(1)[: len(self.unknown)]

    def misfit(self, data: np.ndarray) -> float:
        """Root mean square of the residuals of the best fit to the data (n,), over the sizes of the true values.

        The smallest minimum from several starts; unknowns may take any value, on the scale of their true ones.
        """
        start = np.array([self.numbers[name] for name in (*self.unknown, *self.free)])
        best = math.inf
        for factor in (1.0, 0.3, 3.0, -1.0):
            with np.errstate(all="ignore"):
                found = least_squares(
                    lambda p: np.nan_to_num(self.at(p * start) - data, nan=1e6, posinf=1e6, neginf=-1e6),
                    np.full(len(start), factor),
                    x_scale=1.0,
                    max_nfev=60,
                )
            best = min(best, math.sqrt(2 * found.cost / len(data)))
        return best


def composed(experiment: Experiment, rule: Callable[[Mapping], dict], numbers: Mapping, unknown) -> Experiment:
    """With other numbers, of which those of ``experiment`` are made by ``rule``."""
    return replace(
        experiment,
        numbers=numbers,
        unknown=unknown,
        values=lambda c: experiment.values({**experiment.numbers, **rule(c)}),
        state=lambda get: experiment.state(lambda: {**experiment.numbers, **rule(get())}),
    )


def changed(experiment: Experiment, unknown=None, **numbers) -> Experiment:
    """With other values of some numbers, and other unknowns."""
    return replace(experiment, numbers={**experiment.numbers, **numbers}, unknown=unknown or experiment.unknown)


def sample(rng, low: float, high: float, n: int) -> np.ndarray:
    """Places (n, 1), random or evenly spread, not at the ends."""
    if rng.random() < 0.5:
        return np.sort(rng.uniform(low, high, (n, 1)), axis=0)
    return np.linspace(low, high, n + 1)[1:, None] - (high - low) / (2 * n)


def log_uniform(rng, low: float, high: float) -> float:
    return float(10 ** rng.uniform(math.log10(low), math.log10(high)))


def flow(matrix: np.ndarray, start: np.ndarray, t: np.ndarray) -> np.ndarray:
    """exp(A t) y0, (n, m), for times (n,)."""
    return expm(matrix * t.reshape(-1, 1, 1)) @ start
