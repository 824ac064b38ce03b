"""Own data: a cohort from one table in long form, a row per id and time or per single value; labels there or in a table of their own.

Nothing is filled or scaled; what falls into one time step is averaged, and whatever is ambiguous is refused in a sentence.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from modts.errors import ModtsError, choose, notice, whole

from .arrays import cohort_from_arrays
from .base import Cohort
from .checks import MAX_CELLS, codes_of, flag, show, some, without_codes
from .clock import clock, positions
from .files import read_table
from .tasks import TASKS, coded

REPEATS = ("refuse", "first", "mean")
_UNNAMED = re.compile(r"Unnamed: (\d+)(_level_\d+)?")


def cohort_from_table(
    table,
    *,
    id: str = "id",
    time: str = "time",
    label: str | list[str] | None = "label",
    labels=None,
    features: list[str] | None = None,
    variable: str | None = None,
    value: str = "value",
    groups: str | None = None,
    n_steps: int | None = None,
    step: float | str | None = None,
    time_unit: str | None = None,
    repeats: str = "refuse",
    missing=(),
    label_per: str | None = None,
    task: str | None = None,
    **about,
) -> Cohort:
    """Make a cohort from a long table: one row per id and time and one column per variable, or one row per single value.

    Parameters
    ----------
    table : str, pathlib.Path or pandas.DataFrame
        A .csv, .tsv (both also .gz) or .parquet file, or a data frame.
    id, time, label : str
        Names of the columns. An id in a text file is what stands there: 07 is not 7. ``time`` holds numbers, dates (those
        with a zone are compared in UTC) or durations. For classification the label (0 or 1) is the same in all rows of an
        id, for multiclass likewise (a word or a number); for regression it is the target's value at that time (may be
        empty), or with ``label_per="id"`` one number for the id; for stepwise it is 0 or 1 at that time (may be empty). A
        list of columns: several labels (multilabel), each 0, 1 or empty. ``label=None``: no label, the cohort pretrains
        and imputes.
    labels : str, pathlib.Path or pandas.DataFrame, optional
        A table of its own for the labels: the columns ``id`` and ``label``, a row per id; for a target at every time
        also ``time``. Ids that the table lacks are left out, with a warning.
    features : list of str, optional
        Variable columns; default: all the others. In the form of single values: which variables.
    variable, value : str
        For a table of single values (id, time, variable, value): the columns with the variable's name and its value.
    groups : str, optional
        The column (of the table) that says whose the id is, such as the patient of a stay: no two splits share one.
    n_steps : int, optional
        Keep the first ``n_steps`` steps. Default: the longest series. A series ends with its last row (the cohort's
        ``lengths``); behind it lies padding, which is neither imputed nor read, and not missing values.
    step : float or str, optional
        Length of a time step. Values within one step are averaged; steps without rows are missing. A duration such as
        ``"1h"``, or a number in the unit of ``time`` (seconds for durations). Dates are counted from the id's first
        time, numbers and durations from 0. Default: each time of an id is one step. The cohort and its backbones remember it.
    time_unit : str, optional
        The unit of plain numbers in ``time`` ("h", "min", "s", "D"), which a step such as ``"1h"`` then needs.
    repeats : {"refuse", "first", "mean"}
        What to do with several rows of one id at one time: refuse them, keep the first in the table, or average.
    missing : number or sequence of numbers
        Codes that stand for a missing value, such as ``(-9999,)``.
    label_per : {"id", "time"}, optional
        For regression: one number for each id, or one at each time. Default: "time", or what a table ``labels`` holds.
    task : {"classification", "multiclass", "multilabel", "stepwise", "regression", "imputation"}, optional
        Default: classification, multilabel with several labels, or imputation with ``label=None``.
    **about
        As for :func:`cohort_from_arrays`: ``name``, ``title``, ``units``, ``target``, ``seed``, ``by_time``,
        ``unobserved``, ``licence``, ... With ``by_time`` ids are ordered by their first time; where that is the same,
        numbers by size and texts as they stand in the table.

    Returns
    -------
    Cohort

    Raises
    ------
    ModtsError
        For an unreadable file, a missing, nameless or non-numeric column, a repeated (id, time), an id without any
        value, a label that changes within an id or is not 0 or 1, infinite values, or too few ids of a class to split.

    Warns
    -----
    ModtsWarning
        As for :func:`cohort_from_arrays`, and for labels of ids that the table lacks.
    """
    several = [*label] if isinstance(label, (list, tuple)) else []
    default = "imputation" if label is None else "multilabel" if several else "classification"
    task = choose(task or default, TASKS, "task")
    choose(repeats, REPEATS, "rule for repeated times (repeats=)")
    if bool(several) != (task == "multilabel"):
        raise ModtsError(
            f"Several labels, label=['a', 'b'], are for multilabel; for {task} name one column, not {label!r}."
        )
    if (task == "imputation") != (label is None) or (label is None and labels is not None):
        raise ModtsError(
            "Without a label give label=None alone (the task is then imputation); every other task needs one."
        )
    n_steps = None if n_steps is None else whole(n_steps, "n_steps")
    by_time = flag(about.get("by_time", False), "by_time")
    labels = None if labels is None else read_table(labels)
    at_times = _at_times(task, label_per, labels, time)
    frame, codes = read_table(table), codes_of(missing)
    wanted = several or ([] if label is None else [label])  # the columns with the target
    kept = [
        *([] if groups is None else [groups]),
        *([] if labels is not None else wanted),
    ]  # beside id, time and variables
    form = [] if variable is None else [variable, value]
    _present(frame, [id, time, *kept, *form], "table", *(wanted[:1] if labels is None else []))
    double = [c for c in wanted if labels is not None and variable is None and c in frame.columns]
    if double:
        raise ModtsError(f"The label column {double[0]!r} stands in the table and in labels=; drop one of them.")
    if len(frame) == 0:
        raise ModtsError("The table has no variable column or no row.")
    for column in (id, time, *([groups] if groups else []), *form[:1]):
        if frame[column].isna().any():
            raise ModtsError(f"Column {column!r} is empty in row {int(np.flatnonzero(frame[column].isna())[0])}.")
    frame = frame.assign(**{id: _ids(frame[id]), time: clock(frame[time], time)})
    if variable is None:
        taken = {"id": id, "time": time, "groups": groups}
        features = variables(frame, features, taken | {f"label{i or ''}": c for i, c in enumerate(wanted)})
    else:
        frame, features = _wide(frame, features, (id, time, variable, value), kept, repeats, codes)
    if labels is not None:
        frame = _with_labels(frame, labels, id, time, wanted, at_times)
    if task == "multiclass":
        there = frame[label].notna().to_numpy()
        numbers, about["classes"] = coded(frame[label].to_numpy(dtype=object)[there], about.get("classes"))
        number = np.full(len(frame), np.nan)
        number[there] = numbers
        frame = frame.assign(**{label: number})
    long = "; if each row is one value, name its columns: variable=, value=" if len(features) == 2 else ""
    plain_numbers(frame, [*features, *wanted], long)
    measured = [*features, *(wanted if at_times else [])]
    if len(codes):
        without = [*measured, *several]
        frame = frame.assign(
            **{c: without_codes(frame[c].to_numpy(dtype=float, na_value=np.nan), codes) for c in without}
        )
    frame = _once(frame, (id, time), repeats)

    order = _order(frame, id, time, by_time)
    frame = frame.assign(**{"\0row": frame[id].map(order)}).sort_values(["\0row", time], kind="stable")
    ids, row = np.array(list(order), dtype=object), frame["\0row"].to_numpy()
    position = positions(frame[time], row, step, time_unit)
    steps = n_steps or int(position.max()) + 1
    if len(ids) * steps * len(features) > MAX_CELLS:
        raise ModtsError(f"{len(ids)} series of {steps} steps do not fit in memory; set n_steps, or a larger step.")
    values = frame[measured].astype(float).groupby([row, position]).mean()  # within one step; a no-op without step
    at_row, at_step = values.index.get_level_values(0), values.index.get_level_values(1)
    inside = at_step < steps
    grid = np.full((len(ids), steps, len(measured)), np.nan)  # (N, T, F)
    grid[at_row[inside], at_step[inside]] = values.to_numpy()[inside]
    X, y = grid, None
    if at_times:
        X, y = grid[:, :, :-1], grid[:, :, -1]
        y = np.where(y > 0, 1.0, y) if task == "stepwise" and step is not None else y  # a yes within a step is a yes
    elif label is not None:
        values = [frame[c].to_numpy(dtype=float, na_value=np.nan) for c in wanted]
        each = [_constant(v, row, ids, f"label {c!r}", bool(several)) for c, v in zip(wanted, values, strict=True)]
        y = np.stack(each, axis=1) if several else each[0]
        y = np.array(about["classes"], dtype=object)[y.astype(int)] if task == "multiclass" else y
        about |= {"classes": several} if several else {}
    ended = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(ended, row, np.minimum(position, steps - 1) + 1)
    about.setdefault("lengths", None if (ended == steps).all() else ended)
    if groups is not None:
        about["groups"] = _constant(frame[groups].astype(str).to_numpy(), row, ids, f"group {groups!r}")
    if label is not None:
        about.setdefault("target", ", ".join(map(str, wanted)))
    return cohort_from_arrays(X, y, ids=ids, features=features, task=task, **about)


# ---- from a table to a grid ----------------------------------------


def _at_times(task: str, per: str | None, labels: pd.DataFrame | None, time: str) -> bool:
    """Whether there is a target at each time, and not one label an id."""
    if task == "stepwise":
        if per not in (None, "time"):
            raise ModtsError(f"label_per={per!r} is for regression; for stepwise there is one label at each time.")
        return True
    if task != "regression":
        if per not in (None, "id"):
            raise ModtsError(f"label_per={per!r} is for regression; for {task} there is one label for each id.")
        return False
    default = "time" if labels is None or time in labels.columns else "id"
    return choose(per or default, ("id", "time"), "unit of the label (label_per=)") == "time"


def _present(frame: pd.DataFrame, columns: list[str], what: str, label: str | None = None) -> None:
    for column in columns:
        if column not in frame.columns:
            hint = "; without a label give label=None" if column == label else ""
            raise ModtsError(
                f"The {what} has no column {column!r}; its columns: {', '.join(map(str, frame.columns[:20]))}{hint}."
            )


def _ids(column: pd.Series) -> pd.Series:
    """Ids that can be sorted: numbers and words mixed become words."""
    plain = isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object
    return column.astype(str) if plain else column


def variables(frame: pd.DataFrame, features, others: dict) -> list:
    """The variable columns: those asked for, or all but `others` (what it is -> column); an index that was saved with the table is none."""
    taken = {column: what for what, column in others.items() if column is not None}
    if features is None:
        features = [c for c in frame.columns if c not in taken]
        nameless = [c for c in features if isinstance(c, str) and _UNNAMED.fullmatch(c)]
        nameless += [
            c for c in features if c in ("index", "level_0") and np.array_equal(frame[c], np.arange(len(frame)))
        ]
        if nameless:
            raise ModtsError(
                f"Column {nameless[0]!r} looks like an index that pandas saved with the table; write it with index=False, drop the column, "
                "or name the variables in features=."
            )
    if isinstance(features, str):
        raise ModtsError(f"features must be a list of column names, not the text {features!r}.")
    features = list(features)
    _present(frame, features, "table")
    for column in features:
        if column in taken:
            raise ModtsError(f"The {taken[column]} column {column!r} must not be among the features.")
    if len(set(features)) < len(features):
        raise ModtsError(f"Each variable may be among the features once: {some(features)}.")
    if not features:
        raise ModtsError("The table has no variable column or no row.")
    return features


def plain_numbers(frame: pd.DataFrame, columns: list, beside: str = "") -> None:
    """Refuse a column of the table that holds no numbers; `beside` is further advice."""
    for column in columns:
        if not (pd.api.types.is_numeric_dtype(frame[column]) or frame[column].isna().all()):
            word = frame[column][pd.to_numeric(frame[column], errors="coerce").isna() & frame[column].notna()]
            example = f" (for example {word.iloc[0]!r})" if len(word) else ""
            raise ModtsError(
                f"Column {column!r} is not numeric{example}; encode it as numbers or leave it out of features{beside}."
            )
        if pd.api.types.is_complex_dtype(frame[column]):
            raise ModtsError(f"Column {column!r} holds complex numbers; give their parts as columns of their own.")


def _once(frame: pd.DataFrame, keys: tuple, repeats: str) -> pd.DataFrame:
    """Each key once where that is asked for; "mean" leaves the averaging to the grid."""
    again = frame.duplicated(list(keys))
    if again.any() and repeats == "refuse":
        row = frame[again].iloc[0]
        of = f" of {show(row[keys[2]])}" if len(keys) > 2 else ""
        raise ModtsError(
            f"Id {show(row[keys[0]])} has several rows{of} at time {show(row[keys[1]])}; each (id, time) may occur once: say with "
            "repeats='first' or repeats='mean' which value holds."
        )
    return frame[~again] if repeats == "first" else frame


def _wide(frame: pd.DataFrame, features, names: tuple, kept: list, repeats: str, codes: np.ndarray):
    """From single values to a column for each variable; `kept` columns must be the same in all rows of an id and time."""
    id, time, variable, value = names
    if features is not None:
        features = [features] if isinstance(features, str) else list(features)
        absent = [f for f in features if not (frame[variable] == f).any()]
        if absent:
            raise ModtsError(
                f"Column {variable!r} holds no variable {absent[0]!r}; it holds: {some(frame[variable].unique())}."
            )
    else:
        features = sorted(frame[variable].unique(), key=str)
    beside = frame[[id, time, *kept]].drop_duplicates()
    if beside.duplicated([id, time]).any():
        row = beside[beside.duplicated([id, time])].iloc[0]
        raise ModtsError(f"{some(kept)} differs between rows of id {show(row[id])} at time {show(row[time])}.")
    single = frame[frame[variable].isin(features)][[id, time, variable, value]]
    plain_numbers(single, [value])
    single = single.assign(**{value: without_codes(single[value].to_numpy(dtype=float, na_value=np.nan), codes)})
    single = _once(single, (id, time, variable), repeats)
    wide = single.groupby([id, time, variable], observed=True)[value].mean().unstack(variable).reindex(columns=features)
    clash = [c for c in features if c in (id, time, *kept)]
    if clash:
        raise ModtsError(f"A variable is called {clash[0]!r} like a column of the table; rename one of them.")
    wide.columns = list(features)
    return beside.merge(wide.reset_index(), on=[id, time], how="left"), features


def _with_labels(
    frame: pd.DataFrame, labels: pd.DataFrame, id: str, time: str, wanted: list[str], at_times: bool
) -> pd.DataFrame:
    """The table with the labels of another: one for each id, or one for each id and time."""
    keys = [id, time] if at_times else [id]
    _present(labels, [*keys, *wanted], "table of labels")
    if labels[keys].isna().any(axis=None):
        raise ModtsError(f"The table of labels has a row without {' or '.join(keys)}.")
    labels = labels[[*keys, *wanted]].assign(**{id: _ids(labels[id])})
    if at_times:
        labels[time] = clock(labels[time], time)
    labels = labels.drop_duplicates()
    again = labels.duplicated(keys)
    if again.any():
        raise ModtsError(
            f"The table of labels has several labels for id {show(labels[id][again].iloc[0])}; one is needed."
        )
    known = labels[id].isin(frame[id].unique())
    if not known.any():
        raise ModtsError(
            f"No id of the labels (first: {show(labels[id].iloc[0])}) occurs in the table (first: {show(frame[id].iloc[0])}); both must be "
            "written alike, as numbers or as text."
            if len(labels)
            else "The table of labels has no row."
        )
    if not known.all():
        notice(
            f"The table of labels holds {int((~known).sum())} rows of ids that the table lacks (first: {show(labels[id][~known].iloc[0])})."
        )
    try:
        return frame.merge(labels[known], on=keys, how="outer" if at_times else "left")
    except ValueError as error:
        raise ModtsError(
            f"The times of the table and of the labels are of two kinds: {' '.join(str(error).split())[:120]}."
        ) from error


def _order(frame: pd.DataFrame, id: str, time: str, by_time: bool) -> dict:
    """id -> its number among the series: sorted, or by time."""
    if not by_time:
        return {name: i for i, name in enumerate(np.unique(frame[id].to_numpy()))}
    first = frame.groupby(id, sort=pd.api.types.is_numeric_dtype(frame[id]))[time].min().sort_values(kind="stable")
    return {name: i for i, name in enumerate(first.index)}


def _constant(values: np.ndarray, row: np.ndarray, ids: np.ndarray, name: str, empty: bool = False) -> np.ndarray:
    """The value of each id; it must be there (but for `empty`), and the same in all its rows."""
    first = values[np.searchsorted(row, np.arange(len(ids)))]
    differs = ~((values == first[row]) | ((values != values) & (first[row] != first[row])))
    if differs.any():
        at_times = " (or task='stepwise' for a yes or no at every time)" if name.startswith("label") else ""
        raise ModtsError(
            f"The {name} is not constant within id {show(ids[row[differs][0]])}; one per id is needed{at_times}."
        )
    if (first != first).any() and not empty:
        raise ModtsError(f"Id {show(ids[first != first][0])} has no {name}.")
    return first
