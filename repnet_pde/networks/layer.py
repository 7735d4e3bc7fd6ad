"""The reparameterised layer: directions, partition offsets and relative slopes instead of weights and biases."""

import math

import torch
from numpy.typing import ArrayLike

from ..domain import Box
from ..errors import InputError


class ReparameterizedLinear(torch.nn.Module):
    r"""A linear map ``x -> z`` whose slopes and partition hyperplanes are parameters of their own.

    With the input normalised to the box, :math:`\hat x = (x - c) / h \in [-1, 1]^d`, neuron *j* computes

    .. math:: z_j = s_j (a_j \cdot \hat x - t_j), \qquad s_j = s^0_j r_j .

    Trained are the directions ``direction`` (m, d), the offsets ``offset`` (m,) of the partition hyperplanes
    and the slopes *relative to their start*, ``ratio`` (m,), which begin at 1: a gradient step then changes
    every slope by the same relative amount, and a hyperplane moves without changing its slope. The start
    slopes ``slope_scale`` (m,), the points ``anchor`` (m, d) through which the hyperplanes go at the start,
    the box and ``feature_scale`` are buffers: DeepXDE thaws frozen parameters at every test step.

    Args:
        direction: start values (m, d).
        anchor: points in normalised coordinates (m, d); the start offsets are ``direction · anchor``.
        slope_scale: start slopes (m,), positive.
        box: the `Box` that maps to [-1, 1]^d.
        feature_scale: factor on ``z``; 1 except for ReLU, where it makes the layer's outputs O(1).
    """

    slope_scale: torch.Tensor
    anchor: torch.Tensor
    center: torch.Tensor
    half_width: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(
        self,
        direction: ArrayLike | torch.Tensor,
        anchor: ArrayLike | torch.Tensor,
        slope_scale: ArrayLike | torch.Tensor,
        box: Box,
        feature_scale: float = 1.0,
    ):
        super().__init__()
        dtype = torch.get_default_dtype()
        a, p, s = (torch.as_tensor(v, dtype=dtype) for v in (direction, anchor, slope_scale))
        self.direction = torch.nn.Parameter(a.clone())
        self.offset = torch.nn.Parameter((a * p).sum(1))
        self.ratio = torch.nn.Parameter(torch.ones_like(s))
        self.register_buffer("slope_scale", s.clone())
        self.register_buffer("anchor", p.clone())
        self.register_buffer("center", torch.as_tensor(box.center, dtype=dtype))
        self.register_buffer("half_width", torch.as_tensor(box.half_width, dtype=dtype))
        self.register_buffer("feature_scale", torch.tensor(float(feature_scale), dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d) inputs to (n, m) pre-activations."""
        slope = self.feature_scale * self.slope_scale * self.ratio
        weight = slope[:, None] * self.direction / self.half_width
        # Subtracting the centre first avoids cancellation when the box is far from the origin.
        return torch.nn.functional.linear(x - self.center, weight, -slope * self.offset)

    @torch.no_grad()
    def linear_equivalent(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``W`` (m, d) and ``b`` (m,) with ``z = x Wᵀ + b`` in physical coordinates."""
        slope = self.feature_scale * self.slope_scale * self.ratio
        weight = slope[:, None] * self.direction / self.half_width
        return weight, -slope * self.offset - weight @ self.center

    @torch.no_grad()
    def slopes(self) -> torch.Tensor:
        """Slope of each neuron along its direction, ``|s_j| |a_j|`` (m,), in normalised coordinates."""
        return (self.slope_scale * self.ratio).abs() * self.direction.norm(dim=1)

    @torch.no_grad()
    def partition_points(self) -> torch.Tensor:
        """Points (m, d), in physical coordinates, one on each partition hyperplane.

        The point of the hyperplane that is nearest (in normalised coordinates) to its initial anchor.
        In 1-D it is the partition point itself.
        """
        norm2 = (self.direction**2).sum(1).clamp_min(torch.finfo(self.direction.dtype).tiny)
        distance = ((self.direction * self.anchor).sum(1) - self.offset) / norm2
        return self.center + self.half_width * (self.anchor - distance[:, None] * self.direction)

    def extra_repr(self) -> str:
        low, high = self.slope_scale.min().item(), self.slope_scale.max().item()
        slopes = f"{low:.4g}" if math.isclose(low, high) else f"{low:.4g}..{high:.4g}"
        return f"{self.direction.shape[1]}, {self.direction.shape[0]}, slope_scale={slopes}"


def spread(n_neurons: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Evenly spread unit directions and points of [-1, 1]^d, each (n_neurons, d), float64.

    In 1-D the points are a uniform grid and the directions alternate in sign; in higher dimensions both come from one
    scrambled Sobol sequence seeded by torch's global generator (directions through the normal quantile).
    """
    if dim == 1:
        points = (2 * torch.arange(n_neurons, dtype=torch.float64) + 1) / n_neurons - 1
        return 1 - 2 * (torch.arange(n_neurons) % 2).to(torch.float64)[:, None], points[:, None]
    sequence = sobol(n_neurons, 2 * dim)
    directions = torch.special.ndtri(sequence[:, dim:].clamp(1e-9, 1 - 1e-9))
    return directions / directions.norm(dim=1, keepdim=True), 2 * sequence[:, :dim] - 1


def sobol(n: int, dim: int) -> torch.Tensor:
    """The first n points (n, dim) of a scrambled Sobol sequence seeded by torch's global generator, float64."""
    most = torch.quasirandom.SobolEngine.MAXDIM
    if dim > most:
        raise InputError(f"layer_sizes: {dim // 2} inputs; a Sobol sequence spreads partition points over {most // 2}")
    seed = int(torch.randint(2**31, (1,)))
    return torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed).draw(n, dtype=torch.float64)
