"""Checks of own data: every mistake ends in one sentence that names the row, the id or the column."""

from __future__ import annotations

import numpy as np

from modts.errors import ModtsError, whole

from .base import SPLITS
from .tasks import lacking

MAX_CELLS = 2_000_000_000  # a wrong step size asks for terabytes; stop before the memory does


def show(value) -> str:
    """A value as a user wrote it: 'p1', not np.str_('p1')."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def some(names, most: int = 20) -> str:
    """Names in one line, a long list cut short."""
    names = [show(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def unmasked(X):
    """A numpy masked array as a plain one, NaN where it is masked; anything else as it is."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    return X.astype(np.result_type(X.dtype, np.float32) if X.dtype.kind in "biuf" else X.dtype).filled(np.nan)


def numeric(value, what: str) -> np.ndarray:
    """A float64 array of numbers, NaN where a masked array hides a value or a list holds None."""
    try:
        found = np.asanyarray(value)
        if found.dtype.kind in "cmMV":
            kind = {"c": "complex numbers", "M": "dates", "m": "durations", "V": "records"}[found.dtype.kind]
            raise ModtsError(f"{what} must be an array of numbers, but holds {kind}; convert them yourself.")
        return np.asarray(unmasked(found), dtype=np.float64)
    except ModtsError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # the last: a whole number of hundreds of digits
        raise ModtsError(f"{what} must be an array of numbers: {error}.") from error


def pad(series: list[np.ndarray], what: str) -> np.ndarray:
    """Stack (T_i, F) arrays to (N, T, F), NaN at the end of the shorter ones."""
    if any(s.ndim != 2 or s.shape[1] != series[0].shape[1] for s in series):
        raise ModtsError(f"Each series of {what} must have shape (steps, features) with the same features.")
    out = np.full((len(series), max(map(len, series)), series[0].shape[1]), np.nan)
    for i, s in enumerate(series):
        out[i, : len(s)] = s
    return out


def names_of(given, count: int, what: str) -> list:
    """One entry for each of `count` things, none of them missing; a text is not a list of letters."""
    if isinstance(given, (str, bytes)):
        raise ModtsError(f"{what} must be a list, not the text {given!r}.")
    try:
        given = list(given)
    except TypeError:
        raise ModtsError(f"{what} must be a list, not {given!r}.") from None
    if len(given) != count:
        raise ModtsError(f"X needs {count} {what}, but {len(given)} were given.")
    for i, entry in enumerate(given):
        if entry is None or entry != entry:
            raise ModtsError(f"Number {i} of {what} is missing ({entry}); give each one.")
    return given


def flag(value, what: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ModtsError(f"{what} must be True or False, not {value!r}.")
    return bool(value)


def seed_of(seed) -> int:
    """A seed for a split, which NumPy takes as it is."""
    return whole(seed, "The split seed", least=0)


def codes_of(missing) -> np.ndarray:
    """The codes that stand for a missing value, as a user gave them: one number or several."""
    if isinstance(missing, (str, bytes)):
        raise ModtsError(f"missing must be numbers such as (-9999,), not the text {missing!r}.")
    codes = np.atleast_1d(numeric(missing, "missing"))
    return codes[np.isfinite(codes)]


def without_codes(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """NaN where a code stands, in single precision too: -999.9 of a float32 array is not the -999.9 of Python."""
    if not len(codes):
        return X
    return np.where(np.isin(X, codes) | np.isin(X, codes.astype(np.float32).astype(np.float64)), np.nan, X)


def check_labels(y: np.ndarray) -> None:
    if np.isnan(y).any():
        raise ModtsError(
            f"The label of row {int(np.flatnonzero(np.isnan(y))[0])} is missing; every sample needs a label of 0 or 1."
        )
    if not np.isin(y, (0, 1)).all():
        raise ModtsError(
            f"Labels must be 0 or 1, not {sorted(set(y[~np.isin(y, (0, 1))].tolist()))[:5]}; for several classes say "
            "task='multiclass', for a number task='regression'."
        )


def check_values(X: np.ndarray, ids: np.ndarray, features: list[str]) -> None:
    infinite = np.isinf(X) | (np.abs(X) > np.finfo(np.float32).max)
    if infinite.any():
        i, _, f = np.argwhere(infinite)[0]
        raise ModtsError(f"Feature {features[f]!r} of {show(ids[i])} holds an infinite value; use NaN for missing.")
    empty = np.isnan(X).all(axis=(1, 2))
    if empty.any():
        raise ModtsError(
            f"Series without any value: {some(ids[empty], 5)}; leave them out, or say so with unobserved='drop'."
        )


def check_targets(y: np.ndarray, task: str, splits: dict[str, np.ndarray], classes=()) -> None:
    """Each split must have something to learn or to score: every class, a yes and a no, or a target's value."""
    for split, rows in splits.items():
        lacks = lacking(task, y[rows], classes)
        if lacks and task == "regression":
            raise ModtsError(f"The regression target has no value at all in the {split} split.")
        if lacks:
            raise ModtsError(f"The {split} split {lacks}.")


def given_splits(splits: dict, n: int) -> dict[str, np.ndarray]:
    if not isinstance(splits, dict) or set(splits) != set(SPLITS):
        raise ModtsError(f"splits must have the keys train, val and test, not {', '.join(map(str, splits))}.")
    made = {}
    for split, rows in splits.items():
        rows = np.asarray(rows)
        if rows.ndim != 1 or not len(rows):
            raise ModtsError(f"The {split} split must be a list of row numbers with one row or more.")
        if rows.dtype.kind not in "iu":
            raise ModtsError(f"The {split} split must hold whole row numbers, not {show(rows[0])}.")
        made[split] = np.sort(rows.astype(np.int64))
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        both = np.intersect1d(made[a], made[b])
        if len(both):
            raise ModtsError(f"Row {int(both[0])} is in both {a} and {b}; splits must not overlap.")
    if not np.array_equal(np.sort(np.concatenate(list(made.values()))), np.arange(n)):
        raise ModtsError(f"The splits must together hold each of the {n} rows exactly once.")
    return made
