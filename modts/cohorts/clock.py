"""The time of a table's rows: numbers, dates with and without a zone, durations; and which step each row falls into."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from modts.errors import ModtsError

_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)\s*$")
_DURATION = re.compile(r"^\s*(-?\d+ days?\b|\d+:\d\d:\d\d)")  # as pandas writes a timedelta into a CSV


def clock(column: pd.Series, name: str) -> pd.Series:
    """Numbers stay numbers, durations durations; dates become UTC where they have a zone, text is read as dates or durations.

    Raises
    ------
    ModtsError
        Neither numbers nor dates nor durations, or dates of which only some have a zone.
    """
    column = dated(column, name)
    kind = _kind(column)
    if kind == "number":
        if not np.isfinite(column.to_numpy(dtype=float)).all():
            raise ModtsError(f"Column {name!r} holds an infinite time.")
        return column
    index = pd.TimedeltaIndex(column) if kind == "duration" else pd.DatetimeIndex(column)
    if kind == "date" and index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return pd.Series(index, index=column.index, name=column.name)


def dated(column: pd.Series, name: str) -> pd.Series:
    """Text as the dates (in UTC where they have a zone) or durations that it says; anything else as it is."""
    return _parsed(column, name) if _kind(column) == "text" else column


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "text"  # and refused as such
    if pd.api.types.is_numeric_dtype(column):
        return "number"
    return {"M": "date", "m": "duration"}.get(getattr(column.dtype, "kind", "O"), "text")


def _parsed(column: pd.Series, name: str) -> pd.Series:
    plain = column.astype(object)
    first = plain.iloc[0]
    try:
        if isinstance(first, str) and _DURATION.match(first):
            return pd.to_timedelta(plain)
        zoned = plain.map(
            lambda t: bool(_ZONE.search(t)) if isinstance(t, str) else getattr(t, "tzinfo", None) is not None
        )
        if zoned.any() and not zoned.all():
            example = plain[~zoned].iloc[0]
            raise ModtsError(
                f"Column {name!r} holds dates with a time zone and dates without (such as {str(example)!r}); give all of them one."
            )
        # 03/04/2024 could be read two ways, so it is not guessed
        return pd.to_datetime(plain, format="ISO8601", utc=bool(zoned.all()))
    except ModtsError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise ModtsError(
            f"Column {name!r} holds neither numbers nor dates such as 2024-01-31 or 2024-01-31 10:00 (first: {str(first)!r})."
        ) from error


def positions(time: pd.Series, row: np.ndarray, step: float | str | None, unit: str | None = None) -> np.ndarray:
    """Step number of each table row, whose `time` is a `clock`, sorted by series and time; `row` is the number of its series.

    Without `step` each time of a series is one step. Dates are counted from the series' first time, numbers and durations from 0.

    Raises
    ------
    ModtsError
        A step that is none for this kind of time, or times below 0.
    """
    first = np.searchsorted(row, row)  # first table row of the same series
    values, kind = time.to_numpy(), _kind(time)
    if step is None:
        new = np.ones(len(row), dtype=np.int64)
        new[1:] = (row[1:] != row[:-1]) | (values[1:] != values[:-1])
        count = np.cumsum(new)
        return count - count[first]
    width = _width(step, kind, unit)
    if kind == "date":
        passed = (values - values[first]) / np.timedelta64(1, "s")
    else:
        passed = values / np.timedelta64(1, "s") if kind == "duration" else values.astype(float)
        if (passed < 0).any():
            raise ModtsError(f"With step, times are counted from 0; the table holds the time {time.min()}.")
    return np.floor(np.minimum(passed / width + 1e-9, 2.0**40)).astype(np.int64)


def _width(step, kind: str, unit: str | None) -> float:
    """The length of a step: in seconds for dates and durations, in the unit of the column for numbers."""
    seconds = (
        None
        if unit is None
        else _seconds(f"1{unit}" if isinstance(unit, str) else unit, "time_unit", 'a unit such as "h" or "min"')
    )
    if isinstance(step, (str, pd.Timedelta, np.timedelta64)) or hasattr(step, "total_seconds"):
        width = _seconds(step, "step", 'a positive number in the unit of time or a duration such as "1h"')
        if kind != "number":
            return width
        if seconds is None:
            raise ModtsError(
                f"The times are plain numbers, so a step of {step!r} needs their unit: give time_unit='h', say, or step as a number."
            )
        return width / seconds
    if isinstance(step, bool) or not isinstance(step, (int, float, np.number)) or not 0 < step < np.inf:
        raise ModtsError(
            f'step must be a positive number in the unit of time or a duration such as "1h", not {step!r}.'
        )
    if kind == "date" and seconds is None:
        raise ModtsError(f"The times are dates, so a step of {step!r} needs a unit: give a duration such as step='1h'.")
    return float(step) * (1.0 if seconds is None or kind == "number" else seconds)


def _seconds(duration, what: str, wanted: str) -> float:
    try:
        seconds = pd.Timedelta(duration).total_seconds()
    except (ValueError, TypeError, OverflowError):
        seconds = np.nan
    if not seconds > 0:
        raise ModtsError(f"{what} must be {wanted}, not {duration!r}.")
    return seconds
