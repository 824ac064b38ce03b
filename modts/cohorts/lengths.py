"""Series that end before their window does: how long each is, and nothing behind its end."""

from __future__ import annotations

import numpy as np

from modts.errors import ModtsError


def checked_lengths(lengths, c) -> np.ndarray | None:
    """A cohort's lengths as int64, None where every series fills its window; refused where something stands behind an end."""
    if lengths is None:
        return None
    lengths, (n, steps) = np.asarray(lengths), c.X.shape[:2]
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu" or (n and (lengths.min() < 1 or lengths.max() > steps)):
        raise ModtsError(f"Cohort {c.name!r}: lengths must be {n} whole numbers of 1 to {steps}, one per row of X.")
    behind = np.arange(steps) >= lengths[:, None]
    each = {"X": c.X, "y": c.y} if c.y.shape == (n, steps) and c.task in ("stepwise", "regression") else {"X": c.X}
    for name, values in each.items():
        there = ~np.isnan(values[behind])
        wrong = np.flatnonzero(there if there.ndim == 1 else there.any(1))
        if len(wrong):
            row = int(np.nonzero(behind)[0][wrong[0]])
            raise ModtsError(f"Cohort {c.name!r}: {name} holds a value behind the end of {str(c.ids[row])!r}.")
    return None if (lengths == steps).all() else lengths.astype(np.int64)


def ended(X, y, task, lengths):
    """X and a y at every step without what stands behind each end, and the lengths as an array."""
    if lengths is None:
        return X, y, None
    try:
        found = np.asarray(lengths, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != X.shape[:1] or not np.isin(found, np.arange(1, X.shape[1] + 1)).all():
        raise ModtsError(f"lengths must be {len(X)} whole numbers of 1 to {X.shape[1]}, one per row of X.")
    behind = np.arange(X.shape[1]) >= found[:, None]
    X = np.where(behind[..., None], np.nan, X)
    if y.shape == behind.shape and task in ("stepwise", "regression"):
        y = np.where(behind, np.nan, y)
    return X, y, found.astype(np.int64)


def ends_of(X: np.ndarray) -> np.ndarray:
    """Steps up to the last one with a value, 1 or more, of each window (N, T, F): the lengths of series that are padded with NaN."""
    there = ~np.isnan(X).all(2)
    return np.maximum(1, X.shape[1] - there[:, ::-1].argmax(1) * there.any(1) - X.shape[1] * ~there.any(1))


def spread(lengths: np.ndarray) -> dict[str, float]:
    """The shortest, the median and the longest."""
    return {"shortest": int(lengths.min()), "median": float(np.median(lengths)), "longest": int(lengths.max())}
