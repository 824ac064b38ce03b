"""The pictures of results: forests of differences, dots with intervals, scarcity, latency, the cost of tasks, serving, the roofline."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from modts.learning import HIGHER_IS_BETTER
from modts.serving import ENOUGH
from modts.study import ALL, METRIC_NAMES, TIMED_NAMES, arm_name, arm_order

from .figures import DASHES, NARROW, WIDE, grid, legend, mark_of
from .tables import amount, backbone_names, backbones_and, labels, percent


def _arms(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    keys = set(zip(rows["arm"], rows["head"], rows["pooling"], strict=True))
    return sorted(keys, key=lambda key: (arm_order(*key[:2]), key[2]))


def dots(
    panels: list[tuple[str, pd.DataFrame]],
    metric: str,
    narrow: bool,
    peers: pd.DataFrame | None = None,
    names_of: dict[str, str] | None = None,
) -> Figure:
    """Backbones down, one mark per arm with its 95 % interval; baselines as vertical lines; one panel per title.

    `peers` (columns model, value) are figures from elsewhere: hollow stars in the row of their backbone. `names_of`
    gives an arm other words in the legend.
    """
    models = pd.concat([rows[rows["arm"] != "baseline"] for _, rows in panels])
    names = [name for name in backbone_names(models) if name in set(models["backbone"])]
    arms = _arms(models)
    baselines = list(dict.fromkeys(name for _, rows in panels for name in rows[rows["arm"] == "baseline"]["backbone"]))
    row_height = 0.16 + 0.12 * len(arms)
    figure, axes = grid(len(panels), narrow, 1.05 + row_height * max(1, len(names)), sharex=True)
    for axis, (title, rows) in zip(axes, panels, strict=True):
        for place, (arm, head, pooling) in enumerate(arms):
            part = rows[(rows["arm"] == arm) & (rows["head"] == head) & (rows["pooling"] == pooling)]
            part = part[part["backbone"].isin(names)].drop_duplicates("backbone")
            y = [names.index(name) + 0.72 * ((place + 0.5) / len(arms) - 0.5) for name in part["backbone"]]
            colour, mark = mark_of(arm, head)
            axis.hlines(y, part["low"], part["high"], color=colour, linewidth=1.4, alpha=0.7)
            axis.plot(
                part["value"],
                y,
                mark,
                color=colour,
                markersize=5.5,
                label=(names_of or {}).get(arm, arm_name(arm, head, pooling)),
            )
        for name, dash in zip(baselines, DASHES, strict=False):
            for value in rows[(rows["arm"] == "baseline") & (rows["backbone"] == name)]["value"]:
                axis.axvline(value, color="#222222", linewidth=1.1, linestyle=dash, label=name)
        if peers is not None:
            part = peers[peers["model"].isin(names)]
            axis.plot(
                part["value"],
                [names.index(name) for name in part["model"]],
                "*",
                markersize=9,
                markerfacecolor="none",
                color="#222222",
                label="published elsewhere",
            )
        axis.set(
            yticks=range(len(names)),
            yticklabels=names,
            title=title.replace("$", r"\$"),  # no formula
            xlabel=f"{METRIC_NAMES[metric]} ({'higher' if HIGHER_IS_BETTER[metric] else 'lower'} is better)",
        )
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        for line in range(1, len(names)):
            axis.axhline(line - 0.5, color="#e4e4e4", linewidth=0.7)
        axis.tick_params(axis="y", length=0)
    legend(figure, axes, narrow)
    return figure


SHARES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "v"))  # of the labels, the largest first


def forest(panels: list[tuple[str, pd.DataFrame, float]], metric: str, narrow: bool) -> Figure:
    """Differences: backbones down and their mean as a diamond below, a mark a share of the labels; one panel per title.

    A panel is (title, rows of effects, half the width of the band that is too small to matter). Right of zero the first
    arm of the title is better, in errors too. Filled marks are better or worse after the correction, hollow ones are not.
    """
    every = pd.concat([rows for _, rows, _ in panels])
    names = backbones_and(ALL, every)
    shares = sorted(every["label_fraction"].unique(), reverse=True)
    height = max(1.4, (0.2 if len(shares) == 1 else 0.1 + 0.13 * len(shares)) * len(names) + 0.8)
    per_row = 3 if len(panels) > 4 else 2
    figure, axes = grid(len(panels), narrow, height, per_row=per_row, sharex=True, sharey=True)
    for axis, (title, rows, band) in zip(axes, panels, strict=True):
        axis.axvspan(-band, band, color="#e8e8e8", zorder=0, label="too small to matter")
        axis.axvline(0, color="#222222", linewidth=1)
        for place, (share, (colour, mark)) in enumerate(zip(shares, SHARES, strict=False)):
            for _, row in rows[rows["label_fraction"] == share].iterrows():
                y = names.index(row["backbone"]) + 0.62 * ((place + 0.5) / len(shares) - 0.5)
                face = colour if row["verdict"] in ("better", "worse") else "white"
                if row["backbone"] == ALL:
                    ends, size = [row["low"], row["difference"], row["high"], row["difference"]], 0.42 / len(shares)
                    axis.fill(
                        ends, [y, y - size, y, y + size], facecolor=face, edgecolor=colour, linewidth=1.2, zorder=3
                    )
                    continue
                axis.hlines(y, row["low"], row["high"], color=colour, linewidth=1.4, zorder=2)
                axis.plot(row["difference"], y, mark, color=colour, markerfacecolor=face, markersize=5, zorder=3)
            axis.plot([], [], mark, color=colour, markersize=5, label=labels(share))
        axis.set(
            yticks=range(len(names)),
            yticklabels=["All of these" if name == ALL else name for name in names],
            title=_broken(title, per_row == 3 and not narrow),
        )
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        if ALL in names and len(names) > 1:
            axis.axhline(len(names) - 1.5, color="#bbbbbb", linewidth=0.8)
        axis.label_outer()
    for axis in axes[-(1 if narrow else min(per_row, len(panels))) :]:  # with nothing below
        axis.tick_params(labelbottom=True)
    axes[0].locator_params(axis="x", nbins=4 if per_row == 3 else 6)  # shared, as is its direction
    if not HIGHER_IS_BETTER[metric]:
        axes[0].invert_xaxis()  # right is better for the first arm
    figure.supxlabel(f"difference in {METRIC_NAMES[metric]}; to the right the first is better", fontsize=9)
    legend(figure, axes[:1], narrow)
    return figure


def _broken(title: str, tight: bool) -> str:
    """A panel's title on two lines, where one is too long for it."""
    if tight and title.endswith(" as shipped"):
        return title.replace(" as shipped", "\nas shipped")
    return title.replace(" minus ", "\nminus ") if len(title) > (25 if tight else 36) else title


def scarcity(rows: pd.DataFrame, metric: str, narrow: bool) -> Figure:
    """One panel per backbone: the score against the share of labels, a line per arm, baselines in black."""
    names = [name for name in backbone_names(rows) if name in set(rows["backbone"])]
    fractions = sorted(rows["label_fraction"].dropna().unique())
    figure, axes = grid(len(names), narrow, 4.2 if len(names) == 1 else 2.4, per_row=3, sharey=True, sharex=True)
    arms = _arms(rows[rows["arm"] != "baseline"])
    for axis, name in zip(axes, names, strict=True):
        for place, (arm, head, pooling) in enumerate(arms):
            part = rows[
                (rows["backbone"] == name)
                & (rows["arm"] == arm)
                & (rows["head"] == head)
                & (rows["pooling"] == pooling)
            ].sort_values("label_fraction")
            colour, mark = mark_of(arm, head)
            x = np.array([fractions.index(value) for value in part["label_fraction"]]) + 0.05 * (place - len(arms) / 2)
            axis.vlines(x, part["low"], part["high"], color=colour, linewidth=1.2, alpha=0.6)
            axis.plot(
                x,
                part["value"],
                marker=mark,
                color=colour,
                markersize=5,
                linewidth=1.3,
                label=arm_name(arm, head, pooling),
            )
        base = rows[rows["arm"] == "baseline"]
        for other, dash in zip(dict.fromkeys(base["backbone"]), DASHES, strict=False):
            part = base[base["backbone"] == other].sort_values("label_fraction")
            axis.plot(
                [fractions.index(value) for value in part["label_fraction"]],
                part["value"],
                color="#222222",
                linewidth=1.1,
                linestyle=dash,
                label=other,
            )
        axis.set(
            title=name,
            xticks=range(len(fractions)),
            xticklabels=list(map(percent, fractions)),
            ylabel=METRIC_NAMES[metric],
            xlim=(-0.35, len(fractions) - 0.65),
        )
        axis.label_outer()
        axis.set_xlabel("labels" if narrow is False or name == names[-1] else "")
    legend(figure, axes, narrow)
    return figure


def latency(rows: pd.DataFrame, narrow: bool) -> Figure:
    """One panel per backbone: milliseconds a window against batch size, a line per arm, p50 with a bar up to p99 of 1,000 calls."""
    names = [name for name in backbone_names(rows) if name in set(rows["backbone"])]
    figure, axes = grid(len(names), narrow, 2.1, per_row=3, sharey=True, sharex=True)
    for axis, name in zip(axes, names, strict=True):
        part = rows[rows["backbone"] == name]
        for arm in sorted(set(part["arm"]), key=lambda arm: arm_order(arm, "" if arm == "e2e_shipped" else "simple")):
            line = part[part["arm"] == arm].sort_values("batch")
            colour, mark = mark_of(arm, "simple")
            label = TIMED_NAMES.get(arm, arm)
            axis.vlines(
                line["batch"],
                line["p50_ms"] / line["batch"],
                line["p99_ms"].where(line["repeats"] >= ENOUGH) / line["batch"],
                color=colour,
                linewidth=1.2,
                alpha=0.6,
            )
            axis.plot(
                line["batch"],
                line["p50_ms"] / line["batch"],
                marker=mark,
                color=colour,
                markersize=5,
                linewidth=1.3,
                label=label,
            )
        batches = sorted(rows["batch"].unique())
        axis.set(title=name, xscale="log", yscale="log", ylabel="ms a window", xlabel="batch size")
        axis.set_xticks(batches, [f"{int(batch)}" for batch in batches])
        axis.minorticks_off()
        axis.label_outer()
    legend(figure, axes, narrow)
    return figure


def tasks(costs: pd.DataFrame, narrow: bool) -> Figure:
    """One panel per backbone: seconds spent against number of tasks, modular and end to end, and where the two meet.

    `costs` (a row a backbone): `once`, `head` and `whole` in seconds, `paid` in tasks (0 or less, or infinite: never).
    """
    figure, axes = grid(len(costs), narrow, 2.5)
    for axis, (_, row) in zip(axes, costs.iterrows(), strict=True):
        meets = 0 < row["paid"] < np.inf
        number = np.arange(max(10, 2 * int(np.ceil(row["paid"]))) + 1 if meets else 11)
        lines = {
            "Modular": ("frozen", row["once"] + number * row["head"]),
            "End to end": ("e2e", number * row["whole"]),
        }
        for label, (arm, spent) in lines.items():
            colour, mark = mark_of(arm, "simple")
            each = max(1, len(number) // 10)
            axis.plot(
                number, spent, marker=mark, color=colour, markersize=4, markevery=each, linewidth=1.3, label=label
            )
        if meets:
            axis.axvline(row["paid"], color="#222222", linewidth=1.1, linestyle=":", label="Backbone is paid for")
            axis.annotate(
                f"{row['paid']:.1f} tasks",
                (row["paid"], axis.get_ylim()[1]),
                xytext=(4, -4),
                textcoords="offset points",
                va="top",
                fontsize=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axis.set(title=row["backbone"], xlabel="number of tasks", ylabel="seconds in all")
    legend(figure, axes, narrow)
    return figure


def serving(times: pd.DataFrame, narrow: bool) -> Figure:
    """One panel per batch size: backbones down, two bars each, the forward pass and the code around it.

    Lengths are shares of PyPOTS's median; the words behind a bar are its median and 99th percentile. `times` (a row a
    backbone and batch): `ours`, `theirs`, `ours_late`, `theirs_late`, `forward`, `their_forward`, in milliseconds.
    """
    names = [name for name in backbone_names(times) if name in set(times["backbone"])]
    batches = sorted(times["batch"].unique())
    figure, axes = grid(len(batches), narrow, 0.95 + 0.44 * len(names), sharey=True, sharex=True)
    longest = max(1.0, (times["ours"] / times["theirs"]).max())
    sides = (("Here", "ours", "forward", "frozen", -0.2), ("PyPOTS", "theirs", "their_forward", "e2e_shipped", 0.2))
    for axis, batch in zip(axes, batches, strict=True):
        for side, total, bare, arm, shift in sides:
            part = times[times["batch"] == batch]
            y = [names.index(name) + shift for name in part["backbone"]]
            colour, _ = mark_of(arm, "")
            share = 100 * part[[bare, total]].min(axis=1) / part["theirs"]  # a floor cannot be longer than the whole
            whole = 100 * part[total] / part["theirs"]
            axis.barh(y, share, 0.34, color=colour, edgecolor=colour, label=f"{side}: forward pass")
            axis.barh(
                y,
                whole - share,
                0.34,
                left=share,
                color="white",
                edgecolor=colour,
                hatch="//////",
                linewidth=0.9,
                label=f"{side}: code around it",
            )
            for place, end, middle, late in zip(y, whole, part[total], part[f"{total}_late"], strict=True):
                words = f"{amount(middle)} ms" + ("" if pd.isna(late) else f", p99 {amount(late)}")
                axis.text(end + 2, place, words, va="center", fontsize=7.5)
        axis.set(
            title=f"Batch {batch:g}",
            yticks=range(len(names)),
            yticklabels=names,
            xlim=(0, 100 * longest + 66),
            xlabel="% of PyPOTS's median",
        )
        axis.set_xticks(range(0, int(100 * longest) + 1, 25))
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    legend(figure, axes, narrow, columns=2)
    return figure


def roofline(limits: pd.DataFrame, narrow: bool) -> Figure:
    """Rate of arithmetic against arithmetic a byte, both logarithmic, under the machine's two roofs; a mark a kind of work.

    `limits` (a row a computation): `kind` in words, `intensity` in FLOP a byte, `rate`, `peak_gflops` and
    `gigabytes_per_s`.
    """
    figure = Figure(figsize=(NARROW if narrow else WIDE, 3.4), layout="constrained")
    axis = figure.subplots()
    peak, bandwidth = limits["peak_gflops"].max(), limits["gigabytes_per_s"].max()
    ends = np.array([min(0.1, limits["intensity"].min() / 2), max(100.0, limits["intensity"].max() * 2)])
    x = np.array([ends[0], peak / bandwidth, ends[1]])
    axis.plot(x, np.minimum(peak, bandwidth * x), color="#222222", linewidth=1.4, label="what the machine can do")
    looks = [mark_of(arm, "simple") for arm in ("frozen", "e2e", "finetune", "transfer", "untrained")]
    for (kind, part), (colour, mark) in zip(limits.groupby("kind", sort=False), looks, strict=False):
        axis.plot(part["intensity"], part["rate"], mark, color=colour, markersize=6, label=kind)
    axis.set(xscale="log", yscale="log", xlabel="FLOP a byte", ylabel="GFLOP/s")
    legend(figure, [axis], narrow, columns=3)
    return figure
