"""Time marching: Newton's method on the last layer of one sine RepNet after another, each on a slab of time."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import fraction
from ..discretization.features import jet_of
from ..discretization.jets import orders_of_problem
from ..discretization.objective import Objective
from ..errors import InputError
from ..networks.slabs import Slabs
from ..problem.problem import Problem
from .method import Method, by_basis, looser
from .slabs.length import StepControl
from .slabs.length_scales import GUIDING, length_scales
from .slabs.second_solution import FAILS, of_twin, random_offset, standing
from .slabs.solver import Attempt, SlabSolver, another_network, slab, slab_network

SHORTEST = 1e-4
"""Length of a slab, of the whole time, below which the march has stalled."""


class Marching(Method):
    """Solves a nonlinear problem in time slab by slab, each from the state at the end of the last.

    In each slab Newton's method for least squares solves for the last layer of a sine RepNet. Its partition points are
    spread by a map of each space axis that follows the local length scale of the solution, which is read off its
    derivatives (equidistribution of a monitor function, W. Huang, R. D. Russell, Adaptive Moving Mesh Methods, 2011,
    chapter 2) and graded, so that layers and fronts get basis functions where they are. A slab is accepted when its
    relative residual at validation points is below ``tolerance``; otherwise the map is renewed, the number of basis
    functions raised or the slab shortened. Slabs lengthen where the residual is small.

    When the end of time is reached the slabs are solved a second time, with other basis functions and points, each by
    Newton's method from the first solution and from the end of the second one's last slab. What the equations and
    conditions do not determine is left at random values in it. ``twin_distance`` is the relative L2 distance of both.

    Args:
        objective: the loss on a `Slabs` network; its weights are not used.
        iterations: most attempts at slabs; those of the second solution do not count.
        tolerance: relative residual at validation points that is asked for.
    """

    name = "marching"
    title = "space-time slabs, one after another"
    default_iterations = 1000
    network = "repnet-slabs"
    identifies = False

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        """Slabs need conditions that hold at all times or at the start."""
        if not problem.in_time or problem.pde is None:
            return "there is no equation in time"
        if problem.unknowns or problem.observations:
            return "there are unknowns or observations"
        if problem.input_transform is not None:
            return "there is an input_transform"
        found = orders_of_problem(problem)
        if found is None:
            return "some residual does not depend on u at one point"
        order = max(index[-1] for index in found)
        return None if 1 <= order <= 2 else f"the equation is of order {order} in time"

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        return by_basis(net, wavenumber)

    @classmethod
    def coarser(cls, result: dict) -> tuple[str, float, list[tuple[float, dict]]] | None:
        return looser(cls)

    def __init__(self, objective: Objective, iterations: int, *, tolerance: float = 1e-5):
        fraction("tolerance", tolerance)
        problem = objective.problem
        if not isinstance(objective.net, Slabs) or problem is None:
            raise InputError("network: marching needs 'repnet-slabs', made by solve")
        observed = problem.observations
        if not problem.in_time or problem.unknowns or problem.input_transform is not None or observed:
            raise InputError(
                "method: marching needs a problem in time (GeometryXTime) with boundary and initial conditions, and "
                "without unknowns, observations and input_transform; choose another method"
            )
        self.objective, self.iterations, self.tolerance = objective, iterations, tolerance
        self.problem, self.net = objective.problem, objective.net
        self.iteration = 0
        self.control = StepControl()
        self.solver = SlabSolver(self.problem, self.net)
        self.guide: Slabs | None = None
        """A solution that may tell the local length scales, where there is one; else the slab before does."""
        self.checks = True
        """Whether there is to be a second solution."""
        self.twin: Slabs | None = None
        """The second solution while it is being made."""
        self.twin_distance: float | None = None
        self._reason: str | None = None

    @property
    def reached(self) -> float:
        """The time up to which there is a solution."""
        reached = self.net.reached
        assert reached is not None  # slabs always know it
        return reached

    @property
    def verifying(self) -> bool:
        """Whether the end of time is reached and the second solution is being made."""
        return self.checks and self._reason is None and self.net.complete

    @property
    def stopped(self) -> str | None:
        if self._reason or self.verifying or self.iteration < self.iterations:
            return self._reason
        return f"all iterations done at {self.net.standing}"

    @property
    def standing(self) -> str:
        """How far it has got, in words."""
        return standing(self.net, self.twin, self.verifying)

    # The march ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One attempt at a slab, or one slab of the second solution."""
        if self.verifying:
            self._check()
        else:
            self.advance()

    def advance(self) -> Attempt | None:
        """One attempt at a slab, which is returned where the slab was added."""
        box = self.problem.box
        begin, whole = self.reached, float(box.upper[-1]) - float(box.lower[-1])
        end = self.control.end(begin, box)
        self.iteration += 1
        attempt = self._attempt(begin, end)
        added = attempt if attempt is not None and attempt.residual <= self.tolerance else None
        if added is not None:
            self.net.add(added.net, added.end)
            self.control.accept(added, end - begin, self.tolerance)
        elif self.control.adapt(attempt, end - begin) < SHORTEST * whole:
            self._reason = (
                f"stalled at t = {begin:.6g}: the residual stays above the tolerance {self.tolerance:g} "
                "however short the slab"
            )
        if self.net.complete and not self.checks:
            self._reason = self._arrived
        self.objective.measure()
        return added

    @property
    def _arrived(self) -> str:
        return f"reached t = {self.net.reached:g} in {len(self.net)} slabs"

    def _attempt(self, begin: float, end: float) -> Attempt | None:
        """The slab from ``begin`` to ``end``, which is not added; None where Newton's method fails."""
        control, solver, first = self.control, self.solver, not len(self.net)
        if self.guide is not None and not control.failures:
            control.scales = length_scales(self.problem, self.guide, begin, end, GUIDING)
        net = slab_network(self.net, self.problem.dim, end, control.scales, control.factor)
        previous = None if first else slab(self.net, -1)
        return solver.solve(net, begin, end, previous, solver.frozen if first else solver.continued)

    def again(self, i: int) -> Attempt | None:
        """Slab ``i`` solved once more, from the coefficients that it has, after a change of the equations."""
        begin = float(self.net.ends[i - 1]) if i else float(self.problem.box.lower[-1])
        net, previous = slab(self.net, i), slab(self.net, i - 1) if i else None
        attempt = self.solver.solve(net, begin, float(self.net.ends[i]), previous)
        net._output_transform = None
        return attempt

    # The second solution --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """One slab of the second solution; after the last, its distance from the first."""
        if self.twin is None:
            self.twin = self._new_twin()
        i, begin = len(self.twin), self.twin.reached
        assert begin is not None  # slabs always know it
        first, end = slab(self.net, i), float(self.net.ends[i])
        net = another_network(self.twin, first, end)
        attempt = self.solver.solve(
            net,
            begin,
            end,
            slab(self.twin, -1) if i else None,
            lambda net, data, x, begin: jet_of(first, x, self.solver.indices),
            "Hammersley" if self.problem.sampling.distribution == "Halton" else "Halton",
            random_offset(first, net),
        )
        if attempt is not None:
            self.twin.add(net, end)
        self._judge_twin(self.twin, begin, math.inf if attempt is None else attempt.residual)

    def _judge_twin(self, twin: Slabs, begin: float, left: float) -> None:
        """End where the second solution has failed in the slab from ``begin``, whose residual is ``left``, or is
        complete."""
        failed = not left <= FAILS * self.tolerance
        if failed or twin.complete:
            self.twin_distance, said = of_twin(self.problem, self.net, twin, begin if failed else None, left)
            self._reason, self.twin = self._arrived + said, None

    def _new_twin(self) -> Slabs:
        twin = Slabs(len(self.problem.outputs), self.problem.geometry)
        twin._output_transform = self.net._output_transform
        return twin

    # Checkpoints ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        return {
            "iteration": self.iteration,
            "control": self.control.state_dict(),
            "twin": None if self.twin is None else self.twin.state_dict(),
            "twin_distance": self.twin_distance,
            "reason": self._reason,
        }

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self._reason = state["iteration"], state["reason"]
        self.control.load_state_dict(state["control"])
        self.twin, self.twin_distance = None, state["twin_distance"]
        if state["twin"] is not None:
            self.twin = self._new_twin()
            self.twin.load_state_dict(state["twin"])
