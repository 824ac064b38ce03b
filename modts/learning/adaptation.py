"""What starts pretrained and what may train: one axis from frozen to end-to-end.

| arm         | starts from         | trains                  |
|-------------|---------------------|-------------------------|
| untrained   | random weights      | the head                |
| frozen      | pretrained weights  | the head                |
| finetune    | pretrained weights  | everything              |
| e2e         | random weights      | everything              |
| e2e_shipped | random weights      | PyPOTS's own classifier |

finetune and e2e keep the backbone's reconstruction loss as an auxiliary term, on inputs with the same artificial gaps as in pretraining;
e2e_shipped is PyPOTS's classification module with its own loss, as arXiv 2411.03941 used it. All arms go through training.fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import scores
from .backbones import Backbone, accelerate, classifier_settings, core, pypots
from .errors import ModtsError, choose
from .heads import STEPS, Head, task_loss
from .latents import live, read
from .missingness import mask, seeded
from .scaling import Scaler
from .training import History, epoch_seed, fit


@dataclass(frozen=True)
class Adaptation:
    """start: "pretrained" or "random"; train: "head", "all", or "shipped" (PyPOTS's classifier)."""

    start: str
    train: str


ARMS = {
    "untrained": Adaptation("random", "head"),
    "frozen": Adaptation("pretrained", "head"),
    "finetune": Adaptation("pretrained", "all"),
    "e2e": Adaptation("random", "all"),
    "e2e_shipped": Adaptation("random", "shipped"),
}


@dataclass(frozen=True)
class Labels:
    """Targets of one split, ready for the loss and the scores. y : (N,) 0/1, or (N, T) z-scores with NaN where not observed."""

    task: str
    y: np.ndarray

    @property
    def seen(self) -> np.ndarray | None:
        return None if self.task == "classification" else ~np.isnan(self.y)

    @property
    def n_outputs(self) -> int:
        return 1 if self.task == "classification" else self.y.shape[1]

    def take(self, indices) -> Labels:
        return Labels(self.task, self.y[indices])

    def validate(self, output: torch.Tensor) -> float:
        """Early stopping's score: AUROC (higher is better), or mean squared error."""
        if self.task == "classification":
            return scores.auroc(self.y, output[:, 0].numpy())
        return scores.mse(np.nan_to_num(self.y), output.numpy(), self.seen)


def labels(cohort) -> tuple[dict[str, Labels], Scaler | None]:
    """Targets per split; regression targets are standardised with training statistics only."""
    parts = {name: cohort.part(name)[1] for name in ("train", "val", "test")}
    if cohort.task == "classification":
        return {name: Labels(cohort.task, y.astype(np.int64)) for name, y in parts.items()}, None
    scaler = Scaler.fit(parts["train"][..., None])
    return {name: Labels(cohort.task, scaler.transform(y[..., None])[..., 0]) for name, y in parts.items()}, scaler


class Whole(nn.Module):
    """Backbone, pooling and head as one network that may train as a whole."""

    def __init__(self, backbone: Backbone, head: Head, pooling: str, auxiliary: float):
        super().__init__()
        self.backbone, self.head, self.pooling, self.auxiliary = backbone, head, pooling, auxiliary

    def forward(self, Z: torch.Tensor) -> torch.Tensor:
        return self.head(read(self.backbone, Z, self.pooling))

    def loss(self, hidden: torch.Tensor, Z: torch.Tensor, task: str, y: torch.Tensor) -> torch.Tensor:
        results, latent = live(self.backbone, hidden, self.pooling, Z)
        return (
            task_loss(task, self.head(latent), y)
            + self.auxiliary * self.backbone.reconstruction_scale() * results["loss"]
        )


class Shipped(nn.Module):
    """PyPOTS's own end-to-end classifier, with its own loss, sizes as the backbone's."""

    auxiliary = 0.0  # PyPOTS's classifiers see the values as they are

    def __init__(self, backbone: Backbone, seed: int):
        super().__init__()
        with seeded(seed):
            loss = pypots("nn.modules.loss").CrossEntropy()
            self.module = core(backbone.name, "classification")(
                n_classes=2, n_steps=backbone.n_steps, n_features=len(backbone.features), training_loss=loss, validation_metric=loss,
                **backbone.config, **classifier_settings(backbone.name),
            )  # fmt: skip
        accelerate(self.module, backbone.row.kind)
        self.inputs = partial(backbone.inputs, shipped=True)

    def forward(self, Z: torch.Tensor) -> torch.Tensor:
        probability = self.module(self.inputs(Z))["classification_proba"][:, 1:]
        return torch.logit(probability, eps=1e-7)

    def loss(self, hidden: torch.Tensor, Z: torch.Tensor, task: str, y: torch.Tensor) -> torch.Tensor:
        return self.module({**self.inputs(hidden, Z), "y": y.long()}, calc_criterion=True)["loss"]


@torch.no_grad()
def outputs(model: nn.Module, Z: torch.Tensor, batch_size: int = 256) -> torch.Tensor:
    """Evaluation-mode outputs (N, K) on the CPU."""
    model.eval()
    return torch.cat([model(part).cpu() for part in Z.split(batch_size)])


@dataclass
class Outcome:
    """A trained arm: what it predicts for the test windows (probability, or z-scored target), and how it got there."""

    prediction: np.ndarray
    validation: float
    history: History
    model: nn.Module


def stretch(n_train: int, n_labelled: int) -> int:
    """Few labels make short epochs: so many times the epochs and the patience (at most 3), so that no arm is starved of steps."""
    return max(1, min(3, round((n_train / n_labelled) ** 0.5)))


def adapt(
    arm: str,
    head: str,
    targets: dict[str, Labels],
    labelled: np.ndarray,
    *,
    latents: dict[str, np.ndarray] | None = None,
    backbone: Backbone | None = None,
    windows: dict[str, np.ndarray] | None = None,
    pooling: str = "paper",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    epochs: int = 50,
    patience: int = 8,
    batch_size: int = 128,
    auxiliary: float = 1.0,
    pattern: str = "point",
    rate: float = 0.1,
    seed: int = 0,
    checkpoint: Path | None = None,
) -> Outcome:
    """Train one arm and predict the test windows.

    Parameters
    ----------
    arm : a key of ARMS.
    head : "simple" or "complex" (ignored by e2e_shipped, which brings its own).
    targets : Labels of "train", "val", "test".
    labelled : indices into the training split whose labels may be used.
    latents : (N, D) per split, for arms that train the head only: full-batch, heads.STEPS steps an epoch (many at once: `sweep.sweep`).
    backbone, windows : backbone at its starting weights and raw windows (N, T, F) per split, for arms that train everything.
    auxiliary : weight of the reconstruction loss beside the task's.
    """
    setting = ARMS[choose(arm, ARMS, "arm")]
    task, y = targets["train"].task, torch.from_numpy(targets["train"].y[labelled])
    n_outputs, n = targets["train"].n_outputs, len(labelled)
    if setting.train == "head":
        if latents is None:
            raise ModtsError(f"Arm {arm!r} trains on extracted latents; none were given.")
        data = {name: torch.from_numpy(values) for name, values in latents.items()}
        Z = data["train"][labelled]
        model = Head(head, Z.shape[1], n_outputs, seed=seed).standardise(data["train"])

        def step(_):
            return task_loss(task, model(Z), y)

        on_epoch = None
        run = {
            "n": STEPS,
            "batch_size": 1,
            "epochs": epochs,
            "patience": patience,
        }  # an epoch: so many steps on all labels
    else:
        if setting.train == "shipped" and task != "classification":
            raise ModtsError(
                "PyPOTS ships no end-to-end regression model, so arm 'e2e_shipped' exists for classification only."
            )
        data = {name: backbone.tensor(values) for name, values in windows.items()}
        raw, Z, y = windows["train"][labelled], data["train"][labelled], y.to(backbone.device)
        if setting.train == "shipped":
            model = Shipped(backbone, seed).to(backbone.device)
        else:
            size = read(backbone.eval(), Z[:2], pooling).detach()
            model = Whole(backbone, Head(head, size.shape[1], n_outputs, seed=seed), pooling, auxiliary).to(
                backbone.device
            )
            with torch.no_grad():
                start = torch.cat([read(backbone, part, pooling) for part in data["train"].split(256)])
            model.head.standardise(start)
        now = {"Z": Z}

        def step(i):
            return model.loss(now["Z"][i], Z[i], task, y[i])

        def on_epoch(epoch_start):
            if model.auxiliary:
                now["Z"] = backbone.tensor(mask(raw, pattern, rate, seed=epoch_start))

        more = stretch(len(targets["train"].y), n)
        run = {
            "n": n,
            "batch_size": min(batch_size, max(16, n // 8)),
            "epochs": epochs * more,
            "patience": patience * more,
        }

    history = fit(
        model, step, lambda: targets["val"].validate(outputs(model, data["val"])), lr=lr, weight_decay=weight_decay,
        seed=epoch_seed(seed, 0), lower_is_better=task != "classification", on_epoch=on_epoch, checkpoint=checkpoint, **run,
    )  # fmt: skip
    return outcome(task, model, history, data["test"])


def outcome(task: str, model: nn.Module, history: History, test: torch.Tensor) -> Outcome:
    """What a trained model predicts for the test windows (or latents), seen here for the first time."""
    output = outputs(model, test)
    prediction = torch.sigmoid(output[:, 0]) if task == "classification" else output
    return Outcome(prediction.numpy().astype(np.float32), float(history.best), history, model)
