"""A network for time stepping: one network for each space-time slab."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..domain import Box, box_of
from .growing import Growing
from .network import Network
from .repnet import RepNet
from .warp import AxisWarp


class Slabs(Growing):
    """RepNets with one hidden layer of sines, each on a space-time slab with its own axis maps.

    Slabs are added by `add`; a point belongs to the slab that contains its time. Until the slabs reach the final time
    the network is NaN beyond the last slab, and everywhere if there is none; afterwards later times are moved to the
    final time. ``load_state_dict`` creates the slabs contained in the state.

    Args:
        outputs: number of components.
        domain: geometry in time (GeometryXTime) or (lower, upper), time last.
    """

    ends: torch.Tensor

    def __init__(self, outputs: int, domain: Any):
        super().__init__()
        self.outputs, self.box = outputs, box_of(domain)
        self.regularizer = None
        self.slabs = torch.nn.ModuleList()
        self.register_buffer("ends", torch.empty(0))
        self.slope_note = None

    def __len__(self) -> int:
        return len(self.slabs)

    def last_end(self) -> torch.Tensor | None:
        """The time () at which the last slab ends, or None."""
        return self.ends[-1] if len(self) else None

    def make(
        self,
        end: float,
        width: int,
        wavenumbers: Sequence[float],
        maps: Sequence[Sequence[np.ndarray | Sequence[float]]],
    ) -> RepNet:
        """A network for the slab from `reached` to ``end``; it is not added.

        Args:
            width: number of basis functions. wavenumbers: largest of each axis, in the mapped coordinates.
            maps: for each axis (c, p, w) of `AxisWarp`.
        """
        lower, upper = self.box.lower.copy(), self.box.upper.copy()
        lower[-1], upper[-1] = self.reached, end
        return RepNet(
            [self.box.dim, width, self.outputs],
            "tanh",
            "zeros",
            first_activation="sin",
            bands=[[(0.0, k)] for k in wavenumbers],
            warp=AxisWarp(Box(lower, upper), maps),
        )

    def add(self, net: RepNet, end: float) -> None:
        """Append the slab that ends at ``end``; the output transform is the whole network's, not the slab's."""
        net._output_transform = None
        self.slabs.append(net)
        self.ends = torch.cat([self.ends, torch.tensor([end], dtype=dde.config.real(torch))])

    def clear(self) -> None:
        """Remove all slabs."""
        self.slabs, self.ends = torch.nn.ModuleList(), self.ends[:0]

    def faces(self, most: int, count: int) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """As `Patches.faces`, for the slabs; ``count`` points at each of their common times."""
        rng, axis = np.random.default_rng(0), self.box.dim - 1
        times = self.ends[:-1].double().cpu().numpy()
        taken = np.sort(rng.permutation(times)[:most])
        x = rng.uniform(self.box.lower, self.box.upper, (len(taken), count, self.box.dim))
        x[:, :, axis] = taken[:, None]
        share = torch.full((len(taken) * count,), len(times) / max(len(taken), 1) / count, dtype=torch.float64)
        yield axis, torch.as_tensor(x.reshape(-1, self.box.dim)).to(self.ends), share

    def which(self, times: torch.Tensor) -> torch.Tensor:
        """The number (n,) of the slab of each time (n,)."""
        return torch.searchsorted(self.ends[:-1].contiguous(), times.detach().contiguous())

    def at(self, time: float) -> RepNet:
        """The slab of a time."""
        slab = self.slabs[int(self.which(self.ends.new_tensor([time])))]
        assert isinstance(slab, RepNet)
        return slab

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) to (n, c)."""
        if len(self):
            t, last = inputs[:, -1:], self.ends[-1]
            x = torch.cat([inputs[:, :-1], torch.where(t <= last, t, last)], 1)  # minimum halves the derivative at last
            which = self.which(x[:, -1])
            u = inputs.new_zeros(len(inputs), self.outputs)
            for i in torch.unique(which).tolist():
                rows = torch.nonzero(which == i)[:, 0]
                u = u.index_copy(0, rows, self.slabs[i](x[rows]))
        else:
            u = (0 * torch.sin(inputs.sum(1, keepdim=True))).expand(-1, self.outputs)  # with derivatives of all orders
        u = u if self._output_transform is None else self._output_transform(inputs, u)
        return self.known(inputs, u)

    def load_state_dict(self, state: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        ends = state["ends"]
        self.ends = torch.empty(0, dtype=ends.dtype)
        self.clear()
        for i, end in enumerate(ends.tolist()):
            table = state[f"slabs.{i}.warp.table"]
            width = len(state[f"slabs.{i}.first.offset"])
            line = [(np.array([1.0]), np.empty(0), np.empty(0))] * self.box.dim
            net = self.make(end, width, [1.0] * self.box.dim, line)
            assert net.warp is not None
            net.warp.table = torch.empty_like(table)
            self.add(net, end)
        return super().load_state_dict(state, *arguments, **options)


def _build(sizes: Sequence[int], domain: Any, expected: ArrayLike | None) -> Slabs:
    return Slabs(sizes[-1], domain)


SLABS = Network("repnet-slabs", "a RepNet for each slab of time", _build, ours=True, pieces=True)
