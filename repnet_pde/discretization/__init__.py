"""Problem x network -> rows: jets, basis functions, Jacobians, residuals as functions of the last layer, the loss."""
