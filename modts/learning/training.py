"""The one training loop: mini-batches, early stopping, best weights copied, a checkpoint every epoch, exact resume.

Nothing random outlives an epoch: the order of the samples and dropout start from (seed, epoch), artificial masks from (seed, epoch, batch), so
that a killed and resumed run ends with the same bits as a straight one, and the data are read a batch at a time.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.backbones import remember_training, warn_of_another_scale
from modts.cohorts import seeded
from modts.errors import ModtsError, choose

from .batches import Held, Windows
from .gaps import rivals
from .schedule import SCHEDULES, share_left


@dataclass
class History:
    """What happened: validation score and training loss per epoch, the best epoch (0-based); of a pretraining, what simple imputers reach."""

    validation: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    best_epoch: int = -1
    best: float | None = None
    finished: bool = False
    rivals: dict[str, float] = field(default_factory=dict)

    @property
    def capped(self) -> bool:
        """It ended at its cap, neither by patience nor with its learning rate annealed to nothing: more epochs might have been better."""
        return bool(self.validation) and not self.finished


def fit(
    model: nn.Module,
    step: Callable[[torch.Tensor, int], torch.Tensor],
    validate: Callable[[], float],
    *,
    n: int,
    epochs: int,
    patience: int,
    batch_size: int,
    lr: float,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    clip: float = 0.0,
    steps: int | None = None,
    seed: int = 0,
    lower_is_better: bool = True,
    checkpoint: Path | None = None,
    progress: str = "",
) -> History:
    """Train `model` in place; it ends with the weights of its best validation epoch.

    Parameters
    ----------
    model
        Its parameters with requires_grad are trained (Adam); those of one dimension, biases and normalisation, do not decay.
    step
        Sample indices (B,) and the batch's seed (for artificial masks) -> scalar loss, with gradients.
    validate
        Returns the score on validation data.
    n
        Number of training samples.
    epochs, patience
        At most so many epochs; stop after `patience` epochs without a better score.
    schedule
        Of the learning rate: "constant", or "cosine", from lr to 0 at the cap, which is then where training is meant to end.
    clip
        The largest norm of all gradients together; 0 for none.
    steps
        Optimiser steps of an epoch: the samples are gone through again, in another order, until there are so many. None: once.
    checkpoint
        Resume from, and write to, this file after every epoch; removed by the caller when its result is safe.
    progress
        A label; if not empty, one line at the end, and one an epoch on a terminal.

    Raises
    ------
    ModtsError
        The loss or the score is not finite, or the checkpoint is corrupt.
    """
    choose(schedule, SCHEDULES, "schedule")
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay)
    history, best = History(), _copy(model)
    if checkpoint and Path(checkpoint).exists():
        history, best = _resume(checkpoint, model, optimiser)
    steps = steps or math.ceil(n / batch_size)
    for epoch in range(len(history.validation), epochs):
        if history.finished:
            break
        start = runs.epoch_seed(seed, epoch)
        torch.manual_seed(start)
        model.train()
        total, samples = 0.0, 0
        for number, indices in enumerate(_batches(n, batch_size, steps)):
            if schedule == "cosine":
                for group in optimiser.param_groups:
                    group["lr"] = lr * share_left((epoch * steps + number) / (epochs * steps))
            optimiser.zero_grad(set_to_none=True)
            loss = step(indices, runs.batch_seed(start, number))
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(trained, clip)
            optimiser.step()
            total += loss.item() * len(indices)
            samples += len(indices)
        total /= samples
        model.eval()
        with torch.no_grad():
            value = float(validate())
        if not (np.isfinite(total) and np.isfinite(value)):
            raise ModtsError(
                f"Training diverged in epoch {epoch} (loss {total}, validation {value}); use a smaller learning rate."
            )
        history.loss.append(total)
        history.validation.append(value)
        better = history.best is None or (value < history.best if lower_is_better else value > history.best)
        if better:
            history.best, history.best_epoch, best = value, epoch, _copy(model)
        done = schedule == "cosine" and epoch + 1 == epochs
        history.finished = done or epoch - history.best_epoch >= patience
        if progress and sys.stderr.isatty():
            print(
                f"{progress} epoch {epoch + 1}: loss {total:.4f}, validation {value:.4f}",
                file=sys.stderr,
                flush=True,
            )
        if checkpoint:
            _write(checkpoint, model, optimiser, best, history)
    model.load_state_dict(best)
    model.eval()
    if progress:
        cap = " (its cap)" if history.capped else ""
        print(
            f"{progress}: best validation {history.best:.4f} in epoch {history.best_epoch + 1} of {len(history.loss)}{cap}",
            flush=True,
        )
    return history


def _batches(n: int, batch_size: int, steps: int) -> Iterator[torch.Tensor]:
    """`steps` batches of indices below n, every one of them once before any comes again."""
    while steps > 0:
        for indices in torch.randperm(n).split(batch_size)[:steps]:
            yield indices
            steps -= 1


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights by value: state_dict() alone hands out references that go on training."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _write(path: Path, model, optimiser, best, history) -> None:
    from safetensors.torch import save

    tensors = {f"model.{k}": v for k, v in _copy(model).items()} | {f"best.{k}": v for k, v in best.items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": torch.as_tensor(v).clone() for k, v in state.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    state = {"history": asdict(history), "hash": _digest(tensors, asdict(history))}
    runs.atomic_write(path, save(tensors, metadata={"state": json.dumps(state)}))


def _digest(tensors: dict[str, torch.Tensor], history: dict) -> str:
    """Hash of a training checkpoint's content: safetensors itself notices a missing byte, not a changed one."""
    digest = hashlib.sha256(json.dumps(history).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _resume(path: Path, model, optimiser) -> tuple[History, dict]:
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            saved = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if not saved or _digest(tensors, saved["history"]) != saved["hash"]:
            raise ValueError("its content differs from its hash")
        history = History(**saved["history"])
        parts: dict[str, dict] = {"model": {}, "best": {}, "optimiser": {}}
        for name, value in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = value
        model.load_state_dict(parts["model"])
        state: dict[int, dict] = {}
        for name, value in parts["optimiser"].items():
            i, field_name = name.split(".", 1)
            state.setdefault(int(i), {})[field_name] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    except Exception as error:
        raise ModtsError(
            f"The training checkpoint {path} is corrupt or of another model ({error}); delete it and run again."
        ) from None
    return history, parts["best"]


def pretrain(
    backbone,
    X_train: np.ndarray,
    X_val: np.ndarray,
    *,
    lengths: tuple | None = None,
    pattern: str = "point",
    rate: float = 0.1,
    epochs: int = 200,
    patience: int = 10,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    clip: float = 0.0,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: str | None = "",
) -> History:
    """Pretrain a backbone by masked imputation on raw windows (N, T, F) with NaN; one that does not impute, by the loss of its own.

    What happened is added to `backbone.card["past"]`, the error of interpolation and the like on the same hidden values with it; a sentence says
    when the backbone is behind them, a warning when the windows have another scale than the backbone's scaler.

    For every batch PyGrinder hides other training values; the model's own loss (PyPOTS's) is minimised. Early stopping reads the mean
    absolute error, in z-scores, on validation values hidden once. TS2Vec's loss draws its crops for every batch; early stopping reads the same
    loss on validation windows, in batches as in training, with crops drawn once. Windows are read a batch at a time: a memory map (np.load with
    mmap_mode="r") needs no more memory than a batch, and gives the bits that the same data give in memory.

    Parameters
    ----------
    backbone : Backbone
        Trained in place; it ends with the weights of its best validation epoch.
    X_train, X_val : (N, T, F) arrays
        Raw units, NaN where missing.
    lengths : pair of (N,) arrays, optional
        Of X_train and X_val: steps of series that end before their window does, as Cohort.lengths_of gives them. Without, padding counts as
        steps at which nothing was measured (see modts.backbones.ends).
    pattern, rate
        How values are hidden, and which share of the observed ones: see modts.mask. Of no use to a backbone that does not impute.
    epochs, patience : int
        At most so many epochs; stop after `patience` of them without a better error.
    batch_size, lr, weight_decay, seed
        Of Adam's mini-batches; the seed orders them and draws the masks.
    schedule : {"constant", "cosine"}
        Of the learning rate; "cosine" anneals it to 0 at the cap of epochs, which then is where training is meant to end.
    clip : float
        The largest norm of all gradients together; 0 for none.
    checkpoint : Path, optional
        Resume from, and write to, this file after every epoch.
    progress : str, optional
        A label; if not empty, two lines at the end, and one an epoch on a terminal. None: say nothing, also when the backbone is behind.

    Returns
    -------
    History
        With the mean absolute error of each simple imputer as `rivals`, if the backbone imputes; `capped` if neither patience nor the schedule
        ended it.

    Raises
    ------
    ModtsError
        Windows that Backbone.check refuses, a mask that hides no validation value, or training that diverges: to values that are not finite,
        or to a best validation error of more than 5 times that of filling in the mean (which is at least taken as 1).
    """
    pairs = zip((X_train, X_val), lengths or (None, None), strict=True)
    train, val = (Windows(backbone, X, pattern, rate, ends) for X, ends in pairs)
    warn_of_another_scale(backbone, train.X)
    optimiser = {
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "lr": lr,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "clip": clip,
        "seed": seed,
    }
    if not backbone.row.imputes:
        own = _own_loss(backbone, train, val, batch_size, seed)
        history = fit(backbone, *own, n=len(train), **optimiser, checkpoint=checkpoint, progress=progress or "")
        remember_training(backbone, train.X, history, optimiser)
        return history
    held = _held(val, seed)
    if held is None:
        raise ModtsError(
            f"Pattern {pattern!r} at rate {rate} hides no observed validation value, so imputation cannot be scored."
        )

    def step(indices, batch_seed):
        rows = indices.numpy()
        return backbone.run(backbone.inputs(*train.masked(rows, batch_seed), lengths=train.lengths(rows)))[0]["loss"]

    def validate():
        error, n = 0.0, 0
        for hidden, Z, ends in held:
            scored = torch.isnan(hidden) & ~torch.isnan(Z)
            error += (
                (backbone.run(backbone.inputs(hidden, lengths=ends))[0]["imputation"] - Z)[scored].abs().sum().item()
            )
            n += int(scored.sum())
        return error / n

    history = fit(
        backbone,
        step,
        validate,
        n=len(train),
        **optimiser,
        checkpoint=checkpoint,
        progress=progress or "",
    )
    history.rivals = rivals((hidden.cpu().numpy(), Z.cpu().numpy()) for hidden, Z, _ in held)
    ahead = min(history.rivals, key=history.rivals.get)
    behind = history.best > history.rivals[ahead]
    if progress or (behind and progress is not None):
        said = ", ".join(f"{name} {error:.4f}" for name, error in history.rivals.items())
        verdict = f"; {backbone.name} ({history.best:.4f}) is behind {ahead}" if behind else ""
        print(f"{progress or backbone.name}: on the same hidden values {said}{verdict}.", flush=True)
    remember_training(backbone, train.X, history, {"pattern": pattern, "rate": rate, **optimiser})
    return history


def _held(val: Windows, seed: int, draws: int = 8) -> Held | None:
    """Validation windows with hidden values: the first of a few draws that hides any, as one may miss the few values of a small split."""
    start = runs.epoch_seed(seed, -1)
    for draw in range(draws):
        held = Held(val, runs.batch_seed(start, draw) if draw else start)
        if any((torch.isnan(hidden) & ~torch.isnan(Z)).any() for hidden, Z, _ in held):
            return held
    return None


def _own_loss(backbone, train: Windows, val: Windows, batch_size: int, seed: int) -> tuple[Callable, Callable]:
    """Training step and validation score of a backbone that does not impute: its own loss, in validation always on the same draw."""

    def step(indices, batch_seed):
        with seeded(batch_seed):
            return backbone.own_loss(backbone.inputs(train(indices.numpy())))

    def validate():
        with seeded(runs.epoch_seed(seed, -1)):
            losses = [(backbone.own_loss(backbone.inputs(Z)).item(), len(Z)) for Z, _ in val.split(batch_size)]
        values, windows = zip(*losses, strict=True)
        return float(np.average(values, weights=windows))

    return step, validate
