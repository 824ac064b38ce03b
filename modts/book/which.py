"""Which backbone for what: for each use the one that came out best in the rows there are, and those whose interval overlaps with its own.

Profiles differ in the size of the networks, which a reader chooses too: of each backbone its best row counts, whichever profile made it.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pandas as pd

from modts.backbones import BACKBONES, SIX
from modts.learning import HIGHER_IS_BETTER
from modts.study import HEAD_NAMES

from . import checks, effects, fragments
from .prose import count, listed, plural, said
from .results import ABOUT, Results, at, fractions
from .tables import Cell, Table, amount, number, percent

USES = {  # (task, metric): the use
    ("imputation", "mae"): "Filling gaps",
    ("classification", "auroc"): "Predicting an outcome",
    ("regression", "mae"): "Predicting a number",
}
# what a row and its difference from a simple method share
PAIRED = ("cohort", "task", "metric", "backbone", "profile", "test")
OWN, OUTSIDE = "its own test splits", "the external test"


def best_of(rows: pd.DataFrame, metric: str) -> pd.Series:
    """The row with the best value."""
    return rows.loc[rows["value"].idxmax() if HIGHER_IS_BETTER[metric] else rows["value"].idxmin()]


def overlapping(rows: pd.DataFrame, metric: str) -> tuple[pd.Series, list[str]]:
    """The best row of several backbones, and the names of those whose interval overlaps with its own."""
    best = best_of(rows, metric)
    others = rows[rows["backbone"] != best["backbone"]]
    near = others[(others["low"] <= best["high"]) & (others["high"] >= best["low"])]
    return best, list(near.sort_values("value", ascending=not HIGHER_IS_BETTER[metric])["backbone"])


def _uses(found: Results):
    """(use, cohort, test, metric, the best row of each backbone, the baselines' rows on the same test); the external test where there is one."""
    for test, summary in ((OUTSIDE, found.external), (OWN, found.summary)):
        rows = checks.pick(replace(found, summary=summary), every=True, arm=("frozen", "baseline"))
        rows = rows[rows["pattern"].isin(("", "point"))].dropna(subset=["value"])
        order = sorted(set(rows["cohort"]), key=lambda name: (not name.startswith("physionet"), name))
        for cohort, (task, metric) in itertools.product(order, USES):
            part = rows[(rows["cohort"] == cohort) & (rows["task"] == task) & (rows["metric"] == metric)]
            if test == OWN and _outside(found, cohort, task):
                continue
            for period, made in _periods(found, cohort, part):
                networks = made[made["backbone"].isin(BACKBONES) & (made["arm"] == "frozen")]
                for share in fractions(networks) if len(networks) else ():
                    some = at(networks, share)
                    each = [best_of(one, metric) for _, one in some.groupby("backbone", sort=False)]
                    few = "" if pd.isna(share) or share == 1 else f", {percent(share)} of the labels"
                    simple = made[made["arm"] == "baseline"]
                    simple = simple if task == "imputation" else at(simple, share)
                    yield USES[task, metric] + few, cohort, period or test, metric, pd.DataFrame(each), simple


def _periods(found: Results, cohort: str, rows: pd.DataFrame):
    """("three test periods", the rows tested there): of a series, what one period tells is not compared with what several do."""
    if not found.cohorts.get(cohort, {}).get("origins"):
        return [("", rows)]
    cuts = rows["run"].map(lambda run: len(found.runs.get(run.partition(",")[0], {}).get("data_hash", ())))
    return [(plural(int(n), "test period") if n else "", rows[cuts == n]) for n in sorted(set(cuts), reverse=True)]


def _outside(found: Results, cohort: str, task: str) -> bool:
    rows = found.external
    return bool(((rows["cohort"] == cohort) & (rows["task"] == task)).any())


def which(found: Results) -> str:
    """The answer, a row a use: the best, and whose interval overlaps with its own; whether any is needed; below it what one window takes."""
    uses = list(_uses(found))
    body = []
    for use, cohort, test, metric, rows, _ in uses:
        if len(rows) > 1:
            best, near = overlapping(rows, metric)
            of = f",\nof {plural(len(rows), 'network')}" if len(rows) < len(SIX) else ""
            body.append(
                [
                    use,
                    Cell(found.title(cohort), test),
                    Cell(best["backbone"], f"{metric.upper()} {said(best)}{_how(best)}{of}"),
                    ", ".join(near) or "none",
                ]
            )
    if not body:
        return fragments.note("No real cohort has been run with more than one backbone yet.")
    table = Table(
        "Which backbone came out best for what, in the results stored here",
        ["Use", "Data and test", "Best here", "Interval overlaps with its own"],
        body,
    )
    return "\n".join([f"**{_answer(found, uses)}**\n", fragments.tables(table), _beside(found, uses), *_times(found)])


def _how(row: pd.Series) -> str:
    """ ", Complex head, the published sizes, on a GPU", on lines of their own: how a row was made."""
    head = f",\n{HEAD_NAMES[row['head']]} head" if row["head"] in HEAD_NAMES else ""
    return f"{head},\n{ABOUT.get(row['profile'], 'profile ' + row['profile'])}"


def _answer(found: Results, uses: list) -> str:
    """For the first cohort: who fills gaps best, and whether a network or a method without one predicts best."""
    words, first = [], uses[0][1]
    for use, cohort, _, metric, rows, simple in uses:
        if cohort != first:
            continue
        best = best_of(rows, metric)
        if use == USES["imputation", "mae"]:
            words.insert(0, f"{best['backbone']} fills gaps with the least error")
        elif len(simple) and use.removeprefix(USES["classification", "auroc"]) in (
            "",
            f", {percent(0.1)} of the labels",
        ):
            rival = best_of(simple, metric)
            ahead = (rival["value"] > best["value"]) == HIGHER_IS_BETTER[metric]
            where = use.partition(", ")[2] or "all labels"
            leads, other = (rival, best) if ahead else (best, rival)
            near = leads["low"] <= other["high"] and other["low"] <= leads["high"]
            pair = _pair(found, best, rival)
            told = f" (in pairs, {_asked(best)} {_verdict(pair)}: {effects.interval(pair)})" if pair is not None else ""
            words.append(
                f"with {where}, {leads['backbone']} has {metric.upper()} {number(leads['value'])} beside {other['backbone']}'s "
                f"{number(other['value'])}{told or (', and their intervals overlap' if near else '')}"
            )
    words = words or [f"{best_of(uses[0][4], uses[0][3])['backbone']} has the best score"]
    return f"On {fragments.plain(found.title(first))}, {'; '.join(words)}."


def _pair(found: Results, row: pd.Series, rival: pd.Series) -> pd.Series | None:
    """The stored difference, on the same windows, of a backbone's frozen Simple head and a simple method, both asked as these rows are."""
    of = found.effects if row["test"] == "split" else found.external_effects
    named = {"question": f"frozen - {rival['backbone']}", "source": "", **{name: row[name] for name in PAIRED}}
    for name, value in named.items():
        of = of[of[name] == value]
    of = at(of, row["label_fraction"])
    return of.iloc[0] if len(of) else None


def _asked(row: pd.Series) -> str:
    """ "frozen CSAI", with its head where the row's own is another than the one that pairs are asked of."""
    return f"frozen {row['backbone']}" + ("" if row["head"] == "simple" else " with the Simple head")


def _verdict(pair: pd.Series) -> str:
    return "cannot be told from it" if pair["verdict"] == "cannot tell" else f"is {fragments.plain(pair['verdict'])}"


def _times(found: Results) -> list[str]:
    """How long one window takes each backbone, a table for all machines."""
    total = found.latency
    total = total[
        (total["stage"] == "total")
        & (total["arm"] == "frozen")
        & (total["batch"] == 1)
        & total["backbone"].isin(BACKBONES)
    ]
    body: list[list[Cell | str]] = []
    for (cohort, hardware), part in total.groupby(["cohort", "hardware"], sort=False):
        if len(part) > 1 and not cohort.startswith("simulated"):
            times = ", ".join(
                f"{row.backbone} {amount(row.p50_ms)}\xa0ms" for row in part.sort_values("p50_ms").itertuples()
            )
            body.append([found.title(cohort), Cell(times, wide=True), hardware])
    if not body:
        return []
    table = Table(
        "How long one window takes, fastest first", ["Data", "Median time from window to answer", "Machine"], body
    )
    return [fragments.heading(2, "If answers must be quick"), fragments.tables(table)]


def _beside(found: Results, uses: list) -> str:
    """Whether any of them is needed: how often a method without one has the best score, and case by case what it reaches."""
    out, wins = [], {use: [0, 0] for use in USES.values()}  # cases in which a simple method is best, all cases
    for use, cohort, test, metric, rows, simple in uses:
        where = f"{use}, {found.title(cohort)}, {test}"
        if simple.empty:
            ran = checks.pick(
                found, every=True, arm="baseline", cohort=cohort, task=rows["task"].iloc[0], metric=metric
            )
            out += [f"{where}: no simple method ran on the same data yet."] if ran.empty else []
            continue
        best = best_of(simple, metric)
        ahead = int(((rows["value"] > best["value"]) == HIGHER_IS_BETTER[metric]).sum())
        pairs = [pair for _, row in rows.iterrows() if (pair := _pair(found, row, best)) is not None]
        near = int(((rows["low"] <= best["high"]) & (rows["high"] >= best["low"])).sum())
        case = wins[use.partition(",")[0]]
        case[0], case[1] = case[0] + (not ahead), case[1] + 1
        out.append(f"{where}: {best['backbone']} reaches {said(best)}; {_networks(rows, ahead, near, pairs)}.")
    if not out:
        return ""
    said_ = [f"{use[0].lower()}{use[1:]} in {won} of {n} cases" for use, (won, n) in wins.items() if n]
    lead = (
        f"**A method without a pretrained network had the best score: {listed(said_)}.** A case is a cohort, a test and a share of the labels. "
        "The networks' best is taken from several, which favours them. Overlapping intervals decide nothing; where differences were taken in "
        "pairs, on the same windows and with the Simple head, they do."
    )
    body = fragments.fold("Case by case", fragments.bullets(out))
    return f"{fragments.heading(2, 'Is a network needed at all?')}\n\n{lead}\n\n{body}"


def _networks(rows: pd.DataFrame, ahead: int, near: int, pairs: list[pd.Series]) -> str:
    """How many of the networks have a better score than the best simple method; what pairs say of all, or how many intervals overlap."""
    paired = len(pairs) == len(rows)
    if len(rows) == 1 and paired:
        better = f"the one network run, {rows['backbone'].iloc[0]}, has {'a' if ahead else 'no'} better score"
        return f"{better}; in pairs, frozen, it {_verdict(pairs[0])}: {effects.interval(pairs[0])}"
    if len(rows) == 1:
        overlap = "and their intervals overlap" if near else "and their intervals lie apart"
        return f"the one network run, {rows['backbone'].iloc[0]}, has {'a' if ahead else 'no'} better score, {overlap}"
    none = "neither" if len(rows) == 2 else "none"
    better = f"{count(ahead, none)} of the {plural(len(rows), 'network')} run {'have' if ahead > 1 else 'has'} a better score"
    if paired:
        return f"{better}; in pairs, frozen: {effects.each(pd.DataFrame(pairs))}"
    if not near:
        return f"{better}, and no interval overlaps with its own"
    return f"{better}, and the {'interval' if near == 1 else 'intervals'} of {count(near)} overlap{'s' if near == 1 else ''} with its own"


PIECES = {"which": which}
