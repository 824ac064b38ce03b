"""The ledger: a row for whatever the paper claims, leaves open or makes one suspect, and a verdict that follows the stored effects."""

import re
from pathlib import Path

import pandas as pd
import pytest

from modts.book import claims, ledger, results

ROOT = Path(__file__).parents[2]


@pytest.fixture
def published(monkeypatch, tmp_path):
    monkeypatch.setenv("MODTS_HOME", str(ROOT))
    monkeypatch.setenv("MODTS_RESULTS", str(ROOT / "results"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path))
    return results.collect()


def test_the_stored_ledger_is_what_the_published_results_say(published):
    every = ledger.rows(published)
    stored = (ROOT / "results" / "claims.csv").read_text(encoding="utf-8")
    assert stored == ledger.csv_of(every), "write it anew: python -m modts.book.ledger"
    named = {row["claim"] for row in every}
    assert named == {f"P{n}" for n in range(1, 11)} | {f"S{n}" for n in range(1, 5)} | {
        "Q1",
        "Q2",
        "Q3",
        "N1",
        "N2",
        "N3",
    }
    assert all(row["verdict"] and row["why"] and row["statement"] for row in every)
    ran = {run for row in every for run in row["run"].split(",") if run}
    assert ran and ran <= set(published.runs)


def test_every_question_has_its_row_on_the_page(published):
    text = claims._questions([row for row in ledger.rows(published) if row["kind"] != "claim"]).html()
    for question in ledger.questions():
        assert question["short"] in text


def effect(question, verdict, backbone="all", cohort="physionet_2012", profile="cpu"):
    base = dict.fromkeys(results.EFFECT_COLUMNS, "")
    numbers = {"difference": -0.03, "low": -0.05, "high": -0.01, "label_fraction": 1.0}
    about = {
        "cohort": cohort,
        "question": question,
        "verdict": verdict,
        "backbone": backbone,
        "metric": "auroc",
        "test": "split",
    }
    return base | numbers | about | {"profile": profile, "place": "published", "run": "r"}


def test_the_open_demo_of_eicu_answers_as_far_as_it_goes(published):
    rows = {row["claim"]: row for row in ledger.rows(published)}
    assert rows["N1"]["verdict"] == ledger.MEASURED and "need credentials" in rows["N1"]["why"]
    some = [
        effect("transfer - frozen", "worse", "GRU-D", profile="study") | {"source": source} for source in ("eicu", "x")
    ]
    made = results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(some), cohorts={}, runs={})
    made.external_effects = made.effects.iloc[:0]
    (row,) = ledger._from_eicu(made)
    assert row["ours"] == -0.03 and "GRU-D, moved and frozen, minus GRU-D pretrained there" in row["why"]


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        ("worse", "supported"),
        ("better", "not supported"),
        ("equivalent", "not supported"),
        ("cannot tell", "cannot tell yet"),
    ],
)
def test_a_suspicion_follows_the_effects(verdict, word):
    empty = pd.DataFrame()
    rows = [effect("frozen - finetune", verdict), effect("frozen - finetune", "better", "SAITS")]
    rows += [
        effect("frozen - finetune", "better", cohort="simulated_icu"),
        effect("frozen - finetune", "better", profile="quick"),
    ]
    made = results.Results(empty, empty, pd.DataFrame(rows))
    (row,) = ledger.ANSWERS["S2"](made)
    assert row["verdict"] == word and "mean over backbones" in row["why"] and row["run"] == "r"


def test_what_lies_between_is_asked_of_each_backbone():
    empty = pd.DataFrame()
    made = results.Results(
        empty,
        empty,
        pd.DataFrame([effect("norm - frozen", "better", "SAITS"), effect("lora - frozen", "worse", "SAITS")]),
    )
    assert [row["verdict"] for row in ledger.ANSWERS["Q3"](made)] == ["supported", "not supported"]


def test_what_one_run_says_of_two_things_stands_apart(published):
    weaker, explains, *study = ledger.ANSWERS["S1"](published)
    assert (
        weaker["why"].startswith("Weaker: ")
        and weaker["verdict"] == "supported"
        and "the published sizes" in weaker["why"]
    )
    assert explains["why"].startswith("It explains P3: ") and explains["verdict"] == "not supported"
    assert explains["low"] > explains["paper"]
    assert [row["verdict"] for row in study] == ["cannot tell yet"] * 2 and all(
        "(the study)" in row["why"] for row in study
    )
    (trees,) = ledger.ANSWERS["S3"](published)
    assert trees["verdict"] == "inside the noise" and trees["low"] < trees["paper"] == 0.85 < trees["ours"]
    assert "+0.003 apart, with a standard error of 0.027" in trees["why"]


def test_interpolation_is_ahead_of_most_only_where_most_of_the_six_ran(published):
    rows = ledger.ANSWERS["S4"](published)
    for row in rows:
        behind, _, ahead = re.search(r"run (\d) (is|are) clearly behind it, (\d) clearly ahead", row["why"]).groups()
        word = "supported" if int(behind) > 3 else "not supported" if int(ahead) >= 3 else "cannot tell yet"
        assert row["verdict"] == word, row["why"]
    assert {"supported", "cannot tell yet"} <= {row["verdict"] for row in rows}
