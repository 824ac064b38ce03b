"""The step of a cohort's windows, remembered: new windows have the same."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd

from modts.errors import ModtsError, notice

NEAR, SHARE = 0.1, 0.9  # of a step, how regular times may deviate; of all gaps, how many are so
AFAR = 1000  # steps without a row before the first of all; and of one series, where it has a hundredth of them as rows


def step_of(times: pd.Series, rows, step, unit) -> dict:
    """What a cohort remembers: the width of a step, in seconds ("s") or in the unit of plain numbers (""), None where it is uneven or not
    known; and `step` and `time_unit` as they were given.

    times, rows : when each row of the table is, and whose.
    """
    step = plain(step)
    width, unit_of = _given(step, unit, times) if step is not None else _spacing(times, rows, unit)
    return {"width": width, "in": unit_of, "step": step, "time_unit": unit if isinstance(unit, str) else None}


def plain(step):
    """A duration of Python's, NumPy's or pandas' as text, and a number of NumPy's as Python's; anything else as it is."""
    if isinstance(step, np.timedelta64) or hasattr(step, "total_seconds"):  # NumPy calls its durations integers
        return str(pd.Timedelta(step))
    return step.item() if isinstance(step, np.generic) else step


def numbers(times: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(times) and not pd.api.types.is_bool_dtype(times)


def durations(times: pd.Series) -> bool:
    return getattr(times.dtype, "kind", "O") == "m"


def _given(step, unit, times: pd.Series) -> tuple[float, str]:
    if not isinstance(step, Real):
        return pd.Timedelta(step).total_seconds(), "s"
    if unit is not None:
        return float(step) * _seconds(unit), "s"
    return float(step), "" if numbers(times) else "s"


def _seconds(unit) -> float:
    return pd.Timedelta(f"1{unit}" if isinstance(unit, str) else unit).total_seconds()


def _spacing(times: pd.Series, rows, unit) -> tuple[float | None, str]:
    """From one row to the next of the same series, where that is always the same."""
    values = _as_numbers(times) * (_seconds(unit) if unit is not None and numbers(times) else 1)
    unit_of = "" if numbers(times) and unit is None else "s"
    code = pd.factorize(pd.Series(rows))[0]
    order = np.lexsort((values, code))
    gaps = np.diff(values[order])[np.diff(code[order]) == 0]
    gaps = gaps[gaps > 0]
    even = len(gaps) > 0 and np.isfinite(gaps).all() and np.allclose(gaps, gaps[0], rtol=1e-6)
    return (float(gaps[0]) if even else None), unit_of


def _as_numbers(times: pd.Series) -> np.ndarray:
    """Numbers as they are, dates and durations in seconds; NaN where they are neither."""
    if numbers(times):
        return times.to_numpy(dtype=float, na_value=np.nan)
    if getattr(times.dtype, "kind", "O") == "m":
        return pd.to_timedelta(times).dt.total_seconds().to_numpy()
    found = pd.Series(pd.to_datetime(times.to_numpy(), format="ISO8601", utc=True, errors="coerce"))
    return (
        (found - pd.Timestamp(0, tz="UTC").as_unit("s")).dt.total_seconds().to_numpy(dtype=float)
    )  # also of years behind 2262


def same_step(known: dict | None, times: pd.Series, rows, step, unit, whose: str):
    """The step and the unit of time to read new rows with: as given, or else as the cohort had them.

    Raises
    ------
    ModtsError
        Another step than the cohort's.
    """
    if not isinstance(known, dict) or not {"width", "in", "step", "time_unit"} <= set(known):
        return step, unit
    if step is None and known["step"] is not None:
        return _as_known(known, times, unit, whose)
    width, unit_of = _given(step, unit, times) if step is not None else _spacing(times, rows, unit)
    if known["width"] is None:
        if step is not None:
            notice(f"The cohort of {whose} was made without step=, each row a step; here a step is {step!r} long.")
        return step, unit
    was = f"{known['width']:g}{' ' + known['in'] if known['in'] else ''}"
    if unit_of != known["in"] or (width is not None and np.isclose(width, known["width"], rtol=1e-6)):
        return step, unit
    if step is not None:
        raise ModtsError(
            f"{whose} reads windows with a step of {was}, as its cohort had them, and step={step!r} is {width:g}; give the same step."
        )
    if len(times) > len(set(rows)):  # more than one row of some series
        how = "unevenly spaced" if width is None else f"{width:g} apart"
        notice(
            f"The rows of {whose}'s cohort were {was} apart, and these are {how}, each counted as one step; say with step= how long a step is."
        )
    return step, unit


def _as_known(known: dict, times: pd.Series, unit, whose: str):
    """The cohort's step in the unit of new times: a step of 1, counted in hours, is "3600s" where minutes are counted."""
    if unit is None or isinstance(known["step"], str):
        return known["step"], known["time_unit"] if unit is None else unit
    if known["in"] == "s":
        return f"{known['width']!r}s", unit
    if numbers(times):
        raise ModtsError(
            f"The step of {whose} is {known['step']!r} without a unit of time, so times in {unit!r} cannot be brought to it: give times as its "
            f"cohort had them and leave time_unit out, or say step= in {unit!r}."
        )
    return known["step"], unit


def near_zero(times: pd.Series, step, unit) -> None:
    """Refuse plain numbers that begin far from 0, from which steps are counted: seconds since 1970, say."""
    if step is None or not numbers(times):
        return
    try:
        width = float(step) if isinstance(step, Real) else pd.Timedelta(step).total_seconds() / _seconds(unit)
    except (ValueError, TypeError):
        return  # refused where steps are made
    first = times.min() / width if width > 0 else 0
    if first >= AFAR:
        raise ModtsError(
            f"The times are plain numbers, which are counted from 0, and the first of all lies {first:,.0f} steps behind it: every series would "
            f"begin with so many empty steps. Make dates of them, pd.to_datetime(table[{times.name!r}], unit={unit or 's'!r}) if they count "
            "from 1970, or subtract each series' first time."
        )


def _passed(times: pd.Series, step, unit) -> tuple[np.ndarray | None, float]:
    """Times as numbers in the unit of the width of a step, and that width; None where they cannot be, which is refused where steps are made."""
    try:
        width = _given(step, unit, times)[0]
        passed = _as_numbers(times) * (_seconds(unit) if unit is not None and numbers(times) else 1)
    except (ValueError, TypeError, OverflowError):
        return None, 0.0
    return (passed if width > 0 and np.isfinite(passed).all() else None), width


def _from_first(times: pd.Series, series: bool) -> bool:
    """Whether steps are counted from the first time of a series, and not from 0."""
    return series or not (numbers(times) or getattr(times.dtype, "kind", "O") == "m")


def far_apart(times: pd.Series, rows, step, unit, series: bool = False) -> None:
    """Notice a series of far more steps than rows, as a mistyped year or a step in another unit makes it: every window is as long.

    series : one long series, whose numbers are counted from the first.
    """
    passed, width = (None, 0.0) if step is None else _passed(times, step, unit)
    if passed is None:
        return
    each = pd.Series(passed).groupby(np.asarray(rows), sort=False)
    steps, counts = (each.max() - (each.min() if _from_first(times, series) else 0)) / width + 1, each.count()
    longest = steps.idxmax() if len(steps) else None
    if longest is None or steps[longest] < max(AFAR, 100 * counts[longest]):
        return
    last = times.iloc[int(np.flatnonzero((np.asarray(rows) == longest) & (passed == each.max()[longest]))[0])]
    whose, so = (
        ("The series", "most windows are empty") if series else (f"Id {str(longest)!r}", "all windows are as long")
    )
    notice(
        f"{whose} has {counts[longest]} rows and {steps[longest]:,.0f} steps of {step!r} (its last time is {last}), and {so}: is a time "
        "mistyped, or the step too short or in another unit?"
    )


def places(
    times: pd.Series, rows, step, unit, series: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(Number of its series, time in steps, place among the steps) of each row, in the order of the first two; None where that is not known."""
    passed, width = (None, 0.0) if step is None else _passed(times, step, unit)
    if passed is None or not len(passed):
        return None
    code = pd.factorize(pd.Series(np.asarray(rows)))[0]
    order = np.lexsort((passed, code))
    code, passed = code[order], passed[order]
    if _from_first(times, series):
        passed = passed - passed[np.searchsorted(code, code)]
    return code, passed / width, np.floor(passed / width + 1e-9)


def on_edges(times: pd.Series, rows, step, unit, series: bool = False) -> None:
    """Notice rows that come about one step after another and fall into one step by twos, because their times lie on the edges of steps."""
    found = places(times, rows, step, unit, series)
    if found is None:
        return
    code, time, place = found
    gap, same = np.diff(time), np.diff(code) == 0
    whole = np.round(gap)
    regular = same & (whole >= 1) & (np.abs(gap - whole) < NEAR)
    together = regular & (whole == 1) & (np.diff(place) == 0)
    if together.any() and regular.sum() >= SHARE * (same & (gap > 0)).sum():
        notice(
            f"{int(together.sum())} rows come about one step of {step!r} after the row before and fall into the same step, where both are "
            "averaged, and other steps stay empty: their times lie on the edges of steps, more or less. Round them to whole steps first: "
            "times.dt.round('1h') for dates, (times / step).round() * step for numbers."
        )


def cut_off(times: pd.Series, rows, step, unit, n_steps: int, whose: str) -> None:
    """Notice rows behind the last step of the windows, which are not read; refuse a series of which all are there."""
    if step is None:
        each = pd.DataFrame({"row": np.asarray(rows), "time": times.to_numpy()}).drop_duplicates()
        names, place = each["row"].to_numpy(), each.groupby("row", sort=False).cumcount().to_numpy()
    else:
        found = places(times, rows, step, unit)
        if found is None:
            return
        names, place = pd.unique(pd.Series(np.asarray(rows)))[found[0]], found[2]
    behind = pd.Series(place >= n_steps).groupby(names, sort=False).agg(["sum", "size"])
    nothing = behind.index[behind["sum"] == behind["size"]]
    if len(nothing):
        raise ModtsError(
            f"All rows of {str(nothing[0])!r} lie behind the first {n_steps} steps, and {whose} reads no others ({len(nothing)} of "
            f"{len(behind)} series are so): plain numbers and durations are counted from 0, so subtract the time at which each series begins."
        )
    longer = behind[behind["sum"] > 0]
    if len(longer):
        notice(
            f"{len(longer)} of {len(behind)} series go on behind the {n_steps} steps that {whose} reads (first: {str(longer.index[0])!r}, with "
            f"{int(longer['sum'].iloc[0])} of {int(longer['size'].iloc[0])} rows there); what lies behind is not read."
        )
