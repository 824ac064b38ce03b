"""What is predicted: the targets of each split, ready for the loss and the scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from modts.backbones import Scaler
from modts.cohorts import TASKS
from modts.errors import ModtsError

from . import scores
from .weights import of_classes


@dataclass(frozen=True)
class Labels:
    """Targets of one split, ready for the loss and the scores.

    y : (N,) 0/1 or the number of a class; or (N, K) 0/1 with NaN where not known (one of K labels, or of K steps); or (N, K) z-scores with NaN
        where not observed, K = T, or 1 for one number a stay.
    classes : names of the classes (multiclass) or labels (multilabel), or of the no and the yes of a classification.
    class_weight : None, "balanced", or a dictionary of class (or 0 and 1) -> weight: see `weights`.
    """

    task: str
    y: np.ndarray
    classes: tuple[str, ...] = ()
    class_weight: str | dict | None = None

    @property
    def seen(self) -> np.ndarray | None:
        return None if self.y.ndim == 1 else ~np.isnan(self.y)

    @property
    def n_outputs(self) -> int:
        return (
            1 if self.task == "classification" else len(self.classes) if self.task == "multiclass" else self.y.shape[1]
        )

    @property
    def higher_is_better(self) -> bool:
        """Of `validate`."""
        return TASKS[self.task].probability

    def take(self, indices) -> Labels:
        return Labels(self.task, self.y[indices], self.classes, self.class_weight)

    def columns(self) -> np.ndarray:
        """(N, K) float32, what each output is compared with: for multiclass 1 in the column of the class, 0 elsewhere."""
        if self.task == "multiclass":
            return (self.y[:, None] == np.arange(self.n_outputs)).astype(np.float32)
        return self.y.astype(np.float32).reshape(len(self.y), -1)

    def weights(self, rows=slice(None)) -> np.ndarray | None:
        """What each target of the rows counts in the loss, in the shape of y, float32, 1 on average; None where all count alike."""
        each = of_classes(self.take(rows))
        return None if each is None else each[0]

    def validate(self, output: torch.Tensor) -> float:
        """Early stopping's score: AUROC (higher is better; of several classes or labels the mean), or mean squared error."""
        if self.task == "classification":
            return scores.auroc(self.y, output[:, 0].numpy())
        if TASKS[self.task].probability:
            return scores.auroc(self.y, ranked(self.task, output).numpy(), task=self.task)
        return scores.mse(np.nan_to_num(self.y), output.numpy(), self.seen)


def ranked(task: str, output: torch.Tensor) -> torch.Tensor:
    """Outputs (..., K) in the order of their probabilities: those themselves for several classes, else the logits, whose order is the same."""
    return output.softmax(-1) if task == "multiclass" else output


def answer(task: str, output: torch.Tensor) -> torch.Tensor:
    """Outputs of a head (N, K) -> probabilities (N,) of a yes, (N, K) of several classes, labels or steps, or numbers (N, K) as they are."""
    if task == "classification":
        return output[:, 0].sigmoid()
    kind = TASKS[task].answer
    return output.softmax(-1) if kind == "one of several" else output.sigmoid() if kind == "yes or no" else output


def labels(
    cohort, class_weight: str | dict | None = None, labelled: np.ndarray | None = None
) -> tuple[dict[str, Labels], Scaler | None]:
    """Targets per split; regression targets are standardised with training statistics only.

    Parameters
    ----------
    cohort : Cohort
    class_weight : {None, "balanced"} or dict, optional
        What a class counts in the loss: "balanced", as many times as it is rarer (as in scikit-learn), or class -> weight (0 and 1 where the
        answer is a yes or no). Weights are scaled to be 1 on average. What is answered then is no longer how often a class comes (balanced, a
        rare one seems as frequent as the others): calibrate where a probability is needed.
    labelled : (n,) array of int, optional
        Positions in the training split whose targets may be looked at: mean and deviation are theirs. All of them unless given.

    Returns
    -------
    targets : dict of str to Labels
        Of "train", "val" and "test".
    scaler : Scaler or None
        Takes a regression's predictions back to raw units; None for all other tasks.

    Raises
    ------
    ModtsError
        A cohort without labels, or class weights that do not fit.
    """
    if cohort.task == "imputation":
        raise ModtsError(
            f"Cohort {cohort.name!r} has no label to predict: it can be pretrained on and imputed, no more."
        )
    parts = {name: cohort.part(name)[1] for name in ("train", "val", "test")}
    if TASKS[cohort.task].probability:
        made = {name: Labels(cohort.task, y, cohort.classes, class_weight) for name, y in parts.items()}
        of_classes(made["train"])  # refuses what does not fit
        return made, None
    if class_weight is not None:
        raise ModtsError(f"class_weight is for classes, and cohort {cohort.name!r} has numbers to predict.")
    parts = {name: y[:, None] if y.ndim == 1 else y for name, y in parts.items()}  # (N, K)
    scaler = Scaler.fit((parts["train"] if labelled is None else parts["train"][labelled])[..., None])
    return {name: Labels(cohort.task, scaler.transform(y[..., None])[..., 0]) for name, y in parts.items()}, scaler
