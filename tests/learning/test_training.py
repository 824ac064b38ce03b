"""The training loop: best weights are kept by value, the same seed gives the same bits, a killed run loses nothing."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from torch import nn

from modts import runs
from modts.backbones import BACKBONES, Scaler, build
from modts.backbones.backbone import tensors_hash
from modts.errors import ModtsError
from modts.learning.training import History, fit, pretrain


class Toy(nn.Module):
    """The parts of a Backbone that pretraining uses, on a network that needs no PyPOTS."""

    device, centre = torch.device("cpu"), False
    name, n_steps, features, config, criterion, options = "toy", 6, ("a", "b", "c"), {}, "mse", {}
    scaler = Scaler(np.zeros(3, np.float32), np.ones(3, np.float32))
    row = BACKBONES["SAITS"]

    def __init__(self, features=3, seed=0):
        super().__init__()
        self.card = {}
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(2 * features, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2))
        self.out = nn.Linear(16, features)
        self.steps = 0
        self.die = None  # called before each training step

    def weights_hash(self):
        return tensors_hash(self.state_dict())

    def windows(self, X):
        return X

    def inputs(self, Z, Z_ori=None, lengths=None):
        return Z, Z if Z_ori is None else Z_ori

    def run(self, inputs):
        Z, original = inputs
        if self.training:
            self.steps += 1
            if self.die:
                self.die(self.steps)
        seen = (~torch.isnan(Z)).float()
        joined = torch.cat([torch.nan_to_num(Z), seen], -1).flatten(0, 1)
        guess = self.out(self.layers(joined)).view(Z.shape)
        scored = ~torch.isnan(original)
        return {"loss": ((guess - torch.nan_to_num(original)) ** 2)[scored].mean(), "imputation": guess}, []


def windows(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 1, 1)) + rng.normal(size=(n, 6, 3)) * 0.3
    X[rng.random(X.shape) < 0.2] = np.nan
    return X.astype(np.float32)


SETTINGS = dict(epochs=6, patience=6, batch_size=8, lr=1e-2, seed=3)
STEPS_AN_EPOCH = 5


def train(toy, **changes):
    return pretrain(toy, windows(40, 0), windows(20, 1), **SETTINGS | changes)


def bits(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def straight():
    toy = Toy()
    history = train(toy)
    assert len(history.validation) == 6 and toy.steps == 6 * STEPS_AN_EPOCH
    return bits(toy), history


class Killed(Exception):
    pass


# --- best weights ---------------------------------------------------------------------------------------------------


class Walker(nn.Module):
    """A weight that every step moves by about lr."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.zeros(1))

    def step(self, indices, _):
        self.count += 1
        return -self.weight.sum()


def walk(scores, **changes):
    """An epoch for each validation score; returns model, history and the weight after each epoch."""
    model, seen, left = Walker(), [], iter(scores)

    def validate():
        seen.append(model.weight.item())
        return next(left)

    settings = dict(n=4, epochs=len(scores), patience=99, batch_size=4, lr=0.5) | changes
    return model, fit(model, model.step, validate, **settings), seen


def test_biases_and_normalisation_do_not_decay():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    for p in model.parameters():
        nn.init.ones_(p)
    fit(
        model,
        lambda *_: 0 * sum(p.sum() for p in model.parameters()),
        lambda: 0.0 if model[0].weight.max() == 1 else -1.0,
        n=1, epochs=1, patience=1, batch_size=1, lr=0.1, weight_decay=0.5,
    )  # fmt: skip
    assert (model[0].weight < 1).all()
    assert all(torch.equal(p, torch.ones_like(p)) for p in (model[0].bias, *model[1].parameters()))


@pytest.mark.parametrize("lower, best", [(True, 1), (False, 3)])
def test_the_best_epochs_weights_are_kept_by_value(lower, best):
    model, history, seen = walk([3.0, 1.0, 2.0, 4.0, 3.5], lower_is_better=lower)
    assert len(set(seen)) == 5  # every epoch moved the weight
    assert history.best_epoch == best
    assert model.weight.item() == seen[best] != seen[-1]
    assert model.count.item() == best + 1  # buffers too
    assert history.validation == [3.0, 1.0, 2.0, 4.0, 3.5]


def test_the_best_weights_survive_a_resumed_run(tmp_path):
    file = tmp_path / "t.safetensors"
    _, _, seen = walk([3.0, 1.0, 2.0], checkpoint=file)
    model, history, _ = walk([5.0, 5.0, 5.0, 5.0, 5.0], checkpoint=file)  # two more epochs, worse
    assert history.validation == [3.0, 1.0, 2.0, 5.0, 5.0] and history.best_epoch == 1
    assert model.weight.item() == seen[1]


def test_training_stops_when_patience_ends():
    model, history, seen = walk([3.0, 1.0, 2.0, 2.0, 0.5, 0.1], patience=2)
    assert history.validation == [3.0, 1.0, 2.0, 2.0] and history.finished
    assert model.weight.item() == seen[1]


def test_a_run_that_ends_at_its_cap_says_so(capsys):
    _, history, _ = walk([3.0, 1.0, 2.0], progress="mine")
    assert history.capped and "in epoch 2 of 3 (its cap)" in capsys.readouterr().out
    _, history, _ = walk([3.0, 1.0, 2.0], patience=1, progress="mine")  # patience ends with the cap
    assert not history.capped and "cap" not in capsys.readouterr().out
    _, history, _ = walk([3.0, 2.0, 1.0], schedule="cosine")  # nothing is left of the learning rate: it is done
    assert history.finished and not history.capped
    assert not History().capped


def moves(**settings):
    """How far each of eight steps of an Adam with a gradient of -1 goes, in two epochs."""
    model, at = Walker(), [0.0]

    def step(indices, seed):
        at.append(model.weight.item())
        return model.step(indices, seed)

    fit(model, step, lambda: -model.weight.item(), **dict(n=4, epochs=2, patience=9, batch_size=1, lr=0.5) | settings)
    return np.diff([*at[1:], model.weight.item()])


def test_a_schedule_anneals_the_steps_to_nothing_at_the_cap():
    np.testing.assert_allclose(moves(), 0.5, rtol=1e-5)
    wanted = 0.25 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(moves(schedule="cosine"), wanted, rtol=1e-4)
    with pytest.raises(ModtsError, match="Unknown schedule 'linear'; choose one of: constant, cosine"):
        moves(schedule="linear")


def test_clipping_limits_the_norm_of_all_gradients_together():
    def norms(clip):
        model, found = nn.Linear(3, 2), []
        hooked = torch.optim.Adam.step

        def step(self, *args, **more):
            found.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item())
            return hooked(self, *args, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", step)
            settings = dict(n=4, epochs=1, patience=9, batch_size=2, lr=0.1, clip=clip)
            fit(model, lambda i, _: 100 * model(torch.ones(len(i), 3)).sum(), lambda: 1.0, **settings)
        return found

    assert min(norms(0.0)) > 100 and norms(0.5) == pytest.approx([0.5, 0.5], rel=1e-4)


def test_an_epoch_of_many_steps_goes_through_the_samples_again_in_another_order():
    model, drawn = Walker(), []

    def step(indices, seed):
        drawn.append((indices.tolist(), seed))
        return model.step(indices, seed)

    fit(model, step, lambda: 1.0, n=5, epochs=2, patience=9, batch_size=2, lr=0.1, steps=7)
    assert [len(batch) for batch, _ in drawn] == [2, 2, 1, 2, 2, 1, 2] * 2
    rounds = [sum((batch for batch, _ in drawn[i : i + 3]), []) for i in (0, 3, 7, 10)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds) and len(set(map(tuple, rounds))) > 1
    assert len({seed for _, seed in drawn}) == 14


def test_equal_scores_do_not_count_as_better():
    _, history, _ = walk([1.0, 1.0, 1.0, 1.0], patience=2)
    assert history.best_epoch == 0 and len(history.validation) == 3


def test_frozen_parameters_stay_and_validation_sees_evaluation_mode():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    before, modes = model[0].weight.clone(), []

    def validate():
        modes.append((model.training, torch.is_grad_enabled()))
        return 1.0

    moving = model[2].weight.clone()
    fit(
        model,
        lambda i, _: model(torch.ones(len(i), 2)).sum(),
        validate,
        n=8,
        epochs=2,
        patience=9,
        batch_size=4,
        lr=0.1,
    )
    assert torch.equal(model[0].weight, before) and modes == [(False, False)] * 2
    assert not model.training
    assert torch.equal(model[2].weight, moving) is False


# --- same bits ------------------------------------------------------------------------------------------------------


def test_same_seed_same_bits_and_another_seed_others(straight):
    torch.manual_seed(99)
    toy = Toy()
    torch.manual_seed(98)  # the state of the global generator does not matter
    assert train(toy) == straight[1] and bits(toy) == straight[0]
    other = Toy()
    train(other, seed=4)
    assert bits(other) != straight[0]


def test_epochs_hide_other_values_and_do_not_repeat_their_order():
    seeds = [runs.epoch_seed(s, e) for s in range(5) for e in range(-2, 200)]
    assert len(set(seeds)) == len(seeds)
    drawn = []
    toy = Toy()
    toy.inputs = lambda Z, original=None, lengths=None: (
        drawn.append(Z.clone()) if toy.training else None,
        (Z, original if original is not None else Z),
    )[1]
    train(toy, epochs=2, batch_size=40)
    assert not torch.equal(torch.isnan(drawn[0]).sum((0, 1)), torch.isnan(drawn[1]).sum((0, 1)))


@pytest.mark.parametrize("step", [1, STEPS_AN_EPOCH + 1, 3 * STEPS_AN_EPOCH + 3, 6 * STEPS_AN_EPOCH])
def test_a_run_killed_in_mid_epoch_resumes_to_the_same_bits(straight, tmp_path, step):
    file, first = tmp_path / "deep" / "training.safetensors", Toy()

    def die(now):
        if now == step:
            raise Killed

    first.die = die
    with pytest.raises(Killed):
        train(first, checkpoint=file)
    assert file.exists() == (step > STEPS_AN_EPOCH)
    second = Toy(seed=7)  # whatever the new process starts from, the checkpoint decides
    if not file.exists():
        second = Toy()
    history = train(second, checkpoint=file)
    assert (
        second.steps == 6 * STEPS_AN_EPOCH - (step - 1) // STEPS_AN_EPOCH * STEPS_AN_EPOCH
    )  # whole epochs are not redone
    assert bits(second) == straight[0] and history == straight[1]


@pytest.mark.parametrize("step", [STEPS_AN_EPOCH + 1, 3 * STEPS_AN_EPOCH + 3])
def test_a_schedule_and_clipping_survive_a_kill(tmp_path, step):
    settings = {"schedule": "cosine", "clip": 0.05}
    straight = Toy()
    history = train(straight, **settings)
    plain = Toy()
    train(plain)
    assert bits(straight) != bits(plain) and history.finished

    first, second = Toy(), Toy(seed=7)

    def die(now):
        if now == step:
            raise Killed

    first.die = die
    with pytest.raises(Killed):
        train(first, checkpoint=tmp_path / "t", **settings)
    assert train(second, checkpoint=tmp_path / "t", **settings) == history and bits(second) == bits(straight)


def test_a_finished_checkpoint_trains_nothing_more(straight, tmp_path):
    file = tmp_path / "training.safetensors"
    train(Toy(), checkpoint=file)
    again = Toy(seed=1)
    assert train(again, checkpoint=file) == straight[1]
    assert again.steps == 0 and bits(again) == straight[0]


KILLED_RUN = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
import torch
torch.set_num_threads(1)
from test_training import Toy, train
toy = Toy()
toy.die = lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == 13 else None
train(toy, checkpoint=sys.argv[1])
"""


def test_a_process_killed_by_sigkill_resumes_to_the_same_bits(tmp_path):
    file = tmp_path / "training.safetensors"
    command = [sys.executable, "-c", KILLED_RUN, str(file), *map(str, Path(__file__).parents[:2])]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name for path in tmp_path.glob("*")] == [file.name]  # no half file
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole, toy = Toy(), Toy(seed=7)
    straight, history = train(whole), train(toy, checkpoint=file)
    torch.set_num_threads(threads)
    assert toy.steps == 4 * STEPS_AN_EPOCH
    assert bits(toy) == bits(whole) and history == straight


# --- mistakes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / "training.safetensors"
    train(Toy(), epochs=2, checkpoint=file)
    return file


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_an_error(checkpoint, kept):
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ModtsError, match="training checkpoint .* corrupt .*delete it and run again"):
        train(Toy(), checkpoint=checkpoint)


def test_a_flipped_byte_in_the_checkpoint_is_an_error(checkpoint):
    data = checkpoint.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(data), 30).tolist():
        changed = bytearray(data)
        changed[at] ^= 1
        checkpoint.write_bytes(bytes(changed))
        with pytest.raises(ModtsError, match="corrupt"):
            train(Toy(), checkpoint=checkpoint)


def test_a_checkpoint_of_another_model_is_an_error(checkpoint):
    other = Toy()
    other.out = nn.Linear(16, 4)
    with pytest.raises(ModtsError, match="of another model"):
        train(other, checkpoint=checkpoint)


def test_divergence_is_an_error_that_says_what_to_do():
    with pytest.raises(ModtsError, match=r"diverged in epoch 1 .*nan.*smaller learning rate"):
        walk([1.0, float("nan"), 1.0])
    toy = Toy()
    run = toy.run
    toy.run = lambda inputs: (
        {**run(inputs)[0], "loss": run(inputs)[0]["loss"] * (float("inf") if toy.training else 1)},
        [],
    )
    with pytest.raises(ModtsError, match="diverged in epoch 0"):
        train(toy)


def test_a_pattern_that_hides_nothing_is_an_error():
    with pytest.raises(ModtsError, match="hides no observed validation value"):
        train(Toy(), rate=1e-9)


def test_hidden_values_do_not_reach_the_network():
    """What is hidden in an epoch is really NaN in what the network reads, and only observed cells are hidden."""
    toy, seen = Toy(), []
    inputs = toy.inputs

    def spy(Z, original=None, lengths=None):
        if toy.training:
            seen.append((Z.clone(), original.clone()))
        return inputs(Z, original)

    toy.inputs = spy
    train(toy, epochs=1)
    hidden = sum(int((torch.isnan(Z) & ~torch.isnan(original)).sum()) for Z, original in seen)
    observed = sum(int((~torch.isnan(original)).sum()) for _, original in seen)
    assert hidden / observed == pytest.approx(0.1, abs=0.03)
    assert all(torch.equal(Z[~torch.isnan(Z)], original[~torch.isnan(Z)]) for Z, original in seen)


def test_pretraining_stands_beside_interpolation(capsys):
    """On straight lines interpolation is right: an imputer of two epochs is behind it, and says so."""
    slopes = np.random.default_rng(0).normal(size=(60, 1, 3))
    X = (slopes * np.arange(12)[None, :, None]).astype(np.float32)
    cohort = replace(tiny(n=60, steps=12, features=3), X=X, y=np.arange(60) % 2)
    backbone = build("GRU-D", cohort)
    history = pretrain(backbone, X[:40], X[40:], epochs=2, batch_size=16)
    line, mean = history.rivals["Linear interpolation"], history.rivals["Mean"]
    assert line < mean / 3 and history.best > line
    assert "is behind Linear interpolation" in capsys.readouterr().out
    assert backbone.card["past"][-1]["rivals"] == history.rivals
    pretrain(backbone, X[:40], X[40:], epochs=1, batch_size=16, progress=None)
    assert capsys.readouterr().out == ""
