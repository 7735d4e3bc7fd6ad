"""Common base of networks on consecutive space-time slabs."""

import torch

from ..backend import dde
from ..domain import Box


class Growing(dde.nn.NN):
    """A network of consecutive pieces in time, which is NaN beyond the last of them.

    So are all its derivatives there: zero, or an extrapolated last state, could be mistaken for a solution. A subclass
    has the ``box`` of the whole domain, time last, and returns by ``last_end`` the time that it covers.
    """

    box: Box

    def last_end(self) -> torch.Tensor | None:
        """The time () at which the last piece ends; None if there is no piece."""
        raise NotImplementedError

    @property
    def reached(self) -> float | None:
        """The time up to which there is a solution, at least the initial time; None if not applicable."""
        end, final = self.last_end(), float(self.box.upper[-1])
        if end is None:
            return float(self.box.lower[-1])
        return final if end >= end.new_tensor(final) else float(end)

    @property
    def complete(self) -> bool:
        """Whether the pieces reach the final time."""
        return self.reached is None or self.reached >= self.box.upper[-1]

    @property
    def standing(self) -> str:
        """The covered time in words, such as "t = 0.3 of 1"."""
        return f"t = {self.reached:.6g} of {float(self.box.upper[-1]):.6g}"

    def covers(self, x: torch.Tensor) -> torch.Tensor:
        """Which of the points (n, d) are not beyond the last piece: (n,) bool."""
        if self.complete:
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        end = self.last_end()
        return x[:, -1] <= (-torch.inf if end is None else end)

    def known(self, x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``values`` (n, ...) at the points (n, d), NaN beyond the last piece, with all derivatives; else unchanged."""
        if self.complete:
            return values
        factor = torch.where(self.covers(x.detach()), 1.0, torch.nan).to(values)
        return values * factor.view(-1, *[1] * (values.ndim - 1))
