"""The estimated error of a finite-difference reference against the true one, grid by grid."""

import matplotlib.pyplot as plt
import numpy as np
from repnet_pde.validation.finite_difference import refine, solve_poisson_1d

K = 50 * np.pi


def source(x):
    return -(K**2) * np.sin(K * x)


numbers, estimates, errors = [], [], []
for largest in 2 ** np.arange(7, 13):  # finer grids end at rounding
    found = refine(
        "sine",
        {},
        lambda n: solve_poisson_1d(source, 0.0, 0.0, interval=(0, 1), n=n),
        n=int(largest) // 4,
        order=6,
        largest=int(largest),
        tolerance=1e-300,
    )
    (x,) = found.axes
    numbers.append(len(x) - 1)
    errors.append(np.abs(found.values[:, 0] - np.sin(K * x)).max())
    estimates.append(found.error_estimate)

figure, axes = plt.subplots(figsize=(5.5, 3))
axes.loglog(numbers, estimates, "s-", label="estimate")
axes.loglog(numbers, errors, "o-", label="true error")
axes.loglog(numbers[1:5], [errors[1] * (numbers[1] / n) ** 6 for n in numbers[1:5]], color="0.6", label="order 6")
axes.set(xlabel="intervals", ylabel="largest error")
axes.legend()
