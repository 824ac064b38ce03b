"""What the paper claims (arXiv 2411.03941, claims P1-P10) and what the stored results say to each.

A verdict is computed from rows and never typed: "agrees" when our 95 % interval holds the paper's figure or its
statement holds for every pair, "differs" when it does not, "partly" between the two, "inside the noise" when the data
cannot decide, "cannot tell yet" when a best over all data sets is asked and not all were run, and "not tested here yet"
when no row answers. Only real data count: the simulated cohorts prove nothing about the paper.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import pandas as pd

from modts import runs
from modts.backbones import BACKBONES

from .prose import said
from .results import Results
from .tables import paired_row

AGREES, DIFFERS, PARTLY, NOISE = "agrees", "differs", "partly", "inside the noise"
CANNOT_TELL, UNTESTED = "cannot tell yet", "not tested here yet"
STAYS = ("physionet_2012", "physionet_2019", "eicu", "mimic")
SERIES = ("beijing_air", "italy_air", "ett_h1", "traffic")


@dataclass(frozen=True)
class Verdict:
    """One claim, the verdict's word, what was found in a sentence, and the runs that say so."""

    id: str
    claim: str
    word: str
    found: str
    runs: tuple[str, ...] = ()


def claims() -> list[dict]:
    """The claims as `book/data/claims.csv` lists them: id, claim, figures (name to number)."""
    with open(runs.root() / "book" / "data" / "claims.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        pairs = (part.split("=") for part in row["figures"].split(";") if part)
        row["figures"] = {name: float(value) for name, value in pairs}
    return rows


def pick(results: Results, **want) -> pd.DataFrame:
    """Summary rows of real data with these columns, from the largest profile that ran each cohort (paper, then cpu).

    A backbone of one's own says nothing about the paper, which did not have it.
    """
    rows = results.summary
    rows = rows[~rows["cohort"].str.startswith("simulated") & (rows["profile"] != "quick")]
    rows = rows[rows["pooling"].isin(["", "paper", "statistics"])]
    rows = rows[rows["backbone"].isin(BACKBONES) | (rows["arm"] == "baseline")]
    for name, value in want.items():
        if isinstance(value, (tuple, list)):
            rows = rows[rows[name].isin(value)]
        elif isinstance(value, float):
            rows = rows[(rows[name] - value).abs() < 1e-9]
        else:
            rows = rows[rows[name] == value]
    rank = {"paper": 0, "cpu": 1}
    order = rows.assign(rank=[rank.get(profile, 2) for profile in rows["profile"]])
    best = order.groupby("cohort")["rank"].transform("min") if len(order) else order["rank"]
    return order[order["rank"] == best].drop(columns="rank")


def _against(row: pd.Series, figure: float, what: str) -> tuple[str, str, tuple]:
    low, high = row["low"], row["high"]
    if pd.isna(low):
        return NOISE, f"{what}: {said(row)}, without an interval yet.", tuple(row["run"].split(","))
    inside = low <= figure <= high
    side = "" if inside else f", {'above' if row['value'] > figure else 'below'} the paper's {figure:g}"
    return AGREES if inside else DIFFERS, f"{what}: {said(row)}{side}.", tuple(row["run"].split(","))


def _extreme(results, task, metric, figure, largest):
    rows = pick(results, task=task, metric=metric, arm="frozen").dropna(subset=["value"])
    if rows.empty:
        return None
    row = rows.loc[rows["value"].idxmax() if largest else rows["value"].idxmin()]
    cohorts = ", ".join(dict.fromkeys(results.title(name) for name in rows["cohort"]))
    what = f"Best of the cohorts run here ({cohorts}): {row['backbone']} on {results.title(row['cohort'])}"
    word, words, ran = _against(row, figure, what)
    reached = row["value"] >= figure if largest else row["value"] <= figure
    missing = set(STAYS if task == "classification" else SERIES) - set(rows["cohort"])
    if word == DIFFERS and (reached or missing):
        word = AGREES if reached else CANNOT_TELL
    return word, words, ran


def p1(results, figures):
    return _extreme(results, "classification", "auroc", figures["auroc"], largest=True)


def p2(results, figures):
    return _extreme(results, "regression", "mae", figures["mae"], largest=False)


def p3(results, figures):
    found = []
    for backbone in ("SAITS", "CSAI"):
        rows = pick(
            results,
            cohort="physionet_2012",
            metric="auroc",
            arm=("e2e_shipped", "e2e"),
            backbone=backbone,
            label_fraction=0.1,
        )
        for arm in ("e2e_shipped", "e2e"):
            part = rows[rows["arm"] == arm]
            if len(part):
                words = "as PyPOTS ships it" if arm == "e2e_shipped" else "with its reconstruction loss kept"
                found.append((arm, _against(part.iloc[0], figures[backbone.lower()], f"{backbone} {words}")))
    if not found:
        return None
    shipped = [outcome for arm, outcome in found if arm == "e2e_shipped"] or [outcome for _, outcome in found]
    return _merge(
        [outcome[0] for outcome in shipped],
        " ".join(outcome[1] for _, outcome in found),
        [run for _, outcome in found for run in outcome[2]],
    )


def _csai(results, figure, fraction):
    rows = pick(
        results,
        cohort="physionet_2012",
        metric="auroc",
        arm="frozen",
        head="complex",
        backbone="CSAI",
        label_fraction=fraction,
    )
    return None if rows.empty else _against(rows.iloc[0], figure, "CSAI, frozen + Complex")


def p4(results, figures):
    return _csai(results, figures["auroc"], 0.1)


def p5(results, figures):
    return _csai(results, figures["auroc"], 1.0)


def p6(results, figures):
    rows = pick(results, cohort="beijing_air", task="regression", metric="mae", arm="frozen", backbone="Autoformer")
    found = [
        _against(rows[rows["head"] == head].iloc[0], figures[head], f"Autoformer, frozen + {head.capitalize()}")
        for head in ("simple", "complex")
        if (rows["head"] == head).any()
    ]
    if len(found) < 2:
        return None
    return _merge(
        [one[0] for one in found], " ".join(one[1] for one in found), [run for one in found for run in one[2]]
    )


def _heads(results, cohorts, task, metric):
    """For every cohort and backbone with both heads: does Complex beat Simple, and does the difference stand clear?"""
    rows = pick(results, cohort=cohorts, task=task, metric=metric, arm="frozen", label_fraction=1.0)
    if rows.empty:
        rows = pick(results, cohort=cohorts, task=task, metric=metric, arm="frozen")
    outcome, ran = [], []
    for (cohort, backbone), part in rows.groupby(["cohort", "backbone"], sort=False):
        simple, complex_ = (part[part["head"] == head] for head in ("simple", "complex"))
        if not len(simple) or not len(complex_):
            continue
        simple, complex_ = simple.iloc[0], complex_.iloc[0]
        gain = (complex_["value"] - simple["value"]) * (1 if metric == "auroc" else -1)
        test = paired_row(results.paired, complex_, simple)
        clear = (
            test["p"] < 0.05
            if test is not None
            else (max(simple["low"], complex_["low"]) > min(simple["high"], complex_["high"]))
        )
        outcome.append((cohort, backbone, gain, bool(clear)))
        ran += [*simple["run"].split(","), *complex_["run"].split(",")]
    return outcome, ran


def _count(results, outcome):
    names = ", ".join(dict.fromkeys(results.title(cohort) for cohort, *_ in outcome))
    wins = [one for one in outcome if one[2] > 0]
    losses = [one for one in outcome if one[2] < 0]
    return (
        (
            f"On {names}, Complex is ahead in {len(wins)} of {len(outcome)} backbone and cohort pairs "
            f"(clear of the noise in {sum(one[3] for one in wins)}) and behind in {len(losses)} "
            f"(clear in {sum(one[3] for one in losses)})."
        ),
        wins,
        losses,
    )


def p7(results, figures):
    outcome, ran = _heads(results, SERIES, "regression", "mae")
    if not outcome:
        return None
    words, wins, _ = _count(results, outcome)
    clear = sum(one[3] for one in wins)
    word = (
        AGREES
        if clear == len(outcome)
        else NOISE
        if not any(one[3] for one in outcome)
        else (PARTLY if clear else DIFFERS)
    )
    return word, words, tuple(dict.fromkeys(ran))


def p8(results, figures):
    outcome, ran = _heads(results, ("eicu", "mimic"), "classification", "auroc")
    if not outcome:
        return None
    words, _, losses = _count(results, outcome)
    word = NOISE if not any(one[3] for one in outcome) else AGREES if sum(one[3] for one in losses) else DIFFERS
    return word, words, tuple(dict.fromkeys(ran))


def p9(results, figures):
    rows = pick(
        results, cohort="physionet_2019", metric="auroc", arm=("transfer", "frozen"), backbone=("CSAI", "GRU-D")
    )
    moved = rows[rows["arm"] == "transfer"]
    if moved.empty:
        return None
    found = []
    for _, row in moved.iterrows():
        name = "csai" if row["backbone"] == "CSAI" else "grud"
        what = f"{row['backbone']} from {results.title(row['source'])}, + {row['head'].capitalize()}"
        found.append(_against(row, figures[f"{name}_transfer"], what))
    return _merge(
        [one[0] for one in found], " ".join(one[1] for one in found), [run for one in found for run in one[2]]
    )


def p10(results, figures):
    ratios = latency_ratios(results)
    ratios = ratios[~ratios["cohort"].str.startswith("simulated")]
    if ratios.empty:
        return None
    low, high = ratios.loc[ratios["ratio"].idxmin()], ratios.loc[ratios["ratio"].idxmax()]
    word = AGREES if 0.75 * figures["ratio"] <= high["ratio"] <= 1.25 * figures["ratio"] else DIFFERS
    return (
        word,
        (
            f"Median time end to end over median time modular: from {low['ratio']:.2f} ({low['backbone']}, batch "
            f"{low['batch']:g}) to {high['ratio']:.2f} ({high['backbone']}, batch {high['batch']:g})."
        ),
        tuple(dict.fromkeys(ratios["run"])),
    )


def latency_ratios(results: Results) -> pd.DataFrame:
    """Median latency, raw window to prediction, of each end-to-end arm over the modular one (same cohort and batch)."""
    total = results.latency[results.latency["stage"] == "total"]
    keys = ["profile", "cohort", "backbone", "batch", "hardware"]
    columns = [*keys, "arm", "ratio", "run"]
    both = total[total["arm"] == "frozen"].merge(
        total[total["arm"].isin(["e2e", "e2e_shipped"])], on=keys, suffixes=("_modular", "")
    )
    return both.assign(ratio=both["p50_ms"] / both["p50_ms_modular"])[columns]


def _merge(words, found, ran):
    word = words[0] if len(set(words)) == 1 else PARTLY
    return word, found, tuple(dict.fromkeys(ran))


CHECKS = {"P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P8": p8, "P9": p9, "P10": p10}


def verdicts(results: Results) -> list[Verdict]:
    """The verdict on each claim, in the paper's order."""
    out = []
    for row in claims():
        outcome = CHECKS[row["id"]](results, row["figures"])
        word, found, ran = outcome or (UNTESTED, "No stored result answers this claim yet.", ())
        out.append(Verdict(row["id"], row["claim"], word, found, ran))
    return out
