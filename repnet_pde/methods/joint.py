"""Joint Gauss-Newton for inverse problems: last layer of a one-layer RepNet, unknown fields and unknown numbers."""

import math
from dataclasses import replace

import numpy as np
import torch

from ..analysis.basis_size import MARGIN, for_wavenumbers
from ..analysis.basis_size import MOST as MOST_BASIS
from ..arguments import whole
from ..discretization.features import Features
from ..discretization.jets import orders_of_problem
from ..discretization.objective import Objective
from ..errors import InputError, TrainingError
from ..inverse.unknowns import Scales, check_loss, check_noise, first_deviations, huber_inflation
from .method import Method, by_basis
from .rows import Rows
from .starts import Starts

SHARES = (1.0, 1e-2, 1e-4, 1e-6)
"""Weight of the data against the physics, stage by stage: first the state follows the data, at last the physics are
exact."""
STAGES = len(SHARES)
LENGTHS = (1.0, 0.5, 0.25, 0.12, 0.06)
ROUNDS, MOST_ROUNDS = 10, 25
"""Most steps in each stage, and in the last."""
DONE = 1e-3
"""Relative decrease of the sum of squares below which a stage is over."""
ASIDE = 1e-3
"""Relative distance from the values found at which another solution begins, so that it has to find them."""
REWEIGHTED = 30
"""Most rounds of reweighting."""
BETTER = 0.5
"""Misfit of the data, relative, for which the unknowns fitted alone are preferred to the joint problem's."""
CREEPING = 0.1
"""The same where what is left of the equations outweighs the data."""
MOST_STARTS, LEAST_STARTS = 6, 3
"""Starts of a problem with unknown numbers; the third is the first that is not near the values given."""
AGREE = 1e-3
"""Relative difference of the unknowns of two starts that agree; its square for the sums of squares."""
NEAR = 0.1
"""Relative change of the unknowns between the coarse and the full network from which other starts are tried."""


COARSE_PART, COARSE_OVERHEAD = 0.8, 8
"""Of a coarse solution: its part of the wavenumbers, and independent functions of an axis beyond 2 k / π. On a driven
wave (driven_wave_1d) 0.8 and 8 left 1e-4 of the equations' residual, 1.0 and 4 left a tenth."""


class Joint(Method):
    """Gauss-Newton steps on state, unknown fields and unknown numbers together, the state eliminated by QR.

    The data count as much as the physics at first, so that the state is found near them whatever the unknowns, and less
    and less from stage to stage, until the physics hold as exactly as the features allow: the estimate is then the
    maximum-likelihood one for independent normal errors of the observations. Unknown fields are penalised by their
    roughness, as much as restricted maximum likelihood asks for. The unknown numbers are damped where a full step does
    not lower the sum of squares. From several starts the best is kept; when two agree no more are tried. Where the
    equations are linear in the state, starts are for the unknowns alone, by least squares with exact states, as in
    variable projection (G. H. Golub, V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432).

    Args:
        objective: the loss of a problem with observations; its weights are not used.
        iterations: most steps, of all starts together.
        noise: standard deviation of the observations: a number, or a mapping from their condition's name to a number
            or an array with one for each; None estimates it, for each condition of its own.
        bounds: name of an unknown -> (lower, upper), None for no bound.
        positive: names of unknowns that are positive.
        starts: most starts.
        loss: of the observations: "squares", or "huber", which counts residuals beyond 1.345 standard deviations less;
            the best start is then gone on with, by iteratively reweighted least squares (P. J. Huber, Ann. Math.
            Statist. 35 (1964) 73-101).

    Raises:
        InputError: a network or residuals that it cannot treat, or a bad option.
    """

    name = "joint"
    title = "Gauss-Newton on the last layer and the unknowns together"
    default_iterations = 500
    network = "repnet-sin"
    has_twin = True

    @classmethod
    def unsuited(cls, problem) -> str | None:
        if problem.dtype != "float64":
            return "needs float64"
        if not problem.observations or not (problem.unknowns or problem.unknown_fields):
            return "there are no observations, or there is nothing unknown"
        if problem.input_transform is not None:
            return "there is an input_transform"
        return None if orders_of_problem(problem) is not None else "some residual does not depend on u at one point"

    @classmethod
    def points(cls, problem, net, wavenumber) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def network_options(cls, problem, options: dict, wavenumber) -> dict:
        """More basis functions than for least squares, since no search follows."""
        more = 2.0 if problem.dim == 1 else 1.3
        most = MOST_BASIS // 2 // len(problem.outputs)
        return {"layers": [min(most, math.ceil(for_wavenumbers(problem, wavenumber, more)))]} | options

    @classmethod
    def coarse_options(cls, problem, wavenumber) -> dict:
        """Options of a network that has a few digits only."""
        wavenumber = [COARSE_PART * max(k, np.pi / h) for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
        numbers = (k * h for k, h in zip(wavenumber, problem.box.half_width, strict=True))
        width = math.ceil(MARGIN * math.prod(2 * k / math.pi + COARSE_OVERHEAD for k in numbers))
        return {"layers": [width], "wavenumber": wavenumber}

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        noise=None,
        bounds=None,
        positive=(),
        starts: int | None = None,
        loss: str = "squares",
    ):
        problem, net = objective.problem, objective.net
        if problem is None or not Features.known(net):
            raise InputError(
                "network: joint needs a RepNet with one hidden layer, in identify or solve; choose gauss-newton"
            )
        if not problem.observations:
            raise InputError("conditions: has no observations (dde.icbc.PointSetBC), from which joint could identify")
        whole("starts", starts, 1)
        self.robust = check_loss(loss) == "huber"
        self.objective, self.iterations, self.problem = objective, iterations, problem
        self.rows = Rows(objective, Scales(problem.unknowns, bounds, positive), check_noise(noise, problem))
        self.starts = Starts(self.rows)
        self.most_starts = starts or (MOST_STARTS if problem.unknowns else 1)
        self.iteration, self.start, self.stage, self.round, self.damping = 0, 0, -1, 0, 0.0
        """stage: -1 before a start."""
        self.final = STAGES - 1
        """The stage of the best start's end."""
        self.before: tuple | None = None
        """Coefficients and unknowns at the end of the stage before."""
        self.exploring = bool(problem.unknowns) and self.most_starts > 1
        """Whether the unknowns alone are looked for first, with exact states (`Starts.explore`)."""
        self.explored: list[tuple] = []
        """What each start of that gave, the best first."""
        self.before_all: tuple | None = None
        """Values of the unknowns from exploring or from the coarse network, whether the starts agreed, their number."""
        self.linear = False
        """Whether the unknowns have been looked for alone: the equations are linear in the state."""
        self.alone = False
        """Whether the estimate is that of the unknowns alone and not of the joint problem."""
        self.ends: list[tuple] = []
        """Coefficients and unknowns at the ends of this start's stages, and where it began from another network."""
        self.preliminary = False
        """Whether this network only finds the minimum for a larger one."""
        self.found: list[tuple] = []
        """What each start gave, the best first."""
        self.agreed = False
        """Whether two starts, or as many as are to be tried, gave the same."""
        self.dominated = False
        """Whether what is left of the equations outweighs the misfit of the data; set by `posterior`."""
        self.twin_values: list[float] | None = None
        self.twin_distance: float | None = None
        """Values of the unknowns, and relative distance of the state, of a second solution with other features."""
        self._reason: str | None = None
        small = objective.twin(coarse=True) if hasattr(objective, "twin") else None
        self.coarse = small and Joint(small, iterations, noise=noise, bounds=bounds, positive=positive, starts=starts)
        """The same with a smaller network, whose solution is this one's first start; or None."""
        if self.coarse is not None:
            self.exploring, self.coarse.preliminary = False, True

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    @property
    def scales(self) -> Scales:
        return self.rows.scales

    @property
    def known(self):
        return self.rows.known

    @property
    def deviations(self) -> list[torch.Tensor]:
        return self.rows.deviations

    # Steps ----------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        if self.coarse is not None and self.coarse.stopped is None:
            self.iteration += 1
            self.coarse.step()
            self.objective.terms = self.coarse.objective.terms
            if self.coarse.stopped is not None:
                self._begin_from(self.coarse)
            return
        if self.exploring:
            self.iteration += 1
            self._explore()
            return
        if self.stage < 0:
            self.rows.deviations = self.known or first_deviations(self.problem)
            self._enter(0)
            self._enter(self.starts.begin(self.start) % STAGES)
            self.before, self.ends, self.alone = None, [], False
        self.iteration += 1
        self.round += 1
        over = self._step()
        if over or self.round >= (ROUNDS if self.stage < STAGES - 1 else MOST_ROUNDS):
            self._end_stage(over)
        self.rows.system.store()
        self.objective.mean_squares()

    def _enter(self, stage: int) -> None:
        self.stage, self.round, self.damping = stage, 0, 0.0
        self.rows.share = SHARES[stage]

    def _begin_from(self, other: "Joint") -> None:
        """Begin at the solution in another network, with the unknowns as they are."""
        self.rows.deviations, self.before = other.deviations, None
        self.rows.weights = other.rows.weights
        if other.found:
            self.before_all = other.found[0][2], other.agreed, other.start
        self._enter(STAGES - 2)
        if other.linear:
            self.linear, self.starts.open = True, other.starts.open
            self.starts.settle(self.scales.get())
        else:
            self.rows.transfer(other.objective.net)
        self.ends = [(self.rows.system.c.clone(), self.scales.values())]

    def _end_stage(self, converged: bool) -> None:
        """The next stage, or the end of this start.

        Where the equations' residuals, which should have vanished faster than the data's weight, outweigh the data,
        they are at the floor that the features can reach and would distort the estimate: the stage before counts. It
        counts, too, where a state that is open has been given up for one that solves the equations without the data.
        """
        if converged and self.before is not None and (self.rows.dominated() or self._lost_the_data()):
            c, values = self.before
            self.scales.restore(values)
            self.rows.put(c)
            self.rows.system.store()
            self._enter(self.stage - 1)
            self._finish_start()
        elif self.stage < STAGES - 1:
            self.before = self.rows.system.c.clone(), self.scales.values()
            self.ends.append(self.before)
            self._enter(self.stage + 1)
        else:
            self._finish_start()

    def _lost_the_data(self) -> bool:
        """Whether the state is open and the data are met much worse than in the stage before."""
        if not self.starts.open:
            return False
        now, values, after = self.rows.system.c.clone(), self.scales.values(), self.starts.misfit()
        self.scales.restore(self.before[1])
        self.rows.put(self.before[0])
        before = self.starts.misfit()
        self.scales.restore(values)
        self.rows.put(now)
        return BETTER * after > before

    def _step(self) -> bool:
        """One step; whether the stage is over."""
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
                late = self.before is not None or self.before_all is not None
                creeps = late and before - after < CREEPING * before and rows.dominated()
                return (before - after < DONE * before or creeps) and not changed
        system.set(state)
        return True

    # Starts ---------------------------------------------------------------------------------------------------------

    def _explore(self) -> None:
        """One start of the search for the unknowns alone; after the last, the best is where the method begins."""
        found = self.starts.explore(self.start)
        if found is None:
            self.exploring = False
            return
        misfit, eta, c = found
        self.linear = True
        self.scales.set(eta)
        self.explored.append((misfit, eta, c, self.scales.values()))
        self.explored.sort(key=lambda f: f[0])
        self.start += 1
        agreed = _agree([f[3] for f in self.explored], [f[0] ** 2 for f in self.explored])
        if (agreed and self.start >= min(LEAST_STARTS, self.most_starts)) or self.start >= self.most_starts:
            _, eta, c, values = self.explored[0]
            self.scales.set(eta)
            self.rows.put(c)
            self.rows.system.store()
            self.exploring, self.agreed, self.before_all = False, agreed, (values, agreed, self.start)
            if self.preliminary:
                penalty = self.rows.omega, self.rows.rough
                self.found = [(self.explored[0][0], c, values, self.rows.deviations, penalty, STAGES - 1, True)]
                self._reason = "explored"
            else:
                self.start, self.before = 0, None
                self._enter(STAGES - 2)
        self.objective.mean_squares()

    def _finish_start(self) -> None:
        """Keep what this start gave; then the next, unless two agree or all are done."""
        rows = self.rows
        if self.scales.names and not self.problem.unknown_fields:
            self._fit_alone()
        factors = rows.factors(rows.linearize())
        merit = rows.merit(factors) / rows.share**2
        if self.alone:  # what the features leave of the equations counts for nothing
            merit = (self._unit(factors) * self.starts.misfit() / rows.share) ** 2
        penalty = rows.omega, rows.rough
        deviations = [d.clone() for d in rows.deviations]
        end = self.scales.values(), deviations, penalty, self.stage, self.alone
        self.found.append((merit, rows.system.c.clone(), *end))
        self.starts.guesses.append(self.scales.get())
        self.found.sort(key=lambda f: f[0])
        agreed = _agree([f[2] for f in self.found], [f[0] for f in self.found])
        self.start, self.stage, self.round = self.start + 1, -1, 0
        agreed = agreed and self.start >= min(LEAST_STARTS, self.most_starts)
        starts = self.start
        if self.before_all is not None and self.start == 1:
            values, agreed_, count = self.before_all
            if all(abs(a - b) <= NEAR * abs(a) for a, b in zip(self.found[0][2], values, strict=True)):
                agreed, starts = agreed_, count
        self.agreed = agreed or self.most_starts == 1
        if self.agreed or starts >= self.most_starts:
            self._take_best()
            if self.robust:
                self._reweigh()
            self._compare()
            doubt = "" if self.agreed else ", which do not agree: a better one may exist"
            self._reason = f"converged, best of {starts} start(s){doubt}"

    def _fit_alone(self) -> None:
        """Fit the unknowns alone, each with the state that meets the equations, where that meets the data much better.

        What the features leave of the equations is traded against the data in the joint problem. With few features or
        data, or without noise, that would distort the estimate from stage to stage: unknowns whose solutions the
        features meet best would win. The ends of the stages, with the states that belong to them, show it.
        """
        rows, starts = self.rows, self.starts
        now, before = (rows.system.c.clone(), self.scales.values()), starts.misfit()
        # Before the last stage the equations are not exact: as good is enough, and as exact data as one can ask.
        least = BETTER * before if self.stage == STAGES - 1 else before + starts.negligible
        deviations, best = [d.clone() for d in rows.deviations], (least, None)
        for c, values in self.ends:
            self.scales.restore(values)
            starts.reference = None if self.linear else c
            if starts.open is None:
                starts.open = starts.leaves_open(self.scales.get())
            if starts.open:
                break
            misfit = float(np.linalg.norm(starts.residual(self.scales.get())))
            best = min(best, (misfit, (c, values)), key=lambda pair: pair[0])
        if best[1] is not None and not starts.open:
            starts.reference = None if self.linear else best[1][0]
            self.scales.restore(best[1][1])
            starts.settle(self.scales.get())
            if starts.misfit() <= least:
                self.alone = True
                rows.system.store()
                self._enter(STAGES - 1)
                return
        self.scales.restore(now[1])
        rows.put(now[0])
        rows.deviations = deviations

    def _unit(self, factors) -> float:
        """The scale of one standard deviation of the data among the rows."""
        return float((factors[self.rows.observed[0]] * self.rows.effective[0])[0])

    def _take_best(self) -> None:
        _, c, values, self.rows.deviations, penalty, self.final, self.alone = self.found[0]
        self.rows.omega, self.rows.rough = penalty
        self.scales.restore(values)
        self.rows.put(c)

    def _reweigh(self) -> None:
        """Weights of the robust loss and the estimate in turn, until they have settled."""
        rows = self.rows
        for _ in range(REWEIGHTED):
            terms = rows.linearize()
            factors = rows.factors(terms)
            if not rows.reweigh(rows.reduce(terms, factors), factors):
                return
            if rows.known is None:
                rows.estimate_noise(rows.reduce(terms, factors), factors)
            if self.alone or (self.linear and not self.starts.open):
                self.starts.settle(self.scales.get())
                continue
            self._enter(self.final)
            for _ in range(ROUNDS):
                if self._step():
                    break

    def _compare(self) -> None:
        """Identify once more with other features and points, from near the values found: how much does that change?"""
        twin = getattr(self.objective, "twin", None)
        if twin is None or self.problem.unknown_fields:
            return
        eta, noise = self.scales.get(), dict(zip(self.problem.observations, self.rows.deviations, strict=True))
        other = Joint(twin(), 2 * MOST_ROUNDS, noise=None if self.known is None else noise, starts=1)
        other.rows.scales = self.scales
        try:
            self.rows.system.store()
            self.scales.set(eta + ASIDE * torch.where(eta == 0, 1.0, eta.abs()))
            other._begin_from(self)
            while other.stopped is None:
                other.step()
            self.twin_values = self.scales.values()
            x = torch.as_tensor(self.objective.data.train_x)
            with torch.no_grad():
                u, v = self.objective.net(x), other.objective.net(x)
            self.twin_distance = ((u - v).norm() / u.norm().clamp_min(1e-300)).item()
        except (TrainingError, InputError):
            pass
        finally:
            self.scales.set(eta)

    def posterior(self):
        """(`reduced.Posterior` at the solution in the network, the rows' factors); the noise estimated or given."""
        rows = self.rows
        rows.share = SHARES[self.final]
        robust, rows.weights = rows.weights if self.robust else None, rows.alone
        terms = rows.linearize()
        factors = rows.factors(terms)
        reduced, residuals = rows.reduce(terms, factors), [t.residual for t in terms]
        reduced.layout = replace(rows.layout, roughness=rows.rough)
        unit = self._unit(factors)
        self.dominated = rows.dominates(residuals, factors)
        count = sum(w.sum().item() for w in rows.alone)
        sigma = None if rows.known is None else unit
        found = reduced.posterior(rows.omega, rows.split(residuals, factors, True), sigma, count)
        if robust:
            rows.weights = robust
            sizes = torch.cat([residuals[i] / d for i, d in zip(rows.observed, rows.deviations, strict=True)])
            found.inflation = huber_inflation(sizes, torch.cat(rows.alone), found.dof)
            found.sigma = found.estimated = unit * found.inflation
        if self.alone:
            found.step = torch.zeros_like(found.step)
        found.unit, found.physics = unit, rows.split(residuals, factors, False).norm().item()
        return found, factors

    def misfit(self, eta: torch.Tensor) -> float:
        """Sum of squares of the observations' residuals over their deviations for unknowns on their internal scale,
        each with the state that belongs to them, begun from the one in the network; everything is left as it was."""
        rows = self.rows
        before, values, starts = rows.system.c.clone(), self.scales.values(), self.starts
        starts.reference = None if self.linear else before
        try:
            if starts.open is None:
                starts.open = starts.leaves_open(self.scales.get())
            return float(np.square(starts.residual(eta)).sum())
        finally:
            self.scales.restore(values)
            rows.put(before)

    def minima(self) -> list[torch.Tensor]:
        """Unknowns, on their internal scale, at the minima found from other starts that are not much worse."""
        found = []
        for level in (self, self.coarse):
            for ends in (level.explored, level.found) if level else ():
                roots = [e[0] if ends is level.explored else math.sqrt(e[0]) for e in ends]
                chosen = [
                    e[2] if ends is level.found else e[3] for e, r in zip(ends, roots, strict=True) if r <= 2 * roots[0]
                ]
                found += [
                    [self.scales.internal(n, v) for n, v in zip(self.scales.names, c, strict=True)] for c in chosen
                ]
        return [torch.tensor(f, dtype=torch.float64) for f in found]

    def polished(self, eta: torch.Tensor) -> torch.Tensor:
        """The minimum near unknowns, where the equations are linear in the state; everything is left as it was."""
        if not self.linear:
            return eta
        before, values = self.rows.system.c.clone(), self.scales.values()
        try:
            return self.starts.polish(eta)
        finally:
            self.scales.restore(values)
            self.rows.put(before)

    # Checkpoints ----------------------------------------------------------------------------------------------------

    _STATE = (
        "exploring",
        "linear",
        "explored",
        "before_all",
        "iteration",
        "start",
        "stage",
        "round",
        "damping",
        "final",
        "before",
        "found",
        "agreed",
        "ends",
        "alone",
        "twin_values",
        "twin_distance",
    )
    _OF_ROWS = ("share", "deviations", "weights", "robust", "omega", "rough")

    def state_dict(self) -> dict:
        own = {name: getattr(self, name) for name in self._STATE}
        of_rows = {name: getattr(self.rows, name) for name in self._OF_ROWS}
        starts = self.starts.first, list(self.starts.guesses), self.starts.open
        coarse = self.coarse and (self.coarse.state_dict(), self.coarse.objective.net.state_dict())
        return {"own": own, "rows": of_rows, "starts": starts, "reason": self._reason, "coarse": coarse}

    def load_state_dict(self, state: dict) -> None:
        if self.coarse is not None:
            self.coarse.load_state_dict(state["coarse"][0])
            self.coarse.objective.net.load_state_dict(state["coarse"][1])
        for target, values in ((self, state["own"]), (self.rows, state["rows"])):
            for name, value in values.items():
                setattr(target, name, value)
        self.starts.first, self.starts.guesses = state["starts"][0], list(state["starts"][1])
        self.starts.open = state["starts"][2]
        self._reason = state["reason"]
        self.rows.reset()


def _agree(values: list, merits: list) -> bool:
    """Whether the first two of several starts, the best first, gave the same unknowns or sums of squares."""
    if len(values) < 2:
        return False
    near = all(abs(a - b) <= AGREE * max(abs(a), abs(b)) for a, b in zip(*values[:2], strict=True))
    return near or merits[1] - merits[0] <= AGREE**2 * merits[0]
