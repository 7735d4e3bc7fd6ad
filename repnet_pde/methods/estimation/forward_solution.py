"""The forward solution of an inverse problem in time, slab by slab, with its derivatives for the unknowns."""

import copy
import dataclasses
import math
from collections.abc import Callable

import torch

from ...backend import seeded
from ...discretization.features import Features
from ...discretization.jets import orders, term_jets
from ...discretization.last_layer import as_layer, time_indices, trace_rows
from ...errors import InputError
from ...inverse.unknowns import Scales
from ...networks.slabs import Slabs
from ...problem.points import collocation
from ...problem.problem import Problem
from ...problem.values import generic
from ..marching import Marching
from ..slabs.solver import Attempt, slab

TRIES, GAIN, FAR = 4, 0.3, 100.0
"""The tolerance counts as out of reach when so many attempts at a slab have not brought its residual to this part, and
it is still so many times the tolerance; when nearer, after three times as many."""
LOOSE = 3.0
"""A slab is solved anew where solving it again leaves more than this times the residual that is asked for."""


class ForwardSolution:
    """The state that belongs to the unknowns as they are, and its sensitivities.

    In each slab the derivative of the last layer's coefficients for the unknowns follows from the least-squares problem
    that gave these (tangent-linear model): the derivatives of the residuals, and of the state at the slab's start, are
    its right sides.

    Args:
        problem: with the unknowns and the observations. equations: the same without these (`Problem.forward`).
        net: the slabs. scales: of the unknowns.
        new_march: gives the `Marching` with which the slabs are made, with the settings that hold now.
    """

    def __init__(
        self, problem: Problem, equations: Problem, net: Slabs, scales: Scales, new_march: Callable[[], Marching]
    ):
        self.problem, self.net, self.scales, self._new_march = problem, net, scales, new_march
        self.watched = dataclasses.replace(equations, pde=None, residual_names=None, conditions=problem.observations)
        """The problem of the observations alone."""
        self.tangents: list[torch.Tensor] = []
        """For each slab solved the derivatives (p, q) of its coefficients for the unknowns."""
        self.replaying = False
        """Whether the slabs are solved again; else they are made anew."""
        self.hardest = math.inf
        """Residual of the first attempt that failed at the slab that is being made."""
        self._watch: tuple | None = None
        self.march = new_march()

    @property
    def complete(self) -> bool:
        """Whether all slabs are solved for the unknowns as they are."""
        return self.march.reached >= self.problem.box.upper[-1] and len(self.tangents) == len(self.net)

    def anew(self) -> None:
        """Make all slabs anew, for the unknowns as they are."""
        self.net.clear()
        self.tangents, self.replaying, self.march = [], False, self._new_march()

    def advance(self, patient: bool) -> str | None:
        """Solve one slab; the reason where the forward solution fails.

        Args:
            patient: whether to go on with attempts as long as the march does.
        """
        count, march = len(self.tangents), self.march
        if not self.replaying:
            accepted = march.advance()
            if accepted is not None:
                self._differentiate(accepted, count)
            elif march.stopped is not None or self._out_of_reach(patient):
                reached = f"{march.tolerance:g} is out of reach at t = {march.reached:.4g}"
                return march.stopped or f"the tolerance {reached}"
        else:
            attempt = march.again(count)
            if attempt is None or attempt.residual > LOOSE * march.tolerance:
                self.anew()
            else:
                self._differentiate(attempt, count)
        return None

    def _out_of_reach(self, patient: bool) -> bool:
        """Whether the attempts at this slab, of which there were several, lead nowhere."""
        march, control = self.march, self.march.control
        if control.failures <= 1:
            self.hardest = control.left
            return False
        tries = TRIES if control.left > FAR * march.tolerance else 3 * TRIES
        return not patient and control.failures >= tries and control.left >= GAIN * self.hardest

    def _differentiate(self, attempt: Attempt, i: int) -> None:
        """The derivatives of slab ``i``'s coefficients for the unknowns, with the last factorisation that solved it."""
        system, factor, variables = attempt.system, attempt.outcome.factor, list(self.problem.unknowns.values())
        assert factor is not None  # Newton's method leaves one
        system.unknowns = variables
        terms = system.linearize()
        system.unknowns = []
        right = [t.jacobian[:, len(system.c) :] for t in terms[: len(system.names)]]
        if i:
            x, order = system.continuity[0], system.order
            before = slab(self.net, i - 1)
            basis, linear = Features(before).at(x, time_indices(x.shape[1], order)), before.output_layer()
            jet = basis.jet(linear.weight.detach(), linear.bias.detach())
            rows = trace_rows(basis, x, jet, system.transform, order)
            right += [-(r @ self.tangents[i - 1]) for _, r in rows]
        scaled = torch.cat([r * s for r, s in zip(right, attempt.outcome.scales, strict=True)])
        self.tangents.append(factor.solve(scaled))

    def predict(self) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Residuals of the observations, each (n,), and their derivatives (n, q) for the unknowns, stacked."""
        if self._watch is None:
            self._watch = self._observed()
        data, indices = self._watch
        x, outputs = torch.as_tensor(data.train_x), len(self.problem.outputs)
        variables, q = list(self.problem.unknowns.values()), len(self.scales.names)
        jet, tangent = x.new_zeros(len(x), len(indices), outputs), x.new_zeros(len(x), len(indices), outputs, q)
        which = self.net.which(x[:, -1])
        for i in torch.unique(which).tolist():
            rows = torch.nonzero(which == i)[:, 0]
            net = slab(self.net, i)
            basis, linear = Features(net).at(x[rows], indices), net.output_layer()
            jet[rows] = basis.jet(linear.weight.detach(), linear.bias.detach())
            for j, column in enumerate(self.tangents[i].T):
                tangent[rows, ..., j] = basis.jet(*as_layer(column, linear))
        names = list(self.watched.conditions)
        terms = term_jets(data, names, x, jet, indices, self.net._output_transform, variables)
        found = [
            sum((a[..., None] * tangent[part]).sum((1, 2)) for part, a in term.parts) + term.unknowns for term in terms
        ]
        return [term.residual[:, 0] for term in terms], torch.cat(found)

    def _observed(self) -> tuple:
        """The data of the observations, and the derivatives that these depend on."""
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
        return data, indices

    @torch.no_grad()
    def move(self, tangents: list[torch.Tensor], step: torch.Tensor) -> None:
        """Move all slabs by their derivatives for a step (q,) of the unknowns, to be solved again."""
        for i, tangent in zip(range(len(self.net)), tangents, strict=True):
            linear = slab(self.net, i).output_layer()
            weight, bias = as_layer(tangent @ step, linear)
            linear.weight.add_(weight)
            linear.bias.add_(bias)
        self.tangents, self.replaying = [], True

    def taken(self) -> dict:
        """A copy to which `restore` goes back."""
        return {
            "net": copy.deepcopy(self.net.state_dict()),
            "tangents": list(self.tangents),
            "march": self.march.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Go back to what `taken` gave."""
        self.net.load_state_dict(state["net"])
        self.tangents = list(state["tangents"])
        self.march = self._new_march()
        self.march.load_state_dict(state["march"])

    def state_dict(self) -> dict:
        """Plain types and tensors that continue it, with the network, to the last bit."""
        return {
            "tangents": self.tangents,
            "replaying": self.replaying,
            "hardest": self.hardest,
            "march": self.march.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.tangents, self.replaying, self.hardest = state["tangents"], state["replaying"], state["hardest"]
        self.march = self._new_march()
        self.march.load_state_dict(state["march"])
