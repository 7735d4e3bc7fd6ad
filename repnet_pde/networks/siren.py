"""SIREN, for comparison with RepNet."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..domain import box_of
from .network import Network
from .options import check_sizes, positive


class Siren(dde.nn.NN):
    """Network of sines of V. Sitzmann, J. N. P. Martel, A. W. Bergman, D. B. Lindell, G. Wetzstein, NeurIPS 2020,
    arXiv:2006.09661, sections 3.2 and supplement 1.5.

    The first layer is sin(ω₀ (W x̂ + b)) with W ~ U(−1/n, 1/n) on the n inputs, the others sin(ω (W h + b)) with
    W ~ U(−√(6/n)/ω, √(6/n)/ω), the last one linear; x̂ is normalised to the domain.

    Args:
        layer_sizes: ``[inputs, hidden, ..., outputs]``.
        omega: ω₀ of the first layer. hidden_omega: ω of the others.
        domain: as in `RepNet`.

    Raises:
        InputError: for an argument that cannot be used.
    """

    center: torch.Tensor
    half_width: torch.Tensor

    def __init__(
        self, layer_sizes: Sequence[int], *, omega: float = 30.0, hidden_omega: float = 30.0, domain: Any = None
    ):
        super().__init__()
        sizes = check_sizes(layer_sizes)
        self.omega = float(positive(omega, 1, "omega")[0])
        self.hidden_omega = float(positive(hidden_omega, 1, "hidden_omega")[0])
        box, dtype = box_of(domain, sizes[0]), dde.config.real(torch)
        self.regularizer = None
        self.register_buffer("center", torch.as_tensor(box.center, dtype=dtype))
        self.register_buffer("half_width", torch.as_tensor(box.half_width, dtype=dtype))
        self.linears = torch.nn.ModuleList()
        for i, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            linear = torch.nn.Linear(n_in, n_out, dtype=dtype)
            if i:
                siren_initializer(linear.weight, self.hidden_omega)
            else:
                torch.nn.init.uniform_(linear.weight, -1 / n_in, 1 / n_in)
            self.linears.append(linear)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) to (n, outputs), through the input and output transforms where they are set."""
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        h = torch.sin(self.omega * self.linears[0]((x - self.center) / self.half_width))
        for linear in self.linears[1:-1]:
            h = torch.sin(self.hidden_omega * linear(h))
        u = self.linears[-1](h)
        return u if self._output_transform is None else self._output_transform(inputs, u)


def siren_initializer(weight: torch.Tensor, omega: float) -> torch.Tensor:
    """Fill (out, in) weights of a layer sin(ω (W h + b)) that is not the first."""
    bound = math.sqrt(6 / weight.shape[1]) / omega
    return torch.nn.init.uniform_(weight, -bound, bound)


def _build(
    sizes: Sequence[int],
    domain: Any,
    expected: ArrayLike | None,
    *,
    omega: float = 30.0,
    hidden_omega: float = 30.0,
) -> Siren:
    return Siren(sizes, omega=omega, hidden_omega=hidden_omega, domain=domain)


SIREN = Network("siren", "SIREN", _build, settings=({"omega": 30.0}, {"omega": 10.0}, {"omega": 100.0}))
