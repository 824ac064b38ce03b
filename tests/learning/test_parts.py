"""Arms between frozen and everything: only what should train changes, and what is added is merged."""

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from own_fixture import EXAMPLE

import modts
from modts.backbones import BACKBONES, build, load_backbone
from modts.errors import ModtsError
from modts.learning import Training, adapt, labels
from modts.learning.adaptation import Whole
from modts.learning.parts import PARTS, training_only

SPLITS = ("train", "val", "test")
RANK = 2


@pytest.fixture(scope="module")
def icu():
    return tiny(n=96, steps=6, features=5)


def train(part, cohort, backbone, **settings):
    targets = labels(cohort)[0]
    windows = {name: cohort.part(name)[0] for name in SPLITS}
    training = Training(**dict(epochs=2, patience=9, batch_size=16, lr=1e-2, lora_rank=RANK) | settings)
    every = np.arange(len(targets["train"].y))
    return adapt(part, "simple", targets, every, backbone=backbone, windows=windows, training=training)


def values(backbone):
    return {name: value.detach().clone() for name, value in backbone.state_dict().items()}


NORMS = {  # how many tensors normalisation has that latents depend on; where there is none, all biases
    "BRITS": 14, "GRU-D": 5, "SAITS": 16, "CSAI": 8, "TimesNet": 2, "Autoformer": 2
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", BACKBONES)
def test_nothing_else_trains(icu, name, part):
    backbone = build(name, icu, seed=0)
    before, may = values(backbone), {n: p.requires_grad for n, p in backbone.named_parameters()}
    outcome = train(part, icu, backbone)
    after = values(backbone)
    assert list(sorted(after)) == sorted(before)  # merged: plain weights, and no others
    assert {n: p.requires_grad for n, p in backbone.named_parameters()} == may
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert changed and outcome.model.head.layers.weight.abs().max() > 0
    if part == "norm":
        assert all(before[n].ndim == 1 for n in changed) and len(changed) == NORMS.get(name, len(changed))
        assert all("norm" in n for n in changed) or not any("norm" in n for n in before)
    elif part == "last_block":
        paths = tuple(f"module.{path}." for path in backbone.row.last_block)
        assert all(n.startswith(paths) for n in changed)
        last = {n: p for n, p in before.items() if n.startswith(paths)}
        numbers = {n.removeprefix(paths[0]).split(".")[0] for n in last}
        if {"0", "1"} <= numbers:  # of a list the last
            assert not any(n.startswith(f"{paths[0]}0.") for n in changed)
    else:
        for n in changed:
            added = (after[n] - before[n]).flatten(1).double()
            assert before[n].ndim > 1 and torch.linalg.matrix_rank(added, rtol=1e-4) <= RANK, n


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["GRU-D", "SAITS"])
def test_the_loss_falls(icu, name, part):
    outcome = train(part, icu, build(name, icu, seed=0), epochs=6)
    assert outcome.history.loss[-1] < 0.97 * outcome.history.loss[0]


def test_low_rank_additions_begin_at_nothing_and_end_in_the_weights(icu, tmp_path):
    X = icu.part("test")[0]
    backbone = build("SAITS", icu, seed=0)
    before, hashed = backbone.latents(X), backbone.weights_hash()
    with training_only(backbone, "lora", RANK, seed=1):
        np.testing.assert_array_equal(backbone.latents(X), before)
        trained = [n for n, p in backbone.named_parameters() if p.requires_grad]
        assert trained and all(n.endswith((".A", ".B")) for n in trained)
    assert backbone.weights_hash() == hashed
    outcome = train("lora", icu, backbone)
    after = backbone.latents(X)
    assert not np.allclose(after, before)
    again = load_backbone(backbone.save(tmp_path / "b.safetensors"))
    np.testing.assert_array_equal(again.latents(X), after)
    with torch.no_grad():
        answer = torch.sigmoid(outcome.model.head(torch.from_numpy(after))[:, 0]).numpy()
    np.testing.assert_allclose(outcome.prediction, answer, atol=1e-6)


def test_the_rank_and_the_seed_decide(icu):
    def hashed(**settings):
        backbone = build("GRU-D", icu, seed=0)
        train("lora", icu, backbone, epochs=1, **settings)
        return backbone.weights_hash()

    assert hashed() == hashed() != hashed(lora_rank=1)
    assert hashed() != hashed(seed=1)


def test_lora_killed_in_mid_epoch_ends_with_the_same_bits(icu, tmp_path, monkeypatch):
    straight = train("lora", icu, build("GRU-D", icu, seed=0)).prediction
    calls, loss = [], Whole.loss

    def killed(self, *args):
        calls.append(1)
        if len(calls) == 6:  # of four steps an epoch
            raise KeyboardInterrupt
        return loss(self, *args)

    monkeypatch.setattr(Whole, "loss", killed)
    file = tmp_path / "training.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train("lora", icu, build("GRU-D", icu, seed=0), checkpoint=file)
    assert file.is_file()
    assert np.array_equal(train("lora", icu, build("GRU-D", icu, seed=0), checkpoint=file).prediction, straight)


def test_a_class_of_ones_own_names_its_last_block(icu, tmp_path):
    mine = f"{EXAMPLE}:MyImputer"
    for part in ("norm", "lora"):
        backbone = build(mine, icu)
        before = backbone.weights_hash()
        train(part, icu, backbone, epochs=1)
        assert backbone.weights_hash() != before
    with pytest.raises(
        ModtsError, match="does not say which is its last block; give the class an attribute `last_block`"
    ):
        train("last_block", icu, build(mine, icu))
    text = EXAMPLE.read_text()
    for said, says in (('("forwards",)', ""), ('("nowhere",)', "no submodule 'nowhere'"), ("3", "must list names")):
        file = tmp_path / "named.py"
        file.write_text(text.replace('kind = "recurrent"', f'last_block = {said}\n    kind = "recurrent"', 1))
        if says:
            with pytest.raises(ModtsError, match=says):
                train("last_block", icu, build(f"{file}:MyImputer", icu))
            continue
        backbone = build(f"{file}:MyImputer", icu)
        before = values(backbone)
        train("last_block", icu, backbone, epochs=1)
        changed = {n for n, value in values(backbone).items() if not torch.equal(value, before[n])}
        assert changed and all(n.startswith("module.net.forwards.") for n in changed)


def test_an_unknown_arm_is_named(icu):
    with pytest.raises(ModtsError, match="norm, last_block, lora"):
        modts.adapt("adapter", "simple", labels(icu)[0], np.arange(3), latents={})
