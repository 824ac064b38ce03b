"""The public data sets' loaders, on small files made here in the layout of a tsdb_home; no network, no real data."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from modts.cohorts import load_cohort, physionet, tsdb_home
from modts.errors import ModtsError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty tsdb_home and an empty cache."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("MODTS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MODTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def unsealed(home, monkeypatch):
    """The protocol as it stands is frozen."""
    from modts.runs import freeze, protocol

    monkeypatch.setenv("MODTS_RESULTS", str(home.parent / "results"))
    monkeypatch.setattr(protocol, "code_version", lambda: "abc")
    return freeze()


# ---- PhysioNet 2012 --------------------------------------------------------------------------------------------------


def make_2012(home, stays=14):
    """Three sets of small stays, with every oddity of the real files; returns the folder."""
    folder = home / "physionet_2012"
    rng = np.random.default_rng(0)
    for number, letter in enumerate("abc"):
        (folder / f"set-{letter}").mkdir(parents=True)
        outcomes = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
        for i in range(stays):
            stay = 130_000 + 1000 * number + 7 * i
            lines = [
                "Time,Parameter,Value",
                f"00:00,RecordID,{stay}",
                "00:00,Age,54",
                "00:00,Gender,0",
                "00:00,Height,-1",
            ]
            lines += ["00:00,ICUType,4", "00:00,Weight,-1"]
            if i != 3:  # stay 3 has nothing after the first hour and is dropped
                for t in sorted(rng.choice(60 * 49, 40, replace=False)):
                    name = rng.choice([*physionet.FEATURES_2012, "MechVent", "HR", "HR"])
                    lines.append(f"{t // 60:02d}:{t % 60:02d},{name},{rng.normal(50, 9):.3f}")
                lines += ["05:01,HR,70", "05:59,HR,75.5", "05:59,HR,75.5", "47:59,GCS,15", "48:00,GCS,3"]
            if i == 5:
                lines.append("06:32,,2.7")  # set-c has rows without a name
            (folder / f"set-{letter}" / f"{stay}.txt").write_text("\n".join(lines) + "\n")
            outcomes.append(f"{stay},6,1,5,-1,{int(i % 3 == 0)}")
        (folder / f"Outcomes-{letter}.txt").write_text("\n".join(outcomes) + "\n")
    return folder


def tsdb_grid(table, features):
    """TSDB's long table of one set as (N, 48, F) float32 and sorted ids."""
    table = table[table["Time"] < 48]
    ids = np.sort(table["RecordID"].unique())
    X = np.full((len(ids), 48, len(features)), np.nan)
    X[np.searchsorted(ids, table["RecordID"]), table["Time"]] = table.reindex(columns=list(features)).to_numpy()
    return X.astype(np.float32), ids.astype(str)


def assert_equals_tsdb(folder):
    tsdb_home.import_tsdb()
    from tsdb.loading_funcs import load_physionet2012

    theirs = load_physionet2012(str(folder))
    for name, subset in (("physionet_2012", "set-a"), ("physionet_2012_b", "set-b"), ("physionet_2012_c", "set-c")):
        ours = load_cohort(name)
        X, ids = tsdb_grid(theirs[subset], ours.features)
        np.testing.assert_array_equal(ours.ids, ids)
        np.testing.assert_array_equal(ours.X, X)
        y = theirs[f"outcomes-{subset[-1]}"]["In-hospital_death"].loc[ids.astype(int)]
        np.testing.assert_array_equal(ours.y, y)


def test_physionet_2012_equals_tsdb(home, unsealed):
    assert_equals_tsdb(make_2012(home))


def test_physionet_2012_grid(home):
    make_2012(home)
    c = load_cohort("physionet_2012")
    assert c.X.shape == (13, 48, 35) and c.features[:3] == ("DiasABP", "HR", "Na") and c.features[-1] == "ALP"
    assert "130021" not in c.ids  # the stay without a series
    assert (c.X[:, 47, c.features.index("GCS")] == 15).any()
    assert c.y[list(c.ids).index("130000")] == 1


def test_set_c_is_sealed_until_the_protocol_is_frozen_and_again_with_other_code(home, monkeypatch):
    from modts.runs import freeze, frozen_path, protocol

    make_2012(home)
    monkeypatch.setenv("MODTS_RESULTS", str(home.parent / "results"))
    monkeypatch.setattr(protocol, "code_version", lambda: "abc")
    monkeypatch.setattr(physionet, "_parse_2012", lambda *a: pytest.fail("read"))
    for name in ("physionet_2012_c", "physionet_2012_all", "physionet_2012_emit"):
        with pytest.raises(ModtsError, match=f"{name} holds the external test, which stays sealed until"):
            load_cohort(name)
    monkeypatch.undo()  # sealed: nothing was read
    monkeypatch.setenv("MODTS_DATA", str(home))
    monkeypatch.setenv("MODTS_CACHE", str(home.parent / "cache"))
    monkeypatch.setenv("MODTS_RESULTS", str(home.parent / "results"))
    monkeypatch.setattr(protocol, "code_version", lambda: "abc")
    freeze()
    assert frozen_path().parent == home.parent / "results"
    assert load_cohort("physionet_2012_c").n_samples == 13
    monkeypatch.setattr(protocol, "hash_of", lambda name: "other")
    for name in ("physionet_2012_c", "physionet_2012_all", "physionet_2012_emit"):
        with pytest.raises(ModtsError, match=f"{name} holds the external test, which is sealed again"):
            load_cohort(name)
    assert load_cohort("physionet_2012").n_samples == load_cohort("physionet_2012_b").n_samples == 13


def test_the_sets_of_physionet_2012_are_cohorts_of_their_own(home, unsealed):
    make_2012(home)
    a, b, c, everything = (load_cohort(f"physionet_2012{name}", seed=3) for name in ("", "_b", "_c", "_all"))
    assert [one.n_samples for one in (a, b, c, everything)] == [13, 13, 13, 39]
    assert set(everything.ids) == {*a.ids, *b.ids, *c.ids} and not set(a.ids) & set(b.ids)
    assert b.name == "physionet_2012_b" and b.notes["subset"] == "set-b" and b.features == a.features
    assert {split: len(rows) for split, rows in b.splits.items()} == {"train": 7, "val": 3, "test": 3}
    assert b.content_hash != load_cohort("physionet_2012_b", seed=4).content_hash
    with pytest.raises(ModtsError, match="Cohort 'physionet_2012' has no option 'subset'; its options: none"):
        load_cohort("physionet_2012", subset="set-b")


def test_all_stays_are_split_as_their_yardsticks_split_them(home, unsealed):
    make_2012(home)
    a, everything = load_cohort("physionet_2012"), load_cohort("physionet_2012_all", seed=1)
    assert {split: len(rows) for split, rows in everything.splits.items()} == {"train": 29, "val": 5, "test": 5}
    emit = load_cohort("physionet_2012_emit", seed=1)
    assert set(emit.ids[emit.splits["test"]]) == set(a.ids)
    assert {split: len(rows) for split, rows in emit.splits.items()} == {"train": 20, "val": 6, "test": 13}
    assert emit.content_hash != load_cohort("physionet_2012_emit", seed=2).content_hash
    assert emit.part("test")[1].tolist() == a.y.tolist()


def test_cache_is_used_and_follows_files_and_loader_version(home, monkeypatch):
    folder = make_2012(home)
    first = load_cohort("physionet_2012").content_hash
    with monkeypatch.context() as m:
        m.setattr(physionet, "_parse_2012", lambda *a: pytest.fail("parsed again"))
        assert load_cohort("physionet_2012").content_hash == first
        m.setattr(physionet, "_VERSION_2012", 99)
        with pytest.raises(pytest.fail.Exception):
            load_cohort("physionet_2012")
    stay = next((folder / "set-a").glob("*.txt"))
    stay.write_text(stay.read_text() + "10:10,HR,111\n")
    assert load_cohort("physionet_2012").content_hash != first


def cached(home, suffix):
    return next((home.parent / "cache").rglob(f"*{suffix}"))


def test_corrupt_cache_is_one_clear_error_and_names_the_file(home):
    make_2012(home)
    first = load_cohort("physionet_2012").content_hash
    path = cached(home, ".npz")
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:300] + b"\xff" + whole[301:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ModtsError, match="does not match its checksum .*delete this file") as caught:
            load_cohort("physionet_2012")
        assert str(path) in str(caught.value)
    path.unlink()  # what the sentence says to do
    assert load_cohort("physionet_2012").content_hash == first
    manifest = cached(home, ".json")
    manifest.write_text("{half")
    with pytest.raises(ModtsError, match="manifest .* is damaged; delete this file"):
        load_cohort("physionet_2012")
    manifest.unlink()
    assert load_cohort("physionet_2012").content_hash == first


def test_killed_while_writing_the_cache_parses_again(home, monkeypatch):
    from modts import runs

    make_2012(home)
    write, calls = runs.atomic_write, []

    def die_at_manifest(path, data):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(path, data)

    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr(runs, "atomic_write", die_at_manifest)
        load_cohort("physionet_2012")
    assert load_cohort("physionet_2012").n_samples == 13


def test_physionet_2012_damaged_raw_files(home):
    folder = make_2012(home)
    stays = sorted((folder / "set-a").glob("*.txt"))
    text = stays[2].read_text()
    stays[2].write_text(text.replace("Time,Parameter", "When,What"))
    with pytest.raises(ModtsError, match="another header"):
        load_cohort("physionet_2012")
    stays[2].write_text(text + "07:00,HR,fast\n")
    with pytest.raises(ModtsError, match="PhysioNet 2012 files in .* cannot be read"):
        load_cohort("physionet_2012")
    stays[2].write_text(text)
    outcomes = folder / "Outcomes-a.txt"
    outcomes.write_text("\n".join(outcomes.read_text().splitlines()[:-1]))
    with pytest.raises(ModtsError, match="has no outcome for stay 130091"):
        load_cohort("physionet_2012")
    outcomes.unlink()
    with pytest.raises(ModtsError, match="holds no Outcomes-a.txt"):
        load_cohort("physionet_2012")


# ---- PhysioNet 2019 --------------------------------------------------------------------------------------------------


def make_2019(home):
    rng = np.random.default_rng(0)
    header = [*physionet.FEATURES_2019, "Age", "Gender", "Unit1", "Unit2", "HospAdmTime", "ICULOS", "SepsisLabel"]
    for name, stays in (("training", 2), ("training_setB", 14)):
        folder = home / "physionet_2019" / name
        folder.mkdir(parents=True)
        for i in range(stays):
            hours = 40 if i == 5 else 50 + i
            table = pd.DataFrame(rng.normal(80, 9, (hours, len(header))), columns=header).round(2)
            table["EtCO2"] = np.nan
            table["ICULOS"] = np.arange(1, hours + 1)
            # septic stays: i % 3 == 0, from the last two hours on, that is after the 48 hours that are seen
            table["SepsisLabel"] = ((i % 3 == 0) & (table["ICULOS"] > hours - 2)).astype(int)
            table.to_csv(folder / f"p{100 + i}.psv", sep="|", index=False, na_rep="NaN")


def test_physionet_2019_one_label_a_stay(home):
    make_2019(home)
    c = load_cohort("physionet_2019")  # set A has 2 stays only: set B is the default
    assert c.notes["subset"] == "training_setB" and c.X.shape == (13, 48, 33) and "EtCO2" not in c.features
    assert "p105" not in c.ids and c.y.shape == (13,)
    np.testing.assert_array_equal(c.y, [int(i[1:]) % 3 == 100 % 3 for i in c.ids])
    raw = pd.read_csv(home / "physionet_2019/training_setB/p107.psv", sep="|")[list(c.features)]
    np.testing.assert_array_equal(c.X[list(c.ids).index("p107")], raw.to_numpy(dtype=np.float32)[:48])
    for subset in ("training_setA", "all"):
        with pytest.raises(ModtsError, match="training_setA is incomplete .*2 of 20,336"):
            load_cohort("physionet_2019", subset=subset)


def test_physionet_2019_set_a_is_the_default_where_it_is_whole(home, monkeypatch):
    make_2019(home)
    monkeypatch.setattr(physionet, "_COMPLETE_SET_A", 2)
    with pytest.raises(
        ModtsError, match="at least 3 rows with label 0, but there are 1"
    ):  # set A's two stays were chosen
        load_cohort("physionet_2019")


# ---- series ------------------------------------------------------------------------------------------------------

ITALY = (
    "CO(GT);PT08.S1(CO);NMHC(GT);C6H6(GT);PT08.S2(NMHC);NOx(GT);PT08.S3(NOx);NO2(GT);PT08.S4(NO2);PT08.S5(O3);T;RH;AH"
)


def make_italy(home, rows=300):
    folder = home / "italy_air_quality"
    folder.mkdir()
    times = pd.date_range("2004-03-10 18:00", periods=rows, freq="h")
    lines = [f"Date;Time;{ITALY};;"]
    for i, t in enumerate(times):
        values = [f"{i + j / 10:.1f}".replace(".", ",") for j in range(13)]
        values[2] = "-200"  # NMHC
        values[3] = "-200,0" if i % 2 else values[3]
        values[12] = "-200" if i % 10 == 0 else values[12]
        lines.append(f"{t:%d/%m/%Y;%H.%M.%S};{';'.join(values)};;")
    (folder / "AirQualityUCI.csv").write_text("\r\n".join([*lines, *[";" * 16] * 5]) + "\r\n")


def test_italy_minus_200_is_missing_and_the_target_is_not_a_feature(home):
    make_italy(home)
    c = load_cohort("italy_air")
    assert c.X.shape == (25, 12, 12) and c.task == "regression" and c.series
    assert "AH" not in c.features and c.features[-2:] == ("T", "RH")
    assert not (c.X == -200).any() and not (c.y == -200).any()
    assert np.isnan(c.X[:, :, c.features.index("NMHC(GT)")]).all()
    assert np.isnan(c.X[0, 1, 3]) and c.X[0, 0, 3] == np.float32(0.3)
    np.testing.assert_array_equal(np.isnan(c.y[0]), [i % 10 == 0 for i in range(12)])
    assert c.y[0, 1] == np.float32(2.2)
    assert [len(c.splits[s]) for s in ("train", "val", "test")] == [15, 5, 5]
    assert c.ids[0] == "2004-03-10T18:00" and c.ids[1] == "2004-03-11T06:00"
    assert load_cohort("italy_air", n_steps=6).X.shape[1:] == (6, 12)
    with pytest.raises(ModtsError, match="n_steps of italy_air must be a whole number from 2 to 60, not 61"):
        load_cohort("italy_air", n_steps=61)


def test_windows_never_cross_splits(home):
    make_italy(home, rows=310)  # 186 train rows = 15 windows and 6 rows that are dropped
    c = load_cohort("italy_air")
    first = c.part("val")[0][0, 0, 0]
    assert first == 186.0  # validation starts at its own first row, not at the remainder of train


def make_beijing(home):
    folder = home / "beijing_multisite_air_quality" / "PRSA_Data_20130301-20170228"
    folder.mkdir(parents=True)
    times = [
        t for m in pd.date_range("2013-03-01", periods=48, freq="MS") for t in pd.date_range(m, periods=48, freq="h")
    ]
    # file names that sort otherwise than the stations inside them
    for file, station, offset in (("a", "Wanliu", 3000), ("b", "Aotizhongxin", 1000), ("c", "Dingling", 2000)):
        table = pd.DataFrame({"No": range(1, len(times) + 1)})
        for unit in ("year", "month", "day", "hour"):
            table[unit] = [getattr(t, unit) for t in times]
        for i, name in enumerate(("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN")):
            table[name] = offset + i
        table.loc[3, "PM10"] = np.nan
        table["wd"], table["WSPM"], table["station"] = "NNW", offset + 10, station
        table.to_csv(folder / f"PRSA_Data_{file}.csv", index=False, na_rep="NA")


def test_beijing_stations_are_sorted_whatever_the_file_order(home, monkeypatch):
    make_beijing(home)
    listing = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listing(path), reverse=True))
    c = load_cohort("beijing_air")
    assert c.n_features == 32 and [f.split("_")[0] for f in c.features[::11]] == ["Aotizhongxin", "Dingling", "Wanliu"]
    np.testing.assert_array_equal(c.X[5, 0, ::11], [1000, 2000, 3000])
    assert c.target == "Wanliu_WSPM at every step" and c.target_unit == "m/s" and "Wanliu_WSPM" not in c.features
    assert (c.y == 3010).all() and np.isnan(c.X[0, 3, 1])
    assert [len(c.splits[s]) for s in ("train", "val", "test")] == [56, 20, 20]


@pytest.mark.parametrize("name, subset, freq, steps", [("ett_h1", "ETTh1", "h", 48), ("ett_m2", "ETTm2", "15min", 96)])
def test_ett(home, name, subset, freq, steps):
    folder = home / "electricity_transformer_temperature"
    folder.mkdir()
    times = [
        t for m in pd.date_range("2016-07-01", periods=24, freq="MS") for t in pd.date_range(m, periods=96, freq=freq)
    ]
    columns = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    table = pd.DataFrame({"date": times} | {c: np.arange(len(times)) + i for i, c in enumerate(columns)})
    table.to_csv(folder / f"{subset}.csv", index=False)
    c = load_cohort(name)
    assert c.X.shape[1:] == (steps, 6) and "OT" not in c.features and c.y[0, 0] == 6
    assert [len(c.splits[s]) * steps for s in ("train", "val", "test")] == [14 * 96, 5 * 96, 5 * 96]
    table[["date", "OT", "HUFL"]].to_csv(folder / f"{subset}.csv", index=False)
    with pytest.raises(ModtsError, match="must end with the column 'OT', not 'HUFL'"):
        load_cohort(name)


def test_traffic(home):
    folder = home / "pems_traffic"
    folder.mkdir()
    values = np.random.default_rng(0).random((17_544, 4)).round(4)
    np.savetxt(folder / "traffic.txt", values, fmt="%.4f", delimiter=",")
    c = load_cohort("traffic")
    assert c.X.shape[1:] == (24, 3) and c.features == ("0", "1", "2") and c.target.startswith("occupancy at sensor 3")
    np.testing.assert_array_equal(c.y[0], values[:24, 3].astype(np.float32))
    assert [len(c.splits[s]) for s in ("train", "val", "test")] == [456, 122, 153]
    assert c.ids[c.splits["val"]][0] == "2016-04-01T00:00"
    np.savetxt(folder / "traffic.txt", values[:100], fmt="%.4f", delimiter=",")
    with pytest.raises(ModtsError, match="has 100 rows, not the 17544 hours"):
        load_cohort("traffic")


# ---- where the data lie ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, folder",
    [
        ("physionet_2012", "physionet_2012"),
        ("physionet_2019", "physionet_2019"),
        ("italy_air", "italy_air_quality"),
        ("beijing_air", "beijing_multisite_air_quality"),
        ("ett_h1", "electricity_transformer_temperature"),
        ("traffic", "pems_traffic"),
    ],
)
def test_absent_folder_is_named_and_nothing_is_downloaded(home, monkeypatch, name, folder):
    monkeypatch.setattr(tsdb_home, "_download", lambda *a: pytest.fail("downloads"))
    with pytest.raises(ModtsError, match=f"MODTS_DATA is set to .* but holds no folder '{folder}'"):
        load_cohort(name)
    (home / folder).mkdir()
    with pytest.raises(ModtsError, match="holds no|hold no"):
        load_cohort(name)


def test_without_modts_data_tsdb_downloads_whole_folders_only(home, monkeypatch):
    tsdb = tsdb_home.import_tsdb()
    monkeypatch.setattr(tsdb.data_processing, "CACHED_DATASET_DIR", str(home))
    monkeypatch.delenv("MODTS_DATA")

    def refused(name, path):
        os.makedirs(path)
        raise RuntimeError("Exception: no route to host\nDownload failed. Aborting.")

    monkeypatch.setattr(tsdb, "download_and_extract", refused)
    with pytest.raises(
        ModtsError, match="Downloading 'italy_air_quality' through TSDB failed .*no route to host"
    ) as caught:
        load_cohort("italy_air")
    assert "\n" not in str(caught.value) and os.listdir(home) == []

    def works(name, path):
        os.makedirs(path)
        make_italy(home.parent / "cache")
        os.rename(home.parent / "cache" / name / "AirQualityUCI.csv", os.path.join(path, "AirQualityUCI.csv"))

    (home.parent / "cache").mkdir(exist_ok=True)
    monkeypatch.setattr(tsdb, "download_and_extract", works)
    assert load_cohort("italy_air").n_samples == 25
    assert os.listdir(home) == ["italy_air_quality"]


def test_the_users_home_is_left_alone(home):
    make_italy(home)
    own = home.parent / "home"
    own.mkdir()
    code = (
        "from modts.cohorts import load_cohort; load_cohort('italy_air'); import os, tsdb; "
        "assert tsdb.CACHED_DATASET_DIR == os.path.realpath(os.environ['MODTS_DATA']); print(os.path.expanduser('~'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"HOME": str(own)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(own) and done.stderr == ""
    assert not (own / ".pypots").exists()
