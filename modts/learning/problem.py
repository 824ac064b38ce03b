"""What a baseline is asked: the labelled windows and their targets, those of validation to choose by, and the way back to raw units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modts.errors import ModtsError

from . import scores


class Problem:
    """The labelled training rows and the validation rows of a cohort. The test split is not in it.

    Attributes
    ----------
    kind : {"label", "number", "steps"}
        One class a stay, one number a stay, or a target at every step.
    X, X_val : (N, T, F) float32
        Raw windows, NaN = missing; of numbers only the rows that have one.
    y, y_val : (N,) int64 classes, or (N,) or (N, T) float64
        Numbers are standardised by the labelled rows, NaN = not observed.
    n_train : int
        Rows of the whole training split.
    task : {"classification", "regression"}
    """

    def __init__(self, cohort, labelled):
        labelled, (X_val, y_val) = np.asarray(labelled), cohort.part("val")
        X, y = cohort.X[labelled], cohort.y[labelled]
        self.task, self.n_train, self.n_steps = cohort.task, len(cohort.splits["train"]), cohort.n_steps
        if cohort.task == "classification":
            if len(np.unique(y)) < 2:
                raise ModtsError(
                    f"The {len(y)} labelled rows hold one class only: give a larger label fraction or another seed."
                )
            self.kind, self.X, self.y, self.X_val, self.y_val = "label", X, y, X_val, y_val
            return
        y, y_val = y.astype(np.float64), y_val.astype(np.float64)
        seen, seen_val = ~np.isnan(y), ~np.isnan(y_val)
        if not seen.any() or not seen_val.any():
            raise ModtsError(
                f"Regression needs observed targets: the labelled rows have {seen.sum()}, validation {seen_val.sum()}."
            )
        self.kind = "steps" if y.ndim == 2 else "number"
        if self.kind == "number":
            X, y, X_val, y_val = X[seen], y[seen], X_val[seen_val], y_val[seen_val]
        self.centre, self.scale = np.nanmean(y), np.nanstd(y) or 1.0
        self.X, self.y, self.X_val, self.y_val = X, self._z(y), X_val, self._z(y_val)

    def _z(self, y):
        return (y - self.centre) / self.scale

    def judge(self, p) -> float:
        """Score of a validation prediction in the shape of `y_val`, higher is better: AUROC, or minus the mean absolute error."""
        if self.kind == "label":
            return scores.auroc(self.y_val, p)
        return -scores.mae(self.y_val, p)

    def answer(self, predict: Callable) -> Callable:
        """(N, T, F) raw windows -> the chance of class 1, or targets in raw units, from what predicts standardised ones."""
        if self.kind == "label":
            return predict
        return lambda X: predict(X) * self.scale + self.centre
