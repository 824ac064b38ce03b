"""The Cohort: the one shape in which every data set enters the compendium.

A cohort is raw: values in their own units, NaN where nothing was measured, no scaling. Its splits are made here, before
anything else, by stay (or by time for series), so that nothing downstream can choose its own test set. The content hash
names exactly these values, labels and splits, and goes into the provenance of every number computed from them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from modts.errors import ModtsError, choose
from modts.runs import atomic_write, load_arrays, plain_name

from . import splits as _splits
from .lengths import checked_lengths, spread
from .origins import ORIGINS, at_origin, described
from .outcomes import outcome_row
from .tasks import TASKS, lacking, shape_of, strata, wrong_values

SPLITS = _splits.NAMES
SPLIT_BY = ("stratified", "random", "time", "given")
_FORMAT = 1  # of Cohort.save; raise it when the file's fields change
_TEXT = ("name", "title", "task", "target", "target_unit", "split_by", "licence", "citation", "source")


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Multivariate time series with missing values, one label (or target series) each, and fixed splits.

    Parameters
    ----------
    name, title : str
        Short name, as given to :func:`modts.load_cohort` (letters from a to z, digits and ``_ . -``, since files are named after
        it), and the name shown on pages.
    X : numpy.ndarray
        ``(N, T, F)`` float32 in raw units; NaN = not measured (or beyond the end of a shorter series).
    y : numpy.ndarray
        Classification: ``(N,)`` int64, 0 or 1. Multiclass: ``(N,)`` int64, the number of a class. Multilabel: ``(N, K)``
        float32, 0 or 1 for each of K labels, NaN where not known. Stepwise: ``(N, T)`` float32, 0 or 1 at every step,
        NaN where not known. Regression: ``(N, T)`` float32 in raw units, or ``(N,)`` for one number a row, NaN where
        the target is missing. Imputation: ``(N, 0)`` float32, no label at all; such a cohort pretrains and imputes.
    ids : numpy.ndarray
        ``(N,)`` unicode: stay id, or for series the start time of the window. Unique.
    features, units : tuple of str
        ``F`` names and their units ("" = dimensionless or not documented).
    task : {"classification", "multiclass", "multilabel", "stepwise", "regression", "imputation"}
        See ``modts.cohorts.TASKS``.
    target, target_unit : str
        What ``y`` is, in words, and its unit.
    splits : dict
        ``"train"``, ``"val"``, ``"test"`` -> sorted int64 row numbers; disjoint, together all rows.
    split_seed : int
        The seed of the splits; of a series its origin (see :meth:`resplit`).
    licence, citation, source : str
        Terms of use, the reference to cite, and a URL or DOI.
    truth : numpy.ndarray, optional
        ``(N, T, F)`` complete true values; simulated cohorts only.
    notes : dict
        JSON-able extras, for example ``best_auroc`` of ``simulated_icu``.
    split_by : {"stratified", "random", "time", "given"}
        How the splits were made; ``"time"`` marks a series.
    groups : numpy.ndarray, optional
        ``(N,)`` unicode: whose each row is (a patient with several stays). No two splits share a group.
    lengths : numpy.ndarray, optional
        ``(N,)`` int64: steps of each series, where some end before the window does; ``X`` and a target at every step are
        NaN behind the end. None: every series fills its window.
    classes : tuple of str
        Names of the classes (multiclass) or of the labels (multilabel); empty for the other tasks.

    Raises
    ------
    ModtsError
        If shapes, types, ids, labels or splits do not fit together.
    """

    name: str
    title: str
    X: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    features: tuple[str, ...]
    units: tuple[str, ...]
    task: str
    target: str
    target_unit: str
    splits: dict[str, np.ndarray]
    split_seed: int
    licence: str
    citation: str
    source: str
    truth: np.ndarray | None = None
    notes: dict = field(default_factory=dict)
    split_by: str = "stratified"
    groups: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    lengths: np.ndarray | None = None

    def __post_init__(self) -> None:
        def fix(name, value):
            object.__setattr__(self, name, value)  # frozen: normalise types once, here

        fix("classes", tuple(map(str, self.classes)))
        wrong = wrong_values(self.task, self.y, self.classes)
        if wrong:
            raise ModtsError(f"Cohort {self.name!r}: {wrong}.")
        whole = self.task in ("classification", "multiclass")
        fix("X", np.ascontiguousarray(self.X, dtype=np.float32))
        fix("y", np.ascontiguousarray(self.y, dtype=np.int64 if whole else np.float32))
        fix("ids", np.asarray(self.ids).astype(str))
        fix("features", tuple(map(str, self.features)))
        fix("units", tuple(map(str, self.units)))
        for split, rows in self.splits.items():
            if np.asarray(rows).dtype.kind not in "iu" and len(rows):
                raise ModtsError(f"Cohort {self.name!r}: the {split} split must hold whole row numbers.")
        fix("splits", {k: np.asarray(v, dtype=np.int64) for k, v in self.splits.items()})
        fix("split_seed", int(self.split_seed))
        fix("lengths", checked_lengths(self.lengths, self))
        fix("groups", None if self.groups is None else np.asarray(self.groups).astype(str))
        _check(self)

    def __repr__(self) -> str:
        sizes = "/".join(str(len(self.splits[s])) for s in SPLITS)
        return (
            f"Cohort({self.name}: {self.task}, {self.n_samples} x {self.n_steps} x {self.n_features}, "
            f"{sizes} train/val/test, {self.missing_rate:.1%} missing)"
        )

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """Number of stays or windows, N."""
        return self.X.shape[0]

    @property
    def n_steps(self) -> int:
        """Number of time steps, T."""
        return self.X.shape[1]

    @property
    def n_features(self) -> int:
        """Number of variables, F."""
        return self.X.shape[2]

    @property
    def series(self) -> bool:
        """True for windows of long series, which are split by time instead of by a seed."""
        return self.split_by == "time"

    @property
    def origin(self) -> int:
        """How many test periods before the end of a series its test ends."""
        return self.notes.get("origin", 0)

    @cached_property
    def missing_rate(self) -> float:
        """Share of the cells of ``X`` (before each series' end) without a value."""
        if self.lengths is not None:
            return 1 - float((~np.isnan(self.X)).sum() / (self.lengths.sum() * self.n_features))
        return float(np.isnan(self.X).mean())

    @cached_property
    def content_hash(self) -> str:
        """sha256 (hex) over values, labels, ids, features, task, splits and groups. Cohorts with an equal hash are equal."""
        digest = hashlib.sha256()
        for array in (self.X, self.y):
            # one bit pattern for every NaN, and little-endian everywhere
            plain = np.where(np.isnan(array), np.float32(np.nan), array) if array.dtype.kind == "f" else array
            digest.update(json.dumps([plain.dtype.newbyteorder("<").str, plain.shape]).encode())
            digest.update(np.ascontiguousarray(plain.astype(plain.dtype.newbyteorder("<"), copy=False)).data)
        splits = {s: self.splits[s].tolist() for s in SPLITS}
        rest = [self.ids.tolist(), self.features, self.task, splits]
        rest += [] if self.groups is None else [self.groups.tolist()]
        rest += [self.classes] if self.classes else []
        rest += [] if self.lengths is None else [self.lengths.tolist()]
        digest.update(json.dumps(rest).encode())
        return digest.hexdigest()

    # ---- how it is used --------------------------------------------------------------------------------------------

    def part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(X, y)`` of one split.

        Parameters
        ----------
        split : {"train", "val", "test"}

        Raises
        ------
        ModtsError
            If there is no such split.
        """
        rows = self.splits[choose(split, SPLITS, "split")]
        return self.X[rows], self.y[rows]

    def lengths_of(self, split: str) -> np.ndarray | None:
        """Steps of each series of one split, (n,) int64; None where every series of the cohort fills its window."""
        return None if self.lengths is None else self.lengths[self.splits[choose(split, SPLITS, "split")]]

    def labelled(self, fraction: float, seed: int) -> np.ndarray:
        """Row numbers of a seeded subset of the train split, stratified where the split is (label scarcity).

        A smaller fraction with the same seed lies inside a larger one, class by class. 10 % of 2,557 are 255 (rounded
        down).

        Parameters
        ----------
        fraction : float
            In (0, 1]; 1.0 gives the whole train split.
        seed : int

        Returns
        -------
        numpy.ndarray
            Sorted int64 row numbers into ``X`` and ``y``. :func:`modts.adapt` and :func:`modts.labels` take them as they are; a plain
            array is taken for positions in the training split there (``np.searchsorted(cohort.splits["train"], rows)``).

        Raises
        ------
        ModtsError
            If the fraction is outside (0, 1] or leaves no row (or only one class, no yes to one of several labels, and
            the like), or nothing is labelled.
        """
        if self.task == "imputation":
            raise ModtsError(f"Cohort {self.name!r} has no labels: it can be pretrained on and imputed, no more.")
        train = self.splits["train"]
        if not 0 < fraction <= 1:
            raise ModtsError(f"The label fraction must be above 0 and at most 1, not {fraction!r}.")
        y, task = self.y[train], TASKS[self.task]
        chosen = _splits.subset(len(train), strata(self.task, y), fraction, seed)
        lacks = lacking(self.task, y[chosen], self.classes) if task.probability else ""
        if lacks:
            raise ModtsError(f"A label fraction of {fraction} of {len(train)} training rows {lacks}; take more.")
        return train[chosen]

    def resplit(self, seed: int) -> Cohort:
        """Return the same rows with the splits of another seed; given splits, and a series cut at an origin before, stay as they are.

        Of a series a seed names an origin, ``seed % 3``: 0 is its own split; at 1 and 2 the test lies one and two test
        periods earlier, and what lies after it is left out (see `origins`). Seeds 3, 4, 5 are the same origins again,
        for other initialisations.

        """
        if self.series:
            return at_origin(self, seed % ORIGINS)
        if self.split_by == "given":
            return replace(self, split_seed=seed)
        labels = strata(self.task, self.y) if self.split_by == "stratified" else None
        return replace(self, splits=_splits.seeded(self.n_samples, labels, seed, self.groups), split_seed=seed)

    def describe(self) -> dict:
        """Return one JSON-able row for the data-sets page: sizes, missing rate, prevalence or target, licence, hash."""
        row = {
            "name": self.name,
            "title": self.title,
            "task": self.task,
            "target": self.target,
            "target_unit": self.target_unit,
            "n": self.n_samples,
            **{s: len(self.splits[s]) for s in SPLITS},
            "n_steps": self.n_steps,
            "n_features": self.n_features,
            **({} if self.lengths is None else {"lengths": spread(self.lengths)}),
            "missing_rate": self.missing_rate,
            "split_by": self.split_by,
            "split_seed": self.split_seed,
            "features": list(self.features),
            "units": list(self.units),
            "licence": self.licence,
            "citation": self.citation,
            "source": self.source,
            "truth_known": self.truth is not None,
            "content_hash": self.content_hash,
            "notes": self.notes,
        }
        if self.series and not self.origin:
            row |= {"origins": described(self)}
        return row | outcome_row(self)

    def save(self, path: str | Path) -> Path:
        """Write one ``.npz`` file (no pickle, whole or not at all) that :func:`modts.load_cohort` reads."""
        path = Path(path)
        if path.suffix != ".npz":
            raise ModtsError(f"A cohort is saved as an .npz file; {str(path)!r} does not end in .npz.")
        meta = {k: getattr(self, k) for k in _TEXT} | {
            "format": _FORMAT,
            "split_seed": self.split_seed,
            "features": self.features,
            "units": self.units,
            "notes": self.notes,
            "content_hash": self.content_hash,
        }
        arrays = {"X": self.X, "y": self.y, "ids": self.ids, **{f"split_{s}": self.splits[s] for s in SPLITS}}
        if self.truth is not None:
            arrays["truth"] = np.asarray(self.truth, dtype=np.float32)
        arrays |= {name: given for name in ("groups", "lengths") if (given := getattr(self, name)) is not None}
        meta |= {"classes": self.classes} if self.classes else {}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, meta=np.array(json.dumps(meta)), **arrays)
        atomic_write(path, buffer.getvalue())
        return path

    @classmethod
    def load(cls, path: str | Path) -> Cohort:
        """Read a cohort written by :meth:`save`.

        Raises
        ------
        ModtsError
            If the file is missing, is not a saved cohort, or its content does not match its hash.
        """
        path = Path(path)
        if not path.is_file():
            raise ModtsError(f"There is no cohort file {str(path)!r}; write one with Cohort.save(path).")
        try:
            arrays = load_arrays(path)
            meta = json.loads(str(arrays.pop("meta")))
            stated = meta.pop("content_hash")
            if meta.pop("format") != _FORMAT:
                raise ModtsError(f"The cohort file {str(path)!r} has another format; save it again with this version.")
            splits = {s: arrays.pop(f"split_{s}") for s in SPLITS}
            cohort = cls(**meta, **arrays, splits=splits)
        except ModtsError:
            raise
        except Exception as error:  # zip, JSON and numpy all have their own ways to fail on a damaged file
            raise ModtsError(f"The cohort file {str(path)!r} is damaged or was not written by Cohort.save.") from error
        if cohort.content_hash != stated:
            raise ModtsError(f"The cohort file {str(path)!r} does not match its content hash; save the cohort again.")
        return cohort


def _check(c: Cohort) -> None:
    """Refuse a cohort whose parts do not fit together."""
    plain_name(c.name, "cohort")
    for field_ in _TEXT:
        if not isinstance(getattr(c, field_), str):
            raise ModtsError(f"The {field_} of cohort {c.name!r} must be a text, not {getattr(c, field_)!r}.")
    choose(c.task, TASKS, "task")
    choose(c.split_by, SPLIT_BY, "kind of split")
    if c.X.ndim != 3 or 0 in c.X.shape:
        raise ModtsError(f"X of cohort {c.name!r} must have shape (N, T, F) with no empty side, not {c.X.shape}.")
    n, steps, width = c.X.shape
    wanted = shape_of(c.task, c.y, n, steps, c.classes)
    tests: list[tuple[bool, Callable[[], str]]] = [
        (c.y.shape != wanted, lambda: f"y must have shape {wanted} for {c.task}, not {c.y.shape}"),
        (c.ids.shape != (n,), lambda: f"there must be {n} ids, one per row of X, not {c.ids.shape}"),
        (len(c.features) != width, lambda: f"X has {width} features but {len(c.features)} names were given"),
        (len(c.units) != width, lambda: f"X has {width} features but {len(c.units)} units were given"),
        (len(set(c.features)) != width, lambda: "feature names must differ"),
        (len(np.unique(c.ids)) != n, lambda: f"ids must be unique; {_first_double(c.ids)!r} occurs more than once"),
        (
            bool(c.classes) != (c.task in ("multiclass", "multilabel")),
            lambda: f"for {c.task} classes cannot be {c.classes}",
        ),
        (len(set(c.classes)) < len(c.classes), lambda: "names of classes must differ"),
        (bool(np.isinf(c.X).any()), lambda: "X holds infinite values; use NaN for missing"),
        (bool(np.isinf(c.y).any()), lambda: "y holds infinite values; use NaN for missing"),
        (tuple(sorted(c.splits)) != tuple(sorted(SPLITS)), lambda: f"splits must be {SPLITS}, not {tuple(c.splits)}"),
    ]
    for failed, sentence in tests:
        if failed:
            raise ModtsError(f"Cohort {c.name!r}: {sentence()}.")
    rows = np.concatenate([c.splits[s] for s in SPLITS])
    if not np.array_equal(np.sort(rows), np.arange(n)):
        raise ModtsError(f"Cohort {c.name!r}: the splits must hold each of the {n} rows exactly once.")
    if min(len(c.splits[s]) for s in SPLITS) == 0:
        raise ModtsError(f"Cohort {c.name!r}: no split may be empty.")
    if c.groups is not None:
        _splits.check_groups(c.groups, c.splits, c.n_samples)
    if c.truth is not None and (c.truth.shape != c.X.shape or np.isnan(c.truth).any()):
        raise ModtsError(f"Cohort {c.name!r}: truth must be complete and have X's shape {c.X.shape}.")


def _first_double(ids: np.ndarray) -> str:
    values, counts = np.unique(ids, return_counts=True)
    return str(values[counts > 1][0])
