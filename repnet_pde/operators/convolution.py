"""Linear, causal, time-invariant operators: a convolution whose kernel is a RepNet with one hidden layer."""

import math
from typing import Any

import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..discretization.last_layer import into_last
from ..domain import box_of
from ..errors import InputError
from ..linalg.dense import Factorization
from ..networks.repnet import RepNet
from ..networks.warp import AxisWarp
from .arguments import array, count, positive_number

CUTOFF = 1e-12
"""Regularisation over the norm of the rows."""
BLOCK = 8
"""Number of records whose rows are reduced at once."""


class ConvolutionOperator(dde.nn.NN):
    r"""u_c(t) = ∫₀ᴸ k_c(τ) a(t − τ) dτ + d_c a(t) for outputs c that share the hidden layer of their kernels.

    .. math:: k_c(\tau) = \sum_j w_{cj}\, \sigma(s_j (\pm\xi(\tau) - t_j)) + w_{c0}

    is a `RepNet` with one hidden layer in the lag τ. It does not depend on absolute time, so that every sample of
    every record contributes to the same kernel, whereas a DeepONet has to learn each time separately. The integral
    is a trapezoidal sum on the grid of the samples, evaluated by FFT; a is zero before the record. With the direct
    term d it can represent the exact sampled response of a linear structure to an excitation that is linear
    between its samples: a discrete convolution whose kernel is smooth in the lag except at lag 0.

    The output is linear in w and d, which `fit` solves for; the network can also be trained by gradients: its inputs
    are a (records, samples) or a pair of it and times (samples, 1) of the same grid, as in
    ``dde.data.TripleCartesianProd``; its outputs (records, samples) for one output, else (records, samples, outputs).

    Args:
        dt: time step in s. memory: L in s, the longest lag. outputs: how many. width: hidden neurons.
        first_activation: as in `RepNet`.
        wavenumber: the largest angular frequency in rad/s, of the kernel at its start when it is graded; None for
            that of the grid, π/dt.
        grading: a time in s: the lag is mapped by ξ = asinh(τ / grading), scaled to [−1, 1], which concentrates the
            neurons at small lags, where a decaying kernel still has high frequencies; "auto" for a twelfth of the
            memory, None for no map. Without it, sines need a width of about 0.4 times wavenumber times memory.
        direct: whether there is a direct term.

    Raises:
        InputError: for an argument that cannot be used.
    """

    def __init__(
        self,
        dt: float,
        memory: float,
        outputs: int = 1,
        width: int = 300,
        *,
        first_activation: str = "tanh",
        wavenumber: float | None = None,
        grading: float | str | None = "auto",
        direct: bool = True,
    ):
        super().__init__()
        self.dt, memory = positive_number("dt", dt, "seconds"), positive_number("memory", memory, "seconds")
        self.outputs, width = count("outputs", outputs, 1), count("width", width, 1)
        lags = round(memory / self.dt)
        if lags < 2:
            raise InputError(f"memory: {memory:g} s given; at least two time steps of {dt:g} s are needed")
        omega = math.pi / self.dt if wavenumber is None else positive_number("wavenumber", wavenumber, "rad/s")
        box, warp = box_of((0.0, lags * self.dt)), None
        grading = memory / 12 if grading == "auto" else grading
        if grading is not None:
            scale = positive_number("grading", grading, "seconds") / box.half_width[0]
            warp = AxisWarp(box, [([0.0, 1.0], [-1.0], [scale])])
            omega /= math.asinh(2 / scale) / 2 / (scale * box.half_width[0])  # by dξ/dτ at lag 0
        self.kernel_net = RepNet(
            [1, width, self.outputs],
            first_activation,
            "zeros",
            domain=None if warp else box,
            wavenumber=omega,
            first_activation=first_activation,
            warp=warp,
        )
        dtype = dde.config.real(torch)
        self.register_buffer("lag", torch.arange(lags + 1, dtype=dtype)[:, None] * self.dt)
        self.direct = torch.nn.Parameter(torch.zeros(self.outputs, dtype=dtype)) if direct else None

    def kernel(self, lag: ArrayLike | torch.Tensor | None = None) -> torch.Tensor:
        """k at lags (n, 1) in s, or at those of the grid: (n, outputs), in units of u over (a times s)."""
        return self.kernel_net(self.lag if lag is None else lag)

    def response(self) -> torch.Tensor:
        """The weights (lags + 1, outputs) of the discrete convolution."""
        weights = self._quadrature() * self.kernel()
        if self.direct is None:
            return weights
        return torch.cat([weights[:1] + self.direct, weights[1:]])

    def forward(self, inputs: Any) -> torch.Tensor:
        """See the class."""
        a = inputs[0] if isinstance(inputs, (tuple, list)) else inputs
        if a.ndim != 2:
            raise InputError(f"inputs: a has shape {tuple(a.shape)}; (records, samples) is needed")
        if isinstance(inputs, (tuple, list)) and len(inputs[1]) != a.shape[1]:
            raise InputError(f"inputs: {len(inputs[1])} times for {a.shape[1]} samples; the operator is for one grid")
        u = _convolve(a, self.response())
        u = u[..., 0] if self.outputs == 1 else u
        return u if self._output_transform is None else self._output_transform(inputs, u)

    @torch.no_grad()
    def features(self, a: torch.Tensor) -> torch.Tensor:
        """a (records, samples) to the responses (records, samples, width + 1 or + 2), whose weighted sum is u."""
        hidden = into_last(self.kernel_net, self.lag)
        hidden = self._quadrature() * torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1)
        if self.direct is not None:
            spike = torch.zeros_like(hidden[:, :1])
            spike[0] = 1.0
            hidden = torch.cat([hidden, spike], 1)
        return _convolve(a, hidden)

    @torch.no_grad()
    def fit(self, a: ArrayLike, u: ArrayLike, cutoff: float = CUTOFF) -> tuple[float, ...]:
        """Solve for the output weights and the direct term by least squares, in place.

        The rows of a few records at a time are reduced by QR to a triangle, which is stacked on the next rows: the
        accuracy of a QR factorisation of all rows, without its memory.

        Args:
            a: (records, samples), finite. u: (records, samples) or (records, samples, outputs).
            cutoff: regularisation relative to the norm of the (column-scaled) rows.

        Returns: the relative L2 error of each output over the records. Solved in float64, whatever the network has.

        Raises:
            InputError: for arrays with incompatible shapes or values that are not finite, and fewer samples than
                weights.
        """
        a = array("a", a, ("records", "samples"))
        shape = a.shape if self.outputs == 1 else (*a.shape, self.outputs)
        u = array("u", u, shape).reshape(*a.shape, self.outputs)
        columns = self.kernel_net.layer_sizes[1] + 1 + (self.direct is not None)
        if a.size < columns:
            raise InputError(f"a: {a.size} samples given for {columns} weights of each output; give more records")
        a, u = (torch.as_tensor(v, dtype=torch.float64, device=self.lag.device) for v in (a, u))
        kept = self.lag.dtype
        try:
            return self.double()._solve(a, u, cutoff)
        finally:
            self.to(kept)

    def _solve(self, a: torch.Tensor, u: torch.Tensor, cutoff: float) -> tuple[float, ...]:
        upper = None
        for first in range(0, len(a), BLOCK):
            records = slice(first, first + BLOCK)
            rows = torch.cat([self.features(a[records]), u[records]], 2).flatten(0, 1)
            rows = rows if upper is None else torch.cat([upper, rows])
            upper = torch.linalg.qr(rows, mode="r")[1]
        assert upper is not None  # there is a record
        features, right = upper[:, : -self.outputs], upper[:, -self.outputs :]
        scale = torch.linalg.norm(features, dim=0)
        scale = torch.where(scale > 0, 1 / scale, 1.0)
        weights = scale[:, None] * Factorization(features * scale, cutoff).solve(-right)
        last = self.kernel_net.output_layer()
        width = last.weight.shape[1]
        last.weight.copy_(weights[:width].T)
        last.bias.copy_(weights[width])
        if self.direct is not None:
            self.direct.copy_(weights[width + 1])
        size = torch.linalg.norm(right, dim=0).clamp_min(torch.finfo(right.dtype).tiny)
        return tuple((torch.linalg.norm(features @ weights - right, dim=0) / size).tolist())

    def _quadrature(self) -> torch.Tensor:
        weights = torch.full_like(self.lag, self.dt)
        weights[0] = self.dt / 2
        return weights


def _convolve(a: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """a (records, samples), weights (lags, columns): the causal convolutions (records, samples, columns)."""
    samples = a.shape[1]
    weights = weights[:samples]
    n = 2 ** math.ceil(math.log2(samples + len(weights)))
    spectrum = torch.fft.rfft(a, n)[:, None] * torch.fft.rfft(weights.T.contiguous(), n)
    return torch.fft.irfft(spectrum, n)[..., :samples].transpose(1, 2)
