"""What CONTRIBUTING says of adding a method, a network, a problem, a reference or a format: a toy of each is added here
as described there, and then appears in help texts, pages, comparisons and checks by itself."""

import sys
from pathlib import Path

import deepxde as dde
import numpy as np
import pytest
import torch
import xarray
from repnet_pde.validation import finite_difference
from repnet_pde.validation.campaigns.compare import Plan
from repnet_pde.validation.finite_difference.refine import refine

import repnet_pde
from repnet_pde import InputError, Problem, load_problem, solve
from repnet_pde.methods import METHODS, Method
from repnet_pde.networks.fnn import FNN
from repnet_pde.networks.matching import count_parameters
from repnet_pde.networks.network import Network
from repnet_pde.networks.registry import NETWORKS
from repnet_pde.output.format import Format
from repnet_pde.output.formats import FORMATS
from repnet_pde.problem import load

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "extensions"))
import generated

LINE = dde.geometry.Interval(0, 1)


def problem(**fields):
    def pde(x, u):
        return dde.grad.hessian(u, x) + torch.pi**2 * torch.sin(torch.pi * x)

    ends = dde.icbc.DirichletBC(LINE, lambda x: 0, lambda x, on: on)
    given = {"geometry": LINE, "pde": pde, "conditions": {"ends": ends}, "solution": lambda x: np.sin(np.pi * x)}
    return Problem(**given | fields)


# A method ---------------------------------------------------------------------------------------------------------


class GradientDescent(Method):
    """Steepest descent with a fixed step: slow, and as short as a method can be.

    Args:
        objective: the loss.
        iterations: at most so many.
        step_length: times the gradient.
    """

    name = "steepest-descent"
    title = "steepest descent with a fixed step"
    default_iterations = 20
    layers = (8, 8)
    any_network = True

    def __init__(self, objective, iterations, *, step_length: float = 1e-8):
        self.objective, self.iterations, self.step_length = objective, iterations, step_length
        self.iteration = 0

    @property
    def stopped(self):
        return "all iterations done" if self.iteration >= self.iterations else None

    def step(self):
        gradients = torch.autograd.grad(self.objective.total(), self.objective.parameters)
        with torch.no_grad():
            for parameter, slope in zip(self.objective.parameters, gradients, strict=True):
                parameter.sub_(self.step_length * slope)
        self.iteration += 1

    def state_dict(self):
        return {"iteration": self.iteration}

    def load_state_dict(self, state):
        self.iteration = state["iteration"]


@pytest.fixture
def method(monkeypatch):
    monkeypatch.setitem(METHODS, GradientDescent.name, GradientDescent)
    return GradientDescent.name


def test_a_method_is_one_class_and_one_row(method, command, tmp_path):
    for verb in ("solve", "identify", "plan"):
        assert method in "".join(command(verb, "--help")[1].split())
    assert method in "".join(command("compare", "--help")[1].split())
    assert f"## {method}" in generated.methods() and "Steepest descent with a fixed step" in generated.methods()
    result = solve(problem(), method=method, loss_weights=None, progress=False, out=tmp_path / "run", time_limit=1e-9)
    assert result.resumable and result.network == "repnet" and result.network_options == {"layers": [8, 8]}
    result = repnet_pde.resume(tmp_path / "run", problem=problem(), progress=False)
    assert result.finished and result.iterations == 20
    losses = result.history["loss"]
    assert losses[-1] < losses[0]
    model = dde.Model(result.data, FNN([1, 8, 1], None, None))
    state = repnet_pde.train(model, method, iterations=3, verbose=0)[1]
    assert state.stopped == [f"{method}: all iterations done"]
    x = np.linspace(-1, 1, 50)
    assert repnet_pde.fit(x, x**2, network="fnn", method=method, iterations=2, progress=False).method == method
    assert Plan(("poisson_chirp_1d",), ("fnn",), (method,), (1.0,)).layers("poisson_chirp_1d", "fnn", method) == [8, 8]


def test_the_checks_follow_from_what_a_method_says(method):
    with pytest.raises(InputError, match=f"choose from.* {method}"):
        solve(problem(), method="steepest", progress=False)
    with pytest.raises(InputError, match="method_options.*step_length"):
        solve(problem(), method=method, method_options={method: {"step": 1}}, progress=False)
    with pytest.raises(InputError, match=f"network: repnet-slabs given with the method {method}"):
        solve(problem(), "repnet-slabs", method, progress=False)
    repnet_pde.set_precision("float32")
    with pytest.raises(InputError, match=f"dtype: 'float32' given, but {method} needs 'float64'"):
        solve(problem(), method=method, dtype="float32", progress=False)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name):
    entry = METHODS[name]
    assert entry.name == name and entry.title and entry.__doc__ and entry.network in NETWORKS
    assert entry.layers is None or not NETWORKS[entry.network].pieces
    assert entry.any_network <= (not NETWORKS[entry.network].pieces)
    assert set(entry.options()).isdisjoint({"objective", "iterations"})
    assert entry.default_iterations >= 1


# A network ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def network(monkeypatch):
    def build(sizes, domain, expected, *, slope: float = 1.0):
        return dde.nn.FNN(list(sizes), lambda z: torch.nn.functional.softplus(slope * z), "Glorot normal")

    entry = Network("softplus", "an ordinary network with softplus", build, settings=({}, {"slope": 5.0}))
    monkeypatch.setitem(NETWORKS, entry.name, entry)
    return entry.name


def test_a_network_is_one_function_and_one_row(network, command):
    assert network in "".join(command("solve", "--help")[1].split())
    assert network in "".join(command("compare", "--help")[1].split())
    assert f"| `{network}` | an ordinary network with softplus | `layers`, `slope` |" in generated.networks()
    options = {"layers": [6], "slope": 2.0}
    result = solve(problem(), network, "adam", iterations=2, network_options=options, progress=False)
    assert result.network == network and result.n_parameters == 6 + 6 + 6 + 1
    plan = Plan(("poisson_chirp_1d",), (network, "fnn"), ("adam",), (1.0,))
    assert len(plan.searches()["poisson_chirp_1d", network, "adam"]) == 2
    wanted = count_parameters("fnn", 1, 1, METHODS["adam"].layers)
    found = count_parameters(network, 1, 1, plan.layers("poisson_chirp_1d", network, "adam"))
    assert found == pytest.approx(wanted, rel=0.03)
    with pytest.raises(InputError, match=f"network_options of {network}: 'width'.*layers, slope"):
        solve(problem(), network, network_options={"width": 3}, progress=False)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_says_what_it_is(name):
    entry = NETWORKS[name]
    assert entry.name == name and entry.title
    assert entry.pieces or entry.options[0] == "layers"
    assert all(set(setting) <= set(entry.options) for setting in entry.settings)
    assert not (entry.ours and entry.settings), "what is ours has nothing tuned"


# A problem with a reference ------------------------------------------------------------------------------------------

SOURCE = '''"""A rod: u'' = -k² sin kx on [0, 1], u given at both ends.

The exact solution is u = sin kx.
"""

import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem


def problem(k=5.0):
    line = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(line, lambda x: np.sin(k * x), lambda x, on: on)
    pde = lambda x, u: dde.grad.hessian(u, x) + k**2 * torch.sin(k * x)
    return Problem(geometry=line, pde=pde, conditions={"ends": ends}, reference="rod")
'''


def rod(*, k: float):
    """Finite differences for the rod."""
    return refine(
        "rod",
        {"k": k},
        lambda n: finite_difference.solve_poisson_1d(
            lambda x: -(k**2) * np.sin(k * x), 0.0, np.sin(k), interval=(0.0, 1.0), n=n
        ),
        n=16,
        order=6,
        largest=2**14,
        tolerance=1e-10,
    )


def test_a_problem_is_one_file_and_its_reference_one_row(command, monkeypatch, tmp_path):
    (tmp_path / "rod.py").write_text(SOURCE)
    (tmp_path / load.MEASURED).write_text("{}")
    monkeypatch.setattr(load, "folder", lambda: tmp_path)
    monkeypatch.setitem(finite_difference.REFERENCES, "rod", rod)
    assert "rod" in command("list")[1] and "A rod" in command("show", "rod")[1]
    assert list(repnet_pde.catalogue()) == ["rod"] and "(rod)=" in generated.problems()
    result = solve(load_problem("rod", k=7.0), progress=False)
    assert result.errors.against == "reference" and result.errors.relative_l2 < 1e-7
    assert result.reference.relative_l2_estimate < 1e-7


# A format ------------------------------------------------------------------------------------------------------------


def test_a_format_is_one_file_and_one_row(command, monkeypatch, tmp_path):
    def write(data: xarray.Dataset, path: Path) -> None:
        path.write_text(data.to_dataframe().reset_index().to_csv(index=False))

    def read(path: Path) -> xarray.Dataset:
        table = np.genfromtxt(path, delimiter=",", names=True)
        return xarray.Dataset({"u": ("x", table["u"])}, coords={"x": table["x"]})

    monkeypatch.setitem(FORMATS, "csv", Format("csv", (".csv",), write, read, lambda data: ".csv"))
    assert "csv" in command("export", "--help")[1]
    solve(problem(), progress=False, out=tmp_path / "run")
    code, _, _ = command("export", tmp_path / "run", "--format", "csv")
    assert code == 0
    data, whole = (
        repnet_pde.load_solution(tmp_path / "run" / "solution.csv"),
        repnet_pde.load_solution(tmp_path / "run"),
    )
    assert np.array_equal(data["u"], whole["u"]) and np.array_equal(data["x"], whole["x"])
