"""Description of networks: one `Network` for each name that `solve` accepts."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Network:
    """A network by name; calling it builds one: ``network(sizes, domain, wavenumber, **options)``.

    Attributes:
        name: for ``network=`` and ``--network``.
        title: what it is, in a few words, for help texts and pages.
        build: function (sizes, domain, expected wavenumber or None, ``*``, options ...) -> ``dde.nn.NN``; sizes are
            ``[inputs, hidden, ..., outputs]``, the domain as in `RepNet`. Its keyword-only parameters are the options.
        ours: whether it is a RepNet, rather than a network for comparison.
        sines: whether with one hidden layer it consists of sines, whose largest wavenumber along each axis can be set.
        layers: its own hidden widths, independent of the method; None takes those of the method.
        one_layer: whether it has a form with one hidden layer, whose output layer can be solved for.
        pieces: a multidomain network that a method builds piece by piece; it has no hidden layers to be chosen.
        product: one network for each coordinate, multiplied.
        settings: options that `compare` tries on a seed of their own; the first is what its authors recommend.
    """

    name: str
    title: str
    build: Callable[..., torch.nn.Module]
    ours: bool = False
    sines: bool = False
    layers: tuple[int, ...] | None = None
    one_layer: bool = True
    pieces: bool = False
    product: bool = False
    settings: tuple[dict, ...] = ()

    def __call__(
        self, sizes: Sequence[int], domain: Any, expected: ArrayLike | None, **options: Any
    ) -> torch.nn.Module:
        return self.build(sizes, domain, expected, **options)

    @property
    def options(self) -> list[str]:
        """The names of its options, ``layers`` first where it has some."""
        own = [p.name for p in inspect.signature(self.build).parameters.values() if p.kind is p.KEYWORD_ONLY]
        return own if self.pieces else ["layers", *own]

    @property
    def compared(self) -> bool:
        """Whether it can be given as many parameters as another network."""
        return not (self.pieces or self.product)
