"""Hidden widths with which a network has as many parameters as another one, for comparisons."""

from collections.abc import Sequence

from ..arguments import mapping, whole
from ..backend import seeded
from ..errors import InputError, choose
from .registry import NETWORKS, check_layers

USUAL = (128, 64, 64)
"""Default hidden widths of a network without its own, as with Adam."""


def count_parameters(
    network: str, inputs: int, outputs: int, layers: Sequence[int], options: dict | None = None
) -> int:
    """Number of trained parameters of a named network; it is built for that, without changing the random generators."""
    with seeded(0):
        net = NETWORKS[network]([inputs, *layers, outputs], None, None, **(options or {}))
    return sum(p.numel() for p in net.parameters())


def match_layers(
    network: str,
    inputs: int,
    outputs: int,
    parameters: int,
    like: Sequence[int] | None = None,
    options: dict | None = None,
) -> list[int]:
    """Hidden widths with which a network has as nearly as possible a wanted number of trained parameters.

    The depth is that of ``like``, and so are the ratios of the widths, but for the rounding and one neuron more in the
    first or last few layers; from some 3,000 parameters on every network comes within 3 %. Where the smallest network
    of that depth has more parameters, its widths are returned.

    Args:
        network: a name in `networks.NETWORKS` with hidden layers.
        inputs, outputs: numbers of coordinates and of components.
        parameters: the wanted number.
        like: hidden widths of the shape to keep, such as (1,) for one layer of whatever width; None takes the
            network's published ones, or `USUAL`.
        options: network options that change the number, such as the ``sigmas`` of msffn.

    Raises:
        InputError: an unknown network, or one that cannot be built with such layers.
    """
    choose("network", network, NETWORKS)
    if NETWORKS[network].pieces:
        raise InputError(f"network: {network} chooses its basis functions itself; it has no hidden layers to match")
    for name, value in (("inputs", inputs), ("outputs", outputs), ("parameters", parameters)):
        if value is None:
            raise InputError(f"{name}: None given; a whole number >= 1 is needed")
        whole(name, value, 1)
    shape = check_layers((NETWORKS[network].layers or USUAL) if like is None else like)
    options = mapping("options", options)

    def scaled(widest: int) -> list[int]:
        return [max(1, round(width * widest / max(shape))) for width in shape]

    def count(widths: Sequence[int]) -> int | None:
        try:
            return count_parameters(network, inputs, outputs, widths, options)
        except InputError:  # too narrow, or widths that must be equal and are not
            return None

    count_parameters(network, inputs, outputs, [max(2, width) for width in shape], options)  # raises for bad options
    least, most = 1, 2
    while (count(scaled(most)) or 0) < parameters:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if (count(scaled(middle)) or 0) < parameters:
            least = middle
        else:
            most = middle
    below, above = scaled(least), scaled(most)
    steps = [one[:i] + other[i:] for one, other in ((above, below), (below, above)) for i in range(len(shape) + 1)]
    sizes = {tuple(widths): size for widths in steps if (size := count(widths)) is not None}
    nearest = min(sizes, key=lambda widths: abs(sizes[widths] - parameters))
    return list(nearest)
