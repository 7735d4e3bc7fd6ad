"""Burgers' equation on space-time slabs, and where each concentrates its basis functions."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from repnet_pde import load_problem, solve

problem = load_problem("burgers_1d", nu=0.02)
result = solve(problem, progress=False, method_options={"marching": {"tolerance": 1e-3}})
x, t = np.linspace(-1, 1, 401), np.linspace(0, 1, 101)
u = result.predict(np.stack(np.meshgrid(x, t), -1).reshape(-1, 2)).reshape(len(t), len(x))

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
mesh = left.pcolormesh(x, t, u, cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
figure.colorbar(mesh, ax=left)
for end in result.net.ends.tolist():
    left.axhline(end, color="black", linewidth=0.6)
left.set(xlabel="x", ylabel="t", title="u, and the ends of the slabs")
for i in np.linspace(0, len(result.net) - 1, 4).round().astype(int):
    end = result.net.ends[i].item()
    points = np.column_stack([x, np.full_like(x, end)])
    density = result.net.slabs[i].warp.derivatives(torch.as_tensor(points), 1)[0][0]
    right.plot(x, density, color=plt.cm.viridis(end / 1.1), label=f"slab up to t = {end:.2f}")
right.set(xlabel="x", title="density of partition points, ξ′(x)")
right.legend(fontsize="small")
