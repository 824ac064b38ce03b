"""Baselines: what a table must beat before a learned representation means anything.

Boosted trees and linear models on quantities that anyone would compute by hand; the same on nothing but what was measured and when; a GRU
trained end to end; MiniRocket; and, where its weights are at hand, a foundation model for tables. Each is meant to be as strong as a simple
baseline honestly is: its settings come from the validation split, by small grids; test stays are only ever predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modts.cohorts import TASKS
from modts.errors import ModtsError, choose

from . import gru, linear, rocket, tabular, trees
from .features import readers
from .gru_settings import GRU_SETTINGS
from .problem import solved

GRU_EPOCHS = 300
_ONLY = ", measurement only"


def _names(answer: str) -> tuple[str, ...]:
    if not answer:
        return ()  # nothing to predict
    plain = "Ridge regression" if answer == "number" else "Logistic regression"
    return "LightGBM", plain, "GRU", "MiniRocket", tabular.NAME, f"LightGBM{_ONLY}", f"{plain}{_ONLY}"


PREDICTORS = {name: _names(task.answer) for name, task in TASKS.items()}


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
    class_weight: str | dict | None = None,
    *,
    gru_epochs: int = GRU_EPOCHS,
    gru_settings: Sequence[dict] = GRU_SETTINGS,
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
    class_weight
        See `labels`.
    gru_epochs : int
        At most so many epochs of the GRU; most runs stop before.
    gru_settings : sequence of dict
        What the GRU is trained with, to be chosen from on validation: each with `hidden`, `lr`, `dropout` and `batch_size`, None for an eighth
        of the labelled windows, between 16 and 128.
    tabular_checkpoint : str
        File with TabICL's weights.

    Returns
    -------
    callable
        (N, T, F) raw windows, and `lengths`, (N,) steps, of series that end before their window does. It answers in classification (N,)
        float64, the chance of class 1; in multiclass, multilabel and stepwise (N, K), a chance of each class, label or step; in regression
        (N, T) float64, or (N,) for one number a stay, in the units of `cohort.y`.

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
    record = {} if record is None else record

    def fit(problem, about):
        kind, read = name.removesuffix(_ONLY), readers(problem, only_measurement=name.endswith(_ONLY))
        if kind == "LightGBM":
            predict = trees.boosted(problem, read, seed, threads, about)
        elif kind == "Logistic regression":
            predict = linear.logistic(problem, read, about)
        elif kind == "Ridge regression":
            predict = linear.ridge(problem, read, about)
        elif kind == "GRU":
            predict = gru.trained(problem, seed, about, gru_epochs, gru_settings)
        elif kind == "MiniRocket":
            predict = rocket.rocket(problem, seed, threads, about)
        else:
            predict = tabular.in_context(problem, read, seed, threads, about, tabular_checkpoint)
        return problem.answer(predict)

    predict = solved(cohort, labelled, class_weight, record, fit)
    return lambda X, lengths=None: predict((X, lengths))


def fit_predict(
    name: str, cohort, labelled, seed: int = 0, threads: int = 1, record: dict | None = None, class_weight=None, **more
):
    """`fit_baseline`, and its prediction of the test split; parameters and errors as there."""
    return fit_baseline(name, cohort, labelled, seed, threads, record, class_weight, **more)(
        cohort.part("test")[0], cohort.lengths_of("test")
    )
