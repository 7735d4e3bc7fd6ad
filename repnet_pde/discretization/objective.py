"""The loss: mean squares of the residual terms, and their weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..arguments import number
from ..backend import dde
from ..errors import InputError, TrainingError, choose
from ..problem.residuals import residual_vectors
from .jets import some

AUTOMATIC = "gradient-norm"
MEMORY = 0.9
"""Fraction of the old weights that is kept when they are rebalanced (arXiv:2308.08468)."""
MANY, FEWER = 20_000_000, 200
"""Entries of an array from which the terms are measured at some of the points, and how many of each term."""
EVERY = 1000
"""Iterations between two updates of the weights (arXiv:2308.08468)."""


class Objective:
    """The weighted sum over the terms of a DeepXDE data object of their mean squared residuals.

    Args:
        data: ``dde.data.PDE`` with its points drawn.
        net: the network.
        unknowns: the ``dde.Variable`` objects trained with it.
        names: the names of the terms, in DeepXDE's order.
        weights: as checked by `check_weights`: fixed numbers, or automatic balancing.
        problem: the `Problem` that the data were drawn for, where there is one.
    """

    batch: int | None
    """Only for fits to samples of a function: the batch size of the next evaluation; None: all samples."""
    fingerprint: str | None = None
    """Of samples and settings that a checkpoint belongs to, where the points do not tell."""
    twin: Callable[..., Any]
    """Only for methods that use it: the same objective with other basis functions and other points."""

    def __init__(
        self,
        data: Any,
        net: Any,
        unknowns: Sequence[torch.Tensor],
        names: Sequence[str],
        weights: str | Mapping[str, float],
        problem: Any = None,
    ):
        self.problem: Any = problem
        self.data, self.net, self.names = data, net, tuple(names)
        self.unknowns = list(unknowns)
        self.parameters: list[torch.Tensor] = [p for p in net.parameters() if p.requires_grad] + self.unknowns
        self.x = torch.as_tensor(data.train_x).requires_grad_()
        self.automatic = isinstance(weights, str)
        fixed = {} if isinstance(weights, str) else weights
        self.weights = torch.tensor([fixed.get(name, 1.0) for name in names], dtype=self.x.dtype)
        self.terms = torch.full((len(self.names),), torch.nan, dtype=self.x.dtype)
        """The unweighted terms at the last evaluation."""

    def mean_squares(self) -> torch.Tensor:
        """The unweighted terms (k,), with their graph; for a network that does not cover the whole time interval yet,
        over the rows that it covers, and NaN if there are none."""
        return self.mean_squares_at(self.data, self.x)

    @property
    def entries(self) -> int:
        """Of the largest array in an evaluation: the points times the widest layer."""
        return len(self.data.train_x) * max((max(p.shape, default=1) for p in self.net.parameters()), default=1)

    def measure(self) -> None:
        """`mean_squares` for the history of a method that does not minimise them: at some of the points only, where all
        of them would make large arrays."""
        self.mean_squares_at(some(self.data, FEWER) if self.entries > MANY else self.data)

    def mean_squares_at(self, data: Any, x: torch.Tensor | None = None) -> torch.Tensor:
        """`mean_squares` at the points of other data; ``x`` as for `residual_vectors`."""
        vectors = residual_vectors(data, self.net, x)
        if not getattr(self.net, "complete", True):
            vectors = [v[~v.isnan()] for v in vectors]
        terms = torch.stack([v.square().mean() for v in vectors])
        dde.grad.clear()
        self.terms = terms.detach()
        return terms

    def total(self) -> torch.Tensor:
        """The weighted loss, with its graph, and the network's regularisation where it has one."""
        loss = self.weights @ self.mean_squares()
        regularizer = getattr(self.net, "regularizer", None)
        if regularizer is not None:
            kind, factor = regularizer[0], regularizer[1]
            norms = {"l1": torch.abs, "l2": torch.square}
            choose("regularization", kind, norms)
            loss = loss + factor * sum(norms[kind](p).sum() for p in self.net.parameters())
        return loss

    def gradient(self) -> torch.Tensor:
        """Evaluate the loss and store its gradient in the parameters; a value that is not finite is returned too."""
        for parameter in self.parameters:
            parameter.grad = None
        loss = self.total()
        if torch.isfinite(loss):
            loss.backward()
        return loss.detach()

    def balance(self, first: bool) -> None:
        """Update the weights towards equal gradient norms of all terms (does nothing for fixed weights).

        The rule of S. Wang, S. Sankaran, H. Wang, P. Perdikaris, arXiv:2308.08468 (2023), section 5.1:
        weight_i ~ sum_j |grad L_j| / |grad L_i|, as a moving average with factor 0.9; the first time without average.
        """
        if not self.automatic or len(self.names) == 1:
            return
        terms = self.mean_squares()
        sizes = []
        for term in terms:
            grads = torch.autograd.grad(term, self.parameters, retain_graph=True, allow_unused=True)
            squares = (g.square().sum() for g in grads if g is not None)
            sizes.append(torch.sqrt(sum(squares, start=terms.new_zeros(()))))
        norms = torch.stack(sizes)
        if not torch.isfinite(norms).all():
            return
        # A term that happens to be satisfied has no gradient, such as u(0) = 0 at the start of a network without
        # biases: it needs no larger weight than the others. (A small gradient is no sign of this: terms differ by k⁴.)
        met = (terms.detach() <= 1e-24 * terms.max()) | (norms == 0)
        if met.all():
            return
        wanted = norms.sum() / norms
        wanted[met] = wanted[~met].max()
        self.weights = wanted if first else MEMORY * self.weights + (1 - MEMORY) * wanted

    def describe_failure(self, iteration: int) -> TrainingError:
        bad = [n for n, finite in zip(self.names, torch.isfinite(self.terms).tolist(), strict=True) if not finite]
        what = f"the term(s) {', '.join(bad)}" if bad else "the loss"
        return TrainingError(
            f"iteration {iteration}: {what} became NaN or infinite; smaller steps may help, or a smaller slope_scale "
            "of a RepNet"
        )


def check_weights(loss_weights: Any, names: Sequence[str]) -> str | dict[str, float]:
    """`AUTOMATIC` for "auto" or its name, or a dict name -> positive number; None means that all are 1."""
    if loss_weights is None:
        return {}
    if isinstance(loss_weights, str):
        choose("loss_weights", loss_weights, ("auto", AUTOMATIC))
        return AUTOMATIC
    if not isinstance(loss_weights, Mapping):
        raise InputError(
            f'loss_weights: {loss_weights!r} given; "auto", None or a mapping from term names to numbers is needed'
        )
    for name, value in loss_weights.items():
        choose("loss_weights", name, names)
        if number(f"loss_weights[{name!r}]", value) <= 0:
            raise InputError(f"loss_weights[{name!r}]: {value!r} given; a number > 0 is needed")
    return {name: float(value) for name, value in loss_weights.items()}
