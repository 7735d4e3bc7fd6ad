"""Elliptic equations in 2-D on a square: references for variable coefficients and nonlinear equations."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from scipy.linalg import circulant, solve_sylvester
from scipy.signal import resample
from scipy.sparse.linalg import splu

from repnet_pde.errors import InputError

from .helmholtz_2d import solve_helmholtz_2d
from .reference import Reference
from .refine import first_grid, refine
from .rounding import rounded, rounded_together, settled
from .stencils import ORDER, SMALLEST, difference_matrix

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]
HOLES = ((0.25, 0.25), (0.7, 0.2), (0.3, 0.7), (0.75, 0.7))
"""Centres of the discs of poisson_perforated_2d."""
PER_WAVE = 8 / (2 * np.pi)
"""Intervals of a first grid on the unit square over the wavenumber: eight per wavelength."""
NEWTON_STEPS = 40
FINER = 4
"""Nodes of the grid on which a Fourier method gives its solution, over those on which it solves."""


def solve_layered_helmholtz_2d(
    wavenumber: Callable[[np.ndarray], np.ndarray], source: Function, boundary: Function, *, n: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """-Laplace u - wavenumber(x)**2 u = source(x, y) on [0, 1]**2, u = boundary(x, y) on the boundary; order 6.

    Functions of (x, y) map two arrays of one shape to an array of that shape. As the wavenumber depends on x only, the
    equations A U + U B^T = F of the sixth-order differences are a Sylvester equation. Returns the axes (x, y), of n + 1
    uniform nodes each, and u of shape (n + 1, n + 1, 1).
    """
    if n < SMALLEST:
        raise InputError(f"layered_helmholtz_2d: needs n >= {SMALLEST}, got n={n}")
    x = rounded(np.linspace(0.0, 1.0, n + 1))
    u = _with_boundary(boundary, x)
    second = difference_matrix(n, 1 / n, 2)
    right = source(*np.meshgrid(x[1:-1], x[1:-1], indexing="ij"))
    right = right + (second @ u)[:, 1:-1] + (second @ u.T).T[1:-1]  # of the boundary values: u is 0 inside
    across = -second[:, 1:-1].toarray()
    left = across - np.diag(wavenumber(x[1:-1]) ** 2)
    left, across, right = map(rounded_together, (left, across, right))
    u[1:-1, 1:-1] = solve_sylvester(left, across.T, right)
    return (x, x.copy()), u[:, :, None]


def solve_divergence_2d(
    a: Function, source: Function, boundary: Function, *, n: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """-div(a grad u) = source(x, y) on [0, 1]**2, u = boundary(x, y) on the boundary; five-point scheme of order 2.

    It is conservative: fluxes are taken half way between the nodes, with a there, which may jump along lines of nodes;
    source has the mean of its values on both sides there. The functions map two arrays of one shape to an array of that
    shape. Returns the axes (x, y), of n + 1 uniform nodes each, and
    u of shape (n + 1, n + 1, 1).
    """
    if n < 2:
        raise InputError(f"divergence_2d: needs n >= 2, got n={n}")
    x = rounded(np.linspace(0.0, 1.0, n + 1))
    half, m = (x[1:] + x[:-1]) / 2, n - 1
    east = (
        sum(a(*np.meshgrid(half, x[1:-1] + side * 1e-6 / n, indexing="ij")) for side in (-1, 1)) / 2
    )  # (n, m), on both sides of every inner node
    # (m, n); on a line of nodes along which a jumps the flux beside it is the mean of those on both sides
    north = sum(a(*np.meshgrid(x[1:-1] + side * 1e-6 / n, half, indexing="ij")) for side in (-1, 1)) / 2
    centre = east[1:] + east[:-1] + north[:, 1:] + north[:, :-1]
    beside = np.zeros((m, m))
    beside[:, :-1] = north[:, 1:-1]  # to the next node along y, none across the end of a row
    matrix = sparse.diags_array(
        [centre.ravel(), -beside.ravel()[:-1], -beside.ravel()[:-1], -east[1:-1].ravel(), -east[1:-1].ravel()],
        offsets=[0, 1, -1, m, -m],
        format="csc",
    )
    u = _with_boundary(boundary, x)
    right = source(*np.meshgrid(x[1:-1], x[1:-1], indexing="ij")) / n**2
    right[0] += east[0] * u[0, 1:-1]
    right[-1] += east[-1] * u[-1, 1:-1]
    right[:, 0] += north[:, 0] * u[1:-1, 0]
    right[:, -1] += north[:, -1] * u[1:-1, -1]
    u[1:-1, 1:-1] = (
        splu(rounded(matrix), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        .solve(rounded(right.ravel()))
        .reshape(m, m)
    )
    return (x, x.copy()), u[:, :, None]


def solve_perforated_2d(
    source: Function,
    boundary: Function,
    *,
    centres: Sequence[tuple[float, float]],
    radius: float,
    n: int,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """-Laplace u = source(x, y) on [0, 1]**2 without discs, u = boundary(x, y) on the square's edge and on the circles.

    Five-point differences with shorter arms next to the circles, of order 2 (G. H. Shortley, R. Weller, J. Appl. Phys.
    9 (1938) 334-348). The functions map two arrays of one shape to an array of that shape. Returns the axes (x, y), of
    n + 1 uniform nodes each, and u of shape (n + 1, n + 1, 1), NaN in the discs.
    """
    if n < 2 or not 0 < radius < 0.5:
        raise InputError(f"perforated_2d: needs n >= 2 and a radius between 0 and 0.5, got n={n}, radius={radius:g}")
    axis = rounded(np.linspace(0.0, 1.0, n + 1))
    x, y = np.meshgrid(axis, axis, indexing="ij")
    hole = np.zeros_like(x, dtype=bool)
    for a, b in centres:
        hole |= (x - a) ** 2 + (y - b) ** 2 < (radius * (1 + 1e-12)) ** 2
    known = np.zeros_like(hole)
    known[[0, -1]] = known[:, [0, -1]] = True
    u = np.where(known, boundary(x, y), np.nan)
    unknown = ~known & ~hole
    number = np.full(x.shape, -1)
    number[unknown] = np.arange(unknown.sum())
    i, j = np.nonzero(unknown)
    right, diagonal = source(x[i, j], y[i, j]), np.zeros(len(i))
    rows, columns, entries = [], [], []
    for along in (0, 1):
        arms, values, others = [], [], []
        for sign in (-1, 1):
            p, q = (i + sign, j) if along == 0 else (i, j + sign)
            length, value = np.full(len(i), 1.0 / n), np.where(known[p, q], u[p, q], 0.0)
            for centre in centres:
                meets = hole[p, q] & ((x[p, q] - centre[0]) ** 2 + (y[p, q] - centre[1]) ** 2 < radius**2 * (1 + 1e-11))
                at = (x, y)[along][i, j][meets]
                beside = (y, x)[along][i, j][meets] - centre[1 - along]
                edge = centre[along] - sign * np.sqrt(np.maximum(radius**2 - beside**2, 0.0))
                length[meets] = np.maximum(sign * (edge - at), 1e-9 / n)
                place = (edge, (y, x)[along][i, j][meets])
                value[meets] = boundary(*(place if along == 0 else place[::-1]))
            arms.append(length)
            values.append(value)
            others.append(np.where(unknown[p, q], number[p, q], -1))
        for length, value, other in zip(arms, values, others, strict=True):
            weight = 2 / (sum(arms) * length)
            diagonal += weight
            inside = other >= 0
            right = right + np.where(inside, 0.0, weight * value)
            rows.append(np.flatnonzero(inside))
            columns.append(other[inside])
            entries.append(-weight[inside])
    rows, columns, entries = map(np.concatenate, (rows, columns, entries))
    size = len(i)
    matrix = sparse.csc_array((entries, (rows, columns)), shape=(size, size)) + sparse.diags_array(
        diagonal, format="csc"
    )
    u[i, j] = splu(rounded(sparse.csc_array(matrix)), permc_spec="MMD_AT_PLUS_A").solve(rounded(right))
    return (axis, axis.copy()), u[:, :, None]


def solve_periodic_2d(
    nonlinear: Function, slope: Function, source: Function, *, interval: tuple[float, float], n: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Laplace u + nonlinear(u) = source(x, y) on a square, periodic in both directions; Newton's method.

    Central differences of the highest order that n nodes allow (their limit, the Fourier method; B. Fornberg, A
    Practical Guide to Pseudospectral Methods (1996), chapter 3), n even. `nonlinear` and its derivative `slope` map
    arrays to arrays; `source` maps two arrays of one shape to an array of that shape. Newton's method starts from the
    solution of mean 0 without the nonlinear term. Returns the axes (x, y), of n + 1 uniform nodes each, and u of shape
    (n + 1, n + 1, 1); NaN where Newton's method does not converge.
    """
    a, b = interval
    if n < SMALLEST or n % 2 or not b > a:
        raise InputError(f"periodic_2d: needs an even n >= {SMALLEST} and a < b, got n={n}, interval={interval}")
    x = rounded(np.linspace(a, b, n + 1))
    waves = 2 * np.pi / (b - a) * np.fft.fftfreq(n, 1 / n)
    second, one = circulant(rounded_together(np.fft.ifft(-(waves**2)).real)), np.eye(n)
    laplace = rounded(np.kron(second, one) + np.kron(one, second))
    right = rounded(source(*np.meshgrid(x[:-1], x[:-1], indexing="ij")).ravel())
    squares = waves[:, None] ** 2 + waves**2
    squares[0, 0] = np.inf
    u = np.fft.ifft2(np.fft.fft2(right.reshape(n, n)) / -squares).real.ravel()
    size = np.inf
    for _ in range(NEWTON_STEPS):
        step = np.linalg.solve(laplace + np.diag(slope(u)), right - laplace @ u - nonlinear(u))
        u = u + step
        before, size = size, np.abs(step).max() / np.abs(u).max()
        if settled(size, before):
            break
    else:
        u[:] = np.nan
    values = np.empty((n + 1, n + 1))
    values[:-1, :-1] = u.reshape(n, n)
    values[-1], values[:, -1] = values[0], values[:, 0]
    values[-1, -1] = values[0, 0]
    return (x, x.copy()), values[:, :, None]


def helmholtz_heterogeneous_2d(
    *, kappa: float, variation: float, tolerance: float = 1e-9, largest: int = 1024
) -> Reference:
    """-Laplace u - kappa(x)**2 u = f on [0, 1]**2 with u = sin(phi(x)) sin(kappa y) on the boundary, phi' = kappa(x) =
    kappa (1 + variation sin(2 pi x)). Catalogue values kappa = 20 pi, variation = 0.5.
    """
    first = first_grid(f"kappa: {kappa:g}", PER_WAVE * abs(kappa) * (1 + abs(variation)), largest)

    def phase(x):
        return kappa * (x - variation * np.cos(2 * np.pi * x) / (2 * np.pi))

    def source(x, y):
        bend = 2 * np.pi * kappa * variation * np.cos(2 * np.pi * x)
        return (-bend * np.cos(phase(x)) + kappa**2 * np.sin(phase(x))) * np.sin(kappa * y)

    return refine(
        "helmholtz_heterogeneous_2d",
        {"kappa": kappa, "variation": variation},
        lambda n: solve_layered_helmholtz_2d(
            lambda x: kappa * (1 + variation * np.sin(2 * np.pi * x)),
            source,
            lambda x, y: np.sin(phase(x)) * np.sin(kappa * y),
            n=n,
        ),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def poisson_rings_2d(*, m: float, tolerance: float = 1e-10, largest: int = 1024) -> Reference:
    """Laplace u = f on [0, 1]**2 with the boundary values of u = sin(m pi (x**2 + y**2)); catalogue value m = 8."""
    k = m * np.pi
    first = first_grid(f"m: {m:g}", PER_WAVE * 2 * np.sqrt(2) * abs(k), largest)

    def minus_source(x, y):
        square = x**2 + y**2
        return 4 * k**2 * square * np.sin(k * square) - 4 * k * np.cos(k * square)

    return refine(
        "poisson_rings_2d",
        {"m": m},
        lambda n: solve_helmholtz_2d(minus_source, lambda x, y: np.sin(k * (x**2 + y**2)), kappa=0.0, n=n),
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def poisson_nonlinear_2d(*, m: float, tolerance: float = 1e-10, largest: int = 64) -> Reference:
    """Laplace u - u**2 / 10 = f on [-1, 1]**2, periodic, f that of u = sin(m pi x) cos(m pi y); catalogue value m = 3.

    Two solutions lie close together: with differences of order 6, 128 intervals leave an error of 2e-2.
    """
    if m != int(m) or m < 1:
        raise InputError(f"m: needs a whole number >= 1, got {m:g}")
    k = m * np.pi

    def source(x, y):
        u = np.sin(k * x) * np.cos(k * y)
        return -2 * k**2 * u - u**2 / 10

    def solve(n):
        _, u = solve_periodic_2d(lambda u: -(u**2) / 10, lambda u: -u / 5, source, interval=(-1.0, 1.0), n=n)
        for axis in (0, 1):  # its waves on a grid that is fine enough for splines
            u = resample(np.take(u, range(n), axis), FINER * n, axis=axis)
            u = np.concatenate([u, np.take(u, [0], axis)], axis)
        x = np.linspace(-1.0, 1.0, FINER * n + 1)
        return (x, x.copy()), u

    first = 4 * int(np.ceil(max(8.0, 4.0 * m + 2) / 4))
    if 4 * first > 2 * largest:
        raise InputError(f"m: {m:g} needs at least {2 * first} intervals, more than largest={largest}")
    return refine(
        "poisson_nonlinear_2d",
        {"m": m},
        solve,
        n=first,
        order=ORDER,
        largest=largest,
        tolerance=tolerance,
    )


def poisson_perforated_2d(*, k: float, radius: float, tolerance: float = 1e-6, largest: int = 512) -> Reference:
    """-Laplace u = 2 k**2 u with the boundary values of u = sin(k x) sin(k y), on [0, 1]**2 less four discs; catalogue
    values k = 6 pi, radius = 0.1.
    """
    first = first_grid(f"k: {k:g}", PER_WAVE * max(abs(k), 25.0), largest)

    def exact(x, y):
        return np.sin(k * x) * np.sin(k * y)

    return refine(
        "poisson_perforated_2d",
        {"k": k, "radius": radius},
        lambda n: solve_perforated_2d(lambda x, y: 2 * k**2 * exact(x, y), exact, centres=HOLES, radius=radius, n=n),
        n=first,
        order=2,
        largest=largest,
        tolerance=tolerance,
        holes=True,
    )


def elliptic_layered_2d(*, contrast: float, m: float, tolerance: float = 1e-6, largest: int = 768) -> Reference:
    """-div(a grad u) = f on [0, 1]**2, a = contrast for 1/3 < x < 2/3 and 1 elsewhere.

    f and the boundary values are those of the catalogue; catalogue values contrast = 100, m = 5.
    """
    if not contrast > 0:
        raise InputError(f"contrast: needs a positive number, got {contrast:g}")
    first = first_grid(f"m: {m:g}", 4 * abs(m), largest, least=24, unit=3)
    walls, k = (1 / 3, 2 / 3), m * np.pi
    at = [np.sin(k * wall) for wall in walls]

    def a(x, y):
        return np.where((x > walls[0]) & (x < walls[1]), contrast, 1.0)

    def phi(x):
        s = np.sin(k * x)
        right = at[0] + (at[1] - at[0]) / contrast + s - at[1]
        return np.where(x < walls[0], s, np.where(x < walls[1], at[0] + (s - at[0]) / contrast, right))

    def source(x, y):
        on = np.isclose(x, walls[0], rtol=0, atol=1e-9) | np.isclose(x, walls[1], rtol=0, atol=1e-9)
        mean = np.where(on, (1 + contrast) / 2, a(x, y))
        return (k**2 * np.sin(k * x) + 4 * np.pi**2 * mean * phi(x)) * np.sin(2 * np.pi * y)

    return refine(
        "elliptic_layered_2d",
        {"contrast": contrast, "m": m},
        lambda n: solve_divergence_2d(a, source, lambda x, y: phi(x) * np.sin(2 * np.pi * y), n=n),
        n=first,
        order=2,
        largest=largest,
        tolerance=tolerance,
    )


def elliptic_multiscale_2d(
    *, epsilon: float, finer: float, contrast: float, tolerance: float = 1e-4, largest: int = 1024
) -> Reference:
    """-div(a grad u) = 1 on [0, 1]**2, u = 0 on the boundary, a as in the catalogue with the periods `epsilon` and
    `finer`; catalogue values 1/4, 1/10 and contrast 1.5.
    """
    if not min(epsilon, finer) > 0 or not abs(contrast) < 2:
        raise InputError(
            "epsilon, finer, contrast: need positive periods and a contrast below 2, "
            f"got {epsilon:g}, {finer:g}, {contrast:g}"
        )

    def a(x, y):
        result = 0.0
        for omega in (2 * np.pi / epsilon, 2 * np.pi / finer):
            above = 2 + contrast * np.sin(omega * x)
            result = result + (above / (2 + contrast * np.cos(omega * y)) + (2 + np.sin(omega * y)) / above) / 2
        return result

    first = first_grid("epsilon, finer: the shorter", 16 / min(epsilon, finer), largest, least=32)
    return refine(
        "elliptic_multiscale_2d",
        {"epsilon": epsilon, "finer": finer, "contrast": contrast},
        lambda n: solve_divergence_2d(a, lambda x, y: np.ones_like(x), lambda x, y: np.zeros_like(x), n=n),
        n=first,
        order=2,
        largest=largest,
        tolerance=tolerance,
    )


def _with_boundary(boundary: Function, x: np.ndarray) -> np.ndarray:
    """Zero on the nodes inside, the boundary values on those outside."""
    u = np.zeros((len(x), len(x)))
    grids = np.meshgrid(x, x, indexing="ij")
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        u[edge] = boundary(*(grid[edge] for grid in grids))
    return u
