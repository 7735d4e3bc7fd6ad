"""Equations whose solution is known as a function of the numbers in them: with constant coefficients, or nonlinear.

An `Experiment` states the same equation twice: as DeepXDE has it, with the unknown numbers as variables, and as a
function that gives the observed values for any numbers, by closed forms, matrix exponentials or SciPy. Nothing of the
package is used for the second. Each function below draws one from a generator; names of ``unknown`` are given.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import deepxde as dde
import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import least_squares

STATED, AS_OPERATOR, CACHED, FREE = "stated", "as operator", "cached", "free"
"""How a value at the start or at an end is said: as a number; by an OperatorBC, so that it may be unknown; by a
function of the points, which DeepXDE evaluates once, so that an unknown in it is frozen; not at all."""
EXACT, INTEGRATED = 1e-12, 1e-9
"""Relative errors of closed forms, with their conditioning, and of SciPy's solutions."""
SINGULAR = 1e-8
"""Singular value of the sensitivities, relative to the largest, that counts as 0: above the error of differences."""
PI = math.pi


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An equation with numbers in it, and where its solution is observed.

    Attributes:
        numbers: name -> true value of all coefficients and values in conditions.
        unknown: names of those to be found.
        free: names of those that nothing states and that are no unknowns: the state that no condition fixes.
        observed: name of the observations -> (points (n, d), component).
        values: function of such numbers: observed values, a list of (n, 1).
        state: function of (a function without arguments that gives the numbers) -> keyword arguments of `Problem`. It
            is asked in each evaluation, so that products of variables are made anew.
        accuracy: relative error of ``values``.
    """

    numbers: Mapping[str, float]
    unknown: Sequence[str]
    free: Sequence[str] = ()
    observed: Mapping[str, tuple[np.ndarray, int]]
    values: Callable[[Mapping], list[np.ndarray]]
    state: Callable[[Callable[[], Mapping]], dict]
    accuracy: float = EXACT

    @property
    def count(self) -> int:
        return sum(len(points) for points, _ in self.observed.values())

    @property
    def truth(self) -> dict[str, float]:
        return {name: self.numbers[name] for name in self.unknown}

    def at(self, values: Sequence[float]) -> np.ndarray:
        """What is observed (n,), over the size of each observation, with other unknowns and free numbers."""
        found = self.values({**self.numbers, **dict(zip([*self.unknown, *self.free], values, strict=True))})
        return np.concatenate([v[:, 0] / s for v, s in zip(found, self.sizes(), strict=True)])

    def sizes(self) -> list[float]:
        """Root mean squares of the observed values."""
        return [float(np.sqrt(np.mean(v**2))) for v in self.values(self.numbers)]

    def sensitivity(self) -> np.ndarray:
        """Derivatives (n, q + free) of the values, over their sizes, for relative changes of the numbers, at the truth.

        Central differences of fourth order.
        """
        start = np.array([self.numbers[name] for name in (*self.unknown, *self.free)])
        step = 1e-3 if self.accuracy == EXACT else 1e-2

        def change(i, factor):
            moved = start.copy()
            moved[i] *= 1 + factor * step
            return self.at(moved)

        columns = [
            (8 * (change(i, 1) - change(i, -1)) - (change(i, 2) - change(i, -2))) / (12 * step)
            for i in range(len(start))
        ]
        return np.stack(columns, axis=1)

    def deviations(self) -> np.ndarray:
        """Relative standard errors (q,) of the unknowns, by Cramer and Rao, for noise as large as the values."""
        inverse = np.linalg.pinv(self.sensitivity(), rcond=SINGULAR)
        return np.sqrt((inverse**2).sum(1))[: len(self.unknown)]

    def floors(self) -> np.ndarray:
        """Relative changes (q,) of the unknowns by errors of the size of ``accuracy`` in all values."""
        inverse = np.abs(np.linalg.pinv(self.sensitivity(), rcond=SINGULAR))
        return self.accuracy * inverse.sum(1)[: len(self.unknown)]

    def misfit(self, data: np.ndarray) -> float:
        """Root mean square of what the best fit leaves of the data (n,), these over the sizes of the true values.

        The smallest minimum from several starts; unknowns may take any value, on the scale of their true ones.
        """
        start = np.array([self.numbers[name] for name in (*self.unknown, *self.free)])
        best = math.inf
        for factor in (1.0, 0.3, 3.0, -1.0):
            with np.errstate(all="ignore"):
                found = least_squares(
                    lambda p: np.nan_to_num(self.at(p * start) - data, nan=1e6, posinf=1e6, neginf=-1e6),
                    np.full(len(start), factor),
                    x_scale=1.0,
                    max_nfev=60,
                )
            best = min(best, math.sqrt(2 * found.cost / len(data)))
        return best


def composed(experiment: Experiment, rule: Callable[[Mapping], dict], numbers: Mapping, unknown) -> Experiment:
    """With other numbers, of which those of ``experiment`` are made by ``rule``."""
    return replace(
        experiment,
        numbers=numbers,
        unknown=unknown,
        values=lambda c: experiment.values({**experiment.numbers, **rule(c)}),
        state=lambda get: experiment.state(lambda: {**experiment.numbers, **rule(get())}),
    )


def sample(rng, low: float, high: float, n: int) -> np.ndarray:
    """Places (n, 1), random or evenly spread, not at the ends."""
    if rng.random() < 0.5:
        return np.sort(rng.uniform(low, high, (n, 1)), axis=0)
    return np.linspace(low, high, n + 1)[1:, None] - (high - low) / (2 * n)


def log_uniform(rng, low: float, high: float) -> float:
    return float(10 ** rng.uniform(math.log10(low), math.log10(high)))


def flow(matrix: np.ndarray, start: np.ndarray, t: np.ndarray) -> np.ndarray:
    """exp(A t) y0, (n, m), for times (n,)."""
    return expm(matrix * t.reshape(-1, 1, 1)) @ start


# Ordinary differential equations --------------------------------------------------------------------------------------


def _fixed(geometry, value: float, component: int):
    """The initial value of one component."""
    return dde.icbc.IC(geometry, lambda t: value, lambda t, on_initial: on_initial, component=component)


def _at_start(geometry, said: str, name: str, get, derivative: bool = False) -> dict:
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
        return {"geometry": geometry, "pde": pde, "conditions": _at_start(geometry, said, "u0", get)}

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
        conditions = _at_start(geometry, said, "u0", get) | _at_start(geometry, start, "v0", get, derivative=True)
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

        starts = {"p at 0": _fixed(geometry, numbers["p0"], 0), "q at 0": _fixed(geometry, 0.0, 1)}
        return {"geometry": geometry, "pde": pde, "conditions": starts, "outputs": ("p", "q")}

    return Experiment(numbers=numbers, unknown=unknown, observed=observed, values=values, state=state)


# Boundary-value problems ----------------------------------------------------------------------------------------------


VALUE, SLOPE, ROBIN = "value", "slope", "robin"


def line(rng, unknown, n: int = 20, right: str = VALUE, said: str = STATED, part: float = 1.0) -> Experiment:
    """-k u'' + v u' + b u = s + a sin w x on [0, L], u(0) = l; at L u = r, u' = r or u' = -h (u - r).

    Observed in the first ``part``. ``said``: how the condition at L is stated.
    """
    end = log_uniform(rng, 0.1, 10)
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
    x = sample(rng, 0, part * end, n)

    def values(c):
        k = c["k"]
        matrix = np.zeros((5, 5))
        matrix[0, 1] = 1
        matrix[1] = [c["b"] / k, c["v"] / k, -c["s"] / k, -c["a"] / k, 0]
        matrix[3, 4], matrix[4, 3] = c["w"], -c["w"]
        basis = np.array(
            [[c["l"], 0, 1, 0, 1], [0, 1 / end, 0, 0, 0.0]]
        ).T  # a particular solution, and one of slope 1/L
        last = flow(matrix, basis, np.array([end]))[0]
        of_value, of_slope, target = {VALUE: (1, 0, 1), SLOPE: (0, 1, 1), ROBIN: (c["h"], 1, c["h"])}[right]
        at_end = of_value * last[0] + of_slope * last[1]
        return [flow(matrix, basis @ np.array([1.0, (target * c["r"] - at_end[0]) / at_end[1]]), x[:, 0])[:, :1]]

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


# Equations in space and time ------------------------------------------------------------------------------------------


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

        def before(x):
            factor, found = get()["A"], shape(x, np.sin)
            return factor * (torch.as_tensor(found) if isinstance(factor, torch.Tensor) else found)

        def initial(x, on_boundary):
            return dde.utils.isclose(x[1], 0)

        ends = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on_boundary: on_boundary)
        conditions = {"ends": ends}
        if start == AS_OPERATOR or (start == STATED and "A" in unknown):
            conditions["start"] = dde.icbc.OperatorBC(
                geometry, lambda x, u, _: u - get()["A"] * shape(x, torch.sin), initial
            )
        elif start != FREE:
            conditions["start"] = dde.icbc.IC(geometry, before, lambda x, on_initial: on_initial)
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


# Nonlinear in time ----------------------------------------------------------------------------------------------------


def integrated(right, start, t) -> np.ndarray:
    """SciPy's solution (n, m) at times (n,), relative tolerance 1e-12; NaN from where it ends on."""
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
        return {"geometry": geometry, "pde": pde, "conditions": _at_start(geometry, said, "u0", get)}

    free = ("u0",) if start == FREE else ()
    return Experiment(
        numbers=numbers, unknown=unknown, free=free, observed={"data": (t, 0)}, values=values, state=state
    )


def reaction(rng, unknown=("k",), n: int = 15) -> Experiment:
    """u' = -k u² - b u on [0, T], u(0) = u0: a reaction of second order, and one of first order beside it."""
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

        return {"geometry": geometry, "pde": pde, "conditions": _at_start(geometry, STATED, "u0", get)}

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

        starts = {"p at 0": _fixed(geometry, 1.0, 0), "q at 0": _fixed(geometry, 1.0, 1)}
        return {"geometry": geometry, "pde": pde, "conditions": starts, "outputs": ("p", "q")}

    return Experiment(
        numbers=numbers, unknown=unknown, observed=observed, values=values, state=state, accuracy=INTEGRATED
    )


def swing(rng, unknown=("g",), n: int = 30) -> Experiment:
    """θ'' + d θ' + g sin θ + q θ³ = 0 on [0, T], θ(0) = θ0, θ'(0) = 0. q is 0 unless it is asked for."""
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

        conditions = _at_start(geometry, STATED, "u0", get)
        conditions |= _at_start(geometry, STATED, "rest", lambda: {"rest": 0.0}, derivative=True)
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
