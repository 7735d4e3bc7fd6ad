"""Uniqueness: search for the function to which equations and conditions are least sensitive."""

import torch

from ..discretization.jets import term_jets
from ..discretization.last_layer import JetSystem, as_layer
from ..linalg.dense import Factorization
from ..problem.points import scattered_points
from ..problem.problem import Problem
from .sizes import term_sizes

STEPS = 3
"""Steps of the power iteration; the second did not change the first two digits on any problem tested."""
POINTS = 2
"""Points per basis function at which a function's size is measured."""


def loosest(problem: Problem, system: JetSystem, factor: Factorization, elsewhere: JetSystem) -> float:
    """The largest relative residual (`sizes.term_sizes`), in the homogeneous linearised problem, of the function v in
    the span of the basis functions to which equations and conditions are least sensitive.

    v maximises the ratio of its root mean square in the domain, each output relative to the solution's, to the norm of
    the scaled rows, ‖Φ v‖ / ‖J v‖; it is found by the power method for (JᵀJ)⁻¹ ΦᵀΦ. The result is of order one if the
    problem determines its solution well. If any multiple of v can be added to a solution, it is as small as the
    approximation error of v. The residual is measured at other points too, since v may be large in a gap between the
    points of the rows, as near a corner, where the problem determines it and those points do not.

    Args:
        system: at the solution. factor: a `Factorization` of its scaled rows there, as returned by `newton`.
        elsewhere: the same network and solution at other points.
    """
    y, outputs = torch.as_tensor(scattered_points(problem, POINTS * factor.columns)), len(problem.outputs)
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
    return max(_relative(v[:, 0], there) for there in (system, elsewhere))


def _relative(v: torch.Tensor, system: JetSystem) -> float:
    """The largest relative residual of the function with coefficients v (p,) at the points of a system."""
    jet = system.at.jet(*as_layer(v, system.linear))
    jet = jet / jet.abs().amax().clamp_min(1e-300)
    terms = term_jets(system.data, system.names, system.x, system.jet, system.indices, system.transform)
    worst = 0.0
    for term, scale in term_sizes(terms, system.data, system.x, jet, system.indices):
        products = [(a * jet[part]).sum((1, 2)) for part, a in term.parts]
        left = sum(products, start=torch.zeros_like(products[0])).square().mean().sqrt().item()
        worst = max(worst, left / scale if scale > 0 else 0.0)
    return worst
