"""The unknowns alone, each with the state that solves the equations for them: variable projection."""

from collections.abc import Sequence

import numpy as np
import torch

from ...errors import TrainingError
from ...linalg.dense import Factorization
from .coordinates import Coordinates
from .rows import Rows, scaled

NEWTON, STATE = 8, 1e-8
"""Most Newton steps for the state of given unknowns; change of the residuals, relative, that is the last."""
SETTLING = 5
"""Most Gauss-Newton steps for the unknowns in a network with more basis functions, where the noise is estimated anew
as often at most."""
LOOSE = 1e-2
"""Weight of the data against the equations in a search where these leave the state open."""
NEGLIGIBLE = 1e-6
"""Misfit of a datum, in its deviations or beside the data where these are not known yet, that counts as none."""
OPEN, PULL = 0.9, 1e-4
"""The state is open where data that weigh so little lower their misfit to less than this part."""


class Projection:
    """The misfit of the data as a function of the unknowns, the state following from the equations and conditions.

    Args:
        rows: of the joint problem; asking for a misfit sets its unknowns and its state.
    """

    def __init__(self, rows: Rows):
        self.rows = rows
        self.reference: torch.Tensor | None = None
        """Coefficients from which Newton's method begins for the state of other unknowns; None where the equations are
        linear in the state, and where that is not known."""
        self.linear = False
        """Whether the unknowns have been looked for alone: the equations are linear in the state."""
        self.open: bool | None = None
        """Whether the equations leave the state open; None: not known yet."""
        self._solved: tuple | None = None
        """What `_solve` was last asked for and gave: derivatives are asked for where the residuals were."""

    def begin_at(self, c: torch.Tensor) -> None:
        """Let Newton's method begin at coefficients (p,), where the equations are not linear in the state."""
        self.reference = None if self.linear else c

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

    def polish(self, eta: torch.Tensor, most: int = SETTLING, turned: bool = False) -> torch.Tensor:
        """The minimum near unknowns (q,), or what ``most`` steps give of it; ``turned`` as for `Coordinates`."""
        try:
            return Coordinates(self.rows.scales, eta, turned).least_squares(self.residual, self.slopes, most)
        except (ValueError, OverflowError, np.linalg.LinAlgError):  # not finite on the way
            return eta

    @property
    def negligible(self) -> float:
        """A `misfit` that counts as none, such as the rounding of a state that fits exactly."""
        return NEGLIGIBLE * sum(len(d) for d in self.rows.deviations) ** 0.5

    def misfit(self) -> float:
        """Root sum of squares of the observations' residuals over their deviations, as state and unknowns are."""
        return float(np.linalg.norm(self._of_data(self.rows.system.residuals())))

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

    def _of_data(self, vectors: Sequence[torch.Tensor]) -> np.ndarray:
        """Residuals of the observations over their deviations."""
        pairs = zip(self.rows.observed, self.rows.effective, strict=True)
        return np.nan_to_num(torch.cat([vectors[i] / d for i, d in pairs]).numpy(), nan=1e150)

    def residual(self, eta: torch.Tensor | np.ndarray) -> np.ndarray:
        """Residuals (n,) of the observations over their deviations with the state that belongs to unknowns; it is set.

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
        physics = rows.split(vectors, factors, False).numpy() / self.rows.unit(factors)
        return np.concatenate([np.nan_to_num(physics, nan=1e150), self._of_data(vectors)])

    def _solve(self, eta: torch.Tensor | np.ndarray) -> tuple[torch.Tensor, Factorization, list]:
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
        c = torch.zeros_like(rows.system.c) if self.reference is None else self.reference.clone()
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

    def slopes(self, eta: torch.Tensor | np.ndarray) -> np.ndarray:
        """The derivatives (n, q) of `residual` for the unknowns, with the state following."""
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
            physics = (of_unknowns + matrix @ change)[: len(matrix) - len(found)] / self.rows.unit(factors)
            found = torch.cat([physics, found])
        return np.nan_to_num(found.numpy())

    def sum_of_squares(self, eta: torch.Tensor) -> float:
        """The squared misfit for unknowns (q,) on their internal scale, with the state begun from the one there is;
        everything is left as it was."""
        rows = self.rows
        self.begin_at(rows.system.c.clone())
        with rows.kept():
            if self.open is None:
                self.open = self.leaves_open(rows.scales.get())
            return float(np.square(self.residual(eta)).sum())
