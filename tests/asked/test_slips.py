"""What a table hides and pandas does not tell: shifted columns, codes that a step averages away, a year of 2042; and calls with a slip."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

import modts
from modts.errors import ModtsError, ModtsWarning


def stays(n=30, rows=40, every=15, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.repeat(np.arange(n), rows), "time": np.tile(np.arange(rows) * every, n)})
    return frame.assign(lact=rng.normal(2, 0.3, len(frame)), hr=rng.normal(70, 5, len(frame)))


def silent(call):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModtsWarning)
        return call()


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [",0", ",5", ","])  # 37,0 with a decimal comma; one value too many; a comma at the end
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_rows_with_a_field_more_than_the_header_are_refused(tmp_path, tail, ending):
    frame = stays(10, 5, 1)
    path = tmp_path / f"t{ending}"
    first, *rows = frame.to_csv(index=False).splitlines()
    text = "\n".join([first, *(f"{row}{tail}" for row in rows)]).encode()
    path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    like = modts.cohort_from_table(frame, label=None)
    for call in (
        lambda: modts.cohort_from_table(path, label=None, step=1),
        lambda: modts.cohort_from_table(frame, labels=path),
        lambda: modts.cohort_from_series(path, time="time", steps=4),
        lambda: modts.windows_from_table(path, like),
    ):
        with pytest.raises(ModtsError, match="have 5 fields, and its first line names 4 columns"):
            call()


def test_a_name_twice_in_a_file_and_names_of_two_levels_are_refused(tmp_path):
    text = stays(10, 5, 1).to_csv(index=False).replace("lact,hr", "hr, hr", 1)
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ModtsError, match="several columns called 'hr'"):
        modts.cohort_from_table(tmp_path / "t.csv", label=None)
    two = stays(10, 5, 1).groupby("id").agg(["mean", "max"])
    like = modts.cohort_from_table(stays(10, 5, 1), label=None)
    for call in (
        lambda: modts.cohort_from_table(two.reset_index(), label=None),
        lambda: modts.cohort_from_series(two, steps=2),
        lambda: modts.windows_from_table(two.reset_index(), like),
    ):
        with pytest.raises(ModtsError, match="names of 2 levels"):
            call()


# --- codes for missing -----------------------------------------------------------------------------------------------


def coded(frame, name, share=0.3):
    return frame.assign(**{name: frame[name].mask(np.random.default_rng(1).random(len(frame)) < share, -9999)})


def series(n=1200):
    rng = np.random.default_rng(2)
    index = pd.date_range("2024-01-01", periods=n, freq="15min")
    frame = pd.DataFrame({"a": rng.normal(2, 0.3, n), "b": rng.normal(size=n)}, index=index)
    return frame.assign(a=frame["a"].where(np.arange(n) % 7 > 0, -9999))


@pytest.mark.parametrize(
    "make",
    [
        lambda **more: modts.cohort_from_table(coded(stays(), "lact"), label=None, step=60, **more),
        lambda **more: modts.cohort_from_table(coded(stays(), "lact"), label=None, step=60, n_steps=5, **more),
        lambda **more: modts.cohort_from_table(
            pd.concat([coded(stays(), "lact")] * 2), label=None, repeats="mean", **more
        ),
        lambda **more: modts.cohort_from_table(
            coded(stays(), "lact").melt(["id", "time"]), label=None, variable="variable", step=60, **more
        ),
        lambda **more: modts.cohort_from_series(series(), steps=24, step="1h", **more),
        lambda **more: modts.cohort_from_series(
            series().reset_index(names="t"), time="t", steps=24, step="1h", target="b", **more
        ),
    ],
)
def test_codes_are_looked_for_before_a_step_averages_them(make):
    with pytest.warns(ModtsWarning, match=r"is -9999 in \d+ cells. If so, give missing=\(-9999,\)") as said:
        make()
    assert sum("looks like a code" in str(one.message) for one in said) == 1
    cohort = silent(lambda: make(missing=-9999))
    column = cohort.X[..., [i for i, name in enumerate(cohort.features) if name in ("lact", "a")][0]]
    assert np.nanmin(column) > 0 and np.nanmean(column) == pytest.approx(2, abs=0.05)
    assert cohort.notes["missing"] == [-9999]


def test_new_data_lose_the_codes_that_the_cohort_had(tmp_path):
    frame = coded(stays(rows=12), "hr", 0.05)
    cohort = modts.cohort_from_table(frame, label=None, missing=(-9999, -999))
    modts.build("GRU-D", cohort).save(tmp_path / "b.safetensors")
    one = frame[frame["id"] == frame.loc[frame["hr"] == -9999, "id"].iloc[0]]
    cohort.save(tmp_path / "c.npz")
    for like in (cohort, modts.load_backbone(tmp_path / "b.safetensors"), modts.load_cohort(str(tmp_path / "c.npz"))):
        new = modts.windows_from_table(one, like)
        assert np.isnan(new.X).sum() == (one["hr"] == -9999).sum() > 0
        assert np.nanmin(modts.windows_from_table(one, like, missing=()).X) == -9999
    arrays = modts.cohort_from_arrays(np.where(np.isnan(cohort.X), -9999, cohort.X), missing=-9999)
    assert arrays.notes["missing"] == [-9999] and "missing" not in modts.cohort_from_arrays(cohort.X).notes


def test_one_code_in_one_window_is_noticed(cohort, backbone):
    X = cohort.part("test")[0][:3].copy()
    silent(lambda: backbone.latents(X))
    f = cohort.features.index("Platelets")
    X[1, 5, f] = -999
    with pytest.warns(ModtsWarning, match=r"'Platelets' of window 1 is -999 at step 5.*\(1 such cells\)"):
        backbone.latents(X)
    with pytest.warns(ModtsWarning, match="'Platelets' of window 1 is -999"):
        modts.Predictor(backbone, modts.Head("simple", backbone.latents(X[:1]).shape[1], 1)).predict(X)


# --- times and labels ------------------------------------------------------------------------------------------------


def test_a_mistyped_year_and_a_step_in_another_unit_are_noticed():
    dated = stays(20, 20).assign(time=lambda frame: pd.Timestamp("2024-03-01") + pd.to_timedelta(frame["time"], "min"))
    silent(lambda: modts.cohort_from_table(dated, label=None, step="1h"))
    wrong = dated.assign(time=dated["time"].where(dated.index != 105, pd.Timestamp("2042-03-01 05:00")))
    with pytest.warns(
        ModtsWarning, match=r"Id '5' has 20 rows and 157,7\d\d steps of '1h' \(its last time is 2042-03-01 05:00"
    ):
        modts.cohort_from_table(wrong, label=None, step="1h")
    silent(lambda: modts.cohort_from_table(wrong, label=None, step="1h", n_steps=48))
    hours = dated.assign(time=pd.to_timedelta(stays(20, 20)["time"], "h"))
    with pytest.warns(ModtsWarning, match="step too short or in another unit"):
        modts.cohort_from_table(hours, label=None, step=1)  # a second
    visits = stays(20, 20, 30)  # every thirty days, in days
    silent(lambda: modts.cohort_from_table(visits, label=None, step=1))
    modts.cohort_from_table(
        wrong.replace({"time": {pd.Timestamp("2042-03-01 05:00"): pd.Timestamp("2424-03-01")}}), label=None
    )
    long = series().drop(columns="a").reset_index(names="t")
    long.loc[len(long) - 1, "t"] = pd.Timestamp("2424-01-01")
    with (
        pytest.warns(ModtsWarning, match="The series has 1200 rows and 3,5.* most windows are empty"),
        pytest.raises(ModtsError, match="The val part of the series holds no value"),
    ):
        modts.cohort_from_series(long, time="t", steps=24, step="1h")


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (lambda t: t.astype(str), "'time' holds numbers written as text"),
        (lambda t: t.astype(str).where(t.index != 17, "hour"), "'time' holds numbers, but in row 17 there is 'hour'"),
        (lambda t: (pd.Timestamp("2024-01-01") + pd.to_timedelta(t, "h")).astype(str).where(t.index != 9, "31/01/2024"),
         "'time' holds dates, but in row 9 there is '31/01/2024'"),
        (lambda t: t.map(lambda one: f"hour {one}"), r"neither numbers nor dates .* \(first: 'hour 0'\)"),
    ],
)  # fmt: skip
def test_the_time_that_is_none_is_named(times, sentence):
    frame = stays(10, 5, 1)
    with pytest.raises(ModtsError, match=sentence):
        modts.cohort_from_table(frame.assign(time=times(frame["time"])), label=None)


def test_repeated_times_stand_as_people_write_them():
    frame = stays(10, 5).assign(time=lambda f: pd.Timestamp("2024-03-01") + pd.to_timedelta(f["time"], "min"))
    twice = pd.concat([frame, frame.iloc[:1]])
    with pytest.raises(ModtsError, match=r"several rows at time 2024-03-01 00:00:00; each"):
        modts.cohort_from_table(twice, label=None)
    zoned = twice.assign(time=twice["time"].dt.tz_localize("Europe/Berlin").astype(str))
    with pytest.raises(ModtsError, match=r"several rows at time 2024-02-29 23:00:00 \(UTC\); each"):
        modts.cohort_from_table(zoned, label=None)


def test_a_rare_class_is_told_by_its_name():
    words = np.where(np.arange(30) < 2, "icu", np.where(np.arange(30) < 15, "home", "ward"))
    frame = stays(30, 3)
    for call in (
        lambda: modts.cohort_from_table(frame.assign(label=np.repeat(words, 3)), task="multiclass"),
        lambda: modts.cohort_from_table(frame, labels=pd.DataFrame({"id": range(30), "label": words}), task="multiclass"),
        lambda: modts.cohort_from_arrays(modts.cohort_from_table(frame, label=None).X, words, task="multiclass"),
    ):  # fmt: skip
        with pytest.raises(ModtsError, match="at least 3 rows of class 'icu', but there are 2"):
            call()


@pytest.mark.parametrize(
    "kind", [pd.Categorical, lambda y: pd.Series(y == 1, dtype=object), lambda y: pd.array(y == 1, dtype="boolean")]
)
def test_a_label_of_0_and_1_in_another_kind_of_column(kind):
    frame, y = stays(30, 3), np.arange(30) % 2
    plain = modts.cohort_from_table(frame.assign(label=np.repeat(y, 3)))
    beside = modts.cohort_from_table(frame, labels=pd.DataFrame({"id": range(30), "label": kind(y)}))
    within = modts.cohort_from_table(frame.assign(label=kind(np.repeat(y, 3))))
    assert plain.y.tolist() == beside.y.tolist() == within.y.tolist()


# --- calls -----------------------------------------------------------------------------------------------------------

ASKED = [
    (lambda c, b: modts.paired("classification", "auroc", [0, 1], [0.1, 0.2], [0.1, 0.3], nboot=3), "mean 'n_boot'"),
    (lambda c, b: modts.paired("classification", [0, 1], [0.1, 0.2], [0.1, 0.3]), "missing a required argument: 'p_b'"),
    (lambda c, b: modts.mask(c.X, rates=0.1), "mean 'rate'"),
    (lambda c, b: modts.mask(), "missing a required argument: 'X'"),
    (lambda c, b: modts.series_back(c, fill=c.X), "mean 'filled'"),
    (lambda c, b: modts.series_back(c.X, c.X), "must be a Cohort"),
    (lambda c, b: modts.Head("simple", 3, 1, depth=3), "mean 'width'"),
    (lambda c, b: modts.stream(b, "w.npy", "z.npy", pool="x"), "mean 'pooling'"),
    (lambda c, b: modts.stream("b.safetensors", "w.npy", "z.npy"), "must be a Backbone"),
    (lambda c, b: modts.stream(b, None, "z.npy"), "The source must be the path of a file"),
    (lambda c, b: c.labelled(0.5), "missing a required argument: 'seed'"),
    (lambda c, b: c.labelled(fraction=0.5, sed=1), "mean 'seed'"),
    (lambda c, b: c.save("x.npz", compress=True), "no parameter 'compress'"),
    (lambda c, b: c.part(), "missing a required argument: 'split'"),
    (lambda c, b: c.part("tain"), "Unknown split 'tain'"),
    (lambda c, b: c.lengths_of(), "missing a required argument: 'split'"),
    (lambda c, b: c.resplit(sed=1), "mean 'seed'"),
]


@pytest.mark.parametrize(("call", "sentence"), ASKED)
def test_a_slip_in_any_call_is_a_sentence(cohort, backbone, call, sentence):
    with pytest.raises(ModtsError, match=sentence):
        call(cohort, backbone)
