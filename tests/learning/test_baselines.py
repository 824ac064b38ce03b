"""Baselines: the arithmetic by hand, no look at test labels or unlabelled rows, and the known figures on real data."""

import dataclasses
import functools
import os
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import baselines, features, gaps, gru, linear, rocket, scores

HOME = os.environ.get("MODTS_DATA", "")
WITHOUT_WEIGHTS = {task: [n for n in names if n != "TabICL"] for task, names in baselines.PREDICTORS.items()}


def gru_of(lr, hidden=8, dropout=0.3, batch_size=None):
    return {"hidden": hidden, "lr": lr, "dropout": dropout, "batch_size": batch_size}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Enough to see what is right and wrong, in seconds."""
    small = functools.partial(baselines.fit_baseline, gru_settings=[gru_of(1e-2), gru_of(1e-9)])
    monkeypatch.setattr(baselines, "fit_baseline", small)
    monkeypatch.setattr(gru, "_PATIENCE", 3)
    monkeypatch.setattr(rocket, "_KERNELS", 840)


@pytest.fixture(scope="module")
def holes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 9, 4)).astype(np.float32)
    X[rng.random(X.shape) < 0.6] = np.nan
    X[0, :, 1] = np.nan  # one series without any value
    return X


@pytest.fixture(scope="module")
def icu():
    return load_cohort("simulated_icu", seed=0)


@pytest.fixture(scope="module")
def air():
    return load_cohort("simulated_air", seed=0)


def test_statistics_by_hand(holes):
    got = gaps.statistics(holes).reshape(len(holes), len(gaps.STATISTICS), 4)
    for i, f in np.ndindex(len(holes), 4):
        seen = holes[i, :, f][~np.isnan(holes[i, :, f])].astype(float)
        if len(seen):
            want = [seen.mean(), seen.min(), seen.max(), seen.std(), seen[0], seen[-1], len(seen) / 9]
        else:
            want = [np.nan] * 6 + [0]
        np.testing.assert_allclose(got[i, :, f], want, atol=1e-12)


def test_statistics_in_chunks(holes):
    many = np.tile(holes, (60, 1, 1))  # 2400 stays: three chunks
    np.testing.assert_array_equal(gaps.statistics(many), np.tile(gaps.statistics(holes), (60, 1)))


@pytest.mark.parametrize("name", gaps.IMPUTERS)
def test_imputers_equal_pandas(holes, name):
    fill = np.array([5.0, 6.0, 7.0, 8.0], dtype=np.float32)
    got = gaps.impute(name, holes, fill)
    for i in range(len(holes)):
        frame = pd.DataFrame(holes[i])
        if name == "Linear interpolation":
            frame = frame.interpolate(limit_direction="both")
        elif name == "LOCF":
            frame = frame.ffill().bfill()
        np.testing.assert_allclose(got[i], frame.fillna(pd.Series(fill)).to_numpy(), atol=1e-5)
    assert got.dtype == holes.dtype and np.array_equal(got[~np.isnan(holes)], holes[~np.isnan(holes)])
    assert (got[0, :, 1] == 6).all()


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS["classification"])
def test_classifiers_see_no_test_label_and_no_unlabelled_row(icu, name):
    labelled = icu.labelled(0.5, 0)
    first = baselines.fit_predict(name, icu, labelled, seed=1)
    assert first.shape == (len(icu.splits["test"]),) and ((first >= 0) & (first <= 1)).all()
    rest = np.setdiff1d(icu.splits["train"], labelled)
    y, X = icu.y.copy(), icu.X.copy()
    y[icu.splits["test"]] = 1 - y[icu.splits["test"]]
    y[rest] = 1 - y[rest]
    X[rest] = 1e3
    second = baselines.fit_predict(name, dataclasses.replace(icu, X=X, y=y), labelled, seed=1)
    np.testing.assert_array_equal(first, second)  # and same seed, same bits


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS["regression"])
def test_regressors_see_no_test_target_and_beat_the_mean(air, name):
    labelled, record = air.labelled(0.5, 0), {}
    y = air.y.copy()
    y[labelled[0], :3] = np.nan  # steps observed in different rows
    short = {"gru_settings": [gru_of(1e-2)]} if name == "GRU" else {}  # the other one creeps on for minutes
    first = baselines.fit_predict(name, dataclasses.replace(air, y=y), labelled, seed=1, record=record, **short)
    truth, train = air.part("test")[1], air.part("train")[1]
    assert first.shape == truth.shape and record["validation"] > 0
    share = (
        0.9 if name.endswith("measurement only") else 0.6
    )  # raw units; of the first there is little to see but the hour
    assert scores.mae(truth, first) < share * scores.mae(truth, np.full_like(truth, np.nanmean(train)))
    y[air.splits["test"]] = 1e4
    second = baselines.fit_predict(name, dataclasses.replace(air, y=y), labelled, seed=1, **short)
    np.testing.assert_array_equal(first, second)


def test_classifiers_find_what_is_there(icu):
    y = icu.part("test")[1]
    for name in WITHOUT_WEIGHTS["classification"]:
        record = {}
        p = baselines.fit_predict(name, icu, icu.labelled(1.0, 0), record=record)
        assert scores.auroc(y, p) > 0.6 and 0.6 < record["validation"] <= 1, name


def test_measurement_by_hand(holes):
    got = features.measured(holes)
    assert got.shape == (40, 5 * 4 + 2) and (got[:, -1] == 9).all()
    np.testing.assert_allclose(got[:, -2], 1 - np.isnan(holes).mean((1, 2)))
    short = np.concatenate(
        [holes, np.full((40, 3, 4), np.nan, np.float32)], axis=1
    )  # what lies behind an end counts nowhere
    np.testing.assert_array_equal(features.measured(short, np.full(40, 9)), got)
    for i, f in np.ndindex(len(holes), 4):
        at = np.flatnonzero(~np.isnan(holes[i, :, f]))
        share, late, first, since, apart = got[i, :-2].reshape(5, 4)[:, f]
        assert (share, late) == (len(at) / 9, (at >= 7).sum() / 2)
        np.testing.assert_equal((first, since), (at[0], 8 - at[-1]) if len(at) else (np.nan, np.nan))
        np.testing.assert_allclose(apart, np.diff(at).mean() if len(at) > 1 else np.nan)


def test_measurement_around_a_step_by_hand(holes):
    got = features.measured_around(holes)
    assert got.shape == (40, 9, 4 * 4 + 1) and (got[..., -1] == np.arange(9)).all()
    for i, t, f in np.ndindex(6, 9, 4):
        at = np.flatnonzero(~np.isnan(holes[i, :, f]))
        seen, since, until, share = got[i, t, :-1].reshape(4, 4)[:, f]
        assert (seen, share) == (t in at, len(at) / 9)
        np.testing.assert_equal(since, t - at[at <= t][-1] if (at <= t).any() else np.nan)
        np.testing.assert_equal(until, at[at >= t][0] - t if (at >= t).any() else np.nan)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_measurement_only_sees_no_value(icu, air, task):
    cohort = {"classification": icu, "regression": air}[task]
    rng = np.random.default_rng(0)
    other = dataclasses.replace(cohort, X=np.where(np.isnan(cohort.X), np.nan, rng.normal(size=cohort.X.shape)))
    for name in (name for name in WITHOUT_WEIGHTS[task] if name.endswith("measurement only")):
        first, second = (baselines.fit_predict(name, one, one.labelled(0.5, 0)) for one in (cohort, other))
        np.testing.assert_array_equal(first, second)
        fewer = dataclasses.replace(cohort, X=np.where(rng.random(cohort.X.shape) < 0.5, np.nan, cohort.X))
        assert (baselines.fit_predict(name, fewer, fewer.labelled(0.5, 0)) != first).any()


def test_values_mask_and_delta_by_hand():
    X = np.array([[[np.nan], [2.0], [np.nan], [np.nan], [4.0]]], dtype=np.float32)
    inputs = gru.values_mask_delta(X, features.Winsorised(np.array([[2.0], [4.0]]), 0.0)).numpy()[0]
    assert inputs[:, 0].tolist() == [0, -1, 0, 0, 1] and inputs[:, 1].tolist() == [0, 1, 0, 0, 1]
    np.testing.assert_allclose(inputs[:, 2], np.array([1, 2, 1, 2, 3]) / 5, rtol=1e-6)


def test_validation_chooses_the_gru(icu):
    record, worse = {}, {}
    baselines.fit_baseline("GRU", icu, icu.labelled(1.0, 0), record=record, gru_epochs=5)
    baselines.fit_baseline("GRU", icu, icu.labelled(1.0, 0), record=worse, gru_epochs=5, gru_settings=[gru_of(1e-9)])
    assert record["lr"] == 1e-2 and record["validation"] > worse["validation"] and record["epochs"] <= 5
    last = baselines.fit_predict("GRU", icu, icu.labelled(1.0, 0), gru_epochs=1)
    assert (last != baselines.fit_predict("GRU", icu, icu.labelled(1.0, 0), seed=1, gru_epochs=1)).any()


def test_each_setting_of_the_gru_counts(icu):
    n = len(icu.labelled(1.0, 0))
    same = gru_of(1e-2, batch_size=min(128, n // 8))  # what it is without one, where all are labelled
    changed = gru_of(1e-2, 4), gru_of(1e-2, dropout=0.0), gru_of(1e-2, batch_size=16)

    def answer(setting):
        record = {}
        p = baselines.fit_predict("GRU", icu, icu.labelled(1.0, 0), record=record, gru_epochs=1, gru_settings=[setting])
        assert {name: record[name] for name in setting} == setting
        return p.tobytes()

    assert answer(gru_of(1e-2)) == answer(same)
    assert len({answer(setting) for setting in (same, *changed)}) == 4


def test_aeons_minirocket_works_with_the_newer_numba_and_pandas():
    # aeon caps both below what is installed here: its features must be those that its paper defines
    X = np.random.default_rng(0).normal(size=(6, 3, 20)).astype(np.float32)
    kernels = rocket.minirocket()(n_kernels=168, random_state=3)
    Z = kernels.fit_transform(X)
    assert Z.shape == (6, 168) and ((Z >= 0) & (Z <= 1)).all() and Z.std(0).max() > 0
    channels, which, dilations, per_dilation, biases = kernels.parameters
    assert dilations.tolist() == [1, 2] and per_dilation.tolist() == [1, 1]
    at = 0
    for kernel, weights in enumerate(_three_of_nine()):  # of the first dilation: the share of steps above the bias
        mine = X[:, which[at : at + channels[kernel]]].sum(1)
        at += channels[kernel]
        padded = np.pad(mine, ((0, 0), (4, 4)))
        out = np.stack([padded[:, i : i + 20] * w for i, w in enumerate(weights)]).sum(0)
        out = out if kernel % 2 == 0 else out[:, 4:-4]
        np.testing.assert_allclose(Z[:, kernel], (out > biases[kernel]).mean(1), atol=0.11)  # a tie or two by rounding


def _three_of_nine():
    from itertools import combinations

    for three in combinations(range(9), 3):
        yield [2.0 if i in three else -1.0 for i in range(9)]


def test_short_windows_and_numbers_go_through_minirocket(icu):
    y = np.nanmean(np.nan_to_num(icu.X[:, :5, 0]), axis=1)
    y[:3] = np.nan
    short = dataclasses.replace(icu, X=icu.X[:, :5], y=y, task="regression", truth=None)
    p = baselines.fit_predict("MiniRocket", short, short.labelled(1.0, 0))
    truth = short.part("test")[1]
    assert p.shape == truth.shape and scores.mae(truth, p) < 0.8 * scores.mae(truth, np.full_like(truth, np.nanmean(y)))


def test_minirocket_gives_chances(icu):
    y, p = icu.part("test")[1], baselines.fit_predict("MiniRocket", icu, icu.labelled(1.0, 0))
    assert scores.brier(y, p) < scores.brier(y, np.full(len(y), icu.part("train")[1].mean()))


def test_without_aeon_there_is_a_sentence(icu):
    code = (
        "import sys; sys.modules['aeon'] = None\n"
        "from modts.learning import fit_predict, why_not\n"
        "from modts.cohorts import load_cohort\n"
        "icu = load_cohort('simulated_icu')\n"
        "print(why_not('MiniRocket', icu)); print(repr(why_not('GRU', icu)))\n"
        "fit_predict('MiniRocket', icu, icu.labelled(1.0, 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "uv sync --group rocket" in done.stdout and "''" in done.stdout
    assert "ModtsError: MiniRocket needs the package aeon" in done.stderr


class InContext:
    """What tabicl's two estimators offer, on scikit-learn's nearest neighbours."""

    def __init__(self, model_path, allow_auto_download, device, random_state, n_jobs):
        assert not allow_auto_download
        self.weights = Path(model_path).read_bytes()

    def fit(self, X, y):
        if self.weights != b"weights":
            raise ValueError("no model state")
        self.X, self.y = np.nan_to_num(X), y

    def predict(self, X):
        return self.y[((np.nan_to_num(X)[:, None] - self.X[None]) ** 2).sum(2).argmin(1)]

    def predict_proba(self, X):
        return np.eye(2)[self.predict(X)]


def test_tabicl_from_a_file_of_ones_own(icu, air, tmp_path, monkeypatch):
    file = tmp_path / "mine.ckpt"
    file.write_bytes(b"weights")
    rows = icu.labelled(1.0, 0)
    assert "no file with its weights was given (tabular_checkpoint)" in baselines.why_not("TabICL", icu)
    monkeypatch.setitem(sys.modules, "tabicl", None)
    assert "pip install tabicl" in baselines.why_not("TabICL", icu, str(file))
    monkeypatch.setitem(
        sys.modules, "tabicl", types.SimpleNamespace(TabICLClassifier=InContext, TabICLRegressor=InContext)
    )
    assert baselines.why_not("TabICL", icu, str(file)) == ""
    assert "no answer at every step" in baselines.why_not("TabICL", air, str(file))
    assert "There is no file" in baselines.why_not("TabICL", icu, str(tmp_path / "other.ckpt"))
    record = {}
    p = baselines.fit_predict("TabICL", icu, rows, record=record, tabular_checkpoint=str(file))
    assert set(p) <= {0.0, 1.0} and record["features"] == "statistics"
    number = dataclasses.replace(icu, y=np.arange(len(icu.y), dtype=float), task="regression", truth=None)
    p = baselines.fit_predict("TabICL", number, rows, tabular_checkpoint=str(file))
    assert np.isin(p.round().astype(int), rows).all()
    file.write_bytes(b"else")
    with pytest.raises(
        ModtsError, match=r"mine.ckpt holds no weights of TabICL for classification \(ValueError: no model"
    ):
        baselines.fit_predict("TabICL", icu, rows, tabular_checkpoint=str(file))


def test_one_window_one_answer(icu, air):
    for cohort in (icu, air):
        X = cohort.part("test")[0][:7]
        for name in WITHOUT_WEIGHTS[cohort.task]:
            predict = baselines.fit_baseline(name, cohort, cohort.labelled(0.5, 0), gru_epochs=2)
            np.testing.assert_allclose(predict(X)[3], predict(X[3:4])[0], rtol=1e-5, atol=1e-6, err_msg=name)


def test_no_warning_where_a_variable_is_never_observed(icu):
    X = icu.X.copy()
    X[..., 3] = np.nan
    bare = dataclasses.replace(icu, X=X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in WITHOUT_WEIGHTS["classification"]:
            assert np.isfinite(baselines.fit_predict(name, bare, icu.labelled(0.5, 0), gru_epochs=1)).all()


@pytest.mark.parametrize("rows, columns", [(60, 7), (20, 50)])  # the two forms of the same solution
def test_ridge_equals_scikit_learn(rows, columns):
    rng = np.random.default_rng(0)
    Z, Y, other = (rng.normal(size=(rows, columns)), rng.normal(size=(rows, 3)), rng.normal(size=(9, columns)))
    for penalty, (weights, intercept) in zip(linear.PENALTIES, linear.ridge_path(Z, Y), strict=True):
        want = Ridge(alpha=penalty).fit(Z, Y)
        np.testing.assert_allclose(other @ weights + intercept, want.predict(other), atol=1e-8)
    Y[:4, 1] = np.nan
    for penalty, (weights, intercept) in zip(linear.PENALTIES, linear.ridge_paths(Z, Y), strict=True):
        want = Ridge(alpha=penalty).fit(Z[4:], Y[4:, 1])
        np.testing.assert_allclose((other @ weights + intercept)[:, 1], want.predict(other), atol=1e-8)


def test_a_linear_target_is_found_exactly(air):
    rng = np.random.default_rng(0)
    X = rng.normal(size=air.X.shape).astype(np.float32)
    y = (3 * X[..., 0] - X[..., 1] + np.arange(X.shape[1])).astype(np.float32)
    line = dataclasses.replace(air, X=X, y=y)
    p = baselines.fit_predict("Ridge regression", line, line.labelled(1.0, 0))
    assert scores.mae(line.part("test")[1], p) < 0.01


def test_mistakes_are_said(icu, air, holes):
    labelled = icu.labelled(1.0, 0)
    with pytest.raises(ModtsError, match="Ridge regression"):
        baselines.fit_predict("Ridge regression", icu, labelled)
    with pytest.raises(ModtsError, match="LOCF"):
        gaps.impute("SAITS", holes, 0.0)
    with pytest.raises(ModtsError, match="4 features"):
        gaps.impute("Mean", holes, [1.0, 2.0])
    with pytest.raises(ModtsError, match="N, T, F"):
        gaps.statistics(holes[0])
    with pytest.raises(ModtsError, match="one class"):
        baselines.fit_predict("LightGBM", icu, labelled[icu.y[labelled] == 0])
    empty = dataclasses.replace(air, y=np.where(np.arange(len(air.y))[:, None] < len(air.y), np.nan, air.y))
    with pytest.raises(ModtsError, match="observed targets"):
        baselines.fit_predict("LightGBM", empty, air.labelled(1.0, 0))


@pytest.mark.skipif(
    not (Path(HOME) / "physionet_2012").is_dir() or not HOME, reason="MODTS_DATA holds no physionet_2012"
)
def test_known_figures_on_physionet_2012():
    # set-a, AUROC: LightGBM .855 +- .021, logistic regression .834, at 10 % .768 and .727 (other splits)
    cohort = load_cohort("physionet_2012", seed=2)
    y = cohort.part("test")[1]
    for name, fraction, about in (
        ("LightGBM", 1.0, 0.855),
        ("Logistic regression", 1.0, 0.834),
        ("LightGBM", 0.1, 0.768),
    ):
        p = baselines.fit_predict(name, cohort, cohort.labelled(fraction, 2), seed=2)
        assert scores.auroc(y, p) == pytest.approx(about, abs=0.06)  # one split: 112 deaths, a standard error near .023
