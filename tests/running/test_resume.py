"""A run that was stopped, in whatever way, and resumed ends like one that was never stopped, to the last bit."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from repnet_pde.validation.studies import kill_resume

from repnet_pde import TrainingError, load_problem, resume, solve
from repnet_pde.cli import main
from repnet_pde.output import pictures as plots
from repnet_pde.running.resume import load_result
from repnet_pde.training import loop as training

OPTIONS = {"network_options": {"layers": [12, 12]}, "progress": False, "seed": 4}
ITERATIONS = {"adam": 600, "lbfgs": 200, "adam+lbfgs": {"adam": 100, "lbfgs": 150}}


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """They take longer than these runs."""
    monkeypatch.setattr(plots, "draw", lambda *_: [])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Pseudo-random points, an unknown, two terms under the automatic balance."""
    path = tmp_path_factory.mktemp("problem") / "decay.py"
    path.write_text(kill_resume.PROBLEM)
    return path


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    """method -> directory of a run that was never stopped."""
    made = {}

    def run(method):
        if method not in made:
            out = tmp_path_factory.mktemp("whole") / "run"
            solve(load_problem(file), method=method, iterations=ITERATIONS[method], out=out, **OPTIONS)
            made[method] = out
        return made[method]

    return run


def begin(file, out, method, **more):
    return solve(load_problem(file), method=method, iterations=ITERATIONS[method], out=out, **OPTIONS | more)


def finish(out):
    assert resume(out, progress=False).finished


@pytest.mark.parametrize("method", ITERATIONS)
def test_stopped_by_the_time_limit(method, file, whole, tmp_path, stopped_after):
    out = tmp_path / "run"
    first = begin(file, out, method, time_limit=0.15, checkpoint_seconds=0.02)
    assert first.stopped == "time limit" and not first.finished
    with stopped_after(10):
        second = resume(out, checkpoint_seconds=0.05, progress=False)
    assert first.iterations < second.iterations
    finish(out)
    assert kill_resume.compare(whole(method), out) == []


def test_the_comparison_sees_a_difference(file, whole, tmp_path):
    """One bit of one weight, and one number of the result."""
    out = tmp_path / "run"
    begin(file, out, "adam")
    assert kill_resume.compare(whole("adam"), out) == []
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    name = next(iter(state["network"]))
    state["network"][name].view(torch.int64).view(-1)[0] ^= 1
    torch.save(state, out / "checkpoint.pt")
    result = json.loads((out / "result.json").read_text())
    (out / "result.json").write_text(json.dumps(result | {"seed": 5}))
    found = kill_resume.compare(whole("adam"), out)
    assert found == [f"checkpoint.pt/network/{name}", "result.json/seed"]


class Stop(Exception):
    pass


@pytest.mark.parametrize("moment", [0, 1, 100, 599, 600])
def test_stopped_by_an_exception(moment, file, whole, tmp_path, monkeypatch):
    """Whatever raises in training, a checkpoint of a whole iteration of the last second is left behind."""
    out = tmp_path / "run"
    count, step = 0, training.METHODS["adam"].step

    def failing(self):
        nonlocal count
        if count == moment:
            raise Stop
        count += 1
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(training.METHODS["adam"], "step", failing)
        if moment < 600:
            with pytest.raises(Stop):
                begin(file, out, "adam")
            assert load_result(out).iterations <= moment
            assert not load_result(out).finished
        else:
            begin(file, out, "adam")
    finish(out)
    assert kill_resume.compare(whole("adam"), out) == []


def test_stopped_by_control_c(file, whole, tmp_path, monkeypatch):
    out, step = tmp_path / "run", training.METHODS["adam"].step

    def interrupted(self):
        if self.iteration == 200:
            os.kill(os.getpid(), signal.SIGINT)
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(training.METHODS["adam"], "step", interrupted)
        result = begin(file, out, "adam")
    assert result.stopped == "interrupted" and not result.finished and result.iterations == 201
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert json.loads((out / "result.json").read_text())["finished"] is False
    finish(out)
    assert kill_resume.compare(whole("adam"), out) == []


def test_control_c_on_the_command_line(file, tmp_path):
    """Exit code 130, one clear line, and a run that can be resumed."""
    out = tmp_path / "run"
    arguments = kill_resume.command("solve", file, "--method", "adam", "--iterations", 10**6, "--out", out)
    process = subprocess.Popen(
        [*arguments, "--checkpoint-seconds", "0.05"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    limit = time.monotonic() + 600
    while not (out / "checkpoint.pt").exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == f"repnet-pde: stopped (interrupted); continue with: repnet-pde resume {out}"
    assert "interrupted" in stdout
    assert resume(out, time_limit=0.1, progress=False).stopped == "time limit"


def test_resume_of_a_finished_run_keeps_the_result(whole):
    out = whole("adam")
    before = json.loads((out / "result.json").read_text())
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    begun = time.monotonic()
    result = resume(out, progress=False)
    took = time.monotonic() - begun
    after = json.loads((out / "result.json").read_text())
    assert result.finished and kill_resume.differences(before, after) == []
    assert 0 <= after["wall_seconds"] - before["wall_seconds"] < min(took, 10)  # of one that trains nothing
    assert kill_resume.differences(state, torch.load(out / "checkpoint.pt", weights_only=True)) == []


def test_resume_takes_the_same_options(file, whole, tmp_path):
    """Parameters, network, precision, weights and options are those of the run, not the defaults."""
    solve(
        load_problem("poisson_two_scale_1d", dtype="float32", high=3, low=1),
        "fnn",
        "adam",
        dtype="float32",
        iterations=50,
        time_limit=1e-9,
        loss_weights={"boundary": 5},
        method_options={"adam": {"learning_rate": 0.01}},
        network_options={"layers": [7, 5], "activation": "sin"},
        out=tmp_path / "run",
        progress=False,
    )
    result = resume(tmp_path / "run", progress=False)
    assert result.problem.parameters == {"low": 1, "high": 3, "amplitude": 0.1}
    assert result.dtype == "float32" and result.network == "fnn" and result.iterations == 50
    assert [layer.out_features for layer in result.net.linears] == [7, 5, 1]
    assert (result.history["weights"]["boundary"] == 5).all()
    assert result.predict([[0.5]]).dtype == np.float32


def test_checkpoint_is_plain(whole):
    """It loads without running code, and holds all that the issue names."""
    state = torch.load(whole("adam+lbfgs") / "checkpoint.pt", weights_only=True)
    assert {"network", "unknowns", "method", "progress", "history", "points", "random", "weights"} <= set(state)
    assert state["unknowns"]["rate"].item() == pytest.approx(2, rel=0.2)


def test_points_are_the_same_after_resuming(file, tmp_path):
    first = begin(file, tmp_path / "run", "adam", time_limit=0.05)
    second = resume(tmp_path / "run", progress=False, time_limit=0.05)
    assert np.array_equal(first.data.train_x, second.data.train_x)


def test_killed_before_the_first_checkpoint(file, whole, tmp_path):
    """run.json alone is enough to resume; nothing but an unfinished file is as good as an empty directory."""
    out = tmp_path / "run"
    out.mkdir()
    (out / ".run-a1b2c3d4.json").write_text("{")
    begin(file, out, "adam", time_limit=1e-9)
    assert not (out / ".run-a1b2c3d4.json").exists()
    for path in out.iterdir():
        if path.name != "run.json":
            path.unlink()
    (out / ".checkpoint-a1b2c3d4.pt").write_bytes(b"half")
    finish(out)
    assert kill_resume.compare(whole("adam"), out) == []


def test_a_run_without_a_directory_leaves_nothing(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    solve(load_problem(file), "fnn", "adam", iterations=2, network_options={"layers": [4]}, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_resume_after_a_training_error(file, tmp_path):
    """It fails again in the same way; the checkpoint stays."""
    options = {"method_options": {"adam": {"learning_rate": 1e300}}}
    said = []
    with pytest.raises(TrainingError) as raised:
        begin(file, tmp_path / "run", "adam", **options)
    said.append(str(raised.value))
    with pytest.raises(TrainingError) as raised:
        resume(tmp_path / "run", progress=False)
    said.append(str(raised.value))
    assert said[0] == said[1] and "became NaN" in said[0]


def test_killed_and_resumed(tmp_path):
    """The short form of ``python -m repnet_pde.validation.studies.kill_resume``."""
    lines = []
    found = kill_resume.run(tmp_path, kills=3, seed=1, iterations="adam=300,lbfgs=50", say=lines.append)
    assert found == [], "\n".join(lines)
    assert sum(line.startswith("kill") for line in lines) == 3


def test_the_script_fails_where_runs_differ(monkeypatch, capsys):
    monkeypatch.setattr(kill_resume, "run", lambda *_: ["checkpoint.pt/network/linears.0.weight"])
    with pytest.raises(SystemExit) as end:
        kill_resume.main(["--kills", "1"])
    assert end.value.code == 1 and "linears.0.weight" in capsys.readouterr().out
    monkeypatch.setattr(kill_resume, "run", lambda *_: [])
    kill_resume.main(["--kills", "1"])
    assert "1 kills" in capsys.readouterr().out
    assert sys.modules["repnet_pde.validation.studies.kill_resume"] is kill_resume


WAVE = """
import deepxde as dde
import numpy as np
from repnet_pde import Problem


def problem():
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    return Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) + u**2,
        conditions={"start": dde.icbc.IC(domain, lambda x: 1, lambda x, on: on)},
        solution=lambda x: 1 / (1 + x[:, 1:2]),
    )
"""


def test_a_march_that_is_over_before_the_end_of_time(tmp_path, capsys):
    """Exit code 1 with the reason, and the same when it is resumed: it is neither solved nor can it go on."""
    file, out = tmp_path / "decay.py", tmp_path / "run"
    file.write_text(WAVE)
    said = []
    for arguments in (["solve", str(file), "--iterations", "2", "--out", str(out)], ["resume", str(out)]):
        assert main._run(arguments) == 1
        shown = capsys.readouterr()
        line = shown.err.splitlines()[-1]
        assert line == (
            "repnet-pde: ended before the end of time: marching: all iterations done at t = 0.12 of 1 (2 iterations)"
        )
        table = " ".join(shown.out.split())
        assert "status not converged: there is no solution beyond t = 0.12 of 1" in table
        assert "error against the solution up to t = 0.12 only: relative L2" in table
        said.append(json.loads((out / "result.json").read_text()))
    for result in said:
        assert result["finished"] is False and result["resumable"] is False and result["reached"] == 0.12
        assert result["status"] == "not converged" and result["errors"]["until"] == 0.12


def test_a_march_that_was_stopped_goes_on(tmp_path, capsys, stopped_after):
    """Stopped after any slab, or during the second solution, it can be resumed and says so."""
    file, out = tmp_path / "decay.py", tmp_path / "run"
    file.write_text(WAVE)
    with stopped_after(0):
        assert main._run(["solve", str(file), "--out", str(out)]) == 0
    assert f"continue with: repnet-pde resume {out}" in capsys.readouterr().err
    seen = set()
    for _ in range(50):
        with stopped_after(1):
            part = resume(out, progress=False)
        if part.finished:
            break
        seen.add((part.reached, part.status))
        assert part.resumable and part.stopped == "time limit"
        x = np.array([[0.3, 0.5 * part.reached], [0.3, 0.5 * (1 + part.reached)]])
        assert np.isnan(part.predict(x)[:, 0]).tolist() == [part.reached == 0, part.reached < 1]
    whole = solve(load_problem(file), progress=False)
    assert part.finished and part.reached == 1 and part.check == whole.check and part.status == "converged"
    # While the second solution was being made the first was there, and nothing was known to be wrong.
    assert {status for reached, status in seen if reached == 1} == {"residual small but not verified"}
    assert {status for reached, status in seen if reached < 1} == {"not converged"}
