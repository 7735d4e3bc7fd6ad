"""Many runs: stored one by one under a key of their inputs, by processes of this machine or of a Dask cluster.

A campaign is a directory with ``campaign.json`` (what was asked for) and ``runs/KEY/``, one folder for each `Run`. A
run is over when its ``outcome.json`` is there, which is written last; whatever is missing is done by the next call.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import shlex
import shutil
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from ...arguments import whole
from ...errors import InputError, RepNetPDEError
from ...files import RESULT, RUN, read_json, write_atomically, write_json
from ...memory import held
from ...problem import balances
from ...problem.load import locate, source_digest
from ...problem.parameters import text
from ...running.result import plain
from ...version import code_digest

CAMPAIGN, LOCK = "campaign.json", "campaign.lock"
OUTCOME, HISTORY, BALANCES = "outcome.json", "history.json", "balances.json"
PATIENCE = 20
"""Timeout in seconds for a scheduler to answer."""
RETRIES = 2
"""Number of retries of a run whose process died or raised an error that is not from this package."""
SAMPLED_EVERY = 0.05
"""Seconds between two samples of the memory of the process."""
_ALONE = threading.Lock()
"""Precision and random generators are the process's, so a worker with several threads takes one run at a time."""


@dataclass(frozen=True)
class Run:
    """One call of `solve`, or of `identify` where the problem has something unknown: all that its result depends on.

    problem: name in the catalogue or path of a file. parameters, network, network_options, method, iterations,
    method_options, seed, dtype, time_limit: as in `solve`. threads: of linear algebra. pictures: whether solution and
    pictures are kept beside the numbers.
    """

    problem: str
    parameters: dict = field(default_factory=dict)
    network: str | None = None
    network_options: dict | None = None
    method: str = "auto"
    iterations: int | dict | None = None
    method_options: dict | None = None
    seed: int = 0
    dtype: str = "float64"
    time_limit: float | None = None
    threads: int = 1
    pictures: bool = False

    @property
    def key(self) -> str:
        """The problem's name and a digest of the inputs, the problem's file and the package's code."""
        name, path = locate(self.problem)
        inputs = asdict(self) | {"problem": name, "source": source_digest(path), "code": code_digest()}
        text = json.dumps(inputs, sort_keys=True)
        return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def command(self, verb: str = "solve") -> str:
        """The shell command that does the same, with "solve" or "identify" for its ``verb``.

        It calls Python where the command line has no option for something.
        """
        options = dict(self.network_options or {})
        layers = options.pop("layers", None)
        if options or self.method_options:
            return f"OMP_NUM_THREADS={self.threads} python -c {_quoted(self._statement(verb))}"
        words = ["repnet-pde", verb, shlex.quote(self.problem)]
        words += [f"--set {name}={value!r}" for name, value in self.parameters.items()]
        words += [f"--network {self.network}"] if self.network else []
        words += ["--layers " + ",".join(map(str, layers))] if layers else []
        words += [f"--method {self.method}"] if self.method != "auto" else []
        if isinstance(self.iterations, dict):
            words.append("--iterations " + ",".join(f"{name}={n}" for name, n in self.iterations.items()))
        elif self.iterations is not None:
            words.append(f"--iterations {self.iterations}")
        words += [f"--dtype {self.dtype}"] if self.dtype != "float64" else []
        words += [f"--time-limit {self.time_limit:.15g}"] if self.time_limit else []
        return f"OMP_NUM_THREADS={self.threads} " + " ".join([*words, f"--seed {self.seed}"])

    def _statement(self, verb: str) -> str:
        """Python that does the run and prints its `Result` as ``result.json`` has it."""
        dtype = {} if self.dtype == "float64" else {"dtype": self.dtype}
        names = ("network", "time_limit", "iterations", "network_options", "method_options")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        settings = {"method": self.method, "seed": self.seed} | dtype | given
        problem = ", ".join([repr(self.problem), *(f"{k}={v!r}" for k, v in (dtype | self.parameters).items())])
        arguments = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return f"import repnet_pde as r; print(r.{verb}(r.load_problem({problem}), {arguments}).to_dict())"


def _quoted(statement: str) -> str:
    """As one word of a shell, in double quotes where nothing in it needs more."""
    return shlex.quote(statement) if set(statement) & set('"$`\\!') else f'"{statement}"'


# One run, in whatever process -----------------------------------------------------------------------------------------


def execute(run: Run, store: str, token: str) -> dict[str, bytes]:
    """Execute or continue a run in ``store``/runs/KEY, and write its ``outcome.json``.

    Returns nothing where this process sees the campaign's own directory (its ``campaign.json`` has the ``token``), else
    the files of the run by name, for the caller to store.
    """
    seen = Path(store) / CAMPAIGN
    with _ALONE:
        if seen.is_file() and read_json(seen)["token"] == token:
            _execute(run, Path(store) / "runs" / run.key)
            return {}
        with tempfile.TemporaryDirectory() as folder:
            _execute(run, Path(folder) / run.key)
            return {path.name: path.read_bytes() for path in (Path(folder) / run.key).iterdir()}


def _execute(run: Run, directory: Path) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    if (directory / OUTCOME).exists():
        return
    begun, threads = time.monotonic(), torch.get_num_threads()
    outcome = {"run": asdict(run), "machine": machine(), "error": None}
    with PeakMemory() as memory, threadpool_limits(run.threads):
        torch.set_num_threads(run.threads)
        try:
            _solve(run, directory, outcome)
        except (RepNetPDEError, MemoryError) as error:
            outcome["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
        finally:
            torch.set_num_threads(threads)
    outcome |= {"seconds": time.monotonic() - begun, "peak_memory_mib": memory.mib}
    outcome["ended"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / OUTCOME, outcome)


def _solve(run: Run, directory: Path, outcome: dict) -> None:
    """Solve or identify, resuming what was begun where the result depends on no limit of time.

    ``outcome`` is told of the problem: the command for it, its tolerance and its unknown fields.
    """
    from ...problem.load import load_problem
    from ...running.identify import identify
    from ...running.resume import resume
    from ...running.solve import solve

    problem = load_problem(run.problem, dtype=run.dtype, **run.parameters)
    inverse = problem.observations and (problem.unknowns or problem.unknown_fields)
    outcome |= {
        "verb": "identify" if inverse else "solve",
        "tolerance": problem.tolerance,
        "unknown_fields": list(problem.unknown_fields) if inverse else [],
    }
    result = None
    if run.pictures and run.time_limit is None and not inverse and (directory / RUN).exists():
        with contextlib.suppress(InputError):  # a damaged directory is begun anew
            result = resume(directory, progress=False)
    if result is None:
        shutil.rmtree(directory, ignore_errors=True)
        result = (identify if inverse else solve)(
            problem,
            run.network,
            run.method,
            run.seed,
            run.dtype,
            run.time_limit,
            iterations=run.iterations,
            network_options=run.network_options,
            method_options=run.method_options,
            out=directory if run.pictures else None,
            progress=False,
        )
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RESULT, result.to_dict())
    write_json(directory / HISTORY, _history(result))
    write_json(directory / BALANCES, _balances(result) if run.pictures else {})


def machine() -> dict:
    """The machine, for timings: host, system, processor and the number of its cores."""
    cpus = Path("/proc/cpuinfo")  # platform.processor() is empty on Linux
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
    }


def _balances(result) -> dict:
    """name -> {"relative", "quadrature", "time"}; None where a number is not finite."""
    found = balances.defects(result.problem, result.net, result.wavenumber)
    return plain({name: asdict(defect) for name, defect in found.items()})


def _history(result) -> dict:
    """Seconds, loss and error of each record; None where a number is not finite."""
    return plain({name: result.history[name] for name in ("iteration", "seconds", "loss", "relative_l2")})


class PeakMemory:
    """The most memory that the process came to hold while the context was open, less what it held before.

    ``mib``: resident, MiB, sampled every 50 ms.
    """

    def __enter__(self):
        self._over = threading.Event()
        self._before = self._peak = held()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(SAMPLED_EVERY):
            self._peak = max(self._peak, held())

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self.mib = (max(self._peak, held()) - self._before) / 2**20


# All of them ----------------------------------------------------------------------------------------------------------


@dataclass
class Stored:
    """A completed run: its outcome, and ``result.json`` and history if it did not fail."""

    run: Run
    directory: Path
    outcome: dict

    @property
    def command(self) -> str:
        return self.run.command(self.outcome.get("verb", "solve"))

    @classmethod
    def read(cls, run: Run, store: Path) -> "Stored | None":
        """None where it is not over."""
        directory = store / "runs" / run.key
        return cls(run, directory, read_json(directory / OUTCOME)) if (directory / OUTCOME).exists() else None

    @property
    def failed(self) -> str | None:
        return self.outcome["error"]

    def __getitem__(self, name: str):
        """An entry of ``result.json``; None where the run failed."""
        return None if self.failed else self.result[name]

    @functools.cached_property
    def result(self) -> dict | None:
        return None if self.failed else read_json(self.directory / RESULT)

    @functools.cached_property
    def history(self) -> dict | None:
        return None if self.failed else read_json(self.directory / HISTORY)

    @functools.cached_property
    def balances(self) -> dict[str, dict]:
        return {} if self.failed else read_json(self.directory / BALANCES)


class Campaign:
    """Executes and stores runs; a context manager that locks the directory against other processes.

    Entering it makes or takes up the campaign; processes are started when the first run needs them.

    Args:
        store: the campaign's directory.
        kind, options, command: what is asked for, for ``campaign.json``.
        jobs: processes on this machine; each does one run at a time.
        scheduler: address of a Dask scheduler whose workers are used in their place, such as "tcp://10.0.0.1:8786".
        say: called with a line for each run that is over.

    Raises:
        InputError: the directory holds something else, or is in use; the scheduler cannot be reached; Dask is not
            installed.
    """

    def __init__(
        self,
        store: Path,
        kind: str,
        options: dict,
        command: str,
        *,
        jobs: int = 1,
        scheduler: str | None = None,
        say: Callable = print,
    ):
        whole("jobs", jobs, 1)
        self.store, self.jobs, self.scheduler, self.say = store.resolve(), jobs, scheduler, say
        self.asked = {"kind": kind, "options": options, "command": command}
        self._stack, self._client = contextlib.ExitStack(), None

    def __enter__(self):
        self.token = self._known_token() or uuid.uuid4().hex
        (self.store / "runs").mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(FileLock(self.store / LOCK).acquire(timeout=0))
            except Timeout:
                raise InputError(f"out: another process works on the campaign in {str(self.store)!r}") from None
            write_json(self.store / CAMPAIGN, self.asked | {"token": self.token})
            self._stack = stack.pop_all()
        if self.scheduler is not None:
            try:
                self._connect()
            except BaseException:
                self._stack.close()
                raise
        return self

    def _known_token(self) -> str | None:
        """That of the campaign in the directory; None where it is new or empty."""
        store = self.store
        if not store.exists() or (store.is_dir() and not any(store.iterdir())):
            return None
        if not (store / CAMPAIGN).exists():
            raise InputError(f"out: {str(store)!r} is not empty and holds no campaign; choose another directory")
        before = read_json(store / CAMPAIGN)
        if before["kind"] != self.asked["kind"]:
            raise InputError(f"out: {str(store)!r} holds a campaign of {before['kind']!r}; choose another directory")
        return before["token"]

    def __exit__(self, *error):
        if error[0] is not None and self._client is not None:
            self.say("ending; what is over is stored, and the same command goes on with the rest")
            with contextlib.suppress(Exception):
                self._client.cancel(self._futures, force=True)
        self._stack.close()

    def run(self, runs: Iterable[Run]) -> list[Stored]:
        """All of ``runs`` in their order, those that are stored already without being done again.

        Raises:
            RepNetPDEError: a run killed its process again and again, or raised what is no error of this package; all
                others are done and stored before.
        """
        runs = list({run.key: run for run in runs}.values())
        missing = [run for run in runs if Stored.read(run, self.store) is None]
        troubles = []
        for run, trouble in self._done(missing):
            stored = Stored.read(run, self.store)
            if stored is None:
                troubles.append(f"{_name(run)}: {trouble}")
            self.say(_line(run, stored, trouble))
        if troubles:
            raise RepNetPDEError(
                f"{len(troubles)} run(s) could not be done; the same command tries them again. " + "; ".join(troubles)
            )
        return [Stored.read(run, self.store) for run in runs]

    def _done(self, runs: Sequence[Run]) -> Iterator[tuple[Run, str | None]]:
        """Each run when it is over, with what went wrong."""
        if not runs:
            return
        if self._client is None:
            self._connect()
        from distributed import as_completed

        attempt = uuid.uuid4().hex[:8]
        self._futures = [
            self._client.submit(execute, run, str(self.store), self.token, key=f"{run.key}-{attempt}", retries=RETRIES)
            for run in runs
        ]
        by_key = {future.key: run for future, run in zip(self._futures, runs, strict=True)}
        for future in as_completed(self._futures):
            run, trouble = by_key[future.key], None
            if future.status == "finished":
                self._keep(run, future.result())
            else:
                trouble = " ".join(str(future.exception()).split())[:500] or future.status
            future.release()
            yield run, trouble

    def _keep(self, run: Run, files: dict[str, bytes]) -> None:
        """Store the files that a worker without access to the store sent; the outcome last."""
        directory = self.store / "runs" / run.key
        for name in sorted(files, key=lambda name: name == OUTCOME):
            directory.mkdir(parents=True, exist_ok=True)
            write_atomically(directory / name, lambda path, name=name: path.write_bytes(files[name]))

    def _connect(self) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError:
            raise InputError("dask: is not installed; pip install 'repnet-pde[campaign]'") from None
        self._futures = []
        address = self.scheduler
        if address is None:
            # A run may hold the interpreter's lock for minutes and must not be considered dead.
            self._stack.enter_context(dask.config.set({"distributed.scheduler.worker-ttl": None}))
            address = self._stack.enter_context(
                LocalCluster(
                    n_workers=self.jobs,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            )
        try:
            self._client = self._stack.enter_context(Client(address, timeout=PATIENCE))
        except (OSError, ValueError) as error:
            raise InputError(
                f"scheduler: {address!r} cannot be reached ({' '.join(str(error).split())[:200]}); the address of a "
                "Dask scheduler, such as tcp://10.0.0.1:8786, is needed"
            ) from error


def _name(run: Run) -> str:
    problem = f"{run.problem} {text(run.parameters, ' ')}".strip()
    return f"{problem}, {run.network or 'default'}, {run.method}, seed {run.seed}"


def _line(run: Run, stored: Stored | None, trouble: str | None) -> str:
    head = f"{_name(run)}: "
    if stored is None:
        return head + f"not done: {trouble}"
    if stored.failed:
        return head + stored.failed
    error = stored["relative_l2"]
    return head + f"{'no error known' if error is None else f'{error:.1e}'} in {stored['wall_seconds']:.1f} s"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
