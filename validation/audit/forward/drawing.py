"""Common functions of the kinds of forward problems: domains, coefficients and the `Case`."""

import numpy as np
import torch

from .... import Problem
from ....backend import dde
from ..case import Case, Solutions
from ..fields import waves

FEATURES = (
    {},
    {"network": "repnet", "method": "least-squares"},
    {"network": "repnet-gaussian", "method": "least-squares"},
)
"""Settings taken in turn: all automatic, and basis functions whose partition points could coincide in both solves."""


def case(text: str, problem: Problem, *functions, settings=None, **truth) -> Case:
    return Case(problem=problem, truth=Solutions(functions=functions, **truth), text=text, settings=settings or {})


def log_uniform(rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def interval(rng) -> tuple[float, float]:
    low = rng.uniform(-2, 2)
    return float(low), float(low + rng.uniform(0.5, 3))


def line(low, high):
    return dde.geometry.Interval(low, high)


def rectangle(rng) -> tuple[np.ndarray, np.ndarray]:
    low = rng.uniform(-1, 1, 2)
    return low, low + rng.uniform(0.4, 2, 2)


def in_time(geometry, end: float, start: float = 0.0):
    return dde.geometry.GeometryXTime(geometry, dde.geometry.TimeDomain(start, start + end))


def positive(rng, lower, upper, largest: float = 4.0, size: float = 0.5):
    """A coefficient exp(waves), between e^-size and e^size."""
    w = waves(rng, lower, upper, largest, size=size)
    return lambda x: torch.exp(w(x))
