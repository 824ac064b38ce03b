"""Series of unequal length keep their length: lists, tables, hourly files; saved, split, described; hidden and scored before the end only."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from core_fixture import places, tiny  # noqa: F401

from modts.cohorts import PATTERNS, Cohort, cohort_from_arrays, cohort_from_series, cohort_from_table, ends_of, mask
from modts.cohorts.origins import at_origin
from modts.errors import ModtsError

STEPS = np.arange(30) % 5 + 3  # 3 to 7


def series(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(steps, 2)) for steps in STEPS]


def test_a_list_gives_the_lengths_and_targets_end_with_them(tmp_path):
    X, y = series(), [np.full(steps, 2.0) + i for i, steps in enumerate(STEPS)]
    c = cohort_from_arrays(X, y)
    np.testing.assert_array_equal(c.lengths, STEPS)
    behind = np.arange(7) >= STEPS[:, None]
    assert np.isnan(c.X[behind]).all() and np.array_equal(np.isnan(c.y), behind) and c.missing_rate == 0
    assert c.describe()["lengths"] == {"shortest": 3, "median": 5.0, "longest": 7}
    again = Cohort.load(c.save(tmp_path / "c.npz"))
    np.testing.assert_array_equal(again.lengths, STEPS)
    assert again.content_hash == c.content_hash != replace(c, lengths=np.full(30, 7)).content_hash
    for split, rows in c.splits.items():
        np.testing.assert_array_equal(c.lengths_of(split), STEPS[rows])
    np.testing.assert_array_equal(c.resplit(3).lengths, STEPS)


def test_given_lengths_drop_what_stands_behind():
    X = np.random.default_rng(0).normal(size=(30, 8, 2))
    y = np.random.default_rng(1).integers(0, 2, (30, 8))
    c = cohort_from_arrays(X, y, lengths=STEPS)
    behind = np.arange(8) >= STEPS[:, None]
    assert c.task == "stepwise" and np.isnan(c.X[behind]).all() and np.array_equal(np.isnan(c.y), behind)
    np.testing.assert_array_equal(c.X[~behind], X.astype(np.float32)[~behind])
    full = cohort_from_arrays(X, y, lengths=np.full(30, 8))
    assert full.lengths is None and full.content_hash == cohort_from_arrays(X, y).content_hash
    assert cohort_from_arrays(X, y).lengths_of("train") is None
    X[4] = np.nan  # a row without any value is dropped with its length
    left = cohort_from_arrays(X, lengths=STEPS, unobserved="drop")
    np.testing.assert_array_equal(left.lengths, np.delete(STEPS, 4))


@pytest.mark.parametrize("lengths", [STEPS[:-1], np.r_[0, STEPS[1:]], np.r_[9, STEPS[1:]], STEPS + 0.5, ["a"] * 30])
def test_lengths_that_do_not_fit_are_one_sentence(lengths):
    X = np.random.default_rng(0).normal(size=(30, 8, 2))
    with pytest.raises(ModtsError, match="lengths must be"):
        cohort_from_arrays(X, lengths=lengths)


def test_a_cohort_refuses_values_behind_an_end():
    c = cohort_from_arrays(series(), [np.ones(steps) * i for i, steps in enumerate(STEPS)])
    for change in ({"X": np.nan_to_num(c.X)}, {"y": np.nan_to_num(c.y)}):
        with pytest.raises(ModtsError, match=f"{next(iter(change))} holds a value behind the end of '0'"):
            replace(c, **change)
    with pytest.raises(ModtsError, match="lengths must be 30 whole numbers of 1 to 7"):
        replace(c, lengths=STEPS + 1)


def test_a_table_ends_with_its_last_row():
    rows = [(f"p{i:02d}", t, 1.0 * t, i % 2) for i, steps in enumerate(STEPS) for t in range(steps)]
    table = pd.DataFrame(rows, columns=["id", "time", "a", "label"])
    c = cohort_from_table(table)
    np.testing.assert_array_equal(c.lengths, STEPS)
    np.testing.assert_array_equal(cohort_from_table(table, n_steps=5).lengths, np.minimum(STEPS, 5))
    assert cohort_from_table(table, n_steps=3).lengths is None
    hours = table.assign(time=table.time * 2)  # a row every second hour
    np.testing.assert_array_equal(cohort_from_table(hours, step=1).lengths, 2 * STEPS - 1)
    last = table.assign(a=table.a.where(table.time < 2))  # the last rows hold nothing, and are rows
    np.testing.assert_array_equal(cohort_from_table(last).lengths, STEPS)
    stepwise = cohort_from_table(table.assign(label=table.time % 2), task="stepwise")
    np.testing.assert_array_equal(np.isnan(stepwise.y), np.arange(7) >= STEPS[:, None])


def test_an_origin_of_a_series_keeps_the_lengths_of_its_windows():
    frame = pd.DataFrame({"a": np.arange(400.0)}, index=pd.date_range("2024-01-01", periods=400, freq="h"))
    c = cohort_from_series(frame, steps=8)
    lengths = np.arange(c.n_samples) % 7 + 2
    X = np.where((np.arange(8) >= lengths[:, None])[..., None], np.nan, c.X)
    moved = at_origin(replace(c, X=X, lengths=lengths), 1)
    assert len(moved.lengths) == moved.n_samples < c.n_samples
    np.testing.assert_array_equal(moved.lengths, lengths[: moved.n_samples])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_is_hidden_behind_an_end_and_the_rate_is_of_what_is_there(pattern):
    rng = np.random.default_rng(0)
    X, lengths = rng.normal(size=(200, 12, 5)).astype(np.float32), rng.integers(4, 13, 200)
    X[np.arange(12) >= lengths[:, None]] = np.nan
    hidden = np.isnan(mask(X, pattern, 0.2, seed=1)) & ~np.isnan(X)
    assert not hidden[np.arange(12) >= lengths[:, None]].any()
    assert 0.1 < hidden.sum() / (~np.isnan(X)).sum() < 0.3


def test_the_last_value_is_an_end():
    X = np.full((4, 5, 2), np.nan)
    X[0, 4, 1] = X[1, 2, 0] = X[2, 0, 0] = 1
    assert ends_of(X).tolist() == [5, 3, 1, 1]
