"""The answers: paired differences between arms, as sentences, a forest plot and tables, for every page that asks a question.

All of it is read from `results/effects.csv`; the words better, worse, equivalent and cannot tell are that table's.
"""

from __future__ import annotations

import pandas as pd

from modts.cohorts import EXTERNAL
from modts.study import ALL, ASKED, FURTHER, LEADING, METRIC_NAMES, margin, question_name

from . import fragments, plots, tables
from .figures import save
from .prose import count, plural
from .results import SINGLE, Results, at, fractions
from .tables import Cell, Table, labels, signed

WORDS = ("better", "worse", "equivalent", "cannot tell")
FEW = 4  # so many networks are told by name


def legend(rows: pd.DataFrame) -> str:
    """How to read a forest of these effects."""
    mean = "; the diamond is the mean over the backbones of its panel" if (rows["backbone"] == ALL).any() else ""
    return (
        f"A line is a backbone, with its 95 % interval{mean}. Filled: better or worse after the correction for several tests. Grey: differences "
        "too small to matter."
    )


def effects_of(found: Results, cohort: str, profile: str, source: str = "") -> pd.DataFrame:
    """The effects of a cohort in a profile, in the order of the table, on the test that decides: the external one where there is one.

    source : the cohort that a transferred backbone comes from; by default none, and of transfers nothing.
    """
    outside, own = (
        rows[(rows["cohort"] == cohort) & (rows["profile"] == profile) & (rows["source"] == source)]
        for rows in (found.external_effects, found.effects)
    )
    return outside if len(outside) else own


def on_own_splits(found: Results, cohort: str, profile: str) -> pd.DataFrame:
    """The effects of a cohort in a profile on its own test splits, whichever test decides; of transfers nothing."""
    rows = found.effects[(found.effects["cohort"] == cohort) & (found.effects["profile"] == profile)]
    return rows[(rows["test"] == "split") & (rows["source"] == "")]


def said_otherwise(own: dict, deciding: dict) -> dict:
    """Of these rows by question those whose verdict is another than the one that decides."""
    return {name: row for name, row in own.items() if name in deciding and row["verdict"] != deciding[name]["verdict"]}


def singles(rows: pd.DataFrame, question: str) -> pd.DataFrame:
    """Of these effects in AUROC those of one question, backbone by backbone."""
    return rows[(rows["question"] == question) & (rows["metric"] == "auroc") & (rows["backbone"] != ALL)]


def interval(row) -> str:
    """ "−0.002 (−0.012 to +0.007)"."""
    return f"{signed(row['difference'])} ({tables.between(row['low'], row['high'])})"


def span(row) -> str:
    """ "−0.002 (−0.012 to +0.007), equivalent"."""
    return f"{interval(row)}, {fragments.plain(row['verdict'])}"


def tally(rows: pd.DataFrame) -> str:
    """ "one better, five cannot tell": how many of these effects have each verdict."""
    decided = {word: int((rows["verdict"] == word).sum()) for word in WORDS}
    return ", ".join(f"{count(n)} {word}" for word, n in decided.items() if n)


def each(rows: pd.DataFrame) -> str:
    """ "GRU-D equivalent (+0.009), Autoformer worse (−0.037)": a few networks by name, of more how many have each verdict."""
    if len(rows) > FEW:
        return tally(rows)
    return ", ".join(
        f"{fragments.plain(row['backbone'])} {row['verdict']} ({signed(row['difference'])})"
        for _, row in rows.iterrows()
    )


def facts(rows: pd.DataFrame, metrics: tuple[str, ...]) -> list[str]:
    """A sentence a question, in Markdown: the mean over the backbones, each metric and share of labels; and how many alone are decided."""
    out = []
    for question in [name for name in ASKED if (rows["question"] == name).any()]:
        part = rows[rows["question"] == question]
        names = [name for name in dict.fromkeys(part["backbone"]) if name != ALL]
        one = names[0] if len(names) == 1 else ALL
        who = (
            f", {fragments.plain(one)}"
            if one != ALL
            else f", mean of these {plural(len(names), 'backbone')}"
            if names
            else ""
        )
        bits = []
        for metric in metrics:
            some = part[(part["metric"] == metric) & (part["backbone"] == one)]
            shares = "; ".join(
                (f"with {labels(share)} " if len(fractions(part)) > 1 else "") + span(at(some, share).iloc[0])
                for share in fractions(some)
                if len(at(some, share))
            )
            bits += [f"{METRIC_NAMES[metric]} {shares}"] if shares else []
        words = f"**{question_name(question)}**{who}: {'. '.join(bits)}."
        single = part[(part["backbone"] != ALL) & (part["metric"] == metrics[0])]
        if len(names) > 1 and len(single):
            shares = len(fractions(single))
            each = f", each at {count(shares)} shares of the labels" if shares > 1 else ""
            words += f" Backbone by backbone ({METRIC_NAMES[metrics[0]]}{each}): {tally(single)}."
        out.append(words)
    return out


def on_external(rows: pd.DataFrame) -> str:
    """ ", external test" where these effects are of one, for captions."""
    return ", external test" if len(rows) and (rows["test"] == EXTERNAL).all() else ""


def over_cohorts(found: Results, task: str, metrics: tuple[str, ...]) -> str:
    """The random-effects means over the cohorts of a profile; nothing where they are fewer than three, which say nothing of a spread."""
    rows = found.effects
    rows = rows[(rows["cohort"] == ALL) & (rows["task"] == task)]
    out = []
    for profile, part in rows.groupby("profile", sort=False):
        of = found.effects[(found.effects["profile"] == profile) & (found.effects["task"] == task)]
        if of["cohort"].nunique() < 4:  # ALL among them
            continue
        about = (
            f"[profile {fragments.plain(profile)}]{{.modts-badge}} random-effects means with "
            "the interval of Hartung and Knapp; they speak of the cohorts above and of no others.\n"
        )
        said = fragments.bullets(facts(part[~part["question"].isin(FURTHER)], metrics), markup=True)
        out += [
            "## Over these cohorts\n",
            fragments.fold("The means over them, question by question", f"{about}\n{said}"),
            fragments.fold(
                "Further questions",
                fragments.bullets(facts(part[part["question"].isin(FURTHER)], metrics), markup=True),
            ),
        ]
    return "\n".join(out)


def forest(
    found: Results,
    key,
    metric: str,
    stem: str,
    questions=tuple(LEADING),
    share: float | None = None,
    slide: str = "",
    source: str = "",
) -> str:
    """The forest plot of a cohort: a panel a question; nothing where no effect is stored. `share` keeps one share of the labels.

    slide : as in `figures.save`.
    source : as in `effects_of`.
    """
    rows = effects_of(found, *key[:2], source)
    rows = rows[(rows["metric"] == metric) & rows["question"].isin(questions)]
    rows = rows if share is None else at(rows, share)
    if rows.empty:
        return ""
    title = found.title(key[0]) + (f", backbone from {found.title(source)}" if source else "") + on_external(rows)
    panels = [
        (question_name(name), rows[rows["question"] == name], _band(found, key, name, metric, share))
        for name in questions
        if (rows["question"] == name).any()
    ]
    several, alone = share is None and len(fractions(rows)) > 1, rows["backbone"].nunique() == 1
    words = "; ".join(
        question_name(row["question"]) + (f", {labels(row['label_fraction'])}" if several else "") + f", {span(row)}"
        for _, row in (rows if alone else rows[rows["backbone"] == ALL]).iterrows()
    )
    told = (
        f" {fragments.plain(rows['backbone'].iloc[0]) if alone else 'Means over backbones'}: {words}." if words else ""
    )
    of = "" if share is None else f", {labels(share)}"
    return fragments.picture(
        save(
            lambda narrow: plots.forest(panels, metric, narrow),
            stem,
            f"Forest plot of paired differences in {METRIC_NAMES[metric]} on {title}{of}, a panel a question, a line a backbone.{told}",
            f"Paired differences in {METRIC_NAMES[metric]} on {title}{of}. {legend(rows)}",
            fragments.out_dir(),
            slide,
        )
    )


def _band(found: Results, key, question: str, metric: str, share: float | None) -> float:
    """Half the width of what is too small to matter: a fixed one, or a share of the mean error of the arm compared with."""
    arm, head = ASKED[question][1]
    rows = found.summary
    rows = rows[
        (rows["cohort"] == key[0])
        & (rows["profile"] == key[1])
        & (rows["arm"] == arm)
        & (rows["metric"] == metric)
        & (rows["source"] == "")
        & rows["pooling"].isin(SINGLE)
        & (rows["label_fraction"] == (share or 1.0))
    ]
    rows = rows[rows["backbone" if arm == "baseline" else "head"] == head]
    return margin(metric, 0.0 if rows.empty else float(rows["value"].mean()))


def grids(rows: pd.DataFrame, metrics: tuple[str, ...], title: str) -> list[Table]:
    """Questions down, backbones across, a table a metric and share of labels; the further questions have tables of their own, behind."""
    further = rows["question"].isin(FURTHER)
    return [*grids_of(rows[~further], metrics, title), *grids_of(rows[further], metrics, f"{title}, further questions")]


def grids_of(rows: pd.DataFrame, metrics: tuple[str, ...], title: str, asked=tuple(ASKED)) -> list[Table]:
    """These questions down, backbones across, a table a metric and share of labels."""
    out = []
    questions = [name for name in asked if (rows["question"] == name).any()]
    names = tables.backbones_and(ALL, rows)
    for metric in metrics:
        for share in fractions(rows):
            part = at(rows[rows["metric"] == metric], share)
            if part.empty:
                continue
            body: list[list[Cell | str]] = [
                [
                    "All of these" if name == ALL else name,
                    *(
                        _cell(part[(part["backbone"] == name) & (part["question"] == one)], len(names) > 4)
                        for one in questions
                    ),
                ]
                for name in names
            ]
            of = f", {labels(share)}" if len(fractions(rows)) > 1 else ""
            caption = f"Paired differences in {METRIC_NAMES[metric]} with 95 % intervals, {title}{of}"
            out.append(Table(caption, *tables.turn(["Difference", *map(question_name, questions)], body)))
    return out


def _cell(rows: pd.DataFrame, narrow: bool) -> Cell:
    if rows.empty:
        return Cell(tables.NOT_RUN, absent=True)
    row, between = rows.iloc[0], "\n" if narrow else " "
    return Cell(
        signed(row["difference"]),
        f"{tables.bound(row['low'])} to{between}{tables.bound(row['high'])},\n{row['verdict']}",
        title=f"p {row['p']:.2g}, with Holm's correction {row['p_holm']:.2g}",
    )


def downloads(rows: pd.DataFrame, stem: str) -> str:
    """A link to the rows of the effects."""
    return "" if rows.empty else fragments.downloads(f"{stem}-effects", rows, [])
