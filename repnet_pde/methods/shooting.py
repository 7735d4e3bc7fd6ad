"""Single shooting for inverse problems in time: the unknowns by Gauss-Newton, the state by marching."""

import copy
import dataclasses
import math
import types

import numpy as np
import torch
from scipy.optimize import lsq_linear

from ..arguments import number
from ..backend import seeded
from ..discretization.features import Features
from ..discretization.jets import orders, term_jets
from ..discretization.last_layer import as_layer, time_indices, trace_rows
from ..discretization.objective import Objective
from ..errors import InputError
from ..inverse.diagnostics import robust_deviation
from ..inverse.unknowns import (
    Scales,
    check_loss,
    check_noise,
    equal_deviations,
    first_deviations,
    huber_inflation,
    huber_weights,
    weights_of_copies,
)
from ..linalg.reduced import Layout, Reduced
from ..networks.slabs import Slabs
from ..problem.points import collocation
from ..problem.values import generic
from .marching import SPACE_FACTOR, Marching
from .method import Method
from .rows import SETTLED

ROUGH = 2e-2
"""Relative residual of the forward solutions until the unknowns have nearly been found."""
ROUGH_FACTOR = 9.0
"""Features of those (`marching.SPACE_FACTOR`)."""
TRIES, GAIN, FAR = 4, 0.3, 100.0
"""The tolerance counts as out of reach when so many attempts at a slab have not brought its residual to this part, and
it is still so many times the tolerance; when nearer, after three times as many."""
DOUBTFUL = 10.0
"""The discretisation is checked where a relative standard error is below so many tolerances."""
LOOSE = 3.0
"""A slab is solved anew where solving it again leaves more than this times the residual that is asked for."""
INACCURATE = 3.0
"""Error of a forward solution over its relative residual, at a guess."""
DONE = 1e-3
"""Relative decrease of the sum of squares by a step after which none follows."""
CLOSE = 0.1
"""Distance of the unknowns from the minimum, in their standard errors, at which they have been found ..."""
NEAR = 1.0
"""... and in the rough round."""
SMALL = 1e-5
"""Relative change of the unknowns by a step that is linear enough to be the last, without a solution after it."""
INSIDE = 0.9
"""Part of the way to a bound that one step may go."""
DAMPING = (1e-4, 1e6)
"""Levenberg-Marquardt damping, relative to the columns: the first, and the one at which no step is left to try."""


class Shooting(Method):
    """Gauss-Newton steps on the unknowns, with the state that belongs to them and its exact sensitivities.

    The equations are solved forward in time by `Marching`. In each slab the derivative of the last layer's
    coefficients for the unknowns follows from the same linear least-squares problem (tangent-linear model): the
    derivatives of the residuals, and of the state at the slab's start, are its right sides. After a step the slabs are
    solved again from the coefficients that these derivatives predict, and made anew only where that is not enough. Two
    rounds: with rough solutions, then with those of the tolerance; where conditions that do not fit together put that
    out of reach, the rough ones count. Where the noise is so small that the discretisation matters, the step that other
    slabs with more features would ask for tells how much.

    Args:
        objective: the loss of a problem with observations, on a `Slabs` network; its weights are not used.
        iterations: most solutions of slabs.
        noise, bounds, positive, loss: as for `Joint`.
        tolerance: relative residual of the forward solutions at validation points.

    Raises:
        InputError: a problem that it cannot treat, or a bad option.
    """

    name = "shooting"
    title = "Gauss-Newton on the unknowns, the state by space-time slabs"
    default_iterations = 10_000
    network = "repnet-slabs"

    @classmethod
    def unsuited(cls, problem) -> str | None:
        """The unknowns are numbers, observed, of a problem that can be solved slab by slab."""
        if problem.dtype != "float64":
            return "needs float64"
        if not (problem.observations and problem.unknowns):
            return "there are no observations, or no unknown numbers"
        if problem.unknown_fields:
            return "there are unknown fields"
        return Marching.unsuited(problem.forward())

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        noise=None,
        bounds=None,
        positive=(),
        loss: str = "squares",
        tolerance: float = 1e-5,
    ):
        problem = objective.problem
        if problem is None or not isinstance(objective.net, Slabs):
            raise InputError("network: shooting needs 'repnet-slabs', made by identify")
        if not problem.observations or not problem.unknowns or problem.unknown_fields:
            raise InputError(
                "method: shooting needs observations (dde.icbc.PointSetBC) and unknown numbers, and no unknown fields; "
                "choose joint or gauss-newton"
            )
        if not 0 < number("tolerance", tolerance) < 1:
            raise InputError(f"tolerance: {tolerance!r} given; a number between 0 and 1 is needed")
        self.objective, self.iterations, self.tolerance = objective, iterations, tolerance
        self.problem, self.net = problem, objective.net
        self.scales = Scales(problem.unknowns, bounds, positive)
        self.known = check_noise(noise, problem)
        self.deviations = self.known or first_deviations(problem)
        self.robust = check_loss(loss) == "huber"
        self.alone = weights_of_copies(problem)
        self.weights = self.alone
        """Of the data, by observation: 1/m for each of m copies, times those of a robust loss."""
        self.forward = problem.forward()
        self.watched = dataclasses.replace(self.forward, pde=None, residual_names=None, conditions=problem.observations)
        self.iteration, self.solutions, self.damping = 0, 0, DAMPING[0]
        self.rough = tolerance < ROUGH
        self.replaying = False
        """Whether the slabs are solved again; else they are made anew."""
        self.tangents: list[torch.Tensor] = []
        """For each slab solved the derivatives (p, q) of its coefficients for the unknowns."""
        self.best: dict | None = None
        self.checking, self.but = False, ""
        self.twin_values: list[float] | None = None
        """Values of the unknowns with other slabs and features."""
        self.hardest = math.inf
        """Residual of the first attempt that failed at the slab that is being made."""
        self._reason: str | None = None
        self._watch: tuple | None = None
        self._march = self._new_march()

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    @property
    def reached(self) -> float:
        """The time up to which there is a forward solution."""
        return self.net.reached

    @property
    def standing(self) -> str:
        """How far the forward solution has got, in words."""
        return f"forward solution {self.solutions + 1}: {self.net.standing}"

    @property
    def accuracy(self) -> float:
        """Of what the forward solutions predict, relative to the data: what is below tells nothing."""
        return INACCURATE * (ROUGH if self.best and self.best["rough"] else self.tolerance)

    def _new_march(self) -> Marching:
        view = types.SimpleNamespace(problem=self.forward, net=self.net, mean_squares=lambda: None)
        march = Marching(view, 10**9, tolerance=ROUGH if self.rough else self.tolerance)
        march.checks = False
        march.factor *= (ROUGH_FACTOR / SPACE_FACTOR if self.rough else 1.0) * (1.25 if self.checking else 1.0)
        if self.best is not None and (self.checking or not self.rough):  # for nearly the same unknowns
            march.guide = Slabs(len(self.problem.outputs), self.problem.geometry)
            march.guide.load_state_dict(self.best["net"])
        return march

    # Slabs ----------------------------------------------------------------------------------------------------------

    @property
    def unmet(self) -> bool:
        """Whether it has ended without any solution of the equations."""
        return self._reason is not None and self.best is None

    def step(self) -> None:
        """Solve one slab; after the last, the next unknowns."""
        self.iteration += 1
        self._advance()
        if self._reason is None and self.iteration >= self.iterations and self.best is not None:
            self._restore()

    def _advance(self) -> None:
        count = len(self.tangents)
        if not self.replaying:
            accepted = self._march.step()
            if accepted is not None:
                self._differentiate(accepted, count)
            elif self._march.stopped is not None or self._out_of_reach():
                reached = f"{self._march.tolerance:g} is out of reach at t = {self.net.reached:.4g}"
                self._failed(self._march.stopped or f"the tolerance {reached}")
                return
        else:
            attempt = self._march.again(count)
            if attempt is None or attempt.residual > LOOSE * self._march.tolerance:
                self._anew()
                return
            self._differentiate(attempt, count)
        if self.net.reached >= self.problem.box.upper[-1] and len(self.tangents) == len(self.net):
            self._evaluate()

    def _out_of_reach(self) -> bool:
        """Whether the attempts at this slab, of which there were several, lead nowhere; the rough round is patient."""
        march = self._march
        if march.failures <= 1:
            self.hardest = march.left
            return False
        tries = TRIES if march.left > FAR * march.tolerance else 3 * TRIES
        return not self.rough and march.failures >= tries and march.left >= GAIN * self.hardest

    def _anew(self) -> None:
        """Make all slabs anew, for the unknowns as they are."""
        self.net.clear()
        self.tangents, self.replaying, self._march = [], False, self._new_march()

    def _differentiate(self, attempt, i: int) -> None:
        """The derivatives of slab ``i``'s coefficients for the unknowns, with the last factorisation that solved it."""
        system, variables = attempt.system, list(self.problem.unknowns.values())
        system.unknowns = variables
        terms = system.linearize()
        system.unknowns = []
        right = [t.jacobian[:, len(system.c) :] for t in terms[: len(system.names)]]
        if i:
            x, order = system.continuity[0], system.order
            before = self.net.slabs[i - 1]
            features, linear = Features(before).at(x, time_indices(x.shape[1], order)), before.linears[-1]
            jet = features.jet(linear.weight.detach(), linear.bias.detach())
            rows = trace_rows(features, x, jet, system.transform, order)
            right += [-(r @ self.tangents[i - 1]) for _, r in rows]
        right = torch.cat([r * s for r, s in zip(right, attempt.outcome.scales, strict=True)])
        self.tangents.append(attempt.outcome.factor.solve(right))

    # Unknowns -------------------------------------------------------------------------------------------------------

    def _predict(self) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Residuals of the observations, each (n,), and their derivatives (n, q) for the unknowns, stacked."""
        if self._watch is None:
            with seeded(0):
                data = collocation(self.watched, few=20)
            outputs, transform = len(self.problem.outputs), self.net._output_transform
            with generic(self.scales.variables):
                indices = orders(data, outputs, transform)
            indices = indices and orders(data, outputs, transform, indices)
            if indices is None:
                raise InputError(
                    "conditions: shooting needs observations of u and its derivatives at one point each; choose "
                    "gauss-newton"
                )
            self._watch = data, indices
        data, indices = self._watch
        x, outputs = torch.as_tensor(data.train_x), len(self.problem.outputs)
        variables, q = list(self.problem.unknowns.values()), len(self.scales.names)
        jet, tangent = x.new_zeros(len(x), len(indices), outputs), x.new_zeros(len(x), len(indices), outputs, q)
        which = self.net.which(x[:, -1])
        for i in torch.unique(which).tolist():
            rows = torch.nonzero(which == i)[:, 0]
            slab, linear = Features(self.net.slabs[i]).at(x[rows], indices), self.net.slabs[i].linears[-1]
            jet[rows] = slab.jet(linear.weight.detach(), linear.bias.detach())
            for j, column in enumerate(self.tangents[i].T):
                tangent[rows, ..., j] = slab.jet(*as_layer(column, linear))
        names = list(self.watched.conditions)
        terms = term_jets(data, names, x, jet, indices, self.net._output_transform, variables)
        found = [
            sum((a[..., None] * tangent[part]).sum((1, 2)) for part, a in term.parts) + term.unknowns for term in terms
        ]
        return [term.residual[:, 0] for term in terms], torch.cat(found)

    def _merit(self, residuals) -> float:
        trios = zip(residuals, self.weights, self.deviations, strict=True)
        return sum((w * (r / d).square()).sum().item() for r, w, d in trios)

    def _weighted(self, residuals, slopes, weights=None) -> tuple[torch.Tensor, torch.Tensor]:
        """The derivatives (n, q) and the residuals (n,), each over its standard deviation, with its weight."""
        deviations = torch.cat(self.deviations) / torch.cat(weights or self.weights).sqrt()
        return slopes / deviations[:, None], torch.cat(residuals) / deviations

    def _evaluate(self) -> None:
        """All slabs are solved: take these unknowns or go back; then the next."""
        residuals, slopes = self._predict()
        self.solutions += 1
        if self.checking:
            step = self._solve(*self._weighted(residuals, slopes), 0.0)
            self.twin_values = [v + s for v, s in zip(self.best["values"], step.tolist(), strict=True)]
            self._end()
            return
        comparable = self.best is not None and self.best["rough"] == self.rough
        merit, before = self._merit(residuals), self._merit(self.best["residuals"]) if comparable else math.inf
        if comparable and not merit < before:
            if self._same(self.best["values"], self._march.tolerance):  # which is what the solutions are good to
                self._converged()
            else:
                self._failed("no step lowers the sum of squares")
            return
        self.best = {
            "values": self.scales.values(),
            "net": copy.deepcopy(self.net.state_dict()),
            "tangents": list(self.tangents),
            "residuals": residuals,
            "slopes": slopes,
            "rough": self.rough,
            "march": self._march.state_dict(),
        }
        self.damping = 0.0 if self.damping <= DAMPING[0] else self.damping / 10
        if not self.rough:
            self._estimate_noise(residuals)
        if not self._reweighed(residuals) and merit > (1 - DONE) * before:
            self._converged()
        else:
            self._next()

    def _next(self) -> None:
        """The Gauss-Newton step from the best unknowns; the slabs' coefficients follow it."""
        best = self.best
        rows, right = self._weighted(best["residuals"], best["slopes"])
        if not torch.isfinite(rows).all():
            self._reason = "the sensitivities are not finite"
            return
        gain = right.norm() ** 2 - (right + rows @ self._solve(rows, right, 0.0)).norm() ** 2
        near = NEAR if self.rough else CLOSE
        if gain <= near**2 * right.norm() ** 2 / max(len(right) - rows.shape[1], 1):
            self._converged()
            return
        step = self._solve(rows, right, self.damping)
        self.scales.restore([v + s for v, s in zip(best["values"], step.tolist(), strict=True)])
        self._predicted(step)
        if not self.rough and self._same(best["values"], SMALL):
            moved = (best["slopes"] @ step).split([len(r) for r in best["residuals"]])
            best["residuals"] = [r + m for r, m in zip(best["residuals"], moved, strict=True)]
            best |= {"values": self.scales.values(), "net": copy.deepcopy(self.net.state_dict())}
            self._converged()

    def _same(self, values: list[float], tolerance: float) -> bool:
        pairs = zip(self.scales.values(), values, strict=True)
        return all(abs(a - b) <= tolerance * abs(b) for a, b in pairs)

    def _solve(self, rows: torch.Tensor, right: torch.Tensor, damping: float) -> torch.Tensor:
        """δ (q,) of min ‖rows δ + right‖² + damping ‖D δ‖², D the lengths of the columns, within the bounds."""
        values = np.array(self.scales.values() if self.best is None else self.best["values"])
        lengths = rows.square().sum(0).sqrt().clamp_min(1e-300).numpy()
        matrix = np.concatenate([rows.numpy() / lengths, math.sqrt(damping) * np.eye(len(lengths))])
        target = -np.concatenate([right.numpy(), np.zeros(len(lengths))])
        ends = (np.array(end) for end in zip(*self.scales.bounds, strict=True))
        low, high = (INSIDE * (end - values) * lengths for end in ends)
        return torch.as_tensor(lsq_linear(matrix, target, (low, high)).x / lengths)

    @torch.no_grad()
    def _predicted(self, step: torch.Tensor) -> None:
        """Move all slabs by their derivatives, to be solved again."""
        for net, tangent in zip(self.net.slabs, self.best["tangents"], strict=True):
            linear = net.linears[-1]
            weight, bias = as_layer(tangent @ step, linear)
            linear.weight += weight
            linear.bias += bias
        self.tangents, self.replaying = [], True

    def _restore(self) -> None:
        """The best unknowns and their solution."""
        self.scales.restore(self.best["values"])
        self.net.load_state_dict(self.best["net"])
        self.tangents = list(self.best["tangents"])
        self._march = self._new_march()
        self._march.load_state_dict(self.best["march"])

    def _failed(self, reason: str) -> None:
        """These unknowns are no better, or have no solution: a shorter step from the best ones."""
        if self.best is None:
            self._reason = f"the features do not meet the equations: {reason}"
            return
        self._restore()
        if self.checking:
            self._end()
            return
        if self.best["rough"] and not self.rough:  # there is no solution to the tolerance even here
            self.but = f", the equations solved to {ROUGH:g} only: {reason}"
            self.rough = True
            self._check()
            return
        self.damping = max(10 * self.damping, DAMPING[0])
        if self.damping > DAMPING[1]:
            self._reason = f"stalled: {reason}"
            return
        self._next()

    def _converged(self) -> None:
        self._restore()
        if self.rough:
            self.rough, self.damping = False, DAMPING[0]
            self._anew()
        elif self._doubtful():
            self._check()
        else:
            self._end()

    def _check(self) -> None:
        """Solve once more with other slabs and more features."""
        self.checking = True
        self._anew()

    def _doubtful(self) -> bool:
        """Whether a standard error is so small that the error of the forward solutions may exceed it."""
        posterior, _ = self.posterior()
        errors = np.sqrt(np.diag(posterior.covariance(torch.ones(len(self.scales.names)))[0]))
        values, slopes = self.scales.values(), self.scales.slopes(self.scales.get()).abs().tolist()
        limit = DOUBTFUL * self.tolerance
        return any(e * s < limit * abs(v) for e, s, v in zip(errors, slopes, values, strict=True))

    def _end(self) -> None:
        self._restore()
        self._reason = f"converged after {self.solutions} forward solutions{self.but}"

    def _estimate_noise(self, residuals) -> None:
        """Deviations of the observations from their own residuals: of several, or for a robust loss."""
        if self.known is not None or (len(residuals) == 1 and not self.robust):
            return
        found = []
        for r, alone in zip(residuals, self.alone, strict=True):
            count = alone.sum().item()
            if self.robust:
                found.append(robust_deviation(r.numpy(), max(count - len(self.scales.names), 1.0)))
            else:
                found.append(math.sqrt((alone * r.square()).sum().item() / count))
        self.deviations = equal_deviations(found, [len(r) for r in residuals])

    def _reweighed(self, residuals) -> bool:
        """Set the weights of a robust loss from the residuals; whether they have changed."""
        if not self.robust or self.rough:
            return False
        before, trios = self.weights, zip(residuals, self.alone, self.deviations, strict=True)
        self.weights = [alone * huber_weights(r, d) for r, alone, d in trios]
        return any((a - b).abs().max().item() > SETTLED for a, b in zip(self.weights, before, strict=True))

    def posterior(self):
        """(`reduced.Posterior` of the unknowns, the rows' factors by term, None but for observations); None where
        there is no forward solution."""
        if self.best is None:
            return None
        slopes = self.best["slopes"] * self.scales.slopes(self.scales.get())
        rows, left = self._weighted(self.best["residuals"], slopes, self.alone)
        q = rows.shape[1]
        layout = Layout(torch.arange(0), torch.arange(0), left.new_zeros(0), q)
        reduced = Reduced(rows[:0], rows, -left, layout)
        factors: list = [None] * len(self.problem.term_names)
        for name, deviation in zip(self.problem.observations, self.deviations, strict=True):
            factors[self.problem.term_names.index(name)] = 1 / deviation
        alone = torch.cat(self.alone)
        found = reduced.posterior(0.0, left, None if self.known is None else 1.0, alone.sum().item())
        if self.robust:
            sizes = torch.cat([r / d for r, d in zip(self.best["residuals"], self.deviations, strict=True)])
            found.inflation = huber_inflation(sizes, alone, found.dof)
            found.sigma = found.estimated = found.inflation
        return found, factors

    # Checkpoints ----------------------------------------------------------------------------------------------------

    _STATE = (
        "iteration",
        "solutions",
        "damping",
        "rough",
        "replaying",
        "tangents",
        "best",
        "deviations",
        "weights",
        "checking",
        "but",
        "twin_values",
        "hardest",
    )

    def state_dict(self) -> dict:
        own = {name: getattr(self, name) for name in self._STATE}
        return own | {"march": self._march.state_dict(), "reason": self._reason}

    def load_state_dict(self, state: dict) -> None:
        for name in self._STATE:
            setattr(self, name, state[name])
        self._reason, self._march = state["reason"], self._new_march()
        self._march.load_state_dict(state["march"])
