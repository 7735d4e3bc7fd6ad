"""Linear ordinary differential equations in time: of first order, an oscillator, a chain of reactions."""

import deepxde as dde
import numpy as np
import torch

from .experiment import AS_OPERATOR, FREE, STATED, Experiment, flow, log_uniform, sample


def fixed(geometry, value: float, component: int):
    """The initial value of one component."""
    return dde.icbc.IC(geometry, lambda t: value, lambda t, on_initial: on_initial, component=component)


def at_start(geometry, said: str, name: str, get, derivative: bool = False) -> dict:
    """The condition for the value, or the slope, at the start."""
    conditions = {}
    label = "initial slope" if derivative else "start"

    def initial(x, on_boundary):
        return on_boundary and dde.utils.isclose(x[-1], 0)

    if said == FREE:
        return conditions
    if derivative or said == AS_OPERATOR:

        def difference(t, u, _):
            return (dde.grad.jacobian(u, t) if derivative else u) - get()[name]

        conditions[label] = dde.icbc.OperatorBC(geometry, difference, initial)
    else:
        conditions[label] = dde.icbc.IC(geometry, lambda t: 1.0 * get()[name], lambda t, on_initial: on_initial)
    return conditions


def first_order(rng, unknown, n: int = 20, start: str = STATED, part: float = 1.0) -> Experiment:
    """u' + k u = s + a sin w t on [0, T], u(0) = u0; observed in the first ``part`` of the time."""
    end = log_uniform(rng, 0.1, 10)
    k = rng.uniform(1, 4) / end
    size = log_uniform(rng, 0.1, 10)
    numbers = {"k": k, "s": 0.0, "a": 0.0, "w": rng.uniform(3, 9) / end, "u0": size}
    if "s" in unknown:
        numbers["s"] = size * k * rng.uniform(0.3, 0.7)
    if "a" in unknown:
        numbers["a"] = size * k * rng.uniform(0.7, 2)
    t = sample(rng, 0, part * end, n)

    def values(c):
        k, w = c["k"], c["w"]
        decayed = np.exp(-k * t)
        driven = (k * np.sin(w * t) + w * (decayed - np.cos(w * t))) / (k**2 + w**2)
        return [c["u0"] * decayed + c["s"] * -np.expm1(-k * t) / k + c["a"] * driven]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c = get()
            return dde.grad.jacobian(u, t) + c["k"] * u - c["s"] - c["a"] * torch.sin(c["w"] * t)

        said = AS_OPERATOR if "u0" in unknown and start == STATED else start
        return {"geometry": geometry, "pde": pde, "conditions": at_start(geometry, said, "u0", get)}

    free = ("u0",) if start == FREE else ()
    return Experiment(
        numbers=numbers, unknown=unknown, free=free, observed={"data": (t, 0)}, values=values, state=state
    )


def oscillator(rng, unknown, n: int = 30, start: str = STATED) -> Experiment:
    """u'' + d u' + K u = f sin w t on [0, T], u(0) = u0, u'(0) = v0."""
    end = log_uniform(rng, 0.1, 10)
    waves = rng.uniform(4, 14) / end
    size = log_uniform(rng, 0.1, 10)
    numbers = {"d": rng.uniform(0.5, 3) / end, "K": waves**2, "f": 0.0, "w": rng.uniform(2, 6) / end}
    numbers |= {"u0": size, "v0": size * waves * rng.uniform(-0.5, 0.5)}
    if "f" in unknown:
        numbers["f"] = size * waves**2 * rng.uniform(0.3, 1)
    t = sample(rng, 0, end, n)

    def values(c):
        matrix = np.array([[0, 1.0, 0, 0], [-c["K"], -c["d"], c["f"], 0], [0, 0, 0, c["w"]], [0, 0, -c["w"], 0]])
        return [flow(matrix, np.array([c["u0"], c["v0"], 0, 1.0]), t)[:, :1]]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c = get()
            first, second = dde.grad.jacobian(u, t), dde.grad.hessian(u, t)
            return second + c["d"] * first + c["K"] * u - c["f"] * torch.sin(c["w"] * t)

        said = AS_OPERATOR if "u0" in unknown else start
        conditions = at_start(geometry, said, "u0", get) | at_start(geometry, start, "v0", get, derivative=True)
        return {"geometry": geometry, "pde": pde, "conditions": conditions}

    free = ("u0", "v0") if start == FREE else ()
    return Experiment(
        numbers=numbers, unknown=unknown, free=free, observed={"data": (t, 0)}, values=values, state=state
    )


def chain(rng, unknown=("k1", "k2"), n: int = 15, components=(0, 1)) -> Experiment:
    """p' = -k1 p, q' = k1 p - k2 q on [0, T], p(0) = p0, q(0) = 0; some of p and q observed."""
    end = log_uniform(rng, 0.1, 10)
    first = rng.uniform(1.5, 3)
    size = log_uniform(rng, 0.1, 10)
    numbers = {"k1": first / end, "k2": first * rng.uniform(0.3, 0.8) / end, "p0": size}
    observed = {f"data {'pq'[i]}": (sample(rng, 0, end, n), i) for i in components}

    def values(c):
        matrix = np.array([[-c["k1"], 0], [c["k1"], -c["k2"]]])
        return [flow(matrix, np.array([c["p0"], 0]), t)[:, i : i + 1] for t, i in observed.values()]

    def state(get):
        geometry = dde.geometry.TimeDomain(0, end)

        def pde(t, u):
            c, p, q = get(), u[:, 0:1], u[:, 1:2]
            return [
                dde.grad.jacobian(u, t, i=0) + c["k1"] * p,
                dde.grad.jacobian(u, t, i=1) - c["k1"] * p + c["k2"] * q,
            ]

        starts = {"p at 0": fixed(geometry, numbers["p0"], 0), "q at 0": fixed(geometry, 0.0, 1)}
        return {"geometry": geometry, "pde": pde, "conditions": starts, "outputs": ("p", "q")}

    return Experiment(numbers=numbers, unknown=unknown, observed=observed, values=values, state=state)
