"""The pictures of the chapter "How an imputer's latent looks": one stay's way through the predictor, and the map of latents."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from . import latents_numbers as numbers
from .figures import NARROW, WIDE, legend
from .learn_plots import LOST, SEEN, name_of

SHOWN = ("HR", "MAP", "Lactate")
SHAPE = (8, 16)  # how the 128 numbers of a latent are laid out


def _map(axis, values, title, ylabel, **look):
    drawn = axis.imshow(values, aspect="auto", interpolation="nearest", **look)
    axis.set_title(title, loc="left")
    axis.set_ylabel(ylabel)
    axis.grid(visible=False)
    return drawn


def _names(axis, features) -> None:
    axis.set_yticks(range(len(features)), features, fontsize=6.5)
    axis.tick_params(axis="y", length=0)


def way(narrow: bool) -> Figure:
    """Six panels: raw values, mask, z-scores, states, latent, risk score."""
    found, (_, cohort) = numbers.steps(), numbers.lesson()
    hours = np.arange(cohort.n_steps)
    figure = Figure(figsize=(NARROW if narrow else WIDE, 13.5 if narrow else 7.4), layout="constrained")
    axes = figure.subplots(6 if narrow else 3, 1 if narrow else 2).ravel()
    raw, mask, z, states, latent, chance = axes
    for name, mark, colour in zip(SHOWN, "o^D", (SEEN, "#009E73", LOST), strict=True):
        values = found.raw[:, cohort.features.index(name)]
        raw.plot(hours, values, mark, color=colour, markersize=3.5, label=name_of(name))
    raw.set_yscale("log")
    raw.set_yticks([1, 10, 100], ["1", "10", "100"])
    raw.minorticks_off()
    raw.set_ylabel("own units, log scale")
    raw.legend(loc="center left", fontsize=7.5, borderpad=0.2)
    raw.set_title("1 Raw: three of the variables", loc="left")
    _map(mask, found.seen.T, "2 Mask: dark where measured", "", cmap="Greys", vmin=0, vmax=1.3)
    _names(mask, cohort.features)
    bar = _map(z, np.ma.masked_invalid(found.z.T), "3 z-scores: grey where missing", "", cmap="RdBu_r", vmin=-3, vmax=3)
    z.set_facecolor("#b5b5b5")
    _names(z, cohort.features)
    figure.colorbar(bar, ax=z, ticks=(-3, 0, 3), aspect=12, pad=0.02)
    bar = _map(
        states,
        found.states.T,
        f"4 States: {found.states.shape[1]} numbers an hour",
        "unit",
        cmap="PuOr",
        vmin=-1,
        vmax=1,
    )
    half = found.states.shape[1] / 2
    states.axhline(half - 0.5, color="#222222", linewidth=0.8)
    # the last state of each direction; the lower half is drawn in time's order, not its own
    for hour, unit in ((cohort.n_steps - 1, 0), (0, half)):
        states.add_patch(
            Rectangle((hour - 0.5, unit - 0.5), 1, half, fill=False, edgecolor="#222222", linewidth=1.6, clip_on=False)
        )
    figure.colorbar(bar, ax=states, ticks=(-1, 0, 1), aspect=12, pad=0.02)
    for axis in (raw, mask, z, states):
        axis.set(xlim=(-0.5, cohort.n_steps - 0.5), xticks=range(0, cohort.n_steps, 12), xlabel="hour")
    bar = _map(
        latent,
        found.latent.reshape(SHAPE),
        f"5 Latent: {found.latent.size} numbers for the stay",
        "",
        cmap="PuOr",
        vmin=-1,
        vmax=1,
    )
    latent.set(xticks=(), yticks=())
    figure.colorbar(bar, ax=latent, ticks=(-1, 0, 1), aspect=12, pad=0.02)
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(found.died))
    for died, mark, colour in ((0, "o", SEEN), (1, "D", LOST)):
        some = found.died == died
        chance.plot(
            found.chances[some], died + jitter[some], mark, color=colour, markersize=3, alpha=0.6, markeredgewidth=0
        )
    chance.axvline(found.chance, color="#222222", linewidth=1.2)
    chance.set(
        yticks=(0, 1),
        yticklabels=("survived", "died"),
        ylim=(-0.6, 1.6),
        xlim=(0, 1),
        xlabel="risk score (no probability)",
    )
    chance.set_title("6 Risk score: the line is this stay", loc="left")
    return figure


def plane(narrow: bool) -> Figure:
    """The map of latents twice: coloured by outcome, and by how much was measured."""
    (points, shares), (_, cohort) = numbers.plane(), numbers.lesson()
    test = cohort.splits["test"]
    died, measured = cohort.y[test], 100 * numbers.truths()["measured"][test]
    figure = Figure(figsize=(NARROW if narrow else WIDE, 6.4 if narrow else 3.6), layout="constrained")
    axes = figure.subplots(2 if narrow else 1, 1 if narrow else 2, sharex=True, sharey=True).ravel()
    for kind, words, mark, colour in ((0, "survived", "o", SEEN), (1, "died", "D", LOST)):
        axes[0].plot(*points[died == kind].T, mark, color=colour, markersize=4.5, alpha=0.75, label=words)
    axes[0].set_title("by outcome", loc="left")
    drawn = axes[1].scatter(*points.T, c=measured, cmap="cividis", s=22)
    axes[1].set_title("by how much was measured", loc="left")
    figure.colorbar(drawn, ax=axes[1], label="cells measured, %", aspect=25)
    for axis in axes:
        axis.set_xlabel(f"first component, {100 * shares[0]:.0f} % of the variance")
    for axis in axes if narrow else axes[:1]:
        axis.set_ylabel(f"second, {100 * shares[1]:.0f} %")
    legend(figure, axes[:1], narrow, 2)
    return figure


def readings(rows, narrow: bool) -> Figure:
    """What a straight line reads off latents and off statistics: shares of variance explained, with intervals."""
    figure = Figure(figsize=(NARROW if narrow else WIDE, 2.3), layout="constrained")
    axis = figure.subplots()
    looks = {"pretrained": (SEEN, "o"), "untrained": ("#6e6e6e", "x"), "statistics": ("#009E73", "^")}
    for place, (source, words) in enumerate(numbers.FROM.items()):
        part = rows[rows["source"] == source]
        y = [list(numbers.READ).index(what) + 0.22 * (place - 1) for what in part["read"]]
        colour, mark = looks[source]
        axis.hlines(y, part["low"], part["high"], color=colour, linewidth=1.4, alpha=0.7)
        axis.plot(part["value"], y, mark, color=colour, markersize=5.5, label=words)
    axis.set(yticks=range(len(numbers.READ)), yticklabels=list(numbers.READ.values()), xlim=(0, 1.03))
    axis.set_ylim(len(numbers.READ) - 0.5, -0.5)
    axis.set_xlabel("share of the variance explained (R²)")
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    legend(figure, [axis], narrow, 3)
    return figure
