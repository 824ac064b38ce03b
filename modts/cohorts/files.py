"""Own data: a cohort from arrays, or from one long table (id, time, variables, label) in CSV or parquet.

Users of imputation libraries ask for this first: their own tables, series of different lengths, and a sentence instead
of a traceback when something does not fit. Shorter series are padded with missing values; nothing is filled, scaled or
dropped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from modts.errors import ModtsError, choose

from . import splits as _splits
from .base import TASKS, Cohort
from .checks import check_labels, check_values, given_splits, numeric, pad, show

_MAX_CELLS = 2_000_000_000  # a wrong step size asks for terabytes; stop before the memory does


def cohort_from_arrays(
    X,
    y,
    *,
    ids=None,
    features=None,
    units=None,
    task: str | None = None,
    target: str = "label",
    target_unit: str = "",
    splits: dict | None = None,
    by_time: bool = False,
    seed: int = 0,
    name: str = "own",
    title: str = "Own data",
    licence: str = "not stated",
    citation: str = "not stated",
    source: str = "not stated",
) -> Cohort:
    """Make a cohort from arrays.

    Parameters
    ----------
    X : array_like or list of array_like
        ``(N, T, F)`` raw values with NaN for missing, or a list of ``(T_i, F)`` arrays of different lengths, which are
        padded with NaN at the end to the longest.
    y : array_like
        ``(N,)`` of 0 and 1 (classification) or ``(N, T)`` (regression: one target value per step, NaN where missing; a
        list of ``(T_i,)`` with a list ``X``).
    ids : sequence, optional
        One unique id per row; default "0", "1", ...
    features, units : sequence of str, optional
        Default "x0", "x1", ... and no units.
    task : {"classification", "regression"}, optional
        Default: by the number of dimensions of ``y``.
    target, target_unit : str
        What ``y`` is.
    splits : dict, optional
        ``"train"``, ``"val"``, ``"test"`` -> row numbers, if you have your own; otherwise 64/16/20 by ``seed``,
        stratified.
    by_time : bool
        Rows are in time order and are split in that order, 60/20/20.
    seed : int
        Of the split.
    name, title, licence, citation, source : str
        Shown on pages.

    Returns
    -------
    Cohort

    Raises
    ------
    ModtsError
        If shapes, values, labels or splits do not fit; each sentence says which.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(20, 6, 3))
    >>> cohort_from_arrays(X, np.arange(20) % 2, name="mine")
    Cohort(mine: classification, 20 x 6 x 3, 12/4/4 train/val/test, 0.0% missing)
    """
    if isinstance(X, (list, tuple)) and len({len(np.asarray(x)) for x in X}) > 1:
        y = pad([np.asarray(v)[:, None] for v in y], "y")[:, :, 0] if np.ndim(y[0]) == 1 else y
        X = pad([np.asarray(x) for x in X], "X")
    X, y = numeric(X, "X"), numeric(y, "y")
    if X.ndim != 3 or 0 in X.shape:
        raise ModtsError(f"X must have shape (samples, steps, features) with no empty side, not {X.shape}.")
    n, steps, width = X.shape
    if task is None:
        task = "regression" if y.ndim == 2 else "classification"
    choose(task, TASKS, "task")
    wanted = (n,) if task == "classification" else (n, steps)
    if y.shape != wanted:
        raise ModtsError(f"For {task} y must have shape {wanted}, not {y.shape}.")
    if task == "classification":
        check_labels(y)
    if np.isinf(y).any():
        raise ModtsError("y holds infinite values; use NaN for missing.")
    ids = np.array([str(i) for i in (range(n) if ids is None else ids)])
    features = [f"x{i}" for i in range(width)] if features is None else list(features)
    if len(features) != width:
        raise ModtsError(f"X has {width} features but {len(features)} names were given.")
    if len(ids) != n:
        raise ModtsError(f"X has {n} rows but {len(ids)} ids were given.")
    check_values(X, ids, features)
    if task == "regression" and np.isnan(y).all():
        raise ModtsError("The regression target has no value at all.")
    if splits is not None:
        made, how = given_splits(splits, n), "given"
    elif by_time:
        made, how = _splits.by_time(n), "time"
    elif task == "classification":
        made, how = _splits.seeded(n, y, seed), "stratified"
    else:
        made, how = _splits.seeded(n, None, seed), "random"
    return Cohort(
        name=name,
        title=title,
        X=X,
        y=y,
        ids=ids,
        features=tuple(features),
        units=("",) * width if units is None else tuple(units),
        task=task,
        target=target,
        target_unit=target_unit,
        splits=made,
        split_seed=seed,
        split_by=how,
        licence=licence,
        citation=citation,
        source=source,
    )


def cohort_from_table(
    table,
    *,
    id: str = "id",
    time: str = "time",
    label: str = "label",
    features: list[str] | None = None,
    n_steps: int | None = None,
    step: float | str | None = None,
    task: str = "classification",
    **about,
) -> Cohort:
    """Make a cohort from a long table: one row per id and time, one column per variable.

    Parameters
    ----------
    table : str, pathlib.Path or pandas.DataFrame
        A .csv or .parquet file, or a data frame.
    id, time, label : str
        Names of the columns. ``time`` holds numbers or dates. For classification the label (0 or 1) is the same in all
        rows of an id; for regression it is the target's value at that time (may be empty).
    features : list of str, optional
        Variable columns; default: all the others.
    n_steps : int, optional
        Keep the first ``n_steps`` steps; shorter series are padded as missing. Default: the longest series.
    step : float or str, optional
        Length of a time step: a number in the unit of ``time`` (counted from 0), or for dates a duration such as
        ``"1h"`` (counted from the id's first time). Values within one step are averaged; steps without rows are
        missing. Default: each row is one step.
    task : {"classification", "regression"}
    **about
        As for :func:`cohort_from_arrays`: ``name``, ``title``, ``units``, ``target``, ``seed``, ``licence``, ...

    Returns
    -------
    Cohort

    Raises
    ------
    ModtsError
        For an unreadable file, a missing or non-numeric column, a repeated (id, time), an id without any value, a label
        that changes within an id or is not 0 or 1, infinite values, or too few ids of a class to split.
    """
    choose(task, TASKS, "task")
    frame = _read(table)
    features = [c for c in frame.columns if c not in (id, time, label)] if features is None else list(features)
    for column in (id, time, label, *features):
        if column not in frame.columns:
            raise ModtsError(
                f"The table has no column {column!r}; its columns: {', '.join(map(str, frame.columns[:20]))}."
            )
    if label in features:
        raise ModtsError(f"The label column {label!r} must not be among the features.")
    if not features or len(frame) == 0:
        raise ModtsError("The table has no variable column or no row.")
    for column in (id, time):
        if frame[column].isna().any():
            raise ModtsError(f"Column {column!r} is empty in row {int(np.flatnonzero(frame[column].isna())[0])}.")
    for column in (*features, label):
        if not (pd.api.types.is_numeric_dtype(frame[column]) or frame[column].isna().all()):
            word = frame[column][pd.to_numeric(frame[column], errors="coerce").isna() & frame[column].notna()]
            example = f" (for example {word.iloc[0]!r})" if len(word) else ""
            raise ModtsError(
                f"Column {column!r} is not numeric{example}; encode it as numbers or leave it out of features."
            )
    again = frame.duplicated([id, time])
    if again.any():
        row = frame[again].iloc[0]
        raise ModtsError(
            f"Id {show(row[id])} has several rows at time {show(row[time])}; each (id, time) may occur once."
        )
    if n_steps is not None and (isinstance(n_steps, bool) or not isinstance(n_steps, int) or n_steps < 1):
        raise ModtsError(f"n_steps must be a whole number of 1 or more, not {n_steps!r}.")

    if frame[id].dtype == object:  # numbers and words mixed cannot be sorted
        frame[id] = frame[id].astype(str)
    clock = _clock(frame[time], time)
    frame = frame.assign(**{time: clock}).sort_values([id, time], kind="stable")
    ids, row = np.unique(frame[id].to_numpy(), return_inverse=True)
    position = _positions(frame[time], row, step)
    steps = n_steps or int(position.max()) + 1
    if len(ids) * steps * len(features) > _MAX_CELLS:
        raise ModtsError(f"{len(ids)} series of {steps} steps do not fit in memory; set n_steps, or a larger step.")
    columns = [*features, label] if task == "regression" else features
    values = frame[columns].astype(float).groupby([row, position]).mean()  # within one step; a no-op without step
    at_row, at_step = values.index.get_level_values(0), values.index.get_level_values(1)
    kept = at_step < steps
    grid = np.full((len(ids), steps, len(columns)), np.nan)  # (N, T, F)
    grid[at_row[kept], at_step[kept]] = values.to_numpy()[kept]
    if task == "regression":
        X, y = grid[:, :, :-1], grid[:, :, -1]
    else:
        X, y = grid, _one_label(frame[label].to_numpy(dtype=float), row, ids, label)
    about.setdefault("target", label)
    return cohort_from_arrays(X, y, ids=ids, features=features, task=task, **about)


# ---- from a table to a grid ----------------------------------------


def _read(table) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table.reset_index(drop=True)
    path = Path(table).expanduser()
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if path.suffix not in readers:
        raise ModtsError(f"A table must be a .csv or .parquet file or a data frame, not {str(path)!r}.")
    if not path.is_file():
        raise ModtsError(f"There is no table {str(path)!r}.")
    try:
        return readers[path.suffix](path)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parse errors are both ValueErrors or OSErrors
        raise ModtsError(f"The table {str(path)!r} cannot be read: {' '.join(str(error).split())[:160]}.") from error


def _clock(column: pd.Series, name: str) -> pd.Series:
    """Numbers stay numbers; text is read as dates."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds()
    try:
        return pd.to_datetime(column, format="ISO8601")  # 03/04/2024 could be read two ways, so it is not guessed
    except (ValueError, TypeError) as error:
        raise ModtsError(
            f"Column {name!r} holds neither numbers nor dates such as 2024-01-31 or 2024-01-31 10:00 (first: "
            f"{column.iloc[0]!r})."
        ) from error


def _positions(clock: pd.Series, row: np.ndarray, step: float | str | None) -> np.ndarray:
    """Step number of each table row; rows are sorted by id and time."""
    first = np.searchsorted(row, row)  # first table row of the same id
    if step is None:
        return np.arange(len(row)) - first
    dates = pd.api.types.is_datetime64_any_dtype(clock)
    try:
        width = pd.Timedelta(step) / pd.Timedelta("1s") if dates else float(step)
    except (TypeError, ValueError) as error:
        width = None
        cause = error
    if width is None or not width > 0:
        kind = 'a duration such as "1h"' if dates else "a positive number in the unit of time"
        raise ModtsError(f"step must be {kind}, not {step!r}.") from (cause if width is None else None)
    if dates:
        passed = (clock - clock.iloc[first].to_numpy()).dt.total_seconds().to_numpy()
    else:
        passed = clock.to_numpy(dtype=float)
        if (passed < 0).any() or not np.isfinite(passed).all():
            raise ModtsError(f"With step, times are counted from 0; the table holds the time {passed.min()}.")
    return np.floor(passed / width + 1e-9).astype(np.int64)


def _one_label(values: np.ndarray, row: np.ndarray, ids: np.ndarray, name: str) -> np.ndarray:
    """The label of each id; it must be there, and the same in all its rows."""
    first = values[np.searchsorted(row, np.arange(len(ids)))]
    differs = ~((values == first[row]) | (np.isnan(values) & np.isnan(first[row])))
    if differs.any():
        raise ModtsError(
            f"The label {name!r} is not constant within id {show(ids[row[differs][0]])}; one label per id is needed."
        )
    if np.isnan(first).any():
        raise ModtsError(f"Id {show(ids[np.isnan(first)][0])} has no label in column {name!r}.")
    return first
