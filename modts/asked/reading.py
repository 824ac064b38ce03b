"""Own data as users give them: a misspelt parameter is told by the name of the function that was called."""

from __future__ import annotations

import difflib
import inspect
from functools import wraps

import pandas as pd

from modts.cohorts import cohort_from_arrays, read_table
from modts.cohorts import cohort_from_series as series_read
from modts.cohorts import cohort_from_table as table_read
from modts.errors import notice


def _known(function, given: dict) -> None:
    """Raise a TypeError for a parameter that neither the function nor cohort_from_arrays, which it hands the rest to, has."""
    names = [
        name
        for one in (function, cohort_from_arrays)
        for name, about in inspect.signature(one).parameters.items()
        if about.kind is about.KEYWORD_ONLY
    ]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise TypeError(
                f"{function.__name__}() has no parameter {name!r}{f'; did you mean {near[0]!r}?' if near else '.'}"
            )


def _same_times(table, given: dict) -> None:
    """Notice labels of an id at times at which the table has no row: each adds a step without a value, unless steps are counted by `step`."""
    labels, id, time = given.get("labels"), given.get("id", "id"), given.get("time", "time")
    if labels is None or given.get("step") is not None:
        return
    frames = [read_table(one) for one in (table, labels)]
    if not all({id, time} <= set(frame.columns) for frame in frames) or frames[0][time].dtype != frames[1][time].dtype:
        return
    rows, asked = (pd.MultiIndex.from_frame(frame[[id, time]]) for frame in frames)
    lost = ~asked.isin(rows) & frames[1][id].isin(frames[0][id].unique()).to_numpy()
    if lost.any():
        whose, when = (frames[1].loc[lost, name].iloc[0] for name in (id, time))
        notice(
            f"{int(lost.sum())} labels stand at times at which the table has no row (first: id {whose} at {when}); each adds a step "
            "without a value. Say with step= how long a step is, or give labels at the table's times."
        )


@wraps(table_read)
def cohort_from_table(table, **given):
    _known(table_read, given)
    _same_times(table, given)
    return table_read(table, **given)


@wraps(series_read)
def cohort_from_series(frame, **given):
    _known(series_read, given)
    return series_read(frame, **given)
