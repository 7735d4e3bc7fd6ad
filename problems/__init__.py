"""The catalogue: one file a problem, in the form in which users write their own."""
