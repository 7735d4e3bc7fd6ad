"""PirateNet, for comparison with RepNet."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..domain import box_of
from ..errors import InputError
from .network import Network
from .options import activation_of, check_sizes, positive


class PirateNet(dde.nn.NN):
    r"""Physics-informed residual adaptive network of S. Wang, B. Li, Y. Chen, P. Perdikaris, J. Mach. Learn. Res. 25
    (2024), arXiv:2402.00326.

    The input x̂, normalised to the domain, is embedded as φ = (cos Bx̂, sin Bx̂) with B ~ N(0, s²), which opens two gates
    U = σ(W_U φ + b_U) and V = σ(W_V φ + b_V). Each block takes h, at first φ, to

        f = σ(W₁ h + b₁),  g = σ(W₂ (f U + (1 − f) V) + b₂),  k = σ(W₃ (g U + (1 − g) V) + b₃),  α k + (1 − α) h

    and a linear layer ends the network. All α start at 0, where the network is linear in φ. Dense layers are factorised
    as W = diag(g) V with log g ~ N(μ, σ²) (arXiv:2210.01274).

    As in the code published with the article, B is trained like all the rest. Two things differ from it: there the
    input is not normalised, and the last layer starts from a least-squares fit of initial values or data
    ("physics-informed initialisation"); here it starts as an ordinary layer, with a bias and without factors, so that
    the method least-squares can solve for it first.

    Args:
        layer_sizes: ``[inputs, embedding, block, ..., block, outputs]``: the size of φ (an odd one is rounded down),
            then the width of each residual block, the same for all. Published are 256 for all and three or four blocks.
        activation: σ. Published are tanh for most problems, and swish.
        fourier_scale: s. Published are 1 and 2, and 15 for one problem, each in that problem's own coordinates.
        factorization: (μ, σ), or None for ordinary layers. Published are (1, 0.1) with tanh, (0.5, 0.1) with swish.
        domain: as in `RepNet`.

    Raises:
        InputError: for an argument that cannot be used.
    """

    center: torch.Tensor
    half_width: torch.Tensor

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Any = "tanh",
        *,
        fourier_scale: float = 1.0,
        factorization: Sequence[float] | None = (1.0, 0.1),
        domain: Any = None,
    ):
        super().__init__()
        sizes = check_sizes(layer_sizes)
        n_in, embedding, blocks, n_out = sizes[0], sizes[1], sizes[2:-1], sizes[-1]
        if embedding < 2 or not blocks or len(set(blocks)) > 1:
            raise InputError(
                f"layer_sizes: hidden layers {list(sizes[1:-1])} given; the size of the embedding, at least 2, and one "
                "width for each residual block, the same for all, are needed, such as (256, 256, 256, 256)"
            )
        scale = float(positive(fourier_scale, 1, "fourier_scale")[0])
        factors = _check_factorization(factorization)
        box, dtype = box_of(domain, n_in), dde.config.real(torch)
        self.activation, self.regularizer = activation_of(activation), None
        self.register_buffer("center", torch.as_tensor(box.center, dtype=dtype))
        self.register_buffer("half_width", torch.as_tensor(box.half_width, dtype=dtype))
        self.frequencies = torch.nn.Parameter(scale * torch.randn(n_in, embedding // 2, dtype=dtype))
        embedding, width = 2 * (embedding // 2), blocks[0]
        self.gates = torch.nn.ModuleList(_dense(embedding, width, factors) for _ in range(2))
        self.blocks = torch.nn.ModuleList(_Block(embedding, width, factors) for _ in blocks)
        self.linears = torch.nn.ModuleList([_dense(embedding, n_out, None)])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) to (n, outputs), through the input and output transforms where they are set."""
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        z = (x - self.center) / self.half_width @ self.frequencies
        h = torch.cat([torch.cos(z), torch.sin(z)], 1)
        u, v = (self.activation(gate(h)) for gate in self.gates)
        for block in self.blocks:
            h = block(h, u, v, self.activation)
        y = self.linears[-1](h)
        return y if self._output_transform is None else self._output_transform(inputs, y)


class _Block(torch.nn.Module):
    """A residual block: three gated dense layers with an adaptive skip connection α."""

    def __init__(self, embedding: int, width: int, factors: tuple[float, float] | None):
        super().__init__()
        pairs = ((embedding, width), (width, width), (width, embedding))
        self.layers = torch.nn.ModuleList(_dense(n_in, n_out, factors) for n_in, n_out in pairs)
        self.alpha = torch.nn.Parameter(torch.zeros(1, dtype=dde.config.real(torch)))

    def forward(
        self, h: torch.Tensor, u: torch.Tensor, v: torch.Tensor, activation: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        first, second, third = self.layers
        f = activation(first(h))
        g = activation(second(f * u + (1 - f) * v))
        k = activation(third(g * u + (1 - g) * v))
        return self.alpha * k + (1 - self.alpha) * h


class FactorizedLinear(torch.nn.Module):
    """x ↦ x (diag(g) V)ᵀ + b with trained g (n_out,), V (n_out, n_in) and b (n_out,), the random weight factorisation
    of S. Wang, H. Wang, J. H. Seidman, P. Perdikaris, arXiv:2210.01274.

    It starts as a given linear layer, with log g ~ N(mean, deviation²).
    """

    def __init__(self, linear: torch.nn.Linear, mean: float, deviation: float):
        super().__init__()
        weight = linear.weight.detach()
        scale = torch.exp(mean + deviation * torch.randn(len(weight), dtype=weight.dtype))
        self.scale = torch.nn.Parameter(scale)
        self.direction = torch.nn.Parameter(weight / scale[:, None])
        self.bias = torch.nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.scale[:, None] * self.direction, self.bias)


def _dense(n_in: int, n_out: int, factors: tuple[float, float] | None) -> torch.nn.Module:
    """A layer with Glorot's normal weights and no bias at the start, factorised unless ``factors`` is None."""
    linear = torch.nn.Linear(n_in, n_out, dtype=dde.config.real(torch))
    torch.nn.init.xavier_normal_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    return linear if factors is None else FactorizedLinear(linear, *factors)


def _check_factorization(value: Sequence[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        mean, deviation = (float(v) for v in value)
        good = math.isfinite(mean) and math.isfinite(deviation) and deviation >= 0
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InputError(
            f"factorization: {value!r} given; the mean and the standard deviation >= 0 of log g, or None, are needed"
        )
    return mean, deviation


def _build(
    sizes: Sequence[int],
    domain: Any,
    expected: ArrayLike | None,
    *,
    activation: str = "tanh",
    fourier_scale: float = 1.0,
    factorization: Sequence[float] | None = (1.0, 0.1),
) -> PirateNet:
    return PirateNet(sizes, activation, fourier_scale=fourier_scale, factorization=factorization, domain=domain)


PIRATE = Network(
    "pirate",
    "PirateNet",
    _build,
    one_layer=False,
    layers=(256, 256, 256, 256),  # as published: the embedding and three blocks
    settings=({"fourier_scale": 1.0}, {"fourier_scale": 2.0}, {"fourier_scale": 10.0}),
)
