"""The residuals of a problem with observations as the scaled rows of one least-squares problem."""

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...discretization.features import jet_of
from ...discretization.jets import orders_of_problem
from ...discretization.last_layer import JetSystem, check_finite
from ...discretization.objective import Objective
from ...errors import InputError
from ...inverse.diagnostics import EXPLAINED, rms, robust_deviation, systematic, values_of
from ...inverse.unknowns import Scales, equal_deviations, first_deviations, huber_weights, weights_of_copies
from ...linalg.dense import Factorization, Linearization
from ...linalg.reduced import SMOOTHNESS, Layout, Reduced
from ...networks.repnet import RepNet
from ...problem.problem import Problem

SETTLED = 1e-3
"""Change of the weights of a robust loss that counts as none."""
STEADY = 0.02
"""Relative change of the ratio of two noise levels below which it has settled."""
BAND = 1.5
"""Ratio of the largest to the smallest wavenumber of a band in which the coefficients of a field have one variance."""

WITHIN = 3.0
"""Root mean square residual over the standard deviation given, up to which it is noise."""

Factor = torch.Tensor | float
"""What the rows of a term are multiplied with: one number for each (n,), or the same for all."""


class Rows:
    """Linearised equations, conditions and observations for the last layer of a one-layer RepNet and the unknowns.

    The rows of the equations and of each condition are scaled to unit root mean square; those of the observations to
    their deviations and, together, to ``share``.

    Args:
        objective: of a problem with observations. scales: of its unknowns.
        known: standard deviations of each observation, or None.
    """

    def __init__(self, objective: Objective, scales: Scales, known: list[torch.Tensor] | None):
        self.objective, self.problem, self.scales, self.known = objective, objective.problem, scales, known
        self.names = list(self.problem.term_names)
        self.observed = [self.names.index(name) for name in self.problem.observations]
        self.layout = _layout(self.problem, objective.net)
        self.share = 1.0
        self.reset_noise()
        self.alone = weights_of_copies(self.problem)
        """Weights of the data, by observation: 1/m for each of m copies, which count as one."""
        self.weights = self.alone
        """The same times those of a robust loss."""
        self.robust = False
        """Whether `reweigh` has set them."""
        self.omega = 0.0
        self.rough = self.layout.roughness
        """Weight of the roughness, and the roughness of the fields' columns, scaled by bands."""

    @property
    def effective(self) -> list[torch.Tensor]:
        """Deviations of the data, with their weights."""
        return [d / w.sqrt() for d, w in zip(self.deviations, self.weights, strict=True)]

    @functools.cached_property
    def system(self) -> JetSystem:
        objective, problem = self.objective, self.problem
        indices = orders_of_problem(problem, objective.data)
        if indices is None:
            raise InputError("method: joint needs residuals that depend on u near one point each; choose gauss-newton")
        return JetSystem(objective.data, objective.net, self.names, indices, unknowns=objective.unknowns)

    def reset_noise(self) -> None:
        """Deviations as they are given or, where they are not, before any estimate of them."""
        self.deviations = self.known or first_deviations(self.problem)

    def reset(self) -> None:
        """Forget the coefficients: those in the network hold."""
        self.__dict__.pop("system", None)

    def linearize(self) -> list[Linearization]:
        """The terms, with the derivatives for the unknowns on their internal scale."""
        system, q = self.system, len(self.scales.names)
        terms = system.linearize()
        check_finite(system, terms)
        if q:
            slopes = self.scales.slopes(self.scales.get())
            for term in terms:
                term.jacobian[:, -q:] *= slopes
        return terms

    def factors(self, terms: Sequence[Linearization]) -> list[Factor]:
        """What each term's rows are multiplied with: the physics to unit root mean square of their rows for the
        network, the data to the stage's share of that and by their deviations."""
        width = len(self.system.c)
        factors: list[Factor] = []
        sizes = [t.jacobian[:, :width].square().sum(1) for t in terms]
        effective = self.effective
        together = torch.cat([sizes[i] / d**2 for i, d in zip(self.observed, effective, strict=True)])
        common = self.share / max(together.mean().sqrt().item(), 1e-300)
        for i, size in enumerate(sizes):
            if i in self.observed:
                factors.append(common / effective[self.observed.index(i)])
            else:
                root = size.mean().sqrt().item() if len(size) else 0.0
                factors.append(1 / root if root > 0 else 1.0)
        return factors

    def unit(self, factors: Sequence[Factor]) -> float:
        """The scale of one standard deviation of the data among the rows with these `factors`."""
        return float((factors[self.observed[0]] * self.effective[0])[0])

    def split(self, vectors: Sequence[torch.Tensor], factors: Sequence[Factor], data: bool) -> torch.Tensor:
        chosen = [
            scaled(v, f) for i, (v, f) in enumerate(zip(vectors, factors, strict=True)) if (i in self.observed) == data
        ]
        return torch.cat(chosen) if chosen else vectors[0][:0]

    def merit(self, factors: Sequence[Factor]) -> float:
        vectors = self.system.residuals()
        total = sum((v * f).square().sum().item() for v, f in zip(vectors, factors, strict=True))
        rough = self.rough * self.system.c[self.layout.fields]
        total += self.omega * rough.square().sum().item()
        return total if math.isfinite(total) else math.inf

    def explained(self) -> bool:
        """Whether state and unknowns follow every observation: its residuals are up to `EXPLAINED` times the standard
        deviation of its values, within the noise that is known, or unlike those of their neighbours."""
        vectors, observations = self.system.residuals(), self.problem.observations.values()
        for i, condition, deviation in zip(self.observed, observations, self.deviations, strict=True):
            residual = vectors[i].numpy()
            small = rms(residual) <= EXPLAINED * np.std(values_of(condition))
            noise = self.known is not None and rms(residual / deviation.numpy()) <= WITHIN
            if not small and not noise and systematic(np.asarray(condition.points), residual):
                return False
        return True

    def dominated(self) -> bool:
        return self.dominates(self.system.residuals(), self.factors(self.linearize()))

    def dominates(self, vectors: Sequence[torch.Tensor], factors: Sequence[Factor]) -> bool:
        """Whether the residuals of the equations outweigh those of the data."""
        physics, data = (self.split(vectors, factors, part).norm().item() for part in (False, True))
        return physics > data

    def reduce(self, terms: Sequence[Linearization], factors: Sequence[Factor]) -> Reduced:
        """The scaled joint problem for new coefficients and changes of the unknowns."""
        now = self.system.c
        jacobians, residuals = [t.jacobian for t in terms], [t.residual for t in terms]
        physics, data = (self.split(jacobians, factors, part) for part in (False, True))
        left = torch.cat([self.split(residuals, factors, part) for part in (False, True)])
        right = torch.cat([physics, data])[:, : len(now)] @ now - left
        return Reduced(physics, data, right, self.layout)

    def estimate_noise(self, reduced: Reduced, factors: Sequence[Factor]) -> bool:
        """Deviations of each observation from its own residuals; whether they have changed."""
        if self.known is not None or (len(self.observed) == 1 and not self.robust):
            return False
        vectors = self.system.residuals()
        residual = self.split(vectors, factors, True)
        leverage = reduced.posterior(self.omega, residual, None).leverage.split([len(d) for d in self.deviations])
        found = []
        for i, taken, weights, alone in zip(self.observed, leverage, self.weights, self.alone, strict=True):
            dof = max((alone.sum() - taken.sum()).item(), 0.5)
            if self.robust:
                found.append(robust_deviation(vectors[i].numpy(), dof))
            else:
                found.append(math.sqrt((weights * vectors[i].square()).sum().item() / dof))
        old = [d[0].item() for d in self.deviations]
        self.deviations = equal_deviations(found, [len(d) for d in self.deviations])
        new = [d[0].item() for d in self.deviations]
        return any(abs(n * old[0] / (o * new[0]) - 1) > STEADY for n, o in zip(new, old, strict=True))

    def reweigh(self, reduced: Reduced, factors: Sequence[Factor]) -> bool:
        """Weights of Huber's loss from the residuals; whether they have changed."""
        vectors, before = self.system.residuals(), self.weights
        residual = self.split(vectors, factors, True)
        leverage = reduced.posterior(self.omega, residual, None).leverage.split([len(d) for d in self.deviations])
        found = []
        for i, taken, alone, given in zip(self.observed, leverage, self.alone, self.deviations, strict=True):
            deviation: Factor = given
            if self.known is None:
                dof = max((alone.sum() - taken.sum()).item(), 0.5)
                deviation = robust_deviation(vectors[i].numpy(), dof)
            found.append(alone * huber_weights(vectors[i], deviation))
        self.weights, self.robust = found, True
        return any((a - b).abs().max().item() > SETTLED for a, b in zip(found, before, strict=True))

    def put(self, c: torch.Tensor) -> None:
        """Set the coefficients, with the unknowns as they are."""
        held = [v.detach().clone() for v in self.system.unknowns]
        self.system.set((c, self.system.jet, True, held), torch.zeros(len(c) + len(held), dtype=c.dtype))

    def restore(self, c: torch.Tensor, values: list[float]) -> None:
        """Set the coefficients (p,) and the unknowns, to the last bit."""
        self.scales.restore(values)
        self.put(c)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Leave coefficients and unknowns, which may be set within, as they are."""
        c, values = self.system.c.clone(), self.scales.values()
        try:
            yield
        finally:
            self.restore(c, values)

    def transfer(self, net: RepNet) -> None:
        """Set the coefficients to the solution in another network of the kind, with the unknowns as they are."""
        system = self.system
        zero = (0,) * system.x.shape[1]
        at = system.features.at(system.x, [zero])
        values = jet_of(net, system.x, [zero])[:, 0]
        found = Factorization(at.rows(torch.ones(len(values), 1, 1, dtype=values.dtype))).solve(-values)
        self.put(torch.cat([found[:-1].T.reshape(-1), found[-1]]))

    def state_rows(self, share: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, list[Factor]]:
        """The scaled rows of equations and conditions for the state (n, state), their residuals (n,), the factors.

        With a ``share`` the rows of the data follow, with that weight.
        """
        terms = self.linearize()
        before, self.share = self.share, share or self.share
        factors = self.factors(terms)
        self.share = before
        jacobians, residuals = [t.jacobian for t in terms], [t.residual for t in terms]
        parts = (False, True) if share else (False,)
        rows = torch.cat([self.split(jacobians, factors, part) for part in parts])[:, self.layout.state]
        return rows, torch.cat([self.split(residuals, factors, part) for part in parts]), factors

    def solve_state(self, steps: int, share: float = 0.0) -> list[Factor]:
        """Newton steps for the state that belongs to the fields and unknowns as they are; gives the last factors.

        With a ``share`` the data count as well, with that weight: where the equations leave the state open.
        """
        state = self.layout.state
        for _ in range(steps):
            rows, left, factors = self.state_rows(share)
            c = self.system.c.clone()
            c[state] = Factorization(rows).solve(left - rows @ c[state])
            self.put(c)
        return factors

    def correct_state(self) -> None:
        """The smallest change of the state by which the linearised equations and conditions are met."""
        rows, left, _ = self.state_rows()
        c = self.system.c.clone()
        c[self.layout.state] += Factorization(rows).solve(left)
        self.put(c)


def scaled(v: torch.Tensor, factor: Factor) -> torch.Tensor:
    """The rows of v (n,) or (n, p) times a number, or one for each (n,)."""
    return v * (factor[:, None] if isinstance(factor, torch.Tensor) and v.ndim == 2 else factor)


def wavenumbers(problem: Problem, net: RepNet) -> torch.Tensor:
    """|k| of the basis function of each coefficient, in the normalised domain; 0 for the constants."""
    weight, _ = net.first.linear_equivalent()
    size = (weight * torch.as_tensor(problem.box.half_width)).square().sum(1).sqrt().detach()
    outputs = net.output_layer().out_features
    return torch.cat([size.repeat(outputs), size.new_zeros(outputs)])


def _layout(problem: Problem, net: RepNet) -> Layout:
    n, outputs = net.output_layer().in_features, len(problem.outputs)
    of_fields = [problem.outputs.index(name) for name in problem.unknown_fields]
    output = torch.cat([torch.arange(outputs).repeat_interleave(n), torch.arange(outputs)])
    is_field = torch.isin(output, torch.tensor(of_fields, dtype=torch.long))
    fields = torch.nonzero(is_field)[:, 0]
    k = wavenumbers(problem, net)[fields]
    roughness = torch.where(k > 0, (1 + k.square()) ** (SMOOTHNESS / 2), 0.0)
    bands = torch.floor(torch.log(k.clamp_min(math.pi) / math.pi) / math.log(BAND)) + 1000 * output[fields]
    return Layout(torch.nonzero(~is_field)[:, 0], fields, roughness, len(problem.unknowns), bands)
