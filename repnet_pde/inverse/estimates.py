"""Estimates of the unknowns from the data: standard errors, confidence intervals, and identifiability."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from ..backend import dde
from ..checking.status import LARGE
from ..linalg.reduced import DEPENDENT
from ..problem.residuals import residual_vectors
from .diagnostics import EXPLAINED, RARE, Examined, examine, rms, values_of
from .identification import Estimate, Identification, quantile_of
from .notes import INVOLVED, PRECISE, limited, notes_of, remarks_on, undetermined
from .solution import Solution, field_deviation, influence, parts, solution_of
from .unknowns import Scales

OPEN = 1e3
"""Standard error, relative to the unknown, above which it counts as not identifiable."""
PROFILE = ((6.0, 9.0), (16.0, 36.0))
"""Distances from the estimate, in standard errors, and the increase of the sum of squares over the noise variance that
the profile must have there at least; a parabola increases by the squares of the distances."""
CORRELATED = 0.1
"""Correlation with an unknown that is not identifiable from which another one is not identifiable either."""
SURE = 0.1
"""Relative change of an unknown over the largest of these distances up to which the model is treated as linear."""
UNMOVED, RAN_AWAY = 1e-3, 1e12
"""Relative change of an unknown from its start that counts as no change, and as divergence."""
LOST = 1e-3
"""Upper bound on the accuracy of the predictions in the test of identifiability."""
OFF = 3.0
"""Ratio of the residuals to the given noise above which the fit is rejected if there are too few data to estimate their
scatter."""
AS_GOOD = 9.0
"""Difference of two minima's sums of squares, over the noise variance, up to which they cannot be distinguished."""
FREE_SHARE = 0.5
"""Maximum fraction of the data that the state alone may fit by its own degrees of freedom, for given unknowns."""
BOUND = 1e-4
"""Distance from a bound, relative to the interval between the bounds or to the value, that counts as zero."""
NO_MINIMUM = "no minimum has been reached: the next step would change it by more than its standard error"


def analyse(
    problem, objective, method, *, noise=None, level: float = 0.95, relative: dict[str, float] | None = None
) -> Identification | None:
    """The `Identification` at the solution stored in the network; None if there is none.

    Args:
        objective: of the run, at its solution.
        method: the last one used: one with its own ``posterior``, or whose row scales are used.
        noise: standard deviations, as in `identify`.
        level: of the intervals.
        relative: residuals of the equations and conditions relative to their sizes, if they are known.
    """
    observed, names = problem.observations, list(problem.unknowns)
    if not observed or not (names or problem.unknown_fields) or problem.dtype != "float64":
        return None
    solution = solution_of(problem, objective, method, noise)
    if solution is None:
        return None
    posterior, counts = solution.posterior, solution.counts
    examined = _examined(problem, objective, method, solution)
    chi_square, contradicted = _compared_with_noise(solution)
    doubts, free = _misses(examined, chi_square if contradicted else None), ""
    if not problem.unknown_fields:
        free = _free(posterior.leverage, len(names)) if solution.own and names else ""
        doubts += [free] * bool(free) + _unmet(relative or {})
    doubts += _disagreeing(method, observed, examined)
    linear, directions = _linearised(problem, solution, getattr(method, "accuracy", 0.0))
    directions, others = _left_open(method, linear, directions, solution.noise_factor, believed=not doubts)
    doubts += others
    estimates = _estimates(problem, method, solution, linear, directions, doubts, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = linear.covariance / np.outer(linear.errors, linear.errors) if names else linear.covariance
    deviations, factor = zip(observed, solution.deviations, strict=True), solution.noise_factor
    found = Identification(
        estimates=estimates,
        correlation=correlation,
        noise={name: float(d.square().mean().sqrt()) * factor for name, d in deviations},
        noise_given=solution.given,
        chi_square=chi_square,
        dof=posterior.dof,
        level=level,
        # The directions may be different if the fit is correct.
        undetermined=[] if doubts else list(dict.fromkeys(undetermined(names, d) for d in directions)),
        influence=influence(posterior, names, observed, counts),
        leverage=dict(zip(observed, parts(posterior.leverage.numpy(), counts), strict=True)),
        field_deviation=field_deviation(problem, objective.net, posterior) if problem.unknown_fields else None,
        doubts=doubts,
        remarks=remarks_on(problem, examined, solution.given, contradicted, chi_square, posterior.dof),
        scatter={name: e.scatter for name, e in examined.items()},
    )
    found.notes = notes_of(found)
    sizes = [e.size > PRECISE * rms(values_of(observed[name])) for name, e in examined.items()]
    dominated = getattr(method, "dominated", False)
    found.limited = not (found.undetermined or free) and (
        (dominated and any(sizes)) or any(limited(e) for e in estimates.values())
    )
    if dominated:
        found.notes.append(
            "what is left of the equations' residuals, not the noise, limits the estimates: "
            "with more basis functions they may change by more than the intervals say"
        )
    return found


# Validity of the fit --------------------------------------------------------------------------------------------------


def _examined(problem, objective, method, solution: Solution) -> dict[str, Examined]:
    """Diagnostics of the residuals of each observation, on the scale of its data."""
    observed, accuracy = problem.observations, getattr(method, "accuracy", 0.0)
    robust = getattr(method, "robust", False)
    vectors = dict(zip(objective.names, residual_vectors(objective.data, objective.net), strict=True))
    vectors = {name: vectors[name].detach().numpy() for name in observed}
    dde.grad.clear()
    posterior, deviations, counts = solution.posterior, solution.deviations, solution.counts
    leverages, floors = parts(posterior.leverage.numpy(), counts), parts(posterior.floor(), counts)
    geometry = getattr(problem, "geometry", None)
    found = {}
    for (name, condition), d, leverage, floor in zip(observed.items(), deviations, leverages, floors, strict=True):
        points, values = np.asarray(condition.points, dtype=np.float64), values_of(condition)
        axes = problem.coordinate_names if geometry is not None else [f"x_{i + 1}" for i in range(points.shape[1])]
        factor = solution.factors[problem.term_names.index(name)]
        factor = factor.numpy() if isinstance(factor, torch.Tensor) else factor
        level = math.hypot(rms(floor / factor), accuracy * rms(values))
        if vectors[name].size != len(points):  # several components
            found[name] = Examined(rms(vectors[name]), None, False, [], [])
            continue
        relative = (d / d.square().mean().sqrt()).numpy()  # deviations that are given for each datum
        residuals = vectors[name].reshape(-1) / relative
        found[name] = examine(name, axes, points, values, residuals, leverage, level, robust)
    return found


def _compared_with_noise(solution: Solution) -> tuple[float, bool]:
    """The mean square of the residuals over that of the given noise, and whether they are too large for it.

    If they are, the noise of the solution is set to that of the residuals.
    """
    posterior = solution.posterior
    with np.errstate(invalid="ignore", divide="ignore"):
        chi_square = (posterior.estimated / posterior.sigma) ** 2
    dof = posterior.dof
    contradicted = solution.given and dof > 0.5 and stats.chi2.sf(chi_square * dof, dof) < RARE
    if contradicted:
        posterior.sigma, solution.given = posterior.estimated, False
    return chi_square, contradicted


def _free(leverage: torch.Tensor, unknowns: int) -> str:
    """A message if the state alone fits most of the data, independently of the equations; else empty."""
    used, count = leverage.sum().item(), len(leverage)
    if used - unknowns <= FREE_SHARE * count:
        return ""
    return f"the equations leave the solution as free as the data: {used:.0f} of {count} degrees of freedom are its own"


def _unmet(relative: dict[str, float]) -> list[str]:
    """A doubt if the equations or conditions are not satisfied, so that the fit is not a solution."""
    worst = [(name, value) for name, value in relative.items() if not value <= LARGE]
    return [f"the equations are not met: relative residual {value:.1e} ({name})" for name, value in worst[:1]]


def _disagreeing(method, observed, examined: dict[str, Examined]) -> list[str]:
    """A doubt if the starts ended at different minima, of which the best leaves much of the data unexplained."""
    if getattr(method, "agreed", True):
        return []
    parts = {name: e.size / max(float(np.std(values_of(observed[name]))), 1e-300) for name, e in examined.items()}
    name = max(parts, key=lambda name: parts[name])
    if parts[name] <= EXPLAINED:
        return []
    return [f"the starts end at different minima, and the best leaves {parts[name]:.0%} of the scatter of {name}"]


def _misses(examined: dict[str, Examined], chi_square: float | None) -> list[str]:
    """Why the fit is rejected, by observation: its residuals are not noise.

    ``chi_square``: of the residuals over the given noise, if they contradict each other, else None.
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


# Identifiability ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Linearised:
    """The unknowns with their covariance in the linearised problem, all on the scales on which they are solved for.

    Attributes:
        scales: the scales.
        eta: (q,) tensor, the values.
        size: (q,) the change of each that counts as large.
        starts: (q,) absolute values at the start.
        covariance: (q, q), without the directions that are not identifiable.
        errors: (q,) standard errors.
    """

    scales: Scales
    eta: torch.Tensor
    size: np.ndarray
    starts: np.ndarray
    covariance: np.ndarray
    errors: np.ndarray


def _linearised(problem, solution: Solution, accuracy: float) -> tuple[Linearised, list[np.ndarray]]:
    """The unknowns with their covariance, and the directions that are not identifiable.

    ``accuracy``: of the predictions of the data, relative to the data.
    """
    scales, names = solution.scales, list(problem.unknowns)
    eta = scales.get()
    size = torch.tensor(
        [
            abs(e.item()) or 1.0 if math.isinf(low) and math.isinf(high) else 1.0
            for e, (low, high) in zip(eta, scales.bounds, strict=True)
        ],
        dtype=torch.float64,
    )
    starts = np.array([abs(scales.internal(n, problem.start_values[n])) for n in names])
    covariance, directions = solution.posterior.covariance(
        size, sandwich=not solution.own, dependent=max(DEPENDENT, min(accuracy, LOST))
    )
    sizes = size.numpy()
    errors = np.sqrt(np.diag(covariance)) if names else np.empty(0)
    linear = Linearised(scales, eta, sizes, starts, covariance, errors)
    return linear, [_direction(d * sizes, np.maximum(sizes, starts)) for d in directions]


def _involved(i: int, directions: list[np.ndarray]) -> bool:
    """Whether the i-th unknown changes along one of the directions."""
    return any(abs(d[i]) > INVOLVED for d in directions)


def _left_open(
    method, linear: Linearised, directions: list[np.ndarray], noise_factor: float, believed: bool
) -> tuple[list[np.ndarray], list[str]]:
    """All directions that are not identifiable, and a doubt if another minimum fits the data as well.

    Args:
        method: its misfit, if it has one, is profiled away from the solution.
        linear: the unknowns with their covariance.
        directions: those of the linearised problem.
        noise_factor: of the deviations by which the misfit is weighted.
        believed: whether the fit is accepted; otherwise only the linearised problem is used.
    """
    errors, size, units = linear.errors, linear.size, np.eye(len(linear.errors))
    found, others = list(directions), []
    for i, error in enumerate(errors):
        if error > OPEN * size[i] and not _involved(i, found):
            found.append(units[i])
    if hasattr(method, "misfit") and len(errors) and believed and noise_factor > 0:
        found += _flat(method.misfit, linear.scales, linear.covariance, size, linear.starts, noise_factor, found)
        others = [] if found else _others(method, linear.scales, errors, noise_factor)
    if found:  # other poorly determined unknowns may change along with it
        far = (i for i, error in enumerate(errors) if error > size[i])
        found += [units[i] for i in far if not _involved(i, found)]
    return found, others


def _flat(misfit, scales: Scales, covariance, scale, starts, noise_factor: float, known: list) -> list[np.ndarray]:
    """Directions along which the misfit, with the state recomputed, increases far less than the covariance predicts.

    Profile likelihood (A. Raue et al., Bioinformatics 25 (2009) 1923-1929), along the line on which each unknown
    changes with the smallest misfit: a state with many degrees of freedom fits noise, which makes unknowns seem
    distinguishable.
    """
    errors, farthest = np.sqrt(np.diag(covariance)), PROFILE[-1][0]
    if not np.isfinite(errors).all() or (farthest * errors <= SURE * scale).all():
        return []
    eta = scales.get()
    found: list[np.ndarray] = []
    base = misfit(eta)

    def grown(change) -> float:
        """Increase of the misfit over the noise variance; infinite outside of the bounds."""
        values = [
            (scales.value(i, v), *scales.bounds[i]) for i, v in enumerate((eta + torch.as_tensor(change)).tolist())
        ]
        if any(min(v - low, high - v) < SURE * (high - low) for v, low, high in values if math.isfinite(high - low)):
            return math.inf
        return (misfit(eta + torch.as_tensor(change)) - base) / noise_factor**2

    for i, error in enumerate(errors):
        if farthest * error <= SURE * scale[i] or _involved(i, [*known, *found]) or error == 0:
            continue
        line = covariance[:, i] / error
        for distance, least in PROFILE:
            if min(grown(sign * distance * line) for sign in (-1, 1)) < least:
                found.append(_direction(line, np.maximum(scale, starts), np.abs(line) > CORRELATED * errors))
                break
    return found


def _direction(line: np.ndarray, scale: np.ndarray, moved=False) -> np.ndarray:
    """A line as weights relative to ``scale``; unknowns in ``moved`` get a weight above `INVOLVED`.

    The scale is the larger of the value and the start: a value may have drifted along the line to nearly 0.
    """
    direction = line / scale
    direction = direction / np.linalg.norm(direction) * np.sign(direction[np.argmax(np.abs(direction))])
    small = moved & (np.abs(direction) < 2 * INVOLVED)
    return np.where(small, np.copysign(2 * INVOLVED, direction), direction)


def _others(method, scales: Scales, errors, noise_factor: float) -> list[str]:
    """Another minimum found by the method that fits the data as well, which happens when waves are aliased."""
    eta = scales.get()
    base, far = method.misfit(eta), torch.as_tensor(PROFILE[0][0] * errors).maximum(SURE * eta.abs())
    for candidate in method.minima():
        other = method.polished(candidate) if ((candidate - eta).abs() > far).any() else eta
        if ((other - eta).abs() > far).any() and (method.misfit(other) - base) / noise_factor**2 < AS_GOOD:
            values = (scales.value(i, v) for i, v in enumerate(other.tolist()))
            said = ", ".join(f"{name} = {value:.6g}" for name, value in zip(scales.names, values, strict=True))
            return [f"the data are fitted as well with {said}"]
    return []


# Estimates and intervals ----------------------------------------------------------------------------------------------


def _estimates(
    problem,
    method,
    solution: Solution,
    linear: Linearised,
    directions: list[np.ndarray],
    doubts: list[str],
    level: float,
) -> dict[str, Estimate]:
    """Each unknown with its standard error and confidence interval, or the reason why there is none."""
    posterior, scales = solution.posterior, linear.scales
    quantile = quantile_of(level, posterior.dof, solution.given)
    twin = getattr(method, "twin_values", None)
    distortion, steps = posterior.distortion(), posterior.steps()
    estimates = {}
    for i, name in enumerate(problem.unknowns):
        eta, start, true = linear.eta[i].item(), problem.start_values[name], problem.true_unknowns.get(name)
        value = scales.value(i, eta)
        slope, error, shift = abs(scales.slope(i, eta)), float(linear.errors[i]), None
        if twin is not None:
            shift = math.hypot(twin[i] - value, slope * distortion[i])
            error = math.hypot(error, shift / slope) if slope > 0 else error
        reason = _strayed(value, start, scales.bounds[i])
        of_its_own = reason is not None
        if reason is None:
            reason = _not_known(value, start, error, _involved(i, directions), doubts)
        if reason is None and posterior.inflation == 1 and abs(steps[i]) > error + UNMOVED * linear.size[i]:
            reason, of_its_own = NO_MINIMUM, True
        if reason is not None:
            estimates[name] = Estimate(value, None, None, true, shift, reason, of_its_own)
            continue
        low, high = sorted(scales.value(i, eta + sign * quantile * error) for sign in (-1, 1))
        estimates[name] = Estimate(value, slope * error, (low, high), true, shift)
    return estimates


def _not_known(value: float, start: float, error: float, left_open: bool, doubts: list[str]) -> str | None:
    """Why an unknown with this standard error has no interval, for reasons not specific to this unknown."""
    if doubts:
        still = abs(value - start) <= UNMOVED * abs(start)
        return doubts[0] + (", and the value is still that of the start" if still else "")
    if left_open:
        return "not determined by the data"
    if not math.isfinite(error):
        return "no degree of freedom is left to estimate the noise from"
    return None


def _strayed(value: float, start: float, bounds) -> str | None:
    """Why an estimate is invalid: it diverged, or lies at its bound."""
    if not math.isfinite(value) or (start != 0 and abs(value) > RAN_AWAY * abs(start)):
        return f"ran away from {start:.6g}, where it started"
    low, high = bounds
    near = BOUND * (high - low if math.isfinite(high - low) else abs(value))
    if min(value - low, high - value) < near:
        return "at its bound: the data ask for a value beyond it"
    return None
