"""Own data: arrays and long tables, and one clear sentence for every mistake."""

import numpy as np
import pandas as pd
import pytest

from modts.cohorts import cohort_from_arrays, cohort_from_table, load_cohort
from modts.errors import ModtsError


def arrays(n=20, steps=6, width=3):
    return np.random.default_rng(0).normal(size=(n, steps, width)), np.arange(n) % 2


def long_table(n=12):
    rng = np.random.default_rng(1)
    rows = [
        {"id": f"p{i}", "time": t, "hr": rng.normal(80, 9), "temp": rng.normal(37, 1), "label": i % 2}
        for i in range(n)
        for t in range(3 + i % 4)
    ]
    return pd.DataFrame(rows)


def test_arrays_give_a_cohort_with_stratified_splits():
    X, y = arrays()
    c = cohort_from_arrays(X, y, features=["a", "b", "c"], seed=4)
    assert c.task == "classification" and c.features == ("a", "b", "c") and c.split_by == "stratified"
    np.testing.assert_array_equal(c.X, X.astype(np.float32))
    assert c.content_hash == cohort_from_arrays(X, y, features=["a", "b", "c"], seed=4).content_hash


def test_variable_lengths_are_padded_as_missing():
    series = [np.ones((2, 2)), *[np.ones((5, 2))] * 11]
    c = cohort_from_arrays(series, np.arange(12) % 2)
    assert c.X.shape == (12, 5, 2) and np.isnan(c.X[0, 2:]).all() and not np.isnan(c.X[1:]).any()
    r = cohort_from_arrays(series, [np.zeros(len(s)) for s in series])
    assert r.task == "regression" and np.isnan(r.y[0, 2:]).all()


def test_regression_by_seed_and_by_time():
    X, _ = arrays(30)
    y = X[:, :, 0] * 2
    assert cohort_from_arrays(X, y).split_by == "random"
    c = cohort_from_arrays(X, y, by_time=True)
    assert c.series and c.splits["train"].max() < c.splits["val"].min() < c.splits["test"].min()


def test_own_splits_survive_saving_and_another_seed(tmp_path):
    X, y = arrays()
    splits = {"train": range(12), "val": range(12, 16), "test": range(16, 20)}
    c = cohort_from_arrays(X, y, splits=splits)
    again = load_cohort(str(c.save(tmp_path / "own.npz")), seed=7)
    np.testing.assert_array_equal(again.splits["test"], np.arange(16, 20))


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"X": np.ones((20, 6))}, r"X must have shape \(samples, steps, features\).*not \(20, 6\)"),
        ({"y": np.ones(19)}, r"y must have shape \(20,\), not \(19,\)"),
        ({"y": np.ones((20, 5))}, r"For regression y must have shape \(20, 6\)"),
        ({"y": np.arange(20)}, "Labels must be 0 or 1"),
        ({"y": np.where(np.arange(20) == 3, np.nan, 0)}, "label of row 3 is missing"),
        ({"y": np.arange(20) < 2}, "at least 3 rows with label 1, but there are 2"),
        ({"y": ["yes"] * 20}, "y must be an array of numbers"),
        ({"features": ["a"]}, "X needs 3 feature names, but 1 were given"),
        ({"ids": ["a"] * 20}, "'a' occurs more than once"),
        ({"ids": ["a"]}, "X needs 20 ids, but 1 were given"),
        ({"task": "forecasting"}, "Unknown task 'forecasting'"),
        ({"splits": {"train": range(20)}}, "keys train, val and test"),
        (
            {"splits": {"train": range(12), "val": range(11, 16), "test": range(16, 20)}},
            "Row 11 is in both train and val",
        ),
        (
            {"splits": {"train": range(12), "val": range(12, 15), "test": range(16, 20)}},
            "each of the 20 rows exactly once",
        ),
    ],
)
def test_arrays_that_do_not_fit(change, sentence):
    X, y = arrays()
    with pytest.raises(ModtsError, match=sentence):
        cohort_from_arrays(**({"X": X, "y": y} | change))


@pytest.mark.parametrize(
    "where, value, sentence",
    [
        ((2, 1, 1), np.inf, "Feature 'x1' of '2' holds an infinite value"),
        ((2, 1, 1), 1e39, "infinite value"),
        ((3,), np.nan, "Series without any value: '3'"),
        ((slice(None), slice(None), 2), np.nan, "no value in the training split: 'x2'"),
    ],
)
def test_values_that_cannot_be_used(where, value, sentence):
    X, y = arrays()
    X[where] = value
    with pytest.raises(ModtsError, match=sentence):
        cohort_from_arrays(X, y)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", None])
def test_long_table(suffix, tmp_path):
    table = source = long_table().sample(frac=1, random_state=0)  # rows in any order
    if suffix:
        source = tmp_path / f"own{suffix}"
        table.to_csv(source, index=False) if suffix == ".csv" else table.to_parquet(source, index=False)
    c = cohort_from_table(source, name="mine")
    assert c.X.shape == (12, 6, 2) and c.features == ("hr", "temp") and c.target == "label"
    i = list(c.ids).index("p1")
    mine = table[table.id == "p1"].sort_values("time")
    np.testing.assert_allclose(c.X[i, :4], mine[["hr", "temp"]].to_numpy(dtype=np.float32), rtol=1e-6)
    assert np.isnan(c.X[i, 4:]).all() and c.y[i] == 1
    assert cohort_from_table(source, n_steps=2).X.shape == (12, 2, 2)
    assert cohort_from_table(source, features=["temp"]).features == ("temp",)


def test_step_puts_rows_on_a_grid_and_averages_within_a_step():
    table = pd.DataFrame(
        [(i, t, v, i % 2) for i in range(6) for t, v in ((0.2, 1.0), (0.9, 3.0), (3.1, 5.0))],
        columns=["id", "time", "x", "label"],
    )
    c = cohort_from_table(table, step=1.0)
    np.testing.assert_array_equal(c.X[0, :, 0], [2.0, np.nan, np.nan, 5.0])
    dated = table.assign(time=pd.Timestamp("2024-01-01 10:00") + pd.to_timedelta(table.time, unit="h"))
    np.testing.assert_array_equal(
        cohort_from_table(dated, step="1h").X[0, :, 0], [2.0, np.nan, 5.0]
    )  # from its first time
    np.testing.assert_array_equal(
        cohort_from_table(dated.astype({"time": str}), step="1h").X[0, :, 0], [2.0, np.nan, 5.0]
    )


def test_regression_table_keeps_the_target_out_of_the_features():
    table = long_table().assign(label=lambda d: d.hr * 2)
    c = cohort_from_table(table, task="regression")
    assert c.task == "regression" and c.features == ("hr", "temp") and c.y.shape == c.X.shape[:2]
    seen = ~np.isnan(c.y)
    np.testing.assert_allclose(c.y[seen], c.X[:, :, 0][seen] * 2, rtol=1e-6)


def broken(**columns):
    return long_table().assign(**columns)


@pytest.mark.parametrize(
    "table, options, sentence",
    [
        (long_table(), {"label": "died"}, "no column 'died'; its columns: id, time, hr"),
        (long_table(), {"features": ["hr", "bp"]}, "no column 'bp'"),
        (long_table(), {"features": ["hr", "label"]}, "must not be among the features"),
        (long_table(), {"n_steps": 0}, "n_steps must be a whole number"),
        (long_table(), {"step": -1}, "step must be a positive number"),
        (long_table(), {"step": "soon"}, "step must be a positive number"),
        (long_table(), {"step": 1e-9}, "do not fit in memory"),
        (long_table(), {"task": "survival"}, "Unknown task"),
        (pd.concat([long_table(), long_table().iloc[:1]]), {}, "Id 'p0' has several rows at time"),
        (broken(hr=lambda d: d.hr.astype(str) + "?"), {}, "Column 'hr' is not numeric .*for example"),
        (broken(vital="hr"), {"features": ["vital", "hr"]}, "'vital' is not numeric .*one value, .*variable=, value="),
        (broken(label=lambda d: d.time % 2), {}, "not constant within id"),
        (broken(label=lambda d: np.where(d.id == "p1", np.nan, d.label)), {}, "Id 'p1' has no label"),
        (broken(label=lambda d: d.label + 1), {}, "Labels must be 0 or 1"),
        (broken(label="no"), {}, "Column 'label' is not numeric"),
        (broken(label=0), {}, "at least 3 rows with label 1, but there are 0"),
        (broken(temp=lambda d: np.where(d.time == 1, np.inf, d.temp)), {}, "'temp' of 'p0' holds an infinite value"),
        (
            broken(hr=lambda d: np.where(d.id == "p2", np.nan, d.hr), temp=lambda d: d.hr),
            {},
            "Series without any value: 'p2'",
        ),
        (broken(time=lambda d: np.where(d.id == "p2", np.nan, d.time)), {}, "Column 'time' is empty in row"),
        (broken(time="noon").drop_duplicates(["id"]), {}, "neither numbers nor dates .*'noon'"),
        (long_table().iloc[:0], {}, "no variable column or no row"),
        ("own.xlsx", {}, "must be a .csv or .parquet file"),
        ("absent.csv", {}, "There is no table"),
    ],
)
def test_tables_that_do_not_fit(table, options, sentence):
    with pytest.raises(ModtsError, match=sentence) as caught:
        cohort_from_table(table, **options)
    assert "\n" not in str(caught.value)


def test_damaged_files(tmp_path):
    (tmp_path / "own.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "own.csv").write_text('id,time\n1,"2')
    for name in ("own.parquet", "own.csv"):
        with pytest.raises(ModtsError, match="cannot be read|no column"):
            cohort_from_table(tmp_path / name)
