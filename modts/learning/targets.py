"""What is predicted: the targets of each split, ready for the loss and the scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from modts.backbones import Scaler
from modts.errors import ModtsError

from . import scores


@dataclass(frozen=True)
class Labels:
    """Targets of one split, ready for the loss and the scores.

    y : (N,) 0/1, or (N, K) z-scores with NaN where not observed; K = T, or 1 for one number a stay.
    """

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


def labels(cohort, labelled: np.ndarray | None = None) -> tuple[dict[str, Labels], Scaler | None]:
    """Targets per split; regression targets are standardised with training statistics only.

    Parameters
    ----------
    cohort : Cohort
    labelled : (n,) array of int, optional
        Positions in the training split whose targets may be looked at: mean and deviation are theirs. All of them unless given.

    Returns
    -------
    targets : dict of str to Labels
        Of "train", "val" and "test".
    scaler : Scaler or None
        Takes a regression's predictions back to raw units; None in classification.

    Raises
    ------
    ModtsError
        A cohort without labels.
    """
    if cohort.task == "imputation":
        raise ModtsError(
            f"Cohort {cohort.name!r} has no label to predict: it can be pretrained on and imputed, no more."
        )
    parts = {name: cohort.part(name)[1] for name in ("train", "val", "test")}
    if cohort.task == "classification":
        return {name: Labels(cohort.task, y.astype(np.int64)) for name, y in parts.items()}, None
    parts = {name: y[:, None] if y.ndim == 1 else y for name, y in parts.items()}  # (N, K)
    scaler = Scaler.fit((parts["train"] if labelled is None else parts["train"][labelled])[..., None])
    return {name: Labels(cohort.task, scaler.transform(y[..., None])[..., 0]) for name, y in parts.items()}, scaler
