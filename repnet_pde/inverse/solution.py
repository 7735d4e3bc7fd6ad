"""The final solution of the last method, with the `Posterior` of its unknowns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..discretization.features import Features
from ..discretization.jacobian import linearize
from ..linalg.reduced import Layout, Posterior, Reduced
from .diagnostics import copies, values_of
from .unknowns import Scales, check_noise

MOST_COLUMNS = 4000
"""Maximum number of network parameters whose degrees of freedom are included in the standard errors."""
SOFT = 1e-10
"""Cut-off, relative to the Jacobian, for networks that were trained iteratively and are not at an exact minimum."""


@dataclass
class Solution:
    """The linearised least-squares problem at the solution.

    Attributes:
        posterior: of the unknowns and unknown fields.
        factors: of the rows of each term.
        scales: the scales on which the unknowns are solved for.
        deviations: standard deviation of each datum by which the data are weighted, by observation.
        given: whether these were given by the user.
        own: whether the method provides the posterior itself; otherwise it is that of a network all of whose parameters
            were trained.
    """

    posterior: Posterior
    factors: Sequence
    scales: Scales
    deviations: list[torch.Tensor]
    given: bool
    own: bool

    @property
    def counts(self) -> list[int]:
        """Numbers of data, by observation."""
        return [len(d) for d in self.deviations]

    @property
    def noise_factor(self) -> float:
        """Factor that corrects the deviations."""
        return self.posterior.sigma / (self.posterior.unit * self.posterior.inflation)


def solution_of(problem, objective, method, noise) -> Solution | None:
    """The `Solution`; None if the method has none, or the network is too large. Arguments as in `analyse`."""
    if hasattr(method, "posterior"):
        pair = method.posterior()
        if pair is None:
            return None
        posterior, factors = pair
        return Solution(posterior, factors, method.scales, method.deviations, method.known is not None, own=True)
    if problem.unknown_fields or sum(p.numel() for p in objective.parameters) > MOST_COLUMNS:
        return None
    scales, known = Scales(problem.unknowns), check_noise(noise, problem)
    posterior, factors, deviations = _of_network(problem, objective, method, known)
    return Solution(posterior, factors, scales, deviations, known is not None, own=False)


def _of_network(problem, objective, method, known) -> tuple[Posterior, Sequence, list[torch.Tensor]]:
    """(`Posterior`, factors, deviations) of a network all of whose parameters were trained."""
    data, net, names = objective.data, objective.net, objective.names
    terms = linearize(data, net, names, None, objective.unknowns)
    factors = getattr(method, "scales", None)
    if factors is None:
        factors = [
            math.sqrt(w / max(len(t.residual), 1)) for w, t in zip(objective.weights.tolist(), terms, strict=True)
        ]
    observed = [problem.term_names.index(name) for name in problem.observations]
    weighted = [t.jacobian * f for t, f in zip(terms, factors, strict=True)]
    residuals = [t.residual * f for t, f in zip(terms, factors, strict=True)]
    chosen = [[i for i in range(len(names)) if (i in observed) == data_rows] for data_rows in (False, True)]
    width = weighted[0].shape[1]
    physics, of_data = (torch.cat([weighted[i] for i in part]) if part else weighted[0][:0] for part in chosen)
    left = torch.cat([residuals[i] for part in chosen for i in part])
    q = len(problem.unknowns)
    layout = Layout(torch.arange(width - q), torch.arange(0), left.new_zeros(0), q)
    rows, count = len(of_data), sum(distinct(c) for c in problem.observations.values())
    posterior = Reduced(physics, of_data, -left, layout, SOFT).posterior(0.0, left[len(physics) :], None, count)
    posterior.inflation = math.sqrt(rows / count)  # copies have identical errors, which enter the estimate
    posterior.unit = posterior.sigma / posterior.inflation
    if known is None:
        sizes = [len(terms[i].residual) for i in observed]
        pairs = zip(observed, sizes, strict=True)
        return posterior, factors, [left.new_full((n,), posterior.unit / factors[i]) for i, n in pairs]
    pairs = zip(observed, known, strict=True)  # one deviation per term, like the weights
    posterior.unit = math.sqrt(sum((factors[i] * d).square().sum().item() for i, d in pairs) / rows)
    posterior.sigma = posterior.unit * posterior.inflation
    return posterior, factors, known


def distinct(condition) -> float:
    """Number of data of an observation, copies counted once."""
    return float((1 / copies(condition.points, values_of(condition))).sum())


def parts(values: np.ndarray, counts) -> list[np.ndarray]:
    """Values of all data, by observation."""
    return np.split(values, np.cumsum(counts)[:-1])


def influence(posterior: Posterior, names, observed, counts) -> dict[str, dict[str, np.ndarray]]:
    """Shares of the variance of each unknown, by datum."""
    if not names:
        return {}
    slopes = posterior.response().square()
    shares = (slopes / slopes.sum(1, keepdim=True).clamp_min(1e-300)).numpy()
    return {n: dict(zip(observed, parts(row, counts), strict=True)) for n, row in zip(names, shares, strict=True)}


def field_deviation(problem, net, posterior: Posterior) -> Callable:
    """Function of (points (n, d), output) that gives the pointwise standard deviation (n,) of an unknown field."""
    features, layout = Features(net), posterior.reduced.layout
    zero, n = (0,) * problem.dim, net.linears[-1].in_features

    def deviation(x: np.ndarray, output: str) -> np.ndarray:
        c = problem.outputs.index(output)
        columns = torch.cat([torch.arange(c * n, (c + 1) * n), torch.tensor([len(problem.outputs) * n + c])])
        which = torch.searchsorted(layout.fields, columns)
        found = []
        for part in torch.as_tensor(np.asarray(x, dtype=np.float64)).split(2000):
            coefficients = part.new_ones(len(part), 1, 1)
            found.append(posterior.field_deviation(features.at(part, [zero]).rows(coefficients), which))
        return np.concatenate(found)

    return deviation
