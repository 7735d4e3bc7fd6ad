"""The values of unknowns: reset, restored, or changed to generic values where nothing vanishes by chance."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch


@contextlib.contextmanager
def at_start(problem: Any) -> Iterator[None]:
    """With the unknowns at the values that they had when the problem was made."""
    before = {name: variable.item() for name, variable in problem.unknowns.items()}
    reset_unknowns(problem)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, variable in problem.unknowns.items():
                variable.fill_(before[name])


def reset_unknowns(problem: Any) -> None:
    """Reset the unknowns to the values that they had when the problem was created."""
    with torch.no_grad():
        for name, value in problem.unknowns.items():
            value.fill_(problem.start_values[name])


@contextlib.contextmanager
def generic(variables: Iterable[torch.Tensor]) -> Iterator[None]:
    """With the variables at other values, at which nothing vanishes by chance."""
    variables = list(variables)
    before = [variable.item() for variable in variables]
    _fill(variables, [1.37 * value or 0.37 for value in before])
    try:
        yield
    finally:
        _fill(variables, before)


@torch.no_grad()
def _fill(variables: Sequence[torch.Tensor], values: Sequence[float]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.fill_(value)
