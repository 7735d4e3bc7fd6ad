"""The audit: tests of the statements of `solve` and `identify` on random problems of many kinds with known solutions.

    python -m repnet_pde.validation.audit

Statements ("said") are what the user sees: the convergence status, the error indicator, the intervals, identifiability.
The truth is known by construction and stored separately from the problem, inaccessible to solver and status.
`judge.FIGURES` are the acceptance criteria: counts of false statements, which must be zero, and figures of statistical
power (true statements that have to be made).
"""
