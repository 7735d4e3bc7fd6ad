"""Low rank: its Jacobian, its steps, problems with known solutions, and what it refuses."""

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import Problem, load_problem, resume, solve
from repnet_pde.discretization.objective import Objective
from repnet_pde.errors import InputError
from repnet_pde.methods.low_rank import LowRank, _System
from repnet_pde.networks.product import ProductRepNet
from repnet_pde.planning.automatic import automatic_method, low_rank_converges
from repnet_pde.problem.points import collocation
from repnet_pde.problem.residuals import residual_vectors

PI = np.pi


@pytest.fixture(autouse=True)
def float64():
    repnet_pde.set_precision("float64")


def poisson(solution, laplacian, dim=3, wavenumber=PI, extra=lambda u: 0 * u):
    """−Δu + extra(u) = f on the unit cube for a NumPy solution and its Laplacian."""
    cube = dde.geometry.Hypercube([0] * dim, [1] * dim)

    def pde(x, u):
        exact = torch.as_tensor(solution(x.detach().numpy()))
        source = -torch.as_tensor(laplacian(x.detach().numpy())) + extra(exact)
        return -sum(dde.grad.hessian(u, x, i=i, j=i) for i in range(dim)) + extra(u) - source

    boundary = dde.icbc.DirichletBC(cube, solution, lambda x, on: on)
    return Problem(geometry=cube, pde=pde, conditions={"boundary": boundary}, solution=solution, wavenumber=wavenumber)


def product(x):
    return np.sin(3 * x[:, :1]) * np.exp(x[:, 1:2]) * np.cos(2 * x[:, 2:3])


def system(problem, products=2, seed=0):
    torch.manual_seed(seed)
    net = ProductRepNet(
        [problem.dim, 9, products, len(problem.outputs)], domain=problem.box, wavenumber=[4.0] * problem.dim
    )
    net.apply_output_transform(problem.output_transform) if problem.output_transform else None
    data = collocation(problem, few=60)
    made = _System(problem, net, data).load()
    made.rescale()
    return made


# The rows -------------------------------------------------------------------------------------------------------------


def test_residuals_are_those_of_the_network():
    made = system(load_problem("kovasznay_2d"), products=6)
    made.store()
    found = [v.detach().reshape(-1) for v in residual_vectors(made.data, made.net)]
    for mine, theirs in zip(made._raw(made.jet()), found, strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-10 * theirs.abs().max().clamp_min(1))


@pytest.mark.parametrize(
    "name", ["kovasznay_2d", "heat_multiscale_2d", "poisson_nonlinear_2d", "poisson_multiscale_4d"]
)
def test_the_jacobian_is_that_of_finite_differences(name):
    made = system(load_problem(name), products=3)
    axes = range(len(made.tables))
    _, rows = made._dense(axes)
    direction = [torch.randn_like(c) for c in made.c]
    before, step, sides = made.c, 1e-6, []
    for sign in (1, -1):
        made.c = [c + sign * step * d for c, d in zip(before, direction, strict=True)]
        sides.append(made.residual())
    wanted = (sides[0] - sides[1]) / (2 * step)
    found = rows @ torch.cat([d.reshape(-1) for d in direction])
    assert torch.allclose(found, wanted, rtol=0, atol=1e-7 * wanted.abs().max())


def test_balancing_and_storing_leave_the_function():
    made = system(load_problem("heat_multiscale_2d"), products=3)
    x = made.x[:20]
    before = made.net(x)
    made.balance()
    sizes = torch.stack([v[0].square().mean(0).sqrt() for v in made.values()])
    assert torch.allclose(sizes, sizes[:1].expand_as(sizes))
    made.store()
    assert torch.allclose(made.net(x), before, rtol=0, atol=1e-12 * before.abs().max().item())


def test_no_step_raises_the_residual():
    made = system(load_problem("poisson_multiscale_4d"), products=3)
    damping, norms = 1e-6 * made.trace(), [made.norm()]
    for _ in range(5):
        damping, _ = made.improve(damping)
        norms.append(made.norm())
    made.polish()
    norms.append(made.norm())
    assert all(b <= a * (1 + 1e-12) for a, b in zip(norms[:-1], norms[1:], strict=True)) and norms[-1] < norms[0]


# Problems -------------------------------------------------------------------------------------------------------------


def test_one_product_is_found_to_many_digits():
    problem = poisson(product, lambda x: (-9 + 1 - 4) * product(x), wavenumber=4.0)
    result = solve(problem, method="low-rank", progress=False)
    assert result.errors.relative_l2 < 1e-10
    assert result.check.status == "converged" and result.network == "repnet-product"
    assert result.errors.relative_l2 < 10 * result.check.error_indicator < 1e-8


def test_sums_are_found_and_more_products_leave_less():
    def solution(x):
        return np.sin(PI * x.sum(1, keepdims=True))

    problem = poisson(solution, lambda x: -3 * PI**2 * solution(x))
    errors = [
        solve(
            problem, method="low-rank", method_options={"low-rank": {"most_products": n}}, progress=False
        ).errors.relative_l2
        for n in (1, 5)
    ]
    assert errors[0] > 0.1 and errors[1] < 1e-4


def test_a_nonlinear_problem():
    problem = poisson(product, lambda x: -12 * product(x), wavenumber=4.0, extra=lambda u: u**3)
    assert solve(problem, method="low-rank", progress=False).errors.relative_l2 < 1e-9


def test_systems_have_products_for_each_output():
    problem = load_problem("kovasznay_2d")
    options = {"low-rank": {"most_products": 2}}
    result = solve(problem, method="low-rank", method_options=options, iterations=25, progress=False)
    assert result.net.products in (3, 6)
    layer = result.net.last.weight
    assert ((layer == 0) | (layer == 1)).all() and (layer.sum(0) == 1).all()


def test_heat_with_many_waves_is_chosen_and_solved_by_itself():
    problem = load_problem("heat_multiscale_2d", m=12)
    assert automatic_method(problem, None, None)[0] == "low-rank"
    assert solve(problem, progress=False).errors.relative_l2 < 1e-9


def test_what_is_no_sum_of_few_products_is_left_to_others():
    def waves(x):
        return sum(np.sin(9 * PI * (x @ v[:, None])) for v in np.random.default_rng(0).normal(size=(30, 3)))

    def laplacian(x):
        vectors = np.random.default_rng(0).normal(size=(30, 3))
        return sum(-((9 * PI) ** 2) * (v @ v) * np.sin(9 * PI * (x @ v[:, None])) for v in vectors)

    assert not low_rank_converges(poisson(waves, laplacian, wavenumber=30 * PI))


def test_stopped_and_resumed_is_not_stopped(tmp_path, stopped_after):
    problem = load_problem("heat_multiscale_2d", m=2)
    whole = solve(problem, method="low-rank", iterations=30, out=tmp_path / "whole", progress=False)
    with stopped_after(3):
        part = solve(problem, method="low-rank", iterations=30, out=tmp_path / "part", progress=False)
    assert not part.finished
    found = resume(tmp_path / "part", progress=False)
    assert found.iterations == whole.iterations
    x = torch.rand(50, 3, dtype=torch.float64)
    assert torch.allclose(found.net(x), whole.net(x), rtol=0, atol=1e-12)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "repnet-sin"}, "low-rank needs 'repnet-product'"),
        ({"network_options": {"layers": [20, 1], "slow": 5}}, "without slow sines"),
        ({"method_options": {"low-rank": {"most_products": 0}}}, "most_products: 0 given"),
        ({"method_options": {"low-rank": {"most_products": None}}}, "most_products: None given"),
        ({"method_options": {"low-rank": {"tolerance": 2}}}, "tolerance: 2 given"),
    ],
)
def test_bad_settings(changes, said):
    with pytest.raises(InputError, match=said):
        solve(load_problem("heat_multiscale_2d", m=2), **{"method": "low-rank", "progress": False} | changes)


def test_problems_that_it_cannot_solve():
    with pytest.raises(InputError, match="without unknowns"):
        solve(load_problem("heat_coefficient_2d"), method="low-rank", progress=False)
    problem = load_problem("heat_multiscale_2d", m=2)
    net = ProductRepNet([3, 9, 1, 1], domain=problem.box)
    objective = Objective(collocation(problem, few=20), net, [], problem.term_names, {}, problem)
    assert LowRank(objective, 0).stopped == "all iterations done"
