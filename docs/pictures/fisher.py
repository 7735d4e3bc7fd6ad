"""Fisher's equation of the tutorial: the front over space and time, and profiles."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from blocks import load

from repnet_pde import solve

problem = load(Path("tutorial.md"), "fisher.py")
solution = solve(problem, progress=False, method_options={"marching": {"tolerance": 1e-4}})
x, t = np.linspace(0, 10, 401), np.linspace(0, 1, 101)
points = np.stack(np.meshgrid(x, t), -1).reshape(-1, 2)
u = solution.predict(points).reshape(len(t), len(x))

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
mesh = left.pcolormesh(x, t, u, cmap="viridis", vmin=0, vmax=1, rasterized=True)
left.set(xlabel="x", ylabel="t", title="u, and the ends of the slabs")
figure.colorbar(mesh, ax=left)
for end in solution.net.ends.tolist():
    left.axhline(end, color="white", linewidth=0.6)
for moment in (0, 25, 50, 75, 100):
    right.plot(x, u[moment], color=plt.cm.viridis(moment / 110), label=f"t = {t[moment]:g}")
right.set(xlabel="x", title="u")
right.legend()
