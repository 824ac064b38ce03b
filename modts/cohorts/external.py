"""Stays of another cohort beside a cohort's own: as an external test that every model predicts too, or without labels in pretraining."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modts.errors import ModtsError

from .base import Cohort

SPLIT, EXTERNAL = "split", "external"  # what rows and predictions call the two tests


def with_external(cohort: Cohort, external: Cohort) -> Cohort:
    """The cohort with all stays of another behind its test split, so that whatever predicts its test predicts them too.

    Training and validation stay as they are, and the first test stays are the cohort's own (see `by_test`).

    Parameters
    ----------
    cohort : Cohort
        Split by stay.
    external : Cohort
        The same task, variables and number of steps; its own splits do not count.

    Raises
    ------
    ModtsError
        The two do not fit together, share a stay, or the cohort is a series.
    """
    _alike(cohort, external, "as external test")
    n, more = cohort.n_samples, external.n_samples

    def renamed(names):
        return np.array([f"{external.name}:{name}" for name in names])

    return replace(
        cohort,
        X=np.concatenate([cohort.X, external.X]),
        y=np.concatenate([cohort.y, external.y]),
        ids=np.concatenate([cohort.ids, renamed(external.ids)]),
        groups=None if cohort.groups is None else np.concatenate([cohort.groups, renamed(external.ids)]),
        splits={**cohort.splits, "test": np.concatenate([cohort.splits["test"], np.arange(n, n + more)])},
        lengths=_lengths(cohort, external),
        truth=None,
        notes={
            **cohort.notes,
            "external": {"name": external.name, "n": more, "data": external.content_hash, "own": cohort.content_hash},
        },
    )


def training_windows(cohort: Cohort, unlabelled: Cohort | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """What a backbone is pretrained on: the training windows, and behind them all those of another cohort, whose labels are not read.

    Parameters
    ----------
    cohort : Cohort
    unlabelled : Cohort, optional
        The same variables, targets and number of steps as a cohort that is split by stay, and none of its stays.

    Returns
    -------
    X : numpy.ndarray
        ``(n, T, F)`` raw values.
    lengths : numpy.ndarray or None
        ``(n,)`` int64: steps of each; None where every series fills its window.

    Raises
    ------
    ModtsError
        The two do not fit together, share a stay, or the cohort is a series.
    """
    X, lengths = cohort.part("train")[0], cohort.lengths_of("train")
    if unlabelled is None:
        return X, lengths
    _alike(cohort, unlabelled, "without labels in its pretraining")
    both = _lengths(cohort, unlabelled)
    if both is not None:
        both = np.concatenate([both[cohort.splits["train"]], both[cohort.n_samples :]])
    return np.concatenate([X, unlabelled.X]), both


def by_test(cohort: Cohort) -> dict[str, slice]:
    """Which of a cohort's test windows belong to which test: "split", and "external" where it has one."""
    n = cohort.notes.get("external", {}).get("n")
    return {SPLIT: slice(None)} if n is None else {SPLIT: slice(None, -n), EXTERNAL: slice(-n, None)}


def _lengths(*cohorts: Cohort) -> np.ndarray | None:
    """The lengths of all, where one of them has any."""
    if all(one.lengths is None for one in cohorts):
        return None
    return np.concatenate([np.full(c.n_samples, c.n_steps) if c.lengths is None else c.lengths for c in cohorts])


def _alike(cohort: Cohort, other: Cohort, role: str) -> None:
    """Refuse another cohort of other variables or targets, or with a stay of this one's."""
    both = f"Cohort {cohort.name!r} cannot have {other.name!r} {role}"
    if cohort.series:
        raise ModtsError(f"{both}: it is a series, whose later windows are its test.")
    for what in ("task", "classes", "features", "units", "n_steps"):
        mine, theirs = getattr(cohort, what), getattr(other, what)
        if mine != theirs:
            raise ModtsError(f"{both}: their {what.removeprefix('n_')} differ ({_short(mine)}; {_short(theirs)}).")
    if cohort.y.shape[1:] != other.y.shape[1:]:
        raise ModtsError(f"{both}: their targets have other shapes ({cohort.y.shape[1:]}; {other.y.shape[1:]}).")
    shared, mine, theirs = np.intersect1d(cohort.ids, other.ids, return_indices=True)
    pairs = zip(shared, mine, theirs, strict=True)
    equal = [id for id, i, j in pairs if np.array_equal(cohort.X[i], other.X[j], equal_nan=True)]
    if equal:
        raise ModtsError(f"{both}: they share {len(equal)} stays, such as {str(equal[0])!r}.")


def _short(value) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) < 40 else f"{text[:37]}..."
