"""Rounding errors of a solution, measured by solving again with entries perturbed in their last digits.

A backward stable method solves equations exactly whose entries differ from the given ones by about a unit of rounding
(N. J. Higham, Accuracy and Stability of Numerical Algorithms (2002), chapters 1, 9 and 20). Inside `disturbed(seed)`
the solvers change their entries at random by as much, so that two solutions on one grid differ by a sample of the
rounding error, with the condition of the equations in it and whatever the kernels of the processor (a random
arithmetic at the level of arrays: J. Vignes, Math. Comput. Simul. 35 (1993) 233-261). The steps of an integrator with a
tolerance are of the same kind: an error that no finer grid makes smaller. There the tolerance is loosened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from scipy import sparse

EPS = float(np.finfo(float).eps)
LOOSER = 2.0  # factor of an integrator's tolerance: the two errors then differ by about the tighter one
CONVERGENT = 1e-6
"""Relative step below which Newton's method is converging, so that steps that stagnate are rounding errors."""

_generator: ContextVar[np.random.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def disturbed(seed: int) -> Iterator[None]:
    """Within it `rounded` and the like change what they are given; the same seed gives the same changes."""
    token = _generator.set(np.random.default_rng(seed))
    try:
        yield
    finally:
        _generator.reset(token)


def rounded(array: np.ndarray | sparse.sparray, *, alike: int | None = None) -> np.ndarray | sparse.sparray:
    """The array itself; inside `disturbed` one whose entries are changed by up to EPS, relative to each of them.

    Along the axis ``alike`` all entries are changed alike, as equal numbers are rounded: such errors add up.
    """
    rng = _generator.get()
    if rng is None:
        return array
    if sparse.issparse(array):
        array = array.copy()
        array.data = rounded(array.data)
        return array
    shape = [1 if axis == alike else length for axis, length in enumerate(np.shape(array))]
    return array + EPS * rng.uniform(-1, 1, shape) * array  # a factor 1 + EPS / 3 would be rounded to 1


def rounded_together(array: np.ndarray) -> np.ndarray:
    """As `rounded`, relative to the root mean square of all entries, which orthogonal transformations mix."""
    rng = _generator.get()
    if rng is None:
        return array
    return array + EPS * np.sqrt(np.mean(np.abs(array) ** 2)) * rng.uniform(-1, 1, np.shape(array))


def running_sum(array: np.ndarray) -> np.ndarray:
    """`numpy.cumsum`; inside `disturbed` with an error of every partial sum, which those after it inherit."""
    sums = np.cumsum(array)
    rng = _generator.get()
    return sums if rng is None else sums + np.cumsum(EPS * rng.uniform(-1, 1, sums.shape) * sums)


def integrator(rtol: float) -> float:
    """The tolerance of an adaptive integrator, looser inside `disturbed`."""
    return rtol if _generator.get() is None else LOOSER * rtol


def settled(step: float, before: float) -> bool:
    """Whether Newton's method has converged: its relative steps are small and at rounding level.

    ``step`` and ``before`` are the last two (the first has none before it: infinity). Where the method converges a
    step is less than half of the one before, until the steps are made of rounding errors and fall no more. That level
    depends on the problem, so that no tolerance near it would do.
    """
    return step <= EPS or (step <= CONVERGENT and step > before / 2)
