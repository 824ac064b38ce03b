"""Fusion: the mean of two answers by hand, and latents beside statistics that know what neither knows alone."""

import dataclasses

import numpy as np
import pytest

from modts.cohorts import load_cohort
from modts.learning import auroc, averaged, fit_predict, mae, stacked, validated
from modts.learning.targets import Labels


def test_the_mean_of_two_answers():
    p, q = np.array([0.2, 0.9, 1.0]), np.array([0.6, 0.9, 0.5])
    got = averaged("classification", p, q)
    odds = (np.log(0.2 / 0.8) + np.log(0.6 / 0.4)) / 2
    np.testing.assert_allclose(got[:2], [1 / (1 + np.exp(-odds)), 0.9])
    assert 0.99 < got[2] < 1  # a model that is certain does not outvote the other for ever
    several = averaged("multiclass", np.array([[0.5, 0.25, 0.25]]), np.array([[0.1, 0.8, 0.1]]))
    want = np.sqrt([0.05, 0.2, 0.025])
    np.testing.assert_allclose(several[0], want / want.sum())
    assert averaged("regression", p, q).tolist() == ((p + q) / 2).tolist()


def test_the_validation_score_is_that_of_outputs():
    y = np.array([0, 0, 1, 1])
    assert validated(Labels("classification", y), np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    numbers = Labels("regression", np.array([[1.0, np.nan], [2.0, 4.0]]))
    assert validated(numbers, np.array([[1.0, 9.0], [3.0, 2.0]])) == pytest.approx(5 / 3)


def test_latents_beside_statistics_know_more_than_either():
    icu, rng = load_cohort("simulated_icu", seed=0), np.random.default_rng(0)
    n = len(icu.y)
    hint = rng.normal(size=n)  # half of the label is in the latents, half in the first variable's level
    X = np.nan_to_num(icu.X) + rng.normal(size=n)[:, None, None].astype(np.float32)
    level = X[:, :, 0].mean(1)
    y = (hint + (level - level.mean()) / level.std() + 0.3 * rng.normal(size=n) > 0).astype(int)
    cohort = dataclasses.replace(icu, X=X, y=y, truth=None)
    latents = np.concatenate([hint[:, None], rng.normal(size=(n, 5))], axis=1)
    parts = {part: latents[rows] for part, rows in cohort.splits.items()}
    rows, record = np.arange(len(cohort.splits["train"]))[::2], {}
    found = stacked(cohort, rows, parts, record=record)
    truth = cohort.part("test")[1]
    alone = fit_predict("LightGBM", cohort, cohort.splits["train"][rows])
    assert auroc(truth, found["test"]) > auroc(truth, alone) + 0.05
    assert record["validation"] == pytest.approx(auroc(cohort.part("val")[1], found["val"]), abs=0.05)
    assert record["features"].startswith("6 components") and record["model"] in ("LightGBM", "Logistic regression")
    blind = dataclasses.replace(cohort, y=np.where(np.isin(np.arange(n), cohort.splits["test"]), 1 - y, y))
    np.testing.assert_array_equal(stacked(blind, rows, parts)["test"], found["test"])  # no test label enters


@pytest.mark.parametrize("every_step", [False, True])
def test_numbers_keep_their_unit(every_step):
    air, rng = load_cohort("simulated_air", seed=0), np.random.default_rng(0)
    hint = rng.normal(size=len(air.y)).astype(np.float32)
    y = 100 + 10 * (hint[:, None] + np.zeros_like(air.y)) if every_step else 100 + 10 * hint
    y[5] = np.nan
    cohort = dataclasses.replace(air, y=y, truth=None)
    parts = {part: np.stack([hint[rows], -(hint[rows] ** 2)], 1) for part, rows in cohort.splits.items()}
    found = stacked(cohort, np.arange(len(cohort.splits["train"])), parts)
    truth = cohort.part("test")[1]
    assert found["test"].shape == truth.shape and mae(truth, found["test"]) < 3
