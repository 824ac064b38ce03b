"""Own data as users give them: ids as they were written, a step that is remembered, and what looks like a slip is told first."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, wraps

import numpy as np
import pandas as pd

from modts.cohorts import cohort_from_arrays, read_table
from modts.cohorts import cohort_from_series as series_read
from modts.cohorts import cohort_from_table as table_read
from modts.errors import notice

from .cohort import ours
from .steps import near_zero, plain, step_of
from .words import spelt
from .written import alike, as_written, leading_on, named_time, words_for_labels

own = partial(spelt, rest=cohort_from_arrays)  # what is not its own parameter goes on to cohort_from_arrays


def _same_times(table: pd.DataFrame, labels: pd.DataFrame, id: str, time: str) -> None:
    """Notice labels of an id at times at which the table has no row: each adds a step without a value, unless steps are counted by `step`."""
    frames = table, labels
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


def _with_step(cohort, times: pd.Series, rows, step, unit):
    """The cohort as users hold it, which remembers its step."""
    return ours(replace(cohort, notes=cohort.notes | {"step": step_of(times, rows, step, unit)}))


@own
@wraps(table_read)
def cohort_from_table(table, **given):
    id, time, label = given.get("id", "id"), given.get("time", "time"), given.get("label", "label")
    step, unit, labels = plain(given.get("step")), given.get("time_unit"), given.get("labels")
    frame = as_written(table, [id, given.get("groups"), given.get("variable")])
    if labels is not None:
        files = not (isinstance(table, pd.DataFrame) and isinstance(labels, pd.DataFrame))
        labels = as_written(labels, [id])
        frame, labels = alike(frame, labels, id) if files else (frame, labels)
        given["labels"] = labels
        if step is None:
            _same_times(frame, labels, id, time)
    wanted = [] if label is None else [*label] if isinstance(label, (list, tuple)) else [label]
    words_for_labels(frame if labels is None else labels, wanted, given.get("task"))
    if time not in frame.columns:
        return table_read(frame, **given)
    near_zero(frame[time], step, unit)
    with leading_on(frame[time]):
        cohort = table_read(frame, **given)
    return _with_step(cohort, frame[time], frame[id], step, unit)


@own
@wraps(series_read)
def cohort_from_series(frame, **given):
    time, target = given.get("time"), given.get("target")
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    if time is None and isinstance(frame, pd.DataFrame):
        named_time(frame, [*(given.get("features") or []), target])
        times = pd.Series(frame.index)
    else:
        frame = read_table(frame) if time is not None else frame
        times = frame[time] if time is not None and time in frame.columns else None
    with leading_on(times, series=True):
        cohort = series_read(frame, **given)
    if target is not None and cohort.task == "regression":
        _yes_or_no(frame[target], target)
    return _with_step(cohort, times, np.zeros(len(times)), given.get("step"), given.get("time_unit"))


def _yes_or_no(column: pd.Series, target) -> None:
    """Notice a target of 0 and 1 alone that is predicted as a number: one of them alone, or averaged within a step."""
    if column.dropna().isin((0, 1)).all():
        notice(
            f"The target {target!r} holds nothing but 0 and 1 and is predicted as a number; a yes or no at every step needs both of them, and "
            "one value a step."
        )
