"""Unknowns and observations: scales, noise, estimates with confidence intervals, diagnostics from the residuals."""
