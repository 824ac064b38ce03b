"""What a reader with own data looks up: the API page holds every public name, and "which backbone for what" follows the rows."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from book_fixture import ROOT, fabricate

import modts
import modts.sklearn
from modts import runs
from modts.book import checks, latency, results, which


def test_every_public_name_is_on_the_api_page_and_documented():
    text = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"modts\.((?:sklearn\.)?\w+)", text))
    assert not set(modts.__all__) - listed
    assert {f"sklearn.{name}" for name in ("ModularClassifier", "ModularRegressor", "ImputerLatents")} <= listed
    for name in set(modts.__all__) - {"BACKBONES", "METRICS"}:
        assert len(getattr(modts, name).__doc__ or "") > 40, name


@pytest.fixture
def found(tmp_path, monkeypatch):
    fabricate(tmp_path, "full")
    for name, value in {"HOME": ROOT, "RESULTS": tmp_path / "results", "WORK": tmp_path / "nowhere"}.items():
        monkeypatch.setenv(f"MODTS_{name}", str(value))
    return results.collect()


def test_the_best_backbone_and_whose_interval_overlaps_follow_the_rows(found):
    rows = pd.DataFrame(
        {
            "backbone": ["BRITS", "SAITS", "CSAI"],
            "value": [0.80, 0.79, 0.60],
            "low": [0.77, 0.76, 0.55],
            "high": [0.83, 0.82, 0.65],
        }
    )
    best, near = which.overlapping(rows, "auroc")
    assert best["backbone"] == "BRITS" and near == ["SAITS"]
    best, near = which.overlapping(rows, "mae")
    assert best["backbone"] == "CSAI" and near == []
    text = which.which(found)
    for use in (
        "Filling gaps",
        "Predicting an outcome",
        "Predicting an outcome, 10 % of the labels",
        "Predicting a number",
    ):
        assert f">{use}</th>" in text
    assert "If answers must be quick" in text and "nan" not in text.lower()
    assert any(f"{name} reaches" in text for name in ("Linear interpolation", "LOCF", "Mean"))
    assert text.startswith("**On ") and "fills gaps with the least error; with all labels, " in text.partition("\n")[0]


def test_what_pairs_say_comes_before_intervals_that_overlap():
    def row(backbone, value, **more):
        made = {"cohort": "icu", "task": "classification", "metric": "auroc", "profile": "study", "test": "external"}
        spread = {"value": value, "low": value - 0.02, "high": value + 0.02, "label_fraction": 1.0}
        return pd.Series(made | {"backbone": backbone, "head": "simple"} | spread | more)

    def pair(backbone, verdict, **more):
        same = {"question": "frozen - LightGBM", "source": "", "difference": -0.02, "low": -0.03, "high": -0.01}
        return row(backbone, 0.8).to_dict() | same | {"verdict": verdict} | more

    none = pd.DataFrame([pair("GRU-D", "worse")]).iloc[:0]
    kept = [pair("GRU-D", "worse"), pair("SAITS", "cannot tell"), pair("GRU-D", "better", label_fraction=0.1)]
    some = SimpleNamespace(effects=none, external_effects=pd.DataFrame(kept), title=str.upper)
    trees = row("LightGBM", 0.858)
    uses = [
        (
            "Predicting an outcome",
            "icu",
            which.OUTSIDE,
            "auroc",
            pd.DataFrame([row("GRU-D", 0.837)]),
            trees.to_frame().T,
        )
    ]
    words = which._answer(some, uses)
    assert words == (
        "On ICU, with all labels, LightGBM has AUROC 0.858 beside GRU-D's 0.837 (in pairs, frozen GRU-D is worse: −0.020 (−0.030 to −0.010))."
    )
    assert "GRU-D's 0.837, and their intervals overlap." in which._answer(replace_effects(some, none), uses)
    assert which._pair(some, row("GRU-D", 0.8, test="split"), trees) is None
    assert which._pair(some, row("GRU-D", 0.8, label_fraction=0.1), trees)["verdict"] == "better"
    rows = pd.DataFrame([row("GRU-D", 0.837), row("SAITS", 0.835)])
    pairs = [which._pair(some, one, trees) for _, one in rows.iterrows()]
    assert which._networks(rows, 0, 2, pairs).endswith(
        "in pairs, frozen: GRU-D worse (−0.020), SAITS cannot tell (−0.020)"
    )
    assert which._networks(rows, 0, 2, pairs[:1]).endswith("and the intervals of two overlap with its own")
    assert which._networks(rows[1:], 0, 1, pairs[1:]).endswith(
        "in pairs, frozen, it cannot be told from it: −0.020 (−0.030 to −0.010)"
    )


def replace_effects(some, rows):
    return SimpleNamespace(**vars(some) | {"external_effects": rows})


def test_own_data_without_a_title_are_told_apart_by_their_name(found):
    found = replace(found, cohorts=found.cohorts | {name: {"title": "Own data"} for name in ("a.1e1b54", "b.3f09ac")})
    assert [found.title(name) for name in ("a.1e1b54", "b.3f09ac")] == ["Own data (a.1e1b54)", "Own data (b.3f09ac)"]
    assert replace(found, cohorts={"a.1e1b54": {"title": "Our ward"}}).title("a.1e1b54") == "Our ward"


def test_the_page_on_latency_calls_own_data_as_the_other_pages_do(found):
    run = found.latency["run"].iloc[0]
    path = runs.json_files(runs.results_dir() / "runs")[run]
    runs.atomic_write(path, json.dumps(runs.read_json(path) | {"cohort": "mine.3f09ac"}))
    cohorts = runs.read_json(runs.results_dir() / "cohorts.json")
    path = runs.results_dir() / "cohorts.json"
    runs.write_json(path, [*cohorts, {"name": "mine.3f09ac", "title": "Own data"}] if isinstance(cohorts, list)
                    else cohorts | {"mine.3f09ac": {"name": "mine.3f09ac", "title": "Own data"}})  # fmt: skip
    again = results.collect()
    assert set(again.latency[again.latency["run"] == run]["cohort"]) == {"mine.3f09ac"}
    assert set(again.latency["cohort"]) - {"mine.3f09ac"} <= set(found.latency["cohort"])
    assert "Own data (mine.3f09ac)" in latency.latency(again)


def test_of_a_backbone_the_best_row_counts_and_the_external_test_decides(found):
    row = checks.pick(found, arm="frozen", task="classification", metric="auroc", label_fraction=1.0).iloc[0]
    better = row.to_dict() | {"value": 0.99, "low": 0.98, "high": 1.0, "profile": "paper"}
    more = replace(found, summary=pd.concat([found.summary, pd.DataFrame([better])], ignore_index=True))
    (use,) = (one for one in which._uses(more) if one[:2] == ("Predicting an outcome", row["cohort"]))
    assert use[2] == which.OWN and which.best_of(use[4], "auroc")["profile"] == "paper"
    outside = pd.DataFrame([better | {"test": "external", "value": 0.7}])
    (use,) = (
        one
        for one in which._uses(replace(more, external=outside))
        if one[:2] == ("Predicting an outcome", row["cohort"])
    )
    assert use[2] == which.OUTSIDE and list(use[4]["value"]) == [0.7]


def test_of_a_series_one_test_period_is_not_compared_with_several(found):
    rows = pd.DataFrame({"run": ["one", "three,other", "gone"], "value": [0.1, 0.2, 0.3]})
    records = {"one": {"data_hash": {"0": "a"}}, "three": {"data_hash": dict.fromkeys("012", "a")}}
    series = replace(found, runs=records, cohorts={"air": {"origins": 3}, "icu": {}})
    parts = [(words, list(part["value"])) for words, part in which._periods(series, "air", rows)]
    assert parts == [("three test periods", [0.2]), ("one test period", [0.1]), ("", [0.3])]
    assert [words for words, _ in which._periods(series, "icu", rows)] == [""]


def test_without_real_rows_it_says_so(tmp_path, monkeypatch):
    for name, value in {"HOME": ROOT, "RESULTS": tmp_path, "WORK": tmp_path}.items():
        monkeypatch.setenv(f"MODTS_{name}", str(value))
    assert "Not here yet" in which.which(results.collect())
