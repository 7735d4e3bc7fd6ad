"""What a training method is: the class that all of them extend, and what each says of itself."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..discretization.jets import check_plain, needed_orders
from ..discretization.objective import Objective
from ..errors import InputError
from ..problem.problem import Problem


class Method(ABC):
    """A training method, made as ``Method(objective, iterations, **options)``.

    The class attributes are what the rest of the package, its help texts and its pages go by. An object has its
    ``iteration``, the number of those that are done, and may have

    - ``twin_distance``: the relative L2 distance of an independent solution, or None;
    - ``reached``: in time, the time up to which there is a solution;
    - ``verifying``: whether the solution is there and only the independent one is not;
    - ``standing``: how far it has got, in words, for the progress line.
    """

    name: ClassVar[str]
    """For ``method=`` and ``--method``."""
    title: ClassVar[str]
    """What it does, in a few words, for help texts and pages."""
    default_iterations: ClassVar[int]
    network: ClassVar[str] = "repnet"
    """The network that is taken when none is asked for."""
    layers: ClassVar[tuple[int, ...] | None] = None
    """Hidden widths of a network that has none of its own, unless they are asked for; None: chosen by the plan."""
    needs_float64: ClassVar[bool] = True
    any_network: ClassVar[bool] = False
    """Whether it trains any network on any residuals; then `train`, `fit` and `compare` know it too."""
    identifies: ClassVar[bool] = True
    """Whether it finds unknowns."""
    knows_interfaces: ClassVar[bool] = False
    """Whether it knows the `Interface` objects of a problem."""
    searches: ClassVar[bool] = False
    """Whether the plan tries several first layers, and the method continues from what the best of them gave."""
    has_twin: ClassVar[bool] = False
    """Whether its objective gets a function ``twin``: the same with other basis functions and other points."""
    ends_by_itself: ClassVar[bool] = False
    """Whether it is one solve rather than a training that may go on as long as there is time."""
    counted: ClassVar[bool] = False
    """Whether it does all its iterations, so that their rate tells how long it takes."""
    recorded_every: ClassVar[int] = 10
    """Iterations between two entries of the history of `train`."""

    iteration: int
    twin_distance: float | None
    """Only where it has one."""

    @abstractmethod
    def __init__(self, objective: Objective, iterations: int, **options: Any):
        """Keyword-only parameters are its options. Raises `InputError` for what it cannot treat."""

    @property
    @abstractmethod
    def stopped(self) -> str | None:
        """None while it can go on, else why it has ended, in words."""

    @abstractmethod
    def step(self) -> None:
        """Do one iteration or some more, leaving finite parameters."""

    @abstractmethod
    def state_dict(self) -> dict:
        """Plain types and tensors that continue it to the last bit."""

    @abstractmethod
    def load_state_dict(self, state: dict) -> None:
        """Continue from what `state_dict` gave."""

    @classmethod
    def unsuited(cls, problem: Problem) -> str | None:
        """Why it cannot solve ``problem``, in words; None where it can, as far as can be told before."""
        return None

    @classmethod
    def why_not(cls, problem: Problem) -> str | None:
        """`unsuited`, and whether it knows the problem's interfaces."""
        if problem.interfaces and not cls.knows_interfaces:
            return "there are interfaces"
        return cls.unsuited(problem)

    @classmethod
    def points(cls, problem: Problem, net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
        """How many collocation points it needs, as arguments of `collocation`."""
        return {"least": 0, "wavenumber": wavenumber}

    @classmethod
    def network_options(cls, problem: Problem, options: dict, wavenumber: Sequence[float] | np.ndarray) -> dict:
        """The options of its network, with what it chooses itself filled in."""
        return options

    @classmethod
    def coarse_options(cls, problem: Problem, wavenumber: Sequence[float]) -> dict[str, Any]:
        """The options of a network with fewer basis functions, for a `twin`; only of those that have one."""
        raise NotImplementedError

    @classmethod
    def start_wavenumber(
        cls, problem: Problem, wavenumber: Sequence[float] | np.ndarray
    ) -> Sequence[float] | np.ndarray:
        """The wavenumber (d,) for the start of the first layer, from that of the problem."""
        return wavenumber

    @classmethod
    def coarser(cls, result: dict) -> "tuple[str, float, list[tuple[float, dict]]] | None":
        """To see a stored ``result`` converge: what is varied, how much of it there was, and (value, settings of
        `solve`) with less of it; None where there is no such family of solutions."""
        return None

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The names of its options with their defaults."""
        parameters = inspect.signature(cls).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def by_basis(net: Any, wavenumber: Sequence[float] | np.ndarray) -> dict:
    """The points of a method that solves for the last layer: in proportion to its basis functions."""
    return {"features": net.linears[-1].in_features if hasattr(net, "linears") else 0, "wavenumber": wavenumber}


def not_plain(problem: Problem) -> str | None:
    """Why a problem is more than equations and conditions on u at points, with nothing unknown, or None."""
    try:
        check_plain(problem, "auto")
        needed_orders(problem, "auto")
    except InputError as error:
        return str(error)
    return None


def with_option(method: type[Method], option: str, value: Any) -> dict:
    """Settings of `solve` with one option of a method."""
    return {"method": method.name, "method_options": {method.name: {option: value}}}


def looser(method: type[Method]) -> tuple[str, float, list[tuple[float, dict]]]:
    """`Method.coarser` by the tolerance."""
    tolerance = method.options()["tolerance"]
    steps = [tolerance * factor for factor in (1e3, 1e2, 1e1)]
    return "tolerance", tolerance, [(value, with_option(method, "tolerance", value)) for value in steps]
