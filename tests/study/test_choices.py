"""The factorial of pretraining's choices: a design whose effects are not mixed up, a row a run, and effects read off rows."""

import itertools
import re
import sys

import numpy as np
import pandas as pd
import pytest
from core_fixture import benchmark, places, tiny  # noqa: F401

from modts import runs
from modts.book import choices as page
from modts.book import results
from modts.study.collect import read_table


@pytest.fixture(scope="module")
def choices():
    return benchmark("choices")


def test_half_of_the_combinations_mixes_up_no_factor_with_another_or_with_a_pair(choices):
    made = choices.half()
    assert len(made) == 16 == len({tuple(run.values()) for run in made})
    signs = np.array(
        [[1 if run[name] == levels[1] else -1 for name, levels in choices.FACTORS.items()] for run in made]
    )
    pairs = [signs[:, i] * signs[:, j] for i, j in itertools.combinations(range(5), 2)]
    every = np.column_stack([signs, *pairs])
    np.testing.assert_array_equal(every.T @ every, 16 * np.eye(15))


def test_a_run_is_a_row_and_is_not_made_again(choices, monkeypatch, capsys):
    cohort = tiny(n=96, steps=6, features=4)
    monkeypatch.setattr(choices, "load_cohort", lambda name, seed: cohort)
    monkeypatch.setattr(choices, "COHORTS", {"tiny": {"batch_size": 16, "epochs": 2, "centre": True}})
    monkeypatch.setattr(choices, "BACKBONES", ("GRU-D",))
    monkeypatch.setattr(sys, "argv", ["choices.py", "--runs", "2"])
    path = runs.results_dir() / "choices.csv"
    choices.main()
    first = read_table(path)
    assert [choices.key(row) for row in first] == [choices.key(row) for row in choices.plan()[:2]]
    assert all(0 < float(row["mae"]) < 3 and 0 <= float(row["head_10"]) <= 1 for row in first)
    assert {row["head_metric"] for row in first} == {"auroc"} and {row["capped"] for row in first} <= {"0", "1"}
    monkeypatch.setattr(sys, "argv", ["choices.py", "--runs", "1"])
    choices.main()
    assert read_table(path)[:2] == first and len(read_table(path)) == 3
    assert "rate" not in capsys.readouterr().out  # effects wait for all sixteen


def test_effects_are_read_off_the_rows(choices):
    rng, rows = np.random.default_rng(0), []
    for run in choices.plan():
        if (run["cohort"], run["backbone"]) == ("italy_air", "SAITS"):
            value = 0.4 - 0.1 * (run["rate"] == 0.2) + 0.02 * (run["clip"] == 1.0) + rng.normal(0, 0.002)
            rows.append(
                {name: str(value) for name in run}
                | dict.fromkeys(choices.MEASURED, str(value))
                | {k: str(v) for k, v in run.items()}
            )
    rows, measures = pd.DataFrame(rows), choices.MEASURED
    found = {(e["factor"], e["measure"]): e for e in choices.effects(rows, measures).to_dict("records")}
    assert len(found) == 5 * len(measures)
    assert found["rate", "mae"]["difference"] == pytest.approx(-0.1, abs=0.004)
    assert found["clip", "mae"]["difference"] == pytest.approx(0.02, abs=0.004)
    # ordinary least squares on ones and zeros, with a level a seed
    A = [
        [1, *(float(row[name] == str(levels[1])) for name, levels in choices.FACTORS.items())]
        for _, row in rows.iterrows()
    ]
    A, y = np.array(A), rows["mae"].to_numpy(float)
    slopes, (left,), *_ = np.linalg.lstsq(A, y, rcond=None)
    errors = np.sqrt(left / (len(y) - A.shape[1]) * np.diag(np.linalg.inv(A.T @ A)))
    for factor, slope, error in zip(choices.FACTORS, slopes[1:], errors[1:], strict=True):
        one = found[factor, "mae"]
        assert (one["difference"], one["error"]) == pytest.approx((slope, error))
    assert choices.effects(rows[:-1]).empty


def test_the_page_shows_each_choice_and_marks_what_is_clear(choices):
    rng, rows = np.random.default_rng(0), []
    for run in choices.plan():
        value = 0.4 - 0.1 * (run["rate"] == 0.2) + rng.normal(0, 0.002)
        rows.append({**run, **dict.fromkeys(choices.MEASURED, value), "head_metric": "auroc", "capped": 1})
    empty = pd.DataFrame()
    found = results.Results(empty, empty, empty)
    found.choices = pd.DataFrame(rows, columns=list(results.TABLES["choices"]))
    text = page.choices(found)
    assert text.count("<table") == 2 and "20 % instead of 10 %" in text and "32 runs, 32 ended at their cap" in text
    assert re.search(r"−0\.(099|10\d)\*", text)
    found.choices = found.choices.iloc[:3]
    assert "benchmarks/choices.py" in page.choices(found)
