"""Linear equations in time and one coordinate: heat conduction, waves, beams, transport, Schroedinger's equation."""

from .... import Problem
from ..case import Case, turn
from ..fields import dirichlet, initial, initial_slope, manufactured, neumann, robin, side, slope, stacked, waves
from .drawing import case, in_time, interval, line, log_uniform, positive


def heat(rng, number):
    """u_t = (a u_x)_x + b u_x - c u + f, with conditions of every type."""
    low, high = interval(rng)
    end = rng.uniform(0.1, 1)
    geometry = in_time(line(low, high), end)
    exact = waves(rng, [low, 0], [high, end], rng.uniform(1.5, 4))
    a, b, c = positive(rng, low, high, size=0.6), rng.uniform(-2, 2), rng.uniform(0, 2)
    scale = log_uniform(rng, 0.05, 1)

    def operator(x, u):
        flux = scale * a(x[:, :1]) * slope(u, x, 0)
        return slope(u, x, 1) - slope(flux, x, 0) - scale * b * slope(u, x, 0) + c * u

    left, width = side(0, low, high - low), high - low
    right = side(0, high, width)
    ends = [
        {"ends": dirichlet(geometry, exact)},
        {"left": dirichlet(geometry, exact, left), "right": neumann(geometry, exact, right)},
        {"ends": robin(geometry, exact, rng.uniform(0.5, 3))},
    ][number % 3]
    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, exact),
        conditions={**ends, "start": initial(geometry, exact)},
    )
    return case(f"diffusivity about {scale:.2f}, {', '.join(ends)}", problem, exact)


def wave(rng, number):
    """u_tt = (c² u_x)_x - d u_t + f, and beams u_tt = -u_xxxx + f."""
    low, high, end = 0.0, rng.uniform(0.5, 2), rng.uniform(0.3, 1)
    geometry = in_time(line(low, high), end)
    exact = waves(rng, [low, 0], [high, end], rng.uniform(2, 5))
    c, drag = positive(rng, low, high, size=0.4), rng.uniform(0, 2)
    stiffness = rng.uniform(0.05, 0.5) * high**4
    beam = number % 3 == 2

    def operator(x, u):
        if beam:
            return slope(u, x, 1, 1) + stiffness * slope(u, x, 0, 0, 0, 0)
        return slope(u, x, 1, 1) - slope(c(x[:, :1]) * slope(u, x, 0), x, 0) + drag * slope(u, x, 1)

    conditions = {
        "ends": dirichlet(geometry, exact),
        "start": initial(geometry, exact),
        "velocity": initial_slope(geometry, exact),
    }
    if beam:
        conditions["clamps"] = neumann(geometry, exact)
    problem = Problem(geometry=geometry, pde=manufactured(operator, exact), conditions=conditions)
    return case("beam" if beam else "wave with variable speed", problem, exact)


def transport(rng, number):
    """u_t + c u_x = f with inflow; and Schroedinger's equation for real and imaginary part."""
    return turn(number, (_advection, _schroedinger))(rng)


def _advection(rng) -> Case:
    low, high = interval(rng)
    end = rng.uniform(0.3, 1.5)
    geometry = in_time(line(low, high), end)
    exact = waves(rng, [low, 0], [high, end], rng.uniform(2, 8))
    speed = positive(rng, [low, 0], [high, end])

    def flow(x, u):
        return slope(u, x, 1) + speed(x) * slope(u, x, 0)

    inflow = side(0, low, high - low)
    problem = Problem(
        geometry=geometry,
        pde=manufactured(flow, exact),
        conditions={"inflow": dirichlet(geometry, exact, inflow), "start": initial(geometry, exact)},
    )
    return case("u_t + c(x, t) u_x = f", problem, exact)


def _schroedinger(rng) -> Case:
    low, high, end = 0.0, rng.uniform(0.5, 2), rng.uniform(0.1, 0.5)
    geometry = in_time(line(low, high), end)
    exact = stacked(*(waves(rng, [low, 0], [high, end], rng.uniform(2, 4)) for _ in range(2)))
    potential, scale = waves(rng, low, high, 3.0, size=3.0), rng.uniform(0.1, 0.5)

    def operator(x, u):
        v = potential(x[:, :1])
        return [
            slope(u, x, 1, i=0) + scale * slope(u, x, 0, 0, i=1) - v * u[:, 1:2],
            slope(u, x, 1, i=1) - scale * slope(u, x, 0, 0, i=0) + v * u[:, 0:1],
        ]

    problem = Problem(
        geometry=geometry,
        pde=manufactured(operator, exact),
        conditions={
            f"{name} {i}": make(geometry, exact, i=i)
            for i in (0, 1)
            for name, make in (("ends", dirichlet), ("start", initial))
        },
        outputs=("real", "imaginary"),
    )
    return case("Schroedinger's equation", problem, exact)
