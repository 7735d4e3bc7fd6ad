"""Display of what a run is doing: a bar on a terminal, plain lines elsewhere; always on standard error.

What is shown is set by the run and drawn by a thread, so that a long step is no silence.
"""

import math
import sys
import threading
import time
from typing import Any

FIRST_SECONDS, LINE_SECONDS = 1.0, 10.0
"""Seconds before the first line, and between two lines, without a terminal."""


def reporter(enabled: bool, deadline: float = math.inf) -> "Silent":
    """A `Bar` when standard error is a terminal, `Lines` when it is not, or `Silent`.

    ``deadline``: of the run, on the monotonic clock.
    """
    if not enabled:
        return Silent()
    return Bar(deadline) if sys.stderr.isatty() else Lines(deadline)


class Silent:
    """Shows nothing; the interface of the other two: a context manager with `say` and `update`."""

    text = ""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        """What is being done, in words."""
        self.text = text

    def update(
        self, stage: str, done: int, total: int | None, loss: float, error: float | None, standing: str | None = None
    ) -> None:
        """The state of a training.

        Args:
            total: number of iterations, if they will all be done. error: relative L2, or None. standing: how far a
                method has got whose iterations do not show it.
        """


class _Shown(Silent):
    """What both displays share: the text, and the seconds."""

    def __init__(self, deadline: float):
        self.begun, self.deadline = time.monotonic(), deadline
        self.total: int | None = None
        self.done = 0
        self._stage: tuple[str, float, int] | None = None
        """Name of the stage, and when and with how many iterations it began to be shown."""

    def say(self, text: str) -> None:
        self.text, self.total = text, None

    def update(
        self, stage: str, done: int, total: int | None, loss: float, error: float | None, standing: str | None = None
    ) -> None:
        if self._stage is None or self._stage[0] != stage:
            self._stage = stage, time.monotonic(), done
        parts = [f"{stage}: iteration {done}" + ("" if total is None else f" of {total}")]
        parts += [f"loss {loss:.3e}"] if math.isfinite(loss) else []
        parts += [] if error is None else [f"relative L2 error {error:.2e}"]
        parts += [] if standing is None else [standing]
        self.text, self.done, self.total = ", ".join(parts), done, total

    @property
    def left(self) -> str:
        """Seconds since the beginning, and those left where they are known: of the limit, or of iterations that will
        all be done."""
        now = time.monotonic()
        ends = self.deadline - now
        if self.total is not None and self._stage is not None:
            _, begun, start = self._stage
            if self.done > start:
                ends = min(ends, (self.total - self.done) * (now - begun) / (self.done - start))
        return f"{now - self.begun:.0f} s" + (f", at most {max(ends, 0):.0f} s left" if math.isfinite(ends) else "")


class Lines(_Shown):
    """A line after the first seconds and then every ten seconds, for logs."""

    def __enter__(self) -> "Lines":
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._lines, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _lines(self) -> None:
        wait = FIRST_SECONDS
        while not self._over.wait(wait):
            wait = LINE_SECONDS
            if self.text:
                print(f"{self.text} ({self.left})", file=sys.stderr, flush=True)


class Bar(_Shown):
    """One line on a terminal, drawn again and again."""

    def __enter__(self) -> "Bar":
        from rich.console import Console
        from rich.live import Live

        self._live = Live(get_renderable=self._line, console=Console(stderr=True), refresh_per_second=4, transient=True)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _line(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        bar = [] if self.total is None else [ProgressBar(total=self.total, completed=self.done, width=20)]
        line.add_row(*bar, Text(f"{self.text} ({self.left})" if self.text else "", no_wrap=True, overflow="ellipsis"))
        return line
