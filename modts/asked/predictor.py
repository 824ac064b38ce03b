"""A predictor as users hold it: its heads are those that were trained for its task, and windows are looked at before they are answered."""

from __future__ import annotations

from functools import wraps

from modts.backbones import Backbone as Room
from modts.errors import ModtsError
from modts.serving import PaddedPredictor as PaddedRoom
from modts.serving import Predictor as PredictorRoom
from modts.serving import load_predictor as loaded

from .backbone import NOTE, noted, ours
from .plain import plain_windows
from .suspects import LENGTHS, empty, unended, unlike_training
from .turns import turn
from .words import kind, path_of, spelt


class _Looking:
    """What both kinds of predictors look at."""

    ending = LENGTHS  # what to do about series that end before their windows do

    @spelt
    def __init__(self, backbone, heads, pooling="paper", target_scaler=None, trace=0, task=None, classes=()):
        kind(backbone, Room, "The backbone", "modts.build or modts.load_backbone")
        _same_task(heads, target_scaler, task)
        super().__init__(backbone, heads, pooling, target_scaler, trace, task, classes)

    @spelt
    def predict(self, X, batch_size=256, features=None, lengths=None):
        X = plain_windows(X)
        empty(X, lengths)
        with turn(self.backbone):
            answers = super().predict(X, batch_size, features, lengths)
        if not isinstance(self, PaddedRoom):
            unended(X, lengths, self.ending)
        unlike_training(X, self.backbone, lengths)
        return answers

    def __getstate__(self):
        return vars(self) | {"_traces": {}}  # a trace has no pickle; it is made again when it is needed

    def save(self, path, **notes):
        return super().save(path_of(path, "What a predictor is saved as"), **noted(self.backbone, notes))


_Looking.predict.__doc__, _Looking.save.__doc__ = PredictorRoom.predict.__doc__, PredictorRoom.save.__doc__


class Predictor(_Looking, PredictorRoom):
    __doc__ = PredictorRoom.__doc__


class PaddedPredictor(_Looking, PaddedRoom):
    __doc__ = PaddedRoom.__doc__


def _same_task(heads, target_scaler, task) -> None:
    """Refuse heads that were trained for another task than the predictor's; what `adapt` trained knows its own."""
    task = task or ("classification" if target_scaler is None else "regression")
    for head in heads.values() if isinstance(heads, dict) else [heads]:
        trained = getattr(head, "task", None)
        if trained in (None, task):
            continue
        if trained == "regression":
            way = "give target_scaler=, the second of what modts.labels(cohort) returns"
        else:
            way = f"give task={trained!r}{', and no target_scaler' if target_scaler is not None else ''}"
        raise ModtsError(f"This head was trained for {trained}, and the predictor's task would be {task}; {way}.")


@spelt
@wraps(loaded)
def load_predictor(path, *args, **given):
    made = loaded(path_of(path, "A predictor's file"), *args, **given)
    made.__class__ = PaddedPredictor if isinstance(made, PaddedRoom) else Predictor
    ours(made.backbone, made.card.get(NOTE) or made.card["backbone"].get(NOTE))
    return made
