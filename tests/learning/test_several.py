"""Several classes, several labels, a yes or no at every step: losses, weights, heads, whole networks, baselines, scores, and an answer."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from outcome_fixture import NAMES, SEVERAL, asked
from sklearn import metrics as theirs

import modts
from modts.backbones import SIX, build
from modts.errors import ModtsError
from modts.learning import (
    HEADS,
    PREDICTORS,
    Labels,
    Setting,
    Training,
    accuracy,
    adapt,
    answer,
    auprc,
    auroc,
    brier,
    contrasts,
    fit_predict,
    labels,
    reliability,
    score,
    scores,
    train_heads,
)
from modts.learning.heads import Head, task_loss
from modts.learning.sweep import _gradient, _groups, _joined, _layers

EACH = pytest.mark.parametrize("task", SEVERAL)
WEIGHTS = pytest.mark.parametrize("weight", [None, "balanced"])


@pytest.fixture(scope="module")
def cohorts():
    return {task: asked(task, n=160) for task in SEVERAL}


def latents_of(cohort, pooling="mean+max+last"):
    backbone = build("GRU-D", cohort, seed=0)
    return backbone, {name: backbone.latents(cohort.part(name)[0], pooling) for name in cohort.splits}


# --- losses and weights ---------------------------------------------------------------------------------------------


def random(task, n=40, k=3, seed=0):
    rng = np.random.default_rng(seed)
    if task in ("classification", "multiclass"):
        kinds = 2 if task == "classification" else k
        return Labels(
            task, np.r_[np.arange(kinds), rng.integers(0, kinds, n - kinds)], tuple("abc"[:k]) if kinds > 2 else ()
        )
    y = (rng.random((n, k)) < 0.3).astype(np.float32)
    y[:2] = [[0] * k, [1] * k]
    y[rng.random((n, k)) < 0.2] = np.nan
    return Labels(task, y, tuple("abc"[:k]) if task == "multilabel" else ())


@EACH
def test_a_loss_is_the_mean_over_what_is_known(task):
    labels = random(task)
    output, y = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)), torch.from_numpy(labels.y)
    p = answer(task, output).double().numpy()
    if task == "multiclass":
        wanted = -np.log(p[np.arange(40), labels.y])
    else:
        wanted = -np.where(labels.y == 1, np.log(p), np.log(1 - p))[labels.seen]
    assert task_loss(task, output, y).item() == pytest.approx(wanted.mean(), rel=1e-5)
    assert np.allclose(p.sum(1), 1) == (task == "multiclass")
    one = torch.ones(labels.y.shape)
    assert task_loss(task, output, y, one).item() == pytest.approx(wanted.mean(), rel=1e-5)


@pytest.mark.parametrize("task", ["classification", *SEVERAL])
def test_balanced_weights_make_the_classes_count_alike(task):
    labels = replace(random(task), class_weight="balanced")
    weight = labels.weights()
    assert weight.shape == labels.y.shape and weight.dtype == np.float32
    columns = labels.y.T if task == "multilabel" else [labels.y.ravel()]
    for y, w in zip(columns, weight.T if task == "multilabel" else [weight.ravel()], strict=True):
        known = ~np.isnan(y)
        sums = [w[y == c].sum() for c in np.unique(y[known])]
        assert np.ptp(sums) < 1e-3 * sums[0] and w[known].mean() == pytest.approx(1, abs=1e-5)
    from sklearn.utils.class_weight import compute_sample_weight

    if task in ("classification", "multiclass"):
        np.testing.assert_allclose(weight, compute_sample_weight("balanced", labels.y), rtol=1e-5)
    given = replace(labels, class_weight={"b": 3.0} if task == "multiclass" else {1: 3, 0: 1})
    there = np.where(labels.y == 1, given.weights(), np.nan).reshape(len(labels.y), -1)
    other = np.where(labels.y == 0, given.weights(), np.nan).reshape(len(labels.y), -1)
    np.testing.assert_allclose(np.nanmean(there, 0) / np.nanmean(other, 0), 3, rtol=1e-5)
    rows = np.arange(25) + 10
    np.testing.assert_array_equal(labels.weights(rows), labels.take(rows).weights())


@pytest.mark.parametrize(
    "given, sentence",
    [
        ("equal", "must be None, 'balanced' or a dictionary"),
        (2.0, "must be None, 'balanced' or a dictionary"),
        ({"d": 1}, "names a class 'd' that there is not; the classes: a, b, c"),
        ({"a": 0}, "must be a number above 0, not 0"),
        ({"a": "x"}, "must be a number above 0, not 'x'"),
        ({"a": True}, "must be a number above 0"),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(given, sentence):
    with pytest.raises(ModtsError, match=sentence):
        replace(random("multiclass"), class_weight=given).weights()
    with pytest.raises(ModtsError, match="has numbers to predict"):
        labels(tiny(task="regression"), class_weight="balanced")


# --- heads ----------------------------------------------------------------------------------------------------------


@EACH
@WEIGHTS
@pytest.mark.parametrize("kind", HEADS)
def test_the_gradient_of_a_sweep_is_autograds(task, weight, kind):
    labels = replace(random(task), class_weight=weight)
    Z = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
    heads = [Head(kind, 6, 3, seed=seed) for seed in range(4)]
    rows = [np.arange(20), np.arange(20) + 15]
    flat = torch.stack([torch.cat([_joined(layer).flatten() for layer in head.linears()]) for head in heads]).detach()
    settings = [Setting(rows[i // 2], 1e-2) for i in range(4)]
    Z1 = torch.nn.functional.pad(Z, (0, 1), value=1.0)
    order, ((_, *group),) = _groups(settings, Z1, torch.from_numpy(labels.columns()), labels)
    assert order.tolist() == [0, 1, 2, 3]
    got = _layers(heads[0], _gradient(_layers(heads[0], flat), *group, task))
    for i, head in enumerate(heads):
        at, w = rows[i // 2], labels.weights(rows[i // 2])
        y = torch.from_numpy(labels.y[at])
        task_loss(task, head(Z[at]), y, None if w is None else torch.from_numpy(w)).backward()
        for ours, layer in zip(got, head.linears(), strict=True):
            torch.testing.assert_close(ours[i, :, :-1], layer.weight.grad, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(ours[i, :, -1], layer.bias.grad, rtol=1e-4, atol=1e-6)


@EACH
@WEIGHTS
def test_a_head_learns_it_alone_and_in_a_sweep_and_answers(cohorts, task, weight, tmp_path):
    cohort = cohorts[task]
    backbone, Z = latents_of(cohort)
    targets, scaler = labels(cohort, class_weight=weight)
    rows, shape = np.arange(len(Z["train"])), (len(Z["test"]), targets["train"].n_outputs)
    assert scaler is None and shape[1] == {"multiclass": 3, "multilabel": 2, "stepwise": 6}[task]
    setting = Training(epochs=40, lr=1e-2, patience=40)
    alone = adapt("frozen", "simple", targets, rows, latents=Z, training=setting)
    ((head, history),) = train_heads("simple", Z, targets, [Setting(rows, 1e-2)], epochs=40, patience=40)
    assert alone.prediction.shape == shape and alone.prediction.min() >= 0 and alone.prediction.max() <= 1
    assert history.validation == pytest.approx(alone.history.validation, abs=0.02)
    y, seen = targets["test"].y, targets["test"].seen
    found = score(task, np.nan_to_num(y), alone.prediction, seen, n_boot=50)
    assert found["auroc"][0] > 0.7 and found["auroc"][1] <= found["auroc"][0] <= found["auroc"][2]
    predictor = modts.Predictor(backbone, alone.model, "mean+max+last", task=task, classes=cohort.classes)
    X = cohort.part("test")[0]
    np.testing.assert_allclose(predictor.predict(X), alone.prediction, atol=1e-5)
    again = modts.load_predictor(predictor.save(tmp_path / "p.safetensors"))
    np.testing.assert_allclose(again.predict(X), alone.prediction, atol=1e-5)
    assert (again.task, again.classes) == (task, cohort.classes) and again.card["classes"] == list(cohort.classes)


def test_a_balanced_head_says_yes_more_often(cohorts):
    cohort = cohorts["stepwise"]
    _, Z = latents_of(cohort)
    yes = []
    for weight in (None, "balanced", {1: 10}):
        targets, _ = labels(cohort, class_weight=weight)
        rows = np.arange(len(Z["train"]))
        training = Training(epochs=30, lr=1e-2, patience=30)
        yes.append(adapt("frozen", "simple", targets, rows, latents=Z, training=training).prediction.mean())
    assert yes[0] < yes[1] < yes[2]


@EACH
@pytest.mark.parametrize("arm", ["finetune", "e2e", "e2e_shipped"])
def test_whole_networks(cohorts, task, arm):
    cohort = cohorts[task]
    targets, _ = labels(cohort, class_weight="balanced")
    windows = {name: cohort.part(name)[0] for name in cohort.splits}
    given = dict(backbone=build("GRU-D", cohort, seed=0), windows=windows, training=Training(epochs=1, batch_size=32))
    rows = np.arange(len(windows["train"]))
    if arm == "e2e_shipped" and task != "multiclass":
        with pytest.raises(ModtsError, match=f"ships no end-to-end {task} model"):
            adapt(arm, "simple", targets, rows, **given)
        return
    done = adapt(arm, "simple", targets, rows, **given)
    assert done.prediction.shape == (len(windows["test"]), targets["train"].n_outputs)
    assert np.isfinite(done.prediction).all()
    assert np.allclose(done.prediction.sum(1), 1, atol=1e-5) == (task == "multiclass")


@pytest.mark.parametrize("name", SIX)
def test_pypots_classifiers_know_three_classes_and_their_weights(cohorts, name):
    cohort = cohorts["multiclass"]
    windows = {part: cohort.part(part)[0][:40] for part in cohort.splits}
    predictions = []
    for weight in (None, {"high": 50.0}):
        targets = {part: value.take(slice(0, 40)) for part, value in labels(cohort, class_weight=weight)[0].items()}
        given = dict(backbone=build(name, cohort, seed=0), windows=windows, training=Training(epochs=2, lr=1e-2))
        predictions.append(adapt("e2e_shipped", "", targets, np.arange(40), **given).prediction)
    assert predictions[0].shape == (len(windows["test"]), 3) and np.allclose(predictions[0].sum(1), 1, atol=1e-5)
    assert predictions[1][:, 2].mean() > predictions[0][:, 2].mean()


# --- baselines ------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("name", ["LightGBM", "Logistic regression"])
def test_baselines_answer_and_learn(cohorts, task, name):
    assert name in PREDICTORS[task]
    cohort, record = cohorts[task], {}
    p = fit_predict(name, cohort, cohort.labelled(1.0, 0), record=record)
    y = cohort.part("test")[1]
    assert p.shape == (len(y), {"multiclass": 3, "multilabel": 2, "stepwise": 6}[task])
    assert auroc(y, p, task=task) > 0.7 and 0.5 < record["validation"] <= 1
    assert np.array_equal(p, fit_predict(name, cohort, cohort.labelled(1.0, 0)))
    more = fit_predict(
        name, cohort, cohort.labelled(1.0, 0), class_weight={NAMES[task][2] if task == "multiclass" else 1: 20}
    )
    assert more[..., -1].mean() > p[..., -1].mean()
    if task == "multiclass":
        rows = cohort.splits["train"][cohort.y[cohort.splits["train"]] != 2]
        with pytest.raises(ModtsError, match="labelled rows lack a class"):
            fit_predict(name, cohort, rows)


# --- scores ---------------------------------------------------------------------------------------------------------


def drawn(task, n=60, k=3, seed=0):
    labels = random(task, n, k, seed)
    rng = np.random.default_rng(seed + 1)
    p = rng.random((n, k)) + 0.5 * (labels.columns() == 1)  # they overlap
    return labels.y, p / p.sum(1, keepdims=True) if task == "multiclass" else p / 2


def test_scores_of_several_classes_are_scikit_learns():
    y, p = drawn("multiclass")
    one = np.eye(3)[y]
    assert auroc(y, p, task="multiclass") == pytest.approx(
        theirs.roc_auc_score(y, p, multi_class="ovr", average="macro")
    )
    assert auprc(y, p, task="multiclass") == pytest.approx(theirs.average_precision_score(one, p, average="macro"))
    assert accuracy(y, p) == pytest.approx(theirs.accuracy_score(y, p.argmax(1)))
    assert brier(y, p, task="multiclass") == pytest.approx(((p - one) ** 2).sum(1).mean())
    found = score("multiclass", y, p, n_boot=100, names=("a", "b", "c"))
    assert found["auroc of b"][0] == pytest.approx(theirs.roc_auc_score(y == 1, p[:, 1]))
    assert found["auroc"][0] == pytest.approx(np.mean([found[f"auroc of {name}"][0] for name in "abc"]))
    assert set(found) == {"auroc", "auprc", "accuracy", *(f"{m} of {n}" for m in ("auroc", "auprc") for n in "abc")}
    assert all(low <= value <= high for value, low, high in found.values())


def test_scores_of_several_labels_are_the_mean_of_each():
    y, p = drawn("multilabel")
    each = [theirs.roc_auc_score(y[~np.isnan(c), k], p[~np.isnan(c), k]) for k, c in enumerate(y.T)]
    assert auroc(y, p, task="multilabel") == pytest.approx(np.mean(each))
    masked = score("multilabel", np.nan_to_num(y), p, ~np.isnan(y), n_boot=50, names=("a", "b", "c"))
    assert masked["auroc"][0] == pytest.approx(np.mean(each)) and masked["auroc of c"][0] == pytest.approx(each[2])
    known = ~np.isnan(y)
    assert brier(y, p, task="multilabel") == pytest.approx(
        np.mean([((p - y)[k, i] ** 2).mean() for i, k in enumerate(known.T)])
    )


def test_scores_of_steps_are_those_of_all_known_steps_and_resample_stays():
    y, p = drawn("stepwise", n=80, k=6)
    known = ~np.isnan(y)
    assert auroc(y, p, task="stepwise") == pytest.approx(theirs.roc_auc_score(y[known], p[known]))
    assert auprc(y, p, task="stepwise") == pytest.approx(theirs.average_precision_score(y[known], p[known]))
    assert brier(y, p, task="stepwise") == pytest.approx(((p - y)[known] ** 2).mean())
    far = np.where(known, p, 0.99)  # what is not known has no say
    assert auroc(y, far, task="stepwise") == auroc(y, p, task="stepwise")
    counts = np.random.default_rng(3).integers(0, 3, (4, 80))
    got = scores.scorer("stepwise", y, p).values(counts.astype(float), ("auroc", "auprc", "brier"))
    for i, count in enumerate(counts):
        again = np.repeat(np.arange(80), count)
        assert got["auroc"][i] == pytest.approx(auroc(y[again], p[again], task="stepwise"))
        assert got["brier"][i] == pytest.approx(brier(y[again], p[again], task="stepwise"))
    # steps of a stay that are all alike tell as much as one of them: intervals of stays are wider than those of steps
    alike, guess = np.repeat(y[:, :1] == 1, 20, 1).astype(float), np.repeat(p[:, :1], 20, 1)
    value, low, high = score("stepwise", alike, guess, n_boot=300)["auroc"]
    _, low1, high1 = score("stepwise", alike[:, :1], guess[:, :1], n_boot=300)["auroc"]
    assert high - low == pytest.approx(high1 - low1, rel=0.3)


def test_memory_for_steps_is_bounded(monkeypatch):
    from modts.learning import several

    y, p = drawn("stepwise", n=80, k=6)
    whole = score("stepwise", y, p, n_boot=40)
    monkeypatch.setattr(several, "_CELLS", 1000)
    assert score("stepwise", y, p, n_boot=40) == whole


@EACH
def test_many_scores_are_the_scores(task):
    y, p = drawn(task)
    several = np.stack([p, p[::-1], np.roll(p, 1, 0)])
    seen = None if task == "multiclass" else ~np.isnan(y)
    got = scores.many(task, np.nan_to_num(y), several, seen)
    assert got == pytest.approx([auroc(y, row, task=task) for row in several])


@EACH
def test_models_are_compared(task):
    y, p = drawn(task, n=120)
    worse = np.random.default_rng(9).permutation(p)
    seen = None if task == "multiclass" else ~np.isnan(y)
    found = contrasts(task, [(np.nan_to_num(y), {"a": p, "b": worse}, seen)], {"a-b": [("a", "b")]}, n_boot=200)
    for metric in scores.METRICS[task]:
        change = found[metric]["a-b"]
        assert (
            change["low"] <= change["difference"] <= change["high"]
            and change["difference"] > 0.1
            and change["p"] < 0.05
        )


def test_blocks_are_for_steps_and_not_for_labels():
    y, p = drawn("stepwise", n=80, k=6)
    _, low, high = score("stepwise", y, p, n_boot=100, block=5)["auroc"]
    assert low < high
    with pytest.raises(ModtsError, match="not for multilabel"):
        score("multilabel", *drawn("multilabel"), block=5)


def test_reliability_of_every_probability():
    y, p = drawn("multiclass")
    curves = reliability(y, p, 4, task="multiclass")
    assert len(curves) == 3
    for c, curve in enumerate(curves):
        for name, values in reliability((y == c).astype(int), p[:, c], 4).items():
            np.testing.assert_array_equal(curve[name], values)
    y, p = drawn("multilabel")
    known = ~np.isnan(y[:, 1])
    curve = reliability(y, p, 4, task="multilabel")[1]
    np.testing.assert_array_equal(curve["n"], reliability(y[known, 1], p[known, 1], 4)["n"])
    y, p = drawn("stepwise")
    assert reliability(y, p, 5, task="stepwise")["n"].sum() == (~np.isnan(y)).sum()


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: auroc([0, 1, 1], np.full((3, 3), 1 / 3), task="multiclass"), "no label is 2"),
        (lambda: auroc([0, 1, 4], np.full((3, 3), 1 / 3), task="multiclass"), "numbers of 3 classes"),
        (lambda: auroc([0, 1], [0.5, 0.5], task="multiclass"), "have the shape"),
        (lambda: auroc(np.ones((3, 2)), np.ones((3, 2)), task="multilabel"), "need both classes"),
        (lambda: auroc(np.eye(3), np.ones((3, 2)), task="stepwise"), "both have the shape"),
        (lambda: score("stepwise", np.eye(3), np.eye(3), np.ones(3)), "mask must have the shape"),
        (lambda: brier([0, 1, 2], np.full((3, 3), 2.0), task="multiclass"), "Probabilities lie in 0 to 1"),
        (lambda: auroc([0, 1], [0, 1], task="several"), "Unknown task 'several'"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(call, sentence):
    with warnings.catch_warnings(), pytest.raises(ModtsError, match=sentence):
        warnings.simplefilter("error")
        call()


# --- the predictor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task, classes, sentence",
    [
        (None, (), "3 outputs, so its answer is no probability"),
        ("multiclass", (), "need their names"),
        ("multiclass", ("a", "b"), "has 3 outputs, but there are 2 classes"),
        ("multilabel", ("a", "b", "a"), "need their names"),
        ("stepwise", ("a", "b", "c"), "classes cannot be"),
        ("regression", (), "A target scaler belongs to a regression"),
        ("imputation", (), "A target scaler belongs to a regression"),
        ("several", (), "Unknown task 'several'"),
    ],
)
def test_a_predictor_refuses_a_task_that_does_not_fit(cohorts, task, classes, sentence):
    backbone = build("GRU-D", cohorts["multiclass"], seed=0)
    with pytest.raises(ModtsError, match=sentence):
        modts.Predictor(backbone, Head("simple", 64, 3), task=task, classes=classes)


def test_a_file_of_before_still_answers(cohorts, tmp_path, monkeypatch):
    from modts.serving import saved

    cohort, write = cohorts["multiclass"], saved.write_model
    predictor = modts.Predictor(build("GRU-D", cohort, seed=0), Head("simple", 64, 1))

    def older(path, card, *rest):
        return write(path, {k: v for k, v in card.items() if k not in ("task", "classes")}, *rest)

    monkeypatch.setattr(saved, "write_model", older)
    again = modts.load_predictor(predictor.save(tmp_path / "p.safetensors", classes=["alive", "dead"]))
    assert again.task == "classification" and again.classes == ()
    np.testing.assert_allclose(again.predict(cohort.X[:3]), predictor.predict(cohort.X[:3]), atol=1e-6)
