"""A function of two scales: the last layer of an ordinary network and of RepNets, solved for in the same way.

The README shows the same as two_scale.png: `figure.savefig("two_scale.png", dpi=120)` with a constrained layout.
"""

import matplotlib.pyplot as plt
import numpy as np

from repnet_pde import fit


def u(x):
    return np.sin(2 * np.pi * x) + 0.2 * np.sin(50 * np.pi * x)


samples = np.random.default_rng(0).uniform(0, 1, 2000)
x = np.linspace(0, 1, 2001)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
left.plot(x, u(x), color="0.75", linewidth=3, label="u")
networks = {
    "fnn": ("C3", "ordinary network", {}),
    "repnet": ("C0", "RepNet, tanh", {"slope_scale": 20.0}),
    "repnet-sin": ("C2", "RepNet, sine", {}),
}
for network, (colour, label, options) in networks.items():
    options = {"layers": [200]} | options
    found = fit(samples, u(samples), network, "least-squares", network_options=options, domain=(0, 1))
    if network != "repnet":
        left.plot(x, found.predict(x), color=colour, linewidth=1, label=label)
    right.semilogy(x, np.abs(found.predict(x) - u(x)).clip(1e-17), color=colour, linewidth=0.8, label=label)
left.set(xlabel="x")
left.legend(loc="upper right", fontsize="small")
right.set(xlabel="x", title="absolute error")
right.legend(loc="center right", fontsize="small")
