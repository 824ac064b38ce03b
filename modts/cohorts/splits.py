"""Splits and label subsets: by stay with a seed (64/16/20, stratified), or by time.

Sizes follow BenchPOTS, which the paper's sibling benchmarks use: 20 % test, then 20 % of the rest for validation,
rounded up, each class on its own. PhysioNet 2012 set-a thus gives 2557/640/800.
"""

from __future__ import annotations

import math

import numpy as np

from modts.errors import ModtsError

NAMES = ("train", "val", "test")


def seeded(
    n: int,
    labels: np.ndarray | None,
    seed: int,
    groups: np.ndarray | None = None,
    what: str = "rows",
    held: tuple[float, float] = (0.2, 0.2),
) -> dict[str, np.ndarray]:
    """Split ``n`` rows 64/16/20 at random, class by class if ``labels`` (N,) are given.

    ``held`` is the share of the rows that test, and of the rest that validate.

    With ``groups`` (N,) whole groups are split, so that no two splits share one; a group counts as its highest
    label, and where that leaves a class fewer than three groups the labels do not count.

    Raises
    ------
    ModtsError
        If a class (or the whole) has fewer than three rows or groups, so that some split would be empty.
    """
    if groups is not None:
        names, member = np.unique(groups, return_inverse=True)
        if labels is not None:
            highest = np.zeros(len(names), dtype=np.int64)
            np.maximum.at(highest, member, labels)
            labels = highest if np.bincount(highest, minlength=2).min() >= 3 else None
        whole = seeded(len(names), labels, seed, what="groups", held=held)
        return {name: np.flatnonzero(np.isin(member, chosen)) for name, chosen in whole.items()}
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    n_classes = 1 if labels is None else max(2, int(labels.max(initial=0)) + 1)
    classes = [np.arange(n)] if labels is None else [np.flatnonzero(labels == c) for c in range(n_classes)]
    for number, rows in enumerate(classes):
        if len(rows) < 3:
            what = what if labels is None else f"{what} with label {number}"
            raise ModtsError(f"Splitting into train, val and test needs at least 3 {what}, but there are {len(rows)}.")
        rows = rng.permutation(rows)
        n_test = math.ceil(held[0] * len(rows))
        n_val = math.ceil(held[1] * (len(rows) - n_test))
        parts["test"].append(rows[:n_test])
        parts["val"].append(rows[n_test : n_test + n_val])
        parts["train"].append(rows[n_test + n_val :])
    return {name: np.sort(np.concatenate(rows)) for name, rows in parts.items()}


def in_order(n_train: int, n_val: int, n_test: int) -> dict[str, np.ndarray]:
    """Split rows that are already in time order: first train, then validation, then test."""
    bounds = np.cumsum([0, n_train, n_val, n_test])
    return {name: np.arange(bounds[i], bounds[i + 1]) for i, name in enumerate(NAMES)}


def by_time(n: int) -> dict[str, np.ndarray]:
    """Split ``n`` rows in time order 60/20/20."""
    if n < 3:
        raise ModtsError(f"Splitting into train, val and test needs at least 3 rows, but there are {n}.")
    held = max(1, round(0.2 * n))
    return in_order(n - 2 * held, held, held)


def subset(n: int, labels: np.ndarray | None, fraction: float, seed: int) -> np.ndarray:
    """Sorted positions of ``floor(fraction * n)`` of ``n`` rows, in the classes' proportions if labels are given."""
    size = math.floor(fraction * n + 1e-9)  # 1e-9: 0.1 * 250 must be 25, whatever binary fractions say
    if size < 1:
        raise ModtsError(f"A label fraction of {fraction} of {n} training rows leaves no row.")
    rng = np.random.default_rng([seed, 1])  # another stream than the splits' own
    if labels is None:
        return np.sort(rng.permutation(n)[:size])
    if labels.max() > 1:
        # each row by its place in its class: whatever the size, the first rows hold the classes in proportion, and fewer rows lie in more
        place = np.empty(n)
        for c in np.unique(labels):
            rows = rng.permutation(np.flatnonzero(labels == c))
            place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        return np.sort(np.argsort(place, kind="stable")[:size])
    positive, negative = (rng.permutation(np.flatnonzero(labels == c)) for c in (1, 0))
    n_positive = round(size * len(positive) / n)
    if n_positive < 1 or size - n_positive < 1:
        raise ModtsError(
            f"A label fraction of {fraction} of {n} training rows ({len(positive)} positive) leaves only one class; "
            "take more."
        )
    return np.sort(np.concatenate([positive[:n_positive], negative[: size - n_positive]]))


def check_groups(groups: np.ndarray, splits: dict[str, np.ndarray], n: int) -> None:
    """Refuse groups that are not one a row, or that two splits share."""
    if groups.shape != (n,):
        raise ModtsError(f"There must be {n} groups, one per row of X, not {groups.shape}.")
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        both = np.intersect1d(groups[splits[a]], groups[splits[b]])
        if len(both):
            raise ModtsError(
                f"Group {str(both[0])!r} has rows in both {a} and {b} ({len(both)} such groups); no two splits may share "
                "a group: leave out splits= and by_time=, or split by group yourself."
            )
