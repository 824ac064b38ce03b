"""A backbone as users hold it: windows are looked at before they are read, and it remembers what windows its cohort had."""

from __future__ import annotations

import re
from functools import wraps

import numpy as np
import torch

from modts.backbones import Backbone as Room
from modts.backbones import build as built
from modts.backbones import from_pypots as taken_over
from modts.backbones import load_backbone as loaded
from modts.cohorts import Cohort, mask
from modts.errors import ModtsError, notice

from .plain import plain_windows
from .suspects import long_enough, unended, unlike_training
from .turns import turn
from .words import kind, path_of, spelt

SIZE = re.compile(
    "^[nd]_|size|hidden"
)  # names of a config's sizes; with no head at all SAITS is built, and answers nothing
IMPOSSIBLE = (
    RuntimeError,
    ValueError,
    ArithmeticError,
    AssertionError,
    MemoryError,
)  # what a size that no layer can have raises
NOTE = "made_for"  # on the card: what windows its cohort had
SOME = 64  # windows that say which scale an imputer reads
BETTER = 0.88  # of the error from z-scores, where another way is clearly better


class Backbone(Room):
    __doc__ = Room.__doc__
    made_for: dict = {}

    @spelt
    def latents(self, X, pooling="paper", batch_size=256, features=None, lengths=None):
        X = plain_windows(X)
        with turn(self):
            found = super().latents(X, pooling, batch_size, features, lengths)
        self._look(X, lengths)
        return found

    @spelt
    def impute(self, X, batch_size=256, features=None, lengths=None):
        X = plain_windows(X)
        with turn(self):
            found = super().impute(X, batch_size, features, lengths)
        self._look(X, lengths)
        return found

    def save(self, path, **notes):
        return super().save(path_of(path, "What a backbone is saved as"), **noted(self, notes))

    def _look(self, X, lengths) -> None:
        unended(X, lengths)
        unlike_training(X, self, lengths)


def noted(backbone, notes: dict) -> dict:
    """The notes of whoever saves, with what windows the backbone was made for."""
    made_for = getattr(backbone, "made_for", {})
    return {NOTE: made_for} | notes if made_for else notes


def ours(made: Room, made_for=None) -> Room:
    """The backbone as users hold it; made_for : what its cohort or its card says of windows."""
    if type(made) is Room:
        made.__class__ = Backbone
    made.made_for = made_for if isinstance(made_for, dict) else {}
    return made


def said(cohort) -> dict:
    """What a backbone remembers of its cohort's windows: the step, and codes for missing values."""
    return {name: cohort.notes[name] for name in ("step", "missing") if name in cohort.notes}


@spelt
@wraps(built)
def build(name, cohort, *args, **given):
    kind(name, str, "The backbone's name", "modts.BACKBONES")
    kind(cohort, Cohort, "The cohort", "modts.load_cohort or cohort_from_table")
    for part, value in (given["config"] if isinstance(given.get("config"), dict) else {}).items():
        if SIZE.search(str(part)) and isinstance(value, int) and value < 1:
            raise ModtsError(f"{name} cannot be built with the config {given['config']}: {part} must be 1 or more.")
    long_enough(name, cohort.n_steps)
    try:
        return ours(built(name, cohort, *args, **given), said(cohort))
    except ModtsError:
        raise
    except IMPOSSIBLE as error:
        if not given.get("config"):
            raise
        raise ModtsError(
            f"{name} cannot be built with the config {given['config']}: {' '.join(str(error).split())[:160]}."
        ) from None


@spelt
@wraps(loaded)
def load_backbone(path, *args, **given):
    made = loaded(path_of(path, "A backbone's checkpoint"), *args, **given)
    return ours(made, made.card.get(NOTE))


@spelt
@wraps(taken_over)
def from_pypots(model, cohort, **given):
    kind(cohort, Cohort, "The cohort", "modts.load_cohort or cohort_from_table")
    made = ours(taken_over(model, cohort, **given), said(cohort))
    if made.row.imputes:
        _same_scale(made, cohort)
    return made


@torch.no_grad()
def _same_scale(backbone, cohort) -> None:
    """Warn of an imputer that fills hidden values from z-scores worse than from raw values, or than the mean does: they were not its scale."""
    X = cohort.part("val")[0][:SOME]
    hidden = mask(X, "point", 0.2, seed=0)
    scored = np.isnan(hidden) & ~np.isnan(X)
    if not scored.any():
        return
    mean, std = backbone.scaler.mean, backbone.scaler.std

    def error(filled) -> float:
        return float(np.nanmean((np.abs(filled - X) / std)[scored]))

    def from_(shift, width) -> float:
        Z = torch.from_numpy(((hidden - shift) / width).astype(np.float32)).to(backbone.device)
        return error(backbone.run(backbone.inputs(Z))[0]["imputation"].cpu().numpy() * width + shift)

    scores, raw, by_mean = from_(mean, std), from_(0.0, 1.0), error(mean)
    if raw < BETTER * scores or by_mean < BETTER * scores:
        notice(
            f"From z-scores this {backbone.name} fills hidden values with a mean absolute error of {scores:.2f} deviations; from raw values it "
            f"has {raw:.2f}, and the mean {by_mean:.2f}. It seems to have been trained on another scale (or hardly at all), so that its "
            "imputations here are not its own: give the scaler= that its training data went through, or train it on z-scores."
        )
