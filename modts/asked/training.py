"""Pretraining, adapting and scoring as users call them: every argument is looked at, then the rooms below do the work."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import wraps
from numbers import Real

import numpy as np

from modts.backbones import Backbone
from modts.backbones import build as built
from modts.cohorts import Cohort
from modts.errors import ModtsError, choose, whole
from modts.learning import ARMS, Head, Labels, Training
from modts.learning import adapt as adapted
from modts.learning import labels as labels_of
from modts.learning import pretrain as pretrained
from modts.learning import score as scored

WHOLE = {"epochs": 1, "patience": 1, "batch_size": 1, "lora_rank": 1, "seed": 0}  # the least
REAL = {"lr": (0, "above"), "weight_decay": (0, "at least"), "clip": (0, "at least"), "auxiliary": (0, "at least")}
PARTS = ("train", "val", "test")


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


def kind(value, wanted: type, what: str, how: str) -> None:
    """Raise a TypeError that says what was wanted and where it comes from."""
    if not isinstance(value, wanted):
        raise TypeError(f"{what} must be a {wanted.__name__}, as {how} gives it, not {type(value).__name__}.")


@wraps(built)
def build(name, cohort, *args, **given):
    kind(name, str, "The backbone's name", "modts.BACKBONES")
    kind(cohort, Cohort, "The cohort", "modts.load_cohort or cohort_from_table")
    try:
        return built(name, cohort, *args, **given)
    except RuntimeError as error:  # PyTorch's, of a size that no layer can have
        if not given.get("config"):
            raise
        raise ModtsError(
            f"{name} cannot be built with the config {given['config']}: {' '.join(str(error).split())[:160]}."
        ) from None


@wraps(pretrained)
def pretrain(backbone, X_train, X_val, *, lengths=None, **given):
    kind(backbone, Backbone, "The backbone", "modts.build")
    settings(given)
    if lengths is not None and (not isinstance(lengths, (tuple, list)) or len(lengths) != 2):
        raise ModtsError("lengths must be a pair, those of X_train and those of X_val.")
    return pretrained(backbone, X_train, X_val, lengths=lengths, **given)


@wraps(labels_of)
def labels(cohort, class_weight=None, labelled=None):
    kind(cohort, Cohort, "The cohort", "modts.load_cohort or cohort_from_table")
    if labelled is not None:
        positions(labelled, len(cohort.splits["train"]))
    return labels_of(cohort, class_weight, labelled)


def positions(labelled, n: int) -> None:
    """Raise a ModtsError unless these are positions in a training split of n windows."""
    found = np.asarray(labelled)
    whole_numbers = found.ndim == 1 and found.dtype.kind in "iu" and len(found)
    if not whole_numbers or found.min() < 0 or found.max() >= n:
        raise ModtsError(
            f"labelled must be positions in the training split, whole numbers from 0 to {n - 1}, at least one; for all of them give "
            f"np.arange({n}). (cohort.splits['train'] holds row numbers of the cohort, which are something else.)"
        )


def _parts(given, what: str, targets: dict, how: str) -> None:
    """Raise a ModtsError unless a dictionary holds one array a split, as long as its targets."""
    if not isinstance(given, dict) or set(PARTS) - set(given):
        raise ModtsError(f"{what} must be a dictionary of 'train', 'val' and 'test', {how}.")
    for part in PARTS:
        n, wanted = len(given[part]), len(targets[part].y)
        if n != wanted:
            raise ModtsError(f"{what} of {part!r} are {n}, but there are {wanted} targets.")


@wraps(adapted)
def adapt(arm, head, targets, labelled, *, latents=None, backbone=None, windows=None, training=None, **given):
    if not isinstance(targets, dict) or not all(isinstance(targets.get(part), Labels) for part in PARTS):
        raise ModtsError(
            "targets must be the dictionary of 'train', 'val' and 'test' that labels() returns first: targets, scaler = modts.labels(cohort)."
        )
    positions(labelled, len(targets["train"].y))
    if training is not None:
        kind(training, Training, "training", "modts.learning.Training")
        settings({part.name: getattr(training, part.name) for part in fields(training)})
    if ARMS[choose(arm, ARMS, "arm")].train == "head":
        if latents is not None:
            _parts(latents, "latents", targets, "as backbone.latents gives them for each")
    else:
        kind(backbone, Backbone, f"The backbone of arm {arm!r}", "modts.build or modts.load_backbone")
        _parts(windows, "windows", targets, "as cohort.part(...)[0] gives them")
    given |= {"latents": latents, "backbone": backbone, "windows": windows, "training": training}
    made = adapted(arm, head, targets, np.asarray(labelled), **given)
    if isinstance(made.model, Head):
        _remember(made.model, np.ndim(latents["train"]) == 3)
    elif hasattr(made.model, "pooling"):
        _remember(made.model.head, made.model.pooling == "steps")
    return made


def _remember(head: Head, stepwise: bool) -> None:
    """Let a head refuse latents of the other kind than those that it was trained on: both may have the same length."""
    head.stepwise = stepwise
    head.register_forward_pre_hook(_same_kind)


def _same_kind(head: Head, given: tuple) -> None:
    if (given[0].ndim == 3) != head.stepwise:
        kinds = "one latent a window", "latents of every step (pooling 'steps')"
        raise ModtsError(
            f"This head was trained on {kinds[head.stepwise]} and is asked about {kinds[not head.stepwise]}; give the predictor the pooling "
            "that the head was trained on."
        )


@wraps(scored)
def score(task, y, p, *args, **given):
    if "seed" in given:
        whole(given["seed"], "seed", 0, 2**63)
    return scored(task, y, p, *args, **given)
