"""The page on the search: what was tried for each arm, what won, and whether the better imputer gives the better latents."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from modts.study import arm_name, holm

from . import fragments
from .figures import grid, legend, mark_of, save
from .prose import listed
from .results import Results
from .tables import Cell, Table, number, signed

HEADED = {
    "baseline": "",
    "frozen": "simple",
    "finetune": "simple",
    "e2e": "simple",
    "e2e_shipped": "",
}  # the arms that predict, as they were searched
ENOUGH = 5  # trials below which a rank correlation says nothing


def search(found: Results) -> str:
    """What the search for settings tried and chose."""
    trials = found.search
    if trials.empty:
        return fragments.note("No search has been published yet: `modts search profiles/search.yaml` makes one.")
    said = _answer(found, trials)
    out = [said]
    for name, some in trials.groupby("search", sort=False):
        predicting = some[some["arm"].isin(HEADED)]
        out += [
            fragments.picture(
                save(
                    lambda narrow, some=predicting: _curves(some, narrow),
                    f"search-{name}",
                    f"Best validation AUROC so far against the number of trials, a panel a backbone, a line an arm. {said}",
                    "The best mean AUROC on validation (all labels and few) after so many trials, a line an arm; points are single trials.",
                    fragments.out_dir(),
                )
            ),
            fragments.tables(_winners(some)),
        ]
        pretrained = some[(some["arm"] == "frozen") & np.isfinite(some["mae"])]
        if len(pretrained) >= ENOUGH:
            out += [
                fragments.heading(2, "Does the better imputer give the better latents?"),
                fragments.bullets(_imputers(pretrained)),
                fragments.picture(
                    save(
                        lambda narrow, some=pretrained: _scatter(some, narrow),
                        f"search-imputers-{name}",
                        "AUROC of a linear head on validation against the imputation error of the same pretrained network, "
                        f"a panel a backbone. {' '.join(_imputers(pretrained))}",
                        "Every pretraining of the search: its error on hidden values, and AUROC of a linear head on its latents, in validation.",
                        fragments.out_dir(),
                    )
                ),
            ]
    return "\n".join(out)


def _answer(found: Results, trials: pd.DataFrame) -> str:
    """What was searched, in a sentence."""
    counts = trials.groupby(["backbone", "arm"]).size()
    of = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    hours = trials["seconds"].sum() / 3600
    nets = list(dict.fromkeys(trials.loc[trials["arm"] == "baseline", "backbone"]))
    beside = f" and for the baseline {' and '.join(nets)}" if nets else ""
    backbones = trials.loc[trials["arm"] != "baseline", "backbone"].nunique()
    where = " and ".join(fragments.plain(found.title(name)) for name in sorted(set(trials["cohort"])))
    networks = "1 backbone" if backbones == 1 else f"{backbones} backbones"
    arms = (
        trials[trials["arm"] != "baseline"]
        .groupby("backbone", sort=False)["arm"]
        .agg(lambda some: list(dict.fromkeys(some)))
    )
    fewer = [
        f"of {fragments.plain(name)} only {listed([_words(arm).lower() for arm in had])}"
        for name, had in arms.items()
        if len(had) < arms.map(len).max()
    ]
    lacking = f" ({'; '.join(fewer)})" if fewer else ""
    return (
        f"{len(trials)} trials, {of} for each arm of {networks}{lacking}{beside}, were trained and scored on validation stays of "
        f"{where}, in {number(hours, 1)} hours of computing.\n"
    )


def _curves(trials: pd.DataFrame, narrow: bool) -> Figure:
    names = list(dict.fromkeys(trials["backbone"]))
    figure, axes = grid(len(names), narrow, 2.0, per_row=3, sharey=True)
    for axis, name in zip(axes, names, strict=True):
        for arm, some in trials[trials["backbone"] == name].groupby("arm", sort=False):
            colour, mark = mark_of(arm, HEADED[arm])
            value = some.sort_values("trial")["value"].replace(-np.inf, np.nan).to_numpy()
            place = np.arange(1, len(value) + 1)
            axis.plot(place, value, mark, color=colour, markersize=3.5, alpha=0.5)
            axis.plot(place, np.fmax.accumulate(value), color=colour, linewidth=1.5, label=_words(arm))
        axis.set(title=name, xlabel="trials", ylabel="validation AUROC")
        axis.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, axes, narrow)
    return figure


def _scatter(trials: pd.DataFrame, narrow: bool) -> Figure:
    names = list(dict.fromkeys(trials["backbone"]))
    figure, axes = grid(len(names), narrow, 2.0, per_row=3)
    for axis, name in zip(axes, names, strict=True):
        some = trials[trials["backbone"] == name]
        for column, words, (colour, mark) in (
            ("auroc", "all labels", ("#0072B2", "o")),
            ("auroc_few", "few labels", ("#D55E00", "s")),
        ):
            axis.plot(some["mae"], some[column], mark, color=colour, markersize=4, alpha=0.8, label=words)
        axis.set(title=name, xlabel="imputation MAE (z-scores)", ylabel="validation AUROC")
    legend(figure, axes, narrow)
    return figure


def _imputers(trials: pd.DataFrame) -> list[str]:
    """For each backbone how the two orders of its pretrainings agree; p with Holm's correction over the backbones."""
    asked = {name: some for name, some in trials.groupby("backbone", sort=False) if len(some) >= ENOUGH}
    found = [spearmanr(-some["mae"], (some["auroc"] + some["auroc_few"]) / 2) for some in asked.values()]
    said, clear = [], "the better imputer, the {}"
    for (name, some), (rank, _), p in zip(asked.items(), found, holm([p for _, p in found]), strict=True):
        says = "no clear relation" if p > 0.05 else clear.format("better" if rank > 0 else "worse")
        said.append(
            f"{name}, {len(some)} pretrainings: rank correlation of imputation and prediction {signed(rank, 2)} "
            f"(p = {number(p, 2)} after the correction for several tests): {says}."
        )
    return said


def _winners(trials: pd.DataFrame) -> Table:
    rows = []
    for (backbone, arm), some in trials.groupby(["backbone", "arm"], sort=False):
        if arm == "frozen" and np.isfinite(some["mae"]).any():  # the same networks in another order
            rows.append([backbone, "Pretraining, by imputation", *_best(some, "mae", -1)])
        rows.append([backbone, _words(arm), *_best(some, "value", 1)])
    return Table(
        "What won on validation: mean AUROC of all labels and few (imputation: error), before the search and after it",
        ["Backbone", "Arm", "Before", "Best", "Its settings"],
        rows,
    )


def _best(trials: pd.DataFrame, column: str, sign: int) -> list:
    """Of one arm's trials by a column (sign -1: the lowest wins): the first one's value, the best one's, the best one's settings."""
    first, best = trials.loc[trials["trial"].idxmin()], trials.loc[(sign * trials[column]).idxmax()]
    settings = json.loads(best["settings"])
    chosen = {**settings.pop("config", {}), **settings}
    chosen = {name.replace("e2e_lrs", "lr").replace("_", " "): value for name, value in chosen.items()}
    words = (f"{name} {_short(value)}" for name, value in chosen.items())
    place = f"trial {best['trial'] + 1:.0f} of {len(trials)}"
    return [number(first[column]), Cell(number(best[column]), place), ", ".join(words)]


def _words(arm: str) -> str:
    return "Baseline" if arm == "baseline" else arm_name(arm, HEADED[arm])


def _short(value) -> str:
    if value is None:  # a batch size
        return "by the labels"
    if isinstance(value, list):
        return " ".join(map(_short, value))
    return value if isinstance(value, str) else f"{value:g}"
