"""Do equations and conditions determine the solution? The function that they see least is looked for."""

import torch

from ..discretization.jets import term_jets
from ..discretization.last_layer import JetSystem, as_layer
from ..linalg.dense import Factorization
from ..problem.points import test_points
from ..problem.problem import Problem
from .sizes import term_sizes

STEPS = 3
"""Of the power iteration; the second changed nothing in the first two digits on all problems tried."""
POINTS = 2
"""Points a feature at which a function's size is measured."""


def loosest(problem: Problem, system: JetSystem, factor: Factorization) -> float:
    """How well the function v that equations and conditions see least, among those of the features, meets them all
    without their data: the largest relative residual of the terms (`sizes.term_sizes`), linearised at the solution.

    v has the largest ratio of its root mean square in the domain, each output relative to the solution's, to the norm
    of the scaled rows, ‖Φ v‖ / ‖J v‖; found by the power method for (JᵀJ)⁻¹ ΦᵀΦ. Of order one where the problem
    determines its solution well, as small as v can be represented where every multiple of it can be added to a
    solution.

    Args:
        system: with the solution. factor: a `Factorization` of its scaled rows there, as `newton` leaves it.
    """
    y, outputs = torch.as_tensor(test_points(problem, POINTS * factor.columns)), len(problem.outputs)
    zero = (0,) * problem.dim
    at = system.features.at(y, [zero])
    size = system.jet[:, system.indices.index(zero)].square().mean(0).sqrt()
    size = torch.where(size > 0, size, size.max().clamp_min(1e-300))
    rows = []
    for c in range(outputs):
        one = y.new_zeros(len(y), 1, outputs)
        one[:, 0, c] = 1 / size[c]
        rows.append(at.rows(one))
    values = torch.cat(rows)
    v = torch.ones(factor.columns, 1, dtype=values.dtype)
    v[::2] = -0.5  # no symmetry that a function could be orthogonal to
    for _ in range(STEPS):
        v = factor.solve_normal(values.T @ (values @ v))
        v = v / (values @ v).norm().clamp_min(1e-300)
    jet = system.at.jet(*as_layer(v[:, 0], system.linear))
    jet = jet / jet.abs().amax().clamp_min(1e-300)
    terms = term_jets(system.data, system.names, system.x, system.jet, system.indices, system.transform)
    worst = 0.0
    for term, scale in term_sizes(terms, system.data, system.x, jet, system.indices):
        products = [(a * jet[part]).sum((1, 2)) for part, a in term.parts]
        left = sum(products, start=torch.zeros_like(products[0])).square().mean().sqrt().item()
        worst = max(worst, left / scale if scale > 0 else 0.0)
    return worst
