"""Fusion: do a frozen backbone's latents know something that summary statistics do not?

Two ways to put them together. Averaged: what the head on the latents says and what boosted trees on the statistics say, each trained alone.
Stacked: the latents beside the statistics in one model.
"""

from __future__ import annotations

import numpy as np

from modts.cohorts import TASKS

from . import linear, scores, trees
from .features import readers
from .problem import solved

_COMPONENTS = (16, 64)  # principal components of the latents: validation says how many
_EDGE = 1e-6  # a chance nearer to 0 or 1 counts as this near: one model's certainty must not outvote the other


def averaged(task: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two predictions of one shape in one: the mean of log-odds, of log-chances (several classes), or of numbers.

    >>> averaged("classification", np.array([0.5, 0.9]), np.array([0.5, 0.1])).round(3).tolist()
    [0.5, 0.5]
    >>> averaged("regression", np.array([1.0]), np.array([2.0])).tolist()
    [1.5]
    """
    kind = TASKS[task].answer
    if kind == "number":
        return (first + second) / 2
    first, second = (np.clip(np.asarray(p, dtype=np.float64), _EDGE, 1 - _EDGE) for p in (first, second))
    if kind == "one of several":
        p = np.sqrt(first * second)
        return p / p.sum(-1, keepdims=True)
    odds = np.sqrt(first / (1 - first) * second / (1 - second))
    return odds / (1 + odds)


def validated(labels, p: np.ndarray) -> float:
    """The validation score of answers, as `Labels.validate` gives it for outputs: AUROC, or mean squared error."""
    if labels.higher_is_better:
        return scores.auroc(labels.y, p, task=labels.task)
    return scores.mse(np.nan_to_num(labels.y), p, labels.seen)


def stacked(cohort, rows, latents, seed=0, threads=1, record=None, class_weight=None):
    """Latents beside what the baselines read, in boosted trees or a linear model, whichever validation prefers.

    Parameters
    ----------
    cohort : modts.Cohort
    rows : int array
        Positions in the training split whose labels may be used.
    latents : dict of (N, D) arrays, or (N, T, D) of each step
        Of "train", "val" and "test".
    seed, threads, record, class_weight
        As in `fit_baseline`.

    Returns
    -------
    dict of arrays
        Of "val" and "test", as `fit_baseline`'s callable answers.
    """
    record = {} if record is None else record
    rotation = _Components(latents["train"])
    latents = {part: rotation(values) for part, values in latents.items()}
    width = latents["train"].shape[-1]

    def fit(problem, about):
        both = {}
        for kind, read in readers(problem).items():
            for k in sorted({min(k, width) for k in _COMPONENTS}):
                both[f"{k} components of the latents, {kind}"] = _beside(read, k)
        problem.windows = problem.windows, latents["train"][rows][problem.used]
        problem.windows_val = problem.windows_val, latents["val"][problem.used_val]
        found = {"LightGBM": (trees.boosted(problem, both, seed, threads, chosen := {}), chosen)}
        if problem.chances:
            for one in both.items():
                found[f"Logistic regression, {one[0]}"] = linear.logistic(problem, dict([one]), chosen := {}), chosen
        else:
            found["Ridge regression"] = linear.ridge(problem, both, chosen := {}), chosen
        better = max if problem.chances else min
        name = better(found, key=lambda name: found[name][1]["validation"])
        about.update(found[name][1], model=name.split(",")[0])
        return problem.answer(found[name][0])

    predict = solved(cohort, cohort.splits["train"][rows], class_weight, record, fit)
    return {part: predict(((cohort.part(part)[0], cohort.lengths_of(part)), latents[part])) for part in ("val", "test")}


def _beside(read, k):
    """A reader of (windows, latents): the first k columns of the latents, at every step if there are several, then what `read` reads."""

    def both(pair):
        windows, Z = pair
        base, Z = read(windows), Z[..., :k]
        if Z.ndim < base.ndim:  # one latent a window, an answer at every step
            Z = np.broadcast_to(Z[:, None], (*base.shape[:-1], k))
        return np.concatenate([Z.mean(1) if Z.ndim > base.ndim else Z, base], axis=-1)

    return both


class _Components:
    """Principal components of the training latents (N, D), or of each step (N, T, D), standardised before and after; the largest come first."""

    def __init__(self, train):
        train = np.asarray(train, dtype=np.float64).reshape(-1, np.shape(train)[-1])
        self.mean, self.std = train.mean(0), np.maximum(train.std(0), 1e-4)
        Z = (train - self.mean) / self.std
        wide = Z.shape[1] > Z.shape[0]
        values, vectors = np.linalg.eigh(Z @ Z.T if wide else Z.T @ Z)
        kept = np.argsort(-values)[: max(_COMPONENTS)]
        kept = kept[values[kept] > 1e-9 * values.max()]
        vectors = Z.T @ vectors[:, kept] / np.sqrt(values[kept]) if wide else vectors[:, kept]
        self.axes = vectors / np.sqrt(values[kept] / len(Z))

    def __call__(self, Z):
        return (np.asarray(Z, dtype=np.float64) - self.mean) / self.std @ self.axes
