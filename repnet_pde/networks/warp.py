"""Smooth monotone maps of the axes, which concentrate partition points and slopes where the solution varies fast."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import nnls

from ..domain import Box

GRADING = 1.0
"""Lipschitz constant of the length scale in x̂ ..."""
NODES = 2001
"""Nodes on which a map is tabulated."""


class AxisWarp(torch.nn.Module):
    r"""ξ(x) per axis, from the box onto [−1, 1]^d: a sum of a line and of inverse hyperbolic sines.

    .. math:: \xi_l(x) = \alpha_l + c_{l0} \hat x_l + \sum_i c_{li}\,\mathrm{asinh}((\hat x_l - p_{li}) / w_{li})
        + \sum_i h_{li} \tanh((\hat x_l - q_{li}) / v_{li})

    with all c, h >= 0. Around p the map resolves the length scale sqrt((x̂ − p)² + w²). The steps, of height 2h (the
    range of the map is 2), open a gap at q in which a jump of u becomes smooth. The map is analytic, so that smooth
    functions stay smooth. All coefficients are buffers.
    """

    center: torch.Tensor
    half_width: torch.Tensor
    table: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        box: Box,
        axes: Sequence[Sequence[np.ndarray | Sequence[float]]],
        steps: Sequence[Sequence[np.ndarray | Sequence[float]]] | None = None,
    ):
        """``axes``: for each axis (c (1 + k), p (k), w (k)); c[0] belongs to the line.

        steps: for each axis (h (k), q (k), v (k)), or None. Widths v must be small: ξ(±1) = ±1 holds up to tanh's tail.
        """
        super().__init__()
        dtype = torch.get_default_dtype()
        self.register_buffer("center", torch.as_tensor(box.center, dtype=dtype))
        self.register_buffer("half_width", torch.as_tensor(box.half_width, dtype=dtype))
        most = max(len(p) for _, p, _ in axes)
        table = np.zeros((3, len(axes), most + 1))
        table[2] = 1.0
        for axis, (c, p, w) in enumerate(axes):
            table[0, axis, : len(c)], table[1, axis, 1 : len(p) + 1], table[2, axis, 1 : len(w) + 1] = c, p, w
        jumps = [np.empty((3, 0)) for _ in axes] if steps is None else [np.asarray(s, dtype=float) for s in steps]
        for axis, jump in enumerate(jumps):
            self.register_buffer(f"steps_{axis}", torch.as_tensor(jump, dtype=dtype))
        heights = np.array([jump[0].sum() for jump in jumps])
        ends = [table[0, :, :1] * s + self._sum(np.arcsinh, table, s) for s in (-1.0, 1.0)]
        table[0] *= 2 / (ends[1] - ends[0]) / (1 + heights[:, None])
        for axis, height in enumerate(heights):
            getattr(self, f"steps_{axis}")[0] /= 1 + height
        self.register_buffer("table", torch.as_tensor(table, dtype=dtype))
        start = -1 + table[0, :, :1] - self._sum(np.arcsinh, table, -1.0)
        start[:, 0] += [getattr(self, f"steps_{axis}")[0].sum().item() for axis in range(len(axes))]
        self.register_buffer("shift", torch.as_tensor(start[:, 0], dtype=dtype))

    @staticmethod
    def _sum(asinh: Callable[[np.ndarray], np.ndarray], table: np.ndarray, at: float) -> np.ndarray:
        return (table[0, :, 1:] * asinh((at - table[1, :, 1:]) / table[2, :, 1:])).sum(1, keepdims=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d) in the box to (n, d) in [−1, 1]^d."""
        x = (x - self.center) / self.half_width
        c, p, w = self.table
        columns = []
        for axis in range(x.shape[1]):  # linear axes have no further terms
            value = self.shift[axis] + c[axis, 0] * x[:, axis]
            used = torch.nonzero(c[axis, 1:])[:, 0] + 1
            if len(used):
                value = value + torch.asinh((x[:, axis, None] - p[axis, used]) / w[axis, used]) @ c[axis, used]
            height, middle, width = getattr(self, f"steps_{axis}")
            if len(height):
                value = value + torch.tanh((x[:, axis, None] - middle) / width) @ height
            columns.append(value)
        return torch.stack(columns, 1)

    @torch.no_grad()
    def derivatives(self, x: torch.Tensor, order: int) -> list[torch.Tensor]:
        """For each axis ξ', ξ'', ..., ξ^(order) with respect to x, (order, n).

        By repeated differentiation of (1 + s²) y'' + s y' = 0 for y = asinh s.
        """
        x = (x - self.center) / self.half_width
        result = []
        for axis in range(x.shape[1]):
            c, p, w = self.table[:, axis]
            used = torch.nonzero(c[1:])[:, 0] + 1
            s = (x[:, axis, None] - p[used]) / w[used]
            square = 1 + s * s
            y = [square.rsqrt()]
            if order > 1:
                y.append(-s * y[0] / square)
            for n in range(1, order - 1):
                y.append(-((2 * n + 1) * s * y[n] + n * n * y[n - 1]) / square)
            rows = [v @ (c[used] / w[used] ** (k + 1)) for k, v in enumerate(y[:order])]
            if order:
                rows[0] = rows[0] + c[0]
            height, middle, width = getattr(self, f"steps_{axis}")
            if len(height):
                step = torch.tanh((x[:, axis, None] - middle) / width)
                for n in range(order):
                    rows[n] = rows[n] + tanh_derivative(step, n + 1) @ (height / width ** (n + 1))
            h = self.half_width[axis]
            result.append(torch.stack([r / h ** (k + 1) for k, r in enumerate(rows)]) if order else x.new_empty(0, 0))
        return result

    @torch.no_grad()
    def inverse(self, xi: torch.Tensor) -> torch.Tensor:
        """x (n, d) with ξ(x) = ``xi``, by bisection; values outside of [−1, 1] give the nearest end of the box."""
        low, high = -torch.ones_like(xi), torch.ones_like(xi)
        for _ in range(60):
            middle = (low + high) / 2
            below = self(self.center + self.half_width * middle) < xi
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return self.center + self.half_width * (low + high) / 2


def tanh_derivative(y: torch.Tensor, order: int) -> torch.Tensor:
    """The derivative of tanh as a polynomial in y = tanh z: each order multiplies p'(y) by 1 − y²."""
    p = [0.0, 1.0]
    for _ in range(order):
        slope = [i * c for i, c in enumerate(p)][1:]
        p = [
            (slope[i] if i < len(slope) else 0.0) - (slope[i - 2] if 0 <= i - 2 < len(slope) else 0.0)
            for i in range(len(slope) + 2)
        ]
    return horner(y, p)


def horner(y: torch.Tensor, coefficients: Sequence[float]) -> torch.Tensor:
    """The polynomial with these coefficients, the constant one first."""
    value = torch.full_like(y, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * y + c
    return value


def graded(x: np.ndarray, scale: np.ndarray, grading: float = GRADING) -> np.ndarray:
    """The largest length scale below ``scale`` (n,) at sorted x (n,) whose slope is at most ``grading``."""
    result = scale.astype(float).copy()
    for step in (slice(None), slice(None, None, -1)):
        part, places = result[step], np.abs(np.diff(x[step])) * grading
        for i, gap in enumerate(places):
            part[i + 1] = min(part[i + 1], part[i] + gap)
    return result


def axis_map(x: np.ndarray, scale: np.ndarray, grading: float = GRADING) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(c, p, w) of `AxisWarp` for one axis whose density of points is about 1/scale(x̂), x̂ in [−1, 1].

    Args:
        x: sorted nodes (n,) in [−1, 1]. scale: the required local length scale there, in units of x̂.

    The density is fitted by non-negative least squares (relative, so that the steep parts do not dominate).
    """
    scale = graded(x, np.minimum(scale, 2.0), grading)
    density = 1 / scale
    if density.max() < 1.5 * density.min():
        return np.array([1.0]), np.empty(0), np.empty(0)
    widths, centres = [], []
    width = scale.min()
    order = np.argsort(scale)
    while width < 0.5:
        gap = width
        chosen: list[float] = []
        for i in order:  # centres where the scale is near this width, the finest first
            if scale[i] > 2.0 * width:
                break
            if all(abs(x[i] - p) >= gap for p in chosen):
                chosen.append(x[i])
        widths += [width] * len(chosen)
        centres += chosen
        width *= 2
    p, w = np.array(centres), np.array(widths)
    basis = np.concatenate([np.ones((len(x), 1)), 1 / np.sqrt((x[:, None] - p) ** 2 + w**2)], axis=1)
    c, _ = nnls(basis * scale[:, None], np.ones(len(x)))
    used = c[1:] > 0
    return np.concatenate([c[:1], c[1:][used]]), p[used], w[used]
