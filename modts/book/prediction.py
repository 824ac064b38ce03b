"""The pages on prediction: classification, regression, label scarcity.

Each cohort, profile and device gets a heading of its own: findings in sentences, a picture, tables, the figures of
others, downloads, and the runs behind it all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from modts.learning import HIGHER_IS_BETTER
from modts.study import METRIC_NAMES, arm_name, arm_order

from . import fragments, plots, tables
from .figures import save
from .prose import alt, labels_words, said, setting
from .results import POINT, SINGLE, Results, at, blocks, for_figure, fractions, scarce
from .tables import auroc_standard_error, number, signed


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
        out += [fragments.heading(2, title), setting(found, key, part)]
        full = at(main, fractions(main)[0])
        out.append(
            fragments.bullets(
                [
                    *findings(full, metrics[0], f"{title}{labels_words(fractions(main)[0])}", found.paired),
                    *beside_simple(found, full, metrics[0]),
                    *noise(found, cohort, full),
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
                    save(
                        lambda narrow, panels=panels: plots.dots(panels, metrics[0], narrow),
                        stem,
                        alt(title, shown, metrics[0]),
                        f"{METRIC_NAMES[metrics[0]]} on {title} with 95 % intervals; lines are the baselines.",
                        fragments.out_dir(),
                    )
                )
            )
        made = [
            tables.grid(at(main, value), metric, f"{METRIC_NAMES[metric]}, {title}{labels_words(value)}", found.paired)
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
                    f"Poolings beside the paper's: {METRIC_NAMES[metrics[0]]}, {title}{labels_words(value)}",
                    found.paired,
                )
                for value in fractions(others)
            ]
        out += [fragments.raw(table.html()) for table in made]
        out.append(fragments.beside_ours(task, cohort, title, metrics))
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
        few = scarce(main)
        changed = changes(main)
        words = "; ".join(f"{name} {tables.signed(change)}" for name, change, _ in changed)
        out += [fragments.heading(2, title), setting(found, key, main)]
        out.append(
            fragments.picture(
                save(
                    lambda narrow, main=main: plots.scarcity(main, "auroc", narrow),
                    stem,
                    f"Lines of AUROC on {title} against the share of training labels, one panel a backbone. "
                    f"Change from all labels to {tables.percent(few)}: {words}.",
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
                    for name, change, size in changed
                ],
            ),
            tables.grid(at(main, few), "auroc", f"AUROC, {title}{labels_words(few)}", found.paired),
        ]
        out += [fragments.raw(table.html()) for table in made]
        out.append(fragments.beside_ours("classification", key[0], title, ("auroc",), few))
        out += [fragments.downloads(stem, main, made), fragments.how_made(list(main["run"]), found.runs)]
    return "\n".join(out) or fragments.note("No cohort has been scored at two shares of labels yet.")


def findings(rows: pd.DataFrame, metric: str, title: str, paired: pd.DataFrame) -> list[str]:
    """What one cohort's rows say for one metric: the best mean, how many are in its noise, the baselines' place."""
    rows = rows[(rows["metric"] == metric)].dropna(subset=["value"])
    models, base = rows[rows["arm"] != "baseline"], rows[rows["arm"] == "baseline"]
    if models.empty:
        return []
    higher, out = HIGHER_IS_BETTER[metric], []
    best = models.loc[models["value"].idxmax() if higher else models["value"].idxmin()]
    rival = (models["high"] >= best["low"]) if higher else (models["low"] <= best["high"])
    name = f"{best['backbone']}, {arm_name(best['arm'], best['head'], best['pooling'])}"
    out.append(
        f"Best mean {METRIC_NAMES[metric]} on {title}: {name}, {said(best)}; the intervals of "
        f"{int(rival.sum()) - 1} of the {len(models) - 1} other results overlap with it. It was the best of "
        f"{len(models)} on the test set, so it flatters itself."
    )
    for _, line in base.iterrows():
        ahead = models["value"] > line["value"] if higher else models["value"] < line["value"]
        out.append(
            f"{line['backbone']} reaches {said(line)}: {int(ahead.sum())} of the {len(models)} results of "
            "deep backbones have a better mean."
        )
    return out


def beside_simple(results: Results, rows: pd.DataFrame, metric: str) -> list[str]:
    """Complex beside Simple on frozen latents."""
    part = rows[(rows["metric"] == metric) & (rows["arm"] == "frozen") & rows["pooling"].isin(["", "paper"])]
    both = part.pivot_table(index="backbone", columns="head", values="value", aggfunc="first")
    if not {"simple", "complex"} <= set(both.columns) or both.dropna().empty:
        return []
    both = both.dropna()
    better = both["complex"] > both["simple"] if HIGHER_IS_BETTER[metric] else both["complex"] < both["simple"]
    words = (
        f"On frozen latents the Complex head has the better mean {METRIC_NAMES[metric]} for {int(better.sum())} of "
        f"{len(both)} backbones; the mean difference (Complex minus Simple) is "
        f"{signed((both['complex'] - both['simple']).mean())}."
    )
    return [words]


def noise(results: Results, cohort: str, rows: pd.DataFrame) -> list[str]:
    """How uncertain one AUROC is on this test set (Hanley and McNeil), and the best possible one where it is known."""
    about = results.cohorts.get(cohort, {})
    best = (about.get("notes") or {}).get("best_auroc")
    words = "The best possible AUROC is known here, because the data are simulated: "
    known = [f"{words}{number(best)}."] if isinstance(best, float) else []  # a note may be anything
    positives, n_test = (about.get("positives") or {}).get("test"), about.get("test")
    if not positives or not n_test:
        return known
    middle = rows[rows["metric"] == "auroc"]["value"].median()
    error = auroc_standard_error(0.8 if np.isnan(middle) else middle, positives, n_test - positives)
    words = (
        f"One AUROC on these {n_test} test windows ({positives} of them positive) has a standard error of about "
        f"{error:.3f} (Hanley and McNeil), so differences below about {2 * error:.2f} between two models are noise "
        "unless a paired test says otherwise."
    )
    return [words, *known]


def changes(rows: pd.DataFrame, metric: str = "auroc") -> list[tuple[str, float, int]]:
    """(arm, mean change from all labels to few, number of backbones; 0 for a baseline), in the order of the columns."""
    rows = rows[rows["metric"] == metric]
    few = scarce(rows)
    if few is None:
        return []
    out = []
    arms = sorted(
        rows[rows["arm"] != "baseline"].groupby(["arm", "head", "pooling"], sort=False),
        key=lambda pair: arm_order(*pair[0][:2]),
    )
    for (arm, head, pooling), part in arms:
        full, fewer = (at(part, value).set_index("backbone")["value"] for value in (1.0, few))
        fall = (fewer - full).dropna()
        if len(fall):
            out.append((arm_name(arm, head, pooling), float(fall.mean()), len(fall)))
    for name, part in rows[rows["arm"] == "baseline"].groupby("backbone", sort=False):
        full, fewer = at(part, 1.0)["value"], at(part, few)["value"]
        if len(full) and len(fewer):
            out.append((name, float(fewer.iloc[0] - full.iloc[0]), 0))
    return out
