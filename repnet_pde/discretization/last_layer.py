"""Residuals as functions of the last layer, in which the network's output is linear, and Newton's method on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .. import limits
from ..backend import dde
from ..errors import InputError, TrainingError
from ..linalg.dense import CUTOFF, Factorization, Linearization, row_scales, stack
from ..problem.residuals import residual_vectors
from .features import Features
from .jacobian import linearize, not_finite
from .jets import Index, orders, taylor, term_jets
from .jets import values as jet_values
from .parameters import move, restore

AFFINE = 1e-8
"""Relative mismatch of predicted and actual residual below which the residuals count as linear."""
CONVERGED = 1e-3
"""Convergence: a step that changes the residual vector by less than this fraction of it is the last."""
CONTRACTION = 0.3
"""An old Jacobian is kept while each step is smaller than this fraction of the previous one."""
SMALLEST_STEP = 1e-3
ROUNDING = 1e-12
MATRICES = 4
"""Copies of the Jacobian that a solve holds at the same time: by term, scaled, regularised, factorised."""
DAMPED = (1e-10, 1e-7, 1e-4)
"""Levenberg-Marquardt damping, as a cutoff, tried when a step fails because a singular Jacobian makes it too long."""
SLOW = 0.9
"""Stagnation: a step after which the residual is more than this fraction of the previous one, and not larger."""


def last_layer(net: torch.nn.Module) -> list[str]:
    """Names of the parameters of the last ``torch.nn.Linear``; `InputError` where there is none."""
    linear = [name for name, module in net.named_modules() if isinstance(module, torch.nn.Linear)]
    if not linear:
        raise InputError("network: has no torch.nn.Linear as its last layer, which least squares solves for")
    return [f"{linear[-1]}.{p}" for p, _ in net.get_submodule(linear[-1]).named_parameters()]


def last_linear(net: torch.nn.Module) -> torch.nn.Linear:
    """The last ``torch.nn.Linear``; `InputError` where there is none."""
    found = net.get_submodule(last_layer(net)[0].rpartition(".")[0])
    assert isinstance(found, torch.nn.Linear)
    return found


@torch.no_grad()
def into_last(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The inputs (n, p) of the last ``torch.nn.Linear`` at x (n, d)."""
    caught: list[torch.Tensor] = []
    handle = last_linear(net).register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
    try:
        net(x)
    finally:
        handle.remove()
    return caught[0]


def indices_for(problem_or_data, net, outputs: int) -> list[Index] | None:
    """The derivatives that a `JetSystem` needs, or None if a `CopySystem` has to be used."""
    return orders(problem_or_data, outputs, net._output_transform) if Features.known(net) else None


class CopySystem:
    """Any network: the Jacobian by copies of the last layer (`jacobian.linearize`), unknowns included."""

    def __init__(self, data, net, names: Sequence[str], unknowns: Sequence[torch.Tensor] = ()):
        self.data, self.net, self.names, self.unknowns = data, net, names, list(unknowns)
        self.layer = last_layer(net)
        self.parameters = [net.get_parameter(name) for name in self.layer] + self.unknowns

    def linearize(self) -> list[Linearization]:
        return linearize(self.data, self.net, self.names, self.layer, self.unknowns)

    def residuals(self) -> list[torch.Tensor]:
        vectors = [v.detach().reshape(-1) for v in residual_vectors(self.data, self.net)]
        dde.grad.clear()
        return vectors

    def size(self) -> torch.Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.parameters])

    def get(self):
        return [p.detach().clone() for p in self.parameters]

    def set(self, start, delta: torch.Tensor | None = None) -> None:
        if delta is None:
            restore(self.parameters, start)
        else:
            move(self.parameters, start, delta)


class JetSystem:
    """A RepNet with one hidden layer: the Jacobian from jets of u and closed-form derivatives of the basis functions.

    Args:
        data: points and conditions.
        net: a network that `Features` supports; its last layer is read at the start and written by `store`.
        names: of the terms.
        indices: the derivatives that the residuals depend on (`jets.orders`).
        continuity: (x (n, d), values) of the state from which this one continues: u and its time derivatives below
            ``order`` as `trace` returns them; or None.
        order: of the equation in time.
        start: jet of the u around which the first linearisation is made, in place of the network's own.
        unknowns: ``dde.Variable`` objects solved for as well; they always hold their current values.
    """

    def __init__(self, data, net, names, indices, *, continuity=None, order: int = 1, start=None, unknowns=()):
        self.unknowns = list(unknowns)
        self.data, self.net, self.names, self.indices, self.order = data, net, names, indices, order
        self.features, self.transform = Features(net), net._output_transform
        self.x = torch.as_tensor(data.train_x)
        self.linear = net.linears[-1]
        self.at = self.features.at(self.x, indices)
        self.continuity, self.known = continuity, start is None
        self.zero = start is not None and not start.any()
        self.c = torch.cat([self.linear.weight.detach().reshape(-1), self.linear.bias.detach()])
        if continuity is not None:
            self.at_start = self.features.at(continuity[0], time_indices(self.x.shape[1], order))
        if start is None:
            self.jet = self._jet(self.at)
        else:
            self.c, self.jet = torch.zeros_like(self.c), start

    def _jet(self, at) -> torch.Tensor:
        return at.jet(*as_layer(self.c, self.linear))

    def linearize(self) -> list[Linearization]:
        columns = len(self.c) + sum(v.numel() for v in self.unknowns)
        number = len(self.x) + (0 if self.continuity is None else self.order * len(self.continuity[0]))
        said = f"least squares with {number} rows and {columns} columns"
        limits.need(MATRICES * 8 * (number + columns) * columns, said)
        found = []
        jets = term_jets(self.data, self.names, self.x, self.jet, self.indices, self.transform, self.unknowns)
        for term in jets:
            first, *others = (self.at.rows(a, p) for p, a in term.parts)
            rows: torch.Tensor = sum(others, first)
            residual = term.residual[:, 0]
            if not self.known:  # the residual that the network with c = 0 has by this linearisation
                residual = residual - sum((a * self.jet[p]).sum((1, 2)) for p, a in term.parts)
            if self.unknowns:
                rows = torch.cat([rows, term.unknowns], 1)
            found.append(Linearization(term.name, residual, rows))
        if self.continuity is not None:
            found += self._continuity(True)
        return found

    def _continuity(self, jacobian: bool) -> list[Linearization]:
        x, wanted = self.continuity
        found = trace_rows(self.at_start, x, self._jet(self.at_start), self.transform, self.order, jacobian)
        return [
            Linearization(f"continuity {i}", value - target, rows)
            for i, ((value, rows), target) in enumerate(zip(found, wanted, strict=True))
        ]

    def residuals(self) -> list[torch.Tensor]:
        vectors = jet_values(self.data, self.x, self.jet, self.indices, self.transform)
        if self.continuity is not None:
            vectors += [term.residual for term in self._continuity(False)]
        return vectors

    def size(self) -> torch.Tensor:
        return torch.cat([self.c, *(v.detach().reshape(-1) for v in self.unknowns)])

    def get(self):
        return self.c, self.jet, self.known, [v.detach().clone() for v in self.unknowns]

    def set(self, start, delta: torch.Tensor | None = None) -> None:
        self.c, self.jet, self.known, unknowns = start
        restore(self.unknowns, unknowns)
        if delta is not None:
            change, of_unknowns = delta.split([len(self.c), len(delta) - len(self.c)])
            self.c, self.known = self.c + change, True
            self.jet = self._jet(self.at)
            move(self.unknowns, unknowns, of_unknowns)

    @torch.no_grad()
    def store(self) -> None:
        """Write the coefficients into the network."""
        weight, bias = as_layer(self.c, self.linear)
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)


def as_layer(c: torch.Tensor, linear: torch.nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients (p,) as weight and bias of a layer."""
    weight, bias = c.split([linear.weight.numel(), len(linear.bias)])
    return weight.view_as(linear.weight), bias


def time_indices(dim: int, order: int) -> list[Index]:
    """Time derivatives below ``order``; time is the last coordinate."""
    return [(0,) * (dim - 1) + (j,) for j in range(order)]


def trace(x: torch.Tensor, jet: torch.Tensor, indices, transform, order: int) -> list[torch.Tensor]:
    """u and its time derivatives below ``order``, each output of each (n,)."""
    inputs = x.detach().clone().requires_grad_()
    u = taylor(inputs, jet, indices, transform)
    result = list(u.unbind(1))
    now = result
    for _ in range(1, order):
        now = [torch.autograd.grad(v.sum(), inputs, create_graph=True)[0][:, -1] for v in now]
        result = result + now
    return result


def trace_rows(at, x: torch.Tensor, jet: torch.Tensor, transform, order: int, jacobian: bool = True):
    """`trace` with, of each of its values (n,), the rows (n, p) of the derivatives for the last layer.

    Args:
        at: the basis functions evaluated at ``x`` for the `time_indices`. jet: of u there.
        jacobian: whether to compute the rows; otherwise they have no columns.
    """
    jet = jet.detach().requires_grad_(jacobian)
    result = []
    for value in trace(x, jet, at.indices, transform, order):
        rows = value.new_empty(len(x), 0)
        if jacobian:
            (a,) = torch.autograd.grad(value.sum(), jet, retain_graph=True, materialize_grads=True)
            rows = at.rows(a)
        result.append((value.detach(), rows))
    return result


@dataclass
class Outcome:
    """Result of Newton's method on the last layer.

    affine: the residuals are linear in the last layer. converged: further steps change nothing. stalled: no step,
    however short, reduces the residual. norm: of the scaled residual per row. scales: by term. rank: numerical, of
    columns. steps, factorizations: numbers done. factor: of the last Jacobian.
    """

    affine: bool
    converged: bool
    stalled: bool
    norm: float
    scales: list[float]
    rank: int
    columns: int
    steps: int
    factorizations: int
    factor: Factorization | None = None


@dataclass
class LinearModel:
    """The residuals linearised at a state, r + J δ, with every term scaled to unit root mean square of its rows of J.

    jacobian, residual: scaled. scales: by term. factor: of the Jacobian. fresh: whether the residual is that of an
    actual state, so that it can be compared with another one.
    """

    jacobian: torch.Tensor
    residual: torch.Tensor
    scales: list[float]
    factor: Factorization
    fresh: bool

    def step(self) -> torch.Tensor:
        """The least-squares step δ (p,)."""
        return _finite(self.factor.solve(self.residual))

    def step_to_smallest(self, now: torch.Tensor) -> torch.Tensor:
        """The change δ (p,) from the coefficients ``now`` to the least-squares coefficients of smallest norm."""
        return _finite(self.factor.solve(self.residual - self.jacobian @ now) - now)

    def rounding(self, size: torch.Tensor) -> float:
        """Rounding error of the residual's norm for coefficients (p,)."""
        return 4 * torch.finfo(size.dtype).eps * (self.jacobian.abs() @ size.abs()).norm().item()


def _finite(delta: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(delta).all():
        raise TrainingError("least squares: the last layer's coefficients are not finite")
    return delta


@dataclass
class Progress:
    """Progress of Newton's method over all its Jacobians.

    affine, converged: as in `Outcome`. norm: of the scaled residual. accepted: whether the last step reduced it. first:
    whether that was the first step with its Jacobian. steps: number done.
    """

    affine: bool = False
    converged: bool = False
    norm: float = math.inf
    accepted: bool = False
    first: bool = True
    steps: int = 0


def newton(
    system, factorizations: int = 1, cutoff: float = CUTOFF, steps: int = 30, rank: bool = True, around=None
) -> Outcome:
    """Gauss-Newton method for nonlinear least squares; a factorisation is reused as long as the steps decrease fast.

    Every residual term is scaled to unit root mean square of its Jacobian's rows. A step is halved until the residual
    decreases. For linear residuals the second step is one of iterative refinement.

    Args:
        system: `JetSystem` or `CopySystem`; left at the best state found.
        factorizations: maximum number of them.
        rank: whether to compute it.
        around: coefficients (p,) to which the solution is the nearest; None is zero. Components that the rows do not
            determine keep their values there.

    Raises:
        TrainingError: a residual that is not finite; the message names the term and a point.
    """
    progress, found = Progress(), 0
    for count in range(1, factorizations + 1):
        model = _linear_model(system, cutoff)
        progress.norm = model.residual.norm().item() if model.fresh else math.inf
        if not model.fresh and around is None and getattr(system, "zero", False):
            model.fresh, progress.norm = True, (1 + ROUNDING) * model.residual.norm().item()
        _descend(system, model, progress, steps, around, judge_linearity=count == 1)
        found = count
        if progress.converged or (not progress.accepted and progress.first):
            break
    return Outcome(
        affine=progress.affine,
        converged=progress.converged,
        stalled=not progress.converged and not progress.accepted and progress.first,
        norm=progress.norm / math.sqrt(max(len(model.residual), 1)),
        scales=model.scales,
        rank=model.factor.rank() if rank else 0,
        columns=model.factor.columns,
        steps=progress.steps,
        factorizations=found,
        factor=model.factor,
    )


def _linear_model(system, cutoff: float) -> LinearModel:
    """The residuals linearised at the state of the system; `TrainingError` where they are not finite."""
    terms = system.linearize()
    check_finite(system, terms)
    scales = row_scales(terms)
    jacobian, residual = stack(terms, scales)
    del terms
    return LinearModel(jacobian, residual, scales, Factorization(jacobian, cutoff), getattr(system, "known", True))


def _descend(system, model: LinearModel, progress: Progress, steps: int, around, *, judge_linearity: bool) -> None:
    """Steps with one Jacobian, until they converge, do not contract fast, or ``steps`` are done in all."""
    last, progress.first, damped = math.inf, True, 0
    while progress.steps < steps:
        first, norm = progress.first, progress.norm
        if first and not damped:  # solve for coefficients of smallest norm, which minimises rounding errors
            delta = model.step_to_smallest(system.size() if around is None else system.size() - around)
        else:
            delta = model.step()
        change = model.jacobian @ delta
        predicted, moved = model.residual + change, change.norm().item()
        unjudged = first and not model.fresh  # there is no residual yet to compare the new one with
        step, actual, new = _line_search(system, delta, model.scales, norm, halved=first, unjudged=unjudged)
        if first:
            rounding = model.rounding(system.size())
        progress.steps += 1
        progress.accepted = accepted = new < norm or unjudged
        if first and judge_linearity and step == 1.0:
            largest = max(model.residual.norm().item(), new)
            progress.affine = bool((actual - predicted).norm() <= AFFINE * largest + rounding)
        if first and not accepted and predicted.norm() < SLOW * norm and damped < len(DAMPED):
            model.factor, damped = Factorization(model.jacobian, DAMPED[damped]), damped + 1
            continue
        floor = accepted and new > SLOW * norm  # stagnation at the floor
        if accepted:
            norm, model.residual = new, actual
            progress.norm = norm
        # That an old Jacobian fails to reduce the residual is conclusive only for linear residuals.
        settled = progress.affine or (first and moved <= norm)
        if damped and accepted:
            return
        if moved <= max(CONVERGED * norm, rounding) or ((floor or not accepted) and settled):
            # The coefficients of early iterates can be large: a new solve removes their rounding errors.
            progress.converged = progress.affine or first or rounding < 0.1 * norm
            return
        if not accepted or step < 1.0 or moved > CONTRACTION * last:
            return
        last, progress.first = moved, False


def _line_search(
    system, delta: torch.Tensor, scales, norm: float, *, halved: bool, unjudged: bool
) -> tuple[float, torch.Tensor, float]:
    """The step along ``delta`` that reduces the residual below ``norm``, with the scaled residual and its norm there.

    Args:
        system: moved by the step; unchanged if no step reduces the residual.
        halved: whether a step that does not is halved, down to `SMALLEST_STEP`; else only the full step is tried.
        unjudged: whether any finite residual is accepted.
    """
    before = system.get()
    step = 1.0
    while True:
        system.set(before, step * delta)
        actual = torch.cat([v * s for v, s in zip(system.residuals(), scales, strict=True)])
        new = actual.norm().item()
        if new < norm or (unjudged and math.isfinite(new)):
            break
        step /= 2
        if step < SMALLEST_STEP or not halved:
            system.set(before)
            break
    return step, actual, new


def check_finite(system, terms) -> None:
    """Raise `TrainingError` where residuals or Jacobian are not finite; it names the term and a point."""
    found = not_finite(system.data, system.names, [term.residual for term in terms[: len(system.names)]])
    if found is None and not all(torch.isfinite(term.jacobian).all() for term in terms):
        found = "the Jacobian is not finite"
    if found is not None:
        raise TrainingError(found)
