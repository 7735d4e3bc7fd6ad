"""The wave of the tutorial and its error, with nothing known of its wavenumber."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from blocks import load
from scipy.special import airy

from repnet_pde import solve

K = 50.0
problem = load(Path("tutorial.md"), "turning_point.py", k=K)
u = solve(problem, progress=False).predict
x = np.linspace(-1, 1, 2001)
exact = airy(-(K ** (2 / 3)) * x)[0] / airy(-(K ** (2 / 3)))[0]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
left.plot(x, exact, color="0.7", linewidth=3, label="Airy's function")
left.plot(x, u(x[:, None])[:, 0], linewidth=1, label="RepNet")
left.set(xlabel="x", ylabel="u")
left.legend(loc="upper left")
right.semilogy(x, np.abs(u(x[:, None])[:, 0] - exact).clip(1e-18), linewidth=0.7)
right.set(xlabel="x", ylabel="absolute error")
