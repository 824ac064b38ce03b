"""The front page: the answer in three sentences and one forest plot."""

from __future__ import annotations

import pandas as pd

from modts.study import ALL, question_name

from . import effects, fragments, verdicts
from .prose import count, plural, said, seeds, spread
from .results import SINGLE, Results, at, fractions, scarce
from .tables import number, percent

QUESTIONS = ("frozen - e2e", "frozen - finetune", "frozen - untrained", "frozen - LightGBM")


def front_rows(results: Results) -> tuple[pd.DataFrame, bool]:
    """The classification rows the front page speaks of, and whether they are the real data's.

    PhysioNet 2012 from the largest published profile, else the simulated stays of the quick profile.
    """
    rows = verdicts.pick(results, cohort="physionet_2012", task="classification", metric="auroc")
    if len(rows[rows["arm"] != "baseline"]):
        return rows, True
    rows = results.summary
    rows = rows[
        (rows["cohort"] == "simulated_icu")
        & (rows["metric"] == "auroc")
        & (rows["source"] == "")
        & rows["pooling"].isin(SINGLE)
    ]
    return rows, False


def front(found: Results) -> str:
    """Three sentences and one picture."""
    out = [fragments.bullets(sentences(found), markup=True)]
    rows, _ = front_rows(found)
    if len(rows):
        key = tuple(rows[["cohort", "profile", "device"]].iloc[0])
        out.append(effects.forest(found, key, "auroc", "front", QUESTIONS))
    return "\n".join(out)


def sentences(results: Results) -> list[str]:
    """The answer in three sentences: light heads, end to end, and what simple methods do."""
    rows, real = front_rows(results)
    rows = rows[rows["source"] == ""]
    if rows.empty:
        return [
            "No results are here yet: `make book` makes the quick ones on this machine.",
            "The published results on PhysioNet 2012 and ItalyAir have not been made yet.",
            "Until then this book shows the method, the notebooks and what each page will hold.",
        ]
    where = fragments.plain(results.title(rows["cohort"].iloc[0]))
    lead = f"On {where}," if real else f"The results on real data are not here yet; on {where}, which is generated,"
    frozen = rows[(rows["arm"] == "frozen") & (rows["head"] == "simple")]
    answer = _answer(results, rows) or _end_to_end(rows, real)
    return [_light_heads(rows, frozen, lead), answer, _simple_methods(results)]


def _light_heads(rows: pd.DataFrame, frozen: pd.DataFrame, lead: str) -> str:
    if at(frozen, 1.0).empty:
        return f"{lead} no head on a frozen backbone has been scored yet."
    full, few = at(frozen, 1.0), scarce(frozen)
    words = (
        f"{lead} one linear layer on {plural(full['backbone'].nunique(), 'frozen backbone')} reaches an AUROC of "
        f"**{spread(full)}** ({full['n_test'].max():.0f} test stays, {seeds(frozen)})"
    )
    if few:
        words += f", and of **{spread(at(frozen, few))}** with {percent(few)} of the labels"
    base = rows[rows["backbone"] == "LightGBM"]
    if len(at(base, 1.0)):
        words += f"; LightGBM on summary statistics of the same windows reaches {said(at(base, 1.0).iloc[0])}"
        if few and len(at(base, few)):
            words += f" and {said(at(base, few).iloc[0])}"
    return words + "."


def _answer(results: Results, rows: pd.DataFrame) -> str:
    """What freezing cost or brought: the mean over backbones of each question, at every share of the labels."""
    found = effects.effects_of(results, rows["cohort"].iloc[0], rows["profile"].iloc[0])
    found = found[(found["backbone"] == ALL) & (found["metric"] == "auroc")]
    bits = []
    for question in [name for name in QUESTIONS if (found["question"] == name).any()]:
        part = found[found["question"] == question]
        spans = [f"with {effects.labels(share)} {effects.span(at(part, share).iloc[0])}" for share in fractions(part)]
        name = question_name(question)
        bits.append(f"*{name[0].lower() + name[1:]}* {', and '.join(spans)}")
    if not bits:
        return ""
    return f"Paired on the same stays, the mean difference in AUROC over these backbones: {'; '.join(bits)}."


def _end_to_end(rows: pd.DataFrame, real: bool) -> str:
    few = scarce(rows)
    part = at(rows, few if few else 1.0)
    shipped, own = part[part["arm"] == "e2e_shipped"], part[(part["arm"] == "e2e") & (part["head"] != "complex")]
    tuned = part[(part["arm"] == "finetune") & (part["head"] != "complex")]
    bits = [
        f"{words} {spread(some)}"
        for words, some in (
            ("fine-tuning the pretrained backbone reaches", tuned),
            ("training end to end with the reconstruction loss kept", own),
            ("and as PyPOTS ships it", shipped),
        )
        if len(some)
    ]
    if not bits:
        return "End-to-end training has not been scored there yet."
    words = f"With {percent(few) if few else 'all'} of the labels, {', '.join(bits)}"
    named = shipped[shipped["backbone"].isin(["SAITS", "CSAI"])]
    if real and few and len(named):
        figures = next(row["figures"] for row in verdicts.claims() if row["id"] == "P3")
        found = any(row["low"] <= figures[row["backbone"].lower()] for _, row in named.iterrows())
        theirs = " and ".join(f"{figures[name.lower()]:g} for {name}" for name in named["backbone"])
        ours = " and ".join(number(value) for value in named["value"])
        seen = "seen" if found else "not found"
        words += f"; the fall to chance that the paper reports there ({theirs}) is {seen}: {ours} here"
    return words + "."


def _simple_methods(results: Results) -> str:
    rows = verdicts.pick(results, task="imputation", metric="mae")
    rows = (
        rows
        if len(rows)
        else results.summary[(results.summary["task"] == "imputation") & (results.summary["metric"] == "mae")]
    )
    rows = rows[rows["pattern"].isin(["", "point"])]
    bits = []
    for cohort, part in rows.groupby("cohort", sort=False):
        line, models = part[part["backbone"] == "Linear interpolation"], part[part["arm"] != "baseline"]
        if len(line) and len(models):
            ahead = int((models["value"] > line["value"].iloc[0]).sum())
            bits.append(
                f"{count(ahead) if ahead else 'none'} of {plural(len(models), 'backbone')} on {fragments.plain(results.title(cohort))}"
            )
    if not bits:
        return "How well the backbones impute, beside interpolation, has not been scored yet."
    named = f"{', '.join(bits[:-1])} and {bits[-1]}" if len(bits) > 1 else bits[0]
    return f"At the imputing itself, plain linear interpolation has a lower mean error than {named}."
