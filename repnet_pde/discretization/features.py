"""The basis functions of a RepNet with one hidden layer and their derivatives in closed form.

h_j(x) = σ(z_j), z_j = Σ_l w_jl ξ_l(x_l) + b_j, with the axis maps ξ_l of the network (the identity without a warp). By
Faà di Bruno's formula along each axis

    D^α h_j(x) = Σ_{k <= α} Π_l B_{α_l, k_l}(ξ_l', ξ_l'', ...)(x_l) · Π_l w_jl^{k_l} · σ^(|k|)(z_j),

with the partial Bell polynomials B. A row of a linear operator applied to the basis functions, Σ_α A_α D^α h_j, is
therefore a matrix product of small inner dimension for each order of σ's derivatives.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .. import limits
from ..networks import RepNet
from ..networks.patches import Patches
from ..networks.warp import horner, tanh_derivative
from ..threads import large
from .jets import Index, closed


class Features:
    """Derivatives of the basis functions of a `RepNet` with one hidden layer; the last one is the constant 1.

    Args:
        net: the network. Its transforms are ignored.
    """

    def __init__(self, net: RepNet):
        weight, bias = net.first.linear_equivalent()  # with respect to the warped coordinates, if there is a warp
        self.weight, self.bias, self.warp = weight, bias, net.warp
        self.derivative = DERIVATIVES[net.first_activation]
        self.antiperiodic = net.first_activation == "sin"  # σ″ = −σ

    @staticmethod
    def known(net: Any) -> bool:
        """Whether the basis functions of this network can be differentiated here."""
        return (
            isinstance(net, RepNet)
            and len(net.linears) == 1
            and net._input_transform is None
            and net.first_activation in DERIVATIVES
        )

    def __len__(self) -> int:
        return len(self.bias) + 1

    def at(self, x: torch.Tensor, indices: Sequence[Index]) -> "Evaluated":
        """The derivatives D^α, α in ``indices``, of all basis functions at points x (n, d)."""
        return Evaluated(self, x, indices)

    def _power(self, index: Index) -> torch.Tensor:
        result = torch.ones_like(self.bias)
        for axis, n in enumerate(index):
            result = result * self.weight[:, axis] ** n
        return result

    def _chain(
        self, x: torch.Tensor, indices: Sequence[Index]
    ) -> tuple[tuple[list[Index], torch.Tensor], torch.Tensor]:
        """((k's, (n or 1, k's, indices) with D^α_x = Σ_k B_kα D^k_ξ), ξ(x))."""
        if self.warp is None:
            return (list(indices), torch.eye(len(indices), dtype=x.dtype, device=x.device)[None]), x
        lower = closed(indices)
        highest = max(max(a) for a in indices)
        bell = [_bell(d) for d in self.warp.derivatives(x, highest)]  # per axis: [a][k] -> (n,)
        result = x.new_zeros(len(x), len(lower), len(indices))
        for j, alpha in enumerate(indices):
            for i, k in enumerate(lower):
                if all(b <= a and (b > 0) == (a > 0) for a, b in zip(alpha, k, strict=True)):
                    product = torch.ones_like(x[:, 0])
                    for axis, (a, b) in enumerate(zip(alpha, k, strict=True)):
                        if a:
                            product = product * bell[axis][a][b]
                    result[:, i, j] = product
        return (lower, result), self.warp(x)


def jet_of(net: RepNet | Patches, x: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
    """D^α of a network that `Features` supports, or of `Patches` (a multidomain network), before its output transform,
    at x (n, d): (n, indices, outputs); NaN at times not yet covered by patches that are added along time."""
    if isinstance(net, Patches):
        result = x.new_zeros(len(x), len(indices), net.outputs)
        for i, rows in net.parts(x):
            result[rows] = jet_of(net.patch(i), x[rows], indices)
        return net.known(x, result)
    linear = net.output_layer()
    return Features(net).at(x, indices).jet(linear.weight.detach(), linear.bias.detach())


MOST_BYTES = 2**30
"""Maximum memory for cached derivatives of basis functions."""


def _threaded(method: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A method of `Evaluated` with as many threads as its table deserves."""

    @functools.wraps(method)
    def threaded(self: "Evaluated", *args: Any) -> torch.Tensor:
        with large(self.z.numel()):
            return method(self, *args)

    return threaded


class Evaluated:
    """`Features` at fixed points; reused values are cached unless they are too large."""

    def __init__(self, features: Features, x: torch.Tensor, indices: Sequence[Index]):
        self.features, self.indices = features, list(indices)
        (self.lower, self.chain), warped = features._chain(x, self.indices)
        self.z = warped @ features.weight.T + features.bias
        self.groups = self._groups()
        self.zero = self.indices.index((0,) * x.shape[1])
        self._keep = 8 * self.z.numel() * (len(self.groups) + 1) < MOST_BYTES
        self._kept: dict[int, torch.Tensor] = {}

    def _groups(self) -> dict[int, tuple[list[int], torch.Tensor]]:
        """By derivative of σ: which of ``lower`` belong to it, and factors Π_l w_jl^{k_l} (number, basis functions)."""
        groups: dict[int, list[tuple[int, torch.Tensor]]] = {}
        for i, k in enumerate(self.lower):
            order, sign = sum(k), 1
            if self.features.antiperiodic:
                order, sign = order % 2, 1 - order % 4 // 2 * 2
            groups.setdefault(order, []).append((i, sign * self.features._power(k)))
        return {order: ([i for i, _ in found], torch.stack([w for _, w in found])) for order, found in groups.items()}

    def _derivative(self, order: int, part: slice = slice(None)) -> torch.Tensor:
        if not self._keep:
            return self.features.derivative(self.z[part], order)
        if order not in self._kept:
            self._kept[order] = self.features.derivative(self.z, order)
        return self._kept[order][part]

    @_threaded
    def rows(self, coefficients: torch.Tensor, part: slice = slice(None)) -> torch.Tensor:
        """Σ_α A_α D^α h_j at the points ``part``, for A (n, indices, outputs): (n, outputs · (width + 1)).

        Columns in the order of ``torch.nn.Linear``: the weights, output by output, then the biases.
        """
        n, outputs, m = len(coefficients), coefficients.shape[2], self.z.shape[1]
        chain = self.chain if len(self.chain) == 1 else self.chain[part]
        inner = torch.einsum("nka,nac->nkc", chain.expand(n, -1, -1), coefficients)
        result = coefficients.new_zeros(n, outputs * (m + 1))
        for order, (which, powers) in self.groups.items():
            limits.check()
            for c in range(outputs):
                a = inner[:, which, c]
                if a.any():
                    result[:, c * m : (c + 1) * m].addcmul_(a @ powers, self._derivative(order, part))
        result[:, outputs * m :] = coefficients[:, self.zero]
        return result

    @_threaded
    def jet(self, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """D^α u (n, indices, outputs) of u = weight h + bias; weight (outputs, width), bias (outputs,)."""
        outputs = len(bias)
        inner = weight.new_empty(len(self.z), len(self.lower), outputs)
        for order, (which, powers) in self.groups.items():
            limits.check()
            columns = (powers[:, None] * weight).flatten(0, 1)
            inner[:, which] = (self._derivative(order) @ columns.T).view(len(self.z), len(which), outputs)
        result = torch.einsum("nka,nkc->nac", self.chain.expand(len(self.z), -1, -1), inner)
        result[:, self.zero] += bias
        return result


def _bell(derivatives: torch.Tensor) -> list[list[torch.Tensor]]:
    """Partial Bell polynomials B[a][k] of ξ', ξ'', ... given as the rows of ``derivatives`` (order, n).

    B_{a,k} = Σ_i C(a − 1, i − 1) ξ^(i) B_{a−i,k−1} (L. Comtet, Advanced Combinatorics, 1974, section 3.3).
    """
    highest, zero = len(derivatives), derivatives.new_zeros(derivatives.shape[1:])
    table = [[torch.ones_like(zero)] + [zero] * highest]
    for a in range(1, highest + 1):
        row = [zero]
        for k in range(1, highest + 1):
            terms = (math.comb(a - 1, i - 1) * derivatives[i - 1] * table[a - i][k - 1] for i in range(1, a - k + 2))
            row.append(sum(terms, zero))
        table.append(row)
    return table


def _sin(z: torch.Tensor, order: int) -> torch.Tensor:
    value = torch.cos(z) if order % 2 else torch.sin(z)
    return -value if order % 4 > 1 else value


def _tanh(z: torch.Tensor, order: int) -> torch.Tensor:
    return tanh_derivative(torch.tanh(z), order)


def _gaussian(z: torch.Tensor, order: int) -> torch.Tensor:
    """(−1)^n He_n(z) exp(−z²/2) with the probabilists' Hermite polynomials He_n."""
    before, p = [0.0], [1.0]
    for n in range(order):
        shifted = [0.0, *p]
        before, p = p, [c - n * (before[i] if i < len(before) else 0.0) for i, c in enumerate(shifted)]
    return (-1) ** order * horner(z, p) * torch.exp(-0.5 * z * z)


DERIVATIVES = {"sin": _sin, "tanh": _tanh, "gaussian": _gaussian}
"""First activation -> function(z, order) of its derivatives."""
