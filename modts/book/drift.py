"""The part on drift of the imputation page: months that differ from those of training, and windows centred on themselves."""

from __future__ import annotations

import pandas as pd

from . import fragments
from .figures import grid, legend, save
from .results import Results
from .tables import signed

PARTS = {"val": ("validation months", "#0072b2", "o"), "test": ("test months", "#d55e00", "s")}
WAYS = {"plain": ("windows as they are", "#555555", "o"), "centred": ("each window centred", "#009e73", "D")}
INTERPOLATION = "Linear interpolation"


def drift(found: Results) -> str:
    """For each series that was looked at: how far its months lie apart, and the error with and without centring."""
    if found.drift.empty:
        return fragments.note("Drift has not been measured yet: `python benchmarks/drift.py` does.")
    out = []
    for cohort in dict.fromkeys(found.drift["cohort"]):
        rows, title = found.drift[found.drift["cohort"] == cohort], found.title(cohort)
        drawn = save(
            lambda narrow, rows=rows: draw(rows, narrow),
            f"drift-{cohort}",
            f"Two panels on {title}. Left: the mean of each variable in the validation and in the test months, in standard "
            "deviations of the training months, as marks around zero. Right: error on hidden validation values, plain and centred, "
            "a row a backbone.",
            f"{title}: how far the months after training lie from it, and the error on hidden validation values (standard deviations) "
            "with and without centring; the line is linear interpolation.",
            fragments.out_dir(),
        )
        told = fragments.bullets(errors(rows) + months(rows, title), markup=True)
        out.append(
            fragments.fold(
                f"{title}: the error with and without it, and how far the months lie apart",
                told + fragments.picture(drawn),
            )
        )
    return "\n".join(out)


def months(rows: pd.DataFrame, title: str) -> list[str]:
    """How far the months after training lie from it, a sentence a part of the split."""
    words, levels = [], rows[rows["what"] == "level"]
    for part, (named, _, _) in PARTS.items():
        moved = levels[levels["part"] == part]["value"]
        if len(moved):
            words.append(
                f"In the {named} of {fragments.plain(title)} the variables' means lie between {signed(moved.min(), 1)} and "
                f"{signed(moved.max(), 1)} standard deviations from those of training, {int((moved.abs() > 0.5).sum())} of {len(moved)} of them "
                "more than half a deviation away."
            )
    return words


def errors(rows: pd.DataFrame) -> list[str]:
    """What centring does to the error of each backbone, and whose training ended at its cap."""
    words, (table, line) = [], _errors(rows)
    for name, row in table.iterrows():
        if row.notna().all():
            beside = f"; linear interpolation has {line:.3f}" if line is not None else ""
            words.append(
                f"{fragments.plain(name)} errs by {row['plain']:.3f} standard deviations on hidden validation values, and by "
                f"{row['centred']:.3f} when each window is centred on what is visible in it{beside}."
            )
    capped = rows[(rows["what"] == "error") & (rows["capped"] == 1)]
    if len(capped):
        names = ", ".join(fragments.plain(f"{row['name']} ({row['part']})") for _, row in capped.iterrows())
        words.append(f"Ended at its cap of epochs: {names}.")
    return words


def _errors(rows: pd.DataFrame) -> tuple[pd.DataFrame, float | None]:
    """Mean over seeds, backbones down, plain and centred beside each other; and the error of interpolation."""
    rows = rows[rows["what"] == "error"]
    line, models = rows[rows["name"] == INTERPOLATION]["value"], rows[rows["name"] != INTERPOLATION]
    table = models.pivot_table("value", "name", "part", sort=False).reindex(columns=list(WAYS))
    return table, None if line.empty else float(line.mean())


def draw(rows: pd.DataFrame, narrow: bool):
    levels, (table, line) = rows[rows["what"] == "level"], _errors(rows)
    names = list(dict.fromkeys(levels["name"]))
    figure, axes = grid(2, narrow, 0.9 + 0.2 * max(len(names), 4))
    for part, (words, colour, mark) in PARTS.items():
        moved = levels[levels["part"] == part].groupby("name")["value"].mean()
        axes[0].plot(moved, [names.index(name) for name in moved.index], mark, color=colour, markersize=5, label=words)
    axes[0].axvline(0, color="#222222", linewidth=1)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_xlabel("mean, in standard deviations of training")
    for way, (words, colour, mark) in WAYS.items():
        axes[1].plot(table[way], range(len(table)), mark, color=colour, markersize=6, label=words)
    if line is not None:
        axes[1].axvline(line, color="#222222", linewidth=1, linestyle="--", label=INTERPOLATION)
    axes[1].set_yticks(range(len(table)), table.index)
    axes[1].set_ylim(-0.7, len(table) - 0.3)
    axes[1].set_xlim(left=0)
    axes[1].set_xlabel("error on hidden validation values")
    for axis in axes:
        axis.invert_yaxis()
    legend(figure, axes, narrow, columns=3)
    return figure
