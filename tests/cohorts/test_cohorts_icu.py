"""eICU and MIMIC in the YAIB layout, on small tables made here."""

import numpy as np
import pandas as pd
import pytest
from core_fixture import benchmark

from modts.cohorts import load_cohort
from modts.errors import ModtsError


@pytest.fixture
def folder(tmp_path):
    """Twelve stays of 2 to 4 hours, unsorted, times as ricu's durations."""
    rng = np.random.default_rng(0)
    rows = [(100 - i, h, rng.normal(80), np.nan if h else 1.5) for i in range(12) for h in range(2 + i % 3)]
    dyn = pd.DataFrame(rows, columns=["stay_id", "time", "hr", "lact"])
    dyn["time"] = pd.to_timedelta(dyn["time"], unit="h")
    dyn.sample(frac=1, random_state=0).to_parquet(tmp_path / "dyn.parquet")
    stays = 100 - np.arange(12)
    pd.DataFrame({"stay_id": stays, "label": np.arange(12) % 2}).to_parquet(tmp_path / "outc.parquet")
    sta = {"stay_id": stays, "age": 60.0, "sex": ["Male", "Female"] * 6, "height": 170.0, "weight": np.nan}
    pd.DataFrame(sta).to_parquet(tmp_path / "sta.parquet")
    return tmp_path


@pytest.mark.parametrize("name", ["eicu", "mimic"])
def test_yaib_layout(name, folder):
    c = load_cohort(name, folder=str(folder))
    assert c.X.shape == (12, 4, 2) and c.features == ("hr", "lact") and c.units == ("1/min", "mmol/L")
    assert list(c.ids) == [str(i) for i in range(89, 101)]
    assert c.y[list(c.ids).index("99")] == 1  # the second stay made above
    i = list(c.ids).index("100")  # the first: two hours, then padding
    assert not np.isnan(c.X[i, :2, 0]).any() and np.isnan(c.X[i, 2:]).all() and c.X[i, 0, 1] == 1.5
    assert c.content_hash == load_cohort(name, folder=str(folder)).content_hash
    assert str(folder) not in str(c.describe())  # nobody's paths on a page


def test_static_variables_are_observed_at_the_first_hour(folder):
    c = load_cohort("eicu", folder=str(folder), static=True)
    assert c.features == ("hr", "lact", "age", "sex", "height", "weight")
    sex = c.X[:, :, c.features.index("sex")]
    assert set(sex[:, 0]) == {0.0, 1.0} and np.isnan(sex[:, 1:]).all()
    assert sex[list(c.ids).index("100"), 0] == 1.0


def edit(path, change):
    change(pd.read_parquet(path)).to_parquet(path)


@pytest.mark.parametrize(
    "table, change, sentence",
    [
        ("dyn", lambda d: d.rename(columns={"time": "hour"}), "no column 'time'"),
        ("dyn", lambda d: d[d.stay_id != 95], "holds stay 95, which dyn.parquet lacks"),
        ("dyn", lambda d: pd.concat([d, d.iloc[:1]]), "same hour of a stay twice"),
        ("dyn", lambda d: d.assign(time=d.time + pd.Timedelta("20min")), "whole hours since admission"),
        ("dyn", lambda d: d.assign(hr="high"), "cannot be read"),
        ("outc", lambda d: d[d.stay_id != 95], "holds stay 95, which outc.parquet lacks"),
        ("outc", lambda d: d.assign(label=d.label * 3), "labels must be 0 or 1"),
        ("outc", lambda d: pd.concat([d, d]), "several labels per stay"),
        ("outc", lambda d: d.assign(label=0), "at least 3 rows with label 1"),
    ],
)
def test_tables_that_do_not_fit(folder, table, change, sentence):
    edit(folder / f"{table}.parquet", change)
    with pytest.raises(ModtsError, match=sentence):
        load_cohort("eicu", folder=str(folder))


def test_absent_or_damaged_files(folder, monkeypatch):
    (folder / "dyn.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModtsError, match="eICU files in .* cannot be read"):
        load_cohort("eicu", folder=str(folder))
    (folder / "dyn.parquet").unlink()
    with pytest.raises(ModtsError, match="holds no dyn.parquet"):
        load_cohort("eicu", folder=str(folder))
    monkeypatch.delenv("MODTS_DATA", raising=False)
    with pytest.raises(ModtsError, match='needs folder="..."'):
        load_cohort("mimic")
    monkeypatch.setenv("MODTS_DATA", str(folder))
    with pytest.raises(ModtsError, match="There is no folder .*mimic_demo"):
        load_cohort("mimic")


def test_one_number_a_stay(folder):
    edit(folder / "outc.parquet", lambda d: d.assign(label=d.stay_id / 10))
    c = load_cohort("eicu", folder=str(folder), task="kidney_function")
    assert (c.task, c.split_by, c.target_unit) == ("regression", "random", "mg/dL") and c.y.dtype == np.float32
    np.testing.assert_allclose(c.y, c.ids.astype(float) / 10, rtol=1e-6)


def hourly(folder, change=lambda d: d):
    """outc with a label at each hour of dyn: 10 times the stay plus the hour."""
    hours = pd.read_parquet(folder / "dyn.parquet")[["stay_id", "time"]]
    labels = hours.assign(label=hours.stay_id * 10.0 + hours.time.dt.total_seconds() / 3600)
    change(labels.sample(frac=1, random_state=1)).to_parquet(folder / "outc.parquet")
    return load_cohort("eicu", folder=str(folder), task="los")


def test_a_number_at_every_hour(folder):
    c = hourly(folder)
    assert (c.task, c.split_by, c.target_unit) == ("regression", "random", "h") and c.y.shape == (12, 4)
    i = list(c.ids).index("100")  # two hours
    assert c.y[i, :2].tolist() == [1000, 1001] and np.isnan(c.y[i, 2:]).all()
    np.testing.assert_array_equal(np.isnan(c.y), np.isnan(c.X[..., 0]))


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda d: pd.concat([d, d.iloc[:1]]), "same hour of a stay twice"),
        (lambda d: d.drop(columns="time"), "several labels per stay"),
        (
            lambda d: d.assign(time=d.time + pd.Timedelta("9h")),
            "label at hour 12, after the last hour of dyn.parquet, 3",
        ),
        (lambda d: d.assign(label=np.where(d.stay_id == 95, np.nan, d.label)), "labels must be numbers"),
    ],
)
def test_hourly_labels_that_do_not_fit(folder, change, sentence):
    with pytest.raises(ModtsError, match=sentence):
        hourly(folder, change)


def test_a_yes_or_no_at_every_hour(folder):
    c = hourly(folder, lambda d: d.assign(label=(d.label % 2)))
    assert (c.task, c.split_by) == ("stepwise", "random") and c.y.shape == (12, 4)
    i = list(c.ids).index("100")
    assert c.y[i, :2].tolist() == [0, 1] and np.isnan(c.y[i, 2:]).all()


# --- length of stay, asked once ---


@pytest.fixture
def long_stays(tmp_path, monkeypatch):
    """MODTS_DATA with sixty stays of 20 to 49 hours, every other stay the next one's twin in age, sex, height and weight."""
    folder = tmp_path / "data" / "yaib_demo" / "los" / "eicu_demo"
    folder.mkdir(parents=True)
    hours = pd.DataFrame([(i, h) for i in range(60) for h in range(20 + i % 30)], columns=["stay_id", "time"])
    hours.assign(hr=hours.stay_id + hours.time / 100.0).to_parquet(folder / "dyn.parquet")
    left = hours.groupby("stay_id").time.transform("max") - hours.time
    hours.assign(label=left.astype(float)).to_parquet(folder / "outc.parquet")
    twins = np.arange(60) // 2
    weight = np.where(twins == 20, np.nan, 60.0 + twins)
    pd.DataFrame(
        {"stay_id": range(60), "age": 50.0, "sex": "Male", "height": 170.0, "weight": weight},
    ).to_parquet(folder / "sta.parquet")
    monkeypatch.setenv("MODTS_DATA", str(tmp_path / "data"))
    return tmp_path


def test_length_of_stay_reads_the_first_day_alone(long_stays):
    file = long_stays / "eicu_stay.npz"
    assert benchmark("eicu_stay").main([str(file)]) == 0
    c = load_cohort(str(file), seed=3)
    assert (c.task, c.target_unit, c.features) == ("regression", "h", ("hr",)) and c.X.shape[1:] == (25, 1)
    stays = c.ids.astype(int)
    assert sorted(stays) == [i for i in range(60) if 20 + i % 30 > 24]  # who left before hour 24 is not asked about
    np.testing.assert_array_equal(c.y, 20 + stays % 30 - 1 - 24)
    np.testing.assert_allclose(c.X[..., 0], stays[:, None] + np.arange(25) / 100, rtol=1e-6)


def test_twins_stay_on_one_side(long_stays):
    file = long_stays / "eicu_stay.npz"
    benchmark("eicu_stay").main([str(file)])
    for seed in range(5):
        c = load_cohort(str(file), seed=seed)
        where = {int(c.ids[i]): name for name, rows in c.splits.items() for i in rows}
        pairs = [(i, i + 1) for i in range(0, 60, 2) if i in where and i != 40]
        assert len(pairs) == 23 and all(where[a] == where[b] for a, b in pairs)
    assert len(set(c.groups[np.isin(c.ids, ["40", "41"])])) == 2  # a weight that is not known makes no twins


def test_a_file_of_another_kind_is_not_written(long_stays, capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark("eicu_stay").main([str(long_stays / "stay.csv")])
    assert "must end with .npz" in capsys.readouterr().err
