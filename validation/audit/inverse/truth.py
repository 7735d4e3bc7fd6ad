"""The truth of an inverse problem, and the statements about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ....running.result import plain
from ..case import Case, Outcome, Unknowns

NOISE, EQUATION, DATA = "noise level", "equation", "data"
"""What is wrong with a problem: the noise given, its equation, some of its data."""


@dataclass(frozen=True, kw_only=True)
class Truth(Unknowns):
    """The truth of an inverse problem, with the data needed for the evaluation.

    Attributes:
        fault: `NOISE`, `EQUATION`, `DATA` or "" where nothing is wrong.
        frozen: an unknown stands where DeepXDE evaluates it once only: the problem may be refused.
        noise: true standard deviation, by observation.
        deviations: name -> standard error by Cramer and Rao with the true noise; infinite where it is not determined.
        floors: name -> error that the rounding of the data explains.
        freedom: data less unknowns and what else is free.
        starts: name -> value at which it starts.
    """

    fault: str = ""
    frozen: bool = False
    noise: Mapping[str, float]
    deviations: Mapping[str, float]
    floors: Mapping[str, float]
    freedom: int
    starts: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Said(Outcome):
    """An `Outcome` of an inverse problem, with the truth that the judgement needs.

    Attributes:
        values, fault, frozen, floors, freedom: as in `Truth`.
        starts: name -> value at which the unknown started.
        noise_given: to `identify`.
        doubts: what was said against data, noise, equation or estimates.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""
    frozen: bool = False
    floors: Mapping[str, float] = field(default_factory=dict)
    freedom: int = 0
    starts: Mapping[str, float] = field(default_factory=dict)
    noise_given: bool = False
    doubts: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, row: Mapping) -> "Said":
        found = super().from_dict(row)
        return replace(found, doubts=tuple(found.doubts))


def doubts(result) -> tuple[str, ...]:
    """The objections in a `Result` to the data, the noise, the equation or the estimates of unknowns."""
    found = result.identification
    if found is None:
        return ()
    said = [*getattr(found, "doubts", ()), *getattr(found, "remarks", ())]
    if not hasattr(found, "remarks"):
        about = tuple(f"{name}: " for name in result.problem.observations)
        said += [note for note in found.notes if note.startswith(about)]
        if found.dof > 1 and not 0.5 < found.chi_square < 2:
            said.append(f"mean square ratio {found.chi_square:.2g}")
    return tuple(said)


def of_case(case: Case) -> dict:
    """What of the truth a `Said` has."""
    truth = case.truth
    return {
        "values": dict(truth.values),
        "fault": truth.fault,
        "frozen": truth.frozen,
        "floors": dict(truth.floors),
        "freedom": truth.freedom,
        "starts": dict(truth.starts),
        "noise_given": "noise" in case.settings,
        "open": tuple(sorted(truth.open)),
        "well_specified": truth.well_specified,
        "misfit": truth.misfit,
    }


def of_result(result, case: Case) -> dict:
    """The statements, together with the truth."""
    true = case.truth.values
    unknowns = {
        name: {
            "estimate": found.value,
            "standard_error": found.standard_error,
            "interval": None if found.interval is None else list(found.interval),
            "identifiable": found.identifiable,
            "true": true[name],
        }
        for name, found in result.estimates.items()
    }
    return plain({"unknowns": unknowns}) | {"doubts": doubts(result)}
