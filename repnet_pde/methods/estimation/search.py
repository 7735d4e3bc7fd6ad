"""The minimum of the joint problem in one network: starts, of which the best is kept."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from ...discretization.objective import Objective
from ...inverse.unknowns import Scales
from .projection import Projection
from .rows import Rows
from .stages import ROUNDS, STAGES, Stages
from .starts import Starts

REWEIGHTED = 30
"""Most rounds of reweighting."""
LEAST_STARTS = 3
"""Starts of a problem with unknown numbers before agreement counts: this is the first that is not near the values
given."""
AGREE = 1e-3
"""Relative difference of the unknowns of two starts that agree; its square for the sums of squares."""
NEAR = 0.1
"""Relative change of the unknowns between the coarse and the full network from which other starts are tried."""
FOLLOWED = 3
"""Starts that follow the data, where nothing that was found without them explains the data."""
AS_GOOD = 2.0
"""Root mean square misfit over the least, up to which another minimum counts."""


class End(NamedTuple):
    """What a start gave: sum of squares, coefficients (p,), values of the unknowns, deviations of the observations,
    weight and roughness of the penalty, stage, and whether the unknowns were fitted alone."""

    merit: float
    coefficients: torch.Tensor
    values: list[float]
    deviations: list[torch.Tensor]
    penalty: tuple
    stage: int
    alone: bool


class Explored(NamedTuple):
    """What a search for the unknowns alone gave: root mean square misfit, unknowns (q,) on their internal scale,
    coefficients (p,), values of the unknowns."""

    misfit: float
    eta: torch.Tensor
    coefficients: torch.Tensor
    values: list[float]


class JointSearch:
    """Starts, each through the `Stages`, until two agree or there are enough.

    Args:
        objective: of a problem with observations, with the network.
        iterations: most steps, of all starts together.
        scales: of the unknowns. known: standard deviations of each observation, or None.
        most_starts: of them. robust: whether the best is gone on with, with the weights of Huber's loss.
        preliminary: whether this network only finds the minimum for a larger one.
        at_end: called when the best start has been taken.
    """

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        scales: Scales,
        known: list[torch.Tensor] | None,
        most_starts: int,
        *,
        robust: bool = False,
        preliminary: bool = False,
        at_end: Callable[[], None] = lambda: None,
    ):
        self.objective, self.iterations, self.problem = objective, iterations, objective.problem
        self.robust, self.preliminary, self.at_end = robust, preliminary, at_end
        self.rows = Rows(objective, scales, known)
        self.projection = Projection(self.rows)
        self.starts, self.stages = Starts(self.projection), Stages(self.rows, self.projection)
        self.most_starts, self.iteration, self.start = most_starts, 0, 0
        self.final = STAGES - 1
        """The stage of the best start's end."""
        self.exploring = bool(self.problem.unknowns) and most_starts > 1
        """Whether the unknowns alone are looked for first, with exact states (`Starts.explore`)."""
        self.following = False
        """Whether the unknowns alone are looked for from the ends of the `Stages`, since nothing explains the data."""
        self.explored: list[Explored] = []
        """What each start of that gave, the best first."""
        self.before_all: tuple | None = None
        """Values of the unknowns from exploring or from the coarse network, whether the starts agreed, their number."""
        self.found: list[End] = []
        """What each start gave, the best first."""
        self.agreed = False
        """Whether two starts, or as many as are to be tried, gave the same."""
        self.reason: str | None = None

    @property
    def scales(self) -> Scales:
        return self.rows.scales

    @property
    def stopped(self) -> str | None:
        return self.reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def step(self) -> None:
        """One search for the unknowns alone, or one Gauss-Newton step."""
        self.iteration += 1
        if self.exploring:
            self._explore()
            return
        if self.stages.stage < 0:
            self.rows.reset_noise()
            self.stages.enter(0)
            self.stages.begin(self.starts.begin(self.start))
        if self.stages.advance(self.before_all is not None):
            if self.following:
                self._explore_from_ends()
            else:
                self._finish_start()
        self.rows.system.store()
        self.objective.measure()

    def begin_from(self, other: "JointSearch") -> None:
        """Begin at the solution in another network, with the unknowns as they are."""
        self.rows.deviations, self.stages.before = other.rows.deviations, None
        self.rows.weights = other.rows.weights
        if other.found:
            self.before_all = other.found[0].values, other.agreed, other.start
        self.stages.enter(STAGES - 2)
        if other.projection.linear:
            self.projection.linear, self.projection.open = True, other.projection.open
            self.projection.settle(self.scales.get())
        else:
            self.rows.transfer(other.objective.net)
        self.stages.ends = [(self.rows.system.c.clone(), self.scales.values())]

    def _explore(self) -> None:
        """One start of the search for the unknowns alone; after the last, the best is where the method begins.

        Where all end far from the data, as for frequencies that are wrong by more than a period, the stages, whose
        state follows the data at first, lead there.
        """
        found = self.starts.explore(self.start)
        if found is None:
            self.exploring = False
            return
        self.projection.linear = True
        agreed, explained = self._add(*found)
        if agreed and explained and self.start >= min(LEAST_STARTS, self.most_starts):
            self.exploring = False
            self._explored(True)
        elif self.start >= self.most_starts:
            self.exploring = False
            if explained:
                self._explored(agreed)
            else:
                self.start, self.following, self.stages.stage = 0, True, -1
        self.objective.measure()

    def _explore_from_ends(self) -> None:
        """Look for the unknowns alone from what the stages of a start ended at."""
        ends = [values for _, values in self.stages.ends] + [self.scales.values()]
        self.rows.reset_noise()  # all misfits compared have the same
        agreed, explained = self._add(*self.starts.polished([self.scales.internals(values) for values in ends]))
        self.stages.stage = -1
        if explained or self.start >= FOLLOWED:
            self.following = False
            self._explored(agreed or explained)

    def _add(self, misfit: float, eta: torch.Tensor, c: torch.Tensor) -> tuple[bool, bool]:
        """Keep what a start of the search for the unknowns alone gave, and set the best: whether the best two agree,
        and whether the best explains the data."""
        self.scales.set(eta)
        self.explored.append(Explored(misfit, eta, c, self.scales.values()))
        self.explored.sort(key=lambda e: e.misfit)
        self.start += 1
        self._set(self.explored[0])
        explained = self.rows.explained()
        if not explained:
            self.starts.failed = [e.eta for e in self.explored]
        return _agree([e.values for e in self.explored], [e.misfit**2 for e in self.explored]), explained

    def _set(self, found: Explored) -> None:
        self.scales.set(found.eta)
        self.rows.put(found.coefficients)
        self.rows.system.store()

    def _explored(self, agreed: bool) -> None:
        """Go on from the best unknowns found alone, or from better ones beside them."""
        for _ in range(2 * len(self.scales.names)):
            found = self.starts.beside(self.explored[0].eta, self.explored[0].misfit)
            if found is None:
                break
            agreed = self._add(*found)[1]
        best, self.agreed = self.explored[0], agreed
        self._set(best)
        self.before_all = best.values, agreed, len(self.explored)
        if self.preliminary:
            kept = self.rows.deviations, (self.rows.omega, self.rows.rough)
            self.found = [End(best.misfit, best.coefficients, best.values, *kept, STAGES - 1, True)]
            self.start, self.reason = len(self.explored), "explored"
        else:
            self.start, self.stages.before = 0, None
            self.stages.enter(STAGES - 2)

    def _finish_start(self) -> None:
        """Keep what this start gave; then the next, unless two agree or all are done."""
        self._keep()
        agreed = _agree([e.values for e in self.found], [e.merit for e in self.found])
        self.start, self.stages.stage, self.stages.round = self.start + 1, -1, 0
        agreed = agreed and self.start >= min(LEAST_STARTS, self.most_starts)
        starts = self.start
        if self.before_all is not None and self.start == 1:
            values, agreed_, count = self.before_all
            if all(abs(a - b) <= NEAR * abs(a) for a, b in zip(self.found[0].values, values, strict=True)):
                agreed, starts = agreed_, count
        self.agreed = agreed or self.most_starts == 1
        if self.agreed or starts >= self.most_starts:
            self._take_best()
            if self.robust:
                self._reweigh()
            self.at_end()
            doubt = "" if self.agreed else ", which do not agree: a better one may exist"
            self.reason = f"converged, best of {starts} start(s){doubt}"

    def _keep(self) -> None:
        rows, stages = self.rows, self.stages
        if self.scales.names and not self.problem.unknown_fields:
            stages.fit_alone()
        factors = rows.factors(rows.linearize())
        merit = rows.merit(factors) / rows.share**2
        if stages.alone:  # what the basis functions leave of the equations counts for nothing
            merit = (rows.unit(factors) * self.projection.misfit() / rows.share) ** 2
        kept = [d.clone() for d in rows.deviations], (rows.omega, rows.rough)
        self.found.append(End(merit, rows.system.c.clone(), self.scales.values(), *kept, stages.stage, stages.alone))
        self.starts.guesses.append(self.scales.get())
        self.found.sort(key=lambda e: e.merit)

    def _take_best(self) -> None:
        best, rows = self.found[0], self.rows
        rows.deviations, self.final, self.stages.alone = best.deviations, best.stage, best.alone
        rows.omega, rows.rough = best.penalty
        rows.restore(best.coefficients, best.values)

    def _reweigh(self) -> None:
        """Weights of the robust loss and the estimate in turn, until they have settled."""
        rows, stages, projection = self.rows, self.stages, self.projection
        for _ in range(REWEIGHTED):
            terms = rows.linearize()
            factors = rows.factors(terms)
            if not rows.reweigh(rows.reduce(terms, factors), factors):
                return
            if rows.known is None:
                rows.estimate_noise(rows.reduce(terms, factors), factors)
            if stages.alone or (projection.linear and not projection.open):
                projection.settle(self.scales.get())
                continue
            stages.enter(self.final)
            for _ in range(ROUNDS):
                if stages.step(self.before_all is not None):
                    break

    def minima(self) -> list[list[float]]:
        """Values of the unknowns at the minima found that are not much worse than the best."""
        explored = [(e.misfit, e.values) for e in self.explored]
        ended = [(math.sqrt(e.merit), e.values) for e in self.found]
        return [values for ends in (explored, ended) for root, values in ends if root <= AS_GOOD * ends[0][0]]

    # Checkpoints ----------------------------------------------------------------------------------------------------

    _STATE = ("iteration", "start", "final", "exploring", "following", "before_all", "agreed", "reason")
    _OF_ROWS = ("share", "deviations", "weights", "robust", "omega", "rough")

    def state_dict(self) -> dict:
        """Plain types and tensors that continue it, with the network, to the last bit."""
        return {
            "own": {name: getattr(self, name) for name in self._STATE},
            "explored": [tuple(e) for e in self.explored],
            "found": [tuple(e) for e in self.found],
            "stages": self.stages.state_dict(),
            "rows": {name: getattr(self.rows, name) for name in self._OF_ROWS},
            "starts": (self.starts.first, list(self.starts.guesses), list(self.starts.failed)),
            "projection": (self.projection.linear, self.projection.open),
        }

    def load_state_dict(self, state: dict) -> None:
        for target, values in ((self, state["own"]), (self.rows, state["rows"])):
            for name, value in values.items():
                setattr(target, name, value)
        self.explored = [Explored(*e) for e in state["explored"]]
        self.found = [End(*e) for e in state["found"]]
        self.stages.load_state_dict(state["stages"])
        self.starts.first, *lists = state["starts"]
        self.starts.guesses, self.starts.failed = map(list, lists)
        self.projection.linear, self.projection.open = state["projection"]
        self.rows.reset()


def _agree(values: list, merits: list) -> bool:
    """Whether the first two of several starts, the best first, gave the same unknowns or sums of squares."""
    if len(values) < 2:
        return False
    near = all(abs(a - b) <= AGREE * max(abs(a), abs(b)) for a, b in zip(*values[:2], strict=True))
    return near or merits[1] - merits[0] <= AGREE**2 * merits[0]
