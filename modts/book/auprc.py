"""The piece of the method page on AUPRC: one stored row by both rules, average precision and the trapezoid of PyPOTS and TSI-Bench."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modts import runs
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import auprc, auprc_trapezoid

from . import fragments
from .results import Results
from .tables import number

_MODEL = "LightGBM||statistics|1|"  # the key of the predictions that are scored, before their split


def twice(found: Results) -> str:
    """A sentence with both areas of LightGBM's stored predictions, on real data if they are here, else on simulated ones."""
    known = found.runs
    for run, record in sorted(known.items(), key=lambda pair: ("simulated" in pair[0], pair[0])):
        values = _areas(run, record) if record.get("stage") == "baselines" else []
        if values:
            steps, lines = np.mean(values, axis=0)
            where = fragments.plain(found.title(record.get("cohort") or Path(record["params"]["cohort"]).stem))
            return (
                f"On {where}, LightGBM's predictions with all labels have an average precision of {number(steps)} and, by trapezoids, "
                f"an area of {number(lines)} (means over {len(values)} splits, run {fragments.code(run)}). Figures of both kinds are "
                "never compared here.\n"
            )
    return fragments.note("No classification baseline whose data are here has been stored yet.")


def _areas(run: str, record: dict) -> list[tuple[float, float]]:
    """Both areas at every split whose data are here and are those of the run; none for another task, or where nothing is stored."""
    folders = (runs.results_dir(), runs.work_dir() / record["profile"])
    file = next((path for folder in folders if (path := folder / "predictions" / f"{run}.npz").is_file()), None)
    out = []
    try:
        for key, p in runs.read_arrays(file, run, unsealed=True).items() if file else ():
            seed = key.removeprefix(_MODEL).split("|")
            if not key.startswith(_MODEL) or seed[-1] == "external":
                continue
            cohort = load_cohort(record["params"]["cohort"], seed=int(seed[0]))
            if cohort.task != "classification" or cohort.content_hash != record["data_hash"].get(seed[0]):
                return []
            y = cohort.part("test")[1]
            out.append((auprc(y, p), auprc_trapezoid(y, p)))
    except ModtsError:  # the data are not here
        return []
    return out
