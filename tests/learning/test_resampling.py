"""Resampling in levels: the quick scores are the scores, draws and blocks widen what they should, and old intervals keep their bits."""

import time

import numpy as np
import pytest
from scipy import optimize, stats

from modts.errors import ModtsError
from modts.learning import intervals, meta, resampling, scores


def drawn(n=400, seed=0, ties=False, gain=1.0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(np.int64)
    y[:2] = 0, 1
    p = rng.normal(size=n) + gain * y
    return y, np.round(p, 1) if ties else p


def series(n=155, r=0.0, seed=0):
    """Targets and predictions of n consecutive windows; the difference of two models' errors has lag-1 correlation r."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=n)
    for at in range(1, n):
        noise[at] = r * noise[at - 1] + np.sqrt(1 - r**2) * noise[at]
    return np.zeros((n, 1)), 10 + noise[:, None], np.full((n, 1), 10.0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("gain", [-8.0, 0.0, 1.0, 8.0])
def test_quick_scores_are_the_scores(ties, gain):
    y, p = drawn(200, 1, ties, gain)
    ranked = scores._Ranked(y, p)
    weights = resampling.draw(np.random.default_rng(0), y, 50)
    whole, quick = (
        one.values(w, ("auroc", "auprc"))
        for one, w in ((ranked, weights), (resampling.Ranks(ranked), weights.astype(np.float32)))
    )
    assert np.array_equal(whole["auroc"], quick["auroc"])
    assert quick["auprc"] == pytest.approx(whole["auprc"], abs=1e-6)


def test_intervals_of_one_draw_keep_their_bits():
    """The values before there were draws and blocks."""
    got = intervals.score_seeds("classification", [drawn(300, seed) for seed in range(3)], n_boot=200)
    assert [value.hex() for value in got["auroc"]] == BITS["seeds"]
    y, p = drawn(300, 1)
    got = intervals.score_seeds("classification", [(y, p), (y, p[::-1].copy())], n_boot=200, seed=3)
    assert [value.hex() for value in got["auprc"]] == BITS["same stays"]
    got = intervals.score("regression", *series(60)[:2], n_boot=200)
    assert [value.hex() for value in got["mae"]] == BITS["regression"]


BITS = {
    "seeds": ["0x1.89c775b8f32ccp-1", "0x1.77b29c4cb627ep-1", "0x1.a0282fa9bda20p-1"],
    "same stays": ["0x1.8ce149e7b6dc4p-2", "0x1.afbe53999ed59p-3", "0x1.478dd2ca459f7p-1"],
    "regression": ["0x1.42793533d05dbp+3", "0x1.3c12ff97a985ap+3", "0x1.4a62edbe37176p+3"],
}


def test_draws_of_labels_are_resampled():
    y, p = drawn(1500)
    noise = np.random.default_rng(5).normal(size=(5, 1500))
    alike = [(y, p) for _ in range(5)]
    apart = [(y, p * good + 2 * one) for good, one in zip((0.5, 1, 2, 4, 8), noise, strict=True)]
    one, many, unlike = (
        intervals.score_seeds("classification", items, splits=splits)["auroc"]
        for items, splits in ((alike[:1], None), (alike, [0] * 5), (apart, [0] * 5))
    )
    assert many == pytest.approx(one, abs=0.005)  # the same draw five times: the interval of the stays
    values = [scores.auroc(*item) for item in apart]
    assert unlike[0] == pytest.approx(np.mean(values))
    wide = 2 * 1.96 * np.std(values) / np.sqrt(5)  # of the mean of five draws, beside the stays
    assert unlike[2] - unlike[1] == pytest.approx(np.hypot(wide, one[2] - one[1]), rel=0.2)


def test_draws_of_a_split_are_not_splits():
    """Ten entries: two splits with five draws. The mean is over splits, and so is the resampling above the draws."""
    items = [drawn(300, split) for split in (0, 1) for _ in range(5)]
    splits = [0] * 5 + [1] * 5
    nested = intervals.score_seeds("classification", items, splits=splits)["auroc"]
    plain = intervals.score_seeds("classification", items[::5])["auroc"]
    assert nested[0] == pytest.approx(plain[0]) and nested[1:] == pytest.approx(plain[1:], abs=0.02)
    uneven = intervals.score_seeds("classification", items[4:], splits=splits[4:])["auroc"]
    assert uneven[0] == pytest.approx(plain[0])
    with pytest.raises(ModtsError, match="Draws of one split must share its test stays"):
        intervals.score_seeds("classification", items, splits=[0] * 10)
    with pytest.raises(ModtsError, match="10 entries .* 2 splits"):
        intervals.score_seeds("classification", items, splits=[0, 1])


def test_a_paired_test_can_be_as_sure_as_a_family_needs():
    y, p = drawn(800)
    bad = np.random.default_rng(1).normal(size=800)
    assert intervals.paired("classification", "auroc", y, p, bad)["p"] == pytest.approx(2 / 20_001)
    assert 2 / 20_001 * 78 < 0.05


def test_paired_differences_are_fast():
    items = [
        (y, p, p + np.random.default_rng(seed).normal(size=800)) for seed in range(5) for y, p in [drawn(800, seed)]
    ]
    start = time.process_time()
    intervals.paired_seeds("classification", "auprc", items)
    assert time.process_time() - start < 5  # about 1.5 s of an idle core; 6 s before


def test_a_mean_of_differences_shares_the_luck_of_the_stays():
    y, _ = drawn(600)
    rng = np.random.default_rng(0)
    models = {name: rng.normal(size=600) + good * y for name, good in (("a", 1.2), ("b", 1.0), ("c", 1.1), ("d", 1.0))}
    pairs = {"ab": [("a", "b")], "cd": [("c", "d")], "all": [("a", "b"), ("c", "d")], "back": [("a", "b"), ("b", "a")]}
    found = intervals.contrasts("classification", [(y, models)], pairs, n_boot=2000)
    assert set(found) == {"auroc", "auprc"}
    for rows in found.values():
        each = [rows[name]["difference"] for name in ("ab", "cd")]
        assert rows["all"]["difference"] == pytest.approx(np.mean(each))
        widths = [rows[name]["high"] - rows[name]["low"] for name in ("ab", "cd", "all")]
        assert widths[2] < max(widths[:2])
        assert rows["back"]["low"] == rows["back"]["high"] == 0 and rows["back"]["p"] == 1


def test_initialisations_of_two_networks_are_drawn_apart():
    """Two networks whose two seeds happen to err in opposite directions: their mean must not look certain."""
    y, p = drawn(4000)
    wild = p + 3 * np.random.default_rng(1).normal(size=4000)
    entries = [
        (y, {("a", 1): p, ("a", 0): p, ("b", 1): wild, ("b", 0): p}),
        (y, {("a", 1): wild, ("a", 0): p, ("b", 1): p, ("b", 0): p}),
    ]
    pairs = {"": [(("a", 1), ("a", 0)), (("b", 1), ("b", 0))]}
    width = {}
    for name, apart in (("together", None), ("apart", lambda model: model[0])):
        options = {"splits": [0, 0], "apart": apart}
        found = intervals.contrasts("classification", entries, pairs, ("auroc",), 1000, **options)["auroc"][""]
        width[name] = found["high"] - found["low"]
    assert width["together"] < 0.03 < 0.15 < width["apart"]


# --- series ---


def test_blocks_hold_consecutive_windows():
    strata = np.ones(20, int)
    strata[5] = 0  # nothing to score there
    weights = resampling.draw_blocks(np.random.default_rng(0), strata, 500, 4)
    scored = np.delete(weights, 5, axis=1)
    assert (scored.sum(1) == 19).all() and (weights[:, 5] == 1).all()
    assert scored.mean(0) == pytest.approx(np.ones(19), abs=0.15)  # circular: every window as often as another
    together = [np.corrcoef(scored[:, at], scored[:, at + 1])[0, 1] for at in range(18)]
    single = resampling.draw_blocks(np.random.default_rng(0), strata, 500, 1)
    assert min(together) > 0.4 and abs(np.corrcoef(single[:, 8], single[:, 9])[0, 1]) < 0.15
    with pytest.raises(ModtsError, match="1 to 9 of the 19 windows"):
        resampling.draw_blocks(np.random.default_rng(0), strata, 5, 10)
    with pytest.raises(ModtsError, match="not for classification"):
        intervals.score("classification", [0, 1], [0, 1], block=2)


def test_blocks_widen_the_interval_of_a_correlated_difference_as_theory_says():
    y, a, b = series(n=2000, r=0.5, seed=3)
    alone, blocked, auto = (
        intervals.contrasts("regression", [(y, {"a": a, "b": b})], {"": [("a", "b")]}, ("mae",), 4000, block=block)[
            "mae"
        ][""]
        for block in (None, 40, "auto")
    )
    assert alone["difference"] == blocked["difference"]
    width = {name: one["high"] - one["low"] for name, one in (("alone", alone), ("blocked", blocked), ("auto", auto))}
    # the variance of a mean of AR(1) is (1 + r) / (1 - r) = 3 times that of independent values
    assert width["blocked"] / width["alone"] == pytest.approx(np.sqrt(3), rel=0.12)
    assert width["auto"] / width["alone"] == pytest.approx(np.sqrt(3), rel=0.2)


def test_blocked_intervals_cover_where_single_windows_do_not():
    inside = {None: 0, "auto": 0}
    for seed in range(120):
        y, a, b = series(n=155, r=0.5, seed=seed)
        for block in inside:
            one = intervals.contrasts(
                "regression", [(y, {"a": a, "b": b})], {"": [("a", "b")]}, ("mae",), 300, block=block
            )
            inside[block] += one["mae"][""]["low"] <= 0 <= one["mae"][""]["high"]
    assert inside[None] < 100 < 103 < inside["auto"]  # of 120; 114 would be right


def test_origins_are_drawn_as_splits_and_initialisations_within_them():
    """Three origins that disagree, of three initialisations each: the interval is as wide as three origins make it, not nine."""
    entries, splits = [], []
    for origin, gain in enumerate((0.0, 1.0, 2.0)):
        y, _, b = series(n=60, seed=origin)
        noise = 0.01 * np.random.default_rng(origin).normal(size=b.shape)
        entries += [(y, {"a": b + gain + noise, "b": b}) for _ in range(3)]
        splits += [origin] * 3
    nested, plain, nine = (
        intervals.contrasts("regression", some, {"": [("a", "b")]}, ("mae",), 4000, splits=named, block="auto")["mae"][
            ""
        ]
        for some, named in ((entries, splits), (entries[::3], None), (entries, None))
    )
    assert nested["difference"] == pytest.approx(1, abs=0.01) and nested["difference"] == plain["difference"]
    width = [one["high"] - one["low"] for one in (nested, plain, nine)]
    assert width[0] == pytest.approx(width[1], rel=0.05) and width[2] < 0.75 * width[0]


def test_intervals_of_scores_come_from_blocks_too():
    y, a, _ = series(n=2000, r=0.5, seed=3)
    alone, blocked = (intervals.score("regression", y, a, block=block)["mae"] for block in (None, "auto"))
    assert alone[0] == blocked[0]
    assert (blocked[2] - blocked[1]) / (alone[2] - alone[1]) == pytest.approx(np.sqrt(3), rel=0.2)
    two = [(y, a), (y[:1500], a[:1500])]  # origins need not have as many windows
    assert intervals.score_seeds("regression", two, splits=[0, 1], block="auto", n_boot=50)["mae"][0] > 0


def test_a_window_that_one_initialisation_hides_is_drawn_for_the_other():
    y, a, _ = series(n=40)
    masks = np.ones((2, 40, 1), bool)
    masks[0, 7], masks[1, 20] = False, False
    items = [(y, a, mask) for mask in masks]
    taken = []
    draw = resampling.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "draw", lambda rng, strata, *rest: taken.append(strata) or draw(rng, strata, *rest))
        intervals.score_seeds("imputation", items, splits=[0, 0], n_boot=20)
    assert taken[0].all()


def test_length_of_a_block():
    noise = np.random.default_rng(0).normal(size=1000)
    assert resampling.block_length(noise) == 10  # n^(1/3), however little is correlated
    _, a, _ = series(n=1000, r=0.8)
    r = np.corrcoef(a[1:, 0], a[:-1, 0])[0, 1]
    assert resampling.block_length(a[:, 0]) == np.ceil((6 * r**2 / (1 - r**2) ** 2 * 1000) ** (1 / 3))
    assert resampling.block_length(np.r_[np.nan, a[:, 0]]) == resampling.block_length(a[:, 0])
    assert resampling.block_length(np.arange(40.0)) == 10  # at most a quarter
    assert resampling.block_length(np.ones(30)) == 4


# --- over cohorts ---


def test_random_effects_equal_metafor():
    """The thirteen trials of BCG vaccine (Colditz and others 1994) as metafor 4 gives them: rma(yi, vi, test = "knha")."""
    cells = np.array(
        [
            (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
            (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
            (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
        ]
    )  # fmt: skip
    a, b, c, d = cells.T
    values, errors = np.log((a / (a + b)) / (c / (c + d))), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    found = meta.random_effects(values, errors)
    assert found["tau"] ** 2 == pytest.approx(0.3132, abs=1e-4)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((-0.7145, -1.1084, -0.3206), abs=2e-4)
    assert found["p"] == pytest.approx(0.0019, abs=1e-4)


@pytest.mark.parametrize("count, spread", [(2, 0.05), (3, 0.0), (4, 0.02), (7, 0.05)])
def test_random_effects_maximise_the_restricted_likelihood(count, spread):
    rng = np.random.default_rng(count)
    errors = rng.uniform(0.005, 0.03, count)
    values = rng.normal(0.02, spread, count) + rng.normal(0, errors)

    def minus_likelihood(between):
        weights = 1 / (errors**2 + between)
        mean = weights @ values / weights.sum()
        return (weights @ (values - mean) ** 2 - np.log(weights).sum() + np.log(weights.sum())) / 2

    best = optimize.minimize_scalar(minus_likelihood, bounds=(0, 0.02), method="bounded", options={"xatol": 1e-10}).x
    found = meta.random_effects(values, errors)
    assert found["tau"] ** 2 == pytest.approx(best, rel=1e-3, abs=1e-8)
    weights = 1 / (errors**2 + best)
    mean = np.average(values, weights=weights)
    error = np.sqrt(max(1, weights @ (values - mean) ** 2 / (count - 1)) / weights.sum())
    low, high = stats.t.interval(0.95, count - 1, mean, error)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((mean, low, high), rel=1e-3, abs=1e-6)
    assert found["p"] == pytest.approx(2 * stats.t.cdf(-abs(mean / error), count - 1), rel=1e-2)


def test_random_effects_of_cohorts_that_agree_are_not_too_sure():
    found = meta.random_effects([0.02, 0.02], [0.01, 0.01])
    assert found["tau"] == 0 and found["low"] < 0 < found["high"]  # two cohorts: t with one degree of freedom
    for values, errors in (([0.1], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([0.1, np.nan], [0.1, 0.1])):
        with pytest.raises(ModtsError):
            meta.random_effects(values, errors)
