"""A user's table from a file: CSV or tab-separated text, compressed or not, or parquet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from modts.errors import ModtsError

_TEXT = {".csv": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")


def read_table(table) -> pd.DataFrame:
    """A data frame as it is (its index dropped), or read from .csv, .tsv (also .gz) or .parquet, in capitals or not.

    Raises
    ------
    ModtsError
        Another ending, an absent file, one that cannot be read, or a column name that occurs twice.
    """
    frame = table.reset_index(drop=True) if isinstance(table, pd.DataFrame) else _read(table)
    double = frame.columns[frame.columns.duplicated()]
    if len(double):
        raise ModtsError(f"The table has several columns called {double[0]!r}; each column needs a name of its own.")
    return frame


def _read(table) -> pd.DataFrame:
    try:
        path = Path(table).expanduser()
    except TypeError:
        raise ModtsError(f"A table must be a data frame or the path of a file, not {type(table).__name__}.") from None
    endings = [ending.lower() for ending in path.suffixes]
    packed = "gzip" if endings[-1:] == [".gz"] else None
    kind = "".join((endings[:-1] if packed else endings)[-1:])
    if kind not in (*_TEXT, *_PARQUET) or (packed and kind in _PARQUET):
        raise ModtsError(
            f"A table must be a .csv or .parquet file (or .tsv, .csv.gz, .tsv.gz) or a data frame, not {str(path)!r}."
        )
    if not path.is_file():
        raise ModtsError(f"There is no table {str(path)!r}.")
    try:
        if kind in _PARQUET:
            return pd.read_parquet(path)
        return pd.read_csv(path, sep=_TEXT[kind], compression=packed, low_memory=False)
    except UnicodeDecodeError as error:
        raise ModtsError(
            f"The table {str(path)!r} is not UTF-8 text; read it with pandas.read_csv(path, encoding='latin-1'), say, and give the data frame."
        ) from error
    except (ValueError, OSError, EOFError) as error:  # pandas' and pyarrow's parse errors are ValueErrors or OSErrors
        raise ModtsError(f"The table {str(path)!r} cannot be read: {' '.join(str(error).split())[:160]}.") from error
