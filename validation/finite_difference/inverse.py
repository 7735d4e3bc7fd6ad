"""Inverse problems: forward solvers from the unknowns to the observations, and synthetic observations with noise.

`FORWARD` has a solver for each inverse problem of the catalogue, ``f(unknowns, x, resolution=None)``: unknowns by
name (numbers, or functions (n, d) -> (n,) for unknown fields) and points x (n, d) to the observed outputs (n, c). They
are fast enough for `scipy.optimize.least_squares`, the method for comparison. `synthetic` generates data.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from repnet_pde.errors import choose

from .inverse_1d import burgers_inverse_1d, driven_wave_1d, oscillating_coefficient_1d, reaction_diffusion_1d
from .inverse_2d import elliptic_coefficient_2d, heat_coefficient_2d, helmholtz_wavenumber_2d
from .inverse_ode import damped_oscillator, lorenz

FORWARD: dict[str, Callable[..., np.ndarray]] = {
    "damped_oscillator": damped_oscillator,
    "lorenz": lorenz,
    "oscillating_coefficient_1d": oscillating_coefficient_1d,
    "driven_wave_1d": driven_wave_1d,
    "reaction_diffusion_1d": reaction_diffusion_1d,
    "burgers_inverse_1d": burgers_inverse_1d,
    "helmholtz_wavenumber_2d": helmholtz_wavenumber_2d,
    "elliptic_coefficient_2d": elliptic_coefficient_2d,
    "heat_coefficient_2d": heat_coefficient_2d,
}


def synthetic(
    name: str, x: np.ndarray, noise: float = 0.0, seed: int = 0, *, relative: bool = True, **true: float | Callable
) -> np.ndarray:
    """Observations (n, c) of the problem `name` at points x (n, d) for the true unknowns, with noise as in `noisy`."""
    choose("forward solver", name, FORWARD)
    x = np.ascontiguousarray(x, dtype=float)
    clean = _solved(name, x.tobytes(), x.shape, tuple(sorted(true.items())))
    return noisy(clean, noise, seed, relative=relative)


def noisy(clean: np.ndarray, noise: float, seed: int, *, relative: bool = True) -> np.ndarray:
    """``clean`` (n, c) plus independent Gaussian noise, in a new array.

    Its standard deviation is ``noise`` times the root mean square of each output, or ``noise`` itself where
    ``relative`` is False. The same seed gives the same noise, in proportion to ``noise``.
    """
    scale = np.sqrt(np.mean(np.square(clean), axis=0)) if relative else 1.0
    # a random stream different from default_rng(seed), which may have drawn the points
    return clean + noise * scale * np.random.default_rng([int(seed), 1]).standard_normal(clean.shape)


@lru_cache(maxsize=32)
def _solved(name: str, data: bytes, shape: tuple[int, ...], true: tuple[tuple[str, float | Callable], ...]):
    values = FORWARD[name](dict(true), np.frombuffer(data).reshape(shape))
    values.flags.writeable = False
    return values
