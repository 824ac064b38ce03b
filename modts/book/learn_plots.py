"""The pictures of the chapters under "Learn": a window with its gaps, maps of what was measured, what each mechanism does."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from modts.cohorts import Cohort

from .figures import NARROW, WIDE, grid, legend
from .learn_numbers import EXCEPTION, FEATURES, MECHANISMS, observed, stays

SEEN, LOST, THIRD, GREY = "#0072B2", "#D55E00", "#009E73", "#8c8c8c"
WINDOW = ("HR", "MAP", "Temp", "Lactate")  # what the picture of one window shows
NAMES = {
    "HR": "Pulse",
    "MAP": "Blood pressure",
    "RespRate": "Breathing rate",
    "Temp": "Temperature",
    "SaO2": "Oxygen saturation",
    # the ward's own names
    "hr": "Pulse",
    "map": "Blood pressure",
    "resp": "Breathing rate",
    "temp": "Temperature",
    "o2sat": "Oxygen saturation",
    "crea": "Creatinine",
    "wbc": "WBC",
    "plt": "Platelets",
    "glu": "Glucose",
}


def name_of(variable: str) -> str:
    """A variable in a reader's words."""
    return NAMES.get(variable, variable)


def _series(axis, cohort: Cohort, stay: int, variable: str) -> None:
    f = cohort.features.index(variable)
    truth, seen = cohort.truth[stay, :, f], ~np.isnan(cohort.X[stay, :, f])
    hours = np.arange(cohort.n_steps)
    axis.plot(hours, truth, color="#c4c4c4", linewidth=1, label="what really happened")
    axis.plot(hours[~seen], truth[~seen], "o", color=LOST, markersize=3.6, markerfacecolor="none", label="missing")
    axis.plot(hours[seen], truth[seen], "o", color=SEEN, markersize=3.8, label="measured")
    axis.set(xlim=(-1, cohort.n_steps), xticks=range(0, cohort.n_steps, 12))


def window(stay: int, narrow: bool) -> Figure:
    """One stay: some variables over time, measured values filled, missing ones hollow."""
    cohort = stays()
    figure, axes = grid(len(WINDOW), narrow, 1.5, sharex=True)
    for axis, variable in zip(axes, WINDOW, strict=True):
        _series(axis, cohort, stay, variable)
        axis.set_title(f"{name_of(variable)}, {cohort.units[cohort.features.index(variable)]}")
    for axis in axes[-1:] if narrow else axes[-2:]:
        axis.set_xlabel("hour of the stay")
    legend(figure, axes, narrow, 3)
    return figure


def lost(stay: int, variable: str, narrow: bool) -> Figure:
    """The same variable of the same stay, a panel for each way of losing values."""
    figure, axes = grid(len(MECHANISMS), narrow, 1.5, sharex=True, sharey=True)
    for axis, (mechanism, words) in zip(axes, MECHANISMS.items(), strict=True):
        _series(axis, stays(mechanism), stay, variable)
        axis.set_title(words)
    unit = stays().units[stays().features.index(variable)]
    for axis in axes if narrow else axes[::2]:
        axis.set_ylabel(f"{name_of(variable)}, {unit}")
    for axis in axes[-1:] if narrow else axes[-2:]:
        axis.set_xlabel("hour of the stay")
    legend(figure, axes, narrow, 3)
    return figure


def maps(cohorts: list[Cohort], narrow: bool) -> Figure:
    """A map for each cohort: variables down, steps across, colour for the share of windows that hold a value there."""
    heights = [0.55 + 0.17 * cohort.n_features for cohort in cohorts]
    figure = Figure(figsize=(NARROW if narrow else WIDE * 0.8, sum(heights) + 0.7), layout="constrained")
    axes = figure.subplots(len(cohorts), 1, height_ratios=heights)
    for axis, cohort in zip(axes, cohorts, strict=True):
        shares = observed(cohort)
        drawn = axis.pcolormesh(
            np.arange(shares.shape[1] + 1) - 0.5,
            np.arange(shares.shape[0] + 1) - 0.5,
            shares,
            cmap="cividis",
            vmin=0,
            vmax=1,
            edgecolors="face",  # no hairlines between the cells
            linewidth=0.3,
        )
        axis.set(
            title=cohort.title,
            yticks=range(cohort.n_features),
            yticklabels=[name_of(name).replace("_", " ") for name in cohort.features],
            xticks=range(0, cohort.n_steps, 12 if cohort.n_steps > 24 else 6),
        )
        axis.tick_params(axis="y", labelsize=8, length=0)
        axis.invert_yaxis()
        axis.grid(visible=False)
    axes[-1].set_xlabel("hour")
    bar = figure.colorbar(drawn, ax=axes, location="top", aspect=40, shrink=0.8, ticks=(0, 0.5, 1))
    bar.ax.set_xticklabels(["never", "half the time", "always"])
    return figure


def _rows(axis, names) -> None:
    axis.set(yticks=range(len(names)), yticklabels=names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)


def bias(means: pd.DataFrame, narrow: bool) -> Figure:
    """How far the mean of the observed values is off, by variable, one mark for each mechanism."""
    names = list(dict.fromkeys(means["variable"]))
    figure, (axis,) = grid(1, narrow, 4.1)
    for (mechanism, words), colour, mark in zip(
        MECHANISMS.items(), (GREY, THIRD, LOST, SEEN), ("x", "^", "D", "o"), strict=True
    ):
        part = means[means["mechanism"] == mechanism].set_index("variable").loc[names]
        axis.plot(part["bias"], range(len(names)), mark, color=colour, markersize=5.5, label=words)
    _rows(axis, [name_of(name) for name in names])
    axis.axvline(0, color="#222222", linewidth=1)
    axis.set_xlabel(
        "too low   ←   mean of the measured values, in standard deviations   →   too high"
        if not narrow
        else "off by so many standard deviations"
    )
    legend(figure, [axis], narrow, 2 if narrow else 4)
    return figure


def optimism(errors: pd.DataFrame, narrow: bool) -> Figure:
    """For each simple imputer, a panel: the error one can see beside the error under the real gaps, by mechanism."""
    imputers = [name for name in ("Linear interpolation", "Mean") if name in set(errors["imputer"])]
    mechanisms = [*MECHANISMS, EXCEPTION]
    figure, axes = grid(len(imputers), narrow, 2.5, sharey=True)
    for axis, imputer in zip(axes, imputers, strict=True):
        part = errors[errors["imputer"] == imputer].set_index(["mechanism", "kind"])
        for y, mechanism in enumerate(mechanisms):
            scored, true = (part.loc[(mechanism, kind), "value"] for kind in ("scored", "true"))
            axis.plot([scored, true], [y, y], color="#9a9a9a", linewidth=1.4, zorder=1)
            axis.plot(
                scored, y, "o", color=SEEN, markersize=6, markerfacecolor="white", label="on values hidden on purpose"
            )
            axis.plot(true, y, "D", color=LOST, markersize=5.5, label="under the real gaps")
        _rows(axis, [MECHANISMS.get(name, name) for name in mechanisms])
        axis.set(title=imputer if imputer != "Mean" else "The mean", xlabel="error, in standard deviations")
        axis.margins(x=0.08)
        axis.set_xlim(left=0)
    legend(figure, axes, narrow, 2 if not narrow else 1)
    return figure


def predictions(rows: pd.DataFrame, narrow: bool) -> Figure:
    """AUROC of what a regression reads of a stay, by mechanism, with intervals; the last row is asked in another hospital."""
    mechanisms = {
        "complete": "nothing is lost",
        **MECHANISMS,
        "moved": "learnt on a ward,\nasked where all are\nmeasured alike",
    }
    figure, (axis,) = grid(1, narrow, 3.9)
    for place, (kind, words) in enumerate(FEATURES.items()):
        part = rows[rows["features"] == kind]
        y = [list(mechanisms).index(name) + 0.22 * (place - 1) for name in part["mechanism"]]
        colour, mark = ((LOST, "D"), (SEEN, "o"), (THIRD, "^"))[place]
        axis.hlines(y, part["low"], part["high"], color=colour, linewidth=1.4, alpha=0.7)
        axis.plot(part["value"], y, mark, color=colour, markersize=5.5, label=words)
    _rows(axis, list(mechanisms.values()))
    axis.axvline(0.5, color="#222222", linewidth=1, linestyle="--", label="a coin")
    axis.set_xlabel("AUROC of death (higher is better)")
    legend(figure, [axis], narrow, 2 if narrow else 4)
    return figure


def hiding(rates: pd.DataFrame, reference: float, narrow: bool) -> Figure:
    """Interpolation's error by the share hidden, one by one and in runs, beside its error under the real gaps."""
    figure, (axis,) = grid(1, narrow, 2.6)
    for (run, part), colour, mark in zip(rates.groupby("run"), (SEEN, LOST), ("o", "D"), strict=True):
        words = "one by one" if run == 1 else f"in runs of {run} hours"
        axis.errorbar(
            100 * part["rate"],
            part["value"],
            yerr=[part["value"] - part["low"], part["high"] - part["value"]],
            color=colour,
            marker=mark,
            markersize=5.5,
            linewidth=1.4,
            label=words,
        )
    axis.axhline(reference, color="#222222", linewidth=1.1, linestyle="--", label="under the real gaps")
    axis.set(xlabel="share of the measured values that was hidden, %", ylabel="error, in s.d.")
    axis.set_ylim(bottom=0)
    legend(figure, [axis], narrow, 3)
    return figure
