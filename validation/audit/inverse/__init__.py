"""Inverse problems with known true unknowns, and tests of the statements of `identify` about them.

An `Experiment`, noise and start values are drawn at random. The truth follows from the experiment alone: which unknowns
are identifiable, how accurately (Cramer-Rao bound), and the misfit of the best fit if the equation or the data are
wrong. The kinds of problems are listed in `kinds`; `judgement` counts false statements.
"""

from .judgement import FALSE, power
from .kinds import KINDS, SHORT
from .truth import Said, of_case, of_result

__all__ = ["FALSE", "KINDS", "SHORT", "Said", "of_case", "of_result", "power"]
