"""Nonlinear problems with exactly two solutions."""

import math
from collections.abc import Callable

import numpy as np
import torch

from .... import Problem
from ....backend import dde
from ..case import Case, turn
from ..fields import array, derivative, dirichlet, manufactured, side, slope, source, waves
from .drawing import case, line


def two_solutions(rng, number):
    """Nonlinear problems with exactly two solutions, both known."""
    return turn(number, (_bratu, _radiation, _quadratic))(rng)


def _bratu(rng) -> Case:
    """u'' + λ e^u = 0, λ < 3.5138 (G. Bratu 1914)."""
    geometry, lam = line(0, 1), rng.uniform(0.5, 3.3)
    functions = [_of_bratu(theta) for theta in _bratu_roots(lam)]

    def pde(x, u):
        return slope(u, x, 0, 0) + lam * torch.exp(u)

    problem = Problem(geometry=geometry, pde=pde, conditions={"ends": dirichlet(geometry, functions[0])})
    return case(f"Bratu, λ = {lam:.2f}", problem, *functions, well_posed=False)


def _radiation(rng) -> Case:
    """-u'' = f, u(0) = 0, u'(1) = α u(1)² + β: a quadratic equation for u(1)."""
    geometry, part = line(0, 1), waves(rng, 0, 1, rng.uniform(2, 6))
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


def _quadratic(rng) -> Case:
    """u'' + c u² = f: the difference w of two solutions satisfies w'' + c w s = 0 with their sum s."""
    while True:
        c, b, size = rng.uniform(0.5, 2) * rng.choice([-1, 1]), rng.uniform(-0.3, 0.3), rng.uniform(1, 8)

        def difference(x, b=b, size=size):
            return size * (torch.sin(np.pi * x) + b * torch.sin(2 * np.pi * x))

        def total(x, b=b, c=c):  # -w''/(c w), without the zeros of w
            return np.pi**2 * (1 + 8 * b * torch.cos(np.pi * x)) / (1 + 2 * b * torch.cos(np.pi * x)) / c

        functions = [lambda x, s=s, w=difference, t=total: (t(x) + s * w(x)) / 2 for s in (1, -1)]

        def operator(x, u, c=c):
            return slope(u, x, 0, 0) + c * u**2

        if count_by_shooting(c, source(operator, functions[0]), functions[0]) == 2:
            break
    geometry = line(0, 1)
    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, functions[0]),
        conditions={"ends": dirichlet(geometry, functions[0])},
    )
    return case(f"u'' + {c:.2f} u² = f", problem, *functions, well_posed=False)


def _of_bratu(theta: float):
    return lambda x: -2 * torch.log(torch.cosh((x - 0.5) * theta / 2) / math.cosh(theta / 4))


def _bratu_roots(lam: float) -> list[float]:
    """Both roots of θ = √(2 λ) cosh(θ/4)."""
    from scipy.optimize import brentq

    def excess(theta):
        return theta - math.sqrt(2 * lam) * math.cosh(theta / 4)

    middle = 4 * math.asinh(4 / math.sqrt(2 * lam))  # where the excess is largest
    return [brentq(excess, 0, middle, xtol=1e-15), brentq(excess, middle, 100, xtol=1e-15)]


def count_by_shooting(c: float, right: Callable, exact, steps: int = 400, slopes: int = 4001) -> int:
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
