"""The page "Which gaps?": every pattern of pretraining against every pattern of the test, and what the heads make of each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import fragments
from .figures import grid, legend, save
from .prose import count, listed, plural
from .results import Results
from .tables import Cell, Table, number, percent

NAMES = {
    "point": "MCAR, single values",
    "mar": "MAR",
    "mnar_x": "MNAR, high values",
    "block": "blocks",
    "sequence": "runs of steps",
    "natural": "natural gaps",
}
REALLY, RATE = "really missing", 0.3
MADE_UP = "These stays are simulated: the truth under every gap is known, and nothing is proved about real ones.\n"
CLOSE = 0.02  # errors that are nearer to each other are told as alike
MARKS = dict(
    zip(
        NAMES,
        (("#0072B2", "o"), ("#E69F00", "s"), ("#D55E00", "^"), ("#009E73", "D"), ("#56B4E9", "v"), ("#CC79A7", "P")),
        strict=True,
    )
)


def missingness(found: Results) -> str:
    """For each cohort: the answer, the picture of pattern by pattern, the heads, and the numbers in boxes."""
    if found.missingness.empty:
        return fragments.note("No pattern has been crossed yet: `python benchmarks/missingness.py` does.")
    parts = found.missingness.groupby("cohort", sort=False)
    first, *others = sorted(
        parts, key=lambda pair: (pair[0].startswith("simulated"), not pair[0].startswith("physionet"))
    )
    out = [*_cohort(found, *first)]
    for name, part in others:
        lead, rest = _cohort(found, name, part)
        out += [lead, fragments.fold("All answers, the picture, the tables", rest)]
    return "\n".join(out)


def _cohort(found: Results, name: str, rows: pd.DataFrame) -> tuple[str, str]:
    """The heading with the answer, and all else."""
    title, crossed = found.title(name), table(rows)
    said = [*answer(crossed), *beside(crossed), *other_rates(rows), *heads(rows)]
    said[0] = f"With {percent(RATE)} of the values hidden: {said[0][0].lower()}{said[0][1:]}"
    of = rows.loc[rows["trained"] != "", "seed"].nunique()
    splits = "one split" if of == 1 else f"mean over {plural(of, 'split')}"
    drawn = save(
        lambda narrow: _draw(crossed, narrow),
        f"missingness-{name}",
        f"A grid of numbers a network on {title}: rows are the gaps it was pretrained on, columns those it fills, shade and number its error "
        f"as a multiple of the best in the column. {' '.join(said)}",
        f"{title}: error on values hidden by each pattern (across) of a network pretrained on each pattern (down), as a multiple of the "
        f"best in the column; {percent(RATE)} of the values hidden, {splits}.",
        fragments.out_dir(),
    )
    made_up = [MADE_UP] if name.startswith("simulated") else []
    out = [
        fragments.heading(2, title),
        *made_up,
        f"**{said[0]}**\n",
        fragments.bullets(said[1:]),
        fragments.picture(drawn),
    ]
    tables = [_errors(crossed, title), *_rates(rows, title)]
    boxes = fragments.tables(*tables)
    out.append(fragments.fold("The errors in tables, at every share hidden", boxes))
    if (rows["metric"] == "auroc").any():
        out.append(fragments.fold("The heads in a picture", fragments.picture(_heads_picture(rows, name, title))))
    out.append(
        fragments.fold("Downloads and machines", fragments.downloads(f"missingness-{name}", rows, tables) + _made(rows))
    )
    lead = 2 + len(made_up)
    return "\n".join(out[:lead]), "\n".join(out[lead:])


def table(rows: pd.DataFrame, rate: float = RATE) -> pd.DataFrame:
    """Mean error over the splits: (backbone, trained) down, patterns asked across; simple imputers are trained on nothing ("")."""
    rows = rows[(rows["metric"] == "mae") & ((rows["rate"] == str(rate)) | (rows["scored"] == REALLY))]
    made = rows.assign(value=rows["value"].astype(float)).pivot_table(
        "value", ["backbone", "trained"], "scored", sort=False
    )
    return made[[name for name in (*NAMES, REALLY) if name in made]]


def _networks(crossed: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(name for name, trained in crossed.index if trained))


def answer(crossed: pd.DataFrame) -> list[str]:
    """Which pretraining is best over all gaps; and what a network pretrained on single values loses on each other kind against its own."""
    out, stuck = [], _unlearnt(crossed)
    for name in _networks(crossed):
        mine = crossed.loc[name]
        if "point" not in mine.index or len(mine) < 2:
            continue
        own = pd.Series(
            {
                gap: mine.loc["point", gap] / mine.loc[gap, gap] - 1
                for gap in mine.index
                if gap != "point" and gap in mine and (name, gap) not in stuck
            }
        )
        if own.empty:
            continue
        worst = own.idxmax()
        lead = f"{fragments.plain(name)} pretrained on single values"
        untold = [NAMES[gap] for gap in mine.columns if gap in NAMES and gap != "point" and gap not in own]
        beside = f" Pretraining on {listed(untold)} was not run, or taught it nothing." if untold else ""
        if own[worst] < CLOSE:
            kinds = "every other kind of gap" if not untold else listed([NAMES[gap] for gap in own.index])
            that = "that kind" if len(own) > 1 else "these"
            out.append(
                f"{lead} fills {kinds} as well as one pretrained on {that}, within {percent(CLOSE)}, or better.{beside}"
            )
            continue
        real = f", on natural gaps {_more(own['natural'])}" if "natural" in own and worst != "natural" else ""
        out.append(f"{lead} has, on {NAMES[worst]}, {_more(own[worst])} than when it is pretrained on these{real}.")
    by = _above_best(crossed)
    if len(by) > 1:
        near, far = (percent(round(value - 1, 2)) for value in (by.min(), by.max()))
        first = [NAMES[name] for name in by.sort_values().index if percent(round(by[name] - 1, 2)) == near]
        verb = "is" if len(first) == 1 else "are"
        out.insert(
            0,
            f"Over all gaps asked, pretraining on {' and on '.join(first)} {verb} nearest to the best: {near} above "
            f"it on average; {NAMES[by.idxmax()]} is farthest, {far} above{_of_few(crossed, by)}.",
        )
    return out or ["Only one pattern has been pretrained on so far."]


def _of_few(crossed: pd.DataFrame, by: pd.Series) -> str:
    """How many kinds stand beside each other, where not every kind that is asked was pretrained on by every network."""
    asked = sum(gap in NAMES for gap in crossed)
    return f" (of the {count(len(by))} kinds that every network was pretrained on)" if len(by) < asked else ""


def _above_best(crossed: pd.DataFrame) -> pd.Series:
    """For each pattern that every network was pretrained on: its error as a multiple of the best one's, mean over gaps and networks."""
    names = _networks(crossed)
    ratio = pd.concat([_ratios(crossed, name) for name in names], keys=names)
    by = ratio.mean(axis=1).groupby(level=1, sort=False).mean()
    return by[ratio.groupby(level=1).size().reindex(by.index) == len(names)]


def other_rates(rows: pd.DataFrame) -> list[str]:
    """Whether the order is another with fewer or more values hidden: the pretraining nearest to the best, and single values beside it."""
    out = []
    for rate in sorted({float(rate) for rate in rows.loc[rows["metric"] == "mae", "rate"] if rate} - {RATE}):
        by = _above_best(table(rows, rate))
        if len(by) > 1 and "point" in by:
            words = f"with {percent(rate)} hidden, {NAMES[by.idxmin()]} ({percent(round(by.min() - 1, 3))} above it)"
            out.append(words + f", single values {percent(round(by['point'] - 1, 3))}" * (by.idxmin() != "point"))
    return [f"Nearest to the best at other shares: {'; '.join(out)}."] if out else []


def beside(crossed: pd.DataFrame) -> list[str]:
    """Where linear interpolation, which learns nothing, has less error than every network; and which networks did not learn from their gaps."""
    out, best = [], crossed.loc[[name for name in crossed.index if name[1]]].min()
    if ("Linear interpolation", "") in crossed.index:
        ahead = best > crossed.loc[("Linear interpolation", "")]
        rest = [NAMES.get(gap, gap) for gap in crossed.columns if not ahead[gap]]
        where = f"{plural(int(ahead.sum()), 'kind')} of gaps of {len(ahead)}" if ahead.any() else "no kind of gaps"
        where = f"all gaps but {' and '.join(rest)}" if ahead.any() and len(rest) < 3 else where
        where = where if rest else "all gaps"
        out.append(f"Linear interpolation, which learns nothing, has less error than every network on {where}.")
    stuck = _unlearnt(crossed)
    if stuck:
        named = " and ".join(f"{fragments.plain(name)} on {NAMES[trained]}" for name, trained in stuck)
        out.append(f"Did not learn from what was hidden, and has the error of the mean there: {named}.")
    return out


def _unlearnt(crossed: pd.DataFrame) -> list[tuple[str, str]]:
    """(network, pattern) whose error on its own pattern is that of the mean."""
    if ("Mean", "") not in crossed.index:
        return []
    mean = crossed.loc[("Mean", "")]
    learnt = [one for one in crossed.index if one[1] in crossed]
    return [one for one in learnt if crossed.loc[one, one[1]] > (1 - CLOSE) * mean[one[1]]]


def on_natural(crossed: pd.DataFrame) -> pd.Series:
    """For each network: its error on natural gaps pretrained on single values, above that pretrained on natural gaps, as a share of it."""
    both = [
        name
        for name in _networks(crossed)
        if {"point", "natural"} <= set(crossed.loc[name].index) and "natural" in crossed
    ]
    return pd.Series(
        {
            name: crossed.loc[(name, "point"), "natural"] / crossed.loc[(name, "natural"), "natural"] - 1
            for name in both
        },
        dtype=float,
    )


def _ratios(crossed: pd.DataFrame, name: str) -> pd.DataFrame:
    """Errors of a network as multiples of the best in each column."""
    mine = crossed.loc[name]
    return mine / mine.min()


def _more(share: float) -> str:
    return f"{percent(round(abs(share), 2))} {'more' if share >= 0 else 'less'} error"


def heads(rows: pd.DataFrame) -> list[str]:
    """How far the AUROC of a linear head moves between the pretrainings, beside how far it moves between splits."""
    rows = rows[rows["metric"] == "auroc"]
    rows, out = rows.assign(value=rows["value"].astype(float)), []
    for share, part in rows.groupby("rate", sort=False):
        wide = part.pivot_table("value", ["backbone", "trained"], "seed", sort=False).dropna()
        if wide.shape[1] < 2:
            continue
        mean = wide.mean(axis=1)
        names = [name for name in dict.fromkeys(mean.index.get_level_values(0)) if len(mean[name]) > 1]
        gaps = [mean[name].max() - mean[name].min() for name in names]
        if gaps:
            apart = wide.max(axis=1) - wide.min(axis=1)
            several = len(names) > 1
            whose = "a network" if several else fragments.plain(names[0])
            far = (
                f"{number(np.mean(gaps))} on average and {number(max(gaps))} at most"
                if several
                else f"{number(gaps[0])} at most"
            )
            out.append(
                f"Heads on the latents, {percent(float(share))} of the labels: between {whose}'s pretrainings the AUROC moves by {far}, "
                f"between the splits of one pretraining by {number(apart.mean())} on average and {number(apart.max())} at most. "
                f"{plural(wide.shape[1], 'split').capitalize()} are too few to test "
                "the pretrainings in pairs."
            )
    return out


def _errors(crossed: pd.DataFrame, title: str) -> Table:
    body = []
    for (name, trained), row in crossed.iterrows():
        best = crossed.loc[name].min() if trained else row + np.nan
        cells = [
            Cell("–", absent=True) if np.isnan(value) else Cell(number(value), bold=bool(value == best[gap]))
            for gap, value in row.items()
        ]
        body.append([f"{name}, {NAMES[trained]}" if trained else name, *cells])
    header = ["Network, pretrained on", *(NAMES.get(gap, gap) for gap in crossed)]
    return Table(
        f"Error on hidden values, {title}, {percent(RATE)} hidden (bold: the best pretraining of a network)",
        header,
        body,
    )


def _rates(rows: pd.DataFrame, title: str) -> list[Table]:
    """Error against the share hidden, for networks pretrained on single values and on the pattern itself."""
    rows = rows[(rows["metric"] == "mae") & (rows["scored"] != REALLY)]
    rows, out = rows.assign(value=rows["value"].astype(float), hidden=rows["hidden"].astype(float)), []
    for gap in NAMES:
        some = rows[(rows["scored"] == gap) & rows["trained"].isin(("", "point", gap))]
        if some.empty:
            continue
        wide = some.pivot_table("value", ["backbone", "trained"], "rate", sort=False)
        shares = some.groupby("rate", sort=False)["hidden"].mean()[wide.columns]
        body = [
            [f"{name}, {NAMES[trained]}" if trained else name, *map(number, row)]
            for (name, trained), row in wide.iterrows()
        ]
        out.append(
            Table(
                f"Error on {NAMES[gap]}, {title}, by the share hidden",
                ["Network, pretrained on", *(_hidden(share, float(rate)) for rate, share in shares.items())],
                body,
            )
        )
    return out


def _hidden(share: float, rate: float) -> str:
    """The share that was hidden; and what was asked for, where a pattern cannot hide as much."""
    told = percent(round(share, 2))
    return told if abs(share - rate) < 0.02 else f"{told} (asked: {percent(rate)})"


def _draw(crossed: pd.DataFrame, narrow: bool):
    names = _networks(crossed)
    asked = [gap for gap in NAMES if gap in crossed]
    figure, axes = grid(len(names), narrow, 3.0, sharey=not narrow)
    for place, (axis, name) in enumerate(zip(axes, names, strict=True)):
        if narrow or place % 2 == 0:
            axis.set_ylabel("pretrained on")
        values = _ratios(crossed, name)[asked]
        axis.imshow(np.clip(values, 1, 1.5), cmap="Blues", vmin=1, vmax=1.6, aspect="auto")
        for (row, column), value in np.ndenumerate(values.to_numpy()):
            axis.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value > 1.35 else "#222222",
            )
        axis.set_xticks(range(len(asked)), [NAMES[gap] for gap in asked], rotation=40, ha="right", fontsize=7.5)
        axis.set_yticks(range(len(values)), [NAMES[gap] for gap in values.index], fontsize=7.5)
        axis.set(title=name, xlabel="gaps that it fills")
        axis.grid(visible=False)
    return figure


def _heads_picture(rows: pd.DataFrame, name: str, title: str):
    rows = rows[rows["metric"] == "auroc"]
    mean = (
        rows.assign(value=rows["value"].astype(float))
        .groupby(["backbone", "trained", "rate"], sort=False)["value"]
        .mean()
        .reset_index()
    )
    shares = list(dict.fromkeys(mean["rate"]))
    networks = list(dict.fromkeys(mean["backbone"]))

    def draw(narrow: bool):
        figure, axes = grid(len(shares), narrow, 1.5 + 0.35 * len(networks), sharey=not narrow)
        for axis, share in zip(axes, shares, strict=True):
            for gap, (colour, mark) in MARKS.items():
                some = mean[(mean["rate"] == share) & (mean["trained"] == gap)]
                axis.plot(
                    some["value"],
                    [networks.index(one) for one in some["backbone"]],
                    mark,
                    color=colour,
                    markersize=5,
                    label=NAMES[gap],
                )
            axis.set(
                title=f"{percent(float(share))} of labels",
                xlabel="AUROC on test stays",
                yticks=range(len(networks)),
                yticklabels=networks,
            )
            axis.set_ylim(len(networks) - 0.5, -0.5)
        legend(figure, axes, narrow)
        return figure

    words = "; ".join(
        f"{row.backbone}, {NAMES[row.trained]}, {percent(float(row.rate))}: {number(row.value)}"
        for row in mean.itertuples()
    )
    return save(
        draw,
        f"missingness-heads-{name}",
        f"Dots of AUROC on {title}, a row a network, a mark a pattern of pretraining. {words}.",
        f"AUROC of a linear head on the latents of each pretraining, {title}, mean over the splits.",
        fragments.out_dir(),
    )


def _made(rows: pd.DataFrame) -> str:
    each = rows.drop_duplicates(["cohort", "backbone", "seed", "trained"])
    capped, trained = int((each["capped"] == 1).sum()), each[each["trained"] != ""]
    lead = f"{plural(len(trained), 'pretraining')} on {plural(rows['seed'].nunique(), 'split')}, of which {capped} ended at the cap of epochs"
    return f"{lead}; {fragments.made_by(each, 'minutes of one core')}"
