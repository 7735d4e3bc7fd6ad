"""u'' = f on [a, b] with u(a), u(b) given.

Integrating by parts gives u(x+h) - 2u(x) + u(x-h) = integral of (h - |s|) f(x+s) over -h <= s <= h, exactly.
The five-point rule on s = 0, +-h/2, +-h that is exact for polynomials of degree 5 makes it a compact
scheme of order 6 (Numerov's method with half nodes; L. Collatz, The Numerical Treatment of Differential
Equations (1960), chapter III). The matrix (1, -2, 1) is inverted by two cumulative sums, whose rounding
errors stay near machine precision, whereas elimination would amplify them by n**2.
"""

from collections.abc import Callable

import numpy as np

from repnet_pde.errors import InputError

from .reference import Reference
from .refine import first_grid, refine
from .rounding import rounded, running_sum

ORDER = 6


def solve_poisson_1d(
    source: Callable[[np.ndarray], np.ndarray],
    left: float,
    right: float,
    *,
    interval: tuple[float, float],
    n: int,
) -> tuple[tuple[np.ndarray], np.ndarray]:
    """u'' = source(x) on `interval`, u = left and right at its ends; order 6.

    `source` maps (k,) to (k,). Returns the axes (x,) with n + 1 uniform nodes, and u of shape (n + 1, 1).
    """
    a, b = interval
    if n < 2 or not b > a:
        raise InputError(f"poisson_1d: needs n >= 2 and a < b, got n={n}, interval={interval}")
    half_nodes = rounded(np.linspace(a, b, 2 * n + 1))
    f = rounded(source(half_nodes))
    whole, between = f[::2], f[1::2]
    second = 13 / 30 * whole[1:-1] + 4 / 15 * (between[:-1] + between[1:]) + (whole[:-2] + whole[2:]) / 60
    slopes = np.concatenate([[0.0], running_sum(second - second.mean())])
    rise = np.concatenate([[0.0], running_sum(slopes - slopes.mean())])
    k = np.arange(n + 1)
    step = (b - a) / n
    u = step**2 * (rise + second.mean() * k * (k - n) / 2)
    u += left + (right - left - u[-1]) * k / n
    return (half_nodes[::2],), u[:, None]


def poisson_two_scale_1d(
    *, low: float, high: float, amplitude: float, tolerance: float = 1e-12, largest: int = 2**20
) -> Reference:
    """u'' = f on [0, 1] with u = sin(low pi x) + amplitude sin(high pi x), boundary values from u.

    `low` and `high` are wavenumbers in half waves on [0, 1]; catalogue values 2, 50 and amplitude 0.1.
    """
    p, q = low * np.pi, high * np.pi

    def source(x):
        return -(p**2) * np.sin(p * x) - amplitude * q**2 * np.sin(q * x)

    end = np.sin(p) + amplitude * np.sin(q)
    periods = max(abs(low), abs(high)) / 2
    return refine(
        "poisson_two_scale_1d",
        {"low": low, "high": high, "amplitude": amplitude},
        lambda n: solve_poisson_1d(source, 0.0, end, interval=(0.0, 1.0), n=n),
        n=_first_grid("poisson_two_scale_1d", periods, largest),
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def poisson_chirp_1d(*, low: float, high: float, tolerance: float = 1e-12, largest: int = 2**20) -> Reference:
    """u'' = f on [0, 1] with u = sin(phi), phi = 2 pi (low x + high x**2), boundary values from u.

    f = phi'' cos(phi) - phi'**2 sin(phi), phi' = 2 pi (low + 2 high x), phi'' = 4 pi high: the local
    frequency runs from low to low + 2 high periods per unit length. Catalogue values low=3, high=10.5.
    """

    def phase(x):
        return 2 * np.pi * (low * x + high * x**2)

    def source(x):
        return 4 * np.pi * high * np.cos(phase(x)) - (2 * np.pi * (low + 2 * high * x)) ** 2 * np.sin(phase(x))

    periods = max(abs(low), abs(low + 2 * high))
    return refine(
        "poisson_chirp_1d",
        {"low": low, "high": high},
        lambda n: solve_poisson_1d(source, 0.0, np.sin(phase(1.0)), interval=(0.0, 1.0), n=n),
        n=_first_grid("poisson_chirp_1d", periods, largest),
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def poisson_four_scale_1d(
    *, packet: float, width: float, amplitude: float, tolerance: float = 1e-12, largest: int = 2**20
) -> Reference:
    """u'' = f on [0, 1], u = four waves and a packet; boundary values from u.

    The waves are sin 6 pi x + sin 12 pi x / 2 + sin 24 pi x / 4 + sin 36 pi x / 6; the packet is amplitude
    exp(-y**2 / (2 width**2)) cos(packet pi y) with y = x - 1/2. Catalogue values 80, 0.04 and 0.5.
    """
    name = "poisson_four_scale_1d"
    if not width > 0:
        raise InputError(f"{name}: width: needs a positive number, got {width:g}")
    waves = np.pi * np.array([6.0, 12.0, 24.0, 36.0])
    rate = -1 / (2 * width**2) + 0j

    def source(x):  # the packet is the real part of amplitude exp(rate y**2 + i k y)
        y = x - 0.5
        exponent, slope = rate * y**2 + 1j * packet * np.pi * y, 2 * rate * y + 1j * packet * np.pi
        wavelet = amplitude * ((slope**2 + 2 * rate) * np.exp(exponent)).real
        return wavelet - np.sin(np.multiply.outer(x, waves)) @ (6 * np.pi * waves)

    end = amplitude * np.exp(rate.real / 4) * np.cos(packet * np.pi / 2)
    periods = max(18.0, abs(packet) / 2, 1 / (2 * np.pi * width))
    return refine(
        name,
        {"packet": packet, "width": width, "amplitude": amplitude},
        lambda n: solve_poisson_1d(source, end, end, interval=(0.0, 1.0), n=n),
        n=_first_grid(name, periods, largest),
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def _first_grid(name: str, periods: float, largest: int) -> int:
    """At least eight intervals for the shortest wave: coarser grids would alias."""
    return first_grid(f"{name}: resolving {periods:g} waves", 8 * periods, largest, least=32)
