"""Limits of a run, and what is shown of it."""

import io
import os
import signal
import threading
import time

import pytest
import torch

from repnet_pde import limits, progress
from repnet_pde.errors import InUseError, TimeLimitError
from repnet_pde.linalg import dense


def test_the_time_is_that_of_the_outermost():
    assert limits.left() == float("inf")
    limits.check()
    with limits.endable():
        limits.check()
    with limits.running(100.0), limits.running(0.001):
        assert 90 < limits.left() <= 100
        with limits.within(10.0):
            assert 9 < limits.left() <= 10
            limits.check(cost=1.0)
            with pytest.raises(limits.Ended):
                limits.check(cost=20.0)
        limits.check(cost=20.0)
    assert limits.left() == float("inf")


def test_what_is_whole_is_not_given_up():
    with limits.running(1e-9):
        limits.check()
        with pytest.raises(limits.Ended), limits.endable():
            with limits.whole():
                limits.check()
            limits.check()


def test_nothing_to_return():
    said = r"^time_limit: 1e-09 s were over before there was a result: reading$"
    with pytest.raises(TimeLimitError, match=said), limits.running(1e-9), limits.endable():
        limits.say("reading")
        limits.check()


def test_control_c_once_and_twice():
    before = signal.getsignal(signal.SIGINT)
    with limits.running(None):
        os.kill(os.getpid(), signal.SIGINT)
        assert limits.current().ended == limits.INTERRUPTED
        with limits.whole():
            limits.check()
        with pytest.raises(limits.Ended):
            limits.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), limits.running(None):
        os.kill(os.getpid(), signal.SIGINT)
        limits.check()


def test_other_threads_have_limits_of_their_own():
    found = []
    with limits.running(1e-9):
        thread = threading.Thread(target=lambda: found.append(limits.left()))
        thread.start()
        thread.join()
    assert found == [float("inf")]


def test_one_thread_at_a_time():
    """Two of them would share the default precision and the random generators."""
    said = []

    def other():
        try:
            with limits.running(None):
                pytest.fail("both at once")
        except InUseError as error:
            said.append(str(error))

    with limits.running(None):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(said) == 1 and said[0].startswith("another thread of this process is at work")
    with limits.running(None):
        pass


def test_a_long_factorisation_looks_at_the_time():
    matrix = torch.randn(3000, 1500, dtype=torch.float64)
    begun = time.monotonic()
    dense.geqrf(matrix)
    whole = time.monotonic() - begun
    with pytest.raises(TimeLimitError), limits.running(0.2 * whole), limits.endable():
        dense.geqrf(matrix)
    assert time.monotonic() - begun < 1.8 * whole


@pytest.mark.parametrize("shape", [(400, 300), (300, 300), (300, 450)])
def test_factorisation_by_panels(shape, monkeypatch):
    torch.manual_seed(0)
    matrix = torch.randn(*shape, dtype=torch.float64)
    matrix[:, 150] = 0  # no reflection
    kept = matrix.clone()
    with monkeypatch.context() as patch:
        patch.setattr(dense, "LARGE", 0.0)
        for given in (matrix, matrix.T.contiguous().T):
            reflections, tau = dense.geqrf(given)
            assert torch.equal(matrix, kept)
    wanted, wanted_tau = torch.geqrf(matrix)
    assert torch.allclose(reflections, wanted, rtol=0, atol=1e-12) and torch.allclose(tau, wanted_tau)
    upper = torch.triu(reflections[: min(shape)])
    product = torch.ormqr(
        reflections[:, : len(tau)], tau, torch.cat([upper, upper.new_zeros(shape[0] - len(upper), shape[1])])
    )
    assert torch.allclose(product, matrix, rtol=0, atol=1e-12)


def test_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    with progress.Lines(time.monotonic() + 50) as lines:
        lines.say("planning: trial 1 of a first layer, 20 basis functions")
        time.sleep(0.1)
        lines.update("marching", 3, None, 1e-9, None, "t = 0.3 of 1")
        time.sleep(0.1)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("planning: trial 1 of a first layer, 20 basis functions (0 s, at most ")
    assert said[-1].startswith("marching: iteration 3, loss 1.000e-09, t = 0.3 of 1 (0 s, at most ")


def test_time_left_where_all_iterations_will_be_done(monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines = progress.Lines(float("inf"))
    assert lines.left == "0 s"
    lines.update("adam", 10, 110, 1.0, 0.25)
    now = 5.0
    lines.update("adam", 60, 110, 1.0, 0.25)
    assert lines.text == "adam: iteration 60 of 110, loss 1.000e+00, relative L2 error 2.50e-01"
    assert lines.left == "5 s, at most 5 s left"
    lines.update("gauss-newton", 3, None, 1.0, None)
    assert lines.left == "5 s"


def test_the_line_on_a_terminal():
    from rich.console import Console

    bar = progress.Bar(float("inf"))
    bar.update("adam", 60, 110, 1.0, None)
    stream = io.StringIO()
    Console(file=stream, width=60).print(bar._line())
    assert stream.getvalue().count("\n") == 1 and "adam: iteration 60" in stream.getvalue()
