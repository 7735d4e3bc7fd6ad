"""Alternating least squares for a product of RepNets: one coordinate's coefficients at a time."""

import math

import torch

from .. import limits
from ..networks.product import ProductRepNet

RIDGE = 1e-13
"""Weight of the coefficients' squares over the mean of the diagonal of the normal equations."""
ROWS = 4096
"""Samples at a time: it bounds the memory."""


class Alternating:
    """Fits a `ProductRepNet` to samples by alternating least squares (J. D. Carroll, J.-J. Chang, Psychometrika 35
    (1970) 283-319; for scattered samples G. Beylkin, J. Garcke, M. J. Mohlenkamp, SIAM J. Sci. Comput. 31 (2009)
    1840-1857).

    With all other factors fixed u is linear in the coefficients of one coordinate: a sweep solves for each coordinate,
    every time together with the slow sines, which are eliminated (else the two creep towards each other), and then for
    the output layer. Normal equations are used, since rows are many and columns few; they limit the residual to some
    1e-7 of the data.

    Args:
        net: the network; its coefficients are the start.
        x (n, d), y (n, c): the samples, in the dtype of the network.
    """

    def __init__(self, net: ProductRepNet, x: torch.Tensor, y: torch.Tensor):
        self.net, self.x, self.y = net, x, y
        with torch.no_grad():
            self.features = [torch.cat([net.features(x, i), x.new_ones(len(x), 1)], 1) for i in range(net.box.dim)]
            slow = x.new_zeros(len(x), 0) if net.slow is None else torch.sin(net.slow(x))
            self.fixed = torch.cat([slow, x.new_ones(len(x), 1)], 1)
            self.lower = _cholesky(self.fixed.T @ self.fixed)
            self.projected = self._halved(self.fixed.T @ y)

    def _halved(self, products: torch.Tensor) -> torch.Tensor:
        """L⁻¹ v (fixed, k), with L Lᵀ the normal equations of the slow sines and the bias."""
        return torch.linalg.solve_triangular(self.lower, products, upper=False)

    @torch.no_grad()
    def sweep(self) -> float:
        """Solve for every coordinate once; the root mean square of what is left."""
        net, dim = self.net, self.net.box.dim
        values = [self._factor(axis) for axis in range(dim)]
        for axis in range(dim):
            others = torch.ones_like(values[0])
            for other in range(dim):
                if other != axis:
                    others = others * values[other]
            self._solve(axis, others)
            values[axis] = self._factor(axis)
            size = values[axis].square().mean(0).sqrt().clamp_min(1e-300)
            values[axis] = values[axis] / size
            factor = net.factor(axis)
            factor.weight.div_(size[:, None])
            factor.bias.div_(size)
            net.last.weight[:, : net.products] *= size
        product = math.prod(values[1:], start=values[0])
        cross = self._halved(self.fixed.T @ product)
        weight = _least_squares(product.T @ product - cross.T @ cross, product.T @ self.y - cross.T @ self.projected)
        rest = torch.linalg.solve_triangular(self.lower.T, self.projected - cross @ weight, upper=True)
        net.last.weight.copy_(torch.cat([weight, rest[:-1]]).T)
        net.last.bias.copy_(rest[-1])
        return (product @ weight + self.fixed @ rest - self.y).square().mean().sqrt().item()

    def _factor(self, axis: int) -> torch.Tensor:
        linear = self.net.factor(axis)
        return self.features[axis] @ torch.cat([linear.weight, linear.bias[:, None]], 1).T

    def _solve(self, axis: int, others: torch.Tensor) -> None:
        """The coefficients of one coordinate, with the values (n, products) of the others multiplied."""
        features, linear, net = self.features[axis], self.net.factor(axis), self.net
        products, width = others.shape[1], features.shape[1]
        gram = features.new_zeros(products * width, products * width)
        right = features.new_zeros(products * width, self.y.shape[1])
        cross = features.new_zeros(self.fixed.shape[1], products * width)
        for start in range(0, len(features), ROWS):
            limits.check()
            part = slice(start, start + ROWS)
            rows = (others[part, :, None] * features[part, None]).flatten(1)
            gram += rows.T @ rows
            right += rows.T @ self.y[part]
            cross += self.fixed[part].T @ rows
        cross = self._halved(cross)
        gram -= cross.T @ cross
        right -= cross.T @ self.projected
        # The outputs share the products: row r of the equations has the weights W_cr.
        weight = net.last.weight[:, :products]
        gram = (gram.view(products, width, products, width) * (weight.T @ weight)[:, None, :, None]).reshape(gram.shape)
        right = torch.einsum("rmc,cr->rm", right.view(products, width, -1), weight).reshape(-1, 1)
        found = _least_squares(gram, right)[:, 0].view(products, width)
        linear.weight.copy_(found[:, :-1])
        linear.bias.copy_(found[:, -1])


def _least_squares(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The solution of the normal equations."""
    return torch.cholesky_solve(right, _cholesky(gram))


def _cholesky(gram: torch.Tensor) -> torch.Tensor:
    """The lower factor of a matrix that is more and more regularised until it can be factorised."""
    ridge = RIDGE * gram.diagonal().mean()
    eye = torch.eye(len(gram), dtype=gram.dtype)
    while True:
        factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
        if not failed:
            return factor
        ridge = 10 * ridge
