"""Checks of own data: every mistake ends in one sentence that names the row, the id or the column."""

from __future__ import annotations

import numpy as np

from modts.errors import ModtsError

from .base import SPLITS


def show(value) -> str:
    """A value as a user wrote it: 'p1', not np.str_('p1')."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def numeric(value, what: str) -> np.ndarray:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModtsError(f"{what} must be an array of numbers: {error}.") from error


def pad(series: list[np.ndarray], what: str) -> np.ndarray:
    """Stack (T_i, F) arrays to (N, T, F), NaN at the end of the shorter ones."""
    if any(s.ndim != 2 or s.shape[1] != series[0].shape[1] for s in series):
        raise ModtsError(f"Each series of {what} must have shape (steps, features) with the same features.")
    out = np.full((len(series), max(map(len, series)), series[0].shape[1]), np.nan)
    for i, s in enumerate(series):
        out[i, : len(s)] = s
    return out


def check_labels(y: np.ndarray) -> None:
    if np.isnan(y).any():
        raise ModtsError(
            f"The label of row {int(np.flatnonzero(np.isnan(y))[0])} is missing; every sample needs a label of 0 or 1."
        )
    if not np.isin(y, (0, 1)).all():
        raise ModtsError(f"Labels must be 0 or 1, not {sorted(set(y[~np.isin(y, (0, 1))].tolist()))[:5]}.")


def check_values(X: np.ndarray, ids: np.ndarray, features: list[str]) -> None:
    infinite = np.isinf(X) | (np.abs(X) > np.finfo(np.float32).max)
    if infinite.any():
        i, _, f = np.argwhere(infinite)[0]
        raise ModtsError(f"Feature {features[f]!r} of {show(ids[i])} holds an infinite value; use NaN for missing.")
    empty = np.isnan(X).all(axis=(1, 2))
    if empty.any():
        raise ModtsError(
            f"Series {show(ids[empty][0])} has no value at all ({int(empty.sum())} such series); leave it out."
        )
    unused = np.isnan(X).all(axis=(0, 1))
    if unused.any():
        raise ModtsError(f"Feature {features[int(np.flatnonzero(unused)[0])]!r} has no value at all; leave it out.")


def given_splits(splits: dict, n: int) -> dict[str, np.ndarray]:
    if set(splits) != set(SPLITS):
        raise ModtsError(f"splits must have the keys train, val and test, not {', '.join(map(str, splits))}.")
    made = {k: np.sort(np.asarray(v, dtype=np.int64)) for k, v in splits.items()}
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        both = np.intersect1d(made[a], made[b])
        if len(both):
            raise ModtsError(f"Row {int(both[0])} is in both {a} and {b}; splits must not overlap.")
    if not np.array_equal(np.sort(np.concatenate(list(made.values()))), np.arange(n)):
        raise ModtsError(f"The splits must together hold each of the {n} rows exactly once.")
    return made
