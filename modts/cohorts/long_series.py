"""Own data: one long series, cut into windows, split by time, and put together again once its gaps are filled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from modts.errors import ModtsError, choose, notice, whole

from .arrays import cohort_from_arrays
from .base import Cohort
from .checks import MAX_CELLS, codes_of, numeric, some, without_codes
from .clock import clock, dated, positions
from .files import read_table
from .splits import by_time
from .tables import REPEATS, plain_numbers, variables


def cohort_from_series(
    frame,
    *,
    steps: int,
    stride: int | None = None,
    time: str | None = None,
    target: str | None = None,
    features: list[str] | None = None,
    step: float | str | None = None,
    time_unit: str | None = None,
    repeats: str = "refuse",
    missing=(),
    **about,
) -> Cohort:
    """Make a cohort from one long series: windows of equal length, split by time so that no window lies in two parts.

    The first 60 % of the steps are for training, then 20 % each for validation and test. The last window of each part
    ends where the part ends, so that the windows cover every step; windows without any value are left out.

    Parameters
    ----------
    frame : pandas.DataFrame, pandas.Series, str or pathlib.Path
        A row per time, a column per variable, the time in its index or in the column ``time``; or a file with such a
        table (.csv, .tsv, .csv.gz, .tsv.gz, .parquet). Rows may be in any order.
    steps : int
        Length T of a window, in steps.
    stride : int, optional
        Steps from one window's start to the next, at most ``steps``. Default: ``steps``, windows side by side.
    time : str, optional
        The column with the time (needed for a file): numbers, dates or durations.
    target : str, optional
        The column to be predicted at every step (regression); it is then no feature. Default: no target, the cohort
        pretrains and imputes.
    features : list of str, optional
        Variable columns; default: all the others.
    step : float or str, optional
        Put the rows on an even grid from the first time on: a duration such as ``"30min"``, or a number in the unit of
        the time. Values within one step are averaged, steps without rows are missing. Default: each row is one step.
    time_unit, repeats, missing
        As for :func:`cohort_from_table`.
    **about
        As for :func:`cohort_from_arrays`: ``name``, ``title``, ``units``, ``unobserved``, ...

    Returns
    -------
    Cohort
        ``ids`` are the times at which the windows start.

    Raises
    ------
    ModtsError
        As for :func:`cohort_from_table`; or if a part is shorter than a window.

    Warns
    -----
    ModtsWarning
        As for :func:`cohort_from_arrays`, and if dates or durations are not evenly spaced and no ``step`` is given.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> index = pd.date_range("2024-01-01", periods=480, freq="30min")
    >>> series = pd.DataFrame({"load": np.sin(np.arange(480) / 8), "wind": np.cos(np.arange(480) / 5)}, index=index)
    >>> cohort = cohort_from_series(series, steps=48)
    >>> cohort
    Cohort(own: imputation, 10 x 48 x 2, 6/2/2 train/val/test, 0.0% missing)
    >>> series_back(cohort, cohort.X).shape  # in real life: backbone.impute(cohort.X)
    (480, 2)
    """
    steps = whole(steps, "steps")
    stride = steps if stride is None else whole(stride, "stride")
    if stride > steps:
        raise ModtsError(f"stride must be at most steps ({steps}), so that no step is left out, not {stride}.")
    for given in ("splits", "by_time", "groups", "ids", "task"):
        if given in about:
            raise ModtsError(f"A long series is split by time and named by its times; leave out {given}=.")
    choose(repeats, REPEATS, "rule for repeated times (repeats=)")
    values, index, target, codes = *_table(frame, time, target, features, step, time_unit, repeats), codes_of(missing)
    grid = without_codes(values.to_numpy(dtype=float), codes)  # (L, F), with the target as its last column
    length = len(grid)
    if length * grid.shape[1] * (steps // stride + 1) > MAX_CELLS:
        raise ModtsError(
            f"{length} steps in windows of {steps} with stride {stride} do not fit in memory; take a larger step or stride."
        )
    starts, parts = _starts(length, steps, stride)
    windows = grid[starts[:, None] + np.arange(steps)]  # (N, T, F)
    n_features = grid.shape[1] - (target is not None)
    kept = ~np.isnan(windows[:, :, :n_features]).all((1, 2))
    starts, parts, windows = starts[kept], parts[kept], windows[kept]
    splits = {name: np.flatnonzero(parts == i) for i, name in enumerate(("train", "val", "test"))}
    for name, rows in splits.items():
        if not len(rows):
            raise ModtsError(f"The {name} part of the series holds no value at all.")
    about = ({"target": target} if target is not None else {}) | about
    cohort = cohort_from_arrays(
        windows[:, :, :n_features],
        None if target is None else windows[:, :, -1],
        ids=[str(index[i]) for i in starts],
        features=list(values.columns[:n_features]),
        splits=splits,
        **about,
    )
    place = {"length": length, "starts": starts.tolist(), "index": _written(index)}
    return replace(cohort, split_by="time", notes=cohort.notes | {"long_series": place})


def series_back(cohort: Cohort, filled) -> pd.DataFrame:
    """Windows of a long series, filled, as one series on its own index.

    Parameters
    ----------
    cohort : Cohort
        From :func:`cohort_from_series`, also saved and loaded.
    filled : (N, T, F) array
        All windows of the cohort in its order, as ``backbone.impute(cohort.X)`` gives them.

    Returns
    -------
    pandas.DataFrame
        A row per step, float32, sorted by time; where windows overlap, their mean. Steps that no window covers (long
        gaps) are NaN. ``frame.fillna(series_back(...))`` keeps your own numbers to the last digit.

    Raises
    ------
    ModtsError
        If the cohort is of another kind, or the windows have another shape.
    """
    if "long_series" not in cohort.notes:
        raise ModtsError(f"Cohort {cohort.name!r} is not one long series; only cohort_from_series makes one.")
    filled = numeric(filled, "filled")
    if filled.shape != cohort.X.shape:
        raise ModtsError(f"The filled windows must have the cohort's shape {cohort.X.shape}, not {filled.shape}.")
    place = cohort.notes["long_series"]
    total = np.zeros((place["length"], cohort.n_features))
    count = np.zeros_like(total)
    for start, window in zip(place["starts"], filled, strict=True):
        there = ~np.isnan(window)
        total[start : start + cohort.n_steps] += np.where(there, window, 0)
        count[start : start + cohort.n_steps] += there
    with np.errstate(invalid="ignore"):
        mean = (total / count).astype(np.float32)
    return pd.DataFrame(mean, index=_read(place["index"]), columns=list(cohort.features))


def _starts(length: int, steps: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """First step of each window, and the number of its part (train, val, test); none lies in two parts."""
    starts, parts = [], []
    for number, (name, rows) in enumerate(by_time(length).items()):
        low, high = int(rows[0]), int(rows[-1]) + 1
        if high - low < steps:
            raise ModtsError(
                f"A window of {steps} steps does not fit into the {name} part of the series, which has {high - low} of its {length} steps."
            )
        mine = sorted({*range(low, high - steps + 1, stride), high - steps})
        starts += mine
        parts += [number] * len(mine)
    return np.array(starts), np.array(parts)


def _table(frame, time, target, features, step, unit, repeats) -> tuple[pd.DataFrame, pd.Index, str | None]:
    """The variables (the target last) on the steps of the series, the index of those steps, and the target."""
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    if time is None:
        if not isinstance(frame, pd.DataFrame):
            raise ModtsError("For a file give the column with the time, time='...'.")
        if frame.index.nlevels > 1:
            raise ModtsError("The index has several levels; a long series has one time for each row.")
        index = pd.Series(frame.index)
        frame = read_table(frame)
    else:
        frame = read_table(frame)
        if time not in frame.columns:
            raise ModtsError(f"The series has no column {time!r}; its columns: {some(frame.columns)}.")
        index = frame[time]
    if target is not None and target not in frame.columns:
        raise ModtsError(f"The series has no column {target!r}; its columns: {some(frame.columns)}.")
    if not len(frame):
        raise ModtsError("The series has no row.")
    if index.isna().any():
        raise ModtsError(f"The time of row {int(np.flatnonzero(index.isna())[0])} is missing.")
    features = variables(frame, features, {"time": time, "target": target})
    columns = [*features, *([] if target is None else [target])]
    plain_numbers(frame, columns)
    index = dated(index, time or "index")
    when = clock(index, time or "index")
    again = when.duplicated()
    if again.any() and repeats == "refuse":
        raise ModtsError(
            f"The series has several rows at time {index[again].iloc[0]}; say with repeats='first' or repeats='mean' which value holds."
        )
    if again.any() and repeats == "first":
        when, index, frame = when[~again], index[~again], frame[~again]
    order = np.argsort(when.to_numpy(), kind="stable")
    when, index, values = when.iloc[order], index.iloc[order], frame[columns].astype(float).iloc[order]
    if step is None and not pd.api.types.is_numeric_dtype(when) and len(np.unique(np.diff(when.unique()))) > 1:
        notice(
            "The times of the series are not evenly spaced, and each row counts as one step; give step='1h', say, to put them on a grid."
        )
    position = positions(when if step is None else _from_zero(when), np.zeros(len(when), dtype=np.int64), step, unit)
    if step is None:
        return (
            values.groupby(position).mean(),
            pd.Index(index[~pd.Series(position).duplicated().to_numpy()], name=index.name),
            target,
        )
    length = int(position.max()) + 1
    if length > MAX_CELLS // len(columns):
        raise ModtsError(f"{length} steps do not fit in memory; take a larger step.")
    values = values.groupby(position).mean().reindex(range(length))
    return values, _even(index, when, step, unit, length), target


def _from_zero(when: pd.Series) -> pd.Series:
    """Durations and numbers counted from the first, as dates are."""
    return when if pd.api.types.is_datetime64_any_dtype(when) else when - when.iloc[0]


def _even(index: pd.Series, when: pd.Series, step, unit, length: int) -> pd.Index:
    """The times of an even grid, in the zone and kind of the user's own."""
    if pd.api.types.is_numeric_dtype(when):
        width = step if not isinstance(step, str) else pd.Timedelta(step) / pd.Timedelta(f"1{unit}")
        return pd.Index(when.iloc[0] + np.arange(length) * width, name=index.name)
    if isinstance(step, (int, float, np.number)):
        step = pd.Timedelta(f"1{unit or 's'}") * step
    return pd.Index(index.iloc[0] + np.arange(length) * pd.Timedelta(step), name=index.name)


# ---- an index in a cohort's notes: plain JSON, short for even spacing ----------------------------------------


def _written(index: pd.Index) -> dict:
    """Dates and durations as (first, [[from one to the next, how often]]), numbers as a list."""
    name = None if index.name is None else str(index.name)
    if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        zone = getattr(index, "tz", None)
        number = index.asi8
        gaps = np.diff(number)
        bounds = np.flatnonzero(np.diff(gaps, prepend=gaps[:1] - 1)) if len(gaps) else np.array([], int)
        runs = [[int(gaps[i]), int(n)] for i, n in zip(bounds, np.diff([*bounds, len(gaps)]), strict=True)]
        kind = "duration" if isinstance(index, pd.TimedeltaIndex) else "date"
        return {
            "kind": kind,
            "unit": index.unit,
            "name": name,
            "zone": None if zone is None else str(zone),
            "first": int(number[0]),
            "gaps": runs,
        }
    return {"kind": "number", "name": name, "values": index.tolist()}


def _read(written: dict) -> pd.Index:
    if written["kind"] == "number":
        return pd.Index(written["values"], name=written["name"])
    gaps = np.concatenate([[0], *(np.full(n, gap) for gap, n in written["gaps"])]).astype(np.int64)
    number = written["first"] + np.cumsum(gaps)
    if written["kind"] == "duration":
        return pd.TimedeltaIndex(number.astype(f"timedelta64[{written['unit']}]"), name=written["name"])
    index = pd.DatetimeIndex(number.astype(f"datetime64[{written['unit']}]"), name=written["name"])
    return index if written["zone"] is None else index.tz_localize("UTC").tz_convert(written["zone"])
