"""Automatic choice of the method (``method="auto"``): the first rule that applies to the problem and the network."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

from .. import limits
from ..analysis.basis_size import for_bands, for_wavenumbers
from ..analysis.linearity import is_linear
from ..analysis.wavenumbers import coefficient_wavenumber, problem_bands, problem_wavenumber
from ..backend import seeded
from ..discretization.jets import orders_of_problem
from ..discretization.objective import Objective
from ..errors import MemoryLimitError, TrainingError
from ..methods.adam import Adam
from ..methods.gauss_newton import MOST_PARAMETERS, GaussNewton
from ..methods.joint import Joint
from ..methods.lbfgs import LBFGS
from ..methods.least_squares import LeastSquares
from ..methods.low_rank import LowRank
from ..methods.marching import Marching
from ..methods.method import Method
from ..methods.patch_marching import PatchMarching
from ..methods.patching import Patching
from ..methods.shooting import Shooting
from ..networks.network import Network
from ..networks.registry import NETWORKS, build_network
from ..networks.repnet import TANH
from ..problem.points import collocation
from ..problem.problem import Problem
from .search import LARGE, MANY
from .trial import attempt

FIRST_ORDER = f"{Adam.name}+{LBFGS.name}"
TRIAL_SHARE = 0.25
"""Of the time that is left, for a preliminary test of a method; one that does not pass it by then is not taken."""
LOOK_AHEAD = 5
"""Number of products in a preliminary test."""
FEW_PATCHES = 60
"""Maximum number of subdomains (patches) in a preliminary test in one dimension."""
LOW_RANK = 0.3
"""Relative residual that a sum of `LOOK_AHEAD` products has to reach to be chosen automatically."""
SMALL = 600
"""Maximum number of basis functions in a preliminary test of Newton's method."""


@dataclass(frozen=True)
class Asked:
    """A problem, the network asked for (or None), and its hidden widths (or None)."""

    problem: Any
    network: Any
    layers: Sequence[int] | None
    unfinished: list[str] = field(default_factory=list)
    """Names of the preliminary tests for which there was no time."""

    def allows(self, method: type[Method]) -> bool:
        """Whether no network is requested, or that of ``method``."""
        return self.network in (None, method.network)

    @property
    def free(self) -> bool:
        """Whether nothing is specified for the network."""
        return self.network is None and self.layers is None

    @property
    def named(self) -> Network | None:
        """The `Network` asked for by name, or None."""
        return NETWORKS.get(self.network) if isinstance(self.network, str) else None

    @property
    def one_layer(self) -> bool:
        """Whether the network may be a RepNet of one hidden layer, and nothing is unknown."""
        ours = self.network is None or (self.named is not None and self.named.ours)
        return ours and (self.layers is None or len(self.layers) == 1) and not self.problem.unknowns

    def passes(self, test: Callable[..., bool], *more: Any) -> bool:
        """Whether the problem passes a preliminary test, in its part of the time."""
        name = test.__name__.replace("_", " ")
        limits.say(f"planning: a preliminary test ({name}?)")
        try:
            with limits.within(TRIAL_SHARE * limits.left()):
                return test(self.problem, *more)
        except MemoryLimitError:
            return False
        except limits.Ended as ended:
            if ended.reason == limits.INTERRUPTED:
                raise
            self.unfinished.append(name)
            return False

    @functools.cached_property
    def large(self) -> bool:
        """Whether least squares on the whole domain would begin with more than `MANY` coefficients."""
        problem = self.problem
        if not (self.one_layer and self.free and is_linear(problem)):
            return False
        wavenumber = problem_wavenumber(problem).data
        bands = problem_bands(problem, wavenumber)
        wanted = for_wavenumbers(problem, wavenumber) if bands is None else for_bands(problem, bands)
        return len(problem.outputs) * wanted > MANY


def automatic_method(problem: Problem, network: Any, options: Mapping[str, Any] | None) -> tuple[str, str]:
    """The method, or sequence of methods, for a problem and the network asked for (or None), and why."""
    asked = Asked(problem, network, (options or {}).get("layers"))
    found = ((method, reason(asked)) for method, reason in RULES)
    last = GaussNewton.name, "nonlinear or inverse problem, or a network other than a RepNet of one layer: Gauss-Newton"
    method, said = next((pair for pair in found if pair[1] is not None), last)
    return method, "; ".join([str(said), *(f"no time to test whether {test}" for test in asked.unfinished)])


def _single_precision(asked: Asked) -> str | None:
    if asked.problem.dtype != "float64":
        return f"float32: {FIRST_ORDER}, since the other methods need float64"
    return None


def _nonlinear_inverse_in_time(asked: Asked) -> str | None:
    if not asked.allows(Shooting) or asked.layers is not None or Shooting.why_not(asked.problem):
        return None
    if is_linear(asked.problem.forward()):
        return None
    return "inverse problem, nonlinear and in time: Gauss-Newton on the unknowns, the state on space-time slabs"


def _inverse(asked: Asked) -> str | None:
    named = asked.named
    spread = asked.network is None or (named is not None and named.ours and not named.pieces and named is not TANH)
    if spread and (asked.layers is None or len(asked.layers) == 1) and not Joint.why_not(asked.problem):
        return "inverse problem: Gauss-Newton on the last layer and the unknowns together"
    return None


def _interfaces(asked: Asked) -> str | None:
    if asked.one_layer and asked.allows(Patching) and (asked.problem.interfaces or asked.network):
        return f"{'interfaces' if asked.problem.interfaces else 'the network'}: least squares on subdomains"
    return None


def _network_of_products(asked: Asked) -> str | None:
    if asked.one_layer and asked.network == LowRank.network and not LowRank.why_not(asked.problem):
        return "the network: a sum of few products"
    return None


def _many_coordinates(asked: Asked) -> str | None:
    if not asked.large or asked.problem.dim < 3 or LowRank.why_not(asked.problem):
        return None
    return "linear problem in many coordinates: a sum of few products" if asked.passes(low_rank_converges) else None


def _many_waves(asked: Asked) -> str | None:
    if asked.large and not Patching.why_not(asked.problem):
        return "linear problem with many waves: least squares on subdomains"
    return None


def _linear(asked: Asked) -> str | None:
    if asked.one_layer and is_linear(asked.problem):
        return "linear problem: least squares for the last layer"
    return None


def _dispersive(asked: Asked) -> str | None:
    """Reason for dispersive problems: if the highest derivative along an axis of space is of odd order, three or more,
    there are short waves in many places rather than single fronts."""
    if not (asked.one_layer and asked.network is None) or Marching.why_not(asked.problem):
        return None
    orders = orders_of_problem(asked.problem)
    assert orders is not None  # otherwise marching is unsuited
    highest = max(max(index[:-1]) for index in orders)
    if highest > 2 and highest % 2 == 1:
        return "nonlinear dispersive problem in time: Newton's method on subdomains, in windows"
    return None


def _in_time(asked: Asked) -> str | None:
    if asked.one_layer and asked.allows(Marching) and not Marching.why_not(asked.problem):
        return "nonlinear problem in time: Newton's method on the last layer, slab by slab"
    return None


def _steady(asked: Asked) -> str | None:
    if asked.one_layer and not asked.problem.in_time and asked.passes(newton_converges, asked.network):
        return "nonlinear problem: Newton's method on the last layer"
    return None


def _sharp(asked: Asked) -> str | None:
    if asked.one_layer and asked.free and asked.passes(patching_converges):
        return "nonlinear problem, sharp in one place: Newton's method on subdomains"
    return None


def _many_parameters(asked: Asked) -> str | None:
    if isinstance(asked.network, torch.nn.Module):
        size = sum(p.numel() for p in asked.network.parameters())
    else:
        own = None if asked.named is None else asked.named.layers
        sizes = [asked.problem.dim, *(asked.layers or own or GaussNewton.layers), len(asked.problem.outputs)]
        size = sum((a + 1) * b for a, b in pairwise(sizes))
    if size > MOST_PARAMETERS:
        return f"large network: {FIRST_ORDER}, since Gauss-Newton is fast up to {MOST_PARAMETERS:,} parameters"
    return None


RULES: tuple[tuple[str, Callable[[Asked], str | None]], ...] = (
    (FIRST_ORDER, _single_precision),
    (Shooting.name, _nonlinear_inverse_in_time),
    (Joint.name, _inverse),
    (Patching.name, _interfaces),
    (LowRank.name, _network_of_products),
    (LowRank.name, _many_coordinates),
    (Patching.name, _many_waves),
    (LeastSquares.name, _linear),
    (PatchMarching.name, _dispersive),
    (Marching.name, _in_time),
    (LeastSquares.name, _steady),
    (Patching.name, _sharp),
    (FIRST_ORDER, _many_parameters),
)
"""(method, function that gives the reason for it or None); the first one that gives a reason decides."""


def low_rank_converges(problem: Problem) -> bool:
    """Whether the residual of a sum of a few products decreases: a cheap preliminary test."""
    with seeded(0):
        wavenumber = problem_wavenumber(problem).values
        options = LowRank.network_options(problem, {}, wavenumber)
        net = build_network(problem, LowRank.network, options, wavenumber)
        data = collocation(problem, **LowRank.points(problem, net, wavenumber))
        objective = Objective(data, net, [], problem.term_names, {}, problem)
        method = LowRank(objective, LowRank.default_iterations, tolerance=LARGE, most_products=LOOK_AHEAD)
        while method.stopped is None:
            method.step()
    return min(method.worst) < LOW_RANK


def patching_converges(problem: Problem) -> bool:
    """Whether Newton's method on few subdomains, which are halved where the residual is large, makes progress: a cheap
    preliminary test in one dimension."""
    if problem.dim > 1 or Patching.why_not(problem):
        return False
    with seeded(0):
        net = build_network(problem, Patching.network, {}, None)
        objective = Objective(collocation(problem), net, [], problem.term_names, {}, problem)
        method = Patching(objective, Patching.default_iterations, tolerance=LARGE, most_patches=FEW_PATCHES)
        try:
            while method.stopped is None:
                method.step()
        except TrainingError:
            return False
    return min(method.worst) < LARGE


def newton_converges(problem: Problem, network: Any) -> bool:
    """Whether Newton's method on the last layer of a small network makes progress: a cheap preliminary test."""
    name = network or LeastSquares.network
    for wavenumber in (problem_wavenumber(problem).data, coefficient_wavenumber(problem)):
        if wavenumber is not None:
            options = {"layers": [int(min(SMALL, for_wavenumbers(problem, wavenumber)))]}
            if attempt(problem, name, options, wavenumber, 0).held_out < LARGE:
                return True
    return False
