"""Each window centred on the mean of what is visible in it: no hidden value enters, a window has one answer, the level comes back."""

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

import modts
from modts import load_backbone
from modts.backbones import BACKBONES, POOLINGS, build, from_pypots
from modts.backbones.inputs import level
from modts.errors import ModtsError
from modts.learning import Training, adapt, labels, pretrain

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def cohort():
    return tiny(n=80, steps=8, features=5)


@pytest.fixture(scope="module")
def centred(cohort):
    return {name: build(name, cohort, centre=True).eval() for name in BACKBONES}


def shares(X, seed=0, share=0.3):
    """The same windows with more values hidden."""
    hidden = X.copy()
    hidden[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return hidden


def test_the_level_is_the_mean_of_what_is_visible_shrunk_to_the_training_mean():
    nan = float("nan")
    Z = torch.tensor([[[1.0, nan], [3.0, nan], [nan, nan]], [[nan, 6.0], [nan, nan], [nan, nan]]])
    torch.testing.assert_close(level(Z), torch.tensor([[4 / 2.5, 0.0], [0.0, 4.0]]))


@pytest.mark.parametrize("name", BACKBONES)
def test_the_module_reads_deviations_and_its_imputation_gets_the_level_back(cohort, centred, name):
    backbone = centred[name]
    plain = build(name, cohort).eval()
    plain.load_state_dict(backbone.state_dict())
    Z = backbone.tensor(cohort.X[:6])
    height = level(Z)
    with torch.no_grad():
        wanted = plain.run(plain.inputs(Z - height[:, None]))[0]
        results, states = backbone.run(backbone.inputs(Z))
    if backbone.row.imputes:
        moved = wanted["imputation"] + height[:, None]
        torch.testing.assert_close(results["imputation"], moved, rtol=0, atol=1e-6)
    assert all(torch.isfinite(state).all() for state in states)
    for pooling in POOLINGS:
        short, long = plain.latents(cohort.X[:6], pooling), backbone.latents(cohort.X[:6], pooling)
        assert long.shape[-1] == short.shape[-1] + 5
        wanted = height if long.ndim == 2 else height[:, None].expand(-1, 8, -1)
        np.testing.assert_allclose(long[..., -5:], wanted, atol=1e-6)


@pytest.mark.parametrize("name", BACKBONES)
def test_no_hidden_value_enters(cohort, centred, name):
    """With other hidden values the imputation and the states are the same bits; so are they in training, beside the truth for the loss."""
    backbone, Z = centred[name], centred[name].tensor(cohort.X[:8])
    hidden = backbone.tensor(shares(cohort.X[:8]))
    other = torch.where(torch.isnan(hidden), Z + 50.0, Z)
    for training in (False, True):
        backbone.train(training)
        made = []
        for truth in (Z, other):
            torch.manual_seed(0)
            results, states = backbone.run(backbone.inputs(hidden, truth))
            made.append([*([results["imputation"]] if backbone.row.imputes else []), *states])
        assert all(torch.equal(*pair) for pair in zip(*made, strict=True))
    backbone.eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_no_gradient_reaches_a_hidden_value_but_by_the_loss(cohort, centred, name):
    backbone = centred[name]
    truth = torch.nan_to_num(backbone.tensor(cohort.X[:4])).requires_grad_()
    hidden = backbone.tensor(shares(cohort.X[:4]))
    results, states = backbone.run(backbone.inputs(hidden, truth))
    total = sum(state.sum() for state in (*states, results.get("imputation", states[0])))
    if total.requires_grad:
        (gradient,) = torch.autograd.grad(total, truth, allow_unused=True)
        assert gradient is None or not gradient.any()


@pytest.mark.parametrize("name", BACKBONES)
def test_one_window_has_one_answer(cohort, centred, name):
    backbone, X = centred[name], shares(cohort.X[:10])
    X[3] = np.nan
    X[3, 2, 1] = cohort.X[~np.isnan(cohort.X)][0]
    whole, alone = backbone.latents(X), np.concatenate([backbone.latents(X[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(whole, alone, atol=2e-5)
    if not backbone.row.imputes:
        return
    filled = np.concatenate([backbone.impute(X[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(backbone.impute(X), filled, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])


def test_a_level_that_was_never_seen_moves_the_imputation_with_it():
    """Windows of waves, trained at a level of zero; at a level of four a centred imputer errs as before, a plain one much more."""
    rng, step = np.random.default_rng(0), np.arange(12)[:, None]
    X = np.sin(rng.uniform(0, 6, (300, 1, 1)) + step / 2 + np.arange(3)) + 0.05 * rng.normal(size=(300, 12, 3))
    cohort = modts.cohort_from_arrays(X.astype(np.float32))
    (train, _), (val, _) = cohort.part("train"), cohort.part("val")
    error = {}
    for centre in (False, True):
        backbone = build("GRU-D", cohort, centre=centre, config={"rnn_hidden_size": 32})
        pretrain(backbone, train, val, epochs=12, batch_size=16, lr=1e-2, progress=None)
        for moved in (0.0, 2.0):
            hidden = shares(val + moved, share=0.2)
            away = np.abs(backbone.impute(hidden) - (val + moved))[np.isnan(hidden)]
            error[centre, moved] = away.mean()
    assert error[True, 2.0] < 1.3 * error[True, 0.0] and error[True, 2.0] < 0.7 * error[False, 2.0], error


def test_it_is_saved_predicted_streamed_and_traced(cohort, tmp_path):
    backbone = build("SAITS", cohort, centre=True, scaling="winsorised")
    pretrain(backbone, cohort.part("train")[0], cohort.part("val")[0], epochs=1, progress=None)
    again = load_backbone(backbone.save(tmp_path / "b.safetensors"))
    assert again.centre is True and again.card["centre"] is True
    Z = backbone.latents(cohort.X)
    np.testing.assert_array_equal(again.latents(cohort.X), Z)
    np.save(tmp_path / "x.npy", cohort.X)
    modts.stream(again, tmp_path / "x.npy", tmp_path / "z.npy")
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), Z, atol=1e-6)
    head = modts.Head("simple", Z.shape[1], 1, seed=0).standardise(Z)
    wanted = modts.Predictor(backbone, head).predict(cohort.X)
    np.testing.assert_allclose(modts.Predictor(backbone, head, trace=4).predict(cohort.X[:3]), wanted[:3], atol=1e-5)
    saved = modts.Predictor(backbone, head).save(tmp_path / "p.safetensors")
    np.testing.assert_array_equal(modts.load_predictor(saved).predict(cohort.X), wanted)


@pytest.mark.parametrize("arm", ["finetune", "e2e", "e2e_shipped"])
def test_whole_networks_train_on_centred_windows_and_the_shipped_classifier_sees_values_as_they_are(cohort, arm):
    windows = {name: cohort.part(name)[0] for name in SPLITS}
    given = {"backbone": build("GRU-D", cohort, centre=True), "windows": windows}
    outcome = adapt(
        arm, "simple", labels(cohort)[0], np.arange(50), **given, training=Training(epochs=1, batch_size=16)
    )
    assert np.isfinite(outcome.prediction).all()
    if arm == "e2e_shipped":
        Z = given["backbone"].tensor(cohort.X[:3])
        assert torch.equal(outcome.model.inputs(Z)["X"], torch.nan_to_num(Z))


def test_pypots_has_no_such_thing(cohort, centred):
    with pytest.raises(ModtsError, match="centres each window before it is read, which PyPOTS does not"):
        centred["SAITS"].to_pypots()
    back = from_pypots(build("SAITS", cohort).to_pypots(), cohort)
    assert back.centre is False and back.scaler.edge is None


def test_older_cards_and_mistakes(cohort):
    from modts.backbones import card, checkpoint

    backbone = build("GRU-D", cohort)
    about = card.describe(backbone)
    old = {name: value for name, value in about.items() if name not in ("centre", "edge")}
    assert checkpoint.unpack(old, checkpoint.pack(backbone), "old").centre is False
    with pytest.raises(ModtsError, match="'centre' on its card must be true or false"):
        card.check(about | {"centre": "yes"}, [10**6])
    with pytest.raises(ModtsError, match="`centre` must be True or False, not 'yes'"):
        build("GRU-D", cohort, centre="yes")
