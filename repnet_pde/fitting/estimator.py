"""`RepNetRegressor`: `fit` as a scikit-learn estimator."""

from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as _error:
    raise ImportError("RepNetRegressor needs scikit-learn >= 1.6: pip install 'repnet-pde[sklearn]'") from _error

from ..errors import InputError
from .fit import fit


class RepNetRegressor(RegressorMixin, BaseEstimator):
    """Regression by RepNet, for pipelines, cross-validation and grid search.

    The parameters are the arguments of `repnet_pde.fit`; ``random_state`` is its seed. A column of X is a coordinate;
    no scaling is needed, since the network normalises its inputs and outputs itself.

    Attributes:
        fit_: the `repnet_pde.Fit`.
        n_features_in_: as in scikit-learn.
        feature_names_in_: as in scikit-learn.

    Raises:
        InputError: from ``fit``, for a parameter that cannot be used (a ValueError).
    """

    def __init__(
        self,
        *,
        network: Any = None,
        method: str = "auto",
        dtype: str = "float64",
        time_limit: float | None = None,
        noise: Any = None,
        validation: Any = 0.1,
        iterations: int | dict[str, int] | None = None,
        network_options: dict | None = None,
        method_options: dict | None = None,
        random_state: Any = 0,
    ):
        self.network = network
        self.method = method
        self.dtype = dtype
        self.time_limit = time_limit
        self.noise = noise
        self.validation = validation
        self.iterations = iterations
        self.network_options = network_options
        self.method_options = method_options
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> "RepNetRegressor":
        """Fit to X (n, d) and y (n,) or (n, c)."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        if len(X) < 2:
            raise InputError(f"X: 1 sample given; at least 2 are needed (n_samples={len(X)})")
        self.fit_ = fit(
            X,
            y,
            self.network,
            self.method,
            self._seed(),
            self.dtype,
            self.time_limit,
            noise=self.noise,
            validation=self.validation,
            iterations=self.iterations,
            network_options=self.network_options,
            method_options=self.method_options,
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Values (n,) or (n, c) at X (n, d)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return self.fit_.predict(X)

    def _seed(self) -> int:
        if self.random_state is None or isinstance(self.random_state, np.random.RandomState):
            generator = self.random_state or np.random.mtrand._rand
            return int(generator.randint(2**31))
        return self.random_state
