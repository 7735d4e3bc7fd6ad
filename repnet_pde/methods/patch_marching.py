"""Patch marching: Newton's method on sine RepNets on boxes in space, one window of time after another."""

import math

import numpy as np
import torch
from scipy.stats import qmc

from ..analysis.wavenumbers import problem_wavenumber
from ..discretization.features import jet_of
from ..discretization.jets import Index
from ..discretization.objective import Objective
from ..errors import InputError, TrainingError
from ..networks.patches import Patches
from ..problem.problem import Problem
from .marching import SHORTEST, Marching
from .method import looser
from .patching import PROGRESS, Patching
from .slabs.length import GROWTH
from .slabs.second_solution import FAILS, MORE, of_twin, random_offset, standing
from .subdomains.partition import even_partition, refined, steepest_axes
from .subdomains.points import ON_FACE
from .subdomains.system import Carried, repnets

EASY = 0.03
"""Part of the tolerance below which windows lengthen."""
LENIENT = 10.0
"""Times the tolerance that the best attempt may leave where others do not lower it: rounding limits it."""
TRIES = 4
"""Attempts at a window that have to lower its residual by `PROGRESS`."""
HOPELESS = 0.1
"""Residual above which what was found says nothing about where it varies: the window is halved."""


class PatchMarching(Patching):
    """Solves a nonlinear problem in time window by window, on patches in space.

    Each window of time is solved as by `Patching`, from the state at the end of the last one, which its patches take
    over in the sense of least squares. Where the residual at validation points stays above ``tolerance``, the window is
    halved or the patches are, and up to ten times of it is taken where neither lowers it. For solutions that are fine
    in many places, for which the basis functions of one box as large as the domain would be too many.

    At the end of time the windows are solved a second time as those of `Marching` are, on the same boxes.

    Args:
        objective: the loss on a `Patches` network; its weights are not used.
        iterations: most attempts at windows; those of the second solution do not count.
        tolerance: relative residual at validation points, in the worst patch, that is asked for.
        features: basis functions of each patch. most_patches: most boxes of a window.
    """

    name = "patch-marching"
    title = "space-time slabs, each on many boxes"
    default_iterations = 1000
    knows_interfaces = False

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        return Marching.unsuited(problem)

    @classmethod
    def coarser(cls, result: dict) -> tuple[str, float, list[tuple[float, dict]]] | None:
        return looser(cls)

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        tolerance: float = 1e-5,
        features: int | None = None,
        most_patches: int | None = None,
    ):
        super().__init__(objective, iterations, tolerance=tolerance, features=features, most_patches=most_patches)
        if not self.problem.in_time:
            raise InputError("method: patch-marching needs a problem in time (GeometryXTime); choose another method")
        self.net.grows = True
        self.twin: Patches | None = None
        """The second solution while it is being made."""
        self.length: float | None = None
        self.failed: list[float] = []
        """Residuals of the attempts since the last window that was added."""
        self.refined = False
        """Whether patches were halved after the last of them, and not the window."""
        self.boxes_before: np.ndarray | None = None
        """The boxes in space before they were refined last."""

    @property
    def reached(self) -> float:
        """The end of the last window, or the start of time."""
        reached = self.net.reached
        assert reached is not None  # the network grows
        return reached

    @property
    def verifying(self) -> bool:
        """Whether the end of time is reached and the second solution is being made."""
        return self._reason is None and self.net.complete

    @property
    def stopped(self) -> str | None:
        if self._reason or self.verifying or self.iteration < self.iterations:
            return self._reason
        return f"all iterations done at {self.net.standing}"

    @property
    def standing(self) -> str:
        """How far it has got, in words."""
        return standing(self.net, self.twin, self.verifying)

    def step(self) -> None:
        """One attempt at a window, or one window of the second solution."""
        if self.verifying:
            self._check()
            return
        self.iteration += 1
        final = float(self.problem.box.upper[-1])
        if self.boxes is None:
            self.seed = int(torch.randint(2**31, (1,)))
            boxes = even_partition(self.problem, problem_wavenumber(self.problem).data, self.most_patches)
            self.length = float(boxes[0, 1, -1] - boxes[0, 0, -1])
            self.boxes = np.unique(boxes[:, :, :-1], axis=0)
        assert self.length is not None  # as there are boxes
        begin = self.reached
        end = begin + self.length
        if final - end < 0.3 * self.length:
            end = final
        self.window = begin, end
        ends = np.tile([[begin], [end]], (len(self.boxes), 1, 1))
        net, boxes = self._made(np.concatenate([self.boxes, ends], 2), 0)
        try:
            self._solve(net, self.net if len(self.net) else None, 0)
            residuals = self._judge(net)
        except TrainingError:
            residuals = np.full(len(boxes), math.inf)
        worst = float(residuals.max())
        failed = list(self.failed)
        if worst <= self.tolerance:
            self._accept(net)
            if worst <= EASY * self.tolerance:
                self.length *= GROWTH
        else:
            self._adapt(net, boxes, residuals)
        if self.reached > begin:
            self.worst.append(min([worst, *failed]))
        self.objective.measure()

    def _check(self) -> None:
        """One window of the second solution; after the last, its distance from the first."""
        said = f"reached t = {self.reached:g} with {len(self.net)} patches, relative residual {max(self.worst):.1e}"
        if self.twin is None:
            self.twin = self._new_twin()
        starts = self.net.bounds[:, 0, -1]
        done = len(torch.unique(self.twin.bounds[:, 0, -1]))
        mine = torch.nonzero(starts == torch.unique(starts)[done])[:, 0].tolist()
        boxes = self.net.bounds[mine].numpy()
        self.window = float(boxes[0, 0, -1]), float(boxes[0, 1, -1])
        net, _ = self._made(boxes, 1, MORE)
        around = [random_offset(self.net.patch(i), new) for i, new in zip(mine, repnets(net), strict=True)]
        try:
            self._solve(net, self.net, 1, around)
            left = float(self._judge(net).max())
        except TrainingError:
            left = math.inf
        failed = not left <= FAILS * max(self.tolerance, self.worst[done])
        if math.isfinite(left):
            for patch, bounds in zip(repnets(net), boxes, strict=True):
                self.twin.add(patch, *bounds)
        if failed or self.twin.complete:
            begin = self.window[0] if failed else None
            self.twin_distance, how = of_twin(self.problem, self.net, self.twin, begin, left)
            self._reason, self.twin = said + how, None

    def _new_twin(self) -> Patches:
        twin = Patches(len(self.problem.outputs), self.problem.box, grows=True)
        twin._output_transform = self.net._output_transform
        return twin

    @property
    def _before(self) -> Patches:
        """The solution that the window continues."""
        return self.net if self.twin is None else self.twin

    def _adapt(self, net: Patches, boxes: np.ndarray, residuals: np.ndarray) -> None:
        """Halve the window or, in space, the patches with a large residual, whichever axis u varies along most.

        What did not lower the residual is followed by the other; patches become as they were, since the rounding of
        high derivatives grows as they shrink.
        """
        assert self.window is not None and self.boxes is not None
        (begin, end), worst, time = self.window, float(residuals.max()), boxes.shape[2] - 1
        self.length = end - begin
        marked = ~(residuals <= self.tolerance)
        refine = False
        if worst <= HOPELESS:
            steepest = [
                steepest_axes(net.patch(i), boxes[i], range(time + 1))[0] for i in np.flatnonzero(marked).tolist()
            ]
            refine = 2 * steepest.count(time) < len(steepest)
        if self.failed and math.isfinite(worst) and not worst < PROGRESS * self.failed[-1]:
            refine = not self.refined
            if self.refined:
                assert self.boxes_before is not None
                self.boxes = self.boxes_before
        if self.best is None or worst < self.best["worst"]:
            self.best = {"worst": worst, "patches": net.state_dict()}
        if refine:
            self.boxes_before, self.boxes = self.boxes, refined(net, boxes, marked, range(time))[:, :, :-1]
        else:
            self.length /= 2
        self.refined = refine
        self.failed.append(worst)
        said = f"at t = {begin:.6g}: relative residual {min(self.failed):.1e}"
        if len(self.failed) > TRIES and not min(self.failed[-TRIES:]) < PROGRESS * min(self.failed[:-TRIES]):
            if min(self.failed) <= LENIENT * self.tolerance:
                taken = Patches(len(self.problem.outputs), self.problem.box)
                taken.load_state_dict(self.best["patches"])
                self._accept(taken)
            else:
                self._reason = f"stalled {said}: {TRIES} attempts do not lower it"
        elif self.length < SHORTEST * float(self.problem.box.upper[-1] - self.problem.box.lower[-1]):
            self._reason = f"stalled {said} however short the window"
        elif len(self.boxes) > self.most_patches:
            self._reason = f"stalled {said}; more than {self.most_patches} patches would be needed"

    def _accept(self, net: Patches) -> None:
        for patch, bounds in zip(repnets(net), net.bounds.numpy(), strict=True):
            self.net.add(patch, *bounds)
        self.failed, self.refined, self.best = [], False, None

    def _guess(self, start: Patches | None, x: torch.Tensor, indices: list[Index]) -> torch.Tensor:
        """u continued from the end of the last window by one term of Taylor's series; for the second solution the first
        one."""
        if start is None or self.twin is not None:
            return super()._guess(start, x, indices)
        assert self.window is not None
        at = x.clone()
        at[:, -1] = self.window[0]
        later = [(*a[:-1], a[-1] + 1) for a in indices]
        every = sorted({*indices, *later}, key=lambda a: (sum(a), a))
        jet = jet_of(start, at, every)
        ahead = (x[:, -1:] - self.window[0])[:, :, None]
        now, next_ = ([every.index(a) for a in which] for which in (indices, later))
        return jet[:, now] + ahead * jet[:, next_]

    def _carried(self, net: Patches, indices: list[Index], density: float) -> list[Carried]:
        """u and its time derivatives below the order of the equations at the end of the last window."""
        if not len(self._before):
            return []
        assert self.window is not None
        dim, outputs = self.problem.dim, len(self.problem.outputs)
        orders = range(max(a[-1] for a in indices))
        result = []
        for i, (lower, upper) in enumerate(net.bounds):
            count = math.ceil(2 * density * ON_FACE[dim])
            places = torch.as_tensor(qmc.Halton(dim - 1, seed=self.seed).random(count)) if dim > 2 else None
            if places is None:
                places = (torch.arange(count, dtype=lower.dtype)[:, None] + 0.5) / count
            x = (lower + (upper - lower) / 2).repeat(count, 1)
            x[:, :-1] = lower[:-1] + (upper - lower)[:-1] * (1 - torch.cos(math.pi * places)) / 2
            x[:, -1] = self.window[0]
            of_time = [(0,) * (dim - 1) + (order,) for order in orders]
            known = jet_of(self._before, x, of_time)
            for order in orders:
                for output in range(outputs):
                    a = x.new_zeros(count, len(of_time), outputs)
                    a[:, order, output] = 1
                    result.append(Carried(i, x, of_time, a, known[:, order, output]))
        return result

    def state_dict(self) -> dict:
        coarser = None if self.boxes_before is None else torch.from_numpy(self.boxes_before)
        own: dict = {"length": self.length, "failed": self.failed, "refined": self.refined, "coarser": coarser}
        own["twin"] = None if self.twin is None else self.twin.state_dict()
        return super().state_dict() | own

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.length, self.failed, self.refined = state["length"], list(state["failed"]), state["refined"]
        self.boxes_before = None if state["coarser"] is None else state["coarser"].numpy()
        self.twin = None
        if state["twin"] is not None:
            self.twin = self._new_twin()
            self.twin.load_state_dict(state["twin"])
