"""What the data say of the unknowns: estimates, standard errors, intervals, and what cannot be told apart."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import stats

from .features import Features
from .inference import Layout, Posterior, Reduced
from .jacobian import linearize
from .unknowns import Scales, check_noise

MOST_COLUMNS = 4000
"""Most parameters of a network of which the standard errors account for the freedom."""
SOFT = 1e-10
"""Cut-off, relative to the Jacobian, for networks that were trained iteratively and are no minimum to rounding."""
OPEN = 1e3
"""Standard error, relative to the unknown, above which it counts as not determined."""
INVOLVED = 0.05
"""Weight in an undetermined direction from which an unknown counts as not identifiable."""


@dataclass(frozen=True)
class Estimate:
    """An identified number.

    Attributes:
        value: the estimate.
        standard_error: None where the data do not determine it.
        interval: (lower, upper) at the level of the `Identification`; None where the data do not determine it.
        true: where it is known.
        discretisation: change with other features and points, which is counted in the standard error, or None.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    true: float | None = None
    discretisation: float | None = None

    @property
    def identifiable(self) -> bool:
        return self.interval is not None


@dataclass
class Identification:
    """What was found and how well it is known.

    Attributes:
        estimates: by unknown.
        correlation: of the estimates (q, q), on the scale on which they were solved for.
        noise: standard deviation of each observation's errors, used for the intervals.
        noise_given: by the user, or else estimated from the residuals.
        chi_square: mean square of the residuals over that of the noise, by degrees of freedom; about 1 where the noise
            given is right.
        dof: degrees of freedom left.
        level: of the intervals.
        undetermined: sentences about unknowns and combinations of them that the data leave open.
        influence: by unknown and observation, the share of the estimate's variance that each datum brings in (n,).
        leverage: by observation, the share of each datum that the fit follows (n,).
        field_deviation: function of (points (n, d), output) that gives a field's pointwise standard deviation (n,).
        notes: what a user should know.
    """

    estimates: dict[str, Estimate]
    correlation: np.ndarray
    noise: dict[str, float]
    noise_given: bool
    chi_square: float
    dof: float
    level: float
    undetermined: list[str]
    influence: dict[str, dict[str, np.ndarray]]
    leverage: dict[str, np.ndarray]
    field_deviation: Callable | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def quantile(self) -> float:
        """Of Student's distribution where the noise was estimated, else of the normal one."""
        return _quantile(self.level, self.dof, self.noise_given)

    def to_dict(self) -> dict:
        """Without the arrays by datum."""
        return {
            "level": self.level,
            "noise": self.noise,
            "noise_given": self.noise_given,
            "chi_square": self.chi_square,
            "degrees_of_freedom": self.dof,
            "correlation": self.correlation.tolist(),
            "undetermined": self.undetermined,
        }


def analyse(problem, objective, method, *, noise=None, level: float = 0.95) -> Identification | None:
    """The `Identification` at the solution in the network; None where there is nothing to say.

    Args:
        objective: of the run, at its solution.
        method: that ended last: one with a ``posterior`` of its own, or whose scales of the rows count.
        noise: standard deviations, as in `identify`.
        level: of the intervals.
    """
    observed = problem.observations
    if not observed or not (problem.unknowns or problem.unknown_fields) or problem.dtype != "float64":
        return None
    own = hasattr(method, "posterior")
    if own:
        pair = method.posterior()
        if pair is None:
            return None
        posterior, factors = pair
        scales, deviations, given = method.scales, method.deviations, method.known is not None
    else:
        if problem.unknown_fields or sum(p.numel() for p in objective.parameters) > MOST_COLUMNS:
            return None
        scales, deviations = Scales(problem.unknowns), check_noise(noise, problem)
        given = deviations is not None
        posterior, factors, deviations = _of_network(problem, objective, method, deviations)
    sigma = posterior.sigma
    names, eta = list(problem.unknowns), scales.get()
    scale = torch.tensor(
        [
            abs(e.item()) or 1.0 if math.isinf(low) and math.isinf(high) else 1.0
            for e, (low, high) in zip(eta, scales.bounds, strict=True)
        ],
        dtype=torch.float64,
    )
    covariance, directions = posterior.covariance(scale, sandwich=not own)
    errors = np.sqrt(np.diag(covariance)) if names else np.empty(0)
    quantile = _quantile(level, posterior.dof, given)
    for i, error in enumerate(errors):
        if error > OPEN * scale[i].item() and not any(abs(d[i]) > INVOLVED for d in directions):
            directions.append(np.eye(len(names))[i])
    lost = {n for d in directions for n, w in zip(names, d, strict=True) if abs(w) > INVOLVED}
    twin = getattr(method, "twin_values", None)
    estimates = {}
    for i, name in enumerate(names):
        value, true = scales.value(i, eta[i].item()), problem.true_unknowns.get(name)
        shift = None if twin is None else abs(twin[i] - value)
        if name in lost or not math.isfinite(errors[i]):
            estimates[name] = Estimate(value, None, None, true)
            continue
        error = float(errors[i])
        slope = abs(scales.slope(i, eta[i].item()))
        if shift is not None and slope > 0:
            error = math.hypot(error, shift / slope)
        ends = sorted(scales.value(i, eta[i].item() + sign * quantile * error) for sign in (-1, 1))
        estimates[name] = Estimate(value, slope * error, tuple(ends), true, shift)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(errors, errors) if names else covariance
    counts = [len(d) for d in deviations]
    leverage = dict(zip(observed, _parts(posterior.leverage.numpy(), counts), strict=True))
    influence = _influence(posterior, names, observed, counts)
    first = factors[problem.term_names.index(next(iter(observed)))]
    unit = first * deviations[0]  # one standard deviation of the scaled data, were the deviations right
    factor = sigma / float(unit[0] if isinstance(unit, torch.Tensor) else unit)
    noise_found = {n: float(d.square().mean().sqrt()) * factor for n, d in zip(observed, deviations, strict=True)}
    found = Identification(
        estimates,
        correlation,
        noise_found,
        given,
        (posterior.estimated / sigma) ** 2,
        posterior.dof,
        level,
        [_said(names, d) for d in directions],
        influence,
        leverage,
        _field_deviation(problem, objective.net, posterior) if problem.unknown_fields else None,
    )
    found.notes = _notes(found, dict(zip(names, scales.bounds, strict=True)))
    if getattr(method, "dominated", False):
        found.notes.append(
            "what is left of the equations' residuals, not the noise, limits the estimates: "
            "with more features they may change by more than the intervals say"
        )
    return found


def _quantile(level: float, dof: float, given: bool) -> float:
    tail = (1 + level) / 2
    return float(stats.norm.ppf(tail) if given else stats.t.ppf(tail, max(dof, 1.0)))


def _of_network(problem, objective, method, known):
    """(`Posterior`, factors, deviations) of a network all of whose parameters were trained."""
    data, net, names = objective.data, objective.net, objective.names
    terms = linearize(data, net, names, None, objective.unknowns)
    factors = getattr(method, "scales", None)
    if factors is None:
        factors = [
            math.sqrt(w / max(len(t.residual), 1)) for w, t in zip(objective.weights.tolist(), terms, strict=True)
        ]
    observed = [problem.term_names.index(name) for name in problem.observations]
    weighted = [t.jacobian * f for t, f in zip(terms, factors, strict=True)]
    residuals = [t.residual * f for t, f in zip(terms, factors, strict=True)]
    chosen = [[i for i in range(len(names)) if (i in observed) == data_rows] for data_rows in (False, True)]
    width = weighted[0].shape[1]
    physics, of_data = (torch.cat([weighted[i] for i in part]) if part else weighted[0][:0] for part in chosen)
    left = torch.cat([residuals[i] for part in chosen for i in part])
    q = len(problem.unknowns)
    layout = Layout(torch.arange(width - q), torch.arange(0), left.new_zeros(0), q)
    posterior = Reduced(physics, of_data, -left, layout, SOFT).posterior(0.0, left[len(physics) :], None)
    if known is not None:  # one deviation a term, as the weights are
        posterior.sigma = math.sqrt(
            sum((factors[i] * d).square().sum().item() for i, d in zip(observed, known, strict=True)) / len(of_data)
        )
        return posterior, factors, known
    count = [len(terms[i].residual) for i in observed]
    return (
        posterior,
        factors,
        [left.new_full((n,), posterior.sigma / factors[i]) for i, n in zip(observed, count, strict=True)],
    )


def _parts(values: np.ndarray, counts) -> list[np.ndarray]:
    return np.split(values, np.cumsum(counts)[:-1])


def _influence(posterior: Posterior, names, observed, counts) -> dict[str, dict[str, np.ndarray]]:
    """Shares of the variance of each unknown, by datum."""
    if not names:
        return {}
    slopes = posterior.response().square()
    shares = (slopes / slopes.sum(1, keepdim=True).clamp_min(1e-300)).numpy()
    return {n: dict(zip(observed, _parts(row, counts), strict=True)) for n, row in zip(names, shares, strict=True)}


def _field_deviation(problem, net, posterior: Posterior) -> Callable:
    features, layout = Features(net), posterior.reduced.layout
    zero, n = (0,) * problem.dim, net.linears[-1].in_features

    def deviation(x: np.ndarray, output: str) -> np.ndarray:
        c = problem.outputs.index(output)
        columns = torch.cat([torch.arange(c * n, (c + 1) * n), torch.tensor([len(problem.outputs) * n + c])])
        which = torch.searchsorted(layout.fields, columns)
        x = torch.as_tensor(np.asarray(x, dtype=np.float64))
        found = []
        for part in x.split(2000):
            coefficients = part.new_ones(len(part), 1, 1)
            found.append(posterior.field_deviation(features.at(part, [zero]).rows(coefficients), which))
        return np.concatenate(found)

    return deviation


def _said(names, direction: np.ndarray) -> str:
    involved = [(n, w) for n, w in zip(names, direction, strict=True) if abs(w) > INVOLVED]
    if len(involved) == 1:
        return f"{involved[0][0]} is not determined by the data"
    ratio = " : ".join(f"{w:+.2g}" for _, w in involved)
    return (
        f"{', '.join(n for n, _ in involved)} are not determined separately by the data: changes in the ratio {ratio} "
        "(relative to their values) leave the predictions as they are"
    )


def _notes(found: Identification, bounds) -> list[str]:
    notes = list(found.undetermined)
    if found.noise_given and found.dof > 1 and not 0.5 < found.chi_square < 2:
        hint = "smaller than" if found.chi_square < 1 else "larger than"
        notes.append(
            f"the residuals are {hint} the noise given (mean square ratio {found.chi_square:.2g}): "
            "the noise or the equations may be wrong"
        )
    if found.dof < 1:
        notes.append("as many parameters as data: no degree of freedom is left to estimate the noise from")
    for name, estimate in found.estimates.items():
        low, high = bounds[name]
        near = 1e-4 * (high - low if math.isfinite(high - low) else abs(estimate.value))
        if min(estimate.value - low, high - estimate.value) < near:
            notes.append(f"{name} is at its bound: the data ask for a value beyond it")
        error, shift = estimate.standard_error, estimate.discretisation
        if error is not None and shift is not None and shift > 0.7 * error:
            notes.append(
                f"{name} changes by {shift:.1e} with other features, most of its standard error: "
                "the discretisation counts more than the noise"
            )
        elif error is not None and error > abs(estimate.value):
            notes.append(f"{name} is poorly determined: its standard error exceeds its value")
    return notes
