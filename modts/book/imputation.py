"""The page on imputation: error on values hidden on purpose, backbones beside simple methods."""

from __future__ import annotations

import pandas as pd

from modts.study import METRIC_NAMES

from . import answers, fragments, plots, prediction, sections, tables
from .figures import save
from .prose import alt, count, plural, said, setting
from .results import Results
from .tables import Cell, Table


def imputation(found: Results) -> str:
    """Error on values hidden on purpose, in z-scores: backbones and simple methods, beside TSI-Bench's figures."""
    rows = found.summary[found.summary["task"] == "imputation"]
    if rows.empty:
        return fragments.note("No imputation result has been stored yet. `make book` makes the quick ones.")
    return sections.parted(found, rows, lambda key, part: _block(found, key, part))


def _block(found: Results, key, part: pd.DataFrame) -> tuple[str, str]:
    """One cohort: the answer, a figure, a table; downloads and runs in boxes."""
    title, stem = found.title(key[0]), f"imputation-{'-'.join(key).lower()}"
    shown = part[(part["metric"] == "mae") & part["pattern"].isin(["", "point"])]
    others = fragments.peers()
    others = others[(others["task"] == "imputation") & (others["metric"] == "mae") & (others["cohort"] == key[0])]
    tsi = others["source"].str.startswith("TSI-Bench")
    theirs, further = others[tsi], others[~tsi]
    same = (
        theirs if key[0] != "italy_air" else theirs.iloc[:0]
    )  # those are of other data: in the table, not in the picture
    answer = answers.shown([f"**{fragments.plain(words)}**" for words in _beside_interpolation(found, key, shown)])
    out = []
    if len(shown[shown["arm"] != "baseline"]):
        out.append(
            fragments.picture(
                save(
                    lambda narrow: plots.dots(
                        [(title, shown)], "mae", narrow, same if len(same) else None, {"frozen": "Here"}
                    ),
                    stem,
                    alt(title, shown, "mae"),
                    f"Mean absolute error on hidden values, {title}, in standard deviations of a feature"
                    + ("; lines are simple methods." if (shown["arm"] == "baseline").any() else ".")
                    + (" Hollow stars: TSI-Bench." if len(same) else ""),
                    fragments.out_dir(),
                )
            )
        )
    made = table(part, title, theirs)
    out += [fragments.tables(made), setting(found, key, part)]
    if len(further):
        out.append(fragments.fold("What others report", fragments.tables(fragments.peers_table(further, title))))
    out.append(fragments.fold("Downloads", fragments.downloads(stem, part, [made])))
    return answer, "\n".join([*out, fragments.how_made(list(part["run"]), found.runs)])


def _beside_interpolation(found: Results, key, rows: pd.DataFrame) -> list[str]:
    """How the backbones do beside linear interpolation, which another profile may have run on the same hidden values."""
    line, models = rows[rows["backbone"] == "Linear interpolation"], rows[rows["arm"] != "baseline"]
    title, apart = found.title(key[0]), ""
    if line.empty:
        pool = found.summary[found.summary["backbone"] == "Linear interpolation"]
        pool = pool[(pool["metric"] == "mae") & pool["pattern"].isin(["", "point"])]
        line, same, where = prediction.elsewhere(found, key, models, pool)
        apart = f" (on {same}, {where})"
    if models.empty:
        return []
    if line.empty:
        best = models.loc[models["value"].idxmin()]
        of = f" of {plural(len(models), 'backbone')}" if len(models) > 1 else ""
        return [
            f"{best['backbone']} has the lowest mean error{of} on {title}, {said(best)}; no simple method ran on these windows yet."
        ]
    ahead = int((models["value"] < line["value"].iloc[0]).sum())
    best = models.loc[models["value"].idxmin()]
    if len(models) == 1:
        word = "lower" if ahead else "not lower"
        return [
            f"{best['backbone']}'s mean error on {title}, {said(best)}, is {word} than linear interpolation's, {said(line.iloc[0])}{apart}."
        ]
    words = (
        f"{count(ahead, 'none').capitalize()} of the {plural(len(models), 'backbone')} "
        f"{'has' if ahead < 2 else 'have'} a lower mean error "
        f"on {title} than linear interpolation, "
        f"{said(line.iloc[0])}{apart}; the lowest is {best['backbone']}, {said(best)}."
    )
    return [words]


def table(rows: pd.DataFrame, title: str, theirs: pd.DataFrame | tuple = ()) -> Table:
    """Error by backbone and simple method, for every pattern; `theirs`, figures from elsewhere, in a last column."""
    models = tables.backbone_names(rows)
    methods = models + list(dict.fromkeys(rows[rows["arm"] == "baseline"]["backbone"]))
    columns = [(pattern, metric) for pattern in dict.fromkeys(rows["pattern"]) for metric in ("mae", "mse")]
    best = {
        key: tables.clear_winner(rows[(rows["pattern"] == key[0]) & (rows["metric"] == key[1])], key[1])
        for key in columns
    }
    body = []
    for name in methods:
        line: list[Cell | str] = [name]
        for pattern, metric in columns:
            cell = rows[(rows["backbone"] == name) & (rows["pattern"] == pattern) & (rows["metric"] == metric)]
            line.append(tables.value_cell(cell.iloc[0] if len(cell) else None, best[pattern, metric]))
        if len(theirs):
            value = theirs[theirs["model"] == name]
            line.append(
                Cell(f"{value['value'].iloc[0]:.3f}", title=value["note"].iloc[0])
                if len(value)
                else Cell("–", absent=True)
            )
        body.append(line)
    several = len({pattern for pattern, _ in columns} - {"", "point"}) > 0
    header = [
        "Method",
        *(METRIC_NAMES[metric] + (f", {pattern}" if pattern and several else "") for pattern, metric in columns),
    ]
    notes = [part for value in theirs["note"] if value for part in value.split("; ")] if len(theirs) else []
    remarks = "; ".join(dict.fromkeys(notes))
    return Table(
        f"Imputation error on hidden values, {title}, in standard deviations."
        + (
            f" TSI-Bench: Du et al., arXiv 2406.12747, MAE at 10 % point missing; {remarks}."
            if remarks
            else " TSI-Bench: Du et al., arXiv 2406.12747, MAE at 10 % point missing."
            if len(theirs)
            else ""
        ),
        header + (["TSI-Bench MAE"] if len(theirs) else []),
        body,
        {len(models): "Simple methods"} if len(methods) > len(models) else {},
    )
