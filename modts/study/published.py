"""Published results that agree with themselves: each run file with the hash it was published with, each row of a table with its run, the
effects with the hash of their table.

A page shows what `results/` says, so a number that was changed there, by hand or by a bad disk, would be shown as measured. It is looked for
before pages are made, and by `modts stale`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

from .collect import KEY, LATENCY_COLUMNS, latency_rows, metric_rows, read_runs
from .kept import check_effects, check_predictions
from .stored import seal

_TIMED = tuple(name for name in LATENCY_COLUMNS if name not in ("p50_ms", "p99_ms", "repeats", "hardware"))
_REMEDY = "bring it back from git, or publish its profile again."


def check_published() -> None:
    """Compare the files of `results/` with each other: run files with their hashes, metrics.csv and latency.csv with what the runs say, and
    effects.csv and predictions with their hashes in checksums.json.

    A run file that was published before there were hashes is not checked by one; its rows are. Effects are not made anew (`modts effects` does
    that): they are those that were written last, whose hash may be absent, and then they are not checked. The tables of benchmarks and searches
    are not covered.

    Raises
    ------
    ModtsError
        Something has changed since it was published: the sentence names the file, and the row where one is known.
    """
    folder = runs.results_dir()
    records = read_runs(folder / "runs")
    for record in records:
        path = runs.published_path(record["run"])
        if "hash" in record and record["hash"] != seal(record):
            raise ModtsError(f"{path} has changed since it was published; {_REMEDY}")
        try:
            metric_rows([record])
            latency_rows([record])
        except (KeyError, TypeError, AttributeError):
            raise ModtsError(f"{path} has a row that is no row of results; {_REMEDY}") from None
    _compare(folder / "metrics.csv", runs.COLUMNS, metric_rows(records), KEY)
    _compare(folder / "latency.csv", LATENCY_COLUMNS, latency_rows(records), _TIMED)
    check_effects(folder)
    check_predictions(folder)


def _compare(path: Path, columns: tuple[str, ...], said: list[dict], key: tuple[str, ...]) -> None:
    """Refuse a table that does not hold the rows that its runs say, each once, whatever their order."""
    if not path.is_file():
        if said:
            raise ModtsError(f"{path} is missing; {_REMEDY}")
        return
    wanted = {tuple(_plain(row.get(name)) for name in key): row for row in said}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, {**runs.LATER, **row}) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ModtsError(f"{path} is not readable ({error}); {_REMEDY}") from None
    for line, row in rows:
        identity = tuple(_plain(row.get(name)) for name in key)
        words = f"{path}, line {line} ({' '.join(filter(None, identity))})"
        if identity not in wanted:
            raise ModtsError(f"{words}: no run says this, or a row says it already; {_REMEDY}")
        run = wanted.pop(identity)
        for name in columns:
            if _plain(row.get(name)) != _plain(run.get(name)):
                raise ModtsError(
                    f"{words}: {name} is {row.get(name)!r}, but its run {run['run']} says {_plain(run.get(name))!r}; {_REMEDY}"
                )
    for identity, run in wanted.items():
        raise ModtsError(f"{path} lacks the row {' '.join(filter(None, identity))} of the run {run['run']}; {_REMEDY}")


def _plain(value) -> str:
    """A cell as it is stored: numbers to six digits."""
    try:
        return f"{float(value):.6g}"
    except (TypeError, ValueError):
        return "" if value is None else str(runs.cell(str(value)))
