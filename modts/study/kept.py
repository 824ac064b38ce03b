"""Effects that were made before: read back, checked, and kept where they cannot be made anew; and the file that says what was written.

A table of effects is read before anything is written beside it, so that a damaged one stops a command at once and not half-way; one that was
changed by hand is refused too, or its numbers would go into the next table, and its hash with them.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

from .effects import EFFECT_COLUMNS, cohort_of, profile_of
from .predicted import source_of
from .questions import ASKED

CHECKSUMS = "checksums.json"  # beside the published tables: of each that no run file can be compared with, the hash of its bytes
PREDICTING = ("heads", "end_to_end", "baselines", "transfer")  # the stages whose runs keep what their models say
_NUMBERS = dict.fromkeys(("label_fraction", "difference", "low", "high", "p"), float) | {
    "n_splits": int,
    "n_draws": int,
}
_LATER = ("variant", "source")  # columns that an older table lacks


# --- the table of effects ---


def read_effects(folder: Path) -> list[dict]:
    """The rows of a folder's effects.csv as text; none if there is no file.

    Raises
    ------
    ModtsError
        It is no such table: a bad byte, a line cut short, a word where a number belongs. Or it is not the one that was written last.
    """
    from modts.learning import HIGHER_IS_BETTER

    path = folder / "effects.csv"
    if not path.is_file():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            columns, rows = reader.fieldnames or (), [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, str(error)) from None
    lacking = [name for name in EFFECT_COLUMNS if name not in columns and name not in _LATER]
    if lacking:
        raise _unreadable(path, f"it has no column {lacking[0]}")
    for line, row in rows:
        if None in row or None in row.values():
            raise _unreadable(path, f"line {line} has another number of cells than the first")
        wrong = next((name for name, kind in _NUMBERS.items() if not _reads(kind, row[name])), None)
        if wrong:
            raise _unreadable(path, f"line {line}: {wrong} is {row[wrong]!r}, which is no number")
        if row["question"] not in ASKED or row["metric"] not in HIGHER_IS_BETTER:
            raise _unreadable(
                path, f"line {line}: {row['question']!r} in {row['metric']!r} is no question of the study"
            )
    check_effects(folder)
    return [row for _, row in rows]


def _unreadable(path: Path, why: str) -> ModtsError:
    return ModtsError(f"{path} cannot be read ({why}); {runs.remedy(path)}.")


def _reads(kind, text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def kept(old: list[dict], fresh: list[dict], records: list[dict]) -> list[dict]:
    """Those of the old rows that no fresh row replaces, of cohorts and sources that the runs still have."""
    done = {_place(row) for row in fresh}
    alive = {(record["profile"], cohort_of(record), source) for record in records for source in ("", source_of(record))}
    return [row for row in old if _place(row) not in done and _place(row)[:3] in alive]


def _place(row: dict) -> tuple[str, str, str, str, str]:
    """Profile, cohort, source, test and variant of an effect: what is made anew together."""
    return profile_of(row), row["cohort"], row.get("source", ""), row["test"], row.get("variant", "")


# --- what must lie beside it ---


def unpredicted(records: list[dict], folder: Path) -> list[str]:
    """A line on each run whose models' predictions are not in the folder; a run that scored imputations alone has none."""
    published = folder.is_relative_to(runs.results_dir())
    advice = "bring them back from git" if published else "delete its run file and run its job again"
    return [
        f"{record['run']} has no predictions ({path} is missing); {advice}"
        for record in records
        if record["stage"] in PREDICTING
        and any(row.get("task") != "imputation" for row in record.get("rows", []))
        and not (path := folder / f"{record['run']}.npz").is_file()
    ]


# --- the hash of what was written ---


def write_checksums() -> None:
    """Write down the hashes of the published effects and predictions as they are now."""
    folder = runs.results_dir()
    paths = [folder / "effects.csv", *sorted((folder / "predictions").glob("*.npz"))]
    runs.write_json(folder / CHECKSUMS, {path.relative_to(folder).as_posix(): _hash(path) for path in paths})


def check_effects(folder: Path) -> None:
    """Refuse an effects.csv that is not the one that was written last; without hashes in the folder nothing is compared.

    Raises
    ------
    ModtsError
        It has changed, or it is missing, or what should hold its hash does not.
    """
    if (folder / CHECKSUMS).is_file():
        _compare(folder, lambda said: ["effects.csv"])


def check_predictions(folder: Path) -> None:
    """Refuse predictions that are not those that were written last; a copy of the results without any is not compared.

    Raises
    ------
    ModtsError
        One has changed, or is missing, or no hash was written down for it.
    """
    within = folder / "predictions"
    if within.is_dir():
        found = {path.relative_to(folder).as_posix() for path in within.glob("*.npz")}
        _compare(folder, lambda said: sorted(found | {name for name in said if name.startswith("predictions/")}))


def _compare(folder: Path, chosen) -> None:
    """Hold the files that `chosen` picks from the hashes that were written down against these."""
    beside = folder / CHECKSUMS
    said = runs.read_json(beside) if beside.is_file() else {}
    said = said if isinstance(said, dict) else {}
    for name in chosen(said):
        path = folder / name
        if name not in said:
            raise ModtsError(f"{beside} names no hash of {name}; {runs.remedy(beside)}.")
        if not path.is_file():
            raise ModtsError(f"{path} is missing; {runs.remedy(path)}.")
        if _hash(path) != said[name]:
            raise ModtsError(f"{path} has changed since it was published; {runs.remedy(path)}.")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
