"""Options of the command line: conversion from text to the arguments of the package."""

import ast
import itertools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ..errors import InputError


class Listed(click.Option):
    """An option whose help text is generated only when it is shown: importing a table takes seconds."""

    def __init__(self, *args: Any, listed: Callable[[], str], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.listed = listed

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        self.help = self.listed()
        return super().get_help_record(context)


def seconds(value: float | None) -> float | None:
    """The value of --time-limit, checked."""
    from ..arguments import seconds as checked

    return checked("time_limit", value)


def number(option: str, text: str, whole: bool = False) -> float:
    """A number as Python writes it: 50, 1e-3, -0.5, 1_000."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    try:
        good = isinstance(value, int) if whole else isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:
        good = False
    if isinstance(value, bool) or not good:
        wanted = "whole number such as 64" if whole else "number such as 50 or 1e-3"
        raise InputError(f"{option}: {text[:100]!r} given; a {wanted} is needed")
    return value


def setting(text: str) -> Any:
    key, equals, value = text.partition("=")
    if not equals or not key.strip().isidentifier():
        raise InputError(f"--set: {text!r} given; KEY=VALUE, such as high=50, is needed")
    try:
        return key.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # text without quotes
        return key.strip(), value


def bounds(text: str) -> Any:
    name, equals, pair = text.partition("=")
    ends = pair.split(":")
    if not equals or len(ends) != 2:
        raise InputError(f"--bounds: {text!r} given; NAME=LOW:HIGH, such as k=0:10 or k=0:, is needed")
    return name.strip(), tuple(number(f"--bounds {name.strip()}", end) if end.strip() else None for end in ends)


def slope_scale(text: str) -> Any:
    if text == "auto":
        return text
    parts = [number("--slope-scale", part) for part in text.split(":")]
    if len(parts) > 2:
        raise InputError(f"--slope-scale: {text!r} given; auto, a number or LOW:HIGH is needed")
    return parts[0] if len(parts) == 1 else tuple(parts)


def iterations(text: str | None) -> Any:
    if text is None:
        return None
    if "=" not in text:
        return number("--iterations", text, whole=True)
    pairs = [part.partition("=") for part in text.split(",")]
    return {name.strip(): number("--iterations", value, whole=True) for name, _, value in pairs}


def writable(out: Path | None) -> None:
    """Check before any work whether the run directory can be created."""
    place = Path("runs") if out is None else out
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"--out: {str(place)!r} is not a directory")
    if not os.access(place, os.W_OK):
        raise InputError(f"--out: the directory {str(place.resolve())!r} cannot be written to")


def default_directories(name: str) -> Iterator[Path]:
    """runs/NAME, runs/NAME-2, runs/NAME-3, ... : those that do not exist."""
    for number in itertools.count(1):
        directory = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not directory.exists():
            yield directory
