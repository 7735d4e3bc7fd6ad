"""Parameters of a problem's function of every kind: stored, shown, given back by `resume`; modules beside the file."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from repnet_pde import InputError, load_problem, resume, solve
from repnet_pde.cli.main import cli
from repnet_pde.problem.parameters import checked, native, storable, text

BODY = """
import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem

def problem(k=DEFAULT):
    line = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on: on)
    return Problem(geometry=line, pde=lambda x, u: dde.grad.hessian(u, x) - 1, conditions={"ends": ends})
"""
SMALL = {"network_options": {"layers": [8]}, "progress": False}


def write(folder, default, name="own.py"):
    path = folder / name
    path.write_text(BODY.replace("DEFAULT", default))
    return path


def same(one, other):
    return type(one) is type(other) and np.array_equal(one, other)


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        ("(0.0, 1.0)", "(0, 1)"),
        ("[1, 2]", "(1, 2)"),
        ("'steel'", "steel"),
        ("None", "None"),
        ("True", "True"),
        ("np.array([1.0, 2.0], dtype=np.float32)", "(1, 2)"),
        ("np.arange(9)", "(0, 1, 2, 3, 4, 5, …)"),
        ("np.float64(2.5)", "2.5"),
        ("np.int64(3)", "3"),
        ("((0, 1), (2, 3))", "((0, 1), (2, 3))"),
    ],
)
def test_a_default_of_any_kind(default, shown, tmp_path):
    """The table, the stored run, and the very default when the run is resumed."""
    problem = load_problem(write(tmp_path, default))
    expected = eval(default, {"np": np})
    assert same(problem.parameters["k"], expected)
    assert text(problem.parameters) == f"k={shown}"
    solve(problem, out=tmp_path / "run", **SMALL)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["problem"]["parameters"] == {"k": native(expected)}
    assert same(resume(tmp_path / "run", progress=False).problem.parameters["k"], expected)


def test_a_default_that_cannot_be_stored_is_that_of_the_file(tmp_path):
    problem = load_problem(write(tmp_path, "torch.tanh"))
    solve(problem, out=tmp_path / "run", **SMALL)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["problem"]["parameters"] == {}
    assert resume(tmp_path / "run", progress=False).problem.parameters["k"] is problem.parameters["k"]


@pytest.mark.parametrize(
    ("default", "given", "kept"),
    [
        ((0.0, 1.0), [2, 3], (2, 3)),
        (np.zeros(2), (2, 3), np.array([2.0, 3.0])),
        (2.0, np.int64(3), 3),
        (2, np.float32(0.5), 0.5),
        ("steel", "wood", "wood"),
        (True, 0, False),
        (None, (1, "a", None), [1, "a", None]),
    ],
)
def test_a_value_takes_the_type_of_the_default(default, given, kept):
    found = checked("k", given, default)
    assert same(found, kept)
    assert same(checked("k", json.loads(json.dumps(native(found))), default), kept)


@pytest.mark.parametrize(
    ("default", "given", "said"),
    [
        (1.0, "two", "'two' given; a finite number is needed"),
        (1.0, None, "None given; a finite number is needed"),
        (1.0, (1, 2), r"\(1, 2\) given; a finite number is needed"),
        ("steel", 2, "2 given; text is needed"),
        (True, "yes", "'yes' given; True or False is needed"),
        ((0, 1), 3, "3 given; a sequence is needed"),
        (None, np.inf, "inf given; a finite number, text"),
        (None, [1, np.nan], "nan.* given; a finite number, text"),
        (None, np.tanh, "given; a finite number, text"),
        (None, {"a": 1}, "given; a finite number, text"),
    ],
)
def test_a_value_of_another_kind_is_refused(default, given, said):
    with pytest.raises(InputError, match=f"parameter 'k': .*{said}"):
        checked("k", given, default)


def test_what_can_be_stored():
    assert all(map(storable, [None, True, 1, 0.5, "a", [1, [2]], (1,), np.arange(3), np.float32(1)]))
    assert not any(map(storable, [np.inf, 1j, np.array([1j]), {"a": 1}, object(), [object()]]))


@pytest.mark.parametrize(
    ("default", "setting", "kept"),
    [
        ("'steel'", "k=wood", "wood"),
        ("(0, 1)", "k=(2, 3)", (2, 3)),
        ("1.0", "k=1e-3", 1e-3),
        ("True", "k=False", False),
    ],
)
def test_set(default, setting, kept, tmp_path):
    out = tmp_path / "run"
    arguments = ["solve", str(write(tmp_path, default)), "--set", setting, "--layers", "8", "--out", str(out)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert same(resume(out, progress=False).problem.parameters["k"], kept)


def test_a_module_beside_each_file(tmp_path):
    """Two folders with a helper of the same name, and one that is edited."""
    for folder, value in (("one", 1.0), ("two", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_it.py").write_text(f"VALUE = {value}\n")
        path = write(tmp_path / folder, "VALUE")
        path.write_text("from beside_it import VALUE\n" + path.read_text())
    one, two = (load_problem(tmp_path / folder / "own.py").parameters["k"] for folder in ("one", "two"))
    assert (one, two) == (1.0, 2.0)
    (tmp_path / "two" / "beside_it.py").write_text("VALUE = 2.75\n")
    assert load_problem(tmp_path / "two" / "own.py").parameters["k"] == 2.75


def test_numbers_and_arrays_of_numpy_in_a_request(tmp_path):
    problem = load_problem(write(tmp_path, "1.0"))
    options = {"layers": np.array([8]), "wavenumber": np.array([3.0])}
    first = solve(problem, seed=np.int64(3), network_options=options, out=tmp_path / "run", progress=False)
    again = solve(problem, seed=3, network_options={"layers": [8], "wavenumber": [3.0]}, progress=False)
    x = np.linspace(0, 1, 5)[:, None]
    assert np.array_equal(first.predict(x), again.predict(x))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["seed"] == 3
