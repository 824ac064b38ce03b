"""An external test: stays of another place or year that every model of a cohort predicts too, beside its own test split."""

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
    both = f"Cohort {cohort.name!r} cannot have {external.name!r} as external test"
    if cohort.series:
        raise ModtsError(f"{both}: it is a series, whose later windows are its test.")
    for what in ("task", "classes", "features", "units", "n_steps"):
        mine, theirs = getattr(cohort, what), getattr(external, what)
        if mine != theirs:
            raise ModtsError(f"{both}: their {what.removeprefix('n_')} differ ({_short(mine)}; {_short(theirs)}).")
    if cohort.y.shape[1:] != external.y.shape[1:]:
        raise ModtsError(f"{both}: their targets have other shapes ({cohort.y.shape[1:]}; {external.y.shape[1:]}).")
    shared, mine, theirs = np.intersect1d(cohort.ids, external.ids, return_indices=True)
    equal = [id for id, i, j in zip(shared, mine, theirs, strict=True) if _alike(cohort.X[i], external.X[j])]
    if equal:
        raise ModtsError(f"{both}: they share {len(equal)} stays, such as {str(equal[0])!r}.")
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


def by_test(cohort: Cohort) -> dict[str, slice]:
    """Which of a cohort's test windows belong to which test: "split", and "external" where it has one."""
    n = cohort.notes.get("external", {}).get("n")
    return {SPLIT: slice(None)} if n is None else {SPLIT: slice(None, -n), EXTERNAL: slice(-n, None)}


def _lengths(*cohorts: Cohort) -> np.ndarray | None:
    """The lengths of all, where one of them has any."""
    if all(one.lengths is None for one in cohorts):
        return None
    return np.concatenate([np.full(c.n_samples, c.n_steps) if c.lengths is None else c.lengths for c in cohorts])


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def _short(value) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) < 40 else f"{text[:37]}..."
