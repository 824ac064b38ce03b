"""The arms: what starts pretrained, what may train, and that no test label is read anywhere on the way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

from modts.backbones import BACKBONES, SIX, build, ships_classifier
from modts.cohorts import cohort_names, load_cohort
from modts.errors import ModtsError
from modts.learning import ARMS, Labels, Shipped, Training, adapt, adaptation, batches, labels, pretrain, scores
from modts.learning.heads import STEPS, Head, task_loss

SPLITS = ("train", "val", "test")
SHORT = dict(epochs=2, patience=2, batch_size=16)


@pytest.fixture(scope="module")
def icu():
    return tiny(n=96, steps=6, features=5)


@pytest.fixture(scope="module")
def air():
    return tiny(n=80, steps=6, features=5, task="regression")


def windows(cohort):
    return {name: cohort.part(name)[0] for name in SPLITS}


def latents_of(backbone, cohort):
    return {name: backbone.latents(X) for name, X in windows(cohort).items()}


def whole(arm, cohort, backbone, head="simple", targets=None, **settings):
    targets = targets or labels(cohort)[0]
    every = np.arange(len(targets["train"].y))
    given = {"backbone": backbone, "windows": windows(cohort), "pooling": settings.pop("pooling", "paper")}
    return adapt(arm, head, targets, every, **given, training=Training(**SHORT | settings))


def on_latents(arm, cohort, latents, head="simple", targets=None, **settings):
    targets = targets or labels(cohort)[0]
    every = np.arange(len(targets["train"].y))
    return adapt(arm, head, targets, every, latents=latents, training=Training(**SHORT | settings))


# --- leaks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["simple", "complex"])
def test_frozen_means_the_same_hash_before_and_after_head_training(icu, head):
    backbone = build("GRU-D", icu, seed=0)
    before = backbone.weights_hash()
    outcome = on_latents("frozen", icu, latents_of(backbone, icu), head)
    assert backbone.weights_hash() == before
    start = Head(head, 64, 1, seed=0)
    assert not all(torch.equal(a, b) for a, b in zip(start.parameters(), outcome.model.parameters(), strict=True))
    assert {name.split(".")[0] for name in outcome.model.state_dict()} == {"mean", "std", "layers"}


def shuffled_test_labels(cohort):
    y, rows = cohort.y.copy(), cohort.splits["test"]
    y[rows] = 1 - y[rows] if cohort.task == "classification" else y[rows][::-1] + 7
    return replace(cohort, y=y)


def score(target, prediction):
    if target.task == "classification":
        return scores.auroc(target.y, prediction)
    return scores.mse(np.nan_to_num(target.y), prediction, target.seen)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_other_test_labels_change_nothing_but_the_score(task, icu, air):
    """The encoder's hash, the head's weights, the validation score, the chosen candidate and the predictions stay."""
    cohort = icu if task == "classification" else air
    found = []
    for same in (cohort, shuffled_test_labels(cohort)):
        backbone = build("GRU-D", same, seed=0)
        pretrain(backbone, same.part("train")[0], same.part("val")[0], epochs=2, batch_size=32, seed=0)
        encoder = backbone.weights_hash()
        latents = latents_of(backbone, same)
        outcomes = {lr: on_latents("frozen", same, latents, lr=lr) for lr in (1e-1, 1e-3)}
        better = max if task == "classification" else min
        chosen = better(outcomes, key=lambda lr: outcomes[lr].validation)
        tuned = whole("finetune", same, backbone)
        target = labels(same)[0]["test"]
        found.append(
            {
                "encoder": encoder,
                "chosen": chosen,
                "validation": [o.validation for o in outcomes.values()] + [tuned.validation],
                "predictions": [o.prediction.tobytes() for o in outcomes.values()] + [tuned.prediction.tobytes()],
                "tuned": backbone.weights_hash(),
                "score": score(target, outcomes[chosen].prediction),
            }
        )
    first, second = found
    assert first.pop("score") != second.pop("score")  # the labels did change
    assert first == second


@pytest.mark.parametrize("arm", ["finetune", "e2e", "e2e_shipped"])
def test_labels_outside_the_labelled_rows_are_not_read(icu, arm):
    targets, labelled = labels(icu)[0], np.arange(0, 40)
    blind = targets["train"].y.copy()
    blind[40:] = 1 - blind[40:]
    both = [
        adapt(
            arm,
            "simple",
            targets | {"train": Labels("classification", y)},
            labelled,
            windows=windows(icu),
            backbone=build("GRU-D", icu, seed=0),
            training=Training(**SHORT),
        ).prediction
        for y in (targets["train"].y, blind)
    ]
    assert np.array_equal(*both)


@pytest.mark.parametrize("name", [n for n in cohort_names() if n.startswith("simulated")])
def test_no_id_is_in_two_splits_and_no_target_among_the_features(name):
    cohort = load_cohort(name, seed=1)
    ids = [set(cohort.ids[cohort.splits[split]]) for split in SPLITS]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]
    assert sum(map(len, ids)) == cohort.n_samples
    if cohort.task == "regression":
        seen = ~np.isnan(cohort.y)
        for f in range(cohort.n_features):
            assert not np.allclose(np.nan_to_num(cohort.X[..., f])[seen], cohort.y[seen])
            both = seen & ~np.isnan(cohort.X[..., f])
            assert abs(np.corrcoef(cohort.X[..., f][both], cohort.y[both])[0, 1]) < 0.999
        assert cohort.target not in cohort.features
        assert set(build("GRU-D", cohort).features) == set(cohort.features)


def test_regression_targets_are_scaled_by_training_values_only(air):
    targets, scaler = labels(air)
    y = air.part("train")[1]
    assert scaler.mean[0] == pytest.approx(np.nanmean(y, dtype=np.float64), rel=1e-5)
    assert np.nanmean(targets["train"].y) == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(targets["test"].y * scaler.std + scaler.mean, air.part("test")[1], rtol=1e-4)
    moved, _ = labels(shuffled_test_labels(air))
    np.testing.assert_array_equal(moved["val"].y, targets["val"].y)


def test_heads_standardise_with_all_training_windows_and_no_other(icu):
    latents = latents_of(build("GRU-D", icu, seed=0), icu)
    head = on_latents("frozen", icu, latents).model
    np.testing.assert_allclose(head.mean, latents["train"].mean(0), atol=1e-5)
    np.testing.assert_allclose(head.std, np.maximum(latents["train"].std(0), 1e-4), atol=1e-5)


# --- what starts where, what trains ---------------------------------------------------------------------------------


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("arm", ["finetune", "e2e"])
def test_arms_that_train_everything_change_the_backbone(icu, name, arm):
    backbone = build(name, icu, seed=0)
    before, buffers = backbone.weights_hash(), backbone.interval.clone()
    outcome = whole(arm, icu, backbone, epochs=1)
    assert outcome.model.backbone.weights_hash() != before
    assert torch.equal(backbone.interval, buffers)
    assert outcome.prediction.shape == (len(icu.splits["test"]),)
    assert ((outcome.prediction > 0) & (outcome.prediction < 1)).all()


@pytest.mark.parametrize("name", SIX)
def test_the_shipped_classifier_trains_and_predicts(icu, name):
    backbone = build(name, icu, seed=0)
    before = backbone.weights_hash()
    start = weights(Shipped(backbone, seed=0))
    outcome = whole("e2e_shipped", icu, backbone, epochs=1, patience=1)
    assert not torch.equal(weights(outcome.model), start)
    assert backbone.weights_hash() == before  # it is a network of its own
    assert ((outcome.prediction > 0) & (outcome.prediction < 1)).all()


def test_pypots_ships_classifiers_of_the_six_alone(icu):
    assert tuple(filter(ships_classifier, BACKBONES)) == SIX and not ships_classifier("mine.py:MyImputer")
    with pytest.raises(
        ModtsError, match="ships no end-to-end classifier for HELIX, .* exists for BRITS, .*, Autoformer only"
    ):
        whole("e2e_shipped", icu, build("HELIX", icu), epochs=1)


def test_finetuning_starts_from_the_weights_it_is_given(icu):
    """With a learning rate of nearly nothing, the fine-tuned backbone is the pretrained one."""
    backbone = build("GRU-D", icu, seed=0)
    pretrain(backbone, icu.part("train")[0], icu.part("val")[0], epochs=2, batch_size=32, lr=1e-2, seed=0)
    pretrained, random = weights(backbone), weights(build("GRU-D", icu, seed=0))
    tuned = weights(whole("finetune", icu, backbone, lr=1e-7).model.backbone)
    assert (tuned - pretrained).abs().max() < 1e-5 < 1e-2 < (tuned - random).abs().max()


def test_the_table_of_arms():
    assert {arm: (a.start, a.train) for arm, a in ARMS.items()} == {
        "untrained": ("random", "head"),
        "frozen": ("pretrained", "head"),
        "norm": ("pretrained", "norm"),
        "last_block": ("pretrained", "last_block"),
        "lora": ("pretrained", "lora"),
        "finetune": ("pretrained", "all"),
        "e2e": ("random", "all"),
        "e2e_shipped": ("random", "shipped"),
    }


def test_the_reconstruction_loss_counts_in_end_to_end_training(icu):
    weak, strong = (whole("e2e", icu, build("GRU-D", icu, seed=0), auxiliary=a).prediction for a in (1e-3, 1.0))
    assert not np.array_equal(weak, strong)


@pytest.mark.parametrize("arm, batches_", [("finetune", 8), ("e2e", 8), ("e2e_shipped", 0)])
def test_every_batch_hides_other_values_and_the_shipped_classifier_none(icu, monkeypatch, arm, batches_):
    seeds, original = [], batches.hides

    def spy(X, pattern, rate, seed):
        seeds.append(seed)
        return original(X, pattern, rate, seed)

    monkeypatch.setattr(batches, "hides", spy)
    whole(arm, icu, build("GRU-D", icu, seed=0))
    assert len(seeds) == len(set(seeds)) == batches_


def test_the_shipped_classifier_gets_pypots_own_inputs(icu):
    backbone = build("GRU-D", icu, seed=0)
    Z = backbone.tensor(icu.X[:4])
    shipped, ours = Shipped(backbone, 0).inputs(Z)["X_filledLOCF"], backbone.inputs(Z)["X_filledLOCF"]
    assert torch.equal(shipped, torch.nan_to_num(Z)) and not torch.equal(shipped, ours)


@pytest.mark.parametrize("arm", ["frozen", "finetune", "e2e_shipped"])
def test_the_same_seed_gives_the_same_bits(icu, arm):
    def go(seed):
        backbone = build("GRU-D", icu, seed=0)
        if arm == "frozen":
            return on_latents(arm, icu, latents_of(backbone, icu), head="complex", seed=seed).prediction
        return whole(arm, icu, backbone, seed=seed).prediction

    torch.manual_seed(1)
    first = go(0)
    torch.manual_seed(2)
    assert np.array_equal(first, go(0)) and not np.array_equal(first, go(1))


def test_a_head_learns_what_is_there_to_learn():
    rng = np.random.default_rng(0)
    latents = {
        name: rng.normal(size=(n, 6)).astype(np.float32) * 5 + 3
        for name, n in (("train", 300), ("val", 100), ("test", 100))
    }
    straight = {name: Labels("classification", (Z[:, 0] > 3).astype(np.int64)) for name, Z in latents.items()}
    bent = {
        name: Labels("classification", ((Z[:, 0] > 3) ^ (Z[:, 1] > 3)).astype(np.int64)) for name, Z in latents.items()
    }
    auroc = {}
    for head in ("simple", "complex"):
        for problem, targets in (("straight", straight), ("bent", bent)):
            outcome = adapt(
                head=head,
                arm="frozen",
                targets=targets,
                labelled=np.arange(300),
                latents=latents,
                training=Training(lr=1e-2, epochs=30),
            )
            auroc[head, problem] = scores.auroc(targets["test"].y, outcome.prediction)
    assert auroc["simple", "straight"] > 0.97 and auroc["complex", "straight"] > 0.97
    assert auroc["complex", "bent"] > 0.9 > 0.7 > auroc["simple", "bent"]


# --- regression -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["frozen", "e2e"])
def test_regression_with_missing_targets(air, arm):
    assert np.isnan(air.y).any()
    backbone = build("GRU-D", air, seed=0)
    if arm == "frozen":
        outcome = on_latents(arm, air, latents_of(backbone, air), "complex")
    else:
        outcome = whole(arm, air, backbone)
    assert outcome.prediction.shape == (len(air.splits["test"]), 6)
    assert np.isfinite(outcome.prediction).all() and np.isfinite(outcome.validation)


def test_a_missing_target_counts_nowhere(air):
    targets = labels(air)[0]["val"]
    output = torch.from_numpy(np.random.default_rng(0).normal(size=targets.y.shape).astype(np.float32))
    moved = torch.where(torch.from_numpy(np.isnan(targets.y)), output + 100, output)
    assert np.isnan(targets.y).any()
    assert targets.validate(output) == targets.validate(moved)
    y = torch.from_numpy(targets.y)
    assert task_loss("regression", output, y) == task_loss("regression", moved, y)
    expected = np.nanmean((output.numpy() - targets.y) ** 2)
    assert (
        task_loss("regression", output, y).item()
        == pytest.approx(expected, rel=1e-5)
        == pytest.approx(targets.validate(output))
    )


def test_a_batch_without_any_target_does_not_poison_training(air):
    y = air.y.copy()
    rows = air.splits["train"]
    y[rows[:-4]] = np.nan  # nearly every batch of 4 is empty
    gappy = replace(air, y=y)
    outcome = on_latents("frozen", gappy, latents_of(build("GRU-D", gappy, seed=0), gappy), batch_size=4)
    assert np.isfinite(outcome.prediction).all()


# --- mistakes -------------------------------------------------------------------------------------------------------


def test_mistakes_are_named(air, icu):
    backbone = build("GRU-D", air, seed=0)
    with pytest.raises(
        ModtsError,
        match="no end-to-end regression model, so arm 'e2e_shipped' exists for classification and multiclass only",
    ):
        whole("e2e_shipped", air, backbone)
    with pytest.raises(ModtsError, match="Unknown arm 'fine-tune'; choose one of: untrained, frozen"):
        whole("fine-tune", air, backbone)
    with pytest.raises(ModtsError, match="Arm 'frozen' trains on extracted latents; none were given"):
        whole("frozen", air, backbone)
    with pytest.raises(ModtsError, match="Unknown head 'linear'; choose one of: simple, complex"):
        on_latents("frozen", icu, latents_of(build("GRU-D", icu, seed=0), icu), "linear")


def test_an_epoch_has_as_many_steps_whatever_the_share_of_the_labels(icu, monkeypatch):
    seen = {}

    def spy(model, step, validate, **settings):
        seen.update(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(adaptation, "fit", spy)
    targets, backbone = labels(icu)[0], build("GRU-D", icu)
    latents = {name: np.zeros((len(t.y), 3), dtype=np.float32) for name, t in targets.items()}
    training = Training(epochs=10, patience=4, batch_size=32, schedule="cosine", clip=2.0)
    for labelled, batch in ((60, 16), (6, 16)):
        rows = np.arange(labelled)
        given = {"windows": windows(icu), "training": training}
        with pytest.raises(KeyboardInterrupt):
            adapt("e2e", "simple", targets, rows, backbone=backbone, **given)
        assert (seen["epochs"], seen["patience"], seen["n"], seen["batch_size"]) == (10, 4, labelled, batch)
        assert seen["steps"] == 4  # 60 windows in batches of 16
        assert (seen["schedule"], seen["clip"]) == ("cosine", 2.0)
        with pytest.raises(KeyboardInterrupt):  # a head takes the same number of full-batch steps whatever the labels
            adapt("frozen", "simple", targets, rows, latents=latents, training=training)
        assert (seen["epochs"], seen["patience"], seen["steps"]) == (10, 4, STEPS)


def test_few_labelled_rows_are_gone_through_again_before_any_other(icu, monkeypatch):
    drawn, original = [], batches.Windows.masked

    def spy(self, rows, seed):
        drawn.append((rows.tolist(), seed))
        return original(self, rows, seed)

    monkeypatch.setattr(batches.Windows, "masked", spy)
    rows = np.array([7, 3, 50, 21, 30])
    given = {"backbone": build("GRU-D", icu), "windows": windows(icu), "training": Training(**SHORT)}
    adapt("finetune", "simple", labels(icu)[0], rows, **given)
    assert len(drawn) == 8 and all(
        sorted(batch) == sorted(rows.tolist()) for batch, _ in drawn
    )  # two epochs of 4 steps
    assert len({seed for _, seed in drawn}) == 8 and len({tuple(batch) for batch, _ in drawn}) > 1


def test_the_complex_head_has_five_layers_and_the_simple_one():
    layers = [m for m in Head("complex", 7, 2).modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in layers] == [(7, 128), (128, 128), (128, 128), (128, 128), (128, 2)]
    assert sum(isinstance(m, torch.nn.ReLU) for m in Head("complex", 7, 2).modules()) == 4
    assert sum(isinstance(m, torch.nn.Linear) for m in Head("simple", 7, 2).modules()) == 1
