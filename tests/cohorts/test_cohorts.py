"""The Cohort itself, splits, label subsets, and the two simulated cohorts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from modts.cohorts import Cohort, cohort_from_arrays, cohort_names, load_cohort
from modts.cohorts.simulated_icu import FEATURES, observe, world
from modts.errors import ModtsError

SIMULATED = ("simulated_icu", "simulated_air")


@pytest.mark.parametrize("name", SIMULATED)
def test_two_loads_agree_bit_for_bit(name):
    a, b = load_cohort(name, seed=1), load_cohort(name, seed=1)
    assert a.content_hash == b.content_hash
    np.testing.assert_array_equal(a.X, b.X)
    np.testing.assert_array_equal(a.y, b.y)


@pytest.mark.parametrize("name", SIMULATED)
def test_splits_are_disjoint_by_id_and_complete(name):
    c = load_cohort(name)
    ids = {s: set(c.ids[rows]) for s, rows in c.splits.items()}
    assert not ids["train"] & ids["val"] and not ids["train"] & ids["test"] and not ids["val"] & ids["test"]
    assert sum(map(len, ids.values())) == c.n_samples


def test_seed_moves_the_split_of_stays_but_not_the_data():
    a, b = load_cohort("simulated_icu", seed=0), load_cohort("simulated_icu", seed=1)
    np.testing.assert_array_equal(a.X, b.X)
    assert a.content_hash != b.content_hash
    assert not np.array_equal(a.splits["test"], b.splits["test"])
    rates = [a.part(s)[1].mean() for s in ("train", "val", "test")]
    assert np.ptp(rates) < 0.02  # stratified


@pytest.mark.parametrize("seed", range(3))
def test_series_are_split_in_time_order_whatever_the_seed(seed):
    c = load_cohort("simulated_air", seed=seed)
    assert c.series and c.content_hash == load_cohort("simulated_air", seed=seed + 3).content_hash
    train, val, test = (c.ids[c.splits[s]] for s in ("train", "val", "test"))
    assert max(train) < min(val) and max(val) < min(test)
    assert not load_cohort("simulated_icu").series


def test_simulated_icu_is_as_described():
    c = load_cohort("simulated_icu")
    assert (c.n_steps, c.n_features, c.features) == (48, 12, FEATURES)
    assert 0.60 < c.missing_rate < 0.75
    assert 0.15 < c.y.mean() < 0.20
    seen = ~np.isnan(c.X)
    np.testing.assert_array_equal(c.X[seen], c.truth[seen])  # what is seen is the truth
    assert seen.any(axis=(1, 2)).all()
    often = seen.mean(axis=(1, 2))
    assert often[c.y == 1].mean() > often[c.y == 0].mean() + 0.02  # sicker = measured more
    laboratory, vital = seen[:, :, c.features.index("Lactate")].mean(), seen[:, :, c.features.index("HR")].mean()
    assert laboratory < 0.2 and vital > 0.6


def test_best_auroc_is_computed_from_the_true_risk():
    from sklearn.metrics import roc_auc_score

    c, w = load_cohort("simulated_icu"), world()
    assert c.notes["best_auroc"] == pytest.approx(roc_auc_score(w.died, w.risk), abs=1e-12)
    assert 0.85 < c.notes["best_auroc"] < 0.93
    rng = np.random.default_rng(0)
    drawn = [roc_auc_score(rng.random(len(w.risk)) < w.risk, w.risk) for _ in range(200)]
    assert c.notes["best_auroc_expected"] == pytest.approx(np.mean(drawn), abs=0.005)


def test_simulated_icu_can_be_learnt_but_not_trivially():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    scores = []
    for seed in range(4):
        c = load_cohort("simulated_icu", seed=seed)
        with np.errstate(all="ignore"):
            mean = np.where(np.isnan(c.X).all(1), np.nan, np.nansum(c.X, 1) / (~np.isnan(c.X)).sum(1))
        table = np.concatenate([mean, (~np.isnan(c.X)).mean(1)], axis=1)
        train, test = c.splits["train"], c.splits["test"]
        middle, spread = np.nanmean(table[train], 0), np.nanstd(table[train], 0)
        table = np.nan_to_num((table - middle) / spread)
        model = LogisticRegression(C=0.05).fit(table[train], c.y[train])
        scores.append(roc_auc_score(c.y[test], model.predict_proba(table[test])[:, 1]))
    assert 0.70 < np.mean(scores) < c.notes["best_auroc"] - 0.02


def test_mechanisms_hide_what_they_say():
    w = world()
    hidden = {m: np.isnan(observe(w.truth, w.severity, m, rate=0.4, seed=3)) for m in ("MCAR", "MAR", "MNAR")}
    assert hidden["MCAR"].mean() == pytest.approx(0.4, abs=0.01)
    assert hidden["MNAR"].mean() == pytest.approx(0.4, abs=0.01)
    hr, lactate = FEATURES.index("HR"), FEATURES.index("Lactate")
    assert not hidden["MAR"][:, :, hr].any()
    high_pulse = w.truth[:, :, hr] > np.median(w.truth[:, :, hr])
    assert hidden["MAR"][:, :, lactate][~high_pulse].mean() > hidden["MAR"][:, :, lactate][high_pulse].mean() + 0.1
    high = w.truth[:, :, lactate] > np.median(w.truth[:, :, lactate])
    for mechanism, gap in (("MCAR", 0.0), ("MNAR", 0.3)):
        rate = hidden[mechanism][:, :, lactate]
        assert abs(rate[high].mean() - rate[~high].mean() - gap) < (0.02 if gap == 0 else 0.25)
    assert load_cohort("simulated_icu", mechanism="MNAR").notes["mechanism"] == "MNAR"
    with pytest.raises(ModtsError, match="Unknown missingness mechanism 'mcar'"):
        observe(w.truth, w.severity, "mcar")
    with pytest.raises(ModtsError, match="between 0 and 1"):
        observe(w.truth, w.severity, "MCAR", rate=1.5)


def test_simulated_air_is_as_described():
    c = load_cohort("simulated_air")
    assert c.X.shape == (400, 24, 10) and c.y.shape == (400, 24) and c.task == "regression"
    assert not any("ozone" in f.lower() for f in c.features)  # the target is not among the features
    assert not any(np.array_equal(c.truth[:, :, f], c.y) for f in range(c.n_features))
    assert 0.05 < c.missing_rate < 0.3 and 0 < np.isnan(c.y).mean() < 0.1
    gap = np.isnan(c.X[:, :, 0]).reshape(-1)
    assert gap[1:][gap[:-1]].mean() > 0.5  # an hour after a missing one is mostly missing too: outages, not points
    daily = np.nanmean(c.y, axis=0)
    assert daily.argmax() in range(11, 18) and daily.max() > 1.5 * daily.min()


def test_labelled_subset():
    c = load_cohort("simulated_icu")
    train = c.splits["train"]
    ten = c.labelled(0.1, seed=0)
    assert len(ten) == int(0.1 * len(train)) and set(ten) <= set(train)
    assert c.y[ten].mean() == pytest.approx(c.y[train].mean(), abs=0.03)
    np.testing.assert_array_equal(ten, c.labelled(0.1, seed=0))
    assert not np.array_equal(ten, c.labelled(0.1, seed=1))
    assert set(ten) <= set(c.labelled(0.5, seed=0))  # nested
    np.testing.assert_array_equal(c.labelled(1.0, seed=0), train)
    assert len(load_cohort("simulated_air").labelled(0.25, seed=0)) == 60
    for wrong in (0, -0.1, 1.01):
        with pytest.raises(ModtsError, match="label fraction must be above 0"):
            c.labelled(wrong, seed=0)
    with pytest.raises(ModtsError, match="only one class"):
        c.labelled(0.005, seed=0)


def test_sizes_are_those_of_the_sibling_benchmarks():
    y = np.zeros(3997, dtype=int)
    y[:554] = 1
    c = cohort_from_arrays(np.ones((3997, 1, 1)), y)
    assert [len(c.splits[s]) for s in ("train", "val", "test")] == [2557, 640, 800]
    assert len(c.labelled(0.1, seed=0)) == 255


@pytest.mark.parametrize("name", SIMULATED)
def test_describe_is_json(name):
    row = json.loads(json.dumps(load_cohort(name).describe(), allow_nan=False))
    assert (
        row["train"] + row["val"] + row["test"] == row["n"]
        and row["licence"]
        and row["citation"]
        and row["truth_known"]
    )
    assert ("prevalence" in row) == (row["task"] == "classification")


@pytest.mark.parametrize("name", SIMULATED)
def test_save_and_load(name, tmp_path):
    c = load_cohort(name, seed=2)
    path = c.save(tmp_path / "own.npz")
    d = load_cohort(str(path), seed=2)
    assert d.content_hash == c.content_hash and d.describe() == c.describe()
    np.testing.assert_array_equal(d.truth, c.truth)
    assert load_cohort(str(path), seed=3).series or load_cohort(str(path), seed=3).content_hash != c.content_hash


def test_damaged_or_absent_saved_cohort(tmp_path):
    path = tmp_path / "own.npz"
    with pytest.raises(ModtsError, match="There is no cohort file"):
        load_cohort(str(path))
    load_cohort("simulated_air").save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not a zip file", whole[:5000] + b"\0\0\0\0" + whole[5004:]):
        path.write_bytes(damaged)
        with pytest.raises(ModtsError, match="damaged"):
            load_cohort(str(path))
    with np.errstate(all="ignore"):
        c = load_cohort("simulated_air")
    object.__setattr__(c, "content_hash", "0" * 64)  # as if the values had been changed after saving
    c.save(path)
    with pytest.raises(ModtsError, match="does not match its content hash"):
        load_cohort(str(path))
    with pytest.raises(ModtsError, match="does not end in .npz"):
        c.save(tmp_path / "own.csv")


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, meta=np.array({"a": 1}, dtype=object))
    with pytest.raises(ModtsError, match="damaged or was not written"):
        load_cohort(str(path))


def test_unknown_names_options_and_seeds():
    with pytest.raises(
        ModtsError, match="Unknown cohort 'physionet2012'; choose one of: simulated_icu, .*physionet_2012"
    ):
        load_cohort("physionet2012")
    with pytest.raises(ModtsError, match="has no option 'subst'; its options: mechanism, rate"):
        load_cohort("simulated_icu", subst="set-a")
    with pytest.raises(ModtsError, match="has no option 'seeds'; its options: none"):
        load_cohort("simulated_air", seeds=1)
    for wrong in (-1, 1.5, "0", True, None):
        with pytest.raises(ModtsError, match="split seed must be a whole number"):
            load_cohort("simulated_icu", seed=wrong)
    with pytest.raises(ModtsError, match="Unknown split 'dev'"):
        load_cohort("simulated_icu").part("dev")
    assert cohort_names()[:2] == SIMULATED


def test_a_cohort_refuses_parts_that_do_not_fit():
    good = load_cohort("simulated_icu")
    parts = {f: getattr(good, f) for f in good.__dataclass_fields__}
    overlapping = {**good.splits, "val": good.splits["train"][:97]}
    for change, sentence in (
        ({"splits": overlapping}, "exactly once"),
        ({"ids": np.array(["a"] * good.n_samples)}, "'a' occurs more than once"),
        ({"y": good.y + 1}, "labels must be 0 or 1"),
        ({"y": good.y + 0.5}, "labels must be 0 or 1"),
        (
            {"splits": {name: rows + 0.5 for name, rows in good.splits.items()}},
            "train split must hold whole row numbers",
        ),
        ({"groups": np.arange(good.n_samples) // 2}, "has rows in both train and val"),
        ({"groups": ["a"]}, "must be 600 groups"),
        ({"task": "imputation"}, r"y must have shape \(600, 0\) for imputation"),
        ({"y": good.y[:-1]}, r"y must have shape \(600,\)"),
        ({"X": good.X[0]}, r"shape \(N, T, F\)"),
        ({"units": ("",)}, "1 units were given"),
        ({"truth": good.X}, "truth must be complete"),
        ({"task": "clustering"}, "Unknown task"),
    ):
        with pytest.raises(ModtsError, match=sentence):
            Cohort(**(parts | change))


def test_hash_sees_values_labels_and_features_but_not_the_kind_of_nan():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4, 2)).astype(np.float32), np.arange(20) % 2
    X[0, 0, 0] = np.nan
    first = cohort_from_arrays(X, y).content_hash
    negative_nan = X.copy()
    negative_nan[0, 0, 0] = -np.float32(np.nan)
    assert cohort_from_arrays(negative_nan, y).content_hash == first
    changed = X.copy()
    changed[1, 1, 1] += 1
    assert cohort_from_arrays(changed, y).content_hash != first
    assert cohort_from_arrays(X, 1 - y).content_hash != first
    assert cohort_from_arrays(X, y, features=["a", "b"]).content_hash != first


def test_a_prepared_copy_stands_in_for_raw_files_but_for_no_other_cohort_and_no_sealed_one(tmp_path, monkeypatch):
    ward = load_cohort("simulated_ward")
    copy = replace(ward, name="physionet_2012")
    monkeypatch.setenv("MODTS_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("MODTS_PREPARED", str(tmp_path))
    copy.save(tmp_path / "physionet_2012.npz")
    for seed in (0, 31):
        assert load_cohort("physionet_2012", seed).content_hash == copy.resplit(seed).content_hash
    copy.save(tmp_path / "physionet_2019.npz")
    with pytest.raises(
        ModtsError, match="holds 'physionet_2012', split by stratified; only a copy of 'physionet_2019' itself"
    ):
        load_cohort("physionet_2019")
    replace(ward, name="physionet_2012_c").save(tmp_path / "physionet_2012_c.npz")
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path))
    with pytest.raises(ModtsError, match="sealed"):
        load_cohort("physionet_2012_c")
