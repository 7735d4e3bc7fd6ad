"""Nonlinear equations in time: growth, reactions, predators and prey, a pendulum, Fisher's equation."""

import math

import deepxde as dde
import numpy as np
import torch
from scipy.integrate import solve_ivp

from .evolution import scattered
from .experiment import AS_OPERATOR, FREE, INTEGRATED, PI, STATED, Experiment, log_uniform, sample
from .ordinary import at_start, fixed


def integrated(right, start, t) -> np.ndarray:
    """SciPy's solution (n, m) at times (n,), relative tolerance 1e-12; NaN after the time at which it fails."""
    found = solve_ivp(
        right, (0, float(np.max(t))), start, "DOP853", rtol=1e-12, atol=1e-14 * np.max(np.abs(start)), dense_output=True
    )
    return found.sol(t).T if found.success else np.full((len(t), len(start)), np.nan)


def growth(rng, unknown=("r", "K"), n: int = 20, start: str = STATED) -> Experiment:
    """u' = r u (1 - u/K) on [0, T], u(0) = u0."""
    end, size = log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    numbers = {"r": rng.uniform(4, 8) / end, "K": size, "u0": size * rng.uniform(0.05, 0.2)}
    t = sample(rng, 0, end, n)

    def values(c):
        return [c["K"] / (1 + (c["K"] / c["u0"] - 1) * np.exp(-c["r"] * t))]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c = get()
            return dde.grad.jacobian(u, t) - c["r"] * u * (1 - u / c["K"])

        said = AS_OPERATOR if "u0" in unknown else start
        return {"geometry": geometry, "pde": pde, "conditions": at_start(geometry, said, "u0", get)}

    free = ("u0",) if start == FREE else ()
    return Experiment(
        numbers=numbers, unknown=unknown, free=free, observed={"data": (t, 0)}, values=values, state=state
    )


def reaction(rng, unknown=("k",), n: int = 15) -> Experiment:
    """u' = -k u² - b u on [0, T], u(0) = u0: simultaneous reactions of second and first order."""
    end, size = log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    numbers = {"k": rng.uniform(1, 4) / end / size, "b": rng.uniform(1, 3) / end if "b" in unknown else 0.0, "u0": size}
    t = sample(rng, 0, end, n)

    def values(c):
        # 1/u is linear: (1/u)' = k + b/u
        grown = np.expm1(c["b"] * t) / c["b"] if c["b"] else t
        return [1 / (np.exp(c["b"] * t) / c["u0"] + c["k"] * grown)]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c = get()
            return dde.grad.jacobian(u, t) + c["k"] * u**2 + c["b"] * u

        return {"geometry": geometry, "pde": pde, "conditions": at_start(geometry, STATED, "u0", get)}

    return Experiment(numbers=numbers, unknown=unknown, observed={"data": (t, 0)}, values=values, state=state)


def predators(rng, unknown=("a", "b"), n: int = 20) -> Experiment:
    """p' = a p - b p q, q' = d p q - g q on [0, T] (Lotka and Volterra), p(0) = q(0) = 1; both observed."""
    numbers = {
        "a": rng.uniform(1, 1.5),
        "b": rng.uniform(0.5, 0.8),
        "d": rng.uniform(0.4, 0.6),
        "g": rng.uniform(0.8, 1.2),
    }
    end = rng.uniform(3, 5)
    observed = {f"data {'pq'[i]}": (sample(rng, 0, end, n), i) for i in range(2)}

    def values(c):
        def right(_, y):
            return [c["a"] * y[0] - c["b"] * y[0] * y[1], c["d"] * y[0] * y[1] - c["g"] * y[1]]

        return [integrated(right, [1.0, 1.0], t[:, 0])[:, i : i + 1] for t, i in observed.values()]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c, p, q = get(), u[:, 0:1], u[:, 1:2]
            return [
                dde.grad.jacobian(u, t, i=0) - c["a"] * p + c["b"] * p * q,
                dde.grad.jacobian(u, t, i=1) - c["d"] * p * q + c["g"] * q,
            ]

        starts = {"p at 0": fixed(geometry, 1.0, 0), "q at 0": fixed(geometry, 1.0, 1)}
        return {"geometry": geometry, "pde": pde, "conditions": starts, "outputs": ("p", "q")}

    return Experiment(
        numbers=numbers, unknown=unknown, observed=observed, values=values, state=state, accuracy=INTEGRATED
    )


def swing(rng, unknown=("g",), n: int = 30) -> Experiment:
    """θ'' + d θ' + g sin θ + q θ³ = 0 on [0, T], θ(0) = θ0, θ'(0) = 0. q is 0 unless requested."""
    end = log_uniform(rng, 0.3, 10)
    waves = rng.uniform(4, 9) / end
    numbers = {"g": waves**2, "d": rng.uniform(0.5, 2) / end, "q": 0.0, "u0": rng.uniform(1, 2.2)}
    t = sample(rng, 0, end, n)

    def values(c):
        def right(_, y):
            return [y[1], -c["d"] * y[1] - c["g"] * math.sin(y[0]) - c["q"] * y[0] ** 3]

        return [integrated(right, [c["u0"], 0.0], t[:, 0])[:, :1]]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c = get()
            return dde.grad.hessian(u, t) + c["d"] * dde.grad.jacobian(u, t) + c["g"] * torch.sin(u)

        conditions = at_start(geometry, STATED, "u0", get)
        conditions |= at_start(geometry, STATED, "rest", lambda: {"rest": 0.0}, derivative=True)
        return {"geometry": geometry, "pde": pde, "conditions": conditions}

    return Experiment(
        numbers=numbers, unknown=unknown, observed={"data": (t, 0)}, values=values, state=state, accuracy=INTEGRATED
    )


def spreading(rng, unknown=("D", "r"), n: int = 40) -> Experiment:
    """u_t = D u_xx + r u (1 - u) on [0, 1] x [0, 1] (Fisher), no flux at the ends, u(x, 0) = m + g cos πx.

    By cosine collocation on 24 points: the solution is analytic and even about both ends.
    """
    numbers = {"D": rng.uniform(0.03, 0.1), "r": rng.uniform(1, 3)}
    middle, size = rng.uniform(0.3, 0.4), rng.uniform(0.15, 0.25)
    points = scattered(rng, 1.0, 1.0, n)
    m = np.arange(24)
    nodes = (m + 0.5) / 24
    shape = np.cos(PI * np.outer(nodes, m))
    second = shape @ np.diag(-((PI * m) ** 2)) @ np.linalg.inv(shape)

    def values(c):
        def right(_, u):
            return c["D"] * (second @ u) + c["r"] * u * (1 - u)

        t, place = np.unique(points[:, 1], return_inverse=True)
        at_nodes = integrated(right, middle + size * np.cos(PI * nodes), np.maximum(t, 1e-12))
        weights = np.linalg.solve(shape, at_nodes.T).T[place]
        return [(weights * np.cos(PI * points[:, :1] * m)).sum(1, keepdims=True)]

    def state(get):
        geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))

        def pde(x, u):
            c = get()
            return dde.grad.jacobian(u, x, j=1) - c["D"] * dde.grad.hessian(u, x, i=0, j=0) - c["r"] * u * (1 - u)

        conditions = {
            "no flux": dde.icbc.NeumannBC(geometry, lambda x: 0, lambda x, on_boundary: on_boundary),
            "start": dde.icbc.IC(
                geometry,
                lambda x: middle + size * np.cos(PI * x[:, :1]),
                lambda x, on_initial: on_initial,
            ),
        }
        return {"geometry": geometry, "pde": pde, "conditions": conditions}

    return Experiment(
        numbers=numbers,
        unknown=unknown,
        observed={"data": (points, 0)},
        values=values,
        state=state,
        accuracy=INTEGRATED,
    )
