"""Linear equations in space and time: heat conduction, transport on a ring, a vibrating string."""

import deepxde as dde
import numpy as np
import torch

from .experiment import AS_OPERATOR, FREE, PI, STATED, Experiment, log_uniform


def scattered(rng, length: float, end: float, n: int) -> np.ndarray:
    """Points (n, 2) at random, or a few places read at the same times."""
    if rng.random() < 0.5 or n < 12:
        return np.column_stack([rng.uniform(0.03, 0.97, n) * length, rng.uniform(0, 1, n) * end])
    places = int(rng.integers(3, 7))
    x = np.sort(rng.uniform(0.05, 0.95, places)) * length
    t = np.linspace(0, end, n // places + 1)[1:]
    return np.stack(np.meshgrid(x, t, indexing="ij"), -1).reshape(-1, 2)


def heat(rng, unknown, n: int = 60, start: str = STATED, modes: int = 2) -> Experiment:
    """u_t = D u_xx - b u + s sin πx/L on [0, L] x [0, T], u = 0 at both ends, u(x, 0) = A Σ g_m sin mπx/L.

    Without a start the g_m of four modes are free.
    """
    length, end = log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    spread = length**2 / PI**2 / end
    numbers = {"D": spread * rng.uniform(0.4, 1.2), "b": 0.0, "s": 0.0, "A": log_uniform(rng, 0.3, 3)}
    if "b" in unknown:
        numbers["b"] = rng.uniform(0.5, 1.5) / end
    if "s" in unknown:
        numbers["s"] = numbers["A"] / end * rng.uniform(1, 3)
    modes = 4 if start == FREE else modes
    sizes = np.zeros(4)
    sizes[:modes] = np.array([1.0, 0.8, -0.6, 0.5])[:modes] * rng.uniform(0.7, 1, modes)
    named = {f"g{m + 1}": float(g) for m, g in enumerate(sizes)}
    points = scattered(rng, length, end, n)

    def values(c):
        x, t = points[:, :1], points[:, 1:]
        m = np.arange(1, 5)
        rates = c["D"] * (m * PI / length) ** 2 + c["b"]
        u = c["A"] * np.sin(m * PI / length * x) * np.exp(-rates * t) @ np.array([c[f"g{i}"] for i in m])
        # The source in the first mode: its part tends to s / rate.
        u = u + c["s"] * np.sin(PI / length * x[:, 0]) * -np.expm1(-rates[0] * t[:, 0]) / rates[0]
        return [u[:, None]]

    def state(get):
        geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(0, length), dde.geometry.TimeDomain(0, end))

        def pde(x, u):
            c = get()
            diffused = c["D"] * dde.grad.hessian(u, x, i=0, j=0)
            return dde.grad.jacobian(u, x, j=1) - diffused + c["b"] * u - c["s"] * torch.sin(PI / length * x[:, :1])

        def shape(x, sin):
            return sum(float(g) * sin((m + 1) * PI / length * x[:, :1]) for m, g in enumerate(sizes) if g)

        ends = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on_boundary: on_boundary)
        said = AS_OPERATOR if start == STATED and "A" in unknown else start
        conditions = {"ends": ends} | _start_of_heat(geometry, said, shape, get)
        return {"geometry": geometry, "pde": pde, "conditions": conditions}

    free = tuple(named)[:modes] if start == FREE else ()
    return Experiment(
        numbers=numbers | named,
        unknown=unknown,
        free=free,
        observed={"data": (points, 0)},
        values=values,
        state=state,
    )


def _start_of_heat(geometry, said: str, shape, get) -> dict:
    """The condition u(x, 0) = A ``shape(x, sin)``, where ``sin`` is that of NumPy or PyTorch."""

    def initial(x, on_boundary):
        return dde.utils.isclose(x[1], 0)

    def before(x):
        factor, found = get()["A"], shape(x, np.sin)
        return factor * (torch.as_tensor(found) if isinstance(factor, torch.Tensor) else found)

    if said == FREE:
        return {}
    if said == AS_OPERATOR:
        as_operator = dde.icbc.OperatorBC(geometry, lambda x, u, _: u - get()["A"] * shape(x, torch.sin), initial)
        return {"start": as_operator}
    return {"start": dde.icbc.IC(geometry, before, lambda x, on_initial: on_initial)}


def ring(rng, unknown, n: int = 60, start: str = STATED, modes: int = 2) -> Experiment:
    """u_t + c u_x = D u_xx - b u on a ring of length L, u(x, 0) = Σ g_m cos(2 m π x / L) + h_m sin(...)."""
    length, end = log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    numbers = {"c": length / end * rng.uniform(0.3, 1), "D": 0.0, "b": 0.0}
    if "D" in unknown:
        numbers["D"] = (length / (2 * PI)) ** 2 / end * rng.uniform(0.2, 0.6)
    if "b" in unknown:
        numbers["b"] = rng.uniform(0.4, 1.2) / end
    sizes = rng.uniform(0.4, 1, (modes, 2)) * rng.choice([-1, 1], (modes, 2))
    named = {f"{'gh'[j]}{m + 1}": float(sizes[m, j]) for m in range(modes) for j in range(2)}
    points = scattered(rng, length, end, n)

    def values(c):
        x, t = points[:, :1], points[:, 1:]
        u = 0.0
        for m in range(1, modes + 1):
            k = 2 * m * PI / length
            phase = k * (x - c["c"] * t)
            u = u + np.exp(-(c["D"] * k**2 + c["b"]) * t) * (c[f"g{m}"] * np.cos(phase) + c[f"h{m}"] * np.sin(phase))
        return [u]

    def state(get):
        geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(0, length), dde.geometry.TimeDomain(0, end))

        def pde(x, u):
            c = get()
            moved = dde.grad.jacobian(u, x, j=1) + c["c"] * dde.grad.jacobian(u, x, j=0) + c["b"] * u
            return (
                moved
                if not isinstance(c["D"], torch.Tensor) and c["D"] == 0
                else moved - c["D"] * dde.grad.hessian(u, x, i=0, j=0)
            )

        def before(x):
            k = 2 * PI / length * np.arange(1, modes + 1)
            return (np.cos(k * x[:, :1]) @ sizes[:, 0] + np.sin(k * x[:, :1]) @ sizes[:, 1])[:, None]

        def sides(x, on_boundary):
            return on_boundary and (dde.utils.isclose(x[0], 0) or dde.utils.isclose(x[0], length))

        conditions = {"closed": dde.icbc.PeriodicBC(geometry, 0, sides)}
        if "D" in unknown:
            conditions["closed slope"] = dde.icbc.PeriodicBC(geometry, 0, sides, derivative_order=1)
        if start != FREE:
            conditions["start"] = dde.icbc.IC(geometry, before, lambda x, on_initial: on_initial)
        return {"geometry": geometry, "pde": pde, "conditions": conditions}

    return Experiment(
        numbers=numbers | named,
        unknown=unknown,
        free=tuple(named) if start == FREE else (),
        observed={"data": (points, 0)},
        values=values,
        state=state,
    )


def string(rng, unknown, n: int = 60) -> Experiment:
    """u_tt + d u_t = C u_xx on [0, L] x [0, T], u = 0 at both ends, u(x, 0) = Σ g_m sin mπx/L, u_t(x, 0) = 0."""
    length, end = log_uniform(rng, 0.1, 10), log_uniform(rng, 0.1, 10)
    numbers = {
        "C": (length / end * rng.uniform(0.7, 1.5)) ** 2,
        "d": rng.uniform(0.3, 1) / end if "d" in unknown else 0.0,
    }
    sizes = rng.uniform(0.4, 1, 2)
    points = scattered(rng, length, end, n)

    def values(c):
        x, t = points[:, :1], points[:, 1:]
        u = 0.0
        for m, g in enumerate(sizes, 1):
            square = c["C"] * (m * PI / length) ** 2 - c["d"] ** 2 / 4
            w = np.sqrt(complex(square))
            swing = np.cos(w * t) + c["d"] / 2 * np.sin(w * t) / w
            u = u + g * np.sin(m * PI / length * x) * np.exp(-c["d"] * t / 2) * swing.real
        return [u]

    def state(get):
        geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(0, length), dde.geometry.TimeDomain(0, end))

        def pde(x, u):
            c = get()
            inertia = dde.grad.hessian(u, x, i=1, j=1) + c["d"] * dde.grad.jacobian(u, x, j=1)
            return inertia - c["C"] * dde.grad.hessian(u, x, i=0, j=0)

        def before(x):
            return np.sin(PI / length * np.arange(1, 3) * x[:, :1]) @ sizes[:, None]

        def initial(x, on_boundary):
            return dde.utils.isclose(x[1], 0)

        conditions = {
            "ends": dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on_boundary: on_boundary),
            "start": dde.icbc.IC(geometry, before, lambda x, on_initial: on_initial),
            "at rest": dde.icbc.OperatorBC(geometry, lambda x, u, _: dde.grad.jacobian(u, x, j=1), initial),
        }
        return {"geometry": geometry, "pde": pde, "conditions": conditions}

    return Experiment(numbers=numbers, unknown=unknown, observed={"data": (points, 0)}, values=values, state=state)
