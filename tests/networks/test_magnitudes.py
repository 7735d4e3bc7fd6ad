"""The magnitude estimates against Monte Carlo over real networks and against closed forms."""

import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde.errors import InputError
from repnet_pde.networks.magnitudes import magnitudes
from repnet_pde.networks.slopes import FIRST_ACTIVATIONS

TOLERANCE = 0.05


def monte_carlo(sizes, activation, initializer, first=None, seeds=44, n_points=48, **options):
    """Mean squares of activations and slopes per layer, as `magnitudes` gives them, from real networks."""
    totals = None
    for seed in range(seeds):
        torch.manual_seed(seed)
        net = repnet_pde.RepNet(sizes, activation, initializer, first_activation=first, **options)

        def layers(x, net=net):
            values = [FIRST_ACTIVATIONS[net.first_activation](net.first(x))]
            for act, linear in zip(net.activation, net.linears[:-1], strict=True):
                values.append(act(linear(values[-1])))
            return (*values, net.linears[-1](values[-1]))

        x = 2 * torch.quasirandom.SobolEngine(sizes[0], scramble=True, seed=seed).draw(n_points) - 1
        squares = [float(v.detach().square().mean()) for v in layers(x)]
        slopes = []
        for axis in range(sizes[0]):
            tangent = torch.zeros_like(x)
            tangent[:, axis] = 1
            slopes.append([float(v.detach().square().mean()) for v in torch.func.jvp(layers, (x,), (tangent,))[1]])
        found = np.column_stack([squares, np.array(slopes).T])  # (layers, 1 + d)
        totals = found if totals is None else totals + found
    return totals / seeds, float(net.first.feature_scale)


def estimated(*args, **options):
    m = magnitudes(*args, **options)
    return np.column_stack([m.mean_square, np.array(m.mean_square_slope)])


# Outputs as wide as the layers: each is one more sample of the random output layer.
CASES = [
    # d, hidden widths, outputs, activation, initialiser, slope_scale, stretch
    (1, (256,), 256, "tanh", "Glorot normal", 5.0, None),
    (1, (256, 256), 64, "tanh", "He normal", 40.0, None),
    (1, (512, 256, 256), 256, "tanh", "Glorot uniform", (2.0, 100.0), None),
    (2, (256,), 128, "tanh", "He uniform", 3.0, None),
    (2, (256, 256), 256, "tanh", "Glorot normal", 20.0, (1.0, 0.1)),
    (2, (512, 256, 256), 256, "tanh", "He normal", (1.0, 30.0), (1.0, 3.0)),
    (4, (256, 256), 256, "tanh", "Glorot normal", 2.0, None),
    (4, (512, 256, 256), 256, "tanh", "He normal", (0.5, 15.0), (1.0, 0.5, 0.5, 0.2)),
    (4, (256,), 256, "tanh", "He uniform", 30.0, None),
    (1, (256, 256, 256), 256, "relu", "He normal", 10.0, None),
    (1, (256,), 64, "relu", "Glorot normal", (2.0, 50.0), None),
    (2, (256, 256), 256, "relu", "Glorot uniform", 4.0, (1.0, 0.2)),
    (2, (512, 256, 256), 256, "relu", "He uniform", (1.0, 9.0), None),
    (4, (256, 256, 256), 256, "relu", "He normal", 3.0, (1.0, 2.0, 0.5, 1.0)),
    (4, (256,), 128, "relu", "Glorot normal", (1.0, 20.0), None),
]


@pytest.mark.parametrize("d, hidden, outputs, activation, initializer, slope_scale, stretch", CASES)
def test_agrees_with_monte_carlo(d, hidden, outputs, activation, initializer, slope_scale, stretch):
    sizes = [d, *hidden, outputs]
    found, feature_scale = monte_carlo(sizes, activation, initializer, slope_scale=slope_scale, stretch=stretch)
    ours = estimated(
        sizes,
        activation,
        slope_scale=slope_scale,
        kernel_initializer=initializer,
        stretch=stretch,
        feature_scale=feature_scale,
    )
    np.testing.assert_allclose(ours, found, rtol=TOLERANCE)


def test_other_hidden_activation_than_first():
    sizes = [2, 256, 256, 256]
    options = {"slope_scale": 6.0}
    found, feature_scale = monte_carlo(sizes, "tanh", "He normal", first="relu", **options)
    ours = estimated(
        sizes,
        "tanh",
        first_activation="relu",
        kernel_initializer="He normal",
        feature_scale=feature_scale,
        **options,
    )
    np.testing.assert_allclose(ours, found, rtol=TOLERANCE)


@pytest.mark.parametrize("slope", [20.0, 100.0, 1000.0])
def test_steep_tanh_in_1d_approaches_its_asymptotes(slope):
    first = magnitudes([1, 256, 1], slope_scale=slope)
    assert first.mean_square[0] == pytest.approx(1 - 1 / slope, abs=1 / slope**2)
    assert first.mean_square_slope[0][0] == pytest.approx(2 * slope / 3, rel=1 / slope)


@pytest.mark.parametrize("slope", [0.3, 3.0, 30.0])
def test_first_tanh_layer_in_1d_is_the_double_integral(slope):
    z = (2 * np.arange(2000) + 1) / 2000 - 1
    t = np.tanh(slope * (z[:, None] - z))
    first = magnitudes([1, 256, 1], slope_scale=slope)
    assert first.mean_square[0] == pytest.approx(np.mean(t**2), rel=1e-4)
    assert first.mean_square_slope[0][0] == pytest.approx(np.mean((slope * (1 - t**2)) ** 2), rel=1e-4)


def test_log_uniform_slopes_are_the_mean_over_the_scales():
    scales = 2.0 * 25.0 ** ((np.arange(200) + 0.5) / 200)
    single = [magnitudes([1, 256, 1], slope_scale=s).mean_square[0] for s in scales]
    assert magnitudes([1, 256, 1], slope_scale=(2.0, 50.0)).mean_square[0] == pytest.approx(np.mean(single), rel=1e-3)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_relu_closed_form(d):
    """E[relu(v)²] = s² Σ w_i²/(3d), E[relu'²] = s² w_i²/(2d); He layers keep both, the output doubles them."""
    s, width = 7.0, 300
    w = 1.0 / np.arange(1, d + 1)
    m = magnitudes([d, width, width, 1], "relu", slope_scale=s, stretch=w, kernel_initializer="He normal")
    np.testing.assert_allclose(m.mean_square, s**2 * np.sum(w**2) / (3 * d) * np.array([1, 1, 2]), rtol=1e-12)
    for slope, factor in zip(m.mean_square_slope, (1, 1, 2), strict=True):
        np.testing.assert_allclose(slope, factor * s**2 * w**2 / (2 * d), rtol=1e-12)


def test_glorot_output_of_one_hidden_layer_is_the_weight_variance_times_its_width():
    m = magnitudes([2, 300, 1], slope_scale=5.0)
    gain = 300 * 2 / 301
    assert m.mean_square[1] == pytest.approx(gain * m.mean_square[0], rel=1e-12)
    np.testing.assert_allclose(m.mean_square_slope[1], gain * m.mean_square_slope[0], rtol=1e-12)
    assert m.output_rms**2 == pytest.approx(m.mean_square[1])
    np.testing.assert_allclose(m.slope_to_output**2, m.mean_square_slope[0] / m.mean_square[0])


def test_a_flat_hidden_tanh_layer_is_linear():
    """Small arguments: tanh(g) = g, so every layer multiplies by its gain."""
    m = magnitudes([1, 256, 256, 1], slope_scale=1e-3)
    assert m.mean_square[1] == pytest.approx(m.mean_square[0], rel=1e-5)
    assert m.mean_square_slope[1][0] == pytest.approx(m.mean_square_slope[0][0], rel=1e-5)


def test_feature_scale_multiplies_the_features():
    one, three = (magnitudes([2, 256, 1], "relu", slope_scale=4.0, feature_scale=c) for c in (1.0, 3.0))
    np.testing.assert_allclose(np.array(three.mean_square), 9 * np.array(one.mean_square))
    np.testing.assert_allclose(three.slope_to_output, one.slope_to_output)


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"layer_sizes": [1, 1]}, "layer_sizes"),
        ({"layer_sizes": [1, 0, 1]}, "layer_sizes"),
        ({"activation": "sigmoid"}, "activation"),
        ({"first_activation": "sin"}, "first_activation"),
        ({"slope_scale": -1.0}, "slope_scale"),
        ({"slope_scale": (5.0, 2.0)}, "slope_scale"),
        ({"slope_scale": (1.0, 2.0, 3.0)}, "slope_scale"),
        ({"slope_scale": float("nan")}, "slope_scale"),
        ({"kernel_initializer": "zeros"}, "kernel_initializer"),
        ({"stretch": (1.0, 2.0)}, "stretch"),
        ({"stretch": 0.0}, "stretch"),
        ({"feature_scale": 0.0}, "feature_scale"),
    ],
)
def test_bad_input_is_named(arguments, word):
    with pytest.raises(InputError, match=word):
        magnitudes(**({"layer_sizes": [1, 64, 1], "slope_scale": 1.0} | arguments))
