"""The pieces of the chapters under "Learn": their sentences with numbers, pictures and tables, and what their code cells print.

The numbers come from `learn_numbers`, the pictures from `learn_plots`; the words around them, and the code, stand in `book/learn`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from modts import runs
from modts.cohorts import load_cohort
from modts.errors import ModtsError

from . import fragments
from . import learn_numbers as numbers
from . import learn_plots as plots
from .figures import save
from .learn_numbers import EXCEPTION, FEATURES, MECHANISMS
from .results import Results
from .tables import Cell, Table, interval, number
from .teach import FIGURES

STAY, VARIABLE = 2, "Temp"  # the stay that is shown, and the variable of it that is lost in four ways
EMBEDDED = ("simulated_icu", "simulated_ward", "simulated_air")
CELL = re.compile(r"^```\{code-block\} python\n:name: (\S+)\n\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sources() -> list[Path]:
    """The chapters, whose named cells are run."""
    return sorted((runs.root() / "book" / "learn").glob("*.md"))


def draw(drawn, stem: str, alt: str, caption: str) -> str:
    slide = FIGURES[stem].rstrip(".")
    return fragments.picture(save(drawn, stem, alt, caption, fragments.out_dir(), slide))


def folded(title: str, stem: str, rows: pd.DataFrame, table: Table) -> str:
    return f"::::{{dropdown}} {title}\n{fragments.tables(table)}\n{fragments.downloads(stem, rows, [table])}::::\n"


def _pick(rows: pd.DataFrame, **where) -> pd.Series:
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows.iloc[0]


def _said(row: pd.Series) -> str:
    return f"{number(row['value'], 2)} ({interval(row['low'], row['high'], 2)})"


def window(found: Results) -> str:
    """One stay with its gaps."""
    cohort = numbers.stays()
    seen = (~np.isnan(cohort.X[STAY])).mean(0)
    shares = {name: f"{100 * seen[cohort.features.index(name)]:.0f} %" for name in ("HR", "Lactate")}
    words = f"{shares['HR']} of the hours hold a pulse, {shares['Lactate']} a lactate"
    picture = draw(
        lambda narrow: plots.window(STAY, narrow),
        "learn-window",
        f"Four panels over {cohort.n_steps} hours of one simulated stay: pulse, blood pressure, temperature and lactate. Filled dots were "
        f"measured, hollow dots are missing: {words}. The patient gets worse, and lactate, which nobody measured early, "
        "is seen only at the end.",
        "One simulated stay. Real data hold the filled dots only; the hollow ones are known here because the stay was simulated.",
    )
    return (
        picture
        + f"\nIn this window {words}. Of all stays together, {100 * cohort.missing_rate:.0f} % of the cells are missing.\n"
    )


def maps(found: Results) -> str:
    """What was measured when, in every embedded cohort."""
    cohorts = [load_cohort(name) for name in EMBEDDED]
    shares = ", ".join(f"{cohort.title}: {100 * (1 - cohort.missing_rate):.0f} % of the cells" for cohort in cohorts)
    picture = draw(
        lambda narrow: plots.maps(cohorts, narrow),
        "learn-maps",
        f"Three maps of how often each variable was measured at each hour. {shares}. In the two hospitals pulse, blood pressure and oxygen are "
        "bright and laboratory values nearly dark; the air sensors are bright everywhere.",
        "Each row is a variable, each column an hour; the brighter, the more windows hold a value there. GCS scores consciousness (low is bad); "
        "creatinine and BUN tell of the kidneys, lactate of the circulation; WBC are white blood cells.",
    )
    real = found.cohorts.get("physionet_2012")
    words = (
        f"\nReal wards look like the first two: in {fragments.plain(real['title'])}, "
        f"{100 * real['missing_rate']:.0f} % of the cells are missing.\n"
        if real
        else ""
    )
    return picture + words


def lost(found: Results) -> str:
    """One series of one stay, lost in four ways."""

    def missing(mechanism):
        return f"{100 * _pick(numbers.means(), mechanism=mechanism, variable=VARIABLE)['missing']:.0f} %"

    return draw(
        lambda narrow: plots.lost(STAY, VARIABLE, narrow),
        "learn-lost",
        "Four panels with the same temperature curve of one stay. By chance, hollow dots are sprinkled evenly. By the pulse, they lie mostly "
        "early, while the pulse is slow. By its own height, they lie where the temperature is high. By how sick, they thin out as the "
        "patient gets worse.",
        f"The same temperature of the same stay. Which dots are missing differs, and on a ward how many too: of all stays' temperatures "
        f"{missing('MCAR')} are missing in the first three ways, {missing('informative')} in the last.",
    )


def means(found: Results) -> str:
    """What each mechanism does to a mean."""
    rows = numbers.means()
    lactate = {name: _pick(rows, mechanism=name, variable="Lactate") for name in MECHANISMS}
    worst = rows[rows["mechanism"] == "MNAR"]["bias"]
    words = (
        f"The true mean of lactate is {lactate['MCAR']['true']:.2f} {lactate['MCAR']['unit']}. Lost by chance, the measured values have a "
        f"mean of {lactate['MCAR']['seen']:.2f}; lost as on a ward, where the sick are measured more, {lactate['informative']['seen']:.2f}. "
        f"Lost by its own height, every variable is {-worst.max():.1f} to {-worst.min():.1f} standard deviations too low.\n\n"
    )
    table = Table(
        "Mean of the measured values beside the true mean",
        ["Variable", "True", *(text[0].upper() + text[1:] for text in MECHANISMS.values())],
        [
            [
                plots.name_of(name) + (f" [{part['unit'].iloc[0]}]"),
                number(part["true"].iloc[0], 2),
                *(Cell(number(row["seen"], 2), f"{100 * row['missing']:.0f} % missing") for _, row in part.iterrows()),
            ]
            for name, part in rows.groupby("variable", sort=False)
        ],
    )
    picture = draw(
        lambda narrow: plots.bias(rows, narrow),
        "learn-means",
        "Dot plot of how far the mean of the measured values is off, by variable and mechanism. By chance: on zero everywhere. By the pulse: a "
        "little off, and exact for pulse and blood pressure, which stay complete. By its own height: nearly half a standard deviation too low "
        "everywhere. By how sick: from a fifth of a standard deviation too low for GCS to more than half too high for lactate.",
        "How wrong the mean of the measured values is. Zero is right.",
    )
    return picture + "\n" + words + folded("The means in their own units", "learn-means", rows, table)


def imputers(found: Results) -> str:
    """What each mechanism does to an imputer's score."""
    rows = numbers.imputers()

    def pair(mechanism, imputer):
        return tuple(
            number(_pick(rows, mechanism=mechanism, imputer=imputer, kind=kind)["value"], 2)
            for kind in ("scored", "true")
        )

    line = "Linear interpolation"
    chance, pulse, height, odd = pair("MCAR", line), pair("MAR", line), pair("MNAR", line), pair(EXCEPTION, "Mean")
    more = {kind: number(value, 2) for kind, value in numbers.pulse().items()}
    ward = {
        name: {kind: f"{value:.{digits}f}" for kind, value in numbers.ward()[name].items()}
        for name, digits in (("all", 2), ("alike", 2), ("near", 0))
    }
    words = fragments.bullets(
        [
            f"**By chance** the score is right: interpolation scores {chance[0]}, and its error under the real gaps is {chance[1]}.",
            f"**By the pulse** it is a little too good, though a mean could be repaired: {pulse[0]}, and {pulse[1]} under the real gaps. The "
            f"more is lost, the further apart: {more['scored']} and {more['true']} with {100 * numbers.MUCH:.0f} % of the other variables gone.",
            f"**By its own height** the score is too good: interpolation scores {height[0]}, and is {height[1]} off where it matters.",
            f"**As on a ward** it is too good as well: {ward['all']['scored']}, and {ward['all']['true']} under the real gaps. A gap is about "
            f"{ward['near']['true']} hours away from the nearest value that is seen, a hidden value {ward['near']['scored']}, and more of the "
            f"gaps belong to variables that are seldom measured. Among cells of the same variable, as far from their neighbours, the two "
            f"errors are alike ({ward['alike']['scored']} and {ward['alike']['true']}): the distance makes the gaps harder, not the illness.",
            f"**Where only odd values are noted**, it can be too bad: filling with the mean scores {odd[0]}, because the hidden values are all "
            f"odd ones; under the real gaps, where nothing was odd, it is off by {odd[1]}.",
        ],
        markup=True,
    )
    names = {**MECHANISMS, EXCEPTION: EXCEPTION}
    kinds = [(name, kind) for name in dict.fromkeys(rows["imputer"]) for kind in ("scored", "true")]
    table = Table(
        "Error in standard deviations: on values hidden on purpose, and under the real gaps",
        ["Lost", *(f"{name}, {'hidden' if kind == 'scored' else 'real gaps'}" for name, kind in kinds)],
        [
            [words_[0].upper() + words_[1:]]
            + [
                Cell(number(row["value"], 2), interval(row["low"], row["high"], 2))
                for row in (_pick(rows, mechanism=key, imputer=name, kind=kind) for name, kind in kinds)
            ]
            for key, words_ in names.items()
        ],
    )
    picture = draw(
        lambda narrow: plots.optimism(rows, narrow),
        "learn-imputers",
        "Two panels, interpolation and the mean: for each mechanism the error on values hidden on purpose (hollow circle) and under the "
        "real gaps (diamond), joined by a line. By chance the two coincide. By the pulse, by its own height and as on a ward "
        "interpolation's diamond lies to the right of its circle: the score is too good. Where only odd values are noted, "
        "the mean's diamond lies far to the left: the score is too bad.",
        "Hollow: what one can measure on real data. Diamond: what one wants to know. Within a panel, the longer the line, the more the score "
        "misleads; the two panels differ in scale.",
    )
    return picture + "\n" + words + folded("All errors, with intervals", "learn-imputers", rows, table)


def predictions(found: Results) -> str:
    """What each mechanism does to a prediction."""
    rows = numbers.predictions()

    def auroc(mechanism, kind):
        return _said(_pick(rows, mechanism=mechanism, features=kind))

    words = fragments.bullets(
        [
            f"Counts alone, no value at all: AUROC {auroc('informative', 'counts')} where the sicker are measured more, and "
            f"{auroc('MCAR', 'counts')}, a coin, where values are lost by chance.",
            f"Values alone: {auroc('informative', 'values')}, and {auroc('complete', 'values')} if nothing is lost. Means and last values stand "
            "gaps of every kind well here.",
            f"Learnt on the ward and asked where everyone is measured alike, values and counts together fall from "
            f"{auroc('informative', 'both')} to {auroc('moved', 'both')}; values alone stay at {auroc('moved', 'values')}.",
        ]
    )
    names = {
        "complete": "Nothing is lost",
        **MECHANISMS,
        "moved": "Learnt on a ward, asked where all are measured alike",
    }

    def cell(mechanism, kind):
        row = rows[(rows["mechanism"] == mechanism) & (rows["features"] == kind)]
        if row.empty:
            return Cell("same for all", absent=True) if kind == "counts" else Cell("as values alone", absent=True)
        return Cell(number(row["value"].iloc[0], 2), interval(row["low"].iloc[0], row["high"].iloc[0], 2))

    table = Table(
        "AUROC of death on the simulated stays, by logistic regression",
        ["Lost", *(text[0].upper() + text[1:] for text in FEATURES.values())],
        [[text[0].upper() + text[1:], *(cell(key, kind) for kind in FEATURES)] for key, text in names.items()],
    )
    picture = draw(
        lambda narrow: plots.predictions(rows, narrow),
        "learn-predictions",
        "Dot plot of AUROC with intervals, by mechanism, for counts alone, values alone and both. Values alone stay just above 0.8 everywhere. "
        "Counts alone lie on one half by chance, rise over the pulse and the value's own height, are highest as on a ward, and fall back to "
        "one half when the model is asked where everyone is measured alike.",
        f"Each of the {len(numbers.stays().y)} stays is predicted by a regression that has not seen it; lines are 95 % intervals over stays.",
    )
    return picture + "\n" + words + folded("All values, with intervals", "learn-predictions", rows, table)


def hiding(found: Results) -> str:
    """What the share that is hidden, and its shape, do to the score."""
    rows = numbers.rates()
    reference = _pick(numbers.imputers(), mechanism="informative", imputer="Linear interpolation", kind="true")
    little, much = (_pick(rows, run=1, rate=rate) for rate in (0.05, 0.6))
    runs_ = _pick(rows, run=numbers.RUN, rate=0.1)
    single = _pick(rows, run=1, rate=0.1)
    words = (
        f"Hiding {100 * little['rate']:.0f} % or {100 * much['rate']:.0f} % of the values moves interpolation's error from "
        f"{little['value']:.2f} to {much['value']:.2f}. Hiding {100 * single['rate']:.0f} % one by one or in runs of {numbers.RUN} hours "
        f"moves it from {single['value']:.2f} to {runs_['value']:.2f}. Under the gaps that the stays really "
        f"have, it is {reference['value']:.2f}.\n\n"
    )
    picture = draw(
        lambda narrow: plots.hiding(rows, reference["value"], narrow),
        "learn-hiding",
        "Two lines over the share of values hidden: hidden one by one, the error of interpolation rises slowly; hidden in runs, it is much "
        "higher at every share. A dashed line, the error under the real gaps, lies between them.",
        "The error of linear interpolation on the simulated stays. What shape the gaps have counts for more than how many there are.",
    )
    return words + picture


@functools.cache
def outputs(page: Path) -> dict[str, str]:
    """What each named code cell of a chapter prints; they run in order, one after another, beside the files of `book/data`."""
    names, said = {"__name__": page.stem}, {}
    with contextlib.chdir(page.parents[1] / "data"):
        for name, cell in CELL.findall(page.read_text(encoding="utf-8")):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(cell, f"{page.name}:{name}", "exec"), names)
            said[name] = out.getvalue()
    return said


def printed(page: Path, name: str) -> str:
    """What the code cell of this name on a chapter prints.

    Raises
    ------
    ModtsError
        If the page has no cell of that name.
    """
    found = outputs(page)
    if name not in found:
        raise ModtsError(f"The page {page.name} has no code cell {name!r}; it has {', '.join(found) or 'none'}.")
    return found[name]


def output(chapter: str, name: str):
    """A piece: what that cell of the chapter prints."""

    def piece(found):
        page = runs.root() / "book" / "learn" / f"{chapter}.md"
        if not page.is_file():  # pieces can be made for a folder that holds results alone
            return fragments.note("The chapter is not in this folder.")
        return f"```text\n{printed(page, name).rstrip()}\n```\n"

    return piece


PIECES = {
    "learn-window": window,
    "learn-maps": maps,
    "learn-lost": lost,
    "learn-means": means,
    "learn-imputers": imputers,
    "learn-predictions": predictions,
    "learn-hiding": hiding,
    "learn-leaking-mask": output("holes", "leaking-mask"),
    "learn-leaking-scaler": output("holes", "leaking-scaler"),
}
