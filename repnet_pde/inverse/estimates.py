"""What the data say of the unknowns: estimates, standard errors, intervals, and what cannot be told apart."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import stats

from ..backend import dde
from ..checking.status import LARGE
from ..discretization.features import Features
from ..discretization.jacobian import linearize
from ..linalg.reduced import DEPENDENT, Layout, Posterior, Reduced
from ..problem.residuals import residual_vectors
from .diagnostics import RARE, Examined, copies, examine, values_of
from .unknowns import Scales, check_noise

MOST_COLUMNS = 4000
"""Most parameters of a network of which the standard errors account for the freedom."""
SOFT = 1e-10
"""Cut-off, relative to the Jacobian, for networks that were trained iteratively and are no minimum to rounding."""
OPEN = 1e3
"""Standard error, relative to the unknown, above which it counts as not determined."""
INVOLVED = 0.05
"""Weight in an undetermined direction from which an unknown counts as not identifiable."""
PROFILE = ((6.0, 9.0), (16.0, 36.0))
"""Distances from the estimate, in its standard errors, and the least sum of squares over the variance of the noise by
which the misfit must have grown there; a parabola grows by the squares of the distances."""
CORRELATED = 0.1
"""Correlation with an unknown that is not determined from which another is not, either."""
SURE = 0.1
"""Relative change of an unknown over the largest of these distances up to which the model is taken to be linear."""
UNMOVED, RAN_AWAY = 1e-3, 1e12
"""Relative change of an unknown from its start that counts as none, and as too much to be believed."""
LOST = 1e-3
"""Most that the accuracy of the predictions counts in deciding what is not determined."""
OFF = 3.0
"""Residuals over the noise given beyond which too few data to show a scatter of their own contradict the fit."""
AS_GOOD = 9.0
"""Difference of two minima's sums of squares, over the variance of the noise, up to which the data do not choose."""
PRECISE = 1e-6
"""Relative misfit, and relative change of an estimate with other features, below which neither limits it."""
FREE_SHARE = 0.5
"""Part of the data that the solution of equations with given unknowns may fit by its own freedom."""
BOUND = 1e-4
"""Distance from a bound, relative to the interval between the bounds or to the value, that counts as none."""


@dataclass(frozen=True)
class Estimate:
    """An identified number.

    Attributes:
        value: the estimate.
        standard_error: None where there is no interval.
        interval: (lower, upper) at the level of the `Identification`; None where the data do not determine the unknown,
            or where nothing can be said because the fit is not to be believed.
        true: where it is known.
        discretisation: change with other features, and by what is left of the equations; it is counted in the standard
            error. None where it was not found out.
        reason: why there is no interval; None where there is one, and before training has ended.
        of_its_own: whether the reason is this unknown's own, such as that it ran away, and not that of the whole fit.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    true: float | None = None
    discretisation: float | None = None
    reason: str | None = None
    of_its_own: bool = False

    @property
    def identifiable(self) -> bool:
        """Whether the data are known to determine it: whether there is an interval."""
        return self.interval is not None


@dataclass
class Identification:
    """What was found and how well it is known.

    Attributes:
        estimates: by unknown.
        correlation: of the estimates (q, q), on the scale on which they were solved for.
        noise: standard deviation of each observation's errors, used for the intervals.
        noise_given: by the user, or else estimated from the residuals: also where these contradict the noise given.
        chi_square: mean square of the residuals over that of the noise given, by degrees of freedom; about 1 where it
            is right.
        dof: degrees of freedom left.
        level: of the intervals.
        undetermined: sentences about unknowns and combinations of them that the data leave open; none where the fit is
            not to be believed, since elsewhere the data may determine them.
        influence: by unknown and observation, the share of the estimate's variance that each datum brings in (n,).
        leverage: by observation, the share of each datum that the fit follows (n,).
        field_deviation: function of (points (n, d), output) that gives a field's pointwise standard deviation (n,).
        doubts: sentences on why the fit as a whole is not to be believed; no unknown has an interval then.
        remarks: sentences on what is odd about data or noise; intervals are given all the same.
        limited: whether what the features leave of the equations, not the noise, limits the estimates.
        scatter: by observation, the standard deviation that neighbouring data show by themselves, whatever the
            equations; None where there are too few.
        notes: what a user should know; all of the above in words.
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
    doubts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    scatter: dict[str, float | None] = field(default_factory=dict)
    limited: bool = False
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
            "doubts": self.doubts,
            "remarks": self.remarks,
            "scatter": self.scatter,
        }


def analyse(
    problem, objective, method, *, noise=None, level: float = 0.95, relative: dict[str, float] | None = None
) -> Identification | None:
    """The `Identification` at the solution in the network; None where there is nothing to say.

    Args:
        objective: of the run, at its solution.
        method: that ended last: one with a ``posterior`` of its own, or whose scales of the rows count.
        noise: standard deviations, as in `identify`.
        level: of the intervals.
        relative: residuals of the equations and conditions relative to their sizes, where they are known.
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
    accuracy = getattr(method, "accuracy", 0.0)
    names, eta, counts = list(problem.unknowns), scales.get(), [len(d) for d in deviations]
    examined = _examined(problem, objective, posterior, factors, deviations, method)
    with np.errstate(invalid="ignore", divide="ignore"):
        chi_square = (posterior.estimated / posterior.sigma) ** 2
    contradicted = given and posterior.dof > 0.5 and stats.chi2.sf(chi_square * posterior.dof, posterior.dof) < RARE
    if contradicted:
        posterior.sigma = posterior.estimated
    given = given and not contradicted
    doubts = _misses(examined, chi_square if contradicted else None)
    free = ""
    if not problem.unknown_fields:
        free = _free(posterior.leverage, len(names)) if own and names else ""
        doubts += [free] * bool(free) + _unmet(relative or {})
    scale = torch.tensor(
        [
            abs(e.item()) or 1.0 if math.isinf(low) and math.isinf(high) else 1.0
            for e, (low, high) in zip(eta, scales.bounds, strict=True)
        ],
        dtype=torch.float64,
    )
    starts = np.array([abs(scales.internal(n, problem.start_values[n])) for n in names])
    covariance, directions = posterior.covariance(
        scale, sandwich=not own, dependent=max(DEPENDENT, min(accuracy, LOST))
    )
    directions = [_direction(d * scale.numpy(), np.maximum(scale.numpy(), starts)) for d in directions]
    errors = np.sqrt(np.diag(covariance)) if names else np.empty(0)
    for i, error in enumerate(errors):
        if error > OPEN * scale[i].item() and not any(abs(d[i]) > INVOLVED for d in directions):
            directions.append(np.eye(len(names))[i])
    noise_factor = posterior.sigma / (posterior.unit * posterior.inflation)  # of the deviations, so that they are right
    if hasattr(method, "misfit") and names and not doubts and noise_factor > 0:
        directions += _flat(method.misfit, scales, covariance, scale.numpy(), starts, noise_factor, directions)
        doubts += [] if directions else _others(method, scales, errors, noise_factor)
    if directions:  # along which what else is hardly known may change as well
        units = np.eye(len(names))
        far = (i for i, error in enumerate(errors) if error > scale[i].item())
        directions += [units[i] for i in far if not any(abs(d[i]) > INVOLVED for d in directions)]
    quantile = _quantile(level, posterior.dof, given)
    twin = getattr(method, "twin_values", None)
    distortion, steps = posterior.distortion(), posterior.steps()
    estimates = {}
    for i, name in enumerate(names):
        value, true = scales.value(i, eta[i].item()), problem.true_unknowns.get(name)
        slope, error, shift = abs(scales.slope(i, eta[i].item())), float(errors[i]), None
        if twin is not None:
            shift = math.hypot(twin[i] - value, slope * distortion[i])
            error = math.hypot(error, shift / slope) if slope > 0 else error
        start = problem.start_values[name]
        reason = _strayed(value, start, scales.bounds[i])
        of_its_own = reason is not None
        if reason is None and doubts:
            still = abs(value - start) <= UNMOVED * abs(start)
            reason = doubts[0] + (", and the value is still that of the start" if still else "")
        if reason is None and any(abs(d[i]) > INVOLVED for d in directions):
            reason = "not determined by the data"
        if reason is None and not math.isfinite(error):
            reason = "no degree of freedom is left to estimate the noise from"
        if reason is None and posterior.inflation == 1 and abs(steps[i]) > error + UNMOVED * scale[i].item():
            reason, of_its_own = (
                "no minimum has been reached: the next step would change it by more than its standard error",
                True,
            )
        if reason is not None:
            estimates[name] = Estimate(value, None, None, true, shift, reason, of_its_own)
            continue
        ends = sorted(scales.value(i, eta[i].item() + sign * quantile * error) for sign in (-1, 1))
        estimates[name] = Estimate(value, slope * error, tuple(ends), true, shift)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(errors, errors) if names else covariance
    found = Identification(
        estimates,
        correlation,
        {n: float(d.square().mean().sqrt()) * noise_factor for n, d in zip(observed, deviations, strict=True)},
        given,
        chi_square,
        posterior.dof,
        level,
        # Directions may be others where the fit is right.
        [] if doubts else list(dict.fromkeys(_said(names, d) for d in directions)),
        _influence(posterior, names, observed, counts),
        dict(zip(observed, _parts(posterior.leverage.numpy(), counts), strict=True)),
        _field_deviation(problem, objective.net, posterior) if problem.unknown_fields else None,
        doubts,
        _remarks(problem, examined, given, contradicted, chi_square, posterior.dof),
        {name: e.scatter for name, e in examined.items()},
    )
    found.notes = _notes(found)
    sizes = [e.size > PRECISE * _rms(values_of(observed[name])) for name, e in examined.items()]
    dominated = getattr(method, "dominated", False)
    found.limited = not (found.undetermined or free) and (
        (dominated and any(sizes)) or any(_limited(e) for e in estimates.values())
    )
    if dominated:
        found.notes.append(
            "what is left of the equations' residuals, not the noise, limits the estimates: "
            "with more features they may change by more than the intervals say"
        )
    return found


def _examined(problem, objective, posterior, factors, deviations, method) -> dict[str, Examined]:
    """What the residuals of each observation show, on the scale of its data."""
    observed, accuracy = problem.observations, getattr(method, "accuracy", 0.0)
    robust = getattr(method, "robust", False)
    vectors = dict(zip(objective.names, residual_vectors(objective.data, objective.net), strict=True))
    vectors = {name: vectors[name].detach().numpy() for name in observed}
    dde.grad.clear()
    counts = [len(d) for d in deviations]
    leverages, floors = _parts(posterior.leverage.numpy(), counts), _parts(posterior.floor(), counts)
    geometry = getattr(problem, "geometry", None)
    found = {}
    for (name, condition), d, leverage, floor in zip(observed.items(), deviations, leverages, floors, strict=True):
        points, values = np.asarray(condition.points, dtype=np.float64), values_of(condition)
        axes = problem.coordinate_names if geometry is not None else [f"x_{i + 1}" for i in range(points.shape[1])]
        factor = factors[problem.term_names.index(name)]
        factor = factor.numpy() if isinstance(factor, torch.Tensor) else factor
        level = math.hypot(_rms(floor / factor), accuracy * _rms(values))
        if vectors[name].size != len(points):  # several components
            found[name] = Examined(_rms(vectors[name]), None, False, [], [])
            continue
        relative = (d / d.square().mean().sqrt()).numpy()  # deviations that are given for each datum
        residuals = vectors[name].reshape(-1) / relative
        found[name] = examine(name, axes, points, values, residuals, leverage, level, robust)
    return found


def _rms(values) -> float:
    return math.sqrt(float(np.mean(np.square(values)))) if np.size(values) else 0.0


def _free(leverage: torch.Tensor, unknowns: int) -> str:
    """What is said where the state alone fits most of the data, whatever the equations say; else nothing."""
    used, count = leverage.sum().item(), len(leverage)
    if used - unknowns <= FREE_SHARE * count:
        return ""
    return f"the equations leave the solution as free as the data: {used:.0f} of {count} degrees of freedom are its own"


def _unmet(relative: dict[str, float]) -> list[str]:
    """A doubt where the equations or conditions are not met, so that the data are not those of a solution."""
    worst = [(name, value) for name, value in relative.items() if not value <= LARGE]
    return [f"the equations are not met: relative residual {value:.1e} ({name})" for name, value in worst[:1]]


def _misses(examined: dict[str, Examined], chi_square: float | None) -> list[str]:
    """Why the fit is not to be believed, by observation: its residuals are no noise.

    ``chi_square``: of the residuals over the noise given, where they contradict each other, else None.
    """
    found = []
    for name, e in examined.items():
        if e.misses:
            times = f"{e.size / e.scatter:.3g} times " if e.scatter else "unlike "
            found.append(
                f"the fit misses {name}: its residuals ({e.size:.2g}) follow a course and are {times}the scatter of "
                f"neighbouring data ({e.scatter:.2g})"
            )
        elif e.scatter is None and chi_square is not None and chi_square > OFF**2:
            found.append(f"the fit misses {name}: its residuals are {math.sqrt(chi_square):.3g} times the noise given")
    return found


def _flat(misfit, scales: Scales, covariance, scale, starts, noise_factor: float, known: list) -> list[np.ndarray]:
    """Directions along which the misfit, with the state following, grows far less than the covariance says.

    The profile of the likelihood (A. Raue et al., Bioinformatics 25 (2009) 1923-1929), on the line on which each
    unknown changes with the least misfit: where the state is free, it fits noise, which seems to tell unknowns apart.
    """
    errors, farthest = np.sqrt(np.diag(covariance)), PROFILE[-1][0]
    if not np.isfinite(errors).all() or (farthest * errors <= SURE * scale).all():
        return []
    eta, found = scales.get(), []
    base = misfit(eta)

    def grown(change) -> float:
        """By how much the misfit is larger, over the variance of the noise; infinite beyond an interval of bounds."""
        values = [
            (scales.value(i, v), *scales.bounds[i]) for i, v in enumerate((eta + torch.as_tensor(change)).tolist())
        ]
        if any(min(v - low, high - v) < SURE * (high - low) for v, low, high in values if math.isfinite(high - low)):
            return math.inf
        return (misfit(eta + torch.as_tensor(change)) - base) / noise_factor**2

    for i, error in enumerate(errors):
        if farthest * error <= SURE * scale[i] or any(abs(d[i]) > INVOLVED for d in [*known, *found]) or error == 0:
            continue
        line = covariance[:, i] / error
        for distance, least in PROFILE:
            if min(grown(sign * distance * line) for sign in (-1, 1)) < least:
                found.append(_direction(line, np.maximum(scale, starts), np.abs(line) > CORRELATED * errors))
                break
    return found


def _direction(line: np.ndarray, scale: np.ndarray, moved=False) -> np.ndarray:
    """A line as weights relative to ``scale``; what it moves has at least the weight from which it counts.

    The scale is the larger of the value and the start: a value may have drifted along the line to nearly 0.
    """
    direction = line / scale
    direction = direction / np.linalg.norm(direction) * np.sign(direction[np.argmax(np.abs(direction))])
    small = moved & (np.abs(direction) < 2 * INVOLVED)
    return np.where(small, np.copysign(2 * INVOLVED, direction), direction)


def _others(method, scales: Scales, errors, noise_factor: float) -> list[str]:
    """Another minimum that the method has met and that fits the data as well, as it does where waves are aliased."""
    eta = scales.get()
    base, far = method.misfit(eta), torch.as_tensor(PROFILE[0][0] * errors).maximum(SURE * eta.abs())
    for candidate in method.minima():
        other = method.polished(candidate) if ((candidate - eta).abs() > far).any() else eta
        if ((other - eta).abs() > far).any() and (method.misfit(other) - base) / noise_factor**2 < AS_GOOD:
            values = (scales.value(i, v) for i, v in enumerate(other.tolist()))
            said = ", ".join(f"{name} = {value:.6g}" for name, value in zip(scales.names, values, strict=True))
            return [f"the data are fitted as well with {said}"]
    return []


def _discretised(estimate: Estimate) -> bool:
    """Whether most of the error of an estimate is that of the discretisation, or nothing else is known of it."""
    shift, error = estimate.discretisation, estimate.standard_error
    return shift is not None and (error is None or shift > 0.7 * error)


def _limited(estimate: Estimate) -> bool:
    """Whether the discretisation limits an estimate, by more than matters."""
    return _discretised(estimate) and estimate.discretisation > PRECISE * abs(estimate.value)


def _strayed(value: float, start: float, bounds) -> str | None:
    """Why an estimate is none: it ran away, or lies at its bound."""
    if not math.isfinite(value) or (start != 0 and abs(value) > RAN_AWAY * abs(start)):
        return f"ran away from {start:.6g}, where it started"
    low, high = bounds
    near = BOUND * (high - low if math.isfinite(high - low) else abs(value))
    if min(value - low, high - value) < near:
        return "at its bound: the data ask for a value beyond it"
    return None


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
    rows, count = len(of_data), sum(_distinct(c) for c in problem.observations.values())
    posterior = Reduced(physics, of_data, -left, layout, SOFT).posterior(0.0, left[len(physics) :], None, count)
    posterior.inflation = math.sqrt(rows / count)  # copies have the same errors, and the estimate has them in it
    posterior.unit = posterior.sigma / posterior.inflation
    if known is None:
        sizes = [len(terms[i].residual) for i in observed]
        pairs = zip(observed, sizes, strict=True)
        return posterior, factors, [left.new_full((n,), posterior.unit / factors[i]) for i, n in pairs]
    pairs = zip(observed, known, strict=True)  # one deviation a term, as the weights are
    posterior.unit = math.sqrt(sum((factors[i] * d).square().sum().item() for i, d in pairs) / rows)
    posterior.sigma = posterior.unit * posterior.inflation
    return posterior, factors, known


def _distinct(condition) -> float:
    """Data of an observation, copies counted once."""
    return float((1 / copies(condition.points, values_of(condition))).sum())


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


def _remarks(problem, examined, given: bool, contradicted: bool, chi_square: float, dof: float) -> list[str]:
    """What is odd about data and noise."""
    found = []
    if contradicted:
        found.append(
            f"the residuals are larger than the noise given (mean square ratio {chi_square:.2g}): the noise or the "
            "equations may be wrong; standard errors are from the residuals"
        )
    elif given and dof > 0.5 and stats.chi2.cdf(chi_square * dof, dof) < RARE:
        found.append(
            f"the residuals are smaller than the noise given (mean square ratio {chi_square:.2g}): the noise may be "
            "smaller than that"
        )
    for name, condition in problem.observations.items():
        count, alone = len(condition.points), round(_distinct(condition))
        if alone < count:
            found.append(
                f"{name}: {count - alone} of {count} rows are copies of others, which count once; for readings that "
                "are independent give their mean, with its standard deviation"
            )
    return found + [remark for e in examined.values() for remark in e.remarks]


def _notes(found: Identification) -> list[str]:
    hint = ": the estimate, the equations or the data may be wrong, and no interval is given"
    notes = [*found.undetermined, *(doubt + hint for doubt in found.doubts), *found.remarks]
    if found.dof < 1:
        what = "to compare the noise given with" if found.noise_given else "to estimate the noise from"
        notes.append(f"as many parameters as data: no degree of freedom is left {what}")
    for name, estimate in found.estimates.items():
        if estimate.of_its_own:
            notes.append(f"{name}: {estimate.reason}")
        error = estimate.standard_error
        if error is not None and _discretised(estimate):
            notes.append(
                f"{name} changes by {estimate.discretisation:.1e} with other features, most of its standard error: "
                "the discretisation counts more than the noise"
            )
        elif error is not None and error > abs(estimate.value):
            notes.append(f"{name} is poorly determined: its standard error exceeds its value")
    return notes
