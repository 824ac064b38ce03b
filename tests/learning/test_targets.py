"""One number a stay: from the cohort through heads, sweep, whole networks and baselines to an answer in its own unit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

from modts.backbones import build
from modts.errors import ModtsError
from modts.learning import Setting, Training, adapt, fit_predict, labels, train_heads
from modts.serving import Predictor


@pytest.fixture(scope="module")
def cohort():
    """The number is the mean of the first variable, in tenths; some stays have none."""
    c = tiny(n=160, steps=6, features=4)
    y = 10 * np.nanmean(np.where(np.isnan(c.X[..., 0]), np.nanmean(c.X[..., 0]), c.X[..., 0]), axis=1)
    y[::9] = np.nan
    return replace(c, y=y, task="regression", split_by="random")


@pytest.fixture(scope="module")
def latents(cohort):
    backbone = build("GRU-D", cohort, seed=0)
    return backbone, {name: backbone.latents(cohort.part(name)[0], "mean+max+last") for name in cohort.splits}


def test_targets_are_a_column_scaled_by_training_values_only(cohort):
    targets, scaler = labels(cohort)
    assert {name: part.y.shape for name, part in targets.items()} == {
        "train": (100, 1),
        "val": (20, 1),
        "test": (40, 1),
    }
    assert scaler.mean[0] == pytest.approx(np.nanmean(cohort.part("train")[1]), rel=1e-6)
    assert np.isnan(targets["train"].y[:, 0]).sum() == np.isnan(cohort.part("train")[1]).sum() > 0


def test_labels_that_are_not_to_be_seen_do_not_scale(cohort):
    rows, train = np.arange(30, 60), cohort.part("train")[1]
    targets, scaler = labels(cohort, labelled=rows)
    assert scaler.mean[0] == pytest.approx(np.nanmean(train[rows]), rel=1e-6)
    y = cohort.y.copy()
    y[cohort.splits["train"][:30]] *= 1000  # not of these rows
    moved, again = labels(replace(cohort, y=y), labelled=rows)
    assert again.mean == scaler.mean and again.std == scaler.std
    for name in ("val", "test"):
        np.testing.assert_array_equal(moved[name].y, targets[name].y)


def test_a_head_learns_it_alone_and_in_a_sweep(cohort, latents):
    backbone, Z = latents
    targets, scaler = labels(cohort)
    rows = np.arange(100)
    alone = adapt("frozen", "simple", targets, rows, latents=Z, training=Training(epochs=100, lr=1e-2))
    swept, history = train_heads("simple", Z, targets, [Setting(rows, 1e-2, 1e-3)], epochs=100, patience=20)[0]
    seen = ~np.isnan(targets["test"].y)
    for p in (alone.prediction, swept(torch.from_numpy(Z["test"])).detach().numpy()):
        assert p.shape == (40, 1)
        assert ((p - targets["test"].y)[seen] ** 2).mean() < 0.5 * (targets["test"].y[seen] ** 2).mean()
    answer = Predictor(backbone, swept, pooling="mean+max+last", target_scaler=scaler).predict(cohort.part("test")[0])
    truth = cohort.part("test")[1]
    assert answer.shape == (40, 1) and np.nanmean(abs(answer[:, 0] - truth)) < 0.7 * np.nanstd(truth)


@pytest.mark.parametrize("name", ["LightGBM", "Ridge regression"])
def test_baselines_read_it_from_the_statistics_of_a_window(cohort, name):
    record = {}
    p = fit_predict(name, cohort, cohort.labelled(1.0, 0), 0, 1, record)
    truth = cohort.part("test")[1]
    assert p.shape == (40,) and record["features"] == "statistics" and record["validation"] > 0
    assert np.nanmean(abs(p - truth)) < 0.5 * np.nanstd(truth)
    with pytest.raises(ModtsError, match="labelled rows have 0"):
        fit_predict(name, cohort, np.flatnonzero(np.isnan(cohort.y)), 0)


def test_a_number_a_stay_is_no_number_a_step(cohort):
    with pytest.raises(ModtsError, match=r"y must have shape \(160, 6\) for regression, not \(160, 3\)"):
        replace(cohort, y=np.zeros((160, 3)))
    with pytest.raises(ModtsError, match="y holds infinite values"):
        replace(cohort, y=np.full(160, np.inf))
