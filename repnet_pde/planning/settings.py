"""`Request`: the arguments of `solve`; `Settings`: the stored definition of a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..arguments import seconds
from ..problem.parameters import native


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request: the arguments of `solve` about the method, and of `identify` about known information.

    noise, level, data: of `identify`; data is the file of observations. notes: for the result, made before planning.
    attempt: number of runs in the same directory that this one replaces. then: what may replace this one in turn.
    """

    network: Any = None
    method: str = "auto"
    seed: int = 0
    dtype: str = "float64"
    time_limit: float | None = None
    iterations: int | dict[str, int] | None = None
    loss_weights: Any = "auto"
    network_options: dict | None = None
    method_options: dict | None = None
    noise: Any = None
    level: float = 0.95
    data: Any = None
    notes: Sequence[str] = ()
    attempt: int = 0
    then: dict | None = None

    def __post_init__(self) -> None:
        """NumPy's numbers and arrays become Python's, which can be stored."""
        for name in ("seed", "time_limit", "iterations", "loss_weights", "network_options", "method_options", "noise"):
            object.__setattr__(self, name, native(getattr(self, name), tuples=True))
        seconds("time_limit", self.time_limit)

    def to_dict(self) -> dict:
        """As ``run.json`` stores it: without the file of observations, a network of one's own, and the time limit."""
        own = {"network": self.network if isinstance(self.network, str) else None, "notes": list(self.notes)}
        return asdict(replace(self, network=None, data=None, time_limit=None)) | own


@dataclass
class Settings:
    """Definition of a run; stored as ``run.json``, so that `resume` can recreate it.

    planned: whether the network's options are those of a search. error_indicator, loosest: from the second solution of
    the search. data: the name of the file of observations in the run directory. attempt: as in `Request`. on_trial:
    whether another result takes its place where this one is not better.
    """

    network: str
    network_options: dict
    method: str
    stages: list
    loss_weights: dict | str
    seed: int
    dtype: str
    notes: list[str] = field(default_factory=list)
    planned: bool = False
    error_indicator: float | None = None
    loosest: float | None = None
    noise: float | dict | None = None
    level: float = 0.95
    data: str | None = None
    attempt: int = 0
    on_trial: bool = False
