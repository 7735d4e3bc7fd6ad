"""Display of training progress: a bar on a terminal, plain lines elsewhere; always on standard error."""

import sys
import time

LINE_SECONDS = 10.0
"""Seconds between two lines without a terminal."""


def reporter(enabled: bool, total: int) -> "Silent":
    """A `Bar` when standard error is a terminal, `Lines` when it is not, or `Silent`."""
    if not enabled:
        return Silent()
    return Bar(total) if sys.stderr.isatty() else Lines(total)


class Silent:
    """Shows nothing; the interface of the other two: a context manager with ``update``."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, stage: str, done: int, loss: float, error: float | None, standing: str | None = None) -> None:
        """``standing``: the progress of a method for which the iteration number does not show it."""


class Lines(Silent):
    """One line every ten seconds, for logs."""

    def __init__(self, total: int):
        self.total, self.begun, self.last = total, time.monotonic(), time.monotonic()
        self.start: int | None = None

    def update(self, stage: str, done: int, loss: float, error: float | None, standing: str | None = None) -> None:
        now = time.monotonic()
        self.start = done if self.start is None else self.start
        if now - self.last < LINE_SECONDS:
            return
        self.last = now
        rate = (done - self.start) / (now - self.begun)
        left = f", {(self.total - done) / rate:.0f} s left" if rate > 0 else ""
        if standing is not None:
            left = f", {standing}"
        shown = "" if error is None else f", relative L2 error {error:.2e}"
        print(f"{stage}: iteration {done} of {self.total}, loss {loss:.3e}{shown}{left}", file=sys.stderr, flush=True)


class Bar(Silent):
    """A progress bar with loss, error and the time left."""

    def __init__(self, total: int):
        from rich import progress
        from rich.console import Console

        self.progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[values]}"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task("", total=total, values="")

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def update(self, stage: str, done: int, loss: float, error: float | None, standing: str | None = None) -> None:
        shown = "" if error is None else f"  error {error:.2e}"
        shown += "" if standing is None else f"  {standing}"
        self.progress.update(self.task, completed=done, description=stage, values=f"loss {loss:.3e}{shown}")
