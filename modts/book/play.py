"""Pictures one can play with: the scores of a cohort, what gaps do, a stay's window with its imputations.

Each is a box with its data as JSON, its choices as a form, and a still picture that stands there without JavaScript; `_static/play.js` draws
in place of the still and fills the table beside it.
"""

from __future__ import annotations

import html
import json

import numpy as np
import pandas as pd

from modts.cohorts import load_cohort
from modts.learning import HIGHER_IS_BETTER, IMPUTERS, impute
from modts.study import METRIC_NAMES, arm_name, arm_order

from . import fragments
from . import latents_numbers as latents
from . import learn_numbers as numbers
from .figures import mark_of
from .learn_plots import name_of
from .results import SINGLE, Results, for_figure, fractions
from .tables import backbone_names, percent

RATES = (0.2, 0.5, 0.8)
STAYS = 6  # test stays to choose from
SCRIPT = '<script src="../../_static/play.js" defer></script>'


def box(kind: str, title: str, data: dict, choices: list[tuple[str, str, list[tuple[str, str]]]]) -> str:
    """The HTML of one: `choices` are (name, words, options of value and words)."""
    form = "".join(
        f'<label>{html.escape(words)} <select name="{name}">'
        + "".join(f'<option value="{html.escape(value)}">{html.escape(text)}</option>' for value, text in options)
        + "</select></label>"
        for name, words, options in choices
    )
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return fragments.raw(
        f'<section class="modts-play" data-kind="{kind}" aria-label="{html.escape(title)}" hidden>\n'
        f'<form class="modts-controls">{form}</form>\n<p class="said" role="status"></p>\n<div class="stage"></div>\n'
        f'<details><summary>The same as a table</summary><div class="modts-table" tabindex="0" role="region" aria-label="{html.escape(title)}, '
        'as a table"><table class="modts-stacks"></table></div></details>\n'
        f'<script type="application/json">{text}</script>\n</section>\n{SCRIPT}'
    )


def dots(title: str, rows: pd.DataFrame) -> str:
    """The scores of a cohort, by metric, share of the labels and arm; `rows` are its summary rows. Nothing where no network was scored."""
    rows = rows[rows["pooling"].isin(SINGLE)]
    models = rows[rows["arm"] != "baseline"]
    if models.empty:
        return ""
    arms = sorted(set(zip(models["arm"], models["head"], strict=True)), key=lambda pair: arm_order(*pair))
    usual = {(arm, head) for arm, head in zip(for_figure(models)["arm"], for_figure(models)["head"], strict=True)}
    metrics, shares = [name for name in METRIC_NAMES if (models["metric"] == name).any()], fractions(models)
    listed = [
        [row["metric"], _share(row["label_fraction"]), row["backbone"], f"{row['arm']}|{row['head']}"]
        + [None if pd.isna(row[name]) else round(float(row[name]), 3) for name in ("value", "low", "high")]
        for _, row in rows.iterrows()
    ]
    data = {
        "title": title,
        "rows": listed,
        "arms": {
            f"{arm}|{head}": [arm_name(arm, head), *mark_of(arm, head), (arm, head) in usual] for arm, head in arms
        },
        "metrics": {name: [METRIC_NAMES[name], HIGHER_IS_BETTER[name]] for name in metrics},
        "backbones": [name for name in backbone_names(models) if name in set(models["backbone"])],
    }
    choices = [
        ("metric", "Score", [(name, METRIC_NAMES[name]) for name in metrics]),
        (
            "share",
            "Labels",
            [(_share(value), "all" if value == 1 or pd.isna(value) else percent(value)) for value in shares],
        ),
        ("backbone", "Network", [("", "all"), *((name, name) for name in data["backbones"])]),
        (
            "arm",
            "Way",
            [("usual", "the usual ones"), ("all", "all"), *((name, about[0]) for name, about in data["arms"].items())],
        ),
    ]
    return box("dots", f"Scores on {title}, to choose from", data, choices)


def _share(value: float) -> str:
    return "" if pd.isna(value) else f"{value:g}"


def _errors(X: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    """Imputer -> mean absolute error on hidden values and under the real gaps, in standard deviations."""
    predictor, _ = latents.lesson()
    hidden = numbers.hide(X)
    middle, spread = np.nanmean(hidden, axis=(0, 1)), truth.std((0, 1))
    filled = {name: impute(name, hidden, middle) for name in IMPUTERS}
    filled[f"{predictor.backbone.name} (a small network)"] = predictor.backbone.impute(hidden)
    cells = (np.isnan(hidden) & ~np.isnan(X), np.isnan(X))
    return {
        name: [round(float((np.abs(values - truth) / spread)[where].mean()), 3) for where in cells]
        for name, values in filled.items()
    }


def gaps(found: Results) -> str:
    """Choose how values are lost and how many: the mask of one stay, and what it does to four imputers."""
    made = {}
    for mechanism in numbers.MECHANISMS:
        for rate in RATES[:1] if mechanism == "informative" else RATES:  # there illness decides how many, not a rate
            cohort = load_cohort("simulated_icu", seed=numbers.SEED, mechanism=mechanism, rate=rate)
            seen = ~np.isnan(cohort.X[latents.STAY])
            made[mechanism if mechanism == "informative" else f"{mechanism}|{rate:g}"] = {
                "mask": ["".join("1" if cell else "0" for cell in line) for line in seen.T],
                "errors": _errors(cohort.X, cohort.truth),
                "missing": round(100 * float(cohort.missing_rate)),
            }
    data = {"variables": [name_of(name) for name in numbers.stays().features], "made": made}
    mechanisms = [(name, words[0].upper() + words[1:]) for name, words in numbers.MECHANISMS.items()]
    choices = [
        ("mechanism", "Lost", mechanisms),
        ("rate", "How many", [(f"{rate:g}", percent(rate)) for rate in RATES]),
    ]
    return box("gaps", "What gaps do, to choose from", data, choices)


def window(found: Results) -> str:
    """Choose a stay and a variable: what was measured, what really happened, and what three imputers say."""
    predictor, cohort = latents.lesson()
    stays = [latents.STAY, *[i for i in cohort.splits["test"] if i != latents.STAY][: STAYS - 1]]
    X, truth = cohort.X[stays], cohort.truth[stays]
    middle = predictor.backbone.scaler.mean
    filled = {name: impute(name, X, middle) for name in ("Linear interpolation", "LOCF")}
    filled[predictor.backbone.name] = predictor.backbone.impute(X)

    def listed(values):
        return [[None if np.isnan(cell) else round(float(cell), 2) for cell in line] for line in values.T]

    data = {
        "variables": [name_of(name) for name in cohort.features],
        "units": list(cohort.units),
        "stays": [
            {
                "seen": listed(X[i]),
                "truth": listed(truth[i]),
                "filled": {name: listed(values[i]) for name, values in filled.items()},
            }
            for i in range(len(stays))
        ],
    }
    choices = [
        (
            "stay",
            "Stay",
            [(f"{i}", f"{i + 1}, {'died' if cohort.y[stay] else 'survived'}") for i, stay in enumerate(stays)],
        ),
        ("variable", "Variable", [(f"{f}", name) for f, name in enumerate(data["variables"])]),
        ("imputer", "Filled by", [(name, name) for name in filled]),
    ]
    return box("window", "A stay's window with its imputations, to choose from", data, choices)


PIECES = {"play-gaps": gaps, "play-window": window}
