"""One slab of time: its network, its points, the state that it continues, and Newton's method on its last layer."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from ...checking.sizes import relative_residuals
from ...discretization.features import Features, jet_of
from ...discretization.jets import Index, orders_of_problem
from ...discretization.last_layer import JetSystem, Outcome, newton, time_indices, trace
from ...errors import InputError, TrainingError
from ...networks.repnet import RepNet
from ...networks.slabs import Slabs
from ...networks.warp import axis_map
from ...problem.points import collocation
from ...problem.problem import Problem
from .length_scales import NODES, WIDEST, count_scales, length_scales
from .second_solution import MORE

TIME_WAVENUMBER = 4.0
"""Largest wavenumber in time, in the slab normalised to [−1, 1]: about twelve independent functions."""
LEAST_WAVENUMBER = 12.0
"""Largest wavenumber in space where the solution is smooth."""
OVERHEAD = 10
"""Independent functions of an axis beyond 2 k / π per unit length of [−1, 1]."""
MARGIN = 1.1
"""Basis functions over the independent functions."""
MOST_FEATURES = 4000


@dataclass
class Attempt:
    """One slab as it was solved."""

    net: RepNet
    end: float
    residual: float
    scales: list[np.ndarray]
    system: JetSystem
    outcome: Outcome


Guess = Callable[[RepNet, Any, torch.Tensor, float], torch.Tensor]
"""Of a slab: network, data, points x (n, d) and begin -> jet (n, indices, outputs) at which Newton's method begins."""

Continuity = tuple[torch.Tensor, list[torch.Tensor]]
"""What a slab continues: points x (n, d) at its start, and u and its time derivatives there, each (n,)."""


def slab(net: Slabs, i: int) -> RepNet:
    """The network of a slab, by its number."""
    found = net.slabs[i]
    assert isinstance(found, RepNet)
    return found


def slab_network(net: Slabs, dim: int, end: float, scales: list[np.ndarray] | None, factor: float) -> RepNet:
    """A network for the slab from the end of ``net`` to ``end``, with basis functions where the length scales are
    small.

    Args:
        dim: coordinates, time included. scales: for each space axis as `length_scales` gives them; None: as wide as
            may be. factor: largest wavenumber over half the number of length scales across an axis.
    """
    nodes = np.linspace(-1, 1, NODES)
    scales = scales or [np.full(NODES, WIDEST)] * (dim - 1)
    maps = [axis_map(nodes, s) for s in scales] + [axis_map(nodes, np.full(NODES, WIDEST))]
    numbers = [max(LEAST_WAVENUMBER, factor * count_scales(s) / 2) for s in scales]
    numbers.append(TIME_WAVENUMBER)
    width = math.ceil(MARGIN * math.prod(2 * k / math.pi + OVERHEAD for k in numbers))
    width = min(width, MOST_FEATURES // net.outputs)
    return net.make(end, width, numbers, maps)


def another_network(net: Slabs, first: RepNet, end: float) -> RepNet:
    """A network with other basis functions, and more of them, for the slab that ``first`` is a network for.

    Args:
        net: to which it will be added. end: of the slab.
    """
    wavenumbers = Features(first).weight.abs().amax(0) * math.sqrt(MORE)
    width = math.ceil(MORE * first.output_layer().in_features)
    straight = [(np.array([1.0]), np.empty(0), np.empty(0))] * net.box.dim
    found = net.make(end, width, wavenumbers.tolist(), straight)
    found.warp = copy.deepcopy(first.warp)
    return found


class SlabSolver:
    """Solves for the last layer of one slab after another.

    Args:
        problem: the one that is solved. net: whose output transform counts.
    """

    def __init__(self, problem: Problem, net: Slabs):
        self.problem, self.net = problem, net
        self._indices: list[Index] | None = None

    @property
    def indices(self) -> list[Index]:
        """The derivatives that the residuals depend on, in the slab that was solved last."""
        if self._indices is None:
            self._indices = self._needed()
        return self._indices

    def _needed(self, *data: Any) -> list[Index]:
        """The derivatives that the residuals depend on, also those that act at the points of ``data`` alone."""
        found = orders_of_problem(self.problem, *data)
        if found is None or not 1 <= max(index[-1] for index in found) <= 2:
            raise InputError(
                "method: marching needs residuals that depend on u at one point each and on its first or second "
                "derivative in time; choose another method"
            )
        return found

    @property
    def order(self) -> int:
        """Of the equation in time."""
        return max(index[-1] for index in self.indices)

    def solve(
        self,
        net: RepNet,
        begin: float,
        end: float,
        previous: RepNet | None,
        guess: Guess | None = None,
        distribution: str | None = None,
        around: torch.Tensor | None = None,
    ) -> Attempt | None:
        """Newton's method on the last layer of ``net``, from its own or from what ``guess`` gives; None where it fails.

        Args:
            previous: the slab before, or None. distribution: of the points, in place of the problem's own.
            around: as for `newton`.
        """
        problem, width = self.problem, net.output_layer().in_features
        if self.net._output_transform is not None:
            net.apply_output_transform(self.net._output_transform)
        data = self._points(net, begin, end, width, distribution)
        x = torch.as_tensor(data.train_x)
        self._indices = indices = self._needed(data)
        start = None if guess is None else guess(net, data, x, begin)
        continuity = None if previous is None else self._state(net, previous, begin, width)
        system = JetSystem(data, net, problem.term_names, indices, continuity=continuity, order=self.order, start=start)
        try:
            outcome = newton(system, factorizations=8, rank=False, around=around)
        except TrainingError:
            return None
        system.store()
        fresh = self._points(net, begin, end, max(200, width // 3), "pseudo")
        found = relative_residuals(fresh, net, problem.term_names, self._needed(fresh))
        residual = max(found.values())
        if continuity is not None:
            residual = max(residual, self._jump(net, continuity))
        return Attempt(net, end, residual, length_scales(problem, net, begin, end), system, outcome)

    def _points(self, net: RepNet, begin: float, end: float, width: int, distribution: str | None = None) -> Any:
        """The slab's points, those inside and at the start spread like the basis functions."""
        assert net.warp is not None  # every slab has one
        data = collocation(self.problem, features=width, interval=(begin, end), distribution=distribution)
        x = torch.as_tensor(data.train_x)
        box = self.problem.box
        lower, half = torch.as_tensor(box.lower[:-1]), torch.as_tensor(box.half_width[:-1])
        uniform = torch.cat([(x[:, :-1] - lower) / half - 1, torch.zeros_like(x[:, -1:])], 1)
        mapped = torch.cat([net.warp.inverse(uniform)[:, :-1], x[:, -1:]], 1)
        space = self.problem.geometry.geometry
        numbers = mapped[:, :-1].numpy()
        keep = np.asarray(space.on_boundary(x[:, :-1].numpy())) | ~np.asarray(space.inside(numbers)).astype(bool)
        keep |= np.asarray(space.on_boundary(numbers))
        data.train_x = torch.where(torch.as_tensor(keep)[:, None], x, mapped).numpy()
        for condition in data.bcs:  # they cache their values by the identity of the array
            condition.__dict__.setdefault("_repnet_pde_held", []).append(data.train_x)
        return data

    # Where Newton's method begins: a `Guess` each ---------------------------------------------------------------------

    def frozen(self, net: RepNet, data: Any, x: torch.Tensor, begin: float) -> torch.Tensor:
        """A start for the first slab: the initial state, unchanging in time, fitted to the conditions."""
        power = (0,) * (x.shape[1] - 1) + (self.order,)

        def still(inputs: torch.Tensor, u: torch.Tensor) -> list[torch.Tensor]:
            return [_time_derivative(inputs, u[:, c : c + 1], self.order) for c in range(u.shape[1])]

        indices = sorted({*self.indices, power}, key=lambda a: (sum(a), a))
        names = [f"still {c}" for c in range(net.output_layer().out_features)]
        pde, data.pde = data.pde, still
        try:
            system = JetSystem(data, net, [*names, *self.problem.conditions], indices)
            newton(system, factorizations=4, rank=False)
        finally:
            data.pde = pde
        system.store()
        return jet_of(net, x, self.indices)

    def continued(self, net: RepNet, data: Any, x: torch.Tensor, begin: float) -> torch.Tensor:
        """u continued from the end of the last slab by one term of Taylor's series."""
        later = [(*a[:-1], a[-1] + 1) for a in self.indices]
        every = sorted({*self.indices, *later}, key=lambda a: (sum(a), a))
        at = torch.cat([x[:, :-1], torch.full_like(x[:, -1:], begin)], 1)
        jet = jet_of(slab(self.net, -1), at, every)
        ahead = (x[:, -1] - begin)[:, None]
        return torch.stack(
            [
                jet[:, every.index(a)] + ahead * jet[:, every.index(b)] * (a[-1] < self.order)
                for a, b in zip(self.indices, later, strict=True)
            ],
            1,
        )

    # The state between slabs ------------------------------------------------------------------------------------------

    def _state(self, net: RepNet, previous: RepNet, begin: float, width: int) -> Continuity:
        """Points at the start of the slab, spread like its basis functions, and the state there at the end of the
        previous."""
        assert net.warp is not None  # every slab has one
        space = self.problem.dim - 1
        count = max(100, width // 3)
        if space == 1:
            places = np.linspace(-1, 1, count + 2)[1:-1, None]
        else:
            places = 2 * qmc.Halton(space, seed=0).random(count) - 1
        mapped = net.warp.inverse(torch.as_tensor(np.column_stack([places, np.zeros(count)])))
        x = torch.cat([mapped[:, :-1], torch.full_like(mapped[:, -1:], begin)], 1)
        x = x[np.asarray(self.problem.geometry.geometry.inside(x[:, :-1].numpy())).astype(bool)]
        return x, self._trace(previous, x)

    def _trace(self, net: RepNet, x: torch.Tensor) -> list[torch.Tensor]:
        """u and its time derivatives below the order of the equation, each output of each (n,)."""
        indices = time_indices(x.shape[1], self.order)
        jet = jet_of(net, x, indices)
        return [v.detach() for v in trace(x, jet, indices, self.net._output_transform, self.order)]

    def _jump(self, net: RepNet, continuity: Continuity) -> float:
        """The difference from the state that the slab continues, relative to its size."""
        x, wanted = continuity
        now = self._trace(net, x)
        size = math.sqrt(sum(v.square().mean().item() for v in wanted)) or 1.0
        return math.sqrt(sum((v - w).square().mean().item() for v, w in zip(now, wanted, strict=True))) / size


def _time_derivative(x: torch.Tensor, u: torch.Tensor, order: int) -> torch.Tensor:
    for _ in range(order):
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        u = slope[:, -1:]
    return u
