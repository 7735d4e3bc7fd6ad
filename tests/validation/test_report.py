"""Reports: what is stored is what is written, in HTML that loads nothing and in Markdown with the same numbers."""

import contextlib
import html
import io
import json
import re
import shlex
import shutil
import types
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from repnet_pde.validation.campaigns import validate as validation
from repnet_pde.validation.campaigns.campaign import OUTCOME, Campaign, Stored, execute
from repnet_pde.validation.campaigns.compare import Plan
from repnet_pde.validation.campaigns.report import write
from repnet_pde.validation.campaigns.report.parts import anchor, duration, factor, seconds
from repnet_pde.validation.campaigns.report.pictures import WIDEST, convergence, median_curve, shrunk
from repnet_pde.validation.table import digits

from repnet_pde import InputError
from repnet_pde.files import write_json

DECAY = '''"""Decay | u' = -u & u < 2.

    u' = -<rate> u,   u(0) = 1   *on* [0, 1]
"""

import deepxde as dde
import numpy as np
from repnet_pde import Problem


def problem(rate=2.0):
    time = dde.geometry.TimeDomain(0, 1)
    return Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + rate * u,
        conditions={"start": dde.icbc.IC(time, lambda t: 1, lambda t, on_initial: on_initial)},
        solution=lambda t: np.exp(-rate * t),
        tolerance=1e-9,
    )
'''
INVERSE = '''"""Decay with an unknown rate."""

import deepxde as dde
import numpy as np
from repnet_pde import Problem


def problem():
    time, rate = dde.geometry.TimeDomain(0, 1), dde.Variable(0.5)
    t = np.linspace(0.1, 1, 10)[:, None]
    u = np.exp(-2 * t) + 0.01 * np.random.default_rng(0).standard_normal(t.shape)
    return Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + rate * u,
        conditions={
            "start": dde.icbc.IC(time, lambda t: 1, lambda t, on_initial: on_initial),
            "data u": dde.icbc.PointSetBC(t, u),
        },
        unknowns={"rate": rate},
        true_unknowns={"rate": 2.0},
    )
'''
BROKEN = '"""Broken."""\n\n\ndef problem():\n    raise ValueError("no <i>good</i> | at all")\n'
VOID = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """Elements in their order as (tag, attributes), the text of each section and table cell, unbalanced tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.sections, self.cells, self.unbalanced = [], [], [], [], []
        self.feed(text)
        self.unbalanced += self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "section":
            self.sections.append("")
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if "section" in self.open:
            self.sections[-1] += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def numbers(text):
    return re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", text)


@pytest.fixture(scope="session")
def campaign(tmp_path_factory):
    """A validation of three problems by real runs; the second has an unknown, the third cannot be made."""
    folder = tmp_path_factory.mktemp("report")
    names = {"decay.py": DECAY, "inverse.py": INVERSE, "a <b> & c.py": BROKEN}
    for name, text in names.items():
        (folder / name).write_text(text)
    options = {"names": [str(folder / name) for name in names], "method": "auto", "seeds": 1, "threads": 1}
    options["convergence"] = True
    store = folder / "campaign"
    with Campaign(store, "validate", options, "repnet-pde validate 'a <b> & c.py'") as begun:
        token = begun.token
    for name in options["names"]:
        for run in validation._runs(name, options):
            execute(run, str(store), token)
    first = Stored.read(next(validation._runs(options["names"][0], options)), store)
    for _, run in validation._ladder(first)[2]:
        execute(run, str(store), token)
    return store


@pytest.fixture
def store(campaign, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(campaign, tmp_path / "campaign")


@pytest.fixture(scope="session")
def written(campaign):
    path = write(campaign)
    assert path == campaign / "report.html"
    return path.read_text(encoding="utf-8"), (campaign / "report.md").read_text(encoding="utf-8")


# Form -------------------------------------------------------------------------------------------------------------


def check_form(text):
    page = Page(text)
    assert page.unbalanced == []
    loads = [a.get(key) for _, a in page.elements for key in ("src", "href", "srcset", "data") if a.get(key)]
    assert loads and all(link.startswith(("#", "data:")) for link in loads)
    assert not re.search(r"<script|@import|url\(|\son\w+=", re.sub(r"data:image/\S+", "", text))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(set(ids)) == len(ids) and {a["href"][1:] for a in page.all("a")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    assert all(a["alt"] for a in page.all("img")) and all(a.get("scope") in ("col", "row") for a in page.all("th"))
    assert all("open" in a for a in page.all("details"))
    return page


def test_html_is_whole_and_loads_nothing(written):
    page = check_form(written[0])
    assert len(page.sections) == 4 and len(page.all("img")) >= 7


def test_every_number_of_the_html_is_in_the_markdown(written):
    text, markdown = written
    page, known = Page(text), set(numbers(markdown))
    shown = [*numbers(page.sections[0]), *(n for cell in page.cells for n in numbers(cell))]
    assert len(shown) > 100 and set(shown) <= known


def test_pictures_are_beside_the_markdown(campaign, written):
    files = re.findall(r"!\[.+\]\((report_files/[^)]+)\)", written[1])
    assert {f"report_files/{path.name}" for path in (campaign / "report_files").iterdir()} == set(files)
    assert any(name.endswith("convergence.svg") for name in files)
    assert all((campaign / name).read_bytes()[:4] in (b"\x89PNG", b"<?xm") for name in files)


def test_names_are_escaped(written):
    text, markdown = written
    assert "<b>" not in text and "<i>" not in text and "<rate>" not in text
    assert "no <i>good</i> | at all" in html.unescape(text) and "-<rate> u" in html.unescape(text)
    assert r"no \<i\>good\</i\> \| at all" in markdown and r"Decay \| u' = -u & u \< 2." in markdown
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    counts = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    assert all(b == a for a, b, rule in zip(counts, counts[1:], tables[1:], strict=False) if rule.startswith("|---"))


def test_links_of_the_markdown_lead_to_headings(written):
    headings = [anchor(re.sub(r"\\(.)", r"\1", h)) for h in re.findall(r"^## (.+)$", written[1], re.MULTILINE)]
    assert len(headings) == 3
    links = re.findall(r"\]\(#([^)]*)\)", written[1])
    assert len(links) == 3 and set(links) <= set(headings)


def test_made_twice_it_is_the_same(store):
    first = {p.name: p.read_bytes() for p in [write(store), store / "report.md", *(store / "report_files").iterdir()]}
    (store / "report_files" / "old.png").write_bytes(b"")
    again = {p.name: p.read_bytes() for p in [write(store), store / "report.md", *(store / "report_files").iterdir()]}
    assert first == again


# Content ----------------------------------------------------------------------------------------------------------


def test_results_are_those_stored(campaign, written):
    results = {}
    for path in campaign.glob("runs/*/result.json"):
        result = json.loads(path.read_text())
        results.setdefault(result["problem"], []).append(result)
    assert len(results["decay"]) == 5 and len(results["inverse"]) == 1
    for text in (" ".join(Page(written[0]).sections), written[1]):
        for result in (r for found in results.values() for r in found):
            assert f"{result['relative_l2']:.1e}" in text if result["relative_l2"] else result["problem"] == "inverse"
        found = results["inverse"][0]["unknowns"]["rate"]
        low, high = found["interval"]
        assert f"[{low:.6g}, {high:.6g}]" in text and f"{found['standard_error']:.1e}" in text
        for word in results["decay"][0]["versions"].values():
            assert word in text
        assert "Decay | u' = -u & u < 2." in text.replace("\\", "") and "rate=2" in text


def test_a_failed_run_is_shown(written):
    page = Page(written[0])
    assert "2 passed" not in page.sections[0] and "1 failed" in page.sections[0]
    assert "✗" in page.sections[3] and "ValueError: no <i>good</i> | at all" in page.sections[3]
    assert "1 of them failed" in page.sections[0] and "**✗ failed**" in written[1]


def test_what_is_missing_is_said(store):
    asked = json.loads((store / "campaign.json").read_text())
    asked["options"]["seeds"] = 2
    write_json(store / "campaign.json", asked)
    text = write(store).read_text(encoding="utf-8")
    page, markdown = check_form(text), (store / "report.md").read_text(encoding="utf-8")
    for said in (page.sections[0], markdown):
        assert "not complete: 3 run(s) are missing" in said and "7 of 10 stored" in said
    assert all("? missing" in section for section in page.sections[1:])


def test_a_campaign_that_has_hardly_begun(store):
    shutil.rmtree(store / "runs")
    page = check_form(write(store).read_text(encoding="utf-8"))
    assert "3 run(s) are missing" in page.sections[0] and "0 of 3 stored" in page.sections[0]


def test_runs_of_another_file_are_counted_apart(store, campaign):
    """They are not those of the problem as it is now; one that cannot be read any more is none of the report's."""
    asked = json.loads((store / "campaign.json").read_text())
    changed = store / "a <b> & c.py"
    changed.write_text("def problem(:\n")
    asked["options"]["names"][2] = str(changed)
    write_json(store / "campaign.json", asked)
    page = check_form(write(store).read_text(encoding="utf-8"))
    assert "1, of other settings, versions" in page.sections[0] and "1 run(s) are missing" in page.sections[0]


def test_commands_give_the_numbers_again(campaign, written):
    commands = [line for line in written[1].splitlines() if line.startswith("OMP_NUM_THREADS=1 ")]
    words = [shlex.split(command)[1:] for command in commands]
    assert {w[0] for w in words} == {"repnet-pde", "python"} and len(words) == 7
    assert ["repnet-pde", "identify", str(campaign.parent / "inverse.py"), "--seed", "0"] in words
    statement = next(w[2] for w in words if w[0] == "python")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(statement, {})
    error = eval(printed.getvalue())["relative_l2"]
    stored = [json.loads(path.read_text())["relative_l2"] for path in campaign.glob("runs/decay*/result.json")]
    assert error in stored


# Comparison -------------------------------------------------------------------------------------------------------


ERRORS = {"repnet": 1e-3, "fnn": 1e-1, "siren": 1e-4}
"""Of Adam at 2 s; at 1 s they are twice as large, and under least squares all are 1e-8, but siren's fail."""


def hand_written(store, run, error, failed=None):
    folder = store / "runs" / run.key
    folder.mkdir(parents=True)
    times = [0.1, 0.5, run.time_limit]
    write_json(
        folder / "result.json",
        {"relative_l2": error, "wall_seconds": run.time_limit, "n_parameters": 1234, "versions": {"torch": "9.9"}},
    )
    history = {"seconds": times, "relative_l2": [1.0, None, error], "iteration": [0, 1, 2], "loss": [1.0] * 3}
    write_json(folder / "history.json", history)
    outcome = {"run": run.__dict__, "error": failed, "seconds": run.time_limit + 1, "peak_memory_mib": 5.0}
    write_json(folder / OUTCOME, outcome)


@pytest.fixture
def compared(tmp_path):
    """A comparison on one problem, with stored runs that were made up."""
    (tmp_path / "decay.py").write_text(DECAY)
    plan = Plan((str(tmp_path / "decay.py"),), tuple(ERRORS), ("adam", "least-squares"), (1.0, 2.0), seeds=2)
    store = tmp_path / "compared"
    with Campaign(store, "compare", plan.__dict__, "repnet-pde compare"):
        pass
    settings = {}
    for key, runs in plan.searches().items():
        for i, run in enumerate(runs):
            hand_written(store, run, 0.3 - 0.1 * i)
        settings[key] = {"omega": 100.0}
    for (_, network, method, budget), runs in plan.runs(settings).items():
        for run in runs:
            error = 1e-8 if method == "least-squares" else ERRORS[network] * (2 / budget) * (1 + run.seed)
            fails = network == "siren" and method == "least-squares"
            hand_written(store, run, error, "TrainingError: the loss <became> NaN" if fails else None)
    return store


def test_comparison_says_who_wins_and_where_not(compared):
    text = write(compared).read_text(encoding="utf-8")
    page, markdown = check_form(text), (compared / "report.md").read_text(encoding="utf-8")
    assert "repnet is better in 2 of 4 comparisons" in markdown
    assert page.sections[0].index("is better in") < page.sections[0].index("Machines")
    assert "no limit" in markdown
    assert "▲ 1 of 1, 100×" in markdown and "▼ 0 of 1, 0.1×" in markdown
    assert "decay.py" in markdown[markdown.index("Where repnet is not better") :].split("##")[0]
    assert "**★ 1.5e-04<br>[1.0e-04, 2.0e-04]**" in markdown and "1.5e-01<br>[1.0e-01, 2.0e-01]" in markdown
    assert "3.0e-04<br>[2.0e-04, 4.0e-04]" in markdown
    assert "2 of 2 run(s) failed: TrainingError: the loss <became> NaN" in page.sections[1]
    assert "omega=100: 1.0e-01" in page.sections[1] and "omega=30: 3.0e-01" in page.sections[1]
    shown = {n for section in page.sections for n in numbers(section)}
    assert shown <= set(numbers(markdown))


def test_comparison_that_is_not_complete(compared):
    for path in sorted(compared.glob("runs/*"))[:3]:
        shutil.rmtree(path)
    page = check_form(write(compared).read_text(encoding="utf-8"))
    assert "run(s) are missing" in page.sections[0]
    shutil.rmtree(compared / "runs")
    page = check_form(write(compared).read_text(encoding="utf-8"))
    assert "There is nothing to be compared as yet" in page.sections[0] and "missing" in page.sections[1]


# Bad input --------------------------------------------------------------------------------------------------------


def test_directories_without_a_campaign(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="directory: .* holds no campaign"):
            write(path)
    asked = {"kind": "marathon", "options": {}, "command": ""}
    write_json(tmp_path / "campaign.json", asked)
    with pytest.raises(InputError, match="'marathon' is not known; choose from validate, compare"):
        write(tmp_path)
    write_json(tmp_path / "campaign.json", {"kind": "validate"})
    with pytest.raises(InputError, match="is damaged, it has no 'command'"):
        write(tmp_path)
    (tmp_path / "campaign.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["campaign.json"]


# Pictures and words -----------------------------------------------------------------------------------------------


def test_median_of_curves_is_of_what_was_recorded_last():
    runs = [([1.0, 2.0, 4.0], [8.0, 4.0, 1.0]), ([1.0, 3.0], [6.0, None]), ([2.0, 4.0], [2.0, 0.5])]
    times, errors = median_curve(runs)
    assert times[0] == pytest.approx(1) and times[-1] == pytest.approx(4)
    at = dict(zip(times.round(12), errors, strict=True))
    assert at[1.0] == 8.0  # of 8, 6 and nothing
    assert errors[np.searchsorted(times, 2.5)] == 4.0 and errors[-1] == 1.0
    assert np.isnan(median_curve([([2.0, 4.0], [1.0, 1.0]), ([1.0], [1.0]), ([4.0], [1.0])])[1][0])
    assert len(median_curve([])[0]) == len(median_curve([([], [])])[0]) == 0


def test_pictures_shrink(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 2 * WIDEST, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    data, wide = shrunk(tmp_path / "a.png")
    image = Image.open(io.BytesIO(data))
    assert wide and image.size == (WIDEST, 150) and len(data) < (tmp_path / "a.png").stat().st_size / 5


def test_convergence_is_drawn_the_same_twice():
    pairs = [(10.0, 1e-2), (20.0, 1e-3), (40.0, 1e-4)]
    first = convergence("features", pairs, pairs, -3.3)
    assert first == convergence("features", pairs, pairs, -3.3) != convergence("features", pairs, pairs, None)
    assert b"<svg" in first and len(first) < 60_000


def test_words_for_numbers():
    assert [seconds(v) for v in (None, 0.0123, 5.96, 99.4, 99.6, 1234.5)] == ["–", "0.012", "6", "99", "100", "1234"]
    assert [duration(v) for v in (2.0, 120.0, 5999.0, 7260.0)] == ["2 s", "2 min", "1 h 40 min", "2 h 1 min"]
    assert [factor(v) for v in (0.123, 12.0, 1234.0, 1e5, float("inf"))] == ["0.12", "12", "1234", "1.0e+05", "∞"]
    assert digits(1.9999995, 2.0000005) == 9 and digits(1.0, 2.0) == 6 and digits(2.0, 2.0) == 16


def test_a_run_that_did_not_reach_the_end_of_time_has_failed():
    """However small its error is up to the time reached."""
    for until, outcome in ((None, validation.PASSED), (0.25, validation.FAILED)):
        run = {
            "errors": {"by_output": {"u": 1e-9}, "until": until},
            "relative_l2": 1e-9,
            "unknowns": {},
            "stopped": "marching: stalled at t = 0.25",
        }
        found = types.SimpleNamespace(errors=[1e-9], runs=[run])
        (check,) = validation._errors(found, 1e-6, False)
        assert check.outcome == outcome and ("stalled at t = 0.25" in check.said) == (until is not None)
