"""Whatever somebody gives: a cohort keeps its shape and every observed value, or one sentence refuses it."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from property_fixture import anything, number, one_sentence, raw, same

from modts.cohorts import (
    PATTERNS,
    Cohort,
    cohort_from_arrays,
    cohort_from_series,
    cohort_from_table,
    load_cohort,
    mask,
    series_back,
)

enough = st.tuples(st.integers(3, 14), st.integers(1, 6), st.integers(1, 4))
gaps = st.one_of(st.floats(-100, 100, width=32), st.just(np.nan))


def kept(cohort, X) -> None:
    """The cohort holds exactly these values, in this shape and order."""
    assert cohort.X.shape == np.shape(X) and cohort.X.dtype == np.float32
    same(cohort.X, X)


# --- arrays ---------------------------------------------------------------------------------------------------------


@given(raw(enough, number), st.sampled_from([np.float64, np.float32, np.longdouble, object]), st.booleans())
def test_arrays_keep_their_values(X, dtype, with_labels):
    y, refused = np.arange(len(X)) % 2 if with_labels else None, []
    with np.errstate(over="ignore"):
        X = X.astype(dtype)
    before = X.copy()
    with one_sentence(refused):
        kept(cohort_from_arrays(X, y, unobserved="keep"), X)
    np.testing.assert_array_equal(X.astype(float), before.astype(float))  # what somebody gave is theirs
    numbers = X.astype(float)
    dull = np.isinf(numbers).any() or (np.abs(numbers) > np.finfo(np.float32).max).any() or with_labels and len(X) < 6
    assert not refused or dull or np.isnan(numbers).all((1, 2)).any(), refused


@given(raw(enough, gaps), st.data())
def test_what_a_mask_hides_is_missing(X, data):
    hidden = data.draw(raw(st.just(X.shape), st.booleans(), bool))
    with one_sentence([]):
        kept(cohort_from_arrays(np.ma.array(X, mask=hidden), unobserved="keep"), np.where(hidden, np.nan, X))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 3), st.data())
def test_series_of_unequal_length_keep_theirs(lengths, width, data):
    given_ = [data.draw(raw(st.just((1, n, width)), gaps))[0] for n in lengths]
    with one_sentence([]):
        cohort = cohort_from_arrays(given_, unobserved="keep")
        assert cohort.X.shape == (len(lengths), max(lengths), width)
        for x, series in zip(cohort.X, given_, strict=True):
            same(x[: len(series)], series)
            assert np.isnan(x[len(series) :]).all()


@given(raw(enough, gaps), st.lists(st.sampled_from([0.0, -9999.0, 1.5, np.nan, np.inf]), max_size=3), st.data())
def test_codes_become_missing_and_nothing_else(X, codes, data):
    where = data.draw(raw(st.just(X.shape), st.booleans(), bool))
    X = np.where(where & bool(codes), codes[0] if codes else 0, X)
    with one_sentence([]):
        cohort = cohort_from_arrays(X, missing=tuple(codes), unobserved="keep")
        kept(cohort, np.where(np.isin(X, [code for code in codes if np.isfinite(code)]), np.nan, X))


@given(raw(enough, gaps), st.integers(0, 9))
def test_what_is_left_out_is_named_and_the_rest_is_kept(X, seed):
    with one_sentence([]):
        cohort = cohort_from_arrays(X, unobserved="drop", seed=seed)
        left = cohort.notes.get("left_out", {})
        rows = [i for i in range(len(X)) if str(i) not in left.get("series", [])]
        columns = [f for f in range(X.shape[2]) if f"x{f}" not in left.get("features", [])]
        assert cohort.ids.tolist() == [str(i) for i in rows] and cohort.features == tuple(f"x{f}" for f in columns)
        kept(cohort, X[rows][:, :, columns])
        assert np.isnan(np.delete(X, rows, 0)).all()


ARGUMENTS = [
    "y",
    "ids",
    "features",
    "units",
    "task",
    "target",
    "splits",
    "by_time",
    "groups",
    "missing",
    "unobserved",
    "seed",
]
ARGUMENTS += ["name", "title", "licence"]


@given(raw(enough, gaps), st.dictionaries(st.sampled_from(ARGUMENTS), anything, min_size=1, max_size=2))
def test_an_odd_argument_of_arrays_is_one_sentence(X, options):
    with one_sentence([], types=True):
        cohort = cohort_from_arrays(X, **{"unobserved": "keep"} | options)
        assert cohort.X.shape == X.shape or "unobserved" in options
        assert all(isinstance(getattr(cohort, name), str) for name in ("name", "title", "licence", "target"))


@given(anything)
def test_what_is_no_array_is_one_sentence(X):
    with one_sentence([], types=True):
        cohort_from_arrays(X)


@given(raw(enough, gaps), st.sampled_from([None, "number", "steps", "yes"]), st.integers(0, 3), st.data())
def test_labels_are_kept_and_splits_hold_each_row_once(X, kind, seed, data):
    n, steps, _ = X.shape
    y = {
        None: None,
        "number": data.draw(raw(st.just((1, 1, n)), gaps))[0, 0],
        "steps": data.draw(raw(st.just((1, n, steps)), gaps))[0],
        "yes": np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))),
    }[kind]
    task = None if kind is None else "classification" if kind == "yes" else "regression"
    with one_sentence([]):
        cohort = cohort_from_arrays(X, y, task=task, seed=seed, unobserved="keep")
        kept(cohort, X)
        if kind is not None:
            same(cohort.y, y)
        assert sorted(np.concatenate(list(cohort.splits.values())).tolist()) == list(range(n))


# --- tables ---------------------------------------------------------------------------------------------------------

TIMES = {
    "whole": lambda hours: hours,
    "broken": lambda hours: hours / 4,
    "dates": lambda hours: pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h"),
    "zone": lambda hours: pd.Timestamp("2024-10-27", tz="Europe/Berlin") + pd.to_timedelta(hours, "h"),
    "text": lambda hours: (pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h")).strftime("%Y-%m-%d %H:%M"),
    "durations": lambda hours: pd.to_timedelta(hours, "h"),
}
IDS = {
    "numbers": lambda k: k,
    "words": lambda k: [f"p{i}" for i in k],
    "category": lambda k: pd.Categorical([f"p{i}" for i in k]),
}


@st.composite
def cells(draw):
    """{(id number, hour): values of the variables}, in any order."""
    width = draw(st.integers(1, 3))
    keys = draw(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), min_size=1, max_size=30, unique=True))
    return {key: [draw(gaps) for _ in range(width)] for key in keys}


def long(held, times, ids) -> pd.DataFrame:
    """A row per id and hour."""
    who, hours = (np.array(column) for column in zip(*held, strict=True))
    values = np.array(list(held.values()), dtype=float)
    columns = {f"v{f}": values[:, f] for f in range(values.shape[1])}
    return pd.DataFrame({"id": IDS[ids](who), "time": TIMES[times](hours), **columns})


def grid(held) -> np.ndarray:
    """What the cohort must hold: series in the order of the ids, steps in the order of their times."""
    who = sorted({i for i, _ in held})
    hours = {i: sorted(hour for j, hour in held if j == i) for i in who}
    X = np.full((len(who), max(map(len, hours.values())), len(next(iter(held.values())))), np.nan)
    for row, i in enumerate(who):
        for step, hour in enumerate(hours[i]):
            X[row, step] = held[i, hour]
    return X


@given(cells(), st.sampled_from(list(TIMES)), st.sampled_from(list(IDS)))
def test_a_table_keeps_its_values(held, times, ids):
    refused, X = [], grid(held)
    frame = long(held, times, ids)
    before = frame.copy()
    with one_sentence(refused):
        kept(cohort_from_table(frame, label=None, unobserved="keep"), X)
    pd.testing.assert_frame_equal(frame, before)
    assert not refused or len(X) < 3 or np.isnan(X).all((1, 2)).any() or np.isnan(X).all(), refused


@given(cells(), st.sampled_from(list(TIMES)))
def test_single_values_are_the_same_table(held, times):
    wide = long(held, times, "numbers")
    single = wide.melt(["id", "time"]).dropna().sample(frac=1, random_state=0)
    options = {"label": None, "unobserved": "keep", "step": 1 if times in ("whole", "broken") else "1h"}
    refused = []
    with one_sentence(refused):
        one = cohort_from_table(wide.dropna(how="all", subset=wide.columns[2:]), **options)
        other = cohort_from_table(single, variable="variable", **options)
        common = [f for f, name in enumerate(one.features) if name in other.features]
        assert one.ids.tolist() == other.ids.tolist()
        same(one.X[:, :, common], other.X)
        assert np.isnan(np.delete(one.X, common, 2)).all()


@given(cells(), st.sampled_from(["first", "mean", "refuse"]))
def test_repeated_rows_follow_the_rule(held, repeats):
    frame = long(held, "whole", "numbers")
    again = frame.assign(v0=frame["v0"] + 2)
    refused = []
    with one_sentence(refused):
        X = cohort_from_table(pd.concat([frame, again]), label=None, unobserved="keep", repeats=repeats).X
        wanted = grid(held)
        wanted[:, :, 0] += repeats == "mean"
        np.testing.assert_allclose(X, wanted.astype(np.float32), rtol=1e-6, atol=1e-6)
    assert repeats != "refuse" or refused


@st.composite
def odd_tables(draw):
    """Tables with columns of any kind."""
    n = draw(st.integers(0, 8))
    columns = draw(
        st.lists(st.sampled_from(["id", "time", "label", "v", "w", "Unnamed: 0", 3]), max_size=5, unique=True)
    )
    entry = st.one_of(
        st.integers(-3, 3),
        st.floats(),
        st.none(),
        st.booleans(),
        st.text(max_size=3),
        st.sampled_from(["2024-01-01", "2024-01-01T00:00Z", "1 days", "03/04/2024", 2**70, 1e300, pd.NaT]),
        st.datetimes(),
        st.timedeltas(),
        st.complex_numbers(),
    )
    kinds = [st.integers(0, 3), st.floats(allow_infinity=False), st.sampled_from([0, 1]), entry]
    return pd.DataFrame({c: draw(st.lists(draw(st.sampled_from(kinds)), min_size=n, max_size=n)) for c in columns})


OPTIONS = [
    "id",
    "time",
    "label",
    "features",
    "variable",
    "value",
    "groups",
    "n_steps",
    "step",
    "time_unit",
    "repeats",
    "missing",
]
OPTIONS += ["label_per", "task", "seed", "by_time", "labels"]


@given(odd_tables(), st.dictionaries(st.sampled_from(OPTIONS), anything, max_size=2))
def test_an_odd_table_is_one_sentence(frame, options):
    with one_sentence([], types=True):
        cohort_from_table(frame, **{"label": None, "unobserved": "keep"} | options)


@given(odd_tables())
def test_odd_values_of_a_table_are_no_wrong_type(frame):
    with one_sentence([]):
        cohort_from_table(frame, label=None, unobserved="keep")


@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".csv.gz", ".parquet"]))
def test_any_bytes_in_a_table_are_one_sentence(data, ending):
    with tempfile.TemporaryDirectory() as folder, one_sentence([]):
        path = Path(folder, f"mine{ending}")
        path.write_bytes(data)
        cohort_from_table(path, label=None)


# --- one long series ------------------------------------------------------------------------------------------------


@given(st.integers(5, 60), st.integers(1, 12), st.integers(1, 12), st.sampled_from(list(TIMES)), st.data())
def test_a_long_series_comes_back_as_it_was(length, steps, stride, times, data):
    values = data.draw(raw(st.tuples(st.just(1), st.just(length), st.integers(1, 3)), gaps))[0]
    frame = pd.DataFrame(
        values, columns=[f"v{f}" for f in range(values.shape[1])], index=TIMES[times](np.arange(length))
    )
    order = data.draw(st.permutations(range(length)))
    refused = []
    with one_sentence(refused):
        cohort = cohort_from_series(frame.iloc[order], steps=steps, stride=min(stride, steps), unobserved="keep")
        back = series_back(cohort, cohort.X)
        assert back.shape == frame.shape and list(back.columns) == list(frame.columns)
        wanted = frame.astype(np.float32).to_numpy()
        np.testing.assert_allclose(
            back.to_numpy(), wanted, rtol=1e-6
        )  # a mean of the same values where windows overlap
        assert list(pd.DatetimeIndex(back.index) if times == "text" else back.index) == list(
            pd.to_datetime(frame.index) if times == "text" else frame.index
        )


SERIES = ["steps", "stride", "time", "target", "features", "step", "time_unit", "repeats", "missing", "seed", "name"]


@given(odd_tables(), st.dictionaries(st.sampled_from(SERIES), anything, max_size=2))
def test_an_odd_series_is_one_sentence(frame, options):
    with one_sentence([], types=True):
        cohort_from_series(frame, **{"steps": 1, "unobserved": "keep"} | options)


# --- hiding values --------------------------------------------------------------------------------------------------


@given(raw(elements=number), st.sampled_from(list(PATTERNS)), st.floats(0, 1, exclude_max=True), st.integers(0, 99))
def test_a_mask_only_hides(X, pattern, rate, seed):
    before, refused = X.copy(), []
    with one_sentence(refused):
        hidden = mask(X, pattern, rate, seed)
        assert hidden.shape == X.shape and hidden.dtype == np.float32
        there = ~np.isnan(hidden)
        same(hidden[there], X[there])
        same(mask(X, pattern, rate, seed), hidden)
    np.testing.assert_array_equal(X, before)
    with np.errstate(over="ignore"):
        assert not refused or pattern == "mar" or np.isinf(X.astype(np.float32)).any(), refused


@given(anything, st.one_of(st.just("point"), anything), anything, anything)
def test_an_odd_mask_is_one_sentence(X, pattern, rate, seed):
    with one_sentence([], types=True):
        mask(X, pattern, rate, seed)
    with one_sentence([], types=True):
        mask(np.ones((2, 3, 2)), pattern, rate, seed)
    with one_sentence([], types=True):
        mask(np.ones((2, 3, 2)), "point", 0.5, seed)


# --- files ----------------------------------------------------------------------------------------------------------


@given(raw(enough, gaps), st.text(max_size=9), st.booleans())
def test_a_saved_cohort_is_the_same(X, title, groups):
    with tempfile.TemporaryDirectory() as folder, one_sentence([]):
        options = {"groups": [f"g{i}" for i in range(len(X))]} if groups else {}
        cohort = cohort_from_arrays(X, unobserved="keep", title=title, **options)
        again = load_cohort(str(cohort.save(Path(folder, "mine.npz"))))
        kept(again, X)
        assert (again.content_hash, again.title, again.features) == (cohort.content_hash, title, cohort.features)


def small() -> Cohort:
    X = np.random.default_rng(0).normal(size=(12, 4, 3))
    X[0, :2] = np.nan
    return cohort_from_arrays(X, np.arange(12) % 2, name="mine")


@given(st.data())
def test_a_changed_cohort_file_is_one_sentence_or_the_same(data):
    cohort, refused = small(), []
    with tempfile.TemporaryDirectory() as folder:
        path = cohort.save(Path(folder, "mine.npz"))
        held = bytearray(path.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(held) - 1), min_size=1, max_size=3)):
            held[at] = data.draw(st.integers(0, 255))
        path.write_bytes(held[: data.draw(st.integers(0, len(held)))] if data.draw(st.booleans()) else held)
        with one_sentence(refused):
            kept(Cohort.load(path), cohort.X)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_in_a_cohort_file_are_one_sentence(junk, zip_):
    refused = []
    with tempfile.TemporaryDirectory() as folder, one_sentence(refused):
        path = Path(folder, "mine.npz")
        path.write_bytes((b"PK\x03\x04" if zip_ else b"") + junk)
        load_cohort(str(path))
    assert refused
