"""The checks that a `Problem` passes when it is made: its fields one by one, then a trial evaluation."""

import inspect
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch

from ._backend import PRECISIONS, dde, quiet, seeded
from .errors import InputError, RepNetPDEError, choose
from .network.domain import box_of
from .validation.finite_difference import REFERENCES

if TYPE_CHECKING:
    from .problem import Problem

TRIAL_POINTS = 12


def whole(argument: str, value, least: int) -> None:
    """Raise unless ``value`` is None or a whole number of at least ``least``."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < least):
        raise InputError(f"{argument}: {value!r} given; a whole number >= {least} or None is needed")


def fraction(argument: str, value) -> None:
    """Raise unless ``value`` is a number between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise InputError(f"{argument}: {value!r} given; a number between 0 and 1 is needed")


def number(argument: str, value) -> float:
    """``value`` as a float; raise unless it is a finite number."""
    try:
        good = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the range of floats
        good = False
    if not good:
        raise InputError(f"{argument}: {_cut(repr(value))} given; a finite number is needed")
    return float(value)


def mapping(argument: str, value) -> dict:
    """``value`` as a dict; raise unless it is a mapping whose keys are names. None is an empty one."""
    return _mapping(argument, {} if value is None else value)


def seed_number(seed) -> None:
    """Raise unless ``seed`` suits NumPy's and torch's generators, also one above it."""
    whole("seed", seed, 0)
    if seed is None or seed > 2**32 - 2:
        raise InputError(f"seed: {seed!r} given; a whole number from 0 to 2**32 - 2 is needed")


def seconds(argument: str, value) -> None:
    """Raise unless ``value`` is None or a positive number."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Real) or not value > 0):
        raise InputError(f"{argument}: {value!r} given; a number of seconds > 0 is needed")


def of_precision(problem, dtype: str) -> None:
    """Raise unless ``problem`` is a `Problem` made in ``dtype``."""
    if not hasattr(problem, "term_names"):
        raise InputError(f"problem: {type(problem).__name__} given; a repnet_pde.Problem, from load_problem, is needed")
    choose("dtype", dtype, PRECISIONS)
    if problem.dtype != dtype:
        raise InputError(
            f"dtype: {dtype!r} asked for, but the problem was made in {problem.dtype!r}; make it again after "
            f"repnet_pde.set_precision({dtype!r}), or by load_problem(..., dtype={dtype!r})"
        )


def function(argument: str, value, arguments: str) -> None:
    """Raise unless ``value`` is None or can be called with as many positional arguments as named."""
    if value is None:
        return
    if not callable(value):
        raise InputError(f"{argument}: {value!r} given; a function {argument}({arguments}) is needed")
    try:
        inspect.signature(value).bind(*(name for name in arguments.split(", ") if name))
    except TypeError:
        raise InputError(f"{argument}: must be callable as {argument}({arguments})") from None
    except ValueError:  # a builtin without a signature
        pass


def fields(problem: "Problem") -> None:
    """Check every field for itself and put the loose ones into their stored form."""
    _geometry(problem.geometry)
    box = box_of(problem.geometry, argument="geometry")
    function("pde", problem.pde, "x, u")
    function("solution", problem.solution, "x")
    function("output_transform", problem.output_transform, "x, u")
    function("input_transform", problem.input_transform, "x")
    if isinstance(problem.reference, str):
        choose("reference", problem.reference, REFERENCES)
    else:
        function("reference", problem.reference, "")
    if not hasattr(problem.sampling, "distribution"):
        raise InputError(f"sampling: {problem.sampling!r} given; a repnet_pde.Sampling is needed")
    if problem.sampling.initial and not problem.in_time:
        raise InputError("sampling.initial: given, but the geometry has no time; use a GeometryXTime")
    tolerance = problem.tolerance if problem.tolerance is None else number("tolerance", problem.tolerance)
    if tolerance is not None and tolerance <= 0:
        raise InputError(f"tolerance: {tolerance:g} given; a relative error > 0 or None is needed")
    balances = _mapping("balances", problem.balances)
    for name, balance in balances.items():
        _balance(f"balances[{name!r}]", balance, problem)

    if isinstance(problem.interfaces, str) or not isinstance(problem.interfaces, Sequence):
        raise InputError(f"interfaces: {problem.interfaces!r} given; a list of Interface objects is needed")
    for i, interface in enumerate(problem.interfaces):
        _interface(f"interfaces[{i}]", interface, box, problem.in_time)

    outputs = _names("outputs", problem.outputs)
    if not outputs:
        raise InputError("outputs: at least one component name is needed")
    fields = _names("unknown_fields", problem.unknown_fields)
    for name in fields:
        choose("unknown_fields", name, outputs)
    if outputs and len(fields) == len(outputs):
        raise InputError("unknown_fields: all outputs are unknown fields; at least one must be the state")
    residual_names = None if problem.residual_names is None else _names("residual_names", problem.residual_names)
    conditions = _mapping("conditions", problem.conditions)
    for name, condition in conditions.items():
        if isinstance(condition, type) or not (
            hasattr(condition, "collocation_points") and hasattr(condition, "error")
        ):
            raise InputError(f"conditions[{name!r}]: {condition!r} given; a dde.icbc object is needed")
        for has, dim in (
            ("its geometry has", getattr(getattr(condition, "geom", None), "dim", box.dim)),
            ("its points have", np.shape(getattr(condition, "points", np.empty((0, box.dim))))[-1]),
        ):
            if dim != box.dim:
                raise InputError(f"conditions[{name!r}]: {has} {dim} coordinate(s), but the problem has {box.dim}")
        if getattr(condition, "batch_size", None) is not None:
            raise InputError(f"conditions[{name!r}]: has a batch_size; all points are used at once, leave it None")
        _called(f"conditions[{name!r}]", condition)
    if problem.pde is None and not conditions:
        raise InputError("pde: None given and no conditions; there is nothing to solve")
    unknowns = _mapping("unknowns", problem.unknowns)
    for name, value in unknowns.items():
        _unknown(name, value, problem.dtype)
    truths = _mapping("true_unknowns", problem.true_unknowns)
    for name, value in truths.items():
        choose("true_unknowns", name, unknowns)
        number(f"true_unknowns[{name!r}]", value)
    problem._set(
        outputs=outputs,
        unknown_fields=fields,
        residual_names=residual_names,
        conditions=conditions,
        unknowns=unknowns,
        true_unknowns=truths,
        parameters=_mapping("parameters", problem.parameters),
        wavenumber=wavenumber(problem.wavenumber, box.dim),
        tolerance=tolerance,
        balances=balances,
    )


VALUE_OF_POINTS = (dde.icbc.DirichletBC, dde.icbc.NeumannBC, dde.icbc.IC)


def _called(argument: str, condition) -> None:
    """Raise where DeepXDE would not call the function of values with the points alone.

    It counts all parameters, those with defaults too (a NumPy ufunc has eight or nine), takes the second for an
    auxiliary variable, and with three or more leaves None in the function's place.
    """
    if isinstance(condition, VALUE_OF_POINTS):
        count = None if condition.func is None else dde.utils.get_num_args(condition.func)
        if count != 1:
            raise InputError(
                f"{argument}: its function has {count or 'more than two'} parameters, those with defaults counted, and "
                "DeepXDE calls only one of x alone; wrap it, as in lambda x: np.cosh(x)"
            )


def _geometry(geometry) -> None:
    space = geometry.geometry if hasattr(geometry, "timedomain") else geometry
    if not isinstance(space, dde.geometry.geometry.Geometry):
        raise InputError(
            f"geometry: {geometry!r} given; a dde.geometry object, such as dde.geometry.Interval(0, 1) or a "
            "GeometryXTime, is needed"
        )


def _names(argument: str, value) -> tuple[str, ...]:
    names = () if isinstance(value, str) or not hasattr(value, "__iter__") else tuple(value)
    if isinstance(value, str) or not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
        raise InputError(f"{argument}: {value!r} given; different, non-empty names in a tuple or list are needed")
    return names


def _mapping(argument: str, value) -> dict:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        raise InputError(f"{argument}: {value!r} given; a mapping with names as keys is needed")
    return dict(value)


def _unknown(name: str, value, dtype: str) -> None:
    if not (isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf and value.numel() == 1):
        raise InputError(
            f"unknowns[{name!r}]: {value!r} given; a dde.Variable with a float start value is needed, "
            "such as dde.Variable(1.0)"
        )
    if value.dtype != getattr(torch, dtype):
        raise InputError(
            f"unknowns[{name!r}]: is {str(value.dtype).removeprefix('torch.')}, but the problem is made in {dtype}; "
            "create it inside problem(), after the precision is set"
        )
    if not math.isfinite(value.item()):
        raise InputError(f"unknowns[{name!r}]: starts at {value.item()}; a finite start value is needed")


def wavenumber(value, dim: int) -> tuple[float, ...] | None:
    """``value`` for each of ``dim`` axes, or None; raise unless it is numbers > 0."""
    if value is None:
        return None
    try:
        array = np.broadcast_to(np.asarray(value, dtype=np.float64), (dim,))
        good = np.isfinite(array).all() and (array > 0).all()
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InputError(f"wavenumber: {value!r} given; a number > 0 or {dim} of them, one per axis, is needed")
    return tuple(float(k) for k in array)


BOXES = ("Interval", "Rectangle", "Cuboid", "Hypercube", "TimeDomain")


def evolves(problem) -> bool:
    """Whether one of the coordinates is time."""
    return problem.in_time or type(problem.geometry).__name__ == "TimeDomain"


def _balance(field: str, balance, problem) -> None:
    if isinstance(balance, type) or not hasattr(balance, "terms"):
        raise InputError(f"{field}: {balance!r} given; a repnet_pde.Balance is needed")
    for name, term in balance.terms().items():
        function(f"{field}.{name}", term, "x, u")
    kind = type(problem.geometry.geometry if problem.in_time else problem.geometry).__name__
    if kind not in BOXES:
        raise InputError(f"{field}: its integrals need one of {', '.join(BOXES)}, with or without time; {kind} given")
    if evolves(problem) and balance.density is None:
        raise InputError(f"{field}: has no density, which is needed in time")
    if not evolves(problem) and (balance.density is not None or not balance.terms()):
        raise InputError(f"{field}: the problem is steady; a rate or a flux or both, and no density, are needed")
    if kind == "TimeDomain" and balance.flux is not None:
        raise InputError(f"{field}.flux: given, but time is the only coordinate; None is needed")


def _interface(argument: str, interface, box, in_time: bool) -> None:
    if not hasattr(interface, "flux"):
        raise InputError(f"{argument}: {interface!r} given; a repnet_pde.Interface is needed")
    axes = range(box.dim - in_time)
    if isinstance(interface.axis, bool) or interface.axis not in axes:
        raise InputError(f"{argument}.axis: {interface.axis!r} given; one of {', '.join(map(str, axes))} is needed")
    at, low, high = number(f"{argument}.at", interface.at), box.lower[interface.axis], box.upper[interface.axis]
    if not low < at < high:
        raise InputError(f"{argument}.at: {at:g} given; a place between {low:g} and {high:g} is needed")
    function(f"{argument}.flux", interface.flux, "x, u")


# The trial evaluation ---------------------------------------------------------------------------------------------


def _fluxes(problem, points) -> None:
    """Try the flux of each interface: of the right shape, and linear."""
    for i, interface in enumerate(problem.interfaces):
        argument = f"interfaces[{i}].flux"
        x = torch.as_tensor(points).requires_grad_()
        waves = torch.sin(x.sum(1, keepdim=True) + torch.arange(len(problem.outputs), dtype=x.dtype))
        found = []
        for factor in (0.0, 1.0, 2.0):
            dde.grad.clear()
            try:
                flux = interface.flux(x, factor * waves)
            except Exception as error:
                raise InputError(f"{argument}: raised {_said(error)}") from error
            parts = flux if isinstance(flux, (list, tuple)) else [flux]
            for part in parts:
                if not isinstance(part, torch.Tensor) or tuple(part.shape) != (len(x), 1):
                    raise InputError(f"{argument}: gave {_shape(part)} for {len(x)} points; ({len(x)}, 1) is needed")
                _finite(argument, part)
            found.append(torch.cat([part.detach() for part in parts], 1))
        dde.grad.clear()
        size = found[1].abs().max().item()
        if max(found[0].abs().max().item(), (found[2] - 2 * found[1]).abs().max().item()) > 1e-6 * size:
            raise InputError(f"{argument}: is not linear in u")


def trial(problem: "Problem") -> None:
    """Draw the points, evaluate everything once on a few of them with a small random network, look at the results."""
    from .residuals import collocation, residual_vectors

    with seeded(0):
        collocation(problem)  # raises for a condition that selects no points
        few = collocation(problem, few=TRIAL_POINTS)
        points = _inner_points(problem)
        net = _trial_network(problem, points)
        _transformed(problem, net, points)
        vectors = _evaluate(problem, few, net, residual_vectors)
        if problem.residual_names is None:
            count = len(vectors) - len(problem.conditions)
            problem._set(residual_names=("pde",) if count == 1 else tuple(f"pde_{i + 1}" for i in range(count)))
        _residuals(problem, vectors, few)
        _dependence(problem, vectors, net)
        frozen(problem.unknowns, problem.term_names, problem.conditions, vectors, lambda: residual_vectors(few, net))
        dde.grad.clear()
        _solution(problem, points)
        _balances(problem, net, points)
        _fluxes(problem, points)


def _inner_points(problem) -> np.ndarray:
    try:
        with quiet():
            return problem.geometry.random_points(TRIAL_POINTS, random="pseudo")
    except Exception as error:
        raise InputError(f"geometry: no points can be drawn from it: {_said(error)}") from error


def _trial_network(problem, points):
    """A smooth random network of float64-safe size with the problem's transforms."""
    features = problem.dim
    if problem.input_transform is not None:
        try:
            transformed = problem.input_transform(torch.as_tensor(points))
        except Exception as error:
            raise InputError(f"input_transform: raised {_said(error)}") from error
        if not isinstance(transformed, torch.Tensor) or transformed.ndim != 2 or len(transformed) != len(points):
            raise InputError(
                f"input_transform: gave {_shape(transformed)} for x {points.shape}; a tensor "
                f"({len(points)}, features) is needed"
            )
        _finite("input_transform", transformed)
        features = transformed.shape[1]
    net = dde.nn.FNN([features, 8, 8, len(problem.outputs)], "tanh", "Glorot normal")
    if problem.input_transform is not None:
        net.apply_feature_transform(problem.input_transform)
    if problem.output_transform is not None:
        net.apply_output_transform(problem.output_transform)
    return net


def _transformed(problem, net, points) -> None:
    wanted = (len(points), len(problem.outputs))
    try:
        u = net(torch.as_tensor(points))
    except Exception as error:
        raise InputError(f"output_transform: raised {_said(error)}") from error
    if not isinstance(u, torch.Tensor) or tuple(u.shape) != wanted:
        raise InputError(f"output_transform: gave {_shape(u)} for {len(points)} points; a tensor {wanted} is needed")
    _finite("output_transform", u)


def _evaluate(problem, data, net, residual_vectors) -> list[torch.Tensor]:
    try:
        if problem.pde is not None:
            _returned(problem, data, net)
        return residual_vectors(data, net)
    except RepNetPDEError:
        raise
    except Exception as error:
        dde.grad.clear()
        raise InputError(f"{_blame(problem, data, net)}: raised {_said(error)}") from error


def _returned(problem, data, net) -> None:
    """What ``pde`` returns must be residual vectors, before DeepXDE slices them."""
    x = torch.as_tensor(data.train_x).requires_grad_()
    returned = problem.pde(x, net(x))
    dde.grad.clear()
    residuals = returned if isinstance(returned, (list, tuple)) else [returned]
    if not residuals:
        raise InputError("pde: returned no residual; a tensor (n, 1) or a list of them is needed")
    for residual in residuals:
        if not isinstance(residual, torch.Tensor) or tuple(residual.shape) not in ((len(x), 1), (len(x),)):
            hint = "; x[:, 0] in place of x[:, 0:1] is a common cause" if np.ndim(residual) == 2 else ""
            raise InputError(
                f"pde: the residual is {_shape(residual)} for {len(x)} points; a tensor ({len(x)}, 1) is needed{hint}"
            )


def _blame(problem, data, net) -> str:
    """Which field raises: the PDE, or one of the conditions, tried one by one."""
    x = torch.as_tensor(data.train_x).requires_grad_()
    field, begin = "pde", 0
    try:
        if problem.pde is not None:
            problem.pde(x, net(x))
        for (name, condition), count in zip(problem.conditions.items(), data.num_bcs, strict=True):
            field = f"conditions[{name!r}]"
            condition.error(data.train_x, x, net(x), begin, begin + count)
            begin += count
    except Exception:
        return field
    finally:
        dde.grad.clear()
    return "pde"


def _residuals(problem, vectors, data) -> None:
    n_pde = len(vectors) - len(problem.conditions)
    if len(problem.residual_names) != n_pde:
        raise InputError(
            f"residual_names: {len(problem.residual_names)} given ({', '.join(problem.residual_names)}), "
            f"but pde returns {n_pde} residual(s)"
        )
    clash = set(problem.residual_names) & set(problem.conditions)
    if clash:
        raise InputError(f"conditions: the name {min(clash)!r} is also the name of a residual of pde")
    rows = [len(data.train_x) - sum(data.num_bcs)] * n_pde + list(data.num_bcs)
    for i, (name, vector, n) in enumerate(zip(problem.term_names, vectors, rows, strict=True)):
        condition = problem.conditions.get(name)
        field = f"conditions[{name!r}]" if i >= n_pde else "pde" if n_pde == 1 else f"pde: residual {name!r}"
        if condition is not None and hasattr(condition, "component_x"):
            n //= 2  # a periodic condition pairs its points
        components = len(condition.component) if isinstance(getattr(condition, "component", 0), list) else 1
        if not isinstance(vector, torch.Tensor) or tuple(vector.shape) not in ((n, components), (n,)):
            hint = "; x[:, 0] in place of x[:, 0:1] is a common cause" if np.ndim(vector) == 2 else ""
            raise InputError(f"{field}: the residual is {_shape(vector)} for {n} points; ({n}, 1) is needed{hint}")
        _finite(field, vector)


def _dependence(problem, vectors, net) -> None:
    """Each term must depend on the network or an unknown, and each unknown must be used by some term."""
    unknowns = list(problem.unknowns.values())
    wanted = [*net.parameters(), *unknowns]
    used: set[str] = set()
    for name, vector in zip(problem.term_names, vectors, strict=True):
        field = f"conditions[{name!r}]" if name in problem.conditions else f"pde: residual {name!r}"
        grads = (
            torch.autograd.grad(vector.square().sum(), wanted, allow_unused=True, retain_graph=True)
            if vector.requires_grad
            else [None] * len(wanted)
        )
        if all(g is None for g in grads):
            raise InputError(f"{field}: does not depend on the network's output or an unknown; was it detached?")
        used |= {u for u, g in zip(problem.unknowns, grads[len(grads) - len(unknowns) :], strict=True) if g is not None}
    for name in problem.unknowns:
        if name not in used:
            raise InputError(f"unknowns[{name!r}]: no residual depends on it, so it cannot be identified")


def frozen(unknowns: Mapping, names: Sequence[str], conditions, vectors, evaluate) -> None:
    """Raise where a residual depends on an unknown but keeps the value it had at the first evaluation.

    DeepXDE caches the values of boundary and initial conditions; and what a user computes from an unknown outside of
    ``pde`` is computed once. Each unknown is changed by as much as should change the residual by its own size.

    Args:
        unknowns: name -> ``dde.Variable``; they are left as they were.
        names: of the terms. conditions: those of them that are conditions.
        vectors: the residuals, with their graph. evaluate: gives them again.
    """
    before = [v.detach().clone() for v in vectors]
    steepness = {name: [_slope(v, variable) for v in vectors] for name, variable in unknowns.items()}

    def moves(variable, value: float) -> list[bool]:
        """Which residuals are others with this value of the unknown."""
        start = variable.item()
        if not math.isfinite(value):
            return [False] * len(before)
        _fill(variable, value)
        dde.grad.clear()
        try:
            return [not torch.equal(a.detach(), b) for a, b in zip(evaluate(), before, strict=True)]
        except Exception:  # a value that the user's functions refuse is not frozen
            return [True] * len(before)
        finally:
            _fill(variable, start)
            dde.grad.clear()

    for name, variable in unknowns.items():
        slopes, start = steepness[name], variable.item()
        moved = moves(variable, start + 0.37 * (abs(start) or 1.0)) if any(slopes) else []
        for i, (slope, changed) in enumerate(zip(slopes, moved, strict=False)):
            far = max(abs(start), max(before[i].abs().max().item(), 1e-3) / slope) if slope else 0.0
            if slope and not (changed or moves(variable, start + far)[i] or moves(variable, start - far)[i]):
                raise InputError(_said_of_frozen(name, names[i], conditions))


def _slope(vector, variable) -> float:
    """How steeply the residual depends on an unknown: the norm of its derivative."""
    if not vector.requires_grad:
        return 0.0
    weights = torch.randn(vector.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(vector)
    (slope,) = torch.autograd.grad(vector, variable, weights, allow_unused=True, retain_graph=True)
    slope = 0.0 if slope is None else abs(slope.item())
    return slope if math.isfinite(slope) else 0.0


@torch.no_grad()
def _fill(variable, value: float) -> None:
    variable.fill_(value)


def _said_of_frozen(name: str, term: str, conditions) -> str:
    if term not in conditions:
        return (
            f"unknowns[{name!r}]: the residual {term!r} of pde keeps the value that it had at first; compute what "
            "depends on the unknown inside of pde"
        )
    return (
        f"unknowns[{name!r}]: conditions[{term!r}] keeps the value that it had at first, since DeepXDE caches what a "
        "condition's function returns; state it as dde.icbc.OperatorBC(geometry, lambda x, u, X: ..., on_boundary), "
        "with the unknown inside of its function"
    )


def _solution(problem, points) -> None:
    if problem.solution is None:
        return
    wanted = (len(points), len(problem.outputs))
    try:
        with np.errstate(all="ignore"):
            u = problem.solution(points.astype(np.float64))
    except Exception as error:
        raise InputError(f"solution: raised {_said(error)}") from error
    if not isinstance(u, np.ndarray) or u.shape != wanted or u.dtype.kind not in "fiu":
        kind = f" of {u.dtype}" if isinstance(u, np.ndarray) else ""
        raise InputError(
            f"solution: gave {_shape(u)}{kind} for x {points.shape}; a NumPy array {wanted} of real numbers is needed "
            "(use x[:, 0:1] to keep two dimensions)"
        )
    _finite("solution", u)


def _balances(problem, net, points) -> None:
    x = torch.as_tensor(points).requires_grad_()
    u = net(x)
    for name, balance in problem.balances.items():
        for term, evaluate in balance.terms().items():
            field = f"balances[{name!r}].{term}"
            wanted = (len(x), problem.dim - problem.in_time if term == "flux" else 1)
            try:
                value = evaluate(x, u)
            except Exception as error:
                raise InputError(f"{field}: raised {_said(error)}") from error
            finally:
                dde.grad.clear()
            if not isinstance(value, torch.Tensor) or tuple(value.shape) != wanted:
                raise InputError(f"{field}: gave {_shape(value)} for {len(x)} points; a tensor {wanted} is needed")
            _finite(field, value)


def _finite(field: str, value) -> None:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise InputError(f"{field}: {bad} of {array.size} values are not finite at {len(array)} points of the domain")


def _shape(value) -> str:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return ("" if isinstance(value, torch.Tensor) else "a NumPy array ") + str(tuple(value.shape))
    return f"a {type(value).__name__}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {_cut(' '.join(str(error).split()))}"


def _cut(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "..."
