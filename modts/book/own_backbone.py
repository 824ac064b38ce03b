"""The page on a backbone of one's own: where one was run, its rows beside ours."""

from __future__ import annotations

from modts.backbones import BACKBONES
from modts.study import METRIC_NAMES

from . import fragments, imputation, tables
from .prose import labels_words, setting
from .results import POINT, SINGLE, Results, at, blocks, fractions


def own_backbone(found: Results) -> str:
    """For every cohort and profile with a backbone of somebody's own: its error of imputation, and its arms, in one table with theirs."""
    rows = found.summary
    rows = rows[(rows["source"] == "") & rows["pattern"].isin(POINT) & rows["pooling"].isin(SINGLE)]
    others = rows[(rows["arm"] != "baseline") & ~rows["backbone"].isin(BACKBONES)]
    there, out = {key for key, _ in blocks(others)}, []
    for key, part in blocks(rows):
        if key not in there:
            continue
        title, made = found.title(key[0]), []
        errors = part[part["task"] == "imputation"]
        if len(errors):
            made.append(imputation.table(errors, title))
        for task, metric in (("classification", "auroc"), ("regression", "mae")):
            scored = part[part["task"] == task]
            if len(scored):
                share = fractions(scored)[0]
                words = f"{METRIC_NAMES[metric]}, {title}{labels_words(share)}"
                made.append(tables.grid(at(scored, share), metric, words))
        out += [f"### {title}\n", setting(found, key, part), *(fragments.tables(table) for table in made)]
        out.append(fragments.how_made(list(part["run"]), found.runs))
    return "\n".join(out) or fragments.note(
        "No backbone of one's own has been run here. The commands above make its rows, and its tables then stand in this place."
    )
