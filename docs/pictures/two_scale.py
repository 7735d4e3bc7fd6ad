"""u'' = f with two scales: the last layer of an ordinary network and of RepNet, solved for in the same way."""

import matplotlib.pyplot as plt
import numpy as np

from repnet_pde import load_problem, solve

problem = load_problem("poisson_two_scale_1d")
x = np.linspace(0, 1, 2001)[:, None]
exact = problem.solution(x)
networks = {"fnn": "ordinary network", "repnet": "RepNet, tanh", "repnet-sin": "RepNet, sine features"}

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
left.plot(x, exact, color="0.75", linewidth=3, label="exact")
for colour, (network, label) in zip(("C3", "C0", "C2"), networks.items(), strict=True):
    layers = {"layers": [200]}
    u = solve(problem, network, "least-squares", network_options=layers, progress=False).predict(x)
    if network != "repnet":
        left.plot(x, u, color=colour, linewidth=1, label=label)
    right.semilogy(x, np.abs(u - exact).clip(1e-17), color=colour, linewidth=0.8, label=label)
left.set(xlabel="x", ylabel="u", ylim=(-1.6, 1.6))
right.set(xlabel="x", ylabel="absolute error")
left.legend(loc="upper right", fontsize="small")
right.legend(loc="center right", fontsize="small")
