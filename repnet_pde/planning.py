"""What a method needs before it starts: which method, which network, how many points.

Least squares is cheap enough to try several first layers and to keep the one whose residual on held-out points is
smallest; nothing of the solution is used for that.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from ._backend import dde, seeded
from .jacobian import linearize
from .methods._dense import minimum_norm, row_scales, triangle
from .methods._parameters import move, restore
from .methods.least_squares import last_layer
from .networks import LAYERS, build_network
from .residuals import collocation, residual_vectors

ROWS_PER_FEATURE = 3
ROWS_PER_PARAMETER = 3
MOST_FEATURES = 6000
MOST_PARAMETERS = 4000
MARGIN = 1.3
"""Features over the numerical rank that is expected."""
GOOD = 1e-11
"""Held-out residual, relative to the data, below which nothing better is looked for."""
WORK = 2e10
"""Most work of the search, as the sum of the cubes of the numbers of features: about a minute. Not a time, which would
make the choice depend on how busy the machine is."""
LARGE = 1e-3
"""Held-out residual above which the features are taken not to reach the solution."""
BETTER = 0.3
"""A first layer must lower the held-out residual to this part of it to be preferred."""
STRIDES = 2


@dataclass
class Candidate:
    """A first layer that was tried: its options and what it gave."""

    options: dict
    features: int
    rank: int
    held_out: float

    def __str__(self) -> str:
        return f"{self.features} features (numerical rank {self.rank}): held-out residual {self.held_out:.1e}"


def automatic_method(problem, network, options) -> tuple[str, str]:
    """What ``method="auto"`` means for a problem and the network asked for (or None), and why."""
    if problem.dtype != "float64":
        return "adam+lbfgs", "float32: adam+lbfgs, since the other methods need float64"
    layers = (options or {}).get("layers")
    spread = network is None or (isinstance(network, str) and network.startswith("repnet"))
    if spread and (layers is None or len(layers) == 1) and not problem.unknowns and is_linear(problem):
        return "least-squares", "linear problem: least squares for the last layer"
    if isinstance(network, torch.nn.Module):
        size = sum(p.numel() for p in network.parameters())
    else:
        sizes = [problem.dim, *(layers or LAYERS["gauss-newton"]), len(problem.outputs)]
        size = sum((a + 1) * b for a, b in pairwise(sizes))
    if size > MOST_PARAMETERS:
        return "adam+lbfgs", f"{size:,} parameters: adam+lbfgs, since Gauss-Newton takes at most {MOST_PARAMETERS:,}"
    return "gauss-newton", "nonlinear or inverse problem, or a deep network: Gauss-Newton on all parameters"


def is_linear(problem) -> bool:
    """Whether all residuals are affine in u, found by evaluating them for three smooth functions."""
    with seeded(0):
        data = collocation(problem, few=50)
    d, c = problem.dim, len(problem.outputs)
    generator = torch.Generator().manual_seed(0)
    waves = torch.rand(2, d, c, generator=generator, dtype=torch.float64).to(torch.as_tensor(data.train_x).dtype)
    half = torch.as_tensor(problem.box.half_width, dtype=waves.dtype)

    def residuals(a: float, b: float) -> torch.Tensor:
        def u(x):
            value = a * torch.sin(x / half @ (1 + waves[0])) + b * torch.cos(x / half @ (1 + waves[1]))
            return value if problem.output_transform is None else problem.output_transform(x, value)

        vectors = residual_vectors(data, u)
        dde.grad.clear()
        return torch.cat([v.detach().reshape(-1) for v in vectors])

    zero, first, second, both = (residuals(a, b) for a, b in ((0, 0), (1, 0), (0, 2), (1, 2)))
    size = max(r.abs().max() for r in (zero, first, second, both))
    return bool((both - first - second + zero).abs().max() <= 1e-9 * size)


def expected_rank(wavenumber, box) -> float:
    """About how many independent functions a box of wavenumbers holds over a box in space: Π (2 k L / π + 16)."""
    return float(np.prod(2 * np.asarray(wavenumber) * box.half_width / np.pi + 16))


def least_points(first: str, net) -> int:
    """Points inside the domain that the first method needs: so many rows for each of its columns."""
    if first == "least-squares":
        return ROWS_PER_FEATURE * sum(net.get_parameter(name).numel() for name in last_layer(net))
    if first == "gauss-newton":
        return ROWS_PER_PARAMETER * sum(p.numel() for p in net.parameters())
    return 0


def plan_least_squares(
    problem, network: str, options: dict, wavenumber, seed: int, limit: float | None
) -> tuple[dict, list[str]]:
    """Choose the number of features and the scale of the first layer of a one-layer network.

    Starts from the wavenumber; takes more features while the numerical rank says that they all count, and a wider
    range of slopes once it says that they do not, as long as the held-out residual falls.

    Args:
        options: the user's network options; ``layers`` and the slopes are chosen where they are not given.
        limit: seconds after which nothing new is begun, or None.

    Returns:
        The options with everything filled in, and notes.
    """
    begun, tried = time.monotonic(), []
    for candidate_options in _candidates(problem, network, options, wavenumber, tried):
        work = sum(c.features**3 for c in tried) + candidate_options["layers"][-1] ** 3
        if tried and (work > WORK or (limit is not None and time.monotonic() - begun > limit)):
            break
        tried.append(_try(problem, network, candidate_options, wavenumber, seed))
        if tried[-1].held_out <= GOOD:
            break
    best = min(tried, key=lambda c: c.held_out)
    notes = [f"least squares with {best}; {len(tried)} first layer(s) tried"]
    if best.held_out > LARGE:
        notes.append("the held-out residual is large: the solution may need more features, or is not smooth")
    return best.options, notes


def _candidates(problem, network, options, wavenumber, tried: list[Candidate]) -> Iterator[dict]:
    """The options to try next, from what the last ones gave: a coordinate search for a smaller held-out residual.

    What is searched for is the number of features and, for sine features, the largest wavenumber of each axis, or for
    others the slope scale; each only where the user has not fixed it.
    """
    half_width, most = problem.box.half_width, MOST_FEATURES
    if problem.pde is None or problem.sampling.domain:  # the number of rows is given, so features must stay below it
        most = max(1, min(most, int(_rows(problem) / 1.5)))
    known = np.asarray(wavenumber, dtype=float)
    sine = network == "repnet-sin" and "slope_scale" not in options
    if sine:
        scale = known if "wavenumber" not in options else np.array([])
    else:
        scale = np.array([np.max(known * half_width) / 2])
        scale = scale if network != "fnn" and "slope_scale" not in options else np.array([])

    def filled(more: float, scale: np.ndarray) -> dict:
        chosen = dict(options)
        if "layers" not in options:
            k = scale if sine and len(scale) else known
            wanted = MARGIN * more * expected_rank(1.25 * k, problem.box) * (1 if sine else 2)
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
        return grow + change if best.rank > 0.97 * best.features else change + grow

    more, strides = 1.0, 0
    yield filled(more, scale)
    best = tried[-1]
    while True:
        for grow, change in moves(best):
            yield filled(more * grow, scale * change)
            if tried[-1].held_out < BETTER * best.held_out:
                more, scale, best = more * grow, scale * change, tried[-1]
                break
        else:
            if best.held_out < LARGE or not sine or not len(scale) or strides == STRIDES:
                return
            strides += 1  # the features do not reach the solution at all: no single step shows a gain
            scale = 2 * scale
            yield filled(more, scale)
            best = min(best, tried[-1], key=lambda c: c.held_out)


def _rows(problem) -> int:
    with seeded(0):
        data = collocation(problem)
    return sum(data.num_bcs) + (0 if problem.pde is None else len(data.train_x_all))


def _try(problem, network: str, options: dict, wavenumber, seed: int) -> Candidate:
    features = options["layers"][-1]
    points = options.get("wavenumber", wavenumber)
    with seeded(seed):
        net = build_network(problem, network, options, wavenumber)
        data = collocation(problem, wavenumber=points, least=ROWS_PER_FEATURE * features)
        held_out = collocation(problem, wavenumber=points, distribution="pseudo")
    names = last_layer(net)
    parameters = [net.get_parameter(name) for name in names]
    zeros = [torch.zeros_like(p) for p in parameters]
    restore(parameters, zeros)
    terms = linearize(data, net, problem.term_names, names)
    scales = row_scales(terms)
    size = max(_rms(t.residual) * s for t, s in zip(terms, scales, strict=True))
    delta, rank = minimum_norm(*triangle(terms, scales))
    move(parameters, zeros, delta)
    vectors = residual_vectors(held_out, net)
    left = max(_rms(v.detach()) * s for v, s in zip(vectors, scales, strict=True))
    dde.grad.clear()
    held = left / size if size > 0 else left
    return Candidate(options, features, rank, held if math.isfinite(held) else math.inf)


def _rms(v: torch.Tensor) -> float:
    return v.square().mean().sqrt().item()
