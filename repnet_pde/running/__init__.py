"""Running: plan, train, verify, store, resume."""
