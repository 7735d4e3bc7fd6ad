"""The automatic start of the first layer: slope scale, stretch and their note."""

import math

import deepxde as dde
import numpy as np
import pytest
import torch

from repnet_pde import RepNet
from repnet_pde.domain import box_of
from repnet_pde.errors import InputError
from repnet_pde.networks.magnitudes import magnitudes
from repnet_pde.networks.slopes import MOST_SLOPE_PER_SPACING, normalized_wavenumbers, start, suggest_slopes

WIDE = 10**7


def gradient_to_size(dim, slope, stretch=None):
    """Mean-square gradient of the tanh features over their mean square."""
    first = magnitudes([dim, 2, 1], slope_scale=slope, stretch=stretch)
    return np.sum(first.mean_square_slope[0]) / first.mean_square[0]


@pytest.mark.parametrize("activation", ["tanh", "gaussian"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_more_wavenumber_more_slope_until_the_cap(dim, activation):
    width = 4096
    slopes = [suggest_slopes(dim, width, activation, np.full(dim, k))[0] for k in np.geomspace(math.pi, 1e5, 12)]
    assert (np.diff(slopes) >= 0).all() and slopes[0] < slopes[3]
    spacing = 2 / width ** (1 / dim)
    assert slopes[-1] * spacing == pytest.approx(MOST_SLOPE_PER_SPACING)


def test_slope_is_the_wavenumber_for_tanh_and_a_third_for_gaussian():
    assert suggest_slopes(1, WIDE, "tanh", [78.5])[0] == pytest.approx(78.5)
    assert suggest_slopes(2, WIDE, "gaussian", [78.5, 30.0])[0] == pytest.approx(78.5 / 3)


@pytest.mark.parametrize("stretch", [(1.0, 1.0), (1.0, 0.04), (0.3, 1.0, 0.1), (1.0, 1.0, 1.0, 1.0)])
@pytest.mark.parametrize("k", [40.0, 80.0])
def test_predicted_gradient_is_reached_where_the_width_allows(stretch, k):
    """2κ̂/3 (the 1-D layer with s = κ̂) without stretch; less with it, since fewer directions are steep."""
    dim = len(stretch)
    slope, found_stretch, note = suggest_slopes(dim, 10**12, "tanh", k * np.array(stretch))
    np.testing.assert_allclose(found_stretch, stretch)
    reached = gradient_to_size(dim, slope, stretch) / gradient_to_size(1, k)
    assert reached == pytest.approx(1.0, rel=0.07) if min(stretch) == 1.0 else 0.5 < reached < 1.0
    assert "wanted" not in note


def test_note_tells_the_predicted_ratio():
    slope, stretch, note = suggest_slopes(2, 10**6, "tanh", [20.0, 5.0])
    predicted = magnitudes([2, 2, 1], slope_scale=slope, stretch=stretch)
    ratio = np.sqrt(predicted.mean_square_slope[0] / predicted.mean_square[0])
    assert f"slope over feature ({ratio[0]:.3g}, {ratio[1]:.3g})" in note


@pytest.mark.parametrize("stretch", [(2.0, 2.0), (4.0, 1.0)])
def test_stretch_given_in_other_units_is_the_same_layer(stretch):
    one = suggest_slopes(2, 100, "tanh", [50.0, 50.0], np.array(stretch))
    other = suggest_slopes(2, 100, "tanh", [50.0, 50.0], np.array(stretch) / stretch[0])
    np.testing.assert_allclose(one[0] * one[1], other[0] * other[1])


def test_real_layer_has_the_predicted_gradient():
    net = RepNet([2, 2000, 1], domain=([0, 0], [1, 3]), wavenumber=[4 * math.pi, 2 * math.pi / 3])
    x = torch.tensor([1.0, 3.0]) * torch.rand(300, 2)

    def features(x):
        return torch.tanh(net.first(x))

    total = 0.0
    for axis, half in enumerate((0.5, 1.5)):
        tangent = torch.zeros_like(x)
        tangent[:, axis] = half
        total += torch.func.jvp(features, (x,), (tangent,))[1].square().mean()
    ratio = float((total / features(x).square().mean()).detach())
    assert ratio == pytest.approx(gradient_to_size(2, 2 * math.pi, (1.0, 0.5)), rel=0.05)


def test_capped_slope_says_so_and_how_many_neurons_are_needed():
    slope, _, note = suggest_slopes(1, 20, "tanh", [300.0])
    assert slope == pytest.approx(20 * MOST_SLOPE_PER_SPACING / 2)
    assert "300 was wanted, but 20 neurons are few: about 300" in note
    assert suggest_slopes(1, 300, "tanh", [300.0])[0] == pytest.approx(300.0)


def test_stretch_follows_the_wavenumbers_and_axes_with_little_variation_do_not_count_as_dimensions():
    _, stretch, note = suggest_slopes(2, 256, "tanh", [80.0, 4.0])
    np.testing.assert_allclose(stretch, [1, 0.05])
    assert "stretch (1, 0.05)" in note
    isotropic = suggest_slopes(2, 256, "tanh", [500.0, 500.0])[0]
    one_axis = suggest_slopes(2, 256, "tanh", [500.0, math.pi])[0]
    assert isotropic == pytest.approx(16) and 200 < one_axis < 256


def test_wavenumbers_are_normalised_to_the_domain_with_one_wave_at_least():
    box = box_of(([0, 0, 0], [1, 2, 4]))
    np.testing.assert_allclose(normalized_wavenumbers(20.0, box), [10, 20, 40])
    np.testing.assert_allclose(normalized_wavenumbers([20.0, 1.0, 3.0], box), [10, math.pi, 6])
    np.testing.assert_allclose(normalized_wavenumbers(None, box), math.pi)


def test_net_starts_with_what_was_suggested():
    geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    net = RepNet([2, 512, 1], domain=geometry, wavenumber=[40.0, 20.0])
    scale, stretch, note = suggest_slopes(2, 512, "tanh", [20.0, 10.0])
    assert net.slope_note == note and f"{scale:.3g}" in note
    np.testing.assert_allclose(net.first.slope_scale, scale, rtol=1e-6)
    steep = net.first.direction.detach().square().mean(0).sqrt()
    assert float(steep[1] / steep[0]) == pytest.approx(stretch[1], rel=0.05)


@pytest.mark.parametrize("wavenumber", [10.0, 1000.0])
def test_relu_features_are_of_order_one(wavenumber):
    net = RepNet([2, 1024, 1], "relu", domain=(0, 1), wavenumber=wavenumber)
    features = torch.relu(net.first(torch.rand(1000, 2)))
    assert float(features.square().mean()) == pytest.approx(1.0, rel=0.1)
    assert "ReLU" in net.slope_note


def test_sine_wave_vectors_fill_the_box_of_wavenumbers():
    net = RepNet([2, 1000, 1], first_activation="sin", domain=([0, 0], [2, 1]), wavenumber=[30.0, 8.0])
    weight, _ = net.linear_equivalent()
    limit = torch.tensor([1.25 * 30, 1.25 * 8])
    assert (weight.abs() <= limit * 1.0001).all()
    spread = (weight / limit).square().mean(0)
    torch.testing.assert_close(spread, torch.full((2,), 1 / 3), rtol=0.02, atol=0)


def test_the_choice_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = start(2, 16, "tanh", box_of(None, 2), slope_scale=3.0).anchor
    torch.manual_seed(0)
    assert torch.equal(start(2, 16, "tanh", box_of(None, 2), wavenumber=17.0).anchor, expected)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"slope_scale": "automatic"}, "slope_scale: 'automatic'.*'auto'"),
        ({"slope_scale": 0.0}, "slope_scale: 0.0"),
        ({"slope_scale": (3.0, 1.0)}, "slope_scale"),
        ({"slope_scale": [1.0, 2.0]}, "slope_scale"),
        ({"slope_scale": 1j}, "slope_scale"),
        ({"wavenumber": 0.0}, "wavenumber: 0.0"),
        ({"wavenumber": [1.0, 2.0, 3.0]}, "wavenumber"),
        ({"wavenumber": float("nan")}, "wavenumber"),
        ({"slope_scale": 2.0, "wavenumber": 2.0}, "wavenumber: only used"),
        ({"stretch": [1.0, -1.0]}, "stretch"),
        ({"stretch": [1.0]}, "stretch"),
        ({"first_activation": "sin", "stretch": [1.0, 0.5]}, "stretch"),
        ({"domain": ([0, 0], [1, 0])}, "domain"),
    ],
)
def test_bad_input_is_named(options, word):
    with pytest.raises(InputError, match=word):
        RepNet([2, 8, 1], **options)
