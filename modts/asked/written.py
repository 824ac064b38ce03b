"""Tables as they were written: ids and names of variables in a file stay text where they are no plain numbers; errors say what leads on."""

from __future__ import annotations

import re
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from modts.errors import ModtsError

from .cohort import WAY_ON
from .files import read, text_as
from .steps import numbers

CLOCKS = (
    " If clocks were set back there, both hours are real, and one would be lost: give times in UTC or with their offset, such as 2024-10-27 "
    "02:30+02:00."
)


def as_written(table, columns) -> pd.DataFrame:
    """The table, as read_table gives it; of a text file these columns as they stand there: 07 is not 7, NA is a name."""
    frame, how = read(table), text_as(table)
    columns = [one for one in dict.fromkeys(columns) if one in frame.columns]
    if not how or not columns:
        return frame
    text = pd.read_csv(Path(table).expanduser(), usecols=columns, dtype=str, keep_default_na=False, **how)
    if len(text) != len(frame):
        return frame
    return frame.assign(**{one: _kept(frame[one], text[one].set_axis(frame.index)) for one in columns})


def _kept(plain: pd.Series, text: pd.Series) -> pd.Series:
    """What pandas made of a column, unless it is no longer what was written."""
    bare = text.astype(object).str.strip()
    if numbers(plain):
        return plain if (plain.astype(str) == bare).all() else bare.mask(bare == "", np.nan)
    return plain if plain.notna().all() else plain.astype(object).where(plain.notna() | (bare == ""), text)


def alike(first: pd.DataFrame, second: pd.DataFrame, column: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables with ids in the same kind: both as text where one of them is text."""
    if not all(column in frame.columns for frame in (first, second)):
        return first, second
    plain = [numbers(frame[column]) for frame in (first, second)]
    if plain[0] == plain[1]:
        return first, second
    return tuple(f.assign(**{column: f[column].map(str, na_action="ignore")}) for f in (first, second))


def unzoned(times: pd.Series) -> bool:
    """Whether times are dates without a zone."""
    if numbers(times) or getattr(times.dtype, "kind", "O") == "m":
        return False
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return False
    first = str(times.iloc[0]) if len(times) else ""
    return bool(
        len(first) >= 10 and first[4:5] == "-" and "+" not in first and not first.endswith("Z") and ":" in first
    )


def zoned(times: pd.Series) -> bool:
    """Whether times are dates with a zone."""
    return isinstance(times.dtype, pd.DatetimeTZDtype) or (
        len(times) > 0 and re.search(r":\d\d(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)\s*$", str(times.iloc[0])) is not None
    )


def odd_one(times: pd.Series) -> str:
    """What to say of times that are neither all numbers nor all dates, where most are: which of them is not like the others."""
    plain = times.astype(object)
    for words, right in (
        ("numbers", pd.to_numeric(plain, errors="coerce").notna()),
        ("dates", pd.to_datetime(plain, format="ISO8601", utc=True, errors="coerce").notna()),
    ):
        if right.all():
            return f"Column {times.name!r} holds {words} written as text; make {words} of them."
        if right.mean() > 0.5:
            row = int(np.flatnonzero(~right)[0])
            return f"Column {times.name!r} holds {words}, but in row {row} there is {str(plain.iloc[row])!r}."
    return ""


def dates_unread(frame: pd.DataFrame, read) -> str | None:
    """The first column of dates that is not among those read."""
    for name in frame.columns:
        column = frame[name].dropna()
        if name in read or not len(column) or numbers(column):
            continue
        if getattr(column.dtype, "kind", "O") == "M":
            return name
        if isinstance(column.iloc[0], str):
            found = pd.to_datetime(column.iloc[:20].to_numpy(), format="ISO8601", utc=True, errors="coerce")
            if not pd.isna(found).any():
                return name
    return None


def named_time(frame, read) -> None:
    """Refuse a series whose index counts rows while a column of dates is not read."""
    if pd.api.types.is_integer_dtype(frame.index) and frame.index.name is None:
        name = dates_unread(frame, read)
        if name is not None:
            raise ModtsError(
                f"The index of the series counts its rows, and its dates stand in the column {name!r}; say time={name!r}, or drop that column "
                "if each row is a step."
            )


@contextmanager
def leading_on(times: pd.Series | None = None, series: bool = False, new: bool = False):
    """Errors of the rooms below with what leads on here; series : one long series, which has no ids; new : new data, which become no cohort."""
    try:
        yield
    except ModtsError as error:
        said = str(error)
        if "several rows" in said and times is not None:
            said = re.sub(r"Timestamp\('([^']+)'\)", r"\1 (UTC)" if zoned(times) else r"\1", said)
            said += CLOCKS if unzoned(times) else ""
        if "holds neither numbers nor dates" in said and times is not None:
            said = odd_one(times) or said
        if series:
            said = said.replace("Id '0' has", "The series has").replace("each (id, time)", "each time")
        if new:
            said = said.replace(", or say so with unobserved='drop'", "")
        if said.startswith("Id ") and " has no label" in said:
            said += WAY_ON
        raise ModtsError(said) from None


def plain_columns(frame: pd.DataFrame, columns) -> pd.DataFrame:
    """Numbers, or True and False, in a column of another kind (categories, or objects such as a database gives them) as numbers."""
    for name in columns:
        if name in frame.columns and isinstance(frame[name].dtype, pd.ArrowDtype):
            if pd.api.types.is_bool_dtype(frame[name]) or pd.api.types.is_numeric_dtype(frame[name]):  # decimals too
                frame = frame.assign(**{name: frame[name].to_numpy(dtype=float, na_value=np.nan)})
            continue
        if name not in frame.columns or not (
            frame[name].dtype == object or isinstance(frame[name].dtype, pd.CategoricalDtype)
        ):
            continue
        kinds = set(map(type, frame[name].dropna()))
        if kinds and all(issubclass(kind, (bool, np.bool_, int, float, np.number, Decimal)) for kind in kinds):
            frame = frame.assign(**{name: frame[name].astype(object).map(float, na_action="ignore").astype(float)})
    return frame


def words_for_labels(frame: pd.DataFrame, columns, task) -> None:
    """Refuse a yes or no in words: it is the label, and no variable to be left out."""
    for name in columns if task not in ("multiclass", "regression") else ():
        if name not in frame.columns or numbers(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            continue
        words = frame[name][pd.to_numeric(frame[name], errors="coerce").isna() & frame[name].notna()]
        if len(words):
            raise ModtsError(
                f"The label {name!r} holds words (for example {words.iloc[0]!r}); make it 0 and 1, as frame[{name!r}] == 'yes' does, or say "
                "task='multiclass' to keep the words as classes."
            )
