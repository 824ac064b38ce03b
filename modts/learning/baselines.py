"""Baselines: what a table must beat before a learned representation means anything.

Boosted trees and linear models on quantities that anyone would compute by hand; the same on nothing but what was measured and when; a GRU
trained end to end; MiniRocket; and, where its weights are at hand, a foundation model for tables. Each is meant to be as strong as a simple
baseline honestly is: its settings come from the validation split, by small grids; test stays are only ever predicted.
"""

from __future__ import annotations

from collections.abc import Callable

from modts.errors import ModtsError, choose

from . import gru, linear, rocket, tabular, trees
from .features import readers
from .problem import Problem

GRU_EPOCHS = 60
_ONLY = ", measurement only"
PREDICTORS = {
    "classification": (
        "LightGBM",
        "Logistic regression",
        "GRU",
        "MiniRocket",
        tabular.NAME,
        f"LightGBM{_ONLY}",
        f"Logistic regression{_ONLY}",
    ),
    "regression": (
        "LightGBM",
        "Ridge regression",
        "GRU",
        "MiniRocket",
        tabular.NAME,
        f"LightGBM{_ONLY}",
        f"Ridge regression{_ONLY}",
    ),
    "imputation": (),  # nothing to predict
}


def why_not(name: str, cohort, tabular_checkpoint: str = "") -> str:
    """Why a baseline of `PREDICTORS` cannot run on a cohort here, in one sentence; empty if it can."""
    if name == tabular.NAME:
        return tabular.why_not(cohort, tabular_checkpoint)
    if name == "MiniRocket":
        try:
            rocket.minirocket()
        except ModtsError as error:
            return str(error)
    return ""


def fit_baseline(
    name: str,
    cohort,
    labelled,
    seed: int = 0,
    threads: int = 1,
    record: dict | None = None,
    *,
    gru_epochs: int = GRU_EPOCHS,
    tabular_checkpoint: str = "",
) -> Callable:
    """Fit a baseline predictor on labelled training rows and choose its settings on validation.

    Parameters
    ----------
    name : str
        One of `PREDICTORS` for the cohort's task.
    cohort : modts.Cohort
    labelled : int array
        Rows of the training split whose labels may be used (`cohort.labelled(fraction, seed)`).
    seed : int
        Seed of what is random; the linear models have no randomness.
    threads : int
        LightGBM's and MiniRocket's threads.
    record : dict, optional
        Filled with what was chosen and its validation score: AUROC, or the mean absolute error in standard deviations of the labelled targets.
    gru_epochs : int
        At most so many epochs of the GRU; most runs stop before.
    tabular_checkpoint : str
        File with TabICL's weights.

    Returns
    -------
    callable
        (N, T, F) raw windows -> classification: (N,) float64, the chance of class 1; regression: (N, T) float64, or (N,) for one number a
        stay, in the units of `cohort.y`.

    Raises
    ------
    ModtsError
        A name that does not fit the task, what `why_not` says, or labelled rows with one class or no observed target.
    """
    if cohort.task == "imputation":
        raise ModtsError(f"Cohort {cohort.name!r} has no label to predict.")
    choose(name, PREDICTORS[cohort.task], f"baseline for {cohort.task}")
    reason = why_not(name, cohort, tabular_checkpoint)
    if reason:
        raise ModtsError(reason)
    record, problem = {} if record is None else record, Problem(cohort, labelled)
    kind, read = name.removesuffix(_ONLY), readers(problem, only_measurement=name.endswith(_ONLY))
    if kind == "LightGBM":
        predict = trees.boosted(problem, read, seed, threads, record)
    elif kind == "Logistic regression":
        predict = linear.logistic(problem, read, record)
    elif kind == "Ridge regression":
        predict = linear.ridge(problem, read, record)
    elif kind == "GRU":
        predict = gru.trained(problem, seed, record, gru_epochs)
    elif kind == "MiniRocket":
        predict = rocket.rocket(problem, seed, threads, record)
    else:
        predict = tabular.in_context(problem, read, seed, threads, record, tabular_checkpoint)
    return problem.answer(predict)


def fit_predict(name: str, cohort, labelled, seed: int = 0, threads: int = 1, record: dict | None = None, **more):
    """`fit_baseline`, and its prediction of the test split; parameters and errors as there."""
    return fit_baseline(name, cohort, labelled, seed, threads, record, **more)(cohort.part("test")[0])
