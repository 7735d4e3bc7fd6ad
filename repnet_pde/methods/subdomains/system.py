"""Least-squares collocation for the last layers of all patches: the rows of one partition, and Newton's method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ... import limits
from ...discretization.features import Features, jet_of
from ...discretization.jets import Index, TermJet, highest, term_jets
from ...discretization.last_layer import as_layer
from ...errors import TrainingError
from ...linalg.condensed import Block, condense, couple
from ...networks.patches import Patches
from ...networks.repnet import RepNet
from ...problem.problem import Problem
from .continuity import matched
from .points import Face

NEWTON_STEPS = 15
SMALLEST_STEP = 1 / 64
"""Of Newton's direction, after which a step is taken even where it does not lower the residual."""
SLOW = 0.9
"""Part of the residual above which what a step leaves is the floor."""
STORED = 2
"""Copies of the patches' rows that are held at the same time."""
AFFINE = 1e-8
"""Relative mismatch of predicted and actual residual below which the residuals count as linear."""


@dataclass
class Carried:
    """What a patch takes over: Σ_α A_α D^α u = goal at points (n, d), with A (n, indices, outputs)."""

    patch: int
    x: torch.Tensor
    indices: list[Index]
    a: torch.Tensor
    goal: torch.Tensor


class PatchSystem:
    """The equations and conditions at the collocation points of one partition, with what joins its patches.

    Args:
        problem: the one that is solved. net: its patches; their last layers are solved for.
        data: the points and conditions. indices: the derivatives that their residuals depend on.
        faces: between the patches. carried: what the patches take over from elsewhere.
        around: for each patch coefficients (p,) to which its own are the nearest; None is zero.
    """

    def __init__(
        self,
        problem: Problem,
        net: Patches,
        data: Any,
        indices: list[Index],
        faces: list[Face],
        carried: list[Carried],
        around: list[torch.Tensor] | None = None,
    ):
        self.problem, self.net, self.data, self.indices = problem, net, data, indices
        self.faces, self.carried, self.around = faces, carried, around
        self.x = torch.as_tensor(data.train_x)
        self.owner = net.which(self.x)
        """The patch (n,) of each point."""

    def newton(self, jet: torch.Tensor) -> None:
        """Newton's method for the last layers, which are written into the network.

        Args:
            jet: (n, indices, outputs) of the function around which the first step linearises.
        """
        net, before, norm = self.net, None, math.inf
        for _ in range(NEWTON_STEPS):
            terms = self._terms(jet)
            scales = self._scales(terms)
            found = self._least_squares(terms, jet, scales)
            step = 1.0
            while True:
                store(
                    net,
                    [c if before is None else b + step * (c - b) for b, c in zip(before or found, found, strict=True)],
                )
                new = jet_of(net, self.x, self.indices)
                left = [t.residual[:, 0] for t in self._terms(new)]
                now = math.sqrt(sum((v * s).square().sum().item() for v, s in zip(left, scales, strict=True)))
                if not math.isfinite(now):
                    raise TrainingError("patching: the residual is not finite")
                if before is None or now < norm or step <= SMALLEST_STEP:
                    break
                step /= 2
            settled = before is not None and not now < SLOW * norm
            affine = before is None and _affine(terms, jet, new, left, scales)
            before, norm, jet = coefficients(net), now, new
            if affine or settled:
                break

    def _terms(self, jet: torch.Tensor) -> list[TermJet]:
        return term_jets(self.data, self.problem.term_names, self.x, jet, self.indices, self.net._output_transform)

    def _scales(self, terms: list[TermJet]) -> list[float]:
        """One factor per term that brings the root mean square of its rows' norms to 1, from some of the rows."""
        scales = []
        for term in terms:
            part, a = term.parts[0]
            rows = torch.arange(part.start, part.start + len(a))[:: max(1, len(a) // 500)]
            total, number = 0.0, 0
            for i in torch.unique(self.owner[rows]).tolist():
                mine = rows[self.owner[rows] == i]
                if i >= 0:
                    at = Features(self.net.patch(i)).at(self.x[mine], self.indices)
                    found = at.rows(a[mine - part.start])
                    total, number = total + found.square().sum().item(), number + len(mine)
            scales.append(math.sqrt(number / total) if total > 0 else 1.0)
        return scales

    def _least_squares(self, terms: list[TermJet], jet: torch.Tensor, scales: list[float]) -> list[torch.Tensor]:
        """The coefficients (p,) of every patch, from the terms linearised at ``jet``, what is carried over, and the
        continuity across faces."""
        features = [Features(p) for p in repnets(self.net)]
        columns = len(self.problem.outputs) * len(features[0])
        limits.need(
            STORED * 8 * (len(self.x) + len(self.net) * columns) * columns,
            f"a partition of {len(self.net)} patches with {columns} coefficients each",
        )
        rows = BlockRows(len(self.net), len(self.problem.outputs) * len(features[0]), self.around)
        for term, scale in zip(terms, scales, strict=True):
            goal = scale * (sum((a * jet[p]).sum((1, 2)) for p, a in term.parts) - term.residual[:, 0])
            self._add_term(rows, features, term, scale, goal)
        self._add_carried(rows, features)
        self._add_interfaces(rows, features, terms)
        return rows.solve()

    def _add_term(
        self, system: "BlockRows", features: list[Features], term: TermJet, scale: float, goal: torch.Tensor
    ) -> None:
        """The rows of an equation or condition: of one patch each, or of two that a periodic condition joins."""
        if len(term.parts) == 1:
            ((part, a),) = term.parts
            for i, mine in self.net.parts(self.x[part]):
                rows = features[i].at(self.x[part][mine], self.indices).rows(scale * a[mine])
                system.own(i, rows, goal[mine])
            return
        owners = torch.stack([self.owner[part] for part, _ in term.parts], 1)
        for pair in torch.unique(owners, dim=0):
            mine = torch.nonzero((owners == pair).all(1))[:, 0]
            if (pair >= 0).all():
                parts = [
                    features[i].at(self.x[part][mine], self.indices).rows(scale * a[mine])
                    for i, (part, a) in zip(pair.tolist(), term.parts, strict=True)
                ]
                system.shared(pair.tolist(), parts, goal[mine])

    def _add_carried(self, system: "BlockRows", features: list[Features]) -> None:
        for c in self.carried:
            rows = features[c.patch].at(c.x, c.indices).rows(c.a)
            size = rows.square().sum(1).mean().sqrt()
            system.own(c.patch, rows / size, c.goal / size)

    def _add_interfaces(self, system: "BlockRows", features: list[Features], terms: list[TermJet]) -> None:
        """The interface rows, of the two patches beside every face."""
        orders = highest(terms[: len(self.problem.residual_names or ())], self.indices)
        for face in self.faces:
            for indices, sides in matched(self.problem, face, orders, self.net._output_transform):
                pairs = zip(face.patches, sides, strict=True)
                rows = [features[i].at(face.x, indices).rows(a) for i, a in pairs]
                size = math.sqrt(sum(r.square().sum(1).mean().item() for r in rows) / 2)
                system.shared(face.patches, [rows[0] / size, -rows[1] / size], self.x.new_zeros(len(face.x)))


class BlockRows:
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

    def shared(self, patches: Sequence[int], rows: Sequence[torch.Tensor], right: torch.Tensor) -> None:
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
            patch = condense(torch.cat(own), torch.cat(right), torch.cat(traces))
            condensed.append(patch)
            blocks.append(Block((i,), patch.rows, patch.right))
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


def repnets(net: Patches) -> list[RepNet]:
    """The networks of all patches."""
    return [net.patch(i) for i in range(len(net))]


@torch.no_grad()
def store(net: Patches, found: list[torch.Tensor]) -> None:
    """Write the coefficients (p,) of every patch into its last layer."""
    for patch, c in zip(repnets(net), found, strict=True):
        linear = patch.output_layer()
        weight, bias = as_layer(c, linear)
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)


def coefficients(net: Patches) -> list[torch.Tensor]:
    """The coefficients (p,) of every patch's last layer."""
    linears = [patch.output_layer() for patch in repnets(net)]
    return [torch.cat([linear.weight.detach().reshape(-1), linear.bias.detach()]) for linear in linears]


def _affine(
    terms: Sequence[TermJet],
    jet: torch.Tensor,
    new: torch.Tensor,
    left: Sequence[torch.Tensor],
    scales: Sequence[float],
) -> bool:
    """Whether the residual has become what its linearisation said."""
    miss = size = 0.0
    for term, v, s in zip(terms, left, scales, strict=True):
        change = sum((a * (new[p] - jet[p])).sum((1, 2)) for p, a in term.parts)
        miss += (s * (term.residual[:, 0] + change - v)).square().sum().item()
        sizes = ((a * new[p]).abs().sum((1, 2)) for p, a in term.parts)
        size += (s * sum(sizes, start=new.new_zeros(()))).square().sum().item()
    return math.sqrt(miss) <= AFFINE * math.sqrt(size)
