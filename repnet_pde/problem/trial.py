"""The trial evaluation of a `Problem`: everything once on a few points with a small random network."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..arguments import finite, said, shape
from ..backend import dde, quiet, seeded
from ..errors import InputError, RepNetPDEError
from .frozen import frozen
from .points import collocation
from .residuals import residual_vectors

MOST_OUTPUTS = 12
"""Numbers of outputs that are tried if those named are too few."""
TRIAL_POINTS = 12
"""Points inside the domain at which everything is tried."""


def _fluxes(problem: Any, points: np.ndarray) -> None:
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
                raise InputError(f"{argument}: raised {said(error)}") from error
            parts = flux if isinstance(flux, (list, tuple)) else [flux]
            for part in parts:
                if not isinstance(part, torch.Tensor) or tuple(part.shape) != (len(x), 1):
                    raise InputError(f"{argument}: gave {shape(part)} for {len(x)} points; ({len(x)}, 1) is needed")
                finite(argument, part)
            found.append(torch.cat([part.detach() for part in parts], 1))
        dde.grad.clear()
        size = found[1].abs().max().item()
        if max(found[0].abs().max().item(), (found[2] - 2 * found[1]).abs().max().item()) > 1e-6 * size:
            raise InputError(f"{argument}: is not linear in u")


def trial(problem: Any) -> None:
    """Draw the points, evaluate everything once at a few of them with a small random network, and check the results."""
    with seeded(0), _complex_refused():
        collocation(problem)  # raises for a condition that selects no points
        few = collocation(problem, few=TRIAL_POINTS)
        points = _inner_points(problem)
        net = _trial_network(problem, points)
        _transformed(problem, net, points)
        vectors = _evaluate(problem, few, net)
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


@contextlib.contextmanager
def _complex_refused() -> Iterator[None]:
    """Complex values raise an error where PyTorch or NumPy would drop their imaginary part with a warning."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Casting complex values to real")
            yield
    finally:
        torch.set_warn_always(always)


def _inner_points(problem: Any) -> np.ndarray:
    try:
        with quiet():
            return problem.geometry.random_points(TRIAL_POINTS, random="pseudo")
    except Exception as error:
        raise InputError(f"geometry: no points can be drawn from it: {said(error)}") from error


def _trial_network(problem: Any, points: np.ndarray) -> Any:
    """A smooth random network of float64-safe size with the problem's transforms."""
    features = problem.dim
    if problem.input_transform is not None:
        try:
            transformed = problem.input_transform(torch.as_tensor(points))
        except Exception as error:
            raise InputError(f"input_transform: raised {said(error)}") from error
        if not isinstance(transformed, torch.Tensor) or transformed.ndim != 2 or len(transformed) != len(points):
            raise InputError(
                f"input_transform: gave {shape(transformed)} for x {points.shape}; a tensor "
                f"({len(points)}, features) is needed"
            )
        finite("input_transform", transformed)
        features = transformed.shape[1]
    net = dde.nn.FNN([features, 8, 8, len(problem.outputs)], "tanh", "Glorot normal")
    if problem.input_transform is not None:
        net.apply_feature_transform(problem.input_transform)
    if problem.output_transform is not None:
        net.apply_output_transform(problem.output_transform)
    return net


def _transformed(problem: Any, net: Any, points: np.ndarray) -> None:
    wanted = (len(points), len(problem.outputs))
    try:
        u = net(torch.as_tensor(points))
    except Exception as error:
        raise InputError(f"output_transform: raised {said(error)}") from error
    if not isinstance(u, torch.Tensor) or tuple(u.shape) != wanted:
        raise InputError(f"output_transform: gave {shape(u)} for {len(points)} points; a tensor {wanted} is needed")
    finite("output_transform", u)


def _evaluate(problem: Any, data: Any, net: Any) -> list[torch.Tensor]:
    try:
        if problem.pde is not None:
            _returned(problem, data, net)
        return residual_vectors(data, net)
    except RepNetPDEError:
        raise
    except Exception as error:
        dde.grad.clear()
        hint = _more_outputs(problem, data)
        raise InputError(f"{_blame(problem, data, net)}: raised {said(error)}{hint}") from error


def _more_outputs(problem: Any, data: Any) -> str:
    """A hint if everything can be evaluated with more outputs than are named; else empty."""
    for count in range(len(problem.outputs) + 1, MOST_OUTPUTS + 1):
        net = dde.nn.FNN([problem.dim, 8, count], "tanh", "Glorot normal")
        try:
            residual_vectors(data, net)
        except Exception:
            continue
        finally:
            dde.grad.clear()
        named = ", ".join(map(repr, problem.outputs))
        return f"; {count} components are used, and outputs names {len(problem.outputs)} ({named}): name each of them"
    return ""


def _returned(problem: Any, data: Any, net: Any) -> None:
    """Check that ``pde`` returns residual vectors, before DeepXDE slices them."""
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
                f"pde: the residual is {shape(residual)} for {len(x)} points; a tensor ({len(x)}, 1) is needed{hint}"
            )


def _blame(problem: Any, data: Any, net: Any) -> str:
    """Which field raises an error: the PDE, or one of the conditions, tested one by one."""
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


def _residuals(problem: Any, vectors: Sequence[torch.Tensor], data: Any) -> None:
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
        asked = getattr(condition, "component", 0)
        wanted = asked if isinstance(asked, list) else [asked]
        if any(isinstance(c, int) and c >= len(problem.outputs) for c in wanted):
            named = ", ".join(map(repr, problem.outputs))
            raise InputError(f"{field}: component {max(wanted)} given, counted from 0; outputs names {named} only")
        components = len(wanted)
        if not isinstance(vector, torch.Tensor) or tuple(vector.shape) not in ((n, components), (n,)):
            hint = "; x[:, 0] in place of x[:, 0:1] is a common cause" if np.ndim(vector) == 2 else ""
            raise InputError(f"{field}: the residual is {shape(vector)} for {n} points; ({n}, 1) is needed{hint}")
        if vector.is_complex():
            raise InputError(f"{field}: the residual is complex; take real and imaginary part as two outputs")
        finite(field, vector)


def _dependence(problem: Any, vectors: Sequence[torch.Tensor], net: Any) -> None:
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


def _solution(problem: Any, points: np.ndarray) -> None:
    if problem.solution is None:
        return
    wanted = (len(points), len(problem.outputs))
    try:
        with np.errstate(all="ignore"):
            u = problem.solution(points.astype(np.float64))
    except Exception as error:
        raise InputError(f"solution: raised {said(error)}") from error
    if not isinstance(u, np.ndarray) or u.shape != wanted or u.dtype.kind not in "fiu":
        kind = f" of {u.dtype}" if isinstance(u, np.ndarray) else ""
        raise InputError(
            f"solution: gave {shape(u)}{kind} for x {points.shape}; a NumPy array {wanted} of real numbers is needed "
            "(use x[:, 0:1] to keep two dimensions)"
        )
    finite("solution", u)


def _balances(problem: Any, net: Any, points: np.ndarray) -> None:
    x = torch.as_tensor(points).requires_grad_()
    u = net(x)
    for name, balance in problem.balances.items():
        for term, evaluate in balance.terms().items():
            field = f"balances[{name!r}].{term}"
            wanted = (len(x), problem.dim - problem.in_time if term == "flux" else 1)
            try:
                value = evaluate(x, u)
            except Exception as error:
                raise InputError(f"{field}: raised {said(error)}") from error
            finally:
                dde.grad.clear()
            if not isinstance(value, torch.Tensor) or tuple(value.shape) != wanted:
                raise InputError(f"{field}: gave {shape(value)} for {len(x)} points; a tensor {wanted} is needed")
            finite(field, value)
