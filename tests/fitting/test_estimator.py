"""`RepNetRegressor` as a scikit-learn estimator."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from repnet_pde import InputError, RepNetRegressor


@parametrize_with_checks([RepNetRegressor()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def data(n=400):
    x = np.random.default_rng(0).uniform(0, 3, (n, 1))
    return x, np.sin(30 * x[:, 0])


def test_pipeline_and_cross_validation():
    x, y = data()
    model = make_pipeline(StandardScaler(), RepNetRegressor())
    assert cross_val_score(model, x, y, cv=3).min() > 1 - 1e-6


def test_grid_search_over_its_parameters():
    x, y = data(150)
    grid = {"network_options": [{"layers": [4]}, {"layers": [60]}]}
    found = GridSearchCV(RepNetRegressor(network="repnet-sin"), grid, cv=3).fit(x, y)
    assert found.best_params_ == {"network_options": {"layers": [60]}}


def test_bad_parameters_are_named_when_it_is_fitted():
    with pytest.raises(InputError, match="method: 'no'"):
        RepNetRegressor(method="no").fit(*data(50))
