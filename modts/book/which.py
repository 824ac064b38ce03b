"""Which backbone for what: for each use the one that came out best in the rows there are, and those that cannot be told from it."""

from __future__ import annotations

import pandas as pd

from modts.backbones import BACKBONES, SIX
from modts.learning import HIGHER_IS_BETTER

from . import checks, fragments
from .prose import count, plural, said
from .results import Results, at, fractions
from .tables import Cell, Table, amount, percent


def overlapping(rows: pd.DataFrame, metric: str) -> tuple[pd.Series, list[str]]:
    """The best row of several backbones, and the names of those whose interval overlaps with its own."""
    place = rows["value"].idxmax() if HIGHER_IS_BETTER[metric] else rows["value"].idxmin()
    best, others = rows.loc[place], rows.drop(index=place)
    near = others[(others["low"] <= best["high"]) & (others["high"] >= best["low"])]
    return best, list(near.sort_values("value", ascending=not HIGHER_IS_BETTER[metric])["backbone"])


def _uses(found: Results):
    """(use, cohort, metric, rows of the six) for every real cohort and task."""
    rows = checks.pick(found, arm="frozen")
    rows = rows[rows["backbone"].isin(BACKBONES) & rows["pattern"].isin(("", "point"))].dropna(subset=["value"])
    for cohort, part in rows.groupby("cohort", sort=False):
        filling = part[(part["task"] == "imputation") & (part["metric"] == "mae")]
        if len(filling):
            yield "Filling gaps", cohort, "mae", filling
        for task, metric, words in (
            ("classification", "auroc", "Latents that predict an outcome"),
            ("regression", "mae", "Latents that predict a number"),
        ):
            some = part[(part["task"] == task) & (part["metric"] == metric) & (part["head"] == "simple")]
            for share in fractions(some) if len(some) else ():
                few = "" if pd.isna(share) or share == 1 else f", {percent(share)} of the labels"
                yield words + few, cohort, metric, at(some, share)


def which(found: Results) -> str:
    """A row a use: the best, and who cannot be told from it; below it what one window takes."""
    body = []
    for use, cohort, metric, rows in _uses(found):
        if rows["backbone"].nunique() > 1:
            best, near = overlapping(rows, metric)
            gpu = ", GPU" if set(rows["device"]) == {"GPU"} else ""
            of = f" of {plural(rows['backbone'].nunique(), 'network')}" if rows["backbone"].nunique() < len(SIX) else ""
            body.append(
                [
                    use,
                    found.title(cohort),
                    Cell(best["backbone"], f"{metric.upper()} {said(best)}{of}{gpu}"),
                    ", ".join(near) or "none",
                ]
            )
    total = found.latency
    total = total[
        (total["stage"] == "total")
        & (total["arm"] == "frozen")
        & (total["batch"] == 1)
        & total["backbone"].isin(BACKBONES)
    ]
    for (cohort, hardware), part in total.groupby(["cohort", "hardware"], sort=False):
        if len(part) > 1 and not cohort.startswith("simulated"):
            ranked = part.sort_values("p50_ms")
            times = ", ".join(
                f"{name} {amount(value)}\xa0ms"
                for name, value in zip(ranked["backbone"][1:], ranked["p50_ms"][1:], strict=True)
            )
            body.append(
                [
                    "Quick answers, one window",
                    f"{found.title(cohort)}, {hardware}",
                    Cell(ranked["backbone"].iloc[0], f"{amount(ranked['p50_ms'].iloc[0])} ms"),
                    Cell(times, "slower, in this order"),
                ]
            )
    if not body:
        return fragments.note("No real cohort has been run with more than one backbone yet.")
    table = Table(
        "Which backbone came out best for what, in the results stored here",
        ["Use", "Data", "Best here", "Not told apart from it"],
        body,
    )
    return fragments.raw(table.html()) + _beside(found)


def _beside(found: Results) -> str:
    """Whether any of them is needed: what simple methods reach."""
    out = []
    for use, cohort, metric, rows in _uses(found):
        every = checks.pick(found, arm="baseline", cohort=cohort, task=rows["task"].iloc[0], metric=metric)
        simple = every
        simple = (
            at(simple, rows["label_fraction"].iloc[0])
            if len(simple) and rows["task"].iloc[0] != "imputation"
            else simple
        )
        simple = simple.dropna(subset=["value"])
        if every.empty:
            out.append(f"{use}, {found.title(cohort)}: no simple method ran on the same data yet.")
        if len(simple):
            best = simple.loc[simple["value"].idxmax() if HIGHER_IS_BETTER[metric] else simple["value"].idxmin()]
            ahead = int(((rows["value"] > best["value"]) == HIGHER_IS_BETTER[metric]).sum())
            near = int(((rows["low"] <= best["high"]) & (rows["high"] >= best["low"])).sum())
            better = f"{count(ahead) if ahead else 'none'} of the {plural(len(rows), 'network')} run "
            better += "have a better score" if ahead > 1 else "has a better score"
            apart = f"the {'interval' if near == 1 else 'intervals'} of {count(near)} overlap{'s' if near == 1 else ''} with its own"
            if len(rows) == 1:
                better = f"the one network run, {rows['backbone'].iloc[0]}, has {'a' if ahead else 'no'} better score"
            out.append(
                f"{use}, {found.title(cohort)}: {best['backbone']} reaches {said(best)}; {better}, and "
                f"{apart if near else 'no interval overlaps with its own'}."
            )
    return (
        "Is a network needed at all? Beside them stand methods that need none:\n\n" + fragments.bullets(out)
        if out
        else ""
    )


PIECES = {"which": which}
