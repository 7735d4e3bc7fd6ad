"""Wave vectors of sine basis functions: the box of wavenumbers, and bands around those that a problem's data show."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from repnet_pde import RepNet, set_precision

set_precision("float64")
torch.manual_seed(0)
figure, panels = plt.subplots(1, 2, figsize=(8, 3.4))
starts = {
    "wavenumber=(40, 10)": {"wavenumber": (40.0, 10.0)},
    "bands": {"bands": [[(0, 8), (35, 45)], [(0, 12.5)]]},
}
for axes, (title, options) in zip(panels, starts.items(), strict=True):
    net = RepNet([2, 600, 1], "tanh", "zeros", first_activation="sin", **options)
    weight, _ = net.linear_equivalent()
    axes.plot(*np.asarray(weight).T, ".", markersize=3)
    axes.set(title=title, xlabel="wavenumber along x", ylabel="wavenumber along y")
