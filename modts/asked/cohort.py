"""A cohort as users hold it: it is the room's, and its labelled rows know whose they are; arrays are looked at before they become one."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import wraps
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from modts.cohorts import Cohort as Room
from modts.cohorts import coded
from modts.cohorts import cohort_from_arrays as arrays_read
from modts.cohorts import load_cohort as loaded
from modts.errors import ModtsError, choose, whole

from .alike import look_alike
from .codes import remembered
from .plain import plain_targets, plain_windows
from .scales import held
from .suspects import unended
from .words import path_of, spelt

WAY_ON = (
    " Leave out what has no label; to pretrain on it all the same, make one cohort of everything without a label, and a second one of what is "
    "labelled for the head."
)


class Rows(np.ndarray):
    """Row numbers of a cohort that remember its training split, so that they are not taken for positions in it."""

    train: np.ndarray | None = None

    def __getitem__(self, some):
        found = super().__getitem__(some)
        if isinstance(found, Rows):
            found.train = self.train
        return found


class Cohort(Room):
    __doc__ = Room.__doc__

    @spelt
    def part(self, split):
        return super().part(choose(split, tuple(self.splits), "split"))

    @spelt
    def save(self, path):
        if Path(path_of(path, "What a cohort is saved as")).is_file() and not _is_cohort(path):
            raise ModtsError(f"{str(path)!r} is there and holds no cohort; it is left as it is, so give another name.")
        return super().save(path)

    @spelt
    def resplit(self, seed):
        return super().resplit(whole(seed, "The split seed", 0))

    @spelt
    def lengths_of(self, split):
        return super().lengths_of(choose(split, tuple(self.splits), "split"))

    @spelt
    def labelled(self, fraction: float, seed: int) -> np.ndarray:
        rows = super().labelled(fraction, seed).view(Rows)
        rows.train = self.splits["train"]
        return rows


def _is_cohort(path) -> bool:
    try:
        with np.load(path) as file:
            return {"meta", "X", "y", "ids"} <= set(file.files)
    except (OSError, ValueError, BadZipFile, AttributeError, TypeError):  # another file, or one array alone
        return False


def ours(made: Room) -> Room:
    """The cohort as users hold it."""
    if type(made) is Room:
        object.__setattr__(made, "__class__", Cohort)
    return made


def looked(made: Room) -> Room:
    """A cohort of own data as users hold it, and what looks like a mistake in it told."""
    look_alike(made)
    held(made.X, made.features)
    if made.task == "regression":
        held(made.y.reshape(len(made.y), -1, 1), [made.target], "target")
    return ours(made)


@spelt
@wraps(loaded)
def load_cohort(name, *args, **given):
    return ours(loaded(name, *args, **given))


@spelt
@wraps(arrays_read)
def cohort_from_arrays(X, y=None, **given):
    if isinstance(X, dict):
        raise ModtsError(
            "X is a dictionary; hand on what it holds: cohort_from_arrays(data['X'], data['y']), where data is the dictionary."
        )
    X, y = plain_windows(X), plain_targets(y)
    if not isinstance(X, (list, tuple)):
        unended(X, given.get("lengths"))
    y = y if given.get("task") in ("multilabel", "stepwise") else _flat(y)
    try:
        made = arrays_read(X, y, **given)
    except ModtsError as error:
        said = in_its_words(str(error), y, given)
        raise ModtsError(f"{said}{WAY_ON if _unlabelled(said) else ''}") from None
    return looked(replace(made, notes=made.notes | remembered(given.get("missing", ()))))


def in_its_words(said: str, y, given: dict) -> str:
    """A sentence about the number of a class with the class's name."""
    if given.get("task") != "multiclass":
        return said
    return re.sub(
        r"with label (\d+)", lambda found: f"of class {coded(y, given.get('classes'))[1][int(found[1])]!r}", said
    )


def _unlabelled(sentence: str) -> bool:
    return sentence.startswith(("The label of row", "The class of row")) and "is missing" in sentence


def _flat(y):
    """One column (N, 1) as (N,): a label each, and not one of several."""
    try:
        column = np.ndim(y) == 2 and np.shape(y)[1] == 1
    except ValueError:  # a ragged list
        return y
    return np.asanyarray(y)[:, 0] if column else y
