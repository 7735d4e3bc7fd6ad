"""Memory: what the process may hold, and what is done where that is not enough."""

import subprocess
import sys

import numpy as np
import pytest

from repnet_pde import InputError, limits, load_problem, memory, solve
from repnet_pde.errors import MemoryLimitError
from repnet_pde.methods.gauss_newton import GaussNewton


@pytest.mark.parametrize(
    "given, wanted",
    [(4e9, 4e9), ("4 GB", 4e9), ("1.5GiB", 1.5 * 2**30), ("500 mb", 5e8), ("7", 7.0)],
)
def test_numbers_of_bytes(given, wanted):
    assert memory.limit(given) == wanted


@pytest.mark.parametrize("given", ["", "much", "-1 GB", 0, -5, True, "inf", float("nan"), [1], "4 TBB"])
def test_what_is_no_number_of_bytes(given):
    with pytest.raises(InputError, match=r"^memory_limit: .* given; a number of bytes > 0, such as 4e9 or '4 GB'"):
        solve(load_problem("poisson_two_scale_1d"), memory_limit=given, progress=False)


def test_what_is_held_and_the_default():
    before = memory.held()
    block = np.ones(20_000_000)
    assert 1.2e8 < memory.held() - before < 2.5e8 and memory.peak() >= memory.held() - 1e6
    assert memory.held() < memory.limit(None) < 2**50
    del block


def test_need():
    limits.need(1e18, "anything")  # there is no limit outside of a run
    with limits.running(None, memory=memory.held() + 1e9):
        limits.need(5e8, "a small array")
        with pytest.raises(
            MemoryLimitError, match=r"^memory_limit: a large array would need 2\.0 GB, and .* are left$"
        ):
            limits.need(2e9, "a large array")


def test_the_search_keeps_what_it_has_found(monkeypatch):
    monkeypatch.setattr(limits, "held", lambda: 0)
    problem = load_problem("elliptic_multiscale_1d")
    result = solve(problem, method="least-squares", memory_limit="200 MB", progress=False)
    assert any("the search for the first layer was cut short: memory_limit" in note for note in result.notes)
    assert result.method == "least-squares" and result.peak_memory > 0


def test_a_refusal_says_what_would_be_needed():
    options = {"method": "least-squares", "network_options": {"layers": [3000]}, "progress": False}
    with pytest.raises(MemoryLimitError, match="least squares with .* rows and 3001 columns would need"):
        solve(load_problem("elliptic_multiscale_1d"), memory_limit=memory.held() + 1e8, **options)
    with pytest.raises(MemoryLimitError, match="a partition of .* patches with .* coefficients each would need"):
        solve(load_problem("helmholtz_2d"), method="patching", memory_limit=memory.held() + 1e6, progress=False)


def test_gauss_newton_becomes_matrix_free(monkeypatch):
    made = []
    choose = GaussNewton._is_matrix_free
    monkeypatch.setattr(GaussNewton, "_is_matrix_free", lambda self, *a: made.append(choose(self, *a)) or made[-1])
    options = {"method": "gauss-newton", "iterations": 1, "progress": False}
    solve(load_problem("poisson_two_scale_1d"), memory_limit=memory.held() + 1e6, **options)
    assert all(made)


def test_the_command_says_it_in_one_line(tmp_path):
    arguments = ["solve", "elliptic_multiscale_1d", "--method", "least-squares", "--layers", "3000"]
    command = [
        sys.executable,
        "-m",
        "repnet_pde",
        *arguments,
        "--out",
        str(tmp_path / "run"),
        "--memory-limit",
        "600MB",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith("repnet-pde: memory_limit: least squares with "), done.stderr
    assert not (tmp_path / "run").exists()
