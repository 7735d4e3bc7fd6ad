"""Joint Gauss-Newton for inverse problems: last layer of a one-layer RepNet, unknown fields and unknown numbers."""

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import least_squares

from .._checks import whole
from ..errors import InputError, TrainingError
from ..features import Features
from ..inference import SMOOTHNESS, Layout, Reduced
from ..jets import orders
from ..jets import values as jet_values
from ..objective import Objective
from ..unknowns import Scales, check_noise
from ._dense import Factorization
from ._last_layer import JetSystem, check_finite

SHARES = (1.0, 1e-2, 1e-4, 1e-6)
"""Weight of the data against the physics, stage by stage: first the state follows the data, at last the physics are
exact."""
SOFT = 1e-3
NEAR = 0.1
"""Relative change of the unknowns between the coarse and the full network from which other starts are tried."""
SCREENED, SCREENING = 200, 3e10
"""Candidates of which the best is the next start: most of them, and most of their rows × columns² together."""
BENT = 1e-6
"""Relative mismatch of predicted and actual residuals up to which the equations count as linear in the state."""
SPREADS = (0.1, 0.3, 1.0)
"""Standard deviations of the logarithms of the factors by which they differ from values that are known."""
STATE_STEPS = 3
"""Newton steps for the state that belongs to the first fields."""
LEAST_STARTS = 3
"""Of which the last is the first that is not near the values given."""
LENGTHS = (1.0, 0.5, 0.25, 0.12, 0.06)
ROUNDS = 10
"""Steps in each stage but the last."""
MOST_ROUNDS = 25
DONE = 1e-3
"""Relative decrease of the sum of squares below which a stage is over."""
CREEPING = 0.1
"""The same where what is left of the equations outweighs the data."""
AGREE = 1e-3
STEADY = 0.02
"""Relative change of the ratio of two noise levels below which it has settled."""
BAND = 1.5
"""Ratio of the largest to the smallest wavenumber of a band in which the coefficients of a field have one variance."""
RATIO = 1e-6
"""Smallest estimated standard deviation of one observation over the largest."""


class Joint:
    """Gauss-Newton steps on state, unknown fields and unknown numbers together, the state eliminated by QR.

    The data count as much as the physics at first, so that the state is found near them whatever the unknowns, and less
    and less from stage to stage, until the physics hold as exactly as the features allow: the estimate is then the
    maximum-likelihood one for independent normal errors of the observations. Unknown fields are penalised by their
    roughness, as much as restricted maximum likelihood asks for. The unknown numbers are damped where a full step does
    not lower the sum of squares. From several starts the best is kept; when two agree no more are tried.

    Args:
        objective: the loss of a problem with observations; its weights are not used.
        iterations: most steps, of all starts together.
        noise: standard deviation of the observations: a number, or a mapping from their condition's name to a number
            or an array with one for each; None estimates it, for each condition of its own.
        bounds: name of an unknown -> (lower, upper), None for no bound.
        positive: names of unknowns that are positive.
        starts: most starts.

    Raises:
        InputError: a network or residuals that it cannot treat, or a bad option.
    """

    default_iterations = 500

    def __init__(
        self, objective: Objective, iterations: int, *, noise=None, bounds=None, positive=(), starts: int | None = None
    ):
        problem, net = objective.problem, objective.net
        if problem is None or not Features.known(net):
            raise InputError(
                "network: joint needs a RepNet with one hidden layer, in identify or solve; choose gauss-newton"
            )
        if not problem.observations:
            raise InputError("conditions: has no observations (dde.icbc.PointSetBC), from which joint could identify")
        whole("starts", starts, 1)
        self.objective, self.iterations, self.problem = objective, iterations, problem
        self.names = list(problem.term_names)
        self.observed = [self.names.index(name) for name in problem.observations]
        self.scales = Scales(problem.unknowns, bounds, positive)
        self.known = check_noise(noise, problem)
        self.most_starts = starts or (6 if problem.unknowns else 1)
        self.layout = _layout(problem, net)
        self.rough = self.layout.roughness
        """That of the fields' columns, scaled by bands."""
        self.iteration, self.start, self.stage, self.round, self.damping = 0, 0, -1, 0, 0.0
        self.omega, self.final = 0.0, len(SHARES) - 1
        self.before: tuple | None = None
        """Coefficients and unknowns at the end of the stage before."""
        self.deviations = self._first_deviations()
        self.found: list[tuple] = []
        self.guesses: list[torch.Tensor] = []
        """Unknowns, on their internal scale, near which the true ones may be."""
        self.first_eta = self.scales.get()
        self.agreed = False
        """Whether two starts, or as many as are to be tried, gave the same."""
        self.dominated = False
        """Whether what is left of the equations outweighs the misfit of the data; set by `posterior`."""
        self.twin_values: list[float] | None = None
        self.twin_distance: float | None = None
        """Values of the unknowns, and relative distance of the state, of a second solution with other features."""
        self._reason: str | None = None
        self._system: JetSystem | None = None
        small = objective.twin(coarse=True) if hasattr(objective, "twin") else None
        self.coarse = small and Joint(small, iterations, noise=noise, bounds=bounds, positive=positive, starts=starts)
        """The same with a smaller network, whose solution is this one's first start; or None."""

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def _first_deviations(self) -> list[torch.Tensor]:
        if self.known is not None:
            return self.known
        result = []
        for condition in self.problem.observations.values():
            size = torch.as_tensor(condition.values).detach().double().square().mean().sqrt()
            result.append(torch.full((len(condition.points),), max(size.item(), 1e-300), dtype=torch.float64))
        return result

    # Rows -----------------------------------------------------------------------------------------------------------

    def system(self) -> JetSystem:
        if self._system is None:
            objective, problem = self.objective, self.problem
            with self.scales.generic():
                indices = orders(objective.data, len(problem.outputs), objective.net._output_transform)
            if indices is None:
                raise InputError(
                    "method: joint needs residuals that depend on u near one point each; choose gauss-newton"
                )
            self._system = JetSystem(objective.data, objective.net, self.names, indices, unknowns=objective.unknowns)
        return self._system

    def _linearize(self):
        """The terms, with the derivatives for the unknowns on their internal scale."""
        system, q = self.system(), len(self.scales.names)
        terms = system.linearize()
        check_finite(system, terms)
        if q:
            slopes = self.scales.slopes(self.scales.get())
            for term in terms:
                term.jacobian[:, -q:] *= slopes
        return terms

    def _factors(self, terms) -> list:
        """What each term's rows are multiplied with: the physics to unit root mean square of their rows for the
        network, the data to the stage's share of that and by their deviations."""
        width = len(self.system().c)
        share, factors = SHARES[max(self.stage, 0)], []
        sizes = [t.jacobian[:, :width].square().sum(1) for t in terms]
        together = torch.cat([sizes[i] / d**2 for i, d in zip(self.observed, self.deviations, strict=True)])
        common = share / max(together.mean().sqrt().item(), 1e-300)
        for i, size in enumerate(sizes):
            if i in self.observed:
                factors.append(common / self.deviations[self.observed.index(i)])
            else:
                root = size.mean().sqrt().item() if len(size) else 0.0
                factors.append(1 / root if root > 0 else 1.0)
        return factors

    def _split(self, vectors, factors, data: bool) -> torch.Tensor:
        chosen = [
            _scaled(v, f) for i, (v, f) in enumerate(zip(vectors, factors, strict=True)) if (i in self.observed) == data
        ]
        return torch.cat(chosen) if chosen else vectors[0][:0]

    def _merit(self, factors) -> float:
        vectors = self.system().residuals()
        total = sum((v * f).square().sum().item() for v, f in zip(vectors, factors, strict=True))
        rough = self.rough * self.system().c[self.layout.fields]
        total += self.omega * rough.square().sum().item()
        return total if math.isfinite(total) else math.inf

    # Steps ----------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        if self.coarse is not None and self.coarse.stopped is None:
            self.iteration += 1
            self.coarse.step()
            self.objective.terms = self.coarse.objective.terms
            if self.coarse.stopped is not None:
                self.deviations = self.coarse.deviations
                self._transfer(self.coarse.objective.net)
            return
        if self.stage < 0:
            self._begin()
            self.round, self.damping, self.before = 0, 0.0, None
        self.iteration += 1
        self.round += 1
        over = self._step()
        if over or self.round >= (ROUNDS if self.stage < len(SHARES) - 1 else MOST_ROUNDS):
            self._end_stage(over)
        self.system().store()
        self.objective.mean_squares()

    def _end_stage(self, converged: bool) -> None:
        """The next stage, or the end of this start.

        Where the equations' residuals, which should have vanished faster than the data's weight, outweigh the data,
        they are at the floor that the features can reach and would distort the estimate: the stage before counts.
        """
        if converged and self.before is not None and self._dominated():
            c, values = self.before
            self.scales.restore(values)
            self._put(c)
            self.system().store()
            self.stage -= 1
            self._finish_start()
        elif self.stage < len(SHARES) - 1:
            self.before = self.system().c.clone(), self.scales.values()
            self.stage, self.round, self.damping = self.stage + 1, 0, 0.0
        else:
            self._finish_start()

    def _dominated(self) -> bool:
        return self._dominates(self.system().residuals(), self._factors(self._linearize()))

    def _dominates(self, vectors, factors) -> bool:
        """Whether the residuals of the equations outweigh those of the data."""
        physics, data = (self._split(vectors, factors, part).norm().item() for part in (False, True))
        return physics > data

    def _step(self) -> bool:
        """One step; whether the stage is over."""
        system = self.system()
        terms = self._linearize()
        factors = self._factors(terms)
        reduced = self._reduce(terms, factors)
        self.omega = reduced.choose_penalty()
        reduced.choose_bands(self.omega)
        self.rough = reduced.layout.roughness
        before = self._merit(factors)
        eta, state, now, q = self.scales.get(), system.get(), system.c, len(self.scales.names)
        trials = [(self.damping, length) for length in LENGTHS]
        trials += [(max(self.damping, 1e-4) * 10.0**k, 1.0) for k in range(1, 9)] if q else []
        for damping, length in trials:
            v = reduced.solve(self.omega, damping)
            if not torch.isfinite(v).all():
                continue
            self.scales.set(eta + length * v[len(now) :])
            self._put(now + length * (v[: len(now)] - now))
            after = self._merit(factors)
            if not after < before and self.stage >= len(SHARES) - 2:
                # What a step leaves of the equations, which are bilinear in state and unknowns, outweighs the data
                # (Maratos's effect): correct the state.
                self._correct_state()
                after = self._merit(factors)
            if after < before:
                self.damping = 0.0 if damping < 1e-5 else damping / 10
                changed = self._estimate_noise(reduced, factors)
                slow = before - after < CREEPING * before and self.before is not None and self._dominated()
                return (before - after < DONE * before or slow) and not changed
        system.set(state)
        return True

    def _reduce(self, terms, factors) -> Reduced:
        """The scaled joint problem for new coefficients and changes of the unknowns."""
        now = self.system().c
        jacobians, residuals = [t.jacobian for t in terms], [t.residual for t in terms]
        physics, data = (self._split(jacobians, factors, part) for part in (False, True))
        left = torch.cat([self._split(residuals, factors, part) for part in (False, True)])
        right = torch.cat([physics, data])[:, : len(now)] @ now - left
        return Reduced(physics, data, right, self.layout)

    def _estimate_noise(self, reduced: Reduced, factors) -> bool:
        """In the last stage: deviations of each observation from its own residuals; whether they have changed."""
        if self.known is not None or self.stage < len(SHARES) - 1 or len(self.observed) == 1:
            return False
        vectors = self.system().residuals()
        residual = self._split(vectors, factors, True)
        leverage = reduced.posterior(self.omega, residual, None).leverage.split([len(d) for d in self.deviations])
        found = []
        for i, taken in zip(self.observed, leverage, strict=True):
            dof = max(len(taken) - taken.sum().item(), 0.5)
            found.append(math.sqrt(vectors[i].square().sum().item() / dof))
        found = [max(f, RATIO * max(found), 1e-300) for f in found]
        old = [d[0].item() for d in self.deviations]
        self.deviations = [torch.full_like(d, f) for d, f in zip(self.deviations, found, strict=True)]
        return any(abs(f * old[0] / (o * found[0]) - 1) > STEADY for f, o in zip(found, old, strict=True))

    # Starts ---------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Set state, fields and unknowns for the next start.

        Without unknown fields: the smooth state near data and conditions, with the unknowns for which the equations
        hold best there, then with those given; then the best of many others. A field is sensitive to the noise in such
        a state's derivatives, so the first start of a problem with fields has constant ones and the state that belongs
        to them.
        """
        system, held = self.system(), len(self.scales.names)
        self.stage, self.deviations = 0, self._first_deviations()
        kind = self.start - bool(self.problem.unknown_fields)
        self.scales.set(self.first_eta)
        if kind >= 2 and self._screen(np.random.default_rng(self.start)):
            self.stage = len(SHARES) - 2
            return
        zero = torch.zeros_like(system.c)
        for i, name in enumerate(self.problem.outputs):
            if name in self.problem.unknown_fields:  # a coefficient of 0 would leave no equation
                zero[len(zero) - len(self.problem.outputs) + i] = 1.0
        self._put(zero)
        if kind < 0:
            self._with_state()
            self.stage = len(SHARES) - 1
            return
        self._put(self._smooth(zero))
        if kind == 0 and held:
            self._from_equations(self.first_eta)
            self.guesses.append(self.scales.get())

    def _transfer(self, net) -> None:
        """Begin at the solution in another network, with the unknowns as they are."""
        system = self.system()
        zero = (0,) * system.x.shape[1]
        at = system.features.at(system.x, [zero])
        with torch.no_grad():
            values = net(system.x)
        found = Factorization(at.rows(torch.ones(len(values), 1, 1, dtype=values.dtype))).solve(-values)
        self._put(torch.cat([found[:-1].T.reshape(-1), found[-1]]))
        self.stage, self.round, self.damping, self.before = len(SHARES) - 2, 0, 0.0, None

    def _put(self, c: torch.Tensor) -> None:
        """Set the coefficients, with the unknowns as they are."""
        held = [v.detach().clone() for v in self.system().unknowns]
        self.system().set((c, self.system().jet, True, held), torch.zeros(len(c) + len(held), dtype=c.dtype))

    def _smooth(self, zero: torch.Tensor, data: bool = True) -> torch.Tensor:
        """Coefficients of a smooth function near the data (or not) and the conditions; linearised at ``zero``."""
        n_pde = len(self.names) - len(self.problem.conditions)
        chosen = [i for i in range(n_pde, len(self.names)) if data or i not in self.observed]
        terms = self._linearize()
        factors = self._factors(terms)
        rows = torch.cat([_scaled(terms[i].jacobian, factors[i]) for i in chosen])[:, : len(zero)]
        right = torch.cat([-terms[i].residual * factors[i] for i in chosen])
        rough = (1 + _wavenumbers(self.problem, self.objective.net).square()) ** 0.5
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
        problem, system = self.problem, self.system()
        factors, zero = self._factors(self._linearize()), system.c.clone()
        start = self._smooth(zero, data=False) if len(problem.conditions) > len(self.observed) else zero
        start[self.layout.state] = 0.0
        said = (start - zero)[self.layout.fields].abs().sum() > 0
        best = (math.inf, start)
        for power in (0,) if said else (0, 1, -1, 2, -2, 3, -3, 4, -4):
            c = start.clone()
            c[self.layout.fields] *= 10.0**power
            self._put(c)
            self._solve_state(STATE_STEPS)
            c = system.c.clone()
            vectors = system.residuals()
            misfit = self._split(vectors, factors, True).norm() + self._split(vectors, factors, False).norm()
            best = min(best, (misfit.item(), c), key=lambda pair: pair[0] if math.isfinite(pair[0]) else math.inf)
        self._put(best[1])

    def _solve_state(self, steps: int) -> None:
        """Newton steps for the state that belongs to the fields and unknowns as they are."""
        state = self.layout.state
        for _ in range(steps):
            rows, left = self._state_rows()
            c = self.system().c.clone()
            c[state] = Factorization(rows).solve(left - rows @ c[state])
            self._put(c)

    def _correct_state(self) -> None:
        """The smallest change of the state by which the linearised equations and conditions are met."""
        rows, left = self._state_rows()
        c = self.system().c.clone()
        c[self.layout.state] += Factorization(rows).solve(left)
        self._put(c)

    def _state_rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The scaled rows of equations and conditions for the state (n, state), and their residuals (n,)."""
        terms = self._linearize()
        factors = self._factors(terms)
        rows = self._split([t.jacobian for t in terms], factors, False)[:, self.layout.state]
        return rows, self._split([t.residual for t in terms], factors, False)

    def _from_equations(self, eta: torch.Tensor) -> None:
        """The unknowns for which the equations hold best for the smoothed data, where they depend on them."""
        system, n_pde = self.system(), len(self.names) - len(self.problem.conditions)
        if not n_pde:
            return
        factors = self._factors(self._linearize())[:n_pde]

        def residual(h):
            self.scales.set(torch.as_tensor(h))
            vectors = jet_values(system.data, system.x, system.jet, system.indices, system.transform)[:n_pde]
            return torch.cat([v * f for v, f in zip(vectors, factors, strict=True)]).numpy()

        def jacobian(h):
            self.scales.set(torch.as_tensor(h))
            found = self._linearize()[:n_pde]
            return torch.cat([t.jacobian[:, len(system.c) :] * f for t, f in zip(found, factors, strict=True)]).numpy()

        try:
            best = least_squares(residual, eta.numpy(), jac=jacobian, x_scale="jac", max_nfev=30)
            good = np.isfinite(best.x).all() and best.cost < np.square(residual(eta.numpy())).sum() / 2
        except (ValueError, TrainingError, OverflowError, np.linalg.LinAlgError):
            good = False
        self.scales.set(torch.as_tensor(best.x) if good else eta)

    def _screen(self, generator) -> bool:
        """Of many unknowns near those given, found or following from the equations take those that explain the data
        best, each with the state that meets the equations. False where these are not linear in the state, which they
        must be for that, or a field is unknown: the first are taken then.
        """
        centers = [self.first_eta, *self.guesses]
        system, state = self.system(), self.layout.state
        zero = torch.zeros_like(system.c)
        best = (math.inf, None, zero)
        work = len(zero) ** 2 * sum(len(v) for v in system.residuals())
        for count in range(1 + int(min(SCREENED, SCREENING / work))):
            eta = self._near(centers[generator.integers(len(centers))], generator)
            if count == 0:
                first = eta
                if self.problem.unknown_fields:
                    break
            self.scales.set(eta)
            self._put(zero)
            factors = self._factors(self._linearize())
            rows, left = self._state_rows()
            c = zero.clone()
            c[state] = Factorization(rows).solve(left)
            self._put(c)
            vectors = system.residuals()
            bent = self._split(vectors, factors, False) - left - rows @ c[state]
            if count == 0 and bent.norm() > BENT * left.norm():
                break
            deviations = zip(self.observed, self.deviations, strict=True)
            misfit = sum((vectors[i] / d).square().sum().item() for i, d in deviations)
            if misfit < best[0]:
                best = misfit, eta, c
        self.scales.set(first if best[1] is None else best[1])
        self._put(best[2])
        return best[1] is not None

    def _near(self, center: torch.Tensor, generator) -> torch.Tensor:
        """Unknowns near ``center``: each with even chance changed, on the scale on which it varies."""
        eta, spread = center.clone(), generator.choice(SPREADS)
        changed = generator.random(len(eta)) < 0.5
        changed[generator.integers(len(eta))] = True
        for i, (low, high) in enumerate(self.scales.bounds):
            step = spread * generator.normal()
            if math.isfinite(low) and math.isfinite(high) and spread == SPREADS[-1]:
                eta[i] = generator.logistic()
            elif math.isfinite(low) or math.isfinite(high):
                eta[i] += 1.5 * step * changed[i]
            elif changed[i]:
                eta[i] = (eta[i].item() or 1.0) * math.exp(step)
        return eta

    def _finish_start(self) -> None:
        """Keep what this start gave; then the next, unless two agree or all are done."""
        system = self.system()
        merit = self._merit(self._factors(self._linearize())) / SHARES[self.stage] ** 2
        deviations = [d.clone() for d in self.deviations]
        penalty = self.omega, self.rough
        self.found.append((merit, system.c.clone(), self.scales.values(), deviations, penalty, self.stage))
        self.guesses.append(self.scales.get())
        self.found.sort(key=lambda f: f[0])
        agreed = len(self.found) > 1 and (
            all(abs(a - b) <= AGREE * max(abs(a), abs(b)) for a, b in zip(*(f[2] for f in self.found[:2]), strict=True))
            or self.found[1][0] - self.found[0][0] <= AGREE**2 * self.found[0][0]
        )
        self.start, self.stage, self.round = self.start + 1, -1, 0
        agreed = agreed and self.start >= min(LEAST_STARTS, self.most_starts)
        starts = self.start
        if self.coarse is not None and self.start == 1:
            pairs = zip(self.found[0][2], self.coarse.found[0][2], strict=True)
            if all(abs(a - b) <= NEAR * abs(a) for a, b in pairs):
                agreed, starts = self.coarse.agreed, self.coarse.start
        self.agreed = agreed or self.most_starts == 1
        if self.agreed or starts >= self.most_starts:
            self._take_best()
            self._compare()
            doubt = "" if self.agreed else ", which do not agree: a better one may exist"
            self._reason = f"converged, best of {starts} start(s){doubt}"

    def _take_best(self) -> None:
        _, c, values, self.deviations, (self.omega, self.rough), self.final = self.found[0]
        self.scales.restore(values)
        self._put(c)

    def _compare(self) -> None:
        """Identify once more with other features and points, from the values found: how much does that change?"""
        twin = getattr(self.objective, "twin", None)
        if twin is None or self.problem.unknown_fields:
            return
        eta, noise = self.scales.get(), dict(zip(self.problem.observations, self.deviations, strict=True))
        other = Joint(twin(), 2 * MOST_ROUNDS, noise=None if self.known is None else noise, starts=1)
        other.scales, other.first_eta = self.scales, self.scales.get()
        other.start, other.most_starts = 1, 2
        try:
            other._transfer(self.objective.net)
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
        """(`inference.Posterior` at the solution in the network, the rows' factors); the noise estimated or given."""
        stage, self.stage = self.stage, self.final
        terms = self._linearize()
        factors = self._factors(terms)
        reduced, residuals = self._reduce(terms, factors), [t.residual for t in terms]
        reduced.layout = replace(self.layout, roughness=self.rough)
        self.stage = stage
        sigma = None
        if self.known is not None:
            sigma = float((factors[self.observed[0]] * self.deviations[0])[0])
        self.dominated = self._dominates(residuals, factors)
        return reduced.posterior(self.omega, self._split(residuals, factors, True), sigma), factors

    _STATE = (
        "iteration",
        "start",
        "stage",
        "round",
        "damping",
        "omega",
        "rough",
        "agreed",
        "final",
        "before",
        "deviations",
        "found",
        "guesses",
        "first_eta",
        "twin_values",
        "twin_distance",
    )

    def state_dict(self) -> dict:
        coarse = self.coarse and (self.coarse.state_dict(), self.coarse.objective.net.state_dict())
        return {name: getattr(self, name) for name in self._STATE} | {"reason": self._reason, "coarse": coarse}

    def load_state_dict(self, state: dict) -> None:
        if self.coarse is not None:
            self.coarse.load_state_dict(state["coarse"][0])
            self.coarse.objective.net.load_state_dict(state["coarse"][1])
        for name in self._STATE:
            setattr(self, name, state[name])
        self._reason, self._system = state["reason"], None


def _scaled(v: torch.Tensor, factor) -> torch.Tensor:
    """The rows of v (n,) or (n, p) times a number, or one for each (n,)."""
    return v * (factor[:, None] if isinstance(factor, torch.Tensor) and v.ndim == 2 else factor)


def _wavenumbers(problem, net) -> torch.Tensor:
    """|k| of the feature of each coefficient, in the normalised domain; 0 for the constants."""
    weight, _ = net.first.linear_equivalent()
    size = (weight * torch.as_tensor(problem.box.half_width)).square().sum(1).sqrt().detach()
    outputs = net.linears[-1].out_features
    return torch.cat([size.repeat(outputs), size.new_zeros(outputs)])


def _layout(problem, net) -> Layout:
    n, outputs = net.linears[-1].in_features, len(problem.outputs)
    of_fields = [problem.outputs.index(name) for name in problem.unknown_fields]
    output = torch.cat([torch.arange(outputs).repeat_interleave(n), torch.arange(outputs)])
    is_field = torch.isin(output, torch.tensor(of_fields, dtype=torch.long))
    fields = torch.nonzero(is_field)[:, 0]
    k = _wavenumbers(problem, net)[fields]
    roughness = torch.where(k > 0, (1 + k.square()) ** (SMOOTHNESS / 2), 0.0)
    bands = torch.floor(torch.log(k.clamp_min(math.pi) / math.pi) / math.log(BAND)) + 1000 * output[fields]
    return Layout(torch.nonzero(~is_field)[:, 0], fields, roughness, len(problem.unknowns), bands)
