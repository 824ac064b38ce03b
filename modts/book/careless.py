"""The page "Why near chance?": what careless ways of training end to end do to an AUROC, one thing at a time."""

from __future__ import annotations

import pandas as pd

from . import fragments, verdicts
from .figures import grid, legend, save
from .prose import count, plural
from .results import Results
from .tables import Cell, Table, interval, number

CHANCE = 0.05  # an AUROC that is nearer to one half than this is called chance; one further below is turned over
OURS, AND = "nothing: the study's way", " + "
COLOURS = {"one": ("#9bb8d3", "o"), "mean": ("#0072B2", "D")}


def careless(found: Results) -> str:
    """The answer, a picture and a table of single changes; of pairs what no single change does."""
    rows = means(found.careless)
    if rows.empty:
        return fragments.note("No careless run has been made yet: `python benchmarks/careless.py` makes them.")
    singles = rows[~rows["ways"].str.contains(AND, regex=False)]
    paper = verdicts.near_chance()
    words = answer(singles)
    drawn = save(
        lambda narrow: _draw(found.careless, singles, paper, narrow),
        "careless",
        f"Dots of AUROC on test stays, a row a careless change, a panel a network. {' '.join(words)}",
        "AUROC on test stays after training on a tenth of the labels, with one thing done carelessly: each split, and their mean. "
        "Dotted: a coin. Dashed: the paper's figure.",
        fragments.out_dir(),
    )
    out = [f"**{words[0]}**\n", fragments.bullets(words[1:]), fragments.picture(drawn)]
    table = _table(singles)
    out.append(fragments.fold("The values in a table", fragments.tables(table)))
    both = pairs(rows, singles)
    out += [fragments.heading(2, "Two things at a time"), fragments.bullets(both)] if both else []
    out.append(
        fragments.fold(
            "Downloads and machines", fragments.downloads("careless", found.careless, [table]) + _made(found.careless)
        )
    )
    return "\n".join(out)


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a backbone and a set of changes ("" for none): mean, low and high AUROC over the splits, and how many there are."""
    some = rows.assign(value=rows["test"].astype(float)).groupby(["backbone", "ways"], sort=False)["value"]
    return some.agg(mean="mean", low="min", high="max", n="size").reset_index()


def _at_chance(row) -> bool:
    return abs(row["mean"] - 0.5) <= CHANCE


def _turned_over(row) -> bool:
    return row["mean"] < 0.5 - CHANCE


def answer(singles: pd.DataFrame) -> list[str]:
    """Which single changes take each network to chance, or turn its score over; then what it has without them, and what the others cost."""
    lead, rest, paper = [], [], verdicts.near_chance()
    for backbone, part in singles.groupby("backbone", sort=False):
        changed, ours = part[part["ways"] != ""].sort_values("mean"), part[part["ways"] == ""]
        there, over = (
            changed[[bool(which(row)) for _, row in changed.iterrows()]] for which in (_at_chance, _turned_over)
        )
        many = count(len(there), "none")
        figure = f", where the paper's {number(paper[backbone])} lies" if backbone in paper else ""
        words = f"Of {plural(len(changed), 'careless way')}, {many} {'takes' if len(there) < 2 else 'take'} end-to-end {backbone} to chance"
        words += f"{figure}{': ' * bool(len(there))}{_named(there)}"
        words += f"; {count(len(over))} {'turns' if len(over) == 1 else 'turn'} its score over: {_named(over)}" * bool(
            len(over)
        )
        lead.append(f"{words}.")
        if len(ours):
            row, others = ours.iloc[0], changed.drop([*there.index, *over.index])
            span = f"{number(row['low'])} to {number(row['high'])} over {plural(int(row['n']), 'split')}"
            said = f"Trained the study's way, {backbone} has {number(row['mean'])} ({span})"
            if len(others):
                worst = others.iloc[0]
                said += f"; of the other ways the worst is “{worst['ways']}” with "
                said += f"{number(worst['mean'])} ({number(worst['low'])} to {number(worst['high'])})"
            rest.append(f"{said}.")
    missing = sorted(set(paper) - set(singles["backbone"]))
    rest += [f"{' and '.join(missing)}, of which the paper says the same, has not been tried yet."] if missing else []
    return [*lead, *rest]


def _named(rows: pd.DataFrame) -> str:
    return ", ".join(f"{row['ways']} ({number(row['mean'])})" for _, row in rows.iterrows())


def pairs(rows: pd.DataFrame, singles: pd.DataFrame) -> list[str]:
    """Of the pairs that were run, those that end at chance though neither of the two does alone."""
    out = []
    for backbone, part in rows[rows["ways"].str.contains(AND, regex=False)].groupby("backbone", sort=False):
        alone = {row["ways"] for _, row in singles[singles["backbone"] == backbone].iterrows() if _at_chance(row)}
        new = [row for _, row in part.iterrows() if _at_chance(row) and not alone & set(row["ways"].split(AND))]
        named = "; ".join(f"{row['ways']} ({number(row['mean'])})" for row in new)
        out.append(
            f"{backbone}: of {plural(len(part), 'pair')}, {count(len(new), 'none')} at chance of which neither half is alone"
            f"{': ' if named else ''}{named}."
        )
    return out


def _table(singles: pd.DataFrame) -> Table:
    names = list(dict.fromkeys(singles["backbone"]))
    body = []
    for way in _order(singles):
        cells = []
        for name in names:
            some = singles[(singles["backbone"] == name) & (singles["ways"] == way)]
            row = some.iloc[0] if len(some) else None
            cells.append(
                Cell("–", absent=True) if row is None else Cell(number(row["mean"]), interval(row["low"], row["high"]))
            )
        body.append([way or OURS, *cells])
    return Table(
        "AUROC on test stays, 10 % of the labels: mean, and lowest to highest split", ["Done carelessly", *names], body
    )


def _order(singles: pd.DataFrame) -> list[str]:
    """The study's way first, then the changes from the most harmless."""
    mean = singles[singles["ways"] != ""].groupby("ways")["mean"].mean().sort_values(ascending=False)
    return ["", *mean.index]


def _draw(rows: pd.DataFrame, singles: pd.DataFrame, paper: dict[str, float], narrow: bool):
    names, ways = list(dict.fromkeys(singles["backbone"])), _order(singles)
    figure, axes = grid(len(names), narrow, 0.8 + 0.26 * len(ways), sharex=True, sharey=not narrow)
    for axis, name in zip(axes, names, strict=True):
        some = rows[(rows["backbone"] == name) & rows["ways"].isin(ways)]
        mine = singles[singles["backbone"] == name]
        for part, values, label in ((some, some["test"].astype(float), "one"), (mine, mine["mean"], "mean")):
            colour, mark = COLOURS[label]
            words = "a split" if label == "one" else "mean of the splits"
            axis.plot(values, [ways.index(way) for way in part["ways"]], mark, color=colour, markersize=5, label=words)
        axis.axvline(0.5, color="#222222", linewidth=1, linestyle=":", label="a coin")
        if name in paper:
            axis.axvline(paper[name], color="#D55E00", linewidth=1.2, linestyle="--", label="the paper's figure")
        axis.set(
            title=name, xlabel="AUROC on test stays", yticks=range(len(ways)), yticklabels=[way or OURS for way in ways]
        )
        axis.set_ylim(len(ways) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
    legend(figure, axes, narrow)
    return figure


def _made(rows: pd.DataFrame) -> str:
    return f"{plural(len(rows), 'run')}, {fragments.made_by(rows, 'minutes of one core')}"
