"""Multidomain least squares: static condensation of each subdomain (patch) to its faces, then one sparse QR.

A patch with coefficients c has two kinds of rows: its own, A c ≈ b (equation and conditions), and traces F c, which are
matched to the traces of neighbouring patches. Functions on the patch are expressed in a basis in which [A; F] is
orthonormal, so that the conditioning of the basis functions does not matter. In this basis the singular vectors of A
with σ > `DETERMINED` are fixed by the patch's own rows, independently of all other patches; the few remaining ones,
approximate solutions of the homogeneous equation, enter the coupled problem (static condensation; the subdomains of
S. Dong, Z. Li, Comput. Methods Appl. Mech. Engrg. 387 (2021) 114129, are coupled by the same continuity rows).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .. import limits
from .dense import triangle

CUTOFF = 1e-14
"""Smallest singular value, relative to the largest, of functions on a patch that are retained."""
DETERMINED = 1e-2
"""Singular value of a patch's own rows above which they fix a combination of its coefficients."""


@dataclass
class Condensed:
    """A condensed patch in the coupled problem: c = back (free y + fixed) for y (k,), with its own rows ``rows`` y ≈
    ``right``.

    traces (t, k), offset (t,): F c = traces y + offset.
    """

    back: torch.Tensor
    free: torch.Tensor
    fixed: torch.Tensor
    rows: torch.Tensor
    right: torch.Tensor
    traces: torch.Tensor
    offset: torch.Tensor

    def coefficients(self, y: torch.Tensor) -> torch.Tensor:
        """c (p,). ``back`` has large entries and is applied last: applied to ``free`` it would amplify rounding."""
        return self.back @ (self.free @ y + self.fixed)


def condense(own: torch.Tensor, right: torch.Tensor, traces: torch.Tensor) -> Condensed:
    """Reduce a patch.

    Args:
        own: its own rows (m, p), scaled. right: (m,). traces: (t, p), scaled.
    """
    limits.check()
    m = len(own)
    q, r = torch.linalg.qr(torch.cat([own, traces]))
    u, s, vh = torch.linalg.svd(r, full_matrices=False)
    keep = s > CUTOFF * s[0]
    basis, back = q @ u[:, keep], vh[keep].T / s[keep]
    a, f = basis[:m], basis[m:]
    # The singular values are at most about 1, so that the Gram matrix resolves them down to 1e-8, which is sufficient.
    squares, vectors = torch.linalg.eigh(a.T @ a)
    free, fixed = vectors[:, squares < DETERMINED**2], vectors[:, squares >= DETERMINED**2]
    squares = squares[squares >= DETERMINED**2]
    af = a @ fixed
    z = (af.T @ right) / squares
    z = z + (af.T @ (right - af @ z)) / squares
    rest = triangle(torch.column_stack([a @ free, right - af @ z]))[: free.shape[1]]
    fixed = fixed @ z
    return Condensed(back, free, fixed, rest[:, :-1], rest[:, -1], f @ free, f @ fixed)


@dataclass
class Block:
    """Rows that couple several patches: ``matrix`` has the columns of ``patches`` side by side."""

    patches: tuple[int, ...]
    matrix: torch.Tensor
    right: torch.Tensor


def couple(sizes: Sequence[int], blocks: Sequence[Block]) -> list[torch.Tensor]:
    """Least squares for y of all patches, of ``sizes``, from the rows of all blocks.

    Sparse QR by merging rows, patch by patch in the order of their numbers (A. George, M. T. Heath, Linear Algebra
    Appl. 34 (1980) 69–83): the rows that contain a patch are reduced to those that determine it and remaining ones
    without it, which are passed on. Unknowns not determined by any row are set to zero.
    """
    waiting: dict[int, list[Block]] = {p: [] for p in range(len(sizes))}
    for block in blocks:
        waiting[min(block.patches)].append(block)
    done = []
    for p in range(len(sizes)):
        limits.check()
        here = waiting.pop(p)
        others = sorted({q for block in here for q in block.patches} - {p})
        columns, width = {}, 0
        for q in (p, *others):
            columns[q] = slice(width, width + sizes[q])
            width += sizes[q]
        parts = [torch.zeros(sizes[p], width + 1, dtype=torch.float64)]  # to have enough rows
        for block in here:
            part = block.matrix.new_zeros(len(block.right), width + 1)
            start = 0
            for q in block.patches:
                part[:, columns[q]] = block.matrix[:, start : start + sizes[q]]
                start += sizes[q]
            part[:, -1] = block.right
            parts.append(part)
        r = triangle(torch.cat(parts))
        n = sizes[p]
        for k in torch.nonzero(r[:n, :n].diagonal() == 0)[:, 0].tolist():  # not determined by any row
            r[k] = 0
            r[k, k] = 1
        done.append((others, r[:n, :n], r[:n, n:-1], r[:n, -1]))
        if others and len(r) > n:
            left = r[n : n + width - n]
            waiting[others[0]].append(Block(tuple(others), left[:, n:-1], left[:, -1]))
    found: dict[int, torch.Tensor] = {}
    for p in reversed(range(len(sizes))):
        others, upper, beside, right = done[p]
        if others:
            right = right - beside @ torch.cat([found[q] for q in others])
        found[p] = torch.linalg.solve_triangular(upper, right[:, None], upper=True)[:, 0]
    return [found[p] for p in range(len(sizes))]
