"""Verification: errors against a solution or a reference, the convergence status, uniqueness of the solution."""
