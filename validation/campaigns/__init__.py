"""Many runs of the catalogue: validate, compare, report."""
