"""RepDeepONet: DeepXDE's deep operator networks with a RepNet trunk, and optionally a RepNet branch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike

from ..backend import dde
from ..errors import InputError, choose
from .options import activation_of, check_sizes
from .repnet import INITIALIZERS, RepNet
from .slopes import Bands
from .warp import AxisWarp

STRATEGIES = ("independent", "split_both", "split_branch", "split_trunk")
BRANCH_OPTIONS = ("domain", "slope_scale", "wavenumber", "first_activation", "stretch", "bands", "warp")


class _RepOperator(dde.nn.NN):
    """Common base of the two networks: the checks, and RepNet in place of FNN."""

    def __init__(
        self,
        layer_sizes_branch: Sequence[Any],
        layer_sizes_trunk: Sequence[int],
        activation: Any,
        kernel_initializer: Any,
        num_outputs: int = 1,
        multi_output_strategy: str | None = None,
        regularization: Any = None,
        *,
        domain: Any = None,
        slope_scale: Any = "auto",
        wavenumber: ArrayLike | None = None,
        first_activation: str | None = None,
        stretch: ArrayLike | None = None,
        bands: Bands | None = None,
        warp: AxisWarp | None = None,
        branch: Mapping[str, Any] | None = None,
    ):
        if isinstance(num_outputs, bool) or not isinstance(num_outputs, int) or num_outputs < 1:
            raise InputError(f"num_outputs: {num_outputs!r} given; a whole number >= 1 is needed")
        if num_outputs == 1 and multi_output_strategy is not None:
            raise InputError(f"multi_output_strategy: {multi_output_strategy!r} given for one output; leave it None")
        if num_outputs > 1:
            multi_output_strategy = "independent" if multi_output_strategy is None else multi_output_strategy
            choose("multi_output_strategy", multi_output_strategy, STRATEGIES)
        if not callable(kernel_initializer):
            choose("kernel_initializer", kernel_initializer, INITIALIZERS)
        self.activation_names = _activations(activation)
        self.trunk_options = {
            "domain": domain,
            "slope_scale": slope_scale,
            "wavenumber": wavenumber,
            "first_activation": first_activation,
            "stretch": stretch,
            "bands": bands,
            "warp": warp,
        }
        self.branch_options = None if branch is None else _branch_options(branch)
        self.sensors = _check_layers(layer_sizes_branch, layer_sizes_trunk, num_outputs, multi_output_strategy)
        super().__init__(
            layer_sizes_branch,
            layer_sizes_trunk,
            {key: activation_of(name) for key, name in self.activation_names.items()},
            kernel_initializer,
            num_outputs,
            multi_output_strategy,
            regularization,
        )
        self.multi_output = multi_output_strategy

    def build_trunk_net(self, layer_sizes_trunk: Sequence[int]) -> RepNet:
        """A `RepNet`; called by DeepXDE's strategies."""
        return RepNet(layer_sizes_trunk, self.activation_names["trunk"], self.kernel_initializer, **self.trunk_options)

    def build_branch_net(self, layer_sizes_branch: Sequence[Any]) -> torch.nn.Module:
        """The user's module, a `RepNet` with the options of ``branch``, or DeepXDE's FNN."""
        if self.branch_options is None or callable(layer_sizes_branch[1]):
            return super().build_branch_net(layer_sizes_branch)
        name = self.activation_names["branch"]
        return RepNet(layer_sizes_branch, name, self.kernel_initializer, **self.branch_options)

    def forward(self, inputs: Any) -> torch.Tensor:
        """Functions at the sensors and points, ``(v, x)``, to values; see the class."""
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise InputError("inputs: a tuple (functions at the sensors, points) is needed")
        v = inputs[0]
        if self.sensors is not None and (v.ndim != 2 or v.shape[1] != self.sensors):
            raise InputError(
                f"inputs[0]: has shape {tuple(v.shape)}, but the branch net takes the values at {self.sensors} "
                f"sensors: (functions, {self.sensors}) is needed"
            )
        return super().forward(inputs)


class RepDeepONet(_RepOperator, dde.nn.DeepONet):
    r"""Deep operator network whose trunk is a `RepNet`; a drop-in for ``dde.nn.DeepONet`` with ``dde.data.Triple``
    and ``dde.data.PDEOperator``.

    .. math:: G(v)(x) = \sum_i b_i(v)\, t_i(x) + b_0

    with the branch net b of the values of v at the sensors and the trunk net t, whose outputs pass its activation
    once more (L. Lu, P. Jin, G. Pang, Z. Zhang, G. E. Karniadakis, Nature Machine Intelligence 3 (2021) 218-229).
    Inputs are ``(v, x)`` of shapes (n, sensors) and (n, d), the output is (n, outputs).

    Args:
        layer_sizes_branch: ``[sensors, ..., q]`` or ``(sensors, module)``, as in ``dde.nn.DeepONet``. ``[sensors, q]``
            is a linear branch, which suits linear operators.
        layer_sizes_trunk: ``[d, hidden, ..., q]`` with at least one hidden layer.
        activation: a name or function, or a dictionary with the keys "branch" and "trunk".
        kernel_initializer, num_outputs, multi_output_strategy, regularization: as in ``dde.nn.DeepONet``.
        domain, slope_scale, wavenumber, first_activation, stretch, bands, warp: of the trunk, as in `RepNet`;
            ``domain`` is that of the points x, or with a feature transform that of the features.
        branch: None for an ordinary branch, or a dictionary of the same keyword arguments for a `RepNet` branch, whose
            domain is the range of the values at the sensors. A neuron of its first layer depends on all sensors through
            a direction of length one. For sin(m a) of smooth a in [-1, 1], a ``slope_scale`` of 0.4 m worked well in
            tests, and m was too large: the neurons then vary too fast for the given functions.

    Raises:
        InputError: for an argument that cannot be used, widths that do not match, or another number of sensors.
    """


class RepDeepONetCartesianProd(_RepOperator, dde.nn.DeepONetCartesianProd):
    """`RepDeepONet` for ``dde.data.TripleCartesianProd`` and ``dde.data.PDEOperatorCartesianProd``.

    Inputs are ``(v, x)`` of shapes (functions, sensors) and (points, d); every function is evaluated at every point:
    (functions, points), or (functions, points, outputs) with several outputs. All arguments as in `RepDeepONet`. The
    last layer can be solved for by `repnet_pde.operators.fit_last_layer`.
    """


def _activations(activation: Any) -> dict[str, Any]:
    if isinstance(activation, dict):
        if set(activation) != {"branch", "trunk"}:
            raise InputError(f'activation: has the keys {sorted(activation)}; "branch" and "trunk" are needed')
        return dict(activation)
    return {"branch": activation, "trunk": activation}


def _branch_options(branch: object) -> dict[str, Any]:
    if not isinstance(branch, Mapping):
        raise InputError(f"branch: {branch!r} given; None or a dictionary of RepNet's keyword arguments is needed")
    for key in branch:
        choose("branch", key, BRANCH_OPTIONS)
    return dict(branch)


def _check_layers(branch: Sequence[Any], trunk: Sequence[int], outputs: int, strategy: str | None) -> int | None:
    """The number of sensors; raise where the widths cannot be multiplied."""
    q_trunk = check_sizes(trunk)[-1]
    try:
        own = callable(branch[1])
        widths = [int(n) for n in ([branch[0]] if own else branch)]
        good = len(widths) >= 1 and all(n >= 1 and n == m for n, m in zip(widths, branch, strict=False))
    except (TypeError, ValueError, IndexError, OverflowError):
        good = False
    if not good:
        raise InputError(
            f"layer_sizes_branch: {branch!r} given; [sensors, ..., q] of whole numbers >= 1 or (sensors, module) is "
            "needed"
        )
    if own:
        if strategy == "independent" and isinstance(branch[1], torch.nn.Module):
            raise InputError("layer_sizes_branch: one module given for independent outputs, which would share it")
        return widths[0]
    q_branch = widths[-1]
    others: dict[str | None, tuple[float, str]] = {
        "split_branch": (q_trunk * outputs, f"{outputs} x {q_trunk}, outputs by the last width of the trunk"),
        "split_trunk": (q_trunk / outputs, f"{q_trunk} / {outputs}, the last width of the trunk over the outputs"),
    }
    wanted = others.get(strategy, (q_trunk, f"{q_trunk}, as that of the trunk"))
    if q_branch != wanted[0]:
        raise InputError(f"layer_sizes_branch: its last width is {q_branch}; {wanted[1]}, is needed")
    if strategy == "split_both" and q_branch % outputs:
        raise InputError(f"layer_sizes_branch: its last width {q_branch} cannot be split among {outputs} outputs")
    return widths[0]
