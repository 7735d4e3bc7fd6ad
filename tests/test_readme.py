"""The code in README.md runs as it stands, in the order in which it is printed."""

import re
from pathlib import Path

import deepxde as dde
import numpy as np
import pytest
from scipy.integrate import solve_bvp

import repnet_pde
from repnet_pde.catalogue import catalogue

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def test_every_python_block_runs(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(dde.nn, "RepNet", raising=False)
    own, solving, decaying, identifying, network, training, fitting, operator = blocks
    Path("my_problem.py").write_text(own, encoding="utf-8")
    names: dict = {}
    exec(solving, names)
    assert names["u"].shape == (2, 1)
    assert names["result"].errors.relative_l2 < 1e-9
    assert (tmp_path / "my_run" / "result.json").is_file()
    Path("decay.py").write_text(decaying, encoding="utf-8")
    exec(identifying, names)
    rate, said = names["rate"], re.search(r"# rate ([\d.]+) ± ([\d.]+)", README.read_text(encoding="utf-8"))
    assert abs(rate.value - 1.5) < 3 * rate.standard_error
    assert (rate.value, rate.standard_error) == pytest.approx(tuple(map(float, said.groups())), rel=0.02)
    exec(network, names)
    assert isinstance(names["net"], repnet_pde.RepNet)
    exec(training, names)
    assert np.sum(names["losses"].loss_train[-1]) < 1e-8
    line = solve_bvp(
        lambda x, u: [u[1], u[0] ** 3 - 1], lambda a, b: [a[0], b[0]], [0, 0.5, 1], np.zeros((2, 3)), tol=1e-8
    )
    assert names["model"].predict(np.array([[0.5]])).item() == pytest.approx(line.sol(0.5)[0], rel=1e-4)
    exec(fitting, names)
    assert names["u"][:, 0] == pytest.approx([np.sin(0.3 * np.pi), np.sin(1.5 * np.pi) + 1], abs=1e-4)
    exec(operator, names)
    assert np.linalg.norm(names["u"] - names["data"].test_u) < 1e-6 * np.linalg.norm(names["data"].test_u)


def test_own_problem_is_as_short_as_promised(blocks):
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) <= 20


def test_the_table_lists_the_catalogue():
    listed = re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(catalogue())
