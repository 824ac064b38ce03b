"""The pages on prediction: classification, regression, label scarcity.

Each real cohort gets a section: the answer in a sentence, the paired differences as a forest, one table of what matters; and in boxes to open
everything else, downloads and the runs behind it all. Simulated cohorts stand in boxes of their own.
"""

from __future__ import annotations

import pandas as pd

from modts.study import ARM_NAMES, METRIC_NAMES, arm_name, arm_order

from . import answers, effects, fragments, play, plots, sections, tables
from .figures import save
from .prose import alt, count, labels_words, plural, setting
from .results import POINT, SINGLE, Results, at, for_figure, fractions, run_ids, scarce
from .tables import number

REGRESSION_ARMS = (
    ("frozen", "simple"), ("e2e", "simple"), ("finetune", "simple"), ("untrained", "simple"), ("frozen", "complex"),
    ("untrained", "complex"),
)  # fmt: skip
OUTSIDE, OWN = ", external test", ", its own test splits"
EXTERNAL = "What decides are stays that no model was chosen on, the external test; the cohort's own test splits stand beside it.\n"
NO_BASELINE = "No baseline ran in this profile; it shows no way without a network.\n"


def scored(found: Results, task: str, metrics: tuple[str, ...]) -> str:
    """The body of the classification and regression pages: per cohort the answer, one figure, one table; the rest in boxes."""
    rows = found.summary
    rows = rows[
        (rows["task"] == task) & (rows["source"] == "") & rows["metric"].isin(metrics) & rows["pattern"].isin(POINT)
    ]
    rows = native(found, rows)
    if rows.empty:
        return fragments.note(f"No {task} result has been stored yet. `make book` makes the quick ones.")
    body = sections.parted(found, rows, lambda key, part: _block(found, key, part, task, metrics))
    return "\n".join([body, effects.over_cohorts(found, task, metrics)])


def _block(found: Results, key, part: pd.DataFrame, task: str, metrics: tuple[str, ...]) -> tuple[str, str]:
    cohort, title, stem = key[0], found.title(key[0]), f"{task}-{'-'.join(key).lower()}"
    main, answers_ = part[part["pooling"].isin(SINGLE)], effects.effects_of(found, *key[:2])
    external = same(found.external, key)
    external = external[external["metric"].isin(metrics)]
    shown, where, own = (external, OUTSIDE, OWN) if len(external) else (main, "", "")
    share, metric = fractions(main)[0], metrics[0]
    strong = tables.strongest(shown, metric)
    lead = answers.answer(answers_, metric, share)
    lead += [*bigger_head(answers_, metric), *untrained_ahead(main, metric)] if task == "regression" else []
    forest = effects.forest(found, key, metric, f"{stem}-effects", answers.MAIN, share)
    arms = REGRESSION_ARMS if task == "regression" else tables.MAIN_ARMS
    heads = "" if task == "regression" else " with the Simple head"
    own_strong = tables.strongest(main, metric)
    first, own_first = (
        tables.main(
            at(rows, share), metric, f"{METRIC_NAMES[metric]}{heads}, {title}{of}{labels_words(share)}", arms, names
        )
        for rows, of, names in ((shown, where, strong), (main, own, own_strong))
    )
    everything = [
        tables.grid(at(main, value), name, f"{METRIC_NAMES[name]}, {title}{own}{labels_words(value)}", turned=True)
        for name in metrics
        for value in fractions(main)
    ]
    everything += [
        tables.grid(
            at(external, value), name, f"{METRIC_NAMES[name]}, {title}{OUTSIDE}{labels_words(value)}", turned=True
        )
        for name in metrics
        for value in fractions(external)
        if len(external)
    ]
    poolings = _poolings(part, main, metric, title)
    simple, why = every_baseline(found, ((shown, where), (main, own)) if own else ((main, ""),), metrics, title)
    differences = effects.grids(answers_, metrics, title + effects.on_external(answers_))
    rest = [
        ("The cohort's own test splits", fragments.tables(own_first) if own else ""),
        ("The scores as a picture", _pictures(tables.only_these(part, own_strong), metric, title + own, stem)),
        ("All baselines", fragments.tables(*simple) + why),
        ("Every arm, metric and share of the labels", fragments.tables(*everything)),
        ("Other poolings beside the paper's", fragments.tables(*poolings)),
        ("Every question in a sentence", fragments.bullets(effects.facts(answers_, metrics), markup=True)),
        ("The differences in numbers", fragments.tables(*differences)),
        ("What others report", fragments.beside_ours(task, cohort, title, metrics)),
    ]
    return answers.shown(lead, f"{stem}-effects" if forest else ""), "\n".join(
        [
            EXTERNAL if effects.on_external(answers_) else "",
            fragments.bullets(true_risk(found, cohort)),
            forest,
            fragments.tables(first),
            setting(found, key, shown if own else part),
            without(found, key, shown, metrics, f"{title}{where}"),
            *(fragments.fold(*box) for box in rest),
            fragments.fold(
                "Downloads",
                fragments.downloads(stem, part, [first, *simple, *everything, *poolings, *differences])
                + effects.downloads(answers_, stem),
            ),
            fragments.how_made(list(part["run"]), found.runs),
        ]
    )


def same(rows: pd.DataFrame, key) -> pd.DataFrame:
    """Those of the rows that belong to a block of a page, at the main pooling."""
    rows = rows[(rows["source"] == "") & rows["pattern"].isin(POINT) & rows["pooling"].isin(SINGLE)]
    named = dict(zip(("cohort", "profile", "device"), key, strict=True))
    return rows[(rows[list(named)] == list(named.values())).all(axis=1) & (rows["task"] != "imputation")]


def untrained_ahead(rows: pd.DataFrame, metric: str) -> list[str]:
    """For how many backbones the untrained network with the Complex head has the lower error: what a frozen one must not be behind."""
    rows = at(rows[(rows["metric"] == metric) & (rows["head"] == "complex")], fractions(rows)[0])
    frozen, untrained = (rows[rows["arm"] == arm].set_index("backbone")["value"] for arm in ("frozen", "untrained"))
    gap = (frozen - untrained).dropna()
    if gap.empty:
        return []
    ahead = gap[gap > 0]
    best = (
        f", most with {ahead.idxmax()} ({number(untrained[ahead.idxmax()])} beside {number(frozen[ahead.idxmax()])})"
        if len(ahead)
        else ""
    )
    who = f"for {count(len(ahead), 'none')} of {plural(len(gap), 'backbone')}{best}"
    if len(gap) == 1:
        who = f"with {gap.index[0]}, {number(untrained.iloc[0])} beside {number(frozen.iloc[0])}"
    words = f"With the Complex head, the *untrained* network has {'the' if len(gap) > 1 or len(ahead) else 'no'} lower error {who}"
    return [f"{words}. These scores stand side by side; their difference was not tested in pairs."]


def _poolings(part, main, metric, title) -> list[tables.Table]:
    others = part[~part["pooling"].isin(SINGLE)]
    beside = main[(main["arm"] == "frozen") & main["backbone"].isin(others["backbone"])]
    return [
        tables.grid(
            pd.concat([at(beside, value), at(others, value)]),
            metric,
            f"Poolings beside the paper's: {METRIC_NAMES[metric]}, {title}{labels_words(value)}",
            turned=True,
        )
        for value in (fractions(others) if len(others) else ())
    ]


def _pictures(part: pd.DataFrame, metric: str, title: str, stem: str) -> str:
    """The picture of scores, and in its place, where JavaScript is there, one to choose from."""
    still = _dots(part, metric, title, stem)
    return f":::::{{div}} modts-still\n{still.strip()}\n:::::\n\n{play.dots(title, part)}" if still else ""


def _dots(part: pd.DataFrame, metric: str, title: str, stem: str) -> str:
    shown = for_figure(part)
    shown = shown[shown["metric"] == metric]
    if not len(shown[shown["arm"] != "baseline"]):
        return ""
    panels = [
        (f"{tables.percent(value)} of labels" if len(fractions(shown)) > 1 else title, at(shown, value))
        for value in fractions(shown)
    ]
    lines = "; lines are the two strongest baselines" if (shown["arm"] == "baseline").any() else ""
    return fragments.picture(
        save(
            lambda narrow: plots.dots(panels, metric, narrow),
            stem,
            alt(title, shown, metric),
            f"{METRIC_NAMES[metric]} on {title} with 95 % intervals{lines}.",
            fragments.out_dir(),
        )
    )


def scarcity(found: Results) -> str:
    """The answer with the smallest share of the labels; how the scores fall from all of them, in a box."""
    rows = found.summary
    rows = rows[(rows["task"] == "classification") & (rows["source"] == "") & rows["pattern"].isin(POINT)]
    body = sections.parted(found, native(found, rows), lambda key, part: _scarce(found, key, part))
    return body or fragments.note("No cohort has been scored at two shares of labels yet.")


def _scarce(found: Results, key, part: pd.DataFrame) -> tuple[str, str]:
    main = for_figure(part)
    main = main[main["metric"] == "auroc"]
    if len(fractions(main)) < 2 or not len(main[main["arm"] != "baseline"]):
        return "", ""
    title, stem, few = found.title(key[0]), f"scarcity-{'-'.join(key).lower()}", scarce(main)
    answers_ = effects.effects_of(found, *key[:2])
    answers_ = answers_[answers_["task"] == "classification"]
    asked = answers_[answers_["question"].isin(answers.MAIN[:2])]["label_fraction"]
    few = (
        asked[asked < 1].min() if (asked < 1).any() else few
    )  # heads alone go further down than what they are compared with
    external = same(found.external, key)
    external = external[external["metric"] == "auroc"]
    decides, where, own = (external, OUTSIDE, OWN) if len(at(external, few)) else (main, "", "")
    strong = tables.strongest(at(decides, few), "auroc")
    shown = tables.only_these(main, tables.strongest(at(main, few), "auroc"))
    simple, why = every_baseline(found, ((decides, where), (main, own)) if own else ((main, ""),), ("auroc",), title)
    words = "; ".join(f"{name} {tables.signed(change)}" for name, change, _ in changes(shown))
    lines = fragments.picture(
        save(
            lambda narrow: plots.scarcity(shown, "auroc", narrow),
            stem,
            f"Lines of AUROC on {title} against the share of training labels, one panel a backbone. "
            f"Change from all labels to {tables.percent(scarce(main))}: {words}.",
            f"AUROC on {title}{own} with all and with few labels; bars are 95 % intervals.",
            fragments.out_dir(),
        )
    )
    forest = effects.forest(found, key, "auroc", f"{stem}-effects", answers.MAIN, few)
    first = tables.main(
        at(decides, few), "auroc", f"AUROC with the Simple head, {title}{where}{labels_words(few)}", baselines=strong
    )
    lead = answers.shown(answers.answer(answers_, "auroc", few), f"{stem}-effects" if forest else "")
    return lead, "\n".join(
        [
            EXTERNAL if own else "",
            forest,
            fragments.tables(first),
            draws_of(found, at(decides, few)),
            setting(found, key, decides),
            without(found, key, decides, ("auroc",), f"{title}{where}"),
            fragments.fold("How the scores fall from all labels to few", lines),
            fragments.fold("All baselines", fragments.tables(*simple) + why),
            fragments.fold(
                "Every question in a sentence",
                fragments.bullets(effects.facts(at(answers_, few), ("auroc", "auprc")), markup=True),
            ),
            fragments.fold(
                "What others report", fragments.beside_ours("classification", key[0], title, ("auroc",), few)
            ),
            fragments.fold("Downloads", fragments.downloads(stem, main, [first, *simple])),
            fragments.how_made(list(main["run"]), found.runs),
        ]
    )


def every_baseline(found: Results, tests, metrics: tuple[str, ...], title: str) -> tuple[list[tables.Table], str]:
    """All baselines in a table a test, if the page shows not all of them anyway; and what did not run, with its reason.

    tests : (rows, the words for their test), of those on each test.
    """
    base = pd.concat([rows[rows["arm"] == "baseline"] for rows, _ in tests])
    if base["backbone"].nunique() <= 2:
        return [], ""
    reasons = {}
    for run in dict.fromkeys(base["run"]):
        reasons |= found.runs.get(run, {}).get("not_run") or {}
    said = fragments.bullets([f"{name}: {why}" for name, why in reasons.items()])
    return [tables.every_baseline(rows, metrics, f"All baselines, {title}{of}") for rows, of in tests], said


def bigger_head(effects_: pd.DataFrame, metric: str) -> list[str]:
    """Whether the Complex head does better than the Simple one on frozen latents, in a sentence."""
    asked = {"complex - simple": "the Simple one"}
    lines = answers.answer(effects_, metric, 1.0, "the Complex head on frozen latents", asked)
    return [line.replace("**", "") for line in lines]


def draws_of(found: Results, rows: pd.DataFrame) -> str:
    """How many draws of the labels stand behind rows of few labels, by what is trained; "" where one number holds for all."""
    records, kinds = found.runs, {}
    named = {
        "heads": ("heads", "draws"),
        "baselines": ("baselines", "draws"),
        "end_to_end": ("whole networks", "e2e_draws"),
    }
    for run in run_ids(rows["run"]):
        stage, params = records.get(run, {}).get("stage"), records.get(run, {}).get("params", {})
        if stage in named and named[stage][1] in params:
            kinds[named[stage][0]] = params[named[stage][1]]
    if len(set(kinds.values())) < 2:
        return ""
    return f"Draws of the labels a split: {', '.join(f'{count(value)} for {name}' for name, value in kinds.items())}.\n"


def elsewhere(found: Results, key, rows: pd.DataFrame, pool: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """Another profile's baselines of `pool` on the splits of these rows, which splits and whose, in words; empty where there are none."""
    records = found.runs

    def splits(run: str) -> set:
        return {seed for one in run_ids([run]) for seed in records.get(one, {}).get("params", {}).get("seeds", ())}

    others = pool[(pool["arm"] == "baseline") & (pool["cohort"] == key[0]) & (pool["source"] == "")]
    mine = {seed for run in rows["run"] for seed in splits(run)}
    others = others[others["run"].map(lambda run: bool(mine) and mine <= splits(run)).astype(bool)]
    if others.empty:
        return others, "", ""
    nearest = min(others["run"], key=lambda run: len(splits(run)))
    profile, device = others[others["run"] == nearest].iloc[0][["profile", "device"]]
    more = len(splits(nearest) - mine)
    same = f"these splits and {count(more)} more" if more else "the same splits"
    return others[(others["profile"] == profile) & (others["device"] == device)], same, f"profile {profile}, {device}"


def without(found: Results, key, rows: pd.DataFrame, metrics: tuple[str, ...], title: str) -> str:
    """What to say where a profile ran no baseline: another profile's on the same splits and test, in a table apart, or that there is none."""
    if (rows["arm"] == "baseline").any():
        return ""
    pool = found.external if (rows["test"] == "external").any() else found.summary
    others, same, where = elsewhere(
        found, key, rows, pool[pool["metric"].isin(metrics) & (pool["task"] != "imputation")]
    )
    if others.empty:
        with_trees = [ARM_NAMES[arm] for arm in ("fusion", "stacked") if (rows["arm"] == arm).any()]
        beside = (
            f"; {' and '.join(with_trees)}, among the arms, hold boosted trees beside the latents" if with_trees else ""
        )
        return NO_BASELINE.replace(".\n", f"{beside}.\n")
    name = tables.strongest(others, metrics[0], 1)[0]
    best = others[(others["backbone"] == name) & (others["metric"] == metrics[0])].sort_values(
        "label_fraction", ascending=False
    )
    words = ", ".join(
        f"{number(row.value)} with {tables.percent(row.label_fraction)} of the labels" for row in best.itertuples()
    )
    table = tables.every_baseline(others, metrics, f"Baselines on {same}, {title}: {where}")
    said = (
        f"No baseline ran in this profile. On {same} ({where}) {name} reaches {METRIC_NAMES[metrics[0]]} {words}.\n\n"
    )
    return said + fragments.fold(f"Baselines on {same}", fragments.tables(table))


def native(found: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """Without the native arms that a run of a transfer repeats: they stand on its page."""
    records = found.runs

    def own(line: str) -> bool:
        return any(records.get(run, {}).get("stage") != "transfer" for run in run_ids([line]))

    return rows[rows["run"].map(own).astype(bool)]


def true_risk(results: Results, cohort: str) -> list[str]:
    """The AUROC of the true risk, where the data are simulated and it is known: no bound, as it is that of all stays and these outcomes."""
    best = (results.cohorts.get(cohort, {}).get("notes") or {}).get("best_auroc")
    if not isinstance(best, float):  # a note may be anything
        return []
    words = "The true risk is known here, because the data are simulated. Over all stays it has an AUROC of "
    return [f"{words}{number(best)}; on the test stays of one split it may have more or less."]


def changes(rows: pd.DataFrame) -> list[tuple[str, float, int]]:
    """(arm, mean change in AUROC from all labels to few, number of backbones; 0 for a baseline), in the order of the columns."""
    rows = rows[rows["metric"] == "auroc"]
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
