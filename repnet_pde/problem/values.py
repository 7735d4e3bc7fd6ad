"""The values of unknowns: reset, restored, or changed to generic values where nothing vanishes by chance."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch


@torch.no_grad()
def fill(variables: Iterable[torch.Tensor], values: Iterable[float]) -> None:
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.fill_(value)


@torch.no_grad()
def to_cpu(problem: Any) -> None:
    """Move the unknowns, and what the conditions hold, to the CPU: DeepXDE made them on the default device."""
    for variable in problem.unknowns.values():
        variable.data = variable.data.cpu()
    for condition in problem.conditions.values():
        for name, value in vars(condition).items():
            if isinstance(value, torch.Tensor) and value.device.type != "cpu":
                setattr(condition, name, value.cpu())


@contextlib.contextmanager
def held_at(variables: Iterable[torch.Tensor], values: Iterable[float]) -> Iterator[None]:
    """With the variables at these values; afterwards they have their own again."""
    variables = list(variables)
    before = [variable.item() for variable in variables]
    fill(variables, values)
    try:
        yield
    finally:
        fill(variables, before)


def reset_unknowns(problem: Any) -> None:
    """Reset the unknowns to the values that they had when the problem was created."""
    fill(problem.unknowns.values(), [problem.start_values[name] for name in problem.unknowns])


def at_start(problem: Any) -> contextlib.AbstractContextManager[None]:
    """With the unknowns at the values that they had when the problem was created."""
    return held_at(problem.unknowns.values(), [problem.start_values[name] for name in problem.unknowns])


def generic(variables: Iterable[torch.Tensor]) -> contextlib.AbstractContextManager[None]:
    """With the variables at other values, at which nothing vanishes by chance."""
    variables = list(variables)
    return held_at(variables, [1.37 * variable.item() or 0.37 for variable in variables])
