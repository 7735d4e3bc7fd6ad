"""What a method needs before it starts: which method, which network, how many points.

Least squares is cheap enough to try several first layers and to keep the one whose residual on held-out points is
smallest; nothing of the solution is used for that.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from ..analysis.linearity import is_linear
from ..analysis.wavenumbers import MORE, coefficient_wavenumber, problem_bands, problem_wavenumber, rank_of_bands, said
from ..backend import dde, seeded
from ..checking import accuracy
from ..checking.determination import loosest
from ..checking.sizes import CHUNK, network_jet, sized_terms
from ..checking.status import ranges_of
from ..discretization.features import Features
from ..discretization.jets import check_plain, needed_orders, orders_of_problem
from ..discretization.last_layer import CopySystem, JetSystem, Outcome, last_linear, newton
from ..discretization.objective import Objective
from ..errors import InputError, TrainingError
from ..fitting import samples
from ..fitting import search as regression
from ..linalg.dense import Factorization, row_scales, stack
from ..methods.low_rank import LowRank, coefficients
from ..methods.patching import FEATURES, Patching
from ..networks.registry import DEFAULT, PIECEWISE, build_network, default_layers
from ..problem.points import collocation
from ..problem.residuals import residual_vectors

ROWS_PER_FEATURE = 3
ROWS_PER_PARAMETER = 3
MOST_FEATURES = 6000
MOST_PARAMETERS = 4000
"""Most parameters for which Gauss-Newton, with a dense Jacobian, is chosen unasked."""
MARGIN = 1.3
"""Features over the numerical rank that is expected."""
GOOD = 1e-11
"""Held-out residual, relative to the data, below which nothing better is looked for."""
WORK = 2e11
"""Most work of the search, as the sum of the cubes of the numbers of columns: about a minute. Not a time, which would
make the choice depend on how busy the machine is."""
LARGE = 1e-3
"""Held-out residual above which the features are taken not to reach the solution."""
BETTER = 0.3
"""A first layer must lower the held-out residual to this part of it to be preferred."""
STRIDES = 2
COARSE_PART, COARSE_OVERHEAD = 0.8, 8
"""Of a coarse solution: its part of the wavenumbers, and independent functions of an axis beyond 2 k / π. On a driven
wave (driven_wave_1d) 0.8 and 8 left 1e-4 of the equations' residual, 1.0 and 4 left a tenth."""
MANY = 1500
"""Coefficients from which on patches are taken instead of features of the whole domain, unasked."""
LOOK_AHEAD = 5
FEW_PATCHES = 60
"""Most patches of a look ahead in one dimension."""
LOW_RANK = 0.3
"""Relative residual that a sum of `LOOK_AHEAD` products has to reach to be preferred, unasked."""
EXTRA = 1.15
"""Times the features of a solution that the one it is compared with has."""
CHEAP = 200
"""Most coefficients for which another solution of a nonlinear problem is looked for."""
MULTIPLES, RESOLVING = (-10.0, -1.0, 3.0, 30.0), 2
"""Times the first solution from which it is looked for, and times its features and wavenumbers."""
SOLVED, ANOTHER = 1e-3, 1e-1
"""Held-out residual up to which it counts as one, and distance from which it counts as another."""
NEWTON_STEPS = 12
"""Factorisations of a trial on a nonlinear problem."""


@dataclass
class Candidate:
    """A first layer that was tried: its options and what it gave."""

    options: dict
    features: int
    held_out: float
    outcome: Outcome
    net: torch.nn.Module
    data: object
    judge: Callable[[torch.nn.Module], float] | None = None
    """The held-out residual of any network for the problem, at the same points."""
    loosest: float | None = None
    """As `determination.loosest`, of a solution that is compared with another."""

    def __str__(self) -> str:
        rank, columns = self.outcome.rank, self.outcome.columns
        return f"{self.features} features (numerical rank {rank} of {columns}): held-out residual {self.held_out:.1e}"


@dataclass(frozen=True)
class Independent:
    """What a second solution says of a first: their relative L2 distance, and `determination.loosest`; or None."""

    distance: float | None = None
    loosest: float | None = None


@dataclass
class Plan:
    """The network by name and its options with everything filled in, notes, what was solved on the way (or None), and
    what an independent solution says."""

    network: str
    options: dict
    notes: list[str]
    solved: Candidate | None = None
    independent: Independent = Independent()


def automatic_method(problem, network, options) -> tuple[str, str]:
    """What ``method="auto"`` means for a problem and the network asked for (or None), and why."""
    if problem.dtype != "float64":
        return "adam+lbfgs", "float32: adam+lbfgs, since the other methods need float64"
    layers = (options or {}).get("layers")
    if network in (None, "repnet-slabs") and layers is None and shooting_suits(problem):
        return "shooting", "inverse problem, nonlinear and in time: Gauss-Newton on the unknowns, the state by marching"
    if joint_suits(problem, network, options):
        return "joint", "inverse problem: Gauss-Newton on the last layer and the unknowns together"
    spread = network is None or (isinstance(network, str) and network.startswith("repnet"))
    if spread and (layers is None or len(layers) == 1) and not problem.unknowns:
        if network in (None, "repnet-patches") and (problem.interfaces or network):
            reason = "interfaces" if problem.interfaces else "the network"
            return "patching", f"{reason}: least squares on patches"
        if network == "repnet-product" and low_rank_suits(problem):
            return "low-rank", "the network: a sum of few products"
        if is_linear(problem):
            if network is None and layers is None and _expected(problem) > MANY:
                if problem.dim > 2 and low_rank_suits(problem) and low_rank_converges(problem):
                    return "low-rank", "linear problem in many coordinates: a sum of few products"
                if patching_suits(problem):
                    return "patching", "linear problem with many waves: least squares on patches"
            return "least-squares", "linear problem: least squares for the last layer"
        if network in (None, "repnet-slabs") and marches(problem):
            if network is None and dispersive(problem):
                return "patch-marching", "nonlinear dispersive problem in time: Newton's method on patches, in windows"
            return "marching", "nonlinear problem in time: Newton's method on the last layer, slab by slab"
        if not problem.in_time and newton_converges(problem, network):
            return "least-squares", "nonlinear problem: Newton's method on the last layer"
        if network is None and layers is None and patching_converges(problem):
            return "patching", "nonlinear problem, sharp in one place: Newton's method on patches"
    if isinstance(network, torch.nn.Module):
        size = sum(p.numel() for p in network.parameters())
    else:
        sizes = [problem.dim, *(layers or default_layers(network, "gauss-newton")), len(problem.outputs)]
        size = sum((a + 1) * b for a, b in pairwise(sizes))
    if size > MOST_PARAMETERS:
        return (
            "adam+lbfgs",
            f"large network: adam+lbfgs, since Gauss-Newton is fast up to {MOST_PARAMETERS:,} parameters",
        )
    return "gauss-newton", "nonlinear or inverse problem, or a deep network: Gauss-Newton on all parameters"


def marches(problem) -> bool:
    """Whether a problem can be solved slab by slab: in time, with conditions that hold at all times or at the start."""
    if not problem.in_time or problem.pde is None or problem.unknowns or problem.input_transform is not None:
        return False
    if problem.observations:
        return False
    found = orders_of_problem(problem)
    return found is not None and 1 <= max(index[-1] for index in found) <= 2


def dispersive(problem) -> bool:
    """Whether the highest derivative along an axis of space is the third or another odd one: then there are fine waves
    in many places, not single fronts."""
    highest = max(max(index[:-1]) for index in orders_of_problem(problem))
    return highest > 2 and highest % 2 == 1


def patching_suits(problem) -> bool:
    """Whether a problem can be solved on patches: conditions at points, equations, and not too many coordinates."""
    return problem.dim in FEATURES and _plain(problem)


def low_rank_suits(problem) -> bool:
    """Whether a problem can be solved for a sum of products: equations, conditions at points, and nothing unknown."""
    return problem.dim > 1 and _plain(problem)


def low_rank_converges(problem) -> bool:
    """Whether the residual of a sum of a few products falls: a cheap look ahead."""
    with seeded(0):
        wavenumber = problem_wavenumber(problem).values
        net = build_network(problem, DEFAULT["low-rank"], low_rank_options(problem, {}, wavenumber), wavenumber)
        data = collocation(problem, **points_for(problem, "low-rank", net, wavenumber))
        objective = Objective(data, net, [], problem.term_names, {}, problem)
        method = LowRank(objective, LowRank.default_iterations, tolerance=LARGE, most_products=LOOK_AHEAD)
        while method.stopped is None:
            method.step()
    return min(method.worst) < LOW_RANK


def patching_converges(problem) -> bool:
    """Whether Newton's method on few patches, which are halved where the residual is large, gets anywhere: a cheap look
    ahead in one dimension."""
    if problem.dim > 1 or not patching_suits(problem):
        return False
    with seeded(0):
        net = build_network(problem, DEFAULT["patching"], {}, None)
        objective = Objective(collocation(problem), net, [], problem.term_names, {}, problem)
        method = Patching(objective, Patching.default_iterations, tolerance=LARGE, most_patches=FEW_PATCHES)
        try:
            while method.stopped is None:
                method.step()
        except TrainingError:
            return False
    return min(method.worst) < LARGE


def _plain(problem) -> bool:
    """Equations whose residuals, like those of the conditions, depend on u at points, and nothing unknown."""
    try:
        check_plain(problem, "auto")
        needed_orders(problem, "auto")
    except InputError:
        return False
    return not problem.interfaces


def _expected(problem) -> float:
    """Coefficients that least squares on the whole domain would begin with."""
    wavenumber = problem_wavenumber(problem).data
    bands = problem_bands(problem, wavenumber)
    wanted = _wanted(problem, wavenumber, 1.0) if bands is None else _banded(problem, bands)
    return len(problem.outputs) * wanted


def shooting_suits(problem) -> bool:
    """Whether the unknowns are numbers, observed, of a nonlinear problem that can be solved slab by slab."""
    if not (problem.observations and problem.unknowns) or problem.unknown_fields:
        return False
    if not problem.in_time or problem.pde is None or problem.dtype != "float64":
        return False
    forward = problem.forward()
    return marches(forward) and not is_linear(forward)


def newton_converges(problem, network) -> bool:
    """Whether Newton's method on the last layer of a small network gets anywhere: a cheap look ahead."""
    name = network or "repnet-sin"
    for wavenumber in (problem_wavenumber(problem).data, coefficient_wavenumber(problem)):
        if wavenumber is not None:
            options = {"layers": [int(min(600, _wanted(problem, wavenumber, 1.0)))]}
            if _try(problem, name, options, wavenumber, 0).held_out < LARGE:
                return True
    return False


def points_for(problem, first: str, net, wavenumber) -> dict:
    """How many points the first method of a run needs, as arguments of `collocation`."""
    if first == "low-rank":
        return {"features": coefficients(net)}
    if first in ("least-squares", "marching", "patching", "patch-marching", "joint"):
        return {"features": net.linears[-1].in_features if hasattr(net, "linears") else 0, "wavenumber": wavenumber}
    least = ROWS_PER_PARAMETER * sum(p.numel() for p in net.parameters()) if first == "gauss-newton" else 0
    return {"least": least, "wavenumber": wavenumber}


def plan_least_squares(
    problem, network: str, options: dict, wavenumber, seed: int, limit: float | None, in_turn: bool = False
) -> Plan:
    """Choose the number of features and the scale of the first layer of a one-layer network.

    Starts from the wavenumber, for sine features from the bands of wavenumbers that the data show; takes more features
    while the numerical rank says that they all count, and a wider range of slopes once it says that they do not, as
    long as the held-out residual falls. A linear problem is then solved a second time with other features and other
    points: the distance of the two solutions indicates their error.

    Args:
        options: the user's network options; ``layers`` and the slopes are chosen where they are not given.
        limit: seconds after which nothing new is begun, or None.
        in_turn: whether another method will follow where nothing reaches the solution: half of the time is left to it,
            and for waves that only the coefficients show, no more than `MANY` features are tried.
    """
    begun, tried = time.monotonic(), []
    for candidate_options in _candidates(problem, network, options, wavenumber, tried, in_turn):
        width = candidate_options["layers"][-1] * len(problem.outputs)
        work = sum(c.outcome.columns**3 for c in tried) + width**3
        share = 0.5 if in_turn and tried and min(c.held_out for c in tried) > LARGE else 1.0
        if tried and (work > WORK or (limit is not None and time.monotonic() - begun > share * limit)):
            break
        tried.append(_try(problem, network, candidate_options, wavenumber, seed))
        if tried[-1].held_out <= GOOD:
            break
    best = min(tried, key=lambda c: c.held_out)
    plan = Plan(network, best.options, [f"least squares with {best}; {len(tried)} first layer(s) tried"], best)
    other = coefficient_wavenumber(problem) if len(tried) > 1 and tried[0].held_out > LARGE else None
    if other is not None and (other > MORE * np.asarray(problem_wavenumber(problem).values)).any():
        plan.notes.append(f"also looked for with the wavenumber of the coefficients, {said(other)}")
    if best.held_out > LARGE and not in_turn:
        advice = "the held-out residual is large: the solution may need more features, or is not smooth"
        if problem.wavenumber is None:
            advice += "; state wavenumber if it is faster than the data show"
        if patching_suits(problem):
            advice += "; the method patching suits what is sharp in one place"
        plan.notes.append(advice)
    late = limit is not None and time.monotonic() - begun > limit / 2
    if (best.outcome.affine or best.outcome.converged) and not late:
        plan.independent = independent(problem, network, best.options, wavenumber, seed + 1, best.net)
        plan.notes += _branches(problem, network, best, wavenumber, seed)
        if network != DEFAULT["least-squares"]:  # other features show less of what can be added
            open_ = check(problem, best.net, wavenumber, seed + 1, solve=False).loosest
            plan.independent = replace(plan.independent, loosest=open_)
    return plan


def plan_samples(problem, network: str, options: dict, seed: int, limit: float | None) -> Plan:
    """The same for a problem that consists of samples of a function: `repnet_pde.fitting.search.search`.

    A network that was chosen by default (without options) may give way to another.
    """
    data = samples.make(
        *samples.of_problem(problem), domain=problem.box, validation=samples.HELD_OUT, seed=seed, dtype=problem.dtype
    )
    asked = None if network == DEFAULT["least-squares"] and not options else network
    found = regression.search(data, asked, options, seed=seed, limit=limit)
    best = found.best
    regression.finish(best.net, best.name, data)
    features = last_linear(best.net).in_features
    columns = features + 1
    outcome = Outcome(True, True, False, best.held_out, [1.0], columns, columns, 1, 1)
    with seeded(seed):
        points = collocation(problem)
    solved = Candidate(best.options, features, best.held_out, outcome, best.net, points)
    notes = [f"{best}; {len(found.tried)} first layer(s) tried"]
    notes += [f"what is left of the samples: {', '.join(f'{v:.2e}' for v in best.noise * data.scale)}"]
    return Plan(best.name, best.options, notes, solved)


def joint_suits(problem, network, options) -> bool:
    """Whether the joint method can be used: observations, something unknown, one layer, local rows."""
    layers = (options or {}).get("layers")
    named = network is None or (isinstance(network, str) and network.startswith("repnet-") and network not in PIECEWISE)
    if not (named and (layers is None or len(layers) == 1) and problem.dtype == "float64"):
        return False
    if not (problem.observations and (problem.unknowns or problem.unknown_fields)) or problem.input_transform:
        return False
    return orders_of_problem(problem) is not None


def joint_options(problem, options: dict, wavenumber) -> dict:
    """The network's options with the number of features of the joint method, where it is not given.

    More than for least squares, since no search follows.
    """
    more = 2.0 if problem.dim == 1 else 1.3
    most = MOST_FEATURES // 2 // len(problem.outputs)
    return {"layers": [min(most, math.ceil(_wanted(problem, wavenumber, more)))]} | options


def low_rank_options(problem, options: dict, wavenumber) -> dict:
    """The network's options for the low-rank method: one product at first, sines that reach the wavenumbers."""
    numbers = [max(k, np.pi / h) for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
    most = max(rank_of_bands([(0, 1.25 * k)], h) for k, h in zip(numbers, problem.box.half_width, strict=True))
    return {"layers": [math.ceil(MARGIN * most), 1], "wavenumber": numbers} | options


def coarse_options(problem, wavenumber) -> dict:
    """Options of a network for the joint method that has a few digits only."""
    wavenumber = [COARSE_PART * max(k, np.pi / h) for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
    numbers = (k * h for k, h in zip(wavenumber, problem.box.half_width, strict=True))
    width = math.ceil(MARGIN * math.prod(2 * k / math.pi + COARSE_OVERHEAD for k in numbers))
    return {"layers": [width], "wavenumber": wavenumber}


def _wanted(problem, wavenumber, more: float) -> float:
    """Sine features for wavenumbers up to 1.25 times these."""
    bands = [[(0, 1.25 * max(k, np.pi / h))] for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
    return more * _banded(problem, bands)


def _banded(problem, bands) -> float:
    """Sine features for wavenumbers in bands of each axis."""
    return MARGIN * math.prod(rank_of_bands(b, h) for b, h in zip(bands, problem.box.half_width, strict=True))


def _candidates(problem, network, options, wavenumber, tried: list[Candidate], in_turn: bool = False) -> Iterator[dict]:
    """The options to try next, from what the last ones gave: a coordinate search for a smaller held-out residual.

    What is searched for is the number of features and, for sine features, the largest wavenumber of each axis, or for
    others the slope scale; each only where the user has not fixed it. Where the features do not reach the solution, the
    wavenumber that the coefficients of the equations suggest is tried.
    """
    half_width, most = problem.box.half_width, MOST_FEATURES // len(problem.outputs)
    if problem.pde is None or problem.sampling.domain:  # the number of rows is given, so features must stay below it
        most = max(1, min(most, int(_rows(problem) / 1.5)))
    known = np.asarray(wavenumber, dtype=float)
    sine = network == "repnet-sin" and not {"slope_scale", "bands"} & set(options)
    if sine:
        scale = known if "wavenumber" not in options else np.array([])
    else:
        scale = np.array([np.max(known * half_width) / 2])
        searched = network.startswith("repnet") and not {"slope_scale", "bands"} & set(options)
        scale = scale if searched else np.array([])

    bands = problem_bands(problem, wavenumber) if sine and len(scale) else None
    if bands is not None:
        yield {"layers": [min(most, math.ceil(_banded(problem, bands)))]} | options | {"bands": bands}

    def filled(more: float, scale: np.ndarray) -> dict:
        chosen = dict(options)
        if "layers" not in options:
            wanted = _wanted(problem, scale if sine and len(scale) else known, more * (1 if sine else 2))
            chosen["layers"] = [int(min(most, math.ceil(wanted)))]
        if len(scale):
            chosen |= {"wavenumber": scale.tolist()} if sine else {"slope_scale": scale.item()}
        return chosen

    def moves(best: Candidate) -> list[tuple[float, np.ndarray]]:
        """Factors on the number of features and on the scales."""
        grow = [(1.6, np.ones(len(scale)))] if "layers" not in options and best.features < most else []
        if sine:  # what the data do not show is most often along the axis where they vary least, such as time
            order = np.argsort(scale * half_width) if len(scale) else []
            change = [(1.0, np.where(np.arange(len(scale)) == axis, 2.0, 1.0)) for axis in order]
        else:
            change = [(1.0, np.array([factor])) for factor in (1.6, 1 / 1.6)] if len(scale) else []
        return grow + change if best.outcome.rank > 0.97 * best.outcome.columns else change + grow

    more, strides, beyond = 1.0, 0, False
    yield filled(more, scale)
    best = tried[-1]
    other = coefficient_wavenumber(problem) if best.held_out > LARGE and len(scale) else None
    if other is not None:
        other = other if sine else np.array([np.max(other * half_width) / 2])
        wanted = _wanted(problem, other if sine else known, 1.0)
        beyond = in_turn and wanted * len(problem.outputs) > MANY
        if wanted <= most and not beyond:
            yield filled(more, other)
            if tried[-1].held_out < best.held_out:
                scale, best = other, tried[-1]
    while True:
        for grow, change in moves(best):
            yield filled(more * grow, scale * change)
            if tried[-1].held_out < BETTER * best.held_out:
                more, scale, best = more * grow, scale * change, tried[-1]
                break
        else:
            if best.held_out < LARGE or beyond or not sine or not len(scale) or strides == STRIDES:
                return
            strides += 1  # the features do not reach the solution at all: no single step shows a gain
            scale = 2 * scale
            yield filled(more, scale)
            best = min(best, tried[-1], key=lambda c: c.held_out)


def independent(problem, network: str, options: dict, wavenumber, seed: int, net) -> Independent:
    """A solution by least squares that is independent of ``net``: with other features, more of them, other points, and
    coefficients as near as possible to those of a random function of its size.

    A nonlinear problem is solved by Newton's method from ``net``.
    """
    options = options | {"layers": [*options["layers"][:-1], math.ceil(EXTRA * options["layers"][-1]) + 2]}
    other = _try(problem, network, options, wavenumber, seed, net)
    if not (other.outcome.affine or other.outcome.converged) or not math.isfinite(other.held_out):
        return Independent(None, other.loosest)
    return Independent(accuracy.distance(problem, net, other.net), other.loosest)


def check(problem, net, wavenumber, seed: int, solve: bool = True) -> Independent:
    """`independent` for a network that was found otherwise: its distance to a solution for sine features.

    Without ``solve``, or where these would be too many or do not solve the problem, only what the solution leaves open
    is looked for, with fewer and slower features.
    """
    needed = problem.dtype == "float64" and problem.pde is not None and not problem.interfaces
    if not needed or problem.unknowns or problem.unknown_fields or problem.input_transform is not None:
        return Independent()
    if orders_of_problem(problem) is None:
        return Independent()
    name, most = DEFAULT["least-squares"], MANY / len(problem.outputs)
    width = math.ceil(_wanted(problem, wavenumber, 1.0))
    if solve and width <= most:
        found = independent(problem, name, {"layers": [width]}, wavenumber, seed, net)
        if found.distance is not None:
            return found
    slow = np.asarray(wavenumber, dtype=float)
    while _wanted(problem, slow, 1.0) > most / 2 and (slow > np.pi / problem.box.half_width).any():
        slow = 0.8 * slow
    options = {"layers": [math.ceil(min(_wanted(problem, slow, 1.0), most))], "wavenumber": slow.tolist()}
    return Independent(None, _try(problem, name, options, wavenumber, seed, net, steps=0).loosest)


def _branches(problem, network: str, best: Candidate, wavenumber, seed: int) -> list[str]:
    """A note on a second solution of a steady nonlinear problem, looked for where that is cheap: by Newton's method
    from multiples of the first, with more features than that needs."""
    if best.outcome.affine or problem.in_time or best.outcome.columns > CHEAP:
        return []
    options = best.options | {"layers": [*best.options["layers"][:-1], RESOLVING * best.options["layers"][-1]]}
    if "wavenumber" in options:
        options["wavenumber"] = [RESOLVING * k for k in options["wavenumber"]]
    for factor in MULTIPLES:
        start = copy.deepcopy(best.net)
        with torch.no_grad():
            for parameter in last_linear(start).parameters():
                parameter.mul_(factor)
        other = _try(problem, network, options, wavenumber, seed, start)
        if other.outcome.converged and other.held_out < SOLVED:
            far = accuracy.distance(problem, best.net, other.net)
            if far > ANOTHER:
                ends = (f"{name} from {a:.4g} to {b:.4g}" for name, (a, b) in ranges_of(problem, other.net).items())
                return [f"another solution was found, at a relative distance of {far:.1e} ({', '.join(ends)})"]
    return []


def _rows(problem) -> int:
    with seeded(0):
        data = collocation(problem)
    return sum(data.num_bcs) + (0 if problem.pde is None else len(data.train_x_all))


def _try(
    problem, network: str, options: dict, wavenumber, seed: int, start=None, steps: int = NEWTON_STEPS
) -> Candidate:
    """Solve for the last layer of one first layer.

    Args:
        start: a network with a solution: another is looked for from there, near a random function, and what the
            problem leaves open. steps: of Newton's method; 0 for the latter alone.
    """
    features, outputs = options["layers"][-1], len(problem.outputs)
    with seeded(seed):
        net = build_network(problem, network, options, wavenumber)
        points = points_for(problem, "least-squares", net, wavenumber)
        data = collocation(problem, **points)
        held_out = collocation(problem, **points | {"features": max(100, features // 2)}, distribution="pseudo")
        noise = torch.randn(outputs * (features + 1), dtype=torch.float64)
    indices = orders_of_problem(problem, data, held_out) if Features.known(net) else None
    names, x, centre = problem.term_names, torch.as_tensor(data.train_x), None
    if start is not None:
        with torch.no_grad():
            size = start(x).square().mean(0).sqrt()
        size = torch.where(size > 0, size, 1.0)
        centre = noise.to(size) * torch.cat([size.repeat_interleave(features), size]) / math.sqrt(features)
    if indices is None:
        system = CopySystem(data, net, names)
        system.set(system.get(), -system.size())
        sizes = [_rms(v) for v in system.residuals()]
    else:
        zero = x.new_zeros(len(x), len(indices), outputs)
        sizes = [_rms(v) for v in JetSystem(data, net, names, indices, start=zero).residuals()]
        jet = zero if start is None else _jets_below(start, x, indices)
        system = JetSystem(data, net, names, indices, start=jet)
    try:
        outcome = newton(system, steps, around=centre) if steps else _linearised(system)
    except TrainingError:
        outcome = Outcome(False, False, True, math.inf, [1.0] * len(sizes), 0, features, 0, 0)
    left = None
    if start is not None and indices is not None and outcome.factor is not None:
        left = loosest(problem, system, outcome.factor)
    if indices is None:
        residuals = CopySystem(held_out, net, names).residuals()
    else:
        system.store()
        there = JetSystem(held_out, net, names, indices)
        residuals = there.residuals()
    size = max(n * s for n, s in zip(sizes, outcome.scales, strict=True)) or 1.0
    held = _held_out(residuals, outcome.scales, size)
    if indices is not None:  # rows scaled for features much faster than u make little of what u leaves of the equations
        terms = sized_terms(held_out, names, there.x, there.jet, indices, net._output_transform)
        held = max([held, *(_rms(t.residual) / n for t, n in terms if n > 0)])

    def judge(other: torch.nn.Module) -> float:
        vectors = [v.detach().reshape(-1) for v in residual_vectors(held_out, other)]
        dde.grad.clear()
        return _held_out(vectors, outcome.scales, size)

    return Candidate(options, features, held, outcome, net, data, judge, left)


def _held_out(vectors, scales, size: float) -> float:
    """The largest root mean square of the scaled terms, relative to ``size``; infinite where it is NaN."""
    left = max(_rms(v) * s for v, s in zip(vectors, scales, strict=True)) / size
    return left if math.isfinite(left) else math.inf


def _linearised(system) -> Outcome:
    """The rows of a system where it stands, without a step."""
    terms = system.linearize()
    scales = row_scales(terms)
    factor = Factorization(stack(terms, scales)[0])
    return Outcome(False, False, False, math.inf, scales, 0, factor.columns, 0, 1, factor)


def _jets_below(net, x: torch.Tensor, indices) -> torch.Tensor:
    """The jet of a network without its output transform, which the one that is solved for has as well."""
    transform, net._output_transform = net._output_transform, None
    try:
        return torch.cat([network_jet(net, part, indices) for part in x.split(CHUNK)])
    finally:
        net._output_transform = transform


def _rms(v: torch.Tensor) -> float:
    return v.square().mean().sqrt().item() if v.numel() else 0.0
