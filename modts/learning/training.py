"""The one training loop: mini-batches, early stopping, best weights copied, a checkpoint every epoch, exact resume.

Nothing random outlives an epoch: the order of the samples, dropout and artificial masks all start from (seed, epoch), so that a killed and
resumed run ends with the same bits as a straight one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.backbones import remember_training, warn_of_another_scale
from modts.cohorts import mask
from modts.errors import ModtsError

from .gaps import rivals


@dataclass
class History:
    """What happened: validation score and training loss per epoch, the best epoch (0-based); of a pretraining, what simple imputers reach."""

    validation: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    best_epoch: int = -1
    best: float | None = None
    finished: bool = False
    rivals: dict[str, float] = field(default_factory=dict)


def fit(
    model: nn.Module,
    step: Callable[[torch.Tensor], torch.Tensor],
    validate: Callable[[], float],
    *,
    n: int,
    epochs: int,
    patience: int,
    batch_size: int,
    lr: float,
    weight_decay: float = 0.0,
    seed: int = 0,
    lower_is_better: bool = True,
    on_epoch: Callable[[int], None] | None = None,
    checkpoint: Path | None = None,
    progress: str = "",
) -> History:
    """Train `model` in place; it ends with the weights of its best validation epoch.

    Parameters
    ----------
    model
        Its parameters with requires_grad are trained (Adam); those of one dimension, biases and normalisation, do not decay.
    step
        Sample indices (B,) -> scalar loss, with gradients.
    validate
        Returns the score on validation data.
    n
        Number of training samples.
    epochs, patience
        At most so many epochs; stop after `patience` epochs without a better score.
    on_epoch
        Called with the epoch's seed before each epoch (draws artificial masks).
    checkpoint
        Resume from, and write to, this file after every epoch; removed by the caller when its result is safe.
    progress
        A label; if not empty, one line at the end, and one an epoch on a terminal.

    Raises
    ------
    ModtsError
        The loss or the score is not finite, or the checkpoint is corrupt.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay)
    history, best = History(), _copy(model)
    if checkpoint and Path(checkpoint).exists():
        history, best = _resume(checkpoint, model, optimiser)
    for epoch in range(len(history.validation), epochs):
        if history.finished:
            break
        start = runs.epoch_seed(seed, epoch)
        if on_epoch:
            on_epoch(start)
        torch.manual_seed(start)
        model.train()
        total = 0.0
        for indices in torch.randperm(n).split(batch_size):
            optimiser.zero_grad(set_to_none=True)
            loss = step(indices)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(indices)
        model.eval()
        with torch.no_grad():
            value = float(validate())
        if not (np.isfinite(total) and np.isfinite(value)):
            raise ModtsError(
                f"Training diverged in epoch {epoch} (loss {total / n}, validation {value}); use a smaller learning rate."
            )
        history.loss.append(total / n)
        history.validation.append(value)
        better = history.best is None or (value < history.best if lower_is_better else value > history.best)
        if better:
            history.best, history.best_epoch, best = value, epoch, _copy(model)
        history.finished = epoch - history.best_epoch >= patience
        if progress and sys.stderr.isatty():
            print(
                f"{progress} epoch {epoch + 1}: loss {total / n:.4f}, validation {value:.4f}",
                file=sys.stderr,
                flush=True,
            )
        if checkpoint:
            _write(checkpoint, model, optimiser, best, history)
    model.load_state_dict(best)
    model.eval()
    if progress:
        print(
            f"{progress}: best validation {history.best:.4f} in epoch {history.best_epoch + 1} of {len(history.loss)}",
            flush=True,
        )
    return history


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
    pattern: str = "point",
    rate: float = 0.1,
    epochs: int = 200,
    patience: int = 10,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: str | None = "",
) -> History:
    """Pretrain a backbone by masked imputation on raw windows (N, T, F) with NaN.

    What happened is added to `backbone.card["past"]`, the error of interpolation and the like on the same hidden values with it; a sentence says
    when the backbone is behind them, a warning when the windows have another scale than the backbone's scaler.

    In every epoch PyGrinder hides other training values; the model's own loss (PyPOTS's) is minimised. Early stopping reads the mean
    absolute error, in z-scores, on validation values hidden once.

    Parameters
    ----------
    backbone : Backbone
        Trained in place; it ends with the weights of its best validation epoch.
    X_train, X_val : (N, T, F) arrays
        Raw units, NaN where missing.
    pattern, rate
        How values are hidden, and which share of the observed ones: see modts.mask.
    epochs, patience : int
        At most so many epochs; stop after `patience` of them without a better error.
    batch_size, lr, weight_decay, seed
        Of Adam's mini-batches; the seed orders them and draws the masks.
    checkpoint : Path, optional
        Resume from, and write to, this file after every epoch.
    progress : str, optional
        A label; if not empty, two lines at the end, and one an epoch on a terminal. None: say nothing, also when the backbone is behind.

    Returns
    -------
    History
        With the mean absolute error of each simple imputer as `rivals`.

    Raises
    ------
    ModtsError
        Windows that Backbone.check refuses, a mask that hides no validation value, or training that diverges.
    """
    Z_train, Z_val = backbone.tensor(X_train), backbone.tensor(X_val)
    warn_of_another_scale(backbone, X_train)
    hidden_val = backbone.tensor(mask(X_val, pattern, rate, seed=runs.epoch_seed(seed, -1)))
    scored = torch.isnan(hidden_val) & ~torch.isnan(Z_val)
    if not scored.any():
        raise ModtsError(
            f"Pattern {pattern!r} at rate {rate} hides no observed validation value, so imputation cannot be scored."
        )
    now = {}

    def on_epoch(epoch_start):
        now["Z"] = backbone.tensor(mask(X_train, pattern, rate, seed=epoch_start))

    def step(indices):
        return backbone.run(backbone.inputs(now["Z"][indices], Z_train[indices]))[0]["loss"]

    def validate():
        filled = [
            backbone.run(backbone.inputs(part))[0]["imputation"] for part in hidden_val.split(max(batch_size, 256))
        ]
        return (torch.cat(filled) - torch.nan_to_num(Z_val))[scored].abs().mean().item()

    optimiser = {
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "lr": lr,
        "weight_decay": weight_decay,
        "seed": seed,
    }
    history = fit(
        backbone,
        step,
        validate,
        n=len(Z_train),
        **optimiser,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
        progress=progress or "",
    )
    history.rivals = rivals(*(part.cpu().numpy() for part in (hidden_val, torch.nan_to_num(Z_val), scored)))
    ahead = min(history.rivals, key=history.rivals.get)
    behind = history.best > history.rivals[ahead]
    if progress or (behind and progress is not None):
        said = ", ".join(f"{name} {error:.4f}" for name, error in history.rivals.items())
        verdict = f"; {backbone.name} ({history.best:.4f}) is behind {ahead}" if behind else ""
        print(f"{progress or backbone.name}: on the same hidden values {said}{verdict}.", flush=True)
    remember_training(backbone, X_train, history, {"pattern": pattern, "rate": rate, **optimiser})
    return history
