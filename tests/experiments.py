"""Small problems of identification in common: domains, settings, and times with standard normal errors."""

import deepxde as dde
import numpy as np

LINE = dde.geometry.Interval(0, 1)
TIME = dde.geometry.TimeDomain(0, 1)
SMALL = {"network_options": {"layers": [14]}, "progress": False}
ONE = SMALL | {"method": "joint", "starts": 1}


def everywhere(x, on_boundary):
    return on_boundary


def left(x, on_boundary):
    return on_boundary and x[0] < 0.5


def right(x, on_boundary):
    return on_boundary and x[0] > 0.5


def times(n=20):
    return np.linspace(0, 1, n + 1)[1:, None]


def errors(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 1))
