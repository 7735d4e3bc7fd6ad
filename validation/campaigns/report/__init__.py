"""The report of a campaign, HTML and Markdown, from its stored runs.

Both are written from the same parts (`parts`), so that their numbers are the same. The HTML is one file that loads
nothing, with pictures inside; the Markdown has them beside it in ``report_files``.
"""

import base64
import importlib
import re
from pathlib import Path

from ....errors import InputError, choose
from ....files import read_json, write_atomically
from ..campaign import CAMPAIGN
from .parts import anchor

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape
except ImportError:  # said before the first run, not after the last
    raise InputError("jinja2: is not installed; pip install 'repnet-pde[campaign]'") from None

HTML, MARKDOWN, FILES = "report.html", "report.md", "report_files"
KINDS = {"validate": "validation", "compare": "comparison"}
"""Kind of the campaign -> module here, with a function ``report(store, options, command)``."""
SIGNS = {
    "passed": "✓",
    "remark": "!",
    "failed": "✗",
    "missing": "?",
    "outside": "!",
    "best": "★",
    "ahead": "▲",
    "behind": "▼",
}
"""Signs shown before a cell, so that colour is not needed to read the table."""


def write(directory: str | Path) -> Path:
    """Write ``report.html`` and ``report.md`` into a campaign's directory; returns the former.

    The same stored runs give the same bytes.

    Raises:
        InputError: the directory holds no campaign, or one whose files are damaged.
    """
    store = Path(directory)
    if not (store / CAMPAIGN).is_file():
        raise InputError(f"directory: {str(store)!r} holds no campaign; give the one that validate or compare made")
    asked = read_json(store / CAMPAIGN)
    if missing := {"kind", "options", "command"} - asked.keys():
        raise InputError(f"{store / CAMPAIGN}: is damaged, it has no {sorted(missing)[0]!r}")
    choose(f"{store / CAMPAIGN}: kind", asked["kind"], KINDS)
    module = importlib.import_module(f".{KINDS[asked['kind']]}", __name__)
    report = module.report(store, asked["options"], asked["command"])
    _write_pictures(store / FILES, report.pictures())
    for name in (MARKDOWN, HTML):
        text = _environment().get_template(f"{name}.j2").render(report=report, signs=SIGNS, files=FILES)
        _write(store / name, re.sub(r"\n{3,}", "\n\n", text).encode())
    return store / HTML


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def _write_pictures(folder: Path, pictures) -> None:
    """Those of this report only; an earlier one may have had others."""
    folder.mkdir(exist_ok=True)
    for picture in pictures:
        _write(folder / picture.name, picture.data)
    for path in folder.iterdir():
        if path.name not in {picture.name for picture in pictures}:
            path.unlink()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=lambda name: name is not None and name.startswith(HTML),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"anchor": anchor, "breakable": _breakable, "data_uri": _data_uri}
    environment.filters |= {"md": _markdown, "width": _width}
    return environment


def _markdown(text: str) -> str:
    """Text in which nothing is taken for Markdown or HTML, on one line, as in a cell of a table."""
    text = re.sub(r"([\\`*|<>])", r"\\\1", text)
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text).replace("](", r"]\(")
    return text.replace("\n", "<br>")


def _breakable(text: str) -> Markup:
    """A name in HTML that may be broken between its words."""
    return Markup(re.sub(r"([/_])", r"\1<wbr>", str(escape(text))))


def _width(cell) -> str:
    """ "short" for a cell whose lines stay whole, "long" for one that is wrapped."""
    longest = max(map(len, (cell if isinstance(cell, str) else cell.text).split("\n")))
    return "short" if longest <= 26 else "long" if longest > 40 else "middle"


def _data_uri(picture) -> str:
    kind = "svg+xml" if picture.name.endswith(".svg") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture.data).decode()}"
