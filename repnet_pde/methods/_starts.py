"""Where the joint method begins: states, fields and unknowns to start from."""

import functools
import math

import numpy as np
import torch
from scipy.optimize import least_squares

from ..errors import TrainingError
from ..jets import values as jet_values
from ._dense import Factorization
from ._rows import Rows, scaled, wavenumbers

SOFT = 1e-3
"""Weight of the roughness of the smooth state, relative to the rows."""
STATE_STEPS = 3
"""Newton steps for the state that belongs to the first fields."""
SCREENED, SCREENING = 200, 3e10
"""Candidates of which the best is the next start: most of them, and most of their rows × columns² together."""
POLISHING = 15
"""Most Gauss-Newton steps for the unknowns alone, with exact states."""
STEP = 1e-6
"""Of their differences, relative."""
BENT = 1e-6
"""Relative mismatch of predicted and actual residuals up to which the equations count as linear in the state."""
SPREADS = (0.1, 0.3, 1.0)
"""Standard deviations of the logarithms of the factors by which candidates differ from values that are known."""


class Starts:
    """The starts of the joint method, by number.

    Args:
        rows: in which they are set; its unknowns are those given.
    """

    def __init__(self, rows: Rows):
        self.rows, self.problem = rows, rows.problem
        self.first = rows.scales.get()
        self.guesses: list[torch.Tensor] = []
        """Unknowns, on their internal scale, near which the true ones may be."""

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
            self._with_state()
            return -1
        rows.put(self._smooth(zero) if kind < 2 else zero)
        if kind == 0 and rows.scales.names:
            self._from_equations(self.first)
            self.guesses.append(rows.scales.get())
        return 0

    def _smooth(self, zero: torch.Tensor, data: bool = True) -> torch.Tensor:
        """Coefficients of a smooth function near the data (or not) and the conditions; linearised at ``zero``."""
        n_pde = len(self.rows.names) - len(self.problem.conditions)
        chosen = [i for i in range(n_pde, len(self.rows.names)) if data or i not in self.rows.observed]
        terms = self.rows.linearize()
        factors = self.rows.factors(terms)
        rows = torch.cat([scaled(terms[i].jacobian, factors[i]) for i in chosen])[:, : len(zero)]
        right = torch.cat([-terms[i].residual * factors[i] for i in chosen])
        rough = (1 + wavenumbers(self.problem, self.rows.objective.net).square()) ** 0.5
        rows = rows / rough
        soft = SOFT * torch.linalg.matrix_norm(rows) / math.sqrt(len(rough))
        rows = torch.cat([rows, soft * torch.eye(len(rough), dtype=rows.dtype)])
        found = torch.linalg.lstsq(rows, torch.cat([right, right.new_zeros(len(rough))])[:, None], driver="gels")
        found = found.solution[:, 0]
        return zero + found / rough

    def _with_state(self) -> None:
        """Smooth fields near their conditions, and the state that solves the equations with them.

        Where no condition says how large a field is, the power of ten with the smallest misfit of the data is taken.
        """
        problem, system = self.problem, self.rows.system
        factors, zero = self.rows.factors(self.rows.linearize()), system.c.clone()
        start = self._smooth(zero, data=False) if len(problem.conditions) > len(self.rows.observed) else zero
        start[self.rows.layout.state] = 0.0
        said = (start - zero)[self.rows.layout.fields].abs().sum() > 0
        best = (math.inf, start)
        for power in (0,) if said else (0, 1, -1, 2, -2, 3, -3, 4, -4):
            c = start.clone()
            c[self.rows.layout.fields] *= 10.0**power
            self.rows.put(c)
            self.rows.solve_state(STATE_STEPS)
            c = system.c.clone()
            vectors = system.residuals()
            misfit = self.rows.split(vectors, factors, True).norm() + self.rows.split(vectors, factors, False).norm()
            best = min(best, (misfit.item(), c), key=lambda pair: pair[0] if math.isfinite(pair[0]) else math.inf)
        self.rows.put(best[1])

    def _from_equations(self, eta: torch.Tensor) -> None:
        """The unknowns for which the equations hold best for the smoothed data, where they depend on them."""
        system, n_pde = self.rows.system, len(self.rows.names) - len(self.problem.conditions)
        if not n_pde:
            return
        factors = self.rows.factors(self.rows.linearize())[:n_pde]

        def residual(h):
            self.rows.scales.set(torch.as_tensor(h))
            vectors = jet_values(system.data, system.x, system.jet, system.indices, system.transform)[:n_pde]
            return torch.cat([v * f for v, f in zip(vectors, factors, strict=True)]).numpy()

        def jacobian(h):
            self.rows.scales.set(torch.as_tensor(h))
            found = self.rows.linearize()[:n_pde]
            return torch.cat([t.jacobian[:, len(system.c) :] * f for t, f in zip(found, factors, strict=True)]).numpy()

        try:
            best = least_squares(residual, eta.numpy(), jac=jacobian, x_scale="jac", max_nfev=30)
            good = np.isfinite(best.x).all() and best.cost < np.square(residual(eta.numpy())).sum() / 2
        except (ValueError, TrainingError, OverflowError, np.linalg.LinAlgError):
            good = False
        self.rows.scales.set(torch.as_tensor(best.x) if good else eta)

    def explore(self, number: int) -> tuple[float, torch.Tensor, torch.Tensor] | None:
        """The unknowns alone by least squares, each with the state that meets the equations.

        Begins with those that follow from the equations for the smoothed data, then with the best of many others near
        these and those given: (root mean square misfit over the deviations, unknowns on their internal scale,
        coefficients). None where a field is unknown or the equations are not linear in the state.
        """
        rows, problem = self.rows, self.problem
        if problem.unknown_fields or not self.linear:
            return None
        if number == 0:
            rows.scales.set(self.first)
            zero = torch.zeros_like(rows.system.c)
            rows.put(zero)
            rows.put(self._smooth(zero))
            self._from_equations(self.first)
            self.guesses.append(rows.scales.get())
            candidates = [self.first, *self.guesses]
        else:
            candidates = self._candidates(np.random.default_rng(number))
        start = min(candidates, key=lambda eta: np.square(self._misfit(eta)).sum())
        try:
            options = {"x_scale": "jac", "diff_step": STEP, "max_nfev": POLISHING}
            eta = torch.as_tensor(least_squares(self._misfit, start.numpy(), **options).x)
        except (ValueError, np.linalg.LinAlgError):  # not finite on the way
            eta = start
        left = self._misfit(eta)
        self.guesses.append(eta)
        return float(np.sqrt(np.mean(np.square(left)))), eta, rows.system.c.clone()

    @functools.cached_property
    def linear(self) -> bool:
        """Whether the equations are linear in the state; finding out sets state and unknowns."""
        rows, system = self.rows, self.rows.system
        rows.scales.set(self.first)
        zero = torch.zeros_like(system.c)
        rows.put(zero)
        matrix, left, factors = rows.state_rows()
        change = Factorization(matrix).solve(left)
        c = zero.clone()
        c[rows.layout.state] = change
        rows.put(c)
        bent = rows.split(system.residuals(), factors, False) - left - matrix @ change
        return bent.norm().item() <= BENT * left.norm().item()

    def _misfit(self, eta) -> np.ndarray:
        """Residuals of the observations over their deviations with the state that belongs to unknowns; it is set."""
        rows = self.rows
        rows.scales.set(torch.as_tensor(eta))
        rows.put(torch.zeros_like(rows.system.c))
        try:
            rows.solve_state(1)
        except TrainingError:
            return np.full(sum(len(d) for d in rows.deviations), 1e150)
        vectors = rows.system.residuals()
        pairs = zip(rows.observed, rows.deviations, strict=True)
        return np.nan_to_num(torch.cat([vectors[i] / d for i, d in pairs]).numpy(), nan=1e150)

    def _candidates(self, generator) -> list[torch.Tensor]:
        """Many unknowns near those given or found before."""
        work = len(self.rows.system.c) ** 2 * sum(len(v) for v in self.rows.system.residuals())
        count = 1 + int(min(SCREENED, SCREENING / work))
        return [self._candidate(generator) for _ in range(count)]

    def _candidate(self, generator) -> torch.Tensor:
        """Unknowns near those given or found before."""
        centers = [self.first, *self.guesses]
        return self._near(centers[generator.integers(len(centers))], generator)

    def _near(self, center: torch.Tensor, generator) -> torch.Tensor:
        """Unknowns near ``center``: each with even chance changed, on the scale on which it varies."""
        eta, spread = center.clone(), generator.choice(SPREADS)
        changed = generator.random(len(eta)) < 0.5
        changed[generator.integers(len(eta))] = True
        for i, (low, high) in enumerate(self.rows.scales.bounds):
            step = spread * generator.normal()
            if math.isfinite(low) and math.isfinite(high) and spread == SPREADS[-1]:
                eta[i] = generator.logistic()
            elif math.isfinite(low) or math.isfinite(high):
                eta[i] += 1.5 * step * changed[i]
            elif changed[i]:
                eta[i] = (eta[i].item() or 1.0) * math.exp(step)
        return eta
