"""eICU and MIMIC as hourly cohorts in the YAIB/ricu layout: dyn, outc and sta parquet in one folder.

YAIB: van de Water et al., ICLR 2024 (arXiv 2306.05109); ricu: Bennett et al., GigaScience 2023. Both databases need
credentialed access; their open demos can be had in the same layout. Whoever has the full databases writes the three
tables with YAIB's cohort scripts and names the folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from modts.errors import ModtsError

from . import splits
from .base import Cohort
from .tasks import strata
from .tsdb_home import reading

# ricu concept -> unit (ricu's concept dictionary)
UNITS = {
    "alb": "g/dL", "alp": "IU/L", "alt": "IU/L", "ast": "IU/L", "be": "mmol/L", "bicar": "mmol/L", "bili": "mg/dL",
    "bili_dir": "mg/dL", "bnd": "%", "bun": "mg/dL", "ca": "mg/dL", "cai": "mmol/L", "ck": "IU/L", "ckmb": "ng/mL",
    "cl": "mmol/L", "crea": "mg/dL", "crp": "mg/L", "dbp": "mmHg", "fgn": "mg/dL", "fio2": "%", "glu": "mg/dL",
    "hgb": "g/dL", "hr": "1/min", "inr_pt": "", "k": "mmol/L", "lact": "mmol/L", "lymph": "%", "map": "mmHg",
    "mch": "pg", "mchc": "%", "mcv": "fL", "methb": "%", "mg": "mg/dL", "na": "mmol/L", "neut": "%", "o2sat": "%",
    "pco2": "mmHg", "ph": "", "phos": "mg/dL", "plt": "1e3/uL", "po2": "mmHg", "ptt": "s", "resp": "1/min",
    "sbp": "mmHg", "temp": "degC", "tnt": "ng/mL", "urine": "mL", "wbc": "1e3/uL",
}  # fmt: skip
_STATIC = {"age": "years", "sex": "1 = male", "height": "cm", "weight": "kg"}
# what YAIB's tasks ask for, and its unit
_TASKS = {
    "mortality24": ("death in the ICU, told from the first 24 hours", ""),
    "kidney_function": ("creatinine on the second day, told from the first 24 hours", "mg/dL"),
    "los": ("remaining length of stay at every hour, at most a week", "h"),
    "sepsis": ("onset of sepsis within six hours, asked at every hour", ""),
    "aki": ("onset of acute kidney injury within six hours, asked at every hour", ""),
}


def load_eicu(seed: int, folder: str | None = None, task: str = "mortality24", static: bool = False) -> Cohort:
    """eICU; ``folder`` holds dyn, outc and sta parquet, default $MODTS_DATA/yaib_demo/<task>/eicu_demo.

    ``static=True`` adds age, sex, height and weight as variables observed at the first hour.
    """
    return _load(
        "eicu",
        "eICU",
        seed,
        folder,
        task,
        static,
        citation="Pollard TJ, Johnson AEW, Raffa JD, et al. The eICU Collaborative Research Database. Sci Data "
        "2018;5:180178. Cohort layout: van de Water R, et al. Yet Another ICU Benchmark. ICLR 2024.",
        source="https://physionet.org/content/eicu-crd-demo/2.0.1/",
    )


def load_mimic(seed: int, folder: str | None = None, task: str = "mortality24", static: bool = False) -> Cohort:
    """MIMIC-III; options as for eicu, default folder $MODTS_DATA/yaib_demo/<task>/mimic_demo."""
    return _load(
        "mimic",
        "MIMIC-III",
        seed,
        folder,
        task,
        static,
        citation="Johnson AEW, Pollard TJ, Shen L, et al. MIMIC-III, a freely accessible critical care database. Sci "
        "Data 2016;3:160035. Cohort layout: van de Water R, et al. Yet Another ICU Benchmark. ICLR 2024.",
        source="https://physionet.org/content/mimiciii-demo/1.4/",
    )


def _load(
    name: str, title: str, seed: int, folder: str | None, task: str, static: bool, *, citation: str, source: str
) -> Cohort:
    demo = folder is None
    path = _demo_folder(name, task) if demo else Path(folder).expanduser()
    for table in ("dyn", "outc", *(["sta"] if static else [])):
        if not (path / f"{table}.parquet").is_file():
            raise ModtsError(
                f"The {name} folder {str(path)!r} holds no {table}.parquet; it must hold dyn, outc and sta parquet "
                "as YAIB writes them."
            )
    X, y, ids, features, lengths = reading(title, path, lambda: _tables(path, static))
    # 0 or 1 a stay or at every hour; otherwise numbers
    answers = bool(np.isin(y[~np.isnan(y)], (0, 1)).all())
    kind = ("classification" if y.ndim == 1 else "stepwise") if answers else "regression"
    found = strata(kind, y)
    target, target_unit = _TASKS.get(task, (f"label of the task {task!r}", ""))
    return Cohort(
        name=name,
        title=f"{title}{' demo' if demo else ''} ({task})",
        X=X,
        y=y,
        ids=ids,
        features=features,
        lengths=lengths,
        units=tuple((UNITS | _STATIC).get(f, "") for f in features),
        task=kind,
        target=target,
        target_unit=target_unit,
        splits=splits.seeded(len(y), found, seed),
        split_seed=seed,
        split_by="random" if found is None else "stratified",
        licence="Open Database License v1.0 (ODbL)" if demo else "PhysioNet credentialed access",
        citation=citation,
        source=source,
        notes={"task": task, "static": static, "demo": demo},
    )


def _demo_folder(name: str, task: str) -> Path:
    home = os.environ.get("MODTS_DATA")
    if not home:
        raise ModtsError(
            f'Cohort {name!r} needs folder="..." with dyn, outc and sta parquet in the YAIB layout (or MODTS_DATA '
            "with the open demos in yaib_demo)."
        )
    path = Path(home) / "yaib_demo" / task / f"{name}_demo"
    if not path.is_dir():
        raise ModtsError(f"There is no folder {str(path)!r} for cohort {name!r}; give folder= or another task=.")
    return path


def _tables(path: Path, static: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...], np.ndarray]:
    """Return X (N, T, F), y, ids (N,), features, lengths (N,); stays sorted by id, shorter stays padded with NaN.

    y is (N,) int64 where all labels are 0 or 1, (N,) float32 for one number a stay, (N, T) float32 for one (or 0 or 1) at every hour.
    """
    outc = _columns(pd.read_parquet(path / "outc.parquet"), path / "outc.parquet", "stay_id", "label")
    hourly = outc["stay_id"].duplicated().any()
    answers = outc["label"].isin([0, 1]).all()
    if hourly and "time" not in outc.columns:
        raise ModtsError(f"{path / 'outc.parquet'} has several labels per stay, and no column time that says when.")
    if not pd.api.types.is_numeric_dtype(outc["label"]) or not np.isfinite(outc["label"].to_numpy(dtype=float)).all():
        raise ModtsError(f"{path / 'outc.parquet'}: labels must be numbers, not {outc['label'].unique()[:5].tolist()}.")
    if not answers and outc["label"].nunique() <= 2:
        raise ModtsError(f"{path / 'outc.parquet'}: labels must be 0 or 1, not {outc['label'].unique()[:5].tolist()}.")
    outc = outc.sort_values(["stay_id", "time"] if hourly else "stay_id")
    dyn = _columns(pd.read_parquet(path / "dyn.parquet"), path / "dyn.parquet", "stay_id", "time")
    stays = outc["stay_id"].unique() if hourly else outc["stay_id"].to_numpy()
    row = pd.Index(stays).get_indexer(dyn["stay_id"])
    if (row < 0).any():
        raise ModtsError(
            f"{path / 'dyn.parquet'} holds stay {dyn['stay_id'].to_numpy()[row < 0][0]}, which outc.parquet lacks."
        )
    absent = np.setdiff1d(stays, dyn["stay_id"])
    if len(absent):
        raise ModtsError(
            f"{path / 'outc.parquet'} holds stay {absent[0]}, which dyn.parquet lacks ({len(absent)} such stays)."
        )
    hour = _hours(dyn["time"], path / "dyn.parquet")
    if pd.DataFrame({"row": row, "hour": hour}).duplicated().any():
        raise ModtsError(f"{path / 'dyn.parquet'} holds the same hour of a stay twice.")
    features = [c for c in dyn.columns if c not in ("stay_id", "time")]
    X = np.full((len(stays), hour.max() + 1, len(features)), np.nan, dtype=np.float32)  # (N, T, F)
    X[row, hour] = dyn[features].to_numpy(dtype=np.float32)
    if static:
        sta = _columns(pd.read_parquet(path / "sta.parquet"), path / "sta.parquet", "stay_id", *_STATIC)
        sta = sta.drop_duplicates("stay_id").set_index("stay_id").reindex(stays)
        sta["sex"] = sta["sex"].map({"Male": 1.0, "Female": 0.0})  # anything else: not known
        first = np.full((*X.shape[:2], len(_STATIC)), np.nan, dtype=np.float32)
        first[:, 0] = sta[list(_STATIC)].to_numpy(dtype=np.float32)
        X = np.concatenate([X, first], axis=2)
        features = [*features, *_STATIC]
    if hourly:
        y = _every_hour(outc, stays, X.shape[1], path / "outc.parquet")
    else:
        y = outc["label"].to_numpy(dtype=np.int64 if answers else np.float32)
    lengths = np.zeros(len(stays), dtype=np.int64)
    np.maximum.at(lengths, row, hour + 1)
    if hourly:  # a label may come after the last row
        np.maximum.at(lengths, np.nonzero(~np.isnan(y))[0], np.nonzero(~np.isnan(y))[1] + 1)
    return X, y, stays.astype(str), tuple(features), lengths


def _every_hour(outc: pd.DataFrame, stays: np.ndarray, steps: int, path: Path) -> np.ndarray:
    """(N, T) float32, NaN where a stay has no label."""
    row, hour = pd.Index(stays).get_indexer(outc["stay_id"]), _hours(outc["time"], path)
    if hour.max() >= steps:
        raise ModtsError(f"{path} holds a label at hour {hour.max()}, after the last hour of dyn.parquet, {steps - 1}.")
    if pd.DataFrame({"row": row, "hour": hour}).duplicated().any():
        raise ModtsError(f"{path} holds the same hour of a stay twice.")
    y = np.full((len(stays), steps), np.nan, dtype=np.float32)
    y[row, hour] = outc["label"].to_numpy(dtype=np.float32)
    return y


def _columns(table: pd.DataFrame, path: Path, *names: str) -> pd.DataFrame:
    for name in names:
        if name not in table.columns:
            raise ModtsError(f"{path} has no column {name!r}; it has: {', '.join(map(str, table.columns[:8]))}.")
    return table


def _hours(time: pd.Series, path: Path) -> np.ndarray:
    """Whole hours since admission, from ricu's durations or from plain numbers."""
    hours = time.dt.total_seconds() / 3600 if pd.api.types.is_timedelta64_dtype(time) else pd.to_numeric(time)
    whole = hours.to_numpy(dtype=np.float64)
    if not (np.isfinite(whole).all() and (whole >= 0).all() and (whole == np.floor(whole)).all()):
        raise ModtsError(f"{path}: time must be whole hours since admission, 0 or more.")
    return whole.astype(np.int64)
