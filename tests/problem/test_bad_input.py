"""Bad input of every kind gives one clear error that names the argument and says what is allowed."""

import json
import re
import warnings

import deepxde as dde
import numpy as np
import pytest
import torch
from repnet_pde.validation.finite_difference import Reference, cache, reference

from repnet_pde import Balance, InputError, Problem, Sampling, load_problem, resume, solve
from repnet_pde.networks.registry import NETWORKS

LINE = dde.geometry.Interval(0, 1)
SPACE_TIME = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 1))
TINY = {"layers": [4]}


def poisson(x, u):
    return dde.grad.hessian(u, x) + torch.sin(np.pi * x)


def boundary(x, on_boundary):
    return on_boundary


def dirichlet(values=lambda x: 0, select=boundary, geometry=LINE):
    return dde.icbc.DirichletBC(geometry, values, select)


def make(**changes):
    return Problem(**({"geometry": LINE, "pde": poisson, "conditions": {"ends": dirichlet()}} | changes))


WORK = Balance(rate=lambda x, u: u)
TIME, DISK = dde.geometry.TimeDomain(0, 1), dde.geometry.Disk([0, 0], 1)


def in_time():
    return {"geometry": SPACE_TIME, "conditions": {"ends": dirichlet(geometry=SPACE_TIME)}, "pde": lambda x, u: u}


def raising(*_):
    raise RuntimeError("as planned")


def float32_variable():
    return torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float32))


def zero_reference(dim=1, components=1):
    axes = (np.linspace(0, 1, 8),) * dim
    return Reference("mine", {}, axes, np.zeros((8,) * dim + (components,)), 0.0, 0.0, 2.0, 0.0, True)


# Fields of a problem: changes, and what the message must contain -----------------------------------------------------

FIELDS = {
    "geometry None": (lambda: {"geometry": None}, "geometry: ", "dde.geometry"),
    "geometry a pair": (lambda: {"geometry": (0, 1)}, "geometry: ", "Interval"),
    "geometry a class": (lambda: {"geometry": dde.geometry.Interval}, "geometry: ", "dde.geometry"),
    "pde a string": (lambda: {"pde": "u_xx"}, "pde: ", "pde(x, u)"),
    "pde of one argument": (lambda: {"pde": lambda x: x}, "pde: ", "pde(x, u)"),
    "pde of three arguments": (lambda: {"pde": lambda x, u, v: u}, "pde: ", "pde(x, u)"),
    "pde without a column": (lambda: {"pde": lambda x, u: u - x[:, 0]}, "pde: ", "x[:, 0:1]"),
    "pde NaN": (lambda: {"pde": lambda x, u: u * torch.log(x - 2)}, "pde: ", "not finite"),
    "pde infinite": (lambda: {"pde": lambda x, u: u / (0 * x)}, "pde: ", "not finite"),
    "pde detached": (lambda: {"pde": lambda x, u: u.detach() - x}, "pde", "depend"),
    "pde of x alone": (lambda: {"pde": lambda x, u: x**2}, "pde", "depend"),
    "pde raises": (lambda: {"pde": raising}, "pde: ", "RuntimeError: as planned"),
    "pde of a wrong component": (lambda: {"pde": lambda x, u: dde.grad.jacobian(u, x, i=2)}, "pde: ", "raised"),
    "pde a NumPy array": (lambda: {"pde": lambda x, u: u.detach().numpy()}, "pde: ", "tensor"),
    "pde None": (lambda: {"pde": lambda x, u: None}, "pde: ", "tensor"),
    "pde a number": (lambda: {"pde": lambda x, u: [u, 0.0]}, "pde: ", "tensor"),
    "pde a mean": (lambda: {"pde": lambda x, u: u.mean()}, "pde: ", "1) is needed"),
    "pde empty": (lambda: {"pde": lambda x, u: []}, "pde: ", "no residual"),
    "nothing to solve": (lambda: {"pde": None, "conditions": {}}, "pde: ", "conditions"),
    "conditions a list": (lambda: {"conditions": [dirichlet()]}, "conditions: ", "mapping"),
    "conditions None": (lambda: {"conditions": None}, "conditions: ", "mapping"),
    "condition a number": (lambda: {"conditions": {"left": 3}}, "conditions['left']: ", "dde.icbc"),
    "condition a class": (
        lambda: {"conditions": {"left": dde.icbc.DirichletBC}},
        "conditions['left']: ",
        "dde.icbc",
    ),
    "condition name": (lambda: {"conditions": {3: dirichlet()}}, "conditions: ", "names"),
    "condition nowhere": (
        lambda: {"conditions": {"far": dirichlet(select=lambda x, on: on and x[0] > 2)}},
        "conditions['far']: ",
        "selects none",
    ),
    "condition filter raises": (
        lambda: {"conditions": {"left": dirichlet(select=raising)}},
        "conditions['left']: ",
        "as planned",
    ),
    "condition filter of one argument": (
        lambda: {"conditions": {"left": dirichlet(select=lambda x: True)}},
        "conditions['left']: ",
        "argument",
    ),
    "condition values raise": (
        lambda: {"conditions": {"left": dirichlet(raising)}},
        "conditions['left']: ",
        "as planned",
    ),
    "condition values complex": (
        lambda: {"conditions": {"left": dirichlet(lambda x: np.exp(1j * x))}},
        "conditions['left']: ",
        "imaginary part",
    ),
    "pde complex": (lambda: {"pde": lambda x, u: u * 1j}, "pde: ", "complex"),
    "condition values of a ufunc": (
        lambda: {"conditions": {"left": dirichlet(np.cosh)}},
        "conditions['left']: ",
        "lambda x: np.cosh(x)",
    ),
    "condition values of a function with a default": (
        lambda: {"conditions": {"left": dde.icbc.NeumannBC(LINE, lambda x, k=1: k * x, boundary)}},
        "conditions['left']: ",
        "2 parameters",
    ),
    "condition values without a column": (
        lambda: {"conditions": {"left": dirichlet(lambda x: np.sin(x[:, 0]))}},
        "conditions['left']: ",
        "(2, 1) is needed",
    ),
    "condition values NaN": (
        lambda: {"conditions": {"left": dirichlet(lambda x: np.log(x - 2))}},
        "conditions['left']: ",
        "not finite",
    ),
    "condition component": (
        lambda: {"conditions": {"left": dde.icbc.DirichletBC(LINE, lambda x: 0, boundary, component=1)}},
        "conditions['left']: ",
        "",
    ),
    "condition of another dimension": (
        lambda: {"conditions": {"left": dde.icbc.IC(SPACE_TIME, lambda x: 0, lambda x, on: on)}},
        "conditions['left']: ",
        "",
    ),
    "condition detached": (
        lambda: {"conditions": {"left": dde.icbc.OperatorBC(LINE, lambda x, u, _: u.detach(), boundary)}},
        "conditions['left']: ",
        "depend",
    ),
    "observations of a wrong shape": (
        lambda: {"conditions": {"data": dde.icbc.PointSetBC(np.array([[0.1], [0.2], [0.4]]), np.zeros((2, 1)))}},
        "conditions['data']: ",
        "",
    ),
    "observations NaN": (
        lambda: {"conditions": {"data": dde.icbc.PointSetBC(np.array([[0.1], [0.2]]), np.array([[0.0], [np.nan]]))}},
        "conditions['data']: ",
        "not finite",
    ),
    "observations of a wrong dimension": (
        lambda: {"conditions": {"data": dde.icbc.PointSetBC(np.array([[0.1, 0.1]]), np.array([[0.0]]))}},
        "conditions['data']: ",
        "",
    ),
    "residual_names too many": (lambda: {"residual_names": ("a", "b")}, "residual_names: 2", "returns 1"),
    "residual_names too few": (lambda: {"residual_names": ()}, "residual_names: 0", "returns 1"),
    "residual_names twice": (lambda: {"residual_names": ("a", "a")}, "residual_names: ", "different"),
    "residual_names a string": (lambda: {"residual_names": "pde"}, "residual_names: ", "tuple or list"),
    "residual_names clash": (lambda: {"residual_names": ("ends",)}, "conditions: ", "'ends'"),
    "solution a number": (lambda: {"solution": 3.0}, "solution: ", "solution(x)"),
    "solution without a column": (lambda: {"solution": lambda x: np.sin(x[:, 0])}, "solution: ", "(12, 1)"),
    "solution a list": (lambda: {"solution": lambda x: [0.0] * len(x)}, "solution: ", "NumPy"),
    "solution complex": (lambda: {"solution": lambda x: x + 1j}, "solution: ", "real"),
    "solution of text": (lambda: {"solution": lambda x: np.full((len(x), 1), "a")}, "solution: ", "real"),
    "solution NaN": (lambda: {"solution": lambda x: np.log(x - 2)}, "solution: ", "not finite"),
    "solution raises": (lambda: {"solution": raising}, "solution: ", "as planned"),
    "reference unknown": (lambda: {"reference": "helmholz_2d"}, "reference: ", "helmholtz_2d"),
    "reference a number": (lambda: {"reference": 3}, "reference: ", "reference()"),
    "reference of an argument": (lambda: {"reference": lambda x: x}, "reference: ", "reference()"),
    "output_transform a number": (lambda: {"output_transform": 3}, "output_transform: ", "(x, u)"),
    "output_transform of one argument": (lambda: {"output_transform": lambda u: u}, "output_transform: ", "(x, u)"),
    "output_transform shape": (
        lambda: {"output_transform": lambda x, u: x[:, 0] * u},
        "output_transform: ",
        "(12, 1) is needed",
    ),
    "output_transform NaN": (lambda: {"output_transform": lambda x, u: u / (0 * x)}, "output_transform: ", "finite"),
    "output_transform raises": (lambda: {"output_transform": raising}, "output_transform: ", "as planned"),
    "input_transform raises": (lambda: {"input_transform": raising}, "input_transform: ", "as planned"),
    "input_transform shape": (lambda: {"input_transform": lambda x: x[:, 0]}, "input_transform: ", "features"),
    "input_transform NaN": (lambda: {"input_transform": lambda x: torch.log(x - 2)}, "input_transform: ", "finite"),
    "unknown a number": (lambda: {"unknowns": {"k": 1}}, "unknowns['k']: ", "dde.Variable"),
    "unknown a tensor": (lambda: {"unknowns": {"k": torch.tensor(1.0)}}, "unknowns['k']: ", "dde.Variable"),
    "unknown of two values": (
        lambda: {"unknowns": {"k": dde.Variable([1.0, 2.0])}},
        "unknowns['k']: ",
        "dde.Variable",
    ),
    "unknown in float32": (lambda: {"unknowns": {"k": float32_variable()}}, "unknowns['k']: is float32", "float64"),
    "unknown NaN": (lambda: {"unknowns": {"k": dde.Variable(np.nan)}}, "unknowns['k']: ", "finite start"),
    "unknown unused": (lambda: {"unknowns": {"k": dde.Variable(1.0)}}, "unknowns['k']: ", "no residual"),
    "unknowns a list": (lambda: {"unknowns": [dde.Variable(1.0)]}, "unknowns: ", "mapping"),
    "true_unknowns of another": (lambda: {"true_unknowns": {"k": 1.0}}, "true_unknowns: 'k'", "none"),
    "sampling a number": (lambda: {"sampling": 100}, "sampling: ", "Sampling"),
    "sampling a mapping": (lambda: {"sampling": {"domain": 100}}, "sampling: ", "Sampling"),
    "sampling initial without time": (lambda: {"sampling": Sampling(initial=3)}, "sampling.initial: ", "GeometryXTime"),
    "no boundary points": (lambda: {"sampling": Sampling(boundary=0)}, "conditions['ends']: ", "sampling"),
    "wavenumber negative": (lambda: {"wavenumber": -3}, "wavenumber: ", "> 0"),
    "wavenumber zero": (lambda: {"wavenumber": 0}, "wavenumber: ", "> 0"),
    "wavenumber NaN": (lambda: {"wavenumber": np.nan}, "wavenumber: ", "> 0"),
    "wavenumber of two axes": (lambda: {"wavenumber": (1, 2)}, "wavenumber: ", "one per axis"),
    "wavenumber text": (lambda: {"wavenumber": "high"}, "wavenumber: ", "> 0"),
    "tolerance zero": (lambda: {"tolerance": 0}, "tolerance: ", "> 0"),
    "tolerance negative": (lambda: {"tolerance": -1e-3}, "tolerance: ", "> 0"),
    "tolerance infinite": (lambda: {"tolerance": np.inf}, "tolerance: ", "finite number"),
    "tolerance text": (lambda: {"tolerance": "small"}, "tolerance: ", "finite number"),
    "tolerance True": (lambda: {"tolerance": True}, "tolerance: ", "finite number"),
    "balances None": (lambda: {"balances": None}, "balances: ", "mapping"),
    "balances a list": (lambda: {"balances": [WORK]}, "balances: ", "mapping"),
    "balance a function": (lambda: {"balances": {"work": poisson}}, "balances['work']: ", "repnet_pde.Balance"),
    "balance a class": (lambda: {"balances": {"work": Balance}}, "balances['work']: ", "repnet_pde.Balance"),
    "balance empty": (lambda: {"balances": {"work": Balance()}}, "balances['work']: ", "a rate or a flux"),
    "balance with a density without time": (
        lambda: {"balances": {"work": Balance(poisson, poisson)}},
        "balances['work']: ",
        "no density",
    ),
    "balance without a density in time": (
        lambda: in_time() | {"balances": {"work": Balance(rate=lambda x, u: u)}},
        "balances['work']: ",
        "no density, which is needed in time",
    ),
    "balance with a flux without space": (
        lambda: {"geometry": TIME, "conditions": {}, "balances": {"work": Balance(lambda t, u: u, flux=poisson)}},
        "balances['work'].flux: ",
        "time is the only coordinate",
    ),
    "balance in a disk": (
        lambda: {"geometry": DISK, "conditions": {}, "pde": lambda x, u: u, "balances": {"work": WORK}},
        "balances['work']: ",
        "Disk given",
    ),
    "balance of one argument": (
        lambda: {"balances": {"work": Balance(rate=lambda x: x)}},
        "balances['work'].rate: ",
        "(x, u)",
    ),
    "balance a number": (lambda: {"balances": {"work": Balance(rate=0)}}, "balances['work'].rate: ", "(x, u)"),
    "balance raises": (lambda: {"balances": {"work": Balance(rate=raising)}}, "balances['work'].rate: ", "as planned"),
    "balance without a column": (
        lambda: {"balances": {"work": Balance(rate=lambda x, u: u[:, 0])}},
        "balances['work'].rate: ",
        "(12, 1) is needed",
    ),
    "balance NaN": (
        lambda: {"balances": {"work": Balance(rate=lambda x, u: torch.log(x - 2) * u)}},
        "balances['work'].rate: ",
        "not finite",
    ),
    "balance a NumPy array": (
        lambda: {"balances": {"work": Balance(rate=lambda x, u: u.detach().numpy())}},
        "balances['work'].rate: ",
        "tensor",
    ),
    "balance with a flux in time": (
        lambda: in_time() | {"balances": {"mass": Balance(lambda x, u: u, flux=lambda x, u: x * u)}},
        "balances['mass'].flux: ",
        "(12, 1) is needed",
    ),
    "outputs like a coordinate": (lambda: {"outputs": ("x",)}, "outputs: 'x' is also", "coordinate (x)"),
    "outputs like what is stored": (lambda: {"outputs": ("u", "u_error")}, "outputs: 'u_error' is also", "rename"),
    "outputs too few": (
        lambda: {"pde": lambda x, u: dde.grad.hessian(u, x, component=2) + u[:, :1]},
        "pde: ",
        "3 components are used, and outputs names 1 ('u')",
    ),
    "outputs too few for a condition": (
        lambda: {"conditions": {"left": dde.icbc.DirichletBC(LINE, lambda x: 0, boundary, component=1)}},
        "conditions['left']: ",
        "component 1 given, counted from 0; outputs names 'u' only",
    ),
    "outputs twice": (lambda: {"outputs": ("u", "u")}, "outputs: ", "different"),
    "outputs none": (lambda: {"outputs": ()}, "outputs: ", "at least one"),
    "outputs a string": (lambda: {"outputs": "u"}, "outputs: ", "tuple or list"),
}


@pytest.mark.parametrize("case", FIELDS, ids=list(FIELDS))
def test_field_of_a_problem(case):
    changes, field, allowed = FIELDS[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError) as raised:
            make(**changes())
    message = str(raised.value)
    assert message.startswith(field) and allowed in message, message
    assert "\n" not in message and len(message) < 500


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("domain", 0, ">= 1"),
        ("domain", -5, ">= 1"),
        ("domain", 10.5, "whole"),
        ("domain", True, "whole"),
        ("boundary", -1, ">= 0"),
        ("initial", "many", "whole"),
        ("test", 0, ">= 1"),
        ("distribution", "hammersly", "Hammersley"),
        ("distribution", None, "Hammersley"),
        ("distribution", ["Halton"], "Hammersley"),
    ],
)
def test_sampling(field, value, allowed):
    with pytest.raises(InputError, match=rf"^sampling\.{field}: ") as raised:
        Sampling(**{field: value})
    assert allowed in str(raised.value)


REFERENCES = {
    "raises": (raising, "as planned"),
    "another type": (lambda: np.zeros(3), "Reference"),
    "another dimension": (lambda: zero_reference(dim=2), "2 axes"),
    "another number of components": (lambda: zero_reference(components=2), "2 component"),
}


@pytest.mark.parametrize("case", REFERENCES, ids=list(REFERENCES))
def test_reference_function(case):
    function, said = REFERENCES[case]
    with pytest.raises(InputError, match="^reference: ") as raised:
        solve(make(reference=function), "fnn", network_options=TINY, iterations=0, progress=False)
    assert said in str(raised.value)


def test_reference_by_name_needs_its_parameters(tmp_path):
    path = write(tmp_path, BODY.replace("conditions=", "reference='helmholtz_2d', conditions="))
    with pytest.raises(InputError, match="reference: .*kappa"):
        load_problem(path)


def test_solution_that_is_not_finite_between_the_trial_points():
    def solution(x):
        return np.where(abs(x - 0.5) < 0.01, np.nan, x)

    problem = make(solution=solution)
    with pytest.raises(InputError, match="^solution: "):
        solve(problem, "fnn", network_options=TINY, iterations=0, progress=False)


# Arguments of solve, predict and resume ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def problem():
    return make()


def two_outputs(problem):
    return dde.nn.FNN([1, 4, 2], "tanh", "Glorot normal")


def of_two_inputs(problem):
    return dde.nn.FNN([2, 4, 1], "tanh", "Glorot normal")


SOLVE = {
    "problem a name": ({"problem": "helmholtz_2d"}, "problem: ", "load_problem"),
    "problem None": ({"problem": None}, "problem: ", "load_problem"),
    "dtype unknown": ({"dtype": "float16"}, "dtype: ", "float32, float64"),
    "dtype a type": ({"dtype": np.float64}, "dtype: ", "float32, float64"),
    "dtype another": ({"dtype": "float32"}, "dtype: ", "set_precision"),
    "seed negative": ({"seed": -1}, "seed: ", "whole"),
    "seed text": ({"seed": "a"}, "seed: ", "whole"),
    "seed None": ({"seed": None}, "seed: ", "whole"),
    "seed large": ({"seed": 2**40}, "seed: ", "2**32"),
    "time_limit zero": ({"time_limit": 0}, "time_limit: ", "> 0"),
    "time_limit NaN": ({"time_limit": float("nan")}, "time_limit: ", "> 0"),
    "time_limit text": ({"time_limit": "1 h"}, "time_limit: ", "> 0"),
    "checkpoint_seconds": ({"checkpoint_seconds": -1}, "checkpoint_seconds: ", "> 0"),
    "iterations negative": ({"iterations": -1}, "iterations: ", "whole"),
    "iterations fraction": ({"iterations": 1.5}, "iterations: ", "whole"),
    "iterations of another method": ({"iterations": {"adm": 5}}, "iterations: ", "adam"),
    "method unknown": ({"method": "adamw"}, "method: ", "adam"),
    "method empty": ({"method": ""}, "method: ", "lbfgs"),
    "method a list": ({"method": ["adam"]}, "method: ", "lbfgs"),
    "method auto in a sequence": ({"method": "auto+lbfgs"}, "method: ", "lbfgs"),
    "method_options of another": ({"method_options": {"sgd": {}}}, "method_options: ", "adam, lbfgs"),
    "method_options unknown": ({"method_options": {"adam": {"lr": 1}}}, "method_options['adam']: ", "learning_rate"),
    "method_options a list": ({"method_options": ["adam"]}, "method_options: ", "mapping"),
    "method_options not nested": ({"method_options": {"adam": 1e-3}}, "method_options['adam']: ", "mapping"),
    "learning_rate": ({"method_options": {"adam": {"learning_rate": -1}}}, "learning_rate: ", "> 0"),
    "learning_rate text": ({"method_options": {"adam": {"learning_rate": "a"}}}, "learning_rate: ", "> 0"),
    "memory": ({"method_options": {"lbfgs": {"memory": 0}}}, "memory: ", ">= 1"),
    "loss_weights of another term": ({"loss_weights": {"end": 2}}, "loss_weights: ", "did you mean 'ends'"),
    "loss_weights zero": ({"loss_weights": {"pde": 0}}, "loss_weights['pde']: ", "> 0"),
    "loss_weights NaN": ({"loss_weights": {"pde": np.nan}}, "loss_weights['pde']: ", "finite"),
    "loss_weights a list": ({"loss_weights": [1, 2]}, "loss_weights: ", "mapping"),
    "loss_weights unknown": ({"loss_weights": "ntk"}, "loss_weights: ", "auto"),
    "network unknown": ({"network": "repnett"}, "network: ", "did you mean 'repnet'"),
    "network a number": ({"network": 3}, "network: ", "repnet"),
    "network of torch": ({"network": torch.nn.Linear(1, 1)}, "network: ", "dde.nn.NN"),
    "network function of another type": ({"network": lambda p: 3}, "network: ", "dde.nn.NN"),
    "network function raises": ({"network": raising}, "network: ", "as planned"),
    "network of two outputs": ({"network": two_outputs}, "network: ", "1 output"),
    "network of two inputs": ({"network": of_two_inputs}, "network: ", "(4, 1)"),
    "network_options unknown": ({"network_options": {"widths": [3]}}, "network_options of repnet: ", "layers"),
    "network_options a list": ({"network_options": [3]}, "network_options: ", "mapping"),
    "network_options of a custom network": ({"network": two_outputs, "network_options": TINY}, "network_options: ", ""),
    "slope_scale of fnn": ({"network": "fnn", "network_options": {"slope_scale": 3}}, "network_options of fnn: ", ""),
    "slope_scale zero": ({"network_options": {"slope_scale": 0.0}}, "slope_scale: ", ""),
    "slope_scale text": ({"network_options": {"slope_scale": "high"}}, "slope_scale: ", "auto"),
    "activation": ({"network_options": {"activation": "tan"}}, "activation", "tanh"),
    "activation of fnn": ({"network": "fnn", "network_options": {"activation": "tan"}}, "activation", "tanh"),
    "layers empty": ({"network_options": {"layers": []}}, "layers: ", "widths"),
    "layers zero": ({"network_options": {"layers": [8, 0]}}, "layers: ", ">= 1"),
    "layers None": ({"network_options": {"layers": [None]}}, "layers: ", "width"),
    "layers text": ({"network_options": {"layers": "64"}}, "layers: ", "widths"),
    "layers a number": ({"network_options": {"layers": 64}}, "layers: ", "widths"),
    "ReLU and second derivatives": ({"network": "repnet-relu"}, "network: ", "second derivatives"),
    "no activation": (
        {"network": lambda p: dde.nn.FNN([1, 4, 1], None, "Glorot normal")},
        "network: ",
        "second derivatives",
    ),
    "ReLU activation": ({"network": "fnn", "network_options": {"activation": "relu"}}, "network: ", "ReLU"),
}


@pytest.mark.parametrize("case", SOLVE, ids=list(SOLVE))
def test_argument_of_solve(case, problem, tmp_path):
    changes, argument, allowed = SOLVE[case]
    given = {
        "problem": problem,
        "method": "adam+lbfgs",
        "iterations": 0,
        "progress": False,
        "out": tmp_path / "run",
    } | changes
    with pytest.raises(InputError) as raised:
        solve(**given)
    message = str(raised.value)
    assert message.startswith(argument) and allowed in message, message
    assert "\n" not in message
    assert not (tmp_path / "run").exists()  # bad input leaves nothing behind


def test_network_in_another_precision(problem):
    net = dde.nn.FNN([1, 4, 1], "tanh", "Glorot normal").float()
    with pytest.raises(InputError, match="network: has parameters in float32.*float64"):
        solve(problem, net, iterations=0, progress=False)


def test_network_with_a_transform_where_the_problem_has_one():
    net = dde.nn.FNN([1, 4, 1], "tanh", "Glorot normal")
    net.apply_output_transform(lambda x, u: u)
    with pytest.raises(InputError, match="network: .*transform"):
        solve(make(output_transform=lambda x, u: x * u), net, iterations=0, progress=False)


def test_every_network_name_is_known_to_the_message(problem):
    with pytest.raises(InputError) as raised:
        solve(problem, "cnn", iterations=0)
    assert all(name in str(raised.value) for name in NETWORKS)


@pytest.mark.parametrize("kind", ["file", "directory that is not empty"])
def test_out_must_be_new_or_empty(kind, problem, tmp_path):
    out = tmp_path / "run"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    with pytest.raises(InputError, match="^out: .*choose another"):
        solve(problem, iterations=0, out=out)


PREDICT = {
    "a vector": (np.zeros(3), 10, "x: has shape (3,); (n, 1) is needed"),
    "two coordinates": (np.zeros((3, 2)), 10, "x: has shape (3, 2); (n, 1) is needed"),
    "NaN": (np.array([[np.nan]]), 10, "x: has values that are not finite"),
    "text": ([["a"]], 10, "x: must be an array of numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], 10, "x: must be an array of numbers"),
    "chunk zero": (np.zeros((3, 1)), 0, "chunk: 0 given"),
    "chunk fraction": (np.zeros((3, 1)), 1.5, "chunk: 1.5 given"),
}


@pytest.fixture(scope="module")
def result(problem):
    return solve(problem, "fnn", "adam", iterations=1, network_options=TINY, progress=False)


@pytest.mark.parametrize("case", PREDICT, ids=list(PREDICT))
def test_argument_of_predict(case, result):
    x, chunk, said = PREDICT[case]
    with pytest.raises(InputError, match=re.escape(said)):
        result.predict(x, chunk)


# Files and names -----------------------------------------------------------------------------------------------------

BODY = """
import deepxde as dde
from repnet_pde import Problem

def problem(speed=1.0):
    line = dde.geometry.Interval(0, 1)
    return Problem(
        geometry=line,
        pde=lambda x, u: speed * dde.grad.jacobian(u, x) - 1,
        conditions={"left": dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on: on and x[0] < 0.5)},
    )
"""


def write(folder, text, name="mine.py"):
    (folder / name).write_text(text)
    return folder / name


FILES = {
    "no problem()": ("x = 1\n", "mine.py", "problem()"),
    "empty": ("", "mine.py", "problem()"),
    "problem a number": ("problem = 3\n", "mine.py", "problem()"),
    "raises on import": ("x = 1\n\ny = 1 / 0\n", "mine.py, line 3", "ZeroDivisionError"),
    "raises in problem()": (
        "def problem():\n    raise ValueError('no such thing')\n",
        "mine.py, line 2",
        "no such thing",
    ),
    "syntax error": ("x = 1\ndef problem(:\n", "mine.py, line 2", "SyntaxError"),
    "wrong indentation": ("def problem():\n  x = 1\n    y = 2\n", "mine.py, line 3", "IndentationError"),
    "missing module": ("import no_such_module\n", "mine.py, line 1", "no_such_module"),
    "wrong type": ("def problem():\n    return 3\n", "mine.py", "returned int"),
    "returns nothing": ("def problem():\n    pass\n", "mine.py", "returned NoneType"),
    "exits": ("import sys\nsys.exit(0)\n", "mine.py, line 2", "SystemExit"),
    "bad field": (BODY.replace("geometry=line", "geometry=(0, 1)"), "mine.py: geometry: ", "Interval"),
    "null byte": ("x = 1\0\n", "mine.py", ""),
    "an int variable": (
        BODY.replace("geometry=line", "unknowns={'k': dde.Variable(1)}, geometry=line"),
        "mine.py",
        "line 8",
    ),
    "changes the precision": (
        BODY.replace("line =", "dde.config.set_default_float('float32')\n    line ="),
        "mine.py",
        "float32",
    ),
    "positional arguments": (
        "from repnet_pde import Problem\ndef problem():\n    Problem(1, 2)\n",
        "mine.py, line 3",
        "positional",
    ),
}


@pytest.mark.parametrize("case", FILES, ids=list(FILES))
def test_file_of_a_user(case, command, tmp_path):
    text, where, said = FILES[case]
    path = write(tmp_path, text)
    code, out, err = command("solve", path, "--iterations", 0, "--out", tmp_path / "run")
    assert code == 2
    assert one_line(err) and where in err and said in err, err
    assert not (tmp_path / "run").exists()


def one_line(err):
    return err.startswith("repnet-pde: ") and err.endswith("\n") and err.count("\n") == 1 and "Traceback" not in err


def test_a_file_that_is_no_text(command, tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe\x00")
    code, _, err = command("show", path)
    assert code == 2 and one_line(err) and "mine.py" in err


PATHS = {
    "not there": ("nowhere.py", "there is no file"),
    "a folder": ("folder", "no file"),
    "a folder named as a file": ("folder.py", "no file"),
    "not Python": ("notes.txt", ".py"),
    "in a folder that is not there": ("a/b.py", "there is no file"),
}


@pytest.mark.parametrize("case", PATHS, ids=list(PATHS))
def test_path_of_a_file(case, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    name, said = PATHS[case]
    for action in ("show", "solve"):
        code, out, err = command(action, name)
        assert code == 2 and out == "" and one_line(err) and said in err and name in err, err


COMMANDS = {
    "no command": ([], "Usage"),
    "unknown command": (["slove", "helmholtz_2d"], "slove"),
    "unknown option": (["solve", "helmholtz_2d", "--sed", "1"], "--sed"),
    "no problem": (["solve"], "NAME_OR_FILE"),
    "two problems": (["solve", "helmholtz_2d", "burgers_1d"], "burgers_1d"),
    "wrong name": (["solve", "helmholz_2d"], "did you mean 'helmholtz_2d'"),
    "wrong name to show": (["show", "burgers"], "choose from burgers_1d, burgers_inverse_1d"),
    "empty name": (["solve", ""], "there is no file"),
    "--set without =": (["solve", "helmholtz_2d", "--set", "kappa"], "KEY=VALUE"),
    "--set without a name": (["solve", "helmholtz_2d", "--set", "=3"], "KEY=VALUE"),
    "--set without a value": (["solve", "helmholtz_2d", "--set", "kappa="], "parameter 'kappa': ''"),
    "--set text": (["solve", "poisson_two_scale_1d", "--set", "high=abc"], "parameter 'high': 'abc'"),
    "--set code": (["solve", "poisson_two_scale_1d", "--set", "high=__import__('os').getcwd()"], "parameter 'high': "),
    "--set NaN": (["solve", "poisson_two_scale_1d", "--set", "high=nan"], "parameter 'high': "),
    "--set infinite": (["solve", "poisson_two_scale_1d", "--set", "high=1e999"], "parameter 'high': "),
    "--set a truth value": (["solve", "poisson_two_scale_1d", "--set", "high=True"], "parameter 'high': "),
    "--set a list": (["solve", "poisson_two_scale_1d", "--set", "high=[1]"], "parameter 'high': "),
    "--set complex": (["solve", "poisson_two_scale_1d", "--set", "high=1j"], "parameter 'high': "),
    "--set a huge whole number": (["solve", "poisson_two_scale_1d", "--set", "high=1" + "0" * 400], "high"),
    "--set deep": (["solve", "poisson_two_scale_1d", "--set", "high=" + "(" * 5000], "parameter 'high': "),
    "--set twice": (["solve", "helmholtz_2d", "--set", "kappa=3", "--set", "kappa=4"], "twice"),
    "--set another parameter": (["solve", "poisson_two_scale_1d", "--set", "hihg=3"], "low=2, high=50, amplitude=0.1"),
    "--set dtype": (["solve", "helmholtz_2d", "--set", "dtype=3"], "--dtype"),
    "--set of a bad value": (["solve", "burgers_1d", "--set", "nu=-1"], "nu"),
    "--layers text": (["solve", "helmholtz_2d", "--layers", "a,b"], "--layers"),
    "--layers fraction": (["solve", "helmholtz_2d", "--layers", "8,4.5"], "--layers"),
    "--layers empty": (["solve", "helmholtz_2d", "--layers", ""], "--layers"),
    "--layers zero": (["solve", "helmholtz_2d", "--layers", "0"], "layers: 0"),
    "--slope-scale text": (["solve", "helmholtz_2d", "--slope-scale", "high"], "--slope-scale"),
    "--slope-scale of three": (["solve", "helmholtz_2d", "--slope-scale", "1:2:3"], "LOW:HIGH"),
    "--slope-scale negative": (["solve", "poisson_chirp_1d", "--slope-scale", "-1"], "slope_scale"),
    "--slope-scale reversed": (["solve", "poisson_chirp_1d", "--slope-scale", "5:1"], "slope_scale"),
    "--iterations text": (["solve", "helmholtz_2d", "--iterations", "many"], "--iterations"),
    "--iterations negative": (["solve", "helmholtz_2d", "--iterations", "-4"], "iterations: -4"),
    "--iterations of another": (["solve", "helmholtz_2d", "--method", "adam", "--iterations", "adm=4"], "adam"),
    "--method": (["solve", "helmholtz_2d", "--method", "lbgfs"], "did you mean 'lbfgs'"),
    "--network": (["solve", "helmholtz_2d", "--network", "fn"], "did you mean 'fnn'"),
    "--dtype": (["solve", "helmholtz_2d", "--dtype", "float"], "float32, float64"),
    "--seed text": (["solve", "helmholtz_2d", "--seed", "one"], "--seed"),
    "--seed negative": (["solve", "helmholtz_2d", "--seed", "-1"], "seed: -1"),
    "--learning-rate text": (["solve", "helmholtz_2d", "--learning-rate", "fast"], "--learning-rate"),
    "--learning-rate negative": (
        ["solve", "poisson_chirp_1d", "--method", "adam", "--learning-rate", "-1"],
        "learning_rate",
    ),
    "--learning-rate of lbfgs": (
        ["solve", "poisson_chirp_1d", "--learning-rate", "0.1", "--method", "lbfgs"],
        "method_options: 'adam'",
    ),
    "--time-limit zero": (["solve", "helmholtz_2d", "--time-limit", "0"], "time_limit: 0"),
    "--time-limit text": (["solve", "helmholtz_2d", "--time-limit", "1h"], "--time-limit"),
    "--out a file's child": (["solve", "helmholtz_2d", "--out", "notes.txt/run"], "out"),
    "--out not empty": (["solve", "helmholtz_2d", "--out", "."], "out"),
    "resume nothing": (["resume"], "DIRECTORY"),
    "resume nowhere": (["resume", "nowhere"], "'nowhere' does not exist"),
    "resume a file": (["resume", "notes.txt"], "notes.txt"),
    "resume another folder": (["resume", "."], "run.json"),
    "plot nowhere": (["plot", "nowhere"], "'nowhere' does not exist"),
    "plot another folder": (["plot", "."], "run.json"),
}


@pytest.mark.parametrize("case", COMMANDS, ids=list(COMMANDS))
def test_command_line(case, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    arguments, said = COMMANDS[case]
    code, out, err = command(*arguments)
    assert code == 2 and out == "", (code, out, err)
    assert one_line(err) and said in err, err
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_command_line_in_a_process(process, tmp_path):
    path = write(tmp_path, "def problem():\n    return 1 / 0\n")
    done = process("-m", "repnet_pde", "solve", path, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "repnet-pde: mine.py, line 2: ZeroDivisionError: division by zero\n"
    done = process("-m", "repnet_pde", "show", "helmholz_2d", cwd=tmp_path)
    assert done.returncode == 2 and one_line(done.stderr)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"high": "fifty"}, "parameter 'high': 'fifty' given; a finite number"),
        ({"high": float("nan")}, "parameter 'high': nan given; a finite number"),
        ({"high": None}, "parameter 'high'"),
        ({"hihg": 3}, "parameter 'hihg'.*low=2, high=50, amplitude=0.1"),
        ({"dtype": "double"}, "dtype: 'double'.*float32, float64"),
    ],
)
def test_argument_of_load_problem(parameters, said):
    with pytest.raises(InputError, match=said):
        load_problem("poisson_two_scale_1d", **parameters)


def test_parameter_without_a_default(tmp_path):
    path = write(tmp_path, BODY.replace("speed=1.0", "speed"))
    with pytest.raises(InputError, match="parameter 'speed': mine needs a value"):
        load_problem(path)
    assert load_problem(path, speed=2).parameters == {"speed": 2}


# Run directories -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of a user's file, to be damaged in copies."""
    folder = tmp_path_factory.mktemp("finished")
    problem = load_problem(write(folder, BODY))
    solve(problem, "fnn", "adam", iterations=3, network_options=TINY, out=folder / "run", progress=False)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    import shutil

    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def damage_checkpoint(run, kind):
    path = run / "checkpoint.pt"
    content = path.read_bytes()
    state = torch.load(path, weights_only=True)
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "cut by a byte":
        path.write_bytes(content[:-1])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(len(content)))
    elif kind == "a flipped bit":
        middle = content.index(np.float64(state["points"][5].item()).tobytes())
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif kind == "a folder":
        path.unlink()
        path.mkdir()
    elif kind == "code":
        torch.save({"progress": Code(run / "executed")}, path)
    elif kind == "another file":
        torch.save([1, 2, 3], path)
    elif kind == "of another network":
        state["network"] = dde.nn.FNN([1, 7, 1], "tanh", "Glorot normal").state_dict()
        torch.save(state, path)
    elif kind == "of other points":
        state["points"] = state["points"] + 1e-9
        torch.save(state, path)
    elif kind == "without history":
        del state["history"]
        torch.save(state, path)
    elif kind == "a wrong stage":
        state["progress"]["stage"] = 7
        torch.save(state, path)


KINDS = ["truncated", "cut by a byte", "empty", "garbage", "a flipped bit", "a folder", "code", "another file"]
KINDS += ["of another network", "of other points", "without history", "a wrong stage"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_checkpoint(kind, run, command):
    damage_checkpoint(run, kind)
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    for action in ("resume", "plot"):
        code, out, err = command(action, run)
        assert code == 2 and out == "" and one_line(err) and "checkpoint.pt" in err, err
    assert not (run / "executed").exists()
    assert before == {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}


def edit(run, change):
    stored = json.loads((run / "run.json").read_text())
    change(stored)
    (run / "run.json").write_text(json.dumps(stored))


DESCRIPTIONS = {
    "missing": (lambda run: (run / "run.json").unlink(), "run.json"),
    "not JSON": (lambda run: (run / "run.json").write_text("{"), "damaged"),
    "not text": (lambda run: (run / "run.json").write_bytes(b"\xff\xfe"), "damaged"),
    "no object": (lambda run: (run / "run.json").write_text("[]"), "damaged"),
    "empty object": (lambda run: (run / "run.json").write_text("{}"), "damaged"),
    "of another version": (lambda run: edit(run, lambda s: s.update(format=99)), "version"),
    "without settings": (lambda run: edit(run, lambda s: s.pop("settings")), "damaged"),
    "settings a list": (lambda run: edit(run, lambda s: s.update(settings=[1])), "damaged"),
    "an unknown setting": (lambda run: edit(run, lambda s: s["settings"].update(other=1)), "damaged"),
    "an unknown network": (lambda run: edit(run, lambda s: s["settings"].update(network="net")), "network"),
    "an unknown method": (lambda run: edit(run, lambda s: s["settings"].update(stages=[["sgd", 1, {}]])), "sgd"),
    "a bad seed": (lambda run: edit(run, lambda s: s["settings"].update(seed="a")), "seed"),
    "a bad dtype": (lambda run: edit(run, lambda s: s["settings"].update(dtype="float16")), "dtype"),
    "stages a number": (lambda run: edit(run, lambda s: s["settings"].update(stages=3)), "damaged"),
    "file moved": (lambda run: edit(run, lambda s: s["problem"].update(source="/no/where.py")), "where.py"),
    "no file": (lambda run: edit(run, lambda s: s["problem"].update(source=None)), "problem: "),
    "parameters": (lambda run: edit(run, lambda s: s["problem"]["parameters"].update(other=1)), "speed"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS, ids=list(DESCRIPTIONS))
def test_damaged_run_description(case, run, command):
    change, said = DESCRIPTIONS[case]
    change(run)
    code, out, err = command("resume", run)
    assert code == 2 and out == "" and one_line(err) and said in err, err


def test_problem_file_changed_since(finished, run, command):
    path = finished / "mine.py"
    try:
        path.write_text(BODY + "\n# another\n")
        code, _, err = command("resume", run)
        assert code == 2 and one_line(err) and "mine.py has changed" in err
        path.unlink()
        code, _, err = command("resume", run)
        assert code == 2 and one_line(err) and "there is no file" in err
    finally:
        path.write_text(BODY)


def test_resume_of_a_problem_or_network_without_a_file(tmp_path):
    solve(make(), two_layers, "adam", iterations=1, out=tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="^problem: .*pass the same Problem"):
        resume(tmp_path / "run")
    with pytest.raises(InputError, match="^network: .*pass one"):
        resume(tmp_path / "run", problem=make())
    with pytest.raises(InputError, match="checkpoint"):
        resume(tmp_path / "run", problem=make(), network=dde.nn.FNN([1, 3, 1], "tanh", "Glorot normal"))
    with pytest.raises(InputError, match="^time_limit: "):
        resume(tmp_path / "run", problem=make(), network=two_layers, time_limit=-1)
    with pytest.raises(InputError, match="^problem: "):
        resume(tmp_path / "run", problem="mine", network=two_layers)


def two_layers(problem):
    return dde.nn.FNN([1, 4, 4, 1], "tanh", "Glorot normal")


@pytest.mark.parametrize("kind", ["truncated", "garbage", "empty", "code"])
def test_damaged_reference_is_computed_again(kind, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    parameters = {"low": 1.0, "high": 3.0, "amplitude": 0.2}
    whole = reference("poisson_two_scale_1d", **parameters)
    (file,) = cache.folder().glob("*.npz")
    content = file.read_bytes()
    if kind == "code":
        np.savez(file, meta=np.array([Code(tmp_path / "executed")], dtype=object), allow_pickle=True)
    else:
        file.write_bytes({"truncated": content[:-100], "garbage": b"x" * 500, "empty": b""}[kind])
    with pytest.warns(UserWarning, match="computed again"):
        again = reference("poisson_two_scale_1d", **parameters)
    assert np.array_equal(again.values, whole.values) and not (tmp_path / "executed").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reference("poisson_two_scale_1d", **parameters)  # the file is whole again


def test_warning_of_a_damaged_reference_is_one_line(tmp_path, monkeypatch, command):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    arguments = ["solve", "poisson_chirp_1d", "--network", "fnn", "--layers", 4, "--iterations", 0, "--json", "--out"]
    assert command(*arguments, tmp_path / "one")[0] == 0
    (file,) = cache.folder().glob("*.npz")
    file.write_bytes(b"damaged")
    code, out, err = command(*arguments, tmp_path / "two")
    assert code == 0 and json.loads(out)["problem"] == "poisson_chirp_1d"
    lines = [line for line in err.splitlines() if "warning" in line]
    assert len(lines) == 1 and "computed again" in lines[0]
