"""Own data as users give them: ids as they were written, a step that is remembered, and what looks like a slip is told first."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial, wraps

import numpy as np
import pandas as pd

from modts.cohorts import cohort_from_arrays
from modts.cohorts import cohort_from_series as series_read
from modts.cohorts import cohort_from_table as table_read
from modts.errors import ModtsError, notice

from .codes import looked_for, remembered, taken_out
from .cohort import in_its_words, looked
from .files import one_name_each, read
from .steps import far_apart, near_zero, on_edges, plain, step_of
from .words import spelt
from .written import alike, as_written, leading_on, named_time, plain_columns, words_for_labels

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


def _remembering(cohort, times: pd.Series, rows, given: dict):
    """The cohort as users hold it, looked at, which remembers its step and the codes for missing."""
    step = {"step": step_of(times, rows, given.get("step"), given.get("time_unit"))}
    return looked(replace(cohort, notes=cohort.notes | step | remembered(given.get("missing", ()))))


def _averaged(frame: pd.DataFrame, given: dict, beside: list):
    """Look for codes where several rows may become one step: in what is averaged, before it is; `beside` are no variables."""
    if given.get("step") is None and given.get("repeats") != "mean":
        return nullcontext()
    variable, value, features = given.get("variable"), given.get("value", "value"), given.get("features")
    if variable is not None:
        there = {variable, value} <= set(frame.columns)
        return looked_for(frame, (), given.get("missing", ()), variable, value) if there else nullcontext()
    columns = [name for name in frame.columns if name not in beside] if features is None else features
    columns = [name for name in columns if name in frame.columns] if isinstance(columns, (list, tuple)) else []
    return looked_for(frame, columns, given.get("missing", ()))


@contextmanager
def _class_names(frame: pd.DataFrame, given: dict, wanted: list):
    """Errors about the number of a class with its name."""
    try:
        yield
    except ModtsError as error:
        labels = frame if given.get("labels") is None else given["labels"]
        y = labels[wanted[0]].dropna().to_numpy(dtype=object) if wanted and wanted[0] in labels else ()
        raise ModtsError(in_its_words(str(error), y, given)) from None


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
    others = (id, time, given.get("groups"), given.get("variable"))
    frame = plain_columns(frame, [name for name in frame.columns if name not in others])
    if labels is not None:
        given["labels"] = plain_columns(labels, wanted)
    if time not in frame.columns or id not in frame.columns:
        return table_read(frame, **given)
    near_zero(frame[time], step, unit)
    with leading_on(frame[time]):
        if given.get("n_steps") is None:
            far_apart(frame[time], frame[id], step, unit)
        on_edges(frame[time], frame[id], step, unit)
        with _averaged(frame, given, [id, time, given.get("groups"), *wanted]), _class_names(frame, given, wanted):
            cohort = table_read(frame, **given)
    return _remembering(cohort, frame[time], frame[id], given)


@own
@wraps(series_read)
def cohort_from_series(frame, **given):
    time, target = given.get("time"), given.get("target")
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    if time is None and isinstance(frame, pd.DataFrame):
        if frame.index.nlevels > 1 or frame.columns.duplicated().any():
            return series_read(frame, **given)  # and say what is wrong
        named_time(one_name_each(frame), [*(given.get("features") or []), target])
        times = pd.Series(frame.index)
    else:
        frame = read(frame) if time is not None else frame
        times = frame[time] if time is not None and time in frame.columns else None
    with leading_on(times, series=True):
        if times is None or not isinstance(frame, pd.DataFrame):
            return series_read(frame, **given)  # and say what is wrong
        frame = plain_columns(frame, [name for name in frame.columns if name != time])
        for look in (far_apart, on_edges):
            look(times, np.zeros(len(times)), plain(given.get("step")), given.get("time_unit"), series=True)
        with _averaged(frame, given, [time, target]):
            cohort = series_read(taken_out(frame, given.get("missing", ()), time), **given)
    if target is not None and cohort.task == "regression":
        _yes_or_no(frame[target], target)
    return _remembering(cohort, times, np.zeros(len(times)), given)


def _yes_or_no(column: pd.Series, target) -> None:
    """Notice a target of 0 and 1 alone that is predicted as a number: one of them alone, or averaged within a step."""
    if column.dropna().isin((0, 1)).all():
        notice(
            f"The target {target!r} holds nothing but 0 and 1 and is predicted as a number; a yes or no at every step needs both of them, and "
            "one value a step."
        )
