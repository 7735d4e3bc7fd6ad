"""Running the cases: one in this process, or many in separate processes with a time limit."""

import contextlib
import hashlib
import importlib
import math
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

import repnet_pde

from ...backend import quiet, set_precision
from ...errors import RepNetPDEError
from ...files import read_json, write_json
from ...running.result import plain
from .case import FAILED, FORWARD, HALVES, LATE, REFUSED, Case, Outcome, generator

PATIENCE = 10.0
"""Wall-clock seconds allowed per second of the limit of processor time, since the machine may be busy."""
MEMORY = 16 * 2**30
"""Maximum address space of one process in bytes."""

Key = tuple[str, str, int]
"""Half, kind and number."""


def half_of(name: str):
    """The package of a half."""
    return importlib.import_module(f".{name}", __package__)


def draw(half: str, kind: str, number: int, seed: int) -> Case:
    """The case of that kind and number."""
    set_precision("float64")
    with quiet():
        return half_of(half).KINDS[kind].draw(generator(seed, half, kind, number), number)


def perform(half: str, kind: str, number: int, seed: int) -> Outcome:
    """Draw a case, solve or identify it, and record the statements together with the truth."""
    begun, module = time.process_time(), half_of(half)
    case = draw(half, kind, number, seed)
    known = {"half": half, "kind": kind, "number": number, "seed": seed, "text": case.text, "status": FAILED}
    outcome = module.Said(**known, **module.of_case(case))
    call = repnet_pde.solve if half == FORWARD else repnet_pde.identify
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem = case.problem() if callable(case.problem) else case.problem
            result = call(problem, progress=False, **{"seed": number, **case.settings})
            said = _said(result) | module.of_result(result, case)
    except RepNetPDEError as refusal:
        said = {"status": REFUSED, "reason": " ".join(str(refusal).split())}
    except Exception as fault:  # any exception is an outcome
        said = {"status": FAILED, "reason": f"{type(fault).__name__}: {' '.join(str(fault).split())}"}
    return replace(outcome, **said, seconds=time.process_time() - begun)


def _said(result) -> dict:
    """The text that a user sees."""
    identification = result.identification
    notes = [*result.notes]
    if identification is not None:
        notes += [*identification.notes, *identification.undetermined]
    names = ("value", "standard_error", "interval", "identifiable")
    unknowns = {
        name: {"estimate" if n == "value" else n: getattr(found, n) for n in names}
        for name, found in result.estimates.items()
    }
    return plain(
        {
            "status": result.status,
            "reason": result.check.reason,
            "method": result.method,
            "indicator": result.check.error_indicator,
            "residuals": result.check.relative,
            "notes": notes,
            "unknowns": unknowns,
        }
    ) | {"notes": tuple(notes)}


def digest() -> str:
    """Of the package and of the problems: what was said by another is said anew."""
    package, here = Path(repnet_pde.__file__).parent, Path(__file__).parent
    files = [*sorted(package.rglob("*.py")), here / "case.py", here / "fields.py"]
    for half in HALVES:
        files += sorted((here / half).rglob("*.py"))
    text = b"".join(file.read_bytes() for file in dict.fromkeys(files))
    return hashlib.sha256(text).hexdigest()[:16]


class Store:
    """The outcomes of one seed, a file each, so that completed cases are not repeated."""

    def __init__(self, directory: Path, source: str):
        self.directory, self.source = directory, source

    def file(self, key: Key) -> Path:
        half, kind, number = key
        return self.directory / half / f"{kind}-{number:04d}.json"

    def read(self, key: Key) -> Outcome | None:
        """None where it is not over, damaged, or said by another version of the package."""
        try:
            outcome = half_of(key[0]).Said.from_dict(read_json(self.file(key)))
        except (OSError, ValueError, TypeError, RepNetPDEError):
            return None
        return outcome if outcome.source == self.source and outcome.key == key else None

    def write(self, outcome: Outcome) -> None:
        file = self.file(outcome.key)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, plain(outcome.to_dict()))


@dataclass
class _Worker:
    process: multiprocessing.Process
    pipe: Connection
    key: Key | None = None
    since: float = 0.0
    ready: bool = False

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def carry_out(keys: Iterable[Key], seed: int, *, jobs: int, limit: float, source: str = "") -> Iterator[Outcome]:
    """Outcomes as they come, from ``jobs`` processes of one thread each.

    A case that takes more than ``limit`` seconds of processor time is ended with its process and is `LATE`; one whose
    process dies otherwise `FAILED`. Where the system has no such limit, or a case sleeps, `PATIENCE` times that of the
    clock count. Leaving the loop, by Ctrl-C too, ends all processes.
    """
    context = multiprocessing.get_context("spawn")
    waiting, workers = list(keys)[::-1], []
    os.environ["OMP_NUM_THREADS"] = "1"  # processes inherit it

    def start():
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, seed, limit), daemon=True)
        process.start()
        theirs.close()
        workers.append(_Worker(process, ours))

    def gone(worker, status, reason):
        worker.end()
        workers.remove(worker)
        half, kind, number = worker.key
        case = draw(*worker.key, seed)
        known = {"half": half, "kind": kind, "number": number, "seed": seed, "source": source, "text": case.text}
        seconds = min(limit, time.monotonic() - worker.since)
        truth = half_of(half).of_case(case)
        return half_of(half).Said(**known, **truth, status=status, reason=reason, seconds=seconds)

    try:
        while waiting or any(w.key for w in workers):
            while waiting and len(workers) < min(jobs, len(waiting) + sum(w.key is not None for w in workers)):
                start()
            wait([w.pipe for w in workers], timeout=1.0)
            for worker in list(workers):
                try:
                    said = worker.pipe.recv() if worker.pipe.poll() else None
                except (EOFError, OSError):
                    if worker.key is None:
                        raise RepNetPDEError("a process of the audit could not be started") from None
                    worker.process.join()
                    code = worker.process.exitcode
                    if code == -getattr(signal, "SIGXCPU", 0):
                        yield gone(worker, LATE, f"not over after {limit:g} s")
                    elif code == -getattr(signal, "SIGKILL", 0):
                        yield gone(worker, LATE, "ended by the system, most likely for want of memory")
                    else:
                        yield gone(worker, FAILED, f"its process died with exit code {code}")
                    continue
                if said is not None:
                    worker.ready, worker.key = True, None
                    if isinstance(said, Outcome):
                        yield replace(said, source=source)
                if worker.ready and worker.key is None and waiting:
                    worker.key, worker.since = waiting.pop(), time.monotonic()
                    worker.pipe.send(worker.key)
                elif worker.key is not None and time.monotonic() - worker.since > PATIENCE * limit:
                    yield gone(worker, LATE, f"not over after {PATIENCE * limit:g} s")
    finally:
        for worker in workers:
            worker.end()


def _serve(pipe: Connection, seed: int, limit: float) -> None:
    """Carry out the cases that come through the pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends this one
    torch.set_num_threads(1)
    _limit("RLIMIT_AS", MEMORY)
    _limit("RLIMIT_CORE", 0)
    pipe.send("ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            key = pipe.recv()
            _limit("RLIMIT_CPU", math.ceil(time.process_time() + limit))
            pipe.send(perform(*key, seed))


def _limit(name: str, value: int) -> None:
    """Limit a resource of this process, where the system can; the hard limit is left as it is."""
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        which = getattr(resource, name)
        resource.setrlimit(which, (value, resource.getrlimit(which)[1]))
