"""Neurons of the first layer at their start: an ordinary tanh network and RepNet, on [-1, 1]."""

import deepxde as dde
import matplotlib.pyplot as plt
import numpy as np
import torch

from repnet_pde import RepNet, set_precision

set_precision("float64")
torch.manual_seed(0)
WIDTH = 24
x = torch.linspace(-1, 1, 1001)[:, None]
ordinary = dde.nn.FNN([1, WIDTH, 1], "tanh", "Glorot normal").linears[0]
repnet = RepNet([1, WIDTH, 1], "tanh", "Glorot normal", slope_scale=12.0)
layers = {"ordinary start": ordinary, "RepNet, slope scale 12": repnet.first}

figure, panels = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
for axes, (title, layer) in zip(panels, layers.items(), strict=True):
    with torch.no_grad():
        h = torch.tanh(layer(x)).numpy()
    axes.plot(x, h, color="C0", linewidth=0.6, alpha=0.7)
    axes.set(title=title, xlabel="x")
points = repnet.partition_points()[:, 0]
panels[0].plot([0], [0], "o", color="C3", label="all partition points")
panels[1].plot(points, np.zeros(WIDTH), "o", color="C3", markersize=3, label="partition points")
panels[0].set_ylabel("σ(z) of each neuron")
for axes in panels:
    axes.legend(loc="lower right", fontsize="small")
