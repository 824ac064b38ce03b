"""The book builds without a warning, every picture has words, and every link leads somewhere.

The results here are drawn at random into a temporary folder, so that these tests need no run to have been made; the
built book is shared with test_browser.py through the fixture in `book_fixture.py`.
"""

import json
import re
import types
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
from book_fixture import (  # noqa: F401
    BASELINES,
    COHORTS,
    ROOT,
    benchmark_rows,
    book,
    fabricate,
    from_rows,
    write_benchmarks,
)

from modts import runs
from modts.backbones import SIX
from modts.book import (
    answers,
    beyond,
    checks,
    cohorts,
    effects,
    figures,
    fragments,
    front,
    internals,
    pages,
    plots,
    prediction,
    prose,
    results,
    sections,
    status,
    tables,
    verdicts,
)
from modts.book import claims as claims_page
from modts.book import speed as speed_pages
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import auroc

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
    if kind != "none":
        monkeypatch.setattr(pages, "PAGES", from_rows())
    assert pages.build()
    assert not pages.build(), "nothing changed, and yet the pieces were written again"
    out = fragments.out_dir()
    assert not [piece.name for piece in out.glob("*.md") if "<tbody></tbody>" in piece.read_text()], (
        "a table without rows"
    )
    front, text = (out / "front.md").read_text(), (out / "classification.md").read_text()
    if kind != "none":
        words = front.split("\n")[0]
        assert re.match(r"\*\*(Yes|Partly|No)\.\*\* ", words) and words.count(". ") <= 3, (
            "a word, two sentences, whose mean"
        )
        assert not re.search(r"[+−]0\.", words), "no string of numbers"
        assert "**On what.**" in front and "**How sure" in front
    speed = (out / "speed.md").read_text()
    if kind == "none":
        assert "not been made yet" in front and "Not here yet" in text
        assert "Not here yet" in speed and "have not been measured yet" in speed
    if kind == "quick":
        assert "results on real data are not here yet" in front
        assert "not tested here yet" in (out / "claims.md").read_text()
    if kind == "partial":
        assert tables.NOT_RUN in text
        assert (
            speed.count("not been measured yet") >= 2
            and "<strong>missed</strong>" in (out / "internals.md").read_text()
        )
    if kind == "full":
        assert tables.NOT_RUN not in text.split("## Simulated")[0]
        lead = next(line for line in text.split("\n")[1:] if line)
        assert re.match(r"\*\*A linear layer on a frozen imputer .* with all labels\*\*: AUROC [+−]", lead), lead
        heads = re.findall(r'<th scope="col">([^<]*)</th>', text.split("<table")[1].split("</thead>")[0])
        assert heads == ["Backbone", "Frozen", "End to end", "As shipped", "Fine-tuned", "Untrained"]
        assert text.count("\n## ") + text.startswith("## ") == 2 and "dropdown} Simulated stays" in text
        assert "Figure 1 shows the differences" in text and "<span>Table 1.</span>" in text and "§" not in text
        assert (
            "LightGBM" in text
            and text.count("**Frozen minus fine-tuned**, mean of these six backbones: AUROC with all labels") == 2
        )
        assert "front-wide.svg" in front and "classification-physionet_2012-cpu-cpu-effects-narrow.svg" in text
        assert "**Complex minus simple**, mean of these six backbones: MAE" in (out / "regression.md").read_text()
        assert "with 10 % of the labels" in front and "Forest plot" in (out / "scarcity.md").read_text()
        for page in ("classification", "scarcity"):
            first = (out / f"{page}.md").read_text().split("## Simulated")[0]
            shown, folded = re.split(r"^:+\{dropdown\} All baselines$", first, flags=re.M)[:2]
            assert ">LightGBM</th>" in shown and ">GRU</th>" in shown and ">Logistic regression</th>" not in shown
            folded = re.split("^:+$", folded, flags=re.M)[0]
            assert all(f">{name}</th>" in folded for name in BASELINES["classification"])
            assert "TabICL: no weights were &#60;given&#62;." in folded
        moved = (out / "transfer.md").read_text().split("## Simulated")[0]
        said = r"\*\*A linear layer on a frozen imputer of another cohort .* this cohort's own imputer\*\*: AUROC [+−]"
        assert len(re.findall(said, moved)) == 1 and "mean of these two backbones" in moved
        assert (
            len(re.findall(r"\*\*Fine-tuning an imputer of another cohort .* this cohort's own\*\*: AUROC", moved)) == 1
        )
        assert "transfer-simulated_icu-physionet_2012-cpu-cpu-effects-wide.svg" in moved
        assert ">Transferred, fine-tuned + Simple</th>" in moved
        assert "**Transferred, fine-tuned minus fine-tuned**, mean of these two backbones: AUROC" in moved
        assert not any("ransferred" in (out / f"{page}.md").read_text() for page in ("classification", "front"))
        pictures, numbers_ = text.split("The differences in numbers")[:2]
        assert "Frozen minus GRU" not in pictures.split("Every question")[0] and "further questions" in numbers_
        imputed = (out / "imputation.md").read_text()
        ours, theirs = re.split(r"^:+\{dropdown\} What others report$", imputed, flags=re.M)[:2]
        assert ">0.257<" in ours and ">0.215<" not in ours  # TSI-Bench as printed, beside our own
        assert ">HELIX<" in theirs and ">0.215<" in theirs
        claims = (out / "claims.md").read_text()
        numbers = {word: place for place, word in enumerate(prose.WORDS)}
        counts = re.findall(r"(\w+) “(?=agree|differ|part|inside|cannot|not tested)", claims.split("\n")[0])
        assert claims.startswith("Of ten claims: ") and sum(numbers[word] for word in counts) == 10
        assert claims.split("</table>")[0].count("<tr>") == 11  # the heading and ten claims
    for words in ("are noise", "flatters itself"):
        assert words not in text
    for piece in (text, speed):
        assert "nan" not in piece.lower().replace("finance", ""), "a missing number was printed"


def _mean(verdict):
    return pd.Series({"verdict": verdict, "difference": 0.0, "low": -0.01, "high": 0.01})


@pytest.mark.parametrize(
    "e2e, rival, word",
    [
        ("equivalent", "equivalent", "Yes"),
        ("better", "better", "Yes"),
        ("equivalent", "worse", "Partly"),
        ("cannot tell", "better", "Partly"),
        ("worse", "better", "No"),
    ],
)
def test_the_front_pages_word_follows_from_the_verdicts(e2e, rival, word):
    means = {"frozen - e2e": _mean(e2e), **{name: _mean(rival) for name in front.QUESTIONS[1:]}}
    assert front.word({1.0: means, 0.1: means}) == word
    if word == "Yes":  # not as long as a simpler way was not asked
        assert front.word({1.0: means, 0.1: {"frozen - e2e": _mean(e2e)}}) == "Partly"
    assert front.word({}) == "Partly"


def test_figures_and_tables_are_numbered_through_a_page():
    mark = fragments.FIGURE.format
    pieces = {
        "a": f"{mark('x')} {fragments.TABLE}",
        "b": f"see {fragments.SEE.format('y')} {mark('y')} {fragments.TABLE}",
        "c": mark("z"),
    }
    made = fragments.number(pieces, [["a", "b", "elsewhere"], []])
    assert made == {"a": "Figure 1 Table 1", "b": "see Figure 2 Figure 2 Table 2", "c": "Figure 1"}


def test_the_first_real_cohort_is_unfolded_and_every_answer_shows():
    found = results.Results(*(pd.DataFrame() for _ in range(3)))
    rows = pd.DataFrame(
        [_row(cohort=name, device="CPU") for name in ("physionet_2012", "italy_air", "simulated_icu", "eicu", "zeta")]
    )

    def block(key, part):
        return f"answer {key[0]}", "" if key[0] == "eicu" else f"rest {key[0]}"

    text = sections.parted(found, rows, block)
    outside = re.sub(r"^(:{4,})\{dropdown\}.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "rest physionet_2012" in outside
    assert "answer italy_air" in outside and "rest italy_air" not in outside and "rest italy_air" in text
    assert "## More cohorts" in outside and "answer zeta" not in outside and "rest zeta" in text
    assert "simulated_icu" not in outside and "answer simulated_icu" in text and "eicu" not in text
    alone = sections.parted(found, rows[rows["cohort"] == "simulated_icu"], block)
    assert "dropdown" not in alone and "rest simulated_icu" in alone
    twice = pd.DataFrame([_row(cohort="italy_air", device="CPU", profile=name) for name in ("cpu", "headline")])
    text = sections.parted(
        found, twice, lambda key, part: (f"**{answers.FROZEN[0].upper()}{answers.FROZEN[1:]} wins**: it", "rest")
    )
    assert len(re.findall(r"^## .*$", text, flags=re.MULTILINE)) == 1 and "earlier protocol" not in text
    assert "{dropdown} The published sizes, on a GPU: frozen wins\n" in text


def test_a_box_names_its_cohort_once_and_as_it_is_written():
    found = results.Results(*(pd.DataFrame() for _ in range(3)))
    rows = pd.DataFrame([_row(cohort=name, device="CPU") for name in ("physionet_2012", "italy_air", "my_ward & co")])
    text = sections.parted(
        found, rows, lambda key, part: (f"**One of two wins on {fragments.plain(found.title(key[0]))}.**", "rest")
    )
    assert "{dropdown} my&#95;ward &#38; co: One of two wins.\n" in text and "**One of two wins on" in text


def test_the_untrained_network_is_told_where_it_is_ahead():
    rows = pd.DataFrame(
        [
            _row(task="regression", metric="mae", head="complex", arm=arm, backbone=name, value=value)
            for name, both in {"SAITS": (0.4, 0.3), "BRITS": (0.5, 0.2), "CSAI": (0.2, 0.3)}.items()
            for arm, value in zip(("frozen", "untrained"), both, strict=True)
        ]
    )
    few = rows.assign(label_fraction=0.1, value=0.9)  # speaks for itself elsewhere
    (words,) = prediction.untrained_ahead(pd.concat([rows, few]), "mae")
    assert (
        "for two of three backbones, most with BRITS (0.200 beside 0.500)" in words and "not tested in pairs" in words
    )
    (words,) = prediction.untrained_ahead(rows[rows["backbone"] == "CSAI"], "mae")
    assert "network has no lower error with CSAI, 0.300 beside 0.200." in words
    (words,) = prediction.untrained_ahead(rows[rows["backbone"] == "SAITS"], "mae")
    assert "network has the lower error with SAITS, 0.300 beside 0.400." in words


def test_a_picture_for_a_slide_stands_alone(tmp_path):
    def draw(narrow):
        figure, axes = figures.grid(2, narrow, 1.5)
        axes[0].plot([0, 1], [0, 1], label="a line")
        figures.legend(figure, axes, narrow)
        return figure

    title, caption = "PhysioNet, 800 test stays, after arXiv 2411.03941, in $ and cents", "What the marks mean. " * 9
    taken = figures.lone(draw(False), title, caption)
    above, below = taken.texts
    legend = taken.legends[0].get_window_extent()
    assert above.get_text().replace("\\$", "$").split() == title.split() and below.get_text().split() == caption.split()
    assert above.get_window_extent().y0 >= legend.y1 and below.get_window_extent().y1 <= taken.axes[0].bbox.y0
    for slide, names in (("", set()), (title, {"a.png", "a-slide.svg"})):
        folder = tmp_path / str(bool(slide))
        figures.save(draw, "a", "A line that rises from the left to the right.", caption, folder, slide)
        assert {path.name for path in folder.iterdir()} == {"a-wide.svg", "a-narrow.svg"} | names


def test_a_picture_without_words_is_refused(tmp_path):
    stem = "classification-physionet_2012-study"
    for words in ("", "  ", "short", stem):
        with pytest.raises(ModtsError, match="alt text"):
            figures.save(lambda narrow: None, stem, words, "caption", tmp_path)


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
    assert "<strong>0.850</strong>" in tables.grid(far, "auroc", "caption").html()
    assert "<strong>" not in tables.grid(near, "auroc", "caption").html()
    assert tables.clear_winner(near.assign(low=float("nan")), "auroc") is None


def test_the_strongest_baselines_are_shown_and_the_others_count_for_what_is_bold():
    def line(name, value, metric="auroc", fraction=1.0):
        return _row(
            backbone=name, arm="baseline", head="", metric=metric, label_fraction=fraction, value=value,
            low=value - 0.01, high=value + 0.01,
        )  # fmt: skip

    rows = pd.DataFrame(
        [
            line("A", 0.7),
            line("B", 0.9),
            line("C", 0.8),
            line("D", 0.6),
            line("D", 0.99, fraction=0.1),
            line("A", 0.2, "mae"),
        ]
    )
    assert tables.strongest(rows, "auroc") == ["B", "C"] and tables.strongest(rows, "mae") == ["A"]
    full = rows[rows["label_fraction"] == 1]
    made = tables.grid(full, "auroc", "", (), ["C", "A"])
    turned = tables.grid(
        pd.concat([full, full[:1].assign(arm="e2e", head="simple", backbone="SAITS")]), "auroc", "", turned=True
    )
    assert turned.header == ["Arm", "SAITS"] and [line[0] for line in turned.rows][:2] == ["End to end + Simple", "A"]
    assert turned.rows[0][1].text == "0.700" and turned.groups == {1: "Baselines"}
    assert [line[0] for line in made.rows] == ["C", "A"] and not any(line[1].bold for line in made.rows)
    every = tables.every_baseline(rows, ("auroc",), "")
    assert [line[0] for line in every.rows] == ["B", "C", "A", "D"]
    assert every.rows[3][1].text == "0.600" and every.rows[3][2].text == "0.990" and every.rows[0][2].absent
    assert set(tables.only_these(rows, ["B"])["backbone"]) == {"B"}


def test_devices_stay_apart_and_seeds_are_those_of_the_run():
    rows = pd.DataFrame(
        [
            _row(run="a", value=0.8, split_seed=""),
            _row(run="b", value=0.8, split_seed="", hardware="GPU NVIDIA H100"),
            _row(run="a", value=float("nan"), split_seed=""),
            _row(run="a", value=0.9, split_seed="3"),  # as in a table of before
        ]
    )
    summary = results.summarise(rows, {"a": {"params": {"seeds": [3, 4]}}})
    assert [*zip(summary["device"], summary["seeds"], strict=True)] == [("CPU", 2), ("GPU", 1)]


def test_standard_error_of_one_auroc():
    """Hanley and McNeil's is exact where both classes have exponential scores."""
    assert tables.auroc_standard_error(0.85, 1, 1) == pytest.approx((0.85 * 0.15) ** 0.5)  # one pair: yes or no
    rng, y = np.random.default_rng(0), np.repeat([1, 0], (15, 60))
    scales = np.where(y, 0.85 / 0.15, 1.0)  # a positive one's score is the larger with probability 0.85
    found = [auroc(y, rng.exponential(scales)) for _ in range(3000)]
    assert np.mean(found) == pytest.approx(0.85, abs=0.005)
    assert tables.auroc_standard_error(0.85, 15, 60) == pytest.approx(np.std(found), rel=0.05)


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
    every = [part for one in outcome.values() for part in one.parts if part.ours is not None]
    assert every and all(part.our_error or part.no_error for part in every)  # an error, or why there is none
    (times,) = outcome["P10"].parts
    assert times.our_error is None and "not stored" in times.no_error
    table = claims_page._table(found, list(outcome.values())).html()
    assert "single calls are not stored" in table and ">3.00<" in table and outcome["P10"].word != checks.DIFFERS
    row = found.summary.query(
        "cohort == 'physionet_2012' and arm == 'e2e_shipped' and backbone == 'SAITS' and metric == 'auroc' "
        "and label_fraction == 0.1"
    ).iloc[0]
    assert (
        row["low"] > 0.465 and outcome["P3"].word == checks.SMALL
    )  # nothing says that these runs had the paper's size
    assert outcome["P6"].word == checks.UNTESTED  # BeijingAir is not among the made-up results
    assert outcome["P1"].word != checks.DIFFERS  # a best over all data sets cannot fail on one of them


def _effect(**values):
    base = {
        "profile": "cpu", "cohort": "italy_air", "task": "regression", "question": "frozen - e2e", "backbone": "all", "label_fraction": 1.0,
        "metric": "mae", "test": "split", "difference": 0.1, "low": 0.05, "high": 0.15, "p": 0.001, "p_holm": 0.01, "family": "f",
        "n_splits": 3, "n_draws": 1, "verdict": "worse", "run": "r",
    }  # fmt: skip
    return base | ({"p_holm": 0.4} if values.get("verdict") == "equivalent" else {}) | values


def test_two_that_are_equivalent_and_surely_apart_are_told_so():
    def verb(**values):
        return answers.verb(pd.Series(_effect(verdict="equivalent", **values)))

    assert verb(metric="auroc", difference=-0.011, p_holm=0.001) == "does nearly as well as"
    assert verb(metric="auroc", difference=0.011, p_holm=0.001) == "does barely better than"
    assert verb(metric="mae", difference=0.011, p_holm=0.049) == "does nearly as well as"
    assert verb(metric="auroc", difference=-0.011, p_holm=0.05) == "does as well as"
    assert answers.verb(pd.Series(_effect(verdict="worse"))) == "does worse than"
    row = pd.Series(_effect(metric="auroc", verdict="equivalent", p_holm=np.float64(0.01)))
    ruled = "A mean difference that would matter (of more than 0.02) is ruled out"
    assert (
        front._surely(row, 2, False)
        == f"{ruled}; that it is not zero stands after the correction for its two shares of the labels."
    )
    row["p_holm"] = 0.2
    assert front._surely(row, 2, False) == f"{ruled}."
    sure = "The difference stands after the correction for its two shares of the labels"
    better = pd.Series(_effect(metric="auroc", verdict="better", low=0.01, high=0.03))
    assert front._surely(better, 2, False) == f"{sure}; whether it is more than 0.02 cannot be told."
    assert front._surely(pd.Series({**better, "low": 0.021}), 2, False) == f"{sure}."


def test_the_advice_names_the_network_that_is_ahead_of_trees_where_the_mean_is_not():
    about = {"metric": "auroc", "question": "frozen - LightGBM", "label_fraction": 0.1}
    some = pd.DataFrame([_effect(**about), *(_effect(**about, backbone=name) for name in ("GRU-D", "SAITS"))])
    means = {0.1: {"frozen - LightGBM": some.iloc[0]}}
    (line,) = front._advice(means, ["GRU-D", "SAITS"], some)
    assert "a head on a frozen imputer was not ahead of them here. " in line
    some.loc[some["backbone"] == "GRU-D", "verdict"] = "better"
    (line,) = front._advice(means, ["GRU-D", "SAITS"], some)
    assert "not ahead of them here in the mean; ahead alone: GRU-D with 10 % of the labels, +0.100 (+0.050" in line


def test_effects_in_sentences():
    rows = pd.DataFrame(
        [
            _effect(backbone=name, verdict=word)
            for name, word in (("SAITS", "worse"), ("BRITS", "cannot tell"), ("all", "worse"))
        ]
        + [_effect(metric="mse", difference=-0.2, low=-0.3, high=-0.1, verdict="better")]
        + [_effect(question="complex - simple", backbone="SAITS", verdict="equivalent")]
    )
    first, second = effects.facts(rows, ("mae", "mse"))
    assert first == (
        "**Frozen minus end to end**, mean of these two backbones: MAE +0.100 (+0.050 to +0.150), worse. MSE −0.200 (−0.300 to −0.100), "
        "better. Backbone by backbone (MAE): one worse, one cannot tell."
    )
    assert second == "**Complex minus simple**, SAITS: MAE +0.100 (+0.050 to +0.150), equivalent."


def test_a_few_networks_are_told_by_name_and_more_are_counted():
    rows = [_effect(backbone=name, verdict="worse") for name in ("A", "B", "C", "D", "E")]
    assert effects.each(pd.DataFrame(rows)) == "five worse"
    assert effects.each(pd.DataFrame(rows[:2])) == "A worse (+0.100), B worse (+0.100)"


def test_origins_of_a_series_are_no_seeds():
    rows = pd.DataFrame([{"seeds": 9}])
    three = {"params": {"seeds": [*range(9)]}, "data_hash": dict.fromkeys("012", "")}
    assert prose._origins(rows, [three, three]) == "three origins, three initialisations at each"
    once = {"params": {"seeds": [0, 1, 2]}, "data_hash": {"0": ""}}
    words = "three seeds, which are initialisations on one test period, so that nothing is said of other seasons"
    assert prose._origins(rows.assign(seeds=3), [once]) == words
    assert prose._origins(rows.assign(seeds=3), [once | {"data_hash": dict.fromkeys("012", "")}]) == (
        "three origins, one initialisation at each"
    )
    assert prose._origins(rows, [three, once]) == "nine seeds"


def test_a_table_of_few_names_who_did_not_run():
    table = tables.main(pd.DataFrame([_row(value=0.8), _row(backbone="BRITS", value=0.7)]), "auroc", "Scores")
    assert [row[0] for row in table.rows] == ["BRITS", "SAITS"]
    assert table.caption == "Scores; not run: GRU-D, CSAI, TimesNet, Autoformer"
    most = pd.DataFrame([_row(backbone=name, value=0.8) for name in ("BRITS", "GRU-D", "SAITS", "CSAI")])
    assert [row[0] for row in tables.main(most, "auroc", "Scores").rows] == list(SIX)


def test_the_freezes_are_told_with_their_reasons(monkeypatch):
    past = {"frozen": "2026-01-01T10:00:00Z", "why": ""}
    now = {"frozen": "2026-01-02T10:00:00Z", "why": "a network joins", "before": [past]}
    monkeypatch.setattr(runs, "frozen", lambda: now)
    told = status.freezes(None)
    assert "2026-01-01 10:00:00 UTC: the first." in told and "2026-01-02 10:00:00 UTC: a network joins." in told


def test_further_questions_have_tables_of_their_own():
    asked = ("frozen - e2e", "frozen - GRU", "lora - frozen")
    rows = pd.DataFrame([_effect(question=question, backbone="SAITS") for question in asked])
    first, second = effects.grids(rows, ("mae",), "Air")
    assert first.header == second.header == ["Difference", "SAITS"] and "further" not in first.caption
    assert [line[0] for line in first.rows] == ["Frozen minus end to end"]
    assert [line[0] for line in second.rows] == ["LoRA minus frozen", "Frozen minus GRU"]
    assert second.caption.endswith("Air, further questions")


def test_effects_over_cohorts_are_told_below_the_cohorts():
    found, _ = _claimed(_row(cohort="physionet_2012", value=0.8), 0.8)
    few, over = [_effect(cohort=name) for name in "ab"], _effect(cohort="all", verdict="cannot tell")
    found.effects = pd.DataFrame([*few, over])
    assert effects.over_cohorts(found, "regression", ("mae", "mse")) == ""  # two say nothing of a spread
    found.effects = pd.DataFrame([*few, _effect(cohort="c"), over])
    text = effects.over_cohorts(found, "regression", ("mae", "mse"))
    assert (
        "## Over these cohorts" in text
        and "**Frozen minus end to end**: MAE +0.100 (+0.050 to +0.150), cannot tell." in text
    )
    assert effects.over_cohorts(found, "classification", ("auroc",)) == ""


@pytest.mark.parametrize("narrow", [False, True])
def test_a_forest_says_which_side_is_better(narrow):
    rows = pd.DataFrame(
        [
            _effect(backbone=name, label_fraction=share, verdict=word)
            for name, word in (("SAITS", "worse"), ("BRITS", "cannot tell"), ("all", "worse"))
            for share in (1.0, 0.1)
        ]
    )
    figure = plots.forest([("one", rows, 0.02), ("two", rows[rows["backbone"] == "SAITS"], 0.01)], "mae", narrow)
    axes = figure.axes[:2]
    assert all(axis.xaxis_inverted() for axis in axes)  # an error that is higher lies to the left
    band = axes[0].patches[0].get_extents().transformed(axes[0].transData.inverted())
    assert sorted((band.x0, band.x1)) == pytest.approx([-0.02, 0.02])
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["BRITS", "SAITS", "All of these"]
    faces = {str(line.get_markerfacecolor()) for line in axes[0].lines if len(line.get_xdata()) == 1}
    assert (
        "white" in faces and len(faces) == 3
    )  # hollow where it cannot be told, filled in the colour of its share where it can
    assert not plots.forest([("one", rows.assign(metric="auroc"), 0.02)], "auroc", narrow).axes[0].xaxis_inverted()


def _claimed(row, figure, runs_of=None):
    """Results of one summary row, and the part of a claim that sets it beside a figure."""
    about = {"physionet_2012": COHORTS["physionet_2012"]}
    empty = pd.DataFrame(columns=["profile", "cohort", "question", "backbone", "metric", "label_fraction"])
    found = results.Results(pd.DataFrame([row]), pd.DataFrame(), empty, cohorts=about, runs=runs_of or {})
    return found, checks._against(found, pd.Series(row), figure, "it")


@pytest.mark.parametrize(
    "value, half, figure, word, p",
    [
        (0.813, 0.0365, 0.850, checks.NOISE, 0.22),  # outside our interval, inside both errors
        (0.736, 0.0375, 0.832, checks.NOISE, 0.0019),  # decided by its p
        (0.813, 0.0365, 0.840, checks.AGREES, 1.0),
    ],
)
def test_a_published_figure_has_an_error_of_its_own(value, half, figure, word, p):
    row = _row(cohort="physionet_2012", value=value, low=value - half, high=value + half)
    _, part = _claimed(row, figure)
    assert part.word == word and part.p == pytest.approx(p, rel=0.05)


def test_an_error_of_a_published_mean_error_is_not_known():
    row = _row(cohort="italy_air", metric="mae", value=0.3, low=0.29, high=0.31)
    _, part = _claimed(row, 0.1)
    assert part.word == checks.CANNOT_TELL and part.p == 1 and "no error is known" in part.found


@pytest.mark.parametrize(
    "size, pretrained, word, lacks",
    [
        ("paper", {"capped": []}, checks.DIFFERS, None),
        ("small", {"capped": []}, checks.SMALL, "size small."),
        ("paper", {"capped": ["pretrain seed 0"]}, checks.SMALL, "ended at its cap of 40 epochs."),
        ("paper", {}, checks.SMALL, "not stored whether"),
    ],
)
def test_a_run_of_less_chance_decides_nothing_against_the_paper(size, pretrained, word, lacks):
    params = {"cohort": "physionet_2012", "backbone": "SAITS", "size": size, "epochs": 40}
    ran = {
        "r": {"stage": "heads", "profile": "cpu", "params": params},
        "cpu-pretrain-physionet_2012-SAITS": {"stage": "pretrain", "params": params, **pretrained},
    }
    row = _row(cohort="physionet_2012", value=0.7, low=0.68, high=0.72)
    found, part = _claimed(row, 0.85, ran)
    outcome = verdicts.decided(found, [{"id": "P5", "claim": "c"}], [[part]])[0]
    assert outcome.word == word and (lacks is None or lacks in outcome.found)


def test_verdicts_are_corrected_over_all_claims():
    found, _ = _claimed(_row(cohort="physionet_2012", value=0.8), 0.8)
    rows = [{"id": f"P{number}", "claim": "c"} for number in range(1, 11)]
    part = checks.Part(checks.NOISE, "f.", (), 0.006)
    alone = verdicts.decided(found, rows[:1], [[part]])
    among = verdicts.decided(found, rows, [[part], *[[]] * 9])
    assert (alone[0].word, among[0].word) == (checks.DIFFERS, checks.NOISE)  # .006 x 10 is above .05
    assert {one.word for one in among[1:]} == {checks.UNTESTED}
    sure = checks.Part(checks.NOISE, "f.", (), 1e-6)
    assert (
        verdicts.decided(found, rows, [[sure, part], *[[]] * 9])[0].word == checks.PARTLY_DIFFERS
    )  # .006 x 10: each part for itself
    assert verdicts.decided(found, rows, [[sure, sure], *[[]] * 9])[0].word == checks.DIFFERS
    assert (
        verdicts.decided(found, rows, [[sure, checks.Part(checks.AGREES, "g.", ())], *[[]] * 9])[0].word == checks.MIXED
    )
    named = [checks.Part(checks.NOISE, "f.", (), 0.001, name=name) for name in ("CSAI", "GRU-D")]
    assert verdicts.decided(found, rows, [named, *[[]] * 9])[0].found.endswith("p is CSAI 0.011 and GRU-D 0.011.")


@pytest.mark.parametrize(
    "words, p, word",
    [
        (["better"] * 4, [0.001] * 4, checks.AGREES),
        (["better", "better"], [0.001, 0.001], checks.PARTLY_AGREES),  # of two networks, for a claim about every one
        (["better", "cannot tell"], [0.001, 0.5], checks.PARTLY_AGREES),
        (["cannot tell", "equivalent"], [0.5, 0.5], checks.CANNOT_TELL),  # few networks
        (["cannot tell", "equivalent"] * 2, [0.5] * 4, checks.NOISE),
        (["worse", "cannot tell"], [0.0002, 0.5], checks.SMALL),
        (["worse", "cannot tell"], [0.03, 0.5], checks.CANNOT_TELL),  # not worse among ten claims
    ],
)
def test_the_claim_on_heads_follows_the_corrected_tests(words, p, word):
    row = _row(profile="cpu", cohort="italy_air", task="regression", metric="mae", value=0.3)
    found, _ = _claimed(row, 0.3)
    cells = {
        "profile": "cpu",
        "cohort": "italy_air",
        "question": "complex - simple",
        "metric": "mae",
        "label_fraction": 1.0,
        "run": "r",
    }
    found.effects = pd.DataFrame(
        [
            {**cells, "backbone": name, "verdict": one, "p_holm": q}
            for name, one, q in zip(SIX[: len(words)], words, p, strict=True)
        ]
        + [
            {**cells, "backbone": "all", "verdict": "worse", "p_holm": 1e-9},
            {**cells, "cohort": "ett_h1", "backbone": "SAITS", "verdict": "worse", "p_holm": 1e-9},
        ]
    )
    found.runs["r"] = {"stage": "heads", "profile": "cpu", "params": {"cohort": "italy_air", "size": "small"}}
    rows = [{"id": f"P{number}", "claim": "c"} for number in range(1, 11)]
    assert verdicts.decided(found, rows, [checks.p7(found, {}), *[[]] * 9])[0].word == word


@pytest.mark.parametrize(
    "low, high, positives, word, p",
    [
        (-0.10, -0.04, 100, checks.NOISE, 0.0037),  # decided by its p: the paper's two figures have errors too
        (0.02, 0.10, 100, checks.AGREES, 1.0),
        (-0.10, -0.04, 0, checks.CANNOT_TELL, 1.0),  # no error of the paper's is known
    ],
)
def test_the_claim_on_moved_backbones_is_about_the_change_with_all_labels(low, high, positives, word, p):
    cell = {"cohort": "physionet_2019", "backbone": "CSAI", "profile": "crossing", "head": "simple", "metric": "auroc"}
    values = {"frozen": 0.73, "transfer": 0.73 + (low + high) / 2}
    rows = [
        _row(**cell, arm=arm, value=value, source="physionet_2012" * (arm == "transfer"))
        for arm, value in values.items()
    ]
    change = _effect(
        **{key: cell[key] for key in ("cohort", "backbone", "profile", "metric")}, question="transfer - frozen"
    )
    change |= {"source": "physionet_2012", "difference": (low + high) / 2, "low": low, "high": high, "test": "split"}
    wrong = [
        {**change, "label_fraction": 0.1},
        {**change, "source": "eicu"},
        {**change, "question": "transfer - untrained"},
    ]
    about = {"physionet_2019": {"test": 1000, "positives": {"test": positives}}}
    found = results.Results(pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame([change, *wrong]), cohorts=about, runs={})
    (part,) = checks.p9(
        found, {"csai_native": 0.68, "csai_transfer": 0.741, "grud_native": 0.666, "grud_transfer": 0.456}
    )
    assert part.word == word and part.p == pytest.approx(p, rel=0.05)
    assert part.ours == pytest.approx((low + high) / 2) and part.theirs == pytest.approx(0.061)
    assert f"(from 0.730 to {values['transfer']:.3f})" in part.found


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-0.02, 0.01, checks.CANNOT_TELL),
        (-0.12, -0.06, checks.AGREES),
        (-0.12, -0.05, checks.NOISE),  # so wide that it would hold other figures, too
        (-0.07, -0.03, checks.CANNOT_TELL),
    ],
)
def test_the_claim_on_autoformers_heads_is_about_the_change(low, high, word):
    cell = {"cohort": "beijing_air", "backbone": "Autoformer", "profile": "study", "metric": "mae"}
    rows = [_row(**cell, task="regression", arm="frozen", head=head, value=value, pooling="paper")
            for head, value in (("complex", 0.494), ("simple", 0.5))]  # fmt: skip
    change = _effect(**cell, question="complex - simple", difference=(low + high) / 2, low=low, high=high)
    wrong = [{**change, "backbone": "GRU-D"}, {**change, "question": "frozen - e2e"}, {**change, "cohort": "italy_air"}]
    found = results.Results(pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame([change, *wrong]), runs={})
    (part,) = checks.p6(found, {"simple": 0.338, "complex": 0.25})
    assert part.word == word and part.p == 1 and part.theirs == pytest.approx(-0.088) and part.change
    assert "(from 0.500 to 0.494)" in part.found and ("of which no error is known" in part.found) == (
        word == checks.CANNOT_TELL
    )


def test_a_table_of_effects_from_before_transfers_is_read(tmp_path, monkeypatch):
    fabricate(tmp_path, "full")
    path = tmp_path / "results" / "effects.csv"
    pd.read_csv(path, dtype=str).query("source.isna()").drop(columns="source").to_csv(path, index=False)
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "nowhere"))
    found = results.collect()
    assert set(found.effects["source"]) == {""} and len(effects.effects_of(found, "physionet_2012", "cpu"))
    assert effects.effects_of(found, "physionet_2012", "cpu", "simulated_icu").empty


def test_the_pages_are_made_from_every_table_of_the_results_and_follow_a_freeze(tmp_path, monkeypatch):
    for name, place in {"HOME": ROOT, "RESULTS": ROOT / "results", "WORK": tmp_path / "nowhere"}.items():
        monkeypatch.setenv(f"MODTS_{name}", str(place))
    there = {*(ROOT / "results").glob("*.csv"), *(ROOT / "profiles" / "tuned").glob("*.yaml"), runs.frozen_path()}
    assert there - set(results.inputs()) == {ROOT / "results" / "claims.csv"}  # the ledger, which is made from them


def test_a_local_quick_run_hides_its_published_copy(tmp_path, monkeypatch):
    fabricate(tmp_path, "full")
    (tmp_path / "published").mkdir()
    (tmp_path / "work" / "quick" / "metrics.csv").rename(tmp_path / "published" / "metrics.csv")
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "published"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "work"))
    published = results.collect().summary
    assert set(published["place"]) == {results.PUBLISHED}
    published.iloc[:3].drop(columns="place").to_csv(tmp_path / "work" / "quick" / "metrics.csv", index=False)
    both = results.collect().summary
    assert set(both[both["run"] == published["run"].iloc[0]]["place"]) == {results.LOCAL}
    assert results.PUBLISHED in set(both["place"])


def test_second_build_changes_no_page(book):  # noqa: F811
    changed = json.loads((book.parents[1] / "built").read_text())
    assert set(changed) <= {"genindex.html", "search.html", "index.html"}, changed


def test_every_cohort_with_results_is_described(request, built, book):  # noqa: F811
    if "made up" not in request.node.callspec.id:
        pytest.skip("The published cohorts are described by the cohorts' own tests.")
    page = built[book / "book" / "data.html"].get_text()
    for row in COHORTS.values():
        assert row["title"] in page and row["licence"] in page and row["citation"] in page
    assert "time, 2 origins" in page
    assert "Origin 1: 180 / 60 / 80 windows, tested on those from 2023-08-30 to 2023-11-17" in page


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


def test_the_speed_page_is_for_users_and_the_appendix_for_the_code(measured):
    found = measured(benchmark_rows())
    page = speed_pages.speed(found)
    assert re.findall("^## (.*)$", page, re.MULTILINE) == ["What one more task costs", "Where serving spends its time"]
    assert "Targets" not in page and "missed" not in page
    lead, more = page.split("\n\n")[:2]
    assert lead.startswith("**One more task costs ") and lead.endswith("**") and more.strip().startswith("- A backbone")


def test_the_appendix_counts_targets_and_says_what_is_missed(measured):
    rows = benchmark_rows()
    page = internals.internals(measured(rows))
    below = [row for row in rows if row["target"] != "" and float(row["ratio"]) < row["target"]]
    aimed = [row for row in rows if row["target"] != ""]
    assert 0 < len(below) < len(aimed)
    assert page.startswith(f"- Targets met: {len(aimed) - len(below)} of {len(aimed)}; missed: one in heads")
    assert page.count("<strong>missed</strong>") == len(below)
    assert len(re.findall("<td[^>]*>met<", page)) == len(aimed) - len(below)
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
    assert "1.8 tasks with GRU-D" in " ".join(speed_pages.headline(sizes[sizes["n"] == 2557]))
    assert "grows by a factor of 4, a head by 1, an end-to-end run by 4." in " ".join(speed_pages.growth(sizes))
    served = speed_pages.times(found)
    assert len(served) == 12 and not served.isna().any(axis=None)
    few = speed_pages.times(speed_pages.sure(found.assign(rounds=300)))  # no 99th percentile among them
    assert len(few) == 12 and few["ours_late"].isna().all() and not few["theirs"].isna().any()
    assert plots.serving(few, narrow=True)
    verdict = next(v for v in verdicts.verdicts(measured(rows)) if v.id == "P10")
    claim, factors, *_ = speed_pages.models_or_code(served, verdict)
    assert f"**{verdict.word}**" in claim and verdict.found in claim  # the one answer of all pages
    whole, models = served["theirs"] / served["ours"], served["their_forward"] / served["forward"]
    assert (
        f"up to {tables.amount(whole.max())} times as long, the models alone up to {tables.amount(models.max())} times"
        in factors
    )
    never = sizes.assign(paid=float("inf"))
    assert "no number of tasks" in speed_pages.headline(never)[1]
    plots.tasks(never, narrow=True)  # draws no mark where there is none


def test_a_99th_percentile_is_printed_of_a_thousand_calls_alone(measured):
    rows = benchmark_rows()
    assert "p99" in internals.internals(measured(rows))
    assert internals.memory(results.collect().memory.iloc[:0]) == []
    one = dict(
        zip(
            results.TABLES["memory"],
            ["1000000", "48", "35", "GRU-D", "6.26", "1.92", "3.00", "600", "abc", "CPU of a test"],
            strict=True,
        )
    )
    assert internals.memory(pd.DataFrame([one])) == [
        "Pretraining GRU-D for an epoch on 1,000,000 windows of 48 steps and 35 variables, a memory map of 6.3 GB, took 1.9 GB of memory, "
        "under a limit of 3 GB for it and the pages of the map, and 10 minutes (CPU of a test)."
    ]
    assert "p99" not in internals.internals(measured([row | {"rounds": 300} for row in rows]))


def test_a_missed_target_says_what_the_machine_could_do(measured):
    found = measured(benchmark_rows())
    near = internals.limits(found.benchmarks, found.roofline)
    assert len(near) == len(found.roofline) > 0
    heads, latents = (near[near["kind"] == kind].iloc[0] for kind in ("simple heads", "latents"))
    assert (heads["floor"], heads["bound"]) == (1, "arithmetic")  # 200 GFLOP at 200 a second
    assert (latents["floor"], latents["bound"]) == (0.1, "memory")  # 2 GB at 20 a second
    assert (heads["rate"], heads["intensity"]) == (100, 200)
    table = internals._limits_table(near[near["ratio"] < near["target"]])
    assert len(table.rows) > 1
    for row in table.rows:  # scikit-learn: 3 at best, 4 wanted
        assert (row[3].small == "out of reach") == ("scikit-learn" in row[0].small)
    plots.roofline(near, narrow=True)
    page = internals.internals(found)
    assert "200 GFLOP/s in a large matrix product or convolution, 20 GB/s" in page and "out of reach" in page
    assert (
        "the matrix products alone take 1.6 s, a ratio of 3.5; the target of 4 is out of reach for these operations"
        in page
    )


def test_benchmarks_write_what_the_page_reads():
    source = {path.stem: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}
    assert "from modts.book.columns import BENCHMARKS, ROOFLINE" in source["conftest"]
    parts = {re.sub("^(bench|check)_", "", name) for name in source if re.match("(bench|check)_", name)}
    assert set(internals.PARTS) == parts - {"limits"}  # those are rows of the roofline
    for words in (speed_pages.ONCE, speed_pages.HEAD, speed_pages.PAID):
        assert f'"{words}, {{what}}"' in source["bench_economics"]
    for words in (speed_pages.WHOLE, speed_pages.FLOOR, speed_pages.THEIR_FLOOR):
        assert f'"{words}"' in source["bench_serving"]


def test_other_backbones_stand_after_the_six_and_change_no_verdict(tmp_path, monkeypatch):
    def written(folder):
        for name, value in {"HOME": folder, "RESULTS": folder / "results", "WORK": folder / "work"}.items():
            monkeypatch.setenv(f"MODTS_{name}", str(value))
        pages.build(force=True)
        return {path.stem: path.read_text() for path in fragments.out_dir().glob("*.md")}

    monkeypatch.setattr(pages, "check_published", lambda: None)  # the rows added below come from no run
    monkeypatch.setattr(pages, "PAGES", from_rows())
    fabricate(tmp_path, "full")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "data").symlink_to(ROOT / "book" / "data")
    monkeypatch.setattr(figures, "svg", lambda figure: "<svg/>")
    before = written(tmp_path)
    assert "No backbone of one's own has been run" in before["own_backbone"]
    for name in ("metrics.csv", "latency.csv"):
        path = tmp_path / "results" / name
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        more = rows[(rows["backbone"] == "CSAI") & (rows["arm"] != "e2e_shipped")]
        added = [more.assign(backbone=other) for other in ("mine.MyImputer", "TS2Vec", "HELIX")]
        if "task" in rows:  # TS2Vec has no imputation to score
            added[1] = added[1][added[1]["task"] != "imputation"]
        pd.concat([rows, *added]).to_csv(path, index=False)
    after = written(tmp_path)
    for page in ("imputation", "classification", "regression", "scarcity", "latency", "own_backbone"):
        names = re.findall(r'<th scope="row">([^<]*)</th>', after[page])
        start = names.index("Autoformer") + 1
        first = (
            [] if page in ("imputation", "own_backbone") else ["TS2Vec"]
        )  # the first table there is one of imputation
        assert names[start : start + 2 + len(first)] == ["HELIX", *first, "mine.MyImputer"], (page, names)
        assert ("TS2Vec" in names) == (page != "imputation"), page
        first_table = before[page].split("</table>")[0]  # those of figures published elsewhere may name it
        assert "HELIX" not in first_table, page
    words = {name: re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL) for name, text in after.items()}
    assert words["claims"] == re.sub(r"<details.*?</details>", "", before["claims"], flags=re.DOTALL)


def test_no_mark_of_markdown_is_left_on_a_page(built):
    for path, soup in built.items():
        left = [text for text in soup.select("article")[:1] for text in text.find_all(string=re.compile(r"\*\*"))]
        spoken = [
            text for text in left if not text.find_parents(["pre", "code", "script", "table", "dl"])
        ]  # **options of a function
        assert not spoken, path


def test_the_claims_at_the_published_sizes_are_told_by_the_runs_that_had_them(monkeypatch):
    monkeypatch.setenv("MODTS_HOME", str(ROOT))
    monkeypatch.setenv("MODTS_RESULTS", str(ROOT / "results"))
    found = results.collect()
    outcome = {one.id: one for one in verdicts.verdicts(found)}
    for name, profile in {"P3": "headline", "P4": "headline", "P5": "headline", "P9": "crossing"}.items():
        assert outcome[name].runs and all(run.startswith(f"{profile}-") for run in outcome[name].runs)
        assert verdicts.had_its_chance(found, outcome[name].runs) == (True, "")
        assert ("On the 3,998 stays of the external test: 0." in outcome[name].found) == (name != "P9")
    assert checks.pick(found, cohort="physionet_2012")["profile"].iloc[0] != checks.HEADLINE  # other pages
    one = {"cohort": "physionet_2012", "metric": "auroc", "arm": "frozen"}
    best = checks.pick(found, every=True, **one)["value"].max()
    assert outcome["P1"].parts[0].ours == best >= checks.pick(found, **one)["value"].max()
    (line,) = beyond.larger(found, "physionet_2012")
    assert line.startswith("**The published size.** CSAI") and "(five splits, external test)" in line
    assert "as PyPOTS ships it <As shipped>` with 10 % of the labels, one draw of them: +0." in line
    assert (
        line.count("boosted trees on statistics") == 2
    )  # in pairs with another profile's, on the same stays and draws


def test_the_front_page_says_what_more_networks_say_by_another_profile():
    empty = pd.DataFrame()
    some = [_row(cohort="c", profile="study", backbone="GRU-D")]
    some += [_row(cohort="c", profile="cpu", backbone=name) for name in ("GRU-D", "SAITS")]
    mean = _effect(profile="cpu", cohort="c", metric="auroc", backbone="all", difference=-0.01, low=-0.02, high=0.0)
    found = results.Results(pd.DataFrame(some), empty, pd.DataFrame([mean | {"source": ""}]))
    found.external_effects = found.effects.iloc[:0]
    (line,) = front._others(found, found.summary[:1])
    assert "Two networks by the earlier protocol (small, most training ended at a cap" in line
    assert "in the mean: frozen does worse than end to end, each" in line
    assert front._others(found, found.summary[1:]) == []


def test_the_front_page_answers_for_the_networks_that_were_also_trained_end_to_end():
    names = ("GRU-D", "SAITS", "Autoformer")
    about = {"profile": "study", "cohort": "c", "metric": "auroc", "source": "", "label_fraction": 1.0, "test": "split"}
    told = [_effect(**about, backbone="GRU-D", question="frozen - e2e", verdict="equivalent")]
    told += [_effect(**about, backbone=name, question="frozen - LightGBM", verdict="worse") for name in names]
    told += [_effect(**about, backbone="all", question="frozen - LightGBM", verdict="better")]
    rows = pd.DataFrame([_row(cohort="c", profile="study", backbone=name) for name in names])
    found = results.Results(rows, pd.DataFrame(), pd.DataFrame(told))
    found.external_effects = found.effects.iloc[:0]
    answer = front.verdict(found, rows, front._main_effects(found, rows), True)[0]
    assert "a linear layer on a frozen GRU-D" in answer and "does worse than boosted trees" in answer
    (line,) = front._heads_alone(found, rows, front._main_effects(found, rows))
    assert line.startswith("**Heads alone.** SAITS and Autoformer have no end to end yet")
    assert line.endswith(
        "Frozen minus boosted trees: with all labels, SAITS worse (+0.100), Autoformer worse (+0.100)."
    )
    two = [_effect(**about, backbone=name, question="frozen - e2e", verdict="equivalent") for name in ("SAITS", "all")]
    whole = found.effects
    found.effects = pd.concat([whole, pd.DataFrame(two)])  # the mean against trees is over one network more
    main, some = front._main_effects(found, rows), front._of(found.effects, ["GRU-D", "SAITS"])
    assert "boosted trees" not in front.verdict(found, rows, main, True)[0]
    assert front._one_by_one(some, main) == [
        "**Network by network.** Frozen minus end to end: with all labels, GRU-D equivalent (+0.100), SAITS equivalent (+0.100). "
        "Frozen minus boosted trees: with all labels, GRU-D worse (+0.100), SAITS worse (+0.100)."
    ]
    (line,) = front._advice(main, ["GRU-D", "SAITS"], some)
    assert "no head was ahead of them here" in line
    some.loc[(some["backbone"] == "GRU-D") & (some["question"] == "frozen - LightGBM"), "verdict"] = "better"
    (line,) = front._advice(main, ["GRU-D", "SAITS"], some)
    assert "; ahead of them was a head on a frozen GRU-D with all labels, +0.100 (+0.050 to +0.150)" in line
    (line,) = front._heads_alone(found, rows, main)
    assert line.startswith("**Heads alone.** Autoformer has no end to end yet and is no part")
    found.effects = whole
    more = [
        _effect(**about, backbone=name, question="frozen - e2e", verdict="equivalent") for name in (*names[1:], "all")
    ]
    found.effects = pd.concat([found.effects, pd.DataFrame(more)])
    answer = front.verdict(found, rows, front._main_effects(found, rows), True)[0]
    assert "a linear layer on a frozen imputer" in answer and "does better than boosted trees" in answer
    assert front._heads_alone(found, rows, front._main_effects(found, rows)) == []
    lines = answers.answer(found.effects.iloc[: len(told)], "auroc")
    assert "GRU-D alone." in lines[0] and "mean of these three backbones." in lines[1]


def test_the_front_page_tells_a_transfer_once_however_many_profiles_moved_it():
    about = {
        "cohort": "b",
        "metric": "auroc",
        "backbone": "GRU-D",
        "source": "a",
        "label_fraction": 1.0,
        "test": "split",
    }
    told = [
        _effect(**about, profile=profile, question="transfer - frozen", verdict="worse")
        for profile in ("crossing", "study")
    ]
    row = _row(cohort="c", profile="study", backbone="GRU-D")
    found = results.Results(pd.DataFrame([row]), pd.DataFrame(), pd.DataFrame(told))
    found.external_effects = found.effects.iloc[:0]
    (line,) = beyond.elsewhere(found, found.summary)
    worse = "does worse than the same layer on this cohort's own imputer"
    start = "**Moved to other patients** ([](results/transfer.md), GRU-D): the frozen imputer"
    lost = "A moved network also loses the variables that two cohorts do not share."
    assert line == f"{start} {worse} (a to b). {lost}"
    found.effects.loc[0, ["verdict", "p_holm"]] = "equivalent", 0.4
    (line,) = beyond.elsewhere(found, found.summary)
    assert line == (
        f"{start} {worse} (a to b). a to b, the published sizes, for the transfer: it "
        f"{worse.replace('worse than', 'as well as')}. {lost}"
    )
    words = ("worse",) * 3 + ("better",)
    found.effects = pd.DataFrame(
        [told[1] | {"cohort": name, "verdict": word} for name, word in zip("bcde", words, strict=True)]
    )
    (line,) = beyond.elsewhere(found, found.summary)
    assert line == f"{start} {worse} in three of four ways; it does better than it in one of four ways. {lost}"


def test_the_front_page_says_where_the_own_test_splits_say_something_else():
    row = _row(cohort="c", profile="study", backbone="GRU-D")
    about = {
        "profile": "study",
        "cohort": "c",
        "metric": "auroc",
        "backbone": "GRU-D",
        "source": "",
        "label_fraction": 1.0,
    }
    own = [
        _effect(**about, question="frozen - e2e", verdict="equivalent"),
        _effect(**about, question="frozen - finetune", verdict="worse", difference=-0.03, low=-0.05, high=-0.01),
    ]
    outside = [{**one, "verdict": "equivalent", "test": "external"} for one in own]
    own = [{**one, "test": "split"} for one in own]
    found = results.Results(pd.DataFrame([row]), pd.DataFrame(), pd.DataFrame(own))
    found.external_effects = pd.DataFrame(outside)
    (line,) = front._own_splits(found, found.summary)
    assert (
        "Frozen minus fine-tuning, all labels, −0.030 (−0.050 to −0.010): worse." in line and "end to end" not in line
    )
    found.external_effects = found.external_effects.iloc[:0]
    assert front._own_splits(found, found.summary) == []


def test_a_head_has_the_training_of_its_own_backbone():
    params = {"profile": "study", "cohort": "a", "external": "", "backbone": "CSAI", "size": "paper", "seeds": [0]}
    records = {
        name: {"stage": "pretrain", "params": {**params, **other}, "run": name}
        for name, other in {"small": {"size": "small"}, "moved": {"cohort": "b"}, "right": {"external": "c"}}.items()
    }
    heads = {"stage": "heads", "params": {**params, "heads": ["simple"]}}
    moved = {"stage": "transfer", "params": {**params, "source": "b", "cohort": "c"}}
    lost = {"stage": "heads", "params": {**params, "seeds": [1]}}
    records |= {"heads": heads, "transfer": moved, "lost": lost}
    assert results.training_record(records, "heads")["run"] == "right"
    assert results.training_record(records, "transfer")["run"] == "moved"
    assert results.training_record(records, "lost") == {}
    assert results.training_record(records, "small")["run"] == "small"


def test_what_most_networks_ran_stands_before_what_few_did():
    rows = pd.DataFrame(
        [
            (cohort, "study", "CPU", backbone, "frozen")
            for cohort, backbone in [("air", "A"), ("sea", "A"), ("sea", "B")]
        ]
        + [("simulated_x", "study", "CPU", name, "frozen") for name in "ABC"],
        columns=["cohort", "profile", "device", "backbone", "arm"],
    )
    assert [key[0] for key, _ in results.blocks(rows)] == ["sea", "air", "simulated_x"]
    assert [key[0] for key, _ in results.blocks(rows, "air")] == ["air", "sea", "simulated_x"]


def test_a_cohort_file_is_not_said_to_be_loaded_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    here = load_cohort("simulated_icu").describe()
    made = types.SimpleNamespace(
        cohorts={name: here | {"name": name} for name in ("simulated_icu", "mine.3f09ac")}, title=str
    )
    text = cohorts.cohorts(made)
    assert '`modts.load_cohort("simulated_icu")`' in text
    assert text.count("A cohort file (`.npz`).") == 1 and 'load_cohort("mine' not in text


def test_what_a_transfer_runs_again_stands_on_its_page_alone():
    found = types.SimpleNamespace(runs={"a": {"stage": "heads"}, "b": {"stage": "transfer"}})
    rows = pd.DataFrame({"run": ["a", "b", "a,b", "lost"]})
    assert list(prediction.native(found, rows)["run"]) == ["a", "a,b", "lost"]


def test_a_profile_without_a_baseline_names_another_ones_on_the_same_splits():
    def row(run, backbone, arm, value, test="external", share=1.0):
        profile, device = run.split("-")[:2]
        about = {
            "cohort": "c",
            "task": "classification",
            "source": "",
            "test": test,
            "metric": "auroc",
            "label_fraction": share,
        }
        return about | {
            "profile": profile,
            "device": device,
            "backbone": backbone,
            "arm": arm,
            "run": run,
            "value": value,
            "low": 0.1,
            "high": 0.9,
        }

    rows = pd.DataFrame(
        [
            row("one-CPU-a", "LightGBM", "baseline", 0.871),
            row("one-CPU-a", "LightGBM", "baseline", 0.772, share=0.1),
            row("one-CPU-a", "GRU", "baseline", 0.833),
            row("other-CPU-a", "LightGBM", "baseline", 0.999),
            row("mine-GPU-a", "SAITS", "e2e", 0.8),
        ]
    )
    runs_ = {"one-CPU-a": [3, 4], "other-CPU-a": [3], "mine-GPU-a": [4, 3]}
    found = types.SimpleNamespace(
        external=rows, runs={name: {"params": {"seeds": seeds}} for name, seeds in runs_.items()}
    )
    own = rows[rows["profile"] == "mine"]
    said = prediction.without(found, ("c", "mine", "GPU"), own, ("auroc",), "C")
    assert said.startswith(
        "No baseline ran in this profile. On the same splits (profile one, CPU) LightGBM reaches AUROC 0.871 with 100 %"
    )
    assert ">GRU<" in said and "0.999" not in said
    assert prediction.without(found, ("c", "one", "CPU"), rows[rows["profile"] == "one"], ("auroc",), "C") == ""
    found.runs["one-CPU-a"]["params"]["seeds"] = [3, 4, 5]
    said = prediction.without(found, ("c", "mine", "GPU"), own, ("auroc",), "C")
    assert "On these splits and one more (profile one, CPU) LightGBM" in said
    found.runs["one-CPU-a"]["params"]["seeds"] = [5]
    assert prediction.without(found, ("c", "mine", "GPU"), own, ("auroc",), "C") == prediction.NO_BASELINE
