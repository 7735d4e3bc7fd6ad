"""Function approximation from samples: `fit`, its search for a first layer, and the scikit-learn estimator."""
