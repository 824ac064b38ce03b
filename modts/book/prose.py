"""Sentences with numbers in them, written from rows: no number on a page is typed by hand.

Each function returns Markdown sentences, or a sentence that says plainly that the result is not there yet.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from modts import verdicts
from modts.results import Results
from modts.tables import (
    HIGHER_IS_BETTER,
    METRIC_NAMES,
    arm_name,
    arm_order,
    auroc_standard_error,
    number,
    percent,
    signed,
)

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count(value: int) -> str:
    """3 -> "three": small counts read better as words."""
    return WORDS[value] if value < len(WORDS) else str(value)


def plural(value: int, word: str) -> str:
    """3, "backbone" -> "three backbones"."""
    return f"{count(value)} {word}{'' if value == 1 else 's'}"


def spread(rows: pd.DataFrame) -> str:
    """The range of the values of several rows: "0.781 to 0.834", or the one value with its interval."""
    if len(rows) == 1:
        return verdicts.said(rows.iloc[0])
    return f"{number(rows['value'].min())} to {number(rows['value'].max())}"


def seeds(rows: pd.DataFrame) -> str:
    """ "three seeds", or "one to three seeds" where rows differ."""
    low, high = int(rows["seeds"].min()), int(rows["seeds"].max())
    words = count(high) if low == high else f"{count(low)} to {count(high)}"
    return f"{words} seed{'s' if high > 1 else ''}"


def _at(rows: pd.DataFrame, fraction: float) -> pd.DataFrame:
    return rows[(rows["label_fraction"] - fraction).abs() < 1e-9]


def _scarce(rows: pd.DataFrame) -> float | None:
    fractions = sorted(rows["label_fraction"].dropna().unique())
    return fractions[0] if len(fractions) > 1 else None


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
        & rows["pooling"].isin(["", "paper", "statistics"])
    ]
    return rows, False


def front(results: Results) -> list[str]:
    """The answer in three sentences: light heads, end to end, and what simple methods do."""
    rows, real = front_rows(results)
    rows = rows[rows["source"] == ""]
    if rows.empty:
        return [
            "No results are here yet: `make book` makes the quick ones on this machine.",
            "The published results on PhysioNet 2012 and ItalyAir have not been made yet.",
            "Until then this book shows the method, the notebooks and what each page will hold.",
        ]
    where = results.title(rows["cohort"].iloc[0])
    lead = f"On {where}," if real else f"The results on real data are not here yet; on {where}, which is generated,"
    frozen = rows[(rows["arm"] == "frozen") & (rows["head"] == "simple")]
    return [_light_heads(rows, frozen, lead), _end_to_end(rows, real), _simple_methods(results)]


def _light_heads(rows: pd.DataFrame, frozen: pd.DataFrame, lead: str) -> str:
    if _at(frozen, 1.0).empty:
        return f"{lead} no head on a frozen backbone has been scored yet."
    full, scarce = _at(frozen, 1.0), _scarce(frozen)
    words = (
        f"{lead} one linear layer on {plural(full['backbone'].nunique(), 'frozen backbone')} reaches an AUROC of "
        f"**{spread(full)}** ({full['n_test'].max():.0f} test stays, {seeds(frozen)})"
    )
    if scarce:
        words += f", and of **{spread(_at(frozen, scarce))}** with {percent(scarce)} of the labels"
    base = rows[rows["backbone"] == "LightGBM"]
    if len(_at(base, 1.0)):
        words += f"; LightGBM on summary statistics of the same windows reaches {verdicts.said(_at(base, 1.0).iloc[0])}"
        if scarce and len(_at(base, scarce)):
            words += f" and {verdicts.said(_at(base, scarce).iloc[0])}"
    return words + "."


def _end_to_end(rows: pd.DataFrame, real: bool) -> str:
    scarce = _scarce(rows)
    part = _at(rows, scarce if scarce else 1.0)
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
    words = f"With {percent(scarce) if scarce else 'all'} of the labels, {', '.join(bits)}"
    named = shipped[shipped["backbone"].isin(["SAITS", "CSAI"])]
    if real and scarce and len(named):
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
                f"{count(ahead) if ahead else 'none'} of {plural(len(models), 'backbone')} on {results.title(cohort)}"
            )
    if not bits:
        return "How well the backbones impute, beside interpolation, has not been scored yet."
    named = f"{', '.join(bits[:-1])} and {bits[-1]}" if len(bits) > 1 else bits[0]
    return f"At the imputing itself, plain linear interpolation has a lower mean error than {named}."


def block(rows: pd.DataFrame, metric: str, title: str, paired: pd.DataFrame) -> list[str]:
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
        f"Best mean {METRIC_NAMES[metric]} on {title}: {name}, {verdicts.said(best)}; the intervals of "
        f"{int(rival.sum()) - 1} of the {len(models) - 1} other results overlap with it. It was the best of "
        f"{len(models)} on the test set, so it flatters itself."
    )
    for _, line in base.iterrows():
        ahead = models["value"] > line["value"] if higher else models["value"] < line["value"]
        out.append(
            f"{line['backbone']} reaches {verdicts.said(line)}: {int(ahead.sum())} of the {len(models)} results of "
            "deep backbones have a better mean."
        )
    return out


def heads(results: Results, rows: pd.DataFrame, metric: str) -> list[str]:
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
    known = [f"The best possible AUROC is known here, because the data are simulated: {number(best)}."] if best else []
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


def scarcity(rows: pd.DataFrame, metric: str = "auroc") -> list[tuple[str, float, int]]:
    """(arm, mean change from all labels to few, number of backbones; 0 for a baseline), in the order of the columns."""
    rows = rows[rows["metric"] == metric]
    scarce = _scarce(rows)
    if scarce is None:
        return []
    out = []
    arms = sorted(
        rows[rows["arm"] != "baseline"].groupby(["arm", "head", "pooling"], sort=False),
        key=lambda pair: arm_order(*pair[0][:2]),
    )
    for (arm, head, pooling), part in arms:
        full, few = (_at(part, value).set_index("backbone")["value"] for value in (1.0, scarce))
        fall = (few - full).dropna()
        if len(fall):
            out.append((arm_name(arm, head, pooling), float(fall.mean()), len(fall)))
    for name, part in rows[rows["arm"] == "baseline"].groupby("backbone", sort=False):
        full, few = _at(part, 1.0)["value"], _at(part, scarce)["value"]
        if len(full) and len(few):
            out.append((name, float(few.iloc[0] - full.iloc[0]), 0))
    return out
