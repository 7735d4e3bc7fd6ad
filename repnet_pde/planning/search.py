"""Search for the first layer of a least-squares method: several are tested by the residual at held-out points.

The exact solution is not used.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .. import limits
from ..analysis import basis_size
from ..analysis.basis_size import for_bands, for_wavenumbers
from ..analysis.wavenumbers import MORE, coefficient_wavenumber, problem_bands, problem_wavenumber, said
from ..backend import seeded
from ..discretization.last_layer import Outcome, last_linear
from ..errors import MemoryLimitError
from ..fitting import samples
from ..fitting.search import finish
from ..fitting.search import search as search_samples
from ..methods.least_squares import LeastSquares
from ..methods.patching import Patching
from ..networks.registry import NETWORKS
from ..problem.points import collocation
from ..problem.problem import Problem
from .independent import Independent, branches, check, independent
from .trial import Candidate, attempt, unsolved

GOOD = 1e-11
"""Held-out residual, relative to the data, below which the search ends."""
WORK = 2e11
"""Maximum work of the search, as the sum of the cubes of the numbers of columns: about a minute. A time limit would
make the choice depend on the load of the machine."""
LARGE = 1e-3
"""Held-out residual above which the basis functions are assumed not to approximate the solution."""
BETTER = 0.3
"""A first layer must reduce the held-out residual at least by this factor to be preferred."""
MANY = 1500
"""Number of coefficients above which subdomains (patches) replace global basis functions in the automatic choice."""
STRIDES = 2
"""How often all wavenumbers are doubled if no single step reduces a held-out residual above `LARGE`."""
GROW, SPREAD, SPEED = 1.6, 1.6, 2.0
"""Factors of a step: on the number of basis functions, on a slope scale, on the wavenumber along one axis."""
FULL = 0.97
"""Ratio of numerical rank to columns above which more basis functions are tried before other slopes."""
ROWS = 1.5
"""Minimum ratio of rows to columns, if the number of rows is given."""


@dataclass
class Found:
    """Result of a search.

    Attributes:
        network, options: the network's name and its options with everything filled in.
        notes: what was tried, in words.
        solved: the best candidate.
        independent: comparison with a second solution.
    """

    network: str
    options: dict
    notes: list[str]
    solved: Candidate
    independent: Independent = field(default_factory=Independent)


def search_basis(
    problem: Problem,
    network: str,
    options: dict,
    wavenumber: Sequence[float] | np.ndarray,
    seed: int,
    in_turn: bool = False,
) -> Found:
    """Choose the number of basis functions and the scale of the first layer of a one-layer network.

    Starts from the wavenumber, for sines from the bands of wavenumbers found in the data; takes more basis functions as
    long as they have full numerical rank, otherwise a wider range of slopes, as long as the held-out residual
    decreases. A linear problem is then solved a second time with other basis functions and other points: the distance
    of the two solutions is an error indicator.

    Args:
        options: the user's network options; ``layers`` and the slopes are chosen where they are not given.
        in_turn: whether another method will follow if no basis approximates the solution: half of the time is reserved
            for it, and for wavenumbers that only the coefficients suggest, at most `MANY` basis functions are tried.
    """
    search = _Search(problem, network, options, wavenumber, in_turn)
    tried = search.tried
    cut = search.run(seed)
    best = min(tried, key=lambda c: c.held_out)
    found = Found(network, best.options, [f"least squares with {best}; {len(tried)} first layer(s) tried"], best)
    found.notes += [cut] if cut else []
    found.notes += search.advice(best)
    try:
        with limits.endable():
            if best.outcome.affine or best.outcome.converged:
                limits.say("planning: a second solution, with other basis functions and points")
                found.independent = independent(problem, network, best.options, wavenumber, seed + 1, best.net)
                found.notes += branches(problem, network, best, wavenumber, seed)
                if network != LeastSquares.network:  # other basis functions are less sensitive to nonuniqueness
                    left = check(problem, best.net, wavenumber, seed + 1, solve=False).loosest
                    found.independent = replace(found.independent, loosest=left)
    except (MemoryLimitError, limits.Ended) as why:
        found.notes.append(f"no second solution to compare with: {why}")
    return found


class _Search:
    """A coordinate search for a smaller held-out residual.

    The search variables are the number of basis functions and, for sines, the largest wavenumber of each axis, for
    others the slope scale; each only if the user has not fixed it. If the basis does not approximate the solution, the
    wavenumber suggested by the coefficients of the equations is tried.
    """

    def __init__(
        self, problem: Problem, network: str, options: dict, wavenumber: Sequence[float] | np.ndarray, in_turn: bool
    ):
        self.problem, self.network, self.options, self.in_turn = problem, network, options, in_turn
        self.wavenumber, self.known = wavenumber, np.asarray(wavenumber, dtype=float)
        self.tried: list[Candidate] = []
        self.half_width, self.most = problem.box.half_width, basis_size.MOST // len(problem.outputs)
        if problem.pde is None or problem.sampling.domain:  # the number of rows is given: columns must stay below it
            self.most = max(1, min(self.most, int(_rows(problem) / ROWS)))
        entry = NETWORKS[network]
        given = {"slope_scale", "bands"} & set(options)
        self.sines = entry.sines and not given
        self.scale = np.array([])
        """Search variable besides the number of basis functions: (d,) wavenumbers, (1,) a slope scale, or (0,) none."""
        if self.sines:
            self.scale = self.known if "wavenumber" not in options else np.array([])
        elif "slope_scale" in entry.options and not given:
            self.scale = np.array([np.max(self.known * self.half_width) / 2])

    def run(self, seed: int) -> str | None:
        """Try the candidates one after the other; gives a note where a limit or Ctrl-C ended that."""
        tried, until = self.tried, limits.left()
        for chosen in self.candidates():
            features = chosen["layers"][-1]
            work = sum(c.outcome.columns**3 for c in tried) + (features * len(self.problem.outputs)) ** 3
            best = min((c.held_out for c in tried), default=math.inf)
            if tried and (work > WORK or (self.in_turn and best > LARGE and limits.left() < until / 2)):
                break
            so_far = f", held-out residual {best:.1e} so far" if tried else ""
            limits.say(f"planning: trial {len(tried) + 1} of a first layer, {features} basis functions{so_far}")
            try:
                with limits.endable():
                    tried.append(attempt(self.problem, self.network, chosen, self.wavenumber, seed))
            except (MemoryLimitError, limits.Ended) as why:
                if not tried:
                    if not (isinstance(why, limits.Ended) and why.reason == limits.TIME_LIMIT):
                        raise
                    tried.append(unsolved(self.problem, self.network, chosen, self.wavenumber, seed))
                return f"the search for the first layer was cut short: {why}"
            if tried[-1].held_out <= GOOD:
                break
        return None

    def candidates(self) -> Iterator[dict]:
        """The options to try next, from the results so far."""
        bands = problem_bands(self.problem, self.wavenumber) if self.sines and len(self.scale) else None
        if bands is not None:
            width = min(self.most, math.ceil(for_bands(self.problem, bands)))
            yield {"layers": [width]} | self.options | {"bands": bands}
        more, strides, scale = 1.0, 0, self.scale
        yield self.filled(more, scale)
        best = self.tried[-1]
        other, beyond = self.of_coefficients(best)
        if other is not None:
            yield self.filled(more, other)
            if self.tried[-1].held_out < best.held_out:
                scale, best = other, self.tried[-1]
        while True:
            for grow, change in self.moves(best, scale):
                yield self.filled(more * grow, scale * change)
                if self.tried[-1].held_out < BETTER * best.held_out:
                    more, scale, best = more * grow, scale * change, self.tried[-1]
                    break
            else:
                if best.held_out < LARGE or beyond or not self.sines or not len(scale) or strides == STRIDES:
                    return
                strides += 1  # the basis is far too coarse: no single step gives an improvement
                scale = 2 * scale
                yield self.filled(more, scale)
                best = min(best, self.tried[-1], key=lambda c: c.held_out)

    def filled(self, more: float, scale: np.ndarray) -> dict:
        """The options with ``more`` times the basis functions that the waves need, and this scale."""
        chosen = dict(self.options)
        if "layers" not in chosen:
            known = scale if self.sines and len(scale) else self.known
            wanted = for_wavenumbers(self.problem, known, more * (1 if self.sines else 2))
            chosen["layers"] = [int(min(self.most, math.ceil(wanted)))]
        if len(scale):
            chosen |= {"wavenumber": scale.tolist()} if self.sines else {"slope_scale": scale.item()}
        return chosen

    def moves(self, best: Candidate, scale: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """Factors on the number of basis functions and on the scale."""
        free = "layers" not in self.options and best.features < self.most
        grow = [(GROW, np.ones(len(scale)))] if free else []
        if self.sines:  # unresolved waves are most often along the axis of least variation, such as time
            order: Iterable[int] = np.argsort(scale * self.half_width) if len(scale) else []
            change = [(1.0, np.where(np.arange(len(scale)) == axis, SPEED, 1.0)) for axis in order]
        else:
            change = [(1.0, np.array([factor])) for factor in (SPREAD, 1 / SPREAD)] if len(scale) else []
        return grow + change if best.outcome.rank > FULL * best.outcome.columns else change + grow

    def of_coefficients(self, best: Candidate) -> tuple[np.ndarray | None, bool]:
        """The scale suggested by the coefficients of the equations if the basis does not approximate the solution, or
        None; and whether it needs so many basis functions that another method is preferred."""
        if best.held_out <= LARGE or not len(self.scale):
            return None, False
        other = coefficient_wavenumber(self.problem)
        if other is None:
            return None, False
        other = other if self.sines else np.array([np.max(other * self.half_width) / 2])
        wanted = for_wavenumbers(self.problem, other if self.sines else self.known)
        beyond = self.in_turn and wanted * len(self.problem.outputs) > MANY
        return (other if wanted <= self.most and not beyond else None), beyond

    def advice(self, best: Candidate) -> list[str]:
        """Notes on what else was tried, and on what to do if no basis approximates the solution."""
        notes, problem = [], self.problem
        other = coefficient_wavenumber(problem) if len(self.tried) > 1 and self.tried[0].held_out > LARGE else None
        if other is not None and (other > MORE * np.asarray(problem_wavenumber(problem).values)).any():
            notes.append(f"also looked for with the wavenumber of the coefficients, {said(other)}")
        if best.held_out > LARGE and not self.in_turn:
            text = "the held-out residual is large: the solution may need more basis functions, or is not smooth"
            if problem.wavenumber is None:
                text += "; state wavenumber if it is faster than the data show"
            if not Patching.why_not(problem):
                text += f"; the method {Patching.name} suits what is sharp in one place"
            notes.append(text)
        return notes


def _rows(problem: Problem) -> int:
    with seeded(0):
        data = collocation(problem)
    return sum(data.num_bcs) + (0 if problem.pde is None else len(data.train_x_all))


def search_of_samples(problem: Problem, network: str, options: dict, seed: int) -> Found:
    """The same for a problem that consists of samples of a function: `repnet_pde.fitting.search.search`.

    A network that was chosen by default (without options) may be replaced by another.
    """
    given = samples.of_problem(problem)
    assert given is not None  # the problem consists of samples
    data = samples.make(*given, domain=problem.box, validation=samples.HELD_OUT, seed=seed, dtype=problem.dtype)
    asked = None if network == LeastSquares.network and not options else network
    found = search_samples(data, asked, options, seed=seed)
    best = found.best
    finish(best.net, best.name, data)
    features = last_linear(best.net).in_features
    columns = features + 1
    outcome = Outcome(True, True, False, best.held_out, [1.0], columns, columns, 1, 1)
    with seeded(seed):
        points = collocation(problem)
    solved = Candidate(best.options, features, best.held_out, outcome, best.net, points)
    notes = [f"{best}; {len(found.tried)} first layer(s) tried"]
    notes += [] if found.cut_short is None else [f"the search for the first layer was cut short: {found.cut_short}"]
    notes += [f"what is left of the samples: {', '.join(f'{v:.2e}' for v in best.noise * data.scale)}"]
    return Found(best.name, best.options, notes, solved)
