"""The book builds without a warning, every picture has words, and every link leads somewhere.

The results here are drawn at random into a temporary folder, so that these tests need no run to have been made; the
built book is shared with test_browser.py through the fixture in `book_fixture.py`.
"""

import re
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from book_fixture import (  # noqa: F401
    COHORTS,
    ROOT,
    benchmark_rows,
    book,
    build_book,
    fabricate,
    write_benchmarks,
)

from modts.book import figures, fragments, pages, plots, results, tables, verdicts
from modts.book import speed as speed_pages
from modts.errors import ModtsError

bs4 = pytest.importorskip("bs4", reason="needs the extra 'book'")


@pytest.fixture(scope="module")
def built(book):  # noqa: F811
    """Every page of the built book, parsed."""
    return {
        path: bs4.BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(book.rglob("*.html"))
        if "_static" not in path.parts
    }


def test_every_picture_says_what_it_shows(built):
    pictures = 0
    for path, soup in built.items():
        for image in soup.find_all("img"):
            pictures += 1
            words = (image.get("alt") or "").strip()
            assert len(words) >= 20, f"{path.name}: {image.get('src')} has the alt text {words!r}"
            assert not words.endswith((".svg", ".png")), f"{path.name}: alt text is a file name: {words}"
        for drawing in soup.select(
            "article svg"
        ):  # icons of the theme are hidden from readers, everything else needs a title
            hidden = drawing.get("aria-hidden") == "true" or "sd-octicon" in drawing.get("class", [])
            assert hidden or drawing.find("title") or drawing.get("aria-label"), f"{path.name}: an svg without a title"
    assert pictures >= 10


def test_internal_links_resolve(built, book):  # noqa: F811
    anchors = {path.resolve(): {tag["id"] for tag in soup.find_all(id=True)} for path, soup in built.items()}
    broken = []
    for path, soup in built.items():
        for tag, name in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
            for element in soup.find_all(tag):
                link = element.get(name)
                if not link or urlparse(link).scheme:
                    continue
                place, _, part = link.partition("#")
                target = (path.parent / unquote(place.split("?")[0])).resolve() if place else path.resolve()
                if not target.exists():
                    broken.append(f"{path.name} -> {link}")
                elif part and target in anchors and unquote(part) not in anchors[target] and element.name == "a":
                    broken.append(f"{path.name} -> {link} (no such place)")
    assert not broken, "\n".join(sorted(set(broken)))


def test_no_page_loads_anything_from_the_network(built):
    for path, soup in built.items():
        for element in soup.find_all(["script", "img", "link", "iframe"]):
            link = (
                element.get("src") or (element.get("href") if "canonical" not in element.get("rel", []) else "") or ""
            )
            assert not urlparse(link).netloc, f"{path.name} loads {link}"


@pytest.mark.parametrize("page", sorted((ROOT / "book" / "results").glob("*.md")), ids=lambda path: path.stem)
def test_no_number_is_typed_on_a_result_page(page):
    words = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    words = re.sub(r"\{cite:p\}`[^`]*`|\]\([^)]*\)|PhysioNet 20(12|19)", "", words)
    assert not re.search(r"\d", words), f"{page.name} holds a typed number: {re.findall(r'.{20}[0-9].{20}', words)}"


@pytest.mark.parametrize("kind", ["none", "quick", "partial", "full"])
def test_pieces_are_made_whatever_was_run(kind, tmp_path, monkeypatch):
    fabricate(tmp_path, kind)
    (tmp_path / "book").mkdir()
    for folder in ("data", "learn"):
        (tmp_path / "book" / folder).symlink_to(ROOT / "book" / folder)
    monkeypatch.setenv("MODTS_HOME", str(tmp_path))
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "work"))
    monkeypatch.setattr(figures, "svg", lambda figure: "<svg/>")  # drawing is tested with the built book
    assert pages.build()
    assert not pages.build(), "nothing changed, and yet the pieces were written again"
    out = fragments.out_dir()
    front, text = (out / "front.md").read_text(), (out / "classification.md").read_text()
    assert front.count("\n- ") + front.startswith("- ") == 3, "the front page answers in three sentences"
    speed = (out / "speed.md").read_text()
    if kind == "none":
        assert "not been made yet" in front and "Not here yet" in text
        assert "Not here yet" in speed and "have not been measured yet" in speed
    if kind == "quick":
        assert "results on real data are not here yet" in front
        assert "not tested here yet" in (out / "claims.md").read_text()
    if kind == "partial":
        assert tables.NOT_RUN in text
        assert speed.count("not been measured yet") >= 2 and "<strong>missed</strong>" in speed
    if kind == "full":
        assert tables.NOT_RUN not in text.split("## Simulated")[0]
        assert "LightGBM" in text and "standard error" in text
    for piece in (text, speed):
        assert "nan" not in piece.lower().replace("finance", ""), "a missing number was printed"


def test_a_picture_without_words_is_refused(tmp_path):
    for words in ("", "  ", "front", "short"):
        with pytest.raises(ModtsError, match="alt text"):
            figures.save(lambda narrow: None, "front", words, "caption", tmp_path)


def _row(**values):
    base = {
        "profile": "cpu",
        "cohort": "c",
        "task": "classification",
        "backbone": "SAITS",
        "arm": "frozen",
        "head": "simple",
        "pooling": "paper",
        "label_fraction": 1.0,
        "pattern": "point",
        "metric": "auroc",
        "source": "",
        "low": 0.0,
        "high": 1.0,
        "n_test": 800,
        "hardware": "CPU x",
        "run": "r",
        "place": "published",
    }
    return base | values


def test_bold_only_outside_the_noise():
    near = pd.DataFrame(
        [_row(value=0.85, low=0.82, high=0.88), _row(backbone="BRITS", value=0.83, low=0.80, high=0.86)]
    )
    assert tables.clear_winner(near, "auroc") is None
    far = pd.DataFrame([_row(value=0.85, low=0.82, high=0.88), _row(backbone="BRITS", value=0.75, low=0.70, high=0.80)])
    assert tables.clear_winner(far, "auroc") == 0
    assert tables.clear_winner(far, "mae") == 1
    paired = pd.DataFrame(
        [
            {
                "profile": "cpu",
                "cohort": "c",
                "task": "classification",
                "metric": "auroc",
                "label_fraction": 1.0,
                "split_seed": "",
                "a": "BRITS/frozen/simple",
                "b": "SAITS/frozen/simple",
                "p": 0.001,
            }
        ]
    )
    assert tables.clear_winner(near, "auroc", paired) == 0
    assert "<strong>0.850</strong>" in tables.grid(near, "auroc", "caption", paired).html()
    assert "<strong>" not in tables.grid(near, "auroc", "caption").html()


def test_no_interval_is_invented_and_devices_stay_apart():
    rows = pd.DataFrame(
        [
            _row(split_seed=0, init_seed=0, value=0.8, low=0.7, high=0.9),
            _row(split_seed=1, init_seed=1, value=0.9, low=0.8, high=1.0),
            _row(split_seed=0, init_seed=0, value=0.5, low=0.4, high=0.6, hardware="GPU NVIDIA H100"),
        ]
    )
    summary = results.summarise(rows)
    assert sorted(summary["device"]) == ["CPU", "GPU"]
    cpu = summary[summary["device"] == "CPU"].iloc[0]
    assert cpu["value"] == pytest.approx(0.85) and pd.isna(cpu["low"]) and cpu["seeds"] == 2


def test_standard_error_of_one_auroc():
    # Hanley and McNeil's formula for 112 deaths among 800 stays at 0.85
    assert tables.auroc_standard_error(0.85, 112, 688) == pytest.approx(0.023, abs=0.002)


def test_latex_is_escaped():
    table = tables.Table("10 % & more", ["a_b", "c"], [["x", tables.Cell("0.1", "0.0–0.2", bold=True)]])
    assert r"10 \% \& more" in table.latex() and r"a\_b" in table.latex() and r"\textbf{0.1}" in table.latex()


def test_verdicts_follow_the_rows(tmp_path, monkeypatch):
    fabricate(tmp_path, "full")
    monkeypatch.setenv("MODTS_HOME", str(ROOT))
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "nowhere"))
    found = results.collect()
    outcome = {one.id: one for one in verdicts.verdicts(found)}
    assert list(outcome) == [f"P{number}" for number in range(1, 11)]
    row = found.summary.query(
        "cohort == 'physionet_2012' and arm == 'e2e_shipped' and backbone == 'SAITS' and metric == 'auroc' "
        "and label_fraction == 0.1"
    ).iloc[0]
    assert (outcome["P3"].word == verdicts.DIFFERS) == (row["low"] > 0.465)
    assert outcome["P6"].word == verdicts.UNTESTED  # BeijingAir is not among the made-up results
    assert outcome["P1"].word != verdicts.DIFFERS  # a best over all data sets cannot fail on one of them


def test_a_local_quick_run_hides_its_published_copy(tmp_path, monkeypatch):
    fabricate(tmp_path, "full")
    (tmp_path / "published").mkdir()
    (tmp_path / "work" / "quick" / "metrics.csv").rename(tmp_path / "published" / "metrics.csv")
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "published"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "work"))
    published = results.collect().metrics
    assert set(published["place"]) == {results.PUBLISHED}
    published.iloc[:3].drop(columns="place").to_csv(tmp_path / "work" / "quick" / "metrics.csv", index=False)
    both = results.collect().metrics
    assert set(both[both["run"] == published["run"].iloc[0]]["place"]) == {results.LOCAL}
    assert results.PUBLISHED in set(both["place"])


def test_second_build_changes_no_page(book):  # noqa: F811
    before = {path: path.stat().st_mtime_ns for path in book.rglob("*.html")}
    build_book(book.parents[1])
    changed = {path.name for path in before if path.stat().st_mtime_ns != before[path]}
    assert changed <= {"genindex.html", "search.html", "index.html"}, changed


def test_every_cohort_with_results_is_described(request, built, book):  # noqa: F811
    if "made up" not in request.node.callspec.id:
        pytest.skip("The published cohorts are described by the cohorts' own tests.")
    page = built[book / "book" / "data.html"].get_text()
    for row in COHORTS.values():
        assert row["title"] in page and row["licence"] in page and row["citation"] in page


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """measured(rows): the results that hold these benchmark rows."""
    monkeypatch.setenv("MODTS_HOME", str(ROOT))
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "nowhere"))
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path / "out")
    monkeypatch.setattr(figures, "svg", lambda figure: "<svg/>")

    def write(rows):
        write_benchmarks(tmp_path, rows)
        return results.collect()

    return write


def test_the_speed_page_counts_targets_and_says_what_is_missed(measured):
    rows = benchmark_rows()
    page = speed_pages.speed(measured(rows))
    below = [row for row in rows if row["target"] != "" and float(row["ratio"]) < row["target"]]
    aimed = [row for row in rows if row["target"] != ""]
    assert 0 < len(below) < len(aimed)
    assert page.startswith(f"- Targets met: {len(aimed) - len(below)} of {len(aimed)}; missed: one in heads")
    assert page.split("\n\n")[0].count("- ") == 3
    assert page.count("<strong>missed</strong>") == len(below)
    assert page.count("<td>met<") == len(aimed) - len(below)
    unsure = [row for row in aimed if row["low"] != "" and row["low"] <= row["target"] <= row["high"]]
    assert 0 < len(unsure) == page.count("inside the spread") and page.count("small its quartiles") > 1
    assert {row["run"] for row in rows} <= set(re.findall(r"bench-\w+", page)), "a run is not named"
    assert "make bench" in page and "benchmarks.csv" in page


def test_costs_and_the_claim_on_latency_follow_the_rows(measured):
    rows = benchmark_rows()
    found = measured(rows).benchmarks
    sizes = speed_pages.costs(found)
    assert len(sizes) == 10 and set(sizes["backbone"]) == {"GRU-D", "SAITS"}
    assert (sizes["paid"] - sizes["once"] / (sizes["whole"] - sizes["head"])).abs().max() < 1e-9
    assert "1.8 tasks with GRU-D" in " ".join(speed_pages.headline(found, sizes[sizes["n"] == 2557]))
    assert "grows by a factor of 4, a head by 1, an end-to-end run by 4." in " ".join(speed_pages.growth(sizes))
    served = speed_pages.times(found)
    assert len(served) == 12 and not served.isna().any(axis=None)
    assert "With the code around them" in speed_pages.models_or_code(served)[0]
    slow = served.assign(their_forward=4 * served["forward"], theirs=4 * served["forward"] + 1)
    assert "The models alone reach" in speed_pages.models_or_code(slow)[0]
    assert "neither alone nor" in speed_pages.models_or_code(served.assign(theirs=served["ours"]))[0]
    never = sizes.assign(paid=float("inf"))
    assert "no number of tasks" in speed_pages.headline(found, never)[2]
    plots.tasks(never, narrow=True)  # draws no mark where there is none


def test_a_missed_target_says_what_the_machine_could_do(measured):
    found = measured(benchmark_rows())
    near = speed_pages.limits(found.benchmarks, found.roofline)
    assert len(near) == len(found.roofline) > 0
    heads, latents = (near[near["kind"] == kind].iloc[0] for kind in ("simple heads", "latents"))
    assert (heads["floor"], heads["bound"]) == (1, "arithmetic")  # 200 GFLOP at 200 a second
    assert (latents["floor"], latents["bound"]) == (0.1, "memory")  # 2 GB at 20 a second
    assert (heads["rate"], heads["intensity"]) == (100, 200)
    table = speed_pages._limits_table(near[near["ratio"] < near["target"]])
    assert len(table.rows) > 1
    for row in table.rows:  # scikit-learn: 3 at best, 4 wanted
        assert (row[3].small == "out of reach") == ("scikit-learn" in row[0].small)
    plots.roofline(near, narrow=True)
    page = speed_pages.speed(found)
    assert "200 GFLOP/s in a large matrix product or convolution, 20 GB/s" in page and "out of reach" in page
    assert (
        "the matrix products alone take 1.6 s, a ratio of 3.5; the target of 4 is out of reach for these operations"
        in page
    )


def test_benchmarks_write_what_the_page_reads():
    source = {path.stem: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}
    assert "from modts.book.results import BENCHMARKS, ROOFLINE" in source["conftest"]
    parts = {re.sub("^(bench|check)_", "", name) for name in source if re.match("(bench|check)_", name)}
    assert set(speed_pages.PARTS) == parts - {"limits"}  # those are rows of the roofline
    for words in (speed_pages.ONCE, speed_pages.HEAD, speed_pages.PAID):
        assert f'"{words}, {{what}}"' in source["bench_economics"]
    for words in (speed_pages.WHOLE, speed_pages.FLOOR, speed_pages.THEIR_FLOOR):
        assert f'"{words}"' in source["bench_serving"]
