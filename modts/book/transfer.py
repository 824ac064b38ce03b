"""The page on transfer: native, transferred and from scratch, side by side for each pair of cohorts."""

from __future__ import annotations

import pandas as pd

from modts.study import METRIC_NAMES

from . import fragments, plots, tables
from .figures import save
from .prose import alt, labels_words, setting
from .results import POINT, SINGLE, Results, at, blocks, for_figure, fractions


def transfer(found: Results) -> str:
    """Native, transferred and from scratch, side by side for each pair of cohorts."""
    rows = found.summary
    out = []
    moved = rows[(rows["arm"] == "transfer") | (rows["source"] != "")]
    for key, part in blocks(moved[moved["pattern"].isin(POINT)]):
        for source, pair in part.groupby("source", sort=False):
            metric = "auroc" if (pair["metric"] == "auroc").any() else "mae"
            same = rows[
                (rows["cohort"] == key[0])
                & (rows["profile"] == key[1])
                & (rows["device"] == key[2])
                & (rows["source"] == "")
                & rows["pooling"].isin(SINGLE)
                & (rows["task"] == pair["task"].iloc[0])
                & (rows["backbone"].isin(pair["backbone"]) | (rows["arm"] == "baseline"))
                & rows["arm"].isin(["frozen", "e2e", "untrained", "baseline"])
            ]
            shares = fractions(pair)
            same = same[same["label_fraction"].isin(shares) & same["pattern"].isin(POINT)]
            identity = ["backbone", "arm", "head", "pooling", "label_fraction", "metric"]
            pair = pd.concat([pair, same]).drop_duplicates(identity).reset_index(drop=True)
            title = f"{found.title(source)} → {found.title(key[0])}"
            stem = f"transfer-{source}-{'-'.join(key)}".lower()
            out += [
                fragments.heading(2, title),
                setting(found, key, pair),
                fragments.bullets(_overlap(found, source, key[0])),
            ]
            leading = tables.strongest(pair, metric)
            shown = tables.only_these(for_figure(pair[pair["metric"] == metric]), leading)
            if len(shown[shown["arm"] != "baseline"]):
                panels = [
                    (f"{tables.percent(value)} of labels" if not pd.isna(value) else "All labels", at(shown, value))
                    for value in shares
                ]
                out.append(
                    fragments.picture(
                        save(
                            lambda narrow, panels=panels, metric=metric: plots.dots(panels, metric, narrow),
                            stem,
                            alt(title, shown, metric),
                            f"{METRIC_NAMES[metric]} on {found.title(key[0])} with a backbone "
                            f"from {found.title(source)}, beside native ones.",
                            fragments.out_dir(),
                        )
                    )
                )
            made = [
                tables.grid(
                    at(pair, value),
                    metric,
                    f"{METRIC_NAMES[metric]}, {title}{labels_words(value)}",
                    baselines=leading,
                )
                for value in shares
            ]
            out += [fragments.raw(table.html()) for table in made]
            out += [fragments.downloads(stem, pair, made), fragments.how_made(list(pair["run"]), found.runs)]
        out.append(fragments.beside_ours("transfer", key[0], found.title(key[0]), ("auroc",)))
    return "\n".join(out) or fragments.note("No transfer between cohorts has been stored yet.")


def _overlap(found: Results, source: str, target: str) -> list[str]:
    """What the two cohorts share, as the transfer runs reported it."""
    for record in found.runs.values():
        params = record.get("params", {})
        if record.get("stage") == "transfer" and params.get("source") == source and params.get("cohort") == target:
            return shared(record.get("overlap") or {})
    return []


def shared(report: dict) -> list[str]:
    """A sentence from an alignment's report: how many variables the two cohorts share, and which the target lacks."""
    if not report.get("n_shared"):
        return []
    words = (
        f"The two share {report['n_shared']} variables, of the source's {report.get('n_source', '?')} and the target's "
        f"{report.get('n_target', '?')}"
    )
    lacking = report.get("source_only") or []
    words += f"; the target lacks {', '.join(map(str, lacking))}" if lacking else ""
    converted = [
        pair["variable"] for pair in report.get("pairs", []) if (pair.get("factor"), pair.get("offset")) != (1.0, 0.0)
    ]
    words += f"; units were converted for {', '.join(converted)}" if converted else ""
    return [words + "."]
