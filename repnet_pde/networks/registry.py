"""The networks that `solve` knows by name, built for a problem."""

import inspect
from collections.abc import Sequence

import numpy as np
import torch

from ..arguments import mapping, whole
from ..backend import dde, seeded
from ..domain import box_of
from ..errors import InputError, choose
from . import RepNet
from .msffn import MsFFN
from .options import positive
from .patches import Patches
from .pirate import PirateNet
from .product import ProductRepNet
from .siren import Siren, siren_initializer
from .slabs import Slabs
from .slopes import normalized_wavenumbers
from .warp import AxisWarp

LAYERS = {
    "adam": (128, 64, 64),
    "soap": (128, 64, 64),
    "lbfgs": (128, 64, 64),
    "ssbroyden": (30, 20, 20),
    "gauss-newton": (20, 20, 20),
}
"""Hidden layers by the first method of a run, unless others are asked for. Least squares chooses
the width of its one layer from the wavenumber (`planning`)."""

PUBLISHED = {"pirate": (256, 256, 256, 256)}
"""Hidden layers of networks that have their own, whatever the method: of PirateNet the embedding and three blocks."""

GENTLE = 3 * np.pi
"""Largest wavenumber in x̂ for the start slopes of a deep, narrow network under Gauss-Newton, which makes them steeper
by itself: on Burgers' equation slopes for 10π were measured to end in a poor minimum, for π and 3π in good ones."""

DEFAULT = {
    "adam": "repnet",
    "soap": "repnet",
    "lbfgs": "repnet",
    "ssbroyden": "repnet",
    "gauss-newton": "repnet",
    "least-squares": "repnet-sin",
    "joint": "repnet-sin",
    "patching": "repnet-patches",
    "patch-marching": "repnet-patches",
    "low-rank": "repnet-product",
    "marching": "repnet-slabs",
    "shooting": "repnet-slabs",
}
"""The network that is taken when none is asked for, by the first method."""


def _repnet(first_activation: str, activation: str):
    def build(
        sizes,
        domain,
        expected,
        *,
        activation: str = activation,
        slope_scale="auto",
        wavenumber=None,
        bands=None,
        waves=None,
        warp=None,
        steps=None,
    ):
        automatic = wavenumber is None and bands is None and waves is None and isinstance(slope_scale, str)
        stretch = None
        if expected is not None and not isinstance(slope_scale, str):  # a given scale holds for the steepest axis
            numbers = normalized_wavenumbers(expected, box_of(domain, sizes[0]))
            stretch = numbers / numbers.max()
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
            warp=None if warp is None else AxisWarp(box_of(domain, sizes[0]), _arrays(warp), steps and _arrays(steps)),
        )

    return build


BEFORE_SINES = 0.5
"""Part of the largest wavenumber that the first layer covers where sine layers follow, which multiply wavenumbers: on
samples of waves the whole of it was measured to overfit."""


def _siren_behind(
    sizes, domain, expected, *, hidden_omega: float = 30.0, slope_scale="auto", wavenumber=None, waves=None
):
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


def _arrays(axes) -> list[list[np.ndarray]]:
    return [[np.asarray(v, dtype=float) for v in axis] for axis in axes]


def _fnn(sizes, domain, expected, *, activation: str = "tanh"):
    try:
        return dde.nn.FNN(list(sizes), activation, "Glorot normal")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"activation: {activation!r} given; one of DeepXDE's, such as tanh, is needed") from error


def _reaching(sizes, domain, expected) -> float:
    """The σ that reaches the largest wavenumber with two standard deviations; 10 where it is not known."""
    if expected is None:
        return 10.0
    return max(1.0, float(np.max(np.asarray(expected) * box_of(domain, sizes[0]).half_width)) / 2)


def _msffn(sizes, domain, expected, *, activation: str = "tanh", sigmas=None):
    sigmas = [1.0, _reaching(sizes, domain, expected)] if sigmas is None else sigmas
    return MsFFN(sizes, activation, "Glorot normal", sigmas=sigmas, domain=domain)


def _fourier(sizes, domain, expected, *, activation: str = "tanh", sigma: float | None = None):
    sigma = _reaching(sizes, domain, expected) if sigma is None else positive(sigma, 1, "sigma")[0]
    return MsFFN(sizes, activation, "Glorot normal", sigmas=[sigma], domain=domain)


def _pirate(sizes, domain, expected, *, activation: str = "tanh", fourier_scale: float = 1.0, factorization=(1.0, 0.1)):
    return PirateNet(sizes, activation, fourier_scale=fourier_scale, factorization=factorization, domain=domain)


def _siren(sizes, domain, expected, *, omega: float = 30.0, hidden_omega: float = 30.0):
    return Siren(sizes, omega=omega, hidden_omega=hidden_omega, domain=domain)


def _product(sizes, domain, expected, *, wavenumber=None, slow: int = 0):
    return ProductRepNet(sizes, domain=domain, wavenumber=expected if wavenumber is None else wavenumber, slow=slow)


def _slabs(sizes, domain, expected):
    return Slabs(sizes[-1], domain)


def _patches(sizes, domain, expected):
    return Patches(sizes[-1], domain)


PIECEWISE = {"repnet-slabs": "marching and shooting", "repnet-patches": "patching and patch-marching"}
"""Networks that a method makes piece by piece -> the methods that need them."""


NETWORKS = {
    "repnet": _repnet("tanh", "tanh"),
    "repnet-relu": _repnet("relu", "relu"),
    "repnet-sin": _repnet("sin", "tanh"),
    "repnet-gaussian": _repnet("gaussian", "tanh"),
    "repnet-siren": _siren_behind,
    "repnet-slabs": _slabs,
    "repnet-patches": _patches,
    "repnet-product": _product,
    "fourier": _fourier,
    "msffn": _msffn,
    "siren": _siren,
    "pirate": _pirate,
    "fnn": _fnn,
}
"""Name -> function(sizes, domain, expected wavenumber, **options). The paper's are "repnet" and "repnet-relu"."""


def check_network(network, options: dict | None, method: str) -> tuple[str, dict]:
    """The name of a network ("custom" for a user's own) and its options, with defaults for the first ``method``."""
    options = mapping("network_options", options)
    if network is None or isinstance(network, str):
        name = network or DEFAULT[method]
        choose("network", name, NETWORKS)
        for piecewise, methods in PIECEWISE.items():
            if (DEFAULT[method] == piecewise) != (name == piecewise):
                raise InputError(
                    f"network: {name} given with the method {method}; {methods} need{'s' * (' ' not in methods)} "
                    f"{piecewise!r}, which needs {'one of them' if ' ' in methods else 'it'}"
                )
        known = [
            "layers",
            *(p for p, v in inspect.signature(NETWORKS[name]).parameters.items() if v.kind is v.KEYWORD_ONLY),
        ]
        for key in options:
            choose(f"network_options of {name}", key, known)
        layers = options.get("layers", default_layers(name, method))
        if name in PIECEWISE and "layers" in options:
            raise InputError(f"layers: given, but {name} chooses the features of each piece itself")
        if layers is not None and name not in PIECEWISE:
            options["layers"] = check_layers(layers)
        return name, options
    if options:
        raise InputError("network_options: only for networks chosen by name, but a network was given")
    if not isinstance(network, torch.nn.Module) and not callable(network):
        raise InputError(
            f"network: {network!r} given; one of {', '.join(NETWORKS)}, a DeepXDE network, or a function of the "
            "problem that makes one, is needed"
        )
    return "custom", {}


def default_layers(network, method: str) -> tuple[int, ...] | None:
    """Hidden layers of a network under the first ``method`` of a run; None where they are chosen otherwise."""
    return PUBLISHED.get(network) or LAYERS.get(method)


def check_layers(layers) -> list[int]:
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


def build_network(problem, network, options: dict, wavenumber):
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
    _fits(problem, net)
    return net


def _feature_box(problem) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """The range of the features of ``input_transform``, and their number; a constant feature gets a unit range."""
    x = problem.geometry.random_points(1000, random="pseudo")
    features = problem.input_transform(torch.as_tensor(x)).detach().cpu().numpy().astype(np.float64)
    low, high = features.min(0), features.max(0)
    flat = high - low < 1e-12 * np.maximum(1, np.abs(high))
    return (np.where(flat, low - 1, low), np.where(flat, high + 1, high)), features.shape[1]


def _fits(problem, net) -> None:
    """Try the network on a few points."""
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
    if isinstance(net, (Slabs, Patches)):
        return  # without pieces as yet
    if (getattr(net, "first_activation", None) == "relu" or _flat(net, x)) and second_order(problem):
        raise InputError(
            "network: pde has second derivatives, which a ReLU network does not have; choose another, such as repnet"
        )


def _flat(net, x: torch.Tensor) -> bool:
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


def second_order(problem) -> bool:
    """Whether the PDE depends on second derivatives at any of the problem's points.

    Two functions that agree at a point with their first derivatives, but not with their second: does the residual
    see the difference there?
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
