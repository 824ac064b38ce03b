"""Rolling origins of a series: its own split by time, and two more whose tests lie one and two test periods earlier.

One test period is one season; what is said from it may be said of that season alone. At every origin training lies before validation and
validation before test, and the tests of different origins do not overlap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modts.errors import ModtsError

from . import splits as _splits

ORIGINS = 3


def sizes_at(sizes: tuple[int, int, int], origin: int) -> tuple[int, int, int]:
    """Windows for training, validation and test at an origin.

    What lies before its test is divided into training and validation as in the series' own split; what lies after it is not used.

    Parameters
    ----------
    sizes : tuple of int
        Of the series' own split, which is origin 0.
    origin : int

    Raises
    ------
    ModtsError
        If that leaves no window for training or validation.

    Examples
    --------
    >>> sizes_at((60, 20, 20), 1), sizes_at((60, 20, 20), 2)
    ((45, 15, 20), (30, 10, 20))
    """
    n_train, n_val, n_test = sizes
    before = n_train + n_val - origin * n_test
    held = round(before * n_val / (n_train + n_val))
    if min(held, before - held) < 1:
        raise ModtsError(
            f"A series of {n_train}/{n_val}/{n_test} windows for train, val and test is too short for origin {origin}: its test would leave "
            f"too little to train on. Take seeds that are multiples of {ORIGINS}, which stay at its own split."
        )
    return before - held, held, n_test


def at_origin(cohort, origin: int):
    """A series cut at an origin; one that was cut before stays as it is, since it lacks what follows.

    Parameters
    ----------
    cohort : Cohort
        Split by time.
    origin : int
        0 is its own split.

    Raises
    ------
    ModtsError
        If the series is too short for that origin.
    """
    if cohort.origin or not origin:
        return replace(cohort, split_seed=cohort.origin)
    sizes = sizes_at(tuple(map(len, (cohort.splits[name] for name in _splits.NAMES))), origin)
    cut = _splits.in_order(*sizes)
    long = cohort.notes.get("long_series")  # its windows may overlap: none reaches over the border of its part
    start, reach = (np.arange(cohort.n_samples), 1) if long is None else (np.array(long["starts"]), cohort.n_steps)
    borders = start[np.cumsum(sizes)]
    parts = [cut[name][start[cut[name]] + reach <= border] for name, border in zip(_splits.NAMES, borders, strict=True)]
    kept = np.concatenate(parts)
    notes = (
        cohort.notes | {"origin": origin} | ({"long_series": {**long, "starts": start[kept].tolist()}} if long else {})
    )
    rows = {name: getattr(cohort, name) for name in ("X", "y", "ids", "truth", "groups", "lengths")}
    return replace(
        cohort,
        **{name: None if values is None else values[kept] for name, values in rows.items()},
        splits=_splits.in_order(*map(len, parts)),
        split_seed=origin,
        notes=notes,
    )


def described(cohort) -> list[dict]:
    """Of each origin that the series is long enough for: its number, its sizes, and where its test begins and ends (ids of windows)."""
    out = []
    for origin in range(ORIGINS):
        try:
            one = at_origin(cohort, origin)
        except ModtsError:
            break
        sizes = {name: len(one.splits[name]) for name in _splits.NAMES}
        test = one.ids[one.splits["test"]]
        out.append({"origin": origin, **sizes, "test_from": str(test[0]), "test_to": str(test[-1])})
    return out
