"""What a report is made of, whether HTML or Markdown; the templates write each part by its ``kind``."""

import math
import re
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """A cell or item. link: name of the section that it leads to. mark: "passed", "remark", "failed", "missing",
    "best", "ahead" or "behind", which is shown by a sign, and by colour."""

    text: str
    link: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Text:
    kind: ClassVar = "text"
    text: str
    mark: str = ""


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and what is known."""

    kind: ClassVar = "facts"
    pairs: dict[str, str]


@dataclass(frozen=True)
class Table:
    """Columns, and rows of strings or `Cell`s, whose first one heads the row. Lines within a cell are separated by a
    line feed. caption: what the numbers are."""

    kind: ClassVar = "table"
    caption: str
    columns: list[str]
    rows: list[list]


@dataclass(frozen=True)
class Items:
    kind: ClassVar = "items"
    items: list[Cell]


@dataclass(frozen=True)
class Code:
    """Lines as they are. language: of commands, "sh"."""

    kind: ClassVar = "code"
    text: str
    language: str = ""


@dataclass(frozen=True)
class Picture:
    """name: of the file beside the Markdown. alt: what is in it. data: PNG or SVG. wide: needs a row of its own."""

    kind: ClassVar = "picture"
    name: str
    alt: str
    data: bytes
    wide: bool = False


@dataclass(frozen=True)
class Fold:
    """Parts under a heading, which can be folded."""

    kind: ClassVar = "fold"
    title: str
    parts: list


@dataclass(frozen=True)
class Section:
    """name: what links lead to; the heading of the section in the Markdown has to be the same."""

    name: str
    parts: list

    @property
    def anchor(self) -> str:
        return anchor(self.name)


@dataclass(frozen=True)
class Report:
    """parts: before the first section."""

    title: str
    parts: list
    sections: list[Section] = field(default_factory=list)

    def pictures(self) -> list[Picture]:
        return list(_pictures([*self.parts, *(part for section in self.sections for part in section.parts)]))


def _pictures(parts):
    for part in parts:
        if isinstance(part, Picture):
            yield part
        elif isinstance(part, Fold):
            yield from _pictures(part.parts)


def anchor(name: str) -> str:
    """As Markdown's readers make it of a heading."""
    return re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")


# Words for numbers ------------------------------------------------------------------------------------------------


def seconds(value: float | None) -> str:
    """With two digits, whole from 100 on."""
    return "–" if value is None else f"{value:.2g}" if value < 99.5 else f"{value:.0f}"


def duration(value: float) -> str:
    """Seconds in suitable units."""
    if value < 99.5:
        return f"{seconds(value)} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def mebibytes(value: float) -> str:
    return f"{value:.0f}" if value >= 1 else "under 1"


def factor(value: float) -> str:
    """A factor, with two digits."""
    return "∞" if math.isinf(value) else seconds(value) if value < 9950 else f"{value:.1e}"


def values(pairs: dict) -> str:
    """A mapping as "name=value, ..."."""
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in pairs.items()
    )
