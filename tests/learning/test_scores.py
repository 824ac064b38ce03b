"""Scores: equal to scikit-learn's, intervals that cover, paired tests that agree with DeLong's."""

import time
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, r2_score, roc_auc_score

from modts.errors import ModtsError
from modts.learning import intervals, resampling, scores


def drawn(n=400, shift=1.0, seed=0, ties=False, rate=0.2):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < rate).astype(np.int64)
    y[:2] = 0, 1
    p = rng.normal(size=n) + shift * y
    return y, np.round(p, 1) if ties else p


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1.0, 8.0])
def test_ranking_metrics_equal_scikit_learn(ties, shift):
    y, p = drawn(shift=shift, ties=ties)
    assert scores.auroc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert scores.auprc(y, p) == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert scores.auroc(y, 0 * p) == 0.5


@pytest.mark.parametrize("ties", [False, True])
def test_multiplicities_mean_repeated_stays(ties):
    y, p = drawn(n=80, ties=ties)
    weights = resampling.draw(np.random.default_rng(1), y, 20)
    assert (weights.sum(1) == 80).all() and ((weights * y).sum(1) == y.sum()).all()  # stratified
    got = scores._Ranked(y, p).values(weights, ("auroc", "auprc"))
    for row, times in enumerate(weights.astype(int)):
        again = np.repeat(np.arange(80), times)
        assert got["auroc"][row] == pytest.approx(roc_auc_score(y[again], p[again]), abs=1e-12)
        assert got["auprc"][row] == pytest.approx(average_precision_score(y[again], p[again]), abs=1e-12)


def test_errors_score_observed_and_masked_cells_only():
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(30, 5, 2)), rng.normal(size=(30, 5, 2))
    y[rng.random(y.shape) < 0.3] = np.nan
    p[np.isnan(y)] = np.nan  # never looked at
    mask = rng.random(y.shape) < 0.5
    use = mask & ~np.isnan(y)
    assert scores.mae(y, p) == pytest.approx(np.nanmean(np.abs(y - p)), abs=1e-12)
    assert scores.mae(y, p, mask) == pytest.approx(np.abs(y - p)[use].mean(), abs=1e-12)
    assert scores.mse(y, p, mask) == pytest.approx(np.square(y - p)[use].mean(), abs=1e-12)
    value, low, high = intervals.score("imputation", y, p, mask)["mae"]
    assert low < value < high


def test_stays_without_targets_do_not_enter_the_resampling():
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(20, 3)), np.zeros((20, 3))
    padded = np.concatenate([y, np.full((500, 3), np.nan)])
    few, many = (
        intervals.score("regression", y, p)["mae"],
        intervals.score("regression", padded, np.zeros((520, 3)))["mae"],
    )
    assert few[0] == pytest.approx(many[0]) and many[2] - many[1] == pytest.approx(few[2] - few[1], rel=0.15)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: scores.auroc([0, 0], [0.1, 0.2]), "both classes"),
        (lambda: scores.auprc([1, 2], [0.1, 0.2]), "0 or 1"),
        (lambda: scores.auroc([0, 1], [0.1, np.nan]), "not finite"),
        (lambda: scores.auroc([0, 1], [[0.1, 0.2]]), "shape"),
        (lambda: scores.mae([1.0, 2.0], [1.0]), "shape"),
        (lambda: scores.mae([1.0, 2.0], [1.0, 2.0], [True]), "mask"),
        (lambda: scores.mse([np.nan], [1.0]), "at least one"),
        (lambda: scores.mae([1.0], [np.inf]), "not finite"),
        (lambda: intervals.score("segmentation", [0, 1], [0, 1]), "Unknown task 'segmentation'"),
        (lambda: intervals.paired("classification", "mae", [0, 1], [0, 1], [0, 1]), "auroc, auprc"),
        (lambda: intervals.score_seeds("classification", []), "at least one"),
        (lambda: intervals.score("classification", [0, 1], [0, 1], n_boot=0), "at least 1"),
    ],
)
def test_what_is_undefined_is_said(call, words):
    with pytest.raises(ModtsError, match=words):
        call()


def test_same_seed_same_bits_and_fast():
    y, p = drawn(n=800)
    start = time.perf_counter()
    first = intervals.score("classification", y, p, n_boot=1000, seed=3)
    assert time.perf_counter() - start < 3  # about 0.1 s on one core
    assert first == intervals.score("classification", y, p, n_boot=1000, seed=3)
    assert first != intervals.score("classification", y, p, n_boot=1000, seed=4)


def test_resamples_drawn_in_chunks_are_as_good(monkeypatch):
    y, p = drawn(n=300)
    whole = intervals.score("classification", y, p, n_boot=600)["auroc"]
    monkeypatch.setattr(resampling, "CELLS", 300 * 50)
    assert intervals.score("classification", y, p, n_boot=600)["auroc"] == pytest.approx(whole, abs=0.02)


def test_intervals_cover_the_truth_95_times_in_100():
    truth = NormalDist().cdf(1 / np.sqrt(2))  # AUROC of two unit normals one apart
    inside = 0
    for seed in range(200):
        _, low, high = intervals.score("classification", *drawn(n=250, seed=seed), n_boot=300, seed=seed)["auroc"]
        inside += low <= truth <= high
    assert 180 <= inside <= 198  # binomial(200, .95): 190 +- 2 standard deviations of 3, less a little for n = 250


def test_two_levels_of_resampling():
    y, p = drawn(n=400)
    single = intervals.score("classification", y, p)["auroc"]
    # the same stays and predictions thrice: three seeds add nothing, and take nothing away
    thrice = intervals.score_seeds("classification", [(y, p)] * 3)["auroc"]
    assert thrice[0] == pytest.approx(single[0]) and thrice[2] - thrice[1] == pytest.approx(
        single[2] - single[1], rel=0.1
    )
    # other stays each time: the mean is known better
    others = intervals.score_seeds("classification", [drawn(n=400, seed=s) for s in range(8)])["auroc"]
    assert others[2] - others[1] < 0.7 * (single[2] - single[1])
    assert others[0] == pytest.approx(np.mean([scores.auroc(*drawn(n=400, seed=s)) for s in range(8)]))
    # seeds that disagree widen the interval
    apart = intervals.score_seeds("classification", [(y, p), (y, -p)])["auroc"]
    assert apart[2] - apart[1] > 0.5


def delong(y, a, b):
    """Difference of two AUROCs on the same stays and its two-sided p (DeLong, DeLong and Clarke-Pearson 1988)."""
    parts = []
    for p in (a, b):
        wins = (p[y == 1][:, None] > p[y == 0]) + 0.5 * (p[y == 1][:, None] == p[y == 0])  # (positives, negatives)
        parts.append((wins.mean(1), wins.mean(0)))
    positive, negative = (np.cov(np.stack(v)) / len(v[0]) for v in zip(*parts, strict=True))
    total = positive + negative
    spread = np.sqrt(total[0, 0] + total[1, 1] - 2 * total[0, 1])
    change = parts[0][0].mean() - parts[1][0].mean()
    return change, spread, 2 * (1 - NormalDist().cdf(abs(change / spread)))


@pytest.mark.parametrize("gain", [0.0, 0.15, 0.3, 1.0])
def test_paired_agrees_with_delong(gain):
    y, a = drawn(n=600, seed=5)
    b = a + np.random.default_rng(6).normal(size=600) * 0.5 - gain * y  # correlated, and worse by the gain
    got, (change, spread, p) = (intervals.paired("classification", "auroc", y, a, b, n_boot=4000), delong(y, a, b))
    assert got["difference"] == pytest.approx(change, abs=1e-12)
    assert (got["high"] - got["low"]) / (2 * 1.96) == pytest.approx(spread, rel=0.1)
    assert got["p"] == pytest.approx(p, abs=0.04)


def test_paired_signs_and_limits():
    y, p = drawn()
    same = intervals.paired("classification", "auprc", y, p, p)
    assert same == {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    rng = np.random.default_rng(0)
    target = rng.normal(size=(60, 4))
    target[rng.random(target.shape) < 0.2] = np.nan
    close, far = target + 0.1, target + 0.5
    got = intervals.paired("regression", "mae", target, close, far, n_boot=999)
    assert got["difference"] == pytest.approx(-0.4) and got["high"] < 0 and got["p"] == pytest.approx(2 / 1000)


def test_paired_over_seeds():
    items = []
    for seed in range(3):
        y, p = drawn(n=300, seed=seed)
        items.append((y, p, p + np.random.default_rng(seed).normal(size=300) * 3, None))
    got = intervals.paired_seeds("classification", "auroc", items)
    assert got["low"] > 0 and got["p"] < 0.01
    assert got["difference"] == pytest.approx(
        np.mean([scores.auroc(y, a) - scores.auroc(y, b) for y, a, b, _ in items])
    )
    assert intervals.paired("classification", "auroc", *items[0][:3]) == intervals.paired_seeds(
        "classification", "auroc", items[:1]
    )


# --- calibration, and the share of variance explained ------------------------------------------------------------------


def test_brier_and_r2_equal_scikit_learn_and_have_intervals():
    y, p = drawn()
    p = 1 / (1 + np.exp(-p))
    assert scores.brier(y, p) == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    rng = np.random.default_rng(0)
    target = rng.normal(50, 3, (200, 4))
    guess = target + rng.normal(size=target.shape)
    assert scores.r2(target, guess) == pytest.approx(r2_score(target.ravel(), guess.ravel()), abs=1e-9)
    seen = rng.random(target.shape) < 0.7
    holes = np.where(seen, target, np.nan)
    assert (
        scores.r2(holes, guess)
        == scores.r2(target, guess, seen)
        == pytest.approx(r2_score(target[seen], guess[seen]), abs=1e-9)
    )
    worse = intervals.paired("classification", "brier", y, p, 1 - p, n_boot=499)
    assert worse["low"] <= worse["difference"] <= worse["high"] < 0
    assert intervals.paired("regression", "r2", target, guess, guess + 3, n_boot=499)["low"] > 0


def test_multiplicities_of_brier_and_r2_mean_repeated_stays():
    y, p = drawn(n=40)
    p, counts = 1 / (1 + np.exp(-p)), np.random.default_rng(2).integers(0, 3, 40)
    many = np.repeat(np.arange(40), counts)
    for task, metric, truth in (("classification", "brier", y), ("regression", "r2", y * 2.0 + 7)):
        once = scores.scorer(task, truth, p).values(counts[None].astype(float), (metric,))[metric][0]
        assert once == pytest.approx(getattr(scores, metric)(truth[many], p[many]), abs=1e-12)


@pytest.mark.parametrize("bins", [1, 5, 10])
def test_the_reliability_curve_equals_scikit_learn(bins):
    y, p = drawn()
    p = 1 / (1 + np.exp(-p))
    curve = scores.reliability(y, p, bins)
    observed, predicted = calibration_curve(y, p, n_bins=bins, strategy="quantile")
    np.testing.assert_allclose(curve["predicted"], predicted)
    np.testing.assert_allclose(curve["observed"], observed)
    assert (
        curve["n"].sum() == 400
        and (curve["low"] < curve["observed"]).all()
        and (curve["observed"] < curve["high"]).all()
    )
    assert len(scores.reliability(y, np.full(400, 0.2))["n"]) == 1  # all alike: one group


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: scores.brier([0, 1], [-1.0, 2.0]), "lie in 0 to 1, but these reach from -1 to 2: logits"),
        (lambda: scores.reliability([0, 1], [0.0, 2.0]), "lie in 0 to 1"),
        (lambda: scores.reliability([0, 1], [0.1, 0.2], bins=0), "1 group or more, not 0"),
        (lambda: scores.brier([0, 0], [0.1, 0.2]), "need both classes"),
        (lambda: scores.r2([1.0, 1.0], [0.1, 0.2]), "targets that differ"),
        (lambda: scores.brier([0, 1], [0.1, np.nan]), "not finite"),
    ],
)
def test_what_is_no_probability_is_said(call, words):
    with pytest.raises(ModtsError, match=words):
        call()


def test_the_trapezoid_is_that_of_pypots():
    from sklearn.metrics import auc, precision_recall_curve

    rng = np.random.default_rng(0)
    for levels in (3, 10, 1000):
        y, p = rng.integers(0, 2, 60), rng.integers(0, levels, 60) / levels
        precision, recall, _ = precision_recall_curve(y, p)
        assert scores.auprc_trapezoid(y, p) == pytest.approx(auc(recall, precision), abs=1e-12)
