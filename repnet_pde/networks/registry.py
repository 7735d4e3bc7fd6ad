"""The table of networks, and building one of them for a problem."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..arguments import mapping, whole
from ..backend import dde, seeded
from ..errors import InputError, choose
from .fnn import FNN
from .msffn import FOURIER, MSFFN
from .network import Network
from .patches import PATCHES
from .pirate import PIRATE
from .product import PRODUCT
from .repnet import BEFORE_SIREN, GAUSSIAN, RELU, SINE, TANH
from .siren import SIREN
from .slabs import SLABS

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        TANH,
        RELU,
        SINE,
        GAUSSIAN,
        BEFORE_SIREN,
        SLABS,
        PATCHES,
        PRODUCT,
        FOURIER,
        MSFFN,
        SIREN,
        PIRATE,
        FNN,
    )
}
"""Name -> `Network`. The paper's are "repnet" and "repnet-relu". To add one: a file beside these, and a row here."""

CUSTOM = "custom"
"""The name used for a user's own network."""


def check_network(
    network: Any, options: dict | None, default: str, layers: Sequence[int] | None
) -> tuple[str, dict[str, Any]]:
    """The name of a network (`CUSTOM` for a user's own) and its options, completed with defaults.

    Args:
        network: a name in `NETWORKS`, a DeepXDE network, a function of the problem that builds one, or None.
        options: the user's, or None.
        default: the name that is taken for None.
        layers: hidden widths for a network without its own; None if they are chosen later.

    Raises:
        InputError: an unknown network or option, or layers that cannot be used.
    """
    options = mapping("network_options", options)
    if network is None or isinstance(network, str):
        name = network or default
        choose("network", name, NETWORKS)
        chosen = NETWORKS[name]
        if chosen.pieces and "layers" in options:
            raise InputError(f"layers: given, but {name} chooses the basis functions of each piece itself")
        for key in options:
            choose(f"network_options of {name}", key, chosen.options)
        layers = options.get("layers", chosen.layers or layers)
        if layers is not None and not chosen.pieces:
            options["layers"] = check_layers(layers)
        return name, options
    if options:
        raise InputError("network_options: only for networks chosen by name, but a network was given")
    if not isinstance(network, torch.nn.Module) and not callable(network):
        raise InputError(
            f"network: {network!r} given; one of {', '.join(NETWORKS)}, a DeepXDE network, or a function of the "
            "problem that makes one, is needed"
        )
    return CUSTOM, {}


def check_layers(layers: object) -> list[int]:
    """The widths of hidden layers as a list; `InputError` unless they are whole numbers >= 1, at least one."""
    if isinstance(layers, str) or not isinstance(layers, Sequence) or not layers:
        raise InputError(
            f"layers: {layers!r} given; the widths of the hidden layers, such as (128, 64, 64), are needed"
        )
    for width in layers:
        if width is None:
            raise InputError("layers: None is not a width")
        whole("layers", width, 1)
    return [int(width) for width in layers]


def build_network(problem: Any, network: Any, options: dict[str, Any], wavenumber: ArrayLike | None) -> Any:
    """The network for ``problem``: built by name, by the user's function, or the user's own; transforms applied.

    Args:
        network: a name in `NETWORKS`, a module, or a function of the problem that returns one.
        options: of the named network, as `check_network` returned them.
        wavenumber: (d,) physical wavenumbers.
    """
    if isinstance(network, str):
        box, n_in = problem.box, problem.dim
        if problem.input_transform is not None:
            box, n_in, wavenumber = *_feature_box(problem), None
        options = dict(options)
        sizes = [n_in, *options.pop("layers", ()), len(problem.outputs)]
        net = NETWORKS[network](sizes, box, wavenumber, **options)
    else:
        try:
            net = network if isinstance(network, torch.nn.Module) else network(problem)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"network: the function raised {type(error).__name__}: {error}") from error
        if not isinstance(net, dde.nn.NN):
            raise InputError(f"network: a {type(net).__name__} was given; a subclass of dde.nn.NN is needed")
    for argument, apply, present in (
        ("input_transform", "apply_feature_transform", "_input_transform"),
        ("output_transform", "apply_output_transform", "_output_transform"),
    ):
        transform = getattr(problem, argument)
        if transform is not None and getattr(net, present) is not transform:
            if getattr(net, present) is not None:
                raise InputError(f"network: already has a transform of its own, and the problem has an {argument} too")
            getattr(net, apply)(transform)
    _fits(problem, net, network)
    return net


def _feature_box(problem: Any) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """The range of the features of ``input_transform``, and their number; a constant feature gets a unit range."""
    x = problem.geometry.random_points(1000, random="pseudo")
    features = problem.input_transform(torch.as_tensor(x)).detach().cpu().numpy().astype(np.float64)
    low, high = features.min(0), features.max(0)
    flat = high - low < 1e-12 * np.maximum(1, np.abs(high))
    return (np.where(flat, low - 1, low), np.where(flat, high + 1, high)), features.shape[1]


def _fits(problem: Any, net: Any, network: Any) -> None:
    """Test the network at a few points."""
    dtypes = {p.dtype for p in net.parameters()}
    wanted = getattr(torch, problem.dtype)
    if dtypes - {wanted}:
        raise InputError(
            f"network: has parameters in {', '.join(str(t).removeprefix('torch.') for t in dtypes)}, but the problem "
            f"is in {problem.dtype}; make the network after repnet_pde.set_precision({problem.dtype!r})"
        )
    x = torch.as_tensor(problem.geometry.random_points(4, random="pseudo"))
    try:
        u = net(x)
    except Exception as error:
        raise InputError(f"network: cannot be evaluated at x {tuple(x.shape)}: {error}") from error
    if tuple(u.shape) != (4, len(problem.outputs)):
        raise InputError(
            f"network: gives {tuple(u.shape)} for 4 points, but the problem has {len(problem.outputs)} output(s): "
            f"{', '.join(problem.outputs)}"
        )
    if isinstance(network, str) and NETWORKS[network].pieces:
        return  # has no pieces yet
    if (getattr(net, "first_activation", None) == "relu" or _flat(net, x)) and second_order(problem):
        raise InputError(
            "network: pde has second derivatives, which a ReLU network does not have; choose another, such as repnet"
        )


def _flat(net: Any, x: torch.Tensor) -> bool:
    """Whether all second derivatives of the network, without its output transform, are zero."""
    transform, net._output_transform = net._output_transform, None
    try:
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        if not slope.requires_grad:
            return True
        bends = [torch.autograd.grad(s.sum(), x, retain_graph=True, allow_unused=True)[0] for s in slope.T]
        return not any(bend is not None and bend.any() for bend in bends)
    finally:
        net._output_transform = transform


def second_order(problem: Any) -> bool:
    """Whether the PDE depends on second derivatives at any of the problem's points.

    Tests whether the residual differs for two functions whose values and first derivatives agree at a point but whose
    second derivatives do not.
    """
    if problem.pde is None:
        return False
    points = problem.points()
    with seeded(0):
        places = [
            problem.geometry.random_points(points.domain, random=d)
            for d in {points.distribution, "pseudo"} - {"uniform"}
        ]
    x = torch.as_tensor(np.concatenate(places)).requires_grad_()
    centre, width = x.detach().clone(), torch.as_tensor(problem.box.half_width, dtype=x.dtype)
    weights = 1 + 0.37 * torch.arange(problem.dim, dtype=x.dtype)  # so that u_tt - u_xx does not cancel
    residuals = []
    for bend in (0.0, 1.0):
        offset = (x - centre) / width
        u = torch.cat([torch.sin(offset.sum(1, keepdim=True) + c) for c in range(len(problem.outputs))], 1)
        dde.grad.clear()
        found = problem.pde(x, u + bend * (offset * weights).sum(1, keepdim=True) ** 2)
        residuals.append([r.detach() for r in (found if isinstance(found, (list, tuple)) else [found])])
    dde.grad.clear()
    return any(not torch.equal(a, b) for a, b in zip(*residuals, strict=True))
