"""Rolling origins: training before validation before test at each of three, tests that do not overlap, and what a seed names."""

import numpy as np
import pandas as pd
import pytest

from modts.cohorts import cohort_from_arrays, cohort_from_series, load_cohort, origins, series_back
from modts.errors import ModtsError


@pytest.fixture(scope="module")
def air():
    return [load_cohort("simulated_air", seed=seed) for seed in range(6)]


def test_three_origins_of_a_series(air):
    tests = [set(c.ids[c.splits["test"]]) for c in air[:3]]
    assert [len(test) for test in tests] == [80, 80, 80] and len(set.union(*tests)) == 240
    for origin, c in enumerate(air[:3]):
        train, val, test = (c.ids[c.splits[name]] for name in ("train", "val", "test"))
        assert max(train) < min(val) and max(val) < min(test)
        assert len(train) / (len(train) + len(val)) == pytest.approx(0.75)
        assert (c.origin, c.split_seed, c.split_by) == (origin, origin, "time")
        whole = dict(zip(air[0].ids, range(400), strict=True))
        rows = [whole[id] for id in c.ids]
        assert rows == list(range(len(rows)))  # from the first window on, none left out but what lies after the test
        for name in ("X", "y", "truth"):
            np.testing.assert_array_equal(getattr(c, name), getattr(air[0], name)[rows])
    assert [c.content_hash for c in air[:3]] == [c.content_hash for c in air[3:]]
    assert len({c.content_hash for c in air[:3]}) == 3


def test_a_series_says_its_origins(air):
    found = air[0].describe()["origins"]
    assert [(one["origin"], one["train"], one["val"], one["test"]) for one in found] == [
        (0, 240, 80, 80),
        (1, 180, 60, 80),
        (2, 120, 40, 80),
    ]
    assert (found[1]["test_from"], found[1]["test_to"]) == ("2023-08-30T00:00", "2023-11-17T00:00")
    assert air[1].describe()["notes"]["origin"] == 1 and "origins" not in air[1].describe()
    assert "origins" not in load_cohort("simulated_icu").describe()


def test_a_saved_series_has_its_origins_and_one_that_was_cut_keeps_its_own(air, tmp_path):
    whole, cut = (str(c.save(tmp_path / f"{c.origin}.npz")) for c in air[:2])
    assert [load_cohort(whole, seed=seed).content_hash for seed in range(3)] == [c.content_hash for c in air[:3]]
    for seed in range(3):
        again = load_cohort(cut, seed=seed)
        assert again.content_hash == air[1].content_hash and (again.origin, again.split_seed) == (1, 1)


def test_own_rows_in_time_order_have_origins_while_they_last():
    rng = np.random.default_rng(0)
    c = cohort_from_arrays(rng.normal(size=(20, 4, 2)), rng.normal(size=(20, 4)), by_time=True)
    assert {name: len(rows) for name, rows in c.resplit(2).splits.items()} == {"train": 6, "val": 2, "test": 4}
    short = cohort_from_arrays(rng.normal(size=(5, 4, 2)), rng.normal(size=(5, 4)), by_time=True)
    assert len(short.describe()["origins"]) == 2 and short.resplit(3).content_hash == short.content_hash
    with pytest.raises(ModtsError, match=r"of 3/1/1 windows .* too short for origin 2.*multiples of 3"):
        short.resplit(2)


@pytest.mark.parametrize("steps, stride", [(12, None), (12, 5), (7, 1)])
def test_windows_of_a_long_series_reach_over_no_border(steps, stride):
    index = pd.date_range("2024-01-01", periods=400, freq="h")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 2)), index=index, columns=["a", "b"])
    whole = cohort_from_series(frame, steps=steps, stride=stride)
    tests = []
    for origin in range(3):
        c = whole.resplit(origin)
        starts = np.array(c.notes["long_series"]["starts"])
        covered = [np.unique(starts[c.splits[name], None] + np.arange(steps)) for name in ("train", "val", "test")]
        assert covered[0].max() < covered[1].min() and covered[1].max() < covered[2].min()
        tests.append(covered[2])
        back = series_back(c, c.X)
        seen = np.concatenate(covered)
        np.testing.assert_array_equal(back.iloc[seen], frame.astype(np.float32).iloc[seen])
    assert tests[2].max() < tests[1].min() and tests[1].max() < tests[0].min()


def test_sizes_at_an_origin():
    assert origins.sizes_at((467, 155, 155), 0) == (467, 155, 155)
    for sizes in ((467, 155, 155), (852, 305, 304), (213, 76, 72)):
        for origin in (1, 2):
            train, val, test = origins.sizes_at(sizes, origin)
            assert test == sizes[2] and train + val == sizes[0] + sizes[1] - origin * test
            assert val / (train + val) == pytest.approx(sizes[1] / (sizes[0] + sizes[1]), abs=0.005)
