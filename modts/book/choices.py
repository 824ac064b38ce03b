"""The part on choices of the page on the search: what five settings of pretraining do, from a factorial of half their combinations."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import fragments
from .results import Results
from .tables import Cell, Table, number, signed

FACTORS = {  # factor -> its two levels and what they are in words
    "rate": (0.1, 0.2, "Hidden for every batch: 20 % instead of 10 %"),
    "criterion": ("mse", "mae", "Loss: absolute instead of squared error"),
    "clip": (0.0, 1.0, "Gradients clipped at a norm of 1"),
    "schedule": ("constant", "cosine", "Learning rate: cosine instead of constant"),
    "scaling": ("plain", "winsorised", "Standard deviations of winsorised values"),
}
MEASURES = {"mae_cut": "imputation error", "head_100": "head, all labels", "head_10": "head, 10 % of labels"}
CLEAR = 3.0  # standard errors from which a difference is marked: some 30 are looked at


def effects(rows: pd.DataFrame, measures=tuple(MEASURES)) -> pd.DataFrame:
    """What the second level of each factor does: the mean difference in each measure, with its standard error.

    Only cohorts, backbones and seeds whose runs are all there. The standard error is that of what the factors and the seeds leave.

    Parameters
    ----------
    rows : pandas.DataFrame
        As `results/choices.csv`.

    Returns
    -------
    pandas.DataFrame
        cohort, backbone, factor, measure, mean (at the first level), difference, error.
    """
    found, whole = [], 2 ** (len(FACTORS) - 1)
    for (cohort, backbone), part in rows.groupby(["cohort", "backbone"], sort=False):
        part = part[part.groupby("seed")["seed"].transform("size") == whole]
        if part.empty:
            continue
        levels = np.array([(part[name].astype(str) == str(second)) for name, (_, second, _) in FACTORS.items()], float)
        A = np.vstack([levels, *[(part["seed"] == seed).to_numpy(float) for seed in part["seed"].unique()]]).T
        for measure in measures:
            y = part[measure].to_numpy(float)
            left = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
            spread = np.sqrt((left**2).sum() / (len(y) - A.shape[1]))
            for factor, second in zip(FACTORS, levels.astype(bool), strict=True):
                error = spread * np.sqrt(1 / second.sum() + 1 / (~second).sum())
                mean = y[~second].mean()
                found.append([cohort, backbone, factor, measure, mean, y[second].mean() - mean, error])
    return pd.DataFrame(found, columns=["cohort", "backbone", "factor", "measure", "mean", "difference", "error"])


def choices(found: Results) -> str:
    """A table a cohort: what each choice does to the imputation error and to a linear head."""
    made = effects(found.choices)
    if made.empty:
        return fragments.note("The choices have not been compared yet: `python benchmarks/choices.py` does.")
    return "\n".join(
        fragments.fold(f"Choice by choice: {found.title(cohort)}", fragments.tables(_table(some, found, cohort)))
        for cohort, some in made.groupby("cohort", sort=False)
    )


def _table(made: pd.DataFrame, found: Results, cohort: str) -> Table:
    runs = found.choices[found.choices["cohort"] == cohort]
    score = "AUROC" if runs["head_metric"].iloc[0] == "auroc" else "squared error"
    rows, groups = [], {}
    for backbone, some in made.groupby("backbone", sort=False):
        groups[len(rows)] = backbone
        for factor, (_, _, words) in FACTORS.items():
            rows.append([words])
            for measure in MEASURES:
                one = some[(some["factor"] == factor) & (some["measure"] == measure)].iloc[0]
                clear = abs(one["difference"]) > CLEAR * one["error"]
                rows[-1].append(Cell(signed(one["difference"]) + ("*" if clear else ""), f"± {number(one['error'])}"))
    capped = int(runs["capped"].astype(float).sum())
    return Table(
        f"{found.title(cohort)}, validation: differences that a choice makes to the imputation error (standard deviations) and to a linear "
        f"head's {score}, with their standard errors; * more than {CLEAR:g} of them. {len(runs)} runs, {capped} ended at their cap of epochs.",
        ["Choice", *(words.capitalize() for words in MEASURES.values())],
        rows,
        groups,
    )
