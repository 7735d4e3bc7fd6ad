"""The main path: plan, train, check, store, resume."""
