"""Patching: least squares for the last layers of sine RepNets on the boxes of a partition, which is refined."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import qmc

from ..analysis.wavenumbers import coefficient_wavenumber, problem_wavenumber
from ..arguments import fraction, whole
from ..backend import dde, seeded
from ..checking.accuracy import distance
from ..checking.sizes import derivative_sizes, sized_terms
from ..discretization.features import Features, jet_of
from ..discretization.jets import Index, TermJet, check_plain, highest, multi_indices, needed_orders, taylor, term_jets
from ..discretization.last_layer import as_layer
from ..discretization.objective import Objective
from ..errors import InputError, TrainingError
from ..linalg.condensed import Block, condense, couple
from ..networks.patches import Patches
from ..problem.points import collocation, inside, on_boundary
from ..problem.problem import Interface
from .marching import MORE, random_offset
from .method import Method, by_basis, not_plain, with_option

WAVENUMBER = {1: 2 * math.pi, 2: 2 * math.pi, 3: 1.2 * math.pi}
"""Largest wavenumber of the features on a patch normalised to [−1, 1], by dimension."""
RESOLVED = 0.5
"""Part of it that the solution is expected to have on a patch of the first partition."""
FEATURES = {1: 40, 2: 300, 3: 1000}
ROWS_PER_COLUMN = 2.5
ON_FACE = {1: 1, 2: 32, 3: 400}
"""Points of a face between patches."""
UNIFORM = 10
"""As many times more on one of the boundary, where DeepXDE spreads them evenly, and which may be longer by holes."""
MOST_ON_BOUNDARY = 40_000
STRETCHES = 500
"""Parts of a face of which each is taken to lie inside the geometry or outside."""
MOST_DRAWS = 100
FRESH = 100
"""Points of each patch at which its residual is judged."""
MOST_PATCHES = 600
MARKED = 0.1
"""Patches are refined whose residual is above this part of the largest."""
ALONG = 0.1
"""An axis is divided along which h⁴ ∂⁴u is more than this part of that along the steepest one."""
PROGRESS = 0.5
"""Part to which two refinements have to lower the largest residual."""
SETTLED = 1e-6
"""Residual below which that ends the search; above it, layers may not be resolved yet."""
LARGE = 1e-3
"""Residual on the first partition above which the next one follows the coefficients of the equations."""
THIN = 1e-3
"""Part of a box inside the geometry below which it gets no patch."""
NEWTON_STEPS = 15
SIDE = 1e-10
"""Distance from an interface at which its flux is taken, of the width of the domain."""
SMALLEST_STEP = 1 / 64
SLOW = 0.9
AFFINE = 1e-8


@dataclass
class Face:
    """What two patches share: points (n, d) on it and the axis across it."""

    patches: tuple[int, int]
    axis: int
    x: torch.Tensor
    interface: Interface | None = None


@dataclass
class Carried:
    """What a patch takes over: Σ_α A_α D^α u = goal at points (n, d), with A (n, indices, outputs)."""

    patch: int
    x: torch.Tensor
    indices: list[Index]
    a: torch.Tensor
    goal: torch.Tensor


Match = tuple[list[Index], tuple[torch.Tensor, torch.Tensor]]
"""What is equal on both sides of a face: indices, and for either side the coefficients (n, indices, outputs) with which
the derivatives D^α u give it."""


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
        features: of each patch; None takes `FEATURES`.
        most_patches: most boxes; None takes `MOST_PATCHES`.
    """

    name = "patching"
    title = "multidomain least-squares collocation"
    default_iterations = 12
    network = "repnet-patches"
    identifies = False
    knows_interfaces = True

    @classmethod
    def unsuited(cls, problem) -> str | None:
        most = max(FEATURES)
        return not_plain(problem) if problem.dim <= most else f"there are more than {most} coordinates"

    @classmethod
    def points(cls, problem, net, wavenumber) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def coarser(cls, result: dict, problem):
        most = FEATURES[problem.dim]
        steps = [round(most * factor) for factor in (0.3, 0.42, 0.6)]
        one = {"iterations": 1}  # later partitions would make up for the features by more patches
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
        self.problem, self.net, self.indices = problem, objective.net, needed_orders(problem, "patching")
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
            self.boxes = self._first(problem_wavenumber(self.problem).data)
        net, boxes = self._made(self.boxes, 0)
        self._solve(net, self.net if len(self.net) else None, 0)
        residuals = self._judge(net)
        marked = residuals > max(self.tolerance, MARKED * residuals.max())
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
            refined = self._refined(net, boxes, marked, range(self.problem.dim))
            other = coefficient_wavenumber(self.problem) if self.iteration == 1 and residuals.max() > LARGE else None
            if other is not None and len(refined) < _boxes(self._even(other)) <= self.most_patches:
                refined = self._first(other)
            if len(refined) > self.most_patches:
                self._reason = f"{said}: more than {self.most_patches} would be needed"
            self.boxes = refined
        if self.stopped is not None:
            self._end()
        self.objective.mean_squares()

    def _end(self) -> None:
        """Take the best solution, and compare it with one of other features and points."""
        self.net.load_state_dict(self.best)
        other, _ = self._made(self.net.bounds.numpy(), 1, MORE)
        around = [random_offset(*pair) for pair in zip(self.net.patches, other.patches, strict=True)]
        self._solve(other, self.net, 1, around)
        self.twin_distance = distance(self.problem, self.net, other)

    def _first(self, wavenumber) -> np.ndarray:
        """The boxes (n, 2, d) of an even partition that resolves wavenumbers (d,), or comes as near as may be."""
        edges = self._even(wavenumber)
        numbers = np.array(wavenumber)
        while _boxes(edges) > self.most_patches and (numbers * self.problem.box.half_width > 1).any():
            numbers *= 0.95
            edges = self._even(numbers)
        cells = [[(a, b) for a, b in itertools.pairwise(axis)] for axis in edges]
        return np.array([np.transpose(cell) for cell in itertools.product(*cells)])

    def _even(self, wavenumber) -> list[np.ndarray]:
        """The ends of intervals along every axis that resolve wavenumbers (d,)."""
        density = np.asarray(wavenumber) / 2 / (RESOLVED * WAVENUMBER[self.problem.dim])
        return [self._edges(axis, d) for axis, d in enumerate(density)]

    def _edges(self, axis: int, density: float) -> np.ndarray:
        """The ends of intervals that fill an axis, ``density`` of them a unit of length, and divide at interfaces."""
        ends = {self.problem.box.lower[axis], self.problem.box.upper[axis]}
        ends |= {float(i.at) for i in self.problem.interfaces if i.axis == axis}
        parts = [
            np.linspace(low, high, max(1, math.ceil((high - low) * density - 1e-9)) + 1)[:-1]
            for low, high in itertools.pairwise(sorted(ends))
        ]
        return np.append(np.concatenate(parts), max(ends))

    def _refined(self, net: Patches, boxes: np.ndarray, marked: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        """The boxes with the marked ones halved along those of the axes on which u varies most."""
        result = []
        for i, (bounds, divide) in enumerate(zip(boxes, marked, strict=True)):
            pieces = [bounds]
            if divide:
                for axis in self._steep(net.patches[i], bounds, axes):
                    pieces = [p for piece in pieces for p in _halves(piece, axis)]
            result += pieces
        return np.array(result)

    def _steep(self, patch, bounds: np.ndarray, axes: Sequence[int]) -> list[int]:
        """Those of the axes of a box along which u varies most, the steepest first."""
        dim, half = self.problem.dim, (bounds[1] - bounds[0]) / 2
        which = [tuple(4 * (i == axis) for i in range(dim)) for axis in axes]
        x = bounds[0] + 2 * half * qmc.Halton(dim, seed=0).random(64)
        fourth = jet_of(patch, torch.as_tensor(x), [(0,) * dim, *which])[:, 1:]
        bends = fourth.square().mean((0, 2)).sqrt().numpy() * half[list(axes)] ** 4
        return [axes[i] for i in np.argsort(-bends, kind="stable") if bends[i] >= ALONG * bends.max()]

    def _made(self, boxes: np.ndarray, seed: int, more: float = 1.0) -> tuple[Patches, np.ndarray]:
        """A network with a patch for each box of which enough lies in the geometry, ordered for `couple`, and the
        boxes that have one.

        Args:
            seed: of the features, added to the method's. more: times as many features, up to higher wavenumbers.
        """
        problem = self.problem
        width, wavenumber = math.ceil(more * self.width), math.sqrt(more) * WAVENUMBER[problem.dim]
        centre = boxes.mean(1)
        fewest = np.argsort([len(np.unique(c)) for c in centre.T])  # the front of the elimination stays short
        boxes = boxes[np.lexsort([centre[:, axis] for axis in fewest])]
        trial = qmc.Halton(problem.dim, seed=0).random(2000)
        kept = np.array([inside(problem, b[0] + (b[1] - b[0]) * trial).mean() > THIN for b in boxes])
        net = Patches(len(problem.outputs), problem.box)
        for lower, upper in boxes[kept]:
            with seeded(self.seed + seed):
                net.add(net.make(lower, upper, width, wavenumber), lower, upper)
        net._output_transform = self.net._output_transform
        return net, boxes[kept]

    def _points(self, net: Patches, per_patch: int, on_face: int, seed: int, gathered: bool = True):
        """The data with ``per_patch`` points in every patch, half of them gathered towards its faces."""
        problem, bounds = self.problem, net.bounds.numpy()
        x = np.concatenate([self._inside(b, per_patch, seed, gathered) for b in bounds])
        cells = (problem.box.upper - problem.box.lower) / (bounds[:, 1] - bounds[:, 0]).min(0)
        if self.window:
            cells[-1] = 1
        faces = [UNIFORM * on_face * np.prod(np.delete(cells, axis)) for axis in range(problem.dim)]
        numbers = {"boundary": 2 * sum(faces[:-1] if problem.in_time else faces), "initial": faces[-1]}
        numbers = {name: min(math.ceil(n), MOST_ON_BOUNDARY) for name, n in numbers.items()}
        with seeded(self.seed + seed):
            distribution = None if gathered else "pseudo"
            data = collocation(problem, inside=x, distribution=distribution, interval=self.window, **numbers)
        self.indices = needed_orders(problem, "patching", data)
        return data

    def _inside(self, bounds: np.ndarray, count: int, seed: int, gathered: bool) -> np.ndarray:
        """``count`` points of a box inside the geometry, or as many as are found.

        None is so near the boundary that DeepXDE, with a relative tolerance of 1e-5, would give it to a condition.
        """
        halton, found, have = qmc.Halton(self.problem.dim, seed=self.seed + seed), [], 0
        for _ in range(MOST_DRAWS):
            x = halton.random(count)
            if gathered:
                x[::2] = (1 - np.cos(np.pi * x[::2])) / 2
            x = bounds[0] + (bounds[1] - bounds[0]) * x
            x = x[inside(self.problem, x) & ~on_boundary(self.problem.geometry, x)]
            found.append(x[: count - have])
            have += len(found[-1])
            if have == count:
                break
        return np.concatenate(found)

    def _faces(self, net: Patches, count: int, seed: int) -> list[Face]:
        """Every pair of patches with the part of a face that they share, as far as it lies in the geometry."""
        bounds, dim, found = net.bounds.numpy(), self.problem.dim, []
        near = 1e-9 * (self.problem.box.upper - self.problem.box.lower)
        for i, (lower, upper) in enumerate(bounds):
            for axis in range(dim):
                beside = np.delete(np.arange(dim), axis)
                low, high = np.maximum(lower, bounds[:, 0])[:, beside], np.minimum(upper, bounds[:, 1])[:, beside]
                meets = (np.abs(bounds[:, 0, axis] - upper[axis]) < near[axis]) & (high - low > near[beside]).all(1)
                for j in np.nonzero(meets)[0]:
                    ends = low[j], high[j]
                    x = self._on_face(axis, upper[axis], ends, count, seed)
                    if len(x):
                        at = [
                            c
                            for c in self.problem.interfaces
                            if c.axis == axis and abs(c.at - upper[axis]) < near[axis]
                        ]
                        found.append(Face((i, int(j)), axis, torch.as_tensor(x), at[0] if at else None))
        return found

    def _on_face(self, axis: int, at: float, ends, count: int, seed: int) -> np.ndarray:
        """``count`` points of a face inside the geometry, gathered towards the ends of the part that is."""
        low, high = ends

        def placed(places):
            x = np.insert(low + (high - low) * places, axis, at, axis=1)
            return x, inside(self.problem, x)

        if len(low) == 1:  # each stretch that lies inside gets its own points
            steps = np.linspace(0, 1, STRETCHES + 1)
            _, within = placed(((steps[1:] + steps[:-1]) / 2)[:, None])
            begins = np.flatnonzero(within & ~np.append(False, within[:-1]))
            stops = np.flatnonzero(within & ~np.append(within[1:], False)) + 1
            stretches = [steps[[a, b]] for a, b in zip(begins, stops, strict=True)]
            gathered = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
            places = np.concatenate([np.empty(0), *(a + (b - a) * gathered for a, b in stretches)])[:, None]
            x, within = placed(places)
            return x[within]
        if not len(low):
            x, within = placed(np.empty((1, 0)))
            return x[within]
        found, have, halton = [], 0, qmc.Halton(len(low), seed=self.seed + seed)
        for _ in range(MOST_DRAWS):
            places = halton.random(count)
            places[::2] = (1 - np.cos(np.pi * places[::2])) / 2
            x, within = placed(places)
            found.append(x[within][: count - have])
            have += len(found[-1])
            if have == count:
                break
        return np.concatenate(found)

    # Least squares --------------------------------------------------------------------------------------------------

    def _solve(self, net: Patches, start: Patches | None, seed: int, around: list[torch.Tensor] | None = None) -> None:
        """Newton's method for the last layers of ``net``, from the function that ``start`` is, or from zero.

        Args:
            around: for each patch coefficients to which its own are the nearest; None is zero.
        """
        problem, names, transform = self.problem, self.problem.term_names, self.net._output_transform
        columns = net.patches[0].linears[-1].weight.numel()
        inner = math.ceil(ROWS_PER_COLUMN * columns / len(problem.residual_names)) + 10
        data = self._points(net, inner, ON_FACE[problem.dim], seed)
        faces = self._faces(net, ON_FACE[problem.dim], seed)
        x = torch.as_tensor(data.train_x)
        owner = net.which(x)
        carried = self._carried(net, 1)
        jet = self._guess(start, x)
        before, norm = None, math.inf
        for _ in range(NEWTON_STEPS):
            terms = term_jets(data, names, x, jet, self.indices, transform)
            scales = self._scales(net, terms, x, owner)
            found = self._least_squares(net, faces, carried, terms, jet, scales, x, owner, around)
            step = 1.0
            while True:
                _store(
                    net,
                    [c if before is None else b + step * (c - b) for b, c in zip(before or found, found, strict=True)],
                )
                new = jet_of(net, x, self.indices)
                left = [t.residual[:, 0] for t in term_jets(data, names, x, new, self.indices, transform)]
                now = math.sqrt(sum((v * s).square().sum().item() for v, s in zip(left, scales, strict=True)))
                if not math.isfinite(now):
                    raise TrainingError("patching: the residual is not finite")
                if before is None or now < norm or step <= SMALLEST_STEP:
                    break
                step /= 2
            settled = before is not None and not now < SLOW * norm
            affine = before is None and _affine(terms, jet, new, left, scales)
            before, norm, jet = _coefficients(net), now, new
            if affine or settled:
                break

    def _guess(self, start: Patches | None, x: torch.Tensor) -> torch.Tensor:
        """The jet of the function around which the first step linearises, zero without ``start``."""
        if start is None:
            return x.new_zeros(len(x), len(self.indices), len(self.problem.outputs))
        return jet_of(start, x, self.indices)

    def _carried(self, net: Patches, density: float) -> list[Carried]:
        """What the patches take over from elsewhere; ``density`` of points over the usual one."""
        return []

    def _scales(self, net: Patches, terms: list[TermJet], x, owner) -> list[float]:
        """One factor per term that brings the root mean square of its rows' norms to 1, from some of the rows."""
        scales = []
        for term in terms:
            part, a = term.parts[0]
            rows = torch.arange(part.start, part.start + len(a))[:: max(1, len(a) // 500)]
            total = number = 0
            for i in torch.unique(owner[rows]).tolist():
                mine = rows[owner[rows] == i]
                if i >= 0:
                    found = Features(net.patches[i]).at(x[mine], self.indices).rows(a[mine - part.start])
                    total, number = total + found.square().sum().item(), number + len(mine)
            scales.append(math.sqrt(number / total) if total > 0 else 1.0)
        return scales

    def _least_squares(self, net: Patches, faces, carried, terms, jet, scales, x, owner, around) -> list[torch.Tensor]:
        """The coefficients of every patch, from the terms linearised at ``jet``, what is carried over, and the
        continuity across faces."""
        features = [Features(p) for p in net.patches]
        system = _System(len(net), len(self.problem.outputs) * len(features[0]), around)
        for term, scale in zip(terms, scales, strict=True):
            goal = scale * (sum((a * jet[p]).sum((1, 2)) for p, a in term.parts) - term.residual[:, 0])
            if len(term.parts) == 1:
                ((part, a),) = term.parts
                for i, mine in net.parts(x[part]):
                    rows = features[i].at(x[part][mine], self.indices).rows(scale * a[mine])
                    system.own(i, rows, goal[mine])
                continue
            owners = torch.stack([owner[part] for part, _ in term.parts], 1)
            for pair in torch.unique(owners, dim=0):
                mine = torch.nonzero((owners == pair).all(1))[:, 0]
                if (pair >= 0).all():
                    rows = [
                        features[i].at(x[part][mine], self.indices).rows(scale * a[mine])
                        for i, (part, a) in zip(pair.tolist(), term.parts, strict=True)
                    ]
                    system.shared(pair.tolist(), rows, goal[mine])
        for c in carried:
            rows = features[c.patch].at(c.x, c.indices).rows(c.a)
            size = rows.square().sum(1).mean().sqrt()
            system.own(c.patch, rows / size, c.goal / size)
        orders = self._highest(terms)
        for face in faces:
            for indices, sides in self._matched(face, orders):
                pairs = zip(face.patches, sides, strict=True)
                rows = [features[i].at(face.x, indices).rows(a) for i, a in pairs]
                size = math.sqrt(sum(r.square().sum(1).mean().item() for r in rows) / 2)
                system.shared(face.patches, [rows[0] / size, -rows[1] / size], x.new_zeros(len(face.x)))
        return system.solve()

    def _highest(self, terms: list[TermJet]) -> np.ndarray:
        return highest(terms[: len(self.problem.residual_names)], self.indices)

    def _matched(self, face: Face, orders: np.ndarray) -> Iterator[Match]:
        """What is equal on both sides of a face: u and its normal derivatives below the order of the equations; at an
        interface u and the flux."""
        outputs, dim, axis = len(self.problem.outputs), self.problem.dim, face.axis
        for output, most in enumerate(orders[:, axis].tolist()):
            for order in range(min(most, 1) if face.interface else most):
                index = tuple(order * (i == axis) for i in range(dim))
                indices = list(dict.fromkeys([(0,) * dim, index]))
                a = face.x.new_zeros(len(face.x), len(indices), outputs)
                a[:, -1, output] = 1
                yield indices, (a, a)
        if face.interface:
            indices = multi_indices(dim, 1)
            away = SIDE * float(self.problem.box.upper[axis] - self.problem.box.lower[axis])
            sides = [self._flux(face, indices, sign * away) for sign in (-1, 1)]
            for both in zip(*sides, strict=True):
                yield indices, both

    def _flux(self, face: Face, indices: list[Index], away: float) -> list[torch.Tensor]:
        """The coefficients (n, indices, outputs) of each flux, ``away`` from the face."""
        x = face.x.clone()
        x[:, face.axis] += away
        x.requires_grad_()
        jet = x.new_zeros(len(x), len(indices), len(self.problem.outputs)).requires_grad_()
        flux = face.interface.flux(x, taylor(x, jet, indices, self.net._output_transform))
        parts = flux if isinstance(flux, (list, tuple)) else [flux]
        found = [torch.autograd.grad(part.sum(), jet, retain_graph=True)[0] for part in parts]
        dde.grad.clear()
        return found

    # Judgement ------------------------------------------------------------------------------------------------------

    def _judge(self, net: Patches) -> np.ndarray:
        """For each patch the largest relative residual of its terms, and of the continuity with its neighbours."""
        problem = self.problem
        data = self._points(net, FRESH, ON_FACE[problem.dim] // 2 + 1, 2, gathered=False)
        x = torch.as_tensor(data.train_x)
        owner, jet = net.which(x), jet_of(net, x, self.indices)
        worst = np.zeros(len(net))
        terms = list(sized_terms(data, problem.term_names, x, jet, self.indices, net._output_transform))
        for term, size in terms:
            for part, a in term.parts:
                square = (term.residual[:, 0] / size).square() if size > 0 else term.residual[:, 0].square()
                mine = owner[part][: len(a)]
                for i in torch.unique(mine).tolist():
                    if i >= 0:
                        worst[i] = max(worst[i], square[mine == i].mean().sqrt().item())
        orders = self._highest([term for term, _ in terms])
        sizes: dict[tuple[Index, ...], torch.Tensor] = {}
        for face in self._faces(net, ON_FACE[problem.dim] // 2 + 1, 3):
            for indices, sides in self._matched(face, orders):
                if tuple(indices) not in sizes:
                    sizes[tuple(indices)] = derivative_sizes(x, jet_of(net, x, indices), indices)
                size = (sides[0].abs() * sizes[tuple(indices)]).sum((1, 2)).square().mean().sqrt().item()
                pairs = zip(face.patches, sides, strict=True)
                u, v = ((a * jet_of(net.patches[i], face.x, indices)).sum((1, 2)) for i, a in pairs)
                jump = (u - v).square().mean().sqrt().item() / (size or 1.0)
                for i in face.patches:
                    worst[i] = max(worst[i], jump)
        carried = self._carried(net, 0.5)
        size = max((c.goal.square().mean().sqrt().item() for c in carried), default=0.0) or 1.0
        for c in carried:
            jump = (c.a * jet_of(net.patches[c.patch], c.x, c.indices)).sum((1, 2)) - c.goal
            worst[c.patch] = max(worst[c.patch], jump.square().mean().sqrt().item() / size)
        return worst

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


class _System:
    """Rows of patches with ``columns`` coefficients each, collected for `condense` and `couple`.

    Args:
        around: for each patch coefficients (columns,) to which its own are the nearest; None is zero.
    """

    def __init__(self, patches: int, columns: int, around: list[torch.Tensor] | None = None):
        self._around = around
        empty = torch.empty(0, columns, dtype=torch.float64)
        self._own = [[empty] for _ in range(patches)]
        self._right = [[empty[:, 0]] for _ in range(patches)]
        self._traces = [[empty] for _ in range(patches)]
        self._shared: list[tuple[list[tuple[int, slice]], torch.Tensor]] = []
        self._count = [0] * patches

    def own(self, patch: int, rows: torch.Tensor, right: torch.Tensor) -> None:
        """Rows of one patch alone."""
        self._own[patch].append(rows)
        self._right[patch].append(right if self._around is None else right - rows @ self._around[patch])

    def shared(self, patches, rows, right: torch.Tensor) -> None:
        """Rows that are the sum of a row of each of several patches."""
        where = []
        if self._around is not None:
            right = right - sum(r @ self._around[i] for i, r in zip(patches, rows, strict=True))
        for i, r in zip(patches, rows, strict=True):
            where.append((i, slice(self._count[i], self._count[i] + len(r))))
            self._traces[i].append(r)
            self._count[i] += len(r)
        self._shared.append((where, right))

    def solve(self) -> list[torch.Tensor]:
        """The coefficients of each patch."""
        condensed, blocks = [], []
        for i, (own, right, traces) in enumerate(zip(self._own, self._right, self._traces, strict=True)):
            found = condense(torch.cat(own), torch.cat(right), torch.cat(traces))
            condensed.append(found)
            blocks.append(Block((i,), found.rows, found.right))
            own.clear()
            traces.clear()
        for where, goal in self._shared:
            columns: dict[int, torch.Tensor] = {}
            for i, part in where:
                columns[i] = columns.get(i, 0) + condensed[i].traces[part]
                goal = goal - condensed[i].offset[part]
            blocks.append(Block(tuple(columns), torch.cat(list(columns.values()), 1), goal))
        y = couple([c.free.shape[1] for c in condensed], blocks)
        found = [c.coefficients(v) for c, v in zip(condensed, y, strict=True)]
        return found if self._around is None else [c + o for c, o in zip(found, self._around, strict=True)]


@torch.no_grad()
def _store(net: Patches, coefficients: list[torch.Tensor]) -> None:
    for patch, c in zip(net.patches, coefficients, strict=True):
        weight, bias = as_layer(c, patch.linears[-1])
        patch.linears[-1].weight.copy_(weight)
        patch.linears[-1].bias.copy_(bias)


def _coefficients(net: Patches) -> list[torch.Tensor]:
    linears = [patch.linears[-1] for patch in net.patches]
    return [torch.cat([linear.weight.detach().reshape(-1), linear.bias.detach()]) for linear in linears]


def _affine(terms, jet, new, left, scales) -> bool:
    """Whether the residual has become what its linearisation said."""
    miss = size = 0.0
    for term, v, s in zip(terms, left, scales, strict=True):
        change = sum((a * (new[p] - jet[p])).sum((1, 2)) for p, a in term.parts)
        miss += (s * (term.residual[:, 0] + change - v)).square().sum().item()
        size += (s * sum((a * new[p]).abs().sum((1, 2)) for p, a in term.parts)).square().sum().item()
    return math.sqrt(miss) <= AFFINE * math.sqrt(size)


def _boxes(edges: list[np.ndarray]) -> int:
    return math.prod(len(e) - 1 for e in edges)


def _halves(bounds: np.ndarray, axis: int) -> list[np.ndarray]:
    lower, upper = bounds.copy(), bounds.copy()
    lower[1, axis] = upper[0, axis] = bounds[:, axis].mean()
    return [lower, upper]
