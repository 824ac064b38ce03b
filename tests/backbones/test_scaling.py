"""A scaler that a few mistyped values do not move, and what of it is kept."""

import numpy as np
import pytest
from core_fixture import places, tiny  # noqa: F401

from modts import load_backbone
from modts.backbones import Scaler, build, quantiles
from modts.errors import ModtsError


@pytest.fixture
def typed():
    """400 windows of two features; of the first, three values in 4,000 are a hundred times too large."""
    X = np.random.default_rng(0).normal(7.4, 0.1, size=(400, 10, 2)).astype(np.float32)
    X[[3, 50, 99], [1, 5, 9], 0] *= 100
    X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    X[[3, 50, 99], [1, 5, 9], 0] = 740
    return X


def test_a_few_wrong_values_do_not_make_the_deviation(typed):
    plain, ours = Scaler.fit(typed), Scaler.fit(typed, "winsorised")
    assert plain.std[0] > 15 and ours.std[0] == pytest.approx(0.1, rel=0.05)
    assert ours.mean[0] == pytest.approx(7.4, abs=0.01)
    assert ours.std[1] == pytest.approx(plain.std[1], rel=0.05) and plain.edge is None
    Z = ours.transform(typed)
    assert np.nanmax(np.abs(Z)) == 6 and (np.abs(Z[[3, 50, 99], [1, 5, 9], 0]) == 6).all()
    np.testing.assert_array_equal(np.isnan(Z), np.isnan(typed))
    assert np.nanmax(plain.transform(typed)) > 20
    inside = np.abs(Z) < 6
    np.testing.assert_allclose(ours.inverse(Z)[inside], typed[inside], rtol=1e-4)


def test_mean_and_deviation_are_those_of_winsorised_values(typed):
    from scipy.stats import mstats

    ours = Scaler.fit(typed, "winsorised")
    for f in range(2):
        seen = typed[..., f][~np.isnan(typed[..., f])].astype(float)
        low, high = np.quantile(seen, (0.005, 0.995))
        np.testing.assert_allclose(quantiles(typed)[0][f], low, rtol=1e-6)
        drawn_in = np.clip(seen, low, high)
        np.testing.assert_allclose((ours.mean[f], ours.std[f]), (drawn_in.mean(), drawn_in.std()), rtol=1e-4)
        theirs = mstats.winsorize(seen, (0.005, 0.005))
        np.testing.assert_allclose(ours.std[f], theirs.std(), rtol=0.02)


def test_features_without_value_or_spread(typed):
    X = typed.copy()
    X[..., 0] = np.nan
    X[..., 1] = np.where(np.isnan(X[..., 1]), np.nan, 5)
    scaler = Scaler.fit(X, "winsorised")
    assert scaler.seen.tolist() == [False, True] and scaler.std.tolist() == [1, 1] and scaler.mean.tolist() == [0, 5]
    with pytest.raises(ModtsError, match="Unknown scaling 'robust'; choose one of: plain, winsorised"):
        Scaler.fit(X, "robust")


@pytest.mark.parametrize("scaling, edge", [("plain", None), ("winsorised", 6.0)])
def test_the_scaling_is_saved_with_a_backbone(tmp_path, scaling, edge):
    cohort = tiny(n=60)
    backbone = build("GRU-D", cohort, scaling=scaling)
    assert backbone.scaler.edge == edge
    path = backbone.save(tmp_path / "b.safetensors")
    again = load_backbone(path)
    assert again.scaler.edge == edge and again.card["edge"] == edge
    X = cohort.X.copy()
    X[0, 0, 0] = 1e4
    if edge:
        assert backbone.tensor(X)[0, 0, 0] == 6
    np.testing.assert_array_equal(backbone.latents(X), again.latents(X))
    filled = again.impute(X)
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])  # observed values stay as they are, cut or not


@pytest.mark.parametrize("edge", [0, -3.0, True, "six", float("inf")])
def test_an_impossible_edge_on_a_card_is_refused(edge):
    from modts.backbones import card

    cohort = tiny(n=60)
    about = card.describe(build("GRU-D", cohort)) | {"edge": edge}
    with pytest.raises(ModtsError, match="'edge' on its card must be null, or a number above 0"):
        card.check(about, [10**6])
