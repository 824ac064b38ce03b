"""The step of a cohort's windows, remembered: new windows have the same."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd

from modts.errors import ModtsError, notice

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
        return known["step"], known["time_unit"] if unit is None else unit
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


def far_apart(times: pd.Series, rows, step, unit, series: bool = False) -> None:
    """Notice a series of far more steps than rows, as a mistyped year or a step in another unit makes it: every window is as long.

    series : one long series, whose numbers are counted from the first.
    """
    if step is None:
        return
    try:
        width = _given(step, unit, times)[0]
        passed = _as_numbers(times) * (_seconds(unit) if unit is not None and numbers(times) else 1)
    except (ValueError, TypeError, OverflowError):
        return  # refused where steps are made
    if not width > 0:
        return
    each = pd.Series(passed).groupby(np.asarray(rows), sort=False)
    start = 0 if (numbers(times) or getattr(times.dtype, "kind", "O") == "m") and not series else each.min()
    steps, counts = (each.max() - start) / width + 1, each.count()
    longest = steps.idxmax() if steps.notna().any() else None
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
