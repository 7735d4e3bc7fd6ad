"""The report of a comparison: which networks are better and where, and a page for each problem."""

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from ....methods import METHODS
from ....networks.registry import NETWORKS
from ...table import number, spread
from ..campaign import Stored
from ..compare import SEARCH_SEED, Duel, Plan, collect, scheduled, summary
from ..compare import Cell as Compared
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
    factor,
    seconds,
    values,
)
from .pictures import curves


def report(store: Path, options: dict, command: str) -> Report:
    """What is stored of the campaign in ``store``."""
    plan, cells = Plan(**options), collect(store, options)
    n = len(plan.names)
    title = f"Comparison of {len(plan.networks)} networks under {len(plan.methods)} methods on {n} problem" + "s" * (
        n > 1
    )
    pages = [_page(name, [cell for cell in cells if cell.name == name], plan) for name in plan.names]
    return Report(title, list(_summary(store, plan, cells, command)), pages)


def _planned(plan: Plan, cell: Compared) -> tuple[int, int]:
    """How many runs the cell and its search have when nothing is missing."""
    budgets = len(plan.budgets) if scheduled(cell.method) else 1
    return budgets * plan.seeds, len(NETWORKS[cell.network].settings)


# The summary -------------------------------------------------------------------------------------------------------


def _solved(plan: Plan) -> list[str]:
    """The methods that end by themselves."""
    return [method for method in plan.methods if METHODS[method].ends_by_itself]


def _summary(store: Path, plan: Plan, cells: Sequence[Compared], command: str) -> Iterator:
    runs = {s.run.key: s for cell in cells for s in (*cell.runs, *cell.tried)}
    missing = sum(sum(_planned(plan, cell)) - len(cell.runs) - len(cell.tried) for cell in cells)
    if missing:
        yield Text(
            f"This campaign is not complete: {missing} run(s) are missing. Its command goes on with them.", "missing"
        )
    duels = summary(cells)
    yield Fold("Who is better", list(_answer(plan, cells, duels)))
    yield Fold("What was compared", [Facts(_compared(store, plan, list(runs.values()), missing)), Code(command, "sh")])


def _compared(store: Path, plan: Plan, runs: list[Stored], missing: int) -> dict[str, str]:
    parameters = plan.parameters or "as many as an ordinary network with the method's usual layers"
    settings = {
        "budgets": _budgets(plan),
        "seeds": plan.seeds,
        "threads of a run": plan.threads,
        "parameters of each network": parameters,
        "precision": plan.dtype,
    }
    names = {"Problems": plan.names, "Networks": plan.networks, "Methods": plan.methods}
    facts = {key: ", ".join(value) for key, value in names.items()}
    return facts | campaign_facts(store, runs, missing, settings)


def _budgets(plan: Plan) -> str:
    return " and ".join(f"{budget:g} s" for budget in plan.budgets)


def _answer(plan: Plan, cells: Sequence[Compared], duels: Sequence[Duel]) -> Iterator:
    ours = [network for network in plan.networks if NETWORKS[network].ours]
    last = [duel for duel in duels if duel.budget == plan.budgets[-1]]
    said = []
    for network in ours:
        own = [duel for duel in last if duel.ours == network]
        if own:
            said.append(
                f"{network} is better in {sum(d.won for d in own)} of {sum(d.of for d in own)} comparisons with a peer "
                f"under the same method at {plan.budgets[-1]:g} s."
            )
    yield Items([Cell(text) for text in said]) if said else Text("There is nothing to be compared as yet.")
    yield Table(
        f"The smallest median error of each problem at {plan.budgets[-1]:g} s, whatever the network and the method.",
        ["problem", "of all", "of ours", "of the peers"],
        [[Cell(name, link=name), *_smallest(plan, [c for c in cells if c.name == name])] for name in plan.names],
    )
    for network in ours:
        own = [duel for duel in duels if duel.ours == network]
        if not own:
            continue
        yield Table(
            f"{network}: on how many problems its median error is smaller than the peer's, and the median over the "
            "problems of the peer's error over its own.",
            [f"{network} against", *plan.methods],
            _by_peer(plan, own, _won),
        )
        lost = [row for row in _by_peer(plan, own, _lost) if any(cell not in ("nowhere", "–") for cell in row[1:])]
        if lost:
            caption = f"Where {network} is not better. Problems for which neither gave an error are not counted."
            yield Table(caption, [f"{network} against", *plan.methods], lost)


def _smallest(plan: Plan, cells: Sequence[Compared]) -> Iterator[str]:
    """Network, method and error of the best of all, of ours and of the peers."""
    for group in (
        cells,
        [c for c in cells if NETWORKS[c.network].ours],
        [c for c in cells if not NETWORKS[c.network].ours],
    ):
        best = min(group, key=lambda cell: cell.median(plan.budgets[-1]), default=None)
        error = math.inf if best is None else best.median(plan.budgets[-1])
        yield f"{number(error)}\n{best.network}, {best.method}" if math.isfinite(error) else "–"


def _by_peer(plan: Plan, duels: Sequence[Duel], show) -> list[list]:
    """A row for each peer and budget, a column for each method."""
    found = {(duel.peer, duel.budget, duel.method): duel for duel in duels}
    rows = []
    for peer in (network for network in plan.networks if not NETWORKS[network].ours):
        for budget in (*plan.budgets, math.inf):
            cells = [found.get((peer, budget, method)) for method in plan.methods]
            if any(cells):
                rows.append([f"{peer}, {_limit(budget)}", *("–" if duel is None else show(duel) for duel in cells)])
    return rows


def _limit(budget: float) -> str:
    return f"{budget:g} s" if math.isfinite(budget) else "no limit"


def _won(duel: Duel) -> Cell:
    mark = "ahead" if 2 * duel.won > duel.of else "behind" if 2 * duel.won < duel.of else ""
    return Cell(f"{duel.won} of {duel.of}, {factor(duel.ratio)}×", mark=mark)


def _lost(duel: Duel) -> str:
    return "\n".join(duel.lost) or "nowhere"


# The page of a problem ---------------------------------------------------------------------------------------------


def _page(name: str, cells: Sequence[Compared], plan: Plan) -> Section:
    title, _ = docstring(name)
    budgets = (*plan.budgets, math.inf) if _solved(plan) else plan.budgets
    tables = [_errors(cells, plan, budget) for budget in budgets]
    panels = {
        method: {cell.network: (cell.curves, _end(cell, plan)) for cell in cells if cell.method == method}
        for method in plan.methods
    }
    alt = (
        f"Median relative L2 error of {name} over the seconds of training, a panel for each method, a line for each "
        "network, on logarithmic axes; the last errors are those of the table"
    )
    thick = [network for network in plan.networks if NETWORKS[network].ours]
    picture = Picture(f"{anchor(name)}-errors.svg", alt, curves(panels, plan.budgets, thick), wide=True)
    parts = [Text(title)] if title else []
    parts += [Fold("Errors", tables), Fold("Errors over time", [picture])]
    if failures := list(_failures(cells)):
        parts.append(Fold("Failures", [Items([Cell(text, mark="failed") for text in failures])]))
    parts.append(Fold("Settings", [_settings(cells, plan)]))
    if commands := list(_commands(cells, plan)):
        parts.append(Fold("Commands", [Code("\n".join(commands), "sh")]))
    return Section(name, parts)


def _errors(cells: Sequence[Compared], plan: Plan, budget: float) -> Table:
    """Networks by methods; the smallest median of a method is marked."""
    table = {(cell.network, cell.method): cell for cell in cells}
    methods = plan.methods if math.isfinite(budget) else _solved(plan)
    best = {m: min(cell.median(budget) for cell in cells if cell.method == m) for m in methods}
    rows = []
    for network in plan.networks:
        row = [network]
        for method in methods:
            cell = table.get((network, method))
            if cell is None:
                row.append("does not apply")
                continue
            error = cell.median(budget)
            row.append(Cell(_error(cell, budget, plan), mark="best" if error == best[method] < math.inf else ""))
        rows.append(row)
    when = f"after {budget:g} s" if math.isfinite(budget) else f"of {', '.join(_solved(plan))} without a limit of time"
    caption = f"Relative L2 error {when}: median [smallest, largest] of {plan.seeds} seed(s); ★ the best of its column."
    return Table(caption, ["network", *methods], rows)


def _error(cell: Compared, budget: float, plan: Plan) -> str:
    errors = cell.errors.get(budget, [])
    if not errors:
        return "missing"
    if len(errors) == 1 or all(map(math.isinf, errors)):
        said = number(errors[0]) if math.isfinite(errors[0]) else "none"
    else:
        said = spread([{"error": error} for error in errors], "error").replace(" [", "\n[")
    return said + (f"\n{len(errors)} of {plan.seeds} runs" if len(errors) < plan.seeds else "")


def _end(cell: Compared, plan: Plan) -> tuple[float, float] | None:
    """Median seconds and error of the runs with the longest budget."""
    done = [run for run in cell.runs if not run.failed and run.run.time_limit == plan.budgets[-1]]
    error = cell.median(math.inf if METHODS[cell.method].ends_by_itself else plan.budgets[-1])
    if not done or not math.isfinite(error):
        return None
    return statistics.median(run["wall_seconds"] for run in done), error


def _failures(cells: Sequence[Compared]) -> Iterator[str]:
    for cell in cells:
        failed = [run for run in cell.runs if run.failed]
        if failed:
            yield f"{cell.network}, {cell.method}: {len(failed)} of {len(cell.runs)} run(s) failed: {failed[0].failed}"


def _settings(cells: Sequence[Compared], plan: Plan) -> Table:
    rows = []
    for cell in cells:
        layers = cell.runs[0].run.network_options["layers"] if cell.runs else []
        tried = [f"{_setting(s)}: {_found(s)}" for s in cell.tried]
        rows.append(
            [
                f"{cell.network}, {cell.method}",
                "-".join(map(str, layers)) or "missing",
                "–" if cell.parameters is None else f"{cell.parameters:,}",
                values(cell.setting) or ("as published" if tried else "none to choose"),
                "\n".join(tried) or "–",
                seconds(cell.search_seconds) if tried else "–",
            ]
        )
    caption = f"What was tried: with the shortest budget and seed {SEARCH_SEED}, the error of each; of seconds the sum."
    columns = ["network, method", "hidden layers", "parameters", "setting", "tried", "search, s"]
    return Table(caption, columns, rows)


def _setting(run: Stored) -> str:
    options = {name: value for name, value in run.run.network_options.items() if name != "layers"}
    return values(options) or "as published"


def _found(run: Stored) -> str:
    return "failed" if run.failed else number(run["relative_l2"])


def _commands(cells: Sequence[Compared], plan: Plan) -> Iterator[str]:
    for cell in cells:
        for run in cell.runs:
            if run.run.seed == 0:
                seeds = f", seed 0 of 0 to {plan.seeds - 1}" if plan.seeds > 1 else ""
                yield f"# {cell.network}, {cell.method}, {run.run.time_limit:g} s{seeds}"
                yield run.command
        for run in cell.tried:
            yield f"# {cell.network}, {cell.method}, search: {_setting(run)}"
            yield run.command
