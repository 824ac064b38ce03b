"""New data for a trained model: the same windows as in the cohort, one patient at a time, and a long series put together again."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modts
from modts.errors import ModtsError, ModtsWarning


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = [
        {
            "patient": patient,
            "hour": hour,
            "pulse": rng.normal(80, 9),
            "sodium": rng.normal(140, 3),
            "ward": "a",
            "died": patient % 2,
        }
        for patient in range(30)
        for hour in range(4 + patient % 5)
    ]
    frame = pd.DataFrame(rows)
    frame.loc[frame.index % 3 == 0, "sodium"] = np.nan
    return frame


@pytest.fixture(scope="module")
def cohort(table):
    return modts.cohort_from_table(table.drop(columns="ward"), id="patient", time="hour", label="died", step=1)


def test_windows_are_those_of_the_cohort(table, cohort):
    new = modts.windows_from_table(table.sample(frac=1, random_state=0), cohort, id="patient", time="hour", step=1)
    place = {name: row for row, name in enumerate(cohort.ids)}
    order = [place[name] for name in new.ids]
    np.testing.assert_array_equal(new.X, cohort.X[order])
    np.testing.assert_array_equal(new.lengths, cohort.lengths[order])
    assert new.ids.tolist() == [str(i) for i in range(30)] and new.index is None


def test_one_patient_is_enough_and_answers_as_among_all(table, cohort):
    backbone = modts.build("GRU-D", cohort)
    one = modts.windows_from_table(table[table["patient"] == 11], backbone, id="patient", time="hour", step=1)
    assert one.X.shape == (1, 8, 2) and one.lengths.tolist() == [5]
    row = list(cohort.ids).index("11")
    every = backbone.latents(cohort.X, lengths=cohort.lengths)
    np.testing.assert_allclose(backbone.latents(one.X, lengths=one.lengths)[0], every[row], atol=1e-5)


def test_single_values_need_not_hold_every_variable(table, cohort, tmp_path):
    long = table.melt(["patient", "hour"], ["pulse", "sodium"], "name", "number").dropna()
    long = long[(long["patient"] == 3) & (long["name"] == "pulse")]
    long.to_csv(tmp_path / "new.csv", index=False)
    given = {"id": "patient", "time": "hour", "variable": "name", "value": "number", "step": 1}
    new = modts.windows_from_table(tmp_path / "new.csv", cohort, **given)
    assert np.isnan(new.X[..., 1]).all() and (~np.isnan(new.X[..., 0])).sum() == len(long)


def test_a_longer_stay_keeps_its_first_steps(cohort, table):
    long = pd.DataFrame({"patient": "x", "hour": range(20), "pulse": np.arange(20.0), "sodium": 140.0})
    with pytest.warns(ModtsWarning, match="go on behind the 8 steps .* with 12 of 20 rows there"):
        new = modts.windows_from_table(long, cohort, id="patient", time="hour", step=1)
    assert new.X[0, :, 0].tolist() == list(range(8)) and new.lengths is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="sodium"), "lacks 'sodium', which the cohort 'own' reads"),
        (lambda t: t.drop(columns="hour"), "no column 'hour'"),
        (lambda t: t[:0], "no row"),
        (lambda t: t.assign(pulse="high"), "'pulse' is not numeric"),
        (lambda t: pd.concat([t, t]), "several rows"),
    ],
)
def test_what_does_not_fit_is_a_sentence(table, cohort, change, sentence):
    with pytest.raises(ModtsError, match=sentence):
        modts.windows_from_table(change(table), cohort, id="patient", time="hour", step=1)


@pytest.fixture(scope="module")
def series():
    index = pd.date_range("2024-01-01", periods=144, freq="30min")
    return pd.DataFrame({"load": np.sin(np.arange(144) / 7), "wind": np.arange(144.0)}, index=index)


@pytest.fixture(scope="module")
def of_before():
    index = pd.date_range("2023-12-01", periods=480, freq="30min")
    return modts.cohort_from_series(
        pd.DataFrame({"load": np.cos(np.arange(480) / 9), "wind": np.arange(480.0)}, index=index), steps=48
    )


def test_a_long_series_comes_back_on_its_own_times(series, of_before):
    short = series.iloc[:100].copy()  # two windows and a half
    short.iloc[20:30, 0] = np.nan
    new = modts.windows_from_table(short, of_before, id=None)
    assert new.X.shape == (3, 48, 2) and new.starts.tolist() == [0, 48, 52] and new.lengths is None
    back = new.series(new.X)
    np.testing.assert_array_equal(back.index.to_numpy(), short.index.to_numpy())
    np.testing.assert_allclose(back.to_numpy(), short.to_numpy(np.float32), equal_nan=True)
    assert new.series(new.X[..., 0]).shape == (100, 1)
    with pytest.raises(ModtsError, match="One value or several"):
        new.series(new.X[:2])
    with pytest.raises(ModtsError, match="several series"):
        dataclasses.replace(new, index=None).series(new.X)


def test_a_short_or_uneven_series(series, of_before):
    few = modts.windows_from_table(series.iloc[:10], of_before, id=None)
    assert few.X.shape == (1, 48, 2) and few.lengths.tolist() == [10] and few.series(few.X).shape == (10, 2)
    holes = series.drop(series.index[5:9]).rename_axis("when").reset_index()
    even = modts.windows_from_table(holes, of_before, id=None, time="when", step="30min")
    assert even.index.equals(pd.Index(series.index)) and np.isnan(even.X[0, 5:9]).all()
    quiet = series.copy()
    quiet.iloc[48:96] = np.nan
    with pytest.raises(ModtsError, match="holds no value at all between 2024-01-02 00:00:00"):
        modts.windows_from_table(quiet, of_before, id=None)


def test_the_readmes_lines_on_new_data_run(table, cohort, series, of_before, tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "windows_from_table" in block]
    patient = modts.build("GRU-D", cohort)
    modts.Predictor(patient, modts.Head("simple", patient.latents(cohort.X[:1], lengths=[8]).shape[1], 1)).save(
        tmp_path / "mine.safetensors"
    )
    table[table["patient"] < 2].to_csv(tmp_path / "tonight.csv", index=False)
    series.to_csv(tmp_path / "today.csv", index_label="date")
    monkeypatch.chdir(tmp_path)
    told = {"modts": modts, "backbone": modts.build("GRU-D", of_before)}
    exec(code, told)
    assert (
        told["predictor"].predict(told["new"].X, lengths=told["new"].lengths).shape == (2,)
        and "[" in capsys.readouterr().out
    )
    assert told["filled"].shape == series.shape and not told["filled"].isna().to_numpy().any()
