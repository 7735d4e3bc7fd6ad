"""Last-layer least squares, the convolution operator, operator data, and the baselines of the comparison."""

import dataclasses
import math

import deepxde as dde
import numpy as np
import pytest
import torch
from repnet_pde.validation.studies import operator_pictures, time_invariant
from repnet_pde.validation.studies import operators as comparison

from repnet_pde import InputError, RepDeepONetCartesianProd
from repnet_pde.backend import quiet
from repnet_pde.operators import (
    ConvolutionOperator,
    HysteresisOperator,
    OperatorData,
    advection,
    antiderivative,
    fit_last_layer,
    gaussian_fields,
    sine_map,
    solve_separable,
    synthetic_motions,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# Least squares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_separable_least_squares_is_the_kronecker_system(ridge, bias):
    b, t, u = normal(7, 3), normal(6, 4, seed=1), normal(7, 6, seed=2) + 3
    w, offset = solve_separable(b, t, u, ridge, bias)
    weight = ridge * (np.linalg.norm(b, 2) * np.linalg.norm(t, 2)) ** 2
    rows = np.concatenate([np.kron(b, t), np.full((42, 1), float(bias))], 1)
    penalty = math.sqrt(weight) * np.eye(13)[:12]
    exact = np.linalg.lstsq(np.concatenate([rows, penalty]), np.append(u.ravel(), np.zeros(12)), rcond=None)[0]
    np.testing.assert_allclose(w.numpy().ravel(), exact[:12], rtol=1e-9, atol=1e-11)
    assert offset == pytest.approx(exact[12] if bias else 0.0, rel=1e-9)


def test_separable_least_squares_with_dependent_features_has_the_least_norm():
    b, t = normal(9, 3), normal(8, 2, seed=1)
    b, t = np.concatenate([b, b], 1), np.concatenate([t, t], 1)
    w = solve_separable(b, t, b[:, :3] @ normal(3, 2) @ t[:, :2].T, bias=False)[0].numpy()
    np.testing.assert_allclose(w[:3], w[3:], atol=1e-12)
    np.testing.assert_allclose(w[:, :2], w[:, 2:], atol=1e-12)


def build(strategy=None, outputs=1, q=(6, 6), ours=True, **options):
    sizes = [5, 12, q[0]], [1, 10, q[1]], "tanh", "Glorot normal", outputs, strategy
    if ours:
        return RepDeepONetCartesianProd(*sizes, domain=(0.0, 1.0), slope_scale=4.0, **options)
    with quiet():
        return dde.nn.DeepONetCartesianProd(*sizes)


@pytest.mark.parametrize("ours", [True, False], ids=["RepDeepONet", "DeepONet"])
@pytest.mark.parametrize(
    "strategy, outputs, q",
    [(None, 1, (6, 6)), ("independent", 2, (6, 6)), ("split_both", 2, (6, 6)), ("split_branch", 2, (12, 6))],
)
def test_a_map_in_the_span_is_recovered(strategy, outputs, q, ours):
    """The outputs of a network whose last layer is then spoilt."""
    net = build(strategy, outputs, q, ours)
    v, x = normal(40, 5), np.linspace(0, 1, 30)[:, None]
    inputs = torch.as_tensor(v), torch.as_tensor(x)
    with torch.no_grad():
        for b in net.b:
            b.fill_(0.7)
        branches = net.branch if isinstance(net.branch, torch.nn.ModuleList) else [net.branch]
        for branch in branches:
            branch.linears[-1].bias.normal_()
        wanted = net(inputs).numpy()
        for branch in branches:
            branch.linears[-1].weight.zero_()
            branch.linears[-1].bias.zero_()
    fit = fit_last_layer(net, (v, x), wanted)
    assert max(fit.training_error) < 1e-10 and max(fit.held_out_error) < 1e-8
    np.testing.assert_allclose(net(inputs).detach().numpy(), wanted, rtol=1e-8, atol=1e-9)


def test_held_out_ridge_is_better_than_none_on_noisy_data():
    v, x = normal(30, 5), np.linspace(0, 1, 30)[:, None]
    clean = np.outer(v.sum(1), np.sin(3 * x[:, 0]))
    noisy = clean + normal(30, 30, seed=3)
    test = normal(50, 5, seed=4)
    wanted = np.outer(test.sum(1), np.sin(3 * x[:, 0]))

    def error(ridge):
        torch.manual_seed(1)
        net = RepDeepONetCartesianProd([5, 25, 20], [1, 20, 20], "tanh", "Glorot normal", domain=(0.0, 1.0))
        fit_last_layer(net, (v, x), noisy, ridge)
        found = net((torch.as_tensor(test), torch.as_tensor(x))).detach().numpy()
        return np.linalg.norm(found - wanted)

    assert error("held-out") < 0.5 * error(0.0)


def test_a_linear_branch_solves_a_linear_operator():
    data = antiderivative(150, 20, 60, 60, 0.1)
    net = RepDeepONetCartesianProd([60, 60], [1, 60, 60], "tanh", "zeros", domain=(0.0, 1.0), wavenumber=30.0)
    for linear in net.trunk.linears:
        torch.nn.init.xavier_normal_(linear.weight)
    fit_last_layer(net, (data.train_v, data.points), data.train_u)
    found = net((torch.as_tensor(data.test_v), torch.as_tensor(data.points))).detach().numpy()
    assert np.linalg.norm(found - data.test_u) < 1e-6 * np.linalg.norm(data.test_u)


def bad_fit(**changes):
    given = {"net": build(), "x": (normal(8, 5), np.linspace(0, 1, 9)[:, None]), "y": normal(8, 9), "ridge": 0.0}
    given |= changes
    return lambda: fit_last_layer(given["net"], given["x"], given["y"], given["ridge"])


X = np.linspace(0, 1, 9)[:, None]
NAN = np.where(np.eye(8, 9) > 0, np.nan, 1.0)
BAD_FITS = {
    "sensors": (bad_fit(x=(normal(8, 4), X)), "x[0]: has values at 4 sensors, but the branch net takes 5"),
    "NaN": (bad_fit(y=NAN), "y: 8 of 72 values are not finite"),
    "too few": (bad_fit(x=(normal(4, 5), X), y=normal(4, 9)), "x[0]: 4 functions given; at least 5"),
    "y": (bad_fit(y=normal(9, 8)), "y: has shape (9, 8); (8, 9) is needed"),
    "points": (bad_fit(x=(normal(8, 5), X[:, 0])), "x[1]: has shape (9,)"),
    "x": (bad_fit(x=normal(8, 5)), "x: a tuple"),
    "ridge": (bad_fit(ridge=-1.0), "ridge: -1.0 given"),
    "ridge word": (bad_fit(ridge="best"), "ridge: 'best' given; \"held-out\""),
    "net": (bad_fit(net=torch.nn.Linear(2, 2)), "net: Linear given"),
    "split_trunk": (
        bad_fit(net=build("split_trunk", 2, (6, 12)), y=normal(8, 9, 2)),
        'net: has the strategy "split_trunk"',
    ),
}


@pytest.mark.parametrize("name", BAD_FITS)
def test_bad_fits(name):
    attempt, message = BAD_FITS[name]
    with pytest.raises(InputError) as caught:
        attempt()
    assert message in str(caught.value)


def test_no_fit_through_an_output_transform():
    net = build()
    net.apply_output_transform(lambda inputs, u: u**2)
    with pytest.raises(InputError, match="output transform"):
        bad_fit(net=net)()


# The convolution operator ---------------------------------------------------------------------------------------------


def test_convolution_is_its_sum():
    net = ConvolutionOperator(0.1, 0.8, 2, 7)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    a = torch.randn(3, 20)
    k = net.kernel().detach()
    assert k.shape == (9, 2)
    wanted = torch.zeros(3, 20, 2)
    for n in range(20):
        for lag in range(min(n, 8) + 1):
            wanted[:, n] += 0.1 * (0.5 if lag == 0 else 1.0) * a[:, n - lag, None] * k[lag]
        wanted[:, n] += a[:, n, None] * net.direct
    torch.testing.assert_close(net(a), wanted)
    torch.testing.assert_close(net((a, torch.arange(20.0)[:, None])), wanted)
    weights = torch.cat([net.kernel_net.linears[-1].weight.T, net.kernel_net.linears[-1].bias[None], net.direct[None]])
    torch.testing.assert_close(net.features(a) @ weights, wanted)


@pytest.mark.parametrize("first, grading, wavenumber", [("tanh", 2.0, 60.0), ("sin", None, 40.0)])
def test_a_decaying_sine_is_found_from_its_convolutions(first, grading, wavenumber):
    dt, memory, outputs = 0.02, 10.0, 2
    lag = dt * np.arange(501)[:, None]
    kernels = np.exp(-lag * [1.5, 2.5]) * np.sin(lag * [9.0, 20.0])
    weights = dt * kernels
    weights[0] *= 0.5
    a = normal(6, 900)
    u = time_invariant.apply_fir(weights, a)
    options = {"first_activation": first, "grading": grading, "wavenumber": wavenumber}
    net = ConvolutionOperator(dt, memory, outputs, 220, **options)
    misfit = net.fit(a[:4], u[:4])
    assert max(misfit) < 1e-5
    found = net(torch.as_tensor(a[4:])).detach().numpy()
    assert np.linalg.norm(found - u[4:]) < 1e-5 * np.linalg.norm(u[4:])
    assert np.abs(net.response().detach().numpy() - weights).max() < 1e-6
    between = torch.tensor([[0.213], [1.77]])  # lags off the grid; at lag 0 only the sum with the direct term is known
    exact = np.exp(-between.numpy() * [1.5, 2.5]) * np.sin(between.numpy() * [9.0, 20.0])
    np.testing.assert_allclose(net.kernel(between).detach().numpy(), exact, atol=1e-4)


def test_blocks_of_records_are_one_least_squares_problem():
    a, u = normal(19, 60), normal(19, 60, seed=1)
    net = ConvolutionOperator(0.1, 2.0, 1, 9, grading=None)
    net.fit(a, u)
    rows = net.features(torch.as_tensor(a)).flatten(0, 1).numpy()
    weights = np.linalg.lstsq(rows, u.ravel(), rcond=None)[0]
    np.testing.assert_allclose(net(torch.as_tensor(a)).detach().numpy().ravel(), rows @ weights, atol=1e-9)


def test_convolution_in_float32_is_solved_in_float64():
    from repnet_pde import set_precision

    a = normal(8, 300)
    u = time_invariant.apply_fir(0.1 * np.exp(-0.3 * np.arange(31))[:, None], a)[..., 0]
    set_precision("float32")
    net = ConvolutionOperator(0.1, 3.0, 1, 80, first_activation="tanh")
    net.fit(a, u)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    found = net(torch.as_tensor(a, dtype=torch.float32)).detach().numpy()
    assert np.linalg.norm(found - u) < 1e-3 * np.linalg.norm(u)


def test_convolution_is_trained_by_deepxde_too():
    a = normal(8, 60)
    u = time_invariant.apply_fir(0.1 * np.exp(-0.3 * np.arange(20))[:, None], a)[..., 0]
    t = 0.1 * np.arange(60)[:, None]
    with quiet():
        model = dde.Model(dde.data.TripleCartesianProd((a, t), u, (a, t), u), ConvolutionOperator(0.1, 2.0, 1, 20))
        model.compile("adam", lr=1e-2, verbose=0)
        history, _ = model.train(iterations=200, display_every=200, verbose=0)
    assert sum(history.loss_train[-1]) < 0.1 * sum(history.loss_train[0])


BAD_CONVOLUTIONS = {
    "dt": (lambda: ConvolutionOperator(0.0, 1.0), "dt: 0.0 given"),
    "memory": (lambda: ConvolutionOperator(0.1, 0.1), "memory: 0.1 s given; at least two"),
    "grading": (lambda: ConvolutionOperator(0.1, 1.0, grading=-1.0), "grading: -1.0 given"),
    "width": (lambda: ConvolutionOperator(0.1, 1.0, width=0), "width: 0 given"),
    "activation": (lambda: ConvolutionOperator(0.1, 1.0, first_activation="cos"), "first_activation: 'cos'"),
    "few": (lambda: ConvolutionOperator(0.1, 1.0, 1, 50).fit(normal(2, 20), normal(2, 20)), "a: 40 samples given"),
    "u": (lambda: ConvolutionOperator(0.1, 1.0, 2, 5).fit(normal(2, 20), normal(2, 20)), "u: has shape (2, 20)"),
    "NaN": (lambda: ConvolutionOperator(0.1, 1.0, 1, 5).fit(NAN, NAN), "a: 8 of 72 values"),
    "input": (lambda: ConvolutionOperator(0.1, 1.0)(torch.zeros(5)), "(records, samples) is needed"),
    "times": (lambda: ConvolutionOperator(0.1, 1.0)((torch.zeros(2, 5), torch.zeros(4, 1))), "4 times for 5 samples"),
}


@pytest.mark.parametrize("name", BAD_CONVOLUTIONS)
def test_bad_convolutions(name):
    attempt, message = BAD_CONVOLUTIONS[name]
    with pytest.raises(InputError) as caught:
        attempt()
    assert message in str(caught.value)


# The hysteresis operator ----------------------------------------------------------------------------------------------


def test_without_stops_it_is_exact_for_a_linear_frame():
    a = synthetic_motions(5, 1, 10.0)
    u = comparison.linear_response(comparison.FRAME, a, 0.02)
    operator = HysteresisOperator(0)
    assert operator.fit(a[:3], u[:3]) < 1e-7
    assert comparison.errors(operator.predict(a[3:]), u[3:])["worst"] < 1e-4


def test_a_stop_is_ideally_plastic_and_does_not_depend_on_the_rate():
    from repnet_pde.operators.hysteresis import _advance

    def path(drifts):
        z = np.zeros((1, 1, 2))
        for change in np.diff(drifts, prepend=0.0):
            z = _advance(z, np.array([[change]]), np.array([1.0, 5.0]))
        return z.ravel()

    np.testing.assert_allclose(path([0.5]), [0.5, 0.5])
    np.testing.assert_allclose(path([3.0]), [1.0, 3.0])
    np.testing.assert_allclose(path([3.0, 2.5]), [0.5, 2.5])
    np.testing.assert_allclose(path([3.0, -3.0, 0.0]), [1.0, 0.0])
    np.testing.assert_allclose(path(np.concatenate([np.linspace(0, 3, 50), np.linspace(3, 2.5, 9)])), [0.5, 2.5])


def test_the_yield_drift_of_a_frame_is_found():
    from repnet_pde.validation.finite_difference.shear_frame import ShearFrame, bilinear_response

    frame = ShearFrame((1e5,) * 2, (5e7,) * 2, yield_drift=0.006)
    a = synthetic_motions(12, 1, 20.0)
    u = bilinear_response(frame, a, 0.02, 4).displacement
    operator, linear = HysteresisOperator(), HysteresisOperator(0)
    operator.fit(a[:8], u[:8])
    linear.fit(a[:8], u[:8])
    assert operator.thresholds == pytest.approx([0.006], rel=0.05)
    found, plain = (comparison.errors(o.predict(a[8:]), u[8:])["worst"] for o in (operator, linear))
    assert found < 0.1 and plain > 5 * found
    given = HysteresisOperator(operator.thresholds)
    given.fit(a[:8], u[:8])
    np.testing.assert_allclose(given.weights, operator.weights)


A, U = normal(2, 30), normal(2, 30, 2, seed=1)
BAD_HYSTERESIS = {
    "count": (lambda: HysteresisOperator(-1), "thresholds: -1 given"),
    "values": (lambda: HysteresisOperator([0.1, -0.1]), "numbers > 0"),
    "unfit": (lambda: HysteresisOperator().predict(A), "call fit first"),
    "u": (lambda: HysteresisOperator(0).fit(A, U[:, 1:]), "u: has shape (2, 29, 2); (2, 30, storeys)"),
    "NaN": (lambda: HysteresisOperator(0).fit(A * np.nan, U), "a: 60 of 60 values are not finite"),
    "few": (lambda: HysteresisOperator(0).fit(A[:1, :6], U[:1, :6]), "a: 6 samples given for 7 weights"),
    "zero": (lambda: HysteresisOperator(1).fit(A, 0 * U), "u: is zero everywhere"),
}


@pytest.mark.parametrize("name", BAD_HYSTERESIS)
def test_bad_hysteresis(name):
    attempt, message = BAD_HYSTERESIS[name]
    with pytest.raises(InputError) as caught:
        attempt()
    assert message in str(caught.value)


# Data -----------------------------------------------------------------------------------------------------------------


def test_random_fields_have_their_covariance_and_antiderivatives():
    x = np.linspace(0, 1, 9)
    v = gaussian_fields(20000, 0.2, 2.0, 1)
    exact = np.exp(-((x[:, None] - x) ** 2) / (2 * 0.2**2))
    assert np.abs(np.cov(v(x).T) - exact).max() < 5 * math.sqrt(2 / 20000)
    few, h = gaussian_fields(5, 0.2, 2.0, 1), 1e-5
    slopes = (few.antiderivative(x + h) - few.antiderivative(x - h)) / (2 * h)
    np.testing.assert_allclose(slopes, few(x), atol=1e-7)
    assert np.abs(few.antiderivative(np.zeros(1))).max() < 1e-12


def test_data_are_solutions():
    data = advection(3, 2, 10, (8, 5), 0.2)
    grid = data.points.reshape(8, 5, 2)
    u = data.train_u.reshape(3, 8, 5)
    assert (grid[:, 0, 1] == 0).all()
    np.testing.assert_allclose(u[:, :, -1], u[:, :, 0], atol=1e-12)  # at t = 1 the wave has come round once
    np.testing.assert_allclose(u[:, 4, 2], u[:, 0, 0], atol=1e-12)  # x - t is 0 at both
    sines = sine_map(7.0, 3, 2, 11, 11)
    np.testing.assert_allclose(sines.train_u, np.sin(7 * sines.train_v), atol=1e-12)
    assert np.abs(sine_map(7.0, 300, 2).train_v).max() <= 1
    np.testing.assert_array_equal(sine_map(seed=3).test_u, sine_map(seed=3).test_u)


def test_triple_has_the_rows_of_the_product():
    data = antiderivative(3, 2, 10, 7, 0.2)
    product, rows = data.cartesian(), data.triple()
    assert rows.train_x[0].shape == (21, 10) and rows.train_x[1].shape == (21, 1) and rows.train_y.shape == (21, 1)
    np.testing.assert_array_equal(rows.train_y[7:14, 0], product.train_y[1])
    np.testing.assert_array_equal(rows.train_x[0][7:14], np.repeat(product.train_x[0][1:2], 7, axis=0))


GOOD = {
    "train_v": normal(4, 3),
    "train_u": normal(4, 5),
    "test_v": normal(2, 3),
    "test_u": normal(2, 5),
    "points": normal(5, 1),
    "sensors": normal(3, 1),
}
BAD_DATA = {
    "sensors": ({"test_v": normal(2, 4)}, "test_v: has values at 4 sensors, but sensors has 3"),
    "functions": ({"train_u": normal(3, 5)}, "train_u: has shape (3, 5); (4, 5) is needed"),
    "outputs": ({"test_u": normal(2, 5, 2)}, "test_u: has shape (2, 5, 2)"),
    "NaN": ({"train_v": np.full((4, 3), np.nan)}, "train_v: 12 of 12 values are not finite"),
    "one": ({"train_v": normal(1, 3), "train_u": normal(1, 5)}, "train_v: 1 function(s) given; at least 2"),
    "points": ({"points": normal(5)}, "points: has shape (5,); (points, d) is needed"),
    "text": ({"points": "many"}, "points: an array of numbers"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name):
    changes, message = BAD_DATA[name]
    with pytest.raises(InputError) as caught:
        OperatorData(**(GOOD | changes))
    assert message in str(caught.value)


# The comparison -------------------------------------------------------------------------------------------------------


def test_finite_impulse_response_is_least_squares():
    a, u = normal(3, 40), normal(3, 40, 2, seed=1)
    rows = np.concatenate([np.stack([np.roll(np.append(r, np.zeros(9)), i)[:40] for i in range(9)], 1) for r in a])
    exact = np.linalg.lstsq(rows, u.reshape(120, 2), rcond=None)[0]
    np.testing.assert_allclose(time_invariant.fir_weights(a, u, 9), exact, atol=1e-10)
    np.testing.assert_allclose(time_invariant.apply_fir(exact, a).reshape(120, 2), rows @ exact, atol=1e-12)


def test_state_space_is_exact_for_a_linear_frame():
    a = synthetic_motions(6, 1, 10.0)
    u = comparison.linear_response(comparison.FRAME, a, 0.02)
    weights = time_invariant.state_space_weights(a[:4], u[:4])
    assert comparison.errors(time_invariant.simulate(weights, a[4:]), u[4:])["worst"] < 1e-6


def test_windows_are_the_last_accelerations():
    a, u = normal(3, 12), normal(3, 12, 2, seed=1)
    data = comparison.Windows(a, u, 5)
    weights = normal(5, 1, seed=2)
    assert data.windows.shape == (3, 12, 5)
    np.testing.assert_allclose(data.windows @ weights, time_invariant.apply_fir(weights, a), atol=1e-12)
    x, y = data.train_next_batch(6)
    for window, value in zip(x, y, strict=True):
        record, k = np.argwhere((u == value).all(axis=2))[0]
        assert window[0] == a[record, k]


def test_errors_are_those_of_the_docstring():
    wanted = np.stack([np.full((2, 3), 2.0), np.full((2, 3), 10.0)], 2)
    found = wanted + [[[0.2, 0.5]]]
    row = comparison.errors(found, wanted)
    assert row["worst"] == pytest.approx(0.1) and row["mean"] == pytest.approx(0.075)
    assert row["relative_l2"] == pytest.approx(math.sqrt((0.04 + 0.25) / 104))
    assert comparison.errors(found * np.inf, wanted)["worst"] is None


def test_layers_of_both_networks_are_alike():
    for case in comparison.CASES:
        plain, ours = (comparison.network(case, k).num_trainable_parameters() for k in ("deeponet", "repdeeponet"))
        assert abs(ours / plain - 1) < 0.05


def test_the_picture_of_a_frame(tmp_path, monkeypatch):
    case = next(c for c in comparison.CASES if c.name == "frame, bilinear")
    assert set(case.methods) >= {"hysteresis", "convolution", "fir", "state-space", "window"}
    data = OperatorData(normal(2, 60), normal(2, 60, 6), normal(1, 60), normal(1, 60, 6), normal(60, 1), normal(60, 1))
    results = {method: [{"sample": normal(60).tolist()}] for method in case.methods}
    figure = operator_pictures.picture_of_frame(dataclasses.replace(case, data=lambda seed: data), results)
    assert len(figure.axes) == 3 and len(figure.axes[2].lines) == 7


def test_the_command_writes_table_and_pictures_and_continues(tmp_path, monkeypatch):
    from click.testing import CliRunner

    small = tuple(
        dataclasses.replace(
            c, data=lambda seed, f=f: f(20, 5, 10, 8, seed=seed), branch=(10, 8, 8), trunk=(1, 8, 8), batch=10
        )
        for c, f in ((comparison.CASES[0], antiderivative), (comparison.CASES[2], lambda *n, seed: sine_map(2.0, *n)))
    )
    monkeypatch.setattr(comparison, "CASES", small)
    monkeypatch.setattr(comparison, "FOLDER", tmp_path)
    arguments = ["--seeds", "2", "--steps", "3", "--runs", tmp_path / "runs", "--table", tmp_path / "t.md"]
    arguments = [*map(str, arguments), "--pictures", str(tmp_path)]
    first = CliRunner().invoke(comparison.main, arguments, catch_exceptions=False)
    assert first.exit_code == 0
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert text.count("| antiderivative |") == 5 and text.count("| sine_map") == 4 and "MISSED" in text
    assert (tmp_path / "operators_errors.png").stat().st_size > 0
    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").iterdir()}
    assert len(files) == 11
    second = CliRunner().invoke(comparison.main, arguments, catch_exceptions=False)
    assert second.output == first.output and files == {f: f.stat().st_mtime_ns for f in files}
