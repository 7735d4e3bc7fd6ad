"""The fenced code blocks of Markdown pages: the tests run them, pictures are drawn of what they define."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: after the fence.
        text: between the fences.
        before: what stands between it and the last block.
        line: the number of its first line.
    """

    language: str
    text: str
    before: str
    line: int

    @property
    def is_file(self) -> bool:
        return self.language == "csv" or (self.language == "python" and "def problem(" in self.text)

    @property
    def file(self) -> Path:
        """The name of a block that is a file: the last one in backticks before it."""
        return Path(re.findall(r"`([\w.]+\.\w+)`", self.before)[-1])


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in their order."""
    text, end, found = page.read_text(encoding="utf-8"), 0, []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        found.append(Block(match[1], match[2], text[end : match.start()], line))
        end = match.end()
    return found


def load(page: Path, file: str, **parameters: float):
    """The problem of the last block of a page that is the file of this name."""
    from repnet_pde import load_problem

    text = [block.text for block in blocks(page) if block.is_file and block.file == Path(file)][-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, file)
        path.write_text(text, encoding="utf-8")
        return load_problem(path, **parameters)
