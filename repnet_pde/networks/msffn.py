"""Random Fourier features of one scale or several, for comparison with RepNet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..domain import box_of
from ..errors import InputError
from .network import Network
from .options import activation_of, check_sizes, positive


class MsFFN(dde.nn.NN):
    """Multi-scale Fourier feature network of S. Wang, H. Wang, P. Perdikaris, Comput. Methods Appl. Mech. Engrg. 384
    (2021) 113938, section 3.3.

    For each scale σ the input, normalised to the domain, is mapped to cos Bx̂ and sin Bx̂ with Gaussian frequencies
    B ~ N(0, σ²) that stay fixed (they are buffers: DeepXDE thaws frozen parameters); the hidden layers are shared by
    the scales, whose last hidden outputs are concatenated before the output layer.

    With one σ it is the random Fourier feature network of M. Tancik et al., NeurIPS 2020, arXiv:2006.10739, whose own
    σ is that of Bx̂/2π.

    Args:
        layer_sizes: ``[inputs, hidden, ..., outputs]``; the first hidden width is the number of Fourier features.
        activation, kernel_initializer: of the other layers, as in ``dde.nn.FNN``.
        sigmas: standard deviations of the frequencies in the normalised domain.
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
        kernel_initializer: Any = "Glorot normal",
        *,
        sigmas: Sequence[float],
        domain: Any = None,
    ):
        super().__init__()
        sizes = check_sizes(layer_sizes)
        deviations = positive(sigmas, len(sigmas), "sigmas")
        box, dtype = box_of(domain, sizes[0]), dde.config.real(torch)
        if sizes[1] < 2:
            raise InputError(f"layer_sizes: {sizes[1]} Fourier features given; at least 2 are needed")
        self.activation, self.regularizer = activation_of(activation), None
        self.register_buffer("center", torch.as_tensor(box.center, dtype=dtype))
        self.register_buffer("half_width", torch.as_tensor(box.half_width, dtype=dtype))
        for i, sigma in enumerate(deviations):
            self.register_buffer(f"frequencies_{i}", sigma * torch.randn(sizes[0], sizes[1] // 2, dtype=dtype))
        self.scales = len(deviations)
        widths = [2 * (sizes[1] // 2), *sizes[2:-1]]
        initializer = dde.nn.initializers.get(kernel_initializer)
        self.linears = torch.nn.ModuleList()
        for n_in, n_out in [*zip(widths[:-1], widths[1:], strict=True), (self.scales * widths[-1], sizes[-1])]:
            linear = torch.nn.Linear(n_in, n_out, dtype=dtype)
            initializer(linear.weight)
            torch.nn.init.zeros_(linear.bias)
            self.linears.append(linear)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) to (n, outputs), through the input and output transforms where they are set."""
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        x = (x - self.center) / self.half_width
        features = []
        for i in range(self.scales):
            z = x @ getattr(self, f"frequencies_{i}")
            h = torch.cat([torch.cos(z), torch.sin(z)], 1)
            for linear in self.linears[:-1]:
                h = self.activation(linear(h))
            features.append(h)
        u = self.linears[-1](torch.cat(features, 1))
        return u if self._output_transform is None else self._output_transform(inputs, u)


def _reaching(sizes: Sequence[int], domain: Any, expected: ArrayLike | None) -> float:
    """The σ for which two standard deviations equal the largest wavenumber; 10 if it is not known."""
    if expected is None:
        return 10.0
    return max(1.0, float(np.max(np.asarray(expected) * box_of(domain, sizes[0]).half_width)) / 2)


def _msffn(
    sizes: Sequence[int],
    domain: Any,
    expected: ArrayLike | None,
    *,
    activation: str = "tanh",
    sigmas: Sequence[float] | None = None,
) -> MsFFN:
    sigmas = [1.0, _reaching(sizes, domain, expected)] if sigmas is None else sigmas
    return MsFFN(sizes, activation, "Glorot normal", sigmas=sigmas, domain=domain)


def _fourier(
    sizes: Sequence[int],
    domain: Any,
    expected: ArrayLike | None,
    *,
    activation: str = "tanh",
    sigma: float | None = None,
) -> MsFFN:
    sigma = _reaching(sizes, domain, expected) if sigma is None else positive(sigma, 1, "sigma")[0]
    return MsFFN(sizes, activation, "Glorot normal", sigmas=[sigma], domain=domain)


MSFFN = Network(
    "msffn",
    "multi-scale Fourier features",
    _msffn,
    settings=({}, {"sigmas": [1.0, 10.0]}, {"sigmas": [1.0, 50.0]}),
)
FOURIER = Network(
    "fourier",
    "Fourier features of one scale",
    _fourier,
    settings=({"sigma": 1.0}, {"sigma": 5.0}, {"sigma": 10.0}, {"sigma": 50.0}),
)
