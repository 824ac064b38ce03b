"""The pages on prediction: classification, regression, label scarcity.

Each cohort, profile and device gets a heading of its own: the paired differences in sentences and as a forest, a picture
of the scores, tables, the figures of others, downloads, and the runs behind it all.
"""

from __future__ import annotations

import pandas as pd

from modts.study import METRIC_NAMES, arm_name, arm_order

from . import effects, fragments, plots, tables
from .figures import save
from .prose import alt, labels_words, setting
from .results import POINT, SINGLE, Results, at, blocks, for_figure, fractions, scarce
from .tables import number


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
        leading = tables.strongest(main, metrics[0])
        out += [fragments.heading(2, title), setting(found, key, part)]
        answers = effects.effects_of(found, *key[:2])
        out.append(fragments.bullets([*effects.facts(answers, metrics), *best_possible(found, cohort)], markup=True))
        out.append(effects.forest(found, key, metrics[0], f"{stem}-effects"))
        shown = tables.only_these(for_figure(part), leading)
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
                        f"{METRIC_NAMES[metrics[0]]} on {title} with 95 % intervals; lines are the two strongest baselines.",
                        fragments.out_dir(),
                    )
                )
            )
        made = [
            tables.grid(
                at(main, value), metric, f"{METRIC_NAMES[metric]}, {title}{labels_words(value)}", baselines=leading
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
                    f"Poolings beside the paper's: {METRIC_NAMES[metrics[0]]}, {title}{labels_words(value)}",
                )
                for value in fractions(others)
            ]
        differences = effects.grids(answers, metrics, title)
        out += [fragments.raw(table.html()) for table in made]
        simple = every_baseline(found, main, metrics, title)
        out.append(simple[0])
        made += simple[1]
        out += [effects.folded(differences), fragments.beside_ours(task, cohort, title, metrics)]
        out.append(fragments.downloads(stem, part, [*made, *differences]))
        out += [effects.downloads(answers, stem), fragments.how_made(list(part["run"]), found.runs)]
    return "\n".join([*out, effects.over_cohorts(found, task, metrics)])


def scarcity(found: Results) -> str:
    """AUROC against the share of labels, backbone by backbone."""
    rows = found.summary
    rows = rows[(rows["task"] == "classification") & (rows["source"] == "") & rows["pattern"].isin(POINT)]
    out = []
    for key, part in blocks(rows):
        main = for_figure(part)
        main = main[(main["metric"] == "auroc")]
        leading = tables.strongest(main, "auroc")
        if len(fractions(main)) < 2 or not len(main[main["arm"] != "baseline"]):
            continue
        title, stem = found.title(key[0]), f"scarcity-{'-'.join(key).lower()}"
        few, shown = scarce(main), tables.only_these(main, leading)
        changed = changes(shown)
        words = "; ".join(f"{name} {tables.signed(change)}" for name, change, _ in changed)
        answers = effects.effects_of(found, *key[:2])
        answers = at(answers[answers["task"] == "classification"], few)
        out += [
            fragments.heading(2, title),
            setting(found, key, main),
            fragments.bullets(effects.facts(answers, ("auroc", "auprc")), markup=True),
        ]
        out.append(effects.forest(found, key, "auroc", f"{stem}-effects", share=few))
        out.append(
            fragments.picture(
                save(
                    lambda narrow, shown=shown: plots.scarcity(shown, "auroc", narrow),
                    stem,
                    f"Lines of AUROC on {title} against the share of training labels, one panel a backbone. "
                    f"Change from all labels to {tables.percent(few)}: {words}.",
                    f"AUROC on {title} with all and with few labels; bars are 95 % intervals.",
                    fragments.out_dir(),
                )
            )
        )
        made = [
            tables.grid(at(main, few), "auroc", f"AUROC, {title}{labels_words(few)}", baselines=leading),
        ]
        out += [fragments.raw(table.html()) for table in made]
        simple = every_baseline(found, main, ("auroc",), title)
        out.append(simple[0])
        made += simple[1]
        out.append(fragments.beside_ours("classification", key[0], title, ("auroc",), few))
        out += [fragments.downloads(stem, main, made), fragments.how_made(list(main["run"]), found.runs)]
    return "\n".join(out) or fragments.note("No cohort has been scored at two shares of labels yet.")


def every_baseline(
    found: Results, rows: pd.DataFrame, metrics: tuple[str, ...], title: str
) -> tuple[str, list[tables.Table]]:
    """All baselines in a box to open, with what did not run and why; and the table in it, if there is more than the pages show anyway."""
    base = rows[rows["arm"] == "baseline"]
    if base["backbone"].nunique() <= 2:
        return "", []
    made = [tables.every_baseline(rows, metrics, f"All baselines, {title}")]
    reasons = {}
    for run in dict.fromkeys(base["run"]):
        reasons |= found.runs.get(run, {}).get("not_run") or {}
    body = fragments.raw(made[0].html()) + fragments.bullets([f"{name}: {why}" for name, why in reasons.items()])
    return f"::::{{dropdown}} All baselines\n{body}::::\n", made


def best_possible(results: Results, cohort: str) -> list[str]:
    """The best AUROC there can be, where the data are simulated and it is known."""
    best = (results.cohorts.get(cohort, {}).get("notes") or {}).get("best_auroc")
    words = "The best possible AUROC is known here, because the data are simulated: "
    return [f"{words}{number(best)}."] if isinstance(best, float) else []  # a note may be anything


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
