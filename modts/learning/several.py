"""Scores of several classes, of several labels, and of a yes or no at every step, as functions of how often each stay counts.

Several classes: each against the rest, the mean over classes (macro). Several labels: the mean over labels. Steps: all steps of all stays as one
question; a stay brings all of its steps into a resample, because its steps are alike.
"""

from __future__ import annotations

import numpy as np

from modts.cohorts import strata
from modts.errors import ModtsError

from .scores import _Ranked

_CELLS = 2_000_000  # multiplicities of steps in memory at once (16 MB)


def _pair(task, y, p, mask):
    """y and p as float arrays, y NaN where nothing is scored."""
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if y.ndim != 2 or p.shape != y.shape:
        raise ModtsError(
            f"For {task} labels and scores must both have the shape (N, K), but they have {y.shape} and {p.shape}."
        )
    if mask is not None:
        if np.shape(mask) != y.shape:
            raise ModtsError(f"The mask must have the shape of the labels {y.shape}, but it has {np.shape(mask)}.")
        y = np.where(np.asarray(mask, dtype=bool), y, np.nan)
    return y, p


class Classes:
    """y (N,) numbers of classes, p (N, K) probabilities; mask is not used."""

    def __init__(self, y, p, mask=None):
        y, p = np.asarray(y), np.asarray(p, dtype=np.float64)
        if y.ndim != 1 or p.ndim != 2 or len(p) != len(y):
            raise ModtsError(
                f"For multiclass labels have the shape (N,) and scores (N, K), but they have {y.shape} and {p.shape}."
            )
        found = np.unique(y)
        if not np.isin(found, np.arange(p.shape[1])).all():
            raise ModtsError(f"Labels must be the numbers of {p.shape[1]} classes, but {found[:9].tolist()} was found.")
        absent = np.setdiff1d(np.arange(p.shape[1]), found)
        if len(absent):
            raise ModtsError(
                f"AUROC and AUPRC need every class, but no label is {int(absent[0])}: score a test set that holds all."
            )
        self.y, self.n, self.strata = y, len(y), y.astype(np.int64)
        self.each = [_Ranked((y == c).astype(np.int64), p[:, c]) for c in range(p.shape[1])]
        self.right = (p.argmax(1) == y).astype(np.float64)
        self.squares = np.square(p - (y[:, None] == np.arange(p.shape[1]))).sum(1)

    def values(self, weights, metrics):
        """(B, N) multiplicities -> {metric: (B,)}; "auroc:2" is that of class 2 alone."""
        weights = weights.astype(np.float64, copy=False)
        total, out = weights.sum(1), {}
        if "accuracy" in metrics:
            out["accuracy"] = weights @ self.right / total
        if "brier" in metrics:
            out["brier"] = weights @ self.squares / total
        return out | _each(self.each, [weights] * len(self.each), [m for m in metrics if m not in out])


class Marks:
    """y, p (N, K): a yes or no to each of K labels, NaN or masked where not known."""

    def __init__(self, y, p, mask=None):
        y, p = _pair("multilabel", y, p, mask)
        self.y, self.n = y, len(y)
        groups = strata("multilabel", y)
        self.strata = np.zeros(len(y), np.int64) if groups is None else groups
        self.rows = [np.flatnonzero(~np.isnan(column)) for column in y.T]
        self.each = [_Ranked(y[rows, k], p[rows, k]) for k, rows in enumerate(self.rows)]

    def values(self, weights, metrics):
        """(B, N) multiplicities -> {metric: (B,)}; "auroc:2" is that of label 2 alone."""
        weights = weights.astype(np.float64, copy=False)
        return _each(self.each, [weights[:, rows] for rows in self.rows], metrics)


def _each(scorers, weights, metrics):
    """The mean of a metric over scorers, or that of one of them; NaN where a resample leaves one of its classes out."""
    plain = tuple(dict.fromkeys(metric.partition(":")[0] for metric in metrics))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [scorer.values(part, plain) for scorer, part in zip(scorers, weights, strict=True)]
    out = {}
    for metric in metrics:
        name, one, k = metric.partition(":")
        out[metric] = found[int(k)][name] if one else np.mean([value[name] for value in found], axis=0)
    return out


class Steps:
    """y, p (N, T): a yes or no at every step, NaN or masked where not known."""

    def __init__(self, y, p, mask=None):
        y, p = _pair("stepwise", y, p, mask)
        there = ~np.isnan(y)
        self.y, self.n, self.stay = y, len(y), np.nonzero(there)[0]
        self.cells = _Ranked(y[there], p[there])
        self.count = there.sum(1).astype(np.float64)
        # 0: nothing to score; 1: never a yes; 2: a yes at some step
        self.strata = there.any(1).astype(np.int64) + (y == 1).any(1)
        self.sums = {
            "mae": np.where(there, np.abs(p - np.nan_to_num(y)), 0).sum(1)
        }  # what blocks of a series are measured by

    def values(self, weights, metrics):
        """(B, N) multiplicities of stays -> {metric: (B,)}."""
        size, parts = max(1, _CELLS // len(self.stay)), []
        for at in range(0, len(weights), size):
            part = weights[at : at + size].astype(np.float64, copy=False)[:, self.stay]
            with np.errstate(divide="ignore", invalid="ignore"):
                parts.append(self.cells.values(part, metrics))
        return {metric: np.concatenate([part[metric] for part in parts]) for metric in metrics}


SCORERS = {"multiclass": Classes, "multilabel": Marks, "stepwise": Steps}
