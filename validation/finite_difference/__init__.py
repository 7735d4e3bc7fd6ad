"""Finite-difference references with numpy and scipy only: no torch, no DeepXDE, no problem's residual.

`reference(name, **parameters)` computes references of the catalogue's problems; the general solvers
(`solve_...`) with `refine` compute references for other data.
"""

import inspect
import math
from collections.abc import Callable
from numbers import Real

from repnet_pde.errors import InputError, choose

from .advection_1d import advection_1d, solve_advection_1d
from .allen_cahn_1d import allen_cahn_1d, solve_allen_cahn_1d
from .burgers_1d import burgers_1d, burgers_cole_hopf, solve_burgers_1d
from .cache import cached
from .elliptic_2d import (
    elliptic_layered_2d,
    elliptic_multiscale_2d,
    helmholtz_heterogeneous_2d,
    poisson_nonlinear_2d,
    poisson_perforated_2d,
    poisson_rings_2d,
    solve_divergence_2d,
    solve_layered_helmholtz_2d,
    solve_perforated_2d,
    solve_periodic_2d,
)
from .heat_1d import heat_high_frequency_1d, solve_heat_1d
from .heat_2d import heat_multiscale_2d, solve_heat_2d
from .helmholtz_2d import helmholtz_2d, helmholtz_modes_2d, solve_helmholtz_2d
from .klein_gordon_1d import klein_gordon_1d, solve_klein_gordon_1d
from .korteweg_de_vries_1d import korteweg_de_vries_1d, solve_korteweg_de_vries_1d
from .navier_stokes_2d import kovasznay_2d, solve_navier_stokes_2d
from .poisson_1d import poisson_chirp_1d, poisson_four_scale_1d, poisson_two_scale_1d, solve_poisson_1d
from .poisson_4d import poisson_multiscale_4d, solve_poisson_4d
from .reference import Reference
from .refine import refine
from .two_point_1d import bratu_1d, convection_diffusion_1d, elliptic_multiscale_1d, solve_two_point_1d
from .wave_1d import solve_driven_wave_1d, solve_wave_1d, wave_four_frequency_1d, wave_two_mode_1d

__all__ = [
    "REFERENCES",
    "Reference",
    "burgers_cole_hopf",
    "cached",
    "reference",
    "refine",
    "solve_advection_1d",
    "solve_allen_cahn_1d",
    "solve_burgers_1d",
    "solve_divergence_2d",
    "solve_driven_wave_1d",
    "solve_heat_1d",
    "solve_heat_2d",
    "solve_helmholtz_2d",
    "solve_klein_gordon_1d",
    "solve_korteweg_de_vries_1d",
    "solve_layered_helmholtz_2d",
    "solve_navier_stokes_2d",
    "solve_perforated_2d",
    "solve_periodic_2d",
    "solve_poisson_1d",
    "solve_poisson_4d",
    "solve_two_point_1d",
    "solve_wave_1d",
]

REFERENCES: dict[str, Callable[..., Reference]] = {
    "poisson_two_scale_1d": poisson_two_scale_1d,
    "poisson_chirp_1d": poisson_chirp_1d,
    "poisson_four_scale_1d": poisson_four_scale_1d,
    "convection_diffusion_1d": convection_diffusion_1d,
    "elliptic_multiscale_1d": elliptic_multiscale_1d,
    "bratu_1d": bratu_1d,
    "heat_high_frequency_1d": heat_high_frequency_1d,
    "wave_two_mode_1d": wave_two_mode_1d,
    "wave_four_frequency_1d": wave_four_frequency_1d,
    "advection_1d": advection_1d,
    "helmholtz_2d": helmholtz_2d,
    "helmholtz_modes_2d": helmholtz_modes_2d,
    "kovasznay_2d": kovasznay_2d,
    "burgers_1d": burgers_1d,
    "allen_cahn_1d": allen_cahn_1d,
    "klein_gordon_1d": klein_gordon_1d,
    "korteweg_de_vries_1d": korteweg_de_vries_1d,
    "helmholtz_heterogeneous_2d": helmholtz_heterogeneous_2d,
    "poisson_rings_2d": poisson_rings_2d,
    "poisson_perforated_2d": poisson_perforated_2d,
    "poisson_nonlinear_2d": poisson_nonlinear_2d,
    "elliptic_layered_2d": elliptic_layered_2d,
    "elliptic_multiscale_2d": elliptic_multiscale_2d,
    "heat_multiscale_2d": heat_multiscale_2d,
    "poisson_multiscale_4d": poisson_multiscale_4d,
}


def reference(name: str, **parameters: float) -> Reference:
    """The reference for the catalogue problem `name` with its physical `parameters`, through the cache.

    All physical parameters must be given, as finite numbers; the numerical ones of the function in
    `REFERENCES` (such as `tolerance`) may be. Raises `InputError` otherwise.
    """
    choose("reference", name, REFERENCES)
    known = inspect.signature(REFERENCES[name]).parameters
    for key in parameters:
        choose(f"parameter of {name}", key, known)
    missing = [key for key, p in known.items() if p.default is p.empty and key not in parameters]
    if missing:
        raise InputError(f"{name}: parameter {', '.join(missing)} is missing")
    for key, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise InputError(f"{name}: {key} must be a finite number, got {value!r}")
        whole = known[key].annotation is not float and known[key].annotation is not inspect.Parameter.empty
        if whole and value != int(value):
            raise InputError(f"{name}: {key} must be a whole number, got {value!r}")
        parameters[key] = int(value) if whole else float(value)
    return cached(name, parameters, lambda: REFERENCES[name](**parameters))
