"""What scikit-learn's users give: windows and targets as arrays, checked in its words, as what is trained on here."""

from __future__ import annotations

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from modts.backbones import Scaler
from modts.cohorts import class_name, lacking, pad, strata, task_of
from modts.errors import ModtsError

from .holdout import held_out
from .targets import Labels


def given_windows(X, padded: bool = False) -> np.ndarray:
    """Windows (N, T, F) float32 with NaN; where series are `padded` also from a list of (T_i, F) arrays.

    Raises
    ------
    ModtsError
        Another number of dimensions, or an empty side.
    """
    allowed = {"dtype": np.float32, "ensure_all_finite": "allow-nan", "input_name": "X"}
    if padded and isinstance(X, (list, tuple)):
        X = pad([check_array(x, **allowed) for x in X], "X")
    X = check_array(X, allow_nd=True, ensure_2d=False, **allowed)
    if X.ndim != 3 or 0 in X.shape:
        raise ModtsError(f"X must have shape (windows, steps, features) with no empty side, not {X.shape}.")
    return X


def given_classes(estimator, X: np.ndarray, y, seed: int, groups=None) -> tuple[np.ndarray, Labels, tuple]:
    """The classes, (K,), the labels, and the rows to train on and to hold out, in the classes' proportions.

    y : (N,) one class a window; (N, K) a yes or no to each label, or at every step where K is T.

    Raises
    ------
    ModtsError
        A missing label, fewer than two classes, or a side that lacks a class, or a yes or a no.
    """
    classes, labels = _classes(X, _present(estimator, y), estimator.class_weight)
    rows = held_out(len(X), estimator.validation, seed, strata(labels.task, labels.y), groups)
    for part, side in zip(rows, ("trained on", "held out"), strict=True):
        lacks = lacking(labels.task, labels.y[part], labels.classes)
        if lacks:
            raise ModtsError(f"What is {side} {lacks}; give more windows, or another random_state.")
    return classes, labels, rows


def _classes(X, y, class_weight) -> tuple[np.ndarray, Labels]:
    if y.ndim == 2 and y.shape[1] > 1:
        y = check_array(y, dtype=np.float32, ensure_all_finite="allow-nan", input_name="y")
        check_consistent_length(X, y)
        task = task_of(y, X.shape[1])
        if task == "regression":
            raise ModtsError("y of several columns must hold 0, 1 and NaN alone (unknown label type otherwise).")
        names = tuple(map(str, range(y.shape[1]))) if task == "multilabel" else ()
        return np.arange(y.shape[1]), Labels(task, y, names, class_weight)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ModtsError("Input y contains NaN or infinity; every window needs a label.")
    check_classification_targets(y)
    check_consistent_length(X, y)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ModtsError(f"y must hold two classes or more, not 1 class: {classes.tolist()}.")
    names = tuple(class_name(name) for name in classes.tolist())
    task = "classification" if len(classes) == 2 else "multiclass"
    return classes, Labels(task, labels.astype(np.int64), names, class_weight)


def given_numbers(estimator, X: np.ndarray, y, seed: int, groups=None) -> tuple[Labels, Scaler, tuple]:
    """Targets (N,) or (N, K), NaN where one of several is not known, as z-scores by the rows that are trained on; the scaler; the rows.

    Raises
    ------
    ModtsError
        A window whose only target is missing, or a side without any number.
    """
    if estimator.class_weight is not None:
        raise ModtsError("class_weight is for classes, not for numbers.")
    y = check_array(_present(estimator, y), dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan")
    check_consistent_length(X, y)
    y = column_or_1d(y, warn=True)[:, None] if y.ndim == 1 or y.shape[1] == 1 else y
    if y.shape[1] == 1 and np.isnan(y).any():
        raise ModtsError("Input y contains NaN; a window with one target needs it.")
    rows = held_out(len(X), estimator.validation, seed, None, groups)
    if np.isnan(y[rows[0]]).all() or np.isnan(y[rows[1]]).all():
        raise ModtsError("y holds no number in the training or in the held-out windows.")
    scaler = Scaler.fit(y[rows[0]][..., None])
    return Labels("regression", scaler.transform(y[..., None])[..., 0]), scaler, rows


def given_halves(estimator, X: np.ndarray, y, seed: int, groups=None) -> tuple[np.ndarray, np.ndarray]:
    """The rows to pretrain on and to hold out, in the proportions of y (N,) where it holds classes that both sides can have."""
    y = None if y is None else np.asarray(y)
    if y is not None:
        values, counts = np.unique(y, return_counts=True) if y.ndim == 1 else ((), np.zeros(1))
        y = y if 2 <= len(values) <= 20 and counts.min() >= 2 else None
    return held_out(len(X), estimator.validation, seed, y, groups)


def vector_width(backbone, X: np.ndarray, pooling: str) -> int:
    """How many numbers the latent of a window has.

    Raises
    ------
    ModtsError
        A pooling that gives more than one vector.
    """
    shape = backbone.latents(X, pooling).shape
    if len(shape) > 2:
        raise ModtsError(
            f"Pooling {pooling!r} gives latents {shape[1:]} of a window, and a transformer gives one vector; choose another pooling."
        )
    return shape[1]


def _present(estimator, y) -> np.ndarray:
    """y as an array; its absence in scikit-learn's words."""
    if y is None:
        raise ModtsError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    return np.asarray(y)
