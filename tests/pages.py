"""Markdown pages whose code blocks are run in the order in which they are printed, as a reader would.

- ``python`` blocks share one namespace. One that defines ``problem()`` is a file, and so is a ``csv`` block.
- ``console`` blocks have commands after "$ ", of which those of repnet-pde are run. ``sh`` blocks show commands that
  take too long, or need what is not there: of these only the options are checked.
- What a command prints stands below it, what a ``python`` block prints in a ``text`` block right after it. Both are
  compared with what is printed, but for numbers and white space; "..." stands for anything.
"""

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "extensions"))
from blocks import Block, blocks

NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]?\d+)?(?!\w)")


def steps(page: Path, command) -> Iterator[tuple[Block, dict]]:
    """Run a page in the current folder, block by block; the namespace comes back with each.

    Args:
        command: the fixture that runs the command line.
    """
    names: dict = {"__name__": page.stem}
    printed = ""
    for block in blocks(page):
        where = f"{page.name}, line {block.line}"
        if block.is_file:
            block.file.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, names)
            printed = out.getvalue()
        elif block.language == "text" and not block.before.strip():
            assert said(block.text, printed), f"{where}: this was printed:\n{printed}"
        elif block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                check_options(line)
        elif block.language == "console":
            for line, expected in commands(block.text):
                arguments = shlex.split(line, comments=True)
                if arguments[0] == "repnet-pde":
                    code, shown, error = command(*arguments[1:])
                    assert code == 0, f"{where}: {line}: {error}"
                    assert not expected or said(expected, shown), f"{where}: {line} printed:\n{shown}"
        yield block, names


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the text below it."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.M)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def check_options(line: str) -> None:
    """Have click parse a line of a shell, if it is one of repnet-pde's, without running it."""
    from repnet_pde.cli.main import cli

    arguments = shlex.split(line, comments=True)
    if arguments[:1] == ["repnet-pde"]:
        cli.commands[arguments[1]].make_context(arguments[1], arguments[2:], parent=click.Context(cli))


def said(expected: str, printed: str) -> bool:
    """Whether ``printed`` is what a page says, but for numbers, white space, and which term has the largest residual:
    where all are at rounding, that is chance."""
    expected, printed = (" ".join(NUMBER.sub("#", text).split()) for text in (expected, printed))
    expected, printed = (
        re.sub(r"at validation points \([^()]+\)", "at validation points (#)", t) for t in (expected, printed)
    )
    parts = [re.escape(part.strip()) for part in expected.split("...")]
    return re.fullmatch(r"\s*.*?\s*".join(parts), printed, re.S) is not None
