"""Another default device, as DeepXDE sets where there is a GPU: everything is computed on the CPU, the default stays.

The device "meta" has no values, so that anything that is made on it fails where it is used.
"""

import contextlib

import numpy as np
import pytest
import torch

from repnet_pde import fit, identify, load_fit, load_problem, plan, resume, solve

TINY = {"network_options": {"layers": [8]}, "progress": False}
POINTS = np.linspace(0.1, 0.9, 7)[:, None]

BODY = """
import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem

def problem(kind="linear"):
    line = dde.geometry.TimeDomain(0, 1)
    start = dde.icbc.DirichletBC(line, lambda t: 1, lambda t, on: on and t[0] < 0.5)
    one = torch.ones(1, 1)
    conditions = {"start": start}
    if kind != "inverse":
        power = 2 if kind == "nonlinear" else 1
        return Problem(geometry=line, pde=lambda t, u: dde.grad.jacobian(u, t) + one * u**power, conditions=conditions)
    k, t = dde.Variable(1.0), np.linspace(0.1, 1, 12)[:, None]
    conditions["data"] = dde.icbc.PointSetBC(t, np.exp(-2 * t))
    pde = lambda t, u: dde.grad.jacobian(u, t) + k * u
    return Problem(geometry=line, pde=pde, conditions=conditions, unknowns={"k": k})
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(BODY)
    return path


@contextlib.contextmanager
def elsewhere():
    torch.set_default_device("meta")
    try:
        yield
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)


RUNS = {
    "auto": ("linear", {}),
    "nonlinear": ("nonlinear", {}),
    "patching": ("linear", {"method": "patching"}),
    "gauss-newton": ("nonlinear", {"method": "gauss-newton", "iterations": 3, **TINY}),
    "ssbroyden": ("nonlinear", {"method": "ssbroyden", "iterations": 3, **TINY}),
    "adam, then L-BFGS": ("nonlinear", {"method": "adam+lbfgs", "iterations": {"adam": 3, "lbfgs": 2}, **TINY}),
    "another network": ("linear", {"network": "pirate", "method": "adam", "iterations": 2}),
    "float32": ("linear", {"network": "fnn", "method": "adam", "iterations": 2, "dtype": "float32"}),
}


@pytest.mark.parametrize("kind", RUNS)
def test_solve_and_resume(kind, path, tmp_path):
    """The same bits as without it."""
    which, options = RUNS[kind]
    options = {"progress": False, "out": tmp_path / "run"} | options

    def make():
        return load_problem(path, kind=which, dtype=options.get("dtype", "float64"))

    with elsewhere():
        plan(make(), **{name: value for name, value in options.items() if name not in ("out", "progress")})
        solve(make(), **options)
        found = resume(tmp_path / "run", progress=False).predict(POINTS)
    expected = solve(make(), **options | {"out": None}).predict(POINTS)
    assert np.array_equal(found, expected) and np.isfinite(found).all()


@pytest.mark.parametrize("method", ["joint", "gauss-newton"])
def test_identify(method, path):
    options = {"network_options": {"layers": [14]}}
    with elsewhere():
        result = identify(load_problem(path, kind="inverse"), method=method, iterations=25, progress=False, **options)
    assert result.unknowns["k"] == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"network": "repnet-siren", "method": "adam", "iterations": 3}])
def test_fit(options, tmp_path):
    values = np.sin(9 * POINTS)
    with elsewhere():
        found = fit(POINTS, values, progress=False, **options)
        found.save(tmp_path / "saved.fit")
        again = load_fit(tmp_path / "saved.fit").predict(POINTS)
    assert np.array_equal(again, fit(POINTS, values, progress=False, **options).predict(POINTS))
