"""The code in README.md runs as it stands, in the order in which it is printed."""

import re
from pathlib import Path

import deepxde as dde
import numpy as np
import pytest
from pages import blocks, steps
from scipy.integrate import solve_bvp

import repnet_pde

README = Path(__file__).parent.parent.parent / "README.md"


def test_every_block_runs(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(dde.nn, "RepNet", raising=False)
    runs = (names for block, names in steps(README, command) if block.language == "python" and not block.is_file)
    names = next(runs)  # solve
    assert names["u"].shape == (2, 1)
    assert names["result"].errors.relative_l2 < 1e-9
    assert (tmp_path / "my_run" / "result.json").is_file()
    rate = next(runs)["rate"]
    shown = re.search(r"# rate ([\d.]+) ± ([\d.]+)", README.read_text(encoding="utf-8"))
    assert abs(rate.value - 1.5) < 3 * rate.standard_error
    assert (rate.value, rate.standard_error) == pytest.approx(tuple(map(float, shown.groups())), rel=0.02)
    fitted = next(runs)["u"][:, 0]
    assert fitted == pytest.approx([np.sin(0.3 * np.pi), np.sin(1.5 * np.pi) + 1], abs=1e-4)
    names = next(runs)  # train
    assert isinstance(names["net"], repnet_pde.RepNet)
    assert np.sum(names["losses"].loss_train[-1]) < 1e-8
    line = solve_bvp(
        lambda x, u: [u[1], u[0] ** 3 - 1], lambda a, b: [a[0], b[0]], [0, 0.5, 1], np.zeros((2, 3)), tol=1e-8
    )
    assert names["model"].predict(np.array([[0.5]])).item() == pytest.approx(line.sol(0.5)[0], rel=1e-4)
    names = next(runs)  # operator
    assert np.linalg.norm(names["u"] - names["data"].test_u) < 1e-6 * np.linalg.norm(names["data"].test_u)
    assert not list(runs)


def test_own_problem_is_as_short_as_promised():
    own = next(block for block in blocks(README) if block.is_file)
    assert len([line for line in own.text.splitlines() if line.strip()]) <= 20


def test_it_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200
