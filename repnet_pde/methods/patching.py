"""Patching: least squares for the last layers of sine RepNets on the boxes of a partition, which is refined."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..analysis.wavenumbers import coefficient_wavenumber, problem_wavenumber
from ..arguments import fraction, whole
from ..checking.accuracy import distance
from ..discretization.features import jet_of
from ..discretization.jets import Index, check_plain, needed_orders
from ..discretization.objective import Objective
from ..errors import InputError
from ..networks.patches import Patches
from ..problem.problem import Problem
from .method import Method, by_basis, not_plain, with_option
from .slabs.second_solution import MORE, random_offset
from .subdomains.partition import count_boxes, even_edges, even_partition, make_patches, refined
from .subdomains.points import ON_FACE, PatchPoints
from .subdomains.residuals import PatchResiduals
from .subdomains.system import Carried, PatchSystem, repnets

FEATURES = {1: 40, 2: 300, 3: 1000}
"""Basis functions of a patch, by dimension."""
ROWS_PER_COLUMN = 2.5
"""Equations at the collocation points of a patch, over its coefficients."""
FRESH = 100
"""Points of each patch at which its residual is judged."""
MOST_PATCHES = 600
MARKED = 0.1
"""Patches are refined whose residual is above this part of the largest."""
PROGRESS = 0.5
"""Part to which two refinements have to lower the largest residual."""
SETTLED = 1e-6
"""Residual below which that ends the search; above it, layers may not be resolved yet."""
LARGE = 1e-3
"""Residual on the first partition above which the next one follows the coefficients of the equations."""


class Patching(Method):
    """Solves for the last layers of sine RepNets on boxes that fill the domain, together.

    On the faces between boxes u and its normal derivatives below the order of the equation agree, in the sense of least
    squares, at the points of each face (patching, as in spectral multidomain methods: C. Canuto, M. Y. Hussaini,
    A. Quarteroni, T. A. Zang, Spectral Methods: Evolution to Complex Geometries (2007), chapter 5). The equations and
    conditions are used as they are, at points inside the geometry, whatever its form. The first partition follows
    the expected wavenumber; then boxes are halved where the residual at validation points is large. Nonlinear problems
    take Newton steps, each partition starting from the solution on the last.

    Args:
        objective: the loss on a `Patches` network; its weights are not used.
        iterations: most partitions.
        tolerance: relative residual at validation points, in the worst patch, that is asked for.
        features: basis functions of each patch; None takes `FEATURES`.
        most_patches: most boxes; None takes `MOST_PATCHES`.
    """

    name = "patching"
    title = "multidomain least-squares collocation"
    default_iterations = 12
    network = "repnet-patches"
    identifies = False
    knows_interfaces = True

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        most = max(FEATURES)
        return not_plain(problem) if problem.dim <= most else f"there are more than {most} coordinates"

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def coarser(cls, result: dict) -> tuple[str, float, list[tuple[float, dict]]] | None:
        most = FEATURES[len(result["wavenumber"])]
        steps = [round(most * factor) for factor in (0.3, 0.42, 0.6)]
        one = {"iterations": 1}  # later partitions would make up for the basis functions by more patches
        return "features of a patch", most, [(n, with_option(cls, "features", n) | one) for n in steps]

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        tolerance: float = 1e-10,
        features: int | None = None,
        most_patches: int | None = None,
    ):
        fraction("tolerance", tolerance)
        whole("features", features, 1)
        whole("most_patches", most_patches, 1)
        problem = objective.problem
        if not isinstance(objective.net, Patches) or problem is None:
            raise InputError("network: patching needs 'repnet-patches', made by solve")
        if problem.dim not in FEATURES:
            raise InputError(f"method: patching is for up to {max(FEATURES)} coordinates, time included")
        self.objective, self.iterations = objective, iterations
        self.tolerance, self.most_patches = tolerance, most_patches or MOST_PATCHES
        self.width = features or FEATURES[problem.dim]
        check_plain(problem, "patching")
        needed_orders(problem, "patching")  # refuses what it cannot treat
        self.problem, self.net = problem, objective.net
        self.iteration = 0
        self.seed: int | None = None
        self.boxes: np.ndarray | None = None
        self.worst: list[float] = []
        self.best: dict | None = None
        self.twin_distance: float | None = None
        self.window: tuple[float, float] | None = None
        """The part of time that is solved for; None is all of it."""
        self._reason: str | None = None

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    # One partition --------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Solve on one partition, judge it, and choose the next."""
        self.iteration += 1
        if self.boxes is None:
            self.seed = int(torch.randint(2**31, (1,)))
            self.boxes = even_partition(self.problem, problem_wavenumber(self.problem).data, self.most_patches)
        net, boxes = self._made(self.boxes, 0)
        self._solve(net, self.net if len(self.net) else None, 0)
        residuals = self._judge(net)
        if self.best is None or residuals.max() < min(self.worst):
            self.best = net.state_dict()
        self.worst.append(float(residuals.max()))
        self.net.load_state_dict(net.state_dict())
        said = f"relative residual {min(self.worst):.1e} on the worst of {len(boxes)} patches"
        if self.worst[-1] <= self.tolerance:
            self._reason = f"{said}, below the tolerance"
        elif (
            min(self.worst) < SETTLED
            and len(self.worst) > 2
            and not min(self.worst[-2:]) < PROGRESS * min(self.worst[:-2])
        ):
            self._reason = f"{said}: two refinements do not lower it"
        else:
            self.boxes = self._next(net, boxes, residuals)
            if len(self.boxes) > self.most_patches:
                self._reason = f"{said}: more than {self.most_patches} would be needed"
        if self.stopped is not None:
            self._end()
        self.objective.measure()

    def _next(self, net: Patches, boxes: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """The boxes (n, 2, d) of the next partition."""
        problem, most = self.problem, self.most_patches
        marked = residuals > max(self.tolerance, MARKED * residuals.max())
        halved = refined(net, boxes, marked, range(problem.dim))
        other = coefficient_wavenumber(problem) if self.iteration == 1 and residuals.max() > LARGE else None
        if other is not None and len(halved) < count_boxes(even_edges(problem, other)) <= most:
            return even_partition(problem, other, most)
        return halved

    def _end(self) -> None:
        """Take the best solution, and compare it with one of other basis functions and points."""
        assert self.best is not None
        self.net.load_state_dict(self.best)
        other, _ = self._made(self.net.bounds.numpy(), 1, MORE)
        around = [random_offset(*pair) for pair in zip(repnets(self.net), repnets(other), strict=True)]
        self._solve(other, self.net, 1, around)
        self.twin_distance = distance(self.problem, self.net, other)

    def _seeded(self, number: int) -> int:
        """A seed: the method's own, which the first step draws, and a number."""
        assert self.seed is not None
        return self.seed + number

    def _made(self, boxes: np.ndarray, seed: int, more: float = 1.0) -> tuple[Patches, np.ndarray]:
        """`make_patches` with the method's basis functions; ``seed`` is added to its own."""
        return make_patches(self.problem, boxes, self.width, self._seeded(seed), self.net._output_transform, more)

    def _solve(self, net: Patches, start: Patches | None, seed: int, around: list[torch.Tensor] | None = None) -> None:
        """Newton's method for the last layers of ``net``, from the function that ``start`` is, or from zero.

        Args:
            seed: of the points, added to the method's. around: as for `PatchSystem`.
        """
        problem, points = self.problem, PatchPoints(self.problem, self._seeded(seed), self.window)
        columns = net.patch(0).output_layer().weight.numel()
        inner = math.ceil(ROWS_PER_COLUMN * columns / len(problem.residual_names)) + 10
        data = points.data(net, inner, ON_FACE[problem.dim])
        indices = needed_orders(problem, "patching", data)
        faces = points.faces(net, ON_FACE[problem.dim])
        carried = self._carried(net, indices, 1)
        system = PatchSystem(problem, net, data, indices, faces, carried, around)
        system.newton(self._guess(start, system.x, indices))

    def _guess(self, start: Patches | None, x: torch.Tensor, indices: list[Index]) -> torch.Tensor:
        """The jet (n, indices, outputs) of the function around which the first step linearises, zero without
        ``start``."""
        if start is None:
            return x.new_zeros(len(x), len(indices), len(self.problem.outputs))
        return jet_of(start, x, indices)

    def _carried(self, net: Patches, indices: list[Index], density: float) -> list[Carried]:
        """What the patches take over from elsewhere; ``density`` of points over the usual one."""
        return []

    def _judge(self, net: Patches) -> np.ndarray:
        """For each patch (n,) the largest relative residual of its terms, and of the continuity with its neighbours."""
        problem, count = self.problem, ON_FACE[self.problem.dim] // 2 + 1
        data = PatchPoints(problem, self._seeded(2), self.window).data(net, FRESH, count, gathered=False)
        residuals = PatchResiduals(problem, net, data, needed_orders(problem, "patching", data))
        terms = residuals.terms()
        faces = PatchPoints(problem, self._seeded(3), self.window).faces(net, count)
        residuals.continuity(faces, terms)
        residuals.carried(self._carried(net, residuals.indices, 0.5))
        return residuals.worst

    # Checkpoints ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        return {
            "iteration": self.iteration,
            "seed": self.seed,
            "boxes": None if self.boxes is None else torch.from_numpy(self.boxes),
            "worst": self.worst,
            "best": self.best,
            "twin_distance": self.twin_distance,
            "reason": self._reason,
        }

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self.seed = state["iteration"], state["seed"]
        self.worst, self.best = list(state["worst"]), state["best"]
        self.boxes = None if state["boxes"] is None else state["boxes"].numpy()
        self.twin_distance, self._reason = state["twin_distance"], state["reason"]
