"""Networks and methods at equal cost: the same wall-clock budget, threads and number of parameters.

Each peer has a few published settings, tried on a seed of their own; the best one, for each problem and method, is
run with the seeds that count. What is ours has nothing tuned. `summary` says who beats whom, from medians.
"""

import functools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...arguments import whole
from ...errors import InputError, choose
from ...methods import METHODS
from ...networks.fnn import FNN
from ...networks.matching import count_parameters, match_layers
from ...networks.registry import NETWORKS
from ...problem.load import load_problem, locate
from ...training.loop import UNLIMITED
from .campaign import Campaign, Run, Stored

SOLVED_FEATURES = 800
"""Basis functions for methods that end by themselves: a run counts if it ends within the budget, and once more without
a limit."""
SEARCH_SEED = 1000
LATE = 1.05
"""Fraction of the budget until which an error counts, so that the current iteration can be completed."""
BETTER = 1.0
"""One network is better than another if its median error is smaller by more than this factor."""


def scheduled(method: str) -> bool:
    """Whether the learning rate falls to zero by the end of the budget, so that each budget needs a run of its own. Of
    other methods the run with the longest budget gives the errors at the shorter ones."""
    return "seconds" in METHODS[method].options()


@dataclass(frozen=True)
class Plan:
    """What is compared. budgets: seconds, rising. parameters: trainable numbers, or None for those of an ordinary
    network with the method's usual layers."""

    names: tuple[str, ...]
    networks: tuple[str, ...]
    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    seeds: int = 3
    threads: int = 1
    parameters: int | None = None
    dtype: str = "float64"

    def __post_init__(self):
        for argument in ("names", "networks", "methods", "budgets"):
            object.__setattr__(self, argument, tuple(dict.fromkeys(getattr(self, argument))))
            if not getattr(self, argument):
                raise InputError(f"{argument}: none given; at least one is needed")
        for name in self.names:
            locate(name)
        for network in self.networks:
            choose("networks", network, [n for n, entry in NETWORKS.items() if entry.compared])
        for method in self.methods:
            choose("methods", method, [m for m, entry in METHODS.items() if entry.any_network])
        for budget in self.budgets:
            if not (math.isfinite(budget) and budget > 0):
                raise InputError(f"budget: {budget!r} given; seconds > 0 are needed")
        object.__setattr__(self, "budgets", tuple(sorted(self.budgets)))
        for argument in ("seeds", "threads", "parameters"):
            whole(argument, getattr(self, argument), 1)

    def layers(self, name: str, network: str, method: str) -> list[int]:
        """Hidden widths with which the network has the wanted number of parameters."""
        return list(_layers(*_ends(name, self.dtype), network, method, self.parameters))

    def run(self, name: str, network: str, method: str, budget: float, setting: dict, seed: int) -> Run:
        options = {"seconds": budget} if scheduled(method) else {}
        return Run(
            name,
            network=network,
            network_options={"layers": self.layers(name, network, method)} | setting,
            method=method,
            iterations=None if METHODS[method].ends_by_itself else UNLIMITED,
            method_options={method: options} if options else None,
            seed=seed,
            dtype=self.dtype,
            time_limit=budget,
            threads=self.threads,
        )

    def searches(self) -> dict[tuple[str, str, str], list[Run]]:
        """(name, network, method) -> a run with each setting, where there is a choice: the shortest budget."""
        return {
            key: [self.run(*key, self.budgets[0], setting, SEARCH_SEED) for setting in NETWORKS[key[1]].settings]
            for key in self.cells()
            if NETWORKS[key[1]].settings
        }

    def cells(self) -> Iterator[tuple[str, str, str]]:
        """What is compared; networks that have no form with one hidden layer are not solved for."""
        for name in self.names:
            for network in self.networks:
                for method in self.methods:
                    if NETWORKS[network].one_layer or not METHODS[method].ends_by_itself:
                        yield name, network, method

    def runs(self, settings: dict) -> dict[tuple[str, str, str, float], list[Run]]:
        """(name, network, method, budget) -> a run for each seed, with the settings found by the search."""
        planned = {}
        for key in self.cells():
            for budget in self.budgets if scheduled(key[2]) else self.budgets[-1:]:
                setting = settings.get(key, {})
                planned[(*key, budget)] = [self.run(*key, budget, setting, seed) for seed in range(self.seeds)]
        return planned


@functools.cache
def _ends(name: str, dtype: str) -> tuple[int, int]:
    """Numbers of coordinates and of components."""
    problem = load_problem(name, dtype=dtype)
    return problem.dim, len(problem.outputs)


@functools.cache
def _layers(inputs: int, outputs: int, network: str, method: str, parameters: int | None) -> tuple[int, ...]:
    usual = METHODS[method].layers or (SOLVED_FEATURES,)
    wanted = parameters or count_parameters(FNN.name, inputs, outputs, usual)
    return tuple(match_layers(network, inputs, outputs, wanted, like=None if NETWORKS[network].layers else usual))


@dataclass
class Cell:
    """A network under a method on a problem: medians over the seeds.

    errors: budget -> the error of each run, infinite where it failed or had none by then. setting: what the search
    chose, or nothing. tried: the runs of the search. curves: (seconds, errors) of each run. note: why a run failed.
    """

    name: str
    network: str
    method: str
    errors: dict[float, list[float]] = field(default_factory=dict)
    setting: dict = field(default_factory=dict)
    parameters: int | None = None
    curves: list[tuple[list[float], list[float]]] = field(default_factory=list)
    note: str = ""
    runs: list[Stored] = field(default_factory=list)
    tried: list[Stored] = field(default_factory=list)

    @property
    def search_seconds(self) -> float:
        """The cost of the search."""
        return sum(s["wall_seconds"] or 0.0 for s in self.tried)

    def median(self, budget: float) -> float:
        return statistics.median(self.errors[budget]) if self.errors.get(budget) else math.inf


def compare(
    plan: Plan,
    *,
    out: str | Path = "runs/comparison",
    jobs: int = 1,
    scheduler: str | None = None,
    command: str = "",
    say=print,
) -> list[Cell]:
    """Execute the missing runs of the comparison and return it.

    Args:
        plan: what is compared.
        out: the campaign's directory. jobs: processes; with more than one, timings are fair only where each has a core
            (``plan.threads``) to itself. scheduler, say: see `Campaign`. command: kept for the report.
    """
    store = Path(out)
    workers = {"jobs": jobs, "scheduler": scheduler, "say": say}
    with Campaign(store, "compare", plan.__dict__, command, **workers) as campaign:
        campaign.run(run for runs in plan.searches().values() for run in runs)
        campaign.run(run for runs in plan.runs(_best(plan, _tried(plan, store))).values() for run in runs)
    return collect(store, plan.__dict__)


def _tried(plan: Plan, store: Path) -> dict[tuple[str, str, str], list[Stored | None]]:
    """(name, network, method) -> the runs of the search, one for each setting; None where it is not over."""
    return {key: [Stored.read(run, store) for run in runs] for key, runs in plan.searches().items()}


def _best(plan: Plan, tried: dict[tuple[str, str, str], list[Stored | None]]) -> dict[tuple[str, str, str], dict]:
    """The setting of the smallest error in the search; the first where none gave any."""
    found = {}
    for key, stored in tried.items():
        at = math.inf if METHODS[key[2]].ends_by_itself else plan.budgets[0]
        errors = [math.inf if s is None else _error_at(s, key[2], at) for s in stored]
        found[key] = NETWORKS[key[1]].settings[min(range(len(errors)), key=errors.__getitem__)]
    return found


def _error_at(stored: Stored, method: str, budget: float) -> float:
    """The last error that was recorded within ``budget`` seconds of training, or little later; of a method that ends
    by itself the last, if it has ended by then."""
    if METHODS[method].ends_by_itself:
        error, seconds = stored["relative_l2"], stored["wall_seconds"]
        ended = error is not None and math.isfinite(error) and seconds <= LATE * budget
        return error if ended else math.inf
    past = stored.history
    if past is None:
        return math.inf
    records = zip(past["seconds"], past["relative_l2"], strict=True)
    within = [e for s, e in records if s <= LATE * budget and e is not None]
    return within[-1] if within else math.inf


def collect(store: Path, options: dict) -> list[Cell]:
    """The stored part of the comparison, without executing runs."""
    plan = Plan(**options)
    tried, cells = _tried(plan, store), {}
    settings = _best(plan, tried)
    for (*key, budget), runs in plan.runs(settings).items():
        key = tuple(key)
        searched = [s for s in tried.get(key, ()) if s is not None]
        cell = cells.setdefault(key, Cell(*key, setting=settings.get(key, {}), tried=searched))
        stored = [s for s in (Stored.read(run, store) for run in runs) if s is not None]
        cell.runs += stored
        longest = budget == plan.budgets[-1]
        budgets = (*plan.budgets, math.inf) if METHODS[key[2]].ends_by_itself else plan.budgets
        for at in (budget,) if scheduled(key[2]) else budgets:
            cell.errors[at] = [_error_at(s, key[2], at) for s in stored]
        for s in stored:
            cell.note = cell.note or (s.failed or "")
            cell.parameters = cell.parameters or s["n_parameters"]
            if longest and s.history:
                cell.curves.append((s.history["seconds"], s.history["relative_l2"]))
    return list(cells.values())


@dataclass(frozen=True)
class Duel:
    """One of ours against a peer under a method: on how many problems it is better; where not, and by how much.

    budget: seconds, infinite without a limit. ratio: median over the problems of the peer's median error over ours.
    """

    ours: str
    peer: str
    method: str
    budget: float
    won: int
    of: int
    ratio: float
    lost: tuple[str, ...]


def summary(cells: Sequence[Cell]) -> list[Duel]:
    """Every RepNet against every peer, under each method and budget, where both gave an error at all."""
    table = {(c.name, c.network, c.method): c for c in cells}
    names, networks, methods = (list(dict.fromkeys(k)) for k in zip(*table, strict=True))
    duels = []
    for method in methods:
        budgets = sorted({b for c in cells if c.method == method for b in c.errors})
        for budget in budgets:
            for ours in (n for n in networks if NETWORKS[n].ours):
                for peer in (n for n in networks if not NETWORKS[n].ours):
                    pairs = [
                        (name, table[name, ours, method].median(budget), table[name, peer, method].median(budget))
                        for name in names
                        if (name, ours, method) in table and (name, peer, method) in table
                    ]
                    pairs = [(n, a, b) for n, a, b in pairs if math.isfinite(a) or math.isfinite(b)]
                    if not pairs:
                        continue
                    lost = tuple(n for n, a, b in pairs if not b > BETTER * a)
                    ratio = statistics.median(b / a if math.isfinite(a) else 0.0 for _, a, b in pairs)
                    duels.append(Duel(ours, peer, method, budget, len(pairs) - len(lost), len(pairs), ratio, lost))
    return duels


def seconds_of(text: str) -> float:
    """Seconds of "60", "60s", "2m" or "1h"."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1.0)
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"budget: {text!r} given; seconds such as 60s, 2m or 1h are needed")
    return value
