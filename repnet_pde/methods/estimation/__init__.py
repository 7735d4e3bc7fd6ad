"""What the methods for unknowns are made of: rows, starts, noise, the state that is eliminated, the posterior."""
