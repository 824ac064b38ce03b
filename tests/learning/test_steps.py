"""Pooling `steps`: a latent for every step, one head for all of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

import modts
from modts.backbones import BACKBONES, build
from modts.errors import ModtsError
from modts.learning import Labels, Setting, Training, adapt, labels, train_heads
from modts.learning.heads import HEADS, Head
from modts.serving import Predictor
from modts.sklearn import ImputerLatents, ModularClassifier, ModularRegressor

T = 6
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def air():
    return tiny(n=80, steps=T, features=5, task="regression")


@pytest.fixture(scope="module")
def icu():
    return tiny(n=80, steps=T, features=5)


def latents_of(backbone, cohort):
    return {name: backbone.latents(cohort.part(name)[0], "steps") for name in SPLITS}


def warnings_at_every_step(cohort):
    """The same cohort with a yes or no at every step."""
    return replace(cohort, y=np.where(np.isnan(cohort.y), np.nan, cohort.y > np.nanmean(cohort.y)), task="stepwise")


@pytest.mark.parametrize("name", BACKBONES)
def test_a_latent_for_every_step(air, name):
    backbone, X = build(name, air), air.X[:4]
    Z = backbone.latents(X, "steps")
    assert Z.ndim == 3 and Z.shape[:2] == (4, T) and Z.dtype == np.float32 and np.isfinite(Z).all()
    assert np.ptp(Z, axis=1).max() > 1e-3  # steps differ
    mean = backbone.latents(X, "mean+max+last")[:, : Z.shape[2]]
    np.testing.assert_allclose(Z.mean(1), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["BRITS", "GRU-D"])
def test_both_directions_are_aligned_in_time(air, name):
    """A value reaches the forward states of its own step and later, and the backward states of its own step and earlier."""
    backbone, at = build(name, air).eval(), 2
    X = np.nan_to_num(air.X[:4]).astype(np.float32)
    other = X.copy()
    other[:, at] += 1.0
    moved = np.abs(backbone.latents(X, "steps") - backbone.latents(other, "steps")).max(0) > 1e-6  # (T, D)
    H = backbone.config["rnn_hidden_size"]
    assert moved[:, :H].any(1).tolist() == [step >= at for step in range(T)]
    if moved.shape[1] > H:
        assert moved[:, H:].any(1).tolist() == [step <= at for step in range(T)]


@pytest.mark.parametrize("task", ["regression", "stepwise"])
@pytest.mark.parametrize("kind", HEADS)
def test_a_sweep_is_the_same_head_trained_alone(air, kind, task):
    cohort = air if task == "regression" else warnings_at_every_step(air)
    assert np.isnan(cohort.y).any()
    latents, targets = latents_of(build("GRU-D", cohort), cohort), labels(cohort)[0]
    settings = [Setting(np.arange(n), 3e-3, decay, 1) for n in (40, 20) for decay in (0.0, 0.01)]
    for setting, (head, history) in zip(
        settings, train_heads(kind, latents, targets, settings, epochs=15, patience=15), strict=True
    ):
        training = Training(lr=setting.lr, weight_decay=setting.weight_decay, epochs=15, patience=15, seed=1)
        alone = adapt("frozen", kind, targets, setting.rows, latents=latents, training=training)
        assert history.best == pytest.approx(alone.validation, abs=2e-3)
        with torch.no_grad():
            output = head(torch.from_numpy(latents["test"]))
        assert output.shape == alone.prediction.shape == (len(latents["test"]), T)
        theirs = alone.model(torch.from_numpy(latents["test"])).detach()
        torch.testing.assert_close(output, theirs, rtol=2e-2, atol=2e-2)
        assert head.linears()[-1].out_features == 1


def test_targets_that_are_not_there_count_nowhere(air):
    latents, targets = latents_of(build("GRU-D", air), air), labels(air)[0]
    holes = np.random.default_rng(0).random(targets["train"].y.shape) < 0.5
    less = {**targets, "train": Labels("regression", np.where(holes, np.nan, targets["train"].y).astype(np.float32))}
    wrong = {**targets, "train": Labels("regression", np.where(holes, 1e6, targets["train"].y).astype(np.float32))}
    settings = [Setting(np.arange(30), 1e-2)]
    (one, _), (other, _) = (
        train_heads("simple", latents, given, settings, epochs=3, patience=3)[0] for given in (less, wrong)
    )
    assert one.layers.weight.abs().max() < 1 and not torch.allclose(one.layers.weight, other.layers.weight)


def test_a_head_finds_what_happens_at_its_own_step():
    """The target is a feature of the step: the pooled vector would have to remember all of them."""
    rng = np.random.default_rng(0)
    latents = {
        name: rng.normal(size=(n, 12, 4)).astype(np.float32) for name, n in (("train", 60), ("val", 30), ("test", 30))
    }
    targets = {name: Labels("regression", Z[:, :, 0] - Z[:, :, 2]) for name, Z in latents.items()}
    ((_, history),) = train_heads("simple", latents, targets, [Setting(np.arange(60), 1e-2)], epochs=200, patience=40)
    assert history.best < 1e-3


@pytest.mark.parametrize("arm", ["e2e", "lora"])
def test_whole_networks_read_steps_too(air, arm):
    targets, windows = labels(air)[0], {name: air.part(name)[0] for name in SPLITS}
    training = Training(epochs=6, batch_size=16, lr=3e-3)
    outcome = adapt(
        arm,
        "simple",
        targets,
        np.arange(40),
        backbone=build("BRITS", air),
        windows=windows,
        pooling="steps",
        training=training,
    )
    assert outcome.prediction.shape == (len(windows["test"]), T) and outcome.history.loss[-1] < outcome.history.loss[0]


def test_a_label_a_window_is_refused_in_a_sentence(icu):
    latents, targets = latents_of(build("GRU-D", icu), icu), labels(icu)[0]
    with pytest.raises(ModtsError, match="needs a target at each of them, .* such as 'mean\\+max\\+last'"):
        train_heads("simple", latents, targets, [Setting(np.arange(9), 1e-2)], epochs=1, patience=1)
    with pytest.raises(ModtsError, match="Pooling 'steps' has a latent for each of 6 steps"):
        adapt("frozen", "simple", targets, np.arange(9), latents=latents)
    six = Labels("multilabel", np.zeros((len(latents["train"]), T)), tuple("abcdef"))  # as many labels as steps
    with pytest.raises(ModtsError, match="are of whole windows"):
        Head.reading(latents["train"], "simple", six)
    with pytest.raises(ModtsError, match="whole windows"):
        ModularClassifier("GRU-D", pooling="steps", epochs=1, head_epochs=1).fit(icu.X, icu.y)


def test_a_predictor_answers_at_every_step_and_comes_back_from_its_file(air, tmp_path):
    backbone, (targets, scaler), X = build("BRITS", air), labels(air), air.part("test")[0]
    latents = latents_of(backbone, air)
    ((head, _),) = train_heads("simple", latents, targets, [Setting(np.arange(40), 1e-2)], epochs=5, patience=5)
    predictor = Predictor(backbone, head, "steps", scaler, trace=1)
    answer = predictor.predict(X)
    with torch.no_grad():
        expected = scaler.inverse(head(torch.from_numpy(latents["test"])).numpy()[..., None])[..., 0]
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(predictor.predict(X[:1]), answer[:1], rtol=1e-4, atol=1e-4)
    again = modts.load_predictor(predictor.save(tmp_path / "p.safetensors"))
    assert again.pooling == "steps"
    np.testing.assert_allclose(again.predict(X), answer, rtol=1e-5, atol=1e-5)
    with pytest.raises(ModtsError, match="classification asks once a window"):
        Predictor(backbone, head, "steps")
    with pytest.raises(ModtsError, match="has 6 outputs, but with pooling 'steps' it needs one"):
        Predictor(backbone, Head("simple", latents["train"].shape[2], T), "steps", scaler)


def test_latents_of_steps_stream(air, tmp_path):
    backbone, target = build("GRU-D", air), tmp_path / "Z.npy"
    np.save(tmp_path / "X.npy", air.X)
    assert modts.stream(backbone, tmp_path / "X.npy", target, "steps", batch_size=16) == (80, T, 64)
    np.testing.assert_allclose(np.load(target), backbone.latents(air.X, "steps"), rtol=1e-5, atol=1e-6)


def test_scikit_learn_answers_at_every_step(air, tmp_path):
    y = np.where(np.isnan(air.y), np.nanmean(air.y), air.y)
    model = ModularRegressor("GRU-D", pooling="steps", epochs=1, head_epochs=20).fit(air.X, y)
    assert model.predict(air.X).shape == y.shape
    again = modts.load_predictor(model.save(tmp_path / "m.safetensors"))
    np.testing.assert_allclose(again.predict(air.X), model.predict(air.X), rtol=1e-5, atol=1e-5)
    with pytest.raises(ModtsError, match="a transformer gives one vector"):
        ImputerLatents("GRU-D", pooling="steps", epochs=1).fit(air.X)
