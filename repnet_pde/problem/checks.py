"""The checks of a `Problem`, field by field."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..arguments import function, mapping, names, number, wavenumber
from ..backend import PRECISIONS, dde
from ..domain import box_of
from ..errors import InputError, choose
from . import references

STORED = ("solution", "reference", "error", "std")
"""What solution.nc may hold beside an output, by the end of its name."""


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


def fields(problem) -> None:
    """Check every field individually and convert fields to their stored form."""
    _geometry(problem.geometry)
    box = box_of(problem.geometry, argument="geometry")
    _functions(problem)
    _sampling(problem)
    tolerance = problem.tolerance if problem.tolerance is None else number("tolerance", problem.tolerance)
    if tolerance is not None and tolerance <= 0:
        raise InputError(f"tolerance: {tolerance:g} given; a relative error > 0 or None is needed")
    balances = mapping("balances", problem.balances, optional=False)
    for name, balance in balances.items():
        _balance(f"balances[{name!r}]", balance, problem)
    if isinstance(problem.interfaces, str) or not isinstance(problem.interfaces, Sequence):
        raise InputError(f"interfaces: {problem.interfaces!r} given; a list of Interface objects is needed")
    for i, interface in enumerate(problem.interfaces):
        _interface(f"interfaces[{i}]", interface, box, problem.in_time)
    outputs, unknown_fields = _outputs(problem)
    residual_names = None if problem.residual_names is None else names("residual_names", problem.residual_names)
    conditions = mapping("conditions", problem.conditions, optional=False)
    for name, condition in conditions.items():
        _condition(f"conditions[{name!r}]", condition, box.dim)
    if problem.pde is None and not conditions:
        raise InputError("pde: None given and no conditions; there is nothing to solve")
    unknowns = mapping("unknowns", problem.unknowns, optional=False)
    for name, value in unknowns.items():
        _unknown(name, value, problem.dtype)
    truths = mapping("true_unknowns", problem.true_unknowns, optional=False)
    for name, value in truths.items():
        choose("true_unknowns", name, unknowns)
        number(f"true_unknowns[{name!r}]", value)
    problem._set(
        outputs=outputs,
        unknown_fields=unknown_fields,
        residual_names=residual_names,
        conditions=conditions,
        unknowns=unknowns,
        true_unknowns=truths,
        parameters=mapping("parameters", problem.parameters, optional=False),
        wavenumber=wavenumber(problem.wavenumber, box.dim),
        tolerance=tolerance,
        balances=balances,
    )


def _functions(problem) -> None:
    function("pde", problem.pde, "x, u")
    function("solution", problem.solution, "x")
    function("output_transform", problem.output_transform, "x, u")
    function("input_transform", problem.input_transform, "x")
    if isinstance(problem.reference, str):
        choose("reference", problem.reference, references.names())
    else:
        function("reference", problem.reference, "")


def _sampling(problem) -> None:
    if not hasattr(problem.sampling, "distribution"):
        raise InputError(f"sampling: {problem.sampling!r} given; a repnet_pde.Sampling is needed")
    if problem.sampling.initial and not problem.in_time:
        raise InputError("sampling.initial: given, but the geometry has no time; use a GeometryXTime")


def _outputs(problem) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the outputs, and of those that are unknown fields."""
    outputs = names("outputs", problem.outputs)
    if not outputs:
        raise InputError("outputs: at least one component name is needed")
    taken = {*problem.coordinate_names, *(f"{name}_{kind}" for name in outputs for kind in STORED)}
    for name in outputs:
        if name in taken:
            listed = ", ".join(problem.coordinate_names)
            raise InputError(
                f"outputs: {name!r} is also the name of a coordinate ({listed}) or of what is stored beside an output "
                f"(u_{', u_'.join(STORED)}); rename it"
            )
    unknown_fields = names("unknown_fields", problem.unknown_fields)
    for name in unknown_fields:
        choose("unknown_fields", name, outputs)
    if outputs and len(unknown_fields) == len(outputs):
        raise InputError("unknown_fields: all outputs are unknown fields; at least one must be the state")
    return outputs, unknown_fields


def _condition(argument: str, condition, dim: int) -> None:
    if isinstance(condition, type) or not (hasattr(condition, "collocation_points") and hasattr(condition, "error")):
        raise InputError(f"{argument}: {condition!r} given; a dde.icbc object is needed")
    for has, own in (
        ("its geometry has", getattr(getattr(condition, "geom", None), "dim", dim)),
        ("its points have", np.shape(getattr(condition, "points", np.empty((0, dim))))[-1]),
    ):
        if own != dim:
            raise InputError(f"{argument}: {has} {own} coordinate(s), but the problem has {dim}")
    if getattr(condition, "batch_size", None) is not None:
        raise InputError(f"{argument}: has a batch_size; all points are used at once, leave it None")
    _called(argument, condition)


VALUE_OF_POINTS = (dde.icbc.DirichletBC, dde.icbc.NeumannBC, dde.icbc.IC)


def _called(argument: str, condition) -> None:
    """Raise where DeepXDE would not call the function of values with the points alone.

    DeepXDE counts all parameters, including those with defaults (a NumPy ufunc has eight or nine), interprets the
    second as an auxiliary variable, and with three or more uses None instead of the function.
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


BOXES = ("Interval", "Rectangle", "Cuboid", "Hypercube", "TimeDomain")


def _balance(field: str, balance, problem) -> None:
    if isinstance(balance, type) or not hasattr(balance, "terms"):
        raise InputError(f"{field}: {balance!r} given; a repnet_pde.Balance is needed")
    for name, term in balance.terms().items():
        function(f"{field}.{name}", term, "x, u")
    kind = type(problem.geometry.geometry if problem.in_time else problem.geometry).__name__
    if kind not in BOXES:
        raise InputError(f"{field}: its integrals need one of {', '.join(BOXES)}, with or without time; {kind} given")
    if problem.evolves and balance.density is None:
        raise InputError(f"{field}: has no density, which is needed in time")
    if not problem.evolves and (balance.density is not None or not balance.terms()):
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
