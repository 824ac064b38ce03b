"""Length of stay in the open demo of eICU as a cohort file, which `modts grid stay` takes.

    MODTS_DATA=/data/tsdb python benchmarks/eicu_stay.py work/eicu_stay.npz

YAIB asks for the remaining length of stay at every hour. A network that fills gaps reads both ways, and statistics are of the whole window, so
at hour 10 both would see that rows go on to hour 90: they would read the answer. Here the first 25 hourly rows are given (hours 0 to 24, as
for mortality), and one number is asked: the hours that remain at hour 24, at most a week, of all who are still there.

The tables name stays, not patients. Stays of the same age, sex, height and weight are taken for one patient's: no two splits share them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from modts.cohorts import Cohort, load_cohort, splits
from modts.errors import ModtsError

LAST = 24  # the hour at which it is asked, and the last row given
STATIC = 4  # age, sex, height and weight, which the loader adds as the last variables, at the first hour


def patients(cohort: Cohort) -> np.ndarray:
    """(N,) unicode: whose each stay is likely to be; a stay of which one of the four is not known stands alone."""
    who = cohort.X[:, 0, -STATIC:]
    known = ~np.isnan(who).any(axis=1)
    return np.array(
        [
            "|".join(map(str, row)) if all_known else name
            for row, all_known, name in zip(who, known, cohort.ids, strict=True)
        ]
    )


def still_there(cohort: Cohort) -> Cohort:
    """Of eICU with its task `los` at every hour and `static`: X (N, 25, F) and y (N,) hours, of the stays that have a label at hour 24."""
    rows = np.flatnonzero(~np.isnan(cohort.y[:, LAST]))
    groups = patients(cohort)[rows]
    return Cohort(
        name="eicu_stay",
        title="eICU demo (length of stay)",
        X=cohort.X[rows, : LAST + 1, :-STATIC],
        y=cohort.y[rows, LAST],
        ids=cohort.ids[rows],
        features=cohort.features[:-STATIC],
        units=cohort.units[:-STATIC],
        task="regression",
        target="remaining length of stay at hour 24, at most a week, told from the first 24 hours",
        target_unit=cohort.target_unit,
        splits=splits.seeded(len(rows), None, cohort.split_seed, groups),
        groups=groups,
        split_seed=cohort.split_seed,
        split_by="random",
        licence=cohort.licence,
        citation=cohort.citation,
        source=cohort.source,
        notes=cohort.notes | {"static": False},
    )


def main(argv=None) -> int:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("file", type=Path, help="the .npz to write")
    file = ask.parse_args(argv).file
    if file.suffix != ".npz":
        ask.error(f"the file must end with .npz, not {file}")
    try:
        cohort = still_there(load_cohort("eicu", task="los", static=True))
        print(f"{cohort.save(file)}: {cohort!r}")
    except ModtsError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
