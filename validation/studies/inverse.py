"""The inverse catalogue: `identify` and classical least squares with a forward solver, on the same data.

    python -m repnet_pde.validation.studies.inverse

For every inverse problem, noise and data seed

- identify: network, method, points and basis functions chosen by the package, from the problem's own starts;
- classical: `scipy.optimize.least_squares` around the problem's forward solver of
  `repnet_pde.validation.finite_difference.inverse`, from the same starts, with derivatives by differences and the
  standard errors of its Jacobian. An unknown field is the exponential of a cubic spline with a penalty on second
  differences, weighted by generalised cross-validation (G. H. Golub, M. Heath, G. Wahba, Technometrics 21 (1979)
  215-223), and knows the field on the boundary where the problem gives it.

Noise is relative to each output's root mean square, but absolute for the two coefficient fields in 2-D. The
classical standard errors at the true unknowns and the true noise are the bound of Cramer and Rao: an estimate from
noisy data is asked to be within two of them of the truth, in the median over the seeds; one run beyond four counts as
missed too, for which chance is no excuse (6e-5). Without noise the relative error counts; for fields the relative L2
error, over points that are no data.

Every run is written to ``--runs`` at once, so that a second call continues where the first was stopped.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch
from scipy.interpolate import BSpline
from scipy.optimize import least_squares

import repnet_pde
from repnet_pde import InputError, TrainingError, identify, load_problem
from repnet_pde.files import read_json, write_json
from repnet_pde.problem.points import scattered_points

from ..finite_difference.inverse import FORWARD

LIMIT = 120.0
"""Time limit in seconds for each of the two methods."""
FIELD_POINTS = 5000
"""Test points of the classical field."""
WITHIN, BEYOND = 2.0, 4.0
"""Standard errors within which the median, and beyond which no run, should be."""


@dataclass(frozen=True)
class Case:
    """A problem of the catalogue, its noises, and the error that is asked for at a noise; ``seconds`` without noise.

    splines, interval, resolution: of a field, the cubic splines along each axis, the box's side and the modes of the
    forward solver. relative: whether the noise is.
    """

    name: str
    must: dict[float, float] = field(default_factory=lambda: {0.0: 1e-5})
    seconds: float | None = None
    noises: tuple[float, ...] = (0.0, 0.01, 0.1)
    relative: bool = True
    splines: tuple[int, ...] = ()
    interval: tuple[float, float] = (0.0, 1.0)
    resolution: int | None = None


CASES = (
    Case("damped_oscillator"),
    Case("lorenz"),
    Case("helmholtz_wavenumber_2d"),
    Case("driven_wave_1d"),
    Case("reaction_diffusion_1d", {0.0: 1e-3}, 60.0),
    Case("burgers_inverse_1d"),
    Case("oscillating_coefficient_1d", {0.0: 1e-3, 0.01: 5e-2}, splines=(120,), resolution=500),
    Case("elliptic_coefficient_2d", {0.1: 1e-2}, relative=False, splines=(8, 8), resolution=12),
    Case("heat_coefficient_2d", {0.1: 2e-2}, relative=False, splines=(10, 10), interval=(-1.0, 1.0), resolution=10),
)


# The classical baseline: NumPy and SciPy only -------------------------------------------------------------------------


class Forward:
    """Predictions (n c,) of the weighted data, counted and ended by a deadline; NaN where they do not exist.

    Args:
        solver: of `FORWARD`. x (n, d): the points. weights (c,): of the outputs.
        unknowns: makes the solver's unknowns of a vector.
    """

    def __init__(self, solver: Callable, x: np.ndarray, weights: np.ndarray, unknowns: Callable, resolution=None):
        self.solver, self.x, self.weights, self.unknowns = solver, x, weights, unknowns
        self.resolution, self.solves, self.deadline = resolution, 0, math.inf

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        if time.perf_counter() > self.deadline:
            raise TimeoutError
        self.solves += 1
        with np.errstate(all="ignore"):
            try:
                values = self.solver(self.unknowns(theta), self.x, resolution=self.resolution)
            except (InputError, np.linalg.LinAlgError, ValueError, OverflowError):
                return np.full(self.x.shape[0] * len(self.weights), math.nan)
        return (values * self.weights).ravel()


@dataclass
class Fit:
    """theta (p,), covariance (p, p) with the noise estimated from the residuals, solves, seconds; a note if any."""

    theta: np.ndarray
    covariance: np.ndarray
    solves: int
    seconds: float
    note: str = ""


def covariance(jacobian: np.ndarray, variance: float) -> np.ndarray:
    """variance (JᵀJ)⁻¹ (p, p), by the singular values of J (n, p) with its columns scaled to norm 1."""
    lengths = np.linalg.norm(jacobian, axis=0)
    _, values, right = np.linalg.svd(jacobian / lengths, full_matrices=False)
    half = right.T / values / lengths[:, None]
    return variance * half @ half.T


def fit_numbers(forward: Forward, data: np.ndarray, start: np.ndarray, limit: float = LIMIT) -> Fit:
    """Least squares from ``start`` (p,) for the weighted data (n c,), as they are."""
    begun = time.perf_counter()
    forward.deadline, forward.solves = begun + limit, 0
    scale = np.where(start != 0, np.abs(start), 1.0)
    options = {"method": "trf", "jac": "3-point", "x_scale": scale, "xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
    found = least_squares(lambda theta: forward(theta) - data, start, max_nfev=200, **options)
    variance = 2 * found.cost / max(len(data) - len(start), 1)
    note = "" if found.success else "200 steps were not enough"
    return Fit(found.x, covariance(found.jac, variance), forward.solves, time.perf_counter() - begun, note)


def bound(forward: Forward, truth: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """The standard errors (p,) of the Cramer-Rao bound: at the truth, for independent normal errors of the weighted
    outputs of standard deviations (c,)."""
    forward.deadline = math.inf
    steps = 6e-6 * np.abs(truth)  # the cube root of the rounding error
    columns = [(forward(truth + e) - forward(truth - e)) / (2 * e.sum()) for e in np.diag(steps)]
    jacobian = np.stack(columns, axis=1)
    rows = jacobian / np.tile(deviations, len(jacobian) // len(deviations))[:, None]
    return np.sqrt(np.diag(covariance(rows, 1.0)))


class SplineField:
    """a = exp of a cubic spline with uniform knots on a cube, of coefficients (p,): ``counts`` along each axis."""

    def __init__(self, counts: Sequence[int], interval: tuple[float, float]):
        self.counts, self.interval = tuple(counts), interval

    def basis(self, x: np.ndarray) -> np.ndarray:
        """The products of splines (n, p) at points whose first coordinates are those of the field."""
        low, high = self.interval
        product = np.ones((len(x), 1))
        for axis, count in enumerate(self.counts):
            inner = np.linspace(low, high, count - 2)
            step = inner[1] - inner[0]
            knots = np.concatenate([low - step * np.arange(3, 0, -1), inner, high + step * np.arange(1, 4)])
            place = np.clip(x[:, axis], low, high)
            along = BSpline.design_matrix(place, knots, 3, extrapolate=True).toarray()
            product = (product[:, :, None] * along[:, None]).reshape(len(x), -1)
        return product

    def roughness(self) -> np.ndarray:
        """Second differences along each axis (rows, p)."""
        rows = []
        for axis, count in enumerate(self.counts):
            matrices = [np.eye(c) for c in self.counts]
            matrices[axis] = np.diff(np.eye(count), 2, axis=0)
            product = np.ones((1, 1))
            for matrix in matrices:
                product = np.kron(product, matrix)
            rows.append(product)
        return np.concatenate(rows)

    def __call__(self, theta: np.ndarray) -> Callable:
        return lambda x: np.exp(self.basis(x) @ theta)


PENALTIES = 10.0 ** np.arange(2.0, -14.5, -0.5)
"""Candidate weights of the roughness relative to the size of the Jacobian."""
KNOWN = 1e3
"""Weight of a given value of a field, over the size of the Jacobian."""


def cross_validated(
    jacobian: np.ndarray, right: np.ndarray, fixed: np.ndarray, fixed_right, rough: np.ndarray
) -> float:
    """The weight λ with the least generalised cross-validation n ‖z - J c‖² / (n - tr H)² of the linear problem

        min over c of ‖J c - z‖² + ‖F c - g‖² + λ ‖L c‖²,

    with H the matrix from z to J c: J (n, p), z (n,), F, g rows that are no data, L the roughness."""
    n, p = jacobian.shape
    upper = np.linalg.qr(np.column_stack([jacobian, right]), mode="r")
    size, rest = np.linalg.norm(jacobian, 2) ** 2, upper[p:, p] @ upper[p:, p]
    scores = []
    for weight in PENALTIES * size:
        q, r = np.linalg.qr(np.concatenate([upper[:p, :p], fixed, math.sqrt(weight) * rough]))
        z = np.concatenate([upper[:p, p], fixed_right, np.zeros(len(rough))])
        misfit = upper[:p, p] - q[:p] @ (q.T @ z)
        scores.append(n * (misfit @ misfit + rest) / (n - np.square(q[:p]).sum()) ** 2)
    return float(PENALTIES[int(np.argmin(scores))] * size)


def fit_field(
    forward: Forward, data: np.ndarray, shape: SplineField, known: tuple[np.ndarray, np.ndarray] | None, limit=LIMIT
) -> Fit:
    """Penalised least squares for the coefficients of a field.

    Args:
        data: (n,) weighted. shape: whose coefficients ``forward`` takes.
        known: points (k, d) and values (k,) of the field that are given, or None.

    The penalty's weight is chosen at the start and again at each solution, until it stays.
    """
    begun = time.perf_counter()
    forward.deadline, forward.solves = begun + limit, 0
    rough = shape.roughness()
    p = rough.shape[1]
    theta = np.zeros(p)
    fixed, fixed_right = np.zeros((0, p)), np.zeros(0)
    if known is not None:
        fixed, fixed_right = shape.basis(known[0]), np.log(known[1])
        theta = np.linalg.lstsq(np.concatenate([fixed, 1e-6 * rough]), np.append(fixed_right, np.zeros(len(rough))))[0]
        theta[np.abs(theta) < 1e-12] = 0.0  # else the trust region begins as small as rounding

    def slopes(c):
        f, step = forward(c), 1e-6
        return np.stack([(forward(c + step * e) - f) / step for e in np.eye(p)], axis=1)

    note, weight, best = "", None, theta
    try:
        jacobian = slopes(theta)
        firm = KNOWN * np.linalg.norm(jacobian, 2) / max(np.linalg.norm(fixed, 2), 1e-300) if len(fixed) else 0.0
        fixed, fixed_right = firm * fixed, firm * fixed_right
        for _ in range(6):
            right = jacobian @ best - (forward(best) - data)
            before, weight = weight, cross_validated(jacobian, right, fixed, fixed_right, rough)
            if before is not None and abs(math.log(weight / before)) < 0.1:
                break
            soft = math.sqrt(weight) * rough

            def residual(c, soft=soft):
                return np.concatenate([forward(c) - data, fixed @ c - fixed_right, soft @ c])

            def rows(c, soft=soft):
                return np.concatenate([slopes(c), fixed, soft])

            found = least_squares(residual, best, jac=rows, method="trf", xtol=1e-8, ftol=1e-8, gtol=1e-12, max_nfev=15)
            best, jacobian = found.x, found.jac[: len(data)]
        else:
            note = "the penalty's weight did not settle"
    except TimeoutError:
        note = f"stopped after {limit:g} s"
    return Fit(best, np.full((p, p), math.nan), forward.solves, time.perf_counter() - begun, note)


# One run of each ------------------------------------------------------------------------------------------------------


def observed(problem) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, d) and values (n, c) of the observations, in the order of the outputs."""
    sets = sorted(problem.observations.values(), key=lambda c: getattr(c, "component", 0))
    if not all(np.array_equal(s.points, sets[0].points) for s in sets):
        raise InputError("conditions: observations of different outputs are at different points")
    return np.asarray(sets[0].points), np.hstack([np.asarray(s.values) for s in sets])


def weights_of(values: np.ndarray, relative: bool) -> np.ndarray:
    """One over what the noise of each output (c,) is measured in."""
    return 1 / np.sqrt(np.mean(np.square(values), axis=0)) if relative else np.ones(values.shape[1])


def numbers(problem, relative: bool = True, resolution=None) -> tuple[Forward, np.ndarray]:
    """The forward solver as a function of the problem's unknown numbers, and the weighted data."""
    x, values = observed(problem)
    names, weights = list(problem.unknowns), weights_of(values, relative)
    forward = Forward(
        FORWARD[problem.name], x, weights, lambda theta: dict(zip(names, map(float, theta), strict=True)), resolution
    )
    return forward, (values * weights).ravel()


def cramer_rao(problem, noise: float) -> dict[str, float]:
    """The bound for each unknown number of a problem with relative noise; 0 without noise."""
    forward, _ = numbers(problem)
    truth = np.array([problem.true_unknowns[name] for name in problem.unknowns])
    clean = forward(truth).reshape(-1, len(forward.weights))
    deviations = np.sqrt(np.mean(np.square(clean), axis=0))
    return dict(zip(problem.unknowns, (noise * bound(forward, truth, deviations)).tolist(), strict=True))


def run_identify(case: Case, noise: float, seed: int) -> dict:
    """One run of `identify` as a row; a failure with its reason."""
    problem = load_problem(case.name, noise=noise, data_seed=seed)
    row: dict = {"error": None, "unknowns": {}}
    if problem.unknowns:
        row["cramer_rao"] = cramer_rao(problem, noise)
    begun = time.perf_counter()
    try:
        result = identify(problem, seed=seed, time_limit=LIMIT, progress=False)
    except (InputError, TrainingError, MemoryError) as error:
        return row | {"failed": " ".join(str(error).split()), "seconds": time.perf_counter() - begun}
    plain = result.to_dict()
    return row | {
        "failed": None,
        "seconds": time.perf_counter() - begun,
        "unknowns": plain["unknowns"],
        "error": result.errors.by_output["a"] if problem.unknown_fields else None,
        "method": plain["method"],
        "network_options": plain["network_options"],
        "status": plain["status"],
        "stopped": plain["stopped"],
        "noise": plain["identification"] and plain["identification"]["noise"],
        "chi_square": plain["identification"] and plain["identification"]["chi_square"],
        "notes": plain["notes"],
    }


def run_classical(case: Case, noise: float, seed: int) -> dict:
    """The baseline on the same data as a row of the same form."""
    problem = load_problem(case.name, noise=noise, data_seed=seed)
    row: dict = {"failed": None, "error": None, "unknowns": {}}
    begun = time.perf_counter()
    try:
        if problem.unknown_fields:
            fit = _classical_field(case, problem, row)
        else:
            forward, data = numbers(problem, case.relative)
            fit = fit_numbers(forward, data, np.array([problem.start_values[name] for name in problem.unknowns]))
            errors = np.sqrt(np.diag(fit.covariance)).tolist()
            for name, value, error in zip(problem.unknowns, fit.theta.tolist(), errors, strict=True):
                row["unknowns"][name] = {"estimate": value, "standard_error": error}
    except (TimeoutError, ValueError, np.linalg.LinAlgError) as error:
        reason = f"not done in {LIMIT:g} s" if isinstance(error, TimeoutError) else str(error)
        return row | {"failed": reason, "seconds": time.perf_counter() - begun}
    return row | {"seconds": fit.seconds, "solves": fit.solves, "notes": [fit.note] if fit.note else []}


def _classical_field(case: Case, problem, row: dict) -> Fit:
    x, values = observed(problem)
    weights, shape = weights_of(values, case.relative), SplineField(case.splines, case.interval)
    forward = Forward(FORWARD[case.name], x, weights, lambda theta: {"a": shape(theta)}, case.resolution)
    known, low, high = None, *case.interval
    if "boundary_a" in problem.conditions:
        axis = np.linspace(low, high, 41)
        if len(case.splines) == 1:
            points = np.array([[low], [high]])
        else:
            sides = [(axis, low + 0 * axis), (axis, high + 0 * axis), (low + 0 * axis, axis), (high + 0 * axis, axis)]
            points = np.concatenate([np.column_stack(side) for side in sides])
        full = np.column_stack([points, np.zeros((len(points), problem.dim - points.shape[1]))])
        known = points, problem.solution(full)[:, problem.outputs.index("a")]
    fit = fit_field(forward, (values * weights).ravel(), shape, known)
    test = scattered_points(problem, FIELD_POINTS)
    truth = problem.solution(test)[:, problem.outputs.index("a")]
    row["error"] = float(np.linalg.norm(shape(fit.theta)(test) - truth) / np.linalg.norm(truth))
    return fit


# The table ------------------------------------------------------------------------------------------------------------


def deviation(row: dict, unknown: str, truth: float, bound_: float) -> float:
    """|estimate - truth| in Cramer-Rao standard errors."""
    return abs(row["unknowns"][unknown]["estimate"] - truth) / bound_


def missed_number(case: Case, noise: float, errors: Sequence[float], z: Sequence[float], seconds: float) -> bool:
    """Whether the relative errors, or with noise the standard errors from the truth, miss what is asked for."""
    if noise:
        return statistics.median(z) > WITHIN or max(z) > BEYOND
    late = case.seconds is not None and seconds > case.seconds
    return statistics.median(errors) > case.must[0.0] or late


def missed_field(case: Case, noise: float, errors: Sequence[float]) -> bool:
    """Whether the median error of a field misses what is asked for, where anything is."""
    return noise in case.must and statistics.median(errors) > case.must[noise]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1e} [{min(values):.1e}, {max(values):.1e}]"


def _sizes(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2g} [{min(values):.2g}, {max(values):.2g}]"


def lines_of(case: Case, noise: float, ours: list[dict], classical: list[dict]) -> list[str]:
    """Rows of the table, one an unknown: runs that failed are counted, named in the last cell, and missed."""
    done = [row for row in ours if row["failed"] is None]
    fitted = [row for row in classical if row["failed"] is None]
    reasons = sorted({f"failed: {r['failed']}" for r in ours if r["failed"] is not None})
    reasons += sorted({f"classical failed: {r['failed']}" for r in classical if r["failed"] is not None})
    reasons += sorted({f"classical: {note}" for r in fitted for note in r["notes"]})
    note = "; ".join(reasons)
    ours_s = f"{statistics.median(r['seconds'] for r in ours):.2g}"
    solves = f" ({statistics.median(r['solves'] for r in fitted):.0f} solves)" if fitted else ""
    classical_s = f"{statistics.median(r['seconds'] for r in classical):.2g}{solves}"
    methods = ", ".join(sorted({r["method"] for r in done}))
    tail = [ours_s, classical_s, methods, note]
    if case.splines:
        errors = [row["error"] for row in done]
        cell = _spread(errors) if errors else "none"
        if len(done) < len(ours) or missed_field(case, noise, errors):
            cell += " MISSED"
        other = _spread([row["error"] for row in fitted]) if fitted else "failed"
        asked = f"{case.must[noise]:.0e}" if noise in case.must else ""
        return [_line([case.name, f"{noise:g}", "a", asked, "", "", "", "", cell, other, *tail])]
    lines = []
    for name in next((row["cramer_rao"] for row in ours), {}):
        bounds = [row["cramer_rao"][name] for row in ours]
        found = [(row, b) for row, b in zip(ours, bounds, strict=True) if row["failed"] is None]
        asked = f"{WITHIN:g} s.e." if noise else f"{case.must[0.0]:.0e}"
        asked += f" in {case.seconds:g} s" if case.seconds and not noise else ""
        cells = [case.name, f"{noise:g}", name, asked]
        if not found:
            lines.append(_line([*cells, "", "", "", "", "none MISSED", "", *tail]))
            continue
        estimates = [row["unknowns"][name] for row, _ in found]
        truth = estimates[0]["true"]
        errors = [abs(e["estimate"] / truth - 1) for e in estimates]
        deviations = [e["standard_error"] for e in estimates if e["standard_error"] is not None]
        z = [deviation(row, name, truth, b) for row, b in found] if noise else []
        inside = sum(e["interval"] is not None and e["interval"][0] <= truth <= e["interval"][1] for e in estimates)
        late = statistics.median(row["seconds"] for row in ours)
        missed = len(done) < len(ours) or missed_number(case, noise, errors, z, late)
        cells[2] = f"{name} = {truth:.6g}"
        cells += [f"{statistics.median(e['estimate'] for e in estimates):.6g}"]
        cells += [f"{statistics.median(deviations):.1e}" if deviations else "none", f"{inside} of {len(ours)}"]
        cells += [_sizes(z) if z else "", _spread(errors) + (" MISSED" if missed else "")]
        other = [
            (abs(row["unknowns"][name]["estimate"] / truth - 1), deviation(row, name, truth, b) if noise else None)
            for row, b in zip(classical, bounds, strict=True)
            if row["failed"] is None
        ]
        baseline = _spread([error for error, _ in other]) if other else "failed"
        baseline += f"; {_sizes([s for _, s in other])}" if other and noise else ""
        lines.append(_line([*cells, baseline, *tail]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


HEADER = (
    "problem",
    "noise",
    "unknown",
    "asked for",
    "estimate",
    "standard error",
    "intervals with the truth",
    "Cramér-Rao s.e. from the truth",
    "relative error",
    "classical: relative error; s.e.",
    "s",
    "classical s",
    "method",
    "notes",
)


def markdown(results: dict, cases: Sequence[Case], seeds: int, command: str) -> str:
    """The table of all cases and noises."""
    lines = [
        "# Inverse problems",
        "",
        f"Medians over {seeds} sets of data with [smallest, largest]; float64, {torch.get_num_threads()} threads.",
        f"repnet-pde {repnet_pde.__version__}, torch {torch.__version__}. The machine was shared: seconds are good to",
        "a factor of two. The errors of fields are relative L2 errors. What is missed says MISSED.",
        "",
        f"    {command}",
        "",
        _line(HEADER),
        "|---" * len(HEADER) + "|",
    ]
    for case in cases:
        for noise in case.noises:
            lines += lines_of(case, noise, *results[case.name, noise])
    return "\n".join(lines) + "\n"


KINDS = {"identify": run_identify, "classical": run_classical}


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--problems", default="", help="Only problems whose names contain one of these, separated by commas.")
@click.option("--noises", default="", help="Only these of 0, 0.01 and 0.1, separated by commas.")
@click.option("--seeds", default=3, show_default=True, help="Data seeds 0, 1, ... of each.")
@click.option("--threads", default=2, show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/inverse"), show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Markdown file for the table; else it is printed.")
def main(problems, noises, seeds, threads, runs, table) -> None:
    torch.set_num_threads(threads)
    runs.mkdir(parents=True, exist_ok=True)
    wanted = [text for text in problems.split(",") if text]
    cases = [case for case in CASES if not wanted or any(text in case.name for text in wanted)]
    try:
        only = {float(text) for text in noises.split(",") if text}
    except ValueError:
        raise click.UsageError(f"--noises: {noises!r} given; numbers separated by commas are needed") from None
    if only:
        cases = [_with_noises(case, [n for n in case.noises if n in only]) for case in cases]
    results: dict[tuple[str, float], tuple[list[dict], list[dict]]] = {}
    for case in cases:
        for noise in case.noises:
            rows = results.setdefault((case.name, noise), ([], []))
            for seed in range(seeds):
                for (kind, run), column in zip(KINDS.items(), rows, strict=True):
                    file = runs / f"{case.name}-{noise:g}-{seed}-{kind}.json"
                    if not file.exists():
                        write_json(file, run(case, noise, seed))
                    column.append(read_json(file))
                    click.echo(f"{case.name}, noise {noise:g}, seed {seed}, {kind}: {_said(column[-1])}", err=True)
    command = f"python -m repnet_pde.validation.studies.inverse --seeds {seeds} --threads {threads}"
    command += f" --problems {problems}" if problems else ""
    command += f" --noises {noises}" if noises else ""
    text = markdown(results, cases, seeds, command)
    click.echo(text)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text, encoding="utf-8")


def _with_noises(case: Case, noises: Sequence[float]) -> Case:
    return Case(**vars(case) | {"noises": tuple(noises)})


def _said(row: dict) -> str:
    if row["failed"] is not None:
        return f"failed: {row['failed']}"
    found = [f"{name} = {e['estimate']:.8g}" for name, e in row["unknowns"].items()]
    found += [] if row["error"] is None else [f"error of a {row['error']:.1e}"]
    return f"{', '.join(found)} in {row['seconds']:.2f} s"


if __name__ == "__main__":
    main()
