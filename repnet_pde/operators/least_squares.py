"""Last-layer least squares for operator networks on data on a Cartesian product of functions and points."""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..discretization.last_layer import into_last
from ..errors import InputError
from .arguments import array

RIDGES = (0.0, *(10.0**k for k in range(-14, 0)))
"""Candidate ridge parameters: λ over the squares of the largest singular values of the branch and trunk matrices."""
HELD_OUT = 5
"""Every fifth function is held out to choose the ridge parameter."""
LEAST_FUNCTIONS = 5
"""Minimum number of functions: one of five is held out."""
CUTOFF = 1e-13
"""Singular values below this fraction of the largest count as zero without a ridge."""


@dataclass(frozen=True)
class LastLayerFit:
    """Result of `fit_last_layer`, by output.

    Attributes:
        ridge: λ, relative.
        held_out_error: relative L2 error on the held-out functions; None when the ridge was given.
        training_error: relative L2 error on all fitted functions.
    """

    ridge: tuple[float, ...]
    held_out_error: tuple[float, ...] | None
    training_error: tuple[float, ...]


class Separable:
    r"""Solves :math:`\min_{W, b} \|B W T^\top + b - U\|^2 + \lambda \|W\|^2` for one B (n, q), T (p, r), and many U, λ.

    The Kronecker system of size (np) × (qr) is never formed: with the singular value decompositions
    :math:`B = X S Y^\top` and :math:`T = P R Q^\top` its solution is :math:`W = Y (F \circ X^\top U P) Q^\top` with
    :math:`F_{ij} = s_i r_j / (s_i^2 r_j^2 + \lambda)`; b is eliminated exactly, by the fit of a matrix of ones.
    λ is relative: it is multiplied by :math:`s_1^2 r_1^2`.
    """

    def __init__(self, branch: torch.Tensor, trunk: torch.Tensor):
        self.x, self.s, self.y = torch.linalg.svd(branch, full_matrices=False)
        self.p, self.r, self.q = torch.linalg.svd(trunk, full_matrices=False)
        self.product = self.s[:, None] * self.r
        self.shape = (len(branch), len(trunk))

    def solve(self, values: torch.Tensor, ridge: float = 0.0, bias: bool = True) -> tuple[torch.Tensor, float]:
        """W (q, r) and b for values (n, p)."""
        largest = self.product[0, 0]
        kept = self.product > CUTOFF * largest
        weights = torch.where(kept, self.product / (self.product.square() + ridge * largest.square()), 0.0)
        core = self.x.T @ values @ self.p
        b = 0.0
        if bias:
            ones = torch.outer(self.x.sum(0), self.p.sum(0))
            smoothed = weights * self.product * ones
            n = self.shape[0] * self.shape[1]
            left = n - (smoothed * ones).sum()
            if left > 1e-12 * n:  # else the constant is in the span of the basis functions
                b = ((values.sum() - (smoothed * core).sum()) / left).item()
            core = core - b * ones
        return self.y.T @ (weights * core) @ self.q, b


def solve_separable(branch, trunk, values, ridge: float = 0.0, bias: bool = True) -> tuple[torch.Tensor, float]:
    """W (q, r) and b with ``values ≈ branch W trunkᵀ + b`` in the least-squares sense; see `Separable`.

    Args:
        branch: (functions, q). trunk: (points, r). values: (functions, points). Finite numbers.
        ridge: λ >= 0, relative to the squares of the largest singular values; 0 gives the minimum-norm solution.
        bias: whether there is a b; else it is 0.

    Returns: float64.
    """
    branch, trunk = (torch.from_numpy(array(n, v, ("n", "q"))) for n, v in (("branch", branch), ("trunk", trunk)))
    values = torch.from_numpy(array("values", values, (len(branch), len(trunk))))
    return Separable(branch, trunk).solve(values, _ridge(ridge), bias)


def fit_last_layer(net: Any, x: Any, y: ArrayLike, ridge: float | str = "held-out") -> LastLayerFit:
    """Replace the last layer of a Cartesian-product operator network by the least-squares solution, in place.

    With the hidden layers fixed, the output is linear in the weights and biases of the branch's last layer together
    and in the output bias: u = [h(v), 1] W t(x)ᵀ + b, with h the last hidden layer of the branch (for a linear
    branch v itself) and t the outputs of the trunk.

    Args:
        net: `RepDeepONetCartesianProd` or ``dde.nn.DeepONetCartesianProd`` with an FNN or RepNet branch, without output
            transform. For several outputs the strategies "independent", "split_branch" and "split_both".
        x: ``(functions at the sensors (n, sensors), points (p, d))``. y: (n, p) or (n, p, outputs).
        ridge: λ >= 0 relative to the squares of the largest singular values of h and t, or "held-out": the one of
            `RIDGES` with the smallest error on every fifth function; all functions are then fitted with it.

    Raises:
        InputError: for incompatible arrays, values that are not finite, or fewer than 5 functions.
    """
    if not isinstance(net, dde.nn.DeepONetCartesianProd):
        raise InputError(f"net: {type(net).__name__} given; a RepDeepONetCartesianProd is needed")
    if net._output_transform is not None:
        raise InputError("net: has an output transform; the last layer cannot be solved for through it")
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise InputError("x: a tuple (functions at the sensors, points) is needed")
    v = array("x[0]", x[0], ("functions", "sensors"))
    points = array("x[1]", x[1], ("points", "d"))
    outputs = net.num_outputs
    y = array("y", y, (len(v), len(points)) if outputs == 1 else (len(v), len(points), outputs))
    if len(v) < LEAST_FUNCTIONS:
        raise InputError(f"x[0]: {len(v)} functions given; at least {LEAST_FUNCTIONS} are needed")
    if not isinstance(ridge, str):
        ridge = _ridge(ridge)
    elif ridge != "held-out":
        raise InputError(f'ridge: {ridge!r} given; "held-out" or a number >= 0 is needed')
    y = torch.from_numpy(y.reshape(len(v), len(points), outputs))
    found = [_fit(layer, h, t, y[..., k], net.b[k], ridge) for k, (layer, h, t) in enumerate(_layers(net, v, points))]
    ridges, held_out, training = zip(*found, strict=True)
    return LastLayerFit(ridges, None if held_out[0] is None else held_out, training)


@torch.no_grad()
def _layers(net: Any, v, points):
    """For each output: (weight (q, h), bias (q,)) as views of the branch's last layer, h (n, h), t (p, q), float64."""
    name = type(net.multi_output_strategy).__name__
    if name == "SplitTrunkStrategy":
        raise InputError(
            'net: has the strategy "split_trunk", where all outputs share the last layer; use "split_branch"'
        )
    kept = next(net.parameters())
    v, points = (torch.as_tensor(a, dtype=kept.dtype, device=kept.device) for a in (v, points))
    points = points if net._input_transform is None else net._input_transform(points)
    branches, trunks = ([m] if not isinstance(m, torch.nn.ModuleList) else list(m) for m in (net.branch, net.trunk))
    sensors = getattr(net, "sensors", None)
    if sensors is not None and v.shape[1] != sensors:
        raise InputError(f"x[0]: has values at {v.shape[1]} sensors, but the branch net takes {sensors}")
    pairs = []
    for branch, trunk in zip(branches, trunks, strict=True):
        if not hasattr(branch, "linears") or branch._output_transform is not None:
            raise InputError(f"net: its branch is a {type(branch).__name__}; an FNN or RepNet is needed")
        try:
            hidden = into_last(branch, v)
        except RuntimeError as error:
            raise InputError(f"x[0]: shape {tuple(v.shape)} does not suit the branch net ({error})") from None
        pairs.append((branch.linears[-1], hidden, net.activation_trunk(trunk(points))))
    if name == "IndependentStrategy":
        parts = [((last.weight, last.bias), h, t) for last, h, t in pairs]
    else:
        ((last, h, t),) = pairs
        size = last.weight.shape[0] // net.num_outputs
        split = name == "SplitBothStrategy"
        parts = []
        for k in range(net.num_outputs):
            rows = slice(k * size, (k + 1) * size)
            parts.append(((last.weight[rows], last.bias[rows]), h, t[:, rows] if split else t))
    return [(layer, h.double().cpu(), t.double().cpu()) for layer, h, t in parts]


@torch.no_grad()
def _fit(layer, h, t, values, bias, ridge):
    h = torch.cat([h, torch.ones(len(h), 1, dtype=h.dtype)], 1)
    held_out = None
    if ridge == "held-out":
        out = torch.arange(len(h)) % HELD_OUT == HELD_OUT - 1
        part = Separable(h[~out], t)
        errors = []
        for candidate in RIDGES:
            w, b = part.solve(values[~out], candidate)
            errors.append(_relative(h[out] @ w @ t.T + b, values[out]))
        # Of those about as good as the best, take the largest: it is the least sensitive to the functions.
        held_out = min(errors)
        ridge = max(r for r, e in zip(RIDGES, errors, strict=True) if e <= 1.02 * held_out)
    w, b = Separable(h, t).solve(values, ridge)
    weight, offset = layer
    weight.copy_(w[:-1].T)
    offset.copy_(w[-1])
    bias.fill_(b)
    return ridge, held_out, _relative(h @ w @ t.T + b, values)


def _relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    size = torch.linalg.norm(wanted).item()
    error = torch.linalg.norm(found - wanted).item()
    return error / size if size else error


def _ridge(value: Any) -> float:
    try:
        good = not isinstance(value, bool) and 0 <= float(value) < float("inf")
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InputError(f"ridge: {value!r} given; a number >= 0 is needed")
    return float(value)
