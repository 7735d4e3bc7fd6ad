"""Linear ordinary differential equations: of order 1 to 4, Helmholtz's equation, boundary layers."""

import math

import torch

from .... import Problem
from ..fields import amplification, at_end, dirichlet, manufactured, slope, waves
from .drawing import case, interval, line, log_uniform, positive

ILL = 1e5
"""Problems with a larger amplification are drawn again: they cannot test statements about errors of 1e-6."""


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
    conditions = {f"end {j}": at_end(geometry, exact, end, width, k) for j, (end, k) in enumerate(ends)}
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case(
        f"order {order}, waves up to {largest:.1f}, [{low:.2f}, {high:.2f}]", problem, exact, condition=condition
    )


def _shifted(f, by: float):
    return lambda x: f(x) + by


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
