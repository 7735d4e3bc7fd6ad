"""Unknowns and observations: scales, noise, estimates with intervals, and what the residuals say of them."""
