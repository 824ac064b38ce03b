"""The backbones: they build, train, fill gaps, and come back from one checkpoint file with the same latents."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from core_fixture import places, tiny, unnoticed_flips  # noqa: F401

from modts.backbones import BACKBONES, Backbone, Scaler, build, live, load_backbone, options_of, pypots, sizes
from modts.errors import ModtsError
from modts.learning import Head, pretrain

STEPS, FEATURES = 8, 5
WIDTH = {"BRITS": 128, "GRU-D": 64, "SAITS": 64, "CSAI": 128, "TimesNet": STEPS * 32, "Autoformer": 64}
WIDTH |= {"HELIX": FEATURES * 32, "TS2Vec": 64}
STATES = {"BRITS": 128, "GRU-D": 64, "SAITS": 64, "CSAI": 128, "TimesNet": 32, "Autoformer": 64}
STATES |= {"HELIX": FEATURES * 32, "TS2Vec": 64}
EACH = pytest.mark.parametrize("name", BACKBONES)
IMPUTING = [name for name, row in BACKBONES.items() if row.imputes]


@pytest.fixture(scope="module")
def cohort():
    return tiny(steps=STEPS, features=FEATURES)


@pytest.fixture(scope="module")
def made(cohort):
    """One untrained backbone of each kind, never changed by a test."""
    return {name: build(name, cohort, seed=0).eval() for name in BACKBONES}


@pytest.fixture
def checkpoint(made, tmp_path):
    return made["GRU-D"].save(tmp_path / "b.safetensors", cohort="tiny", validation_mae=0.5)


# --- what they do ---------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("pooling", ["paper", "mean+max+last"])
def test_latents_have_the_stated_width(made, cohort, name, pooling):
    X = cohort.X[:9]
    Z = made[name].latents(X, pooling)
    assert Z.shape == (9, WIDTH[name] if pooling == "paper" else 3 * STATES[name] + FEATURES)
    assert Z.dtype == np.float32 and np.isfinite(Z).all()
    assert np.ptp(Z, axis=0).max() > 1e-3  # they differ from stay to stay


@EACH
def test_latents_read_the_values_and_repeat_bit_for_bit(made, cohort, name):
    X = cohort.X[:16]
    first = made[name].latents(X)
    assert np.array_equal(first, made[name].latents(X))
    other = X.copy()
    other[np.isfinite(other)] *= 1.2
    assert not np.allclose(first, made[name].latents(other), atol=1e-4)


def test_autoformer_is_read_before_its_mean_over_time_is_taken_away(made, cohort):
    """Its last layer subtracts the mean over time, so that the mean of what comes after is zero for every window."""
    backbone, caught = made["Autoformer"], []
    handle = backbone.module.output_projection.register_forward_pre_hook(lambda module, args: caught.append(args[0]))
    with torch.no_grad():
        backbone.run(backbone.inputs(backbone.tensor(cohort.X[:8])))
    handle.remove()
    latents = backbone.latents(cohort.X[:8])
    assert caught[0].mean(1).abs().max() < 1e-5 < 1e-2 < np.abs(latents).mean()


@EACH
def test_latents_of_two_windows_differ_by_more_than_rounding(made, cohort, name):
    a, b = made[name].latents(cohort.X[[0, 1]])
    assert np.abs(a - b).max() > 1e-3


def test_rates_of_observation_stand_at_the_end_of_the_wide_pooling(made, cohort):
    X = cohort.X[:6]
    Z = made["GRU-D"].latents(X, "mean+max+last")
    np.testing.assert_allclose(Z[:, -FEATURES:], (~np.isnan(X)).mean(1), atol=1e-6)


def test_recurrent_latents_are_the_final_states(made, cohort):
    backbone = made["BRITS"]
    Z = backbone.tensor(cohort.X[:4])
    with torch.no_grad():
        _, (forward, backward) = backbone.run(backbone.inputs(Z))
    assert forward.shape == (4, STEPS, 64)
    np.testing.assert_array_equal(
        backbone.latents(cohort.X[:4]), torch.cat([forward[:, -1], backward[:, -1]], 1).numpy()
    )
    # the backward state has read the first step last: a change there moves it more than a change at the last step
    early, late = Z.clone(), Z.clone()
    early[:, 0], late[:, -1] = 3.0, 3.0
    with torch.no_grad():
        move = [(backbone.run(backbone.inputs(z))[1][1][:, -1] - backward[:, -1]).abs().sum() for z in (early, late)]
    assert move[0] > move[1]


@EACH
def test_gradients_reach_the_backbone_through_the_latents(cohort, name):
    backbone = build(name, cohort, seed=0).train()
    latent = live(backbone, backbone.tensor(cohort.X[:8]), "paper")[1]
    Head("simple", latent.shape[1], 1)(latent).sum().backward()
    reached = [n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert len(reached) >= 4, reached


@EACH
def test_the_loss_falls(cohort, name):
    backbone = build(name, cohort, seed=0)
    history = pretrain(
        backbone, cohort.part("train")[0], cohort.part("val")[0], epochs=4, batch_size=16, lr=3e-3, seed=0
    )
    assert min(history.loss[1:]) < history.loss[0]
    assert history.best == min(history.validation)


@pytest.mark.parametrize("name", IMPUTING)
def test_imputation_fills_every_gap_and_leaves_observed_values(made, cohort, name):
    X = cohort.X[:10].copy()
    X[0, 3] = 0.0123  # a value that does not survive the way to z-scores and back
    filled = made[name].impute(X)
    assert filled.shape == X.shape and np.isfinite(filled).all()
    seen = ~np.isnan(X)
    np.testing.assert_array_equal(filled[seen], X[seen])
    # gaps come back in raw units, not in z-scores: the mean arterial pressure is somewhere near 80
    assert abs(filled[..., 1][~seen[..., 1]] - made[name].scaler.mean[1]).max() < 6 * made[name].scaler.std[1]
    assert filled[..., 1][~seen[..., 1]].min() > 20


@EACH
def test_one_window_alone_is_enough(made, cohort, name):
    X = cohort.X[:1]
    assert made[name].latents(X).shape == (1, WIDTH[name])
    assert name not in IMPUTING or np.isfinite(made[name].impute(X)).all()


@pytest.mark.parametrize(
    "option, value", [("last_obs", "zero"), ("last_observation", "mean"), ("attention_over", "time")]
)
def test_an_option_that_a_backbone_does_not_have_is_refused(cohort, option, value):
    with pytest.raises(ModtsError, match="GRU-D has no option|Unknown value of GRU-D's option 'last_observation'"):
        build("GRU-D", cohort, options={option: value})


def test_a_checkpoint_of_before_the_readings_answers_as_it_did(cohort, tmp_path):
    for name, shipped in (("CSAI", {"attention_over": "batch"}), ("TimesNet", {"periods": "batch"})):
        old = build(name, cohort, options=shipped, seed=0)
        old.options = {}  # what such a card says
        assert load_backbone(old.save(tmp_path / f"{name}.safetensors")).options == shipped


@EACH
def test_seeds_decide_the_weights_and_nothing_else_does(cohort, name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build(name, cohort, seed=1).weights_hash()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert build(name, cohort, seed=1).weights_hash() == first != build(name, cohort, seed=2).weights_hash()


@EACH
def test_published_sizes_fit_the_constructor(name):
    assert set(sizes(name, "paper", "physionet_2012")) == set(sizes(name, "small"))


@pytest.mark.parametrize("data", ["physionet_2012", "physionet_2019", "beijing_air", "italy_air", "ett_h1", "traffic"])
def test_the_published_saits_is_the_one_that_pypots_builds(data):
    settings = sizes("SAITS", "paper", data)
    theirs = pypots("imputation.saits").SAITS(
        n_steps=48, n_features=35, batch_size=2, epochs=1, device="cpu", verbose=False, **settings | {"d_model": 64}
    )
    assert theirs.d_model == settings["d_model"]  # named 64 in the published settings, and reset
    if data == "physionet_2012":  # the size that TSI-Bench's runs print
        assert sum(p.numel() for p in theirs.model.parameters()) == 44_295_342


@pytest.mark.parametrize(
    ("data", "steps", "features", "parameters"),
    [
        ("physionet_2012", 48, 35, 454_867),
        ("beijing_air", 24, 132, 4_615_311),
        ("italy_air", 12, 13, 77_341),
        ("ett_h1", 48, 7, 803_451),
        ("traffic", 24, 862, 24_008_809),
    ],
)
def test_the_published_helix_has_the_published_number_of_parameters(data, steps, features, parameters):
    """As its repository's results print it."""
    with torch.device("meta"):
        theirs = pypots("imputation.helix").HELIX
        made = theirs(n_steps=steps, n_features=features, device="meta", verbose=False, **sizes("HELIX", "paper", data))
    assert sum(p.numel() for p in made.model.parameters()) == parameters


def test_helix_has_a_state_for_each_feature(made, cohort):
    """Side by side in the order of the features: a feature's own values move its own part most."""
    X = cohort.X[:1].copy()
    X[np.isnan(X)] = np.broadcast_to(made["HELIX"].scaler.mean, X.shape)[np.isnan(X)]
    start = made["HELIX"].latents(X).reshape(FEATURES, -1)
    for f in range(FEATURES):
        moved = X.copy()
        moved[:, :, f] += 2 * made["HELIX"].scaler.std[f]
        away = np.abs(made["HELIX"].latents(moved).reshape(FEATURES, -1) - start).sum(1)
        assert away.argmax() == f


# --- scaler ---------------------------------------------------------------------------------------------------------


def test_the_scaler_knows_the_training_split_only(cohort):
    scaler = build("GRU-D", cohort).scaler
    rows = cohort.splits["train"]
    for f in range(FEATURES):
        values = cohort.X[rows, :, f].astype(np.float64)
        assert scaler.mean[f] == pytest.approx(np.nanmean(values), rel=1e-5)
        assert scaler.std[f] == pytest.approx(np.nanstd(values), rel=1e-5)
    X = cohort.X.copy()
    X[np.concatenate([cohort.splits["val"], cohort.splits["test"]])] *= 100
    moved = build("GRU-D", replace(cohort, X=X)).scaler
    np.testing.assert_array_equal(moved.mean, scaler.mean)
    np.testing.assert_array_equal(moved.std, scaler.std)


def test_csai_intervals_know_the_training_split_only(cohort):
    X = cohort.X.copy()
    X[np.concatenate([cohort.splits["val"], cohort.splits["test"]])] = 1.0  # never a gap
    assert torch.equal(build("CSAI", replace(cohort, X=X)).interval, build("CSAI", cohort).interval)


def test_the_scaler_survives_constant_and_unseen_features_and_inverts():
    X = np.array([[[1.0, 5.0, np.nan], [3.0, 5.0, np.nan]]])
    scaler = Scaler.fit(X)
    assert scaler.mean.tolist() == [2, 5, 0] and scaler.std.tolist() == [1, 1, 1]
    np.testing.assert_allclose(scaler.inverse(scaler.transform(X)), X)
    with pytest.raises(ModtsError, match="no observed value"):
        Scaler.fit(np.full((2, 3, 1), np.nan))


# --- checkpoints ----------------------------------------------------------------------------------------------------


@EACH
def test_one_file_brings_back_the_same_latents(made, cohort, name, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was read or written")

    for module, function in ((torch, "load"), (torch, "save"), (pickle, "load"), (pickle, "loads"), (pickle, "dump")):
        monkeypatch.setattr(module, function, refuse)
    path = made[name].save(tmp_path / "here" / "b.safetensors", note="kept")
    moved = path.rename(tmp_path / "alone.safetensors")  # away from everything beside it
    again = load_backbone(moved)
    assert not again.training
    for pooling in ("paper", "mean+max+last"):
        assert np.array_equal(again.latents(cohort.X[:9], pooling), made[name].latents(cohort.X[:9], pooling))
    if name in IMPUTING:
        assert np.array_equal(again.impute(cohort.X[:9]), made[name].impute(cohort.X[:9]))
    assert (again.name, again.features, again.n_steps, again.config) == (
        name,
        cohort.features,
        STEPS,
        made[name].config,
    )
    assert again.card["note"] == "kept"


def test_options_and_criterion_come_back(cohort, tmp_path):
    first = build("CSAI", cohort, criterion="mae", options={"attention_over": "time"})
    again = load_backbone(first.save(tmp_path / "b.safetensors"))
    assert (again.criterion, again.options) == ("mae", {"attention_over": "time"})
    assert load_backbone(build("GRU-D", cohort).save(tmp_path / "c.safetensors")).options == options_of("GRU-D")
    assert np.array_equal(again.latents(cohort.X[:9]), first.latents(cohort.X[:9]))


def test_the_card_lies_beside_the_weights_as_json(checkpoint):
    card = json.loads(checkpoint.with_name("b.safetensors.json").read_text())
    assert card == load_backbone(checkpoint).card
    assert card["features"] == ["HR", "MAP", "RespRate", "Temp", "SaO2"] and card["validation_mae"] == 0.5


def test_a_saved_backbone_has_the_same_bytes_again(made, tmp_path):
    paths = [made["GRU-D"].save(tmp_path / f"{i}.safetensors", cohort="tiny") for i in range(3)]
    assert len({path.read_bytes() for path in paths}) == 1


def test_a_missing_checkpoint_says_how_to_make_it(tmp_path):
    with pytest.raises(ModtsError, match="There is no checkpoint .*run notebooks/pretrain.ipynb"):
        load_backbone(tmp_path / "none.safetensors")


def test_config_takes_the_place_of_single_sizes():
    assert sizes("GRU-D", config={"rnn_hidden_size": 7}) == {"rnn_hidden_size": 7}
    saits = sizes("SAITS", config={"n_heads": 2, "d_k": 8, "dropout": 0})
    assert saits["d_model"] == 16 and saits["n_layers"] == sizes("SAITS")["n_layers"]  # PyPOTS: heads x d_k
    with pytest.raises(ModtsError, match="has no argument 'd_hidden'"):
        sizes("SAITS", config={"d_hidden": 2})


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, -1])
def test_a_truncated_checkpoint_is_an_error(checkpoint, kept):
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(ModtsError, match="is damaged, or not a file of modts"):
        load_backbone(checkpoint)


def offset_of(path, tensor):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return 8 + size + json.loads(data[8 : 8 + size])[tensor]["data_offsets"][0]


@pytest.mark.parametrize("where", ["scaler.mean", "scaler.std", "module.backbone.rnn_cell.weight_ih", "interval"])
def test_a_flipped_byte_of_a_tensor_is_an_error(checkpoint, where):
    data, at = bytearray(checkpoint.read_bytes()), offset_of(checkpoint, where) + 1
    data[at] ^= 0x10
    checkpoint.write_bytes(bytes(data))
    with pytest.raises(ModtsError, match="card or scaler in|differ from the hash"):
        load_backbone(checkpoint)


def test_a_flipped_byte_anywhere_in_the_file_is_an_error(checkpoint):
    assert not unnoticed_flips(checkpoint, load_backbone, 1600, 53)


def test_a_changed_card_is_an_error(checkpoint):
    data = checkpoint.read_bytes()
    assert data.count(b"RespRate") == 1
    checkpoint.write_bytes(data.replace(b"RespRate", b"BodyTemp"))
    with pytest.raises(ModtsError, match="card or scaler in .* has changed"):
        load_backbone(checkpoint)


def test_another_safetensors_file_is_an_error(tmp_path):
    from safetensors.torch import save_file

    for i, metadata in enumerate((None, {"format": "pt"}, {"card": "{}"}, {"card": "not json"}, {"card": "[1]"})):
        path = tmp_path / f"{i}.safetensors"
        save_file({"weight": torch.zeros(3)}, str(path), metadata=metadata)
        with pytest.raises(ModtsError, match="not a file that modts wrote|not a file of modts"):
            load_backbone(path)


# --- wrong arrays ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda X: X[:, :-1], r"reads arrays of shape \(N, 8, 5\), got \(60, 7, 5\)"),
        (lambda X: X[:, :, :-1], r"\(N, 8, 5\), got \(60, 8, 4\)"),
        (lambda X: X[0], r"\(N, 8, 5\), got \(8, 5\)"),
        (lambda X: np.where(np.arange(5) == 2, np.inf, X), "infinite"),
        (lambda X: X * np.nan, "no observed value"),
        (lambda X: (X - np.nanmean(X, (0, 1))) / np.nanstd(X, (0, 1)), "scale of 'Temp' looks wrong.*raw units"),
        (lambda X: X * np.array([1, 1, 1, 1, 0.01]), "scale of 'SaO2' looks wrong"),
    ],
)
def test_wrong_arrays_are_named(made, cohort, change, says):
    for call in (made["SAITS"].latents, made["SAITS"].impute):
        with pytest.raises(ModtsError, match=says):
            call(change(cohort.X[:60]).astype(np.float32))


def test_a_wrong_feature_list_is_named(made, cohort):
    backbone, X = made["SAITS"], cohort.X[:3]
    backbone.check(X, features=cohort.features)
    swapped = ("HR", "RespRate", "MAP", "Temp", "SaO2")
    with pytest.raises(ModtsError, match="1: 'RespRate' instead of 'MAP'; 2: 'MAP' instead of 'RespRate'"):
        backbone.check(X, features=swapped)
    with pytest.raises(ModtsError, match="4 features instead of 5"):
        backbone.check(X, features=cohort.features[:4])
    for call in (backbone.latents, backbone.impute):
        with pytest.raises(ModtsError, match="feature list differs"):
            call(X, features=swapped)


def test_raw_units_pass_the_scale_check_in_every_split(made, cohort):
    for split in ("train", "val", "test"):
        made["SAITS"].check(cohort.part(split)[0])


def test_unknown_names_are_listed(cohort):
    with pytest.raises(ModtsError, match="Unknown backbone 'GRUD'; choose one of: BRITS, GRU-D"):
        build("GRUD", cohort)
    with pytest.raises(ModtsError, match="Unknown size 'large'"):
        build("SAITS", cohort, "large")
    with pytest.raises(ModtsError, match="Unknown criterion"):
        Backbone("SAITS", 8, cohort.features, Scaler.fit(cohort.X), criterion="huber")
    with pytest.raises(ModtsError, match="Unknown pooling 'max'"):
        build("GRU-D", cohort).latents(cohort.X[:2], "max")


def test_a_backbone_that_waits_for_its_seventh_row_is_built_from_it(cohort, monkeypatch):
    row = BACKBONES["GRU-D"]
    monkeypatch.setitem(BACKBONES, "Wide GRU-D", replace(row, small={"rnn_hidden_size": 96}))
    assert build("Wide GRU-D", cohort).latents(cohort.X[:3]).shape == (3, 96)
