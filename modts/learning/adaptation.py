"""What starts pretrained and what may train: one axis from frozen to end-to-end.

| arm         | starts from         | trains                  |
|-------------|---------------------|-------------------------|
| untrained   | random weights      | the head                |
| frozen      | pretrained weights  | the head                |
| norm        | pretrained weights  | normalisation layers    |
| last_block  | pretrained weights  | the last block          |
| lora        | pretrained weights  | low-rank additions      |
| finetune    | pretrained weights  | everything              |
| e2e         | random weights      | everything              |
| e2e_shipped | random weights      | PyPOTS's own classifier |

All train the head as well; norm, last_block and lora: see parts. Who trains more than the head keeps the backbone's reconstruction loss as
an auxiliary term, on inputs with the same artificial gaps as in pretraining; e2e_shipped is PyPOTS's classification module with its own loss, as
arXiv 2411.03941 used it. All arms go through training.fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.backbones import (
    BACKBONES,
    Backbone,
    accelerate,
    classifier_settings,
    core,
    live,
    pypots,
    read,
    ships_classifier,
)
from modts.cohorts import seeded
from modts.errors import ModtsError, choose

from .batches import Windows
from .heads import STEPS, Head, task_loss
from .parts import PARTS, training_only
from .targets import Labels, answer
from .training import History, fit


@dataclass(frozen=True)
class Adaptation:
    """start: "pretrained" or "random"; train: "head", one of parts.PARTS beside it, "all", or "shipped" (PyPOTS's classifier)."""

    start: str
    train: str


SHIPPED_TASKS = ("classification", "multiclass")  # what PyPOTS's classifiers are made for
ARMS = {
    "untrained": Adaptation("random", "head"),
    "frozen": Adaptation("pretrained", "head"),
    **{part: Adaptation("pretrained", part) for part in PARTS},
    "finetune": Adaptation("pretrained", "all"),
    "e2e": Adaptation("random", "all"),
    "e2e_shipped": Adaptation("random", "shipped"),
}


class Whole(nn.Module):
    """Backbone, pooling and head as one network that may train as a whole."""

    def __init__(self, backbone: Backbone, head: Head, pooling: str, auxiliary: float):
        super().__init__()
        self.backbone, self.head, self.pooling, self.auxiliary = backbone, head, pooling, auxiliary

    def forward(self, Z: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(read(self.backbone, Z, self.pooling, lengths))

    def loss(self, hidden, Z, task: str, y: torch.Tensor, weight=None, lengths=None) -> torch.Tensor:
        results, latent = live(self.backbone, hidden, self.pooling, Z, lengths)
        return (
            task_loss(task, self.head(latent), y, weight)
            + self.auxiliary * self.backbone.reconstruction_scale() * results["loss"]
        )


class Shipped(nn.Module):
    """PyPOTS's own end-to-end classifier, with its own loss, sizes as the backbone's.

    n_outputs : as of a head: 1 for a yes or no, else the number of classes. It reads whole windows, missing behind a series' end.
    """

    auxiliary = 0.0  # PyPOTS's classifiers see the values as they are

    def __init__(self, backbone: Backbone, seed: int, n_outputs: int = 1):
        super().__init__()
        if not ships_classifier(backbone.name):
            names = ", ".join(filter(ships_classifier, BACKBONES))
            raise ModtsError(
                f"PyPOTS ships no end-to-end classifier for {backbone.name}, so arm 'e2e_shipped' exists for {names} only."
            )
        with seeded(seed):
            self.criterion = loss = pypots("nn.modules.loss").CrossEntropy()
            self.module = core(backbone.name, "classification")(
                n_classes=max(2, n_outputs),
                n_steps=backbone.n_steps,
                n_features=len(backbone.features),
                training_loss=loss,
                validation_metric=loss,
                **backbone.config,
                **classifier_settings(backbone.name),
            )
        accelerate(self.module, backbone.row.kind)
        self.inputs, self.n_outputs = partial(backbone.inputs, shipped=True), n_outputs

    def forward(self, Z: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        probability = self.module(self.inputs(Z))["classification_proba"]
        if self.n_outputs > 1:
            return probability.clamp(min=1e-7).log()  # of which softmax makes the probabilities again
        return torch.logit(probability[:, 1:], eps=1e-7)

    def loss(self, hidden, Z, task: str, y: torch.Tensor, weight=None, lengths=None) -> torch.Tensor:
        def weighted(logits, wanted):
            return (nn.functional.cross_entropy(logits, wanted, reduction="none") * weight).mean()

        self.criterion.forward = type(self.criterion).forward.__get__(self.criterion) if weight is None else weighted
        return self.module({**self.inputs(hidden, Z), "y": y.long()}, calc_criterion=True)["loss"]


@torch.no_grad()
def outputs(model: nn.Module, Z: torch.Tensor | Windows, batch_size: int = 256) -> torch.Tensor:
    """Evaluation-mode outputs (N, K) on the CPU, for latents or windows."""
    model.eval()
    parts = Z.split(batch_size)
    return torch.cat([model(*(part if isinstance(part, tuple) else (part,))).cpu() for part in parts])


@dataclass
class Outcome:
    """A trained arm: what it predicts for the test windows (probabilities, or z-scored targets; see `answer`), and how it got there."""

    prediction: np.ndarray
    validation: float
    history: History
    model: nn.Module


@dataclass(frozen=True)
class Training:
    """How an arm is trained.

    Attributes
    ----------
    lr, weight_decay
        Of Adam; biases and the parameters of normalisation layers do not decay.
    epochs, patience
        At most so many epochs; stop after `patience` of them without a better validation score. An epoch is as many steps as all training
        windows make, however few of them have labels: those are gone through again, so that no label fraction is starved of steps.
    batch_size
        Of arms that train everything, at most an eighth of the labelled rows (but 16); a head takes all labelled rows at once.
    schedule, clip
        Of arms that train everything: the learning rate "constant" or annealed ("cosine") to 0 at the cap, and the largest norm of all
        gradients together (0 for none).
    auxiliary
        Weight of the reconstruction loss beside the task's.
    pattern, rate
        Artificial missingness while everything trains.
    lora_rank
        Of the low-rank additions of arm "lora".
    seed
        Initialises the head and orders the batches.
    checkpoint
        Resume from, and write to, this file after every epoch.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    epochs: int = 50
    patience: int = 8
    batch_size: int = 128
    schedule: str = "constant"
    clip: float = 0.0
    auxiliary: float = 1.0
    pattern: str = "point"
    rate: float = 0.1
    lora_rank: int = 4
    seed: int = 0
    checkpoint: Path | None = None


HEAD_ALONE = Training(lr=1e-2, epochs=200, patience=40)  # as the notebook's heads


def adapt(
    arm: str,
    head: str,
    targets: dict[str, Labels],
    labelled: np.ndarray,
    *,
    latents: dict[str, np.ndarray] | None = None,
    backbone: Backbone | None = None,
    windows: dict[str, np.ndarray] | None = None,
    lengths: dict[str, np.ndarray] | None = None,
    pooling: str = "paper",
    training: Training | None = None,
) -> Outcome:
    """Train one arm and predict the test windows.

    Parameters
    ----------
    arm : str
        A key of ARMS.
    head : {"simple", "complex"}
        Ignored by e2e_shipped, which brings its own.
    targets : dict of Labels
        Of "train", "val", "test".
    labelled : (n,) array of int
        Positions in the training split whose labels may be used, each once, and of more than one class; or what Cohort.labelled returns,
        as it is: its row numbers become positions.
    latents : dict of (N, D) or (N, T, D) arrays, optional
        Per split, for arms that train the head only: full-batch, heads.STEPS steps an epoch (many at once: `train_heads`).
    backbone, windows : Backbone and dict of (N, T, F) arrays, optional
        Starting weights, and raw windows per split, for arms that train more than the head; the backbone changes in place.
    lengths : dict of (N,) arrays, optional
        Per split, of windows in which series end early, padded with NaN (see modts.backbones.ends).
    pooling : str
        See modts.backbones.latents; for arms that train more than the head.
    training : Training, optional
        Default: `Training()`; for arms that train the head only `HEAD_ALONE`, since steps on all labels at once are few and cheap.

    Returns
    -------
    Outcome
        Its `prediction` of a regression is in standard deviations of training; `Predictor(..., target_scaler=)` answers in raw units.

    Raises
    ------
    ModtsError
        Unknown arm, no latents for an arm that trains on them, or PyPOTS's classifier asked for what it is not made for (it knows classes
        alone) or for a backbone of one's own, a last block that nobody named, or latents of every step without a target at every step.
    """
    setting = ARMS[choose(arm, ARMS, "arm")]
    training = training or (HEAD_ALONE if setting.train == "head" else Training())
    task, y = targets["train"].task, torch.from_numpy(targets["train"].y[labelled])
    weight = targets["train"].weights(labelled)
    weight = None if weight is None else torch.from_numpy(weight)
    if setting.train == "head":
        if latents is None:
            raise ModtsError(f"Arm {arm!r} trains on extracted latents; none were given.")
        data = {name: torch.from_numpy(values) for name, values in latents.items()}
        Z = data["train"][labelled]
        model = Head.reading(Z, head, targets["train"], seed=training.seed)
        model.standardise(data["train"]).begin(task, y, weight)

        def step(*_):
            return task_loss(task, model(Z), y, weight)

        run = {"n": 1, "batch_size": 1, "steps": STEPS}  # of all labels at once
    else:
        if setting.train == "shipped" and task not in SHIPPED_TASKS:
            raise ModtsError(
                f"PyPOTS ships no end-to-end {task} model, so arm 'e2e_shipped' exists for classification and multiclass only."
            )
        ends, hiding = lengths or {}, (training.pattern, training.rate)
        data = {name: Windows(backbone, X, *hiding, ends.get(name)) for name, X in windows.items()}
        y = y.to(backbone.device)
        if setting.train == "shipped":
            model = Shipped(backbone, training.seed, targets["train"].n_outputs).to(backbone.device)
        else:
            first = labelled[:2]
            some = read(backbone.eval(), data["train"](first), pooling, data["train"].lengths(first))
            model = Head.reading(some, head, targets["train"], seed=training.seed)
            model = Whole(backbone, model, pooling, training.auxiliary).to(backbone.device)
            with torch.no_grad():
                start = torch.cat([read(backbone, part, pooling, ends) for part, ends in data["train"].split()])
            model.head.standardise(start).begin(task, y, weight)

        def step(i, batch_seed):
            rows = labelled[i.numpy()]
            hidden, Z = data["train"].masked(rows, batch_seed) if model.auxiliary else [data["train"](rows)] * 2
            counts = None if weight is None else weight[i].to(backbone.device)
            return model.loss(hidden, Z, task, y[i], counts, data["train"].lengths(rows))

        every = len(data["train"])
        run = {
            "n": len(labelled),
            "batch_size": _batch(training, len(labelled)),
            "steps": math.ceil(every / _batch(training, every)),
            "schedule": training.schedule,
            "clip": training.clip,
        }

    with training_only(backbone, setting.train, training.lora_rank, training.seed):
        history = fit(
            model,
            step,
            lambda: targets["val"].validate(outputs(model, data["val"])),
            epochs=training.epochs,
            patience=training.patience,
            lr=training.lr,
            weight_decay=training.weight_decay,
            seed=runs.epoch_seed(training.seed, 0),
            lower_is_better=not targets["val"].higher_is_better,
            checkpoint=training.checkpoint,
            **run,
        )
    return outcome(task, model, history, data["test"])


def _batch(training: Training, rows: int) -> int:
    """Windows of a batch when so many have labels."""
    return min(training.batch_size, max(16, rows // 8))


def outcome(task: str, model: nn.Module, history: History, test: torch.Tensor | Windows) -> Outcome:
    """What a trained model predicts for the test windows (or latents), seen here for the first time."""
    output = outputs(model, test)
    return Outcome(answer(task, output).numpy().astype(np.float32), float(history.best), history, model)
