"""Trial of one first layer: least squares for the last layer, with the residual at held-out points."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..backend import dde, seeded
from ..checking.determination import loosest
from ..checking.sizes import CHUNK, network_jet, sized_terms
from ..discretization.features import Features
from ..discretization.jets import Index, orders_of_problem
from ..discretization.last_layer import CopySystem, JetSystem, Outcome, last_linear, newton
from ..errors import TrainingError
from ..linalg.dense import Factorization, row_scales, stack
from ..methods.least_squares import LeastSquares
from ..networks.registry import build_network
from ..problem.points import collocation
from ..problem.problem import Problem
from ..problem.residuals import residual_vectors

NEWTON_STEPS = 12
"""Factorisations of a trial on a nonlinear problem."""


@dataclass
class Candidate:
    """A first layer that was tried: its options and results."""

    options: dict
    features: int
    held_out: float
    outcome: Outcome
    net: torch.nn.Module
    data: object
    judge: Callable[[torch.nn.Module], float] | None = None
    """The held-out residual of any network for the problem, at the same points."""
    loosest: float | None = None
    """As `determination.loosest`, for a solution that is compared with another."""

    def __str__(self) -> str:
        rank, columns = self.outcome.rank, self.outcome.columns
        said = f"{self.features} basis functions (numerical rank {rank} of {columns})"
        return f"{said}: held-out residual {self.held_out:.1e}"


def attempt(
    problem: Problem,
    network: str,
    options: dict,
    wavenumber: Sequence[float] | np.ndarray,
    seed: int,
    start: Any = None,
    steps: int = NEWTON_STEPS,
) -> Candidate:
    """Solve for the last layer of one first layer.

    Args:
        start: a network with a solution, from which another solution is computed, near a random function, and
            uniqueness is checked. steps: of Newton's method; 0 for the check alone.
    """
    features, outputs = options["layers"][-1], len(problem.outputs)
    with seeded(seed):
        net = build_network(problem, network, options, wavenumber)
        points = LeastSquares.points(problem, net, wavenumber)
        data = collocation(problem, **points)
        held_out = collocation(problem, **points | {"features": max(100, features // 2)}, distribution="pseudo")
        noise = torch.randn(outputs * (features + 1), dtype=torch.float64)
    indices = orders_of_problem(problem, data, held_out) if Features.known(net) else None
    names, x, centre = problem.term_names, torch.as_tensor(data.train_x), None
    if start is not None:
        with torch.no_grad():
            size = start(x).square().mean(0).sqrt()
        size = torch.where(size > 0, size, 1.0)
        centre = noise.to(size) * torch.cat([size.repeat_interleave(features), size]) / math.sqrt(features)
    system: CopySystem | JetSystem
    if indices is None:
        system = CopySystem(data, net, names)
        system.set(system.get(), -system.size())
        sizes = [_rms(v) for v in system.residuals()]
    else:
        zero = x.new_zeros(len(x), len(indices), outputs)
        sizes = [_rms(v) for v in JetSystem(data, net, names, indices, start=zero).residuals()]
        jet = zero if start is None else _jets_below(start, x, indices)
        system = JetSystem(data, net, names, indices, start=jet)
    try:
        outcome = newton(system, steps, around=centre) if steps else _linearised(system)
    except TrainingError:
        outcome = Outcome(False, False, True, math.inf, [1.0] * len(sizes), 0, features, 0, 0)
    left = None
    if indices is None or isinstance(system, CopySystem):
        residuals = CopySystem(held_out, net, names).residuals()
    else:
        system.store()
        y = torch.as_tensor(held_out.train_x)
        only_checked = None if start is None or steps else _jets_below(start, y, indices)
        there = JetSystem(held_out, net, names, indices, start=only_checked)
        residuals = there.residuals()
        if start is not None and outcome.factor is not None:
            left = loosest(problem, system, outcome.factor, there)
    size = max(n * s for n, s in zip(sizes, outcome.scales, strict=True)) or 1.0
    held = _held_out(residuals, outcome.scales, size)
    if indices is not None:  # rows scaled for functions much faster than u understate the residual of u
        terms = sized_terms(held_out, names, there.x, there.jet, indices, net._output_transform)
        held = max([held, *(_rms(t.residual) / n for t, n in terms if n > 0)])

    def judge(other: torch.nn.Module) -> float:
        vectors = [v.detach().reshape(-1) for v in residual_vectors(held_out, other)]
        dde.grad.clear()
        return _held_out(vectors, outcome.scales, size)

    return Candidate(options, features, held, outcome, net, data, judge, left)


def unsolved(
    problem: Problem, network: str, options: dict, wavenumber: Sequence[float] | np.ndarray, seed: int
) -> Candidate:
    """A first layer for which there was no time: the network gives zero."""
    with seeded(seed):
        net = build_network(problem, network, options, wavenumber)
        data = collocation(problem, **LeastSquares.points(problem, net, wavenumber))
    with torch.no_grad():
        for parameter in last_linear(net).parameters():
            parameter.zero_()
    features = options["layers"][-1]
    outcome = Outcome(False, False, False, math.inf, [1.0] * len(problem.term_names), 0, features, 0, 0)
    return Candidate(options, features, math.inf, outcome, net, data)


def _held_out(vectors: Sequence[torch.Tensor], scales: Sequence[float], size: float) -> float:
    """The largest root mean square of the scaled terms, relative to ``size``; infinite where it is NaN."""
    left = max(_rms(v) * s for v, s in zip(vectors, scales, strict=True)) / size
    return left if math.isfinite(left) else math.inf


def _linearised(system: CopySystem | JetSystem) -> Outcome:
    """The linearised rows of a system at its current state, without a step."""
    terms = system.linearize()
    scales = row_scales(terms)
    factor = Factorization(stack(terms, scales)[0])
    return Outcome(False, False, False, math.inf, scales, 0, factor.columns, 0, 1, factor)


def _jets_below(net: Any, x: torch.Tensor, indices: Sequence[Index]) -> torch.Tensor:
    """The jet of a network without its output transform, which the network that is solved for shares."""
    transform, net._output_transform = net._output_transform, None
    try:
        return torch.cat([network_jet(net, part, indices) for part in x.split(CHUNK)])
    finally:
        net._output_transform = transform


def _rms(v: torch.Tensor) -> float:
    return v.square().mean().sqrt().item() if v.numel() else 0.0
