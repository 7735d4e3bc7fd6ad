"""Least squares on samples, with a search for the first layer with the smallest error on held-out samples."""

import contextlib
import functools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy import integrate
from scipy.optimize import minimize_scalar

from .. import limits
from ..analysis.spectrum import estimate_wavenumber_from_samples
from ..analysis.wavenumbers import rank_of_bands
from ..backend import seeded
from ..discretization.features import jet_of
from ..discretization.last_layer import into_last, last_linear
from ..errors import InputError
from ..linalg.dense import Factorization, triangle
from ..methods.alternating import Alternating
from ..networks.product import PRODUCT, SLOW_WAVENUMBER, ProductRepNet, waves_to_features
from ..networks.registry import NETWORKS
from ..networks.repnet import SINE, RepNet
from ..networks.warp import axis_map, graded
from .samples import CHUNK, Samples, denormalize, peaks

SLOPES = {"slope_scale", "wavenumber", "bands", "waves", "warp", "steps"}
"""Options that fix the slopes of the first layer."""
MARGIN = 1.3
"""Ratio of the number of basis functions to the expected numerical rank."""
ROWS_PER_COLUMN = 1.5
"""Minimum ratio of samples to basis functions; with fewer samples the fit is regularised."""
LEAST_FEATURES = 100
"""Number of sines that are taken where there is no time for a search."""
MOST_FEATURES = 3000
"""Maximum number of basis functions of a first layer."""
MOST_WORK = 3e12
"""Maximum number of floating-point operations of the search: some minutes. A time limit would make the choice depend on
the load of the machine."""
MANY = 1000
"""Minimum number of samples for waves in more than two dimensions, and products, to be statistically significant."""
GOOD = 1e-11
"""Held-out error below which the search ends."""
BETTER = 0.7
"""A first layer must reduce the held-out error at least by this factor to be preferred."""
LARGE, STRIDES, STRIDE = 1e-2, 3, 4.0
"""Held-out error above which wavenumbers larger by the factor `STRIDE` are tried, at most `STRIDES` times."""
PENALISED = 1500
"""Maximum number of basis functions for a penalty on fast waves, whose weight needs a singular value decomposition."""
LEAST_WHITE = 100
"""Minimum number of samples for noise to be distinguished from unresolved components."""
CLEAN = 1e-9
"""Misfit below which no regularisation against noise is needed."""


@dataclass
class Candidate:
    """A network whose last layer has been solved for.

    options: of the network. held_out: root mean square error of the normalised values on the held-out samples, or on
    the fitted ones if none are held out. noise (c,): standard deviation of the residuals, normalised.
    """

    name: str
    options: dict
    net: torch.nn.Module
    held_out: float
    noise: np.ndarray
    said: str = ""
    white: bool = False
    """Whether the residuals look like noise: those of neighbours are not correlated."""

    def __str__(self) -> str:
        return f"{self.said}: held-out error {self.held_out:.1e}"


@dataclass
class Search:
    """The candidates of a fit and the remaining budget."""

    samples: Samples
    seed: int
    noise: np.ndarray | None
    work: float = 0.0
    tried: list[Candidate] = field(default_factory=list)
    cut_short: str | None = None
    """Why it ended early, if it did."""

    @property
    def best(self) -> Candidate:
        return min(self.tried, key=lambda c: c.held_out)

    @property
    def over(self) -> bool:
        """Whether the search has ended."""
        reached = self.tried and (self.best.held_out <= GOOD or self.best.white or self._at_noise)
        return bool(reached or self.work > MOST_WORK or not limits.left())

    @property
    def _at_noise(self) -> bool:
        return self.noise is not None and self.best.held_out <= 1.02 * float(np.sqrt(np.mean(self.noise**2)))

    @functools.cached_property
    def wavenumbers(self) -> np.ndarray:
        """`wavenumbers` of the samples."""
        return wavenumbers(self.samples)

    def try_(self, name: str, options: dict) -> Candidate:
        """Build the network and solve for its last layer."""
        samples = self.samples
        so_far = f", held-out error {self.best.held_out:.1e} so far" if self.tried else ""
        limits.say(f"planning: trial {len(self.tried) + 1} of a first layer, {name}{so_far}")
        with seeded(self.seed):
            sizes = [samples.dim, *options.get("layers", ()), samples.outputs]
            rest = {key: value for key, value in options.items() if key != "layers"}
            net = NETWORKS[name](sizes, samples.box, None, **rest)
        noise = solve_last_layer(net, samples, self.noise)
        width = last_linear(net).in_features
        self.work += 2.0 * len(samples.train) * width**2 + 30.0 * min(width, PENALISED) ** 3
        said = f"{name} with {width} features"
        found = Candidate(name, options, net, held_out(net, samples), noise, said, _white(net, samples))
        self.tried.append(found)
        return found


def search(
    samples: Samples,
    network: str | None,
    options: dict,
    *,
    seed: int = 0,
    noise: np.ndarray | None = None,
) -> Search:
    """Least squares for the last layer with several first layers suited to the samples; the best is `Search.best`.

    Starts with sines up to the wavenumbers found in the samples, and takes more and faster ones as long as the held-out
    error decreases; in 1-D also sines in a mapped coordinate, concentrated where the samples vary fast; in several
    dimensions also products of functions of each coordinate. Options fixed by ``options`` are not searched for.

    Args:
        network: a name in `NETWORKS` with a layer that can be solved for, or None for an automatic choice.
        noise: standard deviations (c,) of the normalised values, or None.
    """
    found = Search(samples, seed, noise)
    try:
        with limits.endable():
            _tried(found, network, options)
    except limits.Ended as ended:
        if not found.tried and ended.reason == limits.INTERRUPTED:
            raise
        if not found.tried:
            with limits.whole():
                found.try_(SINE.name, {"layers": [max(1, min(LEAST_FEATURES, len(samples.train) // 3))]})
        found.cut_short = ended.reason
    return found


def _tried(found: Search, network: str | None, options: dict) -> None:
    """Try the candidates one after the other."""
    samples = found.samples
    if network not in (None, SINE.name, PRODUCT.name):
        found.try_(network, options)
        return
    products = samples.dim > 1 and network != SINE.name and not options and many(samples)
    if products and _wanted(found.wavenumbers) > MOST_FEATURES:  # too many sines to fill the box
        _products(found, options)
    if network != PRODUCT.name and not (found.tried and found.best.held_out < LARGE):
        _sines(found, options)
        free = "layers" not in options and not SLOPES & set(options)
        if samples.dim == 1 and free and not found.over:
            _gathered(found)
    if network == PRODUCT.name or (products and found.tried[0].name == SINE.name and not found.over):
        _products(found, options)


def many(samples: Samples) -> bool:
    """Whether there are enough samples for waves in more than two dimensions, and products, to be significant."""
    return len(samples.train) >= MANY


# One layer ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def solve_last_layer(net: Any, samples: Samples, noise: np.ndarray | None = None) -> np.ndarray:
    """Least squares for the last layer on the fitted samples; returns the standard deviation (c,) of the residuals.

    If the residuals do not vanish, sines are penalised in proportion to their slopes; the weight of the penalty
    maximises the marginal likelihood for normal errors (of given or profiled variance).
    """
    rows = torch.as_tensor(samples.train)
    features = torch.cat([into_last(net, x) for x in samples.x[rows].split(CHUNK)])
    y, linear = samples.y[rows], last_linear(net)
    n, p = features.shape[0], features.shape[1] + 1
    rough = torch.ones(p, dtype=features.dtype)
    if getattr(net, "first_activation", None) == "sin" and len(net.linears) == 1:
        rough[:-1] = (1 + net.first.slopes().square()).sqrt()
    design = torch.cat([features, features.new_ones(n, 1)], 1) / rough
    if n < p:
        design = torch.cat([design, design.new_zeros(p - n, p)])
        y = torch.cat([y, y.new_zeros(p - n, y.shape[1])])
    upper = triangle(torch.cat([design, y], 1))
    square, z = upper[:p, :p], upper[:p, p:]
    rest = upper[p:, p:].square().sum(0)
    coefficients = Factorization(square).solve(-z)
    left = rest + (square @ coefficients - z).square().sum(0)
    dof = n - min(p, n - 1) if n <= p else n - p
    sigma = (left / dof).sqrt()
    misfit = (left.sum() / y.square().sum().clamp_min(1e-300)).sqrt()
    if p <= PENALISED and (misfit > CLEAN or n <= ROWS_PER_COLUMN * p):
        coefficients, sigma = _penalised(square, z, rest, n, noise)
    coefficients = coefficients / rough[:, None]
    linear.weight.copy_(coefficients[:-1].T)
    linear.bias.copy_(coefficients[-1])
    return sigma.double().numpy()


def _penalised(
    triangle: torch.Tensor, z: torch.Tensor, rest: torch.Tensor, n: int, noise: np.ndarray | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients (p, c) of min ‖U c − z‖² + λ ‖c‖² and standard deviations (c,), λ by marginal likelihood.

    For y = H c + e, e ~ N(0, σ²), c ~ N(0, σ²/λ): −2 log p(y) = n log σ² + Σ log(1 + s²/λ) + S/σ² with
    S = rest + Σ w² λ/(s² + λ), which σ² = S/n maximises (C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for
    Machine Learning, 2006, section 5.4.1).
    """
    left, s, right = torch.linalg.svd(triangle, full_matrices=False)
    w, s2 = left.T @ z, s.square()
    known = None if noise is None else torch.as_tensor(noise, dtype=z.dtype).square()

    def sums(weight: float) -> torch.Tensor:
        return rest + (w.square() * (weight / (s2 + weight))[:, None]).sum(0)

    def minus_log(power: float) -> float:
        weight = 10.0**power
        total = sums(weight).clamp_min(1e-300)
        spread = torch.log1p(s2 / weight).sum() * len(total)
        fit = n * torch.log(total / n).sum() if known is None else (total / known).sum()
        return (spread + fit).item()

    top = math.log10(s2[0].item() + 1e-300)
    grid = np.arange(top - 28.0, top + 4.0, 1.0)
    start = grid[int(np.argmin([minus_log(g) for g in grid]))]
    weight = 10.0 ** minimize_scalar(minus_log, bounds=(start - 1, start + 1), method="bounded").x
    sigma = (sums(weight) / n).sqrt() if known is None else known.sqrt()
    return right.T @ ((s / (s2 + weight))[:, None] * w), sigma


def held_out(net: Any, samples: Samples) -> float:
    """Root mean square error of the normalised values on `Samples.judged`; infinite if it is NaN."""
    error = samples.misfit(net, samples.judged).square().mean().sqrt().item()
    return error if math.isfinite(error) else math.inf


def _white(net: Any, samples: Samples) -> bool:
    """Whether the residuals of neighbours are uncorrelated, to three standard errors: then they are only noise.

    Only in one and two dimensions; in more, neighbours are too far apart for a conclusion.
    """
    n = len(samples.train)
    if samples.dim > 2 or n < LEAST_WHITE:
        return False
    left = samples.misfit(net, samples.train).double().numpy()
    left = left - left.mean(0)
    size = np.square(left).mean(0)
    correlation = (left * left[samples.nearest]).mean(0) / size.clip(1e-300)
    return bool((correlation < 3 / math.sqrt(n)).all() and (np.sqrt(size) > CLEAN).all())


def finish(net: Any, name: str, samples: Samples, noise: np.ndarray | None = None) -> None:
    """Solve for the last layer once more, including the held-out samples, and rescale it to the units of the data.

    Products of RepNets, whose layers were solved for in turn, are not changed.
    """
    if len(samples.held) and name != PRODUCT.name:
        solve_last_layer(net, replace(samples, train=np.arange(len(samples.x))), noise)
    denormalize(last_linear(net), samples)


# Sine basis functions -------------------------------------------------------------------------------------------------


def wavenumbers(samples: Samples) -> np.ndarray:
    """The largest wavenumbers (d,) in x̂ found in the fitted samples, at least one wave across the domain."""
    x, y = samples.normalized(samples.train), samples.y[torch.as_tensor(samples.train)].double().numpy()
    if len(x) < max(8, MANY if samples.dim > 2 else 4**samples.dim):
        return np.full(samples.dim, math.pi)
    if samples.dim > 2:
        found = np.ones(samples.dim)
        for vectors, amplitudes in samples.strongest:
            if len(vectors):
                found = np.maximum(found, vectors[amplitudes > 0.05 * amplitudes[0]].max(0))
        return math.pi * found
    found = np.full(samples.dim, math.pi)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(InputError):  # such as all points on one line
            found = np.maximum(estimate_wavenumber_from_samples(x, y), found)
    return np.maximum(found, _steepness(x[:, 0], y)) if samples.dim == 1 else found


SLOW, SPREAD = 0.25, 0.25
"""Fraction of slow waves in `wave_vectors`, and the spread of the others around a peak, in waves across x̂."""


def wave_vectors(samples: Samples, count: int, seed: int) -> np.ndarray | None:
    """Wave vectors (count, d) in x̂ for sines in many dimensions, where filling a box would need too many of them.

    Drawn around the strongest waves in the spectrum of the fitted samples, with probability proportional to the
    amplitude and with random signs; a quarter are slow. None if no wave exceeds the noise.
    """
    vectors = np.concatenate([v for v, _ in samples.strongest])
    amplitudes = np.concatenate([a for _, a in samples.strongest])
    if not len(vectors):
        return None
    generator = np.random.default_rng(seed)
    fast = count - int(SLOW * count)
    chosen = vectors[generator.choice(len(vectors), fast, p=amplitudes / amplitudes.sum())]
    chosen = chosen * generator.choice([-1, 1], chosen.shape) + generator.uniform(-SPREAD, SPREAD, chosen.shape)
    slow = generator.uniform(-1, 1, (count - fast, samples.dim))
    return math.pi * np.concatenate([chosen, slow])


def _steepness(x: np.ndarray, y: np.ndarray) -> float:
    """max |u′| / max |u| of values (n, c) at places (n,), a lower bound on the largest wavenumber of u (Bernstein's
    inequality). It detects waves in a small part of the domain, which are not visible in the spectrum.

    One per cent of the slopes is excluded, and those between close neighbours, where noise would dominate.
    """
    order = np.argsort(x)
    gap, step = np.diff(x[order]), np.abs(np.diff(y[order], axis=0))
    wide = gap > 0.5 * gap.mean()
    if wide.sum() < 8:
        return 0.0
    slopes = np.quantile(step[wide] / gap[wide, None], 0.99, axis=0)
    return float((slopes / np.abs(y).max(0).clip(1e-300)).max())


def _wanted(numbers: np.ndarray) -> float:
    """Number of sines for wavenumbers in x̂ up to 1.25 times these."""
    return MARGIN * math.prod(rank_of_bands([(0, 1.25 * k)], 1.0) for k in numbers)


def _most(samples: Samples) -> int:
    return max(1, min(MOST_FEATURES, int(len(samples.train) / ROWS_PER_COLUMN)))


def _sines(found: Search, options: dict) -> None:
    """More sines, or faster ones, as long as the held-out error decreases."""
    samples, most = found.samples, _most(found.samples)
    half, start = samples.box.half_width, found.wavenumbers
    searched = not SLOPES & set(options)
    if searched and samples.dim > 2 and many(samples) and _wanted(start) > most:  # filling a box needs too many waves
        for width in [options["layers"][0]] if "layers" in options else (most // 3, most):
            waves = wave_vectors(samples, width, found.seed)
            if waves is not None and not found.over:
                found.try_(SINE.name, {"layers": [width], "waves": (waves / half).tolist()} | options)
        if found.tried:
            return

    def filled(more: float, faster: float) -> dict:
        numbers = faster * start
        chosen = {"layers": [max(1, min(most, math.ceil(more * _wanted(numbers))))]} | options
        if not searched:
            return chosen
        if (numbers >= math.pi).all():
            return chosen | {"wavenumber": (numbers / half).tolist()}
        return chosen | {"bands": [[(0.0, 1.25 * k / h)] for k, h in zip(numbers, half, strict=True)]}

    more, faster, strides = 1.0, 1.0, 0
    best = found.try_(SINE.name, filled(more, faster))
    while not found.over:
        for grow, speed in _moves(options, searched, best, most):
            now = found.try_(SINE.name, filled(more * grow, faster * speed))
            if now.held_out < BETTER * best.held_out:
                more, faster, best = more * grow, faster * speed, now
                break
            if found.over:
                return
        else:
            if best.held_out < LARGE or not searched or strides == STRIDES:
                return
            strides += 1  # fast waves in a small part of the domain are not visible in the spectrum
            faster *= STRIDE
            best = min(best, found.try_(SINE.name, filled(more, faster)), key=lambda c: c.held_out)


def _moves(options: dict, searched: bool, best: Candidate, most: int) -> Iterator[tuple[float, float]]:
    """Factors on the number of basis functions and on the wavenumbers."""
    if "layers" not in options and best.options["layers"][0] < most:
        yield 1.6, 1.0
    if searched:
        yield 1.0, 1.5
        yield 1.0, 1 / 1.5
        if best.options.get("layers") == [most]:  # too few for waves: a smoother function may fit
            yield 1.0, 1 / STRIDE


# Basis functions concentrated where the samples vary fast -------------------------------------------------------------

NODES = 4001
"""Nodes on which the map of an axis is built."""
JUMP, AROUND, SHARE = 5.0, 6, 0.02
"""Two neighbours are separated by a jump if their slope is `JUMP` times that of each of the `AROUND` neighbours on
either side, and their difference is more than the fraction `SHARE` of the range."""
LEAST_JUMPING = 50
"""Minimum number of samples for the detection of jumps."""
SHARP = 0.05
"""Ratio of the width of the map's step at a jump to the gap between the samples around it."""
GAP = 12.0
"""Number of independent functions per gap that a step of the map opens, as at the ends of the domain."""
RINGING = 4.0
"""Distance from a jump, in length scales, within which a fit without a step gives no valid length scale."""
WAVES = (9.0, 18.0)
"""Ratio of the largest wavenumber in the mapped coordinate to half the number of length scales."""
ROUNDS = 4
"""Number of times the map is recomputed from the latest solution."""
NEIGHBOURS = 10
"""Gaps between samples over which their spacing is averaged."""


def _gathered(found: Search) -> None:
    """In 1-D: basis functions in a mapped coordinate in which the samples vary uniformly, from the best fit so far."""
    samples, nodes = found.samples, np.linspace(-1, 1, NODES)
    jumps = _jumps(samples)
    for _ in range(ROUNDS):
        before = found.best
        scale = np.minimum(_length_scale(before, samples, nodes), 2.0)
        for middle, _ in jumps:  # the fit has spurious oscillations there
            near = np.abs(nodes - middle) < RINGING * np.interp(middle, nodes, scale)
            if not near.all():
                scale[near] = np.interp(nodes[near], nodes[~near], scale[~near])
        maps = [tuple(v.tolist() for v in axis_map(nodes, scale))]
        count = float(integrate.trapezoid(1 / graded(nodes, scale), nodes))
        for waves in WAVES:
            number = max(12.0, waves * count / 2)
            height = GAP * math.pi / number / 2
            steps = [tuple(zip(*((height, m, SHARP * g) for m, g in jumps), strict=True))] if jumps else None
            number *= 1 + height * len(jumps)
            width = min(_most(samples), math.ceil(1.1 * (2 * number / math.pi + 12)))
            options = {"layers": [width], "bands": [[(0.0, number)]], "warp": maps}
            found.try_(SINE.name, options | ({"steps": steps} if steps else {}))
            if found.over:
                return
        if not found.best.held_out < BETTER * before.held_out:
            return


def _sorted(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """All samples of one coordinate, held out or not: x̂ (n,) in order and values (n, c)."""
    order = np.argsort(samples.normalized()[:, 0])
    return samples.normalized()[order, 0], samples.y[order].double().numpy()


def _jumps(samples: Samples) -> list[tuple[float, float]]:
    """(middle, gap) in x̂ of neighbours between which the values jump."""
    x, y = _sorted(samples)
    gap, step = np.diff(x), np.abs(np.diff(y, axis=0))
    keep = gap > 0
    x, gap, step = x[:-1][keep], gap[keep], step[keep]
    if len(gap) < LEAST_JUMPING:
        return []
    slope = step / gap[:, None]
    around = np.pad(slope, ((AROUND, AROUND), (0, 0)), mode="edge")
    others = np.delete(np.lib.stride_tricks.sliding_window_view(around, 2 * AROUND + 1, axis=0), AROUND, axis=2)
    large = ((slope > JUMP * others.max(2)) & (step > SHARE * np.ptp(y, axis=0))).any(1)
    found = [(float(a + g / 2), float(g)) for a, g in zip(x[large], gap[large], strict=True)]
    return found if len(found) <= max(3, 0.01 * len(gap)) else []


def _length_scale(best: Candidate, samples: Samples, nodes: np.ndarray) -> np.ndarray:
    """1 / max over n = 1, 2, 3 of (|u⁽ⁿ⁾| / rms u)^(1/n) of a fit at places of x̂, in units of x̂.

    Bounded from below by `WAVES`[0] / π times the spacing of the samples, so that there are not more basis functions
    than samples locally.
    """
    x = torch.as_tensor(samples.box.center + samples.box.half_width * nodes[:, None], dtype=samples.x.dtype)
    assert isinstance(best.net, RepNet)
    jet = jet_of(best.net, x, [(n,) for n in range(4)]).double().numpy()
    size = np.sqrt(np.mean(jet[:, 0] ** 2, axis=0)).clip(1e-12)
    roots = [(np.abs(jet[:, n]) / size) ** (1 / n) * samples.box.half_width[0] for n in (1, 2, 3)]
    scale = 1 / np.max(roots, axis=(0, 2)).clip(0.5)
    places, _ = _sorted(samples)
    some = min(NEIGHBOURS, len(places) - 1)
    spacing = (places[some:] - places[:-some]) / some
    middle = (places[some:] + places[:-some]) / 2
    return np.maximum(scale, WAVES[0] / math.pi * np.interp(nodes, middle, spacing))


# Products of functions of each coordinate -----------------------------------------------------------------------------

MOST_PRODUCTS = 24
"""Maximum number of products of functions of one coordinate."""
SWEEPS = 30
"""Maximum number of sweeps before further products are added."""
STALLED = 0.98
"""A sweep after which the held-out error is more than this fraction of the previous one is the last."""
SLOW_FEATURES = 1500
"""Maximum number of slow sines in addition to the products."""
NEW = 6
"""Number of waves in the residual that are considered as starting values for further products."""
SHARED = 0.03
"""Components of a wave below this fraction are neglected."""


def _products(found: Search, options: dict) -> None:
    """Alternating least squares; products are added, starting from the strongest waves in the residual, as long as the
    error decreases.

    Slow sines of all coordinates are added if they remove most of the residual.
    """
    samples = found.samples
    rows = torch.as_tensor(samples.train)
    x, y, at = samples.x[rows], samples.y[rows], samples.normalized(samples.train)
    numbers = found.wavenumbers
    most, width, slow = MOST_PRODUCTS, None, options.get("slow", 0)
    if "layers" in options:
        width, most = options["layers"][0], options["layers"][1]
    wavenumber = options.get("wavenumber", (1.25 * (numbers + math.pi) / samples.box.half_width).tolist())
    if width is None:
        fast = np.max(np.asarray(wavenumber) * samples.box.half_width)
        width = math.ceil(1.15 * waves_to_features(fast))
    width = max(2, min(width, len(rows) // (4 * samples.dim)))
    free = "slow" not in options and samples.dim > 2
    net: ProductRepNet | None = None
    best = math.inf

    limits.say(f"planning: products of functions of one coordinate, up to {most}")

    def improved(starts: list, slow: int, base: ProductRepNet | None = None) -> bool:
        """Whether ``base`` with further products and with slow sines has a much smaller held-out error; then kept."""
        nonlocal net, best
        grown = _grown(base, samples, [width, slow], wavenumber, starts, found.seed)
        method, error = Alternating(grown, x, y), math.inf
        for _ in range(SWEEPS):
            method.sweep()
            sizes = [grown.products * (grown.factor(axis).in_features + 1) for axis in range(samples.dim)]
            found.work += 2.0 * len(rows) * sum(size * (size + slow) for size in sizes)
            before, error = error, held_out(grown, samples)
            if error > STALLED * before or error <= GOOD or found.work > MOST_WORK or not limits.left():
                break
        found.work += 2.0 * len(rows) * slow**2
        if not error < BETTER * best:
            return False
        net, best = grown, error
        sigma = samples.misfit(net, samples.train).square().mean(0).sqrt()
        chosen = {"layers": [width, net.products], "wavenumber": wavenumber} | ({"slow": slow} if slow else {})
        said = f"repnet-product with {net.products} products of up to {width} basis functions a coordinate"
        said += f" and {slow} slow sines" if slow else ""
        found.tried.append(Candidate(PRODUCT.name, chosen, net, error, sigma.double().numpy(), said))
        return True

    starts = _starts(at, y.double().numpy(), most)
    improved(starts, slow)
    fast = [start for start in starts if any(math.pi * m > SLOW_WAVENUMBER for m, _ in start)]
    more = min(SLOW_FEATURES, len(rows) // 16)
    if free and fast and best > LARGE and not found.over and improved(fast, more):
        slow = more
    while net is not None and not found.over:
        starts = _starts(at, -samples.misfit(net, samples.train).double().numpy(), most - net.products)
        if not starts or not improved(starts, slow, net):
            break


def _starts(x: np.ndarray, left: np.ndarray, room: int) -> list[list[tuple[int, float]]]:
    """Starting products, at most ``room``: for each coordinate (number of half waves m, phase) of cos(π m x̂ + φ).

    The strongest waves in the residual ``left`` (n, c) are expanded into products of cosines and sines.
    """
    dim, rows = x.shape[1], slice(0, 20_000)
    found: list[list[tuple[int, float]]] = []
    for column in left.T:
        vectors, _ = peaks(x, column, NEW)
        if not len(vectors):  # nothing exceeds the noise: slow products
            vectors = np.zeros((1, dim), dtype=int)
        parts = []
        for vector in vectors:
            phases = [(0.0, -math.pi / 2) if m else (0.0,) for m in vector]
            grids = np.array(np.meshgrid(*phases, indexing="ij")).reshape(dim, -1).T
            parts += [[(int(m), float(p)) for m, p in zip(vector, row, strict=True)] for row in grids]
        columns = np.stack([_product(part, x[rows]) for part in parts], axis=1)
        size = np.abs(np.linalg.lstsq(columns, column[rows], rcond=1e-6)[0])
        order = np.argsort(-size)
        found += [parts[i] for i in order if size[i] > SHARED * size[order[0]]][: 2 * NEW]
    return found[:room]


def _product(part: list[tuple[int, float]], x: np.ndarray) -> np.ndarray:
    """Π_l cos(π m_l x̂_l + φ_l) at x̂ (n, d)."""
    return np.prod([np.cos(math.pi * m * x[:, axis] + phase) for axis, (m, phase) in enumerate(part)], axis=0)


@torch.no_grad()
def _grown(
    net: ProductRepNet | None,
    samples: Samples,
    widths: list[int],
    wavenumber: Sequence[float],
    starts: list[list[tuple[int, float]]],
    seed: int,
) -> ProductRepNet:
    """A network with the products of ``net`` (or None) and those of ``starts``, with small weights.

    widths: numbers of basis functions of the fastest coordinate, and of slow sines.
    """
    old, (width, slow) = 0 if net is None else net.products, widths
    with seeded(seed):
        sizes = [samples.dim, width, old + len(starts), samples.outputs]
        grown = ProductRepNet(sizes, domain=samples.box, wavenumber=wavenumber, slow=slow)
    some = torch.linspace(-1, 1, 4 * width, dtype=samples.x.dtype)
    for axis in range(samples.dim):
        factor = grown.factor(axis)
        x = torch.zeros(len(some), samples.dim, dtype=some.dtype)
        center, half = samples.box.center[axis], samples.box.half_width[axis]
        x[:, axis] = center + half * some
        features = torch.cat([grown.features(x, axis), torch.ones(len(some), 1, dtype=some.dtype)], 1)
        if starts:
            wanted = torch.stack([torch.cos(math.pi * start[axis][0] * some + start[axis][1]) for start in starts], 1)
            fitted = Factorization(features, 1e-8).solve(-wanted).T
            factor.weight[old:], factor.bias[old:] = fitted[:, :-1], fitted[:, -1]
        if net is not None:
            factor.weight[:old], factor.bias[:old] = net.factor(axis).weight, net.factor(axis).bias
    grown.last.weight[:, old:] = 0.1 if net is None else 1e-2 * net.last.weight.abs().max()
    grown.last.weight[:, grown.products :] = 0.0
    if net is not None:
        grown.last.weight[:, :old] = net.last.weight[:, :old]
        grown.last.weight[:, grown.products :] = net.last.weight[:, old:] if net.slow is not None else 0.0
        grown.last.bias.copy_(net.last.bias)
    return grown
