"""Low rank: sums of few products of functions of one coordinate each, by Gauss-Newton on all of their coefficients."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..analysis.basis_size import MARGIN
from ..analysis.wavenumbers import rank_of_bands
from ..arguments import fraction, whole
from ..backend import seeded
from ..checking.accuracy import distance
from ..checking.sizes import sized_terms
from ..checking.status import FRESH
from ..discretization.features import DERIVATIVES
from ..discretization.jets import check_plain, needed_orders, term_jets
from ..discretization.objective import Objective
from ..domain import Box
from ..errors import InputError, TrainingError
from ..linalg.damped import Dense
from ..linalg.dense import Factorization, Linearization
from ..networks.product import SLOW_WAVENUMBER, ProductRepNet
from ..problem.points import collocation
from ..problem.problem import Problem
from .method import Method, not_plain, with_option

SWEEPS = 4
"""Alternating solves of every coordinate for products that are new."""
START, EASE, TIGHTEN = 1e-8, 10.0, 3.0
"""λ over the trace of JᵀJ at the start; it falls by the one after a step that lowers the residual and grows by the
other after one that does not."""
SMALLEST, LARGEST = 1e-24, 1e3
"""Least and largest damping over the trace of JᵀJ."""
SLOW, PATIENCE, STEPS = 0.02, 4, 40
"""Products are added after so many steps in a row that each lower the square of the residual by a smaller part, or
after so many steps."""
FLOOR = 1e-28
"""Square of the residual over that of the data at which only rounding is left."""
SETTLED = 1e-6
"""Residual below which an enlargement has to pay."""
PROGRESS = 0.5
"""Part to which two enlargements have to lower a residual below `SETTLED`."""
TYPICAL = 8
"""Products for whose coefficients there are points enough; more have the same."""
FEW = 100
"""Points on the boundary and at the start beside those inside that are chosen."""
OWN = 1e-3
"""Part of its usual size from which on a term's own data scale it."""
TWIN_STEPS = 10
"""Steps of the second solution."""
NODES = 6
"""Points for each sine at which a factor is carried over to other sines."""


class LowRank(Method):
    """Solves for u = Σ_r Π_l φ_lr(x_l) (canonical polyadic form), its factors one-layer sine RepNets.

    The number of coefficients grows with the number of coordinates and not with its exponential. Products are added
    while the residual at validation points is above ``tolerance``. New ones are found by alternating least squares, one
    coordinate after another, from several starts (G. Beylkin, M. J. Mohlenkamp, SIAM J. Sci. Comput. 26 (2005)
    2133-2159); then Gauss-Newton with Levenberg-Marquardt damping works on all factors of all products together, and a
    last alternating sweep of linear solves removes what rounding left. The rows are the equations and conditions as
    they are; nonlinear ones are linearised in every step.

    Args:
        objective: the loss on a `ProductRepNet` without slow sines; its weights are not used.
        iterations: most steps of Gauss-Newton.
        tolerance: relative residual at validation points that is asked for.
        most_products: most of them, for each output.
    """

    name = "low-rank"
    title = "sums of products of functions of one coordinate"
    default_iterations = 400
    network = "repnet-product"
    identifies = False

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        return "there is only one coordinate" if problem.dim == 1 else not_plain(problem)

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        return {"features": coefficients(net)}

    @classmethod
    def network_options(cls, problem: Problem, options: dict, wavenumber: Sequence[float] | np.ndarray) -> dict:
        """One product at first, sines that reach the wavenumbers."""
        numbers = [max(k, np.pi / h) for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
        most = max(rank_of_bands([(0, 1.25 * k)], h) for k, h in zip(numbers, problem.box.half_width, strict=True))
        return {"layers": [math.ceil(MARGIN * most), 1], "wavenumber": numbers} | options

    @classmethod
    def coarser(cls, result: dict) -> tuple[str, float, list[tuple[float, dict]]] | None:
        most = cls.options()["most_products"]
        steps = [round(most * factor) for factor in (1 / 12, 1 / 4, 1 / 2)]
        return "products", most, [(n, with_option(cls, "most_products", n)) for n in steps]

    def __init__(self, objective: Objective, iterations: int, *, tolerance: float = 1e-11, most_products: int = 12):
        fraction("tolerance", tolerance)
        if most_products is None:
            raise InputError("most_products: None given; a whole number >= 1 is needed")
        whole("most_products", most_products, 1)
        problem = objective.problem
        if not isinstance(objective.net, ProductRepNet) or objective.net.slow is not None or problem is None:
            raise InputError("network: low-rank needs 'repnet-product' without slow sines, made by solve")
        self.objective, self.iterations = objective, iterations
        self.tolerance, self.most_products = tolerance, most_products
        self.problem, self.net = problem, objective.net
        check_plain(problem, "low-rank")
        needed_orders(problem, "low-rank")
        self.iteration = 0
        self.damping: float | None = None
        self.scales: list[float] = []
        self.goal = 0.0
        self.worst: list[float] = []
        self.best: dict | None = None
        self.done = self.slow = 0
        """Steps since products were added, and how many of the last were slow."""
        self.twin_distance: float | None = None
        self._reason: str | None = None
        self._system: _System | None = None

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def step(self) -> None:
        """One step of Gauss-Newton; before the first one with new products, find these."""
        self.iteration += 1
        if self._system is None:
            self._system = _System(self.problem, self.net, self.objective.data)
            self._system.scales, self._system.goal = self.scales, self.goal
            if self.damping is not None or self.worst:
                self._system.load()
        system = self._system
        if self.damping is None:
            for _ in range(1 if self.worst else max(1, self.net.products // len(self.problem.outputs))):
                _add(system)
            self.scales, self.goal, self.damping = system.scales, system.goal, START * system.trace()
            self.done = self.slow = 0
        self.damping, gain = system.improve(self.damping)
        self.done += 1
        self.slow = self.slow + 1 if gain < SLOW else 0
        if gain == 0 or self.slow >= PATIENCE or self.done >= STEPS or system.norm() ** 2 <= FLOOR * system.goal:
            self._judge(system)
        else:
            system.store()
        self.objective.measure()

    def _judge(self, system: "_System") -> None:
        """Polish, measure the residual at validation points, and decide whether products are to be added."""
        system.polish()
        system.store()
        residual = self._residual()
        if not self.worst or residual < min(self.worst):
            self.best = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.worst.append(residual)
        self.damping = None
        number = self.net.products // len(self.problem.outputs)
        said = f"relative residual {min(self.worst):.1e} with up to {number} product{'s' * (number > 1)}"
        if residual <= self.tolerance:
            self._reason = f"{said}, below the tolerance"
        elif number >= self.most_products:
            self._reason = f"{said}, the most that were asked for"
        elif (
            min(self.worst) < SETTLED
            and len(self.worst) > 2
            and not min(self.worst[-2:]) < PROGRESS * min(self.worst[:-2])
        ):
            self._reason = f"{said}: two enlargements do not lower it"
        if self._reason is not None:
            assert self.best is not None
            self.net.load_state_dict(self.best)
            self._system = None
            self._compare()

    def _residual(self) -> float:
        """The largest relative residual of the terms at validation points."""
        with seeded(0):
            data = collocation(self.problem, few=FRESH, distribution="pseudo")
        system = _System(self.problem, self.net, data).load()
        terms = sized_terms(
            data, self.problem.term_names, system.x, system.jet(), system.indices, self.net._output_transform
        )
        return max(t.residual.square().mean().sqrt().item() / size if size > 0 else 0.0 for t, size in terms)

    def _compare(self) -> None:
        """The distance to a solution with other sines and other points, which starts from this one."""
        options = {"domain": self.problem.box, "wavenumber": self.net.wavenumber}
        with seeded(1):
            other = ProductRepNet(self.net.layer_sizes, **options)
            data = collocation(self.problem, features=coefficients(self.net), distribution="pseudo")
        other._output_transform = self.net._output_transform
        _imitate(other, self.net)
        system = _System(self.problem, other, data).load()
        system.rescale()
        system.balance()
        damping = START * system.trace()
        for _ in range(TWIN_STEPS):
            damping, gain = system.improve(damping)
            if gain < SLOW:
                break
        system.polish()
        system.store()
        self.twin_distance = distance(self.problem, self.net, other)

    def state_dict(self) -> dict:
        names = ("iteration", "damping", "scales", "goal", "worst", "best", "done", "slow", "twin_distance")
        return {name: getattr(self, name) for name in names} | {"reason": self._reason}

    def load_state_dict(self, state: dict) -> None:
        state = dict(state)
        self._reason = state.pop("reason")
        for name, value in state.items():
            setattr(self, name, value)


def coefficients(net: ProductRepNet) -> int:
    """Those of `TYPICAL` products, which set the numbers of points."""
    return TYPICAL * sum(f.in_features + 1 for f in getattr(net, "factors", ()))  # other networks have none


class _System:
    """The residuals at fixed points as functions of the factors' coefficients, one (products, features + 1) tensor for
    each coordinate, without any product at first; ``store`` writes them into the network."""

    def __init__(self, problem: Problem, net: ProductRepNet, data: Any):
        self.names, self.transform, self.outputs = problem.term_names, net._output_transform, len(problem.outputs)
        self.problem, self.net, self.data = problem, net, data
        self.indices = needed_orders(problem, "low-rank", data)
        self.x = torch.as_tensor(data.train_x)
        self.tables = [self._table(axis) for axis in range(net.box.dim)]
        self.scales: list[float] = []
        self.goal = 0.0
        self.c = [table[0].new_empty(0, table[0].shape[1]) for table in self.tables]

    def _table(self, axis: int) -> list[torch.Tensor]:
        """The derivatives (n, features + 1) of the sines of one coordinate and of the constant, by order."""
        weight, bias = self.net.sines(axis).linear_equivalent()
        z = self.x[:, axis : axis + 1] @ weight.detach().T + bias.detach()
        one = torch.ones_like(z[:, :1])
        result = []
        for order in range(max(a[axis] for a in self.indices) + 1):
            sines = weight.detach()[:, 0] ** order * DERIVATIVES["sin"](z, order)
            result.append(torch.cat([sines, one if order == 0 else 0 * one], 1))
        return result

    @torch.no_grad()
    def load(self) -> "_System":
        """Take the coefficients of the network, with its output layer multiplied into the first factor."""
        factors = [self.net.factor(axis) for axis in range(len(self.tables))]
        self.c = [torch.cat([f.weight, f.bias[:, None]], 1) for f in factors]
        number = len(self.c[0])
        used = self.net.last.weight[torch.arange(number) % self.outputs, torch.arange(number)]
        self.c[0] = self.c[0] * used[:, None]
        return self

    @torch.no_grad()
    def store(self) -> None:
        """Write the coefficients into the network, which is given as many products."""
        self.net.resize(len(self.c[0]))
        for axis, c in enumerate(self.c):
            factor = self.net.factor(axis)
            factor.weight.copy_(c[:, :-1])
            factor.bias.copy_(c[:, -1])
        number = len(self.c[0])
        which = torch.arange(number)
        self.net.last.weight.zero_()
        self.net.last.weight[which % self.outputs, which] = 1
        self.net.last.bias.zero_()

    def rescale(self, first: bool = False) -> None:
        """Scale the terms by their data, or where they have none by their size for the present u, so that a row is a
        relative residual; ``first``, where u is of any size, adapts it."""
        jet = self.jet()
        at_zero = self._raw(torch.zeros_like(jet))
        data = [r.square().mean().sqrt().item() if len(r) else 0.0 for r in at_zero]
        found = sized_terms(self.data, self.names, self.x, jet, self.indices, self.transform)
        size = {term.name: size or 1.0 for term, size in found}
        sizes = [size.get(name, 1.0) for name in self.names]
        unit = max(d / s for d, s in zip(data, sizes, strict=True)) or 1.0 if first else 1.0
        sizes = [d if d > OWN * unit * s else unit * s for d, s in zip(data, sizes, strict=True)]
        self.scales = [1 / (s * math.sqrt(max(len(r), 1))) for s, r in zip(sizes, at_zero, strict=True)]
        self.goal = sum((d / s) ** 2 for d, s in zip(data, sizes, strict=True))

    # Starts ---------------------------------------------------------------------------------------------------------

    def starts(self) -> list[list[torch.Tensor]]:
        """Factors, of root mean square 1, that a new product of each output may start from."""
        found = [self._lines(), self._random(smooth=True), self._random(smooth=False)]
        result = []
        for start in filter(None, found):
            sizes = [
                (t[0] @ c.T).square().mean(0).sqrt().clamp_min(1e-300) for t, c in zip(self.tables, start, strict=True)
            ]
            result.append([c / size[:, None] for c, size in zip(start, sizes, strict=True)])
        return result

    def _random(self, smooth: bool) -> list[torch.Tensor]:
        start = []
        for axis, table in enumerate(self.tables):
            c = torch.randn(self.outputs, table[0].shape[1], dtype=self.x.dtype)
            if smooth:
                slopes = self.net.sines(axis).slopes()
                c[:, :-1] *= slopes <= max(SLOW_WAVENUMBER, slopes.min().item())
            start.append(c)
        return start

    def _lines(self) -> list[torch.Tensor] | None:
        """Functions that vary like the residual of an equation along the lines through the point where it is largest
        (as in cross approximation); None where there is none."""
        count = len(self.problem.residual_names or ())
        raw = [r.abs() * s for r, s in zip(self._raw(self.jet()), self.scales or [1.0] * len(self.names), strict=True)]
        worst = max(range(count), key=lambda i: raw[i].max())
        if raw[worst].max() == 0:
            return None
        centre = self.x[len(self.x) - len(raw[worst]) + int(raw[worst].argmax())]
        lines = []
        for axis, c in enumerate(self.c):
            line = centre.repeat(NODES * c.shape[1], 1)
            line[:, axis] = _nodes(self.net.box, axis, len(line))
            lines.append(line)
        points = torch.cat(lines).numpy()
        with seeded(0):
            data = collocation(self.problem, inside=points, boundary=FEW, initial=FEW)
        there = _System(self.problem, self.net, data)
        there.c = self.c
        values, begin = there._raw(there.jet())[worst][-len(points) :], len(there.x) - len(points)  # DeepXDE's order
        start = []
        for axis, part in enumerate(values.split([len(line) for line in lines])):
            table = there.tables[axis][0][begin : begin + len(part)]
            start.append(Factorization(table).solve(-part).repeat(self.outputs, 1))
            begin += len(part)
        return start

    # Evaluation -----------------------------------------------------------------------------------------------------

    def values(self) -> list[list[torch.Tensor]]:
        """The derivatives (n, products) of every factor, by coordinate and order."""
        return [[t @ c.T for t in table] for table, c in zip(self.tables, self.c, strict=True)]

    def jet(self) -> torch.Tensor:
        """D^α u (n, indices, outputs) before the output transform."""
        values = self.values()
        found = []
        for index in self.indices:
            product = math.prod(v[order] for v, order in zip(values[1:], index[1:], strict=True))
            product = product * values[0][index[0]]
            found.append(torch.stack([product[:, c :: self.outputs].sum(1) for c in range(self.outputs)], 1))
        return torch.stack(found, 1)

    def _raw(self, jet: torch.Tensor) -> list[torch.Tensor]:
        terms = term_jets(self.data, self.names, self.x, jet, self.indices, self.transform)
        return [term.residual[:, 0] for term in terms]

    def residual(self) -> torch.Tensor:
        """All scaled rows (m,)."""
        return torch.cat([r * s for r, s in zip(self._raw(self.jet()), self.scales, strict=True)])

    def norm(self) -> float:
        return self.residual().norm().item()

    def _linearized(
        self, axes: Sequence[int], which: slice | list[int] = slice(None)
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(residual (m,), its derivatives (m, coefficients)) of every term, scaled, for the coefficients of ``axes``
        of the products ``which``."""
        values = self.values()
        names, transform = self.names, self.transform
        for term, scale in zip(
            term_jets(self.data, names, self.x, self.jet(), self.indices, transform), self.scales, strict=True
        ):
            parts = [
                torch.cat([self._rows(values, axis, p, scale * a, which) for axis in axes], 1) for p, a in term.parts
            ]
            yield scale * term.residual[:, 0], sum(parts, start=torch.zeros_like(parts[0]))

    def _rows(
        self, values: list[list[torch.Tensor]], axis: int, part: slice, a: torch.Tensor, which: slice | list[int]
    ) -> torch.Tensor:
        """Σ_α A_α D^α u for u linear in the coefficients of one coordinate: (m, products · features)."""
        products = torch.arange(len(self.c[0]))[which]
        result: torch.Tensor | None = None
        for order, table in enumerate(self.tables[axis]):
            inner: torch.Tensor | None = None
            for i, index in enumerate(self.indices):
                if index[axis] == order and a[:, i].any():
                    others = a[:, i][:, products % self.outputs]
                    for other, v in enumerate(values):
                        if other != axis:
                            others = others * v[index[other]][part][:, products]
                    inner = others + (0 if inner is None else inner)
            if inner is not None:
                product = inner[:, :, None] * table[part][:, None]
                result = product + (0 if result is None else result)
        if result is None:
            return a.new_zeros(len(a), len(products) * self.c[axis].shape[1])
        return result.flatten(1)

    def _dense(self, axes: Sequence[int], which: slice | list[int] = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        residuals, rows = zip(*self._linearized(axes, which), strict=True)
        return torch.cat(residuals), torch.cat(rows)

    def trace(self) -> float:
        return sum(rows.square().sum().item() for _, rows in self._linearized(range(len(self.tables))))

    # Steps ----------------------------------------------------------------------------------------------------------

    def sweep(self, which: range) -> None:
        """Solve for the products ``which``, one coordinate after another."""
        chosen = list(which)
        for axis in range(len(self.tables)):
            self.c[axis][chosen] = self._solved(axis, chosen)
            self.balance()

    def _solved(self, axis: int, which: slice | list[int] = slice(None)) -> torch.Tensor:
        """The coefficients of one coordinate for the products ``which`` that leave least, all others fixed."""
        residual, rows = self._dense([axis], which)
        now = self.c[axis][which]
        return Factorization(rows).solve(residual - rows @ now.reshape(-1)).view_as(now)

    def balance(self) -> None:
        """Give the factors of each product the same root mean square."""
        sizes = torch.stack([v[0].square().mean(0).sqrt().clamp_min(1e-150) for v in self.values()])
        mean = sizes.log().mean(0).exp()
        self.c = [c * (mean / s)[:, None] for c, s in zip(self.c, sizes, strict=True)]

    def improve(self, damping: float) -> tuple[float, float]:
        """One step of Levenberg-Marquardt: (the next λ, the part by which the square of the residual fell)."""
        residual, rows = self._dense(range(len(self.tables)))
        if not torch.isfinite(rows).all() or not torch.isfinite(residual).all():
            raise TrainingError("low-rank: the residual is not finite")
        dense = Dense([Linearization("", residual, rows)], [1.0], 0)
        before, norm = self.c, residual.norm().item()
        while True:
            delta = dense.step(damping).split([c.numel() for c in before])
            self.c = [c + d.view_as(c) for c, d in zip(before, delta, strict=True)]
            new = self.norm()
            if new < norm:
                self.balance()
                return max(damping / EASE, SMALLEST * dense.trace), 1 - (new / norm) ** 2
            self.c = before
            if damping > LARGEST * dense.trace:
                return damping, 0.0
            damping *= TIGHTEN

    def polish(self) -> None:
        """Solve for one coordinate after another with all products; kept where the residual falls."""
        for axis in range(len(self.tables)):
            before, norm = self.c, self.norm()
            found = self._solved(axis)
            self.c = [found if i == axis else c for i, c in enumerate(self.c)]
            if not self.norm() < norm:
                self.c = before


def _add(system: _System) -> None:
    """Add one product for each output: that of the `_System.starts` which alternating least squares brings furthest."""
    before = system.c
    best: tuple[float, list[torch.Tensor]] | None = None
    new = range(len(before[0]), len(before[0]) + system.outputs)
    starts = system.starts()
    if not new.start:
        system.c = starts[0]
        system.rescale(first=True)
    for start in starts:
        system.c = [torch.cat([c, s * (axis > 0)]) for axis, (c, s) in enumerate(zip(before, start, strict=True))]
        for _ in range(SWEEPS):
            system.sweep(new)
        norm = system.norm()
        if best is None or norm < best[0]:
            best = norm, system.c
    assert best is not None  # there are random starts at least
    system.c = best[1]


@torch.no_grad()
def _imitate(net: ProductRepNet, other: ProductRepNet) -> None:
    """Fit the products of another network of the same sizes by the sines of ``net``, factor by factor."""
    for axis in range(net.box.dim):
        mine, theirs = net.factor(axis), other.factor(axis)
        x = _nodes(net.box, axis, NODES * mine.in_features)[:, None].expand(-1, net.box.dim)
        sines = torch.cat([net.features(x, axis), torch.ones_like(x[:, :1])], 1)
        found = Factorization(sines).solve(-theirs(other.features(x, axis)))
        mine.weight.copy_(found[:-1].T)
        mine.bias.copy_(found[-1])
    net.last.load_state_dict(other.last.state_dict())


def _nodes(box: Box, axis: int, count: int) -> torch.Tensor:
    """Chebyshev nodes (count,) of one axis."""
    places = torch.cos(math.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return float(box.lower[axis]) + float(box.upper[axis] - box.lower[axis]) * (1 - places) / 2
