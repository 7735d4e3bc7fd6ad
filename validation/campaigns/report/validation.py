"""The report of a validation: which problems passed, and a page for each problem."""

from collections.abc import Iterator
from pathlib import Path

from ...table import digits, median, number, spread
from ..campaign import Stored
from ..validate import Check, Validation, away, collect, counted, rate
from .head import campaign_facts, docstring
from .parts import (
    Cell,
    Code,
    Facts,
    Fold,
    Items,
    Picture,
    Report,
    Section,
    Table,
    Text,
    anchor,
    mebibytes,
    seconds,
    values,
)
from .pictures import convergence, shrunk

SOLUTION = {
    "solution.png": "Solution of {}: the network beside what it is compared with",
    "error.png": "Absolute error of the network for {}",
}
IDENTIFICATION = {"identification.png": "Data, fit and residuals of {}, and which data determine the unknowns"}
TRAINING = {
    "history.png": "Losses and error of {} over the iterations",
    "first_layer.png": "First layer of the network for {} before and after training",
}
"""Pictures of a run directory and their alternative texts."""


def report(store: Path, options: dict, command: str) -> Report:
    """What is stored of the campaign in ``store``."""
    found = list({v.problem: v for v in collect(store, options)}.values())
    title = f"Validation of {len(found)} problem" + "s" * (len(found) != 1)
    return Report(title, list(_summary(store, found, options, command)), [_page(v, options) for v in found])


# The summary -------------------------------------------------------------------------------------------------------


def _summary(store: Path, found: list[Validation], options: dict, command: str) -> Iterator:
    runs = list({s.run.key: s for v in found for s in (*v.runs, *(s for _, s in v.ladder))}.values())
    missing = sum(v.missing for v in found)
    if missing:
        yield Text(
            f"This campaign is not complete: {missing} run(s) are missing. Its command goes on with them.", "missing"
        )
    counts = ", ".join(f"{sum(v.outcome == o for v in found)} {said}" for o, said in COUNTED.items())
    settings = {"method": options["method"], "seeds": options["seeds"], "threads of a run": options["threads"]}
    yield Facts({"Problems": f"{len(found)}: {counts}"} | campaign_facts(store, runs, missing, settings))
    yield Code(command, "sh")
    columns = ["problem", "outcome", "relative L2 error", "asked\nfor", "seconds", "memory,\nMiB", "compared with"]
    yield Table(SUMMARY, [*columns, "reference's\nown error", "why"], [_row(v) for v in found])


SUMMARY = (
    "Relative L2 errors over the seeds: median [smallest, largest]. For inverse problems, marked by “unknowns”, the "
    "largest relative error of what is unknown. Seconds: median, of the solution alone. Memory: the most of all runs, "
    "beyond what the process held before."
)
COUNTED = {"passed": "passed", "remark": "with a remark", "failed": "failed"}


def _row(v: Validation) -> list:
    done = [run for run in v.runs if not run.failed]
    memory = max((run.outcome["peak_memory_mib"] for run in v.runs), default=None)
    reference = done[0]["reference_details"] if done else None
    return [
        Cell(v.problem, link=v.problem),
        Cell(v.outcome, mark=v.outcome),
        _errors(v).replace(" [", "\n[") + ("\nunknowns" if _inverse(v) else ""),
        _tolerance(v),
        seconds(median(done, "wall_seconds") if done else None),
        "–" if memory is None else mebibytes(memory),
        _against(done[0]) if done else "–",
        "–" if reference is None else number(reference["relative_l2_estimate"]) + _doubt(reference),
        v.reason,
    ]


def _errors(v: Validation) -> str:
    if all(error is None for error in v.errors):
        return "–" if any(run.failed for run in v.runs) or not v.runs else "not known"
    return spread([{"error": error} for error in v.errors], "error")


def _inverse(v: Validation) -> bool:
    return any(run.outcome.get("verb") == "identify" for run in v.runs)


def _tolerance(v: Validation) -> str:
    tolerance = next((run.outcome["tolerance"] for run in v.runs if run.outcome.get("tolerance")), None)
    return "–" if tolerance is None else f"{tolerance:.0e}"


def _against(run: Stored) -> str:
    names = {"solution": "exact solution", "reference": "finite differences", None: "nothing"}
    both = run["error_against"] == "solution" and run["reference_details"]
    return names[run["error_against"]] + (",\nfinite differences" if both else "")


def _doubt(reference: dict) -> str:
    return "" if reference["converged"] else " NOT CONVERGED"


# The page of a problem ---------------------------------------------------------------------------------------------


def _page(v: Validation, options: dict) -> Section:
    done = [run for run in v.runs if not run.failed]
    title, equation = docstring(v.problem)
    parts = [Text(title)] if title else []
    parts.append(Text(f"{v.outcome} – {v.reason}", v.outcome))
    parts += [Code(equation)] if equation else []
    if done and done[0]["parameters"]:
        parts.append(Facts({"Parameters": values(done[0]["parameters"])}))
    folds = {"Checks": [Table("From the stored runs.", ["check", "outcome", "found"], [_check(c) for c in v.checks])]}
    if done:
        folds |= {f"Solution and error, seed {done[0].run.seed}": _pictures(v.problem, done[0], SOLUTION)}
    if done and (done[0]["unknowns"] or done[0].outcome["unknown_fields"]):
        folds |= {"Unknowns": [_unknowns(done), *_pictures(v.problem, done[0], IDENTIFICATION)]}
    folds |= {"Runs": [_runs(v, options)]}
    if len(v.ladder) > 1:
        folds |= {"Convergence": _convergence(v)}
    if done:
        folds |= {f"Training, seed {done[0].run.seed}": _pictures(v.problem, done[0], TRAINING)}
        folds |= {"Reference, network and method": list(_settings(done))}
    folds |= {"Commands": [Code("\n".join(_commands(v)), "sh")] if v.runs else []}
    parts += [Fold(heading, inside) for heading, inside in folds.items() if inside]
    return Section(v.problem, parts)


def _check(check: Check) -> list:
    return [check.name, Cell(check.outcome, mark=check.outcome), check.said]


def _pictures(problem: str, run: Stored, names: dict[str, str]) -> list[Picture]:
    """Those of ``names`` that the run directory has."""
    there = [name for name in names if (run.directory / name).exists()]
    return [
        Picture(f"{anchor(problem)}-{name}", names[name].format(problem), *shrunk(run.directory / name))
        for name in there
    ]


def _unknowns(done: list[Stored]) -> Table:
    """Estimates of numbers with their intervals, and errors of fields."""
    rows = []
    for name in done[0]["unknowns"]:
        for run in done:
            rows.append([name, str(run.run.seed), *_estimate(run["unknowns"][name])])
    for name in done[0].outcome["unknown_fields"]:
        for run in done:
            error = (run["errors"]["by_output"] or {}).get(name)
            said = "field" if error is None else f"field, relative L2 error {number(error)}"
            rows.append([name, str(run.run.seed), said, *["–"] * 4])
    level = next((100 * run["identification"]["level"] for run in done if run["identification"]), None)
    interval = "interval" if level is None else f"{level:g} % interval"
    columns = ["unknown", "seed", "estimate", "standard error", interval, "truth", "from the truth,\nstandard errors"]
    return Table("Standard errors come from the data and from the discretisation.", columns, rows)


def _estimate(found: dict) -> list:
    """Estimate, standard error, interval, truth and the distance from it."""
    truth = "–" if found["true"] is None else f"{found['true']:.6g}"
    if found["interval"] is None:
        said = found.get("reason") or ("not determined by the data" if found["identifiable"] is False else "–")
        return [f"{found['estimate']:.6g}", "–", said, truth, "–"]
    low, high = found["interval"]
    n = digits(low, high)
    interval = f"[{low:.{n}g}, {high:.{n}g}]"
    distance = "–"
    if found["true"] is not None:
        inside = low <= found["true"] <= high
        distance = Cell(f"{away(found):.2g}", mark="" if inside else "outside")
    return [f"{found['estimate']:.{n}g}", number(found["standard_error"]), interval, truth, distance]


def _runs(v: Validation, options: dict) -> Table:
    by_seed = {run.run.seed: run for run in v.runs}
    columns = ["seed", "its own\nstatus", "relative\nL2 error", "maximum\nerror", "error\nindicator"]
    columns += ["residuals (rms)", "seconds", "with all\nelse", "memory,\nMiB", "ended"]
    rows = [[str(seed), *_run(by_seed.get(seed))] for seed in range(options["seeds"])]
    caption = (
        "Error indicator: distance to a solution with other basis functions and points. Seconds: of the solution, and "
    )
    return Table(caption + "with reference, errors and pictures.", columns, rows)


def _run(run: Stored | None) -> list:
    if run is None:
        return [Cell("missing", mark="missing"), *["–"] * 8]
    whole = [seconds(run.outcome["seconds"]), mebibytes(run.outcome["peak_memory_mib"])]
    if run.failed:
        return [Cell("failed", mark="failed"), *["–"] * 5, *whole, run.failed]
    return [
        run["status"],
        _known(run["relative_l2"]),
        _known(run["max_error"]),
        _known(run["error_indicator"]),
        "\n".join(f"{name} {number(value)}" for name, value in run["residuals"].items()),
        seconds(run["wall_seconds"]),
        *whole,
        run["stopped"],
    ]


def _known(value: float | None) -> str:
    return "–" if value is None else number(value)


def _convergence(v: Validation) -> list:
    measured = [(value, run["relative_l2"]) for value, run in v.ladder if run["relative_l2"]]
    parts = []
    if len(measured) > 1:
        x, errors = zip(*measured, strict=True)
        slope = rate(x, errors)
        said = "no rate: all at rounding" if slope is None else f"error ~ {v.varied}^{slope:.1f}"
        alt = f"Relative L2 error of {v.problem} over {v.varied}, on logarithmic axes; {said}"
        picture = convergence(v.varied, measured, counted(x, errors), slope)
        parts.append(Picture(f"{anchor(v.problem)}-convergence.svg", alt, picture))
    rows = [[f"{value:g}", *_step(run)] for value, run in v.ladder]
    caption = "Seed 0 with less; the last row is the run itself."
    return [*parts, Table(caption, [v.varied, "relative L2 error", "seconds", "its own status"], rows)]


def _step(run: Stored) -> list:
    if run.failed:
        return ["–", "–", Cell(f"failed: {run.failed}", mark="failed")]
    return [_known(run["relative_l2"]), seconds(run["wall_seconds"]), run["status"]]


def _settings(done: list[Stored]) -> Iterator:
    run = done[0]
    facts = {
        "Network": f"{run['network']}, {run['n_parameters']:,} parameters, {run['dtype']}",
        "Options of the network": values(run["network_options"]) or "none",
        "Method": "; ".join(run["stages"]) or run["method"],
        "Largest wavenumbers": ", ".join(f"{k:.4g}" for k in run["wavenumber"]),
    }
    reference = run["reference_details"]
    if reference is not None:
        distance = [{"error": r["reference_details"]["network_relative_l2"]} for r in done]
        order = "at rounding" if reference["order"] is None else f"order {reference['order']:.1f}"
        facts["Reference"] = (
            f"finite differences {reference['name']}, relative L2 error {number(reference['relative_l2_estimate'])} by "
            f"Richardson's estimate, {order}, {seconds(reference['wall_seconds'])} s"
            f"{_doubt(reference)}; the network is {spread(distance, 'error')} from it"
        )
    yield Facts(facts)
    if notes := list(_notes(done)):
        yield Items([Cell(note) for note in notes])


def _notes(done: list[Stored]) -> Iterator[str]:
    """Each one once, with the seed where it is not of all."""
    for note in dict.fromkeys(note for run in done for note in run["notes"]):
        seeds = [run.run.seed for run in done if note in run["notes"]]
        yield note if len(seeds) == len(done) else f"seed {', '.join(map(str, seeds))}: {note}"


def _commands(v: Validation) -> Iterator[str]:
    for run in v.runs:
        yield f"# seed {run.run.seed}"
        yield run.command
    for value, run in v.ladder[:-1]:
        yield f"# {v.varied} {value:g}"
        yield run.command
