"""Validation of the catalogue against stated tolerances: errors, reference, convergence, indicator, balances, status.

Each problem is solved with every seed, and the first of them again with fewer basis functions (least squares,
multidomain ``patching``) or products (low rank), looser tolerances (``marching`` on space-time slabs) or fewer samples
(functions). `judge` uses the stored runs only.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...arguments import whole
from ...methods import METHODS, sequence
from ...problem.load import catalogue, locate
from .campaign import Campaign, Run, Stored

PASSED, REMARK, FAILED = "passed", "remark", "failed"
FLOOR = 30.0
"""Errors below this multiple of the smallest are excluded from a rate: they are at rounding level."""
OPTIMISTIC = 10.0
"""Maximum ratio of error to indicator."""
BALANCED = 100.0
"""Maximum ratio of relative balance defects, which contain derivatives, to the tolerance of the error."""
STANDARD_ERRORS = 4.0
"""Maximum distance of an unknown number from the truth, in standard errors, if it is not within the tolerance."""


@dataclass(frozen=True)
class Check:
    """One check of a problem. outcome: "passed", "remark" or "failed". said: the finding in words."""

    name: str
    outcome: str
    said: str


@dataclass
class Validation:
    """The results of a problem.

    runs: of the seeds, those that are over. ladder: what is varied -> (value, run) of the convergence, the last of them
    the first of ``runs``. checks: see `judge`.
    """

    problem: str
    runs: list[Stored]
    missing: int = 0
    varied: str | None = None
    ladder: list[tuple[float, Stored]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """ "failed" when one check failed, "remark" when one has something to say, else "passed"."""
        found = {check.outcome for check in self.checks}
        return next((outcome for outcome in (FAILED, REMARK) if outcome in found), PASSED)

    @property
    def reason(self) -> str:
        """What is said by the checks that decided."""
        decided = [check for check in self.checks if check.outcome == self.outcome]
        if self.outcome == PASSED:
            decided = decided[:1]
        return "; ".join(f"{check.name}: {check.said}" for check in decided)

    def values(self, name: str) -> list[float]:
        """An entry of the results of those runs that have it."""
        found = (run[name] for run in self.runs)
        return [v for v in found if v is not None]

    @property
    def seconds(self) -> float:
        """The median wall time of the runs that did not fail; NaN without any."""
        return statistics.median(self.values("wall_seconds") or [math.nan])

    @property
    def errors(self) -> list[float | None]:
        """The relative L2 error of each run: of the solution, or the largest of the unknowns'."""
        return [_error(run) for run in self.runs]

    @property
    def error(self) -> float | None:
        """Their median."""
        errors = self.errors
        return statistics.median(errors) if errors and None not in errors else None


def validate(
    names: Sequence[str] = (),
    *,
    method: str = "auto",
    seeds: int = 3,
    threads: int = 1,
    convergence: bool = True,
    out: str | Path = "runs/validation",
    jobs: int = 1,
    scheduler: str | None = None,
    command: str = "",
    say=print,
) -> list[Validation]:
    """Solve problems, store every run in ``out``, and evaluate them.

    Args:
        names: of the catalogue or files; empty for the whole catalogue.
        method: as in `solve`. seeds: 0, 1, ... of each. threads: of each run.
        convergence: whether the first is solved again with less.
        jobs, scheduler: see `Campaign`. command: kept for the report. say: called with a line for each run.

    Raises:
        InputError: a name that is not known, or ``out`` holds something else.
        RepNetPDEError: runs that could not be done; everything else is stored.
    """
    whole("seeds", seeds, 1)
    whole("threads", threads, 1)
    if method != "auto":
        sequence(method)
    names = [str(name) for name in names] or list(catalogue())
    for name in names:
        locate(name)
    options = {"names": names, "method": method, "seeds": seeds, "threads": threads, "convergence": convergence}
    store = Path(out)
    with Campaign(store, "validate", options, command, jobs=jobs, scheduler=scheduler, say=say) as campaign:
        first = campaign.run(run for name in names for run in _runs(name, options))
        if convergence:
            campaign.run(run for run in first if run.run.seed == 0 for _, run in _ladder(run)[2])
    return collect(store, options)


def collect(store: Path, options: dict) -> list[Validation]:
    """Evaluation of the stored runs, without executing any."""
    found = []
    for name in options["names"]:
        planned = list(_runs(name, options))
        runs = [run for run in (Stored.read(run, store) for run in planned) if run is not None]
        result = Validation(name, runs, len(planned) - len(runs))
        if options["convergence"] and runs and runs[0].run.seed == 0:
            result.varied, most, steps = _ladder(runs[0])
            stored = [(value, Stored.read(run, store)) for value, run in steps]
            result.ladder = [(value, run) for value, run in stored if run is not None]
            result.missing += len(steps) - len(result.ladder)
            if steps:
                result.ladder.append((most, runs[0]))
        result.checks = list(judge(result))
        found.append(result)
    return found


def _runs(name: str, options: dict) -> Iterator[Run]:
    for seed in range(options["seeds"]):
        yield Run(name, method=options["method"], seed=seed, threads=options["threads"], pictures=True)


def _ladder(run: Stored) -> tuple[str | None, float, list[tuple[float, Run]]]:
    """What is varied, how much the run had of it, and (value, run) with less; nothing where there is no such family of
    solutions."""
    found = run.result
    if found is None or found["unknowns"] or found["identification"]:
        return None, math.nan, []
    settings = {"problem": run.run.problem, "method": run.run.method, "threads": run.run.threads}
    if "samples" in found["parameters"]:
        most = found["parameters"]["samples"]
        steps = [(n, {"parameters": {"samples": n}}) for n in (round(most * factor) for factor in SAMPLES)]
        varied = "samples"
    else:
        method = METHODS.get(found["method"])
        coarser = None if method is None else method.coarser(found)
        if coarser is None:
            return None, math.nan, []
        varied, most, steps = coarser
    return varied, most, [(value, Run(**settings | changes)) for value, changes in steps]


SAMPLES = (0.25, 0.5)
"""Fractions of the samples for the repeated fits of functions."""


def judge(found: Validation) -> Iterator[Check]:
    """The checks of a problem whose runs are stored."""
    if found.missing:
        yield Check("runs", FAILED, f"{found.missing} missing; the command of the campaign goes on with them")
    failed = [run for run in found.runs if run.failed]
    if failed:
        yield Check("runs", FAILED, failed[0].failed)
    if failed or not found.runs:
        return
    outcome = found.runs[0].outcome
    tolerance, inverse = outcome["tolerance"], outcome["verb"] == "identify"
    yield from _errors(found, tolerance, inverse)
    yield from () if inverse else _reference(found, tolerance)
    yield from _unknowns(found, tolerance) if inverse else ()
    yield from _statuses(found)
    yield from _indicator(found)
    yield from _convergence(found)
    yield from _balances(found, tolerance)


def _error(run: Stored) -> float | None:
    """The relative L2 error, for inverse problems the largest relative error of the unknowns."""
    result = run.result
    if result is None:
        return None
    unknowns = [abs(u["estimate"] / u["true"] - 1) for u in result["unknowns"].values() if u["true"]]
    by_output = result["errors"]["by_output"] or {}
    unknowns += [by_output[name] for name in run.outcome["unknown_fields"] if name in by_output]
    return max(unknowns, default=result["relative_l2"])


def _errors(found: Validation, tolerance: float | None, inverse: bool) -> Iterator[Check]:
    errors = found.errors
    short = [run for run in found.runs if run["errors"].get("until") is not None]
    if short:
        yield Check("error", FAILED, f"{len(short)} seed(s) did not reach the end of time: {short[0]['stopped']}")
        return
    if None in errors:
        yield Check("error", REMARK, "neither an exact solution nor a reference to compare with")
        return
    what = "relative error of the unknowns" if inverse else "relative L2 error"
    said = f"{what} {statistics.median(errors):.1e}, at most {max(errors):.1e} in {len(errors)} seed(s)"
    if tolerance is None:
        yield Check("error", REMARK, f"{said}; the problem states no tolerance")
    else:
        good = max(errors) <= tolerance
        yield Check("error", PASSED if good else FAILED, f"{said}; asked for {tolerance:.0e}")


def _reference(found: Validation, tolerance: float | None) -> Iterator[Check]:
    reference = found.runs[0]["reference_details"]
    if reference is None:
        return
    own = reference["relative_l2_estimate"]
    distances = [run["reference_details"]["network_relative_l2"] for run in found.runs]
    if None in distances:
        return
    distance = max(distances)
    said = f"{reference['name']}, its own error {own:.1e}; the network is {distance:.1e} from it"
    if not reference["converged"]:
        alone = found.runs[0]["error_against"] == "reference"
        yield Check("reference", FAILED if alone else REMARK, f"{said}; NOT CONVERGED")
    else:
        good = tolerance is None or distance <= tolerance + 10 * own
        yield Check("reference", PASSED if good else FAILED, said)


def _unknowns(found: Validation, tolerance: float | None) -> Iterator[Check]:
    for name in found.runs[0]["unknowns"]:
        estimates = [run["unknowns"][name] for run in found.runs]
        without = [e for e in estimates if not e["identifiable"]]
        if without:  # which is said of a good estimate too, where its equations are not met
            near = tolerance is not None and all(e["true"] and _off(e) <= tolerance for e in estimates)
            said = without[0]["reason"] or "not determined by the data"
            yield Check(
                name, REMARK if near else FAILED, f"{len(without)} of {len(estimates)} have no interval: {said}"
            )
            continue
        told = [e for e in estimates if e["true"] is not None and e["standard_error"] is not None]
        if told:
            most = max(away(e) for e in told)
            inside = sum(e["interval"][0] <= e["true"] <= e["interval"][1] for e in told)
            said = f"{inside} of {len(told)} intervals hold the truth; at most {most:.1f} standard errors away"
            near = all(away(e) <= STANDARD_ERRORS or _off(e) <= (tolerance or 0) for e in told)
            yield Check(name, PASSED if near else FAILED, said)


def _off(estimate: dict) -> float:
    """Relative error of an estimate."""
    return abs(estimate["estimate"] / estimate["true"] - 1)


def away(estimate: dict) -> float:
    """Distance of an estimate from the truth in its standard errors."""
    distance = abs(estimate["estimate"] - estimate["true"])
    return distance / max(estimate["standard_error"], 1e-300) if distance else 0.0


def _statuses(found: Validation) -> Iterator[Check]:
    bad = [run for run in found.runs if run["status"] == "not converged"]
    run = bad[0] if bad else found.runs[0]
    unknown = found.error is None
    yield Check(
        "own status",
        (FAILED if unknown else REMARK) if bad else PASSED,
        f"{run['status']}: {run['status_reason']}",
    )


def _indicator(found: Validation) -> Iterator[Check]:
    pairs = [(run["error_indicator"], run["relative_l2"]) for run in found.runs]
    pairs = [(i, e) for i, e in pairs if i and e is not None]
    if pairs:
        ratio = max(e / i for i, e in pairs)
        said = f"the error is {min(e / i for i, e in pairs):.1g} to {ratio:.1g} times the error indicator"
        yield Check("error indicator", PASSED if ratio <= OPTIMISTIC else REMARK, said)


def rate(values: Sequence[float], errors: Sequence[float]) -> float | None:
    """The slope of log error over log value, by least squares; None where all errors are rounding."""
    pairs = counted(values, errors)
    return float(np.polyfit(*np.log(np.array(pairs)).T, 1)[0]) if len(pairs) > 1 else None


def counted(values: Sequence[float], errors: Sequence[float]) -> list[tuple[float, float]]:
    """(value, error) from coarse to fine until rounding is reached."""
    pairs, least = [], FLOOR * min(errors)
    for value, error in zip(values, errors, strict=True):
        pairs.append((value, error))
        if error <= least:
            break
    return pairs


def _convergence(found: Validation) -> Iterator[Check]:
    pairs = [(value, run["relative_l2"]) for value, run in found.ladder if run["relative_l2"]]
    if len(pairs) < 2:
        return
    values, errors = zip(*pairs, strict=True)
    slope = rate(values, errors)
    shown = ", ".join(f"{error:.1e} ({value:.3g})" for value, error in pairs)
    if slope is None:
        yield Check("convergence", PASSED, f"at rounding for all {found.varied}: {shown}")
        return
    falls = slope > 0 if found.varied == "tolerance" else slope < 0
    said = f"error ~ {found.varied}^{slope:.1f}: {shown}"
    yield Check("convergence", PASSED if falls and math.isfinite(slope) else REMARK, said)


def _balances(found: Validation, tolerance: float | None) -> Iterator[Check]:
    for name in found.runs[0].balances:
        defects = [run.balances[name]["relative"] for run in found.runs]
        defect = math.inf if None in defects else max(defects)
        good = tolerance is None or defect <= BALANCED * tolerance
        yield Check(f"balance of {name}", PASSED if good else FAILED, f"relative defect {defect:.1e}")
