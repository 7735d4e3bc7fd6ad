"""Gauss-Newton steps of the joint method from one start, while the weight of the data falls stage by stage."""

import numpy as np
import torch

from .projection import Projection
from .rows import Rows

SHARES = (1.0, 1e-2, 1e-4, 1e-6)
"""Weight of the data against the physics, stage by stage: first the state follows the data, at last the physics are
exact."""
STAGES = len(SHARES)
LENGTHS = (1.0, 0.5, 0.25, 0.12, 0.06)
"""Of a step, tried one after another before damping."""
ROUNDS, MOST_ROUNDS = 10, 25
"""Most steps in each stage, and in the last."""
DONE = 1e-3
"""Relative decrease of the sum of squares below which a stage is over."""
BETTER = 0.5
"""Misfit of the data, relative, for which the unknowns fitted alone are preferred to the joint problem's."""
CREEPING = 0.1
"""The same where what is left of the equations outweighs the data."""


class Stages:
    """The way from one start to its end.

    Args:
        rows: of the joint problem. projection: of the same.
    """

    def __init__(self, rows: Rows, projection: Projection):
        self.rows, self.scales, self.projection = rows, rows.scales, projection
        self.stage, self.round, self.damping = -1, 0, 0.0
        """stage: -1 before a start. damping: Levenberg-Marquardt, of the unknown numbers."""
        self.before: tuple | None = None
        """Coefficients and unknowns at the end of the stage before."""
        self.ends: list[tuple] = []
        """Coefficients and unknowns at the ends of this start's stages, and where it began from another network."""
        self.alone = False
        """Whether the estimate is that of the unknowns alone and not of the joint problem."""

    def enter(self, stage: int) -> None:
        """Begin a stage with the state and unknowns as they are."""
        self.stage, self.round, self.damping = stage, 0, 0.0
        self.rows.share = SHARES[stage]

    def begin(self, stage: int) -> None:
        """Begin a start in a stage, counted from the last where it is negative."""
        self.enter(stage % STAGES)
        self.before, self.ends, self.alone = None, [], False

    def advance(self, informed: bool) -> bool:
        """One step, and the next stage where this one is over; gives whether the start has come to its end.

        Args:
            informed: whether the values at the beginning are nearly right.
        """
        self.round += 1
        over = self.step(informed)
        most = ROUNDS if self.stage < STAGES - 1 else MOST_ROUNDS
        return (over or self.round >= most) and self._end_stage(over)

    def step(self, informed: bool) -> bool:
        """One Gauss-Newton step on state, fields and unknowns; whether the stage is over."""
        rows, scales, system = self.rows, self.scales, self.rows.system
        terms = rows.linearize()
        factors = rows.factors(terms)
        reduced = rows.reduce(terms, factors)
        rows.omega = reduced.choose_penalty()
        reduced.choose_bands(rows.omega)
        rows.rough = reduced.layout.roughness
        before = rows.merit(factors)
        eta, state, now = scales.get(), system.get(), system.c
        trials = [(self.damping, length) for length in LENGTHS]
        trials += [(max(self.damping, 1e-4) * 10.0**k, 1.0) for k in range(1, 9)] if scales.names else []
        for damping, length in trials:
            v = reduced.solve(rows.omega, damping)
            if not torch.isfinite(v).all():
                continue
            scales.set(eta + length * v[len(now) :])
            rows.put(now + length * (v[: len(now)] - now))
            after = rows.merit(factors)
            if not after < before and self.stage >= STAGES - 2:
                # What a step leaves of the equations, which are bilinear in state and unknowns, outweighs the data
                # (Maratos's effect): correct the state.
                rows.correct_state()
                after = rows.merit(factors)
            if after < before:
                self.damping = 0.0 if damping < 1e-5 else damping / 10
                changed = self.stage == STAGES - 1 and rows.estimate_noise(reduced, factors)
                late = self.before is not None or informed
                creeps = late and before - after < CREEPING * before and rows.dominated()
                return (before - after < DONE * before or creeps) and not changed
        system.set(state)
        return True

    def _end_stage(self, converged: bool) -> bool:
        """The next stage, or the end of this start, which gives True.

        Where the equations' residuals, which should have vanished faster than the data's weight, outweigh the data,
        they are at the floor that the basis functions can reach and would distort the estimate: the stage before
        counts. It counts, too, where a state that is open has been given up for one that solves the equations without
        the data.
        """
        if converged and self.before is not None and (self.rows.dominated() or self._lost_the_data()):
            self.ends.append((self.rows.system.c.clone(), self.scales.values()))
            self.rows.restore(*self.before)
            self.rows.system.store()
            self.enter(self.stage - 1)
            return True
        if self.stage < STAGES - 1:
            self.before = self.rows.system.c.clone(), self.scales.values()
            self.ends.append(self.before)
            self.enter(self.stage + 1)
            return False
        return True

    def _lost_the_data(self) -> bool:
        """Whether the state is open and the data are met much worse than in the stage before."""
        if not self.projection.open:
            return False
        assert self.before is not None
        after = self.projection.misfit()
        with self.rows.kept():
            self.rows.restore(*self.before)
            before = self.projection.misfit()
        return BETTER * after > before

    def fit_alone(self) -> None:
        """Fit the unknowns alone, each with the state that meets the equations, where that meets the data much better.

        What the basis functions leave of the equations is traded against the data in the joint problem. With few of
        them or few data, or without noise, that would distort the estimate from stage to stage: unknowns whose
        solutions the basis functions meet best would win. The ends of the stages, with the states that belong to them,
        show it.
        """
        rows, projection = self.rows, self.projection
        now, before = (rows.system.c.clone(), self.scales.values()), projection.misfit()
        # Before the last stage the equations are not exact: as good is enough, and as exact data as one can ask.
        least = BETTER * before if self.stage == STAGES - 1 else before + projection.negligible
        deviations = [d.clone() for d in rows.deviations]
        best: tuple[float, tuple | None] = (least, None)
        for c, values in self.ends:
            self.scales.restore(values)
            projection.begin_at(c)
            if projection.open is None:
                projection.open = projection.leaves_open(self.scales.get())
            if projection.open:
                break
            misfit = float(np.linalg.norm(projection.residual(self.scales.get())))
            best = min(best, (misfit, (c, values)), key=lambda pair: pair[0])
        if best[1] is not None and not projection.open:
            projection.begin_at(best[1][0])
            self.scales.restore(best[1][1])
            projection.settle(self.scales.get())
            if projection.misfit() <= least:
                self.alone = True
                rows.system.store()
                self.enter(STAGES - 1)
                return
        rows.restore(*now)
        rows.deviations = deviations

    _STATE = ("stage", "round", "damping", "before", "ends", "alone")

    def state_dict(self) -> dict:
        """Plain types and tensors."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state: dict) -> None:
        for name, value in state.items():
            setattr(self, name, value)
