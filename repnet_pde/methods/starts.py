"""Where the joint method begins: states, fields and unknowns to start from."""

import functools
import math

import numpy as np
import torch

from ..analysis.linearity import is_linear
from ..discretization.jets import values as jet_values
from ..errors import TrainingError
from ..linalg.dense import Factorization
from ..linalg.reduced import DEPENDENT
from .rows import Rows, scaled, wavenumbers

SOFT = 1e-3
"""Weight of the roughness of the smooth state, relative to the rows."""
NEWTON, STATE = 8, 1e-8
"""Most Newton steps for the state of given unknowns; change of the residuals, relative, that is the last."""
STATE_STEPS = 3
"""Newton steps for the state that belongs to the first fields."""
SCREENED, SCREENING = 200, 3e10
"""Candidates of which the best is the next start: most of them, and most of their rows × columns² together."""
POLISHING, SETTLING = 40, 5
"""Most Gauss-Newton steps for the unknowns alone, with exact states; and in a network with more features, where the
noise is estimated anew as often at most."""
DAMPING, CONVERGED = 1e-3, 1e-9
"""Of those steps: the first damping, relative to the columns; relative decrease of the squares that is the last."""
SPREADS = (0.1, 0.3, 1.0, 3.0)
"""Standard deviations of the logarithms of the factors by which candidates differ from values that are known."""
POWERS = (-8, -6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 8)
"""Powers of ten by which values that meet the equations for the smoothed data may differ from those given."""
LOOSE = 1e-2
"""Weight of the data against the equations in a search where these leave the state open."""
NEGLIGIBLE = 1e-6
"""Misfit of a datum, in its deviations or beside the data where these are not known yet, that counts as none."""
OPEN, PULL = 0.9, 1e-4
"""The state is open where data that weigh so little lower their misfit to less than this part."""


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
        self.reference: torch.Tensor | None = None
        """Coefficients from which Newton's method begins for the state of other unknowns; None where the equations are
        linear in the state, and where that is not known."""
        self._solved: tuple | None = None
        """What `_solve` was last asked for and gave: derivatives are asked for where the residuals were."""
        self.open: bool | None = None
        """Whether the equations leave the state open; None: not known yet."""

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

        def cost(h):
            with np.errstate(all="ignore"):
                total = np.square(residual(h)).sum()
            return total if np.isfinite(total) else math.inf

        before, best = cost(eta), eta
        nearest = min(self._powers(eta), key=cost)
        for start in (eta, nearest) if cost(nearest) < before else (eta,):
            for coordinates in (Coordinates(self.rows.scales, start, turned) for turned in (False, True)):
                try:
                    found = coordinates.least_squares(residual, jacobian, POLISHING)
                except (ValueError, TrainingError, OverflowError, np.linalg.LinAlgError):
                    continue
                if torch.isfinite(found).all() and cost(found) < min(before / 2, cost(best)):
                    best = found
        self.rows.scales.set(best)

    def _powers(self, eta: torch.Tensor) -> list[torch.Tensor]:
        """Values that differ from ``eta`` by powers of ten: each unknown, and all of them."""
        found = [eta]
        for chosen in (*([i] for i in range(len(eta))), range(len(eta))):
            for power in POWERS:
                other = eta.clone()
                for i in chosen:
                    low, high = self.rows.scales.bounds[i]
                    if math.isfinite(low) or math.isfinite(high):
                        other[i] += power * (1.0 if math.isfinite(low) and math.isfinite(high) else math.log(10))
                    else:
                        other[i] = (eta[i].item() or 1.0) * 10.0**power
                found.append(other)
        return found

    def explore(self, number: int) -> tuple[float, torch.Tensor, torch.Tensor] | None:
        """The unknowns alone by least squares, each with the state that meets the equations, and that is near the data
        as far as the equations leave it open.

        Begins with those that follow from the equations for the smoothed data, then with the best of many others near
        these and those given, and takes in turn the unknowns and their logarithms as coordinates, of which one may lead
        where the other stalls: (root mean square misfit over the deviations, unknowns on their internal scale,
        coefficients). None where a field is unknown or the equations are not linear in the state.
        """
        rows, problem = self.rows, self.problem
        if problem.unknown_fields or not self.linear:
            return None
        if self.open is None:  # which features that do not resolve a solution far off do not show
            self.open = self.leaves_open(self.first) or self.leaves_open(self._guess())
        if number == 0:
            self.guesses.append(self._guess())
            candidates = [self.first, *self.guesses]
        else:
            candidates = self._candidates(np.random.default_rng(number))
        start = min(candidates, key=lambda eta: np.square(self.residual(eta)).sum())
        coordinates = Coordinates(rows.scales, start, turned=number % 2 == 1)
        try:
            eta = coordinates.least_squares(self.residual, self._slopes, POLISHING)
        except (ValueError, OverflowError, np.linalg.LinAlgError):  # not finite on the way
            eta = start
        left = self.residual(eta)
        self.guesses.append(eta)
        return float(np.sqrt(np.square(left).sum() / sum(len(d) for d in rows.deviations))), eta, rows.system.c.clone()

    def settle(self, eta: torch.Tensor) -> None:
        """Set unknowns that are nearly right, with their state in this network, and improve on them."""
        if self.open is None:
            self.open = self.leaves_open(eta)
        for _ in range(SETTLING):
            eta = self.polish(eta)
            self.residual(eta)
            terms = self.rows.linearize()
            factors = self.rows.factors(terms)
            if not self.rows.estimate_noise(self.rows.reduce(terms, factors), factors):
                break

    def polish(self, eta: torch.Tensor) -> torch.Tensor:
        """A few more steps of the unknowns alone."""
        try:
            return Coordinates(self.rows.scales, eta, False).least_squares(self.residual, self._slopes, SETTLING)
        except (ValueError, OverflowError, np.linalg.LinAlgError):  # not finite on the way
            return eta

    @property
    def negligible(self) -> float:
        """A `misfit` that counts as none, such as the rounding of a state that fits exactly."""
        return NEGLIGIBLE * sum(len(d) for d in self.rows.deviations) ** 0.5

    def misfit(self) -> float:
        """Root sum of squares of the observations' residuals over their deviations, as state and unknowns are."""
        return float(np.linalg.norm(self._of_data(self.rows.system.residuals())))

    def _guess(self) -> torch.Tensor:
        """The unknowns for which the equations hold best for the smoothed data; it is set, with its state."""
        rows = self.rows
        rows.scales.set(self.first)
        zero = torch.zeros_like(rows.system.c)
        rows.put(zero)
        rows.put(self._smooth(zero))
        self._from_equations(self.first)
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

    def leaves_open(self, eta: torch.Tensor) -> bool:
        """Whether the equations and conditions leave the state open, as without an initial condition; finding out sets
        state and unknowns."""
        rows = self.rows
        rows.scales.set(eta)
        sizes = []
        for share in (0.0, PULL):
            rows.put(torch.zeros_like(rows.system.c) if self.reference is None else self.reference)
            rows.solve_state(1 if self.reference is None else NEWTON, share)
            sizes.append(self.misfit())
        return bool(sizes[1] < OPEN * sizes[0] and sizes[0] > self.negligible)

    def _of_data(self, vectors) -> np.ndarray:
        """Residuals of the observations over their deviations."""
        pairs = zip(self.rows.observed, self.rows.effective, strict=True)
        return np.nan_to_num(torch.cat([vectors[i] / d for i, d in pairs]).numpy(), nan=1e150)

    def residual(self, eta) -> np.ndarray:
        """Residuals of the observations over their deviations with the state that belongs to unknowns; it is set.

        Where the state is open, those of the equations follow, on the scale on which they have been weighed up.
        """
        rows = self.rows
        try:
            factors = self._solve(eta)[2]
        except TrainingError:
            vectors = rows.system.residuals()
            return np.full(sum(map(len, vectors)) if self.open else len(self._of_data(vectors)), 1e150)
        vectors = rows.system.residuals()
        if not self.open:
            return self._of_data(vectors)
        physics = rows.split(vectors, factors, False).numpy() / self._unit(factors)
        return np.concatenate([np.nan_to_num(physics, nan=1e150), self._of_data(vectors)])

    def _solve(self, eta) -> tuple[torch.Tensor, Factorization, list]:
        """Set the unknowns and the state that belongs to them: its rows, their factorisation, the terms' factors.

        Raises `TrainingError` where Newton's method finds no state.
        """
        rows, state = self.rows, self.rows.layout.state
        key = torch.as_tensor(eta).tolist(), self.open, [w.tolist() for w in rows.effective], self.reference
        if self._solved is not None and self._solved[0][:3] == key[:3] and self._solved[0][3] is key[3]:
            rows.scales.set(torch.as_tensor(eta))
            rows.put(self._solved[2])
            return self._solved[1]
        rows.scales.set(torch.as_tensor(eta))
        linear = self.reference is None
        c = torch.zeros_like(rows.system.c) if linear else self.reference.clone()
        share = 0.0 if not self.open else LOOSE if linear else PULL
        for _ in range(1 if linear else NEWTON):
            rows.put(c)
            matrix, left, factors = rows.state_rows(share)
            factor = Factorization(matrix)
            target = left - matrix @ c[state]
            new = factor.solve(target)
            moved = matrix @ (new - c[state])
            c[state] = new
            if moved.norm() <= STATE * (target.norm() + left.norm()):
                break
        else:
            if not linear:
                raise TrainingError("no state solves the equations for these unknowns")
        rows.put(c)
        self._solved = key, (matrix, factor, factors), c.clone()
        return self._solved[1]

    def _slopes(self, eta) -> np.ndarray:
        """The derivatives of `residual` for the unknowns, with the state following."""
        rows, state, q = self.rows, self.rows.layout.state, len(self.rows.scales.names)
        matrix, factor, factors = self._solve(eta)
        terms = rows.linearize()
        jacobians = [t.jacobian for t in terms]
        parts = (False, True) if self.open else (False,)
        of_unknowns = torch.cat([rows.split(jacobians, factors, part) for part in parts])[:, -q:]
        change = factor.solve(of_unknowns)
        pairs = zip(rows.observed, rows.effective, strict=True)
        data = torch.cat([scaled(jacobians[i], 1 / d) for i, d in pairs])
        found = data[:, state] @ change + data[:, -q:]
        if self.open:
            physics = (of_unknowns + matrix @ change)[: len(matrix) - len(found)] / self._unit(factors)
            found = torch.cat([physics, found])
        return np.nan_to_num(found.numpy())

    def _unit(self, factors) -> float:
        """The scale of one standard deviation of the data among the rows of `_solve`."""
        return (factors[self.rows.observed[0]] * self.rows.effective[0])[0].item()

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


class Coordinates:
    """Coordinates z of the unknowns in which they are looked for, 0 at a start.

    They are the internal ones of `Scales`, in units of the start, or ``turned``: the logarithm of the factor on an
    unknown without bounds, whose sign is then kept, and the relative change of the distance from a bound. An unknown
    that is small beside the true one has next to no derivative on one of the two scales.
    """

    def __init__(self, scales, start: torch.Tensor, turned: bool):
        self.start = start.numpy().astype(float)
        finite = np.isfinite(np.array(scales.bounds, dtype=float)).sum(1)
        self.unit = np.where((finite > 0) | (self.start == 0), 1.0, np.abs(self.start))
        self.factor = turned & (finite == 0) & (self.start != 0)
        self.distance = turned & (finite == 1)

    def eta(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            plain = self.start + self.unit * z
            return np.where(
                self.factor,
                self.start * np.exp(np.minimum(z, 700.0)),
                np.where(self.distance, self.start + np.log1p(np.maximum(z, -1 + 1e-15)), plain),
            )

    def slope(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            steep = np.where(self.factor, self.eta(z), self.unit)
            return np.where(self.distance, 1 / (1 + np.maximum(z, -1 + 1e-15)), steep)

    def least_squares(self, residual, jacobian, most: int) -> torch.Tensor:
        """The internal unknowns at a minimum of the sum of squares, by Levenberg-Marquardt steps.

        Combinations that the residuals hardly depend on stay as they are (`reduced.DEPENDENT`), where others would
        let them drift.

        Args:
            residual, jacobian: functions of the internal unknowns (q,), to (n,) and (n, q). most: evaluations.
        """
        z, damping = np.zeros(len(self.start)), DAMPING
        left = residual(self.eta(z))
        cost = np.square(left).sum()
        while most > 0 and cost > 0:
            matrix = jacobian(self.eta(z)) * self.slope(z)
            lengths = np.linalg.norm(matrix, axis=0)
            lengths = np.where(lengths > 0, lengths, np.inf)
            u, s, v = np.linalg.svd(matrix / lengths, full_matrices=False)
            u, s, v = u[:, s > DEPENDENT], s[s > DEPENDENT], v[s > DEPENDENT]
            gained = 0.0
            while most > 0 and damping < 1e10:
                step = -(v.T @ (s / (s**2 + damping) * (u.T @ left))) / lengths
                step = self._inside(z, step)
                new, most = residual(self.eta(z + step)), most - 1
                with np.errstate(over="ignore"):
                    changed, predicted = np.square(new).sum(), np.square(left + matrix @ step).sum()
                if changed < cost and cost - changed > 1e-4 * (cost - predicted):
                    good = cost - changed > 0.75 * (cost - predicted)
                    damping = damping / 10 if good else damping
                    gained, z, left, cost = cost - changed, z + step, new, changed
                    break
                damping = max(10 * damping, DAMPING)
            if not gained > CONVERGED * cost:
                break
        return torch.as_tensor(self.eta(z))

    def _inside(self, z: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The step, made shorter where it would cross a bound, and so that no logarithm changes by more than 5."""
        share = 1.0
        for at, length, distance, factor in zip(z, step, self.distance, self.factor, strict=True):
            if distance and at + length <= -1:
                share = min(share, 0.9 * (1 + at) / -length)
            if factor and abs(length) > 5:
                share = min(share, 5 / abs(length))
        return share * step
