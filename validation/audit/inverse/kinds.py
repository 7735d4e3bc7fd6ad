"""All kinds of inverse problems: how each is drawn, and how many of them the audit makes."""

from ..case import Kind
from . import determined, faults, undetermined

KINDS: dict[str, Kind] = {
    "standard": Kind(determined.standard, 22),
    "no start": Kind(determined.no_start, 18),
    "few data": Kind(determined.few, 18),
    "wrong noise level": Kind(faults.noise_level, 16),
    "far starts": Kind(determined.far, 18),
    "undetermined": Kind(undetermined.undetermined, 24),
    "wrong equation": Kind(faults.wrong_equation, 18),
    "bad data": Kind(faults.bad_data, 20),
    "nonlinear in time": Kind(determined.nonlinear, 16),
    "in a condition": Kind(determined.in_a_condition, 18),
    "many decades": Kind(determined.decades, 12),
}

SHORT: dict[str, tuple[int, ...]] = {
    "standard": (0, 3),
    "no start": (0,),
    "few data": (5,),
    "wrong noise level": (0, 5),
    "far starts": (9,),
    "undetermined": (0, 5),
    "wrong equation": (0,),
    "bad data": (0,),
    "in a condition": (0, 1),
    "many decades": (0,),
}
