"""What is equal on both sides of a face between patches: u and its normal derivatives, at an interface the flux."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from ...backend import dde
from ...discretization.jets import Index, multi_indices, taylor
from ...problem.problem import Problem
from .points import Face

SIDE = 1e-10
"""Distance from an interface at which its flux is taken, of the width of the domain."""

Transform = Callable[..., torch.Tensor] | None
"""Of the network's output."""
Match = tuple[list[Index], tuple[torch.Tensor, torch.Tensor]]
"""What is equal on both sides of a face: indices, and for either side the coefficients (n, indices, outputs) with which
the derivatives D^α u give it."""


def matched(problem: Problem, face: Face, orders: np.ndarray, transform: Transform) -> Iterator[Match]:
    """What is equal on both sides of a face: u and its normal derivatives below the order of the equation; at an
    interface u and the flux.

    Args:
        orders: (outputs, d), of the equations in each output along each axis.
        transform: of the network's output, or None.
    """
    outputs, dim, axis = len(problem.outputs), problem.dim, face.axis
    for output, most in enumerate(orders[:, axis].tolist()):
        for order in range(min(most, 1) if face.interface else most):
            index = tuple(order * (i == axis) for i in range(dim))
            indices = list(dict.fromkeys([(0,) * dim, index]))
            a = face.x.new_zeros(len(face.x), len(indices), outputs)
            a[:, -1, output] = 1
            yield indices, (a, a)
    if face.interface:
        indices = multi_indices(dim, 1)
        away = SIDE * float(problem.box.upper[axis] - problem.box.lower[axis])
        sides = [_flux(face, indices, sign * away, outputs, transform) for sign in (-1, 1)]
        for both in zip(*sides, strict=True):
            yield indices, both


def _flux(face: Face, indices: list[Index], away: float, outputs: int, transform: Transform) -> list[torch.Tensor]:
    """The coefficients (n, indices, outputs) of each flux, ``away`` from the face."""
    assert face.interface is not None
    x = face.x.clone()
    x[:, face.axis] += away
    x.requires_grad_()
    jet = x.new_zeros(len(x), len(indices), outputs).requires_grad_()
    flux = face.interface.flux(x, taylor(x, jet, indices, transform))
    parts = flux if isinstance(flux, (list, tuple)) else [flux]
    found = [torch.autograd.grad(part.sum(), jet, retain_graph=True)[0] for part in parts]
    dde.grad.clear()
    return found
