"""Joint Gauss-Newton for inverse problems: last layer of a one-layer RepNet, unknown fields and unknown numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..analysis.basis_size import MARGIN, for_wavenumbers
from ..analysis.basis_size import MOST as MOST_BASIS
from ..arguments import whole
from ..discretization.features import Features
from ..discretization.jets import orders_of_problem
from ..discretization.objective import Objective
from ..errors import InputError
from ..inverse.unknowns import Scales, check_loss, check_noise
from ..linalg.reduced import Posterior
from ..problem.problem import Problem
from .estimation.posterior import posterior, second_estimate
from .estimation.rows import Factor
from .estimation.search import JointSearch
from .method import Method, by_basis

MOST_STARTS = 6
"""Starts of a problem with unknown numbers."""
COARSE_PART, COARSE_OVERHEAD = 0.8, 8
"""Of a coarse solution: its part of the wavenumbers, and independent functions of an axis beyond 2 k / π. On a driven
wave (driven_wave_1d) 0.8 and 8 left 1e-4 of the equations' residual, 1.0 and 4 left a tenth. On three other problems
(validation.studies.constants) 0.6 to 1.0 and 4 or 8 take seconds that differ by a factor of 1.6, and these 1.2 times
those of the fastest."""


class Joint(Method):
    """Gauss-Newton steps on state, unknown fields and unknown numbers together, the state eliminated by QR.

    The data count as much as the physics at first, so that the state is found near them whatever the unknowns, and less
    and less from stage to stage, until the physics hold as exactly as the basis functions allow: the estimate is then
    the maximum-likelihood one for independent normal errors of the observations. Unknown fields are penalised by their
    roughness, as much as restricted maximum likelihood asks for. The unknown numbers are damped where a full step does
    not lower the sum of squares. From several starts the best is kept; when two agree no more are tried. Where the
    equations are linear in the state, starts are for the unknowns alone, by least squares with exact states, as in
    variable projection (G. H. Golub, V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432).

    Args:
        objective: the loss of a problem with observations; its weights are not used.
        iterations: most steps, of all starts together.
        noise: standard deviation of the observations: a number, or a mapping from their condition's name to a number
            or an array with one for each; None estimates it, for each condition of its own.
        bounds: name of an unknown -> (lower, upper), None for no bound.
        positive: names of unknowns that are positive.
        starts: most starts.
        loss: of the observations: "squares", or "huber", which counts residuals beyond 1.345 standard deviations less;
            the best start is then gone on with, by iteratively reweighted least squares (P. J. Huber, Ann. Math.
            Statist. 35 (1964) 73-101).

    Raises:
        InputError: a network or residuals that it cannot treat, or a bad option.
    """

    name = "joint"
    title = "Gauss-Newton on the last layer and the unknowns together"
    default_iterations = 500
    network = "repnet-sin"
    has_twin = True

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        if problem.dtype != "float64":
            return "needs float64"
        if not problem.observations or not (problem.unknowns or problem.unknown_fields):
            return "there are no observations, or there is nothing unknown"
        if problem.input_transform is not None:
            return "there is an input_transform"
        return None if orders_of_problem(problem) is not None else "some residual does not depend on u at one point"

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def network_options(cls, problem: Problem, options: dict, wavenumber: Sequence[float] | np.ndarray) -> dict:
        """More basis functions than for least squares, since no search follows."""
        more = 2.0 if problem.dim == 1 else 1.3
        most = MOST_BASIS // 2 // len(problem.outputs)
        return {"layers": [min(most, math.ceil(for_wavenumbers(problem, wavenumber, more)))]} | options

    @classmethod
    def coarse_options(cls, problem: Problem, wavenumber: Sequence[float]) -> dict[str, Any]:
        """Options of a network that has a few digits only."""
        wavenumber = [COARSE_PART * max(k, np.pi / h) for k, h in zip(wavenumber, problem.box.half_width, strict=True)]
        numbers = (k * h for k, h in zip(wavenumber, problem.box.half_width, strict=True))
        width = math.ceil(MARGIN * math.prod(2 * k / math.pi + COARSE_OVERHEAD for k in numbers))
        return {"layers": [width], "wavenumber": wavenumber}

    def __init__(
        self,
        objective: Objective,
        iterations: int,
        *,
        noise: Any = None,
        bounds: Any = None,
        positive: Sequence[str] = (),
        starts: int | None = None,
        loss: str = "squares",
    ):
        problem, net = objective.problem, objective.net
        if problem is None or not Features.known(net):
            raise InputError(
                "network: joint needs a RepNet with one hidden layer, in identify or solve; choose gauss-newton"
            )
        if not problem.observations:
            raise InputError("conditions: has no observations (dde.icbc.PointSetBC), from which joint could identify")
        whole("starts", starts, 1)
        self.robust = check_loss(loss) == "huber"
        self.objective, self.iterations, self.problem = objective, iterations, problem
        scales, self.known = Scales(problem.unknowns, bounds, positive), check_noise(noise, problem)
        most = starts or (MOST_STARTS if problem.unknowns else 1)
        self.search = JointSearch(
            objective, iterations, scales, self.known, most, robust=self.robust, at_end=self._compare
        )
        self.dominated = False
        """Whether what is left of the equations outweighs the misfit of the data; set by `posterior`."""
        self.twin_values: list[float] | None = None
        self.twin_distance: float | None = None
        """Values of the unknowns, and relative distance of the state, of a second solution with another basis."""
        self.iteration = 0
        """Steps of both searches."""
        small = objective.twin(coarse=True) if hasattr(objective, "twin") else None
        self.coarse: JointSearch | None = None
        """The same with a smaller network, whose solution is this one's first start; or None."""
        if small is not None:
            self.coarse = JointSearch(small, iterations, scales, self.known, most, preliminary=True)
            self.search.exploring = False

    @property
    def stopped(self) -> str | None:
        return self.search.reason or ("all iterations done" if self.iteration >= self.iterations else None)

    @property
    def agreed(self) -> bool:
        """Whether two starts, or as many as were asked for, gave the same."""
        return self.search.agreed

    @property
    def scales(self) -> Scales:
        return self.search.scales

    @property
    def deviations(self) -> list[torch.Tensor]:
        """Standard deviations of each observation, given or estimated."""
        return self.search.rows.deviations

    def step(self) -> None:
        """One search for the unknowns alone, or one Gauss-Newton step, in the coarse network or in the full one."""
        self.iteration += 1
        if self.coarse is None or self.coarse.stopped is not None:
            self.search.step()
            return
        self.coarse.step()
        self.objective.terms = self.coarse.objective.terms
        if self.coarse.stopped is not None:
            self.search.begin_from(self.coarse)

    # Uncertainty ----------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Identify once more with other basis functions and points: how much does that change?"""
        twin = getattr(self.objective, "twin", None)
        if twin is not None and not self.problem.unknown_fields:
            self.twin_values, self.twin_distance = second_estimate(self.search, twin)

    def posterior(self) -> tuple[Posterior, list[Factor]]:
        """(`reduced.Posterior` at the solution in the network, the rows' factors); the noise estimated or given."""
        found, factors, self.dominated = posterior(self.search)
        return found, factors

    def misfit(self, eta: torch.Tensor) -> float:
        """Sum of squares of the observations' residuals over their deviations for unknowns (q,) on their internal
        scale, each with the state that belongs to them, begun from the one in the network; everything is left as it
        was."""
        return self.search.projection.sum_of_squares(eta)

    def minima(self) -> list[torch.Tensor]:
        """Unknowns (q,), on their internal scale, at the minima found from other starts that are not much worse, and
        with the other basis: along a curve of minima it ends elsewhere."""
        found = self.search.minima() + (self.coarse.minima() if self.coarse else [])
        found += [] if self.twin_values is None else [self.twin_values]
        return [self.scales.internals(values) for values in found]

    def polished(self, eta: torch.Tensor) -> torch.Tensor:
        """The minimum near unknowns (q,), where the equations are linear in the state; everything is left as it was."""
        if not self.search.projection.linear:
            return eta
        with self.search.rows.kept():
            return self.search.projection.polish(eta)

    # Checkpoints ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        coarse = self.coarse and (self.coarse.state_dict(), self.coarse.objective.net.state_dict())
        twin = self.twin_values, self.twin_distance
        return {"search": self.search.state_dict(), "twin": twin, "coarse": coarse}

    def load_state_dict(self, state: dict) -> None:
        if self.coarse is not None:
            self.coarse.load_state_dict(state["coarse"][0])
            self.coarse.objective.net.load_state_dict(state["coarse"][1])
        self.search.load_state_dict(state["search"])
        self.iteration = self.search.iteration + (self.coarse.iteration if self.coarse else 0)
        self.twin_values, self.twin_distance = state["twin"]
