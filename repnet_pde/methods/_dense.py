"""Dense least squares that keeps its digits: QR of the rows, then the singular values of R."""

from collections.abc import Sequence

import torch

from ..jacobian import Linearization

CUTOFF = 1e-15
ROWS = 4096


def row_scales(terms: Sequence[Linearization]) -> list[float]:
    """One factor per term that brings the root mean square of its Jacobian's row norms to 1.

    All terms then count alike, whatever the order of their operators and the units; weights of 100 or 10⁴ on the
    boundary rows were measured to lose three to five digits.
    """
    scales = []
    for term in terms:
        size = term.jacobian.square().sum(1).mean().sqrt().item()
        scales.append(1 / size if size > 0 else 1.0)
    return scales


def triangle(terms: Sequence[Linearization], scales: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """R (p, p) and c (p,) with ‖J δ + r‖² = ‖R δ − c‖² + constant, over the scaled rows, by QR in blocks of rows."""
    p = terms[0].jacobian.shape[1]
    jacobian = torch.cat([term.jacobian * scale for term, scale in zip(terms, scales, strict=True)])
    residual = torch.cat([term.residual * scale for term, scale in zip(terms, scales, strict=True)])
    r = jacobian.new_zeros(0, p + 1)
    for rows, values in zip(jacobian.split(max(ROWS, p)), residual.split(max(ROWS, p)), strict=True):
        r = torch.linalg.qr(torch.cat([r, torch.cat([rows, -values[:, None]], 1)]), mode="r")[1]
    if len(r) < p + 1:  # fewer rows than columns
        r = torch.cat([r, r.new_zeros(p + 1 - len(r), p + 1)])
    return r[:p, :p], r[:p, p]


def minimum_norm(r: torch.Tensor, c: torch.Tensor, cutoff: float = CUTOFF) -> tuple[torch.Tensor, int]:
    """The least-squares solution of smallest norm of R δ = c, and the numerical rank.

    Singular values below ``cutoff`` times the largest are dropped.
    """
    u, s, vh = torch.linalg.svd(r, full_matrices=False)
    rank = int((s > cutoff * s[0]).sum())
    return vh[:rank].T @ ((u[:, :rank].T @ c) / s[:rank]), rank
