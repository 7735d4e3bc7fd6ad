"""Balance laws: each is its equation times a multiplier and holds for solutions only; orders of the rules."""

import functools
from dataclasses import replace

import deepxde as dde
import numpy as np
import pytest
import torch
from exact import as_network, spline_network
from repnet_pde.validation.finite_difference import REFERENCES
from repnet_pde.validation.finite_difference.inverse import FORWARD

from repnet_pde import Balance, InputError, Problem, Sampling, catalogue, load_problem, set_precision, solve
from repnet_pde.networks.slabs import Slabs
from repnet_pde.problem import balances
from repnet_pde.problem.balances import defects

LAWS = {(name, key): law for name in catalogue() for key, law in load_problem(name).balances.items()}
PARAMETERS = {  # such that nothing vanishes on the boundary by chance
    "poisson_two_scale_1d": {"low": 1.3, "high": 17.9, "amplitude": 0.7},
    "poisson_chirp_1d": {"low": 0.7, "high": 3.1},
    "poisson_four_scale_1d": {"packet": 3.3, "width": 0.3, "amplitude": -2},
    "convection_diffusion_1d": {"epsilon": 0.05},
    "elliptic_multiscale_1d": {"epsilon": 0.3},
    "heat_high_frequency_1d": {"m": 7.3},
    "helmholtz_2d": {"kappa": 5.2},
    "helmholtz_modes_2d": {"a1": 2.3, "a2": 0.4, "k": 3.7},
    "burgers_1d": {"nu": 0.05},
    "allen_cahn_1d": {"d": 0.02},
    "helmholtz_heterogeneous_2d": {"kappa": 5.2, "variation": 0.3},
    "poisson_rings_2d": {"m": 1.3},
    "poisson_nonlinear_2d": {"m": 1},
    "elliptic_multiscale_2d": {"epsilon": 1.3, "finer": 0.9, "contrast": 0.5},
    "heat_multiscale_2d": {"m": 2},
    "korteweg_de_vries_1d": {"mu": 0.1},
}


def load(name):
    """A problem with its unknowns at their true values."""
    problem = load_problem(name, **PARAMETERS.get(name, {}))
    with torch.no_grad():
        for unknown, value in problem.true_unknowns.items():
            problem.unknowns[unknown].copy_(torch.tensor(value))
    return problem


# The laws follow from the equations: for any function, solution or not -----------------------------------------------

MULTIPLIERS = {  # what is left over of a balance is the integral of the sum of multipliers times residuals
    ("poisson_two_scale_1d", "energy"): lambda u, u_t: [-u],
    ("poisson_chirp_1d", "energy"): lambda u, u_t: [-u],
    ("poisson_four_scale_1d", "energy"): lambda u, u_t: [-u],
    ("convection_diffusion_1d", "mass"): lambda u, u_t: [-1],
    ("convection_diffusion_1d", "energy"): lambda u, u_t: [-u],
    ("elliptic_multiscale_1d", "energy"): lambda u, u_t: [u],
    ("heat_high_frequency_1d", "energy"): lambda u, u_t: [u],
    ("wave_two_mode_1d", "energy"): lambda u, u_t: [u_t],
    ("advection_1d", "mass"): lambda u, u_t: [1],
    ("advection_1d", "energy"): lambda u, u_t: [u],
    ("helmholtz_2d", "energy"): lambda u, u_t: [u],
    ("helmholtz_modes_2d", "energy"): lambda u, u_t: [-u],
    ("burgers_1d", "energy"): lambda u, u_t: [u],
    ("burgers_1d", "mass"): lambda u, u_t: [1],
    ("allen_cahn_1d", "free energy"): lambda u, u_t: [u_t],
    ("klein_gordon_1d", "energy"): lambda u, u_t: [u_t],
    ("bratu_1d", "energy"): lambda u, u_t: [-u],
    ("helmholtz_heterogeneous_2d", "energy"): lambda u, u_t: [u],
    ("poisson_rings_2d", "energy"): lambda u, u_t: [-u],
    ("poisson_nonlinear_2d", "energy"): lambda u, u_t: [-u],
    ("elliptic_multiscale_2d", "energy"): lambda u, u_t: [u],
    ("heat_multiscale_2d", "energy"): lambda u, u_t: [u],
    ("korteweg_de_vries_1d", "mass"): lambda u, u_t: [1],
    ("korteweg_de_vries_1d", "energy"): lambda u, u_t: [2 * u],
    ("kovasznay_2d", "mass"): lambda u, u_t: [0, 0, -1],
    ("kovasznay_2d", "momentum_x"): lambda u, u_t: [-1, 0, -u[:, 0]],
    ("kovasznay_2d", "momentum_y"): lambda u, u_t: [0, -1, -u[:, 1]],
    ("damped_oscillator", "energy"): lambda u, u_t: [u_t],
    ("lorenz", "energy"): lambda u, u_t: [u[:, 0], u[:, 1], u[:, 2]],
    ("reaction_diffusion_1d", "a"): lambda u, u_t: [1, 0],
    ("reaction_diffusion_1d", "2a - b"): lambda u, u_t: [2, -1],
    ("burgers_inverse_1d", "energy"): lambda u, u_t: [u],
    ("burgers_inverse_1d", "mass"): lambda u, u_t: [1],
    ("driven_wave_1d", "energy"): lambda u, u_t: [u_t],
    ("helmholtz_wavenumber_2d", "energy"): lambda u, u_t: [u],
    ("oscillating_coefficient_1d", "energy"): lambda u, u_t: [-u[:, 0]],
    ("elliptic_coefficient_2d", "energy"): lambda u, u_t: [u[:, 0]],
    ("heat_coefficient_2d", "energy"): lambda u, u_t: [u[:, 0], 0],
}
FREE = ["poisson_two_scale_1d", "poisson_chirp_1d", "heat_high_frequency_1d", "helmholtz_2d", "helmholtz_modes_2d"]
FREE += ["klein_gordon_1d", "poisson_four_scale_1d", "kovasznay_2d", "reaction_diffusion_1d", "damped_oscillator"]
FREE += ["lorenz", "helmholtz_heterogeneous_2d", "poisson_rings_2d"]
PERIODIC = ["korteweg_de_vries_1d", "poisson_nonlinear_2d"]


def some_function(problem):
    """A smooth function that satisfies nothing but constant boundary values, where a balance relies on them."""
    box, components = problem.box, len(problem.outputs)
    space = problem.dim - problem.in_time
    low, high = (torch.as_tensor(side) for side in (box.lower, box.upper))

    def function(x):
        y = (x - low) / (high - low)
        waves = [torch.sin(y @ torch.linspace(1.3, 2.1, problem.dim) * (1 + c / 3) + c) for c in range(components)]
        u = torch.stack(waves, 1)
        if problem.name not in FREE:
            inside = (y[:, :space] * (1 - y[:, :space])).prod(1, keepdim=True)
            inside = (4 * inside) ** 3 if problem.name in PERIODIC else inside  # with two derivatives
            edge = -1.0 if problem.name == "allen_cahn_1d" else 0.0
            u = torch.cat([edge + 3 * inside * u[:, :1], u[:, 1:]], 1)
        return u

    return function


def weighted_residual(problem, net, multipliers) -> float:
    """∫ Σ multiplier · residual by Gauss's rule with one panel."""
    nodes, weights = np.polynomial.legendre.leggauss({1: 80, 2: 40, 3: 24}[problem.dim])
    box = problem.box
    grid = np.stack([g.ravel() for g in np.meshgrid(*[nodes] * problem.dim, indexing="ij")], 1)
    factor = np.prod([g.ravel() for g in np.meshgrid(*[weights] * problem.dim, indexing="ij")], 0)
    x = torch.tensor(box.center + box.half_width * grid).requires_grad_()
    dde.grad.clear()
    u = net(x)
    residuals = problem.pde(x, u)
    residuals = residuals if isinstance(residuals, list) else [residuals]
    (u_t,) = torch.autograd.grad(u[:, 0].sum(), x, retain_graph=True)
    u = u[:, 0] if u.shape[1] == 1 else u
    pairs = zip(multipliers(u, u_t[:, -1]), residuals, strict=True)
    total = sum(m * r[:, 0] for m, r in pairs).detach().numpy()
    dde.grad.clear()
    return float(factor @ total) * box.half_width.prod()


@pytest.mark.parametrize(("name", "balance"), MULTIPLIERS)
def test_a_balance_is_the_equation_times_a_multiplier(name, balance):
    slow = {"poisson_two_scale_1d": {"low": 1.3, "high": 3.1, "amplitude": 0.7}}
    problem = load_problem(name, **(PARAMETERS | slow).get(name, {}))
    net = some_function(problem)
    panels, nodes = (
        np.full(problem.dim, 8 if problem.dim == 1 else 4),
        np.full(problem.dim, 8 if problem.dim == 3 else 16),
    )
    found = balances._imbalances(problem, net, panels, nodes)[balance]
    wanted = weighted_residual(problem, net, MULTIPLIERS[name, balance])
    assert abs(wanted) > 1e-3 * found.size
    assert found.values[-1] == pytest.approx(wanted, rel=1e-9, abs=1e-10 * found.size)


# They hold for solutions and for nothing else ------------------------------------------------------------------------

GRIDS = {"burgers_1d": (201, 101), "lorenz": (401,), "reaction_diffusion_1d": (101, 201)}
REFERENCED = {"allen_cahn_1d": 1e-6, "korteweg_de_vries_1d": 1e-6, "elliptic_multiscale_2d": 1e-4}
"""Solutions that are taken from the finite differences -> the defect that their errors explain."""
GRIDS |= {"burgers_inverse_1d": (201, 101), "helmholtz_wavenumber_2d": (81, 81)}
NAMES = list(dict.fromkeys(name for name, _ in LAWS))
SIGNS = [(*law, term) for law in LAWS for term in ("rate", "flux") if set(LAWS[law].terms()) > {term}]


@functools.cache
def solved(name):
    """A problem, its solution in a network's place, and the defect that the solution's own error explains."""
    problem = load(name)
    if problem.solution is not None:
        return problem, as_network(problem.solution), 1e-13
    if name in REFERENCED:
        found = REFERENCES[name](**problem.parameters, tolerance=1e-6)
        return problem, spline_network(found.axes, found.values), REFERENCED[name]
    unknowns = dict(problem.true_unknowns)
    if name.startswith("burgers"):  # with a layer that a coarse grid resolves
        unknowns = {"l1": 1.0, "l2": 0.05}
        for unknown, variable in problem.unknowns.items():
            variable.data.fill_(unknowns[unknown])
    ends = zip(problem.box.lower, problem.box.upper, GRIDS[name], strict=True)
    axes = [np.linspace(*end) for end in ends]
    x = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    solver = FORWARD["burgers_inverse_1d" if name == "burgers_1d" else name]
    values = solver(unknowns, x).reshape(*GRIDS[name], -1)
    # The start of reaction_diffusion_1d does not satisfy the equation at the boundary.
    return problem, spline_network(axes, values), 1e-3 if name == "reaction_diffusion_1d" else 1e-7


def test_every_balance_is_tested_here():
    assert set(LAWS) == set(MULTIPLIERS)


@pytest.mark.parametrize("name", NAMES)
def test_balances_hold_for_the_solution(name):
    problem, net, small = solved(name)
    for balance, found in defects(problem, net).items():
        assert found.relative < small, balance
        assert found.quadrature < small + 1e-12 + 0.1 * problem.tolerance, balance


@pytest.mark.parametrize("name", NAMES)
def test_balances_do_not_hold_for_another_function(name):
    problem, net, small = solved(name)
    for balance, found in defects(problem, lambda x: net(0.8 * x) + 0.1 * x[:, -1:]).items():
        assert found.relative > max(1e-3, 10 * small), balance
        assert found.quadrature < 1e-3 * found.relative + problem.tolerance, balance


@pytest.mark.parametrize(("name", "balance", "term"), [s for s in SIGNS if s[1] != "mass"])  # as much left as right
def test_a_wrong_sign_is_found(name, balance, term):
    problem, net, small = solved(name)
    law = problem.balances[balance]
    wrong = replace(law, **{term: lambda x, u: -law.terms()[term](x, u)})
    found = defects(replace(problem, balances={balance: wrong}), net)[balance]
    assert found.relative > max(1e-3, 10 * small)


# Known defects -------------------------------------------------------------------------------------------------------

FEW = Sampling(domain=10, boundary=10)
LINE, TIME = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 2)


def stating(geometry, balance, **fields):
    """A problem that is nothing but a balance."""
    return Problem(geometry=geometry, pde=lambda x, u: u, balances={"law": balance}, sampling=FEW, **fields)


def defect(geometry, balance, net, **options):
    return defects(stating(geometry, balance), net, **options)["law"]


@pytest.mark.parametrize(("factor", "wanted"), [(-1, 0), (1, 2), (0, 1), (-1.01, 0.01)])
def test_the_defect_of_a_decay(factor, wanted):
    """d/dt u²/2 = -u² for u = exp(-t): a factor of the rate that is not -1 leaves (1 + factor) (1 - exp(-2 T))."""
    law = Balance(lambda t, u: u**2 / 2, rate=lambda t, u: factor * u**2)
    found = defect(TIME, law, lambda t: torch.exp(-t))
    assert found.relative == pytest.approx(wanted * (1 - np.exp(-4)), abs=1e-14)
    assert found.quadrature < 1e-13
    assert wanted == 0 or found.time == 2


def test_a_jump_between_slabs_is_found():
    domain = dde.geometry.GeometryXTime(LINE, TIME)
    net = Slabs(1, domain)
    for value, end in ((1.0, 0.9), (0.97, 2.0)):
        net.add(net.make(end, 4, [1.0, 1.0], [(np.array([1.0]), np.empty(0), np.empty(0))] * 2), end)
        net.slabs[-1].linears[-1].weight.data.zero_()
        net.slabs[-1].linears[-1].bias.data.fill_(value)
    found = defect(domain, Balance(lambda x, u: u), net)
    assert found.relative == pytest.approx(0.03, rel=1e-12)
    assert found.time > 0.9 and found.quadrature < 1e-12


@pytest.mark.parametrize("diffusivity", [0.02, 0.021])
def test_fluxes_through_all_sides(diffusivity):
    """Heat in a rectangle, u = exp(-2 κ k² t) sin (kx + 0.3) sin (ky - 0.2), which is zero on no side."""
    k, true = 3.0, 0.02
    domain = dde.geometry.GeometryXTime(dde.geometry.Rectangle([0, -1], [2, 0.5]), TIME)

    def net(x):
        x, y, t = x[:, 0:1], x[:, 1:2], x[:, 2:3]
        return torch.exp(-2 * true * k**2 * t) * torch.sin(k * x + 0.3) * torch.sin(k * y - 0.2)

    def gradient(x, u):
        return dde.grad.jacobian(u, x, i=0)[:, :2]

    law = Balance(
        lambda x, u: u**2 / 2,
        rate=lambda x, u: -diffusivity * gradient(x, u).square().sum(1, keepdim=True),
        flux=lambda x, u: -diffusivity * u * gradient(x, u),
    )
    found = defect(domain, law, net, wavenumber=k)
    assert found.quadrature < 1e-11
    assert found.relative < 1e-14 if diffusivity == true else found.relative > 1e-2


def test_the_divergence_theorem_in_a_cuboid():
    """The flux (x²y, yz, xz³) has the divergence 2xy + z + 3xz²; its integral over [0, 1] × [0, 2] × [1, 2] is 12."""
    domain = dde.geometry.Cuboid([0, 0, 1], [1, 2, 2])

    def flux(x, u):
        x, y, z = x.split(1, 1)
        return torch.cat([x**2 * y, y * z, x * z**3], 1)

    def divergence(x, u):
        x, y, z = x.split(1, 1)
        return 2 * x * y + z + 3 * x * z**2

    assert defect(domain, Balance(rate=divergence, flux=flux), lambda x: x[:, :1]).relative < 1e-14
    found = balances._imbalances(stating(domain, Balance(flux=flux)), lambda x: x[:, :1], np.ones(3, int), [4, 4, 4])
    assert found["law"].values == pytest.approx([-12.0], rel=1e-14)


# Rules and their refinement ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_degree_and_order_of_the_rules(nodes):
    x, weights = balances._rule(-1, 2, 3, nodes)
    for degree in range(2 * nodes):
        assert weights @ x[:, 0] ** degree == pytest.approx((2 ** (degree + 1) - (-1) ** (degree + 1)) / (degree + 1))
    errors = []
    for panels in (4, 8):
        x, weights = balances._rule(-1, 2, panels, nodes)
        errors.append(abs(weights @ np.exp(3 * x[:, 0]) - (np.exp(6) - np.exp(-3)) / 3))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2 * nodes, abs=0.2)


@pytest.mark.parametrize("axis", [0, 1])
def test_order_in_space_and_in_time(axis):
    problem, net, _ = solved("heat_high_frequency_1d")
    errors = []
    for panels in (32, 64):
        nodes, number = np.array([16, 16]), np.array([8, 8])
        nodes[axis], number[axis] = 2, panels
        errors.append(abs(balances._imbalances(problem, net, number, nodes)["energy"].values[-1]))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.15)


def layer(x):
    return torch.tanh((x[:, :1] - 0.3) / 0.005)


# For u = tanh((x - x0) / w), w u' = 1 - u² and ∫ w u'² = [u - u³/3].
LAYER = Balance(rate=lambda x, u: 0.005 * dde.grad.jacobian(u, x) ** 2, flux=lambda x, u: u - u**3 / 3)


def test_a_layer_that_no_wavenumber_announces_is_resolved():
    found = defect(LINE, LAYER, layer)
    assert found.relative < 1e-12 and found.quadrature < 1e-12


def test_quadrature_that_is_not_fine_enough_says_so(monkeypatch):
    monkeypatch.setattr(balances, "MOST", 250)
    found = defect(LINE, LAYER, layer)
    assert 1e-6 < found.relative < 10 * found.quadrature


def test_the_first_panels_are_half_waves_within_the_bound(monkeypatch):
    domain = dde.geometry.GeometryXTime(LINE, TIME)
    problem = stating(domain, Balance(lambda x, u: u))
    assert balances._panels(problem, (8 * np.pi, 5 * np.pi)).tolist() == [8, 10]
    assert balances._panels(problem, (1.0, 1.0)).tolist() == [1, 4]
    assert balances._panels(problem, None).tolist() == [16, 16]
    monkeypatch.setattr(balances, "MOST", 12**2 * 20)
    assert balances._panels(problem, (8 * np.pi, 5 * np.pi)).tolist() == [4, 5]


def test_chunks_do_not_matter(monkeypatch):
    problem, net, _ = solved("reaction_diffusion_1d")
    before = defects(problem, net)
    monkeypatch.setattr(balances, "CHUNK", 77)
    for name, found in defects(problem, net).items():
        assert found.relative == pytest.approx(before[name].relative, abs=1e-15)


def test_a_tolerance_spares_refinement(monkeypatch):
    def count(tolerance):
        asked = []
        values = balances._values
        with monkeypatch.context() as patch:
            patch.setattr(balances, "_values", lambda p, n, t, x: asked.append(len(x)) or values(p, n, t, x))
            found = defects(stating(LINE, LAYER, tolerance=tolerance), layer)["law"]
        return sum(asked), found

    (few, rough), (many, fine) = count(1e-2), count(None)
    assert few < many and fine.quadrature < rough.quadrature < 1e-3


# What else may come --------------------------------------------------------------------------------------------------


def test_no_balances_no_defects():
    assert defects(load_problem("sine_sum_1d"), None) == {}


def test_zero_and_what_is_not_finite():
    law = Balance(lambda t, u: u)
    assert defect(TIME, law, lambda t: 0 * t).relative == 0
    assert defect(TIME, law, lambda t: t / 0).relative == np.inf
    assert defect(TIME, Balance(lambda t, u: 0 * u, rate=lambda t, u: u), lambda t: t).relative == np.inf


def test_float32():
    problem = load_problem("heat_high_frequency_1d", dtype="float32", m=7.3)
    exact = load_problem("heat_high_frequency_1d", m=7.3).solution
    set_precision("float32")
    found = defects(problem, lambda x: as_network(exact)(x))["energy"]
    assert 1e-10 < found.relative < 1e-5


def test_unknowns_are_taken_as_they_are():
    problem = load("damped_oscillator")
    net = as_network(problem.solution)
    assert defects(problem, net)["energy"].relative < 1e-13
    problem.unknowns["delta"].data.fill_(2.5)
    assert defects(problem, net)["energy"].relative > 0.1


def test_a_marched_solution_balances():
    """Burgers' equation with the front u = c - a tanh(a (x - c t) / (2 ν)): what is gained comes through the sides."""
    nu, a, c = 0.4, 0.8, 0.3
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 0.25))

    def pde(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in (0, 1))
        return u_t + u * u_x - nu * dde.grad.hessian(u, x, i=0, j=0)

    def front(x):
        return c - a * np.tanh(a * (x[:, 0:1] - c * x[:, 1:2]) / (2 * nu))

    problem = Problem(
        geometry=domain,
        pde=pde,
        conditions={
            "boundary": dde.icbc.DirichletBC(domain, front, lambda x, on_boundary: on_boundary),
            "initial": dde.icbc.IC(domain, front, lambda x, on_initial: on_initial),
        },
        solution=front,
        balances={"mass": Balance(lambda x, u: u, flux=lambda x, u: u**2 / 2 - nu * dde.grad.jacobian(u, x, j=0))},
    )
    result = solve(problem, method="marching", method_options={"marching": {"tolerance": 1e-5}}, progress=False)
    found = defects(problem, result.net, result.wavenumber)["mass"]
    assert result.network == "repnet-slabs"
    assert found.relative < 30 * result.errors.relative_l2 < 1e-4


@pytest.mark.parametrize("wavenumber", [-1, 0, np.nan, (1, 2, 3), "high"])
def test_a_wavenumber_that_cannot_be_used(wavenumber):
    with pytest.raises(InputError, match="^wavenumber: .*> 0"):
        defects(load_problem("wave_two_mode_1d"), None, wavenumber)
