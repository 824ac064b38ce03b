"""The generated parts of the pages on prediction: classification, regression, label scarcity.

Each cohort, profile and device gets a heading of its own: findings in sentences, a picture, tables, the figures of
others, downloads, and the runs behind it all.
"""

from __future__ import annotations

import pandas as pd

from modts import figures, fragments, prose, results, tables
from modts.results import Results

SINGLE = ("", "paper", "statistics")  # the poolings of the main tables; others have a table of their own
POINT = ("", "point")  # pretraining's pattern on the main pages


def blocks(rows: pd.DataFrame):
    """(cohort, profile, device) and its rows: what may share a table. Real data first, larger profiles first."""
    rank = {"paper": 0, "cpu": 1, "quick": 2}
    keys = rows[["cohort", "profile", "device"]].drop_duplicates().itertuples(index=False)
    order = sorted(
        keys,
        key=lambda key: (
            key[0].startswith("simulated"),
            not key[0].startswith("physionet"),
            key[0],
            rank.get(key[1], 3),
            key[2],
        ),
    )
    for cohort, profile, device in order:
        yield (
            (cohort, profile, device),
            rows[(rows["cohort"] == cohort) & (rows["profile"] == profile) & (rows["device"] == device)],
        )


def setting(found: Results, key, rows: pd.DataFrame) -> str:
    """The line under a heading: profile, place, hardware, seeds, test windows."""
    _, profile, device = key
    place = "run on this machine" if (rows["place"] == results.LOCAL).any() else "published results"
    hardware = "; ".join(sorted(set(rows["hardware"])))
    ids = {run for line in rows["run"] for run in line.split(",")}
    sizes = sorted({size for run in ids if (size := found.runs.get(run, {}).get("params", {}).get("size"))})
    hardware += f"; backbones of size {' and '.join(sizes)}" if sizes else ""
    return (
        f"[profile {profile}]{{.modts-badge}} [{device}]{{.modts-badge}} {place}; {prose.seeds(rows)}; "
        f"{rows['n_test'].max():.0f} test windows; {hardware}. Intervals are 95 %.\n"
    )


def for_figure(rows: pd.DataFrame) -> pd.DataFrame:
    """The arms a picture can hold: Simple heads, and Complex only where the backbone is frozen."""
    return rows[rows["pooling"].isin(SINGLE) & ((rows["head"] != "complex") | (rows["arm"] == "frozen"))]


def fractions(rows: pd.DataFrame) -> list[float]:
    """Label fractions, all labels first; [nan] where the task has none."""
    found = sorted(rows["label_fraction"].dropna().unique(), reverse=True)
    return found or [float("nan")]


def at(rows: pd.DataFrame, fraction: float) -> pd.DataFrame:
    return rows if pd.isna(fraction) else rows[(rows["label_fraction"] - fraction).abs() < 1e-9]


def alt(title: str, rows: pd.DataFrame, metric: str) -> str:
    """What a dot plot shows, in words: the range of each arm and the baselines."""
    rows = rows[rows["metric"] == metric]
    words = []
    for (arm, head, pooling), part in rows[rows["arm"] != "baseline"].groupby(["arm", "head", "pooling"], sort=False):
        words.append(f"{tables.arm_name(arm, head, pooling)} {prose.spread(part)}")
    for name, part in rows[rows["arm"] == "baseline"].groupby("backbone", sort=False):
        words.append(f"{name} {prose.spread(part)}")
    return f"Dot plot of {tables.METRIC_NAMES[metric]} on {title} by backbone: {'; '.join(words)}."


def labels_words(fraction: float) -> str:
    return "" if pd.isna(fraction) else f", {tables.percent(fraction)} of the training labels"


def beside_ours(task: str, cohort: str, title: str, metrics: tuple[str, ...], fraction: float | None = None) -> str:
    """What others report for this cohort and task, or nothing; `fraction` keeps one share of labels."""
    rows = fragments.peers()
    if fraction is not None:
        rows = rows[pd.to_numeric(rows["label_fraction"]) == fraction]
    rows = rows[(rows["task"] == task) & (rows["cohort"] == cohort) & rows["metric"].isin(metrics)]
    return fragments.raw(fragments.peers_table(rows, title).html()) if len(rows) else ""


def scored(found: Results, task: str, metrics: tuple[str, ...], only_full: bool = False) -> str:
    """The body of the classification and regression pages: per cohort findings, picture, tables, downloads, runs."""
    rows = found.summary
    rows = rows[
        (rows["task"] == task) & (rows["source"] == "") & rows["metric"].isin(metrics) & rows["pattern"].isin(POINT)
    ]
    if rows.empty:
        return fragments.note(f"No {task} result has been stored yet. `make book` makes the quick ones.")
    out = []
    for key, part in blocks(rows):
        cohort, title, stem = key[0], found.title(key[0]), f"{task}-{'-'.join(key).lower()}"
        main = part[part["pooling"].isin(SINGLE)]
        out += [f"## {title}\n", setting(found, key, part)]
        full = at(main, fractions(main)[0])
        out.append(
            fragments.bullets(
                [
                    *prose.block(full, metrics[0], f"{title}{labels_words(fractions(main)[0])}", found.paired),
                    *prose.heads(found, full, metrics[0]),
                    *prose.noise(found, cohort, full),
                ]
            )
        )
        shown = for_figure(part)
        shown = shown[shown["metric"] == metrics[0]]
        if len(shown[shown["arm"] != "baseline"]):
            panels = [
                (f"{tables.percent(value)} of labels" if len(fractions(shown)) > 1 else title, at(shown, value))
                for value in fractions(shown)
            ]
            out.append(
                fragments.picture(
                    figures.save(
                        lambda narrow, panels=panels: figures.dots(panels, metrics[0], narrow),
                        stem,
                        alt(title, shown, metrics[0]),
                        f"{tables.METRIC_NAMES[metrics[0]]} on {title} with 95 % intervals; lines are the baselines.",
                        fragments.out_dir(),
                    )
                )
            )
        made = [
            tables.grid(
                at(main, value), metric, f"{tables.METRIC_NAMES[metric]}, {title}{labels_words(value)}", found.paired
            )
            for metric in metrics
            for value in fractions(main)
        ]
        others = part[~part["pooling"].isin(SINGLE)]
        if len(others):
            beside = main[(main["arm"] == "frozen") & main["backbone"].isin(others["backbone"])]
            made += [
                tables.grid(
                    pd.concat([at(beside, value), at(others, value)]),
                    metrics[0],
                    f"Poolings beside the paper's: {tables.METRIC_NAMES[metrics[0]]}, {title}{labels_words(value)}",
                    found.paired,
                )
                for value in fractions(others)
            ]
        out += [fragments.raw(table.html()) for table in made]
        out.append(beside_ours(task, cohort, title, metrics))
        out += [fragments.downloads(stem, part, made), fragments.how_made(list(part["run"]), found.runs)]
    return "\n".join(out)


def scarcity(found: Results) -> str:
    """AUROC against the share of labels, backbone by backbone."""
    rows = found.summary
    rows = rows[(rows["task"] == "classification") & (rows["source"] == "") & rows["pattern"].isin(POINT)]
    out = []
    for key, part in blocks(rows):
        main = for_figure(part)
        main = main[(main["metric"] == "auroc")]
        if len(fractions(main)) < 2 or not len(main[main["arm"] != "baseline"]):
            continue
        title, stem = found.title(key[0]), f"scarcity-{'-'.join(key).lower()}"
        few = prose._scarce(main)
        changes = prose.scarcity(main)
        said = "; ".join(f"{name} {tables.signed(change)}" for name, change, _ in changes)
        out += [f"## {title}\n", setting(found, key, main)]
        out.append(
            fragments.picture(
                figures.save(
                    lambda narrow, main=main: figures.scarcity(main, "auroc", narrow),
                    stem,
                    f"Lines of AUROC on {title} against the share of training labels, one panel a backbone. "
                    f"Change from all labels to {tables.percent(few)}: {said}.",
                    f"AUROC on {title} with all and with few labels; bars are 95 % intervals.",
                    fragments.out_dir(),
                )
            )
        )
        made = [
            tables.Table(
                f"Change in mean AUROC from all labels to {tables.percent(few)} of them, {title}",
                ["Arm", "Change", "Mean over"],
                [
                    [name, tables.signed(change), f"{size} backbones" if size else "one model"]
                    for name, change, size in changes
                ],
            ),
            tables.grid(at(main, few), "auroc", f"AUROC, {title}{labels_words(few)}", found.paired),
        ]
        out += [fragments.raw(table.html()) for table in made]
        out.append(beside_ours("classification", key[0], title, ("auroc",), few))
        out += [fragments.downloads(stem, main, made), fragments.how_made(list(main["run"]), found.runs)]
    return "\n".join(out) or fragments.note("No cohort has been scored at two shares of labels yet.")
