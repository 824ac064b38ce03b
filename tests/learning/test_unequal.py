"""Series that end early, through heads, whole networks, baselines, the predictor, the estimators and the notebooks' functions."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from core_fixture import go, places, tiny  # noqa: F401

import modts
from modts.backbones import BACKBONES, build
from modts.cohorts import cohort_from_arrays
from modts.learning import Training, adapt, fit_predict, labels, pretrain
from modts.learning.gaps import statistics
from modts.sklearn import ImputerLatents, ModularClassifier, ModularRegressor

N, T, F = 100, 8, 4


def ended(task="classification", name="ended"):
    icu, rng = tiny(n=N, steps=T, features=F), np.random.default_rng(0)
    lengths = rng.integers(3, T + 1, N)
    X = np.where(np.isnan(icu.X) & (np.arange(T) == 0)[:, None], np.nanmean(icu.X, (0, 1)), icu.X)
    y = {
        "classification": icu.y,
        "regression": X[:, :, 0] / 10,
        "stepwise": (X[:, :, 0] > np.nanmean(X[:, :, 0])) * 1.0,
    }[task]
    return cohort_from_arrays(X, y, lengths=lengths, task=task, features=icu.features, name=name, unobserved="keep")


@pytest.mark.parametrize("task", ["classification", "regression", "stepwise"])
def test_a_predictor_reads_to_the_end_and_answers_to_the_end(task, tmp_path):
    cohort = ended(task)
    backbone, (targets, scaler) = build("SAITS", cohort, seed=0), labels(cohort)
    ends = {name: cohort.lengths_of(name) for name in cohort.splits}
    pretrain(
        backbone,
        cohort.part("train")[0],
        cohort.part("val")[0],
        lengths=(ends["train"], ends["val"]),
        epochs=1,
        progress=None,
    )
    Z = {name: backbone.latents(cohort.part(name)[0], lengths=ends[name]) for name in cohort.splits}
    rows = np.arange(len(Z["train"]))
    head = adapt("frozen", "simple", targets, rows, latents=Z, training=Training(epochs=5, lr=1e-2))
    predictor = modts.Predictor(backbone, head.model, target_scaler=scaler, task=task)
    X, steps = cohort.part("test")[0], ends["test"]
    answer = predictor.predict(X, lengths=steps)
    if task == "classification":
        assert np.isfinite(answer).all() and answer.shape == (len(X),)
    else:
        np.testing.assert_array_equal(np.isnan(answer), np.arange(T) >= steps[:, None])
    rubbish = np.where((np.arange(T) >= steps[:, None])[..., None], 1e5, X)
    np.testing.assert_array_equal(
        predictor.predict(rubbish, lengths=steps, batch_size=7), predictor.predict(X, lengths=steps, batch_size=7)
    )
    one = predictor.predict(X[:1, : steps[0]], lengths=steps[:1])  # a series as far as it goes
    np.testing.assert_allclose(one[0], answer[0] if task == "classification" else answer[0, : steps[0]], atol=1e-5)
    again = modts.load_predictor(predictor.save(tmp_path / "p.safetensors"))
    np.testing.assert_allclose(again.predict(X, lengths=steps), answer, atol=1e-6)
    traced = modts.Predictor(backbone, head.model, target_scaler=scaler, task=task, trace=1)
    np.testing.assert_allclose(traced.predict(X[:1], lengths=steps[:1]), answer[:1], atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_whole_networks_train_to_the_end(name):
    cohort, rng = ended(), np.random.default_rng(1)
    targets, _ = labels(cohort)
    windows = {part: cohort.part(part)[0] for part in cohort.splits}
    ends = {part: cohort.lengths_of(part) for part in cohort.splits}
    rubbish = {
        p: np.where(np.isnan(X) & (np.arange(T) >= ends[p][:, None])[..., None], 80 * rng.random(X.shape), X)
        for p, X in windows.items()
    }
    found = []
    for X in (windows, {part: values.astype(np.float32) for part, values in rubbish.items()}):
        given = dict(
            backbone=build(name, cohort, seed=0), windows=X, lengths=ends, training=Training(epochs=1, batch_size=32)
        )
        found.append(adapt("e2e", "simple", targets, np.arange(len(X["train"])), **given).prediction)
    np.testing.assert_array_equal(*found)
    assert np.isfinite(found[0]).all()


def test_baselines_count_what_was_measured_before_the_end():
    cohort = ended()
    rows = statistics(cohort.X, cohort.lengths)
    assert rows.shape == (N, 7 * F + 1) and np.array_equal(rows[:, -1], cohort.lengths)
    short = cohort.X[:1, : cohort.lengths[0]]
    np.testing.assert_allclose(rows[:1, :-1], statistics(short), equal_nan=True)
    for task in ("classification", "regression", "stepwise"):
        cohort = ended(task)
        for name in ("LightGBM", "Ridge regression" if task == "regression" else "Logistic regression"):
            p = fit_predict(name, cohort, cohort.labelled(1.0, 0))
            assert len(p) == len(cohort.splits["test"]) and np.isfinite(p).all()


def test_estimators_take_series_padded_with_nan_and_lists_of_them():
    cohort = ended()
    quick = {"backbone": "GRU-D", "epochs": 1, "padded": True}
    X = cohort.X.copy()
    X[np.arange(N), cohort.lengths - 1, 0] = np.nanmean(X[..., 0])  # each series ends with a value
    wide = np.pad(X, ((0, 0), (0, 3), (0, 0)), constant_values=np.nan)
    listed = [x[:steps] for x, steps in zip(X, cohort.lengths, strict=True)]
    latents = ImputerLatents(**quick).fit(wide)
    np.testing.assert_allclose(latents.transform(listed), latents.transform(wide), atol=1e-5)
    np.testing.assert_allclose(latents.transform(X), latents.transform(wide), atol=1e-5)
    filled = latents.impute(X)
    np.testing.assert_array_equal(np.isnan(filled).all(2), np.arange(T) >= cohort.lengths[:, None])
    with pytest.warns(modts.ModtsWarning, match="end in steps without any value .* say padded=True"):
        full = ImputerLatents(**quick | {"padded": False}).fit(wide)
        assert np.isfinite(full.impute(wide)).all() and not np.allclose(full.transform(wide), latents.transform(wide))
    for adaptation in ("frozen", "finetune"):
        model = ModularClassifier(**quick, head_epochs=3, whole_epochs=1, adaptation=adaptation).fit(listed, cohort.y)
        np.testing.assert_allclose(model.predict_proba(listed), model.predict_proba(X), atol=1e-5)
    steps = np.where(np.arange(T) < cohort.lengths[:, None], X[..., 0], np.nan)
    regressor = ModularRegressor(**quick, head_epochs=3).fit(X, steps)
    np.testing.assert_array_equal(np.isnan(regressor.predict(X)), np.arange(T) >= cohort.lengths[:, None])


def test_a_cohort_that_ends_early_runs_through_the_notebooks_functions(tmp_path):
    short = {"backbone": "SAITS", "seeds": [0], "epochs": 1, "batch_size": 16}
    path = str(ended("stepwise").save(tmp_path / "ended.npz"))

    heads = {"heads": ["simple"], "label_fractions": [1.0], "head_epochs": 2}
    done = [
        go("pretrain", path, **short),
        go("heads", path, **short, **heads),
        go("end_to_end", path, **short, **heads, arms=["e2e"], e2e_epochs=1),
        go("baselines", path, seeds=[0], label_fractions=[1.0]),
    ]
    rows = [row for run in done for row in run.rows]
    assert {row["task"] for row in rows} == {"imputation", "stepwise"}
    assert all(np.isfinite(row["value"]) and row["low"] <= row["value"] <= row["high"] for row in rows)


def test_the_readmes_warning_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "stepwise" in block]
    cohort = ended("stepwise")
    table = pd.DataFrame(cohort.X.reshape(-1, F), columns=list(cohort.features))
    table.insert(0, "patient", np.repeat(np.arange(N), T))
    table.insert(1, "hour", np.tile(np.arange(T), N))
    table["alarm"] = cohort.y.ravel()
    table[table.hour < np.repeat(cohort.lengths, T)].to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.chdir(tmp_path)
    told = {"modts": modts}
    exec(code.replace("epochs=50", "epochs=1").replace(":20", ":3").replace("[20]", "[3]"), told)
    np.testing.assert_array_equal(told["cohort"].lengths, cohort.lengths)
    assert "auroc" in capsys.readouterr().out and told["warning"].task == "stepwise"
    # GRU-D reads forward only: what a stay has brought so far is answered as if nothing followed
    whole = told["warning"].predict(told["X"]["test"], lengths=told["ends"]["test"])
    so_far = told["warning"].predict(told["X"]["test"][:1, :3], lengths=[3])
    np.testing.assert_allclose(so_far, whole[:1, :3], atol=1e-5)
