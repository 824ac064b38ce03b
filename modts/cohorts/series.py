"""Long series cut into windows and split by time: Italy and Beijing air quality, ETT, PeMS traffic.

Splits are those of BenchPOTS, and two earlier origins (see `origins`). The regression task is TSI-Bench's: the target is
the last column at every step, the features are all the others; the target is not among the features, at pretraining
either. Windows do not overlap and no window crosses from one split into the next. Traps handled here: Italy's -200 is
NaN, Beijing's stations are sorted, traffic's dates are made without the frequency name that pandas 3 refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from modts.errors import ModtsError

from . import splits
from .base import Cohort
from .cache import parsed
from .tsdb_home import dataset_folder, import_tsdb, raw_files, reading

_VERSION = 1  # raise with every change of what the _parse functions return
_ITALY_UNITS = {
    "CO(GT)": "mg/m3", "NMHC(GT)": "ug/m3", "C6H6(GT)": "ug/m3", "NOx(GT)": "ppb", "NO2(GT)": "ug/m3", "T": "degC",
    "RH": "%",
}  # fmt: skip
_BEIJING_UNITS = {
    "PM2.5": "ug/m3", "PM10": "ug/m3", "SO2": "ug/m3", "NO2": "ug/m3", "CO": "ug/m3", "O3": "ug/m3", "TEMP": "degC",
    "PRES": "hPa", "DEWP": "degC", "RAIN": "mm", "WSPM": "m/s",
}  # fmt: skip
_TRAFFIC_ROWS = 17_544  # hours of 2015 and 2016


def load_italy_air(seed: int, n_steps: int = 12) -> Cohort:
    """Air quality in an Italian city, hourly 2004-2005; target AH (absolute humidity) at every step."""
    folder = dataset_folder("italy_air_quality")
    table = _table(
        "italy_air_quality", folder, raw_files(folder, "AirQualityUCI.csv", "Italy air quality"), _parse_italy
    )
    held = round(0.2 * len(table[0]))  # BenchPOTS: rows, not windows
    lengths = (len(table[0]) - 2 * held, held, held)
    features = table[2]
    return _windows(
        "italy_air",
        "Italy air quality",
        table,
        lengths,
        n_steps,
        seed,
        [_ITALY_UNITS.get(f, "") for f in features],
        "AH (absolute humidity) at every step",
        "",
        licence="Creative Commons Attribution 4.0 (CC BY 4.0)",
        citation="De Vito S, Massera E, Piga M, Martinotto L, Di Francia G. On field calibration of an electronic nose "
        "for benzene estimation in an urban pollution monitoring scenario. Sens Actuators B 2008;129(2):750-757.",
        source="https://archive.ics.uci.edu/dataset/360/air+quality",
        notes={"missing_code": -200, "remark": "T and RH, from which AH follows by physics, are among the features"},
    )


def load_beijing_air(seed: int, n_steps: int = 24) -> Cohort:
    """Air quality at 12 Beijing stations, hourly 2013-2017; target: wind speed at the last station at every step."""
    folder = dataset_folder("beijing_multisite_air_quality")
    files = raw_files(folder, "PRSA_Data_20130301-20170228/*.csv", "Beijing air quality")
    table = _table("beijing_multisite_air_quality", folder, files, _parse_beijing)
    features = table[2]
    return _windows(
        "beijing_air",
        "Beijing multi-site air quality",
        table,
        _months(table[1], 28, 10),
        n_steps,
        seed,
        [_BEIJING_UNITS.get(f.split("_", 1)[1], "") for f in features],
        f"{features[-1]} at every step",
        _BEIJING_UNITS.get(features[-1].split("_", 1)[1], ""),
        licence="Creative Commons Attribution 4.0 (CC BY 4.0)",
        citation="Zhang S, Guo B, Dong A, He J, Xu Z, Chen SX. Cautionary tales on air-quality improvement in Beijing. "
        "Proc R Soc A 2017;473:20170457.",
        source="https://archive.ics.uci.edu/dataset/501/beijing+multi+site+air+quality+data",
    )


def _ett(subset: str, default_steps: int) -> Callable[..., Cohort]:
    def load(seed: int, n_steps: int = default_steps) -> Cohort:
        folder = dataset_folder("electricity_transformer_temperature")
        files = raw_files(folder, f"{subset}.csv", f"electricity transformer data {subset}")
        table = _table(f"electricity_transformer_temperature_{subset}", folder, files, _parse_ett)
        return _windows(
            f"ett_{subset[3:]}",
            f"Electricity transformer temperature ({subset})",
            table,
            _months(table[1], 14, 5),
            n_steps,
            seed,
            [""] * len(table[2]),
            "OT (oil temperature) at every step",
            "degC",
            licence="Creative Commons Attribution-NoDerivatives 4.0 (CC BY-ND 4.0)",
            citation="Zhou H, Zhang S, Peng J, et al. Informer: beyond efficient transformer for long sequence "
            "time-series forecasting. AAAI 2021;35(12):11106-11115.",
            source="https://github.com/zhouhaoyi/ETDataset",
        )

    load.__doc__ = (
        f"Electricity transformer {subset}: six loads; target OT at every step, windows of {default_steps} steps."
    )
    return load


load_ett_h1, load_ett_h2 = _ett("ETTh1", 48), _ett("ETTh2", 48)  # two days of hours, as TSI-Bench
load_ett_m1, load_ett_m2 = _ett("ETTm1", 96), _ett("ETTm2", 96)  # one day of quarter hours: a whole daily cycle


def load_traffic(seed: int, n_steps: int = 24) -> Cohort:
    """Road occupancy by 862 PeMS sensors, hourly 2015-2016; target: the last sensor at every step."""
    folder = dataset_folder("pems_traffic")
    table = _table("pems_traffic", folder, raw_files(folder, "traffic.txt", "PeMS traffic"), _parse_traffic)
    features = table[2]
    return _windows(
        "traffic",
        "PeMS traffic",
        table,
        _months(table[1], 15, 4),
        n_steps,
        seed,
        ["fraction"] * len(features),
        f"occupancy at sensor {features[-1]} at every step",
        "fraction",
        licence="public data of the California Department of Transportation (PeMS)",
        citation="Lai G, Chang W-C, Yang Y, Liu H. Modeling long- and short-term temporal patterns with deep neural "
        "networks. SIGIR 2018:95-104.",
        source="https://github.com/laiguokun/multivariate-time-series-data",
    )


# ---- one long table -> windows -----------------------------------------------------------------------------------


def _windows(name, title, table, lengths, n_steps, seed, units, target, target_unit, **about) -> Cohort:
    """Cut a long table into windows inside each split, at the seed's origin; the last column becomes the target."""
    values, times, columns = table  # (L, F+1), (L,), names
    if isinstance(n_steps, bool) or not isinstance(n_steps, int) or not 2 <= n_steps <= min(lengths):
        raise ModtsError(f"n_steps of {name} must be a whole number from 2 to {min(lengths)}, not {n_steps!r}.")
    starts, sizes, first = [], [], 0
    for length in lengths:  # a split's last rows that fill no window are dropped, as BenchPOTS does
        starts.append(first + n_steps * np.arange(length // n_steps))
        sizes.append(length // n_steps)
        first += length
    start = np.concatenate(starts)
    windows = values[start[:, None] + np.arange(n_steps)]  # (N, T, F + 1)
    return Cohort(
        name=name,
        title=title,
        X=windows[:, :, :-1],
        y=windows[:, :, -1],
        ids=times[start],
        features=tuple(columns[:-1]),
        units=tuple(units[:-1]),
        task="regression",
        target=target,
        target_unit=target_unit,
        splits=splits.in_order(*sizes),
        split_seed=0,
        split_by="time",
        **about,
    ).resplit(seed)


def _months(times: np.ndarray, n_train: int, n_val: int) -> tuple[int, int, int]:
    """Rows in the first ``n_train`` calendar months, the following ``n_val``, and the rest."""
    month = np.unique(np.char.partition(times, "T")[:, 0].astype("datetime64[M]"), return_counts=True)[1]
    if len(month) <= n_train + n_val:
        raise ModtsError(f"The series covers {len(month)} months; the split by time needs more than {n_train + n_val}.")
    return int(month[:n_train].sum()), int(month[n_train : n_train + n_val].sum()), int(month[n_train + n_val :].sum())


def _table(key: str, folder: Path, files: list[Path], parse: Callable) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values (L, F+1) float32, times (L,) such as 2004-03-10T18:00, and column names, through the cache."""

    def arrays() -> dict[str, np.ndarray]:
        frame, time = parse(files)
        frame = frame.apply(pd.to_numeric)  # a word where a number belongs raises here, with its value
        return {
            "values": frame.to_numpy(dtype=np.float32),
            "times": time.to_numpy().astype("datetime64[m]").astype(str),
            "columns": np.array(list(frame.columns), dtype=str),
        }

    cached = reading(key.replace("_", " "), folder, lambda: parsed(key, _VERSION, folder, files, arrays))
    return cached["values"], cached["times"], cached["columns"].tolist()


def _tsdb_reads(function: str, folder: Path) -> pd.DataFrame:
    import_tsdb()
    from tsdb import loading_funcs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TSDB's business: pandas' inplace= is on its way out
        return getattr(loading_funcs, function)(str(folder))["X"]


def _parse_italy(files: list[Path]) -> tuple[pd.DataFrame, pd.Series]:
    frame = _tsdb_reads("load_italy_air_quality", files[0].parent)
    time = pd.to_datetime(frame["Date"] + " " + frame["Time"], format="%d/%m/%Y %H.%M.%S")
    return frame.drop(columns=["Date", "Time"]).replace(-200, np.nan), time  # -200 is the file's code for "missing"


def _parse_beijing(files: list[Path]) -> tuple[pd.DataFrame, pd.Series]:
    frame = _tsdb_reads("load_beijing_air_quality", files[0].parent.parent)
    frame["time"] = pd.to_datetime(frame[["year", "month", "day", "hour"]])
    frame = frame.drop(columns=["No", "year", "month", "day", "hour", "wd"])  # wd is a word (wind direction)
    # TSDB concatenates in the file system's order: sort the stations, and let the clock align them
    stations = {s: part.set_index("time").drop(columns="station") for s, part in frame.groupby("station", sort=True)}
    wide = pd.concat(stations, axis=1).sort_index()
    wide.columns = [f"{station}_{feature}" for station, feature in wide.columns]
    return wide, wide.index.to_series()


def _parse_ett(files: list[Path]) -> tuple[pd.DataFrame, pd.Series]:
    frame = pd.read_csv(files[0], index_col="date")  # as TSDB, which reads all four files for one
    if frame.columns[-1] != "OT":
        raise ModtsError(f"{files[0]} must end with the column 'OT', not {frame.columns[-1]!r}.")
    return frame, pd.to_datetime(frame.index.to_series())


def _parse_traffic(files: list[Path]) -> tuple[pd.DataFrame, pd.Series]:
    frame = pd.read_csv(files[0], header=None)
    if len(frame) != _TRAFFIC_ROWS:
        raise ModtsError(f"{files[0]} has {len(frame)} rows, not the {_TRAFFIC_ROWS} hours of 2015 and 2016.")
    frame.columns = frame.columns.astype(str)
    # TSDB asks for freq="H", which pandas 3 refuses
    return frame, pd.Series(pd.date_range("2015-01-01", periods=len(frame), freq="h"))
