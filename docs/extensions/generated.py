"""Parts of pages that are made from the package when the site is built.

A page asks for one by a fenced block of its name, such as ```{catalogue}```: the catalogue from the problems' files,
the commands from click, methods and networks from their tables.
"""

import inspect
import re
from pathlib import Path

import click
from pygments.lexers.special import TextLexer

from repnet_pde.cli.main import cli
from repnet_pde.methods import METHODS
from repnet_pde.networks.registry import NETWORKS
from repnet_pde.problem.load import catalogue

DOCS = Path(__file__).parents[1]
KINDS = {
    "Equations": "Boundary- and initial-value problems. [Results](results.md) has the errors with their ranges.",
    "Inverse problems": "Unknown numbers and fields, with synthetic data that an independent solver makes.",
    "Functions": "Samples of functions that are to be approximated.",
}


def problems() -> str:
    """The catalogue: a table of each kind, then of each problem its docstring, its parameters and its file."""
    rows: dict[str, list[str]] = {kind: [] for kind in KINDS}
    sections: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for entry in catalogue().values():
        file = entry.path.read_text(encoding="utf-8")
        title, _, equation = entry.equation.partition("\n")
        given = ", ".join(f"`{name}={value:.10g}`" for name, value in entry.parameters.items()) or "none"
        error = "" if entry.measured is None else f" Measured error: {entry.measured:.1e}."
        picture = f"solutions/{entry.name}.png"
        shown = f"![The solution of {entry.name}]({picture})\n\n" if (DOCS / picture).exists() else ""
        size = "" if entry.measured is None else f"{entry.measured:.1e}"
        rows[_kind(file)].append(f"| [{entry.name}](#{entry.name}) | {entry.title} | {size} |")
        sections[_kind(file)].append(
            f"({entry.name})=\n### {entry.name}\n\n{title}\n{equation}\n\nParameters: {given}.{error}\n\n{shown}"
            f"<details><summary>Its file</summary>\n\n```python\n{file}```\n\n</details>\n"
        )
    head = "| problem | | measured error |\n|---|---|---|\n"
    return "\n".join(
        f"## {kind}\n\n{KINDS[kind]}\n\n{head}" + "\n".join(rows[kind]) + "\n\n" + "\n".join(found)
        for kind, found in sections.items()
    )


def _kind(file: str) -> str:
    if re.search(r"\b(unknowns|unknown_fields)=", file):
        return "Inverse problems"
    return "Functions" if "pde=None" in file else "Equations"


def commands() -> str:
    """Every command with its usage, its help and its options."""
    sections = []
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, info_name=f"repnet-pde {name}", max_content_width=100)
        usage = command.get_usage(context).removeprefix("Usage: ")
        records = [p.get_help_record(context) for p in command.get_params(context) if isinstance(p, click.Option)]
        options = "\n\n".join(f"`{option}`\n: {text or ' '}" for option, text in filter(None, records))
        text = inspect.cleandoc(command.help)
        sections.append(f"(command-{name})=\n## repnet-pde {name}\n\n```text\n{usage}\n```\n\n{text}\n\n{options}\n")
    return "\n".join(sections)


def methods() -> str:
    """Every method by its name, with the options that ``method_options`` takes."""
    sections = []
    for name, method in METHODS.items():
        layers = method.layers
        network = "" if layers is None else f" Hidden layers unless given: {', '.join(map(str, layers))}."
        sections.append(
            f"(method-{name})=\n## {name}\n\n{method.title[:1].upper()}{method.title[1:]}. "
            f"{method.default_iterations:,} iterations unless given.{network}\n\n"
            f"```{{eval-rst}}\n.. autoclass:: {method.__module__}.{method.__qualname__}\n   :no-index:\n```\n"
        )
    return "\n".join(sections)


def networks() -> str:
    """Every network that has a name, with the options that ``network_options`` takes."""
    rows = ["| network | what | options |", "|---|---|---|"]
    for name, network in NETWORKS.items():
        rows.append(f"| `{name}` | {network.title} | {', '.join(f'`{o}`' for o in network.options) or 'none'} |")
    return "\n".join(rows) + "\n"


PARTS = {"catalogue": problems, "commands": commands, "methods": methods, "networks": networks}


def fill(app, docname, source) -> None:
    for name, make in PARTS.items():
        block = f"```{{{name}}}\n```\n"
        if block in source[0]:
            source[0] = source[0].replace(block, make())


SPAN = re.compile(r"``.*?``|(?::\w+:)?`[^`]*`|\|")


def docstring(app, what, name, obj, options, lines) -> None:
    """Escape bars, which stand for absolute values and not for substitutions; put a comment before a property's text,
    or napoleon takes what stands before a colon in it for its type."""
    margin = None  # of a formula's directive
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith(".. math::"):
            margin = indent
        elif line.strip() and margin is not None and indent <= margin:
            margin = None
        if margin is None:
            lines[i] = SPAN.sub(lambda match: r"\|" if match[0] == "|" else match[0], line)
    if what in ("property", "attribute"):
        lines[:0] = ["..", ""]


def setup(app):
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
