"""Which method, which network, how many points: decided before anything is trained."""
