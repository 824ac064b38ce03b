"""The page "Between frozen and fine-tuned": what training a little of a pretrained backbone gains over a head alone."""

from __future__ import annotations

from statistics import median

import pandas as pd

from modts.study import arm_name, margin, question_name

from . import answers, effects, fragments, plots, tables
from .figures import save
from .prose import labels_words, plural, setting
from .results import ABOUT, BETWEEN, PROFILES, Results, at, fractions, run_ids
from .tables import Cell, Table

ARMS = tuple((name, "simple") for name in ("untrained", "frozen", "norm", "last_block", "lora", "finetune"))
WAYS = {  # question -> what is trained beside the head; the last is asked the other way round, see `turned`
    "norm - frozen": "the normalisation layers (or biases)",
    "last_block - frozen": "the last block",
    "lora - frozen": "low-rank additions (LoRA)",
    "finetune - frozen": "everything",
}
OPPOSITE = {"better": "worse", "worse": "better"}


def between(found: Results) -> str:
    """For each cohort the answer, a forest, a table of scores; what it costs and the numbers in boxes."""
    rows = _of(found.summary)
    if rows.empty:
        return fragments.note(
            f"Nothing between the two has been trained yet: `modts grid {BETWEEN} --minutes 60` does."
        )
    keys = rows[["cohort", "profile", "device"]].drop_duplicates().itertuples(index=False, name=None)
    return "\n".join(_cohort(found, key) for key in sorted(keys))


def turned(rows: pd.DataFrame) -> pd.DataFrame:
    """Effects as the page tells them: `frozen - finetune` reads `finetune - frozen`, so that right of zero is always what trains more."""
    back = rows["question"] == "frozen - finetune"
    other = rows[back]
    other = other.assign(
        question="finetune - frozen",
        difference=-other["difference"],
        low=-other["high"],
        high=-other["low"],
        verdict=[OPPOSITE.get(word, word) for word in other["verdict"]],
    )
    return pd.concat([rows[~back], other])


def answer(rows: pd.DataFrame, metric: str = "auroc") -> list[str]:
    """Which ways do better than the head alone; then a sentence a share of the labels, in the mean over the backbones or of the only one."""
    said, ahead, slight, asked = [], [], [], set()
    for share in fractions(rows):
        parts = []
        for question, row in answers.means(rows, metric, share, WAYS).items():
            verb = answers.verb(row)
            parts.append(f"training {WAYS[question]} {verb} the head alone, {effects.interval(row)}")
            ahead += [f"training {WAYS[question]} with {effects.labels(share)}"] if row["verdict"] == "better" else []
            told = f"training {WAYS[question]} with {effects.labels(share)}, {effects.interval(row)}"
            slight += [told] if verb == answers.BARELY else []
            asked.add(question)
        if parts:
            said.append(f"With {effects.labels(share)}, {'; '.join(parts)}.")
    if not said:
        return []
    if ahead:
        lead = f"**Better than the head alone: {'; '.join(ahead)}**"
    else:
        by = " by what matters" if slight else ""
        lead = f"**Of {plural(len(asked), 'way')} to train more, none does better than the head alone{by}**"
    if slight:
        said.insert(0, f"A gain that stands after the correction, and is too small to matter: {'; '.join(slight)}.")
    splits = plural(int(rows["n_splits"].max()), "split")
    return [f"{lead}: AUROC, {answers.who(rows)}, {splits}.", *said]


def _others(found: Results, cohort: str, asked: pd.DataFrame) -> list[str]:
    """What fine-tuning gains over the head alone in networks of other profiles that are not on this page, in a sentence."""
    profile = next((name for name in PROFILES if name != BETWEEN and len(effects.effects_of(found, cohort, name))), "")
    some = turned(effects.effects_of(found, cohort, profile))
    some = effects.singles(at(some, 1.0), "finetune - frozen")
    some = some[~some["backbone"].isin(asked["backbone"])]
    told = [f"{fragments.plain(row['backbone'])} {effects.span(row)}" for _, row in some.iterrows()]
    lead = f"Other networks have not been run here. What training everything gains in them, {effects.labels(1.0)}, {ABOUT.get(profile, profile)}"
    return [f"{lead}: {'; '.join(told)}."] if told else []


def _own_splits(own: pd.DataFrame, deciding: pd.DataFrame) -> list[str]:
    """Where the cohort's own test splits give another word than the test that decides."""
    other = [
        f"training {WAYS[question]} with {effects.labels(share)}, {effects.span(row)}"
        for share in fractions(deciding)
        for question, row in effects.said_otherwise(
            *(answers.means(rows, "auroc", share, WAYS) for rows in (own, deciding))
        ).items()
    ]
    words = "On the cohort's own test splits, which are smaller, some read otherwise"
    return [f"{words}: {'; '.join(other)}. The external test decides."] if other else []


def _of(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["profile"] == BETWEEN) & (rows["task"] == "classification") & (rows["source"] == "")]


def _cohort(found: Results, key) -> str:
    cohort, title, stem = key[0], found.title(key[0]), f"between-{key[0]}"
    outside, own = (
        rows[(rows["cohort"] == cohort) & (rows["device"] == key[2])]
        for rows in map(_of, (found.external, found.summary))
    )
    rows = outside if len(outside) else own
    where = ", external test" if len(outside) else ""
    asked = turned(effects.effects_of(found, cohort, BETWEEN))
    asked = asked[asked["question"].isin(WAYS)]
    said = answer(asked)
    said += _own_splits(turned(effects.on_own_splits(found, cohort, BETWEEN)), asked) if where else []
    said += _others(found, cohort, asked) if said else []
    scores = [
        tables.main(at(rows, share), "auroc", f"AUROC, {title}{where}{labels_words(share)}", ARMS, [])
        for share in fractions(rows)
    ]
    numbers = effects.grids_of(asked, ("auroc", "auprc"), title + where, tuple(WAYS))
    took = cost(found, own)
    return "\n".join(
        [
            fragments.heading(2, title),
            *([f"{said[0]}\n", fragments.bullets(said[1:], markup=True)] if said else []),
            _forest(asked, f"{title}{where}", stem, said),
            *(fragments.tables(table) for table in scores),
            setting(found, key, rows),
            fragments.fold("The differences in numbers", fragments.tables(*numbers)),
            fragments.fold("What a training takes", fragments.tables(took) if took else ""),
            fragments.fold(
                "Downloads",
                fragments.downloads(stem, rows, [*scores, *numbers]) + effects.downloads(asked, stem),
            ),
            fragments.how_made(list(rows["run"]), found.runs),
        ]
    )


def _forest(rows: pd.DataFrame, title: str, stem: str, said: list[str]) -> str:
    rows = rows[rows["metric"] == "auroc"]
    if rows.empty:
        return ""
    panels = [
        (question_name(name), rows[rows["question"] == name], margin("auroc", 0.0))
        for name in WAYS
        if (rows["question"] == name).any()
    ]
    drawn = save(
        lambda narrow: plots.forest(panels, "auroc", narrow),
        stem,
        f"Forest plot of paired differences in AUROC from the head alone on {title}, a panel a way to train more. "
        + " ".join(said).replace("**", ""),
        f"AUROC minus that of a head on the frozen backbone, {title}. {effects.legend(rows)}",
        fragments.out_dir(),
    )
    return fragments.picture(drawn)


def cost(found: Results, rows: pd.DataFrame) -> Table | None:
    """Median seconds of one training with all labels, backbones down and ways across; nothing where no run says."""
    records, took = found.runs, {}
    for run in run_ids(rows["run"]):
        record = records.get(run, {})
        for name, seconds in (record.get("timings") or {}).items():
            arm, head, pooling, share = (name.split("|") + [""] * 4)[:4]
            if (arm, head) in ARMS and pooling == "paper" and share == "1":
                took.setdefault((record["params"]["backbone"], arm), []).append(seconds)
    ways = [arm for arm, _ in ARMS if any(arm == one for _, one in took)]
    names = [name for name in tables.backbone_names(rows) if any(name == one for one, _ in took)]
    if not ways:
        return None
    body: list[list[Cell | str]] = [
        [
            name,
            *(
                f"{median(took[name, arm]):,.0f} s" if (name, arm) in took else Cell(tables.NOT_RUN, absent=True)
                for arm in ways
            ),
        ]
        for name in names
    ]
    header = ["Backbone", *(arm_name(arm) for arm in ways)]
    return Table(
        "Median seconds of one training with all labels; of a head, on latents that are there already", header, body
    )
