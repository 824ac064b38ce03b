"""A run as it is published, small enough to be committed: its rows without what all of them share, and the predictions that are compared.

Scores of everything are in the rows; predictions are kept only where `effects` asks for them.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from modts.cohorts import EXTERNAL

from .predicted import POOLING
from .questions import ASKED, BASELINE

# Of the labels: an external test has five times as many stays, and whole networks are trained at these.
EXTERNAL_SHARES = (1.0, 0.1)


def needed(predictions: dict[str, np.ndarray], stage: str) -> dict[str, np.ndarray]:
    """Those of a run's predictions that some question compares (keys as in `effects`); of an external test, at `EXTERNAL_SHARES` alone."""
    compared = {(arm, head) for sides in ASKED.values() for arm, head in sides}

    def asked(key: str) -> bool:
        arm, head, pooling, fraction, *rest = key.split("|")
        model = (BASELINE, arm) if stage == "baselines" else (arm, head)
        far = EXTERNAL in rest and float(fraction) not in EXTERNAL_SHARES
        return pooling in POOLING and model in compared and not far

    return {key: prediction for key, prediction in predictions.items() if asked(key)}


def compact(record: dict) -> str:
    """A run file to commit: a line a row, numbers to six significant digits, and the hash of what it holds."""

    def short(value):
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, dict):
            return {name: short(item) for name, item in value.items()}
        return [short(item) for item in value] if isinstance(value, list) else value

    # parameters stay as they were given: they are compared with the profile's
    parts = {name: value if name == "params" else short(value) for name, value in record.items()}
    parts["hash"] = seal(parts)
    lines = []
    for name, value in parts.items():
        if name == "rows":
            value, rows = _packed(value)
            text = json.dumps(value, ensure_ascii=False)[:-1] + ', "values": [\n'
            text += ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows) + "\n ]}"
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _packed(rows: list[dict]) -> tuple[dict, list[list]]:
    """What all rows share and the columns in which they differ, and the rows' values in those."""
    columns = list(rows[0]) if rows else []
    same = {name: rows[0][name] for name in columns if all(row[name] == rows[0][name] for row in rows)}
    columns = [name for name in columns if name not in same]
    return {"same": same, "columns": columns}, [[row[name] for name in columns] for row in rows]


def unpacked(rows: list[dict] | dict) -> list[dict]:
    """The rows of a run file, whether it holds them one by one or as what they share and what they do not."""
    if isinstance(rows, list):
        return rows
    found = [dict(zip(rows["columns"], values, strict=True)) for values in rows["values"]]
    return [rows["same"] | row for row in found]


def seal(record: dict) -> str:
    """The hash of a published run's content, its own entry left out."""
    content = {name: value for name, value in record.items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
