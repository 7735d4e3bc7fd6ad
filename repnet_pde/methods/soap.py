"""SOAP with a cosine decay of the learning rate."""

import torch

from ..arguments import whole
from ..discretization.objective import Objective
from ..errors import InputError
from .adam import Adam

BETAS = (0.9, 0.999)
"""Of Adam's two means, as published with it."""


class SOAP(Adam):
    """Adam in the eigenbasis of Shampoo's preconditioner (N. Vyas et al., arXiv:2409.11321), from `pytorch_optimizer`.

    The rest is as in `Adam`. The settings are those of the configurations published with arXiv:2502.00604 (S. Wang,
    A. K. Bhartari, B. Li, P. Perdikaris) for physics-informed networks: rate 1e-3, β = (0.9, 0.999), weights that do
    not decay, a new basis every second iteration; their warm-up and exponential decay of the rate are replaced by the
    cosine. (For language models arXiv:2409.11321 has 3e-3, 0.95, 0.01 and 10.) Matrices are preconditioned from both
    sides, vectors and single numbers not at all. The first iteration only begins the preconditioners.

    Args:
        objective, iterations, learning_rate, batch_size, seconds: as in `Adam`.
        precondition_frequency: iterations from one eigenbasis to the next.

    Raises:
        InputError: for a bad option, or where the library is not installed.
    """

    name = "soap"
    title = "Adam in the eigenbasis of Shampoo's preconditioner"

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        learning_rate: float = 1e-3,
        precondition_frequency: int = 2,
        batch_size: int | None = None,
        seconds: float | None = None,
    ):
        if precondition_frequency is None:
            raise InputError("precondition_frequency: None given; a whole number >= 1 is needed")
        whole("precondition_frequency", precondition_frequency, 1)
        self.precondition_frequency = precondition_frequency
        super().__init__(objective, iterations, learning_rate=learning_rate, batch_size=batch_size, seconds=seconds)

    def _start(self) -> torch.optim.Optimizer:
        try:
            from pytorch_optimizer import SOAP as Optimizer
        except ImportError:
            raise InputError(
                "method: soap needs the package pytorch-optimizer: pip install 'repnet-pde[soap]'"
            ) from None
        return Optimizer(
            self.objective.parameters,
            lr=self.learning_rate,
            betas=BETAS,
            weight_decay=0.0,
            precondition_frequency=self.precondition_frequency,
        )
