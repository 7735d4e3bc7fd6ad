"""Discretization of a problem by a network: jets, basis functions, Jacobians, residuals in the last layer, the loss."""
