"""A multidomain network: one network for each subdomain (patch) of a partition of the domain into boxes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..domain import box_of
from .growing import Growing
from .network import Network
from .repnet import RepNet


class Patches(Growing):
    """RepNets with one hidden layer of sines, each on its own subdomain, a box called a patch.

    The boxes overlap on faces only; a point on several boxes belongs to the first of them. Outside of all boxes the
    network is zero. A new network has no patch. ``load_state_dict`` creates the patches contained in the state.

    Args:
        outputs: number of components.
        domain: geometry or (lower, upper), the bounding box of all patches; points beyond it are moved to it.
        grows: whether the patches are added window by window along time, the last coordinate: the network is then NaN
            beyond the last window until it reaches the final time.
    """

    patches: torch.nn.ModuleList
    bounds: torch.Tensor

    def __init__(self, outputs: int, domain: Any, grows: bool = False):
        super().__init__()
        self.grows = grows
        self.outputs, self.box = outputs, box_of(domain)
        self.regularizer = None
        self.slope_note = None
        self.clear()

    def __len__(self) -> int:
        return len(self.patches)

    def last_end(self) -> torch.Tensor | None:
        """The time () at which the last window ends, or None."""
        return self.bounds[-1, 1, -1] if len(self) else None

    @property
    def reached(self) -> float | None:
        return super().reached if self.grows else None

    def make(self, lower: np.ndarray, upper: np.ndarray, width: int, wavenumber: float) -> RepNet:
        """A network with ``width`` sines of wavenumbers up to ``wavenumber`` (along each axis of the box normalised to
        [−1, 1]) on a box; it is not added."""
        half = (np.asarray(upper) - lower) / 2
        return RepNet(
            [len(half), width, self.outputs],
            "tanh",
            "zeros",
            first_activation="sin",
            domain=(lower, upper),
            bands=[[(0.0, wavenumber / h)] for h in half],
        )

    def add(self, net: RepNet, lower: np.ndarray, upper: np.ndarray) -> None:
        """Append a patch on the box that it was made for; the output transform is the whole network's."""
        net._output_transform = None
        self.patches.append(net)
        self.bounds = torch.cat([self.bounds, torch.as_tensor(np.stack([lower, upper]))[None].to(self.bounds)])

    def patch(self, i: int) -> RepNet:
        """The network of patch number ``i``."""
        net = self.patches[i]
        assert isinstance(net, RepNet)
        return net

    def clear(self) -> None:
        """Remove all patches."""
        self.patches = torch.nn.ModuleList()
        self.register_buffer("bounds", torch.empty(0, 2, self.box.dim, dtype=dde.config.real(torch)))

    @torch.no_grad()
    def which(self, x: torch.Tensor) -> torch.Tensor:
        """The number (n,) of the patch of each point (n, d), or −1."""
        found = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        first, order = x[:, 0].sort()  # only points near a patch are examined
        begins = torch.searchsorted(first, self.bounds[:, 0, 0].contiguous()).tolist()
        ends = torch.searchsorted(first, self.bounds[:, 1, 0].contiguous(), right=True).tolist()
        for i in reversed(range(len(self))):
            lower, upper = self.bounds[i]
            rows = order[begins[i] : ends[i]]
            found[rows[((x[rows] >= lower) & (x[rows] <= upper)).all(1)]] = i
        return found

    def parts(self, x: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """(patch, rows of its points) for every patch that has any of the points x (n, d); rows ascend."""
        which = self.which(x)
        order, counts = which.argsort(stable=True), torch.bincount(which + 1, minlength=len(self) + 1).tolist()
        start = counts[0]
        for i, count in enumerate(counts[1:]):
            if count:
                yield i, order[start : start + count]
            start += count

    def faces(self, most: int, count: int) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Random points on faces shared by patches: for each axis (normal axis, points (n, d), share (n,)).

        The shares of the points add up to the mean number of faces that a line along the axis crosses.

        Args:
            most: maximum number of faces per axis, chosen at random if there are more. count: points on each.
        """
        rng, bounds = np.random.default_rng(0), self.bounds.double().cpu().numpy()
        for axis in range(self.box.dim):
            inner = np.flatnonzero(bounds[:, 1, axis] < self.box.upper[axis])
            taken = np.sort(rng.permutation(inner)[:most])
            lower, width = bounds[taken, 0], bounds[taken, 1] - bounds[taken, 0]
            share = np.delete(width / (self.box.upper - self.box.lower), axis, 1).prod(1) * len(inner)
            x = lower[:, None] + width[:, None] * rng.random((len(taken), count, self.box.dim))
            x[:, :, axis] = bounds[taken, 1, axis][:, None]
            share = np.repeat(share / max(len(taken), 1) / count, count)
            yield axis, torch.as_tensor(x.reshape(-1, self.box.dim)).to(self.bounds), torch.as_tensor(share)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) to (n, c)."""
        lower, upper = (torch.as_tensor(v).to(inputs) for v in (self.box.lower, self.box.upper))
        x = torch.where(inputs < lower, lower, torch.where(inputs > upper, upper, inputs))  # clamp halves derivatives
        u = (0 * torch.sin(inputs.sum(1, keepdim=True))).repeat(1, self.outputs)  # with derivatives of all orders
        for i, rows in self.parts(x):
            u = u.index_copy(0, rows, self.patches[i](x[rows]))
        u = u if self._output_transform is None else self._output_transform(inputs, u)
        return self.known(inputs, u)

    def load_state_dict(self, state: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        self.clear()
        for i, (lower, upper) in enumerate(state["bounds"].double().cpu().numpy()):
            self.add(self.make(lower, upper, len(state[f"patches.{i}.first.offset"]), 1.0), lower, upper)
        return super().load_state_dict(state, *arguments, **options)


def _build(sizes: Sequence[int], domain: Any, expected: ArrayLike | None) -> Patches:
    return Patches(sizes[-1], domain)


PATCHES = Network("repnet-patches", "a RepNet for each box of a partition", _build, ours=True, pieces=True)
