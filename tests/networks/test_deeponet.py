"""RepDeepONet as DeepXDE networks: the formula, the parameters, DeepXDE's own training, and bad arguments."""

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import InputError, RepDeepONet, RepDeepONetCartesianProd, RepNet
from repnet_pde.backend import quiet
from repnet_pde.operators import antiderivative

TRUNK = {"domain": (0.0, 1.0), "wavenumber": 20.0, "first_activation": "sin"}
SINE_BRANCH = {"branch": {"first_activation": "sin", "slope_scale": 3.0}}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    np.random.seed(0)


def moved(net):
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


def by_hand(net, x, first):
    """A RepNet or FNN with tanh, from its parameters alone."""
    if isinstance(net, RepNet):
        w, b = net.linear_equivalent()
        x = first(x @ w.T + b)
    for linear in net.linears[:-1]:
        x = torch.tanh(x @ linear.weight.T + linear.bias)
    return x @ net.linears[-1].weight.T + net.linears[-1].bias


@pytest.mark.parametrize("options", [{}, SINE_BRANCH], ids=["ordinary branch", "RepNet branch"])
def test_both_networks_are_their_formula(options):
    v, x = torch.rand(7, 5), torch.rand(7, 2)
    arguments = ([5, 11, 6], [2, 13, 9, 6], "tanh", "Glorot normal")
    pairs = moved(RepDeepONet(*arguments, **TRUNK, **options))
    product = moved(RepDeepONetCartesianProd(*arguments, **TRUNK, **options))
    product.load_state_dict(pairs.state_dict())
    b, t = by_hand(pairs.branch, v, torch.sin), torch.tanh(by_hand(pairs.trunk, x, torch.sin))
    torch.testing.assert_close(pairs((v, x)), (b * t).sum(1, keepdim=True) + pairs.b[0])
    torch.testing.assert_close(product((v, x)), b @ t.T + pairs.b[0])


@pytest.mark.parametrize(
    "strategy, branch, trunk",
    [
        ("independent", 6, 6),
        (None, 6, 6),
        ("split_both", 6, 6),
        ("split_branch", 12, 6),
        ("split_trunk", 6, 12),
    ],
)
def test_several_outputs_as_deepxde_has_them(strategy, branch, trunk):
    """The same as DeepXDE's own network with the equivalent first layers."""
    sizes = [5, 7, branch], [1, 8, trunk]
    net = moved(RepDeepONetCartesianProd(*sizes, "tanh", "He normal", 2, strategy, domain=(0.0, 1.0)))
    with quiet():
        theirs = dde.nn.DeepONetCartesianProd(*sizes, "tanh", "He normal", 2, strategy)
    with torch.no_grad():
        theirs.branch.load_state_dict(net.branch.state_dict())
        trunks = [(net.trunk, theirs.trunk)] if not isinstance(net.trunk, torch.nn.ModuleList) else None
        for ours, other in trunks or zip(net.trunk, theirs.trunk, strict=True):
            weight, bias = ours.linear_equivalent()
            other.linears[0].weight.copy_(weight)
            other.linears[0].bias.copy_(bias)
            other.linears[1].load_state_dict(ours.linears[0].state_dict())
        for ours, other in zip(net.b, theirs.b, strict=True):
            other.copy_(ours)
    inputs = torch.rand(4, 5), torch.rand(9, 1)
    assert net(inputs).shape == (4, 9, 2)
    torch.testing.assert_close(net(inputs), theirs(inputs))


def test_parameters_are_those_of_deepxde_and_the_ratios():
    sizes = [5, 11, 6], [2, 13, 9, 6]
    theirs = dde.nn.DeepONetCartesianProd(*sizes, "tanh", "Glorot normal").num_trainable_parameters()
    plain = RepDeepONetCartesianProd(*sizes, "tanh", "Glorot normal")
    both = RepDeepONetCartesianProd(*sizes, "tanh", "Glorot normal", **SINE_BRANCH)
    assert plain.num_trainable_parameters() == theirs + 13
    assert both.num_trainable_parameters() == theirs + 13 + 11
    assert isinstance(both.branch, RepNet) and not isinstance(plain.branch, RepNet)


def test_transforms_and_a_branch_of_ones_own():
    own = torch.nn.Linear(5, 6)
    net = RepDeepONetCartesianProd((5, own), [2, 8, 6], "tanh", "Glorot normal", domain=(-1, 1))
    v, x = torch.rand(3, 5), torch.rand(4, 1)
    net.apply_feature_transform(lambda x: torch.cat([torch.cos(x), torch.sin(x)], 1))
    net.apply_output_transform(lambda inputs, u: u * inputs[1][:, 0])
    features = torch.tanh(net.trunk(torch.cat([torch.cos(x), torch.sin(x)], 1)))
    torch.testing.assert_close(net((v, x)), (own(v) @ features.T + net.b[0]) * x[:, 0])
    assert net.branch is own


def trained(data, net, iterations=150, **options):
    with quiet():
        model = dde.Model(data, net)
        model.compile("adam", lr=5e-3, verbose=0)
        history, _ = model.train(iterations=iterations, display_every=iterations, verbose=0, **options)
    return sum(history.loss_train[0]), sum(history.loss_train[-1])


SIZES = [20, 24, 16], [1, 24, 16], "tanh", "Glorot normal"


@pytest.mark.parametrize("kind", ["triple", "cartesian"])
def test_drop_in_for_data(kind):
    data = antiderivative(20, 5, 20, 15, 0.3)
    network = RepDeepONet if kind == "triple" else RepDeepONetCartesianProd
    before, after = trained(getattr(data, kind)(), network(*SIZES, domain=(0.0, 1.0)), batch_size=10)
    assert after < 0.1 * before


@pytest.mark.parametrize("kind", ["PDEOperator", "PDEOperatorCartesianProd"])
def test_drop_in_for_physics_informed_operators(kind):
    """u' = v without any data of u."""
    line = dde.geometry.TimeDomain(0, 1)
    pde = dde.data.PDE(
        line,
        lambda x, u, v: dde.grad.jacobian(u, x) - v,
        dde.icbc.IC(line, lambda x: 0, lambda x, on_initial: on_initial),
        num_domain=10,
        num_boundary=2,
    )
    space = dde.data.PowerSeries(N=3)
    sensors = np.linspace(0, 1, 20)[:, None]
    network = RepDeepONet if kind == "PDEOperator" else RepDeepONetCartesianProd
    with quiet():
        data = getattr(dde.data, kind)(pde, space, sensors, 8, num_test=4)
    before, after = trained(data, network(*SIZES, domain=(0.0, 1.0)), 60)
    assert after < 0.3 * before


def test_registration_is_idempotent():
    before = {name: getattr(dde.nn, name, None) for name in ("RepNet", "RepDeepONet", "RepDeepONetCartesianProd")}
    try:
        for _ in range(2):
            repnet_pde.register()
            assert dde.nn.RepDeepONet is RepDeepONet
            assert dde.nn.RepDeepONetCartesianProd is RepDeepONetCartesianProd
        assert dde.nn.RepDeepONet(*SIZES)((torch.rand(3, 20), torch.rand(3, 1))).shape == (3, 1)
    finally:
        for name, value in before.items():
            if value is None:
                delattr(dde.nn, name)


BAD = {
    "no hidden layer in the trunk": (([5, 6], [1, 6], "tanh", "zeros"), {}, "layer_sizes: "),
    "widths": (([5, 7], [1, 8, 6], "tanh", "zeros"), {}, "its last width is 7; 6, as that of the trunk"),
    "split_branch": (([5, 6], [1, 8, 6], "tanh", "zeros", 2, "split_branch"), {}, "2 x 6"),
    "split_trunk": (([5, 6], [1, 8, 6], "tanh", "zeros", 2, "split_trunk"), {}, "6 / 2"),
    "split_both": (([5, 6], [1, 8, 6], "tanh", "zeros", 4, "split_both"), {}, "cannot be split among 4"),
    "strategy": (([5, 6], [1, 8, 6], "tanh", "zeros", 2, "split"), {}, "split_both"),
    "strategy for one": (([5, 6], [1, 8, 6], "tanh", "zeros", 1, "independent"), {}, "for one output"),
    "outputs": (([5, 6], [1, 8, 6], "tanh", "zeros", 0), {}, "num_outputs: 0"),
    "branch": (([], [1, 8, 6], "tanh", "zeros"), {}, "layer_sizes_branch: []"),
    "half sensors": (([2.5, 6], [1, 8, 6], "tanh", "zeros"), {}, "layer_sizes_branch: [2.5, 6]"),
    "activation": (([5, 6], [1, 8, 6], "tangent", "zeros"), {}, "activation: 'tangent'"),
    "activations": (([5, 6], [1, 8, 6], {"trunk": "tanh"}, "zeros"), {}, '"branch" and "trunk"'),
    "initializer": (([5, 6], [1, 8, 6], "tanh", "Glorot"), {}, "kernel_initializer: 'Glorot'"),
    "branch option": (([5, 4, 6], [1, 8, 6], "tanh", "zeros"), {"branch": {"slope": 1}}, "branch: 'slope'"),
    "branch options": (([5, 4, 6], [1, 8, 6], "tanh", "zeros"), {"branch": 3.0}, "branch: 3.0"),
    "domain": (([5, 4, 6], [1, 8, 6], "tanh", "zeros"), {"domain": (0, 0)}, "domain: "),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    arguments, options, message = BAD[name]
    with pytest.raises(InputError) as caught:
        RepDeepONet(*arguments, **options)
    assert message in str(caught.value)


def test_other_sensors_than_the_branch_has():
    net = RepDeepONetCartesianProd(*SIZES)
    with pytest.raises(InputError, match=r"inputs\[0\]: has shape \(3, 19\).*20 sensors"):
        net((torch.rand(3, 19), torch.rand(4, 1)))
    with pytest.raises(InputError, match="inputs: a tuple"):
        net(torch.rand(3, 20))
