"""The training loop, its progress, and drop-in training of a user's own model."""
