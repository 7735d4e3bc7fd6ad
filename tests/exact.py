"""A problem's exact solution, written with NumPy, evaluated on torch tensors with their graphs."""

import numpy as np
import torch
from scipy.interpolate import RectBivariateSpline, make_interp_spline


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """A tensor that NumPy functions accept: each ufunc is replaced by the torch function of the same meaning."""

    __array_priority__ = 1000
    RENAMED = {"absolute": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "power": "pow"}

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor

    @property
    def shape(self):
        return tuple(self.tensor.shape)

    def __len__(self):
        return len(self.tensor)

    def __getitem__(self, index):
        return Traced(self.tensor[index])

    def sum(self, axis, keepdims):
        return Traced(self.tensor.sum(axis, keepdim=keepdims))

    def prod(self, axis, keepdims):
        return Traced(self.tensor.prod(axis, keepdim=keepdims))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            return NotImplemented
        function = getattr(torch, self.RENAMED.get(ufunc.__name__, ufunc.__name__))
        return Traced(function(*(_tensor(value, self.tensor) for value in inputs)))

    def __array_function__(self, function, types, arguments, options):
        if function is np.where:
            condition, *values = arguments
            return Traced(torch.where(condition.tensor, *(_tensor(v, self.tensor) for v in values)))
        replacements = {np.concatenate: torch.cat, np.stack: torch.stack, np.hstack: torch.hstack}
        if function not in replacements:
            return NotImplemented
        parts, *others = arguments
        if "axis" in options:
            options = {"dim": options["axis"]}
        return Traced(replacements[function]([_tensor(p, self.tensor) for p in parts], *others, **options))


def _tensor(value, like: torch.Tensor) -> torch.Tensor:
    return value.tensor if isinstance(value, Traced) else torch.as_tensor(value, dtype=like.dtype)


def as_network(solution, stretch=1.0, shift: float = 0.0):
    """``solution`` at ``stretch x + shift``, a function of tensors in a network's place; stretch: number or (d,)."""
    return lambda x: solution(Traced(stretch * x + shift)).tensor


class _Derivative(torch.autograd.Function):
    """A derivative of a spline at x (n, d), as a tensor (n, c) that can be differentiated again."""

    @staticmethod
    def forward(context, x, evaluate, orders):
        context.save_for_backward(x)
        context.evaluate, context.orders = evaluate, orders
        return torch.as_tensor(evaluate(x.detach().numpy(), orders))

    @staticmethod
    def backward(context, weights):
        (x,) = context.saved_tensors
        one_more = [tuple(n + (i == axis) for i, n in enumerate(context.orders)) for axis in range(x.shape[1])]
        slopes = [_Derivative.apply(x, context.evaluate, orders) for orders in one_more]
        return torch.stack([(weights * slope).sum(1) for slope in slopes], 1), None, None


def spline_network(axes, values: np.ndarray):
    """The spline of degree 5 through values (*grid, c) on a grid of one or two axes, in a network's place."""
    if len(axes) == 1:
        line = make_interp_spline(axes[0], values, k=5)
        evaluate = lambda x, orders: line(x[:, 0], nu=orders[0])  # noqa: E731
    else:
        planes = [RectBivariateSpline(*axes, values[..., c], kx=5, ky=5) for c in range(values.shape[-1])]
        evaluate = lambda x, orders: np.stack([p.ev(*x.T, *orders) for p in planes], 1)  # noqa: E731
    return lambda x: _Derivative.apply(x, evaluate, (0,) * len(axes))
