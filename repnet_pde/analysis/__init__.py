"""Analysis of a problem before it is solved: linearity, the symbol of its operator, wavenumbers."""
