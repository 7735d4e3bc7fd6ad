"""Equations whose solution is known as a function of the numbers in them: with constant coefficients, or nonlinear.

An `Experiment` states the same equation twice: for DeepXDE, with the unknown numbers as variables, and as a function
that returns the observed values for any numbers, by closed forms, matrix exponentials or SciPy. The second is
independent of the package. Each function draws one from a generator; the names of the unknowns are given.
"""

from .boundary import ROBIN, SLOPE, VALUE, line, square
from .evolution import heat, ring, string
from .experiment import AS_OPERATOR, CACHED, FREE, STATED, Experiment, changed, composed, log_uniform
from .nonlinear import growth, predators, reaction, spreading, swing
from .ordinary import chain, first_order, oscillator

__all__ = [
    "AS_OPERATOR",
    "CACHED",
    "FREE",
    "ROBIN",
    "SLOPE",
    "STATED",
    "VALUE",
    "Experiment",
    "chain",
    "changed",
    "composed",
    "first_order",
    "growth",
    "heat",
    "line",
    "log_uniform",
    "oscillator",
    "predators",
    "reaction",
    "ring",
    "spreading",
    "square",
    "string",
    "swing",
]
