"""The exceptions of the package. The command line turns each into one line and an exit code."""

from collections.abc import Iterable


class RepNetPDEError(Exception):
    """Base of every error that the package raises on purpose (exit code 1)."""


class InputError(RepNetPDEError, ValueError):
    """An argument, option, file or field that cannot be used (exit code 2).

    The message names the argument, what was given and what is allowed.
    """


class InUseError(InputError):
    """A run directory, or a process, in which another run is at work."""


class SeveralPointsError(InputError):
    """Rows of a residual depend on u at several points: a mean, an integral or a shift. ``term``: its name."""

    def __init__(self, message: str, term: str):
        super().__init__(message)
        self.term = term


class TimeLimitError(RepNetPDEError, RuntimeError):
    """The time limit was over before there was anything to return (exit code 1)."""


class MemoryLimitError(RepNetPDEError, MemoryError):
    """More memory would be needed than the limit allows (exit code 1)."""


class TrainingError(RepNetPDEError, RuntimeError):
    """Training cannot go on, for example because the loss is not finite (exit code 1)."""


MOST_LISTED = 16
"""Maximum number of names listed in a message; of a longer list, the four most similar to the one given."""


def choose(argument: str, given: object, allowed: Iterable[object]) -> None:
    """Raise `InputError` unless ``given`` is one of ``allowed``; the message lists the allowed ones."""
    if given not in list(allowed):  # a list, so that unhashable values are rejected too
        import difflib

        close = difflib.get_close_matches(str(given), [str(a) for a in allowed], n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        listed = [str(a) for a in allowed]
        if len(listed) > MOST_LISTED:
            listed = [*(difflib.get_close_matches(str(given), listed, 4, 0.5) or listed[:MOST_LISTED]), "..."]
        raise InputError(f"{argument}: {given!r} is not known{hint}; choose from {', '.join(listed) or 'none'}")
