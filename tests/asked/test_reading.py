"""Own tables as they were written: ids, steps, times and labels that would be misread without a word."""

import numpy as np
import pandas as pd
import pytest

import modts
from modts import cohorts
from modts.errors import ModtsError, ModtsWarning


def rows(names, hours=4, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.repeat(names, hours), "time": np.tile(np.arange(hours), len(names))})
    return frame.assign(a=rng.normal(size=len(frame)), b=rng.normal(80, 9, size=len(frame)))


# --- ids in files ----------------------------------------------------------------------------------------------------


def test_patients_7_and_07_are_two(tmp_path):
    names = [form % i for i in range(20) for form in ("%d", "%02d")][10:]
    names = list(dict.fromkeys(names))
    rows(names).to_csv(tmp_path / "t.csv", index=False)
    labels = pd.DataFrame({"id": names, "label": np.arange(len(names)) % 2})
    labels.to_csv(tmp_path / "l.csv", index=False)
    cohort = modts.cohort_from_table(tmp_path / "t.csv", labels=tmp_path / "l.csv")
    assert set(cohort.ids) == set(names) and {"7", "07"} <= set(cohort.ids)
    assert labels.set_index("id").loc[cohort.ids, "label"].tolist() == cohort.y.tolist()
    new = modts.windows_from_table(tmp_path / "t.csv", cohort)
    assert set(new.ids) == set(names)
    grouped = rows(names).assign(g=np.repeat(["1", "01", "001"], len(names) * 4 // 3 + 4)[: len(names) * 4])
    grouped["g"] = grouped["id"].map(
        dict(zip(names, np.resize(["1", "01", "2", "3", "4", "5"], len(names)), strict=True))
    )
    grouped.to_csv(tmp_path / "g.csv.gz", index=False)
    made = modts.cohort_from_table(tmp_path / "g.csv.gz", label=None, groups="g")
    assert set(made.groups) == {"1", "01", "2", "3", "4", "5"}


@pytest.mark.parametrize("first", ["NA", "null", "nan"])
def test_a_patient_called_na_has_a_name_and_an_empty_one_has_none(tmp_path, first):
    frame = rows([first, *(f"p{i}" for i in range(1, 20))])
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert first in modts.cohort_from_table(tmp_path / "t.csv", label=None).ids
    numbers = rows([first, *map(str, range(1, 20))])
    numbers.to_csv(tmp_path / "n.tsv", index=False, sep="\t")
    assert first in modts.cohort_from_table(tmp_path / "n.tsv", label=None).ids
    frame.assign(id=frame["id"].where(frame["id"] != first, "")).to_csv(tmp_path / "e.csv", index=False)
    with pytest.raises(ModtsError, match="Column 'id' is empty in row 0"):
        modts.cohort_from_table(tmp_path / "e.csv", label=None)


@pytest.mark.parametrize(
    "names",
    [list(range(5, 35)), [1.5 * i for i in range(30)], [f"p{i}" for i in range(30)], [10**12 + i for i in range(30)]],
)
def test_plain_ids_keep_their_order_and_their_splits(tmp_path, names):
    rows(names).assign(label=np.repeat(np.arange(30) % 2, 4)).to_csv(tmp_path / "t.csv", index=False)
    ours, plain = (room.cohort_from_table(tmp_path / "t.csv") for room in (modts, cohorts))
    assert ours.content_hash == plain.content_hash and ours.ids.tolist() == plain.ids.tolist()


def test_labels_from_a_file_find_the_ids_of_a_data_frame(tmp_path):
    names = [f"{i:05d}" for i in range(20)]
    pd.DataFrame({"id": names, "label": np.arange(20) % 2}).to_csv(tmp_path / "l.csv", index=False)
    assert modts.cohort_from_table(rows(names), labels=tmp_path / "l.csv").ids.tolist() == names
    with pytest.raises(ModtsError, match="both must be written alike"):
        modts.cohort_from_table(rows(list(range(10, 30))), labels=tmp_path / "l.csv")


# --- steps and times -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hourly():
    frame = rows([f"p{i}" for i in range(20)])
    return frame.assign(time=pd.Timestamp("2024-03-01 08:00") + pd.to_timedelta(frame["time"], unit="h"))


def test_the_step_is_remembered_through_files(hourly, tmp_path):
    cohort = modts.cohort_from_table(hourly, label=None, step="1h")
    backbone = modts.build("GRU-D", cohort)
    modts.pretrain(backbone, cohort.X[:12], cohort.X[12:], epochs=1, progress=None)
    predictor = modts.Predictor(backbone, modts.Head("simple", 64, 1))
    kept = [
        modts.load_cohort(cohort.save(tmp_path / "c.npz")),
        backbone,
        modts.load_backbone(backbone.save(tmp_path / "b.safetensors", ward="a")),
        modts.load_predictor(predictor.save(tmp_path / "p.safetensors")),
    ]
    one = hourly[hourly["id"] == "p3"]
    for like in kept:
        np.testing.assert_array_equal(modts.windows_from_table(one, like).X[0], cohort.X[list(cohort.ids).index("p3")])
        for same in ("60min", pd.Timedelta("1h"), np.timedelta64(3600, "s")):
            assert modts.windows_from_table(one, like, step=same).X.shape == (1, 4, 2)
        with pytest.raises(ModtsError, match="a step of 3600 s, as its cohort had them, and step='10min' is 600"):
            modts.windows_from_table(one, like, step="10min")
    hours = one.assign(time=np.arange(4.0))
    assert modts.windows_from_table(hours, backbone, time_unit="h").X.shape == (1, 4, 2)
    with pytest.raises(ModtsError, match="need.* their unit"):
        modts.windows_from_table(hours, backbone)
    again = modts.load_backbone(tmp_path / "b.safetensors").save(tmp_path / "again.safetensors")
    assert modts.load_backbone(again).made_for == backbone.made_for
    assert "made_for" not in modts.build("GRU-D", modts.load_cohort("simulated_icu")).card


def test_a_step_of_any_kind_can_be_saved(hourly, tmp_path):
    numbers = rows([f"p{i}" for i in range(20)])
    for table, given in (
        (hourly, {"step": np.timedelta64(1, "h")}),
        (hourly, {"step": pd.Timedelta("1h").to_pytimedelta()}),
        (numbers, {"step": np.int64(1)}),
        (numbers, {"step": "1h", "time_unit": "h"}),
    ):
        cohort = modts.cohort_from_table(table, label=None, **given)
        again = modts.load_cohort(cohort.save(tmp_path / "c.npz"))
        assert again.notes["step"] == cohort.notes["step"] and cohort.X.shape == (20, 4, 2)
        assert modts.windows_from_table(table, again).X.shape == cohort.X.shape


def test_rows_that_are_steps_are_compared_with_the_cohorts(hourly):
    cohort = modts.cohort_from_table(hourly, label=None)  # each row a step, and an hour apart
    one = hourly[hourly["id"] == "p3"]
    assert modts.windows_from_table(one, cohort).X.shape == modts.windows_from_table(one, cohort, step="1h").X.shape
    with pytest.raises(ModtsError, match="a step of 3600 s"):
        modts.windows_from_table(one, cohort, step="1D")
    for some, how in ((one.iloc[[0, 1, 3]], "unevenly spaced"), (one.iloc[[0, 2]], "7200 apart")):
        with pytest.warns(ModtsWarning, match=f"were 3600 s apart, and these are {how}, each counted as one step"):
            modts.windows_from_table(some, cohort)
    uneven = modts.cohort_from_table(hourly.drop(index=hourly.index[1]), label=None)
    with pytest.warns(ModtsWarning, match="was made without step=, each row a step"):
        modts.windows_from_table(one, uneven, step="1h")


def test_a_series_goes_on_from_where_it_is():
    cohort = modts.cohort_from_series(pd.DataFrame({"a": np.sin(np.arange(200.0))}), steps=10, step=1)
    piece = pd.DataFrame({"a": np.sin(np.arange(5000.0, 5030.0))}, index=np.arange(5000, 5030))
    new = modts.windows_from_table(piece, cohort, id=None)
    assert new.index.tolist() == list(range(5000, 5030)) and new.X.shape == (3, 10, 1)


def test_seconds_since_1970_are_no_steps_from_0(hourly):
    epoch = hourly.assign(time=hourly["time"].astype("datetime64[s]").astype("int64"))
    given = {"step": "1h", "time_unit": "s"}
    with pytest.raises(ModtsError, match=r"474,8\d\d steps behind it.*pd.to_datetime\(table\['time'\], unit='s'\)"):
        modts.cohort_from_table(epoch, label=None, **given)
    cohort = modts.cohort_from_table(hourly, label=None, step="1h")
    with pytest.raises(ModtsError, match="counted from 0"):
        modts.windows_from_table(epoch, cohort, **given)


def test_the_hour_at_which_clocks_are_set_back_is_no_repeat_to_be_averaged():
    local = pd.date_range("2024-10-26", periods=200, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"when": local.tz_localize(None), "a": np.arange(200.0), "b": np.sin(np.arange(200))})
    stays = pd.concat([frame.assign(id=f"p{i}", a=frame["a"] + i) for i in range(9)])
    cohort = modts.cohort_from_series(frame.assign(when=local), time="when", steps=10)
    calls = (
        lambda: modts.cohort_from_series(frame, time="when", steps=10),
        lambda: modts.cohort_from_table(stays, time="when", label=None),
        lambda: modts.windows_from_table(frame, cohort, id=None, time="when"),
    )
    for call in calls:
        with pytest.raises(
            ModtsError, match="If clocks were set back there, both hours are real, .* UTC or with their offset"
        ):
            call()
    with pytest.raises(ModtsError, match="^The series has several rows at time .*; each time may occur once"):
        calls[2]()
    doubled = pd.concat([stays, stays.head(1)]).assign(when=0)
    with pytest.raises(ModtsError, match="which value holds.$"):
        modts.cohort_from_table(doubled, time="when", label=None)


def test_a_column_of_dates_beside_a_counted_index_is_not_passed_over():
    index = pd.date_range("2024-01-01", periods=200, freq="30min")
    frame = pd.DataFrame({"when": index, "a": np.arange(200.0), "b": np.sin(np.arange(200))})
    cohort = modts.cohort_from_series(frame, time="when", steps=10)
    text = frame.assign(when=frame["when"].astype(str)).drop(index=[5, 6])
    for one in (frame, text):
        with pytest.raises(ModtsError, match="its dates stand in the column 'when'; say time='when'"):
            modts.windows_from_table(one, cohort, id=None)
        with pytest.raises(ModtsError, match="say time='when'"):
            modts.cohort_from_series(one, steps=10)
    assert modts.windows_from_table(frame.set_index("when"), cohort, id=None).X.shape == (20, 10, 2)


# --- names and labels ------------------------------------------------------------------------------------------------


def test_single_values_by_another_name():
    long = rows([f"p{i}" for i in range(20)]).rename(columns={"a": "hr", "b": "map"}).melt(["id", "time"])
    given = {"variable": "variable", "value": "value"}
    cohort = modts.cohort_from_table(long, label=None, **given)
    one = long[long["id"] == "p3"]

    def renamed(**names):
        return modts.windows_from_table(one.assign(variable=one["variable"].replace(names)), cohort, **given)

    with pytest.raises(ModtsError, match="holds ' HR', which .* does not read, and no 'hr', which it reads; rename it"):
        renamed(hr=" HR")
    with pytest.raises(ModtsError, match="none of the variables .*hr, map.*; it holds MAP, pulse"):
        renamed(hr="pulse", map="MAP")
    with pytest.warns(ModtsWarning, match="holds no 'hr', .* and 'pulse', which it does not: .* rename them"):
        renamed(hr="pulse")
    assert np.isnan(modts.windows_from_table(one[one["variable"] == "hr"], cohort, **given).X[..., 1]).all()
    with pytest.raises(ModtsError, match="^Series without any value: 'p3'; leave them out.$"):
        modts.windows_from_table(one.assign(value=np.nan), cohort, **given)
    numbers = long.assign(variable=long["variable"].map({"hr": 220045, "map": 220052}))
    new = modts.windows_from_table(
        numbers[numbers["id"] == "p3"], modts.cohort_from_table(numbers, label=None, **given), **given
    )
    assert not np.isnan(new.X).any()


def test_a_yes_or_no_in_words_and_patients_without_a_label():
    table = rows([f"p{i}" for i in range(20)])
    labels = pd.DataFrame({"id": table["id"].unique(), "died": np.resize(["no", "yes"], 20)})
    with pytest.raises(ModtsError, match="The label 'died' holds words .for example 'no'.; make it 0 and 1"):
        modts.cohort_from_table(table, labels=labels, label="died")
    with pytest.raises(ModtsError, match="holds words"):
        modts.cohort_from_table(table.assign(label=np.repeat(labels["died"], 4).to_numpy()))
    kept = modts.cohort_from_table(table, labels=labels, label="died", task="multiclass")
    assert kept.classes == ("no", "yes")
    few = labels.assign(died=np.arange(20) % 2).head(15)
    with pytest.raises(
        ModtsError, match="has no label 'died'. Leave out what has no label; to pretrain on it all the same"
    ):
        modts.cohort_from_table(table, labels=few, label="died")


def test_a_target_of_0_and_1_that_becomes_a_number_is_noticed():
    index = pd.date_range("2024-01-01", periods=400, freq="30min")
    frame = pd.DataFrame({"a": np.sin(np.arange(400)), "alarm": (np.arange(400) % 3 == 0).astype(int)}, index=index)
    assert modts.cohort_from_series(frame, steps=10, target="alarm").task == "stepwise"
    with pytest.warns(ModtsWarning, match="'alarm' holds nothing but 0 and 1 and is predicted as a number"):
        modts.cohort_from_series(frame, steps=10, target="alarm", step="1h")
