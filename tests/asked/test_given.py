"""What hides behind a mask, a missing id, a text that says a time: read as it was meant, or refused in a sentence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import modts
from modts.sklearn import ModularClassifier

ModtsError = modts.ModtsError
SHORT = {"epochs": 1, "head_epochs": 2, "patience": 1}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 6, 2)).astype(np.float32)
    X[rng.random(X.shape) < 0.3] = np.nan
    return X


@pytest.fixture(scope="module")
def backbone(X):
    cohort = modts.cohort_from_arrays(X, np.arange(60) % 2)
    made = modts.build("GRU-D", cohort)
    modts.pretrain(made, cohort.part("train")[0], cohort.part("val")[0], epochs=1, progress=None)
    return made


def masked(X):
    return np.ma.masked_array(np.where(np.isnan(X), 1.5, X), np.isnan(X))


@pytest.mark.parametrize(
    "form",
    [
        masked,
        lambda X: list(masked(X)),
        lambda X: np.where(np.isnan(X), None, X),
        lambda X: torch.tensor(X, requires_grad=True),
    ],
)
@pytest.mark.parametrize("lengths", [None, np.full(60, 4)])
def test_whatever_holds_the_windows(X, backbone, form, lengths):
    for call in (backbone.latents, backbone.impute):
        np.testing.assert_allclose(call(form(X), lengths=lengths), call(X, lengths=lengths), equal_nan=True)


def test_a_loaded_padded_predictor_answers_masked_windows_as_its_estimator(X, tmp_path):
    model = ModularClassifier("GRU-D", padded=True, **SHORT).fit(X, np.arange(60) % 2)
    again = modts.load_predictor(model.save(tmp_path / "ü b.safetensors"))
    np.testing.assert_allclose(again.predict(masked(X)), model.predict_proba(masked(X))[:, 1], atol=1e-6)


def test_a_masked_class_is_missing(X):
    y, hidden = np.arange(60) % 3, np.arange(60) < 10
    with pytest.raises(ModtsError, match="class of row 0 is missing"):
        modts.cohort_from_arrays(X, np.ma.masked_array(y, hidden), task="multiclass")
    with pytest.raises(ModtsError):
        modts.score("classification", np.ma.masked_array(y % 2, hidden), np.linspace(0, 1, 60))
    words = np.array(["no", "yes"])[y % 2]
    for labels in (
        np.ma.masked_array(words, hidden),
        pd.Series(words).where(~hidden),
        np.where(hidden, None, words.astype(object)),
    ):
        with pytest.raises(ModtsError, match="every window needs a label"):
            ModularClassifier("GRU-D", **SHORT).fit(X, labels)


def test_rows_without_an_id_are_no_patient(backbone):
    rows = pd.DataFrame({"id": [7.0] * 3 + [np.nan] * 3, "time": [0, 1, 2] * 2, "x0": 1.0, "x1": 0.5})
    with pytest.raises(ModtsError, match="'id' is empty in row 3"):
        modts.windows_from_table(rows, backbone)


@pytest.mark.parametrize("step", [None, "1h"])
@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-10-26 12:00", periods=600, freq="h", tz="Europe/Berlin"),
        pd.to_timedelta(np.arange(600), unit="h"),
    ],
)
def test_a_piece_from_a_file_comes_back_at_its_times(tmp_path, index, step):
    counted = pd.DataFrame({"row": np.arange(600.0), "b": np.cos(np.arange(600.0))}, index=index.rename("time"))
    counted.to_csv(tmp_path / "all.csv")
    cohort = modts.cohort_from_series(tmp_path / "all.csv", steps=12, time="time", step=step)
    counted.iloc[:300].to_csv(tmp_path / "piece.csv")
    new = modts.windows_from_table(tmp_path / "piece.csv", cohort, id=None, time="time")
    back = new.series(new.X)
    assert list(back.columns) == ["row", "b"] and back["row"].tolist() == list(range(300))
    assert back.index.tolist() == (index[:300].tz_convert("UTC") if index.dtype.kind == "M" else index[:300]).tolist()


def test_integer_names_and_mixed_ids_are_read_back():
    rows = pd.DataFrame(
        {
            "id": np.repeat(np.arange(30), 4),
            "time": np.tile(np.arange(4), 30),
            1: np.sin(np.arange(120.0)),
            2: np.cos(np.arange(120.0)),
        }
    )
    cohort = modts.cohort_from_table(rows, label=None)
    mixed = rows.assign(id=[f"p{i}" if i % 2 else int(i) for i in rows["id"]])
    assert modts.windows_from_table(mixed, cohort).X.shape == (30, 4, 2)


def test_a_profile_elsewhere_names_no_other_file(tmp_path, monkeypatch):
    from modts.study.profiles import read_profile

    source = (Path(modts.__file__).parent.parent / "examples" / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(source)
    (tmp_path / "p.yaml").write_text(
        'profile: p\ncohorts: {simulated_ward: {stages: [pretrain], backbones: ["mine.py:MyImputer"]}}\n'
    )
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("MODTS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModtsError, match="where jobs run"):
        read_profile("p.yaml")


@pytest.mark.parametrize(("name", "steps"), [("SAITS", 1), ("TimesNet", 3)])
def test_windows_that_are_too_short(X, name, steps):
    short = np.nan_to_num(X[:, :steps])
    with pytest.raises(ModtsError, match="steps or more"):
        modts.build(name, modts.cohort_from_arrays(short, np.arange(60) % 2))
    with pytest.raises(ModtsError, match="steps or more"):
        ModularClassifier(name, **SHORT).fit(short, np.arange(60) % 2)


def test_a_missing_group_is_refused(X):
    groups = np.array([f"p{i // 2}" for i in range(60)], dtype=object)
    for hidden in (np.where(np.arange(60) == 7, None, groups), np.ma.masked_array(groups, np.arange(60) == 7)):
        with pytest.raises(ModtsError, match="The group of window 7 is missing"):
            ModularClassifier("GRU-D", **SHORT).fit(X, np.arange(60) % 2, groups=hidden)


def test_a_date_that_is_none_is_no_class(X):
    days = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"] * 30)).where(np.arange(60) != 5)
    with pytest.raises(ModtsError, match="every window needs a label"):
        ModularClassifier("GRU-D", **SHORT).fit(X, days)


def test_arrow_columns_are_numbers():
    pa = pytest.importorskip("pyarrow")
    rows = pd.DataFrame(
        {"id": np.repeat(np.arange(30), 4), "time": np.tile(np.arange(4), 30), "a": np.sin(np.arange(120.0))}
    )
    decimal = pd.Series([f"{value:.3f}" for value in np.cos(np.arange(120.0))]).astype(pd.ArrowDtype(pa.string()))
    rows["b"] = decimal.astype(pd.ArrowDtype(pa.decimal128(8, 3)))
    rows["c"] = pd.Series(np.arange(120) % 2 == 0).astype(pd.ArrowDtype(pa.bool_()))
    cohort = modts.cohort_from_table(rows, label=None)
    assert cohort.features == ("a", "b", "c") and set(np.unique(cohort.X[..., 2])) == {0.0, 1.0}
    np.testing.assert_allclose(modts.windows_from_table(rows, cohort).X, cohort.X, rtol=1e-6)


def test_a_series_of_an_odd_shape_is_refused_in_a_sentence():
    table = pd.DataFrame({"a": np.sin(np.arange(240.0)), "b": np.cos(np.arange(240.0))})
    with pytest.raises(ModtsError, match="several levels"):
        modts.cohort_from_series(table.set_axis(pd.MultiIndex.from_product([[1], range(240)])), steps=12)
    with pytest.raises(ModtsError, match="several columns called 'a'"):
        modts.cohort_from_series(table.set_axis(["a", "a"], axis=1), steps=12)


def test_a_parameter_given_twice_is_refused(capsys):
    from modts.study.cli import main

    assert main(["baselines", "-p", "cohort", "simulated_ward", "-p", "cohort", "simulated_icu"]) == 2
    assert "'cohort' is given twice" in capsys.readouterr().err
