"""Function approximation: least squares, products, iterative methods, files, messages."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from repnet_pde import InputError, catalogue, fit, load_fit, load_problem, solve
from repnet_pde.fitting import samples
from repnet_pde.fitting.search import Search, _jumps, solve_last_layer, wave_vectors, wavenumbers
from repnet_pde.methods.alternating import Alternating
from repnet_pde.networks.product import ProductRepNet

PI = math.pi


def points(n, dim=1, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, dim))


def waves(x):
    return np.sin(3 * x) + 0.2 * np.cos(30 * x)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


# Least squares --------------------------------------------------------------------------------------------------------


def test_waves_to_many_digits_in_the_users_units():
    x = 1e6 + 5e3 * points(600)[:, 0]
    y = 1e-9 * (7 + waves((x - 1e6) / 5e3))
    found = fit(x, y)
    assert found.error < 1e-9 and found.training_error < 1e-9
    new = 1e6 + 4.9e3 * points(100, seed=1)[:, 0]
    values = found.predict(new)
    assert values.shape == (100,)
    assert relative(values, 1e-9 * (7 + waves((new - 1e6) / 5e3))) < 1e-9


def test_several_outputs_of_different_size():
    x = points(600)
    y = np.hstack([1e5 * np.sin(4 * x), 1e-5 * np.cos(9 * x) + 2, 0 * x + 3])
    found = fit(x, y)
    new = 0.9 * points(50, seed=1)
    wanted = np.hstack([1e5 * np.sin(4 * new), 1e-5 * np.cos(9 * new) + 2, 0 * new + 3])
    assert np.allclose(found.predict(new), wanted, rtol=1e-9, atol=1e-12)


def test_the_noise_is_found_and_not_fitted():
    x = points(2000)
    clean = waves(x)
    found = fit(x, clean + 0.1 * np.random.default_rng(1).normal(size=x.shape))
    assert found.noise[0] == pytest.approx(0.1, rel=0.1)
    assert np.std(found.predict(x) - clean) < 0.04


def test_more_noise_a_larger_penalty():
    x = points(200)
    coarse = [fit(x, waves(x) + s * np.random.default_rng(1).normal(size=x.shape)).net for s in (0.01, 3.0)]
    sizes = [net.linears[-1].weight.norm().item() for net in coarse]
    assert sizes[1] < 30 * sizes[0]  # without one the coefficients grow like the noise


def test_a_known_noise_ends_the_search():
    x = points(2000)
    y = waves(x) + 0.1 * np.random.default_rng(1).normal(size=x.shape)
    assert len(fit(x, y, noise=0.12).notes) <= len(fit(x, y).notes)


def test_a_jump_becomes_smooth_in_a_coordinate_with_a_gap():
    result = solve(load_problem("jump_1d", samples=2500), progress=False)
    assert result.errors.relative_l2 < 1e-5
    assert len(result.network_options["steps"][0][0]) == 1


def test_only_jumps_are_taken_for_jumps():
    x = points(1500)
    step = np.where(x > 0.21, 1.0, 0.0)

    def found(y):
        return _jumps(samples.make(x, y, domain=None, validation=0.1, seed=0, dtype="float64"))

    ((place, gap),) = found(np.sin(20 * x) + step)
    assert place - gap <= 0.21 <= place + gap
    assert found(np.sin(200 * x)) == []
    assert found(np.sin(20 * x) + 0.1 * np.random.default_rng(0).normal(size=x.shape)) == []


def test_a_burst_is_not_overlooked():
    found = solve(load_problem("burst_1d", samples=2000), progress=False)
    assert found.errors.relative_l2 < 1e-8


def test_few_samples_in_many_dimensions():
    x = points(60, dim=8)
    y = x @ np.arange(1.0, 9.0)
    found = fit(x, y)
    assert relative(found.predict(points(40, dim=8, seed=1)), points(40, dim=8, seed=1) @ np.arange(1.0, 9.0)) < 0.5


def test_least_squares_with_a_network_of_the_users_own():
    torch.manual_seed(0)
    import deepxde as dde

    net = dde.nn.FNN([1, 50, 1], "tanh", "Glorot normal")
    x = points(300)
    assert fit(x, np.sin(2 * x), net).error < 1e-3


@pytest.mark.parametrize("network", ["repnet", "fnn", "repnet-gaussian"])
def test_least_squares_with_other_layers(network):
    x = points(500)
    assert fit(x, np.sin(2 * x), network, network_options={"layers": [60]}).error < 1e-2


def test_the_penalty_maximises_the_marginal_likelihood():
    """Against the dense Gaussian-process formula on a small case."""
    x = points(60)
    y = waves(x) + 0.3 * np.random.default_rng(2).normal(size=x.shape)
    data = samples.make(x, y, domain=None, validation=0.0, seed=0, dtype="float64")
    found = Search(data, 0, None, math.inf)
    net = found.try_("repnet-sin", {"layers": [30], "wavenumber": [30.0]}).net
    from repnet_pde.discretization.last_layer import into_last

    rough = torch.cat([(1 + net.first.slopes().square()).sqrt(), torch.ones(1)])
    design = torch.cat([into_last(net, data.x), torch.ones(60, 1)], 1) / rough
    coefficients = torch.cat([net.linears[-1].weight, net.linears[-1].bias[:, None]], 1)[0] * rough
    right = design.T @ (data.y[:, 0] - design @ coefficients)  # = λ c
    weight = (right @ coefficients / coefficients.square().sum()).item()
    assert torch.allclose(right, weight * coefficients, rtol=1e-6, atol=1e-9)

    def minus_log(value):
        covariance = torch.eye(60) + design @ design.T / value
        size = data.y[:, 0] @ torch.linalg.solve(covariance, data.y[:, 0]) / 60
        return 60 * torch.log(size) + torch.logdet(covariance)

    assert minus_log(weight) <= min(minus_log(weight * f) for f in (0.8, 1.25)) + 1e-9


# The catalogue --------------------------------------------------------------------------------------------------------

SAMPLED = [name for name, entry in catalogue().items() if "sample_seed" in entry.parameters]


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_are_of_the_function_and_seeded(name):
    one, same, other = (
        load_problem(
            name, samples=200, sample_seed=seed, **({"noise": 0.1} if "noise" in catalogue()[name].parameters else {})
        )
        for seed in (0, 0, 1)
    )
    x, y = samples.of_problem(one)
    assert x.shape == (200, one.dim) and np.array_equal(y, samples.of_problem(same)[1])
    assert not np.array_equal(y, samples.of_problem(other)[1])
    left = np.std(y - one.solution(x)) / np.sqrt(np.mean(one.solution(x) ** 2))
    assert left == (pytest.approx(0.1, rel=0.2) if "noise" in one.parameters else pytest.approx(0, abs=1e-12))


def test_a_problem_with_more_than_samples_is_none_of_samples():
    assert samples.of_problem(load_problem("damped_oscillator")) is None
    assert samples.of_problem(load_problem("poisson_two_scale_1d")) is None


# Several dimensions ---------------------------------------------------------------------------------------------------


def test_the_spectrum_of_scattered_points_shows_the_waves():
    x = points(20_000, dim=3)
    y = np.sin(9 * PI * x[:, 0] + 4 * PI * x[:, 2]) + 0.5 * np.cos(3 * PI * x[:, 1])
    vectors, amplitudes = samples.peaks(x, y, 2)
    assert vectors.tolist() == [[9, 0, 4], [0, 3, 0]]
    assert amplitudes == pytest.approx([0.5, 0.25], rel=0.1)


def test_wave_vectors_gather_at_the_waves_of_the_samples():
    x = points(20_000, dim=3)
    y = np.sin(9 * PI * x[:, :1]) * np.cos(4 * PI * x[:, 2:])
    data = samples.make(x, y, domain=(-1, 1), validation=0.1, seed=0, dtype="float64")
    found = np.abs(wave_vectors(data, 40, 0)) / PI
    near = (np.abs(found - [9, 0, 4]) < 0.3).all(1)
    assert near.sum() >= 28 and (found[~near] <= 1).all()
    assert np.allclose(wavenumbers(data), [9 * PI, PI, 4 * PI])


def test_products_in_four_dimensions():
    x = points(6000, dim=4)

    def function(x):
        return np.sin(6 * PI * x[:, :1]) * np.exp(x[:, 1:2]) * np.cos(PI * x[:, 2:3]) + np.sin(2 * PI * x[:, 3:])

    found = fit(x, function(x))
    assert found.network == "repnet-product"
    new = 0.98 * points(500, dim=4, seed=1)
    assert relative(found.predict(new), function(new)) < 1e-4


def test_a_sweep_never_raises_the_misfit():
    x = torch.as_tensor(points(500, dim=2))
    y = torch.sin(3 * x[:, :1] * x[:, 1:])
    torch.manual_seed(0)
    method = Alternating(ProductRepNet([2, 12, 4, 1], wavenumber=[3.0, 3.0]), x, y)
    misfits = [method.sweep() for _ in range(6)]
    assert all(b <= a * (1 + 1e-9) for a, b in zip(misfits[:-1], misfits[1:], strict=True))
    assert misfits[-1] == pytest.approx((method.net(x) - y).square().mean().sqrt().item(), rel=1e-6)


def test_the_product_network_is_the_product_of_its_factors():
    torch.manual_seed(0)
    net = ProductRepNet([2, 5, 3, 2], domain=([0, 1], [2, 5]), wavenumber=[4.0, 2.0])
    x = torch.as_tensor(points(7, dim=2)) + torch.tensor([1.0, 3.0])
    product = 1.0
    for axis in range(2):
        weight, bias = net.first[axis].linear_equivalent()
        product = product * net.factors[axis](torch.sin(x[:, axis : axis + 1] @ weight.T + bias))
    assert torch.allclose(net(x), product @ net.last.weight.T + net.last.bias)


# Iterative methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["adam", "lbfgs", "ssbroyden"])
def test_iterative_methods_lower_the_error(method):
    x = points(400)
    options = {"layers": [32, 16]}
    few, many = (
        fit(x, np.sin(8 * x), "repnet-sin", method, iterations=i, network_options=options).error for i in (2, 150)
    )
    assert many < 0.2 * few


def test_gauss_newton_fits():
    x = points(300)
    found = fit(x, np.sin(8 * x), "repnet-sin", "gauss-newton", iterations=30, network_options={"layers": [16]})
    assert found.error < 1e-2


def test_batches_are_drawn_and_the_best_network_is_kept():
    x = points(1000)
    options = {"adam": {"batch_size": 64}}
    found = fit(x, np.sin(8 * x), method="adam", iterations=200, method_options=options, dtype="float32")
    assert found.error <= found.history["relative_l2"].min() * (1 + 1e-4)
    assert found.predict(x).dtype == np.float32


def test_overfitting_ends_the_training():
    x = points(60)
    y = np.random.default_rng(0).normal(size=x.shape)
    found = fit(x, y, method="adam", iterations=3000, validation=0.4)
    assert "held-out error no longer falls" in found.stopped
    assert found.history["iteration"][-1] < 3000


def test_a_known_noise_ends_the_training():
    x = points(500)
    y = np.sin(3 * x) + 0.2 * np.random.default_rng(0).normal(size=x.shape)
    assert "fitted to the noise" in fit(x, y, method="adam", iterations=2000, noise=0.25).stopped


def test_the_same_seed_gives_the_same_fit():
    x = points(300)
    one, two, other = (fit(x, waves(x), method="adam", iterations=30, seed=seed).predict(x[:5]) for seed in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["least-squares", "adam"])
@pytest.mark.parametrize("name", ["jump", "4-D"])
def test_a_fit_is_written_and_read(tmp_path, method, name):
    x = points(1200, dim=4 if name == "4-D" else 1)
    y = np.sin(9 * x[:, 0]) * x[:, -1] + (x[:, 0] > 0.3) * (name == "jump")
    found = fit(x, y, method=method, iterations=20, out=tmp_path / "some.fit")
    again = load_fit(tmp_path / "some.fit")
    assert np.array_equal(again.predict(x), found.predict(x))
    assert str(again) == str(found)
    assert os.listdir(tmp_path) == ["some.fit"]


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "a").write_text("no")
    for name, said in (("a", "damaged"), ("b", "no such file")):
        with pytest.raises(InputError, match=said):
            load_fit(tmp_path / name)


SCRIPT = """
import numpy as np, repnet_pde
x = np.linspace(-1, 1, 500)
options = {{"network_options": {{"layers": [8]}}, "checkpoint_seconds": 0.2}}
found = repnet_pde.fit(x, np.sin(40 * x), method="adam", iterations={count}, out={out!r}, **options)
print("stopped", found.stopped, len(found.history["iteration"]))
"""


def test_stopped_by_control_c_and_continued(tmp_path):
    out = str(tmp_path / "some.fit")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(count=10**6, out=out)], stdout=subprocess.PIPE, text=True
    )
    checkpoint = tmp_path / "some.fit.checkpoint"
    for _ in range(6000):
        if checkpoint.exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=600)
    assert "stopped interrupted" in said
    assert (tmp_path / "some.fit").exists() and checkpoint.exists()
    x = np.linspace(-1, 1, 500)
    with pytest.raises(InputError, match="belongs to other samples"):
        fit(x, np.cos(x), method="adam", iterations=10**6, out=out, network_options={"layers": [9]}, time_limit=1)
    with pytest.raises(InputError, match="belongs to other samples"):  # the same points
        fit(x, np.cos(40 * x), method="adam", iterations=10**6, out=out, network_options={"layers": [8]})
    found = fit(
        x, np.sin(40 * x), method="adam", iterations=10**6, out=out, network_options={"layers": [8]}, time_limit=1
    )
    assert found.stopped == "time limit"


# Messages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": np.zeros(9)}, "y: 9 rows given for the 30 rows of x"),
        ({"x": np.full((30, 1), np.nan)}, "x: NaN or infinite in 30 of 30 rows, the first of them 0"),
        ({"x": np.zeros((3, 3, 3))}, r"x: shape \(3, 3, 3\) given"),
        ({"x": [["a"]] * 30}, "x: list given; an array of numbers is needed"),
        ({"x": np.zeros((1, 1)), "y": [1.0]}, r"x: 1 sample\(s\) given; at least 2"),
        ({"validation": 1.0}, "validation: 1.0 given"),
        ({"noise": 0.0}, "noise: 0.0 given"),
        ({"noise": "much"}, "noise: 'much' given"),
        ({"domain": (0, 1)}, r"x: \d+ of 30 points lie outside of domain"),
        ({"method": "joint"}, "method: 'joint'"),
        ({"method": "adam+least-squares"}, "least-squares cannot be combined"),
        ({"network": "repnet-slabs"}, "repnet-slabs"),
        ({"network": "nothing"}, "network: 'nothing'"),
        ({"seed": -1}, "seed: -1 given"),
        ({"time_limit": 0}, "time_limit: 0 given"),
        ({"method": "adam", "method_options": {"adam": {"batch_size": 0}}}, "batch_size: 0 given"),
        ({"network": "repnet-sin", "network_options": {"waves": [[1.0]], "layers": [2]}}, "waves: a wave vector"),
    ],
)
def test_what_is_wrong_is_said(change, said):
    arguments = {"x": points(30), "y": points(30, seed=1)} | change
    with pytest.raises(InputError, match=said):
        fit(arguments.pop("x"), arguments.pop("y"), **arguments)


def test_batches_are_for_samples_only():
    with pytest.raises(InputError, match="batch_size: only where samples"):
        solve(
            load_problem("poisson_two_scale_1d"),
            method="adam",
            method_options={"adam": {"batch_size": 8}},
            progress=False,
        )


def test_points_of_another_dimension():
    found = fit(points(100, dim=2), points(100))
    with pytest.raises(InputError, match=r"x: has shape \(100, 1\); \(n, 2\) is needed"):
        found.predict(points(100))


def test_solve_last_layer_needs_no_held_out_samples():
    data = samples.make(points(100), waves(points(100)), domain=None, validation=0.0, seed=0, dtype="float64")
    assert not len(data.held)
    found = Search(data, 0, None, math.inf).try_("repnet-sin", {"layers": [40], "wavenumber": [30.0]})
    assert solve_last_layer(found.net, data)[0] < 1e-3
