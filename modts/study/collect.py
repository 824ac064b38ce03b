"""From run files to the tables that the pages read: metrics, latency, effects, cohorts.

`collect` joins the runs of this machine (work/<profile>/), `publish` copies them to results/ and rewrites the tables
there from all published runs, `compare` makes the effects anew from what is published. Nothing is measured here but the
effects, which compare stored predictions.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

from .compared import compared
from .jobs import Job
from .profiles import Profile, read_profile
from .stored import compact, needed, unpacked

LATENCY_COLUMNS = (
    "profile",
    "cohort",
    "backbone",
    "arm",
    "stage",
    "batch",
    "p50_ms",
    "p99_ms",
    "repeats",
    "hardware",
    "run",
)
KEY = tuple(name for name in runs.COLUMNS if name not in ("value", "low", "high", "n_test", "hardware", "run"))


# --- run files ---


def read_runs(folder: Path) -> list[dict]:
    """The run records of a folder, by run id."""
    records = []
    for name, path in runs.json_files(folder).items():
        record = runs.read_json(path)
        try:
            whole = record["run"] == name
            records.append(record | {"rows": unpacked(record["rows"])} if "rows" in record else record)
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise ModtsError(f"{path} is not a run file of {name}; delete it and run its job again.")
    return records


def all_runs() -> list[tuple[str, dict]]:
    """Every run with where it lies: "published" or "local"."""
    found = [("published", record) for record in read_runs(runs.results_dir() / "runs")]
    for folder in sorted(runs.work_dir().glob("*/runs")):
        found += [("local", record) for record in read_runs(folder)]
    return sorted(found, key=lambda item: (item[1]["run"], item[0]))


def known_profile(name: str | None) -> str | None:
    """The name of a profile that has a file, or runs; None asks for all."""
    if name is None or name in {record["profile"] for _, record in all_runs()}:
        return name
    return read_profile(name).name


def _profile(name: str) -> tuple[str, Profile | None]:
    """A profile by file, by name, or (a name without a file) whatever was run under that name."""
    try:
        profile = read_profile(name)
    except ModtsError:
        if name.endswith((".yaml", ".yml")) or not (runs.work_dir() / name / "runs").is_dir():
            raise
        if (runs.root() / "profiles" / f"{name}.yaml").is_file():
            raise
        return name, None
    return profile.name, profile


def _mine(name: str, profile: Profile | None) -> tuple[list[dict], list[str]]:
    """The local runs that belong to the profile, and a line on each that does not."""
    records, kept, said = read_runs(runs.work_dir() / name / "runs"), [], []
    for record in records:
        if profile is None or (record["run"] in profile.jobs and profile.jobs[record["run"]].same_as(record)):
            kept.append(record)
        else:
            why = "has other parameters than the profile" if record["run"] in profile.jobs else "is not in the profile"
            said.append(f"left out: {record['run']} {why}")
    return kept, said


# --- tables ---


def metric_rows(records: list[dict]) -> list[dict]:
    """The numbers over all splits and draws of labels; those of each split and draw stay in the run's file.

    A transfer run repeats the target's own arms; where their own runs exist, those speak.
    """
    found = {}
    for record in sorted(records, key=lambda record: record["stage"] == "transfer"):
        for row in ({**runs.LATER, **row} for row in record.get("rows", [])):
            if row["split_seed"] == "":
                found.setdefault(tuple(str(row[name]) for name in KEY), row)
    return sorted(found.values(), key=lambda row: [str(row[name]) for name in (*KEY, "run")])


def clashes(records: list[dict]) -> list[str]:
    """A line on each pair of runs that say different things under one name: the second of them is not in the table."""
    found, said = {}, {}
    for record in sorted(records, key=lambda record: record["stage"] == "transfer"):
        for row in record.get("rows", []):
            first = found.setdefault(tuple(str({**runs.LATER, **row}[name]) for name in KEY), record)
            if first is not record and record["stage"] == first["stage"]:
                said[record["run"]] = first["run"]
    return [
        f"left out: {run} has rows under the names of {first}'s; give one of them a variant"
        for run, first in said.items()
    ]


def latency_rows(records: list[dict]) -> list[dict]:
    """All measured times."""
    rows = [row for record in records for row in record.get("latency", [])]
    return sorted(rows, key=lambda row: [row[name] if name == "batch" else str(row[name]) for name in LATENCY_COLUMNS])


def table(rows: list[dict], columns) -> str:
    """Rows as CSV, numbers to six significant digits."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: f"{value:.6g}" if isinstance(value, float) else runs.cell(value) for name, value in row.items()}
        )
    return file.getvalue()


def read_table(path: Path) -> list[dict]:
    """Rows of a CSV as text; none if there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _describe(records: list[dict]) -> tuple[dict, list[str]]:
    """The description of each cohort that the runs used, and a line on each that cannot be loaded here."""
    from modts.cohorts import load_cohort

    found, said = {}, []
    for record in records:
        for name in filter(None, (record["params"].get(what) for what in ("cohort", "source", "external"))):
            label = runs.cohort_label(name)
            if label not in found:
                try:
                    found[label] = {**load_cohort(name).describe(), "name": label}
                except ModtsError as error:
                    found[label] = None
                    said.append(f"cohort {name} cannot be loaded, its description is kept as it was: {error}")
    return {name: row for name, row in found.items() if row}, said


# --- the three commands ---


def collect(name: str) -> list[str]:
    """Join a profile's local runs into the tables of work/<profile>/. Returns lines that say what was done.

    An effect whose cohort cannot be compared now stays as it was collected before.
    """
    from . import effects, kept

    name, profile = _profile(name)
    records, said = _mine(name, profile)
    folder = runs.work_dir() / name
    found, more = compared(records, folder / "predictions")
    more += kept.unpredicted(records, folder / "predictions")
    old = kept.kept(kept.read_effects(folder), found, records) if more else []
    more += [f"{len(old)} effects of before are kept"] if more else []
    found = effects.judged([*found, *old], records)
    cohorts, others = _describe(records)
    metrics = metric_rows(records)
    _write(folder, metrics, latency_rows(records), found, cohorts)
    said += clashes(records)
    return [*said, *more, *others, f"{name}: {len(records)} runs, {len(metrics)} numbers, {len(found)} effects"]


def publish(name: str) -> list[str]:
    """Copy a profile's local runs and predictions to results/, and rewrite its tables from all published runs.

    An effect, or a description, whose cohort cannot be loaded here stays as it was published before. The published tables are read, and every
    run's predictions looked for, before anything is copied.
    """
    from . import kept

    name, profile = _profile(name)
    records, said = _mine(name, profile)
    results, local = runs.results_dir(), runs.work_dir() / name
    if not records:
        raise ModtsError(f"There is nothing to publish: {local / 'runs'} holds no run of profile {name}; run it first.")
    lacking = kept.unpredicted(records, local / "predictions")
    if lacking:
        raise ModtsError(f"{lacking[0]}; nothing was published.")
    path = results / "cohorts.json"
    before = runs.read_json(path) if path.is_file() else {}
    old = kept.read_effects(results)
    for record in records:
        run = record["run"]
        predictions = local / "predictions" / f"{run}.npz"
        if predictions.is_file():
            few = needed(runs.read_arrays(predictions, run, unsealed=True), record["stage"])
            runs.write_arrays(results / "predictions" / predictions.name, run, zipfile.ZIP_LZMA, **few)
        runs.atomic_write(runs.published_path(run), compact(record))
    published = read_runs(results / "runs")
    found, more = _effects(published, [name], old)
    cohorts, others = _describe([record for record in published if record["profile"] == name])
    metrics = metric_rows(published)
    _write(results, metrics, latency_rows(published), found, {**before, **cohorts})
    kept.write_checksums()
    return [
        *said,
        *clashes(published),
        *more,
        *others,
        f"published {len(records)} runs of {name}; results/ has {len(published)} runs, {len(metrics)} numbers",
    ]


def compare() -> list[str]:
    """Rewrite results/effects.csv from the published runs and predictions alone; what cannot be loaded here stays as it was."""
    from . import kept
    from .effects import EFFECT_COLUMNS

    published = read_runs(runs.results_dir() / "runs")
    if not published:
        raise ModtsError(
            f"There is nothing to compare: {runs.results_dir() / 'runs'} holds no run; publish a profile first."
        )
    old = kept.read_effects(runs.results_dir())
    kept.check_predictions(runs.results_dir())
    found, said = _effects(published, sorted({record["profile"] for record in published}), old)
    runs.atomic_write(runs.results_dir() / "effects.csv", table(found, EFFECT_COLUMNS))
    kept.write_checksums()
    return [*said, f"results/effects.csv: {len(found)} effects from {len(published)} runs"]


def _effects(published: list[dict], names: list[str], old: list[dict]) -> tuple[list[dict], list[str]]:
    """The effects of these profiles made anew, and of the old ones those of other profiles and of cohorts that cannot be loaded here."""
    from . import effects, kept

    fresh, said = [], []
    for name in names:
        mine = [record for record in published if record["profile"] == name]
        rows, more = compared([*mine, *_lent(mine, published)], runs.results_dir() / "predictions")
        fresh, said = fresh + rows, said + more + kept.unpredicted(mine, runs.results_dir() / "predictions")
    return effects.judged([*fresh, *kept.kept(old, fresh, published)], published), said


def _lent(mine: list[dict], published: list[dict]) -> list[dict]:
    """Other profiles' baselines for the cohorts of which these runs have none: the ones with the fewest splits more than theirs."""
    lent, splits = [], {}
    for record in mine:
        splits.setdefault(record["params"]["cohort"], set()).update(record["params"]["seeds"])
    has = {record["params"]["cohort"] for record in mine if record["stage"] == "baselines"}
    baselines = [record for record in published if record["stage"] == "baselines" and record not in mine]
    for cohort in splits.keys() - has:
        fit = [
            one
            for one in baselines
            if one["params"]["cohort"] == cohort and splits[cohort] <= {*one["params"]["seeds"]}
        ]
        lent += sorted(fit, key=lambda one: (len(one["params"]["seeds"]), one["run"]))[:1]
    return lent


def _write(folder: Path, metrics, latency, effects, cohorts) -> None:
    from .effects import EFFECT_COLUMNS

    runs.atomic_write(folder / "latency.csv", table(latency, LATENCY_COLUMNS))
    runs.atomic_write(folder / "effects.csv", table(effects, EFFECT_COLUMNS))
    runs.write_json(folder / "cohorts.json", dict(sorted(cohorts.items())))
    runs.atomic_write(folder / "metrics.csv", table(metrics, runs.COLUMNS))  # last: who sees it sees the others too


# --- what is stale ---


def stale(only: str | None = None, data: bool = True) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Runs that a fresh start would not reproduce: (where, run, why), and lines on what could not be checked."""
    found, notes, profiles, hashes, only = [], [], {}, {}, known_profile(only)
    for place, record in all_runs():
        name, run = record["profile"], record["run"]
        if only not in (None, name):
            continue
        if name not in profiles:
            try:
                profiles[name] = _whole_profile(name, notes)
            except ModtsError as error:
                profiles[name] = None
                notes.append(f"parameters of profile {name} are not checked: {error}")
        why = [*_params_why(profiles[name], record)]
        why += _code_why(record, notes)
        if data:
            why += _data_why(record, hashes, notes)
        if why:
            found.append((place, run, "; ".join(why)))
    return found, notes


def _whole_profile(name: str, notes: list[str]) -> dict[str, Job]:
    """The jobs of a profile: those of its file, and of the files beside it that publish under its name.

    A note on each of these that cannot be read, as one may ask for a cohort file that is not here.
    """
    first = read_profile(name)
    jobs: dict[str, Job] = {}
    for path in sorted(first.path.parent.glob("*.yaml")):
        if path != first.path and f"profile: {name}" in path.read_text(encoding="utf-8").splitlines():
            try:
                jobs |= read_profile(path).jobs
            except ModtsError as error:
                notes.append(f"runs of {path.name} are not checked for their parameters: {error}")
    return jobs | first.jobs


def _params_why(jobs: dict[str, Job] | None, record: dict):
    if jobs is None:
        return
    job, cohort = jobs.get(record["run"]), str(record["params"].get("cohort"))
    if job is None and cohort.endswith(".npz") and not Path(cohort).is_file():
        return  # a cohort file that is not here: its jobs cannot be read
    if job is None:
        yield "no longer in its profile"
    elif not job.same_as(record):
        before, now = record["params"], job.decisive()
        names = [key for key, value in now.items() if before.get(key, "absent") != value]
        yield "other parameters: " + ", ".join(f"{key} was {before.get(key, 'absent')}, is {now[key]}" for key in names)


def _code_why(record: dict, notes: list[str]):
    try:
        now = runs.code_hash(record["stage"], record["params"].get("backbone", ""), rows=True)
    except ModtsError as error:  # the file of a backbone of one's own
        notes.append(f"code of {record['run']} is not checked: {error}")
        return
    if record["code_hash"] != now:
        yield "the code that decides its numbers has changed"


def _data_why(record: dict, hashes: dict, notes: list[str]):
    from modts.cohorts import load_cohort

    name = record["params"]["cohort"]
    for role, words in (("external", "external test"), ("unlabelled", "pretraining without labels")):
        beside = record.get(role)
        try:
            if beside and load_cohort(record["params"][role]).content_hash != beside["data"]:
                yield f"the data of its {words} ({beside['name']}) have changed"
                return
        except ModtsError as error:
            notes.append(f"the {words} of {record['run']} is not checked: {error}")
    for seed, stored in record.get("data_hash", {}).items():
        if (name, seed) not in hashes:
            try:
                hashes[name, seed] = load_cohort(name, seed=int(seed)).content_hash
            except ModtsError as error:
                hashes[name, seed] = None
                if not any(key[0] == name and hashes[key] is None for key in hashes if key != (name, seed)):
                    notes.append(f"data of {name} are not checked: {error}")
        if hashes[name, seed] not in (None, stored):
            yield f"its data (split {seed}) have changed"
            return
