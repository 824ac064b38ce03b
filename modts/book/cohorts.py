"""The page on the data sets."""

from __future__ import annotations

import json
import re

import pandas as pd

from modts.cohorts import cohort_names

from . import fragments, tables
from .results import Results
from .tables import Cell, Table

NOTES = {  # what a cohort's notes are called; others by their own names, in words
    "missing_code": "Coded as missing",
    "remark": "Remark",
    "subset": "Part of the data set",
    "stations": "Stations",
    "mechanism": "How values are lost",
    "best_auroc": "AUROC of the true risk, on the drawn outcomes of all stays",
    "best_auroc_expected": "The same, on average over all outcomes that could be drawn",
    "best_auroc_how": "How that is known",
}


def cohorts(found: Results) -> str:
    """The data sets that stored results come from."""
    if not found.cohorts:
        return fragments.note("No cohort has been described yet. `make book` describes the embedded ones.")
    order = sorted(found.cohorts.values(), key=lambda row: (row["name"].startswith("simulated"), row["name"]))
    body = []
    for row in order:
        target = row.get("target", "") + (f" [{row['target_unit']}]" if row.get("target_unit") else "")
        share = (
            "no label"
            if row.get("task") == "imputation"
            else f"{100 * row['prevalence']:.1f} % positive"
            if row.get("prevalence") is not None
            else ", ".join(f"{name} {100 * part:.1f} %" for name, part in row["classes"].items())
            if row.get("classes")
            else f"mean {tables.number(row.get('target_mean'), 2)}, s.d. {tables.number(row.get('target_std'), 2)}"
        )
        body.append(
            [
                found.title(row["name"]),
                f"{row['n']:,}",
                " / ".join(f"{row.get(name, 0):,}" for name in ("train", "val", "test")),
                row.get("split_by", "") + (f", {len(row['origins'])} origins" if row.get("origins") else ""),
                f"{row['n_steps']} × {row['n_features']}",
                f"{100 * row['missing_rate']:.1f} %",
                Cell(target, share),
            ]
        )
    table = Table(
        "Windows, splits (split seed 0), size, share of missing cells, and target of every cohort behind the results",
        ["Cohort", "Windows", "Train / val / test", "Split", "Steps × features", "Missing", "Target"],
        body,
    )
    out = [fragments.tables(table), fragments.downloads("cohorts", _flat(order), [table])]
    for row in order:
        source = str(row.get("source", ""))
        source = f"<{source}>" if re.fullmatch(r"https?://[^\s<>`\"']+", source) else fragments.plain(source)
        here = row["name"] in cohort_names()  # else a file's, and only its owner knows where it lies
        call = fragments.code(f'modts.load_cohort("{row["name"]}")') if here else "A cohort file (`.npz`)."
        out.append(f"{fragments.heading(2, found.title(row['name']))}\n{call}\n")
        out.append(
            fragments.bullets(
                [
                    f"Licence: {fragments.plain(row.get('licence', ''))}",
                    f"Cite: {fragments.plain(row.get('citation', ''))}",
                    *([f"Source: {source}"] if source else []),
                    f"Content hash: {fragments.code(str(row.get('content_hash', ''))[:16])}",
                    *(
                        f"Origin {one['origin']}: {one['train']:,} / {one['val']:,} / {one['test']:,} windows, tested on those from "
                        f"{_day(one['test_from'])} to {_day(one['test_to'])}"
                        for one in row.get("origins") or []
                    ),
                    *(
                        f"{NOTES.get(name) or fragments.plain(str(name).replace('_', ' ').capitalize())}: {_note(value)}"
                        for name, value in (row.get("notes") or {}).items()
                    ),
                ],
                markup=True,
            )
        )
    return "\n".join(out)


def _day(moment) -> str:
    """A moment at midnight as its day."""
    return fragments.plain(str(moment).removesuffix("T00:00"))


def _note(value) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(map(fragments.plain, value))
    if isinstance(value, str):  # what it says of another note, that one's own line says
        return fragments.plain("; ".join(part for part in value.split("; ") if not part.startswith(tuple(NOTES))))
    return fragments.code(json.dumps(value))


def _flat(rows: list[dict]) -> pd.DataFrame:
    return pd.json_normalize(
        [
            {key: value for key, value in row.items() if key not in ("features", "units", "notes", "origins")}
            for row in rows
        ]
    )
