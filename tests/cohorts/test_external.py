"""Another cohort's stays: as an external test behind the own, never in training; without labels behind the training stays."""

from dataclasses import replace

import numpy as np
import pytest
from core_fixture import places, tiny  # noqa: F401

from modts.cohorts import by_test, cohort_from_arrays, load_cohort, training_windows, with_external
from modts.errors import ModtsError


def other(n=30, **changed):
    c = tiny(n=n, seed=4, name="clinic")
    return replace(c, X=c.X + 1, **changed)


def test_its_stays_lie_behind_the_own_test_stays():
    own, clinic = tiny(), other()
    both = with_external(own, clinic)
    for split in ("train", "val"):
        for mine, theirs in zip(own.part(split), both.part(split), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    X, y = both.part("test")
    parts = by_test(both)
    assert list(parts) == ["split", "external"]
    for rows, (mine, labels) in ((parts["split"], own.part("test")), (parts["external"], (clinic.X, clinic.y))):
        np.testing.assert_array_equal(X[rows], mine)
        np.testing.assert_array_equal(y[rows], labels)
    note = both.notes["external"]
    assert (note["n"], note["own"], note["data"]) == (30, own.content_hash, clinic.content_hash)
    assert len(set(both.ids)) == both.n_samples and both.name == own.name and both.content_hash != own.content_hash
    assert list(by_test(own)) == ["split"] and by_test(own)["split"] == slice(None)
    np.testing.assert_array_equal(both.labelled(0.5, 1), own.labelled(0.5, 1))


def test_own_groups_are_kept():
    rng = np.random.default_rng(0)
    X, y, features = rng.normal(size=(40, 4, 2)), np.arange(40) % 2, ["a", "b"]
    own = cohort_from_arrays(X, y, groups=np.arange(40) // 2, features=features)
    more = cohort_from_arrays(X[:9] + 1, y[:9], features=features, name="more")
    assert len(with_external(own, more).groups) == 49


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: replace(c, features=("a", *c.features[1:])), "their features differ"),
        (lambda c: replace(c, units=("kg", *c.units[1:])), "their units differ"),
        (lambda c: replace(c, X=c.X[:, :-1]), r"their steps differ \(8; 7\)"),
        (lambda c: replace(c, task="regression", y=np.zeros(c.X.shape[:2]), split_by="random"), "their task differ"),
        (lambda c: replace(c, X=tiny(n=30).X, ids=tiny(n=30).ids), "they share 30 stays, such as"),
    ],
)
def test_what_does_not_fit_is_refused(change, sentence):
    for join, role in ((with_external, "as external test"), (training_windows, "without labels in its pretraining")):
        with pytest.raises(ModtsError, match=f"Cohort 'tiny' cannot have 'clinic' {role}: {sentence}"):
            join(tiny(), change(other()))


def test_unlabelled_stays_lie_behind_the_training_stays_alone():
    own, clinic = tiny(), other()
    X, lengths = training_windows(own, clinic)
    assert lengths is None
    np.testing.assert_array_equal(X, np.concatenate([own.part("train")[0], clinic.X]))
    np.testing.assert_array_equal(training_windows(own)[0], own.part("train")[0])
    short = np.full(clinic.n_samples, 5)
    clinic = replace(clinic, X=np.where(np.arange(8)[:, None] < 5, clinic.X, np.nan), lengths=short)
    n = len(own.splits["train"])
    assert training_windows(own, clinic)[1].tolist() == [8] * n + [5] * 30


def test_a_series_has_none_and_the_same_id_may_be_another_stay():
    with pytest.raises(ModtsError, match="it is a series"):
        with_external(load_cohort("simulated_air"), load_cohort("simulated_air"))
    own = tiny()
    assert with_external(own, other(ids=own.ids[:30])).n_samples == 110
