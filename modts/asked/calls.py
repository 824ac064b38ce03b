"""Further calls of users, looked at as the others are: a misspelt, forgotten or wrong parameter becomes a sentence."""

from __future__ import annotations

from functools import wraps

from modts.backbones import Backbone
from modts.cohorts import Cohort
from modts.cohorts import mask as masked
from modts.cohorts import series_back as back
from modts.learning import Head as Room
from modts.serving import stream as streamed

from .turns import turn
from .words import kind, path_of, spelt

mask = spelt(masked)


class Head(Room):
    __doc__ = Room.__doc__
    __init__ = spelt(Room.__init__)


@spelt
@wraps(back)
def series_back(cohort, *args, **given):
    kind(cohort, Cohort, "The cohort", "modts.cohort_from_series")
    return back(cohort, *args, **given)


@spelt
@wraps(streamed)
def stream(backbone, source, target, *args, **given):
    kind(backbone, Backbone, "The backbone (what is written are latents)", "modts.load_backbone")
    with turn(backbone):
        return streamed(backbone, path_of(source, "The source"), path_of(target, "The target"), *args, **given)
