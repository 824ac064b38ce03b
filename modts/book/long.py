"""The page "Long series": time, memory and error of each backbone against the length of its windows, and where it stops."""

from __future__ import annotations

import pandas as pd

from modts.backbones import SIX

from . import fragments
from .figures import grid, legend, save
from .prose import count, plural
from .results import Results
from .tables import Cell, Table, number

LOOKS = dict(
    zip(
        SIX,
        (("#0072B2", "o"), ("#E69F00", "s"), ("#D55E00", "^"), ("#009E73", "D"), ("#CC79A7", "v"), ("#595959", "P")),
        strict=True,
    )
)
PANELS = {
    "seconds_epoch": ("seconds an epoch", "log"),
    "peak_gb": ("memory in training, GB", "log"),
    "mae": ("error on hidden values", "linear"),
    "head_mae": ("error of the target at every step", "linear"),
}
BESIDE = {"mae": ("line_mae", "linear interpolation"), "head_mae": ("ridge_mae", "ridge regression")}


def long(found: Results) -> str:
    """For each series: where the networks stop, a picture of four panels, a table."""
    if found.long.empty:
        return fragments.note("No long series has been run yet: `python benchmarks/long_series.py` does.")
    return "\n".join(_cohort(found, name, typed(part)) for name, part in found.long.groupby("cohort", sort=False))


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with numbers as numbers, shortest windows first."""
    columns = ["steps", "latents_ms", "minutes", "gigabytes", *PANELS, *(name for name, _ in BESIDE.values())]
    return rows.assign(**{name: pd.to_numeric(rows[name]) for name in columns}).sort_values("steps", kind="stable")


def _cohort(found: Results, name: str, rows: pd.DataFrame) -> str:
    title, said = found.title(name), answer(rows)
    drawn = save(
        lambda narrow: _draw(rows, narrow),
        f"long-{name}",
        f"Four panels of lines on {title}, a line a backbone, against the steps of a window: seconds an epoch, memory, error on hidden values, "
        f"error of the target. {' '.join(said)}",
        f"{title}: the same series cut into windows of each length. Errors in standard deviations of training, with the simple rival dashed.",
        fragments.out_dir(),
    )
    table = _table(rows, title)
    return "\n".join(
        [
            fragments.heading(2, title),
            f"**{said[0]}**\n",
            fragments.bullets(said[1:]),
            fragments.picture(drawn),
            fragments.fold("The values in a table", fragments.tables(table)),
            fragments.fold("Downloads and machines", fragments.downloads(f"long-{name}", rows, [table]) + _made(rows)),
        ]
    )


def answer(rows: pd.DataFrame) -> list[str]:
    """How many backbones go to the longest windows, where the others stop; how time and memory grow; who is ahead of the simple rivals there."""
    longest = int(rows["steps"].max())
    last = rows[rows["steps"] == longest]
    through = last[last["stopped"] == ""]
    who = f"{count(len(through), 'none').capitalize()} of the {plural(len(last), 'backbone')} tried there"
    if len(last) == 1 and len(through):
        who = f"{fragments.plain(last['backbone'].iloc[0])}, the only one of {plural(rows['backbone'].nunique(), 'backbone')} tried there,"
    out = [f"{who} trained on windows of {longest:,} steps."]
    stopped = rows[rows["stopped"] != ""].drop_duplicates("backbone")
    if len(stopped):
        where = "; ".join(f"{row.backbone} at {row.steps:,} ({row.stopped})" for row in stopped.itertuples())
        limit = rows.iloc[0]
        limits = f"{limit['gigabytes']:g} GB a process and {limit['minutes']:g} minutes a pretraining"
        out.append(f"Where the others stop: {where}. The limits were {limits}.")
    for metric, (rival, named) in BESIDE.items():
        some = rows[rows["stopped"] == ""]
        words = []
        for steps, part in some.groupby("steps"):
            ahead = int((part[metric] < part[rival]).sum())
            words.append(f"{ahead} of {len(part)} at {steps:,}")
        out.append(f"{PANELS[metric][0].capitalize()} below that of {named}: {', '.join(words)}.")
    for name, part in rows[rows["stopped"] == ""].groupby("backbone", sort=False):
        if len(part) > 1:
            told = ", ".join(f"{number(row.mae)} at {row.steps:,}" for row in part.itertuples())
            out.append(f"Error on hidden values of {fragments.plain(name)} as windows get longer: {told}.")
    capped = int((pd.to_numeric(rows["capped"]) == 1).sum())
    if capped:
        some = "All" if capped == len(rows) else f"{count(capped).capitalize()} of the"
        ended = f"{some} {plural(len(rows), 'training')} ended at the cap of epochs or of time"
        out.append(f"{ended}: errors might have gone on falling.")
    return out


def _table(rows: pd.DataFrame, title: str) -> Table:
    body = []
    for row in rows.sort_values(["steps"], kind="stable").itertuples():
        cells = [f"{row.steps:,}"]
        for name, digits in (("seconds_epoch", 1), ("peak_gb", 2), ("latents_ms", 1)):
            value = getattr(row, name)
            cells.append(Cell("–", absent=True) if pd.isna(value) else f"{value:,.{digits}f}")
        for metric, (rival, _) in BESIDE.items():
            value = getattr(row, metric)
            cells.append(
                Cell(f"stopped: {row.stopped}", absent=True)
                if row.stopped
                else Cell(number(value), number(getattr(row, rival)))
            )
        body.append([row.backbone, *cells])
    header = [
        "Backbone",
        "Steps",
        "s an epoch",
        "GB",
        "Latents, ms a window",
        "Imputation, interpolation below",
        "Target, ridge below",
    ]
    return Table(f"Windows of each length, {title}", header, body)


def _draw(rows: pd.DataFrame, narrow: bool):
    figure, axes = grid(len(PANELS), narrow, 2.3)
    for axis, (metric, (words, scale)) in zip(axes, PANELS.items(), strict=True):
        for name, (colour, mark) in LOOKS.items():
            some = rows[(rows["backbone"] == name) & rows[metric].notna()]
            axis.plot(some["steps"], some[metric], marker=mark, color=colour, markersize=4.5, linewidth=1.2, label=name)
        if metric in BESIDE:
            rival, named = BESIDE[metric]
            simple = rows.groupby("steps")[rival].mean().dropna()
            axis.plot(simple.index, simple, "--", color="#222222", linewidth=1.2, label=named)
            axis.set_ylim(bottom=0)
        axis.set(title=words, xlabel="steps of a window", xscale="log", yscale=scale)
    legend(figure, axes, narrow)
    return figure


def _made(rows: pd.DataFrame) -> str:
    capped = int((rows["capped"] == 1).sum())
    lead = (
        f"{plural(len(rows), 'training')} of {plural(rows['backbone'].nunique(), 'backbone')}, one initialisation each"
    )
    lead += f", of which {capped} ended at the cap of epochs or of time"
    return f"{lead}; {fragments.made_by(rows, 'minutes')}"
