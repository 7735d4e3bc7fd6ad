"""RepNet as a DeepXDE network: its formula, its parameters, and DeepXDE's own training with it."""

import subprocess
import sys

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import RepNet
from repnet_pde.backend import quiet, set_precision
from repnet_pde.errors import InputError
from repnet_pde.networks.slopes import FIRST_ACTIVATIONS

BOXES = {
    1: (np.array([100.0]), np.array([101.5])),
    2: (np.array([-1.0, 1000.0]), np.array([3.0, 1000.1])),
    3: (np.array([0.0, 0.0, -5.0]), np.array([1e-3, 1.0, 5.0])),
    4: (np.array([-1.0, 0.0, 5.0, 2.0]), np.array([1.0, 1.0, 9.0, 3.0])),
}


@pytest.fixture(autouse=True)
def float64_and_seed():
    set_precision("float64")
    torch.manual_seed(0)
    np.random.seed(0)
    yield
    set_precision("float32")


@pytest.fixture(autouse=True)
def registered_only_when_asked():
    yield
    if hasattr(dde.nn, "RepNet"):
        del dde.nn.RepNet


def points(d, n=50):
    lower, upper = BOXES[d]
    return torch.as_tensor(lower + (upper - lower) * np.random.rand(n, d), dtype=torch.get_default_dtype())


def moved(net):
    """The network after every parameter has changed, so that nothing holds only at the start."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


# The layer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("first", FIRST_ACTIVATIONS)
def test_first_layer_is_its_formula(d, first):
    net = moved(RepNet([d, 40, 1], domain=BOXES[d], slope_scale=(2.0, 9.0), first_activation=first))
    x = points(d)
    lower, upper = (torch.as_tensor(v) for v in BOXES[d])
    x_hat = 2 * (x - lower) / (upper - lower) - 1
    layer = net.first
    z = layer.slope_scale * layer.ratio * (x_hat @ layer.direction.T - layer.offset) * layer.feature_scale
    torch.testing.assert_close(layer(x), z, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("d", [1, 4])
def test_linear_equivalent_is_the_forward_pass(d, dtype, tolerance):
    set_precision(dtype)
    net = moved(RepNet([d, 64, 32, 2], domain=BOXES[d], slope_scale=5.0))
    x = points(d)
    weight, bias = net.linear_equivalent()
    assert weight.dtype == bias.dtype == x.dtype
    # The sum is cancelled in b when the box is far from the origin, which float32 feels.
    size = (x.abs() @ weight.abs().T + bias.abs()).max()
    assert (x @ weight.T + bias - net.first(x)).abs().max() <= tolerance * size


def test_layer_keeps_its_digits_far_from_the_origin():
    """In float32 W x + b would cancel to a few digits; the layer subtracts the centre first."""
    set_precision("float32")
    torch.manual_seed(3)
    far = RepNet([1, 32, 1], domain=(1e4, 1e4 + 16), slope_scale=50.0)
    torch.manual_seed(3)
    near = RepNet([1, 32, 1], domain=(0, 16), slope_scale=50.0)
    x = torch.arange(0.0, 16.25, 0.25)[:, None]
    torch.testing.assert_close(far(x + 1e4), near(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sin"])
def test_equals_fnn_with_the_equivalent_first_layer(activation):
    net = moved(RepNet([2, 30, 20, 10, 3], activation, "He uniform", domain=([0, -1], [2, 1]), slope_scale=4.0))
    fnn = dde.nn.FNN([2, 30, 20, 10, 3], activation, "Glorot normal")
    with torch.no_grad():
        weight, bias = net.linear_equivalent()
        fnn.linears[0].weight.copy_(weight)
        fnn.linears[0].bias.copy_(bias)
        for ours, theirs in zip(net.linears, list(fnn.linears)[1:], strict=True):
            theirs.load_state_dict(ours.state_dict())
    x = torch.rand(60, 2)
    torch.testing.assert_close(net(x), fnn(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_partition_points_lie_on_their_hyperplanes(d):
    net = moved(RepNet([d, 50, 1], domain=BOXES[d], slope_scale=3.0))
    p = torch.as_tensor(net.partition_points())
    assert p.shape == (50, d)
    assert net.first(p).diagonal().abs().max() < 1e-8


@pytest.mark.parametrize("stretch", [None, "ratio"])
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_every_hyperplane_starts_through_the_box(d, stretch):
    stretch = None if stretch is None else np.geomspace(1, 0.1, d)
    lower, upper = BOXES[d]
    p = RepNet([d, 200, 1], domain=(lower, upper), slope_scale=3.0, stretch=stretch).partition_points()
    assert (p >= lower).all() and (p <= upper).all()
    # Evenly: every half of every axis holds half of them, give or take a few.
    assert np.abs((p < (lower + upper) / 2).mean(axis=0) - 0.5).max() < 0.03


def test_partition_points_are_an_even_grid_in_1d():
    p = np.sort(RepNet([1, 10, 1], domain=(0, 1), slope_scale=3.0).partition_points().ravel())
    np.testing.assert_allclose(p, np.arange(0.05, 1, 0.1))


def test_slopes_are_the_gradient_along_the_direction():
    net = RepNet([3, 40, 1], domain=(-1, 1), slope_scale=(1.0, 50.0))
    np.testing.assert_allclose(np.sort(net.slopes()), np.geomspace(1, 50, 40))
    moved(net)
    jacobian = torch.func.jacrev(net.first)(torch.zeros(1, 3))[0, :, 0]
    np.testing.assert_allclose(net.slopes(), jacobian.norm(dim=1).detach(), rtol=1e-12)


def test_slopes_one_per_neuron_and_stretch():
    given = np.arange(1.0, 21.0)
    plain = RepNet([2, 20, 1], slope_scale=given)
    np.testing.assert_allclose(plain.slopes(), given)
    torch.manual_seed(5)
    one = RepNet([2, 20, 1], slope_scale=given)
    torch.manual_seed(5)
    other = RepNet([2, 20, 1], slope_scale=given, stretch=(1.0, 0.25))
    torch.testing.assert_close(other.first.direction, one.first.direction * torch.tensor([1.0, 0.25]))


def test_ratio_scales_the_slope_and_leaves_the_partition_point():
    net = RepNet([1, 20, 1], domain=(0, 1), slope_scale=100.0)
    before = net.partition_points()
    with torch.no_grad():
        net.first.ratio.mul_(1.01)
    np.testing.assert_allclose(net.slopes(), 101.0)
    np.testing.assert_array_equal(net.partition_points(), before)


# What is trained -------------------------------------------------------------------------------------------------


def test_only_the_intended_tensors_are_parameters():
    net = RepNet([2, 8, 6, 1], "relu", domain=(0, 1), slope_scale=2.0)
    trained = {"first.direction", "first.offset", "first.ratio"}
    trained |= {f"linears.{i}.{name}" for i in (0, 1) for name in ("weight", "bias")}
    fixed = {f"first.{name}" for name in ("slope_scale", "anchor", "center", "half_width", "feature_scale")}
    assert {name for name, _ in net.named_parameters()} == trained
    assert {name for name, _ in net.named_buffers()} == fixed
    before = {name: b.clone() for name, b in net.named_buffers()}
    net.requires_grad_(False)
    net.requires_grad_(True)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    start = {name: p.detach().clone() for name, p in net.named_parameters()}
    for _ in range(2):  # a bias that no gradient reaches at first may need two
        optimizer.zero_grad()
        net(torch.rand(30, 2)).square().mean().backward()
        optimizer.step()
    assert all(torch.equal(b, before[name]) and not b.requires_grad for name, b in net.named_buffers())
    assert all(not torch.equal(p, start[name]) for name, p in net.named_parameters())


def test_relu_features_start_of_order_one():
    for slope in (1.0, 300.0):
        net = RepNet([2, 512, 1], "relu", domain=(5, 6), slope_scale=slope)
        features = torch.relu(net.first(5 + torch.rand(500, 2)))
        assert 0.8 < features.square().mean().sqrt() < 1.2


def test_seed_decides_everything():
    def make(seed):
        torch.manual_seed(seed)
        return RepNet([2, 30, 10, 1], slope_scale=(1.0, 5.0)).state_dict()

    one, same, other = make(1), make(1), make(2)
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["first.direction"], other["first.direction"])
    assert not torch.equal(one["linears.0.weight"], other["linears.0.weight"])


def test_state_dict_round_trip(tmp_path):
    net = moved(RepNet([2, 30, 1], "relu", domain=([0, 3], [1, 4]), slope_scale=(1.0, 5.0)))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    torch.manual_seed(9)
    other = RepNet([2, 30, 1], "relu", slope_scale=2.0)  # another start, even another domain
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    x = torch.rand(20, 2)
    assert torch.equal(net(x), other(x))
    np.testing.assert_array_equal(net.partition_points(), other.partition_points())


# What FNN accepts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["elu", "gelu", "relu", "selu", "sigmoid", "silu", "sin", "swish", "tanh", "Gaussian"])
def test_activation_names(name):
    net = RepNet([1, 10, 10, 1], name, slope_scale=2.0)
    expected = name.lower() if name.lower() in FIRST_ACTIVATIONS else "tanh"
    assert net.first_activation == expected
    assert torch.isfinite(net(torch.rand(5, 1))).all()


def test_activation_list_function_and_laaf():
    by_list = RepNet([1, 10, 8, 6, 1], ["relu", "tanh", "sin", "tanh"], slope_scale=2.0)
    assert by_list.first_activation == "relu"
    assert [f(torch.tensor(2.0)).item() for f in by_list.activation] == pytest.approx([np.tanh(2), np.sin(2)])
    by_function = RepNet([1, 10, 8, 1], lambda z: 3 * z, slope_scale=2.0)
    h = torch.tanh(by_function.first(torch.ones(1, 1)))
    torch.testing.assert_close(by_function(torch.ones(1, 1)), by_function.linears[1](3 * by_function.linears[0](h)))
    laaf = RepNet([1, 10, 8, 1], "LAAF-10 tanh", slope_scale=2.0)
    assert torch.isfinite(laaf(torch.ones(1, 1))).all()


@pytest.mark.parametrize("name, variance", [("Glorot normal", 2 / 500), ("Glorot uniform", 2 / 500),
                                            ("He normal", 2 / 400), ("He uniform", 2 / 400)])  # fmt: skip
def test_kernel_initializers(name, variance):
    net = RepNet([1, 400, 100, 1], "tanh", name, slope_scale=2.0)
    assert net.linears[0].weight.var().item() == pytest.approx(variance, rel=0.05)
    assert not net.linears[0].bias.any()


def test_zeros_initializer_and_regularization():
    net = RepNet([1, 10, 1], "tanh", "zeros", ["l2", 1e-3], slope_scale=2.0)
    assert not net(torch.rand(5, 1)).any()
    assert net.regularizer == ["l2", 1e-3]


def test_input_and_output_transforms():
    net = RepNet([2, 16, 1], domain=(-1, 1), slope_scale=2.0)
    plain = RepNet([2, 16, 1], domain=(-1, 1), slope_scale=2.0)
    plain.load_state_dict(net.state_dict())
    net.apply_feature_transform(lambda x: torch.cat([torch.sin(x), torch.cos(x)], dim=1))
    net.apply_output_transform(lambda x, y: x * (1 - x) * y)
    x = torch.rand(10, 1)
    expected = x * (1 - x) * plain(torch.cat([torch.sin(x), torch.cos(x)], dim=1))
    torch.testing.assert_close(net(x), expected)


# Domains ---------------------------------------------------------------------------------------------------------

INTERVAL, TIME = dde.geometry.Interval(2, 5), dde.geometry.TimeDomain(0, 3)
DOMAINS = [
    (None, [-1, -1], [1, 1]),
    ((0, 2), [0, 0], [2, 2]),
    (([0, 1], [3, 5]), [0, 1], [3, 5]),
    (np.array([[0.0, 1.0], [3.0, 5.0]]), [0, 1], [3, 5]),
    (INTERVAL, [2], [5]),
    (dde.geometry.Rectangle([0, -1], [1, 4]), [0, -1], [1, 4]),
    (dde.geometry.Disk([1, 2], 0.5), [0.5, 1.5], [1.5, 2.5]),
    (dde.geometry.Cuboid([0, 0, 0], [1, 2, 3]), [0, 0, 0], [1, 2, 3]),
    (dde.geometry.GeometryXTime(INTERVAL, TIME), [2, 0], [5, 3]),
    (dde.geometry.GeometryXTime(dde.geometry.Disk([0, 0], 1), TIME), [-1, -1, 0], [1, 1, 3]),
    (dde.geometry.Rectangle([0, 0], [1, 1]) - dde.geometry.Disk([0.5, 0.5], 0.2), [0, 0], [1, 1]),
]


@pytest.mark.parametrize("domain, lower, upper", DOMAINS)
def test_domains(domain, lower, upper):
    layer = RepNet([len(lower), 8, 1], domain=domain, slope_scale=2.0).first
    np.testing.assert_allclose(layer.center - layer.half_width, lower, atol=1e-6)
    np.testing.assert_allclose(layer.center + layer.half_width, upper, atol=1e-6)


# In DeepXDE ------------------------------------------------------------------------------------------------------


def test_register_is_explicit_and_idempotent():
    code = (
        "import deepxde as dde; before = set(vars(dde.nn)); import repnet_pde; repnet_pde.RepNet; "
        "assert set(vars(dde.nn)) == before; "
        "repnet_pde.register(); repnet_pde.register(); "
        "new = {'RepNet', 'RepDeepONet', 'RepDeepONetCartesianProd'}; "
        "assert set(vars(dde.nn)) - before == new; "
        "assert all(getattr(dde.nn, n) is getattr(repnet_pde, n) for n in new); "
        "assert all(issubclass(getattr(dde.nn, n), dde.nn.NN) for n in new)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def poisson_data():
    """DeepXDE's Poisson-1D Dirichlet example: -u'' = π² sin πx on [-1, 1], u(±1) = 0."""
    geometry = dde.geometry.Interval(-1, 1)

    def pde(x, y):
        return -dde.grad.hessian(y, x) - np.pi**2 * torch.sin(np.pi * x)

    condition = dde.icbc.DirichletBC(geometry, lambda x: np.sin(np.pi * x), lambda x, on_boundary: on_boundary)
    return dde.data.PDE(geometry, pde, condition, 16, 2, solution=lambda x: np.sin(np.pi * x), num_test=100)


def test_poisson_script_with_fnn_replaced():
    repnet_pde.register()
    with quiet():
        model = dde.Model(poisson_data(), dde.nn.RepNet([1] + [50] * 3 + [1], "tanh", "Glorot uniform"))
        model.compile("adam", lr=0.001, metrics=["l2 relative error"])
        history, _ = model.train(iterations=150, display_every=50)
    assert sum(history.loss_train[-1]) < 0.05 * sum(history.loss_train[0])
    assert history.metrics_test[-1][0] < 0.5 * history.metrics_test[0][0]


def test_burgers_script_with_fnn_replaced(monkeypatch):
    repnet_pde.register()

    def pde(x, y):
        dy_x, dy_t = dde.grad.jacobian(y, x, i=0, j=0), dde.grad.jacobian(y, x, i=0, j=1)
        return dy_t + y * dy_x - 0.01 / np.pi * dde.grad.hessian(y, x, i=0, j=0)

    with quiet():
        domain = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 0.99))
        boundary = dde.icbc.DirichletBC(domain, lambda x: 0, lambda _, on_boundary: on_boundary)
        initial = dde.icbc.IC(domain, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda _, on_initial: on_initial)
        data = dde.data.TimePDE(domain, pde, [boundary, initial], num_domain=100, num_boundary=20, num_initial=40)
        model = dde.Model(data, dde.nn.RepNet([2] + [20] * 3 + [1], "tanh", "Glorot normal"))
        model.compile("adam", lr=1e-3)
        history, _ = model.train(iterations=60, display_every=30)
        after_adam = sum(history.loss_train[-1])
        # DeepXDE derives the size of its chunks on import only: set_LBFGS_options(maxiter=10) would run 1,000.
        for option, value in {"maxiter": 10, "iter_per_step": 10, "fun_per_step": 20}.items():
            monkeypatch.setitem(dde.optimizers.config.LBFGS_options, option, value)
        model.compile("L-BFGS")
        history, _ = model.train()
    assert after_adam < 0.8 * sum(history.loss_train[0])
    assert sum(history.loss_train[-1]) < 0.8 * after_adam


def test_checkpoints_save_restore_and_predict(tmp_path):
    def model():
        made = dde.Model(poisson_data(), RepNet([1, 20, 20, 1], domain=(-1, 1), slope_scale=5.0))
        made.compile("adam", lr=1e-3)
        return made

    x = np.linspace(-1, 1, 30)[:, None]
    with quiet():
        one = model()
        checker = dde.callbacks.ModelCheckpoint(str(tmp_path / "best"), save_better_only=True, period=10)
        one.train(iterations=30, display_every=10, callbacks=[checker, dde.callbacks.EarlyStopping(patience=1000)])
        path = one.save(str(tmp_path / "last"))
        other = model()
        assert not np.allclose(one.predict(x), other.predict(x))
        other.restore(path)
        np.testing.assert_array_equal(one.predict(x), other.predict(x))
        assert one.predict(x, operator=lambda x, y: dde.grad.jacobian(y, x)).shape == (30, 1)
        other.train(iterations=5, display_every=5)
        best = list(tmp_path.glob("best*"))
        assert best
        other.restore(str(best[0]))


def test_inverse_problem_through_deepxde():
    """u'' = C known data: the external variable moves together with the network."""
    geometry = dde.geometry.Interval(0, 1)
    unknown = dde.Variable(0.5)
    x = np.linspace(0, 1, 20)[:, None]
    observed = dde.icbc.PointSetBC(x, x**2)
    with quiet():
        data = dde.data.PDE(geometry, lambda x, y: dde.grad.hessian(y, x) - unknown, observed, 20, 2, anchors=x)
        model = dde.Model(data, RepNet([1, 20, 1], domain=geometry, slope_scale=2.0))
        model.compile("adam", lr=1e-2, external_trainable_variables=[unknown])
        model.train(iterations=100, display_every=100)
    assert unknown.item() > 0.6


def test_step_cost_measures_both_networks():
    from repnet_pde.validation.studies.step_cost import measure

    set_precision("float32")
    found = measure(n_points=64, repeats=3)
    assert found["points"] == 64 and found["repnet_ms"] > 0 and found["fnn_ms"] > 0
    assert 0.1 < found["ratio"] < 10


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"layer_sizes": [1, 1]}, "layer_sizes"),
        ({"layer_sizes": [1, 0, 1]}, "layer_sizes"),
        ({"layer_sizes": [1, 2.5, 1]}, "layer_sizes"),
        ({"layer_sizes": 5}, "layer_sizes"),
        ({"layer_sizes": [1, [5, 5], 2]}, "layer_sizes"),
        ({"layer_sizes": [1, float("inf"), 2]}, "layer_sizes"),
        ({"activation": "tahn"}, "activation: 'tahn'"),
        ({"activation": ["tanh"]}, "activation: 1 given"),
        ({"activation": 3}, "activation"),
        ({"kernel_initializer": "Glorot"}, "kernel_initializer"),
        ({"kernel_initializer": None}, "kernel_initializer"),
        ({"first_activation": "sine"}, "first_activation: 'sine'.*'sin'"),
        ({"domain": (1, 0)}, "domain"),
        ({"domain": (0, 0)}, "domain"),
        ({"domain": (0, float("inf"))}, "domain"),
        ({"domain": 3}, "domain"),
        ({"domain": ("a", "b")}, "domain"),
        ({"domain": ([0, 0], [1, 1])}, "domain: has 2"),
        ({"domain": dde.geometry.Rectangle([0, 0], [1, 1])}, "domain: has 2"),
        ({"domain": (0, 1, 2)}, "domain"),
        ({"slope_scale": "big"}, "slope_scale"),
        ({"slope_scale": 0}, "slope_scale"),
        ({"slope_scale": -2.0}, "slope_scale"),
        ({"slope_scale": float("nan")}, "slope_scale"),
        ({"slope_scale": (5.0, 1.0)}, "slope_scale"),
        ({"slope_scale": (1.0, 2.0, 3.0)}, "slope_scale"),
        ({"slope_scale": [1.0] * 9}, "slope_scale"),
        ({"slope_scale": None}, "slope_scale"),
        ({"slope_scale": 2.0, "wavenumber": 3.0}, "wavenumber"),
        ({"wavenumber": -1.0}, "wavenumber"),
        ({"wavenumber": [1.0, 2.0]}, "wavenumber"),
        ({"wavenumber": "high"}, "wavenumber"),
        ({"stretch": [1.0, 2.0]}, "stretch"),
        ({"stretch": 0.0}, "stretch"),
    ],
)
def test_bad_input_is_named(arguments, word):
    with pytest.raises(InputError, match=word):
        RepNet(**({"layer_sizes": [1, 8, 8, 1]} | arguments))
