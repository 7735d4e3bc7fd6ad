"""The command line: what it prints, where it writes, and its exit codes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repnet_pde import __version__, catalogue, load_problem, plan, solve

FAST = ["--network", "fnn", "--layers", "8,8", "--method", "adam", "--iterations", "5"]
FILES = {"run.json", "checkpoint.pt", "result.json", "solution.nc", "solution.png", "error.png", "history.png"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["solve", "--help"], ["resume", "-h"], ["--version"]])
def test_help_and_version(command, arguments):
    code, out, err = command(*arguments)
    assert code == 0 and err == ""
    assert ("Usage: repnet-pde" in out) != (__version__ in out and arguments == ["--version"])


def test_list(command):
    code, out, err = command("list")
    assert code == 0 and err == ""
    for name, entry in catalogue().items():
        assert name in out and all(f"{key}=" in out for key in entry.parameters)


def test_list_as_json(command):
    code, out, err = command("list", "--json")
    assert code == 0 and err == ""
    listed = json.loads(out)
    assert [problem["name"] for problem in listed] == list(catalogue())
    for problem, entry in zip(listed, catalogue().values(), strict=True):
        assert problem["parameters"] == entry.parameters
        assert problem["measured_error"] == entry.measured
        assert problem["title"] == entry.title and problem["equation"] == entry.equation


@pytest.mark.parametrize("name", list(catalogue()))
def test_show(command, name):
    code, out, err = command("show", name)
    assert code == 0 and err == ""
    assert catalogue()[name].equation.strip() in out
    problem = load_problem(name)
    for word in ("parameters", "terms", "wavenumber", "points", "reference", *problem.term_names, *problem.balances):
        assert word in out
    assert re.search(rf"tolerance +{problem.tolerance:.2g}\b", out)
    assert ("exact solution  no" in out) == (problem.solution is None)


def test_solve_prints_the_measured_result(command, folder):
    code, out, err = command("solve", "poisson_two_scale_1d", "--set", "high=4", "--set", "low=1", *FAST)
    assert code == 0 and err == ""
    result = json.loads((folder / "runs" / "poisson_two_scale_1d" / "result.json").read_text())
    assert result["parameters"] == {"low": 1, "high": 4, "amplitude": 0.1}
    assert f"relative L2 {result['relative_l2']:.2e}, maximum {result['max_error']:.2e}" in out
    assert f"its own error: relative L2 {result['reference_error']:.1e}" in out
    assert "error against the solution" in out and "error against the reference" in out
    assert f"pde {result['residuals']['pde']:.2e}" in out and "iterations: 5, seed 0" in out
    assert {p.name for p in (folder / "runs" / "poisson_two_scale_1d").iterdir()} == FILES


def test_default_run_directories_are_numbered(command, folder):
    for _ in range(3):
        assert command("solve", "poisson_chirp_1d", *FAST)[0] == 0
    assert sorted(p.name for p in (folder / "runs").iterdir()) == [
        "poisson_chirp_1d",
        "poisson_chirp_1d-2",
        "poisson_chirp_1d-3",
    ]


OWN = '''"""u' = speed on [0, 1], u(0) = 0."""

import deepxde as dde
from helper import START
from repnet_pde import Problem

print("this file prints")


def problem(speed=1.0):
    from helper import left

    line = dde.geometry.Interval(0, 1)
    print("so does this function")
    return Problem(
        geometry=line,
        pde=lambda x, u: dde.grad.jacobian(u, x) - speed,
        conditions={"left": dde.icbc.DirichletBC(line, lambda x: START, left)},
        solution=lambda x: speed * x,
    )
'''
HELPER = """
START = 0


def left(x, on_boundary):
    return on_boundary and x[0] < 0.5
"""


@pytest.fixture
def own(tmp_path):
    """A user's file in another folder, with a module beside it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "helper.py").write_text(HELPER)
    (tmp_path / "elsewhere" / "ramp.py").write_text(OWN)
    sys.modules.pop("helper", None)
    yield tmp_path / "elsewhere" / "ramp.py"
    sys.modules.pop("helper", None)


def test_own_file_as_json(own, command, folder):
    """Standard output is one JSON object, whatever the file prints; it is what the run directory holds."""
    path = list(sys.path)
    code, out, err = command("solve", own, "--set", "speed=2", "--json", "--out", folder / "mine", *FAST)
    assert code == 0 and "this file prints" in err and "so does this function" in err
    result = json.loads(out)
    assert result == json.loads((folder / "mine" / "result.json").read_text())
    assert out.count("\n") == 1
    assert result["problem"] == "ramp" and result["parameters"] == {"speed": 2} and result["reference"] is None
    assert sys.path == path and not (folder / "runs").exists()

    sys.modules.pop("helper", None)
    code, out, err = command("resume", folder / "mine", "--json")
    assert code == 0 and json.loads(out)["relative_l2"] == result["relative_l2"]


def test_options_reach_the_run(command, folder):
    arguments = ["--layers", "6,5", "--slope-scale", "2:9", "--method", "adam+lbfgs", "--iterations", "adam=3,lbfgs=2"]
    arguments += ["--learning-rate", "0.02", "--seed", "7", "--dtype", "float32", "--network", "repnet-sin"]
    code, out, err = command("solve", "helmholtz_2d", "--set", "kappa=3", "--out", "run", "--json", *arguments)
    assert code == 0, err
    result, settings = json.loads(out), json.loads((folder / "run" / "run.json").read_text())["settings"]
    assert result["seed"] == 7 and result["dtype"] == "float32" and result["network"] == "repnet-sin"
    assert settings["network_options"] == {"layers": [6, 5], "slope_scale": [2, 9]}
    assert settings["stages"] == [["adam", 3, {"learning_rate": 0.02}], ["lbfgs", 2, {}]]
    assert result["iterations"] == 5 and result["finished"]
    assert (folder / "run" / "first_layer.png").exists()


def test_time_limit_and_resume(command, folder, stopped_after):
    arguments = ["solve", "poisson_chirp_1d", *FAST[:-1], "400", "--out", "run"]
    with stopped_after(50):
        code, out, err = command(*arguments)
    assert code == 0 and err == "repnet-pde: stopped (time limit); continue with: repnet-pde resume run\n"
    assert "time limit" in out
    code, out, err = command("resume", "run")
    assert code == 0 and err == "" and "400 iterations" in out


def test_a_limit_that_is_over_while_the_problem_is_read(command, folder):
    code, out, err = command("solve", "poisson_chirp_1d", "--time-limit", "1e-9", "--out", "run")
    said = "repnet-pde: time_limit: 1e-09 s were over before there was a result: reading poisson_chirp_1d\n"
    assert (code, out, err) == (1, "", said) and not (folder / "run").exists()


def test_plot_draws_again(command, folder):
    assert command("solve", "poisson_chirp_1d", *FAST, "--out", "run")[0] == 0
    before = (folder / "run" / "result.json").read_bytes()
    pictures = sorted(p for p in (folder / "run").iterdir() if p.suffix == ".png")
    for picture in pictures:
        picture.unlink()
    code, out, err = command("plot", "run")
    assert code == 0 and err == ""
    assert sorted(out.split()) == [str(p.relative_to(folder)) for p in pictures]
    assert all(p.stat().st_size > 5000 for p in pictures)
    assert (folder / "run" / "result.json").read_bytes() == before


def test_failed_training(command, folder):
    arguments = ["solve", "poisson_chirp_1d", *FAST[:-1], "50", "--out", "run", "--learning-rate", "1e300"]
    code, out, err = command(*arguments)
    assert code == 1 and out == ""
    assert err.startswith("repnet-pde: iteration ") and err.count("\n") == 1 and "NaN or infinite" in err


def test_results_that_cannot_be_written(command, folder, monkeypatch):
    """A full disk is one line and exit code 1."""
    from repnet_pde.running import result

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result, "write_json", full)
    code, _, err = command("solve", "poisson_chirp_1d", *FAST, "--out", "run")
    assert code == 1 and err == "repnet-pde: OSError: [Errno 28] No space left on device\n"


def test_reader_that_goes_away(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "repnet_pde", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(60) == 1
    process.stderr.close()


def test_solve_in_a_process(process, tmp_path):
    """As installed: ``python -m repnet_pde``, no terminal, own folder."""
    done = process("-m", "repnet_pde", "solve", "poisson_chirp_1d", *FAST, "--json", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert json.loads(done.stdout)["problem"] == "poisson_chirp_1d"
    assert (tmp_path / "runs" / "poisson_chirp_1d" / "solution.nc").exists()


def test_python_started_in_a_checkout_finds_all_of_it(process, tmp_path):
    """Without an installation of its own a checkout has the catalogue and the validation beside the package."""
    root = Path(__file__).parent.parent.parent
    for name in ("repnet_pde", "problems", "validation"):
        shutil.copytree(
            root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "problems", "validation")
        )
    code = (
        "import repnet_pde, repnet_pde.problems, repnet_pde.validation.finite_difference as f;"
        "print(repnet_pde.__file__, repnet_pde.problems.__file__, f.__file__)"
    )
    done = process("-c", code, cwd=tmp_path)
    assert done.stdout.count(str(tmp_path)) == 3, done.stdout + done.stderr


def test_plan_says_what_solve_does_and_writes_nothing(command, folder):
    code, out, _ = command("plan", "poisson_chirp_1d", "--json")
    planned = json.loads(out)
    assert code == 0 and not list(folder.iterdir())
    result = solve(load_problem("poisson_chirp_1d"), progress=False)
    assert (planned["method"], planned["network"]) == (result.method, result.network)
    assert planned["network_options"] == result.network_options and planned["parameters"] == result.n_parameters
    assert planned["points"] == {"equations": len(result.data.train_x_all), "boundary": 2}
    assert set(planned["reasons"]) <= set(result.notes)
    assert planned["other_methods"]["marching"] == "there is no equation in time"
    code, out, _ = command("plan", "poisson_chirp_1d", *FAST)
    assert code == 0 and "an ordinary network" not in out and re.search(r"points +equations \d+, boundary 2", out)
    code, _, err = command("plan", "poisson_chirp_1d", "--method", "jont")
    assert code == 2 and "did you mean 'joint'" in err


def test_a_plan_leaves_a_problem_as_it_is():
    problem = load_problem("damped_oscillator")
    for unknown in problem.unknowns.values():
        unknown.data.fill_(7.0)
    before, state = [v.item() for v in problem.unknowns.values()], np.random.get_state()[1].copy()
    planned = plan(problem, method="joint")
    assert [v.item() for v in problem.unknowns.values()] == before
    assert (np.random.get_state()[1] == state).all()
    assert planned.settings.planned and "method: joint" in str(planned)
