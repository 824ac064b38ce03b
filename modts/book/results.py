"""What the pages read: the published rows in `results/` and the rows of this machine's quick run, side by side.

One place that opens the result files, so that tables, figures, verdicts and pages all see the same rows. Nothing here
computes a score and nothing here trains: a number that is not in a file does not exist (house rule 1).

Which rows are shown: the published profiles (`results/metrics.csv`) and, when this machine has run the quick profile,
its own rows in place of the published copy of the same run. Each row says where it came from (`place`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from modts import runs
from modts.cohorts import EXTERNAL, SPLIT
from modts.study import EFFECT_COLUMNS, LATENCY_COLUMNS, SEARCHED, profile_of

from .columns import NUMBERS, TABLES

PUBLISHED, LOCAL = "published", "this machine"


def _no_rows(columns: tuple[str, ...]):
    return field(default_factory=lambda: pd.DataFrame(columns=list(columns)))


@dataclass
class Results:
    """Everything the pages may show.

    Attributes
    ----------
    summary : pandas.DataFrame
        As in `results/metrics.csv`, a row a number over all splits and draws of labels, with `seeds`, `device` and `place`; on the cohorts'
        own test splits, with a profile's own settings.
    external : pandas.DataFrame
        The same of external tests.
    latency : pandas.DataFrame
        As in `results/latency.csv`.
    effects : pandas.DataFrame
        As in `results/effects.csv`, with `profile` and `place`; on the cohorts' own test splits. Those of a transfer have a `source`.
    external_effects : pandas.DataFrame
        The same on external tests.
    cohorts : dict
        Cohort name to its `describe()`.
    runs : dict
        Run id to its provenance record.
    benchmarks : pandas.DataFrame
        As in `results/benchmarks.csv`: `ours` and `theirs` are medians over the rounds; `ratio` is the median of the rounds' ratios,
        `low` and `high` their quartiles (rounds not timed in pairs: the ratio of the medians, and NaN); `target` is NaN where a row has none.
    search : pandas.DataFrame
        As in `results/search.csv`.
    roofline : pandas.DataFrame
        As in `results/roofline.csv`: what a row of `benchmarks` counts, and the machine's limits.
    drift : pandas.DataFrame
        As in `results/drift.csv`: how far the months of a series lie apart, and what centring does about it.
    choices : pandas.DataFrame
        As in `results/choices.csv`: pretrainings of the factorial, all columns as text.
    careless : pandas.DataFrame
        As in `results/careless.csv`: end-to-end training done carelessly, all columns as text but the seconds.
    again : pandas.DataFrame
        As in `results/again.csv`: published rows made again, text but for value, low, high and seconds.
    best : pandas.DataFrame
        As in `results/best.csv`: mixtures of predictions and what each ingredient is worth.
    long : pandas.DataFrame
        As in `results/long.csv`: a network a length of windows, text but for seconds and the like.
    missingness : pandas.DataFrame
        As in `results/missingness.csv`: errors and scores of every pattern of pretraining, all columns as text but the seconds.
    moves : pandas.DataFrame
        As in `results/moves.csv`: what is known of a transfer before any label is seen, all columns as text.
    memory : pandas.DataFrame
        As in `results/memory.csv`: pretraining from a memory map, all columns as text.
    """

    summary: pd.DataFrame
    latency: pd.DataFrame
    effects: pd.DataFrame
    external_effects: pd.DataFrame = _no_rows((*EFFECT_COLUMNS, "profile", "place"))
    external: pd.DataFrame = _no_rows((*runs.COLUMNS, "place", "device", "seeds"))
    cohorts: dict = field(default_factory=dict)
    runs: dict = field(default_factory=dict)
    benchmarks: pd.DataFrame = _no_rows(TABLES["benchmarks"])
    roofline: pd.DataFrame = _no_rows(TABLES["roofline"])
    drift: pd.DataFrame = _no_rows(TABLES["drift"])
    careless: pd.DataFrame = _no_rows(TABLES["careless"])
    again: pd.DataFrame = _no_rows(TABLES["again"])
    best: pd.DataFrame = _no_rows(TABLES["best"])
    long: pd.DataFrame = _no_rows(TABLES["long"])
    missingness: pd.DataFrame = _no_rows(TABLES["missingness"])
    moves: pd.DataFrame = _no_rows(TABLES["moves"])
    memory: pd.DataFrame = _no_rows(TABLES["memory"])
    choices: pd.DataFrame = _no_rows(TABLES["choices"])
    search: pd.DataFrame = _no_rows(TABLES["search"])

    def title(self, cohort: str) -> str:
        """The cohort's title in words, or its name where no description was kept; own data without a title are told apart by their name."""
        title = TITLES.get(cohort) or self.cohorts.get(cohort, {}).get("title", cohort)
        return f"{title} ({cohort})" if title == UNTITLED else title


UNTITLED = "Own data"  # what arrays are called that were given no title

TITLES = {  # of cohorts that no published run describes, or that call themselves after a folder
    "physionet_2019": "PhysioNet 2019 (set B)",
    "physionet_2012_b": "PhysioNet 2012 (set-b)",
    "physionet_2012_c": "PhysioNet 2012 (set-c)",
    "physionet_2012_emit": "PhysioNet 2012 (sets b and c train)",
    "physionet_2012_all": "PhysioNet 2012 (all three sets)",
    "beijing_air": "Beijing multi-site air quality",
    **{f"ett_{kind}": f"Electricity transformer temperature (ETT{kind})" for kind in ("h1", "h2", "m1", "m2")},
}


def device(hardware: str) -> str:
    """ "GPU" or "CPU", read from a hardware line: the two are never averaged nor shown in one table."""
    text = str(hardware).upper()
    return "GPU" if text.startswith("GPU") or "NVIDIA" in text or "CUDA" in text else "CPU"


def read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a result file, absent or empty meaning no rows; numbers as floats, all else as text ("" when empty)."""
    if not path.is_file() or path.stat().st_size == 0:
        frame = pd.DataFrame(columns=list(columns))
    else:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        older = {name: value for name, value in runs.LATER.items() if name not in frame}
        frame = frame.assign(**older).reindex(columns=list(columns), fill_value="")
    for name in columns:
        frame[name] = pd.to_numeric(frame[name], errors="coerce") if name in NUMBERS else frame[name].astype(object)
    return frame


def written(name: str) -> list[dict]:
    """The rows of `book/data/<name>.csv`, which people wrote."""
    with open(runs.root() / "book" / "data" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run_ids(lines) -> list[str]:
    """The runs that these lines name, each of them one or several ("a,b"), in their order and each once."""
    return list(dict.fromkeys(run for line in lines for run in str(line).split(",") if run))


def own_test(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows on a cohort's own split; those on an external test stand apart (`Results.external`, `Results.external_effects`)."""
    return rows[rows["test"].isin(("", SPLIT))] if "test" in rows else rows


def _both(name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """The published rows and this machine's quick rows; a local run hides the published copy of the same run."""
    published = read_csv(runs.results_dir() / name, columns).assign(place=PUBLISHED)
    local = read_csv(runs.work_dir() / "quick" / name, columns).assign(place=LOCAL)
    for frame in (published, local):
        frame["profile"] = frame["profile"].replace("quick-reference", "quick")
    ids = published["run"].str.replace("quick-reference-", "quick-", regex=False)
    return _joined(published[~ids.isin(set(local["run"]))], local)


def _named(latency: pd.DataFrame, records: dict) -> pd.DataFrame:
    """The times under their runs' names of the cohorts, as in all other tables: a file is timed under the name that it has inside."""
    names = [
        runs.plain_name(records.get(run, {}).get("cohort") or cohort, "cohort")
        for run, cohort in zip(latency["run"], latency["cohort"], strict=True)
    ]
    return latency.assign(cohort=pd.Series(names, latency.index, object))


def _joined(*frames: pd.DataFrame) -> pd.DataFrame:
    some = [frame for frame in frames if len(frame)]
    for column in {"profile", "cohort", "source"} & set(frames[0].columns):  # files are named after them
        for value in {value for frame in some for value in frame[column]} - {""}:
            runs.plain_name(value, column)
    return pd.concat(some, ignore_index=True) if some else frames[0]


def _effects() -> pd.DataFrame:
    """The published effects, and this machine's in place of the quick profile's."""
    folders = {PUBLISHED: runs.results_dir(), LOCAL: runs.work_dir() / "quick"}
    published, local = (
        read_csv(folder / "effects.csv", EFFECT_COLUMNS).assign(place=place) for place, folder in folders.items()
    )
    published, local = (
        frame.assign(profile=pd.Series([profile_of(row) for row in frame.to_dict("records")], frame.index, object))
        for frame in (published, local)
    )
    return _joined(published[~published["profile"].isin(set(local["profile"]))], local)


def ended_at_cap(record: dict) -> list[str] | None:
    """The trainings of a run that stopped at their cap of epochs and not because they were done; None where the run does not say."""
    if "capped" in record:
        return record["capped"]
    epochs, history = record.get("params", {}).get("epochs"), record.get("history")
    return [name for name, curve in history.items() if len(curve) >= epochs] if epochs and history else None


def training_record(records: dict, run: str) -> dict:
    """The record of the run that trained what counts in another: of heads, which are done in a moment, their backbone's pretraining."""
    record = records.get(run, {})
    if record.get("stage") not in ("heads", "transfer"):
        return record
    params = record["params"]
    cohort = params.get("source") or params["cohort"]
    for other in records.values():
        given = other.get("params", {})
        own = {name: value for name, value in given.items() if name not in ("cohort", "external")}
        there = other.get("stage") == "pretrain" and given.get("cohort") == cohort
        if there and all(params.get(name, value) == value for name, value in own.items()):
            return other
    return {}


def _records(folder: Path, place: str) -> dict:
    found = {}
    for path in runs.json_files(folder).values():
        record = runs.read_json(path)
        if isinstance(record, dict) and record.get("run"):
            found[record["run"]] = {key: value for key, value in record.items() if key not in ("rows", "history")}
            found[record["run"]] |= {"place": place, "capped": ended_at_cap(record)}
    return found


def _cohorts(path: Path) -> dict:
    if not path.is_file():
        return {}
    content = runs.read_json(path)
    rows = content if isinstance(content, list) else [{"name": name, **row} for name, row in content.items()]
    return {runs.plain_name(row["name"], "cohort"): row for row in rows}


def plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of a profile's own settings: without a variant, or of the first by name for a cohort that has only variants."""
    shown = (
        rows.groupby(["profile", "cohort"], sort=False)["variant"].transform("min") if len(rows) else rows["variant"]
    )
    return rows[rows["variant"] == shown]


def summarise(metrics: pd.DataFrame, records: dict) -> pd.DataFrame:
    """The rows over all splits and draws (an older table holds others too), with how many seeds their run had, and on what kind of device it
    ran; CPU and GPU stay apart."""
    metrics = metrics[metrics["split_seed"] == ""]
    rows = metrics.assign(
        device=[device(text) for text in metrics["hardware"]],
        seeds=[len(records.get(run, {}).get("params", {}).get("seeds", [0])) for run in metrics["run"]],
    )
    return rows.dropna(subset=["value"]).reset_index(drop=True)


def collect() -> Results:
    """Read all result files into one `Results`. Missing files are empty: a page then says what was not run."""
    metrics, effects = plain(_both("metrics.csv", runs.COLUMNS)), plain(_effects())
    local = runs.work_dir() / "quick"
    records = _records(runs.results_dir() / "runs", PUBLISHED) | _records(local / "runs", LOCAL)
    summary = summarise(metrics, records)
    return Results(
        summary=own_test(summary),
        external=summary[summary["test"] == EXTERNAL],
        latency=_named(_both("latency.csv", LATENCY_COLUMNS), records),
        effects=own_test(effects),
        external_effects=effects[effects["test"] == EXTERNAL],
        cohorts=_cohorts(runs.results_dir() / "cohorts.json") | _cohorts(local / "cohorts.json"),
        runs=_records(runs.results_dir() / "benchmarks", PUBLISHED) | records,
        **{name: read_csv(runs.results_dir() / f"{name}.csv", columns) for name, columns in TABLES.items()},
    )


def inputs() -> list[Path]:
    """The files that the pages are made from, for whoever asks whether they are up to date."""
    found = []
    for folder in (runs.results_dir(), runs.work_dir() / "quick"):
        found += [folder / name for name in ("metrics.csv", "latency.csv", "effects.csv", "cohorts.json")]
        found += runs.json_files(folder / "runs").values()
    found += [runs.results_dir() / f"{name}.csv" for name in TABLES]
    found += [runs.frozen_path(), *sorted((runs.root() / "profiles" / "tuned").glob("*.yaml"))]
    found += sorted((runs.results_dir() / "benchmarks").glob("*.json"))
    return [path for path in found if path.is_file()]


# --- which rows may stand together ---

SINGLE = ("", "paper", "statistics")  # the poolings of the main tables; others have a table of their own
POINT = ("", "point")  # pretraining's pattern on the main pages


BETWEEN = "between"  # the profile of a page of its own: other pages show nothing of it
PROFILES = ("study", "paper", "cpu", "headline", "crossing", "latency", "proof", BETWEEN, "quick")  # in this order

ABOUT = {  # what a heading says of a profile, where a page has several of one cohort
    "study": "the study", "paper": "the paper's sizes", "cpu": "the earlier protocol", "headline": "the published sizes, on a GPU",
    "crossing": "the published sizes, for the transfer", "latency": "the published sizes, timed", "proof": "the instrument tried",
    BETWEEN: "between frozen and fine-tuned",
}  # fmt: skip


def rank(profile: str, first: str = "") -> int:
    """Where a profile stands: the one that a question was run for, then the study; what others made last."""
    return -1 if first and profile == first else PROFILES.index(profile) if profile in PROFILES else len(PROFILES)


def blocks(rows: pd.DataFrame, first: str = ""):
    """(cohort, profile, device) and its rows: what may share a table.

    The cohort `first`, then real data, what was run by most networks in most ways before the rest; of them other splits of PhysioNet 2012 late
    and what settings were searched on last.
    """
    rows = rows[rows["profile"] != BETWEEN]
    ways = rows[["cohort", "backbone", "arm"]].drop_duplicates()["cohort"].value_counts()
    keys = rows[["cohort", "profile", "device"]].drop_duplicates().itertuples(index=False)
    order = sorted(
        keys,
        key=lambda key: (
            key[0] != first,
            key[0].startswith("simulated"),
            key[0] in SEARCHED,
            key[0].startswith("physionet_2012_"),  # other splits of the same stays
            not key[0].startswith("physionet"),
            -ways[key[0]],
            key[0],
            rank(key[1]),
            key[2],
        ),
    )
    for cohort, profile, device in order:
        yield (
            (cohort, profile, device),
            rows[(rows["cohort"] == cohort) & (rows["profile"] == profile) & (rows["device"] == device)],
        )


def for_figure(rows: pd.DataFrame) -> pd.DataFrame:
    """The arms a picture can hold: Simple heads, and Complex only where the backbone is frozen."""
    return rows[rows["pooling"].isin(SINGLE) & ((rows["head"] != "complex") | (rows["arm"] == "frozen"))]


def fractions(rows: pd.DataFrame) -> list[float]:
    """Label fractions, all labels first; [nan] where the task has none."""
    found = sorted(rows["label_fraction"].dropna().unique(), reverse=True)
    return found or [float("nan")]


def at(rows: pd.DataFrame, fraction: float) -> pd.DataFrame:
    return rows if pd.isna(fraction) else rows[(rows["label_fraction"] - fraction).abs() < 1e-9]


def scarce(rows: pd.DataFrame) -> float | None:
    """The smallest share of the labels, None where there is only one."""
    fractions = sorted(rows["label_fraction"].dropna().unique())
    return fractions[0] if len(fractions) > 1 else None
