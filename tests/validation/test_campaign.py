"""Campaigns: every run is stored once, whatever is killed, and the same wherever it is done."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from repnet_pde.validation.campaigns import compare as comparison
from repnet_pde.validation.campaigns import validate as validation
from repnet_pde.validation.campaigns.campaign import OUTCOME, Campaign, PeakMemory, Run, Stored, execute
from repnet_pde.validation.campaigns.compare import Cell, Plan, seconds_of, summary
from repnet_pde.validation.campaigns.validate import FAILED, REMARK, Validation, _unknowns

from repnet_pde import InputError
from repnet_pde.errors import RepNetPDEError
from repnet_pde.networks.registry import NETWORKS

DECAY = '''"""Decay: u' = -rate u on [0, 1], u(0) = 1."""

import os
import signal
from pathlib import Path

import deepxde as dde
import numpy as np
from repnet_pde import Problem


def problem(rate=2.0, deadly=0.0):
    time = dde.geometry.TimeDomain(0, 1)
    marker = Path(__file__).with_suffix(".died")
    if deadly and (deadly > 1 or not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + rate * u,
        conditions={"start": dde.icbc.IC(time, lambda t: 1, lambda t, on_initial: on_initial)},
        solution=lambda t: np.exp(-rate * t),
        tolerance=1e-9,
    )
'''


@pytest.fixture
def decay(tmp_path):
    path = tmp_path / "decay.py"
    path.write_text(DECAY)
    return str(path)


@pytest.fixture(scope="module")
def address():
    """A Dask cluster of two worker processes."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster:
        yield cluster.scheduler_address


def campaign(store, address, said=None):
    return Campaign(store, "validate", {}, "", scheduler=address, say=(said if said is not None else []).append)


def numbers(stored):
    """What a run found, without times."""
    result = stored.result
    return {k: result[k] for k in ("relative_l2", "residuals", "network_options", "iterations", "status")}


# Keys and storage -----------------------------------------------------------------------------------------------------


def test_the_key_is_of_everything_that_the_result_depends_on(decay):
    key = Run(decay).key
    assert key == Run(decay).key and key.startswith("decay-")
    others = [{"seed": 1}, {"parameters": {"rate": 3.0}}, {"method": "adam"}, {"network": "fnn"}, {"threads": 2}]
    others += [{"time_limit": 3.0}, {"dtype": "float32"}, {"network_options": {"layers": [8]}}, {"iterations": 5}]
    keys = [Run(decay, **other).key for other in others]
    assert len({key, *keys}) == len(others) + 1
    with open(decay, "a") as file:
        file.write("\n")
    assert Run(decay).key not in {key, *keys}


def test_command_of_a_run(decay):
    run = Run(
        decay,
        {"rate": 3.0},
        network="fnn",
        network_options={"layers": [8, 8]},
        method="adam",
        iterations={"adam": 5},
        time_limit=2.0,
        seed=3,
    )
    expected = f"repnet-pde solve {decay} --set rate=3.0 --network fnn --layers 8,8 --method adam --iterations adam=5"
    assert run.command() == f"OMP_NUM_THREADS=1 {expected} --time-limit 2 --seed 3"
    assert "--time-limit" not in Run(decay).command("identify") and "identify" in Run(decay).command("identify")


def test_runs_are_stored_once(decay, address, tmp_path):
    said, runs = [], [Run(decay, seed=s, pictures=s == 0) for s in (0, 1)]
    with campaign(tmp_path / "c", address, said) as todo:
        stored = todo.run([*runs, runs[0]])
    assert len(stored) == len(said) == 2 and all(s["relative_l2"] < 1e-9 for s in stored)
    assert (stored[0].directory / "solution.png").exists() and not (stored[1].directory / "solution.png").exists()
    assert stored[1].outcome["peak_memory_mib"] >= 0 and set(stored[1].history) == {
        "iteration",
        "seconds",
        "loss",
        "relative_l2",
    }
    times = [(s.directory / OUTCOME).stat().st_mtime_ns for s in stored]
    with campaign(tmp_path / "c", address, said) as todo:
        again = todo.run(runs)
    assert len(said) == 2 and [(s.directory / OUTCOME).stat().st_mtime_ns for s in again] == times


def test_files_come_back_from_a_worker_that_does_not_see_the_store(decay, tmp_path):
    store, run = tmp_path / "c", Run(decay)
    with Campaign(store, "validate", {}, "") as todo:
        files = execute(run, str(store), "another")
        assert {OUTCOME, "result.json", "history.json"} <= set(files) and Stored.read(run, store) is None
        todo._keep(run, files)
    assert Stored.read(run, store)["relative_l2"] < 1e-9


def test_a_run_that_cannot_be_done_is_a_result(decay, address, tmp_path):
    run = Run(decay, method="marching")
    with campaign(tmp_path / "c", address) as todo:
        (stored,) = todo.run([run])
    assert "InputError" in stored.failed and stored["relative_l2"] is None and stored.history is None


def test_memory_is_that_of_the_run():
    import numpy as np

    with PeakMemory() as memory:
        block = np.ones(2**24)
        time.sleep(0.2)
        del block
    assert 100 < memory.mib < 400  # 128 MiB


# What dies ------------------------------------------------------------------------------------------------------------


def test_a_killed_worker_costs_one_run_and_is_retried(decay, address, tmp_path):
    with campaign(tmp_path / "c", address) as todo:
        stored = todo.run([Run(decay), Run(decay, {"deadly": 1.0}), Run(decay, seed=1)])
    assert os.path.exists(decay.replace(".py", ".died"))
    assert all(s["relative_l2"] < 1e-9 for s in stored)
    assert numbers(stored[1]) == numbers(stored[0])


def test_a_run_that_always_kills_its_process_is_named(decay, address, tmp_path):
    store, good = tmp_path / "c", Run(decay)
    with campaign(store, address) as todo, pytest.raises(RepNetPDEError, match=r"1 run\(s\).*deadly=2"):
        todo.run([Run(decay, {"deadly": 2.0}), good])
    assert Stored.read(good, store)["relative_l2"] < 1e-9


def test_killed_and_continued_from_the_command_line(decay, address, tmp_path):
    """The parent is killed when the first run is over; its workers die with it, the next call does the rest."""
    store = tmp_path / "c"
    command = [sys.executable, "-m", "repnet_pde", "validate", decay, "--seeds", "3", "--out", str(store)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "seed" in line:
            break
    process.kill()
    process.wait()
    done = {path.parent.name for path in store.glob("runs/*/outcome.json")}
    assert done and (store / "campaign.json").exists()
    again = subprocess.run([*command, "--scheduler", address], capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert "passed" in again.stdout
    whole = tmp_path / "whole"
    found = validation.validate([decay], out=whole, scheduler=address, say=lambda line: None)
    continued = validation.collect(store, json.loads((store / "campaign.json").read_text())["options"])
    assert [numbers(s) for s in continued[0].runs] == [numbers(s) for s in found[0].runs]


def test_interrupted_by_ctrl_c(decay, tmp_path):
    command = [sys.executable, "-m", "repnet_pde", "validate", decay, "--seeds", "2000", "--out", str(tmp_path / "c")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "seed" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130 and "the same command goes on" in err and "Traceback" not in err


# Bad input ------------------------------------------------------------------------------------------------------------


def test_directory_of_something_else(decay, tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match="holds no campaign"):
        validation.validate([decay], out=tmp_path)
    with Campaign(tmp_path / "c", "compare", {}, ""):
        pass
    with pytest.raises(InputError, match="holds a campaign of 'compare'"):
        validation.validate([decay], out=tmp_path / "c")


def test_two_processes_do_not_work_on_one_campaign(decay, tmp_path):
    store = tmp_path / "c"
    with Campaign(store, "validate", {"names": []}, ""):
        with pytest.raises(InputError, match="another process works on the campaign"):
            validation.validate([decay], out=store)
        assert json.loads((store / "campaign.json").read_text())["options"] == {"names": []}


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["validate", "poissson"], "problem: 'poissson' is not known"),
        (["validate", "--seeds", "0"], "seeds: 0 given"),
        (["validate", "--jobs", "0"], "jobs: 0 given"),
        (["validate", "--method", "magic"], "method: 'magic' is not known"),
        (["validate", "poisson_chirp_1d", "--scheduler", "tcp://127.0.0.1:1"], "scheduler: 'tcp://127.0.0.1:1' cannot"),
        (["compare", "poisson_chirp_1d", "--networks", "resnet"], "networks: 'resnet' is not known"),
        (["compare", "poisson_chirp_1d", "--methods", "marching"], "methods: 'marching' is not known"),
        (["compare", "poisson_chirp_1d", "--budget", "soon"], "budget: 'soon' given"),
        (["compare", "poisson_chirp_1d", "--budget=-3"], "budget: '-3' given"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_one_line_and_exit_code_2(command, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("repnet_pde.validation.campaigns.campaign.PATIENCE", 1)
    code, out, err = command(*arguments)
    assert code == 2 and out == "" and said in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob(OUTCOME))


# Validation -----------------------------------------------------------------------------------------------------------


def test_tolerance_decides(decay, address, tmp_path):
    loose = validation.validate([decay], seeds=2, out=tmp_path / "a", scheduler=address, say=lambda line: None)[0]
    assert loose.outcome == "passed" and loose.varied == "features" and len(loose.ladder) > 2
    text = DECAY.replace("tolerance=1e-9", "tolerance=1e-30")
    with open(decay, "w") as file:
        file.write(text)
    strict = validation.validate([decay], seeds=1, out=tmp_path / "b", scheduler=address, say=lambda line: None)[0]
    assert strict.outcome == "failed" and "asked for 1e-30" in strict.reason


def test_missing_runs_are_said(decay, address, tmp_path):
    validation.validate([decay], seeds=2, out=tmp_path / "c", scheduler=address, say=lambda line: None)
    options = json.loads((tmp_path / "c" / "campaign.json").read_text())["options"]
    (found,) = validation.collect(tmp_path / "c", options | {"seeds": 4})
    assert found.outcome == "failed" and "2 missing" in found.reason


def test_rate_of_a_power_law():
    values = [10.0, 20.0, 40.0, 80.0]
    assert validation.rate(values, [v**-4 for v in values]) == pytest.approx(-4)
    assert validation.rate(values, [1e-3, 1e-9, 1.1e-15, 1e-15]) < -15
    assert validation.rate(values, [1e-15] * 4) is None


# Comparison -----------------------------------------------------------------------------------------------------------


def test_plan_has_matched_networks_and_a_search_for_peers():
    plan = Plan(("poisson_chirp_1d",), ("repnet", "fnn", "siren"), ("adam", "gauss-newton"), (5.0, 1.0), seeds=2)
    assert plan.budgets == (1.0, 5.0)
    assert set(plan.searches()) == {("poisson_chirp_1d", "siren", m) for m in plan.methods}
    runs = plan.runs({})
    # Adam has a schedule for each budget, Gauss-Newton goes on.
    assert {key[2:] for key in runs} == {("adam", 1.0), ("adam", 5.0), ("gauss-newton", 5.0)}
    assert all(run.time_limit == key[3] and run.seed == s for key, rs in runs.items() for s, run in enumerate(rs))
    assert all(run.seed == comparison.SEARCH_SEED for rs in plan.searches().values() for run in rs)


def test_summary_counts_medians():
    cells = [
        Cell(name, network, "adam", {1.0: errors})
        for name, network, errors in (
            ("a", "repnet", [1e-3, 1e-4, 1.0]),
            ("a", "fnn", [1e-2, 1e-2, 1e-9]),
            ("b", "repnet", [0.5, 0.5, 0.5]),
            ("b", "fnn", [0.1, 0.1, 0.1]),
            ("c", "repnet", [float("inf")] * 3),
            ("c", "fnn", [float("inf")] * 3),
        )
    ]
    (duel,) = summary(cells)
    assert (duel.ours, duel.peer, duel.won, duel.of, duel.lost) == ("repnet", "fnn", 1, 2, ("b",))
    assert duel.ratio == pytest.approx((10 + 0.2) / 2)
    assert not any(NETWORKS[name].ours for name in ("fnn", "siren"))


def test_compare_at_small_budgets(decay, address, tmp_path):
    plan = Plan((decay,), ("repnet", "fnn", "siren"), ("adam", "least-squares"), (0.3, 0.6), seeds=2)
    cells = comparison.compare(plan, out=tmp_path / "c", scheduler=address, say=lambda line: None)
    assert len(cells) == 6
    for cell in cells:
        assert all(len(errors) == 2 for errors in cell.errors.values()), cell.note
        if cell.method == "least-squares":  # which may not be over within the seconds
            assert cell.median(math.inf) <= 1
        else:  # how far it gets within the seconds, if anywhere, depends on the machine
            assert cell.curves and all(math.isfinite(errors[-1]) for _, errors in cell.curves)
        assert (cell.search_seconds > 0) == (cell.network == "siren")
    counts = [cell.parameters for cell in cells if cell.method == "adam"]
    assert max(counts) < 1.05 * min(counts)


@pytest.mark.parametrize("text, seconds", [("60", 60), ("60s", 60), ("2m", 120), ("0.5h", 1800)])
def test_seconds(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(("estimate", "outcome"), [(0.20001, REMARK), (0.23, FAILED)])
def test_an_estimate_without_an_interval_is_named_with_its_reason(estimate, outcome):
    """Within the tolerance it is a remark: an interval may be missing because the equations are met roughly only."""
    entry = {"estimate": estimate, "true": 0.2, "standard_error": None, "interval": None, "identifiable": False}
    run = {"unknowns": {"D": entry | {"reason": "the equations are not met: relative residual 4.9e-03"}}}
    (check,) = _unknowns(Validation("problem", [run, run]), 1e-3)
    assert check.outcome == outcome and check.said.startswith("2 of 2 have no interval: the equations are not met")
