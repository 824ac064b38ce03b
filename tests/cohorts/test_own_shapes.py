"""Own data of every ordinary shape: one long series, times with zones, labels of their own, single values, no label, codes, masks, groups."""

import warnings

import numpy as np
import pandas as pd
import pytest

import modts
from modts.cohorts import cohort_from_arrays, cohort_from_series, cohort_from_table, load_cohort, series_back
from modts.errors import ModtsError, ModtsWarning


def series(length=300, freq="30min", tz=None, seed=0):
    index = pd.date_range("2024-03-25", periods=length, freq=freq, tz=tz, name="when")
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"load": rng.normal(50, 9, length), "wind": rng.normal(5, 2, length)}, index=index)
    frame.iloc[20:25, 0] = np.nan
    return frame


def table(n=12, rows=4):
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        [
            {"id": f"p{i}", "time": t, "hr": rng.normal(80, 9), "temp": rng.normal(37, 1), "label": i % 2}
            for i in range(n)
            for t in range(rows)
        ]
    )


# --- one long series ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps, stride", [(24, None), (24, 5), (10, 10), (60, 60), (1, 1)])
def test_windows_of_a_long_series_cover_it_and_lie_in_one_part_each(steps, stride):
    c = cohort_from_series(series(), steps=steps, stride=stride)
    starts = np.array(c.notes["long_series"]["starts"])
    parts = {name: np.unique(starts[rows, None] + np.arange(steps)) for name, rows in c.splits.items()}
    assert {name: (steps.min(), steps.max() + 1) for name, steps in parts.items()} == {
        "train": (0, 180),
        "val": (180, 240),
        "test": (240, 300),
    }
    assert sum(map(len, parts.values())) == 300  # every step, none in two parts
    assert c.task == "imputation" and c.series and c.y.shape == (c.n_samples, 0)
    assert list(c.ids[:1]) == ["2024-03-25 00:00:00"]


@pytest.mark.parametrize("stride", [24, 7])
def test_the_filled_series_comes_back_on_its_own_index(stride, tmp_path):
    frame = series(tz="Europe/Berlin")  # with the hour that is missing on 31 March
    c = load_cohort(str(cohort_from_series(frame, steps=24, stride=stride).save(tmp_path / "own.npz")))
    back = series_back(c, np.where(np.isnan(c.X), 7, c.X))
    pd.testing.assert_frame_equal(back, frame.fillna(7).astype(np.float32), check_freq=False)
    pd.testing.assert_frame_equal(series_back(c, c.X), frame.astype(np.float32), check_freq=False)  # NaN stays NaN
    whole = frame.fillna(back)
    assert whole["load"].dropna().loc[frame.index[30:]].equals(frame["load"].iloc[30:])  # own numbers to the last digit


def test_where_windows_overlap_their_mean_counts():
    c = cohort_from_series(series(), steps=24, stride=12)
    filled = np.where(np.isnan(c.X), np.arange(c.n_samples)[:, None, None], c.X)  # each window fills with its number
    back = series_back(c, filled)["load"].to_numpy()
    np.testing.assert_allclose(back[20:24], 0.5)  # in windows 0 and 1
    np.testing.assert_allclose(back[24], 1.5)  # in windows 1 and 2


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(300, name="n"),
        pd.Index(np.arange(300) * 0.1 + 3, name="t"),
        pd.timedelta_range("0s", periods=300, freq="15min", name="d"),
        pd.date_range("2024-01-01", periods=300, freq="D", tz="UTC"),
    ],
    ids=["numbers", "floats", "durations", "dates"],
)
def test_any_kind_of_index(index):
    frame = series().set_axis(index)
    c = cohort_from_series(frame.sample(frac=1, random_state=0), steps=20)  # rows in any order
    assert series_back(c, c.X).index.equals(index) and series_back(c, c.X).index.name == index.name


def test_a_series_from_a_file_with_its_target(tmp_path):
    frame = series()
    frame.to_csv(tmp_path / "own.csv.gz")
    c = cohort_from_series(
        tmp_path / "own.csv.gz", steps=24, time="when", target="wind", target_unit="m/s", name="mine"
    )
    assert (c.task, c.target, c.features, c.name) == ("regression", "wind", ("load",), "mine")
    np.testing.assert_allclose(c.y[1], frame["wind"].iloc[24:48], rtol=1e-6)
    assert series_back(c, c.X).index.equals(frame.index)


def test_uneven_rows_are_put_on_a_grid_and_otherwise_warned_of():
    frame = series().drop(series().index[50:70])
    c = cohort_from_series(frame, steps=24, step="30min")
    assert series_back(c, c.X).index.equals(series().index) and np.isnan(series_back(c, c.X).iloc[50:70]).all(axis=None)
    hourly = cohort_from_series(frame, steps=24, step="1h")
    np.testing.assert_allclose(hourly.X[0, 0], frame.iloc[:2].mean(), rtol=1e-6)
    with pytest.warns(ModtsWarning, match="not evenly spaced"):
        rows = cohort_from_series(frame, steps=24)
    assert series_back(rows, rows.X).index.equals(frame.index)


def test_windows_without_a_value_are_left_out_and_come_back_empty():
    frame = series()
    frame.iloc[48:120] = np.nan
    c = cohort_from_series(frame, steps=24)
    assert c.n_samples == 14 - 3 and np.isnan(series_back(c, c.X).iloc[48:120]).all(axis=None)


@pytest.mark.parametrize(
    "change, options, sentence",
    [
        (None, {"steps": 0}, "steps must be a whole number of 1 or more, not 0"),
        (None, {"steps": 2.5}, "steps must be a whole number"),
        (None, {"steps": 10, "stride": 11}, r"stride must be at most steps \(10\)"),
        (
            None,
            {"steps": 61},
            "window of 61 steps does not fit into the val part of the series, which has 60 of its 300",
        ),
        (None, {"steps": 10, "target": "rain"}, "no column 'rain'; its columns: 'load', 'wind'"),
        (None, {"steps": 10, "features": ["wind", "wind"]}, "once: 'wind', 'wind'"),
        (None, {"steps": 10, "features": "wind"}, "must be a list of column names, not the text 'wind'"),
        (None, {"steps": 10, "by_time": True}, "leave out by_time="),
        (lambda f: pd.concat([f, f.iloc[:1]]), {"steps": 10}, "several rows at time 2024-03-25 00:00:00.*repeats="),
        (lambda f: f.iloc[:0], {"steps": 10}, "no row"),
        (lambda f: f.assign(load="a"), {"steps": 10}, "'load' is not numeric"),
        (lambda f: f.reset_index(), {"steps": 10}, "'when' is not numeric"),
        (lambda f: f.iloc[240:].reindex(f.index), {"steps": 10}, "train part of the series holds no value"),
        (lambda f: f.reset_index(drop=True), {"steps": 10, "step": "1h"}, "plain numbers.*time_unit"),
        (lambda f: "absent.csv", {"steps": 10, "time": "when"}, "There is no table"),
        (lambda f: "absent.csv", {"steps": 10}, "give the column with the time"),
    ],
)
def test_series_that_do_not_fit(change, options, sentence):
    frame = series() if change is None else change(series())
    with pytest.raises(ModtsError, match=sentence) as caught:
        cohort_from_series(frame, **options)
    assert "\n" not in str(caught.value)


def test_only_windows_of_a_long_series_go_back():
    c = cohort_from_series(series(), steps=24)
    with pytest.raises(ModtsError, match=r"shape \(14, 24, 2\), not \(13, 24, 2\)"):
        series_back(c, c.X[1:])
    with pytest.raises(ModtsError, match="only cohort_from_series makes one"):
        series_back(cohort_from_table(table()), c.X)


# --- long tables: times, files, labels, single values ----------------------------------------------------------------


def gaps(frame, **options):
    """The first id's temperatures, on the grid."""
    return cohort_from_table(frame, **options).X[0, :, 1]


@pytest.mark.parametrize(
    "kind, options",
    [
        (lambda h: pd.Timestamp("2024-01-01 10:00") + pd.to_timedelta(h, unit="h"), {}),
        (lambda h: pd.Timestamp("2024-01-01 10:00", tz="Asia/Tokyo") + pd.to_timedelta(h, unit="h"), {}),
        (lambda h: (pd.Timestamp("2024-01-01 10:00", tz="Asia/Tokyo") + pd.to_timedelta(h, unit="h")).astype(str), {}),
        (lambda h: pd.to_timedelta(h, unit="h"), {}),
        (lambda h: pd.to_timedelta(h, unit="h").astype(str), {}),
        (lambda h: h, {"time_unit": "h"}),
        (lambda h: h * 60.0, {"time_unit": "min"}),
    ],
    ids=["dates", "zone", "text with zone", "durations", "text durations", "hours", "minutes"],
)
def test_a_step_of_an_hour_for_every_kind_of_time(kind, options):
    frame = table()[lambda d: d.time != 1]
    frame["time"] = kind(frame["time"])
    assert np.isnan(gaps(frame, step="1h", **options)).tolist() == [False, True, False, False]
    assert gaps(frame, step="2h", **options).size == 2
    assert not np.isnan(gaps(frame)).any()  # without step each row is one


def test_zones_are_compared_as_instants():
    frame = table(rows=2)
    frame["time"] = np.where(frame.time == 0, "2024-01-01T10:00:00+01:00", "2024-01-01T08:30:00+00:00")
    first = frame[(frame.id == "p0") & (frame.time.str.contains("08:30"))].temp.iloc[0]
    assert gaps(frame)[0] == np.float32(first)  # half past eight in Greenwich is before ten in Berlin
    with pytest.raises(ModtsError, match="with a time zone and dates without"):
        gaps(frame.assign(time=frame.time.str.replace("+00:00", "")))


@pytest.mark.parametrize("repeats, value", [("first", 36.0), ("mean", 37.0)])
def test_repeated_times_follow_a_rule(repeats, value):
    frame = table().assign(temp=36.0)
    again = frame[(frame.id == "p0") & (frame.time == 2)].assign(temp=38.0)
    both = pd.concat([frame, again])
    assert gaps(both, repeats=repeats).tolist() == [36, 36, value, 36]
    with pytest.raises(ModtsError, match="several rows at time 2.*repeats='first' or repeats='mean'"):
        cohort_from_table(both)
    one = series()
    c = cohort_from_series(pd.concat([one, one.iloc[[3]] + 2]), steps=24, repeats=repeats)
    assert c.X[0, 3, 1] == pytest.approx(one.iloc[3, 1] + (1 if repeats == "mean" else 0), rel=1e-6)


@pytest.mark.parametrize("name", ["own.CSV", "own.csv.gz", "own.tsv", "own.TSV.GZ", "own.parquet", "own.PARQUET"])
def test_files_of_every_kind(name, tmp_path):
    frame, path, low = table(), tmp_path / name, name.lower()
    if "parquet" in low:
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if "tsv" in low else ",", compression="gzip" if "gz" in low else None)
    assert cohort_from_table(path).content_hash == cohort_from_table(frame).content_hash


def test_text_that_is_not_utf8_is_called_so(tmp_path):
    (tmp_path / "own.csv").write_bytes("id,time,größe,label\n1,2,3,0\n".encode("latin-1"))
    with pytest.raises(ModtsError, match="not UTF-8 text.*latin-1"):
        cohort_from_table(tmp_path / "own.csv")


def test_labels_in_a_table_of_their_own(tmp_path):
    frame = table()
    labels = frame.groupby("id")[["label"]].first().reset_index().sample(frac=1, random_state=0)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    bare, whole = frame.drop(columns="label"), cohort_from_table(frame)
    for given in (labels, tmp_path / "labels.csv"):
        assert cohort_from_table(bare, labels=given).content_hash == whole.content_hash
    with pytest.warns(ModtsWarning, match="1 rows of ids that the table lacks .first: 'p99'"):
        more = cohort_from_table(bare, labels=pd.concat([labels, pd.DataFrame({"id": ["p99"], "label": [1]})]))
    assert more.content_hash == whole.content_hash
    target = frame[["id", "time"]].assign(label=frame.temp * 2)
    c = cohort_from_table(bare, labels=target[target.time != 2], task="regression")
    np.testing.assert_allclose(c.y[:, :2], c.X[:, :2, 1] * 2, rtol=1e-6)
    assert np.isnan(c.y[:, 2]).all() and c.features == ("hr", "temp")


@pytest.mark.parametrize(
    "labels, sentence",
    [
        (lambda t: t.iloc[1:], "Id 'p0' has no label"),
        (
            lambda t: t.assign(id=range(len(t))),
            "No id of the labels .first: 0. occurs in the table .first: 'p0'.*as numbers or as text",
        ),
        (lambda t: pd.concat([t, t.assign(label=1 - t.label)]), "several labels for id 'p0'"),
        (lambda t: t.rename(columns={"label": "died"}), "table of labels has no column 'label'"),
        (lambda t: t.assign(id=None), "row without id"),
        (lambda t: t.iloc[:0], "no row"),
    ],
)
def test_labels_that_do_not_fit(labels, sentence):
    mine = table().groupby("id")[["label"]].first().reset_index()
    with pytest.raises(ModtsError, match=sentence):
        cohort_from_table(table().drop(columns="label"), labels=labels(mine))


def test_single_values_become_the_same_cohort():
    frame = table()
    frame.loc[5, "temp"] = np.nan
    single = (
        frame.melt(["id", "time", "label"], var_name="what", value_name="reading")
        .dropna()
        .sample(frac=1, random_state=2)
    )
    options = {"variable": "what", "value": "reading"}
    assert cohort_from_table(single, **options).content_hash == cohort_from_table(frame).content_hash
    assert cohort_from_table(single, features=["temp"], **options).features == ("temp",)
    twice = pd.concat([single, single.iloc[:1].assign(reading=0.0)])
    with pytest.raises(ModtsError, match="several rows of '(hr|temp)' at time"):
        cohort_from_table(twice, **options)
    assert cohort_from_table(twice, repeats="first", **options).content_hash == cohort_from_table(frame).content_hash
    with pytest.raises(ModtsError, match="holds no variable 'bp'; it holds: '(hr|temp)', '(hr|temp)'"):
        cohort_from_table(single, features=["bp"], **options)
    wrong = single.assign(label=np.where(single.what == "hr", 1 - single.label, single.label))
    with pytest.raises(ModtsError, match="'label' differs between rows of id"):
        cohort_from_table(wrong, **options)


def test_without_a_label_a_cohort_pretrains_and_imputes(tmp_path):
    frame = table().drop(columns="label")
    with pytest.raises(ModtsError, match="no column 'label'.*give label=None"):
        cohort_from_table(frame)
    c = cohort_from_table(frame, label=None)
    X = c.X
    for made in (c, cohort_from_arrays(X), load_cohort(str(c.save(tmp_path / "own.npz")), seed=1)):
        assert made.task == "imputation" and made.describe()["target"] == "" and made.part("train")[1].shape == (7, 0)
    for call in (modts.labels, lambda made: made.labelled(0.5, 0)):
        with pytest.raises(ModtsError, match="no labels?[ :]"):
            call(c)
    from modts.learning import PREDICTORS, fit_predict

    assert PREDICTORS["imputation"] == ()
    with pytest.raises(ModtsError, match="no label to predict"):
        fit_predict("LightGBM", c, c.splits["train"], 0)


def test_text_ids_keep_the_order_of_time():
    rows = []
    for i in range(60):
        rows += [
            (f"w{i}", pd.Timestamp("2024-01-01") + pd.Timedelta(hours=3 * i + t), np.sin(i + t), t) for t in range(3)
        ]
    frame = pd.DataFrame(rows, columns=["id", "time", "x", "y"])
    for given in (frame, frame.sample(frac=1, random_state=0)):
        c = cohort_from_table(given, label="y", task="regression", by_time=True)
        assert c.ids.tolist() == [f"w{i}" for i in range(60)]
    within = frame.assign(time=frame.groupby("id").cumcount())  # all start at 0: texts as they stand, numbers by size
    assert cohort_from_table(within, label="y", task="regression", by_time=True).ids.tolist() == c.ids.tolist()
    numbers = within.assign(id=within.id.str[1:].astype(int)).sample(frac=1, random_state=0)
    assert cohort_from_table(numbers, label="y", task="regression", by_time=True).ids.tolist() == [
        str(i) for i in range(60)
    ]


def test_an_index_saved_with_the_table_is_named(tmp_path):
    table().to_csv(tmp_path / "own.csv")
    with pytest.raises(ModtsError, match="Column 'Unnamed: 0' looks like an index .*index=False"):
        cohort_from_table(tmp_path / "own.csv")
    with pytest.raises(ModtsError, match="'index' looks like an index"):
        cohort_from_table(table().reset_index())
    assert cohort_from_table(tmp_path / "own.csv", features=["hr"]).features == ("hr",)


# --- codes, masks, what is never observed ----------------------------------------------------------------------------


def arrays(n=20, steps=6, width=3):
    return np.random.default_rng(0).normal(size=(n, steps, width)), np.arange(n) % 2


@pytest.mark.parametrize("code", [-9999, -999.9, 0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_code_for_missing_becomes_missing(code, dtype):
    X, y = arrays()
    coded = X.astype(dtype)
    coded[::3, 2, 1] = code
    c = cohort_from_arrays(coded, y, missing=(code,))
    assert np.isnan(c.X[::3, 2, 1]).all() and np.isnan(c.X).sum() == 7
    frame = table()
    frame.loc[3:5, "temp"] = code
    assert np.isnan(cohort_from_table(frame, missing=code).X).sum() == 3
    long = series()
    long.iloc[:3, 1] = code
    c = cohort_from_series(long, steps=24, missing=[code, -1])
    assert np.isnan(c.X).sum() == 8


@pytest.mark.parametrize("code", [-999, -9999, -1, 999, 1e6])
def test_a_value_that_looks_like_a_code_is_named(code):
    X, y = arrays()
    X[:, :, 1] = 80 + 15 * X[:, :, 1]
    X[::3, 2, 1] = code
    with pytest.warns(
        ModtsWarning,
        match=rf"looks like a code for missing: 'x1' is {code:g} in 7 cells.*missing=\({code:g},\)".replace("+", r"\+"),
    ):
        cohort_from_arrays(X, y)


def test_ordinary_values_look_like_no_code():
    X, y = arrays(60)
    X[:, :, 0] = np.round(X[:, :, 0])  # small whole numbers, -1 among them
    X[:, :, 1] = np.where(X[:, :, 1] > 1, np.exp(4 * X[:, :, 1]), 0)  # rain
    X[:, :, 2] = np.round(abs(X[:, :, 2]) * 9) - 1  # -1, 0, 1, ... degrees
    cohort_from_arrays(X, y)  # a warning would be an error


def test_masked_arrays_keep_their_mask():
    X, y = arrays()
    hidden = np.random.default_rng(1).random(X.shape) < 0.3
    masked = np.ma.masked_array(np.where(hidden, -999, X), hidden)
    plain = cohort_from_arrays(np.where(hidden, np.nan, X), y).content_hash
    assert cohort_from_arrays(masked, y).content_hash == plain
    assert cohort_from_arrays(list(masked), y).content_hash == plain
    assert cohort_from_arrays([masked[0][:4], *masked[1:]], y).missing_rate > 0.25
    np.testing.assert_array_equal(
        modts.mask(masked.astype(np.float32), rate=0.2), modts.mask(np.where(hidden, np.nan, X), rate=0.2)
    )


def test_features_without_a_training_value_are_named_at_once_or_left_out():
    X, y = arrays(width=5)
    train = cohort_from_arrays(X, y).splits["train"]
    X[:, :, 1] = np.nan
    X[train, :, 3] = np.nan
    with pytest.raises(
        ModtsError, match="2 of 5 features have no value in the training split: 'x1', 'x3'.*unobserved='drop'"
    ):
        cohort_from_arrays(X, y)
    dropped = cohort_from_arrays(X, y, unobserved="drop")
    assert dropped.features == ("x0", "x2", "x4") and dropped.notes["left_out"] == {
        "series": [],
        "features": ["x1", "x3"],
    }
    np.testing.assert_array_equal(dropped.X, X[:, :, [0, 2, 4]].astype(np.float32))
    assert cohort_from_arrays(X, y, unobserved="keep").n_features == 5
    X[4] = np.nan
    fewer = cohort_from_arrays(X, y, unobserved="drop")
    assert fewer.n_samples == 19 and fewer.notes["left_out"]["series"] == ["4"] and "4" not in fewer.ids
    frame = table().assign(bp=np.nan, spo2=np.nan)
    with pytest.raises(ModtsError, match="'bp', 'spo2'"):
        cohort_from_table(frame)
    assert cohort_from_table(frame, unobserved="drop").features == ("hr", "temp")


# --- groups and what looks wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["classification", "regression", "imputation"])
def test_no_two_splits_share_a_group_whatever_the_seed(task, tmp_path):
    X, y = arrays(60)
    y = {"classification": y, "regression": X[:, :, 0] * 2, "imputation": None}[task]
    groups = [f"g{i // 3}" for i in range(60)]
    c = cohort_from_arrays(X, y, groups=groups, seed=1)
    saved = c.save(tmp_path / "own.npz")
    for made in (c, *(load_cohort(str(saved), seed=seed) for seed in range(8))):
        owners = [set(made.groups[made.splits[s]]) for s in ("train", "val", "test")]
        assert sum(map(len, owners)) == 20 == len(set.union(*owners))
        assert made.groups.tolist() == groups
    assert c.content_hash != cohort_from_arrays(X, y, splits=c.splits).content_hash  # groups are content


def test_groups_are_a_column_of_a_table():
    frame = table(24).assign(patient=lambda d: d.id.str[1:].astype(int) // 2)
    c = cohort_from_table(frame, groups="patient")
    assert c.features == ("hr", "temp")
    assert not set(c.groups[c.splits["train"]]) & set(c.groups[c.splits["test"]])
    with pytest.raises(ModtsError, match="group 'patient' is not constant within id 'p0'"):
        cohort_from_table(frame.assign(patient=frame.time), groups="patient")


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"groups": ["a"] * 19}, "X needs 20 groups, but 19"),
        ({"groups": ["a", None] * 10}, "Number 1 of groups is missing"),
        ({"groups": ["a"] * 20}, "at least 3 groups, but there are 1"),
        ({"groups": [i // 8 for i in range(20)], "by_time": True}, "Group '1' has rows in both train and val"),
        (
            {
                "groups": [i % 10 for i in range(20)],
                "splits": {"train": range(12), "val": range(12, 16), "test": range(16, 20)},
            },
            "both train and val .4 such groups",
        ),
    ],
)
def test_groups_that_do_not_fit(options, sentence):
    X, y = arrays()
    with pytest.raises(ModtsError, match=sentence):
        cohort_from_arrays(X, y, **options)


def test_the_same_series_under_two_ids_is_named():
    X, y = arrays()
    X[7] = X[3]
    with pytest.warns(ModtsWarning, match="under two ids .'s3' and 's7'; 1 such pairs"):
        cohort_from_arrays(X, y, ids=[f"s{i}" for i in range(20)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cohort_from_arrays(X, y, groups=[7 if i == 3 else i for i in range(20)])  # of one patient, and so in one split
        flat = np.ones((20, 6, 1))
        flat[:, :, 0] = np.arange(20)[:, None] // 2
        cohort_from_arrays(flat, y)  # constant series may well be the same


def test_a_feature_that_is_the_label_is_named():
    X, y = arrays()
    X[:, :, 2] = y[:, None]
    with pytest.warns(ModtsWarning, match="Equal to the label.*feature 'x2'"):
        cohort_from_arrays(X, y)
    target = np.where(np.arange(6) == 2, np.nan, X[:, :, 0])
    with pytest.warns(ModtsWarning, match="Equal to the label.*feature 'x0'"):
        cohort_from_arrays(X, target)


def test_one_filter_silences_all_of_it():
    X, y = arrays()
    X[:, :, 2], X[7] = y[:, None], X[3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", modts.ModtsWarning)
        cohort_from_arrays(X, y)


# --- wrong values, one sentence each -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"X": np.zeros((20, 6, 3), "datetime64[s]")}, "X must be an array of numbers, but holds dates"),
        ({"X": np.ones((20, 6, 3)) * 1j}, "X must be an array of numbers, but holds complex numbers"),
        ({"y": np.full((20, 6), 1e39)}, "y holds infinite values"),
        ({"y": np.full((20, 6), np.inf)}, "y holds infinite values"),
        (
            {"y": np.where(np.arange(20) < 12, 1.0, np.nan)[:, None] * np.ones(6), "by_time": True},
            "no value at all in the val split",
        ),
        (
            {"y": np.where(np.arange(20) < 12, np.nan, 1.0)[:, None] * np.ones(6), "by_time": True},
            "no value at all in the train split",
        ),
        ({"y": np.arange(20) >= 8, "by_time": True}, "The val split holds only the label 1"),
        ({"y": np.arange(20) >= 12, "by_time": True}, "The train split holds only the label 0"),
        (
            {"y": np.arange(20) == 0, "splits": {"train": range(12), "val": range(12, 16), "test": range(16, 20)}},
            "The val split holds only the label 0",
        ),
        (
            {"splits": {"train": [0.5, 1.5], "val": [2], "test": [3]}},
            "train split must hold whole row numbers, not 0.5",
        ),
        ({"splits": {"train": np.ones(20, bool), "val": [2], "test": [3]}}, "whole row numbers, not True"),
        (
            {"splits": {"train": [], "val": [2], "test": [3]}},
            "train split must be a list of row numbers with one row or more",
        ),
        ({"splits": [1, 2, 3]}, "keys train, val and test"),
        (
            {"splits": {"train": range(12), "val": range(12, 16), "test": range(16, 20)}, "by_time": True},
            "either splits= or by_time=True, not both",
        ),
        ({"seed": -1}, "split seed must be a whole number of 0 or more, not -1"),
        ({"seed": None}, "split seed must be a whole number"),
        ({"by_time": "no"}, "by_time must be True or False, not 'no'"),
        ({"ids": [None, *range(19)]}, "Number 0 of ids is missing"),
        ({"ids": [*range(19), float("nan")]}, "Number 19 of ids is missing"),
        ({"ids": "abcdefghijklmnopqrst"}, "ids must be a list, not the text"),
        ({"features": "abc"}, "feature names must be a list, not the text 'abc'"),
        ({"units": "abc"}, "units must be a list, not the text 'abc'"),
        ({"units": ["m"]}, "X needs 3 units, but 1 were given"),
        ({"task": "regression", "y": None}, "For regression give y"),
        ({"task": "imputation"}, "For imputation leave y out"),
        ({"missing": "-9"}, "missing must be numbers such as"),
        ({"unobserved": "ignore"}, "Unknown rule for what is never observed"),
        ({"X": np.full((20, 6, 3), np.nan)}, "training split holds no observed value"),
    ],
)
def test_wrong_values_of_arrays(change, sentence):
    X, y = arrays()
    with pytest.raises(ModtsError, match=sentence) as caught:
        cohort_from_arrays(**({"X": X, "y": y} | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, options, sentence",
    [
        (None, {"features": ["hr", "id"]}, "The id column 'id' must not be among the features"),
        (None, {"features": ["hr", "time"]}, "The time column 'time' must not be among the features"),
        (None, {"features": "hr"}, "features must be a list of column names, not the text 'hr'"),
        (None, {"step": np.inf}, "step must be a positive number"),
        (None, {"step": True}, "step must be a positive number"),
        (None, {"step": "1h"}, "plain numbers, so a step of '1h' needs their unit: give time_unit='h'"),
        (None, {"step": "1h", "time_unit": "eon"}, "time_unit must be a unit such as"),
        (None, {"repeats": "last"}, "Unknown rule for repeated times"),
        (None, {"task": "imputation"}, "Without a label give label=None"),
        (None, {"label": None, "task": "regression"}, "Without a label give label=None"),
        (None, {"by_time": "no"}, "by_time must be True or False"),
        (None, {"groups": "patient"}, "no column 'patient'"),
        (lambda t: t.assign(time=1e30 * (1 + t.time)), {"step": 1}, "do not fit in memory"),
        (lambda t: t.assign(time=t.time - 1), {"step": 1}, "the table holds the time -1"),
        (lambda t: t.assign(time=np.where(t.time == 2, np.inf, t.time)), {}, "infinite time"),
        (
            lambda t: t.assign(time=pd.Timestamp("2024-01-01") + pd.to_timedelta(t.time, unit="h")),
            {"step": 1},
            "dates, so a step of 1 needs a unit",
        ),
        (lambda t: t.set_axis(["id", "time", "hr", "hr", "label"], axis=1), {}, "several columns called 'hr'"),
        (lambda t: t.assign(hr=t.hr * 1j), {}, "'hr' holds complex numbers"),
        (lambda t: {"id": [1]}, {}, "must be a data frame or the path of a file, not dict"),
    ],
)
def test_wrong_values_of_tables(change, options, sentence):
    frame = table() if change is None else change(table())
    with pytest.raises(ModtsError, match=sentence) as caught:
        cohort_from_table(frame, **options)
    assert "\n" not in str(caught.value)


# --- one number a stay ---------------------------------------------------------------------------------------------------


def test_one_number_an_id_from_a_column_or_a_table_of_its_own(tmp_path):
    frame = table().assign(label=lambda d: d.id.str[1:].astype(int) * 1.5)
    c = cohort_from_table(frame, task="regression", label_per="id")
    assert c.task == "regression" and c.y.shape == (12,) and c.describe()["target_missing_rate"] == 0
    assert dict(zip(c.ids.tolist(), c.y.tolist(), strict=True)) == {f"p{i}": i * 1.5 for i in range(12)}
    labels = frame.groupby("id")[["label"]].first().reset_index()
    other = cohort_from_table(frame.drop(columns="label"), labels=labels, task="regression")
    same = cohort_from_arrays(c.X, c.y, ids=c.ids, features=c.features, task="regression")
    assert c.content_hash == other.content_hash == same.content_hash
    assert load_cohort(str(c.save(tmp_path / "own.npz")), seed=3).y.shape == (12,)
    assert cohort_from_table(frame, task="regression").y.shape == (12, 4)  # one at each time, as before
    with pytest.raises(ModtsError, match="label_per='time' is for regression"):
        cohort_from_table(table(), label_per="time")
    with pytest.raises(ModtsError, match="not constant within id 'p0'"):
        cohort_from_table(frame.assign(label=frame.hr), task="regression", label_per="id")
