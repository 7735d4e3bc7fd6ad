"""States near the data, and the unknowns that the equations ask for there: where the joint method begins."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ...discretization.jets import values as jet_values
from ...errors import TrainingError
from .coordinates import POLISHING, Coordinates
from .rows import Rows, scaled, wavenumbers

SOFT = 1e-3
"""Weight of the roughness of the smooth state, relative to the rows."""
STATE_STEPS = 3
"""Newton steps for the state that belongs to the first fields."""
POWERS = (-8, -6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 8)
"""Powers of ten by which values that meet the equations for the smoothed data may differ from those given."""


def smooth_state(rows: Rows, zero: torch.Tensor, data: bool = True) -> torch.Tensor:
    """Coefficients (p,) of a smooth function near the data (or not) and the conditions; linearised at ``zero`` (p,)."""
    problem, n_pde = rows.problem, len(rows.names) - len(rows.problem.conditions)
    chosen = [i for i in range(n_pde, len(rows.names)) if data or i not in rows.observed]
    terms = rows.linearize()
    factors = rows.factors(terms)
    matrix = torch.cat([scaled(terms[i].jacobian, factors[i]) for i in chosen])[:, : len(zero)]
    right = torch.cat([-terms[i].residual * factors[i] for i in chosen])
    rough = (1 + wavenumbers(problem, rows.objective.net).square()) ** 0.5
    matrix = matrix / rough
    soft = SOFT * torch.linalg.matrix_norm(matrix) / math.sqrt(len(rough))
    matrix = torch.cat([matrix, soft * torch.eye(len(rough), dtype=matrix.dtype)])
    found = torch.linalg.lstsq(matrix, torch.cat([right, right.new_zeros(len(rough))])[:, None], driver="gels")
    found = found.solution[:, 0]
    return zero + found / rough


def set_fields(rows: Rows) -> None:
    """Set smooth fields near their conditions, and the state that solves the equations with them.

    Where no condition says how large a field is, the power of ten with the smallest misfit of the data is taken.
    """
    problem, system = rows.problem, rows.system
    factors, zero = rows.factors(rows.linearize()), system.c.clone()
    start = smooth_state(rows, zero, data=False) if len(problem.conditions) > len(rows.observed) else zero
    start[rows.layout.state] = 0.0
    said = (start - zero)[rows.layout.fields].abs().sum() > 0
    best = (math.inf, start)
    for power in (0,) if said else (0, 1, -1, 2, -2, 3, -3, 4, -4):
        c = start.clone()
        c[rows.layout.fields] *= 10.0**power
        rows.put(c)
        rows.solve_state(STATE_STEPS)
        c = system.c.clone()
        vectors = system.residuals()
        misfit = rows.split(vectors, factors, True).norm() + rows.split(vectors, factors, False).norm()
        best = min(best, (misfit.item(), c), key=lambda pair: pair[0] if math.isfinite(pair[0]) else math.inf)
    rows.put(best[1])


def set_from_equations(rows: Rows, eta: torch.Tensor) -> None:
    """Set the unknowns for which the equations hold best for the state as it is, where they depend on them.

    Args:
        eta: (q,) the unknowns on their internal scale near which these are looked for.
    """
    system, n_pde = rows.system, len(rows.names) - len(rows.problem.conditions)
    if not n_pde:
        return
    factors = rows.factors(rows.linearize())[:n_pde]

    def residual(h: torch.Tensor | np.ndarray) -> np.ndarray:
        rows.scales.set(torch.as_tensor(h))
        vectors = jet_values(system.data, system.x, system.jet, system.indices, system.transform)[:n_pde]
        return torch.cat([v * f for v, f in zip(vectors, factors, strict=True)]).numpy()

    def jacobian(h: np.ndarray) -> np.ndarray:
        rows.scales.set(torch.as_tensor(h))
        found = rows.linearize()[:n_pde]
        return torch.cat([t.jacobian[:, len(system.c) :] * f for t, f in zip(found, factors, strict=True)]).numpy()

    def cost(h: torch.Tensor) -> float:
        with np.errstate(all="ignore"):
            total = np.square(residual(h)).sum()
        return total if np.isfinite(total) else math.inf

    before, best = cost(eta), eta
    nearest = min(_powers(rows.scales.bounds, eta), key=cost)
    for start in (eta, nearest) if cost(nearest) < before else (eta,):
        for coordinates in (Coordinates(rows.scales, start, turned) for turned in (False, True)):
            try:
                found = coordinates.least_squares(residual, jacobian, POLISHING)
            except (ValueError, TrainingError, OverflowError, np.linalg.LinAlgError):
                continue
            if torch.isfinite(found).all() and cost(found) < min(before / 2, cost(best)):
                best = found
    rows.scales.set(best)


def _powers(bounds: Sequence[tuple[float, float]], eta: torch.Tensor) -> list[torch.Tensor]:
    """Values that differ from ``eta`` by powers of ten: each unknown, and all of them."""
    found = [eta]
    for chosen in (*([i] for i in range(len(eta))), range(len(eta))):
        for power in POWERS:
            other = eta.clone()
            for i in chosen:
                low, high = bounds[i]
                if math.isfinite(low) or math.isfinite(high):
                    other[i] += power * (1.0 if math.isfinite(low) and math.isfinite(high) else math.log(10))
                else:
                    other[i] = (eta[i].item() or 1.0) * 10.0**power
            found.append(other)
    return found
