"""PhysioNet challenges 2012 (in-hospital death) and 2019 (sepsis): intensive-care stays as 48 hourly steps.

PhysioNet 2012: Silva et al., Comput Cardiol 2012;39:245-248. As in TSI-Bench and CSAI (the paper's siblings): the mean
of each hour, hours 0 to 47, 35 variables in the order of ``FEATURES_2012``, set-a, stays with a single recorded hour
dropped (TSDB's rule); sets b and c are cohorts of their own. PhysioNet 2019: Reyna et al., Crit Care Med 2020;48(2):210-217. Stays of at least
48 hourly rows, their first 48, one label a stay.

The text files are read in one pass instead of one by one as TSDB does (a minute); a test compares the arrays with
TSDB's.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from modts.errors import ModtsError, choose
from modts.runs import ask_unsealed

from . import splits
from .base import Cohort
from .cache import parsed
from .tsdb_home import dataset_folder, raw_files, reading

STEPS = 48
# name -> unit, in the order of the paper's sibling benchmarks
FEATURES_2012 = {
    "DiasABP": "mmHg", "HR": "1/min", "Na": "mEq/L", "Lactate": "mmol/L", "NIDiasABP": "mmHg", "PaO2": "mmHg",
    "WBC": "1e3/uL", "pH": "", "Albumin": "g/dL", "ALT": "IU/L", "Glucose": "mg/dL", "SaO2": "%", "Temp": "degC",
    "AST": "IU/L", "Bilirubin": "mg/dL", "HCO3": "mmol/L", "BUN": "mg/dL", "RespRate": "1/min", "Mg": "mmol/L",
    "HCT": "%", "SysABP": "mmHg", "FiO2": "fraction", "K": "mEq/L", "GCS": "points", "Cholesterol": "mg/dL",
    "NISysABP": "mmHg", "TroponinT": "ug/L", "MAP": "mmHg", "TroponinI": "ug/L", "PaCO2": "mmHg",
    "Platelets": "1e3/uL", "Urine": "mL", "NIMAP": "mmHg", "Creatinine": "mg/dL", "ALP": "IU/L",
}  # fmt: skip
_SETS_2012 = ("set-a", "set-b", "set-c")
_SEALED_2012 = "set-c"  # see runs.protocol
_VERSION_2012 = 1  # raise with every change of what _parse_2012 returns: the cache then parses anew

FEATURES_2019 = {
    "HR": "1/min", "O2Sat": "%", "Temp": "degC", "SBP": "mmHg", "MAP": "mmHg", "DBP": "mmHg", "Resp": "1/min",
    "EtCO2": "mmHg", "BaseExcess": "mmol/L", "HCO3": "mmol/L", "FiO2": "fraction", "pH": "", "PaCO2": "mmHg",
    "SaO2": "%", "AST": "IU/L", "BUN": "mg/dL", "Alkalinephos": "IU/L", "Calcium": "mg/dL", "Chloride": "mmol/L",
    "Creatinine": "mg/dL", "Bilirubin_direct": "mg/dL", "Glucose": "mg/dL", "Lactate": "mmol/L", "Magnesium": "mmol/dL",
    "Phosphate": "mg/dL", "Potassium": "mmol/L", "Bilirubin_total": "mg/dL", "TroponinI": "ng/mL", "Hct": "%",
    "Hgb": "g/dL", "PTT": "s", "WBC": "1e3/uL", "Fibrinogen": "mg/dL", "Platelets": "1e3/uL",
}  # fmt: skip
_FOLDERS_2019 = {"training_setA": "training", "training_setB": "training_setB"}  # TSDB's folder names
_COMPLETE_SET_A = 20_336  # stays published; fewer = a partial copy
_VERSION_2019 = 1


def load_2012(seed: int) -> Cohort:
    """PhysioNet 2012, set-a: 3,997 stays, those of the paper and its siblings."""
    return _stays_2012("physionet_2012", ("set-a",), seed)


def load_2012_b(seed: int) -> Cohort:
    """PhysioNet 2012, set-b: 3,993 other stays. Settings are searched and the protocol is decided on it; no claim rests on it."""
    return _stays_2012("physionet_2012_b", ("set-b",), seed)


def load_2012_c(seed: int) -> Cohort:
    """PhysioNet 2012, set-c: 3,998 other stays, the external test of models trained on set-a; sealed until the protocol is frozen."""
    return _stays_2012("physionet_2012_c", ("set-c",), seed)


def load_2012_all(seed: int) -> Cohort:
    """PhysioNet 2012, all three sets: 11,988 stays, split 80/10/10 as Raindrop (ICLR 2022) does; sealed with set-c."""
    return _stays_2012(
        "physionet_2012_all", _SETS_2012, seed, lambda y, _: splits.seeded(len(y), y, seed, held=(0.1, 1 / 9))
    )


def load_2012_emit(seed: int) -> Cohort:
    """PhysioNet 2012 as in EMIT (ICDM 2024): sets b and c train (80 %) and validate, all of set-a tests; sealed with set-c."""

    def shares(y: np.ndarray, subset: np.ndarray) -> dict[str, np.ndarray]:
        rest = np.flatnonzero(subset != "set-a")
        kept = splits.seeded(len(rest), y[rest], seed, held=(0.0, 0.2))
        return {"train": rest[kept["train"]], "val": rest[kept["val"]], "test": np.flatnonzero(subset == "set-a")}

    return _stays_2012("physionet_2012_emit", _SETS_2012, seed, shares)


def _stays_2012(name: str, subsets: tuple[str, ...], seed: int, shares=None) -> Cohort:
    """The stays of one or several sets, split as every cohort is or by shares(y, the set of each stay)."""
    if _SEALED_2012 in subsets:
        ask_unsealed(name)
    folder = dataset_folder("physionet_2012")
    sets = [reading("PhysioNet 2012", folder, lambda subset=subset: _cached_2012(folder, subset)) for subset in subsets]
    X, y, ids = (np.concatenate([s[k] for s in sets]) for k in ("X", "y", "ids"))
    subset = np.repeat(subsets, [len(s["y"]) for s in sets])
    order, sets = np.argsort(ids, kind="stable"), ", ".join(subsets)
    y = y[order]
    return Cohort(
        name=name,
        title=f"PhysioNet 2012 ({sets})",
        X=X[order],
        y=y,
        ids=ids[order],
        features=tuple(FEATURES_2012),
        units=tuple(FEATURES_2012.values()),
        task="classification",
        target="in-hospital death",
        target_unit="",
        splits=shares(y, subset[order]) if shares else splits.seeded(len(y), y, seed),
        split_by="given" if shares else "stratified",
        split_seed=seed,
        licence="Open Data Commons Attribution License v1.0 (ODC-BY)",
        citation="Silva I, Moody G, Scott DJ, Celi LA, Mark RG. Predicting in-hospital mortality of ICU patients: the "
        "PhysioNet/Computing in Cardiology Challenge 2012. Comput Cardiol 2012;39:245-248.",
        source="https://physionet.org/content/challenge-2012/1.0.0/",
        notes={"subset": sets},
    )


def _cached_2012(folder: Path, subset: str) -> dict[str, np.ndarray]:
    outcomes = folder / f"Outcomes-{subset[-1]}.txt"
    stays = raw_files(folder, f"{subset}/*.txt", f"stays of {subset}")
    if not outcomes.is_file():
        raise ModtsError(f"The folder {folder} holds no {outcomes.name}, the outcomes of {subset}.")
    return parsed(
        f"physionet_2012_{subset}", _VERSION_2012, folder, [*stays, outcomes], lambda: _parse_2012(stays, outcomes)
    )


def _parse_2012(stays: list[Path], outcomes: Path) -> dict[str, np.ndarray]:
    """Return X (N, 48, 35) float32, y (N,) int64, ids (N,) unicode, sorted by id."""
    long = _concatenate(stays, ",")  # Time, Parameter, Value; one row per measurement
    # TSDB: an hour exists if a named parameter was recorded in it; rows without a name (set-c has them) do not count
    long = long[long["Parameter"].notna() & long["Value"].notna()]
    stay = long["stay"].to_numpy()
    hour = long["Time"].str.split(":", n=1).str[0].astype(int).to_numpy()
    kept = np.unique(np.unique(np.stack([stay, hour], axis=1), axis=0)[:, 0], return_counts=True)
    kept = kept[0][kept[1] > 1]  # TSDB drops stays with a single recorded hour: no series at all
    names = list(FEATURES_2012)
    feature = pd.Index(names).get_indexer(long["Parameter"])
    use = (feature >= 0) & (hour < STEPS) & np.isin(stay, kept)
    means = (  # pandas' own mean, so that the values equal TSDB's pivot_table to the last bit
        pd.DataFrame({"stay": np.searchsorted(kept, stay[use]), "hour": hour[use], "feature": feature[use]})
        .assign(value=long["Value"].to_numpy(dtype=float)[use])
        .groupby(["stay", "hour", "feature"], sort=True)["value"]
        .mean()
    )
    X = np.full((len(kept), STEPS, len(names)), np.nan, dtype=np.float32)  # (N, T, F)
    X[tuple(np.stack(means.index.to_numpy().tolist(), axis=1))] = means.to_numpy()
    ids = np.array([stays[i].stem for i in kept])
    table = pd.read_csv(outcomes, dtype={"RecordID": str}).set_index("RecordID")["In-hospital_death"]
    lost = [i for i in ids if i not in table.index]
    if lost:
        raise ModtsError(f"{outcomes} has no outcome for stay {lost[0]} ({len(lost)} such stays).")
    return {"X": X, "y": table.loc[ids].to_numpy(dtype=np.int64), "ids": ids}


def load_2019(seed: int, subset: str | None = None) -> Cohort:
    """PhysioNet 2019: first 48 hours of stays of at least 48 hours; label: sepsis at any time of the stay.

    ``subset`` is training_setA (the paper's siblings' choice, and the default where all its 20,336 stays are there),
    training_setB (the default otherwise) or all. The challenge's label is 1 from six hours before onset; most onsets
    lie after hour 48.
    """
    folder = dataset_folder("physionet_2019")
    n_a = sum(1 for _ in (folder / _FOLDERS_2019["training_setA"]).glob("*.psv"))
    if subset is None:
        subset = "training_setA" if n_a >= _COMPLETE_SET_A else "training_setB"
    choose(subset, (*_FOLDERS_2019, "all"), "subset of physionet_2019")
    if subset != "training_setB" and n_a < _COMPLETE_SET_A:
        raise ModtsError(
            f"PhysioNet 2019 training_setA is incomplete in {folder} ({n_a:,} of {_COMPLETE_SET_A:,} stays); use "
            'subset="training_setB".'
        )
    names = tuple(_FOLDERS_2019) if subset == "all" else (subset,)
    sets = [reading("PhysioNet 2019", folder, lambda name=name: _cached_2019(folder, name)) for name in names]
    X, y, ids = (np.concatenate([s[k] for s in sets]) for k in ("X", "y", "ids"))
    seen = ~np.isnan(X).all(axis=(0, 1))  # a variable that is never measured is dropped, as BenchPOTS does
    features = [f for f, there in zip(FEATURES_2019, seen, strict=True) if there]
    return Cohort(
        name="physionet_2019",
        title=f"PhysioNet 2019 ({subset})",
        X=X[:, :, seen],
        y=y,
        ids=ids,
        features=tuple(features),
        units=tuple(FEATURES_2019[f] for f in features),
        task="classification",
        target="sepsis during the stay",
        target_unit="",
        splits=splits.seeded(len(y), y, seed),
        split_seed=seed,
        licence="Creative Commons Attribution 4.0 (CC BY 4.0)",
        citation="Reyna MA, Josef CS, Jeter R, et al. Early prediction of sepsis from clinical data: the "
        "PhysioNet/Computing in Cardiology Challenge 2019. Crit Care Med 2020;48(2):210-217.",
        source="https://physionet.org/content/challenge-2019/1.0.0/",
        notes={"subset": subset},
    )


def _cached_2019(folder: Path, subset: str) -> dict[str, np.ndarray]:
    stays = raw_files(folder, f"{_FOLDERS_2019[subset]}/*.psv", f"stays of {subset}")
    return parsed(f"physionet_2019_{subset}", _VERSION_2019, folder, stays, lambda: _parse_2019(stays))


def _parse_2019(stays: list[Path]) -> dict[str, np.ndarray]:
    """Return X (N, 48, 34) float32, y (N,) int64, ids (N,) unicode, sorted by id."""
    table = _concatenate(stays, "|").sort_values(["stay", "ICULOS"], kind="stable")
    stay = table["stay"].to_numpy()
    hours = np.bincount(stay, minlength=len(stays))
    kept = np.flatnonzero(hours >= STEPS)
    if len(kept) == 0:
        raise ModtsError(f"None of the {len(stays)} stays has {STEPS} hours or more.")
    start = np.concatenate([[0], np.cumsum(hours)[:-1]])[kept]
    rows = start[:, None] + np.arange(STEPS)  # (N, T) row numbers of the first 48 hours
    X = table[list(FEATURES_2019)].to_numpy(dtype=np.float32)[rows]  # (N, T, F)
    septic = np.maximum.reduceat(table["SepsisLabel"].to_numpy(dtype=np.int64), start_of(hours))
    return {"X": X, "y": septic[kept], "ids": np.array([stays[i].stem for i in kept])}


def start_of(lengths: np.ndarray) -> np.ndarray:
    """First row of each of several runs that lie one after another."""
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])


def _concatenate(files: list[Path], separator: str) -> pd.DataFrame:
    """Read many small text tables with one header as one table; column ``stay`` is the file's position in ``files``."""
    header, bodies, lengths = None, [], []
    for path in files:
        first, _, body = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n")
        header = header or first
        if first != header:
            raise ModtsError(
                f"{path} has another header ({first.decode(errors='replace')[:60]!r}) than its neighbours."
            )
        body = body.strip(b"\n") + b"\n"
        bodies.append(body if body != b"\n" else b"")
        lengths.append(bodies[-1].count(b"\n"))
    table = pd.read_csv(io.BytesIO(header + b"\n" + b"".join(bodies)), sep=separator, skip_blank_lines=False)
    if len(table) != sum(lengths):
        raise ModtsError(f"The files in {files[0].parent} hold {sum(lengths)} rows but {len(table)} were read.")
    table["stay"] = np.repeat(np.arange(len(files)), lengths)
    return table
