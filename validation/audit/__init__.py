"""The audit: is what `solve` and `identify` say true? Random problems whose truth is known, of many kinds.

    python -m repnet_pde.validation.audit

"Said" is what a user reads: the status, the error indicator, the intervals, what is called identifiable. "True" is
known by construction and kept beside the problem, where neither solver nor status can see it. `judge.FIGURES` are what
the audit promises: figures that must be zero (false statements) and figures of power (true statements that have to be
made).
"""
