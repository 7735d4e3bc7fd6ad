"""`Problem`: a boundary-value problem made of DeepXDE objects, checked when it is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..arguments import whole
from ..backend import dde, on_cpu
from ..domain import Box, box_of
from ..errors import choose
from . import checks
from .trial import trial
from .values import to_cpu

DISTRIBUTIONS = ("Hammersley", "Halton", "Sobol", "LHS", "pseudo", "uniform")
POINTS_PER_WAVE = 10
"""Collocation points per wavelength along each axis."""
LEAST_DOMAIN = {1: 400, 2: 1000, 3: 2000}
"""Minimum number of points inside the domain, by the number of coordinates."""
MOST_DOMAIN = 20_000
"""Maximum number of points inside the domain, unless more are requested."""


@dataclass(frozen=True)
class Sampling:
    """How many collocation points are drawn, and how. None leaves a number to `Problem.points`.

    Args:
        domain: points inside the domain, where the PDE's residual is taken.
        boundary: points on the boundary of the space domain (at all times).
        initial: points at the initial time; only with a GeometryXTime.
        test: points on which the error against the exact solution is measured; never the training points.
        distribution: one of DeepXDE's: "Hammersley", "Halton", "Sobol", "LHS", "pseudo" or "uniform". "pseudo" and
            "LHS" depend on the seed; "uniform" aliases high frequencies.
    """

    domain: int | None = None
    boundary: int | None = None
    initial: int | None = None
    test: int | None = None
    distribution: str = "Hammersley"

    def __post_init__(self) -> None:
        for name, least in (("domain", 1), ("boundary", 0), ("initial", 0), ("test", 1)):
            whole(f"sampling.{name}", getattr(self, name), least)
        choose("sampling.distribution", self.distribution, DISTRIBUTIONS)


@dataclass(frozen=True)
class Interface:
    """A plane across which coefficients of the equations jump: u is continuous there, and so is its flux.

    Args:
        axis: the number of the coordinate that is constant on it.
        at: its place, inside the domain.
        flux: ``flux(x, u)`` gives a tensor (n, 1) or a list of them, linear in u and its first derivatives, such as
            a ∂u/∂n; it is taken on either side, where x lies 1e-10 of the domain's width away from the plane.
    """

    axis: int
    at: float
    flux: Callable


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A boundary-value, initial-value or inverse problem, in DeepXDE's own objects.

    Everything is checked here by a trial evaluation with a small random network, which does not change the state of the
    random generators and is discarded.

    Args:
        geometry: a ``dde.geometry`` Geometry or GeometryXTime of d coordinates, time last.
        pde: ``pde(x, u)`` as in ``dde.data.PDE``: x (n, d), u (n, c) tensors, returning a residual (n, 1) or a
            list of them; None when there are only conditions (data fitting).
        conditions: name -> ``dde.icbc`` object. May be empty with a hard constraint.
        residual_names: one name per residual of ``pde``; default "pde", or "pde_1", "pde_2", ...
        solution: exact solution, NumPy (n, d) -> (n, c), or None.
        reference: the name of a reference in `repnet_pde.validation.finite_difference`, which is called with
            the problem's parameters, or a function without arguments that returns a `Reference`, or None.
        output_transform: ``transform(x, u)`` as in ``dde.nn.NN.apply_output_transform``, or None.
        input_transform: ``transform(x)`` as in ``dde.nn.NN.apply_feature_transform``, or None.
        unknowns: name -> ``dde.Variable`` to be identified.
        true_unknowns: name -> true value, where it is known.
        sampling: numbers of points and their distribution.
        wavenumber: the largest wavenumber k of sin(k x) in the solution, radians per unit length, one number or one
            per axis; None when it is not known.
        outputs: names of the c components.
        unknown_fields: those of the outputs that are unknown coefficients or sources rather than the state; `identify`
            regularises them.
        tolerance: the relative L2 error of the solution, and for inverse problems of each unknown, that `solve` or
            `identify` is claimed to reach with default settings; None if nothing is claimed.
        balances: name -> `Balance`: laws that follow from equation and conditions, for `balances.defects`.
        interfaces: `Interface` objects, where coefficients and therefore derivatives of u jump. Only the method
            ``patching`` (multidomain least-squares collocation) supports them.
        name, parameters, source: set by `repnet_pde.load_problem`.

    Raises:
        InputError: for any field that cannot be used; the message names it.
    """

    geometry: Any
    pde: Callable | None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    residual_names: Sequence[str] | None = None
    solution: Callable[[np.ndarray], np.ndarray] | None = None
    reference: str | Callable | None = None
    output_transform: Callable | None = None
    input_transform: Callable | None = None
    unknowns: Mapping[str, Any] = field(default_factory=dict)
    true_unknowns: Mapping[str, float] = field(default_factory=dict)
    sampling: Sampling = Sampling()
    wavenumber: float | Sequence[float] | None = None
    outputs: Sequence[str] = ("u",)
    unknown_fields: Sequence[str] = ()
    tolerance: float | None = None
    balances: Mapping[str, Any] = field(default_factory=dict)
    interfaces: Sequence[Interface] = ()
    name: str = "problem"
    parameters: Mapping[str, float] = field(default_factory=dict)
    source: str | None = None
    dtype: str = field(init=False)
    start_values: Mapping[str, float] = field(init=False)
    variables: Mapping[str, Any] = field(init=False, repr=False)
    """The ``dde.Variable`` objects in the equations: the unknowns, including those of the problem whose `forward` this
    is."""
    _memory: dict[tuple, Any] = field(init=False, repr=False, compare=False)

    @on_cpu()
    def __post_init__(self) -> None:
        self._set(dtype=dde.config.default_float())
        checks.fields(self)
        to_cpu(self)
        trial(self)
        self._set(start_values={name: value.item() for name, value in self.unknowns.items()})
        self._set(variables=self.unknowns)
        object.__setattr__(self, "_memory", {})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, MappingProxyType(dict(value)) if isinstance(value, Mapping) else value)

    @property
    def box(self) -> Box:
        """The bounding box of the geometry, with time."""
        return box_of(self.geometry)

    @property
    def dim(self) -> int:
        """The number d of coordinates, with time."""
        return self.box.dim

    @property
    def in_time(self) -> bool:
        return hasattr(self.geometry, "timedomain")

    @property
    def evolves(self) -> bool:
        """Whether one of the coordinates is time."""
        return self.in_time or type(self.geometry).__name__ == "TimeDomain"

    @property
    def coordinate_names(self) -> list[str]:
        """x, y, z in space (x1, x2, ... above three dimensions), then t."""
        if self.evolves and not self.in_time:
            return ["t"]
        space = self.dim - self.in_time
        names = list("xyz")[:space] if space <= 3 else [f"x{i + 1}" for i in range(space)]
        return names + ["t"] * self.in_time

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the residual terms in DeepXDE's order: the PDE's residuals, then the conditions."""
        return (*(self.residual_names or ()), *self.conditions)

    @property
    def observations(self) -> dict[str, Any]:
        """The conditions that are observations: those at points given with values (PointSetBC, PointSetOperatorBC)."""
        return {name: condition for name, condition in self.conditions.items() if hasattr(condition, "points")}

    def remembered(self, what: str, find: Callable[[], Any], *, generic: bool = False) -> Any:
        """``find()``, computed once for each set of values of the unknowns; if ``generic``, once for all values."""
        key = what, *(() if generic else (value.item() for value in self.variables.values()))
        if key not in self._memory:
            self._memory[key] = find()
        return self._memory[key]

    def forward(self) -> "Problem":
        """The same problem without observations, and with the unknowns fixed at their current values."""
        conditions = {name: c for name, c in self.conditions.items() if name not in self.observations}
        result = replace(self, conditions=conditions, unknowns={}, true_unknowns={})
        result._set(variables=self.variables)
        return result

    def points(self, wavenumber: Sequence[float] | None = None) -> Sampling:
        """`sampling` with its open numbers filled in, from the dimension and ``wavenumber`` (default: the problem's).

        Twenty points per wavelength in 1-D, ten along each axis in higher dimensions; inside the domain at least 400
        (1-D), 1,000 (2-D) or 2,000 points and at most 20,000.
        """
        given, known = self.sampling, self.wavenumber if wavenumber is None else wavenumber
        k = np.full(self.dim, np.pi) / self.box.half_width if known is None else np.broadcast_to(known, self.dim)
        per_axis = (2 * POINTS_PER_WAVE if self.dim == 1 else POINTS_PER_WAVE) * (1 + k * self.box.half_width / np.pi)
        space = per_axis[:-1] if self.in_time else per_axis
        domain = int(np.clip(np.prod(per_axis), LEAST_DOMAIN[min(self.dim, 3)], MOST_DOMAIN))
        if len(space) == 1:
            boundary = 2 if not self.in_time else int(max(100, 4 * per_axis[-1]))
        else:
            boundary = int(np.clip(8 * per_axis.max() ** (self.dim - 1), 200, MOST_DOMAIN))
        initial = int(np.clip(2 * np.prod(space), 100, MOST_DOMAIN)) if self.in_time else 0
        # Four points per wavelength and axis could be aliased on a grid; scattered ones are not.
        test = int(np.clip(2 * np.prod(per_axis), 2000, MOST_DOMAIN))
        chosen = {"domain": domain, "boundary": boundary, "initial": initial, "test": test}
        numbers = {name: getattr(given, name) for name in chosen}
        return Sampling(
            **{n: chosen[n] if v is None else v for n, v in numbers.items()}, distribution=given.distribution
        )
