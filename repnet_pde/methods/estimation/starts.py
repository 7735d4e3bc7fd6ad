"""Where the joint method begins: states, fields and unknowns to start from."""

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch

from ...analysis.linearity import is_linear
from .coordinates import POLISHING
from .projection import NEGLIGIBLE, Projection
from .smooth_state import set_fields, set_from_equations, smooth_state

SCREENED, SCREENING = 200, 3e10
"""Candidates of which the best is the next start: most of them, and most of their rows × columns² together."""
BASIN = 0.2
"""Relative distance, on their internal scale, from a minimum that does not explain the data within which no further
start is taken."""
WIDE = 4.0
"""Largest factor on one unknown of a minimum with which a better one is looked for."""
BETTER = 1e-3
"""Relative decrease of the sum of squares from which it is better."""
SPREADS = (0.1, 0.3, 1.0, 3.0)
"""Standard deviations of the logarithms of the factors by which candidates differ from values that are known."""


class Starts:
    """The starts of the joint method, by number.

    Args:
        projection: of the rows in which they are set; the unknowns are those given.
    """

    def __init__(self, projection: Projection):
        self.projection, self.rows, self.problem = projection, projection.rows, projection.rows.problem
        self.first = self.rows.scales.get()
        self.guesses: list[torch.Tensor] = []
        """Unknowns, on their internal scale, near which the true ones may be."""
        self.failed: list[torch.Tensor] = []
        """Minima that do not explain the data: starts are looked for away from them."""

    def begin(self, number: int) -> int:
        """Set state, fields and unknowns for a start; gives the stage in which it begins, counted from the last.

        Without unknown fields: the smooth state near data and conditions, with the unknowns for which the equations
        hold best there, then with those given; then the best of many others. A field is sensitive to the noise in such
        a state's derivatives, so the first start of a problem with fields has constant ones and the state that belongs
        to them.
        """
        rows, problem = self.rows, self.problem
        kind = number - bool(problem.unknown_fields)
        rows.scales.set(self.first)
        if kind >= 2:
            rows.scales.set(self._candidate(np.random.default_rng(number)))
        zero = torch.zeros_like(rows.system.c)
        for i, name in enumerate(problem.outputs):
            if name in problem.unknown_fields:  # a coefficient of 0 would leave no equation
                zero[len(zero) - len(problem.outputs) + i] = 1.0
        rows.put(zero)
        if kind < 0:
            set_fields(rows)
            return -1
        rows.put(smooth_state(rows, zero) if kind < 2 else zero)
        if kind == 0 and rows.scales.names:
            set_from_equations(rows, self.first)
            self.guesses.append(rows.scales.get())
        return 0

    def explore(self, number: int) -> tuple[float, torch.Tensor, torch.Tensor] | None:
        """The unknowns alone by least squares, each with the state that meets the equations, and that is near the data
        as far as the equations leave it open.

        Begins with those that follow from the equations for the smoothed data, then with the best of many others near
        these and those given, and takes in turn the unknowns and their logarithms as coordinates, of which one may lead
        where the other stalls: (root mean square misfit over the deviations, unknowns on their internal scale,
        coefficients). None where a field is unknown or the equations are not linear in the state.
        """
        projection = self.projection
        if self.problem.unknown_fields or not self.linear:
            return None
        if projection.open is None:  # which a basis that does not resolve a solution far off does not show
            projection.open = projection.leaves_open(self.first) or projection.leaves_open(self._guess())
        if number == 0:
            self.guesses.append(self._guess())
            candidates = [self.first, *self.guesses]
        else:
            candidates = self._candidates(np.random.default_rng(number))
            candidates = [eta for eta in candidates if not self._known(eta)] or candidates
        return self.polished(candidates, turned=number % 2 == 1)

    def polished(
        self, candidates: Sequence[torch.Tensor], turned: bool = False
    ) -> tuple[float, torch.Tensor, torch.Tensor]:
        """The minimum, as `explore` gives it, for the unknowns alone near the best of several (q,); it is set."""
        rows, projection = self.rows, self.projection
        start = min(candidates, key=lambda eta: np.square(projection.residual(eta)).sum())
        eta = projection.polish(start, POLISHING, turned)
        left = projection.residual(eta)
        self.guesses.append(eta)
        return float(np.sqrt(np.square(left).sum() / sum(len(d) for d in rows.deviations))), eta, rows.system.c.clone()

    def _guess(self) -> torch.Tensor:
        """The unknowns for which the equations hold best for the smoothed data; it is set, with its state."""
        rows = self.rows
        rows.scales.set(self.first)
        zero = torch.zeros_like(rows.system.c)
        rows.put(zero)
        rows.put(smooth_state(rows, zero))
        set_from_equations(rows, self.first)
        return rows.scales.get()

    @functools.cached_property
    def linear(self) -> bool:
        """Whether the equations are linear in the state; finding out sets state and unknowns.

        Also at values that the data suggest: a nonlinear term may be negligible at those given.
        """
        self.rows.scales.set(self.first)
        if not is_linear(self.problem):
            return False
        self.rows.scales.set(self._guess())
        return is_linear(self.problem)

    def beside(self, eta: torch.Tensor, misfit: float) -> tuple[float, torch.Tensor, torch.Tensor] | None:
        """The minimum, as `explore` gives it, near unknowns that differ from a minimum (q,) in one of them and have a
        smaller ``misfit``, or None: a frequency may be wrong by a period."""
        rows, projection, count = self.rows, self.projection, sum(len(d) for d in self.rows.deviations)
        each = self._affordable() // len(eta)
        if not each or misfit <= NEGLIGIBLE:
            return None
        candidates = [
            _scaled(rows.scales.bounds, eta, i, factor)
            for i in range(len(eta))
            for factor in np.geomspace(1 / WIDE, WIDE, each + 1)
        ]
        costs = [np.square(projection.residual(other)).sum() for other in candidates]
        best = int(np.argmin(costs))
        return self.polished([candidates[best]]) if costs[best] < (1 - BETTER) * count * misfit**2 else None

    def _affordable(self) -> int:
        """Number of candidates whose misfit is computed."""
        work = len(self.rows.system.c) ** 2 * sum(len(v) for v in self.rows.system.residuals())
        return int(min(SCREENED, SCREENING / work))

    def _known(self, eta: torch.Tensor) -> bool:
        """Whether unknowns (q,) are near a minimum that does not explain the data."""
        return any(bool(((eta - other).abs() <= BASIN * other.abs()).all()) for other in self.failed)

    def _candidates(self, generator: np.random.Generator) -> list[torch.Tensor]:
        """Many unknowns near those given or found before."""
        return [self._candidate(generator) for _ in range(1 + self._affordable())]

    def _candidate(self, generator: np.random.Generator) -> torch.Tensor:
        """Unknowns near those given or found before."""
        centers = [self.first, *self.guesses]
        return _near(self.rows.scales.bounds, centers[generator.integers(len(centers))], generator)


def _scaled(bounds: Sequence[tuple[float, float]], center: torch.Tensor, i: int, factor: float) -> torch.Tensor:
    """Unknowns of which the i-th is ``factor`` times that of ``center``, on the scale on which it varies."""
    eta = center.clone()
    if all(map(math.isinf, bounds[i])):
        eta[i] *= factor
    else:
        eta[i] += math.log(factor)
    return eta


def _near(bounds: Sequence[tuple[float, float]], center: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Unknowns near ``center``: each with even chance changed, on the scale on which it varies."""
    eta, spread = center.clone(), generator.choice(SPREADS)
    changed = generator.random(len(eta)) < 0.5
    changed[generator.integers(len(eta))] = True
    for i, (low, high) in enumerate(bounds):
        step = spread * generator.normal()
        if math.isfinite(low) and math.isfinite(high) and spread == SPREADS[-1]:
            eta[i] = generator.logistic()
        elif math.isfinite(low) or math.isfinite(high):
            eta[i] += 1.5 * step * changed[i]
        elif changed[i]:
            eta[i] = (eta[i].item() or 1.0) * math.exp(step)
    return eta
