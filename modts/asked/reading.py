"""Own data as users give them: a misspelt parameter is told by the name of the function that was called."""

from __future__ import annotations

import difflib
import inspect
from functools import wraps

from modts.cohorts import cohort_from_arrays
from modts.cohorts import cohort_from_series as series_read
from modts.cohorts import cohort_from_table as table_read


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


@wraps(table_read)
def cohort_from_table(table, **given):
    _known(table_read, given)
    return table_read(table, **given)


@wraps(series_read)
def cohort_from_series(frame, **given):
    _known(series_read, given)
    return series_read(frame, **given)
