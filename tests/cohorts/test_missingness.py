"""Artificial gaps: seeded, global random state untouched, only where something was observed, at the wanted rate."""

import numpy as np
import pytest
import torch
from core_fixture import places  # noqa: F401

from modts.cohorts import PATTERNS, load_cohort, mask, seeded
from modts.errors import ModtsError

RATE = 0.2
TOLERANCE = dict.fromkeys(PATTERNS, 0.01) | {"rdo": 0.001, "mar": 0.06}  # mar: the deciding variables are drawn


@pytest.fixture(scope="module")
def X():
    return load_cohort("simulated_icu").X[:200]


@pytest.fixture(scope="module")
def hidden(X):
    return {pattern: mask(X, pattern, RATE, seed=3) for pattern in PATTERNS}


def state():
    return np.random.get_state()[1].tobytes(), np.random.get_state()[2], torch.get_rng_state().numpy().tobytes()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_seed_hides_the_same_cells_and_another_does_not(X, hidden, pattern):
    np.random.seed(1)  # whatever the global generators are at
    torch.manual_seed(1)
    assert np.array_equal(mask(X, pattern, RATE, seed=3), hidden[pattern], equal_nan=True)
    if pattern != "mnar_x":  # decided by the values alone
        assert not np.array_equal(mask(X, pattern, RATE, seed=4), hidden[pattern], equal_nan=True)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_global_random_state_is_untouched(X, pattern):
    np.random.seed(5)
    torch.manual_seed(5)
    before = state()
    mask(X[:30], pattern, RATE, seed=9)
    assert state() == before


@pytest.mark.parametrize("pattern", PATTERNS)
def test_only_observed_cells_are_hidden_and_the_rest_keeps_its_value(X, pattern, hidden):
    out, original = hidden[pattern], X.copy()
    assert np.isnan(out[np.isnan(X)]).all()
    kept = ~np.isnan(out)
    np.testing.assert_array_equal(out[kept], X[kept])
    np.testing.assert_array_equal(X, original)  # the input is not written to
    assert out.dtype == np.float32


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_share_of_hidden_values_is_the_rate(X, hidden, pattern):
    seen = ~np.isnan(X)
    share = (np.isnan(hidden[pattern]) & seen).sum() / seen.sum()
    assert share == pytest.approx(RATE, abs=TOLERANCE[pattern])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_higher_rate_hides_more(X, hidden, pattern):
    assert np.isnan(mask(X, pattern, 0.5, seed=3)).sum() > np.isnan(hidden[pattern]).sum()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_complete_data_and_variables_nobody_measured_are_no_obstacle(pattern):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 12, 6)).astype(np.float32)
    assert np.isnan(mask(X, pattern, RATE, seed=0)).any()
    X[:, :, 2] = np.nan
    out = mask(X, pattern, RATE, seed=0)
    assert np.isnan(out).sum() > np.isnan(X).sum()


def runs_of_gaps(hidden):
    """Mean length of the runs of hidden cells along time, per variable."""
    padded = np.pad(hidden.astype(int), ((0, 0), (1, 1), (0, 0)))
    return hidden.sum() / (np.diff(padded, axis=1) == 1).sum()


def test_mar_reads_raw_units():
    """PyGrinder's logistic mask finds no intercept for large, badly centred values, unless they are standardised."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(50, 12, 6)) * 3 + np.array([0.2, 7, 80, 250, 1e4, -1e3])).astype(np.float32)
    for seed in range(5):
        out = mask(X, "mar", RATE, seed=seed)
        assert np.isnan(out).mean() == pytest.approx(RATE, abs=0.03)
        complete = ~np.isnan(out).any((0, 1))
        assert complete.sum() == 1  # one variable of six decides and stays
        driver = X[..., complete].ravel()
        moved = [abs(np.corrcoef(driver, np.isnan(out[..., f]).ravel())[0, 1]) for f in np.flatnonzero(~complete)]
        assert min(moved) > 0.2


def test_mar_needs_two_variables():
    with pytest.raises(ModtsError, match="two variables that vary, got 1"):
        mask(np.random.default_rng(0).normal(size=(5, 6, 1)), "mar", RATE)


def test_structure_is_where_the_name_says():
    X = np.random.default_rng(0).normal(size=(60, 24, 8)).astype(np.float32)
    gaps = {pattern: np.isnan(mask(X, pattern, RATE, seed=0)) for pattern in PATTERNS}
    assert runs_of_gaps(gaps["point"]) < 1.5
    assert runs_of_gaps(gaps["sequence"]) > 4
    assert runs_of_gaps(gaps["block"]) > 2.5
    high = np.quantile(X, 0.9) < X
    assert gaps["mnar_x"][high].mean() > 0.8 > 0.3 > gaps["point"][high].mean()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_is_hidden_at_rate_zero_nor_in_an_empty_cohort(X, pattern):
    np.testing.assert_array_equal(mask(X[:5], pattern, 0.0), X[:5])
    empty = np.full((3, 4, 2), np.nan, dtype=np.float32)
    assert np.isnan(mask(empty, pattern, 0.5)).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pattern": "mcar"}, "Unknown missingness pattern 'mcar'; choose one of: point"),
        ({"rate": 1.0}, "below 1, got 1.0"),
        ({"rate": -0.1}, "at least 0 and below 1, got -0.1"),
        ({"rate": float("nan")}, "got nan"),
        ({"rate": None}, "got None"),
        ({"rate": "0.1"}, "got 0.1"),
        ({"rate": True}, "got True"),
        ({"X": np.full((2, 3, 4), np.inf)}, "infinite values"),
        ({"X": np.full((2, 3, 4), 1e39)}, "infinite values"),
        ({"X": np.zeros((4, 3))}, r"three axes .* got shape \(4, 3\)"),
    ],
)
def test_mistakes_are_named(change, says):
    with pytest.raises(ModtsError, match=says):
        mask(**{"X": np.zeros((2, 3, 4)), "pattern": "point", "rate": 0.1, **change})


def test_state_comes_back_even_after_an_error():
    before = state()
    with pytest.raises(RuntimeError), seeded(3):
        np.random.rand(4)
        torch.rand(4)
        raise RuntimeError
    assert state() == before
