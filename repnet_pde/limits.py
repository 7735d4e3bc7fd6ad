"""Limits of a run: its time, its memory, and Ctrl-C. Long computations look at them between their blocks.

`running` is entered once, by what a user calls; what is called below it asks for `left` and calls `check`, which raises
`Ended` once the time is over or after Ctrl-C. Whoever can go on with less catches it; nothing half-done is kept.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from .errors import InUseError, MemoryLimitError, TimeLimitError
from .memory import held, said
from .memory import limit as memory_limit
from .progress import Silent, reporter
from .threads import few

RESERVED, MOST_RESERVED = 0.3, 3.0
"""Part of a time limit, and at most so many seconds, for what follows the training: the check and the files."""
LATE = 1.0
"""Seconds after a time limit from which what can be made up for later is left out."""

TIME_LIMIT = "time limit"
INTERRUPTED = "interrupted"


class Ended(BaseException):
    """The time is over, or Ctrl-C. No `Exception`, so that nothing takes it for a failure of what it ends."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What holds for what is being computed.

    deadline: on the monotonic clock, before the time reserved for the files. end: the limit itself. memory: bytes that
    the process may hold. interrupted: set by the first Ctrl-C. gives_up: the reasons for which what is being computed
    may be given up half-done. report: the display of the progress.
    """

    deadline: float = float("inf")
    end: float = float("inf")
    memory: float = float("inf")
    interrupted: threading.Event = field(default_factory=threading.Event)
    gives_up: tuple[str, ...] = ()
    report: Any = field(default_factory=Silent)

    @property
    def ended(self) -> str | None:
        """Why it is over, or None."""
        if self.interrupted.is_set():
            return INTERRUPTED
        return TIME_LIMIT if time.monotonic() >= self.deadline else None


_CURRENT: ContextVar[Limits | None] = ContextVar("limits", default=None)
_NONE = Limits()


def current() -> Limits:
    return _CURRENT.get() or _NONE


def left() -> float:
    """Seconds for planning and training; infinite without a limit."""
    return max(current().deadline - time.monotonic(), 0.0)


def late() -> bool:
    """Whether the limit is over by `LATE` seconds."""
    return time.monotonic() > current().end + LATE


def check(cost: float = 0.0) -> None:
    """Raise `Ended`, where what is being computed may be given up, after Ctrl-C, if the time is over, or if ``cost``
    more seconds are expected to exceed it."""
    now = current()
    if now.gives_up:
        reason = now.ended or (TIME_LIMIT if cost > 0 and time.monotonic() + cost > now.deadline else None)
        if reason in now.gives_up:
            raise Ended(reason)


def memory_left() -> float:
    """Bytes; infinite without a limit."""
    most = current().memory
    return most if most == float("inf") else max(most - held(), 0.0)


def need(count: float, what: str) -> None:
    """Raise `MemoryLimitError` if so many more bytes, which ``what`` needs, are not left of the limit."""
    most = current().memory
    if count > (left := memory_left()):
        raise MemoryLimitError(
            f"memory_limit: {what} would need {said(count)}, and {said(left)} of {said(most)} are left"
        )


def say(text: str) -> None:
    """Show what is being done."""
    current().report.say(text)


@contextlib.contextmanager
def running(seconds: float | None, progress: bool = False, memory: float | str | None = None) -> Iterator[None]:
    """Limit what follows to ``seconds``, show its progress if asked for, and let the first Ctrl-C end it in good order;
    a second one raises as usual. Within another, the outer one holds.

    ``memory``: as for `memory.limit`. What is called ends by Ctrl-C only, unless it is `endable`.

    Raises:
        InputError: ``memory`` is no number of bytes. InUseError: another thread of this process is within it.
        TimeLimitError, KeyboardInterrupt: ended before there was anything to return.
    """
    most = memory_limit(memory)
    if _CURRENT.get() is not None:
        yield
        return
    with _alone():
        yield from _running(seconds, progress, most)


def _running(seconds: float | None, progress: bool, memory: float) -> Iterator[None]:
    end = float("inf") if seconds is None else time.monotonic() + seconds
    deadline = end if seconds is None else end - min(RESERVED * seconds, MOST_RESERVED)
    with few(), reporter(progress, end) as report, _interruptible() as interrupted:
        token = _CURRENT.set(Limits(deadline, end, memory, interrupted, (INTERRUPTED,), report))
        try:
            yield
        except Ended as ended:
            if ended.reason == INTERRUPTED:
                raise KeyboardInterrupt from None
            raise TimeLimitError(
                f"time_limit: {seconds:g} s were over before there was a result: {report.text}"
            ) from None
        finally:
            _CURRENT.reset(token)


_BUSY = threading.Lock()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """The default precision and the random generators are those of the process: one thread at a time."""
    if not _BUSY.acquire(blocking=False):
        raise InUseError(
            "another thread of this process is at work, and precision and random numbers are those of the whole "
            "process: do one after the other, or use processes"
        )
    try:
        yield
    finally:
        _BUSY.release()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """`endable`, with at most so many of the seconds that are left."""
    now = current()
    with _with(replace(now, deadline=min(now.deadline, time.monotonic() + seconds))), endable():
        yield


def endable() -> AbstractContextManager[None]:
    """What may be given up half-done when the time is over, and after Ctrl-C; the caller catches `Ended`."""
    return _with(replace(current(), gives_up=(INTERRUPTED, TIME_LIMIT)))


def whole() -> AbstractContextManager[None]:
    """What must not be given up half-done; as short as an iteration."""
    return _with(replace(current(), gives_up=()))


@contextlib.contextmanager
def _with(limits: Limits) -> Iterator[None]:
    token = _CURRENT.set(limits)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; only in the main thread, which alone gets signals."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def note(signum: int, frame: FrameType | None) -> None:
        flag.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
