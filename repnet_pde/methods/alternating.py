"""Alternating least squares for a product of RepNets: one coordinate's coefficients at a time."""

import math

import torch

from ..network.product import ProductRepNet

RIDGE = 1e-13
"""Weight of the coefficients' squares over the mean of the diagonal of the normal equations."""
ROWS = 4096


class Alternating:
    """Fits a `ProductRepNet` to samples by alternating least squares (J. D. Carroll, J.-J. Chang, Psychometrika 35
    (1970) 283-319; for scattered samples G. Beylkin, J. Garcke, M. J. Mohlenkamp, SIAM J. Sci. Comput. 31 (2009)
    1840-1857).

    With all other factors fixed u is linear in the coefficients of one coordinate: a sweep solves for each coordinate
    and then for the output layer, slow sines included. Normal equations are used, since rows are many and columns few;
    they limit the residual to some 1e-7 of the data.

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
            self.gram, self.right = self.fixed.T @ self.fixed, self.fixed.T @ y

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
            net.factors[axis].weight /= size[:, None]
            net.factors[axis].bias /= size
            net.last.weight[:, : net.products] *= size
        product = math.prod(values[1:], start=values[0])
        cross = product.T @ self.fixed
        gram = torch.cat([torch.cat([product.T @ product, cross], 1), torch.cat([cross.T, self.gram], 1)])
        found = _least_squares(gram, torch.cat([product.T @ self.y, self.right]))
        net.last.weight.copy_(found[:-1].T)
        net.last.bias.copy_(found[-1])
        left = product @ found[: net.products] + self.fixed @ found[net.products :] - self.y
        return left.square().mean().sqrt().item()

    def _factor(self, axis: int) -> torch.Tensor:
        linear = self.net.factors[axis]
        return self.features[axis] @ torch.cat([linear.weight, linear.bias[:, None]], 1).T

    def _solve(self, axis: int, others: torch.Tensor) -> None:
        """The coefficients of one coordinate, with the values (n, products) of the others multiplied."""
        features, linear, last = self.features[axis], self.net.factors[axis], self.net.last
        products, width = others.shape[1], features.shape[1]
        weight = last.weight[:, :products]
        left = self.y - self.fixed @ torch.cat([last.weight[:, products:], last.bias[:, None]], 1).T
        gram = features.new_zeros(products * width, products * width)
        right = features.new_zeros(products * width, 1)
        outputs = weight.T @ weight  # (products, products): the outputs share the products
        for start in range(0, len(features), ROWS):
            part = slice(start, start + ROWS)
            rows = (others[part, :, None] * features[part, None]).flatten(1)
            gram += rows.T @ rows
            wanted = left[part] @ weight  # (rows, products)
            right[:, 0] += torch.einsum("nr,nrm->rm", wanted, rows.view(-1, products, width)).reshape(-1)
        gram = (gram.view(products, width, products, width) * outputs[:, None, :, None]).reshape(gram.shape)
        found = _least_squares(gram, right)[:, 0].view(products, width)
        linear.weight.copy_(found[:, :-1])
        linear.bias.copy_(found[:, -1])


def _least_squares(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The solution of the normal equations, more and more regularised until they can be factorised."""
    ridge = RIDGE * gram.diagonal().mean()
    eye = torch.eye(len(gram), dtype=gram.dtype)
    while True:
        factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
        if not failed:
            return torch.cholesky_solve(right, factor)
        ridge = 10 * ridge
