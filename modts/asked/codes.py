"""Codes for missing values: looked for before a step averages them away, remembered by the cohort, and taken out of new data too."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd

from modts.cohorts import codes_of, look, without_codes
from modts.errors import ModtsWarning

SAID = "A value far outside the others looks like a code"  # how `look` begins


def remembered(missing) -> dict:
    """What a cohort remembers of the codes that it was given."""
    codes = codes_of(missing).tolist()
    return {"missing": codes} if codes else {}


@contextmanager
def looked_for(frame: pd.DataFrame, columns, missing, variable: str | None = None, value: str = "value"):
    """Warn of what looks like a code in a table whose rows are about to be averaged, and not again of what is left of it afterwards.

    columns : the variables; with `variable` a row is one value of the variable that it names.
    """
    if variable is None:
        found = {name: frame[name] for name in columns if pd.api.types.is_numeric_dtype(frame[name])}
    else:
        found = {name: part.reset_index(drop=True) for name, part in frame.groupby(variable, observed=True)[value]}
        found = {name: part for name, part in found.items() if pd.api.types.is_numeric_dtype(part)}
    if found:
        values = pd.DataFrame(found).to_numpy(dtype=float, na_value=np.nan)
        look(without_codes(values, codes_of(missing))[None], np.empty(0), np.array(["0"]), list(map(str, found)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", SAID, ModtsWarning)
        yield


def taken_out(frame: pd.DataFrame, missing, time) -> pd.DataFrame:
    """The series without its codes for missing values, which a step would average with the others."""
    codes = codes_of(missing)
    columns = [name for name in frame.columns if name != time and pd.api.types.is_numeric_dtype(frame[name])]
    bare = {name: without_codes(frame[name].to_numpy(dtype=float, na_value=np.nan), codes) for name in columns}
    return frame.assign(**bare) if len(codes) else frame
