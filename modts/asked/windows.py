"""New data for a trained backbone or predictor: from a table to windows as it reads them, without labels and without a split."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from modts.cohorts import cohort_from_table, dated
from modts.errors import ModtsError, ModtsWarning, notice

from .steps import cut_off, durations, near_zero, numbers, on_edges, plain, same_step
from .words import WrongKind, spelt
from .written import as_written, leading_on, named_time, plain_columns

BESIDE = ("modts beside 1", "modts beside 2")  # series that are read along, since a cohort has three parts


@dataclass(frozen=True)
class Windows:
    """Raw windows of new data.

    Attributes
    ----------
    X : (N, T, F) float32 array
        Raw values in the order of the backbone's variables, NaN where missing.
    ids : (N,) array of str
        Whose window it is; of one long series the time at which it starts.
    lengths : (N,) array of int, or None
        Steps of each series, where some end before their window does: for `predict`, `impute` and `latents`.
    starts : (N,) array of int, or None
        Of one long series: the row of `index` at which each window starts.
    index : pandas.Index, or None
        Of one long series: its times.
    features : tuple of str
        Names of the variables.
    """

    X: np.ndarray
    ids: np.ndarray
    lengths: np.ndarray | None = None
    starts: np.ndarray | None = None
    index: pd.Index | None = None
    features: tuple[str, ...] = ()

    def series(self, values) -> pd.DataFrame:
        """Values at every step, (N, T, K) or (N, T) for the windows of one long series, as one table on its own times; their mean where windows
        overlap.

        Raises
        ------
        ModtsError
            The windows are not of one long series, or the values have another shape.
        """
        if self.index is None or self.starts is None:
            raise ModtsError(
                "These windows are of several series; only one long series (id=None) can be put together again."
            )
        given = np.asarray(values, dtype=np.float64)
        values = given[..., None] if given.ndim == 2 else given
        if values.ndim != 3 or values.shape[:2] != self.X.shape[:2]:
            raise ModtsError(
                f"One value or several are needed at each step of {self.X.shape[:2]} windows and steps, not {values.shape}."
            )
        n, (_, T, K) = len(self.index), values.shape
        total, times = np.zeros((n, K)), np.zeros((n, 1))
        for start, window in zip(self.starts, values, strict=True):
            inside = min(T, n - start)
            total[start : start + inside] += window[:inside]
            times[start : start + inside] += 1
        names = list(self.features) if len(self.features) == K and given.ndim == 3 else None
        return pd.DataFrame((total / times).astype(np.float32), index=self.index, columns=names)


@spelt
def windows_from_table(
    table,
    like,
    *,
    id: str | None = "id",
    time: str = "time",
    variable: str | None = None,
    value: str = "value",
    step: float | str | None = None,
    time_unit: str | None = None,
    repeats: str = "refuse",
    missing=None,
) -> Windows:
    """Windows of new data as a trained backbone or predictor reads them: one patient is enough, and no label is needed.

    Steps are as long as when the cohort was made. A series that is longer than the backbone's windows keeps its first steps, and a warning says
    so; one long series is cut into windows side by side, of which the last ends where the series does.

    Parameters
    ----------
    table : str, pathlib.Path or pandas.DataFrame
        As for cohort_from_table; columns that the backbone does not read are left out.
    like : Backbone, Predictor or Cohort
        Whose variables and window length they are to have.
    id : str or None
        The column that says whose a row is. None: the table is one long series, of which the times may stand in the index.
    step, time_unit
        Default: as the backbone's cohort had them, where the backbone remembers it (it does so when built by modts.build from a cohort of
        cohort_from_table or cohort_from_series); else each row is a step. Another step than the cohort's is refused.
    missing
        Default: the codes that the cohort was given, where the backbone remembers them; () for none.
    time, variable, value, repeats
        As for cohort_from_table.

    Returns
    -------
    Windows

    Raises
    ------
    ModtsError
        As for cohort_from_table; another step than the cohort's; a series of which all rows lie behind the windows; or the table lacks
        variables that the backbone reads (give an empty column for what was not measured).

    Warns
    -----
    ModtsWarning
        Single values (variable=) of names that the backbone does not read, while names that it reads stand nowhere; rows that are not as far
        apart as the cohort's, each of which counts as a step; rows behind the last step of the windows, and such on the edges of steps.

    Examples
    --------
    >>> import modts, numpy as np, pandas as pd
    >>> cohort = modts.load_cohort("simulated_icu")
    >>> day = pd.DataFrame({"patient": 7, "hour": [0, 1, 3], **dict.fromkeys(cohort.features, 1.0)})
    >>> new = windows_from_table(day, cohort, id="patient", time="hour", step=1)
    >>> new.X.shape == (1, *cohort.X.shape[1:]), new.lengths.tolist(), new.ids.tolist()
    (True, [4], ['7'])
    """
    like = getattr(like, "backbone", like)
    features, n_steps = list(getattr(like, "features", ())), getattr(like, "n_steps", 0)
    if not features or not n_steps:
        raise WrongKind(f"like must be a Backbone, a Predictor or a Cohort, not {type(like).__name__}.")
    if id is None and isinstance(table, pd.DataFrame) and time not in table.columns:
        named_time(table, features)
        table = table.rename_axis(time).reset_index()  # a series with its times in the index
    frame = as_written(table, [id, variable])
    if variable is None:
        called = {str(name): name for name in frame.columns}
        frame = frame.rename(columns={called[name]: name for name in features if name in called})
        lacking = [name for name in features if name not in frame.columns]
        if lacking:
            raise ModtsError(
                f"The table lacks {', '.join(map(repr, lacking[:10]))}{' and others' if len(lacking) > 10 else ''}, which {_named(like)} reads; "
                "give an empty column for what was not measured."
            )
    elif variable in frame.columns:
        frame = frame.assign(**{variable: frame[variable].map(str, na_action="ignore")})
        _spelt_alike(frame[variable], features, _named(like))
    long = id is None
    if long:
        id = "\0id"
        frame = frame.assign(**{id: "0"})
    elif id in frame.columns and frame[id].isna().any():
        raise ModtsError(f"Column {id!r} is empty in row {int(np.flatnonzero(frame[id].isna())[0])}.")
    columns = [id, time, *((variable, value) if variable else features)]
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise ModtsError(
            f"The table has no column {absent[0]!r}; its columns: {', '.join(map(str, frame.columns[:20]))}."
        )
    if not len(frame):
        raise ModtsError("The table has no row.")
    if long and frame[time].notna().all():  # text is sorted as the times that it says, and not by its letters
        with leading_on(frame[time], long, new=True):
            frame = frame.assign(**{time: dated(frame[time], time)})
    step, time_unit = same_step(
        _made_for(like).get("step"), frame[time], frame[id], plain(step), time_unit, _named(like)
    )
    start = 0
    counted = numbers(frame[time]) or durations(frame[time])
    if long and step is not None and counted:  # from the first, as in cohort_from_series
        start = frame[time].min()
        frame = frame.assign(**{time: frame[time] - start})
    near_zero(frame[time], step, time_unit)
    on_edges(frame[time], frame[id], step, time_unit, long)
    if not long:
        cut_off(frame[time], frame[id], step, time_unit, n_steps, _named(like))
    whose = frame[id].map(str) if frame[id].dtype == object else frame[id]  # numbers and words mixed cannot be sorted
    order = list(dict.fromkeys(map(str, whose.sort_values(kind="stable"))))
    frame = plain_columns(frame[columns].assign(**{id: frame[id].map(str)}), [value] if variable else features)
    missing = _made_for(like).get("missing", ()) if missing is None else missing
    given = {"time": time, "step": step, "time_unit": time_unit, "repeats": repeats, "missing": missing}
    given |= {"variable": variable, "value": value} if variable else {}
    steps = None if long else n_steps
    with leading_on(frame[time], long, new=True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ModtsWarning)
        both = pd.concat([frame, _beside(frame, id, time, variable, value, features)], ignore_index=True)
        cohort = cohort_from_table(
            both, id=id, label=None, features=features, n_steps=steps, unobserved="keep", **given
        )
    for one in caught:
        if not any(name in str(one.message) for name in BESIDE):
            warnings.warn(one.message, one.category, stacklevel=2)
    place = {name: row for row, name in enumerate(cohort.ids)}
    own = np.array([place[name] for name in order])
    X = cohort.X[own]
    lengths = np.full(len(X), X.shape[1]) if cohort.lengths is None else cohort.lengths[own]
    if not long:
        return Windows(X, cohort.ids[own], None if (lengths == n_steps).all() else lengths, features=tuple(features))
    made = _cut(X[0], int(lengths[0]), n_steps, _times(frame[time], step, time_unit, start, int(lengths[0])))
    return replace(made, features=tuple(features))


def _named(like) -> str:
    return f"the cohort {like.name!r}" if hasattr(like, "splits") else str(like.name)


def _made_for(like) -> dict:
    """What a cohort, or a backbone made for one, remembers of its step and its codes for missing values."""
    return getattr(like, "made_for", getattr(like, "notes", {}))


def _spelt_alike(column: pd.Series, features: list, whose: str) -> None:
    """Refuse names of single values that are the backbone's in another spelling; notice others, while names that it reads stand nowhere."""
    there = set(column.dropna())
    unknown, absent = sorted(there - set(features)), [name for name in features if name not in there]
    if there and len(absent) == len(features):
        raise ModtsError(
            f"The table holds none of the variables that {whose} reads ({', '.join(features[:10])}); it holds {', '.join(unknown[:10])}."
        )
    plain = {re.sub(r"[\W_]", "", name).casefold(): name for name in unknown}
    for name in absent:
        other = plain.get(re.sub(r"[\W_]", "", name).casefold())
        if other is not None:
            raise ModtsError(
                f"The table holds {other!r}, which {whose} does not read, and no {name!r}, which it reads; rename it."
            )
    if unknown and absent:
        notice(
            f"The table holds no {', '.join(map(repr, absent[:5]))}, which {whose} reads, and {', '.join(map(repr, unknown[:5]))}, which it "
            "does not: if these are the same by another name, rename them."
        )


def _beside(frame: pd.DataFrame, id: str, time: str, variable: str | None, value: str, features: list) -> pd.DataFrame:
    """Two more series of one step, with every variable, so that a table of one series makes a cohort."""
    first = frame[time].iloc[:1]
    made = []
    for number, name in enumerate(BESIDE):
        if variable:
            made += [
                pd.DataFrame({id: name, time: first.to_numpy()[0], variable: feature, value: float(number)}, index=[0])
                for feature in features
            ]
        else:
            made.append(
                pd.DataFrame({id: name, time: first.to_numpy()[0], **dict.fromkeys(features, float(number))}, index=[0])
            )
    return pd.concat(made, ignore_index=True).astype({time: frame[time].dtype})


def _times(column: pd.Series, step, unit, start, n: int) -> pd.Index:
    """The times of the steps of one series; plain numbers begin at `start`."""
    if step is None:
        return pd.Index(column.unique(), name=column.name).sort_values()[:n]
    if numbers(column):
        width = pd.Timedelta(step) / pd.Timedelta(f"1{unit}") if isinstance(step, str) else step
        return pd.Index(start + np.arange(n) * width, name=column.name)
    if durations(column):
        width = pd.Timedelta(step if isinstance(step, str) else f"{step}s")
        return pd.Index(start + np.arange(n) * width, name=column.name)
    start = pd.to_datetime(column).min()
    return pd.Index(
        start + np.arange(n) * pd.Timedelta(step if isinstance(step, str) else f"{step}s"), name=column.name
    )


def _cut(grid: np.ndarray, length: int, n_steps: int, index: pd.Index) -> Windows:
    """One series (L, F) as windows side by side, of which the last ends where the series does."""
    if length <= n_steps:
        X = np.full((1, n_steps, grid.shape[1]), np.nan, dtype=np.float32)
        X[0, :length] = grid[:length]
        return Windows(
            X, np.array([str(index[0])]), None if length == n_steps else np.array([length]), np.array([0]), index
        )
    starts = np.unique(np.append(np.arange(0, length - n_steps + 1, n_steps), length - n_steps))
    X = grid[starts[:, None] + np.arange(n_steps)]
    kept = ~np.isnan(X).all((1, 2))
    if not kept.all():
        raise ModtsError(
            f"The series holds no value at all between {index[starts[~kept][0]]} and {index[starts[~kept][0] + n_steps - 1]}."
        )
    return Windows(X, np.array([str(index[i]) for i in starts]), None, starts, index)
