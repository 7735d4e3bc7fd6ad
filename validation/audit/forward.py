"""Random forward problems whose solution is known, of many kinds, as users write them.

Most are manufactured: the source is the operator applied to the exact solution. Others have closed forms. Problems that
determine nothing come with two different solutions (`Solutions.witnesses`), and those that contradict themselves by an
amount that is no rounding.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from ... import Interface, Problem, Sampling
from ...backend import dde
from ...problem.points import test_points
from .case import HUGE, Case, Kind, Outcome, Solutions
from .fields import (
    amplification,
    antiderivative,
    array,
    at_end,
    derivative,
    dirichlet,
    everywhere,
    initial,
    initial_slope,
    laplacian,
    manufactured,
    neumann,
    on_a_box,
    robin,
    side,
    slope,
    source,
    stacked,
    waves,
)

Said = Outcome
POINTS, POINTS_SEED = 4000, 181
"""Where the true error is measured: not the points at which solutions are compared with each other."""
ILL = 1e5
"""Problems that amplify more than this are drawn again: they would be no test of a statement about 1e-6."""


def of_case(case: Case) -> dict:
    truth = case.truth
    return {"determined": bool(truth.functions), "well_posed": truth.well_posed, "condition": truth.condition}


def of_result(result, case: Case) -> dict:
    return {"error": distance(result, case.truth.functions)}


def distance(result, functions) -> float | None:
    """The relative L2 distance of a result to the nearest of the true solutions; None where there are none."""
    if not functions:
        return None
    x = test_points(result.problem, POINTS, POINTS_SEED)
    found = result.predict(x)
    distances = []
    for function in functions:
        u = function(torch.as_tensor(x)).detach().numpy()
        with np.errstate(all="ignore"):
            distance = float(np.linalg.norm(found - u) / np.linalg.norm(u))
        distances.append(distance if np.isfinite(distance) else HUGE)
    return min(distances)


KINDS: dict[str, Kind] = {}


def kind(number: int) -> Callable:
    """Enter a function of (generator, number) in the table under its name."""

    def enter(draw):
        KINDS[draw.__name__] = Kind(draw, number)
        return draw

    return enter


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


# One coordinate -------------------------------------------------------------------------------------------------------


@kind(16)
def ordinary(rng, number):
    """Linear equations of order 1 to 4 with variable coefficients."""
    order = number % 4 + 1
    while True:
        low, high = interval(rng)
        width, largest = high - low, rng.uniform(2, 12)
        exact = waves(rng, low, high, largest) if number % 3 else _shifted(waves(rng, low, high, largest), 1.0)
        sizes = [rng.uniform(0, 2) / width ** (order - k) for k in range(order)]
        lower = [waves(rng, low, high, 4, size=size) for size in sizes]
        leading = positive(rng, low, high)
        ends = {
            1: [(low, 0)],
            2: [(low, int(rng.integers(2))), (high, 0)],
            3: [(low, 0), (low, 1), (high, 0)],
            4: [(low, 0), (high, 0), *((end, k) for k in [int(rng.integers(1, 3))] for end in (low, high))],
        }[order]
        condition = amplification([*lower, leading], ends, exact, low, high)
        if condition < ILL:
            break

    def operator(x, u):
        return leading(x) * slope(u, x, *[0] * order) + sum(
            c(x) * (slope(u, x, *[0] * k) if k else u) for k, c in enumerate(lower)
        )

    geometry = line(low, high)
    conditions = {f"end {j}": at_end(geometry, exact, *_end(end, width, k)) for j, (end, k) in enumerate(ends)}
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(
        f"order {order}, waves up to {largest:.1f}, [{low:.2f}, {high:.2f}]", problem, exact, condition=condition
    )


def _shifted(f, by: float):
    return lambda x: f(x) + by


def _end(end: float, width: float, order: int):
    return end, width, order


@kind(12)
def oscillating(rng, number):
    """Helmholtz's equation in one coordinate with a variable index, not near a resonance; many waves."""
    while True:
        low, high = interval(rng)
        k = rng.uniform(8, 60) / (high - low)
        index = positive(rng, low, high, size=0.3)
        exact = waves(rng, low, high, k * (high - low) / 2, count=6)
        coefficients = [lambda x, k=k, n=index: k**2 * n(x), lambda x: 0 * x, lambda x: 1 + 0 * x]
        ends = [(low, 0), (high, number % 2)]
        condition = amplification(coefficients, ends, exact, low, high, degree=160)
        if condition < 1e4:
            break
    geometry = line(low, high)

    def operator(x, u):
        return slope(u, x, 0, 0) + k**2 * index(x) * u

    conditions = {f"end {j}": at_end(geometry, exact, e, high - low, n) for j, (e, n) in enumerate(ends)}
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(f"k = {k:.1f} on a length of {high - low:.2f}", problem, exact, condition=condition)


@kind(15)
def contrast(rng, number):
    """Coefficients that vary by up to 1e6: a = exp(s sin ...), in one and two coordinates."""
    s, m = rng.uniform(1, math.log(1e6) / 2), int(rng.integers(1, 4))
    phase, w = rng.uniform(0, 2 * np.pi), 2 * np.pi * m
    settings = {"network_options": {"layers": [int(rng.integers(15, 61))]}} if number % 5 == 4 else {}
    text = f"a from {math.exp(-s):.1e} to {math.exp(s):.1e}, {m} waves" + (f", {settings}" if settings else "")
    if number % 3 < 2:
        geometry = line(0, 1)

        def a(x):
            return torch.exp(s * torch.sin(w * x + phase))

        def operator(x, u):
            return a(x) * (slope(u, x, 0, 0) + s * w * torch.cos(w * x + phase) * slope(u, x, 0))

        if number % 3 == 0:  # -(a u')' = p + q x: u' = (C - p x - q x²/2) / a
            p, q = rng.uniform(0.5, 1.5), rng.uniform(-1, 1)
            one = antiderivative(lambda x: 1 / a(x), 0, 1)
            load = antiderivative(lambda x: (p * x + q * x**2 / 2) / a(x), 0, 1)
            end = torch.ones(1, 1, dtype=torch.float64)
            total = load(end) / one(end)

            def exact(x):
                return total * one(x) - load(x)

            def pde(x, u):
                return operator(x, u) + p + q * x
        else:
            exact = waves(rng, 0, 1, rng.uniform(2, 8))
            pde = manufactured(operator, exact)
        coefficients = [
            lambda x: 0 * x,
            lambda x: a(x) * s * w * torch.cos(w * x + phase),
            a,
        ]
        condition = amplification(coefficients, [(0, 0), (1, 0)], exact, 0, 1, degree=240)
        conditions = {"ends": dirichlet(geometry, exact)}
        problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
        return case(f"-(a u')' = f, {text}", problem, exact, condition=condition, settings=settings)
    low, high = np.zeros(2), np.ones(2)
    geometry, exact, hills = dde.geometry.Rectangle(low, high), waves(rng, low, high, 4.0), waves(rng, low, high, 4.0)

    def diffusion(x, u):
        value = torch.exp(s * hills(x))
        return sum(slope(value * slope(u, x, axis), x, axis) for axis in (0, 1))

    problem = Problem(
        geometry=geometry, pde=manufactured(diffusion, exact), conditions={"sides": dirichlet(geometry, exact)}
    )
    return case(f"div(a grad u) = f, a up to e^{s:.1f} either way", problem, exact, settings=settings)


@kind(12)
def layers(rng, number):
    """Small factors of the highest derivative, in closed form: boundary layers."""
    geometry, flow = line(0, 1), rng.uniform(0.5, 2)
    if number % 2:
        eps = log_uniform(rng, 1e-4, 1e-1)

        def exact(x):  # -ε u'' + b u' = 1
            return x / flow - (torch.exp((x - 1) * flow / eps) - math.exp(-flow / eps)) / (
                flow * -math.expm1(-flow / eps)
            )

        def pde(x, u):
            return -eps * slope(u, x, 0, 0) + flow * slope(u, x, 0) - 1

        text = f"-{eps:.1e} u'' + {flow:.2f} u' = 1"
    else:
        eps = log_uniform(rng, 1e-3, 1e-1)
        value = rng.uniform(-1, 0.5)

        def exact(x):  # -ε² u'' + u = 1, u = value at both ends
            both = torch.exp(-x / eps) + torch.exp((x - 1) / eps)
            return 1 - (1 - value) * both / (1 + math.exp(-1 / eps))

        def pde(x, u):
            return -(eps**2) * slope(u, x, 0, 0) + u - 1

        text = f"-{eps:.1e}² u'' + u = 1"
    problem = Problem(geometry=geometry, pde=pde, conditions={"ends": dirichlet(geometry, exact)})
    return case(text, problem, exact)


def bump(center, radius: float):
    """(1 - |x - c|²/r²)⁴ inside the radius, 0 outside; of the first coordinates, as many as the center has."""
    center = torch.tensor(np.atleast_1d(center))

    def value(x):
        inside = 1 - ((x[:, : len(center)] - center) ** 2).sum(1, keepdim=True) / radius**2
        return inside.clamp(min=0) ** 4

    return value


@kind(20)
def localised(rng, number):
    """A term, or a part of the solution, that is there in a small part of the domain only."""
    variant = (0, 1, 2, 0, 1, 2, 0, 1, 3, 4)[number % 10]  # the last two, in two coordinates, are dear
    width = log_uniform(rng, 0.003, 0.2)
    center = rng.uniform(0.05 + width, 0.95 - width)
    if variant == 3:  # in a plane
        width = log_uniform(rng, 0.08, 0.2)
        center = rng.uniform(0.05 + width, 0.95 - width, 2)
        low, high = np.zeros(2), np.ones(2)
        geometry, exact, local = dde.geometry.Rectangle(low, high), waves(rng, low, high, 2.5), bump(center, width)
        strength = log_uniform(rng, 1, 10) / width
        axis = int(rng.integers(2))

        def drift(x, u):
            return -laplacian(u, x, (0, 1)) + strength * local(x) * slope(u, x, axis)

        problem = Problem(
            geometry=geometry, pde=manufactured(drift, exact), conditions={"sides": dirichlet(geometry, exact)}
        )
        return case(
            f"-Δu + {strength:.0f} bump u_{axis}, radius {width:.3f}", problem, exact, condition=strength * width
        )
    local = bump(center, width)
    if variant == 4:  # in time: drag
        geometry = in_time(line(0, 1), 0.5)
        exact = waves(rng, [0, 0], [1, 0.5], 2.5)
        width = max(width, 0.08)
        local, strength = bump(min(max(center, 0.15), 0.85), width), log_uniform(rng, 1, 10) / width

        def evolution(x, u):
            return slope(u, x, 1) - slope(u, x, 0, 0) + strength * local(x) * slope(u, x, 0)

        problem = Problem(
            geometry=geometry,
            pde=manufactured(evolution, exact),
            conditions={"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)},
        )
        text = f"u_t - u_xx + {strength:.0f} bump u_x, half width {width:.3f}"
        return case(text, problem, exact, condition=strength * width)
    geometry, exact = line(0, 1), waves(rng, 0, 1, rng.uniform(2, 6))
    if variant == 2:  # the solution itself: a spike
        size = rng.uniform(0.5, 2)
        smooth, width = exact, log_uniform(rng, 0.003, 0.1)

        def exact(x):
            return smooth(x) + size * torch.exp(-(((x - center) / width) ** 2))

        def operator(x, u):
            return -slope(u, x, 0, 0) + u

        text, condition = f"-u'' + u = f with a spike of width {width:.4f} at {center:.3f}", 1.0
    else:
        order = 1 if variant == 0 else 0
        strength = log_uniform(rng, 1, 10) / width ** (2 - order)

        def operator(x, u):
            return -slope(u, x, 0, 0) + strength * local(x) * (slope(u, x, 0) if order else u)

        condition = strength * width ** (2 - order)
        text = f"-u'' + {strength:.0f} bump u{chr(39) * order}, half width {width:.4f} at {center:.3f}"
    problem = Problem(
        geometry=geometry, pde=manufactured(operator, exact), conditions={"ends": dirichlet(geometry, exact)}
    )
    return case(text, problem, exact, condition=condition)


# Two coordinates ------------------------------------------------------------------------------------------------------


@kind(16)
def plane(rng, number):
    """Poisson, Helmholtz, reaction-diffusion and advection-diffusion on rectangles, with mixed conditions."""
    low, high = rectangle(rng)
    size = high - low
    exact = waves(rng, low, high, rng.uniform(1.5, 4))
    geometry = dde.geometry.Rectangle(low, high)
    a = positive(rng, low, high, 2.0, 0.4)
    condition, variant = None, number % 4
    if variant == 0:
        text = "-div(a grad u) = f"

        def operator(x, u):
            return -sum(slope(a(x) * slope(u, x, axis), x, axis) for axis in (0, 1))

    elif variant == 1:
        modes = np.pi**2 * ((np.arange(1, 40) / size[0]) ** 2 + (np.arange(1, 40)[:, None] / size[1]) ** 2)
        while True:
            k = rng.uniform(2, 8) / size.max()
            gap = abs(modes - k**2).min()
            if gap > 0.05 * max(k**2, modes.min()):
                break
        text, condition = f"Δu + {k:.2f}² u = f", 2 * k**2 / gap + 1

        def operator(x, u):
            return laplacian(u, x, (0, 1)) + k**2 * u

    elif variant == 2:
        text, c = "-Δu + c u = f", positive(rng, low, high, 2.0, size=1.5)

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + c(x) * u

    else:
        b, peclet = (waves(rng, low, high, 2.0) for _ in range(2)), rng.uniform(1, 20)
        b = list(b)
        text = f"-Δu + b · grad u = f, |b| up to {peclet:.0f}"

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + peclet * sum(b[axis](x) * slope(u, x, axis) for axis in (0, 1))

    if variant == 1 or rng.random() < 0.4:
        conditions, held = {"sides": dirichlet(geometry, exact)}, "Dirichlet"
    elif rng.random() < 0.5:
        left = side(0, low[0], size[0])
        conditions = {
            "left": dirichlet(geometry, exact, left),
            "others": neumann(geometry, exact, lambda x, on: bool(on and not left(x, on))),
        }
        held = "Dirichlet and Neumann"
    else:
        conditions, held = {"sides": robin(geometry, exact, rng.uniform(1, 4))}, "Robin"
        if variant == 3:  # outflow could make it lose its uniqueness
            conditions, held = {"sides": dirichlet(geometry, exact)}, "Dirichlet"
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(f"{text}, {held}", problem, exact, condition=condition)


@kind(12)
def domain(rng, number):
    """Disks, ellipses, triangles, L-shapes and domains with holes; smooth solutions."""
    g, variant = dde.geometry, number % 6
    center = rng.uniform(-1, 1, 2)
    r = rng.uniform(0.4, 1.2)
    low, high = center - r, center + r
    if variant == 0:
        geometry, text = g.Disk(center, r), "disk"
    elif variant == 1:
        geometry, text = g.Ellipse(center, r, 0.6 * r, rng.uniform(0, np.pi)), "ellipse"
    elif variant == 2:
        angles = np.array([0.0, 2.1, 4.2]) + rng.uniform(0, 1) + rng.uniform(-0.3, 0.3, 3)
        geometry, text = g.Triangle(*(center + r * np.array([np.cos(t), np.sin(t)]) for t in angles)), "triangle"
    elif variant == 3:
        corners = np.array([[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]]) * r + center
        geometry, text = g.Polygon(corners), "L-shape"
    elif variant == 4:
        hole = rng.uniform(0.2, 0.35)
        at = center + rng.uniform(-0.4, 0.4, 2) * r
        geometry, text = g.CSGDifference(g.Rectangle(low, high), g.Disk(at, hole * r)), "square with a hole"
    else:
        hole = rng.uniform(0.3, 0.6)
        geometry, text = g.CSGDifference(g.Disk(center, r), g.Disk(center, hole * r)), "ring"
    exact, c = waves(rng, low, high, rng.uniform(1.5, 3)), float(rng.integers(2)) * rng.uniform(0.5, 3)

    def operator(x, u):
        return -laplacian(u, x, (0, 1)) + c * u

    problem = Problem(
        geometry=geometry, pde=manufactured(operator, exact), conditions={"boundary": dirichlet(geometry, exact)}
    )
    return case(f"-Δu + {c:.2f} u = f on a {text}", problem, exact)


# In time --------------------------------------------------------------------------------------------------------------


@kind(12)
def heat(rng, number):
    """u_t = (a u_x)_x + b u_x - c u + f, with conditions of every type."""
    low, high = interval(rng)
    end = rng.uniform(0.1, 1)
    geometry = in_time(line(low, high), end)
    exact = waves(rng, [low, 0], [high, end], rng.uniform(1.5, 4))
    a, b, c = positive(rng, low, high, size=0.6), rng.uniform(-2, 2), rng.uniform(0, 2)
    scale = log_uniform(rng, 0.05, 1)

    def operator(x, u):
        flux = scale * a(x[:, :1]) * slope(u, x, 0)
        return slope(u, x, 1) - slope(flux, x, 0) - scale * b * slope(u, x, 0) + c * u

    left, width = side(0, low, high - low), high - low
    right = side(0, high, width)
    ends = [
        {"ends": dirichlet(geometry, exact)},
        {"left": dirichlet(geometry, exact, left), "right": neumann(geometry, exact, right)},
        {"ends": robin(geometry, exact, rng.uniform(0.5, 3))},
    ][number % 3]
    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, exact),
        conditions={**ends, "start": initial(geometry, exact)},
    )
    return case(f"diffusivity about {scale:.2f}, {', '.join(ends)}", problem, exact)


@kind(12)
def wave(rng, number):
    """u_tt = (c² u_x)_x - d u_t + f, and beams u_tt = -u_xxxx + f."""
    low, high, end = 0.0, rng.uniform(0.5, 2), rng.uniform(0.3, 1)
    geometry = in_time(line(low, high), end)
    exact = waves(rng, [low, 0], [high, end], rng.uniform(2, 5))
    c, drag = positive(rng, low, high, size=0.4), rng.uniform(0, 2)
    stiffness = rng.uniform(0.05, 0.5) * high**4
    beam = number % 3 == 2

    def operator(x, u):
        if beam:
            return slope(u, x, 1, 1) + stiffness * slope(u, x, 0, 0, 0, 0)
        return slope(u, x, 1, 1) - slope(c(x[:, :1]) * slope(u, x, 0), x, 0) + drag * slope(u, x, 1)

    conditions = {
        "ends": dirichlet(geometry, exact),
        "start": initial(geometry, exact),
        "velocity": initial_slope(geometry, exact),
    }
    if beam:
        conditions["clamps"] = neumann(geometry, exact)
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case("beam" if beam else "wave with variable speed", problem, exact)


@kind(12)
def transport(rng, number):
    """u_t + c u_x = f with inflow; and Schroedinger's equation for real and imaginary part."""
    if number % 2:
        low, high, end = 0.0, rng.uniform(0.5, 2), rng.uniform(0.1, 0.5)
        geometry = in_time(line(low, high), end)
        exact = stacked(*(waves(rng, [low, 0], [high, end], rng.uniform(2, 4)) for _ in range(2)))
        potential, scale = waves(rng, low, high, 3.0, size=3.0), rng.uniform(0.1, 0.5)

        def operator(x, u):
            v = potential(x[:, :1])
            return [
                slope(u, x, 1, i=0) + scale * slope(u, x, 0, 0, i=1) - v * u[:, 1:2],
                slope(u, x, 1, i=1) - scale * slope(u, x, 0, 0, i=0) + v * u[:, 0:1],
            ]

        problem = Problem(
            geometry=geometry,
            pde=manufactured(operator, exact),
            conditions={
                f"{name} {i}": make(geometry, exact, i=i)
                for i in (0, 1)
                for name, make in (("ends", dirichlet), ("start", initial))
            },
            outputs=("real", "imaginary"),
        )
        return case("Schroedinger's equation", problem, exact)
    low, high = interval(rng)
    end = rng.uniform(0.3, 1.5)
    geometry = in_time(line(low, high), end)
    exact = waves(rng, [low, 0], [high, end], rng.uniform(2, 8))
    speed = positive(rng, [low, 0], [high, end])

    def flow(x, u):
        return slope(u, x, 1) + speed(x) * slope(u, x, 0)

    inflow = side(0, low, high - low)
    problem = Problem(
        geometry=geometry,
        pde=manufactured(flow, exact),
        conditions={"inflow": dirichlet(geometry, exact, inflow), "start": initial(geometry, exact)},
    )
    return case("u_t + c(x, t) u_x = f", problem, exact)


# Jumps, systems -------------------------------------------------------------------------------------------------------


def _two_sided(at: float, left: float, right: float):
    return lambda x: torch.where(x[:, :1] < at, torch.full_like(x[:, :1], left), torch.full_like(x[:, :1], right))


@kind(16)
def jump(rng, number):
    """Discontinuous coefficients: with interfaces, in the lower terms, and where the source jumps with them."""
    variant = number % 4
    at, left, right = rng.uniform(0.2, 0.8), log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    a = _two_sided(at, left, right)
    if variant in (0, 1):  # a u_x is continuous: u = (x - at)/a h + r
        low, high = np.zeros(1 + variant), np.ones(1 + variant)
        geometry = dde.geometry.Rectangle(low, high) if variant else line(0, 1)
        h, r = waves(rng, low, high, 2.0), waves(rng, low[1:], high[1:], 2.0) if variant else None
        constant = rng.uniform(-1, 1)

        def exact(x):
            return (x[:, :1] - at) / a(x) * h(x) + (r(x[:, 1:]) if variant else constant)

        def operator(x, u):
            return -a(x) * laplacian(u, x, range(1 + variant))

        interface = Interface(axis=0, at=at, flux=lambda x, u: a(x) * slope(u, x, 0))
        problem = Problem(
            geometry=geometry,
            pde=manufactured(operator, exact),
            conditions={"boundary": dirichlet(geometry, exact)},
            interfaces=[interface],
        )
        text = f"interface at {at:.2f}, a = {left:.2f} | {right:.2f}, {1 + variant}-D"
        return case(text, problem, exact)
    geometry = line(0, 1)
    if variant == 2:  # equation in stress and displacement: a u' = s, s' = -f; no interface stated, u has a kink
        h, constant = waves(rng, 0, 1, 4.0), rng.uniform(-1, 1)

        def exact(x):
            u = (x - at) / a(x) * h(x) + constant
            s = h(x) + (x - at) * _slope_of(h)(x)
            return torch.cat([u, s], 1)

        def system(x, u):
            return [a(x) * slope(u, x, 0, i=0) - u[:, 1:2], slope(u, x, 0, i=1)]

        problem = Problem(
            geometry=geometry,
            pde=manufactured(system, exact),
            conditions={"ends": dirichlet(geometry, exact, i=0)},
            outputs=("u", "s"),
            sampling=Sampling(domain=600),
        )
        return case(f"first-order form, a = {left:.2f} | {right:.2f} at {at:.2f}", problem, exact)
    exact = waves(rng, 0, 1, rng.uniform(2, 6))  # the coefficient of u jumps, and f with it
    left, right = 10 * left, 10 * right
    c = _two_sided(at, left, right)

    def reaction(x, u):
        return -slope(u, x, 0, 0) + c(x) * u

    problem = Problem(
        geometry=geometry, pde=manufactured(reaction, exact), conditions={"ends": dirichlet(geometry, exact)}
    )
    return case(f"-u'' + c u, c = {left:.1f} | {right:.1f} at {at:.2f}", problem, exact)


def _slope_of(f):
    """The derivative of a function of one coordinate, differentiable as well."""

    def value(x):
        points = x if x.requires_grad else x.clone().requires_grad_()
        (found,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
        return found if x.requires_grad else found.detach()

    return value


@kind(15)
def system(rng, number):
    """Several outputs: first-order forms, coupled equations, elasticity, Stokes."""
    variant = number % 5
    if variant == 0:  # -(a u')' + u = f as two equations of first order
        low, high = interval(rng)
        a, u = positive(rng, low, high), waves(rng, low, high, rng.uniform(2, 8))
        exact = stacked(u, lambda x: a(x) * _slope_of(u)(x))
        geometry = line(low, high)

        def operator(x, y):
            return [a(x) * slope(y, x, 0, i=0) - y[:, 1:2], -slope(y, x, 0, i=1) + y[:, 0:1]]

        conditions = {"ends": dirichlet(geometry, exact, i=0)}
        outputs, text = ("u", "flux"), "first-order form"
    elif variant == 1:  # coupled ordinary equations
        low, high = interval(rng)
        size = [1.0, 1.0, log_uniform(rng, 1e-3, 1)]
        exact = stacked(*(waves(rng, low, high, rng.uniform(2, 6), size=s) for s in size))
        matrix = torch.tensor(rng.uniform(-1, 1, (3, 3)) / (high - low))
        geometry = line(low, high)

        def operator(x, y):
            return [slope(y, x, 0, i=i) + (y @ matrix[i])[:, None] for i in range(3)]

        left = side(0, low, high - low)
        conditions = {f"start {i}": dirichlet(geometry, exact, left, i=i) for i in range(3)}
        outputs, text = ("a", "b", "c"), "three equations of first order"
    elif variant == 2:  # coupled diffusion
        low, high = rectangle(rng)
        exact = stacked(*(waves(rng, low, high, rng.uniform(1.5, 3)) for _ in range(2)))
        geometry, k = dde.geometry.Rectangle(low, high), rng.uniform(0.5, 3)

        def operator(x, y):
            u, v = y[:, 0:1], y[:, 1:2]
            return [-laplacian(y, x, (0, 1), i=0) + k * (u - v), -laplacian(y, x, (0, 1), i=1) + k * (v - u)]

        conditions = {f"sides {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
        outputs, text = ("u", "v"), "coupled diffusion"
    elif variant == 3:  # plane strain
        low, high = rectangle(rng)
        exact = stacked(*(waves(rng, low, high, rng.uniform(1.5, 3)) for _ in range(2)))
        geometry, lame = dde.geometry.Rectangle(low, high), rng.uniform(0.5, 10)

        def operator(x, y):
            spread = slope(y, x, 0, i=0) + slope(y, x, 1, i=1)
            return [laplacian(y, x, (0, 1), i=i) + (1 + lame) * slope(spread, x, i) for i in (0, 1)]

        conditions = {f"sides {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
        outputs, text = ("u", "v"), f"plane strain, λ/μ = {lame:.1f}"
    else:  # Stokes: the pressure is known at one point
        low, high = np.zeros(2), np.ones(2)
        psi, p = waves(rng, low, high, 1.5), waves(rng, low, high, 1.5)

        def exact(x):
            points = x if x.requires_grad else x.clone().requires_grad_()
            (g,) = torch.autograd.grad(psi(points).sum(), points, create_graph=True)
            value = torch.cat([g[:, 1:2], -g[:, 0:1], p(points)], 1)
            return value if x.requires_grad else value.detach()

        geometry = dde.geometry.Rectangle(low, high)

        def operator(x, y):
            momentum = [-laplacian(y, x, (0, 1), i=i) + slope(y, x, i, i=2) for i in (0, 1)]
            return [*momentum, slope(y, x, 0, i=0) + slope(y, x, 1, i=1)]

        conditions = {f"wall {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
        pin = rng.uniform(0.2, 0.8, (1, 2))
        conditions["pressure"] = dde.icbc.PointSetBC(pin, array(exact)(pin)[:, 2:3], component=2)
        outputs, text = ("u", "v", "p"), "Stokes flow, pressure pinned"
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions, outputs=outputs)
    return case(text, problem, exact)


@kind(12)
def periodic(rng, number):
    """Periodic conditions, alone and beside others; a mean that is fixed by a reaction or a pin."""
    variant = number % 3
    m = rng.integers(1, 4, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    if variant == 2:
        low, high = np.zeros(2), np.array([2 * np.pi, 1.0])
        geometry = dde.geometry.Rectangle(low, high)

        def exact(x):
            return sum(
                torch.cos(int(k) * x[:, :1] + p) * torch.cos(k * x[:, 1:]) for k, p in zip(m, phases, strict=True)
            )

        def operator(x, u):
            return -laplacian(u, x, (0, 1))

        walls = lambda x, on: bool(on and (abs(x[1]) < 1e-9 or abs(x[1] - 1) < 1e-9))  # noqa: E731
        ends = lambda x, on: bool(on and (abs(x[0]) < 1e-9 or abs(x[0] - 2 * np.pi) < 1e-9))  # noqa: E731
        conditions = {"walls": dirichlet(geometry, exact, walls)}
        text = "Poisson, periodic in x"
    else:
        geometry = line(0, 2 * np.pi)

        def exact(x):
            return 0.3 + sum(torch.cos(int(k) * x + p) for k, p in zip(m, phases, strict=True))

        c = rng.uniform(0.5, 3) if variant == 0 else 0.0

        def operator(x, u):
            return -slope(u, x, 0, 0) + c * u

        ends, conditions, text = everywhere, {}, f"-u'' + {c:.2f} u = f"
        if variant == 1:
            pin = np.array([[rng.uniform(1, 5)]])
            conditions["pin"] = dde.icbc.PointSetBC(pin, array(exact)(pin))
    conditions["periodic"] = dde.icbc.PeriodicBC(geometry, 0, ends, derivative_order=0)
    conditions["periodic slope"] = dde.icbc.PeriodicBC(geometry, 0, ends, derivative_order=1)
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(text, problem, exact)


# What is not determined, or contradicts itself ------------------------------------------------------------------------

FEATURES = (
    {},
    {"network": "repnet", "method": "least-squares"},
    {"network": "repnet-gaussian", "method": "least-squares"},
)
"""Settings that are taken in turn: all automatic, and features whose partition points could be the same again."""


@kind(26)
def missing(rng, number):
    """A condition is missing, or a constant, or the problem is at a resonance: there are many solutions."""
    variant, settings = number % 13, FEATURES[number // 13 % 3]
    low, high, end = 0.0, rng.uniform(0.6, 2), rng.uniform(0.3, 1)
    width, m = high - low, int(rng.integers(1, 3))
    k = m * np.pi / width
    geometry, outputs = line(low, high), ("u",)
    in_space, left = geometry, side(0, low, width)
    exact = waves(rng, low, high, rng.uniform(2, 6))
    if variant in (3, 4, 5, 6, 7):
        geometry = in_time(in_space, end)
        exact = waves(rng, [low, 0], [high, end], rng.uniform(2, 5))
    if variant in (8, 9, 10):
        geometry = dde.geometry.Rectangle([low, 0], [high, 1])
        exact = waves(rng, [low, 0], [high, 1], rng.uniform(2, 5))
    if variant == 0:
        text, w = "second order, one end", waves(rng, low, high, 3.0)
        free = antiderivative(lambda x: torch.exp(w(x)), low, high, 100)

        def operator(x, u):
            return slope(u, x, 0, 0) - _slope_of(w)(x) * slope(u, x, 0)

        conditions = {"left": dirichlet(geometry, exact, left)}
    elif variant == 1:
        text, free = "fourth order, three conditions", lambda x: (x - low) ** 2 * (x - high)

        def operator(x, u):
            return slope(u, x, 0, 0, 0, 0)

        conditions = {"ends": dirichlet(geometry, exact), "slope": neumann(geometry, exact, left)}
    elif variant == 2:
        text, free = "at a resonance", lambda x: torch.sin(k * (x - low))

        def operator(x, u):
            return slope(u, x, 0, 0) + k**2 * u

        conditions = {"ends": dirichlet(geometry, exact)}
    elif variant in (3, 4):
        d = rng.uniform(0.1, 1)

        def operator(x, u):
            return slope(u, x, 1) - d * slope(u, x, 0, 0)

        if variant == 3:
            text = "heat without a start"
            free = lambda x: torch.sin(k * (x[:, :1] - low)) * torch.exp(-d * k**2 * x[:, 1:])  # noqa: E731
            conditions = {"ends": dirichlet(geometry, exact)}
        else:
            text, beyond = "heat with one end free", 1.2 * width

            def free(x):  # a source at ``beyond`` and its mirror image: zero at the start and at the left end
                s, t = x[:, :1] - low, x[:, 1:].clamp(min=1e-4)
                parts = [torch.exp(-((s - p) ** 2) / (4 * d * t)) for p in (beyond, -beyond)]
                return (parts[0] - parts[1]) / t.sqrt()

            conditions = {"left": dirichlet(geometry, exact, left), "start": initial(geometry, exact)}
    elif variant == 5:
        text, c = "wave without a velocity at the start", rng.uniform(0.5, 2)
        free = lambda x: torch.sin(k * (x[:, :1] - low)) * torch.sin(c * k * x[:, 1:])  # noqa: E731

        def operator(x, u):
            return slope(u, x, 1, 1) - c**2 * slope(u, x, 0, 0)

        conditions = {"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)}
    elif variant == 6:
        text, c = "advection without inflow", rng.uniform(0.5, 2)
        free = lambda x: (c * x[:, 1:] - (x[:, :1] - low)).clamp(min=0) ** 5  # noqa: E731

        def operator(x, u):
            return slope(u, x, 1) + c * slope(u, x, 0)

        conditions = {"start": initial(geometry, exact)}
    elif variant == 7:
        text, free = "heat, insulated, without a start", lambda x: torch.ones_like(x[:, :1])

        def operator(x, u):
            return slope(u, x, 1) - slope(u, x, 0, 0)

        conditions = {"ends": neumann(geometry, exact)}
    elif variant == 8:
        text = "Poisson, one side free"
        free = lambda x: torch.sin(k * (x[:, :1] - low)) * torch.sinh(k * x[:, 1:])  # noqa: E731

        def operator(x, u):
            return -laplacian(u, x, (0, 1))

        conditions = {"three sides": dirichlet(geometry, exact, lambda x, on: bool(on and x[1] < 1 - 1e-9))}
    elif variant == 9:
        text, free = "Poisson with fluxes only", lambda x: torch.ones_like(x[:, :1])

        def operator(x, u):
            return -laplacian(u, x, (0, 1))

        conditions = {"sides": neumann(geometry, exact)}
    elif variant == 10:
        text, outputs = "divergence only", ("u", "v")
        exact = stacked(exact, waves(rng, [low, 0], [high, 1], rng.uniform(2, 4)))

        def free(x):  # (ψ_y, -ψ_x), ψ = sin² sin²
            s, y = k * (x[:, :1] - low), np.pi * x[:, 1:]
            return torch.cat(
                [
                    np.pi * torch.sin(s) ** 2 * torch.sin(2 * y),
                    -k * torch.sin(2 * s) * torch.sin(y) ** 2,
                ],
                1,
            )

        def operator(x, u):
            return slope(u, x, 0, i=0) + slope(u, x, 1, i=1)

        conditions = {f"sides {i}": dirichlet(geometry, exact, i=i) for i in (0, 1)}
    elif variant == 11:
        text, geometry, turns = "periodic without a mean", line(0, 2 * np.pi), int(rng.integers(1, 5))
        exact, free = (lambda x: torch.cos(turns * x) + 0.5 * torch.sin(2 * x)), torch.ones_like

        def operator(x, u):
            return -slope(u, x, 0, 0)

        conditions = {f"periodic {n}": dde.icbc.PeriodicBC(geometry, 0, everywhere, derivative_order=n) for n in (0, 1)}
    else:
        text, free, c = "no condition at all", None, rng.uniform(0.2, 2)
        free = lambda x: torch.exp(-c * x)  # noqa: E731

        def operator(x, u):
            return slope(u, x, 0) + c * u

        conditions = {}
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions, outputs=outputs)

    def second(x):
        return exact(x) + 0.7 * free(x)

    text += f", {settings['network']}" if settings else ""
    return case(text, problem, reason=f"not determined: {text}", witnesses=(exact, second), settings=settings)


@kind(20)
def contradiction(rng, number):
    """Two conditions that contradict each other, or fluxes without a balance: there is no solution."""
    problem, _, text, off = _stated_twice(rng, number % 10, log_uniform(rng, 1e-2, 1))
    settings = FEATURES[number // 10 % 3] if number % 10 in (0, 1, 3) else FEATURES[0]
    text += f", {settings['network']}" if settings else ""
    return case(f"{text}, off by {off:.3f}", problem, reason=f"contradiction: {text}", settings=settings)


@kind(12)
def stated_twice(rng, number):
    """The same with nothing wrong: more conditions than needed, which agree."""
    problem, exact, text, _ = _stated_twice(rng, (0, 3, 4, 6, 7, 9)[number % 6], 0.0)
    return case(text, problem, exact)


def _stated_twice(rng, variant: int, off: float):
    """A problem with a condition too many, or a balance to be kept, which is off by ``off`` times what is natural."""
    low, high = 0.0, 1.0
    geometry, left, right = line(low, high), side(0, low, 1), side(0, high, 1)
    exact, c = waves(rng, low, high, rng.uniform(2, 6)), rng.uniform(0.5, 2)

    def second_order(x, u):
        return -slope(u, x, 0, 0)

    operator, shift = second_order, 0.0
    if variant == 0:
        text = "left end given twice"
        conditions = {
            "ends": dirichlet(geometry, exact),
            "left again": dirichlet(geometry, exact, left, off=off),
        }
    elif variant == 1:
        text = "fluxes in 1-D"
        conditions = {
            "left": neumann(geometry, exact, left),
            "right": neumann(geometry, exact, right, off=3 * off),
        }
    elif variant == 2:
        text = "fluxes in 2-D"
        geometry = dde.geometry.Rectangle([0, 0], [1, 1])
        exact = waves(rng, [0, 0], [1, 1], rng.uniform(1.5, 3))
        conditions = {"sides": neumann(geometry, exact, off=3 * off)}

        def operator(x, u):
            return -laplacian(u, x, (0, 1))

    elif variant == 3:
        text = "values and fluxes at both ends"
        conditions = {"values": dirichlet(geometry, exact), "fluxes": neumann(geometry, exact, off=5 * off)}
    elif variant == 4:
        text = "first order with two ends"
        conditions = {
            "left": dirichlet(geometry, exact, left),
            "right": dirichlet(geometry, exact, right, off=off),
        }

        def operator(x, u):
            return slope(u, x, 0) + c * u

    elif variant == 5:
        text, shift = "resonance with a source along the mode", 10 * off
        conditions = {"ends": dirichlet(geometry, exact)}

        def operator(x, u):
            return slope(u, x, 0, 0) + np.pi**2 * u

    elif variant == 6:
        text = "heat, left end given twice"
        geometry = in_time(geometry, 0.5)
        exact = waves(rng, [0, 0], [1, 0.5], rng.uniform(2, 5))
        conditions = {
            "ends": dirichlet(geometry, exact),
            "left again": dirichlet(geometry, exact, left, off=off),
            "start": initial(geometry, exact),
        }

        def operator(x, u):
            return slope(u, x, 1) - slope(u, x, 0, 0)

    elif variant == 7:
        text = "two equations for one function"

        def operator(x, u):
            return [-slope(u, x, 0, 0), slope(u, x, 0) + c * u]

        shift = off
        conditions = {"ends": dirichlet(geometry, exact)}
    elif variant == 8:
        text, geometry = "periodic, mean of the source", line(0, 2 * np.pi)
        turns, shift = int(rng.integers(1, 4)), off
        exact = lambda x: torch.cos(turns * x)  # noqa: E731
        conditions = {f"periodic {n}": dde.icbc.PeriodicBC(geometry, 0, everywhere, derivative_order=n) for n in (0, 1)}
    else:
        text = "a side of a square given twice"
        geometry = dde.geometry.Rectangle([0, 0], [1, 1])
        exact = waves(rng, [0, 0], [1, 1], rng.uniform(1.5, 3))
        conditions = {
            "sides": dirichlet(geometry, exact),
            "left again": dirichlet(geometry, exact, left, off=off),
        }

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + u

    plain = manufactured(operator, exact)

    def pde(x, u):
        found = plain(x, u)
        if isinstance(found, list):
            return [found[0] + shift, *found[1:]]
        return found + (shift * torch.sin(np.pi * x) if variant == 5 else shift)

    # Where nothing fits, the search for features goes on until these points allow no more.
    sampling = Sampling(domain=400) if off and geometry.dim > 1 else Sampling()
    return Problem(geometry=geometry, pde=pde, conditions=conditions, sampling=sampling), exact, text, off


# Places and sizes -----------------------------------------------------------------------------------------------------


@kind(16)
def far(rng, number):
    """Boxes far from the origin: coordinates as surveys and clocks write them."""
    offset = float(np.round(log_uniform(rng, 1e2, 1e6))) * (1 if number % 2 else -1)
    return _placed(rng, number // 2 % 4, offset, 1.0, f"at {offset:.0f}")


@kind(16)
def size(rng, number):
    """Boxes of a size between 1e-6 and 1e6: coordinates in units that do not suit them."""
    width = 10.0 ** (rng.uniform(3, 6) * (1 if number % 2 else -1))
    return _placed(rng, number // 2 % 4, 0.0, width, f"width {width:.1e}")


def _placed(rng, variant: int, offset: float, width: float, text: str) -> Case:
    """Problems of one unit length, moved and stretched; all terms keep their sizes."""
    low, high = offset, offset + width
    condition = 1 + abs(offset) / width  # of the coordinates themselves
    if variant == 0:
        geometry, exact, k = line(low, high), waves(rng, low, high, rng.uniform(2, 8)), rng.uniform(0, 2)

        def operator(x, u):
            return -(width**2) * slope(u, x, 0, 0) + k * u

        conditions = {"ends": dirichlet(geometry, on_a_box(exact, low, high, 1))}
    elif variant == 1:
        geometry, exact = dde.geometry.Rectangle([low, low], [high, high]), waves(rng, [low] * 2, [high] * 2, 4.0)

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) * width**2

        conditions = {"sides": dirichlet(geometry, on_a_box(exact, low, high, 2))}
    elif variant == 2:
        geometry = in_time(line(low, high), 0.5)
        exact = waves(rng, [low, 0], [high, 0.5], 4.0)

        def operator(x, u):
            return slope(u, x, 1) - 0.3 * width**2 * slope(u, x, 0, 0)

        sides = on_a_box(exact, low, high, 1)
        conditions = {"ends": dirichlet(geometry, sides), "start": initial(geometry, exact)}
    else:
        geometry, exact, rate = dde.geometry.TimeDomain(low, high), waves(rng, low, high, 6.0), rng.uniform(0.2, 2)

        def operator(x, u):
            return width * slope(u, x, 0) + rate * u

        start = array(exact)(np.array([[low]])).item()
        conditions = {"start": dde.icbc.IC(geometry, lambda x: start, lambda _, on: on)}
        text += ", in time"
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(f"{('1-D', '2-D', 'heat', 'decay')[variant]}, {text}", problem, exact, condition=condition)


# Nonlinear ------------------------------------------------------------------------------------------------------------


@kind(18)
def nonlinear(rng, number):
    """Steady nonlinear equations and ordinary ones with exactly one solution."""
    variant = number % 6
    geometry, low, high = line(0, 1), 0.0, 1.0
    exact = waves(rng, low, high, rng.uniform(2, 6), size=rng.uniform(0.5, 2))
    conditions = None
    if variant == 0:
        text, c = "-u'' + c u³ = f", rng.uniform(0.5, 20)

        def operator(x, u):
            return -slope(u, x, 0, 0) + c * u**3

    elif variant == 1:
        text = "-((1 + u²) u')' = f"

        def operator(x, u):
            return -slope((1 + u**2) * slope(u, x, 0), x, 0)

    elif variant == 2:
        text, nu = "-ν u'' + u u' = f", log_uniform(rng, 0.05, 1)

        def operator(x, u):
            return -nu * slope(u, x, 0, 0) + u * slope(u, x, 0)

    elif variant == 3:
        text, c = "relu beyond what small trial values reach", rng.uniform(1, 30)
        small = exact

        def exact(x):
            return 20 * torch.sin(np.pi * x) + small(x)

        def operator(x, u):
            return -slope(u, x, 0, 0) + c * torch.relu(u - 5)

    elif variant == 4:
        rate, start, end = rng.uniform(1, 4), rng.uniform(0.05, 0.4), rng.uniform(1, 3)
        text, geometry = f"u' = {rate:.2f} u (1 - u), u(0) = {start:.2f}", dde.geometry.TimeDomain(0, end)

        def exact(x):
            return 1 / (1 + (1 / start - 1) * torch.exp(-rate * x))

        def pde(x, u):
            return slope(u, x, 0) - rate * u * (1 - u)

        problem = Problem(
            geometry=geometry,
            pde=pde,
            conditions={"start": dde.icbc.IC(geometry, lambda x: start, lambda _, on: on)},
        )
        return case(text, problem, exact)
    else:
        text, geometry = "-Δu + u³ = f", dde.geometry.Rectangle([0, 0], [1, 1])
        exact = waves(rng, [0, 0], [1, 1], rng.uniform(2, 4), size=rng.uniform(0.5, 2))

        def operator(x, u):
            return -laplacian(u, x, (0, 1)) + u**3

    conditions = {"boundary": dirichlet(geometry, exact)}
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(text, problem, exact)


@kind(12)
def nonlinear_in_time(rng, number):
    """u_t = nonlinear, mild enough for a few slabs of time."""
    variant, end = number % 3, rng.uniform(0.1, 0.4)
    geometry = in_time(line(0, 1), end)
    exact = waves(rng, [0, 0], [1, end], rng.uniform(2, 4))
    nu = log_uniform(rng, 0.05, 0.5)
    if variant == 0:
        text = f"Burgers, ν = {nu:.2f}"

        def operator(x, u):
            return slope(u, x, 1) + u * slope(u, x, 0) - nu * slope(u, x, 0, 0)

    elif variant == 1:
        text, c = f"cubic reaction, ν = {nu:.2f}", rng.uniform(1, 5)

        def operator(x, u):
            return slope(u, x, 1) - nu * slope(u, x, 0, 0) - c * (u - u**3)

    else:  # M. J. Ablowitz, A. Zeppetella 1979
        text, k = "Fisher's front", rng.uniform(2, 8)

        def exact(x):
            z = torch.exp(k * (x[:, :1] - 0.3) / math.sqrt(6) - 5 / 6 * k**2 * x[:, 1:])
            return (1 + z) ** -2

        def pde(x, u):
            return slope(u, x, 1) - slope(u, x, 0, 0) - k**2 * u * (1 - u)

    problem = Problem(
        geometry=geometry,
        pde=pde if variant == 2 else manufactured(operator, exact),
        conditions={"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)},
    )
    return case(text, problem, exact)


@kind(15)
def two_solutions(rng, number):
    """Nonlinear problems with exactly two solutions, both known."""
    variant, geometry = number % 3, line(0, 1)
    if variant == 0:  # Bratu: u'' + λ e^u = 0, λ < 3.5138
        lam = rng.uniform(0.5, 3.3)
        functions = [_bratu(theta) for theta in _bratu_roots(lam)]

        def pde(x, u):
            return slope(u, x, 0, 0) + lam * torch.exp(u)

        problem = Problem(geometry=geometry, pde=pde, conditions={"ends": dirichlet(geometry, functions[0])})
        return case(f"Bratu, λ = {lam:.2f}", problem, *functions, well_posed=False)
    if variant == 1:  # -u'' = f, u(0) = 0, u'(1) = α u(1)² + β: a quadratic equation for u(1)
        part = waves(rng, 0, 1, rng.uniform(2, 6))
        ends = np.array([[0.0], [1.0]])
        p0, p1 = array(part)(ends)[:, 0]
        s1 = derivative(part, 0)(ends)[1, 0]
        values = sorted(rng.uniform(-2, 2, 2))
        # u = part - p0 + s x, u(1) = v: s = v - p1 + p0, and s1 + s = α v² + β at both of the values
        alpha = 1 / (values[0] + values[1]) if abs(values[0] + values[1]) > 0.2 else None
        if alpha is None:
            values = [values[0], values[1] + 1.0]
            alpha = 1 / (values[0] + values[1])
        beta = s1 + values[0] - p1 + p0 - alpha * values[0] ** 2
        functions = [lambda x, s=v - p1 + p0: part(x) - p0 + s * x for v in values]

        def radiation(x, u):
            return alpha * u**2 + beta

        problem = Problem(
            geometry=geometry,
            pde=manufactured(lambda x, u: -slope(u, x, 0, 0), part),
            conditions={
                "left": dirichlet(geometry, functions[0], side(0, 0, 1)),
                "right": dde.icbc.RobinBC(geometry, radiation, side(0, 1, 1)),
            },
        )
        return case(f"u' = {alpha:.2f} u² + {beta:.2f} at an end", problem, *functions, well_posed=False)
    # u'' + c u² = f: the difference w of two solutions satisfies w'' + c w s = 0 with their sum s
    while True:
        c, b, size = rng.uniform(0.5, 2) * rng.choice([-1, 1]), rng.uniform(-0.3, 0.3), rng.uniform(1, 8)

        def difference(x, b=b, size=size):
            return size * (torch.sin(np.pi * x) + b * torch.sin(2 * np.pi * x))

        def total(x, b=b, c=c):  # -w''/(c w), without the zeros of w
            return np.pi**2 * (1 + 8 * b * torch.cos(np.pi * x)) / (1 + 2 * b * torch.cos(np.pi * x)) / c

        functions = [lambda x, s=s, w=difference, t=total: (t(x) + s * w(x)) / 2 for s in (1, -1)]

        def operator(x, u, c=c):
            return slope(u, x, 0, 0) + c * u**2

        if _count_by_shooting(c, source(operator, functions[0]), functions[0]) == 2:
            break
    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, functions[0]),
        conditions={"ends": dirichlet(geometry, functions[0])},
    )
    return case(f"u'' + {c:.2f} u² = f", problem, *functions, well_posed=False)


def _bratu(theta: float):
    return lambda x: -2 * torch.log(torch.cosh((x - 0.5) * theta / 2) / math.cosh(theta / 4))


def _bratu_roots(lam: float) -> list[float]:
    """Both roots of θ = √(2 λ) cosh(θ/4)."""
    from scipy.optimize import brentq

    def excess(theta):
        return theta - math.sqrt(2 * lam) * math.cosh(theta / 4)

    middle = 4 * math.asinh(4 / math.sqrt(2 * lam))  # where the excess is largest
    return [brentq(excess, 0, middle, xtol=1e-15), brentq(excess, middle, 100, xtol=1e-15)]


def _count_by_shooting(c: float, right: Callable, exact, steps: int = 400, slopes: int = 4001) -> int:
    """How many solutions u'' + c u² = f has with the boundary values of ``exact`` and slopes at 0 up to 400."""
    h = 1 / steps
    x = torch.linspace(0, 1, 2 * steps + 1, dtype=torch.float64)[:, None]
    f = right(x)[0][:, 0].numpy()
    start, end = array(exact)(np.array([[0.0], [1.0]]))[:, 0]
    u, v = np.full(slopes, start), np.linspace(-400, 400, slopes)
    with np.errstate(all="ignore"):
        for i in range(steps):  # Runge and Kutta's fourth order
            f0, f1, f2 = f[2 * i : 2 * i + 3]
            k1, l1 = v, f0 - c * u**2
            k2, l2 = v + h / 2 * l1, f1 - c * (u + h / 2 * k1) ** 2
            k3, l3 = v + h / 2 * l2, f1 - c * (u + h / 2 * k2) ** 2
            k4, l4 = v + h * l3, f2 - c * (u + h * k3) ** 2
            u, v = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), v + h / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
            u = np.where(np.isfinite(u), u, -np.inf * np.sign(c))
    above = np.where(np.isfinite(u), u - end, -c) > 0
    return int(np.count_nonzero(above[1:] != above[:-1]))


# Stated badly ---------------------------------------------------------------------------------------------------------


def _two_scale(rng, k: float):
    """-u'' + u = f with a slow and a fast part, and its exact solution."""
    geometry = line(0, 1)
    amplitude, phases = rng.uniform(0.1, 1), rng.uniform(0, 2 * np.pi, 2)

    def exact(x):
        return torch.sin(2 * np.pi * x + phases[0]) + amplitude * torch.sin(k * x + phases[1])

    def operator(x, u):
        return -slope(u, x, 0, 0) + u

    return geometry, manufactured(operator, exact), {"ends": dirichlet(geometry, exact)}, exact


@kind(16)
def few_points(rng, number):
    """So few collocation points that they do not determine the features."""
    count = int(rng.integers(5, 31))
    sampling = Sampling(domain=count)
    settings = [{}, {"method": "least-squares", "network_options": {"layers": [int(rng.integers(10, 81))]}}][number % 2]
    if number % 4 < 2:
        k = rng.uniform(10, 60)
        geometry, pde, conditions, exact = _two_scale(rng, k)
        text = f"{count} points for a wavenumber of {k:.0f}"
    else:
        geometry, exact = dde.geometry.Rectangle([0, 0], [1, 1]), waves(rng, [0, 0], [1, 1], rng.uniform(2, 6))
        pde = manufactured(lambda x, u: -laplacian(u, x, (0, 1)), exact)
        conditions, text = {"sides": dirichlet(geometry, exact)}, f"{count} points in a square"
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions, sampling=sampling)
    return case(text + (f", {settings['network_options']}" if settings else ""), problem, exact, settings=settings)


@kind(12)
def wrong_wavenumber(rng, number):
    """A wavenumber is stated that is ten times too small or too large."""
    k = rng.uniform(10, 90)
    geometry, pde, conditions, exact = _two_scale(rng, k)
    stated = k / 10 if number % 2 else 10 * k
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions, wavenumber=stated)
    return case(f"wavenumber {stated:.1f} stated, true {k:.1f}", problem, exact)


@kind(14)
def few_features(rng, number):
    """So few features that they cannot reach the solution."""
    count = int(rng.integers(3, 41))
    settings = {"network_options": {"layers": [count]}}
    if number % 2:
        k = rng.uniform(10, 60)
        geometry, pde, conditions, exact = _two_scale(rng, k)
        problem = Problem(geometry=geometry, pde=pde, conditions=conditions)
        return case(f"{count} features for a wavenumber of {k:.0f}", problem, exact, settings=settings)
    drawn = (plane, heat, contrast)[number // 2 % 3](rng, 0)
    return case(f"{count} features: {drawn.text}", drawn.problem, *drawn.truth.functions, settings=settings)


@kind(12)
def hidden_waves(rng, number):
    """Waves that only a coefficient shows: the source and the conditions are constant."""
    variant, geometry = number % 3, line(0, 1)
    if variant == 0:  # a y'' + b y = 0 from its start
        k, a = rng.uniform(20, 300), rng.uniform(0.3, 3)

        def exact(x):
            return torch.cos(k * x)

        def pde(x, u):
            return a * slope(u, x, 0, 0) + a * k**2 * u

        left = side(0, 0, 1)
        conditions = {"value": dirichlet(geometry, exact, left), "slope": neumann(geometry, exact, left)}
        return case(f"y'' + {k:.0f}² y = 0 from its start", _plain(geometry, pde, conditions), exact, condition=k)
    if variant == 1:  # two ends, not at a resonance
        while True:
            k = rng.uniform(20, 200)
            if abs(math.sin(k)) > 0.3:
                break

        def exact(x):
            return torch.sin(k * x) / math.sin(k)

        def pde(x, u):
            return slope(u, x, 0, 0) + k**2 * u

        conditions = {"ends": dirichlet(geometry, exact)}
        return case(f"y'' + {k:.0f}² y = 0 with two ends", _plain(geometry, pde, conditions), exact, condition=k)
    m, size = int(rng.integers(5, 60)), rng.uniform(0.3, 0.9)
    w = 2 * np.pi * m  # ((1 + size cos wx)⁻¹ u')' = -1: u' (1 + size cos)⁻¹ = C - x

    def exact(x):  # C = ½ + what is left of ∫ x (1 + size cos wx) = 0
        primitive = x / 2 + size * torch.sin(w * x) / (2 * w)
        moment = x**2 / 2 + size * (x * torch.sin(w * x) / w + (torch.cos(w * x) - 1) / w**2)
        return primitive - moment

    def pde(x, u):
        a = 1 / (1 + size * torch.cos(w * x))
        return slope(a * slope(u, x, 0), x, 0) + 1

    conditions = {"ends": dirichlet(geometry, exact)}
    return case(f"{m} waves of the coefficient, f = 1", _plain(geometry, pde, conditions), exact)


def _plain(geometry, pde, conditions) -> Problem:
    return Problem(geometry=geometry, pde=pde, conditions=conditions)


@kind(15)
def blow_up(rng, number):
    """Wrong signs and exchanged axes: ill-posed problems, and those whose solutions grow without bound."""
    variant = number % 5
    end = rng.uniform(0.2, 1)
    geometry = in_time(line(0, 1), end)
    conditions = {"start": dde.icbc.IC(geometry, lambda x: 1.0, lambda _, on: on)}
    if variant == 0:  # backward heat: the mode m grows as exp(d m² π² t), by e⁵ to e²⁵
        m = int(rng.integers(1, 5))
        d = rng.uniform(5, 25) / ((m * np.pi) ** 2 * end)

        def exact(x):
            return torch.sin(m * np.pi * x[:, :1]) * torch.exp(d * (m * np.pi) ** 2 * x[:, 1:])

        def pde(x, u):
            return slope(u, x, 1) + d * slope(u, x, 0, 0)

        conditions = {"ends": dirichlet(geometry, exact), "start": initial(geometry, exact)}
        return case(f"backward heat, mode {m}", _plain(geometry, pde, conditions), exact, well_posed=False)
    if variant == 1:  # backward heat from data that no solution reaches
        d = rng.uniform(0.2, 1)

        def pde(x, u):
            return slope(u, x, 1) + d * slope(u, x, 0, 0)

        shape = lambda x: (x[:, :1] * (1 - x[:, :1])) ** 2  # noqa: E731
        conditions = {
            "ends": dde.icbc.DirichletBC(geometry, lambda x: 0, everywhere),
            "start": dde.icbc.IC(geometry, shape, lambda _, on: on),
        }
        return case("backward heat from a polynomial", _plain(geometry, pde, conditions), reason="no solution")
    if variant == 2:  # a Robin condition of the wrong sign: one mode grows, cosh
        kappa = rng.uniform(2, 5)
        beta = kappa * math.tanh(kappa / 2)

        def exact(x):
            return torch.cosh(kappa * (x[:, :1] - 0.5)) * torch.exp(kappa**2 * (x[:, 1:] - end))

        def pde(x, u):
            return slope(u, x, 1) - slope(u, x, 0, 0)

        conditions = {
            "ends": dde.icbc.RobinBC(geometry, lambda x, u: beta * u, everywhere),
            "start": initial(geometry, exact),
        }
        growth = math.exp(kappa**2 * end)
        text = f"∂u/∂n = +{beta:.1f} u: grows by {growth:.1e}"
        return case(text, _plain(geometry, pde, conditions), exact, condition=growth, well_posed=growth < 1e3)
    if variant == 3:  # the axes exchanged

        def pde(x, u):
            return slope(u, x, 0) - slope(u, x, 1, 1)

        value = rng.uniform(-1, 1)
        conditions["ends"] = dde.icbc.DirichletBC(geometry, lambda x: value * x[:, 1:], everywhere)
        return case("heat equation with exchanged axes", _plain(geometry, pde, conditions), reason="no solution")
    m = int(rng.integers(1, 6))  # an elliptic equation from a start: J. Hadamard's example

    def exact(x):
        return torch.sin(m * np.pi * x[:, :1]) * torch.cosh(m * np.pi * x[:, 1:])

    def pde(x, u):
        return slope(u, x, 1, 1) + slope(u, x, 0, 0)

    conditions = {
        "ends": dirichlet(geometry, exact),
        "start": initial(geometry, exact),
        "velocity": initial_slope(geometry, exact),
    }
    return case(f"Laplace from a start, mode {m}", _plain(geometry, pde, conditions), exact, well_posed=False)


@kind(10)
def corner(rng, number):
    """Start and boundary values that disagree at a corner, and the singularity of an L-shape: not smooth."""
    if number % 5 == 4:
        corners = [[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]]
        geometry, size = dde.geometry.Polygon(corners), rng.uniform(0.5, 2)

        def exact(x):  # the angle goes from the side x = 0 around to y = 0
            angle = torch.remainder(torch.atan2(x[:, 1:], x[:, :1]) - np.pi / 2, 2 * np.pi)
            return size * (x**2).sum(1, keepdim=True).clamp(min=1e-300) ** (1 / 3) * torch.sin(2 / 3 * angle)

        problem = _plain(geometry, lambda x, u: laplacian(u, x, (0, 1)), {"boundary": dirichlet(geometry, exact)})
        options = {"network_options": {"layers": [int(rng.integers(200, 500))]}, "method": "least-squares"}
        return case("r^(2/3) at a re-entrant corner", problem, exact, settings=options, well_posed=False)
    geometry, d, start = in_time(line(0, 1), rng.uniform(0.1, 0.5)), rng.uniform(0.2, 1), rng.uniform(0.5, 2)

    def exact(x):  # H. S. Carslaw, J. C. Jaeger 1959
        s, root = x[:, :1], torch.sqrt(4 * d * x[:, 1:].clamp(min=1e-300))
        images = ((-1) ** n * (torch.erfc((n + s) / root) + torch.erfc((n + 1 - s) / root)) for n in range(12))
        return start * (1 - sum(images))

    def pde(x, u):
        return slope(u, x, 1) - d * slope(u, x, 0, 0)

    conditions = {
        "ends": dde.icbc.DirichletBC(geometry, lambda x: 0, everywhere),
        "start": dde.icbc.IC(geometry, lambda x: start, lambda _, on: on),
    }
    problem = Problem(geometry=geometry, pde=pde, conditions=conditions, sampling=Sampling(domain=600))
    return case(f"heat from {start:.2f} with cold ends", problem, exact, well_posed=False)


@kind(9)
def not_pointwise(rng, number):
    """Rows that depend on several points: a mean over the points, or a mean of the solution in the equation."""
    geometry, m = line(0, 1), int(rng.integers(1, 4))

    def exact(x):
        return torch.cos(m * np.pi * x)

    def pde(x, u):
        return [
            slope(u, x, 0, 0) + (m * np.pi) ** 2 * torch.cos(m * np.pi * x),
            u.mean() * torch.ones_like(u),
        ]

    problem = Problem(
        geometry=geometry,
        pde=pde,
        residual_names=("balance", "mean"),
        conditions={"flux": dde.icbc.NeumannBC(geometry, lambda x: 0, everywhere)},
    )
    steps = int(rng.integers(3, 60))
    settings = [{}, {"method": "adam", "iterations": steps}, {"method": "gauss-newton", "iterations": steps}][
        number % 3
    ]
    # The mean over scattered points is not that over the interval.
    return case(f"mean as a row, {settings or 'auto'}", problem, exact, settings=settings, well_posed=False)


LINES = (
    (ordinary, range(16)),
    (hidden_waves, range(12)),
    (layers, range(12)),
    (missing, (0, 1, 2, 11, 12)),
    (contradiction, (0, 1, 4, 5)),
    (jump, (3, 7, 11, 15)),
)
PLANES = (
    (ordinary, range(16)),
    (plane, range(16)),
    (heat, range(12)),
    (hidden_waves, range(12)),
    (localised, (0, 1, 2)),
    (missing, range(13)),
)
METHODS = (
    ({"network": "repnet", "method": "least-squares"}, LINES),
    ({"network": "repnet-gaussian", "method": "least-squares"}, LINES),
    ({"method": "gauss-newton", "iterations": 15}, LINES),
    ({"method": "patching"}, PLANES),
    ({"method": "adam"}, PLANES),
    ({"method": "adam", "network": "fnn", "network_options": {"layers": [30, 30]}}, PLANES),
)
"""Other settings than the automatic ones, and what they are tried on: (kind, numbers); in one coordinate where two
would take minutes."""


@kind(36)
def methods(rng, number):
    """Other networks and methods than the automatic ones, on problems of the other kinds."""
    settings, problems = METHODS[number % len(METHODS)]
    if settings["method"] == "adam":
        settings = settings | {"iterations": int(log_uniform(rng, 3, 200))}
    draw, numbers = problems[number // len(METHODS) % len(problems)]
    drawn = draw(rng, int(rng.choice(list(numbers))))
    text = ", ".join(str(value) for value in settings.values())
    return Case(problem=drawn.problem, truth=drawn.truth, text=f"{text}: {drawn.text}", settings=settings)


SHORT: dict[str, tuple[int, ...]] = {
    "ordinary": (1, 2),
    "oscillating": (1,),
    "contrast": (0, 4),
    "layers": (3,),
    "localised": (3, 7),
    "plane": (2,),
    "domain": (0,),
    "heat": (0,),
    "transport": (1,),
    "jump": (3,),
    "system": (1,),
    "periodic": (1,),
    "missing": (0, 3, 6),
    "contradiction": (0, 1),
    "stated_twice": (0,),
    "far": (2,),
    "size": (2,),
    "nonlinear": (0,),
    "two_solutions": (0,),
    "few_points": (1,),
    "wrong_wavenumber": (1,),
    "few_features": (4, 10),
    "hidden_waves": (2,),
    "blow_up": (4,),
    "not_pointwise": (1,),
    "methods": (0, 4),
}
