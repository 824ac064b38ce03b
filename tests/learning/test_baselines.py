"""Baselines: the arithmetic by hand, no look at test labels or unlabelled rows, and the known figures on real data."""

import dataclasses
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import baselines, gaps, scores

HOME = os.environ.get("MODTS_DATA", "")


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


@pytest.mark.parametrize("name", baselines.PREDICTORS["classification"])
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


@pytest.mark.parametrize("name", baselines.PREDICTORS["regression"])
def test_regressors_see_no_test_target_and_beat_the_mean(air, name):
    labelled, record = air.labelled(0.5, 0), {}
    y = air.y.copy()
    y[labelled[0], :3] = np.nan  # steps observed in different rows
    first = baselines.fit_predict(name, dataclasses.replace(air, y=y), labelled, seed=1, record=record)
    truth, train = air.part("test")[1], air.part("train")[1]
    assert first.shape == truth.shape and record["validation"] > 0
    assert scores.mae(truth, first) < 0.6 * scores.mae(truth, np.full_like(truth, np.nanmean(train)))  # raw units
    y[air.splits["test"]] = 1e4
    second = baselines.fit_predict(name, dataclasses.replace(air, y=y), labelled, seed=1)
    np.testing.assert_array_equal(first, second)


def test_classifiers_find_what_is_there(icu):
    y = icu.part("test")[1]
    for name in baselines.PREDICTORS["classification"]:
        record = {}
        p = baselines.fit_predict(name, icu, icu.labelled(1.0, 0), record=record)
        assert scores.auroc(y, p) > 0.6 and 0.6 < record["validation"] <= 1


def test_no_warning_where_a_variable_is_never_observed(icu):
    X = icu.X.copy()
    X[..., 3] = np.nan
    bare = dataclasses.replace(icu, X=X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in baselines.PREDICTORS["classification"]:
            assert np.isfinite(baselines.fit_predict(name, bare, icu.labelled(1.0, 0))).all()


@pytest.mark.parametrize("rows, columns", [(60, 7), (20, 50)])  # the two forms of the same solution
def test_ridge_equals_scikit_learn(rows, columns):
    rng = np.random.default_rng(0)
    Z, Y, other = (rng.normal(size=(rows, columns)), rng.normal(size=(rows, 3)), rng.normal(size=(9, columns)))
    (got,) = baselines._ridge_path(Z, Y, [other])
    for penalty, p in zip(baselines._PENALTIES, got, strict=True):
        np.testing.assert_allclose(p, Ridge(alpha=penalty).fit(Z, Y).predict(other), atol=1e-8)


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
