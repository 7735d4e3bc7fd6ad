"""The relative residual of a solution on patches at validation points, patch by patch."""

from typing import Any

import numpy as np
import torch

from ...checking.sizes import derivative_sizes, sized_terms
from ...discretization.features import jet_of
from ...discretization.jets import Index, TermJet, highest
from ...networks.patches import Patches
from ...problem.problem import Problem
from .continuity import matched
from .points import Face
from .system import Carried


class PatchResiduals:
    """For each patch the largest relative residual of what has been looked at.

    Args:
        problem: the one that is solved. net: its solution. data: validation points and the conditions.
        indices: the derivatives that their residuals depend on.
    """

    def __init__(self, problem: Problem, net: Patches, data: Any, indices: list[Index]):
        self.problem, self.net, self.data, self.indices = problem, net, data, indices
        self.x = torch.as_tensor(data.train_x)
        self.worst = np.zeros(len(net))
        """The largest so far, of each patch (n,)."""

    def terms(self) -> list[TermJet]:
        """Look at the equations and conditions, which are returned."""
        net, x, worst = self.net, self.x, self.worst
        owner, jet = net.which(x), jet_of(net, x, self.indices)
        terms = list(sized_terms(self.data, self.problem.term_names, x, jet, self.indices, net._output_transform))
        for term, size in terms:
            for part, a in term.parts:
                square = (term.residual[:, 0] / size).square() if size > 0 else term.residual[:, 0].square()
                mine = owner[part][: len(a)]
                for i in torch.unique(mine).tolist():
                    if i >= 0:
                        worst[i] = max(worst[i], square[mine == i].mean().sqrt().item())
        return [term for term, _ in terms]

    def continuity(self, faces: list[Face], terms: list[TermJet]) -> None:
        """Look at the jumps across faces, relative to the sizes of the derivatives.

        Args:
            terms: as `terms` gave them.
        """
        net, x, worst = self.net, self.x, self.worst
        orders = highest(terms[: len(self.problem.residual_names or ())], self.indices)
        sizes: dict[tuple[Index, ...], torch.Tensor] = {}
        for face in faces:
            for indices, sides in matched(self.problem, face, orders, net._output_transform):
                if tuple(indices) not in sizes:
                    sizes[tuple(indices)] = derivative_sizes(x, jet_of(net, x, indices), indices)
                size = (sides[0].abs() * sizes[tuple(indices)]).sum((1, 2)).square().mean().sqrt().item()
                pairs = zip(face.patches, sides, strict=True)
                u, v = ((a * jet_of(net.patch(i), face.x, indices)).sum((1, 2)) for i, a in pairs)
                jump = (u - v).square().mean().sqrt().item() / (size or 1.0)
                for i in face.patches:
                    worst[i] = max(worst[i], jump)

    def carried(self, carried: list[Carried]) -> None:
        """Look at what the patches have taken over, relative to the largest of it."""
        net, worst = self.net, self.worst
        size = max((c.goal.square().mean().sqrt().item() for c in carried), default=0.0) or 1.0
        for c in carried:
            jump = (c.a * jet_of(net.patch(c.patch), c.x, c.indices)).sum((1, 2)) - c.goal
            worst[c.patch] = max(worst[c.patch], jump.square().mean().sqrt().item() / size)
