"""The documentation: code of its pages, notebooks, a site that builds without warnings, and no public name missing."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import deepxde as dde
import pytest
from pages import blocks, steps
from repnet_pde.validation import finite_difference

import repnet_pde
from repnet_pde import operators
from repnet_pde.cli.main import cli
from repnet_pde.methods import METHODS
from repnet_pde.problem.load import catalogue

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
inventory = pytest.importorskip("sphinx.util.inventory")
pytest.importorskip("myst_nb")
pytest.importorskip("furo")

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
MARKDOWN = [page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts]
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("page", [p for p in MARKDOWN if blocks(p)], ids=lambda page: page.stem)
def test_the_code_of_every_page_runs(page, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(dde.nn, "RepNet", raising=False)
    assert len(list(steps(page, command))) == len(blocks(page))


@pytest.fixture(scope="module")
def executed():
    """Every notebook, executed in a kernel of its own."""
    found = {}
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
        found[path.name] = notebook
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, executed):
    source = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in source.cells), "clear the outputs: the site's build makes them"
    outputs = [output for cell in executed[path.name].cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)


@pytest.fixture(scope="module")
def site(executed, tmp_path_factory):
    """The site, built with warnings as errors from a copy whose notebooks are executed."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, folder / "docs", ignore=shutil.ignore_patterns("_build"))
    for name, notebook in executed.items():
        nbformat.write(notebook, folder / "docs" / "notebooks" / name)
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "nb_execution_mode=off"]
    done = subprocess.run([*build, folder / "docs", folder / "site"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def names(site):
    """What the site has entries for, by kind: name -> where."""
    with (site / "objects.inv").open("rb") as file:
        return inventory.InventoryFile.load(file, "", lambda base, path: base + path)


@pytest.mark.parametrize("package", [repnet_pde, operators, finite_difference], ids=lambda package: package.__name__)
def test_no_public_name_is_missing(package, names):
    known = {name for kind, entries in names.items() if kind.startswith("py:") for name in entries}
    assert {f"{package.__name__}.{name}" for name in package.__all__} <= known


def test_every_command_problem_and_method_is_there(names):
    labels = set(names["std:label"])
    wanted = {f"command-{name}" for name in cli.commands} | {f"method-{name}" for name in METHODS} | set(catalogue())
    assert wanted <= labels


def test_pages_need_no_network(site):
    loaded = re.compile(r"<(script|img|iframe|link)\b[^>]*\b(src|href)=\"(https?:)?//")
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(MARKDOWN)
    assert not [page for page in pages if loaded.search(page.read_text(encoding="utf-8"))]


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
