"""Run directories: one run at a time, nothing left of what was refused."""

import multiprocessing
import subprocess
import sys

import pytest

from repnet_pde import InputError, version
from repnet_pde.errors import InUseError
from repnet_pde.files import LOCK, claimed


def test_a_directory_is_held_by_one_run(tmp_path):
    directory = tmp_path / "deep" / "run"
    with claimed(directory):
        with pytest.raises(InUseError, match="in use"), claimed(directory):
            pass
        (directory / "run.json").write_text("{}")
    assert [path.name for path in directory.iterdir()] == ["run.json"]
    with pytest.raises(InputError, match="not an empty directory"), claimed(directory):
        pass
    with claimed(directory, new=False), pytest.raises(InUseError), claimed(directory, new=False):
        pass
    assert [path.name for path in directory.iterdir()] == ["run.json"]


def test_nothing_is_left_where_nothing_was_written(tmp_path):
    directory = tmp_path / "deep" / "run"
    with pytest.raises(RuntimeError), claimed(directory):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    directory.mkdir(parents=True)
    with claimed(directory):
        pass
    assert directory.exists() and not list(directory.iterdir())


def test_a_killed_run_leaves_the_directory_free(tmp_path):
    """What is left of its lock is no file of a run."""
    lines = (
        "import os",
        "from pathlib import Path",
        "from repnet_pde.files import claimed",
        f"held = claimed(Path({str(tmp_path / 'run')!r}))",
        "held.__enter__()",
        "os._exit(1)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
    with claimed(tmp_path / "run"):
        pass


def _run(path, out, number, results):
    from repnet_pde import load_problem, solve

    try:
        solve(load_problem(path), out=out, seed=number, network_options={"layers": [8]}, progress=False)
        results.put("done")
    except InUseError:
        results.put("in use")
    except InputError as error:
        results.put("not an empty directory" if "not an empty" in str(error) else str(error))


BODY = """
import deepxde as dde
from repnet_pde import Problem

def problem():
    line = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on: on)
    return Problem(geometry=line, pde=lambda x, u: dde.grad.hessian(u, x) - 1, conditions={"ends": ends})
"""


def test_two_runs_at_once_into_one_directory(tmp_path):
    """One is done, the other is refused before it computes anything."""
    path = tmp_path / "own.py"
    path.write_text(BODY)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    runs = [context.Process(target=_run, args=(path, tmp_path / "run", i, results)) for i in range(2)]
    for run in runs:
        run.start()
    found = sorted(results.get(timeout=120) for _ in runs)
    for run in runs:
        run.join()
    assert found[0] == "done" and found[1] in ("in use", "not an empty directory")


def test_digest_of_the_code(tmp_path):
    """It changes with a name or a byte, and does not depend on the order; results do not depend on what only shows."""
    one, other = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1\n")
    other.write_text("y = 1\n")
    before = version.digest_of([one, other])
    assert version.digest_of([other, one]) == before
    other.write_text("y = 2\n")
    changed = version.digest_of([one, other])
    other.rename(tmp_path / "c.py")
    assert len({before, changed, version.digest_of([one, tmp_path / "c.py"])}) == 3
    assert len(version.code_digest()) == 64
