"""Is it solved? Errors against a solution or a reference, the convergence status, what is determined."""
