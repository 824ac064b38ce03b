"""Pretraining, adapting and scoring as users call them: every argument is looked at, then the rooms below do the work."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import wraps
from numbers import Real
from pathlib import Path

import numpy as np

from modts.backbones import Backbone
from modts.cohorts import Cohort
from modts.errors import ModtsError, choose, notice, whole
from modts.learning import ARMS, Head, Labels, Training
from modts.learning import adapt as adapted
from modts.learning import labels as labels_of
from modts.learning import paired as compared
from modts.learning import pretrain as pretrained
from modts.learning import score as scored

from .cohort import Rows
from .plain import plain_targets, plain_windows
from .suspects import unended
from .words import kind, path_of, spelt

WHOLE = {"epochs": 1, "patience": 1, "batch_size": 1, "lora_rank": 1, "seed": 0}  # the least
REAL = {"lr": (0, "above"), "weight_decay": (0, "at least"), "clip": (0, "at least"), "auxiliary": (0, "at least")}
PARTS = ("train", "val", "test")
WORSE = 5  # times the error of filling in the mean, or of one deviation: training has diverged


def settings(given: dict) -> None:
    """Raise a ModtsError unless numbers among these settings of a training are numbers, and large enough; head_lr is looked at as lr is."""
    for name, value in given.items():
        known = name.removeprefix("head_").removeprefix("whole_")
        if known in WHOLE:
            whole(value, name, WHOLE[known], 2**63)
        if known not in REAL:
            continue
        least, how = REAL[known]
        right = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not right or value < least or (how == "above" and value == least):
            raise ModtsError(f"{name} must be a number {how} {least}, not {value!r}.")


@spelt
@wraps(pretrained)
def pretrain(backbone, X_train, X_val, *, lengths=None, **given):
    kind(backbone, Backbone, "The backbone", "modts.build")
    settings(given)
    _no_folder(given.get("checkpoint"))
    if lengths is not None and (not isinstance(lengths, (tuple, list)) or len(lengths) != 2):
        raise ModtsError("lengths must be a pair, those of X_train and those of X_val.")
    X_train, X_val = plain_windows(X_train), plain_windows(X_val)
    for X, ends in zip((X_train, X_val), lengths or (None, None), strict=True):
        unended(X, ends)
    history = pretrained(backbone, X_train, X_val, lengths=lengths, **given)
    by_mean = history.rivals.get("Mean")
    if by_mean is not None and history.best > WORSE * max(by_mean, 1.0):
        raise ModtsError(
            f"Training diverged: its best validation error is {history.best:.3g}, and filling in the mean has {by_mean:.3g}; build the backbone "
            "anew and use a smaller learning rate."
        )
    return history


def _no_folder(checkpoint) -> None:
    if checkpoint is not None and Path(path_of(checkpoint, "checkpoint")).is_dir():
        raise ModtsError(f"The checkpoint {str(checkpoint)!r} is a folder; name a file in it.")


@spelt
@wraps(labels_of)
def labels(cohort, class_weight=None, labelled=None):
    kind(cohort, Cohort, "The cohort", "modts.load_cohort or cohort_from_table")
    if labelled is not None:
        labelled = positions(labelled, len(cohort.splits["train"]))
    return labels_of(cohort, class_weight, labelled)


def positions(labelled, n: int) -> np.ndarray:
    """Positions in a training split of n windows; what Cohort.labelled gave, row numbers, becomes positions.

    Raises
    ------
    ModtsError
        Neither, or one of them twice.
    """
    if isinstance(labelled, Rows) and labelled.train is not None:
        if len(labelled.train) != n:
            raise ModtsError(
                f"labelled holds rows of a cohort with {len(labelled.train)} training windows, and there are {n} targets."
            )
        labelled = np.flatnonzero(np.isin(labelled.train, np.asarray(labelled)))
    found = np.asarray(labelled)
    whole_numbers = found.ndim == 1 and found.dtype.kind in "iu" and len(found)
    if not whole_numbers or found.min() < 0 or found.max() >= n:
        raise ModtsError(
            f"labelled must be positions in the training split, whole numbers from 0 to {n - 1}, at least one; for all of them give "
            f"np.arange({n}). (cohort.splits['train'] holds row numbers of the cohort, which are something else; cohort.labelled(...) may be "
            "given as it is.)"
        )
    if len(np.unique(found)) < len(found):
        raise ModtsError(
            f"labelled holds {len(found)} positions, of which {len(np.unique(found))} differ; give each one once."
        )
    return found


def _something_to_learn(targets: Labels, labelled: np.ndarray) -> None:
    """Refuse labelled windows of one class alone, or without any known target."""
    y = np.asarray(targets.y, dtype=float)[labelled]
    found = np.unique(y[~np.isnan(y)])
    if not len(found):
        raise ModtsError("None of the labelled windows has a known target; label others.")
    if targets.task != "regression" and len(found) < 2:
        name = targets.classes[int(found[0])] if targets.task == "multiclass" else f"{found[0]:g}"
        raise ModtsError(
            f"All {len(y)} labelled windows have the label {name}, so there is nothing to tell apart; label others too."
        )


def _parts(given, what: str, targets: dict, how: str) -> None:
    """Raise a ModtsError unless a dictionary holds one array a split, as long as its targets."""
    if not isinstance(given, dict) or set(PARTS) - set(given):
        raise ModtsError(f"{what} must be a dictionary of 'train', 'val' and 'test', {how}.")
    for part in PARTS:
        n, wanted = len(given[part]), len(targets[part].y)
        if n != wanted:
            raise ModtsError(f"{what} of {part!r} are {n}, but there are {wanted} targets.")
        if what == "latents" and not np.isfinite(np.asarray(given[part])).all():
            raise ModtsError(
                f"latents of {part!r} hold NaN or infinite values; give those that backbone.latents returns."
            )


@spelt
@wraps(adapted)
def adapt(arm, head, targets, labelled, *, latents=None, backbone=None, windows=None, training=None, **given):
    if not isinstance(targets, dict) or not all(isinstance(targets.get(part), Labels) for part in PARTS):
        raise ModtsError(
            "targets must be the dictionary of 'train', 'val' and 'test' that labels() returns first: targets, scaler = modts.labels(cohort)."
        )
    labelled = positions(labelled, len(targets["train"].y))
    if training is not None:
        kind(training, Training, "training", "modts.learning.Training")
        settings({part.name: getattr(training, part.name) for part in fields(training)})
        _no_folder(training.checkpoint)
    if ARMS[choose(arm, ARMS, "arm")].train == "head":
        if latents is not None:
            _parts(latents, "latents", targets, "as backbone.latents gives them for each")
    else:
        kind(backbone, Backbone, f"The backbone of arm {arm!r}", "modts.build or modts.load_backbone")
        _parts(windows, "windows", targets, "as cohort.part(...)[0] gives them")
        windows = {part: plain_windows(windows[part]) for part in PARTS}
        for part in PARTS:
            unended(windows[part], (given.get("lengths") or {}).get(part))
    _something_to_learn(targets["train"], labelled)
    given |= {"latents": latents, "backbone": backbone, "windows": windows, "training": training}
    made = adapted(arm, head, targets, labelled, **given)
    task = targets["train"].task
    if task == "regression":
        made.prediction = made.prediction.view(Standardised)
        made.prediction.of = targets["test"].y
    if isinstance(made.model, Head):
        _remember(made.model, np.ndim(latents["train"]) == 3, task)
    elif hasattr(made.model, "pooling"):
        _remember(made.model.head, made.model.pooling == "steps", task)
    return made


def _remember(head: Head, stepwise: bool, task: str) -> None:
    """Let a head refuse latents of the other kind than those that it was trained on (both may have the same length), and another task."""
    head.stepwise, head.task = stepwise, task
    head.register_forward_pre_hook(_same_kind)


def _same_kind(head: Head, given: tuple) -> None:
    if (given[0].ndim == 3) != head.stepwise:
        kinds = "one latent a window", "latents of every step (pooling 'steps')"
        raise ModtsError(
            f"This head was trained on {kinds[head.stepwise]} and is asked about {kinds[not head.stepwise]}; give the predictor the pooling "
            "that the head was trained on."
        )


class Standardised(np.ndarray):
    """Predictions in standard deviations of the training targets, until something is made of them; of : the targets in these."""

    of: np.ndarray | None = None


def _in_one_unit(y, *predictions) -> None:
    """Notice predictions in standard deviations beside targets that are not the ones in these."""
    for of in (getattr(p, "of", None) for p in predictions):
        if (
            of is None
            or np.shape(y) != of.shape
            or np.allclose(np.asarray(y, dtype=float), of, 1e-3, 1e-3, equal_nan=True)
        ):
            continue
        return notice(
            "These predictions are in standard deviations of the training targets, as adapt gives them, and the targets are not: score them "
            "against targets['test'].y of modts.labels, or score what a Predictor with target_scaler= answers."
        )


def _resampling(given: dict) -> None:
    for name, least in (("seed", 0), ("n_boot", 1)):
        if name in given:
            whole(given[name], name, least, 2**63)


@spelt
@wraps(scored)
def score(task, y, p, *args, **given):
    _resampling(given)
    y = plain_targets(y)
    _in_one_unit(y, p)
    return scored(task, y, p, *args, **given)


@spelt
@wraps(compared)
def paired(task, metric, y, p_a, p_b, *args, **given):
    _resampling(given)
    y = plain_targets(y)
    _in_one_unit(y, p_a, p_b)
    return compared(task, metric, y, p_a, p_b, *args, **given)
