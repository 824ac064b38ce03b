"""A table as it was given: what pandas would read without a word, though it is not what was written, is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from modts.cohorts import read_table
from modts.errors import ModtsError

_TEXT = {".csv": ",", ".tsv": "\t"}


def text_as(table) -> dict:
    """How pandas reads this file, if it is text; empty for anything else."""
    if isinstance(table, pd.DataFrame):
        return {}
    endings = [ending.lower() for ending in Path(table).suffixes]
    packed = endings[-1:] == [".gz"]
    separator = _TEXT.get("".join((endings[:-1] if packed else endings)[-1:]))
    return {"sep": separator, "compression": "gzip" if packed else None} if separator else {}


def one_name_each(frame: pd.DataFrame) -> pd.DataFrame:
    """The table, whose columns have one name each, and not several levels of them."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise ModtsError(
            f"The columns of the table have names of {frame.columns.nlevels} levels (the first is {frame.columns[0]!r}); give each one name, as "
            "table.columns = ['_'.join(map(str, name)) for name in table.columns] does."
        )
    return frame


def read(table) -> pd.DataFrame:
    """The table, as read_table gives it.

    Raises
    ------
    ModtsError
        As read_table; columns of several levels; a text file whose rows have more fields than its first line, or which names a column twice.
    """
    frame, how = one_name_each(read_table(table)), text_as(table)
    if not how:
        return frame
    if not isinstance(
        frame.index, pd.RangeIndex
    ):  # pandas took the first column for an index, and each name for the column beside it
        n = len(frame.columns)
        raise ModtsError(
            f"The rows of the table {str(table)!r} have {n + frame.index.nlevels} fields, and its first line names {n} columns: is there a "
            "separator at the end of each row, or a comma within its numbers?"
        )
    path = Path(table).expanduser()
    names = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **how).iloc[0].str.strip()
    double = names[names.duplicated() & (names != "")]
    if len(double):
        raise ModtsError(
            f"The table has several columns called {double.iloc[0]!r}; each column needs a name of its own."
        )
    return frame
