"""Effects of a profile's runs, kept cohort by cohort in the work folder: where runs, predictions and code are as before, none is resampled."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from modts import runs

from . import effects
from .stored import seal


def compared(records: list[dict], folder: Path) -> tuple[list[dict], list[str]]:
    """As `effects.effects`: rows and what could not be compared; the latter is looked at anew each time."""
    rows, said, groups = [], [], defaultdict(list)
    for record in records:
        groups[record["params"]["cohort"], record["params"].get("variant", "")].append(record)
    for (cohort, _), group in groups.items():
        made_of = {record["run"]: [seal(record), _content(folder / f"{record['run']}.npz")] for record in group}
        name = runs.key({"runs": made_of, "code": runs.hash_of(*runs.protocol_modules())})
        path = runs.work_dir() / "effects" / f"{runs.cohort_label(cohort)}-{name}.json"
        if path.is_file():
            rows += runs.read_json(path)
            continue
        found, more = effects.effects(group, folder)
        rows, said = rows + found, said + more
        if not more:
            runs.write_json(path, found)
    return rows, said


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
