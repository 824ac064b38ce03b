"""Raw values that lie where training's lay pass; standardised, coded and converted ones are noticed; what training never saw is ignored."""

import warnings

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

from modts.backbones import BACKBONES, Scaler, build, load_backbone
from modts.backbones.plausible import Plausible
from modts.cohorts import load_cohort
from modts.errors import ModtsError, ModtsWarning
from modts.learning import Head, pretrain
from modts.serving import Predictor

EACH = pytest.mark.parametrize("name", BACKBONES)


@pytest.fixture(scope="module")
def icu():
    return load_cohort("simulated_icu")


@pytest.fixture(scope="module")
def backbone(icu):
    return build("GRU-D", icu)


SIZES = pytest.mark.parametrize("windows", [1, 4, 120])


@SIZES
@pytest.mark.parametrize("seed", range(5))
def test_raw_windows_pass_without_a_word(backbone, icu, windows, seed):
    X, _ = icu.part("test")
    backbone.check(X[np.random.default_rng(seed).permutation(len(X))[:windows]])  # a warning would be an error


@SIZES
@pytest.mark.parametrize(
    "change",
    [
        lambda X, b: b.scaler.transform(X),
        lambda X, b: np.where(np.isnan(X), -999, X),
        lambda X, b: X * 1000 + 1e5,
        lambda X, b: X * 1e-6,
    ],
    ids=["standardised", "-999", "another scale", "near zero"],
)
def test_what_is_not_raw_is_refused_for_one_window_and_for_many(backbone, icu, windows, change):
    X = change(icu.part("test")[0][:windows], backbone)
    for call in (backbone.impute, backbone.latents):
        with pytest.raises(ModtsError, match="give raw units"):
            call(X.astype(np.float32))


@pytest.mark.parametrize("windows", [4, 120])
def test_one_variable_in_another_unit_is_named(backbone, icu, windows):
    X = icu.part("test")[0][:windows].copy()
    f = icu.features.index("Temp")
    X[..., f] = X[..., f] * 1.8 + 32  # degrees Fahrenheit
    with pytest.raises(ModtsError, match="scale of 'Temp' looks wrong"):
        backbone.check(X)
    X = icu.part("test")[0][:windows].copy()
    f = icu.features.index("Creatinine")
    X[..., f] *= 88.42  # umol/L
    with pytest.raises(ModtsError, match="scale of 'Creatinine' looks wrong"):
        backbone.check(X)


def test_a_variable_some_times_too_small_is_warned_of_by_name(backbone, icu):
    X = icu.part("test")[0].copy()
    f = icu.features.index("Glucose")
    X[..., f] /= 18  # mmol/L
    with pytest.warns(ModtsWarning, match="'Glucose' may be in another unit: mean and spread are"):
        backbone.check(X)


@pytest.mark.parametrize("windows", [1, 10, 60])
@pytest.mark.parametrize(
    "mean, std",
    [((50, 8, 6, 100), (10, 1.5, 1.2, 15)), ((0, 5, -20, 1), (100, 80, 40, 500))],
    ids=["told by the mean", "told by the spread"],
)
def test_z_scores_are_told_where_they_are_not_far_away(mean, std, windows):
    """No feature is 20 deviations away: it is what they have in common that tells."""
    scaler = Scaler(np.float32(mean), np.float32(std))
    z = torch.from_numpy(np.random.default_rng(windows).normal(size=(windows, 24, 4)).astype(np.float32))
    plausible = Plausible(scaler, tuple("abcd"))
    plausible.check(torch.from_numpy(scaler.inverse(z.numpy())))
    with pytest.raises(ModtsError, match="X looks standardised: [34] of [34] features that can tell lie near 0"):
        plausible.check(z)


def test_one_wild_value_is_not_a_wrong_unit(backbone, icu):
    X = icu.part("test")[0][:4].copy()
    X[0, 0, 0] = backbone.scaler.mean[0] + 60 * backbone.scaler.std[0]
    backbone.check(X)


def test_standardised_training_takes_standardised_windows(icu):
    """A cohort that its owner standardised is raw in its own way."""
    from dataclasses import replace

    X = (icu.X - np.nanmean(icu.X, (0, 1))) / np.nanstd(icu.X, (0, 1))
    z = replace(icu, X=X, truth=None)
    build("GRU-D", z).check(z.part("test")[0])
    with pytest.raises(ModtsError, match="scale of"):
        build("GRU-D", z).check(icu.part("test")[0])


# --- never observed in training ---------------------------------------------------------------------------------------


def unseen_cohort():
    """A cohort whose second feature has values only where it is not trained on."""
    from dataclasses import replace

    c = tiny(steps=8, features=5)
    X = c.X.copy()
    X[c.splits["train"], :, 1] = np.nan
    X[c.splits["val"], :, 1], X[c.splits["test"], :, 1] = 80.0, 95.0
    return replace(c, X=X, truth=None)


def without(X):
    X = X.copy()
    X[..., 1] = np.nan
    return X


@EACH
def test_a_feature_never_observed_in_training_disturbs_nothing(name, tmp_path):
    c = unseen_cohort()
    backbone, X = build(name, c, seed=0), c.part("test")[0]
    assert backbone.scaler.seen.tolist() == [True, False, True, True, True]
    again = load_backbone(backbone.save(tmp_path / "b.safetensors"))
    for b in (backbone, again):
        for pooling in ("paper", "mean+max+last"):
            np.testing.assert_array_equal(b.latents(X, pooling), b.latents(without(X), pooling))
        if not b.row.imputes:
            continue
        filled = b.impute(X)
        np.testing.assert_array_equal(filled[..., 1], X[..., 1])  # as it was
        holes = b.impute(without(X))
        assert np.isnan(holes[..., 1]).all()  # nothing was learnt about it
        rest = [0, 2, 3, 4]
        assert np.isfinite(holes[..., rest]).all()
        np.testing.assert_array_equal(holes[..., rest], filled[..., rest])
    head = Head("simple", backbone.latents(X).shape[1], 1).standardise(backbone.latents(X))
    for trace in (0, 1) if BACKBONES[name].kind != "convolutional" else (0,):
        predictor = Predictor(backbone, head, trace=trace)
        np.testing.assert_array_equal(predictor.predict(X[:1]), predictor.predict(without(X[:1])))


def test_it_does_not_enter_training_either():
    c = unseen_cohort()
    trained = []
    for change in (lambda X: X, without):
        backbone = build("SAITS", c, seed=0)
        pretrain(backbone, c.part("train")[0], change(c.part("val")[0]), epochs=2, seed=0)
        trained.append(backbone.weights_hash())
    assert trained[0] == trained[1]


def test_a_scaler_that_saw_everything_is_saved_as_before(tmp_path):
    from safetensors import safe_open

    backbone = build("SAITS", tiny())
    assert backbone.scaler.seen is None
    with safe_open(str(backbone.save(tmp_path / "b.safetensors")), framework="pt") as file:
        assert [name for name in file.keys() if name.startswith("scaler.")] == ["scaler.mean", "scaler.std"]


def test_the_feature_list_of_the_unseen_is_under_seal(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = build("SAITS", unseen_cohort()).save(tmp_path / "b.safetensors")
    with safe_open(str(path), framework="pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    tensors["scaler.seen"] = torch.ones(5, dtype=torch.bool)
    save_file(tensors, str(path), metadata=metadata)
    with pytest.raises(ModtsError, match="has changed"):
        load_backbone(path)


# --- masked arrays ------------------------------------------------------------------------------------------------------


def test_what_a_masked_array_hides_is_missing(backbone, icu):
    X = icu.part("test")[0][:6]
    masked = np.ma.masked_array(np.where(np.isnan(X), -999, X), np.isnan(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(backbone.latents(masked), backbone.latents(X))
        filled = backbone.impute(masked)
    assert not isinstance(filled, np.ma.MaskedArray)
    np.testing.assert_array_equal(filled, backbone.impute(X))
