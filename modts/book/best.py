"""The page "At its best": the latents of every backbone of the study beside simple statistics, against boosted trees on these alone."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.ticker import MaxNLocator

from modts.cohorts import EXTERNAL
from modts.study import METRIC_NAMES, margin

from . import effects, fragments
from .figures import grid, legend, save
from .prose import count, listed
from .results import Results
from .tables import Cell, Table, between, interval, number, percent, signed

ALL, SHARE, LATENTS = "all of them", "share of ", "share of any latents"
GOALS = {1.0: 0.01, 0.1: 0.03}  # what the study had set itself, AUROC over boosted trees
TESTS = {EXTERNAL: "external test", "split": "the cohort's own test splits"}


def best(found: Results) -> str:
    """The answer on the test that decides, a picture of what each ingredient is worth, the numbers in boxes."""
    rows = typed(found.best)
    if rows.empty:
        return fragments.note(
            "Nothing has been put together yet: `python benchmarks/best.py` does, after `modts grid best`."
        )
    said, main = answer(rows), rows[(rows["metric"] == "auroc") & (rows["test"] == EXTERNAL)]
    drawn = save(
        lambda narrow: _draw(main, narrow),
        "best",
        "Dots with intervals: how far the AUROC of each mixture lies from boosted trees on statistics, a panel a share of the labels. "
        + " ".join(said),
        "Difference in AUROC from boosted trees on statistics, PhysioNet 2012 (set-a), external test, with 95 % intervals: all ingredients, "
        "without some, and each alone. Dotted: what the study had set itself.",
        fragments.out_dir(),
    )
    tables = [_table(rows, metric, test) for test in TESTS for metric in ("auroc", "auprc")]
    boxes = fragments.tables(*tables)
    return "\n".join(
        [
            f"**{said[0]}**\n",
            fragments.bullets(said[1:]),
            fragments.picture(drawn),
            fragments.fold("Every mixture, test and metric", boxes),
            fragments.fold("Downloads and runs", fragments.downloads("best", rows, tables) + _made(rows)),
        ]
    )


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with numbers as numbers."""
    names = ("value", "low", "high", "difference", "low_difference", "high_difference", "p", "splits", "draws")
    return rows.assign(**{name: pd.to_numeric(rows[name], errors="coerce") for name in ("label_fraction", *names)})


def answer(rows: pd.DataFrame) -> list[str]:
    """What all ingredients together reach, over boosted trees; whether that is what was aimed at; and the ingredient that is worth most."""
    rows = rows[rows["metric"] == "auroc"]
    own = rows[(rows["recipe"] == ALL) & (rows["test"] == "split")].sort_values("label_fraction", ascending=False)
    rows = rows[rows["test"] == EXTERNAL]
    whole = rows[rows["recipe"] == ALL].sort_values("label_fraction", ascending=False)
    names = listed(whole["backbones"].iloc[0].split())
    parts = [
        f"{number(row.value)} with {effects.labels(row.label_fraction)}, {span(row)}{_small(row)}"
        for row in whole.itertuples()
    ]
    out = [
        f"Put together, latents of a frozen {names} and simple statistics reach an AUROC of {'; and '.join(parts)} over boosted trees on "
        "statistics alone."
    ]
    if len(own):
        said = [f"{span(row)} with {effects.labels(row.label_fraction)}" for row in own.itertuples()]
        out.append(f"On the cohort's own test splits: {'; '.join(said)}.")
    for share, part in rows.groupby("label_fraction", sort=False):
        worth = part[part["recipe"].str.startswith(SHARE)].set_index("recipe")
        latents = worth.loc[LATENTS]
        sure = latents["low_difference"] > 0
        words = (
            "the latents add"
            if sure
            else "what the latents add is"
            if _small(latents)
            else "it cannot be told whether the latents add anything:"
        )
        single = worth.drop(index=LATENTS)
        most = single.loc[single["difference"].idxmax()]
        out.append(
            f"With {effects.labels(share)}, {words} {span(latents)}{_small(latents)}. No single ingredient adds more than "
            f"{most.name.removeprefix(SHARE)}, {span(most)}: the largest of {count(len(single))}, looked for afterwards, without a correction."
        )
    aims = []
    for row in whole[whole["label_fraction"].isin(GOALS)].itertuples():
        goal = GOALS[row.label_fraction]
        aims.append(f"{signed(goal, 2)} with {effects.labels(row.label_fraction)} {_aimed(row, goal)}")
    out.append(f"What the study had set itself, over the trees: {'; '.join(aims)}.")
    return out


def _aimed(row, goal: float) -> str:
    """Whether a goal is reached, by the interval."""
    if row.low_difference <= goal <= row.high_difference:
        return "lies inside the interval, so whether it is reached cannot be told"
    return "is reached" if row.difference > goal else "is not reached"


def _small(row) -> str:
    reach = max(abs(row.low_difference), abs(row.high_difference))
    return ", too small to matter" if reach < margin("auroc", 0.0) else ""


def span(row) -> str:
    return f"{signed(row.difference)} ({between(row.low_difference, row.high_difference)})"


def _table(rows: pd.DataFrame, metric: str, test: str) -> Table:
    some = rows[(rows["metric"] == metric) & (rows["test"] == test) & ~rows["recipe"].str.startswith(SHARE)]
    shares = list(dict.fromkeys(some["label_fraction"]))
    body = []
    for recipe, part in some.groupby("recipe", sort=False):
        cells = []
        for share in shares:
            row = part[part["label_fraction"] == share].iloc[0]
            cells += [
                Cell(number(row["value"]), interval(row["low"], row["high"])),
                Cell(signed(row["difference"]), between(row["low_difference"], row["high_difference"])),
            ]
        body.append([recipe, *cells])
    header = [words for share in shares for words in (f"{percent(share)} of labels", "minus trees")]
    return Table(
        f"{METRIC_NAMES[metric]} of mixtures, PhysioNet 2012 (set-a), {TESTS[test]}", ["Mixture", *header], body
    )


def _draw(rows: pd.DataFrame, narrow: bool):
    rows = rows[~rows["recipe"].str.startswith(SHARE)]
    shares, names = list(dict.fromkeys(rows["label_fraction"])), list(dict.fromkeys(rows["recipe"]))
    figure, axes = grid(len(shares), narrow, 0.9 + (0.3 if narrow else 0.24) * len(names), sharey=not narrow)
    for axis, share in zip(axes, shares, strict=True):
        part = rows[rows["label_fraction"] == share].set_index("recipe").loc[names]
        for kind, colour, mark in (("all", "#D55E00", "D"), ("without", "#009E73", "s"), ("alone", "#0072B2", "o")):
            some = [name for name in names if _kind(name) == kind]
            values = part.loc[some]
            wide = [values["difference"] - values["low_difference"], values["high_difference"] - values["difference"]]
            words = {"all": "all ingredients", "without": "without some", "alone": "one alone"}[kind]
            axis.errorbar(
                values["difference"],
                [names.index(name) for name in some],
                xerr=wide,
                fmt=mark,
                color=colour,
                markersize=5,
                label=words,
            )
        axis.axvline(0, color="#222222", linewidth=1)
        if share in GOALS:
            axis.axvline(GOALS[share], color="#222222", linewidth=1, linestyle=":", label="what was aimed at")
        axis.set(
            title=f"{percent(share)} of labels",
            xlabel="AUROC minus trees",
            yticks=range(len(names)),
            yticklabels=[textwrap.fill(name, 26 if narrow else 60) for name in names],
        )
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.tick_params(axis="y", labelsize=6.5 if narrow else 7.5)
        axis.xaxis.set_major_locator(MaxNLocator(4))
    legend(figure, axes, narrow)
    return figure


def _kind(recipe: str) -> str:
    return "all" if recipe == ALL else "without" if recipe.startswith("without ") else "alone"


def _made(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    runs = ", ".join(f"`{name}`" for name in str(row["runs"]).split())
    made = f"{row['splits']:.0f} splits; predictions of {runs}; code {fragments.plain(row['code'])}"
    return f"{made}. A resample draws splits, draws of labels and stays.\n"
