"""Patching: the coupled least squares against dense ones, the network, and problems with known solutions."""

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import Interface, Problem, load_problem, solve
from repnet_pde.errors import InputError
from repnet_pde.linalg.condensed import Block, condense, couple
from repnet_pde.methods.subdomains.continuity import matched
from repnet_pde.methods.subdomains.points import Face
from repnet_pde.networks.patches import Patches
from repnet_pde.planning.automatic import automatic_method

PI = np.pi


@pytest.fixture(autouse=True)
def float64():
    repnet_pde.set_precision("float64")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The coupled least squares -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs", [[(0, 1), (1, 2), (2, 3)], [(0, 1), (1, 2), (2, 3), (0, 3), (1, 3)], [(0, 2), (1, 3)]]
)
def test_coupling_is_least_squares_of_all_rows(pairs):
    sizes = [3, 5, 2, 4]
    starts = np.cumsum([0, *sizes])
    blocks = [Block((i,), random(n + 1, n, seed=i), random(n + 1, seed=10 + i)) for i, n in enumerate(sizes)]
    blocks += [Block(p, random(4, sizes[p[0]] + sizes[p[1]], seed=20 + k), random(4)) for k, p in enumerate(pairs)]
    blocks += [Block((pairs[0][1], pairs[0][0]), random(3, sizes[pairs[0][0]] + sizes[pairs[0][1]]), random(3, seed=1))]
    matrix = torch.zeros(sum(len(b.right) for b in blocks), starts[-1], dtype=torch.float64)
    row = 0
    for block in blocks:
        column = 0
        for p in block.patches:
            matrix[row : row + len(block.right), starts[p] : starts[p + 1]] = block.matrix[
                :, column : column + sizes[p]
            ]
            column += sizes[p]
        row += len(block.right)
    wanted = torch.linalg.lstsq(matrix, torch.cat([b.right for b in blocks])[:, None]).solution[:, 0]
    assert torch.allclose(torch.cat(couple(sizes, blocks)), wanted, rtol=0, atol=1e-12)


def test_what_no_row_determines_is_zero():
    found = couple([1, 2], [Block((0,), random(1, 1), random(1))])
    assert found[0].abs() > 0 and not found[1].any()


def test_a_condensed_patch_keeps_its_own_rows_and_its_traces():
    own, traces = random(30, 12), random(9, 12, seed=1)
    c = random(12, seed=2)
    own[:, :] = own @ torch.diag(torch.tensor([1.0] * 8 + [1e-6] * 4, dtype=torch.float64))
    found = condense(own, own @ c, traces)
    y = random(found.free.shape[1], seed=3)
    assert torch.allclose(traces @ found.coefficients(y), found.traces @ y + found.offset, rtol=0, atol=1e-10)
    # with the y that the traces of c ask for the patch is c again
    y = torch.linalg.lstsq(
        torch.cat([found.traces, found.rows]), torch.cat([traces @ c - found.offset, found.right])[:, None]
    ).solution[:, 0]
    assert torch.allclose(found.coefficients(y), c, rtol=0, atol=1e-8)


# The network ---------------------------------------------------------------------------------------------------------


def near(a, b):
    """Equal but for the rounding of products of other sizes."""
    return torch.allclose(a, b, rtol=1e-12, atol=1e-12)


def two_patches():
    net = Patches(2, ([0.0, -1.0], [2.0, 1.0]))
    for seed, (low, high) in enumerate([(0.0, 0.5), (0.5, 2.0)]):
        torch.manual_seed(seed)
        patch = net.make(np.array([low, -1.0]), np.array([high, 1.0]), 20, 5.0)
        patch.linears[-1].weight.data.normal_()
        net.add(patch, np.array([low, -1.0]), np.array([high, 1.0]))
    return net


def test_a_point_belongs_to_its_patch():
    net = two_patches()
    x = torch.tensor([[0.2, 0.3], [0.5, 0.9], [1.7, -1.0], [3.0, 0.0]], dtype=torch.float64)
    assert net.which(x).tolist() == [0, 0, 1, -1]
    u = net(x)
    assert near(u[:2], net.patches[0](x[:2])) and near(u[2:3], net.patches[1](x[2:3]))
    assert near(u[3:], net.patches[1](torch.tensor([[2.0, 0.0]], dtype=torch.float64)))  # moved to the domain


def test_derivatives_at_the_edge_of_the_domain_are_those_of_the_patch():
    net = two_patches()
    x = torch.tensor([[0.0, 1.0], [2.0, -1.0]], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(net(x)[:, 0].sum(), x)
    (first,) = torch.autograd.grad(net.patches[0](x[:1])[:, 0].sum(), x)
    (second,) = torch.autograd.grad(net.patches[1](x[1:])[:, 0].sum(), x)
    assert near(found, first + second)


def test_the_state_makes_the_patches():
    net, other = two_patches(), Patches(2, ([0.0, -1.0], [2.0, 1.0]))
    other.load_state_dict(net.state_dict())
    x = torch.rand(50, 2, dtype=torch.float64) * torch.tensor([2.0, 2.0]) - torch.tensor([0.0, 1.0])
    assert len(other) == 2 and torch.equal(net(x), other(x))
    assert not Patches(1, ([0.0], [1.0]))(torch.rand(3, 1, dtype=torch.float64)).any()


# Problems ------------------------------------------------------------------------------------------------------------


def holed(kind="robin"):
    """−Δu + u = f on a square without a disc, another condition on each part of the boundary; u = sin 5x cos 4y."""
    plate = dde.geometry.CSGDifference(dde.geometry.Rectangle([0, 0], [2, 1]), dde.geometry.Disk([0.7, 0.5], 0.25))

    def pde(x, u):
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return -laplacian + u - 42 * torch.sin(5 * x[:, 0:1]) * torch.cos(4 * x[:, 1:2])

    def solution(x):
        return np.sin(5 * x[:, 0:1]) * np.cos(4 * x[:, 1:2])

    def slope(x):
        return 5 * np.cos(5 * x[:, 0:1]) * np.cos(4 * x[:, 1:2])

    def at_right(x, on_boundary):
        return on_boundary and bool(np.isclose(x[0], 2))

    return Problem(
        geometry=plate,
        pde=pde,
        conditions={
            "right": dde.icbc.RobinBC(plate, lambda x, u: torch.as_tensor(slope(x) + solution(x)) - u, at_right),
            "rest": dde.icbc.DirichletBC(plate, solution, lambda x, on: on and not at_right(x, on)),
        },
        solution=solution,
        wavenumber=9,
    )


def layer():
    """−ε² u″ + u = 1 with layers at both ends, of which the problem says nothing."""
    line, epsilon = dde.geometry.Interval(-1, 1), 0.005
    return Problem(
        geometry=line,
        pde=lambda x, u: -(epsilon**2) * dde.grad.hessian(u, x) + u - 1,
        conditions={"ends": dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on_boundary: on_boundary)},
        solution=lambda x: 1 - (np.exp((x - 1) / epsilon) + np.exp((-x - 1) / epsilon)) / (1 + np.exp(-2 / epsilon)),
    )


def hard():
    """u_t = u_xx / π² with the boundary and initial values built in."""
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    return Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) - dde.grad.hessian(u, x, i=0, j=0) / PI**2,
        output_transform=lambda x, u: torch.sin(PI * x[:, 0:1]) + x[:, 1:2] * x[:, 0:1] * (1 - x[:, 0:1]) * u,
        solution=lambda x: np.exp(-x[:, 1:2]) * np.sin(PI * x[:, 0:1]),
        wavenumber=(9, 5),
    )


@pytest.mark.parametrize(
    ("problem", "goal"),
    [
        (lambda: load_problem("helmholtz_2d"), 1e-10),
        (lambda: load_problem("klein_gordon_1d"), 1e-9),
        (lambda: load_problem("advection_1d", speed=7.3), 1e-10),
        (lambda: load_problem("elliptic_layered_2d", m=2), 1e-9),
        (holed, 1e-9),
        (layer, 1e-9),
        (hard, 1e-9),
    ],
    ids=["oscillating", "nonlinear", "periodic", "interfaces", "holed", "layer", "hard constraint"],
)
def test_solutions(problem, goal):
    problem = problem()
    result = solve(problem, method="patching", progress=False)
    assert result.network == "repnet-patches" and result.finished
    assert result.errors.relative_l2 < goal
    assert result.status == "converged", result.check.reason
    assert len(result.net) > 1


def test_layers_are_found_by_refinement():
    widths = []
    for problem in (layer(), layer()):
        result = solve(problem, method="patching", progress=False)
        bounds = result.net.bounds[:, :, 0].numpy()
        widths.append(np.diff(bounds, axis=1)[:, 0])
        ends = np.abs(bounds).max(1) == 1
        assert widths[-1][ends].max() < 0.2 * widths[-1][~ends].max()
    assert np.array_equal(*widths)


def test_systems_keep_what_their_orders_ask_for():
    """First order in p, second in u and v: p is continuous, the others with their slopes."""
    problem = load_problem("kovasznay_2d")
    with repnet_pde.backend.seeded(0):
        data = repnet_pde.problem.points.collocation(problem, few=30)
    indices = repnet_pde.discretization.jets.needed_orders(problem, "patching", data)
    terms = repnet_pde.discretization.jets.term_jets(
        data,
        problem.term_names,
        torch.as_tensor(data.train_x),
        torch.rand(len(data.train_x), len(indices), 3, dtype=torch.float64),
        indices,
    )
    orders = repnet_pde.discretization.jets.highest(terms[: len(problem.residual_names)], indices)
    face = Face((0, 1), 1, torch.rand(3, 2, dtype=torch.float64))
    found = [(which[-1], int(torch.nonzero(a[0, -1]))) for which, (a, _) in matched(problem, face, orders, None)]
    assert sorted(found) == [((0, 0), 0), ((0, 0), 1), ((0, 0), 2), ((0, 1), 0), ((0, 1), 1)]


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, stopped_after):
    whole = solve(layer(), method="patching", progress=False)
    text = f"""
import sys
sys.path.insert(0, {str(repr(str(__file__.rsplit("/", 1)[0])))})
from test_patching import layer as problem
"""
    file = tmp_path / "layer.py"
    file.write_text(f'"""Layers."""\n{text}')
    problem = load_problem(str(file))
    with stopped_after(1):
        part = solve(problem, method="patching", progress=False, out=tmp_path / "run")
    assert not part.finished
    done = repnet_pde.resume(tmp_path / "run", progress=False)
    x = np.linspace(-1, 1, 101)[:, None]
    assert done.finished and np.array_equal(done.predict(x), whole.predict(x))


def test_too_few_patches_are_said():
    result = solve(layer(), method="patching", method_options={"patching": {"most_patches": 3}}, progress=False)
    assert "more than 3 would be needed" in result.stopped
    assert result.status == "not converged"


def test_who_is_patched_by_default():
    assert automatic_method(load_problem("helmholtz_2d"), None, None)[0] == "least-squares"
    assert automatic_method(load_problem("helmholtz_2d", kappa=24 * PI), None, None)[0] == "patching"
    assert automatic_method(load_problem("helmholtz_2d", kappa=24 * PI), "repnet-sin", None)[0] == "least-squares"
    assert automatic_method(load_problem("heat_high_frequency_1d", m=500), None, None)[0] == "least-squares"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "repnet"}, "network: repnet given with the method patching; patching and patch-marching need"),
        ({"network_options": {"layers": [5]}}, "layers: given, but repnet-patches chooses"),
        ({"method_options": {"patching": {"tolerance": 0}}}, "tolerance: 0 given"),
        ({"method_options": {"patching": {"most_patches": 0.5}}}, "most_patches: 0.5 given"),
    ],
)
def test_bad_options_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        solve(load_problem("helmholtz_2d"), **{"method": "patching", "progress": False} | arguments)


def two_media(**changes):
    """−(a u′)′ = 0, a = 1 left and 3 right of 1/4, u(0) = 0, u(1) = 1."""
    line = dde.geometry.Interval(0, 1)

    def a(x):
        return torch.where(x < 0.25, 1.0, 3.0)

    given = {"axis": 0, "at": 0.25, "flux": lambda x, u: a(x) * dde.grad.jacobian(u, x)} | changes
    return Problem(
        geometry=line,
        pde=lambda x, u: a(x) * dde.grad.hessian(u, x),
        conditions={"ends": dde.icbc.DirichletBC(line, lambda x: x, lambda x, on_boundary: on_boundary)},
        interfaces=[Interface(**given)],
    )


def test_the_flux_is_continuous_across_an_interface():
    problem = two_media()
    assert automatic_method(problem, None, None)[0] == "patching"
    x = np.array([[0.1], [0.25], [0.7]])
    u = solve(problem, progress=False).predict(x)
    assert np.allclose(u[:, 0], np.where(x < 0.25, 2 * x, 0.5 + (x - 0.25) * 2 / 3)[:, 0], rtol=0, atol=1e-12)


def test_no_other_method_knows_interfaces():
    with pytest.raises(InputError, match="method: least-squares given, but the problem has interfaces"):
        solve(two_media(), method="least-squares", progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": 1}, r"interfaces\[0\].axis: 1 given; one of 0 is needed"),
        ({"at": 1.0}, r"interfaces\[0\].at: 1 given; a place between 0 and 1"),
        ({"at": "middle"}, r"interfaces\[0\].at: 'middle' given"),
        ({"flux": lambda x: x}, r"interfaces\[0\].flux: must be callable"),
        ({"flux": lambda x, u: u**2}, "is not linear in u"),
        ({"flux": lambda x, u: u[:, 0]}, r"gave .* for 12 points; \(12, 1\) is needed"),
        ({"flux": lambda x, u: 1 / 0}, "raised ZeroDivisionError"),
    ],
)
def test_bad_interfaces_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        two_media(**changes)


def test_what_cannot_be_patched_is_said():
    for problem in (load_problem("damped_oscillator"), load_problem("sine_sum_1d")):
        with pytest.raises(InputError, match="patching needs a problem with equations"):
            solve(problem, method="patching", progress=False)
