"""Changing the parameters by a step, and undoing it."""

from collections.abc import Sequence

import torch


@torch.no_grad()
def restore(parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> None:
    """Set the parameters to their values in ``start``."""
    for parameter, value in zip(parameters, start, strict=True):
        parameter.copy_(value)


@torch.no_grad()
def move(parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor], delta: torch.Tensor) -> None:
    """Set the parameters to ``start`` plus ``delta`` (p,), which holds the entries of all of them in order."""
    for parameter, value, change in zip(parameters, start, delta.split([v.numel() for v in start]), strict=True):
        parameter.copy_(value + change.view_as(value))
