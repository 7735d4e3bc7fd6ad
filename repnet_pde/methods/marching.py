"""Time marching: Newton's method on the last layer of one sine RepNet after another, each on a slab of time."""

import copy
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import qmc

from ..arguments import fraction
from ..checking.accuracy import distance
from ..checking.sizes import relative_residuals
from ..discretization.features import Features, jet_of
from ..discretization.jets import Index, orders_of_problem
from ..discretization.last_layer import JetSystem, Outcome, newton, time_indices, trace
from ..discretization.objective import Objective
from ..errors import InputError, TrainingError
from ..networks.slabs import Slabs
from ..networks.warp import axis_map, graded
from ..problem.points import collocation
from .method import Method, by_basis, looser

FIRST = 1 / 20
"""Length of the first slab, of the whole time."""
SHORTEST = 1e-4
TIME_WAVENUMBER = 4.0
"""Largest wavenumber in time, in the slab normalised to [−1, 1]: about twelve independent functions."""
SPACE_FACTOR = 18.0
"""Largest wavenumber in space over half the number of length scales across the axis ..."""
MOST_FACTOR = 36.0
MOST_RENEWALS = 3
WILD = 2.5
LEAST_WAVENUMBER = 12.0
OVERHEAD = 10
"""Independent functions of an axis beyond 2 k / π per unit length of [−1, 1]."""
MARGIN = 1.1
MOST_FEATURES = 4000
GROWTH = 1.4
HOPELESS = 1e-2
NODES = 801
MOMENTS = 5
MORE = 1.1
"""Features of the second solution over those of the first; its wavenumbers grow by the root of that along each axis."""
FAILS = 10.0
"""The second solution has failed where its relative residual is above so many times that asked of the first."""
FAR = 1e-3
"""Distance from as much of the second solution as there is that tells against the first."""
DERIVATIVES, GUIDING = (1, 2, 3), (1, 2)
"""Orders of the derivatives that tell a length scale; of a guide, whose third one may be noise."""


@dataclass
class Attempt:
    """One slab as it was solved."""

    net: object
    end: float
    residual: float
    scales: list[np.ndarray]
    system: JetSystem
    outcome: Outcome


class Marching(Method):
    """Solves a nonlinear problem in time slab by slab, each from the state at the end of the last.

    In each slab Newton's method for least squares solves for the last layer of a sine RepNet. Its partition points are
    spread by a map of each space axis that follows the local length scale of the solution, which is read off its
    derivatives (equidistribution of a monitor function, W. Huang, R. D. Russell, Adaptive Moving Mesh Methods, 2011,
    chapter 2) and graded, so that layers and fronts get features where they are. A slab is accepted when its relative
    residual at validation points is below ``tolerance``; otherwise the map is renewed, the number of features raised
    or the slab shortened. Slabs lengthen where the residual is small.

    When the end of time is reached the slabs are solved a second time, with other features and points, each by Newton's
    method from the first solution and from the end of the second one's last slab. What the equations and conditions do
    not determine is left at random values in it. ``twin_distance`` is the relative L2 distance of the two.

    Args:
        objective: the loss on a `Slabs` network; its weights are not used.
        iterations: most attempts at slabs; those of the second solution do not count.
        tolerance: relative residual at validation points that is asked for.
    """

    name = "marching"
    title = "space-time slabs, one after another"
    default_iterations = 1000
    network = "repnet-slabs"
    identifies = False

    @classmethod
    def unsuited(cls, problem) -> str | None:
        """Slabs need conditions that hold at all times or at the start."""
        if not problem.in_time or problem.pde is None:
            return "there is no equation in time"
        if problem.unknowns or problem.observations:
            return "there are unknowns or observations"
        if problem.input_transform is not None:
            return "there is an input_transform"
        found = orders_of_problem(problem)
        if found is None:
            return "some residual does not depend on u at one point"
        order = max(index[-1] for index in found)
        return None if 1 <= order <= 2 else f"the equation is of order {order} in time"

    @classmethod
    def points(cls, problem, net, wavenumber) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def coarser(cls, result: dict, problem):
        return looser(cls)

    def __init__(self, objective: Objective, iterations: int, *, tolerance: float = 1e-5):
        fraction("tolerance", tolerance)
        problem = objective.problem
        if not isinstance(objective.net, Slabs) or problem is None:
            raise InputError("network: marching needs 'repnet-slabs', made by solve")
        observed = problem.observations
        if not problem.in_time or problem.unknowns or problem.input_transform is not None or observed:
            raise InputError(
                "method: marching needs a problem in time (GeometryXTime) with boundary and initial conditions, and "
                "without unknowns, observations and input_transform; choose another method"
            )
        self.objective, self.iterations, self.tolerance = objective, iterations, tolerance
        self.problem, self.net = objective.problem, objective.net
        self.iteration = 0
        self.length: float | None = None
        self.factor = SPACE_FACTOR
        self.scales: list[np.ndarray] | None = None
        self.guide: Slabs | None = None
        """A solution that may tell the local length scales, where there is one; else the slab before does."""
        self.failures = 0
        self.left = math.inf
        """Residual of the last attempt that failed."""
        self.checks = True
        """Whether there is to be a second solution."""
        self.twin: Slabs | None = None
        """The second solution while it is being made."""
        self.twin_distance: float | None = None
        self._reason: str | None = None
        self._indices: list[Index] | None = None

    @property
    def reached(self) -> float:
        """The time up to which there is a solution."""
        return self.net.reached

    @property
    def verifying(self) -> bool:
        """Whether the end of time is reached and the second solution is being made."""
        return self.checks and self._reason is None and self.net.complete

    @property
    def stopped(self) -> str | None:
        if self._reason or self.verifying or self.iteration < self.iterations:
            return self._reason
        return f"all iterations done at {self.net.standing}"

    @property
    def standing(self) -> str:
        """How far it has got, in words."""
        return standing(self.net, self.twin, self.verifying)

    # Set-up ---------------------------------------------------------------------------------------------------------

    @property
    def indices(self) -> list[Index]:
        if self._indices is None:
            self._indices = self._needed()
        return self._indices

    def _needed(self, *data) -> list[Index]:
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

    # One attempt ----------------------------------------------------------------------------------------------------

    def step(self) -> Attempt | None:
        """One attempt at a slab, which is returned where the slab was added; or a slab of the second solution."""
        if self.verifying:
            self._check()
            return None
        box = self.problem.box
        begin, final = self.net.reached, float(box.upper[-1])
        whole = final - float(box.lower[-1])
        if self.length is None:
            self.length = FIRST * whole
        end = begin + self.length
        if final - end < 0.3 * self.length:
            end = final
        self.iteration += 1
        attempt = self._attempt(begin, end)
        accepted = attempt is not None and attempt.residual <= self.tolerance
        if accepted:
            self._accept(attempt, end - begin)
        else:
            self._adapt(attempt, end - begin)
            if self.length < SHORTEST * whole:
                self._reason = (
                    f"stalled at t = {begin:.6g}: the residual stays above the tolerance {self.tolerance:g} "
                    "however short the slab"
                )
        if self.net.complete and not self.checks:
            self._reason = self._arrived
        self.objective.mean_squares()
        return attempt if accepted else None

    @property
    def _arrived(self) -> str:
        return f"reached t = {self.net.reached:g} in {len(self.net)} slabs"

    def _accept(self, attempt: Attempt, length: float) -> None:
        self.net.add(attempt.net, attempt.end)
        self.scales = attempt.scales
        grow = GROWTH if attempt.residual < self.tolerance / 30 else 1.0
        self.length, self.failures = grow * length, 0

    def _adapt(self, attempt: Attempt | None, length: float) -> None:
        """After a failure: a new map where the solution has got finer, else shorter slabs and more features in turn."""
        self.length, self.left = length, math.inf if attempt is None else attempt.residual
        if attempt is None or attempt.residual > HOPELESS or self._wild(attempt.scales):
            if attempt is not None and self.scales is None:
                self.scales = attempt.scales
            else:
                self.length = length / 2
        elif self.failures < MOST_RENEWALS and self._finer(attempt.scales):
            self.scales = attempt.scales
        elif self.failures % 2 or self.factor > MOST_FACTOR:
            self.length = length / 2
        else:
            self.factor *= 1.25
        self.failures += 1

    def _wild(self, scales: list[np.ndarray]) -> bool:
        """Whether the solution of a failed attempt varies so much faster that it is none."""
        if self.scales is None:
            return False
        return any(
            self._count(i, new) > WILD * self._count(i, old)
            for i, (new, old) in enumerate(zip(scales, self.scales, strict=True))
        )

    def _finer(self, scales: list[np.ndarray]) -> bool:
        if self.scales is None:
            return any(self._count(axis, s) > 1.1 * 1.0 for axis, s in enumerate(scales))
        return any(
            self._count(i, new) > 1.05 * self._count(i, old) or new.min() < 0.8 * old.min()
            for i, (new, old) in enumerate(zip(scales, self.scales, strict=True))
        )

    def _count(self, axis: int, scale: np.ndarray) -> float:
        """The number of length scales across an axis."""
        nodes = np.linspace(-1, 1, NODES)
        return float(np.trapezoid(1 / graded(nodes, np.minimum(scale, 2.0)), nodes))

    def _attempt(self, begin: float, end: float) -> Attempt | None:
        problem, first = self.problem, not len(self.net)
        nodes, space = np.linspace(-1, 1, NODES), problem.dim - 1
        if self.guide is not None and not self.failures:
            self.scales = self._length_scales(self.guide, begin, end, GUIDING)
        scales = self.scales or [np.full(NODES, 2.0)] * space
        maps = [axis_map(nodes, s) for s in scales] + [axis_map(nodes, np.full(NODES, 2.0))]
        numbers = [max(LEAST_WAVENUMBER, self.factor * self._count(i, s) / 2) for i, s in enumerate(scales)]
        numbers.append(TIME_WAVENUMBER)
        width = math.ceil(MARGIN * math.prod(2 * k / math.pi + OVERHEAD for k in numbers))
        width = min(width, MOST_FEATURES // len(problem.outputs))
        net = self.net.make(end, width, numbers, maps)
        previous = None if first else self.net.slabs[-1]
        return self._solve(net, begin, end, previous, self._frozen if first else self._predicted)

    def again(self, i: int) -> Attempt | None:
        """Slab ``i`` solved once more, from the coefficients that it has, after a change of the equations."""
        begin = float(self.net.ends[i - 1]) if i else float(self.problem.box.lower[-1])
        attempt = self._solve(self.net.slabs[i], begin, float(self.net.ends[i]), self.net.slabs[i - 1] if i else None)
        self.net.slabs[i]._output_transform = None
        return attempt

    def _check(self) -> None:
        """One slab of the second solution; after the last, its distance from the first."""
        if self.twin is None:
            self.twin = self._new_twin()
        i, begin, end = len(self.twin), self.twin.reached, float(self.net.ends[len(self.twin)])
        first = self.net.slabs[i]
        net = self._another(first, end)
        attempt = self._solve(
            net,
            begin,
            end,
            self.twin.slabs[-1] if i else None,
            lambda net, data, x, begin: jet_of(first, x, self.indices),
            "Hammersley" if self.problem.sampling.distribution == "Halton" else "Halton",
            random_offset(first, net),
        )
        if attempt is not None:
            self.twin.add(net, end)
        self._judge_twin(begin, math.inf if attempt is None else attempt.residual)

    def _judge_twin(self, begin: float, left: float) -> None:
        """End where the second solution has failed in the slab from ``begin``, whose residual is ``left``, or is
        complete."""
        failed = not left <= FAILS * self.tolerance
        if failed or self.twin.complete:
            self.twin_distance, said = of_twin(self.problem, self.net, self.twin, begin if failed else None, left)
            self._reason, self.twin = self._arrived + said, None

    def _new_twin(self) -> Slabs:
        twin = Slabs(len(self.problem.outputs), self.problem.geometry)
        twin._output_transform = self.net._output_transform
        return twin

    def _another(self, first, end: float):
        """A network with other features, and more of them, for the slab that ``first`` is a network for."""
        wavenumbers = Features(first).weight.abs().amax(0) * math.sqrt(MORE)
        width = math.ceil(MORE * first.linears[-1].in_features)
        straight = [(np.array([1.0]), np.empty(0), np.empty(0))] * self.problem.dim
        net = self.twin.make(end, width, wavenumbers.tolist(), straight)
        net.warp = copy.deepcopy(first.warp)
        return net

    def _solve(
        self, net, begin: float, end: float, previous, guess=None, distribution: str | None = None, around=None
    ) -> Attempt | None:
        """Newton's method on the last layer of ``net``, from its own or from what ``guess`` gives; None where it fails.

        Args:
            previous: the slab before, or None. distribution: of the points, in place of the problem's own.
            around: as for `newton`.
        """
        problem, width = self.problem, net.linears[-1].in_features
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
        return Attempt(net, end, residual, self._length_scales(net, begin, end), system, outcome)

    def _points(self, net, begin: float, end: float, width: int, distribution: str | None = None):
        """The slab's points, those inside and at the start spread like the features."""
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

    def _frozen(self, net, data, x, begin: float) -> torch.Tensor:
        """A start for the first slab: the initial state, unchanging in time, fitted to the conditions."""
        power = (0,) * (x.shape[1] - 1) + (self.order,)

        def still(inputs, u):
            return [_time_derivative(inputs, u[:, c : c + 1], self.order) for c in range(u.shape[1])]

        indices = sorted({*self.indices, power}, key=lambda a: (sum(a), a))
        names = [f"still {c}" for c in range(net.linears[-1].out_features)]
        pde, data.pde = data.pde, still
        try:
            system = JetSystem(data, net, [*names, *self.problem.conditions], indices)
            newton(system, factorizations=4, rank=False)
        finally:
            data.pde = pde
        system.store()
        return jet_of(net, x, self.indices)

    def _predicted(self, net, data, x: torch.Tensor, begin: float) -> torch.Tensor:
        """Jets at ``x`` of u continued from the end of the last slab by one term of Taylor's series."""
        later = [(*a[:-1], a[-1] + 1) for a in self.indices]
        every = sorted({*self.indices, *later}, key=lambda a: (sum(a), a))
        at = torch.cat([x[:, :-1], torch.full_like(x[:, -1:], begin)], 1)
        jet = jet_of(self.net.slabs[-1], at, every)
        ahead = (x[:, -1] - begin)[:, None]
        return torch.stack(
            [
                jet[:, every.index(a)] + ahead * jet[:, every.index(b)] * (a[-1] < self.order)
                for a, b in zip(self.indices, later, strict=True)
            ],
            1,
        )

    def _state(self, net, previous, begin: float, width: int):
        """Points at the start of the slab, spread like its features, and the state there at the end of the previous."""
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

    def _trace(self, net, x) -> list[torch.Tensor]:
        indices = time_indices(x.shape[1], self.order)
        jet = jet_of(net, x, indices)
        return [v.detach() for v in trace(x, jet, indices, self.net._output_transform, self.order)]

    def _jump(self, net, continuity) -> float:
        x, wanted = continuity
        now = self._trace(net, x)
        size = math.sqrt(sum(v.square().mean().item() for v in wanted)) or 1.0
        return math.sqrt(sum((v - w).square().mean().item() for v, w in zip(now, wanted, strict=True))) / size

    def _length_scales(self, net, begin: float, end: float, derivatives=DERIVATIVES) -> list[np.ndarray]:
        """For each space axis the smallest length on which u varies, at `NODES` places of it, in units of x̂.

        1/l = max over n in ``derivatives`` of (|∂ⁿu| / size of u)^(1/n), the smallest over time and the other axes.
        """
        problem, box, result = self.problem, self.problem.box, []
        moments = np.linspace(begin, end, MOMENTS)
        nodes = np.linspace(-1, 1, NODES)
        for axis in range(problem.dim - 1):
            others = 2 * qmc.Halton(max(problem.dim - 2, 1), seed=0).random(1 if problem.dim == 2 else 16) - 1
            scale = np.full(NODES, 2.0)
            for moment, place in itertools.product(moments, others):
                x = np.repeat(np.append(np.resize(place, problem.dim - 1), 0.0)[None], NODES, 0)
                x[:, axis] = nodes
                x = box.center + box.half_width * x
                x[:, -1] = moment
                inside = np.asarray(problem.geometry.geometry.inside(x[:, :-1])).astype(bool)
                which = [tuple(n * (i == axis) for i in range(problem.dim)) for n in (0, *derivatives)]
                at = net.at(moment) if isinstance(net, Slabs) else net
                jet = jet_of(at, torch.as_tensor(x), which).numpy()
                size = np.sqrt(np.mean(jet[inside][:, 0] ** 2, axis=0)).clip(1e-12) if inside.any() else 1.0
                roots = [(np.abs(jet[:, i]) / size) ** (1 / n) for i, n in enumerate(derivatives, 1)]
                rates = box.half_width[axis] * np.max(roots, axis=(0, 2))
                scale = np.where(inside, np.minimum(scale, 1 / np.maximum(rates, 0.5)), scale)
            result.append(scale)
        return result

    # Checkpoints ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        return {
            "iteration": self.iteration,
            "length": self.length,
            "factor": self.factor,
            "scales": None if self.scales is None else [torch.from_numpy(s) for s in self.scales],
            "failures": self.failures,
            "twin": None if self.twin is None else self.twin.state_dict(),
            "twin_distance": self.twin_distance,
            "reason": self._reason,
        }

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self.length, self.factor = state["iteration"], state["length"], state["factor"]
        self.scales = None if state["scales"] is None else [s.numpy() for s in state["scales"]]
        self.failures, self._reason = state["failures"], state["reason"]
        self.twin, self.twin_distance = None, state["twin_distance"]
        if state["twin"] is not None:
            self.twin = self._new_twin()
            self.twin.load_state_dict(state["twin"])


def _time_derivative(x: torch.Tensor, u: torch.Tensor, order: int) -> torch.Tensor:
    for _ in range(order):
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        u = slope[:, -1:]
    return u


def standing(net, twin, verifying: bool) -> str:
    """How far a march with the network ``net`` has got, or with its second one, in words."""
    if not verifying:
        return net.standing
    return "second solution" if twin is None else f"second solution, {twin.standing}"


def of_twin(problem, net, twin, failed: float | None, left: float) -> tuple[float | None, str]:
    """The relative L2 distance of a second solution, or None, and what is to be said of it.

    Args:
        failed: the time at which it failed, if it did, with the relative residual ``left``: its distance is then known
            to be at least that of the part that there is, which counts where it is large.
    """
    found = distance(problem, net, twin) if len(twin) else 0.0
    if failed is None:
        return found, f", {found:.1e} from the second solution"
    why = f"relative residual {left:.1e}" if math.isfinite(left) else "Newton's method fails"
    said = f"; the second solution failed at t = {failed:.6g}: {why}"
    return (found, f"{said}, {found:.1e} away") if not found <= FAR else (None, said)


def random_offset(first, net) -> torch.Tensor:
    """Random coefficients (p,) of the last layer of ``net``, as large as those of ``first``, or 1 if these are zero.

    A solution that is the nearest to them differs from the first in all that the rows do not determine.
    """
    linear, own = first.linears[-1], net.linears[-1]
    known = torch.cat([linear.weight.detach().reshape(-1), linear.bias.detach()])
    size = known.square().mean().sqrt().item() or 1.0
    return size * torch.randn(own.weight.numel() + len(own.bias), dtype=known.dtype)
