"""Many heads in one pass give what each head gives when it trains alone."""

import numpy as np
import pytest
import torch

from modts.errors import ModtsError
from modts.learning import Labels, Training, adapt, scores
from modts.learning import sweep as sweeping
from modts.learning.heads import HEADS, Head, task_loss
from modts.learning.sweep import Setting, _forward, _gradient, _groups, _joined, _layers, train_heads

N, D, K = 120, 6, 4


def data(task, seed=0):
    rng = np.random.default_rng(seed)
    latents = {
        name: rng.normal(2, 3, (n, D)).astype(np.float32) for name, n in (("train", N), ("val", 60), ("test", 50))
    }
    weights = rng.normal(size=(D, K)).astype(np.float32)
    targets = {}
    for name, Z in latents.items():
        y = Z @ weights / 5 + rng.normal(size=(len(Z), K)).astype(np.float32)
        if task == "classification":
            targets[name] = Labels(task, (y[:, 0] > y[:, 0].mean()).astype(np.int64))
        else:
            targets[name] = Labels(task, np.where(rng.random(y.shape) < 0.2, np.nan, y).astype(np.float32))
    return latents, targets


SETTINGS = [
    Setting(np.arange(n) + shift, lr, decay, seed)
    for n, shift in ((N, 0), (40, 0), (40, 30), (25, 5))
    for lr, decay, seed in ((1e-2, 0.0, 0), (3e-3, 0.01, 1))
] + [Setting(np.arange(25) + 5, 0.02, 0.0, 2)]  # one label set with more heads than the others


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("kind", HEADS)
def test_a_sweep_is_the_same_heads_trained_alone(task, kind):
    latents, targets = data(task)
    together = train_heads(kind, latents, targets, SETTINGS, epochs=25, patience=6)
    for setting, (head, history) in zip(SETTINGS, together, strict=True):
        alone = adapt(
            "frozen",
            kind,
            targets,
            setting.rows,
            latents=latents,
            training=Training(
                lr=setting.lr, weight_decay=setting.weight_decay, epochs=25, patience=6, seed=setting.seed
            ),
        )
        assert history.best == pytest.approx(alone.validation, abs=2e-3)
        assert len(history.validation) == len(alone.history.validation)
        with torch.no_grad():
            ours, theirs = (model(torch.from_numpy(latents["test"])) for model in (head, alone.model))
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)


def test_heads_that_stop_leave_the_others_alone():
    latents, targets = data("classification")
    alone = train_heads("simple", latents, targets, SETTINGS[:1], epochs=30, patience=30)[0]
    first = train_heads("simple", latents, targets, SETTINGS, epochs=30, patience=30)[0]
    impatient = [Setting(np.arange(10) + i, 0.3, 0.0, i) for i in range(8)]  # overfit at once and leave the batch
    among = train_heads("simple", latents, targets, [*impatient, SETTINGS[0]], epochs=30, patience=4)
    assert len({len(history.validation) for _, history in among}) > 1, "nobody left early: the test tests nothing"
    assert first[1].validation == pytest.approx(alone[1].validation, abs=1e-6)
    n = len(among[-1][1].validation)
    assert among[-1][1].validation == pytest.approx(alone[1].validation[:n], abs=1e-6)


def test_a_sweep_in_parts_is_the_sweep(monkeypatch):
    latents, targets = data("regression")
    whole = train_heads("simple", latents, targets, SETTINGS, epochs=5, patience=5)
    sizes, train = [], sweeping._train

    def spy(first, latents, targets, part, *args):
        sizes.append(len(part))
        return train(first, latents, targets, part, *args)

    monkeypatch.setattr(sweeping, "_train", spy)
    monkeypatch.setattr(sweeping, "_CELLS", 4 * (N + 60) * K)  # four linear heads at a time
    parts = train_heads("simple", latents, targets, SETTINGS, epochs=5, patience=5)
    assert sizes == [4, 4, 1]
    for (ours, history), (theirs, expected) in zip(parts, whole, strict=True):
        assert history.validation == pytest.approx(expected.validation, abs=1e-5)
        torch.testing.assert_close(ours.layers.weight, theirs.layers.weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("kind", HEADS)
def test_the_gradient_is_autograds(task, kind):
    latents, targets = data(task)
    heads = [Head(kind, D, targets["train"].n_outputs, seed=seed) for seed in range(4)]
    rows = [torch.arange(20), torch.arange(20) + 50]  # two label sets, two heads on each
    Z, y = torch.from_numpy(latents["train"]), torch.from_numpy(targets["train"].y)
    flat = torch.stack([torch.cat([_joined(layer).flatten() for layer in head.linears()]) for head in heads]).detach()
    settings = [Setting(rows[i // 2].numpy(), 1e-2) for i in range(4)]
    Z1 = torch.nn.functional.pad(Z, (0, 1), value=1.0)
    order, ((members, *group),) = _groups(settings, Z1, torch.from_numpy(targets["train"].columns()), targets["train"])
    assert order.tolist() == [0, 1, 2, 3] and members == slice(0, 4)
    got = _layers(heads[0], _gradient(_layers(heads[0], flat), *group, task))
    for i, head in enumerate(heads):
        task_loss(task, head(Z[rows[i // 2]]), y[rows[i // 2]]).backward()
        for ours, layer in zip(got, head.linears(), strict=True):
            torch.testing.assert_close(ours[i, :, :-1], layer.weight.grad, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(ours[i, :, -1], layer.bias.grad, rtol=1e-4, atol=1e-6)
        with torch.no_grad():
            output = _forward(_layers(heads[0], flat), Z1[None])[-1][i].mT
            torch.testing.assert_close(output, head(Z), rtol=1e-4, atol=1e-5)


def test_weight_decay_shrinks_weights_and_leaves_the_bias_at_the_log_odds():
    latents, targets = data("classification")
    y = (np.arange(N) % 12 == 0).astype(np.int64)  # a rare class that the latents do not know
    targets = {**targets, "train": Labels("classification", y)}
    settings = [Setting(rows, 1e-2, 1e3) for rows in (np.arange(N), np.arange(24))]
    for setting, (head, _) in zip(
        settings, train_heads("simple", latents, targets, settings, epochs=40, patience=40), strict=True
    ):
        positive = y[setting.rows].sum()
        assert head.layers.weight.abs().max() < 0.02
        assert head.layers.bias.item() == pytest.approx(np.log(positive / (len(setting.rows) - positive)), abs=0.3)


def test_a_head_begins_with_what_is_known_without_latents():
    y = torch.tensor([0, 0, 0, 1])
    for kind in HEADS:
        head, again = (Head(kind, D, 1, seed=0) for _ in range(2))
        head.begin("classification", y)
        assert head.linears()[-1].bias.item() == pytest.approx(np.log(1.5 / 3.5))
        assert torch.equal(head.linears()[0].weight, again.linears()[0].weight) == (kind == "complex")
    latents = torch.randn(7, D)
    simple = Head("simple", D, 1).begin("classification", y)
    assert torch.equal(simple(latents), simple.layers.bias.expand(7, 1))
    assert not Head("simple", D, K).begin("regression", torch.randn(5, K))(latents).any()
    assert torch.isfinite(Head("simple", D, 1).begin("classification", torch.zeros(3))(latents)).all()


@pytest.mark.parametrize("kind", HEADS)
def test_heads_of_a_sweep_share_nothing(kind):
    latents, targets = data("classification")
    setting = Setting(np.arange(40), 1e-2)
    (one, _), (other, _) = train_heads(kind, latents, targets, [setting, setting], epochs=2, patience=2)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    assert not one.training and not any(layer.training for layer in one.linears())
    for value in one.state_dict().values():
        value.fill_(7.0)
    calls = []
    one.register_forward_hook(lambda *_: calls.append(one))
    one.linears()[0].register_forward_hook(lambda *_: calls.append(one))
    other(torch.from_numpy(latents["test"])).sum().backward()
    assert not calls and all(layer.weight.grad is None for layer in one.linears())
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_many_scores_are_the_scores():
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, 2, 40), rng.integers(0, 9, (5, 40)) / 9.0  # with ties
    assert scores.many("classification", y, p) == pytest.approx([scores.auroc(y, row) for row in p], abs=1e-12)
    target, guess, seen = rng.normal(size=(10, 3)), rng.normal(size=(5, 10, 3)), rng.random((10, 3)) < 0.7
    assert scores.many("regression", target, guess, seen) == pytest.approx(
        [scores.mse(target, row, seen) for row in guess]
    )
    assert np.isnan(scores.many("classification", y, np.where(np.arange(40) == 3, np.nan, p))).all()


def test_a_sweep_refuses_what_it_cannot_train():
    latents, targets = data("classification")
    for settings in ([], [Setting(np.array([], int), 1e-2)]):
        with pytest.raises(ModtsError, match="at least one"):
            train_heads("simple", latents, targets, settings, epochs=2, patience=2)
    with pytest.raises(ModtsError, match="diverged"):
        train_heads("simple", latents, targets, [Setting(np.arange(9), float("inf"))], epochs=2, patience=2)
