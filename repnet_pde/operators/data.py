"""Operator data as a product of functions and points, with exact solutions for every function."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import dde
from ..errors import InputError
from .arguments import array, count, positive_number

LEAST_FUNCTIONS = 2
"""Minimum number of functions for training."""


@dataclass(frozen=True)
class OperatorData:
    """Functions at sensors, points, and the values of the operator, for training and for testing.

    All are finite, float64; `InputError` names the field that does not fit.

    Attributes:
        train_v: (n, m), input functions at the m sensors.
        train_u: (n, p) or (n, p, c), values of the operator.
        test_v: (k, m), as train_v.
        test_u: (k, p) or (k, p, c), as train_u.
        points: (p, d), where they are given.
        sensors: (m, e), where the inputs are given.
    """

    train_v: np.ndarray
    train_u: np.ndarray
    test_v: np.ndarray
    test_u: np.ndarray
    points: np.ndarray
    sensors: np.ndarray

    def __post_init__(self) -> None:
        points = array("points", self.points, ("points", "d"))
        sensors = array("sensors", self.sensors, ("sensors", "e"))
        fields = {"points": points, "sensors": sensors}
        outputs = np.shape(self.train_u)[2:]
        for part in ("train", "test"):
            v = array(f"{part}_v", getattr(self, f"{part}_v"), ("functions", "sensors"))
            if v.shape[1] != len(sensors):
                raise InputError(f"{part}_v: has values at {v.shape[1]} sensors, but sensors has {len(sensors)}")
            least = LEAST_FUNCTIONS if part == "train" else 1
            if len(v) < least:
                raise InputError(f"{part}_v: {len(v)} function(s) given; at least {least} are needed")
            fields[f"{part}_v"] = v
            fields[f"{part}_u"] = array(f"{part}_u", getattr(self, f"{part}_u"), (len(v), len(points), *outputs))
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def cartesian(self) -> Any:
        """As ``dde.data.TripleCartesianProd``, in DeepXDE's precision."""
        v, u, v_test, u_test, points = self._cast()
        return dde.data.TripleCartesianProd((v, points), u, (v_test, points), u_test)

    def triple(self) -> Any:
        """As ``dde.data.Triple``: every pair of function and point is a row; single output only."""
        if self.train_u.ndim != 2:
            raise InputError("train_u: has several outputs; dde.data.Triple is made here for one")
        v, u, v_test, u_test, points = self._cast()

        def rows(functions: np.ndarray, values: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
            return (
                np.repeat(functions, len(points), axis=0),
                np.tile(points, (len(functions), 1)),
            ), values.reshape(-1, 1)

        return dde.data.Triple(*rows(v, u), *rows(v_test, u_test))

    def _cast(self) -> Iterator[np.ndarray]:
        kind = dde.config.real(np)
        return (a.astype(kind) for a in (self.train_v, self.train_u, self.test_v, self.test_u, self.points))


class FourierFields:
    """Functions v_i(x) = Σ_k a_ik cos(2πkx/P) + b_ik sin(2πkx/P), k = 0, 1, ..., with their antiderivatives.

    cosine, sine: (n, modes). period: P.
    """

    def __init__(self, cosine: np.ndarray, sine: np.ndarray, period: float):
        self.cosine, self.sine, self.period = cosine, sine, period
        self.omega = 2 * math.pi * np.arange(cosine.shape[1]) / period

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values (n, p) at x (p,)."""
        phase = np.outer(self.omega, x)
        return self.cosine @ np.cos(phase) + self.sine @ np.sin(phase)

    def antiderivative(self, x: np.ndarray) -> np.ndarray:
        """∫ from 0 to x of v_i, (n, p)."""
        phase, omega = np.outer(self.omega[1:], x), self.omega[1:, None]
        part = self.cosine[:, 1:] @ (np.sin(phase) / omega) + self.sine[:, 1:] @ ((1 - np.cos(phase)) / omega)
        return part + self.cosine[:, :1] * x


def gaussian_fields(n: int, length_scale: float, period: float = 2.0, seed: int = 0) -> FourierFields:
    """Gaussian random fields with the covariance exp(−(x − y)²/2ℓ²), repeated with the period; unit variance.

    Exact in distribution for the periodic covariance, whose spectrum is exp(−(2πkℓ/P)²/2): as ``dde.data.GRF``, but in
    closed form. On [0, P/2] the covariance is the kernel above if ℓ is well below P.
    """
    count("n", n, 1)
    length_scale, period = positive_number("length_scale", length_scale), positive_number("period", period)
    modes = 1 + math.ceil(6.5 * period / (2 * math.pi * length_scale))  # e^(-21) of the variance is beyond
    k = np.arange(modes)
    variance = np.exp(-0.5 * (2 * math.pi * k * length_scale / period) ** 2) * np.where(k == 0, 1, 2)
    deviation = np.sqrt(variance / variance.sum())
    cosine, sine = deviation * np.random.default_rng(seed).standard_normal((2, n, modes))
    return FourierFields(cosine, sine, period)


def antiderivative(
    train: int = 300, test: int = 100, sensors: int = 100, points: int = 100, length_scale: float = 0.05, seed: int = 0
) -> OperatorData:
    """u' = v on [0, 1], u(0) = 0, for Gaussian random fields v of a length scale; u in closed form."""
    x, y = np.linspace(0, 1, count("sensors", sensors, 2)), np.linspace(0, 1, count("points", points, 2))
    v = gaussian_fields(count("train", train, 2) + count("test", test, 1), length_scale, 2.0, seed)
    return _split(train, v(x), v.antiderivative(y), y[:, None], x[:, None])


def advection(
    train: int = 300,
    test: int = 100,
    sensors: int = 100,
    points: tuple[int, int] = (40, 20),
    length_scale: float = 0.05,
    seed: int = 0,
) -> OperatorData:
    """u_t + u_x = 0 on [0, 1]², periodic in x, u(x, 0) = v(x) a periodic Gaussian random field; u = v(x − t).

    The points are a grid of ``points`` = (in x, in t).
    """
    x = np.arange(count("sensors", sensors, 2)) / sensors
    nx, nt = (count("points", n, 2) for n in points)
    grid = np.stack(np.meshgrid(np.arange(nx) / nx, np.linspace(0, 1, nt), indexing="ij"), -1).reshape(-1, 2)
    v = gaussian_fields(count("train", train, 2) + count("test", test, 1), length_scale, 1.0, seed)
    return _split(train, v(x), v(grid[:, 0] - grid[:, 1]), grid, x[:, None])


def sine_map(
    m: float = 20.0,
    train: int = 500,
    test: int = 200,
    sensors: int = 100,
    points: int = 100,
    modes: int = 2,
    seed: int = 0,
) -> OperatorData:
    """a -> sin(m a(x)) on [0, 1], a = Σ c_k cos kπx with ``modes`` coefficients uniform in ±1/modes: |a| ≤ 1."""
    m, modes = positive_number("m", m), count("modes", modes, 1)
    x, y = np.linspace(0, 1, count("sensors", sensors, 2)), np.linspace(0, 1, count("points", points, 2))
    n = count("train", train, 2) + count("test", test, 1)
    c = np.random.default_rng(seed).uniform(-1, 1, (n, modes)) / modes

    def a(x: np.ndarray) -> np.ndarray:
        return c @ np.cos(math.pi * np.outer(np.arange(modes), x))

    return _split(train, a(x), np.sin(m * a(y)), y[:, None], x[:, None])


def _split(train: int, v: np.ndarray, u: np.ndarray, points: np.ndarray, sensors: np.ndarray) -> OperatorData:
    return OperatorData(v[:train], u[:train], v[train:], u[train:], points, sensors)
