"""Common classes of both halves of the audit: a problem with its truth, the statements about it, and the kinds.

A half is a package, `forward` or `inverse`, with

- ``KINDS``: name -> `Kind`, whose function draws a `Case` from a NumPy generator, which depends on seed, half, kind and
  number only, so that any case can be reproduced alone; ``SHORT``: name -> numbers of a few quick cases;
- ``Said``: `Outcome` or a subclass with more fields; ``of_case(case)`` and ``of_result(result, case)``: values of its
  fields by name, of the truth and of what was said, beyond those that `runs` knows;
- ``FALSE``: false statement -> a function of an outcome that is true (or not empty) if the statement was made;
- ``power(outcomes)``: the other figures, as a list of `Figure`.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

import numpy as np
import torch

from ...problem.problem import Problem

FORWARD, INVERSE = HALVES = ("forward", "inverse")
REFUSED, FAILED, LATE = "refused", "failed", "out of time"
"""Values of an `Outcome`'s status if there is no convergence status: the package refused with its own message
(`RepNetPDEError`); it raised another exception, or its process died; it was stopped at the audit's time limit."""
HUGE = 1e300


@dataclass(frozen=True, kw_only=True)
class Solutions:
    """The truth of a forward problem.

    Attributes:
        functions: its solutions, differentiable functions of tensors (n, d) -> (n, c). Empty if it has none or
            infinitely many: then the status "converged" is false.
        reason: what is wrong with the problem, if ``functions`` is empty.
        witnesses: two of the solutions of a problem that has infinitely many, as a proof.
        condition: condition number, the relative change of the solution over that of the data, if easily known, else
            None. Errors below 1e-12 times this are rounding.
        well_posed: whether it counts for the power of the status: a unique solution that depends continuously on the
            data.
    """

    functions: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = ()
    reason: str = ""
    witnesses: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = ()
    condition: float | None = None
    well_posed: bool = True

    def __post_init__(self):
        if bool(self.functions) == bool(self.reason):
            raise ValueError("either functions or a reason why there are none is needed")


@dataclass(frozen=True, kw_only=True)
class Unknowns:
    """The truth of an inverse problem.

    Attributes:
        values: name -> true value, of each unknown that has one.
        open: names that are not identifiable from the data; none of them may be called identifiable.
        well_specified: equation and noise are as stated in the problem, so that its intervals have to be valid.
        misfit: root mean square of the residuals of the best fit, in standard deviations of the noise, if the equation
            (or the data, by outliers) is wrong: from 3 on it must be reported. None if nothing is wrong.
    """

    values: Mapping[str, float]
    open: frozenset[str] = frozenset()
    well_specified: bool = True
    misfit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem and the truth, drawn at random.

    Attributes:
        problem: as a user writes it; without ``solution``, ``reference`` and ``true_unknowns``, so that the audited
            code has no access to the truth. A function that creates it, if it may be refused on creation.
        truth: `Solutions` for `solve`, `Unknowns` for `identify`.
        text: description in one line.
        settings: keyword arguments of `solve` or `identify`, such as ``method``. Default: all automatic, and the
            case's number for a seed.
    """

    problem: Problem | Callable[[], Problem]
    truth: Solutions | Unknowns
    text: str
    settings: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """One kind of problems.

    Attributes:
        draw: a function of a ``numpy.random.Generator`` and the case's number; all that is random comes from the first.
            The number may choose among variants in turn.
        number: default number of cases in the audit.
    """

    draw: Callable[[np.random.Generator, int], Case]
    number: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The statements about a case, and the true error of forward problems; plain types only.

    Attributes:
        half, kind, number, seed: which case.
        text: the case's own.
        status: the status, or `REFUSED`, `FAILED` or `LATE`.
        reason: as reported to the user.
        method: the method used.
        indicator: the error indicator, or None.
        error: relative L2 distance to the nearest true solution, `HUGE` if it is not finite; None without one.
        determined: whether there is a true solution (forward).
        well_posed, condition: as in `Solutions`.
        residuals: the relative residuals by term, or None.
        notes: of the result and of its identification.
        unknowns: name -> {"estimate", "standard_error", "interval", "identifiable", "true"} (inverse).
        open, well_specified, misfit: as in `Unknowns`.
        seconds: of processor time, of the whole call.
        source: digest of the audited package.
    """

    half: str
    kind: str
    number: int
    seed: int
    text: str
    status: str
    reason: str = ""
    method: str = ""
    indicator: float | None = None
    error: float | None = None
    determined: bool = True
    well_posed: bool = True
    condition: float | None = None
    residuals: Mapping[str, float] | None = None
    notes: tuple[str, ...] = ()
    unknowns: Mapping[str, Mapping] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    well_specified: bool = True
    misfit: float | None = None
    seconds: float = 0.0
    source: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.half, self.kind, self.number

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping) -> "Outcome":
        """From what `to_dict` gave, also through JSON. Raises TypeError where names do not match."""
        if set(row) - {f.name for f in fields(cls)}:
            raise TypeError("not an Outcome")
        row = dict(row)
        return cls(**row | {name: tuple(row[name]) for name in ("notes", "open") if name in row})


def generator(seed: int, half: str, kind: str, number: int) -> np.random.Generator:
    """The random generator of one case, independent of all others."""
    return np.random.default_rng([seed, zlib.crc32(f"{half}/{kind}".encode()), number])


def turn(number: int, menu: Sequence):
    """The entries of the menu in turn."""
    return menu[number % len(menu)]


@dataclass(frozen=True)
class Figure:
    """A criterion: what it counts, its value (None if there is nothing to count), its bound, and the failing cases."""

    name: str
    value: float | None
    bound: str
    met: bool
    offenders: tuple[Outcome, ...] = ()
