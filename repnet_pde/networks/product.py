"""Products of one-dimensional RepNets, for functions of several variables that are sums of products."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..backend import dde
from ..domain import Box, box_of
from ..errors import InputError
from .layer import ReparameterizedLinear
from .network import Network
from .options import check_sizes
from .slopes import start


def waves_to_features(k: float) -> float:
    """Number of sines for functions of one normalised coordinate with wavenumbers up to ``k``."""
    return 2 * k / math.pi + 12


SLOW_WAVENUMBER = 4.0
"""Largest normalised wavenumber of the sines of all coordinates."""


class ProductRepNet(dde.nn.NN):
    r"""u_c(x) = b_c + Σ_r W_cr Π_l φ_lr(x_l) + Σ_j V_cj sin(...): products of one-layer sine RepNets, one for each
    coordinate, and slow sines of all coordinates together for components that are not a sum of a few products.

    :math:`\varphi_{lr}(x_l) = \sum_j C_{lrj} \sin(s_{lj}(a_{lj} \hat x_l - t_{lj})) + c_{lr}` (canonical polyadic form;
    F. L. Hitchcock, J. Math. Phys. 6 (1927) 164-189). The number of coefficients grows linearly, not exponentially,
    with the number of coordinates, and u is linear in the coefficients of one coordinate at a time.

    Args:
        layer_sizes: ``[inputs, sines of the coordinate with the largest wavenumber, products, outputs]``; the other
            coordinates have fewer, in proportion to 2 k/π + 12 for a normalised wavenumber k (a dozen for smooth
            functions).
        domain: as in `RepNet`.
        wavenumber: the largest wavenumber of each coordinate, radians per unit length; None means one wave.
        slow: number of the sines of all coordinates, with normalised wavenumbers up to `SLOW_WAVENUMBER` along each.

    Raises:
        InputError: for an argument that cannot be used.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        domain: Any = None,
        wavenumber: Sequence[float] | None = None,
        slow: int = 0,
    ):
        super().__init__()
        sizes = check_sizes(layer_sizes)
        if len(sizes) != 4:
            raise InputError(f"layer_sizes: {list(layer_sizes)} given; [inputs, features, products, outputs] is needed")
        self.layer_sizes, self.regularizer = sizes, None
        dim, features, products, outputs = sizes
        self.box, self.wavenumber = box_of(domain, dim), wavenumber
        numbers: list[float | None] = [None] * dim if wavenumber is None else list(wavenumber)
        wanted = [
            waves_to_features(0 if k is None else k * h) for k, h in zip(numbers, self.box.half_width, strict=True)
        ]
        widths = [max(2, math.ceil(features * w / max(wanted))) for w in wanted]
        self.first, self.factors = torch.nn.ModuleList(), torch.nn.ModuleList()
        for axis in range(dim):
            side = Box(self.box.lower[axis : axis + 1], self.box.upper[axis : axis + 1])
            plan = start(1, widths[axis], "sin", side, wavenumber=numbers[axis])
            self.first.append(ReparameterizedLinear(plan.direction, plan.anchor, plan.slope, side))
            self.factors.append(_linear(widths[axis], products))
        self.slow: ReparameterizedLinear | None = None
        if slow:
            plan = start(dim, slow, "sin", self.box, wavenumber=SLOW_WAVENUMBER / self.box.half_width)
            self.slow = ReparameterizedLinear(plan.direction, plan.anchor, plan.slope, self.box)
        self.last = _linear(products + slow, outputs)
        factors = [self.factor(axis) for axis in range(dim)]
        for linear in (*factors, self.last):
            torch.nn.init.xavier_normal_(linear.weight)
            torch.nn.init.zeros_(linear.bias)
        for linear in factors:  # products of functions near 1: every coordinate matters from the start
            torch.nn.init.ones_(linear.bias)

    def sines(self, axis: int) -> ReparameterizedLinear:
        """The layer below the sines of one coordinate."""
        layer = self.first[axis]
        assert isinstance(layer, ReparameterizedLinear)
        return layer

    def factor(self, axis: int) -> torch.nn.Linear:
        """The layer that computes the factors of one coordinate from its sines."""
        linear = self.factors[axis]
        assert isinstance(linear, torch.nn.Linear)
        return linear

    def features(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        """The sines (n, width) of one coordinate of x (n, d)."""
        return torch.sin(self.first[axis](x[:, axis : axis + 1]))

    @property
    def products(self) -> int:
        """The number of products."""
        return self.factor(0).out_features

    def resize(self, products: int) -> None:
        """Recreate factors and output layer for another number of products."""
        if products != self.products:
            others = self.last.in_features - self.products
            widths = [self.factor(axis).in_features for axis in range(len(self.factors))]
            self.factors = torch.nn.ModuleList(_linear(width, products) for width in widths)
            self.last = _linear(products + others, self.last.out_features)
            self.layer_sizes = (*self.layer_sizes[:2], products, self.layer_sizes[3])

    def load_state_dict(self, state: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        self.resize(len(state["factors.0.bias"]))
        return super().load_state_dict(state, *arguments, **options)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) to (n, outputs), through the input and output transforms where they are set."""
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        product = self.factors[0](self.features(x, 0))
        for axis in range(1, len(self.factors)):
            product = product * self.factors[axis](self.features(x, axis))
        u = self.last(product if self.slow is None else torch.cat([product, torch.sin(self.slow(x))], 1))
        return u if self._output_transform is None else self._output_transform(inputs, u)


def _linear(inputs: int, outputs: int) -> torch.nn.Linear:
    return torch.nn.Linear(inputs, outputs, dtype=dde.config.real(torch))


def _build(
    sizes: Sequence[int],
    domain: Any,
    expected: Sequence[float] | None,
    *,
    wavenumber: Sequence[float] | None = None,
    slow: int = 0,
) -> ProductRepNet:
    return ProductRepNet(sizes, domain=domain, wavenumber=expected if wavenumber is None else wavenumber, slow=slow)


PRODUCT = Network("repnet-product", "sum of products of RepNets of one coordinate", _build, ours=True, product=True)
