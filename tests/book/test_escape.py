"""Words that came from data are words on a page: no tag, no link, no raw block and no formula of theirs comes through."""

import csv
import json
import shlex
from itertools import count

import book_fixture
import pandas as pd
import pytest
from book_fixture import COHORTS, ROOT, fabricate

from modts import runs
from modts.book import figures, fragments, pages, plots, tables
from modts.errors import ModtsError
from modts.study import cli

bs4 = pytest.importorskip("bs4", reason="needs the extra 'book'")
pytest.importorskip("myst_parser", reason="needs the extra 'book'")

PLANTED = (
    '{n} <script>evil()</script> "><img src=x onerror=evil()> <b id=evil>\n```\n<i id=evil>\n\n# evil\n\n````{{raw}} html\n<u id=evil>\n````'
    "\n:::{{raw}} html\n<u id=evil>\n:::\n[evil](javascript:evil()) <javascript:evil()> ![evil](x) {{raw-html}}`<u id=evil>` {{{{ evil }}}} "
    "**evil** `evil` $\\evil$ &lt;s id=evil&gt; [x]{{#evil}} \u202e :evil"
)
_number = count()


def planted() -> str:
    return PLANTED.format(n=f"plant{next(_number)}")


def rendered(text: str):
    """A generated piece as docutils and MyST make HTML of it; sphinx-design's boxes stand for themselves."""
    from docutils import nodes
    from docutils.core import publish_string
    from docutils.parsers.rst import Directive, directives, roles
    from myst_parser.parsers.docutils_ import Parser

    class Box(Directive):
        has_content, optional_arguments, final_argument_whitespace = True, 1, True
        option_spec = {"open": directives.flag, "class": directives.unchanged}

        def run(self):
            box = nodes.container()
            self.state.nested_parse(self.content, self.content_offset, box)
            return [box]

    for name in ("div", "dropdown"):
        directives.register_directive(name, Box)
    for role in ("download", "term"):  # Sphinx's own
        roles.register_local_role(role, lambda name, *args, **more: ([nodes.inline(text=name)], []))
    settings = {
        "myst_enable_extensions": ["attrs_inline", "colon_fence", "deflist"],
        "report_level": 2,
        "halt_level": 2,  # a warning fails the build of the book
        "line_length_limit": 10_000_000,  # as Sphinx has it: data stand on one line
        "embed_stylesheet": False,
        "doctitle_xform": False,
        "myst_suppress_warnings": ["myst.header"],
        "myst_all_links_external": True,  # other pages are not here; the built book's links are tested elsewhere
    }
    html = publish_string(text, parser=Parser(), writer_name="html5", settings_overrides=settings).decode()
    return bs4.BeautifulSoup(html, "html.parser")


def harmless(soup, where: str) -> None:
    for data in soup.find_all("script", type="application/json"):  # of a picture to play with: read as data, never run
        assert "<" not in data.string and json.loads(data.string), where
        data.decompose()
    for own in soup.find_all("script", src="../../_static/play.js"):
        own.decompose()
    for tag in soup.find_all(True):
        assert tag.name not in ("script", "iframe", "s", "u"), f"{where}: <{tag.name}> {tag}"
        assert not [name for name in tag.attrs if name.startswith("on")], f"{where}: {tag}"
        assert tag.get("id") != "evil" and "evil" not in tag.get("class", []), f"{where}: {tag}"
        assert "evil" not in tag.get("href", "") or tag["href"].startswith("#"), f"{where}: {tag}"
        assert tag.name not in ("b", "i", "em", "strong", "h1", "code") or tag.get_text().strip() != "evil", (
            f"{where}: {tag}"
        )
        assert tag.name != "img" or tag["src"].startswith("/book/_generated/"), f"{where}: {tag}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "data").symlink_to(ROOT / "book" / "data")
    for name, folder in {"MODTS_HOME": "", "MODTS_RESULTS": "results", "MODTS_WORK": "work"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(figures, "svg", lambda figure: "<svg/>")
    return tmp_path


def test_no_field_of_data_marks_up_a_page(home, monkeypatch):
    fields = ("title", "licence", "citation", "target", "target_unit", "source", "split_by", "content_hash")
    for row in COHORTS.values():
        for field in fields:
            monkeypatch.setitem(row, field, planted())
        monkeypatch.setitem(row, "notes", {planted(): planted(), "list": [planted()], "best_auroc": planted()})
    monkeypatch.setattr(book_fixture, "HARDWARE", planted())
    fabricate(home, "full")
    for path in home.rglob("runs/*.json"):
        record = json.loads(path.read_text())
        record |= {"packages": {planted(): planted()}, "code_version": planted(), "started": planted()}
        record["params"] |= {"size": planted(), "note": planted()}
        if record["stage"] == "transfer":
            record["params"] |= {"source": "simulated_icu", "cohort": record["rows"][0]["cohort"]}
            pair = {"variable": planted(), "factor": 2.0, "offset": 0.0}
            record["overlap"] = {
                "n_shared": 3,
                "n_source": 5,
                "n_target": 4,
                "source_only": [planted()],
                "pairs": [pair],
            }
        path.write_text(json.dumps(record))
    assert pages.build(force=True)
    pieces = sorted(fragments.out_dir().glob("*.md"))
    assert len(pieces) == len(pages.PAGES)
    seen = ""
    for path in pieces:
        soup = rendered(path.read_text())
        harmless(soup, path.name)
        seen += soup.get_text()
    assert "evil" in seen and "<script>evil()</script>" in seen, "what is written must be readable"
    assert "the target lacks plant" in seen and "units were converted for plant" in seen


@pytest.mark.parametrize("field", ["title", "licence", "citation", "source", "notes"])
def test_a_field_alone_is_escaped(home, monkeypatch, field):
    for row in COHORTS.values():
        monkeypatch.setitem(row, field, {"a": planted()} if field == "notes" else planted())
    monkeypatch.setattr(pages, "PAGES", {"cohorts": pages.PAGES["cohorts"]})
    fabricate(home, "quick")
    pages.build(force=True)
    soup = rendered((fragments.out_dir() / "cohorts.md").read_text())
    harmless(soup, field)
    assert "plant" in soup.get_text()


@pytest.mark.parametrize(
    "text",
    [
        "a < b & c > d",
        "_x_ *y* `z` [l](m)",
        "$5 and $6",
        "# 1",
        "- 2",
        "C:\\new",
        "1. x",
        "::: w",
        "Größe, 5 µg/l (±2 %)",
    ],
)
def test_plain_words_are_read_as_they_are(text):
    assert rendered(f"x {fragments.plain(text)} y").get_text().split("x ", 1)[1].split(" y")[0] == text
    assert rendered(fragments.bullets([text])).find("li").get_text().strip().removeprefix("1. ") == text.removeprefix(
        "1. "
    )
    assert rendered(fragments.heading(2, text)).find(["h1", "h2"]).get_text() == text


def test_a_fence_is_longer_than_any_in_it():
    inside = "<p>a\n```\n````\n**b**</p>"
    assert fragments.raw(inside).startswith("`````{raw} html\n") and fragments.raw(inside).count("`````") == 2
    assert "**b**" in str(rendered(fragments.raw(inside)))


def test_no_cell_of_a_table_to_download_is_a_formula(home, monkeypatch):
    monkeypatch.setattr(book_fixture, "HARDWARE", '=HYPERLINK("http://x")')
    monkeypatch.setattr(pages, "PAGES", book_fixture.from_rows())
    for row in COHORTS.values():
        monkeypatch.setitem(row, "title", "@SUM(1)")
        monkeypatch.setitem(row, "licence", "-1+1")
        monkeypatch.setitem(row, "citation", "+cmd|x")
    fabricate(home, "full")
    pages.build(force=True)
    found = 0
    for path in fragments.out_dir().glob("*.csv"):
        with open(path, newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    found += cell.startswith("'")
                    assert cell[:1] not in "=+@-\t\r" or not cell or float(cell) == float(cell), f"{path.name}: {cell}"
    assert found > 100


def test_a_table_of_runs_holds_no_formula():
    from modts.study import collect

    text = collect.table([{"a": "=1+1", "b": -0.5, "c": "-0.5", "d": "\tx"}], ("a", "b", "c", "d"))
    assert text.splitlines()[1] == "'=1+1,-0.5,-0.5,'\tx"


@pytest.mark.parametrize("column", ["profile", "cohort", "source"])
def test_a_row_names_no_file_elsewhere(home, column):
    fabricate(home, "quick")
    path = home / "work" / "quick" / "metrics.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[0, column] = "../../x"
    frame.to_csv(path, index=False)
    with pytest.raises(ModtsError, match=f"The {column} name '../../x' cannot be part of a file's name"):
        pages.build(force=True)


def test_a_command_to_copy_runs_nothing_else():
    record = {"stage": "heads", "params": {"cohort": "a$(touch x).npz", "heads": ["it's"], "epochs": 3}}
    assert fragments.command(record) == (
        "papermill notebooks/heads.ipynb out.ipynb -p cohort 'a$(touch x).npz' -y 'heads: [\"it'\"'\"'s\"]' -p epochs 3"
    )


def test_the_command_of_baselines_is_one_that_the_command_line_reads_back(monkeypatch):
    params = {"cohort": "a$(touch x).npz", "seeds": [0, 1], "gru_settings": {"lr": 0.01}, "variant": ""}
    _, name, *rest = shlex.split(fragments.command({"stage": "baselines", "params": params}))
    asked = []
    monkeypatch.setattr(cli, "_run_stage", lambda stage, values: asked.append((stage, values)))
    assert cli.main([name, *rest]) == 0
    assert asked == [("baselines", {key: value for key, value in params.items() if value})]


def test_a_title_is_no_formula_in_a_picture_or_in_latex():
    table = tables.Table("\\input{x} $a$ ~ ^", ["a"], [["b"]])
    assert r"\caption{\textbackslash{}input\{x\} \$a\$ \textasciitilde{} \textasciicircum{}}" in table.latex()
    rows = pd.DataFrame(
        [
            {
                "backbone": "SAITS",
                "arm": "frozen",
                "head": "simple",
                "pooling": "paper",
                "value": 0.8,
                "low": 0.7,
                "high": 0.9,
            }
        ]
    )
    figures.svg(plots.dots([("$\\evil$ and $x", rows)], "auroc", True))


def test_places_of_results_are_plain(home):
    fabricate(home, "quick")
    path = home / "work" / "quick" / "cohorts.json"
    runs.write_json(path, {"../x": COHORTS["simulated_icu"] | {"name": "../x"}})
    with pytest.raises(ModtsError, match="The cohort name '../x'"):
        pages.build(force=True)
