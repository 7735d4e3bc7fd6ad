"""Wavenumber estimates for functions and observations with known largest wavenumbers."""

import warnings

import deepxde as dde
import numpy as np
import pytest

import repnet_pde
from repnet_pde.analysis.spectrum import estimate_wavenumber, estimate_wavenumber_from_samples
from repnet_pde.errors import InputError

PI = np.pi


@pytest.fixture(autouse=True)
def warnings_are_errors(request):
    """A resolved estimate does not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def wave(k, phase=0.3):
    return lambda x: np.sin(k * x[:, 0] + phase)


@pytest.mark.parametrize("k", [2 * PI, 7.7 * PI, 50 * PI, 333.3, 1234.5, 5000.0])
@pytest.mark.parametrize("domain", [(0.0, 1.0), (-1.0, 1.0), (10.0, 13.0)])
def test_single_wave(k, domain):
    (found,) = estimate_wavenumber(wave(k), domain)
    one = 2 * PI / (domain[1] - domain[0])
    assert k <= found <= k + one


@pytest.mark.parametrize("k_high, amplitude", [(50 * PI, 0.1), (200 * PI, 0.01), (1000 * PI, 0.01)])
def test_small_high_frequency_part_counts(k_high, amplitude):
    (found,) = estimate_wavenumber(lambda x: np.sin(2 * PI * x[:, 0]) + amplitude * np.sin(k_high * x[:, 0]), (0, 1))
    assert k_high <= found <= k_high + 2 * PI


def test_amplitude_below_significance_is_ignored():
    def function(x):
        return np.sin(4 * PI * x[:, 0]) + 1e-3 * np.sin(100 * PI * x[:, 0])

    assert estimate_wavenumber(function, (0, 1), significance=1e-2)[0] < 8 * PI
    assert estimate_wavenumber(function, (0, 1), significance=1e-4)[0] >= 100 * PI


def test_small_component_counts_on_its_own_scale():
    def function(x):
        return np.column_stack([1e6 * np.cos(2 * PI * x[:, 0]), np.sin(60 * PI * x[:, 0])])

    assert 60 * PI <= estimate_wavenumber(function, (0, 1))[0] <= 62 * PI


def test_chirp_up_to_its_end():
    """sin 2π(3x + 10.5x²): the local wavenumber 2π(3 + 21x) reaches 48π at x = 1."""
    (found,) = estimate_wavenumber(lambda x: np.sin(2 * PI * (3 * x[:, 0] + 10.5 * x[:, 0] ** 2)), (0, 1))
    assert 0.95 * 48 * PI <= found <= 1.5 * 48 * PI


@pytest.mark.parametrize("function", [np.exp, np.square, np.arctan, lambda x: x])
def test_smooth_function_that_is_not_periodic(function):
    (found,) = estimate_wavenumber(lambda x: function(x[:, 0]), (-1, 1))
    assert PI <= found <= 3 * PI


@pytest.mark.parametrize("rate", [50.0, 1000.0])
def test_boundary_layer_is_seen(rate):
    (found,) = estimate_wavenumber(lambda x: np.exp(-rate * x[:, 0]), (0, 1))
    assert 0.9 * rate <= found <= 5 * rate


@pytest.mark.parametrize("rate", [30.0, 300.0])
def test_interior_layer_needs_more_than_its_slope(rate):
    (found,) = estimate_wavenumber(lambda x: np.tanh(rate * (x[:, 0] - 0.4)), (0, 1))
    assert rate <= found <= 10 * rate


@pytest.mark.parametrize("value", [0.0, 3.0, 1e12])
def test_constant_gives_one_wave(value):
    np.testing.assert_allclose(
        estimate_wavenumber(lambda x: np.full(len(x), value), ([0, 0], [2, 5])), [PI, 2 * PI / 5]
    )


def test_offset_does_not_hide_a_wave():
    assert estimate_wavenumber(lambda x: 1e4 + np.sin(40 * x[:, 0]), (0, PI))[0] >= 40


def test_axes_differ():
    def function(x):
        return np.sin(30 * PI * x[:, 0]) * np.cos(4 * PI * x[:, 1]) + x[:, 2]

    k = estimate_wavenumber(function, ([0, 0, 0], [1, 1, 1]))
    assert 30 * PI <= k[0] <= 32 * PI
    assert 4 * PI <= k[1] <= 6 * PI
    assert 2 * PI <= k[2] <= 6 * PI


def test_geometry_in_time():
    geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 2))
    k = estimate_wavenumber(lambda x: np.exp(-x[:, 1]) * np.sin(50 * PI * x[:, 0]), geometry)
    assert 50 * PI <= k[0] <= 52 * PI
    assert PI <= k[1] <= 3 * PI


def test_disk_uses_its_bounding_box():
    k = estimate_wavenumber(lambda x: np.sin(20 * x[:, :1]), dde.geometry.Disk([0, 0], 2.0))
    assert 20 <= k[0] <= 20 + PI / 2
    assert k[1] == pytest.approx(PI / 2)


def test_frequency_that_aliases_at_a_first_sampling_is_found():
    """With 251 samples a sine of 250, 500, ... waves looks constant."""
    for waves in (250, 500, 503.9, 1132, 2288.6):
        (found,) = estimate_wavenumber(wave(2 * PI * waves), (0, 1))
        assert found >= 2 * PI * waves


def test_noise_warns():
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="not resolved along axis 0"):
        estimate_wavenumber(lambda x: rng.standard_normal(len(x)), (0, 1), max_samples=2100)


def test_too_high_for_the_samples_warns():
    with pytest.warns(UserWarning, match="733 samples"):
        estimate_wavenumber(wave(1500.0 * PI), (0, 1), max_samples=1100)


@pytest.mark.parametrize(
    "function, domain, options, word",
    [
        (lambda x: x[:5, 0], (0, 1), {}, "function: returned shape"),
        (lambda x: 1.0, (0, 1), {}, "function: returned shape"),
        (lambda x: np.where(x[:, 0] > 0.5, np.nan, 1.0), (0, 1), {}, "function: not finite at"),
        (wave(1.0), (1, 0), {}, "domain"),
        (wave(1.0), "box", {}, "domain"),
        (wave(1.0), (0, 1), {"significance": 2.0}, "significance"),
        (wave(1.0), (0, 1), {"lines": 0}, "lines"),
        (wave(1.0), (0, 1), {"max_samples": 10}, "max_samples"),
    ],
)
def test_bad_function_or_option(function, domain, options, word):
    with pytest.raises(InputError, match=word):
        estimate_wavenumber(function, domain, **options)


# Observations


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_samples_in_1d(even, noise):
    rng = np.random.default_rng(1)
    x = np.linspace(0, 3, 400) if even else 3 * rng.random(400)
    x = rng.permutation(x)
    y = np.sin(2 * x) + 0.2 * np.sin(120 * x) + noise * rng.standard_normal(400)
    (found,) = estimate_wavenumber_from_samples(x, y)
    assert 120 <= found <= 120 + 2 * PI / 3


@pytest.mark.parametrize("even", [True, False])
def test_samples_in_2d(even):
    rng = np.random.default_rng(2)
    if even:
        x = np.stack(np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 2, 40), indexing="ij"), -1).reshape(-1, 2)
        x = rng.permutation(x)
    else:
        x = rng.random((1500, 2)) * [1, 2]
    y = np.sin(20 * PI * x[:, 0]) * np.sin(3 * PI * x[:, 1]) + 0.02 * rng.standard_normal(len(x))
    k = estimate_wavenumber_from_samples(x, np.column_stack([y, np.ones(len(x))]))
    assert 20 * PI <= k[0] <= 22 * PI
    assert 3 * PI <= k[1] <= 4 * PI


@pytest.mark.parametrize("even", [True, False])
def test_smooth_samples(even):
    x = np.linspace(0, 1, 200) if even else np.random.default_rng(0).random(200)
    assert estimate_wavenumber_from_samples(x, np.exp(x))[0] <= 10 * PI


def test_constant_samples():
    x = np.random.default_rng(0).random((50, 2))
    np.testing.assert_allclose(estimate_wavenumber_from_samples(x, np.full(50, 2.0)), 2 * PI, rtol=0.2)


@pytest.mark.parametrize("even", [True, False])
def test_noise_samples_warn(even):
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 300) if even else rng.random(300)
    y = np.sin(2 * PI * 140 * x) if even else rng.standard_normal(300)
    with pytest.warns(UserWarning, match="not resolved by the samples"):
        estimate_wavenumber_from_samples(x, y)


@pytest.mark.parametrize(
    "x, y, word",
    [
        (np.arange(20.0), np.arange(19.0), "y: 19 values for 20 points"),
        (np.arange(5.0), np.arange(5.0), "x: 5 points given"),
        (np.random.default_rng(0).random((10, 2)), np.arange(10.0), "at least 16"),
        (np.arange(20.0), np.append(np.arange(19.0), np.nan), "y: 1 of 20"),
        (np.append(np.arange(19.0), np.inf), np.arange(20.0), "x: 1 of 20"),
        (np.zeros(20), np.arange(20.0), "x: lower"),
        (np.zeros((4, 5, 2)), np.arange(20.0), "x: shape"),
        (["a"] * 20, np.arange(20.0), "x: an array of numbers"),
        (np.arange(20.0), np.zeros((20, 2, 2)), "y: shape"),
    ],
)
def test_bad_samples(x, y, word):
    with pytest.raises(InputError, match=word):
        estimate_wavenumber_from_samples(x, y)


def test_public_names():
    assert repnet_pde.estimate_wavenumber is estimate_wavenumber
    assert repnet_pde.estimate_wavenumber_from_samples is estimate_wavenumber_from_samples
