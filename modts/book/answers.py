"""What a results page says first: the answer in a sentence, from the stored effects and in plain words, with its interval."""

from __future__ import annotations

import pandas as pd

from modts.learning import HIGHER_IS_BETTER
from modts.study import ALL, LEVEL, METRIC_NAMES

from . import fragments
from .effects import each, interval, labels
from .prose import plural
from .results import at

FROZEN = "a linear layer on a frozen imputer"
OTHERS = {  # question -> the other side, in a reader's words; the first that has been answered leads
    "frozen - e2e": "training everything end to end",
    "frozen - e2e_shipped": "the end-to-end classifiers as PyPOTS ships them",
    "frozen - finetune": "fine-tuning the pretrained network",
    "frozen - untrained": "the same layer on an untrained network",
    "frozen - LightGBM": "boosted trees on simple statistics",
}
MOVED = "a linear layer on a frozen imputer of another cohort"
MOVED_OTHERS = {
    "transfer - frozen": "the same layer on this cohort's own imputer",
    "transfer - e2e": "training everything from scratch",
    "transfer - untrained": "the same layer on an untrained network",
    "transfer - LightGBM": "boosted trees on simple statistics",
}
TUNED = "fine-tuning an imputer of another cohort"
TUNED_OTHERS = {
    "transfer_finetune - finetune": "fine-tuning this cohort's own",
    "transfer_finetune - e2e": "training everything from scratch",
}
VERBS = {"better": "does better than", "worse": "does worse than", "equivalent": "does as well as"}
UNTOLD = "cannot be told from"
BARELY, NEARLY = "does barely better than", "does nearly as well as"  # equivalent, and surely apart
MAIN = tuple(OTHERS)


def verb(row: pd.Series) -> str:
    """What the first side of an effect does beside the second. Where they are equivalent and yet surely apart, the word says so."""
    if row["verdict"] != "equivalent" or not row["p_holm"] < LEVEL:
        return VERBS.get(row["verdict"], UNTOLD)
    ahead = (row["difference"] > 0) == HIGHER_IS_BETTER[row["metric"]]
    return BARELY if ahead else NEARLY


def who(rows: pd.DataFrame) -> str:
    """Whose mean it is: "mean of these six backbones", or "GRU-D alone"."""
    names = [name for name in dict.fromkeys(rows["backbone"]) if name != ALL]
    return (
        f"{fragments.plain(names[0])} alone" if len(names) == 1 else f"mean of these {plural(len(names), 'backbone')}"
    )


def means(rows: pd.DataFrame, metric: str, share: float, questions=MAIN) -> dict[str, pd.Series]:
    """question -> its row over all backbones (or of the only one), for one metric and share of the labels."""
    found = {}
    rows = at(rows[rows["metric"] == metric], share)
    for question in questions:
        part = rows[rows["question"] == question]
        alone = part[part["backbone"] == ALL] if (part["backbone"] == ALL).any() else part
        if len(alone) == 1:
            found[question] = alone.iloc[0]
    return found


def answer(rows: pd.DataFrame, metric: str, share: float = 1.0, subject: str = FROZEN, sides=None) -> list[str]:
    """The leading answer in bold, then one line for each other question, in Markdown; nothing where no effect is stored.

    sides : question -> the other side in words, all of the subject; by default `OTHERS`.
    """
    sides = sides or OTHERS
    found = means(rows, metric, share, sides)
    if not found:
        return []
    (lead, row), *others = found.items()
    asked = at(rows[rows["metric"] == metric], share)
    whose = {question: who(asked[asked["question"] == question]) for question in found}
    with_ = f"with {labels(share)}" if rows["label_fraction"].nunique() > 1 else ""
    words = f"{subject[0].upper()}{subject[1:]} {verb(row)} {sides[lead]} {with_}".rstrip()
    out = [f"**{words}**: {METRIC_NAMES[metric]} {interval(row)}, {whose[lead]}.{_each(rows, metric, share, lead)}"]
    for question, row in others:
        apart = row["verdict"] == "cannot tell" and row["low"] * row["high"] > 0
        corrected = ", which is not enough after the correction for several tests" if apart else ""
        corrected += f", {whose[question]}" * (whose[question] != whose[lead])
        out.append(
            f"It {verb(row)} {sides[question]}: {interval(row)}{corrected}.{_each(rows, metric, share, question)}"
        )
    return out


def _each(rows: pd.DataFrame, metric: str, share: float, question: str) -> str:
    """ " One by one: one better, five cannot tell.", a few by name: the backbones behind a mean."""
    single = at(rows[(rows["metric"] == metric) & (rows["question"] == question) & (rows["backbone"] != ALL)], share)
    return f" One by one: {each(single)}." if len(single) > 1 else ""


def shown(lines: list[str], figure: str = "") -> str:
    """The leading answer as a paragraph, the rest as a list, and where to look: the figure of this stem, and the table below it."""
    if not lines:
        return ""
    see = (
        f"{fragments.SEE.format(figure)} shows the differences backbone by backbone, the table below it the scores.\n"
        if figure
        else ""
    )
    return f"{lines[0]}\n\n{fragments.bullets(lines[1:], markup=True)}{see}"
