"""Linear boundary-value problems: on an interval and on the unit square."""

from collections.abc import Mapping

import deepxde as dde
import numpy as np
import torch

from .experiment import AS_OPERATOR, PI, STATED, Experiment, flow, log_uniform, sample

VALUE, SLOPE, ROBIN = "value", "slope", "robin"


def line(rng, unknown, n: int = 20, right: str = VALUE, said: str = STATED, part: float = 1.0) -> Experiment:
    """-k u'' + v u' + b u = s + a sin w x on [0, L], u(0) = l; at L u = r, u' = r or u' = -h (u - r).

    Observed in the first ``part``. ``said``: how the condition at L is stated.
    """
    end = log_uniform(rng, 0.1, 10)
    numbers = _numbers_on_a_line(rng, end, unknown, right)
    x = sample(rng, 0, part * end, n)

    def values(c):
        return [_values_on_a_line(c, x[:, 0], end, right)]

    def state(get):
        geometry = dde.geometry.Interval(0, end)

        def at(place):
            return lambda x, on_boundary: on_boundary and dde.utils.isclose(x[0], place)

        def pde(x, u):
            c, u_x = get(), dde.grad.jacobian(u, x)
            source = c["s"] + c["a"] * torch.sin(c["w"] * x)
            return -c["k"] * dde.grad.hessian(u, x) + c["v"] * u_x + c["b"] * u - source

        def operator(x, u, _):
            c = get()
            if right == VALUE:
                return u - c["r"]
            u_x = dde.grad.jacobian(u, x)
            return u_x - c["r"] if right == SLOPE else u_x + c["h"] * (u - c["r"])

        if said == AS_OPERATOR or (said == STATED and {"r", "h"} & set(unknown)):
            last = dde.icbc.OperatorBC(geometry, operator, at(end))
        elif right == ROBIN:
            last = dde.icbc.RobinBC(geometry, lambda x, u: -get()["h"] * (u - get()["r"]), at(end))
        else:
            kind = dde.icbc.DirichletBC if right == VALUE else dde.icbc.NeumannBC
            last = kind(geometry, lambda x: 1.0 * get()["r"], at(end))
        first = dde.icbc.DirichletBC(geometry, lambda x: 1.0 * get()["l"], at(0))
        return {"geometry": geometry, "pde": pde, "conditions": {"left": first, "right": last}}

    return Experiment(numbers=numbers, unknown=unknown, observed={"data": (x, 0)}, values=values, state=state)


def _numbers_on_a_line(rng, end: float, unknown, right: str) -> dict[str, float]:
    """The numbers in the equation and the conditions of `line`."""
    k = log_uniform(rng, 0.1, 10)
    numbers = {
        "k": k,
        "v": 0.0,
        "b": 0.0,
        "s": 0.0,
        "a": k / end**2 * rng.uniform(10, 30),
        "w": rng.uniform(4, 9) / end,
    }
    numbers |= {"l": rng.uniform(0.5, 1), "r": rng.uniform(-1, 1.5), "h": rng.uniform(0.5, 3) / end}
    if right == SLOPE:
        numbers["r"] = rng.uniform(1, 3) / end
    if right == ROBIN:
        numbers["r"] = rng.uniform(2, 4)
    if "b" in unknown:
        numbers["b"] = k / end**2 * rng.uniform(3, 20)
    if "v" in unknown:
        numbers["v"] = k / end * rng.uniform(1, 4)
    if "s" in unknown:
        numbers["s"] = k / end**2 * rng.uniform(3, 10)
    return numbers


def _values_on_a_line(c: Mapping, x: np.ndarray, end: float, right: str) -> np.ndarray:
    """The solution (n, 1) of `line` at x (n,): a particular solution and a multiple of a homogeneous one."""
    k = c["k"]
    matrix = np.zeros((5, 5))
    matrix[0, 1] = 1
    matrix[1] = [c["b"] / k, c["v"] / k, -c["s"] / k, -c["a"] / k, 0]
    matrix[3, 4], matrix[4, 3] = c["w"], -c["w"]
    basis = np.array([[c["l"], 0, 1, 0, 1], [0, 1 / end, 0, 0, 0.0]]).T  # a particular solution, and one of slope 1/L
    last = flow(matrix, basis, np.array([end]))[0]
    of_value, of_slope, target = {VALUE: (1, 0, 1), SLOPE: (0, 1, 1), ROBIN: (c["h"], 1, c["h"])}[right]
    at_end = of_value * last[0] + of_slope * last[1]
    return flow(matrix, basis @ np.array([1.0, (target * c["r"] - at_end[0]) / at_end[1]]), x)[:, :1]


def square(rng, unknown, n: int = 40, modes: int = 2) -> Experiment:
    """-k Δu + b u = Σ f_j sin m_j πx sin n_j πy on the unit square, u = 0 on its boundary."""
    k = log_uniform(rng, 0.1, 10)
    numbers = {"k": k, "b": k * rng.uniform(10, 40) if "b" in unknown else 0.0}
    waves = PI * np.array([[1, 1], [2, 1], [1, 2]])[rng.permutation(3)[:modes]]
    sizes = rng.uniform(0.5, 1, modes) * k * (waves**2).sum(1)
    points = rng.uniform(0.05, 0.95, (n, 2))

    def values(c):
        shapes = np.sin(points[:, :1] * waves[:, 0]) * np.sin(points[:, 1:] * waves[:, 1])
        return [(shapes @ (sizes / (c["k"] * (waves**2).sum(1) + c["b"])))[:, None]]

    def state(get):
        geometry = dde.geometry.Rectangle([0, 0], [1, 1])

        def pde(x, u):
            c = get()
            source = sum(
                float(f) * torch.sin(float(p) * x[:, :1]) * torch.sin(float(q) * x[:, 1:])
                for f, (p, q) in zip(sizes, waves, strict=True)
            )
            laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
            return -c["k"] * laplacian + c["b"] * u - source

        edge = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on_boundary: on_boundary)
        return {"geometry": geometry, "pde": pde, "conditions": {"edge": edge}}

    return Experiment(numbers=numbers, unknown=unknown, observed={"data": (points, 0)}, values=values, state=state)
