"""Planning: choice of method, network and number of points before training."""
