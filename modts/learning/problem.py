"""What a baseline is asked: the labelled windows and their targets, those of validation to choose by, and the way back to raw units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modts.cohorts import TASKS
from modts.errors import ModtsError

from . import scores
from .targets import Labels


class Problem:
    """The labelled training rows and the validation rows of a cohort. The test split is not in it.

    Parameters
    ----------
    cohort : modts.Cohort
    labelled : int array
        Rows of the training split whose labels may be used.
    class_weight
        See `labels`.
    label : int, optional
        One of several labels (multilabel): a yes or no of its own, on the rows where it is known.

    Attributes
    ----------
    task : str
        Of the cohort; classification for one of several labels.
    chances, every_step : bool
        Whether answers are probabilities; whether there is one at every step.
    X, X_val : (N, T, F) float32
        Raw windows, NaN = missing. Rows without a target are left out where there is one a window.
    windows, windows_val : (X, (N,) steps or None)
        The same with the steps of each, where series end before their window: what readers read.
    used, used_val : (n,) bool
        Which of the labelled rows and of the validation rows these are.
    y, y_val : (N,) int64 classes, (N, T) 0 or 1 with NaN, or (N,) or (N, T) numbers
        Numbers are standardised by the labelled rows, NaN = not observed.
    weight : float array in the shape of y, or None
        What each target counts in the loss.
    n_outputs : int
        Classes of a multiclass task, else 1.
    n_train : int
        Rows of the whole training split.
    """

    def __init__(self, cohort, labelled, class_weight=None, label: int | None = None):
        labelled, (X_val, y_val) = np.asarray(labelled), cohort.part("val")
        X, y = cohort.X[labelled], cohort.y[labelled]
        self.task = cohort.task
        if label is not None:
            self.task, y, y_val = "classification", y[:, label], y_val[:, label]
        self.chances, self.every_step = TASKS[self.task].probability, y.ndim == 2
        self.n_train, self.n_steps = len(cohort.splits["train"]), cohort.n_steps
        self.used, self.used_val = (
            np.ones(len(part), bool) if self.every_step else ~np.isnan(part) for part in (y, y_val)
        )
        self.X, y, self.X_val, y_val = X[self.used], y[self.used], X_val[self.used_val], y_val[self.used_val]
        ends, ends_val = (
            (None, None) if cohort.lengths is None else (cohort.lengths[labelled], cohort.lengths_of("val"))
        )
        self.windows = self.X, None if ends is None else ends[self.used]
        self.windows_val = self.X_val, None if ends is None else ends_val[self.used_val]
        classes = cohort.classes if self.task == "multiclass" else ()
        self.n_outputs, self.weight = len(classes) or 1, None
        if self.chances:
            y, y_val = (part if self.every_step else part.astype(np.int64) for part in (y, y_val))
            self.weight = Labels(self.task, y, classes, class_weight).weights()
            self._classes(y)
        else:
            y, y_val = y.astype(np.float64), y_val.astype(np.float64)
            seen, seen_val = ~np.isnan(y), ~np.isnan(y_val)
            if not seen.any() or not seen_val.any():
                raise ModtsError(
                    f"Regression needs observed targets: the labelled rows have {seen.sum()}, validation {seen_val.sum()}."
                )
            self.centre, self.scale = y[seen].mean(), y[seen].std() or 1.0
            y, y_val = (y - self.centre) / self.scale, (y_val - self.centre) / self.scale
        self.y, self.y_val, self.labels = y, y_val, Labels(self.task, y_val, classes)

    def _classes(self, y):
        found = len(np.unique(y[~np.isnan(y)]))
        if found < max(2, self.n_outputs):
            lack = "hold one class only" if found < 2 else "lack a class"
            raise ModtsError(f"The {len(y)} labelled rows {lack}: give a larger label fraction or another seed.")

    def judge(self, p) -> float:
        """Score of a validation prediction, (N,), (N, K) or (N, T): AUROC, or minus the mean absolute error. Higher is better."""
        if not self.chances:
            return -scores.mae(self.y_val, p)
        if self.every_step:
            seen = ~np.isnan(self.y_val)
            return scores.auroc(self.y_val[seen].astype(np.int64), p[seen])
        return scores.auroc(self.y_val, p, task=self.task)

    def answer(self, predict: Callable) -> Callable:
        """Windows (as `windows`) -> probabilities, or targets in raw units, from what predicts standardised ones."""
        return predict if self.chances else lambda windows: predict(windows) * self.scale + self.centre


def solved(cohort, labelled, class_weight, record: dict, fit: Callable) -> Callable:
    """What answers windows: `fit(problem, record)` for the one problem of a cohort, or for each of several labels alone."""
    if cohort.task != "multilabel":
        return fit(Problem(cohort, labelled, class_weight), record)
    each = []  # a model for each label, on the rows where it is known
    for place, label in enumerate(cohort.classes):
        record[label] = {}
        each.append(fit(Problem(cohort, labelled, class_weight, place), record[label]))
    about = [record[label] for label in cohort.classes]
    record["validation"] = float(np.mean([one["validation"] for one in about]))
    if "capped" in about[0]:
        record["capped"] = any(one["capped"] for one in about)
    return lambda windows: np.stack([predict(windows) for predict in each], axis=1)
