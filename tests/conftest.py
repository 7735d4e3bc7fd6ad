"""Shared by all tests: the kernels in use, one thread, a reference cache of the session's own, the command line."""

import contextlib
import os
import subprocess
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DDE_BACKEND", "pytorch")  # else two processes at once make DeepXDE's folder in a new home


def pytest_sessionstart(session):
    """Say which kernels are in use, since rounding errors depend on them; in a report header `-q` would hide them."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:  # none in the processes that pytest-xdist starts
        from kernels import names

        set_threads()
        for line in names():
            terminal.write_line(f"kernels of {line}")


def set_threads():
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """References are computed once a session, by all of its processes, in a folder that is no user's."""
    before, base = os.environ.get("REPNET_PDE_CACHE"), tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    os.environ["REPNET_PDE_CACHE"] = str(base / "cache")
    yield
    if before is None:
        del os.environ["REPNET_PDE_CACHE"]
    else:
        os.environ["REPNET_PDE_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def threads():
    set_threads()


@pytest.fixture(autouse=True)
def precision_restored():
    """A test that works in float32 leaves float64 to the next."""
    from repnet_pde import set_precision

    set_precision("float64")
    yield
    set_precision("float64")


@pytest.fixture
def stopped_after(monkeypatch):
    """A context in which trainings end as by their time limit after so many iterations."""
    from repnet_pde.training.loop import Training

    @contextlib.contextmanager
    def stopped(steps):
        step, left = Training._step, steps

        def counted(self):
            nonlocal left
            left -= 1
            return "time limit" if left < 0 else step(self)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "_step", counted)
            yield

    return stopped


@pytest.fixture
def command(capsys, monkeypatch):
    """Run the command line in this process: ``command("list", "--json") -> (exit code, stdout, stderr)``.

    Without the lines on its progress, of which a fast machine shows none.
    """
    import warnings

    from repnet_pde import progress
    from repnet_pde.cli.main import main

    monkeypatch.setattr(progress, "FIRST_SECONDS", 1e6)

    def run(*arguments):
        capsys.readouterr()
        shown = warnings.showwarning
        try:
            main([str(a) for a in arguments])
        except SystemExit as end:
            code = end.code
        finally:
            warnings.showwarning = shown
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def process():
    """Run a command line in a process of its own: ``process("-m", "repnet_pde", "list") -> CompletedProcess``."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=600, **options
        )

    return run
