"""RepNet as a DeepXDE network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..domain import box_of
from ..errors import InputError, choose
from .layer import ReparameterizedLinear
from .network import Network
from .options import activation_of, check_sizes
from .siren import siren_initializer
from .slopes import FIRST_ACTIVATIONS, Bands, normalized_wavenumbers, start
from .warp import AxisWarp

INITIALIZERS = ("Glorot normal", "Glorot uniform", "He normal", "He uniform", "zeros")


class RepNet(dde.nn.NN):
    r"""Fully connected network whose first hidden layer is reparameterised; a drop-in for ``dde.nn.FNN``.

    The first hidden layer computes :math:`\sigma(s_j (a_j \cdot \hat x - t_j))` with trainable directions
    *a*, offsets *t* of the partition hyperplanes and relative slopes *s* (`ReparameterizedLinear`); the other
    layers are those of ``dde.nn.FNN``. Initially the hyperplanes are spread evenly over the domain and the
    slopes have the requested scale, whereas an ordinary network starts with every partition point at 0 and
    slopes of order one.

    From the abstract of arXiv:2606.16575: ReLU and tanh networks with a reparameterised, trainable first hidden
    layer that controls the initial slope scale and the distribution of the partition points, guided by estimates
    of output and slope magnitude. Contributed by this project: this particular formula, the low-discrepancy
    spread, the automatic slope scale, stretched directions, and sine and Gaussian first layers.

    Args:
        layer_sizes: ``[inputs, hidden, ..., outputs]``, at least one hidden layer.
        activation: hidden activation(s) as in ``dde.nn.FNN``: a name, a function, or a list with one per layer
            after the input (as FNN asks, its last entry is not used).
        kernel_initializer: initialiser of the layers after the first, as in ``dde.nn.FNN``.
        regularization: as in ``dde.nn.FNN``.
        domain: what is normalised to [-1, 1]^d: a DeepXDE geometry (also GeometryXTime) or a pair
            (lower, upper) of numbers or sequences. None assumes [-1, 1]^d. With a feature transform it is the
            range of the features.
        slope_scale: start slopes in normalised coordinates: a number; a tuple (low, high) for log-uniform
            slopes; a list, array or tensor with one value per neuron; or "auto" (see
            `repnet_pde.networks.slopes.suggest_slopes`).
        wavenumber: the largest wavenumber k of sin(k x) expected in the solution, in radians per unit length,
            one number or one per axis; only used by "auto". One wave across the domain is the least, and what None
            assumes: `repnet_pde.estimate_wavenumber` finds it from a source term, initial value or observations.
        first_activation: "tanh", "relu", "sin" or "gaussian" (exp(−z²/2)); None takes ``activation`` when it is
            one of them, and tanh otherwise.
        stretch: factors (d,) on the components of the directions, for solutions that vary faster along some
            axes. None means 1, or with "auto" the ratio of the wavenumbers.
        bands: for automatic sines instead of ``wavenumber``: for each axis the intervals (low, high) of
            wavenumbers, radians per unit length, that they fill evenly; with both signs, so low >= 0.
        waves: for sines instead of ``wavenumber``: the wave vector of each neuron, (first width, d), radians
            per unit length.
        warp: maps the inputs to [−1, 1]^d before the first layer, which concentrates partition points where the
            map is steep; ``domain`` is then not used, and wavenumbers are those in the mapped coordinates.

    The dtype is DeepXDE's default float. All random numbers come from torch's global generator.

    Raises:
        InputError: for an argument that cannot be used.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Any = "tanh",
        kernel_initializer: Any = "Glorot normal",
        regularization: Any = None,
        *,
        domain: Any = None,
        slope_scale: Any = "auto",
        wavenumber: ArrayLike | None = None,
        first_activation: str | None = None,
        stretch: ArrayLike | None = None,
        bands: Bands | None = None,
        waves: ArrayLike | None = None,
        warp: AxisWarp | None = None,
    ):
        super().__init__()
        sizes = check_sizes(layer_sizes)
        if not callable(kernel_initializer):
            choose("kernel_initializer", kernel_initializer, INITIALIZERS)
        if isinstance(activation, list) and len(activation) != len(sizes) - 1:
            raise InputError(f"activation: {len(activation)} given for {len(sizes) - 1} layers after the input")
        names = activation if isinstance(activation, list) else [activation] * (len(sizes) - 2)
        self.activation = [_activation(name) for name in names[1 : len(sizes) - 2]]
        if first_activation is None:
            own = isinstance(names[0], str) and names[0].lower() in FIRST_ACTIVATIONS
            first_activation = names[0].lower() if own else "tanh"
        choose("first_activation", first_activation, FIRST_ACTIVATIONS)
        self.first_activation = first_activation
        self.regularizer = regularization
        self.layer_sizes = sizes

        plan = start(
            sizes[0],
            sizes[1],
            first_activation,
            box_of(domain if warp is None else None, sizes[0]),
            slope_scale=slope_scale,
            wavenumber=wavenumber,
            stretch=stretch,
            bands=bands,
            waves=waves,
        )
        self.warp = warp
        self.slope_note: str = plan.note
        """The choice of slopes and its reason, in one line."""
        self.first = ReparameterizedLinear(plan.direction, plan.anchor, plan.slope, plan.box, plan.feature_scale)
        self.linears = torch.nn.ModuleList()
        initializer = dde.nn.initializers.get(kernel_initializer)
        for n_in, n_out in zip(sizes[1:-1], sizes[2:], strict=True):
            linear = torch.nn.Linear(n_in, n_out, dtype=dde.config.real(torch))
            initializer(linear.weight)
            torch.nn.init.zeros_(linear.bias)
            self.linears.append(linear)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, d) inputs to (n, c) outputs, through the input and output transforms where they are set."""
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        x = x if self.warp is None else self.warp(x)
        x = FIRST_ACTIVATIONS[self.first_activation](self.first(x))
        for activation, linear in zip(self.activation, self.linears[:-1], strict=True):
            x = activation(linear(x))
        x = self.linears[-1](x)
        return x if self._output_transform is None else self._output_transform(inputs, x)

    def linear_equivalent(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``W`` (m, d) and ``b`` (m,) of the first layer: ``h = σ(x Wᵀ + b)`` in physical (or the warp's) coordinates.

        For ReLU they contain the factor that makes the layer's outputs O(1).
        """
        return self.first.linear_equivalent()

    def output_layer(self) -> torch.nn.Linear:
        """The last layer, which is linear."""
        linear = self.linears[-1]
        assert isinstance(linear, torch.nn.Linear)
        return linear

    def partition_points(self) -> np.ndarray:
        """One point (m, d) on each neuron's partition hyperplane, in physical coordinates (see the layer)."""
        points = self.first.partition_points()
        return (points if self.warp is None else self.warp.inverse(points)).cpu().numpy()

    def slopes(self) -> np.ndarray:
        """Each neuron's slope (m,) along its direction, in normalised coordinates, the unit of ``slope_scale``."""
        return self.first.slopes().cpu().numpy()


def _activation(identifier: Any) -> Callable[..., torch.Tensor]:
    if isinstance(identifier, str) and identifier.lower() == "gaussian":
        return FIRST_ACTIVATIONS["gaussian"]
    return activation_of(identifier)


def _builder(first_activation: str, activation: str) -> Callable[..., RepNet]:
    def build(
        sizes: Sequence[int],
        domain: Any,
        expected: ArrayLike | None,
        *,
        activation: str = activation,
        slope_scale: Any = "auto",
        wavenumber: ArrayLike | None = None,
        bands: Bands | None = None,
        waves: ArrayLike | None = None,
        warp: Sequence[Sequence[ArrayLike]] | None = None,
        steps: Sequence[Sequence[ArrayLike]] | None = None,
    ) -> RepNet:
        automatic = wavenumber is None and bands is None and waves is None and isinstance(slope_scale, str)
        stretch = None
        if expected is not None and not isinstance(slope_scale, str):  # a given scale applies to the steepest axis
            numbers = normalized_wavenumbers(expected, box_of(domain, sizes[0]))
            stretch = numbers / numbers.max()
        jumps = None if steps is None else _arrays(steps)
        return RepNet(
            sizes,
            activation,
            "Glorot normal",
            domain=domain,
            slope_scale=slope_scale,
            wavenumber=expected if automatic else wavenumber,
            stretch=stretch,
            bands=bands,
            waves=waves,
            first_activation=first_activation,
            warp=None if warp is None else AxisWarp(box_of(domain, sizes[0]), _arrays(warp), jumps),
        )

    return build


BEFORE_SINES = 0.5
"""Fraction of the largest wavenumber covered by the first layer if sine layers follow, which multiply wavenumbers.
Chosen on six functions (validation.studies.constants): 1/4 and 1/2 are equally good there, with the full range the
errors are 1.4 times as large in the geometric mean."""


def _before_sines(
    sizes: Sequence[int],
    domain: Any,
    expected: ArrayLike | None,
    *,
    hidden_omega: float = 30.0,
    slope_scale: Any = "auto",
    wavenumber: ArrayLike | None = None,
    waves: ArrayLike | None = None,
) -> RepNet:
    automatic = wavenumber is None and waves is None and isinstance(slope_scale, str) and expected is not None
    return RepNet(
        sizes,
        [lambda z: torch.sin(hidden_omega * z)] * (len(sizes) - 1),
        lambda weight: siren_initializer(weight, hidden_omega),
        domain=domain,
        slope_scale=slope_scale,
        wavenumber=BEFORE_SINES * np.asarray(expected) if automatic else wavenumber,
        waves=waves,
        first_activation="sin",
    )


def _arrays(axes: Sequence[Sequence[ArrayLike]]) -> list[list[np.ndarray]]:
    return [[np.asarray(v, dtype=float) for v in axis] for axis in axes]


TANH = Network("repnet", "RepNet with tanh", _builder("tanh", "tanh"), ours=True)
RELU = Network("repnet-relu", "RepNet with ReLU", _builder("relu", "relu"), ours=True)
SINE = Network("repnet-sin", "RepNet whose first layer has sines", _builder("sin", "tanh"), ours=True, sines=True)
GAUSSIAN = Network("repnet-gaussian", "RepNet whose first layer has Gaussians", _builder("gaussian", "tanh"), ours=True)
BEFORE_SIREN = Network("repnet-siren", "RepNet's first layer before the sine layers of SIREN", _before_sines, ours=True)
