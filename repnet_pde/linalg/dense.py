"""Accurate dense least squares: QR of all rows, regularised at the level of rounding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .. import limits
from ..threads import large

CUTOFF = 1e-16
"""Regularisation relative to the norm of the Jacobian: below the unit roundoff, so that no accuracy is lost."""


PANEL, LARGE = 128, 1e10
"""Columns of a panel, and floating-point operations from which a matrix is factorised panel by panel."""


def geqrf(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``torch.geqrf`` (m, n); a large matrix panel by panel, with a look at the limits of the run between them.

    The reflections of a panel are applied to the columns after it in the compact form 1 − V T Vᵀ (R. Schreiber,
    C. Van Loan, SIAM J. Sci. Stat. Comput. 10 (1989) 53-57), which is as fast as LAPACK's own blocks.
    """
    m, n = matrix.shape
    limits.check()
    with large(matrix.numel()):
        return torch.geqrf(matrix) if 2 * m * n**2 < LARGE else _by_panels(matrix)


def _by_panels(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    m, n = matrix.shape
    factors, taus = matrix.T.contiguous().T, []  # by columns, and not the caller's
    factors = factors.clone() if factors.data_ptr() == matrix.data_ptr() else factors
    for k in range(0, min(m, n), PANEL):
        limits.check()
        panel, tau = torch.geqrf(factors[k:, k : k + PANEL])
        factors[k:, k : k + PANEL] = panel
        taus.append(tau)
        if k + PANEL < n:
            v = torch.tril(panel[:, : len(tau)], -1)
            v.diagonal().fill_(1)
            v[:, tau == 0] = 0
            inverse = torch.triu(v.T @ v, 1) + torch.diag(torch.where(tau == 0, 1.0, 1 / tau))
            rest = factors[k:, k + PANEL :]
            rest.addmm_(v, torch.linalg.solve_triangular(inverse.T, v.T @ rest, upper=False), alpha=-1)
    return factors, torch.cat(taus)


def triangle(matrix: torch.Tensor) -> torch.Tensor:
    """R (min(m, n), n) of the QR factorisation of a matrix (m, n), by `geqrf`."""
    return torch.triu(geqrf(matrix)[0][: min(matrix.shape)])


@dataclass
class Linearization:
    """One residual term at the current parameters.

    residual (r,), jacobian (r, p): the columns are the parameters in their order, then the unknowns.
    """

    name: str
    residual: torch.Tensor
    jacobian: torch.Tensor


def row_scales(terms: Sequence[Linearization]) -> list[float]:
    """One factor per term that brings the root mean square of its Jacobian's row norms to 1.

    All terms then have equal weight, independently of the order of their operators and of units. In tests, weights of
    100 or 10⁴ on the boundary rows lost three to five digits.
    """
    scales = []
    for term in terms:
        size = term.jacobian.square().sum(1).mean().sqrt().item() if len(term.jacobian) else 0.0
        scales.append(1 / size if size > 0 else 1.0)
    return scales


def stack(terms: Sequence[Linearization], scales: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """The scaled rows of all terms: the Jacobian (n, p) and the residual (n,)."""
    jacobian = torch.cat([term.jacobian * scale for term, scale in zip(terms, scales, strict=True)])
    return jacobian, torch.cat([term.residual * scale for term, scale in zip(terms, scales, strict=True)])


class Factorization:
    """Solves min ‖J δ + r‖² + ε² ‖δ‖² for one J and many r, with ε = ``cutoff`` ‖J‖ (Frobenius), by Householder QR.

    The functions of a good basis are linearly dependent to rounding. The regularisation has the effect of a singular
    value decomposition of R truncated at rounding level (measured with sines: the same accuracy or half a digit more)
    at a fifth of its cost. The reflections can be reused, which makes Newton steps with an old J cheap.
    """

    def __init__(self, jacobian: torch.Tensor, cutoff: float = CUTOFF):
        p = self.columns = jacobian.shape[1]
        self.epsilon = cutoff * torch.linalg.matrix_norm(jacobian)
        below = self.epsilon * torch.eye(p, dtype=jacobian.dtype, device=jacobian.device)
        self._reflections = geqrf(torch.cat([jacobian, below]))
        self._upper = torch.triu(self._reflections[0][:p])

    def solve(self, residual: torch.Tensor) -> torch.Tensor:
        """δ (p,) for r (n,), or (p, k) for (n, k)."""
        columns = residual if residual.ndim == 2 else residual[:, None]
        c = torch.cat([-columns, columns.new_zeros(self.columns, columns.shape[1])])
        c = torch.ormqr(*self._reflections, c, transpose=True)[: self.columns]
        return torch.linalg.solve_triangular(self._upper, c, upper=True).reshape(self.columns, *residual.shape[1:])

    def solve_normal(self, right: torch.Tensor) -> torch.Tensor:
        """(JᵀJ + ε²)⁻¹ applied to the columns of (p, k)."""
        half = torch.linalg.solve_triangular(self._upper.T, right, upper=False)
        return torch.linalg.solve_triangular(self._upper, half, upper=True)

    def rank(self) -> int:
        """The numerical rank, as Σ s²/(s² + ε²) = p - ε² ‖U⁻¹‖² over the singular values s, with UᵀU = JᵀJ + ε²."""
        eye = torch.eye(self.columns, dtype=self._upper.dtype, device=self._upper.device)
        inverse = torch.linalg.solve_triangular(self._upper, self.epsilon * eye, upper=True)
        return round(self.columns - inverse.square().sum().item())
