"""Names that are nearly the same, and columns that say too much: two spellings of one patient, whose a stay is, the label by another name."""

from __future__ import annotations

import re

import numpy as np

from modts.cohorts import Cohort
from modts.errors import notice

NUMBER = "[ _]?(id|nr|no|num|number)"
WHOSE = re.compile(
    f"mrn|(patient|subject|person)({NUMBER})?|(stay|icustay|patientunitstay|hadm|admission|encounter){NUMBER}"
)
FEWEST, MOST = 10, 50  # cells or series that tell; values of a variable that stands for classes


def look_alike(cohort: Cohort) -> None:
    """Warn of names in two spellings, of a variable that says whose a series is, and of one that is the label in other numbers."""
    for what, names, harm in (
        ("ids", cohort.ids, "are they one series, it is cut in two"),
        ("groups", cohort.groups, "are they one, its rows may lie in two splits"),
        ("variables", cohort.features, "are they one, its values stand in two columns"),
        ("classes", cohort.classes, "are they one, it is learnt as two"),
    ):
        pairs = spelt_twice(() if names is None else names)
        if pairs:
            notice(
                f"Two {what} differ in nothing but blanks, capitals or .0: {pairs[0][0]!r} and {pairs[0][1]!r} ({len(pairs)} such pairs); "
                f"{harm}: write each in one way."
            )
    counted = [name for f, name in enumerate(cohort.features) if _says_whose(name, cohort.X[:, :, f])]
    if counted:
        notice(
            f"The variable {counted[0]!r} looks like the number of a patient or a stay, and is read as a value: name it in groups=, so that no "
            "two splits share one, or leave it out of the features."
        )
    same = the_label(cohort)
    if same:
        notice(
            f"The feature {same[0]!r} is the label in other numbers (each value stands for one class), so that nothing is left to predict: "
            "leave it out of the features."
        )


def spelt_twice(names) -> list[tuple[str, str]]:
    """Pairs of names that are alike but for blanks around them, capitals, and a .0 behind a number."""
    first, pairs = {}, []
    for name in dict.fromkeys(map(str, names)):
        plain = re.sub(r"^(-?\d+)\.0+$", r"\1", name.strip().casefold())
        other = first.setdefault(plain, name)
        if other != name:
            pairs.append((other, name))
    return pairs


def _says_whose(name: str, values: np.ndarray) -> bool:
    """Whether a variable (N, T) by its name and its whole numbers, one a series, says whose each series is."""
    if not WHOSE.fullmatch(name.casefold()):
        return False
    each = np.nanmax(np.where(np.isnan(values), -np.inf, values), axis=1)
    least = np.nanmin(np.where(np.isnan(values), np.inf, values), axis=1)
    there = np.isfinite(each)
    one = (each[there] == least[there]) & (each[there] == np.round(each[there]))
    return bool(one.all() and len(np.unique(each[there])) >= FEWEST)


def the_label(cohort: Cohort) -> list[str]:
    """Variables of which each value stands for one class and each class for one value, other than the class's own number."""
    if cohort.task not in ("classification", "multiclass"):
        return []
    found = []
    for f, name in enumerate(cohort.features):
        values = cohort.X[:, :, f]
        there = ~np.isnan(values)
        values, label = values[there], np.broadcast_to(cohort.y[:, None], there.shape)[there]
        if len(values) < FEWEST or len(np.unique(values[:1000])) > MOST:
            continue
        pairs = np.unique(np.stack([values, label]), axis=1)
        one_to_one = all(len(np.unique(side)) == pairs.shape[1] for side in pairs)
        if pairs.shape[1] > 1 and one_to_one and not np.array_equal(*pairs):
            found.append(name)
    return found
