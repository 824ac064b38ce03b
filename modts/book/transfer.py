"""The page on transfer: native, transferred (frozen and fine-tuned) and from scratch, side by side for each pair of cohorts."""

from __future__ import annotations

import pandas as pd

from modts.study import METRIC_NAMES, TRANSFERS

from . import answers, effects, fragments, plots, prediction, sections, tables
from .figures import save
from .prose import alt, labels_words, setting
from .results import POINT, SINGLE, Results, at, for_figure, fractions

PAPERS = "physionet_2019"  # the target of the paper's transfer
FIRST = ("physionet_2012", PAPERS)  # of several sources these two lead


def transfer(found: Results) -> str:
    """Native, transferred and from scratch, side by side for each pair of cohorts."""
    rows = found.summary
    moved = rows[((rows["arm"] == "transfer") | (rows["source"] != "")) & rows["pattern"].isin(POINT)]
    body = sections.parted(found, moved, lambda key, part: _block(found, key, part), leading=PAPERS)
    if not body:
        return fragments.note("No transfer between cohorts has been stored yet.")
    real = sorted(set(moved["cohort"][~moved["cohort"].str.startswith("simulated")]))
    first = (
        ""
        if real
        else "**Not yet answered on real data.** What follows is a simulated pair of hospitals: it shows how a transfer is judged.\n\n"
    )
    return first + body


def _block(found: Results, key, part: pd.DataFrame) -> tuple[str, str]:
    order = {source: place for place, source in enumerate(FIRST)}
    sources = sorted(part["source"].unique(), key=lambda name: order.get(name, len(order)))
    made = [_pair(found, key, source, part[part["source"] == source]) for source in sources]
    (_, about, rest), *others = made
    theirs = fragments.beside_ours("transfer", key[0], found.title(key[0]), ("auroc",))
    answer = "\n\n".join(filter(None, [" ".join(short for short, _, _ in made), about]))
    boxes = [
        fragments.fold(f"From {found.title(source)}: all answers, the figure, the table", f"{more}\n{whole}")
        for source, (_, more, whole) in zip(sources[1:], others, strict=True)
    ]
    return answer, "\n".join([rest, *boxes, fragments.fold("What others report", theirs)])


def _pair(found: Results, key, source: str, pair: pd.DataFrame) -> tuple[str, str, str]:
    """What the pair says in a sentence, what more it says, and all else."""
    rows = found.summary
    metric = "auroc" if (pair["metric"] == "auroc").any() else "mae"
    same = rows[
        (rows["cohort"] == key[0])
        & (rows["profile"] == key[1])
        & (rows["device"] == key[2])
        & (rows["source"] == "")
        & rows["pooling"].isin(SINGLE)
        & (rows["task"] == pair["task"].iloc[0])
        & (rows["backbone"].isin(pair["backbone"]) | (rows["arm"] == "baseline"))
        & rows["arm"].isin(["frozen", "finetune", "e2e", "untrained", "baseline"])
    ]
    budgets = fractions(pair)
    same = same[same["label_fraction"].isin(budgets) & same["pattern"].isin(POINT)]
    identity = ["backbone", "arm", "head", "pooling", "label_fraction", "metric"]
    pair = pd.concat([pair, same]).drop_duplicates(identity).reset_index(drop=True)
    title = f"{found.title(source)} → {found.title(key[0])}"
    stem = f"transfer-{source}-{'-'.join(key)}".lower()
    compared = effects.effects_of(found, *key[:2], source)
    lead, forest = _answered(found, key, source, compared, metric, budgets[0], stem)
    first, _, more = lead.partition("\n\n")
    about = fragments.plain(f"Here {_outcome(found, key[0])}. {' '.join(_overlap(found, source, key[0]))}")
    come = f"From {fragments.plain(found.title(source))}"
    first = f"{come}: {first}" if first else f"{come}."
    out = [forest]
    strong = tables.strongest(pair, metric)
    shown = tables.only_these(for_figure(pair[pair["metric"] == metric]), strong)
    if len(shown[shown["arm"] != "baseline"]):
        panels = [
            (f"{tables.percent(value)} of labels" if not pd.isna(value) else "All labels", at(shown, value))
            for value in budgets
        ]
        out.append(
            fragments.picture(
                save(
                    lambda narrow: plots.dots(panels, metric, narrow),
                    stem,
                    alt(title, shown, metric),
                    f"{METRIC_NAMES[metric]} on {found.title(key[0])} with a backbone from {found.title(source)}, beside native ones.",
                    fragments.out_dir(),
                )
            )
        )
    names = tuple(name for name in tables.backbone_names(pair) if name in set(pair["backbone"]))
    made = [
        tables.grid(
            at(pair, value), metric, f"{METRIC_NAMES[metric]}, {title}{labels_words(value)}", names, strong, turned=True
        )
        for value in budgets
    ]
    out.append(fragments.fold("The scores in a table", fragments.tables(*made)))
    metrics = ("auroc", "auprc") if metric == "auroc" else ("mae", "mse")
    differences = effects.grids(compared, metrics, title + effects.on_external(compared))
    out += [
        setting(found, key, pair),
        prediction.without(found, key, pair, metrics, found.title(key[0])),
        fragments.fold(
            "Every question in a sentence", fragments.bullets(effects.facts(compared, metrics), markup=True)
        ),
        fragments.fold("The differences in numbers", fragments.tables(*differences)),
        fragments.fold(
            "Downloads",
            fragments.downloads(stem, pair, [*made, *differences]) + effects.downloads(compared, stem),
        ),
    ]
    return first, f"{about}\n\n{more}", "\n".join([*out, fragments.how_made(list(pair["run"]), found.runs)])


def _answered(
    found: Results, key, source: str, compared: pd.DataFrame, metric: str, share: float, stem: str
) -> tuple[str, str]:
    """What the pair's effects answer: of the frozen and of the fine-tuned backbone from the source, and the forest of their differences."""
    forest = effects.forest(found, key, metric, f"{stem}-effects", tuple(TRANSFERS), share, source=source)
    out = []
    for subject, sides in ((answers.MOVED, answers.MOVED_OTHERS), (answers.TUNED, answers.TUNED_OTHERS)):
        lines = answers.answer(compared[compared["question"].isin(sides)], metric, share, subject, sides)
        out.append(answers.shown(lines, f"{stem}-effects" if lines and not any(out) else ""))
    return "\n".join(out), forest


def _outcome(found: Results, cohort: str) -> str:
    return f"the outcome is {found.cohorts.get(cohort, {}).get('target') or 'not named'}"


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
    target = report.get("n_target")
    lost = f" What only the target has is dropped: the moved network reads {report['n_shared']} of its {target} variables, "
    lost += f"native and untrained ones all {target}."
    return [words + "." + (lost if isinstance(target, int) and target > report["n_shared"] else "")]
