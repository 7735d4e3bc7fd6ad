"""The peers: PirateNet, Fourier features whose frequencies stay fixed, SOAP, matched numbers of parameters."""

import copy
import json
import sys

import deepxde as dde
import numpy as np
import pytest
import torch
from repnet_pde.validation.studies import kill_resume

from repnet_pde import InputError, Problem, Sampling, load_problem, plan, resume, set_precision, solve, train
from repnet_pde.backend import quiet, random_state
from repnet_pde.methods.soap import BETAS, SOAP
from repnet_pde.networks.matching import USUAL, count_parameters, match_layers
from repnet_pde.networks.pirate import FactorizedLinear, PirateNet
from repnet_pde.networks.registry import NETWORKS
from repnet_pde.output import pictures as plots

LINE = dde.geometry.Interval(0, 1)
PEERS = ("fourier", "msffn", "siren", "pirate")
METHODS = ("adam", "soap", "lbfgs", "ssbroyden", "gauss-newton")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """They take longer than these runs."""
    monkeypatch.setattr(plots, "draw", lambda *_: [])


def build(name, inputs=2, outputs=3, layers=(8, 6, 6), domain=None, seed=0, **options):
    torch.manual_seed(seed)
    return NETWORKS[name]([inputs, *layers, outputs], domain, None, **options)


def awake(net):
    """A PirateNet whose blocks are open, other networks as they are."""
    with torch.no_grad():
        for i, block in enumerate(getattr(net, "blocks", ())):
            block.alpha.fill_(0.3 + 0.2 * i)
    return net


def problem(k=3.0):
    """-u'' = (k π)² sin kπx with u(0) = u(1) = 0."""
    return Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.hessian(u, x) + (k * np.pi) ** 2 * torch.sin(k * np.pi * x),
        conditions={"ends": dde.icbc.DirichletBC(LINE, lambda x: 0, lambda x, on_boundary: on_boundary)},
        solution=lambda x: np.sin(k * np.pi * x),
        sampling=Sampling(domain=30, test=100),
    )


# Networks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PEERS)
def test_shape_and_dtype(name, dtype):
    set_precision(dtype)
    for inputs, outputs in ((1, 1), (2, 3), (4, 2)):
        net = build(name, inputs, outputs)
        u = net(torch.rand(5, inputs))
        assert u.shape == (5, outputs) and u.dtype == getattr(torch, dtype)
        assert {v.dtype for v in net.state_dict().values()} == {u.dtype}


@pytest.mark.parametrize("name", PEERS)
def test_derivatives_against_finite_differences(name):
    net = awake(build(name, outputs=1, domain=([-1, 2], [1, 5])))
    x = torch.tensor([[0.3, 2.7], [-0.8, 4.1]], requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    bends = torch.stack([torch.autograd.grad(s.sum(), x, retain_graph=True)[0] for s in slope.T])
    with torch.no_grad():
        for i, step in enumerate(1e-4 * torch.eye(2)):
            low, mid, high = (net(x + s * step)[:, 0] for s in (-1, 0, 1))
            scale = 1 + bends[i, :, i].abs().max()
            torch.testing.assert_close((high - low) / 2e-4, slope[:, i], rtol=0, atol=1e-5 * scale.item())
            torch.testing.assert_close((high - 2 * mid + low) / 1e-8, bends[i, :, i], rtol=0, atol=1e-4 * scale.item())


def embedding(net, x):
    """φ of a PirateNet at x (n, d), with NumPy."""
    z = (x - net.center.numpy()) / net.half_width.numpy() @ net.frequencies.detach().numpy()
    return np.concatenate([np.cos(z), np.sin(z)], 1)


def test_pirate_is_the_published_formula():
    net = awake(build("pirate", layers=(8, 5, 5), domain=([0, -3], [1, 3])))
    x = np.random.default_rng(0).uniform([0, -3], [1, 3], (6, 2))

    def dense(layer, h):
        weight = layer.scale[:, None] * layer.direction
        return np.tanh(h @ weight.detach().numpy().T + layer.bias.detach().numpy())

    for layer in net.modules():
        if isinstance(layer, FactorizedLinear):
            torch.nn.init.normal_(layer.bias)
    h = phi = embedding(net, x)
    u, v = (dense(gate, phi) for gate in net.gates)
    for block, alpha in zip(net.blocks, (0.3, 0.5), strict=True):
        f = dense(block.layers[0], h)
        g = dense(block.layers[1], f * u + (1 - f) * v)
        h = alpha * dense(block.layers[2], g * u + (1 - g) * v) + (1 - alpha) * h
    last = net.linears[-1]
    wanted = h @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(net(torch.as_tensor(x)).detach().numpy(), wanted, rtol=1e-12, atol=1e-13)


def test_pirate_starts_linear_in_its_embedding():
    net = build("pirate")
    x = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    u = net(torch.as_tensor(x))
    coefficients, *_ = np.linalg.lstsq(
        np.column_stack([embedding(net, x), np.ones(20)]), u.detach().numpy(), rcond=None
    )
    np.testing.assert_allclose(coefficients[:-1], net.linears[-1].weight.detach().numpy().T, atol=1e-10)
    with torch.no_grad():
        for block in net.blocks:
            block.layers[1].direction.normal_()
    assert torch.equal(net(torch.as_tensor(x)), u)
    assert not torch.equal(awake(net)(torch.as_tensor(x)), u)


def test_factorisation_keeps_glorots_weights():
    """Var W = 2 / (n_in + n_out) whatever the factors, whose logarithms have the mean and deviation asked for."""
    for factors in ((1.0, 0.1), (0.5, 0.3)):
        layer = build("pirate", layers=(400, 300), factorization=factors).gates[0]
        weight, g = (layer.scale[:, None] * layer.direction).detach(), layer.scale.detach()
        assert weight.std().item() == pytest.approx((2 / 700) ** 0.5, rel=0.02)
        assert g.log().mean().item() == pytest.approx(factors[0], abs=0.05)
        assert g.log().std().item() == pytest.approx(factors[1], rel=0.15)
    plain = build("pirate", factorization=None)
    assert not any(isinstance(m, FactorizedLinear) for m in plain.modules())


def test_scale_of_the_frequencies():
    assert build("pirate", layers=(4000, 4), fourier_scale=7).frequencies.std().item() == pytest.approx(7, rel=0.05)
    assert build("fourier", layers=(4000, 4), sigma=7).frequencies_0.std().item() == pytest.approx(7, rel=0.05)
    # Two standard deviations reach the largest wavenumber, here 80 on a domain of half width 0.5.
    net = NETWORKS["fourier"]([1, 4000, 4, 1], (0, 1), [80.0])
    assert net.frequencies_0.std().item() == pytest.approx(20, rel=0.05)


def test_fourier_is_msffn_of_one_scale():
    one, other = build("fourier", sigma=3.0), build("msffn", sigmas=[3.0])
    x = torch.rand(4, 2)
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("pirate", {"layers": (8, 6, 5)}, "layer_sizes: hidden layers [8, 6, 5] given"),
        ("pirate", {"layers": (8,)}, "one width for each residual block"),
        ("pirate", {"layers": (1, 4)}, "at least 2"),
        ("pirate", {"fourier_scale": 0}, "fourier_scale: 0 given"),
        ("pirate", {"factorization": (1, -0.1)}, "factorization: (1, -0.1) given"),
        ("pirate", {"factorization": 1}, "factorization: 1 given"),
        ("pirate", {"activation": "step"}, "activation: 'step' is not known"),
        ("msffn", {"activation": "step"}, "activation: 'step' is not known"),
        ("fourier", {"sigma": -1}, "sigma: -1 given"),
        ("fourier", {"sigma": [1, 2]}, "sigma: [1, 2] given"),
    ],
)
def test_arguments_that_cannot_be_used(name, options, said):
    with pytest.raises(InputError) as raised:
        build(name, **options)
    assert said in str(raised.value)


# What is trained and what is not -------------------------------------------------------------------------------------


def moved(net, before):
    """Names of parameters and buffers that are not what they were."""
    return {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("method", METHODS)
def test_frequencies_stay_fixed_under_every_method(method):
    options = {"layers": [8, 5]}
    if method == "gauss-newton":  # which starts from slower waves
        options["sigmas"] = [1.0, 4.0]
    begun = solve(problem(), "msffn", method, iterations=0, network_options=options, progress=False)
    before = copy.deepcopy(begun.net.state_dict())
    result = solve(problem(), "msffn", method, iterations=3, network_options=options, progress=False)
    changed = moved(result.net, before)
    assert {"linears.0.weight", "linears.1.weight"} <= changed  # SOAP's first iteration changes nothing
    assert not any("frequencies" in name for name in changed)
    assert not any("frequencies" in name for name, _ in result.net.named_parameters())


@pytest.mark.parametrize("optimizer", ["adam", "L-BFGS", "repnet_pde.train"])
def test_frequencies_stay_fixed_under_deepxde(optimizer, monkeypatch):
    """Its test steps thaw all parameters, which is why these are buffers."""
    net = build("msffn", 1, 1, layers=(8, 5), domain=LINE, sigmas=[1.0, 4.0])
    data = dde.data.PDE(LINE, lambda x, u: dde.grad.hessian(u, x) + u, [], num_domain=10, num_test=10)
    model = dde.Model(data, net)
    before = copy.deepcopy(net.state_dict())
    monkeypatch.setitem(dde.optimizers.LBFGS_options, "maxiter", 3)
    monkeypatch.setitem(dde.optimizers.LBFGS_options, "iter_per_step", 3)
    with quiet():
        if optimizer == "L-BFGS":
            model.compile("L-BFGS")
        else:
            model.compile("adam", lr=0.01)
        if optimizer == "repnet_pde.train":
            train(model, iterations=2, verbose=0)
        else:
            model.train(iterations=3, display_every=1, verbose=0)
    assert "linears.0.weight" in moved(net, before)
    assert not any("frequencies" in name for name in moved(net, before))


@pytest.mark.parametrize("method", METHODS)
def test_pirate_under_every_method(method):
    """All of it is trained, from the second step on also behind the α that were 0."""
    options = {"layers": [6, 4, 4]}
    begun = solve(problem(), "pirate", method, iterations=0, network_options=options, progress=False)
    before = copy.deepcopy(begun.net.state_dict())
    result = solve(problem(), "pirate", method, iterations=4, network_options=options, progress=False)
    # What u(0) = u(1) = 0 and u'' do not feel: the first biases of symmetric features are no exception, all move.
    assert set(result.net.state_dict()) - moved(result.net, before) == {"center", "half_width"}


def test_pirate_has_its_published_layers():
    for method in ("adam", "gauss-newton"):
        made = plan(problem(), network="pirate", method=method)
        assert isinstance(made.net, PirateNet)
        assert made.settings.network_options["layers"] == [256] * 4 and len(made.net.blocks) == 3
    assert plan(problem(), network="fourier", method="adam").settings.network_options["layers"] == [128, 64, 64]


# SOAP ----------------------------------------------------------------------------------------------------------------


class Objective:
    """What SOAP needs of an objective: a smooth function of one tensor."""

    def __init__(self, function, start):
        self.function, self.x = function, start.clone().requires_grad_()
        self.parameters = [self.x]

    def balance(self, first):
        pass

    def gradient(self):
        self.x.grad = None
        loss = self.function(self.x)
        loss.backward()
        return loss.detach()


def path(function, start, steps, **options):
    objective = Objective(function, start)
    method = SOAP(objective, steps, **options)
    found = []
    while method.stopped is None:
        method.step()
        found.append(objective.x.detach().clone())
    return torch.stack(found)


def test_soap_of_a_vector_is_adam():
    """Vectors are not preconditioned; the first iteration is Shampoo's start."""
    start, steps = torch.tensor([1.0, -2.0, 0.5]), 12
    function = lambda x: (torch.tensor([1.0, 10.0, 0.1]) * x**2).sum() + torch.cos(x).sum()  # noqa: E731
    x = start.clone().requires_grad_()
    adam = torch.optim.Adam([x], betas=BETAS)
    wanted = [start]
    for i in range(1, steps):
        adam.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + np.cos(np.pi * i / steps))
        adam.zero_grad()
        function(x).backward()
        adam.step()
        wanted.append(x.detach().clone())
    # The ε in the denominator, 1e-8, stands behind the correction of the bias in one and before it in the other.
    torch.testing.assert_close(path(function, start, steps, learning_rate=0.1), torch.stack(wanted), atol=1e-6, rtol=0)


def test_soap_does_not_see_rotations():
    """f(W) from W₀ and f(QᵀW P) from Q W₀ Pᵀ give the same path up to the rotations, which Adam's does not."""
    torch.manual_seed(1)
    q, p = (torch.linalg.qr(torch.randn(n, n))[0] for n in (4, 3))
    factors = 1 + torch.arange(12.0).reshape(4, 3)
    start = torch.randn(4, 3)
    function = lambda w: (factors * w**2).sum() + torch.sin(w).sum()  # noqa: E731
    plain = path(function, start, 40, learning_rate=0.05)
    turned = path(lambda w: function(q.T @ w @ p), q @ start @ p.T, 40, learning_rate=0.05)
    assert (plain[-1] - start).norm() > 0.3  # it has moved
    torch.testing.assert_close(q.T @ turned @ p, plain, atol=1e-4, rtol=0)  # eigenbases are kept in float32


def test_soap_continues_to_the_last_bit():
    function = lambda w: ((w @ w.T - 1) ** 2).sum()  # noqa: E731
    start = torch.linspace(-1, 1, 12).reshape(4, 3)
    whole = path(function, start, 20)
    objective = Objective(function, start)
    method = SOAP(objective, 20)
    for stop in range(20):
        state, x = copy.deepcopy(method.state_dict()), objective.x.detach().clone()
        objective = Objective(function, x)
        method = SOAP(objective, 20)
        method.load_state_dict(state)
        method.step()
        assert torch.equal(objective.x, whole[stop])
    assert method.stopped == "all iterations done"


def test_a_run_with_soap_is_resumed_to_the_last_bit(tmp_path, stopped_after):
    """With pseudo-random points, an unknown and two terms under the automatic balance."""
    (tmp_path / "decay.py").write_text(kill_resume.PROBLEM)
    options = {"method": "soap", "iterations": 400, "network_options": {"layers": [8, 8]}, "progress": False}
    solve(load_problem(tmp_path / "decay.py"), **options, out=tmp_path / "whole")
    with stopped_after(60):
        first = solve(load_problem(tmp_path / "decay.py"), **options, out=tmp_path / "run")
    assert not first.finished and 0 < first.iterations < 400
    assert resume(tmp_path / "run", progress=False).finished
    assert kill_resume.compare(tmp_path / "whole", tmp_path / "run") == []


def test_soap_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(InputError, match=r"soap needs the package pytorch-optimizer: pip install 'repnet-pde\[soap\]'"):
        solve(problem(), "fnn", "soap", iterations=1, network_options={"layers": [4]}, progress=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precondition_frequency": 0}, "precondition_frequency: 0 given"),
        ({"precondition_frequency": None}, "precondition_frequency: None given"),
        ({"learning_rate": -1}, "learning_rate: -1 given"),
        ({"beta": 1}, r"method_options\['soap'\]: 'beta' is not known"),
    ],
)
def test_options_of_soap(options, said):
    with pytest.raises(InputError, match=said):
        solve(problem(), "fnn", "soap", iterations=1, method_options={"soap": options}, progress=False)


def test_learning_rate_on_the_command_line(command, tmp_path):
    arguments = ["solve", "poisson_chirp_1d", "--layers", "4", "--iterations", "1", "--learning-rate", "0.02"]
    code, _, err = command(*arguments, "--method", "soap+adam", "--out", tmp_path / "run")
    assert code == 0, err
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert [stage[2] for stage in settings["stages"]] == [{"learning_rate": 0.02}] * 2
    code, _, err = command(*arguments, "--method", "lbfgs", "--out", tmp_path / "other")
    assert code == 2 and "'adam' is not known; choose from lbfgs" in err


# Matched numbers of parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network", ["fnn", "repnet", "repnet-sin", "repnet-siren", "msffn", "fourier", "siren", "pirate"]
)
@pytest.mark.parametrize("wanted", [3_000, 13_000, 60_000])
def test_matched_within_three_percent(network, wanted):
    layers = match_layers(network, 2, 3, wanted)
    assert count_parameters(network, 2, 3, layers) == pytest.approx(wanted, rel=0.03)
    shape = NETWORKS[network].layers or USUAL
    assert len(layers) == len(shape)
    scale = layers[0] / shape[0]
    assert all(abs(width - scale * published) <= 2 for width, published in zip(layers, shape, strict=True))


@pytest.mark.parametrize("network", ["fnn", "repnet-sin", "fourier"])
def test_matched_with_one_layer(network):
    (width,) = match_layers(network, 2, 1, 5_000, like=(1,))
    assert count_parameters(network, 2, 1, [width]) == pytest.approx(5_000, rel=0.01)
    if network == "fnn":  # 4 w + 1
        assert width == 1250


def test_numbers_of_parameters_by_hand():
    """fnn: Σ (n + 1) m. PirateNet with e = 6, w = 5: frequencies, two gates, blocks of three layers and α, last layer;
    a factorised layer has 2 m beside its matrix."""
    assert count_parameters("fnn", 2, 3, [8, 6]) == 3 * 8 + 9 * 6 + 7 * 3
    dense = lambda n, m: n * m + 2 * m  # noqa: E731
    blocks = 2 * (dense(6, 5) + dense(5, 5) + dense(5, 6) + 1)
    assert count_parameters("pirate", 2, 3, [7, 5, 5]) == 2 * 3 + 2 * dense(6, 5) + blocks + 7 * 3
    assert count_parameters("msffn", 2, 1, [8, 5], {"sigmas": [1, 2, 3]}) == 9 * 5 + 3 * 5 + 1


def test_nearest_of_all_widths():
    sizes = {width: count_parameters("fnn", 1, 1, [width, width]) for width in range(1, 40)}
    for wanted in (1, 10, 137, 500):
        layers = match_layers("fnn", 1, 1, wanted, like=(9, 9))
        assert abs(count_parameters("fnn", 1, 1, layers) - wanted) <= min(abs(n - wanted) for n in sizes.values())


def test_matching_leaves_the_generators_alone():
    before = random_state()
    match_layers("repnet", 3, 1, 1_000)
    assert kill_resume.differences(before, random_state()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("resnet", 1, 1, 100), "network: 'resnet' is not known"),
        (("repnet-slabs", 1, 1, 100), "network: repnet-slabs"),
        (("fnn", 0, 1, 100), "inputs: 0 given"),
        (("fnn", 1, 1, None), "parameters: None given"),
        (("fnn", 1, 1, 100, "16"), "layers: '16' given"),
        (("pirate", 1, 1, 100, (8, 4, 5)), "layer_sizes: hidden layers [8, 4, 5]"),
        (("fnn", 1, 1, 100, None, {"activation": "step"}), "activation: 'step'"),
    ],
)
def test_what_cannot_be_matched(arguments, said):
    with pytest.raises(InputError) as raised:
        match_layers(*arguments)
    assert said in str(raised.value)
