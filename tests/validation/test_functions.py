"""The comparison of function approximation: what counts as missed, the table, runs that are stored and continued."""

import numpy as np
import pytest
from click.testing import CliRunner
from repnet_pde.validation.studies import function_pictures, functions

CASE = functions.Case("waves", "sine_sum_1d", 1e-6, 30, {"m": 20, "samples": 200})


def rows(error, **more):
    return [{"error": error, "seconds": 1.0, "value": None, "network": "repnet-sin"} | more]


def found(**errors):
    wanted = {"fnn": 1.0, "repnet": 0.5, "repnet-siren": 0.01, "fourier": 0.1, "siren": 0.01, "least squares": 1e-9}
    return {kind: rows(error) for kind, error in (wanted | errors).items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"fnn": 0.04}, ["repnet-siren is not 5 times better than fnn"]),
        ({"siren": 0.004}, ["repnet-siren is not within a factor of 2 of the best tuned network"]),
        ({"least squares": 1e-5}, ["least squares: 1e-06 is asked for"]),
        ({"repnet-siren": None}, ["repnet-siren is not 5", "repnet-siren is not within"]),
    ],
)
def test_what_counts_as_missed(change, said):
    missed = functions.missed(CASE, found(**change))
    assert len(missed) == len(said)
    assert all(text.startswith(start) for text, start in zip(missed, said, strict=True))


def test_seconds_count():
    assert functions.missed(CASE, found() | {"least squares": rows(1e-9, seconds=31.0)}) == [
        "least squares: 30 s are asked for"
    ]


def test_the_command_writes_the_table_and_continues(tmp_path, monkeypatch):
    monkeypatch.setattr(functions, "CASES", (CASE,))
    monkeypatch.setattr(functions, "OMEGAS", (10.0, 30.0))
    monkeypatch.setattr(functions, "SIGMAS", (10.0,))
    monkeypatch.setattr(
        functions, "TUNED", {"fourier": ("msffn", "sigmas", (10.0,)), "siren": ("siren", "omega", (10.0, 30.0))}
    )
    arguments = ["--seeds", "2", "--steps", "3", "--runs", str(tmp_path / "runs"), "--table", str(tmp_path / "t.md")]
    first = CliRunner().invoke(functions.main, arguments, catch_exceptions=False)
    assert first.exit_code == 0
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert text.count("| waves |") == 1 and "(10)" in text
    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").iterdir()}
    assert len(files) == 2 * 3 + (1 + 2) + (2 + 2) + 2
    second = CliRunner().invoke(functions.main, arguments, catch_exceptions=False)
    assert second.output == first.output and files == {f: f.stat().st_mtime_ns for f in files}


def test_wrong_options_end_with_one_line():
    for arguments in (["--problems", "nothing"], ["--seeds", "0"]):
        done = CliRunner().invoke(functions.main, arguments)
        assert done.exit_code == 2 and "given" in done.output


def test_errors_of_the_waves_are_their_amplitudes():
    """Of a function that lacks one wave and has another with a wrong sign."""

    def predict(x):
        k = np.array(function_pictures.WAVES)
        factors = np.array([1.0, 0.0, 1.0, -1.0, 1.0])
        return (np.sin(np.pi * x * k + np.arange(5)) * factors).sum(1, keepdims=True) / np.sqrt(5)

    assert function_pictures.wave_errors(predict) == pytest.approx([0, 1, 0, 2, 0], abs=1e-9)
