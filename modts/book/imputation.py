"""The generated parts of the pages on imputation, transfer and latency, built like those on prediction."""

from __future__ import annotations

import pandas as pd

from modts import figures, fragments, tables, verdicts
from modts.results import Results, device
from modts.score_pages import POINT, SINGLE, alt, at, beside_ours, blocks, for_figure, fractions, labels_words, setting
from modts.tables import Cell, Table, amount


def imputation(found: Results) -> str:
    """Error on values hidden on purpose, in z-scores: backbones and simple methods, beside TSI-Bench's figures."""
    rows = found.summary[found.summary["task"] == "imputation"]
    if rows.empty:
        return fragments.note("No imputation result has been stored yet. `make book` makes the quick ones.")
    out, others = [], fragments.peers()
    others = others[(others["task"] == "imputation") & (others["metric"] == "mae")]
    for key, part in blocks(rows):
        title, stem = found.title(key[0]), f"imputation-{'-'.join(key).lower()}"
        shown = part[(part["metric"] == "mae") & part["pattern"].isin(["", "point"])]
        theirs = others[others["cohort"] == key[0]]
        out += [f"## {title}\n", setting(found, key, part), fragments.bullets(_beside_interpolation(shown, title))]
        if len(shown[shown["arm"] != "baseline"]):
            out.append(
                fragments.picture(
                    figures.save(
                        lambda narrow, shown=shown, theirs=theirs, title=title: figures.dots(
                            [(title, shown)], "mae", narrow, theirs if len(theirs) else None, {"frozen": "Here"}
                        ),
                        stem,
                        alt(title, shown, "mae"),
                        f"Mean absolute error on hidden values, {title}, in standard deviations of a feature; lines "
                        "are simple methods." + (" Hollow stars: TSI-Bench." if len(theirs) else ""),
                        fragments.out_dir(),
                    )
                )
            )
        made = [_imputation_table(part, title, theirs)]
        out += [fragments.raw(table.html()) for table in made]
        out += [fragments.downloads(stem, part, made), fragments.how_made(list(part["run"]), found.runs)]
    return "\n".join(out)


def _beside_interpolation(rows: pd.DataFrame, title: str) -> list[str]:
    line, models = rows[rows["backbone"] == "Linear interpolation"], rows[rows["arm"] != "baseline"]
    if line.empty or models.empty:
        return []
    ahead = int((models["value"] < line["value"].iloc[0]).sum())
    best = models.loc[models["value"].idxmin()]
    words = (
        f"{ahead} of {len(models)} backbones have a lower mean error on {title} than linear interpolation, "
        f"{verdicts.said(line.iloc[0])}; the lowest is {best['backbone']}, {verdicts.said(best)}."
    )
    return [words]


def _imputation_table(rows: pd.DataFrame, title: str, theirs: pd.DataFrame) -> Table:
    methods = [name for name in tables.BACKBONES] + list(dict.fromkeys(rows[rows["arm"] == "baseline"]["backbone"]))
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
    header = [
        "Method",
        *(f"{tables.METRIC_NAMES[metric]}{f', {pattern}' if pattern else ''}" for pattern, metric in columns),
    ]
    remarks = "; ".join(dict.fromkeys(value for value in theirs["note"] if value)) if len(theirs) else ""
    return Table(
        f"Imputation error on hidden values, {title}, in standard deviations."
        + (
            f" TSI-Bench: Du et al., arXiv 2406.12747, MAE at 10 % point missing ({remarks})."
            if remarks
            else " TSI-Bench: Du et al., arXiv 2406.12747, MAE at 10 % point missing."
            if len(theirs)
            else ""
        ),
        header + (["TSI-Bench MAE"] if len(theirs) else []),
        body,
        {len(tables.BACKBONES): "Simple methods"} if len(methods) > len(tables.BACKBONES) else {},
    )


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
            out += [f"## {title}\n", setting(found, key, pair), fragments.bullets(_overlap(found, source, key[0]))]
            shown = for_figure(pair[pair["metric"] == metric])
            if len(shown[shown["arm"] != "baseline"]):
                panels = [
                    (f"{tables.percent(value)} of labels" if not pd.isna(value) else "All labels", at(shown, value))
                    for value in shares
                ]
                out.append(
                    fragments.picture(
                        figures.save(
                            lambda narrow, panels=panels, metric=metric: figures.dots(panels, metric, narrow),
                            stem,
                            alt(title, shown, metric),
                            f"{tables.METRIC_NAMES[metric]} on {found.title(key[0])} with a backbone "
                            f"from {found.title(source)}, beside native ones.",
                            fragments.out_dir(),
                        )
                    )
                )
            made = [
                tables.grid(
                    at(pair, value),
                    metric,
                    f"{tables.METRIC_NAMES[metric]}, {title}{labels_words(value)}",
                    found.paired,
                )
                for value in shares
            ]
            out += [fragments.raw(table.html()) for table in made]
            out += [fragments.downloads(stem, pair, made), fragments.how_made(list(pair["run"]), found.runs)]
        out.append(beside_ours("transfer", key[0], found.title(key[0]), ("auroc",)))
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


def latency(found: Results) -> str:
    """From raw window to prediction, stage by stage, modular and end to end."""
    rows, ratios = found.latency, verdicts.latency_ratios(found)
    if rows.empty:
        return fragments.note("No latency has been measured yet. `make book` measures it on this machine.")
    rows = rows.assign(device=[device(text) for text in rows["hardware"]])
    out = []
    for key, part in blocks(rows):
        title, stem = found.title(key[0]), f"latency-{'-'.join(key).lower()}"
        near = ratios[(ratios["cohort"] == key[0]) & (ratios["profile"] == key[1])]
        total = part[part["stage"] == "total"]
        ends = sorted({total["batch"].min(), total["batch"].max()})
        where = (
            f"[profile {key[1]}]{{.modts-badge}} [{key[2]}]{{.modts-badge}} "
            f"{'; '.join(sorted(set(part['hardware'])))}; warm, {part['repeats'].min():.0f} or more repeats.\n"
        )
        out += [f"## {title}\n", where]
        sentences = [
            f"End to end takes {near[near['batch'] == batch]['ratio'].min():.2f} to "
            f"{near[near['batch'] == batch]['ratio'].max():.2f} times as long as modular at batch {batch:g}."
            for batch in ends
            if len(near[near["batch"] == batch])
        ]
        out.append(fragments.bullets(sentences))
        out.append(
            fragments.picture(
                figures.save(
                    lambda narrow, total=total: figures.latency(total, narrow),
                    stem,
                    f"Milliseconds a window against batch size on {title}, a panel a backbone, modular and end to end. "
                    f"{' '.join(sentences)}",
                    f"Median time a window on {title}, bars up to the 99th percentile; both axes are logarithmic.",
                    fragments.out_dir(),
                )
            )
        )
        made = [_total_table(total, ends, title), _stage_table(part, ends[0], title)]
        out += [fragments.raw(table.html()) for table in made]
        out += [fragments.downloads(stem, part, made), fragments.how_made(list(part["run"]), found.runs)]
    return "\n".join(out)


def _milliseconds(rows: pd.DataFrame) -> Cell:
    if rows.empty:
        return Cell(tables.NOT_RUN, absent=True)
    row = rows.iloc[0]
    return Cell(amount(row["p50_ms"]), f"p99 {amount(row['p99_ms'])}", title=f"run {row['run']}")


def _total_table(total: pd.DataFrame, batches: list[float], title: str) -> Table:
    arms = [arm for arm in ("frozen", "e2e", "e2e_shipped") if (total["arm"] == arm).any()]
    words = {"frozen": "Modular", "e2e": "End to end", "e2e_shipped": "As shipped"}
    body = [
        [
            name,
            *(
                _milliseconds(total[(total["backbone"] == name) & (total["arm"] == arm) & (total["batch"] == batch)])
                for batch in batches
                for arm in arms
            ),
        ]
        for name in tables.BACKBONES
    ]
    return Table(
        f"Raw window to prediction, milliseconds a batch, median and 99th percentile, {title}",
        ["Backbone", *(f"{words[arm]}, batch {batch:g}" for batch in batches for arm in arms)],
        body,
    )


def _stage_table(part: pd.DataFrame, batch: float, title: str) -> Table:
    stages = sorted(set(part["stage"]), key=("inputs", "backbone", "head", "total").index)  # as a window goes through
    part = part[(part["arm"] == "frozen") & (part["batch"] == batch)]
    body = [
        [name, *(_milliseconds(part[(part["backbone"] == name) & (part["stage"] == stage)]) for stage in stages)]
        for name in tables.BACKBONES
    ]
    return Table(
        f"Modular, stage by stage, milliseconds at batch {batch:g}, {title}",
        ["Model", *(stage.capitalize() for stage in stages)],
        body,
    )
