"""The uncertainty of the joint estimate: its posterior, and a second one with other basis functions and points."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ...discretization.objective import Objective
from ...errors import InputError, TrainingError
from ...inverse.unknowns import huber_inflation
from ...linalg.reduced import Posterior
from .rows import Factor
from .search import JointSearch
from .stages import MOST_ROUNDS, SHARES

ASIDE = 1e-3
"""Relative distance from the values found at which the second solution begins, so that it has to find them."""


def posterior(search: JointSearch) -> tuple[Posterior, list[Factor], bool]:
    """(`reduced.Posterior` at the solution in the network, the rows' factors, whether what is left of the equations
    outweighs the misfit of the data); the noise estimated or given."""
    rows = search.rows
    rows.share = SHARES[search.final]
    robust, rows.weights = rows.weights if search.robust else None, rows.alone
    terms = rows.linearize()
    factors = rows.factors(terms)
    reduced, residuals = rows.reduce(terms, factors), [t.residual for t in terms]
    reduced.layout = replace(rows.layout, roughness=rows.rough)
    unit = rows.unit(factors)
    dominated = rows.dominates(residuals, factors)
    count = sum(w.sum().item() for w in rows.alone)
    sigma = None if rows.known is None else unit
    found = reduced.posterior(rows.omega, rows.split(residuals, factors, True), sigma, count)
    if robust:
        rows.weights = robust
        sizes = torch.cat([residuals[i] / d for i, d in zip(rows.observed, rows.deviations, strict=True)])
        found.inflation = huber_inflation(sizes, torch.cat(rows.alone), found.dof)
        found.sigma = found.estimated = unit * found.inflation
    if search.stages.alone:
        found.step = torch.zeros_like(found.step)
    found.unit, found.physics = unit, rows.split(residuals, factors, False).norm().item()
    return found, factors, dominated


def second_estimate(search: JointSearch, twin: Callable[[], Objective]) -> tuple[list[float] | None, float | None]:
    """Identify once more with other basis functions and points, from near the values found, which are left as they are.

    Args:
        search: at its end. twin: makes the objective with these.

    Returns:
        The values of the unknowns, and the relative distance of the state; None where that fails.
    """
    scales, rows, values, distance = search.scales, search.rows, None, None
    eta = scales.get()
    known = None if rows.known is None else list(rows.deviations)
    other = JointSearch(twin(), 2 * MOST_ROUNDS, scales, known, most_starts=1)
    try:
        rows.system.store()
        scales.set(eta + ASIDE * torch.where(eta == 0, 1.0, eta.abs()))
        other.begin_from(search)
        while other.stopped is None:
            other.step()
        values = scales.values()
        x = torch.as_tensor(search.objective.data.train_x)
        with torch.no_grad():
            u, v = search.objective.net(x), other.objective.net(x)
        distance = ((u - v).norm() / u.norm().clamp_min(1e-300)).item()
    except (TrainingError, InputError):
        pass
    finally:
        scales.set(eta)
    return values, distance
