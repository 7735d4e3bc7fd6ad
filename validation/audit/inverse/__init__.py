"""Inverse problems whose unknowns are known, and whether what `identify` says of them is true.

What is drawn is an `Experiment`, noise and start values. What is true follows from the experiment alone: which unknowns
are determined, how well (Cramer and Rao), and by how much the best fit misses the data where the equation or the data
are wrong. The kinds of problems are listed in `kinds`; `judgement` counts what was said falsely.
"""

from .judgement import FALSE, power
from .kinds import KINDS, SHORT
from .truth import Said, of_case, of_result

__all__ = ["FALSE", "KINDS", "SHORT", "Said", "of_case", "of_result", "power"]
