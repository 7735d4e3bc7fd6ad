"""Least squares with the state eliminated: estimates, regularisation and uncertainty of the remaining unknowns.

With all rows scaled and stacked, P of the equations and conditions ("physics") and D of the data, the joint
Gauss-Newton problem is

    min over v = (c, m) of ‖P v - p‖² + ‖D v - d‖² + ω ‖L m‖²,

where c are the coefficients of the state, m those of unknown fields and the unknown numbers, and L is a roughness
penalty on the fields. One QR with the columns of c first gives a triangular problem in m alone, R m = z, for every ω.
The sensitivity of the predicted data to m, with the state eliminated, is S = D_m - D_c R_cc⁻¹ R_cm. The physics rows
are treated as exact, and the data have independent errors of standard deviation σ, so that

    cov m = σ² (RᵀR + ω LᵀL)⁻¹,

the classical covariance of nonlinear least squares (G. A. F. Seber, C. J. Wild, Nonlinear Regression, 1989, section
2.1) without a penalty, and the posterior covariance for a Gaussian prior of the fields with one (G. Wahba, J. R.
Statist. Soc. B 45 (1983) 133-150). R accounts for the degrees of freedom of the state that the physics do not
determine, since the state was eliminated and not fixed.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from .dense import triangle

DEPENDENT = 1e-6
"""Singular value of the sensitivities, each scaled to norm 1, below which a combination is not identifiable."""
LEAST_DAMPING = 1e-14
"""Minimum damping of the changes of the unknowns, relative to the squares of their columns."""
INSENSITIVE = 1e-8
"""Relative change of the data for a relative change of 1 of an unknown, below which it counts as zero."""
SPAN = (1e-40, 1e2)
"""Search range of ω relative to the largest squared singular value."""


BAND_STEPS = 20
"""Steps of the fixed-point iteration for the weights of the bands."""
BAND_RANGE = (1e-12, 1e12)
"""Range of the factors on the penalties of bands."""
SETTLED = 0.05
"""Change of their logarithms below which the iteration has converged."""

SMOOTHNESS = 3
"""Power of (1 + |k|²)^½ in the roughness penalty. With a smaller power, products of a field and derivatives of the
state can be rougher than any basis function; 1 to 5 were tested on the catalogue."""


@dataclass
class Layout:
    """Assignment of the columns to the state, the fields and the unknowns.

    roughness: the diagonal of L for each column of the fields, or 0: not penalised. bands: index of each column's band
    of wavenumbers; None for a single band.
    """

    state: torch.Tensor
    fields: torch.Tensor
    roughness: torch.Tensor
    n_unknowns: int
    bands: torch.Tensor | None = None

    @property
    def penalty(self) -> torch.Tensor:
        """The diagonal of L, of the fields and the unknowns."""
        return torch.cat([self.roughness, self.roughness.new_zeros(self.n_unknowns)])

    @property
    def order(self) -> torch.Tensor:
        p = len(self.state) + len(self.fields)
        return torch.cat([self.state, self.fields, torch.arange(p, p + self.n_unknowns)])


class Reduced:
    """The joint problem with the state eliminated.

    Args:
        physics, data: the scaled rows (n, p), columns in the order of the network and then the unknowns.
        right: p and d (n_physics + n_data,).
        layout: of the columns.
        cutoff: regularisation of c at rounding level, relative to the norm of all rows.
    """

    def __init__(
        self,
        physics: torch.Tensor,
        data: torch.Tensor,
        right: torch.Tensor,
        layout: Layout,
        cutoff: float = 1e-16,
    ):
        self.layout, self.order = layout, layout.order
        rows = torch.cat([physics, data])[:, self.order]
        p, self.n_state = rows.shape[1], len(layout.state)
        norms = rows.square().sum(0).sqrt()
        typical = norms[: p - layout.n_unknowns].square().mean().sqrt() if p > layout.n_unknowns else norms.max()
        self.stretch = torch.ones(p, dtype=rows.dtype)  # scales the unknowns so that their columns have similar sizes
        last = norms[p - layout.n_unknowns :]
        self.stretch[p - layout.n_unknowns :] = torch.where(last > 0, typical / last.clamp_min(1e-300), 1.0)
        rows = rows * self.stretch
        self.data, self.right = rows[len(physics) :], right[len(physics) :]
        below = cutoff * torch.linalg.matrix_norm(rows) * torch.eye(p, p + 1, dtype=rows.dtype)
        upper = triangle(torch.cat([torch.cat([rows, right[:, None]], 1), below]))
        u = self.n_state
        self.state, self.mixed, self.first = upper[:u, :u], upper[:u, u:p], upper[:u, p]
        self.kept, self.kept_right = upper[u:p, u:p], upper[u:p, p]
        lengths = self.kept[:, p - u - layout.n_unknowns :].square().sum(0).sqrt()
        self._damping = torch.cat([lengths.new_zeros(p - u - layout.n_unknowns), lengths])

    def solve(self, omega: float, damping: float = 0.0) -> torch.Tensor:
        """v (p,) in the order of the network, for a penalty ω, and Levenberg-Marquardt damping of the unknowns' changes
        (their right-hand side is 0: the unknowns are given as changes). Without damping, combinations that are not
        identifiable would drift: the minimum damping affects singular values below `DEPENDENT`."""
        upper, right = self._penalised(omega, max(damping, LEAST_DAMPING))
        m = _triangular(upper, right)
        c = torch.linalg.solve_triangular(self.state, (self.first - self.mixed @ m)[:, None], upper=True)[:, 0]
        v = torch.empty_like(self.stretch)
        v[self.order] = torch.cat([c, m]) * self.stretch
        return v

    def _penalised(self, omega: float, damping: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        penalty = torch.diag(math.sqrt(omega) * self.layout.penalty + math.sqrt(damping) * self._damping)
        if not penalty.any():
            return self.kept, self.kept_right
        zero = self.kept_right.new_zeros(len(penalty))
        rows = torch.cat([torch.cat([self.kept, self.kept_right[:, None]], 1), torch.cat([penalty, zero[:, None]], 1)])
        upper = triangle(rows)[: len(penalty)]
        return upper[:, :-1], upper[:, -1]

    @functools.cached_property
    def sensitivity(self) -> tuple[torch.Tensor, torch.Tensor]:
        """S (n, m) of the data with respect to m, and the leverage (n,) of each datum due to the state alone."""
        through = torch.linalg.solve_triangular(self.state, self.data[:, : self.n_state], upper=True, left=False)
        return self.data[:, self.n_state :] - through @ self.mixed, through.square().sum(1).clamp(max=1.0)

    def choose_penalty(self) -> float:
        """ω by restricted maximum likelihood; 0 without unknown fields.

        Unpenalised columns come first; then, with R L⁻¹ = U diag(s) Vᵀ and y = Uᵀ z, the components y are independent
        with variance σ² (1 + s²/ω). Information about a field from the physics, such as boundary values, is treated
        like data: its components exceed the noise by so much that their own errors do not matter, and they determine
        the size of the field's coefficients.
        """
        if not self.layout.roughness.any():
            return 0.0
        sensitivity, taken = self.sensitivity
        rough = self.layout.penalty
        free, bound = torch.nonzero(rough == 0)[:, 0], torch.nonzero(rough > 0)[:, 0]
        order = torch.cat([free, bound])
        upper = triangle(torch.cat([self.kept[:, order], self.kept_right[:, None]], 1))
        f, n = len(free), len(order)
        left, values, right = torch.linalg.svd(upper[f:n, f:n] / rough[bound])
        y = left.T @ upper[f:n, n]
        along = sensitivity[:, bound]
        if f:
            through = _triangular(upper[:f, :f].T, sensitivity[:, free].T, upper=False).T
            along = along - through @ upper[:f, f:n]
        along = (along / rough[bound]) @ right.T
        share = (along.square().sum(0) / values.square().clamp_min(1e-300)).clamp(max=1.0)
        s2, y2 = values.square().numpy(), y.square().numpy()
        residual = self.right - self.data @ (self.solve(SPAN[0] * s2[0])[self.order] / self.stretch)
        sse = residual.square().sum().item()
        dof = max(len(self.right) - taken.sum().item() - f - share.sum().item(), 1.0)
        seen = s2 > 1e-24 * s2[0]
        s2, y2 = s2[seen], y2[seen]
        count = dof + len(s2)

        def deviance(log_omega: float) -> float:
            gain = 1 + s2 / math.exp(log_omega)
            return float(count * np.log(sse + (y2 / gain).sum()) + np.log(gain).sum())

        low, high = (math.log(max(s2[0], 1e-300) * end) for end in SPAN)
        grid = np.linspace(low, high, 90)
        best = int(np.argmin([deviance(w) for w in grid]))
        ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        return math.exp(minimize_scalar(deviance, bounds=ends, method="bounded").x)

    def choose_bands(self, omega: float) -> None:
        """Scale the roughness band by band, to match the variance of the field's coefficients estimated from the data.

        Fixed-point iteration for the evidence (D. J. C. MacKay, Neural Computation 4 (1992) 415-447): the penalty of
        a band becomes γ σ² / Σ (rough_j m_j)², γ being the effective number of its coefficients determined by the data.
        In a band without signal the coefficients are shrunk to zero, together with the noise.
        """
        layout, bands = self.layout, self.layout.bands
        if bands is None or omega == 0 or not layout.roughness.any():
            return
        base, n = layout.roughness, len(layout.fields)
        sensitivity, taken = self.sensitivity
        penalised = base > 0
        groups = [torch.nonzero((bands == b) & penalised)[:, 0] for b in torch.unique(bands[penalised])]
        weights = base.new_ones(len(groups))
        for _ in range(BAND_STEPS):
            rough = base.clone()
            for weight, group in zip(weights, groups, strict=True):
                rough[group] *= weight.sqrt()
            self.layout = replace(layout, roughness=rough)
            upper, right = self._penalised(omega)
            m = _triangular(upper, right)
            inverse = _triangular(upper, torch.eye(len(upper), dtype=upper.dtype))
            taken_by = 1 - omega * rough.square() * inverse[:n].square().sum(1)
            leverage = (taken + (sensitivity @ inverse).square().sum(1)).clamp(max=1.0)
            c = torch.linalg.solve_triangular(self.state, (self.first - self.mixed @ m)[:, None], upper=True)[:, 0]
            residual = self.right[-len(self.data) :] - self.data @ torch.cat([c, m])
            variance = residual.square().sum() / (len(residual) - leverage.sum()).clamp_min(1.0)
            before = weights.clone()
            for i, group in enumerate(groups):
                size = (base[group] * m[:n][group]).square().sum().clamp_min(1e-300)
                number = taken_by[group].clamp_min(0.0).sum()
                weights[i] = (number * variance / (omega * size)).clamp(*BAND_RANGE)
            if ((weights / before).log().abs() < SETTLED).logical_or(weights >= BAND_RANGE[1] / 10).all():
                break

    def posterior(
        self, omega: float, residual: torch.Tensor, sigma: float | None, count: float | None = None
    ) -> "Posterior":
        """The `Posterior` at the solution: ``residual`` (n,) and ``sigma`` of the scaled data; None to estimate it.

        ``count``: number of data, if it is smaller than that of the rows because some are copies of others.
        """
        sensitivity, taken = self.sensitivity
        upper, right = self._penalised(omega)
        half = _triangular(upper.T, sensitivity.T, upper=False).T
        leverage = (taken + half.square().sum(1)).clamp(max=1.0)
        dof = (len(residual) if count is None else count) - leverage.sum().item()
        estimated = math.sqrt(residual.square().sum().item() / dof) if dof > 0.5 else math.nan
        step = _triangular(upper, right)[len(upper) - self.layout.n_unknowns :]
        sigma = estimated if sigma is None else sigma
        return Posterior(self, upper, sensitivity, leverage, dof, sigma, estimated, step)


@dataclass
class Posterior:
    """The approximate normal distribution of fields and unknowns at the solution.

    leverage: of each datum (n,). step: change of the unknowns (q,) by one more Gauss-Newton step, in the units of their
    scaled columns. dof: residual degrees of freedom. sigma: standard deviation of the scaled data that is used;
    estimated: the one from the residuals. unit: standard deviation of the scaled data that corresponds to correct
    weights. physics: norm of the scaled residuals of the equations and conditions. inflation: factor of sigma over the
    noise for a loss other than least squares.
    """

    reduced: Reduced
    upper: torch.Tensor
    sensitivity: torch.Tensor
    leverage: torch.Tensor
    dof: float
    sigma: float
    estimated: float
    step: torch.Tensor
    unit: float = 1.0
    physics: float = 0.0
    inflation: float = 1.0

    def covariance(
        self, scale: torch.Tensor, sandwich: bool = False, dependent: float = DEPENDENT
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Covariance (q, q) of the unknowns on their internal scale, and the directions that are not identifiable.

        Args:
            scale: (q,) the change of each unknown, on its internal scale, that counts as large.
            sandwich: (JᵀJ)⁻¹ JᵀΣJ (JᵀJ)⁻¹ with errors in the data rows only, for weights of the physics that do not
                make them exact, so that the estimate is not the maximum-likelihood estimate.
            dependent: singular value of the sensitivities below which a combination counts as not identifiable.

        A direction, as weights of changes in units of ``scale``, is determined from the singular values of the
        sensitivities; it is excluded from the covariance, which would be infinite along it.
        """
        q, reduced = self.reduced.layout.n_unknowns, self.reduced
        if not q:
            return np.empty((0, 0)), []
        stretch = reduced.stretch[-q:]
        block = (self.upper[-q:, -q:] / stretch * scale).numpy()
        size = max(reduced.right.norm().item(), 1e-300)
        lengths = np.linalg.norm(block, axis=0)
        norms = np.where(lengths > INSENSITIVE * size, lengths, np.inf)
        if not np.isfinite(block).all():  # diverged unknowns
            return np.full((q, q), np.nan), list(np.eye(q))
        _, values, right = np.linalg.svd(block / norms)
        lost = values < dependent
        columns = right.T / norms[:, None]
        directions = [*(np.eye(q)[i] for i in range(q) if not np.isfinite(norms[i]))]
        for vector, gone in zip(right, lost, strict=True):
            if gone and np.abs(vector[np.isfinite(norms)]).max(initial=0.0) > 0.1:
                directions.append(_unit(np.where(np.isfinite(norms), vector / norms, 0.0)))
        inverse = np.where(lost, 0.0, 1 / np.maximum(values, 1e-300))
        half = columns * inverse * scale.numpy()[:, None] * self.sigma
        if sandwich and not lost.any():
            half = (self.response() * stretch[:, None]).numpy() * self.sigma
        return half @ half.T, directions

    def steps(self) -> np.ndarray:
        """Change of the unknowns (q,) on their internal scale by one more Gauss-Newton step."""
        q = self.reduced.layout.n_unknowns
        return (self.step * self.reduced.stretch[len(self.reduced.stretch) - q :]).numpy()

    @functools.cached_property
    def _through(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Singular vectors (n, k) and values (k,) of G: a change p of the physics' scaled right-hand side changes the
        predicted data by G p, with the unknowns fixed.

        With QR = [P; D] for the columns of the state and T = D_c R⁻¹, G = T Q_Pᵀ and Q_PᵀQ_P = 1 − TᵀT.
        """
        reduced = self.reduced
        data = reduced.data[:, : reduced.n_state]
        through = torch.linalg.solve_triangular(reduced.state, data, upper=True, left=False)
        left, values, _ = torch.linalg.svd(through, full_matrices=False)
        values = values.clamp(max=1.0)
        return left, values * (1 - values.square()).sqrt()

    def floor(self) -> np.ndarray:
        """Upper bound on the effect of the physics' residuals on each scaled datum (n,)."""
        if not self.reduced.n_state or not self.physics > 0:
            return np.zeros(len(self.leverage))
        left, values = self._through
        return (self.physics * (left * values).norm(dim=1)).numpy()

    def distortion(self) -> np.ndarray:
        """Upper bound on the effect of the physics' residuals on each unknown (q,) on its internal scale."""
        q, reduced = self.reduced.layout.n_unknowns, self.reduced
        if not q or not reduced.n_state or not self.physics > 0:
            return np.zeros(q)
        left, values = self._through
        moved = (self.response() @ (left * values)).norm(dim=1)
        return (self.physics * reduced.stretch[-q:] * moved).numpy()

    def response(self) -> torch.Tensor:
        """Change of the unknowns (q, n), in the units of their scaled columns, by a change of each scaled datum."""
        half = _triangular(self.upper.T, self.sensitivity.T, upper=False)
        return _triangular(self.upper, half)[len(self.upper) - self.reduced.layout.n_unknowns :]

    def field_deviation(self, values: torch.Tensor, which: torch.Tensor) -> np.ndarray:
        """Pointwise standard deviation (n,) of Σ_j values_j m_j over the fields' columns ``which`` (of the layout)."""
        rows = values.new_zeros(len(values), len(self.upper))
        rows[:, which] = values
        half = _triangular(self.upper.T, rows.T, upper=False)
        return (self.sigma * half.square().sum(0).sqrt()).numpy()


def _unit(v: np.ndarray) -> np.ndarray:
    v = v / np.linalg.norm(v)
    return v * np.sign(v[np.argmax(np.abs(v))])


def _triangular(matrix: torch.Tensor, right: torch.Tensor, upper: bool = True) -> torch.Tensor:
    """Solve a triangular system; the minimum-norm least-squares solution if its diagonal vanishes to rounding."""
    diagonal = matrix.diagonal().abs()
    columns = right[:, None] if right.ndim == 1 else right
    if (diagonal <= 1e-14 * diagonal.max().clamp_min(1e-300)).any():
        solved = torch.linalg.pinv(matrix, rtol=1e-13) @ columns
        return solved[:, 0] if right.ndim == 1 else solved
    solved = torch.linalg.solve_triangular(matrix, columns, upper=upper)
    return solved[:, 0] if right.ndim == 1 else solved
